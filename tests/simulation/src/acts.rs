//! What people do in Kubernetes, what others do in AWS, and what breaks: plain values that tell themselves in the words of the two.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Act {
    /// A person applies a manifest: what is not there is made, and otherwise spec, labels and data are replaced.
    Apply(Box<Value>),
    /// A person deletes an object.
    Delete(Which),
    /// A person deletes an object and applies its manifest in the same moment. Where a finalizer holds the old one, that is an edit of what is going.
    DeleteAndApply(Which, Box<Value>),
    /// Somebody else does something in an account of AWS.
    InAWS(String, Others),
    /// The operator is killed, and starts again after a while.
    Crash(Duration),
    /// A second operator starts, and the first goes on for a while.
    Overlap(Duration),
    /// Every watch is cut; with `true` what happened before is forgotten, so that everything is listed again.
    CutWatches(bool),
    /// The API server answers nobody for a while.
    APIServerAway(Duration),
    /// An account refuses every call for a while.
    AccountClosed(String, Duration),
    /// The clock is put forward or, where it is negative, back by so many milliseconds.
    ClockStep(i64),
    /// Nothing; time passes.
    Wait,
}

/// An object in Kubernetes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Which {
    /// Plural of its kind.
    pub plural: String,
    /// Its namespace; empty where the kind has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A user or role, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Identity {
    /// A user.
    User(String),
    /// A role.
    Role(String),
}

/// What others do in AWS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Others {
    /// Delete a user or role, with all that it has.
    Delete(Identity),
    /// Make a user or role of a name that is free.
    Make(Identity),
    /// Delete a user or role, and make another one of its name.
    Exchange(Identity),
    /// Give a user another name.
    Rename(String, String),
    /// Write a trust policy.
    Trust(String, Trust),
    /// Write an inline policy that nobody declared.
    PutInline(Identity),
    /// Take an inline policy off, the first that there is.
    DeleteInline(Identity),
    /// Attach a policy that nobody declared.
    Attach(Identity),
    /// Detach a policy, the first that there is.
    Detach(Identity),
    /// Take the owner tags off.
    Untag(Identity),
    /// Put a tag on that nobody declared.
    Tag(Identity),
    /// Make another document the default of a customer-managed policy, the first that there is.
    Rewrite(Identity),
    /// Write an inline policy that only denies.
    Deny(Identity),
    /// Attach a customer-managed policy that only denies, which is made where it is missing.
    AttachDenial(Identity),
    /// Attach the policy by which AWS cuts off whoever lost a key.
    Quarantine(Identity),
    /// Put on a permissions boundary that nobody declares.
    Bound(Identity),
    /// Put on the description of a key, as the console does.
    DescribeKey(String),
    /// Take the permissions boundary off.
    RemoveBoundary(Identity),
    /// Put a user into a group, which is made where it is missing.
    Join(String, String),
    /// Take a user out of a group.
    Leave(String, String),
    /// Give a user a key.
    GiveKey(String),
    /// Let the account have so many characters in a trust policy.
    TrustQuota(usize),
}

/// Whom a trust policy that others write lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trust {
    /// A user that nobody here manages, beside whoever was in it.
    StrangerToo,
    /// That user alone.
    StrangerAlone,
    /// Everybody in the bastion account.
    Root,
    /// Nobody.
    Nobody,
}

