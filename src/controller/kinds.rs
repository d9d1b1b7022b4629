//! What distinguishes the kinds on the way that all of them take.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use kube::core::ObjectMeta;
use kube::{Api, Client, ResourceExt};

use super::caches::Watched;
use super::context::Context;
use super::history::History;
use super::pass::uid;
use crate::api::conditions::kinds;
use crate::api::permissions::PolicyStatus;
use crate::api::role::TrustStatus;
use crate::api::user::{AssumableRole, AssumePolicyStatus};
use crate::api::{AWSAccount, BastionUser, Condition, CrossAccountRole, Managed};
use crate::core::access::LONG_LIVED_KEYS;
use crate::core::assume::{Found, Listed};
use crate::core::desired::{Desired, desired_role, desired_user, owner};
use crate::core::grants::{AssumableRole as Assumed, Grant, opens_in_console, role_identity, roles_of_role, roles_of_user, user_identity};
use crate::core::identity::IdentityName;
use crate::core::listed::{LISTED, count, is_cut};
use crate::core::names::{Arn, Path, UniqueID, switch_role_url};
use crate::core::observed::Observed;
use crate::core::outcome::Problem;
use crate::core::ownership::Owner;
use crate::core::placement::{Placement, find};
use crate::core::plan::Removed;
use crate::core::possible::PolicyHolder;
use crate::core::quotas::Quotas;
use crate::core::sources::grants_of_role;
use crate::core::status;
use crate::core::trust::Principal;
use crate::core::unmanaged::Staying;
use crate::core::world::{ObjectKey, SourceKey, World};

/// How long a user that is cut off waits for the roles that trust it to let go, before it is deleted all the same.
const RELEASE_BOUND: SignedDuration = SignedDuration::from_secs(60);

/// A kind on its way through a reconcile.
pub trait Kind: Watched {
    /// The conditions that the kind has besides the summary, in the order in which they are settled.
    const ASPECTS: &'static [&'static str];

    /// Name of the AWSAccount that it is placed in, or is.
    fn account_name(&self) -> &str;

    /// The API of the kind.
    fn api(client: Client, namespace: &str) -> Api<Self>;

    /// Puts the generation and the conditions into a status.
    fn conclude(status: &mut Self::Status, generation: i64, conditions: Vec<Condition>);

    /// What is to be told with Ready although all is as declared.
    fn warning(&self) -> Option<&'static str> {
        None
    }
}

/// A kind that stands for a user or role in IAM.
#[async_trait]
pub trait IdentityKind: Kind {
    /// The unique ID in its status.
    fn pinned(&self) -> Option<UniqueID>;

    /// The unique ID of what was deleted in AWS, while another one is made in its place.
    fn deleted(&self) -> Option<UniqueID> {
        Self::deleted_id(self.status()?)?.parse().ok()
    }

    /// The unique ID that what was made for it must have: the one in its status, or the one that this process was told when it made it. What it made and has
    /// seen since comes before what the status tells, which another process may have written of one before.
    fn identity_id(&self, context: &Context) -> Option<UniqueID> {
        let (of, uid) = (Self::reference(ObjectKey::of(self)), uid(self));
        let own = context.memory.deeds(&of, |deeds| deeds.is_for(&uid).then(|| (deeds.shown().cloned(), deeds.made().cloned()))).flatten();
        let (shown, made) = own.unwrap_or_default();
        shown.or_else(|| self.pinned()).or(made).filter(|id| self.deleted().as_ref() != Some(id))
    }

    /// What it wants of AWS.
    async fn desired(&self, context: &Context, at: &Placement) -> Result<Result<Desired, Vec<Problem>>, kube::Error>;

    /// ARN that its status has, if any.
    fn told_arn(&self) -> Option<Arn>;

    /// ARN of its user or role, as it is declared.
    fn declared_arn(&self, at: &Placement) -> Option<Arn>;

    /// Its name in IAM, and its path.
    fn identity(&self) -> Result<(IdentityName, Path), Problem>;

    /// What it says of its policies.
    fn holder(&self) -> PolicyHolder<'_>;

