//! What the statements of policies are about, compared by their patterns: what one reaches beyond others, and whether two have to do with each other.
//!
//! In doubt a statement reaches something that the others do not, and two have to do with each other.

use std::cell::Cell;
use std::collections::BTreeSet;

use serde_json::Value;

use super::super::document::{Document, Effect, StatementRef, VERSION_2008, wildcard_covers, wildcards_meet};
use super::super::trust::Conditions;

/// Parts that something is taken apart into. What would take more is taken as a whole.
const MOST_PARTS: usize = 64;

/// What comparing may cost for one plan, in pairs of characters: a tenth of a second or so. How long that takes must not be up to the author of a policy.
const MOST_EFFORT: usize = 20_000_000;

/// What it costs to take up two statements.
const EFFORT_OF_STATEMENTS: usize = 100;

/// What it costs to look up a pattern, or to take up two.
const EFFORT_OF_A_PATTERN: usize = 16;

/// What comparing may still cost. Once that is used up, everything is in doubt.
#[derive(Debug)]
pub(super) struct Effort(Cell<usize>);

impl Default for Effort {
    fn default() -> Self {
        Self(Cell::new(MOST_EFFORT))
    }
}

impl Effort {
    /// Whether so much is left. It is used up by that.
    fn spend(&self, effort: usize) -> bool {
        let left = self.0.get().checked_sub(effort);
        self.0.set(left.unwrap_or_default());
        left.is_some()
    }

    fn is_spent(&self) -> bool {
        self.0.get() == 0
    }

    /// Whether all that matches `pattern` surely matches `wider`.
    fn covers(&self, wider: &str, pattern: &str) -> bool {
        !begin_apart(wider, pattern) && self.spend(wider.len() * pattern.len()) && wildcard_covers(wider, pattern)
    }

    /// Whether something may match both.
    fn meet(&self, one: &str, other: &str) -> bool {
        !begin_apart(one, other) && (!self.spend(one.len() * other.len()) || wildcards_meet(one, other))
    }
}

/// Whether patterns differ before either of them is open.
fn begin_apart(one: &str, other: &str) -> bool {
    let is_open = |byte: u8| matches!(byte, b'*' | b'?' | b'$');
    one.bytes().zip(other.bytes()).find(|(a, b)| a != b || is_open(*a)).is_some_and(|(a, b)| !is_open(a) && !is_open(b))
}

/// Patterns, those that stand for one text alone by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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

    /// Those that are so.
    fn filter(&self, is: impl Fn(&String) -> bool) -> Option<Self> {
        let of = |patterns: &BTreeSet<String>| patterns.iter().filter(|pattern| is(pattern)).cloned().collect();
        Some(Self { plain: of(&self.plain), open: of(&self.open) }).filter(|left| left.iter().next().is_some())
    }

    fn contains(&self, pattern: &str) -> bool {
        self.plain.contains(pattern) || self.open.contains(pattern)
    }

    fn covers(&self, pattern: &str, effort: &Effort) -> bool {
        self.contains(pattern)
            || (effort.spend(EFFORT_OF_A_PATTERN * (1 + self.open.len())) && self.open.iter().any(|wider| effort.covers(wider, pattern)))
    }

    fn meets(&self, pattern: &str, effort: &Effort) -> bool {
        let all = 1 + self.plain.len() + self.open.len();
        self.contains(pattern) || !effort.spend(EFFORT_OF_A_PATTERN * all) || self.iter().any(|other| effort.meet(other, pattern))
    }

    fn meet(&self, other: &Self, effort: &Effort) -> bool {
        let open_meets = |open: &BTreeSet<String>, others: &Self| open.iter().any(|pattern| others.meets(pattern, effort));
        !effort.spend(EFFORT_OF_A_PATTERN * self.plain.len())
            || self.plain.iter().any(|pattern| other.plain.contains(pattern))
            || open_meets(&self.open, other)
            || open_meets(&other.open, self)
    }
}

/// The actions or resources of a statement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

    fn meet(&self, other: &Self, effort: &Effort) -> bool {
        match (self, other) {
            (Self::These(ours), Self::These(theirs)) => ours.meet(theirs, effort),
            (Self::These(these), Self::AllBut(but)) | (Self::AllBut(but), Self::These(these)) => {
                these.iter().any(|pattern| !but.covers(pattern, effort))
            }
            (Self::AllBut(_), Self::AllBut(_)) => true,
        }
    }

    fn include(&self, other: &Self, effort: &Effort) -> bool {
        match (self, other) {
            (_, Self::These(theirs)) => theirs.iter().all(|pattern| self.include_all_of(pattern, effort)),
            (Self::AllBut(ours), Self::AllBut(theirs)) => ours.iter().all(|pattern| theirs.covers(pattern, effort)),
            (Self::These(ours), Self::AllBut(_)) => ours.contains("*"),
        }
    }

    fn include_all_of(&self, pattern: &str, effort: &Effort) -> bool {
        match self {
            Self::These(ours) => ours.covers(pattern, effort),
            Self::AllBut(ours) => !ours.meets(pattern, effort),
        }
    }

    /// Whether these include some of what `other` is about, or all where it cannot be taken apart.
    fn include_some_of(&self, other: &Self, effort: &Effort) -> bool {
        match other {
            Self::These(theirs) => theirs.iter().any(|pattern| self.include_all_of(pattern, effort)),
            Self::AllBut(_) => self.include(other, effort),
        }
    }

    /// What of these `other` does not include.
    fn beyond(&self, other: &Self, effort: &Effort) -> Option<Self> {
        match self {
            Self::These(ours) => ours.filter(|pattern| !other.include_all_of(pattern, effort)).map(Self::These),
            Self::AllBut(_) => (!other.include(self, effort)).then(|| self.clone()),
        }
    }

    /// Those of `written` that are among these.
    fn among<'a>(&self, written: Option<Vec<&'a str>>, fold: fn(&str) -> String) -> Vec<&'a str> {
        let Self::These(ours) = self else { return vec![] };
        written.unwrap_or_default().into_iter().filter(|pattern| ours.contains(&fold(pattern))).collect()
    }
}

