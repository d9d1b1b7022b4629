//! What is refused by a condition, with no call to the account that it would concern, and what keeps what stands while something is
//! wrong. "Row" is a row of the table of bad inputs that the project keeps.

use anyhow::{Context, Result, ensure};
use rolebridge_testbed::{
    Seen,
    aws_sim::{Fault, FaultKind},
    wait_for_absence,
};
use serde_json::{Value, json};

use crate::support::{
    Account, LIST, READ, Tenant, World, assert_told, bastion_user, condition, config_map, cross_account_role, manifest, new_key, once, role, trusted,
    user,
};

const ALICE: &str = "{user: {name: alice}}";

async fn assert_untouched(world: &World, accounts: &[&Account]) -> Result<()> {
    for account in accounts {
        let calls = world.calls_in(account, 0).await?;
        ensure!(calls.is_empty(), "the operator called IAM of {}: {calls:#?}", account.name);
    }
    Ok(())
}

#[tokio::test]
async fn row_02_an_account_that_is_not_registered_is_waited_for() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let utils = tenant.account("utils").await?;
    tenant.apply(&(bastion_user("alice", &utils, "") + &cross_account_role("reader", &utils, ALICE, ""))).await?;
    let waiting = tenant.concluded(&tenant.users(), "alice", "AccountNotFound").await?;
    assert_told(&waiting, "Reconciling", &[&utils.name])?;
    assert_eq!(condition(&waiting, "AccountReady").map(|condition| condition.status.as_str()), Some("False"));
    let waiting = tenant.concluded(&tenant.roles(), "reader", "AccountNotFound").await?;
    assert_told(&waiting, "Reconciling", &[&utils.name])?;
    assert_untouched(world, &[&utils]).await?;

    tenant.apply(&utils.manifest("{from: All}", "")).await?;
    tenant.ready(&tenant.roles(), "reader").await.map(drop)
}

#[tokio::test]
async fn row_03_a_namespace_that_is_not_allowed_is_refused() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let utils = tenant.account("utils").await?;
    tenant.apply(&utils.manifest("{from: Selector, selector: {matchLabels: {e2e/allowed: 'yes'}}}", "")).await?;
    tenant.ready(&tenant.accounts(), &utils.name).await?;
    tenant.apply(&(bastion_user("alice", &utils, "") + &cross_account_role("reader", &utils, ALICE, ""))).await?;
    let refused = tenant.concluded(&tenant.users(), "alice", "NamespaceNotAllowed").await?;
    assert_told(&refused, "Stalled", &[&utils.name, &tenant.namespace, "allowedNamespaces"])?;
    let refused = tenant.concluded(&tenant.roles(), "reader", "NamespaceNotAllowed").await?;
    assert_told(&refused, "Stalled", &[&utils.name, &tenant.namespace, "allowedNamespaces"])?;
    assert_untouched(world, &[&utils]).await?;

    world.testbed.kubectl(&["label", "namespace", &tenant.namespace, "e2e/allowed=yes"]).await?;
    tenant.ready(&tenant.roles(), "reader").await.map(drop)
}

