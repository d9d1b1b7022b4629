//! `rolebridge bootstrap`: the management role that it prints, put in place with the real AWS CLI, suffices for all that the operator does
//! and for nothing beside.

use anyhow::{Context, Result, ensure};
use rolebridge_testbed::{Credentials, Seen, run};
use serde_json::{Value, json};

use crate::support::{
    Account, INSTALLATION, LIST, Tenant, World, assert_told, bastion_user, config_map, cross_account_role, new_key, once, role, trusted, user,
};

const GET: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}"#;

/// What `rolebridge bootstrap` prints for an account, with further arguments.
async fn printed(world: &World, account: &Account, more: &[&str]) -> Result<Value> {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rolebridge"));
    command.env_clear().args(["bootstrap", "--account-id", &account.id, "--operator-principal", &world.operator_arn()]);
    command.args(["--external-id", &account.external_id]).args(more);
    Ok(serde_json::from_str(&run(command).await?)?)
}

/// What a person does with it, as the administrator of the account.
async fn put_in_place(world: &World, account: &Account, printed: &Value) -> Result<()> {
    let name = printed["roleName"].as_str().context("no roleName")?;
    let (trust, permissions) = (printed["trustPolicy"].to_string(), printed["permissionsPolicy"].to_string());
    let role = ["iam", "create-role", "--role-name", name, "--assume-role-policy-document", &trust];
    world.aws(&account.administrator, &role).await?;
    let policy = ["iam", "put-role-policy", "--role-name", name, "--policy-name", "manage-iam", "--policy-document", &permissions];
    world.aws(&account.administrator, &policy).await?;
    Ok(())
}

async fn prepared(tenant: &Tenant<'_>, name: &str, more: &[&str]) -> Result<Account> {
    let account = tenant.bare_account(name).await?;
    put_in_place(tenant.world, &account, &printed(tenant.world, &account, more).await?).await?;
    tenant.apply(&account.manifest(&tenant.only_here(), "")).await?;
    tenant.ready(&tenant.accounts(), &account.name).await?;
    Ok(account)
}

/// What the operator was refused in these accounts.
async fn refused(world: &World, accounts: &[&Account]) -> Result<Vec<String>> {
    let mut refused = vec![];
    for account in accounts {
        let calls = world.calls_in(account, 0).await?;
        refused.extend(calls.into_iter().filter(|call| call.code.as_deref() == Some("AccessDenied")).map(|call| call.operation));
    }
    Ok(refused)
}

/// What a person may have put on a user by hand: all of it goes with the user.
async fn by_hand(world: &World, account: &Account, user_name: &str, group_path: &str) -> Result<()> {
    let iam = async |args: &[&str]| world.aws(&account.administrator, &[&["iam"], args].concat()).await;
    new_key(&account.iam, user_name).await?;
    iam(&["create-login-profile", "--user-name", user_name, "--password", "correct-Horse-7-battery"]).await?;
    iam(&["create-group", "--group-name", "staff", "--path", group_path]).await?;
    iam(&["add-user-to-group", "--group-name", "staff", "--user-name", user_name]).await?;
    iam(&["put-user-policy", "--user-name", user_name, "--policy-name", "by-hand", "--policy-document", GET]).await?;
    iam(&["attach-user-policy", "--user-name", user_name, "--policy-arn", "arn:aws:iam::aws:policy/ReadOnlyAccess"]).await?;
    Ok(())
}

/// Waits until the document of the account's policy holds a text.
async fn policy_says(tenant: &Tenant<'_>, account: &Account, text: &str) -> Result<()> {
    let found = || async {
        let policies = tenant.state(account).await?.policies;
        Ok(Seen::from_option(policies.iter().any(|policy| policy.to_string().contains(text)).then_some(()), || format!("{policies:?}")))
    };
    tenant.world.testbed.wait_for(&format!("a policy says {text}"), found).await
}

