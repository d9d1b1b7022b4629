//! Faults: `GET`, `POST` and `DELETE /_sim/faults`, `DELETE /_sim/faults/{id}`, `POST /_sim/faults/{id}/release`.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Json,
    extract::{Path, State},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Refused, Simulation};
use crate::failure::Failure;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The reply is an error document with the fault's code and status.
    Error,
    /// The connection is reset; there is no reply.
    Reset,
    /// There is no reply until the client gives up.
    Timeout,
    /// The reply is a web page, as from a captive portal.
    Html,
    /// The reply breaks off in the middle.
    Truncate,
    /// The call waits until it is released, then goes on as if nothing had been.
    Hold,
}

/// When it goes wrong: before the call takes effect, or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// The call has no effect.
    Before,
    /// The call took effect; only the reply suffers.
    After,
}

/// A fault as it is ordered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The operation, for example `CreateUser`, or `*` for any.
    operation: String,
    /// Only calls of callers in this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    /// The first matching call that is hit, counted from the order, from 1.
    #[serde(default = "one")]
    nth: u64,
    /// How many matching calls in a row are hit.
    #[serde(default = "one")]
    times: u64,
    kind: Kind,
    #[serde(default = "before")]
    when: When,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

fn one() -> u64 {
    1
}

fn before() -> When {
    When::Before
}

#[derive(Debug)]
struct Fault {
    id: u64,
    order: Order,
    seen: AtomicU64,
    hits: AtomicU64,
    held: AtomicU64,
    /// Counts the releases: a held call waits for the next one.
    releases: watch::Sender<u64>,
}

/// A fault that hits one call.
#[derive(Debug)]
pub struct Hit {
    fault: Arc<Fault>,
    released: watch::Receiver<u64>,
}

impl Hit {
    /// The fault's id, for the log.
    pub fn id(&self) -> u64 {
        self.fault.id
    }

    /// What goes wrong.
    pub fn kind(&self) -> Kind {
        self.fault.order.kind
    }

    /// Before or after the commit.
    pub fn when(&self) -> When {
        self.fault.order.when
    }

    /// The error that the fault orders: without a code, `Throttling` with 400, as IAM throttles.
    pub fn failure(&self) -> Failure {
        let order = &self.fault.order;
        let code = order.code.as_deref().unwrap_or("Throttling");
        let message = order.message.as_deref().unwrap_or("Rate exceeded");
        Failure::new(order.status.unwrap_or(400), code, message)
    }

    /// Waits for the release, or for the removal of the fault. A release that came since the hit counts.
    pub async fn wait(mut self) {
        let _held = Held::new(&self.fault.held);
        // An error means that the fault is gone, which releases too.
        let _ = self.released.changed().await;
    }
}

/// Counts a call as held while it waits, also when its client goes away.
struct Held<'a>(&'a AtomicU64);

impl<'a> Held<'a> {
    fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All faults in the order in which they came.
#[derive(Debug, Default)]
pub struct Faults {
    last: AtomicU64,
    list: Mutex<Vec<Arc<Fault>>>,
}

impl Faults {
    fn add(&self, order: Order) -> u64 {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let fault = Fault { id, order, seen: AtomicU64::new(0), hits: AtomicU64::new(0), held: AtomicU64::new(0), releases: watch::Sender::new(0) };
        self.list.lock().push(Arc::new(fault));
        id
    }

    /// The fault that hits a call, if any: each fault counts the calls that match it, and the first that is due hits.
    pub fn strike(&self, operation: &str, account: Option<&str>) -> Option<Hit> {
        let mut hit = None;
        for fault in self.list.lock().iter() {
            let order = &fault.order;
            let matches =
                (order.operation == "*" || order.operation == operation) && order.account.as_deref().is_none_or(|wanted| Some(wanted) == account);
            if !matches {
                continue;
            }
            let n = fault.seen.fetch_add(1, Ordering::Relaxed) + 1;
            let is_due = n >= order.nth && n - order.nth < order.times;
            if is_due && hit.is_none() {
                fault.hits.fetch_add(1, Ordering::Relaxed);
                hit = Some(Hit { fault: fault.clone(), released: fault.releases.subscribe() });
            }
        }
        hit
    }

    fn release(&self, id: u64) -> bool {
        let list = self.list.lock();
        let fault = list.iter().find(|fault| fault.id == id);
        if let Some(fault) = fault {
            fault.releases.send_modify(|releases| *releases += 1);
        }
        fault.is_some()
    }