/// What "frozen" means: who has access keeps it and nobody gains any, while withdrawal and deletion go on.
#[tokio::test]
async fn row_04_a_namespace_that_is_no_longer_allowed_is_frozen_and_can_still_withdraw_and_delete() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    let inline = |document: &str| format!("permissions: {{inlinePolicies: [{{name: p, json: '{document}'}}]}}");
    let naming = |users: &[&str]| users.iter().map(|name| format!("{{user: {{name: {name}}}}}")).collect::<Vec<_>>().join(", ");
    let reader = |users: &[&str], document: &str| cross_account_role("reader", &prod, &naming(users), &inline(document));
    let users = ["alice", "bob", "carol"].map(|name| bastion_user(name, &utils, "")).concat();
    let others = ["leaving", "lost"].map(|name| cross_account_role(name, &prod, &naming(&["alice"]), "")).concat();
    tenant.apply(&(users.clone() + &reader(&["alice", "bob"], LIST) + &others)).await?;
    for name in ["reader", "leaving", "lost"] {
        tenant.ready(&tenant.roles(), name).await?;
    }
    for name in ["alice", "bob", "carol"] {
        tenant.ready(&tenant.users(), name).await?;
    }
    let keys = [new_key(&utils.iam, "alice").await?, new_key(&utils.iam, "bob").await?, new_key(&utils.iam, "carol").await?];
    let arn = prod.arn("role/reader");
    let may = async |who: &[usize]| -> Result<Vec<bool>> {
        let mut may = vec![];
        for who in who {
            may.push(world.may_assume(&keys[*who], &arn).await?);
        }
        Ok(may)
    };
    let (alice, bob, carol) = (0, 1, 2);
    assert_eq!(may(&[alice, bob, carol]).await?, [true, true, false]);

    let before = (tenant.state(&utils).await?, tenant.state(&prod).await?);
    let elsewhere = "{from: Names, names: [elsewhere]}";
    tenant.apply(&(utils.manifest(elsewhere, "") + &prod.manifest(elsewhere, ""))).await?;
    for name in ["alice", "bob", "carol"] {
        let told = tenant.concluded(&tenant.users(), name, "NamespaceNotAllowed").await?;
        assert_told(&told, "Stalled", &[&utils.name, &tenant.namespace, "spec.allowedNamespaces"])?;
    }
    for name in ["reader", "leaving", "lost"] {
        let told = tenant.concluded(&tenant.roles(), name, "NamespaceNotAllowed").await?;
        assert_told(&told, "Stalled", &[&prod.name, &tenant.namespace, "spec.allowedNamespaces"])?;
    }
    assert_eq!((tenant.state(&utils).await?, tenant.state(&prod).await?), before);

    // What widens is told and not done: another user, other permissions, further objects, and one anew that somebody deleted. What narrows is done.
    prod.iam.delete_role().role_name("lost").send().await?;
    let late = cross_account_role("late", &prod, &naming(&["alice"]), "") + &bastion_user("dave", &utils, "");
    let touched = cross_account_role("lost", &prod, &naming(&["alice"]), "description: touched");
    tenant.apply(&(reader(&["alice", "carol"], READ) + &late + &touched)).await?;
    for name in ["reader", "late", "lost"] {
        tenant.concluded(&tenant.roles(), name, "NamespaceNotAllowed").await?;
    }
    tenant.concluded(&tenant.users(), "dave", "NamespaceNotAllowed").await?;
    let withdrawn = || async {
        let policies = user(&tenant.state(&utils).await?, "bob").context("no user")?["inlinePolicies"].clone();
        Ok(Seen::from_option((!policies.to_string().contains(&arn)).then_some(()), || policies.to_string()))
    };
    world.testbed.wait_for("bob has no right to assume the role any more", withdrawn).await?;
    assert_eq!(may(&[alice, bob, carol]).await?, [true, false, false]);
    let (in_utils, in_prod) = (tenant.state(&utils).await?, tenant.state(&prod).await?);
    let frozen = role(&in_prod, "reader").context("no role")?;
    assert_eq!(trusted(frozen), [utils.arn("user/alice")]);
    assert_eq!(frozen["inlinePolicies"], role(&before.1, "reader").context("no role")?["inlinePolicies"]);
    ensure!(role(&in_prod, "late").is_none() && role(&in_prod, "lost").is_none() && user(&in_utils, "dave").is_none());
    assert_eq!(user(&in_utils, "carol"), user(&before.0, "carol"));

    tenant.delete(&["crossaccountrole/leaving", "crossaccountrole/late", "bastionuser/dave"]).await?;
    ensure!(role(&tenant.state(&prod).await?, "leaving").is_none());
    tenant.delete(&["bastionuser/bob"]).await?;
    ensure!(user(&tenant.state(&utils).await?, "bob").is_none());
    assert_eq!(may(&[alice, carol]).await?, [true, false]);

    tenant.apply(&(utils.manifest(&tenant.only_here(), "") + &prod.manifest(&tenant.only_here(), ""))).await?;
    for name in ["reader", "lost"] {
        tenant.ready(&tenant.roles(), name).await?;
    }
    for name in ["alice", "carol"] {
        tenant.ready(&tenant.users(), name).await?;
    }
    assert_eq!(may(&[alice, carol]).await?, [true, true]);
    let state = tenant.state(&prod).await?;
    assert_eq!(role(&state, "reader").context("no role")?["inlinePolicies"]["p"], serde_json::from_str::<Value>(READ)?);
    Ok(())
}

