//! Which deletions pass and which wait: decided once for each, in the order in which they come, and kept until the object is gone. What is half removed is
//! never held, and what is held stays so until a person confirms it. A new process goes by what the statuses say ([`crate::core::brake`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::core::brake::{Brake, Deletion, Held, Told, Verdict, WINDOW};
use crate::core::world::Ref;

/// An object that is being deleted, as it was first seen to be.
pub struct Noted {
    /// Its UID: another one may bear its name later.
    pub uid: String,
    /// The AWSAccount that it is in.
    pub account: String,
    /// Its deletion.
    pub deletion: Deletion,
    /// The version of the object, which tells the order of what was deleted in one second, where it is a number.
    pub version: Option<u64>,
}

/// How it stands with a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Not decided yet: that comes in a moment.
    Undecided,
    /// It waits until a person confirms it.
    Held,
    /// It passes, where it waited before since then.
    Passes(Option<Instant>),
}

struct Entry {
    noted: Noted,
    passage: Passage,
}

#[derive(Default)]
struct State {
    /// Whether everything is listed: before that nobody knows how many there are.
    has_begun: bool,
    entries: BTreeMap<Ref, Entry>,
    accounts: BTreeMap<String, InAccount>,
}

/// What is remembered of an account in which something was deleted.
#[derive(Default)]
struct InAccount {
    /// The brake by which it was decided last.
    brake: Brake,
    undecided: Vec<Ref>,
    /// The deletions that count. They do so after the object is gone, too.
    counted: Vec<(Ref, Timestamp)>,
}

/// The deletions of all accounts.
#[derive(Default)]
pub struct Deletions(Mutex<State>);

impl Deletions {
    /// Takes note of an object that is being deleted. What was decided of it stays.
    pub fn note(&self, of: &Ref, noted: Noted) {
        let mut state = self.0.lock();
        if state.entries.get(of).is_none_or(|entry| entry.noted.uid != noted.uid) {
            state.accounts.entry(noted.account.clone()).or_default().undecided.push(of.clone());
            state.entries.insert(of.clone(), Entry { noted, passage: Passage::Undecided });
        }
    }

    /// Takes note that everything is listed. Returns the accounts in which there is something to decide.
    pub fn begin(&self) -> BTreeSet<String> {
        let mut state = self.0.lock();
        state.has_begun = true;
        state.accounts.keys().cloned().collect()
    }

    /// Decides what is not decided yet in an account, and lets pass what is held and may pass now. `total` tells how many users and roles there are in it,
    /// with those that were deleted and count. Returns those that were let pass and had waited.
    pub fn settle(&self, account: &str, brake: &Brake, total: impl Fn(&[(Ref, Timestamp)]) -> usize) -> Vec<Ref> {
        let mut state = self.0.lock();
        let State { has_begun: true, entries, accounts } = &mut *state else { return vec![] };
        let Some(own) = accounts.get_mut(account) else { return vec![] };
        own.decide(brake, entries, total);
        let before = std::mem::replace(&mut own.brake, *brake);
        if !brake.is_set() {
            accounts.remove(account);
        }
        // Nothing else lets pass what is held.
        if before == *brake {
            return vec![];
        }
        let held = entries.iter_mut().filter(|(_, entry)| entry.passage == Passage::Held && entry.noted.account == account);
        let released = held.filter(|(_, entry)| brake.releases(entry.noted.deletion.since)).map(|(of, entry)| {
            entry.passage = Passage::Passes(Some(Instant::now()));
            of.clone()
        });
        released.collect()
    }

    /// How it stands with the deletion of the object with this UID.
    pub fn passage(&self, of: &Ref, uid: &str) -> Passage {
        let state = self.0.lock();
        state.entries.get(of).filter(|entry| entry.noted.uid == uid).map_or(Passage::Undecided, |entry| entry.passage)
    }

    /// Lets a deletion pass. Tells whether it was held.
    pub fn let_pass(&self, of: &Ref) -> bool {
        let mut state = self.0.lock();
        let held = state.entries.get_mut(of).filter(|entry| entry.passage == Passage::Held);
        held.map(|entry| entry.passage = Passage::Passes(Some(Instant::now()))).is_some()
    }

