//! What is to be there in AWS, given what a resource wants and what is there.

use std::collections::{BTreeMap, BTreeSet};

use super::assume::{self, Allocation, Capacity, Found, allocate};
use super::desired::{Desired, too_many};
use super::document::{Document, Statement};
use super::grants::{AssumableRole, Grant, Intent};
use super::groups;
use super::guardrails::Guard;
use super::identity::{ASSUME_POLICY, CUT_OFF_POLICY, Identity, IdentityName, ManagedPolicy};
use super::names::{AccountID, Arn, PolicyName, UniqueID};
use super::observed::{Observed, ObservedPolicy};
use super::ours::Ours;
use super::outcome::Problem;
use super::ownership::Owner;
use super::placement::ResolvedAccount;
use super::quotas::{Limits, Quotas};
use super::trust::{Principal, Trust, TrustRule, trust_policy, without_lesser};
use super::unmanaged::UnmanagedPolicies;

/// What is to be there, given what is.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The user or role.
    pub identity: Identity,
    /// Its customer-managed policies, by ARN.
    pub policies: BTreeMap<Arn, ManagedPolicy>,
}

/// What a resource still says of its user or role while the rest of its declaration cannot be carried out.
pub struct Remaining {
    /// Whose the objects are.
    pub owner: Owner,
    /// The unique ID of what was made for it.
    pub pinned: UniqueID,
    /// ARN of the user or role.
    pub arn: Arn,
    /// Entries of a role's trust policy; None for a user.
    pub trust: Option<Vec<Vec<Grant>>>,
    /// The roles that the user or role may assume.
    pub assumes: Vec<AssumableRole>,
    /// How much the account lets it have.
    pub quotas: Quotas,
    /// The trust policy that was written so lately that IAM may show the one before.
    pub written_trust: Option<Document>,
    /// The permissions boundaries that the account may have put on, or puts on now.
    pub imposed: BTreeSet<Arn>,
    /// What is told of policies and boundary that the resource has put on itself.
    pub ours: Ours,
    /// The one that is put on where there is none.
    pub boundary: Option<Arn>,
    /// Why nobody is to come into the role, or the user is to do nothing, if so.
    pub cut_off: Option<Problem>,
}

/// How far a user or role is held back whose declaration cannot be carried out: what is withdrawn ends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restraint {
    /// Whether, besides, what has no permissions boundary gets the one that its account puts on all: that narrows.
    pub is_bounded: bool,
    /// Why, besides, it is cut off, if it is.
    pub cut_off: Option<Problem>,
}

impl Restraint {
    /// What follows from what is in the way of a declaration in this account.
    pub fn given(problems: &[Problem], at: &ResolvedAccount) -> Self {
        let violation = problems.iter().find(|problem| problem.is_violation()).filter(|_| Guard::of(at).disables());
        Self { is_bounded: true, cut_off: violation.cloned() }
    }
}

impl Desired {
    /// What is to be there, given what is. Grants that are merely kept are in it only where they are there already, and roles stay in the assume policy
    /// where they stand.
    ///
    /// # Errors
    /// [`Reason::QuotaExceeded`] where a user has more roles than its assume policies hold beside what stands in them.
    pub fn wanted(&self, observed: &Observed) -> Result<Wanted, Problem> {
        let found = observed.identity.as_ref().map(|f| &f.identity);
        let mut wanted = Wanted { identity: self.identity.clone(), policies: self.policies.clone() };
        if let (Some(role), Some(trust)) = (&mut wanted.identity.role, &self.trust) {
            // A policy that is there has room, however large it is.
            let there = found.and_then(|found| found.role.as_ref()).map_or(0, |role| role.trust_policy.surely_takes());
            let capacity = self.quotas.trust_policy_size.max(there);
            let there = self.trust_in_force(observed);
            role.trust_policy = trust_to_be(trust, there.as_ref(), capacity, self.arn.account_id().as_ref());
        }
        if let Some(memberships) = &self.memberships {
            let there = found.and_then(|f| f.groups.clone()).unwrap_or_default();
            wanted.identity.groups = Some(groups::joined(memberships, &there));
        }
        if wanted.identity.permissions_boundary.is_none() {
            // To take a boundary off would widen, which nobody declares by no longer putting it on all; nor does anybody where others have put it on.
            let stays = |there: &Arn| self.is_imposed(there) || !self.ours.boundaries.contains(there);
            wanted.identity.permissions_boundary = found.and_then(|f| f.permissions_boundary.clone()).filter(stays);
        }
        if !self.has_assume_policies {
            let found = Found::of(&self.identity, &self.owner, observed);
            let roles = standing_roles(&self.assumes, &found, self.is_behind);
            let capacity = self.capacity(observed);
            let shares =
                allocate(&roles, &found, capacity).map_err(|excess| too_many(&self.identity.name, roles.len(), excess.roles, capacity.shards))?;
            wanted.put_assume_policies(&self.arn, &shares);
        }
        Ok(wanted)
    }