#[tokio::test]
async fn row_07_no_trust_reaches_into_another_partition() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (gov, prod) = (tenant.account("gov").await?, tenant.ready_account("prod", "guardrails: {accountRootTrust: true}").await?);
    let access = format!("{{assumeRole: {{roleARN: 'arn:aws-us-gov:iam::{}:role/rolebridge'}}}}", gov.id);
    let spec = format!("{{accountID: '{}', partition: aws-us-gov, access: {access}, allowedNamespaces: {}}}", gov.id, tenant.only_here());
    tenant.apply(&manifest("AWSAccount", &gov.name, &spec)).await?;
    let by_account = cross_account_role("by-account", &prod, &format!("{{account: {}}}", gov.name), "");
    tenant.apply(&(bastion_user("alice", &gov, "") + &cross_account_role("by-user", &prod, ALICE, "") + &by_account)).await?;
    for name in ["by-user", "by-account"] {
        let refused = tenant.concluded(&tenant.roles(), name, "PartitionMismatch").await?;
        assert_told(&refused, "Stalled", &["aws-us-gov", "no trust is possible"])?;
    }
    assert_untouched(world, &[&gov, &prod]).await
}

#[tokio::test]
async fn row_35_a_user_of_another_namespace_must_be_shared() -> Result<()> {
    let world = World::with_operator().await?;
    let (people, tenant) = (world.tenant().await?, world.tenant().await?);
    let (utils, prod) = (people.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    let reader = |fields: &str| cross_account_role("reader", &prod, &format!("{{user: {{name: alice, namespace: {}}}}}", people.namespace), fields);
    tenant.apply(&reader("")).await?;
    let missing = tenant.concluded(&tenant.roles(), "reader", "SourceNotAllowed").await?;
    people.apply(&bastion_user("alice", &utils, "")).await?;
    people.ready(&people.users(), "alice").await?;
    tenant.apply(&reader("description: looked at again")).await?;
    let refused = tenant.concluded(&tenant.roles(), "reader", "SourceNotAllowed").await?;
    let told = |role| condition(role, "Ready").map(|ready| ready.message.clone());
    assert_eq!(told(&missing), told(&refused), "who may not name a user is not told whether there is one");
    assert_told(&refused, "Stalled", &[&format!("{}/alice", people.namespace), &tenant.namespace, "allowRolesFrom"])?;
    assert_untouched(world, &[&prod]).await?;
    let (writes, _) = world.counts_in(&[&utils], 0).await?;
    assert_eq!(writes, once(&["CreateUser"]), "the user gets no assume policy for a role that may not name it");

    people.apply(&bastion_user("alice", &utils, &format!("allowRolesFrom: {{from: Names, names: [{}]}}", tenant.namespace))).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    ensure!(world.may_assume(&new_key(&utils.iam, "alice").await?, &prod.arn("role/reader")).await?);
    Ok(())
}

#[tokio::test]
async fn an_account_that_is_another_than_declared_is_not_worked_in() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (declared, elsewhere) = (tenant.account("declared").await?, tenant.account("elsewhere").await?);
    let other_role = format!("{{assumeRole: {{roleARN: '{}', externalID: '{}'}}}}", elsewhere.management_role(), elsewhere.external_id);
    let spec = |access: &str| format!("{{accountID: '{}', access: {access}, allowedNamespaces: {}}}", declared.id, tenant.only_here());
    let refused = tenant.apply(&manifest("AWSAccount", &declared.name, &spec(&other_role))).await.err().context("another account's role is taken")?;
    ensure!(format!("{refused:#}").contains("the management role is in the account itself"), "{refused:#}");
    // The operator's own credentials are at home elsewhere.
    tenant.apply(&manifest("AWSAccount", &declared.name, &spec("{ambient: {}}"))).await?;
    let refused = tenant.concluded(&tenant.accounts(), &declared.name, "AccountMismatch").await?;
    assert_told(&refused, "Stalled", &[&declared.id])?;
    tenant.apply(&bastion_user("alice", &declared, "")).await?;
    tenant.concluded(&tenant.users(), "alice", "AccountNotReady").await?;
    assert_untouched(world, &[&declared, &elsewhere]).await?;
    let calls = world.calls_at_home().await?;
    ensure!(calls.is_empty(), "{calls:#?}");
    Ok(())
}

