//! What this process has made in AWS for each resource, and when: it tells whether something that IAM does not show is absent.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::context::Context;
use super::kinds::IdentityKind;
use super::memory::{GROUND, Memory};
use super::pass::{Retry, uid};
use crate::core::absence::{Deed, Others, PROPAGATION, Thing, Traces, deed, look_again, taken_by, trust_written, without_deleted};
use crate::core::action::{Action, Receipt};
use crate::core::document::Document;
use crate::core::failure::Failure;
use crate::core::names::UniqueID;
use crate::core::observed::Observed;
use crate::core::world::{ObjectKey, Ref};
use crate::core::written::{Written, with_own};

/// What this process has done in AWS for one resource.
#[derive(Default)]
pub struct Deeds {
    /// UID of the Kubernetes object that it was done for.
    uid: String,
    /// Whether this process has put the finalizer on it: before that nobody makes anything.
    has_begun: bool,
    /// Whether it has made the user or role, or may have.
    has_made: bool,
    /// The unique ID of the user or role that it made last.
    made: Option<UniqueID>,
    /// Whether the last read that showed any showed that one.
    is_shown: bool,
    /// The trust policy that it wrote last, or may have, and when.
    trust: Option<(Document, Instant)>,
    /// What it did lately, the last thing to each. What is older tells nothing any more.
    lately: Vec<(Thing, Deed, Instant)>,
    /// What it wrote in the last minute, in that order.
    written: Vec<(Written, Instant)>,
}

impl Deeds {
    fn note(&mut self, thing: Thing, deed: Deed, now: Instant) {
        self.has_made |= (&thing, deed) == (&Thing::Identity, Deed::Made);
        self.lately.retain(|(known, _, at)| *known != thing && now.duration_since(*at) < PROPAGATION);
        self.lately.push((thing, deed, now));
    }

    fn forget_written(&mut self, now: Instant) {
        self.written.retain(|(_, at)| now.duration_since(*at) < GROUND);
    }

    /// The unique ID of the user or role that this process made last.
    pub fn made(&self) -> Option<&UniqueID> {
        self.made.as_ref()
    }

    /// The same, where a read has shown it since: whatever a status tells of an earlier one, this one is there.
    pub fn shown(&self) -> Option<&UniqueID> {
        self.made.as_ref().filter(|_| self.is_shown)
    }

    /// Whether this was done for the object with this UID, and not for an earlier one of its name.
    pub fn is_for(&self, uid: &str) -> bool {
        self.uid == uid
    }

    fn last(&self, thing: &Thing, now: Instant) -> Option<(Deed, Duration)> {
        self.lately.iter().find(|(known, ..)| known == thing).map(|(_, deed, at)| (*deed, now.duration_since(*at)))
    }

    fn is_in_doubt(&self, others: Option<Others>, now: Instant) -> bool {
        let own = self.lately.iter().map(|(thing, ..)| thing).chain([&Thing::Part]);
        own.into_iter().any(|thing| !self.traces(thing, others, now).doubt(thing).is_zero())
    }

    fn traces(&self, thing: &Thing, others: Option<Others>, now: Instant) -> Traces {
        Traces { own: self.last(thing, now), others: others.filter(|_| !self.has_begun) }
    }
}

/// What is known of when something was made for a resource.
pub struct History<'a> {
    memory: &'a Memory,
    of: Ref,
    uid: String,
    deleting: Option<Duration>,
    ready: Option<Duration>,
    deleted: Option<(UniqueID, Duration)>,
}

