//! Executing actions: one call for each, but for a virtual MFA device, which takes two, and a group that cannot be joined, of which is asked why.

use aws_sdk_iam::error::BuildError;
use aws_sdk_iam::types::Tag;

use super::super::errors::{CallError, existing, ok_if_entry_absent};
use super::Sdk;
use super::reply::value;
use rolebridge_api::Reason;
use rolebridge_core::action::{Action, Dependent, Receipt, Tagged};
use rolebridge_core::failure::{Effect, Failure};
use rolebridge_core::identity::{Identity, IdentityName, ManagedPolicy};
use rolebridge_core::names::{Arn, GroupName, PolicyName, UserName};
use rolebridge_core::ownership::Tags;

impl Sdk {
    pub(super) async fn send(&self, action: &Action) -> Result<Receipt, Failure> {
        let iam = &self.iam;
        match action {
            Action::CreateIdentity(identity) => self.create_identity(identity).await,
            Action::CreatePolicy(policy) => self.create_policy(policy).await,
            Action::CreatePolicyVersion(arn, document) => {
                const OPERATION: &str = "iam:CreatePolicyVersion";
                let request = iam.create_policy_version().policy_arn(arn.as_str()).policy_document(document.to_json()).set_as_default(true);
                let answer = self.call(OPERATION, request.send()).await?;
                let version = answer.policy_version().and_then(|version| version.version_id());
                version.map(|id| Receipt::Version(id.to_owned())).ok_or_else(|| unknown(OPERATION, "VersionId is missing"))
            }
            Action::DeletePolicyVersion(arn, version) => {
                let request = iam.delete_policy_version().policy_arn(arn.as_str()).version_id(version);
                deleted(self.call("iam:DeletePolicyVersion", request.send()).await)
            }
            Action::DeletePolicy(arn) => deleted(self.call("iam:DeletePolicy", iam.delete_policy().policy_arn(arn.as_str()).send()).await),
            Action::PutInlinePolicy(who, name, document) => self.put_inline_policy(who, name, document.to_json()).await,
            Action::DeleteInlinePolicy(who, name) => self.delete_inline_policy(who, name).await,
            Action::AttachPolicy(who, arn) => self.attach_policy(who, arn).await,
            Action::DetachPolicy(who, arn) => self.detach_policy(who, arn).await,
            Action::UpdateTrustPolicy(role, document) => {
                let request = iam.update_assume_role_policy().role_name(role.as_str()).policy_document(document.to_json());
                done(self.call("iam:UpdateAssumeRolePolicy", request.send()).await)
            }
            Action::UpdateRole(role, description, duration) => {
                let request = iam.update_role().role_name(role.as_str()).description(description).max_session_duration(seconds(*duration));
                done(self.call("iam:UpdateRole", request.send()).await)
            }
            Action::RenameUser(from, to, path) => {
                let request = iam.update_user().user_name(from.as_str()).new_user_name(to.as_str()).new_path(path.as_str());
                done(self.call("iam:UpdateUser", request.send()).await)
            }
            Action::PutPermissionsBoundary(who, arn) => self.put_boundary(who, arn).await,
            Action::DeletePermissionsBoundary(who) => self.delete_boundary(who).await,
            Action::AddToGroup(user, group) => self.add_to_group(user, group).await,
            Action::RemoveFromGroup(user, group) => self.remove_from_group(user, group.as_str()).await,
            Action::Tag(what, tags) => self.tag(what, tags).await,
            Action::Untag(what, keys) => self.untag(what, keys).await,
            Action::RemoveDependent(user, dependent) => self.remove_dependent(user, dependent).await,
            Action::DeleteIdentity(who) => match who {
                IdentityName::User(name) => deleted(self.call("iam:DeleteUser", iam.delete_user().user_name(name.as_str()).send()).await),
                IdentityName::Role(name) => deleted(self.call("iam:DeleteRole", iam.delete_role().role_name(name.as_str()).send()).await),
            },
        }
    }

