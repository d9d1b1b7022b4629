//! One account of AWS: clients, credentials, budget and the proof that they lead into the right account.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_iam::config::retry::RetryPartition;
use aws_sdk_iam::config::{IdentityCache, Region};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::access::AccountConfig;
use super::backend::Meter;
use super::config::BaseConfig;
use super::credentials::CachedCredentials;
use super::gateway::{Caller, Gateway};
use super::limits::{Budget, Errand};
use super::sdk::Sdk;
use super::sdk::attribution::Attribution;
use super::sdk::reply::CompleteReply;
use rolebridge_api::Reason;
use rolebridge_core::failure::Failure;
use rolebridge_core::world::Ref;

/// How long STS's word on who the operator is counts. It changes only with the credentials, after which it is asked again in any case.
const VERIFICATION_TTL: Duration = Duration::from_secs(3600);
/// When to come back where as many pieces of work are under way as the account allows: about as long as one takes.
const BUSY_RETRY: Duration = Duration::from_millis(100);
/// Removals at the same time, beside other work.
const REMOVALS: usize = 4;

/// One account of AWS.
///
/// Nothing is shared with other accounts but the operator's own credentials, those of the account that leads into this one, and the pool of connections. The SDK makes one attempt
/// for each call and no retries: the controller retries, with its own backoff, so that each attempt passes the budget, and so that a write of which
/// nothing is known is followed by a read and not by the same write.
pub struct Account {
    config: AccountConfig,
    via: Option<Arc<Account>>,
    credentials: Arc<CachedCredentials>,
    gateway: Arc<dyn Gateway>,
    budget: Arc<Budget>,
    slots: Arc<Semaphore>,
    removals: Arc<Semaphore>,
    doors: Arc<Semaphore>,
    verification: Verification,
}

