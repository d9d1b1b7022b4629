//! Who is trusted, where what is known changes under way.

use std::time::Duration;

use serde_json::{Value, json};

use super::lab::Lab;
use crate::controller::caches::lock;
use crate::controller::relations::Ref;
use crate::core::world::ObjectKey;

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
    *lock(&lab.aws.hook) = Some(Box::new(move || {
        hooked.api.drop_object("BastionUser", "alice");
        hooked.sync();
    }));
    lab.pass(&Ref::Role(ObjectKey::new("data", "reader"))).await;
    assert!(lock(&lab.aws.hook).is_none(), "the user went in the middle of the pass");
    assert_eq!(lab.aws.take_done(), Vec::<String>::new());
    lab.run(3).await;
    assert_eq!(lab.ready("CrossAccountRole", "reader").0, "SourceNotFound");
    assert_eq!(lab.get("CrossAccountRole", "reader")["status"]["grants"][0]["principal"], Value::Null);
}
