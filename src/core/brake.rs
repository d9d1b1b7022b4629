//! The brake for mass deletions: which deletions pass, and which wait until a person confirms them.
//!
//! The times are those at which the API server was asked to delete. Only where an object went past its finalizer is it the operator's own.

use jiff::{SignedDuration, Timestamp};

use super::outcome::Problem;
use rolebridge_api::account::DeletionBrake;
use rolebridge_api::{AWSAccount, CONFIRM_DELETIONS, Managed, Reason};

/// For how long a deletion counts.
pub const WINDOW: SignedDuration = SignedDuration::from_mins(10);

/// The brake of an account, and what a person has confirmed. Without settings every deletion passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Brake {
    settings: Option<DeletionBrake>,
    confirmed: Option<Timestamp>,
}

/// A deletion of a user or role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// When it was asked for, as the API server says.
    pub since: Timestamp,
    /// Whether its status tells of something in AWS. What was never made revokes nothing.
    pub is_made: bool,
    /// What an earlier process has decided.
    pub told: Told,
}

/// What the status of an object that is being deleted says of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// It is under way.
    Passed,
    /// It is held.
    Held,
    /// Nothing yet.
    Nothing,
}

/// What becomes of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes, and counts.
    Counted,
    /// It passes, and does not count: it revokes nothing, or a person has confirmed it, or there is no brake.
    Free,
    /// It waits.
    Held,
}

/// The deletions that wait in an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// How many.
    pub count: usize,
    /// When the last of them was asked for.
    pub newest: Timestamp,
}

impl Deletion {
    /// That of an object, where it is being deleted. `is_made` says whether its status tells of something in AWS.
    pub fn of<K: Managed>(object: &K, is_made: bool) -> Option<Self> {
        let since = object.meta().deletion_timestamp.as_ref()?.0;
        // A deletion counts the generation up, so that a status of this one was written for an object that was being deleted.
        let is_of_now = object.ready().is_some_and(|ready| Some(ready.observed_generation) == object.meta().generation);
        let told = match object.says(&[Reason::DeletionHeld]) {
            true => Told::Held,
            // Nothing else says that it waits for roles to let go.
            false if is_of_now || object.says(&[Reason::WaitingForRoles]) => Told::Passed,
            false => Told::Nothing,
        };
        Some(Self { since, is_made, told })
    }
}

impl Brake {
    /// The brake of an account as it is declared.
    pub fn of(account: &AWSAccount) -> Self {
        Self { settings: account.spec.deletion_brake, confirmed: confirmation(account).and_then(|value| value.parse().ok()) }
    }

    /// Whether there is one.
    pub fn is_set(&self) -> bool {
        self.settings.is_some()
    }

    /// What becomes of a deletion. `counted` has the times of those that count already, `total` how many users and roles there are, with those deletions.
    pub fn decide(&self, deletion: &Deletion, counted: impl Iterator<Item = Timestamp>, total: impl FnOnce() -> usize) -> Verdict {
        let Some(settings) = self.settings.filter(|_| deletion.is_made && !self.releases(deletion.since)) else { return Verdict::Free };
        match deletion.told {
            // What is half removed is not left so.
            Told::Passed => Verdict::Counted,
            Told::Held => Verdict::Held,
            Told::Nothing => {
                let lately = counted.filter(|at| deletion.since.duration_since(*at) < WINDOW).count();
                let is_within = lately < size(settings.number) || lately < total().saturating_mul(size(settings.share)) / 100;
                if is_within { Verdict::Counted } else { Verdict::Held }
            }
        }
    }

    /// Whether a deletion that was asked for then waits no more.
    pub fn releases(&self, since: Timestamp) -> bool {
        self.settings.is_none() || self.confirmed.is_some_and(|until| since <= until)
    }
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Until when a person has confirmed deletions, as the annotation says it.
fn confirmation(account: &AWSAccount) -> Option<&str> {
    account.metadata.annotations.as_ref()?.get(CONFIRM_DELETIONS).map(String::as_str)
}

/// What an administrator types to confirm the deletions that were asked for until then.
fn command(account: &str, until: Timestamp) -> String {
    format!("kubectl annotate awsaccount {account} {CONFIRM_DELETIONS}={until} --overwrite")
}

/// What a user or role says whose deletion waits. It has the time of its own deletion, so that the next ones do not change what it says; nothing is told of
/// other namespaces.
pub fn held_object(account: &str, since: Timestamp) -> Problem {
    let message = format!(
        "its deletion waits, and what it has in AWS stays: more was deleted within ten minutes than spec.deletionBrake of AWSAccount {account} lets pass. \
         A platform administrator confirms this deletion and those before it by: {}",
        command(account, since)
    );
    Problem::new(Reason::DeletionHeld, message)
}

/// What an account says while deletions wait.
pub fn held_in_account(account: &str, held: Held) -> String {
    let Held { count, newest } = held;
    format!(
        "spec.deletionBrake holds {count} deletions of users and roles. What these have in AWS stays until a person confirms it by: {}",
        command(account, newest)
    )
}

/// What is wrong with the confirmation of an account, if anything.
pub fn unclear_confirmation(account: &AWSAccount) -> Option<String> {
    let value = confirmation(account).filter(|value| value.parse::<Timestamp>().is_err())?;
    let shown: String = value.chars().take(64).collect();
    Some(format!("the annotation {CONFIRM_DELETIONS} confirms nothing: {shown:?} is no time such as 2026-11-28T08:00:00Z"))
}

#[cfg(test)]
mod tests;
