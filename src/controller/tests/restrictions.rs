//! What others put on to restrict a user or role stays: what is read for that, and what is remembered.

use std::time::Duration;

use serde_json::{Value, json};

use super::lab::Lab;
use crate::core::document::Document;
use crate::core::identity::ManagedPolicy;
use crate::core::names::Arn;
use crate::core::observed::ObservedPolicy;
use crate::core::ownership::OWNER;
use crate::core::world::{ObjectKey, Ref};

const UTILS: &str = "111111111111";
/// Longer than from one sweep to the next.
const SWEPT: Duration = Duration::from_secs(1000);

fn document(effect: &str) -> Document {
    Document::from_value(json!({"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": "s3:*", "Resource": "*"}]})).unwrap()
}

fn alice(spec: &Value) -> Value {
    let mut manifest = json!({"kind": "BastionUser", "metadata": {"name": "alice"}, "spec": {"accountRef": {"name": "utils"}, "permissions": {}}});
    manifest["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    manifest
}

fn fenced() -> Value {
    json!({"permissions": {"inlinePolicies": [{"name": "fence", "json": document("Deny").to_json()}]}})
}

/// A policy that somebody makes by hand.
fn make(lab: &Lab, name: &str, effect: &str, owner: Option<&str>) -> Arn {
    let arn: Arn = format!("arn:aws:iam::{UTILS}:policy/{name}").parse().unwrap();
    let policy = ManagedPolicy {
        arn: arn.clone(),
        name: name.parse().unwrap(),
        path: "/".parse().unwrap(),
        description: String::new(),
        document: document(effect),
        tags: owner.map(|owner| (OWNER.to_owned(), owner.to_owned())).into_iter().collect(),
    };
    let id = format!("ANPAEXAMPLE{:0>9}", name.replace('-', "").to_ascii_uppercase()).parse().unwrap();
    lab.aws.policies.lock().insert(arn.clone(), ObservedPolicy { id, policy, default_version: "v1".into(), other_versions: vec![] });
    arn
}

/// Alice, who is as declared, and with whom nothing has happened for a while.
async fn settled(spec: &Value) -> Lab {
    let lab = Lab::new().await;
    lab.apply(alice(spec));
    lab.run(130).await;
    assert_eq!(lab.ready("BastionUser", "alice").0, "Ready");
    sweep(&lab).await;
    lab.aws.take_done();
    lab
}

async fn sweep(lab: &Lab) {
    tokio::time::advance(SWEPT).await;
    lab.pass(&Ref::Account(ObjectKey::new("", "utils"))).await;
    lab.settle().await;
}

fn unmanaged(lab: &Lab) -> Value {
    lab.get("BastionUser", "alice")["status"]["unmanagedPolicies"].clone()
}

#[tokio::test(start_paused = true)]
async fn what_an_attached_policy_does_is_read_once_before_it_would_be_detached() {
    let lab = settled(&json!({})).await;
    let [denies, allows, owned] =
        [("denies", "Deny", None), ("allows", "Allow", None), ("owned", "Deny", Some("CrossAccountRole/x/y"))].map(|(n, e, o)| make(&lab, n, e, o));
    lab.aws.change(UTILS, "user alice", |found| found.identity.attached_policies.extend([denies.clone(), allows.clone(), owned.clone()]));
    sweep(&lab).await;
    let mut done = lab.aws.take_done();
    done.sort();
    assert_eq!(done, [format!("detach {allows} from user alice"), format!("detach {owned} from user alice")]);
    assert_eq!(unmanaged(&lab), json!([denies]));
    let (reason, message) = lab.ready("BastionUser", "alice");
    assert!(reason == "Ready" && message.contains("others have attached") && message.contains(denies.as_str()), "{message}");

    // From now on the bulk read tells all.
    let (reads, version) = (*lab.aws.reads.lock(), lab.get("BastionUser", "alice")["metadata"]["resourceVersion"].clone());
    for _ in 0..3 {
        sweep(&lab).await;
    }
    assert_eq!((*lab.aws.reads.lock(), &lab.get("BastionUser", "alice")["metadata"]["resourceVersion"]), (reads, &version), "nothing happens");
    lab.aws.policies.lock().get_mut(&denies).unwrap().policy.document = document("Allow");
    sweep(&lab).await;
    assert_eq!(lab.aws.take_done(), [format!("detach {denies} from user alice")], "what allows something is taken off");
    assert_eq!((unmanaged(&lab), lab.ready("BastionUser", "alice").1.as_str()), (Value::Null, "as declared"));
}

#[tokio::test(start_paused = true)]
async fn what_was_declared_goes_also_where_no_status_came_to_tell_that_it_was() {
    let lab = settled(&json!({})).await;
    lab.apply(alice(&fenced()));
    // While the policy is being put on, after it was looked whether it is there, somebody declares something else: the status of before is not written any more.
    let (outer, inner) = (lab.clone(), lab.clone());
    let change = move || inner.apply(alice(&json!({"tags": {"team": "data"}})));
    *lab.aws.hook.lock() = Some(Box::new(move || *outer.aws.hook.lock() = Some(Box::new(change))));
    lab.settle().await;
    let done = lab.aws.take_done();
    assert_eq!(done.first().map(String::as_str), Some("put inline policy fence on user alice"), "{done:?}");
    assert!(done.iter().any(|done| done == "delete inline policy fence of user alice"), "{done:?}");
    assert_eq!(unmanaged(&lab), Value::Null);
}

#[tokio::test(start_paused = true)]
async fn what_restricts_is_told_while_a_declaration_cannot_be_carried_out_and_not_taken_for_its_own() {
    let lab = settled(&fenced()).await;
    assert_eq!(lab.get("BastionUser", "alice")["status"]["declared"], json!({"inlinePolicies": ["fence"]}));
    let limit: Arn = format!("arn:aws:iam::{UTILS}:policy/limit").parse().unwrap();
    lab.aws.change(UTILS, "user alice", |found| {
        found.identity.inline_policies.insert("by-hand".parse().unwrap(), document("Deny"));
        found.identity.permissions_boundary = Some(limit.clone());
    });
    sweep(&lab).await;
    assert_eq!(unmanaged(&lab), json!(["by-hand", limit]));
    let mut broken = fenced();
    broken["permissions"]["inlinePolicies"][0]["json"] = json!("{");
    lab.apply(alice(&broken));
    lab.settle().await;
    assert_eq!(lab.ready("BastionUser", "alice").0, "InvalidDocument");
    assert_eq!(unmanaged(&lab), json!(["by-hand", limit]));
    assert_eq!(lab.get("BastionUser", "alice")["status"]["declared"], json!({"inlinePolicies": ["fence"]}));
    lab.apply(alice(&json!({})));
    lab.run(70).await;
    assert_eq!(lab.aws.take_done(), ["delete inline policy fence of user alice"]);
    let identity = lab.aws.get(UTILS, "user alice").unwrap().identity;
    assert!(identity.permissions_boundary == Some(limit) && identity.inline_policies.len() == 1);
}

/// A role in utils, which these may assume, with these policies attached.
fn reader(sources: &[&str], attached: &[&Arn]) -> Value {
    let from: Vec<Value> = sources.iter().map(|name| json!({"user": {"name": name}})).collect();
    let spec = json!({"accountRef": {"name": "utils"}, "trust": [{"from": from}], "permissions": {"attachedPolicies": attached}});
    json!({"kind": "CrossAccountRole", "metadata": {"name": "reader"}, "spec": spec})
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_taken_out_goes_although_a_policy_that_comes_on_beside_is_refused_before_anything_is_tried() {
    let lab = settled(&json!({})).await;
    let mut bob = alice(&json!({}));
    bob["metadata"]["name"] = json!("bob");
    lab.apply(bob);
    lab.apply(reader(&["alice", "bob"], &[]));
    lab.run(130).await;
    assert_eq!(lab.ready("CrossAccountRole", "reader").0, "Ready");
    // Nobody but its tags says that it is another's.
    let owned = make(&lab, "owned", "Allow", Some("CrossAccountRole/x/y"));
    lab.apply(reader(&["alice"], &[&owned]));
    lab.run(10).await;
    assert_eq!(lab.ready("CrossAccountRole", "reader").0, "PolicyNotAttachable");
    let trust = lab.aws.get(UTILS, "role reader").unwrap().identity.role.unwrap().trust_policy.to_json();
    assert!(trust.contains("user/alice") && !trust.contains("user/bob"), "{trust}");
}
