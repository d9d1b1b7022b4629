//! What was written a moment ago, beside what IAM shows: a read may come from a replica that is behind (IAM user guide, "Changes that I make are not always
//! immediately visible"). A plan from what such a read shows would write in steps what stands already, and take away for a moment what it gives.

use super::action::{Action, Receipt};
use super::names::{Arn, UniqueID};
use super::observed::Observed;

/// A write of permissions that succeeded.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The user, role or policy that was written to.
    on: UniqueID,
    action: Action,
    receipt: Receipt,
}

/// The policy that an action is about.
fn policy_of(action: &Action) -> Option<&Arn> {
    match action {
        Action::CreatePolicy(policy) => Some(&policy.arn),
        Action::CreatePolicyVersion(arn, _) | Action::DeletePolicyVersion(arn, _) | Action::DeletePolicy(arn) => Some(arn),
        _ => None,
    }
}

/// Whether an action changes what a user or role may do. Who may assume a role is not among it: what others do to that is to be seen at once.
fn is_of_permissions(action: &Action) -> bool {
    policy_of(action).is_some()
        || matches!(
            action,
            Action::PutInlinePolicy(..)
                | Action::DeleteInlinePolicy(..)
                | Action::AttachPolicy(..)
                | Action::DetachPolicy(..)
                | Action::PutPermissionsBoundary(..)
                | Action::DeletePermissionsBoundary(..)
                | Action::AddToGroup(..)
                | Action::RemoveFromGroup(..)
        )
}

/// The number of a policy's version, which counts up.
fn number(version: &str) -> Option<u64> {
    version.strip_prefix('v')?.parse().ok()
}

impl Written {
    /// What an action that succeeded has written, if it is worth remembering. `before` is what there was.
    pub fn of(action: &Action, receipt: &Receipt, before: &Observed) -> Option<Self> {
        if !is_of_permissions(action) || *receipt == Receipt::Missing {
            return None;
        }
        let on = match (policy_of(action), receipt) {
            (Some(_), Receipt::Created(id)) => id.clone(),
            (Some(arn), _) => before.policies.get(arn)?.id.clone(),
            (None, _) => before.identity.as_ref()?.id.clone(),
        };
        Some(Self { on, action: action.clone(), receipt: receipt.clone() })
    }

    /// Whether what is shown is older than this.
    fn is_newer_than(&self, shown: &Observed) -> bool {
        let Some(arn) = policy_of(&self.action) else { return shown.identity.as_ref().is_some_and(|found| found.id == self.on) };
        match (shown.policies.get(arn), &self.receipt) {
            (None, Receipt::Created(_)) => true,
            (Some(found), Receipt::Version(written)) => found.id == self.on && number(&found.default_version) < number(written),
            (Some(found), Receipt::Done) => found.id == self.on,
            _ => false,
        }
    }
}

/// What a read shows, and what was written to the same objects a moment ago, in the order in which it was.
pub fn with_own<'w>(mut shown: Observed, written: impl Iterator<Item = &'w Written>) -> Observed {
    for write in written {
        if write.is_newer_than(&shown) {
            shown.record(&write.action, &write.receipt);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::document::Document;
    use crate::identity::{Identity, IdentityName, ManagedPolicy};
    use crate::names::Path;
    use crate::observed::ObservedIdentity;
    use crate::ownership::Tags;

    fn alice() -> IdentityName {
        IdentityName::User("alice".parse().unwrap())
    }

    fn document(action: &str) -> Document {
        Document::parse(&json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": action, "Resource": "*"}}).to_string()).unwrap()
    }

    fn arn() -> Arn {
        "arn:aws:iam::111111111111:policy/p".parse().unwrap()
    }

    fn created(id: &str) -> Receipt {
        Receipt::Created(id.parse().unwrap())
    }

    /// A user that has nothing.
    fn shown(id: &str) -> Observed {
        let identity = Identity {
            name: alice(),
            path: Path::root(),
            tags: Tags::new(),
            permissions_boundary: None,
            inline_policies: Default::default(),
            attached_policies: Default::default(),
            groups: None,
            role: None,
        };
        Observed { identity: Some(ObservedIdentity { id: id.parse().unwrap(), identity }), ..Observed::default() }
    }

    /// Carries actions out, and tells what is there then and what is remembered of it.
    fn carried_out(mut there: Observed, actions: &[(Action, Receipt)]) -> (Observed, Vec<Written>) {
        let mut written = vec![];
        for (action, receipt) in actions {
            written.extend(Written::of(action, receipt, &there));
            there.record(action, receipt);
        }
        (there, written)
    }

    fn policy_and_more() -> Vec<(Action, Receipt)> {
        let policy = ManagedPolicy {
            arn: arn(),
            name: "p".parse().unwrap(),
            path: Path::root(),
            description: String::new(),
            document: document("s3:Get*"),
            tags: Tags::new(),
        };
        vec![
            (Action::CreatePolicy(Box::new(policy)), created("ANPAEXAMPLEEXAMPLE01")),
            (Action::AttachPolicy(alice(), arn()), Receipt::Done),
            (Action::PutInlinePolicy(alice(), "i".parse().unwrap(), document("sqs:*")), Receipt::Done),
            (Action::CreatePolicyVersion(arn(), document("s3:*")), Receipt::Version("v2".into())),
        ]
    }

    #[test]
    fn what_was_written_counts_where_a_read_is_behind() {
        let (there, written) = carried_out(shown("AIDAEXAMPLEEXAMPLE01"), &policy_and_more());
        assert_eq!(with_own(shown("AIDAEXAMPLEEXAMPLE01"), written.iter()), there);
        assert_eq!(with_own(there.clone(), written.iter()), there, "nothing is written twice");
    }

    #[test]
    fn what_was_written_to_another_one_of_the_name_is_none_of_this_ones() {
        let (_, written) = carried_out(shown("AIDAEXAMPLEEXAMPLE01"), &policy_and_more()[1..3]);
        let other = shown("AIDAEXAMPLEEXAMPLE02");
        assert_eq!(with_own(other.clone(), written.iter()), other);
    }

    #[test]
    fn a_version_that_others_wrote_since_is_the_newer_one() {
        let (mut there, written) = carried_out(shown("AIDAEXAMPLEEXAMPLE01"), &policy_and_more());
        there.record(&Action::CreatePolicyVersion(arn(), document("ec2:*")), &Receipt::Version("v3".into()));
        assert_eq!(with_own(there.clone(), written.iter()), there);
    }

    #[test]
    fn a_trust_policy_and_what_was_missing_are_not_remembered() {
        let there = shown("AIDAEXAMPLEEXAMPLE01");
        let trust = Action::UpdateTrustPolicy("r".parse().unwrap(), document("s3:*"));
        assert_eq!(Written::of(&trust, &Receipt::Done, &there), None);
        assert_eq!(Written::of(&Action::DetachPolicy(alice(), arn()), &Receipt::Missing, &there), None);
    }
}
