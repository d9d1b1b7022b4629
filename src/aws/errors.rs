//! The one place where an error of the SDK becomes a [`Failure`].
//!
//! Two questions are answered: why, for people and for what to do next ([`Reason`]), and what is known of the state of AWS ([`Effect`]).
//! The codes are those of IAM's and STS's API references (the errors of each operation, and "Common Error Types").

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use thiserror::Error;

use super::access::AccessConfig;
use super::secret::SecretError;
use rolebridge_api::Reason;
use rolebridge_core::failure::{Effect, Failure};
use rolebridge_core::names::Arn;

/// Longest text of AWS's that is passed on, in characters. Some repeat a whole policy document.
const TEXT_LENGTH: usize = 1000;

/// Says why an operation such as `iam:CreateRole` failed, and what is known of the state of AWS.
///
/// `code` and `message` are AWS's, `code` being None where there was no readable answer; `http_status` is None where there was no answer.
#[must_use]
pub fn classify(operation: &str, code: Option<&str>, message: &str, http_status: Option<u16>) -> (Reason, Effect) {
    let Some(code) = code else { return (Reason::AWSUnavailable, effect_of_silence(operation)) };
    let status = http_status.unwrap_or_default();
    match code {
        _ if is_skew(code, message) => (Reason::AWSUnavailable, Effect::None),
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "SlowDown"
        | "BandwidthLimitExceeded"
        | "PriorRequestNotComplete" => (Reason::AWSUnavailable, Effect::None),
        _ if status == 429 => (Reason::AWSUnavailable, Effect::None),
        // The next try has new credentials, or says so again.
        "ExpiredToken" | "ExpiredTokenException" | "IDPCommunicationError" => (Reason::AWSUnavailable, Effect::None),
        "ServiceFailure" | "InternalFailure" | "InternalError" | "ServiceUnavailable" | "RequestTimeout" | "RequestTimeoutException" => {
            (Reason::AWSUnavailable, effect_of_silence(operation))
        }
        _ if status >= 500 => (Reason::AWSUnavailable, effect_of_silence(operation)),

        "EntityAlreadyExists" => (Reason::Conflict, Effect::AlreadyExists),
        "EntityTemporarilyUnmodifiable" | "ConcurrentModification" => (Reason::Propagating, Effect::None),
        "NoSuchEntity" => (no_such_entity(operation, message), Effect::None),
        // Services are not made: one that IAM does not know it will not know later.
        "MalformedPolicyDocument" if is_unknown_service(message) => (Reason::InvalidSpec, Effect::None),
        // A principal that was just made, or that is gone; which of the two, only the one who named it can tell.
        "MalformedPolicyDocument" if is_invalid_principal(message) => (Reason::Propagating, Effect::None),
        "MalformedPolicyDocument" | "MalformedPolicyDocumentException" => (Reason::InvalidDocument, Effect::None),
        "LimitExceeded" => (Reason::QuotaExceeded, Effect::None),
        "DeleteConflict" => (Reason::DeletionBlocked, Effect::None),
        "PolicyNotAttachable" => (Reason::PolicyNotAttachable, Effect::None),

        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "NotAuthorized" | "OptInRequired" => {
            (Reason::AccessDenied, Effect::None)
        }
        "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "InvalidIdentityToken"
        | "RegionDisabledException" => (Reason::AccessDenied, Effect::None),
        _ if status == 403 => (Reason::AccessDenied, Effect::None),
        // ValidationError, InvalidInput, UnmodifiableEntity and what else AWS will say to the same request the next time.
        _ => (Reason::RequestRejected, Effect::None),
    }
}

