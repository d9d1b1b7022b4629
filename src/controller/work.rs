//! The work on one user or role: observe, plan, apply, and tell how it ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::apply::apply;
use super::cluster::kind::Kind;
use super::context::Context;
use super::history::History;
use super::observe::{Whose, has_suspects, is_to_be_read, observe};
use super::pass::{Pass, Retry, Stop, told, told_first};
use super::report::{add_finalizer, tell_repaired};
use super::resolve::{place, withdraw_revoked};
use super::state::observation::{Basis, Observation};
use crate::api::Reason;
use crate::api::conditions::Class;
use crate::aws::{Account, Permit};
use crate::core::absence::{self, Sight, Thing, look_again, sight};
use crate::core::action::Action;
use crate::core::desired::Desired;
use crate::core::failure::{Effect, Failure};
use crate::core::listed::LISTED;
use crate::core::names::Arn;
use crate::core::observed::Observed;
use crate::core::outcome::{Outcome, Problem};
use crate::core::placement::Placement;
use crate::core::plan::{Plan, is_own, is_settled, plan};
use crate::core::possible::{announced, announced_by};
use crate::core::subject::Subject;
use crate::core::world::{ObjectKey, Ref, uid};

/// A pause after which a role looks whether it is known what has become of a source.
const SUSPENSE: Duration = Duration::from_secs(1);

/// How long a resource waits for the sweep that is to wake it before it looks again.
const SWEEP_PATIENCE: Duration = Duration::from_secs(10);

/// How many of the permissions that a refusal holds up are told by name.
const WITHHELD: usize = 3;

/// Why a role is not to be made yet.
#[derive(Clone, Copy)]
pub(super) enum Wait {
    /// It has nobody to trust.
    Nobody,
    /// Somebody is about to be there, and is waited for so much longer.
    Patience(Duration),
}

/// Observing, planning and applying for one identity.
pub(super) struct Work<'a, K> {
    pub(super) object: K,
    /// What is known of AWS; None where it is not known.
    pub(super) observation: Option<Observation>,
    pub(super) account: &'a Account,
    /// The right to work in the account, from when there is work.
    pub(super) permit: Option<Permit>,
    pub(super) desired: &'a Desired,
    pub(super) context: &'a Context,
    pub(super) at: &'a Placement,
    pub(super) history: History<'a>,
    /// Why it is not to be made yet, if so.
    pub(super) waits: Option<Wait>,
    /// What was done, for people.
    pub(super) done: Vec<String>,
}

