//! Grants: which source may assume which role, seen from either side.
//!
//! A grant is written twice, by the reconcile of the role (trust policy) and by that of the source (assume policy). Both ask
//! [`relation`], so that they always mean the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::core::ObjectMeta;

use super::assume::SessionRights;
use super::guardrails::Guard;
use super::names::{Arn, Path, RoleName};
use super::naming::{is_selected, key_in};
use super::outcome::Problem;
use super::placement::{ResolvedAccount, check_namespace, resolve_account, shared_with};
use super::pod_target::target_problem;
use super::require::{is_met_by_console, requires_mfa, session_rights};
use super::source::{Leaving, SourceObject, on_source, role_identity};
use super::transitive_tags::passing_on;
use super::trust::{Conditions, Principal, Trust, TrustRule};
use super::world::{Labels, ObjectKey, Ref, SourceKey, World};
use rolebridge_api::conditions::{Class, condition_types};
use rolebridge_api::role::GrantState;
use rolebridge_api::trust::{PrincipalForm, Source, TrustEntry};
use rolebridge_api::{BastionUser, CrossAccountRole, Managed, Reason};

/// Whether one half of a grant is to be in its policy document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// It is to be there.
    Grant,
    /// It stays if it is there, and is not added: nothing is widened while something is unclear, and nobody is cut off by it.
    Freeze,
    /// It is not to be there.
    Revoke,
}

impl Intent {
    /// Whether that half is in the document that is wanted, given whether it is in the one that is there.
    pub fn is_met(self, there: bool) -> bool {
        match self {
            Self::Grant => true,
            Self::Freeze => there,
            Self::Revoke => false,
        }
    }

    /// What becomes of something that is in the way of a rule of this account, if it is: it stays as it is, or is cut off.
    pub fn given(problem: Option<&Problem>, at: &ResolvedAccount) -> Self {
        match problem {
            None => Self::Grant,
            Some(problem) if problem.is_violation() && Guard::of(at).disables() => Self::Revoke,
            Some(_) => Self::Freeze,
        }
    }
}

/// What an entry of a trust asks for, as far as rules of the role's account go by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// How the trust policy names the sources.
    pub form: PrincipalForm,
    /// Whether a second factor is required.
    pub has_mfa: bool,
}

impl Terms {
    pub fn of(entry: &TrustEntry) -> Self {
        Self { form: entry.principal, has_mfa: requires_mfa(entry.require.as_ref()) }
    }
}

/// One source of a role, as the role sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The source: `BastionUser/namespace/name`, `AWSAccount/name`, or what the trust entry says of it.
    pub source: String,
    /// The way in that the trust policy is to have for it, where that is known.
    pub rule: Option<TrustRule>,
    /// Which of its conditions say who it is, where the principal alone does not: a provider vouches for many, a service acts for many.
    pub identity: Conditions,
    /// Whether it is known what is required of it. Where that cannot be understood, the admission has only what the source says itself.
    pub is_understood: bool,
    /// Whether the trust policy is to have it.
    pub intent: Intent,
    /// What keeps the grant from standing.
    pub problem: Option<Problem>,
    /// The source, where it is a resource.
    pub key: Option<SourceKey>,
    /// The name by which the source may have been let in before, where it is to come in by the root of its account now.
    pub own_name: Option<Principal>,
    /// Whether the status of the role tells that the trust policy named this principal, where the source is a resource.
    pub was_named: bool,
    /// The unique ID of the source, if it has one: a principal of the same name with another ID must be written anew.
    pub source_id: Option<String>,
    /// What the status of the role says of a principal that is nobody's of ours; None for all others. We do not know its unique ID, so this is
    /// what tells that it was trusted before.
    pub reported: Option<GrantState>,
    /// Whether the status had perhaps no room to say that the principal was replaced: it tells of others that were, and of nothing else.
    pub may_be_replaced: bool,
    /// What works and is worth knowing of the source.
    pub warning: Option<&'static str>,
}

impl Grant {
    /// One that is wanted, of which nothing else is known.
    pub(super) fn new(source: String, rule: Option<TrustRule>) -> Self {
        Self {
            source,
            rule,
            identity: Conditions::default(),
            is_understood: true,
            intent: Intent::Grant,
            problem: None,
            key: None,
            own_name: None,
            was_named: false,
            source_id: None,
            reported: None,
            may_be_replaced: false,
            warning: None,
        }
    }

