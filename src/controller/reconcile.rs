//! The one way that every resource takes: resolve, validate, observe, plan, apply, report.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kube::ResourceExt;
use kube::runtime::controller::Action as Next;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::apply::apply;
use super::context::Context;
use super::fate::{has_suspects, is_to_be_read, settle};
use super::kinds::{IdentityKind, Kind};
use super::memory::{Basis, Observation};
use super::pass::{Pass, Retry, Stop, told, uid};
use super::relations::Ref;
use super::report::{add_finalizer, report, tell_repaired};
use super::sweep::sweep_when_due;
use crate::api::conditions::Class;
use crate::api::{AWSAccount, AWSAccountStatus, BastionUser, CrossAccountRole, Managed, Reason};
use crate::aws::{Account, Permit};
use crate::core::desired::Desired;
use crate::core::failure::{Effect, Failure};
use crate::core::grants::{Grant, Presence};
use crate::core::observed::Observed;
use crate::core::outcome::{Outcome, Problem};
use crate::core::placement::{Placement, admit, double, find, locate};
use crate::core::plan::{Plan, is_own, is_settled, plan};
use crate::core::world::ObjectKey;

/// A pause after which something that is busy right now is tried again.
const SOON: Duration = Duration::from_millis(100);

/// A pause after which a role looks whether it is known what has become of a source.
const SUSPENSE: Duration = Duration::from_secs(1);

/// How long a resource waits for the sweep that is to wake it before it looks again.
const SWEEP_PATIENCE: Duration = Duration::from_secs(10);
/// How many of the permissions that a refusal holds up are told by name.
const WITHHELD: usize = 3;

/// A kind that can be reconciled.
#[async_trait]
pub trait Reconciled: Kind {
    /// Makes AWS as declared.
    async fn converge(self, context: &Context) -> Result<Pass<Self>, kube::Error>;

    /// Removes from AWS what the object owns there, and then the finalizer.
    async fn finalize(self, context: &Context) -> Result<Pass<Self>, kube::Error>;
}

/// Reconciles one resource.
pub async fn reconcile<K: Reconciled>(key: ObjectKey, context: Arc<Context>) -> Next {
    let of = K::reference(key.clone());
    if let Some(waited) = context.caches.begins(&of) {
        context.retries.queued(waited, Instant::now());
    }
    // Taken only now: what changes from here on wakes the resource again.
    let next = match K::get(&context.caches, &key) {
        Some(object) => pass(object, &of, &context).await,
        None => Next::await_change(),
    };
    context.caches.ended(&of);
    context.forget_if_gone(&of);
    next
}

async fn pass<K: Reconciled>(object: Arc<K>, of: &Ref, context: &Context) -> Next {
    if context.memory.is_superseded(of, object.meta().resource_version.as_deref()) {
        return Next::requeue(SOON);
    }
    let deleting = object.meta().deletion_timestamp.is_some();
    let pass = match (deleting, object.is_finalized()) {
        // The finalizer is there before the first write to AWS: without it there is nothing to remove.
        (true, false) => Ok(Pass::Gone),
        (true, true) => (*object).clone().finalize(context).await,
        (false, _) => (*object).clone().converge(context).await,
    };
    match pass {
        Ok(pass) => conclude(context, of, pass).await,
        Err(error) => again_after(context, of, &error),
    }
}

