//! Least privilege: paths, boundaries, tags and policies as conditions on calls to IAM.

use axum::http::Method;
use serde_json::{Value, json};

use crate::client::{Client, Sim, UTILS, trust};

const READ_ONLY: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";

async fn manager(account: &Client, statements: Value) -> Client {
    let manager = account.user("manager").await;
    let document = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    account.iam("PutUserPolicy", &[("UserName", "manager"), ("PolicyName", "p"), ("PolicyDocument", &document)]).await.ok();
    manager
}

#[tokio::test]
async fn creation_can_be_limited_by_path_and_boundary() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let statement = json!([{"Effect": "Allow", "Action": "iam:CreateRole", "Resource": format!("arn:aws:iam::{UTILS}:role/rb/*"),
        "Condition": {"StringEquals": {"iam:PermissionsBoundary": READ_ONLY}}}]);
    let manager = manager(&utils, statement).await;
    let trust = trust(json!(UTILS));
    let create = |name: &'static str, path: &'static str, boundary: Option<&'static str>| {
        let (manager, trust) = (manager.clone(), trust.clone());
        async move {
            let mut parameters = vec![("RoleName", name), ("Path", path), ("AssumeRolePolicyDocument", trust.as_str())];
            parameters.extend(boundary.map(|boundary| ("PermissionsBoundary", boundary)));
            manager.iam("CreateRole", &parameters).await
        }
    };
    create("a", "/rb/", Some(READ_ONLY)).await.ok();
    create("b", "/rb/sub/", Some(READ_ONLY)).await.ok();
    let refused = create("c", "/", Some(READ_ONLY)).await;
    assert_eq!(
        refused.message(),
        format!(
            "User: arn:aws:iam::{UTILS}:user/manager is not authorized to perform: iam:CreateRole on resource: \
             arn:aws:iam::{UTILS}:role/c because no identity-based policy allows the iam:CreateRole action"
        )
    );
    for boundary in [None, Some("arn:aws:iam::aws:policy/AdministratorAccess")] {
        assert_eq!(create("d", "/rb/", boundary).await.code(), "AccessDenied");
    }
}

#[tokio::test]
async fn statement_48_tags_at_creation_need_the_tagging_permission() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let manager = manager(&utils, json!([{"Effect": "Allow", "Action": "iam:CreateUser", "Resource": "*"}])).await;
    manager.iam("CreateUser", &[("UserName", "plain")]).await.ok();
    let tagged = manager.iam("CreateUser", &[("UserName", "tagged"), ("Tags.member.1.Key", "a"), ("Tags.member.1.Value", "b")]).await;
    assert!(tagged.message().contains("iam:TagUser"), "{}", tagged.body);
}

#[tokio::test]
async fn attaching_can_be_limited_to_policies_and_changes_to_tagged_roles() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let statements = json!([
        {"Effect": "Allow", "Action": "iam:AttachRolePolicy", "Resource": "*",
            "Condition": {"ArnLike": {"iam:PolicyARN": "arn:aws:iam::aws:policy/Read*"}}},
        {"Effect": "Allow", "Action": "iam:UpdateRole", "Resource": "*", "Condition": {"StringEquals": {"iam:ResourceTag/owner": "us"}}},
        {"Effect": "Allow", "Action": "iam:DeleteRole", "Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/owner": "us"}}},
        {"Effect": "Allow", "Action": "iam:TagRole", "Resource": "*", "Condition": {"StringEquals": {"aws:RequestTag/owner": "us"}}}
    ]);
    let manager = manager(&utils, statements).await;
    utils.role("r", &trust(json!(UTILS))).await;
    let role = ("RoleName", "r");
    manager.iam("AttachRolePolicy", &[role, ("PolicyArn", READ_ONLY)]).await.ok();
    let admin = manager.iam("AttachRolePolicy", &[role, ("PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess")]).await;
    assert_eq!(admin.code(), "AccessDenied");
    utils.iam("DetachRolePolicy", &[role, ("PolicyArn", READ_ONLY)]).await.ok();

    assert_eq!(manager.iam("UpdateRole", &[role]).await.code(), "AccessDenied");
    assert_eq!(manager.iam("DeleteRole", &[role]).await.code(), "AccessDenied");
    let tag = |value: &'static str| [role, ("Tags.member.1.Key", "owner"), ("Tags.member.1.Value", value)];
    assert_eq!(manager.iam("TagRole", &tag("them")).await.code(), "AccessDenied");
    manager.iam("TagRole", &tag("us")).await.ok();
    manager.iam("UpdateRole", &[role]).await.ok();
    manager.iam("DeleteRole", &[role]).await.ok();
}