    pub(super) fn absent(source: String, problem: Problem) -> Self {
        Self { intent: Intent::Revoke, problem: Some(problem), ..Self::new(source, None) }
    }

    /// Whether the source is likely to be ready in a moment, so that a role that is not made yet does well to wait for it.
    pub fn is_coming(&self) -> bool {
        self.intent == Intent::Freeze && self.problem.as_ref().is_some_and(|p| p.reason.class() < Class::Stalled)
    }

    /// What a trust policy has of it already: what lets its principal in, by its own name or as one of many.
    pub fn standing(&self, there: &Trust) -> BTreeSet<TrustRule> {
        let Some(rule) = &self.rule else { return BTreeSet::new() };
        let principal = &rule.principal;
        // IAM takes only principals that exist. Of one that may not, it must be named already; others may come in by the root of their account, unless
        // nobody can tell what is required of them there.
        let exists = self.source_id.is_some() || principal.is_account() || (self.key.is_none() && self.reported.is_none());
        let may_be_named = exists && self.is_understood;
        let own = |standing: &TrustRule| {
            // A statement may let in many of a provider's: of these it is one.
            let conditions = if self.identity.count() == 0 { standing.conditions.clone() } else { standing.conditions.and(&self.identity)? };
            let is_named = may_be_named || principal.covers(&standing.principal);
            is_named.then(|| TrustRule { principal: principal.clone(), conditions, ..standing.clone() })
        };
        let by_name = self.own_name.iter().flat_map(|name| there.standing(name).filter(|there| there.principal == *name)).cloned();
        there.standing(principal).filter_map(own).chain(by_name).collect()
    }

    /// Whether the trust policy that is there puts in doubt that the source, which is one of ours, still is who was trusted: it shows the source's unique ID,
    /// as for who was deleted, or does not name it any more, as for who was renamed.
    pub fn is_in_doubt(&self, there: &Trust) -> bool {
        let Some(rule) = &self.rule else { return false };
        let has_vanished = self.was_named && self.intent == Intent::Grant && !there.names(&rule.principal);
        has_vanished || self.source_id.as_deref().is_some_and(|own| there.unique_ids().any(|shown| shown == own))
    }

    /// Whether the trust policy is to name the source where the one that is there, if any, does not.
    pub fn is_added_to(&self, there: Option<&Trust>) -> bool {
        let named = |rule: &TrustRule| there.is_some_and(|there| there.names(&rule.principal));
        self.intent == Intent::Grant && !self.rule.as_ref().is_some_and(named)
    }

    /// Whether the principal was trusted and is gone: IAM then puts its unique ID into its place, and what bears its name now is another one
    /// (IAM user guide, "Principal"). `there` is the trust policy that is there.
    pub fn is_replaced(&self, there: Option<&Trust>) -> bool {
        let Some(TrustRule { principal, .. }) = &self.rule else { return false };
        match self.reported {
            Some(GrantState::Replaced) => true,
            // Whom the trust policy names was not replaced. Nobody else is added, since nobody knows.
            _ if self.may_be_replaced => !there.is_some_and(|there| there.names(principal)),
            Some(GrantState::Granted) => there.is_some_and(|there| !there.names(principal) && there.unique_ids().next().is_some()),
            _ => false,
        }
    }
}

/// A role, as a source sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct AssumableRole {
    /// The CrossAccountRole.
    pub key: ObjectKey,
    /// Where it is placed.
    pub account: String,
    /// ARN of the role.
    pub arn: Arn,
    /// Path of the role.
    pub path: Path,
    /// Name of the role in IAM.
    pub name: RoleName,
    /// What the source must be allowed on the role beside assuming it.
    pub rights: SessionRights,
    /// Whether the console can open a session of it for the source.
    pub opens_in_console: bool,
    /// Whether the assume policy is to allow it.
    pub intent: Intent,
    /// Whether the role is merely not made yet, or about to be made again, so that the source does well to wait a moment before it changes anything for it,
    /// and before it tells how it stands.
    pub is_coming: bool,
    /// Whether the status of the source tells that its assume policy has the role.
    pub is_reported: bool,
}