    /// The customer-managed policies that its status lists, the assume policies among them.
    fn told_policies(&self) -> BTreeSet<Arn> {
        self.holder().told()
    }

    /// The customer-managed policies that it is likely to have.
    fn likely_policies(&self, context: &Context, at: &Placement) -> BTreeSet<Arn> {
        let Ok((name, path)) = self.identity() else { return self.told_policies() };
        self.holder().likely(&*context.caches, at, &path, &name)
    }

    /// Where its status lists its customer-managed policies.
    fn listed_policies(status: &mut Self::Status) -> &mut Vec<PolicyStatus>;

    /// A status that tells of these customer-managed policies, too.
    fn with_policies<'p>(mut status: Self::Status, policies: impl Iterator<Item = &'p Arn>) -> Self::Status {
        let listed = Self::listed_policies(&mut status);
        for arn in policies {
            let is_listed = listed.iter().any(|policy| policy.arn == arn.as_str());
            if !is_listed && listed.len() < LISTED {
                listed.push(PolicyStatus { arn: arn.to_string() });
            }
        }
        status
    }

    /// Tells in its status of the user or role that was made for it.
    fn tell_made(status: &mut Self::Status, arn: &Arn, id: &UniqueID);

    /// Tells in its status that the user or role with this unique ID was deleted in AWS.
    fn tell_lost(status: &mut Self::Status, id: &UniqueID);

    /// Since when it is Ready without a break, or is not.
    fn ready_since(&self, is_ready: bool) -> Option<Timestamp> {
        let ready = self.ready().filter(|ready| (ready.status == "True") == is_ready)?;
        ready.last_transition_time.parse().ok()
    }

    /// What it wants of AWS while its declaration cannot be carried out: that withdrawn grants end, and nothing else. None where
    /// nothing was made for it.
    fn withdraw_revoked(&self, context: &Context, at: &Placement, found: &Observed) -> Option<Desired>;

    /// Its status as far as AWS determines it.
    fn facts(&self, context: &Context, at: &Placement, desired: &Desired, observed: &Observed) -> Self::Status;

    /// What its removal needs to know.
    fn removed(&self, context: &Context, at: &Placement) -> Result<Removed, Problem> {
        let (name, path) = self.identity()?;
        let policies = self.holder().possible(&*context.caches, at, &path, &name);
        let owner = owner(self, &context.settings.installation);
        Ok(Removed { owner, pinned: self.identity_id(context), name, policies, quotas: Quotas::of(&at.account) })
    }

    /// What still holds on to the object that is being deleted, for people; empty when it may go.
    fn held_by(&self, context: &Context, now: Timestamp) -> Vec<String>;
}

impl Kind for AWSAccount {
    const ASPECTS: &'static [&'static str] = &[];

    fn account_name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    fn api(client: Client, _: &str) -> Api<Self> {
        Api::all(client)
    }

    fn conclude(status: &mut Self::Status, generation: i64, conditions: Vec<Condition>) {
        status.observed_generation = generation;
        status.conditions = conditions;
    }

    fn warning(&self) -> Option<&'static str> {
        self.spec.access.secret_ref.as_ref().map(|_| LONG_LIVED_KEYS)
    }
}

impl Kind for BastionUser {
    const ASPECTS: &'static [&'static str] = &[kinds::ACCOUNT_READY, kinds::REFERENCES_RESOLVED, kinds::SYNCED];

    fn account_name(&self) -> &str {
        &self.spec.account_ref.name
    }

    fn api(client: Client, namespace: &str) -> Api<Self> {
        Api::namespaced(client, namespace)
    }

    fn conclude(status: &mut Self::Status, generation: i64, conditions: Vec<Condition>) {
        status.observed_generation = generation;
        status.conditions = conditions;
    }
}

