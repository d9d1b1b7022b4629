//! STS: sessions of roles and users. All of it is our own; the crates evaluate the policies.

use std::collections::BTreeSet;

use axum::{body::Body, http::Response};
use chrono::{SecondsFormat, TimeDelta, Utc};
use fakecloud_aws::xml::xml_escape;
use fakecloud_core::auth::ConditionContext;
use fakecloud_iam::{IamRole, IamState, xml_responses};
use serde_json::Value;

use crate::{
    authorize::{self, context, documents, layers::IdentitySide, permission::Permission},
    caller::Caller,
    failure::Failure,
    rules::{access_denied, assume_role, condition_keys, identifiers, partitions, sessions, tags},
    wire::{Call, respond},
    world::World,
};
use sessions::{Holder, Session};

/// Answers a verified call.
///
/// # Errors
/// `AccessDenied` with the layer that refuses, `ValidationError`, or `InvalidAction` for what is not simulated.
pub fn handle(world: &World, call: &Call, caller: &Caller) -> Result<Response<Body>, Failure> {
    match call.operation.as_str() {
        "AssumeRole" => assume(world, call, caller),
        "GetCallerIdentity" => Ok(get_caller_identity(call, caller)),
        "GetSessionToken" => get_session_token(world, call, caller),
        other => Err(Failure::new(400, "InvalidAction", format!("Could not find operation {other} for version 2011-06-15"))),
    }
}

