//! What the password of a login profile must look like.

use std::collections::HashMap;

use fakecloud_iam::IamState;

use crate::failure::Failure;

/// Refuses a password that breaks the policy of the account; without one, the default of AWS: at least 8 characters, and three of
/// capital letters, small letters, digits and symbols.
///
/// Source: UG `id_credentials_passwords_account-policy.md`; BC CreateLoginProfile, UpdateLoginProfile and
/// ChangePassword (`PasswordPolicyViolation`). The texts are [inf].
pub fn check(state: &IamState, operation: &str, parameters: &HashMap<String, String>) -> Result<(), Failure> {
    let parameter = match operation {
        "CreateLoginProfile" | "UpdateLoginProfile" => "Password",
        "ChangePassword" => "NewPassword",
        _ => return Ok(()),
    };
    let Some(password) = parameters.get(parameter) else { return Ok(()) };
    let has = |kind: fn(&char) -> bool| password.chars().any(|character| kind(&character));
    let (upper, lower, digits) = (has(char::is_ascii_uppercase), has(char::is_ascii_lowercase), has(char::is_ascii_digit));
    let symbols = has(char::is_ascii_punctuation);
    let policy = state.account_password_policy.as_ref();
    let minimum = policy.map_or(8, |policy| policy.minimum_password_length);
    let mut problems = Vec::new();
    if password.chars().count() < usize::try_from(minimum).unwrap_or(usize::MAX) {
        problems.push(format!("have a minimum length of {minimum}"));
    }
    match policy {
        Some(policy) => {
            for (needed, there, what) in [
                (policy.require_uppercase_characters, upper, "capital letter"),
                (policy.require_lowercase_characters, lower, "small letter"),
                (policy.require_numbers, digits, "number"),
                (policy.require_symbols, symbols, "symbol"),
            ] {
                if needed && !there {
                    problems.push(format!("have at least one {what}"));
                }
            }
        }
        None if [upper, lower, digits, symbols].into_iter().filter(|there| *there).count() < 3 => {
            problems.push("have three of capital letters, small letters, numbers and symbols".to_owned());
        }
        None => {}
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failure::new(400, "PasswordPolicyViolation", format!("Password should {}", problems.join(" and "))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(state: &IamState, password: &str) -> Option<String> {
        let parameters = HashMap::from([("UserName".to_owned(), "alice".to_owned()), ("Password".to_owned(), password.to_owned())]);
        assert_eq!(check(state, "CreateUser", &parameters), Ok(()));
        let refused = check(state, "CreateLoginProfile", &parameters).err()?;
        assert_eq!((refused.status, refused.code.as_str()), (400, "PasswordPolicyViolation"));
        Some(refused.message)
    }

    #[test]
    fn without_a_policy_the_default_holds() {
        let state = IamState::new("1");
        assert_eq!(refusal(&state, "correct-Horse"), None);
        assert_eq!(refusal(&state, "abcDEF12"), None);
        assert!(refusal(&state, "aB1-").unwrap().contains("minimum length of 8"));
        assert!(refusal(&state, "abcdefgh12").unwrap().contains("three of"));
    }

    #[test]
    fn who_changes_the_own_password_obeys_too() {
        let change = |password: &str| HashMap::from([("OldPassword".to_owned(), "x".to_owned()), ("NewPassword".to_owned(), password.to_owned())]);
        assert_eq!(check(&IamState::new("1"), "ChangePassword", &change("correct-Horse")), Ok(()));
        assert!(check(&IamState::new("1"), "ChangePassword", &change("short")).is_err());
    }

    #[test]
    fn a_policy_of_the_account_takes_its_place() {
        let mut state = IamState::new("1");
        let policy = json!({"minimum_password_length": 12, "require_symbols": true, "require_numbers": false, "require_uppercase_characters": false,
            "require_lowercase_characters": false, "allow_users_to_change_password": false, "max_password_age": 0, "password_reuse_prevention": 0,
            "hard_expiry": false});
        state.account_password_policy = serde_json::from_value(policy).unwrap();
        assert_eq!(refusal(&state, "only-small-letters"), None);
        assert_eq!(refusal(&state, "Short1").unwrap(), "Password should have a minimum length of 12 and have at least one symbol");
    }
}
