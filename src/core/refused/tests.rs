use serde_json::json;

use super::*;
use crate::document::Document;
use crate::identity::{IdentityName, ManagedPolicy, RoleSettings};
use crate::observed::ObservedPolicy;
use crate::ownership::Tags;
use crate::trust::deny_all_trust;

const OWN: &str = "arn:aws:iam::222222222222:policy/own";
const BOUNDARY_ARN: &str = "arn:aws:iam::222222222222:policy/limits";

fn arn(text: &str) -> Arn {
    text.parse().unwrap()
}

fn reader() -> IdentityName {
    IdentityName::Role("reader".parse().unwrap())
}

fn document() -> Document {
    Document::from_value(json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}})).unwrap()
}

fn policy(arn: Arn, path: &str) -> ManagedPolicy {
    let name = arn.iam_entity().unwrap().name.parse().unwrap();
    ManagedPolicy { arn, name, path: path.parse().unwrap(), description: String::new(), document: document(), tags: Tags::new() }
}

fn role(path: &str, boundary: Option<&str>) -> Action {
    Action::CreateIdentity(Box::new(Identity {
        name: reader(),
        path: path.parse().unwrap(),
        tags: Tags::new(),
        permissions_boundary: boundary.map(arn),
        inline_policies: [].into(),
        attached_policies: [].into(),
        groups: None,
        role: Some(RoleSettings { description: String::new(), max_session_duration: 3600, trust_policy: deny_all_trust() }),
    }))
}

fn put(name: &str) -> Action {
    Action::PutInlinePolicy(reader(), name.parse().unwrap(), document())
}

fn permissions() -> Permissions {
    let text = json!({"Version": "2012-10-17"}).to_string();
    let permissions = json!({
        "attachedPolicies": ["ReadOnlyAcces"], "inlinePolicies": [{"name": "list", "json": text}], "customerManagedPolicies": [{"name": "own", "json": text}],
    });
    serde_json::from_value(permissions).unwrap()
}

/// What is told of an action that AWS refuses in this way.
fn told(reason: Reason, text: &str, action: &Action) -> String {
    let permissions = permissions();
    let declaration = Declaration { permissions: Some(&permissions), imposed: [arn(BOUNDARY_ARN)].into() };
    let failure = in_the_light_of(Failure::refused(reason, text), action, &Observed::default(), &declaration);
    assert_eq!(failure.reason, reason);
    failure.message
}

#[test]
fn what_cannot_be_deleted_is_named() {
    let text = "iam:DeletePolicy: DeleteConflict: Cannot delete a policy attached to entities.";
    let told = told(Reason::DeletionBlocked, text, &Action::DeletePolicy(arn(OWN)));
    assert_eq!(told, format!("cannot delete policy {OWN}: {text}"));
}

#[test]
fn row_25_a_policy_that_is_missing_is_told_with_field_value_and_what_to_do() {
    let text = "iam:AttachRolePolicy: NoSuchEntity: Policy ... does not exist or is not attachable.";
    let missing = |policy: &str| told(Reason::PolicyNotFound, text, &Action::AttachPolicy(reader(), arn(policy)));
    for (policy, advice) in [
        ("arn:aws:iam::aws:policy/ReadOnlyAcces", "did you mean ReadOnlyAccess?"),
        (
            "arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole",
            "AWS's policy of this name is in a folder: write service-role/AWSLambdaBasicExecutionRole",
        ),
        ("arn:aws:iam::222222222222:policy/later", "create that policy in account 222222222222, or correct the ARN"),
    ] {
        assert_eq!(missing(policy), format!("spec.permissions.attachedPolicies: {policy} does not exist, as IAM says: {advice} ({text})"));
    }
    assert!(missing(OWN).starts_with("spec.permissions.customerManagedPolicies[own] does not exist"), "{}", missing(OWN));

    let text = "iam:CreateRole: NoSuchEntity: Scope ARN: ... does not exist or is not attachable.";
    for action in [role("/", Some(BOUNDARY_ARN)), Action::PutPermissionsBoundary(reader(), arn(BOUNDARY_ARN))] {
        let told = told(Reason::PolicyNotFound, text, &action);
        assert!(told.starts_with(&format!("permissionsBoundaryARN of the AWSAccount: {BOUNDARY_ARN} does not exist")), "{told}");
        assert!(told.contains("create that policy in account 222222222222") && told.ends_with(&format!("({text})")), "{told}");
    }
    let declared = told(Reason::PolicyNotFound, text, &role("/", Some("arn:aws:iam::aws:policy/ViewOnlyAccess")));
    assert!(declared.starts_with("spec.permissionsBoundaryARN: arn:aws:iam::aws:policy/ViewOnlyAccess does not exist"), "{declared}");
    assert!(declared.contains("write arn:aws:iam::aws:policy/job-function/ViewOnlyAccess"), "{declared}");

    let group = Action::AddToGroup("alice".parse().unwrap(), "admins".parse().unwrap());
    let text = "iam:AddUserToGroup: NoSuchEntity: The group with name admins cannot be found.";
    assert_eq!(told(Reason::GroupNotFound, text, &group), format!("spec.groups: there is no group admins: create it, or correct the name ({text})"));
}

