//! Which policies a user or role may attach, or have as its permissions boundary: none that is another resource's. It would give what that resource is to be
//! able to do, and keep its policy from being deleted.
//!
//! What the resources declare is looked at first, which costs nothing. Where a policy comes on in AWS, its tags are read besides: they tell of what no resource
//! declares now.

use std::collections::{BTreeMap, BTreeSet};

use super::action::Action;
use super::assume;
use super::guardrails::Guard;
use super::identity::{Identity, ManagedPolicy};
use super::names::{AccountID, Arn, same_name};
use super::observed::ObservedPolicy;
use super::outcome::Problem;
use super::ownership::{INSTALLATION, OWNER, Owner};
use super::placement::ResolvedAccount;
use super::source::{SourceObject, on_source};
use super::world::{Ref, World};
use rolebridge_api::Reason;
use rolebridge_api::permissions::Permissions;

/// The customer-managed policies that belong to a resource, by ARN.
type OwnPolicies = BTreeMap<Arn, ManagedPolicy>;

/// The customer-managed policies of an account that permissions attach, or that are declared as boundary, by name.
pub fn names_attached<'a>(permissions: Option<&'a Permissions>, boundary: Option<&'a str>) -> impl Iterator<Item = String> {
    let attached = permissions.into_iter().flat_map(|permissions| &permissions.attached_policies).map(String::as_str);
    attached.chain(boundary).filter_map(|policy| policy_name(&policy.parse().ok()?))
}

/// The name of a customer-managed policy as IAM tells names apart: without regard to case, and whatever its path.
fn policy_name(arn: &Arn) -> Option<String> {
    arn.account_id()?;
    arn.iam_entity().filter(|entity| entity.kind == "policy").map(|entity| entity.name.to_ascii_lowercase())
}

/// What keeps a wanted identity from having the policies that it is to attach, and its boundary, where these are other resources' by what those declare.
pub fn check_attachable(world: &dyn World, at: &ResolvedAccount, of: &Ref, wanted: &Identity, own: &OwnPolicies) -> Vec<Problem> {
    let attached = wanted.attached_policies.iter().filter(|arn| !own.contains_key(*arn));
    let others = attached.map(|arn| ("spec.permissions.attachedPolicies", arn));
    let boundary = wanted.permissions_boundary.iter().map(|arn| ("spec.permissionsBoundaryARN", arn));
    let is_assume_policy = |arn: &Arn| policy_name(arn).is_some_and(|name| assume::is_assume_policy(&name));
    let is_taken = |arn: &Arn| is_assume_policy(arn) || is_another_ones(world, at, of, arn);
    others.chain(boundary).filter(|(_, arn)| is_taken(arn)).map(|(field, arn)| taken(field, arn)).collect()
}

/// Whether another resource declares a policy and has it, as its status tells. One that merely declares it, or is in conflict in AWS, cannot keep others from a
/// policy of that name.
fn is_another_ones(world: &dyn World, at: &ResolvedAccount, of: &Ref, arn: &Arn) -> bool {
    let Some(name) = policy_name(arn).filter(|_| arn.account_id().as_ref() == Some(&at.id)) else { return false };
    let has_it = |object: SourceObject<'_>| {
        let is_told = object.reported_policies().iter().any(|policy| same_name(&policy.arn, arn.as_str()));
        is_told && object.ready().is_none_or(|ready| ready.reason != Reason::Conflict.as_str())
    };
    let declaring = world.declaring_policy(&at.name, &name);
    declaring.iter().filter(|other| *other != of).any(|other| on_source(world, other, has_it).unwrap_or(false))
}

fn taken(field: &str, arn: &Arn) -> Problem {
    let message = format!(
        "{field}: {arn} is the policy of another user or role: take it out. To share a policy, make it outside Rolebridge, or declare it here, too, under another name"
    );
    Problem::new(Reason::PolicyNotAttachable, message)
}

/// The customer-managed policies that actions put on an identity, and that are not the resource's own as it is declared. Their tags are to be read before.
pub fn coming_on<'a>(account: &AccountID, identity: &Identity, own: &OwnPolicies, actions: &'a [Action]) -> BTreeSet<&'a Arn> {
    let coming = actions.iter().filter_map(|action| match action {
        Action::AttachPolicy(_, arn) | Action::PutPermissionsBoundary(_, arn) => Some(arn),
        Action::CreateIdentity(identity) => identity.permissions_boundary.as_ref(),
        _ => None,
    });
    let is_own = |arn: &Arn| own.contains_key(arn) || assume::number(identity, arn).is_some();
    coming.filter(|arn| policy_name(arn).is_some() && arn.account_id().as_ref() == Some(account) && !is_own(arn)).collect()
}

/// Whether a policy that was read is somebody's, be it of another installation or of a resource that is gone.
pub fn is_marked(found: &ObservedPolicy) -> bool {
    found.policy.tags.keys().any(|key| [INSTALLATION, OWNER].iter().any(|mark| same_name(mark, key)))
}

/// What keeps a policy that was read from coming on: it bears owner tags, and not those of this resource.
pub fn check_tags(owner: &Owner, found: &ObservedPolicy) -> Option<Problem> {
    let is_own = || owner.check("", &found.policy.tags, &found.id, None).is_ok();
    (is_marked(found) && !is_own()).then(|| taken("spec.permissions", &found.policy.arn))
}

/// What forbids to declare a policy of this name: the account has it as the boundary of all, and who writes the one would limit nobody.
pub fn check_declared(at: &ResolvedAccount, field: &str, arn: &Arn) -> Option<Problem> {
    let is_boundary = Guard::of(at).forced_boundary().is_some_and(|boundary| policy_name(&boundary) == policy_name(arn));
    is_boundary.then(|| {
        let message = format!(
            "{field}: AWSAccount {} has a policy of this name as the boundary of all users and roles (guardrails.permissionsBoundaryARN): choose another name",
            at.name
        );
        Problem::new(Reason::GuardrailViolated, message)
    })
}
