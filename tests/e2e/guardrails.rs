//! What a platform team forbids, as a tenant meets it.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use rolebridge::api::role::GrantState;
use rolebridge_testbed::{Credentials, Seen};
use serde_json::{Value, json};

use crate::support::{
    Account, Counts, INSTALLATION, LIST, Rights, Tenant, World, assert_told, bastion_user, condition, config_map, cross_account_role, new_key, once,
    role, trusted, user,
};

/// What a tenant's chart asks for in every account: nearly all that a role can have.
const APP: &str = "
apiVersion: rolebridge.io/v1alpha1
kind: CrossAccountRole
metadata: {name: app-NUMBER}
spec:
  accountRef: {name: ACCOUNT}
  roleName: service-app
  tags: {owner: payments}
  maxSessionDuration: 3h
  permissionsBoundaryARN: 'arn:aws:iam::ID:policy/mine'
  permissions:
    attachedPolicies: [AdministratorAccess]
    inlinePolicies: [{name: from-config-map, configMapKeyRef: {name: policies, key: list.json}}]
  trust:
  - from: [{user: {name: alice}}]
  - from: [{service: lambda.amazonaws.com}]
";

/// A rule of an account, whether it forbids all of the chart's role, and what is told.
struct Rule {
    guardrail: String,
    forbids_all: bool,
    told: &'static [&'static str],
}

fn rules(account: impl Fn(usize) -> String) -> Vec<Rule> {
    let all = |guardrail: &str, told: &'static [&'static str]| Rule { guardrail: guardrail.to_owned(), forbids_all: true, told };
    let one = |guardrail: &str, told: &'static [&'static str]| Rule { guardrail: guardrail.to_owned(), forbids_all: false, told };
    vec![
        all("requiredPathPrefix: /teams/", &["spec.path", "guardrails.requiredPathPrefix", "below /teams/"]),
        all(
            &format!("permissionsBoundaryARN: '{}'", account(1)),
            &["spec.permissionsBoundaryARN", "guardrails.permissionsBoundaryARN", "take the field out"],
        ),
        all(
            "allowedPolicies: ['arn:aws:iam::aws:policy/*ReadOnlyAccess']",
            &["spec.permissions.attachedPolicies", "AdministratorAccess", "guardrails.allowedPolicies"],
        ),
        all("policyDocumentSources: [Spec]", &["inlinePolicies[from-config-map]", "guardrails.policyDocumentSources"]),
        all("allowedTagKeys: [team]", &["spec.tags", "owner", "guardrails.allowedTagKeys"]),
        all("allowedRoleNames: ['app-*']", &["spec.roleName", "service-app", "guardrails.allowedRoleNames"]),
        all("reservedNames: ['service-*']", &["spec.roleName", "service-app", "guardrails.reservedNames"]),
        all("maxSessionDuration: 2h", &["spec.maxSessionDuration", "3h", "guardrails.maxSessionDuration: 2h"]),
        one("allowedServices: []", &["spec.trust", "lambda.amazonaws.com", "guardrails.allowedServices"]),
        one("requireMFA: true", &["spec.trust", "require.mfa", "guardrails.requireMFA"]),
    ]
}

/// The accounts with their rules, each with more of the guardrails.
async fn ruled(tenant: &Tenant<'_>, accounts: &[Account], rules: &[Rule], more: &str) -> Result<()> {
    let manifest = |(account, rule): (&Account, &Rule)| account.manifest(&tenant.only_here(), &format!("guardrails: {{{}{more}}}", rule.guardrail));
    tenant.apply(&accounts.iter().zip(rules).map(manifest).collect::<String>()).await
}

async fn unruled(tenant: &Tenant<'_>, accounts: &[Account]) -> Result<()> {
    tenant.apply(&accounts.iter().map(|account| account.manifest(&tenant.only_here(), "")).collect::<String>()).await?;
    for number in 0..accounts.len() {
        tenant.ready(&tenant.roles(), &format!("app-{number}")).await?;
    }
    Ok(())
}

/// Each role is refused by the rule of its account, and by no other.
async fn refused(tenant: &Tenant<'_>, accounts: &[Account], rules: &[Rule]) -> Result<()> {
    for (number, (account, rule)) in accounts.iter().zip(rules).enumerate() {
        let reason = if rule.forbids_all { "GuardrailViolated" } else { "TrustNotAllowed" };
        let told = tenant.concluded(&tenant.roles(), &format!("app-{number}"), reason).await?;
        assert_told(&told, "Stalled", &[rule.told, &["AWSAccount", &account.name]].concat())?;
        let message = &condition(&told, "Ready").context("no condition")?.message;
        // Policies and boundaries are forbidden by one rule, so that both are told.
        ensure!(message.matches("guardrails.").count() == message.split("; ").count(), "{message}");
    }
    Ok(())
}