/// The right to do one piece of work in an account; given back when it is dropped.
#[derive(Debug)]
#[must_use = "the right ends when this is dropped"]
pub struct Permit(#[expect(dead_code, reason = "held for its Drop")] OwnedSemaphorePermit);

impl Account {
    /// Makes the clients. No call is made yet. `via` is the account whose session assumes this one's management role; None for the operator's own
    /// credentials.
    ///
    /// # Errors
    /// [`Reason::InvalidSpec`] where neither the configuration names a region nor the partition has one that is known here.
    pub fn new(base: &BaseConfig, config: AccountConfig, via: Option<Arc<Account>>) -> Result<Self, Failure> {
        let Some(region) = config.region.clone().or_else(|| config.partition.default_region().map(str::to_owned)) else {
            return Err(Failure::refused(
                Reason::InvalidSpec,
                format!("spec.region is needed: no region of partition {} is known to Rolebridge.", config.partition),
            ));
        };
        let region = Region::new(region);
        let through = via.as_ref().map(|via| via.credentials.clone());
        let credentials = base.credentials(&config.access, region.clone(), through);
        let budget = Arc::new(Budget::new(&config.limits, Instant::now()));
        let meter = Meter(budget.clone());
        let gateway = match &base.backend {
            Some(backend) => backend.gateway(&config, meter),
            None => Arc::new(sdk(base, &config, region, credentials.clone(), meter)),
        };
        let slots = Arc::new(Semaphore::new(config.limits.concurrency.max(1)));
        let doors = Arc::new(Semaphore::new(config.limits.concurrency.max(1)));
        let removals = Arc::new(Semaphore::new(REMOVALS));
        Ok(Self { config, via, credentials, gateway, budget, slots, removals, doors, verification: Verification::default() })
    }

    /// Whether the account was made from this.
    pub fn is_made_from(&self, config: &AccountConfig, via: Option<&Arc<Account>>) -> bool {
        let same = |a: &Arc<Account>, b: &Arc<Account>| Arc::ptr_eq(a, b);
        self.config == *config && (self.via.as_ref().zip(via).map_or(self.via.is_none() && via.is_none(), |(a, b)| same(a, b)))
    }

    /// IAM and STS. Nobody writes by it before [`Account::verify`] has succeeded, nor begins a piece of work without a [`Permit`].
    pub fn gateway(&self) -> &dyn Gateway {
        &*self.gateway
    }

    /// The right to begin a piece of work, such as one reconcile of `who`. Never waits.
    ///
    /// Work that has begun is not broken off for want of budget: its calls are counted, if need be on credit, and paid before other work
    /// begins.
    ///
    /// # Errors
    /// Where the budget is used up, or as many pieces of work are under way as are allowed: the time until the turn of `who`.
    pub fn try_permit(&self, who: &Ref) -> Result<Permit, Duration> {
        self.permit(who, Errand::Work, &self.slots)
    }

    /// The right to remove `who`, with slots of its own: what is to go does not stand behind what is to come, but takes its turn with other namespaces.
    ///
    /// # Errors
    /// As [`Account::try_permit`].
    pub fn removal_permit(&self, who: &Ref) -> Result<Permit, Duration> {
        self.permit(who, Errand::Removal, &self.removals)
    }

    /// The right of `who` to wait for [`Account::verify`]: an account that does not answer holds up no more at a time than may work in it.
    ///
    /// # Errors
    /// Where so many wait already: the time until the turn of `who`.
    pub fn entry_permit(&self, who: &Ref) -> Result<Permit, Duration> {
        self.doors.clone().try_acquire_owned().map(Permit).map_err(|_| {
            let turn = self.budget.admit(who, Errand::Work, false, Instant::now());
            turn.err().unwrap_or(BUSY_RETRY)
        })
    }

    fn permit(&self, who: &Ref, errand: Errand, slots: &Arc<Semaphore>) -> Result<Permit, Duration> {
        let slot = slots.clone().try_acquire_owned().ok();
        self.budget.admit(who, errand, slot.is_some(), Instant::now())?;
        slot.map(Permit).ok_or(BUSY_RETRY)
    }

    /// Forgets the turns of somebody who does not come back, since it is gone.
    pub fn forget(&self, who: &Ref) {
        self.budget.forget(who);
    }

    /// How many have a turn.
    pub fn turns(&self) -> usize {
        self.budget.turns()
    }

    /// Makes sure that the credentials lead into the account and partition that are configured.
    ///
    /// STS is asked once, however many ask at the same time; those who come while it is being asked share the answer. A success counts
    /// for an hour, until [`Account::forget_verification`], or until other credentials come from a Secret or AWS's own chain; a failure is not kept.
    ///
    /// # Errors
    /// [`Reason::AccountMismatch`] where they lead elsewhere; otherwise as [`Gateway::caller`].
    pub async fn verify(&self) -> Result<Caller, Failure> {
        let generation = self.credentials.generation().await;
        self.verification.get(Instant::now(), generation, || async { self.check(self.gateway.caller().await?) }).await
    }

    /// Makes the next [`Account::verify`] ask STS again.
    pub fn forget_verification(&self) {
        self.verification.forget();
    }

    fn check(&self, caller: Caller) -> Result<Caller, Failure> {
        let AccountConfig { id, partition, .. } = &self.config;
        if caller.account == *id && caller.partition == *partition {
            return Ok(caller);
        }
        let message = format!(
            "the operator's credentials lead into account {} of partition {} (as {}), but account {id} of partition {partition} is declared.",
            caller.account, caller.partition, caller.arn
        );
        Err(Failure::refused(Reason::AccountMismatch, message))
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("config", &self.config).field("via", &self.via).finish_non_exhaustive()
    }
}

fn sdk(base: &BaseConfig, config: &AccountConfig, region: Region, credentials: Arc<CachedCredentials>, meter: Meter) -> Sdk {
    // The one cache is that of the credentials: both clients, and the accounts behind this one, share a session.
    let provider = credentials.clone().shared();
    let sdk = base.sdk.to_builder().region(region).credentials_provider(provider).identity_cache(IdentityCache::no_cache()).build();
    // Without retries the partition has no effect today; with them, one throttled account must never use up another's.
    let retries = RetryPartition::custom(format!("{}/{}", config.partition, config.id)).build();
    let iam = aws_sdk_iam::config::Builder::from(&sdk).retry_partition(retries.clone()).interceptor(CompleteReply).interceptor(Attribution).build();
    let sts = aws_sdk_sts::config::Builder::from(&sdk).retry_partition(retries).interceptor(CompleteReply).build();
    Sdk { iam: aws_sdk_iam::Client::from_conf(iam), sts: aws_sdk_sts::Client::from_conf(sts), meter, credentials }
}

/// A cached answer that is fetched by one caller at a time.
#[derive(Debug, Default)]
struct Verification {
    state: Mutex<VerificationState>,
    /// Fetches that have ended.
    ended: AtomicU64,
    /// Times that the answer was declared void.
    forgotten: AtomicU64,
}

#[derive(Debug, Default)]
struct VerificationState {
    success: Option<Success>,
    /// What the last fetch failed with.
    failure: Option<Failure>,
}

#[derive(Debug)]
struct Success {
    caller: Caller,
    at: Instant,
    /// [`Verification::forgotten`] when the fetch began.
    forgotten: u64,
    /// [`CachedCredentials::generation`] when the fetch began.
    generation: u64,
}

impl Verification {
    /// The answer for credentials of this generation. None is kept for such as are not there.
    async fn get<F>(&self, now: Instant, generation: Option<u64>, fetch: impl FnOnce() -> F) -> Result<Caller, Failure>
    where
        F: Future<Output = Result<Caller, Failure>>,
    {
        let ended = self.ended.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        let forgotten = self.forgotten.load(Ordering::Acquire);
        match &state.success {
            Some(Success { caller, at, forgotten: made, generation: by })
                if *made == forgotten && Some(*by) == generation && now.saturating_duration_since(*at) < VERIFICATION_TTL =>
            {
                return Ok(caller.clone());
            }
            _ => state.success = None,
        }
        if let (true, Some(failure)) = (self.ended.load(Ordering::Acquire) != ended, &state.failure) {
            // A fetch ended while this caller waited for it: it would only hear the same again.
            return Err(failure.clone());
        }
        let result = fetch().await;
        match &result {
            Ok(caller) => {
                let success = generation.map(|generation| Success { caller: caller.clone(), at: now, forgotten, generation });
                *state = VerificationState { success, failure: None };
            }
            Err(failure) => state.failure = Some(failure.clone()),
        }
        self.ended.fetch_add(1, Ordering::AcqRel);
        result
    }

    fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
