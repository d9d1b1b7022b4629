//! When to try again: pauses that grow with each failure, and the short patience before a passing wait is worth a write to the API server.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::api::Reason;
use crate::core::failure::Failure;
use crate::core::outcome::Problem;
use crate::core::world::Ref;

/// The first pause.
const FIRST: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(300);
/// The longest pause while IAM may only be slow to show what was made: it usually takes seconds.
const LONGEST_PROPAGATION: Duration = Duration::from_secs(5);
/// What has taken so many of these pauses, two and a half minutes, is hardly slowness any more: from then on the pauses grow with the time that it takes.
const PROPAGATION_PAUSES: u32 = 30;
/// How long a wait may last before it is told in the status. Most waits are for the next write of this same process and are over by then.
const PATIENCE: Duration = Duration::from_millis(1500);
/// The longest patience where the wait makes progress: with many resources at once each waits for its turn.
const LONGEST_PATIENCE: Duration = Duration::from_secs(10);
/// The longest time in the queue that patience grows with.
const LONGEST_LAG: Duration = Duration::from_secs(5);
/// The longest pause while something in AWS keeps an object from being deleted: no watch tells when it is gone.
const LONGEST_BLOCK: Duration = Duration::from_secs(60);
/// The longest pause while the API server refuses, or does not answer: what AWS did before says nothing of it.
const LONGEST_UNANSWERED: Duration = Duration::from_secs(30);
/// How long a refusal is taken for the slowness of IAM to show a permission that was just given.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy)]
struct Trouble {
    began: Instant,
    /// When it began, or last made progress.
    since: Instant,
    failures: u32,
    /// Tries at which IAM did not show yet what was made. They say nothing of how often something else fails.
    propagations: u32,
    /// Failures of the API server, one after the other.
    unanswered: u32,
    /// Since when AWS refuses what it may only be too slow to allow. Waiting for something else is none of that.
    refused: Option<Instant>,
}

impl Trouble {
    fn new(now: Instant) -> Self {
        Self { began: now, since: now, failures: 0, propagations: 0, unanswered: 0, refused: None }
    }
}

/// What is going wrong or waited for, and since when.
#[derive(Default)]
pub struct Retries {
    troubles: Mutex<HashMap<Ref, Trouble>>,
    /// How long a resource stood in the queue, and when that was seen.
    lag: Mutex<Option<(Duration, Instant)>>,
}

impl Retries {
    /// Notes how long a resource stood in the queue. What others wait for stands there as well, so patience with it grows by that.
    pub fn queued(&self, waited: Duration, now: Instant) {
        let mut lag = self.lag.lock();
        if waited > left_of(*lag, now) {
            *lag = Some((waited.min(LONGEST_LAG), now));
        }
    }

    /// Forgets a resource that is as it should be, or gone.
    pub fn forget(&self, what: &Ref) {
        self.troubles.lock().remove(what);
    }

    /// How many resources something goes wrong with, or wait.
    pub fn count(&self) -> usize {
        self.troubles.lock().len()
    }

    /// Notes that a pass came through without a failure: what fails later is a new trouble.
    pub fn recover(&self, what: &Ref) {
        if let Some(trouble) = self.troubles.lock().get_mut(what) {
            (trouble.failures, trouble.propagations, trouble.refused) = (0, 0, None);
        }
    }

    /// Notes a refusal of AWS's. Tells whether such ones are so new that they may be the slowness of IAM.
    pub fn note_refusal(&self, what: &Ref, now: Instant) -> bool {
        let mut troubles = self.troubles.lock();
        let trouble = troubles.entry(what.clone()).or_insert_with(|| Trouble::new(now));
        now.duration_since(*trouble.refused.get_or_insert(now)) < REFUSAL_PATIENCE
    }

    /// Notes that a resource waits. Returns how much longer that is not worth telling; None when it is to be told.
    pub fn wait(&self, what: &Ref, now: Instant) -> Option<Duration> {
        let Trouble { began, since, .. } = *self.troubles.lock().entry(what.clone()).or_insert_with(|| Trouble::new(now));
        let queue = 2 * left_of(*self.lag.lock(), now);
        let left = |patience: Duration, since| (patience + queue).saturating_sub(now.duration_since(since));
        let left = left(PATIENCE, since).min(left(LONGEST_PATIENCE, began));
        (!left.is_zero()).then_some(left)
    }

    /// Notes that a wait made progress, which renews the patience with it.
    pub fn progress(&self, what: &Ref, now: Instant) {
        if let Some(trouble) = self.troubles.lock().get_mut(what) {
            trouble.since = now;
        }
    }