/// The role of the chart as it is in each account.
async fn app(tenant: &Tenant<'_>, accounts: &[Account]) -> Result<Vec<Option<Value>>> {
    let mut all = vec![];
    for account in accounts {
        all.push(role(&tenant.state(account).await?, "service-app").cloned());
    }
    Ok(all)
}

/// A chart with the role for each of these accounts, and with the user that they trust.
fn chart(chart: &Path, utils: &Account, accounts: &[Account]) -> Result<()> {
    fs::create_dir_all(chart.join("templates"))?;
    fs::write(chart.join("Chart.yaml"), "{apiVersion: v2, name: app, version: 1.0.0}")?;
    let roles = accounts.iter().enumerate().map(|(number, account)| {
        format!("---{}", APP.replace("NUMBER", &number.to_string()).replace("ACCOUNT", &account.name).replace("ID:", &format!("{}:", account.id)))
    });
    let all = roles.chain([bastion_user("alice", utils, ""), format!("---\n{}\n", config_map("policies", "list.json", LIST))]).collect::<String>();
    Ok(fs::write(chart.join("templates/app.yaml"), all)?)
}

async fn eventually(tenant: &Tenant<'_>, credentials: &Credentials, arn: &str, may: bool) -> Result<()> {
    let what = format!("{arn} {}", if may { "can be assumed" } else { "cannot be assumed any more" });
    let seen = || async {
        let now = tenant.world.may_assume(credentials, arn).await?;
        Ok(Seen::from_option((now == may).then_some(()), || arn.to_owned()))
    };
    tenant.world.testbed.wait_for(&what, seen).await
}

#[tokio::test]
async fn one_chart_meets_ten_accounts_and_each_holds_it_to_its_own_rule() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let utils = tenant.ready_account("utils", "").await?;
    let mut accounts = vec![];
    for number in 0..10 {
        let account = tenant.account(&format!("prod-{number}")).await?;
        for policy in ["mine", "boundary"] {
            account
                .iam
                .create_policy()
                .policy_name(policy)
                .policy_document(r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#)
                .send()
                .await?;
        }
        accounts.push(account);
    }
    let rules = rules(|number| accounts[number].arn("policy/boundary"));
    ruled(&tenant, &accounts, &rules, "").await?;
    for account in &accounts {
        tenant.ready(&tenant.accounts(), &account.name).await?;
    }
    let directory = world.testbed.dir().join(format!("chart-of-{}", tenant.namespace));
    chart(&directory, &utils, &accounts)?;
    let member = tenant.member(Rights::Everything).await?;
    world.testbed.explain(member.helm(&["install", "app", &directory.to_string_lossy()]).await)?;

    // Refused before anything is made; of what is forbidden in part the rest is made.
    refused(&tenant, &accounts, &rules).await?;
    for ((account, rule), made) in accounts.iter().zip(&rules).zip(app(&tenant, &accounts).await?) {
        let (writes, _) = world.counts_in(&[account], 0).await?;
        ensure!(rule.forbids_all == (writes == Counts::new()) && rule.forbids_all == made.is_none(), "{}: {writes:?} {made:?}", rule.guardrail);
    }

    // Lifted, all come to be.
    unruled(&tenant, &accounts).await?;
    let alice = new_key(&utils.iam, "alice").await?;
    for account in &accounts {
        eventually(&tenant, &alice, &account.arn("role/service-app"), true).await?;
    }

    // Tightened under what is there: it stays as it is, and nothing is written.
    let (before, since) = (app(&tenant, &accounts).await?, world.last_call().await?);
    ruled(&tenant, &accounts, &rules, "").await?;
    refused(&tenant, &accounts, &rules).await?;
    assert_eq!(app(&tenant, &accounts).await?, before);
    assert_eq!(world.counts_in(&accounts.iter().collect::<Vec<_>>(), since).await?.0, Counts::new());

    // Cut off where the account wants that.
    ruled(&tenant, &accounts, &rules, ", onViolation: Disable").await?;
    for (number, account) in accounts.iter().enumerate() {
        let may = rules[number].guardrail.starts_with("allowedServices");
        eventually(&tenant, &alice, &account.arn("role/service-app"), may).await?;
    }
    refused(&tenant, &accounts, &rules).await?;
    let of_service = &app(&tenant, &accounts).await?[8].clone().context("the role is gone")?;
    ensure!(!of_service["assumeRolePolicyDocument"].to_string().contains("lambda"), "{of_service}");
    ensure!(trusted(of_service) == [utils.arn("user/alice")]);

    // Lifted again it is as it was; and what breaks a rule can be deleted.
    unruled(&tenant, &accounts).await?;
    let effective = |roles: Vec<Option<Value>>| {
        roles.into_iter().map(|role| role.map(|role| (role["attachedPolicies"].clone(), trusted(&role)))).collect::<Vec<_>>()
    };
    assert_eq!(effective(app(&tenant, &accounts).await?), effective(before));
    ruled(&tenant, &accounts, &rules, ", onViolation: Disable").await?;
    refused(&tenant, &accounts, &rules).await?;
    world.testbed.explain(member.helm(&["uninstall", "app", "--wait", "--timeout=170s"]).await)?;
    assert_eq!(app(&tenant, &accounts).await?, vec![None; 10]);
    Ok(())
}

