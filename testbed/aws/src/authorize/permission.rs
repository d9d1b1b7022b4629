//! What a caller needs to be allowed.

/// One action on one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// For example `iam:CreateRole`.
    pub action: String,
    /// An ARN, or `*`.
    pub resource: String,
}
