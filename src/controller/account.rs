//! The pass over an AWSAccount: whether it can be used, its sweep, and letting it go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use tokio::time::Instant;
use tracing::warn;

use super::context::Context;
use super::home;
use super::pass::{AFTER_FAILURE, Pass, Retry, report_with};
use super::report::{add_finalizer, remove_finalizer};
use super::state::sweeps::{Found, LATEST, Strangers};
use super::sweep::{resources_of, sweep};
use crate::api::conditions::Class;
use crate::api::{AWSAccount, AWSAccountStatus, Managed, Reason};
use crate::aws::Account;
use crate::core::attachable::check_boundaries;
use crate::core::brake::{held_in_account, unclear_confirmation};
use crate::core::desired::unread;
use crate::core::listed::{LISTED, count};
use crate::core::outcome::{Alarm, Problem};
use crate::core::placement::{ResolvedAccount, duplicate_of, resolve_account};
use crate::core::world::World;

/// Dependents of an account that a message names.
const NAMED: usize = 10;

/// Verifies that an account can be used, and sweeps it when that is due.
pub async fn converge(object: AWSAccount, context: &Context) -> Result<Pass<AWSAccount>, kube::Error> {
    if let Some(problem) = duplicate_of(&context.world(), &object) {
        let facts = object.status.clone().unwrap_or_default();
        return Ok(telling_more(report_with(object, without_caller(facts), vec![problem], None), context));
    }
    let object = if object.is_finalized() { object } else { add_finalizer(context, &object, &BTreeMap::new()).await? };
    let unread = unread(&object);
    Ok(telling_more(look_after(object, context).await.telling_first(unread), context))
}

/// Lets an account go once nothing refers to it any more. What is still in it is looked after until then.
pub async fn remove(object: AWSAccount, context: &Context) -> Result<Pass<AWSAccount>, kube::Error> {
    let dependents = context.world().dependents_of_account(&object.name_any());
    if dependents.is_empty() {
        remove_finalizer(context, &object).await?;
        return Ok(Pass::Gone);
    }
    Ok(telling_more(look_after(object, context).await.telling_first(Some(in_use(&dependents))), context))
}

/// The pass, which tells what does not come from AWS, too.
fn telling_more(pass: Pass<AWSAccount>, context: &Context) -> Pass<AWSAccount> {
    home::telling(telling_held(pass, context), context)
}

/// The pass, which tells of the deletions that wait, too: by an Event when they begin to.
fn telling_held(mut pass: Pass<AWSAccount>, context: &Context) -> Pass<AWSAccount> {
    let Pass::Report { object, facts, outcome, .. } = &mut pass else { return pass };
    let name = object.name_any();
    let held = context.deletions.held_in(&name);
    let message = held.map(|held| held_in_account(&name, held));
    if facts.deletions_held.is_none() {
        outcome.alarm = message.clone().map(|message| Alarm { reason: Reason::DeletionHeld.as_str(), message });
    }
    facts.deletions_held = held.map(|held| count(held.count));
    let told = message.into_iter().chain(unclear_confirmation(object));
    match outcome.worst().map(|worst| worst.reason) {
        None => outcome.warnings.extend(told),
        // With the same reason it is told in the same message.
        Some(reason) => outcome.problems.extend(told.map(|message| Problem::new(reason, message))),
    }
    pass
}

fn in_use(dependents: &[String]) -> Problem {
    let more = if dependents.len() > NAMED { format!(" and {} more", dependents.len() - NAMED) } else { String::new() };
    let named = dependents.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    Problem::new(Reason::InUse, format!("still referred to by {named}{more}: delete those first"))
}

