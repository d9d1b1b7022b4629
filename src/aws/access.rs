//! The way into an account, and how fast it may be called.

use std::fmt;
use std::time::Duration;

use rolebridge_core::names::{AccountID, Arn, Partition};

/// One account and the way into it.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountConfig {
    /// The account that the credentials must lead into.
    pub id: AccountID,
    /// The partition that the credentials must lead into.
    pub partition: Partition,
    /// The region of STS and of signatures; None for the partition's default.
    pub region: Option<String>,
    /// The way in.
    pub access: AccessConfig,
    /// The request budget.
    pub limits: LimitsConfig,
}

/// How the operator gets into an account.
#[derive(Clone, PartialEq)]
pub enum AccessConfig {
    /// By its own credentials, as they are.
    Ambient,
    /// By the keys in this Secret.
    Secret(String),
    /// By assuming a management role, with its own credentials or those of another account.
    AssumeRole {
        /// The management role.
        role_arn: Arn,
        /// What the role's trust policy may ask for to tell one caller's purpose from another's. Treated as a secret: it is never shown.
        external_id: Option<String>,
        /// Name of the session, as CloudTrail shows it.
        session_name: String,
        /// How long a session lasts: 15 minutes to 12 hours, at most the role's own maximum, and one hour where the operator's own
        /// credentials are a session of a role already (STS API reference, AssumeRole).
        duration: Duration,
    },
}

impl AccessConfig {
    /// Name of the session where none is configured.
    pub const DEFAULT_SESSION_NAME: &str = "rolebridge";
    /// Length of a session where none is configured; also the longest that a role assumed from a role may have.
    pub const DEFAULT_DURATION: Duration = Duration::from_secs(3600);

    /// The management role, where one is assumed.
    pub fn role_arn(&self) -> Option<&Arn> {
        match self {
            Self::Ambient | Self::Secret(_) => None,
            Self::AssumeRole { role_arn, .. } => Some(role_arn),
        }
    }

    /// A text of AWS's without the external ID, which AWS repeats where it finds fault with it.
    pub(super) fn redact(&self, text: &str) -> String {
        match self {
            Self::AssumeRole { external_id: Some(secret), .. } if !secret.is_empty() => text.replace(secret.as_str(), "(external ID)"),
            _ => text.to_owned(),
        }
    }
}

impl fmt::Debug for AccessConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ambient => f.write_str("Ambient"),
            Self::Secret(name) => f.debug_tuple("Secret").field(name).finish(),
            Self::AssumeRole { role_arn, external_id, session_name, duration } => f
                .debug_struct("AssumeRole")
                .field("role_arn", role_arn)
                .field("external_id", &external_id.as_ref().map(|_| "(hidden)"))
                .field("session_name", session_name)
                .field("duration", duration)
                .finish(),
        }
    }
}

/// How fast one account may be called. A zero counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Calls a second in the long run.
    pub requests_per_second: u32,
    /// Calls that may be made at once after a pause.
    pub burst: u32,
    /// Pieces of work at the same time.
    pub concurrency: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self { requests_per_second: 20, burst: 100, concurrency: 8 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> AccessConfig {
        AccessConfig::AssumeRole {
            role_arn: "arn:aws:iam::222222222222:role/manager".parse().unwrap(),
            external_id: Some("s3cret-id".into()),
            session_name: AccessConfig::DEFAULT_SESSION_NAME.into(),
            duration: AccessConfig::DEFAULT_DURATION,
        }
    }

    #[test]
    fn the_external_id_is_never_shown() {
        let shown = format!("{:?}", access());
        assert!(shown.contains("manager") && !shown.contains("s3cret-id"), "{shown}");
        let redacted = access().redact("Value 's3cret-id' at 'externalId' failed to satisfy constraint");
        assert_eq!(redacted, "Value '(external ID)' at 'externalId' failed to satisfy constraint");
    }
}
