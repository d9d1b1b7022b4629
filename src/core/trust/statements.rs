//! Rules as the fewest statements that let in exactly the same, and rules read back from statements.
//!
//! - Each action of STS has condition keys of its own, and a statement that asks it for another one's would allow it to nobody. So a rule becomes a statement for
//!   each group of actions that look at the same conditions (service authorization reference, AWS STS).
//! - Principals of one statement are alternatives, and so are its actions and the values of one condition (IAM user guide, "Conditions with multiple context keys or
//!   values"). Statements that differ in one of these alone are one statement.

use std::collections::{BTreeMap, BTreeSet};

use super::conditions::{Alternatives, Conditions, SET_SOURCE_IDENTITY, TAG_SESSION};
use super::rule::{Principal, TrustRule, gives_credentials};
use crate::document::{Document, Statement, StatementRef};
use crate::names::AccountID;

/// Statements that are compared one by one, at most: no trust policy has room for as many.
const MOST_COMPARED: usize = 200;

/// Conditions of statements that are looked at for values to be joined, at most: no trust policy has room for as many.
const MOST_CONDITIONS: usize = 1200;

/// What one statement allows: each of the principals each of the actions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Allowed {
    principals: BTreeSet<Principal>,
    actions: BTreeSet<String>,
    conditions: Conditions,
}

impl Allowed {
    /// The same however others have spelled it: IAM knows actions, operators and keys without regard to case.
    fn in_one_spelling(self) -> Self {
        let actions = self.actions.iter().map(|action| action.to_ascii_lowercase()).collect();
        Self { actions, conditions: self.conditions.in_one_spelling(), ..self }
    }
}

fn has_action(actions: &BTreeSet<String>, action: &str) -> bool {
    actions.iter().any(|there| there.eq_ignore_ascii_case(action))
}

/// The trust policy of these entries, in as few statements as possible. With nobody to name, everyone is denied: IAM takes no trust policy without a principal.
pub fn trust_policy(entries: impl IntoIterator<Item = BTreeSet<TrustRule>>) -> Document {
    let all = merged(entries.into_iter().flatten().flat_map(|rule| allowed(&rule)).collect());
    let all = if all.len() <= MOST_COMPARED { merged(without_spare(all)) } else { all };
    if all.is_empty() { deny_all_trust() } else { Document::new(all.iter().map(statement).collect()) }
}

/// What a rule allows, with the conditions that each action looks at.
fn allowed(rule: &TrustRule) -> Vec<Allowed> {
    let mut by_conditions: Vec<(Conditions, BTreeSet<String>)> = vec![];
    for action in &rule.actions {
        let conditions = rule.conditions.of_action(action);
        match by_conditions.iter_mut().find(|(there, _)| *there == conditions) {
            Some((_, actions)) => drop(actions.insert(action.clone())),
            None => by_conditions.push((conditions, [action.clone()].into())),
        }
    }
    by_conditions.into_iter().map(|(conditions, actions)| Allowed { principals: [rule.principal.clone()].into(), actions, conditions }).collect()
}

/// The same in as few statements as can be had by joining two that differ in one thing alone.
fn merged(mut all: Vec<Allowed>) -> Vec<Allowed> {
    loop {
        let before = all.len();
        let without_principals = |one: &Allowed| Some(Allowed { principals: BTreeSet::new(), ..one.clone() });
        all = joined(all, without_principals, |into, from| into.principals.extend(from.principals));
        let without_actions = |one: &Allowed| Some(Allowed { actions: BTreeSet::new(), ..one.clone() });
        all = joined(all, without_actions, |into, from| {
            let more = from.actions.into_iter().filter(|action| !has_action(&into.actions, action)).collect::<Vec<_>>();
            into.actions.extend(more);
        });
        let conditions: usize = all.iter().map(|one| one.conditions.count()).sum();
        if conditions > MOST_CONDITIONS {
            return all;
        }
        let alternatives: BTreeSet<Alternatives> = all.iter().flat_map(|one| one.conditions.alternatives().collect::<Vec<_>>()).collect();
        for alternatives in &alternatives {
            let without_values = |one: &Allowed| {
                let (conditions, _) = one.conditions.split_off(alternatives)?;
                Some(Allowed { principals: one.principals.clone(), actions: one.actions.clone(), conditions })
            };
            all = joined(all, without_values, |into, from| into.conditions = either(&into.conditions, &from.conditions, alternatives));
        }
        if all.len() == before {
            return all;
        }
    }
}

/// Joins those of which the same is `left` without what may differ. What has nothing that may differ stays.
fn joined(all: Vec<Allowed>, left: impl Fn(&Allowed) -> Option<Allowed>, join: impl Fn(&mut Allowed, Allowed)) -> Vec<Allowed> {
    let mut joined: Vec<Allowed> = vec![];
    let mut places: BTreeMap<Allowed, usize> = BTreeMap::new();
    for one in all {
        match left(&one).map(|left| left.in_one_spelling()) {
            Some(left) => match places.get(&left) {
                Some(place) => join(&mut joined[*place], one),
                None => {
                    places.insert(left, joined.len());
                    joined.push(one);
                }
            },
            None => joined.push(one),
        }
    }
    joined
}

