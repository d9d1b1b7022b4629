//! Whether a resource may be where it is: the account that it refers to and the namespaces that are let in.

use std::sync::Arc;

use super::names::{AccountID, Partition};
use super::outcome::Problem;
use super::world::{Labels, World};
use rolebridge_api::account::{AllowedFrom, AllowedNamespaces};
use rolebridge_api::common::{AllowRolesFrom, LabelOperator, LabelRequirement, LabelSelector, RolesFrom};
use rolebridge_api::{AWSAccount, Managed, Reason};

/// The account that a resource is placed in.
#[derive(Clone, Debug)]
pub struct ResolvedAccount {
    /// The AWSAccount.
    pub account: Arc<AWSAccount>,
    /// Its name.
    pub name: String,
    /// Its account ID.
    pub id: AccountID,
    /// Its partition.
    pub partition: Partition,
}

impl ResolvedAccount {
    /// What stands for the account in links to the console: the alias that was declared or found, or the ID.
    pub fn console_name(&self) -> &str {
        let found = || self.account.status.as_ref()?.console_alias.as_deref();
        self.account.spec.console_alias.as_deref().or_else(found).unwrap_or(self.id.as_str())
    }
}

/// Finds the account that a resource refers to, whether or not the namespace may use it, and makes sure that no older AWSAccount has it.
///
/// # Errors
/// [`Reason::AccountNotFound`], or [`Reason::AccountNotReady`] where the account's own spec cannot be used, cannot be read as a whole, so that a guardrail of
/// it may be missing, or is another's double.
pub fn resolve_account(world: &dyn World, name: &str) -> Result<ResolvedAccount, Problem> {
    let placement = lookup_account(world, name)?;
    if placement.account.unread().is_some() {
        let message = format!("AWSAccount {name} cannot be read as a whole: look at its conditions");
        return Err(Problem::new(Reason::AccountNotReady, message));
    }
    match duplicate_of(world, &placement.account) {
        Some(problem) => Err(Problem::new(Reason::AccountNotReady, format!("AWSAccount {name}: {}", problem.message))),
        None => Ok(placement),
    }
}

/// Finds the account that a resource refers to, for taking away what it has there: that asks for nothing but to know where.
///
/// # Errors
/// [`Reason::AccountNotFound`], or [`Reason::AccountNotReady`] where the account's own spec cannot be used.
pub fn lookup_account(world: &dyn World, name: &str) -> Result<ResolvedAccount, Problem> {
    let account = world
        .account(name)
        .ok_or_else(|| Problem::new(Reason::AccountNotFound, format!("spec.accountRef: there is no AWSAccount {name}; create it")))?;
    let unusable = |message: String| Problem::new(Reason::AccountNotReady, format!("AWSAccount {name}: {message}"));
    let id = account.spec.account_id.parse().map_err(|e| unusable(format!("spec.accountID: {e}")))?;
    let partition = account.spec.partition.parse().map_err(|e| unusable(format!("spec.partition: {e}")))?;
    Ok(ResolvedAccount { name: name.into(), id, partition, account })
}

/// Two AWSAccounts for one account of AWS would work against each other: the older one has it, and of two of the same second the one with
/// the lower UID.
pub fn duplicate_of(world: &dyn World, account: &AWSAccount) -> Option<Problem> {
    let age = |a: &AWSAccount| (a.metadata.creation_timestamp.clone(), a.metadata.uid.clone());
    let same = |a: &AWSAccount| a.spec.account_id == account.spec.account_id && a.spec.partition == account.spec.partition;
    let older =
        world.accounts().into_iter().filter(|a| same(a) && a.metadata.uid != account.metadata.uid && age(a) < age(account)).min_by_key(|a| age(a))?;
    let name = older.metadata.name.clone().unwrap_or_default();
    Some(Problem::new(
        Reason::Conflict,
        format!("AWSAccount {name} is older and has the same account ID {}: use that one, and delete this", account.spec.account_id),
    ))
}

/// Whether a resource of this namespace may be placed in the account. `exists` tells that it already is: an account that is being deleted
/// serves those that it has until they are gone, and takes no new ones.
///
/// # Errors
/// [`Reason::AccountDeleting`] or [`Reason::NamespaceNotAllowed`].
pub fn check_namespace(world: &dyn World, placement: &ResolvedAccount, namespace: &str, exists: bool) -> Result<(), Problem> {
    if placement.account.metadata.deletion_timestamp.is_some() && !exists {
        return Err(Problem::new(Reason::AccountDeleting, format!("AWSAccount {} is being deleted and takes nothing new", placement.name)));
    }
    if allows(&placement.account.spec.allowed_namespaces, namespace, world.namespace_labels(namespace).as_ref()) {
        return Ok(());
    }
    Err(Problem::new(
        Reason::NamespaceNotAllowed,
        format!("AWSAccount {} does not allow namespace {namespace}: have a platform administrator add it to spec.allowedNamespaces", placement.name),
    ))
}

