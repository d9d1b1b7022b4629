//! What AWS, or an account's owner, puts on a user or role to describe or to restrict it: it stays, and is told.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_iam::types::Tag;
use rolebridge_testbed::Seen;
use serde_json::{Value, json};

use crate::support::{Account, Counts, Tenant, World, bastion_user, condition, cross_account_role, once, role, user};

const DENY: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}}"#;
const QUARANTINE: &str = "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV2";
const EVERYTHING: &str = "arn:aws:iam::aws:policy/AdministratorAccess";
/// What a sweep calls last.
const LAST_OF_A_SWEEP: &str = "ListAccountAliases";

fn tag(key: &str, value: &str) -> Result<Tag> {
    Ok(Tag::builder().key(key).value(value).build()?)
}

/// Waits until the account was swept so often after call number `since`.
async fn swept(world: &World, account: &Account, since: u64, times: u64) -> Result<()> {
    let seen = || async {
        let (_, reads) = world.counts_in(&[account], since).await?;
        Ok(Seen::from_option((reads.get(LAST_OF_A_SWEEP) >= Some(&times)).then_some(()), || format!("{reads:?}")))
    };
    world.testbed.wait_for("the account is swept", seen).await
}

/// The tags of a user, but for the owner tags.
async fn tags_of(tenant: &Tenant<'_>, account: &Account, name: &str) -> Result<Value> {
    let state = tenant.state(account).await?;
    let tags = user(&state, name).context("no user")?["tags"].as_object().context("no tags")?.clone();
    Ok(tags.into_iter().filter(|(key, _)| !key.starts_with("rolebridge.io/")).collect())
}

async fn has_tags(tenant: &Tenant<'_>, account: &Account, name: &str, wanted: &Value) -> Result<()> {
    let seen = || async {
        let there = tags_of(tenant, account, name).await?;
        Ok(Seen::from_option((there == *wanted).then_some(()), || there.to_string()))
    };
    tenant.world.testbed.wait_for("the tags are as they are to be", seen).await
}

/// The Events with this reason on an object of this name.
async fn told(tenant: &Tenant<'_>, reason: &str, name: &str) -> Result<Vec<String>> {
    let events = tenant.events().await?.into_iter().filter(|event| event["reason"] == reason && event["involvedObject"]["name"] == name);
    Ok(events.map(|event| event["message"].as_str().unwrap_or_default().to_owned()).collect())
}

