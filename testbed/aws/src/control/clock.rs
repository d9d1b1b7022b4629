//! `GET` and `PUT /_sim/clock`: how far the time of the simulated AWS is from that of the machine.

use std::sync::Arc;

use axum::{Json, extract::State};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::{Refused, Simulation};

/// The time of the simulated AWS.
#[derive(Debug, Serialize)]
pub struct Clock {
    /// RFC 3339 with milliseconds.
    now: String,
    /// Ahead of the machine's clock, or behind it when negative.
    #[serde(rename = "offsetSeconds")]
    offset_seconds: i64,
}

/// Where to move it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    #[serde(rename = "offsetSeconds")]
    offset_seconds: i64,
}

/// The time as it is.
pub async fn get(State(simulation): State<Arc<Simulation>>) -> Json<Clock> {
    let world = &simulation.world;
    let now: DateTime<Utc> = world.now();
    Json(Clock { now: now.to_rfc3339_opts(SecondsFormat::Millis, true), offset_seconds: world.settings.clock_offset_seconds() })
}

/// Moves it. The offset counts from the machine's clock, not from where it was.
///
/// # Errors
/// 400 for more than a hundred years.
pub async fn put(state: State<Arc<Simulation>>, Json(change): Json<Change>) -> Result<Json<Clock>, Refused> {
    const CENTURY: i64 = 100 * 365 * 86_400;
    if !(-CENTURY..=CENTURY).contains(&change.offset_seconds) {
        return Err(Refused::bad_request("offsetSeconds is more than a hundred years"));
    }
    state.world.settings.set_clock_offset_seconds(change.offset_seconds);
    Ok(get(state).await)
}