impl Kind for CrossAccountRole {
    const ASPECTS: &'static [&'static str] = &[kinds::ACCOUNT_READY, kinds::REFERENCES_RESOLVED, kinds::SYNCED];

    fn account_name(&self) -> &str {
        &self.spec.account_ref.name
    }

    fn api(client: Client, namespace: &str) -> Api<Self> {
        Api::namespaced(client, namespace)
    }

    fn conclude(status: &mut Self::Status, generation: i64, conditions: Vec<Condition>) {
        status.observed_generation = generation;
        status.conditions = conditions;
    }
}

#[async_trait]
impl IdentityKind for BastionUser {
    fn pinned(&self) -> Option<UniqueID> {
        self.status.as_ref()?.user_id.as_deref()?.parse().ok()
    }

    fn told_arn(&self) -> Option<Arn> {
        self.status.as_ref()?.user_arn.as_deref()?.parse().ok()
    }

    async fn desired(&self, context: &Context, at: &Placement) -> Result<Result<Desired, Vec<Problem>>, kube::Error> {
        let texts = context.config_maps.texts(&context.caches, self.metadata.namespace.as_deref(), self.spec.permissions.as_ref()).await?;
        let desired = desired_user(&*context.caches, self, at, &texts, &context.settings.installation);
        Ok(desired.map(|desired| as_made(self, context, desired)))
    }

    fn declared_arn(&self, at: &Placement) -> Option<Arn> {
        let (name, path) = user_identity(self).ok()?;
        Some(Arn::user(&at.partition, &at.id, &path, &name))
    }

    fn identity(&self) -> Result<(IdentityName, Path), Problem> {
        user_identity(self).map(|(name, path)| (IdentityName::User(name), path))
    }

    fn holder(&self) -> PolicyHolder<'_> {
        self.into()
    }

    fn listed_policies(status: &mut Self::Status) -> &mut Vec<PolicyStatus> {
        &mut status.policies
    }

    fn tell_made(status: &mut Self::Status, arn: &Arn, id: &UniqueID) {
        (status.user_arn, status.user_id, status.deleted_user_id) = (Some(arn.to_string()), Some(id.to_string()), None);
    }

    fn tell_lost(status: &mut Self::Status, id: &UniqueID) {
        (status.user_id, status.deleted_user_id) = (None, Some(id.to_string()));
    }

    fn withdraw_revoked(&self, context: &Context, at: &Placement, found: &Observed) -> Option<Desired> {
        let (owner, arn) = (owner(self, &context.settings.installation), self.declared_arn(at)?);
        let known = known_id(self.identity_id(context), &owner, found)?;
        Desired::withdraw_revoked(owner, known, None, roles_of_user(&*context.caches, self), arn, Quotas::of(&at.account), found)
    }

    fn facts(&self, context: &Context, _: &Placement, desired: &Desired, observed: &Observed) -> Self::Status {
        let lost = lost(self, desired, observed);
        let Assuming { policies: assume_policies, roles, total: roles_total } = assuming(context, desired, observed);
        let unmanaged = Staying::reported(desired, observed);
        Self::Status {
            user_arn: (observed.identity.is_some() || lost.is_some()).then(|| desired.arn.to_string()),
            user_id: observed.identity.as_ref().map(|found| found.id.to_string()),
            deleted_user_id: lost,
            policies: status::policies(desired, observed),
            unmanaged_policies: unmanaged.iter().take(LISTED).map(|policy| (*policy).to_owned()).collect(),
            unmanaged_policies_total: count(unmanaged.len()),
            assume_policies,
            roles_total,
            roles,
            ..Self::Status::default()
        }
    }

    fn held_by(&self, context: &Context, now: Timestamp) -> Vec<String> {
        held_by(context, &self.metadata, &self.source(), now)
    }
}

impl BastionUser {
    fn source(&self) -> SourceKey {
        SourceKey::User(ObjectKey::of(self))
    }
}

/// What is wanted, in the light of what this process has made and no status tells of yet.
fn as_made<K: IdentityKind>(object: &K, context: &Context, desired: Desired) -> Desired {
    let history = History::of(context, object);
    Desired { pinned: object.identity_id(context), is_behind: history.is_recent(), written_trust: history.trust_written(), ..desired }
}

