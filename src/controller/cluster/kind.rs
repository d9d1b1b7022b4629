//! What sets the kinds apart that are watched and reconciled.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::{Api, Client, ResourceExt};

use super::relations::Dependency;
use super::stores::Stores;
use crate::api::conditions::condition_types;
use crate::api::permissions::Permissions;
use crate::api::reading::Read;
use crate::api::trust::Source;
use crate::api::{AWSAccount, BastionUser, Condition, CrossAccountRole, Managed};
use crate::core::access::{LONG_LIVED_KEYS, via};
use crate::core::attachable::names_attached;
use crate::core::naming::{namespaces_selected, sources_named};
use crate::core::permissions::config_references;
use crate::core::sources::why_not_ready;
use crate::core::world::{ObjectKey, Ref, SourceKey};

/// A kind that is watched and reconciled.
pub trait Kind: Managed {
    /// The conditions that the kind has besides the summary, in the order in which they are settled.
    const ASPECTS: &'static [&'static str];

    /// How the kind is named among the resources that are reconciled.
    fn reference(key: ObjectKey) -> Ref;

    /// Every object of the kind that the stores have.
    fn all(stores: &Stores) -> Vec<Arc<Self>>;

    /// The object of this key, if the stores have it.
    fn get(stores: &Stores, key: &ObjectKey) -> Option<Arc<Self>>;

    /// The API of the kind.
    fn api(client: Client, namespace: &str) -> Api<Read<Self>>;

    /// What the resource depends on, from its spec.
    fn dependencies(&self) -> BTreeSet<Dependency>;

    /// What this resource is to those that depend on it.
    fn provides(key: &ObjectKey) -> Dependency;

    /// What others see of its status.
    fn shown(status: &Self::Status) -> String;

    /// The unique ID of what was made for it, from its status.
    fn unique_id(status: &Self::Status) -> Option<&str>;

    /// Puts the generation and the conditions into a status.
    fn conclude(status: &mut Self::Status, generation: i64, conditions: Vec<Condition>);

    /// What is to be told with Ready although all is as declared.
    fn warning(&self) -> Option<&'static str> {
        None
    }
}

fn ready(conditions: &[Condition]) -> Option<&Condition> {
    conditions.iter().find(|c| c.type_ == condition_types::READY)
}

/// The reason of the summary, and what those tell of it that wait for this resource.
fn ready_and_why(conditions: &[Condition]) -> String {
    let ready = ready(conditions);
    format!("{:?} {:?}", ready.map(|ready| &ready.reason), ready.and_then(why_not_ready))
}

/// The customer-managed policies that a user or role attaches or declares.
fn policies<'a>(account: &'a str, permissions: Option<&'a Permissions>, boundary: Option<&'a str>) -> impl Iterator<Item = Dependency> + 'a {
    let attached = names_attached(permissions, boundary).map(|name| Dependency::Attached(account.to_owned(), name));
    let declared = permissions.into_iter().flat_map(|permissions| &permissions.customer_managed_policies);
    attached.chain(declared.map(|policy| Dependency::Declared(account.to_owned(), policy.name.to_ascii_lowercase())))
}

/// The roles that are not to be among those of others which permissions let an identity assume.
fn operators_roles(permissions: Option<&Permissions>) -> Option<Dependency> {
    permissions.filter(|permissions| !permissions.external_roles.is_empty()).map(|_| Dependency::OperatorsRoles)
}

/// The ConfigMaps that permissions take documents from.
fn config_maps(namespace: &str, permissions: Option<&Permissions>) -> impl Iterator<Item = Dependency> {
    config_references(permissions).into_iter().map(move |(name, _)| Dependency::ConfigMap(ObjectKey::new(namespace, name)))
}

impl Kind for AWSAccount {
    const ASPECTS: &'static [&'static str] = &[];

    fn reference(key: ObjectKey) -> Ref {
        Ref::Account(key)
    }

    fn all(stores: &Stores) -> Vec<Arc<Self>> {
        stores.accounts.state()
    }

    fn get(stores: &Stores, key: &ObjectKey) -> Option<Arc<Self>> {
        stores.account(&key.name)
    }

    fn dependencies(&self) -> BTreeSet<Dependency> {
        via(self).map(|name| Dependency::Account(name.into())).into_iter().collect()
    }

    fn provides(key: &ObjectKey) -> Dependency {
        Dependency::Account(key.name.clone())
    }

    fn shown(status: &Self::Status) -> String {
        format!("{:?} {:?} {:?} {:?}", ready(&status.conditions).map(|ready| &ready.reason), status.caller_arn, status.console_alias, status.quotas)
    }

    fn unique_id(_: &Self::Status) -> Option<&str> {
        None
    }

    fn api(client: Client, _: &str) -> Api<Read<Self>> {
        Api::all(client)
    }

    fn conclude(status: &mut Self::Status, generation: i64, conditions: Vec<Condition>) {
        status.observed_generation = generation;
        status.conditions = conditions;
    }

    fn warning(&self) -> Option<&'static str> {
        self.spec.access.secret_ref.as_ref().map(|_| LONG_LIVED_KEYS)
    }
}

