//! What a process needs around the controller: logs, health over HTTP, and an orderly end.

pub mod server;
pub mod shutdown;
pub mod telemetry;
