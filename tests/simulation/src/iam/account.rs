//! IAM of one account: what is there, and what its quotas allow.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rolebridge::core::identity::IdentityName;
use rolebridge::core::names::{Arn, GroupName, Partition};

use super::aws_managed;
use super::entity::{Group, Identity, Policy, Snapshot};
use super::history::{Objects, View};
use super::refusal::{Answer, Code, Missing, Refusal};

/// The quotas of a new account, by their keys in GetAccountSummary (IAM user guide, "IAM and AWS STS quotas").
const QUOTAS: [(&str, usize); 14] = [
    ("AccessKeysPerUserQuota", 2),
    ("AssumeRolePolicySizeQuota", 2048),
    ("AttachedPoliciesPerRoleQuota", 10),
    ("AttachedPoliciesPerUserQuota", 10),
    ("GroupsPerUserQuota", 10),
    ("GroupsQuota", 300),
    ("PoliciesQuota", 1500),
    ("PolicySizeQuota", 6144),
    ("RolePolicySizeQuota", 10_240),
    ("RolesQuota", 1000),
    ("SigningCertificatesPerUserQuota", 2),
    ("UserPolicySizeQuota", 2048),
    ("UsersQuota", 5000),
    ("VersionsPerPolicyQuota", 5),
];

/// When a change is made, and how long replicas show what was before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Duration,
    pub(super) horizon: Duration,
}

/// How often a policy is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Uses {
    attached: usize,
    boundary: usize,
}

/// IAM of one account.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) partition: Partition,
    pub(super) alias: Option<String>,
    quotas: BTreeMap<String, usize>,
    pub(super) users: Objects<Snapshot<Identity>>,
    pub(super) roles: Objects<Snapshot<Identity>>,
    /// By name: paths do not tell two policies apart.
    pub(super) policies: Objects<Snapshot<Policy>>,
    pub(super) groups: Objects<Snapshot<Group>>,
    /// By the ARN of the policy, as it is spelled by whoever has it.
    uses: BTreeMap<String, Uses>,
}

/// The form of a name in which IAM tells it from others: without regard to case.
pub(super) fn key(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name.into() }
}

impl Account {
    pub(super) fn new(partition: Partition) -> Self {
        Self {
            partition,
            alias: None,
            quotas: QUOTAS.iter().map(|(key, quota)| ((*key).to_owned(), *quota)).collect(),
            users: Objects::default(),
            roles: Objects::default(),
            policies: Objects::default(),
            groups: Objects::default(),
            uses: BTreeMap::new(),
        }
    }

    pub(super) fn identities(&self, who: &IdentityName) -> &Objects<Snapshot<Identity>> {
        match who {
            IdentityName::User(_) => &self.users,
            IdentityName::Role(_) => &self.roles,
        }
    }

    fn identities_mut(&mut self, who: &IdentityName) -> &mut Objects<Snapshot<Identity>> {
        match who {
            IdentityName::User(_) => &mut self.users,
            IdentityName::Role(_) => &mut self.roles,
        }
    }

    pub(super) fn newest(&self, who: &IdentityName) -> Option<&Arc<Snapshot<Identity>>> {
        self.identities(who).newest(&key(who.as_str()))
    }

    /// The user or role that a write is about. Statement 66: one that was made a moment ago may not be known yet.
    pub(super) fn identity(&self, who: &IdentityName, view: &mut View<'_>) -> Answer<Arc<Snapshot<Identity>>> {
        self.newest(who).filter(|found| view.knows(found.named)).cloned().ok_or_else(|| no_identity(who))
    }

    /// The policy that a write is about, likewise.
    pub(super) fn policy(&self, arn: &Arn, view: &mut View<'_>) -> Answer<Arc<Snapshot<Policy>>> {
        self.newest_policy(arn).filter(|found| view.knows(found.made)).cloned().ok_or_else(|| no_policy(arn))
    }

    pub(super) fn newest_policy(&self, arn: &Arn) -> Option<&Arc<Snapshot<Policy>>> {
        self.policies.newest(&policy_key(arn)?).filter(|found| is_same(&found.arn, arn))
    }

    /// The policy that a replica shows.
    pub(super) fn policy_at(&self, arn: &Arn, time: Duration) -> Option<&Arc<Snapshot<Policy>>> {
        self.policies.at(&policy_key(arn)?, time).filter(|found| is_same(&found.arn, arn))
    }

    /// The group that a write names.
    pub(super) fn group(&self, name: &GroupName, view: &mut View<'_>) -> Answer<Arc<Snapshot<Group>>> {
        let found = self.groups.newest(&key(name.as_str())).filter(|found| view.knows(found.made)).cloned();
        found.ok_or_else(|| Refusal::missing(Missing::Group, format!("The group with name {name} cannot be found.")))
    }

