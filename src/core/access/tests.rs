use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::placement::lookup_account;
use crate::world::{Boundary, Labels, ObjectKey, Operator, Ref, SourceKey};
use rolebridge_api::{BastionUser, CrossAccountRole};

/// A cluster that has AWSAccounts and roles only, with what is known of the operator itself and of every boundary.
#[derive(Default)]
pub(crate) struct Accounts {
    pub(crate) accounts: Vec<Arc<AWSAccount>>,
    pub(crate) roles: Vec<Arc<CrossAccountRole>>,
    pub(crate) operator: Operator,
    pub(crate) boundary: Boundary,
}

impl Accounts {
    /// These, of an operator of which nothing is known.
    pub(crate) fn of(accounts: &[Value]) -> Self {
        let accounts = accounts.iter().map(|account| Arc::new(serde_json::from_value(account.clone()).unwrap())).collect();
        Self { accounts, ..Self::default() }
    }
}

impl World for Accounts {
    fn accounts(&self) -> Vec<Arc<AWSAccount>> {
        self.accounts.clone()
    }

    fn account(&self, name: &str) -> Option<Arc<AWSAccount>> {
        self.accounts.iter().find(|account| account.metadata.name.as_deref() == Some(name)).cloned()
    }

    fn user(&self, _: &ObjectKey) -> Option<Arc<BastionUser>> {
        None
    }

    fn role(&self, key: &ObjectKey) -> Option<Arc<CrossAccountRole>> {
        self.roles.iter().find(|role| ObjectKey::of(role.as_ref()) == *key).cloned()
    }

    fn users_in(&self, _: &str) -> Vec<Arc<BastionUser>> {
        vec![]
    }

    fn roles_naming(&self, _: &SourceKey, _: &dyn Fn(&str) -> bool) -> Vec<ObjectKey> {
        vec![]
    }

    fn companions(&self, _: &Ref, _: &str) -> Vec<Ref> {
        vec![]
    }

    fn declaring_policy(&self, _: &str, _: &str) -> Vec<Ref> {
        vec![]
    }

    fn dependents_of_account(&self, _: &str) -> Vec<String> {
        vec![]
    }

    fn user_id(&self, _: &BastionUser) -> Option<String> {
        None
    }

    fn role_id(&self, _: &CrossAccountRole) -> Option<String> {
        None
    }

    fn is_proven(&self, _: &CrossAccountRole) -> bool {
        false
    }

    fn is_gone(&self, _: &str) -> bool {
        false
    }

    fn is_unmade(&self, _: &ObjectKey) -> bool {
        false
    }

    fn is_held(&self, _: &Ref) -> bool {
        false
    }

    fn namespace_labels(&self, _: &str) -> Option<Labels> {
        None
    }

    fn operator(&self) -> Operator {
        self.operator.clone()
    }

    fn boundary(&self, _: &AWSAccount) -> Boundary {
        self.boundary.clone()
    }
}

/// An account that was entered, reached through another one where that is named.
pub(crate) fn account(name: &str, via: Option<&str>) -> Value {
    let number = name.bytes().fold(0_u64, |number, byte| number * 31 + u64::from(byte)) % 1_000_000_000;
    let id = format!("{number:012}");
    let access = match via {
        Some(via) => json!({"assumeRole": {"roleARN": format!("arn:aws:iam::{id}:role/rolebridge"), "via": {"name": via}}}),
        None => json!({"ambient": {}}),
    };
    json!({
        "apiVersion": "rolebridge.io/v1alpha1", "kind": "AWSAccount",
        "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"accountID": id, "access": access, "allowedNamespaces": {"from": "All"}},
        "status": {"callerARN": "arn:aws:sts::1:assumed-role/rolebridge/rolebridge"},
    })
}