    /// The deletions that wait in an account, if any.
    pub fn held_in(&self, account: &str) -> Option<Held> {
        let state = self.0.lock();
        let held = state.entries.values().filter(|entry| entry.noted.account == account && entry.passage == Passage::Held);
        let times: Vec<Timestamp> = held.map(|entry| entry.noted.deletion.since).collect();
        Some(Held { count: times.len(), newest: times.into_iter().max()? })
    }

    /// How many are remembered.
    pub fn count(&self) -> usize {
        let state = self.0.lock();
        state.entries.len() + state.accounts.values().map(|own| own.counted.len()).sum::<usize>()
    }

    /// Forgets a resource that is gone. That it was deleted counts on.
    pub fn forget(&self, of: &Ref) {
        self.0.lock().entries.remove(of);
    }
}

impl InAccount {
    /// Decides what is not decided yet, in order of time: first what an earlier process let pass, which counts.
    fn decide(&mut self, brake: &Brake, entries: &mut BTreeMap<Ref, Entry>, total: impl Fn(&[(Ref, Timestamp)]) -> usize) {
        let order = |of: &Ref| entries.get(of).map(|Entry { noted, .. }| (noted.deletion.told, noted.deletion.since, noted.version));
        self.undecided.sort_by_cached_key(order);
        for of in std::mem::take(&mut self.undecided) {
            let Some(Entry { noted: Noted { deletion, .. }, passage }) = entries.get_mut(&of) else { continue };
            if *passage != Passage::Undecided {
                continue;
            }
            self.counted.retain(|(_, at)| deletion.since.duration_since(*at) < WINDOW);
            let verdict = brake.decide(deletion, self.counted.iter().map(|(_, at)| *at), || total(&self.counted));
            *passage = match (verdict, deletion.told) {
                (Verdict::Held, _) => Passage::Held,
                // It waited, as its status says, and was confirmed since.
                (_, Told::Held) => Passage::Passes(Some(Instant::now())),
                _ => Passage::Passes(None),
            };
            if verdict == Verdict::Counted {
                self.counted.push((of, deletion.since));
            }
        }
    }
}