async fn conclude<K: Kind>(context: &Context, of: &Ref, pass: Pass<K>) -> Next {
    let (object, facts, mut outcome, retry) = match pass {
        Pass::Told { object, facts, outcome, retry } => (object, facts, outcome, retry),
        Pass::Again(pause) => return Next::requeue(pause),
        Pass::Gone => {
            context.memory.keep(of, None);
            context.retries.settle(of);
            return Next::await_change();
        }
    };
    let now = Instant::now();
    outcome.problems = outcome.problems.into_iter().map(|p| context.retries.soften(of, p, now)).collect();
    outcome.warnings.extend(object.warning().map(str::to_owned));
    let class = outcome.class();
    let pause = match &retry {
        Some(Retry { not_before: Some(pause), .. }) => *pause,
        Some(Retry { reason, .. }) => context.retries.fail(of, *reason, now),
        // Only for what no sweep keeps fresh: what is known has come of age by then, and is read.
        None => context.settings.sweep_interval.mul_f64(2.01 + fastrand::f64() * 0.2),
    };
    let came_through = || match (class, &retry) {
        (Class::Done, _) => context.retries.settle(of),
        (_, None) => context.retries.recover(of),
        _ => {}
    };
    // The next pass goes by the unique ID in the status: what was made in the place of another is told at once.
    let is_another = object.status().and_then(K::unique_id).zip(K::unique_id(&facts)).is_some_and(|(told, now)| told != now);
    if matches!(class, Class::Waiting | Class::Transient) && !is_another {
        // Most of what is waited for is on its way: telling it would cost a write that is outdated when it arrives.
        if let Some(left) = context.retries.wait(of, now) {
            came_through();
            return Next::requeue(pause.min(left));
        }
    }
    match report(context, &*object, facts, &outcome).await {
        Ok(()) => {
            came_through();
            Next::requeue(pause)
        }
        Err(error) => again_after(context, of, &error),
    }
}

fn again_after(context: &Context, of: &Ref, error: &kube::Error) -> Next {
    match error {
        // The object has changed: the change is on its way here, and brings the next pass by itself. It may take its time where the watch is broken off.
        kube::Error::Api(status) if status.code == 409 => {
            debug!("the object changed meanwhile");
            Next::requeue(context.retries.fail(of, Reason::Progressing, Instant::now()))
        }
        kube::Error::Api(status) if status.code == 404 => Next::await_change(),
        _ => {
            warn!(%error, "the API server refused or did not answer");
            Next::requeue(context.retries.fail(of, Reason::Progressing, Instant::now()))
        }
    }
}

#[async_trait]
impl Reconciled for AWSAccount {
    async fn converge(self, context: &Context) -> Result<Pass<Self>, kube::Error> {
        let facts = self.status.clone().unwrap_or_default();
        let name = self.name_any();
        // What leads through this account is told by that, too.
        let outside = |facts| AWSAccountStatus { caller_arn: None, ..facts };
        if let Some(problem) = double(&*context.caches, &self) {
            return Ok(told(self, outside(facts), vec![problem], None));
        }
        let object = if self.is_finalized() { self } else { add_finalizer(context, &self).await? };
        let (at, account) = match own_account(context, &name) {
            Ok(account) => account,
            Err(problem) => return Ok(told(object, outside(facts), vec![problem], None)),
        };
        // Asked anew each time: this is the one pass that says whether the account can be used.
        account.forget_verification();
        match account.verify().await {
            Ok(caller) => {
                let facts = AWSAccountStatus { caller_arn: Some(caller.arn.to_string()), ..facts };
                Ok(sweep_when_due(object, context, &at, &account, facts).await)
            }
            Err(failure) => {
                let facts = if failure.reason.class() == Class::Transient { facts } else { outside(facts) };
                Ok(told(object, facts, vec![failure.problem()], Some(Retry::after(&failure))))
            }
        }
    }

    async fn finalize(self, context: &Context) -> Result<Pass<Self>, kube::Error> {
        super::finalize::account(self, context).await
    }
}

#[async_trait]
impl Reconciled for BastionUser {
    async fn converge(self, context: &Context) -> Result<Pass<Self>, kube::Error> {
        converge(self, context).await
    }

    async fn finalize(self, context: &Context) -> Result<Pass<Self>, kube::Error> {
        super::finalize::identity(self, context).await
    }
}

#[async_trait]
impl Reconciled for CrossAccountRole {
    async fn converge(self, context: &Context) -> Result<Pass<Self>, kube::Error> {
        converge(self, context).await
    }

    async fn finalize(self, context: &Context) -> Result<Pass<Self>, kube::Error> {
        super::finalize::identity(self, context).await
    }
}

fn own_account(context: &Context, name: &str) -> Result<(Placement, Arc<Account>), Problem> {
    let at = find(&*context.caches, name)?;
    let account = context.account(&at)?;
    Ok((at, account))
}

