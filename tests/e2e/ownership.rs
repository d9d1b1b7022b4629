//! What belongs to whom: what is not ours stays as it is, what is ours is known again. "Row" is a row of the table of bad inputs that the
//! project keeps.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::api::DeleteParams;
use rolebridge_testbed::{
    Seen,
    aws_sim::{Fault, FaultKind},
};
use serde_json::json;

use crate::support::{Counts, INSTALLATION, LIST, World, assert_told, bastion_user, cross_account_role, manifest, new_key, once, role, user};

const ALICE: &str = "{user: {name: alice}}";
const NOBODY: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}}"#;

/// IAM knows names without regard to path, and so it is with those that are there already.
#[tokio::test]
async fn row_11_a_name_that_is_taken_at_another_path_is_a_conflict() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    prod.iam.create_role().role_name("foreign").path("/theirs/").assume_role_policy_document(NOBODY).send().await?;
    prod.iam.create_user().user_name("foreign").path("/theirs/").send().await?;
    let (in_teams, at_root) = ("path: /teams/", "path: /");
    let roles = cross_account_role("ours", &prod, "", in_teams) + &cross_account_role("foreign", &prod, "", in_teams);
    tenant.apply(&(roles + &bastion_user("ours", &prod, in_teams) + &bastion_user("foreign", &prod, at_root))).await?;
    tenant.ready(&tenant.roles(), "ours").await?;
    tenant.ready(&tenant.users(), "ours").await?;
    let before = tenant.state(&prod).await?;

    // Somebody else's, and another resource's.
    let double = |kind: &str, name: &str, of: &str| {
        let trust = if kind == "CrossAccountRole" { ", trust: []" } else { "" };
        manifest(kind, name, &format!("{{accountRef: {{name: {}}}, {of}: ours, path: /others/{trust}}}", prod.name))
    };
    tenant.apply(&(double("CrossAccountRole", "second", "roleName") + &double("BastionUser", "second", "userName"))).await?;
    let advice = "was not made by Rolebridge";
    assert_told(&tenant.concluded(&tenant.roles(), "foreign", "Conflict").await?, "Stalled", &["role foreign", advice])?;
    assert_told(&tenant.concluded(&tenant.users(), "foreign", "Conflict").await?, "Stalled", &["user foreign", advice])?;
    let first = |kind: &str| format!("{kind}/{}/ours", tenant.namespace);
    assert_told(&tenant.concluded(&tenant.roles(), "second", "Conflict").await?, "Stalled", &[&first("CrossAccountRole")])?;
    assert_told(&tenant.concluded(&tenant.users(), "second", "Conflict").await?, "Stalled", &[&first("BastionUser")])?;
    assert_eq!(tenant.state(&prod).await?, before);
    tenant.delete(&["crossaccountrole/foreign", "crossaccountrole/second", "bastionuser/foreign", "bastionuser/second"]).await?;
    assert_eq!(tenant.state(&prod).await?, before, "deleting the ones that have nothing touches nothing");
    tenant.ready(&tenant.roles(), "ours").await.map(drop)
}

/// The policies of a role are made before it turns out that its name is taken, even where what has it cannot be one of ours by its path.
#[tokio::test]
async fn row_11_policies_that_were_made_for_a_name_that_is_taken_go_with_their_resource() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "guardrails: {reservedNames: []}").await?;
    prod.iam.create_role().role_name("plain").path("/theirs/").assume_role_policy_document(NOBODY).send().await?;
    let before = tenant.state(&prod).await?;
    let with_policy = |name: &str, role_name: &str| {
        let permissions = format!("permissions: {{customerManagedPolicies: [{{name: of-{name}, json: '{LIST}'}}]}}");
        cross_account_role(name, &prod, "", &format!("roleName: {role_name}, {permissions}"))
    };
    tenant.apply(&(with_policy("plain", "plain") + &with_policy("linked", "AWSServiceRoleForSupport"))).await?;
    assert_told(&tenant.concluded(&tenant.roles(), "plain", "Conflict").await?, "Stalled", &["role plain"])?;
    assert_told(&tenant.concluded(&tenant.roles(), "linked", "Conflict").await?, "Stalled", &["/aws-service-role/"])?;
    tenant.delete(&["crossaccountrole/plain", "crossaccountrole/linked"]).await?;
    assert_eq!(tenant.state(&prod).await?, before);
    Ok(())
}

