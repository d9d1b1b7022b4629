//! Tags of users, roles and policies (IAM user guide, "Tags for IAM resources").

use rolebridge::core::ownership::Tags;

use super::refusal::{Answer, Code, Refusal};

/// The most tags of one object.
const MOST: usize = 50;

/// How an object tells its keys apart. Statement 20: users and roles without regard to case, policies by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Ignored,
    Told,
}

impl Case {
    fn is_same(self, one: &str, other: &str) -> bool {
        match self {
            Self::Ignored => one.eq_ignore_ascii_case(other),
            Self::Told => one == other,
        }
    }
}

/// Refuses what can be no tag, and what AWS keeps for itself.
pub(super) fn check(tags: &Tags) -> Answer {
    if tags.len() > MOST {
        return Err(Refusal::invalid(format!("1 validation error detected: Value at 'tags' failed to satisfy constraint: at most {MOST}")));
    }
    let is_kept = |text: &str| text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"));
    if let Some((key, _)) = tags.iter().find(|(key, value)| is_kept(key) || is_kept(value)) {
        return Err(Refusal::new(Code::InvalidInput, format!("Tag {key}: keys and values that begin with aws: are reserved for AWS use.")));
    }
    let is_known = |character: char| character.is_alphanumeric() || character == ' ' || "_.:/=+-@".contains(character);
    let is_made_of = |text: &str, least: usize, most: usize| (least..=most).contains(&text.chars().count()) && text.chars().all(is_known);
    match tags.iter().find(|(key, value)| !is_made_of(key, 1, 128) || !is_made_of(value, 0, 256)) {
        Some((key, _)) => Err(Refusal::invalid(format!("1 validation error detected: Value at 'tags' failed to satisfy constraint: {key}"))),
        None => Ok(()),
    }
}

/// Puts tags on, each in the place of its like. One call may not have a key twice.
pub(super) fn put(tags: &mut Tags, new: &Tags, case: Case) -> Answer {
    let twice = new.keys().enumerate().any(|(n, key)| new.keys().skip(n + 1).any(|other| case.is_same(key, other)));
    if twice {
        return Err(Refusal::new(Code::InvalidInput, "Duplicate tag keys found. Please note that Tag keys are case insensitive."));
    }
    tags.retain(|key, _| !new.keys().any(|other| case.is_same(key, other)));
    if tags.len() + new.len() > MOST {
        return Err(Refusal::new(Code::InvalidInput, format!("Value at 'tags' failed to satisfy constraint: at most {MOST}")));
    }
    tags.extend(new.iter().map(|(key, value)| (key.clone(), value.clone())));
    Ok(())
}

/// Takes tags off.
pub(super) fn take(tags: &mut Tags, keys: &[String], case: Case) {
    tags.retain(|key, _| !keys.iter().any(|other| case.is_same(key, other)));
}