/// Makes a user or role in AWS as declared.
async fn converge<K: IdentityKind>(object: K, context: &Context) -> Result<Pass<K>, kube::Error> {
    let of = K::reference(ObjectKey::of(&object));
    let (at, mut desired) = match resolve(&object, context).await? {
        Ok(resolved) => resolved,
        Err(problems) => return withdraw_revoked(object, context, problems).await,
    };
    let before = object.status().cloned().unwrap_or_default();
    let seen = context.observation(&of, &at, &uid(&object), &desired.arn, &desired.principal_ids());
    let made = desired.pinned.is_some() || seen.as_ref().is_some_and(|o| o.observed.identity.is_some());
    if !made && waits_for_sources(&desired, context.retries.wait(&of, Instant::now()).is_some()) {
        return Ok(told(object, before, desired.problems().cloned().collect(), None));
    }
    // Roles that are about to be made, or made again, wake the user then: its assume policy and its status are worth writing once.
    let coming = if desired.has_roles_coming() { context.retries.wait(&of, Instant::now()) } else { None };
    if coming.is_some() {
        desired.hold_roles();
    }
    let account = match enter(context, &at).await {
        Ok(entered) => entered,
        Err(closed) => return Ok(closed.told(object, vec![])),
    };
    let work = Work { object, observation: seen, account: &account, permit: None, desired: &desired, context, at: &at, done: vec![] };
    let pass = work.finish(desired.problems().cloned().collect()).await?;
    match (&pass, coming) {
        (Pass::Told { outcome, retry: None, .. }, Some(left)) if outcome.class() == Class::Done => Ok(Pass::Again(left)),
        _ => Ok(pass),
    }
}

/// Ends the grants that are withdrawn from a user or role whose declaration cannot be carried out. What was never made needs none of that.
async fn withdraw_revoked<K: IdentityKind>(object: K, context: &Context, problems: Vec<Problem>) -> Result<Pass<K>, kube::Error> {
    let before = object.status().cloned().unwrap_or_default();
    let found = locate(&*context.caches, object.account_name()).and_then(|at| Ok((object.removed(context, &at)?, at)));
    let (Some(_), Some(arn), Ok((known, at))) = (object.pinned(), object.told_arn(), found) else { return Ok(told(object, before, problems, None)) };
    if arn.account_id().as_ref() != Some(&at.id) {
        return Ok(told(object, before, problems, None));
    }
    let account = match enter(context, &at).await {
        Ok(entered) => entered,
        Err(closed) => return Ok(closed.told(object, problems)),
    };
    let of = K::reference(ObjectKey::of(&object));
    let permit = match account.try_permit(&of.to_string()) {
        Ok(permit) => permit,
        Err(pause) => return Ok(Pass::Again(pause)),
    };
    let is_ground = |seen: &Observation| seen.is_ground() && !is_to_be_read(context, &of, known.pinned.as_ref(), Some(seen));
    let observation = match context.observation(&of, &at, &uid(&object), &arn, &BTreeMap::new()).filter(is_ground) {
        Some(observation) => observation,
        None => match account.gateway().observe(&known.scope()).await {
            Ok(observed) => {
                settle(context, &of, known.pinned.as_ref(), &observed);
                Observation::now(uid(&object), arn, observed, BTreeMap::new())
            }
            Err(failure) => return Ok(Closed::Failure(failure).told(object, problems)),
        },
    };
    let Some(desired) = object.withdraw_revoked(context, &at, &observation.observed) else { return Ok(told(object, before, problems, None)) };
    let work =
        Work { object, observation: Some(observation), account: &account, permit: Some(permit), desired: &desired, context, at: &at, done: vec![] };
    work.finish(problems).await
}

/// Why an account cannot be worked in now.
enum Closed {
    Unusable(Problem),
    Failure(Failure),
}

impl Closed {
    /// Tells it, after what else there is to tell.
    fn told<K: Kind>(self, object: K, mut problems: Vec<Problem>) -> Pass<K> {
        let facts = object.status().cloned().unwrap_or_default();
        let retry = match self {
            Self::Unusable(problem) => {
                problems.push(problem);
                None
            }
            Self::Failure(failure) => {
                problems.push(failure.problem());
                Some(Retry::after(&failure))
            }
        };
        told(object, facts, problems, retry)
    }
}

