//! The world as the decisions see it: what the API server has, and what is known of what was made for it.

use std::sync::Arc;

use tokio::time::Instant;

use super::cluster::index::Index;
use super::cluster::kind::Kind;
use super::state::deletions::{Deletions, Passage};
use super::state::home::Home;
use super::state::memory::Memory;
use crate::api::{AWSAccount, BastionUser, CrossAccountRole};
use crate::core::brake::Brake;
use crate::core::desired::owner_tag;
use crate::core::ownership::is_named;
use crate::core::world::{Boundary, Labels, ObjectKey, Operator, Ref, SourceKey, World, uid};

/// The stores, what depends on what in them, and what this process remembers.
pub struct Snapshot<'a> {
    /// What depends on what in the stores.
    pub index: &'a Index,
    /// What is remembered of each resource.
    pub memory: &'a Memory,
    /// Which deletions pass.
    pub deletions: &'a Deletions,
    /// The accounts that everything hangs on.
    pub home: &'a Home,
    /// The ID of this installation, which owner tags name.
    pub installation: &'a str,
}

impl Snapshot<'_> {
    /// The unique ID of what was made for a resource, while it counts as living.
    fn living<K: Kind>(&self, object: &K, reported: Option<String>) -> Option<String> {
        let id = reported.or_else(|| self.memory.made(&K::reference(ObjectKey::of(object))))?;
        let is_deleted = object.status().and_then(K::deleted_id) == Some(id.as_str());
        Some(id).filter(|id| !is_deleted && self.memory.identities.counts_as_living(id, Instant::now()))
    }

    /// How it stands with the deletion of an object that is being deleted.
    pub fn passage<K: Kind>(&self, object: &K) -> Passage {
        let has_brake = || self.account(object.account_name()).is_some_and(|account| Brake::of(&account).is_set());
        match self.deletions.passage(&K::reference(ObjectKey::of(object)), &uid(object)) {
            // There is nothing to decide.
            Passage::Undecided if !has_brake() || !object.is_finalized() => Passage::Passes(None),
            passage => passage,
        }
    }

    /// Whether a resource carries the finalizer, or may: of what this process has written lately the store may not know yet, and what has something in AWS
    /// gets it back where somebody has dropped it.
    fn may_be_finalized(&self, of: &Ref) -> bool {
        fn may<K: Kind>(memory: &Memory, of: &Ref, object: &K) -> bool {
            let is_made =
                || object.meta().deletion_timestamp.is_none() && object.status().and_then(|s| K::unique_id(s).or_else(|| K::deleted_id(s))).is_some();
            object.is_finalized() || is_made() || memory.is_superseded(of, object.meta().resource_version.as_deref())
        }
        let stores = self.index.stores();
        match of {
            Ref::Account(key) => stores.account(&key.name).is_some_and(|o| may(self.memory, of, &*o)),
            Ref::User(key) => stores.user(key).is_some_and(|o| may(self.memory, of, &*o)),
            Ref::Role(key) => stores.role(key).is_some_and(|o| may(self.memory, of, &*o)),
        }
    }
}

impl World for Snapshot<'_> {
    fn accounts(&self) -> Vec<Arc<AWSAccount>> {
        self.index.stores().accounts.state()
    }

    fn account(&self, name: &str) -> Option<Arc<AWSAccount>> {
        self.index.stores().account(name)
    }

    fn user(&self, key: &ObjectKey) -> Option<Arc<BastionUser>> {
        self.index.stores().user(key)
    }

    fn role(&self, key: &ObjectKey) -> Option<Arc<CrossAccountRole>> {
        self.index.stores().role(key)
    }

    fn users_in(&self, namespace: &str) -> Vec<Arc<BastionUser>> {
        self.index.stores().users_in(namespace)
    }

    fn roles_naming(&self, source: &SourceKey, from: &dyn Fn(&str) -> bool) -> Vec<ObjectKey> {
        self.index.roles_naming(source, from)
    }

    fn companions(&self, of: &Ref, account: &str) -> Vec<Ref> {
        self.index.companions(of, account)
    }

    fn declaring_policy(&self, account: &str, name: &str) -> Vec<Ref> {
        self.index.declaring_policy(account, name)
    }

    fn dependents_of_account(&self, name: &str) -> Vec<String> {
        // Only what carries our finalizer can have anything in AWS; what was never let in holds nobody up.
        self.index.referring_to(name).iter().filter(|of| self.may_be_finalized(of)).map(Ref::to_string).collect()
    }

    fn user_id(&self, user: &BastionUser) -> Option<String> {
        self.living(user, user.status.as_ref().and_then(|s| s.user_id.clone()))
    }

    fn role_id(&self, role: &CrossAccountRole) -> Option<String> {
        self.living(role, role.status.as_ref().and_then(|s| s.role_id.clone()))
    }

    fn is_proven(&self, role: &CrossAccountRole) -> bool {
        self.memory.is_proven(&Ref::Role(ObjectKey::of(role)), |tags| is_named(tags, self.installation, &owner_tag(role)))
    }

    fn is_gone(&self, id: &str) -> bool {
        self.memory.identities.is_gone(id)
    }

    fn is_unmade(&self, role: &ObjectKey) -> bool {
        self.memory.is_unmade(&Ref::Role(role.clone()))
    }

    fn is_held(&self, of: &Ref) -> bool {
        // What is not decided yet may be held, too.
        fn is_held<K: Kind>(world: &Snapshot<'_>, object: &K) -> bool {
            object.meta().deletion_timestamp.is_some() && !matches!(world.passage(object), Passage::Passes(_))
        }
        match of {
            Ref::User(key) => self.user(key).is_some_and(|user| is_held(self, &*user)),
            Ref::Role(key) => self.role(key).is_some_and(|role| is_held(self, &*role)),
            Ref::Account(_) => false,
        }
    }

    fn namespace_labels(&self, name: &str) -> Option<Labels> {
        self.index.stores().namespace_labels(name)
    }

    fn operator(&self) -> Operator {
        self.home.operator()
    }

    fn boundary(&self, account: &AWSAccount) -> Boundary {
        self.home.boundary(account)
    }
}
