//! Who is trusted, where what is known changes under way.

use std::time::Duration;

use serde_json::{Value, json};

use super::lab::Lab;
use crate::api::Reason;
use crate::core::action::Action;
use crate::core::world::{ObjectKey, Ref};

fn user(name: &str) -> Value {
    json!({"kind": "BastionUser", "metadata": {"name": name}, "spec": {"accountRef": {"name": "utils"}}})
}

/// The role `reader`, which trusts these users.
fn reader(users: &[&str]) -> Value {
    let sources: Vec<Value> = users.iter().map(|name| json!({"user": {"name": name}})).collect();
    json!({"kind": "CrossAccountRole", "metadata": {"name": "reader"}, "spec": {"accountRef": {"name": "prod"}, "trust": [{"from": sources}]}})
}

#[tokio::test(start_paused = true)]
async fn a_source_that_goes_while_a_pass_is_under_way_is_not_added_by_it() {
    let lab = Lab::new().await;
    for name in ["alice", "bob"] {
        lab.apply(user(name));
    }
    lab.apply(reader(&["bob"]));
    lab.run(3).await;
    // From then on the role is read before it is written to.
    tokio::time::advance(Duration::from_secs(61)).await;
    lab.apply(reader(&["alice", "bob"]));
    lab.aws.take_done();
    let hooked = lab.clone();
    *lab.aws.hook.lock() = Some(Box::new(move || {
        hooked.api.drop_object("BastionUser", "alice");
        hooked.sync();
    }));
    lab.pass(&Ref::Role(ObjectKey::new("data", "reader"))).await;
    assert!(lab.aws.hook.lock().is_none(), "the user went in the middle of the pass");
    assert_eq!(lab.aws.take_done(), Vec::<String>::new());
    lab.run(3).await;
    assert_eq!(lab.ready("CrossAccountRole", "reader").0, "SourceNotFound");
    assert_eq!(lab.get("CrossAccountRole", "reader")["status"]["grants"][0]["principal"], Value::Null);
}

/// What was done to users and roles, in order.
fn of_assume_policies(done: &[String]) -> Vec<&str> {
    done.iter().map(String::as_str).filter(|action| action.contains("rolebridge-assume-roles") || action.starts_with("create")).collect()
}

/// The role `reader` and alice, who may assume it, some time after they were made.
async fn alice_may_read() -> Lab {
    let lab = Lab::new().await;
    lab.apply(user("alice"));
    lab.apply(reader(&["alice"]));
    lab.run(3).await;
    assert!(may_read(&lab) && lab.ready("CrossAccountRole", "reader").0 == "Ready");
    tokio::time::advance(Duration::from_secs(2000)).await;
    lab.aws.take_done();
    lab
}

fn may_read(lab: &Lab) -> bool {
    let alice = lab.aws.get("111111111111", "user alice").unwrap().identity;
    alice.inline_policies.values().any(|policy| json!(policy).to_string().contains(":role/reader"))
}

#[tokio::test(start_paused = true)]
async fn statement_6_who_may_assume_a_role_loses_the_right_when_somebody_else_makes_another_in_its_place() {
    let lab = alice_may_read().await;
    lab.aws.replace("222222222222", "role reader");
    // The role is the only one that looks: it has the account read, which wakes the role, which wakes the user.
    lab.pass(&Ref::Role(ObjectKey::new("data", "reader"))).await;
    lab.settle().await;
    assert_eq!(lab.ready("CrossAccountRole", "reader").0, "Conflict");
    assert!(!may_read(&lab));
    lab.run(60).await;
    assert!(!may_read(&lab));
    lab.aws.take_done();
    lab.aws.remove("222222222222", "role reader");
    tokio::time::advance(Duration::from_secs(61)).await;
    lab.pass(&Ref::Role(ObjectKey::new("data", "reader"))).await;
    lab.run(3).await;
    let done = lab.aws.take_done();
    assert_eq!(of_assume_policies(&done), ["create role reader", "put inline policy rolebridge-assume-roles on user alice"], "the role first");
    assert!(may_read(&lab) && lab.ready("CrossAccountRole", "reader").0 == "Ready");
}

#[tokio::test(start_paused = true)]
async fn the_right_to_a_role_that_is_made_again_at_once_stays() {
    let lab = alice_may_read().await;
    lab.aws.remove("222222222222", "role reader");
    lab.run(5).await;
    let done = lab.aws.take_done();
    assert_eq!(of_assume_policies(&done), ["create role reader"]);
    assert!(may_read(&lab) && lab.ready("CrossAccountRole", "reader").0 == "Ready");
}

#[tokio::test(start_paused = true)]
async fn the_right_to_a_role_that_cannot_be_made_again_goes() {
    let lab = alice_may_read().await;
    lab.aws.remove("222222222222", "role reader");
    lab.aws.refuse(|action| matches!(action, Action::CreateIdentity(_)), Reason::AWSUnavailable, "not now");
    lab.run(5).await;
    assert!(!may_read(&lab));
    lab.aws.refused.lock().clear();
    lab.run(5).await;
    assert!(may_read(&lab) && lab.ready("CrossAccountRole", "reader").0 == "Ready");
}

#[tokio::test(start_paused = true)]
async fn statement_60_what_pods_bring_along_reaches_every_role_of_the_chain_at_once() {
    let lab = Lab::new().await;
    let role = |name: &str, account: &str, source: Value| json!({"kind": "CrossAccountRole", "metadata": {"name": name}, "spec": {"accountRef": {"name": account}, "trust": [{"from": [source]}]}});
    let pods = json!({"podIdentity": {"clusterARN": "arn:aws:eks:eu-central-1:111111111111:cluster/main", "namespace": "build", "name": "deployer"}});
    lab.apply(role("first", "utils", json!({"service": "ec2.amazonaws.com"})));
    lab.apply(role("second", "utils", json!({"role": {"name": "first"}})));
    lab.apply(role("third", "prod", json!({"role": {"name": "second"}})));
    lab.run(5).await;
    let tagged = || {
        let of = |account: &str, name: &str| format!("{:?}", lab.aws.get(account, &format!("role {name}")).unwrap()).contains("sts:TagSession");
        (of("111111111111", "second"), of("222222222222", "third"))
    };
    assert_eq!(tagged(), (false, false));
    lab.apply(role("first", "utils", pods));
    lab.settle().await;
    assert_eq!(tagged(), (true, true));
    lab.apply(role("first", "utils", json!({"service": "ec2.amazonaws.com"})));
    lab.settle().await;
    assert_eq!(tagged(), (false, false));
}
