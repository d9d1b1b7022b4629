//! What others do in AWS and the operator has no word for.

use rolebridge::core::action::Dependent;
use rolebridge::core::failure::Failure;
use rolebridge::core::identity::IdentityName;
use rolebridge::core::names::{AccountID, Arn, GroupName, RoleName, UserName};
use rolebridge::core::ownership::Tags;
use serde_json::Value;

use super::Cloud;
use super::account::key;
use super::entity::{Group, Identity, Kind, OfRole, is_path_of_aws};
use super::history::View;
use super::policies::number;
use super::refusal::{Answer, Code, Refusal};

/// A change that somebody makes by the console, or that AWS makes itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Makes a group.
    CreateGroup(GroupName),
    /// Deletes a group, which must have no members and no policies.
    DeleteGroup(GroupName),
    /// Attaches a policy to a group.
    AttachGroupPolicy(GroupName, Arn),
    /// Detaches a policy from a group.
    DetachGroupPolicy(GroupName, Arn),
    /// Makes an access key, and says its ID.
    CreateAccessKey(UserName),
    /// Switches an access key on or off.
    UpdateAccessKey(UserName, String, bool),
    /// Gives a user something that keeps it from being deleted: a password, a certificate, an MFA device. Groups and access keys have changes of their own.
    Add(UserName, Dependent),
    /// Puts a role into an instance profile of this name.
    AddToInstanceProfile(RoleName, String),
    /// Takes a role out of an instance profile.
    RemoveFromInstanceProfile(RoleName, String),
    /// Puts a version of a policy in force.
    SetDefaultPolicyVersion(Arn, String),
    /// Writes a trust policy, whatever its text.
    UpdateTrustPolicy(RoleName, String),
    /// Makes a role as AWS itself does, in a path such as `/aws-service-role/` that it keeps for itself, and says its unique ID.
    CreateRoleOfAWS {
        /// Its path.
        path: String,
        /// Its name.
        name: RoleName,
        /// Its trust policy, which is not checked.
        trust_policy: Value,
    },
    /// Gives the account a quota, by its key in GetAccountSummary. What is there stays.
    SetQuota(String, usize),
    /// Gives the account an alias, or takes it away.
    SetAlias(Option<String>),
}

impl Change {
    fn operation(&self) -> &'static str {
        match self {
            Self::CreateGroup(_) => "CreateGroup",
            Self::DeleteGroup(_) => "DeleteGroup",
            Self::AttachGroupPolicy(..) => "AttachGroupPolicy",
            Self::DetachGroupPolicy(..) => "DetachGroupPolicy",
            Self::CreateAccessKey(_) => "CreateAccessKey",
            Self::UpdateAccessKey(..) => "UpdateAccessKey",
            Self::Add(..) => "CreateLoginProfile",
            Self::AddToInstanceProfile(..) => "AddRoleToInstanceProfile",
            Self::RemoveFromInstanceProfile(..) => "RemoveRoleFromInstanceProfile",
            Self::SetDefaultPolicyVersion(..) => "SetDefaultPolicyVersion",
            Self::UpdateTrustPolicy(..) => "UpdateAssumeRolePolicy",
            Self::CreateRoleOfAWS { .. } => "CreateServiceLinkedRole",
            Self::SetQuota(..) => "RequestServiceQuotaIncrease",
            Self::SetAlias(_) => "CreateAccountAlias",
        }
    }
}

impl Cloud {
    /// Makes a change, and says the ID of what was made, if it has one.
    ///
    /// # Errors
    /// Where IAM refuses it.
    pub fn change(&mut self, account: &AccountID, change: &Change, mut view: View<'_>) -> Result<Option<String>, Failure> {
        self.moment(&view);
        self.changed(account, change, &mut view).map_err(|refusal| refusal.of(change.operation()))
    }

    fn changed(&mut self, account: &AccountID, change: &Change, view: &mut View<'_>) -> Answer<Option<String>> {
        match change {
            Change::CreateGroup(name) => return self.create_group(account, name, view).map(Some),
            Change::DeleteGroup(name) => self.delete_group(account, name, view)?,
            Change::AttachGroupPolicy(name, arn) => {
                let arn = self.account(account)?.usable_policy(arn, view)?;
                self.change_group(account, name, view, |group| {
                    group.attached.insert(arn);
                })?;
            }
            Change::DetachGroupPolicy(name, arn) => self.change_group(account, name, view, |group| {
                group.attached.remove(arn);
            })?,
            Change::CreateAccessKey(user) => return self.create_access_key(account, user, view).map(Some),
            Change::UpdateAccessKey(user, id, is_active) => self.change_user(account, user, view, |kind| {
                let Kind::User(user) = kind else { return };
                if *is_active {
                    user.inactive_keys.remove(id)
                } else {
                    user.inactive_keys.insert(id.clone())
                };
            })?,
            Change::Add(user, belonging) => self.change_user(account, user, view, |kind| {
                if let Kind::User(user) = kind {
                    user.belongings.insert(belonging.clone());
                }
            })?,
            Change::AddToInstanceProfile(role, profile) => self.change_role(account, role, view, |role| {
                role.instance_profiles.insert(profile.clone());
            })?,
            Change::RemoveFromInstanceProfile(role, profile) => self.change_role(account, role, view, |role| {
                role.instance_profiles.remove(profile);
            })?,
            Change::SetDefaultPolicyVersion(arn, version) => self.change_policy(account, arn, view, |_, policy| {
                policy.default = number(policy, version)?;
                Ok(())
            })?,
            Change::UpdateTrustPolicy(role, text) => self.update_trust(account, &IdentityName::Role(role.clone()), text, view)?,
            Change::CreateRoleOfAWS { path, name, trust_policy } => {
                return self.create_role_of_aws(account, path, name, trust_policy, view).map(Some);
            }
            Change::SetQuota(key, quota) => self.account_mut(account)?.set_quota(key, *quota),
            Change::SetAlias(alias) => self.account_mut(account)?.alias.clone_from(alias),
        }
        Ok(None)
    }

