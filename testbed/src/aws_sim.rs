//! The AWS simulator as a child process, its control endpoints, and the AWS CLI against it.
//!
//! IAM, STS and S3 are at [`AwsSim::url`]; the control endpoints, which AWS does not have, are below `/_sim/`.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use http::Method;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    aws_calls::Call,
    http::send_json,
    sandbox::{Sandbox, Server},
    tools::Tool,
};

/// The region that everything in the testbed uses.
pub const REGION: &str = "us-east-1";

/// How long the simulator may take to start on a machine that is busy with something else.
const READY: Duration = Duration::from_secs(60);

/// A key pair, with a token when it is temporary. Its `Debug` form does not show the secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// The account that the key belongs to, 12 digits; empty where the caller does not know it.
    #[serde(rename = "accountID", default)]
    pub account_id: String,
    /// `AKIA...` or `ASIA...`.
    #[serde(rename = "accessKeyID")]
    pub access_key_id: String,
    /// What requests are signed with.
    pub secret_access_key: String,
    /// Of temporary credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<String>,
}

impl Credentials {
    /// A key pair from elsewhere, such as a Secret.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<String>, session_token: Option<String>) -> Self {
        Self { account_id: String::new(), access_key_id: access_key_id.into(), secret_access_key: secret_access_key.into(), session_token }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("account_id", &self.account_id)
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Everything that the accounts hold, without secrets.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct State {
    /// By account ID.
    pub accounts: BTreeMap<String, AccountState>,
}

/// What one account holds: full documents, tags and IDs.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct AccountState {
    /// IAM users.
    pub users: Vec<Value>,
    /// IAM roles.
    pub roles: Vec<Value>,
    /// Customer-managed policies.
    pub policies: Vec<Value>,
}

/// What a fault does to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultKind {
    /// Answers with the fault's `code` and `status`.
    Error,
    /// Cuts the connection.
    Reset,
    /// Never answers.
    Timeout,
    /// Answers with a page of HTML, as a proxy would.
    Html,
    /// Answers with the first half of the answer.
    Truncate,
    /// Waits until the fault is released.
    Hold,
}

/// When a fault strikes: before the call has had its effect, or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultWhen {
    /// The call has no effect.
    Before,
    /// The call has its effect, only the answer is lost.
    After,
}

/// A fault to inject. Start from [`Fault::error`] or [`Fault::of`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Such as `CreateUser`; `*` matches every operation.
    pub operation: String,
    /// Only calls by or in this account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The first matching call that it strikes, counted from 1.
    pub nth: u64,
    /// How many calls it strikes, from the `nth` on.
    pub times: u64,
    /// What happens.
    pub kind: FaultKind,
    /// Before or after the effect.
    pub when: FaultWhen,
    /// Of an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// HTTP status of an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Of an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Fault {
    /// A fault that strikes the next call of `operation`, once, before its effect.
    pub fn of(kind: FaultKind, operation: &str) -> Self {
        Self {
            operation: operation.to_owned(),
            account: None,
            nth: 1,
            times: 1,
            kind,
            when: FaultWhen::Before,
            code: None,
            status: None,
            message: None,
        }
    }

    /// The next call of `operation` is answered with this error and has no effect.
    pub fn error(operation: &str, code: &str, status: u16) -> Self {
        Self { code: Some(code.to_owned()), status: Some(status), ..Self::of(FaultKind::Error, operation) }
    }

    /// Strikes after the effect.
    #[must_use]
    pub fn after(self) -> Self {
        Self { when: FaultWhen::After, ..self }
    }

    /// Strikes only in `account`.
    #[must_use]
    pub fn in_account(self, account: &str) -> Self {
        Self { account: Some(account.to_owned()), ..self }
    }

    /// Strikes first at the `nth` matching call, counted from 1.
    #[must_use]
    pub fn nth(self, nth: u64) -> Self {
        Self { nth, ..self }
    }

    /// Strikes this many calls.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { times, ..self }
    }
}

/// What became of a fault.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FaultStatus {
    /// As [`AwsSim::inject`] returned it.
    pub id: u64,
    /// How many calls it has struck.
    #[serde(default)]
    pub hits: u64,
    /// How many calls it is holding now.
    #[serde(default)]
    pub held: u64,
}

/// How the simulated AWS behaves as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// How long, in milliseconds, a change is not seen by those who depend on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagation_delay_ms: Option<u64>,
    /// How long, in milliseconds, each answer takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RateLimit {
    /// Tokens that come back each second; 0 for none.
    pub rate: f64,
    /// Tokens that the bucket holds.
    pub burst: u32,
}

