//! What is to be known before an account can be spoken to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, SdkConfig};
use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_iam::config::SharedHttpClient;
use aws_sdk_iam::config::retry::RetryConfig;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Builder, ConnectorBuilder, tls};

use super::backend::{Backend, fixed_keys};
use super::credentials::CachedCredentials;
use super::secret::Secrets;
use crate::core::names::{AccountID, Arn, Partition};

/// How the SDK behaves by default: fixed, so that an update of the SDK does not change timeouts or retries behind our back.
const BEHAVIOR: fn() -> BehaviorVersion = BehaviorVersion::v2026_01_12;
/// Name of the program in the user agent, which CloudTrail records.
const APP_NAME: &str = "rolebridge";
/// Longest time until a connection stands. The endpoints of IAM are far from most clusters, and this is many times the longest round trip.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest time for one request until its answer is read. IAM answers within a second, rarely two; what takes longer than this is lost.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time for a whole call, with what comes before the request, such as new credentials.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);

/// What all accounts share: the operator's own credentials from AWS's default chain (environment, web identity, EKS Pod Identity, profile,
/// instance metadata), the endpoint where one is configured, and the pool of connections.
#[derive(Clone, Debug)]
pub struct BaseConfig {
    pub(super) sdk: SdkConfig,
    pub(super) own: Arc<CachedCredentials>,
    pub(super) secrets: Arc<dyn Secrets>,
    /// What answers in AWS's place, where that is not the SDK.
    pub(super) backend: Option<Arc<dyn Backend>>,
}

impl BaseConfig {
    /// Reads the environment and AWS's configuration files. `AWS_ENDPOINT_URL` and its like are honoured. `secrets` has the keys of the accounts that are entered
    /// by such.
    ///
    /// No credentials are fetched yet: that there are none shows with the first call.
    pub async fn load(secrets: Arc<dyn Secrets>) -> Self {
        let loader = aws_config::defaults(BEHAVIOR())
            .http_client(http_client(ProxyConfig::from_env))
            .timeout_config(timeouts())
            .retry_config(RetryConfig::disabled());
        let loader = match AppName::new(APP_NAME) {
            Ok(name) => loader.app_name(name),
            Err(_) => loader,
        };
        Self::new(loader.load().await, secrets)
    }

    fn new(sdk: SdkConfig, secrets: Arc<dyn Secrets>) -> Self {
        // Where there is not even a chain to ask, the first call says so.
        let provider = sdk
            .credentials_provider()
            .unwrap_or_else(|| SharedCredentialsProvider::new(provide_credentials_fn(|| async { Err(CredentialsError::not_loaded_no_source()) })));
        Self { sdk, own: Arc::new(CachedCredentials::own(provider)), secrets, backend: None }
    }

    /// For simulations: no call goes to AWS, `backend` answers instead.
    pub fn with_backend(backend: Arc<dyn Backend>, secrets: Arc<dyn Secrets>) -> Self {
        let provider = SharedCredentialsProvider::new(fixed_keys(None));
        let sdk = SdkConfig::builder().behavior_version(BEHAVIOR()).credentials_provider(provider).build();
        Self { backend: Some(backend), ..Self::new(sdk, secrets) }
    }

    /// For tests: every call goes to `url`, directly, whatever the environment says. The operator itself has no credentials there; accounts have theirs in
    /// `secrets`.
    pub fn with_endpoint(url: &str, secrets: Arc<dyn Secrets>) -> Self {
        Self::at(url, timeouts(), secrets)
    }

    /// For tests: the same, with little patience.
    #[cfg(test)]
    pub(super) fn for_endpoint(url: &str, attempt_timeout: Duration, secrets: Arc<dyn Secrets>) -> Self {
        Self::at(url, timeouts().to_builder().operation_attempt_timeout(attempt_timeout).build(), secrets)
    }

    fn at(url: &str, timeouts: TimeoutConfig, secrets: Arc<dyn Secrets>) -> Self {
        let sdk = SdkConfig::builder()
            .behavior_version(BEHAVIOR())
            .http_client(http_client(ProxyConfig::disabled))
            .timeout_config(timeouts)
            .retry_config(RetryConfig::disabled())
            .endpoint_url(url)
            .credentials_provider(SharedCredentialsProvider::new(fixed_keys(None)))
            .build();
        Self::new(sdk, secrets)
    }
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).operation_timeout(OPERATION_TIMEOUT).build()
}

/// One client for everybody. By default each SDK client has a pool, and a copy of the machine's root certificates, of its own: with a
/// hundred accounts and three clients each that is most of the program's memory.
fn http_client(proxy: fn() -> ProxyConfig) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = ConnectorBuilder::default().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc));
        connector.set_connector_settings(settings.cloned());
        connector.set_proxy_config(Some(proxy()));
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.build()
    })
}

/// One account and the way into it.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountConfig {
    /// The account that the credentials must lead into.
    pub id: AccountID,
    /// The partition that the credentials must lead into.
    pub partition: Partition,
    /// The region of STS and of signatures; None for the partition's default.
    pub region: Option<String>,
    /// The way in.
    pub access: AccessConfig,
    /// The request budget.
    pub limits: LimitsConfig,
}

