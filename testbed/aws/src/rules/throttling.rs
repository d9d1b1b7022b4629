//! How often an account may call.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{failure::Failure, service::Service};

/// Operations that share a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OperationClass {
    /// What reads from IAM.
    IamRead,
    /// What changes IAM.
    IamWrite,
    /// Everything of STS, counted for the account of the caller.
    Sts,
}

impl OperationClass {
    /// The class of an operation; `None` where nothing is throttled.
    ///
    /// Source: TF#44853 (AWS support: token buckets for each account and API, whose sizes are not published); [inf] that reads and
    /// writes are apart.
    pub fn of(service: Service, operation: &str) -> Option<Self> {
        match service {
            Service::Iam if is_read(operation) => Some(Self::IamRead),
            Service::Iam => Some(Self::IamWrite),
            Service::Sts => Some(Self::Sts),
            Service::S3 => None,
        }
    }
}

/// Whether an operation of IAM changes nothing.
pub fn is_read(operation: &str) -> bool {
    ["Get", "List", "Simulate", "Generate"].iter().any(|verb| operation.starts_with(verb))
}

/// A token bucket: each call takes a token.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Tokens that come back each second; 0 for none.
    pub rate: f64,
    /// Tokens that the bucket holds, and has at first.
    pub burst: u32,
}

#[derive(Debug)]
struct Bucket {
    limit: Limit,
    tokens: f64,
    filled: Duration,
}

impl Bucket {
    fn new(limit: Limit, now: Duration) -> Self {
        Self { limit, tokens: f64::from(limit.burst), filled: now }
    }

    fn take(&mut self, now: Duration) -> bool {
        let come_back = now.saturating_sub(self.filled).as_secs_f64() * self.limit.rate;
        self.tokens = (self.tokens + come_back).min(f64::from(self.limit.burst));
        self.filled = now;
        let is_left = self.tokens >= 1.0;
        if is_left {
            self.tokens -= 1.0;
        }
        is_left
    }
}

/// The limits of all accounts, and what is left. They go by the machine's time, however the clock is moved.
#[derive(Debug)]
pub struct Throttles {
    start: Instant,
    buckets: Mutex<HashMap<String, BTreeMap<OperationClass, Bucket>>>,
}

impl Default for Throttles {
    fn default() -> Self {
        Self { start: Instant::now(), buckets: Mutex::default() }
    }
}

impl Throttles {
    /// Replaces the limits of an account; its buckets are full again. A class without a limit is not throttled.
    pub fn set(&self, account_id: &str, limits: &BTreeMap<OperationClass, Limit>) {
        let now = self.start.elapsed();
        let buckets = limits.iter().map(|(class, limit)| (*class, Bucket::new(*limit, now))).collect();
        self.buckets.lock().insert(account_id.to_owned(), buckets);
    }

    /// The limits of an account.
    pub fn get(&self, account_id: &str) -> BTreeMap<OperationClass, Limit> {
        let buckets = self.buckets.lock();
        buckets.get(account_id).into_iter().flatten().map(|(class, bucket)| (*class, bucket.limit)).collect()
    }

    /// Takes a token for a call.
    ///
    /// # Errors
    /// `Throttling` with 400 when there is none, as IAM and STS say it (BC; amplify-cli#13687).
    pub fn take(&self, account_id: &str, class: OperationClass) -> Result<(), Failure> {
        let now = self.start.elapsed();
        let mut buckets = self.buckets.lock();
        let is_left = buckets.get_mut(account_id).and_then(|buckets| buckets.get_mut(&class)).is_none_or(|bucket| bucket.take(now));
        if is_left { Ok(()) } else { Err(Failure::new(400, "Throttling", "Rate exceeded")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_bucket_is_full_at_first_and_refills_up_to_its_size() {
        let mut bucket = Bucket::new(Limit { rate: 2.0, burst: 2 }, at(0));
        assert_eq!([0, 0, 0].map(|time| bucket.take(at(time))), [true, true, false]);
        assert_eq!([499, 500, 501].map(|time| bucket.take(at(time))), [false, true, false]);
        assert_eq!([60_000, 60_000, 60_000].map(|time| bucket.take(at(time))), [true, true, false]);
    }

    #[test]
    fn without_a_rate_nothing_comes_back() {
        let mut bucket = Bucket::new(Limit { rate: 0.0, burst: 1 }, at(0));
        assert_eq!([0, 1, 86_400_000].map(|time| bucket.take(at(time))), [true, false, false]);
    }

    #[test]
    fn operations_fall_into_classes() {
        for (service, operation, class) in [
            (Service::Iam, "GetAccountAuthorizationDetails", Some(OperationClass::IamRead)),
            (Service::Iam, "ListRoles", Some(OperationClass::IamRead)),
            (Service::Iam, "UpdateRole", Some(OperationClass::IamWrite)),
            (Service::Sts, "AssumeRole", Some(OperationClass::Sts)),
            (Service::S3, "ListBuckets", None),
        ] {
            assert_eq!(OperationClass::of(service, operation), class, "{operation}");
        }
    }

    #[test]
    fn accounts_and_classes_have_their_own_buckets() {
        let throttles = Throttles::default();
        let none_left = Limit { rate: 0.0, burst: 0 };
        throttles.set("1", &BTreeMap::from([(OperationClass::Sts, none_left)]));
        let refused = throttles.take("1", OperationClass::Sts).unwrap_err();
        assert_eq!((refused.status, refused.code.as_str(), refused.message.as_str()), (400, "Throttling", "Rate exceeded"));
        assert_eq!(throttles.take("1", OperationClass::IamRead), Ok(()));
        assert_eq!(throttles.take("2", OperationClass::Sts), Ok(()));
        throttles.set("1", &BTreeMap::new());
        assert_eq!(throttles.take("1", OperationClass::Sts), Ok(()));
    }
}
