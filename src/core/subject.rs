//! What a user and a role have in common on their way to AWS, and what sets them apart.

use std::collections::BTreeSet;

use kube::ResourceExt;

use super::attachable::{Use, check_place};
use super::desired::{Desired, desired_role, desired_user, told_boundary};
use super::document::Document;
use super::external_roles;
use super::grants::{Grant, opens_in_console, roles_of_role, roles_of_user};
use super::guardrails::Guard;
use super::home::has_powers;
use super::identity::IdentityName;
use super::listed::{LISTED, count};
use super::names::{Arn, Path, UniqueID, switch_role_url};
use super::observed::Observed;
use super::ours::Ours;
use super::outcome::Problem;
use super::ownership::Owner;
use super::permissions::ConfigTexts;
use super::placement::ResolvedAccount;
use super::plan::DeletionTarget;
use super::possible::PolicyHolder;
use super::quotas::Quotas;
use super::source::{role_identity, user_identity};
use super::sources::Sources;
use super::status::{self, Assuming, assuming};
use super::tenancy::{roles_per_source, too_many_grants};
use super::trust::{Principal, Trust};
use super::unmanaged::UnmanagedPolicies;
use super::wanted::{Remaining, Restraint};
use super::world::{ObjectKey, SourceKey, World};
use rolebridge_api::permissions::{Permissions, PolicyStatus};
use rolebridge_api::role::TrustStatus;
use rolebridge_api::{BastionUser, CrossAccountRole, Managed};

/// What a process remembers of what was made for a resource.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// Its unique ID.
    pub pinned: Option<UniqueID>,
    /// What of policies and boundary it has put on, and the status may not tell yet.
    pub ours: Ours,
    /// The trust policy that was written so lately that IAM may show the one before.
    pub written_trust: Option<Document>,
}

/// A resource that stands for a user or role in IAM.
pub trait Subject: Managed {
    /// How others name it as a source of theirs.
    fn source(&self) -> SourceKey;

    /// The unique ID in its status.
    fn pinned(&self) -> Option<UniqueID>;

    /// The unique ID of what was deleted in AWS, while another one is made in its place.
    fn deleted(&self) -> Option<UniqueID> {
        Self::deleted_id(self.status()?)?.parse().ok()
    }

    /// What it says of permissions, if anything.
    fn permissions(&self) -> Option<&Permissions>;

    /// Whether it declares anything that it could use against its account.
    fn has_powers(&self) -> bool {
        has_powers(self.permissions(), None)
    }

    /// What it wants of AWS. `texts` are the ConfigMaps that its permissions name.
    ///
    /// # Errors
    /// All that is wrong with the resource itself, and missing ConfigMaps.
    fn desired(&self, world: &dyn World, at: &ResolvedAccount, texts: &ConfigTexts, installation: &str) -> Result<Desired, Vec<Problem>>;

    /// ARN that its status has, if any.
    fn reported_arn(&self) -> Option<Arn>;

    /// What of policies and boundary is its own and there, as its status tells.
    fn reported_ours(&self) -> Ours;

    /// What its status tells of policies that others put on it.
    fn reported_unmanaged(&self) -> &[String];

    /// The permissions boundary that its account has put on, or is about to, as it tells.
    fn reported_boundary(&self) -> Option<&str>;

    /// ARN of its user or role, as it is declared.
    fn declared_arn(&self, at: &ResolvedAccount) -> Option<Arn>;

    /// Its name in IAM, and its path.
    ///
    /// # Errors
    /// [`Reason::InvalidSpec`], which the API server's own checks should have refused.
    ///
    /// [`Reason::InvalidSpec`]: rolebridge_api::Reason::InvalidSpec
    fn identity(&self) -> Result<(IdentityName, Path), Problem>;

    /// What it says of its policies.
    fn holder(&self) -> PolicyHolder<'_>;

    /// The customer-managed policies that its status lists, the assume policies among them.
    fn reported_policies(&self) -> BTreeSet<Arn> {
        self.holder().reported()
    }