/// A user of ours that was moved is moved back. What an earlier resource of the same name left at another path stays as it is until a person decides.
#[tokio::test]
async fn row_11_what_is_ours_at_another_path_is_put_back_where_that_is_certain_and_told_where_not() -> Result<()> {
    let world = World::own().await?;
    let first = world.operator()?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "sweep: {interval: 10s}, ownership: {takeOver: SameInstallation}").await?;
    let both = |path: &str, fields: &str| {
        cross_account_role("reader", &prod, ALICE, &format!("path: {path}, {fields}"))
            + &bastion_user("alice", &prod, &format!("path: {path}, {fields}"))
    };
    let ready = async || -> Result<()> {
        tenant.ready(&tenant.roles(), "reader").await?;
        tenant.ready(&tenant.users(), "alice").await.map(drop)
    };
    tenant.apply(&both("/a/", "")).await?;
    ready().await?;
    let key = new_key(&prod.iam, "alice").await?;
    let before = tenant.state(&prod).await?;

    // To all who trust it, it is the same user all the time.
    prod.iam.update_user().user_name("alice").new_path("/b/").send().await?;
    let moved_back = || async {
        let now = tenant.state(&prod).await?;
        Ok(Seen::from_option((now == before).then_some(()), || format!("{:?}", now.users)))
    };
    world.testbed.wait_for("the user is moved back", moved_back).await?;
    ensure!(world.may_assume(&key, &prod.arn("role/a/reader")).await?);

    // With nothing left of what the status had, only tags tell that these are ours, and anybody who may tag could have put them there.
    first.kill();
    for (kind, name) in [("bastionuser", "alice"), ("crossaccountrole", "reader")] {
        let no_finalizers = r#"{"metadata": {"finalizers": null}}"#;
        world.testbed.kubectl(&["patch", kind, name, "--namespace", &tenant.namespace, "--type=merge", "--patch", no_finalizers]).await?;
        tenant.delete(&[&format!("{kind}/{name}")]).await?;
    }
    let before = tenant.state(&prod).await?;
    tenant.apply(&both("/b/", "")).await?;
    let second = world.operator()?;
    let advice = "Choose another name, or delete it in AWS";
    assert_told(&tenant.concluded(&tenant.roles(), "reader", "SourceNotReady").await?, "Reconciling", &["alice", "Conflict"])?;
    let told = tenant.concluded(&tenant.users(), "alice", "Conflict").await?;
    assert_told(&told, "Stalled", &["user /a/alice exists", "/b/alice cannot be made beside it", advice])?;
    assert_eq!(tenant.state(&prod).await?, before);

    // A person moves the user, and what is left of the role is told; and deletes the role.
    prod.iam.update_user().user_name("alice").new_path("/b/").send().await?;
    let before = tenant.state(&prod).await?;
    tenant.apply(&both("/b/", "tags: {team: data}")).await?;
    tenant.ready(&tenant.users(), "alice").await?;
    let told = tenant.concluded(&tenant.roles(), "reader", "Conflict").await?;
    assert_told(&told, "Stalled", &["role /a/reader exists", "/b/reader cannot be made beside it", advice])?;
    assert_eq!(role(&tenant.state(&prod).await?, "reader"), role(&before, "reader"));
    prod.iam.delete_role().role_name("reader").send().await?;
    tenant.apply(&both("/b/", "tags: {team: web}")).await?;
    ready().await?;
    ensure!(world.may_assume(&key, &prod.arn("role/b/reader")).await?);
    second.ensure_running()
}

