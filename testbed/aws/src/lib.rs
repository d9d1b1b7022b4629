//! An AWS for tests: IAM, STS and S3 of any number of accounts, with verified signatures and enforced policies.
//!
//! ```text
//! connection -> front (log, latency, faults) -> gateway -> caller    who signed this
//!                        |                         |    -> authorize  may they do it
//!                        v                         v    -> services   do it
//!                     control                    world        ^
//!                                                             |
//!                                      rules: what AWS does beyond the crates
//! ```
//!
//! State, request handlers and the policy language come from the `fakecloud` crates. Where those differ from AWS,
//! the module [`rules`] holds one named function for each correction, with its source.

pub mod authorize;
pub mod caller;
pub mod connection;
pub mod control;
pub mod failure;
pub mod front;
pub mod gateway;
pub mod rules;
mod server;
pub mod service;
pub mod services;
pub mod wire;
pub mod world;

pub use server::Simulator;
