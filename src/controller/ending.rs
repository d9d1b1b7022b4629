//! How the work on a user or role ended: what is kept of what was seen, and what its status says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::cluster::kind::Kind;
use super::pass::{Pass, Retry, Stop, report_first, report_with};
use super::report::tell_repaired;
use super::state::observation::{Basis, Observation};
use super::work::{Wait, Work};
use crate::api::Reason;
use crate::core::absence::{Thing, look_again};
use crate::core::failure::Failure;
use crate::core::names::Arn;
use crate::core::outcome::{Alarm, Outcome, Problem};
use crate::core::plan::is_own;
use crate::core::possible::Intended;
use crate::core::subject::Subject;
use crate::core::unmanaged::{Restriction, restrictions, told as told_of_restrictions};

/// A pause after which a role looks whether it is known what has become of a source.
const SUSPENSE: Duration = Duration::from_secs(1);

impl<K: Kind + Subject> Work<'_, K> {
    /// Does the work, keeps what was seen, and tells how it ended. `problems` are told beside whatever comes of it.
    pub(super) async fn finish(mut self, problems: Vec<Problem>) -> Result<Pass<K>, kube::Error> {
        let result = self.run().await;
        if matches!(result, Err(Stop::NotYet | Stop::Problems(_))) && self.is_unmade() {
            self.context.unmade(&self.of());
        }
        Ok(match result {
            Ok(()) => self.succeeded(problems).await,
            Err(Stop::APIServer(error)) => return Err(error),
            Err(Stop::Busy(pause)) => Pass::Again(pause),
            Err(Stop::Suspense) => {
                self.keep_seen();
                Pass::Again(SUSPENSE)
            }
            Err(Stop::TellFirst) => {
                let replaced = self.replaced();
                self.tell_first(Intended::default(), problems.into_iter().chain(replaced).collect())
            }
            Err(Stop::Lost) => {
                let message = format!("{} was deleted in AWS by somebody else, and is made anew with another unique ID", self.desired.identity.name);
                self.tell_first(Intended::default(), vec![Problem::new(Reason::Progressing, message)])
            }
            Err(Stop::Intends(intended)) => {
                let message = told(&intended);
                self.tell_first(intended, problems.into_iter().chain([Problem::new(Reason::Progressing, message)]).collect())
            }
            Err(Stop::NotYet) => self.not_yet(problems),
            Err(Stop::Problems(found)) => self.refused(found.into_iter().chain(problems).collect()),
            Err(Stop::Failures(failures, found)) => self.failed(failures, found.into_iter().chain(problems)),
        })
    }

    /// All is as it is declared, but for what `problems` say.
    async fn succeeded(mut self, mut problems: Vec<Problem>) -> Pass<K> {
        let hidden = self.hidden_policies();
        let facts = self.facts(&hidden);
        problems.extend(self.replaced());
        let retry = hidden.values().copied().chain(self.boundary_doubt()).max().map(|doubt| Retry::in_a_while(look_again(doubt)));
        let warnings = self.observation.as_ref().map(|seen| self.desired.warnings(&seen.observed)).unwrap_or_default();
        let alarm = self.alarm();
        if self.context.memory.take_drifted(&self.of()) && !self.done.is_empty() {
            tell_repaired(self.context, &self.object, &self.done).await;
        }
        // What is to go and is not shown allows nothing: it is merely looked at again.
        let basis = |seen: &Observation| if hidden.is_empty() { seen.basis } else { Basis::Doubtful };
        let seen = self.observation.take().map(|seen| Observation { basis: basis(&seen), ..seen });
        self.keep(seen);
        Pass::Report { object: Box::new(self.object), facts, outcome: Outcome { problems, warnings, alarm }, retry, at_once: false }
    }

    /// Something is to stand in the status before more is done: what is intended, and what `problems` say.
    fn tell_first(mut self, intended: Intended, problems: Vec<Problem>) -> Pass<K> {
        let mut facts = K::with_policies(self.facts(&self.hidden_policies()), intended.policies.iter());
        if let Some(boundary) = &intended.boundary {
            K::tell_boundary(&mut facts, boundary.as_str());
        }
        self.keep_seen();
        report_first(self.object, facts, problems)
    }

    /// It is not to be made yet.
    fn not_yet(self, problems: Vec<Problem>) -> Pass<K> {
        self.keep(None);
        if let Some(Wait::Patience(left)) = self.waits {
            return Pass::Again(left);
        }
        let (before, retry) = (self.reported(), self.history.look_again());
        report_with(self.object, before, problems, retry)
    }

    /// There is no plan. Withdrawn grants have ended all the same.
    fn refused(self, problems: Vec<Problem>) -> Pass<K> {
        // Of what is somebody else's nothing is this resource's to tell, nor of what only tags claim for it: that would pin the unique ID.
        let is_made = |seen: &Observation| self.desired.pinned.is_some() && seen.observed.identity.is_some();
        let shows_own = self.observation.as_ref().is_some_and(|seen| is_made(seen) && is_own(self.desired, &seen.observed));
        let (facts, alarm) = if shows_own { (self.facts(&self.hidden_policies()), self.alarm()) } else { (self.reported(), None) };
        // Another one may be the one before, from where IAM is behind.
        let retry = if self.desired.pinned.is_some() && !shows_own { self.history.look_again() } else { None };
        // What was seen may be somebody else's: nothing of it is remembered.
        self.keep(None);
        report_with(self.object, facts, problems, retry).alarming(alarm)
    }

    /// AWS refused something, or did not answer.
    fn failed(mut self, failures: Vec<Failure>, problems: impl Iterator<Item = Problem>) -> Pass<K> {
        let (of, retries, now) = (self.of(), &self.context.retries, Instant::now());
        // What is told already is not taken for something new, be it that another process told it.
        let delayed = |failure: Failure| if self.object.says(&[failure.reason]) { failure } else { retries.delay_deletion_error(&of, failure, now) };
        let failures: Vec<Failure> = failures.into_iter().map(delayed).collect();
        let (facts, alarm) = (self.facts(&self.hidden_policies()), self.alarm());
        let seen = self.observation.take().map(|seen| Observation { basis: Basis::Doubtful, ..seen });
        self.keep(seen);
        let problems = failures.iter().map(Failure::problem).chain(problems).collect();
        report_with(self.object, facts, problems, Some(Retry::after_all(&failures))).alarming(alarm)
    }

    /// What the status says already, and what was made, of which nothing but the status tells a later process.
    fn reported(&self) -> K::Status {
        let mut reported = self.object.status().cloned().unwrap_or_default();
        if let (Some(made), None) = (&self.desired.pinned, self.object.pinned()) {
            K::tell_made(&mut reported, &self.desired.arn, made);
            // From here on nothing but the status tells of it.
            self.object.reported_boundary().into_iter().for_each(|boundary| K::tell_boundary(&mut reported, boundary));
        }
        reported
    }

    /// What the status is to say of what was seen, and of the policies that are hidden; where nothing was seen, what it says already.
    fn facts(&self, hidden: &BTreeMap<Arn, Duration>) -> K::Status {
        let Some(seen) = &self.observation else { return self.reported() };
        let ours = self.desired.ours.clone().or(self.history.ours());
        self.history.note_ours(self.desired.there_of(&ours, &seen.observed));
        let facts = self.object.facts(&self.context.world(), self.at, self.desired, &seen.observed);
        let mut facts = K::with_policies(facts, hidden.keys().chain(&self.intended_policies()));
        if self.boundary_doubt().is_some() {
            self.object.reported_boundary().into_iter().for_each(|boundary| K::tell_boundary(&mut facts, boundary));
        }
        facts
    }

    /// What keeps principals from being trusted again, as far as that is known.
    fn replaced(&self) -> Option<Problem> {
        self.observation.as_ref().and_then(|seen| self.desired.replaced(&seen.observed))
    }

    /// That others restrict it, where its status does not tell so yet.
    fn alarm(&self) -> Option<Alarm> {
        let seen = self.observation.as_ref()?;
        let is_news = |restriction: &Restriction<'_>| !self.object.reported_unmanaged().iter().any(|told| told == restriction.key());
        let news: Vec<Restriction<'_>> = restrictions(self.desired, &seen.observed).into_iter().filter(is_news).collect();
        (!news.is_empty()).then(|| Alarm { reason: "RestrictedByOthers", message: told_of_restrictions(&news).join("; ") })
    }

    fn keep_seen(&mut self) {
        let seen = self.observation.take();
        self.keep(seen);
    }

    /// Remembers what was seen, and wakes those who go by it.
    fn keep(&self, seen: Option<Observation>) {
        let of = self.of();
        if self.context.memory.keep(&of, seen) {
            self.context.made(&of);
        }
    }

    /// Whether it was never told of, and is known not to be there.
    fn is_unmade(&self) -> bool {
        let is_own = |seen: &Observation| seen.observed.identity.is_some() && is_own(self.desired, &seen.observed);
        self.desired.pinned.is_none() && self.history.look_again().is_none() && self.observation.as_ref().is_some_and(|seen| !is_own(seen))
    }

    /// The customer-managed policies that it had and that are not shown, each with how much longer that proves nothing. The status tells of them until then:
    /// nothing else does.
    fn hidden_policies(&self) -> BTreeMap<Arn, Duration> {
        let Some(seen) = &self.observation else { return BTreeMap::new() };
        let hidden = self.object.reported_policies().into_iter().filter(|arn| !seen.observed.policies.contains_key(arn)).map(|arn| {
            let doubt = self.history.doubt(&Thing::Policy(arn.clone()));
            (arn, doubt)
        });
        hidden.filter(|(_, doubt)| !doubt.is_zero()).collect()
    }

    /// How much longer it proves nothing that no permissions boundary is shown where the account has put one on. The status tells of it until then.
    fn boundary_doubt(&self) -> Option<Duration> {
        self.object.reported_boundary()?;
        let found = self.observation.as_ref()?.observed.identity.as_ref()?;
        Some(self.history.doubt(&Thing::Part)).filter(|doubt| found.identity.permissions_boundary.is_none() && !doubt.is_zero())
    }

    /// The customer-managed policies that the status tells of and that are still to be there, made or not.
    fn intended_policies(&self) -> BTreeSet<Arn> {
        self.object.reported_policies().into_iter().filter(|arn| self.desired.policies.contains_key(arn)).collect()
    }
}

/// What is about to be made, for people.
fn told(intended: &Intended) -> String {
    let policies = intended.policies.len();
    let policies = (policies > 0).then(|| format!("{policies} customer-managed policies are about to be made"));
    let boundary = intended.boundary.as_ref().map(|boundary| format!("{boundary} is about to be put on as permissions boundary"));
    policies.into_iter().chain(boundary).collect::<Vec<_>>().join("; ")
}
