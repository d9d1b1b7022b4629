//! What the resources in Kubernetes declare, read without any of the operator's own decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::ResourceExt;
use kube::core::ObjectMeta;
use rolebridge::api::account::{AllowedFrom, AllowedNamespaces};
use rolebridge::api::common::{LabelSelector, RolesFrom};
use rolebridge::api::permissions::{DocumentSource, Permissions, Unmanaged};
use rolebridge::api::trust::{PrincipalForm, Source};
use rolebridge::api::{AWSAccount, BastionUser, CrossAccountRole, Managed};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api_server::ApiServer;
use crate::aws_state::{AccountState, Caller, State as AWSState, account, in_force, items, text};

/// `BastionUser/namespace/name` or `CrossAccountRole/namespace/name`: what the owner tag of an IAM object says.
pub type Key = String;

/// Who may assume what by the declaration. A source is the key of a resource, `account:ID` for a whole account, or an ARN.
pub type Pairs = BTreeSet<(String, Key)>;

/// The grants that the resources of one moment declare.
#[derive(Debug, Default, PartialEq)]
pub struct Declaration {
    /// To be granted.
    pub wanted: Pairs,
    /// To stay as they are: a namespace is not allowed any more, or a guardrail forbids it.
    pub frozen: Pairs,
    /// Under which conditions each pair is declared; one is enough.
    pub conditions: BTreeMap<(String, Key), BTreeSet<String>>,
    /// What each user and role may do, of what is tried; of those whose permissions are looked at, and where it can be told.
    pub permissions: BTreeMap<Key, BTreeSet<&'static str>>,
}

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

    /// What permissions let an identity do, of what is tried.
    fn permitted(
        &self,
        aws: &AccountState,
        namespace: &str,
        permissions: &Permissions,
        groups: &[String],
        boundary: Option<&str>,
    ) -> Option<BTreeSet<&'static str>> {
        let own = permissions.customer_managed_policies.iter().map(|policy| policy.source());
        let sources = own.chain(permissions.inline_policies.iter().map(|policy| policy.source()));
        let mut documents: Vec<Value> = sources.map(|source| self.document(namespace, source?)).collect::<Option<_>>()?;
        let named = |name: &str| if name.starts_with("arn:") { name.to_owned() } else { format!("arn:aws:iam::aws:policy/{name}") };
        for name in &permissions.attached_policies {
            documents.push(in_force(aws, &named(name))?.clone());
        }
        for group in groups {
            let group = aws.groups.iter().find(|there| text(there, "groupName").eq_ignore_ascii_case(group))?;
            documents.extend(items(&group["attachedPolicies"]).into_iter().filter_map(|arn| in_force(aws, arn)).cloned());
        }
        let boundary = boundary.map(|arn| in_force(aws, arn).cloned().ok_or(())).transpose().ok()?;
        Some(Caller::with(&Value::Null, documents.iter().collect(), boundary.as_ref()).permissions())
    }

    /// What each user and role is declared to be able to do. Where what others put on it stays, that cannot be told.
    fn permissions(&self, aws: &AWSState) -> BTreeMap<Key, BTreeSet<&'static str>> {
        let mut all = BTreeMap::new();
        for (key, user) in self.users().filter(|(_, user)| user.metadata.deletion_timestamp.is_none()) {
            let (namespace, spec) = (user.namespace().unwrap_or_default(), &user.spec);
            let aws = self.account_id(&spec.account_ref.name).and_then(|id| account(aws, id));
            // Without groups or permissions these are not looked at.
            let (Some(aws), Some(permissions), Some(groups)) = (aws, &spec.permissions, &spec.groups) else { continue };
            if permissions.unmanaged == Unmanaged::Report {
                continue;
            }
            let permitted = self.permitted(aws, &namespace, permissions, groups, spec.permissions_boundary_arn.as_deref());
            all.extend(permitted.map(|permitted| (key.clone(), permitted)));
        }
        for (key, role) in self.roles().filter(|(_, role)| role.metadata.deletion_timestamp.is_none()) {
            let (namespace, spec) = (role.namespace().unwrap_or_default(), &role.spec);
            let Some(aws) = self.account_id(&spec.account_ref.name).and_then(|id| account(aws, id)) else { continue };
            let permissions = spec.permissions.clone().unwrap_or_default();
            if permissions.unmanaged == Unmanaged::Report {
                continue;
            }
            let permitted = self.permitted(aws, &namespace, &permissions, &[], spec.permissions_boundary_arn.as_deref());
            all.extend(permitted.map(|permitted| (key.clone(), permitted)));
        }
        all
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
    fn is_shared(&self, rule: Option<&rolebridge::api::common::AllowRolesFrom>, own: &str, namespace: &str) -> bool {
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

    /// The permissions boundary that a user or role is to have.
    pub fn boundary(&self, key: &str) -> Option<&str> {
        let of_user = self.users.get(key).and_then(|(_, user)| user.spec.permissions_boundary_arn.as_deref());
        of_user.or_else(|| self.roles.get(key)?.1.spec.permissions_boundary_arn.as_deref())
    }

    /// Whether a user or role is being deleted.
    pub fn is_leaving(&self, key: &str) -> bool {
        let users = self.users().map(|(key, user)| (key, &user.metadata));
        let mut all = users.chain(self.roles().map(|(key, role)| (key, &role.metadata)));
        all.any(|(there, metadata)| there == key && metadata.deletion_timestamp.is_some())
    }

    /// What is declared now, given the policies and groups of others in AWS.
    pub fn declaration(&self, aws: &AWSState) -> Declaration {
        Declaration { permissions: self.permissions(aws), ..self.grants() }
    }

    /// Whether these resources declare the same as others: nothing but statuses may differ.
    pub fn declare_as(&self, others: &Self) -> bool {
        let is_same = self.namespaces == others.namespaces && self.texts == others.texts;
        is_same && are_same(&self.accounts, &others.accounts) && are_same(&self.users, &others.users) && are_same(&self.roles, &others.roles)
    }

    /// Whether the roles of one moment beside the other resources of another one want this grant: each kind has a watch of its own.
    pub fn want_with(&self, roles: &Self, grant: &(String, Key)) -> bool {
        Self { roles: roles.roles.clone(), ..self.clone() }.grants().wanted.contains(grant)
    }

    /// The grants that are declared now.
    fn grants(&self) -> Declaration {
        let mut declaration = Declaration::default();
        for (key, role) in self.roles().filter(|(_, role)| role.metadata.deletion_timestamp.is_none()) {
            let (namespace, account) = (role.namespace().unwrap_or_default(), &role.spec.account_ref.name);
            let trusts_roots = self.account(account).and_then(|a| a.spec.guardrails.as_ref()).is_some_and(|g| g.account_root_trust);
            let is_allowed = self.is_allowed(account, &namespace);
            for (entry, source) in role.spec.trust.iter().flat_map(|entry| entry.from.iter().map(move |source| (entry, source))) {
                let by_root = entry.principal == PrincipalForm::AccountRoot || source.account().is_some();
                let is_free = is_allowed && (!by_root || trusts_roots);
                for Named { who, is_placed, is_leaving } in self.sources(role, &namespace, source, entry.principal) {
                    if is_leaving {
                        continue;
                    }
                    let pairs = if is_free && is_placed { &mut declaration.wanted } else { &mut declaration.frozen };
                    pairs.insert((who.clone(), key.clone()));
                    // Within one account who is named needs no policy of its own, so that it is not named in the place of the root while nothing may be added.
                    let form = self.users.get(&who).filter(|(_, user)| user.spec.account_ref.name == *account).map(|_| entry.principal);
                    declaration.conditions.entry((who, key.clone())).or_default().insert(json!([entry.require, form]).to_string());
                }
            }
        }
        declaration
    }

    /// Who a source stands for.
    fn sources(&self, role: &CrossAccountRole, namespace: &str, source: &Source, form: PrincipalForm) -> Vec<Named> {
        let mut found = vec![];
        let mut add = |key: &Key, meta: &ObjectMeta, account: &str, own: &str| {
            let (is_placed, is_leaving) = (self.is_allowed(account, own), meta.deletion_timestamp.is_some());
            found.push(Named { who: key.clone(), is_placed, is_leaving });
            if let (PrincipalForm::AccountRoot, Some(id)) = (form, self.account_id(account)) {
                found.push(Named { who: format!("account:{id}"), is_placed, is_leaving });
            }
        };
        if let Some(named) = source.user() {
            let own = named.namespace.as_deref().unwrap_or(namespace);
            let key = format!("BastionUser/{own}/{}", named.name);
            if let Some((_, user)) = self.users.get(&key)
                && self.is_shared(user.spec.allow_roles_from.as_ref(), own, namespace)
            {
                add(&key, &user.metadata, &user.spec.account_ref.name, own);
            }
        }
        if let Some(named) = source.role() {
            let own = named.namespace.as_deref().unwrap_or(namespace);
            let key = format!("CrossAccountRole/{own}/{}", named.name);
            if let Some((_, named)) = self.roles.get(&key)
                && named.metadata.uid != role.metadata.uid
                && self.is_shared(named.spec.allow_roles_from.as_ref(), own, namespace)
            {
                add(&key, &named.metadata, &named.spec.account_ref.name, own);
            }
        }
        if let Some(selector) = source.users() {
            let searched = |own: &str| if selector.namespaces.is_empty() { own == namespace } else { selector.namespaces.iter().any(|n| n == own) };
            for (key, (_, user)) in &self.users {
                let own = user.namespace().unwrap_or_default();
                let labels = user.metadata.labels.clone().unwrap_or_default();
                if searched(&own) && matches(&selector.selector, &labels) && self.is_shared(user.spec.allow_roles_from.as_ref(), &own, namespace) {
                    add(key, &user.metadata, &user.spec.account_ref.name, &own);
                }
            }
        }
        let account = source.account().and_then(|name| self.account_id(name));
        let others = account.map(|id| format!("account:{id}")).into_iter().chain(source.aws_principal().map(str::to_owned));
        found.extend(others.map(|who| Named { who, is_placed: true, is_leaving: false }));
        found
    }
}

/// Whether objects are the same but for their statuses.
fn are_same<K>(some: &Parsed<K>, others: &Parsed<K>) -> bool {
    let declared = |object: &Value| ["uid", "generation", "labels", "deletionTimestamp"].map(|field| object["metadata"][field].clone());
    let is_same = |(a, b): (&Arc<Value>, &Arc<Value>)| Arc::ptr_eq(a, b) || declared(a) == declared(b);
    some.keys().eq(others.keys()) && some.values().zip(others.values()).all(|((a, _), (b, _))| is_same((a, b)))
}

/// Who stands for a source of a role.
struct Named {
    who: String,
    /// Whether it may be where it is.
    is_placed: bool,
    /// Whether it is being deleted.
    is_leaving: bool,
}

/// Whether labels match. The simulation writes `matchLabels` only.
fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    selector.match_labels.iter().all(|(name, value)| labels.get(name) == Some(value))
}
