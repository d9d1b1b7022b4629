//! The wanted state of a user or role, built from its resource and what that refers to.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;

use super::assume::{self, Capacity, Found, SessionRights, allocate};
use super::attachable::{BOUNDARY, Use, check_attachable, check_place};
use super::document::Document;
use super::external_roles;
use super::grants::{AssumableRole, Grant, Intent, roles_of_role, roles_of_user};
use super::groups::{Membership, memberships};
use super::guardrails::Guard;
use super::home::check_powers;
use super::identity::{Identity, IdentityName, ManagedPolicy, RoleSettings};
use super::listed::LISTED;
use super::names::{Arn, UniqueID};
use super::naming::is_its_own_source;
use super::observed::{Observed, Scope};
use super::ours::Ours;
use super::outcome::Problem;
use super::ownership::{Earlier, Owner, Tags};
use super::permissions::{ConfigTexts, Place, declared};
use super::placement::ResolvedAccount;
use super::possible::{PolicyHolder, announced_boundary};
use super::quotas::{Quotas, SHARD_QUOTA};
use super::source::{parse, role_identity, user_identity};
use super::sources::{Sources, trust_problems};
use super::tenancy::{roles_per_source, too_many_grants, too_many_policies, too_many_roles};
use super::transitive_tags::passing_on;
use super::trust::{Principal, Trust, deny_all_trust};
use super::world::{ObjectKey, Ref, World, uid};
use rolebridge_api::account::TakeOver;
use rolebridge_api::permissions::Unmanaged;
use rolebridge_api::role::GrantState;
use rolebridge_api::{BastionUser, CrossAccountRole, Managed, Reason};

/// How many principals that were replaced a message names.
const REPLACED_NAMED: usize = 5;

/// The wanted state of one resource. What is to be there in AWS follows from it and from what is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Whose the objects are.
    pub owner: Owner,
    /// The unique ID that the resource's status has, if any.
    pub pinned: Option<UniqueID>,
    /// The user or role, except for what depends on what is there: see [`Wanted`](super::wanted::Wanted).
    pub identity: Identity,
    /// ARN of the user or role.
    pub arn: Arn,
    /// The permissions boundaries that the account puts on where the resource declares none, or has put on.
    pub imposed: BTreeSet<Arn>,
    /// Whether the account has put on a boundary, as the status tells, which it may have exchanged since: the one that is there stays when it has let go of it.
    pub keeps_boundary: bool,
    /// What of policies and boundary is the resource's own, as it declares it or did: it goes when it is declared no more, also where it restricts.
    pub ours: Ours,
    /// Entries of a role's trust policy; None for a user.
    pub trust: Option<Vec<Vec<Grant>>>,
    /// The roles that the identity may assume.
    pub assumes: Vec<AssumableRole>,
    /// That more roles name it than it may have, if so. It holds nothing else up.
    pub crowded: Option<Problem>,
    /// The customer-managed policies that belong to the resource, by ARN, except for assume policies: see [`Wanted`](super::wanted::Wanted).
    pub policies: BTreeMap<Arn, ManagedPolicy>,
    /// Customer-managed policies that may be there besides: those that it had when its status was last written, and what a pass that died may have
    /// made of a user's assume policies.
    pub former_policies: BTreeSet<Arn>,
    /// The groups that a user is to be in; None where they are not looked at.
    pub memberships: Option<Vec<Membership>>,
    /// What becomes of policies on the identity that are not declared; None where they are not looked at.
    pub unmanaged: Option<Unmanaged>,
    /// Whether `identity` and `policies` have the assume policies already, each role where it stands.
    pub has_assume_policies: bool,
    /// How much the account lets it have.
    pub quotas: Quotas,
    /// Whether a role is a source of its own, be it through others, so that it cannot wait for its sources.
    pub is_its_own_source: bool,
    /// Whether something may have been written so lately that IAM does not show it yet.
    pub is_behind: bool,
    /// The trust policy that was written so lately that IAM may show the one before.
    pub written_trust: Option<Document>,
}

impl Desired {
    /// Whether roles that the identity may assume are about to be made, or made again.
    pub fn has_roles_coming(&self) -> bool {
        self.assumes.iter().any(|role| role.is_coming)
    }

    /// Adds no role to the assume policy for now, and takes none away that is about to be made again. Those that are withdrawn leave it all the same.
    pub fn hold_roles(&mut self) {
        for role in self.assumes.iter_mut().filter(|role| role.intent == Intent::Grant || role.is_coming) {
            role.intent = Intent::Freeze;
        }
    }

