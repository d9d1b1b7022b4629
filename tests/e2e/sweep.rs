//! What others change in AWS is found by reading accounts in bulk, and put right with the calls that it takes.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use rolebridge_testbed::Seen;
use rolebridge_testbed::aws_sim::AccountState;
use serde_json::{Value, json};

use crate::support::{Account, Counts, LIST, Tenant, World, bastion_user, cross_account_role, once};

/// One role for each way in which somebody may change it.
const ROLES: [&str; 10] =
    ["trust", "removed-inline", "added-inline", "changed-inline", "detached", "tag", "description", "duration", "boundary", "deleted"];

fn role(name: &str, prod: &Account) -> String {
    let permissions = format!("{{attachedPolicies: [ReadOnlyAccess], inlinePolicies: [{{name: list, json: '{LIST}'}}]}}");
    let fields = format!("description: reads, maxSessionDuration: 2h, tags: {{team: data}}, permissions: {permissions}");
    cross_account_role(name, prod, "{user: {name: alice}}", &fields)
}

/// The state of an account by name of the object, without what is anew when an object is made anew.
fn by_name(state: &AccountState) -> BTreeMap<String, Value> {
    let known = |mut value: Value| {
        for field in ["roleID", "userID"] {
            value.as_object_mut().map(|object| object.remove(field));
        }
        value
    };
    let name = |value: &Value| ["roleName", "userName"].iter().find_map(|n| value[*n].as_str().map(str::to_owned));
    state.roles.iter().chain(&state.users).map(|value| (name(value).unwrap_or_else(|| value.to_string()), known(value.clone()))).collect()
}

/// Changes each role of [`ROLES`] as its name says, as the account's administrator.
async fn meddle(prod: &Account) -> Result<()> {
    let open = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}}).to_string();
    let iam = &prod.iam;
    iam.update_assume_role_policy().role_name("trust").policy_document(open).send().await?;
    iam.delete_role_policy().role_name("removed-inline").policy_name("list").send().await?;
    iam.put_role_policy().role_name("added-inline").policy_name("more").policy_document(LIST).send().await?;
    iam.put_role_policy().role_name("changed-inline").policy_name("list").policy_document(LIST.replace("s3:ListAllMyBuckets", "s3:*")).send().await?;
    let read_only = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    iam.detach_role_policy().role_name("detached").policy_arn(read_only).send().await?;
    iam.untag_role().role_name("tag").tag_keys("team").send().await?;
    iam.update_role().role_name("description").description("writes").max_session_duration(7200).send().await?;
    iam.update_role().role_name("duration").description("reads").max_session_duration(43200).send().await?;
    iam.put_role_permissions_boundary().role_name("boundary").permissions_boundary(read_only).send().await?;
    iam.delete_role_policy().role_name("deleted").policy_name("list").send().await?;
    iam.detach_role_policy().role_name("deleted").policy_arn(read_only).send().await?;
    iam.delete_role().role_name("deleted").send().await?;
    Ok(())
}

async fn is_as_before(tenant: &Tenant<'_>, prod: &Account, before: &BTreeMap<String, Value>) -> Result<Seen<()>> {
    let now = by_name(&tenant.state(prod).await?);
    let differs: Vec<_> = before.iter().filter(|(name, value)| now.get(*name) != Some(*value)).collect();
    Ok(if differs.is_empty() { Seen::Done(()) } else { Seen::NotYet(format!("{differs:?} is now {now:?}")) })
}

/// Whether an Event on a role of this name tells that it was put right, and how.
async fn told_repaired(tenant: &Tenant<'_>, role: &str, how: &str) -> Result<Seen<()>> {
    let events = tenant.events().await?;
    let told = |event: &Value| {
        event["involvedObject"]["name"] == role
            && event["reason"] == "DriftRepaired"
            && event["message"].as_str().is_some_and(|message| message.contains(how))
    };
    Ok(Seen::from_option(events.iter().any(told).then_some(()), || format!("{events:?}")))
}

