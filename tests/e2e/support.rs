//! What the end-to-end tests share: testbeds with both charts installed, where the operator has the rights of the chart's own service
//! account and a principal in AWS, and for each test a namespace and AWS accounts of its own.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, anyhow, ensure};
use aws_sdk_iam::config::{BehaviorVersion, Region, SharedCredentialsProvider};
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::builders::AssumeRoleFluentBuilder as Asking;
use kube::{
    Config, ResourceExt,
    config::{KubeConfigOptions, Kubeconfig},
};
use rolebridge::api::{Condition, Managed};
use rolebridge::core::bootstrap::{ManagementRole, OperatorPolicy, Parameters};
use rolebridge_testbed::{
    ApiGate, AwsGate, Call, Credentials, Operator, Testbed, TestbedOptions, aws_sim::AccountState, aws_sim::REGION, aws_sim::WebIdentity, charts,
    command::output, run,
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

#[path = "support/member.rs"]
mod member;
#[path = "support/pool.rs"]
mod pool;
#[path = "support/tenant.rs"]
mod tenant;

pub use member::{Answer, Member, Rights};
pub use pool::Own;
pub use tenant::Tenant;

/// The account of the operator's own IAM user.
pub const OPERATOR_ACCOUNT: &str = "900000000000";
/// The management role in every account of the tests.
const MANAGEMENT_ROLE: &str = "rolebridge";
/// The installation that the operator's owner tags name.
pub const INSTALLATION: &str = "e2e";
/// The groups that the management role may put users into.
const GROUPS: [&str; 3] = ["staff", "team-data", "team-later"];
/// A policy that allows to list buckets.
pub const LIST: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}}"#;
/// A policy that allows to read objects.
pub const READ: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}"#;

/// A testbed that is ready for resources and for an operator.
pub struct World {
    pub testbed: Testbed,
    operator_key: Credentials,
    kubeconfig: PathBuf,
    tenants: AtomicU64,
    accounts: AtomicU64,
}

