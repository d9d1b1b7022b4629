//! Customer-managed policies and their versions.

use rolebridge::core::identity::ManagedPolicy;
use rolebridge::core::names::{AccountID, Arn, UniqueID};
use rolebridge::core::ownership::Tags;

use super::Cloud;
use super::account::{Account, key};
use super::documents::{check_permissions, read};
use super::entity::{Policy, Stored};
use super::history::View;
use super::refusal::{Answer, Code, Missing, Refusal};
use super::tags::{self, Case};

impl Cloud {
    /// Changes a policy.
    pub(super) fn change_policy(
        &mut self,
        account: &AccountID,
        arn: &Arn,
        view: &mut View<'_>,
        change: impl FnOnce(&Account, &mut Policy) -> Answer,
    ) -> Answer {
        let of = self.account(account)?;
        let found = of.policy(arn, view)?;
        let mut policy = (**found).clone();
        change(of, &mut policy)?;
        if policy == **found {
            return Ok(());
        }
        self.replace_policy(account, found.name.as_str(), Some(policy), view)
    }

    fn replace_policy(&mut self, account: &AccountID, name: &str, policy: Option<Policy>, view: &View<'_>) -> Answer {
        let at = self.moment(view);
        self.account_mut(account)?.set_policy(at, name, policy);
        self.revision += 1;
        Ok(())
    }

    pub(super) fn create_policy(&mut self, account: &AccountID, wanted: &ManagedPolicy, view: &View<'_>) -> Answer<UniqueID> {
        let of = self.account(account)?;
        tags::check(&wanted.tags)?;
        if wanted.description.chars().count() > 1000 {
            return Err(Refusal::invalid("description is longer than 1000 characters"));
        }
        let name = wanted.name.as_str();
        if of.policies.newest(&key(name)).is_some() {
            return Err(Refusal::new(Code::EntityAlreadyExists, format!("A policy called {name} already exists. Duplicate names are not allowed.")));
        }
        let mut tags = Tags::new();
        tags::put(&mut tags, &wanted.tags, Case::Told)?;
        let stored = document(of, &wanted.document.to_json())?;
        of.within("PoliciesQuota", "PoliciesPerAccount", of.policies.all().count() + 1)?;
        let arn = Arn::policy(&of.partition, account, &wanted.path, &wanted.name);
        let id = self.unique_id("ANPA")?;
        let policy = Policy {
            id: id.clone(),
            name: wanted.name.clone(),
            path: wanted.path.to_string(),
            arn,
            made: view.now,
            description: wanted.description.clone(),
            tags,
            versions: [(1, stored)].into(),
            default: 1,
            next: 2,
        };
        self.replace_policy(account, name, Some(policy), view)?;
        Ok(id)
    }

    /// Makes a version that is in force at once, and says its ID.
    pub(super) fn create_version(&mut self, account: &AccountID, arn: &Arn, text: &str, view: &mut View<'_>) -> Answer<String> {
        let of = self.account(account)?;
        let stored = document(of, text)?;
        let mut number = 0;
        self.change_policy(account, arn, view, |of, policy| {
            // Statement 17: five at most.
            let most = of.quota("VersionsPerPolicyQuota");
            if policy.versions.len() >= most {
                return Err(Refusal::new(Code::LimitExceeded, format!("A managed policy can have up to {most} versions.")));
            }
            number = policy.next;
            policy.next += 1;
            policy.default = number;
            policy.versions.insert(number, stored);
            Ok(())
        })?;
        Ok(format!("v{number}"))
    }

    pub(super) fn delete_version(&mut self, account: &AccountID, arn: &Arn, version: &str, view: &mut View<'_>) -> Answer {
        self.change_policy(account, arn, view, |_, policy| {
            let number = number(policy, version)?;
            // Statement 17: not the one in force.
            if number == policy.default {
                return Err(Refusal::new(Code::DeleteConflict, "Cannot delete the default version of a policy."));
            }
            policy.versions.remove(&number);
            Ok(())
        })
    }

    /// A policy goes when it is attached to nothing, nobody's boundary, and has one version (IAM API reference, DeletePolicy).
    pub(super) fn delete_policy(&mut self, account: &AccountID, arn: &Arn, view: &mut View<'_>) -> Answer {
        let of = self.account(account)?;
        let found = of.policy(arn, view)?;
        if of.is_used(&found.arn) {
            return Err(Refusal::new(Code::DeleteConflict, "Cannot delete a policy attached to entities."));
        }
        if found.versions.len() > 1 {
            return Err(Refusal::new(Code::DeleteConflict, "This policy has more than one version."));
        }
        self.replace_policy(account, found.name.as_str(), None, view)
    }
}

/// The number of a version that the policy has.
pub(super) fn number(policy: &Policy, version: &str) -> Answer<u64> {
    let number = version.strip_prefix('v').and_then(|number| number.parse().ok());
    let number = number.filter(|number| policy.versions.contains_key(number) && format!("v{number}") == version);
    number.ok_or_else(|| Refusal::missing(Missing::Part, format!("Policy version {version} does not exist.")))
}

/// Takes a document in that is to be a managed policy's.
fn document(of: &Account, text: &str) -> Answer<std::sync::Arc<Stored>> {
    let value = read(text)?;
    check_permissions(&value)?;
    let stored = Stored::new(value);
    of.within("PolicySizeQuota", "PolicySize", stored.size)?;
    Ok(stored)
}
