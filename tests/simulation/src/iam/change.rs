//! What others do in AWS and the operator has no word for.

use rolebridge::core::action::Dependent;
use rolebridge::core::failure::Failure;
use rolebridge::core::identity::IdentityName;
use rolebridge::core::names::{AccountID, Arn, GroupName, RoleName, UserName};
use rolebridge::core::ownership::Tags;
use serde_json::Value;

use super::Cloud;
use super::account::{Account, key};
use super::entity::{Group, Identity, Kind, OfRole, is_path_of_aws};
use super::execute::{is_attachable, take_attached};
use super::history::View;
use super::policies::number;
use super::refusal::{Answer, Code, Missing, Refusal};

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
    /// Gives a user something that keeps it from being deleted: a password, a certificate, an MFA device, a key of this ID.
    Add(UserName, Dependent),
    /// Puts a role into an instance profile of this name, which must be empty.
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
            Self::Add(_, dependent) => addition(dependent),
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

fn addition(dependent: &Dependent) -> &'static str {
    match dependent {
        Dependent::LoginProfile => "CreateLoginProfile",
        Dependent::AccessKey(_) => "CreateAccessKey",
        Dependent::SigningCertificate(_) => "UploadSigningCertificate",
        Dependent::SSHPublicKey(_) => "UploadSSHPublicKey",
        Dependent::ServiceSpecificCredential(_) => "CreateServiceSpecificCredential",
        Dependent::MFADevice(_) => "EnableMFADevice",
        Dependent::Group(_) => "AddUserToGroup",
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
                self.account(account)?.is_of_partition(arn)?;
                is_attachable(arn)?;
                let arn = self.account(account)?.usable_policy(arn, view)?;
                self.change_group(account, name, view, |group| {
                    group.attached.insert(arn);
                    Ok(())
                })?;
            }
            Change::DetachGroupPolicy(name, arn) => {
                self.account(account)?.is_of_partition(arn)?;
                self.change_group(account, name, view, |group| take_attached(&mut group.attached, arn))?;
            }
            Change::CreateAccessKey(user) => return self.create_access_key(account, user, view).map(Some),
            Change::UpdateAccessKey(user, id, is_active) => {
                self.change_any(account, &IdentityName::User(user.clone()), view, |_, identity, _| switch(&mut identity.kind, id, *is_active))?;
            }
            Change::Add(user, belonging) => self.add(account, user, belonging, view)?,
            Change::AddToInstanceProfile(role, profile) => self.add_to_profile(account, role, profile, view)?,
            Change::RemoveFromInstanceProfile(role, profile) => self.change_role(account, role, view, |_, role| {
                let missing = || Refusal::missing(Missing::Part, format!("The role is not in instance profile {profile}."));
                if role.instance_profiles.remove(profile) { Ok(()) } else { Err(missing()) }
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

    fn change_group(&mut self, account: &AccountID, name: &GroupName, view: &mut View<'_>, change: impl FnOnce(&mut Group) -> Answer) -> Answer {
        let found = self.account(account)?.group(name, view)?;
        let mut group = (**found).clone();
        change(&mut group)?;
        self.replace_group(account, name, Some(group), view)
    }

    fn replace_group(&mut self, account: &AccountID, name: &GroupName, group: Option<Group>, view: &View<'_>) -> Answer {
        let at = self.moment(view);
        self.account_mut(account)?.set_group(at, name.as_str(), group);
        self.revision += 1;
        Ok(())
    }

    fn create_access_key(&mut self, account: &AccountID, user: &UserName, view: &mut View<'_>) -> Answer<String> {
        let id = self.unique_id("AIDA")?.as_str().replacen("AIDASIM42", "AKIASIM4", 1);
        self.add(account, user, &Dependent::AccessKey(id.clone()), view)?;
        Ok(id)
    }

    fn add(&mut self, account: &AccountID, user: &UserName, belonging: &Dependent, view: &mut View<'_>) -> Answer {
        let kind = std::mem::discriminant(belonging);
        self.change_any(account, &IdentityName::User(user.clone()), view, |of, identity, _| {
            let Kind::User(user) = &mut identity.kind else { return Ok(()) };
            if !user.belongings.insert(belonging.clone()) {
                return Err(Refusal::new(Code::EntityAlreadyExists, format!("{belonging} is there already.")));
            }
            let amount = user.belongings.iter().filter(|belonging| std::mem::discriminant(*belonging) == kind).count();
            match belonging {
                // Statement 28: those that are switched off count.
                Dependent::AccessKey(_) => of.within("AccessKeysPerUserQuota", "AccessKeysPerUser", amount),
                Dependent::SigningCertificate(_) => of.within("SigningCertificatesPerUserQuota", "SigningCertificatesPerUser", amount),
                _ => Ok(()),
            }
        })
    }

    /// An instance profile holds one role (IAM API reference, AddRoleToInstanceProfile).
    fn add_to_profile(&mut self, account: &AccountID, role: &RoleName, profile: &str, view: &mut View<'_>) -> Answer {
        self.change_role(account, role, view, |of, role| {
            let mut roles = of.roles.all().filter_map(|identity| identity.role());
            if roles.any(|role| role.instance_profiles.contains(profile)) {
                return Err(Refusal::new(Code::LimitExceeded, "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"));
            }
            role.instance_profiles.insert(profile.to_owned());
            Ok(())
        })
    }

    fn change_role(
        &mut self,
        account: &AccountID,
        role: &RoleName,
        view: &mut View<'_>,
        change: impl FnOnce(&Account, &mut OfRole) -> Answer,
    ) -> Answer {
        self.change_identity(account, &IdentityName::Role(role.clone()), view, |of, identity, _| match &mut identity.kind {
            Kind::Role(role) => change(of, role),
            Kind::User(_) => Ok(()),
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
        let trust = self.bound(&of.partition, trust_policy.clone(), view);
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

/// Switches an access key on or off.
fn switch(kind: &mut Kind, id: &str, is_active: bool) -> Answer {
    let Kind::User(user) = kind else { return Ok(()) };
    if !user.belongings.contains(&Dependent::AccessKey(id.to_owned())) {
        return Err(Refusal::missing(Missing::Part, format!("The Access Key with id {id} cannot be found.")));
    }
    if is_active {
        user.inactive_keys.remove(id)
    } else {
        user.inactive_keys.insert(id.to_owned())
    };
    Ok(())
}
