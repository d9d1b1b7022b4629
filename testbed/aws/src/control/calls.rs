//! The log of calls: `GET` and `DELETE /_sim/calls`, `GET /_sim/counts`.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Query, State},
};
use chrono::{SecondsFormat, Utc};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::Simulation;
use crate::{service::Service, wire::Call};

/// One call, as the log shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Number in the order of commits, from 1.
    pub seq: u64,
    /// Time of the commit or refusal, RFC 3339 with milliseconds.
    pub at: String,
    /// Account of the caller; null when the key is unknown.
    pub account: Option<String>,
    /// `iam`, `sts`, `s3`, or what the signature named instead.
    pub service: String,
    /// For example `CreateRole`.
    pub operation: String,
    /// ARN of the caller; null when the key is unknown.
    pub principal: Option<String>,
    /// Parameters without secrets.
    pub parameters: BTreeMap<String, String>,
    /// What the client says of itself in the header `User-Agent`, by CloudTrail's name for it.
    #[serde(rename = "userAgent")]
    pub user_agent: Option<String>,
    /// HTTP status that the client got; 0 when it got none.
    pub status: u16,
    /// Error code, or what a fault did to the call, for example `ResetBeforeCommit`.
    pub code: Option<String>,
    /// The fault that hit the call.
    pub fault: Option<u64>,
}

#[derive(Debug, Default)]
struct Log {
    last: u64,
    entries: Vec<Entry>,
}

/// All calls since the start, or since they were last cleared.
#[derive(Debug, Default)]
pub struct Calls(Mutex<Log>);

impl Calls {
    /// Numbers and keeps an entry.
    pub fn add(&self, mut entry: Entry) {
        let mut log = self.0.lock();
        log.last += 1;
        entry.seq = log.last;
        entry.at = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        log.entries.push(entry);
    }

    /// The entries after a number, in order.
    pub fn since(&self, seq: u64) -> Vec<Entry> {
        let log = self.0.lock();
        let start = log.entries.partition_point(|entry| entry.seq <= seq);
        log.entries[start..].to_vec()
    }

    /// Forgets all entries; the numbers go on.
    pub fn clear(&self) {
        self.0.lock().entries.clear();
    }
}

/// The entry of a call of which nothing but the request is known yet.
pub fn entry_of(call: &Call, caller: Option<(String, String)>) -> Entry {
    let (account, principal) = caller.unzip();
    Entry {
        seq: 0,
        at: String::new(),
        account,
        service: call.signature.as_ref().map_or(&call.request.service, |signature| &signature.service).clone(),
        operation: call.operation.clone(),
        principal,
        parameters: parameters_of(call),
        user_agent: call.user_agent().map(str::to_owned),
        status: 0,
        code: None,
        fault: None,
    }
}

/// The parameters of a call, without passwords, one-time codes and what signs it.
fn parameters_of(call: &Call) -> BTreeMap<String, String> {
    let is_secret = |name: &str| {
        let name = name.to_ascii_lowercase();
        ["password", "code", "privatekey", "token", "x-amz-"].iter().any(|part| name.contains(part))
    };
    let mut parameters: BTreeMap<String, String> = call
        .request
        .query_params
        .iter()
        .filter(|(name, _)| !["Action", "Version"].contains(&name.as_str()) && !is_secret(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if call.service == Some(Service::S3) {
        let segments = &call.request.path_segments;
        if let Some(bucket) = segments.first() {
            parameters.insert("Bucket".to_owned(), bucket.clone());
        }
        if segments.len() > 1 {
            parameters.insert("Key".to_owned(), segments[1..].join("/"));
        }
    }
    parameters
}

/// Where to start.
#[derive(Debug, Deserialize)]
pub struct Since {
    #[serde(default)]
    since: u64,
}

/// The calls after `since`.
pub async fn list(State(simulation): State<Arc<Simulation>>, Query(Since { since }): Query<Since>) -> Json<Vec<Entry>> {
    Json(simulation.calls.since(since))
}

/// Forgets the calls so far, and with them the counts.
pub async fn clear(State(simulation): State<Arc<Simulation>>) {
    simulation.calls.clear();
}

/// Whose calls to count.
#[derive(Debug, Deserialize)]
pub struct Whose {
    account: Option<String>,
    principal: Option<String>,
}

/// How often each operation was called, by `service:Operation`.
pub async fn counts(State(simulation): State<Arc<Simulation>>, Query(whose): Query<Whose>) -> Json<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    let matches = |wanted: &Option<String>, is: &Option<String>| wanted.is_none() || wanted == is;
    for entry in simulation.calls.since(0) {
        if matches(&whose.account, &entry.account) && matches(&whose.principal, &entry.principal) {
            *counts.entry(format!("{}:{}", entry.service, entry.operation)).or_default() += 1;
        }
    }
    Json(counts)
}
