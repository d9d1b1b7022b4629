//! The brake for mass deletions: what it holds stays as it is, on both sides of every grant, until a person confirms.

use serde_json::{Value, json};

use super::lab::Lab;
use crate::api::{CONFIRM_DELETIONS, CrossAccountRole};
use crate::controller::reconcile::reconcile;
use crate::core::world::{ObjectKey, Ref};

const PROD: &str = "222222222222";

fn user(name: &str) -> Value {
    json!({"kind": "BastionUser", "metadata": {"name": name}, "spec": {"accountRef": {"name": "utils"}}})
}

fn role(name: &str, users: &[&str]) -> Value {
    let from: Vec<Value> = users.iter().map(|user| json!({"user": {"name": user}})).collect();
    json!({"kind": "CrossAccountRole", "metadata": {"name": name}, "spec": {"accountRef": {"name": "prod"}, "trust": [{"from": from}]}})
}

/// Sets or takes out the brake of an account, and what is confirmed.
fn brake(lab: &Lab, account: &str, brake: &Value, confirmed: &Value) {
    let mut object = lab.get("AWSAccount", account);
    object["spec"]["deletionBrake"] = brake.clone();
    object["metadata"]["annotations"] = if confirmed.is_null() { Value::Null } else { json!({CONFIRM_DELETIONS: confirmed}) };
    lab.apply(object);
}

/// Two users and six roles that trust both, in accounts of which one deletion passes.
async fn lab() -> Lab {
    let lab = Lab::new().await;
    let one = json!({"share": 1, "number": 1});
    brake(&lab, "utils", &one, &Value::Null);
    brake(&lab, "prod", &one, &Value::Null);
    for name in ["alice", "bob"] {
        lab.apply(user(name));
    }
    for number in 0..6 {
        lab.apply(role(&format!("role-{number}"), &["alice", "bob"]));
    }
    lab.run(5).await;
    assert_eq!(lab.ready("CrossAccountRole", "role-5").0, "Ready");
    lab
}

