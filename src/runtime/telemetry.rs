//! Logs: structured, on standard error.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

/// What the libraries may say at most. The AWS SDK and what is below it log whole requests at their finest levels, credentials among them;
/// kube names each reconcile a second time.
const QUIET: [&str; 8] =
    ["aws=info", "h2=info", "hyper=info", "hyper_util=info", "rustls=info", "tower=info", "kube_client=info", "kube_runtime=warn"];

/// How logs are written.
#[derive(Debug, clap::Args)]
pub struct LogArguments {
    /// What is logged: a level (error, warn, info, debug, trace) or directives such as info,rolebridge=debug.
    #[arg(long, env = "ROLEBRIDGE_LOG", value_name = "FILTER", default_value = "info")]
    log: String,

    /// How log lines look. Default: text on a terminal, JSON otherwise.
    #[arg(long, env = "ROLEBRIDGE_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<Format>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging.
///
/// # Errors
/// Where the filter cannot be understood.
pub fn start(arguments: &LogArguments) -> anyhow::Result<()> {
    let mut filter = EnvFilter::try_new(&arguments.log).context("--log cannot be understood")?;
    for directive in QUIET {
        filter = filter.add_directive(directive.parse().context("a fixed directive cannot be understood")?);
    }
    let format = arguments.log_format.unwrap_or(if std::io::stderr().is_terminal() { Format::Text } else { Format::Json });
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        Format::Text => lines.with_target(false).with_ansi(std::io::stderr().is_terminal()).init(),
        Format::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).init(),
    }
    Ok(())
}
