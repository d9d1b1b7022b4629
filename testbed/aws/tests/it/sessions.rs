//! What credentials are worth, and what sessions carry.

use axum::http::Method;
use serde_json::{Value, json};

use crate::client::{Client, DEV, PROD, Sim, UTILS, allow, role_arn, trust};

#[tokio::test]
async fn who_am_i_needs_no_permission_and_cannot_be_denied() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let alice = utils.user("alice").await;
    let deny = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}).to_string();
    utils.iam("PutUserPolicy", &[("UserName", "alice"), ("PolicyName", "deny"), ("PolicyDocument", &deny)]).await.ok();
    let identity = alice.sts("GetCallerIdentity", &[]).await.ok();
    assert_eq!(identity.text("Arn"), format!("arn:aws:iam::{UTILS}:user/alice"));
    assert_eq!(identity.text("Account"), UTILS);
    assert!(identity.text("UserId").starts_with("AIDA"));
}

#[tokio::test]
async fn no_key_is_believed() {
    let (sim, utils, _prod) = Sim::with_accounts().await;
    for key in ["test", "test1234", "AKIAIOSFODNN7EXAMPLE"] {
        let refused = sim.client(key, "test", None).iam("ListUsers", &[]).await;
        assert_eq!((refused.status, refused.code()), (403, "InvalidClientTokenId".to_owned()));
    }
    let wrong = Client { secret_access_key: "guess".to_owned(), ..utils.clone() };
    assert_eq!(wrong.iam("ListUsers", &[]).await.code(), "SignatureDoesNotMatch");
    assert_eq!(wrong.s3(Method::GET, "/").await.code(), "SignatureDoesNotMatch");
}

#[tokio::test]
async fn an_inactive_key_is_unknown() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let alice = utils.user("alice").await;
    let update = |status: &'static str| {
        let (utils, key) = (utils.clone(), alice.access_key_id.clone());
        async move { utils.iam("UpdateAccessKey", &[("UserName", "alice"), ("AccessKeyId", &key), ("Status", status)]).await.ok() }
    };
    update("Inactive").await;
    assert_eq!(alice.sts("GetCallerIdentity", &[]).await.code(), "InvalidClientTokenId");
    update("Active").await;
    alice.sts("GetCallerIdentity", &[]).await.ok();
}

#[tokio::test]
async fn a_key_tells_when_and_where_it_was_last_used() {
    let (sim, utils, _prod) = Sim::with_accounts().await;
    let alice = utils.user("alice").await;
    let last_used = async || {
        let told = utils.iam("GetAccessKeyLastUsed", &[("AccessKeyId", &alice.access_key_id)]).await.ok();
        (told.text("ServiceName"), told.texts("LastUsedDate").pop())
    };
    assert_eq!(last_used().await, ("N/A".to_owned(), None));
    alice.sts("GetCallerIdentity", &[]).await.ok();
    let (service, first) = last_used().await;
    assert_eq!(service, "sts");
    sim.control("PUT", "/clock", json!({"offsetSeconds": 86_400})).await;
    // A refused request counts too.
    assert_eq!(alice.iam("ListUsers", &[]).await.code(), "AccessDenied");
    let (service, second) = last_used().await;
    assert!(service == "iam" && second > first, "{service} {first:?} {second:?}");
}

#[tokio::test]
async fn a_session_needs_its_token() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    prod.role("r", &trust(json!(UTILS))).await;
    let session = utils.assumed(&role_arn(PROD, "r"), &[]).await;
    session.sts("GetCallerIdentity", &[]).await.ok();
    for token in [None, Some("other".to_owned()), utils.session_token.clone()] {
        let crippled = Client { session_token: token, ..session.clone() };
        assert_eq!(crippled.sts("GetCallerIdentity", &[]).await.code(), "InvalidClientTokenId");
        assert_eq!(crippled.iam("ListRoles", &[]).await.code(), "InvalidClientTokenId");
        assert!(["InvalidAccessKeyId", "InvalidToken"].contains(&crippled.s3(Method::GET, "/").await.code().as_str()));
    }
}

#[tokio::test]
async fn the_session_of_a_deleted_role_is_worth_nothing_even_when_the_name_comes_back() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    prod.role("r", &trust(json!(UTILS))).await;
    let session = utils.assumed(&role_arn(PROD, "r"), &[]).await;
    prod.iam("DeleteRole", &[("RoleName", "r")]).await.ok();
    assert_eq!(session.sts("GetCallerIdentity", &[]).await.code(), "InvalidClientTokenId");
    prod.role("r", &trust(json!(UTILS))).await;
    assert_eq!(session.sts("GetCallerIdentity", &[]).await.code(), "InvalidClientTokenId");
}

