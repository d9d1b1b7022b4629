//! Who signed a call: from an access key to a verified principal.

use chrono::{DateTime, Utc};
use fakecloud_aws::sigv4::{self, SigV4Error, VerifyRequest};
use fakecloud_core::auth::{Principal, PrincipalType};

use crate::{
    failure::Failure,
    rules::sessions::{self, Holder, Session},
    service::Service,
    wire::Call,
    world::World,
};

/// A verified caller.
#[derive(Debug, Clone)]
pub struct Caller {
    /// ARN (of the session, for a role), unique id, account and tags, session tags included.
    pub principal: Principal,
    /// For a session of a role: the role's own ARN, with its path.
    pub role_arn: Option<String>,
    /// What the temporary credentials carry; `None` for long-term keys.
    pub session: Option<Session>,
}

impl Caller {
    /// The account that the caller belongs to.
    pub fn account_id(&self) -> &str {
        &self.principal.account_id
    }

    /// The ARN as `GetCallerIdentity` shows it.
    pub fn arn(&self) -> &str {
        &self.principal.arn
    }

    /// Whether this is a session of a role, so that assuming another role from here is role chaining.
    pub fn is_role_session(&self) -> bool {
        self.role_arn.is_some()
    }

    /// The name of the role behind a session of a role.
    pub fn role_name(&self) -> Option<&str> {
        self.role_arn.as_deref().and_then(|arn| arn.rsplit('/').next())
    }

    /// The name of the IAM user, also for a session of `GetSessionToken`.
    pub fn user_name(&self) -> Option<&str> {
        match self.principal.principal_type {
            PrincipalType::User => self.principal.arn.rsplit('/').next(),
            _ => None,
        }
    }
}

/// A credential that exists, and whom it stands for.
struct Credential {
    secret_access_key: String,
    caller: Caller,
    created_at: DateTime<Utc>,
}

/// Whom an access key belongs to, without any proof: for the log of calls and for faults that concern one account.
pub fn claimed_identity(world: &World, access_key_id: &str) -> Option<(String, String)> {
    let credential = find(world, access_key_id)?;
    let principal = credential.caller.principal;
    Some((principal.account_id, principal.arn))
}

/// Verifies the key, the session token and the signature of a call. Every key is verified: none is privileged.
///
/// # Errors
/// `MissingAuthenticationToken`, `InvalidClientTokenId`, `ExpiredToken`, `SignatureDoesNotMatch` and their S3 forms.
pub fn authenticate(world: &World, call: &Call) -> Result<Caller, Failure> {
    let is_s3 = call.service == Some(Service::S3);
    let Some(signature) = &call.signature else {
        return Err(Failure::new(403, "MissingAuthenticationToken", "Request is missing Authentication Token"));
    };
    let Credential { secret_access_key, caller, created_at } = find(world, &signature.access_key).ok_or_else(|| Failure::unknown_key(is_s3))?;
    if caller.session.is_none() && !world.has_propagated(created_at) {
        return Err(Failure::unknown_key(is_s3));
    }
    sessions::check_token(caller.session.as_ref(), call.session_token.as_deref(), is_s3)?;
    sessions::check_expiry(caller.session.as_ref(), world.now(), is_s3)?;
    let headers = sigv4::headers_from_http(&call.request.headers);
    let signed =
        VerifyRequest { method: call.request.method.as_str(), path: &call.path, query: &call.request.raw_query, headers: &headers, body: &call.body };
    sigv4::verify(signature, &signed, &secret_access_key, Utc::now()).map_err(|error| refused_signature(&error, is_s3))?;
    Ok(caller)
}

fn refused_signature(error: &SigV4Error, is_s3: bool) -> Failure {
    match error {
        SigV4Error::RequestTimeTooSkewed { .. } if is_s3 => {
            Failure::new(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
        }
        SigV4Error::RequestTimeTooSkewed { signed, server } => {
            Failure::new(403, "SignatureDoesNotMatch", format!("Signature not valid at this time: it was made at {signed}, and now it is {server}"))
        }
        SigV4Error::SignatureMismatch => Failure::new(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. \
             Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
        ),
        other => Failure::new(400, "IncompleteSignature", other.to_string()),
    }
}

fn find(world: &World, access_key_id: &str) -> Option<Credential> {
    match world.sessions.get(access_key_id) {
        Some(session) => of_session(world, session),
        None => of_long_term_key(world, access_key_id),
    }
}

fn of_long_term_key(world: &World, access_key_id: &str) -> Option<Credential> {
    let states = world.iam.read();
    states.iter().find_map(|(account_id, state)| {
        let key = state.access_keys.values().flatten().find(|key| key.access_key_id == access_key_id && key.status == "Active")?;
        let user = state.users.get(&key.user_name)?;
        let tags = user.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
        let principal = Principal {
            arn: user.arn.clone(),
            user_id: user.user_id.clone(),
            account_id: account_id.to_owned(),
            principal_type: PrincipalType::User,
            source_identity: None,
            tags: Some(tags),
        };
        Some(Credential {
            secret_access_key: key.secret_access_key.clone(),
            caller: Caller { principal, role_arn: None, session: None },
            created_at: key.created_at,
        })
    })
}

/// A session lives on only while its role or user does: one that was deleted, or re-created under the same name, is another.
fn of_session(world: &World, session: Session) -> Option<Credential> {
    let states = world.iam.read();
    let state = states.get(&session.account_id)?;
    let own_tags = |tags: &[fakecloud_iam::Tag]| tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect::<Vec<_>>();
    let (arn, user_id, principal_type, role_arn, tags) = match &session.holder {
        Holder::Role { name, id, session_name } => {
            let role = state.roles.get(name).filter(|role| &role.role_id == id)?;
            let arn = sessions::session_arn(&role.arn, &session.account_id, name, session_name);
            (arn, format!("{id}:{session_name}"), PrincipalType::AssumedRole, Some(role.arn.clone()), own_tags(&role.tags))
        }
        Holder::User { id } => {
            let user = state.users.values().find(|user| &user.user_id == id)?;
            (user.arn.clone(), id.clone(), PrincipalType::User, None, own_tags(&user.tags))
        }
    };
    let principal = Principal {
        arn,
        user_id,
        account_id: session.account_id.clone(),
        principal_type,
        source_identity: session.source_identity.clone(),
        tags: Some(sessions::with_session_tags(tags, &session.tags)),
    };
    Some(Credential {
        secret_access_key: session.secret_access_key.clone(),
        created_at: session.issued_at,
        caller: Caller { principal, role_arn, session: Some(session) },
    })
}