/// Whether AWS found the time of the request too far from its own (IAM User Guide, "Troubleshoot Signature Version 4 signing": a signature counts for
/// five minutes). Waiting or a person at the clock helps, and new credentials or permissions do not.
fn is_skew(code: &str, message: &str) -> bool {
    const TEXTS: [&str; 2] = ["Signature expired", "Signature not yet current"];
    matches!(code, "RequestExpired" | "RequestTimeTooSkewed" | "RequestInTheFuture")
        || (code.contains("Signature") && TEXTS.iter().any(|text| message.starts_with(text)))
}

/// Whether IAM refuses a trust policy for a principal that it names and does not know.
fn is_invalid_principal(message: &str) -> bool {
    message.to_ascii_lowercase().contains("invalid principal")
}

/// Whether that principal is a service of AWS, which IAM tells by its kind: `Invalid principal in policy: "SERVICE":"name"`.
fn is_unknown_service(message: &str) -> bool {
    is_invalid_principal(message) && message.contains("\"SERVICE\":")
}

/// What AWS's text leaves to be said. A refusal names the kind of policy that it comes from, and since January 2026 the policy itself where a statement of it denies
/// (IAM User Guide, "Troubleshoot access denied error messages"); those of the organization are out of reach of whoever administers the account.
fn hint(code: &str, message: &str) -> Option<String> {
    let says = |text: &str| message.contains(text);
    if is_skew(code, message) {
        Some("The clock of the operator's node and that of AWS differ by minutes (clock skew): set the node's clock right.".to_owned())
    } else if code == "MalformedPolicyDocument" && is_unknown_service(message) {
        Some("AWS has no service of this name: look up in IAM's documentation how it is spelled, and correct spec.trust.".to_owned())
    } else if code == "MalformedPolicyDocument" && is_invalid_principal(message) {
        Some("A principal that was just made is known in a moment. If there is no such principal, make it or correct spec.trust.".to_owned())
    } else if !code.starts_with("AccessDenied") {
        None
    } else if let Some(kind) = ["service control policy", "resource control policy"].into_iter().find(|kind| says(kind)) {
        let which = denying_policy(message).map_or_else(|| format!("A {kind}"), |arn| format!("The {kind} {arn}"));
        Some(format!("{which} of the organization denies it, and no policy of the account can allow it: ask who administers the organization."))
    } else {
        denying_policy(message).map(|arn| {
            let advice = if arn.contains("/AWSCompromisedKeyQuarantine") {
                "AWS attached it because keys of this user are known to others: replace the keys, and prefer a role"
            } else {
                "whatever others allow; have that policy changed, or taken off the operator's identity in this account"
            };
            format!("A statement of {arn} denies it: {advice}.")
        })
    }
}

/// ARN of the policy that a refusal names: `... with an explicit deny in a service control policy: arn:...`.
fn denying_policy(message: &str) -> Option<&str> {
    let (_, named) = message.split_once("with an explicit deny in ")?;
    let (_, arn) = named.split_once(": ").filter(|(_, arn)| arn.starts_with("arn:"))?;
    let arn = arn.split(|character: char| character.is_whitespace() || ",;\"".contains(character)).next()?;
    Some(arn.trim_end_matches('.'))
}

/// What NoSuchEntity means where it is an error at all: deletions and the reads that ask for existence never get here.
///
/// Operations that name a policy report it when the policy is missing ("Policy ... does not exist or is not attachable", "Scope ARN: ..." for a
/// boundary), and the one that adds to a group when the group is. In all others, and where the text says so, it is the user, role or policy itself: the caller has just made or seen that, so
/// IAM does not show it yet, or somebody has deleted it since, which the next read will show.
fn no_such_entity(operation: &str, message: &str) -> Reason {
    let action = operation.split_once(':').map_or(operation, |(_, action)| action);
    let names_policy = action.starts_with("Attach")
        || (action.starts_with("Put") && action.ends_with("PermissionsBoundary"))
        || matches!(action, "CreateUser" | "CreateRole");
    let names_group = action == "AddUserToGroup";
    match (names_identity(message), names_policy, names_group) {
        (false, true, _) => Reason::PolicyNotFound,
        (false, _, true) => Reason::GroupNotFound,
        _ => Reason::Propagating,
    }
}

