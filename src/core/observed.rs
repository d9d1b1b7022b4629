//! What AWS has, as far as it concerns one resource; and how an action changes it.
//!
//! [`Observed::record`] is the model of IAM that lets a reconcile go on after a write without reading what it has just written. Tests
//! use the same model to apply plans.

use std::collections::{BTreeMap, BTreeSet};

use super::action::{Action, Dependent, Receipt, Tagged};
use super::document::Document;
use super::identity::{Identity, IdentityName, ManagedPolicy};
use super::names::{Arn, UniqueID, same_name};
use super::ownership::Owner;

/// What AWS has of one resource. The default, nothing, is also what a resource that was never made is taken to have: the first write then
/// finds out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The user or role, if there is one of this name.
    pub identity: Option<ObservedIdentity>,
    /// Those of the customer-managed policies asked about that exist.
    pub policies: BTreeMap<Arn, ObservedPolicy>,
    /// Of attached policies that are others': whether each does no more than deny, where somebody looked.
    pub restricting: BTreeMap<Arn, bool>,
}

/// What is read of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    /// The user or role; None where only policies are read.
    pub name: Option<IdentityName>,
    /// Customer-managed policies. Those that hold the roles of a user and are attached to it are read in any case.
    pub policies: BTreeSet<Arn>,
    /// Whether the groups of a user are read.
    pub groups: bool,
    /// The unique ID that the user or role must have, if it was made: a user is looked for under any name where nobody bears its own, since somebody may
    /// have renamed it.
    pub pinned: Option<UniqueID>,
}

/// A user or role in IAM.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedIdentity {
    /// Its unique ID.
    pub id: UniqueID,
    /// What it is.
    pub identity: Identity,
}

/// A customer-managed policy in IAM.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedPolicy {
    /// Its unique ID.
    pub id: UniqueID,
    /// What it is, with the document of its default version.
    pub policy: ManagedPolicy,
    /// ID of the default version.
    pub default_version: String,
    /// IDs of the other versions, the oldest first.
    pub other_versions: Vec<String>,
}

/// What keeps an identity from being deleted, apart from policies. Read only before a deletion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dependents {
    /// What a user has.
    pub of_user: BTreeSet<Dependent>,
    /// Names of the instance profiles that hold a role. They are somebody else's to remove.
    pub instance_profiles: BTreeSet<String>,
}

impl Observed {
    /// Whether this direct read shows that the user or role with a unique ID lives, which was made for `owner`. While it is in doubt whether what is not
    /// shown is absent, None where the read shows nobody, or one that bears this owner's tags, be it those of an earlier object of its name: that may be the one
    /// before, from where IAM is behind.
    pub fn shows(&self, id: &UniqueID, owner: &Owner, is_in_doubt: bool) -> Option<bool> {
        match &self.identity {
            Some(found) if found.id == *id => Some(true),
            Some(found) if is_in_doubt && owner.is_named_by(&found.identity.tags) => None,
            None if is_in_doubt => None,
            _ => Some(false),
        }
    }

    /// Every document in it.
    pub fn documents_mut(&mut self) -> impl Iterator<Item = &mut Document> {
        let identity = self.identity.as_mut().map(|found| &mut found.identity).into_iter();
        let of_identity = identity.flat_map(|identity| {
            let trust = identity.role.as_mut().map(|role| &mut role.trust_policy);
            identity.inline_policies.values_mut().chain(trust)
        });
        of_identity.chain(self.policies.values_mut().map(|found| &mut found.policy.document))
    }

    /// Every document in it.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        let identity = self.identity.as_ref().map(|found| &found.identity).into_iter();
        let of_identity = identity.flat_map(|identity| {
            let trust = identity.role.as_ref().map(|role| &role.trust_policy);
            identity.inline_policies.values().chain(trust)
        });
        of_identity.chain(self.policies.values().map(|found| &found.policy.document))
    }

    /// Takes an action that succeeded, and what IAM answered, into account. That something was missing changes nothing: it may not be shown.
    pub fn record(&mut self, action: &Action, receipt: &Receipt) {
        match (action, receipt) {
            (_, Receipt::Missing) => {}
            (Action::CreateIdentity(identity), Receipt::Created(id)) => {
                // Creation writes no policies and no memberships: they come by actions of their own.
                let groups = identity.role.is_none().then(BTreeSet::new);
                let made = Identity { inline_policies: BTreeMap::new(), attached_policies: BTreeSet::new(), groups, ..(**identity).clone() };
                self.identity = Some(ObservedIdentity { id: id.clone(), identity: made });
            }
            (Action::CreatePolicy(policy), Receipt::Created(id)) => {
                let made = ObservedPolicy { id: id.clone(), policy: (**policy).clone(), default_version: "v1".into(), other_versions: vec![] };
                self.policies.insert(policy.arn.clone(), made);
            }
            (Action::DeletePolicy(arn), _) => {
                self.policies.remove(arn);
            }
            (Action::DeleteIdentity(_), _) => self.identity = None,
            (Action::Tag(Tagged::Policy(arn), _) | Action::Untag(Tagged::Policy(arn), _), _)
            | (Action::CreatePolicyVersion(arn, _) | Action::DeletePolicyVersion(arn, _), _) => {
                if let Some(policy) = self.policies.get_mut(arn) {
                    record_on_policy(policy, action, receipt);
                }
            }
            _ => {
                if let Action::DetachPolicy(_, arn) = action {
                    self.restricting.remove(arn);
                }
                if let Some(found) = &mut self.identity {
                    record_on_identity(&mut found.identity, action);
                }
            }
        }
    }
}

