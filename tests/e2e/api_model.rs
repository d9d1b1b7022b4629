//! The model of the API server, on which the simulation rests, compared with the real one: both are asked the same, and answer the same.

mod compare;
mod content;
mod kinds;
mod operations;
mod servers;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use rolebridge_testbed::ControlPlaneOptions;
use serde_json::{Value, json};

use crate::campaign::{Campaign, is_full};
use compare::Comparison;
use kinds::{EVENT, KINDS, Kind, NAMESPACE, NAMESPACES};
use operations::{Draw, JSON, Key, Known, METADATA, METADATA_LIST, Operation};
use servers::{Answered, Call, Events, Pair, Servers, next, waiting};

/// How many operations are compared.
const OPERATIONS: usize = 5000;
/// How many come between two looks at the watches.
const BETWEEN_LOOKS: usize = 100;
/// From how many looks ago a watch is opened anew.
const BACK: usize = 3;
/// How many calls are told of an object, where something went wrong with it.
const TOLD: usize = 20;
/// How long the real server is listened to at the end.
const SILENCE: Duration = Duration::from_secs(1);
/// How long the real server may take to know that a namespace is gone, in the part of it that refuses what is created there.
const NAMESPACE_LAG: Duration = Duration::from_millis(300);

/// A watch at both servers.
struct Watch {
    path: String,
    accept: &'static str,
    events: Pair<Events>,
}

/// Both servers, and what is known of them.
struct Run {
    servers: Servers,
    comparison: Comparison,
    known: Known,
    watches: Vec<Watch>,
    /// Versions at the last looks at the watches.
    marks: Vec<Pair<u64>>,
    generated: usize,
    /// How often each method got each code.
    counts: BTreeMap<(&'static str, u16, String), usize>,
    /// The calls so far, with their paths, for a message.
    trace: Vec<(String, String)>,
}

impl Run {
    async fn start(options: ControlPlaneOptions) -> Result<Self> {
        let servers = Servers::start(options).await?;
        let mut run = Self {
            servers,
            comparison: Comparison::default(),
            known: Known::default(),
            watches: vec![],
            marks: vec![],
            generated: 0,
            counts: BTreeMap::new(),
            trace: vec![],
        };
        for name in NAMESPACES {
            let answers = run.same(post("/api/v1/namespaces", json!({"metadata": {"name": name}}))).await?;
            run.note(&(NAMESPACE.plural, "", name.to_owned()), answers);
        }
        Ok(run)
    }

    /// Watches all kinds, in whole objects and in metadata.
    async fn watch_all(&mut self) -> Result<()> {
        for kind in KINDS.iter().chain([&NAMESPACE, &EVENT]) {
            for accept in [JSON, METADATA] {
                self.watch(kind, accept).await?;
            }
        }
        Ok(())
    }

    async fn watch(&mut self, kind: &Kind, accept: &'static str) -> Result<()> {
        let path = kind.path("");
        let call = Call::get(&path, "watch=true", accept);
        let events = self.servers.watch(&Pair { real: call.clone(), model: call }).await?;
        self.watches.push(Watch { path, accept, events });
        Ok(())
    }

    /// Opens one of the watches anew, from where it was some looks ago.
    async fn rewatch(&mut self) -> Result<()> {
        self.marks.extend(self.comparison.last_version());
        let Some(mark) = self.marks.len().checked_sub(BACK).map(|mark| &self.marks[mark]) else { return Ok(()) };
        let index = self.marks.len() % self.watches.len();
        let watch = &mut self.watches[index];
        let calls = mark.map(|version| Call::get(&watch.path, &format!("watch=true&resourceVersion={version}"), watch.accept));
        watch.events = self.servers.watch(&calls).await?;
        Ok(())
    }

    fn compare(&mut self, answers: &Pair<Answered>) -> Result<()> {
        ensure!(answers.real.0 == answers.model.0, "{} and {}: {:#} and {:#}", answers.real.0, answers.model.0, answers.real.1, answers.model.1);
        self.comparison.check(&answers.map(|(_, body)| body.clone()))
    }

    /// Remembers an object that was answered.
    fn note(&mut self, key: &Key, answers: Pair<Answered>) {
        let is_object =
            answers.model.1["kind"] != "Status" && answers.model.1["kind"] != "PartialObjectMetadata" && answers.model.1.get("items").is_none();
        if is_object {
            self.known.note(key, answers.map(|(_, body)| without_managers(body)));
        }
    }

