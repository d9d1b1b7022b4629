//! A cluster in memory and a model of IAM: what the tests of the pure core share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use rolebridge::api::permissions::Permissions;
use rolebridge::api::{AWSAccount, BastionUser, CrossAccountRole, FINALIZER, Managed, Reason};
use rolebridge::core::access::via;
use rolebridge::core::action::{Action, Receipt};
use rolebridge::core::document::Document;
use rolebridge::core::names::UniqueID;
use rolebridge::core::naming::{selects, sources_named};
use rolebridge::core::observed::Observed;
use rolebridge::core::permissions::{ConfigText, ConfigTexts, config_references, missing};
use rolebridge::core::world::{Boundary, Labels, ObjectKey, Operator, Ref, SourceKey, World};
use serde::Serialize;
use serde_json::{Value, json};

/// The installation that the tests speak for.
pub const INSTALLATION: &str = "main";
/// The namespace of what names none.
pub const NAMESPACE: &str = "data";

/// What the API server has.
#[derive(Default)]
pub struct Cluster {
    accounts: BTreeMap<String, Arc<AWSAccount>>,
    users: BTreeMap<ObjectKey, Arc<BastionUser>>,
    roles: BTreeMap<ObjectKey, Arc<CrossAccountRole>>,
    namespaces: BTreeMap<String, Labels>,
    config_maps: BTreeMap<ObjectKey, ConfigMap>,
    /// The unique IDs of those that are gone, and of those of whom nobody knows.
    gone: BTreeSet<String>,
    unknown: BTreeSet<String>,
    /// The roles of which no status tells, and which a read has shown not to be there.
    unmade: BTreeSet<ObjectKey>,
    /// The roles of which nothing but their status tells.
    unproven: BTreeSet<ObjectKey>,
}

impl Cluster {
    /// The accounts `utils` (111111111111) and `prod` (222222222222), open to all namespaces, and the namespace [`NAMESPACE`].
    pub fn classic() -> Self {
        let mut cluster = Self::default();
        for (name, id) in [("utils", "111111111111"), ("prod", "222222222222")] {
            cluster.apply(json!({"kind": "AWSAccount", "metadata": {"name": name}, "spec": {"accountID": id}}));
        }
        cluster.apply(json!({"kind": "Namespace", "metadata": {"name": NAMESPACE}}));
        cluster
    }

    #[allow(dead_code, reason = "not all tests of the core have what an earlier resource left")]
    /// The same, where resources take over what earlier ones of their names have left.
    pub fn taking_over() -> Self {
        let mut cluster = Self::classic();
        for (name, id) in [("utils", "111111111111"), ("prod", "222222222222")] {
            let spec = json!({"accountID": id, "ownership": {"takeOver": "SameInstallation"}});
            cluster.apply(json!({"kind": "AWSAccount", "metadata": {"name": name}, "spec": spec}));
        }
        cluster
    }

    /// Takes a manifest. What every manifest would say (API version, namespace, UID, an account's access and finalizer) may be left out.
    pub fn apply(&mut self, mut manifest: Value) {
        let kind = manifest["kind"].as_str().expect("a manifest has a kind").to_owned();
        let name = manifest["metadata"]["name"].as_str().expect("a manifest has a name").to_owned();
        let namespaced = !matches!(kind.as_str(), "AWSAccount" | "Namespace");
        let meta = &mut manifest["metadata"];
        preset(meta, "uid", json!(format!("uid-of-{name}")));
        preset(meta, "creationTimestamp", json!("2026-01-01T00:00:00Z"));
        if namespaced {
            preset(meta, "namespace", json!(NAMESPACE));
        }
        if kind == "AWSAccount" {
            preset(meta, "finalizers", json!([FINALIZER]));
            preset(&mut manifest["spec"], "access", json!({"ambient": {}}));
            preset(&mut manifest["spec"], "allowedNamespaces", json!({"from": "All"}));
        }
        preset(&mut manifest, "apiVersion", json!(if kind == "ConfigMap" { "v1" } else { "rolebridge.io/v1alpha1" }));
        match kind.as_str() {
            "AWSAccount" => {
                self.accounts.insert(name, Arc::new(read(&manifest)));
            }
            "BastionUser" => {
                let user: BastionUser = read(&manifest);
                self.users.insert(ObjectKey::of(&user), Arc::new(user));
            }
            "CrossAccountRole" => {
                let role: CrossAccountRole = read(&manifest);
                self.roles.insert(ObjectKey::of(&role), Arc::new(role));
            }
            "Namespace" => {
                let labels = manifest["metadata"].get("labels").cloned().unwrap_or_else(|| json!({}));
                self.namespaces.insert(name, serde_json::from_value(labels).expect("labels are texts"));
            }
            "ConfigMap" => {
                let key = ObjectKey::new(manifest["metadata"]["namespace"].as_str().unwrap_or_default(), name);
                self.config_maps.insert(key, serde_json::from_value(manifest).expect("a ConfigMap is one"));
            }
            other => panic!("no manifest of kind {other} is known here"),
        }
    }

