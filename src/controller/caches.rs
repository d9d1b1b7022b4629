//! What the API server has, kept by watches, and whom each change wakes.
//!
//! One task for each kind feeds a store and this hub. Nothing is reconciled before every store has been filled once: with half of the
//! roles, a user's assume policy would lose the other half.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::memory::Memory;
use super::relations::{Need, Relations};
use crate::api::conditions::kinds;
use crate::api::permissions::Permissions;
use crate::api::{AWSAccount, BastionUser, Condition, CrossAccountRole, Managed};
use crate::core::access::via;
use crate::core::grants::{namespaces_selected, selects, sources_named};
use crate::core::listed::is_cut;
use crate::core::permissions::config_references;
use crate::core::sources::why_not_ready;
use crate::core::world::{Labels, ObjectKey, Ref, SourceKey, World};

/// The stores of all kinds that are watched.
pub struct Caches {
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
    /// What is remembered of each resource.
    pub memory: Arc<Memory>,
    relations: Mutex<Relations>,
    facets: Mutex<HashMap<Ref, Facets>>,
    wake: Wake,
}

/// Where the resources to reconcile are sent, by kind.
pub struct Wake {
    /// AWSAccounts.
    pub accounts: UnboundedSender<ObjectRef<AWSAccount>>,
    /// BastionUsers.
    pub users: UnboundedSender<ObjectRef<BastionUser>>,
    /// CrossAccountRoles.
    pub roles: UnboundedSender<ObjectRef<CrossAccountRole>>,
    /// What was sent and has not been begun, and since when. The queue starts its short wait anew with each request: without this, somebody who writes
    /// all the time could put off another's reconcile for ever.
    pub outstanding: Mutex<HashMap<Ref, Instant>>,
}

impl Wake {
    /// Has a resource reconciled. During shutdown nobody listens any more, which is as it should be.
    fn send(&self, what: &Ref) {
        match self.outstanding.lock().entry(what.clone()) {
            Entry::Occupied(_) => return,
            Entry::Vacant(entry) => entry.insert(Instant::now()),
        };
        let _ = match what {
            Ref::Account(key) => self.accounts.send(ObjectRef::new(&key.name)).is_ok(),
            Ref::User(key) => self.users.send(ObjectRef::new(&key.name).within(&key.namespace)).is_ok(),
            Ref::Role(key) => self.roles.send(ObjectRef::new(&key.name).within(&key.namespace)).is_ok(),
        };
    }
}

/// The two sides of a resource whose change means work: for itself, and for those that it concerns.
#[derive(Clone, Copy, Default, PartialEq)]
struct Facets {
    own: u64,
    shown: u64,
    generation: Option<i64>,
}

