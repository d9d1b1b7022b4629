//! Names: what may be one, and which are the same.

use std::collections::HashMap;

use fakecloud_iam::IamState;

use crate::{caller::Caller, failure::Failure};

/// The kinds of entity that calls name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    User,
    Role,
    Group,
    InstanceProfile,
    Policy,
}

impl Kind {
    const NAMED: [Self; 4] = [Self::User, Self::Role, Self::Group, Self::InstanceProfile];

    fn parameter(self) -> &'static str {
        match self {
            Self::User => "UserName",
            Self::Role => "RoleName",
            Self::Group => "GroupName",
            Self::InstanceProfile => "InstanceProfileName",
            Self::Policy => "PolicyName",
        }
    }

    /// The name as it was given at creation, found without regard to case.
    fn find<'a>(self, state: &'a IamState, name: &str) -> Option<&'a str> {
        let same = |candidate: &&String| candidate.eq_ignore_ascii_case(name);
        match self {
            Self::User => state.users.keys().find(same),
            Self::Role => state.roles.keys().find(same),
            Self::Group => state.groups.keys().find(same),
            Self::InstanceProfile => state.instance_profiles.keys().find(same),
            Self::Policy => state.policies.values().map(|policy| &policy.policy_name).find(same),
        }
        .map(String::as_str)
    }
}

/// Refuses a creation whose name is taken, without regard to case; another path does not make a name another.
///
/// Sources: BC CreateUser/CreateRole/CreatePolicy ("names are not distinguished by case"); upjet-aws#1376 for paths. The
/// texts are those of TF's acceptance tests and upjet-aws#1376.
pub fn check_unique(state: &IamState, operation: &str, parameters: &HashMap<String, String>) -> Result<(), Failure> {
    let (kind, parameter) = match operation {
        "CreateUser" => (Kind::User, "UserName"),
        "UpdateUser" => (Kind::User, "NewUserName"),
        "CreateRole" => (Kind::Role, "RoleName"),
        "CreateGroup" => (Kind::Group, "GroupName"),
        "CreateInstanceProfile" => (Kind::InstanceProfile, "InstanceProfileName"),
        "CreatePolicy" => (Kind::Policy, "PolicyName"),
        _ => return Ok(()),
    };
    let Some(name) = parameters.get(parameter) else { return Ok(()) };
    let taken = kind.find(state, name);
    // A user may change the case of its own name.
    let is_own = operation == "UpdateUser" && taken.is_some() && taken == parameters.get("UserName").and_then(|own| kind.find(state, own));
    if taken.is_none() || is_own {
        return Ok(());
    }
    Err(Failure::already_exists(match kind {
        Kind::User => format!("User with name {name} already exists."),
        Kind::Role => format!("Role with name {name} already exists."),
        Kind::Group => format!("Group with name {name} already exists."),
        Kind::InstanceProfile => format!("Instance Profile {name} already exists."),
        Kind::Policy => format!("A policy called {name} already exists. Duplicate names are not allowed."),
    }))
}

/// Finds what is named without regard to case: rewrites the parameters to the names as they were created.
///
/// Source: as for [`check_unique`]; policies are named by their ARN.
pub fn find_without_case(state: &IamState, operation: &str, parameters: &mut HashMap<String, String>) {
    for kind in Kind::NAMED {
        if operation.strip_prefix("Create").is_some_and(|rest| kind.parameter().strip_suffix("Name") == Some(rest)) {
            continue;
        }
        if let Some(name) = parameters.get_mut(kind.parameter())
            && let Some(found) = kind.find(state, name)
        {
            *name = found.to_owned();
        }
    }
    for parameter in ["PolicyArn", "PermissionsBoundary"] {
        if let Some(arn) = parameters.get_mut(parameter)
            && let Some(found) = state.policies.keys().find(|candidate| candidate.eq_ignore_ascii_case(arn))
        {
            *arn = found.clone();
        }
    }
}

