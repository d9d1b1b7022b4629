//! How a reconcile ended, and the conditions that say so.

use rolebridge_api::conditions::{Class, condition_types};
use rolebridge_api::{Condition, Reason};

/// Longest message of a condition; what is longer is cut at a character.
const MESSAGE_LENGTH: usize = 2048;

/// Reasons that tell of a rule of an account that is broken.
const VIOLATIONS: [Reason; 4] = [Reason::NamespaceNotAllowed, Reason::TrustNotAllowed, Reason::GroupNotAllowed, Reason::GuardrailViolated];
/// Those of them that are about a user or role as a whole. The others are about one source, or one group.
pub const VIOLATIONS_OF_THE_WHOLE: [Reason; 2] = [Reason::NamespaceNotAllowed, Reason::GuardrailViolated];

/// Something that keeps a resource from being as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Why, from the table of reasons.
    pub reason: Reason,
    /// The field, the value and what to do.
    pub message: String,
}

impl Problem {
    /// A problem with its message.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// Whether a platform team forbids what is declared, so that what is in AWS is cut off where it wants that.
    pub fn is_violation(&self) -> bool {
        VIOLATIONS.contains(&self.reason)
    }
}

/// Which condition a problem makes False, besides Ready, where the kind has it.
pub fn aspect(reason: Reason) -> &'static str {
    use Reason as R;
    match reason {
        R::AccountNotFound | R::AccountDeleting | R::AccountNotReady | R::AccountMismatch | R::NamespaceNotAllowed => condition_types::ACCOUNT_READY,
        R::SourceNotFound
        | R::SourceNotReady
        | R::SourceNotAllowed
        | R::PartitionMismatch
        | R::TrustNotAllowed
        | R::GroupNotAllowed
        | R::ConfigMapNotFound => condition_types::REFERENCES_RESOLVED,
        _ => condition_types::SYNCED,
    }
}

/// How a reconcile ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// What keeps the resource from being as declared; empty when it is.
    pub problems: Vec<Problem>,
    /// What works and is worth knowing; told where there is no problem.
    pub warnings: Vec<String>,
    /// What a person is to hear of at once, by an Event.
    pub alarm: Option<Alarm>,
}

/// What a person is to hear of at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// The word that the Event has for it.
    pub reason: &'static str,
    /// What has happened and what to do.
    pub message: String,
}

impl Outcome {
    /// The most severe class among the problems.
    pub fn class(&self) -> Class {
        self.problems.iter().map(|p| p.reason.class()).max().unwrap_or(Class::Done)
    }

    /// The problem that the summary speaks of: the first of the most severe.
    pub fn worst(&self) -> Option<&Problem> {
        let class = self.class();
        self.problems.iter().find(|p| p.reason.class() == class)
    }

    /// The conditions that say so, following kstatus: `Reconciling` or `Stalled`, never both, each present only while true.
    ///
    /// `aspects` are the conditions that the kind has besides the summary; `previous` those that the status has, from which the
    /// transition times are kept; `now` is RFC 3339.
    pub fn conditions(&self, aspects: &[&str], generation: i64, previous: &[Condition], now: &str) -> Vec<Condition> {
        let make = |kind: &str, status: &str, reason: Reason, message: &str| {
            let since = previous.iter().find(|c| c.type_ == kind && c.status == status).map_or(now, |c| c.last_transition_time.as_str());
            Condition {
                type_: kind.into(),
                status: status.into(),
                observed_generation: generation,
                last_transition_time: since.into(),
                reason: reason.as_str().into(),
                message: cut(message),
            }
        };
        let mut conditions = match self.worst() {
            None => vec![make(condition_types::READY, "True", Reason::Ready, &self.praise())],
            Some(worst) => {
                let summary = self.summary();
                let going_on = if self.class() == Class::Stalled { condition_types::STALLED } else { condition_types::RECONCILING };
                vec![make(condition_types::READY, "False", worst.reason, &summary), make(going_on, "True", worst.reason, &summary)]
            }
        };
        // What comes later cannot be told while something earlier is in the way.
        let mut blocked: Option<Reason> = None;
        for kind in aspects {
            let here: Vec<&Problem> = self.problems.iter().filter(|p| aspect(p.reason) == *kind).collect();
            let condition = match (here.first(), blocked) {
                (Some(first), _) => make(kind, "False", first.reason, &join(&here)),
                (None, Some(reason)) => make(kind, "Unknown", reason, "not known until what stands before it is settled"),
                (None, None) => make(kind, "True", Reason::Ready, ""),
            };
            blocked = blocked.or(here.first().map(|p| p.reason));
            conditions.push(condition);
        }
        conditions
    }

