//! What must hold after every call to AWS, computed from what the simulator holds and what Kubernetes has. Nothing of the operator's own
//! decisions is used here: this is the second opinion on them.
//!
//! - L1: an object with our tags has its resource, live or being deleted.
//! - L2: an object without our tags is as it was, to the byte.
//! - L3: nobody may assume a role who neither was nor is to be allowed to; L4: who was and is to be, may at every moment.
//! - L6: the final state is the one that comes about without faults; see [`anonymous`].
//! - L7: a resource that says Ready for what is declared now is in AWS as declared.
//!
//! Beside these, no trust policy names a principal that is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;
use kube::{Api, Client, ResourceExt};
use rolebridge::api::{BastionUser, CrossAccountRole, Managed, common::RolesFrom, trust::PrincipalForm};
use rolebridge_simulation::aws_state::{self, principals};
use rolebridge_testbed::aws_sim::{AccountState, State};
use serde_json::{Value, json};

use crate::support::{Account, INSTALLATION, condition};

/// Who may assume what: the ARN of a user, the ARN of a role.
pub type Grants = BTreeSet<(String, String)>;

/// Each of these users with each of these roles.
pub fn grants(users: &[String], roles: &[String]) -> Grants {
    users.iter().flat_map(|user| roles.iter().map(|role| (user.clone(), role.clone()))).collect()
}

/// Objects of IAM by ARN.
pub type Objects = BTreeMap<String, Value>;

/// The user that the simulator makes in every account. It may do everything there, so what lets it in says nothing.
const ADMINISTRATOR: &str = "administrator";

/// What Kubernetes has of ours.
pub struct Declared {
    users: Vec<BastionUser>,
    roles: Vec<CrossAccountRole>,
    /// Account IDs by the names of AWSAccounts.
    accounts: BTreeMap<String, String>,
}

impl Declared {
    /// Everything that Kubernetes has now; `accounts` are the ones that are looked at.
    pub async fn read(client: &Client, accounts: &[&Account]) -> Result<Self> {
        let (users, roles) = (Api::<BastionUser>::all(client.clone()), Api::<CrossAccountRole>::all(client.clone()));
        let everything = Default::default();
        let (users, roles) = tokio::try_join!(users.list(&everything), roles.list(&everything))?;
        let accounts = accounts.iter().map(|account| (account.name.clone(), account.id.clone())).collect();
        Ok(Self { users: users.items, roles: roles.items, accounts })
    }

    /// The values that the tag of the owner may have.
    fn owners(&self) -> BTreeSet<String> {
        self.users.iter().map(owner).chain(self.roles.iter().map(owner)).collect()
    }

    /// What AWS holds otherwise than Kubernetes says of it, in words.
    pub fn violations(&self, state: &State) -> Vec<String> {
        let (owners, effective) = (self.owners(), effective(state));
        let ours = objects(state).into_iter().filter(|(_, object)| is_ours(object));
        let ownerless = ours.filter_map(|(arn, object)| {
            let owner = object["tags"]["rolebridge.io/owner"].as_str().unwrap_or_default();
            (!owners.contains(owner)).then(|| format!("L1: {arn} belongs to {owner}, which does not exist"))
        });
        let users = self.users.iter().filter(|user| says_ready(*user)).flat_map(|user| user_drift(user, self, state));
        let roles = self.roles.iter().filter(|role| says_ready(*role)).flat_map(|role| role_drift(role, self, state, &effective));
        ownerless.chain(users).chain(roles).collect()
    }

    fn user(&self, namespace: &str, name: &str) -> Option<&BastionUser> {
        self.users.iter().find(|user| user.namespace().as_deref() == Some(namespace) && user.name_any() == name)
    }
}

fn owner<K: Managed>(object: &K) -> String {
    format!("{}/{}/{}", K::KIND, object.namespace().unwrap_or_default(), object.name_any())
}

/// Whether it says Ready for what is declared now.
pub fn says_ready<K: Managed + std::fmt::Debug>(object: &K) -> bool {
    let current = |found: i64| object.meta().generation == Some(found);
    object.meta().deletion_timestamp.is_none()
        && condition(object, "Ready").is_some_and(|ready| ready.status == "True" && current(ready.observed_generation))
}

