//! Where a resource is placed and what it wants there.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;

use super::context::Context;
use super::history::History;
use super::home::ask_once;
use super::pass::{Pass, Retry, report_with};
use crate::api::{Managed, Reason};
use crate::aws::Account;
use crate::core::desired::{Desired, owner};
use crate::core::failure::Failure;
use crate::core::observed::Observed;
use crate::core::outcome::Problem;
use crate::core::permissions::ConfigTexts;
use crate::core::placement::{ResolvedAccount, check_namespace, lookup_account, resolve_account};
use crate::core::subject::{Remembered, Subject};
use crate::core::tenancy::check_quota;
use crate::core::wanted::Restraint;
use crate::core::world::Ref;

/// What a resource refers to.
pub(super) struct Resolved {
    /// The account that it is placed in.
    pub at: ResolvedAccount,
    /// The texts of the ConfigMaps that it names.
    texts: ConfigTexts,
}

/// Why what a resource refers to is not known.
pub(super) enum Unresolved {
    /// It may not be placed in its account.
    Problem(Problem),
    /// The API server could not be asked.
    APIServer(kube::Error),
}

/// Finds what a resource refers to: its account, and the ConfigMaps.
pub(super) async fn resolve<K: Subject>(object: &K, context: &Context) -> Result<Resolved, Unresolved> {
    let at = place(object, context).map_err(Unresolved::Problem)?;
    ask_once(context, object).await;
    let namespace = object.meta().namespace.as_deref();
    let texts = context.config_maps.texts(&context.index, namespace, object.permissions()).await.map_err(Unresolved::APIServer)?;
    Ok(Resolved { at, texts })
}

/// What a resource wants of AWS, or all that is wrong with that.
pub(super) fn validate<K: Subject>(object: &K, context: &Context, resolved: &Resolved) -> Result<Desired, Vec<Problem>> {
    let desired = object.desired(&context.world(), &resolved.at, &resolved.texts, &context.settings.installation)?;
    Ok(History::of(&context.memory, object).as_made(desired))
}

/// What a resource wants of AWS while its declaration cannot be carried out: that withdrawn grants end, and what else holds it back. None where nothing was made
/// for it.
pub(super) fn held_back<K: Subject>(
    object: &K,
    context: &Context,
    at: &ResolvedAccount,
    history: &History<'_>,
    restraint: Restraint,
    found: &Observed,
) -> Option<Desired> {
    let owner = owner(object, at, &context.settings.installation);
    let remembered = Remembered { pinned: history.identity_id(), ours: history.ours(), written_trust: history.trust_written() };
    object.held_back(&context.world(), at, owner, remembered, restraint, found)
}

/// The account that the object is placed in, where it may be.
pub(super) fn place<K: Subject>(object: &K, context: &Context) -> Result<ResolvedAccount, Problem> {
    let at = resolve_account(&context.world(), object.account_name())?;
    let namespace = object.namespace().unwrap_or_default();
    check_namespace(&context.world(), &at, &namespace, object.reported_arn().is_some())?;
    check_quota(&context.world(), &at, &Ref::from(&object.source()))?;
    same_account(object, &at)?;
    if !at.account.is_finalized() {
        // Without it the account could go while something of ours is still there.
        return Err(Problem::new(Reason::AccountNotReady, format!("AWSAccount {} has just been created", at.name)));
    }
    Ok(at)
}

/// The account that a resource is in, whether or not it may be there.
pub(super) fn whereabouts<K: Subject>(object: &K, context: &Context) -> Result<(ResolvedAccount, Arc<Account>), Problem> {
    let at = lookup_account(&context.world(), object.account_name())?;
    same_account(object, &at)?;
    let account = context.account(&at)?;
    Ok((at, account))
}

/// An AWSAccount that was deleted and made again for another account of AWS does not take along what was made in the first.
fn same_account<K: Subject>(object: &K, at: &ResolvedAccount) -> Result<(), Problem> {
    match object.reported_arn() {
        Some(arn) if arn.account_id().as_ref() != Some(&at.id) => Err(Problem::new(
            Reason::AccountMismatch,
            format!("{arn} was made for this object, and AWSAccount {} is account {} now: make a new object for that account", at.name, at.id),
        )),
        _ => Ok(()),
    }
}

/// Why an account cannot be worked in now.
pub(super) enum Closed {
    /// A person has to put it right.
    Unusable(Problem),
    /// It is tried again.
    Failure(Failure),
    /// As many as may wait for it already. There is room after this pause.
    Busy(Duration),
}

impl Closed {
    /// Tells it, after what else there is to tell.
    pub(super) fn report_with<K: Managed>(self, object: K, mut problems: Vec<Problem>) -> Pass<K> {
        let facts = object.status().cloned().unwrap_or_default();
        let retry = match self {
            Self::Busy(pause) => return Pass::Again(pause),
            Self::Unusable(problem) => {
                problems.push(problem);
                None
            }
            Self::Failure(failure) => {
                problems.push(failure.problem());
                Some(Retry::after(&failure))
            }
        };
        report_with(object, facts, problems, retry)
    }
}

/// Goes into an account: its client, and the proof that it is the one declared.
pub(super) async fn enter(context: &Context, at: &ResolvedAccount, of: &Ref) -> Result<Arc<Account>, Closed> {
    let unusable = |problem: Problem| Problem::new(Reason::AccountNotReady, format!("AWSAccount {}: {}", at.name, problem.message));
    let account = context.account(at).map_err(|problem| Closed::Unusable(unusable(problem)))?;
    let _permit = account.entry_permit(of).map_err(Closed::Busy)?;
    account.verify().await.map_err(|failure| {
        let message = format!("AWSAccount {}: {}", at.name, failure.message);
        Closed::Failure(Failure { reason: Reason::AccountNotReady, message, ..failure })
    })?;
    Ok(account)
}
