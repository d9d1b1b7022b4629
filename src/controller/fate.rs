//! What has become of users and roles in whose places trust policies show unique IDs.
//!
//! IAM puts the unique ID of a principal that was deleted into its place, and who bears its name afterwards is another one (IAM user guide, "Principal");
//! so is who takes the name of a user that was renamed.
//! For moments it may show the ID of one that lives, too, so each is read by itself before anything is done about it. Of those that are none of ours only
//! time tells ([`Memory::may_be_passing`]).
//!
//! [`Memory::may_be_passing`]: super::memory::Memory::may_be_passing

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::caches::lock;
use super::context::Context;
use super::relations::Ref;
use crate::core::desired::Desired;
use crate::core::grants::Presence;
use crate::core::observed::Observed;
use crate::core::world::SourceKey;

/// How long it may take to read a user or role that is suspected to be gone. Whoever cannot be read by then counts as gone: so nobody is let in, and nobody
/// else is held up.
pub(super) const SUSPICION: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// To be read; since when.
    Suspected(Instant),
    Gone,
    /// It was seen; when.
    Lives(Instant),
}

/// What has become of users and roles, by their unique IDs, of which IAM gives none twice.
#[derive(Default)]
pub struct Fates(Mutex<HashMap<String, Fate>>);

impl Fates {
    /// Whether it is not known yet what has become of the one with this ID, which a trust policy shows; and whether that is new.
    fn suspects(&self, id: &str, now: Instant) -> (bool, bool) {
        let mut fates = lock(&self.0);
        match fates.get(id) {
            None => {
                fates.insert(id.to_owned(), Fate::Suspected(now));
                (true, true)
            }
            Some(Fate::Suspected(since)) if now.duration_since(*since) > SUSPICION => {
                fates.insert(id.to_owned(), Fate::Gone);
                (false, false)
            }
            Some(Fate::Lives(seen)) if now.duration_since(*seen) > SUSPICION => {
                fates.insert(id.to_owned(), Fate::Suspected(now));
                (true, true)
            }
            Some(fate) => (matches!(fate, Fate::Suspected(_)), false),
        }
    }

    /// Takes note of whether the one with this ID was seen to be there. That it is, is worth a note only where it was in doubt.
    pub fn settle(&self, id: &str, lives: bool, now: Instant) {
        let mut fates = lock(&self.0);
        match (lives, fates.get_mut(id)) {
            (true, Some(fate)) => *fate = Fate::Lives(now),
            (true, None) => {}
            (false, _) => {
                fates.insert(id.to_owned(), Fate::Gone);
            }
        }
    }

    /// Whether the one with this ID is known to be gone.
    pub fn is_gone(&self, id: &str) -> bool {
        lock(&self.0).get(id) == Some(&Fate::Gone)
    }
}

/// Whether the trust policy does not name sources any more that it named, of which it is not known yet what has become of them: IAM shows their unique IDs in
/// their places where they were deleted, and other names where they were renamed. What bears their names must not be trusted before. Those sources are had
/// read.
pub fn has_suspects(context: &Context, desired: &Desired, observed: &Observed) -> bool {
    let Some(there) = desired.trust_there(observed) else { return false };
    let shown: BTreeSet<&str> = there.unique_ids().collect();
    let mut suspected = false;
    for grant in desired.trust.iter().flatten().flatten() {
        let (Some(key), Some(id), Some(admission)) = (&grant.key, grant.source_id.as_deref(), &grant.admission) else { continue };
        let has_vanished = grant.was_named && grant.presence == Presence::Wanted && !there.names(&admission.principal);
        if !has_vanished && !shown.contains(id) {
            continue;
        }
        let source = match key {
            SourceKey::User(key) => Ref::User(key.clone()),
            SourceKey::Role(key) => Ref::Role(key.clone()),
        };
        let (is_suspect, is_new) = context.memory.fates.suspects(id, Instant::now());
        if is_new {
            context.memory.distrust(&source);
            context.caches.wake(&source);
        }
        suspected |= is_suspect;
    }
    suspected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_4_and_6_who_is_suspected_is_gone_or_lives_once_it_was_read_and_gone_after_a_while() {
        let (fates, now) = (Fates::default(), Instant::now());
        fates.settle("AIDAZERO", false, now);
        assert!(fates.is_gone("AIDAZERO"), "that it is gone counts also where nobody doubted that it lives");
        assert_eq!((fates.suspects("AIDAONE", now), fates.suspects("AIDAONE", now)), ((true, true), (true, false)));
        assert!(!fates.is_gone("AIDAONE"));
        fates.settle("AIDAONE", true, now);
        assert_eq!((fates.suspects("AIDAONE", now), fates.is_gone("AIDAONE")), ((false, false), false));
        let later = now + SUSPICION + Duration::from_secs(1);
        assert_eq!(fates.suspects("AIDAONE", later), (true, true), "that it lived then says nothing of now");
        fates.settle("AIDAONE", false, now);
        assert!(fates.is_gone("AIDAONE"));
        assert_eq!(fates.suspects("AIDATWO", now), (true, true));
        assert_eq!(fates.suspects("AIDATWO", now + SUSPICION + Duration::from_secs(1)), (false, false));
        assert!(fates.is_gone("AIDATWO"));
    }
}