    /// The customer-managed policies that it is likely to have.
    fn likely_policies(&self, world: &dyn World, at: &ResolvedAccount) -> BTreeSet<Arn> {
        let Ok((name, path)) = self.identity() else { return self.reported_policies() };
        self.holder().likely(world, at, &path, &name)
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

    /// Tells in its status of the permissions boundary that its account puts on.
    fn tell_boundary(status: &mut Self::Status, boundary: &str);

    /// Tells in its status of the user or role that was made for it.
    fn tell_made(status: &mut Self::Status, arn: &Arn, id: &UniqueID);

    /// Tells in its status that the user or role with this unique ID was deleted in AWS.
    fn tell_lost(status: &mut Self::Status, id: &UniqueID);

    /// What it wants of AWS while its declaration cannot be carried out: that withdrawn grants end, and what else holds it back. None where
    /// nothing was made for it. `remembered` is what this process knows of that.
    fn held_back(
        &self,
        world: &dyn World,
        at: &ResolvedAccount,
        owner: Owner,
        remembered: Remembered,
        restraint: Restraint,
        found: &Observed,
    ) -> Option<Desired>;

    /// Its status as far as AWS determines it.
    fn facts(&self, world: &dyn World, at: &ResolvedAccount, desired: &Desired, observed: &Observed) -> Self::Status;

    /// What its removal needs to know. `pinned` is the unique ID of what was made for it, as far as that is known.
    ///
    /// # Errors
    /// Where its name in IAM cannot be told.
    fn removed(&self, world: &dyn World, at: &ResolvedAccount, owner: Owner, pinned: Option<UniqueID>) -> Result<DeletionTarget, Problem> {
        let (name, path) = self.identity()?;
        let policies = self.holder().possible(world, at, &path, &name);
        Ok(DeletionTarget { owner, pinned, name, policies, quotas: Quotas::of(&at.account) })
    }
}

impl Subject for BastionUser {
    fn source(&self) -> SourceKey {
        SourceKey::User(ObjectKey::of(self))
    }

    fn pinned(&self) -> Option<UniqueID> {
        self.status.as_ref()?.user_id.as_deref()?.parse().ok()
    }

    fn reported_arn(&self) -> Option<Arn> {
        self.status.as_ref()?.user_arn.as_deref()?.parse().ok()
    }

    fn reported_ours(&self) -> Ours {
        Ours::told(self.status.as_ref().and_then(|status| status.declared.as_ref()))
    }

    fn reported_unmanaged(&self) -> &[String] {
        self.status.as_ref().map(|status| status.unmanaged_policies.as_slice()).unwrap_or_default()
    }

    fn reported_boundary(&self) -> Option<&str> {
        told_boundary(self, self.status.as_ref().map(|status| (&status.permissions_boundary_arn, &status.user_arn)))
    }

    fn permissions(&self) -> Option<&Permissions> {
        self.spec.permissions.as_ref()
    }

    fn has_powers(&self) -> bool {
        has_powers(self.permissions(), self.spec.groups.as_deref())
    }

    fn desired(&self, world: &dyn World, at: &ResolvedAccount, texts: &ConfigTexts, installation: &str) -> Result<Desired, Vec<Problem>> {
        desired_user(world, self, at, texts, installation)
    }

    fn declared_arn(&self, at: &ResolvedAccount) -> Option<Arn> {
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

    fn tell_boundary(status: &mut Self::Status, boundary: &str) {
        status.permissions_boundary_arn = Some(boundary.to_string());
    }

    fn tell_made(status: &mut Self::Status, arn: &Arn, id: &UniqueID) {
        (status.user_arn, status.user_id, status.deleted_user_id) = (Some(arn.to_string()), Some(id.to_string()), None);
    }

    fn tell_lost(status: &mut Self::Status, id: &UniqueID) {
        (status.user_id, status.deleted_user_id) = (None, Some(id.to_string()));
    }

    fn held_back(
        &self,
        world: &dyn World,
        at: &ResolvedAccount,
        owner: Owner,
        remembered: Remembered,
        restraint: Restraint,
        found: &Observed,
    ) -> Option<Desired> {
        let (pinned, arn) = (known_id(remembered.pinned, &owner, found)?, self.declared_arn(at)?);
        let (assumes, quotas) = (roles_of_user(world, self, roles_per_source(at)).roles, Quotas::of(&at.account));
        let (boundary, imposed, cut_off) = restrained(self, restraint, at, found);
        let ours = remembered.ours.or(self.reported_ours());
        let remaining = Remaining { owner, pinned, arn, trust: None, assumes, quotas, written_trust: None, imposed, ours, boundary, cut_off };
        Some(without_withdrawn(world, self, Desired::held_back(remaining, found)?))
    }

    fn facts(&self, world: &dyn World, _: &ResolvedAccount, desired: &Desired, observed: &Observed) -> Self::Status {
        let lost = lost(self, desired, observed);
        let Assuming { policies: assume_policies, roles, total: roles_total } = assuming(world, desired, observed);
        let unmanaged = UnmanagedPolicies::reported(desired, observed);
        Self::Status {
            user_arn: (observed.identity.is_some() || lost.is_some()).then(|| desired.arn.to_string()),
            user_id: observed.identity.as_ref().map(|found| found.id.to_string()),
            deleted_user_id: lost,
            permissions_boundary_arn: imposed(self, desired, observed),
            policies: status::policies(desired, observed),
            declared: desired.there_of(&desired.ours, observed).to_status(),
            unmanaged_policies: unmanaged.iter().take(LISTED).map(|policy| (*policy).to_owned()).collect(),
            unmanaged_policies_total: count(unmanaged.len()),
            assume_policies,
            roles_total,
            roles,
            ..Self::Status::default()
        }
    }
}

impl Subject for CrossAccountRole {
    fn source(&self) -> SourceKey {
        SourceKey::Role(ObjectKey::of(self))
    }

