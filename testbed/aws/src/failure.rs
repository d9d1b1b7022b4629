//! The one error type of the AWS side: what the caller gets to see.

use fakecloud_core::service::AwsServiceError;

/// An error reply of an AWS service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// HTTP status, for example 403.
    pub status: u16,
    /// Error code as on the wire, for example `AccessDenied`.
    pub code: String,
    /// Text for people; some callers read it to tell one `AccessDenied` from another.
    pub message: String,
    /// Further elements of the error document (S3 names the bucket or key there).
    pub fields: Vec<(String, String)>,
}

impl Failure {
    /// An error with this status, code and message.
    pub fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), fields: Vec::new() }
    }

    /// `AccessDenied`, 403: the form of the XML protocols, which IAM, STS and S3 all use.
    pub fn access_denied(message: impl Into<String>) -> Self {
        Self::new(403, "AccessDenied", message)
    }

    /// `ValidationError`, 400.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationError", message)
    }

    /// `MalformedPolicyDocument`, 400.
    pub fn malformed_policy(message: impl Into<String>) -> Self {
        Self::new(400, "MalformedPolicyDocument", message)
    }

    /// `NoSuchEntity`, 404.
    pub fn no_such_entity(message: impl Into<String>) -> Self {
        Self::new(404, "NoSuchEntity", message)
    }

    /// `EntityAlreadyExists`, 409.
    pub fn already_exists(message: impl Into<String>) -> Self {
        Self::new(409, "EntityAlreadyExists", message)
    }

    /// `DeleteConflict`, 409.
    pub fn delete_conflict(message: impl Into<String>) -> Self {
        Self::new(409, "DeleteConflict", message)
    }

    /// `InvalidInput`, 400.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidInput", message)
    }

    /// `InvalidClientTokenId` for a key that nobody has, that is inactive, or that has not spread yet; `InvalidAccessKeyId` in S3.
    pub fn unknown_key(is_s3: bool) -> Self {
        if is_s3 {
            Self::new(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
        } else {
            Self::new(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
        }
    }
}

impl From<AwsServiceError> for Failure {
    fn from(error: AwsServiceError) -> Self {
        Self { status: error.status().as_u16(), code: error.code().to_owned(), message: error.message(), fields: error.extra_fields().to_vec() }
    }
}