/// What is to hold from now on, whatever happens.
pub struct Bounds {
    /// The objects that are nobody's of ours.
    pub foreign: Objects,
    /// What was granted before the change under way.
    pub old: Grants,
    /// What is to be granted after it.
    pub new: Grants,
}

impl Bounds {
    /// What does not hold of AWS by itself, in words.
    pub fn violations(&self, state: &State) -> Vec<String> {
        let mut found = vec![];
        let foreign = foreign(state);
        for arn in self.foreign.keys().chain(foreign.keys()).collect::<BTreeSet<_>>() {
            let (before, now) = (self.foreign.get(arn), foreign.get(arn));
            if before != now {
                found.push(format!("L2: {arn} is not ours and was {before:?} and is {now:?}"));
            }
        }
        let effective = effective(state);
        found
            .extend(effective.iter().filter(|g| !self.old.contains(*g) && !self.new.contains(*g)).map(|g| format!("L3: {} may assume {}", g.0, g.1)));
        let staying = self.old.intersection(&self.new);
        found.extend(staying.filter(|g| !effective.contains(*g)).map(|g| format!("L4: {} may not assume {}", g.0, g.1)));
        for (arn, role) in objects(state).iter().filter(|(_, object)| is_ours(object)) {
            let dead = principals(&role["assumeRolePolicyDocument"]).into_iter().filter(|p| p.starts_with("AIDA") || p.starts_with("AROA"));
            found.extend(dead.map(|id| format!("{arn} trusts {id}, which is gone")));
        }
        found
    }
}

/// What the state has of these accounts only.
pub fn part(state: State, accounts: &[&Account]) -> State {
    let concerned = |id: &String| accounts.iter().any(|account| account.id == *id);
    State { accounts: state.accounts.into_iter().filter(|(id, _)| concerned(id)).collect() }
}

fn objects(state: &State) -> Objects {
    let all = state.accounts.values().flat_map(|account| account.users.iter().chain(&account.roles).chain(&account.policies));
    all.map(|object| (object["arn"].as_str().unwrap_or_default().to_owned(), object.clone())).collect()
}

fn is_ours(object: &Value) -> bool {
    object["tags"]["rolebridge.io/installation"] == INSTALLATION
}

/// The objects that are nobody's of ours.
pub fn foreign(state: &State) -> Objects {
    objects(state).into_iter().filter(|(_, object)| !is_ours(object)).collect()
}

/// Which users may assume which of our roles, by both halves. Conditions are taken to be met.
pub fn effective(state: &State) -> Grants {
    let shared: aws_state::State = state.accounts.iter().filter_map(|(id, account)| Some((id.parse().ok()?, shared(account)))).collect();
    let all = shared.values().flat_map(aws_state::identities);
    let arns: BTreeMap<&str, &str> = all.map(|object| (aws_state::unique_id(object), aws_state::text(object, "arn"))).collect();
    let users = shared.values().flat_map(|account| &account.users).filter(|user| user["userName"] != ADMINISTRATOR);
    let users: BTreeSet<&str> = users.map(|user| aws_state::unique_id(user)).collect();
    let grants = aws_state::effective(&shared, is_ours);
    let of_users = grants.iter().filter(|(source, _)| users.contains(source.as_str()));
    of_users.map(|(source, role)| (arns[source.as_str()].to_owned(), arns[role.as_str()].to_owned())).collect()
}

/// What an account holds, as the simulation reads it.
fn shared(account: &AccountState) -> aws_state::AccountState {
    let objects = |objects: &[Value]| objects.iter().cloned().map(Arc::new).collect();
    aws_state::AccountState {
        users: objects(&account.users),
        roles: objects(&account.roles),
        policies: objects(&account.policies),
        ..aws_state::AccountState::default()
    }
}

