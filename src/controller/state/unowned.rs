//! Customer-managed policies that were read lately and are nobody's of Rolebridge, by their tags.
//!
//! It only saves calls: a boundary that an account puts on all is read once, and not for each user and role. Such a policy does not become a resource's own while
//! it is there, and one that takes its place is known by what its resource declares.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::core::names::Arn;

/// How long it counts.
const FRESH: Duration = Duration::from_secs(15 * 60);
/// Most that are remembered: whoever may write resources may attach as many as there are.
const MOST: usize = 1000;

/// What was read of policies.
#[derive(Debug, Default)]
pub struct Unowned(Mutex<HashMap<Arn, Instant>>);

impl Unowned {
    /// Whether it is known that a policy is nobody's.
    pub fn has(&self, policy: &Arn, now: Instant) -> bool {
        self.0.lock().get(policy).is_some_and(|read| now.saturating_duration_since(*read) < FRESH)
    }

    /// Takes note that a policy is nobody's.
    pub fn note(&self, policy: Arn, now: Instant) {
        let mut known = self.0.lock();
        if known.len() >= MOST {
            known.retain(|_, read| now.saturating_duration_since(*read) < FRESH);
        }
        if known.len() < MOST {
            known.insert(policy, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_counts_for_a_while_and_no_more_than_there_is_room_for_is_kept() {
        let (known, now) = (Unowned::default(), Instant::now());
        let policy = |number: usize| format!("arn:aws:iam::111111111111:policy/p-{number}").parse::<Arn>().unwrap();
        (0..=MOST).for_each(|number| known.note(policy(number), now));
        assert!(known.has(&policy(0), now) && !known.has(&policy(MOST), now));
        let later = now + FRESH;
        assert!(!known.has(&policy(0), later));
        known.note(policy(MOST), later);
        assert!(known.has(&policy(MOST), later) && known.0.lock().len() == 1, "what does not count any more makes room");
    }
}