#[tokio::test]
async fn statement_47_membership_is_authorised_on_the_group() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let statement = json!([{"Effect": "Allow", "Action": "iam:AddUserToGroup", "Resource": format!("arn:aws:iam::{UTILS}:group/team/*")}]);
    let manager = manager(&utils, statement).await;
    utils.iam("CreateGroup", &[("GroupName", "ours"), ("Path", "/team/")]).await.ok();
    utils.iam("CreateGroup", &[("GroupName", "admins")]).await.ok();
    manager.iam("AddUserToGroup", &[("UserName", "manager"), ("GroupName", "ours")]).await.ok();
    let refused = manager.iam("AddUserToGroup", &[("UserName", "manager"), ("GroupName", "admins")]).await;
    assert!(refused.message().contains(&format!("on resource: arn:aws:iam::{UTILS}:group/admins")), "{}", refused.body);
}

#[tokio::test]
async fn an_explicit_deny_says_so() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let statements = json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Effect": "Deny", "Action": "iam:ListUsers", "Resource": "*"}]);
    let manager = manager(&utils, statements).await;
    manager.iam("ListRoles", &[]).await.ok();
    assert!(manager.iam("ListUsers", &[]).await.message().ends_with("with an explicit deny in an identity-based policy"));
}

#[tokio::test]
async fn statement_67_a_managed_policy_that_denies_is_named() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let manager = manager(&utils, json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}])).await;
    let deny = json!({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "iam:ListUsers", "Resource": "*"}}).to_string();
    let policy = utils.iam("CreatePolicy", &[("PolicyName", "no"), ("PolicyDocument", &deny)]).await.ok().text("Arn");
    utils.iam("AttachUserPolicy", &[("UserName", "manager"), ("PolicyArn", &policy)]).await.ok();
    let refused = manager.iam("ListUsers", &[]).await.message();
    assert!(refused.ends_with(&format!("with an explicit deny in an identity-based policy: {policy}")), "{refused}");
    utils.iam("DetachUserPolicy", &[("UserName", "manager"), ("PolicyArn", &policy)]).await.ok();
    utils.iam("PutUserPermissionsBoundary", &[("UserName", "manager"), ("PermissionsBoundary", &policy)]).await.ok();
    let refused = manager.iam("ListUsers", &[]).await.message();
    assert!(refused.ends_with(&format!("with an explicit deny in a permissions boundary: {policy}")), "{refused}");
    assert!(manager.iam("ListRoles", &[]).await.message().ends_with("because no permissions boundary allows the iam:ListRoles action"));
}

#[tokio::test]
async fn listing_buckets_is_list_all_my_buckets() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let wrong = json!([{"Effect": "Allow", "Action": "s3:ListBuckets", "Resource": "*"}]);
    let manager = manager(&utils, wrong).await;
    let refused = manager.s3(Method::GET, "/").await;
    assert_eq!(refused.code(), "AccessDenied");
    assert!(refused.message().ends_with("because no identity-based policy allows the s3:ListAllMyBuckets action"));
    utils.allow_user("manager", json!("s3:ListAllMyBuckets")).await;
    manager.s3(Method::GET, "/").await.ok();
}

#[tokio::test]
async fn a_bucket_of_another_account_needs_both_sides() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    prod.s3(Method::PUT, "/prod-bucket").await.ok();
    let refused = utils.s3(Method::GET, "/prod-bucket").await;
    assert_eq!(refused.code(), "AccessDenied");
    assert!(refused.message().contains("no resource-based policy allows the s3:ListBucket action"), "{}", refused.body);
    prod.s3(Method::GET, "/prod-bucket").await.ok();
}

#[tokio::test]
async fn what_is_not_simulated_says_so() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    assert_eq!(utils.iam("InventRole", &[]).await.code(), "InvalidAction");
    assert_eq!(utils.sts("AssumeRoleWithSAML", &[]).await.code(), "InvalidAction");
    assert_eq!(utils.try_call("ec2", "DescribeInstances", &[]).await.unwrap().code(), "UnknownService");
}
