//! `rolebridge release`: hands back what Rolebridge manages, before it is uninstalled.

use std::io::Write;

use anyhow::{Context, bail};

use super::connect::{Connected, Connection};
use crate::controller::{HandedBack, Order, Tally, hand_back};
use crate::runtime::telemetry;

/// What is handed back, and how.
#[derive(Debug, clap::Args)]
#[command(mut_arg("log", |argument| argument.default_value("warn")))]
pub struct Arguments {
    /// Hand back everything that the cluster has resources for. It must be said, since there is no way back by one command; a part of it cannot be released yet.
    #[arg(long, required = true)]
    all: bool,

    /// Tell what would be done, and change nothing. Whether an operator is at work is not found out then.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    connection: Connection,

    #[command(flatten)]
    telemetry: telemetry::LogArguments,
}

/// Hands everything back.
///
/// # Errors
/// Where an operator is at work, or not all could be handed back.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    telemetry::start(&arguments.telemetry)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(release(arguments))
}

async fn release(arguments: Arguments) -> anyhow::Result<()> {
    let is_dry_run = arguments.dry_run;
    let Connected { client, aws, installation } = arguments.connection.connect().await?;
    say(&format!("installation {installation}"));
    let handed_back = hand_back(client, aws, Order { installation, is_dry_run, tell: &say }).await?;
    summary(&handed_back, is_dry_run).iter().for_each(|line| say(line));
    match handed_back.left.len() {
        0 => Ok(()),
        left => bail!(
            "{left} of the resources {} not handed back. Put right what is said of each, and run this again",
            if is_dry_run { "would be" } else { "were" }
        ),
    }
}

/// Each step is shown as it is made. Whoever has stopped to listen does not stop the work.
fn say(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// What came of it: a line for each account, and one for each resource that was not handed back.
fn summary(handed_back: &HandedBack, is_dry_run: bool) -> Vec<String> {
    if handed_back.is_nothing() {
        return vec!["nothing is left to hand back".to_owned()];
    }
    let done = if is_dry_run { "would be handed back" } else { "handed back" };
    let account = |(name, tally): (&String, &Tally)| {
        let left = if tally.left == 0 { String::new() } else { format!(", {} not", tally.left) };
        format!("account {name}: {} {done}{left}", tally.done)
    };
    let left = handed_back.left.iter().map(|(of, why)| format!("not handed back: {of}: {why}"));
    let end = if is_dry_run { Some("nothing was changed") } else { handed_back.left.is_empty().then_some("done") };
    handed_back.accounts.iter().map(account).chain(left).chain(end.map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::world::{ObjectKey, Ref};

    #[test]
    fn it_is_told_what_was_done_in_each_account_and_what_was_not_done() {
        let left = vec![(Ref::User(ObjectKey::new("data", "alice")), "AccessDenied: no".to_owned())];
        let handed_back =
            HandedBack { accounts: [("prod".to_owned(), Tally { done: 2, left: 0 }), ("utils".to_owned(), Tally { done: 1, left: 1 })].into(), left };
        let not = "not handed back: BastionUser/data/alice: AccessDenied: no";
        assert_eq!(summary(&handed_back, false), ["account prod: 2 handed back", "account utils: 1 handed back, 1 not", not]);
        assert_eq!(
            summary(&handed_back, true),
            ["account prod: 2 would be handed back", "account utils: 1 would be handed back, 1 not", not, "nothing was changed"]
        );
        let all = HandedBack { accounts: [("prod".to_owned(), Tally { done: 2, left: 0 })].into(), left: vec![] };
        assert_eq!(summary(&all, false), ["account prod: 2 handed back", "done"]);
        assert_eq!(summary(&HandedBack::default(), false), ["nothing is left to hand back"]);
    }
}
