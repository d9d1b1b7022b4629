//! Roles that are nobody's resources, and who assumes them: those of the CDK and of vendors, but never those of Rolebridge.

use std::fs;

use anyhow::{Context, Result, ensure};
use rolebridge_testbed::{Credentials, Seen, run};
use serde_json::{Value, json};

use crate::support::{Account, Rights, Tenant, World, assert_told, bastion_user, cross_account_role, new_key, role, user};

/// The inline policy that the right stands in.
const POLICY: &str = "rolebridge-external-roles";

/// A role that somebody makes by hand, and that trusts whole accounts.
async fn by_hand(account: &Account, name: &str, trusted: &[&Account]) -> Result<String> {
    let roots: Vec<String> = trusted.iter().map(|account| account.arn("root")).collect();
    let trust = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": roots}, "Action": "sts:AssumeRole"}});
    account.iam.create_role().role_name(name).assume_role_policy_document(trust.to_string()).send().await?;
    Ok(account.arn(&format!("role/{name}")))
}

fn allowing(patterns: &[&str]) -> String {
    format!("allowedExternalRoles: {}", json!(patterns))
}

/// Waits until these credentials may assume a role, or may not any more.
async fn eventually(tenant: &Tenant<'_>, credentials: &Credentials, arn: &str, may: bool) -> Result<()> {
    let what = format!("{arn} {}", if may { "can be assumed" } else { "cannot be assumed" });
    let seen = || async {
        let now = tenant.world.may_assume(credentials, arn).await?;
        Ok(Seen::from_option((now == may).then_some(()), || arn.to_owned()))
    };
    tenant.world.testbed.wait_for(&what, seen).await
}

/// What the AWS CLI says of itself with a profile of a role that is assumed from a role, which a person assumes.
async fn who_am_i(world: &World, person: &Credentials, pipeline: &str, cdk: &str) -> Result<Value> {
    let config = world.testbed.dir().join("aws-config-of-a-pipeline");
    let (id, secret) = (&person.access_key_id, &person.secret_access_key);
    let text = format!(
        "[profile person]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n\
         [profile pipeline]\nrole_arn = {pipeline}\nsource_profile = person\n\
         [profile cdk]\nrole_arn = {cdk}\nsource_profile = pipeline\n"
    );
    fs::write(&config, text)?;
    let mut command = world.testbed.aws.aws_cli_without_credentials().await?;
    command.env("AWS_CONFIG_FILE", &config).args(["--profile", "cdk", "sts", "get-caller-identity"]);
    Ok(serde_json::from_str(&run(command).await?)?)
}

