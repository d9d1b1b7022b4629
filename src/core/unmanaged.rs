//! What others put on a user or role: whether it stays, and what a person is told of it.
//!
//! What restricts stays whatever is declared of other policies: to take it off would give more, which nobody has declared. What describes an access key stays,
//! too. A person takes it off in AWS.

use std::collections::{BTreeMap, BTreeSet};

use super::action::Action;
use super::assume;
use super::attachable::is_marked;
use super::desired::Desired;
use super::document::{Document, StatementRef};
use super::identity::{ASSUME_POLICY, CUT_OFF_POLICY, EXTERNAL_ROLES_POLICY, IdentityName, REVOKE_SESSIONS_POLICY};
use super::names::{Arn, PolicyName, is_access_key_id};
use super::observed::{Observed, ObservedPolicy};
use super::ours::Ours;
use rolebridge_api::permissions::Unmanaged;

/// How many restrictions Ready names.
const NAMED: usize = 5;

/// What is on an identity, is not declared, and stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UnmanagedPolicies<'a> {
    /// Inline policies by name.
    pub inline: BTreeMap<&'a PolicyName, &'a Document>,
    /// ARNs of attached policies.
    pub attached: BTreeSet<&'a Arn>,
}

impl<'a> UnmanagedPolicies<'a> {
    /// What stays of what is there. The resource's own policies and those that it no longer wants are none of it.
    pub fn of(desired: &Desired, observed: &'a Observed) -> Self {
        let Some(found) = observed.identity.as_ref().map(|found| &found.identity) else { return Self::default() };
        let is_declared = |name: &PolicyName| desired.identity.inline_policies.contains_key(name);
        let undeclared = found.inline_policies.iter().filter(|(name, _)| !is_declared(name) && !is_rolebridges(name));
        let remove = desired.unmanaged == Some(Unmanaged::Remove);
        let inline = undeclared.filter(|(name, document)| !remove || restricts(desired, name, document)).collect();
        let undeclared = found.attached_policies.iter().filter(|arn| !desired.identity.attached_policies.contains(*arn));
        let attached = undeclared.filter(|arn| !is_own(desired, observed, arn) && (!remove || restricts_attached(desired, observed, arn))).collect();
        Self { inline, attached }
    }

    /// What of it a person is told of: names of inline policies and ARNs of attached ones, and of a permissions boundary; first what restricts.
    pub fn reported(desired: &Desired, observed: &'a Observed) -> Vec<&'a str> {
        let mut told: Vec<&str> = restrictions(desired, observed).iter().map(Restriction::key).collect();
        if desired.unmanaged == Some(Unmanaged::Report) {
            let staying = Self::of(desired, observed);
            let inline = staying.inline.into_iter().filter(|(name, document)| !revokes_sessions(name, document)).map(|(name, _)| name.as_str());
            let others: Vec<&str> = inline.chain(staying.attached.into_iter().map(Arn::as_str)).filter(|key| !told.contains(key)).collect();
            told.extend(others);
        }
        told
    }
}

/// Something that others have put on, that restricts, and that stays until a person takes it off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restriction<'a> {
    /// An inline policy that only denies.
    Inline(&'a PolicyName),
    /// An attached policy that only denies.
    Attached(&'a Arn),
    /// A permissions boundary.
    Boundary(&'a Arn),
}

impl<'a> Restriction<'a> {
    /// The name or ARN by which a status tells it.
    pub fn key(&self) -> &'a str {
        match self {
            Self::Inline(name) => name.as_str(),
            Self::Attached(arn) | Self::Boundary(arn) => arn.as_str(),
        }
    }

    /// What it is and what to do, for people.
    pub fn told(&self) -> String {
        match self {
            Self::Inline(name) => {
                format!("others have put inline policy {name} on, which only denies: it stays until somebody deletes it in AWS")
            }
            Self::Attached(arn) => {
                let why = if is_quarantine(arn) { "; AWS attaches it where an access key has leaked: delete that key first" } else { "" };
                format!("others have attached {arn}, which only denies: it stays until somebody detaches it in AWS{why}")
            }
            Self::Boundary(arn) => format!(
                "others have put {arn} on as permissions boundary: it stays until somebody takes it off in AWS, or spec.permissionsBoundaryARN names another one"
            ),
        }
    }
}

/// What restricts a user or role, and others have put on, as far as it is known; each name and ARN once. Sessions that were revoked in the console are none of
/// it: that concerns nobody who comes in now. It is known by what is told to be the resource's own, so that it is told also where its declaration cannot be read.
pub fn restrictions<'a>(desired: &Desired, observed: &'a Observed) -> Vec<Restriction<'a>> {
    let Some(found) = observed.identity.as_ref().map(|found| &found.identity) else { return vec![] };
    let denies = |name: &PolicyName, document: &Document| restricts(desired, name, document) && !revokes_sessions(name, document);
    let inline = found.inline_policies.iter().filter(|(name, document)| !is_rolebridges(name) && denies(name, document));
    let attached: Vec<&Arn> = found.attached_policies.iter().filter(|arn| restricts_attached(desired, observed, arn)).collect();
    let boundary = desired.boundary_of_others(observed).filter(|boundary| !attached.contains(boundary));
    let inline = inline.map(|(name, _)| Restriction::Inline(name));
    inline.chain(attached.iter().copied().map(Restriction::Attached)).chain(boundary.map(Restriction::Boundary)).collect()
}