impl World {
    /// The one that all tests share, unless they disturb others.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<World> = OnceCell::const_new();
        SHARED.get_or_try_init(|| Self::start(TestbedOptions::default())).await
    }

    /// The shared one, with an operator that looks at everything again only once an hour: whatever happens earlier was woken by a watch.
    pub async fn with_operator() -> Result<&'static Self> {
        static OPERATOR: OnceCell<Operator> = OnceCell::const_new();
        let world = Self::shared().await?;
        OPERATOR.get_or_try_init(|| async { world.operator() }).await?.ensure_running()?;
        Ok(world)
    }

    async fn start(options: TestbedOptions) -> Result<Self> {
        let testbed = Testbed::start(options).await?;
        let kubeconfig = testbed.install(&[&format!("installation={INSTALLATION}")]).await?;
        let operator_key = operator_in_aws(&testbed).await?;
        Ok(Self { testbed, operator_key, kubeconfig, tenants: AtomicU64::new(0), accounts: AtomicU64::new(0) })
    }

    /// Starts an operator whose periodic look at everything is an hour away.
    pub fn operator(&self) -> Result<Operator> {
        self.operator_that_logs("info,rolebridge=debug")
    }

    /// The same, with this filter of what it logs.
    pub fn operator_that_logs(&self, filter: &str) -> Result<Operator> {
        self.operator_as(&self.operator_key, filter)
    }

    /// The same, with other credentials than the world's own.
    pub fn operator_as(&self, credentials: &Credentials, filter: &str) -> Result<Operator> {
        self.start_operator(&self.kubeconfig, credentials, filter)
    }

    /// As [`World::operator`], by another way to the API server.
    pub fn operator_by(&self, kubeconfig: &Path) -> Result<Operator> {
        self.start_operator(kubeconfig, &self.operator_key, "info,rolebridge=debug")
    }

    /// As [`World::operator`], by another way to the API server, with other credentials and with this filter of what it logs.
    pub fn start_operator(&self, kubeconfig: &Path, credentials: &Credentials, filter: &str) -> Result<Operator> {
        let env = self.testbed.aws.environment_for(credentials);
        let args = ["run", "--installation", INSTALLATION, "--namespace", charts::NAMESPACE, "--sweep-interval", "1h", "--log", filter];
        self.testbed.operator(Path::new(env!("CARGO_BIN_EXE_rolebridge")), kubeconfig, &env, &args)
    }

    /// As [`World::operator`], which may have so many files and connections open.
    pub fn operator_with_files(&self, limit: u32) -> Result<Operator> {
        let env = self.testbed.aws.environment_for(&self.operator_key);
        let limited = format!("ulimit -n {limit} && exec \"$@\"");
        let program = ["-c", &limited, "sh", env!("CARGO_BIN_EXE_rolebridge"), "run", "--installation", INSTALLATION];
        let options = ["--namespace", charts::NAMESPACE, "--sweep-interval", "1h", "--log", "info,rolebridge=debug"];
        self.testbed.operator(Path::new("/bin/sh"), &self.kubeconfig, &env, &[program.as_slice(), &options].concat())
    }

    /// As [`World::operator`], by another way to AWS.
    pub fn operator_through(&self, aws: &AwsGate) -> Result<Operator> {
        let mut env = self.testbed.aws.environment_for(&self.operator_key);
        env.iter_mut().filter(|(_, value)| value == self.testbed.aws.url()).for_each(|(_, value)| aws.url().clone_into(value));
        let args =
            ["run", "--installation", INSTALLATION, "--namespace", charts::NAMESPACE, "--sweep-interval", "1h", "--log", "info,rolebridge=debug"];
        self.testbed.operator(Path::new(env!("CARGO_BIN_EXE_rolebridge")), &self.kubeconfig, &env, &args)
    }

    /// A gate in front of the API server, for what the operator may do.
    pub async fn gate(&self) -> Result<ApiGate> {
        let config = Config::from_custom_kubeconfig(Kubeconfig::read_from(&self.kubeconfig)?, &KubeConfigOptions::default()).await?;
        ApiGate::start(kube::Client::try_from(config)?, self.testbed.dir()).await
    }

    /// The way to the API server with the operator's rights.
    pub fn operator_kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// ARN of the operator's own principal.
    pub fn operator_arn(&self) -> String {
        format!("arn:aws:iam::{OPERATOR_ACCOUNT}:user/operator")
    }

    /// What the operator gets when it assumes the management role of an account, from the AWS CLI: for what somebody could do who has taken it
    /// over. The session has a transitive tag, as one of EKS Pod Identity has.
    pub async fn manager_of(&self, account: &Account) -> Result<Credentials> {
        let (role, external_id) = (account.management_role(), account.external_id.as_str());
        let args = ["sts", "assume-role", "--role-session-name=taken-over", "--role-arn", &role, "--external-id", external_id];
        let tags = ["--tags=Key=kubernetes-namespace,Value=rolebridge-system", "--transitive-tag-keys=kubernetes-namespace"];
        let answer = self.aws(&self.operator_key, &[args.as_slice(), &tags].concat()).await?;
        let field = |name: &str| answer["Credentials"][name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
        Ok(Credentials::new(field("AccessKeyId")?, field("SecretAccessKey")?, Some(field("SessionToken")?)))
    }

    /// The key of the operator's own principal.
    pub fn operator_credentials(&self) -> &Credentials {
        &self.operator_key
    }

    /// What must not be in any log of the operator: its secret key here, external IDs by [`Account::external_id`].
    pub fn operator_secret(&self) -> &str {
        &self.operator_key.secret_access_key
    }

    /// The token by which the API server knows the operator.
    pub fn operator_token(&self) -> Result<String> {
        let config: Value = serde_json::from_str(&std::fs::read_to_string(&self.kubeconfig)?)?;
        Ok(config["users"][0]["user"]["token"].as_str().context("no token in the kubeconfig")?.to_owned())
    }

    /// IAM of an account that is made for it where it does not exist, as its administrator.
    pub async fn administrator_of(&self, account_id: &str) -> Result<aws_sdk_iam::Client> {
        Ok(iam(&self.testbed, &self.testbed.aws.account(account_id).await?))
    }

    /// A new namespace; what is in it is this tenant's.
    pub async fn tenant(&self) -> Result<Tenant<'_>> {
        let number = self.tenants.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("team-{number}");
        self.testbed.kubectl(&["create", "namespace", &namespace]).await?;
        Ok(Tenant { world: self, client: self.testbed.control_plane.client().await?, namespace, number })
    }

    /// The number of the last call that AWS has answered.
    pub async fn last_call(&self) -> Result<u64> {
        Ok(self.testbed.aws.calls(0).await?.last().map_or(0, |call| call.seq))
    }

    /// The calls to IAM that the operator made in an account after call number `since`. Finding out who it is there does not count.
    pub async fn calls_in(&self, account: &Account, since: u64) -> Result<Vec<Call>> {
        Ok(self.testbed.aws.calls(since).await?.into_iter().filter(|call| is_managed(account, call)).collect())
    }

    /// How often the operator has called each operation in these accounts after call number `since`: those that write, those that read.
    pub async fn counts_in(&self, accounts: &[&Account], since: u64) -> Result<(Counts, Counts)> {
        let (mut writes, mut reads) = (Counts::new(), Counts::new());
        for call in self.testbed.aws.calls(since).await? {
            if accounts.iter().any(|account| is_managed(account, &call)) {
                *if call.is_read() { &mut reads } else { &mut writes }.entry(call.operation).or_default() += 1;
            }
        }
        Ok((writes, reads))
    }

    /// What the operator's own principal did in IAM, in the account where it is at home.
    pub async fn calls_at_home(&self) -> Result<Vec<Call>> {
        let home = self.operator_arn();
        let by_operator = |call: &Call| call.service == "iam" && call.principal.as_ref() == Some(&home);
        Ok(self.testbed.aws.calls(0).await?.into_iter().filter(by_operator).collect())
    }

    /// STS, with these credentials.
    pub fn sts(&self, credentials: &Credentials) -> aws_sdk_sts::Client {
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(self.testbed.aws.url())
            .credentials_provider(provider(credentials));
        aws_sdk_sts::Client::from_conf(config.build())
    }

    /// The session that these credentials get of a role, asked for with what `ask` adds, or None where AWS denies it.
    pub async fn assume(&self, credentials: &Credentials, role_arn: &str, ask: impl FnOnce(Asking) -> Asking) -> Result<Option<Credentials>> {
        let asking = self.sts(credentials).assume_role().role_arn(role_arn).role_session_name("test");
        unless_denied(ask(asking).send().await.map(|answer| answer.credentials))
    }

    /// Whether these credentials may assume the role now.
    pub async fn may_assume(&self, credentials: &Credentials, role_arn: &str) -> Result<bool> {
        Ok(self.assume(credentials, role_arn, |asking| asking).await?.is_some())
    }

    /// The session that a token of `https://{provider}` with this subject gets of a role, or None where AWS denies it.
    pub async fn assume_by_token(&self, provider: &str, subject: &str, role_arn: &str) -> Result<Option<Credentials>> {
        self.assume_by(&WebIdentity::of(&format!("https://{provider}"), subject), role_arn).await
    }

    /// The session that a token gets of a role, or None where AWS denies it.
    pub async fn assume_by(&self, identity: &WebIdentity, role_arn: &str) -> Result<Option<Credentials>> {
        let token = self.testbed.aws.web_identity_token(identity).await?;
        // Only the token counts; whoever asks needs no credentials.
        let asking = self.sts(&self.operator_key).assume_role_with_web_identity().role_arn(role_arn).role_session_name("job");
        unless_denied(asking.web_identity_token(token).send().await.map(|answer| answer.credentials))
    }

    /// A session of the user's for which a second factor was shown, of a device that the user gets now.
    pub async fn session_with_mfa(&self, administrator: &aws_sdk_iam::Client, user_name: &str, key: &Credentials) -> Result<Credentials> {
        let (device, code) = enable_mfa(administrator, user_name).await?;
        let asking = self.sts(key).get_session_token().serial_number(device).token_code(code);
        unless_denied(asking.send().await.map(|answer| answer.credentials))?.context("denied")
    }

    /// The AWS CLI's answer to these arguments, as a person with these credentials.
    pub async fn aws(&self, credentials: &Credentials, args: &[&str]) -> Result<Value> {
        let mut command = self.testbed.aws.aws_cli(credentials).await?;
        command.args(args);
        let text = run(command).await?;
        Ok(if text.trim().is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }

    /// Asserts that AWS denies the AWS CLI's call.
    pub async fn aws_denies(&self, credentials: &Credentials, args: &[&str]) -> Result<()> {
        let mut command = self.testbed.aws.aws_cli(credentials).await?;
        command.args(args);
        let said = output(command, None).await?;
        let error = String::from_utf8_lossy(&said.stderr);
        ensure!(!said.status.success() && error.contains("(AccessDenied)"), "`aws {}` was not denied: {error}", args.join(" "));
        Ok(())
    }
}