#[tokio::test]
async fn a_pipeline_assumes_the_roles_that_cdk_bootstrap_made_and_its_account_allows() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    let (deploy, other) = (format!("cdk-hnb659fds-deploy-role-{}-eu-central-1", prod.id), "somebody-elses");
    let (deploy, other) = (by_hand(&prod, &deploy, &[&prod]).await?, by_hand(&prod, other, &[&prod]).await?);
    let pattern = prod.arn(&format!("role/cdk-hnb659fds-*-{}-eu-central-1", prod.id));
    let pipeline = |permissions: &str| cross_account_role("cdk-pipeline", &prod, "{user: {name: alice}}", &format!("permissions: {{{permissions}}}"));
    let declared = pipeline(&format!("externalRoles: ['{pattern}']"));

    // As a document it is refused, and the message names the field; by that it waits until the account allows it.
    let document = format!("{{Version: '2012-10-17', Statement: [{{Effect: Allow, Action: 'sts:AssumeRole', Resource: '{pattern}'}}]}}");
    tenant
        .apply(&(bastion_user("alice", &utils, "") + &pipeline(&format!("inlinePolicies: [{{name: assume-cdk-roles, document: {document}}}]"))))
        .await?;
    assert_told(&tenant.concluded(&tenant.roles(), "cdk-pipeline", "InvalidDocument").await?, "Stalled", &["spec.permissions.externalRoles"])?;
    tenant.apply(&declared).await?;
    let refused = tenant.concluded(&tenant.roles(), "cdk-pipeline", "GuardrailViolated").await?;
    assert_told(&refused, "Stalled", &["spec.permissions.externalRoles", &pattern, "guardrails.allowedExternalRoles"])?;
    ensure!(role(&tenant.state(&prod).await?, "cdk-pipeline").is_none(), "it is made");
    let here = tenant.only_here();
    let allowed = format!("guardrails: {{{}}}", allowing(&[&prod.arn("role/cdk-*")]));
    tenant.apply(&prod.manifest(&here, &allowed)).await?;
    tenant.ready(&tenant.roles(), "cdk-pipeline").await?;
    tenant.ready(&tenant.users(), "alice").await?;

    // Whoever is in the pipeline's role gets into the CDK's, by the profiles of the AWS CLI, and into no other.
    let person = new_key(&utils.iam, "alice").await?;
    let who = who_am_i(world, &person, &prod.arn("role/cdk-pipeline"), &deploy).await?;
    ensure!(who["Arn"].as_str().is_some_and(|arn| arn.contains("assumed-role/cdk-hnb659fds-deploy-role-")), "{who}");
    let session = world.assume(&person, &prod.arn("role/cdk-pipeline"), |asking| asking).await?.context("denied")?;
    ensure!(!world.may_assume(&session, &other).await?, "it assumes a role that no pattern matches");
    ensure!(!world.may_assume(&person, &deploy).await?, "the person needs the pipeline's role");

    // What the account allows no longer stays, and goes with the field.
    tenant.apply(&prod.manifest(&here, "")).await?;
    tenant.concluded(&tenant.roles(), "cdk-pipeline", "GuardrailViolated").await?;
    ensure!(world.may_assume(&session, &deploy).await?, "it is frozen");
    tenant.apply(&pipeline("attachedPolicies: [ReadOnlyAccess], unmanaged: Report")).await?;
    tenant.ready(&tenant.roles(), "cdk-pipeline").await?;
    eventually(&tenant, &session, &deploy, false).await?;
    ensure!(role(&tenant.state(&prod).await?, "cdk-pipeline").is_some_and(|role| role["inlinePolicies"].get(POLICY).is_none()));

    // What counts within services only is refused with the way out, which is taken; whoever attaches a policy by its name is not asked.
    let within = |actions: &str| {
        let called = "Condition: {'ForAnyValue:StringEquals': {'aws:CalledVia': cloudformation.amazonaws.com}}";
        let statement = format!("{{Effect: Allow, {actions}, Resource: '*', {called}}}");
        format!("permissions: {{inlinePolicies: [{{name: via-cloudformation, document: {{Version: '2012-10-17', Statement: [{statement}]}}}}]}}")
    };
    let by_cloudformation = |actions: &str| cross_account_role("cdk-by-cloudformation", &prod, "{user: {name: alice}}", &within(actions));
    let by_name = cross_account_role("admin-by-name", &prod, "", "permissions: {attachedPolicies: [PowerUserAccess]}");
    tenant.apply(&(by_cloudformation("Action: '*'") + &by_name)).await?;
    tenant.concluded(&tenant.roles(), "cdk-by-cloudformation", "InvalidDocument").await?;
    tenant.says(&tenant.roles(), "cdk-by-cloudformation", &["by hand", "NotAction"]).await?;
    tenant.apply(&by_cloudformation("NotAction: 'sts:Assume*'")).await?;
    tenant.ready(&tenant.roles(), "cdk-by-cloudformation").await?;
    tenant.ready(&tenant.roles(), "admin-by-name").await?;
    tenant.ready(&tenant.users(), "alice").await?;
    let session = world.assume(&person, &prod.arn("role/cdk-by-cloudformation"), |asking| asking).await?.context("denied")?;
    ensure!(!world.may_assume(&session, &deploy).await?, "it assumes roles by hand");
    Ok(())
}