    /// Notes a failure. Returns the pause until the next try, jittered.
    pub fn fail(&self, what: &Ref, reason: Reason, now: Instant) -> Duration {
        let mut troubles = self.troubles.lock();
        let trouble = troubles.entry(what.clone()).or_insert_with(|| Trouble::new(now));
        let tries = if reason == Reason::Propagating { &mut trouble.propagations } else { &mut trouble.failures };
        *tries = tries.saturating_add(1);
        let tries = *tries;
        let longest = match reason {
            Reason::Propagating => longest_propagation(now.duration_since(*trouble.refused.get_or_insert(now))),
            Reason::DeletionBlocked => LONGEST_BLOCK,
            _ => LONGEST,
        };
        pause(tries, longest)
    }

    /// Notes that the API server refused something, or did not answer. Returns the pause until the next try, jittered.
    pub fn unanswered(&self, what: &Ref, now: Instant) -> Duration {
        let mut troubles = self.troubles.lock();
        let trouble = troubles.entry(what.clone()).or_insert_with(|| Trouble::new(now));
        trouble.unanswered = trouble.unanswered.saturating_add(1);
        pause(trouble.unanswered, LONGEST_UNANSWERED)
    }

    /// Notes that the API server took a status.
    pub fn answered(&self, what: &Ref) {
        if let Some(trouble) = self.troubles.lock().get_mut(what) {
            trouble.unanswered = 0;
        }
    }

    /// A refusal of IAM's to delete, in its first half minute, comes mostly from where it does not show yet that what was in the way has just been removed;
    /// or something was added since that was read.
    pub fn delay_deletion_error(&self, what: &Ref, failure: Failure, now: Instant) -> Failure {
        if failure.reason == Reason::DeletionBlocked && self.note_refusal(what, now) {
            return Failure { reason: Reason::Propagating, ..failure };
        }
        failure
    }

    /// A refusal of AWS's in its first half minute is shown as the propagation that it mostly is.
    pub fn as_propagating(&self, what: &Ref, problem: Problem, now: Instant) -> Problem {
        if problem.reason == Reason::AccessDenied && self.note_refusal(what, now) {
            return Problem::new(
                Reason::Propagating,
                format!("tried again for a while, since AWS takes a moment to show a new permission: {}", problem.message),
            );
        }
        problem
    }
}

/// The pause after so many failures, jittered.
fn pause(failures: u32, longest: Duration) -> Duration {
    FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest).mul_f64(0.75 + fastrand::f64() * 0.5)
}

/// The longest pause where IAM has not shown for `age` what it is asked for: perhaps there is no such thing.
fn longest_propagation(age: Duration) -> Duration {
    (age / PROPAGATION_PAUSES).clamp(LONGEST_PROPAGATION, LONGEST)
}

