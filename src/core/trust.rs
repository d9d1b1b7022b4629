//! Trust policies as what they are to IAM: a set of ways in.
//!
//! A [`TrustRule`] is one of them: a principal, what it may call, and under which conditions. What a declaration asks for is a list of them, and a
//! trust policy is read back as one, so that what changes between two policies can be told apart into what somebody gains and what somebody loses.
//!
//! | file | what is in it |
//! |---|---|
//! | `conditions.rs` | conditions as sets |
//! | `rule.rs` | principals, and one way in |
//! | `statements.rs` | rules as the fewest statements, and read back from statements |

mod conditions;
mod rule;
mod statements;

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Document, Effect};
use super::names::{AccountID, is_unique_id};

pub use conditions::{Conditions, SET_SOURCE_IDENTITY, TAG_SESSION, is_of_session_tags};
pub use rule::{Principal, TrustRule, without_lesser};
pub use statements::{deny_all_trust, trust_policy};

/// What a trust policy lets in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The ways in that the policy allows and does not deny.
    pub rules: BTreeSet<TrustRule>,
    /// Who is denied, under whatever conditions.
    pub denied: BTreeSet<Principal>,
    /// Whether it allows in a form that we never write, or denies only a part of what it allows, and so lets in perhaps more than its admissions tell.
    pub has_unmodelled_statements: bool,
    /// Whether nobody can tell what it says, so that it may let in anybody.
    pub may_be_anything: bool,
}

impl Trust {
    /// Reads the trust policy of a role in `own`. Who is denied is taken as let in by nothing.
    pub fn of(document: &Document, own: &AccountID) -> Self {
        let of_effect = |effect| document.statements().into_iter().filter(move |s| s.effect() == Some(effect)).collect::<Vec<_>>();
        let (allowing, denying) = (of_effect(Effect::Allow), of_effect(Effect::Deny));
        let denied: BTreeSet<Principal> = denying.iter().flat_map(|s| statements::principals(*s, own)).collect();
        let is_denied = |rule: &TrustRule| denied.iter().any(|denied| denied.includes(&rule.principal));
        let (shut_out, rules): (Vec<_>, Vec<_>) = statements::rules(&allowing, own).into_iter().partition(is_denied);
        let is_surely_denied = |rule: &TrustRule| denying.iter().any(|statement| statements::denies_all_of(*statement, rule, own));
        let may_be_anything = !document.is_understood();
        let is_modelled = allowing.iter().all(|s| statements::is_plain(*s)) && shut_out.iter().all(is_surely_denied);
        Self { rules: rules.into_iter().collect(), has_unmodelled_statements: may_be_anything || !is_modelled, may_be_anything, denied }
    }

    /// The same, with these names in the places of the unique IDs that they belong to.
    pub fn with_names(mut self, names: &BTreeMap<String, Principal>) -> Self {
        let named = |rule: TrustRule| match names.get(rule.principal.as_str()) {
            Some(principal) => TrustRule { principal: principal.clone(), ..rule },
            None => rule,
        };
        self.rules = self.rules.into_iter().map(named).collect();
        self
    }

    /// What one of two lets in, or the other, where it is not known which is in force.
    pub fn or(&self, other: &Self) -> Self {
        Self {
            rules: &self.rules | &other.rules,
            denied: &self.denied & &other.denied,
            has_unmodelled_statements: self.has_unmodelled_statements || other.has_unmodelled_statements,
            may_be_anything: self.may_be_anything || other.may_be_anything,
        }
    }

    /// Whether an admission comes in already, be it one part of it by one rule and another part by another one.
    pub fn covers(&self, rule: &TrustRule) -> bool {
        let by_one = |part: &TrustRule| self.rules.iter().any(|there| there.covers(part));
        !self.denies(&rule.principal) && (by_one(rule) || rule.parts().is_some_and(|parts| parts.iter().all(by_one)))
    }

    /// Whether a principal is denied, by its own name or as one of many.
    fn denies(&self, principal: &Principal) -> bool {
        self.denied.iter().any(|denied| denied.includes(principal))
    }

    /// Whether this principal is named among those let in.
    pub fn names(&self, principal: &Principal) -> bool {
        self.standing(principal).any(|there| principal.covers(&there.principal))
    }

    /// The unique IDs among those let in: what IAM puts into the place of a principal that is gone (IAM user guide, "Principal").
    pub fn unique_ids(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|there| there.principal.as_str()).filter(|name| is_unique_id(name))
    }

    /// The ways in of this principal, by its own name or as one of many.
    pub fn standing<'a>(&'a self, principal: &'a Principal) -> impl Iterator<Item = &'a TrustRule> {
        self.rules.iter().filter(|there| there.principal.covers(principal) && !self.denies(principal))
    }

    /// What both this and `other` let in.
    pub fn and(&self, other: &Self) -> BTreeSet<TrustRule> {
        let pairs = self.rules.iter().flat_map(|ours| other.rules.iter().filter_map(move |theirs| ours.and(theirs)));
        without_lesser(pairs.collect())
    }
}

#[cfg(test)]
mod tests;
