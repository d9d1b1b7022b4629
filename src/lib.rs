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

pub mod api;
pub mod aws;
pub mod cli;
pub mod controller;
pub mod core;
pub mod runtime;
