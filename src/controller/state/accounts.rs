//! The clients of the accounts: each with its budget, its credentials and the proof that it is the account declared.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::api::{AWSAccount, Reason};
use crate::aws::{AccessConfig, Account, AccountConfig, BaseConfig, LimitsConfig};
use crate::core::access::access_chain;
use crate::core::outcome::Problem;
use crate::core::placement::ResolvedAccount;
use crate::core::source::parse;
use crate::core::world::{Ref, World};

/// The accounts that were gone into.
pub struct Accounts {
    aws: BaseConfig,
    made: Mutex<HashMap<String, Arc<Account>>>,
}

impl Accounts {
    /// None yet.
    pub fn new(aws: BaseConfig) -> Self {
        Self { aws, made: Mutex::default() }
    }

    /// The account's own client, budget and verification; made anew when its spec changes, or that of an account by which it is reached.
    ///
    /// # Errors
    /// Where the spec cannot be used, which the API server's own checks should have refused, or an account by which it is reached cannot.
    pub fn get(&self, world: &dyn World, placement: &ResolvedAccount) -> Result<Arc<Account>, Problem> {
        let way = access_chain(world, placement)?;
        let mut made = self.made.lock();
        let mut last = None;
        for at in &way {
            let config = account_config(at)?;
            let account = match made.get(&at.name).filter(|account| account.is_made_from(&config, last.as_ref())) {
                Some(account) => account.clone(),
                None => Arc::new(Account::new(&self.aws, config, last.clone()).map_err(|failure| failure.problem())?),
            };
            // Of one that has gone meanwhile nothing is kept: whoever forgets it waits for the lock, and the stores do not have it any more by then.
            if world.account(&at.name).is_some() {
                made.insert(at.name.clone(), account.clone());
            }
            last = Some(account);
        }
        // The way ends with the account itself.
        last.ok_or_else(|| Problem::new(Reason::AccountNotReady, format!("AWSAccount {} is not reached", placement.name)))
    }

    /// Forgets what waits for a turn in any account for a resource that is gone, and an account that is gone itself.
    pub fn forget(&self, of: &Ref) {
        let mut made = self.made.lock();
        if let Ref::Account(key) = of {
            made.remove(&key.name);
        }
        made.values().for_each(|account| account.forget(of));
    }

    /// How many accounts are known, and how many resources have a turn in them.
    pub fn counts(&self) -> [(&'static str, usize); 2] {
        let made = self.made.lock();
        [("accounts", made.len()), ("turns", made.values().map(|account| account.turns()).sum())]
    }
}

fn account_config(placement: &ResolvedAccount) -> Result<AccountConfig, Problem> {
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
