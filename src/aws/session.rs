//! The sessions of roles that are assumed.

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};

use rolebridge_core::names::Arn;

/// A role to be assumed, anew with each asking.
///
/// The SDK has a provider that does the same, and takes half an answer for a whole one: the key that comes of it is none, and AWS's refusal of it would
/// be told as what is wrong.
#[derive(Debug)]
pub(super) struct RoleSessions {
    sts: aws_sdk_sts::Client,
    role_arn: Arn,
    external_id: Option<String>,
    session_name: String,
    seconds: i32,
}

/// How a role is assumed.
pub(super) struct Assuming<'a> {
    /// The role.
    pub(super) role_arn: &'a Arn,
    /// What its trust policy may ask for.
    pub(super) external_id: Option<&'a str>,
    /// Name of the sessions.
    pub(super) session_name: &'a str,
    /// How long they last, in seconds.
    pub(super) seconds: i32,
}

impl RoleSessions {
    /// Sessions that are got from this STS. No call is made yet.
    pub(super) fn new(sts: aws_sdk_sts::Client, assuming: &Assuming<'_>) -> Self {
        Self {
            sts,
            role_arn: assuming.role_arn.clone(),
            external_id: assuming.external_id.map(str::to_owned),
            session_name: assuming.session_name.to_owned(),
            seconds: assuming.seconds,
        }
    }

    async fn assume(&self) -> Result<Credentials, CredentialsError> {
        let asking = self.sts.assume_role().role_arn(self.role_arn.as_str()).role_session_name(&self.session_name).duration_seconds(self.seconds);
        let answer = asking.set_external_id(self.external_id.clone()).send().await.map_err(CredentialsError::provider_error)?;
        let session = answer.credentials().ok_or_else(|| CredentialsError::unhandled("sts:AssumeRole: AWS's answer has no credentials"))?;
        let expiry = (*session.expiration()).try_into().map_err(CredentialsError::unhandled)?;
        let token = Some(session.session_token().to_owned());
        Ok(Credentials::new(session.access_key_id(), session.secret_access_key(), token, Some(expiry), "AssumeRole"))
    }
}

impl ProvideCredentials for RoleSessions {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}
