//! Both halves of a grant, and the conditions between them.

use serde_json::{Value, json};

use crate::client::{Client, DEV, PROD, Sim, UTILS, allow, role_arn, trust, trust_if, user_arn};

const NOT_TRUSTED: &str = "because no role trust policy allows the sts:AssumeRole action";

#[tokio::test]
async fn statement_10_across_accounts_both_halves_are_needed() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    let (alice, bob) = (utils.user("alice").await, utils.user("bob").await);
    prod.role("reader", &trust(json!(user_arn(UTILS, "alice")))).await;
    let reader = role_arn(PROD, "reader");

    let refused = alice.assume(&reader, &[]).await;
    assert_eq!(refused.code(), "AccessDenied");
    assert_eq!(
        refused.message(),
        format!(
            "User: {} is not authorized to perform: sts:AssumeRole on resource: {reader} \
             because no identity-based policy allows the sts:AssumeRole action",
            user_arn(UTILS, "alice")
        )
    );
    utils.allow_user("alice", json!("sts:AssumeRole")).await;
    utils.allow_user("bob", json!("sts:AssumeRole")).await;
    let session = alice.assume(&reader, &[]).await.ok();
    assert_eq!(session.text("Arn"), format!("arn:aws:sts::{PROD}:assumed-role/reader/session"));
    let refused = bob.assume(&reader, &[]).await;
    assert_eq!(refused.message(), format!("User: {} is not authorized to perform: sts:AssumeRole {NOT_TRUSTED}", user_arn(UTILS, "bob")));
}

#[tokio::test]
async fn a_role_that_does_not_exist_is_refused_without_a_reason() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    for arn in [role_arn(PROD, "none"), role_arn("999999999999", "none"), "nonsense".to_owned()] {
        let refused = utils.assume(&arn, &[]).await;
        assert_eq!(refused.code(), "AccessDenied");
        assert!(refused.message().ends_with(&format!("on resource: {arn}")), "{}", refused.message());
    }
}

#[tokio::test]
async fn the_path_is_part_of_the_arn() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    prod.iam("CreateRole", &[("RoleName", "r"), ("Path", "/team/"), ("AssumeRolePolicyDocument", &trust(json!(UTILS)))]).await.ok();
    utils.assume(&role_arn(PROD, "team/r"), &[]).await.ok();
    assert_eq!(utils.assume(&role_arn(PROD, "r"), &[]).await.code(), "AccessDenied");
}

#[tokio::test]
async fn statement_38_within_an_account_naming_the_user_is_enough_and_the_root_is_not() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let bob = utils.user("bob").await;
    utils.role("named", &trust(json!(user_arn(UTILS, "bob")))).await;
    utils.role("root", &trust(json!(format!("arn:aws:iam::{UTILS}:root")))).await;
    bob.assume(&role_arn(UTILS, "named"), &[]).await.ok();
    assert!(bob.assume(&role_arn(UTILS, "root"), &[]).await.message().contains("no identity-based policy"));
    utils.allow_user("bob", json!("sts:AssumeRole")).await;
    bob.assume(&role_arn(UTILS, "root"), &[]).await.ok();
}

#[tokio::test]
async fn statements_24_and_36_a_boundary_limits_the_identity_half() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    let alice = utils.user("alice").await;
    utils.allow_user("alice", json!("sts:AssumeRole")).await;
    prod.role("r", &trust(json!(UTILS))).await;
    let boundary = utils.iam("CreatePolicy", &[("PolicyName", "b"), ("PolicyDocument", &allow(json!("s3:*"), "*"))]).await.ok().text("Arn");
    utils.iam("PutUserPermissionsBoundary", &[("UserName", "alice"), ("PermissionsBoundary", &boundary)]).await.ok();
    assert!(alice.assume(&role_arn(PROD, "r"), &[]).await.message().ends_with("because no permissions boundary allows the sts:AssumeRole action"));
    utils.iam("DeleteUserPermissionsBoundary", &[("UserName", "alice")]).await.ok();
    alice.assume(&role_arn(PROD, "r"), &[]).await.ok();
}

