//! What the statements of policies are about, compared by their patterns: what one reaches beyond others, and whether two have to do with each other.
//!
//! In doubt a statement reaches something that the others do not, and two have to do with each other.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::document::{Document, Effect, StatementRef, wildcard_covers, wildcards_meet};
use super::super::trust::Conditions;

/// Pairs of patterns that are compared. Larger lists than that are taken to meet: what a policy says must not cost as much time as its author likes.
const MOST_PAIRS: usize = 10_000;

/// Parts that something is taken apart into. What would take more is taken as a whole.
const MOST_PARTS: usize = 64;

/// Patterns, those that stand for one text alone by themselves.
#[derive(Clone, Debug, Default, PartialEq)]
struct Set {
    plain: BTreeSet<String>,
    open: BTreeSet<String>,
}

impl Set {
    fn of(patterns: impl IntoIterator<Item = String>) -> Self {
        let (open, plain) = patterns.into_iter().partition(|pattern| pattern.contains(['*', '?', '$']));
        Self { plain, open }
    }

    fn iter(&self) -> impl Iterator<Item = &String> {
        self.plain.iter().chain(&self.open)
    }

    fn len(&self) -> usize {
        self.plain.len() + self.open.len()
    }

    /// Those that are so.
    fn filter(&self, is: impl Fn(&String) -> bool) -> Option<Self> {
        let of = |patterns: &BTreeSet<String>| patterns.iter().filter(|pattern| is(pattern)).cloned().collect();
        Some(Self { plain: of(&self.plain), open: of(&self.open) }).filter(|left| left.len() > 0)
    }

    fn contains(&self, pattern: &str) -> bool {
        self.plain.contains(pattern) || self.open.contains(pattern)
    }

    fn covers(&self, pattern: &str) -> bool {
        self.contains(pattern) || self.open.iter().any(|wider| wildcard_covers(wider, pattern))
    }

    fn meets(&self, pattern: &str) -> bool {
        self.contains(pattern) || self.iter().any(|other| wildcards_meet(other, pattern))
    }

    fn meet(&self, other: &Self) -> bool {
        let open_meets = |open: &BTreeSet<String>, others: &Self| open.iter().any(|pattern| others.meets(pattern));
        self.open.len() * other.len() + other.open.len() * self.len() > MOST_PAIRS
            || self.plain.iter().any(|pattern| other.plain.contains(pattern))
            || open_meets(&self.open, other)
            || open_meets(&other.open, self)
    }
}

/// The actions or resources of a statement.
#[derive(Clone, Debug, PartialEq)]
enum Patterns {
    These(Set),
    AllBut(Set),
}

impl Patterns {
    fn of(named: Option<Vec<&str>>, opposite: Option<Vec<&str>>, fold: fn(&str) -> String) -> Option<Self> {
        match (named, opposite) {
            (Some(named), None) => Some(Self::These(Set::of(named.into_iter().map(fold)))),
            (None, Some(opposite)) => Some(Self::AllBut(Set::of(opposite.into_iter().map(fold)))),
            _ => None,
        }
    }

    fn meet(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::These(ours), Self::These(theirs)) => ours.meet(theirs),
            (Self::These(these), Self::AllBut(but)) | (Self::AllBut(but), Self::These(these)) => these.iter().any(|pattern| !but.covers(pattern)),
            (Self::AllBut(_), Self::AllBut(_)) => true,
        }
    }

    fn include(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::These(theirs)) => theirs.iter().all(|pattern| self.include_all_of(pattern)),
            (Self::AllBut(ours), Self::AllBut(theirs)) => ours.iter().all(|pattern| theirs.covers(pattern)),
            (Self::These(ours), Self::AllBut(_)) => ours.contains("*"),
        }
    }

    fn include_all_of(&self, pattern: &str) -> bool {
        match self {
            Self::These(ours) => ours.covers(pattern),
            Self::AllBut(ours) => !ours.meets(pattern),
        }
    }

    /// What of these `other` does not include.
    fn beyond(&self, other: &Self) -> Option<Self> {
        match self {
            Self::These(ours) => ours.filter(|pattern| !other.include_all_of(pattern)).map(Self::These),
            Self::AllBut(_) => (!other.include(self)).then(|| self.clone()),
        }
    }

    /// Those of `written` that are among these.
    fn among<'a>(&self, written: Option<Vec<&'a str>>, fold: fn(&str) -> String) -> Vec<&'a str> {
        let Self::These(ours) = self else { return vec![] };
        written.unwrap_or_default().into_iter().filter(|pattern| ours.contains(&fold(pattern))).collect()
    }
}

