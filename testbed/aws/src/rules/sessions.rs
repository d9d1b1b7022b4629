//! Temporary credentials and what they carry.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use parking_lot::RwLock;

use crate::failure::Failure;

/// Refuses roles whose sessions may be shorter than an hour or longer than twelve, before anything is looked up, as all that the API's model tells.
///
/// Source: BC `roleMaxSessionDurationType`; the text is the API's. The crate looks at it after names and trust policies.
pub fn check_longest(operation: &str, parameters: &HashMap<String, String>) -> Result<(), Failure> {
    let longest = parameters.get("MaxSessionDuration").filter(|_| ["CreateRole", "UpdateRole"].contains(&operation));
    let Some(Ok(seconds)) = longest.map(|text| text.parse::<i64>()) else { return Ok(()) };
    let bound = match seconds {
        ..3_600 => "greater than or equal to 3600",
        43_201.. => "less than or equal to 43200",
        _ => return Ok(()),
    };
    Err(Failure::validation(format!(
        "1 validation error detected: Value '{seconds}' at 'maxSessionDuration' failed to satisfy constraint: Member must have value {bound}"
    )))
}

/// Who holds a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A role, assumed under a session name.
    Role {
        /// Name of the role.
        name: String,
        /// Unique id (AROA...) of the role at the time: a role re-created under that name is another.
        id: String,
        /// The session name that the caller chose.
        session_name: String,
    },
    /// An IAM user, through `GetSessionToken`.
    User {
        /// Unique id (AIDA...) of the user.
        id: String,
    },
}

/// Where the holder of a session comes from when that is no account of AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Federation {
    /// The provider as trust policies name it, by its ARN or host, for `aws:FederatedProvider`.
    pub provider: String,
    /// Condition keys of the provider, such as its `sub` and `aud`, which stay with the session.
    pub keys: BTreeMap<String, Vec<String>>,
}

/// One set of temporary credentials.
#[derive(Debug, Clone)]
pub struct Session {
    /// Access key id (ASIA...).
    pub access_key_id: String,
    /// The secret that signs.
    pub secret_access_key: String,
    /// The token that must come with each call.
    pub session_token: String,
    /// Account of the role or user.
    pub account_id: String,
    /// Who holds it.
    pub holder: Holder,
    /// When it was made, for `aws:TokenIssueTime`.
    pub issued_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// Whether it was made with an MFA code, for `aws:MultiFactorAuthPresent`.
    pub with_mfa: bool,
    /// Session policies: together they limit what the session may do. Empty means no limit.
    pub policies: Vec<String>,
    /// Source identity; once set it stays for all sessions made from this one.
    pub source_identity: Option<String>,
    /// Session tags.
    pub tags: BTreeMap<String, String>,
    /// Keys of the session tags that sessions made from this one inherit.
    pub transitive_tag_keys: BTreeSet<String>,
    /// The provider behind it, for a session of `AssumeRoleWithWebIdentity`.
    pub federation: Option<Federation>,
}

/// All sessions by access key id.
#[derive(Debug, Default)]
pub struct Sessions(RwLock<HashMap<String, Session>>);

impl Sessions {
    /// Remembers a session.
    pub fn insert(&self, session: Session) {
        self.0.write().insert(session.access_key_id.clone(), session);
    }

    /// Finds a session, expired or not.
    pub fn get(&self, access_key_id: &str) -> Option<Session> {
        self.0.read().get(access_key_id).cloned()
    }
}

/// A session's key is worth nothing without its token, and a long-term key must come without one.
///
/// Source: BC `Credentials` of STS ("the token that users must pass to the service API to use the temporary credentials");
/// the codes are IAM's common error `InvalidClientTokenId` and S3's `InvalidAccessKeyId` and `InvalidToken`.
pub fn check_token(session: Option<&Session>, presented: Option<&str>, is_s3: bool) -> Result<(), Failure> {
    if session.map(|session| session.session_token.as_str()) == presented {
        return Ok(());
    }
    if is_s3 && presented.is_some() {
        return Err(Failure::new(400, "InvalidToken", "The provided token is malformed or otherwise invalid."));
    }
    Err(Failure::unknown_key(is_s3))
}

/// An expired session is told so.
///
/// Source: the common errors of IAM and STS (`ExpiredToken`, 403) and of S3 (400).
pub fn check_expiry(session: Option<&Session>, now: DateTime<Utc>, is_s3: bool) -> Result<(), Failure> {
    match session {
        Some(session) if session.expires_at <= now && is_s3 => Err(Failure::new(400, "ExpiredToken", "The provided token has expired.")),
        Some(session) if session.expires_at <= now => Err(Failure::new(403, "ExpiredToken", "The security token included in the request is expired")),
        _ => Ok(()),
    }
}

/// The ARN of a role's session: partition, account, role name without its path, session name.
///
/// Source: UG `reference_identifiers.md`, "IAM ARNs".
pub fn session_arn(role_arn: &str, account_id: &str, role_name: &str, session_name: &str) -> String {
    let partition = role_arn.split(':').nth(1).unwrap_or("aws");
    format!("arn:{partition}:sts::{account_id}:assumed-role/{role_name}/{session_name}")
}

/// The tags of a principal in a session: its own, overridden by the session's.
///
/// Source: UG `id_session-tags.md`: "session tags override a principal tag with the same key".
pub fn with_session_tags(own: Vec<(String, String)>, session: &BTreeMap<String, String>) -> HashMap<String, String> {
    let mut tags: HashMap<String, String> = own.into_iter().collect();
    for (key, value) in session {
        tags.retain(|own_key, _| !own_key.eq_ignore_ascii_case(key));
        tags.insert(key.clone(), value.clone());
    }
    tags
}