/// Refuses names with characters that IAM does not have, or too long ones: users and roles 64, policies and groups 128, of
/// `[\w+=,.@-]`.
///
/// Source: BC `userNameType`, `roleNameType`, `policyNameType`, `groupNameType`; the text is the API's.
pub fn check_characters(operation: &str, parameters: &HashMap<String, String>) -> Result<(), Failure> {
    let writes = ["Create", "Put", "Update"].iter().any(|verb| operation.starts_with(verb));
    if !writes {
        return Ok(());
    }
    for (parameter, maximum) in [
        ("UserName", 64),
        ("NewUserName", 64),
        ("RoleName", 64),
        ("PolicyName", 128),
        ("GroupName", 128),
        ("NewGroupName", 128),
        ("InstanceProfileName", 128),
        ("VirtualMFADeviceName", 226),
    ] {
        let Some(name) = parameters.get(parameter) else { continue };
        let member = format!("{}{}", parameter[..1].to_ascii_lowercase(), &parameter[1..]);
        if name.chars().count() > maximum {
            return Err(Failure::validation(format!(
                "1 validation error detected: Value at '{member}' failed to satisfy constraint: \
                 Member must have length less than or equal to {maximum}"
            )));
        }
        if name.is_empty() || !name.chars().all(|character| character.is_ascii_alphanumeric() || "_+=,.@-".contains(character)) {
            return Err(Failure::validation(format!(
                "The specified value for {member} is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-"
            )));
        }
    }
    Ok(())
}

/// Refuses paths that do not begin and end with a slash, are longer than 512 characters, or have others than printable ASCII. Three characters
/// that IAM takes are refused too, since the crates do not escape them in replies.
///
/// Source: BC `pathType` and `pathPrefixType`; the text is the API's, as moto's tests of `CreateVirtualMFADevice` have it.
pub fn check_paths(parameters: &HashMap<String, String>) -> Result<(), Failure> {
    let is_allowed =
        |path: &str| path.len() <= 512 && path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>&".contains(&byte));
    for (parameter, is_whole) in [("Path", true), ("NewPath", true), ("PathPrefix", false)] {
        let Some(path) = parameters.get(parameter) else { continue };
        if !is_allowed(path) || (is_whole && !path.ends_with('/')) {
            return Err(Failure::validation(
                "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.",
            ));
        }
    }
    Ok(())
}

