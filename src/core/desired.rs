//! The wanted state of a user or role, built from its resource and what that refers to.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Document, DocumentKind, Effect, Statement};
use super::grants::{AssumableRole, Grant, Presence, grants_of_role, parse, role_identity, roles_of_user, user_identity};
use super::identity::{
    ASSUME_POLICY, CUT_OFF_POLICY, DEFAULT_SESSION_SECONDS, Identity, IdentityName, ManagedPolicy, REVOKE_SESSIONS_POLICY, RoleSettings,
};
use super::names::{Arn, PolicyName, UniqueID, same_name};
use super::observed::{Observed, ObservedPolicy};
use super::outcome::Problem;
use super::ownership::{Owner, Tags};
use super::placement::Placement;
use super::world::World;
use crate::api::common::ConfigMapKeyReference;
use crate::api::role::DocumentSource;
use crate::api::{BastionUser, CrossAccountRole, Managed, Reason};

/// Characters that all inline policies of a user may have together (IAM quotas), less what is kept free for cutting the user off.
const ASSUME_POLICY_BYTES: usize = 2048 - 256;

/// The wanted state of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Whose the objects are.
    pub owner: Owner,
    /// The unique ID that the resource's status has, if any.
    pub pinned: Option<UniqueID>,
    /// The user or role, except for what depends on what is there: see [`Desired::wanted`].
    pub identity: Identity,
    /// ARN of the user or role.
    pub arn: Arn,
    /// Entries of a role's trust policy; None for a user.
    pub trust: Option<Vec<Vec<Grant>>>,
    /// The roles that the identity may assume.
    pub assumes: Vec<AssumableRole>,
    /// The customer-managed policies that belong to the resource, by ARN.
    pub policies: BTreeMap<Arn, ManagedPolicy>,
    /// Customer-managed policies that belonged to it when its status was last written.
    pub former_policies: BTreeSet<Arn>,
    /// Whether policies on the identity that are not wanted are taken off it.
    pub exclusive: bool,
}

impl Desired {
    /// The identity as it is to be, given the one that is there. Grants that are merely kept are in it only where they are there already.
    pub fn wanted(&self, found: Option<&Identity>) -> Identity {
        let mut identity = self.identity.clone();
        if let (Some(role), Some(trust)) = (&mut identity.role, &self.trust) {
            let there = found.and_then(|f| f.role.as_ref()).map(|r| admitted(&r.trust_policy)).unwrap_or_default();
            role.trust_policy = trust_policy(trust, &there);
        }
        if let Some(name) = assume_policy_name() {
            let there: Vec<&str> = found.and_then(|f| f.inline_policies.get(&name)).map(assumable).unwrap_or_default();
            let arns: Vec<&Arn> = self.assumes.iter().filter(|r| r.presence.is_met(there.contains(&r.arn.as_str()))).map(|r| &r.arn).collect();
            if !arns.is_empty() {
                identity.inline_policies.insert(name, assume_policy(&arns));
            }
        }
        identity
    }

