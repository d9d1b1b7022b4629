//! The seam below [`Account`](super::Account): what answers in AWS's place.
//!
//! In production that is the SDK. A simulation puts a model of AWS there, and keeps everything above it: budget, places, credentials and their cache,
//! and the proof that they lead into the right account.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use tokio::time::Instant;

use super::access::AccountConfig;
use super::gateway::Gateway;
use super::limits::Budget;
use rolebridge_core::failure::Failure;
use rolebridge_core::names::Arn;

/// What answers in AWS's place.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync {
    /// IAM and STS of one account. Each call is to be counted by `meter`.
    fn gateway(&self, config: &AccountConfig, meter: Meter) -> Arc<dyn Gateway>;

    /// Opens a session of a management role. Returns how long it lasts.
    ///
    /// # Errors
    /// Where STS refuses.
    async fn assume_role(&self, role: &Arn, external_id: Option<&str>) -> Result<Duration, Failure>;

    /// Who the operator is by its own credentials, if it has any.
    ///
    /// # Errors
    /// Where STS does not answer.
    async fn own_arn(&self) -> Result<Option<Arn>, Failure>;
}

/// Counts the calls that an account's request budget pays for.
#[derive(Clone, Debug)]
pub struct Meter(pub(super) Arc<Budget>);

impl Meter {
    /// Takes the token of one call, on credit where there is none.
    pub fn count(&self) {
        self.0.spend(Instant::now());
    }
}

/// The sessions of a role at a [`Backend`]. Their keys open nothing.
#[derive(Debug)]
pub(super) struct BackendSessions {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) role_arn: Arn,
    pub(super) external_id: Option<String>,
}

impl BackendSessions {
    async fn assume(&self) -> Result<Credentials, CredentialsError> {
        let lasts = self.backend.assume_role(&self.role_arn, self.external_id.as_deref()).await;
        let lasts = lasts.map_err(|failure| CredentialsError::unhandled(failure.message))?;
        Ok(fixed_keys(Some(SystemTime::now() + lasts)))
    }
}

impl ProvideCredentials for BackendSessions {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}

/// Keys that no request is ever signed with.
pub(super) fn fixed_keys(expiry: Option<SystemTime>) -> Credentials {
    Credentials::new("AKIAEXAMPLE", "none", None, expiry, "backend")
}
