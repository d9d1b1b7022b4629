//! Handing everything back, before Rolebridge is uninstalled: our tags come off in AWS, then the finalizers in the cluster, and nothing else changes.
//!
//! It is no pass of the controller and has no watches: it looks at the cluster once, goes through all that is held there, and ends. It may be broken off
//! anywhere and run again.
//!
//! The order is such that an operator that starts meanwhile does no harm. What has lost its tags is somebody else's to it, and it tells so and writes nothing:
//! - First the tags come off the users, then off the roles. As long as the statuses tell who was made for a resource, grants to it stay.
//! - Then it is looked again whether an operator is at work.
//! - Only then, and only where the tags have come off everything, are the statuses emptied and the finalizers taken off. By then nothing in AWS is the
//!   operator's to change.
//! - An AWSAccount goes when nothing is left in it.

mod listing;
mod operator;
mod resource;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::Client;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::cluster::kind::Kind;
use super::context::{Context, Settings};
use crate::api::{AWSAccount, BastionUser, CrossAccountRole, Managed};
use crate::aws::BaseConfig;
use crate::core::access::access_chain;
use crate::core::placement::lookup_account;
use crate::core::world::{ObjectKey, Ref};
use resource::{Setback, is_held};

/// How many accounts are worked in at the same time. In each account one resource follows the other.
const ACCOUNTS_AT_ONCE: u16 = 8;
/// How long nothing may come off in an account before what passes by itself is waited for no more. It is longer than IAM may be slow to show something.
const PATIENCE: Duration = Duration::from_secs(150);

/// What is to be done, and whom it is told to.
pub struct Order<'a> {
    /// ID of the installation whose owner tags come off.
    pub installation: String,
    /// Whether it is only told what would be done.
    pub is_dry_run: bool,
    /// Takes one line about each thing that is done.
    pub tell: &'a (dyn Fn(&str) + Sync),
}

/// What came of it.
#[derive(Debug, Default)]
pub struct HandedBack {
    /// How many resources of each AWSAccount were handed back, and how many were not.
    pub accounts: BTreeMap<String, Tally>,
    /// What was not handed back, and why.
    pub left: Vec<(Ref, String)>,
}

/// How many resources were handed back, and how many were not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Handed back.
    pub done: usize,
    /// Not handed back.
    pub left: usize,
}

/// Hands back everything that the cluster has resources for. What could not be handed back is in what it returns.
///
/// # Errors
/// Where the cluster cannot be listed, or an operator is at work at the same time.
pub async fn hand_back(client: Client, aws: BaseConfig, order: Order<'_>) -> anyhow::Result<HandedBack> {
    // Nothing is swept.
    let settings = Settings { installation: order.installation, sweep_interval: Duration::MAX, concurrency: ACCOUNTS_AT_ONCE };
    let context = listing::listed(client, aws, settings).await?;
    Run { context, is_dry_run: order.is_dry_run, tell: order.tell, released: Mutex::default() }.all().await
}

/// One run through everything.
struct Run<'a> {
    context: Context,
    is_dry_run: bool,
    tell: &'a (dyn Fn(&str) + Sync),
    /// What was let go, the first one first: were an operator at work, it would be held again.
    released: Mutex<Vec<Ref>>,
}

/// Resources by the AWSAccounts that they are in.
type ByAccount = BTreeMap<String, Vec<Ref>>;
/// Resources that are not handed back, and why.
type Left = Vec<(Ref, String)>;

/// What is done with a resource.
#[derive(Clone, Copy)]
enum Step {
    /// Its tags come off in AWS.
    Free,
    /// Its status is emptied, and its finalizer taken off.
    LetGo,
}

