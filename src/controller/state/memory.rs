//! What the process remembers of each resource between passes. Everything here can be lost at any time: it saves calls and writes, and nothing
//! is decided by it that AWS or the API server would not decide the same way.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::deeds::Deeds;
use super::liveness::{IdentityRegistry, SUSPICION};
use super::observation::{Basis, GROUND, Observation};
use crate::core::document::SharedDocuments;
use crate::core::names::UniqueID;
use crate::core::ownership::Tags;
use crate::core::world::Ref;

#[derive(Default)]
struct Entry {
    observation: Option<Observation>,
    /// When something was last written to it in AWS, or may have been.
    written_at: Option<Instant>,
    /// Versions of the object that writes of our own replaced.
    superseded: Vec<String>,
    /// Whether somebody else has changed in AWS what was as declared, and it has not been put right yet.
    drifted: bool,
    /// When a bulk read put it in doubt, until it is read directly or made.
    doubted_at: Option<Instant>,
    /// Since when reads show principals as gone that it trusted.
    gone_since: Option<Instant>,
    /// Whether a read has shown, when that was certain, that there is nothing in AWS that was made for it.
    is_unmade: bool,
    /// What this process has done for it in AWS.
    deeds: Deeds,
}

impl Entry {
    /// Whether a bulk read that began then says nothing about the resource: it was written to, or read directly, since or shortly before.
    fn is_newer_than(&self, began: Instant) -> bool {
        let is_written = self.written_at.is_some_and(|at| at + GROUND > began);
        is_written || self.observation.as_ref().is_some_and(|known| known.is_newer_than(began))
    }
}

/// What the process remembers, by resource.
pub struct Memory {
    /// When the process began.
    began: Instant,
    entries: Mutex<HashMap<Ref, Entry>>,
    /// The documents of all that was seen.
    documents: Mutex<SharedDocuments>,
    /// What has become of users and roles in whose places trust policies show unique IDs.
    pub identities: IdentityRegistry,
}

impl Default for Memory {
    fn default() -> Self {
        Self { began: Instant::now(), entries: Mutex::default(), documents: Mutex::default(), identities: IdentityRegistry::default() }
    }
}

impl Memory {
    /// For how long the process runs.
    pub fn running(&self) -> Duration {
        self.began.elapsed()
    }

    /// Looks at what this process has done for a resource; None where it has nothing to do with it yet.
    pub fn deeds<T>(&self, of: &Ref, look: impl FnOnce(&Deeds) -> T) -> Option<T> {
        self.entries.lock().get(of).map(|entry| look(&entry.deeds))
    }

    /// Notes what this process has done for a resource.
    pub fn change_deeds(&self, of: &Ref, change: impl FnOnce(&mut Deeds)) {
        change(&mut self.entries.lock().entry(of.clone()).or_default().deeds);
    }

    /// What was last seen of a resource.
    pub fn observation(&self, of: &Ref) -> Option<Observation> {
        self.entries.lock().get(of)?.observation.clone()
    }

    /// The unique ID of the user or role that was made for a resource, if it is known here.
    pub fn made(&self, of: &Ref) -> Option<String> {
        let entries = self.entries.lock();
        let entry = entries.get(of)?;
        let seen = entry.observation.as_ref().and_then(|seen| seen.observed.identity.as_ref()).map(|found| &found.id);
        // Where it is not shown yet, it was made all the same.
        seen.or(entry.deeds.made.as_ref()).map(UniqueID::to_string)
    }

    /// Whether this process has made the user or role of a resource, or what was last seen of it bears the tags of its owner.
    pub fn is_proven(&self, of: &Ref, is_named: impl FnOnce(&Tags) -> bool) -> bool {
        self.entries.lock().get(of).is_some_and(|entry| {
            let seen = entry.observation.as_ref().and_then(|seen| seen.observed.identity.as_ref());
            entry.deeds.made.is_some() || seen.is_some_and(|found| is_named(&found.identity.tags))
        })
    }

    /// Notes that there is nothing in AWS that was made for a resource. Tells whether that is new.
    pub fn note_unmade(&self, of: &Ref) -> bool {
        !std::mem::replace(&mut self.entries.lock().entry(of.clone()).or_default().is_unmade, true)
    }

    /// Whether there is nothing in AWS that was made for a resource, for certain.
    pub fn is_unmade(&self, of: &Ref) -> bool {
        self.entries.lock().get(of).is_some_and(|entry| entry.is_unmade)
    }

    /// Whether a resource was read or made so lately that this is the ground for a write.
    pub fn may_write_from(&self, of: &Ref) -> bool {
        self.entries.lock().get(of).and_then(|entry| entry.observation.as_ref()).is_some_and(Observation::may_write_from)
    }

    /// Puts an observation in the place of the one that is there, with the documents that others have as well.
    fn replace(&self, there: &mut Option<Observation>, mut observation: Option<Observation>) {
        let mut documents = self.documents.lock();
        observation.iter_mut().flat_map(|new| new.observed.documents_mut()).for_each(|document| documents.share(document));
        there.iter().flat_map(|old| old.observed.documents()).for_each(|document| documents.release(document));
        *there = observation;
    }

