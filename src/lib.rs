//! Rolebridge: a Kubernetes operator that manages cross-account AWS access the bastion way.
//!
//! Data flows one way. The resources ([`api`]) and what AWS has ([`aws`]) are plain values to the [`core`], which decides without any
//! I/O; the [`controller`] carries the values in and the decisions out. [`cli`] and [`runtime`] are what surrounds a process.
//!
//! ```text
//!   resources (api) ───┐
//!                      ├──> core ──> plan ──> controller ──> aws: IAM
//!   observed (aws) ────┘                          └────────> status
//! ```

pub use rolebridge_api as api;
pub use rolebridge_aws as aws;
pub use rolebridge_core as core;

pub mod cli;
pub mod controller;
pub mod runtime;
