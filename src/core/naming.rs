//! Whom the trust of a role names as sources: users and roles by name, and users by their labels.

use std::collections::BTreeSet;

use super::placement::matches;
use super::world::{Labels, ObjectKey, SourceKey, World};
use rolebridge_api::trust::{Source, UsersSelector};
use rolebridge_api::{BastionUser, CrossAccountRole};

/// The users and roles that a role names each by itself.
pub fn sources_named(role: &CrossAccountRole) -> BTreeSet<SourceKey> {
    let named = |source: &Source| match source {
        Source::User(user) => Some(SourceKey::User(key_in(role, user.namespace.as_deref(), &user.name))),
        Source::Role(named) => Some(SourceKey::Role(key_in(role, named.namespace.as_deref(), &named.name))),
        _ => None,
    };
    sources(role).filter_map(named).collect()
}

/// The namespaces in which a role selects users by their labels.
pub fn namespaces_selected(role: &CrossAccountRole) -> BTreeSet<String> {
    sources(role).filter_map(Source::users).flat_map(|users| searched(role, users)).map(str::to_owned).collect()
}

/// Whether a role selects a user by its labels.
pub fn selects(role: &CrossAccountRole, user: &BastionUser) -> bool {
    sources(role).filter_map(Source::users).any(|users| is_selected(role, users, user))
}

fn sources(role: &CrossAccountRole) -> impl Iterator<Item = &Source> {
    role.spec.trust.iter().flat_map(|entry| &entry.from)
}

pub(super) fn searched<'a>(role: &'a CrossAccountRole, users: &'a UsersSelector) -> Vec<&'a str> {
    match users.namespaces.as_slice() {
        [] => role.metadata.namespace.as_deref().into_iter().collect(),
        named => named.iter().map(String::as_str).collect(),
    }
}

pub(super) fn is_selected(role: &CrossAccountRole, users: &UsersSelector, user: &BastionUser) -> bool {
    let labels = user.metadata.labels.as_ref();
    searched(role, users).contains(&user.metadata.namespace.as_deref().unwrap_or_default())
        && matches(&users.selector, labels.unwrap_or(&Labels::new()))
}

pub(super) fn key_in(role: &CrossAccountRole, namespace: Option<&str>, name: &str) -> ObjectKey {
    ObjectKey::new(namespace.or(role.metadata.namespace.as_deref()).unwrap_or_default(), name)
}

/// Most sources of roles that are followed from one role. Whoever may write roles may have each name thousands of others.
const MOST_FOLLOWED: usize = 10_000;

/// Whether a role is a source of its own, be it through others, or may be: then it cannot wait for its sources.
pub fn is_its_own_source(world: &dyn World, role: &CrossAccountRole) -> bool {
    let itself = ObjectKey::of(role);
    let of =
        |role: &CrossAccountRole| sources_named(role).into_iter().filter_map(|key| if let SourceKey::Role(key) = key { Some(key) } else { None });
    let mut seen = BTreeSet::new();
    let mut next: Vec<ObjectKey> = of(role).collect();
    let mut followed = next.len();
    while let Some(key) = next.pop() {
        if key == itself || followed > MOST_FOLLOWED {
            return true;
        }
        if seen.insert(key.clone())
            && let Some(role) = world.role(&key)
        {
            let before = next.len();
            next.extend(of(&role).filter(|key| !seen.contains(key)));
            followed += next.len() - before;
        }
    }
    false
}
