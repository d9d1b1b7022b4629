//! The part of a plan that changes what an identity may do: its policies, its groups and its boundary.

use std::collections::{BTreeMap, BTreeSet};

use super::super::action::Action;
use super::super::canonical::same;
use super::super::document::Document;
use super::super::groups::includes;
use super::super::identity::{Identity, IdentityName, ManagedPolicy};
use super::super::names::{Arn, GroupName, PolicyName, UserName};
use super::super::observed::ObservedPolicy;
use super::super::unmanaged::UnmanagedPolicies;
use super::order::{in_any_order, in_order};
use super::parts::Most;
use super::parts::{Managed, Part};
use super::reach::{Effort, Reach, Says};
use super::shifts::{Fence, Surroundings};

/// A change of what an identity that exists may do.
pub(super) struct Change<'a> {
    /// What is to be there.
    pub(super) wanted: &'a Identity,
    /// What is there.
    pub(super) found: &'a Identity,
    /// What of it stays although it is not wanted.
    pub(super) staying: &'a UnmanagedPolicies<'a>,
    /// What customer-managed policies say.
    pub(super) documents: Documents<'a>,
    /// What there may be at most.
    pub(super) most: Most,
    /// Whether nobody can make use of what it may do, since its trust policy lets nobody in: then nothing is written in several steps for the sake of an
    /// order. What was made a moment ago and is not shown everywhere yet would be taken back by that.
    pub(super) is_idle: bool,
}

/// What customer-managed policies say, by ARN.
#[derive(Clone)]
pub(super) struct Documents<'a> {
    /// Those that are to be there.
    pub(super) wanted: &'a BTreeMap<Arn, ManagedPolicy>,
    /// Those that are there.
    pub(super) found: &'a BTreeMap<Arn, ObservedPolicy>,
    /// Those of them that are the resource's own and are to go.
    pub(super) obsolete: BTreeSet<&'a Arn>,
}

impl Documents<'_> {
    fn says_before(&self, arn: &Arn) -> Option<&Document> {
        self.found.get(arn).map(|found| &found.policy.document)
    }

    fn is_to_say(&self, arn: &Arn) -> Option<&Document> {
        self.wanted.get(arn).map(|wanted| &wanted.document).or_else(|| self.says_before(arn))
    }
}

impl<'a> Change<'a> {
    /// The actions, in order; None where IAM's quotas leave no room for a way that is safe. An `exchange` is an action that lets others see all of it, who
    /// may see neither what was before nor what is to be until it is done: nothing may be missing for that.
    pub(super) fn in_order(&self, exchange: Option<Action>) -> Option<Vec<Action>> {
        let without_a_gap = exchange.is_some();
        let (inline, managed, memberships) = (self.inline(), self.managed(), self.memberships());
        // Where none of them changes, it makes no difference what they say.
        let is_untouched = inline.is_empty() && managed.is_empty() && memberships.is_empty();
        let around = if is_untouched { Surroundings::default() } else { self.surroundings() };
        let managed = managed.into_iter().map(|managed| Part::managed(self.wanted, managed, &around));
        let inline = inline.into_iter().map(|(name, before, after)| Part::inline(self.wanted, name, (before, after), &around));
        let memberships = memberships.into_iter().map(|(action, comes)| Part::group(action, comes, &around));
        let fences = exchange.map(|action| Part::fence(action, Fence::Exchanged)).into_iter().chain(self.boundary());
        // Inline policies have the least room: where either would do, others are written in several steps.
        let parts: Vec<Part<'_>> = fences.chain(inline).chain(managed).chain(memberships).collect();
        let in_order = in_order(&parts, &around.effort, self.found, self.most, without_a_gap)?;
        let at_once = if self.is_idle && !without_a_gap { in_any_order(&parts, self.found, self.most) } else { None };
        Some(at_once.filter(|at_once| at_once.len() < in_order.len()).unwrap_or(in_order))
    }

