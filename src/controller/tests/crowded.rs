//! More than a status lists: what its list cannot remember is safe, and comes to an end.

use std::time::Duration;

use kube::runtime::controller::Action as Next;
use serde_json::{Value, json};

use super::lab::{Lab, trusting};
use crate::api::Reason;
use crate::core::action::Action;
use crate::core::world::{ObjectKey, Ref};

fn arn(number: usize) -> String {
    format!("arn:aws:iam::333333333333:role/p-{number:0>3}")
}

/// What IAM shows in the place of a role that was deleted.
fn ghost(number: usize) -> String {
    format!("AROAGHOST{number:0>7}")
}

fn reader() -> Ref {
    Ref::Role(ObjectKey::new("data", "reader"))
}

/// The role `reader` with these sources.
fn trusting_all(sources: &[Value]) -> Value {
    let entries: Vec<Value> = sources.chunks(100).map(|from| json!({"from": from})).collect();
    json!({"kind": "CrossAccountRole", "metadata": {"name": "reader"}, "spec": {"accountRef": {"name": "prod"}, "trust": entries}})
}

fn principals(numbers: impl Iterator<Item = usize>) -> Vec<Value> {
    numbers.map(|number| json!({"awsPrincipal": arn(number)})).collect()
}

async fn lab() -> Lab {
    let lab = Lab::new().await;
    *lab.aws.trust_policy_size.lock() = 8192;
    lab
}

fn status(lab: &Lab) -> Value {
    lab.get("CrossAccountRole", "reader")["status"].clone()
}

/// The principals of this state in the status, by number.
fn told(lab: &Lab, state: &str) -> Vec<usize> {
    let grants = status(lab)["grants"].as_array().cloned().unwrap_or_default();
    let of_state = grants.iter().filter(|grant| grant["state"] == state);
    of_state.map(|grant| grant["source"].as_str().unwrap().rsplit_once('-').unwrap().1.parse().unwrap()).collect()
}

fn trust(lab: &Lab) -> String {
    json!(lab.aws.get("222222222222", "role reader").unwrap().identity.role.unwrap().trust_policy).to_string()
}

fn trusted(lab: &Lab) -> Vec<usize> {
    (0..200).filter(|number| trust(lab).contains(&arn(*number))).collect()
}

/// Lets these be deleted in AWS, of so many that are trusted, and lets the role find out.
async fn delete(lab: &Lab, gone: impl Fn(usize) -> bool, of: usize) {
    let shown: Vec<String> = (0..of).map(|number| if gone(number) { ghost(number) } else { arn(number) }).collect();
    lab.aws.change("222222222222", "role reader", |role| role.identity.role.as_mut().unwrap().trust_policy = trusting(&shown));
    tokio::time::advance(Duration::from_secs(2000)).await;
    lab.run(45).await;
}

/// Whether nothing goes on by itself any more: passes write nothing, and none comes soon.
async fn is_at_rest(lab: &Lab) -> bool {
    let before = (lab.get("CrossAccountRole", "reader"), trust(lab));
    let next = lab.pass(&reader()).await;
    let soon = [Duration::from_millis(100), Duration::from_secs(1)].map(Next::requeue);
    !soon.contains(&next) && before == (lab.get("CrossAccountRole", "reader"), trust(lab))
}

