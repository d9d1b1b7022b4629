//! Whether an operator is at work, which would take for a conflict what is handed back, and hold it again.
//!
//! Nothing in the cluster says so: the operator's Deployment may have any name, and it may run outside. But an operator puts a finalizer back at once that
//! somebody takes off something that it has made.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, bail};
use kube::Client;
use tokio::time::{Instant, sleep};

use super::super::cluster::kind::Kind;
use super::super::context::Context;
use super::super::report::{add_finalizer, remove_finalizer};
use super::listing::list_all;
use super::resource::current;
use crate::api::{AWSAccount, BastionUser, CrossAccountRole};
use crate::core::subject::Subject;
use crate::core::world::{ObjectKey, Ref};

/// How long an operator has to put a finalizer back. It takes a second.
const PROBE: Duration = Duration::from_secs(10);
/// How often it is looked whether the finalizer is back.
const LOOK: Duration = Duration::from_millis(250);
/// What a person is to do about it.
const STOP: &str = "an operator is at work: stop it first (kubectl --namespace rolebridge-system scale deployment/rolebridge --replicas=0, and pause what \
                    would scale it up again), and run this again";

/// Makes sure that no operator is at work, by something that was made, or else by an account: takes its finalizer off and looks whether it comes back. Nothing
/// is lost by that. What tells of something in AWS and lacks the finalizer cannot be deleted, and if nobody puts the finalizer back, this does.
///
/// # Errors
/// Where it comes back. The error tells what was done `so_far`.
pub async fn ensure_stopped(context: &Context, so_far: &str, tell: &(dyn Fn(&str) + Sync)) -> anyhow::Result<()> {
    let answers = if let Some(user) = first::<BastionUser>(context, is_made) {
        answers::<BastionUser>(context, &user, tell).await?
    } else if let Some(role) = first::<CrossAccountRole>(context, is_made) {
        answers::<CrossAccountRole>(context, &role, tell).await?
    } else if let Some(account) = first::<AWSAccount>(context, |_| true) {
        answers::<AWSAccount>(context, &account, tell).await?
    } else {
        tell("whether an operator is at work cannot be seen, since all is being deleted: make sure that it is stopped");
        false
    };
    if answers { bail!("{STOP}. {so_far}") } else { Ok(()) }
}

/// Makes sure that a resource that was let go is not held again.
///
/// # Errors
/// Where it is.
pub async fn ensure_not_held_again(context: &Context, released: &Ref) -> anyhow::Result<()> {
    let is_held = match released {
        Ref::Account(key) => is_held::<AWSAccount>(context, key).await?,
        Ref::User(key) => is_held::<BastionUser>(context, key).await?,
        Ref::Role(key) => is_held::<CrossAccountRole>(context, key).await?,
    };
    if is_held { bail!("{released}: {}", came_back()) } else { Ok(()) }
}

/// Makes sure that none of the resources that were let go is held again.
///
/// # Errors
/// Where one is.
pub async fn ensure_none_held_again(context: &Context, released: &BTreeSet<Ref>) -> anyhow::Result<()> {
    let client = &context.client;
    let all = [held::<AWSAccount>(client).await?, held::<BastionUser>(client).await?, held::<CrossAccountRole>(client).await?].concat();
    let again: Vec<String> = all.iter().filter(|of| released.contains(of)).map(Ref::to_string).collect();
    if again.is_empty() { Ok(()) } else { bail!("{}: {}", again.join(", "), came_back()) }
}

fn came_back() -> String {
    format!("was handed back, and has its finalizer again: {STOP}. What was handed back so far stays so in AWS")
}

async fn held<K: Kind>(client: &Client) -> anyhow::Result<Vec<Ref>> {
    let all = list_all::<K>(client).await?.state();
    Ok(all.iter().filter(|object| object.is_finalized()).map(|object| K::reference(ObjectKey::of(&**object))).collect())
}

async fn is_held<K: Kind>(context: &Context, key: &ObjectKey) -> Result<bool, kube::Error> {
    Ok(current::<K>(context, key).await?.is_some_and(|object| object.is_finalized()))
}

fn is_made<K: Subject>(object: &K) -> bool {
    object.reported_arn().is_some()
}

/// The first object of a kind that has our finalizer, and can get it back.
fn first<K: Kind>(context: &Context, is_fit: fn(&K) -> bool) -> Option<ObjectKey> {
    let is_held = |object: &K| object.is_finalized() && object.meta().deletion_timestamp.is_none();
    K::all(&context.stores).iter().filter(|object| is_held(object) && is_fit(object)).map(|object| ObjectKey::of(&**object)).min()
}

/// Whether somebody puts the finalizer of this object back.
async fn answers<K: Kind>(context: &Context, key: &ObjectKey, tell: &(dyn Fn(&str) + Sync)) -> anyhow::Result<bool> {
    let of = K::reference(key.clone());
    tell(&format!("{of}: looking for {} seconds whether an operator puts its finalizer back", PROBE.as_secs()));
    let Some(object) = current::<K>(context, key).await? else { bail!("{of} has just been deleted: run this again") };
    remove_finalizer(context, &object).await.with_context(|| format!("{of}: its finalizer cannot be taken off"))?;
    let end = Instant::now() + PROBE;
    while Instant::now() < end {
        sleep(LOOK).await;
        if is_held::<K>(context, key).await? {
            return Ok(true);
        }
    }
    if let Some(object) = current::<K>(context, key).await? {
        add_finalizer(context, &object, &BTreeMap::new()).await.with_context(|| format!("{of}: its finalizer cannot be put back"))?;
    }
    Ok(false)
}
