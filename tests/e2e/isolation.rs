//! Accounts do not disturb each other: one that is throttled, one that is closed and one that is slow hold up nobody but themselves.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use rolebridge::api::Managed;
use rolebridge_testbed::{
    AwsSim, Call, Seen,
    aws_sim::{Fault, FaultKind, RateLimit, Throttling},
};
use serde_json::json;

use crate::{
    invariants::says_ready,
    support::{Account, Counts, Tenant, World, assert_told, bastion_user, cross_account_role, management_role, manifest, role, trusted, user},
};

const HEALTHY: usize = 7;
/// Roles in each account beside the one that has sources: in those that are in trouble, more than an account may have under way at once.
const FURTHER_ROLES: usize = 24;
/// How long the slow account takes for every answer.
const SLOWNESS: Duration = Duration::from_secs(20);
/// `spec.limits.concurrency` of an account that does not say: so many pieces of work may wait for it.
const PLACES: u64 = 8;
/// A pause between two looks at who waits.
const LOOK: Duration = Duration::from_millis(100);

/// A user and a role of an account with a grant between them, and further roles.
fn declaration(account: &Account, further: usize) -> String {
    let name = |what: &str| format!("{what}-{}", account.name);
    let reader = cross_account_role(&name("reader"), account, &format!("{{user: {{name: {}}}}}", name("alice")), "");
    let further = (0..further).map(|i| cross_account_role(&name(&format!("further-{i}")), account, "", ""));
    bastion_user(&name("alice"), account, "") + &reader + &further.collect::<String>()
}

/// Users and roles of these accounts that are Ready as they are declared now, and all that there are.
async fn ready_of(tenant: &Tenant<'_>, accounts: &[&Account]) -> Result<(Vec<String>, usize)> {
    let everything = Default::default();
    let (users, roles) = (tenant.users().list(&everything).await?, tenant.roles().list(&everything).await?);
    let in_these = |name: &str| accounts.iter().any(|account| account.name == name);
    let (mut ready, mut all) = (vec![], 0);
    for user in users.iter().filter(|user| in_these(&user.spec.account_ref.name)) {
        note(user, &mut ready, &mut all);
    }
    for role in roles.iter().filter(|role| in_these(&role.spec.account_ref.name)) {
        note(role, &mut ready, &mut all);
    }
    Ok((ready, all))
}

fn note<K: Managed + Debug>(object: &K, ready: &mut Vec<String>, all: &mut usize) {
    *all += 1;
    if says_ready(object) {
        ready.push(object.name_any());
    }
}

async fn all_ready(tenant: &Tenant<'_>, accounts: &[&Account]) -> Result<()> {
    for account in accounts {
        tenant.ready(&tenant.accounts(), &account.name).await?;
    }
    let seen = || async {
        let (ready, all) = ready_of(tenant, accounts).await?;
        Ok(Seen::from_option((ready.len() == all).then_some(()), || format!("{} of {all} are Ready: {ready:?}", ready.len())))
    };
    tenant.world.testbed.wait_for("the users and roles of all these accounts are Ready", seen).await
}

async fn assert_still_in_trouble(tenant: &Tenant<'_>, accounts: &[&Account]) -> Result<()> {
    let (ready, _) = ready_of(tenant, accounts).await?;
    ensure!(ready.is_empty(), "these were to be waited for, and are Ready: {ready:?}");
    Ok(())
}

/// Answers what the account is asked, each time after a long while. Ends where more wait for an answer than may: others could do their work.
async fn answer_slowly(aws: &AwsSim, fault: u64) -> Result<()> {
    let mut asked = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let waiting = aws.faults().await?.into_iter().find(|status| status.id == fault).context("nothing is held any more")?.held;
        ensure!(waiting <= PLACES, "{waiting} pieces of work wait for the slow account");
        if asked.elapsed() >= SLOWNESS {
            aws.release(fault).await?;
            asked = Instant::now();
        }
    }
}

/// As an account is whose management role somebody has changed.
async fn close(account: &Account) -> Result<()> {
    let trust = json!({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}});
    account.iam.update_assume_role_policy().role_name("rolebridge").policy_document(trust.to_string()).send().await?;
    Ok(())
}

async fn reopen(world: &World, account: &Account) -> Result<()> {
    let [trust, _] = management_role(&account.id, &world.operator_arn(), &account.external_id, None)?;
    account.iam.update_assume_role_policy().role_name("rolebridge").policy_document(trust).send().await?;
    Ok(())
}

/// The time between the first of these calls and the last.
fn seconds_of(calls: &[Call]) -> Result<f64> {
    let at = |call: Option<&Call>| -> Result<jiff::Timestamp> { Ok(call.context("no call")?.at.parse()?) };
    Ok((at(calls.last())? - at(calls.first())?).total(jiff::Unit::Second)?)
}

