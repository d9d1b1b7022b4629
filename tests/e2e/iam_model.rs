//! The simulation's model of IAM beside the AWS simulator: the same calls, one by one, through the operator's real gateway and through the model. Both
//! answer the same and end up the same, so what the simulation finds on the one is true of the other.
//!
//! What is called is drawn by a seed that is printed; `make campaign` (`ROLEBRIDGE_CAMPAIGN=full`) calls ten times as much.

mod draw;
mod others;
mod twins;

use anyhow::{Context, Result};
use rolebridge::core::action::Action;
use rolebridge::core::identity::IdentityName;

use self::draw::{Draw, Op, Step};
use self::twins::Twins;
use crate::campaign::{Campaign, is_full};

/// How many steps are drawn.
const STEPS: usize = 5000;
/// After how many steps everything that is there is compared.
const STATE: usize = 250;

#[tokio::test]
async fn the_modelled_iam_answers_as_the_simulated_aws_does() -> Result<()> {
    let mut campaign = Campaign::new("IAM model");
    let steps = if is_full() { 10 * STEPS } else { STEPS };
    let mut twins = Twins::start().await?;
    for number in 0..steps {
        twins.look_around();
        let step = Draw { random: &mut campaign.random, known: &twins.known }.step();
        let told = format!("{campaign}: step {number}: {step:?}");
        take(&mut twins, &step).await.context(told)?;
        if number % STATE == 0 {
            twins.compare_states().await.with_context(|| format!("{campaign}: after step {number}"))?;
        }
    }
    twins.compare_states().await.with_context(|| format!("{campaign}: at the end"))?;
    campaign.conclude(&twins.figures());
    Ok(())
}

async fn take(twins: &mut Twins, step: &Step) -> Result<()> {
    match &step.op {
        Op::Execute(action) => twins.execute(step.account, action).await,
        Op::Demolish(who) => demolish(twins, step.account, who).await,
        Op::Observe(scope) => twins.observe(step.account, scope).await.map(drop),
        Op::Dependents(who) => twins.dependents(step.account, who).await.map(drop),
        Op::Sweep(names, policies) => twins.sweep(step.account, names, policies).await,
        Op::Account => twins.account(step.account).await,
        Op::Change(change) => twins.change(step.account, change).await,
    }
}

/// Takes everything off a user or role, and deletes it: chance alone hardly ever would.
async fn demolish(twins: &mut Twins, account: &'static str, who: &IdentityName) -> Result<()> {
    let Some(found) = twins.found(account, who).await? else { return twins.execute(account, &Action::DeleteIdentity(who.clone())).await };
    let dependents = twins.dependents(account, who).await?;
    let attached = found.attached_policies.into_iter().map(|arn| Action::DetachPolicy(who.clone(), arn));
    let inline = found.inline_policies.into_keys().map(|name| Action::DeleteInlinePolicy(who.clone(), name));
    let mut actions: Vec<Action> = attached.chain(inline).collect();
    if let IdentityName::User(user) = who {
        actions.extend(dependents.of_user.into_iter().map(|dependent| Action::RemoveDependent(user.clone(), dependent)));
    }
    for action in actions.into_iter().chain([Action::DeleteIdentity(who.clone())]) {
        twins.execute(account, &action).await.with_context(|| format!("{action:?}"))?;
    }
    Ok(())
}
