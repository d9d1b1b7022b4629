//! Direct reads: of a user or role with all its policies, and of what keeps it from being deleted. Each call of IAM that the gateway makes for it is answered by a
//! replica of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rolebridge::api::Reason;
use rolebridge::core::action::Dependent;
use rolebridge::core::document::Document;
use rolebridge::core::failure::Failure;
use rolebridge::core::identity::{Identity as Shown, IdentityName, ManagedPolicy, RoleSettings};
use rolebridge::core::names::{AccountID, Arn, Path, PolicyName, UniqueID};
use rolebridge::core::observed::{Dependents, Observed, ObservedIdentity, ObservedPolicy, Scope};

use super::Cloud;
use super::account::{Account, key, no_identity, no_policy};
use super::entity::{Identity, OfRole, Policy, Snapshot};
use super::history::View;
use super::policies::number;
use super::refusal::{Answer, Missing, Refusal};
use super::trust::nameless;

/// The most customer-managed policies that hold the roles which a user or role may assume.
const ASSUME_POLICIES: u32 = 10;

impl Cloud {
    /// As the gateway's observe.
    ///
    /// # Errors
    /// As there.
    pub fn observe(&mut self, account: &AccountID, scope: &Scope, mut view: View<'_>) -> Result<Observed, Failure> {
        let view = &mut view;
        self.moment(view);
        let of = self.account(account).map_err(|refusal| refusal.of("GetUser"))?;
        let identity = match &scope.name {
            Some(name) => found(of, name, scope, view)?,
            None => None,
        };
        let assumed = identity.iter().flat_map(|found| assume_policies(&found.identity));
        let asked: BTreeSet<&Arn> = scope.policies.iter().chain(assumed).collect();
        let mut policies = BTreeMap::new();
        for arn in asked {
            if let Some(policy) = managed_policy(of, arn, view)? {
                policies.insert(arn.clone(), policy);
            }
        }
        Ok(Observed { identity, policies, ..Observed::default() })
    }

    /// As the gateway's dependents.
    ///
    /// # Errors
    /// Where there is no such account.
    pub fn dependents(&mut self, account: &AccountID, who: &IdentityName, mut view: View<'_>) -> Result<Dependents, Failure> {
        let view = &mut view;
        self.moment(view);
        let of = self.account(account).map_err(|refusal| refusal.of("ListGroupsForUser"))?;
        let mut dependents = Dependents::default();
        match who {
            IdentityName::User(_) => {
                // Keys, devices and the rest come from a list each.
                let lists: [fn(&Dependent) -> bool; 6] = [
                    |d| matches!(d, Dependent::LoginProfile),
                    |d| matches!(d, Dependent::AccessKey(_)),
                    |d| matches!(d, Dependent::SigningCertificate(_)),
                    |d| matches!(d, Dependent::SSHPublicKey(_)),
                    |d| matches!(d, Dependent::ServiceSpecificCredential(_)),
                    |d| matches!(d, Dependent::MFADevice(_)),
                ];
                for is_listed in lists {
                    let user = shown(of, who, view.replica()).and_then(|found| found.user());
                    let listed = user.into_iter().flat_map(|user| &user.belongings).filter(|belonging| is_listed(belonging));
                    dependents.of_user.extend(listed.cloned());
                }
                let user = shown(of, who, view.replica()).and_then(|found| found.user());
                let groups = user.into_iter().flat_map(|user| &user.groups);
                dependents.of_user.extend(groups.map(|group| Dependent::Group(group.to_string())));
            }
            IdentityName::Role(_) => {
                let role = shown(of, who, view.replica()).and_then(|found| found.role());
                dependents.instance_profiles.extend(role.into_iter().flat_map(|role| role.instance_profiles.clone()));
            }
        }
        Ok(dependents)
    }
}

/// The user or role that a replica shows.
fn shown<'a>(of: &'a Account, who: &IdentityName, time: Duration) -> Option<&'a Arc<Snapshot<Identity>>> {
    of.identities(who).at(&key(who.as_str()), time)
}

/// The user or role of this name; or, where nobody bears it, the user of the unique ID that was made, under whatever name.
fn found(of: &Account, name: &IdentityName, scope: &Scope, view: &mut View<'_>) -> Result<Option<ObservedIdentity>, Failure> {
    let found = identity(of, name, scope.groups, view)?;
    let (None, Some(pinned), IdentityName::User(_)) = (&found, &scope.pinned, name) else { return Ok(found) };
    let listed = of.users.all_at(view.replica()).find(|user| user.id == *pinned).map(|user| user.name.clone());
    let Some(name) = listed else { return Ok(None) };
    let behind = || Failure::refused(Reason::Propagating, format!("iam:GetUser: user {name} is not shown, and iam:ListUsers still lists it."));
    identity(of, &name, scope.groups, view)?.map_or_else(|| Err(behind()), |found| Ok(Some(found)))
}

