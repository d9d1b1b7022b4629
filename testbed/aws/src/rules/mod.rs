//! What AWS does and the crates do not, one named function for each rule, each with its source.
//!
//! Sources are abbreviated: UG is the IAM User Guide, BC are botocore's service models of IAM and STS, SAR is the
//! Service Authorization Reference, TF is the Terraform AWS provider. `[inf]` marks an inference.

pub mod access_denied;
pub mod account_details;
pub mod assume_role;
pub mod boundaries;
pub mod characters;
pub mod clock;
pub mod condition_keys;
pub mod deletion;
pub mod existence;
pub mod identifiers;
pub mod known_services;
pub mod last_use;
pub mod managed_policies;
pub mod names;
pub mod outsiders;
pub mod paging;
pub mod partitions;
pub mod passwords;
pub mod principals;
pub mod propagation;
pub mod protected;
pub mod quotas;
pub mod resource_control;
pub mod resources;
pub mod s3;
pub mod service_control;
pub mod sessions;
pub mod shared_issuers;
pub mod tags;
pub mod throttling;
pub mod trust_policy;
pub mod unique_ids;
pub mod unmodifiable;
pub mod web_identity;
