//! Throttling by account and class of operations.

use serde_json::json;

use crate::client::{PROD, Sim, UTILS, role_arn, trust};

#[tokio::test]
async fn statement_27_an_account_is_throttled_when_its_bucket_is_empty() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    let path = format!("/accounts/{UTILS}/throttling");
    assert_eq!(sim.get(&path).await, json!({}));
    sim.control("PUT", &path, json!({"iamRead": {"rate": 0.0, "burst": 2}})).await;
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(utils.iam("ListUsers", &[]).await.status);
    }
    assert_eq!(codes, [200, 200, 400]);
    let refused = utils.iam("GetUser", &[]).await;
    assert_eq!((refused.code(), refused.message()), ("Throttling".to_owned(), "Rate exceeded".to_owned()));
    utils.iam("CreateUser", &[("UserName", "alice")]).await.ok();
    utils.sts("GetCallerIdentity", &[]).await.ok();
    prod.iam("ListUsers", &[]).await.ok();
    assert_eq!(sim.log_of("GetUser").await, [(400, Some("Throttling".to_owned()), None)]);

    sim.control("PUT", &path, json!({})).await;
    utils.iam("ListUsers", &[]).await.ok();
}

#[tokio::test]
async fn statement_27_a_throttled_write_has_no_effect_and_sts_counts_for_the_caller() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    prod.role("r", &trust(json!(UTILS))).await;
    let none = json!({"rate": 0.0, "burst": 0});
    sim.control("PUT", &format!("/accounts/{UTILS}/throttling"), json!({"iamWrite": none})).await;
    assert_eq!(utils.iam("CreateUser", &[("UserName", "alice")]).await.code(), "Throttling");
    assert_eq!(utils.iam("GetUser", &[("UserName", "alice")]).await.code(), "NoSuchEntity");
    sim.control("PUT", &format!("/accounts/{PROD}/throttling"), json!({"sts": none})).await;
    let session = utils.assumed(&role_arn(PROD, "r"), &[]).await;
    assert_eq!(session.sts("GetCallerIdentity", &[]).await.code(), "Throttling");
}

#[tokio::test]
async fn limits_that_make_no_sense_are_refused() {
    let (sim, _utils, _prod) = Sim::with_accounts().await;
    let put = async |account: &str, body| sim.control_status("PUT", &format!("/accounts/{account}/throttling"), body).await.0;
    for body in [json!({"iam": {"rate": 1.0, "burst": 1}}), json!({"sts": {"rate": -1.0, "burst": 1}}), json!({"sts": {"rate": 1.0}})] {
        assert!((400..500).contains(&put(PROD, body.clone()).await), "{body}");
    }
    assert_eq!(put("999999999999", json!({})).await, 404);
}