impl Kind for BastionUser {
    const ASPECTS: &'static [&'static str] = &[condition_types::ACCOUNT_READY, condition_types::REFERENCES_RESOLVED, condition_types::SYNCED];

    fn reference(key: ObjectKey) -> Ref {
        Ref::User(key)
    }

    fn all(stores: &Stores) -> Vec<Arc<Self>> {
        stores.users.state()
    }

    fn get(stores: &Stores, key: &ObjectKey) -> Option<Arc<Self>> {
        stores.user(key)
    }

    fn dependencies(&self) -> BTreeSet<Dependency> {
        let namespace = self.namespace().unwrap_or_default();
        let configs = config_maps(&namespace, self.spec.permissions.as_ref());
        let own = [Dependency::Account(self.spec.account_ref.name.clone()), Dependency::Namespace(namespace.clone())];
        let policies = policies(self.account_name(), self.spec.permissions.as_ref(), self.spec.permissions_boundary_arn.as_deref());
        own.into_iter().chain(configs).chain(policies).chain(operators_roles(self.spec.permissions.as_ref())).collect()
    }

    fn provides(key: &ObjectKey) -> Dependency {
        Dependency::User(key.clone())
    }

    fn shown(status: &Self::Status) -> String {
        let roles: Vec<String> = status.roles.iter().map(|r| format!("{}/{}", r.namespace, r.name)).collect();
        format!("{:?} {} {} {}", status.user_id, ready_and_why(&status.conditions), status.roles_total, roles.join(" "))
    }

    fn unique_id(status: &Self::Status) -> Option<&str> {
        status.user_id.as_deref()
    }

    fn api(client: Client, namespace: &str) -> Api<Read<Self>> {
        Api::namespaced(client, namespace)
    }

    fn conclude(status: &mut Self::Status, generation: i64, conditions: Vec<Condition>) {
        status.observed_generation = generation;
        status.conditions = conditions;
    }
}

impl Kind for CrossAccountRole {
    const ASPECTS: &'static [&'static str] = &[condition_types::ACCOUNT_READY, condition_types::REFERENCES_RESOLVED, condition_types::SYNCED];

    fn reference(key: ObjectKey) -> Ref {
        Ref::Role(key)
    }

    fn all(stores: &Stores) -> Vec<Arc<Self>> {
        stores.roles.state()
    }

    fn get(stores: &Stores, key: &ObjectKey) -> Option<Arc<Self>> {
        stores.role(key)
    }

    fn dependencies(&self) -> BTreeSet<Dependency> {
        let namespace = self.namespace().unwrap_or_default();
        let trusted = self.spec.trust.iter().flat_map(|entry| &entry.from).filter_map(Source::account).map(|name| Dependency::Account(name.into()));
        let sources = sources_named(self).into_iter().map(|source| match source {
            SourceKey::User(key) => Dependency::User(key),
            SourceKey::Role(key) => Dependency::Role(key),
        });
        let selected = namespaces_selected(self).into_iter().map(Dependency::UsersOf);
        let configs = config_maps(&namespace, self.spec.permissions.as_ref());
        let own = [Dependency::Account(self.spec.account_ref.name.clone()), Dependency::Namespace(namespace.clone())];
        let policies = policies(self.account_name(), self.spec.permissions.as_ref(), self.spec.permissions_boundary_arn.as_deref());
        let operators = operators_roles(self.spec.permissions.as_ref());
        own.into_iter().chain(trusted).chain(sources).chain(selected).chain(configs).chain(policies).chain(operators).collect()
    }

    fn provides(key: &ObjectKey) -> Dependency {
        Dependency::Role(key.clone())
    }

    fn shown(status: &Self::Status) -> String {
        let grants: Vec<String> = status.grants.iter().map(|g| format!("{} {:?}", g.source, g.state)).collect();
        let roles: Vec<String> = status.roles.iter().map(|r| format!("{}/{}", r.namespace, r.name)).collect();
        format!("{:?} {} {} {} {}", status.role_id, ready_and_why(&status.conditions), grants.join(" "), status.roles_total, roles.join(" "))
    }

    fn unique_id(status: &Self::Status) -> Option<&str> {
        status.role_id.as_deref()
    }

    fn api(client: Client, namespace: &str) -> Api<Read<Self>> {
        Api::namespaced(client, namespace)
    }

    fn conclude(status: &mut Self::Status, generation: i64, conditions: Vec<Condition>) {
        status.observed_generation = generation;
        status.conditions = conditions;
    }
}
