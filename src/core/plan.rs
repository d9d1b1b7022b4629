//! The plan: the ordered list of actions from what AWS has to what is wanted.
//!
//! It is the only thing that is applied. It is made only for objects that are this resource's own ([`Owner::check`]); an object of anybody
//! else's gives a problem and no action. Every prefix of a plan is a state that is safe to stop in:
//! - what narrows trust comes first, what widens it last, so that nobody assumes a role whose permissions are still being changed;
//! - permissions are added before others are taken away, so that what both the old and the new declaration allow is never absent; only where one
//!   permissions boundary takes the place of another, or IAM's quotas do not hold the old and the new at once, does something that is to go do so earlier;
//! - what denies, or limits like a boundary, comes before what it is to limit, and goes after what it limited, whether policies come, go or say something
//!   else (`order`); a policy of others, or a group, may allow and deny anything. Where no order of single writes does that, a policy is written in several;
//! - an object that others depend on is made before them and deleted after them.
//!
//! [`Owner::check`]: super::ownership::Owner::check

mod devices;
mod excesses;
mod order;
mod parts;
mod permissions;
mod reach;
mod shifts;
mod trust;
mod wording;
mod writes;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::action::{Action, Dependent, Receipt};
use super::assume;
use super::canonical::same;
use super::desired::Desired;
use super::document::Document;
use super::identity::{ASSUME_POLICY, CUT_OFF_POLICY, Identity, IdentityName, ManagedPolicy};
use super::listed::LISTED;
use super::names::{Arn, PolicyName, same_name};
use super::observed::{Dependents, Observed, ObservedIdentity, ObservedPolicy, Scope, after};
use super::outcome::Problem;
use super::quotas::{Limits, Quotas, more_trust_room};
use super::unmanaged::{UnmanagedPolicies, was_made_for};
use super::wanted::{Wanted, deny_all_policy};

use super::trust::{Trust, deny_all_trust};
use parts::Most;
use rolebridge_api::Reason;
use trust::{Exchange, Writes};
use writes::{delete_policy, managed_policy, settings};

/// An ordered list of actions. Empty where AWS is as wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The actions, in the order in which they are carried out.
    pub actions: Vec<Action>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.actions.is_empty() {
            return f.write_str("nothing to do");
        }
        self.actions.iter().enumerate().try_for_each(|(i, action)| write!(f, "{}{action}", if i == 0 { "" } else { "\n" }))
    }
}

/// Plans the way from what AWS has to what is wanted.
///
/// # Errors
/// Where an object is somebody else's, or IAM has no way to change what differs. There is no plan then: never half a change.
pub fn plan(desired: &Desired, observed: &Observed) -> Result<Plan, Vec<Problem>> {
    let Some(rename) = renamed(desired, observed) else { return plan_by_name(desired, observed) };
    let mut by_name = observed.clone();
    by_name.record(&rename, &Receipt::Done);
    let plan = plan_by_name(desired, &by_name)?;
    Ok(Plan { actions: [rename].into_iter().chain(plan.actions).collect() })
}

/// What gives a user its name back that somebody renamed or moved: the same user by its unique ID.
fn renamed(desired: &Desired, observed: &Observed) -> Option<Action> {
    let found = observed.identity.as_ref().filter(|found| desired.pinned.as_ref() == Some(&found.id))?;
    let (IdentityName::User(there), IdentityName::User(wanted)) = (&found.identity.name, &desired.identity.name) else { return None };
    let differs = there.as_str() != wanted.as_str() || found.identity.path != desired.identity.path;
    differs.then(|| Action::RenameUser(there.clone(), wanted.clone(), desired.identity.path.clone()))
}

