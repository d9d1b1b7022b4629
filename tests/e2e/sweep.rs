//! What others change in AWS is found by reading accounts in bulk, and put right with the calls that it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_iam::types::Tag;
use futures::{StreamExt, TryStreamExt, stream};
use rolebridge::core::identity::ASSUME_POLICY;
use rolebridge_testbed::aws_sim::{AccountState, Fault, FaultKind};
use rolebridge_testbed::{AwsGate, Call, Seen, Shown};
use serde_json::{Value, json};

use crate::support::{Account, Counts, LIST, Tenant, World, bastion_user, cross_account_role, once};

/// The ways in which somebody may change a role.
const WAYS: [&str; 11] = [
    "trust",
    "removed-inline",
    "added-inline",
    "changed-inline",
    "detached",
    "attached",
    "untagged",
    "retagged",
    "description",
    "duration",
    "deleted",
];
/// What a sweep calls in an account where there are roles: once each for as many entities as a page holds.
const SWEEP: [&str; 4] = ["GetAccountAuthorizationDetails", "ListRoles", "GetAccountSummary", "ListAccountAliases"];
/// What a page of IAM's lists holds at most.
const PAGE: usize = 1000;

fn role(name: &str, prod: &Account, user: &str) -> String {
    let permissions = format!("{{attachedPolicies: [ReadOnlyAccess], inlinePolicies: [{{name: list, json: '{LIST}'}}]}}");
    let fields = format!("description: reads, maxSessionDuration: 2h, tags: {{team: data}}, permissions: {permissions}");
    cross_account_role(name, prod, &format!("{{user: {{name: {user}}}}}"), &fields)
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

/// Changes a role in one of [`WAYS`], as the account's administrator.
async fn meddle(prod: &Account, name: &str, way: &str) -> Result<()> {
    const READ_ONLY: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    let (iam, other) = (&prod.iam, LIST.replace("s3:ListAllMyBuckets", "s3:*"));
    match way {
        "trust" => {
            let open = trust_policy(json!({"AWS": "*"}));
            iam.update_assume_role_policy().role_name(name).policy_document(open).send().await.map(drop)?;
        }
        "removed-inline" => iam.delete_role_policy().role_name(name).policy_name("list").send().await.map(drop)?,
        "added-inline" => iam.put_role_policy().role_name(name).policy_name("more").policy_document(LIST).send().await.map(drop)?,
        "changed-inline" => iam.put_role_policy().role_name(name).policy_name("list").policy_document(other).send().await.map(drop)?,
        "detached" => iam.detach_role_policy().role_name(name).policy_arn(READ_ONLY).send().await.map(drop)?,
        "attached" => iam.attach_role_policy().role_name(name).policy_arn("arn:aws:iam::aws:policy/IAMFullAccess").send().await.map(drop)?,
        "untagged" => iam.untag_role().role_name(name).tag_keys("team").send().await.map(drop)?,
        "retagged" => iam.tag_role().role_name(name).tags(tag("team", "other")?).send().await.map(drop)?,
        "description" => iam.update_role().role_name(name).description("writes").max_session_duration(7200).send().await.map(drop)?,
        "duration" => iam.update_role().role_name(name).description("reads").max_session_duration(43200).send().await.map(drop)?,
        "deleted" => {
            iam.delete_role_policy().role_name(name).policy_name("list").send().await?;
            iam.detach_role_policy().role_name(name).policy_arn(READ_ONLY).send().await?;
            iam.delete_role().role_name(name).send().await?;
        }
        other => bail!("nobody knows how a role is {other}"),
    }
    Ok(())
}

/// The calls that put so many roles right that were changed in each of [`WAYS`].
fn repairs(each: u64) -> Counts {
    let calls = [
        // changed, and of the deleted one, which lets nobody in before its policies are there
        ("UpdateAssumeRolePolicy", 2 * each),
        // removed, changed, and of the deleted one
        ("PutRolePolicy", 3 * each),
        ("DeleteRolePolicy", each),
        // detached, and of the deleted one
        ("AttachRolePolicy", 2 * each),
        ("DetachRolePolicy", each),
        // untagged, retagged
        ("TagRole", 2 * each),
        // description, duration
        ("UpdateRole", 2 * each),
        ("CreateRole", each),
    ];
    calls.map(|(operation, count)| (operation.to_owned(), count)).into()
}

/// The reads that come before those repairs, where each role whose trust policy was changed names a user of its own. How often those that are deleted are
/// looked for is left out: see [`reads_of_what_is_there`].
fn looks(each: u64) -> Counts {
    let there = (WAYS.len() as u64 - 1) * each;
    let of_roles = [
        ("GetRole", there),
        ("ListRolePolicies", there),
        // None where it was removed, two where one was added, one elsewhere
        ("GetRolePolicy", there),
        ("ListAttachedRolePolicies", there),
        // A policy that only denies would stay.
        ("GetPolicy", each),
        ("GetPolicyVersion", each),
    ];
    // A user that a trust policy does not name any more may have been renamed: who bears its name is looked at before it is trusted again. So is one that a
    // role names anew which is made again: by then it was last looked at more than a minute before.
    let of_users = ["GetUser", "ListUserPolicies", "GetUserPolicy", "ListAttachedUserPolicies"].map(|operation| (operation, 2 * each));
    of_roles.into_iter().chain(of_users).map(|(operation, count)| (operation.to_owned(), count)).collect()
}

/// The operator's reads in these accounts after call number `since`, but for those that look for roles that are deleted: these were made so short a time ago
/// that a role that is not shown may be there, so that each is looked for until it is certain that it is gone.
async fn reads_of_what_is_there(world: &World, accounts: &[&Account], since: u64) -> Result<Counts> {
    let (_, mut reads) = world.counts_in(accounts, since).await?;
    for account in accounts {
        let calls = world.calls_in(account, since).await?;
        let deleted = |call: &&Call| call.operation == "GetRole" && call.parameters.get("RoleName").is_some_and(|name| name.starts_with("deleted"));
        let looks = calls.iter().filter(deleted).count() as u64;
        reads.entry("GetRole".to_owned()).and_modify(|reads| *reads -= looks);
    }
    Ok(reads)
}

/// A trust policy that lets in this principal.
fn trust_policy(principal: Value) -> String {
    json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}}).to_string()
}

