//! What people and the operator may do, drawn by chance so that most of it meets something.

use std::collections::BTreeMap;

use rolebridge_simulation::api_server::ApiServer;
use serde_json::{Value, json};

use super::kinds::{EVENT, KINDS, Kind, NAMESPACE, NAMESPACES, OURS};
use super::servers::{Call, Pair};

pub const JSON: &str = "application/json";
pub const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
pub const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const MERGE: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
/// The operator's query when it applies a status.
const BY_OPERATOR: &str = "&fieldManager=rolebridge&force=true";
/// The operator's finalizer.
pub const FINALIZER: &str = "rolebridge.io/finalizer";
/// Versions of an object that are remembered, the last of which is what is there, if anything is.
const REMEMBERED: usize = 4;

/// What an object is remembered by.
pub type Key = (&'static str, &'static str, String);

/// What was seen of the objects, at both servers.
#[derive(Debug, Default)]
pub struct Known(BTreeMap<Key, Vec<Pair<Value>>>);

impl Known {
    /// Remembers a version.
    pub fn note(&mut self, key: &Key, versions: Pair<Value>) {
        let seen = self.0.entry(key.clone()).or_default();
        seen.push(versions);
        if seen.len() > REMEMBERED {
            seen.remove(0);
        }
    }

    /// Forgets an object with a name that was generated.
    pub fn forget(&mut self, key: &Key) {
        self.0.remove(key);
    }

    /// The last version, mostly, or an earlier one.
    fn recall(&self, key: &Key, random: &mut fastrand::Rng) -> Pair<Value> {
        let Some(seen) = self.0.get(key) else { return Pair::default() };
        let back = if random.u8(..6) == 0 { random.usize(..seen.len()) } else { 0 };
        seen[seen.len() - 1 - back].clone()
    }

    fn keys_of(&self, kind: &Kind) -> Vec<&Key> {
        self.0.keys().filter(|key| key.0 == kind.plural).collect()
    }

    /// The last versions of what was in a namespace.
    pub fn in_namespace(&self, namespace: &str) -> Vec<(Key, Pair<Value>)> {
        let there = self.0.iter().filter(|(key, _)| key.1 == namespace);
        there.filter_map(|(key, seen)| Some((key.clone(), seen.last()?.clone()))).collect()
    }
}

/// Makes a body of what is known of the object.
type Make = Box<dyn Fn(&Value) -> Value>;

/// A body that does not depend on what is known.
fn fixed(body: Value) -> Make {
    Box::new(move |_| body.clone())
}

/// One thing to do.
pub struct Operation {
    /// The object; the name is empty where a new one is to be given.
    pub key: Key,
    method: &'static str,
    path: String,
    part: &'static str,
    query: String,
    /// Whether a list is to be of the version that is known of the object.
    is_of_known_version: bool,
    accept: &'static str,
    content_type: &'static str,
    body: Option<Make>,
    known: Pair<Value>,
}

impl Operation {
    /// The requests.
    pub fn calls(&self) -> Pair<Call> {
        self.known.map(|known| {
            let given = known["metadata"]["name"].as_str().filter(|_| self.key.2.starts_with("generated"));
            let name = given.unwrap_or(&self.key.2);
            let name = if name.is_empty() || self.method == "POST" { String::new() } else { format!("/{name}") };
            let mut query = self.query.clone();
            if let Some(version) = known["metadata"]["resourceVersion"].as_str().filter(|_| self.is_of_known_version) {
                query.push_str(&format!("&resourceVersionMatch=Exact&resourceVersion={version}"));
            }
            Call {
                method: self.method,
                path: format!("{}{name}{}", self.path, self.part),
                query,
                accept: self.accept,
                content_type: self.content_type,
                body: self.body.as_ref().map(|make| make(known)),
            }
        })
    }

    /// Whether a name is to be given.
    pub fn generates(&self) -> bool {
        self.method == "POST" && self.key.2.is_empty()
    }
}

/// How often a name is drawn again that is not there, or is there where it ought not to be.
const TRIES: usize = 3;

/// Draws operations.
pub struct Draw<'r> {
    pub random: &'r mut fastrand::Rng,
    pub known: &'r Known,
    pub model: &'r ApiServer,
}

