//! What stands in front of the gateway: latency, faults, and the log of what became of each call.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{Response, header},
};

use crate::{
    caller,
    connection::Peer,
    control::{
        Simulation,
        calls::{self, Calls, Entry},
        faults::{Hit, Kind, When},
    },
    gateway::{self, Outcome},
    wire::{Call, respond},
};

/// Larger bodies are refused. IAM's requests are far smaller; S3 is here for its authorisation, not for its storage.
const MAXIMUM_BODY: usize = 64 << 20;

/// How long a call without a reply is kept open at most.
const LONGEST_SILENCE: Duration = Duration::from_secs(600);

const WEB_PAGE: &str = "<!DOCTYPE html><html><head><title>Welcome</title></head><body>Please accept the terms of this network.</body></html>";

/// The log entry of a call that is under way. A call that is given up by its client before it took effect is logged too.
struct Record<'a> {
    calls: &'a Calls,
    entry: Option<Entry>,
}

impl<'a> Record<'a> {
    fn new(calls: &'a Calls, entry: Entry) -> Self {
        Self { calls, entry: Some(entry) }
    }

    fn write(&mut self, status: u16, code: Option<String>) {
        if let Some(entry) = self.entry.take() {
            self.calls.add(Entry { status, code, ..entry });
        }
    }
}

impl Drop for Record<'_> {
    /// The server drops a call in progress when its client goes away.
    fn drop(&mut self) {
        self.write(0, Some("AbandonedBeforeCommit".to_owned()));
    }
}

/// Answers one AWS call.
pub async fn answer(State(simulation): State<Arc<Simulation>>, ConnectInfo(peer): ConnectInfo<Peer>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = match to_bytes(body, MAXIMUM_BODY).await {
        Ok(body) => body,
        Err(_) => return respond(413, "text/plain", "", Body::from("body too large or incomplete")),
    };
    let world = &simulation.world;
    let mut call = Call::parse(world, parts, body, peer.address().ip());
    let caller = call.access_key_id().and_then(|key| caller::claimed_identity(world, key));
    let hit = simulation.faults.strike(&call.operation, caller.as_ref().map(|(account, _)| account.as_str()));
    let mut entry = calls::entry_of(&call, caller);
    entry.fault = hit.as_ref().map(Hit::id);
    let mut record = Record::new(&simulation.calls, entry);

    let latency = world.settings.latency_ms();
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    match hit {
        Some(hit) if hit.when() == When::Before => match spoil_before(hit, &call, &peer, &mut record).await {
            Some(response) => response,
            None => commit(&simulation, &mut call, &mut record).await,
        },
        Some(hit) => {
            let outcome = gateway::answer(world, &mut call).await;
            spoil_after(hit, &call, outcome, &peer, &mut record).await
        }
        None => commit(&simulation, &mut call, &mut record).await,
    }
}

async fn commit(simulation: &Simulation, call: &mut Call, record: &mut Record<'_>) -> Response<Body> {
    let outcome = gateway::answer(&simulation.world, call).await;
    record.write(outcome.status, outcome.code);
    outcome.response
}

/// A fault before the commit. `None` means that the call goes on.
async fn spoil_before(hit: Hit, call: &Call, peer: &Peer, record: &mut Record<'_>) -> Option<Response<Body>> {
    let code = |what: &str| Some(format!("{what}BeforeCommit"));
    match hit.kind() {
        Kind::Hold => {
            hit.wait().await;
            return None;
        }
        Kind::Error => {
            let outcome = Outcome::of_failure(call, &hit.failure());
            record.write(outcome.status, outcome.code);
            return Some(outcome.response);
        }
        Kind::Reset => {
            record.write(0, code("Reset"));
            peer.reset();
        }
        Kind::Timeout => {
            record.write(0, code("Timeout"));
            tokio::time::sleep(LONGEST_SILENCE).await;
        }
        Kind::Html => {
            record.write(200, code("HTML"));
            return Some(web_page(call));
        }
        Kind::Truncate => {
            record.write(200, code("Truncate"));
            let start = format!("<{}Response xmlns=\"", call.operation);
            return Some(respond(200, "text/xml", &call.request.request_id, Body::from(start)));
        }
    }
    Some(nothing(call))
}

/// A fault after the commit: the log tells what the client saw.
async fn spoil_after(hit: Hit, call: &Call, outcome: Outcome, peer: &Peer, record: &mut Record<'_>) -> Response<Body> {
    let code = |what: &str| Some(format!("{what}AfterCommit"));
    match hit.kind() {
        Kind::Hold => {
            record.write(outcome.status, outcome.code);
            hit.wait().await;
            outcome.response
        }
        Kind::Error => {
            let spoilt = Outcome::of_failure(call, &hit.failure());
            record.write(spoilt.status, spoilt.code);
            spoilt.response
        }
        Kind::Reset => {
            record.write(0, code("Reset"));
            peer.reset();
            nothing(call)
        }
        Kind::Timeout => {
            record.write(0, code("Timeout"));
            tokio::time::sleep(LONGEST_SILENCE).await;
            nothing(call)
        }
        Kind::Html => {
            record.write(200, code("HTML"));
            web_page(call)
        }
        Kind::Truncate => {
            record.write(outcome.status, code("Truncate"));
            first_half(outcome.response).await
        }
    }
}

fn web_page(call: &Call) -> Response<Body> {
    respond(200, "text/html", &call.request.request_id, Body::from(WEB_PAGE))
}

/// What is written on a connection that is reset or has been silent for too long.
fn nothing(call: &Call) -> Response<Body> {
    respond(503, "text/plain", &call.request.request_id, Body::empty())
}

/// Cuts a reply in the middle. Its length is adjusted: what is missing is the end of the document, not of the message.
async fn first_half(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, MAXIMUM_BODY).await.unwrap_or_else(|_| Bytes::new());
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(body.slice(..body.len() / 2)))
}