/// A role whose policy is in a ConfigMap, ready.
pub async fn role_with_config_map(tenant: &Tenant<'_>) -> Result<Account> {
    let prod = tenant.ready_account("prod", "").await?;
    tenant.apply(&config_map("policies", "list.json", LIST)).await?;
    let permissions = "permissions: {customerManagedPolicies: [{name: list, configMapKeyRef: {name: policies, key: list.json}}]}";
    tenant.apply(&cross_account_role("reader", &prod, "", permissions)).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    Ok(prod)
}

#[tokio::test]
async fn row_27_invalid_json_in_a_config_map_is_located_and_the_policy_kept() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = role_with_config_map(&tenant).await?;
    let (before, since) = (tenant.state(&prod).await?, world.last_call().await?);

    tenant.apply(&config_map("policies", "list.json", "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [}\n}")).await?;
    let refused = tenant.concluded(&tenant.roles(), "reader", "InvalidDocument").await?;
    assert_told(&refused, "Stalled", &["policies", "list.json", "line 3", "column 17"])?;
    assert_eq!(tenant.state(&prod).await?, before);

    // A text that is JSON and no policy for IAM.
    tenant.apply(&config_map("policies", "list.json", &LIST.replace("Allow", "Permit"))).await?;
    world
        .testbed
        .wait_for("the message names the element", || async {
            let refused = tenant.concluded(&tenant.roles(), "reader", "InvalidDocument").await?;
            let message = condition(&refused, "Ready").map(|ready| ready.message.clone()).unwrap_or_default();
            Ok(Seen::from_option(message.contains("Effect").then_some(()), || message))
        })
        .await?;
    assert_eq!(tenant.state(&prod).await?, before);
    let (writes, _) = world.counts_in(&[&prod], since).await?;
    ensure!(writes.is_empty(), "{writes:?}");

    tenant.apply(&config_map("policies", "list.json", READ)).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    let (writes, _) = world.counts_in(&[&prod], since).await?;
    assert_eq!(writes, once(&["CreatePolicyVersion"]));
    Ok(())
}

#[tokio::test]
async fn a_change_of_a_config_map_makes_exactly_one_new_version() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = role_with_config_map(&tenant).await?;
    let since = world.last_call().await?;
    tenant.apply(&config_map("policies", "list.json", READ)).await?;
    world
        .testbed
        .wait_for("the new document is in IAM", || async {
            let state = tenant.state(&prod).await?;
            let policy = state.policies.iter().find(|policy| policy["policyName"] == "list").cloned().unwrap_or_default();
            Ok(Seen::from_option(policy.to_string().contains("s3:GetObject").then_some(()), || policy.to_string()))
        })
        .await?;
    // The same document in other words is no change for IAM. That it was looked at shows in what comes after it.
    let same = r#"{"Statement": [{"Action": ["s3:GetObject"], "Resource": ["*"], "Effect": "Allow"}], "Version": "2012-10-17"}"#;
    tenant.apply(&config_map("policies", "list.json", same)).await?;
    tenant.apply(&config_map("policies", "list.json", "{")).await?;
    tenant.concluded(&tenant.roles(), "reader", "InvalidDocument").await?;
    let (writes, _) = world.counts_in(&[&prod], since).await?;
    assert_eq!(writes, once(&["CreatePolicyVersion"]));
    Ok(())
}

