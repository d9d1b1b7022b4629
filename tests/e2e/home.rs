//! The accounts that everything hangs on: the one where the operator's own identity is, and those through which it gets into others. Whoever is administrator
//! there has them all.

use anyhow::{Context, Result, ensure};
use rolebridge_testbed::{Credentials, aws_sim::Fault};
use serde_json::{Value, json};

use crate::support::{
    Account, OPERATOR_ACCOUNT, Own, Rights, Tenant, World, assert_told, bastion_user, condition, cross_account_role, new_key, role,
};

const MALLORY: &str = "{user: {name: mallory}}";

/// A role with all rights in the account, which trusts the tenant's own user.
fn attack(account: &Account) -> String {
    cross_account_role("admin", account, MALLORY, "permissions: {attachedPolicies: [AdministratorAccess]}")
}

/// A policy of the account's.
async fn policy(account: &Account, name: &str, statements: Value) -> Result<String> {
    let document = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    account.iam.create_policy().policy_name(name).policy_document(document).send().await?;
    Ok(account.arn(&format!("policy/{name}")))
}

fn forcing(boundary: &str) -> String {
    format!("guardrails: {{permissionsBoundaryARN: '{boundary}'}}")
}

/// The session of a role that an administrator has made as the tenant wants it, for the tenant's user: what the wall keeps the tenant from.
async fn without_the_wall(world: &World, account: &Account) -> Result<Credentials> {
    let statement = json!({"Effect": "Allow", "Principal": {"AWS": account.arn("user/mallory")}, "Action": "sts:AssumeRole"});
    let trust = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
    account.iam.create_role().role_name("by-hand").assume_role_policy_document(trust).send().await?;
    account.iam.attach_role_policy().role_name("by-hand").policy_arn("arn:aws:iam::aws:policy/AdministratorAccess").send().await?;
    let mallory = new_key(&account.iam, "mallory").await?;
    world.assume(&mallory, &account.arn("role/by-hand"), |asking| asking).await?.context("the user is trusted")
}

