//! The rules of accounts, after each write of the operator's.

use std::collections::BTreeSet;
use std::time::Duration;

use rolebridge::core::action::{Action, Tagged};
use rolebridge::core::identity::CUT_OFF_POLICY;
use rolebridge::core::names::Arn;
use serde_json::Value;

use super::{Checker, GROUND, TRUST};
use crate::aws_state::{unique_id, vouchers};
use crate::resources::Resources;

impl Checker {
    /// Nothing is changed of who breaks a rule by all that the operator may have seen, but for what is withdrawn; and nothing that a rule forbids is added.
    pub(super) fn check_guardrails(&mut self, written: &Value, owner: &str, action: &Action, now: Duration) {
        let id = unique_id(written);
        let is_left = self.resources.is_leaving(owner) || !self.resources.has(owner);
        let mut wrong = vec![];
        if is_given(action) && !is_left && self.always(now, |seen| seen.hold(owner).is_some()) {
            wrong.push("it breaks a rule of its account".to_owned());
        }
        let is_placed = || self.resources.is_told_of(owner);
        if matches!(action, Action::CreateIdentity(_)) && !is_placed() && self.always(now, |seen| self.are_too_many(&seen.kin(owner))) {
            wrong.push("its namespace has as many as it may have".to_owned());
        }
        if let Action::AddToGroup(_, group) = action
            && self.always(now, |seen| !seen.joins(owner, group.as_str()))
        {
            wrong.push("it is not to be in that group".to_owned());
        }
        if let Action::AttachPolicy(_, policy) | Action::PutPermissionsBoundary(_, policy) = action
            && self.made.get(policy.as_str()).is_some_and(|other| other != owner)
            && self.age(policy.as_str(), now) > GROUND + self.lag
        {
            wrong.push(format!("that was made for {}", self.made[policy.as_str()]));
        }
        let of_before = self.living.get(id).map(|before| vouchers(&before[TRUST])).unwrap_or_default();
        let vouchers: Vec<&str> = vouchers(&written[TRUST]).difference(&of_before).copied().collect();
        if !self.touched.contains_key(id) && vouchers.iter().any(|voucher| self.always(now, |seen| !seen.vouchers(owner).contains(*voucher))) {
            wrong.push(format!("nobody who may declares {vouchers:?}"));
        }
        if matches!(action, Action::DeletePermissionsBoundary(_)) && !is_left && self.is_imposed(id, owner) {
            wrong.push("its account has put it on".to_owned());
        }
        let boundary = written["permissionsBoundary"].as_str().map(str::to_owned);
        if matches!(action, Action::CreateIdentity(_) | Action::PutPermissionsBoundary(..)) {
            let is_own = self.in_view(now, &self.views).any(|seen| seen.own_boundary(owner) == boundary.as_deref());
            if is_own {
                self.imposed.remove(id)
            } else {
                self.imposed.insert(id.to_owned(), now)
            };
        }
        for why in wrong {
            self.violated("guardrails", format!("{action}, of {owner}: {why}"));
        }
    }

    /// Whether this holds of all that the operator may have seen: each kind has a watch of its own, so an account may be seen as it was beside others as they are.
    fn always(&self, now: Duration, holds: impl Fn(&Resources) -> bool) -> bool {
        let views = || self.in_view(now, &self.views);
        let beside = |seen: &Resources, accounts: &Resources| [false, true].iter().all(|of_both| holds(&seen.beside_accounts_of(accounts, *of_both)));
        views().all(&holds) && views().all(|seen| views().all(|accounts| beside(seen, accounts)))
    }

    /// Whether more of these have something in AWS than may.
    fn are_too_many(&self, (kin, most): &(BTreeSet<&str>, Option<u32>)) -> bool {
        let has_one = |key: &&&str| self.living.keys().any(|id| !id.starts_with("arn:") && self.made.get(id).is_some_and(|owner| owner == **key));
        // What was just made does not live yet by what was looked at last.
        most.is_some_and(|most| kin.iter().filter(has_one).count() + 1 > most as usize)
    }

    /// Whether a boundary came on that its resource did not declare, nor has declared since.
    fn is_imposed(&self, id: &str, owner: &str) -> bool {
        let Some(since) = self.imposed.get(id) else { return false };
        let mut reached = false;
        let mut views = self.views.iter().rev().take_while(|(at, _)| !std::mem::replace(&mut reached, at <= since));
        !self.touched.contains_key(id) && views.all(|(_, seen)| seen.own_boundary(owner).is_none())
    }
}

/// Whether an action does more than to withdraw, to cut off or to bound. What assume policies say is looked at where it comes to count.
fn is_given(action: &Action) -> bool {
    let is_own = |name: &str| name.starts_with("rolebridge-") || name == CUT_OFF_POLICY;
    let is_own_policy = |arn: &Arn| arn.as_str().rsplit('/').next().is_some_and(is_own);
    match action {
        Action::CreateIdentity(_) | Action::UpdateRole(..) | Action::RenameUser(..) | Action::AddToGroup(..) => true,
        Action::Tag(tagged, _) | Action::Untag(tagged, _) => matches!(tagged, Tagged::Identity(_)),
        Action::CreatePolicy(policy) => !is_own(policy.name.as_str()),
        Action::PutInlinePolicy(_, name, _) | Action::DeleteInlinePolicy(_, name) => !is_own(name.as_str()),
        Action::CreatePolicyVersion(arn, _) | Action::AttachPolicy(_, arn) | Action::DetachPolicy(_, arn) => !is_own_policy(arn),
        _ => false,
    }
}
