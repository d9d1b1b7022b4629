//! Why IAM refuses a call, and what the operator's gateway makes of that.

use rolebridge::api::Reason;
use rolebridge::core::action::Receipt;
use rolebridge::core::failure::{Effect, Failure};

/// An error of IAM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: Code,
    /// In IAM's words.
    pub(super) text: String,
}

/// The codes of errors, as far as they mean different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// NoSuchEntity: there is not what was named.
    NoSuchEntity(Missing),
    /// EntityAlreadyExists.
    EntityAlreadyExists,
    /// DeleteConflict.
    DeleteConflict,
    /// LimitExceeded.
    LimitExceeded,
    /// MalformedPolicyDocument.
    MalformedPolicyDocument,
    /// MalformedPolicyDocument, for a principal that nobody knows.
    InvalidPrincipal,
    /// PolicyNotAttachable.
    PolicyNotAttachable,
    /// UnmodifiableEntity.
    UnmodifiableEntity,
    /// InvalidInput.
    InvalidInput,
    /// ValidationError.
    ValidationError,
    /// InvalidClientTokenId: keys of an account that there is not.
    InvalidClientTokenID,
}

/// What there is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The user or role that the call is about.
    Identity,
    /// A managed policy.
    Policy,
    /// A group.
    Group,
    /// What was to be taken from a user, role or policy.
    Part,
}

/// What a call of IAM answers.
pub(super) type Answer<T = ()> = Result<T, Refusal>;

impl Refusal {
    pub(super) fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    pub(super) fn missing(what: Missing, text: impl Into<String>) -> Self {
        Self::new(Code::NoSuchEntity(what), text)
    }

    pub(super) fn invalid(text: impl Into<String>) -> Self {
        Self::new(Code::ValidationError, text)
    }

    pub(super) fn malformed(text: impl Into<String>) -> Self {
        Self::new(Code::MalformedPolicyDocument, text)
    }

    /// The failure that the gateway tells of it.
    pub(super) fn of(self, operation: &str) -> Failure {
        let (reason, effect) = match self.code {
            Code::EntityAlreadyExists => (Reason::Conflict, Effect::AlreadyExists),
            Code::NoSuchEntity(missing) => (missing.reason(operation), Effect::None),
            Code::InvalidPrincipal if self.text.contains("\"SERVICE\":") => (Reason::InvalidSpec, Effect::None),
            Code::InvalidPrincipal => (Reason::Propagating, Effect::None),
            Code::MalformedPolicyDocument => (Reason::InvalidDocument, Effect::None),
            Code::LimitExceeded => (Reason::QuotaExceeded, Effect::None),
            Code::DeleteConflict => (Reason::DeletionBlocked, Effect::None),
            Code::PolicyNotAttachable => (Reason::PolicyNotAttachable, Effect::None),
            Code::UnmodifiableEntity | Code::InvalidInput | Code::ValidationError => (Reason::RequestRejected, Effect::None),
            Code::InvalidClientTokenID => (Reason::AccessDenied, Effect::None),
        };
        Failure { effect, ..Failure::refused(reason, format!("iam:{operation}: {}: {}", self.code.name(), self.text)) }
    }
}

impl Missing {
    /// Who names a policy, or a group, and not what it is for, is told that there is none. Everything else was there a moment ago: made, or seen.
    fn reason(self, operation: &str) -> Reason {
        const WITH_A_POLICY: [&str; 6] =
            ["AttachUserPolicy", "AttachRolePolicy", "PutUserPermissionsBoundary", "PutRolePermissionsBoundary", "CreateUser", "CreateRole"];
        match self {
            Self::Policy if WITH_A_POLICY.contains(&operation) => Reason::PolicyNotFound,
            Self::Group if operation == "AddUserToGroup" => Reason::GroupNotFound,
            _ => Reason::Propagating,
        }
    }
}

impl Code {
    fn name(self) -> &'static str {
        match self {
            Self::NoSuchEntity(_) => "NoSuchEntity",
            Self::EntityAlreadyExists => "EntityAlreadyExists",
            Self::DeleteConflict => "DeleteConflict",
            Self::LimitExceeded => "LimitExceeded",
            Self::MalformedPolicyDocument | Self::InvalidPrincipal => "MalformedPolicyDocument",
            Self::PolicyNotAttachable => "PolicyNotAttachable",
            Self::UnmodifiableEntity => "UnmodifiableEntity",
            Self::InvalidInput => "InvalidInput",
            Self::ValidationError => "ValidationError",
            Self::InvalidClientTokenID => "InvalidClientTokenId",
        }
    }
}

/// A change is done, or failed.
pub(super) fn done(operation: &str, answer: Answer) -> Result<Receipt, Failure> {
    answer.map(|()| Receipt::Done).map_err(|refusal| refusal.of(operation))
}

/// A removal is no failure where there was nothing to remove.
pub(super) fn gone(operation: &str, answer: Answer) -> Result<Receipt, Failure> {
    match answer {
        Err(Refusal { code: Code::NoSuchEntity(_), .. }) => Ok(Receipt::Missing),
        answer => done(operation, answer),
    }
}

/// Taking something from a user or role is no failure where it was not there, unless there is no user or role.
pub(super) fn off(operation: &str, answer: Answer) -> Result<Receipt, Failure> {
    match answer {
        Err(Refusal { code: Code::NoSuchEntity(missing), .. }) if missing != Missing::Identity => Ok(Receipt::Missing),
        answer => done(operation, answer),
    }
}