/// The length of a queue that was seen: it shortens as time passes, unless it is seen again.
fn left_of(lag: Option<(Duration, Instant)>, now: Instant) -> Duration {
    lag.map_or(Duration::ZERO, |(waited, at)| waited.saturating_sub(now.saturating_duration_since(at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::world::ObjectKey;

    fn role() -> Ref {
        Ref::Role(ObjectKey::new("a", "r"))
    }

    #[test]
    fn pauses_grow_to_a_bound_and_start_anew_after_success() {
        let retries = Retries::default();
        let now = Instant::now();
        let first = retries.fail(&role(), Reason::AWSUnavailable, now);
        for _ in 0..20 {
            retries.fail(&role(), Reason::AWSUnavailable, now);
        }
        let late = retries.fail(&role(), Reason::AWSUnavailable, now);
        assert!(first <= FIRST.mul_f64(1.25) && late >= LONGEST.mul_f64(0.75) && late <= LONGEST.mul_f64(1.25));
        assert!(retries.fail(&role(), Reason::Propagating, now) <= LONGEST_PROPAGATION.mul_f64(1.25));
        assert!(retries.fail(&role(), Reason::DeletionBlocked, now) <= LONGEST_BLOCK.mul_f64(1.25));
        retries.forget(&role());
        (0..20).for_each(|_| assert!(retries.fail(&role(), Reason::Propagating, now) <= LONGEST_PROPAGATION.mul_f64(1.25)));
        assert!(retries.fail(&role(), Reason::AWSUnavailable, now) <= FIRST.mul_f64(1.25), "slowness is no failure");
    }

    #[test]
    fn the_api_server_is_asked_again_soon_whatever_aws_did_before() {
        let retries = Retries::default();
        let now = Instant::now();
        for _ in 0..20 {
            retries.fail(&role(), Reason::AWSUnavailable, now);
        }
        assert!(retries.unanswered(&role(), now) <= FIRST.mul_f64(1.25));
        let late = (0..20).map(|_| retries.unanswered(&role(), now)).last().unwrap();
        assert!(late >= LONGEST_UNANSWERED.mul_f64(0.75) && late <= LONGEST_UNANSWERED.mul_f64(1.25));
        retries.answered(&role());
        assert!(retries.unanswered(&role(), now) <= FIRST.mul_f64(1.25));
    }

    #[test]
    fn what_iam_does_not_know_is_asked_for_often_for_minutes_and_then_less_and_less() {
        let retries = Retries::default();
        let began = Instant::now();
        retries.wait(&role(), began - LONGEST);
        let tries_until = |end: Duration, mut now: Instant| {
            let mut tries = 0;
            while now < began + end {
                now += retries.fail(&role(), Reason::Propagating, now);
                tries += 1;
            }
            (tries, now)
        };
        let minute = Duration::from_secs(60);
        let (tries, now) = tries_until(2 * minute, began);
        assert!(tries > 2 * 60 / 7, "{tries} tries in two minutes");
        let (tries, now) = tries_until(60 * minute, now);
        assert!(tries < 180, "{tries} tries in the rest of the hour");
        assert!(retries.fail(&role(), Reason::Propagating, now) >= minute);
        assert!(retries.fail(&role(), Reason::Propagating, now + 600 * minute) <= LONGEST.mul_f64(1.25));
        retries.recover(&role());
        assert!(retries.fail(&role(), Reason::Propagating, now) <= FIRST.mul_f64(1.25));
    }

    #[test]
    fn a_wait_is_told_once_patience_is_over() {
        let retries = Retries::default();
        let now = Instant::now();
        assert_eq!(retries.wait(&role(), now), Some(PATIENCE));
        assert_eq!(retries.wait(&role(), now + PATIENCE), None);
    }

    #[test]
    fn progress_renews_patience_but_not_for_ever() {
        let retries = Retries::default();
        let now = Instant::now();
        retries.wait(&role(), now);
        let mut later = now;
        while later < now + LONGEST_PATIENCE {
            retries.progress(&role(), later);
            assert!(retries.wait(&role(), later).is_some());
            later += PATIENCE / 2;
        }
        retries.progress(&role(), later);
        assert_eq!(retries.wait(&role(), later), None);
    }

    #[test]
    fn patience_grows_with_the_queue_and_shrinks_with_it() {
        let retries = Retries::default();
        let now = Instant::now();
        retries.queued(Duration::from_secs(3), now);
        retries.queued(Duration::ZERO, now);
        assert_eq!(retries.wait(&role(), now), Some(PATIENCE + Duration::from_secs(6)));
        let later = now + Duration::from_secs(1);
        assert_eq!(retries.wait(&role(), later), Some(PATIENCE + Duration::from_secs(4 - 1)));
        retries.queued(Duration::from_secs(3600), later);
        assert_eq!(retries.wait(&role(), later), Some(PATIENCE + 2 * LONGEST_LAG - Duration::from_secs(1)));
    }

    #[test]
    fn statements_2_and_3_a_refusal_that_lasts_is_told_as_one() {
        let retries = Retries::default();
        let now = Instant::now();
        let refusal = || Problem::new(Reason::AccessDenied, "no");
        assert_eq!(retries.as_propagating(&role(), refusal(), now).reason, Reason::Propagating);
        retries.fail(&role(), Reason::AccessDenied, now);
        assert_eq!(retries.as_propagating(&role(), refusal(), now + REFUSAL_PATIENCE).reason, Reason::AccessDenied);
        retries.recover(&role());
        assert_eq!(retries.as_propagating(&role(), refusal(), now + REFUSAL_PATIENCE).reason, Reason::Propagating, "it is another one");
    }

    #[test]
    fn patience_with_refusals_begins_with_the_first_one_however_long_something_else_was_waited_for() {
        let retries = Retries::default();
        let began = Instant::now();
        retries.wait(&role(), began);
        let now = began + 2 * REFUSAL_PATIENCE;
        let conflict = || Failure::refused(Reason::DeletionBlocked, "iam:DeleteUser: DeleteConflict");
        assert_eq!(retries.delay_deletion_error(&role(), conflict(), now).reason, Reason::Propagating);
        assert!(retries.note_refusal(&role(), now + REFUSAL_PATIENCE / 2));
        assert_eq!(retries.delay_deletion_error(&role(), conflict(), now + REFUSAL_PATIENCE).reason, Reason::DeletionBlocked);
    }

    #[test]
    fn statement_22_what_cannot_be_deleted_at_once_mostly_can_in_a_moment() {
        let retries = Retries::default();
        let now = Instant::now();
        let conflict = || Failure::refused(Reason::DeletionBlocked, "iam:DeleteRole: DeleteConflict");
        assert_eq!(retries.delay_deletion_error(&role(), conflict(), now).reason, Reason::Propagating);
        retries.fail(&role(), Reason::Propagating, now);
        assert_eq!(retries.delay_deletion_error(&role(), conflict(), now + REFUSAL_PATIENCE).reason, Reason::DeletionBlocked);
        let denied = Failure::refused(Reason::QuotaExceeded, "iam:CreateRole: LimitExceeded");
        assert_eq!(retries.delay_deletion_error(&role(), denied.clone(), now), denied);
    }
}
