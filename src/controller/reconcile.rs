//! The one way that every resource takes: resolve, validate, observe, plan, apply, report.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kube::ResourceExt;
use kube::runtime::controller::Action as Next;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::context::Context;
use super::fate::is_to_be_read;
use super::history::History;
use super::kinds::{IdentityKind, Kind};
use super::memory::Observation;
use super::observe::{Subject, observe};
use super::pass::{Pass, Retry, SOON, told, uid};
use super::report::{add_finalizer, report};
use super::resolve::{Closed, enter, resolve};
use super::sweep::sweep_when_due;
use super::work::{Wait, Work};
use crate::api::conditions::Class;
use crate::api::{AWSAccount, AWSAccountStatus, BastionUser, CrossAccountRole, Managed, Reason};
use crate::aws::Account;
use crate::core::desired::Desired;
use crate::core::grants::{Grant, Presence};
use crate::core::outcome::Problem;
use crate::core::placement::{Placement, double, find, locate};
use crate::core::world::{ObjectKey, Ref};

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
    let (object, facts, mut outcome, retry, at_once) = match pass {
        Pass::Told { object, facts, outcome, retry, at_once } => (object, facts, outcome, retry, at_once),
        Pass::Again(pause) => return Next::requeue(pause),
        Pass::Gone => {
            context.memory.keep(of, None);
            context.retries.settle(of);
            return Next::await_change();
        }
    };
    let now = Instant::now();
    // What is told already is not taken for something new, be it that another process told it.
    let told = |problem: Problem| if object.says(&[problem.reason]) { problem } else { context.retries.soften(of, problem, now) };
    outcome.problems = outcome.problems.into_iter().map(told).collect();
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
    if !at_once && matches!(class, Class::Waiting | Class::Transient) {
        // Most of what is waited for is on its way: telling it would cost a write that is outdated when it arrives.
        if let Some(left) = context.retries.wait(of, now) {
            came_through();
            return Next::requeue(pause.min(left));
        }
    }
    match report(context, &*object, facts, &outcome).await {
        Ok(()) => {
            context.retries.answered(of);
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
            Next::requeue(context.retries.unanswered(of, Instant::now()))
        }
        kube::Error::Api(status) if status.code == 404 => Next::await_change(),
        _ => {
            warn!(%error, "the API server refused or did not answer");
            Next::requeue(context.retries.unanswered(of, Instant::now()))
        }
    }
}

#[async_trait]
impl Reconciled for AWSAccount {
    async fn converge(self, context: &Context) -> Result<Pass<Self>, kube::Error> {
        if let Some(problem) = double(&*context.caches, &self) {
            let facts = self.status.clone().unwrap_or_default();
            return Ok(told(self, without_caller(facts), vec![problem], None));
        }
        let object = if self.is_finalized() { self } else { add_finalizer(context, &self, &BTreeMap::new()).await? };
        Ok(look_after(object, context).await)
    }

    /// What is still in it is looked after until it is gone.
    async fn finalize(self, context: &Context) -> Result<Pass<Self>, kube::Error> {
        let Some(in_use) = super::finalize::account(&self, context).await? else { return Ok(Pass::Gone) };
        let mut pass = look_after(self, context).await;
        if let Pass::Told { outcome, .. } = &mut pass {
            outcome.problems.insert(0, in_use);
        }
        Ok(pass)
    }
}

/// Verifies that an account can be used, and sweeps it when that is due.
async fn look_after(object: AWSAccount, context: &Context) -> Pass<AWSAccount> {
    let facts = object.status.clone().unwrap_or_default();
    let (at, account) = match own_account(context, &object.name_any()) {
        Ok(account) => account,
        Err(problem) => return told(object, without_caller(facts), vec![problem], None),
    };
    // Asked anew each time: this is the one pass that says whether the account can be used.
    account.forget_verification();
    match account.verify().await {
        Ok(caller) => {
            let facts = AWSAccountStatus { caller_arn: Some(caller.arn.to_string()), ..facts };
            sweep_when_due(object, context, &at, &account, facts).await
        }
        Err(failure) => {
            let facts = if failure.reason.class() == Class::Transient { facts } else { without_caller(facts) };
            told(object, facts, vec![failure.problem()], Some(Retry::after(&failure)))
        }
    }
}