/// The unique ID of what was made for a resource and is not there any more.
fn lost<K: IdentityKind>(object: &K, desired: &Desired, observed: &Observed) -> Option<String> {
    let lost = desired.pinned.clone().or_else(|| object.deleted()).filter(|_| observed.identity.is_none());
    lost.map(|id| id.to_string())
}

/// The unique ID of what was made for a resource: what its status has, or what bears its owner tags down to its very UID, where a process died before it
/// could tell.
fn known_id(pinned: Option<UniqueID>, owner: &Owner, found: &Observed) -> Option<UniqueID> {
    let told = || found.identity.as_ref().filter(|found| owner.is_told_by(&found.identity.tags)).map(|found| found.id.clone());
    pinned.or_else(told)
}

/// What a status tells of the roles that a source may assume.
struct Assuming {
    policies: Vec<AssumePolicyStatus>,
    roles: Vec<AssumableRole>,
    total: i64,
}

fn assuming(context: &Context, desired: &Desired, observed: &Observed) -> Assuming {
    let found = Found::of(&desired.identity, &desired.owner, observed);
    let allowed = found.assumable();
    let link = |role: &Assumed| {
        let at = find(&*context.caches, &role.account).ok().filter(|_| role.opens_in_console)?;
        switch_role_url(&at.partition, at.console_name(), &role.path, &role.name, &role.key.name)
    };
    let told = |role: &Assumed| AssumableRole {
        name: role.key.name.clone(),
        namespace: role.key.namespace.clone(),
        role_arn: role.arn.to_string(),
        switch_role_url: link(role),
    };
    let roles: Vec<&Assumed> = desired.assumes.iter().filter(|role| allowed.contains(role.arn.as_str())).collect();
    Assuming {
        policies: found.listed(desired.quotas.inline_policies_size(&desired.identity.name)).map(assume_policy_status).collect(),
        total: count(roles.len()),
        roles: roles.into_iter().take(LISTED).map(told).collect(),
    }
}

/// The roles that may still trust a source that is being deleted, and that it waits for, for a while.
fn held_by(context: &Context, source: &ObjectMeta, key: &SourceKey, now: Timestamp) -> Vec<String> {
    let since = source.deletion_timestamp.as_ref().map(|t| t.0);
    if since.is_some_and(|since| now.duration_since(since) > RELEASE_BOUND) {
        return vec![];
    }
    let told = key.to_string();
    let others = context.caches.roles_naming(key).into_iter().filter(|role| SourceKey::Role(role.clone()) != *key);
    let roles = others.filter_map(|key| context.caches.role(&key)).filter(|role| names_in_aws(role, &told));
    roles.map(|role| ObjectKey::of(&*role).to_string()).collect()
}

fn assume_policy_status(policy: Listed<'_>) -> AssumePolicyStatus {
    AssumePolicyStatus {
        name: policy.name.into(),
        arn: policy.arn.map(Arn::to_string),
        bytes: count(policy.document.size()),
        quota: count(policy.quota),
    }
}

/// Whether a role's trust policy may still name a source. A role that carries our finalizer and has not said anything yet may, and so may one that has
/// no room to tell of all sources.
fn names_in_aws(role: &CrossAccountRole, source: &str) -> bool {
    if !role.is_finalized() {
        return false;
    }
    match role.status.as_ref().filter(|status| status.observed_generation >= 0) {
        None => true,
        Some(status) => {
            let mut told = status.grants.iter().filter(|told| told.source == source).peekable();
            if told.peek().is_some() { told.any(|told| told.principal.is_some()) } else { is_cut(status.grants.len(), status.grants_total) }
        }
    }
}

#[async_trait]
impl IdentityKind for CrossAccountRole {
    fn pinned(&self) -> Option<UniqueID> {
        self.status.as_ref()?.role_id.as_deref()?.parse().ok()
    }

    fn told_arn(&self) -> Option<Arn> {
        self.status.as_ref()?.role_arn.as_deref()?.parse().ok()
    }

