//! Which customer-managed policies a user or role may have, whether or not its declaration can be carried out.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;

use super::assume::{self, Capacity, SessionRights, TagRight};
use super::grants::arns_naming;
use super::identity::{Identity, IdentityName};
use super::names::{Arn, Path, PolicyName};
use super::placement::ResolvedAccount;
use super::quotas::{Limits, MOST_SHARDS, Quotas};
use super::world::{ObjectKey, SourceKey, World};
use rolebridge_api::permissions::{Permissions, PolicyStatus};
use rolebridge_api::user::AssumePolicyStatus;
use rolebridge_api::{ANNOUNCED, BastionUser, CrossAccountRole, Managed};

/// The customer-managed policies that may hold the assume policies of a source: those that its status lists, and those that what names it may
/// have taken since, with this room.
fn assume_policies(
    world: &dyn World,
    source: &SourceKey,
    reported: &[AssumePolicyStatus],
    at: &ResolvedAccount,
    (path, name): (&Path, &IdentityName),
    capacity: Capacity,
) -> BTreeSet<Arn> {
    // Of the ARN only partition and account matter.
    let shard = |number: usize| assume::shard(&Arn::account_root(&at.partition, &at.id), path, name, number).map(|(_, arn)| arn);
    let reported: BTreeSet<&str> = reported.iter().filter_map(|p| p.arn.as_deref()).collect();
    let listed = (1..=MOST_SHARDS).filter(|number| shard(*number).is_some_and(|arn| reported.contains(arn.as_str()))).collect();
    let roles = arns_naming(world, source);
    // As much room as a role can take; users bring no tags along.
    let tag = if matches!(source, SourceKey::User(_)) { TagRight::Any } else { TagRight::Pods };
    let most = SessionRights { tag, set_source_identity: true };
    assume::possible(&listed, &roles.iter().map(|arn| (arn.as_str(), most)).collect(), capacity).into_iter().filter_map(shard).collect()
}

/// Names that count in the annotation; a resource declares no more policies (see [`Permissions`]). People can write it, and each name is one that is read.
const MOST_ANNOUNCED: usize = 25;

/// What is told of before it comes to be: a process that dies in between would leave what nobody knows of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Intended {
    /// The customer-managed policies that are about to be made: IAM finds a policy by its ARN alone.
    pub policies: BTreeSet<Arn>,
    /// The permissions boundary that is about to be put on for the account: nothing in IAM tells that it was the account that wanted it.
    pub boundary: Option<Arn>,
}

impl Intended {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty() && self.boundary.is_none()
    }

    /// The annotation that tells of it, if there is anything: the names of the policies, and the ARN of the boundary.
    pub fn announcement(&self) -> BTreeMap<&'static str, String> {
        let names = self.policies.iter().filter_map(|arn| Some(arn.iam_entity()?.name));
        let words: Vec<&str> = names.chain(self.boundary.as_ref().map(Arn::as_str)).collect();
        if words.is_empty() { BTreeMap::new() } else { BTreeMap::from([(ANNOUNCED, words.join(" "))]) }
    }
}

/// The permissions boundary that the annotation of an object tells of.
pub fn announced_boundary(object: &impl ResourceExt) -> Option<&str> {
    annotation(object)?.split_whitespace().find(|word| word.starts_with("arn:"))
}

/// The customer-managed policies that the annotation of an object tells of.
pub fn announced_by(object: &impl ResourceExt, at: &ResolvedAccount, path: &Path) -> BTreeSet<Arn> {
    named(annotation(object), at, path).collect()
}

fn named<'a>(announced: Option<&'a str>, at: &'a ResolvedAccount, path: &'a Path) -> impl Iterator<Item = Arn> {
    arns(announced.unwrap_or_default().split_whitespace().take(MOST_ANNOUNCED), at, path)
}

/// The ARNs of the policies of these names.
fn arns<'a>(names: impl Iterator<Item = &'a str>, at: &'a ResolvedAccount, path: &'a Path) -> impl Iterator<Item = Arn> {
    names.filter_map(|name| name.parse::<PolicyName>().ok()).map(|name| Arn::policy(&at.partition, &at.id, path, &name))
}

/// What a user or role says of its policies.
pub struct PolicyHolder<'a> {
    source: SourceKey,
    permissions: Option<&'a Permissions>,
    reported: &'a [PolicyStatus],
    assuming: &'a [AssumePolicyStatus],
    announced: Option<&'a str>,
}

impl<'a> From<&'a BastionUser> for PolicyHolder<'a> {
    fn from(user: &'a BastionUser) -> Self {
        let (reported, assuming) = user.status().map(|s| (s.policies.as_slice(), s.assume_policies.as_slice())).unwrap_or_default();
        Self {
            source: SourceKey::User(ObjectKey::of(user)),
            permissions: user.spec.permissions.as_ref(),
            reported,
            assuming,
            announced: annotation(user),
        }
    }
}

impl<'a> From<&'a CrossAccountRole> for PolicyHolder<'a> {
    fn from(role: &'a CrossAccountRole) -> Self {
        let (reported, assuming) = role.status().map(|s| (s.policies.as_slice(), s.assume_policies.as_slice())).unwrap_or_default();
        Self {
            source: SourceKey::Role(ObjectKey::of(role)),
            permissions: role.spec.permissions.as_ref(),
            reported,
            assuming,
            announced: annotation(role),
        }
    }
}