/// What leads through this account is told by that, too, that its caller is not known.
fn without_caller(facts: AWSAccountStatus) -> AWSAccountStatus {
    AWSAccountStatus { caller_arn: None, ..facts }
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
    let history = History::of(context, &object);
    let made = object.told_arn().is_some() || seen.as_ref().is_some_and(|o| o.observed.identity.is_some());
    let waits = if made { None } else { waits_for_sources(&desired, || context.retries.wait(&of, Instant::now())) };
    if waits.is_some() && !(object.is_finalized() && history.may_have_made()) {
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
    let work = Work { object, observation: seen, account: &account, permit: None, desired: &desired, context, at: &at, history, waits, done: vec![] };
    let pass = work.finish(desired.problems().cloned().collect()).await?;
    match (&pass, coming) {
        (Pass::Told { outcome, retry: None, .. }, Some(left)) if outcome.class() == Class::Done => Ok(Pass::Again(left)),
        _ => Ok(pass),
    }
}

/// Ends the grants that are withdrawn from a user or role whose declaration cannot be carried out. What was never made needs none of that.
async fn withdraw_revoked<K: IdentityKind>(object: K, context: &Context, problems: Vec<Problem>) -> Result<Pass<K>, kube::Error> {
    let before = object.status().cloned().unwrap_or_default();
    let history = History::of(context, &object);
    let found = locate(&*context.caches, object.account_name()).and_then(|at| Ok((object.removed(context, &at)?, at)));
    let is_made = object.told_arn().is_some() || (object.is_finalized() && history.may_have_made());
    let (true, Ok((known, at))) = (is_made, found) else { return Ok(told(object, before, problems, None)) };
    let arn = object.told_arn().or_else(|| object.declared_arn(&at)).filter(|arn| arn.account_id().as_ref() == Some(&at.id));
    let Some(arn) = arn else { return Ok(told(object, before, problems, None)) };
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
        None => match observe(context, account.gateway(), &known.scope(), Subject { of: &of, owner: &known.owner, history: &history }).await {
            Ok(observed) => Observation::now(uid(&object), arn, observed, BTreeMap::new()),
            Err(failure) => return Ok(Closed::Failure(failure).told(object, problems)),
        },
    };
    let Some(desired) = object.withdraw_revoked(context, &at, &observation.observed) else {
        let mut facts = before;
        // It is not made anew before the declaration is put right. Others must know until then, also after a restart, that its name may be anybody's.
        if let Some(lost) = known.pinned.as_ref().filter(|_| observation.observed.identity.is_none() && history.look_again().is_none()) {
            K::tell_lost(&mut facts, lost);
        }
        if known.pinned.is_none() && history.look_again().is_none() {
            context.unmade(&of);
        }
        // Nobody is to have a right to what bears the name and is somebody else's, whatever else is wrong. What was told of that was certain then.
        let is_certain = object.says(&[Reason::Conflict]) || history.look_again().is_none();
        let foreign = observation.observed.identity.as_ref().filter(|_| known.pinned.is_none() && is_certain);
        let conflict = foreign.and_then(|found| known.owner.check(&found.identity.name.to_string(), &found.identity.tags, &found.id, None).err());
        return Ok(told(object, facts, conflict.into_iter().chain(problems).collect(), history.look_again()));
    };
    let (observation, permit, desired) = (Some(observation), Some(permit), &desired);
    let work = Work { object, observation, account: &account, permit, desired, context, at: &at, history, waits: None, done: vec![] };
    work.finish(problems).await
}

/// Why a role that is not made yet does better to wait, if it does. `patience` is how much longer it waits for somebody who is about to be there.
fn waits_for_sources(desired: &Desired, patience: impl FnOnce() -> Option<Duration>) -> Option<Wait> {
    let grants: Vec<&Grant> = desired.trust.iter().flatten().flatten().collect();
    let nobody = !desired.is_its_own_source && !grants.is_empty() && grants.iter().all(|g| g.presence != Presence::Wanted);
    let patience = || patience().filter(|_| grants.iter().any(|g| g.is_coming()));
    if nobody { Some(Wait::Nobody) } else { patience().map(Wait::Patience) }
}