async fn look_after(object: AWSAccount, context: &Context) -> Pass<AWSAccount> {
    let facts = object.status.clone().unwrap_or_default();
    let (at, account) = match own_account(context, &object.name_any()) {
        Ok(account) => account,
        Err(problem) => return report_with(object, without_caller(facts), vec![problem], None),
    };
    // Asked anew each time: this is the one pass that says whether the account can be used.
    account.forget_verification();
    match account.verify().await {
        Ok(caller) => {
            let facts = AWSAccountStatus { caller_arn: Some(caller.arn.to_string()), ..facts };
            // Before the sweep, which looks at each resource in the light of that.
            let is_swept = context.sweeps.left(&at.account, context.sweep_interval(&object), Instant::now()).is_zero();
            let failures = home::look_after(context, &at, &account, is_swept).await;
            let pass = sweep_when_due(object, context, &at, &account, facts).await.with_failures(&failures);
            check_boundaries(&at).into_iter().rev().fold(pass, |pass, problem| pass.telling_first(Some(problem)))
        }
        Err(failure) => {
            let facts = if failure.reason.class() == Class::Transient { facts } else { without_caller(facts) };
            report_with(object, facts, vec![failure.problem()], Some(Retry::after(&failure)))
        }
    }
}

/// What leads through this account is told by that, too, that its caller is not known.
fn without_caller(facts: AWSAccountStatus) -> AWSAccountStatus {
    AWSAccountStatus { caller_arn: None, ..facts }
}

fn own_account(context: &Context, name: &str) -> Result<(ResolvedAccount, Arc<Account>), Problem> {
    let at = resolve_account(&context.world(), name)?;
    let account = context.account(&at)?;
    Ok((at, account))
}

/// Ends the pass over an account that can be used: with a sweep, where one is due. What the last one found is told by each pass, so that no
/// conflict over the status loses it.
async fn sweep_when_due(object: AWSAccount, context: &Context, at: &ResolvedAccount, account: &Account, facts: AWSAccountStatus) -> Pass<AWSAccount> {
    let interval = context.sweep_interval(&object);
    let left = context.sweeps.left(&at.account, interval, Instant::now());
    if !left.is_zero() {
        let mut found = context.sweeps.found(&at.account);
        if found.lacks_account_facts() {
            found = with_account_facts(found, account).await;
            context.sweeps.keep(&at.account, found.clone());
        }
        return tell(found, object, facts, left);
    }
    let swept = sweep(context, at, account).await;
    let pause = match &swept {
        Ok(_) => interval.mul_f64(0.9 + fastrand::f64() * (LATEST - 0.9)),
        Err(failure) => {
            warn!(account = at.name, message = failure.message, "the sweep failed; what others change is found late");
            interval.min(AFTER_FAILURE)
        }
    };
    let found = match swept {
        Ok(strangers) => with_account_facts(Found { strangers: Some(strangers), ..Found::default() }, account).await,
        Err(failure) => Found { failures: vec![failure], ..Found::default() },
    };
    if context.sweeps.over(&at.account, found.clone(), Instant::now() + pause) {
        resources_of(context, &at.name).iter().for_each(|resource| context.wake(resource));
    }
    tell(found, object, facts, pause)
}

/// Adds what the account says of itself. Each of these reads takes an action of its own: where the management role lacks it, the rest goes on.
async fn with_account_facts(mut found: Found, account: &Account) -> Found {
    found.failures.clear();
    match account.gateway().quotas().await {
        Ok(quotas) => found.quotas = Some(quotas.into()),
        Err(failure) => found.failures.push(failure),
    }
    match account.gateway().console_alias().await {
        Ok(alias) => found.console_alias = Some(alias),
        Err(failure) => found.failures.push(failure),
    }
    found
}

/// Tells it; the account is looked at again after a pause.
fn tell(found: Found, object: AWSAccount, mut facts: AWSAccountStatus, pause: Duration) -> Pass<AWSAccount> {
    if let Some(Strangers { orphans, shadow_grants }) = found.strangers {
        (facts.orphans_total, facts.shadow_grants_total) = (count(orphans.len()), count(shadow_grants.len()));
        facts.orphans = orphans.into_iter().take(LISTED).collect();
        facts.shadow_grants = shadow_grants.into_iter().take(LISTED).collect();
    }
    facts.quotas = found.quotas.or(facts.quotas);
    facts.console_alias = found.console_alias.unwrap_or(facts.console_alias);
    report_with(object, facts, vec![], Some(Retry::in_a_while(pause))).with_failures(&found.failures)
}
