//! `rolebridge-aws-sim`: starts the simulator on a loopback port and says where.

use std::process::ExitCode;

use rolebridge_aws_sim::Simulator;
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: rolebridge-aws-sim [--port PORT]\n\
Simulates IAM, STS and S3 on 127.0.0.1. Without --port, or with 0, the system chooses a free one.";

/// Reads `--port PORT`; anything else is an error that shows the usage.
fn port_from(mut arguments: impl Iterator<Item = String>) -> Result<u16, String> {
    let mut port = 0;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--port" => {
                let value = arguments.next().ok_or("--port needs a value")?;
                port = value.parse().map_err(|_| format!("--port: {value:?} is not a port number"))?;
            }
            other => return Err(format!("unknown argument {other:?}")),
        }
    }
    Ok(port)
}

async fn run(port: u16) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let simulator = Simulator::bind(port).await?;
    println!("{}", serde_json::json!({ "url": simulator.url() }));
    // Held and timed-out calls may be open for minutes: a signal ends them with the process.
    tokio::select! {
        ended = simulator.run() => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let port = match port_from(std::env::args().skip(1)) {
        Ok(port) => port,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(port).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rolebridge-aws-sim: {error}");
            ExitCode::FAILURE
        }
    }
}
