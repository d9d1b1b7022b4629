//! What depends on what in the stores, and whom each change concerns. It remembers nothing of AWS and wakes nobody.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use parking_lot::Mutex;

use super::kind::Kind;
use super::relations::{Dependency, Relations};
use super::stores::Stores;
use crate::api::{BastionUser, Condition, CrossAccountRole, Managed, Reason};
use crate::core::listed::is_cut;
use crate::core::naming::selects;
use crate::core::permissions::config_references;
use crate::core::placement::shared_with;
use crate::core::world::{ObjectKey, Ref, SourceKey};

/// What the resources in the stores depend on.
pub struct Index {
    stores: Stores,
    relations: Mutex<Relations>,
    facets: Mutex<HashMap<Ref, Facets>>,
}

/// What a change of a resource means.
pub struct Changed {
    /// Whether it is to be reconciled itself.
    pub itself: bool,
    /// Whether what others see of it changed.
    pub shown: bool,
    /// The others that it concerns.
    pub concerned: BTreeSet<Ref>,
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

impl Index {
    /// An index of these stores, with nothing noted yet.
    pub fn new(stores: Stores) -> Self {
        Self { stores, relations: Mutex::default(), facets: Mutex::default() }
    }

    /// The stores that it speaks of.
    pub fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Takes note of a resource as the store has it now, and tells what that changes.
    pub fn applied<K: Kind>(&self, object: &K) -> Changed {
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
        let changed = |concerned| Changed { itself: before.own != now.own, shown: before.shown != now.shown, concerned };
        if before.shown == now.shown {
            return changed(BTreeSet::new());
        }
        let is_new_spec = before.generation != now.generation;
        let mut concerned = self.selected_by(&of, is_new_spec);
        concerned.extend(self.relations.lock().set(&of, object.dependencies()));
        concerned.extend(self.selected_by(&of, is_new_spec));
        if deleting {
            concerned.extend(self.relations.lock().accounts_of(&of));
        }
        concerned.extend(self.concerned_by(&K::provides(&key)));
        if is_new_spec {
            concerned.extend(self.behind(&of));
            concerned.extend(self.keeping_clear_of(&of));
        }
        concerned.extend(self.selecting(&of));
        concerned.remove(&of);
        changed(concerned)
    }

    /// The resources of a kind that are known of, and of which a list has nothing any more.
    pub fn missing<K: Kind>(&self, present: &BTreeSet<Ref>) -> Vec<ObjectKey> {
        let is_kind = |r: &Ref| std::mem::discriminant(r) == std::mem::discriminant(&K::reference(ObjectKey::new("", "")));
        let relations = self.relations.lock();
        let gone = relations.known().filter(|r| is_kind(r) && !present.contains(*r));
        gone.map(|of| of.key().clone()).collect()
    }

    /// Takes note of a resource that is gone, and tells whom that concerns; its account among them, which may be waiting for that.
    pub fn deleted<K: Kind>(&self, key: &ObjectKey) -> BTreeSet<Ref> {
        let of = &K::reference(key.clone());
        self.facets.lock().remove(of);
        let mut others = self.selected_by(of, true);
        others.extend(self.selecting(of));
        others.extend(self.waiting_for_place_of(of));
        others.extend(self.behind(of));
        others.extend(self.keeping_clear_of(of));
        let mut concerned: BTreeSet<Ref> = {
            let mut relations = self.relations.lock();
            let accounts = relations.accounts_of(of);
            relations.remove(of).into_iter().chain(accounts).collect()
        };
        concerned.extend(others);
        concerned.extend(self.concerned_by(&K::provides(key)));
        if matches!(of, Ref::Account(_)) {
            // Another AWSAccount for the same account of AWS may take its place.
            concerned.extend(self.stores.accounts.state().iter().map(|account| Ref::Account(ObjectKey::of(&**account))));
        }
        concerned
    }

    /// The resources that hold the other halves of the grants of a user or role.
    pub fn partners(&self, of: &Ref) -> BTreeSet<Ref> {
        match of {
            Ref::User(key) => self.concerned_by(&Dependency::User(key.clone())).into_iter().chain(self.selecting(of)).collect(),
            Ref::Role(key) => {
                let sources = self.relations.lock().sources_of(of);
                let trusting = self.concerned_by(&Dependency::Role(key.clone()));
                sources.into_iter().chain(self.selected_by(of, false)).chain(trusting).collect()
            }
            Ref::Account(_) => BTreeSet::new(),
        }
    }

