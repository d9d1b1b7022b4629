//! Which customer-managed policies a user or role may have, whether or not its declaration can be carried out.

use std::collections::BTreeSet;

use super::assume::{self, Room, SessionRights};
use super::grants::arns_naming;
use super::identity::{Identity, IdentityName};
use super::names::{Arn, Path};
use super::permissions::owned_policies;
use super::placement::Placement;
use super::quotas::{Limits, Quotas};
use super::world::{ObjectKey, SourceKey, World};
use crate::api::permissions::{Permissions, PolicyStatus};
use crate::api::user::AssumePolicyStatus;
use crate::api::{BastionUser, CrossAccountRole, Managed};

/// The customer-managed policies that may hold the assume policies of a source: those that its status lists, and those that what names it may
/// have taken since, with this room.
fn assume_policies(
    world: &dyn World,
    source: &SourceKey,
    told: &[AssumePolicyStatus],
    at: &Placement,
    (path, name): (&Path, &IdentityName),
    room: Room,
) -> BTreeSet<Arn> {
    // Of the ARN only partition and account matter.
    let shard = |number: usize| assume::shard(&Arn::account_root(&at.partition, &at.id), path, name, number).map(|(_, arn)| arn);
    let told: BTreeSet<&str> = told.iter().filter_map(|p| p.arn.as_deref()).collect();
    let listed = (1..=assume::MOST_SHARDS).filter(|number| shard(*number).is_some_and(|arn| told.contains(arn.as_str()))).collect();
    let roles = arns_naming(world, source);
    // As much room as a role can take.
    let most = SessionRights { tag: true, set_source_identity: true };
    assume::possible(&listed, &roles.iter().map(|arn| (arn.as_str(), most)).collect(), room).into_iter().filter_map(shard).collect()
}

/// What a user or role says of its policies.
pub struct PolicyHolder<'a> {
    source: SourceKey,
    permissions: Option<&'a Permissions>,
    told: &'a [PolicyStatus],
    assuming: &'a [AssumePolicyStatus],
}

impl<'a> From<&'a BastionUser> for PolicyHolder<'a> {
    fn from(user: &'a BastionUser) -> Self {
        let (told, assuming) = user.status().map(|s| (s.policies.as_slice(), s.assume_policies.as_slice())).unwrap_or_default();
        Self { source: SourceKey::User(ObjectKey::of(user)), permissions: user.spec.permissions.as_ref(), told, assuming }
    }
}

impl<'a> From<&'a CrossAccountRole> for PolicyHolder<'a> {
    fn from(role: &'a CrossAccountRole) -> Self {
        let (told, assuming) = role.status().map(|s| (s.policies.as_slice(), s.assume_policies.as_slice())).unwrap_or_default();
        Self { source: SourceKey::Role(ObjectKey::of(role)), permissions: role.spec.permissions.as_ref(), told, assuming }
    }
}

impl PolicyHolder<'_> {
    /// The customer-managed policies that its status lists, the assume policies among them.
    pub fn told(&self) -> BTreeSet<Arn> {
        let assuming = self.assuming.iter().filter_map(|policy| policy.arn.as_deref()?.parse().ok());
        listed(self.told).chain(assuming).collect()
    }

    /// The customer-managed policies that it may have, whether or not its declaration can be carried out.
    pub fn possible(&self, world: &dyn World, at: &Placement, path: &Path, name: &IdentityName) -> BTreeSet<Arn> {
        self.policies(world, at, (path, name), Room { inline: 0, ..Room::WHOLE })
    }

    /// The customer-managed policies that it is likely to have: of the assume policies those that are told, and others only where what it declares leaves no
    /// room for the inline one.
    pub fn likely(&self, world: &dyn World, at: &Placement, path: &Path, name: &IdentityName) -> BTreeSet<Arn> {
        let room = Room::beside(Limits::default(), Quotas::of(&at.account).limits(name));
        let declares_inline = self.permissions.is_some_and(|permissions| !permissions.inline_policies.is_empty());
        self.policies(world, at, (path, name), if declares_inline { Room { inline: 0, ..room } } else { room })
    }

    /// The customer-managed policies that its status lists, and the assume policies that it may have with the room that is left beside what it declares.
    pub fn former(&self, world: &dyn World, at: &Placement, identity: &Identity, quotas: &Quotas) -> BTreeSet<Arn> {
        let room = Room::beside(Limits::taken_by(identity), quotas.limits(&identity.name));
        let assuming = assume_policies(world, &self.source, self.assuming, at, (&identity.path, &identity.name), room);
        assuming.into_iter().chain(listed(self.told)).collect()
    }

    /// The customer-managed policies that it declares, those that its status lists, and the assume policies that it may have with this room.
    fn policies(&self, world: &dyn World, at: &Placement, (path, name): (&Path, &IdentityName), room: Room) -> BTreeSet<Arn> {
        let mut policies = owned_policies(self.permissions, self.told, at, path);
        policies.extend(assume_policies(world, &self.source, self.assuming, at, (path, name), room));
        policies
    }
}

fn listed(told: &[PolicyStatus]) -> impl Iterator<Item = Arn> {
    told.iter().filter_map(|policy| policy.arn.parse().ok())
}
