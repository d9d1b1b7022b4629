//! The way into an account that is reached through others.

use super::outcome::Problem;
use super::placement::{ResolvedAccount, resolve_account};
use super::world::World;
use rolebridge_api::{AWSAccount, Reason};

/// Most AWSAccounts that lead into another. Each costs a call whenever a session ends, and is one more whose loss closes all behind it.
const MOST_VIA: usize = 4;

/// What is told with Ready of an account that is entered by the keys of a user.
pub const LONG_LIVED_KEYS: &str =
    "spec.access.secretRef: keys of a user stay valid until somebody takes them away; prefer assumeRole or ambient, or rotate them";

/// Name of the AWSAccount whose session assumes the management role of this one, if any.
pub fn via(account: &AWSAccount) -> Option<&str> {
    Some(account.spec.access.assume_role.as_ref()?.via.as_ref()?.name.as_str())
}

/// What keeps a management role from leading into its account for ever: it is of another one. That would be told by STS only once the role was assumed.
fn check_role(at: &ResolvedAccount) -> Result<(), Problem> {
    let Some(role) = &at.account.spec.access.assume_role else { return Ok(()) };
    let right = format!("arn:{}:iam::{}:role/", at.partition, at.id);
    if role.role_arn.starts_with(&right) {
        return Ok(());
    }
    let message = format!(
        "spec.access.assumeRole.roleARN: {} is of the wrong account or partition: AWSAccount {} is account {} in partition {}; write the ARN of a role there, \
         {right}NAME, and to get there through another account, set via",
        role.role_arn, at.name, at.id, at.partition
    );
    Err(Problem::new(Reason::AccountMismatch, message))
}

/// The AWSAccounts by which the operator gets into this one, from the one that it enters with credentials of its own to this one itself.
///
/// # Errors
/// [`Reason::AccountMismatch`] where the management role is another account's; [`Reason::InvalidSpec`] where the way goes round in a circle, is too long or leaves
/// the partition; [`Reason::AccountNotReady`] where an AWSAccount on it does
/// not exist or is not entered now. The message names all of the way that is known.
pub fn access_chain(world: &dyn World, to: &ResolvedAccount) -> Result<Vec<ResolvedAccount>, Problem> {
    check_role(to)?;
    let names = names(world, to)?;
    let told = told(&names);
    let mut way = vec![to.clone()];
    for name in &names[1..] {
        let at = resolve_account(world, name).map_err(|problem| Problem::new(Reason::AccountNotReady, format!("{told}: {}", problem.message)))?;
        if at.partition != to.partition {
            let message = format!(
                "{told}: {name} is in partition {} and {} in {}; no role is assumed from one to another",
                at.partition, to.name, to.partition
            );
            return Err(Problem::new(Reason::InvalidSpec, message));
        }
        if !is_entered(&at.account) {
            let message = format!("{told}: the operator is not in AWSAccount {name} itself; look at its conditions");
            return Err(Problem::new(Reason::AccountNotReady, message));
        }
        way.push(at);
    }
    way.reverse();
    Ok(way)
}

/// The names on the way, this account's first.
fn names(world: &dyn World, to: &ResolvedAccount) -> Result<Vec<String>, Problem> {
    let mut names = vec![to.name.clone()];
    let mut account = to.account.clone();
    while let Some(next) = via(&account) {
        let is_circle = names.iter().any(|name| name == next);
        names.push(next.to_owned());
        if is_circle {
            return Err(Problem::new(Reason::InvalidSpec, format!("{}, which goes round in a circle: correct one of these", told(&names))));
        }
        if names.len() > MOST_VIA + 1 {
            let message = format!("{}, and {MOST_VIA} accounts may lead into another at most: let one of these be reached directly", told(&names));
            return Err(Problem::new(Reason::InvalidSpec, message));
        }
        account = world
            .account(next)
            .ok_or_else(|| Problem::new(Reason::AccountNotReady, format!("{}: there is no AWSAccount {next}; create it", told(&names))))?;
    }
    Ok(names)
}

fn told(names: &[String]) -> String {
    format!("spec.access.assumeRole.via: {} is reached through {}", names[0], names[1..].join(", which is reached through "))
}

/// Whether STS has said who the operator is there, and it was not refused since.
fn is_entered(account: &AWSAccount) -> bool {
    account.status.as_ref().is_some_and(|status| status.caller_arn.is_some())
}

#[cfg(test)]
pub(crate) mod tests;
