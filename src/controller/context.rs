//! What every reconcile shares: clients, stores, what was last seen in AWS, and what is being tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use tokio::time::Instant;

use super::cluster::config_maps::ConfigMaps;
use super::cluster::index::Index;
use super::cluster::kind::Kind;
use super::cluster::queue::WorkQueue;
use super::cluster::relations::Dependency;
use super::cluster::stores::Stores;
use super::state::accounts::Accounts;
use super::state::deletions::{Deletions, Noted};
use super::state::home::Home;
use super::state::memory::Memory;
use super::state::observation::Observation;
use super::state::retry::Retries;
use super::state::sweeps::Sweeps;
use super::state::unowned::Unowned;
use super::world::Snapshot;
use crate::api::AWSAccount;
use crate::aws::{Account, BaseConfig, OwnIdentity};
use crate::core::brake::{Brake, Deletion};
use crate::core::grants::lacks_right;
use crate::core::home::Layout;
use crate::core::names::Arn;
use crate::core::outcome::Problem;
use crate::core::placement::ResolvedAccount;
use crate::core::quotas::Quotas;
use crate::core::world::{ObjectKey, Ref, uid};

/// How many sweeps may be missed before what is remembered counts for nothing.
const FRESH: u32 = 2;

/// What the operator is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// ID of this installation, which stands in the owner tags.
    pub installation: String,
    /// How often each account is read in bulk, where it does not say itself, so that what others changed is put right.
    pub sweep_interval: Duration,
    /// Reconciles of one kind at the same time.
    pub concurrency: u16,
}

/// What every reconcile shares.
pub struct Context {
    /// Client of the API server.
    pub client: Client,
    /// What the API server has.
    pub stores: Stores,
    /// What depends on what in it.
    pub index: Index,
    /// Whom a change wakes.
    pub queue: WorkQueue,
    /// Texts of ConfigMaps.
    pub config_maps: ConfigMaps,
    /// What is remembered of each resource.
    pub memory: Memory,
    /// What is going wrong or waited for.
    pub retries: Retries,
    /// When accounts are read in bulk.
    pub sweeps: Sweeps,
    /// Which deletions pass.
    pub deletions: Deletions,
    /// Policies that were read and are nobody's of Rolebridge.
    pub unowned: Unowned,
    /// The accounts that were gone into.
    pub accounts: Accounts,
    /// The accounts that everything hangs on.
    pub home: Home,
    /// The operator's own identity.
    pub own: OwnIdentity,
    /// What the operator was told.
    pub settings: Settings,
}

impl Context {
    /// A context with nothing seen yet.
    pub fn new(client: Client, stores: Stores, queue: WorkQueue, aws: BaseConfig, settings: Settings) -> Self {
        Self {
            config_maps: ConfigMaps::new(client.clone()),
            client,
            index: Index::new(stores.clone()),
            stores,
            queue,
            memory: Memory::default(),
            retries: Retries::default(),
            sweeps: Sweeps::default(),
            deletions: Deletions::default(),
            unowned: Unowned::default(),
            home: Home::default(),
            own: OwnIdentity::new(aws.clone()),
            accounts: Accounts::new(aws),
            settings,
        }
    }

