//! The writes of single things: settings, tags, and policies with their versions.

use super::super::action::{Action, Tagged};
use super::super::canonical::same;
use super::super::identity::{Identity, IdentityName, ManagedPolicy};
use super::super::names::same_name;
use super::super::observed::ObservedPolicy;
use super::super::ownership::Tags;
use super::super::unmanaged::describes_a_key;

/// Versions that a customer-managed policy can have; the account's summary calls it VersionsPerPolicyQuota (IAM quotas).
pub(super) const POLICY_VERSIONS: usize = 5;

/// Changes the settings and tags of a user or role that differ.
pub(super) fn settings(wanted: &Identity, found: &Identity) -> Vec<Action> {
    let mut actions = vec![];
    if let (IdentityName::Role(name), Some(wanted), Some(found)) = (&wanted.name, &wanted.role, &found.role)
        && (wanted.description != found.description || wanted.max_session_duration != found.max_session_duration)
    {
        actions.push(Action::UpdateRole(name.clone(), wanted.description.clone(), wanted.max_session_duration));
    }
    // The keys of the tags of users and roles are the same whatever their case; those of policies are not. What describes a key is the person's who has it.
    let found: Tags = found.tags.iter().filter(|(key, _)| wanted.tags.contains_key(*key) || !describes_a_key(&wanted.name, key)).map(owned).collect();
    tags(&Tagged::Identity(wanted.name.clone()), &wanted.tags, &found, same_name, &mut actions);
    actions
}

fn owned((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}

fn tags(on: &Tagged, wanted: &Tags, found: &Tags, same_key: fn(&str, &str) -> bool, actions: &mut Vec<Action>) {
    let there = |tags: &Tags, key: &str, value: Option<&str>| tags.iter().any(|(k, v)| same_key(k, key) && value.is_none_or(|value| v == value));
    let set: Tags = wanted.iter().filter(|(k, v)| !there(found, k, Some(v))).map(owned).collect();
    // Tags under aws: are AWS's own and cannot be removed.
    let remove: Vec<String> = found.keys().filter(|k| !there(wanted, k, None) && !k.to_ascii_lowercase().starts_with("aws:")).cloned().collect();
    // Removed first: IAM counts what is there when it adds, and takes no more than 50.
    if !remove.is_empty() {
        actions.push(Action::Untag(on.clone(), remove));
    }
    if !set.is_empty() {
        actions.push(Action::Tag(on.clone(), set));
    }
}

/// Makes a customer-managed policy, or changes what of it differs.
pub(super) fn managed_policy(wanted: &ManagedPolicy, found: Option<&ObservedPolicy>, actions: &mut Vec<Action>) {
    let Some(found) = found else {
        actions.push(Action::CreatePolicy(Box::new(wanted.clone())));
        return;
    };
    if !same(&found.policy.document, &wanted.document) {
        // The oldest versions make room; what is in force is never among them.
        let surplus = (found.other_versions.len() + 2).saturating_sub(POLICY_VERSIONS);
        actions.extend(found.other_versions.iter().take(surplus).map(|v| Action::DeletePolicyVersion(wanted.arn.clone(), v.clone())));
        actions.push(Action::CreatePolicyVersion(wanted.arn.clone(), wanted.document.clone()));
    }
    policy_tags(wanted, found, actions);
}

/// Changes the tags of a policy that differ.
pub(super) fn policy_tags(wanted: &ManagedPolicy, found: &ObservedPolicy, actions: &mut Vec<Action>) {
    tags(&Tagged::Policy(wanted.arn.clone()), &wanted.tags, &found.policy.tags, |a, b| a == b, actions);
}

/// Deletes a policy after the actions `before`. IAM deletes none that has other versions than the one in force.
pub(super) fn delete_policy(policy: &ObservedPolicy, before: &[Action], actions: &mut Vec<Action>) {
    let arn = &policy.policy.arn;
    let is_rewritten = before.iter().any(|action| matches!(action, Action::CreatePolicyVersion(of, _) if of == arn));
    let is_deleted = |version: &String| before.contains(&Action::DeletePolicyVersion(arn.clone(), version.clone()));
    let versions = policy.other_versions.iter().filter(|version| !is_deleted(version)).chain(Some(&policy.default_version).filter(|_| is_rewritten));
    actions.extend(versions.map(|version| Action::DeletePolicyVersion(arn.clone(), version.clone())));
    actions.push(Action::DeletePolicy(arn.clone()));
}
