use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::names::Partition;

/// An account with these guardrails and defaults.
fn at(guardrails: Value, defaults: Value) -> ResolvedAccount {
    let account = json!({
        "apiVersion": "rolebridge.io/v1alpha1", "kind": "AWSAccount", "metadata": {"name": "prod"},
        "spec": {
            "accountID": "111111111111", "access": {"ambient": {}}, "allowedNamespaces": {"from": "All"}, "guardrails": guardrails, "defaults": defaults,
        },
    });
    let account = Arc::new(serde_json::from_value(account).unwrap());
    ResolvedAccount { name: "prod".into(), account, id: "111111111111".parse().unwrap(), partition: Partition::aws() }
}

fn user(name: &str) -> IdentityName {
    IdentityName::User(name.parse().unwrap())
}

fn role(name: &str) -> IdentityName {
    IdentityName::Role(name.parse().unwrap())
}

/// The boundary of those who declare none.
fn first(guard: Guard<'_>) -> Option<&str> {
    guard.boundaries().first().map(|(_, arn)| *arn)
}

fn arn(text: &str) -> Arn {
    text.parse().unwrap()
}

/// What is told of each problem: the reason, and that the message names the account and the rule.
fn told(problems: Vec<Problem>, rule: &str) -> Vec<Reason> {
    for Problem { message, .. } in &problems {
        assert!(message.contains("AWSAccount prod") && message.contains(rule), "{message}");
    }
    problems.into_iter().map(|problem| problem.reason).collect()
}

#[test]
fn paths_lie_below_the_prefix_and_no_segment_is_taken_in_part() {
    let at = at(json!({"requiredPathPrefix": "/teams/", "reservedNames": []}), json!({}));
    let problems = |path: &str| told(Guard::of(&at).name(&role("reader"), &path.parse().unwrap()), "guardrails.requiredPathPrefix");
    for path in ["/teams/", "/teams/data/"] {
        assert_eq!(problems(path), [], "{path}");
    }
    for path in ["/", "/team/", "/teams2/", "/Teams/", "/x/teams/"] {
        assert_eq!(problems(path), [Reason::GuardrailViolated], "{path}");
    }
}

#[test]
fn names_that_others_trust_are_reserved_until_the_platform_team_says_otherwise() {
    let name = |guardrails: Value, name: &IdentityName| told(Guard::of(&at(guardrails, json!({}))).name(name, &Path::root()), "guardrails.");
    for reserved in [
        "OrganizationAccountAccessRole",
        "organizationaccountaccessrole",
        "AWSControlTowerExecution",
        "AWSReservedSSO_Admin_0123456789abcdef",
        "stacksets-exec-0123",
        "cdk-hnb659fds-deploy-role-111111111111-eu-central-1",
        "rolebridge",
        "AWSCloudFormationStackSetExecutionRole",
    ] {
        assert_eq!(name(json!({}), &role(reserved)), [Reason::GuardrailViolated], "{reserved}");
    }
    assert_eq!(name(json!({}), &user("rolebridge-ops")), [Reason::GuardrailViolated], "trust policies name users, too");
    assert_eq!(name(json!({}), &role("reader")), []);
    assert_eq!(name(json!({}), &role("cdk-pipeline")), [], "the CDK makes none of that name");
    assert_eq!(name(json!({"reservedNames": []}), &role("rolebridge")), []);
    assert_eq!(name(json!({"reservedNames": ["break-glass*"]}), &role("Break-Glass-1")), [Reason::GuardrailViolated]);
    assert_eq!(name(json!({"allowedRoleNames": ["app-*"]}), &role("APP-reader")), []);
    assert_eq!(name(json!({"allowedRoleNames": ["app-*"]}), &role("reader")), [Reason::GuardrailViolated]);
    assert_eq!(name(json!({"allowedRoleNames": ["app-*"]}), &user("reader")), [], "users are named as they like");
    assert_eq!(name(json!({"allowedRoleNames": []}), &role("reader")), [Reason::GuardrailViolated], "an empty list allows nothing");
}