#[test]
fn a_policy_that_was_seen_is_not_missing() {
    let observed = Observed {
        policies: [(
            arn(OWN),
            ObservedPolicy {
                policy: policy(arn(OWN), "/"),
                id: "ANPA0000000000000001".parse().unwrap(),
                default_version: "v1".into(),
                other_versions: vec![],
            },
        )]
        .into(),
        ..Observed::default()
    };
    let failure = Failure::refused(Reason::PolicyNotFound, "text");
    let attach = Action::AttachPolicy(reader(), arn(OWN));
    let softened = in_the_light_of(failure, &attach, &observed, &Declaration::default());
    assert_eq!((softened.reason, softened.message.as_str()), (Reason::Propagating, "text"));
}

#[test]
fn what_aws_refuses_is_told_with_the_policy_and_the_field() {
    let create = Action::CreatePolicy(Box::new(policy(arn(OWN), "/")));
    let assume = Action::AttachPolicy(reader(), arn("arn:aws:iam::222222222222:policy/rolebridge-role-assumes-1-AROA"));
    for (reason, action, field) in [
        (Reason::InvalidDocument, put("list"), "spec.permissions.inlinePolicies[list]: "),
        (Reason::QuotaExceeded, put("list"), "spec.permissions.inlinePolicies[list]: "),
        (Reason::QuotaExceeded, put("rolebridge-role-assumes"), "inline policy rolebridge-role-assumes: "),
        (Reason::InvalidDocument, create, "spec.permissions.customerManagedPolicies[own]: "),
        (Reason::QuotaExceeded, Action::CreatePolicyVersion(arn(OWN), document()), "spec.permissions.customerManagedPolicies[own]: "),
        (Reason::QuotaExceeded, Action::AttachPolicy(reader(), arn(OWN)), "spec.permissions.customerManagedPolicies[own]: "),
        (
            Reason::QuotaExceeded,
            Action::AttachPolicy(reader(), arn("arn:aws:iam::aws:policy/X")),
            "spec.permissions.attachedPolicies: arn:aws:iam::aws:policy/X: ",
        ),
        (Reason::AccessDenied, assume, "policy arn:aws:iam::222222222222:policy/rolebridge-role-assumes-1-AROA: "),
        (
            Reason::RequestRejected,
            Action::PutPermissionsBoundary(reader(), arn(OWN)),
            "spec.permissionsBoundaryARN: arn:aws:iam::222222222222:policy/own: ",
        ),
        (Reason::QuotaExceeded, Action::UpdateTrustPolicy("reader".parse().unwrap(), deny_all_trust()), "spec.trust: "),
        (Reason::InvalidSpec, role("/", None), "spec.trust: "),
        (Reason::QuotaExceeded, role("/", None), ""),
        // These go away by themselves, and may name principals.
        (Reason::Propagating, put("list"), ""),
        (Reason::AWSUnavailable, put("list"), ""),
    ] {
        assert_eq!(told(reason, "iam:Call: Code: text", &action), format!("{field}iam:Call: Code: text"), "{action}");
    }
}

#[test]
fn a_narrowed_management_role_is_told_of_where_nothing_is_declared() {
    let refused = "iam:CreateRole: AccessDenied: User: x is not authorized to perform: iam:CreateRole on resource: y because no identity-based policy allows the iam:CreateRole action";
    let said = |action: &Action| told(Reason::AccessDenied, refused, action);
    let words = ["spec.path", "spec.permissionsBoundaryARN", "guardrails.requiredPathPrefix", "guardrails.permissionsBoundaryARN"];
    let has = |told: &str| words.map(|word| told.contains(word));
    assert_eq!(has(&said(&role("/", None))), [true; 4]);
    assert_eq!(has(&said(&role("/", Some(BOUNDARY_ARN)))), [true, false, true, false]);
    assert_eq!(has(&said(&role("/rolebridge/", None))), [false, true, false, true]);
    assert_eq!(has(&said(&role("/rolebridge/", Some(BOUNDARY_ARN)))), [false; 4]);
    assert_eq!(has(&said(&Action::CreatePolicy(Box::new(policy(arn(OWN), "/"))))), [true, false, true, false]);
    assert_eq!(has(&said(&put("list"))), [false; 4]);
    let denied = told(Reason::AccessDenied, "... with an explicit deny in a service control policy", &role("/", None));
    assert_eq!(has(&denied), [false; 4], "no path helps against a denial");
}
