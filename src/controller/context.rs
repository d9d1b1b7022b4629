//! What every reconcile shares: clients, caches, what was last seen in AWS, and what is being tried again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::caches::{Caches, Watched};
use super::memory::{Memory, Observation};
use super::resolve::ConfigMaps;
use super::retry::Retries;
use super::sweep::Sweeps;
use crate::api::{AWSAccount, Reason};
use crate::aws::{AccessConfig, Account, AccountConfig, BaseConfig, LimitsConfig};
use crate::core::access::way;
use crate::core::grants::parse;
use crate::core::names::Arn;
use crate::core::outcome::Problem;
use crate::core::placement::Placement;
use crate::core::quotas::Quotas;
use crate::core::world::{ObjectKey, Ref, World};

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
    pub caches: Arc<Caches>,
    /// Texts of ConfigMaps.
    pub config_maps: ConfigMaps,
    /// What is remembered of each resource.
    pub memory: Arc<Memory>,
    /// What is going wrong or waited for.
    pub retries: Retries,
    /// When accounts are read in bulk.
    pub sweeps: Sweeps,
    /// What the operator was told.
    pub settings: Settings,
    aws: BaseConfig,
    accounts: Mutex<HashMap<String, Arc<Account>>>,
}

impl Context {
    /// A context with nothing seen yet.
    pub fn new(client: Client, caches: Arc<Caches>, aws: BaseConfig, settings: Settings) -> Self {
        Self {
            config_maps: ConfigMaps::new(client.clone()),
            client,
            memory: caches.memory.clone(),
            caches,
            retries: Retries::default(),
            sweeps: Sweeps::default(),
            settings,
            aws,
            accounts: Mutex::default(),
        }
    }

    /// The account's own client, budget and verification; made anew when its spec changes, or that of an account by which it is reached.
    ///
    /// # Errors
    /// Where the spec cannot be used, which the API server's own checks should have refused, or an account by which it is reached cannot.
    pub fn account(&self, placement: &Placement) -> Result<Arc<Account>, Problem> {
        let way = way(&*self.caches, placement)?;
        let mut accounts = self.accounts.lock();
        let mut last = None;
        for at in &way {
            let config = account_config(at)?;
            let account = match accounts.get(&at.name).filter(|account| account.is_made_from(&config, last.as_ref())) {
                Some(account) => account.clone(),
                None => Arc::new(Account::new(&self.aws, config, last.clone()).map_err(|failure| failure.problem())?),
            };
            // Of one that has gone meanwhile nothing is kept: whoever forgets it waits for the lock, and the caches do not have it any more by then.
            if self.caches.account(&at.name).is_some() {
                accounts.insert(at.name.clone(), account.clone());
            }
            last = Some(account);
        }
        // The way ends with the account itself.
        last.ok_or_else(|| Problem::new(Reason::AccountNotReady, format!("AWSAccount {} is not reached", placement.name)))
    }

    /// Wakes whom it concerns that a user or role has come to be in AWS: the other halves of its grants can now be written. Its status tells the
    /// same, but later.
    pub fn made(&self, of: &Ref) {
        let now = Instant::now();
        self.retries.progress(of, now);
        for partner in self.caches.partners(of) {
            self.retries.progress(&partner, now);
            self.caches.wake(&partner);
        }
    }

    /// Takes note that there is nothing in AWS that was made for a user or role of which no status tells, and wakes those who may have the right to what
    /// bears its name.
    pub fn unmade(&self, of: &Ref) {
        if self.memory.note_unmade(of) {
            self.caches.partners(of).iter().for_each(|partner| self.caches.wake(partner));
        }
    }

    /// Takes note of a resource as the store has it now, and wakes whom that concerns.
    pub fn applied<K: Watched>(&self, object: &K) {
        let named = self.caches.config_maps_of(&K::reference(ObjectKey::of(object)));
        self.caches.applied(object);
        self.config_maps.forget_unnamed(&self.caches, named);
    }

    /// Takes note of a resource that is gone, and wakes whom that concerns.
    pub fn deleted<K: Watched>(&self, key: &ObjectKey) {
        let of = K::reference(key.clone());
        let named = self.caches.config_maps_of(&of);
        self.forget(&of);
        self.caches.deleted::<K>(key);
        self.config_maps.forget_unnamed(&self.caches, named);
    }

    /// Takes note of which resources of a kind there are, after a list.
    pub fn listed<K: Watched>(&self, present: &BTreeSet<Ref>) {
        self.caches.missing::<K>(present).iter().for_each(|key| self.deleted::<K>(key));
    }

    /// Forgets all that is remembered of a resource that is gone.
    fn forget(&self, of: &Ref) {
        self.memory.forget(of);
        self.retries.settle(of);
        self.caches.begins(of);
        let mut accounts = self.accounts.lock();
        if let Ref::Account(key) = of {
            accounts.remove(&key.name);
            self.sweeps.forget(&key.name);
        }
        accounts.values().for_each(|account| account.forget(&of.to_string()));
    }