/// The attack in an account, whose AWSAccount is `manifest` with these further fields: refused while no boundary is forced that limits it. Ends with the role
/// allowed, under one that does.
async fn refused_until_bounded(tenant: &Tenant<'_>, account: &Account, manifest: impl Fn(&str) -> String, used_by: &str) -> Result<()> {
    let world = tenant.world;
    let (accounts, roles) = (tenant.accounts(), tenant.roles());
    let member = tenant.member(Rights::Edit).await?;
    let since = world.last_call().await?;
    member.kubectl(&["apply", "--filename", "-"], Some(&(bastion_user("mallory", account, "") + &attack(account)))).await?;
    let refused = tenant.concluded(&roles, "admin", "BoundaryRequired").await?;
    assert_told(&refused, "Stalled", &["spec.permissions", &account.name, "guardrails.permissionsBoundaryARN"])?;
    let message = &condition(&refused, "Ready").context("no condition")?.message;
    ensure!(!message.contains("operator") && !message.contains(OPERATOR_ACCOUNT), "{message}");
    // A group is as good as a policy.
    member.kubectl(&["apply", "--filename", "-"], Some(&bastion_user("grouped", account, "groups: [administrators]"))).await?;
    tenant.concluded(&tenant.users(), "grouped", "BoundaryRequired").await?;
    // What has no permissions works as everywhere.
    tenant.ready(&tenant.users(), "mallory").await?;
    member.kubectl(&["apply", "--filename", "-"], Some(&cross_account_role("bare", account, MALLORY, ""))).await?;
    tenant.ready(&roles, "bare").await?;
    let told = accounts.get(&account.name).await?;
    ensure!(told.status.as_ref().is_some_and(|status| status.used_by == [used_by]), "{:?}", told.status);
    ensure!(condition(&told, "Ready").is_some_and(|ready| ready.message.contains("guardrails.permissionsBoundaryARN")), "{:?}", told.status);

    // A boundary that allows everything limits nothing, be it the account's own or AWS's.
    let all = policy(account, "all", json!({"Effect": "Allow", "Action": "*", "Resource": "*"})).await?;
    for vacuous in [all.as_str(), "arn:aws:iam::aws:policy/AdministratorAccess", &account.arn("policy/none")] {
        tenant.apply(&manifest(&forcing(vacuous))).await?;
        tenant.says(&accounts, &account.name, &[vacuous, "does not count"]).await?;
        tenant.says(&roles, "admin", &["does not limit IAM and STS"]).await?;
    }
    let creating = world.calls_in(account, since).await?.into_iter().filter(|call| call.parameters.values().any(|value| value == "admin"));
    let creating: Vec<_> = creating.filter(|call| !call.operation.starts_with("Get")).collect();
    ensure!(creating.is_empty(), "{creating:#?}");
    ensure!(role(&tenant.state(account).await?, "admin").is_none());

    // One that keeps IAM and the operator's roles out of reach may allow the tenants' own.
    let limits = json!([
        {"Effect": "Allow", "Action": ["s3:*", "iam:Get*", "iam:List*"], "Resource": "*"},
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::*:role/teams/*"},
    ]);
    tenant.apply(&manifest(&forcing(&policy(account, "limits", limits).await?))).await?;
    tenant.ready(&roles, "admin").await?;
    let made = account.iam.get_role().role_name("admin").send().await?.role.context("no role")?;
    let boundary = made.permissions_boundary.and_then(|boundary| boundary.permissions_boundary_arn);
    assert_eq!(boundary, Some(account.arn("policy/limits")), "what is allowed is bounded");
    Ok(())
}

async fn own() -> Result<Own> {
    World::own().await
}

#[tokio::test]
async fn whoever_would_be_administrator_where_the_operator_lives_is_refused() -> Result<()> {
    let world = own().await?;
    let operator = world.operator()?;
    let tenant = world.tenant().await?;
    let (home, prod) = (tenant.home_account("home").await?, tenant.ready_account("prod", "").await?);
    let here = tenant.only_here();
    tenant.apply(&home.manifest(&here, "")).await?;
    tenant.ready(&tenant.accounts(), &home.name).await?;
    refused_until_bounded(&tenant, &home, |fields| home.manifest(&here, fields), "Operator").await?;

    // Without the wall: the session takes the operator's place, and opens an account that the tenant has nothing to do with.
    let session = without_the_wall(&world, &home).await?;
    let key = world.aws(&session, &["iam", "create-access-key", "--user-name", "operator"]).await?;
    let field = |name: &str| key["AccessKey"][name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
    let stolen = Credentials::new(field("AccessKeyId")?, field("SecretAccessKey")?, None);
    let opened = world.assume(&stolen, &prod.management_role(), |asking| asking.external_id(&prod.external_id)).await?;
    ensure!(opened.is_some(), "the wall matters: who is administrator at home has every account");
    operator.ensure_running()
}

#[tokio::test]
async fn whoever_would_be_administrator_of_a_hub_is_refused() -> Result<()> {
    let world = own().await?;
    let operator = world.operator()?;
    let tenant = world.tenant().await?;
    let hub = tenant.account("hub").await?;
    let prod = tenant.account_behind("prod", &hub).await?;
    let here = tenant.only_here();
    tenant.apply(&(hub.manifest(&here, "") + &prod.manifest_via(&hub, &here, ""))).await?;
    tenant.ready(&tenant.accounts(), &prod.name).await?;
    refused_until_bounded(&tenant, &hub, |fields| hub.manifest(&here, fields), &format!("AWSAccount/{}", prod.name)).await?;

    // Without the wall: the session has the management role trust it, and gets through that into the account behind.
    let session = without_the_wall(&world, &hub).await?;
    let statement = json!({"Effect": "Allow", "Principal": {"AWS": hub.arn("role/by-hand")}, "Action": "sts:AssumeRole"});
    let trust = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
    world.aws(&session, &["iam", "update-assume-role-policy", "--role-name", "rolebridge", "--policy-document", &trust]).await?;
    let manager = world.assume(&session, &hub.management_role(), |asking| asking).await?.context("it is trusted now")?;
    let opened = world.assume(&manager, &prod.management_role(), |asking| asking.external_id(&prod.external_id)).await?;
    ensure!(opened.is_some(), "the wall matters: who is administrator of a hub has what is behind it");
    operator.ensure_running()
}

#[tokio::test]
async fn an_account_that_becomes_a_hub_adds_nothing_more_and_one_that_is_none_any_more_goes_on() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let hub = tenant.ready_account("hub", "").await?;
    let here = tenant.only_here();
    tenant.apply(&cross_account_role("reader", &hub, "", "permissions: {attachedPolicies: [ReadOnlyAccess]}")).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    let prod = tenant.account_behind("prod", &hub).await?;
    tenant.apply(&prod.manifest_via(&hub, &here, "")).await?;
    tenant.concluded(&tenant.roles(), "reader", "BoundaryRequired").await?;
    let there = tenant.state(&hub).await?;
    ensure!(role(&there, "reader").is_some_and(|role| role["attachedPolicies"].to_string().contains("ReadOnlyAccess")), "what is there stays");
    tenant.delete(&[&format!("awsaccount/{}", prod.name)]).await?;
    tenant.ready(&tenant.roles(), "reader").await.map(drop)
}

#[tokio::test]
async fn permissions_wait_until_the_operator_knows_who_it_is() -> Result<()> {
    let world = own().await?;
    let nobody_tells = Fault::error("GetCallerIdentity", "Throttling", 400).in_account(OPERATOR_ACCOUNT).times(u64::from(u32::MAX));
    let fault = world.testbed.aws.inject(&nobody_tells).await?;
    let operator = world.operator()?;
    let tenant = world.tenant().await?;
    let prod = tenant.account("prod").await?;
    tenant.apply(&prod.manifest(&tenant.only_here(), "")).await?;
    let with = "permissions: {attachedPolicies: [ReadOnlyAccess]}";
    tenant.apply(&(cross_account_role("reader", &prod, "", with) + &cross_account_role("bare", &prod, "", ""))).await?;
    let waits = tenant.concluded(&tenant.roles(), "reader", "AccountNotReady").await?;
    assert_told(&waits, "Reconciling", &["spec.permissions", &prod.name])?;
    tenant.ready(&tenant.roles(), "bare").await?;
    tenant.says(&tenant.accounts(), &prod.name, &["sts:GetCallerIdentity", "Throttling"]).await?;
    ensure!(role(&tenant.state(&prod).await?, "reader").is_none());
    world.testbed.aws.remove_fault(fault).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    tenant.ready(&tenant.accounts(), &prod.name).await?;
    operator.ensure_running()
}
