//! Keeps a testbed running for a person at a terminal, or prepares the programs that it takes.

use anyhow::Result;
use clap::{Parser, Subcommand};
use rolebridge_testbed::{AwsSim, ControlPlane, ControlPlaneOptions, Credentials, Sandbox, Tool};
use tokio::signal::unix::{SignalKind, signal};

/// A real Kubernetes control plane and an AWS that enforces policies, on this machine.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Start a control plane and the AWS simulator, print how to use them, and keep them running until Ctrl-C.
    Up {
        /// Run kube-controller-manager too: garbage collection, deletion of namespaces.
        #[arg(long)]
        controller_manager: bool,
        /// Leave out the AWS simulator.
        #[arg(long, conflicts_with = "account")]
        without_aws: bool,
        /// Accounts to create in the simulator, 12 digits each.
        #[arg(long, default_values = ["111111111111", "222222222222"])]
        account: Vec<String>,
    },
    /// Build programs into the cache, all of them where none is named, and print their paths.
    Build {
        /// Which ones.
        #[arg(value_enum)]
        tools: Vec<Tool>,
    },
}

fn main() -> Result<()> {
    let command = Arguments::parse().command;
    let runtime = tokio::runtime::Runtime::new()?;
    let result = runtime.block_on(async {
        match command {
            Action::Up { controller_manager, without_aws, account } => up(controller_manager, without_aws, &account).await,
            Action::Build { tools } => build(if tools.is_empty() { Tool::ALL.to_vec() } else { tools }).await,
        }
    });
    // Whoever ends the program during a build does not want to wait for the build's end.
    runtime.shutdown_background();
    result
}

async fn build(tools: Vec<Tool>) -> Result<()> {
    for tool in tools {
        println!("{}", tool.path().await?.display());
    }
    Ok(())
}

async fn up(controller_manager: bool, without_aws: bool, accounts: &[String]) -> Result<()> {
    // From here on a signal ends this function in an orderly way; were the process killed, the sandbox would clean up all the same.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        never = keep_running(controller_manager, without_aws, accounts) => never,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

async fn keep_running(controller_manager: bool, without_aws: bool, accounts: &[String]) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let control_plane = ControlPlane::start_in(sandbox.clone(), ControlPlaneOptions { controller_manager }).await?;
    println!("# Kubernetes: {}", control_plane.kubectl_path().display());
    println!("export KUBECONFIG={}", control_plane.kubeconfig().display());
    let aws = if without_aws { None } else { Some(AwsSim::start_in(sandbox).await?) };
    if let Some(aws) = &aws {
        println!("# AWS: IAM, STS and S3; any SDK or CLI will do");
        for (name, value) in aws.environment() {
            println!("export {name}={value}");
        }
        for account in accounts {
            print_administrator(&aws.account(account).await?);
        }
        println!("# the AWS CLI: `testbed build aws-cli` installs one and prints its path");
        println!("# another account: curl -d '{{\"accountID\":\"333333333333\"}}' {}/_sim/accounts", aws.url());
        println!("# all calls so far: curl {}/_sim/calls", aws.url());
    }
    println!("# ready; Ctrl-C ends it and leaves nothing behind");
    std::future::pending().await
}

fn print_administrator(key: &Credentials) {
    println!("# administrator of account {}:", key.account_id);
    println!("#   export AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={}", key.access_key_id, key.secret_access_key);
}