    /// Whom a change of this concerns.
    pub fn concerned_by(&self, dependency: &Dependency) -> BTreeSet<Ref> {
        let concerned = self.relations.lock().concerned_by(dependency);
        let selected: Vec<Ref> = concerned.iter().flat_map(|of| self.selected_by(of, false)).collect();
        concerned.into_iter().chain(selected).collect()
    }

    /// Every ConfigMap that some resource names.
    pub fn config_maps_named(&self) -> Vec<Dependency> {
        let relations = self.relations.lock();
        relations.dependencies().filter(|dependency| matches!(dependency, Dependency::ConfigMap(_))).cloned().collect()
    }

    /// The ConfigMaps that a resource names.
    pub fn config_maps_of(&self, of: &Ref) -> Vec<ObjectKey> {
        self.relations.lock().config_maps_of(of)
    }

    /// Whether a user or role names this ConfigMap.
    pub fn needs_config_map(&self, key: &ObjectKey) -> bool {
        self.relations.lock().needed_by(&Dependency::ConfigMap(key.clone())).next().is_some()
    }

    /// The entries of a ConfigMap that users and roles name.
    pub fn entries_named(&self, config_map: &ObjectKey) -> BTreeSet<String> {
        let naming: Vec<Ref> = self.relations.lock().needed_by(&Dependency::ConfigMap(config_map.clone())).cloned().collect();
        let references = naming.iter().flat_map(|of| match of {
            Ref::User(key) => self.stores.user(key).map(|user| config_references(user.spec.permissions.as_ref())).unwrap_or_default(),
            Ref::Role(key) => self.stores.role(key).map(|role| config_references(role.spec.permissions.as_ref())).unwrap_or_default(),
            Ref::Account(_) => BTreeSet::new(),
        });
        references.filter(|(name, _)| *name == config_map.name).map(|(_, entry)| entry).collect()
    }

    /// The keys of the roles whose trust names this source, or selects it, in order: those of the namespaces for which `from` holds.
    pub fn roles_naming(&self, source: &SourceKey, from: &dyn Fn(&str) -> bool) -> Vec<ObjectKey> {
        let (named_as, selecting) = match source {
            SourceKey::User(key) => (Dependency::User(key.clone()), Some(Dependency::UsersOf(key.namespace.clone()))),
            SourceKey::Role(key) => (Dependency::Role(key.clone()), None),
        };
        let (named, looking): (Vec<ObjectKey>, Vec<ObjectKey>) = {
            let relations = self.relations.lock();
            let selecting = selecting.iter().flat_map(|selecting| relations.roles_needing(selecting, from));
            (relations.roles_needing(&named_as, from), selecting.collect())
        };
        let mut named: BTreeSet<ObjectKey> = named.into_iter().collect();
        if let SourceKey::User(key) = source
            && let Some(user) = self.stores.user(key)
        {
            named.extend(looking.into_iter().filter(|key| self.stores.role(key).is_some_and(|role| selects(&role, &user))));
        }
        named.into_iter().collect()
    }

    /// The roles that are chained behind this one, if it is a role.
    fn behind(&self, of: &Ref) -> BTreeSet<Ref> {
        if let Ref::Role(key) = of { self.relations.lock().behind(key) } else { BTreeSet::new() }
    }

    /// Those who assume roles of others, among which the management role of this one must not be, if it is an account.
    fn keeping_clear_of(&self, of: &Ref) -> Vec<Ref> {
        let concerned = |_| self.relations.lock().needed_by(&Dependency::OperatorsRoles).cloned().collect();
        Some(of).filter(|of| matches!(of, Ref::Account(_))).map(concerned).unwrap_or_default()
    }

    /// The resources for which the account of this one has no place beside it.
    fn waiting_for_place_of(&self, of: &Ref) -> Vec<Ref> {
        let waits = |ready: Option<&Condition>| ready.is_some_and(|ready| ready.reason == Reason::NamespaceQuotaExceeded.as_str());
        let is_waiting = |other: &Ref| match other {
            Ref::User(key) => self.stores.user(key).is_some_and(|user| waits(user.ready())),
            Ref::Role(key) => self.stores.role(key).is_some_and(|role| waits(role.ready())),
            Ref::Account(_) => false,
        };
        let accounts = self.relations.lock().accounts_of(of);
        accounts.iter().flat_map(|account| self.companions(of, &account.key().name)).filter(is_waiting).collect()
    }