/// Whether an account lets a namespace in. A namespace whose labels are not known matches no selector.
pub fn allows(allowed: &AllowedNamespaces, namespace: &str, labels: Option<&Labels>) -> bool {
    match allowed.from {
        AllowedFrom::All => true,
        AllowedFrom::Names => allowed.names.iter().any(|n| n == namespace),
        AllowedFrom::Selector => selected(allowed.selector.as_ref(), labels),
    }
}

/// Whether a user lets the roles of a namespace name it. Its own namespace always may.
pub fn shared_with(rule: Option<&AllowRolesFrom>, own: &str, namespace: &str, labels: Option<&Labels>) -> bool {
    own == namespace
        || rule.is_some_and(|rule| match rule.from {
            RolesFrom::Same => false,
            RolesFrom::All => true,
            RolesFrom::Names => rule.names.iter().any(|n| n == namespace),
            RolesFrom::Selector => selected(rule.selector.as_ref(), labels),
        })
}

fn selected(selector: Option<&LabelSelector>, labels: Option<&Labels>) -> bool {
    matches!((selector, labels), (Some(selector), Some(labels)) if matches(selector, labels))
}

/// Whether labels match a selector. An empty selector matches nothing here: the API server refuses it, and should one come by another way,
/// letting nobody in is the safe reading.
pub fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    let empty = selector.match_labels.is_empty() && selector.match_expressions.is_empty();
    !empty && selector.match_labels.iter().all(|(k, v)| labels.get(k) == Some(v)) && selector.match_expressions.iter().all(|r| satisfied(r, labels))
}

fn satisfied(requirement: &LabelRequirement, labels: &Labels) -> bool {
    let value = labels.get(&requirement.key);
    let listed = value.is_some_and(|v| requirement.values.contains(v));
    match requirement.operator {
        LabelOperator::In => listed,
        LabelOperator::NotIn => !listed,
        LabelOperator::Exists => value.is_some(),
        LabelOperator::DoesNotExist => value.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(of: &[(&str, &str)]) -> Labels {
        of.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    fn requirement(key: &str, operator: LabelOperator, values: &[&str]) -> LabelRequirement {
        LabelRequirement { key: key.into(), operator, values: values.iter().map(|v| (*v).into()).collect() }
    }

    #[test]
    fn every_requirement_must_hold() {
        let selector = LabelSelector {
            match_labels: labels(&[("team", "data")]),
            match_expressions: vec![requirement("env", LabelOperator::In, &["dev", "test"]), requirement("frozen", LabelOperator::DoesNotExist, &[])],
        };
        assert!(matches(&selector, &labels(&[("team", "data"), ("env", "dev")])));
        for no in
            [labels(&[("team", "data")]), labels(&[("team", "web"), ("env", "dev")]), labels(&[("team", "data"), ("env", "dev"), ("frozen", "")])]
        {
            assert!(!matches(&selector, &no), "{no:?}");
        }
    }

    #[test]
    fn not_in_takes_an_absent_label_and_exists_any_value() {
        assert!(satisfied(&requirement("a", LabelOperator::NotIn, &["x"]), &labels(&[])));
        assert!(!satisfied(&requirement("a", LabelOperator::NotIn, &["x"]), &labels(&[("a", "x")])));
        assert!(satisfied(&requirement("a", LabelOperator::Exists, &[]), &labels(&[("a", "")])));
    }

    #[test]
    fn an_empty_selector_and_unknown_labels_let_nobody_in() {
        let allowed = |selector| AllowedNamespaces { from: AllowedFrom::Selector, names: vec![], selector };
        let one = LabelSelector { match_labels: labels(&[("a", "b")]), ..LabelSelector::default() };
        assert!(!allows(&allowed(Some(LabelSelector::default())), "n", Some(&labels(&[("a", "b")]))));
        assert!(!allows(&allowed(None), "n", Some(&labels(&[]))));
        assert!(!allows(&allowed(Some(one.clone())), "n", None));
        assert!(allows(&allowed(Some(one)), "n", Some(&labels(&[("a", "b")]))));
    }

    #[test]
    fn a_user_is_shared_with_its_own_namespace_and_no_other_by_default() {
        assert!(shared_with(None, "a", "a", None));
        assert!(!shared_with(None, "a", "b", None));
        let names = AllowRolesFrom { from: RolesFrom::Names, names: vec!["b".into()], selector: None };
        assert!(shared_with(Some(&names), "a", "a", None) && shared_with(Some(&names), "a", "b", None) && !shared_with(Some(&names), "a", "c", None));
    }
}
