//! What a status tells of a user or role, and what it remembers by that.
//!
//! A list in a status has at most [`LISTED`] entries, with the total beside it. What nothing but the status remembers comes first to it, and what it has no
//! room for is taken for what is safe: see [`grants`] and [`policies`].

use super::assume::{Found, Listed, number};
use super::desired::Desired;
use super::grants::{AssumableRole as Assumed, Grant, Intent};
use super::listed::{LISTED, count};
use super::names::{Arn, switch_role_url};
use super::observed::{Observed, ObservedPolicy};
use super::placement::resolve_account;
use super::trust::{Principal, Trust};
use super::world::World;
use rolebridge_api::conditions::Class;
use rolebridge_api::permissions::PolicyStatus;
use rolebridge_api::role::{GrantState, GrantStatus};
use rolebridge_api::user::{AssumableRole, AssumePolicyStatus};

/// The grants of a role as its status tells them, in their order. A principal that was replaced is never trusted again by itself, which only the status
/// remembers: those come first to the list. What it does not tell counts as granted, so those that are not come next.
pub fn grants(grants: &[&Grant], trust: Option<&Trust>) -> Vec<GrantStatus> {
    let mut told: Vec<(usize, GrantStatus)> = grants.iter().map(|grant| grant_status(grant, trust)).enumerate().collect();
    told.sort_by_key(|(_, told)| match told.state {
        GrantState::Replaced => 0,
        GrantState::Waiting | GrantState::Refused => 1,
        GrantState::Granted => 2,
    });
    told.truncate(LISTED);
    told.sort_by_key(|(order, _)| *order);
    told.into_iter().map(|(_, told)| told).collect()
}

fn grant_status(grant: &Grant, trust: Option<&Trust>) -> GrantStatus {
    let mut principals = grant.rule.iter().map(|rule| &rule.principal).chain(&grant.own_name);
    let named = principals.find(|principal| trust.is_some_and(|trust| trust.names(principal)));
    let stands = grant.rule.as_ref().zip(trust).is_some_and(|(rule, trust)| trust.covers(rule));
    let state = match &grant.problem {
        _ if grant.is_replaced(trust) => GrantState::Replaced,
        None if stands => GrantState::Granted,
        // Frozen: it stands as it stood, and the message says why nothing is added.
        Some(_) if grant.intent == Intent::Freeze && trust.is_some_and(|trust| !grant.standing(trust).is_empty()) => GrantState::Granted,
        Some(problem) if problem.reason.class() == Class::Stalled => GrantState::Refused,
        _ => GrantState::Waiting,
    };
    GrantStatus {
        source: grant.source.clone(),
        principal: named.map(Principal::to_string),
        state,
        message: grant.problem.as_ref().map(|p| p.message.chars().take(512).collect()),
    }
}

/// The customer-managed policies of a resource but for assume policies. Also those that are to go, and these first: the status is how the next pass knows of
/// them, while the others are declared.
pub fn policies(desired: &Desired, observed: &Observed) -> Vec<PolicyStatus> {
    let ours = |found: &&ObservedPolicy| desired.owner.check("", &found.policy.tags, &found.id, None).is_ok();
    let others = observed.policies.values().filter(|found| number(&desired.identity, &found.policy.arn).is_none());
    let mut own: Vec<&ObservedPolicy> = others.filter(ours).collect();
    own.sort_by_key(|found| desired.policies.contains_key(&found.policy.arn));
    own.into_iter().take(LISTED).map(|found| PolicyStatus { arn: found.policy.arn.to_string() }).collect()
}

/// What a status tells of the roles that a source may assume.
pub struct Assuming {
    /// The policies that give the right to assume them.
    pub policies: Vec<AssumePolicyStatus>,
    /// The roles, as many as are listed.
    pub roles: Vec<AssumableRole>,
    /// How many roles there are.
    pub total: i64,
}

/// The roles that a source may assume by what it has in AWS.
pub fn assuming(world: &dyn World, desired: &Desired, observed: &Observed) -> Assuming {
    let found = Found::of(&desired.identity, &desired.owner, observed);
    let allowed = found.assumable();
    let link = |role: &Assumed| {
        let at = resolve_account(world, &role.account).ok().filter(|_| role.opens_in_console)?;
        switch_role_url(&at.partition, at.console_name(), &role.path, &role.name, &role.key.name)
    };
    let told = |role: &Assumed| AssumableRole {
        name: role.key.name.clone(),
        namespace: role.key.namespace.clone(),
        role_arn: role.arn.to_string(),
        switch_role_url: link(role),
    };
    let roles: Vec<&Assumed> = desired.assumes.iter().filter(|role| allowed.contains(role.arn.as_str())).collect();
    Assuming {
        policies: found.listed(desired.quotas.inline_policies_size(&desired.identity.name)).map(assume_policy_status).collect(),
        total: count(roles.len()),
        roles: roles.into_iter().take(LISTED).map(told).collect(),
    }
}

fn assume_policy_status(policy: Listed<'_>) -> AssumePolicyStatus {
    AssumePolicyStatus {
        name: policy.name.into(),
        arn: policy.arn.map(Arn::to_string),
        bytes: count(policy.document.size()),
        quota: count(policy.quota),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::TrustRule;

    fn grant(number: usize, reported: GrantState) -> Grant {
        let arn = format!("arn:aws:iam::333333333333:role/p-{number:0>3}");
        let principal = Principal::named(&arn, &"222222222222".parse().unwrap());
        Grant { reported: Some(reported), ..Grant::new(arn, Some(TrustRule::plain(principal))) }
    }

    #[test]
    fn a_list_tells_first_what_nothing_else_remembers() {
        let all: Vec<Grant> =
            (0..150).map(|number| grant(number, if number % 50 == 49 { GrantState::Replaced } else { GrantState::Granted })).collect();
        // The last one is not in the trust policy yet.
        let named = all.iter().take(148).filter(|grant| grant.reported == Some(GrantState::Granted)).filter_map(|grant| grant.rule.clone());
        let trust = Trust { rules: named.collect(), ..Trust::default() };
        let told = grants(&all.iter().collect::<Vec<_>>(), Some(&trust));
        let number_of = |told: &GrantStatus| told.source.rsplit_once('-').unwrap().1.parse::<usize>().unwrap();
        let listed: Vec<usize> = told.iter().map(number_of).collect();
        assert!(listed.len() == LISTED && listed.is_sorted());
        let of_state = |state: GrantState| told.iter().filter(|told| told.state == state).map(number_of).collect::<Vec<_>>();
        assert_eq!((of_state(GrantState::Replaced), of_state(GrantState::Waiting)), (vec![49, 99, 149], vec![148]));
        assert!(listed[..95] == (0..95).collect::<Vec<_>>(), "{listed:?}");
    }
}
