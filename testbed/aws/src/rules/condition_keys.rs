//! Which keys a question has, and how policies read those that it does not have.

use fakecloud_core::auth::ConditionContext;
use fakecloud_iam::evaluator::PolicyDocument;
use serde_json::Value;

use super::trust_policy::statements_mut;

/// The keys of STS that only some actions have, each with these actions. They are small, as the crates want them. A key that is not here is global or of the
/// caller, the role or the provider, and there for every action.
const OF_ACTIONS: [(&str, &[&str]); 5] = [
    ("sts:externalid", &["AssumeRole"]),
    ("sts:rolesessionname", &["AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"]),
    ("sts:sourceidentity", &["AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "SetSourceIdentity"]),
    ("sts:transitivetagkeys", WITH_TAGS),
    ("iam:resourcetag/", &["AssumeRole"]),
];

/// The actions of STS that have `aws:RequestTag/*` and `aws:TagKeys`.
const WITH_TAGS: &[&str] = &["AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "TagSession"];

/// The keys of a request to STS as one of the actions that it needs has them: each action is asked for by itself, so a statement that allows
/// `sts:AssumeRole` and `sts:TagSession` under a condition on `sts:ExternalId` does not allow `sts:TagSession`.
///
/// Source: SAR of STS, the condition keys of each action; AWS's examples with an external ID or a session name and with tags have two statements, those
/// with a provider's keys and with tags have one. That an action really misses the keys that are not listed for it no source says: this is the strict
/// reading, by which policies that work here work either way [inf].
pub fn of_action(action: &str, context: &ConditionContext) -> ConditionContext {
    let mut context = context.clone();
    let Some(action) = action.strip_prefix("sts:") else { return context };
    let misses =
        |key: &str| OF_ACTIONS.iter().any(|(of, actions)| (key == *of || (of.ends_with('/') && key.starts_with(of))) && !actions.contains(&action));
    context.service_keys.retain(|key, _| !misses(&key.to_ascii_lowercase()));
    if !WITH_TAGS.contains(&action) {
        context.request_tags = None;
    }
    context
}

/// Parses a policy for evaluation. A text that is no policy allows and denies nothing.
pub fn parse(text: &str) -> PolicyDocument {
    if !text.contains("ForAllValues:") {
        return PolicyDocument::parse(text);
    }
    serde_json::from_str(text).map_or_else(|_| PolicyDocument::default(), |document| read(&document))
}

/// As [`parse`], of a document that is JSON already.
pub fn read(document: &Value) -> PolicyDocument {
    let mut document = document.clone();
    for_all_values_without_values(&mut document);
    PolicyDocument::from_value(&document)
}

/// `ForAllValues` is true where the key is missing: all of no values match. The crate says so of keys that it knows to be empty only, and
/// takes the rest for keys that it may not know. With `IfExists` it says what AWS says. Where a block has both forms they stay as they are.
///
/// Source: UG `reference_policies_condition-single-vs-multi-valued-context-keys.md` ("returns true if there are no keys in the request").
fn for_all_values_without_values(document: &mut Value) {
    for statement in statements_mut(document) {
        let Some(conditions) = statement.get_mut("Condition").and_then(Value::as_object_mut) else { continue };
        let operators: Vec<String> = conditions.keys().filter(|operator| operator.starts_with("ForAllValues:")).cloned().collect();
        for operator in operators.into_iter().filter(|operator| !operator.ends_with("IfExists")) {
            let complete = format!("{operator}IfExists");
            if !conditions.contains_key(&complete)
                && let Some(keys) = conditions.remove(&operator)
            {
                conditions.insert(complete, keys);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use fakecloud_core::auth::{Principal, PrincipalType};
    use fakecloud_iam::evaluator::{self, Decision, EvalRequest};
    use serde_json::json;

    use super::*;

    fn said(condition: Value, tags: Option<&[&str]>) -> Decision {
        let principal = Principal {
            arn: "arn:aws:iam::111111111111:user/alice".to_owned(),
            user_id: "AIDAALICE".to_owned(),
            account_id: "111111111111".to_owned(),
            principal_type: PrincipalType::User,
            source_identity: None,
            tags: None,
        };
        let document = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}});
        let mut context = ConditionContext::default();
        if let Some(tags) = tags {
            context.service_keys.insert("aws:tagkeys".to_owned(), tags.iter().map(|tag| (*tag).to_owned()).collect());
        }
        let request = EvalRequest { principal: &principal, action: "iam:TagRole".to_owned(), resource: "*".to_owned(), context };
        evaluator::evaluate(&[parse(&document.to_string())], &request)
    }

    #[test]
    fn statement_59_each_action_has_its_own_keys() {
        let keys = ["sts:externalid", "sts:rolesessionname", "sts:sourceidentity", "sts:transitivetagkeys", "iam:resourcetag/team"];
        let global = "aws:principalorgid";
        let mut context = ConditionContext {
            request_tags: Some([("team".to_owned(), "blue".to_owned())].into()),
            resource_tags: Some([("team".to_owned(), "blue".to_owned())].into()),
            principal_tags: Some([("team".to_owned(), "blue".to_owned())].into()),
            ..ConditionContext::default()
        };
        context.service_keys = keys.into_iter().chain([global, "example.com:sub"]).map(|key| (key.to_owned(), vec!["x".to_owned()])).collect();
        for (action, own, with_tags) in [
            ("sts:AssumeRole", &keys[..], true),
            ("sts:AssumeRoleWithWebIdentity", &keys[1..4], true),
            ("sts:TagSession", &keys[3..4], true),
            ("sts:SetSourceIdentity", &keys[2..3], false),
        ] {
            let asked = of_action(action, &context);
            for key in keys {
                assert_eq!(asked.lookup(key).is_some(), own.contains(&key), "{action} {key}");
            }
            for key in ["aws:RequestTag/team", "aws:TagKeys"] {
                assert_eq!(asked.lookup(key).is_some(), with_tags, "{action} {key}");
            }
            for key in [global, "example.com:sub", "aws:PrincipalTag/team", "aws:ResourceTag/team"] {
                assert!(asked.lookup(key).is_some(), "{action} {key}");
            }
        }
        assert!(of_action("iam:TagRole", &context).lookup("aws:TagKeys").is_some());
    }

    #[test]
    fn statement_40_all_of_no_values_match() {
        let condition = json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}});
        assert_eq!(said(condition.clone(), None), Decision::Allow);
        assert_eq!(said(condition.clone(), Some(&["team"])), Decision::Allow);
        assert_eq!(said(condition, Some(&["team", "owner"])), Decision::ImplicitDeny);
    }

    #[test]
    fn the_other_operators_stay_as_they_are() {
        assert_eq!(said(json!({"ForAnyValue:StringEquals": {"aws:TagKeys": ["team"]}}), None), Decision::ImplicitDeny);
        let null = json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}, "Null": {"aws:TagKeys": "false"}});
        assert_eq!(said(null.clone(), None), Decision::ImplicitDeny);
        assert_eq!(said(null, Some(&["team"])), Decision::Allow);
        let both = json!({"ForAllValues:StringLike": {"aws:TagKeys": ["t*"]}, "ForAllValues:StringLikeIfExists": {"aws:TagKeys": ["*m"]}});
        assert_eq!(said(both.clone(), Some(&["team"])), Decision::Allow);
        assert_eq!(said(both, Some(&["time"])), Decision::ImplicitDeny);
    }

    #[test]
    fn what_is_no_policy_says_nothing() {
        assert_eq!(parse("ForAllValues: {").statement_count(), 0);
        assert_eq!(parse("").statement_count(), 0);
    }
}
