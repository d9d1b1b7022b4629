//! `POST /_sim/service-assumptions`: a service of AWS tries to assume a role.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refused, Simulation};
use crate::{
    rules::access_denied::Denial,
    services::service_principal::{self, Assumption, Refusal},
};

/// What a service asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// For example `lambda.amazonaws.com`.
    service: String,
    #[serde(rename = "roleARN")]
    role_arn: String,
    #[serde(rename = "sessionName", default = "session_name")]
    session_name: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    /// Which of the tags stay down a chain.
    #[serde(rename = "transitiveTagKeys", default)]
    transitive_tag_keys: Vec<String>,
    /// Condition keys by name, such as `aws:SourceArn`.
    #[serde(default)]
    conditions: BTreeMap<String, String>,
}

fn session_name() -> String {
    "service".to_owned()
}

fn refused(reason: &str, action: &str, denial: Denial) -> Json<Value> {
    Json(json!({"allowed": false, "reason": reason, "action": action, "explicitDeny": denial.explicit}))
}

/// Tries it, and tells whether the service gets the role: `{"allowed": true}` with credentials, or `{"allowed": false}` with the
/// reason and, where the trust policy refuses, the action and whether a statement denies it.
///
/// # Errors
/// 400 for a service that does not exist, and for a session name or tags that no session can have.
pub async fn assume(State(simulation): State<Arc<Simulation>>, Json(wanted): Json<Wanted>) -> Result<Json<Value>, Refused> {
    let asked = Assumption {
        service: wanted.service,
        role_arn: wanted.role_arn,
        session_name: wanted.session_name,
        tags: wanted.tags.into_iter().collect(),
        transitive_tag_keys: wanted.transitive_tag_keys,
        keys: wanted.conditions,
    };
    match service_principal::assume(&simulation.world, &asked) {
        Ok(session) => Ok(Json(json!({
            "allowed": true,
            "accountID": session.account_id,
            "accessKeyID": session.access_key_id,
            "secretAccessKey": session.secret_access_key,
            "sessionToken": session.session_token,
        }))),
        Err(Refusal::Invalid(failure)) => Err(Refused::bad_request(failure.message)),
        Err(Refusal::NoSuchRole) => Ok(Json(json!({"allowed": false, "reason": "NoSuchRole"}))),
        Err(Refusal::ResourceControl { action, denial }) => Ok(refused("ResourceControlPolicy", action, denial)),
        Err(Refusal::Trust { action, denial }) => Ok(refused("RoleTrustPolicy", action, denial)),
    }
}