    /// Removes the faults that `is_over` is true of and releases what they hold; returns how many these were.
    fn remove(&self, is_over: impl Fn(&Fault) -> bool) -> usize {
        let removed: Vec<_> = self.list.lock().extract_if(.., |fault| is_over(fault)).collect();
        for fault in &removed {
            fault.releases.send_modify(|releases| *releases += 1);
        }
        removed.len()
    }
}

/// Orders a fault.
///
/// # Errors
/// 400 for counts of zero, a status that is none, and an account id that is none.
pub async fn create(State(simulation): State<Arc<Simulation>>, Json(order): Json<Order>) -> Result<Json<Value>, Refused> {
    if order.nth == 0 || order.times == 0 {
        return Err(Refused::bad_request("nth and times count from 1"));
    }
    if order.status.is_some_and(|status| !(100..=599).contains(&status)) {
        return Err(Refused::bad_request("status must be an HTTP status"));
    }
    Ok(Json(json!({ "id": simulation.faults.add(order) })))
}

/// All faults, with how many calls they hit and how many they hold now.
pub async fn list(State(simulation): State<Arc<Simulation>>) -> Json<Vec<Value>> {
    let list = simulation.faults.list.lock();
    let show = |fault: &Arc<Fault>| {
        let mut shown = json!(fault.order);
        shown["id"] = json!(fault.id);
        shown["hits"] = json!(fault.hits.load(Ordering::Relaxed));
        shown["held"] = json!(fault.held.load(Ordering::Relaxed));
        shown
    };
    Json(list.iter().map(show).collect())
}

/// Lets the calls go on that a fault holds now.
///
/// # Errors
/// 404 when there is no such fault.
pub async fn release(State(simulation): State<Arc<Simulation>>, Path(id): Path<u64>) -> Result<(), Refused> {
    if simulation.faults.release(id) { Ok(()) } else { Err(Refused::not_found("no such fault")) }
}

/// Removes a fault and releases what it holds.
///
/// # Errors
/// 404 when there is no such fault.
pub async fn remove(State(simulation): State<Arc<Simulation>>, Path(id): Path<u64>) -> Result<(), Refused> {
    if simulation.faults.remove(|fault| fault.id == id) > 0 { Ok(()) } else { Err(Refused::not_found("no such fault")) }
}

/// Removes all faults and releases what they hold.
pub async fn clear(State(simulation): State<Arc<Simulation>>) {
    simulation.faults.remove(|_| true);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(operation: &str, nth: u64, times: u64) -> Order {
        serde_json::from_value(json!({"operation": operation, "nth": nth, "times": times, "kind": "error"})).unwrap()
    }

    fn hits(faults: &Faults, operations: &[&str]) -> Vec<bool> {
        operations.iter().map(|operation| faults.strike(operation, Some("111111111111")).is_some()).collect()
    }

    #[test]
    fn hits_from_the_nth_matching_call_on() {
        let faults = Faults::default();
        faults.add(order("A", 2, 2));
        assert_eq!(hits(&faults, &["A", "B", "A", "A", "A"]), [false, false, true, true, false]);
    }

    #[test]
    fn a_star_matches_every_operation() {
        let faults = Faults::default();
        faults.add(order("*", 1, 2));
        assert_eq!(hits(&faults, &["A", "B", "C"]), [true, true, false]);
    }

    #[test]
    fn an_account_limits_a_fault_to_its_callers() {
        let faults = Faults::default();
        let mut order = order("A", 1, 9);
        order.account = Some("222222222222".to_owned());
        faults.add(order);
        assert!(faults.strike("A", Some("111111111111")).is_none());
        assert!(faults.strike("A", None).is_none());
        assert!(faults.strike("A", Some("222222222222")).is_some());
    }

    #[test]
    fn each_fault_counts_for_itself() {
        let faults = Faults::default();
        let first = faults.add(order("A", 1, 1));
        let second = faults.add(order("A", 2, 1));
        let ids: Vec<_> = (0..3).map(|_| faults.strike("A", None).map(|hit| hit.id())).collect();
        assert_eq!(ids, [Some(first), Some(second), None]);
    }

    #[test]
    fn one_is_removed_and_the_others_stay() {
        let faults = Faults::default();
        let first = faults.add(order("A", 1, 9));
        let second = faults.add(order("A", 1, 9));
        assert_eq!(faults.remove(|fault| fault.id == first), 1);
        assert_eq!(faults.strike("A", None).map(|hit| hit.id()), Some(second));
        assert_eq!(faults.remove(|fault| fault.id == first), 0);
    }

    #[test]
    fn without_a_code_it_throttles_as_iam_does() {
        let faults = Faults::default();
        faults.add(order("A", 1, 1));
        let failure = faults.strike("A", None).unwrap().failure();
        assert_eq!((failure.status, failure.code.as_str()), (400, "Throttling"));
    }
}
