//! The wanted state of a user or role, built from its resource and what that refers to.

use std::collections::{BTreeMap, BTreeSet};

use super::assume::{self, Found, Shares, share};
use super::document::{Document, DocumentKind, Statement};
use super::grants::{AssumableRole, Grant, Presence, arns_naming, grants_of_role, parse, role_identity, roles_of_user, user_identity};
use super::identity::{
    ASSUME_POLICY, CUT_OFF_POLICY, DEFAULT_SESSION_SECONDS, Identity, IdentityName, ManagedPolicy, REVOKE_SESSIONS_POLICY, RoleSettings,
};
use super::names::{Arn, Path, PolicyName, UniqueID, UserName, same_name};
use super::observed::{Observed, ObservedPolicy};
use super::outcome::Problem;
use super::ownership::{Owner, Tags};
use super::placement::Placement;
use super::world::{ObjectKey, World};
use crate::api::common::ConfigMapKeyReference;
use crate::api::role::DocumentSource;
use crate::api::{BastionUser, CrossAccountRole, Managed, Reason};

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
    /// The customer-managed policies that belong to the resource, by ARN, except for assume policies: see [`Desired::wanted`].
    pub policies: BTreeMap<Arn, ManagedPolicy>,
    /// Customer-managed policies that may be there besides: those that it had when its status was last written, and what a pass that died may have
    /// made of a user's assume policies.
    pub former_policies: BTreeSet<Arn>,
    /// Whether policies on the identity that are not wanted are taken off it.
    pub exclusive: bool,
    /// Whether `identity` and `policies` have the assume policies already, each role where it stands.
    pub has_assume_policies: bool,
}

/// What is to be there, given what is.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The user or role.
    pub identity: Identity,
    /// Its customer-managed policies, by ARN.
    pub policies: BTreeMap<Arn, ManagedPolicy>,
}

