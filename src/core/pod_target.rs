//! Roles that EKS assumes for pods on behalf of another role: targets of associations of EKS Pod Identity.
//!
//! EKS assumes the role of the association, and with that session the target. It passes its session tags on, or, where the association has none, an external ID
//! that names the service account (EKS user guide, "Access AWS Resources using EKS Pod Identity Target IAM Roles"). The role of the association says whose they are, so
//! both follow from it.

use std::collections::BTreeSet;

use super::names::Arn;
use super::naming::key_in;
use super::outcome::Problem;
use super::require::is_free_on;
use super::trust::Conditions;
use super::world::{ObjectKey, World};
use rolebridge_api::trust::{PodIdentitySource, Require, Source, TrustEntry};
use rolebridge_api::{CrossAccountRole, Reason};

/// That a role is declared as the target of associations of `source` that cannot be, or that could not be told apart. Which of both is not told: `source` may be in
/// a namespace that not everybody may read.
pub fn target_problem(role: &CrossAccountRole, source: &CrossAccountRole) -> Option<Problem> {
    let key = ObjectKey::of(source);
    let is_target = |entry: &&TrustEntry| {
        let mut named = entry.from.iter().filter_map(Source::role);
        named.any(|named| named.pod_identity_target && key_in(role, named.namespace.as_deref(), &named.name) == key)
    };
    let mut targets = role.spec.trust.iter().filter(is_target).peekable();
    targets.peek()?;
    let pods: Vec<&PodIdentitySource> = pods_of(source).collect();
    let ids = external_ids(source);
    let is_one = |entry: &TrustEntry| external_id(entry).is_none_or(|id| ids.contains(id));
    let are_told_apart = pods.iter().all(|pods| pods.session_tags) || (targets.all(is_one) && !pods.iter().any(|pods| pods.session_tags));
    (pods.is_empty() || !are_told_apart).then(|| {
        Problem::new(
            Reason::InvalidSpec,
            format!(
                "spec.trust: role {key} with podIdentityTarget: its own trust needs sources of the form podIdentity, all with session tags or all with sessionTags: \
                 false. Of the latter leave require.externalID out here, or set it to that of one of them: region/account/cluster/namespace/service account"
            ),
        )
    })
}

/// The conditions of a source of a role that EKS comes by without tags: the external ID tells the pods apart. Where the entry says itself which one it has to be,
/// that counts.
pub fn with_external_ids(
    world: &dyn World,
    role: &CrossAccountRole,
    require: Option<&Require>,
    source: &Source,
    conditions: Conditions,
) -> Conditions {
    let is_said = is_free_on(require, EXTERNAL_ID) || require.is_some_and(|require| require.external_id.is_some());
    let target = source.role().filter(|named| named.pod_identity_target && !is_said);
    let source = target.and_then(|named| world.role(&key_in(role, named.namespace.as_deref(), &named.name)));
    let ids = source.map(|source| external_ids(&source)).unwrap_or_default();
    if ids.is_empty() { conditions } else { conditions.with("StringEquals", EXTERNAL_ID, ids) }
}

const EXTERNAL_ID: &str = "sts:ExternalId";

/// The external IDs that EKS sends for the pods that come into a role without tags.
fn external_ids(source: &CrossAccountRole) -> BTreeSet<String> {
    let id = |pods: &PodIdentitySource| {
        let cluster: Arn = pods.cluster_arn.parse().ok()?;
        let name = cluster.resource().strip_prefix("cluster/")?;
        Some(format!("{}/{}/{name}/{}/{}", cluster.region(), cluster.account(), pods.namespace, pods.name))
    };
    pods_of(source).filter(|pods| !pods.session_tags).filter_map(id).collect()
}

fn pods_of(role: &CrossAccountRole) -> impl Iterator<Item = &PodIdentitySource> {
    let sources = role.spec.trust.iter().flat_map(|entry| &entry.from);
    sources.filter_map(|source| if let Source::PodIdentity(pods) = source { Some(pods.as_ref()) } else { None })
}

fn external_id(entry: &TrustEntry) -> Option<&String> {
    entry.require.as_ref()?.external_id.as_ref()
}
