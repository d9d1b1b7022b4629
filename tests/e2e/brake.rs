//! The brake for mass deletions: a prune that takes away more than it should is held, and everything goes on working until a person has decided.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use kube::api::ListParams;
use rolebridge::api::Managed;
use rolebridge_testbed::{Seen, aws_sim::AccountState};
use serde_json::Value;

use crate::support::{Account, Tenant, World, assert_told, bastion_user, condition, cross_account_role, new_key, role, trusted, user};

const BRAKE: &str = "deletionBrake: {share: 10, number: 3}";
const CAROL: &str = "{user: {name: carol}}";
const USERS: [&str; 4] = ["user-0", "user-1", "user-2", "user-3"];

fn named(prefix: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{prefix}-{number}")).collect()
}

/// The same manifests, with the label by which they are pruned.
fn labelled(manifests: &str) -> String {
    manifests.replace("metadata: {", "metadata: {labels: {prune: 'yes'}, ")
}

/// `kubectl delete` of all of a kind that bear the label, as a prune does it: nobody waits for them to be gone.
async fn prune(tenant: &Tenant<'_>, kind: &str) -> Result<()> {
    let args = ["delete", kind, "--selector=prune=yes", "--wait=false", "--namespace", &tenant.namespace];
    tenant.world.testbed.kubectl(&args).await.map(drop)
}

/// Waits until an account tells that so many deletions wait.
async fn holds(tenant: &Tenant<'_>, account: &Account, count: Option<i64>) -> Result<String> {
    let seen = || async {
        let account = tenant.accounts().get(&account.name).await?;
        let told = account.status.as_ref().and_then(|status| status.deletions_held);
        let ready = condition(&account, "Ready").context("no condition Ready")?;
        ensure!(ready.status == "True", "{ready:?}");
        Ok(if told == count { Seen::Done(ready.message.clone()) } else { Seen::NotYet(format!("{told:?}: {ready:?}")) })
    };
    tenant.world.testbed.wait_for(&format!("{} tells that {count:?} deletions wait", account.name), seen).await
}

/// What the objects of a kind that are being deleted say, by name.
async fn held<K: Managed>(api: kube::Api<K>) -> Result<BTreeMap<String, String>> {
    let objects = api.list(&ListParams::default()).await?.items;
    let deleted = objects.iter().filter(|object| object.meta().deletion_timestamp.is_some());
    deleted.map(|object| Ok((object.name_any(), condition(object, "Ready").context("no condition Ready")?.reason.clone()))).collect()
}

/// Waits until these are being deleted, no others are, and each says that its deletion is held.
async fn exactly_held(tenant: &Tenant<'_>, users: &[String], roles: &[String]) -> Result<()> {
    let expected: Vec<String> = users.iter().chain(roles).cloned().collect();
    let seen = || async {
        let there: BTreeMap<String, String> = held(tenant.users()).await?.into_iter().chain(held(tenant.roles()).await?).collect();
        let names: Vec<&String> = there.keys().collect();
        let is_so =
            there.values().all(|reason| reason == "DeletionHeld") && names.len() == expected.len() && names.iter().all(|n| expected.contains(n));
        Ok(Seen::from_option(is_so.then_some(()), || format!("{there:?}")))
    };
    tenant.world.testbed.wait_for(&format!("{expected:?} are held"), seen).await
}

/// What an account has of these users and roles.
fn parts(state: &AccountState, users: &[String], roles: &[String]) -> Vec<Option<Value>> {
    let users = users.iter().map(|name| user(state, name).cloned());
    users.chain(roles.iter().map(|name| role(state, name).cloned())).collect()
}

/// Types the command that a message tells.
async fn type_command(tenant: &Tenant<'_>, message: &str) -> Result<()> {
    let (_, command) = message.split_once("kubectl ").context("no command")?;
    let command = command.split_once("--overwrite").context("no end of the command")?.0;
    let args: Vec<&str> = command.split_whitespace().chain(["--overwrite"]).collect();
    tenant.world.testbed.kubectl(&args).await.map(drop)
}

