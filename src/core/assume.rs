//! The assume policies of a source, a user or a role that others name as one: which of the roles that it may assume stands in which policy.
//!
//! They stand in one inline policy while that holds them, and beyond it in customer-managed policies, the *shards*, numbered from 1. A role stays in the
//! shard where it stands, so that a change writes to the shards that it concerns and no other; nothing is ever repacked. The way back to the
//! inline policy is taken only when all fits into half of it: otherwise one role that comes and goes would move all of them each time.
//!
//! A shard counts as the source's own by its name and its owner tags. What grants is the inline policy and the own shards that are attached.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Document, Effect, Statement, StatementRef};
use super::identity::{ASSUME_POLICY, Identity, IdentityName};
use super::names::{Arn, Path, PolicyName};
use super::observed::Observed;
use super::ownership::Owner;
use super::quotas::{CUT_OFF_ROOM, INLINE_QUOTA, Limits, MOST_SHARDS, SHARD_QUOTA};

/// How the names of a role's shards begin: not as a user's do, whatever the names of users are.
pub const ROLE_SHARD: &str = "rolebridge-role-assumes";
/// Whether a policy of this name holds roles for a user or role: nobody else may give a policy such a name. IAM compares names without regard to case.
pub fn is_assume_policy(name: &str) -> bool {
    let lower_case = name.to_ascii_lowercase();
    [ASSUME_POLICY, ROLE_SHARD].iter().any(|reserved| lower_case.starts_with(reserved))
}

/// Characters of an assume policy without its statements.
const FRAME: usize = r#"{"Version":"2012-10-17","Statement":[]}"#.len();

/// What a source must be allowed on a role beside `sts:AssumeRole`, in both halves of the grant, where sessions carry tags or a source identity (IAM
/// user guide, "Pass session tags in AWS STS" and "Monitor and control actions taken with assumed roles").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionRights {
    /// `sts:TagSession`.
    pub tag: TagRight,
    /// `sts:SetSourceIdentity`.
    pub set_source_identity: bool,
}

/// Which tags a source may give its sessions, by its own policy. What the role takes of them is said in its trust policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TagRight {
    /// None.
    #[default]
    Nothing,
    /// Those that EKS Pod Identity sets, which its sessions bring along.
    Pods,
    /// All that the role takes.
    Any,
}

/// The tags that EKS Pod Identity sets (EKS user guide, "Grant Pods access to AWS resources based on tags").
pub const POD_TAGS: [&str; 6] =
    ["eks-cluster-arn", "eks-cluster-name", "kubernetes-namespace", "kubernetes-service-account", "kubernetes-pod-name", "kubernetes-pod-uid"];

impl SessionRights {
    /// Those of either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { tag: self.tag.max(other.tag), set_source_identity: self.set_source_identity || other.set_source_identity }
    }

    /// The actions.
    pub fn actions(self) -> Vec<&'static str> {
        [(self.tag != TagRight::Nothing, "sts:TagSession"), (self.set_source_identity, "sts:SetSourceIdentity")]
            .into_iter()
            .filter_map(|(needed, action)| needed.then_some(action))
            .collect()
    }

    /// The statements for roles with these rights. The right to set the tags of pods has one of its own, since it alone has the condition on them.
    pub fn statements(self, roles: &[&str]) -> Vec<Statement> {
        let allow = |actions: Vec<&'static str>| Statement::allow().actions(actions).resources(roles.iter().copied());
        if self.tag != TagRight::Pods {
            return vec![allow(self.actions().into_iter().chain(["sts:AssumeRole"]).collect())];
        }
        let plain = Self { tag: TagRight::Nothing, ..self };
        let tag = allow(vec!["sts:TagSession"]).condition(ALL_EQUAL, TAG_KEYS, POD_TAGS);
        plain.statements(roles).into_iter().chain([tag]).collect()
    }

    /// Characters of the statements for roles with these rights, without the roles; the commas included.
    fn frame(self) -> usize {
        // An empty name takes the two characters that an empty list would.
        self.statements(&[""]).into_iter().map(|statement| Document::new(vec![statement]).size() - FRAME + ",".len()).sum()
    }

    /// Characters that a role takes in those statements.
    fn length(self, role: &str) -> usize {
        length(role) * if self.tag == TagRight::Pods { 2 } else { 1 }
    }
}

