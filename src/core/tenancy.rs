//! How much of an account one namespace may take, and how much one resource may ask for: `guardrails.quotas` of the AWSAccount.
//!
//! They bound what a tenant can make the operator hold and work out, and how much of IAM's own quotas is left for others. All of them forbid only to add:
//! what is in AWS stays, and what is withdrawn ends.

use super::grants::{SourceObject, on_source};
use super::outcome::Problem;
use super::placement::ResolvedAccount;
use super::world::{Ref, World};
use rolebridge_api::guardrails::TenantQuotas;
use rolebridge_api::{BastionUser, CrossAccountRole, Managed, Reason};

/// Users of a namespace in one account, and as many roles, where the AWSAccount says nothing.
const OF_NAMESPACE: u32 = 200;
/// Sources of a role where the AWSAccount says nothing. IAM has room for some 230 by name; by the root of their account any number comes in.
const GRANTS_PER_ROLE: u32 = 1000;
/// Roles that name a source where the AWSAccount says nothing. IAM has room for some 1000 in the policies of a user.
const ROLES_PER_SOURCE: u32 = 2000;

fn quota(at: &ResolvedAccount, of: fn(&TenantQuotas) -> Option<u32>, default: u32) -> usize {
    let quotas = at.account.spec.guardrails.as_ref().and_then(|guardrails| guardrails.quotas.as_ref());
    quotas.and_then(of).unwrap_or(default).try_into().unwrap_or(usize::MAX)
}

/// Whether there is room for a resource that has nothing in AWS yet: those of its kind and namespace that have something there come first, then the older
/// ones.
///
/// # Errors
/// [`Reason::NamespaceQuotaExceeded`].
pub fn check_quota(world: &dyn World, at: &ResolvedAccount, of: &Ref) -> Result<(), Problem> {
    let (kind, field, quota) = match of {
        Ref::User(_) => (BastionUser::KIND, "users", quota(at, |quotas| quotas.users, OF_NAMESPACE)),
        Ref::Role(_) => (CrossAccountRole::KIND, "roles", quota(at, |quotas| quotas.roles, OF_NAMESPACE)),
        Ref::Account(_) => return Ok(()),
    };
    let standing = |of: &Ref| on_source(world, of, |object| Standing::of(world, object));
    let Some(own) = standing(of).filter(|own| !own.is_placed) else { return Ok(()) };
    let others = world.companions(of, &at.name).into_iter().filter(|other| other != of);
    let is_before = |other: &Standing| other.is_placed || other.age < own.age;
    if others.filter_map(|other| standing(&other)).filter(is_before).take(quota).count() < quota {
        return Ok(());
    }
    let namespace = &of.key().namespace;
    Err(Problem::new(
        Reason::NamespaceQuotaExceeded,
        format!(
            "namespace {namespace} has as many of kind {kind} in AWSAccount {} as guardrails.quotas.{field} lets it have, {quota}: delete some there, or \
             have a platform administrator raise it",
            at.name
        ),
    ))
}

/// How a resource stands against others for a place in an account.
struct Standing {
    is_placed: bool,
    age: (Option<jiff::Timestamp>, Option<String>),
}

impl Standing {
    fn of(world: &dyn World, object: SourceObject<'_>) -> Self {
        let meta = object.meta();
        Self { is_placed: object.is_placed(world), age: (meta.creation_timestamp.as_ref().map(|time| time.0), meta.uid.clone()) }
    }
}

/// That a role asks for more grants than the account lets one have, if it does. They are counted before any is built.
pub fn too_many_grants(grants: usize, at: &ResolvedAccount) -> Option<Problem> {
    let quota = quota(at, |quotas| quotas.grants_per_role, GRANTS_PER_ROLE);
    let message = format!(
        "spec.trust: {grants} sources, counted in each entry, and guardrails.quotas.grantsPerRole of AWSAccount {} lets a role have {quota}: name fewer, or \
         have a platform administrator raise it",
        at.name
    );
    (grants > quota).then(|| Problem::new(Reason::TooManyGrants, message))
}

/// How many roles a source of this account has at most.
pub fn roles_per_source(at: &ResolvedAccount) -> usize {
    quota(at, |quotas| quotas.roles_per_source, ROLES_PER_SOURCE)
}

/// That more roles in AWS name a source than its account lets one have, if so. Roles of namespaces that may not name it do not count. It holds nothing else of the
/// source up: roles may be other tenants'.
pub fn too_many_roles(roles: usize, at: &ResolvedAccount) -> Option<Problem> {
    let quota = roles_per_source(at);
    let message = format!(
        "{roles} roles in AWS name it, and guardrails.quotas.rolesPerSource of AWSAccount {} lets it have {quota}: those that are in AWS come first, and of \
         the others none is added. Let fewer name it, or have a platform administrator raise it",
        at.name
    );
    (roles > quota).then(|| Problem::new(Reason::TooManyGrants, message))
}