/// All that stands in AWS of the roles and users that are named.
fn state(lab: &Lab, names: &[&str]) -> Vec<String> {
    let account = |name: &str| if name.starts_with("user") { "111111111111" } else { PROD };
    names.iter().map(|name| format!("{:?}", lab.aws.get(account(name), name))).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_held_stays_as_it_is_with_its_grants_until_it_is_confirmed() {
    let lab = lab().await;
    let held = ["role role-1", "role role-2", "user bob"];
    let before = state(&lab, &held);
    for (kind, name) in [("CrossAccountRole", "role-0"), ("CrossAccountRole", "role-1"), ("CrossAccountRole", "role-2")] {
        lab.delete(kind, name);
    }
    lab.delete("BastionUser", "alice");
    lab.delete("BastionUser", "bob");
    lab.run(120).await;
    assert!(lab.aws.get(PROD, "role role-0").is_none() && lab.aws.get("111111111111", "user alice").is_none(), "these pass");
    let after = state(&lab, &held);
    assert!(!after[0].contains("user/alice") && after[0].contains("user/bob"), "who goes is let in no more: {}", after[0]);
    let bob = |text: &str| ["role-1", "role-2", "role-3"].map(|role| text.contains(&format!("role/{role}")));
    assert_eq!((bob(&after[2]), bob(&before[2])), ([true; 3], [true; 3]));
    assert!(!after[2].contains("role/role-0"));
    let trust = json!(lab.aws.get(PROD, "role role-3").unwrap().identity.role.unwrap().trust_policy).to_string();
    assert!(trust.contains("user/bob"), "whom the brake holds is let in by those who stay: {trust}");

    for (kind, name) in [("CrossAccountRole", "role-1"), ("CrossAccountRole", "role-2"), ("BastionUser", "bob")] {
        let (reason, message) = lab.ready(kind, name);
        assert_eq!(reason, "DeletionHeld", "{kind} {name}: {message}");
    }
    let (reason, message) = lab.ready("AWSAccount", "prod");
    assert!(reason == "Ready" && message.contains("holds 2 deletions"), "{message}");
    assert_eq!(lab.get("AWSAccount", "prod")["status"]["deletionsHeld"], json!(2));
    // A live role goes on, but for what would be new to somebody who is held.
    lab.apply(role("role-6", &["bob"]));
    lab.run(30).await;
    assert!(lab.aws.get(PROD, "role role-6").is_none() && lab.ready("CrossAccountRole", "role-6").0 == "SourceNotReady");

    // Its partners are woken with it, and let go before it is deleted, however long it has waited.
    lab.aws.take_done();
    brake(&lab, "utils", &Value::Null, &Value::Null);
    lab.settle().await;
    let done = lab.aws.take_done();
    let position = |what: &str| done.iter().position(|action| action == what);
    let (let_go, deleted) = (position("set the trust policy of role role-3"), position("delete user bob"));
    assert!(let_go.is_some() && let_go < deleted, "{done:?}");
    brake(&lab, "prod", &json!({"share": 1, "number": 1}), &json!("2026-01-02T00:00:00Z"));
    lab.run(120).await;
    assert_eq!(state(&lab, &held), ["None"; 3]);
    assert!(lab.get("AWSAccount", "prod")["status"]["deletionsHeld"].is_null());
    assert_eq!(lab.ready("AWSAccount", "prod"), ("Ready".to_owned(), "as declared".to_owned()));
    let trust = json!(lab.aws.get(PROD, "role role-3").unwrap().identity.role.unwrap().trust_policy).to_string();
    assert!(!trust.contains("user/") && !trust.contains("AIDA"), "{trust}");
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_is_withdrawn_ends_while_its_role_is_held() {
    let lab = lab().await;
    for number in 0..2 {
        lab.delete("CrossAccountRole", &format!("role-{number}"));
    }
    lab.run(3).await;
    let mut narrowed = lab.get("CrossAccountRole", "role-1");
    narrowed["spec"]["trust"] = json!([{"from": [{"user": {"name": "alice"}}]}]);
    lab.apply(narrowed);
    lab.run(5).await;
    let trust = json!(lab.aws.get(PROD, "role role-1").unwrap().identity.role.unwrap().trust_policy).to_string();
    assert!(trust.contains("user/alice") && !trust.contains("user/bob"), "{trust}");
    assert_eq!(lab.ready("CrossAccountRole", "role-1").0, "DeletionHeld");
}

#[tokio::test(start_paused = true)]
async fn a_share_is_one_of_all_that_are_placed_in_the_account_and_of_those_that_went_lately() {
    let lab = lab().await;
    brake(&lab, "prod", &json!({"share": 50, "number": 1}), &Value::Null);
    // These refer to the account, and are not in it.
    for name in ["audit-0", "audit-1"] {
        let spec = json!({"accountRef": {"name": "utils"}, "trust": [{"principal": "AccountRoot", "from": [{"account": "prod"}]}]});
        lab.apply(json!({"kind": "CrossAccountRole", "metadata": {"name": name}, "spec": spec}));
    }
    for number in 0..6 {
        lab.delete("CrossAccountRole", &format!("role-{number}"));
        lab.run(3).await;
    }
    let held = |number| lab.ready("CrossAccountRole", &format!("role-{number}")).0 == "DeletionHeld";
    assert_eq!((0..6).map(held).collect::<Vec<_>>(), [false, false, false, true, true, true]);
    assert!(lab.aws.get(PROD, "role role-2").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_that_is_no_time_is_told() {
    let lab = lab().await;
    brake(&lab, "prod", &json!({"share": 1, "number": 1}), &json!("yes"));
    lab.settle().await;
    let (reason, message) = lab.ready("AWSAccount", "prod");
    assert!(reason == "Ready" && message.contains("confirms nothing: \"yes\" is no time"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_pruned_with_the_rest_tells_what_waits_and_takes_the_confirmation() {
    let lab = lab().await;
    for number in 0..6 {
        lab.delete("CrossAccountRole", &format!("role-{number}"));
    }
    lab.delete("AWSAccount", "prod");
    lab.run(15).await;
    lab.pass(&Ref::Account(ObjectKey::new("", "prod"))).await;
    let (reason, message) = lab.ready("AWSAccount", "prod");
    assert!(reason == "InUse" && message.contains("holds 5 deletions") && message.contains("kubectl annotate awsaccount prod"), "{message}");
    let mut object = lab.get("AWSAccount", "prod");
    object["metadata"]["annotations"] = json!({CONFIRM_DELETIONS: "2026-01-02T00:00:00Z"});
    lab.apply(object);
    lab.run(120).await;
    assert!(lab.get("AWSAccount", "prod").is_null() && lab.aws.get(PROD, "role role-5").is_none());
}

#[tokio::test(start_paused = true)]
async fn before_it_is_decided_nothing_is_removed_and_nobody_lets_go() {
    let lab = lab().await;
    let names = ["role role-0", "user alice"];
    let before = state(&lab, &names);
    lab.delete("CrossAccountRole", "role-0");
    let role_0 = Ref::Role(ObjectKey::new("data", "role-0"));
    // The store has it, and what follows from that is still to come.
    lab.context.deletions.forget(&role_0);
    for of in [&role_0, &Ref::User(ObjectKey::new("data", "alice")), &role_0] {
        lab.pass(of).await;
    }
    assert_eq!((state(&lab, &names), lab.ready("CrossAccountRole", "role-0").0), (before, "Ready".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_see_to_wait_passes() {
    let lab = lab().await;
    for number in 0..2 {
        lab.delete("CrossAccountRole", &format!("role-{number}"));
    }
    // It is gone at the API server before anything was told of it; the store has it still.
    lab.api.drop_object("CrossAccountRole", "role-1");
    assert_eq!(lab.context.deletions.held_in("prod").map(|held| held.count), Some(1));
    for _ in 0..2 {
        reconcile::<CrossAccountRole>(ObjectKey::new("data", "role-1"), lab.context.clone()).await;
    }
    assert!(lab.aws.get(PROD, "role role-1").is_none() && lab.context.deletions.held_in("prod").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_object_that_was_made_anew_behind_the_back_of_the_watch_counts_no_more() {
    let lab = lab().await;
    for number in 0..2 {
        lab.delete("CrossAccountRole", &format!("role-{number}"));
    }
    lab.run(3).await;
    assert_eq!(lab.context.deletions.held_in("prod").map(|held| held.count), Some(1));
    lab.api.drop_object("CrossAccountRole", "role-1");
    lab.apply(role("role-1", &["alice"]));
    assert_eq!(lab.context.deletions.held_in("prod"), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_in_an_account_that_goes_waits_for_nobody() {
    let lab = lab().await;
    for number in 0..2 {
        lab.delete("CrossAccountRole", &format!("role-{number}"));
    }
    lab.run(3).await;
    assert_eq!(lab.ready("CrossAccountRole", "role-1").0, "DeletionHeld");
    lab.api.drop_object("AWSAccount", "prod");
    lab.sync();
    lab.run(3).await;
    let (reason, message) = lab.ready("CrossAccountRole", "role-1");
    assert!(reason == "AccountNotFound" && message.contains("give up"), "{message}");
    assert!(lab.context.deletions.held_in("prod").is_none());
}
