use std::collections::BTreeSet;
use std::fs;

use super::super::document::{DocumentKind, Effect, StatementRef};
use super::*;
use crate::document::wildcard_match;

const BOUNDARY: &str = "arn:aws:iam::111111111111:policy/team-boundary";

fn parameters() -> Parameters {
    Parameters {
        account: "111111111111".parse().unwrap(),
        partition: Partition::aws(),
        operator: "arn:aws:iam::999999999999:role/rolebridge-operator".parse().unwrap(),
        path_prefix: Path::root(),
        permissions_boundary: None,
        installation: None,
        allowed_groups: vec!["staff".parse().unwrap(), "/people/it/support".parse().unwrap()],
    }
}

fn limited() -> Parameters {
    Parameters {
        path_prefix: "/rolebridge/".parse().unwrap(),
        permissions_boundary: Some(BOUNDARY.parse().unwrap()),
        installation: Some("production".into()),
        ..parameters()
    }
}

fn role(parameters: &Parameters, external_id: &str) -> Result<ManagementRole, Vec<String>> {
    ManagementRole::new(parameters, &"rolebridge".parse().unwrap(), external_id)
}

fn made(parameters: &Parameters) -> ManagementRole {
    role(parameters, "an-external-id").unwrap()
}

fn problems(parameters: &Parameters) -> Vec<String> {
    role(parameters, "an-external-id").unwrap_err()
}

/// For the account in which the operator itself is, as this user.
fn at_home(user: &str) -> Parameters {
    Parameters { operator: format!("arn:aws:iam::111111111111:user{user}").parse().unwrap(), ..parameters() }
}

fn operator_policy(parameters: &Parameters) -> Result<OperatorPolicy, Vec<String>> {
    OperatorPolicy::new(parameters, &"manage-iam".parse().unwrap())
}

/// Whether a statement of this effect is about the action on the resource, whatever its conditions.
fn speaks(document: &Document, effect: Effect, action: &str, resource: &str) -> bool {
    let matches = |patterns: Vec<&str>| patterns.iter().any(|pattern| wildcard_match(pattern, resource));
    let about = |statement: &StatementRef<'_>| statement.covers_action(action) && statement.resources().is_some_and(matches);
    document.statements().iter().any(|statement| statement.effect() == Some(effect) && about(statement))
}

/// Whether it allows this in some circumstances. Its denials have no conditions, which [`unconditional_denials`] sees to.
pub(super) fn may_allow(document: &Document, action: &str, resource: &str) -> bool {
    unconditional_denials(document);
    speaks(document, Effect::Allow, action, resource) && !speaks(document, Effect::Deny, action, resource)
}

/// Whether it allows this in all circumstances.
pub(super) fn allows(document: &Document, action: &str, resource: &str) -> bool {
    assert!(document.allowing().all(|statement| statement.conditions().is_empty()));
    may_allow(document, action, resource)
}

fn unconditional_denials(document: &Document) {
    let denials = document.statements().into_iter().filter(|statement| statement.effect() == Some(Effect::Deny));
    denials.for_each(|statement| assert_eq!(statement.conditions(), []));
}

/// The actions of a kind, without what they depend on.
fn called() -> BTreeSet<&'static str> {
    CALLS.iter().flat_map(|(_, actions)| actions.iter().copied()).collect()
}

/// The names in the text that stand between `start` and `end`.
fn names_between<'t>(text: &'t str, start: &str, end: &str) -> Vec<&'t str> {
    let name = |rest: &'t str| rest.split_once(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(rest, |(name, _)| name);
    let rests = text.match_indices(start).map(|(at, _)| &text[at + start.len()..]);
    rests
        .map(|rest| (name(rest), rest))
        .filter(|(name, rest)| !name.is_empty() && rest[name.len()..].starts_with(end))
        .map(|(name, _)| name)
        .collect()
}

/// A name without what makes `list_mfa_devices` differ from `ListMFADevices`.
fn plain(name: &str) -> String {
    name.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect()
}

#[test]
fn the_table_holds_the_calls_of_the_code_and_no_others() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../aws");
    let mut files: Vec<_> = fs::read_dir(folder.join("sdk")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.file_name().is_some_and(|name| name != "tests.rs"));
    files.push(folder.join("sdk.rs"));
    let code = |file| {
        let text = fs::read_to_string(file).unwrap();
        text.lines().filter(|line| !line.trim_start().starts_with("//")).map(str::trim).collect::<String>()
    };
    let text: String = files.iter().map(code).collect();
    let table: BTreeSet<String> = called().into_iter().map(|action| plain(action.strip_prefix("iam:").unwrap())).collect();
    // What a call says that it is, for messages, and the method of the SDK that it really is.
    for (start, end) in [("\"iam:", "\""), ("iam.", "(")] {
        let in_code: BTreeSet<String> = names_between(&text, start, end).into_iter().map(plain).collect();
        assert_eq!(in_code, table, "found after {start}");
    }
}

