//! What is withdrawn ends whatever else is wrong, and where it cannot end now that is told and tried again.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::lab::Lab;
use crate::api::Reason;
use crate::core::action::Action;
use crate::core::identity::ManagedPolicy;
use crate::core::observed::ObservedPolicy;
use crate::core::trust::deny_all_trust;

const POLICY: &str = "arn:aws:iam::222222222222:policy/reads";

/// The role `reader`, which trusts this user and has these permissions.
fn reader(user: &str, permissions: &Value) -> Value {
    json!({"kind": "CrossAccountRole", "metadata": {"name": "reader"}, "spec": {
        "accountRef": {"name": "prod"}, "trust": [{"from": [{"user": {"name": user}}]}], "permissions": permissions,
    }})
}

/// A role that trusts alice, who is made, as bob is.
async fn lab() -> Lab {
    let lab = Lab::new().await;
    for name in ["alice", "bob"] {
        lab.apply(json!({"kind": "BastionUser", "metadata": {"name": name}, "spec": {"accountRef": {"name": "utils"}}}));
    }
    lab.apply(reader("alice", &json!({})));
    lab.run(3).await;
    assert!(trust(&lab).contains("user/alice"));
    lab
}

fn trust(lab: &Lab) -> String {
    json!(lab.aws.get("222222222222", "role reader").unwrap().identity.role.unwrap().trust_policy).to_string()
}

/// Whether an action writes a trust policy that names bob.
fn names_bob(action: &Action) -> bool {
    matches!(action, Action::UpdateTrustPolicy(_, document) if json!(document).to_string().contains("user/bob"))
}

fn is_trust(action: &Action) -> bool {
    matches!(action, Action::UpdateTrustPolicy(..))
}

#[tokio::test(start_paused = true)]
async fn a_revocation_that_fails_beside_an_addition_is_told_and_tried_again() {
    let lab = lab().await;
    lab.aws.refuse(names_bob, Reason::RequestRejected, "bob cannot be added");
    lab.aws.refuse(is_trust, Reason::AccessDenied, "alice cannot be taken out");
    lab.apply(reader("bob", &json!({})));
    lab.run(5).await;
    assert!(trust(&lab).contains("user/alice"));
    let conditions = lab.get("CrossAccountRole", "reader")["status"]["conditions"].to_string();
    assert!(conditions.contains("bob cannot be added") && conditions.contains("alice cannot be taken out"), "{conditions}");
    lab.aws.refused.lock().pop();
    lab.run(2).await;
    assert!(!trust(&lab).contains("user/alice"), "it was tried again");
    let conditions = lab.get("CrossAccountRole", "reader")["status"]["conditions"].to_string();
    assert!(conditions.contains("bob cannot be added") && !conditions.contains("alice cannot be taken out"), "{conditions}");
}

#[tokio::test(start_paused = true)]
async fn a_revocation_that_fails_beside_what_is_refused_from_the_start_is_told_with_it_and_tried_again() {
    let lab = lab().await;
    let arn: crate::core::names::Arn = POLICY.parse().unwrap();
    let policy = ManagedPolicy {
        arn: arn.clone(),
        name: "reads".parse().unwrap(),
        path: crate::core::names::Path::root(),
        description: String::new(),
        document: deny_all_trust(),
        tags: BTreeMap::new(),
    };
    let foreign = ObservedPolicy { id: "ANPAEXAMPLEEXAMPLE01".parse().unwrap(), policy, default_version: "v1".into(), other_versions: vec![] };
    lab.aws.policies.lock().insert(arn, foreign);
    lab.aws.refuse(is_trust, Reason::AccessDenied, "alice cannot be taken out");
    let document = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}});
    lab.apply(reader("bob", &json!({"customerManagedPolicies": [{"name": "reads", "document": document}]})));
    lab.run(40).await;
    assert!(trust(&lab).contains("user/alice"));
    let conditions = lab.get("CrossAccountRole", "reader")["status"]["conditions"].to_string();
    assert!(conditions.contains(POLICY) && conditions.contains("alice cannot be taken out"), "{conditions}");
    lab.aws.refused.lock().clear();
    lab.run(2).await;
    assert!(!trust(&lab).contains("user/alice"), "it was tried again");
    assert_eq!(lab.ready("CrossAccountRole", "reader").0, "Conflict");
}

