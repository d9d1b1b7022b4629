//! Sweeps: reading an account in bulk, finding the resources that are not as declared there, and having those reconciled.
//!
//! The cost of a sweep grows with the pages that it reads and not with the resources: what is as declared costs no call of its own. A sweep
//! belongs to the pass over its AWSAccount. The first one of a process comes when a resource asks for it that was made by an earlier process; all others
//! come at the account's interval.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use super::caches::Watched;
use super::context::Context;
use super::kinds::{IdentityKind, Kind};
use super::memory::{Basis, Observation};
use super::pass::{Pass, Retry, told, uid};
use super::resolve::resolve;
use crate::api::account::{OrphanStatus, QuotaStatus, ShadowGrantStatus};
use crate::api::{AWSAccount, AWSAccountStatus, BastionUser, CrossAccountRole, Reason};
use crate::aws::Account;
use crate::core::desired::owner;
use crate::core::failure::Failure;
use crate::core::grants::{role_identity, user_identity};
use crate::core::identity::IdentityName;
use crate::core::listed::{LISTED, count};
use crate::core::names::Arn;
use crate::core::observed::Observed;
use crate::core::placement::Placement;
use crate::core::plan::is_settled;
use crate::core::sweep::Sweep;
use crate::core::world::{ObjectKey, Ref};

/// How soon what failed is tried again, unless the account's interval is shorter.
const AFTER_FAILURE: Duration = Duration::from_secs(60);
/// The next sweep comes at the latest after so many intervals.
const LATEST: f64 = 1.1;

#[derive(Clone, Copy, Default, PartialEq)]
enum First {
    #[default]
    NotAsked,
    Asked,
    Over,
}

#[derive(Default)]
struct Schedule {
    /// Of the AWSAccount that it is for: another one of the same name may be for another account of AWS.
    uid: String,
    first: First,
    next: Option<Instant>,
    /// What the last one found.
    found: Found,
}

/// When each account is swept next.
#[derive(Default)]
pub struct Sweeps(Mutex<HashMap<String, Schedule>>);

impl Sweeps {
    /// Looks at the schedule of this very AWSAccount, or changes it. One of the same name that went before is forgotten.
    fn with<T>(&self, account: &AWSAccount, what: impl FnOnce(&mut Schedule) -> T) -> T {
        let mut schedules = self.0.lock();
        let schedule = schedules.entry(account.name_any()).or_default();
        let uid = uid(account);
        if schedule.uid != uid {
            *schedule = Schedule { uid, ..Schedule::default() };
        }
        what(schedule)
    }

    /// Asks for the account's first sweep. Tells whether that is still to come; the resource is woken after it.
    pub fn ask(&self, account: &AWSAccount) -> bool {
        self.with(account, |schedule| {
            if schedule.first == First::NotAsked {
                schedule.first = First::Asked;
            }
            schedule.first != First::Over
        })
    }

    /// The time until the next sweep, none where it is due. The first comes somewhere in the second half of the interval, so that the accounts are not
    /// all swept at once.
    fn left(&self, account: &AWSAccount, interval: Duration, now: Instant) -> Duration {
        self.with(account, |schedule| {
            if schedule.first == First::Asked {
                return Duration::ZERO;
            }
            let next = schedule.next.get_or_insert_with(|| now + interval.mul_f64(0.5 + fastrand::f64() / 2.0));
            // The interval may have become shorter meanwhile.
            *next = (*next).min(now + interval.mul_f64(LATEST));
            next.saturating_duration_since(now)
        })
    }

    /// What the last sweep found.
    fn found(&self, account: &AWSAccount) -> Found {
        self.with(account, |schedule| schedule.found.clone())
    }

    /// Adds to what the last sweep found.
    fn keep(&self, account: &AWSAccount, found: Found) {
        self.with(account, |schedule| schedule.found = found);
    }

    /// Whether the last sweep has read the account's quotas: its status tells them as soon as that is written.
    pub fn has_quotas(&self, account: &AWSAccount) -> bool {
        self.with(account, |schedule| schedule.found.quotas.is_some())
    }

