//! The credentials of one way into AWS, fetched once for all who need them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::access::AccessConfig;
use super::errors::NoCredentials;
use rolebridge_core::names::Arn;

/// Longest time for fetching credentials, through all accounts of a chain: less than a request may take, so that what is slow is told from AWS being
/// slow.
const FETCH_TIMEOUT: Duration = Duration::from_secs(8);
/// So long before they expire, credentials are fetched anew.
const EARLY: Duration = Duration::from_secs(60);
/// How long credentials count that do not say when they expire.
const MAX_AGE: Duration = Duration::from_secs(15 * 60);
/// The same of keys from a Secret: so long after somebody has changed it, the new ones are used. Only who makes calls reads it.
const SECRET_MAX_AGE: Duration = Duration::from_secs(60);
/// What was fetched so recently is not fetched again, whatever AWS says to it: many may ask at once, and all hear the same.
const MIN_AGE: Duration = Duration::from_secs(1);

/// Credentials that are fetched by one caller at a time, shared by all, and fetched anew shortly before they expire or after AWS has refused them.
///
/// Those of a role are got with other credentials, which are shared in the same way: whatever leads through an account uses the one session there.
#[derive(Debug)]
pub(super) struct CachedCredentials {
    provider: SharedCredentialsProvider,
    access: AccessConfig,
    /// What these are got with, where that is not AWS's default chain.
    through: Option<Arc<CachedCredentials>>,
    state: Mutex<State>,
    /// Whether AWS has refused what is known.
    refused: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    known: Option<Known>,
    /// The access key that was there last, and how often one came in the place of another.
    access_key_id: String,
    generation: u64,
}

#[derive(Debug)]
struct Known {
    credentials: Credentials,
    at: Instant,
}

impl CachedCredentials {
    /// The operator's own, from AWS's default chain.
    pub(super) fn own(provider: SharedCredentialsProvider) -> Self {
        Self::new(provider, AccessConfig::Ambient, None)
    }

    /// Those of an account that is entered in this way, `through` others where these are got with them.
    pub(super) fn new(provider: SharedCredentialsProvider, access: AccessConfig, through: Option<Arc<Self>>) -> Self {
        Self { provider, access, through, state: Mutex::default(), refused: AtomicBool::new(false) }
    }

    /// As the SDK takes them.
    pub(super) fn shared(self: Arc<Self>) -> SharedCredentialsProvider {
        SharedCredentialsProvider::from(self as Arc<dyn ProvideCredentials>)
    }

    /// Notes that AWS has refused them: who needs them next has them fetched anew.
    pub(super) fn refuse(&self) {
        self.refused.store(true, Ordering::Release);
    }

    /// A text of AWS's without the external IDs, which AWS repeats where it finds fault with one.
    pub(super) fn redact(&self, text: &str) -> String {
        let text = self.access.redact(text);
        self.through.as_ref().map_or(text.clone(), |through| through.redact(&text))
    }

    /// The role whose session these are; None for the operator's own.
    pub(super) fn role_arn(&self) -> Option<&Arn> {
        self.access.role_arn()
    }

    /// How long the credentials count where they do not say when they expire.
    fn max_age(&self) -> Duration {
        if matches!(self.access, AccessConfig::Secret(_)) { SECRET_MAX_AGE } else { MAX_AGE }
    }

    /// Tells other credentials from those before, since they may be of another account: keys are exchanged in a Secret, and what AWS's own chain finds can be
    /// given another role while the process runs (EKS user guide, "EKS Pod Identity"). Fetches them where that is due. Whatever comes of one role leads
    /// where it led. None where there are no credentials.
    pub(super) async fn generation(&self) -> Option<u64> {
        if matches!(self.access, AccessConfig::AssumeRole { .. }) {
            return Some(0);
        }
        self.provided().await.ok()?;
        Some(self.state.lock().await.generation)
    }

    /// Has them fetched anew, as when their time is over.
    #[cfg(test)]
    pub(super) async fn expire(&self) {
        self.state.lock().await.known = None;
    }

    async fn get(&self) -> Result<Credentials, CredentialsError> {
        let mut state = self.state.lock().await;
        let refused = self.refused.load(Ordering::Acquire);
        if let Some(known) = state.known.as_ref().filter(|known| known.counts(self.max_age(), refused, Instant::now(), SystemTime::now())) {
            return Ok(known.credentials.clone());
        }
        state.known = None;
        self.refused.store(false, Ordering::Release);
        let credentials = self.provider.provide_credentials().await?;
        if state.access_key_id != credentials.access_key_id() {
            state.access_key_id = credentials.access_key_id().to_owned();
            state.generation += 1;
        }
        state.known = Some(Known { credentials: credentials.clone(), at: Instant::now() });
        Ok(credentials)
    }

    /// As [`CachedCredentials::get`], in time and with an error that says why for all who are behind.
    async fn provided(&self) -> Result<Credentials, CredentialsError> {
        let got = timeout(FETCH_TIMEOUT, self.get()).await.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(FETCH_TIMEOUT)));
        got.map_err(|error| {
            let none = NoCredentials::of(&error, &self.access, self.through.as_ref().and_then(|through| through.role_arn()));
            if let Some(through) = self.through.as_ref().filter(|_| none.credentials_are_refused) {
                through.refuse();
            }
            CredentialsError::provider_error(none)
        })
    }
}

impl Known {
    fn counts(&self, max_age: Duration, refused: bool, now: Instant, time: SystemTime) -> bool {
        let age = now.saturating_duration_since(self.at);
        let in_force = match self.credentials.expiry() {
            Some(expiry) => time + EARLY < expiry,
            None => age < max_age,
        };
        age < MIN_AGE || (in_force && !refused)
    }
}

impl ProvideCredentials for CachedCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.provided())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_count_until_shortly_before_they_expire_or_until_aws_refuses_them() {
        let (now, time) = (Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
        let known = |expiry: Option<Duration>| Known {
            credentials: Credentials::new("AKIAEXAMPLE", "secret", None, expiry.map(|left| time + left), "test"),
            at: now,
        };
        let after = |known: &Known, refused, seconds| {
            let passed = Duration::from_secs(seconds);
            known.counts(MAX_AGE, refused, now + passed, time + passed)
        };
        let session = known(Some(Duration::from_secs(3600)));
        assert!(after(&session, false, 3539) && !after(&session, false, 3540), "a minute before it ends");
        assert!(after(&session, true, 0) && !after(&session, true, 1), "what was just fetched is not fetched again");
        assert!(after(&known(None), false, 899) && !after(&known(None), false, 900), "long-term keys say nothing of an end");
        assert!(after(&known(Some(Duration::ZERO)), false, 0), "nor where the clocks differ");
    }
}