    async fn perform(&mut self, operation: Operation) -> Result<()> {
        let calls = operation.calls();
        let Call { method, path, query, content_type, body, .. } = &calls.model;
        self.trace.push((path.clone(), format!("{method} {path}?{query} {content_type} {}", body.as_ref().unwrap_or(&Value::Null))));
        let answers = self.servers.ask(&calls).await?;
        if let Some((_, text)) = self.trace.last_mut() {
            text.push_str(&format!(" {}", answers.real.0));
        }
        let reason = answers.real.1["reason"].as_str().filter(|_| answers.real.0 >= 300).unwrap_or_default().to_owned();
        *self.counts.entry((calls.real.method, answers.real.0, reason)).or_default() += 1;
        let mut key = operation.key.clone();
        if operation.generates() && answers.real.0 == 201 && answers.model.0 == 201 {
            self.comparison.generated(&answers.map(|(_, body)| body["metadata"]["name"].as_str().unwrap_or_default().to_owned()));
            key.2 = format!("generated {}", self.generated);
            self.generated += 1;
        }
        self.compare(&answers).with_context(|| format!("{:#?}", calls.real))?;
        let code = answers.model.0;
        if code == 404 && key.2.starts_with("generated") {
            self.known.forget(&key);
        }
        if !key.2.is_empty() {
            self.note(&key, answers.clone());
        }
        self.pages(&calls, &answers).await
    }

    /// Reads the rest of a list.
    async fn pages(&mut self, calls: &Pair<Call>, answers: &Pair<Answered>) -> Result<()> {
        let token = |(_, body): &Answered| body["metadata"]["continue"].as_str().filter(|token| !token.is_empty()).map(str::to_owned);
        let mut tokens = answers.map(token);
        while let (Some(real), Some(model)) = (&tokens.real, &tokens.model) {
            let next = |call: &Call, token: &str| Call { query: format!("limit=1&continue={token}"), ..call.clone() };
            let answers = self.servers.ask(&Pair { real: next(&calls.real, real), model: next(&calls.model, model) }).await?;
            self.compare(&answers).context("on a further page")?;
            tokens = answers.map(token);
        }
        Ok(())
    }

    /// Compares what the watches were told.
    async fn look(&mut self) -> Result<()> {
        for Watch { path, accept, events } in &mut self.watches {
            let model: Vec<Value> = waiting(&mut events.model)?.into_iter().filter(is_meant).collect();
            let real = next(&mut events.real, model.len(), is_meant).await.with_context(|| format!("the watch of {path} as {accept}"))?;
            for (real, model) in real.into_iter().zip(model) {
                self.comparison.check(&Pair { real, model }).with_context(|| format!("in the watch of {path} as {accept}"))?;
            }
        }
        Ok(())
    }

    /// Asserts that the real watches are told nothing more.
    async fn silent(&mut self) -> Result<()> {
        self.look().await?;
        tokio::time::sleep(SILENCE).await;
        for Watch { path, accept, events } in &mut self.watches {
            let more: Vec<Value> = waiting(&mut events.real)?.into_iter().filter(is_meant).collect();
            ensure!(more.is_empty(), "the watch of {path} as {accept} is told more than by the model: {more:#?}");
        }
        Ok(())
    }

    /// Asks both the same, and compares what they answer.
    async fn same(&mut self, call: Call) -> Result<Pair<Answered>> {
        self.same_pair(Pair { real: call.clone(), model: call }).await
    }

    /// Asks both, and compares what they answer.
    async fn same_pair(&mut self, calls: Pair<Call>) -> Result<Pair<Answered>> {
        let answers = self.servers.ask(&calls).await?;
        self.compare(&answers).with_context(|| format!("{calls:#?}"))?;
        Ok(answers)
    }

    /// Plays the namespace controller, for what people have deleted.
    async fn clean(&mut self) -> Result<()> {
        let terminating: Vec<&str> = NAMESPACES.into_iter().filter(|name| self.is_terminating(name)).collect();
        for name in terminating {
            for (key, known) in self.known.in_namespace(name) {
                let kind = KINDS.iter().chain([&EVENT]).find(|kind| kind.plural == key.0).context("a kind")?;
                let path = |known: &Value| format!("{}/{}", kind.path(name), known["metadata"]["name"].as_str().unwrap_or_default());
                let calls = known.map(|known| Call { method: "DELETE", ..Call::get(&path(known), "", JSON) });
                let answers = self.same_pair(calls).await?;
                self.note(&key, answers);
            }
            if KINDS.iter().all(|kind| self.servers.model.objects(kind.plural).all(|object| object["metadata"]["namespace"] != *name)) {
                self.finalize(name).await?;
            }
        }
        Ok(())
    }

    fn is_terminating(&self, namespace: &str) -> bool {
        self.servers.model.object("namespaces", "", namespace).is_some_and(|namespace| namespace["metadata"].get("deletionTimestamp").is_some())
    }