impl Run<'_> {
    async fn all(&self) -> anyhow::Result<HandedBack> {
        let (users, roles) = (held::<BastionUser>(&self.context, is_held), held::<CrossAccountRole>(&self.context, is_held));
        let accounts = held::<AWSAccount>(&self.context, Managed::is_finalized);
        if users.is_empty() && roles.is_empty() && accounts.is_empty() {
            return Ok(HandedBack::default());
        }
        if !self.is_dry_run {
            operator::ensure_stopped(&self.context, "Nothing was changed", self.tell).await?;
        }
        let mut left = vec![];
        let freed_users = self.everywhere(Step::Free, &users, &mut left).await?;
        let freed_roles = self.everywhere(Step::Free, &roles, &mut left).await?;
        // What keeps its tags is still the operator's to change, and goes by the statuses of the others.
        let freed = if left.is_empty() { together(&freed_users, &freed_roles) } else { ByAccount::new() };
        if !left.is_empty() {
            (self.tell)("Nothing is let go while something is left: put that right, and run this again");
        }
        if !self.is_dry_run && !freed.is_empty() {
            let so_far = "Owner tags are off in AWS, and the resources are as they were";
            operator::ensure_stopped(&self.context, so_far, self.tell).await?;
        }
        let gone = self.everywhere(Step::LetGo, &freed, &mut left).await?;
        let held = together(&users, &roles);
        let done = |account: &String| gone.get(account).map_or(0, Vec::len);
        let tallies = held.iter().map(|(account, all)| (account.clone(), Tally { done: done(account), left: all.len() - done(account) }));
        let handed_back = self.accounts(&accounts, HandedBack { accounts: tallies.collect(), left }).await?;
        let released = std::mem::take(&mut *self.released.lock());
        if !self.is_dry_run {
            operator::ensure_none_held_again(&self.context, &released.into_iter().collect()).await?;
        }
        Ok(handed_back)
    }

    /// Does this with all of these resources, in some accounts at the same time. Returns those with which it is done.
    async fn everywhere(&self, step: Step, all: &ByAccount, left: &mut Left) -> anyhow::Result<ByAccount> {
        let works = all.iter().map(|(account, all)| async { anyhow::Ok((account.clone(), self.one_by_one(step, all.clone()).await?)) });
        let works: Vec<_> = futures::stream::iter(works).buffer_unordered(ACCOUNTS_AT_ONCE.into()).try_collect().await?;
        let mut done = ByAccount::new();
        for (account, (done_there, left_there)) in works {
            done.insert(account, done_there);
            left.extend(left_there);
        }
        Ok(done)
    }

    /// Does this with one resource after the other. What passes by itself is waited for after all others had their turn. Returns those with which it is done,
    /// and the others.
    async fn one_by_one(&self, step: Step, mut all: Vec<Ref>) -> anyhow::Result<(Vec<Ref>, Left)> {
        let (mut done, mut left) = (vec![], vec![]);
        let mut last_done = Instant::now();
        let mut awaited = BTreeSet::new();
        while !all.is_empty() {
            let mut later: Vec<(Ref, Duration)> = vec![];
            for of in all {
                match self.one(step, &of).await {
                    Ok(()) => {
                        done.push(of);
                        last_done = Instant::now();
                        self.ensure_undisturbed().await?;
                    }
                    Err(Setback { again: Some(pause), message, .. }) if last_done.elapsed() < PATIENCE => {
                        if awaited.insert(of.clone()) {
                            (self.tell)(&format!("{of}: waits: {message}"));
                        }
                        later.push((of, pause));
                    }
                    Err(setback) => left.push((of, setback.told())),
                }
            }
            if let Some(pause) = later.iter().map(|(_, pause)| *pause).min() {
                sleep(pause).await;
            }
            all = later.into_iter().map(|(of, _)| of).collect();
        }
        Ok((done, left))
    }

    /// Makes sure that nobody works against this.
    async fn ensure_undisturbed(&self) -> anyhow::Result<()> {
        let first = self.released.lock().first().cloned();
        match first.filter(|_| !self.is_dry_run) {
            Some(first) => operator::ensure_not_held_again(&self.context, &first).await,
            None => Ok(()),
        }
    }

    /// Does this with one resource, and tells it.
    async fn one(&self, step: Step, of: &Ref) -> Result<(), Setback> {
        let (context, is_dry_run) = (&self.context, self.is_dry_run);
        let told = match (step, of) {
            (Step::Free, Ref::User(key)) => resource::free::<BastionUser>(context, key, is_dry_run).await?,
            (Step::Free, Ref::Role(key)) => resource::free::<CrossAccountRole>(context, key, is_dry_run).await?,
            (Step::LetGo, Ref::User(key)) => resource::let_go::<BastionUser>(context, key, is_dry_run).await?,
            (Step::LetGo, Ref::Role(key)) => resource::let_go::<CrossAccountRole>(context, key, is_dry_run).await?,
            (_, Ref::Account(key)) => resource::let_go::<AWSAccount>(context, key, is_dry_run).await?,
        };
        if let Some(told) = told {
            (self.tell)(&format!("{of}: {}{told}", if is_dry_run { "would " } else { "" }));
            if let Step::LetGo = step {
                self.released.lock().push(of.clone());
            }
        }
        Ok(())
    }

    /// Lets the AWSAccounts go in which nothing is left, and by which no account is reached in which something is left.
    async fn accounts(&self, accounts: &ByAccount, mut handed_back: HandedBack) -> anyhow::Result<HandedBack> {
        let needed = self.needed(&handed_back.accounts);
        for name in accounts.keys() {
            handed_back.accounts.entry(name.clone()).or_default();
        }
        let (needed, free): (Vec<Ref>, Vec<Ref>) = accounts.values().flatten().cloned().partition(|of| needed.contains(&of.key().name));
        let (_, left) = self.one_by_one(Step::LetGo, free).await?;
        let why = "users or roles in it, or in an account that is reached through it, were not handed back";
        handed_back.left.extend(needed.into_iter().map(|of| (of, why.to_owned())).chain(left));
        Ok(handed_back)
    }

    /// The accounts in which something is left, and those by which these are reached.
    fn needed(&self, accounts: &BTreeMap<String, Tally>) -> BTreeSet<String> {
        let world = self.context.world();
        let with_rest = || accounts.iter().filter(|(_, tally)| tally.left > 0).map(|(name, _)| name);
        let chains = with_rest().filter_map(|name| access_chain(&world, &lookup_account(&world, name).ok()?).ok());
        let on_the_way = chains.flatten().map(|at| at.name).collect::<Vec<_>>();
        with_rest().cloned().chain(on_the_way).collect()
    }
}

/// The objects of a kind that are held.
fn held<K: Kind>(context: &Context, is_held: fn(&K) -> bool) -> ByAccount {
    let mut by_account = ByAccount::new();
    for object in K::all(&context.stores).into_iter().filter(|object| is_held(object)) {
        by_account.entry(object.account_name().to_owned()).or_default().push(K::reference(ObjectKey::of(&*object)));
    }
    by_account.values_mut().for_each(|all| all.sort());
    by_account
}

fn together(some: &ByAccount, others: &ByAccount) -> ByAccount {
    let mut all = some.clone();
    others.iter().for_each(|(account, more)| all.entry(account.clone()).or_default().extend(more.iter().cloned()));
    all
}

impl HandedBack {
    /// Whether there was nothing to be handed back.
    pub fn is_nothing(&self) -> bool {
        self.accounts.is_empty() && self.left.is_empty()
    }
}
