//! The request budget of one account.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::config::LimitsConfig;

/// A token bucket that never makes anybody wait: work that finds it empty is sent away with the time to come back.
///
/// Only the beginning of a piece of work is refused. Every call takes a token, but a call in the middle of a piece of work takes it on
/// credit, and the debt is paid before any other work begins. Otherwise a piece of work that needs more calls than the bucket happens to hold would
/// be broken off each time, begin anew each time, and never end.
#[derive(Debug)]
pub(super) struct Budget {
    /// How long one token takes to come back.
    interval: Duration,
    /// How long an empty bucket takes to be full.
    capacity: Duration,
    /// When the bucket is full again (the generic cell rate algorithm's theoretical arrival time).
    full_at: Mutex<Instant>,
}

impl Budget {
    pub(super) fn new(limits: &LimitsConfig, now: Instant) -> Self {
        let interval = Duration::from_secs(1) / limits.requests_per_second.max(1);
        Self { interval, capacity: interval * limits.burst.max(1), full_at: Mutex::new(now) }
    }

    /// Whether a piece of work may begin; the error is the time until there is a token.
    pub(super) fn admit(&self, now: Instant) -> Result<(), Duration> {
        let full_at = *self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let spent = full_at.saturating_duration_since(now) + self.interval;
        match spent.checked_sub(self.capacity) {
            None | Some(Duration::ZERO) => Ok(()),
            Some(wait) => Err(wait),
        }
    }

    /// Takes a token for one call, on credit where there is none.
    pub(super) fn spend(&self, now: Instant) {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        *full_at = (*full_at).max(now) + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(requests_per_second: u32, burst: u32, now: Instant) -> Budget {
        Budget::new(&LimitsConfig { requests_per_second, burst, concurrency: 1 }, now)
    }

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_the_time_to_come_back() {
        let now = Instant::now();
        let budget = budget(10, 3, now);
        for _ in 0..3 {
            assert_eq!(budget.admit(now), Ok(()));
            budget.spend(now);
        }
        assert_eq!(budget.admit(now), Err(Duration::from_millis(100)));
        assert_eq!(budget.admit(now + Duration::from_millis(60)), Err(Duration::from_millis(40)));
        assert_eq!(budget.admit(now + Duration::from_millis(100)), Ok(()));
    }

    #[test]
    fn calls_on_credit_are_paid_before_other_work_begins() {
        let now = Instant::now();
        let budget = budget(10, 1, now);
        for _ in 0..5 {
            budget.spend(now);
        }
        assert_eq!(budget.admit(now), Err(Duration::from_millis(500)));
        assert_eq!(budget.admit(now + Duration::from_millis(500)), Ok(()));
    }

    #[test]
    fn a_long_pause_saves_up_no_more_than_the_burst() {
        let start = Instant::now();
        let budget = budget(10, 2, start);
        let later = start + Duration::from_secs(3600);
        budget.spend(later);
        assert_eq!(budget.admit(later), Ok(()));
        budget.spend(later);
        assert_eq!(budget.admit(later), Err(Duration::from_millis(100)));
    }

    #[test]
    fn the_long_run_rate_is_the_configured_one() {
        let start = Instant::now();
        let budget = budget(20, 5, start);
        let calls = (0..10_000).map(|ms| start + Duration::from_millis(ms)).filter(|now| budget.admit(*now).map(|()| budget.spend(*now)).is_ok());
        assert_eq!(calls.count(), 20 * 10 + 5 - 1, "ten seconds' worth, the first token of which is among the burst");
    }
}
