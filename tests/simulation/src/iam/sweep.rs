//! Bulk reads: all users, roles and customer-managed policies of an account, and what the lists leave out.

use std::collections::BTreeMap;

use rolebridge::core::document::Document;
use rolebridge::core::failure::Failure;
use rolebridge::core::identity::{Identity as Shown, ManagedPolicy, RoleSettings};
use rolebridge::core::names::{AccountID, PolicyName, UniqueID};
use rolebridge::core::observed::{ObservedIdentity, ObservedPolicy};
use rolebridge::core::ownership::Tags;
use rolebridge::core::sweep::{Outline, Sweep};

use super::Cloud;
use super::account::Account;
use super::entity::{Identity, Kind, Policy};
use super::history::View;
use super::observe::{path_of, settings};

/// Descriptions and longest sessions of roles, which only the second list shows, by unique ID.
type Settings = BTreeMap<UniqueID, (String, u32)>;

impl Cloud {
    /// As the gateway's sweep. Each object comes from a replica of its own.
    ///
    /// # Errors
    /// Where there is no such account.
    pub fn sweep(&mut self, account: &AccountID, mut view: View<'_>) -> Result<Sweep, Failure> {
        let view = &mut view;
        self.moment(view);
        let of = self.account(account).map_err(|refusal| refusal.of("GetAccountAuthorizationDetails"))?;
        let (users, roles, policies) = (of.users.each(view), of.roles.each(view), of.policies.each(view));
        let settings = role_settings(of, view);
        let (mut identities, mut outlines) = (vec![], vec![]);
        for identity in users.iter().chain(&roles) {
            let outline = outline(identity, view);
            match whole(identity, &outline, &settings) {
                Some(identity) => identities.push(identity),
                None => outlines.push(outline),
            }
        }
        Ok(Sweep::new(identities, policies.iter().filter_map(|policy| untagged(policy))).with_outlines(outlines))
    }
}

fn role_settings(of: &Account, view: &mut View<'_>) -> Settings {
    let settings = |role: &Identity| {
        let of_role = role.role()?;
        Some((role.id.clone(), (of_role.description.clone().unwrap_or_default(), of_role.max_session_duration)))
    };
    of.roles.each(view).iter().filter_map(|role| settings(role)).collect()
}

fn outline(identity: &Identity, view: &mut View<'_>) -> Outline {
    let trust_policy = identity.role().map(|role| settings(role, view).trust_policy);
    Outline { name: identity.name.clone(), id: identity.id.clone(), tags: identity.tags.clone(), trust_policy }
}

/// All of it; None for what Rolebridge cannot have made, and for a role that is in one list only.
fn whole(identity: &Identity, outline: &Outline, settings: &Settings) -> Option<ObservedIdentity> {
    let role = match &outline.trust_policy {
        None => None,
        Some(trust_policy) => {
            let (description, max_session_duration) = settings.get(&identity.id).cloned()?;
            Some(RoleSettings { description, max_session_duration, trust_policy: trust_policy.clone() })
        }
    };
    let groups = match &identity.kind {
        Kind::User(user) => Some(user.groups.clone()),
        Kind::Role(_) => None,
    };
    let inline: BTreeMap<PolicyName, Document> = identity.inline.iter().map(|(name, stored)| (name.clone(), stored.document())).collect();
    let identity = Shown {
        name: identity.name.clone(),
        path: path_of(&identity.name.to_string(), &identity.path).ok()?,
        tags: identity.tags.clone(),
        permissions_boundary: identity.boundary.clone(),
        inline_policies: inline,
        attached_policies: identity.attached.clone(),
        groups,
        role,
    };
    Some(ObservedIdentity { id: outline.id.clone(), identity })
}

/// Statement 46: without its tags.
fn untagged(policy: &Policy) -> Option<ObservedPolicy> {
    let others = policy.versions.keys().filter(|number| **number != policy.default);
    Some(ObservedPolicy {
        id: policy.id.clone(),
        default_version: format!("v{}", policy.default),
        other_versions: others.map(|number| format!("v{number}")).collect(),
        policy: ManagedPolicy {
            arn: policy.arn.clone(),
            name: policy.name.clone(),
            path: path_of(policy.arn.as_str(), &policy.path).ok()?,
            description: policy.description.clone(),
            document: policy.versions.get(&policy.default)?.document(),
            tags: Tags::new(),
        },
    })
}
