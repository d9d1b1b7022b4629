//! `rolebridge release --all`: everything is handed back before an uninstall. Users, roles, policies and trust stay in AWS as they are, without owner tags, and
//! the resources can be deleted without anything happening there.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use rolebridge::api::{FINALIZER, Managed};
use rolebridge_testbed::{
    Credentials, Operator, Seen,
    aws_sim::{AccountState, Fault, FaultKind, FaultWhen},
    charts,
};
use serde_json::{Value, json};

use crate::support::{
    Account, Counts, INSTALLATION, LIST, Rights, Tenant, World, assert_told, bastion_user, condition, config_map, cross_account_role, made_for,
    new_key, role,
};

const NOBODY: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}}"#;

/// A user that may assume a role with a customer-managed policy, in two accounts, and a role of somebody else.
struct Scene<'w> {
    tenant: Tenant<'w>,
    utils: Account,
    prod: Account,
    alice: Credentials,
    /// What the accounts held when all was ready.
    before: [AccountState; 2],
}

impl<'w> Scene<'w> {
    async fn new(world: &'w World) -> Result<Self> {
        let tenant = world.tenant().await?;
        let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
        prod.iam.create_role().role_name("theirs").assume_role_policy_document(NOBODY).send().await?;
        let permissions = "permissions: {customerManagedPolicies: [{name: list, configMapKeyRef: {name: policies, key: list.json}}]}";
        let reader = cross_account_role("reader", &prod, "{user: {name: alice}}", &format!("tags: {{team: data}}, {permissions}"));
        let theirs = cross_account_role("theirs", &prod, "{user: {name: alice}}", "");
        let users = bastion_user("alice", &utils, "tags: {team: data}");
        tenant.apply(&format!("{}\n{users}{reader}{theirs}", config_map("policies", "list.json", LIST))).await?;
        tenant.ready(&tenant.roles(), "reader").await?;
        tenant.ready(&tenant.users(), "alice").await?;
        tenant.concluded(&tenant.roles(), "theirs", "Conflict").await?;
        let alice = new_key(&utils.iam, "alice").await?;
        tenant.quiet(Duration::from_secs(1)).await?;
        let before = [tenant.state(&utils).await?, tenant.state(&prod).await?];
        Ok(Self { tenant, utils, prod, alice, before })
    }

    async fn state(&self) -> Result<[AccountState; 2]> {
        Ok([self.tenant.state(&self.utils).await?, self.tenant.state(&self.prod).await?])
    }

    /// Asserts that AWS is as it was when all was ready, but for the owner tags, and that the grant works.
    async fn is_handed_back(&self) -> Result<()> {
        assert_eq!(self.state().await?, self.before.clone().map(without_owner_tags));
        ensure!(self.tenant.world.may_assume(&self.alice, &self.prod.arn("role/reader")).await?);
        Ok(())
    }

    /// Every resource of the scene as the API server has it, by kind and name.
    async fn objects(&self) -> Result<BTreeMap<String, Value>> {
        let (tenant, mut all) = (&self.tenant, BTreeMap::new());
        for kind in ["awsaccounts", "bastionusers", "crossaccountroles"] {
            let list = tenant.world.testbed.kubectl(&["get", kind, "--namespace", &tenant.namespace, "--output", "json"]).await?;
            let list: Value = serde_json::from_str(&list)?;
            let name = |object: &Value| format!("{kind}/{}", object["metadata"]["name"].as_str().unwrap_or_default());
            all.extend(list["items"].as_array().context("no items")?.iter().map(|object| (name(object), object.clone())));
        }
        Ok(all)
    }

    /// Asserts that no resource is held any more, and that none tells of anything in AWS.
    async fn is_let_go(&self) -> Result<()> {
        for (name, object) in self.objects().await? {
            ensure!(object["metadata"]["finalizers"].is_null(), "{name}: {object}");
            let facts = ["userARN", "userID", "roleARN", "roleID", "callerARN", "policies"];
            ensure!(facts.iter().all(|field| object["status"][field].is_null()), "{name}: {object}");
        }
        Ok(())
    }

    /// Asserts that each resource says what has become of it.
    async fn says_so(&self) -> Result<()> {
        for (name, object) in self.objects().await? {
            let ready = object["status"]["conditions"].as_array().into_iter().flatten().find(|condition| condition["type"] == "Ready");
            assert_eq!(ready.map(|ready| (&ready["status"], &ready["reason"])), Some((&json!("False"), &json!("Released"))), "{name}");
        }
        Ok(())
    }

