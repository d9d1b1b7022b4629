//! The classic recipe: a user in one account, a role in another, and exactly the access that was declared.

use anyhow::{Context, Result, ensure};
use rolebridge_testbed::{Credentials, Seen};
use serde_json::{Value, json};

use crate::support::{
    Account, Counts, INSTALLATION, Tenant, World, assert_told, bastion_user, config_map, cross_account_role, manifest, new_key, once, role, trusted,
    user,
};

const LIST_BUCKETS: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}]}"#;

/// The recipe's user and role, as people write them.
fn recipe(utils: &Account, prod: &Account, permissions: &str) -> String {
    let user = bastion_user("random-user", utils, "userName: random_user, tags: {Name: random_user}");
    let fields = format!("description: lists buckets, permissions: {{{permissions}}}");
    user + &cross_account_role("s3-list-role", prod, "{user: {name: random-user}}", &fields)
}

const INLINE: &str = "inlinePolicies: [{name: s3-list, document: {Version: '2012-10-17', Statement: [{Effect: Allow, Action: 's3:ListAllMyBuckets', Resource: '*'}]}}]";
const CUSTOMER_MANAGED: &str =
    "customerManagedPolicies: [{name: s3_list_all, description: Lists all buckets, configMapKeyRef: {name: policies, key: s3_list_all.json}}]";

/// At most two writes for each object: the finalizer, and a status that says Ready at once.
async fn assert_few_kubernetes_writes(tenant: &Tenant<'_>, objects: usize) -> Result<()> {
    let writes = tenant.operator_writes().await?;
    assert_eq!(writes.len(), objects, "{writes:#?}");
    let many: Vec<_> = writes.iter().filter(|(_, writes)| writes.len() > 2).collect();
    ensure!(many.is_empty(), "more than two writes: {many:#?}");
    Ok(())
}

#[tokio::test]
async fn with_an_inline_permission_it_takes_four_writes_and_no_reads() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.account("utils").await?, tenant.account("prod").await?);
    let here = tenant.only_here();
    tenant.apply(&(utils.manifest(&here, "") + &prod.manifest(&here, "") + &recipe(&utils, &prod, INLINE))).await?;

    // Once the role is Ready, both halves of its grant stand, and the user says so too.
    let role = tenant.ready(&tenant.roles(), "s3-list-role").await?;
    let user = tenant.ready(&tenant.users(), "random-user").await?;
    for account in [&utils, &prod] {
        let account = tenant.ready(&tenant.accounts(), &account.name).await?;
        let caller = account.status.and_then(|status| status.caller_arn).context("no caller ARN")?;
        ensure!(caller.contains(":assumed-role/rolebridge/rolebridge"), "{caller}");
    }
    let status = user.status.context("no status")?;
    assert_eq!(status.user_arn, Some(utils.arn("user/random_user")));
    ensure!(status.user_id.is_some_and(|id| id.starts_with("AIDA")));
    assert_eq!(status.roles.iter().map(|role| role.role_arn.clone()).collect::<Vec<_>>(), [prod.arn("role/s3-list-role")]);
    let status = role.status.context("no status")?;
    assert_eq!(status.role_arn, Some(prod.arn("role/s3-list-role")));
    ensure!(status.role_id.is_some_and(|id| id.starts_with("AROA")));
    assert_eq!(status.grants.iter().map(|grant| grant.source.clone()).collect::<Vec<_>>(), [format!("BastionUser/{}/random-user", tenant.namespace)]);

    let table = world.testbed.kubectl(&["get", "--namespace", &tenant.namespace, "awsacct,buser,car"]).await?;
    for shown in [utils.arn("user/random_user"), prod.arn("role/s3-list-role"), prod.id.clone(), "assumed-role/rolebridge/rolebridge".to_owned()] {
        ensure!(table.contains(&shown), "`kubectl get` does not show {shown}:\n{table}");
    }

    let (writes, reads) = world.counts_in(&[&utils, &prod], 0).await?;
    assert_eq!(writes, once(&["CreateUser", "PutUserPolicy", "CreateRole", "PutRolePolicy"]));
    assert_eq!(reads, Counts::new());
    assert_few_kubernetes_writes(&tenant, 4).await
}

/// A bucket in each account, and IAM objects that are nobody's business here.
async fn populate(world: &World, account: &Account, bucket: &str) -> Result<()> {
    world.aws(&account.administrator, &["s3api", "create-bucket", "--bucket", bucket]).await?;
    let trust =
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}});
    account.iam.create_role().role_name("foreign").assume_role_policy_document(trust.to_string()).send().await?;
    account.iam.create_user().user_name("foreign").send().await?;
    account.iam.create_policy().policy_name("foreign").policy_document(LIST_BUCKETS).send().await?;
    Ok(())
}

