//! A whole simulation: the steps of a schedule, and what must hold in the end.

use crate::determinism::simulated;
use crate::run::{Outcome, Run};
use crate::schedule::Schedule;
use crate::settled;

/// Carries out a schedule.
pub fn carry_out(schedule: &Schedule, keeps_lines: bool) -> Outcome {
    let schedule = schedule.clone();
    simulated(schedule.seed, async move {
        let mut run = Run::begin(schedule, keeps_lines);
        if run.steps().await {
            settled::check(&mut run).await;
        }
        run.outcome()
    })
}
