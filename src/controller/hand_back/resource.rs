//! Handing back one resource: what is done with it in AWS, and then in the cluster.

use std::time::Duration;

use super::super::apply::apply;
use super::super::cluster::kind::Kind;
use super::super::context::Context;
use super::super::history::History;
use super::super::observe::read_all;
use super::super::report::{remove_finalizer, report};
use super::super::resolve::whereabouts;
use crate::api::conditions::Class;
use crate::api::{ABANDON, Reason};
use crate::aws::{Account, Permit};
use crate::core::abandon::{how_to_give_up, is_given_up, left_behind, may_be_given_up};
use crate::core::absence::{look_again, told};
use crate::core::desired::owner;
use crate::core::failure::Failure;
use crate::core::hand_back::{plan_hand_back, unseen};
use crate::core::observed::Observed;
use crate::core::outcome::{Outcome, Problem};
use crate::core::plan::{DeletionTarget, Plan};
use crate::core::refused::Declaration;
use crate::core::subject::Subject;
use crate::core::world::{ObjectKey, Ref};

/// A pause before what passes by itself is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// What the status says afterwards.
const RELEASED: &str = "handed back: what it had in AWS stays there as it is, without owner tags";
/// The last step of every resource.
const LETS_GO: &str = "empty its status and take its finalizer off";

/// Why a resource is not handed back.
pub struct Setback {
    /// Why, in one word, if the table of reasons has one.
    reason: Option<Reason>,
    /// Why, for people.
    pub message: String,
    /// After which pause it is tried again; None where a person has to do something.
    pub again: Option<Duration>,
}

impl Setback {
    /// What a person is told of it at the end.
    pub fn told(&self) -> String {
        let problem = |reason| how_to_give_up(&Problem::new(reason, &*self.message), false);
        self.reason.map_or_else(|| self.message.clone(), |reason| format!("{reason}: {}", problem(reason)))
    }
}

impl From<Problem> for Setback {
    fn from(problem: Problem) -> Self {
        Self { reason: Some(problem.reason), message: problem.message, again: None }
    }
}

impl From<Failure> for Setback {
    fn from(failure: Failure) -> Self {
        let again = (failure.reason.class() == Class::Transient).then(|| failure.retry_after.unwrap_or(AGAIN));
        Self { again, ..Self::from(failure.problem()) }
    }
}

impl From<kube::Error> for Setback {
    fn from(error: kube::Error) -> Self {
        // What is refused stays refused, unless somebody else has changed the object meanwhile.
        let is_final = matches!(&error, kube::Error::Api(status) if (400..500).contains(&status.code) && ![409, 429].contains(&status.code));
        Self { reason: None, message: format!("the API server: {error}"), again: (!is_final).then_some(AGAIN) }
    }
}

/// Whether a user or role may have something in AWS. One that has lost its finalizer, as `kubectl replace` drops it, tells of that in its status.
pub fn is_held<K: Subject>(object: &K) -> bool {
    object.is_finalized() || object.reported_arn().is_some()
}

/// Takes our tags off what a user or role has in AWS. Returns what was done, or would be done; nothing where the object is not held any more.
pub async fn free<K: Kind + Subject>(context: &Context, key: &ObjectKey, is_dry_run: bool) -> Result<Option<String>, Setback> {
    let Some(object) = current::<K>(context, key).await?.filter(is_held) else { return Ok(None) };
    match free_in_aws(context, &object, is_dry_run).await {
        Err(Setback { reason: Some(reason), message, .. }) if is_given_up(&object) && may_be_given_up(reason) => {
            let stays = left_behind(&object, History::of(&context.memory, &object).identity_id().as_ref());
            Ok(Some(format!("give up {stays}, as the annotation {ABANDON} says, with any owner tags that are there ({message})")))
        }
        freed => freed.map(Some),
    }
}

/// Lets an object go that has nothing in AWS any more which is ours: empties its status, which told what it has there, and takes its finalizer off. The API
/// server deletes no object that tells of something in AWS and has no finalizer. Returns what was done, or would be done.
pub async fn let_go<K: Kind>(context: &Context, key: &ObjectKey, is_dry_run: bool) -> Result<Option<String>, Setback> {
    let Some(object) = current::<K>(context, key).await? else { return Ok(None) };
    let is_deleted = object.meta().deletion_timestamp.is_some();
    if !is_dry_run {
        let outcome = Outcome { problems: vec![Problem::new(Reason::Released, RELEASED)], ..Outcome::default() };
        report(context, &object, K::Status::default(), &outcome).await?;
        if let Some(object) = current::<K>(context, key).await?.filter(K::is_finalized) {
            remove_finalizer(context, &object).await?;
        }
    }
    let more =
        if is_deleted { ". It is being deleted, and is gone by that; what it had in AWS stays, cut off as far as the deletion had come" } else { "" };
    Ok(Some(format!("{LETS_GO}{more}")))
}

/// The object as the API server has it now.
pub async fn current<K: Kind>(context: &Context, key: &ObjectKey) -> Result<Option<K>, kube::Error> {
    let found = K::api(context.client.clone(), &key.namespace).get_opt(&key.name).await?;
    Ok(found.map(|read| read.into_object(None)))
}

/// Takes our tags off what the resource has in AWS. Returns what was done, or would be done.
async fn free_in_aws<K: Kind + Subject>(context: &Context, object: &K, is_dry_run: bool) -> Result<String, Setback> {
    let (at, account) = whereabouts(object, context)?;
    let _permit = permit(&account, &K::reference(ObjectKey::of(object))).await;
    let history = History::of(&context.memory, object);
    let target = object.removed(&context.world(), &at, owner(object, &at, &context.settings.installation), history.identity_id())?;
    account.verify().await?;
    let mut observed = read_all(account.gateway(), &target, &history).await?;
    let plan = plan_hand_back(&target, &observed)?;
    let things = unseen(&observed, object.likely_policies(&context.world(), &at));
    let unproven = history.unproven(things);
    if !is_dry_run {
        apply(account.gateway(), &target.owner, &plan, &mut observed, &history, &Declaration::default()).await?;
        if let Some((things, doubt)) = unproven {
            let problem = Problem::new(Reason::Propagating, told(&things, &target.name));
            return Err(Setback { again: Some(look_again(doubt)), ..Setback::from(problem) });
        }
    }
    Ok(told_of(&target, &observed, &plan))
}

/// The turn of a resource in its account.
async fn permit(account: &Account, of: &Ref) -> Permit {
    loop {
        match account.removal_permit(of) {
            Ok(permit) => return permit,
            Err(pause) => tokio::time::sleep(pause).await,
        }
    }
}

/// What is done in AWS, or why nothing is.
fn told_of(target: &DeletionTarget, found: &Observed, plan: &Plan) -> String {
    match &found.identity {
        _ if !plan.actions.is_empty() => plan.actions.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        Some(found) => format!("leave {} as it is, which bears no owner tags that make it this resource's own", found.identity.name),
        None => format!("find no {} in AWS", target.name),
    }
}
