//! The whole operator in a simulated world: one thread, paused time, one seed.
//!
//! The real controller (its watches, caches, memory, retries, sweeps, deletion and status) runs against a model of the API server and one of IAM.
//!
//! ```text
//!   workload ──> schedule ──> run ──> controller::run (the product)
//!   (a seed)                   │        │ wire ──> api_server     each call: delayed, struck,
//!                              │        └ gateway ──> iam         and checked after it
//!                              ├──> people (in Kubernetes, in AWS)
//!                              └──> checker (after every call), settled (at the end) ──> shrink, story
//! ```

pub mod acts;
pub mod api_server;
pub mod aws_state;
pub mod checker;
pub mod crash;
pub mod declared;
pub mod determinism;
pub mod gateway;
pub mod guardrails;
pub mod iam;
pub mod people;
pub mod random;
pub mod resources;
pub mod run;
pub mod schedule;
pub mod settled;
pub mod shrink;
pub mod simulate;
pub mod wire;
pub mod workload;
pub mod world;
