//! etcd and kube-apiserver as child processes, with kube-controller-manager on request; kubectl and Helm against them.
//!
//! There is no kubelet: Pods are never run. Garbage collection and the deletion of namespaces need
//! [`ControlPlaneOptions::controller_manager`]; the garbage collector learns of new CRDs every 30 seconds.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{Namespace, ServiceAccount},
};
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

use crate::{
    audit::{self, Write},
    sandbox::{Sandbox, Server},
    tools::Tool,
};

/// The name that the audit log has for the testbed's own client, kubectl and Helm.
pub const ADMIN: &str = "admin";

/// How often a start is tried anew with other ports, since another process can take a port between choice and use.
const ATTEMPTS: u32 = 5;

/// How long a server may take until it is ready, on a machine that is busy with something else.
const READY: Duration = Duration::from_secs(180);

/// What a control plane consists of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ControlPlaneOptions {
    /// Run kube-controller-manager too (and the admission of service accounts, which depends on it).
    pub controller_manager: bool,
}

/// A running control plane. Its servers end when it is dropped.
#[derive(Debug)]
pub struct ControlPlane {
    // Dropped in this order: clients before what they talk to.
    controller_manager: Option<Server>,
    api_server: Mutex<Option<Server>>,
    _etcd: Server,
    settings: ApiServerSettings,
    kubectl: PathBuf,
    sandbox: Arc<Sandbox>,
}

/// What the API server needs to be started, and started again.
#[derive(Debug)]
struct ApiServerSettings {
    program: PathBuf,
    dir: PathBuf,
    etcd_port: u16,
    port: u16,
    service_account_admission: bool,
}

impl ControlPlane {
    /// Starts a control plane in a sandbox of its own and waits until it is ready. Builds the binaries where the cache does not have
    /// them, which takes minutes.
    pub async fn start(options: ControlPlaneOptions) -> Result<Self> {
        Self::start_in(Sandbox::new()?, options).await
    }

    /// As [`ControlPlane::start`], in the given sandbox, which can hold one control plane.
    pub async fn start_in(sandbox: Arc<Sandbox>, options: ControlPlaneOptions) -> Result<Self> {
        let (etcd, api_server, kubectl) = (Tool::Etcd.path().await?, Tool::KubeApiserver.path().await?, Tool::Kubectl.path().await?);
        let manager = if options.controller_manager { Some(Tool::KubeControllerManager.path().await?) } else { None };
        let dir = sandbox.dir().join("control-plane");
        fs::create_dir(&dir).context("a sandbox holds one control plane")?;
        let admin_token = random_token()?;
        fs::write(dir.join("audit-policy.json"), audit::policy().to_string())?;
        fs::write(dir.join("tokens.csv"), format!("{admin_token},{ADMIN},{ADMIN},\"system:masters\"\n"))?;
        fs::write(dir.join("service-account.key"), service_account_key()?)?;

        let (etcd, etcd_port) = start_etcd(&sandbox, &etcd, &dir).await?;
        let mut settings = ApiServerSettings { program: api_server, dir, etcd_port, port: 0, service_account_admission: options.controller_manager };
        let api_server = start_first_api_server(&sandbox, &mut settings, &admin_token).await?;
        let mut control_plane = Self { controller_manager: None, api_server: Mutex::new(Some(api_server)), _etcd: etcd, settings, kubectl, sandbox };
        control_plane.wait_until_ready().await?;
        if let Some(program) = manager {
            control_plane.start_controller_manager(&program).await?;
        }
        Ok(control_plane)
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.settings.url()
    }

    /// The admin's kubeconfig; may do everything.
    pub fn kubeconfig(&self) -> PathBuf {
        self.settings.kubeconfig(ADMIN)
    }

    /// Writes a kubeconfig for somebody else, such as a service account, and returns its path. `name` is only the file's.
    pub fn kubeconfig_for_token(&self, name: &str, token: &str) -> Result<PathBuf> {
        self.settings.write_kubeconfig(name, token)
    }

    /// A client with the admin's rights. It belongs to the tokio runtime that it was made in: make one for each test.
    pub async fn client(&self) -> Result<Client> {
        client(Kubeconfig::read_from(self.kubeconfig())?).await
    }

    /// A client with the rights of a token.
    pub async fn client_for_token(&self, token: &str) -> Result<Client> {
        client(Kubeconfig::from_yaml(&self.settings.kubeconfig_content("client", token)?)?).await
    }

    /// The path of the kubectl that [`ControlPlane::kubectl`] runs.
    pub fn kubectl_path(&self) -> &Path {
        &self.kubectl
    }

    /// kubectl with the admin's rights and a clean environment; add arguments and run it with [`run`](crate::run).
    pub fn kubectl(&self) -> Command {
        let mut command = self.sandbox.command(&self.kubectl);
        command.env("KUBECONFIG", self.kubeconfig());
        command
    }