/// The Events of this reason of an AWSAccount.
async fn events_of(tenant: &Tenant<'_>, account: &Account) -> Result<Vec<String>> {
    let events = tenant.world.testbed.kubectl(&["get", "events", "--namespace=default", "--output=json"]).await?;
    let events: Vec<Value> = serde_json::from_value(serde_json::from_str::<Value>(&events)?["items"].take())?;
    let own = events.iter().filter(|event| event["reason"] == "DeletionHeld" && event["involvedObject"]["name"].as_str() == Some(&account.name));
    Ok(own.map(|event| event["message"].as_str().unwrap_or_default().to_owned()).collect())
}

/// Twelve users and roles of one account are pruned of which three may go. Those who stay are let in where they were, and let in whom they did.
#[tokio::test]
async fn a_prune_is_held_beyond_the_brake_and_what_waits_works_until_it_is_confirmed() -> Result<()> {
    let world = World::own().await?;
    let first = world.operator()?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", BRAKE).await?);
    let all_users = USERS.map(|name| format!("{{user: {{name: {name}}}}}")).join(", ");
    let users = USERS.map(|name| bastion_user(name, &prod, "")).concat();
    let leaving = named("role", 0..3).iter().map(|name| cross_account_role(name, &prod, CAROL, "")).collect::<String>();
    let staying = named("role", 3..8).iter().map(|name| cross_account_role(name, &prod, &format!("{CAROL}, {all_users}"), "")).collect::<String>();
    let audit = |sources: &str| cross_account_role("audit", &utils, sources, "");
    tenant.apply(&(labelled(&(users + &leaving + &staying)) + &bastion_user("carol", &utils, "") + &audit(&all_users))).await?;
    for name in named("role", 0..8).iter().map(String::as_str).chain(["audit"]) {
        tenant.ready(&tenant.roles(), name).await?;
    }
    for name in USERS.into_iter().chain(["carol"]) {
        tenant.ready(&tenant.users(), name).await?;
    }
    let (carol, user_0) = (new_key(&utils.iam, "carol").await?, new_key(&prod.iam, "user-0").await?);
    let before = tenant.state(&prod).await?;

    prune(&tenant, "crossaccountroles").await?;
    holds(&tenant, &prod, Some(5)).await?;
    prune(&tenant, "bastionusers").await?;
    let message = holds(&tenant, &prod, Some(9)).await?;
    let (users, roles) = (named("user", 0..4), named("role", 3..8));
    exactly_held(&tenant, &users, &roles).await?;
    let command = format!("kubectl annotate awsaccount {} rolebridge.io/confirm-deletions=", prod.name);
    ensure!(message.contains("warning: spec.deletionBrake holds 9 deletions") && message.contains(&command), "{message}");
    assert_told(&tenant.roles().get("role-3").await?, "Stalled", &["its deletion waits", &command])?;
    assert_told(&tenant.users().get("user-3").await?, "Stalled", &["its deletion waits", &command])?;
    let told = || async {
        let events = events_of(&tenant, &prod).await?;
        let each = tenant.events().await?.iter().filter(|event| event["reason"] == "DeletionHeld").count();
        let is_told = each == 9 && events.len() == 1 && events[0].contains(&command);
        Ok(Seen::from_option(is_told.then_some(()), || format!("{each} and {events:?}")))
    };
    world.testbed.wait_for("Events tell of what waits", told).await?;

    // What waits is as it was, and a new operator leaves it so.
    let unchanged = async || -> Result<()> {
        let now = tenant.state(&prod).await?;
        ensure!(parts(&now, &users, &roles) == parts(&before, &users, &roles), "{now:?}");
        ensure!(named("role", 0..3).iter().all(|name| role(&now, name).is_none()), "{:?}", now.roles);
        Ok(())
    };
    unchanged().await?;
    let waiting = tenant.concluded(&tenant.roles(), "audit", "SourceNotReady").await?;
    assert_told(&waiting, "Reconciling", &["user-0 is being deleted, which waits until a person confirms it"])?;
    tenant.quiet(Duration::from_secs(2)).await?;
    let written = tenant.operator_writes().await?;
    first.terminate().await?;
    let since = world.last_call().await?;
    let second = world.operator()?;
    let read = || async {
        second.ensure_running()?;
        let (_, reads) = world.counts_in(&[&prod], since).await?;
        let has_read = reads.get("GetUser") == Some(&4) && reads.get("GetRole") == Some(&5);
        Ok(Seen::from_option(has_read.then_some(()), || format!("{reads:?}")))
    };
    world.testbed.wait_for("the new operator has read what waits", read).await?;
    tenant.quiet(Duration::from_secs(2)).await?;
    unchanged().await?;
    holds(&tenant, &prod, Some(9)).await?;
    exactly_held(&tenant, &users, &roles).await?;
    let objects =
        |writes: BTreeMap<String, _>| writes.into_iter().filter(|(object, _)| !object.starts_with("awsaccounts/")).collect::<BTreeMap<_, _>>();
    assert_eq!(objects(tenant.operator_writes().await?), objects(written));
    ensure!(events_of(&tenant, &prod).await?.len() == 1);
    for key in [&carol, &user_0] {
        ensure!(world.may_assume(key, &prod.arn("role/role-3")).await?);
    }
    ensure!(world.may_assume(&user_0, &utils.arn("role/audit")).await?);

    // Everything else goes on: what is new is made, and what is withdrawn ends, also on what waits.
    tenant.apply(&cross_account_role("new", &prod, CAROL, "")).await?;
    tenant.ready(&tenant.roles(), "new").await?;
    ensure!(world.may_assume(&carol, &prod.arn("role/new")).await?);
    tenant.apply(&(audit("{user: {name: user-1}}") + &labelled(&cross_account_role("role-3", &prod, CAROL, "")))).await?;
    let withdrawn = || async {
        let (there, here) = (tenant.state(&utils).await?, tenant.state(&prod).await?);
        let names = [trusted(role(&there, "audit").context("no role")?), trusted(role(&here, "role-3").context("no role")?)];
        let is_so = names == [vec![prod.arn("user/user-1")], vec![utils.arn("user/carol")]];
        Ok(Seen::from_option(is_so.then_some(()), || format!("{names:?}")))
    };
    world.testbed.wait_for("what is withdrawn has ended", withdrawn).await?;
    ensure!(!world.may_assume(&user_0, &utils.arn("role/audit")).await? && !world.may_assume(&user_0, &prod.arn("role/role-3")).await?);
    ensure!(world.may_assume(&user_0, &prod.arn("role/role-4")).await?);

    // By the very command of the message all goes, in the order in which it always does.
    type_command(&tenant, &message).await?;
    exactly_held(&tenant, &[], &[]).await?;
    ensure!(holds(&tenant, &prod, None).await? == "as declared");
    let now = tenant.state(&prod).await?;
    ensure!(parts(&now, &users, &roles).iter().all(Option::is_none) && role(&now, "new").is_some(), "{now:?}");
    ensure!(trusted(role(&tenant.state(&utils).await?, "audit").context("no role")?).is_empty());
    ensure!(world.may_assume(&carol, &prod.arn("role/new")).await? && !world.may_assume(&carol, &prod.arn("role/role-4")).await?);
    Ok(())
}

