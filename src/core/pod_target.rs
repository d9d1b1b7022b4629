//! Roles that EKS assumes for pods on behalf of another role: targets of associations of EKS Pod Identity.
//!
//! EKS assumes the role of the association, and with that session the target. It passes its session tags on, or, where the association has none, an external ID
//! that names the service account (EKS user guide, "Access AWS Resources using EKS Pod Identity Target IAM Roles").

use super::naming::key_in;
use super::outcome::Problem;
use super::world::ObjectKey;
use rolebridge_api::trust::{Source, TrustEntry};
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
    let has_external_ids = targets.all(|entry| entry.require.as_ref().is_some_and(|require| require.external_id.is_some()));
    let sources = || source.spec.trust.iter().flat_map(|entry| &entry.from);
    let mut pods = sources().filter_map(|source| if let Source::PodIdentity(pods) = source { Some(pods) } else { None }).peekable();
    let is_told = pods.peek().is_some() && (has_external_ids || pods.all(|pods| pods.session_tags));
    (!is_told).then(|| {
        Problem::new(
            Reason::InvalidSpec,
            format!(
                "spec.trust: role {key} with podIdentityTarget: its own trust needs a source of the form podIdentity, and, where that has sessionTags: false, \
                 require.externalID is needed here: region/account/cluster/namespace/service account, as externalId of the association says"
            ),
        )
    })
}
