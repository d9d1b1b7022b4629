//! The model of the API server, on which the simulation rests, compared with the real one: both are asked the same, and answer the same.

mod compare;
mod operations;
mod servers;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rolebridge_testbed::ControlPlaneOptions;
use serde_json::{Value, json};

use crate::campaign::{Campaign, is_full};
use compare::Comparison;
use operations::{Draw, EVENT, JSON, KINDS, Key, Kind, Known, METADATA, NAMESPACE, NAMESPACES, Operation};
use servers::{Answered, Call, Events, Pair, Servers, next, waiting};

/// How many operations are compared.
const OPERATIONS: usize = 5000;
/// How many come between two looks at the watches.
const BETWEEN_LOOKS: usize = 100;
/// How many calls are told of an object, where something went wrong with it.
const TOLD: usize = 20;
/// How long the real server may take to know that a namespace is gone, in the part of it that refuses what is created there.
const NAMESPACE_LAG: Duration = Duration::from_millis(300);

/// Both servers, and what is known of them.
struct Run {
    servers: Servers,
    comparison: Comparison,
    known: Known,
    watches: Vec<(String, Pair<Events>)>,
    generated: usize,
    /// The calls so far, with their paths, for a message.
    trace: Vec<(String, String)>,
}

impl Run {
    async fn start() -> Result<Self> {
        let servers = Servers::start(ControlPlaneOptions::default()).await?;
        let mut run =
            Self { servers, comparison: Comparison::default(), known: Known::default(), watches: vec![], generated: 0, trace: vec![] };
        for name in NAMESPACES {
            let call = Call { method: "POST", body: Some(json!({"metadata": {"name": name}})), ..Call::get("/api/v1/namespaces", "", JSON) };
            let call = Call { content_type: JSON, ..call };
            let answers = run.servers.ask(&Pair { real: call.clone(), model: call }).await?;
            run.compare(&answers)?;
            run.note(&(NAMESPACE.plural, "", name.to_owned()), answers);
        }
        for kind in KINDS.iter().chain([&NAMESPACE, &EVENT]) {
            for accept in [JSON, METADATA] {
                run.watch(kind, accept).await?;
            }
        }
        Ok(run)
    }

    async fn watch(&mut self, kind: &Kind, accept: &'static str) -> Result<()> {
        let call = Call::get(&kind.path(""), "watch=true", accept);
        let events = self.servers.watch(&Pair { real: call.clone(), model: call }).await?;
        self.watches.push((format!("{} as {accept}", kind.plural), events));
        Ok(())
    }

    fn compare(&mut self, answers: &Pair<Answered>) -> Result<()> {
        ensure!(answers.real.0 == answers.model.0, "{} and {}: {:#} and {:#}", answers.real.0, answers.model.0, answers.real.1, answers.model.1);
        self.comparison.check(&answers.map(|(_, body)| body.clone()))
    }

    /// Remembers an object that was answered.
    fn note(&mut self, key: &Key, answers: Pair<Answered>) {
        let is_object = answers.model.1["kind"] != "Status" && answers.model.1["kind"] != "PartialObjectMetadata" && answers.model.1.get("items").is_none();
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
        for (what, events) in &mut self.watches {
            let model: Vec<Value> = waiting(&mut events.model)?.into_iter().filter(is_meant).collect();
            let real = next(&mut events.real, model.len(), is_meant).await.with_context(|| what.clone())?;
            for (real, model) in real.into_iter().zip(model) {
                self.comparison.check(&Pair { real, model }).with_context(|| format!("in the watch of {what}"))?;
            }
        }
        Ok(())
    }

    /// Plays the namespace controller, for what people have deleted.
    async fn clean(&mut self) -> Result<()> {
        let terminating: Vec<&str> = NAMESPACES.into_iter().filter(|name| self.is_terminating(name)).collect();
        for name in terminating {
            for (key, known) in self.known.in_namespace(name) {
                let kind = KINDS.iter().chain([&EVENT]).find(|kind| kind.plural == key.0).context("a kind")?;
                let path = |known: &Value| format!("{}/{}", kind.path(name), known["metadata"]["name"].as_str().unwrap_or_default());
                let calls = known.map(|known| Call { method: "DELETE", ..Call::get(&path(known), "", JSON) });
                let answers = self.servers.ask(&calls).await?;
                self.compare(&answers).with_context(|| format!("{calls:?}"))?;
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
        let call = Call::get(&path, "", JSON);
        let namespace = self.servers.ask(&Pair { real: call.clone(), model: call }).await?;
        let calls = namespace.map(|(_, namespace)| {
            let mut body = without_managers(namespace);
            body["spec"]["finalizers"] = json!([]);
            Call { method: "PUT", content_type: JSON, body: Some(body), ..Call::get(&format!("{path}/finalize"), "", JSON) }
        });
        let answers = self.servers.ask(&calls).await?;
        self.compare(&answers).context("the namespace is finalized")?;
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
    let mut run = Run::start().await?;
    let result = async {
        for number in 1..=count {
            let operation = Draw { random: &mut campaign.random, known: &run.known }.operation();
            run.perform(operation).await.with_context(|| format!("operation {number}"))?;
            if number % BETWEEN_LOOKS == 0 || number == count {
                run.clean().await?;
                run.look().await.with_context(|| format!("after operation {number}"))?;
            }
        }
        anyhow::Ok(())
    };
    let result = result.await;
    result.with_context(|| format!("{campaign}; the last calls to that object:\n{}", run.story()))?;
    campaign.conclude(&format!("{count} operations, revision {}", run.servers.model.revision()));
    Ok(())
}
