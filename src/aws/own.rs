//! Who the operator is by its own credentials, before it goes into any account.

use std::time::Duration;

use aws_sdk_iam::config::Region;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::config::BaseConfig;
use super::errors::CallError;
use super::sdk::reply;
use rolebridge_core::failure::Failure;
use rolebridge_core::names::{Arn, Partition};

/// How long STS's word counts, unless other credentials come before.
const TTL: Duration = Duration::from_secs(3600);

/// The operator's own identity. STS is asked once for all who want to know.
#[derive(Debug)]
pub struct OwnIdentity {
    base: BaseConfig,
    known: Mutex<Option<Known>>,
}

/// What STS said, and of which credentials.
#[derive(Debug)]
struct Known {
    arn: Arn,
    generation: Option<u64>,
    at: Instant,
}

impl OwnIdentity {
    /// That of the credentials which the accounts share. No call is made yet.
    pub fn new(base: BaseConfig) -> Self {
        Self { base, known: Mutex::default() }
    }

    /// The user or session that the operator is (GetCallerIdentity, which needs no permission); None where it has no credentials of its own. An answer counts
    /// for an hour, or until the credentials are others; a failure is not kept. `region` counts where the environment names none.
    ///
    /// # Errors
    /// Where the credentials cannot be got, or AWS gives no readable answer.
    pub async fn arn(&self, region: Option<&str>) -> Result<Option<Arn>, Failure> {
        let mut known = self.known.lock().await;
        let generation = if self.base.backend.is_some() { Some(0) } else { self.base.own.generation().await };
        let counts = |known: &Known| generation.is_some() && known.generation == generation && known.at.elapsed() < TTL;
        if let Some(known) = known.as_ref().filter(|known| counts(known)) {
            return Ok(Some(known.arn.clone()));
        }
        *known = None;
        let arn = match &self.base.backend {
            Some(backend) => backend.own_arn().await?,
            None => self.ask(region).await?,
        };
        *known = arn.clone().map(|arn| Known { arn, generation, at: Instant::now() });
        Ok(arn)
    }

    async fn ask(&self, region: Option<&str>) -> Result<Option<Arn>, Failure> {
        const OPERATION: &str = "sts:GetCallerIdentity";
        let region = self.base.sdk.region().map(AsRef::as_ref).or(region).or_else(|| Partition::aws().default_region());
        let region = Region::new(region.unwrap_or_default().to_owned());
        let answer = self.base.sts(region, self.base.own.clone()).get_caller_identity().send().await;
        match answer.map_err(|error| CallError::new(OPERATION, &error, |text| self.base.own.redact(text))) {
            Ok(answer) => reply::value(OPERATION, "Arn", answer.arn().unwrap_or_default()).map(Some),
            Err(error) if error.there_are_no_credentials() => Ok(None),
            Err(error) => {
                if error.credentials_are_refused() {
                    self.base.own.refuse();
                }
                Err(error.into())
            }
        }
    }
}

#[cfg(test)]
mod tests;
