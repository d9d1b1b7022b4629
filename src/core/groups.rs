//! The groups that a user is to be in.

use std::collections::BTreeSet;

use super::grants::Intent;
use super::guardrails::Guard;
use super::names::{GroupName, same_name};
use super::outcome::Problem;
use super::placement::ResolvedAccount;
use super::source::parse;
use rolebridge_api::BastionUser;

/// A group that a user is to be in.
#[derive(Clone, Debug, PartialEq)]
pub struct Membership {
    /// The group.
    pub group: GroupName,
    /// Whether the user is to be in it, or stays if it is.
    pub intent: Intent,
    /// What keeps the user from being added.
    pub problem: Option<Problem>,
}

/// The groups that a user declares; None where it says nothing of groups. A name that is none is added to `problems`, and left out.
pub fn memberships(user: &BastionUser, at: &ResolvedAccount, problems: &mut Vec<Problem>) -> Option<Vec<Membership>> {
    let groups = user.spec.groups.as_ref()?.iter().filter_map(|name| parse::<GroupName>("spec.groups", name).map_err(|p| problems.push(p)).ok());
    Some(groups.map(|group| membership(group, at)).collect())
}

/// A guardrail that is tightened later freezes: whoever is in the group stays, and nobody is added; or else whoever is in it leaves.
fn membership(group: GroupName, at: &ResolvedAccount) -> Membership {
    let problem = Guard::of(at).group(group.as_str());
    Membership { intent: Intent::given(problem.as_ref(), at), group, problem }
}

/// The groups that the user is to be in, given those that it is in.
pub fn joined(memberships: &[Membership], found: &BTreeSet<GroupName>) -> BTreeSet<GroupName> {
    memberships.iter().filter(|m| m.intent.is_met(includes(found, &m.group))).map(|m| m.group.clone()).collect()
}

/// Whether a group is among these, as IAM tells groups apart.
pub fn includes(groups: &BTreeSet<GroupName>, group: &GroupName) -> bool {
    groups.iter().any(|g| same_name(g.as_str(), group.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_groups_are_compared_without_regard_to_case() {
        let found = BTreeSet::from(["Admins".parse().unwrap()]);
        assert!(includes(&found, &"admins".parse().unwrap()) && !includes(&found, &"admin".parse().unwrap()));
    }
}
