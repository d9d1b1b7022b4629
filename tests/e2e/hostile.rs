//! Tenants who may write everything in their namespace, and want the operator to believe what is not so, or to leave something behind in AWS. Each
//! attack is made with the rights that the chart gives, and with a Role that allows everything; and honest work goes on all the same.

use anyhow::{Context, Result, ensure};
use hyper::Method;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use rolebridge::api::protection::RESOURCE_POLICY;
use rolebridge::api::{ABANDON, ANNOUNCED, BastionUser, CrossAccountRole, FINALIZER, Managed};
use rolebridge_testbed::{
    Seen, TestbedOptions,
    aws_sim::{AccountState, Fault, FaultKind},
    wait_for_absence,
};
use serde_json::{Value, json};

use crate::support::{Account, Answer, Member, Rights, Tenant, World, bastion_user, cross_account_role, role, user};

const JSON: &str = "application/json";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
/// The user and the role that every test has.
const BOTH: [&str; 2] = ["bastionusers/alice", "crossaccountroles/reader"];

/// A user and a role that trusts it, both Ready, and somebody of their namespace.
struct Scene<'w> {
    tenant: Tenant<'w>,
    utils: Account,
    prod: Account,
    member: Member<'w>,
    /// What the accounts had before and have since.
    states: [(AccountState, AccountState); 2],
}

impl<'w> Scene<'w> {
    async fn new(world: &'w World, rights: Rights) -> Result<Self> {
        let tenant = world.tenant().await?;
        let member = tenant.member(rights).await?;
        let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
        let before = (tenant.state(&utils).await?, tenant.state(&prod).await?);
        member.kubectl(&["apply", "--filename", "-"], Some(&manifests(&utils, &prod))).await?;
        let mut scene = Self { tenant, utils, prod, member, states: [before.clone(), before] };
        scene.ready().await?;
        scene.states[1] = scene.now().await?;
        Ok(scene)
    }

    async fn now(&self) -> Result<(AccountState, AccountState)> {
        Ok((self.tenant.state(&self.utils).await?, self.tenant.state(&self.prod).await?))
    }

    async fn ready(&self) -> Result<()> {
        self.tenant.ready(&self.tenant.roles(), "reader").await?;
        self.tenant.ready(&self.tenant.users(), "alice").await.map(drop)
    }

    /// An object as the API server has it.
    async fn get(&self, object: &str) -> Result<Value> {
        let path = self.member.path(object);
        Ok(self.tenant.client.request(hyper::Request::get(path).body(vec![])?).await?)
    }

    /// Asserts that what is in AWS is as it was made, and that its resources say so.
    async fn is_unharmed(&self) -> Result<()> {
        self.ready().await?;
        assert_eq!(self.now().await?, self.states[1]);
        Ok(())
    }

    /// Waits until an object has the finalizer.
    async fn is_held(&self, object: &str) -> Result<()> {
        let seen = || async {
            let finalizers = self.get(object).await?["metadata"]["finalizers"].clone();
            Ok(Seen::from_option((finalizers == json!([FINALIZER])).then_some(()), || finalizers.to_string()))
        };
        self.tenant.world.testbed.wait_for(&format!("{object} has its finalizer again"), seen).await
    }

    /// Deletes everything as this member does, and asserts that nothing is left in AWS.
    async fn ends(&self) -> Result<()> {
        let delete = ["delete", "--timeout=170s", "crossaccountrole/reader", "bastionuser/alice"];
        self.tenant.world.testbed.explain(self.member.kubectl(&delete, None).await)?;
        assert_eq!(self.now().await?, self.states[0]);
        Ok(())
    }

    /// Waits until nothing is left, in Kubernetes and in AWS.
    async fn is_over(&self) -> Result<()> {
        wait_for_absence(&self.tenant.roles(), "reader").await?;
        wait_for_absence(&self.tenant.users(), "alice").await?;
        // Kubernetes may let go of an object before it is removed from AWS, where somebody deletes it while it gets its finalizer.
        let over = || async {
            let now = self.now().await?;
            Ok(Seen::from_option((now == self.states[0]).then_some(()), || format!("{now:?}")))
        };
        self.tenant.world.testbed.wait_for("nothing is left in AWS", over).await
    }

