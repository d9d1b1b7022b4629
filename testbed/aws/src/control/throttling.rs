//! `GET` and `PUT /_sim/accounts/{id}/throttling`.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
};

use super::{Refused, Simulation};
use crate::rules::throttling::{Limit, OperationClass};

type Limits = BTreeMap<OperationClass, Limit>;

/// The limits of an account, by class of operations.
///
/// # Errors
/// 404 when there is no such account.
pub async fn get(State(simulation): State<Arc<Simulation>>, Path(id): Path<String>) -> Result<Json<Limits>, Refused> {
    if simulation.world.has_account(&id) { Ok(Json(simulation.world.throttles.get(&id))) } else { Err(Refused::no_account(&id)) }
}

/// Replaces them; classes that are not named are not throttled any more.
///
/// # Errors
/// 404 when there is no such account, 400 for a negative rate.
pub async fn put(state: State<Arc<Simulation>>, Path(id): Path<String>, Json(limits): Json<Limits>) -> Result<Json<Limits>, Refused> {
    if limits.values().any(|limit| limit.rate < 0.0) {
        return Err(Refused::bad_request("rate must not be negative"));
    }
    if state.world.has_account(&id) {
        state.world.throttles.set(&id, &limits);
    }
    get(state, Path(id)).await
}
