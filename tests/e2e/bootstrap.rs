//! `rolebridge bootstrap`: the management role that it prints, put in place with the real AWS CLI, suffices for all that the operator does
//! and for nothing beside; and so do the operator's policy, the boundary and the service control policy for what each is for.

use anyhow::{Context, Result, ensure};
use rolebridge_testbed::{Credentials, Seen};
use serde_json::{Value, json};

use crate::support::{
    Account, INSTALLATION, LIST, Tenant, World, assert_told, bastion_user, bootstrap, config_map, cross_account_role, new_key, once, role, trusted,
    user,
};

/// Allows everything.
const ALL: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;
const ADMINISTRATOR_ACCESS: &str = "arn:aws:iam::aws:policy/AdministratorAccess";
/// The operator's owner tag.
const OURS: &str = "Key=rolebridge.io/installation,Value=e2e";
const GET: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}"#;

/// What `rolebridge bootstrap` prints for an account, with further arguments.
async fn printed(world: &World, account: &Account, more: &[&str]) -> Result<Value> {
    let known = ["--operator-principal", &world.operator_arn(), "--external-id", &account.external_id];
    printed_as(account, &[known.as_slice(), more].concat()).await
}

/// The same, where the arguments name the operator.
async fn printed_as(account: &Account, arguments: &[&str]) -> Result<Value> {
    bootstrap(&[["--account-id", &account.id].as_slice(), arguments].concat()).await
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

/// A policy, as it is printed; returns its ARN.
async fn put_policy(world: &World, account: &Account, printed: &Value) -> Result<String> {
    let text = |name: &str| printed[name].as_str().with_context(|| format!("no {name}"));
    let (name, path, document) = (text("policyName")?, text("path")?, printed["policyDocument"].to_string());
    let create = ["iam", "create-policy", "--policy-name", name, "--path", path, "--policy-document", &document];
    let made = world.aws(&account.administrator, &create).await?;
    let arn = text("policyARN")?;
    ensure!(made["Policy"]["Arn"] == arn, "{made}");
    Ok(arn.to_owned())
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
    tenant.apply(&utils.manifest(&tenant.only_here(), "guardrails: {allowedGroups: [joiners]}")).await?;
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
    let all = ALL;
    let theirs = ["Key=rolebridge.io/installation,Value=another", "Key=a,Value=1"];
    for call in [
        vec!["put-role-policy", "--role-name=rolebridge", "--policy-name=manage-iam", "--policy-document", all],
        vec!["update-assume-role-policy", "--role-name=rolebridge", "--policy-document", all],
        vec!["tag-role", "--role-name=rolebridge", "--tags", OURS],
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
    for (name, what, advice) in [
        ("outside", "user/outside", "only below a path: then declare spec.path"),
        ("unbounded", "user/rolebridge/unbounded", "only under a permissions boundary: then declare spec.permissionsBoundaryARN"),
    ] {
        let told = tenant.concluded(&tenant.users(), name, "AccessDenied").await?;
        assert_told(&told, "Stalled", &["iam:CreateUser", &account.arn(what), advice])?;
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
    let (all, tag, wide) = (ALL, OURS, ADMINISTRATOR_ACCESS);
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

#[tokio::test]
async fn the_operators_own_user_may_manage_the_account_and_change_neither_itself_nor_its_policy() -> Result<()> {
    let world = World::shared().await?;
    let tenant = world.tenant().await?;
    let account = tenant.bare_account("home").await?;
    let user = account.arn("user/rolebridge/keys");
    let iam = async |args: &[&str]| world.aws(&account.administrator, &[&["iam"], args].concat()).await;
    let limits = ["--print=operator", "--operator-principal", &user, "--path-prefix=/rolebridge/", "--installation", INSTALLATION];
    // As far as paths and tags go, it could do everything with itself: somebody has tagged it, as whoever has the policy would do first.
    iam(&["create-user", "--user-name=keys", "--path=/rolebridge/", "--tags", OURS]).await?;
    let policy = put_policy(world, &account, &printed_as(&account, &limits).await?).await?;
    iam(&["tag-policy", "--policy-arn", &policy, "--tags", OURS]).await?;
    iam(&["attach-user-policy", "--user-name=keys", "--policy-arn", &policy]).await?;
    let keys = new_key(&account.iam, "keys").await?;
    let before = tenant.state(&account).await?;

    for call in [
        vec!["put-user-policy", "--user-name=keys", "--policy-name=all", "--policy-document", ALL],
        vec!["attach-user-policy", "--user-name=keys", "--policy-arn", ADMINISTRATOR_ACCESS],
        vec!["detach-user-policy", "--user-name=keys", "--policy-arn", &policy],
        vec!["put-user-permissions-boundary", "--user-name=keys", "--permissions-boundary", ADMINISTRATOR_ACCESS],
        vec!["tag-user", "--user-name=keys", "--tags", "Key=a,Value=1"],
        vec!["untag-user", "--user-name=keys", "--tag-keys", "rolebridge.io/installation"],
        vec!["create-access-key", "--user-name=keys"],
        vec!["delete-access-key", "--user-name=keys", "--access-key-id", &keys.access_key_id],
        vec!["create-login-profile", "--user-name=keys", "--password=correct-Horse-7-battery"],
        vec!["update-user", "--user-name=keys", "--new-user-name=other"],
        vec!["delete-user", "--user-name=keys"],
        vec!["create-policy-version", "--set-as-default", "--policy-document", ALL, "--policy-arn", &policy],
        vec!["tag-policy", "--tags", "Key=a,Value=1", "--policy-arn", &policy],
        vec!["delete-policy", "--policy-arn", &policy],
    ] {
        world.aws_denies(&keys, &[&["iam"], call.as_slice()].concat()).await?;
    }
    assert_eq!(tenant.state(&account).await?, before);
    // With others it may do all of that.
    let calls: [&[&str]; 4] = [
        &["create-user", "--user-name=other", "--path=/rolebridge/", "--tags", OURS],
        &["put-user-policy", "--user-name=other", "--policy-name=all", "--policy-document", ALL],
        &["delete-user-policy", "--user-name=other", "--policy-name=all"],
        &["delete-user", "--user-name=other"],
    ];
    for call in calls {
        world.aws(&keys, &[&["iam"], call].concat()).await?;
    }
    Ok(())
}

/// An account with a management role, limited to a path and to the boundary that is printed; returns the ARN of that, too.
async fn bounded(tenant: &Tenant<'_>, name: &str) -> Result<(Account, String)> {
    let (world, account) = (tenant.world, tenant.bare_account(name).await?);
    let boundary = account.arn("policy/rolebridge-boundary");
    let limits = ["--path-prefix=/rolebridge/", "--permissions-boundary", &boundary, "--installation", INSTALLATION];
    let printed_boundary = printed(world, &account, &[limits.as_slice(), &["--print=boundary"]].concat()).await?;
    assert_eq!(put_policy(world, &account, &printed_boundary).await?, boundary);
    put_in_place(world, &account, &printed(world, &account, &limits).await?).await?;
    tenant.apply(&account.manifest(&tenant.only_here(), "")).await?;
    tenant.ready(&tenant.accounts(), &account.name).await?;
    Ok((account, boundary))
}

#[tokio::test]
async fn statement_36_who_has_the_printed_boundary_assumes_roles_of_tenants_and_changes_no_iam_whatever_it_is_given() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let ((utils, of_utils), (prod, of_prod)) = (bounded(&tenant, "utils").await?, bounded(&tenant, "prod").await?);
    let fields = |boundary: &str| {
        format!("path: /rolebridge/, permissionsBoundaryARN: '{boundary}', permissions: {{attachedPolicies: [AdministratorAccess]}}")
    };
    tenant.apply(&bastion_user("alice", &utils, &fields(&of_utils))).await?;
    tenant.apply(&cross_account_role("reader", &prod, "{user: {name: alice}}", &fields(&of_prod))).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    let alice = new_key(&utils.iam, "alice").await?;
    let reader = world.assume(&alice, &prod.arn("role/rolebridge/reader"), |asking| asking).await?.context("alice may not assume reader")?;

    // Now management roles trust them, too, and so does a role that no tenant has made.
    let them = [utils.arn("user/rolebridge/alice"), prod.arn("role/rolebridge/reader")];
    let trust =
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": them}, "Action": "sts:AssumeRole"}}).to_string();
    for account in [&utils, &prod] {
        account.iam.update_assume_role_policy().role_name("rolebridge").policy_document(&trust).send().await?;
    }
    prod.iam.create_role().role_name("of-others").assume_role_policy_document(&trust).send().await?;
    let before = (tenant.state(&utils).await?, tenant.state(&prod).await?);
    for (who, own, boundary) in [(&alice, "user", &of_utils), (&reader, "role", &of_prod)] {
        let name = if own == "user" { "alice" } else { "reader" };
        let of = |operation: &str| operation.replace("OWN", own);
        let own_name = format!("--{own}-name={name}");
        for call in [
            vec!["create-user", "--user-name=new"],
            vec!["create-role", "--role-name=new", "--assume-role-policy-document", &trust],
            vec!["create-access-key", "--user-name=alice"],
            vec!["create-login-profile", "--user-name=alice", "--password=correct-Horse-7-battery"],
            vec!["create-policy", "--policy-name=new", "--policy-document", ALL],
            vec!["create-policy-version", "--set-as-default", "--policy-document", ALL, "--policy-arn", boundary],
            vec![&of("delete-OWN-permissions-boundary"), &own_name],
            vec![&of("put-OWN-permissions-boundary"), &own_name, "--permissions-boundary", ADMINISTRATOR_ACCESS],
            vec![&of("put-OWN-policy"), &own_name, "--policy-name=all", "--policy-document", ALL],
            vec![&of("detach-OWN-policy"), &own_name, "--policy-arn", ADMINISTRATOR_ACCESS],
            vec![&of("tag-OWN"), &own_name, "--tags", OURS],
            vec!["update-assume-role-policy", "--role-name=rolebridge", "--policy-document", &trust],
            vec!["put-role-policy", "--role-name=rolebridge", "--policy-name=all", "--policy-document", ALL],
        ] {
            world.aws_denies(who, &[&["iam"], call.as_slice()].concat()).await?;
        }
        for role in [utils.management_role(), prod.management_role(), prod.arn("role/of-others")] {
            ensure!(!world.may_assume(who, &role).await?, "{name} may assume {role}");
        }
        // It is these that are left out, and no more.
        world.aws(who, &["iam", "get-role", "--role-name=rolebridge"]).await?;
        world.aws(who, &["s3api", "list-buckets"]).await?;
    }
    assert_eq!((tenant.state(&utils).await?, tenant.state(&prod).await?), before);
    // It was the boundary that stood in the way.
    utils.iam.delete_user_permissions_boundary().user_name("alice").send().await?;
    ensure!(world.may_assume(&alice, &utils.management_role()).await?);
    Ok(())
}

#[tokio::test]
async fn under_the_printed_service_control_policy_only_administrators_change_the_management_role_and_the_boundary() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (account, boundary) = bounded(&tenant, "member").await?;
    let iam = async |args: &[&str]| world.aws(&account.administrator, &[&["iam"], args].concat()).await;
    iam(&["create-user", "--user-name=platform", "--path=/platform/"]).await?;
    iam(&["attach-user-policy", "--user-name=platform", "--policy-arn", ADMINISTRATOR_ACCESS]).await?;
    let platform = new_key(&account.iam, "platform").await?;
    let arguments =
        ["--print=scp", "--administrator=arn:aws:iam::*:user/platform/*", "--permissions-boundary", &boundary, "--path-prefix=/rolebridge/"];
    let policy = printed(world, &account, &arguments).await?["policyDocument"].clone();
    let full_access = serde_json::from_str(ALL)?;
    world.testbed.aws.set_service_control_policies(&account.id, &[vec![full_access, policy]]).await?;

    let changes = [
        vec!["update-assume-role-policy", "--role-name=rolebridge", "--policy-document", ALL],
        vec!["put-role-policy", "--role-name=rolebridge", "--policy-name=all", "--policy-document", ALL],
        vec!["attach-role-policy", "--role-name=rolebridge", "--policy-arn", ADMINISTRATOR_ACCESS],
        vec!["tag-role", "--role-name=rolebridge", "--tags", "Key=a,Value=1"],
        vec!["delete-role-policy", "--role-name=rolebridge", "--policy-name=manage-iam"],
        vec!["create-policy-version", "--set-as-default", "--policy-document", ALL, "--policy-arn", &boundary],
        vec!["tag-policy", "--tags", "Key=a,Value=1", "--policy-arn", &boundary],
        vec!["delete-policy", "--policy-arn", &boundary],
    ];
    let before = tenant.state(&account).await?;
    for call in &changes {
        world.aws_denies(&account.administrator, &[&["iam"], call.as_slice()].concat()).await?;
    }
    assert_eq!(tenant.state(&account).await?, before);
    iam(&["get-role", "--role-name=rolebridge"]).await?;
    iam(&["create-user", "--user-name=another"]).await?;
    // The operator works as ever, with the boundary.
    let fields = format!("path: /rolebridge/, permissionsBoundaryARN: '{boundary}'");
    tenant.apply(&bastion_user("alice", &account, &fields)).await?;
    tenant.ready(&tenant.users(), "alice").await?;
    world.manager_of(&account).await?;
    for name in ["tag-role", "tag-policy"] {
        let call = changes.iter().find(|call| call[0] == name).context("no such call")?;
        world.aws(&platform, &[&["iam"], call.as_slice()].concat()).await?;
    }
    Ok(())
}