/// Whether the console can open a session of a role for some of its sources.
pub fn opens_in_console(role: &CrossAccountRole) -> bool {
    role.spec.trust.iter().any(|entry| entry.from.iter().any(Source::has_a_console) && is_met_by_console(entry.require.as_ref()))
}

/// Whether a source of a role is this user or role, by name or by labels.
fn is_source(role: &CrossAccountRole, source: &Source, object: SourceObject<'_>) -> bool {
    match (object, source) {
        (SourceObject::User(user), Source::User(named)) => key_in(role, named.namespace.as_deref(), &named.name) == ObjectKey::of(user),
        (SourceObject::User(user), Source::Users(users)) => is_selected(role, users, user),
        (SourceObject::Role(other), Source::Role(named)) => key_in(role, named.namespace.as_deref(), &named.name) == ObjectKey::of(other),
        _ => false,
    }
}

/// The roles that a user is to be allowed to assume, in the order of their keys.
pub fn roles_of_user(world: &dyn World, user: &BastionUser, most: usize) -> Assumes {
    roles_of(world, SourceObject::User(user), most)
}

/// The roles that a role is to be allowed to assume, in the order of their keys.
pub fn roles_of_role(world: &dyn World, role: &CrossAccountRole, most: usize) -> Assumes {
    roles_of(world, SourceObject::Role(role), most)
}

/// Beyond so many roles none is added, whoever's they are, and those that stand stay: first come those that are in AWS, of the source's own namespace before
/// others.
fn roles_of(world: &dyn World, source: SourceObject<'_>, most: usize) -> Assumes {
    let naming = source.roles_naming(world);
    let (count, own) = (naming.len(), source.meta().namespace.clone());
    let naming: Vec<_> = naming.into_iter().filter_map(|role| world.role(&role)).collect();
    let are_placed: Vec<bool> = naming.iter().map(|role| SourceObject::Role(role).is_placed(world)).collect();
    let mut order: Vec<usize> = (0..naming.len()).collect();
    if count > most {
        order.sort_by_cached_key(|n| (!are_placed[*n], naming[*n].metadata.namespace != own));
    }
    let beyond: BTreeSet<usize> = order.into_iter().skip(most).collect();
    let rights = if let SourceObject::Role(source) = source { passing_on(world, source) } else { SessionRights::default() };
    let role = |(n, role): (usize, &Arc<CrossAccountRole>)| assumable(world, source, role, Crowd { count, is_beyond: beyond.contains(&n), rights });
    Assumes { roles: naming.iter().enumerate().filter_map(role).collect(), placed: are_placed.into_iter().filter(|is_placed| *is_placed).count() }
}

/// What a source is to be allowed to assume.
pub struct Assumes {
    /// The roles, in the order of their keys.
    pub roles: Vec<AssumableRole>,
    /// How many roles that are in AWS name it and may.
    pub placed: usize,
}

/// The roles that name a source.
#[derive(Clone, Copy)]
struct Crowd {
    /// How many there are.
    count: usize,
    /// Whether this one is beyond those that the source may have.
    is_beyond: bool,
    /// What the source must be allowed on each for what it brings along.
    rights: SessionRights,
}

/// Whether the status of a user or role tells of no right to assume this role.
pub fn lacks_right(world: &dyn World, source: &Ref, role: &ObjectKey) -> bool {
    on_source(world, source, |source| !source.allows_role(world, role)).unwrap_or(false)
}

/// ARNs of the roles that name a source and may, or did so when they were made, whatever else is to be said of them.
pub fn arns_naming(world: &dyn World, source: &SourceKey) -> BTreeSet<Arn> {
    let arn = |role: &CrossAccountRole| {
        let declared = resolve_account(world, &role.spec.account_ref.name).ok().zip(role_identity(role).ok());
        let declared = declared.map(|(at, (name, path))| Arn::role(&at.partition, &at.id, &path, &name));
        declared.or_else(|| role.status()?.role_arn.as_deref()?.parse().ok())
    };
    let may: BTreeSet<ObjectKey> = on_source(world, &Ref::from(source), |source| source.roles_naming(world)).into_iter().flatten().collect();
    let counts = |role: &CrossAccountRole| SourceObject::Role(role).reported_arn().is_some() || may.contains(&ObjectKey::of(role));
    let naming = world.roles_naming(source, &|_| true).into_iter().filter_map(|key| world.role(&key));
    naming.filter(|role| counts(role)).filter_map(|role| arn(&role)).collect()
}