#[tokio::test(start_paused = true)]
async fn a_principal_beyond_the_list_that_is_replaced_is_told_before_all_others() {
    let lab = lab().await;
    lab.apply(trusting_all(&principals(0..105)));
    lab.run(3).await;
    assert_eq!((trusted(&lab).len(), lab.ready("CrossAccountRole", "reader").0), (105, "Ready".into()));
    delete(&lab, |number| number == 103, 105).await;
    assert_eq!(told(&lab, "Replaced"), [103]);
    assert_eq!((status(&lab)["grants"].as_array().unwrap().len(), status(&lab)["grantsTotal"].as_i64()), (100, Some(105)));
    assert!(!trust(&lab).contains(&ghost(103)) && trusted(&lab).len() == 104, "{}", trust(&lab));
    let (reason, message) = lab.ready("CrossAccountRole", "reader");
    assert_eq!(reason, "PrincipalReplaced");
    assert!(message.contains(&arn(103)), "{message}");
    assert!(is_at_rest(&lab).await);
    // Somebody makes another of its name. It is not trusted until it was taken out and put in again.
    lab.run(3).await;
    assert!(!trusted(&lab).contains(&103));
    lab.apply(trusting_all(&principals((0..105).filter(|number| *number != 103))));
    lab.run(3).await;
    lab.apply(trusting_all(&principals(0..105)));
    lab.run(3).await;
    assert_eq!((trusted(&lab).len(), lab.ready("CrossAccountRole", "reader").0), (105, "Ready".into()));
}

#[tokio::test(start_paused = true)]
async fn of_more_that_are_replaced_than_a_status_lists_none_is_trusted_again_and_the_summary_says_how_many() {
    for is_made_again in [false, true] {
        more_are_replaced_than_are_listed(is_made_again).await;
    }
}