/// The credentials that STS gave, or None where it denied them.
pub fn unless_denied<E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static>(
    answer: Result<Option<aws_sdk_sts::types::Credentials>, SdkError<E>>,
) -> Result<Option<Credentials>> {
    match answer {
        Ok(given) => {
            let given = given.context("an answer of STS has no credentials")?;
            Ok(Some(Credentials {
                account_id: String::new(),
                access_key_id: given.access_key_id,
                secret_access_key: given.secret_access_key,
                session_token: Some(given.session_token),
            }))
        }
        Err(error) if error.code() == Some("AccessDenied") => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether the operator made this call to IAM, in this account.
fn is_managed(account: &Account, call: &Call) -> bool {
    let is_its_role = |principal: &str| {
        let session = principal.strip_prefix("arn:aws:sts::")?.strip_prefix(&account.id)?.strip_prefix(":assumed-role/")?;
        session.strip_prefix(MANAGEMENT_ROLE)?.starts_with('/').then_some(())
    };
    call.service == "iam" && call.principal.as_deref().and_then(is_its_role).is_some()
}

/// How often each operation was called.
pub type Counts = BTreeMap<String, u64>;

/// The same, as an expectation: each of these operations once.
pub fn once(operations: &[&str]) -> Counts {
    operations.iter().map(|operation| ((*operation).to_owned(), 1)).collect()
}

/// A user that may do nothing but assume roles, in an account of its own.
async fn operator_in_aws(testbed: &Testbed) -> Result<Credentials> {
    let administrator = testbed.aws.account(OPERATOR_ACCOUNT).await?;
    let iam = iam(testbed, &administrator);
    iam.create_user().user_name("operator").send().await?;
    let policy = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": "*"}});
    iam.put_user_policy().user_name("operator").policy_name("assume").policy_document(policy.to_string()).send().await?;
    new_key(&iam, "operator").await
}

/// What `rolebridge bootstrap` prints with these arguments, as JSON.
pub async fn bootstrap(arguments: &[&str]) -> Result<Value> {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rolebridge"));
    command.env_clear().arg("bootstrap").args(arguments);
    Ok(serde_json::from_str(&run(command).await?)?)
}

/// The documents of the management role that `rolebridge bootstrap` prints for an account: trust and permissions.
pub fn management_role(account_id: &str, operator: &str, external_id: &str, installation: Option<&str>) -> Result<[String; 2]> {
    let parameters = parameters(account_id, operator, installation)?;
    let role = ManagementRole::new(&parameters, &MANAGEMENT_ROLE.parse()?, external_id).map_err(|problems| anyhow!(problems.join("\n")))?;
    Ok([role.trust_policy.to_json(), role.permissions_policy.to_json()])
}

fn parameters(account_id: &str, operator: &str, installation: Option<&str>) -> Result<Parameters> {
    Ok(Parameters {
        account: account_id.parse()?,
        partition: Default::default(),
        operator: operator.parse()?,
        path_prefix: Default::default(),
        permissions_boundary: None,
        installation: installation.map(str::to_owned),
        allowed_groups: GROUPS.iter().map(|group| group.parse()).collect::<Result<_, _>>()?,
    })
}

/// IAM, with these credentials.
fn iam(testbed: &Testbed, credentials: &Credentials) -> aws_sdk_iam::Client {
    let config = aws_sdk_iam::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(testbed.aws.url())
        .credentials_provider(provider(credentials));
    aws_sdk_iam::Client::from_conf(config.build())
}

fn provider(credentials: &Credentials) -> SharedCredentialsProvider {
    let Credentials { access_key_id, secret_access_key, session_token, .. } = credentials.clone();
    SharedCredentialsProvider::new(aws_sdk_iam::config::Credentials::new(access_key_id, secret_access_key, session_token, None, "tests"))
}

/// A new access key of an existing user.
pub async fn new_key(iam: &aws_sdk_iam::Client, user_name: &str) -> Result<Credentials> {
    let key = iam.create_access_key().user_name(user_name).send().await?.access_key.context("no key")?;
    Ok(Credentials::new(key.access_key_id, key.secret_access_key, None))
}

/// Makes a virtual MFA device that nobody has yet. Returns its serial number, and the codes that it showed before and shows now.
pub async fn new_device(iam: &aws_sdk_iam::Client, name: &str) -> Result<(String, [String; 2])> {
    let device = iam.create_virtual_mfa_device().virtual_mfa_device_name(name).send().await?;
    let device = device.virtual_mfa_device().context("no device")?;
    let seed = device.base32_string_seed().context("no seed")?.as_ref();
    let secret = totp_rs::Secret::try_from_base32(std::str::from_utf8(seed)?)?;
    let codes = totp_rs::Builder::new().with_secret(secret).build()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok((device.serial_number().to_owned(), [now - 30, now].map(|at| codes.generate(at).to_string())))
}

/// Gives a user a virtual MFA device. Returns its serial number and the code that it shows now.
pub async fn enable_mfa(administrator: &aws_sdk_iam::Client, user_name: &str) -> Result<(String, String)> {
    // A device outlives the user where somebody dies between taking it off and deleting it.
    let device_name = format!("{user_name}-{}", fastrand::u32(..));
    let (serial, [before, shown]) = new_device(administrator, &device_name).await?;
    let enable = administrator.enable_mfa_device().user_name(user_name).serial_number(&serial);
    enable.authentication_code1(before).authentication_code2(&shown).send().await?;
    Ok((serial, shown))
}

/// An AWS account with a management role, and the name that its AWSAccount has in Kubernetes.
pub struct Account {
    /// Name of the AWSAccount.
    pub name: String,
    /// Account ID.
    pub id: String,
    /// What the management role asks for.
    pub external_id: String,
    /// Of an administrator.
    pub administrator: Credentials,
    /// IAM, as the administrator.
    pub iam: aws_sdk_iam::Client,
}

impl Account {
    /// ARN of the management role.
    pub fn management_role(&self) -> String {
        format!("arn:aws:iam::{}:role/{MANAGEMENT_ROLE}", self.id)
    }

    /// The AWSAccount, allowed to these namespaces, with further fields of the spec.
    pub fn manifest(&self, namespaces: &str, fields: &str) -> String {
        let (role, external_id) = (self.management_role(), &self.external_id);
        let access = format!("{{assumeRole: {{roleARN: '{role}', externalID: '{external_id}'}}}}");
        manifest("AWSAccount", &self.name, &format!("{{accountID: '{}', access: {access}, allowedNamespaces: {namespaces}, {fields}}}", self.id))
    }

    /// The AWSAccount reached through another one, whose management role this one's trusts: see [`Tenant::account_behind`].
    pub fn manifest_via(&self, via: &Account, namespaces: &str, fields: &str) -> String {
        let (role, external_id) = (self.management_role(), &self.external_id);
        let access = format!("{{assumeRole: {{roleARN: '{role}', externalID: '{external_id}', via: {{name: {}}}}}}}", via.name);
        manifest("AWSAccount", &self.name, &format!("{{accountID: '{}', access: {access}, allowedNamespaces: {namespaces}, {fields}}}", self.id))
    }

    /// A user with the operator's policy that `rolebridge bootstrap` prints, and the key of that user.
    pub async fn manager(&self) -> Result<Credentials> {
        let parameters = parameters(&self.id, &self.arn("user/manager"), Some(INSTALLATION))?;
        let policy = OperatorPolicy::new(&parameters, &"manage-iam".parse()?).map_err(|problems| anyhow!(problems.join("\n")))?;
        self.iam.create_user().user_name("manager").send().await?;
        self.iam.create_policy().policy_name("manage-iam").policy_document(policy.document.to_json()).send().await?;
        self.iam.attach_user_policy().user_name("manager").policy_arn(policy.arn.as_str()).send().await?;
        new_key(&self.iam, "manager").await
    }

    /// The AWSAccount entered by the keys in a Secret.
    pub fn manifest_by_secret(&self, secret: &str, namespaces: &str) -> String {
        let spec = format!("{{accountID: '{}', access: {{secretRef: {{name: {secret}}}}}, allowedNamespaces: {namespaces}}}", self.id);
        manifest("AWSAccount", &self.name, &spec)
    }

    /// ARN of a user or role of this account, such as `user/alice`.
    pub fn arn(&self, resource: &str) -> String {
        format!("arn:aws:iam::{}:{resource}", self.id)
    }
}

/// The condition of this type.
pub fn condition<'k, K: Managed + Debug>(object: &'k K, type_: &str) -> Option<&'k Condition> {
    object.status().into_iter().flat_map(|status| K::conditions(status)).find(|condition| condition.type_ == type_)
}

