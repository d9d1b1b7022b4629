//! What the watches keep of what the API server has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Resource;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};

use crate::api::{AWSAccount, BastionUser, CrossAccountRole};
use crate::core::world::{Labels, ObjectKey, Ref};

/// The stores of all kinds that are watched. Copies are the same stores.
#[derive(Clone)]
pub struct Stores {
    /// AWSAccounts.
    pub accounts: Store<AWSAccount>,
    /// BastionUsers.
    pub users: Store<BastionUser>,
    /// CrossAccountRoles.
    pub roles: Store<CrossAccountRole>,
    /// Namespaces, their metadata only.
    pub namespaces: Store<PartialObjectMeta<Namespace>>,
    /// ConfigMaps, their metadata only.
    pub config_maps: Store<PartialObjectMeta<ConfigMap>>,
}

impl Stores {
    /// The AWSAccount of this name.
    pub fn account(&self, name: &str) -> Option<Arc<AWSAccount>> {
        self.accounts.get(&ObjectRef::new(name))
    }

    /// The BastionUser of this key.
    pub fn user(&self, key: &ObjectKey) -> Option<Arc<BastionUser>> {
        self.users.get(&namespaced(key))
    }

    /// The CrossAccountRole of this key.
    pub fn role(&self, key: &ObjectKey) -> Option<Arc<CrossAccountRole>> {
        self.roles.get(&namespaced(key))
    }

    /// The ConfigMap of this key.
    pub fn config_map(&self, key: &ObjectKey) -> Option<Arc<PartialObjectMeta<ConfigMap>>> {
        self.config_maps.get(&namespaced(key))
    }

    /// The names of the ConfigMaps of a namespace.
    pub fn config_maps_in(&self, namespace: &str) -> Vec<String> {
        let all = self.config_maps.state();
        let there = all.iter().filter(|config_map| config_map.metadata.namespace.as_deref() == Some(namespace));
        there.filter_map(|config_map| config_map.metadata.name.clone()).collect()
    }

    /// The BastionUsers of a namespace, in order.
    pub fn users_in(&self, namespace: &str) -> Vec<Arc<BastionUser>> {
        let mut users = self.users.state();
        users.retain(|user| user.metadata.namespace.as_deref() == Some(namespace));
        users.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        users
    }

    /// The labels of a namespace, or None where there is no such namespace.
    pub fn namespace_labels(&self, name: &str) -> Option<Labels> {
        self.namespaces.get(&ObjectRef::new(name)).map(|n| n.metadata.labels.clone().unwrap_or_default())
    }

    /// Whether the API server has a resource, as far as the stores know.
    pub fn has(&self, of: &Ref) -> bool {
        match of {
            Ref::Account(key) => self.account(&key.name).is_some(),
            Ref::User(key) => self.user(key).is_some(),
            Ref::Role(key) => self.role(key).is_some(),
        }
    }
}

fn namespaced<K: Resource<DynamicType = ()>>(key: &ObjectKey) -> ObjectRef<K> {
    ObjectRef::new(&key.name).within(&key.namespace)
}

/// The labels of namespaces as last seen, so that only a change of labels wakes anybody.
#[derive(Default)]
pub struct SeenLabels(BTreeMap<String, Labels>);

impl SeenLabels {
    /// Notes the labels of a namespace, and tells whether they changed.
    pub fn note(&mut self, name: &str, labels: Option<&Labels>) -> bool {
        let labels = labels.cloned().unwrap_or_default();
        self.0.insert(name.into(), labels.clone()) != Some(labels)
    }

    /// Notes that a namespace is gone.
    pub fn gone(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Notes a whole list, and tells which namespaces are new, changed or gone by that.
    pub fn listed(&mut self, now: BTreeMap<String, Labels>) -> Vec<String> {
        let before = std::mem::replace(&mut self.0, now);
        let names: BTreeSet<&String> = before.keys().chain(self.0.keys()).collect();
        names.into_iter().filter(|name| before.get(*name) != self.0.get(*name)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_namespaces_tells_what_changed_while_nobody_watched() {
        let labels = |team: &str| Labels::from([("team".to_owned(), team.to_owned())]);
        let mut seen = SeenLabels::default();
        assert!(seen.note("a", Some(&labels("x"))) && seen.note("b", Some(&labels("x"))) && seen.note("c", None));
        assert!(!seen.note("a", Some(&labels("x"))));
        let now = [("a".to_owned(), labels("x")), ("b".to_owned(), labels("y")), ("d".to_owned(), Labels::new())];
        assert_eq!(seen.listed(now.into()), ["b", "c", "d"]);
        seen.gone("a");
        assert!(seen.note("a", Some(&labels("x"))), "made anew");
    }
}
