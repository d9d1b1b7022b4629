//! Carrying out a plan, one action after the other.

use tracing::{info, warn};

use crate::aws::Gateway;
use crate::core::failure::Failure;
use crate::core::observed::Observed;
use crate::core::plan::Plan;

/// Carries out a plan and records in `observed` what that makes of AWS, action by action, so that it is true also where the plan ends early.
///
/// # Errors
/// The first failure. What came before it is done and recorded; what comes after it is not begun.
pub async fn apply(gateway: &dyn Gateway, plan: &Plan, observed: &mut Observed) -> Result<(), Failure> {
    for action in &plan.actions {
        match gateway.execute(action).await {
            Ok(receipt) => {
                info!(%action, "done in AWS");
                observed.record(action, &receipt);
            }
            Err(failure) => {
                let failure = failure.in_the_light_of(action, observed);
                warn!(%action, reason = %failure.reason, message = failure.message, "not done in AWS");
                return Err(failure);
            }
        }
    }
    Ok(())
}
