//! `rolebridge run`: the controller.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::aws::BaseConfig;
use crate::controller::{self, Health, NamespaceSecrets, Settings};
use crate::runtime::{server, shutdown, telemetry};

/// What the controller is told.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// ID of this installation; it stands in the owner tags of everything that is made in AWS, and only objects that carry it are touched.
    /// Choose one and keep it: a rebuilt cluster with the same ID takes its objects back where an AWSAccount has spec.ownership.takeOver: SameInstallation. Default: the UID of the namespace kube-system.
    #[arg(long, env = "ROLEBRIDGE_INSTALLATION", value_parser = installation)]
    installation: Option<String>,

    /// How often each account is read in bulk, to put right what others changed in it, for example 15m or 1h; 10s or more. An AWSAccount may say
    /// otherwise.
    #[arg(long, env = "ROLEBRIDGE_SWEEP_INTERVAL", value_name = "DURATION", default_value = "15m", value_parser = duration)]
    sweep_interval: Duration,

    /// How many resources of one kind are worked on at the same time.
    #[arg(long, env = "ROLEBRIDGE_CONCURRENCY", value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,

    /// The operator's own namespace: Secrets with the keys of accounts are read from there. Default: that of the service account or of the kubeconfig.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    namespace: Option<String>,

    /// Where /livez and /readyz are served over plain HTTP, for the kubelet; port 0 takes a free one, and the log says which.
    #[arg(long, env = "ROLEBRIDGE_HEALTH_ADDRESS", value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8081")]
    health_address: SocketAddr,

    #[command(flatten)]
    telemetry: telemetry::LogArguments,
}

/// The ID becomes the value of a tag.
pub(super) fn installation(value: &str) -> Result<String, String> {
    let fits = (1..=128).contains(&value.len()) && value.chars().all(|c| c.is_ascii_alphanumeric() || "_.:/=+-@".contains(c));
    if fits { Ok(value.into()) } else { Err("an installation ID has 1 to 128 letters, digits and _.:/=+-@".into()) }
}

fn duration(value: &str) -> Result<Duration, String> {
    let duration: jiff::SignedDuration = value.parse().map_err(|_| "write hours, minutes and seconds, for example 15m or 1h30m".to_owned())?;
    let duration = Duration::try_from(duration).map_err(|_| "a duration cannot be negative".to_owned())?;
    if duration < Duration::from_secs(10) { Err("every account is read each time: choose 10s or more".into()) } else { Ok(duration) }
}

/// Runs the controller until SIGTERM or Ctrl-C.
///
/// # Errors
/// Where the cluster cannot be reached at the start.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    telemetry::start(&arguments.telemetry)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(start(arguments))
}

async fn start(arguments: Arguments) -> anyhow::Result<()> {
    info!(version = env!("CARGO_PKG_VERSION"), "Rolebridge starts");
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        shutdown::requested().await;
        info!("asked to stop; what is under way ends first");
        // Nobody listens any more when the controller has ended already.
        let _ = stop.send(true);
    });
    let health = Health::new(&controller::watched());
    let listener = server::listen(arguments.health_address).await?;
    tokio::spawn(server::serve(listener, server::Asked { health: health.clone(), stopping: stopped.clone() }));
    tokio::select! {
        ended = control(arguments, &health, stopped) => ended?,
        // In the very task that the controller is polled in: where that is blocked, nothing beats.
        () = health.beat() => {}
    }
    info!("stopped");
    Ok(())
}

async fn control(arguments: Arguments, health: &Health, mut stopped: watch::Receiver<bool>) -> anyhow::Result<()> {
    let client = Client::try_default().await.context("no way to the cluster: set KUBECONFIG, or run in a pod with a service account")?;
    let installation = match arguments.installation {
        Some(id) => id,
        None => tokio::select! {
            id = default_installation(&client) => id?,
            _ = stopped.wait_for(|stop| *stop) => return Ok(()),
        },
    };
    info!(installation, "objects in AWS are tagged for this installation");
    let namespace = arguments.namespace.unwrap_or_else(|| client.default_namespace().to_owned());
    let aws = BaseConfig::load(Arc::new(NamespaceSecrets::new(client.clone(), namespace))).await;
    let settings = Settings { installation, sweep_interval: arguments.sweep_interval, concurrency: arguments.concurrency };
    controller::run(client, aws, settings, health, stopped).await
}

async fn default_installation(client: &Client) -> anyhow::Result<String> {
    let namespace = Api::<Namespace>::all(client.clone())
        .get("kube-system")
        .await
        .context("cannot read the namespace kube-system, whose UID is the default of --installation")?;
    warn!("no --installation is set: the UID of kube-system is used, so a rebuilt cluster would not know its own objects in AWS");
    namespace.uid().context("the namespace kube-system has no UID")
}