/// How many calls a number of objects may make in an account that answers none of them, by the time between the first and the last: with pauses
/// of half a second that double each time, and a few wakes by what happens around them.
fn patient(calls: &[Call], objects: usize) -> Result<usize> {
    let doublings = (1.0 + seconds_of(calls)? / 0.375).log2().ceil();
    Ok(objects * (4 + doublings as usize))
}

#[tokio::test]
async fn accounts_in_trouble_hold_up_nobody_else() -> Result<()> {
    let world = World::own().await?;
    let operator = world.operator()?;
    let tenant = world.tenant().await?;
    let aws = &world.testbed.aws;
    // Two of them get into trouble when they have been found in order; into the third there was no way from the beginning.
    let (throttled, slow, closed) =
        (tenant.ready_account("throttled", "").await?, tenant.ready_account("slow", "").await?, tenant.account("closed").await?);
    close(&closed).await?;
    let mut healthy = vec![];
    for i in 0..HEALTHY {
        healthy.push(tenant.account(&format!("healthy-{i}")).await?);
    }
    let (healthy, troubled): (Vec<&Account>, _) = (healthy.iter().collect(), [&throttled, &slow, &closed]);
    let always = u64::from(u32::MAX);
    let throttling = aws.inject(&Fault::error("*", "Throttling", 400).in_account(&throttled.id).times(always)).await?;
    let slowness = aws.inject(&Fault::of(FaultKind::Hold, "*").in_account(&slow.id).times(always)).await?;
    let since = world.last_call().await?;

    let everybody_but_them = async {
        let first: String = troubled.iter().map(|account| declaration(account, FURTHER_ROLES)).collect();
        let here = tenant.only_here();
        let accounts: String = [&closed].into_iter().chain(healthy.iter().copied()).map(|account| account.manifest(&here, "")).collect();
        let then: String = healthy.iter().map(|account| declaration(account, 1)).collect();
        tenant.apply(&(first + &accounts + &then)).await?;
        all_ready(&tenant, &healthy).await?;
        assert_still_in_trouble(&tenant, &troubled).await?;
        // Each of them with exactly the calls that it takes where nothing is wrong.
        let (writes, _) = world.counts_in(&healthy, since).await?;
        let each = |count: usize| (HEALTHY * count) as u64;
        let wanted = [("CreateRole", 2), ("CreateUser", 1), ("PutUserPolicy", 1)].map(|(operation, count)| (operation.to_owned(), each(count)));
        ensure!(writes == Counts::from(wanted), "{writes:?}");

        // Who is to lose a role loses it meanwhile.
        let account = healthy[0];
        let (alice, reader) = (format!("alice-{}", account.name), format!("reader-{}", account.name));
        tenant.apply(&cross_account_role(&reader, account, "", "")).await?;
        all_ready(&tenant, &[account]).await?;
        let revoked = || async {
            let state = tenant.state(account).await?;
            let trusts = role(&state, &reader).map(trusted).context("the role is gone")?;
            let policies = user(&state, &alice).context("the user is gone")?["inlinePolicies"].to_string();
            let done = trusts.is_empty() && !policies.contains(&reader);
            Ok(Seen::from_option(done.then_some(()), || format!("trusted: {trusts:?}, policies: {policies}")))
        };
        world.testbed.wait_for("the user has lost the role", revoked).await?;
        assert_still_in_trouble(&tenant, &troubled).await
    };
    tokio::select! {
        result = everybody_but_them => world.testbed.explain(result)?,
        result = answer_slowly(aws, slowness) => return result,
    }

    // They were in trouble indeed, and the one that asks for patience was asked with patience.
    let hits = |id: u64| async move { anyhow::Ok(aws.faults().await?.into_iter().find(|fault| fault.id == id).context("no fault")?.hits) };
    let (throttled_objects, slow_hits) = (FURTHER_ROLES + 2, hits(slowness).await?);
    ensure!(hits(throttling).await? >= FURTHER_ROLES as u64 && slow_hits > 0, "not every resource has tried");
    let calls = world.calls_in(&throttled, since).await?;
    let most = patient(&calls, throttled_objects)?;
    ensure!(calls.len() <= most, "{} calls to the throttled account, of at most {most}", calls.len());
    let refused = aws.calls(since).await?.into_iter().filter(|call| call.operation == "AssumeRole" && call.code.as_deref() == Some("AccessDenied"));
    ensure!(refused.count() > 0, "nobody was refused by the closed account");

    aws.clear_faults().await?;
    reopen(&world, &closed).await?;
    all_ready(&tenant, &troubled).await?;
    operator.ensure_running()
}