fn plan_by_name(desired: &Desired, observed: &Observed) -> Result<Plan, Vec<Problem>> {
    let staying = UnmanagedPolicies::of(desired, observed);
    let Wanted { identity: wanted, policies: wanted_policies } = check(desired, observed, &staying)?;
    let found = observed.identity.as_ref().map(|f| &f.identity);
    let is_wanted = |arn: &Arn| wanted.attached_policies.contains(arn) || wanted_policies.contains_key(arn);
    let obsolete = observed.policies.values().filter(|found| !is_wanted(&found.policy.arn) && was_made_for(desired, found));
    // What is to go is known by the status alone. Where that has no room for more, what is off already goes before anything is made.
    let is_crowded = observed.policies.keys().chain(wanted_policies.keys()).collect::<BTreeSet<_>>().len() > LISTED;
    let is_off = |policy: &ObservedPolicy| found.is_none_or(|found| !found.attached_policies.contains(&policy.policy.arn));
    let (crowding, obsolete): (Vec<_>, Vec<_>) = obsolete.partition(|policy| is_crowded && is_off(policy));
    let mut actions = vec![];
    crowding.into_iter().for_each(|policy| delete_policy(policy, &[], &mut actions));
    match found {
        None => create(&wanted, &wanted_policies, observed, &mut actions),
        Some(found) => {
            let documents = permissions::Documents {
                wanted: &wanted_policies,
                found: &observed.policies,
                obsolete: obsolete.iter().map(|found| &found.policy.arn).collect(),
            };
            let most = Most::of(&desired.quotas, found);
            let in_force = desired.trust_in_force(observed);
            let is_idle = in_force.as_ref().is_some_and(|trust| trust.rules.is_empty() && !trust.has_unmodelled_statements);
            let change = permissions::Change { wanted: &wanted, found, staying: &staying, documents, most, is_idle };
            actions = changed(desired, &change, in_force, actions)?;
        }
    }
    let mut deletions = vec![];
    obsolete.into_iter().for_each(|policy| delete_policy(policy, &actions, &mut deletions));
    Ok(Plan { actions: actions.into_iter().chain(deletions).collect() })
}

/// Changes an identity that exists: who may assume it, what it may do, and its settings. `in_force` is what its trust policy lets in. What makes room comes before anything that is new.
fn changed(
    desired: &Desired,
    change: &permissions::Change<'_>,
    in_force: Option<Trust>,
    makes_room: Vec<Action>,
) -> Result<Vec<Action>, Vec<Problem>> {
    let (wanted, found) = (change.wanted, change.found);
    let no_way = || vec![excesses::no_way(&desired.quotas, found, wanted)];
    let mut others = change.in_order(None).ok_or_else(no_way)?;
    let around = settings(wanted, found);
    let Some(exchange) = Exchange::of(found, wanted, in_force.zip(desired.arn.account_id()), desired.quotas.trust_policy_size) else {
        return Ok(makes_room.into_iter().chain(others).chain(around).collect());
    };
    let mut writes = exchange.writes(!(others.is_empty() && around.is_empty()));
    if writes == Writes::TooLarge {
        // Whoever comes in sees the permissions that old and new have in common, where nothing else of the role makes a difference.
        if let Some(all) = change.in_order(Some(exchange.update())).filter(|_| !around.iter().any(|action| matters(action, found))) {
            return Ok(makes_room.into_iter().chain(all).chain(around).collect());
        }
        writes = exchange.writes_for_some(desired.trust.as_deref().unwrap_or_default()).map_err(|problem| vec![problem])?;
    }
    others.extend(around);
    let (first, last) = match writes {
        Writes::First => (Some(exchange.update()), None),
        Writes::Twice(between) => (Some(exchange.update_to(&between)), Some(exchange.update())),
        Writes::Last | Writes::TooLarge => (None, Some(exchange.update())),
    };
    Ok(first.into_iter().chain(makes_room).chain(others).chain(last).collect())
}

