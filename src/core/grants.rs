//! Grants: which source may assume which role, seen from either side.
//!
//! A grant is written twice, by the reconcile of the role (trust policy) and by that of the source (assume policy). Both ask
//! [`relation`], so that they always mean the same.

use std::collections::BTreeSet;

use super::names::{Arn, Path, RoleName, UserName};
use super::outcome::Problem;
use super::placement::{Placement, admit, find, shared_with};
use super::world::{ObjectKey, World};
use crate::api::conditions::{Class, kinds};
use crate::api::role::{PrincipalForm, Source, TrustEntry};
use crate::api::{BastionUser, CrossAccountRole, Managed, Reason};

/// Whether one half of a grant is to be in its policy document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is to be there.
    Wanted,
    /// It stays if it is there, and is not added: nothing is widened while something is unclear, and nobody is cut off by it.
    Kept,
    /// It is not to be there.
    Absent,
}

impl Presence {
    /// Whether that half is in the document that is wanted, given whether it is in the one that is there.
    pub fn is_met(self, there: bool) -> bool {
        match self {
            Self::Wanted => true,
            Self::Kept => there,
            Self::Absent => false,
        }
    }
}

/// One source of a role, as the role sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The source: `BastionUser/namespace/name` or `AWSAccount/name`.
    pub source: String,
    /// The principal that the trust policy names for it, where that is known.
    pub principal: Option<Arn>,
    /// Whether the trust policy is to name it.
    pub presence: Presence,
    /// What keeps the grant from standing.
    pub problem: Option<Problem>,
    /// The unique ID of the source, if it has one: a principal of the same name with another ID must be written anew.
    pub source_id: Option<String>,
}