#[tokio::test]
async fn it_suffices_for_everything_that_the_operator_does() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let utils = prepared(&tenant, "utils", &["--allowed-group=/people/joiners"]).await?;
    let prod = prepared(&tenant, "prod", &["--installation", INSTALLATION]).await?;
    tenant.apply(&utils.manifest(&tenant.only_here(), "guardrails: {joinableGroups: [joiners]}")).await?;
    utils.iam.create_group().group_name("joiners").path("/people/").send().await?;
    let before = (tenant.state(&utils).await?, tenant.state(&prod).await?);
    let since = world.last_call().await?;

    let permissions = |inline: &str, attached: &str| {
        format!(
            "permissions: {{attachedPolicies: [{attached}], inlinePolicies: [{{name: {inline}, json: '{LIST}'}}], \
             customerManagedPolicies: [{{name: objects, configMapKeyRef: {{name: policies, key: objects.json}}}}]}}"
        )
    };
    let sources = "{user: {name: alice}}";
    let first = format!("description: one, tags: {{a: '1'}}, {}", permissions("old", "ReadOnlyAccess"));
    tenant.apply(&(config_map("policies", "objects.json", LIST) + "\n" + &bastion_user("alice", &utils, "tags: {a: '1'}"))).await?;
    tenant.apply(&cross_account_role("reader", &prod, sources, &first)).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    let alice = new_key(&utils.iam, "alice").await?;
    ensure!(world.may_assume(&alice, &prod.arn("role/reader")).await?);

    // Everything about them changes, and back, so that what was added is taken away as well.
    let boundary = "permissionsBoundaryARN: 'arn:aws:iam::aws:policy/PowerUserAccess'";
    let second = format!("description: two, maxSessionDuration: 2h, tags: {{b: '2'}}, {boundary}, {}", permissions("new", "PowerUserAccess"));
    let two_sources = "{user: {name: alice}}, {user: {name: bob}}";
    tenant.apply(&config_map("policies", "objects.json", GET)).await?;
    policy_says(&tenant, &prod, "s3:GetObject").await?;
    let users = bastion_user("alice", &utils, &format!("tags: {{b: '2'}}, {boundary}")) + &bastion_user("bob", &utils, "");
    tenant.apply(&(users + &cross_account_role("reader", &prod, two_sources, &second))).await?;
    tenant.ready(&tenant.users(), "alice").await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    let state = tenant.state(&prod).await?;
    let made = role(&state, "reader").context("no role")?;
    assert_eq!(trusted(made), [utils.arn("user/alice"), utils.arn("user/bob")]);
    assert_eq!((&made["description"], &made["tags"]["b"]), (&json!("two"), &json!("2")));
    let again = bastion_user("alice", &utils, "tags: {a: '1'}, groups: [joiners], permissions: {attachedPolicies: [ReadOnlyAccess]}");
    tenant.apply(&(again + &cross_account_role("reader", &prod, sources, &first))).await?;
    tenant.ready(&tenant.users(), "alice").await?;
    tenant.ready(&tenant.roles(), "reader").await?;

    by_hand(world, &utils, "alice", "/").await?;
    tenant.delete(&["crossaccountrole/reader", "bastionuser/alice", "bastionuser/bob"]).await?;
    world.aws(&utils.administrator, &["iam", "delete-group", "--group-name", "staff"]).await?;
    assert_eq!((tenant.state(&utils).await?, tenant.state(&prod).await?), before);
    assert_eq!(refused(world, &[&utils, &prod]).await?, Vec::<String>::new());
    // All kinds of writes were among it.
    let (writes, _) = world.counts_in(&[&utils, &prod], since).await?;
    let kinds = once(&[
        "AddUserToGroup",
        "AttachRolePolicy",
        "AttachUserPolicy",
        "CreatePolicy",
        "CreatePolicyVersion",
        "CreateRole",
        "CreateUser",
        "DeleteAccessKey",
        "DeleteLoginProfile",
        "DeletePolicy",
        "DeletePolicyVersion",
        "DeleteRole",
        "DeleteRolePermissionsBoundary",
        "DeleteRolePolicy",
        "DeleteUser",
        "DeleteUserPermissionsBoundary",
        "DeleteUserPolicy",
        "DetachRolePolicy",
        "DetachUserPolicy",
        "PutRolePermissionsBoundary",
        "PutRolePolicy",
        "PutUserPermissionsBoundary",
        "PutUserPolicy",
        "RemoveUserFromGroup",
        "TagPolicy",
        "TagRole",
        "TagUser",
        "UntagPolicy",
        "UntagRole",
        "UntagUser",
        "UpdateAssumeRolePolicy",
        "UpdateRole",
    ]);
    assert_eq!(writes.keys().collect::<Vec<_>>(), kinds.keys().collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn whoever_takes_it_over_can_change_neither_itself_nor_what_nobody_made_with_it() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let account = prepared(&tenant, "utils", &["--installation", INSTALLATION, "--allowed-group=staff"]).await?;
    tenant.apply(&bastion_user("alice", &account, "")).await?;
    tenant.ready(&tenant.users(), "alice").await?;
    account.iam.create_user().user_name("foreign").send().await?;
    for (group, path) in [("staff", "/"), ("admins", "/"), ("staff-of-others", "/people/")] {
        account.iam.create_group().group_name(group).path(path).send().await?;
    }
    account.iam.create_policy().policy_name("foreign").policy_document(LIST).send().await?;
    let policy = account.arn("policy/foreign");
    let before = tenant.state(&account).await?;

    let manager = world.manager_of(&account).await?;
    let all = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;
    let theirs = ["Key=rolebridge.io/installation,Value=another", "Key=a,Value=1"];
    for call in [
        vec!["put-role-policy", "--role-name=rolebridge", "--policy-name=manage-iam", "--policy-document", all],
        vec!["update-assume-role-policy", "--role-name=rolebridge", "--policy-document", all],
        vec!["tag-role", "--role-name=rolebridge", "--tags", "Key=rolebridge.io/installation,Value=e2e"],
        vec!["delete-role-policy", "--role-name=rolebridge", "--policy-name=manage-iam"],
        vec!["create-user", "--user-name=untagged"],
        vec!["create-user", "--user-name=theirs", "--tags", theirs[0]],
        vec!["tag-user", "--user-name=foreign", "--tags", theirs[1]],
        vec!["put-user-policy", "--user-name=foreign", "--policy-name=all", "--policy-document", all],
        vec!["delete-user", "--user-name=foreign"],
        vec!["create-policy-version", "--set-as-default", "--policy-document", all, "--policy-arn", &policy],
        vec!["create-access-key", "--user-name=alice"],
        vec!["add-user-to-group", "--user-name=alice", "--group-name=admins"],
        vec!["add-user-to-group", "--user-name=alice", "--group-name=staff-of-others"],
        vec!["add-user-to-group", "--user-name=foreign", "--group-name=admins"],
        vec!["create-group", "--group-name=new"],
        vec!["put-group-policy", "--group-name=staff", "--policy-name=all", "--policy-document", all],
        vec!["list-groups"],
    ] {
        world.aws_denies(&manager, &[&["iam"], call.as_slice()].concat()).await?;
    }
    assert_eq!(tenant.state(&account).await?, before);
    // It is the calls that were refused, not the session.
    world.aws(&manager, &["iam", "get-user", "--user-name=foreign"]).await?;
    world.aws(&manager, &["iam", "tag-user", "--user-name=alice", "--tags", theirs[1]]).await?;
    world.aws(&manager, &["iam", "add-user-to-group", "--user-name=alice", "--group-name=staff"]).await?;

    // Nobody but the operator assumes it, and the operator only with the external ID.
    let role = account.management_role();
    let assume = ["sts", "assume-role", "--role-session-name=taken-over", "--role-arn", &role];
    let with_id = [assume.as_slice(), &["--external-id", &account.external_id]].concat();
    world.aws_denies(world.operator_credentials(), &assume).await?;
    world.aws_denies(&account.administrator, &with_id).await?;
    world.aws(world.operator_credentials(), &with_id).await?;
    Ok(())
}

