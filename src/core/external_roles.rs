//! Roles that are not Rolebridge's and that a user or role is to assume, such as the CDK's: `permissions.externalRoles`.
//!
//! The right to assume them stands in one inline policy. Roles of Rolebridge are reached by their own trust alone, and a pattern may match one, be it of another
//! namespace or made later; where that trusts a whole account, the policy would let the user or role in. So the policy does not count for what bears owner tags: a
//! role has these from its creation on, and the tags of the role that is assumed are known to the policies of whoever assumes it, also from another account (IAM
//! user guide, "IAM: Assume roles that have a specific tag"). IAM sees to that at each call, whichever resources there are.

use std::collections::BTreeMap;

use serde_json::Value;

use super::assume::SessionRights;
use super::boundary::Roles;
use super::document::{Document, Effect, Statement, StatementRef, wildcards_meet};
use super::guardrails::Guard;
use super::home::operators_roles;
use super::identity::EXTERNAL_ROLES_POLICY;
use super::names::{Arn, PolicyName};
use super::outcome::Problem;
use super::ownership::OWNER;
use super::placement::ResolvedAccount;
use super::source::parse;
use super::world::World;
use rolebridge_api::Reason;
use rolebridge_api::permissions::Permissions;

const FIELD: &str = "spec.permissions.externalRoles";
/// How much of a path and name is written out before the first `*`. With less, a pattern would match most roles of an account.
const LITERAL: usize = 3;

/// The policy by which a user or role assumes the roles of others that it declares, where it declares any. `rights` is what its sessions bring along, which each
/// role has to permit. What is wrong with an entry is added to `problems`.
pub fn policy(
    world: &dyn World,
    at: &ResolvedAccount,
    permissions: Option<&Permissions>,
    rights: SessionRights,
    problems: &mut Vec<Problem>,
) -> Option<(PolicyName, Document)> {
    let declared = permissions.map(|permissions| permissions.external_roles.as_slice()).filter(|declared| !declared.is_empty())?;
    let operators = operators_roles(world);
    problems.extend(declared.iter().filter_map(|role| check(&operators, at, role).err()));
    Some((EXTERNAL_ROLES_POLICY.parse().ok()?, document(declared, rights)))
}

/// Takes out of the policies of an identity whose declaration cannot be carried out what is declared no longer, and what has come to match a role by which the
/// operator works: that narrows. What else somebody wrote there stays.
pub fn withdraw(world: &dyn World, permissions: Option<&Permissions>, policies: &mut BTreeMap<PolicyName, Document>) {
    let Some((name, there)) = policies.iter().find(|(name, _)| name.as_str() == EXTERNAL_ROLES_POLICY) else { return };
    let operators = operators_roles(world);
    let is_declared = |role: &str| permissions.is_some_and(|permissions| permissions.external_roles.iter().any(|declared| declared == role));
    let stays = |role: &&str| is_declared(role) && !may_match_one_of(&operators, role);
    let declared = |statement: StatementRef<'_>| {
        let standing = statement.resources().unwrap_or_default();
        let (mut left, kept) = (statement.to_value(), standing.iter().copied().filter(stays).collect::<Vec<_>>());
        if kept.len() < standing.len() {
            left["Resource"] = kept.as_slice().into();
        }
        (!kept.is_empty()).then_some(left)
    };
    let is_allowing = |statement: &StatementRef<'_>| statement.effect() == Some(Effect::Allow);
    let (allowing, others): (Vec<_>, Vec<_>) = there.statements().into_iter().partition(is_allowing);
    let standing: Vec<Value> = allowing.iter().map(|statement| statement.to_value()).collect();
    let allowing: Vec<Value> = allowing.into_iter().filter_map(declared).collect();
    if allowing == standing {
        return;
    }
    let is_left = !allowing.is_empty();
    let mut left = there.as_value().clone();
    left["Statement"] = others.into_iter().map(StatementRef::to_value).chain(allowing).collect();
    let (name, left) = (name.clone(), Document::from_value(left).ok().filter(|_| is_left));
    match left {
        Some(left) => policies.insert(name, left),
        None => policies.remove(&name),
    };
}