    fn praise(&self) -> String {
        let warnings: String = self.warnings.iter().map(|warning| format!("; warning: {warning}")).collect();
        format!("as declared{warnings}")
    }

    fn summary(&self) -> String {
        let class = self.class();
        join(&self.problems.iter().filter(|p| p.reason.class() == class).collect::<Vec<_>>())
    }
}

/// All that went wrong, each told once: what IAM refused of the whole it may refuse of a part as well.
fn join(problems: &[&Problem]) -> String {
    let mut messages: Vec<&str> = vec![];
    for problem in problems {
        if !messages.contains(&problem.message.as_str()) {
            messages.push(&problem.message);
        }
    }
    messages.join("; ")
}

fn cut(message: &str) -> String {
    if message.len() <= MESSAGE_LENGTH {
        return message.into();
    }
    let end = (0..=MESSAGE_LENGTH - '…'.len_utf8()).rev().find(|i| message.is_char_boundary(*i)).unwrap_or(0);
    format!("{}…", &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASPECTS: [&str; 3] = [condition_types::ACCOUNT_READY, condition_types::REFERENCES_RESOLVED, condition_types::SYNCED];

    fn of(problems: &[Reason]) -> Vec<(String, String, String)> {
        let outcome = Outcome { problems: problems.iter().map(|r| Problem::new(*r, format!("{r} happened"))).collect(), ..Outcome::default() };
        outcome.conditions(&ASPECTS, 3, &[], "2026-01-01T00:00:00Z").into_iter().map(|c| (c.type_, c.status, c.reason)).collect()
    }

    fn row(kind: &str, status: &str, reason: &str) -> (String, String, String) {
        (kind.into(), status.into(), reason.into())
    }

    #[test]
    fn all_is_well_without_reconciling_and_stalled() {
        assert_eq!(
            of(&[]),
            [
                row("Ready", "True", "Ready"),
                row("AccountReady", "True", "Ready"),
                row("ReferencesResolved", "True", "Ready"),
                row("Synced", "True", "Ready")
            ]
        );
    }

    #[test]
    fn the_summary_takes_the_most_severe_and_stalled_excludes_reconciling() {
        let got = of(&[Reason::SourceNotFound, Reason::InvalidDocument]);
        assert_eq!(got[..2], [row("Ready", "False", "InvalidDocument"), row("Stalled", "True", "InvalidDocument")]);
        assert_eq!(
            got[2..],
            [row("AccountReady", "True", "Ready"), row("ReferencesResolved", "False", "SourceNotFound"), row("Synced", "False", "InvalidDocument")]
        );
    }

    #[test]
    fn what_waits_is_reconciling_and_what_comes_after_is_unknown() {
        let got = of(&[Reason::AccountNotFound]);
        assert_eq!(got[1], row("Reconciling", "True", "AccountNotFound"));
        assert_eq!(got[3..], [row("ReferencesResolved", "Unknown", "AccountNotFound"), row("Synced", "Unknown", "AccountNotFound")]);
    }

    #[test]
    fn a_transition_time_moves_only_with_the_status() {
        let outcome = Outcome { problems: vec![Problem::new(Reason::SourceNotFound, "a")], ..Outcome::default() };
        let first = outcome.conditions(&ASPECTS, 1, &[], "2026-01-01T00:00:00Z");
        let other = Outcome { problems: vec![Problem::new(Reason::SourceNotReady, "b")], ..Outcome::default() };
        let second = other.conditions(&ASPECTS, 2, &first, "2026-01-02T00:00:00Z");
        assert!(second.iter().all(|c| c.last_transition_time == "2026-01-01T00:00:00Z"));
        let third = Outcome::default().conditions(&ASPECTS, 2, &second, "2026-01-03T00:00:00Z");
        assert_eq!(third[0].last_transition_time, "2026-01-03T00:00:00Z");
        assert_eq!(third[1].last_transition_time, "2026-01-01T00:00:00Z", "AccountReady stayed True");
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let long = "ü".repeat(3000);
        assert!(cut(&long).len() <= MESSAGE_LENGTH && cut(&long).ends_with('…'));
    }
}