/// Asserts that the object's condition Ready is False with each of `words` in its message, and that of Stalled and Reconciling exactly
/// the expected one is there.
pub fn assert_told<K: Managed>(object: &K, going_on: &str, words: &[&str]) -> Result<()> {
    let ready = condition(object, "Ready").with_context(|| format!("{} has no condition Ready", object.name_any()))?;
    ensure!(ready.status == "False", "{ready:?}");
    for word in words {
        ensure!(ready.message.contains(word), "the message does not say {word:?}: {ready:?}");
    }
    for type_ in ["Stalled", "Reconciling"] {
        let status = condition(object, type_).map(|condition| condition.status.as_str());
        ensure!((status == Some("True")) == (type_ == going_on), "{type_} is {status:?}: {ready:?}");
    }
    Ok(())
}

/// The user of this name in what an account holds.
pub fn user<'s>(state: &'s AccountState, name: &str) -> Option<&'s Value> {
    state.users.iter().find(|user| user["userName"] == name)
}

/// The role of this name in what an account holds.
pub fn role<'s>(state: &'s AccountState, name: &str) -> Option<&'s Value> {
    state.roles.iter().find(|role| role["roleName"] == name)
}

/// The principals of AWS that a role's trust policy names.
pub fn trusted(role: &Value) -> Vec<String> {
    let list = |value: &Value| match value {
        Value::Array(items) => items.clone(),
        Value::Null => Vec::new(),
        single => vec![single.clone()],
    };
    let statements = list(&role["assumeRolePolicyDocument"]["Statement"]);
    let allowing = statements.iter().filter(|statement| statement["Effect"] == "Allow");
    let mut names: Vec<String> =
        allowing.flat_map(|statement| list(&statement["Principal"]["AWS"])).map(|name| name.as_str().unwrap_or_default().to_owned()).collect();
    names.sort();
    names
}

