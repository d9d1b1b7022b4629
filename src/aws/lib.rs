//! AWS as it is: the only part of the program that speaks to it, or names its SDK.
//!
//! An [`Account`] is the way into one account of AWS, with clients, credentials, timeouts and a request budget of its own, so that one
//! throttled or closed account never delays another. Its [`Gateway`] reads what one resource has in IAM and executes
//! [`Action`](rolebridge_core::action::Action)s, one by one. Whatever goes wrong is classed once, in [`errors`], into a
//! [`Failure`](rolebridge_core::failure::Failure). Nothing here decides anything, and nothing is retried here: the controller does that, since it
//! knows what is safe to do again.

mod access;
mod account;
mod backend;
mod config;
mod credentials;
pub mod errors;
mod gateway;
mod limits;
mod own;
mod sdk;
mod secret;
mod session;
#[cfg(test)]
mod test_server;

pub use access::{AccessConfig, AccountConfig, LimitsConfig};
pub use account::{Account, Permit};
pub use backend::{Backend, Meter};
pub use config::BaseConfig;
pub use gateway::{Caller, Gateway};
pub use own::OwnIdentity;
pub use secret::{SecretEntries, Secrets};

/// Parts of the SDK (log targets) that warn of an error with the whole answer of AWS. It can have in it the external ID, where AWS finds fault with it,
/// or the session token, where AWS finds the signature wrong. The same error becomes a [`Failure`](rolebridge_core::failure::Failure) without them.
pub const WARN_WITH_ANSWERS: [&str; 4] = ["aws_config::meta", "aws_config::profile", "aws_config::sts", "aws_config::web_identity_token"];
