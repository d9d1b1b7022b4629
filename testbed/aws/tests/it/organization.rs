//! Policies of an organisation, and how their refusals differ from those of a trust policy.

use axum::http::Method;
use serde_json::{Value, json};

use crate::client::{PROD, Sim, UTILS, role_arn, trust, user_arn};

fn policy(effect: &str, actions: Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": actions, "Resource": "*"}]})
}

async fn limit(sim: &Sim, account: &str, levels: Value) {
    sim.control("PUT", &format!("/accounts/{account}/service-control-policies"), levels).await;
}

const REFUSED: &str = "with an explicit deny in a service control policy";

#[tokio::test]
async fn the_organisation_limits_every_principal_of_an_account_and_of_no_other() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    limit(&sim, UTILS, json!([[policy("Allow", json!("*"))], [policy("Allow", json!("*")), policy("Deny", json!("iam:CreateUser"))]])).await;
    let refused = utils.iam("CreateUser", &[("UserName", "alice")]).await;
    assert_eq!((refused.status, refused.code()), (403, "AccessDenied".to_owned()));
    assert_eq!(
        refused.message(),
        format!(
            "User: {} is not authorized to perform: iam:CreateUser on resource: {} {REFUSED}: \
             arn:aws:organizations::000000000000:policy/o-simulated0/service_control_policy/p-00010001",
            user_arn(UTILS, "administrator"),
            user_arn(UTILS, "alice")
        )
    );
    prod.iam("CreateUser", &[("UserName", "alice")]).await.ok();
    utils.iam("ListUsers", &[]).await.ok();
    limit(&sim, UTILS, json!([])).await;
    utils.iam("CreateUser", &[("UserName", "alice")]).await.ok();
}

#[tokio::test]
async fn what_no_policy_of_a_level_allows_is_refused_in_the_same_words() {
    let (sim, utils, _prod) = Sim::with_accounts().await;
    limit(&sim, UTILS, json!([[policy("Allow", json!("*"))], [policy("Allow", json!("s3:*")), policy("Allow", json!("sts:*"))]])).await;
    assert!(utils.iam("ListUsers", &[]).await.message().ends_with(REFUSED));
    utils.s3(Method::GET, "/").await.ok();
    utils.sts("GetCallerIdentity", &[]).await.ok();
}

#[tokio::test]
async fn statement_32_an_assumption_is_limited_on_the_callers_side_only() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    prod.role("r", &trust(json!(UTILS))).await;
    prod.role("closed", &trust(json!(PROD))).await;
    utils.role("own", &trust(json!(user_arn(UTILS, "administrator")))).await;
    let deny = json!([[policy("Allow", json!("*")), policy("Deny", json!("sts:AssumeRole"))]]);
    limit(&sim, PROD, deny.clone()).await;
    utils.assume(&role_arn(PROD, "r"), &[]).await.ok();
    let by_trust = utils.assume(&role_arn(PROD, "closed"), &[]).await.message();
    limit(&sim, UTILS, deny).await;
    let by_organisation = utils.assume(&role_arn(PROD, "r"), &[]).await.message();
    assert!(by_organisation.ends_with(REFUSED), "{by_organisation}");
    assert!(by_trust.ends_with("because no role trust policy allows the sts:AssumeRole action"), "{by_trust}");
    // Not even a trust policy that names the user helps against it.
    let within = utils.assume(&role_arn(UTILS, "own"), &[]).await.message();
    assert!(
        within.ends_with(&format!("{REFUSED}: arn:aws:organizations::000000000000:policy/o-simulated0/service_control_policy/p-00000001")),
        "{within}"
    );
}

#[tokio::test]
async fn the_sessions_of_an_account_are_limited_too() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    prod.role("r", &trust(json!(UTILS))).await;
    prod.allow_role("r", json!("iam:*")).await;
    let session = utils.assumed(&role_arn(PROD, "r"), &[]).await;
    session.iam("ListUsers", &[]).await.ok();
    limit(&sim, PROD, json!([[policy("Allow", json!("s3:*"))]])).await;
    assert!(session.iam("ListUsers", &[]).await.message().ends_with(REFUSED));
}

#[tokio::test]
async fn statement_41_resource_control_policies_limit_who_gets_a_role_wherever_from() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    let statement =
        |effect: &str, condition: Value| json!({"Effect": effect, "Principal": "*", "Action": "*", "Resource": "*", "Condition": condition});
    let foreign = json!({"StringNotEqualsIfExists": {"aws:PrincipalAccount": PROD}, "BoolIfExists": {"aws:PrincipalIsAWSService": "false"}});
    let document = json!({"Version": "2012-10-17", "Statement": [statement("Allow", json!({})), statement("Deny", foreign)]});
    let services = json!({"Effect": "Allow", "Principal": {"AWS": [UTILS, PROD], "Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"});
    prod.role("r", &json!({"Version": "2012-10-17", "Statement": [services]}).to_string()).await;
    prod.s3(Method::PUT, "/prod-bucket").await.ok();
    let path = format!("/accounts/{PROD}/resource-control-policies");
    assert_eq!(sim.control("PUT", &path, json!([[document]])).await, json!([[document]]));

    let refused = utils.assume(&role_arn(PROD, "r"), &[]).await.message();
    assert!(refused.ends_with("with an explicit deny in a resource control policy"), "{refused}");
    prod.assume(&role_arn(PROD, "r"), &[]).await.ok();
    prod.s3(Method::GET, "/prod-bucket").await.ok();
    let asked = json!({"service": "lambda.amazonaws.com", "roleARN": role_arn(PROD, "r")});
    assert_eq!(sim.control("POST", "/service-assumptions", asked.clone()).await["allowed"], true);
    sim.control("PUT", &path, json!([[]])).await;
    assert_eq!(sim.control("POST", "/service-assumptions", asked).await["reason"], "ResourceControlPolicy");
    assert!(prod.s3(Method::GET, "/prod-bucket").await.message().ends_with("in a resource control policy"));
    sim.control("PUT", &path, json!([])).await;
    utils.assume(&role_arn(PROD, "r"), &[]).await.ok();
}

#[tokio::test]
async fn only_documents_of_known_accounts() {
    let (sim, _utils, _prod) = Sim::with_accounts().await;
    let put = async |account: &str, body| sim.control_status("PUT", &format!("/accounts/{account}/service-control-policies"), body).await.0;
    assert_eq!(put(PROD, json!([["Allow"]])).await, 400);
    assert_eq!(put("999999999999", json!([])).await, 404);
    assert_eq!(sim.get(&format!("/accounts/{PROD}/service-control-policies")).await, json!([]));
}
