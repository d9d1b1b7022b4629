//! End-to-end tests: a real API server, the real kubectl and AWS CLI, the operator's real binary, and an AWS that enforces policies.

mod admission;
mod api_server;
mod assume;
mod bootstrap;
mod campaign;
mod change;
mod chart;
mod conditions;
mod crash;
mod examples;
mod grants;
mod health;
mod invariants;
mod isolation;
mod namespace;
mod order;
mod ownership;
mod recipe;
mod restart;
mod secrets;
mod stepper;
mod support;
mod sweep;
mod trust;
mod unreadable;
mod waiting;
