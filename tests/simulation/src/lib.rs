//! The whole operator in a simulated world: one thread, paused time, one seed.

pub mod api_server;
pub mod iam;
pub mod random;
