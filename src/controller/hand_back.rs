//! Handing everything back, before Rolebridge is uninstalled: our tags come off in AWS, then the finalizers in the cluster, and nothing else changes.
//!
//! It is no pass of the controller and has no watches: it looks at the cluster once, goes through all that is held there, and ends. It may be broken off
//! anywhere and run again. Users and roles go first, each by itself; an AWSAccount goes when nothing is left in it.

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
use resource::Setback;

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

impl Run<'_> {
    async fn all(&self) -> anyhow::Result<HandedBack> {
        let by_account = self.held();
        let accounts: BTreeSet<String> = held::<AWSAccount>(&self.context, Managed::is_finalized).map(|(_, name)| name).collect();
        if by_account.is_empty() && accounts.is_empty() {
            return Ok(HandedBack::default());
        }
        if !self.is_dry_run {
            operator::ensure_stopped(&self.context, self.tell).await?;
        }
        let works = by_account.into_iter().map(|(account, all)| self.in_account(account, all));
        let works = futures::stream::iter(works).buffer_unordered(ACCOUNTS_AT_ONCE.into());
        let handed_back = works.try_fold(HandedBack::default(), |all, part| std::future::ready(Ok(all.and(part)))).await?;
        let handed_back = self.accounts(accounts, handed_back).await?;
        let released = std::mem::take(&mut *self.released.lock());
        if !self.is_dry_run {
            operator::ensure_none_held_again(&self.context, &released.into_iter().collect()).await?;
        }
        Ok(handed_back)
    }

    /// The users and roles that may have something in AWS, by their AWSAccounts.
    fn held(&self) -> BTreeMap<String, Vec<Ref>> {
        let mut by_account: BTreeMap<String, Vec<Ref>> = BTreeMap::new();
        let users = held::<BastionUser>(&self.context, resource::is_held);
        for (of, account) in users.chain(held::<CrossAccountRole>(&self.context, resource::is_held)) {
            by_account.entry(account).or_default().push(of);
        }
        by_account.values_mut().for_each(|all| all.sort());
        by_account
    }

    /// Hands back what is in one account.
    async fn in_account(&self, account: String, all: Vec<Ref>) -> anyhow::Result<HandedBack> {
        let (done, left) = self.one_by_one(all).await?;
        Ok(HandedBack { accounts: [(account, Tally { done, left: left.len() })].into(), left })
    }

    /// Hands back one resource after the other. What passes by itself is waited for after all others had their turn. Returns how many were handed back, and
    /// which were not.
    async fn one_by_one(&self, mut all: Vec<Ref>) -> anyhow::Result<(usize, Vec<(Ref, String)>)> {
        let (mut done, mut left) = (0, vec![]);
        let mut last_done = Instant::now();
        let mut awaited = BTreeSet::new();
        while !all.is_empty() {
            let mut later: Vec<(Ref, Duration)> = vec![];
            for of in all {
                match self.one(&of).await {
                    Ok(()) => {
                        (done, last_done) = (done + 1, Instant::now());
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

    /// Hands back one resource, and tells how.
    async fn one(&self, of: &Ref) -> Result<(), Setback> {
        let steps = match of {
            Ref::User(key) => resource::hand_back::<BastionUser>(&self.context, key, self.is_dry_run).await?,
            Ref::Role(key) => resource::hand_back::<CrossAccountRole>(&self.context, key, self.is_dry_run).await?,
            Ref::Account(key) => resource::let_account_go(&self.context, key, self.is_dry_run).await?,
        };
        if !steps.is_empty() {
            (self.tell)(&format!("{of}: {}{}", if self.is_dry_run { "would " } else { "" }, steps.join("; ")));
            self.released.lock().push(of.clone());
        }
        Ok(())
    }

    /// Lets the AWSAccounts go in which nothing is left, and by which no account is reached in which something is left.
    async fn accounts(&self, accounts: BTreeSet<String>, mut handed_back: HandedBack) -> anyhow::Result<HandedBack> {
        let needed = self.needed(&handed_back.accounts);
        for name in &accounts {
            handed_back.accounts.entry(name.clone()).or_default();
        }
        let (needed, free): (Vec<Ref>, Vec<Ref>) =
            accounts.iter().map(|name| Ref::Account(ObjectKey::new("", name))).partition(|of| needed.contains(&of.key().name));
        let (_, left) = self.one_by_one(free).await?;
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

/// The objects of a kind that are held, with the AWSAccount that each is in or is.
fn held<K: Kind>(context: &Context, is_held: fn(&K) -> bool) -> impl Iterator<Item = (Ref, String)> {
    let all = K::all(&context.stores).into_iter().filter(move |object| is_held(object));
    all.map(|object| (K::reference(ObjectKey::of(&*object)), object.account_name().to_owned()))
}

impl HandedBack {
    fn and(mut self, other: Self) -> Self {
        self.accounts.extend(other.accounts);
        self.left.extend(other.left);
        self
    }

    /// Whether there was nothing to be handed back.
    pub fn is_nothing(&self) -> bool {
        self.accounts.is_empty() && self.left.is_empty()
    }
}
