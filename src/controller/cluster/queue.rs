//! The queues of the resources that are to be reconciled.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use crate::api::{AWSAccount, BastionUser, CrossAccountRole};
use crate::core::world::Ref;

/// Where the resources to reconcile are sent, by kind.
pub struct WorkQueue {
    accounts: UnboundedSender<ObjectRef<AWSAccount>>,
    users: UnboundedSender<ObjectRef<BastionUser>>,
    roles: UnboundedSender<ObjectRef<CrossAccountRole>>,
    /// What was sent and has not been begun, and since when. The queue starts its short wait anew with each request: without this, somebody who writes
    /// all the time could put off another's reconcile for ever.
    outstanding: Mutex<HashMap<Ref, Instant>>,
}

/// Where they come out.
pub struct Woken {
    /// AWSAccounts.
    pub accounts: UnboundedReceiver<ObjectRef<AWSAccount>>,
    /// BastionUsers.
    pub users: UnboundedReceiver<ObjectRef<BastionUser>>,
    /// CrossAccountRoles.
    pub roles: UnboundedReceiver<ObjectRef<CrossAccountRole>>,
}

impl WorkQueue {
    /// Empty queues, and their other ends.
    pub fn new() -> (Self, Woken) {
        let (accounts, woken_accounts) = unbounded_channel();
        let (users, woken_users) = unbounded_channel();
        let (roles, woken_roles) = unbounded_channel();
        let woken = Woken { accounts: woken_accounts, users: woken_users, roles: woken_roles };
        (Self { accounts, users, roles, outstanding: Mutex::default() }, woken)
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