impl PolicyHolder<'_> {
    /// The customer-managed policies that its status lists, the assume policies among them.
    pub fn reported(&self) -> BTreeSet<Arn> {
        let assuming = self.assuming.iter().filter_map(|policy| policy.arn.as_deref()?.parse().ok());
        listed(self.reported).chain(assuming).collect()
    }

    /// The customer-managed policies that it may have, whether or not its declaration can be carried out.
    pub fn possible(&self, world: &dyn World, at: &ResolvedAccount, path: &Path, name: &IdentityName) -> BTreeSet<Arn> {
        self.policies(world, at, (path, name), Capacity { inline: 0, ..Capacity::WHOLE })
    }

    /// The customer-managed policies that it is likely to have: of the assume policies those that are told, and others only where what it declares leaves no
    /// room for the inline one.
    pub fn likely(&self, world: &dyn World, at: &ResolvedAccount, path: &Path, name: &IdentityName) -> BTreeSet<Arn> {
        let capacity = Capacity::beside(Limits::default(), Quotas::of(&at.account).limits(name));
        let declares_inline = self.permissions.is_some_and(|permissions| !permissions.inline_policies.is_empty());
        self.policies(world, at, (path, name), if declares_inline { Capacity { inline: 0, ..capacity } } else { capacity })
    }

    /// The customer-managed policies that its status lists, and the assume policies that it may have with the room that is left beside what it declares.
    pub fn former(&self, world: &dyn World, at: &ResolvedAccount, identity: &Identity, quotas: &Quotas) -> BTreeSet<Arn> {
        let capacity = Capacity::beside(Limits::taken_by(identity), quotas.limits(&identity.name));
        let assuming = assume_policies(world, &self.source, self.assuming, at, (&identity.path, &identity.name), capacity);
        assuming.into_iter().chain(listed(self.reported)).chain(named(self.announced, at, &identity.path)).collect()
    }

    /// The customer-managed policies that it declares, those that its status lists, and the assume policies that it may have with this room.
    fn policies(&self, world: &dyn World, at: &ResolvedAccount, (path, name): (&Path, &IdentityName), capacity: Capacity) -> BTreeSet<Arn> {
        let declared = self.permissions.into_iter().flat_map(|permissions| &permissions.customer_managed_policies).map(|policy| policy.name.as_str());
        let assuming = assume_policies(world, &self.source, self.assuming, at, (path, name), capacity);
        arns(declared, at, path).chain(listed(self.reported)).chain(assuming).chain(named(self.announced, at, path)).collect()
    }
}

fn annotation(object: &impl ResourceExt) -> Option<&str> {
    object.annotations().get(ANNOUNCED).map(String::as_str)
}

fn listed(reported: &[PolicyStatus]) -> impl Iterator<Item = Arn> {
    reported.iter().filter_map(|policy| policy.arn.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn user(annotation: &str) -> BastionUser {
        let metadata = json!({"name": "alice", "namespace": "data", "annotations": {ANNOUNCED: annotation}});
        let manifest =
            json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "BastionUser", "metadata": metadata, "spec": {"accountRef": {"name": "utils"}}});
        serde_json::from_value(manifest).unwrap()
    }

    fn names(annotation: &str) -> Vec<String> {
        announced_by(&user(annotation), &at(), &Path::root()).iter().map(|arn| arn.iam_entity().unwrap().name.to_owned()).collect()
    }

    fn at() -> ResolvedAccount {
        let account = json!({
            "apiVersion": "rolebridge.io/v1alpha1", "kind": "AWSAccount", "metadata": {"name": "utils"},
            "spec": {"accountID": "111111111111", "access": {"ambient": {}}, "allowedNamespaces": {"from": "All"}},
        });
        let account = std::sync::Arc::new(serde_json::from_value(account).unwrap());
        ResolvedAccount { name: "utils".into(), account, id: "111111111111".parse().unwrap(), partition: "aws".parse().unwrap() }
    }

    #[test]
    fn what_is_announced_is_found_again() {
        let arns: BTreeSet<Arn> = ["one", "two"].map(|name| format!("arn:aws:iam::111111111111:policy/{name}").parse().unwrap()).into();
        let boundary: Arn = "arn:aws:iam::111111111111:policy/limit".parse().unwrap();
        for boundary in [None, Some(boundary)] {
            let written = &Intended { policies: arns.clone(), boundary: boundary.clone() }.announcement()[ANNOUNCED];
            assert_eq!(announced_by(&user(written), &at(), &Path::root()), arns);
            assert_eq!(announced_boundary(&user(written)), boundary.as_ref().map(Arn::as_str));
        }
        assert!(Intended::default().announcement().is_empty(), "nothing is written where there is nothing to tell");
    }

    #[test]
    fn whoever_writes_the_annotation_has_no_more_read_than_a_resource_may_declare() {
        let many: Vec<String> = (0..1000).map(|number| format!("policy-{number}")).collect();
        assert_eq!(names(&many.join(" ")).len(), MOST_ANNOUNCED);
        assert_eq!(names("../x arn:aws:iam::222222222222:policy/y a/b good"), ["good"], "only names count, in the account and path of the resource");
    }
}