    /// Lets a user be in IAM; with `allowed` also its assume policy with every role that names it.
    pub fn make_user(&mut self, key: &ObjectKey, allowed: bool) {
        let roles: Vec<Value> = self
            .roles_naming(&SourceKey::User(key.clone()), &|_| true)
            .iter()
            .map(|role| json!({"name": role.name, "namespace": role.namespace, "roleARN": "-"}))
            .collect();
        let user = self.users.get_mut(key).unwrap_or_else(|| panic!("there is no BastionUser {key}"));
        let status = json!({"userID": user_id(&key.name), "roles": if allowed { roles } else { vec![] }});
        Arc::make_mut(user).status = Some(serde_json::from_value(status).expect("this is a status"));
    }

    #[allow(dead_code, reason = "not all tests of the core have chains of roles")]
    /// Lets a role be in IAM; with `allowed` also its assume policy with every role that names it.
    pub fn make_role(&mut self, key: &ObjectKey, allowed: bool) {
        let naming = self.roles_naming(&SourceKey::Role(key.clone()), &|_| true);
        let roles: Vec<Value> = naming.iter().map(|role| json!({"name": role.name, "namespace": role.namespace, "roleARN": "-"})).collect();
        let role = self.roles.get_mut(key).unwrap_or_else(|| panic!("there is no CrossAccountRole {key}"));
        let status = json!({"roleID": unique_id("AROA", &key.name), "roles": if allowed { roles } else { vec![] }});
        Arc::make_mut(role).status = Some(serde_json::from_value(status).expect("this is a status"));
    }

    #[allow(dead_code, reason = "not all tests of the core have sources that are gone")]
    /// Lets a read have shown that the user or role with this unique ID is gone.
    pub fn lose(&mut self, id: String) {
        self.gone.insert(id);
    }

    #[allow(dead_code, reason = "not all tests of the core have roles that are gone")]
    /// Lets a read have shown that there is no role which was made for this resource; its status tells of none.
    pub fn unmake(&mut self, role: ObjectKey) {
        self.unmade.insert(role);
    }

    #[allow(dead_code, reason = "not all tests of the core have roles that only their status tells of")]
    /// Lets nothing but its status tell of a role.
    pub fn doubt_status(&mut self, role: ObjectKey) {
        self.unproven.insert(role);
    }

    #[allow(dead_code, reason = "not all tests of the core have sources that are in doubt")]
    /// Lets the user or role with this unique ID be in doubt, and not be read for long.
    pub fn doubt(&mut self, id: String) {
        self.unknown.insert(id);
    }

    fn living(&self, id: Option<&String>) -> Option<String> {
        id.filter(|id| !self.gone.contains(*id) && !self.unknown.contains(*id)).cloned()
    }

    /// What permissions take from ConfigMaps of a namespace.
    pub fn texts(&self, namespace: Option<&str>, permissions: Option<&Permissions>) -> ConfigTexts {
        let namespace = namespace.unwrap_or_default();
        let names = || self.config_maps.keys().filter(|other| other.namespace == namespace).map(|other| other.name.as_str());
        let text = |name: &str, key: &str| match self.config_maps.get(&ObjectKey::new(namespace, name)) {
            Some(found) => {
                let text = found.data.as_ref().and_then(|data| data.get(key).cloned());
                Some(ConfigText::of(text, found.binary_data.as_ref().is_some_and(|data| data.contains_key(key))))
            }
            None => missing(name, names()),
        };
        config_references(permissions).into_iter().map(|(name, key)| ((name.clone(), key.clone()), text(&name, &key))).collect()
    }
}