/// Calls about a user that name none are about the caller, who must then be a user.
///
/// Source: BC ("if you do not specify a user name, IAM determines the user name implicitly based on the access key ID
/// signing the request"); the text is the API's for callers that are roles.
pub fn default_to_caller(caller: &Caller, operation: &str, parameters: &mut HashMap<String, String>) -> Result<(), Failure> {
    const ABOUT_A_USER: [&str; 19] = [
        "GetUser",
        "ListAccessKeys",
        "CreateAccessKey",
        "UpdateAccessKey",
        "DeleteAccessKey",
        "CreateLoginProfile",
        "GetLoginProfile",
        "UpdateLoginProfile",
        "DeleteLoginProfile",
        "ListMFADevices",
        "ListSigningCertificates",
        "UploadSigningCertificate",
        "UpdateSigningCertificate",
        "DeleteSigningCertificate",
        "ListSSHPublicKeys",
        "ListServiceSpecificCredentials",
        "ResetServiceSpecificCredential",
        "UpdateServiceSpecificCredential",
        "DeleteServiceSpecificCredential",
    ];
    if !ABOUT_A_USER.contains(&operation) || parameters.contains_key("UserName") {
        return Ok(());
    }
    let Some(name) = caller.user_name() else {
        return Err(Failure::validation("Must specify userName when calling with non-User credentials"));
    };
    parameters.insert("UserName".to_owned(), name.to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use fakecloud_core::auth::{Principal, PrincipalType};
    use fakecloud_iam::{IamPolicy, IamUser};

    use super::*;

    fn state() -> IamState {
        let mut state = IamState::new("111111111111");
        state.users.insert(
            "Alice".to_owned(),
            IamUser {
                user_name: "Alice".to_owned(),
                user_id: "AIDAALICE".to_owned(),
                arn: "arn:aws:iam::111111111111:user/team/Alice".to_owned(),
                path: "/team/".to_owned(),
                created_at: Utc::now(),
                tags: Vec::new(),
                permissions_boundary: None,
            },
        );
        state.policies.insert(
            "arn:aws:iam::111111111111:policy/team/Read".to_owned(),
            IamPolicy {
                policy_name: "Read".to_owned(),
                policy_id: "ANPAREAD".to_owned(),
                arn: "arn:aws:iam::111111111111:policy/team/Read".to_owned(),
                path: "/team/".to_owned(),
                description: String::new(),
                created_at: Utc::now(),
                tags: Vec::new(),
                default_version_id: "v1".to_owned(),
                versions: Vec::new(),
                next_version_num: 2,
                attachment_count: 0,
            },
        );
        state
    }

    fn parameters(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn statement_19_names_are_unique_without_regard_to_case_and_path() {
        let taken = check_unique(&state(), "CreateUser", &parameters(&[("UserName", "aLICE"), ("Path", "/other/")])).unwrap_err();
        assert_eq!((taken.status, taken.code.as_str()), (409, "EntityAlreadyExists"));
        assert_eq!(taken.message, "User with name aLICE already exists.");
        assert!(check_unique(&state(), "CreatePolicy", &parameters(&[("PolicyName", "READ"), ("Path", "/")])).is_err());
        // One name space for each kind.
        assert_eq!(check_unique(&state(), "CreateRole", &parameters(&[("RoleName", "alice")])), Ok(()));
        assert_eq!(check_unique(&state(), "CreateUser", &parameters(&[("UserName", "bob")])), Ok(()));
    }

    #[test]
    fn a_user_may_change_the_case_of_its_name() {
        let rename = parameters(&[("UserName", "Alice"), ("NewUserName", "alice")]);
        assert_eq!(check_unique(&state(), "UpdateUser", &rename), Ok(()));
        let mut state = state();
        let mut bob = state.users["Alice"].clone();
        bob.user_name = "bob".to_owned();
        state.users.insert("bob".to_owned(), bob);
        assert!(check_unique(&state, "UpdateUser", &parameters(&[("UserName", "bob"), ("NewUserName", "alice")])).is_err());
    }

    #[test]
    fn entities_are_found_without_regard_to_case() {
        let mut named = parameters(&[("UserName", "alice"), ("PolicyArn", "arn:aws:iam::111111111111:policy/team/read")]);
        find_without_case(&state(), "AttachUserPolicy", &mut named);
        assert_eq!(named, parameters(&[("UserName", "Alice"), ("PolicyArn", "arn:aws:iam::111111111111:policy/team/Read")]));
        let mut creation = parameters(&[("UserName", "alice")]);
        find_without_case(&state(), "CreateUser", &mut creation);
        assert_eq!(creation["UserName"], "alice");
        let mut key = parameters(&[("UserName", "alice")]);
        find_without_case(&state(), "CreateAccessKey", &mut key);
        assert_eq!(key["UserName"], "Alice");
    }

    #[test]
    fn statement_18_names_are_of_iams_characters_and_length() {
        for name in ["a b", "a/b", "\u{e9}", ""] {
            assert_eq!(check_characters("CreateUser", &parameters(&[("UserName", name)])).unwrap_err().code, "ValidationError", "{name}");
        }
        let (longest, too_long) = ("r".repeat(64), "r".repeat(65));
        assert_eq!(check_characters("CreateRole", &parameters(&[("RoleName", &longest)])), Ok(()));
        assert!(check_characters("CreateRole", &parameters(&[("RoleName", &too_long)])).is_err());
        assert_eq!(check_characters("PutRolePolicy", &parameters(&[("PolicyName", "a_b+=,.@-")])), Ok(()));
        let (longest, too_long) = ("p".repeat(128), "p".repeat(129));
        assert_eq!(check_characters("CreatePolicy", &parameters(&[("PolicyName", &longest)])), Ok(()));
        assert!(check_characters("CreatePolicy", &parameters(&[("PolicyName", &too_long)])).is_err());
    }

    #[test]
    fn statement_18_paths_have_a_slash_at_both_ends() {
        let longest = format!("/{}/", "p".repeat(510));
        for path in ["/", "/a/", "/a-b/c_d/", &longest] {
            assert_eq!(check_paths(&parameters(&[("Path", path)])), Ok(()), "{path}");
        }
        let too_long = format!("/{}/", "p".repeat(511));
        for path in ["", "a", "/a", "a/", "/a b/", "/\u{e9}/", &too_long] {
            assert_eq!(check_paths(&parameters(&[("NewPath", path)])).unwrap_err().code, "ValidationError", "{path}");
        }
        assert_eq!(check_paths(&parameters(&[("PathPrefix", "/team")])), Ok(()));
    }

    #[test]
    fn without_a_name_a_call_is_about_the_caller() {
        let mut caller = Caller {
            principal: Principal {
                arn: "arn:aws:iam::111111111111:user/team/Alice".to_owned(),
                user_id: "AIDAALICE".to_owned(),
                account_id: "111111111111".to_owned(),
                principal_type: PrincipalType::User,
                source_identity: None,
                tags: None,
            },
            role_arn: None,
            session: None,
        };
        let mut none = parameters(&[]);
        assert_eq!(default_to_caller(&caller, "ListAccessKeys", &mut none), Ok(()));
        assert_eq!(none["UserName"], "Alice");
        caller.principal.principal_type = PrincipalType::AssumedRole;
        assert_eq!(default_to_caller(&caller, "ListAccessKeys", &mut parameters(&[])).unwrap_err().code, "ValidationError");
        assert_eq!(default_to_caller(&caller, "ListUsers", &mut parameters(&[])), Ok(()));
    }
}
