//! Rolebridge: a Kubernetes operator that manages cross-account AWS access the bastion way.
//!
//! Data flows one way. The resources ([`api`]) and what AWS has ([`aws`]) are plain values to the [`core`], which decides
//! without any I/O; the [`controller`] carries the values in and the decisions out.
//!
//! ```text
//!   api  ->  core  ->  controller  ->  status
//!             ^            |
//!             |            v
//!          observed  <-   aws
//! ```

pub mod api;
pub mod core;