/// How a user in AWS is other than declared. Which roles it may assume is the roles' matter.
fn user_drift(user: &BastionUser, declared: &Declared, state: &State) -> Vec<String> {
    let Some(id) = declared.accounts.get(&user.spec.account_ref.name) else { return vec![] };
    let arn = user_arn(user, id);
    let Some(found) = objects(state).remove(&arn) else { return vec![format!("L7: {arn} is Ready and not in AWS")] };
    let mut drift = tag_drift(&arn, &found, &user.spec.tags, &owner(user));
    drift.extend(differs(&arn, "boundary", &found["permissionsBoundary"], &json!(user.spec.permissions_boundary_arn)));
    let policies: Vec<&String> = found["inlinePolicies"].as_object().into_iter().flat_map(|policies| policies.keys()).collect();
    if policies.iter().any(|name| *name == "RolebridgeCutOff") {
        drift.push(format!("L7: {arn} is Ready and cut off"));
    }
    drift
}

/// How a role in AWS is other than declared. Texts in ConfigMaps are left out: no generation tells which of them a status is about.
fn role_drift(role: &CrossAccountRole, declared: &Declared, state: &State, effective: &Grants) -> Vec<String> {
    let Some(id) = declared.accounts.get(&role.spec.account_ref.name) else { return vec![] };
    let (path, name) = (role.spec.path.as_deref().unwrap_or("/"), role.spec.role_name.clone().unwrap_or_else(|| role.name_any()));
    let arn = format!("arn:aws:iam::{id}:role{path}{name}");
    let Some(found) = objects(state).remove(&arn) else { return vec![format!("L7: {arn} is Ready and not in AWS")] };
    let mut drift = tag_drift(&arn, &found, &role.spec.tags, &owner(role));
    drift.extend(differs(&arn, "boundary", &found["permissionsBoundary"], &json!(role.spec.permissions_boundary_arn)));
    let description = found["description"].as_str().unwrap_or_default();
    drift.extend(differs(&arn, "description", &json!(description), &json!(role.spec.description.as_deref().unwrap_or_default())));
    let hours = role.spec.max_session_duration.as_deref().unwrap_or("1h").trim_end_matches('h').parse::<u64>().unwrap_or(1);
    drift.extend(differs(&arn, "maxSessionDuration", &found["maxSessionDuration"], &json!(hours * 3600)));
    let permissions = role.spec.permissions.clone().unwrap_or_default();
    let managed = permissions.attached_policies.iter().map(|name| format!("arn:aws:iam::aws:policy/{name}"));
    let own = permissions.customer_managed_policies.iter().map(|policy| format!("arn:aws:iam::{id}:policy{path}{}", policy.name));
    let attached: BTreeSet<String> = managed.chain(own).collect();
    drift.extend(differs(&arn, "attached policies", &found["attachedPolicies"], &json!(attached)));
    let inline: BTreeSet<&String> = permissions.inline_policies.iter().map(|policy| &policy.name).collect();
    let there: BTreeSet<&String> = found["inlinePolicies"].as_object().into_iter().flat_map(|policies| policies.keys()).collect();
    drift.extend(differs(&arn, "inline policies", &json!(there), &json!(inline)));
    for policy in &permissions.inline_policies {
        let text = policy.json.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        drift.extend(text.and_then(|text| differs(&arn, &policy.name, &found["inlinePolicies"][&policy.name], &text)));
    }
    drift.extend(trust_drift(role, &arn, &found, declared, effective));
    drift
}

