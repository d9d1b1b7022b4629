//! The part of a plan that changes what an identity may do, and what of IAM's quotas it takes.

use std::collections::{BTreeMap, BTreeSet};

use super::super::action::{Action, Tagged};
use super::super::assume;
use super::super::canonical::same;
use super::super::desired::Wanted;
use super::super::document::Document;
use super::super::groups::includes;
use super::super::identity::{ASSUME_POLICY, Identity, IdentityName, ManagedPolicy};
use super::super::names::{Arn, GroupName, UserName};
use super::super::observed::{Observed, ObservedPolicy, after};
use super::super::outcome::Problem;
use super::super::permissions::Staying;
use super::super::quotas::{Limits, Quotas};
use crate::api::Reason;

/// A change of what an identity that exists may do.
pub(super) struct Change<'a> {
    /// What is to be there.
    pub(super) wanted: &'a Identity,
    /// What is there.
    pub(super) found: &'a Identity,
    /// What of it stays although it is not wanted.
    pub(super) staying: &'a Staying<'a>,
    /// What customer-managed policies say.
    pub(super) documents: Documents<'a>,
    /// The changes to customer-managed policies.
    pub(super) policies: Vec<Action>,
    /// Those to assume policies that roles move from.
    pub(super) left_by_roles: Vec<Action>,
    /// What the identity may have at most.
    pub(super) limits: Limits,
}

/// What customer-managed policies say, by ARN.
#[derive(Clone, Copy)]
pub(super) struct Documents<'a> {
    /// Those that are to be there.
    pub(super) wanted: &'a BTreeMap<Arn, ManagedPolicy>,
    /// Those that are there.
    pub(super) found: &'a BTreeMap<Arn, ObservedPolicy>,
}

impl Documents<'_> {
    /// Whether what an action puts on an identity, or takes off it, may limit what its other policies allow. A policy of which nothing is known may.
    pub(super) fn may_limit(self, action: &Action, found: &Identity) -> bool {
        let wanted = |arn: &Arn| self.wanted.get(arn).is_none_or(|policy| policy.document.may_deny());
        match action {
            Action::PutInlinePolicy(_, _, document) => document.may_deny(),
            Action::DeleteInlinePolicy(_, name) => found.inline_policies.get(name).is_none_or(Document::may_deny),
            Action::DetachPolicy(_, arn) => self.found.get(arn).is_none_or(|found| found.policy.document.may_deny()),
            // All that is done to one policy stays together.
            Action::CreatePolicy(policy) => wanted(&policy.arn),
            Action::AttachPolicy(_, arn)
            | Action::CreatePolicyVersion(arn, _)
            | Action::DeletePolicyVersion(arn, _)
            | Action::Tag(Tagged::Policy(arn), _)
            | Action::Untag(Tagged::Policy(arn), _) => wanted(arn),
            _ => false,
        }
    }
}

