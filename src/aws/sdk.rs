//! The gateway over AWS's SDK.

pub(super) mod attribution;
mod dependents;
mod execute;
mod observe;
mod quotas;
pub(super) mod reply;
mod sweep;

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};

use super::backend::Meter;
use super::credentials::CachedCredentials;
use super::errors::CallError;
use super::gateway::{Caller, Gateway};
use attribution::on_behalf_of;
use rolebridge_core::action::{Action, Receipt};
use rolebridge_core::document::Document;
use rolebridge_core::failure::Failure;
use rolebridge_core::identity::IdentityName;
use rolebridge_core::names::{AccountID, Arn};
use rolebridge_core::observed::{Dependents, Observed, Scope};
use rolebridge_core::ownership::Owner;
use rolebridge_core::quotas::Quotas;
use rolebridge_core::sweep::Sweep;

/// The clients of one account.
#[derive(Debug)]
pub(super) struct Sdk {
    pub(super) iam: aws_sdk_iam::Client,
    pub(super) sts: aws_sdk_sts::Client,
    pub(super) meter: Meter,
    pub(super) credentials: Arc<CachedCredentials>,
}

impl Sdk {
    /// Makes one call: the one way to AWS. `operation` is the IAM action that the call needs, such as `iam:GetRole`.
    async fn call<T, E>(&self, operation: &'static str, request: impl Future<Output = Result<T, SdkError<E>>>) -> Result<T, CallError>
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        self.meter.count();
        request.await.map_err(|error| {
            let error = CallError::new(operation, &error, |text| self.credentials.redact(text));
            if error.credentials_are_refused() {
                self.credentials.refuse();
            }
            error
        })
    }
}

/// Reads a list to its end: `$request` for each page, `$items` taken from each `$page`. Evaluates to a `Result<Vec<_>, CallError>`.
///
/// The end is where IsTruncated is false. Pages may be short or empty before that, and the SDK's paginators, which look at Marker alone, would
/// take a page without one for the last.
macro_rules! list {
    ($sdk:expr, $operation:literal, $request:expr, |$page:ident| $items:expr) => {{
        let mut items = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            match $sdk.call($operation, $request.set_marker(marker.clone()).send()).await {
                Err(error) => break Err(error),
                Ok($page) => {
                    items.extend($items);
                    if !$page.is_truncated() {
                        break Ok(items);
                    }
                    let next = $page.marker().map(str::to_owned);
                    if next.is_none() || next == marker {
                        break Err($crate::sdk::reply::unreadable($operation, "the list goes on, but does not say where").into());
                    }
                    marker = next;
                }
            }
        }
    }};
}
use list;

#[async_trait]
impl Gateway for Sdk {
    async fn caller(&self) -> Result<Caller, Failure> {
        const OPERATION: &str = "sts:GetCallerIdentity";
        let answer = self.call(OPERATION, self.sts.get_caller_identity().send()).await?;
        let arn: Arn = reply::value(OPERATION, "Arn", answer.arn().unwrap_or_default())?;
        let account: AccountID = reply::value(OPERATION, "Account", answer.account().unwrap_or_default())?;
        let partition = arn.partition().clone();
        Ok(Caller { arn, account, partition })
    }

    async fn observe(&self, scope: &Scope) -> Result<Observed, Failure> {
        self.observe(scope).await
    }

    async fn dependents(&self, who: &IdentityName) -> Result<Dependents, Failure> {
        match who {
            IdentityName::User(name) => self.dependents_of_user(name).await,
            IdentityName::Role(name) => self.dependents_of_role(name).await,
        }
    }

    async fn sweep(&self) -> Result<Sweep, Failure> {
        self.sweep().await
    }

    async fn quotas(&self) -> Result<Quotas, Failure> {
        self.quotas().await
    }

    async fn console_alias(&self) -> Result<Option<String>, Failure> {
        self.alias().await
    }

    async fn policy_document(&self, policy: &Arn) -> Result<Option<Document>, Failure> {
        self.default_document(policy).await
    }

    async fn execute(&self, action: &Action, owner: &Owner) -> Result<Receipt, Failure> {
        on_behalf_of(owner, self.send(action)).await
    }
}

#[cfg(test)]
mod tests;