/// Whether a setting makes a difference to who is in the role. A description does not.
fn matters(setting: &Action, found: &Identity) -> bool {
    let seconds = found.role.as_ref().map(|role| role.max_session_duration);
    !matches!(setting, Action::UpdateRole(_, _, wanted) if Some(*wanted) == seconds)
}

/// Whether AWS is as wanted, so that nothing is to be done.
pub fn is_settled(desired: &Desired, observed: &Observed) -> bool {
    plan(desired, observed).is_ok_and(|plan| plan.actions.is_empty())
}

/// Whether what bears the name in AWS, if anything, is the resource's own.
pub fn is_own(desired: &Desired, observed: &Observed) -> bool {
    observed.identity.as_ref().is_none_or(|found| desired.owner.check("", &found.identity.tags, &found.id, desired.pinned.as_ref()).is_ok())
}

/// What is wanted, where there is nothing that forbids to bring it about.
fn check(desired: &Desired, observed: &Observed, staying: &UnmanagedPolicies<'_>) -> Result<Wanted, Vec<Problem>> {
    let foreign = observed.identity.as_ref().and_then(|found| check_identity(desired, found).err());
    let wanted = match desired.wanted(observed) {
        Ok(wanted) => wanted,
        Err(problem) => return Err(foreign.into_iter().chain([problem]).chain(check_policies(desired, observed, &desired.policies)).collect()),
    };
    let mut problems: Vec<Problem> = foreign.into_iter().chain(check_trust(desired, observed, &wanted)).collect();
    problems.extend(check_policies(desired, observed, &wanted.policies));
    problems.extend(excesses::excesses(&desired.quotas, &wanted, observed, staying));
    if problems.is_empty() { Ok(wanted) } else { Err(problems) }
}

/// What keeps customer-managed policies from being made or changed.
fn check_policies(desired: &Desired, observed: &Observed, policies: &BTreeMap<Arn, ManagedPolicy>) -> Vec<Problem> {
    let check = |(arn, wanted): (&Arn, &ManagedPolicy)| {
        let found = observed.policies.get(arn)?;
        let is_foreign = desired.owner.check(&format!("policy {}", found.policy.arn), &found.policy.tags, &found.id, None).err();
        is_foreign.or_else(|| {
            let message = format!("the description of policy {arn} cannot be changed in IAM: give the policy another name");
            (found.policy.description != wanted.description).then(|| Problem::new(Reason::InvalidSpec, message))
        })
    };
    let spelling = policies.keys().filter_map(|arn| check_spelling(arn, desired, observed));
    policies.iter().filter_map(check).chain(spelling).collect()
}

/// IAM tells no two names of policies apart by their case, so a policy cannot be made beside one of ours that is to go.
fn check_spelling(wanted: &Arn, desired: &Desired, observed: &Observed) -> Option<Problem> {
    let of_same_name = |found: &&ObservedPolicy| found.policy.arn != *wanted && same_name(found.policy.arn.as_str(), wanted.as_str());
    let found = observed.policies.values().filter(|found| was_made_for(desired, found)).find(of_same_name)?;
    let (there, to_be) = (&found.policy.name, wanted.iam_entity()?.name);
    Some(Problem::new(
        Reason::InvalidSpec,
        format!("policy {there} is there, and to IAM {to_be} is the same name: write it as {there}, or give it another name"),
    ))
}

/// Whether the trust policy has room. One that is there has it, and so has one that is no larger.
fn check_trust(desired: &Desired, observed: &Observed, wanted: &Wanted) -> Option<Problem> {
    let to_be = &wanted.identity.role.as_ref()?.trust_policy;
    let there = observed.identity.as_ref().and_then(|found| found.identity.role.as_ref());
    let (size, quota) = (to_be.size(), desired.quotas.trust_policy_size);
    (size > quota && there.is_none_or(|there| size > there.trust_policy.surely_takes())).then(|| {
        let root = if desired.names_principals_of_accounts() { ", or have an entry trust a whole account (principal: AccountRoot)" } else { "" };
        let fix = format!("{}name fewer sources{root}", more_trust_room(quota));
        Problem::new(
            Reason::QuotaExceeded,
            format!(
                "spec.trust: the trust policy would have {size} characters, and the account lets it have {quota}: {fix}. Until then nobody is added"
            ),
        )
    })
}

