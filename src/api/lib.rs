//! The Kubernetes resources of the group `rolebridge.io`, version `v1alpha1`.
//!
//! Plain types with their schemas and nothing else: no I/O and no decisions. Everything that the API server can check, it
//! checks ([`schema`]), so that most mistakes are answered by `kubectl apply` itself. [`crds`] gives the finished
//! CustomResourceDefinitions, and [`installation_files`] what `crds/` and the chart of the CRDs hold generated copies of.

pub mod account;
pub mod common;
pub mod conditions;
pub mod document;
pub mod guardrails;
pub mod permissions;
pub mod protection;
pub mod reading;
pub mod role;
pub mod schema;
pub mod trust;
pub mod user;

mod crd;
mod install;

pub use account::{AWSAccount, AWSAccountSpec, AWSAccountStatus};
pub use common::{Condition, Managed};
pub use conditions::Reason;
pub use crd::crds;
pub use install::installation_files;
pub use role::{CrossAccountRole, CrossAccountRoleSpec, CrossAccountRoleStatus};
pub use user::{BastionUser, BastionUserSpec, BastionUserStatus};

/// The API group of all kinds.
pub const GROUP: &str = "rolebridge.io";
/// The version that is served and stored.
pub const VERSION: &str = "v1alpha1";
/// The finalizer that keeps a resource until what it owns in AWS is gone.
pub const FINALIZER: &str = "rolebridge.io/finalizer";
/// The annotation by which a platform administrator gives up what a resource owns in AWS, when the account cannot be reached any more.
pub const ABANDON: &str = "rolebridge.io/abandon";
/// The annotation that tells, together with the finalizer, the names of the customer-managed policies that are about to be made, since IAM finds a policy by its
/// ARN alone, and the ARN of the permissions boundary that the account puts on. What comes later is told in the status.
pub const ANNOUNCED: &str = "rolebridge.io/policies";
/// The annotation of an AWSAccount by which a platform administrator confirms the deletions of its users and roles that were asked for until a time.
pub const CONFIRM_DELETIONS: &str = "rolebridge.io/confirm-deletions";
/// The field manager of every write that the operator makes, and the reporter of its Events.
pub const MANAGER: &str = "rolebridge";