#[tokio::test]
async fn row_28_a_config_map_that_is_deleted_while_used_is_missed_and_the_access_kept() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = role_with_config_map(&tenant).await?;
    let before = tenant.state(&prod).await?;
    tenant.delete(&["configmap/policies"]).await?;
    let waiting = tenant.concluded(&tenant.roles(), "reader", "ConfigMapNotFound").await?;
    assert_told(&waiting, "Reconciling", &["policies"])?;
    assert_eq!(condition(&waiting, "ReferencesResolved").map(|condition| condition.status.as_str()), Some("False"));
    assert_eq!(tenant.state(&prod).await?, before);

    tenant.apply(&config_map("policies", "another.json", LIST)).await?;
    world
        .testbed
        .wait_for("the message names the key", || async {
            let waiting = tenant.concluded(&tenant.roles(), "reader", "ConfigMapNotFound").await?;
            let message = condition(&waiting, "Ready").map(|ready| ready.message.clone()).unwrap_or_default();
            Ok(Seen::from_option(message.contains("list.json").then_some(()), || message))
        })
        .await?;
    assert_eq!(tenant.state(&prod).await?, before);
    tenant.apply(&config_map("policies", "list.json", LIST)).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    assert_eq!(tenant.state(&prod).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_document_with_a_number_or_of_no_use_is_refused_before_anything_is_made() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let inline =
        |statement: &str| format!("permissions: {{inlinePolicies: [{{name: p, document: {{Version: '2012-10-17', Statement: [{statement}]}}}}]}}");
    // YAML reads digits without quotes as a number, and drops leading zeros.
    let number = inline("{Effect: Allow, Action: 'sts:GetCallerIdentity', Resource: 123456789012}");
    let nothing = inline("{Effect: Allow, Resource: '*'}");
    tenant.apply(&(cross_account_role("number", &prod, "", &number) + &cross_account_role("nothing", &prod, "", &nothing))).await?;
    let refused = tenant.concluded(&tenant.roles(), "number", "InvalidDocument").await?;
    assert_told(&refused, "Stalled", &["Statement[0].Resource", "quote it"])?;
    let refused = tenant.concluded(&tenant.roles(), "nothing", "InvalidDocument").await?;
    assert_told(&refused, "Stalled", &["Statement[0]", "Action"])?;
    assert_untouched(world, &[&prod]).await
}