    /// What the other policies of the identity leave for its assume policies.
    fn capacity(&self, observed: &Observed) -> Capacity {
        let staying = UnmanagedPolicies::of(self, observed);
        let declared = Limits::taken_by(&self.identity);
        let taken = Limits {
            inline_policies_size: declared.inline_policies_size + staying.inline.into_values().map(Document::size).sum::<usize>(),
            attached_policies: declared.attached_policies + staying.attached.len(),
            ..declared
        };
        Capacity::beside(taken, self.quotas.limits(&self.identity.name))
    }

    /// What is wanted of an identity whose declaration cannot be carried out: that it stays as it is, less the grants that are withdrawn, or all of them where
    /// it is cut off. Narrowing goes on whatever check fails; nothing is added.
    pub fn held_back(remaining: Remaining, found: &Observed) -> Option<Self> {
        let Remaining { owner, pinned, arn, trust, assumes, quotas, written_trust, imposed, ours, boundary, cut_off } = remaining;
        let mut identity = found.identity.as_ref()?.identity.clone();
        identity.permissions_boundary = identity.permissions_boundary.or(boundary);
        let kept = |intent| if intent == Intent::Grant { Intent::Freeze } else { intent };
        let grant = |g: Grant| match &cut_off {
            None => Grant { intent: kept(g.intent), ..g },
            Some(problem) => Grant { intent: Intent::Revoke, problem: Some(problem.clone()), ..g },
        };
        let trust = trust.map(|entries| entries.into_iter().map(|entry| entry.into_iter().map(grant).collect()).collect());
        // A policy that is somebody else's is a conflict for those who want it; here nothing is wanted of it.
        let is_ours = |policy: &ObservedPolicy| owner.check("policy", &policy.policy.tags, &policy.id, None).is_ok();
        let mut policies: BTreeMap<Arn, ManagedPolicy> =
            found.policies.iter().filter(|(_, policy)| is_ours(policy)).map(|(arn, policy)| (arn.clone(), policy.policy.clone())).collect();
        let assumes: Vec<AssumableRole> = assumes.into_iter().map(|role| AssumableRole { intent: kept(role.intent), ..role }).collect();
        let there = Found::of(&identity, &owner, found);
        let shares = there.retained(&standing_roles(&assumes, &there, false));
        identity.inline_policies.retain(|name, _| name.as_str() != ASSUME_POLICY);
        identity.inline_policies.extend(inline_assume_policy(&shares));
        for (number, shard) in there.shards() {
            match (shares.shards.get(&number), policies.get_mut(shard)) {
                (Some(roles), Some(policy)) => policy.document = assume::document(roles),
                // What is not attached allows nothing: it may be about to be.
                _ if !identity.attached_policies.contains(shard) => {}
                _ => {
                    policies.remove(shard);
                    identity.attached_policies.remove(shard);
                }
            }
        }
        if let (IdentityName::User(_), Some(_), Ok(deny)) = (&identity.name, &cut_off, CUT_OFF_POLICY.parse()) {
            identity.inline_policies.insert(deny, deny_all_policy());
        }
        Some(Self {
            owner,
            pinned: Some(pinned),
            identity,
            imposed,
            ours,
            keeps_boundary: false,
            arn,
            trust,
            assumes,
            policies,
            former_policies: BTreeSet::new(),
            crowded: None,
            memberships: None,
            unmanaged: None,
            has_assume_policies: true,
            quotas,
            is_its_own_source: false,
            is_behind: false,
            written_trust,
        })
    }

