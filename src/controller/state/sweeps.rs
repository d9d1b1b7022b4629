//! When each account is read in bulk, and what that found.

use std::collections::HashMap;
use std::time::Duration;

use kube::ResourceExt;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::api::AWSAccount;
use crate::api::account::{OrphanStatus, QuotaStatus, ShadowGrantStatus};
use crate::core::failure::Failure;

/// The next sweep comes at the latest after so many intervals.
pub const LATEST: f64 = 1.1;

#[derive(Clone, Copy, Default, PartialEq)]
enum First {
    #[default]
    NotAsked,
    Asked,
    Over,
}

#[derive(Default)]
struct Schedule {
    /// Of the AWSAccount that it is for: another one of the same name may be for another account of AWS.
    uid: String,
    first: First,
    next: Option<Instant>,
    /// What the last one found.
    found: Found,
}

/// When each account is swept next.
#[derive(Default)]
pub struct Sweeps(Mutex<HashMap<String, Schedule>>);

impl Sweeps {
    /// Looks at the schedule of this very AWSAccount, or changes it. One of the same name that went before is forgotten.
    fn with<T>(&self, account: &AWSAccount, what: impl FnOnce(&mut Schedule) -> T) -> T {
        let mut schedules = self.0.lock();
        let schedule = schedules.entry(account.name_any()).or_default();
        let uid = account.uid().unwrap_or_default();
        if schedule.uid != uid {
            *schedule = Schedule { uid, ..Schedule::default() };
        }
        what(schedule)
    }

    /// Asks for the account's first sweep. Tells whether that is still to come; the resource is woken after it.
    pub fn ask(&self, account: &AWSAccount) -> bool {
        self.with(account, |schedule| {
            if schedule.first == First::NotAsked {
                schedule.first = First::Asked;
            }
            schedule.first != First::Over
        })
    }

    /// The time until the next sweep, none where it is due. The first comes somewhere in the second half of the interval, so that the accounts are not
    /// all swept at once.
    pub fn left(&self, account: &AWSAccount, interval: Duration, now: Instant) -> Duration {
        self.with(account, |schedule| {
            if schedule.first == First::Asked {
                return Duration::ZERO;
            }
            let next = schedule.next.get_or_insert_with(|| now + interval.mul_f64(0.5 + fastrand::f64() / 2.0));
            // The interval may have become shorter meanwhile.
            *next = (*next).min(now + interval.mul_f64(LATEST));
            next.saturating_duration_since(now)
        })
    }

    /// What the last sweep found.
    pub fn found(&self, account: &AWSAccount) -> Found {
        self.with(account, |schedule| schedule.found.clone())
    }

    /// Adds to what the last sweep found.
    pub fn keep(&self, account: &AWSAccount, found: Found) {
        self.with(account, |schedule| schedule.found = found);
    }

    /// Whether the last sweep has read the account's quotas: its status tells them as soon as that is written.
    pub fn has_quotas(&self, account: &AWSAccount) -> bool {
        self.with(account, |schedule| schedule.found.quotas.is_some())
    }

    /// Notes that a sweep is over, what it found, and when the next one is. Tells whether it was the first that was asked for.
    pub fn over(&self, account: &AWSAccount, found: Found, next: Instant) -> bool {
        self.with(account, |schedule| {
            let was_asked_for = schedule.first == First::Asked;
            (schedule.first, schedule.next, schedule.found) = (First::Over, Some(next), found);
            was_asked_for
        })
    }

    /// How many accounts there is a schedule for.
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// Forgets an account that is gone.
    pub fn forget(&self, account: &str) {
        self.0.lock().remove(account);
    }
}

/// What a sweep found. What it could not read is absent, and stays in the status as it was.
#[derive(Clone, Default)]
pub struct Found {
    /// Whom it found that no resource stands for.
    pub strangers: Option<Strangers>,
    /// The quotas of the account.
    pub quotas: Option<QuotaStatus>,
    /// The alias, if the account has one.
    pub console_alias: Option<Option<String>>,
    /// What could not be read.
    pub failures: Vec<Failure>,
}

/// What no resource stands for.
#[derive(Clone)]
pub struct Strangers {
    /// Users and roles with our tags that no resource stands for.
    pub orphans: Vec<OrphanStatus>,
    /// Roles of others that trust the bastion.
    pub shadow_grants: Vec<ShadowGrantStatus>,
}

impl Found {
    /// Whether the sweep came through and only what the account says of itself could not be read.
    pub fn lacks_account_facts(&self) -> bool {
        self.strangers.is_some() && !self.failures.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::quotas::Quotas;

    fn account(uid: &str) -> AWSAccount {
        let manifest = json!({
            "apiVersion": "rolebridge.io/v1alpha1", "kind": "AWSAccount", "metadata": {"name": "prod", "uid": uid},
            "spec": {"accountID": "111111111111", "access": {"ambient": {}}, "allowedNamespaces": {"from": "All"}},
        });
        serde_json::from_value(manifest).unwrap()
    }

    #[test]
    fn the_first_sweep_comes_when_asked_for_and_the_others_at_the_interval() {
        let (sweeps, prod) = (Sweeps::default(), account("uid-1"));
        let (now, interval) = (Instant::now(), Duration::from_secs(900));
        let left = sweeps.left(&prod, interval, now);
        assert!(left >= interval / 2 && left <= interval, "{left:?}");
        assert!(sweeps.ask(&prod), "it is to come");
        assert_eq!(sweeps.left(&prod, interval, now), Duration::ZERO);
        assert!(sweeps.over(&prod, Found::default(), now + interval), "somebody waits for it");
        assert!(!sweeps.ask(&prod));
        assert!(!sweeps.has_quotas(&prod));
        assert_eq!(sweeps.left(&prod, interval, now), interval);
        assert_eq!(sweeps.left(&prod, interval, now + interval), Duration::ZERO);
        let found = Found { quotas: Some(Quotas::default().into()), ..Found::default() };
        assert!(!sweeps.over(&prod, found, now + 2 * interval), "nobody waits for this one");
        assert!(sweeps.has_quotas(&prod));
        assert!(sweeps.left(&prod, interval / 10, now) < interval / 5, "the interval has become shorter");
    }

    #[test]
    fn what_was_found_of_an_account_is_not_told_of_another_object_of_its_name() {
        let (sweeps, now) = (Sweeps::default(), Instant::now());
        let (prod, another) = (account("uid-1"), account("uid-2"));
        let strangers = Some(Strangers { orphans: vec![], shadow_grants: vec![] });
        let found = Found { strangers, quotas: Some(Quotas::default().into()), ..Found::default() };
        sweeps.over(&prod, found, now + Duration::from_secs(900));
        assert!(sweeps.has_quotas(&prod) && sweeps.found(&prod).strangers.is_some() && !sweeps.ask(&prod));
        assert!(!sweeps.has_quotas(&another) && sweeps.found(&another).strangers.is_none());
        assert!(sweeps.ask(&another), "its first sweep is to come");
        assert_eq!(sweeps.left(&another, Duration::from_secs(900), now), Duration::ZERO);
    }
}