#[tokio::test]
async fn what_others_changed_while_the_operator_was_away_is_put_right_with_no_more_calls_than_that_takes() -> Result<()> {
    let world = World::own().await?;
    let first = world.operator()?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    let untouched: Vec<String> = (0..10).map(|n| format!("untouched-{n}")).collect();
    let names: Vec<&str> = ROLES.into_iter().chain(untouched.iter().map(String::as_str)).collect();
    tenant.apply(&names.iter().map(|name| role(name, &prod)).collect::<Vec<_>>().concat()).await?;
    tenant.apply(&bastion_user("alice", &utils, "")).await?;
    for name in &names {
        tenant.ready(&tenant.roles(), name).await?;
    }
    ensure!(first.terminate().await?.success());
    let before = by_name(&tenant.state(&prod).await?);
    meddle(&prod).await?;
    // Roles that nobody declared: one that was ours and whose resource is gone, one of somebody else's that lets alice in.
    let alice = utils.arn("user/alice");
    let trust =
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": alice}, "Action": "sts:AssumeRole"}}).to_string();
    let owner = format!("CrossAccountRole/{}/long-gone", tenant.namespace);
    let tag = |key: &str, value: &str| aws_sdk_iam::types::Tag::builder().key(key).value(value).build();
    let orphan = prod.iam.create_role().role_name("orphan").assume_role_policy_document(&trust);
    orphan.tags(tag("rolebridge.io/installation", crate::support::INSTALLATION)?).tags(tag("rolebridge.io/owner", &owner)?).send().await?;
    prod.iam.create_role().role_name("side-door").assume_role_policy_document(&trust).send().await?;

    let since = world.last_call().await?;
    let second = world.operator()?;
    world.testbed.wait_for("everything is as it was", || is_as_before(&tenant, &prod, &before)).await?;
    world.testbed.wait_for("the change of a trust policy is told", || told_repaired(&tenant, "trust", "trust policy")).await?;
    let found = world
        .testbed
        .wait_for("the account tells what nobody declared", || async {
            let status = tenant.accounts().get(&prod.name).await?.status.context("no status")?;
            Ok(if status.orphans_total > 0 { Seen::Done(status) } else { Seen::NotYet(format!("{status:?}")) })
        })
        .await?;
    ensure!(found.orphans.len() == 1 && found.orphans[0].identity == "role orphan" && found.orphans[0].owner == owner, "{:?}", found.orphans);
    let shadows: Vec<_> = found.shadow_grants.iter().map(|grant| (grant.role_name.as_str(), grant.principal.as_str())).collect();
    ensure!(shadows == [("orphan", alice.as_str()), ("side-door", alice.as_str())], "{shadows:?}");
    tenant.ready(&tenant.roles(), "deleted").await?;
    tenant.quiet(std::time::Duration::from_secs(2)).await?;

    let (writes, reads) = world.counts_in(&[&utils, &prod], since).await?;
    let expected = Counts::from(
        [
            // trust, and deleted through its new ID
            ("UpdateAssumeRolePolicy", 1),
            // removed-inline, changed-inline, deleted
            ("PutRolePolicy", 3),
            ("DeleteRolePolicy", 1),
            // detached, deleted
            ("AttachRolePolicy", 2),
            ("TagRole", 1),
            // description, duration
            ("UpdateRole", 2),
            ("DeleteRolePermissionsBoundary", 1),
            ("CreateRole", 1),
        ]
        .map(|(operation, count)| (operation.to_owned(), count)),
    );
    assert_eq!(writes, expected);
    // Two bulk reads where there are roles, one where there are none; what each account says of itself; and a direct read of each that is not as declared.
    assert_eq!((reads["GetAccountAuthorizationDetails"], reads["ListRoles"], reads["GetRole"]), (2, 2, 10), "{reads:?}");
    assert_eq!((reads["GetAccountSummary"], reads["ListAccountAliases"]), (2, 2), "{reads:?}");
    let state = tenant.state(&prod).await?;
    ensure!(by_name(&state).contains_key("orphan") && by_name(&state).contains_key("side-door"), "neither is ours to delete: {state:?}");
    drop(second);
    Ok(())
}

#[tokio::test]
async fn a_steady_account_costs_four_calls_a_sweep_and_drift_is_put_right_within_one() -> Result<()> {
    let world = World::own().await?;
    let operator = world.operator()?;
    let tenant = world.tenant().await?;
    let utils = tenant.ready_account("utils", "").await?;
    let prod = tenant.ready_account("prod", "sweep: {interval: 10s}").await?;
    tenant.apply(&role("reader", &prod)).await?;
    tenant.apply(&bastion_user("alice", &utils, "")).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    let sweeps = |since: u64| {
        let (world, prod) = (&world, &prod);
        async move {
            let (_, reads) = world.counts_in(&[prod], since).await?;
            // The last read of a sweep.
            anyhow::Ok(reads.get("ListAccountAliases").copied().unwrap_or_default())
        }
    };
    let begun = world.last_call().await?;
    let one = || async { Ok(if sweeps(begun).await? >= 1 { Seen::Done(()) } else { Seen::NotYet("no sweep yet".into()) }) };
    world.testbed.wait_for("the first sweep", one).await?;
    tenant.quiet(std::time::Duration::from_secs(1)).await?;

    let (since, written) = (world.last_call().await?, tenant.operator_writes().await?);
    let three = || async { Ok(if sweeps(since).await? >= 3 { Seen::Done(()) } else { Seen::NotYet("fewer than three sweeps".into()) }) };
    world.testbed.wait_for("three sweeps", three).await?;
    let (writes, reads) = world.counts_in(&[&utils, &prod], since).await?;
    let swept = reads["ListAccountAliases"];
    let sweep = ["GetAccountAuthorizationDetails", "ListRoles", "GetAccountSummary", "ListAccountAliases"];
    assert_eq!((writes, reads), (Counts::new(), sweep.map(|operation| (operation.to_owned(), swept)).into()));
    assert_eq!(tenant.operator_writes().await?, written, "a steady system writes nothing to Kubernetes");

    let before = by_name(&tenant.state(&prod).await?);
    prod.iam.delete_role_policy().role_name("reader").policy_name("list").send().await?;
    let since = world.last_call().await?;
    world.testbed.wait_for("the policy is there again", || is_as_before(&tenant, &prod, &before)).await?;
    world.testbed.wait_for("and that is told", || told_repaired(&tenant, "reader", "list")).await?;
    let (writes, _) = world.counts_in(&[&utils, &prod], since).await?;
    assert_eq!(writes, once(&["PutRolePolicy"]));
    drop(operator);
    Ok(())
}