    /// `kubectl replace` with the manifests, which drops finalizers.
    async fn replace(&self) -> Result<String> {
        self.member.kubectl(&["replace", "--filename", "-"], Some(&manifests(&self.utils, &self.prod))).await
    }

    /// Waits until AWS holds a call of this fault.
    async fn is_holding(&self, fault: u64) -> Result<()> {
        let aws = &self.tenant.world.testbed.aws;
        let held = || async {
            let held = aws.faults().await?.iter().any(|status| status.id == fault && status.held > 0);
            Ok(Seen::from_option(held.then_some(()), || "no call is held".to_owned()))
        };
        self.tenant.world.testbed.wait_for("AWS holds a call", held).await
    }
}

fn manifests(utils: &Account, prod: &Account) -> String {
    bastion_user("alice", utils, "") + &cross_account_role("reader", prod, "{user: {name: alice}}", "")
}

/// Asserts that a request was refused for want of rights; where the rights of the namespace sufficed, by our policy with these words.
fn assert_refused(what: &str, answer: &Answer, rights: Rights, words: &[&str]) -> Result<()> {
    let Err((code, text)) = answer else { anyhow::bail!("{what} was not refused") };
    ensure!(*code == 403, "{what}: {code} {text}");
    if rights == Rights::Everything {
        for word in words.iter().chain(&[RESOURCE_POLICY]) {
            ensure!(text.contains(word), "{what} was not refused with {word:?}: {text}");
        }
    }
    Ok(())
}

/// An object without finalizers.
fn without_finalizers(object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"]["finalizers"] = json!([]);
    object
}

