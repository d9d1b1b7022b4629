//! What the controller tells of itself while it runs: which kinds are listed, and whether its work goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::context::Context;

/// How often the task that polls every queue shows that it is still polled.
const BEAT: Duration = Duration::from_secs(5);
/// Without a beat for this long, the task is blocked: a lock that is never given back, or a loop without an end. Long enough for a machine
/// that is starved of CPU.
const SILENCE: Duration = Duration::from_secs(60);
/// With every place taken and no reconcile begun or ended for this long, a kind is stuck. A reconcile may rightly take minutes where AWS is
/// slow or throttles, but each of its calls has a timeout, so that among as many as there are places some end.
const STANDSTILL: Duration = Duration::from_secs(30 * 60);

/// The health of a controller, shared between it and whoever asks.
#[derive(Clone, Debug)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    unlisted: BTreeSet<&'static str>,
    beat: Instant,
    queues: Vec<Queue>,
    /// What remembers things while the controller runs.
    memory: Weak<Context>,
}

/// The reconciles of one kind that are under way.
#[derive(Debug)]
struct Queue {
    kind: &'static str,
    places: usize,
    taken: usize,
    moved: Instant,
}

impl Health {
    /// Of a controller that has yet to list these kinds.
    pub fn new(watched: &[&'static str]) -> Self {
        Self(Arc::new(Mutex::new(State {
            unlisted: watched.iter().copied().collect(),
            beat: Instant::now(),
            queues: Vec::new(),
            memory: Weak::new(),
        })))
    }

    /// The kinds that are not listed yet: until there are none, nothing is reconciled.
    pub fn unlisted(&self) -> Vec<&'static str> {
        self.0.lock().unlisted.iter().copied().collect()
    }

    /// How many entries the controller keeps in memory beside what the API server has, by kind; none while it does not run. Each goes with the object that it
    /// is about.
    pub fn remembered(&self) -> BTreeMap<&'static str, usize> {
        let memory = self.0.lock().memory.upgrade();
        memory.map(|context| context.remembered()).unwrap_or_default()
    }

    /// Notes where the controller remembers things.
    pub(super) fn speaks_of(&self, context: &Arc<Context>) {
        self.0.lock().memory = Arc::downgrade(context);
    }

    /// What no longer goes on and only a restart would mend, if anything. Never because of what Kubernetes or AWS answers, or fails to
    /// answer: a restart does not help there.
    pub fn stuck(&self) -> Option<String> {
        self.stuck_at(Instant::now())
    }

    fn stuck_at(&self, now: Instant) -> Option<String> {
        let state = self.0.lock();
        let silence = now.saturating_duration_since(state.beat);
        if silence > SILENCE {
            return Some(format!("the controller's task was not polled for {} s", silence.as_secs()));
        }
        let standing = |queue: &&Queue| queue.taken >= queue.places && now.saturating_duration_since(queue.moved) > STANDSTILL;
        let queue = state.queues.iter().find(standing)?;
        let minutes = now.saturating_duration_since(queue.moved).as_secs() / 60;
        Some(format!(
            "all {} reconciles of {} that may run at once have run for {minutes} minutes without one of them ending",
            queue.places, queue.kind
        ))
    }

    /// Notes that this kind is listed.
    pub(super) fn listed(&self, kind: &'static str) {
        self.0.lock().unlisted.remove(kind);
    }

    /// Beats for as long as the task that this is polled in is polled.
    pub async fn beat(&self) {
        loop {
            self.0.lock().beat = Instant::now();
            tokio::time::sleep(BEAT).await;
        }
    }

    /// Opens the books of a kind of which so many reconciles may run at once.
    pub(super) fn queue(&self, kind: &'static str, places: u16) -> QueueHealth {
        let mut state = self.0.lock();
        state.queues.push(Queue { kind, places: places.into(), taken: 0, moved: Instant::now() });
        QueueHealth { health: self.clone(), index: state.queues.len() - 1 }
    }
}

/// The books of one kind.
#[derive(Clone, Debug)]
pub(super) struct QueueHealth {
    health: Health,
    index: usize,
}

impl QueueHealth {
    /// Notes that a reconcile begins; it ends when the answer is dropped.
    pub(super) fn begin(&self) -> Running {
        self.step(|taken| taken + 1);
        Running(self.clone())
    }

    fn step(&self, change: impl FnOnce(usize) -> usize) {
        if let Some(queue) = self.health.0.lock().queues.get_mut(self.index) {
            queue.taken = change(queue.taken);
            queue.moved = Instant::now();
        }
    }
}

/// A reconcile that is under way.
#[derive(Debug)]
pub(super) struct Running(QueueHealth);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.step(|taken| taken.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_missing_until_it_is_listed() {
        let health = Health::new(&["BastionUser", "ConfigMap"]);
        assert_eq!(health.unlisted(), ["BastionUser", "ConfigMap"]);
        health.listed("BastionUser");
        assert_eq!(health.unlisted(), ["ConfigMap"]);
        health.listed("ConfigMap");
        assert!(health.unlisted().is_empty());
    }

    #[test]
    fn a_task_that_is_not_polled_is_stuck() {
        let health = Health::new(&[]);
        let beat = health.0.lock().beat;
        assert_eq!(health.stuck_at(beat + SILENCE), None);
        let told = health.stuck_at(beat + SILENCE + Duration::from_secs(1)).unwrap_or_default();
        assert!(told.contains("61 s"), "{told}");
    }

    #[tokio::test]
    async fn a_task_that_is_polled_beats() {
        let health = Health::new(&[]);
        let before = health.0.lock().beat;
        let polled = tokio::time::timeout(Duration::from_millis(1), health.beat()).await;
        assert!(polled.is_err(), "beating has no end");
        assert!(health.0.lock().beat > before);
    }

    /// `health` as it is after `pause`, in which the task was polled.
    fn stuck_after(health: &Health, pause: Duration) -> Option<String> {
        let now = Instant::now() + pause;
        health.0.lock().beat = now;
        health.stuck_at(now)
    }

    #[test]
    fn only_a_kind_without_a_free_place_can_be_stuck() {
        let health = Health::new(&[]);
        let queue = health.queue("CrossAccountRole", 2);
        let _first = queue.begin();
        assert_eq!(stuck_after(&health, STANDSTILL * 2), None, "one place is free");
        let second = queue.begin();
        assert_eq!(stuck_after(&health, STANDSTILL / 2), None, "reconciles may take their time");
        let told = stuck_after(&health, STANDSTILL * 2).unwrap_or_default();
        assert!(told.contains("all 2 reconciles of CrossAccountRole"), "{told}");
        drop(second);
        assert_eq!(stuck_after(&health, STANDSTILL * 2), None, "one has ended");
    }
}