#[tokio::test]
async fn a_session_works_in_the_account_of_its_role_only() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    utils.s3(Method::PUT, "/utils-bucket").await.ok();
    prod.s3(Method::PUT, "/prod-bucket").await.ok();
    prod.role("r", &trust(json!(UTILS))).await;
    prod.allow_role("r", json!("s3:ListAllMyBuckets")).await;
    let session = utils.assumed(&role_arn(PROD, "r"), &[]).await;
    assert_eq!(session.s3(Method::GET, "/").await.ok().texts("Name"), ["prod-bucket"]);
    let refused = session.iam("ListRoles", &[]).await;
    assert_eq!(refused.code(), "AccessDenied");
    assert!(refused.message().ends_with("because no identity-based policy allows the iam:ListRoles action"));
}

#[tokio::test]
async fn statement_21_chaining_goes_by_the_roles_arn_with_its_path_and_lasts_an_hour_at_most() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    let dev = sim.account(DEV).await;
    let path = [("RoleName", "hub"), ("Path", "/team/a/"), ("AssumeRolePolicyDocument", &trust(json!(UTILS)))];
    prod.iam("CreateRole", &path).await.ok();
    prod.allow_role("hub", json!("sts:AssumeRole")).await;
    let trusted = [("RoleName", "target"), ("AssumeRolePolicyDocument", &trust(json!(role_arn(PROD, "team/a/hub")))), ("MaxSessionDuration", "7200")];
    dev.iam("CreateRole", &trusted).await.ok();
    let hub = utils.assumed(&role_arn(PROD, "team/a/hub"), &[]).await;
    hub.assume(&role_arn(DEV, "target"), &[("DurationSeconds", "3600")]).await.ok();
    let refused = hub.assume(&role_arn(DEV, "target"), &[("DurationSeconds", "3601")]).await;
    assert_eq!(refused.code(), "ValidationError");
    assert!(refused.message().contains("role chaining"));
}

#[tokio::test]
async fn a_session_policy_limits_the_session() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    prod.role("r", &trust(json!(UTILS))).await;
    prod.allow_role("r", json!(["s3:ListAllMyBuckets", "iam:ListRoles"])).await;
    let policy = allow(json!("iam:*"), "*");
    let session = utils.assumed(&role_arn(PROD, "r"), &[("Policy", &policy)]).await;
    session.iam("ListRoles", &[]).await.ok();
    assert!(session.s3(Method::GET, "/").await.message().ends_with("because no session policy allows the s3:ListAllMyBuckets action"));
    let by_arn = [("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")];
    let session = utils.assumed(&role_arn(PROD, "r"), &by_arn).await;
    session.s3(Method::GET, "/").await.ok();
}

const TAGS: [(&str, &str); 3] = [("Tags.member.1.Key", "project"), ("Tags.member.1.Value", "blue"), ("TransitiveTagKeys.member.1", "project")];

fn trust_with(actions: &[&str], principals: Value) -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": principals}, "Action": actions}]}).to_string()
}

#[tokio::test]
async fn statements_31_and_42_tags_and_source_identity_are_allowed_in_both_halves() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    let alice = utils.user("alice").await;
    utils.allow_user("alice", json!("sts:AssumeRole")).await;
    prod.role("r", &trust(json!(UTILS))).await;
    let arn = role_arn(PROD, "r");
    let identity = [("SourceIdentity", "alice")];
    assert!(alice.assume(&arn, &TAGS).await.message().contains("no identity-based policy allows the sts:TagSession action"));
    assert!(alice.assume(&arn, &identity).await.message().contains("no identity-based policy allows the sts:SetSourceIdentity action"));
    utils.allow_user("alice", json!("sts:*")).await;
    assert!(alice.assume(&arn, &TAGS).await.message().contains("no role trust policy allows the sts:TagSession action"));
    assert!(alice.assume(&arn, &identity).await.message().contains("no role trust policy allows the sts:SetSourceIdentity action"));
    let all = trust_with(&["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"], json!(UTILS));
    prod.iam("UpdateAssumeRolePolicy", &[("RoleName", "r"), ("PolicyDocument", &all)]).await.ok();
    alice.assume(&arn, &TAGS).await.ok();
    assert_eq!(alice.assume(&arn, &identity).await.ok().text("SourceIdentity"), "alice");
}