    /// Helm with the admin's rights and a clean environment. The first call builds it.
    pub async fn helm(&self) -> Result<Command> {
        let mut command = self.sandbox.command(Tool::Helm.path().await?);
        command.env("KUBECONFIG", self.kubeconfig());
        Ok(command)
    }

    /// A token for an existing service account, valid for a day, through the TokenRequest API.
    pub async fn service_account_token(&self, namespace: &str, name: &str) -> Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let spec = TokenRequestSpec { expiration_seconds: Some(24 * 60 * 60), ..Default::default() };
        let request = TokenRequest { spec: Some(spec), ..Default::default() };
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .with_context(|| format!("requesting a token for the service account {namespace}/{name}"))?;
        answer.status.and_then(|status| status.token).context("the API server answered a token request without a token")
    }

    /// All writes so far to `rolebridge.io` resources, Events, ConfigMaps and Secrets, in the order in which they were answered.
    pub async fn writes(&self) -> Result<Vec<Write>> {
        // An event is logged when the request's handler returns, which can be an instant after the client has the whole answer.
        tokio::time::sleep(Duration::from_millis(100)).await;
        audit::read(&self.settings.audit_log())
    }

    /// Kills the API server, which cuts all connections. etcd keeps the data.
    pub fn stop_api_server(&self) {
        self.api_server.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Starts the API server again after [`ControlPlane::stop_api_server`], on the same port with the same data and credentials, and
    /// waits until it is ready.
    pub async fn start_api_server(&self) -> Result<()> {
        {
            let mut api_server = self.api_server.lock().unwrap_or_else(PoisonError::into_inner);
            if api_server.is_none() {
                *api_server = Some(self.settings.spawn(&self.sandbox)?);
            }
        }
        self.wait_until_ready().await
    }

    /// Has etcd forget what was before this resource version. The API server remembers a while of its own, until it is started again.
    pub async fn compact(&self, resource_version: &str) -> Result<()> {
        let url = format!("http://127.0.0.1:{}/v3/kv/compaction", self.settings.etcd_port);
        let _: serde_json::Value = crate::http::send_json(::http::Method::POST, &url, Some(&json!({"revision": resource_version}))).await?;
        Ok(())
    }

    async fn wait_until_ready(&self) -> Result<()> {
        until_ready("kube-apiserver", || async {
            self.ensure_api_server_running()?;
            let ready = async {
                let client = self.client().await?;
                client.request_text(::http::Request::get("/readyz").body(Vec::new())?).await?;
                Api::<Namespace>::all(client).get("default").await?;
                anyhow::Ok(())
            };
            Ok(ready.await)
        })
        .await
    }

    fn ensure_api_server_running(&self) -> Result<()> {
        match self.api_server.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(server) => server.ensure_running(),
            None => bail!("kube-apiserver was stopped"),
        }
    }

    async fn start_controller_manager(&mut self, program: &Path) -> Result<()> {
        let mut command = self.sandbox.command(program);
        command
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .arg("--root-ca-file")
            .arg(self.settings.certificate())
            .arg("--service-account-private-key-file")
            .arg(self.settings.dir.join("service-account.key"))
            .args(["--leader-elect=false", "--secure-port=0", "--use-service-account-credentials=true"]);
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, "default");
        let server = self.controller_manager.insert(self.sandbox.spawn("kube-controller-manager", command)?);
        let accounts = &accounts;
        until_ready("kube-controller-manager", || async {
            server.ensure_running()?;
            Ok(accounts.get("default").await.map(drop).context("the service account default"))
        })
        .await
    }
}

impl ApiServerSettings {
    fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    fn audit_log(&self) -> PathBuf {
        self.dir.join("audit.log")
    }

    /// The certificate that the API server makes for itself at its first start, with that of its issuer.
    fn certificate(&self) -> PathBuf {
        self.dir.join("certificates/apiserver.crt")
    }

    fn kubeconfig(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.kubeconfig"))
    }

    fn write_kubeconfig(&self, name: &str, token: &str) -> Result<PathBuf> {
        let path = self.kubeconfig(name);
        fs::write(&path, self.kubeconfig_content(name, token)?).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    fn kubeconfig_content(&self, name: &str, token: &str) -> Result<String> {
        let certificate = fs::read(self.certificate()).context("the API server's certificate")?;
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "testbed",
            "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": name}}],
            "clusters": [{
                "name": "testbed",
                "cluster": {"server": self.url(), "certificate-authority-data": BASE64_STANDARD.encode(certificate)},
            }],
            "users": [{"name": name, "user": {"token": token}}],
        });
        // JSON is YAML, and this way a token needs no thought about quoting.
        Ok(format!("{config:#}\n"))
    }

    fn spawn(&self, sandbox: &Arc<Sandbox>) -> Result<Server> {
        let file = |flag: &str, path: PathBuf| format!("--{flag}={}", path.display());
        let mut command = sandbox.command(&self.program);
        command
            .arg(format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port))
            .arg(format!("--secure-port={}", self.port))
            // Without these two the server looks for an address of the machine's network, which there may be none of.
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"])
            .arg(file("cert-dir", self.dir.join("certificates")))
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(file("service-account-key-file", self.dir.join("service-account.key")))
            .arg(file("service-account-signing-key-file", self.dir.join("service-account.key")))
            .arg(file("token-auth-file", self.dir.join("tokens.csv")))
            .args(["--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24", "--allow-privileged=true", "--profiling=false"])
            .arg(file("audit-policy-file", self.dir.join("audit-policy.json")))
            .arg(file("audit-log-path", self.audit_log()))
            // Blocking, so that no event is lost; no rotation within the life of a testbed.
            .args(["--audit-log-mode=blocking", "--audit-log-maxsize=100000"]);
        if !self.service_account_admission {
            command.arg("--disable-admission-plugins=ServiceAccount");
        }
        sandbox.spawn("kube-apiserver", command)
    }
}