impl Grant {
    /// Whether the source is likely to be ready in a moment, so that a role that is not made yet does well to wait for it.
    pub fn is_coming(&self) -> bool {
        self.presence == Presence::Kept && self.problem.as_ref().is_some_and(|p| p.reason.class() < Class::Stalled)
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
    /// Whether the assume policy is to allow it.
    pub presence: Presence,
    /// Whether the role is wanted and merely not made yet, so that the user does well to wait a moment before it tells how it stands.
    pub is_coming: bool,
}

/// Name of the user in IAM, and its path.
///
/// # Errors
/// [`Reason::InvalidSpec`], which the API server's own checks should have refused.
pub fn user_identity(user: &BastionUser) -> Result<(UserName, Path), Problem> {
    let name = user.spec.user_name.as_deref().or(user.metadata.name.as_deref()).unwrap_or_default();
    Ok((parse("spec.userName", name)?, parse_path(user.spec.path.as_deref())?))
}

/// Name of the role in IAM, and its path.
///
/// # Errors
/// [`Reason::InvalidSpec`], which the API server's own checks should have refused.
pub fn role_identity(role: &CrossAccountRole) -> Result<(RoleName, Path), Problem> {
    let name = role.spec.role_name.as_deref().or(role.metadata.name.as_deref()).unwrap_or_default();
    Ok((parse("spec.roleName", name)?, parse_path(role.spec.path.as_deref())?))
}

fn parse_path(path: Option<&str>) -> Result<Path, Problem> {
    path.map_or_else(|| Ok(Path::root()), |p| parse("spec.path", p))
}

/// Reads a value of the spec.
///
/// # Errors
/// [`Reason::InvalidSpec`] that names the field.
pub fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(field: &str, value: &str) -> Result<T, Problem> {
    value.parse().map_err(|e| Problem::new(Reason::InvalidSpec, format!("{field}: {e}")))
}

/// The sources of a role, entry by entry, as they stand.
pub fn grants_of_role(world: &dyn World, role: &CrossAccountRole, at: &Placement) -> Vec<Vec<Grant>> {
    let one = |entry: &TrustEntry, source: &Source| match (&source.user, &source.account) {
        (Some(user), None) => user_grant(world, role, at, entry.principal, &user_key(role, user.namespace.as_deref(), &user.name)),
        (None, Some(account)) => account_grant(world, role, at, account),
        _ => Grant {
            source: "none".into(),
            principal: None,
            presence: Presence::Absent,
            problem: Some(Problem::new(Reason::InvalidSpec, "spec.trust: a source is exactly one of user and account")),
            source_id: None,
        },
    };
    role.spec.trust.iter().map(|entry| entry.from.iter().map(|source| one(entry, source)).collect()).collect()
}

/// The users that a role names, each once.
pub fn users_named(role: &CrossAccountRole) -> BTreeSet<ObjectKey> {
    let sources = role.spec.trust.iter().flat_map(|entry| &entry.from);
    sources.filter_map(|s| s.user.as_ref()).map(|u| user_key(role, u.namespace.as_deref(), &u.name)).collect()
}

fn user_key(role: &CrossAccountRole, namespace: Option<&str>, name: &str) -> ObjectKey {
    ObjectKey::new(namespace.or(role.metadata.namespace.as_deref()).unwrap_or_default(), name)
}

/// The roles that a user is to be allowed to assume, in the order of their keys.
pub fn roles_of_user(world: &dyn World, user: &BastionUser) -> Vec<AssumableRole> {
    let key = ObjectKey::of(user);
    world.roles_naming(&key).into_iter().filter_map(|role| world.role(&role)).filter_map(|role| assumable(world, user, &key, &role)).collect()
}

/// ARNs of all roles that name a user, whatever else is to be said of them.
pub fn arns_naming(world: &dyn World, user: &ObjectKey) -> BTreeSet<Arn> {
    let arn = |role: &CrossAccountRole| {
        let declared = find(world, &role.spec.account_ref.name).ok().zip(role_identity(role).ok());
        let declared = declared.map(|(at, (name, path))| Arn::role(&at.partition, &at.id, &path, &name));
        declared.or_else(|| role.status()?.role_arn.as_deref()?.parse().ok())
    };
    world.roles_naming(user).iter().filter_map(|key| world.role(key)).filter_map(|role| arn(&role)).collect()
}

fn assumable(world: &dyn World, user: &BastionUser, user_key_: &ObjectKey, role: &CrossAccountRole) -> Option<AssumableRole> {
    if role.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let (name, path) = role_identity(role).ok()?;
    let of = |arn, presence, is_coming| AssumableRole {
        key: ObjectKey::of(role),
        account: role.spec.account_ref.name.clone(),
        arn,
        path: path.clone(),
        name: name.clone(),
        presence,
        is_coming,
    };
    let Ok(at) = find(world, &role.spec.account_ref.name) else {
        // The account is not to be found, for now: what stands is not withdrawn by that.
        let arn = role.status()?.role_arn.as_deref()?.parse().ok()?;
        return Some(of(arn, Presence::Kept, false));
    };
    let names_user = |source: &Source| source.user.as_ref().is_some_and(|u| user_key(role, u.namespace.as_deref(), &u.name) == *user_key_);
    let entries = role.spec.trust.iter().filter(|entry| entry.from.iter().any(names_user));
    // One entry that stands is enough; failing that, one that keeps.
    let relations: Vec<Presence> = entries.map(|entry| relation(world, role, &at, entry.principal, user).presence).collect();
    let presence = [Presence::Wanted, Presence::Kept].into_iter().find(|p| relations.contains(p))?;
    // A role of that name may be somebody else's and trust the whole account: the right to assume it is given only once it is known to be
    // this resource's own.
    let condition = |kind| role.status().and_then(|s| s.conditions.iter().find(|c| c.type_ == kind));
    let reason = condition(kinds::READY).map(|c| c.reason.as_str());
    let stalled = condition(kinds::STALLED).is_some();
    let disputed = [Reason::Conflict, Reason::IdentityChanged].iter().any(|r| reason == Some(r.as_str()));
    let own = world.role_id(role).is_some() && !disputed;
    let arn = Arn::role(&at.partition, &at.id, &path, &name);
    Some(match presence {
        Presence::Wanted if !own => of(arn, Presence::Kept, !stalled),
        presence => of(arn, presence, false),
    })
}

/// What the resources alone say of "this user may assume this role", whatever has been done about it in AWS.
struct Relation {
    presence: Presence,
    problem: Option<Problem>,
    /// Where the user is placed, where that is known.
    user_at: Option<Placement>,
}

fn relation(world: &dyn World, role: &CrossAccountRole, at: &Placement, form: PrincipalForm, user: &BastionUser) -> Relation {
    let user_key = ObjectKey::of(user);
    let namespace = role.metadata.namespace.as_deref().unwrap_or_default();
    let none = |reason, message: String| Relation { presence: Presence::Absent, problem: Some(Problem::new(reason, message)), user_at: None };
    if user.metadata.deletion_timestamp.is_some() {
        return none(Reason::SourceNotFound, format!("BastionUser {user_key} is being deleted"));
    }
    if !shared_with(user.spec.allow_roles_from.as_ref(), &user_key.namespace, namespace, world.namespace_labels(namespace).as_ref()) {
        let fix = "have its owner add the namespace to its spec.allowRolesFrom";
        return none(Reason::SourceNotAllowed, format!("BastionUser {user_key} does not let namespace {namespace} name it: {fix}"));
    }
    let user_at = match find(world, &user.spec.account_ref.name) {
        Ok(placement) => placement,
        Err(problem) => {
            let problem = Problem::new(Reason::SourceNotReady, format!("BastionUser {user_key}: {}", problem.message));
            return Relation { presence: Presence::Kept, problem: Some(problem), user_at: None };
        }
    };
    if user_at.partition != at.partition {
        return none(
            Reason::PartitionMismatch,
            format!(
                "BastionUser {user_key} is in partition {} and the role in {}: no trust is possible between them",
                user_at.partition, at.partition
            ),
        );
    }
    // From here on the grant may have stood before: it is frozen, not withdrawn.
    let frozen = guard_root(form, at).or_else(|| admit(world, at, namespace, world.role_id(role).is_some()).err()).or_else(|| {
        let refused = admit(world, &user_at, &user_key.namespace, world.user_id(user).is_some()).err()?;
        Some(Problem::new(Reason::SourceNotReady, format!("BastionUser {user_key}: {}", refused.message)))
    });
    Relation { presence: if frozen.is_some() { Presence::Kept } else { Presence::Wanted }, problem: frozen, user_at: Some(user_at) }
}

/// Trusting the root of an account is a guardrail of the role's account.
fn guard_root(form: PrincipalForm, at: &Placement) -> Option<Problem> {
    let allowed = at.account.spec.guardrails.as_ref().is_some_and(|g| g.account_root_trust);
    (form == PrincipalForm::AccountRoot && !allowed).then(|| {
        Problem::new(
            Reason::TrustNotAllowed,
            format!("spec.trust: AWSAccount {} does not allow trusting a whole account: name the users, or have a platform administrator set guardrails.accountRootTrust: true", at.name),
        )
    })
}

fn user_grant(world: &dyn World, role: &CrossAccountRole, at: &Placement, form: PrincipalForm, key: &ObjectKey) -> Grant {
    let source = format!("{}/{key}", BastionUser::KIND);
    let Some(user) = world.user(key) else {
        let problem = Problem::new(Reason::SourceNotFound, format!("there is no BastionUser {key}: create it, or take it out of spec.trust"));
        return Grant { source, principal: None, presence: Presence::Absent, problem: Some(problem), source_id: None };
    };
    let Relation { mut presence, mut problem, user_at } = relation(world, role, at, form, &user);
    let declared = user_at.as_ref().zip(user_identity(&user).ok()).map(|(at, (name, path))| Arn::user(&at.partition, &at.id, &path, &name));
    // Where the user's account is not to be found, its status says what the trust policy names.
    let told = || user.status().filter(|_| presence == Presence::Kept)?.user_arn.as_deref()?.parse().ok();
    let principal = declared.or_else(told).and_then(|user: Arn| match form {
        PrincipalForm::Named => Some(user),
        PrincipalForm::AccountRoot => Some(Arn::account_root(user.partition(), &user.account_id()?)),
    });
    let source_id = world.user_id(&user);
    if presence == Presence::Wanted && source_id.is_none() {
        // IAM refuses a principal that does not exist. One that is there already is the same user, of whom we merely do not know yet.
        if form == PrincipalForm::Named {
            presence = Presence::Kept;
        }
        problem = Some(not_ready(&user, key));
    } else if presence == Presence::Wanted && !allows_role(&user, &ObjectKey::of(role)) {
        problem = Some(Problem::new(Reason::SourceNotReady, format!("the assume policy of BastionUser {key} does not have the role yet")));
    }
    Grant { source, principal, presence, problem, source_id }
}

fn not_ready(user: &BastionUser, key: &ObjectKey) -> Problem {
    let conditions = user.status().map(|s| s.conditions.as_slice()).unwrap_or_default();
    let why = conditions.iter().find(|c| c.type_ == kinds::READY && c.status == "False").map(|c| format!(" ({}: {})", c.reason, c.message));
    Problem::new(Reason::SourceNotReady, format!("BastionUser {key} is not in AWS yet{}", why.unwrap_or_default()))
}

/// Whether the user's status says that its assume policy has the role. A status lists at most 100 roles; beyond them the user's own
/// readiness must do.
fn allows_role(user: &BastionUser, role: &ObjectKey) -> bool {
    user.status().is_some_and(|s| {
        s.roles.iter().any(|r| r.namespace == role.namespace && r.name == role.name)
            || (usize::try_from(s.roles_total).unwrap_or(0) > s.roles.len()
                && s.conditions.iter().any(|c| c.type_ == kinds::READY && c.status == "True"))
    })
}

fn account_grant(world: &dyn World, role: &CrossAccountRole, at: &Placement, name: &str) -> Grant {
    let source = format!("AWSAccount/{name}");
    let absent = |problem| Grant { source: source.clone(), principal: None, presence: Presence::Absent, problem: Some(problem), source_id: None };
    let trusted = match find(world, name) {
        Ok(placement) => placement,
        Err(_) => {
            return absent(Problem::new(
                Reason::SourceNotFound,
                format!("spec.trust: there is no usable AWSAccount {name}: create it, or take it out"),
            ));
        }
    };
    if trusted.partition != at.partition {
        let message =
            format!("AWSAccount {name} is in partition {} and the role in {}: no trust is possible between them", trusted.partition, at.partition);
        return absent(Problem::new(Reason::PartitionMismatch, message));
    }
    let namespace = role.metadata.namespace.as_deref().unwrap_or_default();
    let problem = guard_root(PrincipalForm::AccountRoot, at).or_else(|| admit(world, at, namespace, world.role_id(role).is_some()).err());
    let presence = if problem.is_some() { Presence::Kept } else { Presence::Wanted };
    Grant { source, principal: Some(Arn::account_root(&trusted.partition, &trusted.id)), presence, problem, source_id: None }
}
