//! Reading all users, roles and customer-managed policies of an account in bulk.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_iam::types::{AttachedPolicy, EntityType, ManagedPolicyDetail, PolicyDetail, RoleDetail, UserDetail};
use tracing::debug;

use super::observe::{boundary, names};
use super::reply::{document, oldest_first, path, session_seconds, tags, unreadable, value};
use super::{Sdk, list};
use rolebridge_core::document::Document;
use rolebridge_core::failure::Failure;
use rolebridge_core::identity::{Identity, IdentityName, ManagedPolicy, RoleSettings};
use rolebridge_core::names::{Arn, PolicyName};
use rolebridge_core::observed::{ObservedIdentity, ObservedPolicy};
use rolebridge_core::ownership::Tags;
use rolebridge_core::sweep::{Outline, Sweep};

const DETAILS: &str = "iam:GetAccountAuthorizationDetails";
const ROLES: &str = "iam:ListRoles";
/// Entries of a page: the most that IAM gives (IAM API reference, MaxItems).
const PAGE: i32 = 1000;

enum Detail {
    User(UserDetail),
    Role(RoleDetail),
    Policy(ManagedPolicyDetail),
}

/// What only ListRoles shows of a role: description and longest session.
type Settings = HashMap<String, (String, u32)>;

impl Sdk {
    pub(super) async fn sweep(&self) -> Result<Sweep, Failure> {
        let kinds = [EntityType::User, EntityType::Role, EntityType::LocalManagedPolicy];
        let request = self.iam.get_account_authorization_details().set_filter(Some(kinds.into())).max_items(PAGE);
        let details = list!(self, "iam:GetAccountAuthorizationDetails", request.clone(), |page| {
            let users = page.user_detail_list().iter().cloned().map(Detail::User);
            let roles = page.role_detail_list().iter().cloned().map(Detail::Role);
            let policies = page.policies().iter().cloned().map(Detail::Policy);
            users.chain(roles).chain(policies).collect::<Vec<_>>()
        })?;
        let settings = if details.iter().any(|detail| matches!(detail, Detail::Role(_))) { self.role_settings().await? } else { Settings::new() };
        let (mut identities, mut outlines, mut policies) = (vec![], vec![], vec![]);
        for detail in details {
            let (shown, outline) = match detail {
                Detail::User(user) => {
                    let Some(outline) = readable(user_outline(&user)) else { continue };
                    (readable(user_shown(&user, &outline)), outline)
                }
                Detail::Role(role) => {
                    let Some(outline) = readable(role_outline(&role)) else { continue };
                    (readable(role_shown(&role, &outline, &settings)).flatten(), outline)
                }
                Detail::Policy(policy) => {
                    policies.extend(readable(policy_shown(&policy)));
                    continue;
                }
            };
            match shown {
                Some(shown) => identities.push(shown),
                None => outlines.push(outline),
            }
        }
        Ok(Sweep::new(identities, policies).with_outlines(outlines))
    }

    async fn role_settings(&self) -> Result<Settings, Failure> {
        let request = self.iam.list_roles().max_items(PAGE);
        let roles = list!(self, "iam:ListRoles", request.clone(), |page| page.roles().iter().cloned())?;
        roles
            .into_iter()
            .map(|role| {
                let seconds = session_seconds(ROLES, role.max_session_duration())?;
                Ok((role.role_id().to_owned(), (role.description().unwrap_or_default().to_owned(), seconds)))
            })
            .collect()
    }
}

/// What Rolebridge cannot have made, such as a role in a path of AWS's own, is left out of what is compared, and so is what it cannot read: a sweep
/// only tells where to look, and what it does not show is read directly.
fn readable<T>(shown: Result<T, Failure>) -> Option<T> {
    shown.inspect_err(|failure| debug!(message = failure.message, "left out of what the sweep compares")).ok()
}