#[tokio::test]
async fn row_40_of_two_resources_for_one_role_the_first_has_it() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let naming = |resource: &str, role: &str| {
        manifest(
            "CrossAccountRole",
            resource,
            &format!("{{accountRef: {{name: {}}}, roleName: {role}, trust: [], description: {resource}}}", prod.name),
        )
    };
    tenant.apply(&naming("first", "reader")).await?;
    tenant.ready(&tenant.roles(), "first").await?;
    let before = tenant.state(&prod).await?;

    // The same name, also in another case: IAM makes no difference.
    tenant.apply(&(naming("second", "reader") + &naming("third", "READER"))).await?;
    for name in ["second", "third"] {
        let refused = tenant.concluded(&tenant.roles(), name, "Conflict").await?;
        assert_told(&refused, "Stalled", &[&format!("CrossAccountRole/{}/first", tenant.namespace)])?;
    }
    assert_eq!(tenant.state(&prod).await?, before);
    tenant.delete(&["crossaccountrole/second", "crossaccountrole/third"]).await?;
    assert_eq!(tenant.state(&prod).await?, before, "deleting the ones that have nothing touches nothing");
    tenant.ready(&tenant.roles(), "first").await?;
    tenant.delete(&["crossaccountrole/first"]).await?;
    ensure!(role(&tenant.state(&prod).await?, "reader").is_none());
    Ok(())
}

