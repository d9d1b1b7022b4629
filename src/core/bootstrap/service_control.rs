//! A service control policy by which an organization keeps management roles as they are, whoever administers IAM in the accounts.

use super::super::document::{Document, Statement, wildcards_meet};
use super::super::names::{AccountID, Arn, Partition, Path, RoleName};
use super::{check_operator, check_own_boundary};

/// Largest service control policy, in characters, white space included (quotas of AWS Organizations).
const SERVICE_CONTROL_POLICY_SIZE: usize = 5120;

/// What a person says about the accounts of an organization.
#[derive(Clone, Debug, PartialEq)]
pub struct Organization {
    /// The partition of the accounts.
    pub partition: Partition,
    /// Name of the management role in each account. Its path is `/`.
    pub management_role: RoleName,
    /// ARN of the user or role that the operator runs as: who changes that becomes the operator.
    pub operator: Option<Arn>,
    /// ARN of the policy that serves as boundary, in any of the accounts: it has the same name in all of them.
    pub permissions_boundary: Option<Arn>,
    /// What tenants make lies below this path.
    pub path_prefix: Path,
    /// Who may change all of that, as patterns of ARNs of users and roles.
    pub administrators: Vec<String>,
}

/// The service control policy.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceControlPolicy {
    /// What is denied, beside a policy that allows everything.
    pub document: Document,
}

impl ServiceControlPolicy {
    /// Makes the policy: it denies every call of IAM but reads on what [`Organization`] names, to everybody but the administrators.
    ///
    /// STS is left out of the denial: the operator assumes the management roles. That IAM has new calls some day makes no hole, since it is the harmless
    /// ones that are listed. Without `aws:PrincipalArn` in a request the denial holds as well: a negated condition is true then.
    ///
    /// # Errors
    /// All that is wrong with the parameters, at once; each text names the parameter and says what to do.
    pub fn new(organization: &Organization) -> Result<Self, Vec<String>> {
        let Organization { partition, management_role, operator, permissions_boundary, administrators, .. } = organization;
        let mut problems: Vec<String> = operator.iter().flat_map(|operator| check_operator(partition, operator)).collect();
        problems.extend(permissions_boundary.as_ref().and_then(|boundary| check_own_boundary(partition, boundary)));
        problems.extend(administrators.iter().filter_map(|pattern| organization.check_administrator(pattern)));
        if administrators.is_empty() {
            problems.push("without an administrator nobody could ever make or change a management role: name one".to_owned());
        }
        let mut protected = vec![format!("arn:{partition}:iam::*:role/{management_role}")];
        protected.extend(permissions_boundary.iter().map(|boundary| format!("arn:{partition}:iam::*:{}", boundary.resource())));
        protected.extend(operator.iter().map(Arn::to_string));
        let denial = Statement::deny().sid("ManagementRoles").not_actions(["iam:Get*", "iam:List*", "sts:*"]).resources(protected).condition(
            "ArnNotLike",
            "aws:PrincipalArn",
            administrators,
        );
        let document = Document::new(vec![denial]);
        let size = document.size();
        if size > SERVICE_CONTROL_POLICY_SIZE {
            problems.push(format!("the policy would have {size} characters of at most {SERVICE_CONTROL_POLICY_SIZE}: name fewer administrators"));
        }
        if problems.is_empty() { Ok(Self { document }) } else { Err(problems) }
    }
}

