//! Writing back: the one place where a status, a finalizer or an Event is written.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tracing::{debug, warn};

use super::cluster::kind::Kind;
use super::context::Context;
use crate::api::conditions::{Class, condition_types};
use crate::api::reading::Read;
use crate::api::{Condition, FINALIZER, MANAGER};
use crate::core::outcome::Outcome;
use crate::core::world::ObjectKey;

/// Longest note of an Event that the API server takes, in bytes.
const NOTE_LENGTH: usize = 1024;

/// Writes the status where it differs from what the API server has, and an Event where a person must act who was not told yet.
///
/// The write carries the resource version: a status never lands on an object that was changed, or re-created, in the meantime.
///
/// # Errors
/// What the API server answers; a conflict means that a newer version of the object is on its way here.
pub async fn report<K: Kind>(context: &Context, object: &K, mut status: K::Status, outcome: &Outcome) -> Result<(), kube::Error> {
    let generation = object.meta().generation.unwrap_or_default();
    let previous = object.status().map(|s| K::conditions(s).to_vec()).unwrap_or_default();
    let conditions = outcome.conditions(K::ASPECTS, generation, &previous, &now());
    K::conclude(&mut status, generation, conditions);
    if object.status() == Some(&status) {
        return Ok(());
    }
    let body = with_status::<K>(object.meta(), &json!(status));
    let written = api::<K>(context, object).patch_status(&object.name_any(), &PatchParams::apply(MANAGER).force(), &Patch::Apply(body)).await?;
    note(context, object, written.object());
    debug!("status written");
    tell_stalled(context, object, outcome, &previous).await;
    if let Some(alarm) = &outcome.alarm {
        publish(&context.client, &object.object_ref(&()), alarm.reason, &alarm.message).await;
    }
    Ok(())
}

/// A status to be applied to the version of the object that this metadata is of.
fn with_status<K: Kind>(of: &ObjectMeta, status: &Value) -> Value {
    json!({
        "apiVersion": K::api_version(&()),
        "kind": K::KIND,
        "metadata": {"name": of.name, "namespace": of.namespace, "resourceVersion": of.resource_version},
        "status": status,
    })
}

