//! Identities that come from an OpenID Connect provider: what a token says, and which keys a trust policy can ask for.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use fakecloud_iam::{IamState, oidc_url_parts};
use serde_json::Value;

use super::trust_policy::strings;
use crate::failure::Failure;

/// The claim with session tags: `{"principal_tags": {"key": ["value"]}, "transitive_tag_keys": ["key"]}`.
const TAGS: &str = "https://aws.amazon.com/tags";
/// The claim with the source identity.
const SOURCE_IDENTITY: &str = "https://aws.amazon.com/source_identity";

/// The identity providers that every account has. Trust policies name them by these hosts instead of an ARN.
///
/// Source: UG `reference_policies_elements_principal.md`, "OIDC federated principals".
const BUILT_IN: [&str; 4] = ["accounts.google.com", "cognito-identity.amazonaws.com", "graph.facebook.com", "www.amazon.com"];

/// Whether this is one of the identity providers that every account has.
pub fn is_built_in(name: &str) -> bool {
    BUILT_IN.contains(&name)
}

/// The claims of an issuer that have condition keys of their own, beside those that every issuer has. Others have none: a condition on them never holds.
///
/// Source: SAR of STS, `AssumeRoleWithWebIdentity`; `email` from UG `reference_policies_iam-condition-keys.md`, "Available keys for AWS OIDC federation".
fn claims_with_keys(issuer: &str) -> &'static [&'static str] {
    const GITHUB: &[&str] = &[
        "actor",
        "actor_id",
        "enterprise_id",
        "environment",
        "job_workflow_ref",
        "ref",
        "repository",
        "repository_id",
        "repository_owner_id",
        "workflow",
    ];
    const BUILDKITE: &[&str] =
        &["build_branch", "cluster_id", "cluster_name", "organization_id", "organization_slug", "pipeline_id", "pipeline_slug"];
    const GITLAB: &[&str] = &[
        "namespace_id",
        "pipeline_source",
        "project_id",
        "ref_protected",
        "runner_environment",
        "user_access_level",
        "user_email",
        "user_id",
        "user_login",
    ];
    let (host, path) = issuer.split_once('/').unwrap_or((issuer, ""));
    let is_between = |start: &str, end: &str| host.strip_prefix(start).is_some_and(|rest| rest.len() > end.len() && rest.ends_with(end));
    match host {
        "token.actions.githubusercontent.com" => GITHUB,
        "github.com" if path.starts_with("enterprises/") => GITHUB,
        _ if path.is_empty() && is_between("token.actions.", ".ghe.com") => GITHUB,
        "gitlab.com" if path.is_empty() => GITLAB,
        "agent.buildkite.com" if path.is_empty() => BUILDKITE,
        _ if path.is_empty() && (is_between("agent.", ".buildkite.dev") || is_between("agent.", ".buildkite.site")) => BUILDKITE,
        "oidc.circleci.com" if path.starts_with("org/") => &["oidc.circleci.com/project-id"],
        _ if path.is_empty() && is_between("idcs-", ".identity.oraclecloud.com") => &["rpst_id"],
        "accounts.google.com" => &["google/organization_number"],
        _ if is_built_in(issuer) => &[],
        _ => &["email"],
    }
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebIdentity {
    /// URL of the provider, as in `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `aud`: one or many.
    pub audiences: Vec<String>,
    /// `azp`: the party that the token was issued to, where the provider tells.
    pub authorized_party: Option<String>,
    /// `amr`: how the person was authenticated.
    pub methods: Vec<String>,
    /// Claims that have condition keys of their own, by the key's name after the issuer's.
    pub claims: BTreeMap<String, String>,
    /// `exp`.
    pub expires_at: DateTime<Utc>,
    /// Session tags.
    pub tags: Vec<(String, String)>,
    /// Keys of the tags that stay down a chain.
    pub transitive_tag_keys: BTreeSet<String>,
    /// Source identity.
    pub source_identity: Option<String>,
}

impl WebIdentity {
    /// Reads the claims of a token.
    ///
    /// Sources: BC AssumeRoleWithWebIdentity `WebIdentityToken`; UG `id_session-tags.md` ("session tags with web identity") and
    /// `id_credentials_temp_control-access_monitor.md` for the two claims of AWS.
    ///
    /// # Errors
    /// `InvalidIdentityToken` without `iss`, `sub`, `aud` or `exp`.
    pub fn from_claims(claims: &Value) -> Result<Self, Failure> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let many = |name: &str| claims.get(name).map(owned).unwrap_or_default();
        let missing = |name: &str| Failure::new(400, "InvalidIdentityToken", format!("Missing a required claim: {name}"));
        let tags = claims.get(TAGS).and_then(|tags| tags.get("principal_tags")).and_then(Value::as_object);
        let tags = tags.into_iter().flatten();
        let expires_at = claims.get("exp").and_then(Value::as_i64).and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        let issuer = text("iss").ok_or_else(|| missing("iss"))?;
        let (url, _) = oidc_url_parts(&issuer);
        let identity = Self {
            claims: claims_with_keys(&url).iter().filter_map(|key| Some(((*key).to_owned(), claim(claims, key)?))).collect(),
            issuer,
            subject: text("sub").ok_or_else(|| missing("sub"))?,
            audiences: many("aud"),
            authorized_party: text("azp"),
            methods: many("amr"),
            expires_at: expires_at.ok_or_else(|| missing("exp"))?,
            tags: tags.filter_map(|(key, value)| Some((key.clone(), (*strings(value).first()?).to_owned()))).collect(),
            transitive_tag_keys: claims
                .get(TAGS)
                .and_then(|tags| tags.get("transitive_tag_keys"))
                .map(owned)
                .unwrap_or_default()
                .into_iter()
                .collect(),
            source_identity: text(SOURCE_IDENTITY),
        };
        if identity.audiences.is_empty() { Err(missing("aud")) } else { Ok(identity) }
    }

    /// The condition keys of the provider that stay with the session: its URL without scheme, then `aud`, `oaud`, `sub` or `amr`. Where the token has
    /// `azp`, that is what `aud` means, and `oaud` is the audience. Amazon and Facebook call application and user otherwise.
    ///
    /// Source: UG `reference_policies_iam-condition-keys.md`, "Available keys for AWS OIDC federation".
    pub fn session_keys(&self) -> BTreeMap<String, Vec<String>> {
        let issuer = self.provider_name();
        let audience = self.authorized_party.iter().cloned().collect::<Vec<_>>();
        let audience = if audience.is_empty() { self.audiences.clone() } else { audience };
        let subject = vec![self.subject.clone()];
        let values = match issuer.as_str() {
            "www.amazon.com" => vec![("app_id", audience), ("user_id", subject)],
            "graph.facebook.com" => vec![("app_id", audience), ("id", subject)],
            _ => vec![("aud", audience), ("oaud", self.audiences.clone()), ("sub", subject), ("amr", self.methods.clone())],
        };
        values.into_iter().filter(|(_, values)| !values.is_empty()).map(|(key, values)| (format!("{issuer}:{key}"), values)).collect()
    }

    /// The condition keys of the provider while a role is assumed: besides [`Self::session_keys`] those of other claims, which the session has no more.
    ///
    /// Source: UG, as above, "Available in session".
    pub fn condition_keys(&self) -> BTreeMap<String, Vec<String>> {
        let issuer = self.provider_name();
        let claims = self.claims.iter().map(|(key, value)| (format!("{issuer}:{key}"), vec![value.clone()]));
        self.session_keys().into_iter().chain(claims).collect()
    }

    /// The URL of the provider without its scheme.
    fn provider_name(&self) -> String {
        oidc_url_parts(&self.issuer).0
    }
}

