//! CloudTrail shows for which resource a call was made: each call that changes something names it in its user agent.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use rolebridge_testbed::{Call, Seen};

use crate::support::{INSTALLATION, LIST, READ, Tenant, World, bastion_user, config_map, cross_account_role, enable_mfa, made_for, new_key};

/// What each user and role is called in AWS, and its resource.
const RESOURCES: [(&str, &str); 4] = [
    ("ops_alice", "BastionUser/alice"),
    ("ops_bob", "BastionUser/bob"),
    ("prod-reader", "CrossAccountRole/reader"),
    ("prod-writer", "CrossAccountRole/writer"),
];

/// The resource that a call changes something of, told by what it changes in AWS.
fn changed(call: &Call, tenant: &Tenant<'_>) -> Result<String> {
    let objects = ["UserName", "RoleName", "PolicyName", "PolicyArn", "SerialNumber"].iter().filter_map(|parameter| call.parameters.get(*parameter));
    let of = |object: &String| RESOURCES.iter().find(|(name, _)| object.contains(name)).map(|(_, resource)| *resource);
    let resources: BTreeSet<&str> = objects.filter_map(of).collect();
    let resource = resources.first().filter(|_| resources.len() == 1).with_context(|| format!("{resources:?}: {call:#?}"))?;
    let (kind, name) = resource.split_once('/').context("no kind")?;
    Ok(format!("{kind}/{}/{name}", tenant.namespace))
}

fn names_nobody(call: &Call) -> bool {
    call.user_agent.as_ref().is_some_and(|agent| agent.starts_with("aws-sdk-rust/") && !agent.contains(INSTALLATION))
}

/// By resource, what was called for it after call number `since`. Fails where a change names another resource than the one that it changes, or none.
async fn called(tenant: &Tenant<'_>, since: u64, in_accounts: &[&str]) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut called = BTreeMap::<_, BTreeSet<_>>::new();
    for call in tenant.world.testbed.aws.calls(since).await? {
        let is_by_operator = call.principal.as_deref().is_some_and(|principal| principal.contains(":assumed-role/rolebridge/"));
        if !is_by_operator || !call.account.as_deref().is_some_and(|account| in_accounts.contains(&account)) {
            continue;
        }
        if call.service != "iam" || call.is_read() {
            ensure!(names_nobody(&call), "{call:#?}");
            continue;
        }
        let resource = changed(&call, tenant)?;
        assert_eq!(made_for(&call), Some(&*resource), "{call:#?}");
        ensure!(call.user_agent.as_ref().is_some_and(|agent| agent.len() < 512), "CloudTrail may cut it: {call:#?}");
        called.entry(resource).or_default().insert(call.operation);
    }
    Ok(called)
}

/// Waits until all of these operations were called, each for its resource.
async fn wait_for(tenant: &Tenant<'_>, since: u64, in_accounts: &[&str], expected: [(&str, &[&str]); 4]) -> Result<()> {
    let seen = || async {
        let called = called(tenant, since, in_accounts).await?;
        let is_called = |resource: &str, operation: &str| called.get(resource).is_some_and(|operations| operations.contains(operation));
        let is_whole = expected.iter().all(|(resource, operations)| operations.iter().all(|operation| is_called(resource, operation)));
        Ok(Seen::from_option(is_whole.then_some(()), || format!("{called:#?}")))
    };
    tenant.world.testbed.wait_for("every change is made for its resource", seen).await
}

#[tokio::test]
async fn every_change_names_the_resource_that_it_is_made_for() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    let accounts = [&*utils.id, &*prod.id];
    let [alice, bob, reader, writer] = RESOURCES.map(|(_, resource)| resource.replace('/', &format!("/{}/", tenant.namespace)));
    let role = |name: &str, sources: &str, fields: &str| cross_account_role(name, &prod, sources, &format!("roleName: prod-{name}, {fields}"));
    let (one, both) = ("{user: {name: alice}}", "{user: {name: alice}}, {user: {name: bob}}");
    let managed = "permissions: {customerManagedPolicies: [{name: prod-reader-list, configMapKeyRef: {name: policies, key: list.json}}]}";
    let inline = format!("permissions: {{inlinePolicies: [{{name: read, document: {READ}}}]}}");

    // Made.
    let since = world.last_call().await?;
    let policies = |document: &str| config_map("policies", "list.json", document) + "\n";
    let users = bastion_user("alice", &utils, "userName: ops_alice") + &bastion_user("bob", &utils, "userName: ops_bob");
    tenant.apply(&(policies(LIST) + &users + &role("reader", both, managed) + &role("writer", one, &inline))).await?;
    let made: [(&str, &[&str]); 4] = [
        (&alice, &["CreateUser", "PutUserPolicy"]),
        (&bob, &["CreateUser", "PutUserPolicy"]),
        (&reader, &["CreatePolicy", "CreateRole", "AttachRolePolicy"]),
        (&writer, &["CreateRole", "PutRolePolicy"]),
    ];
    wait_for(&tenant, since, &accounts, made).await?;
    for role in ["reader", "writer"] {
        tenant.ready(&tenant.roles(), role).await?;
    }

    // Changed. The roles' manifests change, and the policies of the users with them: these calls are made for the users.
    let since = world.last_call().await?;
    let described = format!("description: reads, tags: {{team: data}}, {managed}");
    tenant.apply(&(policies(READ) + &role("reader", one, &described) + &role("writer", both, &inline))).await?;
    let changed: [(&str, &[&str]); 4] = [
        (&alice, &[]),
        (&bob, &["PutUserPolicy"]),
        (&reader, &["UpdateAssumeRolePolicy", "UpdateRole", "TagRole", "CreatePolicyVersion"]),
        (&writer, &["UpdateAssumeRolePolicy"]),
    ];
    wait_for(&tenant, since, &accounts, changed).await?;
    for role in ["reader", "writer"] {
        tenant.ready(&tenant.roles(), role).await?;
    }

    // Deleted, with what others gave a user.
    new_key(&utils.iam, "ops_bob").await?;
    enable_mfa(&utils.iam, "ops_bob").await?;
    let since = world.last_call().await?;
    tenant.delete(&["bastionuser/alice", "bastionuser/bob", "crossaccountrole/reader", "crossaccountrole/writer"]).await?;
    let deleted: [(&str, &[&str]); 4] = [
        (&alice, &["DeleteUser"]),
        (&bob, &["DeleteAccessKey", "DeactivateMFADevice", "DeleteVirtualMFADevice", "DeleteUser"]),
        (&reader, &["DetachRolePolicy", "DeletePolicy", "DeleteRole"]),
        (&writer, &["DeleteRole"]),
    ];
    wait_for(&tenant, since, &accounts, deleted).await?;

    // A session is for all resources, and names none.
    for call in world.testbed.aws.calls(0).await? {
        if call.operation == "AssumeRole" && call.parameters.get("RoleArn").is_some_and(|arn| accounts.iter().any(|account| arn.contains(account))) {
            ensure!(names_nobody(&call), "{call:#?}");
        }
    }
    Ok(())
}
