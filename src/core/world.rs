//! The Kubernetes side as the decisions see it: a snapshot of plain objects.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::document::Document;
use super::names::Arn;
use rolebridge_api::{AWSAccount, BastionUser, CrossAccountRole, Managed};

/// Namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectKey {
    /// The key of a namespaced object.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of an object from its metadata.
    pub fn of<K: kube::Resource>(object: &K) -> Self {
        Self::new(object.meta().namespace.clone().unwrap_or_default(), object.meta().name.clone().unwrap_or_default())
    }
}

/// UID of an object; empty where it has none yet.
pub fn uid<K: kube::Resource>(object: &K) -> String {
    object.meta().uid.clone().unwrap_or_default()
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// A resource that can be the source of grants: what IAM knows as a user or role, and that gets the right to assume roles.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKey {
    /// A BastionUser.
    User(ObjectKey),
    /// A CrossAccountRole.
    Role(ObjectKey),
}

impl SourceKey {
    /// Namespace and name.
    pub fn key(&self) -> &ObjectKey {
        let (Self::User(key) | Self::Role(key)) = self;
        key
    }
}

impl fmt::Display for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(key) => write!(f, "{}/{key}", BastionUser::KIND),
            Self::Role(key) => write!(f, "{}/{key}", CrossAccountRole::KIND),
        }
    }
}

/// A resource that is reconciled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ref {
    /// An AWSAccount.
    Account(ObjectKey),
    /// A BastionUser.
    User(ObjectKey),
    /// A CrossAccountRole.
    Role(ObjectKey),
}

impl Ref {
    /// What comes before the first resource of the same kind and namespace.
    pub fn first_of_namespace(&self) -> Self {
        let start = ObjectKey::new(&self.key().namespace, "");
        match self {
            Self::Account(_) => Self::Account(start),
            Self::User(_) => Self::User(start),
            Self::Role(_) => Self::Role(start),
        }
    }

    /// Namespace and name.
    pub fn key(&self) -> &ObjectKey {
        let (Self::Account(key) | Self::User(key) | Self::Role(key)) = self;
        key
    }
}

impl From<&SourceKey> for Ref {
    fn from(source: &SourceKey) -> Self {
        match source {
            SourceKey::User(key) => Self::User(key.clone()),
            SourceKey::Role(key) => Self::Role(key.clone()),
        }
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(key) => write!(f, "{}/{key}", AWSAccount::KIND),
            Self::User(key) => write!(f, "{}/{key}", BastionUser::KIND),
            Self::Role(key) => write!(f, "{}/{key}", CrossAccountRole::KIND),
        }
    }
}

/// Labels of a namespace or other object.
pub type Labels = BTreeMap<String, String>;

/// Who the operator is by its own credentials.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Operator {
    /// Nobody has been able to tell yet.
    #[default]
    Unknown,
    /// It has no credentials of its own.
    Nobody,
    /// This user, or this session of a role, as STS says.
    Is(Arn),
}

/// What is known of a policy that is to be the boundary of all users and roles of an account.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Boundary {
    /// It was not read yet.
    #[default]
    Unread,
    /// There is no such policy.
    Missing,
    /// Its document, as of its default version.
    Read(Document),
}

/// What the decisions may look at. Every store behind it has synced before the first question is asked.
pub trait World: Send + Sync {
    /// Every AWSAccount.
    fn accounts(&self) -> Vec<Arc<AWSAccount>>;
    /// The AWSAccount of this name.
    fn account(&self, name: &str) -> Option<Arc<AWSAccount>>;
    /// The BastionUser of this key.
    fn user(&self, key: &ObjectKey) -> Option<Arc<BastionUser>>;
    /// The CrossAccountRole of this key.
    fn role(&self, key: &ObjectKey) -> Option<Arc<CrossAccountRole>>;
    /// The BastionUsers of a namespace, in order.
    fn users_in(&self, namespace: &str) -> Vec<Arc<BastionUser>>;
    /// The keys of the roles whose trust names this source, or selects it, in order: those of the namespaces for which `from` holds. The others are not looked
    /// at.
    fn roles_naming(&self, source: &SourceKey, from: &dyn Fn(&str) -> bool) -> Vec<ObjectKey>;
    /// The resources of the kind and namespace of this one that refer to an AWSAccount, in order; itself among them.
    fn companions(&self, of: &Ref, account: &str) -> Vec<Ref>;
    /// The users and roles that declare a customer-managed policy of this name in an AWSAccount, in order. Names are in small letters.
    fn declaring_policy(&self, account: &str, name: &str) -> Vec<Ref>;
    /// The AWSAccounts that are reached through this one, and the users and roles that refer to it, as `Kind/namespace/name`, in order.
    fn dependents_of_account(&self, name: &str) -> Vec<String>;
    /// The unique ID of the IAM user that was made for a BastionUser: from its status, or known already and on its way there. None where it is gone, or
    /// in doubt for long.
    fn user_id(&self, user: &BastionUser) -> Option<String>;
    /// The unique ID of the IAM role that was made for a CrossAccountRole: from its status, or known already and on its way there. None where it is gone,
    /// or in doubt for long.
    fn role_id(&self, role: &CrossAccountRole) -> Option<String>;
    /// Whether this process has made the role of a CrossAccountRole, or has read that it bears the owner tags. A status alone proves nothing.
    fn is_proven(&self, role: &CrossAccountRole) -> bool;
    /// Whether a read has shown that the user or role with this unique ID does not bear the name any more that it was made with.
    fn is_gone(&self, id: &str) -> bool;
    /// Whether a read has shown, when that was certain, that there is nothing in AWS that was made for a CrossAccountRole of whose role no status tells.
    fn is_unmade(&self, role: &ObjectKey) -> bool;
    /// Whether the deletion of a user or role waits until a person confirms it: what it has in AWS stays as it is.
    fn is_held(&self, of: &Ref) -> bool;
    /// The labels of a namespace, or None where there is no such namespace.
    fn namespace_labels(&self, name: &str) -> Option<Labels>;
    /// Who the operator is by its own credentials, with which it assumes management roles.
    fn operator(&self) -> Operator;
    /// What is known of the policy that `guardrails.permissionsBoundaryARN` of an AWSAccount names.
    fn boundary(&self, account: &AWSAccount) -> Boundary;
}