fn hash(parts: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// A kind that is reconciled and watched.
pub trait Watched: Managed {
    /// How the kind is named among the resources that are reconciled.
    fn reference(key: ObjectKey) -> Ref;

    /// Every object of the kind that the caches have.
    fn all(caches: &Caches) -> Vec<Arc<Self>>;

    /// The object of this key, if the caches have it.
    fn get(caches: &Caches, key: &ObjectKey) -> Option<Arc<Self>>;

    /// What the resource depends on, from its spec.
    fn needs(&self) -> BTreeSet<Need>;

    /// The need that this resource fulfils for others, if any.
    fn fulfils(key: &ObjectKey) -> Option<Need>;

    /// What others see of its status.
    fn shown(status: &Self::Status) -> String;

    /// The unique ID of what was made for it, from its status.
    fn unique_id(status: &Self::Status) -> Option<&str>;
}

fn ready(conditions: &[Condition]) -> Option<&Condition> {
    conditions.iter().find(|c| c.type_ == kinds::READY)
}

/// The reason of the summary, and what those tell of it that wait for this resource.
fn ready_and_why(conditions: &[Condition]) -> String {
    let ready = ready(conditions);
    format!("{:?} {:?}", ready.map(|ready| &ready.reason), ready.and_then(why_not_ready))
}

/// The ConfigMaps that permissions take documents from.
fn config_maps(namespace: &str, permissions: Option<&Permissions>) -> impl Iterator<Item = Need> {
    config_references(permissions).into_iter().map(move |(name, _)| Need::ConfigMap(ObjectKey::new(namespace, name)))
}

impl Watched for AWSAccount {
    fn reference(key: ObjectKey) -> Ref {
        Ref::Account(key)
    }

    fn all(caches: &Caches) -> Vec<Arc<Self>> {
        caches.accounts.state()
    }

    fn get(caches: &Caches, key: &ObjectKey) -> Option<Arc<Self>> {
        caches.account(&key.name)
    }

    fn needs(&self) -> BTreeSet<Need> {
        via(self).map(|name| Need::Account(name.into())).into_iter().collect()
    }

    fn fulfils(key: &ObjectKey) -> Option<Need> {
        Some(Need::Account(key.name.clone()))
    }

    fn shown(status: &Self::Status) -> String {
        format!("{:?} {:?} {:?} {:?}", ready(&status.conditions).map(|ready| &ready.reason), status.caller_arn, status.console_alias, status.quotas)
    }

    fn unique_id(_: &Self::Status) -> Option<&str> {
        None
    }
}

impl Watched for BastionUser {
    fn reference(key: ObjectKey) -> Ref {
        Ref::User(key)
    }

    fn all(caches: &Caches) -> Vec<Arc<Self>> {
        caches.users.state()
    }

    fn get(caches: &Caches, key: &ObjectKey) -> Option<Arc<Self>> {
        caches.user(key)
    }

    fn needs(&self) -> BTreeSet<Need> {
        let namespace = self.namespace().unwrap_or_default();
        let configs = config_maps(&namespace, self.spec.permissions.as_ref());
        let own = [Need::Account(self.spec.account_ref.name.clone()), Need::Namespace(namespace.clone())];
        own.into_iter().chain(configs).collect()
    }

    fn fulfils(key: &ObjectKey) -> Option<Need> {
        Some(Need::User(key.clone()))
    }

    fn shown(status: &Self::Status) -> String {
        let roles: Vec<String> = status.roles.iter().map(|r| format!("{}/{}", r.namespace, r.name)).collect();
        format!("{:?} {} {} {}", status.user_id, ready_and_why(&status.conditions), status.roles_total, roles.join(" "))
    }

    fn unique_id(status: &Self::Status) -> Option<&str> {
        status.user_id.as_deref()
    }
}

impl Watched for CrossAccountRole {
    fn reference(key: ObjectKey) -> Ref {
        Ref::Role(key)
    }

    fn all(caches: &Caches) -> Vec<Arc<Self>> {
        caches.roles.state()
    }

    fn get(caches: &Caches, key: &ObjectKey) -> Option<Arc<Self>> {
        caches.role(key)
    }

    fn needs(&self) -> BTreeSet<Need> {
        let namespace = self.namespace().unwrap_or_default();
        let trusted = self.spec.trust.iter().flat_map(|entry| &entry.from).filter_map(|s| s.account.clone()).map(Need::Account);
        let sources = sources_named(self).into_iter().map(|source| match source {
            SourceKey::User(key) => Need::User(key),
            SourceKey::Role(key) => Need::Role(key),
        });
        let selected = namespaces_selected(self).into_iter().map(Need::UsersOf);
        let configs = config_maps(&namespace, self.spec.permissions.as_ref());
        let own = [Need::Account(self.spec.account_ref.name.clone()), Need::Namespace(namespace.clone())];
        own.into_iter().chain(trusted).chain(sources).chain(selected).chain(configs).collect()
    }

    fn fulfils(key: &ObjectKey) -> Option<Need> {
        Some(Need::Role(key.clone()))
    }

    fn shown(status: &Self::Status) -> String {
        let grants: Vec<String> = status.grants.iter().map(|g| format!("{} {:?}", g.source, g.state)).collect();
        let roles: Vec<String> = status.roles.iter().map(|r| format!("{}/{}", r.namespace, r.name)).collect();
        format!("{:?} {} {} {} {}", status.role_id, ready_and_why(&status.conditions), grants.join(" "), status.roles_total, roles.join(" "))
    }

    fn unique_id(status: &Self::Status) -> Option<&str> {
        status.role_id.as_deref()
    }
}

impl Caches {
    /// Caches over these stores, which wake through these channels.
    pub fn new(
        accounts: Store<AWSAccount>,
        users: Store<BastionUser>,
        roles: Store<CrossAccountRole>,
        namespaces: Store<PartialObjectMeta<Namespace>>,
        config_maps: Store<PartialObjectMeta<ConfigMap>>,
        wake: Wake,
    ) -> Self {
        Self { accounts, users, roles, namespaces, config_maps, memory: Arc::default(), relations: Mutex::default(), facets: Mutex::default(), wake }
    }

    /// Takes note of a resource as the store has it now, and wakes it and whom it concerns where something changed that matters.
    pub fn applied<K: Watched>(&self, object: &K) {
        let key = ObjectKey::of(object);
        let of = K::reference(key.clone());
        let meta = object.meta();
        let deleting = meta.deletion_timestamp.is_some();
        let now = Facets {
            // A status without conditions was never written, or was wiped.
            own: hash((
                meta.generation,
                deleting,
                &meta.finalizers,
                &meta.annotations,
                &meta.labels,
                &meta.uid,
                object.status().is_some_and(|s| !K::conditions(s).is_empty()),
            )),
            shown: hash((meta.generation, deleting, &meta.finalizers, &meta.labels, &meta.uid, object.status().map(K::shown))),
            generation: meta.generation,
        };
        let before = self.facets.lock().insert(of.clone(), now).unwrap_or_default();
        if before.shown != now.shown {
            if let Some(id) = object.status().and_then(K::unique_id) {
                self.memory.fates.forget_others(&of, id);
            }
            let mut concerned = self.selected_by(&of, before.generation != now.generation);
            concerned.extend(self.relations.lock().set(&of, object.needs()));
            concerned.extend(self.selected_by(&of, before.generation != now.generation));
            if deleting {
                concerned.extend(self.relations.lock().accounts_of(&of));
            }
            concerned.extend(self.concerned_by(K::fulfils(&key)));
            concerned.extend(self.selecting(&of));
            concerned.remove(&of);
            concerned.iter().for_each(|r| self.wake(r));
        }
        if before.own != now.own {
            self.wake(&of);
        }
    }

    /// The resources of a kind that are known of, and of which a list has nothing any more.
    pub fn missing<K: Watched>(&self, present: &BTreeSet<Ref>) -> Vec<ObjectKey> {
        let is_kind = |r: &Ref| std::mem::discriminant(r) == std::mem::discriminant(&K::reference(ObjectKey::new("", "")));
        let relations = self.relations.lock();
        let gone = relations.known().filter(|r| is_kind(r) && !present.contains(*r));
        gone.map(|of| of.key().clone()).collect()
    }

    /// Takes note of a resource that is gone, and wakes whom that concerns; its account among them, which may be waiting for that.
    pub fn deleted<K: Watched>(&self, key: &ObjectKey) {
        let of = &K::reference(key.clone());
        self.facets.lock().remove(of);
        let mut others = self.selected_by(of, true);
        others.extend(self.selecting(of));
        let mut concerned: BTreeSet<Ref> = {
            let mut relations = self.relations.lock();
            let accounts = relations.accounts_of(of);
            relations.remove(of).into_iter().chain(accounts).collect()
        };
        concerned.extend(others);
        concerned.extend(self.concerned_by(K::fulfils(key)));
        if matches!(of, Ref::Account(_)) {
            // Another AWSAccount for the same account of AWS may take its place.
            concerned.extend(self.accounts.state().iter().map(|account| Ref::Account(ObjectKey::of(&**account))));
        }
        concerned.iter().for_each(|r| self.wake(r));
    }

    /// The resources that hold the other halves of the grants of a user or role.
    pub fn partners(&self, of: &Ref) -> BTreeSet<Ref> {
        match of {
            Ref::User(key) => self.concerned_by(Some(Need::User(key.clone()))).into_iter().chain(self.selecting(of)).collect(),
            Ref::Role(key) => {
                let sources = self.relations.lock().sources_of(of);
                let trusting = self.concerned_by(Some(Need::Role(key.clone())));
                sources.into_iter().chain(self.selected_by(of, false)).chain(trusting).collect()
            }
            Ref::Account(_) => BTreeSet::new(),
        }
    }

    /// Takes note that a pass begins: whatever changes from now on wakes the resource again. Tells how long it stood in the queue, where it was
    /// woken.
    pub fn begins(&self, of: &Ref) -> Option<Duration> {
        self.wake.outstanding.lock().remove(of).map(|since| since.elapsed())
    }

    /// Takes note that a pass has ended: what was woken meanwhile stands in the queue only from now on.
    pub fn ended(&self, of: &Ref) {
        if let Some(since) = self.wake.outstanding.lock().get_mut(of) {
            *since = Instant::now();
        }
    }

    /// How much is kept beside the stores, by kind.
    pub fn counts(&self) -> [(&'static str, usize); 3] {
        let (facets, needs) = (self.facets.lock().len(), self.relations.lock().count());
        [("facets", facets), ("needs", needs), ("queued", self.wake.outstanding.lock().len())]
    }

    /// The ConfigMaps that a resource names.
    pub fn config_maps_of(&self, of: &Ref) -> Vec<ObjectKey> {
        self.relations.lock().config_maps_of(of)
    }

    /// Whether a user or role names this ConfigMap.
    pub fn needs_config_map(&self, key: &ObjectKey) -> bool {
        self.relations.lock().needed_by(&Need::ConfigMap(key.clone())).next().is_some()
    }

    /// The entries of a ConfigMap that users and roles name.
    pub fn entries_named(&self, config_map: &ObjectKey) -> BTreeSet<String> {
        let naming: Vec<Ref> = self.relations.lock().needed_by(&Need::ConfigMap(config_map.clone())).cloned().collect();
        let references = naming.iter().flat_map(|of| match of {
            Ref::User(key) => self.user(key).map(|user| config_references(user.spec.permissions.as_ref())).unwrap_or_default(),
            Ref::Role(key) => self.role(key).map(|role| config_references(role.spec.permissions.as_ref())).unwrap_or_default(),
            Ref::Account(_) => BTreeSet::new(),
        });
        references.filter(|(name, _)| *name == config_map.name).map(|(_, entry)| entry).collect()
    }

    /// Wakes whom a change of a namespace or ConfigMap concerns.
    pub fn changed(&self, need: Need) {
        self.concerned_by(Some(need)).iter().for_each(|r| self.wake(r));
    }

    /// Wakes whom any ConfigMap concerns, after a list: what was changed or deleted while the watch was interrupted came by no event of its own.
    pub fn config_maps_listed(&self) {
        let needs: Vec<Need> = self.relations.lock().needs().filter(|need| matches!(need, Need::ConfigMap(_))).cloned().collect();
        needs.into_iter().for_each(|need| self.changed(need));
    }

    /// Whether the API server has a resource, as far as the caches know.
    pub fn has(&self, of: &Ref) -> bool {
        match of {
            Ref::Account(key) => self.account(&key.name).is_some(),
            Ref::User(key) => self.user(key).is_some(),
            Ref::Role(key) => self.role(key).is_some(),
        }
    }

    /// Has a resource reconciled, if there is one: what is named and does not exist is woken when it appears.
    pub fn wake(&self, of: &Ref) {
        if self.has(of) {
            self.wake.send(of);
        }
    }

    /// The unique ID of what was made for a resource, while it counts as living.
    fn living<K: Watched>(&self, object: &K, told: Option<String>) -> Option<String> {
        let id = told.or_else(|| self.memory.made(&K::reference(ObjectKey::of(object))))?;
        let is_deleted = object.status().and_then(K::deleted_id) == Some(id.as_str());
        Some(id).filter(|id| !is_deleted && self.memory.fates.counts_as_living(id, Instant::now()))
    }

    /// Whether a resource carries the finalizer, or may: of what this process has written lately the store may not know yet.
    fn may_be_finalized(&self, of: &Ref) -> bool {
        fn may<K: Watched>(memory: &Memory, of: &Ref, object: &K) -> bool {
            object.is_finalized() || memory.is_superseded(of, object.meta().resource_version.as_deref())
        }
        match of {
            Ref::Account(key) => self.account(&key.name).is_some_and(|o| may(&self.memory, of, &*o)),
            Ref::User(key) => self.user(key).is_some_and(|o| may(&self.memory, of, &*o)),
            Ref::Role(key) => self.role(key).is_some_and(|o| may(&self.memory, of, &*o)),
        }
    }

    fn concerned_by(&self, need: Option<Need>) -> BTreeSet<Ref> {
        let concerned = need.map(|need| self.relations.lock().concerned_by(&need)).unwrap_or_default();
        let selected: Vec<Ref> = concerned.iter().flat_map(|of| self.selected_by(of, false)).collect();
        concerned.into_iter().chain(selected).collect()
    }

    /// The users that a role selects by their labels, and those on which its right shows already, or may; with `all` every user that it looks at, since those whom
    /// it selected before are not known.
    fn selected_by(&self, of: &Ref, all: bool) -> BTreeSet<Ref> {
        let Ref::Role(key) = of else { return BTreeSet::new() };
        let namespaces = self.relations.lock().namespaces_of(of);
        if namespaces.is_empty() {
            return BTreeSet::new();
        }
        let role = self.role(key);
        let has_right = |user: &BastionUser| {
            user.status.as_ref().is_some_and(|status| {
                let is_listed = status.roles.iter().any(|role| role.namespace == key.namespace && role.name == key.name);
                is_listed || is_cut(status.roles.len(), status.roles_total)
            })
        };
        let is_concerned = |user: &BastionUser| all || role.as_ref().is_some_and(|role| selects(role, user)) || has_right(user);
        let users = namespaces.iter().flat_map(|namespace| self.users_in(namespace));
        users.filter(|user| is_concerned(user)).map(|user| Ref::User(ObjectKey::of(&*user))).collect()
    }

    /// The roles that select a user by its labels, and those that show that they did.
    fn selecting(&self, of: &Ref) -> BTreeSet<Ref> {
        let Ref::User(key) = of else { return BTreeSet::new() };
        let looking: Vec<Ref> = self.relations.lock().needed_by(&Need::UsersOf(key.namespace.clone())).cloned().collect();
        let (user, source) = (self.user(key), SourceKey::User(key.clone()).to_string());
        let is_concerned = |role: &CrossAccountRole| {
            let told = role.status.as_ref().is_some_and(|s| s.grants.iter().any(|g| g.source == source) || is_cut(s.grants.len(), s.grants_total));
            told || user.as_ref().is_some_and(|user| selects(role, user))
        };
        let selecting = looking.into_iter().filter(|of| matches!(of, Ref::Role(key) if self.role(key).is_some_and(|role| is_concerned(&role))));
        selecting.collect()
    }
}

fn namespaced<K: Resource<DynamicType = ()>>(key: &ObjectKey) -> ObjectRef<K> {
    ObjectRef::new(&key.name).within(&key.namespace)
}

impl World for Caches {
    fn accounts(&self) -> Vec<Arc<AWSAccount>> {
        self.accounts.state()
    }

    fn account(&self, name: &str) -> Option<Arc<AWSAccount>> {
        self.accounts.get(&ObjectRef::new(name))
    }

    fn user(&self, key: &ObjectKey) -> Option<Arc<BastionUser>> {
        self.users.get(&namespaced(key))
    }

    fn role(&self, key: &ObjectKey) -> Option<Arc<CrossAccountRole>> {
        self.roles.get(&namespaced(key))
    }

    fn users_in(&self, namespace: &str) -> Vec<Arc<BastionUser>> {
        let mut users = self.users.state();
        users.retain(|user| user.metadata.namespace.as_deref() == Some(namespace));
        users.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        users
    }

    fn roles_naming(&self, source: &SourceKey) -> Vec<ObjectKey> {
        let (need, selecting) = match source {
            SourceKey::User(key) => (Need::User(key.clone()), Some(Need::UsersOf(key.namespace.clone()))),
            SourceKey::Role(key) => (Need::Role(key.clone()), None),
        };
        let role = |of: &Ref| if let Ref::Role(key) = of { Some(key.clone()) } else { None };
        let (mut named, looking): (BTreeSet<ObjectKey>, Vec<ObjectKey>) = {
            let relations = self.relations.lock();
            (
                relations.needed_by(&need).filter_map(role).collect(),
                selecting.iter().flat_map(|need| relations.needed_by(need)).filter_map(role).collect(),
            )
        };
        if let SourceKey::User(key) = source
            && let Some(user) = self.user(key)
        {
            named.extend(looking.into_iter().filter(|key| self.role(key).is_some_and(|role| selects(&role, &user))));
        }
        named.into_iter().collect()
    }

    fn dependents_of_account(&self, name: &str) -> Vec<String> {
        let referring: Vec<Ref> = self.relations.lock().needed_by(&Need::Account(name.into())).cloned().collect();
        // Only what carries our finalizer can have anything in AWS; what was never let in holds nobody up.
        referring.iter().filter(|r| self.may_be_finalized(r)).map(Ref::to_string).collect()
    }

    fn user_id(&self, user: &BastionUser) -> Option<String> {
        self.living(user, user.status.as_ref().and_then(|s| s.user_id.clone()))
    }

    fn role_id(&self, role: &CrossAccountRole) -> Option<String> {
        self.living(role, role.status.as_ref().and_then(|s| s.role_id.clone()))
    }

    fn is_gone(&self, id: &str) -> bool {
        self.memory.fates.is_gone(id)
    }

    fn is_unmade(&self, role: &ObjectKey) -> bool {
        self.memory.is_unmade(&Ref::Role(role.clone()))
    }

    fn namespace_labels(&self, name: &str) -> Option<Labels> {
        self.namespaces.get(&ObjectRef::new(name)).map(|n| n.metadata.labels.clone().unwrap_or_default())
    }
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
