//! The one way that every resource takes: resolve, validate, observe, plan, apply, report.

use std::sync::Arc;

use async_trait::async_trait;
use kube::runtime::controller::Action as Next;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::cluster::kind::Kind;
use super::context::Context;
use super::pass::{Pass, Retry, SOON};
use super::report::report;
use super::{account, identity, removal};
use crate::api::conditions::Class;
use crate::api::{AWSAccount, BastionUser, CrossAccountRole};
use crate::core::outcome::Problem;
use crate::core::world::{ObjectKey, Ref};

/// A kind that can be reconciled.
#[async_trait]
pub trait Reconciled: Kind {
    /// Makes AWS as declared.
    async fn converge(self, context: &Context) -> Result<Pass<Self>, kube::Error>;

    /// Removes from AWS what the object owns there, and then the finalizer.
    async fn remove(self, context: &Context) -> Result<Pass<Self>, kube::Error>;
}

/// Reconciles one resource.
pub async fn reconcile<K: Reconciled>(key: ObjectKey, context: Arc<Context>) -> Next {
    let of = K::reference(key.clone());
    if let Some(waited) = context.queue.dequeue(&of) {
        context.retries.queued(waited, Instant::now());
    }
    // Taken only now: what changes from here on wakes the resource again.
    let next = match K::get(&context.stores, &key) {
        Some(object) => pass(object, &of, &context).await,
        None => Next::await_change(),
    };
    context.queue.done(&of);
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
        (true, true) => (*object).clone().remove(context).await,
        (false, _) => (*object).clone().converge(context).await,
    };
    match pass {
        Ok(pass) => conclude(context, of, pass).await,
        Err(error) => again_after(context, of, &error),
    }
}

async fn conclude<K: Kind>(context: &Context, of: &Ref, pass: Pass<K>) -> Next {
    let (object, facts, mut outcome, retry, at_once) = match pass {
        Pass::Report { object, facts, outcome, retry, at_once } => (object, facts, outcome, retry, at_once),
        Pass::Again(pause) => return Next::requeue(pause),
        Pass::Gone => {
            context.memory.keep(of, None);
            context.retries.forget(of);
            return Next::await_change();
        }
    };
    let now = Instant::now();
    // What is told already is not taken for something new, be it that another process told it.
    let told = |problem: Problem| if object.says(&[problem.reason]) { problem } else { context.retries.as_propagating(of, problem, now) };
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
        (Class::Done, _) => context.retries.forget(of),
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
        // It went past its finalizer: there is nobody to tell, and something to remove.
        Err(kube::Error::Api(status)) if status.code == 404 && object.meta().deletion_timestamp.is_some() => {
            context.let_pass(of, object.account_name());
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
        account::converge(self, context).await
    }

    async fn remove(self, context: &Context) -> Result<Pass<Self>, kube::Error> {
        account::remove(self, context).await
    }
}

#[async_trait]
impl Reconciled for BastionUser {
    async fn converge(self, context: &Context) -> Result<Pass<Self>, kube::Error> {
        identity::converge(self, context).await
    }

    async fn remove(self, context: &Context) -> Result<Pass<Self>, kube::Error> {
        removal::remove(self, context).await
    }
}

#[async_trait]
impl Reconciled for CrossAccountRole {
    async fn converge(self, context: &Context) -> Result<Pass<Self>, kube::Error> {
        identity::converge(self, context).await
    }

    async fn remove(self, context: &Context) -> Result<Pass<Self>, kube::Error> {
        removal::remove(self, context).await
    }
}