#[tokio::test]
async fn case_03_the_description_of_an_access_key_stays_with_its_user() -> Result<()> {
    let world = World::own().await?;
    let operator = world.operator()?;
    let tenant = world.tenant().await?;
    let utils = tenant.ready_account("utils", "sweep: {interval: 10s}").await?;
    let many = |count: usize| (0..count).map(|n| format!("t{n}: x")).collect::<Vec<_>>().join(", ");
    let users = bastion_user("ci-uploader", &utils, "tags: {team: data}") + &bastion_user("full", &utils, &format!("tags: {{{}}}", many(46)));
    tenant.apply(&users).await?;
    for name in ["ci-uploader", "full"] {
        tenant.ready(&tenant.users(), name).await?;
    }
    // What was written a minute ago is not for a sweep to judge: a new operator has written nothing yet.
    ensure!(operator.terminate().await?.success());
    let mut keys = vec![];
    for name in ["ci-uploader", "full"] {
        let key = utils.iam.create_access_key().user_name(name).send().await?.access_key.context("no key")?.access_key_id;
        let description = tag(&key, "Uploads from the build host - until 2027")?;
        utils.iam.tag_user().user_name(name).tags(description).send().await?;
        keys.push(key);
    }
    utils.iam.tag_user().user_name("ci-uploader").tags(tag("team", "admins")?).tags(tag("extra", "x")?).send().await?;

    let since = world.last_call().await?;
    let operator = world.operator()?;
    let described = |mut tags: Value| {
        tags[&keys[0]] = json!("Uploads from the build host - until 2027");
        tags
    };
    has_tags(&tenant, &utils, "ci-uploader", &described(json!({"team": "data"}))).await?;
    swept(&world, &utils, since, 2).await?;
    swept(&world, &utils, world.last_call().await?, 2).await?;
    let (writes, _) = world.counts_in(&[&utils], since).await?;
    assert_eq!(writes, once(&["TagUser", "UntagUser"]), "put right once");
    let repaired = told(&tenant, "DriftRepaired", "ci-uploader").await?;
    ensure!(repaired.len() == 1 && repaired[0].contains("extra") && !repaired[0].contains(&keys[0]), "{repaired:?}");

    tenant.apply(&bastion_user("ci-uploader", &utils, "tags: {stage: test}")).await?;
    has_tags(&tenant, &utils, "ci-uploader", &described(json!({"stage": "test"}))).await?;
    tenant.ready(&tenant.users(), "ci-uploader").await?;
    let since = world.last_call().await?;
    utils.iam.delete_access_key().user_name("ci-uploader").access_key_id(&keys[0]).send().await?;
    swept(&world, &utils, since, 2).await?;
    assert_eq!(tags_of(&tenant, &utils, "ci-uploader").await?, described(json!({"stage": "test"})), "it stays until a person takes it off");

    // 47 tags, three that tell whose it is, and a description are more than a user can have.
    let since = world.last_call().await?;
    tenant.apply(&bastion_user("full", &utils, &format!("tags: {{{}}}", many(47)))).await?;
    let refused = tenant.concluded(&tenant.users(), "full", "QuotaExceeded").await?;
    crate::support::assert_told(&refused, "Stalled", &["51 tags", "IAM lets it have 50", "description of an access key"])?;
    swept(&world, &utils, since, 2).await?;
    let (writes, _) = world.counts_in(&[&utils], since).await?;
    assert_eq!(writes, Counts::new(), "nothing is tried in vain");
    utils.iam.untag_user().user_name("full").tag_keys(&keys[1]).send().await?;
    tenant.says(&tenant.users(), "full", &["as declared", "all 50 tags", "declare fewer"]).await?;
    operator.ensure_running()
}

/// A customer-managed policy of others that only denies.
async fn denial(account: &Account) -> Result<String> {
    let made = account.iam.create_policy().policy_name("frozen").policy_document(DENY).send().await?;
    made.policy.and_then(|policy| policy.arn).context("no ARN")
}