    /// The same without those whom the trust policy that is in force does not name, and whom IAM does not know, as this refusal says. Where it tells of none of
    /// them, nobody is named anew.
    pub fn without_unknown(mut self, observed: &Observed, refusal: &str) -> Self {
        let there = self.trust_in_force(observed);
        let is_named = |rule: &TrustRule| rule.principal.is_account() || there.as_ref().is_some_and(|there| there.names(&rule.principal));
        let is_new = |grant: &Grant| !grant.rule.as_ref().is_some_and(is_named);
        let is_told = |grant: &Grant| grant.rule.as_ref().is_some_and(|rule| refusal.contains(&format!("\"{}\"", rule.principal)));
        let tells_any = self.trust.iter().flatten().flatten().any(|grant| is_new(grant) && is_told(grant));
        for grant in self.trust.iter_mut().flatten().flatten() {
            if is_new(grant) && (is_told(grant) || !tells_any) {
                grant.intent = Intent::Revoke;
            }
        }
        self
    }

    /// Whether somebody whom `whole` wants to let in comes in now, as one of many or by name, and would not if this were brought about.
    pub fn shuts_out(&self, whole: &Self, observed: &Observed) -> bool {
        let (Some(there), Some(own)) = (self.trust_in_force(observed), self.arn.account_id()) else { return false };
        let Some(role) = self.wanted(observed).ok().and_then(|wanted| wanted.identity.role) else { return false };
        let to_be = Trust::of(&role.trust_policy, &own);
        let lets_in = |trust: &Trust, who: &Principal| trust.rules.iter().any(|rule| rule.principal.includes(who));
        let wanted = whole.trust.iter().flatten().flatten().filter(|grant| grant.intent == Intent::Grant);
        let mut wanted = wanted.filter_map(|grant| grant.rule.as_ref());
        wanted.any(|rule| lets_in(&there, &rule.principal) && !lets_in(&to_be, &rule.principal))
    }
}

impl Wanted {
    /// Puts the assume policies of the identity in.
    fn put_assume_policies(&mut self, arn_of_identity: &Arn, shares: &Allocation<'_>) {
        self.identity.inline_policies.extend(inline_assume_policy(shares));
        for (number, roles) in &shares.shards {
            let Some((name, arn)) = assume::shard(arn_of_identity, &self.identity.path, &self.identity.name, *number) else { continue };
            self.identity.attached_policies.insert(arn.clone());
            let (path, tags) = (self.identity.path.clone(), self.identity.tags.clone());
            let policy = ManagedPolicy { arn: arn.clone(), name, path, description: String::new(), document: assume::document(roles), tags };
            self.policies.insert(arn, policy);
        }
    }
}

fn inline_assume_policy(shares: &Allocation<'_>) -> Option<(PolicyName, Document)> {
    let name = ASSUME_POLICY.parse().ok().filter(|_| !shares.inline.is_empty())?;
    Some((name, assume::document(&shares.inline)))
}

/// The roles that are to be in the assume policies, given what is there. While IAM may be behind, what the status tells is there, too.
fn standing_roles<'a>(assumes: &'a [AssumableRole], found: &Found<'_>, is_behind: bool) -> assume::Roles<'a> {
    let there = found.assumable();
    let is_there = |role: &AssumableRole| there.contains(role.arn.as_str()) || (is_behind && role.is_reported);
    assumes.iter().filter(|role| role.intent.is_met(is_there(role))).map(|role| (role.arn.as_str(), role.rights)).collect()
}

