//! The assume policies of a user: which of its roles stands in which policy.
//!
//! They stand in one inline policy while that holds them, and beyond it in customer-managed policies, the *shards*, numbered from 1. A role stays in the
//! shard where it stands, so that a change writes to the shards that it concerns and no other; nothing is ever repacked. The way back to the
//! inline policy is taken only when all fits into half of it: otherwise one role that comes and goes would move all of them each time.
//!
//! A shard counts as the user's own by its name and its owner tags. What grants is the inline policy and the own shards that are attached.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Document, Effect, Statement};
use super::identity::{ASSUME_POLICY, Identity, IdentityName};
use super::names::{Arn, Path, PolicyName, UserName};
use super::observed::Observed;
use super::ownership::Owner;

/// Characters that all inline policies of a user may have together (IAM quotas).
pub const INLINE_QUOTA: usize = 2048;
/// Characters that a customer-managed policy may have (IAM quotas).
pub const SHARD_QUOTA: usize = 6144;
/// Managed policies that can be attached to a user, where nobody asked AWS for more (IAM quotas).
pub const MOST_SHARDS: usize = 10;
/// What of the inline quota is kept free for cutting the user off.
const CUT_OFF_ROOM: usize = 256;
/// Characters of an assume policy without its roles.
const FRAME: usize = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":[]}]}"#.len();

/// Which roles, by ARN, stand in which assume policy of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares<'a> {
    /// Those of the inline policy.
    pub inline: BTreeSet<&'a str>,
    /// Those of the shards, by number. None is empty.
    pub shards: BTreeMap<usize, BTreeSet<&'a str>>,
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

/// Name of a shard. A user's name has at most 64 characters, a policy's 128.
fn name(user: &UserName, number: usize) -> String {
    format!("{ASSUME_POLICY}-{user}-{number}")
}

/// Name and ARN of a shard of the user with this ARN; None where that is no ARN of a user.
pub fn shard(arn: &Arn, path: &Path, user: &UserName, number: usize) -> Option<(PolicyName, Arn)> {
    let name = name(user, number).parse().ok()?;
    let arn = Arn::policy(arn.partition(), &arn.account_id()?, path, &name);
    Some((name, arn))
}

/// The number of the shard that a policy is by its name, if it is one of the user's.
pub fn number(user: &Identity, policy: &Arn) -> Option<usize> {
    let IdentityName::User(user_name) = &user.name else { return None };
    let entity = policy.iam_entity().filter(|entity| entity.kind == "policy" && entity.path == user.path.as_str())?;
    let number = entity.name.rsplit_once('-')?.1.parse().ok().filter(|number| (1..=MOST_SHARDS).contains(number))?;
    (entity.name == name(user_name, number)).then_some(number)
}

/// The policies attached to a user that are shards by their name.
pub fn attached(user: &Identity) -> impl Iterator<Item = &Arn> {
    user.attached_policies.iter().filter(|arn| number(user, arn).is_some())
}

/// The numbers of the shards that are to be looked for, where `listed` are known to have been there and `roles` is all that may be wanted. Beyond what
/// is known, a pass that died may have made as many as the roles take, and one more where they stand loosely.
pub fn possible(listed: &BTreeSet<usize>, roles: &BTreeSet<&str>) -> BTreeSet<usize> {
    let needed = share(roles, &Found::default()).map_or(MOST_SHARDS, |shares| shares.shards.len());
    if listed.is_empty() && needed == 0 {
        return BTreeSet::new();
    }
    let missing = needed.saturating_sub(listed.len()) + 1;
    let others = (1..=MOST_SHARDS).filter(|number| !listed.contains(number)).take(missing);
    listed.iter().copied().chain(others).collect()
}

/// A policy that allows to assume these roles.
pub fn document(roles: &BTreeSet<&str>) -> Document {
    Document::new(vec![Statement::allow().actions(["sts:AssumeRole"]).resources(roles.iter().copied())])
}

