//! The wanted state of a user or role, built from its resource and what that refers to.

use std::collections::{BTreeMap, BTreeSet};

use super::assume::{self, Found, SessionRights, Shares, share};
use super::document::{Document, DocumentKind, Statement};
use super::grants::{
    AssumableRole, Grant, Presence, arns_naming, is_its_own_source, parse, role_identity, roles_of_role, roles_of_user, user_identity,
};
use super::identity::{
    ASSUME_POLICY, CUT_OFF_POLICY, DEFAULT_SESSION_SECONDS, Identity, IdentityName, ManagedPolicy, REVOKE_SESSIONS_POLICY, RoleSettings,
};
use super::names::{Arn, Path, PolicyName, UniqueID, same_name};
use super::observed::{Observed, ObservedPolicy};
use super::outcome::Problem;
use super::ownership::{Owner, Tags};
use super::placement::Placement;
use super::quotas::Quotas;
use super::sources::{grants_of_role, trust_problems};
use super::trust::{Admission, Trust, nobody, trust_policy};
use super::world::{ObjectKey, SourceKey, World};
use crate::api::common::ConfigMapKeyReference;
use crate::api::role::{DocumentSource, GrantState};
use crate::api::user::AssumePolicyStatus;
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
    /// How much the account lets it have.
    pub quotas: Quotas,
    /// Whether a role is a source of its own, be it through others, so that it cannot wait for its sources.
    pub is_its_own_source: bool,
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
            role.trust_policy = trust_to_be(trust, found.and_then(trust_of).as_ref());
        }
        if !self.has_assume_policies {
            let found = Found::of(&self.identity, &self.owner, observed);
            let roles = standing_roles(&self.assumes, &found);
            let shares = share(&roles, &found).map_err(|excess| too_many(&self.identity.name, roles.len(), excess.roles))?;
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
        let grant = |g: Grant| Grant { presence: kept(g.presence), ..g };
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
            // Whatever stands may stay.
            quotas: Quotas { trust_policy_size: usize::MAX, ..Quotas::default() },
            is_its_own_source: false,
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
        let named = |g: &Grant| g.admission.as_ref()?.principal.as_str().parse::<Arn>().ok().filter(|arn| !arn.is_account_root());
        grants.filter_map(|g| Some((named(g)?, g.source_id.clone()?))).collect()
    }

    /// What keeps principals from being trusted again that are not who they were, going by the trust policy that is there.
    pub fn replaced(&self, observed: &Observed) -> Vec<Problem> {
        let there = observed.identity.as_ref().and_then(|found| trust_of(&found.identity));
        let replaced = self.trust.iter().flatten().flatten().filter(|grant| grant.is_replaced(there.as_ref()));
        let problem = |grant: &Grant| {
            let source = &grant.source;
            Problem::new(
                Reason::IdentityChanged,
                format!(
                    "{source} was deleted in AWS, and what bears its name now is another one: to trust that one, take {source} out of spec.trust, and once that is done put it in again"
                ),
            )
        };
        replaced.map(problem).collect()
    }

    /// Whether principals turned out to be gone that the status tells as trusted. It must tell so before the trust policy changes, which is all that shows it.
    pub fn is_newly_replaced(&self, observed: &Observed) -> bool {
        let there = observed.identity.as_ref().and_then(|found| trust_of(&found.identity));
        let mut grants = self.trust.iter().flatten().flatten();
        grants.any(|grant| grant.told != Some(GrantState::Replaced) && grant.is_replaced(there.as_ref()))
    }

    /// What works and is worth knowing.
    pub fn warnings(&self, observed: &Observed) -> Vec<String> {
        let role = observed.identity.as_ref().and_then(|found| found.identity.role.as_ref());
        let (size, quota) = (role.map_or(0, |role| role.trust_policy.size()), self.quotas.trust_policy_size);
        let full = (size * 5 >= quota * 4)
            .then(|| format!("the trust policy has {size} of {quota} characters that it may have: use principal: AccountRoot, or have AWS raise the quota, before it is full"));
        let is_role = |grant: &Grant| matches!(grant.key, Some(SourceKey::Role(_)));
        let chained = self.trust.iter().flatten().flatten().any(is_role);
        let long = role.is_some_and(|role| role.max_session_duration > DEFAULT_SESSION_SECONDS);
        let short_chain = (chained && long)
            .then(|| "spec.maxSessionDuration does not count for sessions that another role's session opens: those last one hour at most".to_owned());
        full.into_iter().chain(short_chain).collect()
    }
}

