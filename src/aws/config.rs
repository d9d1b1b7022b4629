//! What all accounts share: the SDK's settings, and how credentials are got.

use std::sync::Arc;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, SdkConfig};
use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_iam::config::retry::RetryConfig;
use aws_sdk_iam::config::{IdentityCache, Region, SharedHttpClient};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Builder, ConnectorBuilder, tls};

use super::access::AccessConfig;
use super::backend::{Backend, BackendSessions, fixed_keys};
use super::credentials::CachedCredentials;
use super::sdk::reply::CompleteReply;
use super::secret::{SecretKeys, Secrets};
use super::session::{Assuming, RoleSessions};

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

    /// The credentials of an account that is entered in this way, through another one where there is one. No call is made yet.
    pub(super) fn credentials(&self, access: &AccessConfig, region: Region, through: Option<Arc<CachedCredentials>>) -> Arc<CachedCredentials> {
        let (provider, through) = match access {
            AccessConfig::Ambient => return self.own.clone(),
            AccessConfig::Secret(name) => (SharedCredentialsProvider::new(SecretKeys::new(self.secrets.clone(), name)), None),
            AccessConfig::AssumeRole { role_arn, external_id, session_name, duration } => {
                let source = through.unwrap_or_else(|| self.own.clone());
                let sessions = match self.backend.clone() {
                    Some(backend) => {
                        SharedCredentialsProvider::new(BackendSessions { backend, role_arn: role_arn.clone(), external_id: external_id.clone() })
                    }
                    None => {
                        // STS takes at most twelve hours, which the schema says, too.
                        let seconds = i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
                        let assuming = Assuming { role_arn, external_id: external_id.as_deref(), session_name, seconds };
                        SharedCredentialsProvider::new(RoleSessions::new(self.sts(region, source.clone()), &assuming))
                    }
                };
                (sessions, Some(source))
            }
        };
        Arc::new(CachedCredentials::new(provider, access.clone(), through))
    }

    /// STS in a region, with these credentials.
    pub(super) fn sts(&self, region: Region, credentials: Arc<CachedCredentials>) -> aws_sdk_sts::Client {
        let sdk = self.sdk.to_builder().region(region).credentials_provider(credentials.shared()).identity_cache(IdentityCache::no_cache()).build();
        aws_sdk_sts::Client::from_conf(aws_sdk_sts::config::Builder::from(&sdk).interceptor(CompleteReply).build())
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

#[cfg(test)]
mod tests {
    use aws_sdk_iam::config::endpoint::{DefaultResolver as IAMEndpoints, Params as IAMParams, ResolveEndpoint as _};
    use aws_sdk_sts::config::endpoint::{DefaultResolver as STSEndpoints, Params as STSParams, ResolveEndpoint as _};

    use rolebridge_core::names::Partition;

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
}