/// The resource that a call was made for, as its user agent says: `kind/namespace/name`.
pub fn made_for(call: &Call) -> Option<&str> {
    let told = call.user_agent.as_deref()?.strip_prefix("rolebridge (")?.strip_prefix(INSTALLATION)?.strip_prefix("; ")?;
    let (resource, of_sdk) = told.split_once(") ")?;
    of_sdk.starts_with("aws-sdk-rust/").then_some(resource)
}

/// A manifest of a kind of ours as YAML in one line; `spec` is a flow mapping.
pub fn manifest(kind: &str, name: &str, spec: &str) -> String {
    format!("---\n{{apiVersion: rolebridge.io/v1alpha1, kind: {kind}, metadata: {{name: {name}}}, spec: {spec}}}\n")
}

/// A ConfigMap with one entry.
pub fn config_map(name: &str, key: &str, text: &str) -> String {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {key: text}}).to_string()
}

/// A BastionUser, with further fields of the spec.
pub fn bastion_user(name: &str, account: &Account, fields: &str) -> String {
    manifest("BastionUser", name, &format!("{{accountRef: {{name: {}}}, {fields}}}", account.name))
}

/// A CrossAccountRole, with the list of its sources and further fields of the spec.
pub fn cross_account_role(name: &str, account: &Account, sources: &str, fields: &str) -> String {
    let trust = if sources.is_empty() { "[]".to_owned() } else { format!("[{{from: [{sources}]}}]") };
    manifest("CrossAccountRole", name, &format!("{{accountRef: {{name: {}}}, trust: {trust}, {fields}}}", account.name))
}