/// The operator and the key of the condition on the tags of pods.
const ALL_EQUAL: &str = "ForAllValues:StringEquals";
const TAG_KEYS: &str = "aws:TagKeys";

/// Roles, by ARN, with what a source must be allowed on each.
pub type Roles<'a> = BTreeMap<&'a str, SessionRights>;

/// Which roles, by ARN, stand in which assume policy of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocation<'a> {
    /// Those of the inline policy.
    pub inline: Roles<'a>,
    /// Those of the shards, by number. None is empty.
    pub shards: BTreeMap<usize, Roles<'a>>,
}

/// The assume policies that a user has.
#[derive(Clone, Debug, Default)]
pub struct Found<'a> {
    inline: Option<&'a Document>,
    shards: BTreeMap<usize, Shard<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Shard<'a> {
    arn: &'a Arn,
    document: &'a Document,
    is_attached: bool,
}

/// What the other policies of a user leave for its assume policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Characters of the inline policy.
    pub inline: usize,
    /// How many shards can be attached.
    pub shards: usize,
}

impl Capacity {
    /// What there is for a user without other policies.
    pub const WHOLE: Self = Self { inline: INLINE_QUOTA - CUT_OFF_ROOM, shards: MOST_SHARDS };

    /// What is left of the limits beside what other policies take.
    pub fn beside(taken: Limits, limits: Limits) -> Self {
        let inline = limits.inline_policies_size.saturating_sub(taken.inline_policies_size);
        Self { inline, shards: limits.attached_policies.saturating_sub(taken.attached_policies).min(MOST_SHARDS) }
    }
}

/// More roles than the shards hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// How many find no place.
    pub roles: usize,
}

/// An assume policy, for people.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// Name of the policy.
    pub name: &'a str,
    /// ARN of a shard; the inline policy has none.
    pub arn: Option<&'a Arn>,
    /// What it says.
    pub document: &'a Document,
    /// How many characters it may have.
    pub quota: usize,
}

/// Name of a shard. The name of a user or role has at most 64 characters, a policy's 128. Users and roles may have the same names, and their policies
/// may not.
fn name(of: &IdentityName, number: usize) -> String {
    match of {
        IdentityName::User(user) => format!("{ASSUME_POLICY}-{user}-{number}"),
        IdentityName::Role(role) => format!("{ROLE_SHARD}-{role}-{number}"),
    }
}

/// Name and ARN of a shard of the user or role with this ARN.
pub fn shard(arn: &Arn, path: &Path, of: &IdentityName, number: usize) -> Option<(PolicyName, Arn)> {
    let name = name(of, number).parse().ok()?;
    let arn = Arn::policy(arn.partition(), &arn.account_id()?, path, &name);
    Some((name, arn))
}

/// The number of the shard that a policy is by its name, if it is one of the identity's.
pub fn number(of: &Identity, policy: &Arn) -> Option<usize> {
    let entity = policy.iam_entity().filter(|entity| entity.kind == "policy" && entity.path == of.path.as_str())?;
    let number = entity.name.rsplit_once('-')?.1.parse().ok().filter(|number| (1..=MOST_SHARDS).contains(number))?;
    (entity.name == name(&of.name, number)).then_some(number)
}

/// The policies attached to an identity that are shards by their name.
pub fn attached(identity: &Identity) -> impl Iterator<Item = &Arn> {
    identity.attached_policies.iter().filter(|arn| number(identity, arn).is_some())
}

/// The numbers of the shards that are to be looked for, where `listed` are known to have been there and `roles` is all that may be wanted. Beyond what
/// is known, a pass that died may have made as many as the roles take, and one more where they stand loosely.
pub fn possible(listed: &BTreeSet<usize>, roles: &Roles<'_>, capacity: Capacity) -> BTreeSet<usize> {
    let needed = allocate(roles, &Found::default(), capacity).map_or(MOST_SHARDS, |shares| shares.shards.len());
    if listed.is_empty() && needed == 0 {
        return BTreeSet::new();
    }
    let missing = needed.saturating_sub(listed.len()) + 1;
    let others = (1..=MOST_SHARDS).filter(|number| !listed.contains(number)).take(missing);
    listed.iter().copied().chain(others).collect()
}