/// The names on the way to `prod`, or why there is none.
fn way_to_prod(accounts: &[Value]) -> Result<Vec<String>, (Reason, String)> {
    let world = Accounts::of(accounts);
    let to = lookup_account(&world, "prod").unwrap();
    let names = |way: Vec<ResolvedAccount>| way.into_iter().map(|at| at.name).collect();
    access_chain(&world, &to).map(names).map_err(|problem| (problem.reason, problem.message))
}

#[track_caller]
fn assert_none(accounts: &[Value], reason: Reason, words: &[&str]) {
    let (told, message) = way_to_prod(accounts).unwrap_err();
    assert_eq!(told, reason, "{message}");
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
}

#[test]
fn the_way_begins_where_the_operator_is_and_ends_with_the_account() {
    assert_eq!(way_to_prod(&[account("prod", None)]).unwrap(), ["prod"]);
    let chain = [account("prod", Some("hub")), account("hub", Some("gate")), account("gate", None)];
    assert_eq!(way_to_prod(&chain).unwrap(), ["gate", "hub", "prod"]);
}

#[test]
fn a_circle_is_told_with_all_its_names() {
    assert_none(&[account("prod", Some("prod"))], Reason::InvalidSpec, &["prod is reached through prod", "circle"]);
    let circle = [account("prod", Some("hub")), account("hub", Some("gate")), account("gate", Some("hub"))];
    assert_none(
        &circle,
        Reason::InvalidSpec,
        &["prod is reached through hub, which is reached through gate, which is reached through hub", "circle"],
    );
}

#[test]
fn four_accounts_may_lead_into_another_and_no_more() {
    let names = ["prod", "d", "c", "b", "a", "outermost"];
    let chain: Vec<Value> = (0..names.len()).map(|n| account(names[n], names.get(n + 1).copied())).collect();
    assert_none(&chain, Reason::InvalidSpec, &["through a, which is reached through outermost", "4 accounts"]);
    let mut shorter = chain;
    shorter[4] = account("a", None);
    assert_eq!(way_to_prod(&shorter).unwrap(), ["a", "b", "c", "d", "prod"]);
}

#[test]
fn what_is_missing_or_closed_is_named_with_the_way_to_it() {
    assert_none(
        &[account("prod", Some("hub")), account("hub", Some("gate"))],
        Reason::AccountNotReady,
        &["prod is reached through hub, which is reached through gate", "no AWSAccount gate"],
    );
    let mut closed = account("gate", None);
    closed["status"] = json!({});
    let chain = [account("prod", Some("hub")), account("hub", Some("gate")), closed];
    assert_none(&chain, Reason::AccountNotReady, &["through gate", "not in AWSAccount gate"]);
    let mut twin = account("older", None);
    twin["spec"]["accountID"] = account("hub", None)["spec"]["accountID"].clone();
    twin["metadata"]["creationTimestamp"] = json!("2025-01-01T00:00:00Z");
    assert_none(&[account("prod", Some("hub")), account("hub", None), twin], Reason::AccountNotReady, &["AWSAccount older is older"]);
}

#[test]
fn row_07_no_way_leads_from_one_partition_to_another() {
    let mut hub = account("hub", None);
    hub["spec"]["partition"] = json!("aws-cn");
    assert_none(&[account("prod", Some("hub")), hub], Reason::InvalidSpec, &["hub is in partition aws-cn and prod in aws"]);
}

#[test]
fn a_management_role_of_another_account_or_partition_leads_nowhere() {
    let right = account("prod", None)["spec"]["accountID"].as_str().unwrap().to_owned();
    for elsewhere in ["arn:aws:iam::111111111111:role/rolebridge".to_owned(), format!("arn:aws-us-gov:iam::{right}:role/rolebridge")] {
        let mut prod = account("prod", None);
        prod["spec"]["access"] = json!({"assumeRole": {"roleARN": elsewhere}});
        let write = format!("write the ARN of a role there, arn:aws:iam::{right}:role/NAME");
        assert_none(&[prod], Reason::AccountMismatch, &["spec.access.assumeRole.roleARN", &elsewhere, &write, "set via"]);
    }
}