impl<'a> History<'a> {
    /// That of a resource as it is told now.
    pub fn of<K: IdentityKind>(context: &'a Context, object: &K) -> Self {
        let age = |since: Timestamp| Timestamp::now().duration_since(since).try_into().unwrap_or_default();
        let deleting = object.meta().deletion_timestamp.as_ref().map(|since| age(since.0));
        let ready = object.pinned().and_then(|_| object.ready_since(true)).map(age);
        // It is not Ready since that was told at the latest.
        let deleted = object.deleted().map(|id| (id, object.ready_since(false).map(age).unwrap_or_default()));
        let of = K::reference(ObjectKey::of(object));
        let history = Self { memory: &context.memory, of, uid: uid(object), deleting, ready, deleted };
        let pinned = object.pinned();
        if pinned.is_some() && history.look(|deeds| deeds.has_begun && deeds.made != pinned) {
            // Another process has taken the finalizer for leave to make something, as it may.
            history.change(|deeds| deeds.has_begun = false);
        }
        let now = Instant::now();
        if history.look(|deeds| deeds.written.iter().any(|(_, at)| now.duration_since(*at) >= GROUND)) {
            history.change(|deeds| deeds.forget_written(now));
        }
        history
    }

    /// Notes that this process has put the finalizer on an object that tells of nothing that was made for it.
    pub fn begin(&self) {
        self.change(|deeds| deeds.has_begun = true);
    }

    /// Notes what became of an action that was tried on what there was `before`.
    pub fn note(&self, action: &Action, result: &Result<Receipt, Failure>, before: &Observed) {
        if let Some(written) = result.as_ref().ok().and_then(|receipt| Written::of(action, receipt, before)) {
            self.change(|deeds| deeds.written.push((written, Instant::now())));
        }
        if let Some(document) = trust_written(action, result) {
            self.change(|deeds| deeds.trust = Some((document.clone(), Instant::now())));
        }
        if let Some((thing, deed)) = deed(action, result) {
            self.change(|deeds| deeds.note(thing, deed, Instant::now()));
        }
        if let (Action::CreateIdentity(_), Ok(Receipt::Created(id))) = (action, result) {
            self.change(|deeds| deeds.made = Some(id.clone()));
        }
    }

    /// Notes what a direct read has shown.
    pub fn read(&self, observed: &Observed) {
        let Some(found) = &observed.identity else { return };
        let is_shown = |deeds: &Deeds| deeds.made.as_ref() == Some(&found.id);
        if self.look(|deeds| is_shown(deeds) != deeds.is_shown) {
            self.change(|deeds| deeds.is_shown = is_shown(deeds));
        }
    }

    /// Whether a user or role may have been made for a resource that carries the finalizer.
    pub fn may_have_made(&self) -> bool {
        self.look(|deeds| deeds.has_made || !deeds.has_begun)
    }

    /// How much longer it proves nothing that IAM does not show this.
    pub fn doubt(&self, thing: &Thing) -> Duration {
        self.look(|deeds| deeds.traces(thing, Some(self.others()), Instant::now()).doubt(thing))
    }

    /// What a direct read shows, but for what is known to be deleted, and with what this process wrote in the last minute.
    pub fn as_known(&self, shown: Observed) -> Observed {
        let shown = without_deleted(shown, self.deleted.as_ref().map(|(id, since)| (id, *since)));
        let written: Vec<Written> = self.look(|deeds| deeds.written.iter().map(|(write, _)| write.clone()).collect());
        with_own(shown, written.iter())
    }

    /// How much longer it proves nothing that IAM says not to have what this action takes away.
    pub fn doubt_of(&self, action: &Action) -> Duration {
        taken_by(action).map_or(Duration::ZERO, |thing| self.doubt(&thing))
    }

    /// The trust policy that this process wrote so lately that IAM may show the one before.
    pub fn trust_written(&self) -> Option<Document> {
        let is_old = |(_, at): &(Document, Instant)| at.elapsed() >= PROPAGATION;
        if self.look(|deeds| deeds.trust.as_ref().is_some_and(is_old)) {
            self.change(|deeds| deeds.trust = None);
        }
        self.look(|deeds| deeds.trust.as_ref().map(|(document, _)| document.clone()))
    }

