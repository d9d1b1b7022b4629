//! What is known of when something was made for a resource, by this process and by others: it tells whether something that IAM does not show is absent.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::pass::Retry;
use super::state::deeds::Deeds;
use super::state::memory::Memory;
use super::state::observation::GROUND;
use crate::core::absence::{Others, PROPAGATION, Thing, deed, look_again, taken_by, trust_written, without_deleted};
use crate::core::action::{Action, Receipt};
use crate::core::desired::Desired;
use crate::core::document::Document;
use crate::core::failure::Failure;
use crate::core::names::UniqueID;
use crate::core::observed::Observed;
use crate::core::ours::Ours;
use crate::core::subject::Subject;
use crate::core::world::{Ref, uid};
use crate::core::written::{Written, with_own};

/// What is known of when something was made for a resource.
pub struct History<'a> {
    memory: &'a Memory,
    of: Ref,
    uid: String,
    /// The unique ID in the status.
    pinned: Option<UniqueID>,
    deleting: Option<Duration>,
    ready: Option<Duration>,
    deleted: Option<(UniqueID, Duration)>,
}

impl<'a> History<'a> {
    /// That of a resource as it is told now.
    pub fn of<K: Subject>(memory: &'a Memory, object: &K) -> Self {
        let age = |since: Timestamp| Timestamp::now().duration_since(since).try_into().unwrap_or_default();
        let deleting = object.meta().deletion_timestamp.as_ref().map(|since| age(since.0));
        let since = |is_ready: bool| {
            let ready = object.ready().filter(|ready| (ready.status == "True") == is_ready)?;
            ready.last_transition_time.parse().ok().map(age)
        };
        let pinned = object.pinned();
        let ready = pinned.as_ref().and_then(|_| since(true));
        // It is not Ready since that was told at the latest.
        let deleted = object.deleted().map(|id| (id, since(false).unwrap_or_default()));
        let of = Ref::from(&object.source());
        let history = Self { memory, of, uid: uid(object), pinned, deleting, ready, deleted };
        if history.pinned.is_some() && history.look(|deeds| deeds.has_begun && deeds.made != history.pinned) {
            // Another process has taken the finalizer for leave to make something, as it may.
            history.change(|deeds| deeds.has_begun = false);
        }
        let now = Instant::now();
        if let Some(reported) = &history.pinned
            && history.look(|deeds| deeds.reported.as_ref().is_none_or(|(known, _)| known != reported))
        {
            history.change(|deeds| deeds.reported = Some((reported.clone(), now)));
        }
        let told = || object.reported_ours();
        if history.look(|deeds| deeds.ours != Ours::default() && deeds.ours == told()) {
            history.change(|deeds| deeds.ours = Ours::default());
        }
        if history.look(|deeds| deeds.written.iter().any(|(_, at)| now.duration_since(*at) >= GROUND)) {
            history.change(|deeds| deeds.forget_written(now));
        }
        history
    }

    /// The unique ID that what was made for it must have: the one in its status, or the one that this process was told when it made it. What it made and has
    /// seen since comes before what the status tells, which another process may have written of one before.
    pub fn identity_id(&self) -> Option<UniqueID> {
        let (shown, made) = self.look(|deeds| (deeds.shown().cloned(), deeds.made.clone()));
        let is_deleted = |id: &UniqueID| self.deleted.as_ref().is_some_and(|(deleted, _)| deleted == id);
        shown.or_else(|| self.pinned.clone()).or(made).filter(|id| !is_deleted(id))
    }

    /// What is wanted, in the light of what this process has made and no status tells of yet.
    pub fn as_made(&self, desired: Desired) -> Desired {
        let ours = desired.ours.clone().or(self.ours());
        Desired { pinned: self.identity_id(), ours, is_behind: self.is_recent(), written_trust: self.trust_written(), ..desired }
    }

    /// What of policies and boundary is the resource's own, as this process has put it on or was about to. The status may not tell it yet.
    pub fn ours(&self) -> Ours {
        self.look(|deeds| deeds.ours.clone())
    }

    /// Notes that this is the resource's own, and what it was told or seen to be before is not any more.
    pub fn note_ours(&self, ours: Ours) {
        if self.look(|deeds| deeds.ours != ours) {
            self.change(|deeds| deeds.ours = ours);
        }
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
        let others = self.others();
        self.look(|deeds| deeds.traces(thing, Some(others), Instant::now()).doubt(thing))
    }

    /// Which of these it proves nothing of that IAM does not show them, and for how much longer that is so of the last; None where all are known to be absent.
    pub fn unproven(&self, things: impl IntoIterator<Item = Thing>) -> Option<(Vec<Thing>, Duration)> {
        let doubts = things.into_iter().map(|thing| (self.doubt(&thing), thing)).filter(|(doubt, _)| !doubt.is_zero());
        let (doubts, things): (Vec<Duration>, Vec<Thing>) = doubts.unzip();
        Some((things, doubts.into_iter().max()?))
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
        let others = self.others();
        self.look(|deeds| deeds.is_in_doubt(Some(others), Instant::now()))
    }

    /// When to look again whether what is not shown is there after all; None where it is not.
    pub fn look_again(&self) -> Option<Retry> {
        let doubt = self.doubt(&Thing::Identity);
        (!doubt.is_zero()).then(|| Retry::in_a_while(look_again(doubt)))
    }

    /// What others can have done. Whom the status tells of has been made by another process, if not by this one, and that may run still.
    fn others(&self) -> Others {
        let reported_for = self
            .look(|deeds| deeds.reported.as_ref().filter(|(reported, _)| deeds.made.as_ref() != Some(reported)).map(|(_, since)| since.elapsed()));
        let running = reported_for.map_or(self.memory.running(), |reported_for| reported_for.min(self.memory.running()));
        Others { running, deleting: self.deleting, ready: self.ready }
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
    use crate::core::world::ObjectKey;

    #[test]
    fn what_was_done_for_an_earlier_object_of_the_name_is_none_of_this_ones() {
        let memory = Memory::default();
        let of = Ref::User(ObjectKey::new("data", "alice"));
        let history =
            |uid: &str| History { memory: &memory, of: of.clone(), uid: uid.into(), pinned: None, deleting: None, ready: None, deleted: None };
        history("u1").begin();
        assert!(!history("u1").may_have_made() && history("u2").may_have_made());
        let id: UniqueID = "AIDAEXAMPLEEXAMPLE01".parse().unwrap();
        let made = |uid: &str| history(uid).look(|deeds| deeds.made.clone());
        history("u1").change(|deeds| deeds.made = Some(id.clone()));
        assert_eq!((made("u1"), made("u2")), (Some(id), None));
        history("u2").begin();
        assert_eq!(made("u1"), None);
    }
}