/// What Ready tells of these.
pub fn told(restrictions: &[Restriction<'_>]) -> Vec<String> {
    let more = restrictions.len().saturating_sub(NAMED);
    let more = (more > 0).then(|| format!("{more} more restrictions by others stay, which status.unmanagedPolicies lists"));
    restrictions.iter().take(NAMED).map(Restriction::told).chain(more).collect()
}

impl Desired {
    /// What of this, which is the resource's own, is there.
    pub fn there_of(&self, ours: &Ours, observed: &Observed) -> Ours {
        let Some(found) = observed.identity.as_ref().map(|found| &found.identity) else { return Ours::default() };
        let boundary = found.permissions_boundary.iter().filter(|there| !self.is_imposed(there) && ours.boundaries.contains(*there));
        Ours {
            inline: ours.inline.iter().filter(|name| found.inline_policies.contains_key(*name)).cloned().collect(),
            attached: ours.attached.intersection(&found.attached_policies).cloned().collect(),
            boundaries: boundary.cloned().collect(),
        }
    }

    /// What is the resource's own while a plan is carried out: what of others' is written in several steps, until it is gone, may do no more than deny in between.
    pub fn ours_during(&self, plan: &[Action]) -> Ours {
        let written = plan.iter().filter_map(|action| match action {
            Action::PutInlinePolicy(_, name, _) => Some(name),
            _ => None,
        });
        let going = written.filter(|name| !self.identity.inline_policies.contains_key(*name) && !is_rolebridges(name)).cloned();
        Ours { inline: going.collect(), ..Ours::default() }.or(self.ours.clone())
    }

    /// The permissions boundary that is there and that neither the resource nor its account has put on, where no other one is to take its place.
    fn boundary_of_others<'o>(&self, observed: &'o Observed) -> Option<&'o Arn> {
        let there = observed.identity.as_ref()?.identity.permissions_boundary.as_ref()?;
        let stays = self.identity.permissions_boundary.as_ref().is_none_or(|wanted| wanted == there);
        (stays && !self.is_imposed(there) && !self.ours.boundaries.contains(there)).then_some(there)
    }
}