impl<K: Kind + Subject> Work<'_, K> {
    /// The resource that it is for.
    fn of(&self) -> Ref {
        K::reference(ObjectKey::of(&self.object))
    }

    /// Does the work, keeps what was seen, and tells how it ended beside what else there is to tell.
    pub(super) async fn finish(mut self, mut problems: Vec<Problem>) -> Result<Pass<K>, kube::Error> {
        let of = self.of();
        let result = self.run().await;
        // What was seen is kept also where the API server failed in between.
        let keep = |observation: Option<Observation>| {
            if self.context.memory.keep(&of, observation) {
                self.context.made(&of);
            }
        };
        if matches!(result, Ok(Err(Stop::NotYet | Stop::Problems(_)))) && self.is_unmade() {
            self.context.unmade(&of);
        }
        let hidden = self.hidden_policies();
        let intended = self.intended_policies();
        // Nothing but the status tells a later process of what this one made.
        let mut before = self.object.status().cloned().unwrap_or_default();
        if let (Some(made), None) = (&self.desired.pinned, self.object.pinned()) {
            K::tell_made(&mut before, &self.desired.arn, made);
        }
        let facts = |object: &K, before| match &self.observation {
            Some(seen) => {
                K::with_policies(object.facts(&self.context.world(), self.at, self.desired, &seen.observed), hidden.keys().chain(&intended))
            }
            None => before,
        };
        Ok(match result? {
            Ok(()) => {
                let facts = facts(&self.object, before);
                let seen = self.observation.as_ref().map(|seen| &seen.observed);
                problems.extend(seen.iter().flat_map(|seen| self.desired.replaced(seen)));
                let retry = hidden.values().max().map(|doubt| Retry::in_a_while(look_again(*doubt)));
                let warnings = seen.map(|seen| self.desired.warnings(seen)).unwrap_or_default();
                if !self.done.is_empty() && self.context.memory.take_drifted(&of) {
                    tell_repaired(self.context, &self.object, &self.done).await;
                }
                // What is to go and is not shown allows nothing: it is merely looked at again.
                let basis = |seen: &Observation| if hidden.is_empty() { seen.basis } else { Basis::Doubtful };
                keep(self.observation.map(|seen| Observation { basis: basis(&seen), ..seen }));
                Pass::Told { object: Box::new(self.object), facts, outcome: Outcome { problems, warnings }, retry, at_once: false }
            }
            Err(Stop::Busy(pause)) => Pass::Again(pause),
            Err(Stop::Suspense) => {
                keep(self.observation);
                Pass::Again(SUSPENSE)
            }
            Err(Stop::TellFirst) => {
                let facts = facts(&self.object, before);
                problems.extend(self.observation.iter().flat_map(|seen| self.desired.replaced(&seen.observed)));
                keep(self.observation);
                told_first(self.object, facts, problems)
            }
            Err(Stop::Lost) => {
                let facts = facts(&self.object, before);
                keep(self.observation);
                let what = &self.desired.identity.name;
                let message = format!("{what} was deleted in AWS by somebody else, and is made anew with another unique ID");
                told_first(self.object, facts, vec![Problem::new(Reason::Progressing, message)])
            }
            Err(Stop::Intends(policies)) => {
                let facts = K::with_policies(facts(&self.object, before), policies.iter());
                keep(self.observation);
                let message = format!("{} customer-managed policies are about to be made", policies.len());
                told_first(self.object, facts, vec![Problem::new(Reason::Progressing, message)])
            }
            Err(Stop::NotYet) => {
                keep(None);
                if let Some(Wait::Patience(left)) = self.waits {
                    return Ok(Pass::Again(left));
                }
                told(self.object, before, problems, self.history.look_again())
            }
            Err(Stop::Problems(found)) => {
                // Withdrawn grants have ended all the same. Of what is somebody else's nothing is this resource's to tell, nor of what only tags claim for it:
                // that would pin the unique ID.
                let is_made = |seen: &Observation| self.desired.pinned.is_some() && seen.observed.identity.is_some();
                let shows_own = self.observation.as_ref().is_some_and(|seen| is_made(seen) && is_own(self.desired, &seen.observed));
                let facts = if shows_own { facts(&self.object, before) } else { before };
                // Another one may be the one before, from where IAM is behind.
                let retry = if self.desired.pinned.is_some() && !shows_own { self.history.look_again() } else { None };
                // There is no plan, so what was seen may be somebody else's: nothing of it is remembered.
                keep(None);
                told(self.object, facts, found.into_iter().chain(problems).collect(), retry)
            }
            Err(Stop::Failures(failures, found)) => {
                let (retries, now) = (&self.context.retries, Instant::now());
                // What is told already is not taken for something new, be it that another process told it.
                let in_time = |failure: Failure| if self.object.says(&[failure.reason]) { failure } else { retries.in_time(&of, failure, now) };
                let failures: Vec<Failure> = failures.into_iter().map(in_time).collect();
                let facts = facts(&self.object, before);
                keep(self.observation.map(|seen| Observation { basis: Basis::Doubtful, ..seen }));
                let problems = failures.iter().map(Failure::problem).chain(found).chain(problems).collect();
                told(self.object, facts, problems, Some(Retry::after_all(&failures)))
            }
        })
    }

    async fn run(&mut self) -> Result<Result<(), Stop>, kube::Error> {
        self.observation = self.observation.take().filter(|seen| self.is_of_use(seen));
        // Asked before anything is assumed, since an assumption is no read. Of what is disputed nothing is remembered, so if anything is, another process has
        // found that; and another one has made what is remembered not to be there.
        let of = self.of();
        let is_to_be_read = is_to_be_read(self.context, &of, self.desired.pinned.as_ref(), self.observation.as_ref())
            || self.observation.as_ref().is_some_and(|seen| {
                self.object.says(&[Reason::Conflict, Reason::IdentityChanged]) || (self.desired.pinned.is_some() && seen.observed.identity.is_none())
            });
        let is_never_made = self.object.told_arn().is_none() && self.desired.pinned.is_none() && !self.object.says(&[Reason::Conflict]);
        let is_assumed = self.observation.is_none() && is_never_made && self.waits.is_none() && !self.context.memory.waits_for_passing(&of);
        if is_assumed {
            // What was never made is taken not to be there: creating it finds out, and usually nothing has to be read. Not so where somebody else had its
            // name, since its policies would be made in vain, nor where it was seen a moment ago.
            self.observation = Some(self.seen(Observed::default()));
        }
        if self.observation.is_none() && self.object.pinned().is_some() && !is_to_be_read {
            if self.context.awaits_sweep(self.at) {
                // An earlier process made it. One sweep shows all of these at once, and wakes them.
                return Ok(Err(Stop::Busy(SWEEP_PATIENCE)));
            }
            // The sweep may have come through while this pass went into the account.
            self.observation = self.known().filter(|seen| self.is_of_use(seen));
        }
        // That there is nothing to do is all that older knowledge is good for.
        if !is_to_be_read && self.observation.as_ref().is_some_and(|seen| seen.is_believed() && is_settled(self.desired, &seen.observed)) {
            return Ok(Ok(()));
        }
        if self.permit.is_none() {
            match self.account.try_permit(&of.to_string()) {
                Ok(permit) => self.permit = Some(permit),
                Err(pause) => return Ok(Err(Stop::Busy(pause))),
            }
        }
        if (is_to_be_read || !self.observation.as_ref().is_some_and(Observation::is_ground))
            && let Err(failure) = self.read().await
        {
            return Ok(Err(failure.into()));
        }
        // What cannot be made does not find out, and a process that died may have made it before that.
        let may_be_there = is_assumed && self.object.is_finalized() && self.history.may_have_made();
        match self.attempt().await? {
            Err(stop) if stop.is_taken() || (may_be_there && matches!(stop, Stop::Problems(_))) => {
                if let Err(failure) = self.read().await {
                    return Ok(Err(failure.into()));
                }
                Ok(self.attempt().await?.map_err(|stop| if stop.is_taken() { self.unseen(stop) } else { stop }))
            }
            done => Ok(done),
        }
    }

    /// Whether it was never told of, and is known not to be there.
    fn is_unmade(&self) -> bool {
        let is_own = |seen: &Observation| seen.observed.identity.is_some() && is_own(self.desired, &seen.observed);
        self.desired.pinned.is_none() && self.history.look_again().is_none() && self.observation.as_ref().is_some_and(|seen| !is_own(seen))
    }

    /// What exists and is not to be seen is mostly what we have just made, read from where IAM does not show it yet.
    fn unseen(&self, stop: Stop) -> Stop {
        let of = self.of();
        let may_be_ours = || self.history.is_recent() || self.context.retries.is_new(&of, Instant::now());
        match stop {
            Stop::Failures(failures, problems) if may_be_ours() => {
                let softened = |failure: Failure| match failure.effect {
                    Effect::AlreadyExists => Failure { reason: Reason::Propagating, ..failure },
                    _ => failure,
                };
                Stop::Failures(failures.into_iter().map(softened).collect(), problems)
            }
            stop => stop,
        }
    }

    /// The customer-managed policies that it had and that are not shown, each with how much longer that proves nothing. The status tells of them until then:
    /// nothing else does.
    fn hidden_policies(&self) -> BTreeMap<Arn, Duration> {
        let Some(seen) = &self.observation else { return BTreeMap::new() };
        let hidden = self.object.told_policies().into_iter().filter(|arn| !seen.observed.policies.contains_key(arn)).map(|arn| {
            let doubt = self.history.doubt(&Thing::Policy(arn.clone()));
            (arn, doubt)
        });
        hidden.filter(|(_, doubt)| !doubt.is_zero()).collect()
    }

    /// The customer-managed policies that the status tells of and that are still to be there, made or not.
    fn intended_policies(&self) -> BTreeSet<Arn> {
        self.object.told_policies().into_iter().filter(|arn| self.desired.policies.contains_key(arn)).collect()
    }

    /// The customer-managed policies that a plan makes and of which the status does not tell, as far as it has room. Assume policies are found by their names.
    fn untold_policies(&self, plan: &Plan) -> BTreeSet<Arn> {
        let announced = announced_by(&self.object, self.at, &self.desired.identity.path);
        let told: BTreeSet<Arn> = self.object.told_policies().into_iter().chain(announced).collect();
        let made = plan.actions.iter().filter_map(|action| match action {
            Action::CreatePolicy(policy) => Some(&policy.arn),
            _ => None,
        });
        let untold = made.filter(|arn| self.desired.policies.contains_key(arn) && !told.contains(arn));
        untold.take(LISTED.saturating_sub(told.len())).cloned().collect()
    }

    /// What keeps it from being worked on where what was made for it is not shown.
    fn unshown(&mut self) -> Option<Stop> {
        let seen = self.observation.as_ref()?;
        // What was found to be another one was certain then.
        let doubt = if self.object.says(&[Reason::IdentityChanged]) { Duration::ZERO } else { self.history.doubt(&Thing::Identity) };
        match sight(self.desired, &seen.observed, doubt) {
            Sight::Unclear => {
                // Nothing of it is told or remembered: what the status has stays.
                self.observation = None;
                let message = absence::told(&[Thing::Identity], &self.desired.identity.name);
                Some(Failure { retry_after: Some(look_again(doubt)), ..Failure::refused(Reason::Propagating, message) }.into())
            }
            Sight::Lost => Some(Stop::Lost),
            // What bears the name may be somebody else's: that matters when it is to be made.
            Sight::Clear => {
                (self.waits.is_some() && !(seen.observed.identity.is_some() && is_own(self.desired, &seen.observed))).then_some(Stop::NotYet)
            }
        }
    }

    /// Plans from what is known and carries the plan out. Where there is no plan, withdrawn grants end all the same.
    async fn attempt(&mut self) -> Result<Result<(), Stop>, kube::Error> {
        if let Some(stop) = self.unshown() {
            return Ok(Err(stop));
        }
        let Some(seen) = &self.observation else { return Ok(Ok(())) };
        // Whom somebody else's role trusts is no matter of this resource's, and nothing of it may come into the status.
        let is_own = is_own(self.desired, &seen.observed);
        let planned = plan(self.desired, &seen.observed);
        // Where there is no plan nobody is added, so nobody need be read for that.
        let less = if planned.is_err() { withdraw_revoked(&self.object, self.context, self.at, &self.history, &seen.observed) } else { None };
        let of = self.of();
        if is_own && has_suspects(self.context, &of, less.as_ref().unwrap_or(self.desired), &seen.observed) {
            return Ok(Err(Stop::Suspense));
        }
        let are_gone = is_own && self.desired.is_newly_replaced(&seen.observed);
        if self.context.memory.may_be_passing(&of, are_gone, Instant::now()) {
            // Nothing of it is told or remembered: that principals are gone would stay in the status.
            self.observation = None;
            return Ok(Err(Stop::Suspense));
        }
        if are_gone {
            return Ok(Err(Stop::TellFirst));
        }
        match planned {
            Ok(plan) => {
                let untold = self.untold_policies(&plan);
                // Where the finalizer is still to be put on, that tells of them, too.
                if !untold.is_empty() && self.object.is_finalized() {
                    return Ok(Err(Stop::Intends(untold)));
                }
                Ok(match self.carry_out(&plan).await? {
                    // What IAM refuses is mostly an addition, which no withdrawn grant waits for.
                    Err(stop) if stop.is_refusal() => {
                        let may_pass = stop.is_propagation() && self.context.retries.is_new(&of, Instant::now());
                        let withdrawn = self.withdraw_revoked(may_pass).await?;
                        let stop = self.with_what_stays(stop);
                        Err(if let Err(other) = withdrawn { stop.and(other) } else { stop })
                    }
                    result => result,
                })
            }
            Err(problems) => {
                if let Err(stop) = self.withdraw_revoked(false).await? {
                    return Ok(Err(stop.and(Stop::Problems(problems))));
                }
                // Nothing is refused for good by quotas that nobody asked AWS for.
                let only_quotas = self.done.is_empty() && problems.iter().all(|problem| problem.reason == Reason::QuotaExceeded);
                let awaited = only_quotas && self.context.awaits_quotas(self.at);
                Ok(Err(if awaited { Stop::Busy(SWEEP_PATIENCE) } else { Stop::Problems(problems) }))
            }
        }
    }

    /// Tells with a refusal that takes a person which permissions stay until then: they go only after what takes their place has come.
    fn with_what_stays(&self, stop: Stop) -> Stop {
        match stop {
            Stop::Failures(failures, problems) => Stop::Failures(failures.into_iter().map(|failure| self.held_up_by(failure)).collect(), problems),
            stop => stop,
        }
    }

    fn held_up_by(&self, failure: Failure) -> Failure {
        let left = self.observation.as_ref().and_then(|seen| plan(self.desired, &seen.observed).ok());
        let stays: Vec<String> = left.iter().flat_map(|plan| &plan.actions).filter(|action| action.withdraws()).map(ToString::to_string).collect();
        if failure.reason.class() != Class::Stalled || stays.is_empty() {
            return failure;
        }
        let more = if stays.len() > WITHHELD { format!(" and {} more", stays.len() - WITHHELD) } else { String::new() };
        let stays = stays.into_iter().take(WITHHELD).collect::<Vec<_>>().join(", ");
        Failure { message: format!("{}. Held up by this: {stays}{more}", failure.message.trim_end_matches('.')), ..failure }
    }

    /// Takes away what is withdrawn, and adds nothing. What comes first in the whole plan was tried just now, and is not tried again at once.
    /// Nor is anything where that `may_pass` in a moment which keeps somebody from coming in by name who comes in as one of many until then.
    async fn withdraw_revoked(&mut self, may_pass: bool) -> Result<Result<(), Stop>, kube::Error> {
        let Some(observed) = self.observation.as_ref().map(|seen| &seen.observed) else { return Ok(Ok(())) };
        let less = withdraw_revoked(&self.object, self.context, self.at, &self.history, observed);
        if may_pass && less.as_ref().is_some_and(|less| less.shuts_out(self.desired, observed)) {
            return Ok(Ok(()));
        }
        // There is no plan where the object is somebody else's, of whom nothing is withdrawn.
        let less = less.and_then(|less| plan(&less, observed).ok()).unwrap_or_default();
        let whole = plan(self.desired, observed).unwrap_or_default();
        if less.actions.first() == whole.actions.first() { Ok(Ok(())) } else { self.carry_out(&less).await }
    }

    async fn carry_out(&mut self, plan: &Plan) -> Result<Result<(), Stop>, kube::Error> {
        if plan.actions.is_empty() {
            return Ok(Ok(()));
        }
        if !self.object.is_finalized() {
            let announced = announced(&self.untold_policies(plan));
            self.object = add_finalizer(self.context, &self.object, &announced).await?;
            if self.object.told_arn().is_none() {
                self.history.begin();
            }
            // The account holds out for what carries the finalizer; before that it may have gone.
            if let Err(problem) = place(&self.object, self.context) {
                return Ok(Err(Stop::Problems(vec![problem])));
            }
        }
        let Some(seen) = &mut self.observation else { return Ok(Ok(())) };
        let before = seen.observed.identity.as_ref().map(|found| found.id.clone());
        let result = apply(self.account.gateway(), plan, &mut seen.observed, &self.history).await;
        if result.is_ok() {
            self.done.extend(plan.actions.iter().map(ToString::to_string));
        }
        let now = Instant::now();
        seen.carried_out(before.as_ref(), self.desired.principal_ids(), now);
        self.context.memory.wrote(&self.of(), now);
        Ok(match result {
            Ok(unproven) => unproven.first().map_or(Ok(()), |action| {
                let message = format!("cannot {action}: IAM says that there is none, and may only not show yet what was just made: looked at again");
                Err(Failure::refused(Reason::Propagating, message).into())
            }),
            Err(failure) => {
                if failure.effect == Effect::Unknown {
                    self.observation = None;
                }
                Err(failure.into())
            }
        })
    }

    async fn read(&mut self) -> Result<(), Failure> {
        let mut scope = self.desired.scope();
        // What turned out to exist when it was to be made: an assume policy of which nothing was known.
        if let Some(Ok(wanted)) = self.observation.take().map(|seen| self.desired.wanted(&seen.observed)) {
            scope.policies.extend(wanted.policies.into_keys());
        }
        let whose = Whose { of: &self.of(), owner: &self.desired.owner, history: &self.history };
        let observed = observe(self.context, self.account.gateway(), &scope, whose).await?;
        self.observation = Some(self.seen(observed));
        Ok(())
    }

    /// Whether what is remembered shows all that is asked, and not somebody whom another process has found to be deleted.
    fn is_of_use(&self, seen: &Observation) -> bool {
        let found = seen.observed.identity.as_ref().map(|found| &found.id);
        self.desired.is_shown_by(&seen.observed) && found.is_none_or(|id| self.object.deleted().as_ref() != Some(id))
    }

    fn known(&self) -> Option<Observation> {
        let of = self.of();
        self.context.observation(&of, self.at, &uid(&self.object), &self.desired.arn, &self.desired.principal_ids())
    }

    fn seen(&self, observed: Observed) -> Observation {
        Observation::now(uid(&self.object), self.desired.arn.clone(), observed, self.desired.principal_ids())
    }
}
