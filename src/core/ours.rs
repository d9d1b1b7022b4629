//! What a resource itself has put on its user or role of what others put on as well: policies and a permissions boundary. Nothing in IAM tells whose these are,
//! so the status remembers it.

use std::collections::BTreeSet;

use super::listed::LISTED;
use super::names::{Arn, PolicyName};
use rolebridge_api::permissions::DeclaredStatus;

/// What a resource declares of policies and boundary, and what it declared before that may still be there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ours {
    /// Names of inline policies that deny something: others go anyway when they are declared no more. One that allows something, too, only denies while it goes.
    pub inline: BTreeSet<PolicyName>,
    /// ARNs of attached policies, but for the customer-managed ones that belong to the resource, which their tags tell.
    pub attached: BTreeSet<Arn>,
    /// ARNs of permissions boundaries.
    pub boundaries: BTreeSet<Arn>,
}

impl Ours {
    /// What a status tells of it.
    pub fn told(status: Option<&DeclaredStatus>) -> Self {
        let Some(told) = status else { return Self::default() };
        Self {
            inline: told.inline_policies.iter().filter_map(|name| name.parse().ok()).collect(),
            attached: told.attached_policies.iter().filter_map(|arn| arn.parse().ok()).collect(),
            boundaries: told.permissions_boundary_arn.iter().filter_map(|arn| arn.parse().ok()).collect(),
        }
    }

    /// Both.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.inline.extend(other.inline);
        self.attached.extend(other.attached);
        self.boundaries.extend(other.boundaries);
        self
    }

    /// As a status tells it.
    pub fn to_status(&self) -> Option<DeclaredStatus> {
        let told = DeclaredStatus {
            inline_policies: self.inline.iter().take(LISTED).map(PolicyName::to_string).collect(),
            attached_policies: self.attached.iter().take(LISTED).map(Arn::to_string).collect(),
            permissions_boundary_arn: self.boundaries.first().map(Arn::to_string),
        };
        (told != DeclaredStatus::default()).then_some(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_status_tells_is_understood_again() {
        let ours = Ours {
            inline: ["fence".parse().unwrap()].into(),
            attached: ["arn:aws:iam::aws:policy/AWSDenyAll".parse().unwrap()].into(),
            boundaries: ["arn:aws:iam::111111111111:policy/limit".parse().unwrap()].into(),
        };
        assert_eq!(Ours::told(ours.to_status().as_ref()), ours);
        assert_eq!((Ours::default().to_status(), Ours::told(None)), (None, Ours::default()));
        let nonsense = DeclaredStatus { inline_policies: vec!["a b".into()], attached_policies: vec!["x".into()], permissions_boundary_arn: None };
        assert_eq!(Ours::told(Some(&nonsense)), Ours::default());
    }
}
