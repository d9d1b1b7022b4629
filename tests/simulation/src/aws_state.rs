//! What AWS holds, read without any of the operator's own decisions: who may assume which role, and what an identity may do.
//!
//! It reads the dump of the model of IAM and that of the testbed's simulator alike.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use rolebridge::core::names::AccountID;

use serde_json::{Value, json};

/// What all accounts hold, by their IDs.
pub type State = BTreeMap<AccountID, AccountState>;

pub use crate::iam::AccountState;

/// An account by its ID.
pub fn account<'s>(state: &'s State, id: &str) -> Option<&'s AccountState> {
    state.iter().find(|(there, _)| there.as_str() == id).map(|(_, account)| account)
}

/// A text of an object; empty where it has none.
pub fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object[field].as_str().unwrap_or_default()
}

/// Users and roles of an account.
pub fn identities(account: &AccountState) -> impl Iterator<Item = &Arc<Value>> {
    account.users.iter().chain(&account.roles)
}

/// The user or role of a name, which IAM knows without regard to case. `kind` is `user` or `role`, as in ARNs.
pub fn find<'s>(account: &'s AccountState, kind: &str, name: &str) -> Option<&'s Arc<Value>> {
    let (objects, field) = if kind == "user" { (&account.users, "userName") } else { (&account.roles, "roleName") };
    objects.iter().find(|object| text(object, field).eq_ignore_ascii_case(name))
}

/// What tells an object from all others: the unique ID of a user or role, the ARN of a policy.
pub fn unique_id(object: &Value) -> &str {
    ["userID", "roleID", "arn"].iter().find_map(|field| object[*field].as_str()).unwrap_or_default()
}

/// Every object by its ARN.
pub fn objects(state: &State) -> BTreeMap<&str, &Arc<Value>> {
    let all = state.values().flat_map(|account| identities(account).chain(&account.policies));
    all.map(|object| (text(object, "arn"), object)).collect()
}

/// Whether an object carries the tags of this installation.
pub fn is_of(object: &Value, installation: &str) -> bool {
    object["tags"]["rolebridge.io/installation"] == installation
}

/// The statements of a document.
pub fn statements(document: &Value) -> Vec<&Value> {
    match &document["Statement"] {
        Value::Array(statements) => statements.iter().collect(),
        Value::Null => vec![],
        single => vec![single],
    }
}

/// The strings of a value that is one or a list of them.
pub fn items(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().into_iter().collect(),
    }
}

/// The principals of AWS that a statement names.
fn named(statement: &Value) -> Vec<&str> {
    if statement["Principal"] == "*" { vec!["*"] } else { items(&statement["Principal"]["AWS"]) }
}

/// The principals of AWS that a document allows anything.
pub fn principals(document: &Value) -> Vec<&str> {
    statements(document).into_iter().filter(|s| s["Effect"] == "Allow").flat_map(named).collect()
}

/// The services and identity providers that a document allows anything.
pub fn vouchers(document: &Value) -> BTreeSet<&str> {
    let allowed = statements(document).into_iter().filter(|s| s["Effect"] == "Allow").map(|s| &s["Principal"]);
    allowed.flat_map(|principal| items(&principal["Service"]).into_iter().chain(items(&principal["Federated"]))).collect()
}

fn covers(patterns: &Value, text: &str) -> bool {
    items(patterns).into_iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase()))
}

/// IAM's wildcard `*`: any text, also none.
pub fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => {
            text.strip_prefix(start).is_some_and(|left| (0..=left.len()).any(|at| left.get(at..).is_some_and(|t| matches(rest, t))))
        }
    }
}

/// Whether a statement speaks of a call. Conditions are taken to be met.
fn speaks_of(statement: &Value, action: &str, resource: &str) -> bool {
    let of_action = if statement["NotAction"].is_null() { covers(&statement["Action"], action) } else { !covers(&statement["NotAction"], action) };
    let of_resource =
        if statement["NotResource"].is_null() { covers(&statement["Resource"], resource) } else { !covers(&statement["NotResource"], resource) };
    of_action && of_resource
}

fn decides(effect: &str, documents: &[&Value], action: &str, resource: &str) -> bool {
    documents.iter().flat_map(|document| statements(document)).any(|s| s["Effect"] == effect && speaks_of(s, action, resource))
}

/// The policies of an identity: its own, those that are attached to it, and those of its groups.
fn policies_of<'s>(account: &'s AccountState, identity: &'s Value) -> Vec<&'s Value> {
    let inline = identity["inlinePolicies"].as_object().into_iter().flat_map(|policies| policies.values());
    let attached = |object: &'s Value| items(&object["attachedPolicies"]).into_iter().filter_map(|arn| in_force(account, arn));
    let member_of = items(&identity["groups"]);
    let groups = account.groups.iter().filter(move |group| member_of.contains(&text(group, "groupName")));
    inline.chain(attached(identity)).chain(groups.flat_map(|group| attached(group))).collect()
}

/// What the policies that AWS manages say here: much less than in AWS, and enough to tell them apart.
fn managed_by_aws(arn: &str) -> Option<&'static Value> {
    static POLICIES: LazyLock<BTreeMap<&str, Value>> = LazyLock::new(|| {
        let allowing = |actions: &[&str]| json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]});
        let denying = |action: &str| json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": action, "Resource": "*"}]});
        BTreeMap::from([
            ("AWSCompromisedKeyQuarantineV3", denying("s3:PutObject")),
            ("AdministratorAccess", allowing(&["*"])),
            ("ReadOnlyAccess", allowing(&["s3:Get*", "s3:List*", "ec2:Describe*"])),
            ("SecurityAudit", allowing(&["ec2:Describe*"])),
        ])
    });
    POLICIES.get(arn.strip_prefix("arn:aws:iam::aws:policy/")?)
}

