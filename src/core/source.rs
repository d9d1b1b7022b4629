//! Users and roles alike, as what they are to the roles that name them: sources of grants.

use kube::core::ObjectMeta;

use super::guardrails::Guard;
use super::listed::{count, is_cut};
use super::names::{Arn, Path, RoleName, UserName};
use super::outcome::{Problem, VIOLATIONS_OF_THE_WHOLE};
use super::placement::{ResolvedAccount, shared_with};
use super::world::{ObjectKey, Ref, SourceKey, World};
use rolebridge_api::common::AllowRolesFrom;
use rolebridge_api::permissions::{Permissions, PolicyStatus};
use rolebridge_api::{BastionUser, Condition, CrossAccountRole, Managed, Reason};

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

/// What the deletion of a user or role means to the other halves of its grants.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Leaving {
    /// It is not being deleted.
    Stays,
    /// Its deletion waits until a person confirms it: what stands stays, and nothing new is granted.
    Waits,
    /// It goes.
    Goes,
}

impl Leaving {
    pub fn of(world: &dyn World, meta: &ObjectMeta, of: &Ref) -> Self {
        match meta.deletion_timestamp {
            None => Self::Stays,
            Some(_) if world.is_held(of) => Self::Waits,
            Some(_) => Self::Goes,
        }
    }
}

