//! IAM's quotas: what an account says of itself, and what a new account has.

use std::collections::{BTreeMap, BTreeSet};

use super::document::Document;
use super::identity::{Identity, IdentityName};
use rolebridge_api::AWSAccount;
use rolebridge_api::account::QuotaStatus;

/// Characters that all inline policies of a user may have together (IAM quotas).
pub const INLINE_QUOTA: usize = 2048;
/// Characters that a customer-managed policy may have (IAM quotas).
pub const SHARD_QUOTA: usize = 6144;
/// Managed policies that can be attached to a user, where nobody asked AWS for more (IAM quotas).
pub const MOST_SHARDS: usize = 10;
/// Tags that a user or role can have; AWS raises it for nobody (IAM quotas). Those under aws: do not count.
pub const MOST_TAGS: usize = 50;
/// What of the inline quota is kept free for cutting the user off.
pub const CUT_OFF_ROOM: usize = 256;

/// Characters of a trust policy that AWS grants to whoever asks, without a ticket (Service Quotas, "Role trust policy length").
const TRUST_POLICY_WITHOUT_A_TICKET: usize = 8192;

/// What people are advised first where a trust policy is too long for this quota; nothing where AWS grants no more without a ticket.
pub fn more_trust_room(quota: usize) -> String {
    if quota >= TRUST_POLICY_WITHOUT_A_TICKET {
        return String::new();
    }
    format!("have Service Quotas raise \"Role trust policy length\" to {TRUST_POLICY_WITHOUT_A_TICKET} in that account, which takes no ticket, or ")
}

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
    /// Characters of all inline policies of a user or role together.
    pub fn inline_policies_size(&self, who: &IdentityName) -> usize {
        match who {
            IdentityName::User(_) => self.inline_policies_size_per_user,
            IdentityName::Role(_) => self.inline_policies_size_per_role,
        }
    }

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

    /// What the entries of GetAccountSummary say, by their keys. What an entry is missing for, or has a number that is none, is as by default: IAM names
    /// not every quota in every partition.
    pub fn from_summary(summary: &BTreeMap<String, i32>) -> Self {
        let default = Self::default();
        let size = |key: &str, default: usize| summary.get(key).and_then(|n| usize::try_from(*n).ok()).unwrap_or(default);
        Self {
            trust_policy_size: size("AssumeRolePolicySizeQuota", default.trust_policy_size),
            attached_policies_per_role: size("AttachedPoliciesPerRoleQuota", default.attached_policies_per_role),
            attached_policies_per_user: size("AttachedPoliciesPerUserQuota", default.attached_policies_per_user),
            inline_policies_size_per_role: size("RolePolicySizeQuota", default.inline_policies_size_per_role),
            inline_policies_size_per_user: size("UserPolicySizeQuota", default.inline_policies_size_per_user),
            managed_policy_size: size("PolicySizeQuota", default.managed_policy_size),
            groups_per_user: size("GroupsPerUserQuota", default.groups_per_user),
            are_known: true,
        }
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

    /// With this much of it in the place of that much.
    #[must_use]
    pub fn with(self, this: Self, instead_of: Self) -> Self {
        let changed = |of: fn(&Self) -> usize| (of(&self) + of(&this)).saturating_sub(of(&instead_of));
        Self {
            inline_policies_size: changed(|of| of.inline_policies_size),
            attached_policies: changed(|of| of.attached_policies),
            groups: changed(|of| of.groups),
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

impl From<Quotas> for QuotaStatus {
    fn from(quotas: Quotas) -> Self {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        Self {
            trust_policy_size: number(quotas.trust_policy_size),
            attached_policies_per_role: number(quotas.attached_policies_per_role),
            attached_policies_per_user: number(quotas.attached_policies_per_user),
            inline_policies_size_per_role: number(quotas.inline_policies_size_per_role),
            inline_policies_size_per_user: number(quotas.inline_policies_size_per_user),
            managed_policy_size: number(quotas.managed_policy_size),
            groups_per_user: number(quotas.groups_per_user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_15_and_16_and_55_each_quota_has_its_key_and_what_the_account_does_not_say_is_as_by_default() {
        let keys = [
            "AssumeRolePolicySizeQuota",
            "AttachedPoliciesPerRoleQuota",
            "AttachedPoliciesPerUserQuota",
            "RolePolicySizeQuota",
            "UserPolicySizeQuota",
            "PolicySizeQuota",
            "GroupsPerUserQuota",
        ];
        let summary: BTreeMap<String, i32> = keys.iter().zip(1..).map(|(key, n)| ((*key).to_owned(), n)).collect();
        let told = QuotaStatus::from(Quotas::from_summary(&summary));
        let expected = QuotaStatus {
            trust_policy_size: 1,
            attached_policies_per_role: 2,
            attached_policies_per_user: 3,
            inline_policies_size_per_role: 4,
            inline_policies_size_per_user: 5,
            managed_policy_size: 6,
            groups_per_user: 7,
        };
        assert_eq!(told, expected);
        assert_eq!(Quotas::from(told), Quotas::from_summary(&summary));
        let odd = BTreeMap::from([("Users".to_owned(), 3), ("PolicySizeQuota".to_owned(), -1)]);
        assert_eq!(Quotas::from_summary(&odd), Quotas { are_known: true, ..Quotas::default() });
    }
}
