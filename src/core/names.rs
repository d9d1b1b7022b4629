//! The names of IAM, each a type of its own: a value of one of these types has been checked, so no code behind it checks again.
//!
//! All of them read and write as plain strings. Character sets and lengths are those of the IAM API's model (`userNameType`, `roleNameType`,
//! `policyNameType`, `pathType`, `idType`); [`Path`] is narrower on purpose.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::encoding::encode;

/// A value that cannot be the name of what it was given for.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{what} {value:?} is not valid: write {rule}")]
pub struct NameError {
    /// What the value was meant to be.
    pub what: &'static str,
    /// The value, cut off where it is very long.
    pub value: String,
    /// What is valid, to follow the word "write".
    pub rule: &'static str,
}

impl NameError {
    /// Longest part of a refused value that is shown, in characters.
    const SHOWN: usize = 200;

    fn new(what: &'static str, value: &str, rule: &'static str) -> Self {
        let mut shown: String = value.chars().take(Self::SHOWN).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        Self { what, value: shown, rule }
    }
}

/// The ways in and out that every name shares: `FromStr`, `TryFrom`, and `Into<String>`, which serde uses too.
macro_rules! conversions {
    ($type:ident) => {
        impl std::str::FromStr for $type {
            type Err = NameError;

            fn from_str(value: &str) -> Result<Self, NameError> {
                Self::try_from(value.to_owned())
            }
        }

        impl TryFrom<&str> for $type {
            type Error = NameError;

            fn try_from(value: &str) -> Result<Self, NameError> {
                Self::try_from(value.to_owned())
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.0
            }
        }
    };
}

/// A string type whose values pass `$valid`; `$what` and `$rule` are the words of its error.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(value: String) -> Result<Self, NameError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(&value) { Ok(Self(value)) } else { Err(NameError::new($what, &value, $rule)) }
            }
        }

        conversions!($type);
    };
}

name! {
    /// The 12 digits of an AWS account. A string, since leading zeros count.
    AccountID, "account id", "exactly 12 digits, in quotes so that leading zeros are kept", is_account_id
}

name! {
    /// An AWS partition, such as `aws` or `aws-us-gov`: a part of AWS with accounts and credentials of its own. Trust never crosses partitions.
    Partition, "partition", "`aws`, `aws-us-gov`, `aws-cn`, `aws-eusc` or another one of the form `aws-...` in lower case", is_partition
}

name! {
    /// The name of an IAM user.
    UserName, "user name", "1 to 64 letters, digits or characters of `+=,.@_-`", |value| is_name(value, 64)
}

name! {
    /// The name of an IAM role.
    RoleName, "role name", "1 to 64 letters, digits or characters of `+=,.@_-`", |value| is_name(value, 64)
}

name! {
    /// The name of a customer-managed or inline policy.
    PolicyName, "policy name", "1 to 128 letters, digits or characters of `+=,.@_-`", |value| is_name(value, 128)
}

name! {
    /// The name of an IAM group.
    GroupName, "group name", "1 to 128 letters, digits or characters of `+=,.@_-`", |value| is_name(value, 128)
}

name! {
    /// The path of an IAM object: `/`, or `/segment/segment/`.
    ///
    /// IAM allows any printable character in a path; here a segment is made of the characters of names, because a `*` or `$` in a path turns into a
    /// wildcard or a variable as soon as the ARN stands in a policy. The paths that AWS keeps for itself are refused.
    Path, "path",
    "`/` or `/segment/.../` of letters, digits and `+=,.@_-`, at most 512 characters, outside `/aws-service-role/` and `/aws-reserved/`",
    is_path
}

name! {
    /// The stable unique ID of an IAM object, such as `AIDA...` of a user. A re-created object of the same name has another one.
    UniqueID, "unique ID", "an IAM unique ID such as `AIDA...` or `AROA...`", is_unique_id
}

impl Partition {
    /// The commercial partition, `aws`.
    #[must_use]
    pub fn aws() -> Self {
        Self("aws".to_owned())
    }

    /// The region that signs IAM calls and serves STS unless another is configured; `None` for a partition that is not known here.
    #[must_use]
    pub fn default_region(&self) -> Option<&'static str> {
        Some(match self.as_str() {
            "aws" => "us-east-1",
            "aws-cn" => "cn-north-1",
            "aws-us-gov" => "us-gov-west-1",
            "aws-eusc" => "eusc-de-east-1",
            "aws-iso" => "us-iso-east-1",
            "aws-iso-b" => "us-isob-east-1",
            "aws-iso-e" => "eu-isoe-west-1",
            "aws-iso-f" => "us-isof-south-1",
            _ => return None,
        })
    }

    /// The host of the console's sign-in and switch-role pages, where it is known (endpoint rules of the Sign-In API; AWS CDK, `SamlConsolePrincipal`). In
    /// aws-eusc it begins with the region, of which there is one.
    #[must_use]
    pub fn console_host(&self) -> Option<&'static str> {
        Some(match self.as_str() {
            "aws" => "signin.aws.amazon.com",
            "aws-cn" => "signin.amazonaws.cn",
            "aws-us-gov" => "signin.amazonaws-us-gov.com",
            "aws-eusc" => "eusc-de-east-1.signin.amazonaws-eusc.eu",
            "aws-iso" => "signin.c2shome.ic.gov",
            "aws-iso-b" => "signin.sc2shome.sgov.gov",
            "aws-iso-e" => "signin.csphome.adc-e.uk",
            "aws-iso-f" => "signin.csphome.hci.ic.gov",
            _ => return None,
        })
    }
}

