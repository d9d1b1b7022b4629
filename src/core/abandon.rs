//! Giving up what a resource has in AWS, so that the resource can go.
//!
//! It is no way out for somebody who wants to leave access behind: it counts only once nobody gets in by what stays, or where AWS does not let the operator
//! see to that.

use super::names::UniqueID;
use super::outcome::Problem;
use super::subject::Subject;
use rolebridge_api::{ABANDON, Managed, Reason};

/// Whether somebody has given up what a resource has in AWS. That alone does not make it count.
pub fn is_given_up<K: Managed>(object: &K) -> bool {
    object.meta().annotations.as_ref().is_some_and(|annotations| annotations.get(ABANDON).is_some_and(|value| value == "true"))
}

/// Whether what holds a deletion up lets a person give up what is there: it was cut off, AWS refuses the operator, or there is no way into the account any
/// more. What passes by itself, such as throttling, does not.
pub fn may_be_given_up(reason: Reason) -> bool {
    match reason {
        Reason::WaitingForRoles | Reason::DeletionBlocked => true,
        // It is somebody else's, and stays in any case.
        Reason::Conflict | Reason::IdentityChanged => true,
        Reason::AccessDenied | Reason::SecretNotUsable | Reason::AccountNotFound | Reason::AccountMismatch => true,
        _ => false,
    }
}

/// What is told of a deletion that is held up. `is_given_up` says whether somebody has given up already, which does not count yet.
pub fn how_to_give_up(problem: &Problem, is_given_up: bool) -> String {
    let message = problem.message.trim_end_matches('.');
    match problem.reason {
        // These end by themselves or by what a person does in AWS, and what is there is cut off.
        Reason::WaitingForRoles | Reason::DeletionBlocked => problem.message.clone(),
        reason if may_be_given_up(reason) => {
            format!("{message}. A platform administrator can give up what this object owns in AWS, by the annotation {ABANDON}=true")
        }
        _ if is_given_up => format!(
            "{message}. The annotation {ABANDON}=true does not count yet: it does once nobody gets in by what this object owns in AWS, or AWS refuses the operator, or the AWSAccount is gone"
        ),
        _ => problem.message.clone(),
    }
}

/// What stays in AWS of a resource that is given up, for people. `made` is the unique ID of its user or role, as far as that is known.
pub fn left_behind<K: Subject>(object: &K, made: Option<&UniqueID>) -> String {
    let policies = object.reported_policies();
    let identity = object.reported_arn().map(|arn| arn.to_string()).or_else(|| made.map(|id| format!("what has the unique ID {id}")));
    let mut all = identity.into_iter().chain(policies.iter().map(ToString::to_string)).collect::<Vec<_>>();
    if all.is_empty() {
        all.push("whatever was made for it".to_owned());
    }
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_no_reason_to_give_up() {
        for (reason, may) in [
            (Reason::AWSUnavailable, false),
            (Reason::Propagating, false),
            (Reason::AccountNotReady, false),
            (Reason::AccessDenied, true),
            (Reason::AccountNotFound, true),
            (Reason::WaitingForRoles, true),
        ] {
            assert_eq!(may_be_given_up(reason), may, "{reason:?}");
            let told = how_to_give_up(&Problem::new(reason, "why."), true);
            assert_eq!(told.contains("does not count yet"), !may, "{told}");
        }
        assert!(how_to_give_up(&Problem::new(Reason::AccessDenied, "why."), false).contains("by the annotation rolebridge.io/abandon=true"));
    }
}
