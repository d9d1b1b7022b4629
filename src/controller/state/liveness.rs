//! What has become of users and roles in whose places trust policies show unique IDs.
//!
//! IAM puts the unique ID of a principal that was deleted into its place, and who bears its name afterwards is another one (IAM user guide, "Principal");
//! so is who takes the name of a user that was renamed.
//! For moments it may show the ID of one that lives, too, so each is read by itself before anything is done about it. Of those that are none of ours only
//! time tells ([`Memory::record_replaced`]).
//!
//! [`Memory::record_replaced`]: super::memory::Memory::record_replaced

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::core::grants::{Grant, Intent};
use crate::core::trust::Trust;
use crate::core::world::Ref;

/// How long a role waits for a source to be read that is suspected to be gone. Who cannot be read by then is let in nowhere until a read shows that it lives,
/// and nobody else is held up; what names it stays.
pub(super) const SUSPICION: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Liveness {
    /// To be read; since when.
    Suspected(Instant),
    /// A read has shown that nobody bears its name, or another one.
    Gone,
    /// It was seen; when.
    Lives(Instant),
}

/// The longest time that what a role learned of its sources while it waited for others is believed: so a role with more sources than can be read
/// in the time of a suspicion does not wait for ever.
const PATIENCE: Duration = Duration::from_secs(300);

/// What has become of users and roles, by their unique IDs, of which IAM gives none twice. Each was made for a resource, and is forgotten with it.
#[derive(Default)]
pub struct IdentityRegistry {
    notes: Mutex<HashMap<String, Note>>,
    /// The roles that wait for sources to be read, and since when.
    waiting: Mutex<HashMap<Ref, Instant>>,
}

/// What has become of a user or role, and the resource that it was made for.
struct Note {
    of: Ref,
    liveness: Liveness,
}

/// What the sources of a role mean for a pass over it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Whether nothing may be written: something is to be known first, or became known only after the pass had resolved who is to be trusted.
    pub waits: bool,
    /// The sources that are newly suspected.
    pub suspected: Vec<Ref>,
}