fn user_outline(user: &UserDetail) -> Result<Outline, Failure> {
    Ok(Outline {
        name: IdentityName::User(value(DETAILS, "UserName", user.user_name().unwrap_or_default())?),
        id: value(DETAILS, "UserId", user.user_id().unwrap_or_default())?,
        tags: tags(user.tags()),
        trust_policy: None,
    })
}

fn user_shown(user: &UserDetail, outline: &Outline) -> Result<ObservedIdentity, Failure> {
    let Outline { name, id, tags, .. } = outline.clone();
    let identity = Identity {
        path: path(&name.to_string(), user.path().unwrap_or_default())?,
        tags,
        permissions_boundary: boundary(DETAILS, user.permissions_boundary())?,
        inline_policies: inline(user.user_policy_list())?,
        attached_policies: attached(user.attached_managed_policies())?,
        groups: Some(names(DETAILS, user.group_list())?),
        role: None,
        name,
    };
    Ok(ObservedIdentity { id, identity })
}

fn role_outline(role: &RoleDetail) -> Result<Outline, Failure> {
    Ok(Outline {
        name: IdentityName::Role(value(DETAILS, "RoleName", role.role_name().unwrap_or_default())?),
        id: value(DETAILS, "RoleId", role.role_id().unwrap_or_default())?,
        tags: tags(role.tags()),
        trust_policy: Some(document(DETAILS, role.assume_role_policy_document())?),
    })
}

/// None for a role that came to be or went between the two lists.
fn role_shown(role: &RoleDetail, outline: &Outline, settings: &Settings) -> Result<Option<ObservedIdentity>, Failure> {
    let Outline { name, id, tags, trust_policy } = outline.clone();
    let (Some((description, max_session_duration)), Some(trust_policy)) = (settings.get(id.as_str()).cloned(), trust_policy) else {
        return Ok(None);
    };
    let identity = Identity {
        path: path(&name.to_string(), role.path().unwrap_or_default())?,
        tags,
        permissions_boundary: boundary(DETAILS, role.permissions_boundary())?,
        inline_policies: inline(role.role_policy_list())?,
        attached_policies: attached(role.attached_managed_policies())?,
        groups: None,
        role: Some(RoleSettings { description, max_session_duration, trust_policy }),
        name,
    };
    Ok(Some(ObservedIdentity { id, identity }))
}

fn policy_shown(policy: &ManagedPolicyDetail) -> Result<ObservedPolicy, Failure> {
    let arn: Arn = value(DETAILS, "Arn", policy.arn().unwrap_or_default())?;
    let default = policy.policy_version_list().iter().find(|version| version.is_default_version());
    let default = default.ok_or_else(|| unreadable(DETAILS, "a policy has no default version"))?;
    let others = policy.policy_version_list().iter().filter(|version| !version.is_default_version());
    Ok(ObservedPolicy {
        id: value(DETAILS, "PolicyId", policy.policy_id().unwrap_or_default())?,
        default_version: default.version_id().unwrap_or_default().to_owned(),
        other_versions: oldest_first(DETAILS, others.map(|version| version.version_id()))?,
        policy: ManagedPolicy {
            name: value(DETAILS, "PolicyName", policy.policy_name().unwrap_or_default())?,
            path: path(&format!("policy {arn}"), policy.path().unwrap_or_default())?,
            description: policy.description().unwrap_or_default().to_owned(),
            document: document(DETAILS, default.document())?,
            tags: Tags::new(),
            arn,
        },
    })
}

fn inline(policies: &[PolicyDetail]) -> Result<BTreeMap<PolicyName, Document>, Failure> {
    let one = |policy: &PolicyDetail| {
        Ok((value(DETAILS, "PolicyName", policy.policy_name().unwrap_or_default())?, document(DETAILS, policy.policy_document())?))
    };
    policies.iter().map(one).collect()
}

fn attached(policies: &[AttachedPolicy]) -> Result<BTreeSet<Arn>, Failure> {
    policies.iter().map(|policy| value(DETAILS, "PolicyArn", policy.policy_arn().unwrap_or_default())).collect()
}