#[tokio::test]
async fn a_deny_in_the_trust_policy_wins() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    let mut document: Value = serde_json::from_str(&trust(json!(UTILS))).unwrap();
    let deny = json!({"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"});
    document["Statement"].as_array_mut().unwrap().push(deny);
    prod.role("closed", &document.to_string()).await;
    assert!(utils.assume(&role_arn(PROD, "closed"), &[]).await.message().ends_with("with an explicit deny in the role trust policy"));
}

/// Who may assume a role of [`PROD`] under a condition: the request parameters with which it works and with which it does not.
async fn check(prod: &Client, caller: &Client, condition: Value, works: Option<&[(&str, &str)]>, fails: &[&[(&str, &str)]]) {
    prod.iam("DeleteRole", &[("RoleName", "conditional")]).await;
    prod.role("conditional", &trust_if(json!(user_arn(UTILS, "alice")), condition.clone())).await;
    let arn = role_arn(PROD, "conditional");
    if let Some(parameters) = works {
        let reply = caller.assume(&arn, parameters).await;
        assert_eq!(reply.status, 200, "{condition} with {parameters:?}: {}", reply.body);
    }
    for parameters in fails {
        let reply = caller.assume(&arn, parameters).await;
        assert!(reply.status == 403 && reply.message().ends_with(NOT_TRUSTED), "{condition} with {parameters:?}: {}", reply.body);
    }
}

async fn alice(utils: &Client) -> Client {
    let alice = utils.user("alice").await;
    utils.allow_user("alice", json!("sts:AssumeRole")).await;
    alice
}

#[tokio::test]
async fn conditions_of_the_request() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    let alice = alice(&utils).await;
    let external_id = json!({"StringEquals": {"sts:ExternalId": "secret-1"}});
    check(&prod, &alice, external_id, Some(&[("ExternalId", "secret-1")]), &[&[], &[("ExternalId", "other")]]).await;
    let own_name = json!({"StringEquals": {"sts:RoleSessionName": "${aws:username}"}});
    check(&prod, &alice, own_name, Some(&[("RoleSessionName", "alice")]), &[&[("RoleSessionName", "bob")]]).await;
}

#[tokio::test]
async fn conditions_of_place_and_time() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    let alice = alice(&utils).await;
    check(&prod, &alice, json!({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}), Some(&[]), &[]).await;
    check(&prod, &alice, json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), None, &[&[]]).await;
    check(&prod, &alice, json!({"DateLessThan": {"aws:CurrentTime": "2999-01-01T00:00:00Z"}}), Some(&[]), &[]).await;
    check(&prod, &alice, json!({"DateLessThan": {"aws:CurrentTime": "2001-01-01T00:00:00Z"}}), None, &[&[]]).await;
}

#[tokio::test]
async fn statements_31_and_47_conditions_of_the_caller() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    let alice = alice(&utils).await;
    utils.iam("TagUser", &[("UserName", "alice"), ("Tags.member.1.Key", "team"), ("Tags.member.1.Value", "blue")]).await.ok();
    for (key, fits, does_not) in [
        ("aws:PrincipalTag/team", "blue", "red"),
        ("aws:username", "alice", "bob"),
        ("aws:userid", "AIDA*", "AROA*"),
        ("aws:PrincipalArn", "arn:aws:iam::*:user/alice", "arn:aws:iam::*:user/bob"),
        ("aws:PrincipalAccount", UTILS, PROD),
        ("aws:PrincipalType", "User", "AssumedRole"),
    ] {
        check(&prod, &alice, json!({"StringLike": {key: fits}}), Some(&[]), &[]).await;
        check(&prod, &alice, json!({"StringLike": {key: does_not}}), None, &[&[]]).await;
    }
    let organization = json!({"StringEquals": {"aws:PrincipalOrgID": "o-example"}});
    check(&prod, &alice, organization.clone(), None, &[&[]]).await;
    sim.control("POST", "/accounts", json!({"accountID": UTILS, "organizationID": "o-example"})).await;
    check(&prod, &alice, organization, Some(&[]), &[]).await;
}