    /// IAM takes no ARN of another partition, whatever it names.
    pub(super) fn is_of_partition(&self, arn: &Arn) -> Answer {
        if *arn.partition() == self.partition { Ok(()) } else { Err(Refusal::invalid("Invalid ARN partition")) }
    }

    /// The ARN, as it is spelled, of a policy that can be attached, or be a boundary.
    pub(super) fn usable_policy(&self, arn: &Arn, view: &mut View<'_>) -> Answer<Arn> {
        self.is_of_partition(arn)?;
        if aws_managed::is_named_by(arn) {
            return if aws_managed::exists(&self.partition, arn) { Ok(arn.clone()) } else { Err(no_policy(arn)) };
        }
        self.policy(arn, view).map(|found| found.arn.clone())
    }

    /// From now on, this is the user or role of that name.
    pub(super) fn set_identity(&mut self, at: Moment, name: &IdentityName, identity: Option<Identity>) {
        let before = self.newest(name).cloned();
        before.iter().for_each(|before| self.count(before, false));
        identity.iter().for_each(|identity| self.count(identity, true));
        let key = key(name.as_str());
        self.identities_mut(name).set(at.now, at.horizon, &key, identity.map(Snapshot::new));
    }

    pub(super) fn set_policy(&mut self, at: Moment, name: &str, policy: Option<Policy>) {
        self.policies.set(at.now, at.horizon, &key(name), policy.map(Snapshot::new));
    }

    pub(super) fn set_group(&mut self, at: Moment, name: &str, group: Option<Group>) {
        let before = self.groups.newest(&key(name)).cloned();
        before.iter().flat_map(|group| &group.attached).for_each(|arn| self.count_use(arn, |uses| uses.attached -= 1));
        group.iter().flat_map(|group| &group.attached).for_each(|arn| self.count_use(arn, |uses| uses.attached += 1));
        self.groups.set(at.now, at.horizon, &key(name), group.map(Snapshot::new));
    }

    /// Counts what an identity uses, or does not use any more.
    fn count(&mut self, identity: &Identity, begins: bool) {
        let step = |n: &mut usize| *n = if begins { *n + 1 } else { n.saturating_sub(1) };
        identity.attached.iter().for_each(|arn| self.count_use(arn, |uses| step(&mut uses.attached)));
        identity.boundary.iter().for_each(|arn| self.count_use(arn, |uses| step(&mut uses.boundary)));
    }

    fn count_use(&mut self, arn: &Arn, step: impl Fn(&mut Uses)) {
        let uses = self.uses.entry(arn.as_str().to_owned()).or_default();
        step(uses);
        if *uses == Uses::default() {
            self.uses.remove(arn.as_str());
        }
    }

    /// Whether a policy is attached to anything, or anybody's boundary.
    pub(super) fn is_used(&self, arn: &Arn) -> bool {
        self.uses.contains_key(arn.as_str())
    }

    /// A quota by its key in GetAccountSummary. Of one that is not modelled there is none.
    pub(super) fn quota(&self, key: &str) -> usize {
        self.quotas.get(key).copied().unwrap_or(usize::MAX)
    }

    pub(super) fn set_quota(&mut self, key: &str, quota: usize) {
        self.quotas.insert(key.to_owned(), quota);
    }

    /// Refuses what would be more than a quota. `name` is that of the quota in IAM's texts.
    pub(super) fn within(&self, key: &str, name: &str, amount: usize) -> Answer {
        let quota = self.quota(key);
        if amount <= quota {
            return Ok(());
        }
        Err(Refusal::new(Code::LimitExceeded, format!("Cannot exceed quota for {name}: {quota}")))
    }
}

fn policy_key(arn: &Arn) -> Option<Cow<'_, str>> {
    arn.iam_entity().filter(|entity| entity.kind == "policy").map(|entity| key(entity.name))
}

/// ARNs of policies name them as their names do: without regard to case.
fn is_same(arn: &Arn, other: &Arn) -> bool {
    arn.as_str().eq_ignore_ascii_case(other.as_str())
}

pub(super) fn no_identity(who: &IdentityName) -> Refusal {
    Refusal::missing(Missing::Identity, format!("The {} with name {} cannot be found.", who.kind(), who.as_str()))
}

pub(super) fn no_policy(arn: &Arn) -> Refusal {
    Refusal::missing(Missing::Policy, format!("Policy {arn} does not exist or is not attachable."))
}