    /// Whether its account puts on a boundary that is there, or has, so that it stays until another one takes its place.
    pub fn is_imposed(&self, there: &Arn) -> bool {
        self.imposed.contains(there) || (self.keeps_boundary && self.identity.permissions_boundary.is_none())
    }

    /// The policies that the resource has or had, which are read together with the identity.
    pub fn known_policies(&self) -> BTreeSet<Arn> {
        self.policies.keys().chain(&self.former_policies).cloned().collect()
    }

    /// What is read of AWS for the resource.
    pub fn scope(&self) -> Scope {
        let name = Some(self.identity.name.clone());
        Scope { name, policies: self.known_policies(), groups: self.memberships.is_some(), pinned: self.pinned.clone() }
    }

    /// Whether what was seen shows all that is asked: groups are not looked at before some are declared.
    pub fn is_shown_by(&self, observed: &Observed) -> bool {
        self.memberships.is_none() || observed.identity.as_ref().is_none_or(|found| found.identity.groups.is_some())
    }

    /// What keeps parts of the declaration from standing, and holds nothing else up: grants, memberships, and roles beyond those that a source may have.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        let grants = self.trust.iter().flatten().flatten().filter_map(|grant| grant.problem.as_ref());
        let memberships = self.memberships.iter().flatten().filter_map(|membership| membership.problem.as_ref());
        grants.chain(memberships).chain(&self.crowded)
    }

    /// The sources of the role with their unique IDs, by principal. A principal whose ID is another than when the trust policy was
    /// written stands there as an ID by now (IAM user guide, "Principal").
    pub fn principal_ids(&self) -> BTreeMap<Arn, String> {
        let grants = self.trust.iter().flatten().flatten();
        let named = |g: &Grant| g.rule.as_ref()?.principal.as_str().parse::<Arn>().ok().filter(|arn| !arn.is_account_root());
        grants.filter_map(|g| Some((named(g)?, g.source_id.clone()?))).collect()
    }

    /// What the trust policy of the role that is there lets in, as IAM shows it.
    pub fn trust_there(&self, observed: &Observed) -> Option<Trust> {
        let role = observed.identity.as_ref()?.identity.role.as_ref()?;
        Some(Trust::of(&role.trust_policy, &self.arn.account_id()?))
    }

    /// What a trust policy lets in, with the names of the sources in the places of their own unique IDs: for moments IAM shows the ID of one that lives, too,
    /// and it is let in all the same.
    pub fn with_names(&self, trust: Trust) -> Trust {
        let named = |grant: &Grant| Some((grant.source_id.clone()?, grant.rule.as_ref()?.principal.clone()));
        let is_wanted = |grant: &&Grant| grant.intent != Intent::Revoke;
        let names = self.trust.iter().flatten().flatten().filter(is_wanted).filter_map(named).filter(|(_, principal)| !principal.is_account());
        trust.with_names(&names.collect())
    }

    /// What the trust policy that is in force may let in: as it is shown, with names in the places of IDs, or as it was written a moment ago. A name that was
    /// written counts only while it is known who bears it: somebody else may do so by now, and IAM would take the name for that one.
    pub fn trust_in_force(&self, observed: &Observed) -> Option<Trust> {
        let shown = self.with_names(self.trust_there(observed)?);
        let Some((written, own)) = self.written_trust.as_ref().zip(self.arn.account_id()) else { return Some(shown) };
        let mut written = Trust::of(written, &own);
        written.rules.retain(|written| shown.names(&written.principal) || !self.is_anybodys(&written.principal));
        Some(shown.or(&written))
    }

    /// Whether a principal is the name of a source of ours of which it is not known who bears it.
    fn is_anybodys(&self, principal: &Principal) -> bool {
        let mut unknown = self.trust.iter().flatten().flatten().filter(|grant| grant.key.is_some() && grant.source_id.is_none());
        let is_named = |grant: &Grant| grant.rule.as_ref().is_some_and(|rule| rule.principal == *principal);
        !principal.is_account() && unknown.any(|grant| is_named(grant) || grant.own_name.as_ref() == Some(principal))
    }

    /// What keeps principals from being trusted again that are not who they were, going by the trust policy that is there.
    pub fn replaced(&self, observed: &Observed) -> Option<Problem> {
        let there = self.trust_there(observed);
        let replaced = self.trust.iter().flatten().flatten().filter(|grant| grant.is_replaced(there.as_ref()));
        let sources: Vec<&str> = replaced.map(|grant| grant.source.as_str()).collect();
        let message = match sources.as_slice() {
            [] => return None,
            [source] => format!(
                "{source} was deleted in AWS, and what bears its name now is another one: to trust that one, take {source} out of spec.trust, and once that is done put it in again"
            ),
            [named @ .., _] => {
                let all = sources.len();
                let named = named.iter().take(REPLACED_NAMED).copied().collect::<Vec<_>>().join(", ");
                let untold = if all > LISTED {
                    format!(". The status has room for {LISTED} of them: until it tells all, no source that it does not tell is trusted anew")
                } else {
                    String::new()
                };
                format!(
                    "{all} sources were deleted in AWS, and what bears their names now is another one each, {named} among them: to trust those, take them out of spec.trust, and once that is done put them in again{untold}"
                )
            }
        };
        Some(Problem::new(Reason::PrincipalReplaced, message))
    }

    /// Whether principals turned out to be gone that the status tells as trusted. It must tell so before the trust policy changes, which is all that shows it.
    /// Where it has no room for more of them, it has told what it can.
    pub fn is_newly_replaced(&self, observed: &Observed) -> bool {
        let there = self.trust_there(observed);
        let mut grants = self.trust.iter().flatten().flatten();
        grants.any(|grant| grant.reported != Some(GrantState::Replaced) && !grant.may_be_replaced && grant.is_replaced(there.as_ref()))
    }

    /// Whether its trust names anybody by name for whom the root of an account could stand: services and tokens have none.
    pub fn names_principals_of_accounts(&self) -> bool {
        let is_named =
            |grant: &Grant| grant.rule.as_ref().is_some_and(|rule| matches!(rule.principal, Principal::AWS(_)) && !rule.principal.is_account());
        self.trust.iter().flatten().flatten().any(is_named)
    }
}

