//! What the process remembers goes with the objects that it is about.

use std::collections::BTreeMap;

use serde_json::json;

use super::lab::Lab;
use crate::api::Reason;
use crate::controller::Health;
use crate::core::action::Action;
use crate::core::world::{ObjectKey, Ref};

fn user(name: &str) -> serde_json::Value {
    json!({"kind": "BastionUser", "metadata": {"name": name}, "spec": {"accountRef": {"name": "utils"}}})
}

/// A role that trusts this user, with a policy from the ConfigMap `policies`.
fn role(name: &str, user: &str) -> serde_json::Value {
    let inline = json!([{"name": "reads", "configMapKeyRef": {"name": "policies", "key": "reads.json"}}]);
    json!({"kind": "CrossAccountRole", "metadata": {"name": name}, "spec": {
        "accountRef": {"name": "prod"}, "trust": [{"from": [{"user": {"name": user}}]}], "permissions": {"inlinePolicies": inline},
    }})
}

fn config_map(action: &str) -> serde_json::Value {
    let document = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": action, "Resource": "*"}});
    json!({"kind": "ConfigMap", "metadata": {"name": "policies"}, "data": {"reads.json": document.to_string()}})
}

async fn lab() -> (Lab, BTreeMap<&'static str, usize>) {
    let lab = Lab::new().await;
    lab.apply(config_map("s3:GetObject"));
    let empty = lab.context.remembered();
    (lab, empty)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_remembered_of_objects_that_are_gone() {
    let (lab, empty) = lab().await;
    let health = Health::new(&[]);
    assert!(health.remembered().is_empty(), "it does not run yet");
    health.speaks_of(&lab.context);
    for round in 0..3 {
        for number in 0..5 {
            lab.apply(user(&format!("user-{number}")));
            lab.apply(role(&format!("role-{number}"), &format!("user-{number}")));
        }
        lab.run(3).await;
        assert_eq!(lab.ready("CrossAccountRole", "role-4").0, "Ready", "{round}");
        assert!(lab.context.remembered()["observations"] > 5 && lab.context.remembered() == health.remembered());
        for number in 0..5 {
            lab.delete("BastionUser", &format!("user-{number}"));
            lab.delete("CrossAccountRole", &format!("role-{number}"));
        }
        lab.run(3).await;
        assert!(lab.get("BastionUser", "user-0").is_null() && lab.aws.get("111111111111", "user user-0").is_none());
        assert_eq!(lab.context.remembered(), empty, "{round}");
    }
    drop(lab);
    assert!(health.remembered().is_empty(), "it has ended");
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_ends_after_its_object_has_gone_leaves_nothing_behind() {
    let (lab, empty) = lab().await;
    lab.apply(user("alice"));
    lab.apply(role("reader", "alice"));
    lab.run(3).await;
    let hooked = lab.clone();
    lab.aws.refuse(|action| matches!(action, Action::PutInlinePolicy(..)), Reason::AccessDenied, "no");
    *lab.aws.hook.lock() = Some(Box::new(move || {
        hooked.api.drop_object("CrossAccountRole", "reader");
        hooked.sync();
    }));
    lab.apply(config_map("s3:ListBucket"));
    lab.pass(&Ref::Role(ObjectKey::new("data", "reader"))).await;
    assert!(lab.aws.hook.lock().is_none(), "the role went in the middle of its pass");
    lab.aws.refused.lock().clear();
    lab.delete("BastionUser", "alice");
    lab.run(3).await;
    assert_eq!(lab.context.remembered(), empty);
}

#[tokio::test(start_paused = true)]
async fn of_who_waits_or_fails_nothing_stays_either() {
    let (lab, empty) = lab().await;
    lab.apply(role("waiting", "nobody"));
    lab.aws.refuse(|action| matches!(action, Action::CreateIdentity(_)), Reason::AccessDenied, "no");
    lab.apply(user("refused"));
    lab.run(3).await;
    assert_eq!(lab.context.remembered()["retries"], 2);
    for (kind, name) in [("CrossAccountRole", "waiting"), ("BastionUser", "refused")] {
        lab.delete(kind, name);
        lab.api.drop_object(kind, name);
    }
    lab.sync();
    lab.settle().await;
    assert_eq!(lab.context.remembered(), empty);
}

#[tokio::test(start_paused = true)]
async fn identities_that_are_made_again_and_again_leave_no_notes_of_the_former_ones() {
    let (lab, empty) = lab().await;
    lab.apply(user("alice"));
    lab.apply(role("reader", "alice"));
    lab.run(3).await;
    for _ in 0..5 {
        for (account, name) in [("111111111111", "user alice"), ("222222222222", "role reader")] {
            lab.aws.remove(account, name);
        }
        // What is remembered is no ground for a write any more.
        tokio::time::advance(std::time::Duration::from_secs(2000)).await;
        lab.run(3).await;
        assert!(lab.aws.get("222222222222", "role reader").is_some());
        assert_eq!(lab.ready("CrossAccountRole", "reader").0, "Ready");
    }
    assert!(lab.context.remembered()["identities"] <= 2, "{:?}", lab.context.remembered());
    lab.delete("CrossAccountRole", "reader");
    lab.delete("BastionUser", "alice");
    lab.run(3).await;
    assert_eq!(lab.context.remembered(), empty);
}

#[tokio::test(start_paused = true)]
async fn of_an_account_that_is_gone_nothing_stays() {
    let (lab, empty) = lab().await;
    let account = json!({"kind": "AWSAccount", "metadata": {"name": "third"}, "spec": {
        "accountID": "333333333333", "access": {"ambient": {}}, "allowedNamespaces": {"from": "All"},
    }});
    let bob = json!({"kind": "BastionUser", "metadata": {"name": "bob"}, "spec": {"accountRef": {"name": "third"}}});
    for by_force in [false, true] {
        lab.apply(account.clone());
        lab.settle().await;
        lab.apply(bob.clone());
        lab.run(3).await;
        assert!(lab.aws.get("333333333333", "user bob").is_some());
        if by_force {
            lab.api.drop_object("AWSAccount", "third");
            lab.sync();
            lab.run(1).await;
            lab.api.drop_object("BastionUser", "bob");
        } else {
            lab.delete("BastionUser", "bob");
            lab.run(1).await;
            lab.delete("AWSAccount", "third");
        }
        lab.sync();
        lab.settle().await;
        assert!(lab.get("AWSAccount", "third").is_null());
        assert_eq!(lab.context.remembered(), empty, "{by_force}");
        lab.aws.remove("333333333333", "user bob");
    }
}
