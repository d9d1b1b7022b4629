//! Which operation of IAM an action is.

use rolebridge::core::action::{Action, Dependent, Tagged};
use rolebridge::core::identity::IdentityName;

/// The operation of IAM by which an action is made, such as `CreateUser`. The removal of a virtual MFA device takes two, of which this is the first.
pub fn operation(action: &Action) -> &'static str {
    let of = |who: &IdentityName, user: &'static str, role: &'static str| match who {
        IdentityName::User(_) => user,
        IdentityName::Role(_) => role,
    };
    match action {
        Action::CreateIdentity(identity) => of(&identity.name, "CreateUser", "CreateRole"),
        Action::CreatePolicy(_) => "CreatePolicy",
        Action::CreatePolicyVersion(..) => "CreatePolicyVersion",
        Action::DeletePolicyVersion(..) => "DeletePolicyVersion",
        Action::DeletePolicy(_) => "DeletePolicy",
        Action::PutInlinePolicy(who, ..) => of(who, "PutUserPolicy", "PutRolePolicy"),
        Action::DeleteInlinePolicy(who, _) => of(who, "DeleteUserPolicy", "DeleteRolePolicy"),
        Action::AttachPolicy(who, _) => of(who, "AttachUserPolicy", "AttachRolePolicy"),
        Action::DetachPolicy(who, _) => of(who, "DetachUserPolicy", "DetachRolePolicy"),
        Action::UpdateTrustPolicy(..) => "UpdateAssumeRolePolicy",
        Action::UpdateRole(..) => "UpdateRole",
        Action::RenameUser(..) => "UpdateUser",
        Action::PutPermissionsBoundary(who, _) => of(who, "PutUserPermissionsBoundary", "PutRolePermissionsBoundary"),
        Action::DeletePermissionsBoundary(who) => of(who, "DeleteUserPermissionsBoundary", "DeleteRolePermissionsBoundary"),
        Action::AddToGroup(..) => "AddUserToGroup",
        Action::RemoveFromGroup(..) => "RemoveUserFromGroup",
        Action::Tag(Tagged::Identity(who), _) => of(who, "TagUser", "TagRole"),
        Action::Tag(Tagged::Policy(_), _) => "TagPolicy",
        Action::Untag(Tagged::Identity(who), _) => of(who, "UntagUser", "UntagRole"),
        Action::Untag(Tagged::Policy(_), _) => "UntagPolicy",
        Action::RemoveDependent(_, dependent) => removal(dependent),
        Action::DeleteIdentity(who) => of(who, "DeleteUser", "DeleteRole"),
    }
}

fn removal(dependent: &Dependent) -> &'static str {
    match dependent {
        Dependent::LoginProfile => "DeleteLoginProfile",
        Dependent::AccessKey(_) => "DeleteAccessKey",
        Dependent::SigningCertificate(_) => "DeleteSigningCertificate",
        Dependent::SSHPublicKey(_) => "DeleteSSHPublicKey",
        Dependent::ServiceSpecificCredential(_) => "DeleteServiceSpecificCredential",
        Dependent::MFADevice(_) => "DeactivateMFADevice",
        Dependent::Group(_) => "RemoveUserFromGroup",
    }
}
