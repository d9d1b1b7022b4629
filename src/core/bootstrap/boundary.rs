//! A permissions boundary for the users and roles that tenants make: what they may do at most, whatever policies they are given.

use super::super::document::{Document, Statement};
use super::super::names::{Arn, Partition, Path, RoleName};
use super::{check_operator, check_own_boundary, check_size};

/// Services in which whoever is bounded could give itself, or somebody else, what the boundary leaves out: IAM, organizations and the accounts in
/// them, IAM Identity Center with its users, and credentials for certificates. STS is left out as well: it gives the permissions of others.
const ADMINISTRATION: [&str; 9] =
    ["account:*", "controltower:*", "iam:*", "identitystore:*", "organizations:*", "rolesanywhere:*", "sso-directory:*", "sso:*", "sts:*"];

/// What of these is harmless: to look at IAM, to be told why AWS refuses something, and tokens of one's own permissions, as registries of packages
/// take them. `GetCallerIdentity` and `GetSessionToken` need no permission.
const HARMLESS: [&str; 4] = ["iam:Get*", "iam:List*", "sts:DecodeAuthorizationMessage", "sts:GetServiceBearerToken"];

/// What it takes to assume a role, with session tags and a source identity. A grant from one account to another needs it within the boundary of
/// whoever assumes the role: what a user or role may do is what its policies *and* its boundary allow.
const ASSUME: [&str; 3] = ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"];

/// The permissions boundary.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundaryPolicy {
    /// ARN of the policy in one account. The document suits every account.
    pub arn: Arn,
    /// What is allowed at most.
    pub document: Document,
}

