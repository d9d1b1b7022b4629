//! What the resources in Kubernetes declare, read without any of the operator's own decisions.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use kube::core::ObjectMeta;
use rolebridge::api::CrossAccountRole;
use rolebridge::api::permissions::{Permissions, Unmanaged};
use rolebridge::api::trust::{PrincipalForm, Source};
use serde_json::{Value, json};

use crate::aws_state::{AccountState, Caller, State as AWSState, account, in_force, items, text};
use crate::guardrails::{Hold, policy_arn};
use crate::resources::{Key, Resources, matches};

/// Who may assume what by the declaration. A source is the key of a resource, `account:ID` for a whole account, or an ARN.
pub type Pairs = BTreeSet<(String, Key)>;

/// The grants that the resources of one moment declare.
#[derive(Debug, Default, PartialEq)]
pub struct Declaration {
    /// To be granted.
    pub wanted: Pairs,
    /// To stay as they are: a namespace is not allowed any more, or a guardrail forbids them.
    pub frozen: Pairs,
    /// What is written of them may stay, and nobody comes in by it: the user or the role is cut off.
    pub shut: Pairs,
    /// Under which conditions each pair is declared; one is enough.
    pub conditions: BTreeMap<(String, Key), BTreeSet<String>>,
    /// What each user and role may do, of what is tried; of those whose permissions are looked at, and where it can be told.
    pub permissions: BTreeMap<Key, May>,
}

/// What a user or role may do, of what is tried.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct May {
    /// What it may come to do.
    pub gain: BTreeSet<&'static str>,
    /// What it is not to lose.
    pub keep: BTreeSet<&'static str>,
}