    fn pinned(&self) -> Option<UniqueID> {
        self.status.as_ref()?.role_id.as_deref()?.parse().ok()
    }

    fn reported_arn(&self) -> Option<Arn> {
        self.status.as_ref()?.role_arn.as_deref()?.parse().ok()
    }

    fn reported_ours(&self) -> Ours {
        Ours::told(self.status.as_ref().and_then(|status| status.declared.as_ref()))
    }

    fn reported_unmanaged(&self) -> &[String] {
        self.status.as_ref().map(|status| status.unmanaged_policies.as_slice()).unwrap_or_default()
    }

    fn reported_boundary(&self) -> Option<&str> {
        told_boundary(self, self.status.as_ref().map(|status| (&status.permissions_boundary_arn, &status.role_arn)))
    }

    fn permissions(&self) -> Option<&Permissions> {
        self.spec.permissions.as_ref()
    }

    fn desired(&self, world: &dyn World, at: &ResolvedAccount, texts: &ConfigTexts, installation: &str) -> Result<Desired, Vec<Problem>> {
        desired_role(world, self, at, texts, installation)
    }

    fn declared_arn(&self, at: &ResolvedAccount) -> Option<Arn> {
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

    fn tell_boundary(status: &mut Self::Status, boundary: &str) {
        status.permissions_boundary_arn = Some(boundary.to_string());
    }

    fn tell_made(status: &mut Self::Status, arn: &Arn, id: &UniqueID) {
        (status.role_arn, status.role_id, status.deleted_role_id) = (Some(arn.to_string()), Some(id.to_string()), None);
    }

    fn tell_lost(status: &mut Self::Status, id: &UniqueID) {
        (status.role_id, status.deleted_role_id) = (None, Some(id.to_string()));
    }

    fn held_back(
        &self,
        world: &dyn World,
        at: &ResolvedAccount,
        owner: Owner,
        remembered: Remembered,
        restraint: Restraint,
        found: &Observed,
    ) -> Option<Desired> {
        let (pinned, arn) = (known_id(remembered.pinned, &owner, found)?, self.declared_arn(at)?);
        let sources = Sources::of(world, self);
        let trust = match too_many_grants(sources.count(), at) {
            None => sources.grants(at),
            Some(_) => {
                let shown = found.identity.as_ref().and_then(|found| found.identity.role.as_ref()).map(|role| &role.trust_policy);
                let shown: Vec<Trust> = shown.into_iter().chain(&remembered.written_trust).map(|document| Trust::of(document, &at.id)).collect();
                sources.standing(at, &shown)
            }
        };
        let (assumes, quotas) = (roles_of_role(world, self, roles_per_source(at)).roles, Quotas::of(&at.account));
        let (boundary, imposed, cut_off) = restrained(self, restraint, at, found);
        let ours = remembered.ours.or(self.reported_ours());
        let written_trust = remembered.written_trust;
        let remaining = Remaining { owner, pinned, arn, trust: Some(trust), assumes, quotas, written_trust, imposed, ours, boundary, cut_off };
        Some(without_withdrawn(world, self, Desired::held_back(remaining, found)?))
    }

    fn facts(&self, world: &dyn World, at: &ResolvedAccount, desired: &Desired, observed: &Observed) -> Self::Status {
        let found = observed.identity.as_ref();
        let policy = found.and_then(|f| f.identity.role.as_ref()).map(|role| &role.trust_policy);
        let trust = desired.trust_there(observed).map(|trust| desired.with_names(trust));
        let grants: Vec<&Grant> = desired.trust.iter().flatten().flatten().collect();
        let principals: BTreeSet<&Principal> = trust.iter().flat_map(|trust| &trust.rules).map(|a| &a.principal).collect();
        let lost = lost(self, desired, observed);
        let Assuming { policies: assume_policies, roles, total: roles_total } = assuming(world, desired, observed);
        let IdentityName::Role(name) = &desired.identity.name else { return Self::Status::default() };
        let unmanaged = UnmanagedPolicies::reported(desired, observed);
        let link = || switch_role_url(&at.partition, at.console_name(), &desired.identity.path, name, &self.name_any());
        Self::Status {
            role_arn: (found.is_some() || lost.is_some()).then(|| desired.arn.to_string()),
            role_id: found.map(|f| f.id.to_string()),
            deleted_role_id: lost,
            permissions_boundary_arn: imposed(self, desired, observed),
            switch_role_url: found.filter(|_| opens_in_console(self)).and_then(|_| link()),
            trust: policy.map(|policy| TrustStatus {
                bytes: count(policy.size()),
                quota: count(desired.quotas.trust_policy_size),
                principals: count(principals.len()),
            }),
            policies: status::policies(desired, observed),
            declared: desired.there_of(&desired.ours, observed).to_status(),
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
}

/// The permissions boundary that is put on where there is none; that one, and the one that is there, if the account has put one on, as the status tells; and why
/// the identity is cut off.
fn restrained<K: Subject>(object: &K, restraint: Restraint, at: &ResolvedAccount, found: &Observed) -> (Option<Arn>, BTreeSet<Arn>, Option<Problem>) {
    let forced = Guard::of(at).forced_boundary().filter(|_| restraint.is_bounded);
    // One that no account takes is not tried.
    let boundary = forced.filter(|arn| check_place("", arn, at, Use::Boundary).is_none());
    let kept = object.reported_boundary().and_then(|_| found.identity.as_ref()?.identity.permissions_boundary.clone());
    let imposed = boundary.iter().cloned().chain(kept).collect();
    (boundary, imposed, restraint.cut_off)
}

/// What is left of an identity once the roles of others that it declares no longer are none of it. Of an object that cannot be read nobody knows which these are.
fn without_withdrawn<K: Subject>(world: &dyn World, object: &K, mut held_back: Desired) -> Desired {
    if object.unread().is_none() {
        external_roles::withdraw(world, object.permissions(), &mut held_back.identity.inline_policies);
    }
    held_back
}

/// The permissions boundary that is on an identity because its account puts it on, or has. One that was told stays told while it is about to come, or may have
/// come.
fn imposed<K: Subject>(object: &K, desired: &Desired, observed: &Observed) -> Option<String> {
    let Some(found) = &observed.identity else { return object.reported_boundary().map(str::to_owned) };
    let wanted = desired.identity.permissions_boundary.as_ref();
    let is_coming = |told: &&str| wanted.is_some_and(|wanted| wanted.as_str() == *told && desired.imposed.contains(wanted));
    let there = found.identity.permissions_boundary.as_ref().filter(|there| desired.is_imposed(there));
    there.map(Arn::as_str).or_else(|| object.reported_boundary().filter(is_coming)).map(str::to_owned)
}

/// The unique ID of what was made for a resource and is not there any more.
fn lost<K: Subject>(object: &K, desired: &Desired, observed: &Observed) -> Option<String> {
    let lost = desired.pinned.clone().or_else(|| object.deleted()).filter(|_| observed.identity.is_none());
    lost.map(|id| id.to_string())
}

/// The unique ID of what was made for a resource: what its status has, or what bears its owner tags down to its very UID, where a process died before it
/// could tell.
fn known_id(pinned: Option<UniqueID>, owner: &Owner, found: &Observed) -> Option<UniqueID> {
    let told = || found.identity.as_ref().filter(|found| owner.is_told_by(&found.identity.tags)).map(|found| found.id.clone());
    pinned.or_else(told)
}