    /// Deletes everything as the tenant and an administrator do, after which AWS is as it was.
    async fn is_deleted_at_once(&self) -> Result<()> {
        let since = self.tenant.world.last_call().await?;
        let member = self.tenant.member(Rights::Edit).await?;
        member.kubectl(&["delete", "--timeout=20s", "--all", "crossaccountroles,bastionusers"], None).await?;
        self.tenant.delete(&[&format!("awsaccount/{}", self.utils.name), &format!("awsaccount/{}", self.prod.name)]).await?;
        assert_eq!(self.tenant.world.last_call().await?, since);
        self.is_handed_back().await
    }
}

fn without_owner_tags(mut state: AccountState) -> AccountState {
    let all = state.users.iter_mut().chain(&mut state.roles).chain(&mut state.policies);
    for tags in all.filter_map(|object| object["tags"].as_object_mut()) {
        tags.retain(|key, _| !key.starts_with("rolebridge.io/"));
    }
    state
}

/// Starts `rolebridge release --all` with the rights of the operator.
fn start(world: &World, kubeconfig: &Path, installation: &str, more: &[&str]) -> Result<Operator> {
    let env = world.testbed.aws.environment_for(world.operator_credentials());
    let args = ["release", "--all", "--installation", installation, "--namespace", charts::NAMESPACE];
    world.testbed.operator(Path::new(env!("CARGO_BIN_EXE_rolebridge")), kubeconfig, &env, &[args.as_slice(), more].concat())
}

/// Whether it has succeeded, and all that it has said.
async fn end(world: &World, release: Operator) -> Result<(bool, String)> {
    let ended = || async { Ok(Seen::from_option(release.exit_status(), || release.log())) };
    let status = world.testbed.wait_for("rolebridge release ends", ended).await?;
    Ok((status.success(), release.log()))
}

async fn release(world: &World, more: &[&str]) -> Result<(bool, String)> {
    end(world, start(world, world.operator_kubeconfig(), INSTALLATION, more)?).await
}

/// Asserts that it has ended like this, and has said each of `words`.
fn assert_said((good, said): &(bool, String), is_good: bool, words: &[&str]) -> Result<()> {
    ensure!(*good == is_good, "{said}");
    for word in words {
        ensure!(said.contains(word), "it does not say {word:?}:\n{said}");
    }
    Ok(())
}

#[tokio::test]
async fn everything_is_handed_back_and_stays_in_aws_as_it_is() -> Result<()> {
    let world = World::own().await?;
    let operator = world.operator()?;
    let scene = Scene::new(&world).await?;
    let accounts = [&scene.utils, &scene.prod];

    // Neither what would be done nor a running operator changes anything.
    let (objects, since) = (scene.objects().await?, world.last_call().await?);
    let would = release(&world, &["--dry-run"]).await?;
    let tags = "remove tags rolebridge.io/installation, rolebridge.io/owner, rolebridge.io/uid of";
    let mut words: Vec<String> =
        ["role reader", &format!("policy {}", scene.prod.arn("policy/list")), "user alice"].iter().map(|what| format!("{tags} {what}")).collect();
    words.extend([scene.utils.name.clone(), "would leave role theirs as it is".to_owned(), "nothing was changed".to_owned()]);
    assert_said(&would, true, &words.iter().map(String::as_str).collect::<Vec<_>>())?;
    assert_eq!(world.counts_in(&accounts, since).await?.0, Counts::new());
    assert_eq!(scene.objects().await?, objects);
    let stopped = release(&world, &[]).await?;
    assert_said(&stopped, false, &["an operator is at work", "--replicas=0", "Nothing was changed"])?;
    assert_eq!((world.counts_in(&accounts, since).await?.0, scene.state().await?), (Counts::new(), scene.before.clone()));
    scene.tenant.ready(&scene.tenant.roles(), "reader").await?;
    let is_held = |object: &Value| object["metadata"]["finalizers"] == json!([FINALIZER]);
    let held = objects.values().filter(|object| is_held(object)).count();
    assert_eq!(scene.objects().await?.values().filter(|object| is_held(object)).count(), held);

    ensure!(operator.terminate().await?.success());
    // Under another ID it would find nothing of its own, and must not let go of what it does not find.
    let elsewhere = end(&world, start(&world, world.operator_kubeconfig(), "another", &["--dry-run"])?).await?;
    assert_said(&elsewhere, false, &[&format!("rolebridge.io/installation={INSTALLATION}"), "Give --installation as the operator has it"])?;

    let done = release(&world, &[]).await?;
    assert_said(&done, true, &words[..3].iter().map(String::as_str).chain(["take its finalizer off", "done"]).collect::<Vec<_>>())?;
    let (writes, _) = world.counts_in(&accounts, since).await?;
    assert_eq!(writes, [("UntagPolicy", 1), ("UntagRole", 1), ("UntagUser", 1)].map(|(name, count)| (name.to_owned(), count)).into());
    for (account, resource) in [(&scene.utils, "BastionUser", "alice"), (&scene.prod, "CrossAccountRole", "reader")]
        .map(|(account, kind, name)| (account, format!("{kind}/{}/{name}", scene.tenant.namespace)))
    {
        let calls = world.calls_in(account, since).await?;
        ensure!(calls.iter().filter(|call| !call.is_read()).all(|call| made_for(call) == Some(&*resource)), "{calls:#?}");
    }
    ensure!(role(&scene.before[1], "theirs") == role(&scene.state().await?[1], "theirs"));
    scene.is_handed_back().await?;
    scene.is_let_go().await?;
    scene.says_so().await?;
    let again = release(&world, &[]).await?;
    assert_said(&again, true, &["nothing is left to hand back"])?;
    scene.is_deleted_at_once().await
}

