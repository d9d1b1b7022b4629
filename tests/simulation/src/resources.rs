//! The resources in Kubernetes, read without any of the operator's own decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::ResourceExt;
use rolebridge::api::account::{AllowedFrom, AllowedNamespaces};
use rolebridge::api::common::{AllowRolesFrom, LabelSelector, RolesFrom};
use rolebridge::api::permissions::DocumentSource;
use rolebridge::api::{AWSAccount, BastionUser, CrossAccountRole, Managed};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api_server::ApiServer;
use crate::aws_state::text;

/// `BastionUser/namespace/name` or `CrossAccountRole/namespace/name`: what the owner tag of an IAM object says.
pub type Key = String;

/// The resources, parsed once for each version.
#[derive(Clone, Default)]
pub struct Resources {
    accounts: Parsed<AWSAccount>,
    users: Parsed<BastionUser>,
    roles: Parsed<CrossAccountRole>,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Texts of ConfigMaps, by `namespace/name/key`.
    texts: BTreeMap<String, String>,
}

type Parsed<K> = BTreeMap<Key, (Arc<Value>, Arc<K>)>;

/// The key of a resource.
pub fn key<K: Managed>(object: &K) -> Key {
    format!("{}/{}/{}", K::KIND, object.meta().namespace.as_deref().unwrap_or_default(), object.name_any())
}

fn take<K: Managed + DeserializeOwned>(parsed: &mut Parsed<K>, objects: impl Iterator<Item = Arc<Value>>) {
    let mut now = Parsed::new();
    for object in objects {
        let meta = &object["metadata"];
        let key = format!("{}/{}/{}", K::KIND, meta["namespace"].as_str().unwrap_or_default(), meta["name"].as_str().unwrap_or_default());
        let known = parsed.remove(&key).filter(|(there, _)| Arc::ptr_eq(there, &object)).map(|(_, typed)| typed);
        // Whatever cannot be read declares nothing.
        let Some(typed) = known.or_else(|| serde_json::from_value(Value::clone(&object)).ok().map(Arc::new)) else { continue };
        now.insert(key, (object, typed));
    }
    *parsed = now;
}

impl Resources {
    /// Takes what the API server has now.
    pub fn read(&mut self, api: &ApiServer) {
        take(&mut self.accounts, api.objects("awsaccounts").cloned());
        take(&mut self.users, api.objects("bastionusers").cloned());
        take(&mut self.roles, api.objects("crossaccountroles").cloned());
        let labels = |namespace: &Arc<Value>| serde_json::from_value(namespace["metadata"]["labels"].clone()).unwrap_or_default();
        let name = |namespace: &Arc<Value>| namespace["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        self.namespaces = api.objects("namespaces").map(|namespace| (name(namespace), labels(namespace))).collect();
        self.texts.clear();
        for map in api.objects("configmaps") {
            let meta = &map["metadata"];
            for (entry, value) in map["data"].as_object().into_iter().flatten() {
                let name = format!("{}/{}/{entry}", text(meta, "namespace"), text(meta, "name"));
                self.texts.insert(name, value.as_str().unwrap_or_default().to_owned());
            }
        }
    }

    /// A document, where it can be read.
    pub fn document(&self, namespace: &str, source: DocumentSource<'_>) -> Option<Value> {
        match source {
            DocumentSource::Document(document) => serde_json::from_str(document.text().ok()?).ok(),
            DocumentSource::Json(text) => serde_json::from_str(text).ok(),
            DocumentSource::ConfigMap(reference) => {
                serde_json::from_str(self.texts.get(&format!("{namespace}/{}/{}", reference.name, reference.key))?).ok()
            }
        }
    }

    /// Every user and role.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.users.keys().chain(self.roles.keys())
    }

    /// Whether there is such a user or role.
    pub fn has(&self, key: &str) -> bool {
        self.users.contains_key(key) || self.roles.contains_key(key)
    }

    /// Every account.
    pub fn accounts(&self) -> impl Iterator<Item = &AWSAccount> {
        self.accounts.values().map(|(_, account)| &**account)
    }

    /// Every user.
    pub fn users(&self) -> impl Iterator<Item = (&Key, &BastionUser)> {
        self.users.iter().map(|(key, (_, user))| (key, &**user))
    }

    /// Every role.
    pub fn roles(&self) -> impl Iterator<Item = (&Key, &CrossAccountRole)> {
        self.roles.iter().map(|(key, (_, role))| (key, &**role))
    }

    /// An account by its name, unless another one of the same account of AWS is older.
    pub fn account(&self, name: &str) -> Option<&AWSAccount> {
        self.accounts.get(&format!("AWSAccount//{name}")).map(|(_, account)| &**account)
    }

    /// The ID of the account of that name.
    pub fn account_id(&self, name: &str) -> Option<&str> {
        self.account(name).map(|account| account.spec.account_id.as_str())
    }