#[test]
fn the_page_lists_the_reserved_names() {
    let page = include_str!("../../../docs/how-to/guardrails.md");
    let section = page.split("\n## ").find(|section| section.starts_with("Reserved names\n")).unwrap();
    let listed: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(listed, RESERVED_NAMES);
}

#[test]
fn tags_of_the_account_come_to_those_that_a_resource_has_and_may_have() {
    let at = at(json!({"allowedTagKeys": ["team", "app/*"]}), json!({"tags": {"cost-center": "42", "Team": "platform"}}));
    let tags = |own: &[(&str, &str)]| {
        let own: Tags = own.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut problems = vec![];
        let tags: Vec<String> = Guard::of(&at).tags(&own, &mut problems).into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        (tags.join(" "), told(problems, "guardrails.allowedTagKeys"))
    };
    assert_eq!(tags(&[]), ("Team=platform cost-center=42".into(), vec![]));
    assert_eq!(
        tags(&[("team", "data"), ("App/x", "1")]),
        ("App/x=1 cost-center=42 team=data".into(), vec![]),
        "its own value, whatever the case of the key"
    );
    assert_eq!(tags(&[("owner", "me")]).1, [Reason::GuardrailViolated]);
    let many: Tags = (0..46).map(|number| (format!("app/{number}"), String::new())).collect();
    let mut problems = vec![];
    Guard::of(&at).tags(&many, &mut problems);
    assert_eq!(problems.iter().map(|problem| problem.reason).collect::<Vec<_>>(), [Reason::InvalidSpec], "48 are too many with the owner tags");
}

#[test]
fn a_boundary_that_is_forced_is_the_only_one_to_be_declared() {
    let (forced, other) = (arn("arn:aws:iam::111111111111:policy/boundary"), arn("arn:aws:iam::111111111111:policy/other"));
    let rules = at(json!({"permissionsBoundaryARN": forced.as_str(), "allowedPolicies": []}), json!({}));
    let guard = Guard::of(&rules);
    assert_eq!((first(guard), guard.forced_boundary()), (Some(forced.as_str()), Some(forced.clone())));
    assert_eq!(guard.declared_boundary(&forced), None, "whatever policies are allowed");
    assert_eq!(told(guard.declared_boundary(&other).into_iter().collect(), "guardrails.permissionsBoundaryARN"), [Reason::GuardrailViolated]);
    let default = at(json!({"allowedPolicies": ["*policy/other"]}), json!({"permissionsBoundaryARN": forced.as_str()}));
    let guard = Guard::of(&default);
    assert_eq!((first(guard), guard.forced_boundary()), (Some(forced.as_str()), None));
    assert_eq!(guard.declared_boundary(&other), None);
    assert_eq!(told(guard.declared_boundary(&forced).into_iter().collect(), "guardrails.allowedPolicies"), [Reason::GuardrailViolated]);
}

#[test]
fn policies_and_places_of_documents_are_allowed_one_by_one() {
    let rules = at(json!({"allowedPolicies": ["arn:aws:iam::aws:policy/*ReadOnlyAccess"], "policyDocumentSources": ["Spec"]}), json!({}));
    let guard = Guard::of(&rules);
    let field = "spec.permissions.attachedPolicies";
    assert_eq!(guard.policy(field, &arn("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")), None);
    let refused = guard.policy(field, &arn("arn:aws:iam::aws:policy/AdministratorAccess"));
    assert_eq!(told(refused.into_iter().collect(), "guardrails.allowedPolicies"), [Reason::GuardrailViolated]);
    assert_eq!(guard.document_source("f", PolicyDocumentSource::Spec), None);
    let refused = guard.document_source("f", PolicyDocumentSource::ConfigMap);
    assert_eq!(told(refused.into_iter().collect(), "guardrails.policyDocumentSources"), [Reason::GuardrailViolated]);
}