/// The reply of an operation of STS.
pub(super) fn reply(call: &Call, result: &str) -> Response<Body> {
    let (operation, request_id) = (&call.operation, &call.request.request_id);
    let document = format!(
        "<{operation}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{operation}Result>{result}</{operation}Result>\
         <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    );
    respond(200, "text/xml", request_id, Body::from(document))
}

/// The credentials in a reply.
pub(super) fn credentials(session: &Session) -> String {
    format!(
        "<Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken>\
         <Expiration>{}</Expiration></Credentials>",
        session.access_key_id,
        xml_escape(&session.secret_access_key),
        xml_escape(&session.session_token),
        session.expires_at.to_rfc3339_opts(SecondsFormat::Secs, true)
    )
}

/// `GetCallerIdentity` needs no permission, and no policy can deny it.
///
/// Source: BC GetCallerIdentity ("no permissions are required to perform this operation").
fn get_caller_identity(call: &Call, caller: &Caller) -> Response<Body> {
    let result = format!(
        "<Arn>{}</Arn><UserId>{}</UserId><Account>{}</Account>",
        xml_escape(caller.arn()),
        xml_escape(&caller.principal.user_id),
        caller.account_id()
    );
    reply(call, &result)
}

/// A session of a role, from now on.
pub(super) fn role_session(world: &World, account_id: &str, role: &IamRole, session_name: &str, seconds: i64) -> Session {
    let holder = Holder::Role { name: role.role_name.clone(), id: role.role_id.clone(), session_name: session_name.to_owned() };
    new_session(world, account_id, holder, seconds)
}

/// A session whose form is the same for users and roles.
fn new_session(world: &World, account_id: &str, holder: Holder, seconds: i64) -> Session {
    let issued_at = world.now();
    Session {
        access_key_id: identifiers::access_key_id("ASIA"),
        secret_access_key: xml_responses::generate_secret_access_key(),
        session_token: xml_responses::generate_session_token(),
        account_id: account_id.to_owned(),
        holder,
        issued_at,
        expires_at: issued_at + TimeDelta::seconds(seconds),
        with_mfa: false,
        policies: Vec::new(),
        source_identity: None,
        tags: Default::default(),
        transitive_tag_keys: BTreeSet::new(),
        federation: None,
    }
}

/// `GetSessionToken`: for users with long-term keys, without permission, 15 minutes to 36 hours.
///
/// Source: BC GetSessionToken; UG `id_credentials_temp_control-access_getsessiontoken.md`.
fn get_session_token(world: &World, call: &Call, caller: &Caller) -> Result<Response<Body>, Failure> {
    if caller.session.is_some() {
        return Err(Failure::access_denied("Cannot call GetSessionToken with session credentials"));
    }
    let seconds = match call.parameter("DurationSeconds") {
        None => 43_200,
        Some(text) => text
            .parse()
            .ok()
            .filter(|seconds| (900..=129_600).contains(seconds))
            .ok_or_else(|| Failure::validation(format!("DurationSeconds must be between 900 and 129600: {text}")))?,
    };
    let with_mfa = verify_mfa(world, call, caller)?;
    let mut session = new_session(world, caller.account_id(), Holder::User { id: caller.principal.user_id.clone() }, seconds);
    session.with_mfa = with_mfa;
    let result = credentials(&session);
    world.sessions.insert(session);
    Ok(reply(call, &result))
}

fn verify_mfa(world: &World, call: &Call, caller: &Caller) -> Result<bool, Failure> {
    authorize::with_state(world, caller.account_id(), |state| {
        assume_role::verify_mfa(state, caller, call.parameter("SerialNumber"), call.parameter("TokenCode"), Utc::now())
    })
    .map(|verified| verified.is_some())
}

fn assume(world: &World, call: &Call, caller: &Caller) -> Result<Response<Body>, Failure> {
    let required = |name: &str| call.parameter(name).ok_or_else(|| Failure::validation(format!("{name} is missing")));
    let (role_arn, session_name) = (required("RoleArn")?, required("RoleSessionName")?);
    assume_role::check_form(session_name, call.parameter("SourceIdentity"), call.parameter("ExternalId"))?;
    let tags = sessions::chained_tags(caller.session.as_ref(), tags::check_session_tags(&tags::of_request(&call.request.query_params))?)?;
    let source_identity = sessions::chained_source_identity(caller.session.as_ref(), call.parameter("SourceIdentity"))?;
    let with_mfa = verify_mfa(world, call, caller)?;

    let account_id = role_arn.split(':').nth(4).unwrap_or_default();
    // Partitions do not know of each other.
    let same_partition = world.partition_of(account_id) == world.partition_of(caller.account_id());
    let role =
        find_role(world, account_id, role_arn).filter(|_| same_partition).ok_or_else(|| access_denied::unknown_role(caller.arn(), role_arn))?;
    let mut context = context::global_keys(world, call, caller);
    add_request_keys(&mut context, call, &role, &tags, source_identity.as_deref(), with_mfa);
    authorize_assumption(world, caller, &role, account_id, &context, !tags.is_empty(), source_identity.is_some())?;
    let seconds = assume_role::session_seconds(call.parameter("DurationSeconds"), role.max_session_duration, caller.is_role_session())?;

    let mut session = role_session(world, account_id, &role, session_name, seconds);
    session.policies = session_policies(world, call, account_id)?;
    session.transitive_tag_keys = transitive_tag_keys(call, caller);
    session.tags = tags;
    session.source_identity = source_identity;
    let result = assumed(&session, &role, session_name);
    world.sessions.insert(session);
    Ok(reply(call, &result))
}

/// What every operation that makes a session of a role replies: credentials, who one is now, and the source identity.
pub(super) fn assumed(session: &Session, role: &IamRole, session_name: &str) -> String {
    let identity = session.source_identity.iter().map(|identity| format!("<SourceIdentity>{}</SourceIdentity>", xml_escape(identity)));
    format!(
        "{}<AssumedRoleUser><AssumedRoleId>{}:{session_name}</AssumedRoleId><Arn>{}</Arn></AssumedRoleUser>{}",
        credentials(session),
        role.role_id,
        sessions::session_arn(&role.arn, &session.account_id, &role.role_name, session_name),
        identity.collect::<String>()
    )
}

/// The role with this ARN, path included, once it has propagated.
pub(super) fn find_role(world: &World, account_id: &str, role_arn: &str) -> Option<IamRole> {
    let found = authorize::with_state(world, account_id, |state| {
        let name = role_arn.rsplit('/').next()?;
        state?.roles.get(name).filter(|role| role.arn == role_arn).cloned()
    });
    found.filter(|role| world.has_account(account_id) && world.has_propagated(role.created_at))
}

/// The keys of the request itself, on top of the global ones.
///
/// Source: UG `reference_policies_iam-condition-keys.md`, "Available keys for AWS STS"; SAR for STS.
fn add_request_keys(
    context: &mut ConditionContext,
    call: &Call,
    role: &IamRole,
    tags: &std::collections::BTreeMap<String, String>,
    source_identity: Option<&str>,
    with_mfa: bool,
) {
    let mut set = |key: &str, value: Option<&str>| {
        if let Some(value) = value {
            context.service_keys.insert(key.to_owned(), vec![value.to_owned()]);
        }
    };
    set("sts:externalid", call.parameter("ExternalId"));
    set("sts:rolesessionname", call.parameter("RoleSessionName"));
    set("sts:sourceidentity", source_identity);
    let transitive = listed(call, "TransitiveTagKeys.member.", "");
    if !transitive.is_empty() {
        context.service_keys.insert("sts:transitivetagkeys".to_owned(), transitive);
    }
    let role_tags = role.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone()));
    for (key, value) in role_tags.clone() {
        context.service_keys.insert(format!("iam:resourcetag/{key}"), vec![value]);
    }
    context.resource_tags = Some(role_tags.collect());
    context.request_tags = (!tags.is_empty()).then(|| tags.clone().into_iter().collect());
    if with_mfa {
        context.aws_mfa_present = Some(true);
        context.aws_mfa_age_seconds = Some(0);
    }
}

