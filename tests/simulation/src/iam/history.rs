//! What replicas that are behind still show: the recent past of each object.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::random::Random;

/// When a call comes, and how far behind the replica may be that answers it.
pub struct View<'a> {
    /// Simulated time since the run began.
    pub now: Duration,
    /// The most that a replica is behind. Zero: never, every answer is exact.
    pub lag: Duration,
    /// Which replica answers.
    pub random: &'a mut Random,
}

impl View<'_> {
    /// The time that some replica has come to. Each read of each object asks anew.
    pub(super) fn replica(&mut self) -> Duration {
        let most = u64::try_from(self.lag.as_nanos()).unwrap_or(u64::MAX);
        if most == 0 {
            return self.now;
        }
        let behind = Duration::from_nanos(self.random.below(most.saturating_add(1)));
        self.now.saturating_sub(behind)
    }

    /// Whether some replica knows of what came to be at that time.
    pub(super) fn knows(&mut self, since: Duration) -> bool {
        self.replica() >= since
    }
}

/// What was at one place: an object, another one of the same name later, or nothing. The newest is what writes see.
#[derive(Debug)]
pub(super) struct Timeline<T> {
    /// Never empty. Each counts from its time until the next one's; the first also before.
    past: VecDeque<(Duration, Option<Arc<T>>)>,
}

impl<T> Default for Timeline<T> {
    fn default() -> Self {
        Self { past: VecDeque::from([(Duration::ZERO, None)]) }
    }
}

impl<T> Timeline<T> {
    /// What is there.
    pub(super) fn newest(&self) -> Option<&Arc<T>> {
        self.past.back().and_then(|(_, object)| object.as_ref())
    }

    /// What was there.
    pub(super) fn at(&self, time: Duration) -> Option<&Arc<T>> {
        let known = self.past.iter().rev().find(|(since, _)| *since <= time).or(self.past.front());
        known.and_then(|(_, object)| object.as_ref())
    }

    fn set(&mut self, now: Duration, object: Option<Arc<T>>) {
        match self.past.back_mut() {
            Some(last) if last.0 >= now => last.1 = object,
            _ => self.past.push_back((now, object)),
        }
    }

    /// Forgets what no replica shows any more. True where nothing is left.
    fn forget(&mut self, before: Duration) -> bool {
        while self.past.get(1).is_some_and(|(since, _)| *since <= before) {
            self.past.pop_front();
        }
        matches!(self.past.front(), Some((since, None)) if *since <= before) && self.past.len() == 1
    }
}

/// Objects of one kind by their keys, each with its recent past.
#[derive(Debug)]
pub(super) struct Objects<T> {
    timelines: BTreeMap<String, Timeline<T>>,
    /// Keys of what was changed, and when: their past is to be forgotten in time.
    changed: VecDeque<(Duration, String)>,
}

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self { timelines: BTreeMap::new(), changed: VecDeque::new() }
    }
}

impl<T> Objects<T> {
    /// What bears this key.
    pub(super) fn newest(&self, key: &str) -> Option<&Arc<T>> {
        self.timelines.get(key).and_then(Timeline::newest)
    }

    /// What bore this key at that time.
    pub(super) fn at(&self, key: &str, time: Duration) -> Option<&Arc<T>> {
        self.timelines.get(key).and_then(|timeline| timeline.at(time))
    }

    /// All that there is.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<T>> {
        self.timelines.values().filter_map(Timeline::newest)
    }

    /// All that there was at that time.
    pub(super) fn all_at(&self, time: Duration) -> impl Iterator<Item = &Arc<T>> {
        self.timelines.values().filter_map(move |timeline| timeline.at(time))
    }

    /// All that there was, each at a time of its own.
    pub(super) fn each(&self, view: &mut View<'_>) -> Vec<Arc<T>> {
        self.timelines.values().filter_map(|timeline| timeline.at(view.replica()).cloned()).collect()
    }

    /// From now on, this is what bears the key. What is older than `horizon` is forgotten.
    pub(super) fn set(&mut self, now: Duration, horizon: Duration, key: &str, object: Option<Arc<T>>) {
        self.forget(now.saturating_sub(horizon));
        if let Some(timeline) = self.timelines.get_mut(key) {
            timeline.set(now, object);
        } else {
            let mut timeline = Timeline::default();
            timeline.set(now, object);
            self.timelines.insert(key.to_owned(), timeline);
        }
        self.changed.push_back((now, key.to_owned()));
    }

    fn forget(&mut self, before: Duration) {
        while self.changed.front().is_some_and(|(since, _)| *since <= before) {
            let Some((_, key)) = self.changed.pop_front() else { return };
            if self.timelines.get_mut(&key).is_some_and(|timeline| timeline.forget(before)) {
                self.timelines.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_was_there_is_shown_as_of_then_and_forgotten_in_time() {
        let (mut objects, horizon) = (Objects::default(), seconds(10));
        objects.set(seconds(100), horizon, "a", Some(Arc::new(1)));
        objects.set(seconds(105), horizon, "a", None);
        objects.set(seconds(107), horizon, "a", Some(Arc::new(2)));
        let at = |objects: &Objects<i32>, time: u64| objects.at("a", seconds(time)).map(|n| **n);
        let shown: Vec<_> = [99, 100, 104, 105, 107].map(|time| at(&objects, time)).into();
        assert_eq!(shown, [None, Some(1), Some(1), None, Some(2)]);
        objects.set(seconds(116), horizon, "b", Some(Arc::new(3)));
        // Nobody is asked any more for what was before 106.
        assert_eq!((at(&objects, 104), at(&objects, 106), at(&objects, 107)), (None, None, Some(2)));
        objects.set(seconds(120), horizon, "a", None);
        objects.set(seconds(140), horizon, "b", Some(Arc::new(4)));
        assert_eq!((objects.timelines.len(), objects.changed.len()), (1, 1), "{objects:?}");
    }

    #[test]
    fn of_changes_at_one_time_the_last_counts() {
        let mut objects = Objects::default();
        objects.set(Duration::ZERO, Duration::ZERO, "a", Some(Arc::new(1)));
        objects.set(Duration::ZERO, Duration::ZERO, "a", Some(Arc::new(2)));
        assert_eq!(objects.at("a", Duration::ZERO).map(|n| **n), Some(2));
        assert_eq!(objects.newest("a").map(|n| **n), Some(2));
    }

    #[test]
    fn without_lag_every_replica_is_exact_and_draws_nothing() {
        let mut random = Random::new(1);
        let mut view = View { now: seconds(5), lag: Duration::ZERO, random: &mut random };
        assert_eq!(view.replica(), seconds(5));
        assert!(view.knows(seconds(5)));
        assert_eq!(random.draw(), Random::new(1).draw());
    }
}
