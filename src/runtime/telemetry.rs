//! Logs: structured, on standard error.

use std::io::IsTerminal;

use anyhow::Context;
use tracing::Level;
use tracing_subscriber::filter::{FilterExt, FilterFn};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, Layer};

use crate::aws::WARN_WITH_ANSWERS;

/// The AWS SDK and what is below it log whole requests at their finest levels, credentials among them: whatever filter is asked for, these
/// never go below `info`.
const NEVER_IN_DETAIL: [&str; 5] = ["aws", "h2", "hyper", "rustls", "tower"];
/// Warns of an answer of the API server that cannot be read with the whole answer, such as a list of all AWSAccounts with their external IDs. The
/// same error comes to the caller. The modules below this one say what may be read.
const ONLY_ERRORS_ITSELF: &str = "kube_client::client";
/// kube names each reconcile a second time at `info`.
const LESS_OF_KUBE: &str = "kube_runtime=warn";

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
    let kube = LESS_OF_KUBE.parse().context("a fixed directive cannot be understood")?;
    let asked = EnvFilter::try_new(&arguments.log).context("--log cannot be understood")?.add_directive(kube);
    let harmless = FilterFn::new(|line| *line.level() <= most_detailed(line.target()));
    let format = arguments.log_format.unwrap_or(if std::io::stderr().is_terminal() { Format::Text } else { Format::Json });
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        Format::Text => lines.with_target(false).with_ansi(std::io::stderr().is_terminal()).boxed(),
        Format::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(asked.and(harmless))).init();
    Ok(())
}

/// The most detailed level at which what a part of the program says is fit to be read, whoever asks for more.
fn most_detailed(target: &str) -> Level {
    let is_one_of = |list: &[&str]| list.iter().any(|prefix| target.starts_with(prefix));
    if target == ONLY_ERRORS_ITSELF || is_one_of(&WARN_WITH_ANSWERS) {
        Level::ERROR
    } else if is_one_of(&NEVER_IN_DETAIL) {
        Level::INFO
    } else {
        Level::TRACE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_requests_and_answers_is_kept_short() {
        assert!(WARN_WITH_ANSWERS.iter().all(|target| most_detailed(&format!("{target}::below")) == Level::ERROR));
        assert_eq!(most_detailed("aws_smithy_runtime::client"), Level::INFO);
        assert_eq!(most_detailed("kube_client::client"), Level::ERROR);
        assert_eq!(most_detailed("kube_client::client::builder"), Level::TRACE);
        assert_eq!(most_detailed("rolebridge::controller::run"), Level::TRACE);
    }
}