/// That the assume policies of an identity have no place for all of its roles.
pub(super) fn too_many(who: &IdentityName, roles: usize, excess: usize, policies: usize) -> Problem {
    let (kind, size) = (who.kind(), SHARD_QUOTA);
    Problem::new(
        Reason::QuotaExceeded,
        format!(
            "of {roles} roles that name the {kind} {excess} find no place in the {policies} policies of {size} characters that the {kind} can have attached for them: let fewer roles name this {kind}; the roles it has stay"
        ),
    )
}

/// The owner of the objects of a resource in this account. What was deleted in AWS and is made anew is known by no unique ID: only what bears the resource's
/// own UID is that.
pub fn owner<K: Managed>(object: &K, at: &ResolvedAccount, installation: &str) -> Owner {
    let takes_over = at.account.spec.ownership.as_ref().is_some_and(|ownership| ownership.take_over == TakeOver::SameInstallation);
    let earlier = match object.status().and_then(K::deleted_id) {
        Some(_) => Earlier::Another,
        None if takes_over => Earlier::TakenOver,
        None => Earlier::LeftTo(at.name.clone()),
    };
    Owner { installation: installation.into(), resource: owner_tag(object), uid: uid(object), earlier }
}

/// What the owner tag says of a resource: `kind/namespace/name`.
pub fn owner_tag<K: Managed>(object: &K) -> String {
    format!("{}/{}", K::KIND, ObjectKey::of(object))
}

/// The wanted state of a user.
///
/// # Errors
/// All that is wrong with the resource itself, and missing ConfigMaps.
pub fn desired_user(
    world: &dyn World,
    user: &BastionUser,
    at: &ResolvedAccount,
    texts: &ConfigTexts,
    installation: &str,
) -> Result<Desired, Vec<Problem>> {
    readable(user)?;
    let (name, path) = user_identity(user).map_err(|p| vec![p])?;
    let mut problems = vec![];
    let owner = owner(user, at, installation);
    let of = Ref::User(ObjectKey::of(user));
    problems.extend(too_many_policies(world, at, &of));
    let guard = Guard::of(at);
    problems.extend(guard.name(&IdentityName::User(name.clone()), &path));
    let tags = with_owner(&guard.tags(&user.spec.tags, &mut problems), &owner);
    let permissions = user.spec.permissions.as_ref();
    problems.extend(check_powers(world, at, permissions, user.spec.groups.as_deref()).err());
    let mut declared = declared(permissions, &Place { at, path: &path, tags: &tags }, texts, &mut problems);
    declared.inline.extend(external_roles::policy(world, at, permissions, SessionRights::default(), &mut problems));
    let status = user.status();
    let told = told_boundary(user, status.map(|status| (&status.permissions_boundary_arn, &status.user_arn)));
    let boundary = boundary(user.spec.permissions_boundary_arn.as_deref(), told, at, &mut problems);
    problems.extend(check_attachable(world, at, &of, (&declared.attached, boundary.wanted.as_ref()), &declared.managed));
    let identity = Identity {
        name: IdentityName::User(name.clone()),
        path: path.clone(),
        tags,
        permissions_boundary: boundary.wanted,
        inline_policies: declared.inline,
        attached_policies: declared.attached,
        groups: None,
        role: None,
    };
    let quotas = Quotas::of(&at.account);
    let former_policies = PolicyHolder::from(user).former(world, at, &identity, &quotas);
    let assumes = roles_of_user(world, user, roles_per_source(at));
    let desired = Desired {
        arn: Arn::user(&at.partition, &at.id, &path, &name),
        pinned: status.and_then(|s| s.user_id.as_deref()).and_then(|id| id.parse().ok()),
        ours: ours(&identity, &declared.managed, &boundary.imposed).or(Ours::told(status.and_then(|s| s.declared.as_ref()))),
        identity,
        imposed: boundary.imposed,
        keeps_boundary: told.is_some(),
        trust: None,
        crowded: too_many_roles(assumes.placed, at),
        assumes: assumes.roles,
        policies: declared.managed,
        former_policies,
        memberships: memberships(user, at, &mut problems),
        unmanaged: permissions.map(|permissions| permissions.unmanaged),
        quotas,
        has_assume_policies: false,
        is_its_own_source: false,
        is_behind: false,
        written_trust: None,
        owner,
    };
    problems.extend(check_assumes(&desired));
    if problems.is_empty() { Ok(desired) } else { Err(problems) }
}