/// The same without actions that give no credentials where another statement allows them to the same principals under less: so what is read back is written
/// as it was.
fn without_spare(all: Vec<Allowed>) -> Vec<Allowed> {
    let allows_more = |(more_at, more): (usize, &Allowed), (at, one): (usize, &Allowed), action: &String| {
        let covers = has_action(&more.actions, action) && more.principals.is_superset(&one.principals) && more.conditions.cover(&one.conditions);
        let is_as_much = || one.principals == more.principals && one.conditions.cover(&more.conditions);
        covers && more_at != at && (more_at < at || !is_as_much())
    };
    let needed = |(at, one): (usize, &Allowed)| {
        let is_spare = |action: &String| all.iter().enumerate().any(|more| allows_more(more, (at, one), action));
        let actions: BTreeSet<String> = one.actions.iter().filter(|action| gives_credentials(action) || !is_spare(action)).cloned().collect();
        (!actions.is_empty()).then(|| Allowed { actions, ..one.clone() })
    };
    all.iter().enumerate().filter_map(needed).collect()
}

/// Conditions that differ in alternatives alone, with those of both.
fn either(ours: &Conditions, theirs: &Conditions, alternatives: &Alternatives) -> Conditions {
    let (Some((left, ours)), Some((_, theirs))) = (ours.split_off(alternatives), theirs.split_off(alternatives)) else { return ours.clone() };
    left.with_all(&ours.or(&theirs))
}

fn statement(allowed: &Allowed) -> Statement {
    let statement = allowed.conditions.put_into(Statement::allow().actions(allowed.actions.iter().cloned()));
    allowed.principals.iter().fold(statement, |statement, principal| match principal {
        Principal::AWS(name) | Principal::OwnAccount(name) => statement.principals_aws([name]),
        Principal::Service(name) => statement.principals_service([name]),
        Principal::Federated(name) => statement.principals_federated([name]),
    })
}

/// A trust policy that denies everyone.
pub fn deny_all_trust() -> Document {
    Document::new(vec![Statement::deny().anyone().actions(["sts:AssumeRole"])])
}

/// Whom a statement names.
pub(super) fn principals(statement: StatementRef<'_>, own: &AccountID) -> Vec<Principal> {
    let named = |kind: &str| statement.principals(kind).into_iter().map(str::to_owned);
    let (aws, services) = (named("AWS").map(|name| Principal::named(&name, own)), named("Service").map(Principal::Service));
    aws.chain(services).chain(named("Federated").map(Principal::Federated)).collect()
}

/// The ways in by statements that allow. What gives no credentials stands beside what does, for sessions that meet the conditions of both.
pub(super) fn rules(statements: &[StatementRef<'_>], own: &AccountID) -> Vec<TrustRule> {
    let all = statements.iter().flat_map(|statement| {
        let actions: BTreeSet<String> = statement.actions().unwrap_or_default().into_iter().map(str::to_owned).collect();
        let conditions = Conditions::of(*statement);
        let rule = move |principal| TrustRule { principal, actions: actions.clone(), conditions: conditions.clone() };
        principals(*statement, own).into_iter().map(rule)
    });
    let (giving, beside): (Vec<TrustRule>, Vec<TrustRule>) = all.partition(|rule| rule.actions.iter().any(|action| gives_credentials(action)));
    let with_those_beside = |rule: TrustRule| {
        let is_met = |other: &&TrustRule| other.principal == rule.principal && other.conditions.cover(&rule.conditions);
        let more: Vec<String> = beside.iter().filter(is_met).flat_map(|other| other.actions.iter().cloned()).collect();
        TrustRule { actions: rule.actions.iter().cloned().chain(more).collect(), ..rule }
    };
    giving.into_iter().map(with_those_beside).collect()
}

/// Whether a statement that denies shuts out whoever comes in by a rule, whatever they bring.
pub(super) fn denies_all_of(statement: StatementRef<'_>, rule: &TrustRule, own: &AccountID) -> bool {
    let is_meant = || principals(statement, own).iter().any(|denied| denied.includes(&rule.principal));
    let giving = || rule.actions.iter().filter(|action| gives_credentials(action));
    statement.is_unconditional() && is_meant() && giving().all(|action| statement.covers_action(action))
}

/// Whether a statement is of a form that we write: what it says is all in its admissions.
pub(super) fn is_plain(statement: StatementRef<'_>) -> bool {
    let known = ["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithSAML", TAG_SESSION, SET_SOURCE_IDENTITY];
    let plain_actions = statement.actions().is_some_and(|actions| actions.iter().all(|a| known.iter().any(|k| a.eq_ignore_ascii_case(k))));
    statement.principals("CanonicalUser").is_empty() && statement.has_principal() && !statement.names_everyone() && plain_actions
}
