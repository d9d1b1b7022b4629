//! What others put on to restrict a user or role, or to describe a key of it: it stays until others take it off, or the user or role goes.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use crate::aws_state::{items, statements};

/// Something that is to stay.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// An inline policy, by name.
    Inline(String),
    /// An attached policy, by ARN.
    Attached(String),
    /// A permissions boundary, or another one in its place.
    Boundary(String),
    /// A tag, by key.
    Tag(String),
}

impl Kept {
    /// By what a status tells it.
    pub fn key(&self) -> &str {
        match self {
            Self::Inline(key) | Self::Attached(key) | Self::Boundary(key) | Self::Tag(key) => key,
        }
    }

    /// Whether a user or role has it.
    fn is_on(&self, object: &Value) -> bool {
        match self {
            Self::Inline(name) => object["inlinePolicies"].get(name).is_some(),
            Self::Attached(arn) => items(&object["attachedPolicies"]).contains(&arn.as_str()),
            Self::Boundary(_) => object["permissionsBoundary"].is_string(),
            Self::Tag(key) => object["tags"].get(key).is_some(),
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(name) => write!(f, "inline policy {name}"),
            Self::Attached(arn) => write!(f, "attached policy {arn}"),
            Self::Boundary(arn) => write!(f, "boundary {arn}"),
            Self::Tag(key) => write!(f, "tag {key}"),
        }
    }
}

/// Whether a policy says nothing but what it denies.
pub fn only_denies(document: &Value) -> bool {
    let statements = statements(document);
    !statements.is_empty() && statements.iter().all(|statement| statement["Effect"] == "Deny")
}

/// Whether a tag describes an access key.
pub fn describes_a_key(key: &str) -> bool {
    key.len() == 20 && key.starts_with("AKIA")
}

/// What of all that a user or role has would be to stay, had others put it on.
fn restricting(object: &Value) -> BTreeSet<Kept> {
    let inline = object["inlinePolicies"].as_object().into_iter().flatten().filter(|(_, document)| only_denies(document));
    let inline = inline.filter(|(name, _)| *name != "RolebridgeCutOff").map(|(name, _)| Kept::Inline(name.clone()));
    let denies = |arn: &&str| ["/denial-by-hand", "/AWSCompromisedKeyQuarantineV3"].iter().any(|end| arn.ends_with(end));
    let attached = items(&object["attachedPolicies"]).into_iter().filter(denies).map(|arn| Kept::Attached(arn.to_owned()));
    let boundary = object["permissionsBoundary"].as_str().map(|arn| Kept::Boundary(arn.to_owned()));
    let is_user = object.get("userName").is_some();
    let tags = object["tags"].as_object().into_iter().flatten().filter(|(key, _)| is_user && describes_a_key(key));
    inline.chain(attached).chain(boundary).chain(tags.map(|(key, _)| Kept::Tag(key.clone()))).collect()
}

/// What is to stay once others have changed a user or role, of which this was to stay before.
pub fn after_others(kept: &BTreeSet<Kept>, before: &Value, now: &Value) -> BTreeSet<Kept> {
    let (had, has) = (restricting(before), restricting(now));
    let still = kept.iter().filter(|kept| has.contains(*kept)).cloned();
    still.chain(has.difference(&had).cloned()).collect()
}

/// What of this is missing.
pub fn missing<'k>(kept: &'k BTreeSet<Kept>, now: &Value) -> Vec<&'k Kept> {
    kept.iter().filter(|kept| !kept.is_on(now)).collect()
}