/// A virtual MFA device of a user, and the code that it shows now.
pub async fn mfa_device(utils: &Client, user: &str) -> (String, String) {
    let device = utils.iam("CreateVirtualMFADevice", &[("VirtualMFADeviceName", user)]).await.ok();
    let (serial, seed) = (device.text("SerialNumber"), device.text("Base32StringSeed"));
    // The seed is a blob: base64 of the base32 text.
    let seed = from_base64(&seed);
    let code = fakecloud_iam::mfa::totp_code(&seed, chrono::Utc::now()).expect("a code");
    let enable = [("UserName", user), ("SerialNumber", &serial), ("AuthenticationCode1", &code), ("AuthenticationCode2", &code)];
    utils.iam("EnableMFADevice", &enable).await.ok();
    (serial, code)
}

/// The text in a base64 blob.
fn from_base64(blob: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = blob.bytes().filter_map(|byte| ALPHABET.iter().position(|letter| *letter == byte));
    let bits: Vec<bool> = digits.flat_map(|digit| (0..6).rev().map(move |bit| digit >> bit & 1 == 1)).collect();
    let bytes = bits.chunks_exact(8).map(|byte| byte.iter().fold(0_u8, |value, bit| value << 1 | u8::from(*bit)));
    String::from_utf8(bytes.collect()).expect("base32 text")
}

#[tokio::test]
async fn statement_30_conditions_of_mfa() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    let alice = alice(&utils).await;
    let (serial, code) = mfa_device(&utils, "alice").await;
    let with_mfa = [("SerialNumber", serial.as_str()), ("TokenCode", code.as_str())];
    check(&prod, &alice, json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}}), Some(&with_mfa), &[&[]]).await;
    check(&prod, &alice, json!({"NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}}), Some(&with_mfa), &[&[]]).await;
    // The key is absent for long-term keys: not even false.
    check(&prod, &alice, json!({"Bool": {"aws:MultiFactorAuthPresent": "false"}}), None, &[&[], &with_mfa]).await;
    check(&prod, &alice, json!({"BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}}), Some(&[]), &[]).await;

    let wrong = alice.assume(&role_arn(PROD, "conditional"), &[("SerialNumber", &serial), ("TokenCode", "12345")]).await;
    assert!(wrong.message().starts_with("MultiFactorAuthentication failed"));
    let bob = utils.user("bob").await;
    assert!(bob.assume(&role_arn(PROD, "conditional"), &with_mfa).await.message().starts_with("MultiFactorAuthentication failed"));
}

#[tokio::test]
async fn statement_42_a_session_with_mfa_carries_it_and_a_role_chain_loses_it() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    let dev = sim.account(DEV).await;
    let alice = alice(&utils).await;
    let (serial, code) = mfa_device(&utils, "alice").await;
    let with_mfa = [("SerialNumber", serial.as_str()), ("TokenCode", code.as_str())];
    let mfa = json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}});
    prod.role("first", &trust_if(json!(UTILS), mfa.clone())).await;
    prod.allow_role("first", json!("sts:AssumeRole")).await;
    dev.role("second", &trust_if(json!(role_arn(PROD, "first")), mfa)).await;

    let session = alice.with_session(&alice.sts("GetSessionToken", &with_mfa).await.ok());
    let first = session.assumed(&role_arn(PROD, "first"), &[]).await;
    assert!(first.assume(&role_arn(DEV, "second"), &[]).await.message().ends_with(NOT_TRUSTED));
}
