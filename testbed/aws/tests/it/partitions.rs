//! Accounts in another partition than `aws`.

use serde_json::{Value, json};

use crate::{
    client::{Client, Sim, UTILS, role_arn, trust},
    outsiders::{assume, token},
};

const CHINA: &str = "444444444444";
const BEIJING: &str = "555555555555";
const READ_ONLY: &str = "arn:aws-cn:iam::aws:policy/ReadOnlyAccess";

async fn in_china(sim: &Sim, account_id: &str) -> Client {
    let created = sim.control("POST", "/accounts", json!({"accountID": account_id, "partition": "aws-cn"})).await;
    sim.client(created["accessKeyID"].as_str().unwrap(), created["secretAccessKey"].as_str().unwrap(), None)
}

#[tokio::test]
async fn every_arn_of_an_account_is_of_its_partition() {
    let sim = Sim::start().await;
    let china = in_china(&sim, CHINA).await;
    assert_eq!(china.sts("GetCallerIdentity", &[]).await.ok().text("Arn"), format!("arn:aws-cn:iam::{CHINA}:user/administrator"));
    let trust = trust(json!(CHINA));
    let document = crate::client::allow(json!("s3:*"), "*");
    for (operation, parameters, arn) in [
        ("CreateUser", vec![("UserName", "alice"), ("Path", "/team/")], "user/team/alice"),
        ("CreateGroup", vec![("GroupName", "g")], "group/g"),
        ("CreateRole", vec![("RoleName", "r"), ("AssumeRolePolicyDocument", trust.as_str())], "role/r"),
        ("CreatePolicy", vec![("PolicyName", "p"), ("PolicyDocument", document.as_str())], "policy/p"),
        ("CreateInstanceProfile", vec![("InstanceProfileName", "i")], "instance-profile/i"),
    ] {
        assert_eq!(china.iam(operation, &parameters).await.ok().text("Arn"), format!("arn:aws-cn:iam::{CHINA}:{arn}"));
    }
    let role = china.iam("GetRole", &[("RoleName", "r")]).await.ok();
    assert_eq!(role.document("AssumeRolePolicyDocument")["Statement"][0]["Principal"]["AWS"], json!(format!("arn:aws-cn:iam::{CHINA}:root")));
    let session = china.assume(&format!("arn:aws-cn:iam::{CHINA}:role/r"), &[]).await.ok();
    assert_eq!(session.text("Arn"), format!("arn:aws-cn:sts::{CHINA}:assumed-role/r/session"));
    let details = china.iam("GetAccountAuthorizationDetails", &[]).await.ok();
    assert!(!details.body.contains("arn:aws:"), "{}", details.body);
    let refused = china.user("nobody").await.iam("ListUsers", &[]).await.message();
    assert!(refused.contains(&format!("arn:aws-cn:iam::{CHINA}:user/")) && !refused.contains("arn:aws:"), "{refused}");
}

#[tokio::test]
async fn the_policies_of_aws_are_of_the_partition_too() {
    let sim = Sim::start().await;
    let china = in_china(&sim, CHINA).await;
    let alice = china.user("alice").await;
    let user = ("UserName", "alice");
    let trust = trust(json!(CHINA));
    for (operation, parameters) in [
        ("AttachUserPolicy", vec![user, ("PolicyArn", "arn:aws:iam::aws:policy/ReadOnlyAccess")]),
        ("PutUserPermissionsBoundary", vec![user, ("PermissionsBoundary", "arn:aws-us-gov:iam::444444444444:policy/own")]),
        (
            "CreateRole",
            vec![("RoleName", "r"), ("AssumeRolePolicyDocument", &trust), ("PermissionsBoundary", "arn:aws:iam::aws:policy/ReadOnlyAccess")],
        ),
    ] {
        let foreign = china.iam(operation, &parameters).await;
        assert_eq!((foreign.status, foreign.code(), foreign.message()), (400, "ValidationError".to_owned(), "Invalid ARN partition".to_owned()));
    }
    let document = crate::client::allow(json!("s3:*"), "arn:aws:s3:::b");
    let foreign = china.iam("PutUserPolicy", &[user, ("PolicyName", "p"), ("PolicyDocument", &document)]).await;
    assert_eq!(foreign.code(), "MalformedPolicyDocument");
    assert_eq!(foreign.message(), "Partition \"aws\" is not valid for resource \"arn:aws:s3:::b\".");
    let missing = china.iam("AttachUserPolicy", &[user, ("PolicyArn", "arn:aws-cn:iam::aws:policy/None")]).await;
    assert_eq!(missing.message(), "Policy arn:aws-cn:iam::aws:policy/None does not exist or is not attachable.");

    china.iam("AttachUserPolicy", &[user, ("PolicyArn", READ_ONLY)]).await.ok();
    china.iam("PutUserPermissionsBoundary", &[user, ("PermissionsBoundary", READ_ONLY)]).await.ok();
    alice.iam("ListUsers", &[]).await.ok();
    assert!(alice.iam("CreateUser", &[("UserName", "bob")]).await.message().contains("no identity-based policy"));
    assert_eq!(china.iam("ListAttachedUserPolicies", &[user]).await.ok().texts("PolicyArn"), [READ_ONLY]);
    assert_eq!(china.iam("GetUser", &[user]).await.ok().text("PermissionsBoundaryArn"), READ_ONLY);
    assert_eq!(china.iam("GetPolicy", &[("PolicyArn", READ_ONLY)]).await.ok().text("Arn"), READ_ONLY);
    assert_eq!(china.iam("ListEntitiesForPolicy", &[("PolicyArn", READ_ONLY)]).await.ok().texts("UserName"), ["alice"]);
    let details = china.iam("GetAccountAuthorizationDetails", &[]).await.ok();
    assert_eq!((details.text("PolicyArn"), details.text("PermissionsBoundaryArn")), (READ_ONLY.to_owned(), READ_ONLY.to_owned()));
    let state = sim.get("/state").await;
    let users = state["accounts"][CHINA]["users"].as_array().unwrap();
    let told = users.iter().find(|user| user["userName"] == "alice").unwrap();
    assert_eq!((&told["attachedPolicies"], &told["permissionsBoundary"]), (&json!([READ_ONLY]), &json!(READ_ONLY)));
    china.iam("DetachUserPolicy", &[user, ("PolicyArn", READ_ONLY)]).await.ok();
    assert_eq!(alice.iam("ListUsers", &[]).await.code(), "AccessDenied");
}

