//! How policies read keys that a request does not have.

use fakecloud_iam::evaluator::PolicyDocument;
use serde_json::Value;

use super::trust_policy::statements_mut;

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
    use fakecloud_core::auth::{ConditionContext, Principal, PrincipalType};
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
