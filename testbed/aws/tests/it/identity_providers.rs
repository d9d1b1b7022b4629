//! Providers of identities that AWS knows by itself: those that its customers share, and those that every account has.

use serde_json::{Value, json};

use crate::{
    client::{Client, PROD, Sim, role_arn},
    outsiders::{assume, token},
};

const GITHUB: &str = "token.actions.githubusercontent.com";

/// A trust policy for holders of tokens of a provider.
fn trusting(provider: &str, condition: Value) -> String {
    let statement =
        json!({"Effect": "Allow", "Principal": {"Federated": provider}, "Action": "sts:AssumeRoleWithWebIdentity", "Condition": condition});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

fn provider_arn(issuer: &str) -> String {
    format!("arn:aws:iam::{PROD}:oidc-provider/{issuer}")
}

async fn create_provider(account: &Client, issuer: &str, audience: &str) {
    let url = format!("https://{issuer}");
    account.iam("CreateOpenIDConnectProvider", &[("Url", &*url), ("ClientIDList.member.1", audience)]).await.ok();
}

/// Lets sessions of a role list users under a condition.
async fn list_users_if(account: &Client, role: &str, condition: Value) {
    let document = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iam:ListUsers", "Resource": "*", "Condition": condition}]})
    .to_string();
    account.iam("PutRolePolicy", &[("RoleName", role), ("PolicyName", "p"), ("PolicyDocument", &document)]).await.ok();
}

#[tokio::test]
async fn statement_57_a_trust_for_a_shared_issuer_names_the_tenant() {
    let (_sim, _utils, prod) = Sim::with_accounts().await;
    let github = provider_arn(GITHUB);
    let narrow = trusting(&github, json!({"StringLike": {format!("{GITHUB}:sub"): "repo:team/app:*"}}));
    prod.role("ci", &narrow).await;
    for condition in [
        json!({}),
        json!({"StringEquals": {format!("{GITHUB}:aud"): "sts.amazonaws.com"}}),
        json!({"StringLike": {format!("{GITHUB}:sub"): "*"}}),
        json!({"StringEquals": {format!("{GITHUB}:repository"): "team/app"}}),
    ] {
        let document = trusting(&github, condition);
        let create = prod.iam("CreateRole", &[("RoleName", "open"), ("AssumeRolePolicyDocument", &document)]).await;
        let update = prod.iam("UpdateAssumeRolePolicy", &[("RoleName", "ci"), ("PolicyDocument", &document)]).await;
        for reply in [create, update] {
            assert_eq!(reply.code(), "MalformedPolicyDocument");
            assert!(reply.message().starts_with(&format!("Trust policy with trusted principal {github} must evaluate, using ")), "{}", reply.body);
        }
    }
    assert_eq!(prod.iam("GetRole", &[("RoleName", "open")]).await.code(), "NoSuchEntity");
    let document = prod.iam("GetRole", &[("RoleName", "ci")]).await.ok().document("AssumeRolePolicyDocument");
    assert_eq!(document.to_string(), serde_json::from_str::<Value>(&narrow).unwrap().to_string());
}

#[tokio::test]
async fn statement_57_a_role_of_before_keeps_its_trust_until_it_is_changed() {
    let (sim, _utils, prod) = Sim::with_accounts().await;
    create_provider(&prod, GITHUB, "sts.amazonaws.com").await;
    let open = trusting(&provider_arn(GITHUB), json!({}));
    let years = 4 * 365 * 86_400;
    sim.control("PUT", "/clock", json!({"offsetSeconds": -years})).await;
    prod.role("old", &open).await;
    sim.control("PUT", "/clock", json!({"offsetSeconds": 0})).await;
    let stranger = token(&sim, "repo:strangers/app", json!({"providerURL": format!("https://{GITHUB}")})).await;
    assume(&sim, &role_arn(PROD, "old"), &stranger).await.ok();
    let again = prod.iam("UpdateAssumeRolePolicy", &[("RoleName", "old"), ("PolicyDocument", &open)]).await;
    assert_eq!(again.code(), "MalformedPolicyDocument");
    prod.iam("UpdateRole", &[("RoleName", "old"), ("Description", "other")]).await.ok();
}

#[tokio::test]
async fn statement_56_claims_of_known_issuers_can_be_asked_for() {
    let (sim, _utils, prod) = Sim::with_accounts().await;
    let circle = "oidc.circleci.com/org/1";
    for (issuer, role, key, claim, condition) in [
        (GITHUB, "github", "repository_id", "repository_id", json!({"StringLike": {format!("{GITHUB}:sub"): "repo:*"}})),
        (circle, "circle", "oidc.circleci.com/project-id", "oidc.circleci.com/project-id", json!({})),
    ] {
        create_provider(&prod, issuer, "sts.amazonaws.com").await;
        let mut with_claim = condition.clone();
        with_claim["StringEquals"] = json!({format!("{issuer}:{key}"): "74"});
        prod.role(role, &trusting(&provider_arn(issuer), with_claim)).await;
        let url = format!("https://{issuer}");
        let with = async |value: &str| token(&sim, "repo:team/app", json!({"providerURL": url, "claims": {claim: value}})).await;
        let session = assume(&sim, &role_arn(PROD, role), &with("74").await).await.ok();
        assert_eq!(assume(&sim, &role_arn(PROD, role), &with("75").await).await.code(), "AccessDenied");
        // The session keeps the subject, not the claim.
        let session = sim.client("", "", None).with_session(&session);
        for (key, stays) in [(key, false), ("sub", true)] {
            list_users_if(&prod, role, json!({"StringLike": {format!("{issuer}:{key}"): "*"}})).await;
            assert_eq!(session.iam("ListUsers", &[]).await.status == 200, stays, "{issuer}:{key}");
        }
    }
    // A claim without a key is never there.
    let condition = json!({"StringEquals": {format!("{GITHUB}:sub"): "repo:team/app", format!("{GITHUB}:run_number"): "10"}});
    prod.role("unknown", &trusting(&provider_arn(GITHUB), condition)).await;
    let run = token(&sim, "repo:team/app", json!({"providerURL": format!("https://{GITHUB}"), "claims": {"run_number": "10"}})).await;
    assert_eq!(assume(&sim, &role_arn(PROD, "unknown"), &run).await.code(), "AccessDenied");
}

#[tokio::test]
async fn statement_58_providers_that_every_account_has_need_no_arn() {
    let (sim, _utils, prod) = Sim::with_accounts().await;
    for (host, application, user) in [
        ("cognito-identity.amazonaws.com", "aud", "sub"),
        ("accounts.google.com", "aud", "sub"),
        ("www.amazon.com", "app_id", "user_id"),
        ("graph.facebook.com", "app_id", "id"),
    ] {
        let refused = prod.iam("CreateRole", &[("RoleName", "open"), ("AssumeRolePolicyDocument", &trusting(host, json!({})))]).await;
        assert_eq!(refused.code(), "MalformedPolicyDocument", "{host}");
        let role = format!("r-{application}-{user}-{}", host.len());
        let condition = json!({"StringEquals": {format!("{host}:{application}"): "application", format!("{host}:{user}"): "alice"}});
        prod.role(&role, &trusting(host, condition)).await;
        list_users_if(&prod, &role, json!({"StringEquals": {"aws:FederatedProvider": host, format!("{host}:{user}"): "alice"}})).await;
        let url = format!("https://{host}");
        let of = async |user: &str, audience: &str| token(&sim, user, json!({"providerURL": url, "audience": audience})).await;
        let session = assume(&sim, &role_arn(PROD, &role), &of("alice", "application").await).await.ok();
        assert_eq!(session.text("Provider"), host);
        sim.client("", "", None).with_session(&session).iam("ListUsers", &[]).await.ok();
        for other in [of("bob", "application").await, of("alice", "other").await] {
            assert_eq!(assume(&sim, &role_arn(PROD, &role), &other).await.code(), "AccessDenied", "{host}");
        }
    }
    // Whoever is signed in at Cognito has a method, whoever is not has another.
    let host = "cognito-identity.amazonaws.com";
    let condition = json!({"StringEquals": {format!("{host}:aud"): "pool"}, "ForAnyValue:StringLike": {format!("{host}:amr"): "authenticated"}});
    prod.role("members", &trusting(host, condition)).await;
    for (method, allowed) in [("authenticated", true), ("unauthenticated", false)] {
        let wanted = json!({"providerURL": format!("https://{host}"), "audience": "pool", "claims": {"amr": [method, "other"]}});
        let reply = assume(&sim, &role_arn(PROD, "members"), &token(&sim, "alice", wanted).await).await;
        assert_eq!(reply.status == 200, allowed, "{method}: {}", reply.body);
    }
}
