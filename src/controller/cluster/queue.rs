//! The queues of the resources that are to be reconciled, and of those that are done with.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use crate::api::{AWSAccount, BastionUser, CrossAccountRole};
use crate::core::world::{ObjectKey, Ref};

/// Where the resources to reconcile are sent, by kind.
pub struct WorkQueue {
    accounts: UnboundedSender<ObjectRef<AWSAccount>>,
    users: UnboundedSender<ObjectRef<BastionUser>>,
    roles: UnboundedSender<ObjectRef<CrossAccountRole>>,
    ended: [UnboundedSender<Ended>; 3],
    /// What was sent and has not been begun, and since when. The queue starts its short wait anew with each request: without this, somebody who writes
    /// all the time could put off another's reconcile for ever.
    outstanding: Mutex<HashMap<Ref, Instant>>,
}

/// An object that the API server has no more, and of which nothing is left in AWS.
pub struct Ended {
    /// What it was called.
    pub key: ObjectKey,
    /// Its UID: another one may bear its name by now.
    pub uid: Option<String>,
}

/// Where they come out.
pub struct Woken {
    /// AWSAccounts.
    pub accounts: UnboundedReceiver<ObjectRef<AWSAccount>>,
    /// BastionUsers.
    pub users: UnboundedReceiver<ObjectRef<BastionUser>>,
    /// CrossAccountRoles.
    pub roles: UnboundedReceiver<ObjectRef<CrossAccountRole>>,
    /// What is done with, in the same order.
    pub ended: [UnboundedReceiver<Ended>; 3],
}

impl WorkQueue {
    /// Empty queues, and their other ends.
    pub fn new() -> (Self, Woken) {
        let (accounts, woken_accounts) = unbounded_channel();
        let (users, woken_users) = unbounded_channel();
        let (roles, woken_roles) = unbounded_channel();
        let [(end_account, ended_accounts), (end_user, ended_users), (end_role, ended_roles)] = std::array::from_fn(|_| unbounded_channel());
        let ended = [ended_accounts, ended_users, ended_roles];
        let woken = Woken { accounts: woken_accounts, users: woken_users, roles: woken_roles, ended };
        (Self { accounts, users, roles, ended: [end_account, end_user, end_role], outstanding: Mutex::default() }, woken)
    }

    /// Has a resource reconciled. During shutdown nobody listens any more, which is as it should be.
    pub fn send(&self, what: &Ref) {
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

    /// Has the store let go of an object that the API server has no more: nothing of it is left in AWS.
    pub fn end(&self, of: &Ref, uid: Option<String>) {
        let [accounts, users, roles] = &self.ended;
        let (ended, key) = match of {
            Ref::Account(key) => (accounts, key),
            Ref::User(key) => (users, key),
            Ref::Role(key) => (roles, key),
        };
        let _ = ended.send(Ended { key: key.clone(), uid });
    }

    /// Takes note that a pass begins: whatever changes from now on wakes the resource again. Tells how long it stood in the queue, where it was
    /// woken.
    pub fn dequeue(&self, of: &Ref) -> Option<Duration> {
        self.outstanding.lock().remove(of).map(|since| since.elapsed())
    }

    /// Takes note that a pass has ended: what was woken meanwhile stands in the queue only from now on.
    pub fn done(&self, of: &Ref) {
        if let Some(since) = self.outstanding.lock().get_mut(of) {
            *since = Instant::now();
        }
    }

    /// How many stand in the queues.
    pub fn count(&self) -> usize {
        self.outstanding.lock().len()
    }
}
