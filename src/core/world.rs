//! The Kubernetes side as the decisions see it: a snapshot of plain objects.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::api::{AWSAccount, BastionUser, CrossAccountRole};

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

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// Labels of a namespace.
pub type Labels = BTreeMap<String, String>;

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
    /// The keys of the roles whose trust names this user, in order.
    fn roles_naming(&self, user: &ObjectKey) -> Vec<ObjectKey>;
    /// The users and roles that refer to this account, as `Kind/namespace/name`, in order.
    fn dependents_of_account(&self, name: &str) -> Vec<String>;
    /// The unique ID of the IAM user that was made for a BastionUser: from its status, or known already and on its way there.
    fn user_id(&self, user: &BastionUser) -> Option<String>;
    /// The unique ID of the IAM role that was made for a CrossAccountRole: from its status, or known already and on its way there.
    fn role_id(&self, role: &CrossAccountRole) -> Option<String>;
    /// The labels of a namespace, or None where there is no such namespace.
    fn namespace_labels(&self, name: &str) -> Option<Labels>;
}
