//! What works and is worth knowing: Ready tells it.

use std::collections::{BTreeMap, BTreeSet};

use super::desired::Desired;
use super::document::Document;
use super::grants::{Grant, Intent};
use super::identity::{DEFAULT_SESSION_SECONDS, IdentityName};
use super::observed::Observed;
use super::quotas::{MOST_TAGS, more_trust_room};
use super::trust::TrustRule;
use super::unmanaged::{self, restrictions};
use super::world::SourceKey;

impl Desired {
    /// What works and is worth knowing.
    pub fn warnings(&self, observed: &Observed) -> Vec<String> {
        let role = observed.identity.as_ref().and_then(|found| found.identity.role.as_ref());
        let (size, quota) = (role.map_or(0, |role| role.trust_policy.size()), self.quotas.trust_policy_size);
        let root = if self.names_principals_of_accounts() { "use principal: AccountRoot" } else { "name fewer sources" };
        let full = (size.saturating_mul(5) >= quota.saturating_mul(4)).then(|| {
            format!("the trust policy has {size} of {quota} characters that it may have: before it is full, {}{root}", more_trust_room(quota))
        });
        let is_role = |grant: &Grant| matches!(grant.key, Some(SourceKey::Role(_)));
        let chained = self.trust.iter().flatten().flatten().any(is_role);
        let long = role.is_some_and(|role| role.max_session_duration > DEFAULT_SESSION_SECONDS);
        let short_chain = (chained && long)
            .then(|| "spec.maxSessionDuration does not count for sessions that another role's session opens: those last one hour at most".to_owned());
        let inline = self.identity.inline_policies.iter();
        let documents = inline.chain(self.policies.values().map(|policy| (&policy.name, &policy.document)));
        // A document may come from a ConfigMap, which not everybody may read who reads the status.
        let warnings = |document: &Document| document.warnings().into_iter().map(|warning| warning.without_quotes());
        let doubtful = documents.flat_map(|(name, document)| warnings(document).map(move |warning| format!("policy {name}: {warning}")));
        let restricted = unmanaged::told(&restrictions(self, observed)).into_iter().chain(self.lacks_room_for_descriptions());
        restricted.chain(full).chain(short_chain).chain(self.passed_by()).chain(self.doubtful_sources()).chain(doubtful).collect()
    }

    /// That a user has no room for a tag that describes an access key.
    fn lacks_room_for_descriptions(&self) -> Option<String> {
        let is_full = matches!(self.identity.name, IdentityName::User(_)) && self.identity.tags.len() >= MOST_TAGS;
        is_full.then(|| {
            format!(
                "the user has all {MOST_TAGS} tags that IAM lets it have, so that AWS's console cannot keep the description of an access key, which is a tag: declare fewer"
            )
        })
    }

    /// What is worth knowing of sources, each told once with the first of them.
    fn doubtful_sources(&self) -> Vec<String> {
        let grants = self.trust.iter().flatten().flatten().filter(|grant| grant.intent != Intent::Revoke);
        let mut doubtful: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (warning, source) in grants.filter_map(|grant| Some((grant.warning?, grant.source.as_str()))) {
            doubtful.entry(warning).or_default().push(source);
        }
        let told = |(warning, sources): (&str, Vec<&str>)| Some(format!("spec.trust: {}{}: {warning}", sources.first()?, and_more(sources.len())));
        doubtful.into_iter().filter_map(told).collect()
    }

    /// Sources that the root of their account lets in without what their own entry requires of them.
    fn passed_by(&self) -> Option<String> {
        let grants = self.trust.iter().flatten().flatten().filter(|grant| grant.intent != Intent::Revoke);
        let declared: Vec<(&str, &TrustRule)> = grants.filter_map(|grant| Some((grant.source.as_str(), grant.rule.as_ref()?))).collect();
        let roots: BTreeSet<&TrustRule> = declared.iter().map(|(_, rule)| *rule).filter(|rule| rule.principal.is_account()).collect();
        let passes = |asked: &TrustRule, root: &TrustRule| root.principal.includes(&asked.principal) && !asked.conditions.cover(&root.conditions);
        let passed = declared.iter().filter_map(|(source, asked)| Some((source, roots.iter().find(|root| passes(asked, root))?)));
        let passed: Vec<_> = passed.collect();
        let (source, root) = passed.first()?;
        let more = and_more(passed.len());
        Some(format!(
            "spec.trust: {source}{more} can come in without what is required of it, since another entry trusts {} for less: require it in that entry, too",
            root.principal
        ))
    }
}

/// What follows the name of the first of so many.
fn and_more(count: usize) -> String {
    if count > 1 { format!(" and {} more", count - 1) } else { String::new() }
}