/// How the operator gets into an account.
#[derive(Clone, PartialEq)]
pub enum AccessConfig {
    /// By its own credentials, as they are.
    Ambient,
    /// By the keys in this Secret.
    Secret(String),
    /// By assuming a management role, with its own credentials or those of another account.
    AssumeRole {
        /// The management role.
        role_arn: Arn,
        /// What the role's trust policy may ask for to tell one caller's purpose from another's. Treated as a secret: it is never shown.
        external_id: Option<String>,
        /// Name of the session, as CloudTrail shows it.
        session_name: String,
        /// How long a session lasts: 15 minutes to 12 hours, at most the role's own maximum, and one hour where the operator's own
        /// credentials are a session of a role already (STS API reference, AssumeRole).
        duration: Duration,
    },
}

impl AccessConfig {
    /// Name of the session where none is configured.
    pub const DEFAULT_SESSION_NAME: &str = "rolebridge";
    /// Length of a session where none is configured; also the longest that a role assumed from a role may have.
    pub const DEFAULT_DURATION: Duration = Duration::from_secs(3600);

    /// The management role, where one is assumed.
    pub fn role_arn(&self) -> Option<&Arn> {
        match self {
            Self::Ambient | Self::Secret(_) => None,
            Self::AssumeRole { role_arn, .. } => Some(role_arn),
        }
    }

    /// A text of AWS's without the external ID, which AWS repeats where it finds fault with it.
    pub(super) fn redact(&self, text: &str) -> String {
        match self {
            Self::AssumeRole { external_id: Some(secret), .. } if !secret.is_empty() => text.replace(secret.as_str(), "(external ID)"),
            _ => text.to_owned(),
        }
    }
}

impl fmt::Debug for AccessConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ambient => f.write_str("Ambient"),
            Self::Secret(name) => f.debug_tuple("Secret").field(name).finish(),
            Self::AssumeRole { role_arn, external_id, session_name, duration } => f
                .debug_struct("AssumeRole")
                .field("role_arn", role_arn)
                .field("external_id", &external_id.as_ref().map(|_| "(hidden)"))
                .field("session_name", session_name)
                .field("duration", duration)
                .finish(),
        }
    }
}

/// How fast one account may be called. A zero counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Calls a second in the long run.
    pub requests_per_second: u32,
    /// Calls that may be made at once after a pause.
    pub burst: u32,
    /// Pieces of work at the same time.
    pub concurrency: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self { requests_per_second: 20, burst: 100, concurrency: 8 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_iam::config::endpoint::{DefaultResolver as IAMEndpoints, Params as IAMParams, ResolveEndpoint as _};
    use aws_sdk_sts::config::endpoint::{DefaultResolver as STSEndpoints, Params as STSParams, ResolveEndpoint as _};

    /// Each partition that AWS has, with the endpoints of IAM and STS in its default region (General Reference, "Service endpoints").
    const ENDPOINTS: [(&str, &str, &str); 8] = [
        ("aws", "https://iam.amazonaws.com", "https://sts.us-east-1.amazonaws.com"),
        ("aws-cn", "https://iam.cn-north-1.amazonaws.com.cn", "https://sts.cn-north-1.amazonaws.com.cn"),
        ("aws-us-gov", "https://iam.us-gov.amazonaws.com", "https://sts.us-gov-west-1.amazonaws.com"),
        ("aws-eusc", "https://iam.eusc-de-east-1.amazonaws.eu", "https://sts.eusc-de-east-1.amazonaws.eu"),
        ("aws-iso", "https://iam.us-iso-east-1.c2s.ic.gov", "https://sts.us-iso-east-1.c2s.ic.gov"),
        ("aws-iso-b", "https://iam.us-isob-east-1.sc2s.sgov.gov", "https://sts.us-isob-east-1.sc2s.sgov.gov"),
        ("aws-iso-e", "https://iam.eu-isoe-west-1.cloud.adc-e.uk", "https://sts.eu-isoe-west-1.cloud.adc-e.uk"),
        ("aws-iso-f", "https://iam.us-isof-south-1.csp.hci.ic.gov", "https://sts.us-isof-south-1.csp.hci.ic.gov"),
    ];

    #[tokio::test]
    async fn statements_27_and_35_the_default_region_of_each_partition_leads_to_its_own_iam_and_to_a_regional_sts() {
        for (partition, iam, sts) in ENDPOINTS {
            let region = partition.parse::<Partition>().unwrap().default_region().unwrap();
            let parameters = IAMParams::builder().region(region).build().unwrap();
            assert_eq!(IAMEndpoints::new().resolve_endpoint(&parameters).await.unwrap().url(), iam, "{partition}");
            let parameters = STSParams::builder().region(region).build().unwrap();
            assert_eq!(STSEndpoints::new().resolve_endpoint(&parameters).await.unwrap().url(), sts, "{partition}");
        }
    }

    fn access() -> AccessConfig {
        AccessConfig::AssumeRole {
            role_arn: "arn:aws:iam::222222222222:role/manager".parse().unwrap(),
            external_id: Some("s3cret-id".into()),
            session_name: AccessConfig::DEFAULT_SESSION_NAME.into(),
            duration: AccessConfig::DEFAULT_DURATION,
        }
    }

    #[test]
    fn the_external_id_is_never_shown() {
        let shown = format!("{:?}", access());
        assert!(shown.contains("manager") && !shown.contains("s3cret-id"), "{shown}");
        let redacted = access().redact("Value 's3cret-id' at 'externalId' failed to satisfy constraint");
        assert_eq!(redacted, "Value '(external ID)' at 'externalId' failed to satisfy constraint");
    }
}