/// A policy that allows to assume these roles: the same statements for all that need the same rights.
pub fn document(roles: &Roles<'_>) -> Document {
    let mut alike: BTreeMap<SessionRights, Vec<&str>> = BTreeMap::new();
    roles.iter().for_each(|(role, rights)| alike.entry(*rights).or_default().push(role));
    Document::new(alike.into_iter().flat_map(|(rights, roles)| rights.statements(&roles)).collect())
}

/// Shares roles out: into the inline policy where it holds them all, and otherwise each to the shard where it stands; new ones to the first shard with
/// room, then to new shards.
///
/// # Errors
/// [`Excess`] where they do not fit into the room that there is.
pub fn allocate<'a>(roles: &Roles<'a>, found: &Found<'a>, capacity: Capacity) -> Result<Allocation<'a>, Excess> {
    if roles.is_empty() || size(roles) <= if found.shards.is_empty() { capacity.inline } else { capacity.inline / 2 } {
        return Ok(Allocation { inline: roles.clone(), shards: BTreeMap::new() });
    }
    let mut shards: BTreeMap<usize, Bin<'a>> = found.shards.keys().map(|number| (*number, Bin::default())).collect();
    let standing = found.standing();
    let (mut coming, mut overflowing, mut excess) = (vec![], BTreeSet::<usize>::new(), 0);
    for (role, rights) in roles {
        let stands = standing.get(role);
        if stands.and_then(|number| shards.get_mut(number)).is_some_and(|shard| shard.put(role, *rights)) {
            continue;
        }
        overflowing.extend(stands);
        coming.push((*role, *rights, stands.is_some()));
    }
    for (role, rights, moves) in coming {
        // A shard that roles have to leave takes in none that leave another: of two such shards neither could be written first.
        if shards.iter_mut().any(|(number, shard)| !(moves && overflowing.contains(number)) && shard.put(role, rights)) {
            continue;
        }
        let free = (1..=MOST_SHARDS).find(|number| !shards.contains_key(number)).filter(|_| shards.len() < capacity.shards);
        let fits = match free {
            Some(free) => shards.entry(free).or_default().put(role, rights),
            None => shards.values_mut().any(|shard| shard.put(role, rights)),
        };
        excess += usize::from(!fits);
    }
    if excess > 0 {
        return Err(Excess { roles: excess });
    }
    let shards = shards.into_iter().map(|(number, shard)| (number, shard.roles)).filter(|(_, roles)| !roles.is_empty());
    Ok(Allocation { inline: Roles::new(), shards: shards.collect() })
}

/// A shard while it is filled.
#[derive(Default)]
struct Bin<'a> {
    roles: Roles<'a>,
    /// The statements that they stand in.
    statements: BTreeSet<SessionRights>,
    /// Characters of roles and statements.
    size: usize,
}

impl<'a> Bin<'a> {
    /// Puts a role in, where there is room.
    fn put(&mut self, role: &'a str, rights: SessionRights) -> bool {
        let statement = if self.statements.contains(&rights) { 0 } else { rights.frame() };
        let size = self.size + statement + rights.length(role);
        let fits = FRAME + size <= SHARD_QUOTA;
        if fits {
            self.size = size;
            self.statements.insert(rights);
            self.roles.insert(role, rights);
        }
        fits
    }
}

/// Characters that a text takes in a list: quotation marks and a comma.
fn length(text: &str) -> usize {
    text.len() + 3
}

/// Characters of the policy for these roles, or a few more.
fn size(roles: &Roles<'_>) -> usize {
    let statements: BTreeSet<SessionRights> = roles.values().copied().collect();
    FRAME + statements.into_iter().map(SessionRights::frame).sum::<usize>() + roles.iter().map(|(role, rights)| rights.length(role)).sum::<usize>()
}

impl<'a> Found<'a> {
    /// The assume policies that are there of a source. A policy of a shard's name that is somebody else's is none of them.
    pub fn of(source: &Identity, owner: &Owner, observed: &'a Observed) -> Self {
        let identity = observed.identity.as_ref().map(|found| &found.identity);
        let own = observed.policies.values().filter(|found| owner.check("policy", &found.policy.tags, &found.id, None).is_ok());
        let shard = |arn: &'a Arn, document: &'a Document| Shard {
            arn,
            document,
            is_attached: identity.is_some_and(|identity| identity.attached_policies.contains(arn)),
        };
        Self {
            inline: identity.and_then(|identity| identity.inline_policies.iter().find(|(name, _)| name.as_str() == ASSUME_POLICY)).map(|(_, d)| d),
            shards: own.filter_map(|found| Some((number(source, &found.policy.arn)?, shard(&found.policy.arn, &found.policy.document)))).collect(),
        }
    }