#[tokio::test]
async fn a_user_that_breaks_a_rule_can_do_nothing_until_it_is_lifted() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "guardrails: {allowedGroups: ['*']}").await?, tenant.ready_account("prod", "").await?);
    utils.iam.create_group().group_name("staff").send().await?;
    let alice = bastion_user("alice", &utils, "tags: {team: data}, groups: [staff]");
    tenant.apply(&(alice + &cross_account_role("reader", &prod, "{user: {name: alice}}", ""))).await?;
    tenant.ready(&tenant.users(), "alice").await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    let (key, reader) = (new_key(&utils.iam, "alice").await?, prod.arn("role/reader"));
    eventually(&tenant, &key, &reader, true).await?;

    tenant.apply(&utils.manifest(&tenant.only_here(), "guardrails: {allowedGroups: ['*'], allowedTagKeys: [], onViolation: Disable}")).await?;
    eventually(&tenant, &key, &reader, false).await?;
    let refused = tenant.concluded(&tenant.users(), "alice", "GuardrailViolated").await?;
    assert_told(&refused, "Stalled", &["spec.tags", "team", &utils.name, "guardrails.allowedTagKeys"])?;
    // Those who trust it say so, too, and are not changed by that.
    let waits = tenant.concluded(&tenant.roles(), "reader", "SourceNotReady").await?;
    assert_told(&waits, "Reconciling", &["BastionUser", "alice is cut off", "guardrails.allowedTagKeys"])?;
    assert_eq!(trusted(role(&tenant.state(&prod).await?, "reader").context("no role")?), [utils.arn("user/alice")]);

    tenant.apply(&utils.manifest(&tenant.only_here(), "guardrails: {onViolation: Disable}")).await?;
    eventually(&tenant, &key, &reader, true).await?;
    let told = tenant.concluded(&tenant.users(), "alice", "GroupNotAllowed").await?;
    assert_told(&told, "Stalled", &["staff", "guardrails.allowedGroups"])?;
    assert_eq!(user(&tenant.state(&utils).await?, "alice").context("no user")?["groups"], json!([]), "it has left the group");

    // A namespace that is not allowed any more is cut off in the same way.
    tenant.apply(&utils.manifest("{from: Names, names: [nowhere]}", "guardrails: {onViolation: Disable, allowedGroups: ['*']}")).await?;
    eventually(&tenant, &key, &reader, false).await?;
    tenant.concluded(&tenant.users(), "alice", "NamespaceNotAllowed").await?;
    tenant.apply(&utils.manifest(&tenant.only_here(), "guardrails: {onViolation: Disable, allowedGroups: ['*']}")).await?;
    tenant.ready(&tenant.users(), "alice").await?;
    let granted = tenant.ready(&tenant.roles(), "reader").await?;
    ensure!(granted.status.is_some_and(|status| status.grants.iter().all(|grant| grant.state == GrantState::Granted)));
    eventually(&tenant, &key, &reader, true).await
}

