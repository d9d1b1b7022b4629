//! Who may assume a role: both sides of the question, and the form of the request.

use chrono::{DateTime, Utc};
use fakecloud_core::auth::{ConditionContext, Principal};
use fakecloud_iam::{
    IamState,
    evaluator::{self, Decision, EvalRequest},
};
use serde_json::Value;

use super::{
    access_denied::{Denial, Layer},
    condition_keys, trust_policy,
};
use crate::{authorize::layers::IdentitySide, caller::Caller, failure::Failure};

/// How a trust policy admits a caller, from nothing to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Not at all.
    None,
    /// It names the account: the account's own policies decide who.
    Account,
    /// It names the caller's role.
    Role,
    /// It names the user or the session itself, or everybody.
    Direct,
}

/// What a trust policy says about one caller and one action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustSide {
    /// A `Deny` statement matches.
    pub denied: bool,
    /// What the `Allow` statements grant.
    pub admission: Admission,
}

/// Reads the trust policy for a caller.
///
/// A role as principal matches all sessions of that role, with the role's full ARN, path included; a session ARN matches
/// that session only; an account (its id or its root ARN) matches everybody in it.
/// Source: UG `reference_policies_elements_principal.md`.
pub fn trust_side(trust: &Value, caller: &Caller, action: &str, context: &ConditionContext) -> TrustSide {
    let ask = |document: &Value, principal: &Principal| {
        let request = EvalRequest { principal, action: action.to_owned(), resource: "*".to_owned(), context: context.clone() };
        evaluator::evaluate_resource_policy_only(&condition_keys::read(document), &request)
    };
    let as_itself = &caller.principal;
    let as_role = caller.role_arn.as_ref().map(|arn| Principal { arn: arn.clone(), ..caller.principal.clone() });
    let faces: Vec<&Principal> = std::iter::once(as_itself).chain(&as_role).collect();
    if faces.iter().any(|face| ask(trust, face) == Decision::ExplicitDeny) {
        return TrustSide { denied: true, admission: Admission::None };
    }
    let by_name = trust_policy::without_accounts(trust);
    let admission = if ask(&by_name, as_itself).is_allow() {
        Admission::Direct
    } else if as_role.as_ref().is_some_and(|role| ask(&by_name, role).is_allow()) {
        Admission::Role
    } else if ask(trust, as_itself).is_allow() {
        Admission::Account
    } else {
        Admission::None
    };
    TrustSide { denied: false, admission }
}

/// Decides from both sides. An explicit deny anywhere wins. Across accounts both sides must allow. Within one account:
/// a trust policy that names the user (or session) is enough by itself, within what the organisation allows; one that names
/// the role needs no identity policy but stays within boundary and session policies; one that names the account leaves it
/// to the identity side.
///
/// Sources: UG `reference_policies_evaluation-logic.md` ("Resource-based policies", same account) and
/// `access_policies_boundaries.md`; UG cross-account page; BC AssumeRole.
pub fn decide(identity: &IdentitySide, trust: TrustSide, same_account: bool) -> Result<(), Denial> {
    if let Some(denial) = identity.explicit_denial() {
        return Err(denial);
    }
    if trust.denied {
        return Err(Denial::explicit(Layer::RoleTrust));
    }
    match (same_account, trust.admission) {
        (true, Admission::Direct) => identity.within_organization(),
        (true, Admission::Role) => identity.within_limits(),
        (_, Admission::None) => identity.allowed().and(Err(Denial::implicit(Layer::RoleTrust))),
        (_, _) => identity.allowed(),
    }
}

/// The actions that a request needs, each in both halves: `sts:TagSession` when tags are passed or inherited, and
/// `sts:SetSourceIdentity` when a source identity is.
///
/// Source: UG `id_session-tags.md` and `id_credentials_temp_control-access_monitor.md` ("required on every hop").
pub fn required_actions(has_tags: bool, has_source_identity: bool) -> Vec<&'static str> {
    let mut actions = vec!["sts:AssumeRole"];
    if has_tags {
        actions.push("sts:TagSession");
    }
    if has_source_identity {
        actions.push("sts:SetSourceIdentity");
    }
    actions
}