#[tokio::test]
async fn row_54_many_resources_of_a_throttled_account_ask_with_patience_and_deletions_go_on() -> Result<()> {
    const NEW: usize = 60;
    const GOING: usize = 8;
    const PER_SECOND: usize = 10;
    const UNDER_WAY: usize = 2;
    let world = World::own().await?;
    let operator = world.operator()?;
    let (tenant, aws) = (world.tenant().await?, &world.testbed.aws);
    let limits = format!("limits: {{requestsPerSecond: {PER_SECOND}, burst: {PER_SECOND}, concurrency: {UNDER_WAY}}}");
    let prod = tenant.ready_account("prod", &limits).await?;
    let roles = |what: &str, count: usize| (0..count).map(|i| cross_account_role(&format!("{what}-{i}"), &prod, "", "")).collect::<String>();
    tenant.apply(&roles("going", GOING)).await?;
    all_ready(&tenant, &[&prod]).await?;

    // AWS takes few writes, and for now none by which a role is made.
    aws.set_throttling(&prod.id, Throttling { iam_write: Some(RateLimit { rate: 5.0, burst: 5 }), ..Throttling::default() }).await?;
    let creation = aws.inject(&Fault::error("CreateRole", "Throttling", 400).in_account(&prod.id).times(u64::from(u32::MAX))).await?;
    let since = world.last_call().await?;
    tenant.apply(&roles("new", NEW)).await?;
    let all_asked = || async {
        let hits = aws.faults().await?.iter().find(|fault| fault.id == creation).map_or(0, |fault| fault.hits);
        Ok(Seen::from_option((hits >= NEW as u64).then_some(()), || format!("{hits} calls were throttled")))
    };
    world.testbed.wait_for("as many calls were throttled as there are new roles", all_asked).await?;
    // What the bucket holds, what comes back in that time, and what was begun and ends on credit.
    let calls = world.calls_in(&prod, since).await?;
    let most = PER_SECOND + (PER_SECOND as f64 * seconds_of(&calls)?).ceil() as usize + 10 * UNDER_WAY;
    ensure!(calls.len() <= most, "{} calls in {} s, of at most {most}", calls.len(), seconds_of(&calls)?);
    let going: Vec<String> = (0..GOING).map(|i| format!("crossaccountrole/going-{i}")).collect();
    tenant.delete(&going.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let state = tenant.state(&prod).await?;
    ensure!((0..GOING).all(|i| role(&state, &format!("going-{i}")).is_none()), "what was to go is there: {:?}", state.roles);
    assert_still_in_trouble(&tenant, &[&prod]).await?;
    let told = tenant.concluded(&tenant.roles(), "new-0", "AWSUnavailable").await?;
    assert_told(&told, "Reconciling", &["Throttling"])?;

    let calls = world.calls_in(&prod, since).await?;
    let most = patient(&calls, NEW + GOING)?;
    ensure!(calls.len() <= most, "{} calls, of at most {most}", calls.len());

    aws.clear_faults().await?;
    all_ready(&tenant, &[&prod]).await?;
    let calls = world.calls_in(&prod, since).await?;
    let made = calls.iter().filter(|call| call.operation == "CreateRole" && call.status == 200).count();
    assert_eq!(made, NEW);
    let (count, most) = (calls.len(), patient(&calls, NEW + GOING)?);
    ensure!(count <= most, "{count} calls, of at most {most}");
    operator.ensure_running()
}

/// Whoever may write resources in a namespace that no account allows can put our finalizer on them and delete them.
#[tokio::test]
async fn what_was_never_admitted_costs_few_reads_when_it_is_deleted_and_others_have_their_turns() -> Result<()> {
    const OBJECTS: usize = 60;
    let world = World::own().await?;
    let _operator = world.operator()?;
    let (owner, stranger) = (world.tenant().await?, world.tenant().await?);
    let prod = owner.ready_account("prod", "limits: {requestsPerSecond: 20, burst: 20}").await?;
    owner.apply(&manifest("CrossAccountRole", "first", &format!("{{accountRef: {{name: {}}}, trust: []}}", prod.name))).await?;
    owner.ready(&owner.roles(), "first").await?;
    let since = world.last_call().await?;
    let objects: String = (0..OBJECTS)
        .map(|n| {
            let spec = format!("{{accountRef: {{name: {}}}, trust: []}}", prod.name);
            manifest("CrossAccountRole", &format!("fake-{n}"), &spec).replace("metadata: {", "metadata: {finalizers: [rolebridge.io/finalizer], ")
        })
        .collect();
    stranger.apply(&objects).await?;
    world.testbed.kubectl(&["delete", "crossaccountroles", "--all", "--wait=false", "--namespace", &stranger.namespace]).await?;
    owner.apply(&manifest("CrossAccountRole", "second", &format!("{{accountRef: {{name: {}}}, trust: []}}", prod.name))).await?;
    let declared = world.last_call().await?;
    owner.ready(&owner.roles(), "second").await?;
    let calls = world.calls_in(&prod, declared).await?;
    let foreign = calls.iter().filter(|call| call.parameters.values().any(|value| value.contains("fake-"))).count();
    // Each of them waits for two minutes for what another process may have made, and asks again and again.
    ensure!(foreign <= OBJECTS, "{foreign} foreign calls came before those of the owner");
    let gone = || async {
        let left = stranger.roles().list(&kube::api::ListParams::default()).await?.items.len();
        Ok(Seen::from_option((left == 0).then_some(()), || format!("{left} are left")))
    };
    world.testbed.wait_for("what was never admitted is gone", gone).await?;
    // Nobody knows what another process may have made a moment ago, so each is looked for again and again for two minutes.
    let calls = world.calls_in(&prod, since).await?;
    let of_theirs: Vec<&Call> = calls.iter().filter(|call| call.parameters.values().any(|value| value.contains("fake-"))).collect();
    ensure!(of_theirs.iter().all(|call| call.operation == "GetRole"), "they are read and nothing else");
    ensure!(of_theirs.len() <= 10 * OBJECTS, "{} reads of {OBJECTS} objects", of_theirs.len());
    Ok(())
}

/// How many calls one resource makes until it is Ready, at most.
const OWN_CALLS: usize = 8;

#[tokio::test]
async fn one_of_a_namespace_waits_for_few_calls_of_another_with_hundreds() -> Result<()> {
    const OBJECTS: usize = 200;
    let world = World::own().await?;
    let _operator = world.operator()?;
    let (busy, other) = (world.tenant().await?, world.tenant().await?);
    let prod = busy.account("prod").await?;
    let both = format!("{{from: Names, names: [{}, {}]}}", busy.namespace, other.namespace);
    busy.apply(&prod.manifest(&both, "limits: {requestsPerSecond: 10, burst: 10}")).await?;
    busy.ready(&busy.accounts(), &prod.name).await?;
    let role = |name: &str| manifest("CrossAccountRole", name, &format!("{{accountRef: {{name: {}}}, trust: []}}", prod.name));
    busy.apply(&(0..OBJECTS).map(|n| role(&format!("busy-{n}"))).collect::<String>()).await?;
    let at_work = || async {
        let made = busy.state(&prod).await?.roles.len();
        Ok(Seen::from_option((made >= 10).then_some(()), || format!("{made} roles are made")))
    };
    world.testbed.wait_for("the busy namespace is at work", at_work).await?;
    let is_foreign = |call: &Call| call.parameters.values().any(|value| value.contains("busy-"));
    // Made, and deleted again while the others go on: neither waits for more than what is under way and a turn of the other for each of its own.
    for delete in [false, true] {
        let since = world.last_call().await?;
        if delete {
            other.delete(&["crossaccountrole/single"]).await?;
        } else {
            other.apply(&role("single")).await?;
            other.ready(&other.roles(), "single").await?;
        }
        let calls = world.calls_in(&prod, since).await?;
        let foreign = calls.iter().filter(|call| is_foreign(call)).count();
        println!("delete {delete}: {foreign} foreign calls of {}", calls.len());
        ensure!(foreign > 0, "the others are at work");
        ensure!(foreign <= 2 * (OWN_CALLS + PLACES as usize), "{foreign} foreign calls came before those of a single resource");
    }
    Ok(())
}

#[tokio::test]
async fn a_namespace_takes_no_more_than_its_places() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "guardrails: {quotas: {roles: 2}}").await?;
    let role = |name: &str| manifest("CrossAccountRole", name, &format!("{{accountRef: {{name: {}}}, trust: []}}", prod.name));
    for name in ["first", "second"] {
        tenant.apply(&role(name)).await?;
        tenant.ready(&tenant.roles(), name).await?;
    }
    tenant.apply(&role("third")).await?;
    let refused = tenant.concluded(&tenant.roles(), "third", "NamespaceQuotaExceeded").await?;
    assert_told(&refused, "Stalled", &[&tenant.namespace, &prod.name, "guardrails.quotas.roles", "2", "platform administrator"])?;
    ensure!(!format!("{:?}", tenant.state(&prod).await?.roles).contains("third"), "nothing was made for it");
    tenant.delete(&["crossaccountrole/first"]).await?;
    tenant.ready(&tenant.roles(), "third").await?;
    Ok(())
}