fn assumable(world: &dyn World, source: SourceObject<'_>, role: &CrossAccountRole, crowd: Crowd) -> Option<AssumableRole> {
    let leaving = Leaving::of(world, &role.metadata, &Ref::Role(ObjectKey::of(role)));
    if leaving == Leaving::Goes {
        return None;
    }
    let (name, path) = role_identity(role).ok()?;
    let entries: Vec<&TrustEntry> = role.spec.trust.iter().filter(|entry| entry.from.iter().any(|s| is_source(role, s, source))).collect();
    let rights = entries.iter().map(|entry| session_rights(entry.require.as_ref())).fold(crowd.rights, SessionRights::or);
    let opens_in_console = entries.iter().any(|entry| is_met_by_console(entry.require.as_ref()));
    let of = |arn, intent, is_coming| AssumableRole {
        key: ObjectKey::of(role),
        account: role.spec.account_ref.name.clone(),
        arn,
        path: path.clone(),
        name: name.clone(),
        rights,
        opens_in_console,
        intent,
        is_coming,
        is_reported: source.reports_role(&ObjectKey::of(role), || crowd.count),
    };
    let itself = SourceObject::Role(role);
    let stalled = role.status().is_some_and(|status| status.conditions.iter().any(|c| c.type_ == condition_types::STALLED));
    // What a process made that died before it told of it may have been deleted since, and its name is anybody's then. So it is where nothing was ever made
    // and nothing may be: an earlier role had the name.
    let is_untold = itself.reported_id().is_none() && itself.unique_id(world).is_none();
    let is_unmade = is_untold && (world.is_unmade(&ObjectKey::of(role)) || (stalled && !role.is_finalized()));
    let is_another = itself.is_another(world) || is_unmade;
    let Ok(at) = resolve_account(world, &role.spec.account_ref.name) else {
        // The account is not to be found, for now: what stands is not withdrawn by that.
        return Some(of(itself.reported_arn()?, if is_another { Intent::Revoke } else { Intent::Freeze }, false));
    };
    // One entry that stands is enough; failing that, one that keeps.
    let relations: Vec<Intent> = entries.iter().map(|entry| relation(world, role, &at, Terms::of(entry), source).intent).collect();
    let intent = [Intent::Grant, Intent::Freeze].into_iter().find(|p| relations.contains(p))?;
    // A role of that name may be somebody else's and trust the whole account: the right to assume it is given only once it is known to be
    // this resource's own, which its status alone does not prove, and taken back once it is known not to be.
    let own = itself.unique_id(world).is_some();
    let arn = Arn::role(&at.partition, &at.id, &path, &name);
    Some(match intent {
        _ if is_another => of(arn, Intent::Revoke, !stalled),
        Intent::Grant if leaving == Leaving::Waits => of(arn, Intent::Freeze, false),
        Intent::Grant if crowd.is_beyond => of(arn, Intent::Freeze, false),
        Intent::Grant if !own => of(arn, Intent::Freeze, !stalled),
        Intent::Grant if !world.is_proven(role) => of(arn, Intent::Freeze, false),
        intent => of(arn, intent, false),
    })
}

/// What the resources alone say of "this source may assume this role", whatever has been done about it in AWS.
pub(super) struct Relation {
    pub intent: Intent,
    pub problem: Option<Problem>,
    /// Where the source is placed, where that is known.
    pub source_at: Option<ResolvedAccount>,
}