fn trust_drift(role: &CrossAccountRole, arn: &str, found: &Value, declared: &Declared, effective: &Grants) -> Vec<String> {
    let mut drift = vec![];
    let mut wanted = BTreeSet::new();
    for (entry, source) in role.spec.trust.iter().flat_map(|entry| entry.from.iter().map(move |source| (entry, source))) {
        let root = |name: &str| declared.accounts.get(name).map(|id| format!("arn:aws:iam::{id}:root"));
        wanted.extend(source.account().and_then(root));
        let Some(reference) = source.user() else { continue };
        let namespace = reference.namespace.clone().or_else(|| role.namespace()).unwrap_or_default();
        let Some(user) = declared.user(&namespace, &reference.name) else {
            // It was deleted after the status was written, and the role will say so.
            continue;
        };
        let Some(id) = declared.accounts.get(&user.spec.account_ref.name) else { continue };
        let user_arn = user_arn(user, id);
        wanted.extend(match entry.principal {
            PrincipalForm::Named => Some(user_arn.clone()),
            PrincipalForm::AccountRoot => root(&user.spec.account_ref.name),
        });
        if is_shared_with(user, role) && says_ready(user) && !effective.contains(&(user_arn.clone(), arn.to_owned())) {
            drift.push(format!("L7: {arn} is Ready and {user_arn} may not assume it"));
        }
    }
    let trusted: BTreeSet<String> = principals(&found["assumeRolePolicyDocument"]).into_iter().map(str::to_owned).collect();
    // What another resource withdraws is taken away before this one can say so.
    let leaving: BTreeSet<String> = declared
        .users
        .iter()
        .filter(|user| user.metadata.deletion_timestamp.is_some() || !is_shared_with(user, role))
        .filter_map(|user| Some(user_arn(user, declared.accounts.get(&user.spec.account_ref.name)?)))
        .collect();
    let without = |arns: BTreeSet<String>| arns.difference(&leaving).cloned().collect::<BTreeSet<_>>();
    drift.extend(differs(arn, "trusted principals", &json!(without(trusted)), &json!(without(wanted))));
    drift
}

/// Whether a user lets the namespace of a role name it; a selector is taken to match.
fn is_shared_with(user: &BastionUser, role: &CrossAccountRole) -> bool {
    let namespace = role.namespace().unwrap_or_default();
    user.namespace().as_ref() == Some(&namespace)
        || user.spec.allow_roles_from.as_ref().is_some_and(|rule| match rule.from {
            RolesFrom::Same => false,
            RolesFrom::All | RolesFrom::Selector => true,
            RolesFrom::Names => rule.names.contains(&namespace),
        })
}

fn user_arn(user: &BastionUser, account_id: &str) -> String {
    let name = user.spec.user_name.clone().unwrap_or_else(|| user.name_any());
    format!("arn:aws:iam::{account_id}:user{}{name}", user.spec.path.as_deref().unwrap_or("/"))
}

fn tag_drift(arn: &str, found: &Value, declared: &BTreeMap<String, String>, owner: &str) -> Vec<String> {
    let mut wanted = json!(declared);
    wanted["rolebridge.io/installation"] = json!(INSTALLATION);
    wanted["rolebridge.io/owner"] = json!(owner);
    // A resource that was re-created takes over what carries the UID of its predecessor; no test here needs to know when.
    wanted["rolebridge.io/uid"] = found["tags"]["rolebridge.io/uid"].clone();
    differs(arn, "tags", &found["tags"], &wanted).into_iter().collect()
}

fn differs(arn: &str, what: &str, found: &Value, wanted: &Value) -> Option<String> {
    (found != wanted).then(|| format!("L7: {arn} is Ready and its {what} is {found}, not {wanted}"))
}