impl Wanted {
    /// Puts the assume policies of the identity in.
    fn put_assume_policies(&mut self, arn_of_identity: &Arn, shares: &Shares<'_>) {
        self.identity.inline_policies.extend(inline_assume_policy(shares));
        for (number, roles) in &shares.shards {
            let Some((name, arn)) = assume::shard(arn_of_identity, &self.identity.path, &self.identity.name, *number) else { continue };
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
fn standing_roles<'a>(assumes: &'a [AssumableRole], found: &Found<'_>) -> assume::Roles<'a> {
    let there = found.assumable();
    assumes.iter().filter(|role| role.presence.is_met(there.contains(role.arn.as_str()))).map(|role| (role.arn.as_str(), role.rights)).collect()
}

fn too_many(who: &IdentityName, roles: usize, excess: usize) -> Problem {
    let (policies, size) = (assume::MOST_SHARDS, assume::SHARD_QUOTA);
    Problem::new(
        Reason::QuotaExceeded,
        format!(
            "of {roles} roles that name the {} {excess} find no place in the {policies} policies of {size} characters that a {} can have attached: let fewer roles name this {}; the roles it has stay",
            who.kind(),
            who.kind(),
            who.kind()
        ),
    )
}

/// What the trust policy of an identity that is there lets in.
pub fn trust_of(identity: &Identity) -> Option<Trust> {
    identity.role.as_ref().map(|role| Trust::of(&role.trust_policy))
}

/// The trust policy that is to be there. A grant that is merely kept is in it as it stands: under what is required now where that only narrows it, and
/// otherwise under what was required before.
fn trust_to_be(entries: &[Vec<Grant>], there: Option<&Trust>) -> Document {
    let nothing = Trust::default();
    let known = there.unwrap_or(&nothing);
    let as_declared = |grant: &Grant| {
        let admission = grant.admission.as_ref().filter(|_| !grant.is_replaced(there))?;
        let stands = match grant.presence {
            Presence::Wanted => true,
            Presence::Kept => known.covers(admission) && !kept(grant, admission, known).is_empty(),
            Presence::Absent => false,
        };
        stands.then(|| admission.clone())
    };
    let mut to_be: Vec<BTreeSet<Admission>> = entries.iter().map(|entry| entry.iter().filter_map(as_declared).collect()).collect();
    for (index, grant) in entries.iter().enumerate().flat_map(|(index, entry)| entry.iter().map(move |grant| (index, grant))) {
        let Some(admission) = grant.admission.as_ref().filter(|_| grant.presence == Presence::Kept && as_declared(grant).is_none()) else { continue };
        // What another entry has is not repeated: several may name one principal under conditions of their own.
        let missing = kept(grant, admission, known).into_iter().filter(|kept| !to_be.iter().flatten().any(|there| there.extends(kept)));
        let missing: Vec<Admission> = if grant.is_replaced(there) { vec![] } else { missing.collect() };
        to_be[index].extend(missing);
    }
    trust_policy(to_be)
}

/// What there is of a grant.
fn kept(grant: &Grant, admission: &Admission, there: &Trust) -> Vec<Admission> {
    let principal = &admission.principal;
    // IAM takes only principals that exist. Of one that may not, it must be named already; others may come in by the root of their account.
    let exists = grant.source_id.is_some() || principal.is_account() || (grant.key.is_none() && grant.told.is_none());
    let own = |standing: &&Admission| exists || principal.covers(&standing.principal);
    there.standing(principal).filter(own).map(|there| Admission { principal: principal.clone(), ..there.clone() }).collect()
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
    let identity_name = IdentityName::User(name.clone());
    let told = user.status().map(|s| s.assume_policies.as_slice()).unwrap_or_default();
    let desired = Desired {
        arn: Arn::user(&at.partition, &at.id, &path, &name),
        pinned: user.status().and_then(|s| s.user_id.as_deref()).and_then(|id| id.parse().ok()),
        identity: Identity {
            name: identity_name.clone(),
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
        former_policies: assume_policies(world, &SourceKey::User(ObjectKey::of(user)), told, at, &path, &identity_name),
        exclusive: false,
        has_assume_policies: false,
        quotas: Quotas::of(&at.account),
        is_its_own_source: false,
        owner,
    };
    problems.extend(check_assumes(&desired));
    if problems.is_empty() { Ok(desired) } else { Err(problems) }
}

/// What no sharing out could hold is refused from the start. What merely does not fit beside what is there turns out in the plan.
fn check_assumes(desired: &Desired) -> Option<Problem> {
    let all = desired.assumes.iter().filter(|role| role.presence != Presence::Absent);
    let all: assume::Roles<'_> = all.map(|role| (role.arn.as_str(), role.rights)).collect();
    share(&all, &Found::default()).err().map(|excess| too_many(&desired.identity.name, all.len(), excess.roles))
}

/// The customer-managed policies that may hold the assume policies of a source: those that its status lists, and those that what names it may
/// have taken since.
pub fn assume_policies(
    world: &dyn World,
    source: &SourceKey,
    told: &[AssumePolicyStatus],
    at: &Placement,
    path: &Path,
    name: &IdentityName,
) -> BTreeSet<Arn> {
    let shard = |number: usize| {
        // Of the ARN only partition and account matter.
        assume::shard(&Arn::account_root(&at.partition, &at.id), path, name, number).map(|(_, arn)| arn)
    };
    let told: BTreeSet<&str> = told.iter().filter_map(|p| p.arn.as_deref()).collect();
    let listed = (1..=assume::MOST_SHARDS).filter(|number| shard(*number).is_some_and(|arn| told.contains(arn.as_str()))).collect();
    let roles = arns_naming(world, source);
    // As much room as a role can take.
    let most = SessionRights { tag: true, set_source_identity: true };
    assume::possible(&listed, &roles.iter().map(|arn| (arn.as_str(), most)).collect()).into_iter().filter_map(shard).collect()
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
    problems.extend(trust_problems(role));
    let (true, Some(max_session_duration)) = (problems.is_empty(), max_session_duration) else { return Err(problems) };
    let identity_name = IdentityName::Role(name.clone());
    let status = role.status();
    let told = status.map(|s| s.assume_policies.as_slice()).unwrap_or_default();
    let own = status.into_iter().flat_map(|s| &s.policies).filter_map(|p| p.arn.parse().ok());
    let assuming = assume_policies(world, &SourceKey::Role(ObjectKey::of(role)), told, at, &path, &identity_name);
    let desired = Desired {
        arn: Arn::role(&at.partition, &at.id, &path, &name),
        pinned: role.status().and_then(|s| s.role_id.as_deref()).and_then(|id| id.parse().ok()),
        identity: Identity {
            name: identity_name,
            path,
            tags,
            permissions_boundary: boundary,
            inline_policies,
            attached_policies,
            role: Some(RoleSettings { description: role.spec.description.clone().unwrap_or_default(), max_session_duration, trust_policy: nobody() }),
        },
        trust: Some(grants_of_role(world, role, at)),
        assumes: roles_of_role(world, role),
        policies,
        former_policies: own.chain(assuming).collect(),
        exclusive: true,
        has_assume_policies: false,
        quotas: Quotas::of(&at.account),
        is_its_own_source: is_its_own_source(world, role),
        owner,
    };
    problems.extend(check_assumes(&desired));
    if problems.is_empty() { Ok(desired) } else { Err(problems) }
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
