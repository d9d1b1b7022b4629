//! `POST /_sim/accounts/{id}/reserved-roles`: roles as AWS itself makes them, where nobody else may.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use fakecloud_iam::IamRole;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refused, Simulation};
use crate::rules::{identifiers, protected};

/// The role to make.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    #[serde(rename = "roleName")]
    role_name: String,
    path: String,
    /// Stored as it is: AWS knows its own principals.
    #[serde(rename = "assumeRolePolicyDocument")]
    trust_policy: Value,
}

/// Makes a role such as those of IAM Identity Center, `/aws-reserved/sso.amazonaws.com/AWSReservedSSO_...`, or replaces it, and returns its ARN
/// and unique id. IAM refuses to change it.
///
/// # Errors
/// 404 when there is no such account, 400 for a path that AWS does not keep for itself.
pub async fn create(State(simulation): State<Arc<Simulation>>, Path(id): Path<String>, Json(wanted): Json<Wanted>) -> Result<Json<Value>, Refused> {
    let world = &simulation.world;
    if !world.has_account(&id) {
        return Err(Refused::no_account(&id));
    }
    if !protected::is_reserved(&wanted.path) || !wanted.path.ends_with('/') {
        return Err(Refused::bad_request("path must begin with /aws-reserved/ or /aws-service-role/ and end with /"));
    }
    let role = IamRole {
        role_id: identifiers::unique_id("AROA"),
        arn: format!("arn:{}:iam::{id}:role{}{}", world.partition_of(&id), wanted.path, wanted.role_name),
        path: wanted.path,
        assume_role_policy_document: wanted.trust_policy.to_string(),
        created_at: world.now(),
        description: None,
        max_session_duration: 43_200,
        tags: Vec::new(),
        permissions_boundary: None,
        role_name: wanted.role_name,
    };
    let made = json!({"arn": role.arn, "roleID": role.role_id});
    world.iam.write().get_or_create(&id).roles.insert(role.role_name.clone(), role);
    Ok(Json(made))
}
