//! What is told of a document to those who may not read it has nothing of what stands in it.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use rolebridge::core::document::{Document, DocumentKind, DocumentProblem};

use super::config;

/// What every secret has in it, whether a text or a number, and no message of ours.
const TEXT: &str = "zq";
const NUMBER: &str = "7777";
/// Characters that IAM refuses, and their codes as they stand in messages.
const CHARACTERS: [&str; 6] = ["鱼", "9C7C", "€", "20AC", "\u{2028}", "2028"];

fn object(members: impl IntoIterator<Item = (String, String)>) -> String {
    let members: Vec<String> = members.into_iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
    format!("{{{}}}", members.join(",\n"))
}

fn list(items: &[String]) -> String {
    format!("[{}]", items.join(", "))
}

/// Keys: words of the policy language, words that are nearly such, and secrets.
fn arb_key() -> impl Strategy<Value = String> {
    let words = ["Version", "Id", "Statement", "Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotPrincipal", "Condition"];
    let kinds = ["AWS", "Service", "statement", "action", "StringEquals", "NumericEquals", "stringlike", "Bool"];
    let secret = ("(ForAnyValue:|aws:|)", "zq[a-z]{1,4}", select(vec!["", ":x", " 7777"]));
    prop_oneof![
        select([words.as_slice(), &kinds].concat()).prop_map(str::to_owned),
        secret.prop_map(|(start, secret, end)| format!("{start}{secret}{end}")),
    ]
}

/// The JSON text of a string, or of what a document may have in its place.
fn arb_text() -> BoxedStrategy<String> {
    let start = select(vec!["", "arn:", "arn:aws:iam::", "s3:", "*", "AIDA"]);
    let secret = (start, "zq[a-z]{1,4}", select(vec!["", "*", "?", " ", "${zq}"]));
    let other = select(vec!["true", "null", "\"\"", "\"Allow\"", "\"2012-10-17\"", "\"2008-10-17\""]).prop_map(str::to_owned);
    prop_oneof![4 => secret.prop_map(|(start, secret, end)| format!("\"{start}{secret}{end}\"")), 1 => other].boxed()
}

fn arb_number() -> BoxedStrategy<String> {
    (1u32..999, select(vec!["", ".5"])).prop_map(|(number, end)| format!("{NUMBER}{number}{end}")).boxed()
}

/// The JSON text of a statement that a document can have, whatever IAM would say to it.
fn arb_statement() -> impl Strategy<Value = String> {
    let values = |one: BoxedStrategy<String>| prop_oneof![one.clone(), vec(one, 0..3).prop_map(|items| list(&items))].boxed();
    let members = |value: BoxedStrategy<String>| btree_map(arb_key(), value, 0..3).prop_map(object).boxed();
    let compared = members(values(prop_oneof![arb_text(), arb_number()].boxed()));
    let member = prop_oneof![
        3 => (arb_key(), values(arb_text())),
        1 => (Just("Principal".to_owned()), members(values(arb_text()))),
        1 => (Just("Condition".to_owned()), members(prop_oneof![4 => compared, 1 => arb_text()].boxed())),
    ];
    vec(member, 0..7).prop_map(|members| object(members.into_iter().collect::<BTreeMap<_, _>>()))
}

/// The JSON text of any value, whose keys may stand twice, with characters and numbers that no document has.
fn arb_value() -> impl Strategy<Value = String> {
    let foreign = ("zq[a-z]{1,4}", select(vec!["€", "鱼鱼", "\\u2028"])).prop_map(|(secret, end)| format!("\"{secret}{end}\""));
    let number = (arb_number(), select(vec!["", "e3", "e999"])).prop_map(|(number, end)| number + end);
    prop_oneof![4 => arb_text(), 1 => number, 1 => foreign].prop_recursive(6, 40, 5, |inner| {
        let key = (arb_key(), select(vec!["", "", "€"])).prop_map(|(key, end)| key + end);
        prop_oneof![2 => vec((key, inner.clone()), 0..5).prop_map(object), 1 => vec(inner, 0..4).prop_map(|items| list(&items))]
    })
}

/// Texts that are nearly policies, some of which are broken.
fn arb_document() -> impl Strategy<Value = String> {
    let policy = |statement: BoxedStrategy<String>| {
        (vec(statement, 0..4), vec((arb_key(), arb_text()), 0..2))
            .prop_map(|(statements, members)| object(members.into_iter().chain([("Statement".to_owned(), list(&statements))])))
    };
    let deep = (arb_value(), 10usize..20).prop_map(|(value, depth)| format!("{{\"zqdeep\":{}{value}{}}}", "[".repeat(depth), "]".repeat(depth)));
    let broken = (arb_value(), any::<Index>(), select(vec!["}", "\"", ",", TEXT, NUMBER, "\\", "\u{1}", "鱼"])).prop_map(|(text, at, inserted)| {
        let at = at.index(text.chars().count() + 1);
        text.chars().take(at).chain(inserted.chars()).chain(text.chars().skip(at)).collect()
    });
    prop_oneof![4 => policy(arb_statement().boxed()), 2 => policy(arb_value().boxed()), 1 => arb_value(), 1 => deep, 2 => broken]
}

/// All that can be said of a text.
fn problems(text: &str) -> Vec<DocumentProblem> {
    let read = [Document::parse(text), Document::from_structure(text)];
    let found = read.into_iter().flat_map(|read| match read {
        Ok(document) => [document.lint(DocumentKind::Permissions), document.lint(DocumentKind::Trust), document.warnings()].concat(),
        Err(problems) => problems,
    });
    found.collect()
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn what_is_told_without_quotes_has_nothing_of_the_document(text in arb_document()) {
        for problem in problems(&text) {
            let told = problem.without_quotes();
            prop_assert!(!told.is_empty() && [TEXT, NUMBER].iter().chain(&CHARACTERS).all(|secret| !told.contains(secret)), "{} of {}", told, text);
        }
    }
}
