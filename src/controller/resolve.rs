//! Where a resource is placed and what it wants there; and reading what it refers to that no watch carries, the texts in ConfigMaps.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::caches::Caches;
use super::context::Context;
use super::kinds::{IdentityKind, Kind};
use super::pass::{Pass, Retry, told};
use crate::api::permissions::Permissions;
use crate::api::{Managed, Reason};
use crate::aws::Account;
use crate::core::desired::Desired;
use crate::core::failure::Failure;
use crate::core::outcome::Problem;
use crate::core::permissions::{ConfigText, ConfigTexts, config_references};
use crate::core::placement::{Placement, admit, find};
use crate::core::world::ObjectKey;

/// Where a resource is placed and what it wants there, or what is wrong with it.
pub(super) type Resolved = Result<(Placement, Desired), Vec<Problem>>;

pub(super) async fn resolve<K: IdentityKind>(object: &K, context: &Context) -> Result<Resolved, kube::Error> {
    let at = match place(object, context) {
        Ok(at) => at,
        Err(problem) => return Ok(Err(vec![problem])),
    };
    Ok(object.desired(context, &at).await?.map(|desired| (at, desired)))
}

/// The account that the object is placed in, where it may be.
pub(super) fn place<K: IdentityKind>(object: &K, context: &Context) -> Result<Placement, Problem> {
    let at = find(&*context.caches, object.account_name())?;
    let namespace = object.namespace().unwrap_or_default();
    admit(&*context.caches, &at, &namespace, object.told_arn().is_some())?;
    same_account(object, &at)?;
    if !at.account.is_finalized() {
        // Without it the account could go while something of ours is still there.
        return Err(Problem::new(Reason::AccountNotReady, format!("AWSAccount {} has just been created", at.name)));
    }
    Ok(at)
}

/// An AWSAccount that was deleted and made again for another account of AWS does not take along what was made in the first.
pub(super) fn same_account<K: IdentityKind>(object: &K, at: &Placement) -> Result<(), Problem> {
    match object.told_arn() {
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
}

impl Closed {
    /// Tells it, after what else there is to tell.
    pub(super) fn told<K: Kind>(self, object: K, mut problems: Vec<Problem>) -> Pass<K> {
        let facts = object.status().cloned().unwrap_or_default();
        let retry = match self {
            Self::Unusable(problem) => {
                problems.push(problem);
                None
            }
            Self::Failure(failure) => {
                problems.push(failure.problem());
                Some(Retry::after(&failure))
            }
        };
        told(object, facts, problems, retry)
    }
}

/// Goes into an account: its client, and the proof that it is the one declared.
pub(super) async fn enter(context: &Context, at: &Placement) -> Result<Arc<Account>, Closed> {
    let unusable = |problem: Problem| Problem::new(Reason::AccountNotReady, format!("AWSAccount {}: {}", at.name, problem.message));
    let account = context.account(at).map_err(|problem| Closed::Unusable(unusable(problem)))?;
    account.verify().await.map_err(|failure| {
        let message = format!("AWSAccount {}: {}", at.name, failure.message);
        Closed::Failure(Failure { reason: Reason::AccountNotReady, message, ..failure })
    })?;
    Ok(account)
}

/// How many ConfigMaps are read at once. While it is read, one takes some megabytes, whatever little of it is kept.
const READ_AT_ONCE: usize = 8;

/// What is kept of a ConfigMap.
struct Read {
    /// The resource version that it was read at.
    version: Option<String>,
    /// The entries that were named then; None for what it does not have.
    entries: BTreeMap<String, Option<ConfigText>>,
}

/// Texts of ConfigMaps, each with the resource version that it was read at. Watches carry the metadata only; a body is read when it is
/// needed and has changed, and only the entries that somebody names are kept of it.
pub struct ConfigMaps {
    client: Client,
    read: Mutex<HashMap<ObjectKey, Read>>,
    reading: Semaphore,
}

impl ConfigMaps {
    /// Nothing read yet.
    pub fn new(client: Client) -> Self {
        Self { client, read: Mutex::default(), reading: Semaphore::new(READ_AT_ONCE) }
    }

    /// Of how many ConfigMaps something is kept.
    pub fn count(&self) -> usize {
        self.read.lock().len()
    }

    /// The texts that permissions take from ConfigMaps of the resource's namespace.
    ///
    /// # Errors
    /// Where the API server cannot be asked. A ConfigMap that does not exist is no error but a None.
    pub async fn texts(&self, caches: &Caches, namespace: Option<&str>, permissions: Option<&Permissions>) -> Result<ConfigTexts, kube::Error> {
        let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, entry) in config_references(permissions) {
            named.entry(name).or_default().insert(entry);
        }
        let mut texts = ConfigTexts::new();
        for (name, entries) in named {
            let read = self.entries(caches, &ObjectKey::new(namespace.unwrap_or_default(), &name), &entries).await?;
            texts.extend(read.into_iter().map(|(entry, text)| ((name.clone(), entry), text)));
        }
        Ok(texts)
    }

    async fn entries(
        &self,
        caches: &Caches,
        key: &ObjectKey,
        wanted: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Option<ConfigText>>, kube::Error> {
        let nothing = || wanted.iter().map(|entry| (entry.clone(), None)).collect();
        let Some(seen) = caches.config_maps.get(&ObjectRef::new(&key.name).within(&key.namespace)) else {
            self.read.lock().remove(key);
            return Ok(nothing());
        };
        let version = seen.metadata.resource_version.as_deref();
        if let Some(known) = self.known(key, version, wanted) {
            return Ok(known);
        }
        // The semaphore is never closed; without its permit the ConfigMap would merely be read beside more others.
        let _reading = self.reading.acquire().await.ok();
        // Many may have waited for the same one.
        if let Some(known) = self.known(key, version, wanted) {
            return Ok(known);
        }
        let Some(found) = Api::<ConfigMap>::namespaced(self.client.clone(), &key.namespace).get_opt(&key.name).await? else { return Ok(nothing()) };
        let mut data = found.data.unwrap_or_default();
        let named: BTreeSet<String> = caches.entries_named(key).union(wanted).cloned().collect();
        let entries: BTreeMap<_, _> = named.into_iter().map(|entry| (entry.clone(), data.remove(&entry).map(ConfigText::from))).collect();
        let answer = entries.iter().filter(|(entry, _)| wanted.contains(*entry)).map(|(entry, text)| (entry.clone(), text.clone())).collect();
        let mut read = self.read.lock();
        // Who named it may have gone meanwhile, and then it has been forgotten already.
        if caches.needs_config_map(key) {
            read.insert(key.clone(), Read { version: found.metadata.resource_version, entries });
        }
        Ok(answer)
    }

    /// Forgets those of these ConfigMaps that nobody names any more, such as the generations of one whose name has a hash.
    pub fn forget_unnamed(&self, caches: &Caches, were_named: Vec<ObjectKey>) {
        for key in were_named {
            if !caches.needs_config_map(&key) {
                self.read.lock().remove(&key);
            }
        }
    }

    /// The wanted entries, where they were read at this version.
    fn known(&self, key: &ObjectKey, version: Option<&str>, wanted: &BTreeSet<String>) -> Option<BTreeMap<String, Option<ConfigText>>> {
        let read = self.read.lock();
        let read = read.get(key).filter(|read| read.version.as_deref() == version)?;
        wanted.iter().map(|entry| Some((entry.clone(), read.entries.get(entry)?.clone()))).collect()
    }
}