fn document(roles: &[String], rights: SessionRights) -> Document {
    let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
    let of_others = |statement: Statement| statement.condition("Null", format!("iam:ResourceTag/{OWNER}"), ["true"]);
    Document::new(rights.statements(&roles).into_iter().map(of_others).collect())
}

fn check(operators: &Roles, at: &ResolvedAccount, role: &str) -> Result<(), Problem> {
    let invalid = |message: String| Problem::new(Reason::InvalidSpec, format!("{FIELD}: {role} {message}"));
    let arn: Arn = parse(FIELD, role)?;
    let Some(name) = path_and_name(&arn) else {
        return Err(invalid(
            "is no role: write an ARN such as arn:aws:iam::123456789012:role/name, in which a * may stand for any text of path and name".into(),
        ));
    };
    if name.split_once('*').is_some_and(|(literal, _)| literal.len() < LITERAL) {
        return Err(invalid(format!("has its first * too early: write at least {LITERAL} characters of path and name before it")));
    }
    if *arn.partition() != at.partition {
        return Err(invalid(format!("is in another partition than AWSAccount {}, from which no role there is assumed: take it out", at.name)));
    }
    if let Some(problem) = Guard::of(at).external_role(FIELD, role) {
        return Err(problem);
    }
    if may_match_one_of(operators, role) {
        let message = format!(
            "{FIELD}: {role} may match a role by which Rolebridge itself works, and that is nobody else's: take it out, or write more of the name"
        );
        return Err(Problem::new(Reason::GuardrailViolated, message));
    }
    Ok(())
}

fn may_match_one_of(operators: &Roles, role: &str) -> bool {
    operators.arns.iter().chain(&operators.below_paths).any(|own| wildcards_meet(role, own))
}

