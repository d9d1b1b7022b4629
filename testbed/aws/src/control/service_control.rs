//! `GET` and `PUT /_sim/accounts/{id}/service-control-policies`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::Value;

use super::{Refused, Simulation};

/// The policies of an account, by level.
///
/// # Errors
/// 404 when there is no such account.
pub async fn get(State(simulation): State<Arc<Simulation>>, Path(id): Path<String>) -> Result<Json<Vec<Vec<Value>>>, Refused> {
    simulation.world.of_account(&id, |account| Json(account.service_control_policies.clone())).ok_or_else(|| Refused::no_account(&id))
}

/// Replaces them: a list of levels, from the root of the organisation to the account, each a list of documents. An empty list means that the
/// account is not limited.
///
/// # Errors
/// 404 when there is no such account, 400 for a document without statements.
pub async fn put(
    state: State<Arc<Simulation>>,
    Path(id): Path<String>,
    Json(levels): Json<Vec<Vec<Value>>>,
) -> Result<Json<Vec<Vec<Value>>>, Refused> {
    if levels.iter().flatten().any(|document| document.get("Statement").is_none()) {
        return Err(Refused::bad_request("each policy must be a document with a Statement"));
    }
    let changed = state.world.change_account(&id, |account| account.service_control_policies = levels);
    changed.ok_or_else(|| Refused::no_account(&id))?;
    get(state, Path(id)).await
}