/// What a statement, or a part of one, is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

    fn meets(&self, other: &Self, effort: &Effort) -> bool {
        !effort.spend(EFFORT_OF_STATEMENTS) || (self.actions.meet(&other.actions, effort) && self.resources.meet(&other.resources, effort))
    }

    /// Whether something of `other` is about nothing that this is not about.
    fn includes_some_of(&self, other: &Self, effort: &Effort) -> bool {
        effort.spend(EFFORT_OF_STATEMENTS)
            && self.actions.include_some_of(&other.actions, effort)
            && self.resources.include_some_of(&other.resources, effort)
            && effort.spend(EFFORT_OF_STATEMENTS * self.conditions.count() * other.conditions.count())
            && self.conditions.cover(&other.conditions)
    }

    /// What of this `other`, which includes some of it, does not reach, in parts.
    fn beyond(self, other: &Self, effort: &Effort) -> Vec<Self> {
        let actions = self.actions.beyond(&other.actions, effort);
        let resources = self.resources.beyond(&other.resources, effort);
        let common = resources.as_ref().map_or_else(|| Some(self.resources.clone()), |beyond| self.resources.beyond(beyond, effort));
        let Some(common) = common else { return vec![self] };
        let of_others = actions.map(|actions| Self { actions, resources: common, ..self.clone() });
        resources.map(|resources| Self { resources, ..self }).into_iter().chain(of_others).collect()
    }

    /// What of this none of the others reaches, in parts; None where that would take too long to tell.
    fn beyond_all<'a>(&self, others: impl IntoIterator<Item = &'a Self>, effort: &Effort) -> Option<Vec<Self>> {
        let mut parts = vec![self.clone()];
        for other in others {
            let (touched, others): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| other.includes_some_of(part, effort));
            parts = others;
            parts.extend(touched.into_iter().flat_map(|part| part.beyond(other, effort)));
            if parts.is_empty() {
                return Some(parts);
            }
            if parts.len() > MOST_PARTS || effort.is_spent() {
                return None;
            }
        }
        Some(parts)
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
pub(super) fn meet(some: &[Reach], others: &[Reach], effort: &Effort) -> bool {
    some.iter().any(|one| others.iter().any(|other| one.meets(other, effort)))
}

/// What of some the others do not reach.
pub(super) fn beyond<'a>(some: impl IntoIterator<Item = &'a Reach>, others: &BTreeSet<Reach>, effort: &Effort) -> Vec<Reach> {
    let left = some.into_iter().filter(|one| !others.contains(one));
    left.flat_map(|one| one.beyond_all(others, effort).unwrap_or_else(|| vec![one.clone()])).collect()
}

/// What of something is left without these parts of it.
pub(super) fn without(some: &Reach, parts: &[Reach], effort: &Effort) -> Vec<Reach> {
    some.beyond_all(parts, effort).unwrap_or_default()
}

/// What a document says, statement by statement; by default, that there is none.
#[derive(Clone, Debug, Default)]
pub(super) struct Says<'a> {
    /// The version of its language, where there is a document.
    pub(super) version: Option<&'a str>,
    /// What it allows.
    pub(super) permissions: Vec<(StatementRef<'a>, Reach)>,
    /// What it denies.
    pub(super) denials: Vec<(StatementRef<'a>, Reach)>,
}

impl<'a> Says<'a> {
    /// None where that cannot be told: the document cannot be read, or has statements that are not of IAM's form.
    pub(super) fn of(document: &'a Document) -> Option<Self> {
        if !document.is_understood() {
            return None;
        }
        let mut says = Self { version: Some(document.version().unwrap_or(VERSION_2008)), ..Self::default() };
        for statement in document.statements() {
            let reach = Reach::of(statement)?;
            match statement.effect()? {
                Effect::Allow => says.permissions.push((statement, reach)),
                Effect::Deny => says.denials.push((statement, reach)),
            }
        }
        Some(says)
    }

    /// What it allows.
    pub(super) fn allowed(&self) -> BTreeSet<Reach> {
        self.permissions.iter().map(|(_, reach)| reach.clone()).collect()
    }

    /// What it denies.
    pub(super) fn denied(&self) -> BTreeSet<Reach> {
        self.denials.iter().map(|(_, reach)| reach.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