fn check_identity(desired: &Desired, found: &ObservedIdentity) -> Result<(), Problem> {
    let name = &found.identity.name;
    desired.owner.check(&name.to_string(), &found.identity.tags, &found.id, desired.pinned.as_ref())?;
    if found.identity.path != desired.identity.path || name.as_str() != desired.identity.name.as_str() {
        let (there, wanted) =
            (format!("{}{}", found.identity.path, name.as_str()), format!("{}{}", desired.identity.path, desired.identity.name.as_str()));
        return Err(Problem::new(
            Reason::Conflict,
            format!(
                "{} {there} exists, and {wanted} cannot be made beside it: names are unique without regard to case and path. Choose another name, or delete it in AWS if nobody needs it.",
                name.kind()
            ),
        ));
    }
    Ok(())
}

fn create(wanted: &Identity, policies: &BTreeMap<Arn, ManagedPolicy>, observed: &Observed, actions: &mut Vec<Action>) {
    // Those that are there before new ones: so what a plan that was interrupted has not shared out yet goes where it was to go.
    let (there, new): (Vec<_>, Vec<_>) = policies.values().partition(|policy| observed.policies.contains_key(&policy.arn));
    there.into_iter().chain(new).for_each(|policy| managed_policy(policy, observed.policies.get(&policy.arn), actions));
    let mut made = wanted.clone();
    let mut last = vec![];
    // Of several policies one may limit what another allows: nobody comes in before all of them are there.
    let has_several = wanted.inline_policies.len() + wanted.attached_policies.len() > 1;
    if let (true, IdentityName::Role(name), Some(role)) = (has_several, &wanted.name, &mut made.role)
        && !same(&role.trust_policy, &deny_all_trust())
    {
        last.push(Action::UpdateTrustPolicy(name.clone(), std::mem::replace(&mut role.trust_policy, deny_all_trust())));
    }
    actions.push(Action::CreateIdentity(Box::new(made)));
    let inline = wanted.inline_policies.iter().map(|(name, document)| Action::PutInlinePolicy(wanted.name.clone(), name.clone(), document.clone()));
    actions.extend(inline);
    actions.extend(wanted.attached_policies.iter().map(|arn| Action::AttachPolicy(wanted.name.clone(), arn.clone())));
    if let IdentityName::User(user) = &wanted.name {
        actions.extend(wanted.groups.iter().flatten().map(|group| Action::AddToGroup(user.clone(), group.clone())));
    }
    actions.extend(last);
}

/// How far a removal may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionPhase {
    /// Cut off only: others still have to let go.
    CutOff,
    /// Cut off and delete.
    Delete,
}

/// What a removal needs to know of the resource, which may be too broken by then for [`Desired`] to be built.
#[derive(Clone, Debug, PartialEq)]
pub struct DeletionTarget {
    /// Whose the objects are.
    pub owner: super::ownership::Owner,
    /// The unique ID that the resource's status has, if any.
    pub pinned: Option<super::names::UniqueID>,
    /// The user or role.
    pub name: IdentityName,
    /// The customer-managed policies that the resource has or had.
    pub policies: BTreeSet<Arn>,
    /// How much its account lets it have: what denies everything to a user must find room.
    pub quotas: Quotas,
}

impl DeletionTarget {
    /// What is read of AWS for the removal. What else keeps the identity from being deleted is read by itself.
    pub fn scope(&self) -> Scope {
        Scope { name: Some(self.name.clone()), policies: self.policies.clone(), groups: false, pinned: self.pinned.clone() }
    }
}