    async fn create_identity(&self, identity: &Identity) -> Result<Receipt, Failure> {
        let tags = sdk_tags(&identity.tags)?;
        let boundary = identity.permissions_boundary.as_ref().map(|arn| arn.as_str().to_owned());
        match (&identity.name, &identity.role) {
            (IdentityName::User(name), _) => {
                let request = self.iam.create_user().user_name(name.as_str()).path(identity.path.as_str());
                let request = request.set_permissions_boundary(boundary).set_tags(tags);
                let answer = self.call("iam:CreateUser", request.send()).await?;
                created("iam:CreateUser", answer.user().map(|user| user.user_id()))
            }
            (IdentityName::Role(name), Some(role)) => {
                let request = self.iam.create_role().role_name(name.as_str()).path(identity.path.as_str());
                let request = request.assume_role_policy_document(role.trust_policy.to_json()).set_description(given(&role.description));
                let request = request.max_session_duration(seconds(role.max_session_duration)).set_permissions_boundary(boundary).set_tags(tags);
                let answer = self.call("iam:CreateRole", request.send()).await?;
                created("iam:CreateRole", answer.role().map(|role| role.role_id()))
            }
            (IdentityName::Role(name), None) => {
                Err(Failure::refused(Reason::RequestRejected, format!("iam:CreateRole: role {name} has no trust policy")))
            }
        }
    }

    async fn create_policy(&self, policy: &ManagedPolicy) -> Result<Receipt, Failure> {
        let request = self.iam.create_policy().policy_name(policy.name.as_str()).path(policy.path.as_str());
        let request = request.policy_document(policy.document.to_json()).set_description(given(&policy.description));
        let answer = self.call("iam:CreatePolicy", request.set_tags(sdk_tags(&policy.tags)?).send()).await?;
        created("iam:CreatePolicy", answer.policy().and_then(|policy| policy.policy_id()))
    }

    async fn put_inline_policy(&self, who: &IdentityName, name: &PolicyName, json: String) -> Result<Receipt, Failure> {
        match who {
            IdentityName::User(user) => {
                let request = self.iam.put_user_policy().user_name(user.as_str()).policy_name(name.as_str()).policy_document(json);
                done(self.call("iam:PutUserPolicy", request.send()).await)
            }
            IdentityName::Role(role) => {
                let request = self.iam.put_role_policy().role_name(role.as_str()).policy_name(name.as_str()).policy_document(json);
                done(self.call("iam:PutRolePolicy", request.send()).await)
            }
        }
    }

    async fn delete_inline_policy(&self, who: &IdentityName, name: &PolicyName) -> Result<Receipt, Failure> {
        match who {
            IdentityName::User(user) => {
                let request = self.iam.delete_user_policy().user_name(user.as_str()).policy_name(name.as_str());
                detached(self.call("iam:DeleteUserPolicy", request.send()).await)
            }
            IdentityName::Role(role) => {
                let request = self.iam.delete_role_policy().role_name(role.as_str()).policy_name(name.as_str());
                detached(self.call("iam:DeleteRolePolicy", request.send()).await)
            }
        }
    }

    async fn attach_policy(&self, who: &IdentityName, arn: &Arn) -> Result<Receipt, Failure> {
        match who {
            IdentityName::User(user) => {
                let request = self.iam.attach_user_policy().user_name(user.as_str()).policy_arn(arn.as_str());
                done(self.call("iam:AttachUserPolicy", request.send()).await)
            }
            IdentityName::Role(role) => {
                let request = self.iam.attach_role_policy().role_name(role.as_str()).policy_arn(arn.as_str());
                done(self.call("iam:AttachRolePolicy", request.send()).await)
            }
        }
    }