    /// Notes that a sweep is over, what it found, and when the next one is. Tells whether it was the first that was asked for.
    fn over(&self, account: &AWSAccount, found: Found, next: Instant) -> bool {
        self.with(account, |schedule| {
            let was_asked_for = schedule.first == First::Asked;
            (schedule.first, schedule.next, schedule.found) = (First::Over, Some(next), found);
            was_asked_for
        })
    }

    /// How many accounts there is a schedule for.
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// Forgets an account that is gone.
    pub fn forget(&self, account: &str) {
        self.0.lock().remove(account);
    }
}

/// Ends the pass over an account that can be used: with a sweep, where one is due. What the last one found is told by each pass, so that no
/// conflict over the status loses it.
pub async fn sweep_when_due(object: AWSAccount, context: &Context, at: &Placement, account: &Account, facts: AWSAccountStatus) -> Pass<AWSAccount> {
    let interval = context.sweep_interval(&object);
    let left = context.sweeps.left(&at.account, interval, Instant::now());
    if !left.is_zero() {
        let mut found = context.sweeps.found(&at.account);
        if found.lacks_account_facts() {
            found = found.with_account_facts(account).await;
            context.sweeps.keep(&at.account, found.clone());
        }
        return found.told(object, facts, left);
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
        Ok(strangers) => Found { strangers: Some(strangers), ..Found::default() }.with_account_facts(account).await,
        Err(failure) => Found { failures: vec![failure], ..Found::default() },
    };
    if context.sweeps.over(&at.account, found.clone(), Instant::now() + pause) {
        resources_of(context, &at.name).iter().for_each(|resource| context.caches.wake(resource));
    }
    found.told(object, facts, pause)
}

/// What a sweep found. What it could not read is absent, and stays in the status as it was.
#[derive(Clone, Default)]
struct Found {
    strangers: Option<Strangers>,
    quotas: Option<QuotaStatus>,
    /// The alias, if the account has one.
    console_alias: Option<Option<String>>,
    /// What could not be read.
    failures: Vec<Failure>,
}

/// What no resource stands for.
#[derive(Clone)]
struct Strangers {
    orphans: Vec<OrphanStatus>,
    shadow_grants: Vec<ShadowGrantStatus>,
}

impl Found {
    /// Whether the sweep came through and only what the account says of itself could not be read.
    fn lacks_account_facts(&self) -> bool {
        self.strangers.is_some() && !self.failures.is_empty()
    }

    /// Adds what the account says of itself. Each of these reads takes an action of its own: where the management role lacks it, the rest goes on.
    async fn with_account_facts(mut self, account: &Account) -> Self {
        self.failures.clear();
        match account.gateway().quotas().await {
            Ok(quotas) => self.quotas = Some(quotas.into()),
            Err(failure) => self.failures.push(failure),
        }
        match account.gateway().console_alias().await {
            Ok(alias) => self.console_alias = Some(alias),
            Err(failure) => self.failures.push(failure),
        }
        self
    }

    /// Tells it; the account is looked at again after a pause.
    fn told(self, object: AWSAccount, mut facts: AWSAccountStatus, pause: Duration) -> Pass<AWSAccount> {
        if let Some(Strangers { orphans, shadow_grants }) = self.strangers {
            (facts.orphans_total, facts.shadow_grants_total) = (count(orphans.len()), count(shadow_grants.len()));
            facts.orphans = orphans.into_iter().take(LISTED).collect();
            facts.shadow_grants = shadow_grants.into_iter().take(LISTED).collect();
        }
        facts.quotas = self.quotas.or(facts.quotas);
        facts.console_alias = self.console_alias.unwrap_or(facts.console_alias);
        let pause = if self.failures.is_empty() { pause } else { pause.min(AFTER_FAILURE) };
        told(object, facts, self.failures.iter().map(Failure::problem).collect(), Some(Retry::in_a_while(pause)))
    }
}

