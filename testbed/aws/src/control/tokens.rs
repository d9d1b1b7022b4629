//! `POST /_sim/web-identity-tokens`: the simulator as any OpenID Connect provider.

use std::sync::Arc;

use axum::{Json, extract::State};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use fakecloud_iam::xml_responses;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Refused, Simulation};

/// What the token is to say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// `iss`, with its scheme.
    #[serde(rename = "providerURL")]
    provider_url: String,
    /// `sub`.
    subject: String,
    /// `aud`: a text, or a list of them.
    audience: Value,
    /// Further claims; they win over the others.
    #[serde(default)]
    claims: Map<String, Value>,
    /// How long it is valid.
    #[serde(rename = "expiresInSeconds", default = "an_hour")]
    expires_in_seconds: i64,
}

fn an_hour() -> i64 {
    3_600
}

/// The token.
#[derive(Debug, Serialize)]
pub struct Minted {
    token: String,
}

/// Mints a token in the form of a signed JWT. Its signature is made up, since nobody but the simulator verifies it, by knowing
/// what it minted.
///
/// # Errors
/// 400 for a URL without `https://`, which IAM demands of providers.
pub async fn mint(State(simulation): State<Arc<Simulation>>, Json(wanted): Json<Wanted>) -> Result<Json<Minted>, Refused> {
    if !wanted.provider_url.starts_with("https://") {
        return Err(Refused::bad_request("providerURL must begin with https://"));
    }
    let now = simulation.world.now().timestamp();
    let mut claims = Map::new();
    for (key, value) in [
        ("iss", json!(wanted.provider_url)),
        ("sub", json!(wanted.subject)),
        ("aud", wanted.audience),
        ("iat", json!(now)),
        ("exp", json!(now.saturating_add(wanted.expires_in_seconds))),
    ] {
        claims.insert(key.to_owned(), value);
    }
    claims.extend(wanted.claims);
    let claims = Value::Object(claims);
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": "simulated"});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signature = URL_SAFE_NO_PAD.encode(xml_responses::generate_session_token());
    let token = format!("{}.{}.{signature}", part(&header), part(&claims));
    simulation.world.identity_tokens.write().insert(token.clone(), claims);
    Ok(Json(Minted { token }))
}