/// Plans the removal of what a resource owns. What is somebody else's is left as it is.
///
/// Beside the plan stands what keeps the identity from being deleted, if anything: the plan then goes as far as cutting it off.
pub fn plan_removal(removed: &DeletionTarget, observed: &Observed, dependents: &Dependents, how_far: DeletionPhase) -> (Plan, Option<Problem>) {
    let mut actions = vec![];
    if let Some(found) = &observed.identity
        && let Some(problem) = disowned(removed, found)
    {
        return (Plan::default(), Some(problem));
    }
    let ours = |found: &ObservedIdentity| removed.owner.check("", &found.identity.tags, &found.id, removed.pinned.as_ref()).is_ok();
    let policies = own_policies(removed, observed);
    if let Some(found) = observed.identity.as_ref().filter(|found| ours(found)) {
        cut_off(&found.identity, &removed.quotas, &mut actions);
        if how_far == DeletionPhase::Delete {
            if let Some(problem) = blocked(&found.identity, dependents) {
                return (Plan { actions }, Some(problem));
            }
            let cut_off = actions.iter().fold(found.identity.clone(), |identity, action| after(&identity, action));
            match emptied(&cut_off, observed, &policies, &removed.quotas) {
                Ok(emptied) => delete_identity(&cut_off, dependents, emptied, &mut actions),
                Err(problem) => return (Plan { actions }, Some(problem)),
            }
        }
    }
    if how_far == DeletionPhase::Delete {
        let before = actions.clone();
        policies.into_iter().for_each(|policy| delete_policy(policy, &before, &mut actions));
    }
    (Plan { actions }, None)
}

/// The customer-managed policies that go with an identity.
pub(super) fn own_policies<'a>(removed: &'a DeletionTarget, observed: &'a Observed) -> Vec<&'a ObservedPolicy> {
    let is_own = |found: &&ObservedPolicy| removed.owner.check("", &found.policy.tags, &found.id, None).is_ok();
    policies_of(removed, observed).filter(is_own).collect()
}

/// The customer-managed policies that bear the names of those that a resource has or had, whosever they are.
pub(super) fn policies_of<'a>(removed: &'a DeletionTarget, observed: &'a Observed) -> impl Iterator<Item = &'a ObservedPolicy> {
    let attached: BTreeSet<&Arn> = observed.identity.iter().flat_map(|found| assume::attached(&found.identity)).collect();
    let is_among = move |found: &&ObservedPolicy| removed.policies.contains(&found.policy.arn) || attached.contains(&found.policy.arn);
    observed.policies.values().filter(is_among)
}

/// Takes all policies off an identity that is cut off, but for what cuts a user off.
fn emptied(identity: &Identity, observed: &Observed, own: &[&ObservedPolicy], quotas: &Quotas) -> Result<Vec<Action>, Problem> {
    let mut bare = Identity { attached_policies: BTreeSet::new(), ..identity.clone() };
    bare.inline_policies.retain(|name, _| matches!(identity.name, IdentityName::User(_)) && name.as_str() == CUT_OFF_POLICY);
    let obsolete = own.iter().map(|found| &found.policy.arn).collect();
    let documents = permissions::Documents { wanted: &BTreeMap::new(), found: &observed.policies, obsolete };
    let staying = UnmanagedPolicies::default();
    let change =
        permissions::Change { wanted: &bare, found: identity, staying: &staying, documents, most: Most::of(quotas, identity), is_idle: false };
    change.in_order(None).ok_or_else(|| excesses::no_way(quotas, identity, &bare))
}

/// Something that we made and that does not carry our tags any more is neither deleted nor silently left behind.
fn disowned(removed: &DeletionTarget, found: &ObservedIdentity) -> Option<Problem> {
    let problem = removed.owner.check(&found.identity.name.to_string(), &found.identity.tags, &found.id, removed.pinned.as_ref()).err()?;
    (removed.pinned.as_ref() == Some(&found.id)).then_some(problem)
}