/// A person who assumes the role with the AWS CLI and takes over the three variables that it prints.
async fn assume(world: &World, person: &Credentials, role_arn: &str) -> Result<Credentials> {
    let answer = world.aws(person, &["sts", "assume-role", "--role-arn", role_arn, "--role-session-name", "person"]).await?;
    let field = |name: &str| answer["Credentials"][name].as_str().map(str::to_owned).context("an incomplete answer");
    Ok(Credentials::new(field("AccessKeyId")?, field("SecretAccessKey")?, Some(field("SessionToken")?)))
}

#[tokio::test]
async fn the_user_and_nobody_else_has_the_access_and_deletion_leaves_nothing() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.account("utils").await?, tenant.account("prod").await?);
    let (bucket_in_utils, bucket_in_prod) = (format!("utils-{}", utils.id), format!("prod-{}", prod.id));
    populate(world, &utils, &bucket_in_utils).await?;
    populate(world, &prod, &bucket_in_prod).await?;
    let before = (tenant.state(&utils).await?, tenant.state(&prod).await?);

    let here = tenant.only_here();
    let accounts = utils.manifest(&here, "") + &prod.manifest(&here, "");
    let policy = config_map("policies", "s3_list_all.json", LIST_BUCKETS) + "\n";
    tenant.apply(&(policy + &accounts + &recipe(&utils, &prod, CUSTOMER_MANAGED) + &bastion_user("loner", &utils, ""))).await?;
    let role_arn = prod.arn("role/s3-list-role");
    tenant.ready(&tenant.users(), "random-user").await?;
    tenant.ready(&tenant.users(), "loner").await?;
    tenant.ready(&tenant.roles(), "s3-list-role").await?;

    // The recipe in five writes, and one for the user without a role.
    let (writes, reads) = world.counts_in(&[&utils, &prod], 0).await?;
    let mut expected = once(&["CreateUser", "PutUserPolicy", "CreatePolicy", "CreateRole", "AttachRolePolicy"]);
    expected.insert("CreateUser".to_owned(), 2);
    assert_eq!(writes, expected);
    assert_eq!(reads, Counts::new());
    assert_few_kubernetes_writes(&tenant, 5).await?;

    // It is as declared.
    let (in_utils, in_prod) = (tenant.state(&utils).await?, tenant.state(&prod).await?);
    let made = user(&in_utils, "random_user").context("no user")?;
    assert_eq!(made["tags"]["Name"], "random_user");
    assert_eq!(made["tags"]["rolebridge.io/owner"], format!("BastionUser/{}/random-user", tenant.namespace));
    assert_eq!(made["tags"]["rolebridge.io/installation"], INSTALLATION);
    let made = role(&in_prod, "s3-list-role").context("no role")?;
    assert_eq!(trusted(made), [utils.arn("user/random_user")]);
    assert_eq!(made["description"], "lists buckets");
    let policy = in_prod.policies.iter().find(|policy| policy["policyName"] == "s3_list_all").context("no policy")?;
    assert_eq!(policy["description"], "Lists all buckets");

    // An administrator of prod finds the role.
    let roles = world.aws(&prod.administrator, &["iam", "list-roles"]).await?;
    ensure!(roles["Roles"].as_array().is_some_and(|roles| roles.iter().any(|role| role["Arn"] == *role_arn)), "{roles}");

    // The user, with a key that an administrator made, assumes it and lists the buckets of prod, and can do nothing else.
    let person = new_key(&utils.iam, "random_user").await?;
    let session = assume(world, &person, &role_arn).await?;
    let buckets = world.aws(&session, &["s3api", "list-buckets"]).await?;
    let names: Vec<&Value> = buckets["Buckets"].as_array().into_iter().flatten().map(|bucket| &bucket["Name"]).collect();
    assert_eq!(names, [&json!(bucket_in_prod)]);
    world.aws_denies(&session, &["iam", "list-roles"]).await?;
    world.aws_denies(&person, &["iam", "list-roles"]).await?;
    world.aws_denies(&person, &["s3api", "list-buckets"]).await?;
    let assume_role = ["sts", "assume-role", "--role-arn", &role_arn, "--role-session-name", "person"];
    let wrong_account = utils.arn("role/s3-list-role");
    world.aws_denies(&person, &["sts", "assume-role", "--role-arn", &wrong_account, "--role-session-name", "person"]).await?;
    world.aws_denies(&new_key(&utils.iam, "loner").await?, &assume_role).await?;
    world.aws_denies(&new_key(&utils.iam, "foreign").await?, &assume_role).await?;
    utils.iam.delete_access_key().user_name("foreign").access_key_id(key_of(&tenant, &utils, "foreign").await?).send().await?;

    // Everything at once, the accounts too, and with keys that Rolebridge did not make.
    let [utils_name, prod_name] = [&utils, &prod].map(|account| format!("awsaccount/{}", account.name));
    let objects = [&utils_name, &prod_name, "bastionuser/random-user", "bastionuser/loner", "crossaccountrole/s3-list-role", "configmap/policies"];
    tenant.delete(&objects).await?;
    assert_eq!((tenant.state(&utils).await?, tenant.state(&prod).await?), before);
    Ok(())
}