fn identity(of: &Account, asked: &IdentityName, with_groups: bool, view: &mut View<'_>) -> Result<Option<ObservedIdentity>, Failure> {
    let Some(got) = shown(of, asked, view.replica()) else { return Ok(None) };
    let groups = got.user().filter(|_| with_groups).map(|_| {
        let listed = shown(of, asked, view.replica()).and_then(|found| found.user());
        listed.map(|user| user.groups.clone()).unwrap_or_default()
    });
    let name = got.name.clone();
    let role = got.role().map(|role| settings(role, view));
    let path = path_of(&name.to_string(), &got.path)?;
    let inline_policies = inline_policies(of, &name, view)?;
    let attached_policies = attached_policies(of, &name, view)?;
    let identity =
        Shown { path, tags: got.tags.clone(), permissions_boundary: got.boundary.clone(), inline_policies, attached_policies, groups, role, name };
    Ok(Some(ObservedIdentity { id: got.id.clone(), identity }))
}

/// Statement 4: for moments after it was written, a trust policy may show the unique IDs of those that live.
pub(super) fn settings(role: &OfRole, view: &mut View<'_>) -> RoleSettings {
    let knows_names = role.trust.principals.is_empty() || view.knows(role.trust.written);
    let trust_policy = if knows_names { role.trust.shown.document() } else { nameless(&role.trust).document() };
    RoleSettings { description: role.description.clone().unwrap_or_default(), max_session_duration: role.max_session_duration, trust_policy }
}

/// A path in which Rolebridge makes nothing is somebody else's.
pub(super) fn path_of(what: &str, path: &str) -> Result<Path, Failure> {
    path.parse().map_err(|_| Failure::refused(Reason::Conflict, format!("{what} exists in the path {path}, where Rolebridge makes nothing.")))
}

fn inline_policies(of: &Account, who: &IdentityName, view: &mut View<'_>) -> Result<BTreeMap<PolicyName, Document>, Failure> {
    let (list, get) = match who {
        IdentityName::User(_) => ("ListUserPolicies", "GetUserPolicy"),
        IdentityName::Role(_) => ("ListRolePolicies", "GetRolePolicy"),
    };
    let listed = there(of, who, view).map_err(|refusal| refusal.of(list))?;
    let mut policies = BTreeMap::new();
    for name in listed.inline.keys() {
        let document = there(of, who, view).and_then(|found| {
            let stored = found.inline.get(name);
            stored
                .map(|stored| stored.document())
                .ok_or_else(|| Refusal::missing(Missing::Part, format!("The policy with name {name} cannot be found.")))
        });
        policies.insert(name.clone(), document.map_err(|refusal| refusal.of(get))?);
    }
    Ok(policies)
}

fn attached_policies(of: &Account, who: &IdentityName, view: &mut View<'_>) -> Result<BTreeSet<Arn>, Failure> {
    let list = match who {
        IdentityName::User(_) => "ListAttachedUserPolicies",
        IdentityName::Role(_) => "ListAttachedRolePolicies",
    };
    there(of, who, view).map(|found| found.attached.clone()).map_err(|refusal| refusal.of(list))
}

/// The user or role that some replica shows, for a call that fails where there is none.
fn there<'a>(of: &'a Account, who: &IdentityName, view: &mut View<'_>) -> Answer<&'a Arc<Snapshot<Identity>>> {
    shown(of, who, view.replica()).ok_or_else(|| no_identity(who))
}

/// The policies attached to an identity that hold roles which it may assume, by their names and paths.
fn assume_policies(identity: &Shown) -> impl Iterator<Item = &Arn> {
    let start = match &identity.name {
        IdentityName::User(name) => format!("policy{}rolebridge-assume-roles-{name}-", identity.path),
        IdentityName::Role(name) => format!("policy{}rolebridge-role-assumes-{name}-", identity.path),
    };
    identity.attached_policies.iter().filter(move |arn| {
        let number = arn.resource().strip_prefix(start.as_str()).filter(|_| arn.service() == "iam");
        number.is_some_and(|number| (1..=ASSUME_POLICIES).any(|n| n.to_string() == number))
    })
}

fn managed_policy(of: &Account, arn: &Arn, view: &mut View<'_>) -> Result<Option<ObservedPolicy>, Failure> {
    let Some(got) = of.policy_at(arn, view.replica()) else { return Ok(None) };
    let listed = of.policy_at(arn, view.replica()).ok_or_else(|| no_policy(arn).of("ListPolicyVersions"))?;
    let default = format!("v{}", got.default);
    let other_versions = listed.versions.keys().filter(|number| **number != got.default).map(|number| format!("v{number}")).collect();
    let path = path_of(&format!("policy {arn}"), &got.path)?;
    let version = of.policy_at(arn, view.replica()).ok_or_else(|| no_policy(arn)).and_then(|found| {
        let number = number(found, &default)?;
        found.versions.get(&number).map(|stored| stored.document()).ok_or_else(|| no_policy(arn))
    });
    let document = version.map_err(|refusal| refusal.of("GetPolicyVersion"))?;
    Ok(Some(observed_policy(got, got.id.clone(), path, document, default, other_versions)))
}

fn observed_policy(
    got: &Policy,
    id: UniqueID,
    path: Path,
    document: Document,
    default_version: String,
    other_versions: Vec<String>,
) -> ObservedPolicy {
    let policy =
        ManagedPolicy { arn: got.arn.clone(), name: got.name.clone(), path, description: got.description.clone(), document, tags: got.tags.clone() };
    ObservedPolicy { id, policy, default_version, other_versions }
}
