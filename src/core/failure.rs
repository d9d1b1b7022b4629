//! A call to AWS that did not succeed, classed once, at the edge, into what the rest of the program needs to know of it.

use std::time::Duration;

use super::action::Action;
use super::observed::Observed;
use super::outcome::Problem;
use rolebridge_api::Reason;

/// What is known of the state of AWS after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing was changed.
    None,
    /// It is not known whether the change was made: the reply was lost, late or unreadable. The object must be read before anything is
    /// concluded about it.
    Unknown,
    /// Nothing was changed because an object of this name exists. It must be read to know whose it is.
    AlreadyExists,
}

/// A call to AWS that did not succeed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Why, for conditions and for what to do next.
    pub reason: Reason,
    /// Operation, error code and text as AWS gave them, for people. Never holds credentials.
    pub message: String,
    /// The same without what may repeat the request, such as a policy that was sent.
    pub without_quotes: String,
    /// What is known of the state of AWS.
    pub effect: Effect,
    /// When there is budget for the next try, where that is known.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure that changed nothing.
    pub fn refused(reason: Reason, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { reason, without_quotes: message.clone(), message, effect: Effect::None, retry_after: None }
    }

    /// The failure for those who may not read what was sent.
    pub fn quoting_nothing(self) -> Self {
        Self { message: self.without_quotes.clone(), ..self }
    }

    /// The failure of an action, in the light of what is known to be there: a policy that exists and is said not to is not shown
    /// everywhere yet; and IAM does not name what it cannot delete.
    pub fn in_the_light_of(self, action: &Action, observed: &Observed) -> Self {
        match action {
            Action::AttachPolicy(_, arn) if self.reason == Reason::PolicyNotFound && observed.policies.contains_key(arn) => {
                Self { reason: Reason::Propagating, ..self }
            }
            _ if self.reason == Reason::DeletionBlocked => Self { message: format!("cannot {action}: {}", self.message), ..self },
            _ => self,
        }
    }

    /// What a person is told.
    pub fn problem(&self) -> Problem {
        Problem::new(self.reason, self.message.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_deleted_is_named() {
        let action = Action::DeletePolicy("arn:aws:iam::111111111111:policy/p".parse().unwrap());
        let failure = Failure::refused(Reason::DeletionBlocked, "iam:DeletePolicy: DeleteConflict: Cannot delete a policy attached to entities.");
        let told = failure.in_the_light_of(&action, &Observed::default());
        assert!(told.message.starts_with("cannot delete policy arn:aws:iam::111111111111:policy/p: iam:DeletePolicy"), "{}", told.message);
    }
}
