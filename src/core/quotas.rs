//! IAM's quotas: what an account says of itself, and what a new account has.

use std::collections::BTreeSet;

use super::assume::CUT_OFF_ROOM;
use super::document::Document;
use super::identity::{Identity, IdentityName};
use crate::api::AWSAccount;
use crate::api::account::QuotaStatus;

/// How much IAM lets an account have of what Rolebridge writes. Sizes are in characters without white space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Characters of a trust policy (`AssumeRolePolicySizeQuota`).
    pub trust_policy_size: usize,
    /// Managed policies attached to a role (`AttachedPoliciesPerRoleQuota`).
    pub attached_policies_per_role: usize,
    /// Managed policies attached to a user (`AttachedPoliciesPerUserQuota`).
    pub attached_policies_per_user: usize,
    /// Characters of all inline policies of a role together (`RolePolicySizeQuota`).
    pub inline_policies_size_per_role: usize,
    /// Characters of all inline policies of a user together (`UserPolicySizeQuota`).
    pub inline_policies_size_per_user: usize,
    /// Characters of a managed policy (`PolicySizeQuota`).
    pub managed_policy_size: usize,
    /// Groups that a user is in (`GroupsPerUserQuota`).
    pub groups_per_user: usize,
    /// Whether the account said so. What nobody asked AWS for may all the same be more there than by default: nothing is refused for
    /// good before this is known.
    pub are_known: bool,
}

impl Default for Quotas {
    /// Those of a new account (IAM user guide, "IAM and AWS STS quotas").
    fn default() -> Self {
        Self {
            trust_policy_size: 2048,
            attached_policies_per_role: 10,
            attached_policies_per_user: 10,
            inline_policies_size_per_role: 10_240,
            inline_policies_size_per_user: 2048,
            managed_policy_size: 6144,
            groups_per_user: 10,
            are_known: false,
        }
    }
}

impl Quotas {
    /// What a user or role may have at most. Of a user's inline policies so much is kept free as cutting it off takes.
    pub fn limits(&self, who: &IdentityName) -> Limits {
        match who {
            IdentityName::User(_) => Limits {
                inline_policies_size: self.inline_policies_size_per_user.saturating_sub(CUT_OFF_ROOM),
                attached_policies: self.attached_policies_per_user,
                groups: self.groups_per_user,
            },
            IdentityName::Role(_) => {
                Limits { inline_policies_size: self.inline_policies_size_per_role, attached_policies: self.attached_policies_per_role, groups: 0 }
            }
        }
    }

    /// What the account's status says, or the defaults where it says nothing yet.
    pub fn of(account: &AWSAccount) -> Self {
        account.status.as_ref().and_then(|status| status.quotas).map_or_else(Self::default, Self::from)
    }
}

/// What one user or role may have at most, or has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Characters of all its inline policies together.
    pub inline_policies_size: usize,
    /// Attached policies.
    pub attached_policies: usize,
    /// Groups that it is in.
    pub groups: usize,
}

impl Limits {
    /// What an identity has.
    pub fn taken_by(identity: &Identity) -> Self {
        Self {
            inline_policies_size: identity.inline_policies.values().map(Document::size).sum(),
            attached_policies: identity.attached_policies.len(),
            groups: identity.groups.as_ref().map_or(0, BTreeSet::len),
        }
    }

    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            inline_policies_size: self.inline_policies_size.max(other.inline_policies_size),
            attached_policies: self.attached_policies.max(other.attached_policies),
            groups: self.groups.max(other.groups),
        }
    }

    /// How much of it is beyond the limits.
    pub fn beyond(self, limits: Self) -> usize {
        let beyond = |of: fn(&Self) -> usize| of(&self).saturating_sub(of(&limits));
        beyond(|of| of.inline_policies_size) + beyond(|of| of.attached_policies) + beyond(|of| of.groups)
    }

    /// Whether nothing is beyond the limits.
    pub fn is_within(self, limits: Self) -> bool {
        self.beyond(limits) == 0
    }
}

impl From<QuotaStatus> for Quotas {
    /// A number that is none (a status can be written by hand) counts as zero, which is refused with a clear message.
    fn from(told: QuotaStatus) -> Self {
        let size = |n: i64| usize::try_from(n).unwrap_or(0);
        Self {
            trust_policy_size: size(told.trust_policy_size),
            attached_policies_per_role: size(told.attached_policies_per_role),
            attached_policies_per_user: size(told.attached_policies_per_user),
            inline_policies_size_per_role: size(told.inline_policies_size_per_role),
            inline_policies_size_per_user: size(told.inline_policies_size_per_user),
            managed_policy_size: size(told.managed_policy_size),
            groups_per_user: size(told.groups_per_user),
            are_known: true,
        }
    }
}