#[test]
fn every_call_is_in_the_table_once() {
    assert_eq!(called().len(), CALLS.iter().map(|(_, actions)| actions.len()).sum::<usize>());
}

#[test]
fn every_call_is_allowed_on_what_is_below_the_path_and_no_change_outside() {
    let (everywhere, narrow) = (made(&parameters()).permissions_policy, made(&limited()).permissions_policy);
    for (access, actions) in CALLS {
        for action in *actions {
            let on = |path: &str| ["user", "role", "policy", "group"].map(|kind| format!("arn:aws:iam::111111111111:{kind}{path}x"));
            let device = || "arn:aws:iam::111111111111:mfa/x".to_owned();
            let allowed = |document: &Document, path: &str| on(path).into_iter().any(|resource| may_allow(document, action, &resource));
            match access {
                Access::Read => assert!(allowed(&everywhere, "/") && allowed(&narrow, "/")),
                Access::DeleteDevice => assert!(may_allow(&everywhere, action, &device()) && may_allow(&narrow, action, &device())),
                Access::JoinGroup => {
                    assert!(!allowed(&everywhere, "/") && !allowed(&narrow, "/rolebridge/"), "{action} is for groups that are listed")
                }
                Access::LeaveGroup => assert!(allowed(&everywhere, "/") && allowed(&narrow, "/"), "{action} is part of every deletion"),
                Access::Unbound => assert!(allowed(&everywhere, "/") && !allowed(&narrow, "/rolebridge/"), "{action}"),
                _ => {
                    assert!(allowed(&everywhere, "/") && allowed(&narrow, "/rolebridge/"), "{action}");
                    assert!(!allowed(&narrow, "/") && !allowed(&narrow, "/rolebridge-too/"), "{action} is not limited by path");
                }
            }
        }
    }
    for resource in ["arn:aws:iam::222222222222:user/rolebridge/x", "arn:aws:iam::222222222222:role/x"] {
        assert!(!may_allow(&everywhere, "iam:DeleteUser", resource), "{resource} is in another account");
    }
}

#[test]
fn statement_47_users_are_put_into_the_groups_that_are_listed_and_into_no_others() {
    let group = |path_and_name: &str| format!("arn:aws:iam::111111111111:group{path_and_name}");
    for parameters in [parameters(), limited()] {
        let policy = made(&parameters).permissions_policy;
        let joins = |path_and_name: &str| may_allow(&policy, "iam:AddUserToGroup", &group(path_and_name));
        assert!(joins("/staff") && joins("/people/it/support"));
        for other in ["/admins", "/staff2", "/people/staff", "/support", "/rolebridge/staff"] {
            assert!(!joins(other), "{other}");
            assert!(may_allow(&policy, "iam:RemoveUserFromGroup", &group(other)), "{other}");
        }
        let none = made(&Parameters { allowed_groups: vec![], ..parameters }).permissions_policy;
        assert!(!none.to_json().contains("AddUserToGroup"));
    }
}

#[test]
fn a_group_is_written_with_its_path_or_without_and_never_as_a_pattern() {
    assert_eq!("/staff".parse::<Group>().unwrap(), "staff".parse().unwrap());
    for wrong in ["", "/", "people/staff", "/people/", "team-*", "/team-*/x", "/people//staff", "${aws:username}"] {
        assert!(wrong.parse::<Group>().is_err(), "{wrong}");
    }
}

#[test]
fn statement_48_nothing_is_allowed_that_is_neither_called_nor_needed_by_a_call() {
    let needed: BTreeSet<&str> = CALLS.iter().chain(DEPENDENTS).flat_map(|(_, actions)| actions.iter().copied()).collect();
    let policy = made(&parameters()).permissions_policy;
    let allowed: BTreeSet<&str> = policy.allowing().flat_map(|statement| statement.actions().unwrap()).collect();
    assert_eq!(allowed, needed);
}

#[test]
fn itself_the_operator_and_the_boundary_are_out_of_reach_but_can_be_read() {
    let home = Parameters { operator: "arn:aws:iam::111111111111:user/people/operator".parse().unwrap(), ..limited() };
    let everywhere = Parameters { path_prefix: Path::root(), ..home.clone() };
    for policy in [home, everywhere].map(|parameters| made(&parameters).permissions_policy) {
        for resource in ["arn:aws:iam::111111111111:role/rolebridge", "arn:aws:iam::111111111111:user/people/operator", BOUNDARY] {
            let changes = CALLS.iter().filter(|(access, _)| *access != Access::Read).flat_map(|(_, actions)| actions.iter());
            for action in changes {
                assert!(speaks(&policy, Effect::Deny, action, resource), "{action} on {resource}");
            }
            assert!(may_allow(&policy, "iam:GetRole", resource) && may_allow(&policy, "iam:ListPolicyVersions", resource));
        }
    }
}