    /// What is wanted of an identity whose declaration cannot be carried out: that it stays as it is, less the grants that are withdrawn.
    /// Narrowing goes on whatever check fails; nothing is added.
    pub fn retrenched(
        owner: Owner,
        pinned: UniqueID,
        trust: Option<Vec<Vec<Grant>>>,
        assumes: Vec<AssumableRole>,
        arn: Arn,
        found: &Observed,
    ) -> Option<Self> {
        let mut identity = found.identity.as_ref()?.identity.clone();
        identity.inline_policies.retain(|name, _| name.as_str() != ASSUME_POLICY);
        let kept = |presence| if presence == Presence::Wanted { Presence::Kept } else { presence };
        let there = found.identity.as_ref().and_then(|f| f.identity.role.as_ref()).map(|r| &r.trust_policy);
        // Whoever the root of its account lets in already may be named: that adds nobody.
        let is_in = |g: &Grant| there.zip(g.principal.as_ref()).is_some_and(|(there, p)| admits(there, p.as_str()));
        let grant = |g: Grant| Grant { presence: if is_in(&g) { g.presence } else { kept(g.presence) }, ..g };
        let trust = trust.map(|entries| entries.into_iter().map(|entry| entry.into_iter().map(grant).collect()).collect());
        // A policy that is somebody else's is a conflict for those who want it; here nothing is wanted of it.
        let ours = |policy: &ObservedPolicy| owner.check("policy", &policy.policy.tags, &policy.id, None).is_ok();
        let policies = found.policies.iter().filter(|(_, policy)| ours(policy)).map(|(arn, policy)| (arn.clone(), policy.policy.clone())).collect();
        Some(Self {
            owner,
            pinned: Some(pinned),
            identity,
            arn,
            trust,
            assumes: assumes.into_iter().map(|role| AssumableRole { presence: kept(role.presence), ..role }).collect(),
            policies,
            former_policies: BTreeSet::new(),
            exclusive: false,
        })
    }

    /// Whether roles that the identity may assume are about to be made.
    pub fn has_roles_coming(&self) -> bool {
        self.assumes.iter().any(|role| role.is_coming)
    }

    /// Adds no role to the assume policy for now. Those that are withdrawn leave it all the same.
    pub fn hold_additions(&mut self) {
        for role in self.assumes.iter_mut().filter(|role| role.presence == Presence::Wanted) {
            role.presence = Presence::Kept;
        }
    }

    /// The policies that the resource has or had, which are read together with the identity.
    pub fn known_policies(&self) -> BTreeSet<Arn> {
        self.policies.keys().chain(&self.former_policies).cloned().collect()
    }

    /// The sources of the role with their unique IDs, by principal. A principal whose ID is another than when the trust policy was
    /// written stands there as an ID by now (IAM user guide, "Principal").
    pub fn principal_ids(&self) -> BTreeMap<Arn, String> {
        let grants = self.trust.iter().flatten().flatten();
        grants.filter_map(|g| Some((g.principal.clone()?, g.source_id.clone()?))).collect()
    }
}

/// The AWS principals that a trust policy allows and does not deny, as it names them.
pub fn admitted(trust: &Document) -> BTreeSet<&str> {
    let denied = trust.denied_aws_principals();
    trust.allowed_aws_principals().into_iter().filter(|principal| !covers(&denied, principal)).collect()
}

/// Whether a trust policy lets a principal in, by whatever name.
fn admits(trust: &Document, principal: &str) -> bool {
    covers(&admitted(trust), principal) && !covers(&trust.denied_aws_principals(), principal)
}

/// Whether a trust policy that names `principals` speaks of this one: by itself, by the root of its account, or by everyone.
pub fn covers<'a>(principals: impl IntoIterator<Item = &'a &'a str>, principal: &str) -> bool {
    let root = principal.parse::<Arn>().ok().and_then(|arn| Some(Arn::account_root(arn.partition(), &arn.account_id()?)));
    principals.into_iter().any(|p| *p == principal || *p == "*" || root.as_ref().is_some_and(|root| root.as_str() == *p))
}

/// The roles that an assume policy allows to assume and does not deny.
pub fn assumable(document: &Document) -> Vec<&str> {
    let statements = document.statements();
    let about = |effect| {
        let of_effect = statements.iter().filter(move |s| s.effect() == Some(effect) && s.covers_action("sts:AssumeRole"));
        of_effect.flat_map(|s| s.resources().unwrap_or_default())
    };
    let denied: BTreeSet<&str> = about(Effect::Deny).collect();
    about(Effect::Allow).filter(|role| !denied.contains(role)).collect()
}

/// The name of the assume policy, which is valid as it stands.
fn assume_policy_name() -> Option<PolicyName> {
    ASSUME_POLICY.parse().ok()
}

