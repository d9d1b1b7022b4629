//! The condition keys of a request.

use fakecloud_core::auth::{ConditionContext, PrincipalType};

use crate::{caller::Caller, wire::Call, world::World};

/// The global condition keys of a call: who, from where, when, with what session.
///
/// - `aws:PrincipalArn` is the role's own ARN for its sessions, `aws:userid` is `AROA...:session-name`.
/// - `aws:username` is there for users only.
/// - `aws:MultiFactorAuthPresent` is absent for long-term keys, and false for sessions of roles: it does not survive chaining.
/// - `aws:PrincipalOrgID` is there only in an organisation.
/// - `aws:FederatedProvider` and the keys of the provider stay with a session of `AssumeRoleWithWebIdentity`.
///
/// Source: UG `reference_policies_condition-keys.md`; for chaining aws-sdk-java-v2#2554.
pub fn global_keys(world: &World, call: &Call, caller: &Caller) -> ConditionContext {
    let now = world.now();
    let session = caller.session.as_ref();
    let kind = match caller.principal.principal_type {
        PrincipalType::AssumedRole => "AssumedRole",
        _ => "User",
    };
    let mut context = ConditionContext {
        aws_username: caller.user_name().map(str::to_owned),
        aws_userid: Some(caller.principal.user_id.clone()),
        aws_principal_arn: Some(caller.role_arn.as_deref().unwrap_or(caller.arn()).to_owned()),
        aws_principal_account: Some(caller.account_id().to_owned()),
        aws_principal_type: Some(kind.to_owned()),
        aws_source_ip: Some(call.source_ip),
        aws_current_time: Some(now),
        aws_epoch_time: Some(now.timestamp()),
        // The simulator speaks plain HTTP on the loopback interface; towards AWS every SDK uses TLS.
        aws_secure_transport: Some(true),
        aws_requested_region: Some(call.request.region.clone()),
        aws_mfa_present: session.map(|session| session.with_mfa),
        aws_mfa_age_seconds: session.filter(|session| session.with_mfa).map(|session| (now - session.issued_at).num_seconds()),
        aws_token_issue_time: session.map(|session| session.issued_at),
        principal_tags: caller.principal.tags.clone(),
        ..ConditionContext::default()
    };
    context.service_keys.insert("aws:principalisawsservice".to_owned(), vec!["false".to_owned()]);
    if let Some(federation) = session.and_then(|session| session.federation.as_ref()) {
        context.aws_federated_provider = Some(federation.provider.clone());
        context.service_keys.extend(federation.keys.clone());
    }
    if let Some(organization) = world.organization_of(caller.account_id()) {
        context.service_keys.insert("aws:principalorgid".to_owned(), vec![organization]);
    }
    if let Some(identity) = &caller.principal.source_identity {
        context.service_keys.insert("aws:sourceidentity".to_owned(), vec![identity.clone()]);
    }
    if let Some(agent) = call.user_agent() {
        context.service_keys.insert("aws:useragent".to_owned(), vec![agent.to_owned()]);
    }
    context
}