async fn more_are_replaced_than_are_listed(is_made_again: bool) {
    let lab = lab().await;
    lab.apply(trusting_all(&principals(0..130)));
    lab.run(3).await;
    assert_eq!(trusted(&lab).len(), 130);
    delete(&lab, |number| number % 13 != 0, 130).await;
    let living: Vec<usize> = (0..10).map(|n| 13 * n).collect();
    assert_eq!((told(&lab, "Replaced").len(), trusted(&lab)), (100, living.clone()));
    let (reason, message) = lab.ready("CrossAccountRole", "reader");
    assert_eq!(reason, "PrincipalReplaced");
    assert!(message.contains("120 sources") && message.contains(&arn(1)), "{message}");
    assert!(is_at_rest(&lab).await);
    // Not after a while either; but those that are taken out can come again.
    tokio::time::advance(Duration::from_secs(2000)).await;
    lab.run(3).await;
    assert_eq!(trusted(&lab), living);
    if !is_made_again {
        lab.apply(trusting_all(&principals(living.clone().into_iter())));
        lab.run(3).await;
        lab.apply(trusting_all(&principals((0..5).chain(living.into_iter().skip(1)))));
        lab.run(3).await;
        assert_eq!((trusted(&lab).len(), lab.ready("CrossAccountRole", "reader").0), (14, "Ready".into()));
        return;
    }
    // Nor where the role itself was made again: then nobody knows of those beyond the list.
    lab.aws.remove("222222222222", "role reader");
    tokio::time::advance(Duration::from_secs(2000)).await;
    lab.run(45).await;
    assert!(lab.aws.get("222222222222", "role reader").is_some());
    assert_eq!(trusted(&lab).iter().filter(|number| **number % 13 != 0).count(), 0);
    assert!(is_at_rest(&lab).await);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_stands_in_two_entries_is_told_once_for_all() {
    let lab = lab().await;
    let mut role = trusting_all(&principals(0..1));
    let mut account = lab.get("AWSAccount", "prod");
    account["spec"]["guardrails"]["accountRootTrust"] = json!(true);
    lab.apply(account);
    let by_root = json!({"principal": "AccountRoot", "from": [{"awsPrincipal": arn(0)}], "require": {"externalID": "ticket"}});
    role["spec"]["trust"].as_array_mut().unwrap().insert(0, by_root);
    lab.apply(role);
    lab.run(3).await;
    assert_eq!(lab.ready("CrossAccountRole", "reader").0, "Ready");
    let shown = trust(&lab).replace(&arn(0), &ghost(0));
    lab.aws.change("222222222222", "role reader", |found| {
        found.identity.role.as_mut().unwrap().trust_policy = crate::core::document::Document::parse(&shown).unwrap();
    });
    tokio::time::advance(Duration::from_secs(2000)).await;
    lab.run(45).await;
    assert!(trust(&lab).contains("333333333333:root") && !trust(&lab).contains(&ghost(0)) && trusted(&lab).is_empty(), "{}", trust(&lab));
    assert!(is_at_rest(&lab).await);
}

/// More users than a list holds, as sources of a role.
fn users(lab: &Lab) -> Vec<Value> {
    let users: Vec<Value> = (0..125).map(|number| json!({"user": {"name": format!("user-{number:0>3}")}})).collect();
    for user in &users {
        lab.apply(json!({"kind": "BastionUser", "metadata": {"name": user["user"]["name"]}, "spec": {"accountRef": {"name": "utils"}}}));
    }
    users
}

#[tokio::test(start_paused = true)]
async fn sources_beyond_the_list_are_read_before_they_are_added_and_the_role_does_not_wait_for_ever() {
    let lab = lab().await;
    let users = users(&lab);
    lab.settle().await;
    lab.apply(trusting_all(&users[..10]));
    lab.run(3).await;
    // More than a list holds are new at once.
    *lab.aws.slowness.lock() = Duration::from_secs(2);
    *lab.aws.trust_policy_size.lock() = 16_000;
    tokio::time::advance(Duration::from_secs(2000)).await;
    lab.pass(&Ref::Account(ObjectKey::new("", "prod"))).await;
    lab.apply(trusting_all(&users));
    let mut tries = 0;
    while tries < 40 && trust(&lab).matches(":user/user-").count() < 125 {
        tries += 1;
        lab.settle().await;
        tokio::time::advance(Duration::from_secs(5)).await;
        lab.pass(&reader()).await;
    }
    assert_eq!(trust(&lab).matches(":user/user-").count(), 125, "{:?}", lab.ready("CrossAccountRole", "reader"));
}

#[tokio::test(start_paused = true)]
async fn a_role_whose_trust_has_no_room_does_not_have_its_sources_read_over_and_over() {
    let lab = lab().await;
    let users = users(&lab);
    *lab.aws.trust_policy_size.lock() = 2048;
    lab.settle().await;
    lab.apply(trusting_all(&users[..10]));
    lab.run(3).await;
    lab.apply(trusting_all(&users));
    lab.run(3).await;
    assert_eq!(lab.ready("CrossAccountRole", "reader").0, "QuotaExceeded");
    let reads = *lab.aws.reads.lock();
    for _ in 0..10 {
        tokio::time::advance(Duration::from_secs(50)).await;
        lab.pass(&reader()).await;
        lab.settle().await;
    }
    assert!(*lab.aws.reads.lock() - reads <= 10, "{} reads", *lab.aws.reads.lock() - reads);
}

#[tokio::test(start_paused = true)]
async fn no_more_policies_are_made_than_the_status_remembers() {
    let lab = lab().await;
    lab.aws.refuse(|action| matches!(action, Action::DeletePolicy(_)), Reason::AccessDenied, "no");
    let named = |round: usize| {
        let document = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}});
        let policies: Vec<Value> = (0..10).map(|number| json!({"name": format!("policy-{round:0>2}-{number}"), "document": document})).collect();
        let mut role = trusting_all(&[]);
        role["spec"]["permissions"] = json!({"customerManagedPolicies": policies});
        role
    };
    for round in 0..13 {
        lab.apply(named(round));
        lab.run(3).await;
    }
    let made = lab.aws.policies.lock().len();
    assert!((90..=100).contains(&made), "{made}");
    lab.aws.refused.lock().clear();
    lab.run(3).await;
    assert_eq!((lab.aws.policies.lock().len(), lab.ready("CrossAccountRole", "reader").0), (10, "Ready".into()));
    lab.delete("CrossAccountRole", "reader");
    lab.run(3).await;
    assert_eq!(lab.aws.policies.lock().len(), 0);
}