fn tag(key: &str, value: &str) -> Result<Tag> {
    Ok(Tag::builder().key(key).value(value).build()?)
}

/// How many users, roles and customer-managed policies there are.
fn entities(state: &AccountState) -> usize {
    state.users.len() + state.roles.len() + state.policies.len()
}

/// Makes what is nobody's here until the account has so many users, roles and customer-managed policies.
async fn fill(tenant: &Tenant<'_>, account: &Account, until: usize) -> Result<()> {
    let missing = until.saturating_sub(entities(&tenant.state(account).await?));
    let trust = trust_policy(json!({"Service": "ec2.amazonaws.com"}));
    let one = |n: usize| {
        let (iam, trust, name) = (&account.iam, trust.clone(), format!("foreign-{n}"));
        async move {
            match n % 10 {
                0..5 => {
                    iam.create_role().role_name(&name).assume_role_policy_document(trust).send().await?;
                    iam.put_role_policy().role_name(&name).policy_name("list").policy_document(LIST).send().await.map(drop)?;
                }
                5..9 => iam.create_user().user_name(&name).send().await.map(drop)?,
                _ => iam.create_policy().policy_name(&name).policy_document(LIST).send().await.map(drop)?,
            }
            anyhow::Ok(())
        }
    };
    stream::iter(0..missing).map(one).buffer_unordered(16).try_collect().await
}

async fn is_as_before(tenant: &Tenant<'_>, prod: &Account, before: &BTreeMap<String, Value>) -> Result<Seen<()>> {
    let now = by_name(&tenant.state(prod).await?);
    let differs: Vec<_> = before.iter().map(|(name, value)| (name, value, now.get(name))).filter(|(_, then, now)| *now != Some(*then)).collect();
    Ok(Seen::from_option(differs.is_empty().then_some(()), || format!("name, before and now: {differs:?}")))
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
    let names: Vec<&str> = WAYS.into_iter().chain(untouched.iter().map(String::as_str)).collect();
    tenant.apply(&names.iter().map(|name| role(name, &prod, "alice")).collect::<Vec<_>>().concat()).await?;
    tenant.apply(&bastion_user("alice", &utils, "")).await?;
    for name in &names {
        tenant.ready(&tenant.roles(), name).await?;
    }
    ensure!(first.terminate().await?.success());
    let before = by_name(&tenant.state(&prod).await?);
    for way in WAYS {
        meddle(&prod, way, way).await?;
    }
    // Roles that nobody declared: one that was ours and whose resource is gone, one of somebody else's that lets alice in.
    let alice = utils.arn("user/alice");
    let trust = trust_policy(json!({"AWS": alice}));
    let owner = format!("CrossAccountRole/{}/long-gone", tenant.namespace);
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
    tenant.quiet(Duration::from_secs(2)).await?;

    let (writes, _) = world.counts_in(&[&utils, &prod], since).await?;
    let reads = reads_of_what_is_there(&world, &[&utils, &prod], since).await?;
    assert_eq!(writes, repairs(1));
    // A direct look at each role that is not as declared; and two sweeps, of which the one finds no roles to ask for more about.
    let mut expected = looks(1);
    expected.extend(SWEEP.map(|operation| (operation.to_owned(), 2)));
    assert_eq!(reads, expected);
    let state = tenant.state(&prod).await?;
    ensure!(by_name(&state).contains_key("orphan") && by_name(&state).contains_key("side-door"), "neither is ours to delete: {state:?}");
    drop(second);
    Ok(())
}