/// What was pruned while no operator ran is held as well; taking the brake out lets it go.
#[tokio::test]
async fn a_prune_while_the_operator_is_away_is_held_by_the_next_one_until_the_brake_is_taken_out() -> Result<()> {
    let world = World::own().await?;
    let first = world.operator()?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", BRAKE).await?;
    let all = named("role", 0..8);
    tenant.apply(&labelled(&all.iter().map(|name| cross_account_role(name, &prod, "{service: ec2.amazonaws.com}", "")).collect::<String>())).await?;
    for name in &all {
        tenant.ready(&tenant.roles(), name).await?;
    }
    first.terminate().await?;
    prune(&tenant, "crossaccountroles").await?;
    let second = world.operator()?;
    holds(&tenant, &prod, Some(5)).await?;
    let held = named("role", 3..8);
    exactly_held(&tenant, &[], &held).await?;
    second.ensure_running()?;

    // Its manifest under another name takes it back.
    tenant.apply(&cross_account_role("again", &prod, "{service: ec2.amazonaws.com}", "")).await?;
    tenant.ready(&tenant.roles(), "again").await?;
    tenant.apply(&prod.manifest(&tenant.only_here(), "")).await?;
    exactly_held(&tenant, &[], &[]).await?;
    ensure!(holds(&tenant, &prod, None).await? == "as declared");
    let now = tenant.state(&prod).await?;
    ensure!(role(&now, "again").is_some() && all.iter().all(|name| role(&now, name).is_none()), "{:?}", now.roles);
    Ok(())
}
