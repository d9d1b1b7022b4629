//! Running a command to its end, with errors that tell what was run and what it said.

use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;

/// Runs `command` and returns its standard output. An exit status other than 0 is an error that holds the command line and
/// everything that the command wrote.
pub async fn run(command: Command) -> Result<String> {
    run_with_input(command, None).await
}

/// As [`run`], with `input` as the standard input.
pub async fn run_with_input(command: Command, input: Option<&str>) -> Result<String> {
    let line = command_line(&command);
    let output = output(command, input).await?;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!("`{line}` failed ({}):\n{stderr}{stdout}", output.status);
    }
    Ok(stdout.into_owned())
}

/// Runs `command` to its end and returns the exit status with both outputs, whatever the status is: for commands that are
/// expected to be refused.
pub async fn output(command: Command, input: Option<&str>) -> Result<Output> {
    let line = command_line(&command);
    let mut command = tokio::process::Command::from(command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    if input.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().with_context(|| format!("starting `{line}`"))?;
    let stdin = child.stdin.take();
    let write = async {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // A command that ends without reading its input says why on its own.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let ((), output) = tokio::join!(write, child.wait_with_output());
    output.with_context(|| format!("waiting for `{line}`"))
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