impl Organization {
    /// What is wrong with the pattern of an administrator: who is excepted must be neither the operator nor whom a tenant can make.
    fn check_administrator(&self, pattern: &str) -> Option<String> {
        let Self { partition, management_role, operator, path_prefix, .. } = self;
        let is_account = |text: &str| text == "*" || AccountID::try_from(text).is_ok();
        let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-/*?".contains(c));
        let is_identity = |resource: &str| ["user/", "role/"].iter().any(|kind| resource.strip_prefix(kind).is_some_and(is_name));
        let parts = pattern.strip_prefix(&format!("arn:{partition}:iam::")).and_then(|rest| rest.split_once(':'));
        let Some((account, resource)) = parts.filter(|(account, resource)| is_account(account) && is_identity(resource)) else {
            return Some(format!(
                "the administrator {pattern} is no pattern of users or roles: write one such as arn:{partition}:iam::*:role/org-admin; for a session, \
                 that of its role"
            ));
        };
        let mut others = vec![("the management roles", "*", format!("role/{management_role}"))];
        others.extend(operator.iter().map(|operator| ("the operator", operator.account(), operator.resource().to_owned())));
        if !path_prefix.is_root() {
            others.extend(["user", "role"].map(|kind| ("what tenants make", "*", format!("{kind}{path_prefix}*"))));
        }
        // Each part of an ARN is compared by itself (IAM user guide, condition operators for ARNs).
        let meets = |of: &str, what: &str| wildcards_meet(account, of) && wildcards_meet(resource, what);
        let (who, ..) = others.iter().find(|(_, of, what)| meets(of, what))?;
        Some(format!("the administrator {pattern} would except {who} from the policy, too: write a narrower pattern"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::document::{DocumentKind, Effect, StatementRef, wildcard_match};
    use super::*;

    const ADMINISTRATORS: [&str; 2] =
        ["arn:aws:iam::*:role/org-admin", "arn:aws:iam::*:role/aws-reserved/sso.amazonaws.com/*AWSReservedSSO_Platform_????????????????"];

    fn organization() -> Organization {
        Organization {
            partition: Partition::aws(),
            management_role: "rolebridge".parse().unwrap(),
            operator: Some("arn:aws:iam::999999999999:role/operator".parse().unwrap()),
            permissions_boundary: Some("arn:aws:iam::111111111111:policy/base/boundary".parse().unwrap()),
            path_prefix: "/rolebridge/".parse().unwrap(),
            administrators: ADMINISTRATORS.map(str::to_owned).to_vec(),
        }
    }

    fn problems(organization: &Organization) -> Vec<String> {
        ServiceControlPolicy::new(organization).unwrap_err()
    }

    /// Whether the policy denies this, by the elements that it has. Its only condition is about the caller.
    fn denies(document: &Document, caller: &str, action: &str, resource: &str) -> bool {
        let holds = |statement: &StatementRef<'_>| {
            statement.conditions().iter().all(|condition| {
                assert_eq!((condition.operator, condition.key), ("ArnNotLike", "aws:PrincipalArn"));
                !condition.values.iter().any(|pattern| wildcard_match(pattern, caller))
            })
        };
        let about = |statement: &StatementRef<'_>| {
            statement.covers_action(action) && statement.resources().unwrap().iter().any(|pattern| wildcard_match(pattern, resource))
        };
        document.statements().iter().any(|statement| statement.effect() == Some(Effect::Deny) && about(statement) && holds(statement))
    }

    #[test]
    fn nobody_but_administrators_changes_management_roles_the_boundary_and_the_operator_in_any_account() {
        let policy = ServiceControlPolicy::new(&organization()).unwrap().document;
        let reserved = "arn:aws:iam::222222222222:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Platform_0123456789abcdef";
        let others = [
            "arn:aws:iam::222222222222:user/administrator",
            "arn:aws:iam::222222222222:root",
            "arn:aws:iam::222222222222:role/rolebridge",
            "arn:aws:iam::222222222222:role/rolebridge/team/org-admin",
            "arn:aws:iam::222222222222:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Platform_Readers_0123456789abcdef",
        ];
        let protected = ["222222222222:role/rolebridge", "222222222222:policy/base/boundary", "999999999999:role/operator"];
        for resource in protected.map(|resource| format!("arn:aws:iam::{resource}")) {
            let changes = ["iam:UpdateAssumeRolePolicy", "iam:PutRolePolicy", "iam:CreateRole", "iam:DeleteRole", "iam:TagRole", "iam:PassRole"];
            for action in changes.into_iter().chain(["iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:SomethingNew"]) {
                assert!(others.iter().all(|caller| denies(&policy, caller, action, &resource)), "{action} on {resource}");
                assert!(!denies(&policy, "arn:aws:iam::222222222222:role/org-admin", action, &resource));
                assert!(!denies(&policy, reserved, action, &resource));
            }
            for action in ["iam:GetRole", "iam:ListPolicyVersions", "sts:AssumeRole", "sts:TagSession"] {
                assert!(!denies(&policy, others[0], action, &resource), "{action}");
            }
        }
        for resource in ["role/rolebridge-too", "role/rolebridge/team/x", "policy/boundary", "user/x"] {
            assert!(!denies(&policy, others[0], "iam:DeleteRole", &format!("arn:aws:iam::222222222222:{resource}")), "{resource}");
        }
    }

    #[test]
    fn organizations_would_accept_it() {
        let least = Organization { operator: None, permissions_boundary: None, path_prefix: Path::root(), ..organization() };
        for organization in [organization(), least] {
            let policy = ServiceControlPolicy::new(&organization).unwrap().document;
            assert_eq!(policy.lint(DocumentKind::Permissions), []);
            // White space counts, so the policy as a person would print it must fit, too.
            let printed = serde_json::to_string_pretty(&policy).unwrap();
            assert!(printed.chars().count() < SERVICE_CONTROL_POLICY_SIZE / 4, "{printed}");
            assert!(policy.may_deny() && policy.allowing().next().is_none());
        }
    }

    #[test]
    fn who_is_excepted_is_neither_everybody_nor_the_operator_nor_whom_a_tenant_can_make() {
        for pattern in [
            "*",
            "arn:aws:iam::*:*",
            "arn:aws:iam::*:root",
            "arn:aws:iam::*:role/",
            "arn:aws:iam::11:role/x",
            "arn:aws:sts::111111111111:assumed-role/org-admin/*",
            "arn:aws-cn:iam::*:role/org-admin",
            "arn:aws:iam::*:role/${aws:username}",
        ] {
            let told = problems(&Organization { administrators: vec![pattern.into()], ..organization() });
            assert!(told.len() == 1 && told[0].contains(pattern) && told[0].contains("no pattern of users or roles"), "{told:?}");
        }
        for (pattern, whom) in [
            ("arn:aws:iam::*:role/*", "the management roles"),
            ("arn:aws:iam::*:role/role*", "the management roles"),
            ("arn:aws:iam::111111111111:role/rolebridge", "the management roles"),
            ("arn:aws:iam::*:role/oper?tor", "the operator"),
            ("arn:aws:iam::*:role/*-admin", "what tenants make"),
            ("arn:aws:iam::*:user/*", "what tenants make"),
        ] {
            let told = problems(&Organization { administrators: vec![pattern.into()], ..organization() });
            assert!(told.len() == 1 && told[0].contains(pattern) && told[0].contains(whom), "{told:?}");
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let told = problems(&Organization {
            operator: Some("arn:aws:iam::999999999999:root".parse().unwrap()),
            permissions_boundary: Some("arn:aws:iam::aws:policy/PowerUserAccess".parse().unwrap()),
            administrators: vec![],
            ..organization()
        });
        assert_eq!(told.len(), 3, "{told:?}");
        let many = (0..200).map(|number| format!("arn:aws:iam::*:role/org-admin-{number}")).collect();
        let told = problems(&Organization { administrators: many, ..organization() });
        assert!(told.len() == 1 && told[0].contains("5120"), "{told:?}");
    }
}
