//! Logs: structured, on standard error.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

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
/// The AWS SDK and its HTTP stack log whole requests at their finest levels, credentials among them: they never go below `info`, whatever
/// the filter says.
///
/// # Errors
/// Where the filter cannot be understood.
pub fn start(arguments: &LogArguments) -> anyhow::Result<()> {
    let mut filter = EnvFilter::try_new(&arguments.log).context("--log cannot be understood")?;
    for quiet in [
        "aws_config",
        "aws_credential_types",
        "aws_runtime",
        "aws_sdk_iam",
        "aws_sdk_sts",
        "aws_sigv4",
        "aws_smithy_http_client",
        "aws_smithy_runtime",
        "aws_smithy_runtime_api",
        "h2",
        "hyper",
        "hyper_util",
        "rustls",
    ] {
        filter = filter.add_directive(format!("{quiet}=info").parse().context("a fixed directive cannot be understood")?);
    }
    let format = arguments.log_format.unwrap_or(if std::io::stderr().is_terminal() { Format::Text } else { Format::Json });
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        Format::Text => lines.with_target(false).init(),
        Format::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).init(),
    }
    Ok(())
}
