//! The objects of IAM as snapshots: a change makes a new one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rolebridge::core::action::Dependent;
use rolebridge::core::document::Document;
use rolebridge::core::identity::IdentityName;
use rolebridge::core::names::{Arn, GroupName, PolicyName, UniqueID};
use rolebridge::core::ownership::Tags;
use serde_json::Value;

/// What can be shown as JSON.
pub(super) trait Dump {
    fn dump(&self) -> Value;
}

/// An object as it was at some time, with what a dump says of it, once somebody asks.
#[derive(Debug)]
pub(super) struct Snapshot<T> {
    object: T,
    dump: OnceLock<Arc<Value>>,
}

impl<T> Snapshot<T> {
    pub(super) fn new(object: T) -> Arc<Self> {
        Arc::new(Self { object, dump: OnceLock::new() })
    }
}

impl<T: Dump> Snapshot<T> {
    pub(super) fn dumped(&self) -> Arc<Value> {
        self.dump.get_or_init(|| Arc::new(self.object.dump())).clone()
    }
}

impl<T> Deref for Snapshot<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.object
    }
}

/// A policy document as IAM holds it.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) value: Arc<Value>,
    /// Characters without white space, as quotas count them.
    pub(super) size: usize,
    document: OnceLock<Document>,
}

impl Stored {
    pub(super) fn new(value: Value) -> Arc<Self> {
        let size = value.to_string().chars().filter(|character| !character.is_whitespace()).count();
        Arc::new(Self { value: Arc::new(value), size, document: OnceLock::new() })
    }

    /// What the operator reads. IAM holds documents that it cannot take for one, such as those with a number for an account: these may say anything.
    pub(super) fn document(&self) -> Document {
        let read = || {
            let text = self.value.to_string();
            Document::parse(&text).unwrap_or_else(|_| Document::unreadable(&text))
        };
        self.document.get_or_init(read).clone()
    }
}

impl PartialEq for Stored {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.value, &other.value) || self.value == other.value
    }
}

/// A trust policy. Inside it are the unique IDs of the users and roles that it names, whatever these are called by now.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trust {
    /// With unique IDs.
    pub(super) inside: Arc<Value>,
    /// The users and roles that it names and that were there when it was written.
    pub(super) principals: Arc<BTreeSet<UniqueID>>,
    /// As it shows: with the ARNs of those that live, and the unique IDs of those that are gone.
    pub(super) shown: Arc<Stored>,
    /// When it was written.
    pub(super) written: Duration,
}

/// A user or role.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Identity {
    pub(super) id: UniqueID,
    pub(super) name: IdentityName,
    pub(super) path: String,
    pub(super) arn: Arn,
    /// Since when it bears its name.
    pub(super) named: Duration,
    pub(super) tags: Tags,
    pub(super) boundary: Option<Arn>,
    pub(super) inline: BTreeMap<PolicyName, Arc<Stored>>,
    pub(super) attached: BTreeSet<Arn>,
    pub(super) kind: Kind,
}

/// What users and roles do not share.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    User(OfUser),
    Role(OfRole),
}

/// What only users have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct OfUser {
    pub(super) groups: BTreeSet<GroupName>,
    /// Keys, devices and the like.
    pub(super) belongings: BTreeSet<Dependent>,
    /// Access keys that are switched off.
    pub(super) inactive_keys: BTreeSet<String>,
}

/// What only roles have.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OfRole {
    pub(super) description: Option<String>,
    pub(super) max_session_duration: u32,
    pub(super) trust: Trust,
    /// Names of the instance profiles that hold it.
    pub(super) instance_profiles: BTreeSet<String>,
}

impl Identity {
    pub(super) fn user(&self) -> Option<&OfUser> {
        match &self.kind {
            Kind::User(user) => Some(user),
            Kind::Role(_) => None,
        }
    }

    pub(super) fn role(&self) -> Option<&OfRole> {
        match &self.kind {
            Kind::User(_) => None,
            Kind::Role(role) => Some(role),
        }
    }

    /// Whether it is one that only AWS changes.
    pub(super) fn is_of_aws(&self) -> bool {
        is_path_of_aws(&self.path)
    }
}

/// Whether AWS keeps this path for itself.
pub(super) fn is_path_of_aws(path: &str) -> bool {
    ["/aws-service-role/", "/aws-reserved/"].iter().any(|kept| path.starts_with(kept))
}

/// A customer-managed policy.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Policy {
    pub(super) id: UniqueID,
    pub(super) name: PolicyName,
    pub(super) path: String,
    pub(super) arn: Arn,
    pub(super) made: Duration,
    pub(super) description: String,
    pub(super) tags: Tags,
    /// By number.
    pub(super) versions: BTreeMap<u64, Arc<Stored>>,
    /// Number of the version in force.
    pub(super) default: u64,
    /// Number that the next version gets: none is given twice.
    pub(super) next: u64,
}

/// A group. Its members know that they are in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    pub(super) id: UniqueID,
    pub(super) name: GroupName,
    pub(super) arn: Arn,
    pub(super) made: Duration,
    pub(super) attached: BTreeSet<Arn>,
}