pub(super) fn relation(world: &dyn World, role: &CrossAccountRole, at: &ResolvedAccount, terms: Terms, source: SourceObject<'_>) -> Relation {
    let key = source.key();
    let (own, name) = (source.meta().namespace.as_deref().unwrap_or_default(), told_name(&key));
    let namespace = role.metadata.namespace.as_deref().unwrap_or_default();
    let none = |problem: Problem| Relation { intent: Intent::Revoke, problem: Some(problem), source_at: None };
    if !is_within_reach(world, role, world.namespace_labels(namespace).as_ref(), source) {
        return none(out_of_reach(namespace, &key, format!("{name} is being deleted")));
    }
    let source_at = match resolve_account(world, source.account_name()) {
        Ok(placement) => placement,
        Err(problem) => {
            let problem = unready(namespace, &key, || format!("{name}: {}", problem.message));
            return Relation { intent: Intent::Freeze, problem: Some(problem), source_at: None };
        }
    };
    if source_at.partition != at.partition {
        let (there, here) = (&source_at.partition, &at.partition);
        let message = format!("{name} is in partition {there} and the role in {here}: no trust is possible between them");
        return none(Problem::new(Reason::PartitionMismatch, message));
    }
    // From here on the grant may have stood before: it is frozen, not withdrawn, unless the account of the role wants it to end.
    let untold = if let SourceObject::Role(source) = source { target_problem(role, source) } else { None };
    let refused = untold
        .or_else(|| guard(source, terms, at, &source_at))
        .or_else(|| check_namespace(world, at, namespace, SourceObject::Role(role).is_placed(world)).err());
    if refused.is_some() {
        return Relation { intent: Intent::given(refused.as_ref(), at), problem: refused, source_at: Some(source_at) };
    }
    let refused = check_namespace(world, &source_at, own, source.is_placed(world)).err().map(|refused| format!("{name}: {}", refused.message));
    let waits = || format!("{name} is being deleted, which waits until a person confirms it: what it may assume stays until then");
    let why = refused
        .or_else(|| (source.leaving(world) == Leaving::Waits).then(waits))
        .or_else(|| Some(format!("{name} is cut off: {}", source.why_cut_off(&source_at)?)));
    let frozen = why.map(|why| unready(namespace, &key, || why));
    Relation { intent: if frozen.is_some() { Intent::Freeze } else { Intent::Grant }, problem: frozen, source_at: Some(source_at) }
}

/// What a rule of the role's account has against a source of ours.
fn guard(source: SourceObject<'_>, terms: Terms, at: &ResolvedAccount, source_at: &ResolvedAccount) -> Option<Problem> {
    let guard = Guard::of(at);
    let by_root = if terms.form == PrincipalForm::AccountRoot { guard.account_root() } else { None };
    by_root.or_else(|| match source {
        SourceObject::User(_) => guard.person(terms.has_mfa),
        SourceObject::Role(_) => guard.role_of(Guard::of(source_at)),
    })
}

/// Whether a role may have a source at all: it is not about to go, and lets the role's namespace, which has these labels, name it.
pub(super) fn is_within_reach(world: &dyn World, role: &CrossAccountRole, labels: Option<&Labels>, source: SourceObject<'_>) -> bool {
    let namespace = |meta: &ObjectMeta| meta.namespace.clone().unwrap_or_default();
    let (own, naming) = (namespace(source.meta()), namespace(&role.metadata));
    source.leaving(world) != Leaving::Goes && shared_with(source.allow_roles_from(), &own, &naming, labels)
}

/// Why a role of a namespace gets nothing of a source that is `gone`, as the source's own namespace is told, or does not let that namespace name it. Which of
/// these it is of a source in another namespace is not told: whoever may write roles could find out what there is in namespaces that they cannot read.
pub(super) fn out_of_reach(namespace: &str, source: &SourceKey, gone: String) -> Problem {
    if source.key().namespace == namespace {
        return Problem::new(Reason::SourceNotFound, gone);
    }
    let fix = "have its owner create it, or add the namespace to its spec.allowRolesFrom";
    let message = format!("{} does not exist or does not let namespace {namespace} name it: {fix}", told_name(source));
    Problem::new(Reason::SourceNotAllowed, message)
}

/// That a source is not ready for a role of a namespace. `why` is only for the source's own namespace: it tells of what is there.
pub(super) fn unready(namespace: &str, source: &SourceKey, why: impl FnOnce() -> String) -> Problem {
    let is_own = source.key().namespace == namespace;
    let message = if is_own { why() } else { format!("{} is not ready: its owner sees why in its status", told_name(source)) };
    Problem::new(Reason::SourceNotReady, message)
}

/// How messages name a source: `BastionUser namespace/name`.
pub(super) fn told_name(key: &SourceKey) -> String {
    key.to_string().replacen('/', " ", 1)
}