/// Now, in whole seconds as Kubernetes writes times.
fn now() -> String {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

fn note<K: Kind>(context: &Context, before: &K, after: &K) {
    context.memory.supersede(&K::reference(ObjectKey::of(before)), before.resource_version(), after.meta().resource_version.as_deref());
}

fn api<K: Kind>(context: &Context, object: &K) -> Api<Read<K>> {
    K::api(context.client.clone(), &object.namespace().unwrap_or_default())
}

/// Puts the finalizer on, before the first write to AWS, and these annotations. Returns the object as the API server has it now.
///
/// # Errors
/// What the API server answers; a conflict where the object has changed.
pub async fn add_finalizer<K: Kind>(context: &Context, object: &K, annotations: &BTreeMap<&str, String>) -> Result<K, kube::Error> {
    let finalizers: Vec<&str> = object.finalizers().iter().map(String::as_str).chain([FINALIZER]).collect();
    set_finalizers(context, object, &finalizers, annotations).await
}

/// Takes the finalizer off, so that the object goes.
///
/// # Errors
/// What the API server answers; a conflict where the object has changed.
pub async fn remove_finalizer<K: Kind>(context: &Context, object: &K) -> Result<(), kube::Error> {
    let finalizers: Vec<&str> = object.finalizers().iter().map(String::as_str).filter(|f| *f != FINALIZER).collect();
    match set_finalizers(context, object, &finalizers, &BTreeMap::new()).await {
        // It went past its finalizer, and the store has kept it for this.
        Err(kube::Error::Api(status)) if status.code == 404 => context.queue.end(&K::reference(ObjectKey::of(object)), object.uid()),
        other => drop(other?),
    }
    Ok(())
}

/// The resource version makes the patch a comparison too: nobody else's finalizer is lost.
async fn set_finalizers<K: Kind>(context: &Context, object: &K, finalizers: &[&str], annotations: &BTreeMap<&str, String>) -> Result<K, kube::Error> {
    let mut patch = json!({"metadata": {"resourceVersion": object.resource_version(), "uid": object.uid(), "finalizers": finalizers}});
    if !annotations.is_empty() {
        patch["metadata"]["annotations"] = json!(annotations);
    }
    let parameters = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    let written = api::<K>(context, object).patch(&object.name_any(), &parameters, &Patch::Merge(patch)).await?;
    let written = written.into_object(Some(object));
    note(context, object, &written);
    Ok(written)
}

/// Tells that AWS was not as declared any more, and what was done about it.
pub async fn tell_repaired<K: Kind>(context: &Context, object: &K, done: &[String]) {
    let message = format!("AWS was not as declared any more, and was put right: {}", done.join("; "));
    publish(&context.client, &object.object_ref(&()), "DriftRepaired", &message).await;
}

/// Tells what stays in AWS of an object that somebody has given up.
pub async fn tell_given_up<K: Kind>(context: &Context, object: &K, message: &str) {
    publish(&context.client, &object.object_ref(&()), "GivenUp", message).await;
}

/// Tells once what a person must act on.
async fn tell_stalled<K: Kind>(context: &Context, object: &K, outcome: &Outcome, previous: &[Condition]) {
    let Some(worst) = outcome.worst().filter(|_| outcome.class() == Class::Stalled) else { return };
    if previous.iter().any(|c| c.type_ == condition_types::STALLED && c.reason == worst.reason.as_str()) {
        return;
    }
    publish(&context.client, &object.object_ref(&()), worst.reason.as_str(), &worst.message).await;
}

/// Every Event is one of its own: a recorder that is kept takes those of one reason for repetitions for some minutes, and repeats the text of the
/// first (kube-runtime, `Recorder::publish`), while these tell different things.
///
/// A refused Event holds nothing up: in a terminating namespace every Event is.
async fn publish(client: &Client, object: &ObjectReference, reason: &str, message: &str) {
    let note = message.char_indices().take_while(|(i, c)| i + c.len_utf8() <= NOTE_LENGTH).map(|(_, c)| c).collect();
    let event = Event { type_: EventType::Warning, reason: reason.into(), note: Some(note), action: "Reconcile".into(), secondary: None };
    let recorder = Recorder::new(client.clone(), Reporter { controller: MANAGER.into(), instance: None });
    if let Err(error) = recorder.publish(&event, object).await {
        warn!(%error, "the Event was not taken");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// An API server that takes everything. Method and body of each request come out at the other end.
    fn api_server() -> (Client, Receiver<(String, Value)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (taken, requests) = channel();
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| serve(stream, &taken)));
        (Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap(), requests)
    }

    fn serve(mut stream: TcpStream, taken: &Sender<(String, Value)>) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let head: Vec<String> = reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        let length = head.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()).unwrap();
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        taken.send((head[0].split(' ').next().unwrap().to_owned(), serde_json::from_slice(&body).unwrap())).unwrap();
        let answer = "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nconnection: close\r\n";
        write!(stream, "{answer}content-length: {length}\r\n\r\n").unwrap();
        stream.write_all(&body).unwrap();
    }

    #[tokio::test]
    async fn events_of_one_reason_have_each_its_own_text() {
        let (client, requests) = api_server();
        let role = ObjectReference { namespace: Some("data".into()), name: Some("reader".into()), ..ObjectReference::default() };
        let texts = ["attach policy a", "update trust policy"];
        for text in texts {
            publish(&client, &role, "DriftRepaired", text).await;
        }
        let told: Vec<(String, Value)> = requests.try_iter().collect();
        assert_eq!(told.len(), 2, "{told:?}");
        for ((method, event), text) in told.iter().zip(texts) {
            assert_eq!((method.as_str(), &event["note"], &event["reason"]), ("POST", &json!(text), &json!("DriftRepaired")));
        }
        assert_ne!(told[0].1["metadata"]["name"], told[1].1["metadata"]["name"]);
    }
}