impl Draw<'_> {
    /// One of these.
    pub fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.random.usize(..all.len())].clone()
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u32) -> bool {
        self.random.u32(..n) == 0
    }

    /// Anything.
    pub fn operation(&mut self) -> Operation {
        if self.one_in(25) {
            return self.on_namespace();
        }
        if self.one_in(40) {
            return self.event();
        }
        let index = self.random.usize(..KINDS.len());
        let kind = &KINDS[index];
        match self.random.u32(..100) {
            0..14 => {
                let key = self.key(kind, false);
                self.create(kind, key)
            }
            14..16 => {
                let (plural, namespace, _) = self.key(kind, false);
                self.create(kind, (plural, namespace, String::new()))
            }
            96.. => self.list(kind),
            what => {
                let key = self.key(kind, true);
                self.change(what, kind, key)
            }
        }
    }

    fn change(&mut self, what: u32, kind: &Kind, key: Key) -> Operation {
        match what {
            16..34 => self.merge(kind, key),
            34..44 => self.json_patch(kind, key),
            44..54 => self.put(kind, key),
            54..72 if kind.is_ours() => self.apply_status(kind, key),
            54..62 => self.apply(kind, key),
            62..72 => self.merge(kind, key),
            72..79 if kind.is_ours() => self.write_status(kind, key),
            72..76 => self.put(kind, key),
            76..82 => self.apply(kind, key),
            82..92 => self.delete(kind, key),
            _ => self.read(kind, key),
        }
    }

    /// An object that is there, mostly, or one that is not.
    fn key(&mut self, kind: &Kind, exists: bool) -> Key {
        let mut key = self.any_key(kind, exists);
        for _ in 0..TRIES {
            if self.is_there(&key) == exists {
                break;
            }
            key = self.any_key(kind, exists);
        }
        key
    }

    /// One of the names of the kind, or one that was generated.
    fn any_key(&mut self, kind: &Kind, or_generated: bool) -> Key {
        let namespace = if kind.is_namespaced { self.of(&NAMESPACES) } else { "" };
        let generated: Vec<Key> =
            self.known.keys_of(kind).into_iter().filter(|key| key.1 == namespace && key.2.starts_with("generated")).cloned().collect();
        if or_generated && !generated.is_empty() && self.one_in(6) {
            return self.of(&generated);
        }
        (kind.plural, namespace, self.of(&kind.names).to_owned())
    }

    fn is_there(&self, key: &Key) -> bool {
        key.2.starts_with("generated") || self.model.object(key.0, key.1, &key.2).is_some()
    }

    fn act(&mut self, kind: &Kind, key: Key, method: &'static str, content_type: &'static str, body: Option<Make>) -> Operation {
        let known = self.known.recall(&key, self.random);
        let path = kind.path(key.1);
        let accept = if self.one_in(12) { METADATA } else { JSON };
        let query = "fieldManager=people".to_owned();
        Operation { key, method, path, part: "", query, is_of_known_version: false, accept, content_type, body, known }
    }

    fn create(&mut self, kind: &Kind, key: Key) -> Operation {
        let mut object = self.object(kind);
        if key.2.is_empty() {
            let number = self.random.u32(..);
            object["metadata"]["generateName"] = format!("generated-{}-", letters(number)).into();
        } else {
            object["metadata"]["name"] = key.2.as_str().into();
        }
        if self.one_in(4) {
            object["status"] = json!({"observedGeneration": 3, "userARN": "arn"});
        }
        if self.one_in(8) {
            object["unknown"] = json!({"field": 1});
            object["metadata"]["unknown"] = "too".into();
        }
        if self.one_in(30) {
            object["metadata"]["resourceVersion"] = "5".into();
        }
        if self.one_in(30) {
            object["metadata"]["namespace"] = "elsewhere".into();
        }
        if self.one_in(20) {
            object["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000".into();
            object["metadata"]["deletionTimestamp"] = "2020-01-01T00:00:00Z".into();
            object["metadata"]["generation"] = 7.into();
        }
        self.act(kind, key, "POST", JSON, Some(fixed(object)))
    }

    /// What makes a write one of a certain version, or not.
    fn guarded(&mut self, make: Make) -> Make {
        match self.random.u32(..12) {
            0..5 => make,
            5..9 => Box::new(move |known| {
                let mut body = make(known);
                body["metadata"]["resourceVersion"] = known["metadata"]["resourceVersion"].clone();
                body
            }),
            9 | 10 => Box::new(move |known| {
                let mut body = make(known);
                body["metadata"]["resourceVersion"] = known["metadata"]["resourceVersion"].clone();
                body["metadata"]["uid"] = known["metadata"]["uid"].clone();
                body
            }),
            _ => Box::new(move |known| {
                let mut body = make(known);
                body["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000".into();
                body
            }),
        }
    }

    fn merge(&mut self, kind: &Kind, key: Key) -> Operation {
        let patch = match self.random.u32(..12) {
            0..2 => json!({"metadata": {"finalizers": self.finalizers()}}),
            2 => json!({"metadata": {"finalizers": null}}),
            3..5 => json!({"metadata": {"labels": self.labels()}}),
            5 => json!({"metadata": {"labels": {"team": null}, "annotations": null}}),
            6 => json!({}),
            7 => json!({"status": {"observedGeneration": 9}, "metadata": {"labels": {"with": "status"}}}),
            8 => self.of(&[
                json!({"metadata": {"generation": 99, "creationTimestamp": "2020-01-01T00:00:00Z"}}),
                json!({"metadata": {"deletionTimestamp": "2020-01-01T00:00:00Z"}}),
                json!({"metadata": {"name": "another"}}),
                json!({"metadata": {"namespace": "elsewhere"}}),
                json!({"metadata": {"deletionTimestamp": null, "uid": null}}),
            ]),
            _ => self.content(kind),
        };
        let body = self.guarded(fixed(patch));
        self.act(kind, key, "PATCH", MERGE, Some(body))
    }

    fn json_patch(&mut self, kind: &Kind, key: Key) -> Operation {
        let version = |known: &Value| json!({"op": "test", "path": "/metadata/resourceVersion", "value": known["metadata"]["resourceVersion"]});
        let first = || json!({"op": "test", "path": "/metadata/finalizers/0", "value": FINALIZER});
        let body: Make = match self.random.u32(..9) {
            0 | 1 => Box::new(move |known| json!([version(known), {"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER]}])),
            2 | 3 => fixed(json!([first(), {"op": "remove", "path": "/metadata/finalizers/0"}])),
            4 => fixed(json!([{"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/third"}])),
            5 => fixed(json!([{"op": "add", "path": "/metadata/labels/team", "value": "patched"}])),
            6 => fixed(json!([{"op": "replace", "path": "/metadata/labels", "value": {"replaced": "yes"}}])),
            7 if kind.is_ours() => {
                fixed(json!([{"op": "add", "path": "/spec/tags", "value": {"a": "b"}}, {"op": "add", "path": "/status/userARN", "value": "x"}]))
            }
            7 => fixed(json!([{"op": "move", "from": "/data/a", "path": "/data/c"}])),
            _ => fixed(
                json!([{"op": "remove", "path": "/metadata/annotations/a"}, {"op": "copy", "from": "/metadata/labels", "path": "/metadata/annotations"}]),
            ),
        };
        self.act(kind, key, "PATCH", JSON_PATCH, Some(body))
    }

    fn put(&mut self, kind: &Kind, key: Key) -> Operation {
        let fresh = with(&self.object(kind), &[("/metadata/name", &json!(key.2))]);
        let (content, labels, finalizers) = (self.content(kind), self.labels(), self.finalizers());
        let unseen = fresh.clone();
        let body: Make = match self.random.u32(..12) {
            // As it was.
            0 => Box::new(Value::clone),
            1..4 => Box::new(move |known| with(known, &[("/metadata/labels", &labels)])),
            4..7 => Box::new(move |known| {
                let mut body = known.clone();
                content.as_object().into_iter().flatten().for_each(|(field, value)| body[field] = value.clone());
                body
            }),
            7 => Box::new(move |known| with(known, &[("/metadata/finalizers", &finalizers)])),
            8 => Box::new(move |known| with(known, &[("/status", &json!({"observedGeneration": 5})), ("/metadata/generation", &json!(55))])),
            9 => Box::new(move |known| with(known, &[("/metadata/uid", &json!("00000000-0000-0000-0000-000000000000"))])),
            // One that does not know what is there.
            10 => Box::new(move |known| with(&fresh, &[("/metadata/name", &known["metadata"]["name"])])),
            _ => Box::new(move |known| {
                let name = known["metadata"]["name"].clone();
                let version = known["metadata"]["resourceVersion"].clone();
                with(&fresh, &[("/metadata/name", &name), ("/metadata/resourceVersion", &version)])
            }),
        };
        let body = Box::new(move |known: &Value| if known.is_null() { unseen.clone() } else { body(known) });
        self.act(kind, key, "PUT", JSON, Some(body))
    }

    fn apply(&mut self, kind: &Kind, key: Key) -> Operation {
        let mut object = self.object(kind);
        if !self.one_in(12) {
            without_unknown(&mut object);
        }
        let plain_name = key.2.clone();
        let body: Make = Box::new(move |known| {
            let name = if known.is_null() { json!(plain_name) } else { known["metadata"]["name"].clone() };
            with(&object, &[("/metadata/name", &name)])
        });
        let mut operation = self.act(kind, key, "PATCH", APPLY, Some(body));
        operation.query =
            self.of(&["fieldManager=people&force=true", "fieldManager=others&force=true", "fieldManager=others", "force=true"]).to_owned();
        operation
    }

    /// As the operator does it.
    fn apply_status(&mut self, kind: &Kind, key: Key) -> Operation {
        let (api_version, name, status) = (kind.api_version, kind.name, self.status(kind));
        let (plain_name, namespace) = (key.2.clone(), key.1);
        let guard = self.random.u32(..12);
        let body: Make = Box::new(move |known| {
            let name_of = if known.is_null() { json!(plain_name) } else { known["metadata"]["name"].clone() };
            let mut body = json!({"apiVersion": api_version, "kind": name, "metadata": {"name": name_of}, "status": status});
            if !namespace.is_empty() {
                body["metadata"]["namespace"] = namespace.into();
            }
            if guard > 0 {
                body["metadata"]["resourceVersion"] = known["metadata"]["resourceVersion"].clone();
            }
            if guard == 1 {
                body["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000".into();
            }
            if guard == 2 {
                // It says again what is there.
                body["status"] = known["status"].clone();
            }
            without_nulls(&mut body);
            body
        });
        let mut operation = self.act(kind, key, "PATCH", APPLY, Some(body));
        (operation.part, operation.query, operation.accept) = ("/status", BY_OPERATOR.to_owned(), JSON);
        operation
    }

    /// As people do it.
    fn write_status(&mut self, kind: &Kind, key: Key) -> Operation {
        let seen = self.conditions(&["Seen", "Heard"]);
        let unseen = with(&self.object(kind), &[("/metadata/name", &json!(key.2))]);
        let (put, body): (bool, Make) = match self.random.u32(..8) {
            0 | 1 => (false, fixed(json!({"status": {"conditions": seen}, "metadata": {"labels": {"with": "status"}}}))),
            2 => (false, fixed(json!({"status": null}))),
            3 => (false, fixed(json!({"status": {"observedGeneration": 8, "unknown": 1, "userARN": null}, "spec": {"tags": {"x": "y"}}}))),
            4 => (true, Box::new(Value::clone)),
            5 => (true, Box::new(|known| with(known, &[("/status", &Value::Null)]))),
            _ => {
                let add = move |known: &Value| {
                    let old = known["status"]["conditions"].as_array().cloned().unwrap_or_default();
                    let others = old.into_iter().filter(|old| !["Seen", "Heard"].iter().any(|type_| old["type"] == *type_));
                    let all: Value = others.chain(seen.as_array().cloned().unwrap_or_default()).collect();
                    with(known, &[("/status/conditions", &all), ("/spec/tags", &json!({"x": "y"})), ("/metadata/finalizers", &json!(["a.io/b"]))])
                };
                (true, Box::new(add))
            }
        };
        let (method, content_type) = if put { ("PUT", JSON) } else { ("PATCH", MERGE) };
        let body = Box::new(move |known: &Value| if known.is_null() && put { unseen.clone() } else { body(known) });
        let mut operation = self.act(kind, key, method, content_type, Some(body));
        operation.part = "/status";
        operation
    }

    fn delete(&mut self, kind: &Kind, key: Key) -> Operation {
        let body: Option<Make> = match self.random.u32(..6) {
            0 => Some(Box::new(|known| json!({"preconditions": {"uid": known["metadata"]["uid"]}}))),
            1 => Some(Box::new(|known| json!({"preconditions": {"resourceVersion": known["metadata"]["resourceVersion"]}}))),
            2 => Some(fixed(json!({"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}))),
            3 => Some(fixed(json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}))),
            _ => None,
        };
        let mut operation = self.act(kind, key, "DELETE", JSON, body);
        operation.query = String::new();
        operation
    }

    fn read(&mut self, kind: &Kind, key: Key) -> Operation {
        let mut operation = self.act(kind, key, "GET", "", None);
        operation.query = String::new();
        if kind.is_ours() && self.one_in(3) {
            operation.part = "/status";
        }
        operation
    }

    fn list(&mut self, kind: &Kind) -> Operation {
        let known_key = self.key(kind, true);
        let namespace = if kind.is_ours() && self.one_in(2) { "" } else { known_key.1 };
        let known = self.known.recall(&known_key, self.random);
        let mut operation = self.act(kind, (kind.plural, namespace, String::new()), "GET", "", None);
        operation.accept = self.of(&[JSON, METADATA_LIST]);
        operation.query = self.of(&["", "limit=1", "limit=2", "limit=500"]).to_owned();
        operation.is_of_known_version = self.one_in(2);
        operation.known = known;
        operation
    }

    fn on_namespace(&mut self) -> Operation {
        let name = if self.one_in(3) { self.of(&NAMESPACES) } else { NAMESPACES[2] };
        let key = (NAMESPACE.plural, "", name.to_owned());
        let is_last = name == NAMESPACES[2];
        match self.random.u32(..8) {
            0..3 => {
                let body =
                    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": self.labels()}, "status": {"phase": "Odd"}});
                self.act(&NAMESPACE, key, "POST", JSON, Some(fixed(body)))
            }
            3 | 4 if is_last => {
                let mut operation = self.act(&NAMESPACE, key, "DELETE", JSON, None);
                operation.query = String::new();
                operation
            }
            5 => {
                let labels = self.labels();
                let body =
                    self.guarded(Box::new(move |_| json!({"metadata": {"labels": labels}, "spec": {"finalizers": []}, "status": {"phase": "Odd"}})));
                self.act(&NAMESPACE, key, "PATCH", MERGE, Some(body))
            }
            6 => {
                let labels = self.labels();
                self.act(
                    &NAMESPACE,
                    key,
                    "PUT",
                    JSON,
                    Some(Box::new(move |known| {
                        with(known, &[("/kind", &json!("Namespace")), ("/apiVersion", &json!("v1")), ("/metadata/labels", &labels)])
                    })),
                )
            }
            _ => {
                let mut operation = self.act(&NAMESPACE, key, "GET", "", None);
                operation.query = String::new();
                operation
            }
        }
    }

    fn event(&mut self) -> Operation {
        let (namespace, number) = (self.of(&NAMESPACES), self.random.u32(..));
        let name = format!("alice.{}", letters(number));
        let regarding = json!({"apiVersion": OURS, "kind": "BastionUser", "name": "alice", "namespace": namespace});
        let body = json!({
            "apiVersion": EVENT.api_version, "kind": EVENT.name, "metadata": {"name": name, "namespace": namespace},
            "eventTime": "2020-01-01T00:00:00.000001Z", "reportingController": "rolebridge", "reportingInstance": "rolebridge",
            "action": "Reconcile", "reason": "Conflict", "type": "Warning", "note": "It is somebody else's.", "regarding": regarding,
        });
        self.act(&EVENT, (EVENT.plural, namespace, name), "POST", JSON, Some(fixed(body)))
    }
}

/// A number in letters, since numbers in messages are not compared.
fn letters(number: u32) -> String {
    number.to_string().bytes().map(|digit| char::from(b'a' + digit - b'0')).collect()
}

/// An object with other values at these places. What is null is taken out.
fn with(object: &Value, places: &[(&str, &Value)]) -> Value {
    let mut object = object.clone();
    for (pointer, value) in places {
        let mut place = &mut object;
        for field in pointer.split('/').skip(1) {
            place = &mut place[field];
        }
        *place = (*value).clone();
    }
    without_nulls(&mut object);
    object
}

fn without_nulls(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, value| !value.is_null());
        map.values_mut().for_each(without_nulls);
    }
}

fn without_unknown(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("unknown");
            map.values_mut().for_each(without_unknown);
        }
        Value::Array(items) => items.iter_mut().for_each(without_unknown),
        _ => {}
    }
}
