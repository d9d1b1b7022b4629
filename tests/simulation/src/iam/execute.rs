//! Actions: what IAM does at each, and what it refuses.

use std::collections::BTreeSet;

use rolebridge::core::action::{Action, Dependent, Receipt, Tagged};
use rolebridge::core::failure::Failure;
use rolebridge::core::identity::{Identity as Wanted, IdentityName};
use rolebridge::core::names::{AccountID, Arn, GroupName, Path, PolicyName, UniqueID, UserName};
use rolebridge::core::ownership::Tags;

use super::Cloud;
use super::account::Account;
use super::aws_managed;
use super::documents::{check_permissions, read};
use super::entity::{Identity, Kind, OfRole, OfUser, Stored};
use super::history::View;
use super::operation::operation;
use super::refusal::{Answer, Code, Missing, Refusal, done, gone, off};
use super::tags::{self, Case};

impl Cloud {
    /// As the gateway's execute.
    ///
    /// # Errors
    /// What the gateway makes of IAM's refusal.
    pub fn execute(&mut self, account: &AccountID, action: &Action, mut view: View<'_>) -> Result<Receipt, Failure> {
        let (operation, view) = (operation(action), &mut view);
        self.moment(view);
        if let Some(policy) = named_policy(action) {
            self.account(account).and_then(|of| of.is_of_partition(policy)).map_err(|refusal| refusal.of(operation))?;
        }
        match action {
            Action::CreateIdentity(identity) => {
                self.create_identity(account, identity, view).map(Receipt::Created).map_err(|refusal| refusal.of(operation))
            }
            Action::CreatePolicy(policy) => self.create_policy(account, policy, view).map(Receipt::Created).map_err(|refusal| refusal.of(operation)),
            Action::CreatePolicyVersion(arn, document) => {
                let made = self.create_version(account, arn, &document.to_json(), view);
                made.map(Receipt::Version).map_err(|refusal| refusal.of(operation))
            }
            Action::DeletePolicyVersion(arn, version) => gone(operation, self.delete_version(account, arn, version, view)),
            Action::DeletePolicy(arn) => gone(operation, self.delete_policy(account, arn, view)),
            Action::PutInlinePolicy(who, name, document) => done(operation, self.put_inline(account, who, name, &document.to_json(), view)),
            Action::DeleteInlinePolicy(who, name) => off(operation, self.delete_inline(account, who, name, view)),
            Action::AttachPolicy(who, arn) => done(operation, self.attach(account, who, arn, view)),
            Action::DetachPolicy(who, arn) => off(operation, self.detach(account, who, arn, view)),
            Action::UpdateTrustPolicy(role, document) => {
                done(operation, self.update_trust(account, &IdentityName::Role(role.clone()), &document.to_json(), view))
            }
            Action::UpdateRole(role, description, duration) => {
                done(operation, self.update_role(account, &IdentityName::Role(role.clone()), description, *duration, view))
            }
            Action::RenameUser(from, to, path) => done(operation, self.rename(account, from, to, path, view)),
            Action::PutPermissionsBoundary(who, arn) => done(operation, self.put_boundary(account, who, arn, view)),
            Action::DeletePermissionsBoundary(who) => off(operation, self.delete_boundary(account, who, view)),
            Action::AddToGroup(user, group) => done(operation, self.add_to_group(account, user, group, view)),
            Action::RemoveFromGroup(user, group) => off(operation, self.remove_from_group(account, user, group, view)),
            Action::Tag(what, tags) => done(operation, self.tag(account, what, tags, view)),
            Action::Untag(what, keys) => done(operation, self.untag(account, what, keys, view)),
            Action::RemoveDependent(user, Dependent::Group(group)) => match group.parse() {
                Ok(group) => off(operation, self.remove_from_group(account, user, &group, view)),
                Err(_) => Ok(Receipt::Missing),
            },
            Action::RemoveDependent(user, dependent) => self.remove_dependent(account, user, dependent, view),
            Action::DeleteIdentity(who) => gone(operation, self.delete_identity(account, who, view)),
        }
    }
}

