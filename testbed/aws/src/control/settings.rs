//! `GET` and `PUT /_sim/settings`.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};

use super::Simulation;

/// All settings.
#[derive(Debug, Serialize)]
pub struct Settings {
    #[serde(rename = "propagationDelayMs")]
    propagation_delay_ms: u64,
    #[serde(rename = "latencyMs")]
    latency_ms: u64,
    #[serde(rename = "pageSize")]
    page_size: u64,
    #[serde(rename = "unmodifiableMs")]
    unmodifiable_ms: u64,
    #[serde(rename = "uniqueIDsMs")]
    unique_ids_ms: u64,
}

/// The settings to change; absent ones stay.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    #[serde(rename = "propagationDelayMs")]
    propagation_delay_ms: Option<u64>,
    #[serde(rename = "latencyMs")]
    latency_ms: Option<u64>,
    #[serde(rename = "pageSize")]
    page_size: Option<u64>,
    #[serde(rename = "unmodifiableMs")]
    unmodifiable_ms: Option<u64>,
    #[serde(rename = "uniqueIDsMs")]
    unique_ids_ms: Option<u64>,
}

/// The settings as they are.
pub async fn get(State(simulation): State<Arc<Simulation>>) -> Json<Settings> {
    let settings = &simulation.world.settings;
    Json(Settings {
        propagation_delay_ms: settings.propagation_delay_ms(),
        latency_ms: settings.latency_ms(),
        page_size: settings.page_size(),
        unmodifiable_ms: settings.unmodifiable_ms(),
        unique_ids_ms: settings.unique_ids_ms(),
    })
}

/// Changes settings and returns all of them.
pub async fn put(state: State<Arc<Simulation>>, Json(change): Json<Change>) -> Json<Settings> {
    let settings = &state.world.settings;
    if let Some(value) = change.propagation_delay_ms {
        settings.set_propagation_delay_ms(value);
    }
    if let Some(value) = change.latency_ms {
        settings.set_latency_ms(value);
    }
    if let Some(value) = change.page_size {
        settings.set_page_size(value);
    }
    if let Some(value) = change.unmodifiable_ms {
        settings.set_unmodifiable_ms(value);
    }
    if let Some(value) = change.unique_ids_ms {
        settings.set_unique_ids_ms(value);
    }
    get(state).await
}
