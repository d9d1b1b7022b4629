//! What a trust entry requires, as conditions of IAM.
//!
//! A condition whose key is absent from a request does not hold (IAM user guide, "Condition operators"), which is what a requirement means; so none of
//! those made here ends in `IfExists`.

use std::collections::BTreeMap;

use super::assume::{SessionRights, TagRight};
use super::callers::{Caller, needs_presence, never_met};
use super::document::{Document, DocumentKind, VERSION_2012, condition_text};
use super::outcome::Problem;
use super::trust::{Conditions, Principal, TrustRule, is_of_session_tags, trust_policy};
use rolebridge_api::Reason;
use rolebridge_api::trust::{ConditionValues, MFA, Require};

/// The conditions that make a requirement.
///
/// # Errors
/// [`Reason::InvalidSpec`] for what can never be met by these callers, is required twice, or is no value.
pub fn conditions(field: &str, require: &Require, callers: &[Caller]) -> Result<Conditions, Vec<Problem>> {
    let mut problems = vec![];
    let mut wrong = |message: String| problems.push(Problem::new(Reason::InvalidSpec, format!("{field}{message}")));
    let mut made = Conditions::default();
    let all = |callers: &[Caller], can: fn(Caller) -> bool| callers.iter().all(|caller| can(*caller));
    if let Some(MFA { max_age }) = &require.mfa {
        if !all(callers, |caller| caller == Caller::Person) {
            wrong(".mfa: roles, services and tokens have no second factor: require it of the users, in the first role of a chain".into());
        }
        made = made.with("Bool", "aws:MultiFactorAuthPresent", ["true"]);
        if let Some(max_age) = max_age {
            match max_age.parse::<jiff::SignedDuration>() {
                Ok(age) => made = made.with("NumericLessThan", "aws:MultiFactorAuthAge", [age.as_secs().to_string()]),
                Err(_) => wrong(format!(".mfa.maxAge: {max_age} is no length of time; write for example 1h")),
            }
        }
    }
    for (set, name, can) in [
        (require.external_id.is_some(), "externalID", Caller::is_of_aws as fn(Caller) -> bool),
        (require.organization_id.is_some(), "organizationID", Caller::is_of_aws),
        (!require.principal_tags.is_empty(), "principalTags", Caller::is_of_aws),
        (require.source_identity.is_some(), "sourceIdentity", |caller| !caller.is_service()),
        (!require.source_ips.is_empty(), "sourceIPs", |caller| !caller.is_service()),
        (!require.session_tags.is_empty(), "sessionTags", Caller::can_tag),
    ] {
        if set && !all(callers, can) {
            let who = if can(Caller::Token) { "services" } else { "services and tokens" };
            wrong(format!(".{name}: {who} come without it, so that nobody could assume the role: put those sources into an entry of their own"));
        }
    }
    for (tags, name) in [(&require.session_tags, "sessionTags"), (&require.principal_tags, "principalTags")] {
        let mut keys: Vec<String> = tags.keys().map(|key| key.to_ascii_lowercase()).collect();
        keys.sort_unstable();
        if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
            wrong(format!(".{name}: {} is there twice, since IAM knows keys of tags without regard to case: write it once", twice[0]));
        }
    }
    for (operator, key) in never_met(&require.conditions, callers) {
        wrong(format!(
            ".conditions: {operator} of {key} never holds for services or tokens of this entry, which come without it, so that nobody could assume the \
             role: put those sources into an entry of their own"
        ));
    }
    let names_user = |text: &String| text.to_ascii_lowercase().contains("${aws:username}");
    for (is_asked_for, name) in [
        (require.source_identity.as_ref().is_some_and(names_user), "sourceIdentity"),
        (require.session_name.as_ref().is_some_and(names_user), "sessionName"),
        (require.session_tags.values().any(names_user), "sessionTags"),
        (require.principal_tags.values().any(names_user), "principalTags"),
    ] {
        // IAM user guide, "IAM policy elements: Variables and tags", where the principal key values are.
        if is_asked_for && !all(callers, |caller| caller == Caller::Person) {
            wrong(format!(
                ".{name}: ${{aws:username}} is the name of a user, and roles, services and tokens have none, so that they could never assume the role: put \
                 those sources into an entry of their own"
            ));
        }
    }
    made = require.external_id.iter().fold(made, |made, id| made.with("StringEquals", "sts:ExternalId", [id]));
    made = require.organization_id.iter().fold(made, |made, id| made.with("StringEquals", "aws:PrincipalOrgID", [id]));
    if !require.source_ips.is_empty() {
        made = made.with("IpAddress", "aws:SourceIp", &require.source_ips);
    }
    made = require.source_identity.iter().fold(made, |made, pattern| matching(made, "sts:SourceIdentity", pattern));
    made = require.session_name.iter().fold(made, |made, pattern| matching(made, "sts:RoleSessionName", pattern));
    made = require.session_tags.iter().fold(made, |made, (key, value)| matching(made, &format!("aws:RequestTag/{key}"), value));
    made = require.principal_tags.iter().fold(made, |made, (key, value)| matching(made, &format!("aws:PrincipalTag/{key}"), value));
    for (operator, time, name) in [("DateGreaterThanEquals", &require.not_before, "notBefore"), ("DateLessThan", &require.not_after, "notAfter")] {
        let Some(time) = time else { continue };
        if time.parse::<jiff::Timestamp>().is_err() {
            wrong(format!(".{name}: {time} is no time; write for example 2026-01-31T23:59:59Z"));
        }
        made = made.with(operator, "aws:CurrentTime", [time]);
    }
    if require.not_before.as_ref().zip(require.not_after.as_ref()).is_some_and(|(from, to)| from >= to) {
        wrong(".notAfter comes before notBefore, so that nobody could ever assume the role".into());
    }
    unwritable(&made).into_iter().for_each(|problem| wrong(format!(": {problem}")));
    for (operator, keys) in &require.conditions {
        for (key, values) in keys {
            if made.has(operator, key) {
                wrong(format!(".conditions: {operator} of {key} is required by a field of its own already: write it in one place"));
            } else if values.all().is_empty() {
                wrong(format!(".conditions: {operator} of {key} has no value; nothing would ever meet it"));
            } else {
                made = made.with(operator, key, values.all().iter().filter_map(condition_text));
            }
        }
    }
    free_problems(&require.conditions).into_iter().for_each(|problem| wrong(format!(".conditions{problem}")));
    if problems.is_empty() { Ok(made) } else { Err(problems) }
}

