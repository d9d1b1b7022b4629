//! Identities that come from an OpenID Connect provider: what a token says, and which keys a trust policy can ask for.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use fakecloud_iam::{IamState, OidcProvider, oidc_url_parts};
use serde_json::Value;

use super::trust_policy::strings;
use crate::failure::Failure;

/// The claim with session tags: `{"principal_tags": {"key": ["value"]}, "transitive_tag_keys": ["key"]}`.
const TAGS: &str = "https://aws.amazon.com/tags";
/// The claim with the source identity.
const SOURCE_IDENTITY: &str = "https://aws.amazon.com/source_identity";

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
        let identity = Self {
            issuer: text("iss").ok_or_else(|| missing("iss"))?,
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

    /// The condition keys of the provider: its URL without scheme, then `aud`, `oaud`, `sub` or `amr`. Where the token has
    /// `azp`, that is what `aud` means, and `oaud` is the audience.
    ///
    /// Source: UG `reference_policies_iam-condition-keys.md`, "Available keys for AWS OIDC federation".
    pub fn condition_keys(&self) -> BTreeMap<String, Vec<String>> {
        let (issuer, _) = oidc_url_parts(&self.issuer);
        let audience = self.authorized_party.iter().cloned().collect::<Vec<_>>();
        let values = [
            ("aud", if audience.is_empty() { self.audiences.clone() } else { audience }),
            ("oaud", self.audiences.clone()),
            ("sub", vec![self.subject.clone()]),
            ("amr", self.methods.clone()),
        ];
        values.into_iter().filter(|(_, values)| !values.is_empty()).map(|(key, values)| (format!("{issuer}:{key}"), values)).collect()
    }
}

fn owned(value: &Value) -> Vec<String> {
    strings(value).into_iter().map(str::to_owned).collect()
}

/// The provider of the account that answers for a token, which must not have expired and must be meant for it.
///
/// IAM does not look whether a provider exists when a trust policy names it, but STS does when a token comes.
/// Source: BC AssumeRoleWithWebIdentity (`InvalidIdentityToken`, `ExpiredTokenException`); the text about the provider as quoted in
/// treeverse/dvc.org#5273, those about expiry and audience [inf].
///
/// # Errors
/// `ExpiredTokenException`; `InvalidIdentityToken` without a provider in the account or with another audience.
pub fn provider<'a>(state: Option<&'a IamState>, identity: &WebIdentity, now: DateTime<Utc>) -> Result<&'a OidcProvider, Failure> {
    let invalid = |message: String| Failure::new(400, "InvalidIdentityToken", message);
    if identity.expires_at <= now {
        let message = format!(
            "Token expired: current date/time {} must be before the expiration date/time {}",
            now.timestamp(),
            identity.expires_at.timestamp()
        );
        return Err(Failure::new(400, "ExpiredTokenException", message));
    }
    let (_, url) = oidc_url_parts(&identity.issuer);
    let end = format!(":oidc-provider/{url}");
    let provider = state.and_then(|state| state.oidc_providers.values().find(|provider| provider.arn.ends_with(&end)));
    let provider = provider.ok_or_else(|| invalid(format!("No OpenIDConnect provider found in your account for {}", identity.issuer)))?;
    let wanted = identity.authorized_party.as_ref().map_or(&identity.audiences[..], std::slice::from_ref);
    if wanted.iter().any(|audience| provider.client_id_list.contains(audience)) {
        Ok(provider)
    } else {
        Err(invalid("Incorrect token audience".to_owned()))
    }
}

#[cfg(test)]
mod tests {
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