fn blocked(identity: &Identity, dependents: &Dependents) -> Option<Problem> {
    let names = dependents.instance_profiles.iter().cloned().collect::<Vec<_>>().join(", ");
    (!names.is_empty()).then(|| {
        let message = format!("{} is in the instance profile {names}, which Rolebridge did not make: remove the role from it in AWS; the deletion then goes on by itself", identity.name);
        Problem::new(Reason::DeletionBlocked, message)
    })
}

fn cut_off(identity: &Identity, quotas: &Quotas, actions: &mut Vec<Action>) {
    match (&identity.name, &identity.role) {
        (IdentityName::Role(name), Some(role)) if !same(&role.trust_policy, &deny_all_trust()) => {
            actions.push(Action::UpdateTrustPolicy(name.clone(), deny_all_trust()));
        }
        (IdentityName::User(_), _) => {
            // A trust policy in the user's own account suffices by itself, so taking the assume policy away is not enough; a deny is.
            let Ok(name) = CUT_OFF_POLICY.parse::<PolicyName>() else { return };
            if identity.inline_policies.get(&name).is_some_and(|there| same(there, &deny_all_policy())) {
                return;
            }
            let displaced = displaced(identity, &name, quotas);
            actions.extend(displaced.into_iter().map(|displaced| Action::DeleteInlinePolicy(identity.name.clone(), displaced.clone())));
            actions.push(Action::PutInlinePolicy(identity.name.clone(), name, deny_all_policy()));
        }
        _ => {}
    }
}

/// The inline policies that make room for the deny where others have filled the quota, in the order in which they go: ours first, which does nothing but
/// allow, and those that deny something last. They go with the user anyway.
fn displaced<'a>(identity: &'a Identity, deny: &PolicyName, quotas: &Quotas) -> Vec<&'a PolicyName> {
    let replaced = identity.inline_policies.get(deny).map_or(0, Document::size);
    let quota = quotas.inline_policies_size(&identity.name);
    let taken = Limits::taken_by(identity).inline_policies_size.saturating_sub(replaced);
    let lacking = (taken + deny_all_policy().size()).saturating_sub(quota);
    let mut others: Vec<_> = identity.inline_policies.iter().filter(|(name, _)| *name != deny).collect();
    // What nobody can read may take all that the others leave. It makes no room for that: it may deny something, and IAM may have shown all of it.
    let at_worst = if others.iter().any(|(_, document)| document.surely_takes() < document.size()) { deny_all_policy().size() } else { 0 };
    others.sort_by_key(|(name, document)| (name.as_str() != ASSUME_POLICY, document.may_deny()));
    let mut made = 0;
    let is_due = |(_, document): &(&PolicyName, &Document)| {
        let is_due = made < if document.may_deny() { lacking } else { lacking.max(at_worst) };
        made += if is_due { document.size() } else { 0 };
        is_due
    };
    others.into_iter().filter(is_due).map(|(name, _)| name).collect()
}

fn delete_identity(identity: &Identity, dependents: &Dependents, emptied: Vec<Action>, actions: &mut Vec<Action>) {
    if let IdentityName::User(name) = &identity.name {
        actions.extend(devices::tell(identity, &dependents.of_user));
        let of_user: BTreeSet<Dependent> = dependents.of_user.iter().cloned().chain(devices::told(identity)).collect();
        actions.extend(of_user.into_iter().map(|what| Action::RemoveDependent(name.clone(), what)));
    }
    actions.extend(emptied);
    // The deny goes last of the policies, so that the user stays cut off until it is gone.
    if let (IdentityName::User(_), Ok(deny)) = (&identity.name, CUT_OFF_POLICY.parse()) {
        actions.push(Action::DeleteInlinePolicy(identity.name.clone(), deny));
    }
    actions.push(Action::DeleteIdentity(identity.name.clone()));
}