/// What can be read of an object does not tell what is declared.
fn readable<K: Managed>(object: &K) -> Result<(), Vec<Problem>> {
    unread(object).map_or(Ok(()), |problem| Err(vec![problem]))
}

/// That not all of an object could be read, if so.
pub fn unread<K: Managed>(object: &K) -> Option<Problem> {
    let why = object.unread()?;
    let message = format!("the object cannot be read: {why}. Correct the field; what is in AWS stays as it is, and withdrawn grants end.");
    Some(Problem::new(Reason::InvalidSpec, message))
}

/// What no sharing out could hold is refused from the start. What merely does not fit beside what is there turns out in the plan. Roles that are in AWS neither
/// now nor in a moment take no room: their declaration is refused, whoever's they are.
fn check_assumes(desired: &Desired) -> Option<Problem> {
    let takes_room = |role: &&AssumableRole| role.intent == Intent::Grant || (role.intent == Intent::Freeze && (role.is_reported || role.is_coming));
    let all = desired.assumes.iter().filter(takes_room);
    let all: assume::Roles<'_> = all.map(|role| (role.arn.as_str(), role.rights)).collect();
    let excess = allocate(&all, &Found::default(), Capacity::WHOLE).err()?;
    Some(too_many(&desired.identity.name, all.len(), excess.roles, Capacity::WHOLE.shards))
}

/// The wanted state of a role.
///
/// # Errors
/// All that is wrong with the resource itself, and missing ConfigMaps. Sources that are not ready are no error: they are in the grants.
pub fn desired_role(
    world: &dyn World,
    role: &CrossAccountRole,
    at: &ResolvedAccount,
    texts: &ConfigTexts,
    installation: &str,
) -> Result<Desired, Vec<Problem>> {
    readable(role)?;
    let (name, path) = role_identity(role).map_err(|p| vec![p])?;
    let mut problems = vec![];
    let owner = owner(role, at, installation);
    let guard = Guard::of(at);
    problems.extend(guard.name(&IdentityName::Role(name.clone()), &path));
    let tags = with_owner(&guard.tags(&role.spec.tags, &mut problems), &owner);
    let status = role.status();
    let told = told_boundary(role, status.map(|status| (&status.permissions_boundary_arn, &status.role_arn)));
    let boundary = boundary(role.spec.permissions_boundary_arn.as_deref(), told, at, &mut problems);
    let max_session_duration = guard.session_seconds(role.spec.max_session_duration.as_deref(), &mut problems);
    problems.extend(trust_problems(role));
    let sources = Sources::of(world, role);
    problems.extend(too_many_grants(sources.count(), at));
    let of = Ref::Role(ObjectKey::of(role));
    problems.extend(too_many_policies(world, at, &of));
    let permissions = role.spec.permissions.as_ref();
    problems.extend(check_powers(world, at, permissions, None).err());
    let mut declared = declared(permissions, &Place { at, path: &path, tags: &tags }, texts, &mut problems);
    declared.inline.extend(external_roles::policy(world, at, permissions, passing_on(world, role), &mut problems));
    problems.extend(check_attachable(world, at, &of, (&declared.attached, boundary.wanted.as_ref()), &declared.managed));
    let assumes = roles_of_role(world, role, roles_per_source(at));
    if !problems.is_empty() {
        return Err(problems);
    }
    let identity = Identity {
        name: IdentityName::Role(name.clone()),
        path: path.clone(),
        tags,
        permissions_boundary: boundary.wanted,
        inline_policies: declared.inline,
        attached_policies: declared.attached,
        groups: None,
        role: Some(RoleSettings {
            description: role.spec.description.clone().unwrap_or_default(),
            max_session_duration,
            trust_policy: deny_all_trust(),
        }),
    };
    let quotas = Quotas::of(&at.account);
    let former_policies = PolicyHolder::from(role).former(world, at, &identity, &quotas);
    let desired = Desired {
        arn: Arn::role(&at.partition, &at.id, &path, &name),
        pinned: status.and_then(|s| s.role_id.as_deref()).and_then(|id| id.parse().ok()),
        ours: ours(&identity, &declared.managed, &boundary.imposed).or(Ours::told(status.and_then(|s| s.declared.as_ref()))),
        identity,
        imposed: boundary.imposed,
        keeps_boundary: told.is_some(),
        trust: Some(sources.grants(at)),
        crowded: too_many_roles(assumes.placed, at),
        assumes: assumes.roles,
        policies: declared.managed,
        former_policies,
        memberships: None,
        unmanaged: Some(permissions.map_or(Unmanaged::Remove, |permissions| permissions.unmanaged)),
        has_assume_policies: false,
        quotas,
        is_its_own_source: is_its_own_source(world, role),
        is_behind: false,
        written_trust: None,
        owner,
    };
    problems.extend(check_assumes(&desired));
    if problems.is_empty() { Ok(desired) } else { Err(problems) }
}

