//! The pass over a user or role that is not being deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::cluster::kind::Kind;
use super::context::Context;
use super::history::History;
use super::observe::{Whose, is_to_be_read, observe};
use super::pass::{Pass, report_with};
use super::report::add_finalizer;
use super::resolve::{Closed, Unresolved, enter, held_back, resolve, validate};
use super::state::observation::Observation;
use super::work::{Wait, Work};
use crate::api::Reason;
use crate::api::conditions::Class;
use crate::core::desired::{Desired, owner};
use crate::core::grants::{Grant, Intent};
use crate::core::outcome::Problem;
use crate::core::placement::lookup_account;
use crate::core::subject::Subject;
use crate::core::wanted::Restraint;
use crate::core::world::{ObjectKey, uid};

/// Makes a user or role in AWS as declared.
pub async fn converge<K: Kind + Subject>(object: K, context: &Context) -> Result<Pass<K>, kube::Error> {
    let object = with_finalizer_back(object, context).await?;
    let of = K::reference(ObjectKey::of(&object));
    let resolved = match resolve(&object, context).await {
        Ok(resolved) => resolved,
        Err(Unresolved::Problem(problem)) => return only_withdraw(object, context, vec![problem]).await,
        Err(Unresolved::APIServer(error)) => return Err(error),
    };
    let mut desired = match validate(&object, context, &resolved) {
        Ok(desired) => desired,
        Err(problems) => return only_withdraw(object, context, problems).await,
    };
    let at = &resolved.at;
    let before = object.status().cloned().unwrap_or_default();
    let seen = context.observation(&of, at, &uid(&object), &desired.arn, &desired.principal_ids());
    let history = History::of(&context.memory, &object);
    let made = object.reported_arn().is_some() || seen.as_ref().is_some_and(|o| o.observed.identity.is_some());
    let waits = if made { None } else { waits_for_sources(&desired, || context.retries.wait(&of, Instant::now())) };
    if waits.is_some() && !(object.is_finalized() && history.may_have_made()) {
        return Ok(report_with(object, before, desired.problems().cloned().collect(), None));
    }
    // Roles that are about to be made, or made again, wake the user then: its assume policy and its status are worth writing once.
    let coming = if desired.has_roles_coming() { context.retries.wait(&of, Instant::now()) } else { None };
    if coming.is_some() {
        desired.hold_roles();
    }
    let account = match enter(context, at, &of).await {
        Ok(entered) => entered,
        Err(closed) => return Ok(closed.report_with(object, vec![])),
    };
    let work = Work {
        object,
        cut_off: None,
        observation: seen,
        account: &account,
        permit: None,
        desired: &desired,
        context,
        at,
        history,
        waits,
        done: vec![],
        has_tried: false,
    };
    let pass = work.finish(desired.problems().cloned().collect()).await?;
    match (&pass, coming) {
        (Pass::Report { outcome, retry: None, .. }, Some(left)) if outcome.class() == Class::Done => Ok(Pass::Again(left)),
        _ => Ok(pass),
    }
}

/// Puts the finalizer back on a resource that has something in AWS, before all else: `kubectl replace` drops what its manifest does not name, and until it
/// is back the resource cannot be deleted.
async fn with_finalizer_back<K: Kind + Subject>(object: K, context: &Context) -> Result<K, kube::Error> {
    let is_made = || object.reported_arn().is_some() || History::of(&context.memory, &object).identity_id().is_some();
    if object.is_finalized() || !is_made() { Ok(object) } else { add_finalizer(context, &object, &BTreeMap::new()).await }
}