/// The policies of others that a plan detaches although nobody has looked what they do: one that only denies stays.
pub fn unread(desired: &Desired, observed: &Observed, plan: &[Action]) -> BTreeSet<Arn> {
    let detached = plan.iter().filter_map(|action| match action {
        Action::DetachPolicy(_, arn) => Some(arn),
        _ => None,
    });
    // What is the resource's own may go for a moment, to come again.
    let is_known =
        |arn: &Arn| desired.identity.attached_policies.contains(arn) || desired.ours.attached.contains(arn) || is_own(desired, observed, arn);
    detached.filter(|arn| !is_known(arn) && !observed.restricting.contains_key(*arn)).cloned().collect()
}

/// Whether an attached policy that was read stays on whom others have attached it to: it only denies, and belongs to no user or role.
pub fn is_restricting(found: &ObservedPolicy) -> bool {
    found.policy.document.all_statements_deny() && !is_marked(found)
}

/// Whether a customer-managed policy that is there is the resource's own: it is, or was, one of its policies by name, and says so by its tags.
pub fn was_made_for(desired: &Desired, policy: &ObservedPolicy) -> bool {
    let arn = &policy.policy.arn;
    let is_named = desired.former_policies.contains(arn) || assume::number(&desired.identity, arn).is_some();
    is_named && desired.owner.check("policy", &policy.policy.tags, &policy.id, None).is_ok()
}

/// Whether a tag is the description of an access key of a user: AWS's console keeps it under the ID of the key (IAM user guide, "Manage access keys for IAM
/// users").
pub fn describes_a_key(who: &IdentityName, key: &str) -> bool {
    matches!(who, IdentityName::User(_)) && is_access_key_id(key)
}

/// Whether an inline policy that is not declared only denies, and was never declared.
fn restricts(desired: &Desired, name: &PolicyName, document: &Document) -> bool {
    document.all_statements_deny() && !desired.ours.inline.contains(name)
}

/// The same of an attached one, as far as it is known. What is not to be taken off anyway is not read for this.
fn restricts_attached(desired: &Desired, observed: &Observed, arn: &Arn) -> bool {
    let only_denies = is_denial_of_aws(arn) || observed.restricting.get(arn) == Some(&true);
    only_denies && !desired.ours.attached.contains(arn) && !is_own(desired, observed, arn)
}

/// Whether an attached policy is the resource's own, be it an assume policy.
fn is_own(desired: &Desired, observed: &Observed, arn: &Arn) -> bool {
    observed.policies.get(arn).is_some_and(|policy| was_made_for(desired, policy))
}

/// Whether an inline policy bears a name under which Rolebridge writes its own.
fn is_rolebridges(name: &PolicyName) -> bool {
    [ASSUME_POLICY, EXTERNAL_ROLES_POLICY, CUT_OFF_POLICY].contains(&name.as_str())
}

/// Whether it is one of AWS's policies that are known to do no more than deny (AWS managed policy reference).
fn is_denial_of_aws(arn: &Arn) -> bool {
    is_quarantine(arn) || name_of_aws(arn) == Some("AWSDenyAll")
}

/// Whether AWS attaches it where an access key has leaked: `AWSCompromisedKeyQuarantine` and its later versions (AWS managed policy reference).
fn is_quarantine(arn: &Arn) -> bool {
    name_of_aws(arn).is_some_and(|name| name.starts_with("AWSCompromisedKeyQuarantine"))
}

/// The name of a policy that AWS manages.
fn name_of_aws(arn: &Arn) -> Option<&str> {
    arn.iam_entity().filter(|entity| arn.is_of_aws() && entity.kind == "policy").map(|entity| entity.name)
}

/// Revoked sessions stay revoked: that policy is a person's, made by the console in an emergency, and denies no more than sessions from before that.
fn revokes_sessions(name: &PolicyName, document: &Document) -> bool {
    let is_of_before = |statement: StatementRef<'_>| {
        let mut conditions = statement.conditions().into_iter();
        conditions.any(|condition| condition.operator == "DateLessThan" && condition.key.eq_ignore_ascii_case("aws:TokenIssueTime"))
    };
    name.as_str() == REVOKE_SESSIONS_POLICY && document.all_statements_deny() && document.statements().into_iter().all(is_of_before)
}
