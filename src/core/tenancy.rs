//! How much of an account one namespace may take, and how much one resource may ask for: `guardrails.quotas` of the AWSAccount.
//!
//! They bound what a tenant can make the operator hold and work out, and how much of IAM's own quotas is left for others. All of them forbid only to add:
//! what is in AWS stays, and what is withdrawn ends.

use super::outcome::Problem;
use super::placement::ResolvedAccount;
use super::source::{SourceObject, on_source};
use super::world::{ObjectKey, Ref, World};
use rolebridge_api::guardrails::TenantQuotas;
use rolebridge_api::{BastionUser, CrossAccountRole, Managed, Reason};

/// Users of a namespace in one account, as many roles and as many customer-managed policies, where the AWSAccount says nothing.
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
    if others.filter_map(|other| standing(&other)).filter(|other| other.is_before(&own)).take(quota).count() < quota {
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

/// That the users and roles of a namespace declare more customer-managed policies than it may have, if one is to be made because of this resource. Of those that
/// come first in the namespace all that they declare counts, of the others what is in AWS.
pub fn too_many_policies(world: &dyn World, at: &ResolvedAccount, of: &Ref) -> Option<Problem> {
    let quota = quota(at, |quotas| quotas.policies, OF_NAMESPACE);
    let policies = |of: &Ref| on_source(world, of, |object| Policies::of(world, object));
    let own = policies(of).filter(|own| own.adds)?;
    let namespace = of.key().namespace.clone();
    let kinds = [Ref::User(ObjectKey::new(&namespace, "")), Ref::Role(ObjectKey::new(&namespace, ""))];
    let others = kinds.iter().flat_map(|kind| world.companions(kind, &at.name)).filter(|other| other != of);
    let taken: usize = others
        .filter_map(|other| policies(&other))
        .map(|other| if other.standing.is_before(&own.standing) { other.declared.max(other.reported) } else { other.reported })
        .sum();
    (taken + own.declared > quota).then(|| {
        Problem::new(
            Reason::NamespaceQuotaExceeded,
            format!(
                "spec.permissions.customerManagedPolicies: with these, namespace {namespace} would have {} in AWSAccount {}, and guardrails.quotas.policies lets it \
                 have {quota}: take some out, or have a platform administrator raise it",
                taken + own.declared,
                at.name
            ),
        )
    })
}

/// The customer-managed policies of a resource.
struct Policies {
    declared: usize,
    reported: usize,
    /// Whether it declares one of which its status does not tell.
    adds: bool,
    standing: Standing,
}

impl Policies {
    fn of(world: &dyn World, object: SourceObject<'_>) -> Self {
        let declared = object.permissions().map(|permissions| permissions.customer_managed_policies.as_slice()).unwrap_or_default();
        let reported = object.reported_policies();
        let is_told = |name: &str| reported.iter().any(|policy| policy.arn.rsplit('/').next() == Some(name));
        Self {
            declared: declared.len(),
            reported: reported.len(),
            adds: declared.iter().any(|policy| !is_told(&policy.name)),
            standing: Standing::of(world, object),
        }
    }
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

    /// Whether it comes first: what has something in AWS does, and then what is older.
    fn is_before(&self, other: &Self) -> bool {
        (!self.is_placed, &self.age) < (!other.is_placed, &other.age)
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
