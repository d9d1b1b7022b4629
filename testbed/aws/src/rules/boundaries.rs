//! Permissions boundaries.

use fakecloud_iam::{IamState, managed_policies};

use super::managed_policies::is_service_only;
use crate::failure::Failure;

/// Refuses a boundary that is no policy of the account and none of AWS, or one that is for service-linked roles only.
///
/// Source: BC PutUserPermissionsBoundary/PutRolePermissionsBoundary (`NoSuchEntity`); the text is that of TF issues about
/// boundaries of other accounts.
pub fn check_exists(state: &IamState, boundary: Option<&str>) -> Result<(), Failure> {
    match boundary {
        Some(arn) if (!state.policies.contains_key(arn) && managed_policies::lookup(arn).is_none()) || is_service_only(arn) => {
            Err(Failure::no_such_entity(format!("Scope ARN: {arn} does not exist or is not attachable.")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_must_exist() {
        let state = IamState::new("111111111111");
        assert_eq!(check_exists(&state, None), Ok(()));
        assert_eq!(check_exists(&state, Some("arn:aws:iam::aws:policy/ReadOnlyAccess")), Ok(()));
        for missing in [
            "arn:aws:iam::aws:policy/NoSuch",
            "arn:aws:iam::111111111111:policy/none",
            "arn:aws:iam::aws:policy/aws-service-role/AWSSupportServiceRolePolicy",
        ] {
            assert_eq!(check_exists(&state, Some(missing)).unwrap_err().code, "NoSuchEntity");
        }
    }
}
