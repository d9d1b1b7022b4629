//! What this process remembers between passes. All of it can be lost at any time.

pub mod accounts;
pub mod deeds;
pub mod deletions;
pub mod home;
pub mod liveness;
pub mod memory;
pub mod observation;
pub mod retry;
pub mod sweeps;
pub mod unowned;