#[tokio::test]
async fn of_a_thousand_entities_a_sweep_takes_four_calls_and_finds_the_fifty_that_somebody_changed() -> Result<()> {
    const EACH: usize = 4;
    let world = World::own().await?;
    let first = world.operator()?;
    let tenant = world.tenant().await?;
    let limits = "limits: {requestsPerSecond: 100, burst: 1000}";
    let prod = tenant.ready_account("prod", &format!("{limits}, sweep: {{interval: 10s}}")).await?;
    let changed: Vec<(String, &str)> = WAYS.iter().flat_map(|way| (0..EACH).map(move |n| (format!("{way}-{n}"), *way))).collect();
    let roles: Vec<String> = changed.iter().map(|(name, _)| name.clone()).chain((0..12).map(|n| format!("untouched-{n}"))).collect();
    let users: Vec<String> = (0..8).map(|n| format!("user-{n}")).collect();
    let of_roles = roles.iter().enumerate().map(|(n, name)| role(name, &prod, &users[n % users.len()]));
    let manifests: Vec<String> = users.iter().map(|name| bastion_user(name, &prod, "tags: {team: data}")).chain(of_roles).collect();
    tenant.apply(&manifests.concat()).await?;
    for name in &roles {
        tenant.ready(&tenant.roles(), name).await?;
    }
    for name in &users {
        tenant.ready(&tenant.users(), name).await?;
    }
    fill(&tenant, &prod, PAGE).await?;
    let state = tenant.state(&prod).await?;
    ensure!(entities(&state) == PAGE, "{} entities", entities(&state));
    let before = by_name(&state);
    let swept = |since: u64, times: u64| {
        let (world, prod) = (&world, &prod);
        world.testbed.wait_for("the account is swept", move || async move {
            let (_, reads) = world.counts_in(&[prod], since).await?;
            // The last call of a sweep.
            Ok(Seen::from_option((reads.get(SWEEP[3]) >= Some(&times)).then_some(()), || format!("{reads:?}")))
        })
    };
    swept(0, 1).await?;
    tenant.quiet(Duration::from_secs(1)).await?;
    ensure!(first.terminate().await?.success());

    // What was written a minute ago is not for a sweep to judge: a new operator has written nothing yet.
    let (since, told) = (world.last_call().await?, tenant.operator_writes().await?);
    let operator = world.operator()?;
    swept(since, 3).await?;
    let (writes, reads) = world.counts_in(&[&prod], since).await?;
    assert_eq!((writes, reads), (Counts::new(), SWEEP.map(|operation| (operation.to_owned(), 3)).into()));
    assert_eq!(tenant.operator_writes().await?, told, "a steady system writes nothing to Kubernetes");

    // One more sweep, which sees all that is changed now, and then none for an hour.
    tenant.apply(&prod.manifest(&tenant.only_here(), limits)).await?;
    let aws = &world.testbed.aws;
    let fault = aws.inject(&Fault::of(FaultKind::Hold, SWEEP[0])).await?;
    let held = || async {
        let held = aws.faults().await?.iter().any(|status| status.id == fault && status.held > 0);
        Ok(Seen::from_option(held.then_some(()), || "no sweep has begun".into()))
    };
    world.testbed.wait_for("the next sweep", held).await?;
    let since = world.last_call().await?;
    for (name, way) in &changed {
        meddle(&prod, name, way).await?;
    }
    let (sources, others) = (&users[..EACH], &users[EACH..EACH + 2]);
    prod.iam.delete_user_policy().user_name(&others[0]).policy_name(ASSUME_POLICY).send().await?;
    prod.iam.untag_user().user_name(&others[1]).tag_keys("team").send().await?;
    aws.release(fault).await?;
    world.testbed.wait_for("everything is as it was", || is_as_before(&tenant, &prod, &before)).await?;
    for (name, _) in &changed {
        tenant.ready(&tenant.roles(), name).await?;
    }
    world.testbed.wait_for("that is told", || told_repaired(&tenant, "removed-inline-0", "list")).await?;
    tenant.quiet(Duration::from_secs(2)).await?;

    let (writes, _) = world.counts_in(&[&prod], since).await?;
    let reads = reads_of_what_is_there(&world, &[&prod], since).await?;
    let mut expected = repairs(EACH as u64);
    expected.extend(once(&["PutUserPolicy", "TagUser"]));
    assert_eq!(writes, expected);
    let mut expected = looks(EACH as u64);
    expected.extend(once(&SWEEP));
    // One of the two users has no inline policy any more.
    for (operation, more) in [("GetUser", 2), ("ListUserPolicies", 2), ("GetUserPolicy", 1), ("ListAttachedUserPolicies", 2)] {
        *expected.entry(operation.to_owned()).or_default() += more;
    }
    assert_eq!(reads, expected);
    let calls = world.calls_in(&prod, since).await?;
    let name = |call: &Call| ["RoleName", "UserName"].iter().find_map(|parameter| call.parameters.get(*parameter).cloned());
    let asked_for: BTreeSet<String> = calls.iter().filter_map(name).collect();
    let is_deleted = |(_, name): &(usize, &String)| name.starts_with("deleted-");
    let named_anew = roles.iter().enumerate().filter(is_deleted).map(|(n, _)| &users[n % users.len()]);
    let concerned = changed.iter().map(|(name, _)| name).chain(sources).chain(others).chain(named_anew).cloned().collect();
    assert_eq!(asked_for, concerned, "nobody else was asked for");
    for (object, writes) in tenant.operator_writes().await? {
        if object.starts_with("events/") || told.get(&object) == Some(&writes) {
            continue;
        }
        // Only what was made anew has another unique ID to tell: that it is looked for, that it is lost, and that it is there again.
        let is_made_anew = object.starts_with("crossaccountroles/deleted-");
        ensure!(object == format!("awsaccounts/{}", prod.name) || is_made_anew, "{object}: {writes:?}");
        let more = writes.len() - told[&object].len();
        ensure!(if is_made_anew { (2..=3).contains(&more) } else { more == 1 }, "{object} was written {more} times: {writes:?}");
    }
    drop(operator);
    Ok(())
}

