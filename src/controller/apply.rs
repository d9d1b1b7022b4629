//! Carrying out a plan, one action after the other.

use tracing::{debug, info, warn};

use super::history::History;
use crate::aws::Gateway;
use crate::core::action::{Action, Receipt};
use crate::core::failure::Failure;
use crate::core::observed::Observed;
use crate::core::ownership::Owner;
use crate::core::permissions::is_stated;
use crate::core::plan::Plan;
use crate::core::refused::{Declaration, in_the_light_of};

/// Carries out a plan for `owner` and records in `observed` what that makes of AWS, action by action, so that it is true also where the plan ends early.
///
/// Returns the actions that were to take away what IAM says not to be there, where that proves nothing: `history` tells when it was made.
///
/// # Errors
/// The first failure, in the words of `declaration`. It quotes no document but those that stand there. What came before it is done and recorded; what comes after it is not begun.
pub async fn apply<'p>(
    gateway: &dyn Gateway,
    owner: &Owner,
    plan: &'p Plan,
    observed: &mut Observed,
    history: &History<'_>,
    declaration: &Declaration<'_>,
) -> Result<Vec<&'p Action>, Failure> {
    let mut unproven = vec![];
    for action in &plan.actions {
        let result = gateway.execute(action, owner).await;
        history.note(action, &result, observed);
        match result {
            Ok(Receipt::Missing) if !history.doubt_of(action).is_zero() => {
                info!(%action, "not there, as AWS says, which proves nothing yet");
                unproven.push(action);
            }
            Ok(receipt) => {
                info!(%action, "done in AWS");
                let receipt = if receipt == Receipt::Missing { Receipt::Done } else { receipt };
                observed.record(action, &receipt);
            }
            Err(failure) => {
                debug!(%action, message = failure.message, "AWS says");
                let failure = if is_stated(declaration.permissions, action) { failure } else { failure.quoting_nothing() };
                let failure = in_the_light_of(failure, action, observed, declaration);
                warn!(%action, reason = %failure.reason, message = failure.message, "not done in AWS");
                return Err(failure);
            }
        }
    }
    Ok(unproven)
}