    fn create_group(&mut self, account: &AccountID, name: &GroupName, view: &View<'_>) -> Answer<String> {
        let of = self.account(account)?;
        if of.groups.newest(&key(name.as_str())).is_some() {
            return Err(Refusal::new(Code::EntityAlreadyExists, format!("Group with name {name} already exists.")));
        }
        of.within("GroupsQuota", "GroupsPerAccount", of.groups.all().count() + 1)?;
        let arn = format!("arn:{}:iam::{account}:group/{name}", of.partition);
        let arn = arn.parse().map_err(|_| Refusal::invalid("the name is not valid"))?;
        let id = self.unique_id("AGPA")?;
        let group = Group { id: id.clone(), name: name.clone(), arn, made: view.now, attached: Default::default() };
        self.replace_group(account, name, Some(group), view)?;
        Ok(id.to_string())
    }

    fn delete_group(&mut self, account: &AccountID, name: &GroupName, view: &mut View<'_>) -> Answer {
        let of = self.account(account)?;
        let group = of.group(name, view)?;
        let has_members = of.users.all().filter_map(|identity| identity.user()).any(|user| user.groups.contains(&group.name));
        if has_members || !group.attached.is_empty() {
            return Err(Refusal::new(Code::DeleteConflict, "Cannot delete entity, must remove users and policies from group first."));
        }
        self.replace_group(account, name, None, view)
    }

    fn change_group(&mut self, account: &AccountID, name: &GroupName, view: &mut View<'_>, change: impl FnOnce(&mut Group)) -> Answer {
        let found = self.account(account)?.group(name, view)?;
        let mut group = (**found).clone();
        change(&mut group);
        self.replace_group(account, name, Some(group), view)
    }

    fn replace_group(&mut self, account: &AccountID, name: &GroupName, group: Option<Group>, view: &View<'_>) -> Answer {
        let at = self.moment(view);
        self.account_mut(account)?.set_group(at, name.as_str(), group);
        self.revision += 1;
        Ok(())
    }

    fn create_access_key(&mut self, account: &AccountID, user: &UserName, view: &mut View<'_>) -> Answer<String> {
        // Statement 28: two, those that are switched off included.
        let id = self.unique_id("AIDA")?.as_str().replacen("AIDASIM42", "AKIASIM4", 1);
        self.change_any(account, &IdentityName::User(user.clone()), view, |of, identity, _| {
            let Kind::User(user) = &mut identity.kind else { return Ok(()) };
            user.belongings.insert(Dependent::AccessKey(id.clone()));
            let keys = user.belongings.iter().filter(|belonging| matches!(belonging, Dependent::AccessKey(_))).count();
            of.within("AccessKeysPerUserQuota", "AccessKeysPerUser", keys)
        })?;
        Ok(id)
    }

    fn change_user(&mut self, account: &AccountID, user: &UserName, view: &mut View<'_>, change: impl FnOnce(&mut Kind)) -> Answer {
        self.change_any(account, &IdentityName::User(user.clone()), view, |_, identity, _| {
            change(&mut identity.kind);
            Ok(())
        })
    }

    fn change_role(&mut self, account: &AccountID, role: &RoleName, view: &mut View<'_>, change: impl FnOnce(&mut OfRole)) -> Answer {
        self.change_any(account, &IdentityName::Role(role.clone()), view, |_, identity, _| {
            if let Kind::Role(role) = &mut identity.kind {
                change(role);
            }
            Ok(())
        })
    }

    fn create_role_of_aws(&mut self, account: &AccountID, path: &str, name: &RoleName, trust_policy: &Value, view: &View<'_>) -> Answer<String> {
        let of = self.account(account)?;
        let who = IdentityName::Role(name.clone());
        let arn = format!("arn:{}:iam::{account}:role{path}{name}", of.partition).parse();
        let arn = arn.map_err(|_| Refusal::invalid("the path is not valid"))?;
        if !is_path_of_aws(path) || !path.ends_with('/') {
            return Err(Refusal::invalid("the path is none of AWS's own"));
        }
        if of.newest(&who).is_some() {
            return Err(Refusal::new(Code::EntityAlreadyExists, format!("Role with name {name} already exists.")));
        }
        let trust = self.trust_of_aws(trust_policy.clone(), view);
        let id = self.unique_id("AROA")?;
        let role = OfRole { description: None, max_session_duration: 43_200, trust, instance_profiles: Default::default() };
        let identity = Identity {
            id: id.clone(),
            name: who.clone(),
            path: path.to_owned(),
            arn,
            named: view.now,
            tags: Tags::new(),
            boundary: None,
            inline: Default::default(),
            attached: Default::default(),
            kind: Kind::Role(role),
        };
        self.is_called(&id, account, &who);
        self.replace(account, &who, None, Some(identity), view)?;
        Ok(id.to_string())
    }
}
