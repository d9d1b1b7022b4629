//! Claims, and the commands that decide them.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    screen::Screen,
    shell::{Answer, Shell},
};

/// For how long a claim is tried that becomes true only when AWS has followed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a command must do for its claim to hold.
#[derive(Debug, Clone, Copy)]
pub enum Expect<'a> {
    /// Succeed and print exactly these words, in any order.
    Words(&'a [&'a str]),
    /// Succeed and print this word among others.
    Word(&'a str),
    /// Be refused for lack of permission; failing in any other way is no proof.
    Refused,
    /// Find that there is no such object in IAM.
    Absent,
}

impl Expect<'_> {
    /// Why the answer is not the one expected, or nothing when it is.
    fn objection(self, answer: &Answer) -> Option<String> {
        let words = || answer.stdout.split_whitespace().collect::<BTreeSet<_>>();
        let holds = match self {
            Self::Words(expected) => answer.success && words() == expected.iter().copied().collect(),
            Self::Word(expected) => answer.success && words().contains(expected),
            Self::Refused => !answer.success && answer.stderr.contains("AccessDenied"),
            Self::Absent => !answer.success && answer.stderr.contains("NoSuchEntity"),
        };
        let expected = match self {
            Self::Words([]) => "success, and an empty answer".to_owned(),
            Self::Words(expected) => format!("success, and exactly: {}", expected.join(" ")),
            Self::Word(expected) => format!("success, and {expected} in the answer"),
            Self::Refused => "a refusal with AccessDenied".to_owned(),
            Self::Absent => "NoSuchEntity".to_owned(),
        };
        let seen = if answer.success { "the command succeeded" } else { "the command failed" };
        (!holds).then(|| format!("expected: {expected}; seen: {seen}, with the answer above"))
    }
}

/// Counts the proofs and shows them.
#[derive(Debug)]
pub struct Proofs {
    screen: Screen,
    passed: usize,
    failed: Vec<String>,
}

impl Proofs {
    /// No proofs yet.
    pub fn new(screen: Screen) -> Self {
        Self { screen, passed: 0, failed: Vec::new() }
    }

    /// Whether every proof so far has held.
    pub fn held(&self) -> bool {
        self.failed.is_empty()
    }

    /// One line for the end, and a line for each claim that did not hold.
    pub fn summary(&self) -> String {
        let total = self.passed + self.failed.len();
        let failed: String = self.failed.iter().map(|claim| format!("\n  FAIL  {claim}")).collect();
        let advice = if self.held() { "" } else { "\n`KEEP=1 make demo` keeps everything running, to look into it." };
        format!("{} of {total} proofs held.{failed}{advice}", self.passed)
    }

    /// Runs a command and decides the claim by its answer. Returns whether it held.
    pub async fn prove(&mut self, shell: &Shell, claim: &str, command: &str, expect: Expect<'_>, hint: &str) -> Result<bool> {
        self.screen.command(command);
        let answer = shell.ask(command).await?;
        self.screen.output(answer.text().trim_start());
        Ok(self.judge(claim, expect.objection(&answer), hint))
    }

    /// As [`Proofs::prove`], for a claim that becomes true only when AWS has followed: the command is repeated until then.
    pub async fn prove_in_time(&mut self, shell: &Shell, claim: &str, command: &str, expect: Expect<'_>, hint: &str) -> Result<bool> {
        self.screen.command(command);
        let start = Instant::now();
        loop {
            let answer = shell.ask(command).await?;
            let objection = expect.objection(&answer);
            if objection.is_none() || start.elapsed() > PATIENCE {
                self.screen.output(answer.text().trim_start());
                return Ok(self.judge(claim, objection, hint));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Records a claim that was decided elsewhere, with the objection to it where there is one. Returns whether it held.
    pub fn judge(&mut self, claim: &str, objection: Option<String>, hint: &str) -> bool {
        match objection {
            None => {
                self.passed += 1;
                self.screen.pass(claim);
                true
            }
            Some(objection) => {
                self.failed.push(claim.to_owned());
                self.screen.fail(claim);
                self.screen.details(&objection);
                self.screen.details(&format!("what to do: {hint}"));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(success: bool, stdout: &str, stderr: &str) -> Answer {
        Answer { success, stdout: stdout.to_owned(), stderr: stderr.to_owned() }
    }

    #[test]
    fn only_the_words_expected_prove_a_list() {
        let expect = Expect::Words(&["one", "two"]);
        assert!(expect.objection(&answer(true, "two\tone\n", "")).is_none());
        assert!(expect.objection(&answer(true, "one\n", "")).is_some());
        assert!(expect.objection(&answer(true, "one two three\n", "")).is_some());
        assert!(expect.objection(&answer(false, "one two\n", "")).is_some());
    }

    #[test]
    fn a_failure_that_is_no_refusal_proves_nothing() {
        assert!(Expect::Refused.objection(&answer(false, "", "An error occurred (AccessDenied) when calling ...")).is_none());
        assert!(Expect::Refused.objection(&answer(false, "", "Could not connect to the endpoint URL")).is_some());
        assert!(Expect::Refused.objection(&answer(true, "", "")).is_some());
        assert!(Expect::Absent.objection(&answer(false, "", "An error occurred (NoSuchEntity) ...")).is_none());
        assert!(Expect::Absent.objection(&answer(false, "", "AccessDenied")).is_some());
    }
}