    /// Whether anything may have been made so lately that IAM does not show it.
    pub fn is_recent(&self) -> bool {
        self.look(|deeds| deeds.is_in_doubt(Some(self.others()), Instant::now()))
    }

    /// When to look again whether what is not shown is there after all; None where it is not.
    pub fn look_again(&self) -> Option<Retry> {
        let doubt = self.doubt(&Thing::Identity);
        (!doubt.is_zero()).then(|| Retry::in_a_while(look_again(doubt)))
    }

    fn others(&self) -> Others {
        Others { running: self.memory.running(), deleting: self.deleting, ready: self.ready }
    }

    fn look<T>(&self, look: impl Fn(&Deeds) -> T) -> T {
        let own = self.memory.deeds(&self.of, |deeds| deeds.is_for(&self.uid).then(|| look(deeds))).flatten();
        own.unwrap_or_else(|| look(&Deeds::default()))
    }

    fn change(&self, change: impl FnOnce(&mut Deeds)) {
        self.memory.change_deeds(&self.of, |deeds| {
            if !deeds.is_for(&self.uid) {
                *deeds = Deeds { uid: self.uid.clone(), ..Deeds::default() };
            }
            change(deeds);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::names::Arn;

    const MINUTE: Duration = Duration::from_secs(60);

    fn policy() -> Arn {
        "arn:aws:iam::111111111111:policy/p".parse().unwrap()
    }

    /// A process that runs for so long.
    fn running(age: Duration) -> Option<Others> {
        Some(Others { running: age, ..Others::default() })
    }

    #[test]
    fn what_a_process_knows_from_its_beginning_is_absent_at_once_unless_it_was_made() {
        let (mut deeds, now) = (Deeds { has_begun: true, ..Deeds::default() }, Instant::now());
        let doubt = |deeds: &Deeds, thing: &Thing| deeds.traces(thing, running(MINUTE), now + MINUTE).doubt(thing);
        assert_eq!(doubt(&deeds, &Thing::Identity), Duration::ZERO, "it was never made");
        assert_eq!(doubt(&Deeds::default(), &Thing::Identity), MINUTE, "a process before may have made it");
        deeds.note(Thing::Identity, Deed::Made, now);
        assert_eq!(doubt(&deeds, &Thing::Identity), MINUTE);
        assert_eq!(doubt(&deeds, &Thing::Policy(policy())), Duration::ZERO);
        assert!(deeds.is_in_doubt(running(MINUTE), now + MINUTE) && !deeds.is_in_doubt(running(MINUTE), now + 2 * MINUTE));
        deeds.note(Thing::Identity, Deed::Deleted, now + MINUTE);
        assert_eq!(doubt(&deeds, &Thing::Identity), Duration::ZERO);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let (mut deeds, now) = (Deeds::default(), Instant::now());
        deeds.note(Thing::Policy(policy()), Deed::Made, now);
        deeds.note(Thing::Part, Deed::Made, now + 3 * MINUTE);
        assert_eq!(deeds.lately.len(), 1, "{:?}", deeds.lately);
    }

    #[test]
    fn what_was_done_for_an_earlier_object_of_the_name_is_none_of_this_ones() {
        let memory = Memory::default();
        let of = Ref::User(ObjectKey::new("data", "alice"));
        let history = |uid: &str| History { memory: &memory, of: of.clone(), uid: uid.into(), deleting: None, ready: None, deleted: None };
        history("u1").begin();
        assert!(!history("u1").may_have_made() && history("u2").may_have_made());
        let id: UniqueID = "AIDAEXAMPLEEXAMPLE01".parse().unwrap();
        let made = |uid: &str| history(uid).look(|deeds| deeds.made().cloned());
        history("u1").change(|deeds| deeds.made = Some(id.clone()));
        assert_eq!((made("u1"), made("u2")), (Some(id), None));
        history("u2").begin();
        assert_eq!(made("u1"), None);
    }
}