    /// The ARN that a user or role is to have.
    pub fn arn(&self, key: &str) -> Option<String> {
        let arn = |account: &str, kind: &str, path: &Option<String>, name: Option<&String>, fallback: String| {
            let id = self.account_id(account)?;
            Some(format!("arn:aws:iam::{id}:{kind}{}{}", path.as_deref().unwrap_or("/"), name.cloned().unwrap_or(fallback)))
        };
        if let Some((_, user)) = self.users.get(key) {
            return arn(&user.spec.account_ref.name, "user", &user.spec.path, user.spec.user_name.as_ref(), user.name_any());
        }
        let (_, role) = self.roles.get(key)?;
        arn(&role.spec.account_ref.name, "role", &role.spec.path, role.spec.role_name.as_ref(), role.name_any())
    }

    /// Whether a namespace may place objects in an account.
    pub fn is_allowed(&self, account: &str, namespace: &str) -> bool {
        self.account(account).is_some_and(|account| {
            let AllowedNamespaces { from, names, selector } = &account.spec.allowed_namespaces;
            match from {
                AllowedFrom::All => true,
                AllowedFrom::Names => names.iter().any(|name| name == namespace),
                AllowedFrom::Selector => selector.as_ref().is_some_and(|selector| self.selects_namespace(selector, namespace)),
            }
        })
    }

    fn selects_namespace(&self, selector: &LabelSelector, namespace: &str) -> bool {
        self.namespaces.get(namespace).is_some_and(|labels| matches(selector, labels))
    }

    /// Whether a user lets a namespace name it.
    pub fn is_shared(&self, rule: Option<&AllowRolesFrom>, own: &str, namespace: &str) -> bool {
        own == namespace
            || rule.is_some_and(|rule| match rule.from {
                RolesFrom::Same => false,
                RolesFrom::All => true,
                RolesFrom::Names => rule.names.iter().any(|name| name == namespace),
                RolesFrom::Selector => rule.selector.as_ref().is_some_and(|selector| self.selects_namespace(selector, namespace)),
            })
    }

    /// The unique IDs and ARNs that statuses tell of.
    pub fn told(&self) -> BTreeSet<String> {
        let users = self.users().filter_map(|(_, user)| user.status.as_ref()).map(|status| (&status.user_id, &status.policies));
        let roles = self.roles().filter_map(|(_, role)| role.status.as_ref()).map(|status| (&status.role_id, &status.policies));
        users.chain(roles).flat_map(|(id, policies)| id.iter().cloned().chain(policies.iter().map(|policy| policy.arn.clone()))).collect()
    }

    /// The name of the account that a user or role is placed in.
    pub fn placed_in(&self, key: &str) -> Option<&str> {
        let of_user = self.users.get(key).map(|(_, user)| &user.spec.account_ref.name);
        of_user.or_else(|| Some(&self.roles.get(key)?.1.spec.account_ref.name)).map(String::as_str)
    }

    /// Whether a user or role is being deleted.
    pub fn is_leaving(&self, key: &str) -> bool {
        let users = self.users().map(|(key, user)| (key, &user.metadata));
        let mut all = users.chain(self.roles().map(|(key, role)| (key, &role.metadata)));
        all.any(|(there, metadata)| there == key && metadata.deletion_timestamp.is_some())
    }

    /// What the status of a user or role tells of policies that others put on it.
    pub fn unmanaged(&self, key: &str) -> &[String] {
        let of_user = self.user(key).and_then(|user| user.status.as_ref()).map(|status| &status.unmanaged_policies);
        let of_role = || self.role(key).and_then(|role| role.status.as_ref()).map(|status| &status.unmanaged_policies);
        of_user.or_else(of_role).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether these resources declare the same as others: nothing but statuses may differ.
    pub fn declare_as(&self, others: &Self) -> bool {
        let is_same = self.namespaces == others.namespaces && self.texts == others.texts;
        is_same && are_same(&self.accounts, &others.accounts) && are_same(&self.users, &others.users) && are_same(&self.roles, &others.roles)
    }

    /// These with the accounts of another moment, and the namespaces of one of the two.
    pub fn beside_accounts_of(&self, other: &Self, takes_namespaces: bool) -> Self {
        let namespaces = if takes_namespaces { other.namespaces.clone() } else { self.namespaces.clone() };
        Self { accounts: other.accounts.clone(), namespaces, ..self.clone() }
    }

    /// These with the roles of another moment.
    pub fn beside_roles_of(&self, other: &Self) -> Self {
        Self { roles: other.roles.clone(), ..self.clone() }
    }

    /// A user by its key.
    pub fn user(&self, key: &str) -> Option<&BastionUser> {
        self.users.get(key).map(|(_, user)| &**user)
    }

    /// A role by its key.
    pub fn role(&self, key: &str) -> Option<&CrossAccountRole> {
        self.roles.get(key).map(|(_, role)| &**role)
    }
}

/// Whether objects are the same but for their statuses.
fn are_same<K>(some: &Parsed<K>, others: &Parsed<K>) -> bool {
    let declared = |object: &Value| ["uid", "generation", "labels", "deletionTimestamp"].map(|field| object["metadata"][field].clone());
    let is_same = |(a, b): (&Arc<Value>, &Arc<Value>)| Arc::ptr_eq(a, b) || declared(a) == declared(b);
    some.keys().eq(others.keys()) && some.values().zip(others.values()).all(|((a, _), (b, _))| is_same((a, b)))
}

/// Whether labels match. The simulation writes `matchLabels` only.
pub fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    selector.match_labels.iter().all(|(name, value)| labels.get(name) == Some(value))
}