/// The unique ID that the tests' IAM gives a user.
pub fn user_id(name: &str) -> String {
    unique_id("AIDA", name)
}

/// A unique ID that shows whose it is.
pub fn unique_id(prefix: &str, name: &str) -> String {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase();
    format!("{prefix}{name:0<16}")
}

fn preset(object: &mut Value, key: &str, value: Value) {
    if !object.is_object() {
        *object = json!({});
    }
    if object[key].is_null() {
        object[key] = value;
    }
}

/// Reads a resource. What its type does not know is a mistake in the test.
fn read<K: Managed + Serialize>(manifest: &Value) -> K {
    let object: K = serde_json::from_value(manifest.clone()).unwrap_or_else(|error| panic!("{}: {error}", manifest["metadata"]["name"]));
    let back = serde_json::to_value(&object).expect("resources are serialisable");
    understood("", manifest, &back);
    object
}

fn understood(path: &str, written: &Value, read: &Value) {
    match (written, read) {
        (Value::Object(written), _) if !written.is_empty() => {
            written.iter().for_each(|(key, value)| understood(&format!("{path}.{key}"), value, &read[key]));
        }
        (Value::Array(written), Value::Array(read)) => {
            written.iter().zip(read).enumerate().for_each(|(i, (w, r))| understood(&format!("{path}[{i}]"), w, r));
        }
        (Value::Array(written), _) if written.is_empty() => {}
        (Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Array(_), Value::Null) => panic!("no field of this name: {path}"),
        _ => {}
    }
}

impl World for Cluster {
    fn accounts(&self) -> Vec<Arc<AWSAccount>> {
        self.accounts.values().cloned().collect()
    }

    fn account(&self, name: &str) -> Option<Arc<AWSAccount>> {
        self.accounts.get(name).cloned()
    }

    fn user(&self, key: &ObjectKey) -> Option<Arc<BastionUser>> {
        self.users.get(key).cloned()
    }

    fn role(&self, key: &ObjectKey) -> Option<Arc<CrossAccountRole>> {
        self.roles.get(key).cloned()
    }

    fn users_in(&self, namespace: &str) -> Vec<Arc<BastionUser>> {
        self.users.iter().filter(|(key, _)| key.namespace == namespace).map(|(_, user)| user.clone()).collect()
    }

    fn roles_naming(&self, source: &SourceKey, from: &dyn Fn(&str) -> bool) -> Vec<ObjectKey> {
        let selected = |role: &CrossAccountRole| match source {
            SourceKey::User(key) => self.users.get(key).is_some_and(|user| selects(role, user)),
            SourceKey::Role(_) => false,
        };
        let naming = self.roles.values().filter(|role| sources_named(role).contains(source) || selected(role));
        naming.map(|role| ObjectKey::of(&**role)).filter(|key| from(&key.namespace)).collect()
    }

    fn companions(&self, of: &Ref, account: &str) -> Vec<Ref> {
        let users = self.users.iter().filter(|(_, user)| user.spec.account_ref.name == account).map(|(key, _)| Ref::User(key.clone()));
        let roles = self.roles.iter().filter(|(_, role)| role.spec.account_ref.name == account).map(|(key, _)| Ref::Role(key.clone()));
        users.chain(roles).filter(|other| other.first_of_namespace() == of.first_of_namespace()).collect()
    }

    fn declaring_policy(&self, account: &str, name: &str) -> Vec<Ref> {
        let declares = |of: &str, permissions: Option<&Permissions>| {
            let mut declared = permissions.into_iter().flat_map(|permissions| &permissions.customer_managed_policies);
            of == account && declared.any(|policy| policy.name.eq_ignore_ascii_case(name))
        };
        let users = self.users.iter().filter(|(_, user)| declares(&user.spec.account_ref.name, user.spec.permissions.as_ref()));
        let roles = self.roles.iter().filter(|(_, role)| declares(&role.spec.account_ref.name, role.spec.permissions.as_ref()));
        users.map(|(key, _)| Ref::User(key.clone())).chain(roles.map(|(key, _)| Ref::Role(key.clone()))).collect()
    }