    fn boundary(&self) -> Option<Part<'_>> {
        let who = &self.wanted.name;
        match (&self.wanted.permissions_boundary, &self.found.permissions_boundary) {
            (Some(boundary), there) if Some(boundary) != there.as_ref() => {
                let put = Action::PutPermissionsBoundary(who.clone(), boundary.clone());
                Some(Part::fence(put, if there.is_some() { Fence::Exchanged } else { Fence::Comes }))
            }
            (None, Some(_)) => Some(Part::fence(Action::DeletePermissionsBoundary(who.clone()), Fence::Goes)),
            _ => None,
        }
    }

    /// The inline policies that are written or deleted: what they say, and what they are to say.
    fn inline(&self) -> Vec<(&PolicyName, Option<&Document>, Option<&Document>)> {
        let (wanted, found) = (&self.wanted.inline_policies, &self.found.inline_policies);
        let differs = |before: Option<&Document>, after: &Document| before.is_none_or(|before| !same(before, after));
        let written = wanted.iter().map(|(name, after)| (name, found.get(name), after)).filter(|(_, before, after)| differs(*before, after));
        let goes = found.iter().filter(|(name, _)| !wanted.contains_key(*name) && !self.staying.inline.contains_key(name));
        written.map(|(name, before, after)| (name, before, Some(after))).chain(goes.map(|(name, before)| (name, Some(before), None))).collect()
    }

    /// The managed policies that are attached, detached or changed. Those that are there come before new ones: so what a plan that was interrupted has not
    /// shared out yet goes where it was to go.
    fn managed(&self) -> Vec<Managed<'_>> {
        let Documents { wanted, found, obsolete } = &self.documents;
        let (before, after) = (&self.found.attached_policies, &self.wanted.attached_policies);
        let (there, new): (Vec<&Arn>, Vec<&Arn>) = wanted.keys().partition(|arn| found.contains_key(*arn));
        let of_others = before.symmetric_difference(after).filter(|arn| !wanted.contains_key(*arn) && !self.staying.attached.contains(arn));
        let managed = |arn: &'a Arn| Managed {
            who: &self.wanted.name,
            arn,
            found: found.get(arn),
            wanted: wanted.get(arn),
            is_own: wanted.contains_key(arn) || obsolete.contains(arn),
            was_attached: before.contains(arn),
            is_attached: after.contains(arn),
        };
        there.into_iter().chain(new).chain(of_others).map(managed).filter(Managed::changes).collect()
    }

    /// The groups that the user joins, and those that it leaves. Where groups are not looked at there is none.
    fn memberships(&self) -> Vec<(Action, bool)> {
        let (IdentityName::User(user), Some(wanted)) = (&self.wanted.name, &self.wanted.groups) else { return vec![] };
        let nowhere = BTreeSet::new();
        let found = self.found.groups.as_ref().unwrap_or(&nowhere);
        let of = |with: &BTreeSet<GroupName>, without: &BTreeSet<GroupName>, make: fn(UserName, GroupName) -> Action, comes: bool| {
            let groups = with.iter().filter(|group| !includes(without, group));
            groups.map(|group| (make(user.clone(), group.clone()), comes)).collect::<Vec<_>>()
        };
        of(wanted, found, Action::AddToGroup, true).into_iter().chain(of(found, wanted, Action::RemoveFromGroup, false)).collect()
    }

    /// What all policies say together, as far as it is known.
    fn surroundings(&self) -> Surroundings {
        let (wanted, found) = (self.wanted, self.found);
        let attached_before = found.attached_policies.iter().filter_map(|arn| self.documents.says_before(arn));
        let staying = self.staying.attached.iter().copied();
        let attached_after = wanted.attached_policies.iter().chain(staying).filter_map(|arn| self.documents.is_to_say(arn));
        let after: Vec<&Document> = wanted.inline_policies.values().chain(self.staying.inline.values().copied()).chain(attached_after).collect();
        let before: Vec<&Document> = found.inline_policies.values().chain(attached_before).collect();
        let allowed = |documents: &[&Document]| -> BTreeSet<Reach> {
            documents.iter().filter_map(|document| Says::of(document)).flat_map(|says| says.allowed()).collect()
        };
        Surroundings {
            allowed_before: allowed(&before),
            allowed_after: allowed(&after),
            denied_throughout: self.denied_throughout(),
            effort: Effort::default(),
        }
    }

    /// What the inline policies deny that are there and stay as they are.
    fn denied_throughout(&self) -> BTreeSet<Reach> {
        let stays = |name: &PolicyName, there: &Document| {
            self.staying.inline.contains_key(name) || self.wanted.inline_policies.get(name).is_some_and(|wanted| same(there, wanted))
        };
        let staying = self.found.inline_policies.iter().filter(|(name, there)| stays(name, there));
        staying.filter_map(|(_, document)| Says::of(document)).flat_map(|says| says.denied()).collect()
    }
}
