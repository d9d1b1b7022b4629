//! Deletion where AWS does not let go, giving up what it has, and a finalizer that somebody drops.

use serde_json::{Value, json};

use super::lab::Lab;
use crate::api::{ABANDON, FINALIZER, Reason};
use crate::core::action::Action;
use crate::core::world::{ObjectKey, Ref};

fn reader(annotations: &Value) -> Value {
    json!({"kind": "CrossAccountRole", "metadata": {"name": "reader", "annotations": annotations}, "spec": {
        "accountRef": {"name": "prod"}, "trust": [{"from": [{"user": {"name": "alice"}}]}],
    }})
}

/// A role whose deletion AWS refuses.
async fn lab() -> Lab {
    let lab = Lab::new().await;
    lab.apply(json!({"kind": "BastionUser", "metadata": {"name": "alice"}, "spec": {"accountRef": {"name": "utils"}}}));
    lab.apply(reader(&json!({})));
    lab.run(3).await;
    assert_eq!(lab.ready("CrossAccountRole", "reader").0, "Ready");
    lab.aws.refuse(|action| matches!(action, Action::DeleteIdentity(_)), Reason::AccessDenied, "not allowed to delete");
    lab.delete("CrossAccountRole", "reader");
    lab.run(60).await;
    lab
}

#[tokio::test(start_paused = true)]
async fn row_49_a_deletion_that_aws_refuses_waits_and_says_how_to_give_up() {
    let lab = lab().await;
    let (reason, message) = lab.ready("CrossAccountRole", "reader");
    assert_eq!(reason, "AccessDenied");
    assert!(message.contains("not allowed to delete") && message.contains(&format!("{ABANDON}=true")), "{message}");
    assert!(lab.aws.get("222222222222", "role reader").is_some());
    lab.aws.refused.lock().clear();
    lab.run(5).await;
    assert!(lab.get("CrossAccountRole", "reader").is_null() && lab.aws.get("222222222222", "role reader").is_none());
}

/// Gives up what the role has, as an annotation with this value says it.
fn give_up(lab: &Lab, value: &str) {
    let mut given_up = reader(&json!({ABANDON: value}));
    let there = lab.get("CrossAccountRole", "reader")["metadata"].clone();
    for field in ["finalizers", "deletionTimestamp", "uid"] {
        given_up["metadata"][field] = there[field].clone();
    }
    lab.apply(given_up);
}

#[tokio::test(start_paused = true)]
async fn row_49_what_is_given_up_stays_in_aws_and_its_object_goes() {
    for value in ["yes", "true"] {
        let lab = lab().await;
        give_up(&lab, value);
        lab.run(5).await;
        assert_eq!(lab.get("CrossAccountRole", "reader").is_null(), value == "true", "{value}");
        assert!(lab.aws.get("222222222222", "role reader").is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn row_49_what_passes_by_itself_is_not_given_up() {
    let lab = lab().await;
    lab.aws.refused.lock().clear();
    lab.aws.refuse(|action| matches!(action, Action::DeleteIdentity(_)), Reason::AWSUnavailable, "throttled");
    give_up(&lab, "true");
    lab.run(60).await;
    let (reason, message) = lab.ready("CrossAccountRole", "reader");
    assert_eq!(reason, "AWSUnavailable");
    assert!(message.contains("throttled. The annotation") && message.contains("does not count yet"), "{message}");
    lab.aws.refused.lock().clear();
    lab.run(600).await;
    assert!(
        lab.get("CrossAccountRole", "reader").is_null() && lab.aws.get("222222222222", "role reader").is_none(),
        "it is removed, not left behind"
    );
}

/// A role that is Ready, and a user that it trusts.
async fn ready() -> Lab {
    let lab = Lab::new().await;
    lab.apply(json!({"kind": "BastionUser", "metadata": {"name": "alice"}, "spec": {"accountRef": {"name": "utils"}}}));
    lab.apply(reader(&json!({})));
    lab.run(3).await;
    assert_eq!(lab.ready("CrossAccountRole", "reader").0, "Ready");
    lab
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_that_is_dropped_comes_back_though_there_is_nothing_else_to_do() {
    let lab = ready().await;
    let before = *lab.aws.asked.lock();
    for (kind, name) in [("BastionUser", "alice"), ("CrossAccountRole", "reader")] {
        lab.api.drop_finalizers(kind, name);
        lab.sync();
        lab.settle().await;
        assert_eq!(lab.get(kind, name)["metadata"]["finalizers"], json!([FINALIZER]), "{kind}");
    }
    assert_eq!(*lab.aws.asked.lock(), before);
    // As well where its declaration cannot be carried out.
    let mut broken = reader(&json!({}));
    broken["spec"]["accountRef"]["name"] = json!("nowhere");
    lab.api.drop_finalizers("CrossAccountRole", "reader");
    lab.apply(broken);
    lab.settle().await;
    assert_eq!(lab.get("CrossAccountRole", "reader")["metadata"]["finalizers"], json!([FINALIZER]));
}

#[tokio::test(start_paused = true)]
async fn an_account_holds_out_for_what_lacks_its_finalizer_for_a_moment() {
    let lab = ready().await;
    lab.api.drop_finalizers("CrossAccountRole", "reader");
    lab.delete("AWSAccount", "prod");
    lab.pass(&Ref::Account(ObjectKey::new("", "prod"))).await;
    assert!(!lab.get("AWSAccount", "prod").is_null());
    lab.settle().await;
    lab.delete("CrossAccountRole", "reader");
    lab.run(5).await;
    assert!(lab.get("CrossAccountRole", "reader").is_null() && lab.get("AWSAccount", "prod").is_null());
    assert!(lab.aws.get("222222222222", "role reader").is_none());
}
