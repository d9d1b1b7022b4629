//! Which services of AWS are simulated.

/// The simulated services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Identity and Access Management.
    Iam,
    /// Security Token Service.
    Sts,
    /// Simple Storage Service.
    S3,
}

impl Service {
    /// The prefix of the service's actions, which is also its name in a credential scope.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Iam => "iam",
            Self::Sts => "sts",
            Self::S3 => "s3",
        }
    }

    /// The service that a credential scope names; `None` when it is not simulated.
    pub fn from_prefix(prefix: &str) -> Option<Self> {
        [Self::Iam, Self::Sts, Self::S3].into_iter().find(|service| service.prefix() == prefix)
    }
}