impl Identity {
    /// `user` or `role`, as in ARNs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Role(_) => "role",
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        match self {
            Self::User(name) | Self::Role(name) => name,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.namespace.is_empty() { "" } else { "/" };
        write!(f, "{} {}{separator}{}", self.plural, self.namespace, self.name)
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apply(manifest) => write!(f, "a person applies {}", told(manifest)),
            Self::Delete(which) => write!(f, "a person deletes {which}"),
            Self::DeleteAndApply(which, manifest) => write!(f, "a person deletes {which} and applies {}", told(manifest)),
            Self::InAWS(account, others) => write!(f, "in AWS, account {account}, somebody {others}"),
            Self::Crash(down) => write!(f, "the operator is killed, and starts again after {} s", down.as_secs_f64()),
            Self::Overlap(together) => write!(f, "a second operator starts; the first goes on for {} s", together.as_secs_f64()),
            Self::CutWatches(false) => f.write_str("every watch is cut"),
            Self::CutWatches(true) => f.write_str("every watch is cut, and the API server forgets what happened before"),
            Self::APIServerAway(time) => write!(f, "the API server answers nobody for {} s", time.as_secs_f64()),
            Self::AccountClosed(account, time) => write!(f, "account {account} refuses every call for {} s", time.as_secs_f64()),
            Self::ClockStep(milliseconds) if *milliseconds < 0 => write!(f, "the clock is put back by {} s", seconds(milliseconds)),
            Self::ClockStep(milliseconds) => write!(f, "the clock is put forward by {} s", seconds(milliseconds)),
            Self::Wait => f.write_str("nothing happens"),
        }
    }
}

fn seconds(milliseconds: &i64) -> f64 {
    Duration::from_millis(milliseconds.unsigned_abs()).as_secs_f64()
}

/// A manifest in one line.
fn told(manifest: &Value) -> String {
    let meta = &manifest["metadata"];
    let (namespace, name) = (meta["namespace"].as_str().unwrap_or_default(), meta["name"].as_str().unwrap_or_default());
    let separator = if namespace.is_empty() { "" } else { "/" };
    let labels = if meta["labels"].is_null() { String::new() } else { format!(" labels {}", meta["labels"]) };
    let content = ["spec", "data"].iter().filter(|field| !manifest[**field].is_null()).map(|field| format!(" {}", manifest[*field]));
    format!("{} {namespace}{separator}{name}{labels}{}", manifest["kind"].as_str().unwrap_or_default(), content.collect::<String>())
}

impl fmt::Display for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delete(who) => write!(f, "deletes {who}"),
            Self::Make(who) => write!(f, "makes {who}"),
            Self::Exchange(who) => write!(f, "deletes {who} and makes another one of that name"),
            Self::Rename(from, to) => write!(f, "renames user {from} to {to}"),
            Self::Trust(role, Trust::StrangerToo) => write!(f, "lets user p0 of account others into role {role}, beside those who were"),
            Self::Trust(role, Trust::StrangerAlone) => write!(f, "lets only user p0 of account others into role {role}"),
            Self::Trust(role, Trust::Root) => write!(f, "lets everybody of account utils into role {role}"),
            Self::Trust(role, Trust::Nobody) => write!(f, "lets nobody into role {role}"),
            Self::PutInline(who) => write!(f, "puts an inline policy on {who}"),
            Self::DeleteInline(who) => write!(f, "takes an inline policy off {who}"),
            Self::Attach(who) => write!(f, "attaches AdministratorAccess to {who}"),
            Self::Detach(who) => write!(f, "detaches a policy from {who}"),
            Self::Untag(who) => write!(f, "takes the owner tags off {who}"),
            Self::Tag(who) => write!(f, "puts a tag on {who}"),
            Self::Rewrite(who) => write!(f, "rewrites a customer-managed policy of {who}"),
            Self::Deny(who) => write!(f, "puts an inline policy on {who} that only denies"),
            Self::AttachDenial(who) => write!(f, "attaches a policy to {who} that only denies"),
            Self::Quarantine(who) => write!(f, "attaches AWSCompromisedKeyQuarantineV3 to {who}"),
            Self::Bound(who) => write!(f, "puts a permissions boundary on {who}"),
            Self::DescribeKey(user) => write!(f, "describes an access key of user {user}"),
            Self::RemoveBoundary(who) => write!(f, "takes the permissions boundary off {who}"),
            Self::Join(user, group) => write!(f, "puts user {user} into group {group}"),
            Self::Leave(user, group) => write!(f, "takes user {user} out of group {group}"),
            Self::GiveKey(user) => write!(f, "gives user {user} an access key"),
            Self::TrustQuota(size) => write!(f, "lets trust policies have {size} characters"),
        }
    }
}
