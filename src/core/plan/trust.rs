//! How a role's trust policy is changed around all else that changes of the role.

use std::collections::BTreeSet;

use super::super::action::Action;
use super::super::canonical::same;
use super::super::document::Document;
use super::super::grants::{Grant, Intent};
use super::super::identity::{Identity, IdentityName};
use super::super::names::{AccountID, RoleName};
use super::super::outcome::Problem;
use super::super::quotas::more_trust_room;
use super::super::trust::{Principal, Trust, TrustRule, trust_policy};
use rolebridge_api::Reason;

/// One trust policy that takes the place of another.
pub(super) struct Exchange<'a> {
    role: &'a RoleName,
    there: &'a Document,
    to_be: &'a Document,
    before: Trust,
    after: Trust,
    /// Characters that a trust policy may have. One that is there has room.
    capacity: usize,
}

/// What is written before all else changes, and what after it.
#[derive(Debug, PartialEq)]
pub(super) enum Writes {
    /// The trust policy is written once.
    First,
    /// It is written once, after all else.
    Last,
    /// It is written twice: first without those who come in anew or under other conditions, by this document.
    Twice(Document),
    /// The document to be written first does not fit.
    TooLarge,
}

impl<'a> Exchange<'a> {
    /// None where nothing changes. `in_force` is what the trust policy that is there lets in, and the account of the role; `quota` is what that account lets a
    /// trust policy have.
    pub(super) fn of(found: &'a Identity, wanted: &'a Identity, in_force: Option<(Trust, AccountID)>, quota: usize) -> Option<Self> {
        let (IdentityName::Role(role), Some(there), Some(to_be)) = (&wanted.name, &found.role, &wanted.role) else { return None };
        let (before, own) = in_force?;
        let (there, to_be) = (&there.trust_policy, &to_be.trust_policy);
        let (after, capacity) = (Trust::of(to_be, &own), quota.max(there.surely_takes()));
        (!same(there, to_be)).then_some(Self { role, there, to_be, before, after, capacity })
    }

    /// Writes the policy that is to be there.
    pub(super) fn update(&self) -> Action {
        self.update_to(self.to_be)
    }

    /// Writes a trust policy.
    pub(super) fn update_to(&self, document: &Document) -> Action {
        Action::UpdateTrustPolicy(self.role.clone(), document.clone())
    }

    /// A trust policy that only lets in more comes last; one that shuts anybody out comes first. One that does both, while other things of the role change
    /// as well, is written twice: nobody comes in anew before the role is as wanted, and in between only what old and new both let in does.
    pub(super) fn writes(&self, others_change: bool) -> Writes {
        let (before, after) = (&self.before, &self.after);
        // What may be anything lets in anybody: whoever is to come in does so already, and everybody else is shut out before anything else happens.
        if before.may_be_anything {
            return Writes::First;
        }
        // In doubt something is lost: what is not of the form that we write may allow more than its admissions tell.
        let loses = before.has_unmodelled_statements || !before.rules.iter().all(|there| after.covers(there));
        let gains = !before.denied.is_empty() || !after.rules.iter().all(|to_be| before.covers(to_be));
        if !loses {
            return Writes::Last;
        }
        if !(gains && others_change) {
            return Writes::First;
        }
        self.through(trust_policy([before.and(after)]))
    }

    /// With this document in between.
    fn through(&self, between: Document) -> Writes {
        if same(&between, self.to_be) {
            Writes::First
        } else if same(&between, self.there) {
            Writes::Last
        } else if between.size() <= self.capacity {
            Writes::Twice(between)
        } else {
            Writes::TooLarge
        }
    }

    /// Where what old and new both let in does not fit, as many of them as do: the others come in again at the end. Who is merely kept cannot wait for that,
    /// since nothing tells of it but the trust policy that is there.
    ///
    /// # Errors
    /// [`Reason::QuotaExceeded`] where those do not fit who cannot wait.
    pub(super) fn writes_for_some(&self, entries: &[Vec<Grant>]) -> Result<Writes, Problem> {
        let kept = entries.iter().flatten().filter(|grant| grant.intent == Intent::Freeze);
        let kept: Vec<&Principal> = kept.filter_map(|grant| Some(&grant.rule.as_ref()?.principal)).collect();
        let cannot_wait = |principal: &Principal| kept.iter().any(|kept| kept.includes(principal) || principal.includes(kept));
        let both = self.before.and(&self.after);
        let (mut chosen, mut waiting): (BTreeSet<TrustRule>, Vec<TrustRule>) = {
            let (chosen, waiting): (Vec<_>, Vec<_>) = both.into_iter().partition(|rule| cannot_wait(&rule.principal));
            (chosen.into_iter().collect(), waiting)
        };
        // The shorter the names the more of them fit.
        waiting.sort_by_key(|rule| rule.principal.as_str().len());
        for rule in waiting {
            chosen.insert(rule.clone());
            if trust_policy([chosen.clone()]).size() > self.capacity {
                chosen.remove(&rule);
            }
        }
        let between = trust_policy([chosen]);
        let size = between.size();
        match self.through(between) {
            Writes::TooLarge => Err(self.too_large(size)),
            writes => Ok(writes),
        }
    }

    fn too_large(&self, between: usize) -> Problem {
        let (there, to_be, capacity) = (self.there.size(), self.to_be.size(), self.capacity);
        Problem::new(
            Reason::QuotaExceeded,
            format!(
                "spec.trust: the trust policy has {there} characters and is to have {to_be}, and while other things of the role change it would have \
                 {between} of {capacity} that it can have: {}change spec.trust by itself. Until then nobody is added",
                more_trust_room(capacity)
            ),
        )
    }
}