/// Both sides of each action that is needed (see [`assume_role::decide`]).
fn authorize_assumption(
    world: &World,
    caller: &Caller,
    role: &IamRole,
    account_id: &str,
    context: &ConditionContext,
    has_tags: bool,
    has_source_identity: bool,
) -> Result<(), Failure> {
    // Only valid documents are stored; one that cannot be read admits nobody.
    let trust: Value = serde_json::from_str(&role.assume_role_policy_document).unwrap_or_default();
    let states = world.iam.read();
    let state: &IamState = states.get(caller.account_id()).ok_or_else(|| Failure::unknown_key(false))?;
    for action in assume_role::required_actions(has_tags, has_source_identity) {
        let permission = Permission { action: action.to_owned(), resource: role.arn.clone() };
        let context = condition_keys::of_action(action, context);
        authorize::within_resource_control(world, account_id, &caller.principal, &permission, &context)
            .map_err(|denial| authorize::refusal(caller, &permission, denial))?;
        let identity = IdentitySide::evaluate(world, state, caller, &permission, &context);
        let trust = assume_role::trust_side(&trust, caller, action, &context);
        assume_role::decide(&identity, trust, caller.account_id() == account_id).map_err(|denial| authorize::refusal(caller, &permission, denial))?;
    }
    Ok(())
}

fn listed(call: &Call, prefix: &str, suffix: &str) -> Vec<String> {
    (1..).map_while(|n| call.parameter(&format!("{prefix}{n}{suffix}")).map(str::to_owned)).collect()
}

/// Transitive keys stay transitive down the chain.
///
/// Source: UG `id_session-tags.md`, "Chaining roles with session tags".
fn transitive_tag_keys(call: &Call, caller: &Caller) -> BTreeSet<String> {
    let inherited = caller.session.iter().flat_map(|session| session.transitive_tag_keys.iter().cloned());
    listed(call, "TransitiveTagKeys.member.", "").into_iter().chain(inherited).collect()
}

/// The session policies: the one passed, and the documents of up to ten managed policies, of the role's account or of AWS.
///
/// Source: BC AssumeRole `Policy` and `PolicyArns`.
pub(super) fn session_policies(world: &World, call: &Call, account_id: &str) -> Result<Vec<String>, Failure> {
    let mut policies = Vec::new();
    if let Some(document) = call.parameter("Policy") {
        serde_json::from_str::<Value>(document).map_err(|_| Failure::malformed_policy("This policy contains invalid Json"))?;
        policies.push(document.to_owned());
    }
    let arns = listed(call, "PolicyArns.member.", ".arn");
    if arns.len() > 10 {
        return Err(Failure::validation("1 validation error detected: Value at 'policyArns' failed to satisfy constraint: at most 10"));
    }
    for arn in arns {
        let document = authorize::with_state(world, account_id, |state| documents::managed(state?, &partitions::policy_as_stored(&arn)));
        policies.push(document.ok_or_else(|| Failure::validation(format!("Session policy {arn} does not exist")))?);
    }
    Ok(policies)
}
