//! What others put on a user or role: whether it stays.

use std::collections::{BTreeMap, BTreeSet};

use super::assume;
use super::desired::Desired;
use super::document::Document;
use super::identity::{ASSUME_POLICY, CUT_OFF_POLICY, EXTERNAL_ROLES_POLICY, REVOKE_SESSIONS_POLICY};
use super::names::{Arn, PolicyName};
use super::observed::{Observed, ObservedPolicy};
use rolebridge_api::permissions::Unmanaged;

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
        let ours = |name: &PolicyName| [ASSUME_POLICY, EXTERNAL_ROLES_POLICY, CUT_OFF_POLICY].contains(&name.as_str());
        let undeclared = found.inline_policies.iter().filter(|(name, _)| !desired.identity.inline_policies.contains_key(*name) && !ours(name));
        let remove = desired.unmanaged == Some(Unmanaged::Remove);
        let inline = undeclared.filter(|(name, document)| !remove || revokes_sessions(name, document)).collect();
        let undeclared = found.attached_policies.iter().filter(|arn| !desired.identity.attached_policies.contains(*arn));
        let ours = |arn: &Arn| observed.policies.get(arn).is_some_and(|policy| was_made_for(desired, policy));
        let attached = undeclared.filter(|arn| !remove && !ours(arn)).collect();
        Self { inline, attached }
    }

    /// What of it a person is told of: names of inline policies and ARNs of attached ones. Not the denial that is kept in any case.
    pub fn reported(desired: &Desired, observed: &'a Observed) -> Vec<&'a str> {
        if desired.unmanaged != Some(Unmanaged::Report) {
            return vec![];
        }
        let staying = Self::of(desired, observed);
        let inline = staying.inline.into_iter().filter(|(name, document)| !revokes_sessions(name, document)).map(|(name, _)| name.as_str());
        inline.chain(staying.attached.into_iter().map(Arn::as_str)).collect()
    }
}

/// Whether a customer-managed policy that is there is the resource's own: it is, or was, one of its policies by name, and says so by its tags.
pub fn was_made_for(desired: &Desired, policy: &ObservedPolicy) -> bool {
    let arn = &policy.policy.arn;
    let is_named = desired.former_policies.contains(arn) || assume::number(&desired.identity, arn).is_some();
    is_named && desired.owner.check("policy", &policy.policy.tags, &policy.id, None).is_ok()
}

/// Revoked sessions stay revoked: that policy is a person's, made by the console in an emergency, and does no more than deny.
fn revokes_sessions(name: &PolicyName, document: &Document) -> bool {
    name.as_str() == REVOKE_SESSIONS_POLICY && document.all_statements_deny()
}
