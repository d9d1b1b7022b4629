//! How the operator gets into accounts, and what each account says of itself.

use anyhow::{Context, Result, ensure};
use rolebridge_testbed::{Call, Credentials, Seen, aws_sim::Fault, charts, wait_for_absence};
use serde_json::json;

use crate::support::{Account, INSTALLATION, Tenant, World, assert_told, bastion_user, condition, cross_account_role, manifest, new_key, role};

const ALICE: &str = "{user: {name: alice}}";
const SWEPT_OFTEN: &str = "sweep: {interval: 10s}";

/// Gives or takes the account's management role a policy that denies these actions, as an administrator may do.
async fn deny(account: &Account, actions: &[&str]) -> Result<()> {
    let policy = json!({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": actions, "Resource": "*"}}).to_string();
    match actions {
        [] => drop(account.iam.delete_role_policy().role_name("rolebridge").policy_name("deny").send().await?),
        _ => drop(account.iam.put_role_policy().role_name("rolebridge").policy_name("deny").policy_document(policy).send().await?),
    }
    Ok(())
}

/// Waits until the links of the role `reader`, its own and that in the list of `alice`, name the account so.
async fn linked_by(tenant: &Tenant<'_>, name: &str) -> Result<()> {
    let (roles, users) = (tenant.roles(), tenant.users());
    let linked = || async {
        let own = roles.get("reader").await?.status.and_then(|status| status.switch_role_url);
        let listed = users.get("alice").await?.status.and_then(|status| status.roles.first().and_then(|role| role.switch_role_url.clone()));
        let names = |url: &Option<String>| url.as_ref().is_some_and(|url| url.contains(&format!("switchrole?account={name}&roleName=reader&")));
        Ok(Seen::from_option((names(&own) && names(&listed)).then_some(()), || format!("{own:?} {listed:?}")))
    };
    tenant.world.testbed.wait_for(&format!("both links name {name}"), linked).await
}

#[tokio::test]
async fn an_account_tells_its_quotas_and_its_alias_is_in_the_links_of_its_roles() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", SWEPT_OFTEN).await?);
    tenant.apply(&(bastion_user("alice", &utils, "") + &cross_account_role("reader", &prod, ALICE, ""))).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    linked_by(&tenant, &prod.id).await?;

    let alias = tenant.unique("alias-of-prod");
    prod.iam.create_account_alias().account_alias(&alias).send().await?;
    linked_by(&tenant, &alias).await?;
    let status = tenant.accounts().get(&prod.name).await?.status.context("no status")?;
    assert_eq!(status.console_alias.as_ref(), Some(&alias));
    let quotas = status.quotas.context("no quotas")?;
    assert_eq!((quotas.trust_policy_size, quotas.attached_policies_per_user), (2048, 10));

    tenant.apply(&prod.manifest(&tenant.only_here(), &format!("{SWEPT_OFTEN}, consoleAlias: declared"))).await?;
    linked_by(&tenant, "declared").await?;
    tenant.apply(&prod.manifest(&tenant.only_here(), SWEPT_OFTEN)).await?;
    linked_by(&tenant, &alias).await?;
    prod.iam.delete_account_alias().account_alias(&alias).send().await?;
    linked_by(&tenant, &prod.id).await
}

#[tokio::test]
async fn where_the_account_keeps_its_quotas_to_itself_it_says_so_and_the_rest_goes_on() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.account("prod").await?;
    let alias = tenant.unique("alias-of-prod");
    prod.iam.create_account_alias().account_alias(&alias).send().await?;
    deny(&prod, &["iam:GetAccountSummary"]).await?;
    tenant.apply(&prod.manifest(&tenant.only_here(), SWEPT_OFTEN)).await?;
    let told = tenant.concluded(&tenant.accounts(), &prod.name, "AccessDenied").await?;
    assert_told(&told, "Stalled", &["iam:GetAccountSummary", "explicit deny"])?;
    let status = told.status.context("no status")?;
    ensure!(status.quotas.is_none() && status.console_alias.as_ref() == Some(&alias), "{status:?}");

    // Users and roles work all the same, and what others change is put right.
    tenant.apply(&cross_account_role("reader", &prod, "", "tags: {team: data}")).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    let since = world.last_call().await?;
    prod.iam.untag_role().role_name("reader").tag_keys("team").send().await?;
    let repaired = || async {
        let (writes, _) = world.counts_in(&[&prod], since).await?;
        Ok(Seen::from_option(writes.contains_key("TagRole").then_some(()), || format!("{writes:?}")))
    };
    world.testbed.wait_for("the tag is put right", repaired).await?;

    deny(&prod, &[]).await?;
    let ready = tenant.ready(&tenant.accounts(), &prod.name).await?;
    ensure!(ready.status.is_some_and(|status| status.quotas.is_some()));
    Ok(())
}

