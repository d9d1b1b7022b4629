//! Reading what a resource has in AWS, and what that says of whether what was made for it lives.

use super::context::Context;
use super::fate::settle;
use super::history::History;
use crate::api::Reason;
use crate::aws::Gateway;
use crate::core::absence::{Thing, contradiction};
use crate::core::failure::Failure;
use crate::core::observed::{Observed, Scope};
use crate::core::ownership::Owner;
use crate::core::world::Ref;

/// Whose things are read.
pub struct Subject<'a> {
    /// The resource.
    pub of: &'a Ref,
    /// Whose its things in AWS are.
    pub owner: &'a Owner,
    /// When something was made for it.
    pub history: &'a History<'a>,
}

/// Reads what a resource has in AWS directly.
///
/// # Errors
/// Where anything could not be read, or IAM contradicts itself since it does not show everywhere what was just made.
pub async fn read(gateway: &dyn Gateway, scope: &Scope, history: &History<'_>) -> Result<Observed, Failure> {
    let observed = history.as_known(gateway.observe(scope).await?);
    match contradiction(&observed, scope) {
        Some(policy) => {
            let message = format!("policy {policy} is attached, and IAM does not show it yet: looked at again");
            Err(Failure::refused(Reason::Propagating, message))
        }
        None => Ok(observed),
    }
}

/// Reads what a resource has in AWS directly, and takes note of what that says of its user or role.
///
/// # Errors
/// As [`read`].
pub async fn observe(context: &Context, gateway: &dyn Gateway, scope: &Scope, subject: Subject<'_>) -> Result<Observed, Failure> {
    let observed = read(gateway, scope, subject.history).await?;
    subject.history.read(&observed);
    let is_in_doubt = !subject.history.doubt(&Thing::Identity).is_zero();
    settle(context, subject.of, scope.pinned.as_ref(), |id| observed.shows(id, subject.owner, is_in_doubt));
    Ok(observed)
}