/// The trust policy that is to be there. A grant that is merely kept is in it as it stands: under what is required now where that only narrows it, and
/// otherwise under what was required before. Where nothing is added, that it fits comes before that it is narrow.
fn trust_to_be(entries: &[Vec<Grant>], there: Option<&Trust>, capacity: usize, own: Option<&AccountID>) -> Document {
    let nothing = Trust::default();
    let known = there.unwrap_or(&nothing);
    // None of those that were deleted and made anew, which only the unique IDs that are there now tell.
    let declared: Vec<Vec<Grant>> = entries.iter().map(|entry| entry.iter().filter(|grant| !grant.is_replaced(there)).cloned().collect()).collect();
    let beside = |known: &Trust| {
        let adds = declared.iter().flatten().any(|grant| grant.intent == Intent::Grant);
        let narrowed = trust_beside(&declared, known, Kept::Narrowed);
        if adds || narrowed.size() <= capacity {
            return narrowed;
        }
        let standing = trust_beside(&declared, known, Kept::AsTheyStand);
        if standing.size() <= capacity { standing } else { trust_beside(&declared, known, Kept::AsFewAsSuffice) }
    };
    let to_be = beside(known);
    // What was denied by hand is not denied any more then, and who comes in by a root may be named.
    match own.filter(|_| !known.denied.is_empty()) {
        Some(own) => beside(&Trust::of(&to_be, own)),
        None => to_be,
    }
}

/// How grants are written that are merely kept.
#[derive(Clone, Copy, PartialEq)]
enum Kept {
    /// Under what is required now, where that only narrows them.
    Narrowed,
    /// Under what was required before.
    AsTheyStand,
    /// The same, and nobody by name who comes in by another one all the same.
    AsFewAsSuffice,
}

fn trust_beside(entries: &[Vec<Grant>], known: &Trust, how: Kept) -> Document {
    // Who comes in anyway may be named: that adds nobody.
    let wanted = entries.iter().flatten().filter(|grant| grant.intent == Intent::Grant).filter_map(|grant| grant.rule.clone());
    let let_in = Trust { rules: known.rules.iter().cloned().chain(wanted).collect(), ..known.clone() };
    let as_declared = |grant: &Grant| {
        let rule = grant.rule.as_ref()?;
        let stands = match grant.intent {
            Intent::Grant => true,
            Intent::Freeze => how == Kept::Narrowed && grant.is_understood && let_in.covers(rule) && !grant.standing(known).is_empty(),
            Intent::Revoke => false,
        };
        stands.then(|| rule.clone())
    };
    let mut to_be: Vec<BTreeSet<TrustRule>> = entries.iter().map(|entry| entry.iter().filter_map(as_declared).collect()).collect();
    let all = entries.iter().enumerate().flat_map(|(index, entry)| entry.iter().map(move |grant| (index, grant)));
    let kept: Vec<(usize, &Grant)> = all.filter(|(_, grant)| grant.intent == Intent::Freeze && as_declared(grant).is_none()).collect();
    // First what each entry lets in as it is declared, then by name who is to come in by the root now: that may be in another entry.
    for by_name in [false, true] {
        for (index, grant) in &kept {
            let is_due = |kept: &TrustRule| by_name != grant.rule.as_ref().is_some_and(|own| own.principal == kept.principal);
            let standing = without_lesser(grant.standing(known)).into_iter().filter(is_due);
            // What another entry has is not repeated: several may name one principal under conditions of their own.
            let missing: Vec<TrustRule> = standing.filter(|kept| !to_be.iter().flatten().any(|there| there.extends(kept))).collect();
            to_be[*index].extend(missing);
        }
    }
    // Where nothing is added, nobody is named anew who comes in as one of many all the same: IAM may not know that name any more.
    let adds = entries.iter().flatten().any(|grant| grant.intent == Intent::Grant);
    let is_named_anew = |one: &TrustRule| !(adds || known.names(&one.principal));
    let makes_spare = |more: &TrustRule, one: &TrustRule| match how {
        Kept::AsFewAsSuffice => !one.covers(more),
        _ => is_named_anew(one) && more.principal != one.principal,
    };
    let all: BTreeSet<TrustRule> = to_be.iter().flatten().cloned().collect();
    let is_spare = |one: &TrustRule| all.iter().any(|more| more.covers(one) && makes_spare(more, one));
    to_be.iter_mut().for_each(|entry| entry.retain(|one| !is_spare(one)));
    trust_policy(to_be)
}

/// A permissions policy that denies everything: what cuts a user off.
pub fn deny_all_policy() -> Document {
    Document::new(vec![Statement::deny().actions(["*"]).resources(["*"])])
}
