//! The control endpoints under `/_sim/`: accounts and what holds in them, identities from outside, the clock, settings, faults, the log of calls
//! and the state, all as JSON.

pub mod accounts;
pub mod calls;
pub mod clock;
pub mod documents;
pub mod faults;
pub mod organization;
pub mod quotas;
pub mod reserved_roles;
pub mod service_principals;
pub mod settings;
pub mod state;
pub mod throttling;
pub mod tokens;

use std::sync::Arc;

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use serde_json::json;

use crate::world::World;

/// The simulated AWS and the means to watch and disturb it.
#[derive(Default)]
pub struct Simulation {
    /// The AWS.
    pub world: World,
    /// Every call so far.
    pub calls: calls::Calls,
    /// What is to go wrong.
    pub faults: faults::Faults,
}

/// A request to a control endpoint that makes no sense.
#[derive(Debug)]
pub struct Refused {
    status: StatusCode,
    problem: String,
}

impl Refused {
    /// 400 with this text.
    pub fn bad_request(problem: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, problem: problem.into() }
    }

    /// 404: there is no such account.
    pub fn no_account(account_id: &str) -> Self {
        Self::not_found(format!("no account {account_id}"))
    }

    /// 404 with this text.
    pub fn not_found(problem: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, problem: problem.into() }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.problem }))).into_response()
    }
}

/// The routes below `/_sim`.
pub fn routes() -> Router<Arc<Simulation>> {
    Router::new()
        .route("/accounts", post(accounts::create))
        .route("/accounts/{id}/documents", put(documents::put))
        .route("/accounts/{id}/quotas", get(quotas::get).put(quotas::put))
        .route("/accounts/{id}/reserved-roles", post(reserved_roles::create))
        .route("/accounts/{id}/throttling", get(throttling::get).put(throttling::put))
        .merge(organization::routes("/accounts/{id}/service-control-policies", |account| &mut account.service_control_policies))
        .merge(organization::routes("/accounts/{id}/resource-control-policies", |account| &mut account.resource_control_policies))
        .route("/calls", get(calls::list).delete(calls::clear))
        .route("/clock", get(clock::get).put(clock::put))
        .route("/counts", get(calls::counts))
        .route("/faults", get(faults::list).post(faults::create).delete(faults::clear))
        .route("/faults/{id}", delete(faults::remove))
        .route("/faults/{id}/release", post(faults::release))
        .route("/service-assumptions", post(service_principals::assume))
        .route("/settings", get(settings::get).put(settings::put))
        .route("/state", get(state::dump))
        .route("/web-identity-tokens", post(tokens::mint))
        .fallback(|| async { Refused::not_found("no such control endpoint") })
}