    /// The resources of the kind and namespace of this one that refer to an AWSAccount, in order.
    pub fn companions(&self, of: &Ref, account: &str) -> Vec<Ref> {
        self.relations.lock().companions(of, &Dependency::Account(account.into()))
    }

    /// The resources that declare a customer-managed policy of this name in an AWSAccount, in order.
    pub fn declaring_policy(&self, account: &str, name: &str) -> Vec<Ref> {
        self.relations.lock().needed_by(&Dependency::Declared(account.into(), name.into())).cloned().collect()
    }

    /// The resources that refer to an AWSAccount, in order.
    pub fn referring_to(&self, account: &str) -> Vec<Ref> {
        self.relations.lock().needed_by(&Dependency::Account(account.into())).cloned().collect()
    }

    /// How many users and roles with something in AWS are placed in an AWSAccount. Others are as many as tenants like.
    pub fn placed_in(&self, account: &str) -> usize {
        fn has_id<K: Kind>(object: &K, account: &str) -> bool {
            object.account_name() == account && object.status().and_then(K::unique_id).is_some()
        }
        let is_placed = |of: &&Ref| match of {
            Ref::User(key) => self.stores.user(key).is_some_and(|user| has_id(&*user, account)),
            Ref::Role(key) => self.stores.role(key).is_some_and(|role| has_id(&*role, account)),
            Ref::Account(_) => false,
        };
        self.relations.lock().needed_by(&Dependency::Account(account.into())).filter(is_placed).count()
    }

    /// How much is kept beside the stores, by kind.
    pub fn counts(&self) -> [(&'static str, usize); 2] {
        [("facets", self.facets.lock().len()), ("dependencies", self.relations.lock().count())]
    }

    /// The users that a role selects by their labels, and those on which its right shows already, or may; with `all` every user that it looks at, since those whom
    /// it selected before are not known.
    fn selected_by(&self, of: &Ref, all: bool) -> BTreeSet<Ref> {
        let Ref::Role(key) = of else { return BTreeSet::new() };
        let namespaces = self.relations.lock().namespaces_of(of);
        if namespaces.is_empty() {
            return BTreeSet::new();
        }
        let role = self.stores.role(key);
        let has_right = |user: &BastionUser| {
            user.status.as_ref().is_some_and(|status| {
                let is_listed = status.roles.iter().any(|role| role.namespace == key.namespace && role.name == key.name);
                is_listed || is_cut(status.roles.len(), status.roles_total)
            })
        };
        let labels = self.stores.namespace_labels(&key.namespace);
        // Of a namespace that may not name a user no change is any of the user's concern, but for taking away what it has.
        let may_have = |user: &BastionUser| {
            let own = user.metadata.namespace.as_deref().unwrap_or_default();
            shared_with(user.spec.allow_roles_from.as_ref(), own, &key.namespace, labels.as_ref())
        };
        let is_selected = |user: &BastionUser| all || role.as_ref().is_some_and(|role| selects(role, user));
        let is_concerned = |user: &BastionUser| (may_have(user) && is_selected(user)) || has_right(user);
        let users = namespaces.iter().flat_map(|namespace| self.stores.users_in(namespace));
        users.filter(|user| is_concerned(user)).map(|user| Ref::User(ObjectKey::of(&*user))).collect()
    }

    /// The roles that select a user by its labels, and those that show that they did.
    fn selecting(&self, of: &Ref) -> BTreeSet<Ref> {
        let Ref::User(key) = of else { return BTreeSet::new() };
        let looking: Vec<Ref> = self.relations.lock().needed_by(&Dependency::UsersOf(key.namespace.clone())).cloned().collect();
        let (user, source) = (self.stores.user(key), SourceKey::User(key.clone()).to_string());
        let is_concerned = |role: &CrossAccountRole| {
            let told = role.status.as_ref().is_some_and(|s| s.grants.iter().any(|g| g.source == source) || is_cut(s.grants.len(), s.grants_total));
            told || user.as_ref().is_some_and(|user| selects(role, user))
        };
        let selecting =
            looking.into_iter().filter(|of| matches!(of, Ref::Role(key) if self.stores.role(key).is_some_and(|role| is_concerned(&role))));
        selecting.collect()
    }
}
