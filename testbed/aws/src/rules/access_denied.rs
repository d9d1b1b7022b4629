//! The texts of `AccessDenied`, which tell the layer that refused.

use crate::failure::Failure;

/// The kinds of policy that can refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// The service control policies of the caller's organisation.
    ServiceControl,
    /// The resource control policies of the organisation that the resource is in.
    ResourceControl,
    /// Inline and attached policies of the user, its groups, or the role.
    IdentityBased,
    /// The permissions boundary of the user or role.
    PermissionsBoundary,
    /// Policies passed when the session was made.
    Session,
    /// The policy of the resource, here a bucket.
    ResourceBased,
    /// The trust policy of the role that was to be assumed.
    RoleTrust,
}

/// A refusal: by which layer, and whether a statement says so or none allows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Which kind of policy refused.
    pub layer: Layer,
    /// True when a `Deny` statement matched, false when nothing allowed.
    pub explicit: bool,
    /// ARN of the policy that has the statement, where it has one.
    pub policy: Option<String>,
}

impl Denial {
    /// That a statement of this layer denies, or else that none allows.
    pub fn of(layer: Layer, explicit: bool) -> Self {
        Self { layer, explicit, policy: None }
    }

    /// That a statement of this layer denies.
    pub fn explicit(layer: Layer) -> Self {
        Self::of(layer, true)
    }

    /// That no statement of this layer allows.
    pub fn implicit(layer: Layer) -> Self {
        Self::of(layer, false)
    }
}

/// `AccessDenied` with the message that names the layer.
///
/// Source: UG `troubleshoot_access-denied.md`, which has the text of each layer; the two of the trust policy name no resource, and
/// service control policies are said to deny explicitly also where they only do not allow. That resource control policies are too is [inf].
/// Since January 2026 the policy that denies is named (AWS Security Blog, "Enhanced access denied error messages with policy ARNs"), where caller and
/// resource are of one account or organisation; here, of one account.
pub fn message(caller_arn: &str, action: &str, resource: &str, denial: &Denial) -> Failure {
    let reason = match (denial.layer, denial.explicit) {
        (Layer::ServiceControl, _) => "with an explicit deny in a service control policy".to_owned(),
        (Layer::ResourceControl, _) => "with an explicit deny in a resource control policy".to_owned(),
        (Layer::IdentityBased, true) => "with an explicit deny in an identity-based policy".to_owned(),
        (Layer::PermissionsBoundary, true) => "with an explicit deny in a permissions boundary".to_owned(),
        (Layer::Session, true) => "with an explicit deny in a session policy".to_owned(),
        (Layer::ResourceBased, true) => "with an explicit deny in a resource-based policy".to_owned(),
        (Layer::RoleTrust, true) => "with an explicit deny in the role trust policy".to_owned(),
        (Layer::IdentityBased, false) => format!("because no identity-based policy allows the {action} action"),
        (Layer::PermissionsBoundary, false) => format!("because no permissions boundary allows the {action} action"),
        (Layer::Session, false) => format!("because no session policy allows the {action} action"),
        (Layer::ResourceBased, false) => format!("because no resource-based policy allows the {action} action"),
        (Layer::RoleTrust, false) => format!("because no role trust policy allows the {action} action"),
    };
    let account = |arn: &str| arn.split(':').nth(4).unwrap_or_default().to_owned();
    let is_told = [account(caller_arn), String::new()].contains(&account(resource));
    let policy = denial.policy.as_ref().filter(|_| is_told).map(|arn| format!(": {arn}")).unwrap_or_default();
    let on = if denial.layer == Layer::RoleTrust { String::new() } else { format!(" on resource: {resource}") };
    Failure::access_denied(format!("User: {caller_arn} is not authorized to perform: {action}{on} {reason}{policy}"))
}

/// `AccessDenied` for a role that does not exist, or not yet: it says no more than that, so that nobody can probe for roles.
///
/// Source: aws-cli#7700 and TF#6566 quote it for roles just created.
pub fn unknown_role(caller_arn: &str, role_arn: &str) -> Failure {
    Failure::access_denied(format!("User: {caller_arn} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "arn:aws:iam::111111111111:user/alice";
    const ROLES: &str = "arn:aws:iam::111111111111:role/";

    fn text(layer: Layer, explicit: bool) -> String {
        let failure = message(ALICE, "iam:ListRoles", ROLES, &Denial::of(layer, explicit));
        assert_eq!((failure.status, failure.code.as_str()), (403, "AccessDenied"));
        failure.message
    }

    #[test]
    fn nothing_allows_it() {
        let start = format!("User: {ALICE} is not authorized to perform: iam:ListRoles on resource: {ROLES} because no");
        for (layer, name) in [
            (Layer::IdentityBased, "identity-based policy"),
            (Layer::PermissionsBoundary, "permissions boundary"),
            (Layer::Session, "session policy"),
            (Layer::ResourceBased, "resource-based policy"),
        ] {
            assert_eq!(text(layer, false), format!("{start} {name} allows the iam:ListRoles action"));
        }
    }

    #[test]
    fn a_statement_denies_it() {
        let start = format!("User: {ALICE} is not authorized to perform: iam:ListRoles on resource: {ROLES} with an explicit deny in");
        for (layer, name) in [
            (Layer::IdentityBased, "an identity-based policy"),
            (Layer::PermissionsBoundary, "a permissions boundary"),
            (Layer::Session, "a session policy"),
            (Layer::ResourceBased, "a resource-based policy"),
        ] {
            assert_eq!(text(layer, true), format!("{start} {name}"));
        }
    }

    #[test]
    fn statement_32_policies_of_an_organisation_always_say_that_they_deny() {
        for explicit in [true, false] {
            assert!(text(Layer::ResourceControl, explicit).ends_with(" with an explicit deny in a resource control policy"));
            assert!(text(Layer::ServiceControl, explicit).ends_with(" with an explicit deny in a service control policy"));
        }
    }

    #[test]
    fn statement_32_the_trust_policy_has_its_own_words() {
        let of = |explicit| message(ALICE, "sts:AssumeRole", "arn:aws:iam::2:role/r", &Denial::of(Layer::RoleTrust, explicit)).message;
        let start = format!("User: {ALICE} is not authorized to perform: sts:AssumeRole");
        assert_eq!(of(false), format!("{start} because no role trust policy allows the sts:AssumeRole action"));
        assert_eq!(of(true), format!("{start} with an explicit deny in the role trust policy"));
    }

    #[test]
    fn statement_67_the_policy_that_denies_is_named_within_an_account() {
        let denial = Denial { policy: Some("arn:aws:iam::111111111111:policy/limits".to_owned()), ..Denial::explicit(Layer::PermissionsBoundary) };
        let of = |resource: &str| message(ALICE, "iam:ListRoles", resource, &denial).message;
        assert!(of(ROLES).ends_with(" with an explicit deny in a permissions boundary: arn:aws:iam::111111111111:policy/limits"), "{}", of(ROLES));
        assert!(of("arn:aws:s3:::bucket").ends_with(":policy/limits"));
        assert!(of("arn:aws:iam::222222222222:role/r").ends_with(" with an explicit deny in a permissions boundary"));
    }
}