/// The calls of STS by which the operator has assumed the management role of an account, and by whom.
async fn assumed(world: &World, account: &Account) -> Result<Vec<String>> {
    let calls = world.testbed.aws.calls(0).await?.into_iter();
    let of_account = |call: &Call| call.operation == "AssumeRole" && call.parameters.get("RoleArn") == Some(&account.management_role());
    Ok(calls.filter(of_account).filter_map(|call| call.principal).collect())
}

#[tokio::test]
async fn an_account_is_reached_through_others_and_holds_them() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let gate = tenant.account("gate").await?;
    let hub = tenant.account_behind("hub", &gate).await?;
    let prod = tenant.account_behind("prod", &hub).await?;
    let here = tenant.only_here();
    // The last one first: it waits for the others, without a call.
    tenant.apply(&prod.manifest_via(&hub, &here, "")).await?;
    let waiting = tenant.concluded(&tenant.accounts(), &prod.name, "AccountNotReady").await?;
    assert_told(&waiting, "Reconciling", &[&format!("{} is reached through {}", prod.name, hub.name), "create it"])?;
    tenant.apply(&hub.manifest_via(&gate, &here, "")).await?;
    let names = [&format!("{} is reached through {}", hub.name, gate.name) as &str, "create it"];
    assert_told(&tenant.concluded(&tenant.accounts(), &hub.name, "AccountNotReady").await?, "Reconciling", &names)?;
    ensure!(assumed(world, &prod).await?.is_empty() && assumed(world, &hub).await?.is_empty());

    tenant.apply(&gate.manifest(&here, "")).await?;
    tenant.apply(&cross_account_role("reader", &prod, "", "")).await?;
    tenant.ready(&tenant.accounts(), &prod.name).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    for (account, by) in [(&prod, &hub), (&hub, &gate)] {
        let by = format!("arn:aws:sts::{}:assumed-role/rolebridge/rolebridge", by.id);
        assert_eq!(assumed(world, account).await?, [by], "{} was assumed once", account.name);
    }

    // While one is behind it, an account is not let go.
    world.testbed.kubectl(&["delete", "awsaccount", &hub.name, "--wait=false"]).await?;
    assert_told(&tenant.concluded(&tenant.accounts(), &hub.name, "InUse").await?, "Reconciling", &[&format!("AWSAccount/{}", prod.name)])?;
    tenant.delete(&["crossaccountrole/reader"]).await?;
    ensure!(role(&tenant.state(&prod).await?, "reader").is_none(), "what is to go goes through an account that is to go");
    tenant.delete(&[&format!("awsaccount/{}", prod.name)]).await?;
    wait_for_absence(&tenant.accounts(), &hub.name).await?;
    tenant.delete(&[&format!("awsaccount/{}", gate.name)]).await
}