#[tokio::test]
async fn statement_59_conditions_on_keys_of_one_action_do_not_let_another_through() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    let arn = role_arn(PROD, "r");
    let statement =
        |action: Value, condition: Value| json!({"Effect": "Allow", "Principal": {"AWS": UTILS}, "Action": action, "Condition": condition});
    let write = async |statements: Value| {
        let document = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        prod.iam("DeleteRole", &[("RoleName", "r")]).await;
        prod.role("r", &document).await;
    };
    let asked = [&TAGS[..], &[("SourceIdentity", "alice"), ("ExternalId", "secret-1")]].concat();
    let all = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"];
    for (condition, refused) in [
        (json!({"StringEquals": {"sts:ExternalId": "secret-1"}}), Some("sts:TagSession")),
        (json!({"StringEquals": {"sts:RoleSessionName": "session"}}), Some("sts:TagSession")),
        (json!({"StringEquals": {"sts:SourceIdentity": "alice"}}), Some("sts:TagSession")),
        (json!({"StringEquals": {"aws:RequestTag/project": "blue"}}), Some("sts:SetSourceIdentity")),
        (json!({"ForAnyValue:StringEquals": {"sts:TransitiveTagKeys": "project"}}), Some("sts:SetSourceIdentity")),
        (json!({"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}}), None),
    ] {
        write(json!([statement(json!(all), condition.clone())])).await;
        let reply = utils.assume(&arn, &asked).await;
        match refused {
            Some(action) => {
                assert!(reply.message().ends_with(&format!("no role trust policy allows the {action} action")), "{condition}: {}", reply.body)
            }
            None => assert_eq!(reply.status, 200, "{condition}: {}", reply.body),
        }
    }
    write(json!([
        statement(json!("sts:AssumeRole"), json!({"StringEquals": {"sts:ExternalId": "secret-1", "sts:RoleSessionName": "session"}})),
        statement(json!("sts:TagSession"), json!({"StringEquals": {"aws:RequestTag/project": "blue"}})),
        statement(json!(["sts:AssumeRole", "sts:SetSourceIdentity"]), json!({"StringEquals": {"sts:SourceIdentity": "alice"}})),
    ]))
    .await;
    utils.assume(&arn, &asked).await.ok();
    // Policies of the caller are asked in the same way.
    let alice = utils.user("alice").await;
    let allow = |condition: Value| {
        json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "sts:*", "Resource": "*", "Condition": condition}]})
        .to_string()
    };
    for (key, value, allowed) in [("sts:ExternalId", "secret-1", false), ("aws:username", "alice", true)] {
        let document = allow(json!({"StringEquals": {key: value}}));
        utils.iam("PutUserPolicy", &[("UserName", "alice"), ("PolicyName", "p"), ("PolicyDocument", &document)]).await.ok();
        let reply = alice.assume(&arn, &asked).await;
        assert_eq!(reply.status == 200, allowed, "{key}: {}", reply.body);
        assert!(allowed || reply.message().ends_with("no identity-based policy allows the sts:TagSession action"), "{}", reply.body);
    }
}

#[tokio::test]
async fn statement_42_tags_and_source_identity_stay_with_the_session_and_down_the_chain() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    let dev = sim.account(DEV).await;
    let all = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"];
    prod.role("hub", &trust_with(&all, json!(UTILS))).await;
    prod.allow_role("hub", json!("sts:*")).await;
    dev.role("open", &trust_with(&all, json!(PROD))).await;
    dev.role("plain", &trust(json!(PROD))).await;
    let condition = json!({"StringEquals": {"aws:PrincipalTag/project": "blue", "aws:SourceIdentity": "alice"}});
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*", "Condition": condition}]})
    .to_string();
    for (account, role) in [(&prod, "hub"), (&dev, "open")] {
        account.iam("PutRolePolicy", &[("RoleName", role), ("PolicyName", "list"), ("PolicyDocument", &policy)]).await.ok();
    }
    let mut parameters = TAGS.to_vec();
    parameters.push(("SourceIdentity", "alice"));
    let hub = utils.assumed(&role_arn(PROD, "hub"), &parameters).await;
    hub.s3(Method::GET, "/").await.ok();
    let untagged = utils.assumed(&role_arn(PROD, "hub"), &[("SourceIdentity", "alice")]).await;
    assert_eq!(untagged.s3(Method::GET, "/").await.code(), "AccessDenied");

    hub.assumed(&role_arn(DEV, "open"), &[]).await.s3(Method::GET, "/").await.ok();
    assert_eq!(hub.assume(&role_arn(DEV, "open"), &[("SourceIdentity", "bob")]).await.code(), "AccessDenied");
    // What is inherited needs the same permissions as what is passed.
    assert!(hub.assume(&role_arn(DEV, "plain"), &[]).await.message().contains("sts:TagSession"));
}
