//! The demo: the classic recipe of two accounts, from an empty cluster and empty accounts to the proof that the declared user can assume
//! the role and that nobody else can. Every command that it prints is run as printed, by a shell, with the real kubectl and AWS CLI.
//!
//! ```text
//! main ──► story      what happens, step by step
//!            ├─ shell     a person at a shell: runs a command and shows it
//!            ├─ proof     a claim, the command that decides it, and PASS or FAIL
//!            ├─ aws       what is prepared in AWS by hand
//!            └─ screen    how all of it looks on a terminal
//! ```

mod aws;
mod proof;
mod screen;
mod shell;
mod story;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::{screen::Screen, story::Story};

/// What the shell says of a program that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

/// Shows the classic recipe on a real Kubernetes API server and an AWS that enforces policies, and proves that it works.
#[derive(Parser)]
#[command(name = "demo", version)]
struct Arguments {
    /// The operator's binary. Default: `rolebridge` beside this program, where `cargo build --workspace` puts it.
    operator: Option<PathBuf>,
    /// Keep everything running before the example is deleted, until Ctrl-C.
    #[arg(long, env = "KEEP", value_parser = clap::builder::FalseyValueParser::new())]
    keep: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let screen = Screen::new();
    let result = tokio::runtime::Runtime::new().context("starting the async runtime").and_then(|runtime| {
        let result = runtime.block_on(run(&arguments, &screen));
        // Whoever ends the demo during a build does not want to wait for the build's end.
        runtime.shutdown_background();
        result
    });
    result.unwrap_or_else(|error| {
        screen.failure(&error);
        ExitCode::FAILURE
    })
}

async fn run(arguments: &Arguments, screen: &Screen) -> Result<ExitCode> {
    let operator = operator_binary(arguments.operator.as_deref())?;
    // From here on a signal ends the story in an orderly way; were the process killed, the sandbox would clean up all the same.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut interrupted = async || {
        tokio::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
        }
    };
    let (mut story, held) = tokio::select! {
        told = Story::tell(screen, &operator) => told?,
        () = interrupted() => return Ok(ExitCode::from(INTERRUPTED)),
    };
    if arguments.keep {
        story.explain_how_to_go_on();
        interrupted().await;
        screen.text("");
        screen.text("Stopping everything; nothing is left behind.");
        return Ok(exit_code(held));
    }
    tokio::select! {
        held = story.end() => Ok(exit_code(held?)),
        () = interrupted() => Ok(ExitCode::from(INTERRUPTED)),
    }
}

fn exit_code(held: bool) -> ExitCode {
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn operator_binary(given: Option<&Path>) -> Result<PathBuf> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()?.with_file_name("rolebridge"),
    };
    std::path::absolute(&path)
        .and_then(|path| path.metadata().map(|_| path))
        .with_context(|| format!("what to do: `make demo` builds the operator; there is none at {}", path.display()))
}
