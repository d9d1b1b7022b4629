//! What Rolebridge decides, as pure functions over plain values: no runtime, no client, no clock, no environment. Time comes in as
//! an argument where it matters.
//!
//! [`grants`] says which grants stand, [`desired`] turns resources into the wanted state of an IAM identity, [`observed`] holds what
//! AWS has, [`plan`] is the ordered list of [`action`]s from one to the other, [`outcome`] says it in conditions, and [`status`] what else a
//! resource tells. [`subject`] has what a user and a role have in common. [`sweep`] says of many resources at once whether their plan is empty, and [`absence`] when it is believed that something is not
//! there.

pub mod abandon;
pub mod absence;
pub mod access;
pub mod action;
pub mod assume;
pub mod attachable;
pub mod bootstrap;
pub mod boundary;
pub mod brake;
pub mod called_via;
pub mod callers;
pub mod canonical;
pub mod desired;
pub mod document;
pub mod encoding;
pub mod external_roles;
pub mod failure;
pub mod grants;
pub mod groups;
pub mod guardrails;
pub mod hand_back;
pub mod home;
pub mod identity;
pub mod issuers;
pub mod listed;
pub mod managed_policies;
pub mod names;
pub mod naming;
pub mod observed;
pub mod ours;
pub mod outcome;
pub mod ownership;
pub mod permissions;
pub mod placement;
pub mod plan;
pub mod pod_target;
pub mod possible;
pub mod quotas;
pub mod refused;
pub mod release;
pub mod require;
pub mod services;
pub mod source;
pub mod sources;
mod spelling;
pub mod status;
pub mod step;
pub mod subject;
pub mod sweep;
pub mod tenancy;
pub mod transitive_tags;
pub mod trust;
pub mod unmanaged;
pub mod wanted;
pub mod warnings;
pub mod world;
pub mod written;
