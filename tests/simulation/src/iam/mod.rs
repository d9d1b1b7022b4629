//! IAM of any number of accounts, in memory: what stands behind the operator's gateway in a simulation.
//!
//! It is written from the documents of IAM and shares nothing with what Rolebridge knows of it: it is the second opinion on that. An end-to-end test compares it, call
//! by call, with the AWS simulator. It has no clock and no chance of its own: both come with each call, in a [`View`].
//!
//! IAM is not consistent at once. A read may come from a replica that is behind, and each read of each object draws by itself how far: what was
//! made is not there yet, what was deleted is there still, a trust policy shows unique IDs for names. Writes go to what is newest; but what was made a
//! moment ago may not be known to them either.

mod account;
mod aws_managed;
mod change;
mod documents;
mod dump;
mod entity;
mod execute;
mod history;
mod observe;
mod operation;
mod policies;
mod refusal;
mod sweep;
mod tags;
#[cfg(test)]
mod tests;
mod trust;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rolebridge::core::failure::Failure;
use rolebridge::core::identity::IdentityName;
use rolebridge::core::names::{AccountID, Partition, UniqueID};
use rolebridge::core::quotas::Quotas;
use serde_json::Value;

use account::{Account, Moment};
use refusal::{Answer, Code, Refusal};

pub use aws_managed::aws_managed_policies;
pub use change::Change;
pub use history::View;
pub use operation::operation;

/// IAM of all accounts.
#[derive(Debug, Default)]
pub struct Cloud {
    accounts: BTreeMap<AccountID, Account>,
    /// What the users and roles that there are are called, by their unique IDs.
    living: BTreeMap<UniqueID, (AccountID, IdentityName)>,
    /// The roles whose trust policies name a user or role, by its unique ID.
    trusting: BTreeMap<UniqueID, BTreeSet<(AccountID, IdentityName)>>,
    /// How many unique IDs were given.
    given: u64,
    revision: u64,
    /// The most that a replica was said to be behind: so long is kept what was.
    horizon: Duration,
}

/// What one account holds, as JSON in the form of the AWS simulator's dump, in the order of the names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountState {
    /// IAM users.
    pub users: Vec<Arc<Value>>,
    /// IAM roles.
    pub roles: Vec<Arc<Value>>,
    /// Customer-managed policies.
    pub policies: Vec<Arc<Value>>,
    /// IAM groups, which the AWS simulator's dump leaves out.
    pub groups: Vec<Arc<Value>>,
}

impl Cloud {
    /// Without accounts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens an account with nothing in it but the policies that AWS manages. One that is open stays as it is.
    pub fn open(&mut self, id: &AccountID, partition: &Partition) {
        self.accounts.entry(id.clone()).or_insert_with(|| Account::new(partition.clone()));
    }

    /// Everything that the accounts hold, exactly as it is. What did not change since the last time is the same value.
    pub fn state(&self) -> BTreeMap<AccountID, AccountState> {
        let state = |account: &Account| AccountState {
            users: account.users.all().map(|user| user.dumped()).collect(),
            roles: account.roles.all().map(|role| role.dumped()).collect(),
            policies: account.policies.all().map(|policy| policy.dumped()).collect(),
            groups: account.groups.all().map(|group| group.dumped()).collect(),
        };
        self.accounts.iter().map(|(id, account)| (id.clone(), state(account))).collect()
    }

    /// Grows with every change of what the accounts hold.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// As the gateway's quotas.
    ///
    /// # Errors
    /// Where there is no such account.
    pub fn quotas(&self, account: &AccountID) -> Result<Quotas, Failure> {
        let account = self.account(account).map_err(|refusal| refusal.of("GetAccountSummary"))?;
        Ok(Quotas {
            trust_policy_size: account.quota("AssumeRolePolicySizeQuota"),
            attached_policies_per_role: account.quota("AttachedPoliciesPerRoleQuota"),
            attached_policies_per_user: account.quota("AttachedPoliciesPerUserQuota"),
            inline_policies_size_per_role: account.quota("RolePolicySizeQuota"),
            inline_policies_size_per_user: account.quota("UserPolicySizeQuota"),
            managed_policy_size: account.quota("PolicySizeQuota"),
            groups_per_user: account.quota("GroupsPerUserQuota"),
            are_known: true,
        })
    }

    /// As the gateway's alias.
    ///
    /// # Errors
    /// Where there is no such account.
    pub fn console_alias(&self, account: &AccountID) -> Result<Option<String>, Failure> {
        let account = self.account(account).map_err(|refusal| refusal.of("ListAccountAliases"))?;
        Ok(account.alias.clone())
    }

    fn account(&self, id: &AccountID) -> Answer<&Account> {
        self.accounts.get(id).ok_or_else(no_account)
    }

    fn account_mut(&mut self, id: &AccountID) -> Answer<&mut Account> {
        self.accounts.get_mut(id).ok_or_else(no_account)
    }

    /// The time of a call. What replicas may show of the past is kept from the first call on that has a lag.
    fn moment(&mut self, view: &View<'_>) -> Moment {
        self.horizon = self.horizon.max(view.lag);
        Moment { now: view.now, horizon: self.horizon }
    }

    /// A unique ID that nothing has had (IAM user guide, "Understanding unique ID prefixes").
    fn unique_id(&mut self, prefix: &str) -> Answer<UniqueID> {
        const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        self.given += 1;
        let digit = |place: u32| char::from(DIGITS[usize::try_from((self.given >> (5 * place)) & 31).unwrap_or_default()]);
        let number: String = (0..12).rev().map(digit).collect();
        format!("{prefix}SIM42{number}").parse().map_err(|_| Refusal::invalid("there are no more unique IDs"))
    }
}

fn no_account() -> Refusal {
    Refusal::new(Code::InvalidClientTokenID, "The security token included in the request is invalid.")
}