#[tokio::test]
async fn a_way_that_closes_is_told_behind_it_and_opens_again_by_itself() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let gate = tenant.account("gate").await?;
    let prod = tenant.account_behind("prod", &gate).await?;
    let here = tenant.only_here();
    tenant.apply(&(gate.manifest(&here, "") + &prod.manifest_via(&gate, &here, ""))).await?;
    tenant.ready(&tenant.accounts(), &prod.name).await?;

    // The operator is told a wrong external ID: it does not get into the first account any more.
    tenant.apply(&gate.manifest(&here, "").replace(&gate.external_id, "wrong")).await?;
    let closed = tenant.concluded(&tenant.accounts(), &prod.name, "AccountNotReady").await?;
    assert_told(&closed, "Reconciling", &[&format!("{} is reached through {}", prod.name, gate.name), "look at its conditions"])?;
    tenant.apply(&cross_account_role("reader", &prod, "", "")).await?;
    tenant.concluded(&tenant.roles(), "reader", "AccountNotReady").await?;

    tenant.apply(&gate.manifest(&here, "")).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    tenant.ready(&tenant.accounts(), &prod.name).await?;
    Ok(())
}

#[tokio::test]
async fn accounts_that_lead_into_each_other_are_refused_without_a_call() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (first, second) = (tenant.account("first").await?, tenant.account("second").await?);
    let here = tenant.only_here();
    tenant.apply(&(first.manifest_via(&second, &here, "") + &second.manifest_via(&first, &here, ""))).await?;
    for account in [&first, &second] {
        let refused = tenant.concluded(&tenant.accounts(), &account.name, "InvalidSpec").await?;
        assert_told(&refused, "Stalled", &[&first.name, &second.name, "circle"])?;
        ensure!(assumed(world, account).await?.is_empty());
    }
    tenant.apply(&manifest("CrossAccountRole", "reader", &format!("{{accountRef: {{name: {}}}, trust: []}}", first.name))).await?;
    let waiting = tenant.concluded(&tenant.roles(), "reader", "AccountNotReady").await?;
    assert_told(&waiting, "Reconciling", &["circle"])
}

/// The entries of a Secret with these keys.
fn entries(key: &Credentials) -> [(&'static str, &str); 2] {
    [("AWS_ACCESS_KEY_ID", &key.access_key_id), ("AWS_SECRET_ACCESS_KEY", &key.secret_access_key)]
}

#[tokio::test]
async fn the_keys_of_a_secret_open_an_account_and_those_behind_it_and_may_change_at_any_time() -> Result<()> {
    let world = World::own().await?;
    let operator = world.operator()?;
    let tenant = world.tenant().await?;
    let (accounts, here) = (tenant.accounts(), tenant.only_here());
    let gate = tenant.bare_account("gate").await?;
    let first = gate.manager().await?;
    tenant.apply(&gate.manifest_by_secret("keys", &here)).await?;
    let refused = tenant.concluded(&accounts, &gate.name, "SecretNotUsable").await?;
    assert_told(&refused, "Stalled", &["Secret keys", charts::NAMESPACE, "accessSecrets"])?;
    world.testbed.install(&[&format!("installation={INSTALLATION}"), "accessSecrets={keys}"]).await?;
    tenant.says(&accounts, &gate.name, &["Secret keys", "does not exist"]).await?;
    tenant.put_secret("keys", &entries(&first)[..1]).await?;
    tenant.says(&accounts, &gate.name, &["Secret keys", "key AWS_SECRET_ACCESS_KEY is missing"]).await?;

    tenant.put_secret("keys", &entries(&first)).await?;
    let ready = tenant.ready(&accounts, &gate.name).await?;
    let told = condition(&ready, "Ready").context("no condition")?;
    ensure!(told.status == "True" && told.message.contains("prefer assumeRole or ambient"), "{told:?}");
    let prod = tenant.account_trusting("prod", &gate.arn("user/manager")).await?;
    let into = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": prod.management_role()}});
    gate.iam.put_user_policy().user_name("manager").policy_name("into-prod").policy_document(into.to_string()).send().await?;
    tenant.apply(&(prod.manifest_via(&gate, &here, "") + &cross_account_role("reader", &prod, "", ""))).await?;
    tenant.ready(&tenant.roles(), "reader").await?;

    // Once the first key is gone, only what is in the Secret now opens the account.
    let second = new_key(&gate.iam, "manager").await?;
    tenant.put_secret("keys", &entries(&second)).await?;
    gate.iam.delete_access_key().user_name("manager").access_key_id(&first.access_key_id).send().await?;
    tenant.apply(&cross_account_role("later", &gate, "", "")).await?;
    tenant.ready(&tenant.roles(), "later").await?;
    operator.ensure_running()
}

#[tokio::test]
async fn row_58_a_token_that_expires_in_the_middle_of_the_work_is_replaced() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    assert_eq!(assumed(world, &prod).await?.len(), 1);
    // Until after the time in which a session is too new to be given up.
    world.testbed.aws.inject(&Fault::error("CreateRole", "ExpiredToken", 403).in_account(&prod.id).times(3)).await?;
    tenant.apply(&cross_account_role("reader", &prod, "", "")).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    let sessions = assumed(world, &prod).await?.len();
    ensure!((2..=4).contains(&sessions), "{sessions} sessions");
    Ok(())
}

