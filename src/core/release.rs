//! Which roles still have to let go of a user or role that is being deleted: IAM would show its unique ID in their trust policies.

use std::time::Duration;

use super::listed::is_cut;
use super::world::{ObjectKey, SourceKey, World};
use rolebridge_api::{CrossAccountRole, Managed};

/// How long a source that is cut off waits for the roles that trust it to let go, before it is deleted all the same.
const RELEASE_BOUND: Duration = Duration::from_secs(60);

/// The roles that may still trust a source which has been in deletion for so long, and that it waits for, for a while.
pub fn held_by(world: &dyn World, source: &SourceKey, deleting_for: Duration) -> Vec<ObjectKey> {
    if deleting_for > RELEASE_BOUND {
        return vec![];
    }
    let told = source.to_string();
    let others = world.roles_naming(source, &|_| true).into_iter().filter(|role| SourceKey::Role(role.clone()) != *source);
    let roles = others.filter_map(|key| world.role(&key)).filter(|role| names_in_aws(role, &told));
    roles.map(|role| ObjectKey::of(&*role)).collect()
}

/// The roles that a source of this namespace waits for, as its status tells them: those of other namespaces are counted, since who reads it may not be able
/// to read them.
pub fn told(roles: &[ObjectKey], namespace: &str) -> String {
    let (own, others): (Vec<&ObjectKey>, Vec<&ObjectKey>) = roles.iter().partition(|role| role.namespace == namespace);
    let others = (!others.is_empty()).then(|| format!("{} of other namespaces", others.len()));
    own.into_iter().map(ObjectKey::to_string).chain(others).collect::<Vec<_>>().join(", ")
}

/// Whether a role's trust policy may still name a source. A role that carries our finalizer and has not said anything yet may, and so may one that has
/// no room to tell of all sources.
fn names_in_aws(role: &CrossAccountRole, source: &str) -> bool {
    if !role.is_finalized() {
        return false;
    }
    match role.status.as_ref().filter(|status| status.observed_generation >= 0) {
        None => true,
        Some(status) => {
            let mut told = status.grants.iter().filter(|told| told.source == source).peekable();
            if told.peek().is_some() { told.any(|told| told.principal.is_some()) } else { is_cut(status.grants.len(), status.grants_total) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_of_other_namespaces_are_counted_and_not_named() {
        let [own, other, another] = [("data", "reader"), ("other", "secret"), ("secret", "writer")].map(|(ns, name)| ObjectKey::new(ns, name));
        assert_eq!(told(std::slice::from_ref(&own), "data"), "data/reader");
        assert_eq!(told(&[own, other.clone(), another.clone()], "data"), "data/reader, 2 of other namespaces");
        assert_eq!(told(&[other, another], "data"), "2 of other namespaces");
    }
}