/// All that IAM can do with a user, be it that no call of the operator's does.
const CHANGES_OF_USERS: [&str; 20] = [
    "iam:AttachUserPolicy",
    "iam:CreateAccessKey",
    "iam:CreateLoginProfile",
    "iam:CreateUser",
    "iam:DeactivateMFADevice",
    "iam:DeleteAccessKey",
    "iam:DeleteUser",
    "iam:DeleteUserPermissionsBoundary",
    "iam:DeleteUserPolicy",
    "iam:DetachUserPolicy",
    "iam:EnableMFADevice",
    "iam:PutUserPermissionsBoundary",
    "iam:PutUserPolicy",
    "iam:TagUser",
    "iam:UntagUser",
    "iam:UpdateAccessKey",
    "iam:UpdateLoginProfile",
    "iam:UpdateUser",
    "iam:UploadSSHPublicKey",
    "iam:UploadSigningCertificate",
];

#[test]
fn the_operators_user_may_do_what_a_management_role_may_and_nothing_with_itself_or_its_policy() {
    for parameters in [at_home("/operator"), Parameters { path_prefix: "/rolebridge/".parse().unwrap(), ..at_home("/rolebridge/operator") }] {
        let policy = operator_policy(&parameters).unwrap();
        assert_eq!((policy.arn.as_str(), &policy.operator), ("arn:aws:iam::111111111111:policy/manage-iam", &parameters.operator));
        for action in CHANGES_OF_USERS {
            assert!(speaks(&policy.document, Effect::Deny, action, parameters.operator.as_str()), "{action}");
        }
        for action in ["iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion", "iam:DeletePolicyVersion", "iam:DeletePolicy", "iam:TagPolicy"] {
            assert!(speaks(&policy.document, Effect::Deny, action, policy.arn.as_str()), "{action}");
        }
        assert!(may_allow(&policy.document, "iam:GetUser", parameters.operator.as_str()));
        // Apart from what it protects it is the policy of a management role.
        let without = |document: &Document, text: &str| document.to_json().replace(&format!("\"{text}\""), "\"-\"");
        let role = made(&parameters);
        assert_eq!(without(&policy.document, policy.arn.as_str()), without(&role.permissions_policy, role.arn.as_str()));
        assert_eq!(policy.document.lint(DocumentKind::Permissions), []);
    }
}

#[test]
fn an_operator_that_is_elsewhere_needs_a_management_role() {
    let told = operator_policy(&parameters()).unwrap_err();
    assert!(told.len() == 1 && told[0].contains("999999999999:role/rolebridge-operator is not at home in account 111111111111"), "{told:?}");
    let role = Parameters { operator: "arn:aws:iam::111111111111:role/rolebridge-operator".parse().unwrap(), ..parameters() };
    let policy = operator_policy(&role).unwrap().document;
    assert!(speaks(&policy, Effect::Deny, "iam:UpdateAssumeRolePolicy", role.operator.as_str()));
}

#[test]
fn an_operator_of_another_account_is_not_named_in_the_permissions() {
    assert!(!made(&parameters()).permissions_policy.to_json().contains("999999999999"));
}

#[test]
fn statement_48_what_changes_users_roles_and_policies_asks_for_owner_tags_and_what_empowers_for_the_boundary() {
    for (parameters, installation) in [(parameters(), "*"), (limited(), "production")] {
        let policy = made(&parameters).permissions_policy;
        for statement in policy.allowing() {
            let sid = statement.sid().unwrap();
            let conditions = statement.conditions();
            let value =
                |start: &str| conditions.iter().find(|condition| condition.key.starts_with(start)).map(|condition| condition.values[0].as_ref());
            let (request, resource, boundary) = (value("aws:RequestTag/"), value("aws:ResourceTag/"), value("iam:PermissionsBoundary"));
            let forced = parameters.permissions_boundary.as_ref().map(Arn::as_str);
            let expected = match sid {
                "CreateIdentities" => (Some(installation), None, forced),
                "CreatePoliciesAndTags" => (Some(installation), None, None),
                "Empower" => (None, Some(installation), forced),
                "Change" => (None, Some(installation), None),
                _ => (None, None, None),
            };
            assert_eq!((request, resource, boundary), expected, "{sid}");
        }
    }
}

