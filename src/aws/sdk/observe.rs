//! Reading what one resource has in IAM.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_iam::types::{AttachedPermissionsBoundary, Policy};

use super::super::errors::existing;
use super::reply::{document, oldest_first, path, session_seconds, tags, unreadable, value};
use super::{Sdk, list};
use rolebridge_api::Reason;
use rolebridge_core::assume::attached;
use rolebridge_core::document::Document;
use rolebridge_core::failure::Failure;
use rolebridge_core::identity::{Identity, IdentityName, ManagedPolicy, RoleSettings};
use rolebridge_core::names::{Arn, GroupName, PolicyName, RoleName, UserName};
use rolebridge_core::observed::{Observed, ObservedIdentity, ObservedPolicy, Scope};

impl Sdk {
    pub(super) async fn observe(&self, scope: &Scope) -> Result<Observed, Failure> {
        let identity = match &scope.name {
            Some(IdentityName::User(name)) => self.user_or_renamed(name, scope).await?,
            Some(IdentityName::Role(name)) => self.role(name).await?,
            None => None,
        };
        let assumed = identity.iter().flat_map(|found| attached(&found.identity));
        let policies: BTreeSet<Arn> = scope.policies.iter().chain(assumed).cloned().collect();
        let mut observed = Observed { identity, ..Observed::default() };
        for arn in &policies {
            if let Some(policy) = self.managed_policy(arn).await? {
                observed.policies.insert(arn.clone(), policy);
            }
        }
        Ok(observed)
    }

    /// The user of this name; or, where nobody bears it, the one of the unique ID that was made, under whatever name. IAM finds nobody by ID, so that all
    /// users are listed.
    async fn user_or_renamed(&self, name: &UserName, scope: &Scope) -> Result<Option<ObservedIdentity>, Failure> {
        const OPERATION: &str = "iam:ListUsers";
        let found = self.user(name, scope.groups).await?;
        let Some(pinned) = scope.pinned.as_ref().filter(|_| found.is_none()) else { return Ok(found) };
        let all = list!(self, "iam:ListUsers", self.iam.list_users(), |page| page.users().iter().cloned())?;
        let Some(listed) = all.iter().find(|user| user.user_id() == pinned.as_str()) else { return Ok(None) };
        let found = self.user(&value(OPERATION, "UserName", listed.user_name())?, scope.groups).await?;
        // It was renamed, or deleted, so short a time ago that the list still has it as it was.
        let behind = || {
            format!(
                "iam:GetUser: user {} is not shown, and iam:ListUsers still lists it: IAM does not show everywhere yet what has become of it",
                listed.user_name()
            )
        };
        Ok(Some(found.ok_or_else(|| Failure::refused(Reason::Propagating, behind()))?))
    }

    async fn user(&self, name: &UserName, with_groups: bool) -> Result<Option<ObservedIdentity>, Failure> {
        const OPERATION: &str = "iam:GetUser";
        let Some(answer) = existing(self.call(OPERATION, self.iam.get_user().user_name(name.as_str()).send()).await)? else { return Ok(None) };
        let user = answer.user().ok_or_else(|| unreadable(OPERATION, "there is no user in it"))?;
        let groups = if with_groups { Some(names("iam:ListGroupsForUser", &self.groups(name).await?)?) } else { None };
        let name = IdentityName::User(value(OPERATION, "UserName", user.user_name())?);
        let identity = Identity {
            path: path(&name.to_string(), user.path())?,
            tags: tags(user.tags()),
            permissions_boundary: boundary(OPERATION, user.permissions_boundary())?,
            inline_policies: self.inline_policies(&name).await?,
            attached_policies: self.attached_policies(&name).await?,
            groups,
            role: None,
            name,
        };
        Ok(Some(ObservedIdentity { id: value(OPERATION, "UserId", user.user_id())?, identity }))
    }