impl Change<'_> {
    /// A first boundary comes before everything else, one that is taken away after everything else. Where one boundary takes the place of another, what
    /// is to go or to change goes before it and what is new or changed comes after it: otherwise the old permissions would stand under the new
    /// boundary, or the new ones under the old, which neither declaration gave. Only the roles of a user stay: they are in both, and what they move from
    /// goes or changes last.
    pub(super) fn plan(self, first: &mut Vec<Action>, middle: &mut Vec<Action>) {
        let who = &self.wanted.name;
        let (put, attach, join) = (self.put(), self.attach(), self.groups(self.wanted, self.found, Action::AddToGroup));
        let removals = self.limits_last(self.removals());
        let (documents, found) = (self.documents, self.found);
        let limits_first = |mut additions: Vec<Action>| {
            additions.sort_by_key(|action| !documents.may_limit(action, found));
            additions
        };
        match (&self.wanted.permissions_boundary, &self.found.permissions_boundary) {
            (Some(boundary), Some(there)) if boundary != there => {
                let roles_move = may_assume(self.wanted);
                let (left_behind, gone): (Vec<_>, Vec<_>) =
                    removals.into_iter().partition(|action| roles_move && is_of_assume_policy(action, self.found));
                let (off, on) = self.renewed();
                let before: Vec<Action> = self.limits_last(gone.into_iter().chain(off).collect());
                let bare = before.iter().fold(self.found.clone(), |identity, action| after(&identity, action));
                let additions = limits_first(self.policies.into_iter().chain(put).chain(attach).chain(join).chain(on).collect());
                let left_behind = self.left_by_roles.into_iter().chain(left_behind).collect();
                middle.extend(before);
                middle.push(Action::PutPermissionsBoundary(who.clone(), boundary.clone()));
                middle.extend(in_order(&bare, additions, left_behind, self.limits));
            }
            (boundary, there) => {
                first.extend(
                    boundary.iter().filter(|_| there.is_none()).map(|boundary| Action::PutPermissionsBoundary(who.clone(), boundary.clone())),
                );
                let additions = limits_first(self.policies.into_iter().chain(put).chain(attach).chain(join).collect());
                let removals = self.left_by_roles.into_iter().chain(removals).collect();
                middle.extend(in_order(self.found, additions, removals, self.limits));
                middle.extend(there.iter().filter(|_| boundary.is_none()).map(|_| Action::DeletePermissionsBoundary(who.clone())));
            }
        }
    }

    fn limits_last(&self, mut removals: Vec<Action>) -> Vec<Action> {
        removals.sort_by_key(|action| self.documents.may_limit(action, self.found));
        removals
    }

    /// Writes the inline policies that are new or changed.
    fn put(&self) -> Vec<Action> {
        let is_there = |name, document| self.found.inline_policies.get(name).is_some_and(|there| same(there, document));
        let changed = self.wanted.inline_policies.iter().filter(|(name, document)| !is_there(*name, *document));
        changed.map(|(name, document)| Action::PutInlinePolicy(self.wanted.name.clone(), name.clone(), document.clone())).collect()
    }

    fn attach(&self) -> Vec<Action> {
        let new = self.wanted.attached_policies.difference(&self.found.attached_policies);
        new.map(|arn| Action::AttachPolicy(self.wanted.name.clone(), arn.clone())).collect()
    }

    /// Takes off what is neither wanted nor stays.
    fn removals(&self) -> Vec<Action> {
        let Self { wanted, found, staying, .. } = self;
        let attached = found.attached_policies.difference(&wanted.attached_policies).filter(|arn| !staying.attached.contains(arn));
        let inline = found.inline_policies.keys().filter(|name| !wanted.inline_policies.contains_key(*name) && !staying.inline.contains_key(name));
        let detach = attached.map(|arn| Action::DetachPolicy(wanted.name.clone(), arn.clone()));
        let leave = self.groups(found, wanted, Action::RemoveFromGroup);
        detach.chain(inline.map(|name| Action::DeleteInlinePolicy(wanted.name.clone(), name.clone()))).chain(leave).collect()
    }

    /// An action for each group that the user is in with the one and not with the other. Where groups are not looked at there is none.
    fn groups(&self, with: &Identity, without: &Identity, make: fn(UserName, GroupName) -> Action) -> Vec<Action> {
        let (IdentityName::User(user), Some(_), Some(with)) = (&self.wanted.name, &self.wanted.groups, &with.groups) else { return vec![] };
        let nowhere = BTreeSet::new();
        let without = without.groups.as_ref().unwrap_or(&nowhere);
        with.iter().filter(|group| !includes(without, group)).map(|group| make(user.clone(), group.clone())).collect()
    }

    /// Takes off what changes, and puts on again what of it is not written anew anyway.
    fn renewed(&self) -> (Vec<Action>, Vec<Action>) {
        let Self { wanted, found, policies, .. } = self;
        let who = &wanted.name;
        let changed_inline = wanted.inline_policies.iter().filter(|(name, document)| {
            name.as_str() != ASSUME_POLICY && found.inline_policies.get(*name).is_some_and(|there| !same(there, document))
        });
        let is_new = |action: &Action, arn: &Arn| match action {
            Action::CreatePolicyVersion(of, _) => of == arn,
            Action::CreatePolicy(policy) => policy.arn == *arn,
            _ => false,
        };
        let stay = wanted.attached_policies.intersection(&found.attached_policies).filter(|arn| assume::number(found, arn).is_none());
        let changed: Vec<&Arn> = stay.filter(|arn| policies.iter().any(|action| is_new(action, arn))).collect();
        let off = changed_inline.map(|(name, _)| Action::DeleteInlinePolicy(who.clone(), name.clone()));
        let off = off.chain(changed.iter().map(|arn| Action::DetachPolicy(who.clone(), (*arn).clone()))).collect();
        (off, changed.into_iter().map(|arn| Action::AttachPolicy(who.clone(), arn.clone())).collect())
    }
}

/// Additions before removals, as far as the quotas hold both at once. Where they do not, as much of what is to go anyway goes before an addition as that
/// needs, and no more. What roles move from never goes before what they move to.
fn in_order(found: &Identity, mut additions: Vec<Action>, mut removals: Vec<Action>, limits: Limits) -> Vec<Action> {
    let limits = limits.max(Limits::taken_by(found));
    let mut now = found.clone();
    let mut ordered = vec![];
    let mut take = |action: Action, now: &mut Identity| {
        *now = after(now, &action);
        ordered.push(action);
    };
    while !additions.is_empty() {
        if let Some(fits) = additions.iter().position(|action| Limits::taken_by(&after(&now, action)).is_within(limits)) {
            take(additions.remove(fits), &mut now);
            continue;
        }
        let over = |identity: &Identity, next: &Action| Limits::taken_by(&after(identity, next)).beyond(limits);
        let roles_to_come = additions.iter().any(|action| gives_roles(action, found));
        let may_go = |action: &Action| !(roles_to_come && is_of_assume_policy(action, found));
        let frees = |action: &Action, next: &Action| over(&after(&now, action), next) < over(&now, next);
        let first = additions.iter().find_map(|next| removals.iter().position(|action| may_go(action) && frees(action, next)));
        match first {
            Some(first) => take(removals.remove(first), &mut now),
            None => break,
        }
    }
    ordered.into_iter().chain(additions).chain(removals).collect()
}