    /// What the decisions may look at, as it is now.
    pub fn world(&self) -> Snapshot<'_> {
        Snapshot { index: &self.index, memory: &self.memory, deletions: &self.deletions, home: &self.home, installation: &self.settings.installation }
    }

    /// The client of an account.
    ///
    /// # Errors
    /// As [`Accounts::get`].
    pub fn account(&self, placement: &ResolvedAccount) -> Result<Arc<Account>, Problem> {
        self.accounts.get(&self.world(), placement)
    }

    /// Has a resource reconciled, if there is one: what is named and does not exist is woken when it appears.
    pub fn wake(&self, of: &Ref) {
        if self.stores.has(of) {
            self.queue.send(of);
        }
    }

    fn wake_all<'a>(&self, all: impl IntoIterator<Item = &'a Ref>) {
        all.into_iter().for_each(|of| self.wake(of));
    }

    /// Wakes whom a change of a namespace or ConfigMap concerns.
    pub fn changed(&self, dependency: &Dependency) {
        self.wake_all(&self.index.concerned_by(dependency));
    }

    /// Wakes whom any ConfigMap concerns, after a list: what was changed or deleted while the watch was interrupted came by no event of its own.
    pub fn config_maps_listed(&self) {
        self.index.config_maps_named().iter().for_each(|dependency| self.changed(dependency));
    }

    /// Wakes whom it concerns that a user or role has come to be in AWS: the other halves of its grants can now be written. Its status tells the
    /// same, but later.
    pub fn made(&self, of: &Ref) {
        let now = Instant::now();
        self.retries.progress(of, now);
        for partner in self.index.partners(of) {
            self.retries.progress(&partner, now);
            self.wake(&partner);
        }
    }

    /// Wakes the sources of a role that wait for the right to it until it was seen to bear its owner tags.
    pub fn proven(&self, role: &ObjectKey) {
        let partners = self.index.partners(&Ref::Role(role.clone()));
        self.wake_all(partners.iter().filter(|partner| lacks_right(&self.world(), partner, role)));
    }

    /// Takes note that there is nothing in AWS that was made for a user or role of which no status tells, and wakes those who may have the right to what
    /// bears its name.
    pub fn unmade(&self, of: &Ref) {
        if self.memory.note_unmade(of) {
            self.wake_all(&self.index.partners(of));
        }
    }

    /// Takes note of a resource as the store has it now, and wakes it and whom it concerns where something changed that matters.
    pub fn applied<K: Kind>(&self, object: &K) {
        let of = K::reference(ObjectKey::of(object));
        let named = self.index.config_maps_of(&of);
        let changed = self.index.applied(object);
        if let Some(id) = object.status().and_then(K::unique_id).filter(|_| changed.shown) {
            self.memory.identities.forget_others(&of, id);
        }
        // Before anybody is woken who goes by it.
        self.note_deletion(&of, object);
        if matches!(of, Ref::Account(_)) && changed.shown && self.home.is_settled() {
            self.settle_home(None);
        }
        self.wake_all(&changed.concerned);
        if changed.itself {
            self.wake(&of);
        }
        self.config_maps.forget_unnamed(&self.index, named);
    }

    /// Takes note that everything is listed, and decides which deletions pass of those that were asked for before.
    pub fn all_listed(&self) {
        self.deletions.begin().iter().for_each(|account| self.settle_deletions(account));
    }

    /// Takes note of whether a resource is being deleted, and decides what that changes, as does a change of an account.
    fn note_deletion<K: Kind>(&self, of: &Ref, object: &K) {
        let is_made = object.status().is_some_and(|status| K::unique_id(status).or_else(|| K::deleted_id(status)).is_some());
        if !matches!(of, Ref::Account(_)) {
            // Without our finalizer nothing is left to be done, whoever else it waits for.
            let Some(deletion) = Deletion::of(object, is_made).filter(|_| object.is_finalized()) else { return self.deletions.forget(of) };
            let version = object.meta().resource_version.as_ref().and_then(|version| version.parse().ok());
            self.deletions.note(of, Noted { uid: uid(object), account: object.account_name().to_owned(), deletion, version });
        }
        self.settle_deletions(object.account_name());
    }

    /// Decides which deletions pass in an account, and wakes those that do now and had to wait, with their partners.
    fn settle_deletions(&self, account: &str) {
        let brake = self.stores.account(account).map(|account| Brake::of(&account)).unwrap_or_default();
        let gone = |counted: &[(Ref, Timestamp)]| counted.iter().filter(|(of, _)| !self.stores.has(of)).count();
        let released = self.deletions.settle(account, &brake, |counted| self.index.placed_in(account) + gone(counted));
        released.iter().for_each(|of| self.passes_now(of, account));
    }

    /// Looks at which accounts everything hangs on by now, and wakes those of which that has changed, with the users and roles whose powers it concerns; but not
    /// `looked_after`, over which a pass is under way.
    pub fn settle_home(&self, looked_after: Option<&str>) {
        for (name, concerns_powers) in self.home.settle(|| Layout::of(&self.world()).standings()) {
            if looked_after != Some(name.as_str()) {
                self.wake(&Ref::Account(ObjectKey::new("", &name)));
            }
            if concerns_powers {
                let placed = self.index.referring_to(&name);
                self.wake_all(placed.iter().filter(|of| !matches!(of, Ref::Account(_))));
            }
        }
    }

    /// Wakes an object whose deletion had to wait, and whom it concerns that it passes now.
    fn passes_now(&self, of: &Ref, account: &str) {
        self.wake_all(&self.index.partners(of));
        self.wake_all([of, &Ref::Account(ObjectKey::new("", account))]);
    }

    /// Lets the deletion of an object pass of which nobody can see that it waits.
    pub fn let_pass(&self, of: &Ref, account: &str) {
        if self.deletions.let_pass(of) {
            self.passes_now(of, account);
        }
    }

    /// Takes note of a resource that is gone, and wakes whom that concerns.
    pub fn deleted<K: Kind>(&self, key: &ObjectKey) {
        let of = K::reference(key.clone());
        let named = self.index.config_maps_of(&of);
        self.forget(&of);
        self.wake_all(&self.index.deleted::<K>(key));
        if matches!(of, Ref::Account(_)) {
            // Its brake is gone with it, and its way through others.
            self.settle_deletions(&key.name);
            if self.home.is_settled() {
                self.settle_home(None);
            }
        }
        self.config_maps.forget_unnamed(&self.index, named);
    }

    /// Takes note of which resources of a kind there are, after a list.
    pub fn listed<K: Kind>(&self, present: &BTreeSet<Ref>) {
        self.index.missing::<K>(present).iter().for_each(|key| self.deleted::<K>(key));
    }

    /// Forgets all that is remembered of a resource that is gone.
    fn forget(&self, of: &Ref) {
        self.memory.forget(of);
        self.deletions.forget(of);
        self.retries.forget(of);
        self.queue.dequeue(of);
        self.accounts.forget(of);
        if let Ref::Account(key) = of {
            self.sweeps.forget(&key.name);
            self.home.forget(&key.name);
        }
    }

    /// Forgets a resource if it is gone. Whoever has written something down about a resource that may have gone meanwhile calls this afterwards: the watch has
    /// forgotten it by then, or will. So nothing is left, whoever comes last.
    pub fn forget_if_gone(&self, of: &Ref) {
        if !self.stores.has(of) {
            self.forget(of);
        }
    }

    /// How many entries the process keeps in memory beside what the API server has, by kind. They go with the objects that they are about.
    pub fn remembered(&self) -> BTreeMap<&'static str, usize> {
        let own = [
            ("config_maps", self.config_maps.count()),
            ("deletions", self.deletions.count()),
            ("queued", self.queue.count()),
            ("retries", self.retries.count()),
            ("sweeps", self.sweeps.count()),
        ];
        own.into_iter().chain(self.accounts.counts()).chain(self.home.counts()).chain(self.index.counts()).chain(self.memory.counts()).collect()
    }

    /// Asks for the first sweep of an account, after which its resources are woken. Tells whether that is still to come: an account that is being deleted
    /// is swept no more.
    pub fn ask_for_sweep(&self, at: &ResolvedAccount) -> bool {
        let awaited = at.account.metadata.deletion_timestamp.is_none() && self.sweeps.ask(&at.account);
        let account = Ref::Account(ObjectKey::new("", &at.name));
        self.forget_if_gone(&account);
        if awaited {
            self.wake(&account);
        }
        awaited
    }

    /// Asks for the quotas of an account that was entered, where they are not known, before something is refused for one. Tells whether they are on
    /// their way: the account's status then wakes its resources.
    pub fn ask_for_quotas(&self, at: &ResolvedAccount) -> bool {
        !Quotas::of(&at.account).are_known && (self.ask_for_sweep(at) || self.sweeps.has_quotas(&at.account))
    }

    /// How often an account is read in bulk.
    pub fn sweep_interval(&self, account: &AWSAccount) -> Duration {
        let declared = account.spec.sweep.as_ref().and_then(|sweep| sweep.interval.parse::<jiff::SignedDuration>().ok());
        declared.map_or(self.settings.sweep_interval, jiff::SignedDuration::unsigned_abs)
    }

    /// What was last seen of a resource, while it is fresh, speaks of the same object and ARN, and its sources are still the same identities.
    pub fn observation(&self, of: &Ref, at: &ResolvedAccount, uid: &str, arn: &Arn, principal_ids: &BTreeMap<Arn, String>) -> Option<Observation> {
        let seen = self.memory.observation(of)?;
        // Sweeps keep it fresh. Where they fail, each resource is read by itself.
        let fresh = seen.read_at.elapsed() < FRESH * self.sweep_interval(&at.account) && seen.uid == uid && seen.arn == *arn;
        (fresh && seen.has_same_principals(principal_ids)).then_some(seen)
    }
}
