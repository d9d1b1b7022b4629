//! Managed policies: which may be attached, and what reads say of their use.

use std::collections::HashMap;

use fakecloud_iam::IamState;

use crate::failure::Failure;

/// Whether a policy is one of AWS for service-linked roles only.
///
/// Source: UG `access_policies_managed-vs-inline.md` and the path of these policies, `/aws-service-role/`.
pub fn is_service_only(policy_arn: &str) -> bool {
    policy_arn.contains(":aws:policy/aws-service-role/")
}

/// Refuses to attach a policy for service-linked roles, or to make it a boundary.
///
/// Source: BC `PolicyNotAttachableException`, declared by these ("AWS service role policies can only be attached to the service-linked
/// role for that service"); aws-cdk#6131 quotes the text.
pub fn check_attachable(operation: &str, parameters: &HashMap<String, String>) -> Result<(), Failure> {
    let parameter = match operation {
        "AttachUserPolicy" | "AttachRolePolicy" | "AttachGroupPolicy" => "PolicyArn",
        "PutUserPermissionsBoundary" | "PutRolePermissionsBoundary" => "PermissionsBoundary",
        _ => return Ok(()),
    };
    match parameters.get(parameter) {
        Some(arn) if is_service_only(arn) => Err(Failure::new(400, "PolicyNotAttachable", "Cannot attach a Service Role Policy to a Customer Role.")),
        _ => Ok(()),
    }
}

/// A document that lists policies, with how often each is a boundary, and with those that cannot be attached marked.
///
/// Source: BC `Policy` and `ManagedPolicyDetail` (`PermissionsBoundaryUsageCount`, `IsAttachable`); the crate leaves the first out and
/// says yes to the second.
pub fn with_usage(state: &IamState, document: &str) -> String {
    let boundaries = state.users.values().map(|user| &user.permissions_boundary).chain(state.roles.values().map(|role| &role.permissions_boundary));
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for arn in boundaries.flatten() {
        *counts.entry(arn).or_default() += 1;
    }
    let mut parts = document.split("<Arn>");
    let mut complete = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        complete.push_str("<Arn>");
        let arn = part.split('<').next().unwrap_or_default();
        let count = counts.get(arn).copied().unwrap_or_default();
        const END: &str = "</AttachmentCount>";
        let mut told = part.replacen(END, &format!("{END}<PermissionsBoundaryUsageCount>{count}</PermissionsBoundaryUsageCount>"), 1);
        if is_service_only(arn) {
            told = told.replacen("<IsAttachable>true<", "<IsAttachable>false<", 1);
        }
        complete.push_str(&told);
    }
    complete
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE_ONLY: &str = "arn:aws:iam::aws:policy/aws-service-role/AWSSupportServiceRolePolicy";

    #[test]
    fn policies_of_service_linked_roles_cannot_be_attached() {
        let with = |name: &str, arn: &str| HashMap::from([(name.to_owned(), arn.to_owned())]);
        for (operation, parameter) in [
            ("AttachRolePolicy", "PolicyArn"),
            ("AttachUserPolicy", "PolicyArn"),
            ("AttachGroupPolicy", "PolicyArn"),
            ("PutRolePermissionsBoundary", "PermissionsBoundary"),
        ] {
            let refused = check_attachable(operation, &with(parameter, SERVICE_ONLY)).unwrap_err();
            assert_eq!((refused.status, refused.code.as_str()), (400, "PolicyNotAttachable"), "{operation}");
            for arn in ["arn:aws:iam::aws:policy/service-role/AWSGlueServiceRole", "arn:aws:iam::1:policy/aws-service-role/own"] {
                assert_eq!(check_attachable(operation, &with(parameter, arn)), Ok(()));
            }
        }
        assert_eq!(check_attachable("GetPolicy", &with("PolicyArn", SERVICE_ONLY)), Ok(()));
    }

    #[test]
    fn each_policy_tells_its_own_use() {
        let mut state = IamState::new("1");
        state.roles.values_mut().for_each(|role| role.permissions_boundary = Some("arn:b".to_owned()));
        let count = state.roles.len();
        let policy = |arn: &str, count: &str, attachable: bool| {
            format!("<Arn>{arn}</Arn><AttachmentCount>7</AttachmentCount>{count}<IsAttachable>{attachable}</IsAttachable>")
        };
        let usage = |count: usize| format!("<PermissionsBoundaryUsageCount>{count}</PermissionsBoundaryUsageCount>");
        let before = [policy("arn:a", "", true), policy("arn:b", "", true), policy(SERVICE_ONLY, "", true)].concat();
        let after = [policy("arn:a", &usage(0), true), policy("arn:b", &usage(count), true), policy(SERVICE_ONLY, &usage(0), false)].concat();
        assert_eq!(with_usage(&state, &before), after);
    }
}
