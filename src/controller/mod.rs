//! The controller: carries what the API server and AWS have into the core, and its decisions out to both.
//!
//! Every kind takes the same way through [`reconcile`]: resolve, validate, observe, plan, apply, report.

mod account;
mod apply;
pub mod cluster;
mod context;
mod ending;
mod hand_back;
mod health;
mod held;
mod history;
mod home;
mod identity;
mod observe;
mod pass;
mod reconcile;
mod removal;
mod report;
mod resolve;
mod run;
pub mod state;
mod sweep;
#[cfg(test)]
mod tests;
mod work;
pub mod world;

pub use cluster::secrets::NamespaceSecrets;
pub use context::Settings;
pub use hand_back::{HandedBack, Order, Tally, hand_back};
pub use health::Health;
pub use run::{run, watched};
