//! Who may be named in a trust policy, and what becomes of names.

use serde_json::{Value, json};

use crate::client::{Client, PROD, Sim, UTILS, role_arn, trust, trust_if, user_arn};

async fn principals_of(account: &Client, role: &str) -> Value {
    let document = account.iam("GetRole", &[("RoleName", role)]).await.ok().document("AssumeRolePolicyDocument");
    document["Statement"][0]["Principal"]["AWS"].clone()
}

#[tokio::test]
async fn principals_must_exist_at_creation_and_at_change() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    utils.user("alice").await;
    prod.role("r", &trust(json!(user_arn(UTILS, "alice")))).await;
    for principal in [
        user_arn(UTILS, "nobody"),
        user_arn(UTILS, "*"),
        role_arn(UTILS, "nothing"),
        "999999999999".to_owned(),
        "arn:aws:iam::999999999999:root".to_owned(),
        "AIDAEXAMPLEEXAMPLEEX1".to_owned(),
    ] {
        let document = trust(json!(principal));
        let expected = format!("Invalid principal in policy: \"AWS\":\"{principal}\"");
        let create = prod.iam("CreateRole", &[("RoleName", "s"), ("AssumeRolePolicyDocument", &document)]).await;
        assert_eq!((create.code(), create.message()), ("MalformedPolicyDocument".to_owned(), expected.clone()));
        let update = prod.iam("UpdateAssumeRolePolicy", &[("RoleName", "r"), ("PolicyDocument", &document)]).await;
        assert_eq!((update.code(), update.message()), ("MalformedPolicyDocument".to_owned(), expected));
    }
    assert_eq!(prod.iam("GetRole", &[("RoleName", "s")]).await.code(), "NoSuchEntity");
    assert_eq!(principals_of(&prod, "r").await, json!(user_arn(UTILS, "alice")));
}

#[tokio::test]
async fn statement_58_services_must_exist_at_creation_and_at_change() {
    let (_sim, _utils, prod) = Sim::with_accounts().await;
    let of_service = |service: &str| {
        let statement = json!({"Effect": "Allow", "Principal": {"Service": ["ec2.amazonaws.com", service]}, "Action": "sts:AssumeRole"});
        json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
    };
    prod.role("r", &of_service("pods.eks.amazonaws.com")).await;
    for service in ["nobody.amazonaws.com", "amazonaws.com", "lambda", "lambda.amazonaws.com.cn", "example.com"] {
        let expected = ("MalformedPolicyDocument".to_owned(), format!("Invalid principal in policy: \"SERVICE\":\"{service}\""));
        let create = prod.iam("CreateRole", &[("RoleName", "s"), ("AssumeRolePolicyDocument", &of_service(service))]).await;
        assert_eq!((create.code(), create.message()), expected);
        let update = prod.iam("UpdateAssumeRolePolicy", &[("RoleName", "r"), ("PolicyDocument", &of_service(service))]).await;
        assert_eq!((update.code(), update.message()), expected);
    }
}

#[tokio::test]
async fn a_trust_policy_has_a_form() {
    let (_sim, _utils, prod) = Sim::with_accounts().await;
    for statement in [
        json!({"Effect": "Allow", "Action": "sts:AssumeRole"}),
        json!({"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole", "Resource": "*"}),
        json!({"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}),
    ] {
        let document = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        let refused = prod.iam("CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", &document)]).await;
        assert_eq!(refused.code(), "MalformedPolicyDocument", "{document}");
    }
    let refused = prod.iam("CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", "{")]).await;
    assert_eq!(refused.message(), "This policy contains invalid Json");
}

#[tokio::test]
async fn statement_8_an_account_id_is_stored_as_its_root_and_other_texts_as_they_came() {
    let (_sim, _utils, prod) = Sim::with_accounts().await;
    prod.role("r", &trust(json!([UTILS]))).await;
    assert_eq!(principals_of(&prod, "r").await, json!([format!("arn:aws:iam::{UTILS}:root")]));
}

#[tokio::test]
async fn statements_6_and_7_a_deleted_user_becomes_its_id_and_does_not_come_back() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    utils.iam("CreateUser", &[("UserName", "carol")]).await.ok();
    let id = utils.iam("GetUser", &[("UserName", "carol")]).await.ok().text("UserId");
    prod.role("r", &trust(json!([user_arn(UTILS, "carol"), user_arn(UTILS, "administrator")]))).await;
    utils.iam("DeleteUser", &[("UserName", "carol")]).await.ok();
    assert_eq!(principals_of(&prod, "r").await, json!([id, user_arn(UTILS, "administrator")]));

    let carol = utils.user("carol").await;
    utils.allow_user("carol", json!("sts:AssumeRole")).await;
    assert!(carol.assume(&role_arn(PROD, "r"), &[]).await.message().contains("no role trust policy"));
    utils.assume(&role_arn(PROD, "r"), &[]).await.ok();
    let as_read = prod.iam("GetRole", &[("RoleName", "r")]).await.ok().document("AssumeRolePolicyDocument").to_string();
    let refused = prod.iam("UpdateAssumeRolePolicy", &[("RoleName", "r"), ("PolicyDocument", &as_read)]).await;
    assert_eq!(refused.message(), format!("Invalid principal in policy: \"AWS\":\"{id}\""));
}