#[tokio::test]
async fn row_41_what_another_installation_made_is_a_conflict() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    // Made for a resource of the very same name, by the Rolebridge of another cluster.
    let tag = |key: &str, value: String| aws_sdk_iam::types::Tag::builder().key(format!("rolebridge.io/{key}")).value(value).build();
    let request = prod.iam.create_role().role_name("reader").assume_role_policy_document(NOBODY);
    let request = request.tags(tag("installation", "another".to_owned())?);
    let request = request.tags(tag("owner", format!("CrossAccountRole/{}/reader", tenant.namespace))?);
    request.tags(tag("uid", "00000000-0000-0000-0000-000000000000".to_owned())?).send().await?;
    let before = tenant.state(&prod).await?;

    tenant.apply(&cross_account_role("reader", &prod, "", "")).await?;
    let refused = tenant.concluded(&tenant.roles(), "reader", "Conflict").await?;
    assert_told(&refused, "Stalled", &["another installation"])?;
    tenant.delete(&["crossaccountrole/reader"]).await?;
    assert_eq!(tenant.state(&prod).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_policy_of_others_is_a_conflict_whatever_its_case_and_path() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    prod.iam
        .create_policy()
        .policy_name("LIST")
        .path("/theirs/")
        .policy_document(NOBODY.replace(r#""Principal": "*","#, r#""Resource": "*","#))
        .send()
        .await?;
    let before = tenant.state(&prod).await?;
    let permissions = format!("permissions: {{customerManagedPolicies: [{{name: list, json: '{LIST}'}}]}}");
    tenant.apply(&cross_account_role("reader", &prod, "", &permissions)).await?;
    let refused = tenant.concluded(&tenant.roles(), "reader", "Conflict").await?;
    assert_told(&refused, "Stalled", &["policy"])?;
    assert_eq!(tenant.state(&prod).await?.policies, before.policies);
    tenant.delete(&["crossaccountrole/reader"]).await?;
    assert_eq!(tenant.state(&prod).await?, before);
    Ok(())
}

#[tokio::test]
async fn statement_3_row_50_and_51_what_is_re_created_while_the_operator_is_down_is_known_again() -> Result<()> {
    let world = World::own().await?;
    let first = world.operator()?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    let everything = bastion_user("alice", &utils, "") + &cross_account_role("reader", &prod, ALICE, "");
    tenant.apply(&everything).await?;
    let old = tenant.ready(&tenant.roles(), "reader").await?;
    tenant.ready(&tenant.users(), "alice").await?;
    first.kill();

    // Deleted and declared anew, with other UIDs, as a restored cluster has them: nothing of the old status is left.
    for (kind, name) in [("bastionuser", "alice"), ("crossaccountrole", "reader")] {
        let no_finalizers = r#"{"metadata": {"finalizers": null}}"#;
        world.testbed.kubectl(&["patch", kind, name, "--namespace", &tenant.namespace, "--type=merge", "--patch", no_finalizers]).await?;
    }
    tenant.users().delete("alice", &DeleteParams::default()).await?;
    tenant.roles().delete("reader", &DeleteParams::default()).await?;
    let before = (tenant.state(&utils).await?, tenant.state(&prod).await?);
    tenant.apply(&everything).await?;
    let second = world.operator()?;
    // Tags alone prove nothing, so a person has to say that the cluster was rebuilt.
    let told = tenant.concluded(&tenant.users(), "alice", "Conflict").await?;
    assert_told(
        &told,
        "Stalled",
        &["owner tags of an earlier object", &format!("spec.ownership.takeOver: SameInstallation on AWSAccount {}", utils.name)],
    )?;
    tenant.concluded(&tenant.roles(), "reader", "SourceNotReady").await?;
    assert_eq!((tenant.state(&utils).await?, tenant.state(&prod).await?), before);
    let since = world.last_call().await?;
    // That of the role first: it waits for its user, and is not a Conflict meanwhile, which would cost the user its right to it.
    for account in [&prod, &utils] {
        tenant.apply(&account.manifest(&tenant.only_here(), "ownership: {takeOver: SameInstallation}")).await?;
    }
    let new = tenant.ready(&tenant.roles(), "reader").await?;
    tenant.ready(&tenant.users(), "alice").await?;
    second.ensure_running()?;
    ensure!(new.metadata.uid != old.metadata.uid);
    assert_eq!(new.status.context("no status")?.role_id, old.status.context("no status")?.role_id, "the same role as before");
    let (mut writes, _) = world.counts_in(&[&utils, &prod], since).await?;
    writes.retain(|operation, _| !operation.starts_with("Create"));
    assert_eq!(writes, once(&["TagUser", "TagRole"]), "marked as the new resource's, and refused as existing at most");
    let (in_utils, in_prod) = (tenant.state(&utils).await?, tenant.state(&prod).await?);
    let tagless = |object: Option<&serde_json::Value>| {
        let mut object = object.cloned().unwrap_or_default();
        object["tags"]["rolebridge.io/uid"] = json!(null);
        object
    };
    assert_eq!(tagless(user(&in_utils, "alice")), tagless(user(&before.0, "alice")));
    assert_eq!(tagless(role(&in_prod, "reader")), tagless(role(&before.1, "reader")));
    tenant.delete(&["crossaccountrole/reader", "bastionuser/alice"]).await?;
    ensure!(role(&tenant.state(&prod).await?, "reader").is_none() && user(&tenant.state(&utils).await?, "alice").is_none());
    Ok(())
}

/// Whoever may write a status, or tag in AWS, gets no right by that to a role that is somebody else's.
#[tokio::test]
async fn a_status_or_tags_alone_give_no_right_to_a_role() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    let trust =
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": utils.arn("root")}, "Action": "sts:AssumeRole"}});
    tenant.apply(&(bastion_user("alice", &utils, "") + &cross_account_role("reader", &prod, ALICE, ""))).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    let key = new_key(&utils.iam, "alice").await?;

    // Of a role that cannot be made, the status tells that it was, and names somebody else's.
    let foreign = prod.iam.create_role().role_name("told").assume_role_policy_document(trust.to_string()).send().await?;
    let id = foreign.role().context("no role")?.role_id().to_owned();
    let broken = "permissions: {inlinePolicies: [{name: p, json: none}]}";
    tenant.apply(&cross_account_role("told", &prod, ALICE, broken)).await?;
    let told =
        json!({"metadata": {"finalizers": ["rolebridge.io/finalizer"]}, "status": {"roleID": id, "roleARN": prod.arn("role/told")}}).to_string();
    for subresource in [&["--subresource=status"][..], &[]] {
        let patch = ["patch", "crossaccountrole", "told", "--namespace", &tenant.namespace, "--type=merge", "--patch", &told];
        world.testbed.kubectl(&[&patch, subresource].concat()).await?;
    }
    // Another bears the owner tags of an earlier resource.
    prod.iam.create_role().role_name("tagged").assume_role_policy_document(trust.to_string()).send().await?;
    let owner = format!("CrossAccountRole/{}/tagged", tenant.namespace);
    for (name, value) in [("rolebridge.io/installation", INSTALLATION), ("rolebridge.io/owner", &owner), ("rolebridge.io/uid", "before")] {
        let tag = aws_sdk_iam::types::Tag::builder().key(name).value(value).build()?;
        prod.iam.tag_role().role_name("tagged").tags(tag).send().await?;
    }
    let before = tenant.state(&prod).await?;
    tenant.apply(&cross_account_role("tagged", &prod, ALICE, "")).await?;
    tenant.concluded(&tenant.roles(), "tagged", "Conflict").await?;

    // Something that the operator does for alice after all that.
    tenant.apply(&cross_account_role("writer", &prod, ALICE, "")).await?;
    tenant.ready(&tenant.roles(), "writer").await?;
    tenant.quiet(Duration::from_secs(2)).await?;
    ensure!(world.may_assume(&key, &prod.arn("role/writer")).await?);
    let (alice, after) = (tenant.state(&utils).await?, tenant.state(&prod).await?);
    for foreign in ["told", "tagged"] {
        ensure!(!world.may_assume(&key, &prod.arn(&format!("role/{foreign}"))).await?, "{foreign}");
        ensure!(!user(&alice, "alice").context("alice")?.to_string().contains(&format!("role/{foreign}")), "{alice:?}");
        assert_eq!(role(&after, foreign), role(&before, foreign));
    }
    Ok(())
}

/// Rows 55 and 56: an answer that cannot be had is not "there is none".
#[tokio::test]
async fn row_55_and_56_a_read_that_fails_makes_and_deletes_nothing() -> Result<()> {
    let world = World::own().await?;
    let tenant = world.tenant().await?;
    let first = world.operator()?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    tenant.apply(&(bastion_user("alice", &utils, "") + &cross_account_role("reader", &prod, ALICE, ""))).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    tenant.ready(&tenant.users(), "alice").await?;
    first.terminate().await?;
    let before = world.testbed.aws.state().await?;

    let kinds = [FaultKind::Reset, FaultKind::Html, FaultKind::Truncate];
    let broken = kinds.into_iter().map(|kind| Fault::of(kind, "Get*"));
    let errors = [("AccessDenied", 403), ("ServiceFailure", 500), ("Throttling", 400)];
    let refused = errors.into_iter().map(|(code, status)| Fault::error("Get*", code, status));
    for fault in broken.chain(refused) {
        world.testbed.aws.clear_faults().await?;
        let faults = ["GetUser", "GetRole"].map(|operation| Fault { operation: operation.to_owned(), times: 1_000, ..fault.clone() });
        // Without a sweep, each is read by itself.
        let sweep = Fault { operation: "GetAccountAuthorizationDetails".to_owned(), times: 1_000, ..fault.clone() };
        world.testbed.aws.inject(&sweep).await?;
        let ids = [world.testbed.aws.inject(&faults[0]).await?, world.testbed.aws.inject(&faults[1]).await?];
        let since = world.last_call().await?;
        // A new operator reads what is there, and a changed description would have it write.
        let operator = world.operator()?;
        let description = format!("{:?} {:?}", fault.kind, fault.code.as_deref().unwrap_or_default()).replace('"', "");
        tenant.apply(&cross_account_role("reader", &prod, ALICE, &format!("description: {description}"))).await?;
        let struck = || async {
            let hits: Vec<u64> = world.testbed.aws.faults().await?.iter().filter(|fault| ids.contains(&fault.id)).map(|fault| fault.hits).collect();
            Ok(Seen::from_option(hits.iter().all(|hits| *hits >= 2).then_some(()), || format!("{hits:?}")))
        };
        world.testbed.wait_for("both reads have failed twice", struck).await?;
        let (writes, _) = world.counts_in(&[&utils, &prod], since).await?;
        assert_eq!(writes, Counts::new(), "{description}");
        world.testbed.aws.clear_faults().await?;
        tenant.ready(&tenant.roles(), "reader").await?;
        let (writes, _) = world.counts_in(&[&utils, &prod], since).await?;
        assert_eq!(writes, [("UpdateRole".to_owned(), 1)].into(), "{description}");
        operator.terminate().await?;
    }
    let mut after = world.testbed.aws.state().await?;
    // All is as it was, but for the description.
    let state = after.accounts.get_mut(&prod.id).context("no account")?;
    let reader = state.roles.iter_mut().find(|role| role["roleName"] == "reader").context("no role")?;
    ensure!(reader["description"] != "");
    reader["description"] = role(&before.accounts[&prod.id], "reader").context("no role")?["description"].clone();
    assert_eq!(after, before);
    Ok(())
}