/// One statement for each entry, all its principals in it: many principals in one statement take the least room. With nobody to name,
/// everyone is denied, since IAM takes no trust policy without a principal.
fn trust_policy(entries: &[Vec<Grant>], there: &BTreeSet<&str>) -> Document {
    let statement = |entry: &Vec<Grant>| {
        let named = entry.iter().filter_map(|g| Some((g.presence, g.principal.as_ref()?.as_str())));
        let principals: BTreeSet<&str> = named.filter(|(presence, p)| presence.is_met(there.contains(p))).map(|(_, p)| p).collect();
        (!principals.is_empty()).then(|| Statement::allow().principals_aws(principals).actions(["sts:AssumeRole"]))
    };
    let statements: Vec<Statement> = entries.iter().filter_map(statement).collect();
    if statements.is_empty() { nobody() } else { Document::new(statements) }
}

/// A trust policy that denies everyone.
pub fn nobody() -> Document {
    Document::new(vec![Statement::deny().anyone().actions(["sts:AssumeRole"])])
}

/// A permissions policy that denies everything: what cuts a user off.
pub fn nothing() -> Document {
    Document::new(vec![Statement::deny().actions(["*"]).resources(["*"])])
}

fn assume_policy(roles: &[&Arn]) -> Document {
    Document::new(vec![Statement::allow().actions(["sts:AssumeRole"]).resources(roles.iter().map(|arn| arn.as_str()))])
}

/// The texts that a role takes from ConfigMaps; None where the ConfigMap or the key does not exist.
pub type ConfigTexts = BTreeMap<(String, String), Option<String>>;

/// The entries of ConfigMaps that a role takes documents from.
pub fn config_references(role: &CrossAccountRole) -> BTreeSet<(String, String)> {
    let Some(permissions) = &role.spec.permissions else { return BTreeSet::new() };
    let managed = permissions.customer_managed_policies.iter().filter_map(|p| p.config_map_key_ref.as_ref());
    let inline = permissions.inline_policies.iter().filter_map(|p| p.config_map_key_ref.as_ref());
    managed.chain(inline).map(|r| (r.name.clone(), r.key.clone())).collect()
}

/// The owner of the objects of a resource.
pub fn owner<K: Managed>(object: &K, installation: &str) -> Owner {
    let meta = object.meta();
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    Owner { installation: installation.into(), resource: format!("{}/{}/{}", K::KIND, part(&meta.namespace), part(&meta.name)), uid: part(&meta.uid) }
}

/// The wanted state of a user.
///
/// # Errors
/// All that is wrong with the resource itself.
pub fn desired_user(world: &dyn World, user: &BastionUser, at: &Placement, installation: &str) -> Result<Desired, Vec<Problem>> {
    let (name, path) = user_identity(user).map_err(|p| vec![p])?;
    let mut problems = vec![];
    let owner = owner(user, installation);
    let boundary = optional(&mut problems, "spec.permissionsBoundaryARN", user.spec.permissions_boundary_arn.as_deref());
    let desired = Desired {
        arn: Arn::user(&at.partition, &at.id, &path, &name),
        pinned: user.status().and_then(|s| s.user_id.as_deref()).and_then(|id| id.parse().ok()),
        identity: Identity {
            name: IdentityName::User(name),
            path,
            tags: with_owner(&user.spec.tags, &owner),
            permissions_boundary: boundary,
            inline_policies: BTreeMap::new(),
            attached_policies: BTreeSet::new(),
            role: None,
        },
        trust: None,
        assumes: roles_of_user(world, user),
        policies: BTreeMap::new(),
        former_policies: BTreeSet::new(),
        exclusive: false,
        owner,
    };
    let all: Vec<&Arn> = desired.assumes.iter().filter(|r| r.presence != Presence::Absent).map(|r| &r.arn).collect();
    let bytes = if all.is_empty() { 0 } else { assume_policy(&all).size() };
    if bytes > ASSUME_POLICY_BYTES {
        problems.push(Problem::new(
            Reason::QuotaExceeded,
            format!("the assume policy for {} roles takes {bytes} bytes and a user's inline policies hold {ASSUME_POLICY_BYTES}: let fewer roles name this user; the roles it has stay", all.len()),
        ));
    }
    if problems.is_empty() { Ok(desired) } else { Err(problems) }
}