    async fn detach_policy(&self, who: &IdentityName, arn: &Arn) -> Result<Receipt, Failure> {
        match who {
            IdentityName::User(user) => {
                let request = self.iam.detach_user_policy().user_name(user.as_str()).policy_arn(arn.as_str());
                detached(self.call("iam:DetachUserPolicy", request.send()).await)
            }
            IdentityName::Role(role) => {
                let request = self.iam.detach_role_policy().role_name(role.as_str()).policy_arn(arn.as_str());
                detached(self.call("iam:DetachRolePolicy", request.send()).await)
            }
        }
    }

    async fn put_boundary(&self, who: &IdentityName, arn: &Arn) -> Result<Receipt, Failure> {
        match who {
            IdentityName::User(user) => {
                let request = self.iam.put_user_permissions_boundary().user_name(user.as_str()).permissions_boundary(arn.as_str());
                done(self.call("iam:PutUserPermissionsBoundary", request.send()).await)
            }
            IdentityName::Role(role) => {
                let request = self.iam.put_role_permissions_boundary().role_name(role.as_str()).permissions_boundary(arn.as_str());
                done(self.call("iam:PutRolePermissionsBoundary", request.send()).await)
            }
        }
    }

    async fn delete_boundary(&self, who: &IdentityName) -> Result<Receipt, Failure> {
        match who {
            IdentityName::User(user) => {
                let request = self.iam.delete_user_permissions_boundary().user_name(user.as_str());
                detached(self.call("iam:DeleteUserPermissionsBoundary", request.send()).await)
            }
            IdentityName::Role(role) => {
                let request = self.iam.delete_role_permissions_boundary().role_name(role.as_str());
                detached(self.call("iam:DeleteRolePermissionsBoundary", request.send()).await)
            }
        }
    }

    async fn tag(&self, what: &Tagged, tags: &Tags) -> Result<Receipt, Failure> {
        let tags = sdk_tags(tags)?;
        match what {
            Tagged::Identity(IdentityName::User(user)) => {
                done(self.call("iam:TagUser", self.iam.tag_user().user_name(user.as_str()).set_tags(tags).send()).await)
            }
            Tagged::Identity(IdentityName::Role(role)) => {
                done(self.call("iam:TagRole", self.iam.tag_role().role_name(role.as_str()).set_tags(tags).send()).await)
            }
            Tagged::Policy(arn) => done(self.call("iam:TagPolicy", self.iam.tag_policy().policy_arn(arn.as_str()).set_tags(tags).send()).await),
        }
    }

    async fn untag(&self, what: &Tagged, keys: &[String]) -> Result<Receipt, Failure> {
        let keys = Some(keys.to_vec());
        match what {
            Tagged::Identity(IdentityName::User(user)) => {
                done(self.call("iam:UntagUser", self.iam.untag_user().user_name(user.as_str()).set_tag_keys(keys).send()).await)
            }
            Tagged::Identity(IdentityName::Role(role)) => {
                done(self.call("iam:UntagRole", self.iam.untag_role().role_name(role.as_str()).set_tag_keys(keys).send()).await)
            }
            Tagged::Policy(arn) => {
                done(self.call("iam:UntagPolicy", self.iam.untag_policy().policy_arn(arn.as_str()).set_tag_keys(keys).send()).await)
            }
        }
    }

    /// IAM authorises a call about a group that does not exist on no group at all, and denies it to who may change groups below a path only. Which of the
    /// two it was is then asked.
    async fn add_to_group(&self, user: &UserName, group: &GroupName) -> Result<Receipt, Failure> {
        let request = self.iam.add_user_to_group().user_name(user.as_str()).group_name(group.as_str());
        let failure = match done(self.call("iam:AddUserToGroup", request.send()).await) {
            Err(failure) if failure.reason == Reason::AccessDenied => failure,
            answered => return answered,
        };
        let request = self.iam.get_group().group_name(group.as_str()).max_items(1);
        match existing(self.call("iam:GetGroup", request.send()).await) {
            Ok(None) => Err(Failure::refused(Reason::GroupNotFound, format!("iam:AddUserToGroup: there is no group {group}"))),
            _ => Err(failure),
        }
    }

