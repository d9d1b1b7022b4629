//! IAM's quotas: what an account says of itself, and what a new account has.

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
    /// What the account's status says, or the defaults where it says nothing yet.
    pub fn of(account: &AWSAccount) -> Self {
        account.status.as_ref().and_then(|status| status.quotas).map_or_else(Self::default, Self::from)
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
