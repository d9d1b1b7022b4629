//! What this process has done in AWS for one resource, and when: it tells whether something that IAM does not show is absent.

use std::time::Duration;

use tokio::time::Instant;

use super::observation::GROUND;
use crate::core::absence::{Deed, Others, PROPAGATION, Thing, Traces};
use crate::core::document::Document;
use crate::core::names::UniqueID;
use crate::core::ours::Ours;
use crate::core::written::Written;

/// What this process has done in AWS for one resource.
#[derive(Default)]
pub struct Deeds {
    /// UID of the Kubernetes object that it was done for.
    pub uid: String,
    /// Whether this process has put the finalizer on it: before that nobody makes anything.
    pub has_begun: bool,
    /// Whether it has made the user or role, or may have.
    pub has_made: bool,
    /// The unique ID of the user or role that it made last.
    pub made: Option<UniqueID>,
    /// Whether the last read that showed any showed that one.
    pub is_shown: bool,
    /// The unique ID that the status tells, and since when this process knows that.
    pub reported: Option<(UniqueID, Instant)>,
    /// The trust policy that it wrote last, or may have, and when.
    pub trust: Option<(Document, Instant)>,
    /// What of policies and boundary is the resource's own, as this process has put it on or was about to.
    pub ours: Ours,
    /// What it did lately, the last thing to each. What is older tells nothing any more.
    pub lately: Vec<(Thing, Deed, Instant)>,
    /// What it wrote in the last minute, in that order.
    pub written: Vec<(Written, Instant)>,
}

impl Deeds {
    /// Notes what was done to a thing.
    pub fn note(&mut self, thing: Thing, deed: Deed, now: Instant) {
        self.has_made |= (&thing, deed) == (&Thing::Identity, Deed::Made);
        self.lately.retain(|(known, _, at)| *known != thing && now.duration_since(*at) < PROPAGATION);
        self.lately.push((thing, deed, now));
    }

    /// Forgets what was written so long ago that IAM shows it.
    pub fn forget_written(&mut self, now: Instant) {
        self.written.retain(|(_, at)| now.duration_since(*at) < GROUND);
    }

    /// The unique ID of the one that it made last, where a read has shown it since: whatever a status tells of an earlier one, this one is there.
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

    /// Whether anything may have been made so lately that IAM does not show it.
    pub fn is_in_doubt(&self, others: Option<Others>, now: Instant) -> bool {
        let own = self.lately.iter().map(|(thing, ..)| thing).chain([&Thing::Part]);
        own.into_iter().any(|thing| !self.traces(thing, others, now).doubt(thing).is_zero())
    }

    /// What is known of when a thing was made.
    pub fn traces(&self, thing: &Thing, others: Option<Others>, now: Instant) -> Traces {
        Traces { own: self.last(thing, now), others: others.filter(|_| !self.has_begun) }
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
}