/// Goes into an account: its client, and the proof that it is the one declared.
async fn enter(context: &Context, at: &Placement) -> Result<Arc<Account>, Closed> {
    let unusable = |problem: Problem| Problem::new(Reason::AccountNotReady, format!("AWSAccount {}: {}", at.name, problem.message));
    let account = context.account(at).map_err(|problem| Closed::Unusable(unusable(problem)))?;
    account.verify().await.map_err(|failure| {
        let message = format!("AWSAccount {}: {}", at.name, failure.message);
        Closed::Failure(Failure { reason: Reason::AccountNotReady, message, ..failure })
    })?;
    Ok(account)
}

/// Where a resource is placed and what it wants there, or what is wrong with it.
pub(super) type Resolved = Result<(Placement, Desired), Vec<Problem>>;

pub(super) async fn resolve<K: IdentityKind>(object: &K, context: &Context) -> Result<Resolved, kube::Error> {
    let at = match place(object, context) {
        Ok(at) => at,
        Err(problem) => return Ok(Err(vec![problem])),
    };
    Ok(object.desired(context, &at).await?.map(|desired| (at, desired)))
}

/// The account that the object is placed in, where it may be.
fn place<K: IdentityKind>(object: &K, context: &Context) -> Result<Placement, Problem> {
    let at = find(&*context.caches, object.account_name())?;
    let namespace = object.namespace().unwrap_or_default();
    admit(&*context.caches, &at, &namespace, object.pinned().is_some())?;
    same_account(object, &at)?;
    if !at.account.is_finalized() {
        // Without it the account could go while something of ours is still there.
        return Err(Problem::new(Reason::AccountNotReady, format!("AWSAccount {} has just been created", at.name)));
    }
    Ok(at)
}

/// An AWSAccount that was deleted and made again for another account of AWS does not take along what was made in the first.
pub(super) fn same_account<K: IdentityKind>(object: &K, at: &Placement) -> Result<(), Problem> {
    match object.told_arn() {
        Some(arn) if arn.account_id().as_ref() != Some(&at.id) => Err(Problem::new(
            Reason::AccountMismatch,
            format!("{arn} was made for this object, and AWSAccount {} is account {} now: make a new object for that account", at.name, at.id),
        )),
        _ => Ok(()),
    }
}

/// Whether a role that is not made yet does better to wait: it has nobody to trust yet, or somebody is about to be there.
fn waits_for_sources(desired: &Desired, patient: bool) -> bool {
    let grants: Vec<&Grant> = desired.trust.iter().flatten().flatten().collect();
    let nobody = !desired.is_its_own_source && !grants.is_empty() && grants.iter().all(|g| g.presence != Presence::Wanted);
    nobody || (patient && grants.iter().any(|g| g.is_coming()))
}

/// Observing, planning and applying for one identity.
struct Work<'a, K> {
    object: K,
    /// What is known of AWS; None where it is not known.
    observation: Option<Observation>,
    account: &'a Account,
    /// The right to work in the account, from when there is work.
    permit: Option<Permit>,
    desired: &'a Desired,
    context: &'a Context,
    at: &'a Placement,
    /// What was done, for people.
    done: Vec<String>,
}