/// A state in words that are the same in every run: without unique IDs and keys, and with each of `names` replaced by what stands for it.
pub fn anonymous(state: &State, names: &[(&str, &str)]) -> Value {
    let mut accounts = BTreeMap::new();
    for (id, account) in &state.accounts {
        accounts.insert(id.clone(), json!({"users": account.users, "roles": account.roles, "policies": account.policies}));
    }
    let mut value = json!(accounts);
    hide(&mut value);
    let text = names.iter().fold(value.to_string(), |text, (name, stand_in)| text.replace(name, stand_in));
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                match name.as_str() {
                    "userID" | "roleID" | "rolebridge.io/uid" | "accessKeys" => *field = json!("unique"),
                    _ => hide(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

#[test]
fn each_invariant_is_seen_to_be_broken() {
    let tags = |owner: &str| json!({"rolebridge.io/installation": INSTALLATION, "rolebridge.io/owner": owner});
    let trust = |principal: &str| json!({"Statement": [{"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}]});
    let (alice, reader) = ("arn:aws:iam::111111111111:user/alice", "arn:aws:iam::222222222222:role/reader");
    let allow = json!({"assume": {"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": [reader]}}});
    let state = |inline: &Value, principal: &str| {
        let user = json!({"userName": "alice", "arn": alice, "tags": tags("BastionUser/a/alice"), "inlinePolicies": inline});
        let role =
            json!({"roleName": "reader", "arn": reader, "tags": tags("CrossAccountRole/a/reader"), "assumeRolePolicyDocument": trust(principal)});
        let account = |users: &[Value], roles: &[Value]| AccountState { users: users.to_vec(), roles: roles.to_vec(), policies: vec![] };
        State { accounts: [("111111111111".to_owned(), account(&[user], &[])), ("222222222222".to_owned(), account(&[], &[role]))].into() }
    };
    let object = |kind: &str, name: &str, spec: Value, generation: u64| {
        let ready = json!([{"type": "Ready", "status": "True", "reason": "Ready", "message": "", "observedGeneration": 1, "lastTransitionTime": ""}]);
        json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "a", "generation": generation}, "spec": spec,
               "status": {"observedGeneration": 1, "conditions": ready}})
    };
    let declared = |generation: u64| -> Declared {
        let user = object("BastionUser", "alice", json!({"accountRef": {"name": "utils"}}), 1);
        let role = json!({"accountRef": {"name": "prod"}, "trust": [{"from": [{"user": {"name": "alice"}}]}]});
        Declared {
            users: vec![serde_json::from_value(user).expect("a user")],
            roles: vec![serde_json::from_value(object("CrossAccountRole", "reader", role, generation)).expect("a role")],
            accounts: BTreeMap::new(),
        }
    };
    let granted = grants(&[alice.to_owned()], &[reader.to_owned()]);
    let bounds = |old: &Grants, new: &Grants| Bounds { foreign: Objects::new(), old: old.clone(), new: new.clone() };
    let none = Grants::new();
    let all = |bounds: &Bounds, state: &State, declared: &Declared| [bounds.violations(state), declared.violations(state)].concat();
    let finds = |bounds: &Bounds, state: &State, declared: &Declared, what: &str| {
        let violations = all(bounds, state, declared);
        assert!(violations.iter().any(|violation| violation.contains(what)), "{what} is not in {violations:?}");
    };

    let whole = state(&allow, alice);
    assert_eq!(all(&bounds(&granted, &granted), &whole, &declared(1)), Vec::<String>::new());
    finds(&bounds(&none, &none), &whole, &declared(1), "L3");
    finds(&bounds(&granted, &granted), &state(&json!({}), alice), &declared(1), "L4");
    finds(&bounds(&granted, &granted), &state(&allow, "arn:aws:iam::111111111111:user/bob"), &declared(1), "L4");
    finds(&bounds(&none, &none), &state(&allow, "AIDAEXAMPLE"), &declared(1), "is gone");
    let unowned = Declared { users: vec![], roles: vec![], accounts: BTreeMap::new() };
    finds(&bounds(&granted, &granted), &whole, &unowned, "L1: arn:aws:iam::222222222222:role/reader");
    let others = Bounds { foreign: [("arn:aws:iam::111111111111:user/carol".to_owned(), json!({}))].into(), ..bounds(&granted, &granted) };
    finds(&others, &whole, &declared(1), "L2");

    // A root as principal needs the other half; a denial on either side ends both.
    let root = state(&allow, "arn:aws:iam::111111111111:root");
    assert_eq!(effective(&root), granted);
    assert_eq!(effective(&state(&json!({}), "arn:aws:iam::111111111111:root")), none);
    let denied = json!({"assume": allow["assume"], "deny": {"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}});
    assert_eq!(effective(&state(&denied, alice)), none);

    let known = |generation: u64| Declared {
        accounts: [("utils".to_owned(), "111111111111".to_owned()), ("prod".to_owned(), "222222222222".to_owned())].into(),
        ..declared(generation)
    };
    finds(
        &bounds(&granted, &granted),
        &state(&allow, "arn:aws:iam::111111111111:user/bob"),
        &known(1),
        "L7: arn:aws:iam::222222222222:role/reader is Ready and its trusted",
    );
    let outdated = known(2).violations(&state(&allow, "arn:aws:iam::111111111111:user/bob"));
    assert!(!outdated.iter().any(|violation| violation.contains("L7: arn:aws:iam::222222222222")), "an older generation says nothing: {outdated:?}");
}