    /// Keeps what was seen, or forgets it. Tells whether the identity is another one by that, or has just come to be.
    pub fn keep(&self, of: &Ref, observation: Option<Observation>) -> bool {
        let id = |o: &Option<Observation>| o.as_ref().and_then(|o| o.observed.identity.as_ref()).map(|i| i.id.clone());
        let mut entries = self.entries.lock();
        let entry = entries.entry(of.clone()).or_default();
        let changed = id(&observation).is_some() && id(&observation) != id(&entry.observation);
        entry.is_unmade &= id(&observation).is_none();
        // A pass that began before a bulk read put it in doubt knows no better than before, unless it has read it directly, or made it, since.
        let still = |doubted: Instant| !matches!(&observation, Some(Observation { basis: Basis::Direct(at), .. }) if *at > doubted);
        entry.doubted_at = entry.doubted_at.filter(|doubted| still(*doubted));
        let basis = entry.doubted_at.map(|_| Basis::Doubtful);
        self.replace(&mut entry.observation, observation.map(|seen| Observation { basis: basis.unwrap_or(seen.basis), ..seen }));
        changed
    }

    /// Notes that something was written to a resource in AWS, or may have been.
    pub fn wrote(&self, of: &Ref, now: Instant) {
        self.entries.lock().entry(of.clone()).or_default().written_at = Some(now);
    }

    /// Whether a bulk read that began then says nothing about a resource: it was written to, or read directly, since or shortly before.
    pub fn is_newer_than(&self, of: &Ref, began: Instant) -> bool {
        self.entries.lock().get(of).is_some_and(|entry| entry.is_newer_than(began))
    }

    /// Keeps what a bulk read that began then showed of a resource, unless what is known outweighs it.
    pub fn keep_swept(&self, of: &Ref, began: Instant, observation: Observation) {
        let mut entries = self.entries.lock();
        let entry = entries.entry(of.clone()).or_default();
        if !entry.is_newer_than(began) {
            self.replace(&mut entry.observation, Some(observation));
            (entry.drifted, entry.doubted_at) = (false, None);
        }
    }

    /// Puts what is remembered of a resource in doubt, since a bulk read that began then shows something else; `drifted` tells that it was as declared.
    pub fn doubt(&self, of: &Ref, began: Instant, drifted: bool) {
        let mut entries = self.entries.lock();
        let entry = entries.entry(of.clone()).or_default();
        let is_newer_than = entry.is_newer_than(began);
        if let Some(known) = entry.observation.as_mut().filter(|_| !is_newer_than) {
            known.basis = Basis::Doubtful;
            entry.doubted_at = Some(Instant::now());
        }
        entry.drifted |= drifted;
    }

    /// Takes note of whether principals that a role trusted were seen to be gone. Tells whether that may pass: IAM shows for moments the unique IDs of some that
    /// live, too (`waitRoleARNIsNotUniqueID` in the Terraform provider).
    pub fn record_replaced(&self, of: &Ref, are_gone: bool, now: Instant) -> bool {
        let mut entries = self.entries.lock();
        if !are_gone {
            entries.get_mut(of).map(|entry| entry.gone_since.take());
            return false;
        }
        let since = *entries.entry(of.clone()).or_default().gone_since.get_or_insert(now);
        now.duration_since(since) < SUSPICION
    }

    /// Whether the last look at a role showed principals as gone, which may pass: it is there.
    pub fn waits_for_passing(&self, of: &Ref) -> bool {
        self.entries.lock().get(of).is_some_and(|entry| entry.gone_since.is_some())
    }

    /// Whether somebody else changed the resource in AWS; told once.
    pub fn take_drifted(&self, of: &Ref) -> bool {
        self.entries.lock().get_mut(of).is_some_and(|entry| std::mem::take(&mut entry.drifted))
    }

    /// Notes that a write of our own replaced this version of an object, unless it changed nothing.
    pub fn supersede(&self, of: &Ref, before: Option<String>, after: Option<&str>) {
        if let Some(before) = before.filter(|before| Some(before.as_str()) != after) {
            self.entries.lock().entry(of.clone()).or_default().superseded.push(before);
        }
    }

    /// Whether the stores still have a version that a write of our own replaced. Working on it would repeat that write, in vain.
    pub fn is_superseded(&self, of: &Ref, version: Option<&str>) -> bool {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get_mut(of) else { return false };
        let outdated = entry.superseded.iter().any(|v| Some(v.as_str()) == version);
        if !outdated {
            entry.superseded.clear();
        }
        outdated
    }