    async fn role(&self, name: &RoleName) -> Result<Option<ObservedIdentity>, Failure> {
        const OPERATION: &str = "iam:GetRole";
        let Some(answer) = existing(self.call(OPERATION, self.iam.get_role().role_name(name.as_str()).send()).await)? else { return Ok(None) };
        let role = answer.role().ok_or_else(|| unreadable(OPERATION, "there is no role in it"))?;
        let name = IdentityName::Role(value(OPERATION, "RoleName", role.role_name())?);
        let settings = RoleSettings {
            description: role.description().unwrap_or_default().to_owned(),
            max_session_duration: session_seconds(OPERATION, role.max_session_duration())?,
            trust_policy: document(OPERATION, role.assume_role_policy_document())?,
        };
        let identity = Identity {
            path: path(&name.to_string(), role.path())?,
            tags: tags(role.tags()),
            permissions_boundary: boundary(OPERATION, role.permissions_boundary())?,
            inline_policies: self.inline_policies(&name).await?,
            attached_policies: self.attached_policies(&name).await?,
            groups: None,
            role: Some(settings),
            name,
        };
        Ok(Some(ObservedIdentity { id: value(OPERATION, "RoleId", role.role_id())?, identity }))
    }

    async fn inline_policies(&self, who: &IdentityName) -> Result<BTreeMap<PolicyName, Document>, Failure> {
        let (operation, names) = match who {
            IdentityName::User(user) => {
                let request = self.iam.list_user_policies().user_name(user.as_str());
                let names: Vec<String> = list!(self, "iam:ListUserPolicies", request.clone(), |page| page.policy_names().iter().cloned())?;
                ("iam:ListUserPolicies", names)
            }
            IdentityName::Role(role) => {
                let request = self.iam.list_role_policies().role_name(role.as_str());
                let names: Vec<String> = list!(self, "iam:ListRolePolicies", request.clone(), |page| page.policy_names().iter().cloned())?;
                ("iam:ListRolePolicies", names)
            }
        };
        let mut policies = BTreeMap::new();
        for name in names {
            let name: PolicyName = value(operation, "PolicyNames", &name)?;
            policies.insert(name.clone(), self.inline_policy(who, &name).await?);
        }
        Ok(policies)
    }

    async fn inline_policy(&self, who: &IdentityName, name: &PolicyName) -> Result<Document, Failure> {
        match who {
            IdentityName::User(user) => {
                const OPERATION: &str = "iam:GetUserPolicy";
                let request = self.iam.get_user_policy().user_name(user.as_str()).policy_name(name.as_str());
                document(OPERATION, Some(self.call(OPERATION, request.send()).await?.policy_document()))
            }
            IdentityName::Role(role) => {
                const OPERATION: &str = "iam:GetRolePolicy";
                let request = self.iam.get_role_policy().role_name(role.as_str()).policy_name(name.as_str());
                document(OPERATION, Some(self.call(OPERATION, request.send()).await?.policy_document()))
            }
        }
    }

    async fn attached_policies(&self, who: &IdentityName) -> Result<BTreeSet<Arn>, Failure> {
        let (operation, attached) = match who {
            IdentityName::User(user) => {
                let request = self.iam.list_attached_user_policies().user_name(user.as_str());
                let attached = list!(self, "iam:ListAttachedUserPolicies", request.clone(), |page| page.attached_policies().iter().cloned())?;
                ("iam:ListAttachedUserPolicies", attached)
            }
            IdentityName::Role(role) => {
                let request = self.iam.list_attached_role_policies().role_name(role.as_str());
                let attached = list!(self, "iam:ListAttachedRolePolicies", request.clone(), |page| page.attached_policies().iter().cloned())?;
                ("iam:ListAttachedRolePolicies", attached)
            }
        };
        attached.iter().map(|policy| value(operation, "PolicyArn", policy.policy_arn().unwrap_or_default())).collect()
    }

