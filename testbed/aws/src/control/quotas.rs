//! `GET` and `PUT /_sim/accounts/{id}/quotas`: the quotas of one account, by their keys in `GetAccountSummary`.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
};

use super::{Refused, Simulation};

/// The quotas as they are.
///
/// # Errors
/// 404 when there is no such account.
pub async fn get(State(simulation): State<Arc<Simulation>>, Path(id): Path<String>) -> Result<Json<BTreeMap<&'static str, usize>>, Refused> {
    simulation.world.of_account(&id, |account| Json(account.quotas.all().clone())).ok_or_else(|| Refused::no_account(&id))
}

/// Changes the quotas that are named and returns all of them. What is there already stays, even where it is too much now.
///
/// # Errors
/// 404 when there is no such account, 400 for what is no quota and for values that AWS gives nobody.
pub async fn put(
    state: State<Arc<Simulation>>,
    Path(id): Path<String>,
    Json(changes): Json<BTreeMap<String, usize>>,
) -> Result<Json<BTreeMap<&'static str, usize>>, Refused> {
    let changed = state.world.change_account(&id, |account| account.quotas.with(&changes).map(|quotas| account.quotas = quotas));
    changed.ok_or_else(|| Refused::no_account(&id))?.map_err(Refused::bad_request)?;
    get(state, Path(id)).await
}