    /// How much is remembered, by kind.
    pub fn counts(&self) -> [(&'static str, usize); 3] {
        [("observations", self.entries.lock().len()), ("documents", self.documents.lock().count()), ("identities", self.identities.count())]
    }

    /// Forgets a resource that is gone.
    pub fn forget(&self, of: &Ref) {
        if let Some(mut entry) = self.entries.lock().remove(of) {
            self.replace(&mut entry.observation, None);
        }
        self.identities.forget(of);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::core::identity::{Identity, IdentityName, RoleSettings};
    use crate::core::names::Path;
    use crate::core::observed::{Observed, ObservedIdentity};
    use crate::core::trust::deny_all_trust;
    use crate::core::world::ObjectKey;

    fn role() -> Ref {
        Ref::Role(ObjectKey::new("data", "reader"))
    }

    fn reader(id: &str) -> Observed {
        let settings = RoleSettings { description: String::new(), max_session_duration: 3600, trust_policy: deny_all_trust() };
        let identity = Identity {
            name: IdentityName::Role("reader".parse().unwrap()),
            path: Path::root(),
            tags: BTreeMap::new(),
            permissions_boundary: None,
            inline_policies: BTreeMap::new(),
            attached_policies: BTreeSet::new(),
            groups: None,
            role: Some(settings),
        };
        Observed { identity: Some(ObservedIdentity { id: id.parse().unwrap(), identity }), ..Observed::default() }
    }

    /// What was read so long ago.
    fn seen(observed: Observed, ago: Duration) -> Observation {
        let read_at = Instant::now() - ago;
        let arn = "arn:aws:iam::111111111111:role/reader".parse().unwrap();
        Observation { read_at, basis: Basis::Direct(read_at), ..Observation::now("uid".into(), arn, observed, BTreeMap::new()) }
    }

    const LATER: Duration = Duration::from_secs(GROUND.as_secs() + 1);

    #[test]
    fn only_a_read_or_its_making_tells_who_bears_a_name_and_no_write() {
        let id = "AROAEXAMPLEEXAMPLE01".parse().unwrap();
        let mut written = seen(reader("AROAEXAMPLEEXAMPLE01"), LATER);
        written.carried_out(Some(&id), BTreeMap::new(), Instant::now());
        assert!(!written.may_write_from(), "somebody may have made it anew since it was read");
        let mut made = seen(Observed::default(), LATER);
        made.observed = reader("AROAEXAMPLEEXAMPLE01");
        made.carried_out(None, BTreeMap::new(), Instant::now());
        assert!(made.may_write_from(), "nobody else can have made it");
        let mut refused = seen(Observed::default(), LATER);
        refused.carried_out(None, BTreeMap::new(), Instant::now());
        assert!(!refused.may_write_from());
    }

    #[test]
    fn a_bulk_read_says_nothing_of_what_was_written_to_since_however_long_ago_that_was_read() {
        let memory = Memory::default();
        let began = Instant::now();
        memory.keep(&role(), Some(seen(reader("AROAEXAMPLEEXAMPLE01"), LATER)));
        assert!(!memory.is_newer_than(&role(), began));
        memory.wrote(&role(), began + Duration::from_secs(1));
        assert!(memory.is_newer_than(&role(), began));
        memory.doubt(&role(), began, true);
        memory.keep_swept(&role(), began, seen(Observed::default(), Duration::ZERO));
        let known = memory.observation(&role()).unwrap();
        assert!(known.is_believed() && known.observed.identity.is_some());
        assert!(!memory.is_newer_than(&role(), began + LATER + Duration::from_secs(1)));
        // Also of what nothing is known, as after a write whose reply was lost.
        memory.keep(&role(), None);
        assert!(memory.is_newer_than(&role(), began));
    }

    #[test]
    fn a_write_by_a_pass_that_began_before_does_not_lift_a_doubt() {
        let memory = Memory::default();
        memory.keep(&role(), Some(seen(reader("AROAEXAMPLEEXAMPLE01"), LATER)));
        let mut at_work = seen(reader("AROAEXAMPLEEXAMPLE01"), Duration::from_secs(1));
        memory.doubt(&role(), Instant::now(), true);
        let id = "AROAEXAMPLEEXAMPLE01".parse().unwrap();
        at_work.carried_out(Some(&id), BTreeMap::new(), Instant::now());
        memory.keep(&role(), Some(at_work));
        assert!(!memory.observation(&role()).unwrap().is_believed());
        memory.keep(&role(), Some(seen(reader("AROAEXAMPLEEXAMPLE02"), Duration::ZERO)));
        assert!(memory.observation(&role()).unwrap().may_write_from(), "it was read since");
    }

    #[test]
    fn statement_4_who_shows_as_an_id_is_gone_only_after_a_while_without_a_break() {
        let (memory, now) = (Memory::default(), Instant::now());
        let seen = |are_gone: bool, after: Duration| memory.record_replaced(&role(), are_gone, now + after);
        assert!(seen(true, Duration::ZERO) && seen(true, SUSPICION / 2), "it may pass");
        assert!(!seen(false, SUSPICION / 2), "it has passed");
        let again = 2 * SUSPICION;
        assert!(seen(true, again), "what was before says nothing of now");
        assert!(!seen(true, again + SUSPICION), "it stays");
    }
}