impl BoundaryPolicy {
    /// Makes the policy, for users and roles that assume roles below this path, in all accounts, and never a management role of this name.
    ///
    /// The denial is explicit, since within one account a trust policy that names a user lets it in whatever its boundary merely does not allow. It is
    /// about all calls on these roles, so that nobody passes one to a service of AWS either.
    ///
    /// # Errors
    /// All that is wrong with the parameters, at once; each text names the parameter and says what to do.
    pub fn new(partition: &Partition, arn: &Arn, operator: &Arn, management_role: &RoleName, path_prefix: &Path) -> Result<Self, Vec<String>> {
        let mut problems = check_operator(partition, operator);
        problems.extend(check_own_boundary(partition, arn));
        let management_roles = format!("arn:{partition}:iam::*:role/{management_role}");
        let document = Document::new(vec![
            Statement::allow().sid("AllButAdministration").not_actions(ADMINISTRATION).resources(["*"]),
            Statement::allow().sid("Harmless").actions(HARMLESS).resources(["*"]),
            Statement::allow().sid("AssumeRoles").actions(ASSUME).resources([format!("arn:{partition}:iam::*:role{path_prefix}*")]),
            Statement::deny()
                .sid("NeverTheOperator")
                .not_actions(["iam:Get*", "iam:List*"])
                .resources([management_roles.as_str(), operator.as_str()]),
        ]);
        problems.extend(check_size(&document));
        if problems.is_empty() { Ok(Self { arn: arn.clone(), document }) } else { Err(problems) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::document::DocumentKind;
    use super::super::tests::{allows, may_allow};
    use super::*;

    const ACCOUNT: &str = "arn:aws:iam::111111111111:";
    /// With these somebody could widen what a user or role may do, or become somebody else.
    const ESCALATION: [&str; 45] = [
        "iam:AddRoleToInstanceProfile",
        "iam:AddUserToGroup",
        "iam:AttachGroupPolicy",
        "iam:AttachRolePolicy",
        "iam:AttachUserPolicy",
        "iam:CreateAccessKey",
        "iam:CreateGroup",
        "iam:CreateLoginProfile",
        "iam:CreateOpenIDConnectProvider",
        "iam:CreatePolicy",
        "iam:CreatePolicyVersion",
        "iam:CreateRole",
        "iam:CreateSAMLProvider",
        "iam:CreateServiceSpecificCredential",
        "iam:CreateUser",
        "iam:CreateVirtualMFADevice",
        "iam:DeactivateMFADevice",
        "iam:DeleteGroupPolicy",
        "iam:DeleteRolePermissionsBoundary",
        "iam:DeleteRolePolicy",
        "iam:DeleteUserPermissionsBoundary",
        "iam:DeleteUserPolicy",
        "iam:DetachGroupPolicy",
        "iam:DetachRolePolicy",
        "iam:DetachUserPolicy",
        "iam:EnableMFADevice",
        "iam:PassRole",
        "iam:PutGroupPolicy",
        "iam:PutRolePermissionsBoundary",
        "iam:PutRolePolicy",
        "iam:PutUserPermissionsBoundary",
        "iam:PutUserPolicy",
        "iam:RemoveUserFromGroup",
        "iam:SetDefaultPolicyVersion",
        "iam:TagOpenIDConnectProvider",
        "iam:TagPolicy",
        "iam:TagRole",
        "iam:TagUser",
        "iam:UntagRole",
        "iam:UpdateAccessKey",
        "iam:UpdateAssumeRolePolicy",
        "iam:UpdateLoginProfile",
        "iam:UpdateOpenIDConnectProviderThumbprint",
        "iam:UpdateSAMLProvider",
        "iam:UploadSigningCertificate",
    ];

    fn made(path_prefix: &str) -> Document {
        let arn = "arn:aws:iam::111111111111:policy/boundary".parse().unwrap();
        let operator = "arn:aws:iam::999999999999:role/operator".parse().unwrap();
        let policy = BoundaryPolicy::new(&Partition::aws(), &arn, &operator, &"rolebridge".parse().unwrap(), &path_prefix.parse().unwrap());
        policy.unwrap().document
    }

    #[test]
    fn nothing_in_it_widens_what_anybody_may_do() {
        for path_prefix in ["/", "/rolebridge/"] {
            let boundary = made(path_prefix);
            for action in ESCALATION {
                for resource in ["*", "user/x", "user/rolebridge/x", "role/x", "role/rolebridge/x", "policy/boundary", "group/x", "mfa/x"] {
                    assert!(!may_allow(&boundary, action, &format!("{ACCOUNT}{resource}")), "{action} on {resource}");
                }
            }
            let beside =
                ["organizations:LeaveOrganization", "account:CloseAccount", "sso:CreateAccountAssignment", "identitystore:CreateGroupMembership"];
            for action in beside.into_iter().chain(["rolesanywhere:CreateProfile", "sts:AssumeRoot", "sts:GetFederationToken"]) {
                assert!(!may_allow(&boundary, action, "*"), "{action}");
            }
        }
    }

    #[test]
    fn what_tenants_need_is_in_it() {
        let boundary = made("/rolebridge/");
        for action in ["s3:GetObject", "ec2:RunInstances", "kms:Decrypt", "signin:CreateOAuth2Token", "iam:GetRole", "iam:ListUsers"] {
            assert!(allows(&boundary, action, "*"), "{action}");
        }
        assert!(allows(&boundary, "iam:GetRole", &format!("{ACCOUNT}role/rolebridge")));
    }

    #[test]
    fn statement_36_it_allows_roles_below_the_path_to_be_assumed_and_never_a_management_role_or_the_operator() {
        let (everywhere, below) = (made("/"), made("/rolebridge/"));
        for action in ASSUME {
            for account in ["111111111111", "222222222222"] {
                let role = |path_and_name: &str| format!("arn:aws:iam::{account}:role{path_and_name}");
                assert!(allows(&everywhere, action, &role("/rolebridge/team/x")) && allows(&below, action, &role("/rolebridge/team/x")));
                assert!(allows(&everywhere, action, &role("/x")) && !may_allow(&below, action, &role("/x")));
                for boundary in [&everywhere, &below] {
                    assert!(!may_allow(boundary, action, &role("/rolebridge")), "{action}");
                }
            }
            assert!(!may_allow(&everywhere, action, "arn:aws:iam::999999999999:role/operator"), "{action}");
        }
    }

    #[test]
    fn iam_would_accept_it() {
        for path_prefix in ["/", "/rolebridge/"] {
            let boundary = made(path_prefix);
            assert_eq!((boundary.lint(DocumentKind::Permissions), boundary.warnings()), (vec![], vec![]));
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let operator = "arn:aws:iam::999999999999:root".parse().unwrap();
        for boundary in ["arn:aws:iam::aws:policy/PowerUserAccess", "arn:aws:iam::111111111111:role/x", "arn:aws-cn:iam::111111111111:policy/x"] {
            let made = BoundaryPolicy::new(&Partition::aws(), &boundary.parse().unwrap(), &operator, &"rolebridge".parse().unwrap(), &Path::root());
            let told = made.unwrap_err();
            assert!(told.len() == 2 && told[0].contains("no user or role") && told[1].contains(boundary), "{told:?}");
        }
    }
}