async fn sweep(context: &Context, at: &Placement, account: &Account) -> Result<Strangers, Failure> {
    // What belonged to a resource when the sweep began, or does when it has ended, is no orphan: the one may be deleted meanwhile, the other made.
    let mut owned = owned_in(context, &at.name);
    let began = Instant::now();
    let sweep = account.gateway().sweep().await?;
    let mut look = Look { context, sweep: &sweep, began, changed: 0 };
    let (users, roles) = (users_in(context, &at.name), roles_in(context, &at.name));
    for user in &users {
        look.at(&**user).await;
    }
    for role in &roles {
        look.at(&**role).await;
    }
    users.iter().for_each(|user| context.forget_if_gone(&BastionUser::reference(ObjectKey::of(&**user))));
    roles.iter().for_each(|role| context.forget_if_gone(&CrossAccountRole::reference(ObjectKey::of(&**role))));
    owned.extend(owned_in(context, &at.name));
    let installation = &context.settings.installation;
    let pinned = users.iter().filter_map(|user| user.pinned()).chain(roles.iter().filter_map(|role| role.pinned())).collect();
    let orphans = sweep.orphans(installation, &owned, &pinned);
    let bastion: BTreeSet<Arn> =
        BastionUser::all(&context.caches).iter().filter_map(|user| user.status.as_ref()?.user_arn.as_deref()?.parse().ok()).collect();
    let management_role = at.account.spec.access.assume_role.as_ref().and_then(|role| role.role_arn.parse::<Arn>().ok());
    let shadow_grants = sweep.shadow_grants(installation, &owned, &bastion, management_role.as_ref());
    info!(users = users.len(), roles = roles.len(), changed = look.changed, orphans = orphans.len(), "swept");
    Ok(Strangers {
        orphans: orphans.into_iter().map(|o| OrphanStatus { identity: o.what, id: o.id.to_string(), owner: o.owner }).collect(),
        shadow_grants: shadow_grants.into_iter().map(|g| ShadowGrantStatus { role_name: g.role, principal: g.principal }).collect(),
    })
}

/// Looks at each resource in the light of a sweep.
struct Look<'a> {
    context: &'a Context,
    sweep: &'a Sweep,
    began: Instant,
    /// How many are not as declared, or not to be seen in full.
    changed: usize,
}

impl Look<'_> {
    /// Remembers that a resource is as declared, or has it reconciled after a direct read. What cannot be resolved now, or is being deleted, has passes
    /// of its own.
    async fn at<K: IdentityKind>(&mut self, object: &K) {
        let of = K::reference(ObjectKey::of(object));
        let memory = &self.context.memory;
        if object.meta().deletion_timestamp.is_some() || !object.is_finalized() || memory.outweighs(&of, self.began) {
            return;
        }
        let known = memory.observation(&of);
        let Ok(Ok((at, desired))) = resolve(object, self.context).await else { return };
        if desired.pinned.is_none() && known.is_none() {
            // Whoever had its name may have gone.
            let shown = self.sweep.of(&desired.identity.name, &desired.known_policies(), None);
            if object.says(&[Reason::Conflict]) && shown.is_some_and(|seen| seen.identity.is_none()) {
                self.context.caches.wake(&of);
            }
            return;
        }
        let principal_ids = desired.principal_ids();
        match self.sweep.of(&desired.identity.name, &desired.known_policies(), known.as_ref().map(|known| &known.observed)) {
            Some(observed) if is_settled(&desired, &observed) && known.as_ref().is_none_or(|known| known.has_same_principals(&principal_ids)) => {
                // There is nothing to do, but something to tell.
                let facts = |seen: &Observed| object.facts(self.context, &at, &desired, seen);
                let is_news = known.is_some_and(|known| known.observed != observed && facts(&known.observed) != facts(&observed));
                // Another process may have told last what it knew, which is outdated.
                let is_news = is_news || !was_ready(object);
                let seen = Observation { uid: uid(object), arn: desired.arn, observed, principal_ids, read_at: self.began, basis: Basis::Swept };
                memory.keep_swept(&of, self.began, seen);
                if is_news {
                    self.context.caches.wake(&of);
                }
            }
            shown => {
                let was_settled = match &known {
                    Some(known) => known.is_believed() && is_settled(&desired, &known.observed),
                    None => was_ready(object),
                };
                self.changed += 1;
                memory.doubt(&of, self.began, was_settled && shown.is_some());
                self.context.caches.wake(&of);
            }
        }
    }
}