#[tokio::test]
async fn conditions_see_the_policies_of_the_partition() {
    let sim = Sim::start().await;
    let china = in_china(&sim, CHINA).await;
    let alice = china.user("alice").await;
    let statement =
        |action: &str, key: &str| json!({"Effect": "Allow", "Action": action, "Resource": "*", "Condition": {"ArnEquals": {key: READ_ONLY}}});
    let document = json!({"Version": "2012-10-17", "Statement": [
        statement("iam:AttachUserPolicy", "iam:PolicyARN"), statement("iam:DeleteUserPolicy", "iam:PermissionsBoundary")]});
    china.iam("PutUserPolicy", &[("UserName", "alice"), ("PolicyName", "p"), ("PolicyDocument", &document.to_string())]).await.ok();
    china.iam("CreateUser", &[("UserName", "bob"), ("PermissionsBoundary", READ_ONLY)]).await.ok();
    china.allow_user("bob", json!("s3:*")).await;
    alice.iam("AttachUserPolicy", &[("UserName", "bob"), ("PolicyArn", READ_ONLY)]).await.ok();
    alice.iam("DeleteUserPolicy", &[("UserName", "bob"), ("PolicyName", "allow")]).await.ok();
}

#[tokio::test]
async fn statement_10_trust_stays_within_a_partition() {
    let sim = Sim::start().await;
    let (utils, china, beijing) = (sim.account(UTILS).await, in_china(&sim, CHINA).await, in_china(&sim, BEIJING).await);
    for principal in [json!(UTILS), json!(format!("arn:aws:iam::{UTILS}:root")), json!(format!("arn:aws:iam::{BEIJING}:root"))] {
        let create = china.iam("CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", &trust(principal.clone()))]).await;
        assert_eq!(create.code(), "MalformedPolicyDocument", "{principal}");
    }
    china.role("r", &trust(json!(BEIJING))).await;
    beijing.assume(&format!("arn:aws-cn:iam::{CHINA}:role/r"), &[]).await.ok();
    china.role("open", &trust(json!("*"))).await;
    assert_eq!(utils.assume(&format!("arn:aws-cn:iam::{CHINA}:role/open"), &[]).await.code(), "AccessDenied");
    assert_eq!(beijing.assume(&role_arn(CHINA, "open"), &[]).await.code(), "AccessDenied");
}

#[tokio::test]
async fn an_account_stays_in_its_partition() {
    let sim = Sim::start().await;
    in_china(&sim, CHINA).await;
    in_china(&sim, CHINA).await;
    let create = async |body: Value| sim.control_status("POST", "/accounts", body).await.0;
    assert_eq!(create(json!({"accountID": CHINA})).await, 400);
    assert_eq!(create(json!({"accountID": UTILS, "partition": "aws-moon"})).await, 400);
}

#[tokio::test]
async fn statement_62_services_and_audiences_are_of_the_partition() {
    let sim = Sim::start().await;
    let china = in_china(&sim, CHINA).await;
    let of_service = |service: &str| {
        json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]})
        .to_string()
    };
    china.role("r", &of_service("ec2.amazonaws.com.cn")).await;
    china.role("s", &of_service("lambda.amazonaws.com")).await;
    let foreign = china.iam("CreateRole", &[("RoleName", "t"), ("AssumeRolePolicyDocument", &of_service("ec2.c2s.ic.gov"))]).await;
    assert_eq!(foreign.message(), "Invalid principal in policy: \"SERVICE\":\"ec2.c2s.ic.gov\"");
    let asked = json!({"service": "ec2.amazonaws.com.cn", "roleARN": format!("arn:aws-cn:iam::{CHINA}:role/r")});
    assert_eq!(sim.control("POST", "/service-assumptions", asked).await["allowed"], true);

    let github = "token.actions.githubusercontent.com";
    let provider = [("Url", "https://token.actions.githubusercontent.com"), ("ClientIDList.member.1", "sts.amazonaws.com.cn")];
    china.iam("CreateOpenIDConnectProvider", &provider).await.ok();
    let condition = json!({"StringEquals": {format!("{github}:aud"): "sts.amazonaws.com.cn", format!("{github}:sub"): "repo:team/app"}});
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Condition": condition,
        "Principal": {"Federated": format!("arn:aws-cn:iam::{CHINA}:oidc-provider/{github}")}}]});
    china.role("ci", &trust.to_string()).await;
    for (audience, allowed) in [("sts.amazonaws.com.cn", true), ("sts.amazonaws.com", false)] {
        let token = token(&sim, "repo:team/app", json!({"providerURL": format!("https://{github}"), "audience": audience})).await;
        let reply = assume(&sim, &format!("arn:aws-cn:iam::{CHINA}:role/ci"), &token).await;
        assert_eq!(reply.status == 200, allowed, "{audience}: {}", reply.body);
    }
}
