//! One way into a role: who, by which actions, under which conditions.

use std::collections::BTreeSet;
use std::fmt;

use super::conditions::Conditions;
use crate::document::wildcard_match_ignore_case;
use crate::names::AccountID;

/// The parts of a rule that are looked at one by one, at most.
const MOST_PARTS: usize = 1000;

/// Whom a trust policy names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// A user, role, session or account of AWS, as the policy names it; `*` for everyone, a unique ID for who is gone.
    AWS(String),
    /// The account that the role is in, as the policy names it. There it lets in whom other policies allow the role; a user that is named comes in whatever
    /// they say (IAM user guide, "Cross account resource access in IAM").
    OwnAccount(String),
    /// A service of AWS.
    Service(String),
    /// An identity provider, by its ARN.
    Federated(String),
}

impl Principal {
    /// The principal of AWS that a trust policy of a role in `own` names so.
    pub fn named(name: &str, own: &AccountID) -> Self {
        let is_own = account_of(name).unwrap_or(name) == own.as_str();
        if is_own { Self::OwnAccount(name.to_owned()) } else { Self::AWS(name.to_owned()) }
    }

    /// The name in the policy.
    pub fn as_str(&self) -> &str {
        match self {
            Self::AWS(name) | Self::OwnAccount(name) | Self::Service(name) | Self::Federated(name) => name,
        }
    }

    /// Whether this is a whole account, by the ARN of its root.
    pub fn is_account(&self) -> bool {
        matches!(self, Self::OwnAccount(_)) || matches!(self, Self::AWS(name) if account_of(name).is_some())
    }

    /// Whether this lets in whomever `other` lets in: by itself, by the root of its account, or by everyone. The root of the role's own account does not
    /// cover who is named: to them the trust policy suffices, and to the others their own policies have to allow it as well (IAM user guide, "Determining
    /// whether a request is allowed or denied within an account").
    pub fn covers(&self, other: &Self) -> bool {
        self.includes(other) && !matches!((self, other), (Self::OwnAccount(_), Self::AWS(_)))
    }

    /// Whether whoever is meant by `other` is meant by this, too, whatever else it takes to come in.
    pub fn includes(&self, other: &Self) -> bool {
        let (Some(this), Some(that)) = (self.of_aws(), other.of_aws()) else { return self == other };
        let are_own = matches!((self, other), (Self::OwnAccount(_), Self::OwnAccount(_)));
        are_own || this == that || this == "*" || root_of(that).is_some_and(|root| root == account_of(this).unwrap_or(this))
    }

    fn of_aws(&self) -> Option<&str> {
        match self {
            Self::AWS(name) | Self::OwnAccount(name) => Some(name),
            Self::Service(_) | Self::Federated(_) => None,
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The account that a principal is in, where it is not the account itself.
fn root_of(principal: &str) -> Option<&str> {
    principal.strip_prefix("arn:")?.split(':').nth(3).filter(|account| !account.is_empty())
}

/// The account that a principal is, by its ID or the ARN of its root: the two are one (IAM user guide, "Principal").
fn account_of(principal: &str) -> Option<&str> {
    principal.strip_suffix(":root").and_then(root_of)
}

/// One way into a role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustRule {
    /// Who.
    pub principal: Principal,
    /// Which actions of STS, one that gives credentials among them.
    pub actions: BTreeSet<String>,
    /// Under which conditions.
    pub conditions: Conditions,
}

impl TrustRule {
    /// A principal that may call `sts:AssumeRole` unconditionally.
    pub fn plain(principal: Principal) -> Self {
        Self { principal, actions: ["sts:AssumeRole".to_owned()].into(), conditions: Conditions::default() }
    }

    /// Whether whatever `other` lets in comes in by this, too.
    pub fn covers(&self, other: &Self) -> bool {
        let is_permitted = |action: &String| self.actions.iter().any(|pattern| wildcard_match_ignore_case(pattern, action));
        self.principal.covers(&other.principal) && other.actions.iter().all(is_permitted) && self.conditions.cover(&other.conditions)
    }

    /// The same, one by one for each of the values that are alternatives; None where there is only one part, or where there are very many.
    pub fn parts(&self) -> Option<Vec<Self>> {
        let mut parts = vec![self.clone()];
        for alternatives in self.conditions.alternatives() {
            let Some((_, split)) = self.conditions.split_off(&alternatives) else { continue };
            let values = split.one_by_one();
            if parts.len().saturating_mul(values.len()) > MOST_PARTS {
                return None;
            }
            let each = |part: Self| {
                let left = part.conditions.split_off(&alternatives).map(|(left, _)| left);
                let with = |value: &Conditions| Some(Self { conditions: left.as_ref()?.and(value)?, ..part.clone() });
                values.iter().filter_map(with).collect::<Vec<_>>()
            };
            parts = parts.into_iter().flat_map(each).collect();
        }
        (parts.len() > 1).then_some(parts)
    }

    /// Whether this lets in as much of the same principal.
    pub fn extends(&self, other: &Self) -> bool {
        self.covers(other) && other.principal.covers(&self.principal)
    }

    /// What comes in by either of two; None where nobody does.
    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        let principal = match (self.principal.includes(&other.principal), other.principal.includes(&self.principal)) {
            (true, _) => &other.principal,
            (false, true) => &self.principal,
            (false, false) => return None,
        };
        let permits = |by: &Self, action: &str| by.actions.iter().any(|pattern| wildcard_match_ignore_case(pattern, action));
        let actions: BTreeSet<String> =
            self.actions.iter().filter(|a| permits(other, a)).chain(other.actions.iter().filter(|a| permits(self, a))).cloned().collect();
        let conditions = self.conditions.and(&other.conditions)?;
        actions.iter().any(|action| gives_credentials(action)).then(|| Self { principal: principal.clone(), actions, conditions })
    }
}

/// Whether an action of STS, or a pattern of some, gives credentials.
pub fn gives_credentials(action: &str) -> bool {
    ["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithSAML"].iter().any(|known| wildcard_match_ignore_case(action, known))
}

/// Of one principal, what lets in more is enough. Who is named stays named even under a root: that it is, is a reason to keep it.
pub fn without_lesser(rules: BTreeSet<TrustRule>) -> BTreeSet<TrustRule> {
    let more = |one: &TrustRule| rules.iter().any(|more| more != one && more.extends(one) && !(one.extends(more) && one < more));
    rules.iter().filter(|one| !more(one)).cloned().collect()
}