#[tokio::test]
async fn with_a_path_and_a_boundary_everything_is_limited_to_them() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let account = tenant.bare_account("limited").await?;
    let boundary = account.arn("policy/rolebridge/boundary");
    let create = ["iam", "create-policy", "--policy-name=boundary", "--path=/rolebridge/", "--policy-document", LIST];
    world.aws(&account.administrator, &create).await?;
    let limits = ["--path-prefix=/rolebridge/", "--permissions-boundary", &boundary, "--installation", INSTALLATION];
    put_in_place(world, &account, &printed(world, &account, &limits).await?).await?;
    tenant.apply(&account.manifest(&tenant.only_here(), "")).await?;
    let before = tenant.state(&account).await?;

    // Below the path and bounded, all is as ever.
    let here = format!("path: /rolebridge/team/, permissionsBoundaryARN: '{boundary}'");
    let managed = "customerManagedPolicies: [{name: objects, configMapKeyRef: {name: policies, key: objects.json}}]";
    let inline = format!("inlinePolicies: [{{name: list, json: '{LIST}'}}]");
    let reader = |permissions: &str| cross_account_role("reader", &account, "{user: {name: alice}}", &format!("{here}, {permissions}"));
    tenant.apply(&(config_map("policies", "objects.json", LIST) + "\n" + &bastion_user("alice", &account, &here))).await?;
    tenant.apply(&reader(&format!("permissions: {{{managed}, attachedPolicies: [ReadOnlyAccess]}}"))).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    tenant.apply(&config_map("policies", "objects.json", GET)).await?;
    policy_says(&tenant, &account, "s3:GetObject").await?;
    tenant
        .apply(&(bastion_user("alice", &account, &format!("tags: {{a: '1'}}, {here}")) + &reader(&format!("permissions: {{{managed}, {inline}}}"))))
        .await?;
    tenant.ready(&tenant.users(), "alice").await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    ensure!(world.may_assume(&new_key(&account.iam, "alice").await?, &account.arn("role/rolebridge/team/reader")).await?);
    assert_eq!(refused(world, &[&account]).await?, Vec::<String>::new());

    // Outside of the path, or without the boundary, nothing is made, and the resource says what is missing.
    tenant.apply(&bastion_user("outside", &account, &format!("permissionsBoundaryARN: '{boundary}'"))).await?;
    tenant.apply(&bastion_user("unbounded", &account, "path: /rolebridge/")).await?;
    tenant.apply(&cross_account_role("beside", &account, "{user: {name: alice}}", &here.replace("/rolebridge/", "/rolebridge-too/"))).await?;
    for (name, what) in [("outside", "user/outside"), ("unbounded", "user/rolebridge/unbounded")] {
        let told = tenant.concluded(&tenant.users(), name, "AccessDenied").await?;
        assert_told(&told, "Stalled", &["iam:CreateUser", &account.arn(what)])?;
    }
    let told = tenant.concluded(&tenant.roles(), "beside", "AccessDenied").await?;
    assert_told(&told, "Stalled", &["iam:CreateRole", &account.arn("role/rolebridge-too/team/beside")])?;
    let state = tenant.state(&account).await?;
    ensure!(["outside", "unbounded"].iter().all(|name| user(&state, name).is_none()) && role(&state, "beside").is_none());

    escapes_fail(world, &account, &boundary).await?;
    assert_eq!(tenant.state(&account).await?, state);

    // A group anywhere holds up no deletion.
    by_hand(world, &account, "alice", "/people/").await?;
    let users = ["bastionuser/alice", "bastionuser/outside", "bastionuser/unbounded"];
    tenant.delete(&[&["crossaccountrole/reader", "crossaccountrole/beside"], users.as_slice()].concat()).await?;
    world.aws(&account.administrator, &["iam", "delete-group", "--group-name", "staff"]).await?;
    assert_eq!(tenant.state(&account).await?, before);
    Ok(())
}

