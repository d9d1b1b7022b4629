//! What IAM's quotas do not hold, told before anything is changed.

use super::super::assume;
use super::super::canonical::same;
use super::super::document::Document;
use super::super::groups::includes;
use super::super::identity::{Identity, IdentityName};
use super::super::names::{Arn, GroupName, same_name};
use super::super::observed::Observed;
use super::super::outcome::Problem;
use super::super::ownership::Tags;
use super::super::quotas::{CUT_OFF_ROOM, Limits, MOST_TAGS, Quotas};
use super::super::unmanaged::{UnmanagedPolicies, describes_a_key};
use super::super::wanted::Wanted;
use rolebridge_api::Reason;

/// What of the wanted state IAM's quotas do not hold. They forbid only to add: what is there already was let in once, and may always become less.
pub(super) fn excesses(quotas: &Quotas, wanted: &Wanted, observed: &Observed, staying: &UnmanagedPolicies<'_>) -> Vec<Problem> {
    let identity = &wanted.identity;
    let (who, limits) = (&identity.name, quotas.limits(&identity.name));
    let found = observed.identity.as_ref().map(|found| &found.identity);
    let is_same = |arn: &Arn, document: &Document| observed.policies.get(arn).is_some_and(|found| same(&found.policy.document, document));
    let mut excesses = vec![];
    let (attached, others) = (identity.attached_policies.len(), staying.attached.len());
    let is_attached = |arn: &Arn| found.is_some_and(|found| found.attached_policies.contains(arn));
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
        Some(there) => document.size() > there.surely_takes(),
        None => true,
    });
    if declared + others > limits.inline_policies_size && grows {
        let own = identity.inline_policies.iter().map(|(name, document)| (name.as_str(), document.size()));
        let parts: Vec<String> =
            own.chain((others > 0).then_some(("those of others", others))).map(|(what, size)| format!("{what} {size}")).collect();
        let reserve = if matches!(who, IdentityName::User(_)) { format!(" beside {} for cutting it off", CUT_OFF_ROOM) } else { String::new() };
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
        .map(|message| format!("{message}, or have AWS raise the quota"))
        .chain(too_many_tags(identity, found))
        .map(|message| Problem::new(Reason::QuotaExceeded, format!("{message}; nothing of it was written")))
        .collect()
}

/// That the tags of a user have no room beside those that describe access keys, which stay.
fn too_many_tags(wanted: &Identity, found: Option<&Identity>) -> Option<String> {
    let is_among = |tags: &Tags, key: &str| tags.keys().any(|there| same_name(there, key));
    let found = &found?.tags;
    let of_keys = found.keys().filter(|key| describes_a_key(&wanted.name, key) && !is_among(&wanted.tags, key)).count();
    let all = wanted.tags.len() + of_keys;
    (of_keys > 0 && all > MOST_TAGS && !wanted.tags.keys().all(|key| is_among(found, key))).then(|| {
        format!(
            "{} would have {all} tags, and IAM lets it have {MOST_TAGS}. AWS's console keeps the description of an access key as a tag under the ID of the key; there \
             are {of_keys} of these, and they stay. Declare fewer tags, or take off those of keys that are gone",
            wanted.name
        )
    })
}

/// That old and new policies cannot be exchanged in any order within the quotas.
pub(super) fn no_way(quotas: &Quotas, found: &Identity, wanted: &Identity) -> Problem {
    let (who, limits) = (&wanted.name, quotas.limits(&wanted.name));
    let (now, to_be) = (Limits::taken_by(found), Limits::taken_by(wanted));
    let characters = (now.inline_policies_size, to_be.inline_policies_size, limits.inline_policies_size);
    let attached = (now.attached_policies, to_be.attached_policies, limits.attached_policies);
    Problem::new(
        Reason::QuotaExceeded,
        format!(
            "IAM has no room to exchange the policies of {who} without allowing for a moment what neither the old nor the new ones do: its inline policies \
             have {} characters, are to have {}, and may have {}, and it has {} attached policies, is to have {}, and may have {}. Some deny what others \
             allow: change them in several steps, with some taken out in between, or have AWS raise the quota; nothing of it was written",
            characters.0, characters.1, characters.2, attached.0, attached.1, attached.2
        ),
    )
}