fn with_owner(tags: &Tags, owner: &Owner) -> Tags {
    tags.clone().into_iter().chain(owner.tags()).collect()
}

fn keep<T>(problems: &mut Vec<Problem>, result: Result<T, Problem>) -> Option<T> {
    result.map_err(|p| problems.push(p)).ok()
}

fn optional(problems: &mut Vec<Problem>, field: &str, value: Option<&str>) -> Option<Arn> {
    value.and_then(|value| keep(problems, parse(field, value)))
}

/// What of policies and boundary the resource declares itself and could be taken for a restriction by others.
fn ours(identity: &Identity, own: &BTreeMap<Arn, ManagedPolicy>, imposed: &BTreeSet<Arn>) -> Ours {
    Ours {
        inline: identity.inline_policies.iter().filter(|(_, document)| document.may_deny()).map(|(name, _)| name.clone()).collect(),
        attached: identity.attached_policies.iter().filter(|arn| !own.contains_key(*arn)).cloned().collect(),
        boundaries: identity.permissions_boundary.iter().filter(|boundary| !imposed.contains(*boundary)).cloned().collect(),
    }
}

/// The permissions boundary of a user or role.
struct Boundary {
    wanted: Option<Arn>,
    imposed: BTreeSet<Arn>,
}

/// The boundary as it is declared, or else as the account puts it on all who declare none.
fn boundary(declared: Option<&str>, told: Option<&str>, at: &ResolvedAccount, problems: &mut Vec<Problem>) -> Boundary {
    let guard = Guard::of(at);
    if declared.is_some() {
        let wanted = optional(problems, BOUNDARY, declared);
        problems.extend(wanted.as_ref().and_then(|wanted| check_place(BOUNDARY, wanted, at, Use::Boundary)));
        problems.extend(wanted.as_ref().and_then(|wanted| guard.declared_boundary(wanted)));
        return Boundary { wanted, imposed: BTreeSet::new() };
    }
    let boundaries = guard.boundaries();
    let (field, put_on) = boundaries.first().map(|(field, arn)| (format!("{field} of the AWSAccount"), *arn)).unzip();
    let field = field.unwrap_or_default();
    let wanted = optional(problems, &field, put_on);
    problems.extend(wanted.as_ref().and_then(|wanted| check_place(&field, wanted, at, Use::Boundary)));
    let before = told.and_then(|told| told.parse().ok());
    Boundary { imposed: wanted.iter().cloned().chain(before).collect(), wanted }
}

/// The permissions boundary that an object tells to have of its account, by the ones and the ARN that its status has: before that tells of what was made, by what
/// was announced.
pub fn told_boundary<'a>(object: &'a impl ResourceExt, status: Option<(&'a Option<String>, &'a Option<String>)>) -> Option<&'a str> {
    let (boundary, made) = status.map(|(boundary, arn)| (boundary.as_deref(), arn.is_some())).unwrap_or_default();
    boundary.or_else(|| announced_boundary(object).filter(|_| !made))
}