impl Default for Partition {
    fn default() -> Self {
        Self::aws()
    }
}

impl Path {
    /// The default path, `/`.
    #[must_use]
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Whether this is `/`.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0 == "/"
    }

    /// Whether this path is `prefix` or lies below it. Both end with a slash, so a segment is never matched in part. Paths are sensitive to case.
    #[must_use]
    pub fn starts_with(&self, prefix: &Path) -> bool {
        self.0.starts_with(&prefix.0)
    }
}

impl Default for Path {
    fn default() -> Self {
        Self::root()
    }
}

/// An Amazon Resource Name, `arn:partition:service:region:account:resource`. It shows exactly as it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Arn(String, Partition);

/// What an IAM ARN names, as its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IAMEntity<'a> {
    /// The kind as IAM writes it: `user`, `role`, `policy`, `group`, `mfa`, `instance-profile`, ...
    pub kind: &'a str,
    /// The path, with the slash at both ends.
    pub path: &'a str,
    /// The name without the path.
    pub name: &'a str,
}

impl Arn {
    /// The longest ARN that IAM takes, in characters (`arnType`).
    const MAX_LENGTH: usize = 2048;

    /// The ARN of a user.
    #[must_use]
    pub fn user(partition: &Partition, account: &AccountID, path: &Path, name: &UserName) -> Self {
        Self::iam(partition, account.as_str(), &format!("user{path}{name}"))
    }

    /// The ARN of a role.
    #[must_use]
    pub fn role(partition: &Partition, account: &AccountID, path: &Path, name: &RoleName) -> Self {
        Self::iam(partition, account.as_str(), &format!("role{path}{name}"))
    }

    /// The ARN of a customer-managed policy.
    #[must_use]
    pub fn policy(partition: &Partition, account: &AccountID, path: &Path, name: &PolicyName) -> Self {
        Self::iam(partition, account.as_str(), &format!("policy{path}{name}"))
    }

    /// The ARN that as a principal stands for a whole account, not for its root user alone.
    #[must_use]
    pub fn account_root(partition: &Partition, account: &AccountID) -> Self {
        Self::iam(partition, account.as_str(), "root")
    }

    /// The ARN of a policy that AWS manages; `name` may hold its path, as in `job-function/ViewOnlyAccess`.
    ///
    /// # Errors
    /// [`NameError`] where `name` is not made of names of policies.
    pub fn aws_managed_policy(partition: &Partition, name: &str) -> Result<Self, NameError> {
        const RULE: &str = "the name of an AWS-managed policy, such as `ReadOnlyAccess` or `job-function/ViewOnlyAccess`";
        if name.split('/').all(|segment| is_name(segment, 128)) {
            Ok(Self::iam(partition, "aws", &format!("policy/{name}")))
        } else {
            Err(NameError::new("AWS-managed policy", name, RULE))
        }
    }

    fn iam(partition: &Partition, account: &str, resource: &str) -> Self {
        Self(format!("arn:{partition}:iam::{account}:{resource}"), partition.clone())
    }

    /// The ARN as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The partition.
    #[must_use]
    pub fn partition(&self) -> &Partition {
        &self.1
    }

    /// The service, such as `iam`.
    #[must_use]
    pub fn service(&self) -> &str {
        self.part(2)
    }

    /// The region; empty for IAM, which is one for the partition.
    #[must_use]
    pub fn region(&self) -> &str {
        self.part(3)
    }

    /// The account as written: 12 digits, `aws` for what AWS manages, or empty (an S3 bucket's, say).
    #[must_use]
    pub fn account(&self) -> &str {
        self.part(4)
    }

    /// Whether it is AWS's own, as the policies that it manages are, and no account's.
    #[must_use]
    pub fn is_of_aws(&self) -> bool {
        self.account() == "aws"
    }

    /// The account, where the ARN names one.
    #[must_use]
    pub fn account_id(&self) -> Option<AccountID> {
        AccountID::try_from(self.account()).ok()
    }