async fn key_of(tenant: &Tenant<'_>, account: &Account, user_name: &str) -> Result<String> {
    let state = tenant.state(account).await?;
    let key = user(&state, user_name).and_then(|user| user["accessKeys"][0]["accessKeyID"].as_str()).context("no key")?;
    Ok(key.to_owned())
}

#[tokio::test]
async fn statement_10_a_grant_that_is_taken_away_is_gone_from_both_halves() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let utils = tenant.ready_account("utils", "").await?;
    let prod = tenant.ready_account("prod", "").await?;
    tenant.apply(&recipe(&utils, &prod, INLINE)).await?;
    tenant.ready(&tenant.roles(), "s3-list-role").await?;
    let person = new_key(&utils.iam, "random_user").await?;
    let role_arn = prod.arn("role/s3-list-role");
    ensure!(world.may_assume(&person, &role_arn).await?);
    let since = world.last_call().await?;

    tenant.apply(&cross_account_role("s3-list-role", &prod, "", &format!("permissions: {{{INLINE}}}"))).await?;
    tenant.ready(&tenant.roles(), "s3-list-role").await?;
    ensure!(!world.may_assume(&person, &role_arn).await?);
    world
        .testbed
        .wait_for("the assume policy is gone", || async {
            let state = tenant.state(&utils).await?;
            let left = user(&state, "random_user").map(|user| user["inlinePolicies"].clone()).unwrap_or_default();
            Ok(Seen::from_option((left == json!({})).then_some(()), || left.to_string()))
        })
        .await?;
    let state = tenant.state(&prod).await?;
    assert_eq!(trusted(role(&state, "s3-list-role").context("no role")?), Vec::<String>::new());
    let (writes, _) = world.counts_in(&[&utils, &prod], since).await?;
    assert_eq!(
        writes,
        once(&["UpdateAssumeRolePolicy", "UpdateRole", "DeleteUserPolicy"]),
        "the trust, the description that is not declared any more, the assume policy"
    );
    Ok(())
}

#[tokio::test]
async fn the_whole_account_is_trusted_only_where_a_guardrail_permits_it() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let utils = tenant.ready_account("utils", "").await?;
    let prod = tenant.ready_account("prod", "").await?;
    let trusting = |name: &str, entry: &str| {
        manifest("CrossAccountRole", name, &format!("{{accountRef: {{name: {}}}, trust: [{entry}], permissions: {{{INLINE}}}}}", prod.name))
    };
    let users = bastion_user("alice", &utils, "") + &bastion_user("bob", &utils, "");
    tenant.apply(&(users + &trusting("by-user", "{from: [{user: {name: alice}}], principal: AccountRoot}"))).await?;
    tenant.apply(&trusting("by-account", &format!("{{from: [{{account: {}}}]}}", utils.name))).await?;
    for name in ["by-user", "by-account"] {
        let refused = tenant.concluded(&tenant.roles(), name, "TrustNotAllowed").await?;
        assert_told(&refused, "Stalled", &["spec.trust", &prod.name, "guardrails.accountRootTrust: true"])?;
    }
    let calls = world.calls_in(&prod, 0).await?;
    ensure!(calls.is_empty(), "{calls:#?}");

    tenant.apply(&prod.manifest(&tenant.only_here(), "guardrails: {accountRootTrust: true}")).await?;
    for name in ["by-user", "by-account"] {
        tenant.ready(&tenant.roles(), name).await?;
        let state = tenant.state(&prod).await?;
        assert_eq!(trusted(role(&state, name).context("no role")?), [utils.arn("root")], "{name}");
    }
    // The identities of the account decide: whom Rolebridge gave the other half, and for a whole account whom its administrators gave it.
    let (alice, bob) = (new_key(&utils.iam, "alice").await?, new_key(&utils.iam, "bob").await?);
    ensure!(world.may_assume(&alice, &prod.arn("role/by-user")).await?);
    ensure!(!world.may_assume(&bob, &prod.arn("role/by-user")).await?);
    ensure!(!world.may_assume(&alice, &prod.arn("role/by-account")).await?);
    ensure!(world.may_assume(&utils.administrator, &prod.arn("role/by-account")).await?);
    Ok(())
}