/// Ends the grants that are withdrawn from a user or role whose declaration cannot be carried out, and cuts it off where its account wants that of what breaks its
/// rules. What was never made needs none of that.
pub(super) async fn only_withdraw<K: Kind + Subject>(object: K, context: &Context, problems: Vec<Problem>) -> Result<Pass<K>, kube::Error> {
    let before = object.status().cloned().unwrap_or_default();
    let history = History::of(&context.memory, &object);
    let found = lookup_account(&context.world(), object.account_name())
        .and_then(|at| Ok((object.removed(&context.world(), &at, owner(&object, &at, &context.settings.installation), history.identity_id())?, at)));
    let is_made = object.reported_arn().is_some() || (object.is_finalized() && history.may_have_made());
    let (true, Ok((known, at))) = (is_made, found) else { return Ok(report_with(object, before, problems, None)) };
    let arn = object.reported_arn().or_else(|| object.declared_arn(&at)).filter(|arn| arn.account_id().as_ref() == Some(&at.id));
    let Some(arn) = arn else { return Ok(report_with(object, before, problems, None)) };
    let of = K::reference(ObjectKey::of(&object));
    let account = match enter(context, &at, &of).await {
        Ok(entered) => entered,
        Err(closed) => return Ok(closed.report_with(object, problems)),
    };
    let permit = match account.try_permit(&of) {
        Ok(permit) => permit,
        Err(pause) => return Ok(Pass::Again(pause)),
    };
    let may_write_from = |seen: &Observation| seen.may_write_from() && !is_to_be_read(context, &of, known.pinned.as_ref(), Some(seen));
    let observation = match context.observation(&of, &at, &uid(&object), &arn, &BTreeMap::new()).filter(may_write_from) {
        Some(observation) => observation,
        None => match observe(context, account.gateway(), &known.scope(), Whose { of: &of, owner: &known.owner, history: &history }).await {
            Ok(observed) => Observation::now(uid(&object), arn, observed, BTreeMap::new()),
            Err(failure) => return Ok(Closed::Failure(failure).report_with(object, problems)),
        },
    };
    let restraint = Restraint::given(&problems, &at);
    let cut_off = restraint.cut_off.clone();
    let Some(desired) = held_back(&object, context, &at, &history, restraint, &observation.observed) else {
        let mut facts = before;
        let look_again = history.look_again();
        // It is not made anew before the declaration is put right. Others must know until then, also after a restart, that its name may be anybody's.
        if let Some(lost) = known.pinned.as_ref().filter(|_| observation.observed.identity.is_none() && look_again.is_none()) {
            K::tell_lost(&mut facts, lost);
        }
        if known.pinned.is_none() && look_again.is_none() {
            context.unmade(&of);
        }
        // Nobody is to have a right to what bears the name and is somebody else's, whatever else is wrong. What was told of that was certain then.
        let is_certain = object.says(&[Reason::Conflict]) || look_again.is_none();
        let foreign = observation.observed.identity.as_ref().filter(|_| known.pinned.is_none() && is_certain);
        let conflict = foreign.and_then(|found| known.owner.check(&found.identity.name.to_string(), &found.identity.tags, &found.id, None).err());
        return Ok(report_with(object, facts, conflict.into_iter().chain(problems).collect(), look_again));
    };
    let (observation, permit, desired) = (Some(observation), Some(permit), &desired);
    let work = Work {
        object,
        cut_off,
        observation,
        account: &account,
        permit,
        desired,
        context,
        at: &at,
        history,
        waits: None,
        done: vec![],
        has_tried: false,
    };
    work.finish(problems).await
}

/// Why a role that is not made yet does better to wait, if it does. `patience` is how much longer it waits for somebody who is about to be there.
fn waits_for_sources(desired: &Desired, patience: impl FnOnce() -> Option<Duration>) -> Option<Wait> {
    let grants: Vec<&Grant> = desired.trust.iter().flatten().flatten().collect();
    let nobody = !desired.is_its_own_source && !grants.is_empty() && grants.iter().all(|g| g.intent != Intent::Grant);
    let patience = || patience().filter(|_| grants.iter().any(|g| g.is_coming()));
    if nobody { Some(Wait::Nobody) } else { patience().map(Wait::Patience) }
}