impl Resources {
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
        for name in &permissions.attached_policies {
            documents.push(in_force(aws, &policy_arn(name))?.clone());
        }
        for group in groups {
            let group = aws.groups.iter().find(|there| text(there, "groupName").eq_ignore_ascii_case(group))?;
            documents.extend(items(&group["attachedPolicies"]).into_iter().filter_map(|arn| in_force(aws, arn)).cloned());
        }
        let boundary = boundary.map(|arn| in_force(aws, arn).cloned().ok_or(())).transpose().ok()?;
        Some(Caller::with(&Value::Null, documents.iter().collect(), boundary.as_ref()).permissions())
    }

    /// What a user or role may do that is declared to be able to do this. While it breaks a rule nothing is added, and what it may do stays, but for what the
    /// boundary that its account puts on all does not allow.
    fn held(&self, key: &str, account: &str, aws: &AccountState, permitted: impl FnOnce() -> Option<BTreeSet<&'static str>>) -> Option<May> {
        match self.hold(key) {
            None => permitted().map(|all| May { gain: all.clone(), keep: all }),
            Some(Hold::CutOff) => Some(May::default()),
            Some(Hold::Frozen) => {
                let boundary = self.forced_boundary(account).map(|arn| in_force(aws, arn)).unwrap_or_default();
                let everything = json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}});
                Some(May { gain: BTreeSet::new(), keep: Caller::with(&Value::Null, vec![&everything], boundary).permissions() })
            }
        }
    }

    /// What each user and role is declared to be able to do. Where what others put on it stays, that cannot be told.
    fn permissions(&self, aws: &AWSState) -> BTreeMap<Key, May> {
        let mut all = BTreeMap::new();
        for (key, user) in self.users().filter(|(_, user)| user.metadata.deletion_timestamp.is_none()) {
            let (namespace, spec) = (user.namespace().unwrap_or_default(), &user.spec);
            let aws = self.account_id(&spec.account_ref.name).and_then(|id| account(aws, id));
            // Without groups or permissions these are not looked at.
            let (Some(aws), Some(permissions), Some(groups)) = (aws, &spec.permissions, &spec.groups) else { continue };
            let account = &spec.account_ref.name;
            // Whoever is in a group that is not allowed may stay there, or has to leave.
            let are_allowed = groups.iter().all(|group| self.is_group_allowed(account, group));
            if permissions.unmanaged == Unmanaged::Report || !are_allowed {
                continue;
            }
            let permitted = self.held(key, account, aws, || self.permitted(aws, &namespace, permissions, groups, self.boundary(key)));
            all.extend(permitted.map(|permitted| (key.clone(), permitted)));
        }
        for (key, role) in self.roles().filter(|(_, role)| role.metadata.deletion_timestamp.is_none()) {
            let (namespace, spec) = (role.namespace().unwrap_or_default(), &role.spec);
            let Some(aws) = self.account_id(&spec.account_ref.name).and_then(|id| account(aws, id)) else { continue };
            let permissions = spec.permissions.clone().unwrap_or_default();
            if permissions.unmanaged == Unmanaged::Report {
                continue;
            }
            let permitted = self.held(key, &spec.account_ref.name, aws, || self.permitted(aws, &namespace, &permissions, &[], self.boundary(key)));
            all.extend(permitted.map(|permitted| (key.clone(), permitted)));
        }
        all
    }

    /// What is declared now, given the policies and groups of others in AWS.
    pub fn declaration(&self, aws: &AWSState) -> Declaration {
        Declaration { permissions: self.permissions(aws), ..self.grants() }
    }

    /// Whether the roles of one moment beside the other resources of another one want this grant: each kind has a watch of its own.
    pub fn want_with(&self, roles: &Self, grant: &(String, Key)) -> bool {
        self.beside_roles_of(roles).grants().wanted.contains(grant)
    }

    /// The grants that are declared now.
    fn grants(&self) -> Declaration {
        let mut declaration = Declaration::default();
        for (key, role) in self.roles().filter(|(_, role)| role.metadata.deletion_timestamp.is_none()) {
            let (namespace, account) = (role.namespace().unwrap_or_default(), &role.spec.account_ref.name);
            let (hold, on_violation) = (self.hold(key), self.on_violation(account));
            for (entry, source) in role.spec.trust.iter().flat_map(|entry| entry.from.iter().map(move |source| (entry, source))) {
                let is_forbidden = self.is_source_forbidden(account, entry, source);
                if is_forbidden && on_violation == Hold::CutOff {
                    continue;
                }
                for Named { who, source_hold, is_leaving } in self.sources(role, &namespace, source, entry.principal) {
                    if is_leaving {
                        continue;
                    }
                    let pairs = match source_hold {
                        _ if hold == Some(Hold::CutOff) => &mut declaration.shut,
                        Some(Hold::CutOff) if self.user(&who).is_some() => &mut declaration.shut,
                        None if hold.is_none() && !is_forbidden => &mut declaration.wanted,
                        _ => &mut declaration.frozen,
                    };
                    pairs.insert((who.clone(), key.clone()));
                    // Within one account who is named needs no policy of its own, so that it is not named in the place of the root while nothing may be added.
                    let form = self.user(&who).filter(|user| user.spec.account_ref.name == *account).map(|_| entry.principal);
                    declaration.conditions.entry((who, key.clone())).or_default().insert(json!([entry.require, form]).to_string());
                }
            }
        }
        declaration
    }

    /// Who a source stands for.
    fn sources(&self, role: &CrossAccountRole, namespace: &str, source: &Source, form: PrincipalForm) -> Vec<Named> {
        let mut found = vec![];
        let mut add = |key: &Key, meta: &ObjectMeta, account: &str| {
            let (source_hold, is_leaving) = (self.hold(key), meta.deletion_timestamp.is_some());
            found.push(Named { who: key.clone(), source_hold, is_leaving });
            if let (PrincipalForm::AccountRoot, Some(id)) = (form, self.account_id(account)) {
                found.push(Named { who: format!("account:{id}"), source_hold, is_leaving });
            }
        };
        if let Some(named) = source.user() {
            let own = named.namespace.as_deref().unwrap_or(namespace);
            let key = format!("BastionUser/{own}/{}", named.name);
            if let Some(user) = self.user(&key)
                && self.is_shared(user.spec.allow_roles_from.as_ref(), own, namespace)
            {
                add(&key, &user.metadata, &user.spec.account_ref.name);
            }
        }
        if let Some(named) = source.role() {
            let own = named.namespace.as_deref().unwrap_or(namespace);
            let key = format!("CrossAccountRole/{own}/{}", named.name);
            if let Some(named) = self.role(&key)
                && named.metadata.uid != role.metadata.uid
                && self.is_shared(named.spec.allow_roles_from.as_ref(), own, namespace)
            {
                add(&key, &named.metadata, &named.spec.account_ref.name);
            }
        }
        if let Some(selector) = source.users() {
            let searched = |own: &str| if selector.namespaces.is_empty() { own == namespace } else { selector.namespaces.iter().any(|n| n == own) };
            for (key, user) in self.users() {
                let own = user.namespace().unwrap_or_default();
                let labels = user.metadata.labels.clone().unwrap_or_default();
                if searched(&own) && matches(&selector.selector, &labels) && self.is_shared(user.spec.allow_roles_from.as_ref(), &own, namespace) {
                    add(key, &user.metadata, &user.spec.account_ref.name);
                }
            }
        }
        let account = source.account().and_then(|name| self.account_id(name));
        let others = account.map(|id| format!("account:{id}")).into_iter().chain(source.aws_principal().map(str::to_owned));
        found.extend(others.map(|who| Named { who, source_hold: None, is_leaving: false }));
        found
    }
}

/// Who stands for a source of a role.
struct Named {
    who: String,
    /// What becomes of it, where it breaks a rule of its account.
    source_hold: Option<Hold>,
    /// Whether it is being deleted.
    is_leaving: bool,
}
