//! Users that cannot be changed for a while.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use fakecloud_iam::IamState;
use parking_lot::Mutex;

use super::propagation::has_propagated;
use crate::failure::Failure;

/// Which users bear a name that another user had before.
#[derive(Debug, Default)]
pub struct Recreations(Mutex<Names>);

#[derive(Debug, Default)]
struct Names {
    /// Account and name, in small letters, of users that were deleted.
    deleted: HashSet<(String, String)>,
    /// Unique ids of users that got such a name.
    recreated: HashSet<String>,
}

impl Recreations {
    /// Remembers the name of a user that was deleted.
    pub fn deleted(&self, account_id: &str, user_name: &str) {
        self.0.lock().deleted.insert((account_id.to_owned(), user_name.to_ascii_lowercase()));
    }

    /// Remembers a user that was created, if its name was in use before.
    pub fn created(&self, account_id: &str, user_name: &str, unique_id: &str) {
        let mut names = self.0.lock();
        if names.deleted.contains(&(account_id.to_owned(), user_name.to_ascii_lowercase())) {
            names.recreated.insert(unique_id.to_owned());
        }
    }

    /// Whether the user with this unique id has the name of one that was deleted.
    pub fn is_recreated(&self, unique_id: &str) -> bool {
        self.0.lock().recreated.contains(unique_id)
    }
}

/// Refuses changes to a user that was just deleted and created again, and to a login profile that was just created.
///
/// Source: BC `EntityTemporarilyUnmodifiableException` ("a user name that was deleted and then recreated") and the operations that
/// declare it; TF `internal/service/iam/user.go` quotes the text about login profiles. The other text is [inf].
pub fn check(
    state: &IamState,
    operation: &str,
    parameters: &HashMap<String, String>,
    recreations: &Recreations,
    now: DateTime<Utc>,
    duration_ms: u64,
) -> Result<(), Failure> {
    const OF_PROFILES: [&str; 2] = ["UpdateLoginProfile", "DeleteLoginProfile"];
    const OF_USERS: [&str; 3] = ["UpdateUser", "EnableMFADevice", "DeactivateMFADevice"];
    let Some(name) = parameters.get("UserName") else { return Ok(()) };
    let is_new = |created_at: DateTime<Utc>| !has_propagated(created_at, now, duration_ms);
    let refused = |message: String| Err(Failure::new(409, "EntityTemporarilyUnmodifiable", message));
    let of_profile = OF_PROFILES.contains(&operation);
    if of_profile && state.login_profiles.get(name).is_some_and(|profile| is_new(profile.created_at)) {
        return refused(format!("Login Profile for User {name} cannot be modified while login profile is being created."));
    }
    let recreated = state.users.get(name).filter(|user| recreations.is_recreated(&user.user_id) && is_new(user.created_at));
    if recreated.is_some() && (of_profile || OF_USERS.contains(&operation)) {
        return refused(format!("User {name} cannot be modified while it is being recreated."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use fakecloud_iam::IamUser;

    use super::*;

    fn state(now: DateTime<Utc>) -> IamState {
        let mut state = IamState::new("1");
        let user = IamUser {
            user_name: "alice".to_owned(),
            user_id: "AIDANEW".to_owned(),
            arn: "arn:aws:iam::1:user/alice".to_owned(),
            path: "/".to_owned(),
            created_at: now,
            tags: Vec::new(),
            permissions_boundary: None,
        };
        state.users.insert("alice".to_owned(), user);
        // The crate's type is not public; its own record of one profile is.
        let profile = serde_json::json!({"alice": {"user_name": "alice", "created_at": now, "password_reset_required": false}});
        state.login_profiles = serde_json::from_value(profile).unwrap();
        state
    }

    fn refusal(operation: &str, recreations: &Recreations, age_ms: i64, duration_ms: u64) -> Option<String> {
        let now = Utc::now();
        let parameters = HashMap::from([("UserName".to_owned(), "alice".to_owned())]);
        check(&state(now), operation, &parameters, recreations, now + TimeDelta::milliseconds(age_ms), duration_ms).err().map(|failure| failure.code)
    }

    #[test]
    fn a_new_login_profile_cannot_be_changed_for_a_while() {
        let nobody = Recreations::default();
        for operation in ["UpdateLoginProfile", "DeleteLoginProfile"] {
            assert_eq!(refusal(operation, &nobody, 999, 1_000).as_deref(), Some("EntityTemporarilyUnmodifiable"));
            assert_eq!(refusal(operation, &nobody, 1_000, 1_000), None);
            assert_eq!(refusal(operation, &nobody, 0, 0), None);
        }
        assert_eq!(refusal("UpdateUser", &nobody, 0, 1_000), None);
    }

    #[test]
    fn a_user_with_the_name_of_a_deleted_one_cannot_be_changed_for_a_while() {
        let recreations = Recreations::default();
        recreations.deleted("1", "Alice");
        recreations.created("2", "alice", "AIDAELSEWHERE");
        recreations.created("1", "alice", "AIDANEW");
        assert!(recreations.is_recreated("AIDANEW") && !recreations.is_recreated("AIDAELSEWHERE"));
        for operation in ["UpdateUser", "EnableMFADevice", "DeleteLoginProfile"] {
            assert!(refusal(operation, &recreations, 0, 1_000).is_some(), "{operation}");
            assert_eq!(refusal(operation, &recreations, 1_000, 1_000), None);
        }
        for operation in ["PutUserPolicy", "DeleteUser", "GetUser"] {
            assert_eq!(refusal(operation, &recreations, 0, 1_000), None, "{operation}");
        }
    }
}
