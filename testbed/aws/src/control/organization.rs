//! What the organisation of an account lets happen there: `GET` and `PUT /_sim/accounts/{id}/service-control-policies` and
//! `/_sim/accounts/{id}/resource-control-policies`.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::get,
};
use serde_json::Value;

use super::{Refused, Simulation};
use crate::world::Account;

/// Levels from the root of the organisation down to the account, each a list of documents.
type Levels = Vec<Vec<Value>>;

/// The routes for one kind of policy, which `of` finds in an account.
///
/// `GET` returns the policies, and `PUT` replaces them: an empty list of levels means no limit. There is 404 when there is no such account, and 400
/// for a document without statements.
pub fn routes(path: &str, of: fn(&mut Account) -> &mut Levels) -> Router<Arc<Simulation>> {
    let list = move |State(simulation): State<Arc<Simulation>>, Path(id): Path<String>| async move {
        simulation.world.change_account(&id, |account| Json(of(account).clone())).ok_or_else(|| Refused::no_account(&id))
    };
    let replace = move |State(simulation): State<Arc<Simulation>>, Path(id): Path<String>, Json(levels): Json<Levels>| async move {
        if levels.iter().flatten().any(|document| document.get("Statement").is_none()) {
            return Err(Refused::bad_request("each policy must be a document with a Statement"));
        }
        let replaced = simulation.world.change_account(&id, |account| {
            *of(account) = levels;
            Json(of(account).clone())
        });
        replaced.ok_or_else(|| Refused::no_account(&id))
    };
    Router::new().route(path, get(list).put(replace))
}