/// What a statement, or a part of one, is about.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reach {
    actions: Patterns,
    resources: Patterns,
    conditions: Conditions,
}

impl Reach {
    /// Of what nothing is known.
    pub(super) fn everything() -> Self {
        let all = || Patterns::AllBut(Set::default());
        Self { actions: all(), resources: all(), conditions: Conditions::default() }
    }

    /// None where the statement is not of IAM's form.
    fn of(statement: StatementRef<'_>) -> Option<Self> {
        Some(Self {
            actions: Patterns::of(statement.actions(), statement.not_actions(), str::to_ascii_lowercase)?,
            resources: Patterns::of(statement.resources(), statement.not_resources(), str::to_owned)?,
            conditions: Conditions::of(statement),
        })
    }

    fn meets(&self, other: &Self) -> bool {
        self.actions.meet(&other.actions) && self.resources.meet(&other.resources)
    }

    /// What of this `other` does not reach, in parts.
    fn beyond(self, other: &Self) -> Vec<Self> {
        let actions = self.actions.beyond(&other.actions);
        let resources = self.resources.beyond(&other.resources);
        let common = resources.as_ref().map_or_else(|| Some(self.resources.clone()), |beyond| self.resources.beyond(beyond));
        let (Some(common), true) = (common, actions.as_ref() != Some(&self.actions) && other.conditions.cover(&self.conditions)) else {
            return vec![self];
        };
        let of_others = actions.map(|actions| Self { actions, resources: common, ..self.clone() });
        resources.map(|resources| Self { resources, ..self }).into_iter().chain(of_others).collect()
    }

    /// What of this none of the others reaches, in parts; None where these are too many to tell.
    pub(super) fn beyond_all(&self, others: &[Self]) -> Option<Vec<Self>> {
        others.iter().try_fold(vec![self.clone()], |parts, other| {
            let parts: Vec<Self> = parts.into_iter().flat_map(|part| part.beyond(other)).collect();
            (parts.len() <= MOST_PARTS).then_some(parts)
        })
    }

    /// The statement as far as it is about this, which is a part of what it is about.
    pub(super) fn written(&self, statement: StatementRef<'_>) -> Value {
        let mut value = statement.to_value();
        let left = [
            ("Action", self.actions.among(statement.actions(), str::to_ascii_lowercase)),
            ("Resource", self.resources.among(statement.resources(), str::to_owned)),
        ];
        for (element, patterns) in left {
            match patterns.as_slice() {
                [] => {}
                [only] => value[element] = (*only).into(),
                all => value[element] = all.into(),
            }
        }
        value
    }
}

/// Whether something of the one has to do with something of the others.
pub(super) fn meet(some: &[Reach], others: &[Reach]) -> bool {
    some.iter().any(|one| others.iter().any(|other| one.meets(other)))
}

/// What of some the others do not reach.
pub(super) fn beyond(some: &[Reach], others: &[Reach]) -> Vec<Reach> {
    some.iter().flat_map(|one| one.beyond_all(others).unwrap_or_else(|| vec![one.clone()])).collect()
}

/// What of something is left without these parts of it.
pub(super) fn without(some: &Reach, parts: &[Reach]) -> Vec<Reach> {
    some.beyond_all(parts).unwrap_or_default()
}

/// What a document says, statement by statement.
#[derive(Clone, Debug, Default)]
pub(super) struct Says<'a> {
    /// What it allows.
    pub(super) permissions: Vec<(StatementRef<'a>, Reach)>,
    /// What it denies.
    pub(super) denials: Vec<(StatementRef<'a>, Reach)>,
}

impl<'a> Says<'a> {
    /// None where that cannot be told: the document cannot be read, or has statements that are not of IAM's form.
    pub(super) fn of(document: &'a Document) -> Option<Self> {
        let mut says = Self::default();
        for statement in document.statements() {
            let reach = Reach::of(statement)?;
            match statement.effect()? {
                Effect::Allow => says.permissions.push((statement, reach)),
                Effect::Deny => says.denials.push((statement, reach)),
            }
        }
        (!says.permissions.is_empty() || !says.denials.is_empty()).then_some(says)
    }
}

/// What statements are about.
pub(super) fn reaches(statements: &[(StatementRef<'_>, Reach)]) -> Vec<Reach> {
    statements.iter().map(|(_, reach)| reach.clone()).collect()
}

#[cfg(test)]
mod tests;
