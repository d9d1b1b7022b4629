//! What the process remembers of each resource between passes. Everything here can be lost at any time: it saves calls and writes, and nothing
//! is decided by it that AWS or the API server would not decide the same way.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::caches::lock;
use super::fate::{Fates, SUSPICION};
use super::relations::Ref;
use crate::core::document::SharedDocuments;
use crate::core::names::Arn;
use crate::core::observed::Observed;

/// How long what was seen may be the ground for a write. After that it only tells that there is nothing to do: an object may have been made
/// anew by somebody else, and it is read again before it is touched. As long is what a bulk read shows of it not believed, since it may be late.
const GROUND: Duration = Duration::from_secs(60);

/// How what is remembered came to be known, which is what it is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Read, or written, directly at that time.
    Direct(Instant),
    /// Seen in a bulk read: it tells whether there is something to do, and is no ground for a write.
    Swept,
    /// Put in doubt by a failure: it tells only what there was.
    Doubtful,
}

/// What was last seen in AWS of one resource: read, or known from our own writes since.
#[derive(Clone, Debug)]
pub struct Observation {
    /// UID of the Kubernetes object that it was seen for.
    pub uid: String,
    /// ARN of the user or role that it speaks of.
    pub arn: Arn,
    /// What there was.
    pub observed: Observed,
    /// The sources that the trust policy was written for, with their unique IDs.
    pub principal_ids: BTreeMap<Arn, String>,
    /// When it was read, in bulk or directly.
    pub read_at: Instant,
    /// How it is known.
    pub basis: Basis,
}

impl Observation {
    /// What was read, or assumed, just now.
    pub fn now(uid: String, arn: Arn, observed: Observed, principal_ids: BTreeMap<Arn, String>) -> Self {
        let now = Instant::now();
        Self { uid, arn, observed, principal_ids, read_at: now, basis: Basis::Direct(now) }
    }

    /// Whether it is sure enough to be the ground for a write.
    pub fn is_ground(&self) -> bool {
        matches!(self.basis, Basis::Direct(at) if at.elapsed() < GROUND)
    }

    /// Whether it was seen so recently that IAM may not show everything of it everywhere yet.
    pub fn is_recent(&self) -> bool {
        self.read_at.elapsed() < GROUND
    }

    /// Whether it is known better than by a bulk read that began then.
    pub fn outweighs(&self, began: Instant) -> bool {
        matches!(self.basis, Basis::Direct(at) if at + GROUND > began)
    }

    /// Whether the sources that the trust policy was written for are still the same identities.
    pub fn has_same_principals(&self, now: &BTreeMap<Arn, String>) -> bool {
        self.principal_ids.iter().all(|(arn, id)| now.get(arn).is_none_or(|now| now == id))
    }

    /// Whether it tells that nothing is to be done, where that is what it shows.
    pub fn is_believed(&self) -> bool {
        self.basis != Basis::Doubtful
    }
}

#[derive(Default)]
struct Entry {
    observation: Option<Observation>,
    /// Versions of the object that writes of our own replaced.
    superseded: Vec<String>,
    /// Whether somebody else has changed in AWS what was as declared, and it has not been put right yet.
    drifted: bool,
    /// When a bulk read put it in doubt, until it is read or written directly.
    doubted_at: Option<Instant>,
    /// Since when reads show principals as gone that it trusted.
    gone_since: Option<Instant>,
}

/// What the process remembers, by resource.
#[derive(Default)]
pub struct Memory {
    entries: Mutex<HashMap<Ref, Entry>>,
    /// The documents of all that was seen.
    documents: Mutex<SharedDocuments>,
    /// What has become of users and roles in whose places trust policies show unique IDs.
    pub fates: Fates,
}

impl Memory {
    /// What was last seen of a resource.
    pub fn observation(&self, of: &Ref) -> Option<Observation> {
        lock(&self.entries).get(of)?.observation.clone()
    }

    /// The unique ID of the user or role that was made for a resource, if it is known here.
    pub fn made(&self, of: &Ref) -> Option<String> {
        let entries = lock(&self.entries);
        let observation = entries.get(of)?.observation.as_ref()?;
        observation.observed.identity.as_ref().map(|identity| identity.id.to_string())
    }

    /// The same, with the documents that others have as well.
    fn slim(&self, mut observation: Observation) -> Observation {
        let mut documents = lock(&self.documents);
        observation.observed.documents_mut().for_each(|document| documents.share(document));
        observation
    }