/// A claim as the text that a condition compares. AWS writes the name of Google's claim with a colon, that of its key with a slash.
fn claim(claims: &Value, key: &str) -> Option<String> {
    match claims.get(key).or_else(|| claims.get(key.replacen('/', ":", 1)))? {
        Value::String(text) => Some(text.clone()),
        scalar @ (Value::Bool(_) | Value::Number(_)) => Some(scalar.to_string()),
        _ => None,
    }
}

fn owned(value: &Value) -> Vec<String> {
    strings(value).into_iter().map(str::to_owned).collect()
}

/// The name in trust policies of the provider that answers for a token, which must not have expired and must be meant for it: the ARN of the account's
/// provider, or the host of one that every account has, for whom any audience will do.
///
/// IAM does not look whether a provider exists when a trust policy names it, but STS does when a token comes.
/// Source: BC AssumeRoleWithWebIdentity (`InvalidIdentityToken`, `ExpiredTokenException`); the text about the provider as quoted in
/// treeverse/dvc.org#5273, those about expiry and audience [inf].
///
/// # Errors
/// `ExpiredTokenException`; `InvalidIdentityToken` without a provider in the account or with another audience.
pub fn provider(state: Option<&IamState>, identity: &WebIdentity, now: DateTime<Utc>) -> Result<String, Failure> {
    let invalid = |message: String| Failure::new(400, "InvalidIdentityToken", message);
    if identity.expires_at <= now {
        let message = format!(
            "Token expired: current date/time {} must be before the expiration date/time {}",
            now.timestamp(),
            identity.expires_at.timestamp()
        );
        return Err(Failure::new(400, "ExpiredTokenException", message));
    }
    let (name, url) = oidc_url_parts(&identity.issuer);
    if is_built_in(&name) {
        return Ok(name);
    }
    let end = format!(":oidc-provider/{url}");
    let provider = state.and_then(|state| state.oidc_providers.values().find(|provider| provider.arn.ends_with(&end)));
    let provider = provider.ok_or_else(|| invalid(format!("No OpenIDConnect provider found in your account for {}", identity.issuer)))?;
    let wanted = identity.authorized_party.as_ref().map_or(&identity.audiences[..], std::slice::from_ref);
    if wanted.iter().any(|audience| provider.client_id_list.contains(audience)) {
        Ok(provider.arn.clone())
    } else {
        Err(invalid("Incorrect token audience".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use fakecloud_iam::OidcProvider;
    use serde_json::json;

    use super::*;

    fn claims() -> Value {
        json!({"iss": "https://token.example.com/id/1", "sub": "repo:team/app", "aud": "sts.amazonaws.com", "exp": 2_000_000_000})
    }

    fn with(key: &str, value: Value) -> WebIdentity {
        let mut claims = claims();
        claims[key] = value;
        WebIdentity::from_claims(&claims).unwrap()
    }

    fn state(client_ids: &[&str]) -> IamState {
        let mut state = IamState::new("111111111111");
        let arn = "arn:aws:iam::111111111111:oidc-provider/token.example.com/id/1".to_owned();
        let provider = OidcProvider {
            arn: arn.clone(),
            url: "token.example.com/id/1".to_owned(),
            client_id_list: client_ids.iter().map(|id| (*id).to_owned()).collect(),
            thumbprint_list: Vec::new(),
            created_at: Utc::now(),
            tags: Vec::new(),
        };
        state.oidc_providers.insert(arn, provider);
        state
    }

    fn time(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn the_keys_begin_with_the_url_without_its_scheme() {
        let keys = WebIdentity::from_claims(&claims()).unwrap().condition_keys();
        assert_eq!(keys["token.example.com/id/1:sub"], ["repo:team/app"]);
        assert_eq!(keys["token.example.com/id/1:aud"], ["sts.amazonaws.com"]);
        assert!(!keys.contains_key("token.example.com/id/1:amr"));
    }

    fn of(issuer: &str, more: Value) -> WebIdentity {
        let mut claims = claims();
        claims["iss"] = json!(format!("https://{issuer}"));
        claims.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        WebIdentity::from_claims(&claims).unwrap()
    }

    #[test]
    fn statement_56_known_issuers_have_keys_for_more_claims_and_others_do_not() {
        let github = json!({"repository_id": "74", "repository_owner": "team", "run_number": 10, "ref": "refs/heads/main"});
        let keys = of("token.actions.githubusercontent.com", github.clone()).condition_keys();
        assert_eq!(keys["token.actions.githubusercontent.com:repository_id"], ["74"]);
        assert_eq!(keys["token.actions.githubusercontent.com:ref"], ["refs/heads/main"]);
        for absent in ["repository_owner", "run_number", "environment"] {
            assert!(!keys.contains_key(&format!("token.actions.githubusercontent.com:{absent}")), "{absent}");
        }
        for issuer in ["token.actions.githubusercontent.com/corp", "token.actions.corp.ghe.com", "github.com/enterprises/corp"] {
            assert_eq!(of(issuer, github.clone()).condition_keys()[&format!("{issuer}:ref")], ["refs/heads/main"]);
        }
        for issuer in ["example.com", "github.com", "token.actions.ghe.com", "token.actions.githubusercontent.com.example.com"] {
            assert!(!of(issuer, github.clone()).condition_keys().contains_key(&format!("{issuer}:ref")), "{issuer}");
        }
        for (issuer, claim, key, value) in [
            ("gitlab.com", "project_id", "project_id", json!("7")),
            ("agent.buildkite.com", "pipeline_slug", "pipeline_slug", json!("7")),
            ("oidc.circleci.com/org/1", "oidc.circleci.com/project-id", "oidc.circleci.com/project-id", json!("7")),
            ("idcs-1.identity.oraclecloud.com", "rpst_id", "rpst_id", json!("7")),
            ("accounts.google.com", "google:organization_number", "google/organization_number", json!(7)),
            ("example.com", "email", "email", json!("7")),
        ] {
            assert_eq!(of(issuer, json!({claim: value})).condition_keys()[&format!("{issuer}:{key}")], ["7"], "{issuer}");
        }
    }

    #[test]
    fn statement_56_such_claims_do_not_stay_with_the_session() {
        let identity = of("token.actions.githubusercontent.com", json!({"ref": "refs/heads/main"}));
        assert_eq!(
            identity.session_keys().into_keys().collect::<Vec<_>>(),
            ["token.actions.githubusercontent.com:aud", "token.actions.githubusercontent.com:oaud", "token.actions.githubusercontent.com:sub"]
        );
    }

    #[test]
    fn statement_58_providers_that_every_account_has_go_by_their_host() {
        for (host, application, user) in [
            ("cognito-identity.amazonaws.com", "aud", "sub"),
            ("accounts.google.com", "aud", "sub"),
            ("www.amazon.com", "app_id", "user_id"),
            ("graph.facebook.com", "app_id", "id"),
        ] {
            let identity = of(host, json!({}));
            assert_eq!(provider(None, &identity, time(0)), Ok(host.to_owned()));
            let keys = identity.session_keys();
            assert_eq!(keys[&format!("{host}:{application}")], ["sts.amazonaws.com"]);
            assert_eq!(keys[&format!("{host}:{user}")], ["repo:team/app"]);
            assert_eq!(keys.contains_key(&format!("{host}:sub")), user == "sub");
        }
        assert!(provider(None, &of("www.amazon.com/x", json!({})), time(0)).is_err());
    }

    #[test]
    fn an_authorized_party_takes_the_place_of_the_audience() {
        let keys = with("azp", json!("client")).condition_keys();
        assert_eq!(
            (&keys["token.example.com/id/1:aud"], &keys["token.example.com/id/1:oaud"]),
            (&vec!["client".to_owned()], &vec!["sts.amazonaws.com".to_owned()])
        );
    }

    #[test]
    fn the_claims_of_aws_carry_tags_and_source_identity() {
        let tags = with(TAGS, json!({"principal_tags": {"team": ["blue"]}, "transitive_tag_keys": ["team"]}));
        assert_eq!((tags.tags, tags.transitive_tag_keys), (vec![("team".to_owned(), "blue".to_owned())], BTreeSet::from(["team".to_owned()])));
        assert_eq!(with(SOURCE_IDENTITY, json!("alice")).source_identity.as_deref(), Some("alice"));
    }

    #[test]
    fn a_token_needs_its_claims() {
        for claim in ["iss", "sub", "aud", "exp"] {
            let mut claims = claims();
            claims[claim] = Value::Null;
            assert_eq!(WebIdentity::from_claims(&claims).unwrap_err().code, "InvalidIdentityToken", "{claim}");
        }
    }

    #[test]
    fn the_provider_must_be_there_and_expect_the_audience() {
        let identity = WebIdentity::from_claims(&claims()).unwrap();
        assert!(provider(Some(&state(&["sts.amazonaws.com"])), &identity, time(0)).is_ok());
        let refused = |state: Option<&IamState>| provider(state, &identity, time(0)).unwrap_err().message;
        assert_eq!(refused(Some(&state(&["other"]))), "Incorrect token audience");
        assert!(refused(Some(&IamState::new("111111111111"))).ends_with("for https://token.example.com/id/1"));
        assert!(refused(None).starts_with("No OpenIDConnect provider"));
    }

    #[test]
    fn a_token_ends_at_its_expiry() {
        let identity = WebIdentity::from_claims(&claims()).unwrap();
        let state = state(&["sts.amazonaws.com"]);
        assert!(provider(Some(&state), &identity, time(1_999_999_999)).is_ok());
        assert_eq!(provider(Some(&state), &identity, time(2_000_000_000)).unwrap_err().code, "ExpiredTokenException");
    }
}