    async fn finalize(&mut self, name: &str) -> Result<()> {
        let path = format!("/api/v1/namespaces/{name}");
        let namespace = self.same(Call::get(&path, "", JSON)).await?;
        let calls = namespace.map(|(_, namespace)| {
            let mut body = without_managers(namespace);
            body["spec"]["finalizers"] = json!([]);
            Call { method: "PUT", content_type: JSON, body: Some(body), ..Call::get(&format!("{path}/finalize"), "", JSON) }
        });
        self.same_pair(calls).await?;
        tokio::time::sleep(NAMESPACE_LAG).await;
        Ok(())
    }
}

impl Run {
    /// The last calls about the object that the very last was about.
    fn story(&self) -> String {
        let Some((path, _)) = self.trace.last() else { return String::new() };
        let object = path.trim_end_matches("/status");
        let calls: Vec<&str> = self.trace.iter().filter(|(path, _)| path.starts_with(object)).map(|(_, text)| text.as_str()).collect();
        calls[calls.len().saturating_sub(TOLD)..].join("\n")
    }
}

fn post(path: &str, body: Value) -> Call {
    Call { method: "POST", content_type: JSON, body: Some(body), ..Call::get(path, "", JSON) }
}

fn merge(path: &str, body: Value) -> Call {
    Call { method: "PATCH", content_type: "application/merge-patch+json", body: Some(body), ..Call::get(path, "", JSON) }
}

fn without_managers(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    object
}

/// Whether an event is of an object of the test's own.
fn is_meant(event: &Value) -> bool {
    let metadata = &event["object"]["metadata"];
    let place = metadata["namespace"].as_str().or(metadata["name"].as_str()).unwrap_or_default();
    NAMESPACES.contains(&place) || (metadata["namespace"].is_null() && ["utils", "prod"].contains(&place)) || place.starts_with("generated-")
}

#[tokio::test]
async fn the_model_answers_as_the_real_server() -> Result<()> {
    let mut campaign = Campaign::new("the model of the API server");
    let count = if is_full() { OPERATIONS * 20 } else { OPERATIONS };
    let mut run = Run::start(ControlPlaneOptions::default()).await?;
    run.watch_all().await?;
    let result = async {
        for number in 1..=count {
            let mut draw = Draw { random: &mut campaign.random, known: &run.known, model: &run.servers.model };
            let operation = draw.operation();
            run.perform(operation).await.with_context(|| format!("operation {number}"))?;
            if number % BETWEEN_LOOKS == 0 || number == count {
                run.clean().await?;
                run.look().await.with_context(|| format!("after operation {number}"))?;
                run.rewatch().await?;
            }
        }
        run.silent().await
    };
    let result = result.await;
    result.with_context(|| format!("{campaign}; the last calls to that object:\n{}", run.story()))?;
    let counts: Vec<String> = run.counts.iter().map(|((method, code, reason), count)| format!("{count} {method} {code} {reason}")).collect();
    campaign.conclude(&format!("{count} operations, {} changes; {}", run.servers.model.revision(), counts.join(", ")));
    Ok(())
}

/// The path of the ConfigMaps of the first namespace.
const MAPS: &str = "/api/v1/namespaces/model-a/configmaps";
/// The path of its BastionUsers.
const USERS: &str = "/apis/rolebridge.io/v1alpha1/namespaces/model-a/bastionusers";

fn user(name: &str) -> Value {
    let spec = json!({"accountRef": {"name": "utils"}});
    json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "BastionUser", "metadata": {"name": name}, "spec": spec})
}

fn version_of((_, object): &Answered) -> String {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
}

/// An event, without the version where it is a bookmark.
fn without_position(event: &Value) -> Value {
    let mut event = event.clone();
    if event["type"] == "BOOKMARK" {
        drop(event["object"]["metadata"]["resourceVersion"].take());
    }
    event
}

