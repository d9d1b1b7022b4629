use std::collections::{BTreeMap, BTreeSet};

use super::*;
use rolebridge_api::conditions::Class;

/// The errors that the IAM service model names for each operation.
const MODEL: &str = include_str!("../../../tests/data/iam-operation-errors.json");
/// Where the operations are called.
const CALLERS: [&str; 5] = [
    include_str!("../sdk/observe.rs"),
    include_str!("../sdk/dependents.rs"),
    include_str!("../sdk/execute.rs"),
    include_str!("../sdk/sweep.rs"),
    include_str!("../sdk/quotas.rs"),
];

/// The IAM operations that the code calls, as they stand in it.
fn called() -> BTreeSet<String> {
    let literals = CALLERS.iter().flat_map(|source| source.split("\"iam:").skip(1));
    literals.filter_map(|rest| rest.split(['"', ':']).next()).map(str::to_owned).collect()
}

/// What an error of an operation has to mean, written out by code.
fn expected(operation: &str, code: &str) -> (Reason, Effect) {
    let reads = operation.starts_with("Get") || operation.starts_with("List");
    match code {
        "ServiceFailure" => (Reason::AWSUnavailable, if reads { Effect::None } else { Effect::Unknown }),
        "EntityAlreadyExists" => (Reason::Conflict, Effect::AlreadyExists),
        "EntityTemporarilyUnmodifiable" | "ConcurrentModification" => (Reason::Propagating, Effect::None),
        "LimitExceeded" => (Reason::QuotaExceeded, Effect::None),
        "DeleteConflict" => (Reason::DeletionBlocked, Effect::None),
        "PolicyNotAttachable" => (Reason::PolicyNotAttachable, Effect::None),
        "MalformedPolicyDocument" => (Reason::InvalidDocument, Effect::None),
        "InvalidInput" | "UnmodifiableEntity" | "NotSupportedService" => (Reason::RequestRejected, Effect::None),
        "NoSuchEntity" => {
            let on_policy = ["AttachRolePolicy", "AttachUserPolicy", "PutRolePermissionsBoundary", "PutUserPermissionsBoundary", "CreateUser"];
            let reason = match operation {
                "AddUserToGroup" => Reason::GroupNotFound,
                operation if on_policy.contains(&operation) => Reason::PolicyNotFound,
                _ => Reason::Propagating,
            };
            (reason, Effect::None)
        }
        _ => panic!("{operation}: nobody has said what {code} means"),
    }
}

/// Whether an error goes away by itself, as a person who knows IAM would say.
fn heals_by_itself(operation: &str, code: &str) -> bool {
    match code {
        // Elsewhere it is a policy or a group that nobody has made.
        "NoSuchEntity" => expected(operation, code).0 == Reason::Propagating,
        "DeleteConflict" => false,
        _ => ["ServiceFailure", "EntityTemporarilyUnmodifiable", "ConcurrentModification"].contains(&code),
    }
}

#[test]
fn statement_5_every_error_that_iam_models_for_an_operation_that_is_called_has_its_meaning() {
    let model: BTreeMap<String, BTreeMap<String, u16>> = serde_json::from_str(MODEL).unwrap();
    let called = called();
    assert!(called.len() > 55, "{called:?}");
    let mut pairs = 0;
    for operation in called {
        let errors = model.get(&operation).unwrap_or_else(|| panic!("{operation} is not an operation of the model"));
        for (code, http) in errors {
            let found = classify(&format!("iam:{operation}"), Some(code), "text", Some(*http));
            assert_eq!(found, expected(&operation, code), "{operation}: {code}");
            // EntityAlreadyExists is answered by a read and the rules of ownership, before anybody is told.
            let class = found.0.class();
            let is_terminal = class == Class::Stalled && found.1 != Effect::AlreadyExists;
            assert_eq!(class == Class::Transient, heals_by_itself(&operation, code), "{operation}: {code} is {class:?}");
            assert!(is_terminal || class == Class::Transient || found.1 == Effect::AlreadyExists, "{operation}: {code} is {class:?}");
            pairs += 1;
        }
    }
    assert!(pairs > 180, "{pairs} pairs");
}

