//! The clock of the simulated AWS, and what follows it.

use serde_json::json;

use crate::client::{PROD, Sim, UTILS, role_arn, trust, trust_if};

const HOUR: i64 = 3_600;

async fn set(sim: &Sim, offset_seconds: i64) {
    sim.control("PUT", "/clock", json!({"offsetSeconds": offset_seconds})).await;
}

#[tokio::test]
async fn a_session_expires_when_the_clock_passes_its_end() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    prod.role("r", &trust(json!(UTILS))).await;
    let session = utils.assumed(&role_arn(PROD, "r"), &[]).await;
    set(&sim, HOUR - 60).await;
    session.sts("GetCallerIdentity", &[]).await.ok();
    set(&sim, HOUR + 60).await;
    let refused = session.sts("GetCallerIdentity", &[]).await;
    assert_eq!((refused.status, refused.code()), (403, "ExpiredToken".to_owned()));
    // A new one lasts from the new time on.
    utils.assumed(&role_arn(PROD, "r"), &[]).await.sts("GetCallerIdentity", &[]).await.ok();
    set(&sim, 0).await;
    session.sts("GetCallerIdentity", &[]).await.ok();
}

#[tokio::test]
async fn statement_33_conditions_of_time_and_of_token_age_follow() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    let now = sim.get("/clock").await["now"].as_str().unwrap().to_owned();
    let until = chrono::DateTime::parse_from_rfc3339(&now).unwrap() + chrono::TimeDelta::seconds(HOUR);
    prod.role("r", &trust_if(json!(UTILS), json!({"DateLessThan": {"aws:CurrentTime": until.to_rfc3339()}}))).await;
    prod.allow_role("r", json!("iam:ListUsers")).await;
    let session = utils.assumed(&role_arn(PROD, "r"), &[]).await;
    session.iam("ListUsers", &[]).await.ok();
    set(&sim, HOUR + 60).await;
    assert!(utils.assume(&role_arn(PROD, "r"), &[]).await.message().contains("no role trust policy"));
    set(&sim, 60).await;
    utils.assume(&role_arn(PROD, "r"), &[]).await.ok();

    let revoke = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*",
        "Condition": {"DateLessThan": {"aws:TokenIssueTime": sim.get("/clock").await["now"]}}}]});
    let put = [("RoleName", "r"), ("PolicyName", "AWSRevokeOlderSessions"), ("PolicyDocument", &revoke.to_string())];
    prod.iam("PutRolePolicy", &put).await.ok();
    assert!(session.iam("ListUsers", &[]).await.message().ends_with("with an explicit deny in an identity-based policy"));
    set(&sim, 120).await;
    utils.assumed(&role_arn(PROD, "r"), &[]).await.iam("ListUsers", &[]).await.ok();
}

#[tokio::test]
async fn statement_52_a_denial_of_a_user_ends_its_calls_and_not_its_sessions_of_roles() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    let (alice, bob) = (utils.user("alice").await, utils.user("bob").await);
    for user in ["alice", "bob"] {
        utils.allow_user(user, json!("sts:AssumeRole")).await;
    }
    prod.role("r", &trust(json!(UTILS))).await;
    prod.allow_role("r", json!(["iam:ListUsers", "sts:AssumeRole"])).await;
    prod.role("next", &trust(json!(role_arn(PROD, "r")))).await;
    prod.allow_role("next", json!("iam:ListUsers")).await;
    let role = role_arn(PROD, "r");
    let session = alice.assumed(&role, &[("RoleSessionName", "alice")]).await;
    let chained = session.assumed(&role_arn(PROD, "next"), &[]).await;
    let of_bob = bob.assumed(&role, &[("RoleSessionName", "bob")]).await;
    let deny = |condition: serde_json::Value| {
        let statement = json!({"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition});
        json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
    };
    let put = [("UserName", "alice"), ("PolicyName", "deny"), ("PolicyDocument", &*deny(json!({})))];
    utils.iam("PutUserPolicy", &put).await.ok();
    assert_eq!(alice.assume(&role, &[]).await.code(), "AccessDenied");
    session.iam("ListUsers", &[]).await.ok();

    // For one user alone by the name of its session, and not beyond the role.
    let id = prod.iam("GetRole", &[("RoleName", "r")]).await.ok().text("RoleId");
    let cut = |condition: serde_json::Value| {
        let (prod, document) = (prod.clone(), deny(condition));
        async move { prod.iam("PutRolePolicy", &[("RoleName", "r"), ("PolicyName", "cut"), ("PolicyDocument", &document)]).await.ok() }
    };
    cut(json!({"StringEquals": {"aws:userid": format!("{id}:alice")}})).await;
    assert_eq!(session.iam("ListUsers", &[]).await.code(), "AccessDenied");
    of_bob.iam("ListUsers", &[]).await.ok();
    chained.iam("ListUsers", &[]).await.ok();
    // And for all that are open now, by the time.
    set(&sim, 60).await;
    cut(json!({"DateLessThan": {"aws:TokenIssueTime": sim.get("/clock").await["now"]}})).await;
    for ended in [&session, &of_bob] {
        assert_eq!(ended.iam("ListUsers", &[]).await.code(), "AccessDenied");
    }
    chained.iam("ListUsers", &[]).await.ok();
}

#[tokio::test]
async fn what_is_created_has_the_time_of_the_simulated_aws() {
    let (sim, utils, _prod) = Sim::with_accounts().await;
    set(&sim, 400 * 86_400).await;
    let year = sim.get("/clock").await["now"].as_str().unwrap()[..4].to_owned();
    let created = utils.iam("CreateUser", &[("UserName", "alice")]).await.ok().text("CreateDate");
    assert!(created.starts_with(&year), "{created}");
    assert_eq!(utils.iam("GetUser", &[("UserName", "alice")]).await.ok().text("CreateDate"), created);
    let key = utils.iam("CreateAccessKey", &[("UserName", "alice")]).await.ok().text("CreateDate");
    assert!(key.starts_with(&year), "{key}");
    assert_eq!(utils.iam("ListAccessKeys", &[("UserName", "alice")]).await.ok().text("CreateDate"), key);
}

#[tokio::test]
async fn the_age_of_a_factor_grows_with_the_clock() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    let (serial, code) = crate::assume_role::mfa_device(&utils, "administrator").await;
    let session = utils.sts("GetSessionToken", &[("SerialNumber", serial.as_str()), ("TokenCode", code.as_str())]).await.ok();
    let session = utils.with_session(&session);
    prod.role("r", &trust_if(json!(UTILS), json!({"NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}}))).await;
    session.assume(&role_arn(PROD, "r"), &[]).await.ok();
    set(&sim, HOUR + 60).await;
    assert!(session.assume(&role_arn(PROD, "r"), &[]).await.message().contains("no role trust policy"));
}

#[tokio::test]
async fn propagation_ends_with_the_clock_and_an_absurd_offset_is_refused() {
    let (sim, utils, _prod) = Sim::with_accounts().await;
    sim.control("PUT", "/settings", json!({"propagationDelayMs": 60_000})).await;
    let alice = utils.user("alice").await;
    assert_eq!(alice.sts("GetCallerIdentity", &[]).await.code(), "InvalidClientTokenId");
    set(&sim, 60).await;
    alice.sts("GetCallerIdentity", &[]).await.ok();
    assert_eq!(sim.control_status("PUT", "/clock", json!({"offsetSeconds": i64::MAX})).await.0, 400);
}