/// Shares roles out: into the inline policy where it holds them all, and otherwise each to the shard where it stands; new ones to the first shard with
/// room, then to new shards.
///
/// # Errors
/// [`Excess`] where they do not fit into [`MOST_SHARDS`].
pub fn share<'a>(roles: &BTreeSet<&'a str>, found: &Found<'a>) -> Result<Shares<'a>, Excess> {
    let room = INLINE_QUOTA - CUT_OFF_ROOM;
    if roles.is_empty() || size(roles) <= if found.shards.is_empty() { room } else { room / 2 } {
        return Ok(Shares { inline: roles.clone(), shards: BTreeMap::new() });
    }
    let mut shards: BTreeMap<usize, Filling<'a>> = found.shards.keys().map(|number| (*number, Filling::default())).collect();
    let standing = found.standing();
    let (mut coming, mut excess) = (vec![], 0);
    for role in roles {
        let stays = standing.get(role).and_then(|number| shards.get_mut(number)).is_some_and(|shard| shard.put(role));
        if !stays {
            coming.push(*role);
        }
    }
    for role in coming {
        if shards.values_mut().any(|shard| shard.put(role)) {
            continue;
        }
        match (1..=MOST_SHARDS).find(|number| !shards.contains_key(number)) {
            Some(free) => excess += usize::from(!shards.entry(free).or_default().put(role)),
            None => excess += 1,
        }
    }
    if excess > 0 {
        return Err(Excess { roles: excess });
    }
    let shards = shards.into_iter().map(|(number, shard)| (number, shard.roles)).filter(|(_, roles)| !roles.is_empty());
    Ok(Shares { inline: BTreeSet::new(), shards: shards.collect() })
}

/// A shard while it is filled.
#[derive(Default)]
struct Filling<'a> {
    roles: BTreeSet<&'a str>,
    /// Characters of the roles.
    size: usize,
}

impl<'a> Filling<'a> {
    /// Puts a role in, where there is room.
    fn put(&mut self, role: &'a str) -> bool {
        let size = self.size + length(role);
        let fits = FRAME + size <= SHARD_QUOTA;
        if fits {
            self.size = size;
            self.roles.insert(role);
        }
        fits
    }
}

/// Characters that a role takes in a policy: quotation marks and a comma.
fn length(role: &str) -> usize {
    role.len() + 3
}

/// Characters of the policy for these roles, or one or two more.
fn size(roles: &BTreeSet<&str>) -> usize {
    FRAME + roles.iter().map(|role| length(role)).sum::<usize>()
}

impl<'a> Found<'a> {
    /// The assume policies that are there of a user. A policy of a shard's name that is somebody else's is none of them.
    pub fn of(user: &Identity, owner: &Owner, observed: &'a Observed) -> Self {
        let identity = observed.identity.as_ref().map(|found| &found.identity);
        let own = observed.policies.values().filter(|found| owner.check("policy", &found.policy.tags, &found.id, None).is_ok());
        let shard = |arn: &'a Arn, document: &'a Document| Shard {
            arn,
            document,
            is_attached: identity.is_some_and(|identity| identity.attached_policies.contains(arn)),
        };
        Self {
            inline: identity.and_then(|identity| identity.inline_policies.iter().find(|(name, _)| name.as_str() == ASSUME_POLICY)).map(|(_, d)| d),
            shards: own.filter_map(|found| Some((number(user, &found.policy.arn)?, shard(&found.policy.arn, &found.policy.document)))).collect(),
        }
    }

    /// The roles that the policies allow to assume and do not deny.
    pub fn assumable(&self) -> BTreeSet<&'a str> {
        let in_force = || self.inline.into_iter().chain(self.attached().map(|(_, shard)| shard.document));
        let denied: BTreeSet<&str> = in_force().flat_map(|document| named(document, Effect::Deny)).collect();
        in_force().flat_map(|document| named(document, Effect::Allow)).filter(|role| !denied.contains(role)).collect()
    }

    /// What is there of these roles in the policies that are in force, each where it stands.
    pub fn retained(&self, roles: &BTreeSet<&str>) -> Shares<'a> {
        let of = |document: &'a Document| -> BTreeSet<&'a str> {
            named(document, Effect::Allow).into_iter().filter(|role| roles.contains(role)).collect()
        };
        let shards = self.attached().map(|(number, shard)| (number, of(shard.document)));
        Shares { inline: self.inline.map(of).unwrap_or_default(), shards: shards.filter(|(_, roles)| !roles.is_empty()).collect() }
    }

    /// ARNs of the shards.
    pub fn shards(&self) -> impl Iterator<Item = (usize, &'a Arn)> {
        self.shards.iter().map(|(number, shard)| (*number, shard.arn))
    }

    /// All of them, for people. Also those that are to go: the status is how the next pass knows of them.
    pub fn listed(&self) -> impl Iterator<Item = Listed<'a>> {
        let inline = self.inline.map(|document| Listed { name: ASSUME_POLICY, arn: None, document, quota: INLINE_QUOTA });
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

/// The roles that the statements of one effect name for `sts:AssumeRole`.
fn named(document: &Document, effect: Effect) -> Vec<&str> {
    let of_effect = document.statements().into_iter().filter(|s| s.effect() == Some(effect) && s.covers_action("sts:AssumeRole"));
    of_effect.flat_map(|statement| statement.resources().unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests;