impl<K: IdentityKind> Work<'_, K> {
    /// Does the work, keeps what was seen, and tells how it ended beside what else there is to tell.
    async fn finish(mut self, mut problems: Vec<Problem>) -> Result<Pass<K>, kube::Error> {
        let before = self.object.status().cloned().unwrap_or_default();
        let of = K::reference(ObjectKey::of(&self.object));
        let result = self.run().await;
        // What was seen is kept also where the API server failed in between.
        let keep = |observation: Option<Observation>| {
            if self.context.memory.keep(&of, observation) {
                self.context.made(&of);
            }
        };
        let facts = |object: &K, before| match &self.observation {
            Some(seen) => object.facts(self.context, self.at, self.desired, &seen.observed),
            None => before,
        };
        Ok(match result? {
            Ok(()) => {
                let facts = facts(&self.object, before);
                let seen = self.observation.as_ref().map(|seen| &seen.observed);
                problems.extend(seen.iter().flat_map(|seen| self.desired.replaced(seen)));
                let warnings = seen.map(|seen| self.desired.warnings(seen)).unwrap_or_default();
                if !self.done.is_empty() && self.context.memory.take_drifted(&of) {
                    tell_repaired(self.context, &self.object, &self.done).await;
                }
                keep(self.observation);
                Pass::Told { object: Box::new(self.object), facts, outcome: Outcome { problems, warnings }, retry: None }
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
                told(self.object, facts, problems, Some(Retry::in_a_while(SOON)))
            }
            Err(Stop::Problems(found)) => {
                // Withdrawn grants have ended all the same. Of what is somebody else's nothing is this resource's to tell, nor of what only tags claim for it:
                // that would pin the unique ID.
                let is_made = |seen: &Observation| self.desired.pinned.is_some() && seen.observed.identity.is_some();
                let shows_own = self.observation.as_ref().is_some_and(|seen| is_made(seen) && is_own(self.desired, &seen.observed));
                let facts = if shows_own { facts(&self.object, before) } else { before };
                // There is no plan, so what was seen may be somebody else's: nothing of it is remembered.
                keep(None);
                told(self.object, facts, found.into_iter().chain(problems).collect(), None)
            }
            Err(Stop::Failures(failures, found)) => {
                let failures: Vec<Failure> = failures.into_iter().map(|failure| self.context.retries.in_time(&of, failure, Instant::now())).collect();
                // Whose right and trust end since it is gone is told by the unique ID that it had, until another one is made.
                let is_lost = self.desired.pinned.is_some() && self.observation.as_ref().is_some_and(|seen| seen.observed.identity.is_none());
                let facts = if is_lost { before } else { facts(&self.object, before) };
                keep(self.observation.map(|seen| Observation { basis: Basis::Doubtful, ..seen }));
                let problems = failures.iter().map(Failure::problem).chain(found).chain(problems).collect();
                told(self.object, facts, problems, Some(Retry::after_all(&failures)))
            }
        })
    }

    async fn run(&mut self) -> Result<Result<(), Stop>, kube::Error> {
        self.observation = self.observation.take().filter(|seen| self.desired.is_shown_by(&seen.observed));
        // Asked before anything is assumed, since an assumption is no read.
        let of = K::reference(ObjectKey::of(&self.object));
        let is_to_be_read = is_to_be_read(self.context, &of, self.desired.pinned.as_ref(), self.observation.as_ref());
        if self.observation.is_none() && self.desired.pinned.is_none() {
            // What was never made is taken not to be there: creating it finds out, and usually nothing has to be read.
            self.observation = Some(self.seen(Observed::default()));
        }
        if self.observation.is_none() && self.desired.pinned.is_some() && !is_to_be_read {
            if self.context.awaits_sweep(self.at) {
                // An earlier process made it. One sweep shows all of these at once, and wakes them.
                return Ok(Err(Stop::Busy(SWEEP_PATIENCE)));
            }
            // The sweep may have come through while this pass went into the account.
            self.observation = self.known().filter(|seen| self.desired.is_shown_by(&seen.observed));
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
        match self.attempt().await? {
            Err(stop) if stop.is_taken() => {
                if let Err(failure) = self.read().await {
                    return Ok(Err(failure.into()));
                }
                Ok(self.attempt().await?.map_err(|stop| if stop.is_taken() { self.unseen(stop) } else { stop }))
            }
            done => Ok(done),
        }
    }

    /// What exists and is not to be seen is mostly what we have just made, read from where IAM does not show it yet.
    fn unseen(&self, stop: Stop) -> Stop {
        let of = K::reference(ObjectKey::of(&self.object));
        match stop {
            Stop::Failures(failures, problems) if self.context.retries.is_new(&of, Instant::now()) => {
                let softened = |failure: Failure| match failure.effect {
                    Effect::AlreadyExists => Failure { reason: Reason::Propagating, ..failure },
                    _ => failure,
                };
                Stop::Failures(failures.into_iter().map(softened).collect(), problems)
            }
            stop => stop,
        }
    }

    /// Plans from what is known and carries the plan out. Where there is no plan, withdrawn grants end all the same.
    async fn attempt(&mut self) -> Result<Result<(), Stop>, kube::Error> {
        let Some(seen) = &self.observation else { return Ok(Ok(())) };
        // Whom somebody else's role trusts is no matter of this resource's, and nothing of it may come into the status.
        let is_own = is_own(self.desired, &seen.observed);
        let planned = plan(self.desired, &seen.observed);
        // Where there is no plan nobody is added, so nobody need be read for that.
        if is_own && planned.is_ok() && has_suspects(self.context, &K::reference(ObjectKey::of(&self.object)), self.desired, &seen.observed) {
            return Ok(Err(Stop::Suspense));
        }
        let are_gone = is_own && self.desired.is_newly_replaced(&seen.observed);
        if self.context.memory.may_be_passing(&K::reference(ObjectKey::of(&self.object)), are_gone, Instant::now()) {
            // Nothing of it is told or remembered: that principals are gone would stay in the status.
            self.observation = None;
            return Ok(Err(Stop::Suspense));
        }
        if are_gone {
            return Ok(Err(Stop::TellFirst));
        }
        match planned {
            Ok(plan) => {
                Ok(match self.carry_out(&plan).await? {
                    // What IAM refuses is mostly an addition, which no withdrawn grant waits for.
                    Err(stop) if stop.is_refusal() => {
                        let withdrawn = self.withdraw_revoked().await?;
                        let stop = self.with_what_stays(stop);
                        Err(if let Err(other) = withdrawn { stop.and(other) } else { stop })
                    }
                    result => result,
                })
            }
            Err(problems) => {
                if let Err(stop) = self.withdraw_revoked().await? {
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
    async fn withdraw_revoked(&mut self) -> Result<Result<(), Stop>, kube::Error> {
        let Some(observed) = self.observation.as_ref().map(|seen| &seen.observed) else { return Ok(Ok(())) };
        let less = self.object.withdraw_revoked(self.context, self.at, observed);
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
            self.object = add_finalizer(self.context, &self.object).await?;
            // The account holds out for what carries the finalizer; before that it may have gone.
            if let Err(problem) = place(&self.object, self.context) {
                return Ok(Err(Stop::Problems(vec![problem])));
            }
        }
        let Some(seen) = &mut self.observation else { return Ok(Ok(())) };
        let before = seen.observed.identity.as_ref().map(|found| found.id.clone());
        let result = apply(self.account.gateway(), plan, &mut seen.observed).await;
        if result.is_ok() {
            self.done.extend(plan.actions.iter().map(ToString::to_string));
        }
        let now = Instant::now();
        seen.carried_out(before.as_ref(), self.desired.principal_ids(), now);
        self.context.memory.wrote(&K::reference(ObjectKey::of(&self.object)), now);
        Ok(result.map_err(|failure| {
            if failure.effect == Effect::Unknown {
                self.observation = None;
            }
            failure.into()
        }))
    }

    async fn read(&mut self) -> Result<(), Failure> {
        let mut scope = self.desired.scope();
        // What turned out to exist when it was to be made: an assume policy of which nothing was known.
        if let Some(Ok(wanted)) = self.observation.take().map(|seen| self.desired.wanted(&seen.observed)) {
            scope.policies.extend(wanted.policies.into_keys());
        }
        let observed = self.account.gateway().observe(&scope).await?;
        settle(self.context, &K::reference(ObjectKey::of(&self.object)), self.desired.pinned.as_ref(), &observed);
        self.observation = Some(self.seen(observed));
        Ok(())
    }

    fn known(&self) -> Option<Observation> {
        let of = K::reference(ObjectKey::of(&self.object));
        self.context.observation(&of, self.at, &uid(&self.object), &self.desired.arn, &self.desired.principal_ids())
    }

    fn seen(&self, observed: Observed) -> Observation {
        Observation::now(uid(&self.object), self.desired.arn.clone(), observed, self.desired.principal_ids())
    }
}