/// A list of an account that is empty, cut short or broken off says nothing of what it does not show.
#[tokio::test]
async fn row_57_what_a_bulk_read_does_not_show_is_read_directly_and_neither_made_anew_nor_deleted() -> Result<()> {
    const COUNT: u64 = 12;
    let world = World::own().await?;
    let first = world.operator()?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    let names: Vec<String> = (0..COUNT).map(|n| format!("reader-{n}")).collect();
    let roles: String = names.iter().map(|name| role(name, &prod, "alice")).collect();
    tenant.apply(&(bastion_user("alice", &utils, "") + &roles)).await?;
    for name in &names {
        tenant.ready(&tenant.roles(), name).await?;
    }
    tenant.ready(&tenant.users(), "alice").await?;
    first.terminate().await?;
    let (aws, before) = (&world.testbed.aws, world.testbed.aws.state().await?);
    let gate = AwsGate::start(aws.url()).await?;
    // Pages may be as short as AWS likes: only what each says of the next one counts.
    aws.set_page_size(1).await?;

    for (shown, breaks_off, read_directly) in [
        (Shown::All, false, 0..=0),
        (Shown::Nothing, false, COUNT..=COUNT),
        (Shown::FirstPage, false, COUNT - 1..=COUNT),
        (Shown::All, true, COUNT..=COUNT),
    ] {
        gate.show(shown);
        let fault = Fault::of(FaultKind::Truncate, "GetAccountAuthorizationDetails").in_account(&prod.id).nth(2).times(1_000);
        let fault = if breaks_off { Some(aws.inject(&fault).await?) } else { None };
        let since = world.last_call().await?;
        let operator = world.operator_through(&gate)?;
        let over = || async {
            let (_, reads) = world.counts_in(&[&prod], since).await?;
            let count = |operation: &str| reads.get(operation).copied().unwrap_or_default();
            let has_struck = aws.faults().await?.iter().any(|status| Some(status.id) == fault && status.hits > 0);
            // The last read of a sweep.
            let is_over = count("ListAccountAliases") > 0 || (breaks_off && has_struck);
            let done = is_over && count("GetRole") >= *read_directly.start();
            Ok(Seen::from_option(done.then_some(()), || format!("{shown:?}: {reads:?}")))
        };
        world.testbed.wait_for("the account is swept, and what that did not show is read", over).await?;
        tenant.quiet(std::time::Duration::from_secs(2)).await?;
        let (writes, reads) = world.counts_in(&[&utils, &prod], since).await?;
        ensure!(writes.is_empty(), "{shown:?}: {writes:?}");
        let direct = reads.get("GetRole").copied().unwrap_or_default();
        ensure!(read_directly.contains(&direct), "{shown:?}, {breaks_off}: {direct} roles were read by themselves");
        assert_eq!(aws.state().await?, before);
        for name in &names {
            tenant.ready(&tenant.roles(), name).await?;
        }
        let told = tenant.accounts().get(&prod.name).await?.status.context("no status")?;
        ensure!(told.orphans_total == 0, "{told:?}");
        aws.clear_faults().await?;
        operator.terminate().await?;
    }
    let events = tenant.events().await?;
    ensure!(!events.iter().any(|event| event["reason"] == "DriftRepaired"), "{events:?}");
    Ok(())
}