/// With the management role in hand, neither the boundary nor what it bounds can be loosened.
async fn escapes_fail(world: &World, account: &Account, boundary: &str) -> Result<()> {
    let manager: Credentials = world.manager_of(account).await?;
    let all = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;
    let tag = "Key=rolebridge.io/installation,Value=e2e";
    let wide = "arn:aws:iam::aws:policy/AdministratorAccess";
    for call in [
        vec!["delete-user-permissions-boundary", "--user-name=alice"],
        vec!["delete-role-permissions-boundary", "--role-name=reader"],
        vec!["put-user-permissions-boundary", "--user-name=alice", "--permissions-boundary", wide],
        vec!["create-policy-version", "--set-as-default", "--policy-document", all, "--policy-arn", boundary],
        vec!["tag-policy", "--tags", tag, "--policy-arn", boundary],
        vec!["delete-policy", "--policy-arn", boundary],
        vec!["create-user", "--user-name=unbounded", "--path=/rolebridge/", "--tags", tag],
        vec!["create-user", "--user-name=wide", "--path=/rolebridge/", "--tags", tag, "--permissions-boundary", wide],
        vec!["put-role-policy", "--role-name=rolebridge", "--policy-name=all", "--policy-document", all],
    ] {
        world.aws_denies(&manager, &[&["iam"], call.as_slice()].concat()).await?;
    }
    // Bounded, it may be given anything.
    world.aws(&manager, &["iam", "attach-user-policy", "--user-name=alice", "--policy-arn", wide]).await?;
    world.aws(&manager, &["iam", "detach-user-policy", "--user-name=alice", "--policy-arn", wide]).await?;
    Ok(())
}