/// Whether a text of NoSuchEntity says that the user or role itself is missing.
fn names_identity(message: &str) -> bool {
    ["The user with name", "The role with name"].iter().any(|start| message.starts_with(start))
}

/// What is known after a request to which there was no answer, or none that could be read, or one that AWS failed.
fn effect_of_silence(operation: &str) -> Effect {
    let action = operation.split_once(':').map_or(operation, |(_, action)| action);
    // AssumeRole makes credentials that nobody holds: nothing that anybody would have to look at.
    let changes_nothing = ["Get", "List", "AssumeRole"].iter().any(|verb| action.starts_with(verb));
    if changes_nothing { Effect::None } else { Effect::Unknown }
}

/// An SDK call that did not succeed.
#[derive(Debug)]
pub(super) struct CallError {
    failure: Failure,
    no_such_entity: bool,
    /// Whether that is the user or role itself, and not what was to be taken from it.
    identity_is_missing: bool,
    credentials_are_refused: bool,
    there_are_no_credentials: bool,
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        error.failure
    }
}

impl From<Failure> for CallError {
    /// A failure that AWS did not report: never that something is absent.
    fn from(failure: Failure) -> Self {
        Self { failure, no_such_entity: false, identity_is_missing: false, credentials_are_refused: false, there_are_no_credentials: false }
    }
}

/// Turns NoSuchEntity into None. Nothing else may ever mean that something is absent.
pub(super) fn existing<T>(result: Result<T, CallError>) -> Result<Option<T>, Failure> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.no_such_entity => Ok(None),
        Err(error) => Err(error.failure),
    }
}

/// The same for what is taken from a user or role. That the user or role itself is missing does not mean that: it is to be read, and made again.
pub(super) fn ok_if_entry_absent<T>(result: Result<T, CallError>) -> Result<Option<T>, Failure> {
    match result {
        Err(error) if error.identity_is_missing => Err(error.failure),
        result => existing(result),
    }
}

impl CallError {
    /// Classes an error of the SDK. `redact` takes out of a text what must not be told.
    pub(super) fn new<E>(operation: &str, error: &SdkError<E>, redact: impl Fn(&str) -> String) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let silence = |said: Said| (Reason::AWSUnavailable, effect_of_silence(operation), said);
        let ours = |what: &str| Said::ours(format!("{operation}: {what}"));
        let mut credentials_are_refused = false;
        let none = chain(error).find_map(|cause| cause.downcast_ref::<NoCredentials>());
        let (reason, effect, said) = if let Some(none) = none {
            (none.reason, Effect::None, Said::ours(none.message.clone()))
        } else {
            match error {
                SdkError::ServiceError(answer) => {
                    let refusal = Refusal::of(answer.err(), answer.raw().status().as_u16());
                    let (reason, effect) = refusal.classify(operation);
                    credentials_are_refused = refusal.is_of_credentials();
                    (reason, effect, refusal.said(operation))
                }
                SdkError::ConstructionFailure(_) => {
                    (Reason::RequestRejected, Effect::None, ours("the request could not be made").quoting(&root_cause(error)))
                }
                SdkError::TimeoutError(_) => silence(ours("no answer from AWS in time")),
                SdkError::ResponseError(answer) => {
                    let status = answer.raw().status().as_u16();
                    silence(ours(&format!("AWS's answer (HTTP {status}) cannot be read")).quoting(&root_cause(error)))
                }
                SdkError::DispatchFailure(_) => silence(ours("AWS cannot be reached").quoting(&root_cause(error))),
                _ => silence(ours("the call failed").quoting(&root_cause(error))),
            }
        };
        let missing = match error {
            SdkError::ServiceError(answer) if answer.err().code() == Some("NoSuchEntity") => Some(answer.err().message().unwrap_or_default()),
            _ => None,
        };
        Self {
            failure: Failure { reason, message: redact(&said.full), without_quotes: redact(&said.without_quotes), effect, retry_after: None },
            no_such_entity: missing.is_some(),
            identity_is_missing: missing.is_some_and(names_identity),
            credentials_are_refused,
            there_are_no_credentials: none.is_some_and(|none| none.there_are_none),
        }
    }

    /// Whether the call was not made since nothing offers any credentials, and not since they could not be fetched.
    pub(super) fn there_are_no_credentials(&self) -> bool {
        self.there_are_no_credentials
    }

    /// Whether AWS refused the credentials themselves, and not what was asked with them: others may do.
    pub(super) fn credentials_are_refused(&self) -> bool {
        self.credentials_are_refused
    }
}