#[tokio::test]
async fn what_others_put_on_to_restrict_stays_is_told_and_costs_no_writes() -> Result<()> {
    let world = World::own().await?;
    let operator = world.operator()?;
    let tenant = world.tenant().await?;
    let utils = tenant.ready_account("utils", "sweep: {interval: 10s}").await?;
    let fenced = format!("permissions: {{inlinePolicies: [{{name: fence, json: '{DENY}'}}], attachedPolicies: [AWSDenyAll]}}");
    let users = bastion_user("alice", &utils, "permissions: {}") + &bastion_user("bob", &utils, "") + &bastion_user("carol", &utils, &fenced);
    tenant.apply(&(users + &cross_account_role("reader", &utils, "{user: {name: alice}}", ""))).await?;
    for name in ["alice", "bob", "carol"] {
        tenant.ready(&tenant.users(), name).await?;
    }
    tenant.ready(&tenant.roles(), "reader").await?;
    ensure!(operator.terminate().await?.success());
    let (limit, frozen) = ("arn:aws:iam::aws:policy/PowerUserAccess", denial(&utils).await?);
    utils.iam.put_user_policy().user_name("alice").policy_name("incident").policy_document(DENY).send().await?;
    for name in ["alice", "bob"] {
        utils.iam.attach_user_policy().user_name(name).policy_arn(QUARANTINE).send().await?;
    }
    utils.iam.put_user_permissions_boundary().user_name("bob").permissions_boundary(limit).send().await?;
    for policy in [frozen.as_str(), EVERYTHING] {
        utils.iam.attach_role_policy().role_name("reader").policy_arn(policy).send().await?;
    }

    let since = world.last_call().await?;
    let operator = world.operator()?;
    tenant.says(&tenant.users(), "alice", &["as declared", "inline policy incident", QUARANTINE, "an access key has leaked"]).await?;
    tenant.says(&tenant.users(), "bob", &["as declared", QUARANTINE, limit, "spec.permissionsBoundaryARN"]).await?;
    tenant.says(&tenant.roles(), "reader", &["as declared", &frozen, "stays until somebody detaches it"]).await?;
    swept(&world, &utils, since, 2).await?;
    tenant.quiet(Duration::from_secs(1)).await?;
    let (writes, reads) = world.counts_in(&[&utils], since).await?;
    assert_eq!(writes, once(&["DetachRolePolicy"]), "only what allows something goes");
    // Of AWS's policy the document, and of the other one its tags, too.
    let counts = ["GetPolicy", "GetPolicyVersion", "ListPolicyVersions", "GetRole", "GetUser"].map(|operation| reads.get(operation).copied());
    assert_eq!(counts, [Some(2), Some(2), Some(1), Some(1), None], "{reads:?}");
    let statuses = [tenant.users().get("alice").await?, tenant.users().get("bob").await?].map(|user| user.status.unwrap_or_default());
    assert_eq!(statuses[0].unmanaged_policies, ["incident", QUARANTINE]);
    assert_eq!(statuses[1].unmanaged_policies, [QUARANTINE, limit]);
    for name in ["alice", "bob", "reader"] {
        let events = told(&tenant, "RestrictedByOthers", name).await?;
        ensure!(events.len() == 1 && events[0].contains("stays until somebody"), "{name}: {events:?}");
    }
    let alice = tenant.users().get("alice").await?;
    ensure!(condition(&alice, "Ready").is_some_and(|ready| ready.status == "True"));

    // From now on the sweeps alone look.
    let (since, before) = (world.last_call().await?, tenant.operator_writes().await?);
    swept(&world, &utils, since, 3).await?;
    let (writes, reads) = world.counts_in(&[&utils], since).await?;
    assert_eq!(writes, Counts::new());
    ensure!(reads.keys().all(|operation| !operation.starts_with("GetPolicy") && operation != "GetUser" && operation != "GetRole"), "{reads:?}");
    assert_eq!(tenant.operator_writes().await?, before, "a steady system writes nothing to Kubernetes");

    // What the resource declared itself goes when it is declared no more.
    tenant.apply(&bastion_user("carol", &utils, "permissions: {}")).await?;
    tenant.ready(&tenant.users(), "carol").await?;
    let state = tenant.state(&utils).await?;
    let carol = user(&state, "carol").context("no user")?;
    assert_eq!((&carol["inlinePolicies"], &carol["attachedPolicies"]), (&json!({}), &json!([])));

    // A person takes it off, and nothing is told any more.
    utils.iam.delete_user_policy().user_name("alice").policy_name("incident").send().await?;
    utils.iam.detach_user_policy().user_name("alice").policy_arn(QUARANTINE).send().await?;
    let quiet = || async {
        let alice = tenant.users().get("alice").await?;
        let message = condition(&alice, "Ready").map(|ready| ready.message.clone()).unwrap_or_default();
        let is_quiet = message == "as declared" && alice.status.is_some_and(|status| status.unmanaged_policies.is_empty());
        Ok(Seen::from_option(is_quiet.then_some(()), || message))
    };
    world.testbed.wait_for("nothing is told any more", quiet).await?;
    let there: BTreeMap<&str, Value> =
        [("bob", user(&state, "bob")), ("reader", role(&state, "reader"))].into_iter().filter_map(|(n, o)| Some((n, o?.clone()))).collect();
    let state = tenant.state(&utils).await?;
    assert_eq!((user(&state, "bob"), role(&state, "reader")), (there.get("bob"), there.get("reader")), "the others stay");
    operator.ensure_running()
}
