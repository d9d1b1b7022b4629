//! The accounts that everything hangs on: finding out which they are, reading their boundaries, and telling that.

use super::context::Context;
use super::pass::Pass;
use crate::api::AWSAccount;
use crate::aws::Account;
use crate::core::failure::Failure;
use crate::core::home::{Layout, forced, is_asked_for, region, told};
use crate::core::listed::LISTED;
use crate::core::names::Arn;
use crate::core::placement::ResolvedAccount;
use crate::core::subject::Subject;
use crate::core::world::{Boundary, ObjectKey, Ref};

/// Makes sure, before something with powers is looked at, that it was asked once who the operator is. What has none does not wait for that.
pub(super) async fn ask_once<K: Subject>(context: &Context, object: &K) {
    if object.has_powers() && !context.home.was_asked() && ask(context).await.is_none() {
        context.settle_home(None);
    }
}

/// Finds out who the operator is, where that matters. Tells why that is not known, if so.
async fn ask(context: &Context) -> Option<Failure> {
    if !is_asked_for(&context.world()) {
        return None;
    }
    if context.home.is_to_be_asked() {
        let region = region(&context.world());
        context.home.note(context.own.arn(region.as_deref()).await);
    }
    context.home.failure()
}

/// What a pass over an AWSAccount does about it: who the operator is, and the policy that the account forces as boundary, which is read where something hangs
/// on the account; anew with each sweep. Tells what failed.
pub(super) async fn look_after(context: &Context, at: &ResolvedAccount, account: &Account, is_swept: bool) -> Vec<Failure> {
    let mut failures: Vec<Failure> = ask(context).await.into_iter().collect();
    let is_used = !Layout::of(&context.world()).standing(&at.account).used_by.is_empty();
    let policy = forced(&at.account).and_then(|arn| arn.parse::<Arn>().ok()).filter(|_| is_used);
    if let Some(policy) = policy.filter(|_| is_swept || context.home.boundary(&at.account) == Boundary::Unread) {
        match account.gateway().policy_document(&policy).await {
            Ok(document) => context.home.keep(&at.account, &policy, document),
            Err(failure) => failures.push(failure),
        }
    }
    // What is told of this very account is told by the pass that is under way.
    context.settle_home(Some(&at.name));
    context.forget_if_gone(&Ref::Account(ObjectKey::new("", &at.name)));
    failures
}

/// The pass, which tells who depends on the account, too.
pub(super) fn telling(mut pass: Pass<AWSAccount>, context: &Context) -> Pass<AWSAccount> {
    let Pass::Report { object, facts, outcome, .. } = &mut pass else { return pass };
    let standing = Layout::of(&context.world()).standing(object);
    outcome.warnings.extend(told(&context.world(), &standing));
    facts.used_by = standing.used_by.into_iter().take(LISTED).collect();
    pass
}