#[tokio::test]
async fn statements_7_and_38_a_user_that_is_deleted_leaves_no_dead_principal_behind() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    // The role is called as the user is.
    let users = bastion_user("alice", &utils, "") + &bastion_user("bob", &utils, "");
    tenant.apply(&(users + &cross_account_role("alice", &prod, "{user: {name: alice}}, {user: {name: bob}}", ""))).await?;
    tenant.ready(&tenant.roles(), "alice").await?;
    // A key that a person made does not hold up the deletion.
    let (alice, bob) = (new_key(&utils.iam, "alice").await?, new_key(&utils.iam, "bob").await?);
    ensure!(world.may_assume(&alice, &prod.arn("role/alice")).await? && world.may_assume(&bob, &prod.arn("role/alice")).await?);

    // While the role cannot be changed, the user is there, cut off, and says what it waits for.
    let (aws, since) = (&world.testbed.aws, world.last_call().await?);
    let fault = aws.inject(&Fault::of(FaultKind::Hold, "UpdateAssumeRolePolicy").in_account(&prod.id).times(1_000)).await?;
    tenant.delete(&["bastionuser/alice", "--wait=false"]).await?;
    let waiting = tenant.concluded(&tenant.users(), "alice", "WaitingForRoles").await?;
    assert_told(&waiting, "Reconciling", &[&format!("{}/alice", tenant.namespace)])?;
    ensure!(user(&tenant.state(&utils).await?, "alice").is_some(), "the user is gone while a role trusts it");
    ensure!(!world.may_assume(&alice, &prod.arn("role/alice")).await?, "the user is not cut off");
    ensure!(aws.faults().await?.iter().any(|status| status.id == fault && status.hits > 0), "nothing was held");

    aws.remove_fault(fault).await?;
    wait_for_absence(&tenant.users(), "alice").await?;
    let (in_utils, in_prod) = (tenant.state(&utils).await?, tenant.state(&prod).await?);
    ensure!(user(&in_utils, "alice").is_none(), "{:?}", in_utils.users);
    assert_eq!(trusted(role(&in_prod, "alice").context("no role")?), [utils.arn("user/bob")]);
    ensure!(world.may_assume(&bob, &prod.arn("role/alice")).await?, "the other user keeps its grant");
    let done = async |account: &Account, operation: &str| -> Result<u64> {
        let calls = world.calls_in(account, since).await?;
        let done = calls.iter().find(|call| call.operation == operation && call.status == 200);
        done.map(|call| call.seq).with_context(|| format!("no {operation} in {calls:#?}"))
    };
    ensure!(done(&prod, "UpdateAssumeRolePolicy").await? < done(&utils, "DeleteUser").await?, "the trust policy named a user that was gone");
    let told = tenant.concluded(&tenant.roles(), "alice", "SourceNotFound").await?;
    assert_told(&told, "Reconciling", &["alice"])?;
    Ok(())
}

#[tokio::test]
async fn objects_of_others_are_a_conflict_and_stay_as_they_are() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let trust =
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}});
    prod.iam.create_role().role_name("Reader").path("/others/").assume_role_policy_document(trust.to_string()).send().await?;
    prod.iam.put_role_policy().role_name("Reader").policy_name("own").policy_document(READ).send().await?;
    prod.iam.create_user().user_name("alice").send().await?;
    prod.iam.create_policy().policy_name("shared").policy_document(READ).send().await?;
    let before = tenant.state(&prod).await?;

    let with_policy = format!("permissions: {{customerManagedPolicies: [{{name: shared, json: '{LIST}'}}]}}");
    let inline = format!("permissions: {{inlinePolicies: [{{name: own, json: '{LIST}'}}]}}");
    let roles = cross_account_role("reader", &prod, "", &inline) + &cross_account_role("writer", &prod, "", &with_policy);
    tenant.apply(&(bastion_user("alice", &prod, "") + &roles)).await?;
    let advice = ["was not made by Rolebridge", "Choose another name"];
    assert_told(&tenant.concluded(&tenant.users(), "alice", "Conflict").await?, "Stalled", &advice)?;
    // Names are compared without regard to case, and the path does not make them differ.
    assert_told(&tenant.concluded(&tenant.roles(), "reader", "Conflict").await?, "Stalled", &advice)?;
    assert_told(&tenant.concluded(&tenant.roles(), "writer", "Conflict").await?, "Stalled", &advice)?;
    assert_eq!(tenant.state(&prod).await?, before);

    tenant.delete(&["bastionuser/alice", "crossaccountrole/reader", "crossaccountrole/writer"]).await?;
    assert_eq!(tenant.state(&prod).await?, before);
    Ok(())
}

#[tokio::test]
async fn an_event_tells_what_a_person_must_act_on() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    prod.iam.create_user().user_name("alice").send().await?;
    tenant.apply(&bastion_user("alice", &prod, "")).await?;
    tenant.concluded(&tenant.users(), "alice", "Conflict").await?;
    world
        .testbed
        .wait_for("the Event", || async {
            let events = tenant.events().await?;
            let told = |event: &Value| event["reason"] == "Conflict" && event["type"] == "Warning" && event["involvedObject"]["name"] == "alice";
            Ok(Seen::from_option(events.iter().any(told).then_some(()), || format!("{events:?}")))
        })
        .await
}