/// The wanted state of a role.
///
/// # Errors
/// All that is wrong with the resource itself, and missing ConfigMaps. Sources that are not ready are no error: they are in the grants.
pub fn desired_role(
    world: &dyn World,
    role: &CrossAccountRole,
    at: &Placement,
    texts: &ConfigTexts,
    installation: &str,
) -> Result<Desired, Vec<Problem>> {
    let (name, path) = role_identity(role).map_err(|p| vec![p])?;
    let mut problems = vec![];
    let owner = owner(role, installation);
    let tags = with_owner(&role.spec.tags, &owner);
    let boundary = optional(&mut problems, "spec.permissionsBoundaryARN", role.spec.permissions_boundary_arn.as_deref());
    let max_session_duration =
        role.spec.max_session_duration.as_deref().map_or(Some(DEFAULT_SESSION_SECONDS), |d| seconds(&mut problems, "spec.maxSessionDuration", d));
    let mut attached_policies = BTreeSet::new();
    let mut inline_policies = BTreeMap::new();
    let mut policies = BTreeMap::new();
    let permissions = role.spec.permissions.clone().unwrap_or_default();
    for name in &permissions.attached_policies {
        attached_policies.extend(attached(&mut problems, name, at));
    }
    for policy in &permissions.inline_policies {
        let field = format!("spec.permissions.inlinePolicies[{}]", policy.name);
        let name = keep(&mut problems, parse::<PolicyName>(&format!("{field}.name"), &policy.name).and_then(|name| unreserved(&field, name)));
        if let (Some(name), Some(document)) = (name, document(&mut problems, &field, policy.source(), texts)) {
            inline_policies.insert(name, document);
        }
    }
    for policy in &permissions.customer_managed_policies {
        let field = format!("spec.permissions.customerManagedPolicies[{}]", policy.name);
        let name = keep(&mut problems, parse::<PolicyName>(&format!("{field}.name"), &policy.name));
        if let (Some(name), Some(document)) = (name, document(&mut problems, &field, policy.source(), texts)) {
            let arn = Arn::policy(&at.partition, &at.id, &path, &name);
            attached_policies.insert(arn.clone());
            let description = policy.description.clone().unwrap_or_default();
            policies.insert(arn.clone(), ManagedPolicy { arn, name, path: path.clone(), description, document, tags: tags.clone() });
        }
    }
    let (true, Some(max_session_duration)) = (problems.is_empty(), max_session_duration) else { return Err(problems) };
    Ok(Desired {
        arn: Arn::role(&at.partition, &at.id, &path, &name),
        pinned: role.status().and_then(|s| s.role_id.as_deref()).and_then(|id| id.parse().ok()),
        identity: Identity {
            name: IdentityName::Role(name),
            path,
            tags,
            permissions_boundary: boundary,
            inline_policies,
            attached_policies,
            role: Some(RoleSettings { description: role.spec.description.clone().unwrap_or_default(), max_session_duration, trust_policy: nobody() }),
        },
        trust: Some(grants_of_role(world, role, at)),
        assumes: vec![],
        policies,
        former_policies: role.status().into_iter().flat_map(|s| &s.policies).filter_map(|p| p.arn.parse().ok()).collect(),
        exclusive: true,
        owner,
    })
}

/// Some names are spoken for: by Rolebridge itself, and by AWS's console for revoking sessions, which no declaration may undo.
fn unreserved(field: &str, name: PolicyName) -> Result<PolicyName, Problem> {
    if [ASSUME_POLICY, CUT_OFF_POLICY, REVOKE_SESSIONS_POLICY].iter().any(|reserved| same_name(reserved, name.as_str())) {
        return Err(Problem::new(Reason::InvalidSpec, format!("{field}.name: {name} is reserved; choose another name")));
    }
    Ok(name)
}

