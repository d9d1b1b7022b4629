//! The controller: carries what the API server and AWS have into the core, and its decisions out to both.
//!
//! Every kind takes the same way through [`reconcile`]: resolve, validate, observe, plan, apply, report.

mod apply;
pub mod caches;
mod context;
mod fate;
mod finalize;
mod health;
mod history;
mod kinds;
mod memory;
mod observe;
mod pass;
mod reconcile;
pub mod relations;
mod report;
mod resolve;
mod retry;
mod run;
mod secrets;
mod sweep;
#[cfg(test)]
mod tests;
mod work;

pub use context::Settings;
pub use health::Health;
pub use run::{run, watched};
pub use secrets::NamespaceSecrets;