async fn start_etcd(sandbox: &Arc<Sandbox>, program: &Path, dir: &Path) -> Result<(Server, u16)> {
    for attempt in 1.. {
        let (port, peer_port) = (free_port()?, free_port()?);
        let (url, peer_url) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer_port}"));
        let mut command = sandbox.command(program);
        command
            .args(["--name=testbed", "--unsafe-no-fsync", "--log-level=warn"])
            .arg(format!("--data-dir={}", dir.join(format!("etcd-{attempt}")).display()))
            .args([format!("--listen-client-urls={url}"), format!("--advertise-client-urls={url}")])
            .args([format!("--listen-peer-urls={peer_url}"), format!("--initial-advertise-peer-urls={peer_url}")])
            .arg(format!("--initial-cluster=testbed={peer_url}"));
        let server = sandbox.spawn("etcd", command)?;
        let health = format!("{url}/health");
        let health = &health;
        let ready = until_ready("etcd", || async {
            server.ensure_running()?;
            Ok(crate::http::get_text(health).await.map(drop))
        });
        match ready.await {
            Ok(()) => return Ok((server, port)),
            Err(_) if attempt < ATTEMPTS && port_was_taken(&server) => {}
            Err(error) => return Err(error),
        }
    }
    bail!("etcd was not started")
}

/// Starts the API server on a port that turns out to be free, and writes the admin's kubeconfig as soon as there is a certificate.
async fn start_first_api_server(sandbox: &Arc<Sandbox>, settings: &mut ApiServerSettings, admin_token: &str) -> Result<Server> {
    for attempt in 1.. {
        settings.port = free_port()?;
        let server = settings.spawn(sandbox)?;
        let settings = &*settings;
        let listening = until_ready("kube-apiserver", || async {
            server.ensure_running()?;
            Ok(tokio::net::TcpStream::connect(("127.0.0.1", settings.port)).await.map(drop).context("not listening yet"))
        });
        match listening.await {
            Ok(()) => {
                settings.write_kubeconfig(ADMIN, admin_token)?;
                return Ok(server);
            }
            Err(_) if attempt < ATTEMPTS && port_was_taken(&server) => {}
            Err(error) => return Err(error),
        }
    }
    bail!("kube-apiserver was not started")
}

fn port_was_taken(server: &Server) -> bool {
    server.exit_status().is_some() && server.log().contains("address already in use")
}

/// Calls `probe` until the inner result is good. An outer error ends the attempt.
async fn until_ready<F: Future<Output = Result<Result<()>>>>(name: &str, mut probe: impl FnMut() -> F) -> Result<()> {
    let start = Instant::now();
    loop {
        match probe().await? {
            Ok(()) => return Ok(()),
            Err(error) if start.elapsed() > READY => {
                return Err(error).with_context(|| format!("{name} is not ready after {READY:?}"));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn client(kubeconfig: Kubeconfig) -> Result<Client> {
    // An error only means that a provider was installed before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Ok(Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)?)
}

/// A port that is free now, outside of the ranges that operating systems take ports of outgoing connections from: so a server that
/// is stopped for a while finds its port again.
fn free_port() -> Result<u16> {
    for _ in 0..1000 {
        let [high, low] = random_bytes::<2>()?;
        let port = 20_000 + u16::from_be_bytes([high, low]) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between 20000 and 32000 on 127.0.0.1")
}

fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).ok().context("no random numbers from the operating system")?;
    Ok(bytes)
}

fn random_token() -> Result<String> {
    Ok(random_bytes::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A fresh RSA key in PEM, with which the API server signs and verifies service account tokens.
fn service_account_key() -> Result<String> {
    let key = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).ok().context("making an RSA key")?;
    let der: Pkcs8V1Der<'_> = key.as_der().ok().context("encoding an RSA key")?;
    let base64 = BASE64_STANDARD.encode(der.as_ref());
    let lines: Vec<&str> = base64.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    Ok(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n")))
}
