//! `AssumeRoleWithWebIdentity`: a session of a role for whoever holds a token of an OpenID Connect provider.

use axum::{body::Body, http::Response};
use fakecloud_aws::xml::xml_escape;
use fakecloud_core::auth::ConditionContext;

use super::sts;
use crate::{
    authorize::{self, as_map, permission::Permission},
    failure::Failure,
    rules::{assume_role, condition_keys, outsiders, sessions::Federation, tags, web_identity},
    wire::Call,
    world::World,
};
use web_identity::WebIdentity;

/// Answers the call, which is not signed.
///
/// The provider is one of the role's own account or one that every account has, and the trust policy is the only policy that decides.
/// Source: BC AssumeRoleWithWebIdentity.
///
/// # Errors
/// `InvalidIdentityToken` for a token that no provider made or that is not for this account, `ExpiredTokenException`,
/// `AccessDenied` in the words that AWS has for this call, which name nobody.
pub fn assume(world: &World, call: &Call) -> Result<Response<Body>, Failure> {
    let required = |name: &str| call.parameter(name).ok_or_else(|| Failure::validation(format!("{name} is missing")));
    let (role_arn, session_name, token) = (required("RoleArn")?, required("RoleSessionName")?, required("WebIdentityToken")?);
    assume_role::check_form(session_name, None, None)?;
    let identity = verified(world, token)?;
    let session_tags = tags::check_session_tags(&identity.tags)?;

    let account_id = role_arn.split(':').nth(4).unwrap_or_default();
    let provider = web_identity::provider(world.iam.read().get(account_id), &identity, world.now())?;
    let role = sts::find_role(world, account_id, role_arn).ok_or_else(|| refused("sts:AssumeRoleWithWebIdentity"))?;
    let mut actions = vec!["sts:AssumeRoleWithWebIdentity"];
    actions.extend(assume_role::required_actions(!session_tags.is_empty(), identity.source_identity.is_some()).into_iter().skip(1));
    let context = context(world, call, &identity, &provider, session_name);
    let caller = outsiders::federated(&provider);
    for action in &actions {
        let permission = Permission { action: (*action).to_owned(), resource: role.arn.clone() };
        let context = condition_keys::of_action(action, &context);
        authorize::within_resource_control(world, account_id, &caller, &permission, &context).map_err(|_| refused(action))?;
    }
    outsiders::admitted(&role.assume_role_policy_document, &caller, &actions, &context).map_err(|(action, _)| refused(action))?;
    let seconds = assume_role::session_seconds(call.parameter("DurationSeconds"), role.max_session_duration, false)?;

    let mut session = sts::role_session(world, account_id, &role, session_name, seconds);
    session.policies = sts::session_policies(world, call, account_id)?;
    session.tags = session_tags;
    session.transitive_tag_keys = identity.transitive_tag_keys.clone();
    session.source_identity = identity.source_identity.clone();
    session.federation = Some(Federation { provider: provider.clone(), keys: identity.session_keys() });
    let result = format!(
        "{}<SubjectFromWebIdentityToken>{}</SubjectFromWebIdentityToken><Provider>{}</Provider><Audience>{}</Audience>",
        sts::assumed(&session, &role, session_name),
        xml_escape(&identity.subject),
        xml_escape(&provider),
        xml_escape(&identity.audiences.join(","))
    );
    world.sessions.insert(session);
    Ok(sts::reply(call, &result))
}

/// The simulator is every provider: a token is genuine if it was minted here and not changed since.
fn verified(world: &World, token: &str) -> Result<WebIdentity, Failure> {
    match world.identity_tokens.read().get(token) {
        Some(claims) => WebIdentity::from_claims(claims),
        None => {
            Err(Failure::new(400, "InvalidIdentityToken", "The ID Token provided is not a valid JWT or its signature is not that of the provider."))
        }
    }
}

/// Source: aws-actions/configure-aws-credentials#318 quotes it; it names neither a principal nor a role.
fn refused(action: &str) -> Failure {
    Failure::access_denied(format!("Not authorized to perform {action}"))
}

/// Who calls is nobody of AWS, so the keys about principals are missing.
fn context(world: &World, call: &Call, identity: &WebIdentity, provider: &str, session_name: &str) -> ConditionContext {
    let now = world.now();
    let mut context = ConditionContext {
        aws_source_ip: Some(call.source_ip),
        aws_current_time: Some(now),
        aws_epoch_time: Some(now.timestamp()),
        aws_secure_transport: Some(true),
        aws_requested_region: Some(call.request.region.clone()),
        aws_federated_provider: Some(provider.to_owned()),
        request_tags: (!identity.tags.is_empty()).then(|| as_map(&identity.tags)),
        ..ConditionContext::default()
    };
    context.service_keys = identity.condition_keys();
    context.service_keys.insert("sts:rolesessionname".to_owned(), vec![session_name.to_owned()]);
    if let Some(source_identity) = &identity.source_identity {
        context.service_keys.insert("sts:sourceidentity".to_owned(), vec![source_identity.clone()]);
    }
    context
}