#[test]
fn what_can_become_of_any_call_has_its_meaning() {
    let operations =
        called().into_iter().map(|operation| format!("iam:{operation}")).chain(["sts:AssumeRole", "sts:GetCallerIdentity"].map(str::to_owned));
    for operation in operations {
        let action = operation.split_once(':').unwrap().1;
        let changes = !["Get", "List", "AssumeRole"].iter().any(|verb| action.starts_with(verb));
        let silence = if changes { Effect::Unknown } else { Effect::None };
        for (code, status, meaning) in [
            (Some("Throttling"), Some(400), (Reason::AWSUnavailable, Effect::None)),
            (Some("RequestLimitExceeded"), Some(503), (Reason::AWSUnavailable, Effect::None)),
            (Some("ExpiredToken"), Some(403), (Reason::AWSUnavailable, Effect::None)),
            (Some("InternalFailure"), Some(500), (Reason::AWSUnavailable, silence)),
            (Some("ServiceUnavailable"), Some(503), (Reason::AWSUnavailable, silence)),
            (Some("RequestTimeout"), Some(408), (Reason::AWSUnavailable, silence)),
            (None, None, (Reason::AWSUnavailable, silence)),
            (None, Some(200), (Reason::AWSUnavailable, silence)),
            (None, Some(502), (Reason::AWSUnavailable, silence)),
            (Some("AccessDenied"), Some(403), (Reason::AccessDenied, Effect::None)),
            (Some("InvalidClientTokenId"), Some(403), (Reason::AccessDenied, Effect::None)),
            (Some("ValidationError"), Some(400), (Reason::RequestRejected, Effect::None)),
        ] {
            let found = classify(&operation, code, "text", status);
            assert_eq!(found, meaning, "{operation}: {code:?} {status:?}");
            let by_a_person = matches!(meaning.0, Reason::AccessDenied | Reason::RequestRejected);
            assert_eq!(found.0.class(), if by_a_person { Class::Stalled } else { Class::Transient }, "{operation}: {code:?}");
        }
    }
}

#[test]
fn statement_1_an_invalid_principal_may_be_a_new_one_and_other_documents_stay_invalid() {
    let classify = |message| classify("iam:UpdateAssumeRolePolicy", Some("MalformedPolicyDocument"), message, Some(400)).0;
    assert_eq!(classify("Invalid principal in policy: \"AWS\":\"arn:aws:iam::111111111111:user/new\""), Reason::Propagating);
    assert_eq!(classify("Syntax errors in policy."), Reason::InvalidDocument);
    // It is tried again for as long as it takes, and nobody is called to act.
    assert_eq!(Reason::Propagating.class(), Class::Transient);
}

#[test]
fn statement_58_a_service_that_iam_does_not_know_is_never_known_and_a_person_is_told_at_once() {
    let text = |kind: &str, name: &str| format!("Invalid principal in policy: \"{kind}\":\"{name}\"");
    let classify = |text: &str| classify("iam:CreateRole", Some("MalformedPolicyDocument"), text, Some(400));
    let service = text("SERVICE", "lamda.amazonaws.com");
    assert_eq!(classify(&service), (Reason::InvalidSpec, Effect::None));
    assert_eq!(Reason::InvalidSpec.class(), Class::Stalled);
    // Providers, users and roles are made by somebody, and may be in a moment.
    assert_eq!(classify(&text("FEDERATED", "arn:aws:iam::111111111111:oidc-provider/x")).0, Reason::Propagating);
    assert_eq!(classify(&text("AWS", "arn:aws:iam::111111111111:role/SERVICE")).0, Reason::Propagating);
    let (_, message) = told("MalformedPolicyDocument", &service);
    assert!(message.contains("lamda.amazonaws.com") && message.contains("how it is spelled") && !message.contains("just made"), "{message}");
}

#[test]
fn statement_1_what_to_do_is_told_of_a_principal_that_may_not_exist() {
    let principal = "Invalid principal in policy: \"AWS\":\"arn:aws:iam::111111111111:user/typo\"";
    let (_, message) = told("MalformedPolicyDocument", principal);
    assert!(message.contains(principal) && message.contains("correct spec.trust"), "{message}");
    let (_, message) = told("MalformedPolicyDocument", "Syntax errors in policy.");
    assert!(!message.contains("spec.trust"), "{message}");
}

#[test]
fn what_does_not_exist_is_told_by_the_text_where_an_operation_names_two_things() {
    let classify = |operation, message| classify(operation, Some("NoSuchEntity"), message, Some(404)).0;
    let policy = "Policy arn:aws:iam::111111111111:policy/p does not exist or is not attachable.";
    assert_eq!(classify("iam:AttachRolePolicy", policy), Reason::PolicyNotFound);
    assert_eq!(classify("iam:AttachRolePolicy", "The role with name r cannot be found."), Reason::Propagating);
    assert_eq!(classify("iam:AttachUserPolicy", "The user with name u cannot be found."), Reason::Propagating);
    assert_eq!(
        classify("iam:CreateRole", "Scope ARN: arn:aws:iam::111111111111:policy/b does not exist or is not attachable."),
        Reason::PolicyNotFound
    );
    assert_eq!(classify("iam:AddUserToGroup", "The group with name g cannot be found."), Reason::GroupNotFound);
    assert_eq!(classify("iam:AddUserToGroup", "The user with name u cannot be found."), Reason::Propagating);
    assert_eq!(classify("iam:PutRolePolicy", "The role with name r cannot be found."), Reason::Propagating);
}