impl Passage {
    /// For how long it passes, where it waited before.
    pub fn passing_for(self) -> Option<Duration> {
        if let Self::Passes(Some(since)) = self { Some(since.elapsed()) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::world::ObjectKey;

    fn role(number: i64) -> Ref {
        Ref::Role(ObjectKey::new("data", format!("role-{number}")))
    }

    fn noted(seconds: i64, told: Told) -> Noted {
        let deletion = Deletion { since: Timestamp::from_second(1_700_000_000 + seconds).unwrap(), is_made: true, told };
        Noted { uid: "uid".into(), account: "prod".into(), deletion, version: None }
    }

    /// A brake of three deletions; with what is confirmed.
    fn brake(confirmed: Option<&str>) -> Brake {
        let account = serde_json::json!({
            "apiVersion": "rolebridge.io/v1alpha1", "kind": "AWSAccount",
            "metadata": {"name": "prod", "annotations": confirmed.map(|until| serde_json::json!({crate::api::CONFIRM_DELETIONS: until}))},
            "spec": {"accountID": "111111111111", "access": {}, "allowedNamespaces": {"from": "All"}, "deletionBrake": {"share": 1, "number": 3}},
        });
        Brake::of(&serde_json::from_value(account).unwrap())
    }

    const ALL: &str = "2100-01-01T00:00:00Z";

    fn begun() -> Deletions {
        let deletions = Deletions::default();
        assert!(deletions.begin().is_empty());
        deletions
    }

    fn held(deletions: &Deletions, roles: impl Iterator<Item = i64>) -> Vec<i64> {
        roles.filter(|number| deletions.passage(&role(*number), "uid") == Passage::Held).collect()
    }

    #[test]
    fn what_comes_one_after_the_other_passes_until_the_brake_holds() {
        let deletions = begun();
        for number in (0..6).chain(0..6) {
            deletions.note(&role(number), noted(0, Told::Nothing));
            assert!(deletions.settle("prod", &brake(None), |_| 10).is_empty());
        }
        assert_eq!(held(&deletions, 0..6), [3, 4, 5], "what is decided of one is kept");
        assert_eq!(deletions.held_in("prod").map(|held| held.count), Some(3));
        assert_eq!(deletions.held_in("utils"), None);
    }

    #[test]
    fn those_that_are_gone_count_on_and_what_is_held_stays_so_when_they_count_no_more() {
        let deletions = begun();
        for number in 0..4 {
            deletions.note(&role(number), noted(number, Told::Nothing));
            deletions.settle("prod", &brake(None), |_| 10);
        }
        (0..3).for_each(|number| deletions.forget(&role(number)));
        deletions.note(&role(5), noted(599, Told::Nothing));
        deletions.note(&role(6), noted(700, Told::Nothing));
        deletions.settle("prod", &brake(None), |counted| {
            assert_eq!(counted.len(), 3, "they are part of the whole");
            10
        });
        assert_eq!(held(&deletions, 0..7), [3, 5]);
    }

    #[test]
    fn what_is_held_passes_once_it_is_confirmed_and_is_told_once() {
        let deletions = begun();
        for number in 0..6 {
            deletions.note(&role(number), noted(number, Told::Nothing));
            deletions.settle("prod", &brake(None), |_| 10);
        }
        assert!(deletions.settle("utils", &Brake::default(), |_| 10).is_empty(), "another account's brake");
        let mut released = deletions.settle("prod", &brake(Some(ALL)), |_| 10);
        released.sort();
        assert_eq!(released, [3, 4, 5].map(role));
        assert!(deletions.settle("prod", &brake(Some(ALL)), |_| 10).is_empty());
        assert!(deletions.settle("prod", &brake(None), |_| 10).is_empty() && deletions.held_in("prod").is_none(), "it goes on all the same");
        assert!(deletions.passage(&role(3), "uid").passing_for().is_some() && deletions.passage(&role(0), "uid").passing_for().is_none());
    }

    #[test]
    fn what_is_held_passes_when_the_brake_is_taken_out_and_nothing_counts_then() {
        let deletions = begun();
        for number in 0..6 {
            deletions.note(&role(number), noted(number, Told::Nothing));
            deletions.settle("prod", &brake(None), |_| 10);
        }
        assert_eq!((deletions.settle("prod", &Brake::default(), |_| 10).len(), deletions.count()), (3, 6));
        (0..6).for_each(|number| deletions.forget(&role(number)));
        assert_eq!(deletions.count(), 0);
    }

    #[test]
    fn nothing_is_decided_before_all_is_listed_and_then_in_the_order_of_time() {
        let deletions = Deletions::default();
        for (number, since, told) in [(0, 9, Told::Nothing), (1, 8, Told::Nothing), (2, 1, Told::Held), (3, 9, Told::Passed), (4, 7, Told::Nothing)] {
            let version = u64::try_from(number).ok();
            deletions.note(&role(number), Noted { version, ..noted(since, told) });
            deletions.settle("prod", &brake(None), |_| 10);
        }
        assert_eq!(deletions.passage(&role(0), "uid"), Passage::Undecided);
        assert_eq!(deletions.begin(), ["prod".to_owned()].into());
        deletions.settle("prod", &brake(None), |_| 10);
        assert_eq!(held(&deletions, 0..5), [0, 2], "one was let pass before, and two are older than the first");
    }

    #[test]
    fn another_object_of_the_name_is_another_deletion() {
        let deletions = begun();
        deletions.note(&role(0), noted(0, Told::Held));
        deletions.settle("prod", &brake(None), |_| 10);
        assert_eq!((deletions.passage(&role(0), "uid"), deletions.passage(&role(0), "other")), (Passage::Held, Passage::Undecided));
        assert!(deletions.let_pass(&role(0)) && !deletions.let_pass(&role(0)));
        deletions.note(&role(0), Noted { uid: "other".into(), ..noted(0, Told::Held) });
        deletions.settle("prod", &brake(None), |_| 10);
        assert_eq!(deletions.passage(&role(0), "other"), Passage::Held);
    }
}