/// What is tried to tell what an identity may do: an action and what it is done to.
pub const PROBES: [(&str, &str); 5] = [
    ("s3:GetObject", "arn:aws:s3:::bucket/key"),
    ("s3:PutObject", "arn:aws:s3:::bucket/key"),
    ("s3:DeleteObject", "arn:aws:s3:::bucket/key"),
    ("ec2:DescribeInstances", "*"),
    ("sqs:SendMessage", "arn:aws:sqs:us-east-1:111111111111:queue"),
];

/// The document of a policy that counts.
pub fn in_force<'s>(account: &'s AccountState, arn: &str) -> Option<&'s Value> {
    if let Some(document) = managed_by_aws(arn) {
        return Some(document);
    }
    let policy = account.policies.iter().find(|policy| policy["arn"] == arn)?;
    policy["versions"].get(policy["defaultVersionID"].as_str()?)
}

/// An identity with all its policies, to be asked what it may do.
pub struct Caller<'s> {
    /// The account that it is in.
    pub account: &'s str,
    /// What it is.
    pub identity: &'s Value,
    policies: Vec<&'s Value>,
    boundary: Option<&'s Value>,
}

impl<'s> Caller<'s> {
    /// Of one account.
    pub fn new(id: &'s str, account: &'s AccountState, identity: &'s Value) -> Self {
        let boundary = identity["permissionsBoundary"].as_str().and_then(|arn| in_force(account, arn));
        Self { account: id, identity, policies: policies_of(account, identity), boundary }
    }

    /// What would have these policies, and may have a boundary.
    pub fn with(identity: &'s Value, policies: Vec<&'s Value>, boundary: Option<&'s Value>) -> Self {
        Self { account: "", identity, policies, boundary }
    }

    /// What it may do, of what is tried.
    pub fn permissions(&self) -> BTreeSet<&'static str> {
        PROBES.iter().filter(|(action, resource)| self.is_allowed(action, resource)).map(|(action, _)| *action).collect()
    }

    /// Whether its own policies let it make a call.
    pub fn is_allowed(&self, action: &str, resource: &str) -> bool {
        !decides("Deny", &self.policies, action, resource)
            && decides("Allow", &self.policies, action, resource)
            && self.boundary.is_none_or(|boundary| decides("Allow", &[boundary], action, resource) && !decides("Deny", &[boundary], action, resource))
    }

    /// Whether it may assume a role of an account, by both halves. Conditions are taken to be met.
    ///
    /// Within one account a trust policy that names a user is enough whatever the user's policies allow; one that names a role is limited by that role's
    /// boundary (IAM user guide, "Determining whether a request is allowed or denied within an account").
    pub fn may_assume(&self, account: &str, role: &Value) -> bool {
        let (arn, role_arn) = (text(self.identity, "arn"), text(role, "arn"));
        let is_named = |who: &str| who == arn || who == "*";
        let is_root = |who: &str| who == self.account || who.strip_suffix(":root").and_then(|root| root.rsplit(':').next()) == Some(self.account);
        let (mut directly, mut by_root) = (false, false);
        for statement in statements(&role["assumeRolePolicyDocument"]) {
            if !covers(&statement["Action"], "sts:AssumeRole") {
                continue;
            }
            let named = named(statement);
            let (names, roots) = (named.iter().any(|who| is_named(who)), named.iter().any(|who| is_root(who)));
            if statement["Effect"] == "Deny" && (names || roots) {
                return false;
            }
            if statement["Effect"] == "Allow" {
                directly |= names;
                by_root |= roots;
            }
        }
        if !(directly || by_root) || decides("Deny", &self.policies, "sts:AssumeRole", role_arn) {
            return false;
        }
        let is_user = self.identity.get("userName").is_some();
        let bounded = || self.boundary.is_none_or(|boundary| decides("Allow", &[boundary], "sts:AssumeRole", role_arn));
        (directly && self.account == account && (is_user || bounded())) || self.is_allowed("sts:AssumeRole", role_arn)
    }
}

/// Who may assume what, by unique IDs: the caller's, and the role's.
pub type Grants = BTreeSet<(String, String)>;

/// Who may assume the roles that `counts` picks.
pub fn effective(state: &State, counts: impl Fn(&Value) -> bool) -> Grants {
    let of_account = |(id, account)| {
        let of_role = move |role| (id, role);
        let account: &AccountState = account;
        account.roles.iter().map(of_role)
    };
    let roles: Vec<(&AccountID, &Arc<Value>)> = state.iter().flat_map(of_account).filter(|(_, role)| counts(role)).collect();
    let mut grants = Grants::new();
    for (id, account) in state {
        for identity in identities(account) {
            let caller = Caller::new(id.as_str(), account, identity);
            for (of, role) in &roles {
                if unique_id(identity) != unique_id(role) && caller.may_assume(of.as_str(), role) {
                    grants.insert((unique_id(identity).to_owned(), unique_id(role).to_owned()));
                }
            }
        }
    }
    grants
}
