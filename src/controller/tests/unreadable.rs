//! Documents that nobody can read, in AWS and in ConfigMaps.

use std::time::Duration;

use serde_json::{Value, json};

use super::lab::{Lab, trusting};
use crate::core::canonical::same;
use crate::core::document::Document;
use crate::core::world::{ObjectKey, Ref};

const ALICE: &str = "arn:aws:iam::111111111111:user/alice";

fn user(name: &str) -> Value {
    json!({"kind": "BastionUser", "metadata": {"name": name}, "spec": {"accountRef": {"name": "utils"}}})
}

/// The role `reader`, which trusts these users and has this inline policy, if any.
fn reader(users: &[&str], inline: &Value) -> Value {
    let sources: Vec<Value> = users.iter().map(|name| json!({"user": {"name": name}})).collect();
    json!({"kind": "CrossAccountRole", "metadata": {"name": "reader"}, "spec": {
        "accountRef": {"name": "prod"}, "trust": [{"from": sources}], "permissions": {"inlinePolicies": inline}}})
}

/// The users alice and bob, and the role `reader`, which trusts both, some time after they were made.
async fn lab() -> Lab {
    let lab = Lab::new().await;
    lab.apply(user("alice"));
    lab.apply(user("bob"));
    lab.apply(reader(&["alice", "bob"], &json!([])));
    lab.run(3).await;
    assert_eq!(lab.ready("CrossAccountRole", "reader").0, "Ready");
    tokio::time::advance(Duration::from_secs(2000)).await;
    lab.aws.take_done();
    lab
}

fn garble_trust(lab: &Lab) {
    lab.aws.change("222222222222", "role reader", |there| {
        there.identity.role.as_mut().unwrap().trust_policy = Document::read("no%20JSON");
    });
}

fn put_garbled(lab: &Lab, user: &str) {
    lab.aws.change("111111111111", user, |there| {
        there.identity.inline_policies.insert("of-others".parse().unwrap(), Document::read("%7Bdamaged%"));
    });
}

fn trust_of_reader(lab: &Lab) -> Document {
    lab.aws.get("222222222222", "role reader").unwrap().identity.role.unwrap().trust_policy
}

#[tokio::test(start_paused = true)]
async fn a_trust_policy_that_nobody_can_read_is_found_by_a_sweep_and_replaced() {
    let lab = lab().await;
    garble_trust(&lab);
    lab.pass(&Ref::Account(ObjectKey::new("", "prod"))).await;
    lab.run(2).await;
    assert_eq!(lab.aws.take_done(), ["set the trust policy of role reader"]);
    assert!(same(&trust_of_reader(&lab), &trusting(&[ALICE.into(), ALICE.replace("alice", "bob")])));
    assert_eq!(lab.ready("CrossAccountRole", "reader").0, "Ready");
}

#[tokio::test(start_paused = true)]
async fn it_is_replaced_before_anything_else_happens_and_whoever_is_withdrawn_is_out() {
    let lab = lab().await;
    garble_trust(&lab);
    let list =
        json!([{"name": "list", "json": r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:List*", "Resource": "*"}}"#}]);
    lab.apply(reader(&["alice"], &list));
    lab.run(3).await;
    let done = lab.aws.take_done();
    let of_role: Vec<&String> = done.iter().filter(|action| action.contains("role reader")).collect();
    assert_eq!(of_role, ["set the trust policy of role reader", "put inline policy list on role reader"], "{done:?}");
    assert!(same(&trust_of_reader(&lab), &trusting(&[ALICE.into()])));
}

#[tokio::test(start_paused = true)]
async fn a_user_with_a_policy_that_nobody_can_read_loses_what_is_withdrawn_and_can_be_deleted() {
    let lab = lab().await;
    for name in ["user alice", "user bob"] {
        put_garbled(&lab, name);
    }
    lab.apply(reader(&["alice"], &json!([])));
    lab.run(3).await;
    let assume = "rolebridge-assume-roles";
    let has_right = |name: &str| lab.aws.get("111111111111", name).unwrap().identity.inline_policies.keys().any(|policy| policy.as_str() == assume);
    assert!(has_right("user alice") && !has_right("user bob"), "{:?}", lab.aws.take_done());
    for name in ["alice", "bob"] {
        lab.delete("BastionUser", name);
    }
    lab.run(200).await;
    for name in ["alice", "bob"] {
        assert!(lab.get("BastionUser", name).is_null() && lab.aws.get("111111111111", &format!("user {name}")).is_none(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_not_utf_8_is_found_where_kubectl_puts_it_and_the_next_one_heals_it() {
    let lab = Lab::new().await;
    lab.apply(user("alice"));
    let policy = |name: &str| json!({"name": name, "configMapKeyRef": {"name": "policies", "key": format!("{name}.json")}});
    lab.apply(json!({"kind": "ConfigMap", "metadata": {"name": "policies"}, "binaryData": {"one.json": "//57AA==", "two.json": "6Q=="}}));
    lab.apply(reader(&["alice"], &json!([policy("one"), policy("two"), policy("three")])));
    lab.run(3).await;
    let (reason, message) = lab.ready("CrossAccountRole", "reader");
    assert_eq!(reason, "InvalidDocument", "{message}");
    for key in ["one.json", "two.json"] {
        assert!(message.contains(&format!("ConfigMap policies has the key {key} in binaryData")), "{message}");
    }
    let conditions = lab.get("CrossAccountRole", "reader")["status"]["conditions"].to_string();
    assert!(conditions.contains("ConfigMap policies is there and has no key three.json"), "{conditions}");
    assert!(lab.aws.get("222222222222", "role reader").is_none(), "nothing is made of what is no text");
    let text = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:List*", "Resource": "*"}}"#;
    let marked = format!("\u{feff}{text}");
    lab.apply(json!({"kind": "ConfigMap", "metadata": {"name": "policies"}, "data": {"one.json": marked, "two.json": text, "three.json": text}}));
    lab.run(3).await;
    assert_eq!(lab.ready("CrossAccountRole", "reader").0, "Ready");
    let made = lab.aws.get("222222222222", "role reader").unwrap().identity.inline_policies;
    assert!(made.len() == 3 && made.values().all(|policy| *policy == Document::parse(text).unwrap()), "{made:?}");
}
