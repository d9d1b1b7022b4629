//! What must be gone before something can be deleted, beyond what the crates check.

use fakecloud_iam::IamState;

use crate::failure::Failure;

/// A user with service-specific credentials cannot be deleted.
///
/// Source: BC DeleteUser lists what must be deleted first; keys, login profile, certificates, SSH keys, MFA, groups and
/// policies are checked by the crate.
pub fn check_user(state: &IamState, user_name: &str) -> Result<(), Failure> {
    if state.service_specific_credentials.get(user_name).is_some_and(|credentials| !credentials.is_empty()) {
        return Err(Failure::delete_conflict("Cannot delete entity, must delete service specific credentials first."));
    }
    Ok(())
}

/// A policy cannot be deleted while it has versions besides the default one, or while it is somebody's boundary.
///
/// Source: BC DeletePolicy ("delete all versions of the policy using DeletePolicyVersion"; the default version goes with
/// the policy). For boundaries: the console and API count them as usage of the policy [inf].
pub fn check_policy(state: &IamState, policy_arn: &str) -> Result<(), Failure> {
    let boundaries = state.users.values().map(|user| &user.permissions_boundary).chain(state.roles.values().map(|role| &role.permissions_boundary));
    if boundaries.flatten().any(|arn| arn == policy_arn) {
        return Err(Failure::delete_conflict("Cannot delete a policy attached to entities."));
    }
    if state.policies.get(policy_arn).is_some_and(|policy| policy.versions.len() > 1) {
        return Err(Failure::delete_conflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. \
             The default version is deleted with the policy.",
        ));
    }
    Ok(())
}

/// A virtual MFA device cannot be deleted while it is enabled for a user.
///
/// Source: BC DeleteVirtualMFADevice ("you must deactivate a user's virtual MFA device before you can delete it").
pub fn check_mfa_device(state: &IamState, serial_number: &str) -> Result<(), Failure> {
    if state.virtual_mfa_devices.get(serial_number).is_some_and(|device| device.user.is_some()) {
        return Err(Failure::delete_conflict("Cannot delete entity, must deactivate MFA device first."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use fakecloud_iam::{IamPolicy, IamUser, PolicyVersion};

    use super::*;

    const POLICY: &str = "arn:aws:iam::111111111111:policy/p";

    fn state(versions: u32, boundary: Option<&str>) -> IamState {
        let mut state = IamState::new("111111111111");
        let version = |n: u32| PolicyVersion { version_id: format!("v{n}"), document: "{}".to_owned(), is_default: n == 1, created_at: Utc::now() };
        state.policies.insert(
            POLICY.to_owned(),
            IamPolicy {
                policy_name: "p".to_owned(),
                policy_id: "ANPAP".to_owned(),
                arn: POLICY.to_owned(),
                path: "/".to_owned(),
                description: String::new(),
                created_at: Utc::now(),
                tags: Vec::new(),
                default_version_id: "v1".to_owned(),
                versions: (1..=versions).map(version).collect(),
                next_version_num: versions + 1,
                attachment_count: 0,
            },
        );
        state.users.insert(
            "alice".to_owned(),
            IamUser {
                user_name: "alice".to_owned(),
                user_id: "AIDAALICE".to_owned(),
                arn: "arn:aws:iam::111111111111:user/alice".to_owned(),
                path: "/".to_owned(),
                created_at: Utc::now(),
                tags: Vec::new(),
                permissions_boundary: boundary.map(str::to_owned),
            },
        );
        state
    }

    #[test]
    fn a_policy_with_one_version_may_go() {
        assert_eq!(check_policy(&state(1, None), POLICY), Ok(()));
    }

    #[test]
    fn a_policy_with_more_versions_stays() {
        assert_eq!(check_policy(&state(2, None), POLICY).unwrap_err().code, "DeleteConflict");
    }

    #[test]
    fn a_policy_that_is_a_boundary_stays() {
        assert_eq!(check_policy(&state(1, Some(POLICY)), POLICY).unwrap_err().code, "DeleteConflict");
    }

    #[test]
    fn a_device_in_use_stays() {
        let mut state = state(1, None);
        let mut device = fakecloud_iam::VirtualMfaDevice {
            serial_number: "arn:mfa".to_owned(),
            base32_string_seed: String::new(),
            qr_code_png: String::new(),
            enable_date: None,
            user: Some("alice".to_owned()),
            tags: Vec::new(),
        };
        state.virtual_mfa_devices.insert("arn:mfa".to_owned(), device.clone());
        assert_eq!(check_mfa_device(&state, "arn:mfa").unwrap_err().code, "DeleteConflict");
        device.user = None;
        state.virtual_mfa_devices.insert("arn:mfa".to_owned(), device);
        assert_eq!(check_mfa_device(&state, "arn:mfa"), Ok(()));
    }

    #[test]
    fn a_user_with_service_credentials_stays() {
        let mut state = state(1, None);
        assert_eq!(check_user(&state, "alice"), Ok(()));
        // The crate's type is not public; its own record of one credential is.
        let credential = serde_json::json!({"alice": [{"credential_id": "ACCAEXAMPLE", "user_name": "alice",
            "service_name": "codecommit.amazonaws.com", "service_user_name": "alice-at-1", "service_password": "x",
            "status": "Active", "create_date": Utc::now()}]});
        state.service_specific_credentials = serde_json::from_value(credential).unwrap();
        assert_eq!(check_user(&state, "alice").unwrap_err().code, "DeleteConflict");
    }
}