    async fn desired(&self, context: &Context, at: &Placement) -> Result<Result<Desired, Vec<Problem>>, kube::Error> {
        let texts = context.config_maps.texts(&context.caches, self.metadata.namespace.as_deref(), self.spec.permissions.as_ref()).await?;
        let desired = desired_role(&*context.caches, self, at, &texts, &context.settings.installation);
        Ok(desired.map(|desired| as_made(self, context, desired)))
    }

    fn declared_arn(&self, at: &Placement) -> Option<Arn> {
        let (name, path) = role_identity(self).ok()?;
        Some(Arn::role(&at.partition, &at.id, &path, &name))
    }

    fn identity(&self) -> Result<(IdentityName, Path), Problem> {
        role_identity(self).map(|(name, path)| (IdentityName::Role(name), path))
    }

    fn holder(&self) -> PolicyHolder<'_> {
        self.into()
    }

    fn listed_policies(status: &mut Self::Status) -> &mut Vec<PolicyStatus> {
        &mut status.policies
    }

    fn tell_made(status: &mut Self::Status, arn: &Arn, id: &UniqueID) {
        (status.role_arn, status.role_id, status.deleted_role_id) = (Some(arn.to_string()), Some(id.to_string()), None);
    }

    fn tell_lost(status: &mut Self::Status, id: &UniqueID) {
        (status.role_id, status.deleted_role_id) = (None, Some(id.to_string()));
    }

    fn withdraw_revoked(&self, context: &Context, at: &Placement, found: &Observed) -> Option<Desired> {
        let (owner, arn) = (owner(self, &context.settings.installation), self.declared_arn(at)?);
        let known = known_id(self.identity_id(context), &owner, found)?;
        let trust = grants_of_role(&*context.caches, self, at);
        let assumes = roles_of_role(&*context.caches, self);
        let less = Desired::withdraw_revoked(owner, known, Some(trust), assumes, arn, Quotas::of(&at.account), found)?;
        Some(Desired { written_trust: History::of(context, self).trust_written(), ..less })
    }

    fn facts(&self, context: &Context, at: &Placement, desired: &Desired, observed: &Observed) -> Self::Status {
        let found = observed.identity.as_ref();
        let policy = found.and_then(|f| f.identity.role.as_ref()).map(|role| &role.trust_policy);
        let trust = desired.trust_there(observed).map(|trust| desired.with_names(trust));
        let grants: Vec<&Grant> = desired.trust.iter().flatten().flatten().collect();
        let principals: BTreeSet<&Principal> = trust.iter().flat_map(|trust| &trust.admissions).map(|a| &a.principal).collect();
        let lost = lost(self, desired, observed);
        let Assuming { policies: assume_policies, roles, total: roles_total } = assuming(context, desired, observed);
        let IdentityName::Role(name) = &desired.identity.name else { return Self::Status::default() };
        let unmanaged = Staying::reported(desired, observed);
        let link = || switch_role_url(&at.partition, at.console_name(), &desired.identity.path, name, &self.name_any());
        Self::Status {
            role_arn: (found.is_some() || lost.is_some()).then(|| desired.arn.to_string()),
            role_id: found.map(|f| f.id.to_string()),
            deleted_role_id: lost,
            switch_role_url: found.filter(|_| opens_in_console(self)).and_then(|_| link()),
            trust: policy.map(|policy| TrustStatus {
                bytes: count(policy.size()),
                quota: count(desired.quotas.trust_policy_size),
                principals: count(principals.len()),
            }),
            policies: status::policies(desired, observed),
            unmanaged_policies: unmanaged.iter().take(LISTED).map(|policy| (*policy).to_owned()).collect(),
            unmanaged_policies_total: count(unmanaged.len()),
            grants_total: count(grants.len()),
            grants: status::grants(&grants, trust.as_ref()),
            assume_policies,
            roles,
            roles_total,
            ..Self::Status::default()
        }
    }

    fn held_by(&self, context: &Context, now: Timestamp) -> Vec<String> {
        held_by(context, &self.metadata, &self.source(), now)
    }
}

impl CrossAccountRole {
    fn source(&self) -> SourceKey {
        SourceKey::Role(ObjectKey::of(self))
    }
}
