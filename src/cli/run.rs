//! `rolebridge run`: the controller.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tracing::info;

use super::connect::{Connected, Connection};
use crate::controller::{self, Health, Settings};
use crate::runtime::{server, shutdown, telemetry};

/// What the controller is told.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    connection: Connection,

    /// How often each account is read in bulk, to put right what others changed in it, for example 15m or 1h; 10s or more. An AWSAccount may say
    /// otherwise.
    #[arg(long, env = "ROLEBRIDGE_SWEEP_INTERVAL", value_name = "DURATION", default_value = "15m", value_parser = duration)]
    sweep_interval: Duration,

    /// How many resources of one kind are worked on at the same time.
    #[arg(long, env = "ROLEBRIDGE_CONCURRENCY", value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,

    /// Where /livez and /readyz are served over plain HTTP, for the kubelet; port 0 takes a free one, and the log says which.
    #[arg(long, env = "ROLEBRIDGE_HEALTH_ADDRESS", value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8081")]
    health_address: SocketAddr,

    #[command(flatten)]
    telemetry: telemetry::LogArguments,
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
    let Connected { client, aws, installation } = tokio::select! {
        connected = arguments.connection.connect() => connected?,
        _ = stopped.wait_for(|stop| *stop) => return Ok(()),
    };
    info!(installation, "objects in AWS are tagged for this installation");
    let settings = Settings { installation, sweep_interval: arguments.sweep_interval, concurrency: arguments.concurrency };
    controller::run(client, aws, settings, health, stopped).await
}