impl Desired {
    /// What is to be there, given what is. Grants that are merely kept are in it only where they are there already, and roles stay in the assume policy
    /// where they stand.
    ///
    /// # Errors
    /// [`Reason::QuotaExceeded`] where a user has more roles than its assume policies hold beside what stands in them.
    pub fn wanted(&self, observed: &Observed) -> Result<Wanted, Problem> {
        let found = observed.identity.as_ref().map(|f| &f.identity);
        let mut wanted = Wanted { identity: self.identity.clone(), policies: self.policies.clone() };
        if let (Some(role), Some(trust)) = (&mut wanted.identity.role, &self.trust) {
            let there = found.and_then(|f| f.role.as_ref()).map(|r| admitted(&r.trust_policy)).unwrap_or_default();
            role.trust_policy = trust_policy(trust, &there);
        }
        if !self.has_assume_policies {
            let found = Found::of(&self.identity, &self.owner, observed);
            let roles = standing_roles(&self.assumes, &found);
            let shares = share(&roles, &found).map_err(|excess| too_many(roles.len(), excess.roles))?;
            wanted.put_assume_policies(&self.arn, &shares);
        }
        Ok(wanted)
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
        let kept = |presence| if presence == Presence::Wanted { Presence::Kept } else { presence };
        let there = found.identity.as_ref().and_then(|f| f.identity.role.as_ref()).map(|r| &r.trust_policy);
        // Whoever the root of its account lets in already may be named: that adds nobody.
        let is_in = |g: &Grant| there.zip(g.principal.as_ref()).is_some_and(|(there, p)| admits(there, p.as_str()));
        let grant = |g: Grant| Grant { presence: if is_in(&g) { g.presence } else { kept(g.presence) }, ..g };
        let trust = trust.map(|entries| entries.into_iter().map(|entry| entry.into_iter().map(grant).collect()).collect());
        // A policy that is somebody else's is a conflict for those who want it; here nothing is wanted of it.
        let ours = |policy: &ObservedPolicy| owner.check("policy", &policy.policy.tags, &policy.id, None).is_ok();
        let mut policies: BTreeMap<Arn, ManagedPolicy> =
            found.policies.iter().filter(|(_, policy)| ours(policy)).map(|(arn, policy)| (arn.clone(), policy.policy.clone())).collect();
        let assumes: Vec<AssumableRole> = assumes.into_iter().map(|role| AssumableRole { presence: kept(role.presence), ..role }).collect();
        let there = Found::of(&identity, &owner, found);
        let shares = there.retained(&standing_roles(&assumes, &there));
        identity.inline_policies.retain(|name, _| name.as_str() != ASSUME_POLICY);
        identity.inline_policies.extend(inline_assume_policy(&shares));
        for (number, shard) in there.shards() {
            match (shares.shards.get(&number), policies.get_mut(shard)) {
                (Some(roles), Some(policy)) => policy.document = assume::document(roles),
                // What is not attached allows nothing, and nothing is added.
                _ => {
                    policies.remove(shard);
                    identity.attached_policies.remove(shard);
                }
            }
        }
        Some(Self {
            owner,
            pinned: Some(pinned),
            identity,
            arn,
            trust,
            assumes,
            policies,
            former_policies: BTreeSet::new(),
            exclusive: false,
            has_assume_policies: true,
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

impl Wanted {
    /// Puts the assume policies of a user in.
    fn put_assume_policies(&mut self, user_arn: &Arn, shares: &Shares<'_>) {
        let IdentityName::User(user) = &self.identity.name else { return };
        self.identity.inline_policies.extend(inline_assume_policy(shares));
        for (number, roles) in &shares.shards {
            let Some((name, arn)) = assume::shard(user_arn, &self.identity.path, user, *number) else { continue };
            self.identity.attached_policies.insert(arn.clone());
            let (path, tags) = (self.identity.path.clone(), self.identity.tags.clone());
            let policy = ManagedPolicy { arn: arn.clone(), name, path, description: String::new(), document: assume::document(roles), tags };
            self.policies.insert(arn, policy);
        }
    }
}

fn inline_assume_policy(shares: &Shares<'_>) -> Option<(PolicyName, Document)> {
    let name = ASSUME_POLICY.parse().ok().filter(|_| !shares.inline.is_empty())?;
    Some((name, assume::document(&shares.inline)))
}

/// The roles that are to be in the assume policies, given what is there.
fn standing_roles<'a>(assumes: &'a [AssumableRole], found: &Found<'_>) -> BTreeSet<&'a str> {
    let there = found.assumable();
    assumes.iter().filter(|role| role.presence.is_met(there.contains(role.arn.as_str()))).map(|role| role.arn.as_str()).collect()
}

fn too_many(roles: usize, excess: usize) -> Problem {
    let (policies, size) = (assume::MOST_SHARDS, assume::SHARD_QUOTA);
    Problem::new(
        Reason::QuotaExceeded,
        format!(
            "of {roles} roles that name the user {excess} find no place in the {policies} policies of {size} characters that a user can have attached: let fewer roles name this user; the roles it has stay"
        ),
    )
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
            name: IdentityName::User(name.clone()),
            path: path.clone(),
            tags: with_owner(&user.spec.tags, &owner),
            permissions_boundary: boundary,
            inline_policies: BTreeMap::new(),
            attached_policies: BTreeSet::new(),
            role: None,
        },
        trust: None,
        assumes: roles_of_user(world, user),
        policies: BTreeMap::new(),
        former_policies: assume_policies(world, user, at, &path, &name),
        exclusive: false,
        has_assume_policies: false,
        owner,
    };
    // What no sharing out could hold is refused from the start. What merely does not fit beside what is there turns out in the plan.
    let all: BTreeSet<&str> = desired.assumes.iter().filter(|role| role.presence != Presence::Absent).map(|role| role.arn.as_str()).collect();
    if let Err(excess) = share(&all, &Found::default()) {
        problems.push(too_many(all.len(), excess.roles));
    }
    if problems.is_empty() { Ok(desired) } else { Err(problems) }
}

/// The customer-managed policies that may hold the assume policies of a user: those that its status lists, and those that what names it may
/// have taken since.
pub fn assume_policies(world: &dyn World, user: &BastionUser, at: &Placement, path: &Path, name: &UserName) -> BTreeSet<Arn> {
    let arn = Arn::user(&at.partition, &at.id, path, name);
    let shard = |number: usize| assume::shard(&arn, path, name, number).map(|(_, arn)| arn);
    let told: BTreeSet<&str> = user.status().into_iter().flat_map(|s| &s.assume_policies).filter_map(|p| p.arn.as_deref()).collect();
    let listed = (1..=assume::MOST_SHARDS).filter(|number| shard(*number).is_some_and(|arn| told.contains(arn.as_str()))).collect();
    let roles = arns_naming(world, &ObjectKey::of(user));
    assume::possible(&listed, &roles.iter().map(Arn::as_str).collect()).into_iter().filter_map(shard).collect()
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
        has_assume_policies: false,
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
