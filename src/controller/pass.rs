//! How a pass over a resource ends, and how the work in it stops short.

use std::time::Duration;

use crate::api::{AWSAccount, Managed, Reason};
use crate::core::failure::{Effect, Failure};
use crate::core::outcome::{Alarm, Outcome, Problem};
use crate::core::possible::Intended;

/// A pause after which something that is busy right now is tried again.
pub const SOON: Duration = Duration::from_millis(100);

/// How soon that is tried again which failed beside what came through, unless the next pass comes earlier.
pub const AFTER_FAILURE: Duration = Duration::from_secs(60);

/// How one pass over a resource ended.
pub enum Pass<K: Managed> {
    /// It is to be told.
    Report {
        /// The object as the API server has it now.
        object: Box<K>,
        /// Its status, apart from generation and conditions.
        facts: K::Status,
        /// What keeps it from being as declared.
        outcome: Outcome,
        /// Whether to try again by ourselves, and not before when; without it, a watch brings the next pass.
        retry: Option<Retry>,
        /// Whether it is to be told however soon it is over: what is done next rests on it.
        at_once: bool,
    },
    /// Nothing to tell; the next pass follows after this pause.
    Again(Duration),
    /// The object is gone, or about to be.
    Gone,
}

/// A failure after which the next try comes by itself.
pub struct Retry {
    /// What is waited for to be over.
    pub reason: Reason,
    /// The pause, where it is known and not to be told by how often it has failed.
    pub not_before: Option<Duration>,
}

impl Retry {
    /// Tries again after this failure.
    pub fn after(failure: &Failure) -> Self {
        Self { reason: failure.reason, not_before: failure.retry_after }
    }

    /// Tries again after all of these failures, when the first of them may be over: what IAM is slow to show may be there in a moment.
    pub fn after_all(failures: &[Failure]) -> Self {
        let reasons = || failures.iter().map(|failure| failure.reason);
        let reason = reasons().find(|reason| *reason == Reason::Propagating).or_else(|| reasons().next());
        Self { reason: reason.unwrap_or(Reason::Progressing), not_before: failures.iter().filter_map(|failure| failure.retry_after).min() }
    }

    /// Looks again after this pause.
    pub fn in_a_while(pause: Duration) -> Self {
        Self { reason: Reason::Progressing, not_before: Some(pause) }
    }
}

impl<K: Managed> Pass<K> {
    /// The pass, which tells this before all else.
    pub fn telling_first(mut self, problem: Option<Problem>) -> Self {
        if let (Some(problem), Self::Report { outcome, .. }) = (problem, &mut self) {
            outcome.problems.insert(0, problem);
        }
        self
    }

    /// The pass, which tells this at once, too, by an Event.
    pub fn alarming(mut self, alarm: Option<Alarm>) -> Self {
        if let Self::Report { outcome, .. } = &mut self {
            outcome.alarm = alarm;
        }
        self
    }
}

impl Pass<AWSAccount> {
    /// The pass, which tells of these failures, too, and is made again soon for them.
    pub fn with_failures(mut self, failures: &[Failure]) -> Self {
        if let Self::Report { outcome, retry, .. } = &mut self
            && !failures.is_empty()
        {
            outcome.problems.extend(failures.iter().map(Failure::problem));
            let pause = retry.as_ref().and_then(|retry| retry.not_before).unwrap_or(AFTER_FAILURE);
            *retry = Some(Retry::in_a_while(pause.min(AFTER_FAILURE)));
        }
        self
    }
}

/// A pass that ends with problems, or without any.
pub fn report_with<K: Managed>(object: K, facts: K::Status, problems: Vec<Problem>, retry: Option<Retry>) -> Pass<K> {
    Pass::Report { object: Box::new(object), facts, outcome: Outcome { problems, ..Outcome::default() }, retry, at_once: false }
}

/// A pass that ends with something that is to stand in the status before anything else is done.
pub fn report_first<K: Managed>(object: K, facts: K::Status, problems: Vec<Problem>) -> Pass<K> {
    let outcome = Outcome { problems, ..Outcome::default() };
    Pass::Report { object: Box::new(object), facts, outcome, retry: Some(Retry::in_a_while(SOON)), at_once: true }
}

/// Why the work on a user or role stopped short.
pub enum Stop {
    /// The account has no room for the work now; it comes back after this pause.
    Busy(Duration),
    /// What keeps it from being as declared, of which no call to AWS is needed to know.
    Problems(Vec<Problem>),
    /// What has become of a principal must be known first.
    Suspense,
    /// What was found must stand in the status before anything else is done.
    TellFirst,
    /// What was made was deleted by somebody else. That must stand in the status before it is made anew: a process that dies in between would find an
    /// object of another unique ID than the one that was made, and tags prove nothing.
    Lost,
    /// It is not to be made yet.
    NotYet,
    /// This is about to be made, and must stand in the status first.
    Intends(Intended),
    /// The API server refused something, or did not answer.
    APIServer(kube::Error),
    /// What AWS did not do, and what else there is to tell.
    Failures(Vec<Failure>, Vec<Problem>),
}

impl Stop {
    /// Tells also what else went wrong. Nothing of either is lost, but for what the pass finds again that follows at once.
    pub fn and(self, other: Self) -> Self {
        if let Self::APIServer(_) = other {
            return other;
        }
        if let Self::Intends(_) = self {
            return self;
        }
        let parts = |stop| match stop {
            Self::Problems(problems) => (vec![], problems),
            Self::Failures(failures, problems) => (failures, problems),
            Self::Busy(_) | Self::Suspense | Self::TellFirst | Self::Lost | Self::NotYet | Self::Intends(_) | Self::APIServer(_) => {
                Default::default()
            }
        };
        let ((mut failures, mut problems), (more_failures, more_problems)) = (parts(self), parts(other));
        failures.extend(more_failures);
        problems.extend(more_problems);
        if failures.is_empty() { Self::Problems(problems) } else { Self::Failures(failures, problems) }
    }

    /// Whether AWS refused something, and nothing was changed by that.
    pub fn is_refusal(&self) -> bool {
        let refused = |failure: &Failure| failure.effect == Effect::None && failure.reason != Reason::AWSUnavailable;
        matches!(self, Self::Failures(failures, _) if failures.iter().all(refused))
    }

    /// What AWS says, in one text.
    pub fn told(&self) -> String {
        match self {
            Self::Failures(failures, _) => failures.iter().map(|failure| failure.message.as_str()).collect(),
            _ => String::new(),
        }
    }

    /// Whether nothing failed but what IAM may only be slow to show.
    pub fn is_propagation(&self) -> bool {
        matches!(self, Self::Failures(failures, _) if failures.iter().all(|failure| failure.reason == Reason::Propagating))
    }

    /// Whether AWS has something already that was to be made.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Failures(failures, _) if failures.iter().any(|failure| failure.effect == Effect::AlreadyExists))
    }
}

impl From<kube::Error> for Stop {
    fn from(error: kube::Error) -> Self {
        Self::APIServer(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failures(vec![failure], vec![])
    }
}
