//! Session tags that go along from role to role.
//!
//! Those that EKS Pod Identity sets are transitive: whoever goes on from such a session brings them, and each role on the way has to permit it, in both halves
//! of the grant (EKS user guide, "Grant Pods access to AWS resources based on tags"; IAM user guide, "Pass session tags in AWS STS"). Which roles that are follows
//! from their trust, and both halves ask [`brings_tags`].

use std::collections::BTreeSet;

use super::assume::{POD_TAGS, SessionRights, TagRight};
use super::naming::key_in;
use super::placement::shared_with;
use super::require::{free_keys, is_free_on, session_rights};
use super::services::PODS;
use super::trust::Conditions;
use super::world::{ObjectKey, World};
use rolebridge_api::CrossAccountRole;
use rolebridge_api::trust::{Require, RoleSource, Source};

/// Most roles that a chain has between the pods and the role that is asked about. Each session of a chain is opened from the one before, within its hour.
pub const MOST_HOPS: usize = 8;
/// Most links between roles that are followed.
const MOST_LINKS: usize = 1000;
/// Most roles that are looked at. Whoever may write roles may have each name thousands of others.
const MOST_FOLLOWED: usize = 200;

/// Whether sessions of a role may bring tags along that they cannot leave behind: pods come into it with tags, or into a role from which it is reached. Links
/// that the source does not allow are none. What is too far away to be found brings nothing: a right too many would let others set these tags.
pub fn brings_tags(world: &dyn World, role: &ObjectKey) -> bool {
    let (mut seen, mut left) = (BTreeSet::from([role.clone()]), MOST_LINKS);
    let mut next = vec![role.clone()];
    for _ in 0..=MOST_HOPS {
        let mut sources = vec![];
        for role in next.iter().filter_map(|key| world.role(key)) {
            if lets_in_tagged(&role) {
                return true;
            }
            let named: BTreeSet<ObjectKey> = roles_named(&role).filter(|key| !seen.contains(key)).take(left).collect();
            left -= named.len();
            for key in named {
                if seen.len() < MOST_FOLLOWED && is_linked(world, &role, &key) && seen.insert(key.clone()) {
                    sources.push(key);
                }
            }
        }
        next = sources;
    }
    false
}

/// Whether a source of a role is another role whose sessions bring tags along.
pub fn comes_with_tags(world: &dyn World, role: &CrossAccountRole, source: &Source) -> bool {
    source.role().is_some_and(|named| takes_tags(role, named) && brings_tags(world, &key_in(role, named.namespace.as_deref(), &named.name)))
}

/// What a role must be allowed on others beside assuming them, for what its sessions bring along.
pub fn passing_on(world: &dyn World, role: &CrossAccountRole) -> SessionRights {
    let tag = if brings_tags(world, &ObjectKey::of(role)) { TagRight::Pods } else { TagRight::Nothing };
    SessionRights { tag, ..SessionRights::default() }
}

/// Conditions by which those tags may come along, and no others beside those that the entry asks for. Free conditions on `aws:TagKeys` say it themselves.
pub fn with_pod_tags(require: Option<&Require>, conditions: Conditions) -> Conditions {
    if is_free_on(require, "aws:TagKeys") {
        return conditions;
    }
    let asked =
        free_keys(require).filter_map(|key| key.split_once('/')).filter(|(kind, _)| kind.eq_ignore_ascii_case("aws:RequestTag")).map(|(_, tag)| tag);
    // Only a session that has such a tag can set it, to what it has: others than pods may come into the role between.
    let own =
        |made: Conditions, tag: &str| made.with("StringEqualsIfExists", &format!("aws:RequestTag/{tag}"), [format!("${{aws:PrincipalTag/{tag}}}")]);
    POD_TAGS.into_iter().fold(conditions.with("ForAllValues:StringEquals", "aws:TagKeys", POD_TAGS.into_iter().chain(asked)), own)
}

/// Whether a role takes tags from one that it names: from its own namespace, or where it says that this is a target of pods. Who writes a role elsewhere must not
/// decide which tags the sessions of others have.
fn takes_tags(role: &CrossAccountRole, named: &RoleSource) -> bool {
    let is_elsewhere = named.namespace.is_some() && named.namespace != role.metadata.namespace;
    named.pod_identity_target || !is_elsewhere
}

/// Whether pods come into a role with the tags of EKS Pod Identity.
fn lets_in_tagged(role: &CrossAccountRole) -> bool {
    role.spec.trust.iter().any(|entry| {
        entry.from.iter().any(|source| match source {
            Source::PodIdentity(pods) => pods.session_tags,
            Source::Service(service) => service == PODS && session_rights(entry.require.as_ref()).tag == TagRight::Any,
            _ => false,
        })
    })
}

fn roles_named(role: &CrossAccountRole) -> impl Iterator<Item = ObjectKey> {
    let named = role.spec.trust.iter().flat_map(|entry| &entry.from).filter_map(Source::role).filter(|named| takes_tags(role, named));
    named.map(|named| key_in(role, named.namespace.as_deref(), &named.name))
}

/// Whether a role lets another one, which names it, have it as a source.
fn is_linked(world: &dyn World, role: &CrossAccountRole, source: &ObjectKey) -> bool {
    let naming = role.metadata.namespace.as_deref().unwrap_or_default();
    world.role(source).is_some_and(|source_role| {
        shared_with(source_role.spec.allow_roles_from.as_ref(), &source.namespace, naming, world.namespace_labels(naming).as_ref())
    })
}

#[cfg(test)]
mod tests;