    /// Keeps what was seen, or forgets it. Tells whether the identity is another one by that, or has just come to be.
    pub fn keep(&self, of: &Ref, observation: Option<Observation>) -> bool {
        let id = |o: &Option<Observation>| o.as_ref().and_then(|o| o.observed.identity.as_ref()).map(|i| i.id.clone());
        let mut entries = lock(&self.entries);
        let entry = entries.entry(of.clone()).or_default();
        let changed = id(&observation).is_some() && id(&observation) != id(&entry.observation);
        // A pass that began before a bulk read put it in doubt knows no better than before, unless it has read or written directly since.
        let still = |doubted: Instant| !matches!(&observation, Some(Observation { basis: Basis::Direct(at), .. }) if *at > doubted);
        entry.doubted_at = entry.doubted_at.filter(|doubted| still(*doubted));
        let basis = entry.doubted_at.map(|_| Basis::Doubtful);
        entry.observation = observation.map(|seen| Observation { basis: basis.unwrap_or(seen.basis), ..self.slim(seen) });
        changed
    }

    /// Keeps what a bulk read that began then showed of a resource. It says nothing about what was read or written directly since, or shortly before.
    pub fn keep_swept(&self, of: &Ref, began: Instant, observation: Observation) {
        let mut entries = lock(&self.entries);
        let entry = entries.entry(of.clone()).or_default();
        if !entry.observation.as_ref().is_some_and(|known| known.outweighs(began)) {
            entry.observation = Some(self.slim(observation));
            (entry.drifted, entry.doubted_at) = (false, None);
        }
    }

    /// Puts what is remembered of a resource in doubt, since a bulk read that began then shows something else; `drifted` tells that it was as declared.
    pub fn doubt(&self, of: &Ref, began: Instant, drifted: bool) {
        let mut entries = lock(&self.entries);
        let entry = entries.entry(of.clone()).or_default();
        if let Some(known) = entry.observation.as_mut().filter(|known| !known.outweighs(began)) {
            known.basis = Basis::Doubtful;
            entry.doubted_at = Some(Instant::now());
        }
        entry.drifted |= drifted;
    }

    /// Takes note of whether principals that a role trusted were seen to be gone. Tells whether that may pass: IAM shows for moments the unique IDs of some that
    /// live, too (TF `waitRoleARNIsNotUniqueID`).
    pub fn may_be_passing(&self, of: &Ref, are_gone: bool, now: Instant) -> bool {
        let mut entries = lock(&self.entries);
        if !are_gone {
            entries.get_mut(of).map(|entry| entry.gone_since.take());
            return false;
        }
        let since = *entries.entry(of.clone()).or_default().gone_since.get_or_insert(now);
        now.duration_since(since) < SUSPICION
    }

    /// Whether somebody else changed the resource in AWS; told once.
    pub fn take_drifted(&self, of: &Ref) -> bool {
        lock(&self.entries).get_mut(of).is_some_and(|entry| std::mem::take(&mut entry.drifted))
    }

    /// Notes that a write of our own replaced this version of an object, unless it changed nothing.
    pub fn supersede(&self, of: &Ref, before: Option<String>, after: Option<&str>) {
        if let Some(before) = before.filter(|before| Some(before.as_str()) != after) {
            lock(&self.entries).entry(of.clone()).or_default().superseded.push(before);
        }
    }

    /// Whether the caches still have a version that a write of our own replaced. Working on it would repeat that write, in vain.
    pub fn is_superseded(&self, of: &Ref, version: Option<&str>) -> bool {
        let mut entries = lock(&self.entries);
        let Some(entry) = entries.get_mut(of) else { return false };
        let outdated = entry.superseded.iter().any(|v| Some(v.as_str()) == version);
        if !outdated {
            entry.superseded.clear();
        }
        outdated
    }

    /// Forgets a resource that is gone.
    pub fn forget(&self, of: &Ref) {
        lock(&self.entries).remove(of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::world::ObjectKey;

    #[test]
    fn statement_4_who_shows_as_an_id_is_gone_only_after_a_while_without_a_break() {
        let (memory, role, now) = (Memory::default(), Ref::Role(ObjectKey::new("data", "reader")), Instant::now());
        let seen = |are_gone: bool, after: Duration| memory.may_be_passing(&role, are_gone, now + after);
        assert!(seen(true, Duration::ZERO) && seen(true, SUSPICION / 2), "it may pass");
        assert!(!seen(false, SUSPICION / 2), "it has passed");
        let again = 2 * SUSPICION;
        assert!(seen(true, again), "what was before says nothing of now");
        assert!(!seen(true, again + SUSPICION), "it stays");
    }
}
