//! What AWS refused, in the words of the declaration: which field it is about, which value, and what to do. AWS names neither a field nor, mostly, the policy.

use std::collections::BTreeSet;

use super::action::Action;
use super::assume;
use super::attachable::{ATTACHED, BOUNDARY};
use super::failure::Failure;
use super::identity::Identity;
use super::managed_policies::advice;
use super::names::{Arn, same_name};
use super::observed::Observed;
use rolebridge_api::Reason;
use rolebridge_api::conditions::Class;
use rolebridge_api::permissions::Permissions;

/// What AWS says where the policies of the caller allow an action nowhere, or not in this place (IAM user guide, "Troubleshoot access denied error messages").
const NOT_ALLOWED: &str = "no identity-based policy allows";

/// What the declaration of a user or role says of what is sent to AWS.
#[derive(Clone, Debug, Default)]
pub struct Declaration<'a> {
    /// Its permissions.
    pub permissions: Option<&'a Permissions>,
    /// The permissions boundaries that its account puts on.
    pub imposed: BTreeSet<Arn>,
}

impl Declaration<'_> {
    fn has_managed(&self, name: &str) -> bool {
        self.permissions.into_iter().flat_map(|p| &p.customer_managed_policies).any(|policy| same_name(&policy.name, name))
    }

    fn has_inline(&self, name: &str) -> bool {
        self.permissions.into_iter().flat_map(|p| &p.inline_policies).any(|policy| policy.name == name)
    }

    fn managed(&self, arn: &Arn) -> String {
        match arn.iam_entity().map(|entity| entity.name).filter(|name| self.has_managed(name)) {
            Some(name) => format!("spec.permissions.customerManagedPolicies[{name}]"),
            None => format!("policy {arn}"),
        }
    }

    fn attached(&self, arn: &Arn) -> String {
        let is_own = |name: &str| !arn.is_of_aws() && (self.has_managed(name) || assume::is_assume_policy(name));
        let is_made_here = arn.iam_entity().is_some_and(|entity| is_own(entity.name));
        if is_made_here { self.managed(arn) } else { format!("{ATTACHED}: {arn}") }
    }

    fn boundary(&self, arn: &Arn) -> String {
        let field = if self.imposed.contains(arn) { "permissionsBoundaryARN of the AWSAccount" } else { BOUNDARY };
        format!("{field}: {arn}")
    }

    /// The field and the value that an action brings to AWS.
    fn about(&self, action: &Action, reason: Reason) -> Option<String> {
        match action {
            Action::PutInlinePolicy(_, name, _) if self.has_inline(name.as_str()) => Some(format!("spec.permissions.inlinePolicies[{name}]")),
            Action::PutInlinePolicy(_, name, _) => Some(format!("inline policy {name}")),
            Action::CreatePolicy(policy) => Some(self.managed(&policy.arn)),
            Action::CreatePolicyVersion(arn, _) => Some(self.managed(arn)),
            Action::AttachPolicy(_, arn) => Some(self.attached(arn)),
            Action::PutPermissionsBoundary(_, arn) => Some(self.boundary(arn)),
            Action::AddToGroup(_, group) => Some(format!("spec.groups: {group}")),
            Action::UpdateTrustPolicy(..) => Some("spec.trust".to_owned()),
            Action::CreateIdentity(_) if matches!(reason, Reason::InvalidDocument | Reason::InvalidSpec) => Some("spec.trust".to_owned()),
            _ => None,
        }
    }

    /// What is missing, as far as an action names it, with what to do.
    fn missing(&self, action: &Action) -> Option<String> {
        let boundary = |identity: &Identity| identity.permissions_boundary.clone();
        let told = |field: String, arn: &Arn, written: &dyn Fn(&str) -> String| {
            let name = arn.resource().strip_prefix("policy/").filter(|_| arn.is_of_aws());
            let advice = match name {
                Some(name) => advice(arn.partition(), name, written),
                None => format!("create that policy in account {}, or correct the ARN", arn.account()),
            };
            format!("{field} does not exist, as IAM says: {advice}")
        };
        let whole = |arn: &Arn| {
            let start = format!("arn:{}:iam::aws:policy/", arn.partition());
            move |name: &str| format!("{start}{name}")
        };
        match action {
            Action::AttachPolicy(_, arn) => Some(told(self.attached(arn), arn, &str::to_owned)),
            Action::PutPermissionsBoundary(_, arn) => Some(told(self.boundary(arn), arn, &whole(arn))),
            Action::CreateIdentity(identity) => boundary(identity).map(|arn| told(self.boundary(&arn), &arn, &whole(&arn))),
            Action::AddToGroup(_, group) => Some(format!("spec.groups: there is no group {group}: create it, or correct the name")),
            _ => None,
        }
    }
}

/// The failure of an action, in the light of what is declared and known to be there: a policy that exists and is said not to is not shown everywhere yet; and
/// AWS says only in its own words what it is about.
pub fn in_the_light_of(failure: Failure, action: &Action, observed: &Observed, declaration: &Declaration<'_>) -> Failure {
    let message = match failure.reason {
        Reason::PolicyNotFound if is_made(action, observed) => return Failure { reason: Reason::Propagating, ..failure },
        Reason::DeletionBlocked => format!("cannot {action}: {}", failure.message),
        Reason::PolicyNotFound | Reason::GroupNotFound => match declaration.missing(action) {
            Some(missing) => format!("{missing} ({})", failure.message),
            None => return failure,
        },
        reason if reason.class() == Class::Stalled => {
            let field = declaration.about(action, reason).map(|about| format!("{about}: ")).unwrap_or_default();
            let advice = where_it_may_be(action).filter(|_| reason == Reason::AccessDenied && failure.message.contains(NOT_ALLOWED));
            format!("{field}{}{}", failure.message, advice.unwrap_or_default())
        }
        _ => return failure,
    };
    Failure { message, ..failure }
}

/// Whether the policy that an action attaches was seen.
fn is_made(action: &Action, observed: &Observed) -> bool {
    matches!(action, Action::AttachPolicy(_, arn) if observed.policies.contains_key(arn))
}

/// What a management role that is narrowed asks for of what is made, where that is not declared.
fn where_it_may_be(action: &Action) -> Option<&'static str> {
    let (is_anywhere, is_unbounded) = match action {
        Action::CreateIdentity(identity) => (identity.path.is_root(), identity.permissions_boundary.is_none()),
        Action::CreatePolicy(policy) => (policy.path.is_root(), false),
        _ => return None,
    };
    Some(match (is_anywhere, is_unbounded) {
        (true, true) => {
            " (The management role may be allowed this only below a path and under a permissions boundary: then declare spec.path and spec.permissionsBoundaryARN, or \
             have a platform administrator set guardrails.requiredPathPrefix and guardrails.permissionsBoundaryARN of the AWSAccount.)"
        }
        (true, false) => {
            " (The management role may be allowed this only below a path: then declare spec.path, or have a platform administrator set \
             guardrails.requiredPathPrefix of the AWSAccount.)"
        }
        (false, true) => {
            " (The management role may be allowed this only under a permissions boundary: then declare spec.permissionsBoundaryARN, or have a platform administrator set \
             guardrails.permissionsBoundaryARN of the AWSAccount.)"
        }
        (false, false) => return None,
    })
}

#[cfg(test)]
mod tests;