#[tokio::test]
async fn row_58_clock_skew_is_named_and_the_account_opens_when_it_is_over() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.account("prod").await?;
    let said = "Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z (20260101T001500Z - 5 min.)";
    let skewed = Fault { message: Some(said.to_owned()), ..Fault::error("GetCallerIdentity", "SignatureDoesNotMatch", 403) };
    let fault = world.testbed.aws.inject(&skewed.in_account(&prod.id).times(1_000)).await?;
    tenant.apply(&prod.manifest(&tenant.only_here(), "")).await?;
    let told = tenant.concluded(&tenant.accounts(), &prod.name, "AWSUnavailable").await?;
    assert_told(&told, "Reconciling", &["Signature expired", "clock skew", "set the node's clock right"])?;
    world.testbed.aws.remove_fault(fault).await?;
    tenant.ready(&tenant.accounts(), &prod.name).await.map(drop)
}

#[tokio::test]
async fn row_59_a_denial_by_the_organization_is_told_from_one_by_the_trust_policy() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let closed = tenant.account_trusting("closed", &prod.management_role()).await?;
    let said = "User: arn:aws:sts::1:assumed-role/rolebridge/rolebridge is not authorized to perform: iam:CreateRole on resource: r with an explicit deny \
                in a service control policy: arn:aws:organizations::9:policy/o-1/service_control_policy/p-1";
    let denied = Fault { message: Some(said.to_owned()), ..Fault::error("CreateRole", "AccessDenied", 403) };
    let fault = world.testbed.aws.inject(&denied.in_account(&prod.id).times(1_000)).await?;
    tenant.apply(&(closed.manifest(&tenant.only_here(), "") + &cross_account_role("reader", &prod, "", ""))).await?;
    let told = tenant.concluded(&tenant.roles(), "reader", "AccessDenied").await?;
    assert_told(
        &told,
        "Stalled",
        &[
            "iam:CreateRole",
            "The service control policy arn:aws:organizations::9:policy/o-1/service_control_policy/p-1 of the organization denies it",
        ],
    )?;
    let told = tenant.concluded(&tenant.accounts(), &closed.name, "AccessDenied").await?;
    assert_told(
        &told,
        "Stalled",
        &["sts:AssumeRole", &format!("The trust policy of {} refuses it", closed.management_role()), &world.operator_arn()],
    )?;
    let message = condition(&told, "Ready").context("no condition")?.message.clone();
    ensure!(!message.contains("organization"), "{message}");
    ensure!(world.testbed.aws.faults().await?.iter().any(|status| status.id == fault && status.hits > 0));
    world.testbed.aws.remove_fault(fault).await
}