    /// All that follows the account.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.part(5)
    }

    /// Kind, path and name of an IAM object; `None` for other services, `root` and what has no name.
    #[must_use]
    pub fn iam_entity(&self) -> Option<IAMEntity<'_>> {
        let resource = Some(self.resource()).filter(|_| self.service() == "iam")?;
        let (kind, path_and_name) = resource.split_at(resource.find('/')?);
        let (path, name) = path_and_name.split_at(path_and_name.rfind('/')? + 1);
        (!kind.is_empty() && !name.is_empty()).then_some(IAMEntity { kind, path, name })
    }

    /// Whether this stands for a whole account: `arn:...:iam::<account>:root`.
    #[must_use]
    pub fn is_account_root(&self) -> bool {
        self.service() == "iam" && self.resource() == "root" && self.account_id().is_some()
    }

    /// Whether a policy would read this as a pattern (`*`, `?`) or as holding a variable (`${`).
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        self.0.contains(['*', '?']) || self.0.contains("${")
    }

    fn part(&self, index: usize) -> &str {
        self.0.splitn(6, ':').nth(index).unwrap_or_default()
    }
}

impl TryFrom<String> for Arn {
    type Error = NameError;

    fn try_from(value: String) -> Result<Self, NameError> {
        const RULE: &str = "`arn:partition:service:region:account:resource`, such as `arn:aws:iam::123456789012:role/name`";
        match arn_partition(&value) {
            Some(partition) => Ok(Self(value, partition)),
            None => Err(NameError::new("ARN", &value, RULE)),
        }
    }
}

conversions!(Arn);

/// The partition of `value`, if that is an ARN.
fn arn_partition(value: &str) -> Option<Partition> {
    let parts: Vec<&str> = value.splitn(6, ':').collect();
    let &["arn", partition, service, region, account, resource] = parts.as_slice() else { return None };
    let is_label = |label: &str| label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let valid = value.chars().count() <= Arn::MAX_LENGTH
        && !service.is_empty()
        && is_label(service)
        && is_label(region)
        && (account.is_empty() || account == "aws" || is_account_id(account))
        && !resource.is_empty()
        && !resource.chars().any(|character| character.is_whitespace() || character.is_control());
    Partition::try_from(partition).ok().filter(|_| valid)
}

/// Whether IAM takes two names for one: the names of users, roles, policies and groups are unique without regard to case.
#[must_use]
pub fn same_name(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// Whether `text` is the ID of an access key of a user: `AKIA` and 16 upper-case letters and digits (IAM user guide, "Manage access keys for IAM users" and
/// "Understanding unique ID prefixes").
#[must_use]
pub fn is_access_key_id(text: &str) -> bool {
    let rest = text.strip_prefix("AKIA").unwrap_or_default();
    rest.len() == 16 && rest.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Whether `text` is a unique ID rather than an ARN or an account: what IAM shows in a trust policy in place of a principal that was deleted.
/// The prefixes are those of the user guide's table of unique identifiers, access keys apart.
#[must_use]
pub fn is_unique_id(text: &str) -> bool {
    const PREFIXES: [&str; 8] = ["AIDA", "AROA", "ANPA", "AGPA", "AIPA", "ANVA", "ASCA", "APKA"];
    (16..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && PREFIXES.iter().any(|prefix| text.starts_with(prefix))
}

/// The console's link for switching to a role, from a session of a user who may assume it.
///
/// `account` is the target's account id or alias, `display_name` the label in the console (at most 64 characters are kept). `None` where the
/// console has no such link: path and name exceed 64 characters together (IAM quotas; the default path does not count), or the partition's
/// sign-in host is not known.
#[must_use]
pub fn switch_role_url(partition: &Partition, account: &str, path: &Path, role: &RoleName, display_name: &str) -> Option<String> {
    const MAX_PATH_AND_NAME: usize = 64;
    let path_length = if path.is_root() { 0 } else { path.as_str().len() };
    if path_length + role.as_str().len() > MAX_PATH_AND_NAME {
        return None;
    }
    let host = partition.console_host()?;
    let role_name = format!("{}{role}", path.as_str().trim_start_matches('/'));
    let display_name: String = display_name.chars().take(64).collect();
    Some(format!("https://{host}/switchrole?account={}&roleName={}&displayName={}", encode(account), encode(&role_name), encode(&display_name)))
}

fn is_account_id(value: &str) -> bool {
    value.len() == 12 && value.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_partition(value: &str) -> bool {
    let mut parts = value.split('-');
    value.len() <= 32 && parts.next() == Some("aws") && parts.all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase()))
}

/// Whether `value` consists of 1 to `max` characters of `[A-Za-z0-9_+=,.@-]`.
fn is_name(value: &str, max: usize) -> bool {
    (1..=max).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
}

fn is_path(value: &str) -> bool {
    const RESERVED: [&str; 2] = ["aws-service-role", "aws-reserved"];
    if value == "/" {
        return true;
    }
    let Some(segments) = value.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) else { return false };
    let first = segments.split('/').next().unwrap_or_default();
    value.len() <= 512
        && segments.split('/').all(|segment| is_name(segment, 512))
        && !RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(first))
}

#[cfg(test)]
mod tests;