/// How long the session lasts, in seconds: an hour by default, at most what the role allows, and at most an hour when the
/// caller is itself a session of a role. Too much is refused, not shortened.
///
/// Source: BC AssumeRole `DurationSeconds` ("if you specify a value higher than this setting, the operation fails").
pub fn session_seconds(requested: Option<&str>, role_maximum: i32, is_chained: bool) -> Result<i64, Failure> {
    const HOUR: i64 = 3_600;
    let Some(requested) = requested else { return Ok(HOUR) };
    let seconds: i64 = requested.parse().map_err(|_| Failure::validation(format!("DurationSeconds is not a number: {requested}")))?;
    if seconds < 900 {
        return Err(Failure::validation(format!(
            "1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to satisfy constraint: \
             Member must have value greater than or equal to 900"
        )));
    }
    if is_chained && seconds > HOUR {
        return Err(Failure::validation("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"));
    }
    if seconds > i64::from(role_maximum) {
        return Err(Failure::validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role."));
    }
    Ok(seconds)
}

/// The form of `RoleSessionName` (2 to 64 of `[\w+=,.@-]`), `SourceIdentity` (the same) and `ExternalId` (2 to 1224 of
/// `[\w+=,.@:/-]`).
///
/// Source: BC `roleSessionNameType`, `sourceIdentityType` and `externalIdType`.
pub fn check_form(session_name: &str, source_identity: Option<&str>, external_id: Option<&str>) -> Result<(), Failure> {
    let name = |character: char| character.is_ascii_alphanumeric() || "_+=,.@-".contains(character);
    let check = |member: &str, value: &str, maximum: usize, allowed: &dyn Fn(char) -> bool| {
        if (2..=maximum).contains(&value.chars().count()) && value.chars().all(allowed) {
            return Ok(());
        }
        Err(Failure::validation(format!("1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint")))
    };
    check("roleSessionName", session_name, 64, &name)?;
    if let Some(identity) = source_identity {
        check("sourceIdentity", identity, 64, &name)?;
    }
    if let Some(external_id) = external_id {
        check("externalId", external_id, 1_224, &|character| name(character) || ":/".contains(character))?;
    }
    Ok(())
}

/// Verifies the MFA code that comes with a call. `None` when the call carries no MFA parameters.
///
/// A device counts only when it is enabled for the calling user. Source: BC AssumeRole `SerialNumber` and `TokenCode`.
pub fn verify_mfa(
    state: Option<&IamState>,
    caller: &Caller,
    serial_number: Option<&str>,
    code: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Option<()>, Failure> {
    if serial_number.is_none() && code.is_none() {
        return Ok(None);
    }
    let valid = serial_number.zip(code).zip(caller.user_name()).zip(state).and_then(|(((serial_number, code), user), state)| {
        let device = state.virtual_mfa_devices.get(serial_number)?;
        let is_callers = device.user.as_deref() == Some(user);
        (is_callers && fakecloud_iam::mfa::verify_totp(&device.base32_string_seed, code, now)?).then_some(())
    });
    match valid {
        Some(()) => Ok(Some(())),
        None => Err(Failure::access_denied("MultiFactorAuthentication failed with invalid MFA one time pass code. ")),
    }
}

#[cfg(test)]
mod tests {
    use fakecloud_core::auth::PrincipalType;
    use serde_json::json;

    use super::*;

    const ALLOW: Decision = Decision::Allow;
    const NOTHING: Decision = Decision::ImplicitDeny;
    const DENY: Decision = Decision::ExplicitDeny;

    fn side(identity: Decision, boundary: Option<Decision>, session: Option<Decision>) -> IdentitySide {
        IdentitySide { service_control: None, identity, boundary, session, denied_by: Vec::new() }
    }

    fn admits(admission: Admission) -> TrustSide {
        TrustSide { denied: false, admission }
    }

    fn implicit(layer: Layer) -> Result<(), Denial> {
        Err(Denial::implicit(layer))
    }

    fn explicit(layer: Layer) -> Result<(), Denial> {
        Err(Denial::explicit(layer))
    }

    #[test]
    fn statement_10_across_accounts_both_sides_must_allow() {
        for admission in [Admission::Account, Admission::Role, Admission::Direct] {
            assert_eq!(decide(&side(ALLOW, None, None), admits(admission), false), Ok(()));
            assert_eq!(decide(&side(NOTHING, None, None), admits(admission), false), implicit(Layer::IdentityBased));
        }
        assert_eq!(decide(&side(ALLOW, None, None), admits(Admission::None), false), implicit(Layer::RoleTrust));
    }

    #[test]
    fn statement_36_across_accounts_boundary_and_session_policies_limit_the_identity_side() {
        assert_eq!(decide(&side(ALLOW, Some(NOTHING), None), admits(Admission::Direct), false), implicit(Layer::PermissionsBoundary));
        assert_eq!(decide(&side(ALLOW, None, Some(NOTHING)), admits(Admission::Direct), false), implicit(Layer::Session));
    }

    #[test]
    fn statements_36_and_38_within_an_account_naming_the_user_is_enough_whatever_its_boundary() {
        assert_eq!(decide(&side(NOTHING, Some(NOTHING), Some(NOTHING)), admits(Admission::Direct), true), Ok(()));
    }

    #[test]
    fn within_an_account_the_root_needs_an_identity_policy() {
        assert_eq!(decide(&side(NOTHING, None, None), admits(Admission::Account), true), implicit(Layer::IdentityBased));
        assert_eq!(decide(&side(ALLOW, None, None), admits(Admission::Account), true), Ok(()));
    }

    #[test]
    fn statement_38_within_an_account_naming_the_role_needs_no_identity_policy_but_obeys_the_limits() {
        assert_eq!(decide(&side(NOTHING, None, None), admits(Admission::Role), true), Ok(()));
        assert_eq!(decide(&side(NOTHING, Some(NOTHING), None), admits(Admission::Role), true), implicit(Layer::PermissionsBoundary));
        assert_eq!(decide(&side(ALLOW, None, Some(NOTHING)), admits(Admission::Role), true), implicit(Layer::Session));
    }

    #[test]
    fn an_explicit_deny_anywhere_wins() {
        let trusted = admits(Admission::Direct);
        for same_account in [true, false] {
            assert_eq!(decide(&side(DENY, None, None), trusted, same_account), explicit(Layer::IdentityBased));
            assert_eq!(decide(&side(ALLOW, Some(DENY), None), trusted, same_account), explicit(Layer::PermissionsBoundary));
            assert_eq!(decide(&side(ALLOW, None, Some(DENY)), trusted, same_account), explicit(Layer::Session));
            let denied = TrustSide { denied: true, admission: Admission::None };
            assert_eq!(decide(&side(ALLOW, None, None), denied, same_account), explicit(Layer::RoleTrust));
        }
    }

    fn user(account: &str, name: &str) -> Caller {
        Caller {
            principal: Principal {
                arn: format!("arn:aws:iam::{account}:user/{name}"),
                user_id: "AIDAEXAMPLE".to_owned(),
                account_id: account.to_owned(),
                principal_type: PrincipalType::User,
                source_identity: None,
                tags: None,
            },
            role_arn: None,
            session: None,
        }
    }

    fn role_session(account: &str, path_and_name: &str, session: &str) -> Caller {
        let name = path_and_name.rsplit('/').next().unwrap();
        let mut caller = user(account, "x");
        caller.principal.arn = format!("arn:aws:sts::{account}:assumed-role/{name}/{session}");
        caller.principal.principal_type = PrincipalType::AssumedRole;
        caller.role_arn = Some(format!("arn:aws:iam::{account}:role/{path_and_name}"));
        caller
    }

    fn trusting(principal: &str) -> Value {
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}]})
    }

    fn admission(trust: &Value, caller: &Caller) -> Admission {
        trust_side(trust, caller, "sts:AssumeRole", &ConditionContext::default()).admission
    }

    #[test]
    fn a_role_as_principal_matches_its_sessions_with_the_path() {
        let caller = role_session("111111111111", "team/r", "s");
        assert_eq!(admission(&trusting("arn:aws:iam::111111111111:role/team/r"), &caller), Admission::Role);
        assert_eq!(admission(&trusting("arn:aws:iam::111111111111:role/r"), &caller), Admission::None);
        assert_eq!(admission(&trusting("arn:aws:sts::111111111111:assumed-role/r/s"), &caller), Admission::Direct);
        assert_eq!(admission(&trusting("arn:aws:sts::111111111111:assumed-role/r/other"), &caller), Admission::None);
        assert_eq!(admission(&trusting("111111111111"), &caller), Admission::Account);
    }

    #[test]
    fn statement_8_a_user_is_admitted_by_name_by_account_or_as_anybody() {
        let alice = user("111111111111", "alice");
        assert_eq!(admission(&trusting("arn:aws:iam::111111111111:user/alice"), &alice), Admission::Direct);
        assert_eq!(admission(&trusting("*"), &alice), Admission::Direct);
        assert_eq!(admission(&trusting("arn:aws:iam::111111111111:root"), &alice), Admission::Account);
        assert_eq!(admission(&trusting("arn:aws:iam::222222222222:root"), &alice), Admission::None);
        assert_eq!(admission(&trusting("AIDAEXAMPLE"), &alice), Admission::None);
    }

    #[test]
    fn a_deny_that_names_the_role_denies_its_sessions() {
        let mut trust = trusting("111111111111");
        trust["Statement"]
            .as_array_mut()
            .unwrap()
            .push(json!({"Effect": "Deny", "Principal": {"AWS": "arn:aws:iam::111111111111:role/r"}, "Action": "sts:AssumeRole"}));
        assert!(trust_side(&trust, &role_session("111111111111", "r", "s"), "sts:AssumeRole", &ConditionContext::default()).denied);
        assert!(!trust_side(&trust, &role_session("111111111111", "q", "s"), "sts:AssumeRole", &ConditionContext::default()).denied);
    }

    #[test]
    fn the_action_must_be_allowed_too() {
        let alice = user("111111111111", "alice");
        let side = trust_side(&trusting("111111111111"), &alice, "sts:TagSession", &ConditionContext::default());
        assert_eq!(side.admission, Admission::None);
    }

    #[test]
    fn tags_and_source_identity_need_their_own_actions() {
        assert_eq!(required_actions(false, false), ["sts:AssumeRole"]);
        assert_eq!(required_actions(true, true), ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]);
    }

    #[test]
    fn statement_21_too_long_a_session_is_refused_not_shortened() {
        assert_eq!(session_seconds(None, 43_200, true), Ok(3_600));
        assert_eq!(session_seconds(Some("7200"), 7_200, false), Ok(7_200));
        assert_eq!(session_seconds(Some("3600"), 43_200, true), Ok(3_600));
        for (requested, maximum, chained) in [("7201", 7_200, false), ("3601", 43_200, true), ("899", 3_600, false), ("long", 3_600, false)] {
            assert_eq!(session_seconds(Some(requested), maximum, chained).unwrap_err().code, "ValidationError", "{requested}");
        }
    }

    #[test]
    fn statement_18_names_and_external_ids_have_a_form() {
        assert_eq!(check_form("alice@example.com", Some("alice"), Some("a:b/c-d")), Ok(()));
        assert!(check_form("a", None, None).is_err());
        assert!(check_form("al ice", None, None).is_err());
        assert!(check_form("alice", Some("x"), None).is_err());
        assert!(check_form("alice", None, Some("with space")).is_err());
        let text = |length: usize| "x".repeat(length);
        assert_eq!(check_form(&text(64), None, Some(&text(1_224))), Ok(()));
        assert!(check_form(&text(65), None, None).is_err());
        assert!(check_form("alice", None, Some(&text(1_225))).is_err() && check_form("alice", None, Some("x")).is_err());
    }
}