/// Waits until what the command asks for is held, kills it, and waits until that is given up. `is` tells whether all of it is held, or nothing.
async fn kill(world: &World, release: &Operator, is: impl AsyncFn(bool) -> Result<bool>) -> Result<()> {
    let held = |wanted: bool| {
        let is = &is;
        move || async move { Ok(Seen::from_option(is(wanted).await?.then_some(()), || release.log())) }
    };
    world.testbed.wait_for("it is held", held(true)).await?;
    release.kill();
    world.testbed.wait_for("what it asked for is given up", held(false)).await
}

#[tokio::test]
async fn it_may_die_anywhere_and_goes_on_when_it_is_run_again() -> Result<()> {
    let world = World::own().await?;
    let gate = world.gate().await?;
    let operator = world.operator()?;
    let scene = Scene::new(&world).await?;
    ensure!(operator.terminate().await?.success());
    let (tenant, aws) = (&scene.tenant, &world.testbed.aws);

    // While it looks whether an operator is at work: what has lost its finalizer for that can be deleted by nobody.
    gate.hold(1, FaultWhen::After);
    let release = start(&world, gate.kubeconfig(), INSTALLATION, &[])?;
    kill(&world, &release, async |wanted| Ok(gate.is_holding() == wanted)).await?;
    gate.open();
    let member = tenant.member(Rights::Edit).await?;
    member.kubectl_refused(&["delete", "bastionuser/alice"], None, &["something in AWS"]).await?;
    assert_eq!(scene.state().await?, scene.before);

    // Right after AWS has done it.
    for operation in ["UntagUser", "UntagPolicy", "UntagRole"] {
        let fault = aws.inject(&Fault::of(FaultKind::Hold, operation).after()).await?;
        let release = start(&world, gate.kubeconfig(), INSTALLATION, &[])?;
        let held = async |wanted: bool| Ok(aws.faults().await?.iter().any(|status| status.id == fault && status.held > 0) == wanted);
        kill(&world, &release, held).await?;
        aws.clear_faults().await?;
    }
    assert_eq!(scene.state().await?, scene.before.clone().map(without_owner_tags));
    // Four writes find out whether an operator is at work, two at the beginning and two after all tags are off. Then statuses are emptied and finalizers go.
    for when in [FaultWhen::After, FaultWhen::Before] {
        gate.hold(5, when);
        let release = start(&world, gate.kubeconfig(), INSTALLATION, &[])?;
        kill(&world, &release, async |wanted| Ok(gate.is_holding() == wanted)).await?;
        gate.open();
    }
    let done = end(&world, start(&world, gate.kubeconfig(), INSTALLATION, &[])?).await?;
    assert_said(&done, true, &[])?;
    scene.is_let_go().await?;
    scene.says_so().await?;
    scene.is_deleted_at_once().await
}