fn was_ready<K: IdentityKind>(object: &K) -> bool {
    object.ready().is_some_and(|ready| ready.status == "True" && Some(ready.observed_generation) == object.meta().generation)
}

fn users_in(context: &Context, account: &str) -> Vec<Arc<BastionUser>> {
    placed_in(context, account)
}

fn roles_in(context: &Context, account: &str) -> Vec<Arc<CrossAccountRole>> {
    placed_in(context, account)
}

fn placed_in<K: Kind>(context: &Context, account: &str) -> Vec<Arc<K>> {
    K::all(&context.caches).into_iter().filter(|object| object.account_name() == account).collect()
}

fn resources_of(context: &Context, account: &str) -> Vec<Ref> {
    let (users, roles) = (users_in(context, account), roles_in(context, account));
    let users = users.iter().map(|user| BastionUser::reference(ObjectKey::of(&**user)));
    users.chain(roles.iter().map(|role| CrossAccountRole::reference(ObjectKey::of(&**role)))).collect()
}

/// What each resource of an account stands for in IAM, by `kind/namespace/name`.
fn owned_in(context: &Context, account: &str) -> BTreeSet<(String, IdentityName)> {
    let installation = &context.settings.installation;
    let (users, roles) = (users_in(context, account), roles_in(context, account));
    let users = users.iter().filter_map(|user| Some((owner(&**user, installation).resource, IdentityName::User(user_identity(user).ok()?.0))));
    let roles = roles.iter().filter_map(|role| Some((owner(&**role, installation).resource, IdentityName::Role(role_identity(role).ok()?.0))));
    users.chain(roles).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::quotas::Quotas;

    fn account(uid: &str) -> AWSAccount {
        let manifest = json!({
            "apiVersion": "rolebridge.io/v1alpha1", "kind": "AWSAccount", "metadata": {"name": "prod", "uid": uid},
            "spec": {"accountID": "111111111111", "access": {"ambient": {}}, "allowedNamespaces": {"from": "All"}},
        });
        serde_json::from_value(manifest).unwrap()
    }

    #[test]
    fn the_first_sweep_comes_when_asked_for_and_the_others_at_the_interval() {
        let (sweeps, prod) = (Sweeps::default(), account("uid-1"));
        let (now, interval) = (Instant::now(), Duration::from_secs(900));
        let left = sweeps.left(&prod, interval, now);
        assert!(left >= interval / 2 && left <= interval, "{left:?}");
        assert!(sweeps.ask(&prod), "it is to come");
        assert_eq!(sweeps.left(&prod, interval, now), Duration::ZERO);
        assert!(sweeps.over(&prod, Found::default(), now + interval), "somebody waits for it");
        assert!(!sweeps.ask(&prod));
        assert!(!sweeps.has_quotas(&prod));
        assert_eq!(sweeps.left(&prod, interval, now), interval);
        assert_eq!(sweeps.left(&prod, interval, now + interval), Duration::ZERO);
        let found = Found { quotas: Some(Quotas::default().into()), ..Found::default() };
        assert!(!sweeps.over(&prod, found, now + 2 * interval), "nobody waits for this one");
        assert!(sweeps.has_quotas(&prod));
        assert!(sweeps.left(&prod, interval / 10, now) < interval / 5, "the interval has become shorter");
    }

    #[test]
    fn what_was_found_of_an_account_is_not_told_of_another_object_of_its_name() {
        let (sweeps, now) = (Sweeps::default(), Instant::now());
        let (prod, another) = (account("uid-1"), account("uid-2"));
        let strangers = Some(Strangers { orphans: vec![], shadow_grants: vec![] });
        let found = Found { strangers, quotas: Some(Quotas::default().into()), ..Found::default() };
        sweeps.over(&prod, found, now + Duration::from_secs(900));
        assert!(sweeps.has_quotas(&prod) && sweeps.found(&prod).strangers.is_some() && !sweeps.ask(&prod));
        assert!(!sweeps.has_quotas(&another) && sweeps.found(&another).strangers.is_none());
        assert!(sweeps.ask(&another), "its first sweep is to come");
        assert_eq!(sweeps.left(&another, Duration::from_secs(900), now), Duration::ZERO);
    }
}
