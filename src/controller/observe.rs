//! Reading what a resource has in AWS, and what that says of whether what was made for it lives.

use tokio::time::Instant;

use super::context::Context;
use super::history::History;
use super::state::observation::Observation;
use crate::api::Reason;
use crate::aws::Gateway;
use crate::core::absence::{Thing, contradiction};
use crate::core::desired::Desired;
use crate::core::failure::Failure;
use crate::core::grants::{Grant, Intent};
use crate::core::names::UniqueID;
use crate::core::observed::{Observed, Scope};
use crate::core::ownership::Owner;
use crate::core::plan::DeletionTarget;
use crate::core::world::{Ref, SourceKey, World};

/// Whose things are read.
pub struct Whose<'a> {
    /// The resource.
    pub of: &'a Ref,
    /// Whose its things in AWS are.
    pub owner: &'a Owner,
    /// When something was made for it.
    pub history: &'a History<'a>,
}

/// Reads what a resource has in AWS directly.
///
/// # Errors
/// Where anything could not be read, or IAM contradicts itself since it does not show everywhere what was just made.
pub async fn read(gateway: &dyn Gateway, scope: &Scope, history: &History<'_>) -> Result<Observed, Failure> {
    let observed = history.as_known(gateway.observe(scope).await?);
    match contradiction(&observed, scope) {
        Some(policy) => {
            let message = format!("policy {policy} is attached, and IAM does not show it yet: looked at again");
            Err(Failure::refused(Reason::Propagating, message))
        }
        None => Ok(observed),
    }
}

/// Reads all that a resource has or had in AWS, whatever it declares.
///
/// # Errors
/// As [`read`].
pub async fn read_all(gateway: &dyn Gateway, target: &DeletionTarget, history: &History<'_>) -> Result<Observed, Failure> {
    match read(gateway, &target.scope(), history).await {
        // It is where we make nothing (a path of AWS's own), so it is not ours. Policies may have been made before its name turned out to be taken.
        Err(failure) if failure.reason == Reason::Conflict && target.pinned.is_none() => {
            read(gateway, &Scope { name: None, ..target.scope() }, history).await
        }
        observed => observed,
    }
}

/// Reads what a resource has in AWS directly, and takes note of what that says of its user or role.
///
/// # Errors
/// As [`read`].
pub async fn observe(context: &Context, gateway: &dyn Gateway, scope: &Scope, whose: Whose<'_>) -> Result<Observed, Failure> {
    let observed = read(gateway, scope, whose.history).await?;
    whose.history.read(&observed);
    let is_in_doubt = !whose.history.doubt(&Thing::Identity).is_zero();
    record_liveness(context, whose.of, scope.pinned.as_ref(), |id| observed.shows(id, whose.owner, is_in_doubt));
    Ok(observed)
}

/// Whether a role must not be written to in this pass for the sake of its sources. One that its trust policy does not name any more, although it did, is
/// suspected: IAM shows the unique ID of who was deleted, and another name of who was renamed, and what bears the name must not be trusted in its place. So is
/// one that is to be named and was not read or made in the last minute: IAM takes the name for that of whoever bears it. Who is suspected is had read. Nor is
/// anything written where a source is not the one any more that the pass resolved: it is gone, or was made again, and of who went before nothing may be known
/// any more.
pub fn suspect_sources(context: &Context, role: &Ref, desired: &Desired, observed: &Observed) -> bool {
    let world = context.world();
    let mut grants = desired.trust.iter().flatten().flatten();
    if grants.clone().any(|grant| is_outdated(&world, grant)) {
        return true;
    }
    let is_known = |source: &Ref| context.memory.may_write_from(source);
    let look = context.memory.identities.look(role, &mut grants, desired.trust_there(observed).as_ref(), is_known, Instant::now());
    for suspected in &look.suspected {
        context.forget_if_gone(suspected);
        context.wake(suspected);
    }
    look.waits
}

/// Whether a source is not the one any more that was to be trusted when the grant was resolved.
fn is_outdated(world: &dyn World, grant: &Grant) -> bool {
    let (Some(key), Some(id), Some(rule)) = (&grant.key, &grant.source_id, &grant.rule) else { return false };
    let living = match key {
        SourceKey::User(key) => world.user(key).and_then(|user| world.user_id(&user)),
        SourceKey::Role(key) => world.role(key).and_then(|role| world.role_id(&role)),
    };
    grant.intent != Intent::Revoke && !rule.principal.is_account() && living.as_ref() != Some(id)
}

/// Whether what was made for a resource is to be read directly, although this is known of it: its name may have another bearer.
pub fn is_to_be_read(context: &Context, of: &Ref, pinned: Option<&UniqueID>, seen: Option<&Observation>) -> bool {
    let is_read = seen.is_some_and(Observation::may_write_from);
    made(context, of, pinned).is_some_and(|id| context.memory.identities.is_to_be_read(&id, is_read))
}

/// Takes note of what a direct read has shown of a resource, before that is kept in memory: `lives` says whether that is so of the user or role with a unique
/// ID, if that is known. Where others go by something else now, they are woken.
fn record_liveness(context: &Context, of: &Ref, pinned: Option<&UniqueID>, lives: impl FnOnce(&UniqueID) -> Option<bool>) {
    let Some(id) = made(context, of, pinned).and_then(|id| id.parse().ok()) else { return };
    let lives = lives(&id);
    if lives.is_some_and(|lives| context.memory.identities.record(of, id.as_str(), lives, Instant::now())) {
        context.made(of);
    }
}

/// The unique ID of what was made for a resource: from its status, or on its way there.
fn made(context: &Context, of: &Ref, pinned: Option<&UniqueID>) -> Option<String> {
    pinned.map(UniqueID::to_string).or_else(|| context.memory.made(of))
}
