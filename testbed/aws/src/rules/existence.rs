//! What must be there for something to be taken from it, beyond what the crates check.

use std::collections::HashMap;

use fakecloud_iam::IamState;

use crate::failure::Failure;

/// Refuses to take a user out of a group, or a device off a user, where there is no such user; and a device off a user who does not have it.
///
/// Source: BC RemoveUserFromGroup and DeactivateMFADevice declare `NoSuchEntity`, and the latter "removes it from association with the user name for
/// which it was originally enabled". The crate looks at the group alone, and takes the device off whoever has it. The first text is the API's, the
/// second is [inf].
pub fn check(state: &IamState, operation: &str, parameters: &HashMap<String, String>) -> Result<(), Failure> {
    if !["RemoveUserFromGroup", "DeactivateMFADevice"].contains(&operation) {
        return Ok(());
    }
    let parameter = |name: &str| parameters.get(name).map_or("", String::as_str);
    let user = parameter("UserName");
    if !state.users.contains_key(user) {
        return Err(Failure::no_such_entity(format!("The user with name {user} cannot be found.")));
    }
    let serial = parameter("SerialNumber");
    let has_device = || state.virtual_mfa_devices.get(serial).is_some_and(|device| device.user.as_deref() == Some(user));
    if operation == "DeactivateMFADevice" && !has_device() {
        return Err(Failure::no_such_entity(format!("MFA device with serial number {serial} is not enabled for user {user}.")));
    }
    Ok(())
}