#[test]
fn statement_27_after_throttling_nothing_has_changed_and_after_silence_nobody_knows() {
    for (code, status) in [("Throttling", 400), ("ThrottlingException", 400), ("RequestLimitExceeded", 503), ("TooManyRequestsException", 429)] {
        assert_eq!(classify("iam:CreateRole", Some(code), "Rate exceeded", Some(status)), (Reason::AWSUnavailable, Effect::None), "{code}");
    }
    for (code, status) in [(None, None), (None, Some(200)), (None, Some(404)), (Some("InternalFailure"), Some(500)), (Some("New"), Some(502))] {
        assert_eq!(classify("iam:CreateRole", code, "", status), (Reason::AWSUnavailable, Effect::Unknown), "{code:?} {status:?}");
        assert_eq!(classify("iam:GetRole", code, "", status), (Reason::AWSUnavailable, Effect::None), "{code:?} {status:?}");
    }
}

#[test]
fn what_the_caller_may_not_do_is_told_from_what_nobody_may_do() {
    for (code, status) in
        [("AccessDenied", 403), ("AccessDeniedException", 400), ("InvalidClientTokenId", 403), ("SignatureDoesNotMatch", 403), ("New", 403)]
    {
        assert_eq!(classify("iam:CreateRole", Some(code), "", Some(status)), (Reason::AccessDenied, Effect::None), "{code}");
    }
    for code in ["ValidationError", "InvalidInput", "UnmodifiableEntity", "New"] {
        assert_eq!(classify("iam:CreateRole", Some(code), "", Some(400)), (Reason::RequestRejected, Effect::None), "{code}");
    }
    assert_eq!(classify("iam:CreateRole", Some("ExpiredToken"), "", Some(403)), (Reason::AWSUnavailable, Effect::None));
}

#[test]
fn the_request_that_aws_repeats_is_not_shown() {
    let text = "The signature does not match.\n\nThe Canonical String for this request should have been\n'POST\n/\n\nx-amz-security-token:secret'";
    assert_eq!(harmless(Some("SignatureDoesNotMatch"), text), "The signature does not match.");
    assert_eq!(harmless(Some("MalformedPolicyDocument"), "one\ntwo"), "one\ntwo");
}

#[test]
fn long_texts_are_cut_at_a_character() {
    let long = "é".repeat(TEXT_LENGTH + 1);
    assert_eq!(shortened(&long).chars().count(), TEXT_LENGTH + 1);
    assert!(shortened(&long).ends_with("é…"));
    assert_eq!(shortened("short"), "short");
}

/// Both clocks are told, since either may be wrong.
const EXPIRED: &str = "Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z (20260101T001500Z - 5 min.)";
const TOO_EARLY: &str = "Signature not yet current: 20260101T001000Z is still later than 20260101T000500Z (20260101T000000Z + 5 min.)";

fn told(code: &str, text: &str) -> (Refusal, String) {
    let refusal = Refusal { code: Some(code.into()), text: text.into(), status: 403 };
    let message = refusal.said("iam:CreateRole").full;
    (refusal, message)
}

#[test]
fn row_58_clock_skew_is_named_and_goes_away_by_itself() {
    for (code, text) in
        [("SignatureDoesNotMatch", EXPIRED), ("InvalidSignatureException", TOO_EARLY), ("RequestExpired", ""), ("RequestTimeTooSkewed", "")]
    {
        let (refusal, message) = told(code, text);
        assert_eq!(refusal.classify("iam:CreateRole"), (Reason::AWSUnavailable, Effect::None), "{code}");
        assert!(message.contains("clock skew") && message.contains(text), "{message}");
        assert!(!refusal.is_of_credentials(), "new credentials would not help");
    }
    let (refusal, message) = told("SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.");
    assert_eq!(refusal.classify("iam:CreateRole").0, Reason::AccessDenied);
    assert!(refusal.is_of_credentials() && !message.contains("skew"), "{message}");
}