#[tokio::test]
async fn a_status_is_written_by_the_operator_only() -> Result<()> {
    let world = World::with_operator().await?;
    for rights in Rights::ALL {
        let scene = Scene::new(world, rights).await?;
        for object in BOTH {
            let (path, there) = (scene.member.path(&format!("{object}/status")), scene.get(object).await?);
            let id = if object == BOTH[0] { "userID" } else { "roleID" };
            let forged = json!({"status": {id: "AIDAFORGEDFORGED0001"}});
            let mut whole = there.clone();
            whole["status"] = json!({"observedGeneration": 1});
            let mut applied = forged.clone();
            for field in ["apiVersion", "kind"] {
                applied[field] = there[field].clone();
            }
            let attacks = [
                ("a merge patch", Method::PATCH, "", MERGE, forged.clone()),
                ("a patch that wipes it", Method::PATCH, "", MERGE, json!({"status": null})),
                ("a JSON patch", Method::PATCH, "", JSON_PATCH, json!([{"op": "remove", "path": format!("/status/{id}")}])),
                ("a replacement", Method::PUT, "", JSON, whole),
                ("an apply", Method::PATCH, "?fieldManager=mine&force=true", APPLY, applied.clone()),
                ("an apply in the name of the operator", Method::PATCH, "?fieldManager=rolebridge&force=true", APPLY, applied),
            ];
            for (what, method, query, content_type, body) in attacks {
                let answer = scene.member.send(method, &format!("{path}{query}"), content_type, &body).await?;
                assert_refused(what, &answer, rights, &["change the spec instead", "/status in the whole cluster"])?;
            }
            // By the resource itself it is not written.
            let answer = scene.member.send(Method::PATCH, &scene.member.path(object), MERGE, &forged).await?;
            ensure!(answer.is_ok(), "{answer:?}");
            assert_eq!(scene.get(object).await?["status"][id], there["status"][id]);
        }
        let mut born = scene.get(BOTH[1]).await?;
        born["metadata"] = json!({"name": "forged"});
        let answer = scene.member.send(Method::POST, &scene.member.path("crossaccountroles?dryRun=All"), JSON, &born).await?;
        let born = answer.ok().context("a role was not accepted")?;
        ensure!(born["status"]["observedGeneration"] == -1 && born["status"]["roleID"].is_null() && born["status"]["roleARN"].is_null(), "{born}");
        scene.is_unharmed().await?;
        scene.ends().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_finalizer_stays_on_what_is_being_deleted_until_nothing_is_left() -> Result<()> {
    let world = World::with_operator().await?;
    for rights in Rights::ALL {
        let scene = Scene::new(world, rights).await?;
        let (aws, member) = (&world.testbed.aws, &scene.member);
        // Nothing gets on meanwhile.
        let hold = |account: &Account| Fault::of(FaultKind::Hold, "*").in_account(&account.id).times(1000);
        let held = [aws.inject(&hold(&scene.utils)).await?, aws.inject(&hold(&scene.prod)).await?];
        member.kubectl(&["delete", "--wait=false", "crossaccountrole/reader", "bastionuser/alice"], None).await?;
        for object in BOTH {
            let (path, there) = (member.path(object), scene.get(object).await?);
            ensure!(there["metadata"]["deletionTimestamp"].is_string(), "{there}");
            let mut versionless = without_finalizers(&there);
            versionless["metadata"]["resourceVersion"] = Value::Null;
            let attacks = [
                ("a merge patch", Method::PATCH, "", MERGE, json!({"metadata": {"finalizers": null}})),
                ("a JSON patch", Method::PATCH, "", JSON_PATCH, json!([{"op": "remove", "path": "/metadata/finalizers"}])),
                ("a patch for another one", Method::PATCH, "", MERGE, json!({"metadata": {"finalizers": ["example.com/mine"]}})),
                ("a replacement", Method::PUT, "", JSON, versionless),
            ];
            for (what, method, query, content_type, body) in attacks {
                let answer = member.send(method, &format!("{path}{query}"), content_type, &body).await?;
                let Err((code, text)) = &answer else { anyhow::bail!("{what} was not refused") };
                // A finalizer that is new to what is being deleted is invalid for anybody.
                ensure!([403, 422].contains(code), "{what}: {code} {text}");
                if *code == 403 {
                    assert_refused(what, &answer, Rights::Everything, &["leave it on", "/finalizers in the whole cluster"])?;
                }
            }
            let given_up = json!({"metadata": {"annotations": {ABANDON: "true"}}});
            let answer = member.send(Method::PATCH, &path, MERGE, &given_up).await?;
            assert_refused("giving up", &answer, Rights::Everything, &["ask a platform administrator"])?;
            // What somebody applies is taken from nobody else.
            for manager in ["mine", "rolebridge"] {
                let applied = json!({"apiVersion": there["apiVersion"], "kind": there["kind"], "metadata": {"finalizers": []}});
                let _ = member.send(Method::PATCH, &format!("{path}?fieldManager={manager}&force=true"), APPLY, &applied).await?;
            }
            let edited = member.try_kubectl(&["edit", &object.replacen("s/", "/", 1)], None, "sed -i /rolebridge.io.finalizer/d").await?;
            ensure!(edited.is_err_and(|error| error.contains(RESOURCE_POLICY)), "kubectl edit took it off");
            assert_eq!(scene.get(object).await?["metadata"]["finalizers"], json!([FINALIZER]), "{object}");
        }
        for fault in held {
            aws.remove_fault(fault).await?;
        }
        scene.is_over().await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_has_lost_its_finalizer_cannot_be_deleted_before_it_is_back() -> Result<()> {
    let world = World::own().await?;
    let mut operator = world.operator()?;
    for rights in Rights::ALL {
        let scene = Scene::new(&world, rights).await?;
        operator.kill();
        let member = &scene.member;
        scene.replace().await?;
        for object in BOTH {
            assert_eq!(scene.get(object).await?["metadata"]["finalizers"], Value::Null, "{object}");
            let words = ["Rolebridge puts it back in a moment", "/finalizers in the whole cluster"];
            for propagation in ["Background", "Foreground", "Orphan"] {
                let options = json!({"propagationPolicy": propagation});
                let answer = member.send(Method::DELETE, &member.path(object), JSON, &options).await?;
                assert_refused(propagation, &answer, Rights::Everything, &words)?;
            }
            let collection = object.split('/').next().unwrap_or_default();
            let answer = member.send(Method::DELETE, &member.path(collection), JSON, &json!({})).await?;
            assert_refused("a deletion of all", &answer, Rights::Everything, &words)?;
            let kind = object.replacen("s/", "/", 1);
            member.kubectl_refused(&["delete", &kind], None, &[RESOURCE_POLICY, words[0]]).await?;
            // By force it is the same.
            member.kubectl_refused(&["delete", "--force", "--grace-period=0", &kind], None, &[RESOURCE_POLICY]).await?;
            ensure!(scene.get(object).await?["metadata"]["deletionTimestamp"].is_null());
        }
        operator = world.operator()?;
        for object in BOTH {
            scene.is_held(object).await?;
        }
        scene.is_unharmed().await?;
        scene.ends().await?;
    }
    Ok(())
}

#[tokio::test]
async fn whoever_drops_finalizers_and_deletes_at_once_leaves_nothing_behind() -> Result<()> {
    let world = World::with_operator().await?;
    for rights in Rights::ALL {
        let scene = Scene::new(world, rights).await?;
        let member = &scene.member;
        for object in BOTH {
            let path = member.path(object);
            let gone = || async {
                let _ = member.send(Method::PATCH, &path, MERGE, &json!({"metadata": {"finalizers": null}})).await?;
                let _ = member.send(Method::DELETE, &path, JSON, &json!({})).await?;
                let there = member.send(Method::GET, &path, JSON, &Value::Null).await?;
                Ok(Seen::from_option(there.is_err().then_some(()), || "it is still there".to_owned()))
            };
            world.testbed.wait_for(&format!("{object} is gone"), gone).await?;
        }
        scene.is_over().await?;
    }
    Ok(())
}

#[tokio::test]
async fn whoever_declares_and_deletes_at_once_leaves_nothing_behind() -> Result<()> {
    let world = World::with_operator().await?;
    let scene = Scene::new(world, Rights::Edit).await?;
    let (member, users) = (&scene.member, scene.tenant.users());
    let manifest = json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "BastionUser", "spec": {"accountRef": {"name": scene.utils.name}}});
    let deletions = (0..24_u64).map(|number| {
        let (mut manifest, name) = (manifest.clone(), format!("user-{number}"));
        manifest["metadata"] = json!({"name": name});
        let (path, users) = (member.path(&format!("bastionusers/{name}")), &users);
        async move {
            let answer = member.send(Method::POST, &member.path("bastionusers"), JSON, &manifest).await?;
            ensure!(answer.is_ok(), "{answer:?}");
            // Around when the operator puts the finalizer on.
            tokio::time::sleep(std::time::Duration::from_millis(90 + 5 * number)).await;
            let answer = member.send(Method::DELETE, &path, JSON, &json!({})).await?;
            ensure!(answer.is_ok(), "{answer:?}");
            wait_for_absence(users, &name).await
        }
    });
    futures::future::try_join_all(deletions).await?;
    let unchanged = || async {
        let now = scene.now().await?;
        Ok(Seen::from_option((now == scene.states[1]).then_some(()), || format!("{:?}", now.0.users)))
    };
    world.testbed.wait_for("nothing is left of them", unchanged).await?;
    scene.ends().await
}

#[tokio::test]
async fn what_is_being_made_keeps_its_finalizer_and_the_names_of_its_policies() -> Result<()> {
    let world = World::with_operator().await?;
    for rights in Rights::ALL {
        let scene = Scene::new(world, rights).await?;
        let (aws, member, path) = (&world.testbed.aws, &scene.member, scene.member.path("bastionusers/bob"));
        let fault = aws.inject(&Fault::of(FaultKind::Hold, "CreateUser").in_account(&scene.utils.id).after()).await?;
        let policies = "permissions: {customerManagedPolicies: [{name: mine, json: '{\"Version\": \"2012-10-17\", \"Statement\": []}'}]}";
        let manifest = bastion_user(
            "bob",
            &scene.utils,
            &policies.replace("[]}", r#"[{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}]}"#),
        );
        member.kubectl(&["apply", "--filename", "-"], Some(&manifest)).await?;
        scene.is_holding(fault).await?;
        let there = scene.get("bastionusers/bob").await?;
        ensure!(there["status"]["userID"].is_null() && there["metadata"]["annotations"][ANNOUNCED] == "mine", "{there}");
        let attacks = [
            ("its finalizer, by a patch", Method::PATCH, MERGE, json!({"metadata": {"finalizers": null}}), "try again once the status has an ARN"),
            ("its finalizer, by a replacement", Method::PUT, JSON, without_finalizers(&there), "try again once the status has an ARN"),
            ("the names", Method::PATCH, MERGE, json!({"metadata": {"annotations": {ANNOUNCED: null}}}), "leave it as it is"),
            ("other names", Method::PATCH, MERGE, json!({"metadata": {"annotations": {ANNOUNCED: "other"}}}), "leave it as it is"),
        ];
        for (what, method, content_type, body, words) in attacks {
            assert_refused(what, &member.send(method, &path, content_type, &body).await?, Rights::Everything, &[words])?;
        }
        // What leaves both as they are is done, and so is a deletion.
        member.kubectl(&["label", "bastionuser", "bob", "team=data"], None).await?;
        member.kubectl(&["delete", "--wait=false", "bastionuser/bob"], None).await?;
        aws.remove_fault(fault).await?;
        wait_for_absence(&scene.tenant.users(), "bob").await?;
        scene.is_unharmed().await?;
        scene.ends().await?;
    }
    Ok(())
}

#[tokio::test]
async fn only_an_administrator_gives_up_what_is_in_aws() -> Result<()> {
    let world = World::with_operator().await?;
    for rights in Rights::ALL {
        let scene = Scene::new(world, rights).await?;
        let member = &scene.member;
        let mut born = json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "BastionUser", "spec": {"accountRef": {"name": scene.utils.name}}});
        born["metadata"] = json!({"name": "bob", "annotations": {ABANDON: "true"}});
        let words = ["ask a platform administrator", "bastionusers/finalizers in the whole cluster"];
        assert_refused("a creation", &member.send(Method::POST, &member.path("bastionusers"), JSON, &born).await?, Rights::Everything, &words)?;
        member.kubectl_refused(&["annotate", "bastionuser/alice", &format!("{ABANDON}=true")], None, &[RESOURCE_POLICY, words[0]]).await?;
        // Another value says nothing, and who may set it may.
        member.kubectl(&["annotate", "bastionuser/alice", &format!("{ABANDON}=false")], None).await?;
        scene.is_unharmed().await?;
        member.kubectl(&["delete", "--timeout=170s", "crossaccountrole/reader"], None).await?;
        let annotate = ["annotate", "--overwrite", "--namespace", &scene.tenant.namespace, "bastionuser/alice", &format!("{ABANDON}=true")];
        world.testbed.kubectl(&annotate).await?;
        // Once it is there, its owner may go on.
        member.kubectl(&["label", "bastionuser/alice", "team=data"], None).await?;
        member.kubectl(&["delete", "--timeout=170s", "bastionuser/alice"], None).await?;
        // The account answers, so that there is nothing to give up.
        ensure!(user(&scene.tenant.state(&scene.utils).await?, "alice").is_none(), "left behind although it could be removed");
    }
    Ok(())
}

#[tokio::test]
async fn honest_work_goes_on() -> Result<()> {
    let world = World::with_operator().await?;
    for rights in Rights::ALL {
        let scene = Scene::new(world, rights).await?;
        let (member, everything) = (&scene.member, manifests(&scene.utils, &scene.prod));
        // Time and again: the finalizer that comes back does not make the next one fail.
        for _ in 0..3 {
            let said = scene.replace().await?;
            ensure!(said.matches("replaced").count() == 2, "{said}");
            for object in BOTH {
                scene.is_held(object).await?;
            }
            scene.is_unharmed().await?;
        }
        for apply in [&["apply", "--filename", "-"][..], &["apply", "--server-side", "--force-conflicts", "--filename", "-"]] {
            member.kubectl(apply, Some(&everything)).await?;
            scene.is_unharmed().await?;
        }
        member.kubectl(&["patch", "bastionuser/alice", "--type=merge", "--patch", r#"{"spec": {"tags": {"team": "data"}}}"#], None).await?;
        let edited = member.try_kubectl(&["edit", "bastionuser/alice"], None, "sed -i s/team:.data/team:\\ web/").await?;
        ensure!(edited.is_ok(), "{edited:?}");
        scene.ready().await?;
        let tags = user(&scene.tenant.state(&scene.utils).await?, "alice").context("no user")?["tags"].clone();
        ensure!(tags["team"] == "web", "{tags}");
        // Who may update them in the whole cluster may do all of it.
        let no_finalizers = r#"{"metadata": {"finalizers": null}}"#;
        let patch = ["patch", "bastionuser/alice", "--namespace", &scene.tenant.namespace, "--type=merge", "--patch", no_finalizers];
        world.testbed.kubectl(&patch).await?;
        scene.is_held(BOTH[0]).await?;
        let said = member.kubectl(&["delete", "--timeout=170s", "--filename", "-"], Some(&everything)).await?;
        ensure!(said.matches("deleted").count() == 2, "{said}");
        assert_eq!(scene.now().await?, scene.states[0]);
    }
    Ok(())
}

/// Creates an object as a backup has it, with its finalizer, and then its status, as Velero does.
async fn restore<K: Managed + serde::Serialize>(api: &Api<K>, mut object: K) -> Result<()> {
    let status = object.status().cloned();
    let meta = object.meta_mut();
    (meta.uid, meta.resource_version, meta.managed_fields) = (None, None, None);
    let name = meta.name.clone().unwrap_or_default();
    api.create(&PostParams::default(), &object).await?;
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await?;
    Ok(())
}

#[tokio::test]
async fn a_restore_brings_finalizers_and_statuses() -> Result<()> {
    let world = World::own().await?;
    let operator = world.operator()?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    let before = (tenant.state(&utils).await?, tenant.state(&prod).await?);
    tenant.apply(&manifests(&utils, &prod)).await?;
    let reader: CrossAccountRole = tenant.ready(&tenant.roles(), "reader").await?;
    let alice: BastionUser = tenant.ready(&tenant.users(), "alice").await?;
    let ids = (alice.status.clone().and_then(|s| s.user_id), reader.status.clone().and_then(|s| s.role_id));
    operator.kill();
    // The cluster is lost.
    for kind in ["bastionuser/alice", "crossaccountrole/reader"] {
        let no_finalizers = r#"{"metadata": {"finalizers": null}}"#;
        world.testbed.kubectl(&["patch", kind, "--namespace", &tenant.namespace, "--type=merge", "--patch", no_finalizers]).await?;
    }
    tenant.users().delete("alice", &DeleteParams::default()).await?;
    tenant.roles().delete("reader", &DeleteParams::default()).await?;

    restore(&tenant.users(), alice).await?;
    restore(&tenant.roles(), reader).await?;
    let _operator = world.operator()?;
    let now = (tenant.ready(&tenant.users(), "alice").await?, tenant.ready(&tenant.roles(), "reader").await?);
    assert_eq!((now.0.status.and_then(|s| s.user_id), now.1.status.and_then(|s| s.role_id)), ids);
    tenant.delete(&["crossaccountrole/reader", "bastionuser/alice"]).await?;
    assert_eq!((tenant.state(&utils).await?, tenant.state(&prod).await?), before);
    Ok(())
}

#[tokio::test]
async fn the_clusters_own_controllers_leave_nothing_behind_either() -> Result<()> {
    let world = World::own_with(TestbedOptions { controller_manager: true }).await?;
    let mut operator = world.operator()?;
    // Whoever may edit a namespace may use what is ours in it, and no account. Whoever may view one sees it.
    let team = world.tenant().await?;
    for (role, verb, allowed) in [("edit", "create", true), ("admin", "delete", true), ("view", "list", true), ("view", "patch", false)] {
        let binding = format!("{role}-{verb}");
        let bind = ["create", "rolebinding", &binding, "--namespace", &team.namespace, "--clusterrole", role, "--user", &binding];
        world.testbed.kubectl(&bind).await?;
        let can_i = async |what: &[&str]| {
            let ask = [&["auth", "can-i", "--namespace", &team.namespace, "--as", &binding], what].concat();
            anyhow::Ok(world.testbed.kubectl(&ask).await.is_ok_and(|said| said.trim() == "yes"))
        };
        for kind in ["bastionusers.rolebridge.io", "crossaccountroles.rolebridge.io"] {
            let asked =
                || async { Ok(Seen::from_option((can_i(&[verb, kind]).await? == allowed).then_some(()), || format!("{role}: {verb} {kind}"))) };
            world.testbed.wait_for("the rights are what the roles say", asked).await?;
            ensure!(!can_i(&["update", kind, "--subresource=status"]).await?, "{role} may write statuses");
            ensure!(!can_i(&["update", kind, "--subresource=finalizers"]).await?, "{role} may let go");
        }
        ensure!(!can_i(&[verb, "awsaccounts.rolebridge.io"]).await?, "{role} may use accounts");
    }

    // An owner that does not exist has the garbage collector, which may update everything, delete an object.
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "11111111-1111-1111-1111-111111111111"}]);
    let scene = Scene::new(&world, Rights::Everything).await?;
    operator.kill();
    for object in BOTH {
        let mut orphaned = without_finalizers(&scene.get(object).await?);
        orphaned["metadata"]["ownerReferences"] = owner.clone();
        let answer = scene.member.send(Method::PUT, &scene.member.path(object), JSON, &orphaned).await?;
        ensure!(answer.is_ok(), "{answer:?}");
    }
    // It has seen this one, so it has seen those as well.
    let witness = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "witness", "ownerReferences": owner}});
    let deleted = || async {
        let config_maps: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::namespaced(scene.tenant.client.clone(), &scene.tenant.namespace);
        let _ = config_maps.create(&PostParams::default(), &serde_json::from_value(witness.clone())?).await;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        Ok(Seen::from_option(config_maps.get_opt("witness").await?.is_none().then_some(()), || "not collected yet".to_owned()))
    };
    world.testbed.wait_for("the garbage collector has been here", deleted).await?;
    let tries = || async {
        let writes = world.testbed.control_plane.writes().await?;
        let refused = writes.iter().filter(|write| write.user.ends_with(":generic-garbage-collector") && write.code == 403).count();
        Ok(Seen::from_option((refused > 0).then_some(()), || "it has not tried".to_owned()))
    };
    world.testbed.wait_for("the garbage collector is refused", tries).await?;
    for object in BOTH {
        ensure!(scene.get(object).await?["metadata"]["deletionTimestamp"].is_null(), "{object} is being deleted");
    }
    assert_eq!(scene.now().await?, scene.states[1]);
    operator = world.operator()?;
    scene.is_over().await.context("once the finalizers are back, the garbage collector deletes them")?;

    // A namespace that is deleted while they lack their finalizers goes once these are back.
    let scene = Scene::new(&world, Rights::Everything).await?;
    operator.kill();
    scene.replace().await?;
    let namespaces: Api<Namespace> = Api::all(scene.tenant.client.clone());
    world.testbed.kubectl(&["delete", "namespace", "--wait=false", &scene.tenant.namespace]).await?;
    let refused = || async {
        let namespace = namespaces.get(&scene.tenant.namespace).await?;
        let conditions = namespace.status.and_then(|status| status.conditions).unwrap_or_default();
        let failed = conditions.iter().any(|c| c.type_ == "NamespaceDeletionContentFailure" && c.status == "True");
        Ok(Seen::from_option(failed.then_some(()), || format!("{conditions:?}")))
    };
    world.testbed.wait_for("the namespace controller is refused", refused).await?;
    ensure!(role(&scene.tenant.state(&scene.prod).await?, "reader").is_some());
    let _operator = world.operator()?;
    wait_for_absence(&namespaces, &scene.tenant.namespace).await?;
    assert_eq!(scene.now().await?, scene.states[0]);
    Ok(())
}