#[tokio::test(start_paused = true)]
async fn what_has_just_failed_is_told_once_and_not_tried_again_at_once() {
    let lab = lab().await;
    lab.aws.refuse(is_trust, Reason::RequestRejected, "alice cannot be taken out");
    let broken = json!({"inlinePolicies": [{"name": "reads", "json": "none"}]});
    for permissions in [json!({}), broken] {
        let mut changed = reader("bob", &permissions);
        changed["spec"]["trust"] = json!([]);
        lab.apply(changed);
        let before = *lab.aws.asked.lock();
        lab.pass(&crate::core::world::Ref::Role(crate::core::world::ObjectKey::new("data", "reader"))).await;
        assert_eq!(*lab.aws.asked.lock() - before, 1, "{permissions}");
        let conditions = lab.get("CrossAccountRole", "reader")["status"]["conditions"].as_array().unwrap().clone();
        let synced = conditions.iter().find(|c| c["type"] == "Synced").unwrap()["message"].as_str().unwrap().to_owned();
        assert_eq!(synced.matches("alice cannot be taken out").count(), 1, "{synced}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_account_is_shut_out_though_nobody_bears_the_name_of_one_who_is_to_come_in_its_place() {
    let lab = lab().await;
    let mut account = lab.get("AWSAccount", "prod");
    account["spec"]["guardrails"]["accountRootTrust"] = json!(true);
    lab.apply(account);
    let mut whole = reader("alice", &json!({}));
    whole["spec"]["trust"] = json!([{"principal": "AccountRoot", "from": [{"user": {"name": "alice"}}, {"user": {"name": "bob"}}]}]);
    lab.apply(whole.clone());
    lab.run(3).await;
    assert!(trust(&lab).contains(":root") && !trust(&lab).contains("user/"), "{}", trust(&lab));
    // IAM knows nobody of the name bob.
    lab.aws.refuse(names_bob, Reason::Propagating, "Invalid principal in policy: \"AWS\":\"arn:aws:iam::111111111111:user/bob\"");
    whole["spec"]["trust"] = json!([{"from": [{"user": {"name": "alice"}}, {"user": {"name": "bob"}}]}]);
    lab.apply(whole);
    lab.run(10).await;
    assert!(trust(&lab).contains(":root"), "IAM may only be slow: {}", trust(&lab));
    lab.run(40).await;
    assert!(!trust(&lab).contains(":root") && trust(&lab).contains("user/alice"), "{}", trust(&lab));
    lab.aws.refused.lock().clear();
    lab.run(10).await;
    assert!(trust(&lab).contains("user/bob"), "{}", trust(&lab));
}

#[tokio::test(start_paused = true)]
async fn statement_58_a_service_that_does_not_exist_is_told_at_once_and_keeps_nobody_in() {
    let lab = lab().await;
    let names_service = |action: &Action| is_trust(action) && format!("{action:?}").contains("lamda");
    lab.aws.refuse(names_service, Reason::InvalidSpec, "Invalid principal in policy: \"SERVICE\":\"lamda.amazonaws.com\"");
    let mut misspelt = reader("alice", &json!({}));
    misspelt["spec"]["trust"] = json!([{"from": [{"user": {"name": "bob"}}, {"service": "lamda.amazonaws.com"}]}]);
    lab.apply(misspelt);
    let before = *lab.aws.asked.lock();
    lab.run(3).await;
    assert!(!trust(&lab).contains("user/"), "{}", trust(&lab));
    let conditions = lab.get("CrossAccountRole", "reader")["status"]["conditions"].to_string();
    assert!(conditions.contains("Stalled") && conditions.contains("lamda.amazonaws.com"), "{conditions}");
    assert!(*lab.aws.asked.lock() - before < 10, "it is not tried again and again");
}