/// Path and name of a role, or the pattern of these.
fn path_and_name(arn: &Arn) -> Option<&str> {
    let is_written = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-/*".contains(c);
    arn.account_id()?;
    arn.iam_entity().filter(|entity| entity.kind == "role")?;
    arn.resource().strip_prefix("role/").filter(|name| name.chars().all(is_written))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::access::tests::{Accounts, account};
    use crate::assume::TagRight;
    use crate::canonical::same;
    use crate::placement::lookup_account;
    use crate::world::Operator;

    #[test]
    fn the_policy_leaves_out_what_bears_owner_tags() {
        let roles = ["arn:aws:iam::222222222222:role/cdk-*".to_owned(), "arn:aws:iam::222222222222:role/vendor/reader".to_owned()];
        let statement = r#""Resource":["arn:aws:iam::222222222222:role/cdk-*","arn:aws:iam::222222222222:role/vendor/reader"],"Condition":{"Null":{"iam:ResourceTag/rolebridge.io/owner":"true"}}}]}"#;
        let plain = document(&roles, SessionRights::default()).to_json();
        assert_eq!(plain, format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"sts:AssumeRole",{statement}"#));
        let tagging = document(&roles, SessionRights { tag: TagRight::Pods, set_source_identity: false });
        let leave_out = |statement: &StatementRef<'_>| statement.conditions().iter().any(|condition| condition.operator == "Null");
        assert!(tagging.statements().len() == 2 && tagging.statements().iter().all(leave_out), "{tagging:?}");
    }

    #[test]
    fn what_is_declared_no_longer_goes_and_the_rest_stays_as_it_is() {
        let role = |name: &str| format!("arn:aws:iam::222222222222:role/{name}");
        let name = || EXTERNAL_ROLES_POLICY.parse::<PolicyName>().unwrap();
        let tagging = SessionRights { tag: TagRight::Pods, set_source_identity: false };
        let world = Accounts::of(&[account("home", None)]);
        let left = |there: &Document, declared: &[&str]| {
            let permissions = Permissions { external_roles: declared.iter().map(|name| role(name)).collect(), ..Permissions::default() };
            let mut policies = BTreeMap::from([(name(), there.clone())]);
            withdraw(&world, Some(&permissions), &mut policies);
            policies.remove(&name())
        };
        let is_left = |declared: &[&str], expected: &[&str]| {
            let expected: Vec<String> = expected.iter().map(|name| role(name)).collect();
            let there = document(&[role("one-*"), role("two-*")], tagging);
            left(&there, declared).is_some_and(|left| same(&left, &document(&expected, tagging)))
        };
        assert!(is_left(&["one-*", "two-*", "new-*"], &["one-*", "two-*"]) && is_left(&["two-*", "new-*"], &["two-*"]));
        assert_eq!(left(&document(&[role("one-*")], tagging), &["new-*"]), None);
        // What is declared and has come to match a management role goes as well.
        let management = account("prod", Some("home"))["spec"]["accountID"].as_str().unwrap().to_owned();
        let permissions =
            Permissions { external_roles: vec![format!("arn:aws:iam::{management}:role/roleb*"), role("one-*")], ..Permissions::default() };
        let mut policies = BTreeMap::from([(name(), document(&permissions.external_roles, tagging))]);
        withdraw(&Accounts::of(&[account("home", None), account("prod", Some("home"))]), Some(&permissions), &mut policies);
        assert!(policies.remove(&name()).is_some_and(|left| same(&left, &document(&[role("one-*")], tagging))));
        // What somebody narrowed by hand is not widened.
        let narrowed = |roles: Value| {
            let by_hand = json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": roles, "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}});
            let denied = json!({"Effect": "Deny", "Action": "sts:AssumeRole", "Resource": role("one-x")});
            Document::from_value(json!({"Version": "2012-10-17", "Statement": [denied, by_hand]})).unwrap()
        };
        assert!(same(&left(&narrowed(json!([role("one-*"), role("two-*")])), &["one-*"]).unwrap(), &narrowed(json!(role("one-*")))));
    }

    #[test]
    fn no_pattern_may_match_a_role_by_which_the_operator_works() {
        let mut all = [account("home", None), account("prod", Some("home"))];
        all[1]["spec"]["guardrails"] = json!({"allowedExternalRoles": ["arn:aws:iam::*:role/*"]});
        let [home, prod] = [0, 1].map(|n| all[n]["spec"]["accountID"].as_str().unwrap().to_owned());
        let operator = Operator::Is(format!("arn:aws:sts::{home}:assumed-role/operator/pod").parse().unwrap());
        let world = Accounts { operator, ..Accounts::of(&all) };
        let at = lookup_account(&world, "prod").unwrap();
        let check = |account: &str, role: &str| {
            check(&operators_roles(&world), &at, &format!("arn:aws:iam::{account}:role/{role}")).map_err(|problem| problem.reason)
        };
        // A session does not tell the path of its role.
        for role in ["operator", "operator*", "platform/operator", "platform/*"] {
            assert_eq!(check(&home, role), Err(Reason::GuardrailViolated), "{role}");
        }
        assert_eq!(check(&prod, "rolebridge"), Err(Reason::GuardrailViolated), "a management role");
        for (account, role) in [(&home, "cdk-*-eu-central-1"), (&home, "platform/operators"), (&prod, "operator"), (&prod, "platform/*")] {
            assert_eq!(check(account, role), Ok(()), "{role}");
        }
    }

    #[test]
    fn an_entry_is_a_role_or_a_pattern_of_path_and_name() {
        for (text, is_one) in [
            ("arn:aws:iam::222222222222:role/x", true),
            ("arn:aws:iam::222222222222:role/cdk-*-222222222222-eu-central-1", true),
            ("arn:aws-us-gov:iam::222222222222:role/ci/*", true),
            ("arn:aws:iam::222222222222:role/", false),
            ("arn:aws:iam::222222222222:role/folder/", false),
            ("arn:aws:iam::222222222222:role/cdk-?", false),
            ("arn:aws:iam::222222222222:role/cdk-${aws:username}", false),
            ("arn:aws:iam::222222222222:user/alice", false),
            ("arn:aws:iam::222222222222:root", false),
            ("arn:aws:iam::aws:role/x", false),
            ("arn:aws:sts::222222222222:assumed-role/x/y", false),
        ] {
            assert_eq!(path_and_name(&text.parse().unwrap()).is_some(), is_one, "{text}");
        }
        assert!("arn:aws:iam::2222222222*:role/cdk-x".parse::<Arn>().is_err() && "arn:*:iam::222222222222:role/cdk-x".parse::<Arn>().is_err());
    }
}