    async fn managed_policy(&self, arn: &Arn) -> Result<Option<ObservedPolicy>, Failure> {
        const OPERATION: &str = "iam:GetPolicy";
        let Some((policy, default_version)) = self.policy(arn).await? else { return Ok(None) };
        let mut versions = self.policy_versions(arn).await?;
        versions.retain(|version| *version != default_version);
        let managed = ManagedPolicy {
            arn: value(OPERATION, "Arn", policy.arn().unwrap_or_default())?,
            name: value(OPERATION, "PolicyName", policy.policy_name().unwrap_or_default())?,
            path: path(&format!("policy {arn}"), policy.path().unwrap_or_default())?,
            description: policy.description().unwrap_or_default().to_owned(),
            document: self.document_of(arn, &default_version).await?,
            tags: tags(policy.tags()),
        };
        let id = value(OPERATION, "PolicyId", policy.policy_id().unwrap_or_default())?;
        Ok(Some(ObservedPolicy { id, policy: managed, default_version, other_versions: versions }))
    }

    /// The document of a policy, if there is one, as of its default version.
    pub(super) async fn default_document(&self, arn: &Arn) -> Result<Option<Document>, Failure> {
        Ok(match self.policy(arn).await? {
            Some((_, version)) => Some(self.document_of(arn, &version).await?),
            None => None,
        })
    }

    /// A policy, if there is one, and the ID of its default version.
    async fn policy(&self, arn: &Arn) -> Result<Option<(Policy, String)>, Failure> {
        const OPERATION: &str = "iam:GetPolicy";
        let Some(answer) = existing(self.call(OPERATION, self.iam.get_policy().policy_arn(arn.as_str()).send()).await)? else { return Ok(None) };
        let policy = answer.policy().ok_or_else(|| unreadable(OPERATION, "there is no policy in it"))?;
        let default_version = policy.default_version_id().ok_or_else(|| unreadable(OPERATION, "DefaultVersionId is missing"))?;
        Ok(Some((policy.clone(), default_version.to_owned())))
    }

    /// The names of the groups that a user is in. A user that does not exist is in none.
    pub(super) async fn groups(&self, name: &UserName) -> Result<Vec<String>, Failure> {
        let request = self.iam.list_groups_for_user().user_name(name.as_str());
        let groups = existing(list!(self, "iam:ListGroupsForUser", request.clone(), |page| {
            page.groups().iter().map(|group| group.group_name().to_owned())
        }))?;
        Ok(groups.unwrap_or_default())
    }

    /// The document of one version of a policy.
    async fn document_of(&self, arn: &Arn, version: &str) -> Result<Document, Failure> {
        const OPERATION: &str = "iam:GetPolicyVersion";
        let request = self.iam.get_policy_version().policy_arn(arn.as_str()).version_id(version);
        let answer = self.call(OPERATION, request.send()).await?;
        document(OPERATION, answer.policy_version().and_then(|version| version.document()))
    }

    /// The IDs of all versions of a policy, the oldest first.
    async fn policy_versions(&self, arn: &Arn) -> Result<Vec<String>, Failure> {
        let request = self.iam.list_policy_versions().policy_arn(arn.as_str());
        let versions = list!(self, "iam:ListPolicyVersions", request.clone(), |page| page.versions().iter().cloned())?;
        oldest_first("iam:ListPolicyVersions", versions.iter().map(|version| version.version_id()))
    }
}

/// Names of groups as IAM lists them.
pub(super) fn names(operation: &str, groups: &[String]) -> Result<BTreeSet<GroupName>, Failure> {
    groups.iter().map(|group| value(operation, "GroupName", group)).collect()
}

pub(super) fn boundary(operation: &str, boundary: Option<&AttachedPermissionsBoundary>) -> Result<Option<Arn>, Failure> {
    boundary.map(|boundary| value(operation, "PermissionsBoundaryArn", boundary.permissions_boundary_arn().unwrap_or_default())).transpose()
}