#[tokio::test]
async fn statement_9_a_condition_on_the_arn_of_the_caller_outlives_the_user() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    let named = |name: &str| trust_if(json!(UTILS), json!({"ArnEquals": {"aws:PrincipalArn": user_arn(UTILS, name)}}));
    prod.role("r", &named("carol")).await;
    for round in ["made first", "made again"] {
        let carol = utils.user("carol").await;
        utils.allow_user("carol", json!("sts:AssumeRole")).await;
        assert_eq!(carol.assume(&role_arn(PROD, "r"), &[]).await.status, 200, "{round}");
        utils.iam("DeleteAccessKey", &[("UserName", "carol"), ("AccessKeyId", &carol.access_key_id)]).await.ok();
        utils.iam("DeleteUserPolicy", &[("UserName", "carol"), ("PolicyName", "allow")]).await.ok();
        utils.iam("DeleteUser", &[("UserName", "carol")]).await.ok();
        let document = prod.iam("GetRole", &[("RoleName", "r")]).await.ok().document("AssumeRolePolicyDocument");
        assert_eq!(document["Statement"][0]["Condition"]["ArnEquals"]["aws:PrincipalArn"], json!(user_arn(UTILS, "carol")), "{round}");
    }
    assert!(utils.assume(&role_arn(PROD, "r"), &[]).await.message().contains("no role trust policy"), "nobody else");
}

#[tokio::test]
async fn statement_4_a_trust_policy_just_written_shows_ids_for_a_while() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    utils.iam("CreateUser", &[("UserName", "carol")]).await.ok();
    let id = utils.iam("GetUser", &[("UserName", "carol")]).await.ok().text("UserId");
    prod.role("r", &trust(json!([user_arn(UTILS, "carol"), UTILS]))).await;
    sim.control("PUT", "/settings", json!({"uniqueIDsMs": 60_000})).await;
    let root = format!("arn:aws:iam::{UTILS}:root");
    assert_eq!(principals_of(&prod, "r").await, json!([id, root]));
    for operation in ["ListRoles", "GetAccountAuthorizationDetails"] {
        let reply = prod.iam(operation, &[]).await.ok();
        assert!(reply.body.contains(&format!("%22{id}%22")), "{}", reply.body);
    }
    sim.control("PUT", "/clock", json!({"offsetSeconds": 60})).await;
    assert_eq!(principals_of(&prod, "r").await, json!([user_arn(UTILS, "carol"), root]));
    let again = trust(json!(user_arn(UTILS, "carol")));
    prod.iam("UpdateAssumeRolePolicy", &[("RoleName", "r"), ("PolicyDocument", &again)]).await.ok();
    assert_eq!(principals_of(&prod, "r").await, json!(id));
}

#[tokio::test]
async fn statement_6_a_deleted_role_becomes_its_id_in_every_account() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    utils.role("source", &trust(json!(UTILS))).await;
    let id = utils.iam("GetRole", &[("RoleName", "source")]).await.ok().text("RoleId");
    for account in [&utils, &prod] {
        account.role("target", &trust(json!(role_arn(UTILS, "source")))).await;
    }
    utils.iam("DeleteRole", &[("RoleName", "source")]).await.ok();
    assert!(id.starts_with("AROA"));
    for account in [&utils, &prod] {
        assert_eq!(principals_of(account, "target").await, json!(id));
    }
}

#[tokio::test]
async fn statement_44_a_renamed_user_keeps_its_id_its_trust_and_its_keys() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    let carol = utils.user("carol").await;
    utils.allow_user("carol", json!("sts:AssumeRole")).await;
    prod.role("r", &trust(json!(user_arn(UTILS, "carol")))).await;
    let before = utils.iam("GetUser", &[("UserName", "carol")]).await.ok().text("UserId");
    utils.iam("UpdateUser", &[("UserName", "carol"), ("NewUserName", "caroline"), ("NewPath", "/staff/")]).await.ok();
    assert_eq!(utils.iam("GetUser", &[("UserName", "caroline")]).await.ok().text("UserId"), before);
    assert_eq!(principals_of(&prod, "r").await, json!(user_arn(UTILS, "staff/caroline")));
    assert_eq!(carol.sts("GetCallerIdentity", &[]).await.ok().text("Arn"), user_arn(UTILS, "staff/caroline"));
    carol.assume(&role_arn(PROD, "r"), &[]).await.ok();
}
