//! Roles that belong to AWS.

use std::collections::HashMap;

use fakecloud_iam::IamState;

use crate::failure::Failure;

/// The paths that AWS keeps for itself: service-linked roles, and those of IAM Identity Center.
const RESERVED: [&str; 2] = ["/aws-service-role/", "/aws-reserved/"];

/// Whether service-linked roles live under this path.
pub fn is_service_linked(path: &str) -> bool {
    path.starts_with(RESERVED[0])
}

/// Whether AWS keeps this path for itself.
pub fn is_reserved(path: &str) -> bool {
    RESERVED.iter().any(|reserved| path.starts_with(reserved))
}

/// Refuses to change a role that belongs to AWS, or to create one where they live.
///
/// Source: BC `UnmodifiableEntityException` ("only the service that depends on the service-linked role can modify or delete
/// the role on your behalf"), declared by all of these; the text is the API's. Creation under such a path: UG
/// `reference_identifiers.md` [inf: the code].
pub fn check(state: &IamState, operation: &str, parameters: &HashMap<String, String>) -> Result<(), Failure> {
    const CHANGES: [&str; 12] = [
        "AddRoleToInstanceProfile",
        "RemoveRoleFromInstanceProfile",
        "AttachRolePolicy",
        "DetachRolePolicy",
        "PutRolePolicy",
        "DeleteRolePolicy",
        "UpdateRole",
        "UpdateRoleDescription",
        "UpdateAssumeRolePolicy",
        "PutRolePermissionsBoundary",
        "DeleteRolePermissionsBoundary",
        "DeleteRole",
    ];
    if operation == "CreateRole" && parameters.get("Path").is_some_and(|path| is_reserved(path)) {
        return Err(Failure::validation("The specified value for path is invalid. It is reserved for AWS use."));
    }
    if !CHANGES.contains(&operation) {
        return Ok(());
    }
    match parameters.get("RoleName").and_then(|name| state.roles.get(name)) {
        Some(role) if is_reserved(&role.path) => Err(Failure::new(
            400,
            "UnmodifiableEntity",
            format!("Cannot perform the operation on the protected role '{}' - this role is only modifiable by AWS", role.role_name),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn statement_34_a_service_linked_role_cannot_be_changed_but_read_and_tagged() {
        // The crate gives each account this one.
        let state = IamState::new("1");
        let role = parameters(&[("RoleName", "AWSServiceRoleForSupport")]);
        for operation in ["DeleteRole", "UpdateAssumeRolePolicy", "PutRolePolicy"] {
            assert_eq!(check(&state, operation, &role).unwrap_err().code, "UnmodifiableEntity");
        }
        for operation in ["GetRole", "TagRole"] {
            assert_eq!(check(&state, operation, &role), Ok(()));
        }
    }

    #[test]
    fn nothing_is_created_where_they_live() {
        let state = IamState::new("1");
        for path in ["/aws-service-role/x.amazonaws.com/", "/aws-reserved/"] {
            assert_eq!(check(&state, "CreateRole", &parameters(&[("Path", path)])).unwrap_err().code, "ValidationError");
        }
        assert_eq!(check(&state, "CreateRole", &parameters(&[("Path", "/aws/")])), Ok(()));
    }
}
