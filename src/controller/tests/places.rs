//! A namespace has so many places in an account.

use serde_json::{Value, json};

use super::lab::Lab;

fn account(quotas: &Value) -> Value {
    json!({"kind": "AWSAccount", "metadata": {"name": "prod"}, "spec": {
        "accountID": "222222222222", "access": {"ambient": {}}, "allowedNamespaces": {"from": "All"}, "guardrails": {"quotas": quotas},
    }})
}

fn role(name: &str, description: &str) -> Value {
    let trust = json!([{"from": [{"service": "lambda.amazonaws.com"}]}]);
    json!({"kind": "CrossAccountRole", "metadata": {"name": name}, "spec": {"accountRef": {"name": "prod"}, "description": description, "trust": trust}})
}

fn reasons(lab: &Lab) -> [String; 2] {
    ["first", "second"].map(|name| lab.ready("CrossAccountRole", name).0)
}

async fn lab() -> Lab {
    let lab = Lab::new().await;
    lab.apply(account(&json!({"roles": 1})));
    lab.apply(role("first", ""));
    lab.settle().await;
    lab.apply(role("second", ""));
    lab.settle().await;
    assert_eq!(reasons(&lab), ["Ready", "NamespaceQuotaExceeded"]);
    assert!(lab.aws.get("222222222222", "role second").is_none());
    lab
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_place_is_woken_when_one_is_free() {
    let lab = lab().await;
    lab.delete("CrossAccountRole", "first");
    lab.settle().await;
    assert!(lab.get("CrossAccountRole", "first").is_null());
    assert_eq!(lab.ready("CrossAccountRole", "second").0, "Ready");
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_raised_lets_in_and_one_that_is_lowered_takes_nothing_away() {
    let lab = lab().await;
    lab.apply(account(&json!({"roles": 2})));
    lab.settle().await;
    assert_eq!(reasons(&lab), ["Ready", "Ready"]);
    lab.apply(account(&json!({"roles": 0})));
    lab.settle().await;
    lab.apply(role("second", "changed"));
    lab.settle().await;
    assert_eq!(reasons(&lab), ["Ready", "Ready"]);
    let second = lab.aws.get("222222222222", "role second").unwrap();
    assert_eq!(second.identity.role.unwrap().description, "changed");
}