/// Session tags of a session made by role chaining: the ones passed, and the transitive ones of the caller's session,
/// which cannot be overridden.
///
/// Source: UG `id_session-tags.md`, "Chaining roles with session tags"; BC AssumeRole `Tags`.
pub fn chained_tags(caller: Option<&Session>, passed: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Failure> {
    let mut tags = passed;
    let Some(caller) = caller else { return Ok(tags) };
    for key in &caller.transitive_tag_keys {
        if tags.keys().any(|own| own.eq_ignore_ascii_case(key)) {
            return Err(Failure::invalid_input(format!(
                "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session: {key}"
            )));
        }
        if let Some(value) = caller.tags.get(key) {
            tags.insert(key.clone(), value.clone());
        }
    }
    Ok(tags)
}

/// The source identity of a session made from another: once set it is inherited and cannot be changed.
///
/// Source: UG `id_credentials_temp_control-access_monitor.md`; BC AssumeRole `SourceIdentity`.
pub fn chained_source_identity(caller: Option<&Session>, passed: Option<&str>) -> Result<Option<String>, Failure> {
    match (caller.and_then(|session| session.source_identity.as_deref()), passed) {
        (Some(inherited), Some(passed)) if inherited != passed => {
            Err(Failure::access_denied(format!("The source identity of this session is {inherited} and cannot be changed")))
        }
        (Some(identity), _) | (None, Some(identity)) => Ok(Some(identity.to_owned())),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn statement_21_the_longest_session_is_from_one_hour_to_twelve() {
        let check = |operation, seconds: &str| check_longest(operation, &HashMap::from([("MaxSessionDuration".to_owned(), seconds.to_owned())]));
        for operation in ["CreateRole", "UpdateRole"] {
            assert_eq!((check(operation, "3600"), check(operation, "43200")), (Ok(()), Ok(())));
            for bad in ["3599", "43201"] {
                assert_eq!(check(operation, bad).unwrap_err().code, "ValidationError", "{bad}");
            }
        }
        assert_eq!(check_longest("CreateRole", &HashMap::new()), Ok(()));
    }

    fn session() -> Session {
        Session {
            access_key_id: "ASIAEXAMPLE".to_owned(),
            secret_access_key: "secret".to_owned(),
            session_token: "token".to_owned(),
            account_id: "111111111111".to_owned(),
            holder: Holder::User { id: "AIDAEXAMPLE".to_owned() },
            issued_at: Utc::now(),
            expires_at: Utc::now() + TimeDelta::hours(1),
            with_mfa: false,
            policies: Vec::new(),
            source_identity: None,
            tags: BTreeMap::new(),
            transitive_tag_keys: BTreeSet::new(),
            federation: None,
        }
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_session_needs_exactly_its_token() {
        let session = session();
        assert_eq!(check_token(Some(&session), Some("token"), false), Ok(()));
        for presented in [None, Some("other")] {
            assert_eq!(check_token(Some(&session), presented, false).unwrap_err().code, "InvalidClientTokenId");
        }
        assert_eq!(check_token(Some(&session), Some("other"), true).unwrap_err().code, "InvalidToken");
        assert_eq!(check_token(Some(&session), None, true).unwrap_err().code, "InvalidAccessKeyId");
    }

    #[test]
    fn a_long_term_key_comes_without_a_token() {
        assert_eq!(check_token(None, None, false), Ok(()));
        assert_eq!(check_token(None, Some("token"), false).unwrap_err().code, "InvalidClientTokenId");
    }

    #[test]
    fn a_session_ends_at_its_expiry() {
        let session = session();
        assert_eq!(check_expiry(Some(&session), session.expires_at - TimeDelta::seconds(1), false), Ok(()));
        assert_eq!(check_expiry(Some(&session), session.expires_at, false).unwrap_err().status, 403);
        assert_eq!(check_expiry(Some(&session), session.expires_at, true).unwrap_err().status, 400);
    }

    #[test]
    fn the_path_of_a_role_is_not_in_its_sessions() {
        assert_eq!(
            session_arn("arn:aws-cn:iam::111111111111:role/team/r", "111111111111", "r", "s"),
            "arn:aws-cn:sts::111111111111:assumed-role/r/s"
        );
    }

    #[test]
    fn session_tags_win_without_regard_to_case() {
        let tags = with_session_tags(vec![("Team".into(), "a".into()), ("cost".into(), "1".into())], &map(&[("team", "b")]));
        assert_eq!(tags, HashMap::from([("team".to_owned(), "b".to_owned()), ("cost".to_owned(), "1".to_owned())]));
    }

    #[test]
    fn only_transitive_tags_are_inherited_and_they_stay() {
        let mut caller = session();
        caller.tags = map(&[("project", "blue"), ("shift", "night")]);
        caller.transitive_tag_keys = BTreeSet::from(["project".to_owned()]);
        assert_eq!(chained_tags(Some(&caller), map(&[("a", "b")])), Ok(map(&[("a", "b"), ("project", "blue")])));
        assert_eq!(chained_tags(Some(&caller), map(&[("Project", "red")])).unwrap_err().code, "InvalidInput");
    }

    #[test]
    fn the_source_identity_is_set_once() {
        let mut caller = session();
        assert_eq!(chained_source_identity(Some(&caller), Some("alice")), Ok(Some("alice".to_owned())));
        caller.source_identity = Some("alice".to_owned());
        assert_eq!(chained_source_identity(Some(&caller), None), Ok(Some("alice".to_owned())));
        assert!(chained_source_identity(Some(&caller), Some("bob")).is_err());
    }
}
