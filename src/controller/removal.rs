//! Deletion: what a resource owns in AWS goes first, then its finalizer.
//!
//! Deletion asks for no permission but ownership: a namespace that is no longer allowed, a broken document or a missing ConfigMap never
//! holds it up.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::warn;

use super::apply::apply;
use super::cluster::kind::Kind;
use super::context::Context;
use super::held::hold;
use super::history::History;
use super::observe::read_all;
use super::pass::{Pass, Retry, SOON, report_with};
use super::report::{remove_finalizer, tell_given_up};
use super::resolve::whereabouts;
use super::state::deletions::Passage;
use crate::api::{ABANDON, Managed, Reason};
use crate::aws::{Account, Gateway};
use crate::core::abandon::{how_to_give_up, is_given_up, left_behind, may_be_given_up};
use crate::core::absence::{self, Thing, awaited, look_again};
use crate::core::desired::owner;
use crate::core::failure::Failure;
use crate::core::names::Arn;
use crate::core::observed::Dependents;
use crate::core::outcome::Problem;
use crate::core::placement::lookup_account;
use crate::core::plan::{DeletionPhase, DeletionTarget, plan_removal};
use crate::core::refused::Declaration;
use crate::core::release::{held_by, told};
use crate::core::subject::Subject;
use crate::core::world::ObjectKey;

/// How often a user that is cut off looks whether the roles have let go; their own changes wake it earlier.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How often AWS is looked at for whether what blocks a deletion is gone.
const LOOK_AGAIN_AT_AWS: Duration = Duration::from_secs(60);

/// Removes a user or role and its policies from AWS, unless its deletion waits until a person confirms it.
pub async fn remove<K: Kind + Subject>(object: K, context: &Context) -> Result<Pass<K>, kube::Error> {
    let of = K::reference(ObjectKey::of(&object));
    let passage = context.world().passage(&object);
    match passage {
        Passage::Undecided => return Ok(Pass::Again(SOON)),
        Passage::Held => return hold(object, context).await,
        Passage::Passes(_) => {}
    }
    let (at, account) = match whereabouts(&object, context) {
        Ok(entered) => entered,
        Err(problem) => return held_up(object, context, problem, None).await,
    };
    // Before it is worked out what there is to remove, since those who wait come by again and again.
    let _permit = match account.removal_permit(&of) {
        Ok(permit) => permit,
        Err(pause) => return Ok(Pass::Again(pause)),
    };
    let history = History::of(&context.memory, &object);
    let removed = match object.removed(&context.world(), &at, owner(&object, &at, &context.settings.installation), history.identity_id()) {
        Ok(removed) => removed,
        Err(problem) => return held_up(object, context, problem, None).await,
    };
    let held_by = held_by(&context.world(), &object.source(), going_for(&object, passage));
    let how_far = if held_by.is_empty() { DeletionPhase::Delete } else { DeletionPhase::CutOff };
    let policies = object.likely_policies(&context.world(), &at);
    match take_away(&account, &removed, how_far, policies, &history).await {
        Err(Stop::Failure(failure)) => {
            let failure = if object.says(&[failure.reason]) { failure } else { context.retries.delay_deletion_error(&of, failure, Instant::now()) };
            held_up(object, context, failure.problem(), Some(Retry::after(&failure))).await
        }
        Err(Stop::Unproven(things, doubt)) => {
            let message = format!("{}, and nothing is left behind", absence::told(&things, &removed.name));
            held_up(object, context, Problem::new(Reason::Propagating, message), Some(Retry::in_a_while(look_again(doubt)))).await
        }
        // What blocks is in AWS, where no watch reaches.
        Err(Stop::Blocked(problem)) => held_up(object, context, problem, Some(Retry::in_a_while(LOOK_AGAIN_AT_AWS))).await,
        Ok(()) if how_far == DeletionPhase::CutOff => {
            context.retries.recover(&of);
            let told = told(&held_by, &ObjectKey::of(&object).namespace);
            let message = format!("cut off; waiting for these roles to take it out of their trust policies: {told}");
            held_up(object, context, Problem::new(Reason::WaitingForRoles, message), Some(Retry::in_a_while(LOOK_AGAIN))).await
        }
        Ok(()) => {
            remove_finalizer(context, &object).await?;
            Ok(Pass::Gone)
        }
    }
}

/// Tells what holds a deletion up; or lets the object go, where a person has given up what it has in AWS and that counts.
async fn held_up<K: Kind + Subject>(object: K, context: &Context, problem: Problem, retry: Option<Retry>) -> Result<Pass<K>, kube::Error> {
    let made = History::of(&context.memory, &object).identity_id();
    let is_given_up = is_given_up(&object);
    if is_given_up && may_be_given_up(problem.reason) {
        let stays = left_behind(&object, made.as_ref());
        warn!(stays, reason = problem.reason.as_str(), "given up: what it owns in AWS stays there");
        tell_given_up(context, &object, &format!("given up by the annotation {ABANDON}=true: {stays} stays in AWS. {}", problem.message)).await;
        remove_finalizer(context, &object).await?;
        return Ok(Pass::Gone);
    }
    let mut facts = object.status().cloned().unwrap_or_default();
    if let (Some(made), None) = (&made, object.pinned())
        && let Some(arn) = lookup_account(&context.world(), object.account_name()).ok().and_then(|at| object.declared_arn(&at))
    {
        // Nothing but the status tells a later process of what this one made.
        K::tell_made(&mut facts, &arn, made);
    }
    let message = how_to_give_up(&problem, is_given_up);
    Ok(report_with(object, facts, vec![Problem { message, ..problem }], retry))
}

/// For how long an object is being deleted, without the time for which that had to wait.
fn going_for<K: Managed>(object: &K, passage: Passage) -> Duration {
    let since = object.meta().deletion_timestamp.as_ref().map(|since| Timestamp::now().duration_since(since.0));
    let deleting = since.and_then(|age| age.try_into().ok()).unwrap_or_default();
    passage.passing_for().map_or(deleting, |passing| passing.min(deleting))
}

enum Stop {
    Blocked(Problem),
    Failure(Failure),
    /// These are not shown, and it proves nothing for so much longer.
    Unproven(Vec<Thing>, Duration),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// Reads what is there, always afresh, and removes what is ours. `policies` are the customer-managed policies that were made for the resource, or may have been.
async fn take_away(
    account: &Account,
    removed: &DeletionTarget,
    how_far: DeletionPhase,
    policies: BTreeSet<Arn>,
    history: &History<'_>,
) -> Result<(), Stop> {
    account.verify().await?;
    let gateway: &dyn Gateway = account.gateway();
    let mut observed = read_all(gateway, removed, history).await?;
    // By the name that it bears: somebody may have renamed it.
    let dependents = match observed.identity.as_ref().filter(|_| how_far == DeletionPhase::Delete) {
        Some(found) => gateway.dependents(&found.identity.name).await?,
        None => Dependents::default(),
    };
    let (plan, blocked) = plan_removal(removed, &observed, &dependents, how_far);
    let awaited = awaited(removed, &observed, how_far, policies);
    // What is written here, if anything, is Rolebridge's own.
    apply(gateway, &removed.owner, &plan, &mut observed, history, &Declaration::default()).await?;
    if let Some(problem) = blocked {
        return Err(Stop::Blocked(problem));
    }
    history.unproven(awaited).map_or(Ok(()), |(things, doubt)| Err(Stop::Unproven(things, doubt)))
}