/// How often the callers of an account may call; nothing means as often as they like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// What reads from IAM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iam_read: Option<RateLimit>,
    /// What changes IAM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iam_write: Option<RateLimit>,
    /// Everything of STS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sts: Option<RateLimit>,
}

/// A token of an OpenID Connect provider, for `AssumeRoleWithWebIdentity`. Start from [`WebIdentity::of`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WebIdentity {
    /// The provider's URL with `https://`; IAM's provider of this URL must be in the account of the role. Of Cognito, Google, Amazon and Facebook, such as
    /// `https://cognito-identity.amazonaws.com`, there is none: every account knows them.
    #[serde(rename = "providerURL")]
    pub provider_url: String,
    /// The claim `sub`; the user of Amazon and Facebook.
    pub subject: String,
    /// The claim `aud`; the application of Amazon and Facebook.
    pub audience: String,
    /// Further claims; they win over the others. Those for which AWS has condition keys can be asked for, such as GitHub's `repository_id`.
    pub claims: serde_json::Map<String, Value>,
    /// How long the token is valid; an hour unless it is said.
    #[serde(rename = "expiresInSeconds", skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<i64>,
}

impl WebIdentity {
    /// A token for STS (`sts.amazonaws.com`) without further claims.
    pub fn of(provider_url: &str, subject: &str) -> Self {
        Self {
            provider_url: provider_url.to_owned(),
            subject: subject.to_owned(),
            audience: "sts.amazonaws.com".to_owned(),
            claims: serde_json::Map::new(),
            expires_in_seconds: None,
        }
    }
}

/// What a service of AWS asks for when it assumes a role for a customer. Start from [`ServiceAssumption::of`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceAssumption {
    /// The service, such as `pods.eks.amazonaws.com`. It has to exist.
    pub service: String,
    /// The role.
    #[serde(rename = "roleARN")]
    pub role_arn: String,
    /// Name of the session.
    #[serde(rename = "sessionName")]
    pub session_name: String,
    /// Session tags.
    pub tags: BTreeMap<String, String>,
    /// Keys of the tags that stay down a chain.
    #[serde(rename = "transitiveTagKeys")]
    pub transitive_tag_keys: Vec<String>,
    /// Condition keys that the service sets, such as `aws:SourceAccount`.
    pub conditions: BTreeMap<String, String>,
}

impl ServiceAssumption {
    /// A service without tags and conditions.
    pub fn of(service: &str, role_arn: &str) -> Self {
        Self {
            service: service.to_owned(),
            role_arn: role_arn.to_owned(),
            session_name: "service".to_owned(),
            tags: BTreeMap::new(),
            transitive_tag_keys: Vec::new(),
            conditions: BTreeMap::new(),
        }
    }

    /// EKS Pod Identity for a pod: its tags, all of them transitive, as the agent passes them.
    pub fn of_pod(role_arn: &str, tags: &[(&str, &str)]) -> Self {
        let tags: BTreeMap<_, _> = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { transitive_tag_keys: tags.keys().cloned().collect(), tags, ..Self::of("pods.eks.amazonaws.com", role_arn) }
    }
}

/// Why a service does not get a role.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "reason")]
pub enum ServiceRefusal {
    /// There is no such role, or not yet.
    NoSuchRole,
    /// A resource control policy of the role's organization refuses.
    #[serde(rename_all = "camelCase")]
    ResourceControlPolicy {
        /// The first refused action, such as `sts:AssumeRole`.
        action: String,
        /// A statement denies it; otherwise none allows it.
        explicit_deny: bool,
    },
    /// The trust policy refuses.
    #[serde(rename_all = "camelCase")]
    RoleTrustPolicy {
        /// The first refused action, such as `sts:TagSession`.
        action: String,
        /// A statement denies it; otherwise none allows it.
        explicit_deny: bool,
    },
}

/// A running simulator, killed when dropped.
#[derive(Debug)]
pub struct AwsSim {
    server: Server,
    url: String,
    cli: tokio::sync::OnceCell<PathBuf>,
    sandbox: Arc<Sandbox>,
}

#[derive(Deserialize)]
struct Ready {
    url: String,
}

impl AwsSim {
    /// Starts the simulator in a sandbox of its own, without accounts. Builds it where the cache does not have it.
    pub async fn start() -> Result<Self> {
        Self::start_in(Sandbox::new()?).await
    }