#[test]
fn statement_42_the_trust_names_the_operator_alone() {
    let trust = made(&parameters()).trust_policy;
    let expected = serde_json::json!({"Version": "2012-10-17", "Statement": [
        {
            "Sid": "OperatorWithExternalID",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::999999999999:role/rolebridge-operator"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": "an-external-id"}},
        },
        {
            "Sid": "SessionTags",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::999999999999:role/rolebridge-operator"},
            "Action": "sts:TagSession",
        },
    ]});
    assert_eq!(trust.as_value(), &expected);
}

#[test]
fn iam_would_accept_the_documents_and_the_policy_fits_into_a_managed_one() {
    let china =
        Parameters { partition: "aws-cn".parse().unwrap(), operator: "arn:aws-cn:iam::999999999999:user/operator".parse().unwrap(), ..parameters() };
    for parameters in [parameters(), limited(), china] {
        let role = made(&parameters);
        assert_eq!(role.permissions_policy.lint(DocumentKind::Permissions), []);
        assert_eq!(role.trust_policy.lint(DocumentKind::Trust), []);
        assert_eq!(role.permissions_policy.warnings(), []);
        let size = role.permissions_policy.size();
        assert!(size <= MANAGED_POLICY_SIZE, "{size}");
        // Room for names longer than these.
        assert!(size <= MANAGED_POLICY_SIZE - 1500, "{size}");
    }
}

#[test]
fn a_policy_that_would_be_too_large_is_refused() {
    let long = format!("/{}/", "p".repeat(500));
    let groups = (0..100).map(|number| format!("/people/group-{number}").parse().unwrap()).collect();
    for parameters in [Parameters { path_prefix: long.parse().unwrap(), ..parameters() }, Parameters { allowed_groups: groups, ..parameters() }] {
        let told = problems(&parameters);
        assert!(told.len() == 1 && told[0].contains("shorter path prefix or fewer groups"), "{told:?}");
    }
}

#[test]
fn only_a_user_or_role_can_be_the_operator() {
    for operator in [
        "arn:aws:iam::999999999999:root",
        "arn:aws:sts::999999999999:assumed-role/operator/session",
        "arn:aws:iam::999999999999:group/operators",
        "arn:aws:iam::999999999999:role/*",
        "arn:aws:iam::aws:role/operator",
    ] {
        let told = problems(&Parameters { operator: operator.parse().unwrap(), ..parameters() });
        assert!(told.len() == 1 && told[0].contains(operator) && told[0].contains("no user or role"), "{told:?}");
    }
    let itself = problems(&Parameters { operator: "arn:aws:iam::111111111111:role/rolebridge".parse().unwrap(), ..parameters() });
    assert!(itself.len() == 1 && itself[0].contains("itself"), "{itself:?}");
}

#[test]
fn a_boundary_is_a_policy_of_the_account_or_of_aws() {
    for boundary in ["arn:aws:iam::222222222222:policy/b", "arn:aws:iam::111111111111:role/b", "arn:aws-cn:iam::111111111111:policy/b"] {
        let told = problems(&Parameters { permissions_boundary: Some(boundary.parse().unwrap()), ..parameters() });
        assert!(told.len() == 1 && told[0].contains(boundary), "{told:?}");
    }
    let of_aws = "arn:aws:iam::aws:policy/PowerUserAccess";
    let policy = made(&Parameters { permissions_boundary: Some(of_aws.parse().unwrap()), ..parameters() }).permissions_policy;
    assert!(!speaks(&policy, Effect::Deny, "iam:CreatePolicyVersion", of_aws), "nobody can edit a policy of AWS");
}

#[test]
fn all_problems_are_told_at_once() {
    let wrong = Parameters {
        operator: "arn:aws-cn:iam::999999999999:root".parse().unwrap(),
        permissions_boundary: Some("arn:aws:iam::222222222222:policy/b".parse().unwrap()),
        ..parameters()
    };
    let told = role(&wrong, "with space").unwrap_err();
    assert_eq!(told.len(), 4, "{told:?}");
    let told = operator_policy(&wrong).unwrap_err();
    assert_eq!(told.len(), 4, "{told:?}");
}

#[test]
fn the_management_role_of_the_example_may_do_what_the_operator_calls() {
    let policy: serde_json::Value = serde_json::from_str(include_str!("../../../examples/classic/aws/management-role-permissions.json")).unwrap();
    let allows = policy["Statement"].as_array().unwrap().iter().filter(|statement| statement["Effect"] == "Allow");
    let patterns: Vec<&str> = allows.flat_map(|statement| statement["Action"].as_array().unwrap()).map(|action| action.as_str().unwrap()).collect();
    let needed = CALLS.iter().chain(DEPENDENTS).flat_map(|(_, actions)| actions.iter());
    let missing: Vec<&&str> = needed.filter(|action| !patterns.iter().any(|pattern| wildcard_match(pattern, action))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