/// An error that AWS itself gave.
struct Refusal {
    code: Option<String>,
    text: String,
    status: u16,
}

impl Refusal {
    fn of<E: ProvideErrorMetadata>(error: &E, status: u16) -> Self {
        let code = error.code().filter(|code| !code.is_empty()).map(str::to_owned);
        let text = harmless(code.as_deref(), error.message().unwrap_or_default());
        Self { text: shortened(text), code, status }
    }

    fn classify(&self, operation: &str) -> (Reason, Effect) {
        classify(operation, self.code.as_deref(), &self.text, Some(self.status))
    }

    /// Whether AWS refused the credentials themselves, other than for the time.
    fn is_of_credentials(&self) -> bool {
        const CODES: [&str; 6] = [
            "ExpiredToken",
            "ExpiredTokenException",
            "InvalidClientTokenId",
            "UnrecognizedClientException",
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
        ];
        self.code.as_deref().is_some_and(|code| CODES.contains(&code) && !is_skew(code, &self.text))
    }

    fn hint(&self) -> Option<String> {
        hint(self.code.as_deref()?, &self.text)
    }

    fn said(&self, operation: &str) -> Said {
        let Some(code) = &self.code else { return Said::ours(format!("{operation}: AWS's answer (HTTP {}) cannot be read", self.status)) };
        let said = Said::ours(format!("{operation}: {code}"));
        let said = match self.text.as_str() {
            "" => said,
            text if repeats_no_document(code) => Said::ours(format!("{}: {text}", said.full)),
            text => said.quoting(text),
        };
        self.hint().map_or(said.clone(), |hint| said.and(&format!(" ({hint})")))
    }
}

/// What is told of a call that did not succeed.
#[derive(Clone)]
struct Said {
    full: String,
    /// The same without what may repeat the request.
    without_quotes: String,
}

impl Said {
    fn ours(text: String) -> Self {
        Self { full: text.clone(), without_quotes: text }
    }

    /// Goes on with what may repeat the request.
    fn quoting(self, text: &str) -> Self {
        Self { full: format!("{}: {text}", self.full), ..self }
    }

    fn and(self, text: &str) -> Self {
        Self { full: self.full + text, without_quotes: self.without_quotes + text }
    }
}

/// Why there were no credentials to make a call with. The call was not made.
#[derive(Clone, Debug, Error)]
#[error("{message}")]
pub(super) struct NoCredentials {
    reason: Reason,
    message: String,
    /// Whether AWS refused the credentials with which these were to be got.
    pub(super) credentials_are_refused: bool,
    /// Whether nothing offers any.
    there_are_none: bool,
}