/// What is wrong with free conditions as they are written, each with its place among them: what IAM would refuse, and what YAML may have changed.
fn free_problems(conditions: &BTreeMap<String, BTreeMap<String, ConditionValues>>) -> Vec<String> {
    let statement = serde_json::json!({"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole", "Condition": conditions});
    let written = Document::from_value(serde_json::json!({"Version": VERSION_2012, "Statement": statement}));
    let problems = written.map_or_else(|problems| problems, |written| [written.lint(DocumentKind::Trust), written.changed_by_yaml()].concat());
    let place = |problem: String| problem.strip_prefix("Statement.Condition").map_or_else(|| format!(": {problem}"), str::to_owned);
    problems.into_iter().map(|problem| place(problem.to_string())).collect()
}

/// What IAM would refuse of a trust policy with the conditions of the other fields: characters that it does not store.
fn unwritable(conditions: &Conditions) -> Vec<String> {
    let anybody = TrustRule { conditions: conditions.clone(), ..TrustRule::plain(Principal::AWS("*".into())) };
    let policy = trust_policy([[anybody].into()]);
    let problems = Document::from_value(policy.as_value().clone()).map_or_else(|problems| problems, |policy| policy.lint(DocumentKind::Trust));
    problems.into_iter().map(|problem| problem.to_string().replacen("Statement[0].Condition", "condition", 1)).collect()
}

/// The keys of the free conditions.
pub fn free_keys(require: Option<&Require>) -> impl Iterator<Item = &String> {
    require.into_iter().flat_map(|require| require.conditions.values()).flat_map(|keys| keys.keys())
}

/// Whether a free condition is on this key, whatever the case of its letters.
pub fn is_free_on(require: Option<&Require>, key: &str) -> bool {
    free_keys(require).any(|free| free.eq_ignore_ascii_case(key))
}

/// Conditions by which a caller who sets session tags that are asked for can set no others. The right to set them is for all of them, and they take the place of the role's
/// own tags, to which its permissions may refer (IAM user guide, "Pass session tags in AWS STS"). Free conditions on `aws:TagKeys` say it themselves.
pub fn with_tags_bounded(require: Option<&Require>, conditions: Conditions) -> Conditions {
    if is_free_on(require, "aws:TagKeys") {
        return conditions;
    }
    let tag_of = |key: &String| key.split_once('/').filter(|(kind, _)| kind.eq_ignore_ascii_case("aws:RequestTag")).map(|(_, tag)| tag.to_owned());
    let fields = require.into_iter().flat_map(|require| require.session_tags.keys().cloned());
    let asked: Vec<String> = fields.chain(free_keys(require).filter_map(tag_of)).collect();
    if asked.is_empty() { conditions } else { conditions.with("ForAllValues:StringEquals", "aws:TagKeys", asked) }
}