fn token_of((_, list): &Answered) -> String {
    list["metadata"]["continue"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_model_forgets_as_the_real_server() -> Result<()> {
    let mut run = Run::start(ControlPlaneOptions::default()).await?;
    for name in ["a", "b", "c"] {
        run.same(post(USERS, user(name))).await?;
        run.same(post(MAPS, json!({"metadata": {"name": name}}))).await?;
    }
    let old = run.same(Call::get(&format!("{USERS}/c"), "", JSON)).await?.map(version_of);
    let mut pages = vec![];
    for path in [USERS, MAPS] {
        pages.push((path, run.same(Call::get(path, "limit=1", JSON)).await?.map(token_of)));
        run.same(merge(&format!("{path}/b"), json!({"metadata": {"labels": {"team": "data"}}}))).await?;
        run.same(Call { method: "DELETE", ..Call::get(&format!("{path}/a"), "", JSON) }).await?;
    }
    let now = run.same(merge(&format!("{USERS}/c"), json!({"metadata": {"labels": {"team": "data"}}}))).await?.map(version_of);
    run.servers.forget(&now.real).await?;

    for (path, page) in pages {
        let refused = run.same_pair(page.map(|token| Call::get(path, &format!("limit=1&continue={token}"), JSON))).await?;
        ensure!(refused.real.0 == 410, "{refused:?}");
        // With the token of the refusal, the list goes on as it is now.
        let rest = run.same_pair(refused.map(token_of).map(|token| Call::get(path, &format!("limit=1&continue={token}"), JSON))).await?;
        ensure!(rest.real.1["items"].as_array().is_some_and(|items| items.len() == 1), "{rest:?}");
        let exact = old.map(|version| Call::get(path, &format!("resourceVersionMatch=Exact&resourceVersion={version}"), JSON));
        let refused = run.same_pair(exact).await?;
        ensure!(refused.real.0 == 410, "{refused:?}");
        for accept in [JSON, METADATA] {
            let mut late = run.servers.watch(&old.map(|version| Call::get(path, &format!("watch=true&resourceVersion={version}"), accept))).await?;
            let model = waiting(&mut late.model)?.pop().context("the model tells nothing")?;
            let real = next(&mut late.real, 1, |_| true).await?.pop().context("the real server tells nothing")?;
            ensure!(real["object"]["code"] == 410, "{real}");
            run.comparison.check(&Pair { real, model })?;
            ensure!(late.model.is_closed() && late.real.recv().await.is_none(), "the watch goes on");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_model_answers_of_versions_as_the_real_server() -> Result<()> {
    let mut run = Run::start(ControlPlaneOptions::default()).await?;
    run.same(post(MAPS, json!({"metadata": {"name": "a"}}))).await?;
    let now = run.same(post(USERS, user("alice"))).await?.map(version_of);
    for query in
        ["resourceVersionMatch=NotOlderThan&resourceVersion=", "limit=500&resourceVersionMatch=NotOlderThan&resourceVersion=", "resourceVersion="]
    {
        for (path, accept) in [(USERS, JSON), (USERS, METADATA_LIST), (MAPS, JSON)] {
            run.same_pair(now.map(|version| Call::get(path, &format!("{query}{version}"), accept))).await?;
        }
        run.same(Call::get(USERS, &format!("{query}0"), JSON)).await?;
    }
    let yet_to_come = run.same(Call::get(USERS, "resourceVersion=1000000", JSON)).await?;
    ensure!(yet_to_come.real.0 == 504, "{yet_to_come:?}");
    // A watch that begins with what there is has a bookmark after that, and one before it ends, where something has happened.
    for (path, accept) in [(USERS, JSON), (USERS, METADATA), (MAPS, METADATA)] {
        let call = Call::get(path, "watch=true&allowWatchBookmarks=true&timeoutSeconds=4", accept);
        let mut watch = run.servers.watch(&Pair { real: call.clone(), model: call }).await?;
        let name = if accept == JSON { "b" } else { "c" };
        let body = if path == USERS { user(name) } else { json!({"metadata": {"name": name}}) };
        run.same(post(path, body)).await?;
        run.servers.model.bookmarks();
        let model = waiting(&mut watch.model)?;
        let real = next(&mut watch.real, model.len(), |_| true).await?;
        run.comparison.check(&Pair { real, model }.map(|events| events.iter().map(without_position).collect())).context(path)?;
    }
    Ok(())
}

#[tokio::test]
async fn the_model_ends_namespaces_as_the_real_controller() -> Result<()> {
    let mut run = Run::start(ControlPlaneOptions { controller_manager: true }).await?;
    run.watch(&NAMESPACE, JSON).await?;
    run.watch(&NAMESPACE, METADATA).await?;
    let mut held = user("alice");
    held["metadata"]["finalizers"] = json!(["rolebridge.io/finalizer", "example.com/other"]);
    for body in [held, user("bob")] {
        run.same(post(USERS, body)).await?;
    }
    run.same(post(MAPS, json!({"metadata": {"name": "policies"}}))).await?;
    run.same(Call { method: "DELETE", ..Call::get("/api/v1/namespaces/model-a", "", JSON) }).await?;
    run.servers.model.terminate_namespaces();
    run.look().await?;
    run.same(Call::get("/api/v1/namespaces/model-a", "", JSON)).await?;
    run.same(Call::get(USERS, "", METADATA_LIST)).await?;
    run.same(merge(&format!("{USERS}/alice"), json!({"metadata": {"finalizers": ["example.com/other"]}}))).await?;
    run.same(merge(&format!("{USERS}/alice"), json!({"metadata": {"finalizers": []}}))).await?;
    run.servers.model.terminate_namespaces();
    run.look().await?;
    run.same(Call::get("/api/v1/namespaces/model-a", "", JSON)).await?;
    run.silent().await
}