/// The identity as an action that succeeds leaves it.
pub(super) fn after(identity: &Identity, action: &Action) -> Identity {
    let mut identity = identity.clone();
    record_on_identity(&mut identity, action);
    identity
}

fn record_on_policy(policy: &mut ObservedPolicy, action: &Action, receipt: &Receipt) {
    match (action, receipt) {
        (Action::CreatePolicyVersion(_, document), Receipt::Version(version)) => {
            policy.other_versions.push(std::mem::replace(&mut policy.default_version, version.clone()));
            policy.policy.document = document.clone();
        }
        (Action::DeletePolicyVersion(_, version), _) => policy.other_versions.retain(|v| v != version),
        (Action::Tag(_, tags), _) => policy.policy.tags.extend(tags.clone()),
        (Action::Untag(_, keys), _) => policy.policy.tags.retain(|k, _| !keys.contains(k)),
        _ => {}
    }
}

fn record_on_identity(identity: &mut Identity, action: &Action) {
    match action {
        Action::PutInlinePolicy(_, name, document) => {
            identity.inline_policies.insert(name.clone(), document.clone());
        }
        Action::DeleteInlinePolicy(_, name) => {
            identity.inline_policies.remove(name);
        }
        Action::AttachPolicy(_, arn) => {
            identity.attached_policies.insert(arn.clone());
        }
        Action::DetachPolicy(_, arn) => {
            identity.attached_policies.remove(arn);
        }
        Action::PutPermissionsBoundary(_, arn) => identity.permissions_boundary = Some(arn.clone()),
        Action::DeletePermissionsBoundary(_) => identity.permissions_boundary = None,
        // Of groups that were not looked at one alone says nothing.
        Action::AddToGroup(_, group) => identity.groups.iter_mut().for_each(|groups| {
            groups.insert(group.clone());
        }),
        Action::RemoveFromGroup(_, group) => identity.groups.iter_mut().for_each(|groups| groups.retain(|g| !same_name(g.as_str(), group.as_str()))),
        Action::Tag(_, tags) => {
            // IAM knows the keys of users and roles without regard to case: a tag set anew takes the place of its like.
            identity.tags.retain(|k, _| !tags.keys().any(|t| same_name(t, k)));
            identity.tags.extend(tags.clone());
        }
        Action::Untag(_, keys) => identity.tags.retain(|k, _| !keys.iter().any(|u| same_name(u, k))),
        Action::UpdateTrustPolicy(_, document) => {
            if let Some(role) = &mut identity.role {
                role.trust_policy = document.clone();
            }
        }
        Action::RenameUser(_, name, path) => {
            identity.name = IdentityName::User(name.clone());
            identity.path = path.clone();
        }
        Action::UpdateRole(_, description, seconds) => {
            if let Some(role) = &mut identity.role {
                role.description.clone_from(description);
                role.max_session_duration = *seconds;
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Path;
    use crate::ownership::{Earlier, Tags};

    fn owner() -> Owner {
        Owner { installation: "one".into(), resource: "BastionUser/data/alice".into(), uid: "u1".into(), earlier: Earlier::TakenOver }
    }

    fn alice(id: &str, tags: Tags) -> Observed {
        let identity = Identity {
            name: IdentityName::User("alice".parse().unwrap()),
            path: Path::root(),
            tags,
            permissions_boundary: None,
            inline_policies: BTreeMap::new(),
            attached_policies: BTreeSet::new(),
            groups: None,
            role: None,
        };
        Observed { identity: Some(ObservedIdentity { id: id.parse().unwrap(), identity }), ..Observed::default() }
    }

    #[test]
    fn who_bears_the_name_with_another_id_or_not_at_all_is_gone_but_for_what_iam_may_not_show_yet() {
        let id = "AIDAEXAMPLEEXAMPLE01".parse().unwrap();
        let shows = |there: &Observed| [false, true].map(|is_in_doubt| there.shows(&id, &owner(), is_in_doubt));
        for tags in [Tags::new(), owner().tags()] {
            assert_eq!(shows(&alice("AIDAEXAMPLEEXAMPLE01", tags)), [Some(true), Some(true)]);
        }
        assert_eq!(shows(&Observed::default()), [Some(false), None]);
        assert_eq!(shows(&alice("AIDAEXAMPLEEXAMPLE02", Tags::new())), [Some(false), Some(false)], "somebody else's");
        assert_eq!(shows(&alice("AIDAEXAMPLEEXAMPLE02", owner().tags())), [Some(false), None], "perhaps the one before");
        let earlier = Owner { uid: "u0".into(), ..owner() };
        assert_eq!(
            shows(&alice("AIDAEXAMPLEEXAMPLE02", earlier.tags())),
            [Some(false), None],
            "that of an earlier object, which was deleted just now"
        );
    }
}