#[tokio::test]
async fn a_role_of_rolebridge_is_never_one_of_others() -> Result<()> {
    let world = World::with_operator().await?;
    let (tenant, victim) = (world.tenant().await?, world.tenant().await?);
    let (utils, prod) = (tenant.account("utils").await?, tenant.account("prod").await?);
    let both = format!("{{from: Names, names: [{}, {}]}}", tenant.namespace, victim.namespace);
    let rules = format!("guardrails: {{accountRootTrust: true, {}}}", allowing(&["arn:aws:iam::*:role/vendor-*"]));
    tenant.apply(&(utils.manifest(&both, &rules) + &prod.manifest(&both, &rules))).await?;
    // Roles of another namespace that trust the whole account: one that is there before, and one that comes later.
    let trusting = |name: &str, account: &Account| cross_account_role(name, account, &format!("{{account: {}}}", utils.name), "");
    victim.apply(&trusting("vendor-before", &prod)).await?;
    victim.ready(&victim.roles(), "vendor-before").await?;
    let vendors = by_hand(&prod, "vendor-reader", &[&utils]).await?;

    let member = tenant.member(Rights::Edit).await?;
    let external = json!([prod.arn("role/vendor-*"), utils.arn("role/vendor-*")]).to_string();
    let mallory = bastion_user("mallory", &utils, &format!("permissions: {{externalRoles: {external}}}"));
    member.kubectl(&["apply", "--filename", "-"], Some(&mallory)).await?;
    tenant.ready(&tenant.users(), "mallory").await?;
    let key = new_key(&utils.iam, "mallory").await?;
    eventually(&tenant, &key, &vendors, true).await?;
    victim.apply(&(trusting("vendor-after", &prod) + &trusting("vendor-beside", &utils))).await?;
    victim.ready(&victim.roles(), "vendor-after").await?;
    victim.ready(&victim.roles(), "vendor-beside").await?;
    let theirs = [prod.arn("role/vendor-before"), prod.arn("role/vendor-after"), utils.arn("role/vendor-beside")];
    for role in &theirs {
        ensure!(!world.may_assume(&key, role).await?, "{role} is reached past its trust");
    }
    // One of the tenant's own is no exception: its trust says who comes in.
    member.kubectl(&["apply", "--filename", "-"], Some(&trusting("vendor-own", &prod))).await?;
    tenant.ready(&tenant.roles(), "vendor-own").await?;
    ensure!(!world.may_assume(&key, &prod.arn("role/vendor-own")).await?, "a role of Rolebridge is reached past its trust");
    member.kubectl(&["apply", "--filename", "-"], Some(&cross_account_role("vendor-own", &prod, "{user: {name: mallory}}", ""))).await?;
    eventually(&tenant, &key, &prod.arn("role/vendor-own"), true).await?;

    // Without the wall: the same policy without its condition, as an administrator writes it, lets the user in.
    let state = tenant.state(&utils).await?;
    let mut policy = user(&state, "mallory").context("no user")?["inlinePolicies"][POLICY].clone();
    if let Value::String(text) = &policy {
        policy = serde_json::from_str(text)?;
    }
    let statement = policy["Statement"].as_array_mut().and_then(|all| all.first_mut()).and_then(Value::as_object_mut).context("no statement")?;
    ensure!(statement.remove("Condition").is_some(), "{policy}");
    utils.iam.put_user_policy().user_name("mallory").policy_name("without").policy_document(policy.to_string()).send().await?;
    for role in &theirs {
        ensure!(world.may_assume(&key, role).await?, "the wall matters: {role} trusts the whole account");
    }
    Ok(())
}

#[tokio::test]
async fn a_management_role_that_comes_later_is_nobodys() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let rules = format!("guardrails: {{{}}}", allowing(&["arn:aws:iam::*:role/*"]));
    let (utils, more) = (tenant.ready_account("utils", &rules).await?, tenant.account("more").await?);
    let declared =
        |role: &str| bastion_user("mallory", &utils, &format!("permissions: {{externalRoles: ['{}']}}", more.arn(&format!("role/{role}"))));
    tenant.apply(&declared("role*")).await?;
    tenant.ready(&tenant.users(), "mallory").await?;
    tenant.apply(&more.manifest(&tenant.only_here(), "")).await?;
    let told = tenant.concluded(&tenant.users(), "mallory", "GuardrailViolated").await?;
    assert_told(&told, "Stalled", &["spec.permissions.externalRoles", "by which Rolebridge itself works"])?;
    tenant.apply(&declared("other*")).await?;
    tenant.ready(&tenant.users(), "mallory").await?;
    tenant.apply(&declared("role*")).await?;
    tenant.concluded(&tenant.users(), "mallory", "GuardrailViolated").await?;
    tenant.delete(&[&format!("awsaccount/{}", more.name)]).await?;
    tenant.ready(&tenant.users(), "mallory").await.map(drop)
}
