//! The groups that a user is to be in.

use std::collections::BTreeSet;

use super::document::wildcard_match_ignore_case;
use super::grants::{Intent, parse};
use super::names::{GroupName, same_name};
use super::outcome::Problem;
use super::placement::ResolvedAccount;
use rolebridge_api::{BastionUser, Reason};

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
    let guardrails = at.account.spec.guardrails.as_ref();
    let patterns = guardrails.map(|g| g.allowed_groups.as_slice()).unwrap_or_default();
    let groups = user.spec.groups.as_ref()?.iter().filter_map(|name| parse::<GroupName>("spec.groups", name).map_err(|p| problems.push(p)).ok());
    Some(groups.map(|group| membership(group, patterns, &at.name)).collect())
}

/// A guardrail that is tightened later freezes: whoever is in the group stays, and nobody is added.
fn membership(group: GroupName, patterns: &[String], account: &str) -> Membership {
    // Whoever may name a group in capital letters may join it in small ones: IAM knows both as one.
    if patterns.iter().any(|pattern| wildcard_match_ignore_case(pattern, group.as_str())) {
        return Membership { group, intent: Intent::Grant, problem: None };
    }
    let message = format!(
        "spec.groups: AWSAccount {account} does not allow to add users to group {group}: take it out, or have a platform administrator add it to \
         guardrails.allowedGroups"
    );
    Membership { group, intent: Intent::Freeze, problem: Some(Problem::new(Reason::GroupNotAllowed, message)) }
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

    fn intent(group: &str, patterns: &[&str]) -> Intent {
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        membership(group.parse().unwrap(), &patterns, "prod").intent
    }

    #[test]
    fn a_group_is_joined_only_where_a_pattern_of_the_account_covers_its_name() {
        for (group, patterns) in [("team-data", ["team-*"].as_slice()), ("Team-Data", &["team-*"]), ("x", &["admins", "*"]), ("mfa", &["mfa"])] {
            assert_eq!(intent(group, patterns), Intent::Grant, "{group} {patterns:?}");
        }
        for (group, patterns) in [("team-data", [].as_slice()), ("admins", &["team-*"]), ("team-data", &["team"]), ("my-team-data", &["team-*"])] {
            assert_eq!(intent(group, patterns), Intent::Freeze, "{group} {patterns:?}");
        }
    }

    #[test]
    fn names_of_groups_are_compared_without_regard_to_case() {
        let found = BTreeSet::from(["Admins".parse().unwrap()]);
        assert!(includes(&found, &"admins".parse().unwrap()) && !includes(&found, &"admin".parse().unwrap()));
    }
}