#[test]
fn row_58_an_expired_token_is_replaced_and_tried_again() {
    for code in ["ExpiredToken", "ExpiredTokenException"] {
        let (refusal, _) = told(code, "The security token included in the request is expired");
        assert_eq!(refusal.classify("iam:CreateRole"), (Reason::AWSUnavailable, Effect::None));
        assert!(refusal.is_of_credentials());
    }
}

#[test]
fn statements_32_and_41_row_59_what_an_organization_denies_is_told_from_what_the_account_does() {
    let said = |how: &str| told("AccessDenied", &format!("User: arn:aws:iam::9:user/o is not authorized to perform: iam:CreateRole {how}")).1;
    for (how, policy) in [
        ("with an explicit deny in a service control policy", "A service control policy"),
        ("because no service control policy allows the iam:CreateRole action", "A service control policy"),
        ("with an explicit deny in a resource control policy", "A resource control policy"),
    ] {
        assert!(said(how).contains(&format!("{policy} of the organization denies it")), "{}", said(how));
    }
    for how in ["with an explicit deny in an identity-based policy", "because no role trust policy allows the sts:AssumeRole action", ""] {
        assert!(!said(how).contains("organization"), "{}", said(how));
    }
}

#[test]
fn statement_67_the_policy_that_denies_is_told_with_what_to_do() {
    let said =
        |how: &str| told("AccessDenied", &format!("User: arn:aws:iam::9:user/o is not authorized to perform: iam:CreateRole on resource: r {how}")).1;
    let of_organization = "arn:aws:organizations::987654321098:policy/o-qv5af4abcd/service_control_policy/p-2kgnabcd";
    let told = said(&format!("with an explicit deny in a service control policy: {of_organization}"));
    assert!(told.contains(&format!("(The service control policy {of_organization} of the organization denies it, and no policy")), "{told}");
    let told = said("with an explicit deny in a resource control policy: arn:aws:organizations::9:policy/o-a/resource_control_policy/p-b.");
    assert!(told.contains("(The resource control policy arn:aws:organizations::9:policy/o-a/resource_control_policy/p-b of the"), "{told}");
    for kind in ["an identity-based policy", "a permissions boundary", "a session policy"] {
        let told = said(&format!("with an explicit deny in {kind}: arn:aws:iam::9:policy/limits"));
        assert!(told.contains("(A statement of arn:aws:iam::9:policy/limits denies it: ") && told.contains("have that policy changed"), "{told}");
    }
    let told = said("with an explicit deny in an identity-based policy: arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3");
    assert!(told.contains("replace the keys") && !told.contains("taken off"), "AWS asks that this policy stays: {told}");
    for nameless in ["with an explicit deny in an identity-based policy", "because no permissions boundary allows the iam:CreateRole action"] {
        let told = said(nameless);
        assert!(told.ends_with(nameless), "{told}");
    }
}

#[test]
fn statement_32_row_59_a_refusal_to_assume_names_the_side_to_look_at() {
    let role: Arn = "arn:aws:iam::222222222222:role/rolebridge".parse().unwrap();
    let hub: Arn = "arn:aws:iam::111111111111:role/hub".parse().unwrap();
    let trust = advice("because no role trust policy allows the sts:AssumeRole action", &role, None);
    assert!(
        trust.contains("trust policy of arn:aws:iam::222222222222:role/rolebridge refuses") && trust.contains("the operator's own identity"),
        "{trust}"
    );
    let permission = advice("because no identity-based policy allows the sts:AssumeRole action", &role, Some(&hub));
    assert!(permission.contains("policies of arn:aws:iam::111111111111:role/hub refuse") && !permission.contains("external ID"), "{permission}");
    let either = advice("", &role, Some(&hub));
    assert!(either.contains("exists") && either.contains("external ID") && either.contains("that role may call"), "{either}");
}

#[test]
fn what_may_repeat_a_document_is_told_apart() {
    let said = |code: &str, text: &str| Refusal { code: Some(code.into()), text: text.into(), status: 400 }.said("iam:PutRolePolicy");
    for code in ["MalformedPolicyDocument", "ValidationError", "InvalidInput", "SomethingNew"] {
        let said = said(code, "secret");
        assert_eq!(said.full, format!("iam:PutRolePolicy: {code}: secret"));
        assert_eq!(said.without_quotes, format!("iam:PutRolePolicy: {code}"));
    }
    let hinted = said("MalformedPolicyDocument", "Invalid principal in policy: secret");
    assert!(hinted.full.contains("secret (A principal") && hinted.without_quotes.contains("MalformedPolicyDocument (A principal"));
    let whole = said("LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role reader");
    assert!(whole.without_quotes == whole.full && whole.full.ends_with("role reader"));
}
