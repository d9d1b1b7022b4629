//! A call to AWS that did not succeed, classed once, at the edge, into what the rest of the program needs to know of it.

use std::time::Duration;

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

    /// What a person is told.
    pub fn problem(&self) -> Problem {
        Problem::new(self.reason, self.message.clone())
    }
}
