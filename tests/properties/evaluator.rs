//! A second opinion on what policies allow: a small evaluator of IAM's rules over a few requests. It reads the JSON of documents by itself and shares no
//! code with the core.

use std::collections::BTreeSet;

use rolebridge::core::document::Document;
use serde_json::Value;

const ACTIONS: [&str; 6] = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListAllMyBuckets", "ec2:RunInstances", "ec2:StopInstances"];
const RESOURCES: [&str; 2] = ["arn:aws:s3:::a/x", "arn:aws:s3:::b/x"];

/// Requests: what is asked for, of what, and whether with a second factor.
pub type Requests = BTreeSet<(&'static str, &'static str, bool)>;

/// All requests that are looked at.
pub fn everything() -> Requests {
    let with = |action| RESOURCES.into_iter().flat_map(move |resource| [(action, resource, false), (action, resource, true)]);
    ACTIONS.into_iter().flat_map(with).collect()
}

/// What these documents allow together and none of them denies.
pub fn allowed<'a>(documents: impl IntoIterator<Item = &'a Document> + Clone) -> Requests {
    let denied = concerned(documents.clone(), "Deny");
    concerned(documents, "Allow").difference(&denied).copied().collect()
}

fn concerned<'a>(documents: impl IntoIterator<Item = &'a Document>, effect: &str) -> Requests {
    let statements: Vec<&Value> = documents.into_iter().flat_map(|document| list(&document.as_value()["Statement"])).collect();
    let of_effect: Vec<&Value> = statements.into_iter().filter(|statement| statement["Effect"] == effect).collect();
    everything().into_iter().filter(|request| of_effect.iter().any(|statement| is_about(statement, *request))).collect()
}

fn is_about(statement: &Value, (action, resource, with_second_factor): (&str, &str, bool)) -> bool {
    let acts = concerns(statement, "Action", "NotAction", |pattern| matches(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase()));
    let touches = concerns(statement, "Resource", "NotResource", |pattern| matches(pattern, resource));
    // The key is absent from requests without a second factor: what asks for a value does not hold then, unless it says "if it exists".
    let holds = |(operator, keys): (&String, &Value)| {
        let wanted = keys["aws:MultiFactorAuthPresent"].as_str().expect("nothing else is required here");
        match (operator.as_str(), with_second_factor) {
            ("Bool", false) => false,
            ("BoolIfExists", false) => true,
            ("Bool" | "BoolIfExists", true) => wanted == "true",
            (other, _) => panic!("no operator {other} is known here"),
        }
    };
    acts && touches && statement["Condition"].as_object().into_iter().flatten().all(holds)
}

/// Whether one of an element's patterns matches; where there is none of it, whether none of its opposite's does.
fn concerns(statement: &Value, element: &str, opposite: &str, is_match: impl Fn(&str) -> bool) -> bool {
    let any = |element: &str| list(&statement[element]).iter().any(|pattern| is_match(pattern.as_str().expect("a pattern")));
    if statement[element].is_null() { !any(opposite) } else { any(element) }
}

fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Null => vec![],
        one => vec![one],
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern_left, mut text_left) = (pattern.chars(), text.chars());
    match (pattern_left.next(), text_left.next()) {
        (None, None) => true,
        (Some('*'), None) => matches(pattern_left.as_str(), text),
        (Some('*'), Some(_)) => matches(pattern_left.as_str(), text) || matches(pattern, text_left.as_str()),
        (Some(expected), Some(found)) => (expected == '?' || expected == found) && matches(pattern_left.as_str(), text_left.as_str()),
        _ => false,
    }
}

#[test]
fn the_evaluator_knows_the_rules() {
    let allowed_by = |text: &str| allowed([&Document::parse(text).expect("a document")]);
    let of = |statements: &str| allowed_by(&format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#));
    assert_eq!(of(r#"{"Effect":"Allow","Action":"S3:get*","Resource":"*"}"#).len(), 4);
    assert_eq!(of(r#"{"Effect":"Allow","NotAction":"s3:*","Resource":"arn:aws:s3:::a/?"}"#).len(), 4);
    assert_eq!(of(r#"{"Effect":"Allow","Action":"*","NotResource":["arn:aws:s3:::a/*"]}"#).len(), 12);
    assert_eq!(of(r#"{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"ec2:*","Resource":"*"}"#).len(), 16);
    let required = |operator: &str, value: &str| {
        format!(r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{{"{operator}":{{"aws:MultiFactorAuthPresent":"{value}"}}}}}}"#)
    };
    let with_each: Vec<usize> =
        [("Bool", "true"), ("Bool", "false"), ("BoolIfExists", "true"), ("BoolIfExists", "false")].map(|(o, v)| of(&required(o, v)).len()).into();
    assert_eq!(with_each, [12, 0, 24, 12]);
}