/// What a caller must be allowed beside `sts:AssumeRole` to do what is required of it.
pub fn session_rights(require: Option<&Require>) -> SessionRights {
    let Some(require) = require else { return SessionRights::default() };
    let requires = |prefix: &str| free_keys(Some(require)).any(|key| key.to_ascii_lowercase().starts_with(prefix));
    let tags = !require.session_tags.is_empty() || ["aws:requesttag/", "aws:tagkeys", "sts:transitivetagkeys"].into_iter().any(requires);
    SessionRights {
        tag: if tags { TagRight::Any } else { TagRight::Nothing },
        set_source_identity: require.source_identity.is_some() || requires("sts:sourceidentity"),
    }
}

/// Whether a second factor is required, in its own field or as a free condition.
pub fn requires_mfa(require: Option<&Require>) -> bool {
    let is_true = |values: &ConditionValues| values.all().iter().filter_map(condition_text).all(|value| value == "true") && !values.all().is_empty();
    let says_so = |(operator, keys): (&String, &BTreeMap<String, ConditionValues>)| {
        let present = |(key, values): (&String, &ConditionValues)| key.eq_ignore_ascii_case("aws:MultiFactorAuthPresent") && is_true(values);
        operator.eq_ignore_ascii_case("Bool") && keys.iter().any(present)
    };
    require.is_some_and(|require| require.mfa.is_some() || require.conditions.iter().any(says_so))
}

/// Whether a session that the console opens can do what is required: its links to switch roles carry no external ID (IAM user guide, "Switch from a user to
/// an IAM role (console)"), and no session tags or source identity either.
pub fn is_met_by_console(require: Option<&Require>) -> bool {
    require.is_none_or(|require| {
        let is_sent = |(operator, keys): (&String, &BTreeMap<String, ConditionValues>)| {
            keys.iter().all(|(key, values)| !(needs_presence(operator, values) && is_unknown_to_console(key)))
        };
        let has_fields = require.external_id.is_some() || !require.session_tags.is_empty() || require.source_identity.is_some();
        !has_fields && require.conditions.iter().all(is_sent)
    })
}

/// Whether the console never sends this key.
fn is_unknown_to_console(key: &str) -> bool {
    is_of_session_tags(key) || ["sts:ExternalId", "sts:SourceIdentity"].iter().any(|known| key.eq_ignore_ascii_case(known))
}

/// The condition that a key matches a pattern. Only `StringLike` knows wildcards; variables work in both.
pub fn matching(conditions: Conditions, key: &str, pattern: &str) -> Conditions {
    conditions.with(if pattern.contains(['*', '?']) { "StringLike" } else { "StringEquals" }, key, [pattern])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statement_43_the_console_sends_no_external_id_and_neither_session_tags_nor_a_source_identity() {
        let required = |require: serde_json::Value| is_met_by_console(Some(&serde_json::from_value(require).unwrap()));
        assert!(is_met_by_console(None));
        for met in [
            serde_json::json!({}),
            serde_json::json!({"conditions": {"StringEqualsIfExists": {"sts:ExternalId": "x"}, "Null": {"sts:SourceIdentity": "true"}}}),
            serde_json::json!({"conditions": {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}, "StringNotEquals": {"sts:ExternalId": "x"}}}),
            serde_json::json!({"mfa": {}, "sourceIPs": ["203.0.113.0/24"], "principalTags": {"team": "data"}, "sessionName": "${aws:username}"}),
        ] {
            assert!(required(met.clone()), "{met}");
        }
        for unmet in [
            serde_json::json!({"externalID": "example-42"}),
            serde_json::json!({"sessionTags": {"team": "data"}}),
            serde_json::json!({"sourceIdentity": "${aws:username}"}),
            serde_json::json!({"conditions": {"StringEquals": {"sts:ExternalId": ["old", "new"]}}}),
            serde_json::json!({"conditions": {"StringLike": {"aws:RequestTag/team": "*"}}}),
            serde_json::json!({"conditions": {"ForAnyValue:StringEquals": {"aws:TagKeys": ["team"]}}}),
            serde_json::json!({"conditions": {"Null": {"STS:SourceIdentity": "false"}}}),
        ] {
            assert!(!required(unmet.clone()), "{unmet}");
        }
    }
}