#[tokio::test]
async fn what_an_account_puts_on_all_comes_at_once_and_its_boundary_goes_by_hand_only() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    prod.iam.create_policy().policy_name("boundary").policy_document(LIST).send().await?;
    let boundary = prod.arn("policy/boundary");
    let trust = "{service: lambda.amazonaws.com}";
    tenant.apply(&(bastion_user("alice", &prod, "") + &cross_account_role("reader", &prod, trust, "tags: {Team: web}"))).await?;
    tenant.ready(&tenant.users(), "alice").await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    let since = world.last_call().await?;
    let defaults = "defaults: {tags: {team: data, cost-center: '42'}, maxSessionDuration: 2h}";
    tenant.apply(&prod.manifest(&tenant.only_here(), &format!("guardrails: {{permissionsBoundaryARN: '{boundary}'}}, {defaults}"))).await?;
    let boundaries = || async {
        let state = tenant.state(&prod).await?;
        let (alice, reader) = (user(&state, "alice").context("no user")?, role(&state, "reader").context("no role")?);
        Ok::<_, anyhow::Error>([alice, reader].map(|found| found["permissionsBoundary"].clone()))
    };
    let is = |expected: Value| {
        let boundaries = &boundaries;
        move || {
            let expected = expected.clone();
            async move {
                let found = boundaries().await?;
                Ok(Seen::from_option((found == [expected.clone(), expected]).then_some(()), || format!("{found:?}")))
            }
        }
    };
    world.testbed.wait_for("the boundary is on both", is(json!(boundary))).await?;
    for status in [
        json!(tenant.ready(&tenant.users(), "alice").await?.status.map(|status| status.permissions_boundary_arn)),
        json!(tenant.ready(&tenant.roles(), "reader").await?.status.map(|status| status.permissions_boundary_arn)),
    ] {
        assert_eq!(status, json!(boundary));
    }
    tenant.quiet(std::time::Duration::from_secs(1)).await?;
    let (writes, _) = world.counts_in(&[&prod], since).await?;
    assert_eq!(writes, once(&["PutRolePermissionsBoundary", "PutUserPermissionsBoundary", "TagRole", "TagUser", "UpdateRole"]));
    let found = tenant.state(&prod).await?;
    let (alice, reader) = (user(&found, "alice").context("no user")?, role(&found, "reader").context("no role")?);
    ensure!(alice["tags"]["team"] == "data" && reader["tags"]["Team"] == "web" && reader["tags"]["cost-center"] == "42", "{alice} {reader}");
    assert_eq!(reader["maxSessionDuration"], 7200);

    // Taking it out of the account takes it off nobody; a person may.
    tenant.apply(&prod.manifest(&tenant.only_here(), "sweep: {interval: 10s}")).await?;
    tenant.ready(&tenant.users(), "alice").await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    assert_eq!(boundaries().await?, [json!(boundary), json!(boundary)]);
    prod.iam.delete_role_permissions_boundary().role_name("reader").send().await?;
    prod.iam.delete_user_permissions_boundary().user_name("alice").send().await?;
    let untold = || async {
        let (alice, reader) = (tenant.users().get("alice").await?.status, tenant.roles().get("reader").await?.status);
        let told = (alice.and_then(|status| status.permissions_boundary_arn), reader.and_then(|status| status.permissions_boundary_arn));
        Ok(Seen::from_option((told == (None, None)).then_some(()), || format!("{told:?}")))
    };
    world.testbed.wait_for("nobody tells of a boundary any more", untold).await?;
    assert_eq!(boundaries().await?, [Value::Null, Value::Null]);
    Ok(())
}

#[tokio::test]
async fn a_policy_of_another_resource_is_neither_attached_nor_a_boundary() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let trust = "{service: lambda.amazonaws.com}";
    let owner = format!("permissions: {{customerManagedPolicies: [{{name: Powers, json: '{LIST}'}}]}}");
    tenant.apply(&cross_account_role("owner", &prod, trust, &owner)).await?;
    tenant.ready(&tenant.roles(), "owner").await?;
    let since = world.last_call().await?;
    let attaching =
        |name: &str, policy: &str| cross_account_role(name, &prod, trust, &format!("permissions: {{attachedPolicies: ['{}']}}", prod.arn(policy)));
    let bounded = cross_account_role("bounded", &prod, trust, &format!("permissionsBoundaryARN: '{}'", prod.arn("policy/powers")));
    tenant.apply(&(attaching("thief", "policy/powers") + &bounded)).await?;
    for name in ["thief", "bounded"] {
        let refused = tenant.concluded(&tenant.roles(), name, "PolicyNotAttachable").await?;
        assert_told(&refused, "Stalled", &["policy/powers", "another user or role", "make it outside Rolebridge"])?;
    }
    assert_eq!(world.counts_in(&[&prod], since).await?.0, Counts::new());

    // Nobody declares this one, and its tags tell that it is somebody's.
    let tag = |key: &str, value: &str| aws_sdk_iam::types::Tag::builder().key(key).value(value).build();
    let made = prod.iam.create_policy().policy_name("left").policy_document(LIST);
    made.tags(tag("rolebridge.io/installation", INSTALLATION)?).tags(tag("rolebridge.io/owner", "CrossAccountRole/other/gone")?).send().await?;
    tenant.apply(&attaching("heir", "policy/left")).await?;
    let refused = tenant.concluded(&tenant.roles(), "heir", "PolicyNotAttachable").await?;
    assert_told(&refused, "Stalled", &["policy/left"])?;
    ensure!(role(&tenant.state(&prod).await?, "heir").is_none(), "it was made");

    // Nothing holds up the deletion of the one that has it, and then the name is free.
    tenant.delete(&["crossaccountrole/owner"]).await?;
    prod.iam.create_policy().policy_name("powers").policy_document(LIST).send().await?;
    tenant.ready(&tenant.roles(), "thief").await?;
    tenant.ready(&tenant.roles(), "bounded").await.map(drop)
}