    /// The roles that the policies allow to assume and do not deny.
    pub fn assumable(&self) -> BTreeSet<&'a str> {
        let in_force = || self.inline.into_iter().chain(self.attached().map(|(_, shard)| shard.document));
        let denied: BTreeSet<&str> = in_force().flat_map(|document| named(document, Effect::Deny)).collect();
        in_force().flat_map(|document| named(document, Effect::Allow)).filter(|role| !denied.contains(role)).collect()
    }

    /// What is there of these roles in the policies that are in force, each where it stands.
    pub fn retained(&self, roles: &Roles<'_>) -> Allocation<'a> {
        let of = |document: &'a Document| -> Roles<'a> {
            let there = named(document, Effect::Allow).into_iter();
            there.filter(|role| roles.contains_key(role)).map(|role| (role, rights(document, role))).collect()
        };
        let shards = self.attached().map(|(number, shard)| (number, of(shard.document)));
        Allocation { inline: self.inline.map(of).unwrap_or_default(), shards: shards.filter(|(_, roles)| !roles.is_empty()).collect() }
    }

    /// ARNs of the shards.
    pub fn shards(&self) -> impl Iterator<Item = (usize, &'a Arn)> {
        self.shards.iter().map(|(number, shard)| (*number, shard.arn))
    }

    /// All of them, for people, with what all inline policies may have together. Also those that are to go: the status is how the next pass knows of
    /// them.
    pub fn listed(&self, inline_quota: usize) -> impl Iterator<Item = Listed<'a>> {
        let inline = self.inline.map(|document| Listed { name: ASSUME_POLICY, arn: None, document, quota: inline_quota });
        let shard = |shard: &Shard<'a>| {
            let name = shard.arn.iam_entity().map(|entity| entity.name).unwrap_or_default();
            Listed { name, arn: Some(shard.arn), document: shard.document, quota: SHARD_QUOTA }
        };
        inline.into_iter().chain(self.shards.values().map(shard))
    }

    fn attached(&self) -> impl Iterator<Item = (usize, Shard<'a>)> {
        self.shards.iter().filter(|(_, shard)| shard.is_attached).map(|(number, shard)| (*number, *shard))
    }

    /// The shard that each role stands in; of several, one that is attached, so that it is never out of force.
    fn standing(&self) -> BTreeMap<&'a str, usize> {
        let (attached, detached): (Vec<_>, Vec<_>) = self.shards.iter().partition(|(_, shard)| shard.is_attached);
        let mut standing = BTreeMap::new();
        for (number, shard) in attached.into_iter().chain(detached) {
            for role in named(shard.document, Effect::Allow) {
                standing.entry(role).or_insert(*number);
            }
        }
        standing
    }
}

/// What a policy allows on a role beside assuming it.
fn rights(document: &Document, role: &str) -> SessionRights {
    let allowing =
        |action: &'static str| document.allowing().filter(move |s| s.covers_action(action) && s.resources().unwrap_or_default().contains(&role));
    let tags = |statement: StatementRef<'_>| if names_pod_tags(statement) { TagRight::Pods } else { TagRight::Any };
    SessionRights {
        tag: allowing("sts:TagSession").map(tags).max().unwrap_or_default(),
        set_source_identity: allowing("sts:SetSourceIdentity").next().is_some(),
    }
}

/// Whether a statement counts for the tags of pods only.
fn names_pod_tags(statement: StatementRef<'_>) -> bool {
    statement.conditions().iter().any(|condition| {
        let values: BTreeSet<&str> = condition.values.iter().map(AsRef::as_ref).collect();
        condition.operator == ALL_EQUAL && condition.key.eq_ignore_ascii_case(TAG_KEYS) && values.iter().all(|value| POD_TAGS.contains(value))
    })
}

/// The roles that the statements of one effect name for `sts:AssumeRole`.
fn named(document: &Document, effect: Effect) -> Vec<&str> {
    let of_effect = document.statements().into_iter().filter(|s| s.effect() == Some(effect) && s.covers_action("sts:AssumeRole"));
    of_effect.flat_map(|statement| statement.resources().unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests;