impl Cloud {
    /// Changes a user or role, whoever it belongs to.
    pub(super) fn change_any(
        &mut self,
        account: &AccountID,
        who: &IdentityName,
        view: &mut View<'_>,
        change: impl FnOnce(&Account, &mut Identity, &mut View<'_>) -> Answer,
    ) -> Answer {
        let of = self.account(account)?;
        let found = of.identity(who, view)?;
        let mut identity = (**found).clone();
        change(of, &mut identity, view)?;
        if identity == **found {
            return Ok(());
        }
        self.replace(account, who, Some(&found), Some(identity), view)
    }

    /// The same, but for what AWS keeps to itself (statement 34).
    pub(super) fn change_identity(
        &mut self,
        account: &AccountID,
        who: &IdentityName,
        view: &mut View<'_>,
        change: impl FnOnce(&Account, &mut Identity, &mut View<'_>) -> Answer,
    ) -> Answer {
        self.is_changeable(account, who)?;
        self.change_any(account, who, view, change)
    }

    fn is_changeable(&self, account: &AccountID, who: &IdentityName) -> Answer {
        match self.account(account)?.newest(who) {
            Some(found) if found.is_of_aws() => Err(Refusal::new(
                Code::UnmodifiableEntity,
                format!("Cannot perform the operation on the protected role '{}' - this role is only modifiable by AWS", who.as_str()),
            )),
            _ => Ok(()),
        }
    }

    /// Puts a user or role in the place of another, or of none.
    pub(super) fn replace(
        &mut self,
        account: &AccountID,
        who: &IdentityName,
        before: Option<&Identity>,
        after: Option<Identity>,
        view: &View<'_>,
    ) -> Answer {
        let at = self.moment(view);
        self.note_trust(account, who, before, after.as_ref());
        self.account_mut(account)?.set_identity(at, who, after);
        self.revision += 1;
        Ok(())
    }

    fn create_identity(&mut self, account: &AccountID, wanted: &Wanted, view: &mut View<'_>) -> Answer<UniqueID> {
        let of = self.account(account)?;
        tags::check(&wanted.tags)?;
        if let Some(role) = &wanted.role {
            check_description(&role.description)?;
            check_session(role.max_session_duration)?;
        }
        // Statement 19: without regard to case and path.
        if of.newest(&wanted.name).is_some() {
            let kind = wanted.name.kind();
            return Err(Refusal::new(Code::EntityAlreadyExists, format!("{kind} with name {} already exists.", wanted.name.as_str())));
        }
        let boundary = wanted.permissions_boundary.as_ref().map(|arn| usable_boundary(of, arn, view)).transpose()?;
        let mut tags = Tags::new();
        tags::put(&mut tags, &wanted.tags, Case::Ignored)?;
        let (kind, arn, prefix) = match (&wanted.name, &wanted.role) {
            (IdentityName::User(name), _) => {
                of.within("UsersQuota", "UsersPerAccount", of.users.all().count() + 1)?;
                (Kind::User(OfUser::default()), Arn::user(&of.partition, account, &wanted.path, name), "AIDA")
            }
            (IdentityName::Role(name), Some(role)) => {
                let trust = self.trust(&of.partition, &role.trust_policy.to_json(), view)?;
                of.within("AssumeRolePolicySizeQuota", "ACLSizePerRole", trust.shown.size)?;
                of.within("RolesQuota", "RolesPerAccount", of.roles.all().filter(|role| !role.is_of_aws()).count() + 1)?;
                let description = Some(role.description.clone()).filter(|text| !text.is_empty());
                let role = OfRole { description, max_session_duration: role.max_session_duration, trust, instance_profiles: BTreeSet::new() };
                (Kind::Role(role), Arn::role(&of.partition, account, &wanted.path, name), "AROA")
            }
            (IdentityName::Role(name), None) => return Err(Refusal::invalid(format!("role {name} has no trust policy"))),
        };
        let id = self.unique_id(prefix)?;
        let identity = Identity {
            id: id.clone(),
            name: wanted.name.clone(),
            path: wanted.path.to_string(),
            arn,
            named: view.now,
            tags,
            boundary,
            inline: std::collections::BTreeMap::new(),
            attached: BTreeSet::new(),
            kind,
        };
        self.is_called(&id, account, &wanted.name);
        self.replace(account, &wanted.name, None, Some(identity), view)?;
        Ok(id)
    }

    /// Statement 22: a user or role goes when nothing hangs on it any more. A boundary does not keep it (statement 51).
    fn delete_identity(&mut self, account: &AccountID, who: &IdentityName, view: &mut View<'_>) -> Answer {
        self.is_changeable(account, who)?;
        let found = self.account(account)?.identity(who, view)?;
        if let Some(left) = what_is_left(&found) {
            return Err(Refusal::new(Code::DeleteConflict, format!("Cannot delete entity, must {left} first.")));
        }
        self.is_gone(&found.id);
        self.replace(account, who, Some(&found), None, view)?;
        let at = self.moment(view);
        self.show_anew(&found.id, at);
        Ok(())
    }

    /// Statement 44: the unique ID, and with it every trust, stays.
    fn rename(&mut self, account: &AccountID, from: &UserName, to: &UserName, path: &Path, view: &mut View<'_>) -> Answer {
        let (from, to) = (IdentityName::User(from.clone()), IdentityName::User(to.clone()));
        let of = self.account(account)?;
        let same = from.as_str().eq_ignore_ascii_case(to.as_str());
        if !same && of.newest(&to).is_some() {
            return Err(Refusal::new(Code::EntityAlreadyExists, format!("User with name {} already exists.", to.as_str())));
        }
        let found = of.identity(&from, view)?;
        let IdentityName::User(name) = &to else { return Ok(()) };
        let arn = Arn::user(&of.partition, account, path, name);
        let mut identity = Identity { name: to.clone(), path: path.to_string(), arn, ..(**found).clone() };
        if identity == **found {
            return Ok(());
        }
        identity.named = view.now;
        if !same {
            self.replace(account, &from, Some(&found), None, view)?;
        }
        self.is_called(&found.id, account, &to);
        self.replace(account, &to, None, Some(identity), view)?;
        let at = self.moment(view);
        self.show_anew(&found.id, at);
        Ok(())
    }

    fn put_inline(&mut self, account: &AccountID, who: &IdentityName, name: &PolicyName, text: &str, view: &mut View<'_>) -> Answer {
        self.is_changeable(account, who)?;
        let document = read(text)?;
        check_permissions(&document)?;
        let stored = Stored::new(document);
        self.change_identity(account, who, view, |of, identity, _| {
            let others = identity.inline.iter().filter(|(other, _)| *other != name);
            let size = stored.size + others.map(|(_, stored)| stored.size).sum::<usize>();
            // Statement 16: all inline policies count together.
            let quota = of.quota(if identity.user().is_some() { "UserPolicySizeQuota" } else { "RolePolicySizeQuota" });
            if size > quota {
                let text = format!("Maximum policy size of {quota} bytes exceeded for {} {}", who.kind(), who.as_str());
                return Err(Refusal::new(Code::LimitExceeded, text));
            }
            identity.inline.insert(name.clone(), stored);
            Ok(())
        })
    }

    fn delete_inline(&mut self, account: &AccountID, who: &IdentityName, name: &PolicyName, view: &mut View<'_>) -> Answer {
        self.change_identity(account, who, view, |_, identity, _| match identity.inline.remove(name) {
            Some(_) => Ok(()),
            None => Err(Refusal::missing(Missing::Part, format!("The {} policy with name {name} cannot be found.", who.kind()))),
        })
    }

    fn attach(&mut self, account: &AccountID, who: &IdentityName, arn: &Arn, view: &mut View<'_>) -> Answer {
        self.is_changeable(account, who)?;
        is_attachable(arn)?;
        self.change_identity(account, who, view, |of, identity, view| {
            let arn = of.usable_policy(arn, view)?;
            identity.attached.insert(arn);
            let (quota, name) = match identity.user() {
                Some(_) => ("AttachedPoliciesPerUserQuota", "PoliciesPerUser"),
                None => ("AttachedPoliciesPerRoleQuota", "PoliciesPerRole"),
            };
            of.within(quota, name, identity.attached.len())
        })
    }

    fn detach(&mut self, account: &AccountID, who: &IdentityName, arn: &Arn, view: &mut View<'_>) -> Answer {
        self.change_identity(account, who, view, |_, identity, _| take_attached(&mut identity.attached, arn))
    }

    fn put_boundary(&mut self, account: &AccountID, who: &IdentityName, arn: &Arn, view: &mut View<'_>) -> Answer {
        self.is_changeable(account, who)?;
        is_attachable(arn)?;
        let boundary = usable_boundary(self.account(account)?, arn, view)?;
        self.change_identity(account, who, view, |_, identity, _| {
            identity.boundary = Some(boundary);
            Ok(())
        })
    }

    fn delete_boundary(&mut self, account: &AccountID, who: &IdentityName, view: &mut View<'_>) -> Answer {
        self.change_identity(account, who, view, |_, identity, _| {
            identity.boundary = None;
            Ok(())
        })
    }

    /// Writes a trust policy.
    pub(super) fn update_trust(&mut self, account: &AccountID, role: &IdentityName, text: &str, view: &mut View<'_>) -> Answer {
        self.is_changeable(account, role)?;
        let of = self.account(account)?;
        let trust = self.trust(&of.partition, text, view)?;
        of.within("AssumeRolePolicySizeQuota", "ACLSizePerRole", trust.shown.size)?;
        self.change_identity(account, role, view, |_, identity, _| {
            if let Kind::Role(role) = &mut identity.kind {
                role.trust = trust;
            }
            Ok(())
        })
    }

    fn update_role(&mut self, account: &AccountID, role: &IdentityName, description: &str, duration: u32, view: &mut View<'_>) -> Answer {
        check_description(description)?;
        check_session(duration)?;
        self.change_identity(account, role, view, |_, identity, _| {
            if let Kind::Role(role) = &mut identity.kind {
                role.description = Some(description.to_owned());
                role.max_session_duration = duration;
            }
            Ok(())
        })
    }

    fn add_to_group(&mut self, account: &AccountID, user: &UserName, group: &GroupName, view: &mut View<'_>) -> Answer {
        self.change_identity(account, &IdentityName::User(user.clone()), view, |of, identity, view| {
            let group = of.group(group, view)?;
            let Kind::User(user) = &mut identity.kind else { return Ok(()) };
            user.groups.insert(group.name.clone());
            of.within("GroupsPerUserQuota", "GroupsPerUser", user.groups.len())
        })
    }

    fn remove_from_group(&mut self, account: &AccountID, user: &UserName, group: &GroupName, view: &mut View<'_>) -> Answer {
        self.change_identity(account, &IdentityName::User(user.clone()), view, |_, identity, _| {
            let Kind::User(user) = &mut identity.kind else { return Ok(()) };
            let before = user.groups.len();
            user.groups.retain(|other| !other.as_str().eq_ignore_ascii_case(group.as_str()));
            if user.groups.len() == before {
                return Err(Refusal::missing(Missing::Group, format!("The user is not in the group with name {group}.")));
            }
            Ok(())
        })
    }

    fn tag(&mut self, account: &AccountID, what: &Tagged, new: &Tags, view: &mut View<'_>) -> Answer {
        tags::check(new)?;
        match what {
            Tagged::Identity(who) => self.change_any(account, who, view, |_, identity, _| tags::put(&mut identity.tags, new, Case::Ignored)),
            Tagged::Policy(arn) => self.change_policy(account, arn, view, |_, policy| tags::put(&mut policy.tags, new, Case::Told)),
        }
    }

    fn untag(&mut self, account: &AccountID, what: &Tagged, keys: &[String], view: &mut View<'_>) -> Answer {
        match what {
            Tagged::Identity(who) => self.change_any(account, who, view, |_, identity, _| {
                tags::take(&mut identity.tags, keys, Case::Ignored);
                Ok(())
            }),
            Tagged::Policy(arn) => self.change_policy(account, arn, view, |_, policy| {
                tags::take(&mut policy.tags, keys, Case::Told);
                Ok(())
            }),
        }
    }

    fn remove_dependent(&mut self, account: &AccountID, user: &UserName, dependent: &Dependent, view: &mut View<'_>) -> Result<Receipt, Failure> {
        let operation = operation(&Action::RemoveDependent(user.clone(), dependent.clone()));
        let removed = self.change_identity(account, &IdentityName::User(user.clone()), view, |_, identity, _| {
            let Kind::User(user) = &mut identity.kind else { return Ok(()) };
            if let Dependent::AccessKey(id) = dependent {
                user.inactive_keys.remove(id);
            }
            if user.belongings.remove(dependent) {
                return Ok(());
            }
            Err(Refusal::missing(Missing::Part, format!("{dependent} cannot be found.")))
        });
        let removed = gone(operation, removed)?;
        if dependent.is_virtual_device() { gone("DeleteVirtualMFADevice", self.delete_device(account, dependent)) } else { Ok(removed) }
    }

    /// A virtual MFA device goes when nobody uses it (IAM API reference, DeleteVirtualMFADevice). Those that nobody uses are not kept.
    fn delete_device(&self, account: &AccountID, device: &Dependent) -> Answer {
        let mut users = self.account(account)?.users.all().filter_map(|identity| identity.user());
        if users.any(|user| user.belongings.contains(device)) {
            return Err(Refusal::new(Code::DeleteConflict, "Cannot delete entity, must deactivate MFA device first."));
        }
        Ok(())
    }
}

/// What keeps a user or role from being deleted, and what to do about it.
fn what_is_left(identity: &Identity) -> Option<String> {
    let of_user = identity.user().and_then(|user| {
        let belonging = user.belongings.first().map(|belonging| format!("remove {belonging}"));
        belonging.or_else(|| (!user.groups.is_empty()).then(|| "remove user from group".to_owned()))
    });
    let profiles = identity.role().is_some_and(|role| !role.instance_profiles.is_empty());
    of_user
        .or_else(|| profiles.then(|| "remove roles from instance profile".to_owned()))
        .or_else(|| (!identity.attached.is_empty()).then(|| "detach all policies".to_owned()))
        .or_else(|| (!identity.inline.is_empty()).then(|| "delete policies".to_owned()))
}

/// Takes a policy off.
pub(super) fn take_attached(attached: &mut BTreeSet<Arn>, arn: &Arn) -> Answer {
    let found = attached.iter().find(|attached| attached.as_str().eq_ignore_ascii_case(arn.as_str())).cloned();
    let found = found.ok_or_else(|| Refusal::missing(Missing::Part, format!("Policy {arn} was not found.")))?;
    attached.remove(&found);
    Ok(())
}

/// The policy whose ARN goes along. Before all else IAM looks whether it is of the partition.
fn named_policy(action: &Action) -> Option<&Arn> {
    match action {
        Action::CreateIdentity(identity) => identity.permissions_boundary.as_ref(),
        Action::CreatePolicyVersion(arn, _)
        | Action::DeletePolicyVersion(arn, _)
        | Action::DeletePolicy(arn)
        | Action::AttachPolicy(_, arn)
        | Action::DetachPolicy(_, arn)
        | Action::PutPermissionsBoundary(_, arn) => Some(arn),
        _ => None,
    }
}

/// Those of AWS for service-linked roles are for these only (IAM API reference, PolicyNotAttachable).
pub(super) fn is_attachable(arn: &Arn) -> Answer {
    if aws_managed::is_for_services_only(arn) {
        return Err(Refusal::new(Code::PolicyNotAttachable, "Cannot attach a Service Role Policy to a Customer Role."));
    }
    Ok(())
}

fn usable_boundary(of: &Account, arn: &Arn, view: &mut View<'_>) -> Answer<Arn> {
    let missing = || Refusal::missing(Missing::Policy, format!("Scope ARN: {arn} does not exist or is not attachable."));
    of.is_of_partition(arn)?;
    if aws_managed::is_for_services_only(arn) {
        return Err(missing());
    }
    of.usable_policy(arn, view).map_err(|_| missing())
}

/// Statement 21.
fn check_session(seconds: u32) -> Answer {
    if (3600..=43_200).contains(&seconds) { Ok(()) } else { Err(Refusal::invalid(format!("maxSessionDuration {seconds} is not from 3600 to 43200"))) }
}

/// Statement 18: what a role's description may say.
fn check_description(text: &str) -> Answer {
    let is_known = |character: char| matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{7e}' | '\u{a1}'..='\u{ff}');
    if text.chars().count() <= 1000 && text.chars().all(is_known) { Ok(()) } else { Err(Refusal::invalid("description is not valid")) }
}