    fn dependents_of_account(&self, name: &str) -> Vec<String> {
        let users = self.users.values().filter(|u| u.spec.account_ref.name == name).map(|u| format!("BastionUser/{}", ObjectKey::of(&**u)));
        let roles = self.roles.values().filter(|r| r.spec.account_ref.name == name).map(|r| format!("CrossAccountRole/{}", ObjectKey::of(&**r)));
        let accounts = self.accounts.iter().filter(|(_, account)| via(account) == Some(name)).map(|(behind, _)| format!("AWSAccount/{behind}"));
        accounts.chain(users).chain(roles).collect()
    }

    fn user_id(&self, user: &BastionUser) -> Option<String> {
        self.living(user.status.as_ref()?.user_id.as_ref())
    }

    fn role_id(&self, role: &CrossAccountRole) -> Option<String> {
        self.living(role.status.as_ref()?.role_id.as_ref())
    }

    fn is_proven(&self, role: &CrossAccountRole) -> bool {
        !self.unproven.contains(&ObjectKey::of(role))
    }

    fn is_gone(&self, id: &str) -> bool {
        self.gone.contains(id)
    }

    fn is_unmade(&self, role: &ObjectKey) -> bool {
        self.unmade.contains(role)
    }

    fn is_held(&self, of: &Ref) -> bool {
        // A new process knows it by that, too.
        match of {
            Ref::User(key) => self.users.get(key).is_some_and(|user| user.says(&[Reason::DeletionHeld])),
            Ref::Role(key) => self.roles.get(key).is_some_and(|role| role.says(&[Reason::DeletionHeld])),
            Ref::Account(_) => false,
        }
    }

    fn namespace_labels(&self, name: &str) -> Option<Labels> {
        self.namespaces.get(name).cloned()
    }

    fn operator(&self) -> Operator {
        // It is in none of these accounts.
        Operator::Nobody
    }

    fn boundary(&self, _: &AWSAccount) -> Boundary {
        Boundary::Unread
    }
}

/// The states that a plan goes through, the one that it starts from included: each is one that it may be interrupted in.
pub fn states(start: &Observed, actions: &[Action]) -> Vec<Observed> {
    let mut state = start.clone();
    let mut states = vec![start.clone()];
    for (step, action) in actions.iter().enumerate() {
        let receipt = answer(&state, action, step);
        state.record(action, &receipt);
        states.push(state.clone());
    }
    states
}

/// What IAM answers to an action: a unique ID that nothing had before, or the next number of a version.
fn answer(state: &Observed, action: &Action, step: usize) -> Receipt {
    match action {
        Action::CreateIdentity(identity) => {
            let prefix = if identity.role.is_some() { "AROA" } else { "AIDA" };
            Receipt::Created(id(&format!("{prefix}FRESH{step:0>11}")))
        }
        Action::CreatePolicy(_) => Receipt::Created(id(&format!("ANPAFRESH{step:0>11}"))),
        Action::CreatePolicyVersion(arn, _) => {
            let policy = &state.policies[arn];
            let numbers = policy.other_versions.iter().chain([&policy.default_version]).filter_map(|v| v.trim_start_matches('v').parse::<u32>().ok());
            Receipt::Version(format!("v{}", numbers.max().unwrap_or(0) + 1))
        }
        _ => Receipt::Done,
    }
}

/// A unique ID from its text.
pub fn id(text: &str) -> UniqueID {
    text.parse().expect("a unique ID of the tests is one")
}

/// A policy document from JSON.
pub fn document(value: &Value) -> Document {
    match value {
        Value::String(text) => Document::parse(text),
        value => Document::from_value(value.clone()),
    }
    .unwrap_or_else(|problems| panic!("the document of a test is none: {problems:?}"))
}