    async fn remove_from_group(&self, user: &UserName, group: &str) -> Result<Receipt, Failure> {
        let request = self.iam.remove_user_from_group().user_name(user.as_str()).group_name(group);
        detached(self.call("iam:RemoveUserFromGroup", request.send()).await)
    }

    async fn remove_dependent(&self, name: &UserName, dependent: &Dependent) -> Result<Receipt, Failure> {
        let iam = &self.iam;
        let user = name.as_str();
        match dependent {
            Dependent::LoginProfile => deleted(self.call("iam:DeleteLoginProfile", iam.delete_login_profile().user_name(user).send()).await),
            Dependent::AccessKey(id) => {
                deleted(self.call("iam:DeleteAccessKey", iam.delete_access_key().user_name(user).access_key_id(id).send()).await)
            }
            Dependent::SigningCertificate(id) => {
                let request = iam.delete_signing_certificate().user_name(user).certificate_id(id);
                deleted(self.call("iam:DeleteSigningCertificate", request.send()).await)
            }
            Dependent::SSHPublicKey(id) => {
                deleted(self.call("iam:DeleteSSHPublicKey", iam.delete_ssh_public_key().user_name(user).ssh_public_key_id(id).send()).await)
            }
            Dependent::ServiceSpecificCredential(id) => {
                let request = iam.delete_service_specific_credential().user_name(user).service_specific_credential_id(id);
                deleted(self.call("iam:DeleteServiceSpecificCredential", request.send()).await)
            }
            Dependent::MFADevice(serial) => {
                let request = iam.deactivate_mfa_device().user_name(user).serial_number(serial);
                let deactivated = deleted(self.call("iam:DeactivateMFADevice", request.send()).await)?;
                if dependent.is_virtual_device() {
                    return deleted(self.call("iam:DeleteVirtualMFADevice", iam.delete_virtual_mfa_device().serial_number(serial).send()).await);
                }
                Ok(deactivated)
            }
            Dependent::Group(group) => self.remove_from_group(name, group).await,
        }
    }
}

/// The answer to a change of which nothing needs to be known but that it was made.
fn done<T>(result: Result<T, CallError>) -> Result<Receipt, Failure> {
    result?;
    Ok(Receipt::Done)
}

/// The answer to a removal.
fn deleted<T>(result: Result<T, CallError>) -> Result<Receipt, Failure> {
    Ok(existing(result)?.map_or(Receipt::Missing, |_| Receipt::Done))
}

/// The answer to taking something from a user or role, unless there is no user or role.
fn detached<T>(result: Result<T, CallError>) -> Result<Receipt, Failure> {
    Ok(ok_if_entry_absent(result)?.map_or(Receipt::Missing, |_| Receipt::Done))
}

/// The answer to a creation.
fn created(operation: &str, id: Option<&str>) -> Result<Receipt, Failure> {
    let id = value(operation, "the unique ID", id.unwrap_or_default()).map_err(|failure| Failure { effect: Effect::Unknown, ..failure })?;
    Ok(Receipt::Created(id))
}

/// A change that was made, most likely, but whose answer does not say what it should.
fn unknown(operation: &str, what: &str) -> Failure {
    Failure { effect: Effect::Unknown, ..super::reply::unreadable(operation, what) }
}

/// Tags as the SDK takes them; None for none.
fn sdk_tags(tags: &Tags) -> Result<Option<Vec<Tag>>, Failure> {
    let tags: Result<Vec<Tag>, BuildError> = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    let tags = tags.map_err(|error| Failure::refused(Reason::RequestRejected, format!("a tag cannot be sent: {error}")))?;
    Ok(Some(tags).filter(|tags| !tags.is_empty()))
}

/// A text that is left out where it is empty.
fn given(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

/// Seconds as the SDK takes them. What is too large for it is too large for IAM, which says so.
fn seconds(duration: u32) -> i32 {
    i32::try_from(duration).unwrap_or(i32::MAX)
}