#[test]
fn sessions_last_as_long_as_declared_or_as_the_account_says_and_no_longer_than_it_allows() {
    let seconds = |guardrails: Value, defaults: Value, declared: Option<&str>| {
        let (at, mut problems) = (at(guardrails, defaults), vec![]);
        let seconds = Guard::of(&at).session_seconds(declared, &mut problems);
        (seconds, told(problems, "guardrails.maxSessionDuration"))
    };
    assert_eq!(seconds(json!({}), json!({}), None), (3600, vec![]));
    assert_eq!(seconds(json!({}), json!({"maxSessionDuration": "2h"}), None), (7200, vec![]));
    assert_eq!(seconds(json!({}), json!({"maxSessionDuration": "2h"}), Some("1h30m")), (5400, vec![]));
    assert_eq!(seconds(json!({"maxSessionDuration": "4h"}), json!({}), Some("4h")), (14_400, vec![]));
    assert_eq!(seconds(json!({"maxSessionDuration": "4h"}), json!({}), Some("5h")), (18_000, vec![Reason::GuardrailViolated]));
}

#[test]
fn whom_a_role_may_trust() {
    let open = at(json!({}), json!({}));
    let guard = Guard::of(&open);
    assert_eq!(
        (guard.service("lambda.amazonaws.com"), guard.provider("arn:aws:iam::111111111111:saml-provider/x")),
        (None, None),
        "open until narrowed"
    );
    assert!(guard.principal(&arn("arn:aws:iam::222222222222:role/ci")).is_some() && guard.account_root().is_some(), "closed until opened");
    assert_eq!(told(guard.pods_without_tags().into_iter().collect(), "guardrails.podIdentityWithoutTags"), [Reason::TrustNotAllowed]);
    let rules = at(
        json!({
            "allowedServices": ["lambda.*"], "allowedIdentityProviders": ["*:oidc-provider/oidc.eks.*"], "allowedPrincipals": ["arn:aws:iam::222222222222:role/*"],
            "accountRootTrust": true, "podIdentityWithoutTags": true,
        }),
        json!({}),
    );
    let guard = Guard::of(&rules);
    assert_eq!(guard.service("lambda.amazonaws.com"), None);
    assert_eq!(guard.provider("arn:aws:iam::111111111111:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/X"), None);
    assert_eq!((guard.principal(&arn("arn:aws:iam::222222222222:role/ci")), guard.account_root()), (None, None));
    assert_eq!(guard.pods_without_tags(), None);
    for (refused, rule) in [
        (guard.service("ec2.amazonaws.com"), "guardrails.allowedServices"),
        (guard.provider("arn:aws:iam::111111111111:saml-provider/x"), "guardrails.allowedIdentityProviders"),
        (guard.principal(&arn("arn:aws:iam::222222222222:user/ci")), "guardrails.allowedPrincipals"),
    ] {
        assert_eq!(told(refused.into_iter().collect(), rule), [Reason::TrustNotAllowed]);
    }
}

#[test]
fn a_second_factor_is_asked_of_persons_and_of_the_accounts_whose_roles_come_in() {
    let (strict, open) = (at(json!({"requireMFA": true}), json!({})), at(json!({}), json!({})));
    let (strict, open) = (Guard::of(&strict), Guard::of(&open));
    assert_eq!(
        (strict.person(true), open.person(false), strict.role_of(strict), open.role_of(open), open.foreign_role()),
        (None, None, None, None, None)
    );
    for refused in [strict.person(false), strict.role_of(open), strict.foreign_role()] {
        assert_eq!(told(refused.into_iter().collect(), "guardrails.requireMFA"), [Reason::TrustNotAllowed]);
    }
}

#[test]
fn groups_are_joined_only_where_a_pattern_covers_their_name_in_whatever_case() {
    let group = |patterns: &[&str], group: &str| Guard::of(&at(json!({"allowedGroups": patterns}), json!({}))).group(group);
    for (name, patterns) in [("team-data", ["team-*"].as_slice()), ("Team-Data", &["team-*"]), ("x", &["admins", "*"]), ("mfa", &["mfa"])] {
        assert_eq!(group(patterns, name), None, "{name} {patterns:?}");
    }
    for (name, patterns) in [("team-data", [].as_slice()), ("admins", &["team-*"]), ("team-data", &["team"]), ("my-team-data", &["team-*"])] {
        assert_eq!(told(group(patterns, name).into_iter().collect(), "guardrails.allowedGroups"), [Reason::GroupNotAllowed], "{name} {patterns:?}");
    }
}