fn with_owner(tags: &Tags, owner: &Owner) -> Tags {
    tags.clone().into_iter().chain(owner.tags()).collect()
}

fn keep<T>(problems: &mut Vec<Problem>, result: Result<T, Problem>) -> Option<T> {
    result.map_err(|p| problems.push(p)).ok()
}

fn optional(problems: &mut Vec<Problem>, field: &str, value: Option<&str>) -> Option<Arn> {
    value.and_then(|value| keep(problems, parse(field, value)))
}

/// Reads a duration such as `1h30m`, in seconds.
fn seconds(problems: &mut Vec<Problem>, field: &str, value: &str) -> Option<u32> {
    let unreadable = |_| {
        Problem::new(Reason::InvalidSpec, format!("{field}: {value} is no length of time; write hours, minutes and seconds, for example 1h or 1h30m"))
    };
    let duration = keep(problems, value.parse::<jiff::SignedDuration>().map_err(unreadable))?;
    keep(
        problems,
        u32::try_from(duration.as_secs())
            .map_err(|_| Problem::new(Reason::InvalidSpec, format!("{field}: {value} is no length of time; choose from 1h to 12h"))),
    )
}

fn attached(problems: &mut Vec<Problem>, policy: &str, at: &Placement) -> Option<Arn> {
    let field = "spec.permissions.attachedPolicies";
    let arn = if policy.starts_with("arn:") {
        parse(field, policy)
    } else {
        Arn::aws_managed_policy(&at.partition, policy).map_err(|e| Problem::new(Reason::InvalidSpec, format!("{field}: {e}")))
    };
    keep(problems, arn)
}

fn document(problems: &mut Vec<Problem>, field: &str, source: Option<DocumentSource<'_>>, texts: &ConfigTexts) -> Option<Document> {
    let (place, parsed) = match source {
        Some(DocumentSource::Document(value)) => (format!("{field}.document"), Document::from_value(serde_json::Value::Object(value.clone()))),
        Some(DocumentSource::Json(text)) => (format!("{field}.json"), Document::parse(text)),
        Some(DocumentSource::ConfigMap(reference)) => {
            (format!("{field}: ConfigMap {} key {}", reference.name, reference.key), Document::parse(config_text(problems, field, reference, texts)?))
        }
        None => {
            problems.push(Problem::new(Reason::InvalidSpec, format!("{field}: set exactly one of document, json and configMapKeyRef")));
            return None;
        }
    };
    let found = match parsed {
        Ok(document) => {
            let wrong = document.lint(DocumentKind::Permissions);
            if wrong.is_empty() && document.allows_assume_role() {
                problems.push(Problem::new(
                    Reason::InvalidDocument,
                    format!("{place} allows sts:AssumeRole: who may assume which role is told in the spec.trust of that role, not in a policy"),
                ));
                return None;
            }
            if wrong.is_empty() {
                return Some(document);
            }
            wrong
        }
        Err(wrong) => wrong,
    };
    problems.extend(found.iter().map(|p| Problem::new(Reason::InvalidDocument, format!("{place}: {p}"))));
    None
}

fn config_text<'a>(problems: &mut Vec<Problem>, field: &str, reference: &ConfigMapKeyReference, texts: &'a ConfigTexts) -> Option<&'a str> {
    let text = texts.get(&(reference.name.clone(), reference.key.clone())).and_then(|t| t.as_deref());
    if text.is_none() {
        let message = format!(
            "{field}: there is no ConfigMap {} with the key {} in this namespace; create it. What is in AWS stays as it is.",
            reference.name, reference.key
        );
        problems.push(Problem::new(Reason::ConfigMapNotFound, message));
    }
    text
}
