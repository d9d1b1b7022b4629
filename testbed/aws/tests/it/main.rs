//! The simulator from outside: signed calls over HTTP, as the AWS SDKs make them.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests may stop at the first surprise, as tests may")]

mod assume_role;
mod client;
mod clock;
mod conditions;
mod control;
mod entities;
mod faults;
mod identity_providers;
mod limits;
mod organization;
mod outsiders;
mod partitions;
mod permissions;
mod principals;
mod quotas;
mod reads;
mod sessions;
mod throttling;