    /// As [`AwsSim::start`], in the given sandbox.
    pub async fn start_in(sandbox: Arc<Sandbox>) -> Result<Self> {
        let mut command = sandbox.command(Tool::AwsSim.path().await?);
        command.args(["--port", "0"]);
        let server = sandbox.spawn("aws-sim", command)?;
        let start = Instant::now();
        let ready = loop {
            // Among other output there is one line of JSON that says where it listens.
            if let Some(ready) = server.log().lines().find_map(|line| serde_json::from_str::<Ready>(line).ok()) {
                break ready;
            }
            server.ensure_running()?;
            if start.elapsed() > READY {
                bail!("{} is not ready after {READY:?}:\n{}", Tool::AwsSim.name(), server.log());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        Ok(Self { server, url: ready.url, cli: tokio::sync::OnceCell::new(), sandbox })
    }

    /// The endpoint of all services: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the simulator has written to standard output and standard error.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Creates the account where it does not exist, and returns the key of its IAM user `administrator`, who may do everything there.
    pub async fn account(&self, account_id: &str) -> Result<Credentials> {
        self.send(Method::POST, "accounts", Some(&json!({"accountID": account_id}))).await
    }

    /// As [`AwsSim::account`], as a member of an AWS organization such as `o-exampleorgid`.
    pub async fn account_in_organization(&self, account_id: &str, organization_id: &str) -> Result<Credentials> {
        self.send(Method::POST, "accounts", Some(&json!({"accountID": account_id, "organizationID": organization_id}))).await
    }

    /// As [`AwsSim::account`], in a partition such as `aws-cn`, of which all ARNs of the account are, those of AWS's own policies too. Calls that are
    /// signed for a Region elsewhere are taken as if they came to the account's partition. An error where the account is in another one already.
    pub async fn account_in_partition(&self, account_id: &str, partition: &str) -> Result<Credentials> {
        self.send(Method::POST, "accounts", Some(&json!({"accountID": account_id, "partition": partition}))).await
    }

    /// The quotas of an account by their keys in `GetAccountSummary`, such as `RolesQuota`. An error when there is no such account.
    pub async fn quotas(&self, account_id: &str) -> Result<BTreeMap<String, u64>> {
        self.send(Method::GET, &format!("accounts/{account_id}/quotas"), None).await
    }

    /// Changes quotas of an account from now on, as AWS does on request, and returns all of them; what is there stays. An error for a key that is
    /// none, and for more than AWS gives anybody.
    pub async fn set_quotas(&self, account_id: &str, quotas: &[(&str, u64)]) -> Result<BTreeMap<String, u64>> {
        let changes: BTreeMap<_, _> = quotas.iter().copied().collect();
        self.send(Method::PUT, &format!("accounts/{account_id}/quotas"), Some(&json!(changes))).await
    }

    /// Puts a text in the place of a document of an account, whatever it is: `place` names a role, whose trust policy it becomes, a user or role with a
    /// policy (`{"userName", "policyName"}`), or a customer-managed policy (`{"policyARN"}`).
    pub async fn store_document(&self, account_id: &str, place: Value, document: &str) -> Result<()> {
        let mut stored = place;
        stored["document"] = document.into();
        self.send::<Value>(Method::PUT, &format!("accounts/{account_id}/documents"), Some(&stored)).await.map(drop)
    }

    /// Replaces the service control policies of an account: levels from the root of the organization down to the account, each a list of
    /// documents. One document of every level must allow, and none may deny. No levels, no limit.
    pub async fn set_service_control_policies(&self, account_id: &str, levels: &[Vec<Value>]) -> Result<()> {
        let path = format!("accounts/{account_id}/service-control-policies");
        self.send::<Value>(Method::PUT, &path, Some(&json!(levels))).await.map(drop)
    }

    /// Replaces the token buckets of the callers of an account, full at first; what has none is not throttled. A call that finds no token is
    /// answered `Throttling` with status 400 and has no effect.
    pub async fn set_throttling(&self, account_id: &str, throttling: Throttling) -> Result<()> {
        self.send::<Value>(Method::PUT, &format!("accounts/{account_id}/throttling"), Some(&serde_json::to_value(throttling)?)).await.map(drop)
    }

    /// As [`AwsSim::set_service_control_policies`], of the resource control policies, which limit who gets the account's roles and buckets, wherever
    /// the caller is. Their statements have a `Principal`, which is `*`.
    pub async fn set_resource_control_policies(&self, account_id: &str, levels: &[Vec<Value>]) -> Result<()> {
        let path = format!("accounts/{account_id}/resource-control-policies");
        self.send::<Value>(Method::PUT, &path, Some(&json!(levels))).await.map(drop)
    }

    /// Moves the time of the simulated AWS to this many seconds ahead of the machine's, behind it when negative: sessions expire, and condition
    /// keys, the age of MFA and all dates follow. Signatures and one-time codes still go by the machine's time, since their makers do.
    pub async fn set_clock_offset(&self, seconds: i64) -> Result<()> {
        self.send::<Value>(Method::PUT, "clock", Some(&json!({"offsetSeconds": seconds}))).await.map(drop)
    }

    /// Makes a role where only AWS can, such as IAM Identity Center's `/aws-reserved/sso.amazonaws.com/AWSReservedSSO_...`, and returns its ARN.
    /// IAM refuses to change it.
    pub async fn create_reserved_role(&self, account_id: &str, path: &str, role_name: &str, trust_policy: &Value) -> Result<String> {
        #[derive(Deserialize)]
        struct Made {
            arn: String,
        }
        let wanted = json!({"roleName": role_name, "path": path, "assumeRolePolicyDocument": trust_policy});
        let made: Made = self.send(Method::POST, &format!("accounts/{account_id}/reserved-roles"), Some(&wanted)).await?;
        Ok(made.arn)
    }

    /// A token of an OpenID Connect provider, to be passed to `AssumeRoleWithWebIdentity`. The provider exists for everybody; whether IAM of an
    /// account knows it is decided by `CreateOpenIDConnectProvider` there.
    pub async fn web_identity_token(&self, identity: &WebIdentity) -> Result<String> {
        #[derive(Deserialize)]
        struct Minted {
            token: String,
        }
        let minted: Minted = self.send(Method::POST, "web-identity-tokens", Some(&serde_json::to_value(identity)?)).await?;
        Ok(minted.token)
    }

    /// A service of AWS tries to assume a role: the credentials that it gets, or why it gets none.
    pub async fn assume_as_service(&self, asked: &ServiceAssumption) -> Result<std::result::Result<Credentials, ServiceRefusal>> {
        let answer: Value = self.send(Method::POST, "service-assumptions", Some(&serde_json::to_value(asked)?)).await?;
        Ok(if answer["allowed"] == true { Ok(serde_json::from_value(answer)?) } else { Err(serde_json::from_value(answer)?) })
    }

    /// All calls with a `seq` greater than `since`; 0 for all.
    pub async fn calls(&self, since: u64) -> Result<Vec<Call>> {
        self.send(Method::GET, &format!("calls?since={since}"), None).await
    }

    /// Forgets all calls, and so sets the counts back to zero.
    pub async fn clear_calls(&self) -> Result<()> {
        self.send::<Value>(Method::DELETE, "calls", None).await.map(drop)
    }

    /// How often each operation was called, such as `iam:CreateRole`, whether it succeeded or not; by callers of one account, by one
    /// principal (ARN), or by all.
    pub async fn counts(&self, account: Option<&str>, principal: Option<&str>) -> Result<BTreeMap<String, u64>> {
        let parameters = [account.map(|account| format!("account={account}")), principal.map(|arn| format!("principal={}", query_value(arn)))];
        let query = parameters.into_iter().flatten().collect::<Vec<_>>().join("&");
        self.send(Method::GET, &format!("counts?{query}"), None).await
    }

    /// Everything that the accounts hold.
    pub async fn state(&self) -> Result<State> {
        self.send(Method::GET, "state", None).await
    }

    /// What one account holds; an error when there is no such account.
    pub async fn account_state(&self, account_id: &str) -> Result<AccountState> {
        self.state().await?.accounts.remove(account_id).with_context(|| format!("no account {account_id} in the simulator"))
    }

    /// Injects a fault and returns its id.
    pub async fn inject(&self, fault: &Fault) -> Result<u64> {
        #[derive(Deserialize)]
        struct Injected {
            id: u64,
        }
        let injected: Injected = self.send(Method::POST, "faults", Some(&serde_json::to_value(fault)?)).await?;
        Ok(injected.id)
    }

    /// All faults, with how often they have struck.
    pub async fn faults(&self) -> Result<Vec<FaultStatus>> {
        self.send(Method::GET, "faults", None).await
    }

    /// Lets the calls go that a fault of kind [`FaultKind::Hold`] holds.
    pub async fn release(&self, fault: u64) -> Result<()> {
        self.send::<Value>(Method::POST, &format!("faults/{fault}/release"), None).await.map(drop)
    }

    /// Removes a fault; what it holds goes on.
    pub async fn remove_fault(&self, fault: u64) -> Result<()> {
        self.send::<Value>(Method::DELETE, &format!("faults/{fault}"), None).await.map(drop)
    }

    /// Removes all faults, those of other tests of the same simulator too; what they hold goes on.
    pub async fn clear_faults(&self) -> Result<()> {
        self.send::<Value>(Method::DELETE, "faults", None).await.map(drop)
    }

    /// Changes the settings that are present.
    pub async fn set(&self, settings: Settings) -> Result<()> {
        self.send::<Value>(Method::PUT, "settings", Some(&serde_json::to_value(settings)?)).await.map(drop)
    }

    /// The settings now.
    pub async fn settings(&self) -> Result<Settings> {
        self.send(Method::GET, "settings", None).await
    }

    /// Makes the lists of IAM come in pages of at most this many entries, whatever is asked for; 0 for as many as are asked for.
    pub async fn set_page_size(&self, entries: u64) -> Result<()> {
        self.send::<Value>(Method::PUT, "settings", Some(&json!({"pageSize": entries}))).await.map(drop)
    }

    /// For how many milliseconds a new login profile, and a user that was deleted and created again, refuse changes with
    /// `EntityTemporarilyUnmodifiable`; 0 for not at all.
    pub async fn set_unmodifiable_ms(&self, milliseconds: u64) -> Result<()> {
        self.send::<Value>(Method::PUT, "settings", Some(&json!({"unmodifiableMs": milliseconds}))).await.map(drop)
    }

    /// For how many milliseconds after a trust policy was written reads show its users and roles as unique ids (`AIDA...`, `AROA...`) and not as
    /// ARNs; 0 for not at all.
    pub async fn set_unique_ids_ms(&self, milliseconds: u64) -> Result<()> {
        self.send::<Value>(Method::PUT, "settings", Some(&json!({"uniqueIDsMs": milliseconds}))).await.map(drop)
    }

    /// The environment that makes an AWS SDK or CLI talk to the simulator, without credentials.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.url.clone()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// As [`AwsSim::environment`], with credentials.
    pub fn environment_for(&self, credentials: &Credentials) -> Vec<(&'static str, String)> {
        let mut environment = self.environment();
        environment.push(("AWS_ACCESS_KEY_ID", credentials.access_key_id.clone()));
        environment.push(("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key.clone()));
        environment.extend(credentials.session_token.clone().map(|token| ("AWS_SESSION_TOKEN", token)));
        environment
    }

    /// The real AWS CLI, version 1, with these credentials and a clean environment; add arguments and run it with
    /// [`run`](crate::run). The first call installs it.
    pub async fn aws_cli(&self, credentials: &Credentials) -> Result<Command> {
        let mut command = self.aws_cli_without_credentials().await?;
        command.envs(self.environment_for(credentials));
        Ok(command)
    }

    /// As [`AwsSim::aws_cli`], without credentials: for `AWS_CONFIG_FILE` and `AWS_PROFILE`.
    pub async fn aws_cli_without_credentials(&self) -> Result<Command> {
        let program = self.cli.get_or_try_init(|| Tool::AwsCli.path()).await?;
        let mut command = self.sandbox.command(program);
        command.envs(self.environment()).env("AWS_PAGER", "").env("AWS_DEFAULT_OUTPUT", "json");
        Ok(command)
    }

    async fn send<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<&Value>) -> Result<T> {
        send_json(method, &format!("{}/_sim/{path}", self.url), body).await
    }
}

/// Encodes what an ARN may hold and a query may not.
fn query_value(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "tests may stop at the first surprise")]
mod tests {
    use super::*;

    const ACCOUNT: &str = "111111111111";

    async fn aws(sim: &AwsSim, credentials: &Credentials, args: &[&str]) -> Result<String> {
        let mut command = sim.aws_cli(credentials).await?;
        command.args(args);
        crate::run(command).await
    }

    async fn refusal(sim: &AwsSim, credentials: &Credentials, args: &[&str]) -> Result<String> {
        match aws(sim, credentials, args).await {
            Ok(answer) => bail!("was not refused: {answer}"),
            Err(error) => Ok(format!("{error:#}")),
        }
    }

    /// One simulator for all controls, since starting one costs more than asking it: what this module sends is what the simulator takes, and what it
    /// answers is what this module reads.
    #[tokio::test]
    async fn the_simulator_understands_every_control() -> Result<()> {
        let sim = AwsSim::start().await?;
        let admin = sim.account(ACCOUNT).await?;
        let list = ["iam", "list-users"];

        assert_eq!(sim.set_quotas(ACCOUNT, &[("RolesQuota", 3)]).await?["RolesQuota"], 3);
        assert_eq!(sim.quotas(ACCOUNT).await?["AssumeRolePolicySizeQuota"], 2048);

        let china = sim.account_in_partition("444444444444", "aws-cn").await?;
        assert!(aws(&sim, &china, &["sts", "get-caller-identity"]).await?.contains("arn:aws-cn:iam::444444444444:user/administrator"));

        let statement = |effect: &str| json!({"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": "*", "Resource": "*"}]});
        sim.set_service_control_policies(ACCOUNT, &[vec![statement("Deny")]]).await?;
        assert!(refusal(&sim, &admin, &list).await?.contains("service control policy"));
        sim.set_service_control_policies(ACCOUNT, &[]).await?;

        sim.set_throttling(ACCOUNT, Throttling { iam_read: Some(RateLimit { rate: 0.0, burst: 0 }), ..Throttling::default() }).await?;
        assert!(refusal(&sim, &admin, &list).await?.contains("Throttling"));
        sim.set_throttling(ACCOUNT, Throttling::default()).await?;
        aws(&sim, &admin, &list).await?;

        let trust = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": ["sts:AssumeRole", "sts:TagSession"]},
            {"Effect": "Allow", "Principal": {"Federated": "arn:aws:iam::111111111111:oidc-provider/token.example.com"},
                "Action": "sts:AssumeRoleWithWebIdentity"}]});
        let role = sim.create_reserved_role(ACCOUNT, "/aws-reserved/sso.amazonaws.com/", "AWSReservedSSO_Admin_0123456789abcdef", &trust).await?;
        let pod = sim.assume_as_service(&ServiceAssumption::of_pod(&role, &[("kubernetes-namespace", "team")])).await?;
        let Ok(pod) = pod else { bail!("{pod:?}") };
        assert!(aws(&sim, &pod, &["sts", "get-caller-identity"]).await?.contains("assumed-role/AWSReservedSSO_Admin_0123456789abcdef"));
        let lambda = ServiceAssumption::of("lambda.amazonaws.com", &role);
        let refused = ServiceRefusal::RoleTrustPolicy { action: "sts:AssumeRole".to_owned(), explicit_deny: false };
        assert_eq!(sim.assume_as_service(&lambda).await?, Err(refused));
        let missing = ServiceAssumption::of("lambda.amazonaws.com", "arn:aws:iam::111111111111:role/none");
        assert_eq!(sim.assume_as_service(&missing).await?, Err(ServiceRefusal::NoSuchRole));
        sim.set_resource_control_policies(ACCOUNT, &[vec![]]).await?;
        let refused = ServiceRefusal::ResourceControlPolicy { action: "sts:AssumeRole".to_owned(), explicit_deny: false };
        assert_eq!(sim.assume_as_service(&lambda).await?, Err(refused));
        sim.set_resource_control_policies(ACCOUNT, &[]).await?;

        let provider = ["iam", "create-open-id-connect-provider", "--url", "https://token.example.com", "--client-id-list", "sts.amazonaws.com"];
        aws(&sim, &admin, &provider).await?;
        let token = sim.web_identity_token(&WebIdentity::of("https://token.example.com", "repo:team/app")).await?;
        let assume = ["sts", "assume-role-with-web-identity", "--role-arn", &role, "--role-session-name", "job", "--web-identity-token", &token];
        assert!(aws(&sim, &admin, &assume).await?.contains("repo:team/app"));

        sim.set_clock_offset(7200).await?;
        assert!(refusal(&sim, &pod, &["sts", "get-caller-identity"]).await?.contains("ExpiredToken"));
        sim.set_clock_offset(0).await?;
        sim.set_page_size(1).await?;
        sim.set_unmodifiable_ms(2).await?;
        sim.set_unique_ids_ms(3).await?;
        assert_eq!(sim.settings().await?, Settings { propagation_delay_ms: Some(0), latency_ms: Some(0) });
        Ok(())
    }
}