    /// Forgets a resource if it is gone. Whoever has written something down about a resource that may have gone meanwhile calls this afterwards: the watch has
    /// forgotten it by then, or will. So nothing is left, whoever comes last.
    pub fn forget_if_gone(&self, of: &Ref) {
        if !self.caches.has(of) {
            self.forget(of);
        }
    }

    /// How many entries the process keeps in memory beside what the API server has, by kind. They go with the objects that they are about.
    pub fn remembered(&self) -> BTreeMap<&'static str, usize> {
        let accounts = self.accounts.lock();
        let turns = accounts.values().map(|account| account.turns()).sum();
        let own = [
            ("accounts", accounts.len()),
            ("config_maps", self.config_maps.count()),
            ("retries", self.retries.count()),
            ("sweeps", self.sweeps.count()),
            ("turns", turns),
        ];
        own.into_iter().chain(self.caches.counts()).chain(self.memory.counts()).collect()
    }

    /// Asks for the first sweep of an account, after which its resources are woken. Tells whether that is still to come: an account that is being deleted
    /// is swept no more.
    pub fn awaits_sweep(&self, at: &Placement) -> bool {
        let awaited = at.account.metadata.deletion_timestamp.is_none() && self.sweeps.ask(&at.account);
        let account = Ref::Account(ObjectKey::new("", &at.name));
        self.forget_if_gone(&account);
        if awaited {
            self.caches.wake(&account);
        }
        awaited
    }

    /// Asks for the quotas of an account that was entered, where they are not known, before something is refused for one. Tells whether they are on
    /// their way: the account's status then wakes its resources.
    pub fn awaits_quotas(&self, at: &Placement) -> bool {
        !Quotas::of(&at.account).are_known && (self.awaits_sweep(at) || self.sweeps.has_quotas(&at.account))
    }

    /// How often an account is read in bulk.
    pub fn sweep_interval(&self, account: &AWSAccount) -> Duration {
        let declared = account.spec.sweep.as_ref().and_then(|sweep| sweep.interval.parse::<jiff::SignedDuration>().ok());
        declared.map_or(self.settings.sweep_interval, jiff::SignedDuration::unsigned_abs)
    }

    /// What was last seen of a resource, while it is fresh, speaks of the same object and ARN, and its sources are still the same identities.
    pub fn observation(&self, of: &Ref, at: &Placement, uid: &str, arn: &Arn, principal_ids: &BTreeMap<Arn, String>) -> Option<Observation> {
        let seen = self.memory.observation(of)?;
        // Sweeps keep it fresh. Where they fail, each resource is read by itself.
        let fresh = seen.read_at.elapsed() < FRESH * self.sweep_interval(&at.account) && seen.uid == uid && seen.arn == *arn;
        (fresh && seen.has_same_principals(principal_ids)).then_some(seen)
    }
}

fn account_config(placement: &Placement) -> Result<AccountConfig, Problem> {
    let spec = &placement.account.spec;
    Ok(AccountConfig {
        id: placement.id.clone(),
        partition: placement.partition.clone(),
        region: spec.region.clone(),
        access: access(&placement.account)?,
        limits: spec.limits.as_ref().map_or_else(LimitsConfig::default, |limits| {
            let default = LimitsConfig::default();
            LimitsConfig {
                requests_per_second: limits.requests_per_second.unwrap_or(default.requests_per_second),
                burst: limits.burst.unwrap_or(default.burst),
                concurrency: limits.concurrency.map_or(default.concurrency, |c| c as usize),
            }
        }),
    })
}

fn access(account: &AWSAccount) -> Result<AccessConfig, Problem> {
    if let Some(secret) = &account.spec.access.secret_ref {
        return Ok(AccessConfig::Secret(secret.name.clone()));
    }
    let Some(role) = &account.spec.access.assume_role else { return Ok(AccessConfig::Ambient) };
    let duration = role.duration.as_deref().map(|text| parse::<jiff::SignedDuration>("spec.access.assumeRole.duration", text)).transpose()?;
    let duration = duration.map_or(AccessConfig::DEFAULT_DURATION, jiff::SignedDuration::unsigned_abs);
    if role.via.is_some() && duration > AccessConfig::DEFAULT_DURATION {
        return Err(Problem::new(Reason::InvalidSpec, "spec.access.assumeRole.duration: with via, a session lasts 1h at most; choose 1h or less"));
    }
    Ok(AccessConfig::AssumeRole {
        role_arn: parse("spec.access.assumeRole.roleARN", &role.role_arn)?,
        external_id: role.external_id.clone(),
        session_name: role.session_name.clone().unwrap_or_else(|| AccessConfig::DEFAULT_SESSION_NAME.into()),
        duration,
    })
}