/// A resource that can be the source of grants.
#[derive(Clone, Copy)]
pub(super) enum SourceObject<'a> {
    User(&'a BastionUser),
    Role(&'a CrossAccountRole),
}

impl SourceObject<'_> {
    pub fn meta(&self) -> &ObjectMeta {
        match self {
            Self::User(user) => &user.metadata,
            Self::Role(role) => &role.metadata,
        }
    }

    /// What its deletion means to those who trust it.
    pub fn leaving(&self, world: &dyn World) -> Leaving {
        Leaving::of(world, self.meta(), &Ref::from(&self.key()))
    }

    pub fn key(&self) -> SourceKey {
        match self {
            Self::User(user) => SourceKey::User(ObjectKey::of(*user)),
            Self::Role(role) => SourceKey::Role(ObjectKey::of(*role)),
        }
    }

    pub fn account_name(&self) -> &str {
        match self {
            Self::User(user) => &user.spec.account_ref.name,
            Self::Role(role) => &role.spec.account_ref.name,
        }
    }

    pub fn allow_roles_from(&self) -> Option<&AllowRolesFrom> {
        match self {
            Self::User(user) => user.spec.allow_roles_from.as_ref(),
            Self::Role(role) => role.spec.allow_roles_from.as_ref(),
        }
    }

    pub fn declared_arn(&self, at: &ResolvedAccount) -> Option<Arn> {
        match self {
            Self::User(user) => user_identity(user).ok().map(|(name, path)| Arn::user(&at.partition, &at.id, &path, &name)),
            Self::Role(role) => role_identity(role).ok().map(|(name, path)| Arn::role(&at.partition, &at.id, &path, &name)),
        }
    }

    pub fn reported_arn(&self) -> Option<Arn> {
        match self {
            Self::User(user) => user.status()?.user_arn.as_deref()?.parse().ok(),
            Self::Role(role) => role.status()?.role_arn.as_deref()?.parse().ok(),
        }
    }

    /// Whether it has something in AWS, or had.
    pub fn is_placed(&self, world: &dyn World) -> bool {
        self.reported_arn().is_some() || self.unique_id(world).is_some()
    }

    /// The unique ID of what was made for it; None where something else bears its name, which must not be trusted in its place.
    pub fn unique_id(&self, world: &dyn World) -> Option<String> {
        let id = match self {
            Self::User(user) => world.user_id(user),
            Self::Role(role) => world.role_id(role),
        };
        id.filter(|_| !self.ready().is_some_and(says_disputed))
    }

    /// Whether what bears its name, if anything, is known to be another one.
    pub fn is_lost(&self, world: &dyn World) -> bool {
        self.is_gone(world) || self.ready().is_some_and(says_disputed)
    }

    /// Whether what was made for it is gone: what bears its name then is somebody else's, until it is known to be made anew. Not so where the object has
    /// merely lost its owner tags.
    pub fn is_gone(&self, world: &dyn World) -> bool {
        self.reported_id().is_some_and(|id| world.is_gone(id)) || (self.is_made_anew() && self.unique_id(world).is_none())
    }

    /// Whether what bears its name, if anything, is known not to be what was made for it, so that nobody is to have a right to that: it is gone, or another
    /// one has taken its place, or has the name that it never got. Of one that has a unique ID a Conflict alone says too little: that may be over one of its
    /// policies, or over owner tags that it has merely lost.
    pub fn is_another(&self, world: &dyn World) -> bool {
        let says = |reason: Reason| self.ready().is_some_and(|ready| ready.reason == reason.as_str());
        self.is_gone(world) || says(Reason::IdentityChanged) || (says(Reason::Conflict) && self.reported_id().is_none())
    }

    pub fn reported_id(&self) -> Option<&str> {
        match self {
            Self::User(user) => user.status()?.user_id.as_deref(),
            Self::Role(role) => role.status()?.role_id.as_deref(),
        }
    }

    /// Whether what was made for it was deleted in AWS, and another one is being made.
    fn is_made_anew(&self) -> bool {
        match self {
            Self::User(user) => user.status().and_then(BastionUser::deleted_id),
            Self::Role(role) => role.status().and_then(CrossAccountRole::deleted_id),
        }
        .is_some()
    }

    pub fn ready(&self) -> Option<&Condition> {
        match self {
            Self::User(user) => user.ready(),
            Self::Role(role) => role.ready(),
        }
    }

    /// Why it is cut off, if it is: its account wants that of what breaks its rules.
    pub fn why_cut_off(&self, source_at: &ResolvedAccount) -> Option<&str> {
        self.why_not(&VIOLATIONS_OF_THE_WHOLE).filter(|_| Guard::of(source_at).disables())
    }

    /// Whether nothing is to be added to it, since it breaks a rule that speaks of it as a whole: one of its groups or sources that is refused holds up nothing
    /// else. Where the operator lives nobody is cut off, and nothing is added either.
    pub fn is_held(&self) -> bool {
        self.why_not(&VIOLATIONS_OF_THE_WHOLE).or_else(|| self.why_not(&[Reason::BoundaryRequired])).is_some()
    }

    /// Why it is not ready, if that is for one of these reasons.
    fn why_not(&self, reasons: &[Reason]) -> Option<&str> {
        let is_among = |ready: &&Condition| ready.status == "False" && reasons.iter().any(|reason| reason.as_str() == ready.reason);
        self.ready().filter(is_among).map(|ready| ready.message.as_str())
    }

    /// What it says of permissions, if anything.
    pub fn permissions(&self) -> Option<&Permissions> {
        match self {
            Self::User(user) => user.spec.permissions.as_ref(),
            Self::Role(role) => role.spec.permissions.as_ref(),
        }
    }

    /// The customer-managed policies that its status lists.
    pub fn reported_policies(&self) -> &[PolicyStatus] {
        match self {
            Self::User(user) => user.status().map(|status| status.policies.as_slice()),
            Self::Role(role) => role.status().map(|status| status.policies.as_slice()),
        }
        .unwrap_or_default()
    }

    /// The roles that name it and may. Those of namespaces that may not are not looked at: whoever may write roles could make any number of them.
    pub fn roles_naming(&self, world: &dyn World) -> Vec<ObjectKey> {
        let own = self.meta().namespace.as_deref().unwrap_or_default();
        let may = |namespace: &str| shared_with(self.allow_roles_from(), own, namespace, world.namespace_labels(namespace).as_ref());
        world.roles_naming(&self.key(), &may)
    }

    /// Whether its status says that its assume policy has the role. Beyond those that a status lists, that must do that it is ready, or has as many roles as
    /// name it.
    pub fn allows_role(&self, world: &dyn World, role: &ObjectKey) -> bool {
        self.reports_role(role, || self.roles_naming(world).len())
    }

    /// The same, where it is known how many roles name it and may.
    pub fn reports_role(&self, role: &ObjectKey, naming: impl FnOnce() -> usize) -> bool {
        let told = match self {
            Self::User(user) => user.status().map(|s| (&s.roles, s.roles_total)),
            Self::Role(role) => role.status().map(|s| (&s.roles, s.roles_total)),
        };
        told.is_some_and(|(roles, total)| {
            roles.iter().any(|r| r.namespace == role.namespace && r.name == role.name)
                || (is_cut(roles.len(), total) && (self.ready().is_some_and(|ready| ready.status == "True") || total >= count(naming())))
        })
    }
}

/// Whether an object in AWS bears the name that is not the resource's own.
fn says_disputed(ready: &Condition) -> bool {
    [Reason::Conflict, Reason::IdentityChanged].iter().any(|reason| ready.reason == reason.as_str())
}

/// What is to be said of the user or role of this key, if there is one.
pub(super) fn on_source<T>(world: &dyn World, of: &Ref, say: impl FnOnce(SourceObject<'_>) -> T) -> Option<T> {
    match of {
        Ref::User(key) => world.user(key).map(|user| say(SourceObject::User(&user))),
        Ref::Role(key) => world.role(key).map(|role| say(SourceObject::Role(&role))),
        Ref::Account(_) => None,
    }
}
