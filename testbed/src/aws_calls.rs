//! The simulator's log of calls.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A call that the simulator has answered (or was made to fail).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Call {
    /// Grows by one with each call.
    pub seq: u64,
    /// RFC 3339.
    pub at: String,
    /// The caller's account; nothing for an anonymous or unknown caller.
    pub account: Option<String>,
    /// `iam`, `sts` or `s3`.
    pub service: String,
    /// Such as `CreateRole`.
    pub operation: String,
    /// The caller's ARN.
    pub principal: Option<String>,
    /// The parameters of the request, without secrets.
    pub parameters: BTreeMap<String, String>,
    /// What the client said of itself.
    #[serde(rename = "userAgent")]
    pub user_agent: Option<String>,
    /// HTTP status that the client got; 0 when it got none.
    pub status: u16,
    /// The error code of AWS, such as `EntityAlreadyExists`; nothing for success.
    pub code: Option<String>,
    /// The fault that this call met.
    pub fault: Option<u64>,
}

impl Call {
    /// Whether it changes nothing in IAM.
    pub fn is_read(&self) -> bool {
        self.operation.starts_with("Get") || self.operation.starts_with("List")
    }
}
