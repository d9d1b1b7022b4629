//! End-to-end tests: a real API server, the real kubectl and AWS CLI, the operator's real binary, and an AWS that enforces policies.

mod admission;
mod conditions;
mod examples;
mod recipe;
mod restart;
mod support;
mod unreadable;
mod waiting;
