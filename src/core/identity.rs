//! IAM identities (users and roles) and managed policies as plain values, the same whether wanted or found.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::document::Document;
use super::names::{Arn, GroupName, Path, PolicyName, RoleName, UserName};
use super::ownership::Tags;

/// The inline policy that allows a source to assume its roles. Customer-managed ones have a name that begins like this: see [`super::assume`].
pub const ASSUME_POLICY: &str = "rolebridge-assume-roles";
/// The inline policy by which an identity assumes roles that are not Rolebridge's.
pub const EXTERNAL_ROLES_POLICY: &str = "rolebridge-external-roles";
/// The inline policy that denies everything to a user that is cut off.
pub const CUT_OFF_POLICY: &str = "RolebridgeCutOff";
/// The inline policy by which AWS's console revokes the sessions of a role. It is kept while it only denies.
pub const REVOKE_SESSIONS_POLICY: &str = "AWSRevokeOlderSessions";
/// Session duration of a role for which none is said, in seconds: one hour, as IAM's own default.
pub const DEFAULT_SESSION_SECONDS: u32 = 3600;

/// An IAM identity by kind and name, within one account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentityName {
    /// A user.
    User(UserName),
    /// A role.
    Role(RoleName),
}

impl IdentityName {
    /// `user` or `role`, as in ARNs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Role(_) => "role",
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::User(name) => name.as_str(),
            Self::Role(name) => name.as_str(),
        }
    }
}

impl fmt::Display for IdentityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.as_str())
    }
}

/// What only roles have.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleSettings {
    /// Description; empty where there is none.
    pub description: String,
    /// Longest session, in seconds.
    pub max_session_duration: u32,
    /// Who may assume the role.
    pub trust_policy: Document,
}

/// An IAM user or role.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Kind and name.
    pub name: IdentityName,
    /// Path.
    pub path: Path,
    /// Tags, the owner tags among them.
    pub tags: Tags,
    /// ARN of the permissions boundary.
    pub permissions_boundary: Option<Arn>,
    /// Inline policies by name.
    pub inline_policies: BTreeMap<PolicyName, Document>,
    /// ARNs of the attached policies.
    pub attached_policies: BTreeSet<Arn>,
    /// The groups that a user is in; None where they are not looked at, as for a role.
    pub groups: Option<BTreeSet<GroupName>>,
    /// What only roles have; None for a user.
    pub role: Option<RoleSettings>,
}

/// A customer-managed policy.
#[derive(Clone, Debug, PartialEq)]
pub struct ManagedPolicy {
    /// ARN.
    pub arn: Arn,
    /// Name.
    pub name: PolicyName,
    /// Path.
    pub path: Path,
    /// Description; empty where there is none. IAM takes it at creation only.
    pub description: String,
    /// The document of the default version.
    pub document: Document,
    /// Tags, the owner tags among them.
    pub tags: Tags,
}
