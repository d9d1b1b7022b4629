//! The condition operators of the policy language, and the values that conditions have.

use serde_json::{Number, Value};

use super::Message;
use crate::spelling::distance;

/// The condition operators, without prefix and suffix. IAM compares them without regard to case.
pub(super) const OPERATORS: [&str; 27] = [
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
    "StringLike",
    "StringNotLike",
    "NumericEquals",
    "NumericNotEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "DateEquals",
    "DateNotEquals",
    "DateLessThan",
    "DateLessThanEquals",
    "DateGreaterThan",
    "DateGreaterThanEquals",
    "Bool",
    "BinaryEquals",
    "IpAddress",
    "NotIpAddress",
    "ArnEquals",
    "ArnNotEquals",
    "ArnLike",
    "ArnNotLike",
    "Null",
];

/// What makes an operator compare several values of a request.
const PREFIXES: [&str; 2] = ["ForAllValues:", "ForAnyValue:"];
/// What makes an operator hold where its key is absent.
const SUFFIX: &str = "IfExists";

/// Letters in which a word may differ from one that is taken for what was meant.
const MISTYPED: usize = 2;
/// Letters of a word, at least and at most, for which it is looked at what was meant.
const LOOKED_AT: std::ops::RangeInclusive<usize> = 4..=64;

/// Numbers up to here stay what they are with every tool that writes YAML or JSON: a double holds each of them.
const SAFE_INTEGER: u64 = 1 << 53;

/// The parts of an operator, in the spelling of IAM's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Operator {
    prefix: &'static str,
    base: &'static str,
    suffix: &'static str,
}

