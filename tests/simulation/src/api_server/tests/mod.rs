//! Each rule by itself. Statements are those of what Kubernetes really does, by their numbers.

mod applying;
mod deletion;
mod reading;
mod watching;
mod writing;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{Answer, ApiServer, Request};

pub const JSON: &str = "application/json";
pub const MERGE: &str = "application/merge-patch+json";
pub const JSON_PATCH: &str = "application/json-patch+json";
pub const APPLY: &str = "application/apply-patch+yaml";
pub const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
pub const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
pub const USERS: &str = "/apis/rolebridge.io/v1alpha1/namespaces/data/bastionusers";
pub const ALICE: &str = "/apis/rolebridge.io/v1alpha1/namespaces/data/bastionusers/alice";
pub const STATUS: &str = "/apis/rolebridge.io/v1alpha1/namespaces/data/bastionusers/alice/status";
pub const APPLY_STATUS: &str = "/apis/rolebridge.io/v1alpha1/namespaces/data/bastionusers/alice/status?fieldManager=rolebridge&force=true";
pub const MAPS: &str = "/api/v1/namespaces/data/configmaps";
pub const POLICIES: &str = "/api/v1/namespaces/data/configmaps/policies";
pub const NAMESPACES: &str = "/api/v1/namespaces";
pub const DATA: &str = "/api/v1/namespaces/data";

/// A server with a namespace `data`.
pub fn server() -> ApiServer {
    let mut server = ApiServer::new();
    assert_eq!(post(&mut server, NAMESPACES, &json!({"metadata": {"name": "data"}})).0, 201);
    server
}

/// The same with a BastionUser `alice` in it, and that as it was answered.
pub fn with_alice(metadata: Value) -> (ApiServer, Value) {
    let mut server = server();
    let (code, created) = post(&mut server, USERS, &user("alice", metadata));
    assert_eq!(code, 201, "{created}");
    (server, created)
}

/// A BastionUser with further metadata.
pub fn user(name: &str, metadata: Value) -> Value {
    let mut object =
        json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "BastionUser", "metadata": metadata, "spec": {"accountRef": {"name": "utils"}}});
    object["metadata"]["name"] = name.into();
    object
}

/// A status as the operator applies it to the version of alice that was read.
pub fn status(of: &Value, status: Value) -> Value {
    let version = &of["metadata"]["resourceVersion"];
    json!({
        "apiVersion": "rolebridge.io/v1alpha1", "kind": "BastionUser",
        "metadata": {"name": "alice", "namespace": "data", "resourceVersion": version}, "status": status,
    })
}

/// Code and body of an answer that is whole.
pub fn ask(server: &mut ApiServer, method: &str, target: &str, accept: &str, content_type: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match server.answer(&Request { method, path, query, accept, content_type, body: body.as_bytes() }) {
        Answer::Whole { code, body } => (code, serde_json::from_str(&body).unwrap()),
        Answer::Watch(_) => panic!("{target} is a watch"),
    }
}

pub fn get(server: &mut ApiServer, target: &str) -> (u16, Value) {
    ask(server, "GET", target, JSON, "", &Value::Null)
}

pub fn post(server: &mut ApiServer, target: &str, body: &Value) -> (u16, Value) {
    ask(server, "POST", target, JSON, JSON, body)
}

pub fn put(server: &mut ApiServer, target: &str, body: &Value) -> (u16, Value) {
    ask(server, "PUT", target, JSON, JSON, body)
}

pub fn patch(server: &mut ApiServer, target: &str, content_type: &str, body: &Value) -> (u16, Value) {
    ask(server, "PATCH", target, JSON, content_type, body)
}

pub fn delete(server: &mut ApiServer, target: &str) -> (u16, Value) {
    ask(server, "DELETE", target, JSON, JSON, &Value::Null)
}

/// A watch, in whole objects.
pub fn watch(server: &mut ApiServer, target: &str) -> UnboundedReceiver<String> {
    watch_as(server, target, JSON)
}

pub fn watch_as(server: &mut ApiServer, target: &str, accept: &str) -> UnboundedReceiver<String> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match server.answer(&Request { method: "GET", path, query, accept, ..Request::default() }) {
        Answer::Watch(events) => events,
        Answer::Whole { code, body } => panic!("{code} {body}"),
    }
}

/// What a watch was told since it was last asked.
pub fn events(watch: &mut UnboundedReceiver<String>) -> Vec<Value> {
    std::iter::from_fn(|| watch.try_recv().ok()).map(|line| serde_json::from_str(line.strip_suffix('\n').unwrap()).unwrap()).collect()
}

/// Type, name and version of events.
pub fn brief(events: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    events.iter().map(|event| (text(&event["type"]), text(&event["object"]["metadata"]["name"]))).collect()
}

pub fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}