#[tokio::test]
async fn an_operator_that_starts_meanwhile_is_noticed_and_does_no_harm() -> Result<()> {
    let world = World::own().await?;
    let gate = world.gate().await?;
    let operator = world.operator()?;
    let scene = Scene::new(&world).await?;
    let (tenant, aws) = (&scene.tenant, &world.testbed.aws);
    ensure!(operator.terminate().await?.success());

    // When the tags are off the user, and not yet off the role that trusts it.
    let fault = aws.inject(&Fault::of(FaultKind::Hold, "UntagPolicy").times(100)).await?;
    let release = start(&world, gate.kubeconfig(), INSTALLATION, &[])?;
    let held = || async { Ok(Seen::from_option(aws.faults().await?.iter().any(|fault| fault.held > 0).then_some(()), || release.log())) };
    world.testbed.wait_for("the tags are off the user", held).await?;
    let operator = world.operator()?;
    let told = tenant.concluded(&tenant.users(), "alice", "Conflict").await?;
    assert_told(&told, "Stalled", &["user alice was made for this resource", "rolebridge.io/owner=BastionUser"])?;
    tenant.quiet(Duration::from_secs(3)).await?;
    assert_eq!(scene.state().await?, [without_owner_tags(scene.before[0].clone()), scene.before[1].clone()]);
    aws.remove_fault(fault).await?;
    assert_said(&end(&world, release).await?, false, &["an operator is at work", "Owner tags are off in AWS"])?;
    scene.is_handed_back().await?;
    ensure!(operator.terminate().await?.success());

    // When the first resource has been let go.
    gate.hold(7, FaultWhen::Before);
    let release = start(&world, gate.kubeconfig(), INSTALLATION, &[])?;
    let let_go = |is_again: bool| {
        let scene = &scene;
        move || async move {
            let objects = scene.objects().await?;
            let is = |object: &Value| object["status"]["roleARN"].is_null() && object["status"]["userARN"].is_null();
            let held = |name: &str| objects.get(name).is_some_and(|object| is(object) && object["metadata"]["finalizers"].is_null() != is_again);
            let has_come_about = ["bastionusers/alice", "crossaccountroles/reader"].map(held);
            Ok(Seen::from_option(has_come_about.contains(&true).then_some(()), || format!("{objects:?}")))
        }
    };
    world.testbed.wait_for("a resource is let go", let_go(false)).await?;
    let operator = world.operator()?;
    tenant.concluded(&tenant.users(), "alice", "Conflict").await?;
    world.testbed.wait_for("the operator holds it again", let_go(true)).await?;
    gate.open();
    assert_said(&end(&world, release).await?, false, &["has its finalizer again: an operator is at work"])?;
    scene.is_handed_back().await?;
    ensure!(operator.terminate().await?.success());

    // What the operator did not hold again tells of the conflict that it saw.
    assert_said(&self::release(&world, &[]).await?, true, &["done"])?;
    scene.is_let_go().await?;
    scene.is_deleted_at_once().await
}

/// Puts the owner tags of a resource on something in an account, as a person does.
async fn tag_by_hand<K: Managed>(scene: &Scene<'_>, account: &Account, object: &K, on: &[&str]) -> Result<()> {
    let owner = format!("Key=rolebridge.io/owner,Value={}/{}/{}", K::KIND, scene.tenant.namespace, object.name_any());
    let uid = format!("Key=rolebridge.io/uid,Value={}", object.uid().context("no UID")?);
    let installation = format!("Key=rolebridge.io/installation,Value={INSTALLATION}");
    let args = [&["iam"], on, &["--tags", &owner, &uid, &installation]].concat();
    scene.tenant.world.aws(&account.administrator, &args).await.map(drop)
}

#[tokio::test]
async fn what_was_handed_back_is_given_back_by_its_tags_alone() -> Result<()> {
    let world = World::own().await?;
    let operator = world.operator()?;
    let scene = Scene::new(&world).await?;
    let (tenant, utils, prod) = (&scene.tenant, &scene.utils, &scene.prod);
    ensure!(operator.terminate().await?.success());
    assert_said(&release(&world, &[]).await?, true, &["done"])?;

    let operator = world.operator()?;
    tenant.concluded(&tenant.users(), "alice", "Conflict").await?;
    tenant.concluded(&tenant.roles(), "theirs", "SourceNotReady").await?;
    scene.is_handed_back().await?;
    ensure!(operator.terminate().await?.success());
    let (reader, alice) = (tenant.roles().get("reader").await?, tenant.users().get("alice").await?);
    tag_by_hand(&scene, utils, &alice, &["tag-user", "--user-name=alice"]).await?;
    tag_by_hand(&scene, prod, &reader, &["tag-role", "--role-name=reader"]).await?;
    tag_by_hand(&scene, prod, &reader, &["tag-policy", "--policy-arn", &prod.arn("policy/list")]).await?;
    let operator = world.operator()?;
    tenant.ready(&tenant.users(), "alice").await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    assert_eq!(scene.state().await?, scene.before);
    operator.ensure_running()
}