impl NoCredentials {
    /// Classes an error of a provider. `access` is what it was to provide credentials for, and `through` the role whose session it used for that, if any.
    ///
    /// Where the credentials that it needed were not to be had, that was classed already, and is the thing to be told.
    pub(super) fn of(cause: &CredentialsError, access: &AccessConfig, through: Option<&Arn>) -> Self {
        if let Some(behind) = chain(cause).find_map(|error| error.downcast_ref::<Self>()) {
            return Self { credentials_are_refused: false, ..behind.clone() };
        }
        let told = |reason, message: String| Self { reason, message: access.redact(&message), credentials_are_refused: false, there_are_none: false };
        if let Some(SecretError(failure)) = chain(cause).find_map(|error| error.downcast_ref()) {
            return told(failure.reason, failure.message.clone());
        }
        let refusals = chain(cause).filter_map(|error| {
            let assume_role = error.downcast_ref::<SdkError<AssumeRoleError>>().and_then(service_refusal).map(|r| ("sts:AssumeRole", r));
            assume_role.or_else(|| {
                let web_identity = error.downcast_ref::<SdkError<AssumeRoleWithWebIdentityError>>().and_then(service_refusal);
                web_identity.map(|r| ("sts:AssumeRoleWithWebIdentity", r))
            })
        });
        // A provider of the default chain may use others: the innermost refusal is the one to be told.
        if let Some((operation, refusal)) = refusals.last() {
            let (reason, _) = refusal.classify(operation);
            let mut message = refusal.said(operation).full;
            if let ("sts:AssumeRole", Reason::AccessDenied, Some(role), None) = (operation, reason, access.role_arn(), refusal.hint()) {
                message.push_str(&advice(&refusal.text, role, through));
            }
            return Self { credentials_are_refused: refusal.is_of_credentials(), ..told(reason, message) };
        }
        match cause {
            CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
                let there_are_none = matches!(cause, CredentialsError::CredentialsNotLoaded(_));
                Self { there_are_none, ..told(Reason::AccessDenied, format!("the operator has no AWS credentials: {}", root_cause(cause))) }
            }
            _ => told(Reason::AWSUnavailable, format!("the operator's AWS credentials cannot be fetched: {}", root_cause(cause))),
        }
    }
}

/// What to look at where a management role is not to be assumed: the side that the refusal names, or both.
fn advice(refusal: &str, role: &Arn, through: Option<&Arn>) -> String {
    let who = through.map_or_else(|| "the operator's own identity".to_owned(), ToString::to_string);
    let may = if through.is_some() { "that role" } else { "the operator" };
    let trust = format!("its trust policy names {who}, with the external ID of spec.access if it asks for one");
    let permission = format!("that {may} may call sts:AssumeRole on it");
    if refusal.contains("role trust policy") {
        format!(" (The trust policy of {role} refuses it: check that {trust}.)")
    } else if refusal.contains("identity-based policy") {
        format!(" (The policies of {who} refuse it: check {permission}; the role is {role}.)")
    } else {
        format!(" (Check that {role} exists, that {trust}, and {permission}.)")
    }
}

fn service_refusal<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<Refusal> {
    match error {
        SdkError::ServiceError(answer) => Some(Refusal::of(answer.err(), answer.raw().status().as_u16())),
        _ => None,
    }
}

/// An error and all that caused it.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The text of the last error of the chain; those before it say only in which layer it came up.
fn root_cause(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map(|cause| shortened(&cause.to_string())).unwrap_or_default()
}

/// Whether AWS's texts for this code tell of the caller, of names and of quotas, and repeat no document that was sent.
fn repeats_no_document(code: &str) -> bool {
    matches!(code, "AccessDenied" | "AccessDeniedException" | "LimitExceeded" | "NoSuchEntity" | "EntityAlreadyExists")
}

/// The part of a text of AWS's that may be shown. What AWS says to a signature that it finds wrong goes on, after the first line, with the request
/// that it would have signed: the session token is one of its headers (IAM User Guide, "Troubleshoot Signature Version 4 signing").
fn harmless<'t>(code: Option<&str>, text: &'t str) -> &'t str {
    let repeats_the_request = code.is_some_and(|code| code.contains("Signature"));
    if repeats_the_request { text.lines().next().unwrap_or_default() } else { text }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_LENGTH) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests;