impl Operator {
    /// The operator that a text is, by what tells whether a part of it is a word.
    fn read(text: &str, word: impl Fn(&str, &[&'static str]) -> Option<&'static str>) -> Option<Self> {
        let (prefix, rest) = match text.split_once(':') {
            Some((prefix, rest)) => (word(&format!("{prefix}:"), &PREFIXES)?, rest),
            None => ("", text),
        };
        let cut = rest.len().checked_sub(SUFFIX.len()).filter(|cut| *cut > 0 && rest.is_char_boundary(*cut));
        let ends = cut.filter(|cut| rest[*cut..].eq_ignore_ascii_case(SUFFIX));
        let (base, suffix) = ends.map_or((rest, ""), |cut| (&rest[..cut], SUFFIX));
        let base = word(base, &OPERATORS)?;
        Some(Self { prefix, base, suffix })
    }

    /// As IAM knows it. `Null` asks whether a key exists; together with `IfExists` it means nothing.
    fn known(text: &str) -> Option<Self> {
        let exactly = |text: &str, words: &[&'static str]| words.iter().find(|word| word.eq_ignore_ascii_case(text)).copied();
        Self::read(text, exactly).filter(|operator| operator.base != "Null" || operator.suffix.is_empty())
    }

    /// The one that was perhaps meant.
    fn meant(text: &str) -> Option<Self> {
        let meant = Self::read(text, nearest)?;
        let suffix = if meant.base == "Null" { "" } else { meant.suffix };
        Some(Self { suffix, ..meant })
    }
}

/// The word that differs least from a text, if one differs little, or else the shortest that begins with it or that it begins with.
fn nearest(text: &str, words: &[&'static str]) -> Option<&'static str> {
    if !LOOKED_AT.contains(&text.len()) {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let near = words.iter().map(|word| (distance(&lower, &word.to_ascii_lowercase()), *word)).filter(|(distance, _)| *distance <= MISTYPED);
    let begins = |word: &&&'static str| {
        let word = word.to_ascii_lowercase();
        word.starts_with(&lower) || lower.starts_with(&word)
    };
    near.min_by_key(|(distance, _)| *distance).map(|(_, word)| word).or_else(|| words.iter().filter(begins).min_by_key(|word| word.len()).copied())
}

/// What is wrong with an operator, if anything.
pub(super) fn operator_problem(operator: &str) -> Option<Message> {
    if Operator::known(operator).is_some() {
        return None;
    }
    let message = Message::from("no condition operator of IAM");
    Some(match Operator::meant(operator) {
        Some(Operator { prefix, base, suffix }) => message.words("; did you mean ").words(prefix).words(base).words(suffix).words("?"),
        None => message.words("; there are StringEquals, StringLike, ArnLike, Bool, NumericLessThan, DateLessThan, IpAddress, Null and others"),
    })
}

/// What is wrong with a value of a condition, wherever it is written, if anything.
pub(super) fn value_problem(value: &Value) -> Option<Message> {
    match value {
        // Other tools may write 1.10 as 1.1, and then it is another text.
        Value::Number(number) if number.is_f64() => Some(quote(number).words(": a fraction may change on its way")),
        Value::String(text) => variable_problem(text).map(Message::from),
        Value::Bool(_) | Value::Number(_) => None,
        Value::Null | Value::Array(_) | Value::Object(_) => Some("write a string, a number or a boolean, or a list of them".into()),
    }
}

/// What is wrong with a value of a condition that was written as YAML, if it is no longer certain which text was written: IAM compares texts, and YAML makes
/// numbers and booleans of some.
pub(super) fn yaml_problem(operator: &str, value: &Value) -> Option<Message> {
    // An operator that nobody knows is told by itself.
    let base = Operator::known(operator)?.base;
    let is_number = |number: &Number| base.starts_with("Numeric") && !number.is_f64();
    let is_safe = |number: &Number| number.as_i64().is_some_and(|number| number.unsigned_abs() <= SAFE_INTEGER);
    let compares = |message: Message| message.words(": ").quote(operator, "the operator");
    match value {
        Value::Bool(_) if ["Bool", "Null"].contains(&base) => None,
        Value::Bool(value) => {
            let quoted = Message::from("quote ").quote(if *value { "true" } else { "false" }, "this boolean").words(", or what was written for it");
            Some(compares(quoted).words(" compares text, and YAML makes booleans of words such as yes, no, on and off"))
        }
        Value::Number(number) if is_number(number) && is_safe(number) => None,
        Value::Number(number) if is_number(number) => Some(quote(number).words(": a number as large as this may be rounded on its way")),
        // A fraction is told wherever it is written.
        Value::Number(number) if number.is_f64() => None,
        Value::Number(number) => Some(compares(quote(number)).words(" compares text, and YAML changes numbers such as account ids on the way")),
        Value::String(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn quote(number: &Number) -> Message {
    Message::from("quote ").quote(&number.to_string(), "this number")
}

/// What is wrong with a text that has variables, if anything. IAM's have a prefix, as condition keys do (IAM user guide, "IAM policy elements: Variables and
/// tags"), but for those that stand for `*`, `?` and `$`.
pub(super) fn variable_problem(text: &str) -> Option<&'static str> {
    let is_known = |variable: &str| {
        let name = variable.split(',').next().unwrap_or_default().trim();
        name.contains(':') || ["*", "?", "$"].contains(&name)
    };
    let mut variables = text.split("${").skip(1).filter_map(|after| after.split_once('}')).map(|(variable, _)| variable);
    variables.any(|variable| !is_known(variable)).then_some(
        "variables of IAM have a prefix, as in ${aws:username}, and one has none: another tool, such as Terraform, was to fill it in. Write out what it \
         stands for",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operators_that_are_nearly_right_are_told_with_what_was_meant() {
        for (written, meant) in [
            ("StringEqual", "StringEquals"),
            ("stringequal", "StringEquals"),
            ("StringNotEqual", "StringNotEquals"),
            ("StringLikes", "StringLike"),
            ("StringEqualIfExists", "StringEqualsIfExists"),
            ("ForAnyValues:StringLike", "ForAnyValue:StringLike"),
            ("ForAllValue:StringEqual", "ForAllValues:StringEquals"),
            ("Boolean", "Bool"),
            ("NumericLess", "NumericLessThan"),
            ("NumericLessThanEqual", "NumericLessThanEquals"),
            ("DateGreater", "DateGreaterThan"),
            ("IpAdress", "IpAddress"),
            ("NullIfExists", "Null"),
            ("ArnMatch", ""),
            ("StringMatches", ""),
            ("", ""),
            ("é:é", ""),
            ("ForEachValue:Bool", ""),
        ] {
            let told = operator_problem(written).unwrap_or_else(|| panic!("{written} is taken")).to_string();
            let expected = if meant.is_empty() { "; there are StringEquals".to_owned() } else { format!("; did you mean {meant}?") };
            assert!(told.contains(&expected), "{written}: {told}");
        }
        assert!(operator_problem(&"StringEquals".repeat(9)).is_some_and(|told| told.to_string().contains("; there are ")));
        for known in
            ["StringEquals", "stringlikeifexists", "ForAnyValue:StringLike", "forallvalues:ArnLikeIfExists", "Null", "ForAnyValue:Null", "BOOL"]
        {
            assert_eq!(operator_problem(known), None, "{known}");
        }
    }

    #[test]
    fn what_yaml_made_of_a_text_is_taken_where_that_is_certain() {
        for (operator, value) in [
            ("Bool", json!(true)),
            ("BoolIfExists", json!(false)),
            ("ForAllValues:Bool", json!(false)),
            ("Null", json!(true)),
            ("NumericLessThan", json!(3600)),
            ("numericequalsifexists", json!(-1)),
            ("ForAnyValue:NumericEquals", json!(SAFE_INTEGER)),
            ("StringEquals", json!("012")),
            ("StringEquals", json!("true")),
            // These are told by other rules.
            ("StringSame", json!(5)),
            ("StringEquals", json!(1.5)),
            ("StringEquals", json!(null)),
        ] {
            assert_eq!(yaml_problem(operator, &value), None, "{operator} {value}");
        }
        for (operator, value, told) in [
            ("StringEquals", json!(456789), "quote 456789: StringEquals compares text, and YAML changes numbers"),
            ("StringLikeIfExists", json!(10), "quote 10: StringLikeIfExists compares text"),
            ("ArnLike", json!(10), "quote 10: "),
            ("DateGreaterThan", json!(2026), "quote 2026: "),
            ("IpAddress", json!(10), "quote 10: "),
            ("Bool", json!(1), "quote 1: "),
            ("Null", json!(0), "quote 0: "),
            (
                "ForAnyValue:StringEquals",
                json!(true),
                "quote true, or what was written for it: ForAnyValue:StringEquals compares text, and YAML makes",
            ),
            ("NumericEquals", json!(false), "quote false, or what was written for it: "),
            ("DateEquals", json!(false), "quote false"),
            ("NumericEquals", json!(SAFE_INTEGER + 1), "quote 9007199254740993: a number as large as this may be rounded"),
            ("NumericEquals", json!(i64::MIN), "quote -9223372036854775808: a number as large"),
            ("NumericEquals", json!(u64::MAX), "quote 18446744073709551615: a number as large"),
        ] {
            let problem = yaml_problem(operator, &value).unwrap_or_else(|| panic!("{operator} {value} is taken"));
            assert!(problem.to_string().starts_with(told), "{operator} {value}: {problem}");
            assert!(!problem.without_quotes().contains(operator), "{problem:?}");
        }
    }

    #[test]
    fn variables_of_other_tools_are_told_from_those_of_iam() {
        for known in [
            "plain",
            "home/${aws:username}/*",
            "${aws:PrincipalTag/team, 'none'}",
            "${s3:prefix}",
            "${www.amazon.com:user_id}",
            "${oidc.eks.eu-central-1.amazonaws.com/id/A:sub}",
            "${*}${?}${$}",
            "$5 {a}",
        ] {
            assert_eq!(variable_problem(known), None, "{known}");
        }
        for other in ["arn:aws:s3:::${var.bucket}/*", "${local.name}", "${aws:username}${data.x.y}", "${}", "${BUCKET}", "${aws_s3_bucket.b.arn}"] {
            assert!(variable_problem(other).is_some(), "{other}");
        }
    }
}