#[tokio::test]
async fn what_cannot_be_handed_back_is_told_and_stays_held() -> Result<()> {
    let world = World::own().await?;
    let operator = world.operator()?;
    let scene = Scene::new(&world).await?;
    let (tenant, aws) = (&scene.tenant, &world.testbed.aws);
    // An account that lets the operator in no more, and one that is no more.
    let closed = tenant.ready_account("closed", "").await?;
    tenant.apply(&(bastion_user("carol", &closed, "") + &bastion_user("dave", &closed, ""))).await?;
    tenant.ready(&tenant.users(), "carol").await?;
    tenant.ready(&tenant.users(), "dave").await?;
    // One that is being deleted, and is not yet gone.
    tenant.apply(&bastion_user("bob", &scene.utils, "")).await?;
    tenant.ready(&tenant.users(), "bob").await?;
    ensure!(operator.terminate().await?.success());
    closed.iam.delete_role_policy().role_name("rolebridge").policy_name("manage-iam").send().await?;
    world.testbed.kubectl(&["delete", "bastionuser/bob", "--namespace", &tenant.namespace, "--wait=false"]).await?;
    let state = tenant.state(&scene.utils).await?;
    aws.inject(&Fault::error("UntagRole", "AccessDenied", 403).in_account(&scene.prod.id).times(100)).await?;

    let said = release(&world, &[]).await?;
    let of = |kind: &str, name: &str| format!("not handed back: {kind}/{name}");
    let in_team = |kind: &str, name: &str| of(kind, &format!("{}/{name}", tenant.namespace));
    let words = [
        in_team("CrossAccountRole", "reader") + ": AccessDenied",
        in_team("BastionUser", "carol") + ": AccessDenied",
        in_team("BastionUser", "dave") + ": AccessDenied",
        of("AWSAccount", &scene.prod.name),
        of("AWSAccount", &closed.name),
        of("AWSAccount", &scene.utils.name),
        "by the annotation rolebridge.io/abandon=true".to_owned(),
        "Nothing is let go".to_owned(),
        "6 of the resources were not handed back".to_owned(),
    ];
    assert_said(&said, false, &words.iter().map(String::as_str).collect::<Vec<_>>())?;
    // The operator may come back, and goes by the statuses of all.
    for (name, object) in scene.objects().await? {
        assert_eq!(object["metadata"]["finalizers"], json!([FINALIZER]), "{name}");
    }
    assert_eq!(tenant.state(&scene.utils).await?, without_owner_tags(state));
    let reader = tenant.roles().get("reader").await?;
    ensure!(
        condition(&reader, "Ready").is_some_and(|ready| ready.status == "True") && reader.status().is_some_and(|status| status.role_arn.is_some())
    );

    // Once AWS lets it, the rest goes; and what a person gives up, without a word to AWS.
    aws.clear_faults().await?;
    world
        .testbed
        .kubectl(&["annotate", "bastionuser/carol", "bastionuser/dave", "--namespace", &tenant.namespace, "rolebridge.io/abandon=true"])
        .await?;
    let before = tenant.state(&closed).await?;
    let said = release(&world, &[]).await?;
    assert_said(&said, true, &[&format!("give up {}", closed.arn("user/carol")), "being deleted, and is gone by that", "done"])?;
    ensure!(tenant.users().get_opt("bob").await?.is_none());
    assert_eq!(tenant.state(&closed).await?, before);
    scene.is_let_go().await?;
    scene.says_so().await?;
    let state = scene.state().await?;
    assert_eq!(state[1], without_owner_tags(scene.before[1].clone()));
    ensure!(world.may_assume(&scene.alice, &scene.prod.arn("role/reader")).await?);
    Ok(())
}