/// Whether an identity has an assume policy.
fn may_assume(identity: &Identity) -> bool {
    identity.inline_policies.keys().any(|name| name.as_str() == ASSUME_POLICY) || assume::attached(identity).next().is_some()
}

/// Whether an action lets a user assume roles, or may.
fn gives_roles(action: &Action, user: &Identity) -> bool {
    match action {
        Action::AttachPolicy(_, arn) | Action::CreatePolicyVersion(arn, _) => assume::number(user, arn).is_some(),
        Action::PutInlinePolicy(_, name, _) => name.as_str() == ASSUME_POLICY,
        _ => false,
    }
}

/// Whether an action takes an assume policy off a user.
fn is_of_assume_policy(action: &Action, user: &Identity) -> bool {
    match action {
        Action::DetachPolicy(_, arn) => assume::number(user, arn).is_some(),
        Action::DeleteInlinePolicy(_, name) => name.as_str() == ASSUME_POLICY,
        _ => false,
    }
}

/// What of the wanted state IAM's quotas do not hold. They forbid only to add: what is there already was let in once, and may always become less.
pub(super) fn excesses(quotas: &Quotas, wanted: &Wanted, observed: &Observed, staying: &Staying<'_>) -> Vec<Problem> {
    let identity = &wanted.identity;
    let (who, limits) = (&identity.name, quotas.limits(&identity.name));
    let found = observed.identity.as_ref().map(|found| &found.identity);
    // Where one boundary takes the place of another, what changes is taken off and put on again: then it is an addition.
    let boundary_there = found.and_then(|found| found.permissions_boundary.as_ref());
    let renews = identity.permissions_boundary.is_some() && boundary_there.is_some() && identity.permissions_boundary.as_ref() != boundary_there;
    let is_same = |arn: &Arn, document: &Document| observed.policies.get(arn).is_some_and(|found| same(&found.policy.document, document));
    let mut excesses = vec![];
    let (attached, others) = (identity.attached_policies.len(), staying.attached.len());
    let is_renewed = |arn: &Arn| renews && wanted.policies.get(arn).is_some_and(|policy| !is_same(arn, &policy.document));
    let is_attached = |arn: &Arn| found.is_some_and(|found| found.attached_policies.contains(arn)) && !is_renewed(arn);
    if attached + others > limits.attached_policies && !identity.attached_policies.iter().all(is_attached) {
        let for_roles = assume::attached(identity).count();
        let parts = [(attached - for_roles, "are declared"), (for_roles, "hold the roles that it may assume"), (others, "were put there by others")];
        let parts: Vec<String> = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        let (all, quota) = (attached + others, limits.attached_policies);
        excesses.push(format!("{who} would have {all} attached policies, and IAM lets it have {quota}: {}. Attach fewer", parts.join(", ")));
    }
    let sizes = |documents: &mut dyn Iterator<Item = &Document>| documents.map(Document::size).sum::<usize>();
    let (declared, others) = (sizes(&mut identity.inline_policies.values()), sizes(&mut staying.inline.values().copied()));
    let there = |name| found.and_then(|found| found.inline_policies.get(name));
    let grows = identity.inline_policies.iter().any(|(name, document)| match there(name) {
        Some(there) => document.size() > there.size() || (renews && !same(there, document)),
        None => true,
    });
    if declared + others > limits.inline_policies_size && grows {
        let own = identity.inline_policies.iter().map(|(name, document)| (name.as_str(), document.size()));
        let parts: Vec<String> =
            own.chain((others > 0).then_some(("those of others", others))).map(|(what, size)| format!("{what} {size}")).collect();
        let reserve =
            if matches!(who, IdentityName::User(_)) { format!(" beside {} for cutting it off", assume::CUT_OFF_ROOM) } else { String::new() };
        let (all, quota) = (declared + others, limits.inline_policies_size);
        excesses.push(format!(
            "the inline policies of {who} would have {all} characters together, and IAM lets them have {quota}{reserve}: {}. Shorten them, or make \
             customer-managed policies of some",
            parts.join(", ")
        ));
    }
    let taken = Limits::taken_by(identity);
    let is_in = |group: &GroupName| found.and_then(|found| found.groups.as_ref()).is_some_and(|groups| includes(groups, group));
    if taken.groups > limits.groups && !identity.groups.iter().flatten().all(is_in) {
        excesses.push(format!("{who} would be in {} groups, and IAM lets it be in {}: name fewer in spec.groups", taken.groups, limits.groups));
    }
    let large =
        wanted.policies.values().filter(|policy| policy.document.size() > quotas.managed_policy_size && !is_same(&policy.arn, &policy.document));
    excesses.extend(large.map(|policy| {
        let (size, quota) = (policy.document.size(), quotas.managed_policy_size);
        format!("the document of policy {} has {size} characters, and IAM lets it have {quota}: share it out to several policies", policy.arn)
    }));
    excesses
        .into_iter()
        .map(|message| Problem::new(Reason::QuotaExceeded, format!("{message}, or have AWS raise the quota; nothing of it was written")))
        .collect()
}
