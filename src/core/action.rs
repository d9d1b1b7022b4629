//! Actions: the changes that Rolebridge makes in IAM, one for each call.
//!
//! Every action is idempotent by itself: done twice, it ends as done once (an object that exists already, or is gone already, is
//! answered by a read and the ownership rules, or is success). The order of a plan is what makes a sequence of them safe.

use std::fmt;

use super::document::Document;
use super::identity::{Identity, IdentityName, ManagedPolicy};
use super::names::{Arn, GroupName, Path, PolicyName, RoleName, UniqueID, UserName};
use super::ownership::Tags;

/// What tags are put on.
#[derive(Clone, Debug, PartialEq)]
pub enum Tagged {
    /// A user or role.
    Identity(IdentityName),
    /// A customer-managed policy.
    Policy(Arn),
}

impl fmt::Display for Tagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(name) => name.fmt(f),
            Self::Policy(arn) => write!(f, "policy {arn}"),
        }
    }
}

/// Something of a user's that keeps IAM from deleting it (IAM API reference, DeleteUser).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dependent {
    /// The console password.
    LoginProfile,
    /// An access key, by its ID.
    AccessKey(String),
    /// A signing certificate, by its ID.
    SigningCertificate(String),
    /// An SSH public key, by its ID.
    SSHPublicKey(String),
    /// A service-specific credential, by its ID.
    ServiceSpecificCredential(String),
    /// An MFA device, by its serial number. A virtual one is deleted as well.
    MFADevice(String),
    /// Membership in a group, by the group's name.
    Group(String),
}

impl Dependent {
    /// Whether it is a virtual MFA device. Only these have an ARN of this kind; a hardware device has its maker's number, and a security key is `:u2f/`.
    pub fn is_virtual_device(&self) -> bool {
        matches!(self, Self::MFADevice(serial) if serial.contains(":mfa/"))
    }
}

impl fmt::Display for Dependent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoginProfile => f.write_str("the console password"),
            Self::AccessKey(id) => write!(f, "access key {id}"),
            Self::SigningCertificate(id) => write!(f, "signing certificate {id}"),
            Self::SSHPublicKey(id) => write!(f, "SSH public key {id}"),
            Self::ServiceSpecificCredential(id) => write!(f, "service-specific credential {id}"),
            Self::MFADevice(serial) => write!(f, "MFA device {serial}"),
            Self::Group(name) => write!(f, "membership in group {name}"),
        }
    }
}

/// One change in IAM.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Create the user or role, with its tags, boundary and (for a role) trust policy. Its policies follow by actions of their own.
    CreateIdentity(Box<Identity>),
    /// Create the customer-managed policy, with its tags and document.
    CreatePolicy(Box<ManagedPolicy>),
    /// Make a document the default version of the policy.
    CreatePolicyVersion(Arn, Document),
    /// Delete a version of the policy that is not the default.
    DeletePolicyVersion(Arn, String),
    /// Delete the policy.
    DeletePolicy(Arn),
    /// Write an inline policy.
    PutInlinePolicy(IdentityName, PolicyName, Document),
    /// Delete an inline policy.
    DeleteInlinePolicy(IdentityName, PolicyName),
    /// Attach a managed policy.
    AttachPolicy(IdentityName, Arn),
    /// Detach a managed policy.
    DetachPolicy(IdentityName, Arn),
    /// Write a role's trust policy.
    UpdateTrustPolicy(RoleName, Document),
    /// Write a role's description and longest session, in seconds.
    UpdateRole(RoleName, String, u32),
    /// Give a user this name and path. Its unique ID, and with it every trust, stays (IAM user guide, "Renaming an IAM user").
    RenameUser(UserName, UserName, Path),
    /// Set the permissions boundary.
    PutPermissionsBoundary(IdentityName, Arn),
    /// Remove the permissions boundary.
    DeletePermissionsBoundary(IdentityName),
    /// Put a user into a group.
    AddToGroup(UserName, GroupName),
    /// Take a user out of a group.
    RemoveFromGroup(UserName, GroupName),
    /// Set these tags.
    Tag(Tagged, Tags),
    /// Remove the tags of these keys.
    Untag(Tagged, Vec<String>),
    /// Remove something of a user's that keeps IAM from deleting it.
    RemoveDependent(UserName, Dependent),
    /// Delete the user or role.
    DeleteIdentity(IdentityName),
}

/// What IAM answered to an action, as far as anybody needs it.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Receipt {
    /// Done.
    #[default]
    Done,
    /// What was to go was not there, as IAM says: gone already, or not shown yet.
    Missing,
    /// The unique ID of what was created.
    Created(UniqueID),
    /// The ID of the policy version that was made.
    Version(String),
}

impl Action {
    /// The permissions that it writes: the name of the policy, and the document.
    pub fn permissions(&self) -> Option<(&str, &Document)> {
        match self {
            Self::CreatePolicy(policy) => Some((policy.name.as_str(), &policy.document)),
            Self::CreatePolicyVersion(arn, document) => Some((arn.iam_entity().map_or(arn.as_str(), |entity| entity.name), document)),
            Self::PutInlinePolicy(_, name, document) => Some((name.as_str(), document)),
            _ => None,
        }
    }

    /// Whether it takes permissions off an identity.
    pub fn withdraws(&self) -> bool {
        matches!(self, Self::DetachPolicy(..) | Self::DeleteInlinePolicy(..) | Self::RemoveFromGroup(..))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateIdentity(identity) => write!(f, "create {}", identity.name),
            Self::CreatePolicy(policy) => write!(f, "create policy {}", policy.arn),
            Self::CreatePolicyVersion(arn, _) => write!(f, "set the document of policy {arn}"),
            Self::DeletePolicyVersion(arn, version) => write!(f, "delete version {version} of policy {arn}"),
            Self::DeletePolicy(arn) => write!(f, "delete policy {arn}"),
            Self::PutInlinePolicy(who, name, _) => write!(f, "put inline policy {name} on {who}"),
            Self::DeleteInlinePolicy(who, name) => write!(f, "delete inline policy {name} of {who}"),
            Self::AttachPolicy(who, arn) => write!(f, "attach {arn} to {who}"),
            Self::DetachPolicy(who, arn) => write!(f, "detach {arn} from {who}"),
            Self::UpdateTrustPolicy(role, _) => write!(f, "set the trust policy of role {role}"),
            Self::UpdateRole(role, ..) => write!(f, "set description and session duration of role {role}"),
            Self::RenameUser(from, to, path) => write!(f, "rename user {from} to {path}{to}"),
            Self::PutPermissionsBoundary(who, arn) => write!(f, "set the permissions boundary of {who} to {arn}"),
            Self::DeletePermissionsBoundary(who) => write!(f, "remove the permissions boundary of {who}"),
            Self::AddToGroup(user, group) => write!(f, "add user {user} to group {group}"),
            Self::RemoveFromGroup(user, group) => write!(f, "remove user {user} from group {group}"),
            Self::Tag(what, tags) => write!(f, "set tags {} of {what}", tags.keys().cloned().collect::<Vec<_>>().join(", ")),
            Self::Untag(what, keys) => write!(f, "remove tags {} of {what}", keys.join(", ")),
            Self::RemoveDependent(user, what) => write!(f, "remove {what} of user {user}"),
            Self::DeleteIdentity(who) => write!(f, "delete {who}"),
        }
    }
}
