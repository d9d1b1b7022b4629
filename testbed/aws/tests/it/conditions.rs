//! How conditions are read where a key is missing, and what a policy without a version means.

use serde_json::{Value, json};

use crate::client::{Client, PROD, Sim, UTILS, role_arn, trust};

/// Whether `alice` may list users by a policy with this effect and condition. A denying policy comes with one that allows.
async fn may(utils: &Client, alice: &Client, effect: &str, condition: &Value) -> bool {
    let statement = |effect: &str, condition: &Value| json!({"Effect": effect, "Action": "iam:ListUsers", "Resource": "*", "Condition": condition});
    let mut statements = vec![statement(effect, condition)];
    if effect == "Deny" {
        statements.push(statement("Allow", &json!({})));
    }
    let document = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    utils.iam("PutUserPolicy", &[("UserName", "alice"), ("PolicyName", "p"), ("PolicyDocument", &document)]).await.ok();
    alice.iam("ListUsers", &[]).await.status == 200
}

#[tokio::test]
async fn statement_40_a_missing_key_makes_negated_and_if_exists_operators_true_and_the_rest_false() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let alice = utils.user("alice").await;
    for (operator, holds) in [
        ("StringEquals", false),
        ("StringLike", false),
        ("ArnLike", false),
        ("StringNotEquals", true),
        ("StringNotLike", true),
        ("ArnNotLike", true),
        ("StringEqualsIfExists", true),
        ("ForAllValues:StringEquals", true),
        ("ForAnyValue:StringEquals", false),
    ] {
        let condition = json!({ operator: {"aws:PrincipalTag/absent": "arn:aws:iam::1:user/x"} });
        assert_eq!(may(&utils, &alice, "Allow", &condition).await, holds, "Allow {operator}");
        assert_eq!(may(&utils, &alice, "Deny", &condition).await, !holds, "Deny {operator}");
    }
    assert!(may(&utils, &alice, "Allow", &json!({"Null": {"aws:PrincipalTag/absent": "true"}})).await);
    assert!(!may(&utils, &alice, "Allow", &json!({"Null": {"aws:PrincipalTag/absent": "false"}})).await);
}

#[tokio::test]
async fn statement_30_a_long_term_key_is_missed_by_a_deny_without_mfa_unless_it_says_if_exists() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let alice = utils.user("alice").await;
    assert!(may(&utils, &alice, "Deny", &json!({"Bool": {"aws:MultiFactorAuthPresent": "false"}})).await);
    assert!(!may(&utils, &alice, "Deny", &json!({"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}})).await);
    assert!(!may(&utils, &alice, "Allow", &json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}})).await);
}

#[tokio::test]
async fn statement_13_variables_of_a_trust_policy_are_literal_without_the_version_of_2012() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    let alice = utils.user("alice").await;
    utils.allow_user("alice", json!("sts:AssumeRole")).await;
    for (role, version, allowed) in [("new", Some("2012-10-17"), true), ("old", Some("2008-10-17"), false), ("none", None, false)] {
        let condition = json!({"StringEquals": {"sts:RoleSessionName": "${aws:username}"}});
        let statement = json!({"Effect": "Allow", "Principal": {"AWS": UTILS}, "Action": "sts:AssumeRole", "Condition": condition});
        let mut document = json!({"Statement": [statement]});
        if let Some(version) = version {
            document["Version"] = json!(version);
        }
        prod.role(role, &document.to_string()).await;
        let assumed = alice.assume(&role_arn(PROD, role), &[("RoleSessionName", "alice")]).await;
        assert_eq!(assumed.status == 200, allowed, "{version:?}: {}", assumed.body);
        // Policies of identities must have that version.
        document["Statement"] = json!([{"Effect": "Allow", "Action": "iam:GetUser", "Resource": "*"}]);
        let put = [("UserName", "alice"), ("PolicyName", "p"), ("PolicyDocument", &*document.to_string())];
        assert_eq!(utils.iam("PutUserPolicy", &put).await.status == 200, allowed, "{version:?}");
    }
}

#[tokio::test]
async fn tag_keys_are_those_that_are_set_or_removed_and_absent_otherwise() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let alice = utils.user("alice").await;
    utils.role("r", &trust(json!(UTILS))).await;
    let document = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["iam:TagRole", "iam:UntagRole"], "Resource": "*",
            "Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}},
        {"Effect": "Allow", "Action": "iam:GetRole", "Resource": "*", "Condition": {"Null": {"aws:TagKeys": "true"}}}]});
    utils.iam("PutUserPolicy", &[("UserName", "alice"), ("PolicyName", "p"), ("PolicyDocument", &document.to_string())]).await.ok();
    let role = ("RoleName", "r");
    for (key, status) in [("team", 200), ("owner", 403)] {
        assert_eq!(alice.iam("TagRole", &[role, ("Tags.member.1.Key", key), ("Tags.member.1.Value", "x")]).await.status, status);
        assert_eq!(alice.iam("UntagRole", &[role, ("TagKeys.member.1", key)]).await.status, status);
    }
    alice.iam("GetRole", &[role]).await.ok();
}

#[tokio::test]
async fn a_role_must_be_passed_to_an_instance_profile() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let alice = utils.user("alice").await;
    utils.role("r", &trust(json!(UTILS))).await;
    utils.iam("CreateInstanceProfile", &[("InstanceProfileName", "p")]).await.ok();
    let add = [("InstanceProfileName", "p"), ("RoleName", "r")];
    utils.allow_user("alice", json!("iam:AddRoleToInstanceProfile")).await;
    let refused = alice.iam("AddRoleToInstanceProfile", &add).await;
    assert!(refused.message().contains(&format!("iam:PassRole on resource: arn:aws:iam::{UTILS}:role/r")), "{}", refused.body);
    utils.allow_user("alice", json!(["iam:AddRoleToInstanceProfile", "iam:PassRole"])).await;
    alice.iam("AddRoleToInstanceProfile", &add).await.ok();
}