impl IdentityRegistry {
    /// Looks at the sources of a role that count as living to its pass. `there` is its trust policy, if it has one; `is_known` tells whether a source was read
    /// or made so lately that it may be named where it is not named yet.
    pub fn look<'a>(
        &self,
        role: &Ref,
        grants: impl Iterator<Item = &'a Grant>,
        there: Option<&Trust>,
        is_known: impl Fn(&Ref) -> bool,
        now: Instant,
    ) -> Look {
        let mut look = Look::default();
        let waiting_since = self.waiting.lock().get(role).copied().filter(|since| now.saturating_duration_since(*since) <= PATIENCE);
        for grant in grants.filter(|grant| grant.intent != Intent::Revoke) {
            let (Some(key), Some(id), Some(rule)) = (&grant.key, grant.source_id.as_deref(), &grant.rule) else { continue };
            if rule.principal.is_account() {
                // Whoever is in it, an account is the same.
                continue;
            }
            let (of, is_in_doubt) = (Ref::from(key), there.is_some_and(|there| grant.is_in_doubt(there)));
            let may_be_another = is_in_doubt || (grant.is_added_to(there) && !is_known(&of));
            if may_be_another && self.suspect(&of, id, waiting_since, now) {
                look.suspected.push(of);
            }
            look.waits |= match self.get(id) {
                // Other roles have put it in doubt: it is not added to this one, and what names it already does no harm.
                Some(Liveness::Suspected(_)) if self.counts_as_living(id, now) => is_in_doubt || grant.is_added_to(there),
                Some(Liveness::Suspected(_) | Liveness::Gone) => true,
                Some(Liveness::Lives(_)) | None => false,
            };
        }
        let mut waiting = self.waiting.lock();
        if look.waits {
            waiting.insert(role.clone(), waiting_since.unwrap_or(now));
        } else {
            waiting.remove(role);
        }
        look
    }

    /// Puts in doubt that the one with this ID lives, unless it was seen just now, or while the role that asks waited for others. Tells whether that is new.
    fn suspect(&self, of: &Ref, id: &str, waiting_since: Option<Instant>, now: Instant) -> bool {
        let mut notes = self.notes.lock();
        let is_new = match notes.get(id).map(|note| note.liveness) {
            None => true,
            Some(Liveness::Lives(seen)) => now.saturating_duration_since(seen) > SUSPICION && waiting_since.is_none_or(|since| seen < since),
            Some(Liveness::Suspected(_) | Liveness::Gone) => false,
        };
        if is_new {
            notes.insert(id.to_owned(), Note { of: of.clone(), liveness: Liveness::Suspected(now) });
        }
        is_new
    }

    /// Takes note of whether a read has shown that the one with this ID lives. That it does is worth a note only where it was in doubt. Tells whether others
    /// go by something else now.
    pub fn record(&self, of: &Ref, id: &str, lives: bool, now: Instant) -> bool {
        let mut notes = self.notes.lock();
        match (lives, notes.get_mut(id)) {
            (true, Some(note)) => !matches!(std::mem::replace(&mut note.liveness, Liveness::Lives(now)), Liveness::Lives(_)),
            (true, None) => false,
            (false, Some(note)) => std::mem::replace(&mut note.liveness, Liveness::Gone) != Liveness::Gone,
            (false, None) => notes.insert(id.to_owned(), Note { of: of.clone(), liveness: Liveness::Gone }).is_none(),
        }
    }

    /// Forgets those that were made for a resource before the one with this ID, which its status tells by now.
    pub fn forget_others(&self, of: &Ref, id: &str) {
        self.notes.lock().retain(|other, note| note.of != *of || other == id);
    }

    /// Forgets those that were made for a resource that is gone.
    pub fn forget(&self, of: &Ref) {
        self.notes.lock().retain(|_, note| note.of != *of);
        self.waiting.lock().remove(of);
    }

    /// Whether only a direct read tells what has become of the one with this ID. `is_read` says whether what is known of it comes from a recent one: that
    /// has settled what it could of who is gone, and who may have got its name back since. Who is suspected is read in any case.
    pub fn is_to_be_read(&self, id: &str, is_read: bool) -> bool {
        match self.get(id) {
            Some(Liveness::Suspected(_)) => true,
            Some(Liveness::Gone) => !is_read,
            Some(Liveness::Lives(_)) | None => false,
        }
    }

    /// Whether a read has shown that the one with this ID is gone.
    pub fn is_gone(&self, id: &str) -> bool {
        self.get(id) == Some(Liveness::Gone)
    }

    /// Whether the one with this ID counts as living: it is not known to be gone, nor in doubt for longer than it takes to read it.
    pub fn counts_as_living(&self, id: &str, now: Instant) -> bool {
        match self.get(id) {
            None | Some(Liveness::Lives(_)) => true,
            Some(Liveness::Suspected(since)) => now.saturating_duration_since(since) <= SUSPICION,
            Some(Liveness::Gone) => false,
        }
    }

    /// How many notes there are, and roles that wait for some.
    pub fn count(&self) -> usize {
        self.notes.lock().len() + self.waiting.lock().len()
    }

    fn get(&self, id: &str) -> Option<Liveness> {
        self.notes.lock().get(id).map(|note| note.liveness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::document::Document;
    use crate::core::trust::{Conditions, Principal, TrustRule};
    use crate::core::world::{ObjectKey, SourceKey};

    const ID: &str = "AIDAEXAMPLEEXAMPLE01";
    const ARN: &str = "arn:aws:iam::111111111111:user/alice";

    fn key() -> SourceKey {
        SourceKey::User(ObjectKey::new("data", "alice"))
    }

    fn alices() -> Ref {
        Ref::from(&key())
    }

    /// The grant of a user that counts as living, and that the role's status tells as named.
    fn alice() -> Grant {
        let principal = Principal::named(ARN, &"222222222222".parse().unwrap());
        Grant {
            source: key().to_string(),
            rule: Some(TrustRule::plain(principal)),
            identity: Conditions::default(),
            is_understood: true,
            intent: Intent::Grant,
            problem: None,
            key: Some(key()),
            own_name: None,
            was_named: true,
            source_id: Some(ID.into()),
            reported: None,
            may_be_replaced: false,
            warning: None,
        }
    }

    fn trusting(principal: &str) -> Trust {
        let policy = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Principal": {{"AWS": "{principal}"}}, "Action": "sts:AssumeRole"}}}}"#
        );
        Trust::of(&Document::parse(&policy).unwrap(), &"222222222222".parse().unwrap())
    }

    fn look(identities: &IdentityRegistry, grant: &Grant, there: Option<&Trust>, now: Instant) -> (bool, usize) {
        let look = identities.look(&Ref::Role(ObjectKey::new("data", "reader")), [grant].into_iter(), there, |_| true, now);
        (look.waits, look.suspected.len())
    }

    const GO_ON: (bool, usize) = (false, 0);
    const WAIT: (bool, usize) = (true, 0);
    const SUSPECT: (bool, usize) = (true, 1);

    #[test]
    fn statements_4_and_6_and_44_who_is_not_named_any_more_is_read_before_it_is_trusted_again() {
        let now = Instant::now();
        let later = now + SUSPICION + Duration::from_secs(1);
        for shown in [ID, "arn:aws:iam::111111111111:user/mallory"] {
            let (identities, there) = (IdentityRegistry::default(), trusting(shown));
            assert_eq!(look(&identities, &alice(), Some(&there), now), SUSPECT, "{shown}");
            assert!(identities.is_to_be_read(ID, true) && identities.counts_as_living(ID, now) && !identities.is_gone(ID));
            assert_eq!(look(&identities, &alice(), Some(&there), now), WAIT, "it is being read");
            assert!(identities.record(&alices(), ID, true, now), "who waits is woken");
            assert!(!identities.is_to_be_read(ID, false) && !identities.record(&alices(), ID, true, now));
            assert_eq!(look(&identities, &alice(), Some(&there), now), GO_ON);
            assert_eq!(look(&identities, &alice(), Some(&there), later), SUSPECT, "that it lived then says nothing of now");
        }
        let (identities, named) = (IdentityRegistry::default(), trusting(ARN));
        assert_eq!(look(&identities, &alice(), Some(&named), now), GO_ON);
        assert_eq!(look(&identities, &alice(), None, now), GO_ON, "the role is not made yet");
        let new = Grant { was_named: false, ..alice() };
        assert_eq!(look(&identities, &new, Some(&trusting("arn:aws:iam::111111111111:user/bob")), now), GO_ON);
    }

    #[test]
    fn statement_6_who_is_to_be_named_is_read_before_unless_it_was_a_moment_ago() {
        let (now, role) = (Instant::now(), Ref::Role(ObjectKey::new("data", "reader")));
        let others = trusting("arn:aws:iam::111111111111:user/bob");
        let new = Grant { was_named: false, ..alice() };
        for there in [None, Some(&others)] {
            let identities = IdentityRegistry::default();
            let look = |now: Instant| {
                let look = identities.look(&role, [&new].into_iter(), there, |_| false, now);
                (look.waits, look.suspected.len())
            };
            assert_eq!(look(now), SUSPECT);
            assert!(identities.record(&alices(), ID, true, now));
            assert_eq!(look(now), GO_ON);
            assert_eq!(look(now + SUSPICION + Duration::from_secs(1)), SUSPECT);
            assert!(!identities.counts_as_living(ID, now + 3 * SUSPICION), "who cannot be read is let in nowhere");
        }
        let identities = IdentityRegistry::default();
        let look = identities.look(&role, [&new].into_iter(), Some(&trusting(ARN)), |_| false, now);
        assert_eq!(look, Look::default(), "it is named already");
    }

    #[test]
    fn statement_6_a_pass_that_resolved_a_source_before_it_turned_out_to_be_gone_writes_nothing() {
        let (identities, now) = (IdentityRegistry::default(), Instant::now());
        assert_eq!(look(&identities, &alice(), Some(&trusting(ID)), now), SUSPECT);
        assert!(identities.record(&alices(), ID, false, now), "who names it is woken");
        assert!(!identities.record(&alices(), ID, false, now) && identities.is_gone(ID) && !identities.counts_as_living(ID, now));
        for there in [Some(trusting(ID)), Some(trusting(ARN)), None] {
            for intent in [Intent::Grant, Intent::Freeze] {
                assert_eq!(look(&identities, &Grant { intent, ..alice() }, there.as_ref(), now), WAIT, "{there:?}");
            }
        }
        let resolved_anew = Grant { intent: Intent::Revoke, source_id: None, ..alice() };
        assert_eq!(look(&identities, &resolved_anew, Some(&trusting(ID)), now), GO_ON);
        assert!(identities.is_to_be_read(ID, false), "somebody may give it its name back");
        assert!(!identities.is_to_be_read(ID, true), "not in every pass");
        assert!(identities.record(&alices(), ID, true, now) && !identities.is_gone(ID));
    }

    #[test]
    fn who_cannot_be_read_is_not_let_in_nor_taken_for_gone_and_lives_as_soon_as_it_is_seen() {
        let (identities, now) = (IdentityRegistry::default(), Instant::now());
        let later = now + SUSPICION + Duration::from_secs(1);
        assert_eq!(look(&identities, &alice(), Some(&trusting(ID)), now), SUSPECT);
        assert!(!identities.counts_as_living(ID, later) && !identities.is_gone(ID), "nobody knows");
        assert_eq!(look(&identities, &alice(), Some(&trusting(ID)), later), WAIT, "it is resolved anew first");
        let resolved_anew = Grant { intent: Intent::Freeze, source_id: None, ..alice() };
        assert_eq!(look(&identities, &resolved_anew, Some(&trusting(ID)), later), GO_ON, "others of the role are not held up");
        assert!(identities.is_to_be_read(ID, false));
        assert!(identities.record(&alices(), ID, true, later) && identities.counts_as_living(ID, later));
    }

    #[test]
    fn who_is_suspected_by_one_role_is_added_to_no_other() {
        let (identities, now) = (IdentityRegistry::default(), Instant::now());
        assert_eq!(look(&identities, &alice(), Some(&trusting(ID)), now), SUSPECT);
        let new = Grant { was_named: false, ..alice() };
        assert_eq!(look(&identities, &new, None, now), WAIT);
        assert_eq!(look(&identities, &new, Some(&trusting("arn:aws:iam::111111111111:user/bob")), now), WAIT);
        assert_eq!(look(&identities, &alice(), Some(&trusting(ARN)), now), GO_ON, "it is named there, which adds nobody");
        assert_eq!(look(&identities, &Grant { intent: Intent::Freeze, ..new }, Some(&trusting(ARN)), now), GO_ON);
        let root = Principal::named("arn:aws:iam::111111111111:root", &"222222222222".parse().unwrap());
        let by_root = Grant { rule: Some(TrustRule::plain(root)), ..alice() };
        assert_eq!(look(&identities, &by_root, None, now), GO_ON, "an account is the same whoever is in it");
    }

    #[test]
    fn who_was_made_before_or_for_a_resource_that_is_gone_is_forgotten() {
        let (identities, now, bobs) = (IdentityRegistry::default(), Instant::now(), Ref::User(ObjectKey::new("data", "bob")));
        for (of, id) in [(&alices(), "AIDAEXAMPLEEXAMPLE01"), (&alices(), "AIDAEXAMPLEEXAMPLE02"), (&bobs, "AIDAEXAMPLEEXAMPLE03")] {
            identities.record(of, id, false, now);
        }
        identities.forget_others(&alices(), "AIDAEXAMPLEEXAMPLE02");
        assert!(
            !identities.is_gone("AIDAEXAMPLEEXAMPLE01") && identities.is_gone("AIDAEXAMPLEEXAMPLE02") && identities.is_gone("AIDAEXAMPLEEXAMPLE03")
        );
        identities.forget(&alices());
        assert_eq!((identities.count(), identities.is_gone("AIDAEXAMPLEEXAMPLE03")), (1, true));
    }

    #[test]
    fn what_a_role_learned_while_it_waited_for_others_is_believed_for_some_minutes() {
        let (identities, now, there) = (IdentityRegistry::default(), Instant::now(), trusting("arn:aws:iam::111111111111:user/mallory"));
        let bob = || Grant { key: Some(SourceKey::User(ObjectKey::new("data", "bob"))), source_id: Some("AIDAEXAMPLEEXAMPLE02".into()), ..alice() };
        let after = |seconds: u64| now + Duration::from_secs(seconds);
        let look = |now: Instant| {
            let role = Ref::Role(ObjectKey::new("data", "reader"));
            let look = identities.look(&role, [&alice(), &bob()].into_iter(), Some(&there), |_| true, now);
            (look.waits, look.suspected.len())
        };
        assert_eq!(look(now), (true, 2));
        assert!(identities.record(&alices(), ID, true, after(1)));
        assert_eq!(look(after(29)), (true, 0), "bob is being read");
        assert!(identities.record(&Ref::User(ObjectKey::new("data", "bob")), "AIDAEXAMPLEEXAMPLE02", true, after(32)));
        assert_eq!(look(after(33)), (false, 0), "alice was seen since the role began to wait");
        assert_eq!(look(after(34)), (true, 1), "the next time nothing is being waited for");
        assert_eq!(identities.count(), 3);
        assert_eq!(look(after(34) + PATIENCE + SUSPICION), (true, 1), "and nobody is believed for long");
    }
}
