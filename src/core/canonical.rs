//! Whether two policy documents mean the same to IAM.
//!
//! IAM gives documents back as they were written, so that text says nothing about drift. A [`Canonical`] form is equal for two documents exactly
//! where IAM ignores all that they differ in. In doubt two things are kept apart: that costs one needless write, while taking them for equal could
//! hide a change. The rules:
//!
//! * A scalar is a list of one wherever IAM has lists; a single statement need not be in a list.
//! * `Action`, `Resource`, `Principal` and their opposites and the values of a condition are sets: neither order nor repetition changes what IAM
//!   evaluates, and a repeated entry has nothing to hide.
//! * Statements come in any order but are counted: one that stands twice is one too many.
//! * Without regard to case: `Effect`, actions, condition operators and condition keys, but not the tag key after the slash of a condition key.
//! * A boolean or number in a condition is its text. An empty `Condition`, and an operator without keys, are absent.
//! * Kinds of principals with an empty list are absent. A `Principal` of which nothing is left is not: without one a statement is another.
//! * The AWS principals `123456789012` and `arn:PARTITION:iam::123456789012:root` are one, whatever the partition: IAM refuses principals of another
//!   partition than the role's, so the bare id always means the role's own, and there is no second one to confuse it with.
//! * `"Principal": "*"` is `{"AWS": "*"}`, as the user guide has it ("all principals"). The two are known to differ for callers without an AWS
//!   identity; those need `sts:AssumeRoleWithWebIdentity` or `WithSAML` in `Action`, which is compared.
//! * An absent `Version` is `2008-10-17`. `Version`, `Sid` and `Id` count.
//! * All else, unknown elements and values out of place, counts as it is written; so does what is no document at all.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::document::{Document, VERSION_2008, condition_text, items};
use crate::names::Arn;

/// The canonical form of a document: equal for two documents exactly where they mean the same to IAM.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Canonical {
    /// In sorted order, each as often as it stands in the document.
    statements: Vec<BTreeMap<String, Element>>,
    /// What stands beside the statements.
    elements: BTreeMap<String, Element>,
}

/// The content of an element.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Element {
    /// One text.
    Text(String),
    /// Texts whose order and number do not count.
    Set(BTreeSet<String>),
    /// Principals by kind.
    Principals(BTreeMap<String, BTreeSet<String>>),
    /// Conditions: operator, key and values. A list, since keys that differ in case alone fall together.
    Conditions(Vec<(String, String, BTreeSet<String>)>),
    /// What has no shape that IAM gives a meaning, as compact JSON with sorted keys.
    Verbatim(String),
}

/// Whether IAM takes both documents for the same.
#[must_use]
pub fn same(a: &Document, b: &Document) -> bool {
    a == b || Canonical::of(a) == Canonical::of(b)
}

impl Canonical {
    /// The canonical form of `document`.
    #[must_use]
    pub fn of(document: &Document) -> Self {
        let mut statements = Vec::new();
        let mut elements = BTreeMap::from([("Version".to_owned(), Element::Text(VERSION_2008.to_owned()))]);
        match document.as_value() {
            Value::Object(object) => {
                for (name, value) in object {
                    if name == "Statement" {
                        statements.extend(items(value).iter().map(statement));
                    } else {
                        elements.insert(name.clone(), text(value));
                    }
                }
            }
            none => statements.push(statement(none)),
        }
        statements.sort_unstable();
        Self { statements, elements }
    }
}

/// A statement; what stands in the place of one and is none is kept under an empty name, which no element has.
fn statement(value: &Value) -> BTreeMap<String, Element> {
    let Some(object) = value.as_object() else { return BTreeMap::from([(String::new(), verbatim(value))]) };
    let elements = object.iter().filter_map(|(name, value)| Some((name.clone(), element(name, value)?)));
    elements.collect()
}

/// An element of a statement; `None` where it says nothing.
fn element(name: &str, value: &Value) -> Option<Element> {
    Some(match name {
        "Effect" => value.as_str().map_or_else(|| verbatim(value), |effect| Element::Text(effect.to_ascii_lowercase())),
        "Action" | "NotAction" => set(value, str::to_ascii_lowercase).map_or_else(|| verbatim(value), Element::Set),
        "Resource" | "NotResource" => set(value, str::to_owned).map_or_else(|| verbatim(value), Element::Set),
        "Principal" | "NotPrincipal" => principals(value).map_or_else(|| verbatim(value), Element::Principals),
        "Condition" => match conditions(value) {
            Some(conditions) if conditions.is_empty() => return None,
            Some(conditions) => Element::Conditions(conditions),
            None => verbatim(value),
        },
        _ => text(value),
    })
}

fn text(value: &Value) -> Element {
    value.as_str().map_or_else(|| verbatim(value), |text| Element::Text(text.to_owned()))
}

fn verbatim(value: &Value) -> Element {
    Element::Verbatim(sorted(value))
}

/// Compact JSON with sorted keys, whichever order the map type has.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let entries: BTreeMap<_, _> = object.iter().map(|(key, value)| (Value::from(key.as_str()).to_string(), sorted(value))).collect();
            let entries: Vec<String> = entries.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(sorted).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}

/// The strings of a list; `None` where anything else stands in it.
fn set(value: &Value, fold: impl Fn(&str) -> String) -> Option<BTreeSet<String>> {
    items(value).iter().map(|item| item.as_str().map(&fold)).collect()
}

fn principals(value: &Value) -> Option<BTreeMap<String, BTreeSet<String>>> {
    let mut kinds = BTreeMap::new();
    match value {
        Value::String(everyone) if everyone == "*" => {
            kinds.insert("AWS".to_owned(), BTreeSet::from([everyone.clone()]));
        }
        _ => {
            for (kind, names) in value.as_object()? {
                let names = if kind == "AWS" { set(names, aws_principal)? } else { set(names, str::to_owned)? };
                if !names.is_empty() {
                    kinds.insert(kind.clone(), names);
                }
            }
        }
    }
    Some(kinds)
}

/// An account as its id, however it is named.
fn aws_principal(principal: &str) -> String {
    let root = Arn::try_from(principal).ok().filter(|arn| arn.is_account_root() && arn.region().is_empty());
    root.map_or_else(|| principal.to_owned(), |arn| arn.account().to_owned())
}

fn conditions(value: &Value) -> Option<Vec<(String, String, BTreeSet<String>)>> {
    let mut conditions = Vec::new();
    for (operator, keys) in value.as_object()? {
        for (key, values) in keys.as_object()? {
            let values = items(values).iter().map(|value| condition_text(value).map(String::from)).collect::<Option<_>>()?;
            conditions.push((operator.to_ascii_lowercase(), condition_key(key), values));
        }
    }
    conditions.sort_unstable();
    Some(conditions)
}

/// A condition key in lower case up to the slash: what follows, as in `aws:PrincipalTag/team`, is the key of a tag.
pub(super) fn condition_key(key: &str) -> String {
    match key.split_once('/') {
        Some((name, tag)) => format!("{}/{tag}", name.to_ascii_lowercase()),
        None => key.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests;
