//! What a process needs around the controller: logs, and an orderly end.

pub mod shutdown;
pub mod telemetry;
