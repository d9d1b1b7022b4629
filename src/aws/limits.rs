//! The request budget of one account: who may work there when.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::access::LimitsConfig;
use rolebridge_core::world::Ref;

/// How much later the next piece of work is asked back where as many are under way as the account allows.
const SLOT_SPACING: Duration = Duration::from_millis(12);
/// Calls that a piece of work takes at most, mostly: a role is made with two to four. What is not used up lets others in early.
const CALLS_A_PIECE: u32 = 4;
/// How long after its turn somebody who did not come back is forgotten: what it was for has gone.
const TURN_KEPT: Duration = Duration::from_secs(60);

/// A token bucket that never makes anybody wait: work that finds it empty is sent away with the time of its turn.
///
/// Only the beginning of a piece of work is refused. Every call takes a token, but a call in the middle of a piece of work takes it on
/// credit, and the debt is paid before any other work begins. Otherwise a piece of work that needs more calls than the bucket happens to hold would
/// be broken off each time, begin anew each time, and never end.
///
/// Each namespace has a line of its own, and the lines take turns: however many of one namespace wait, one of another waits for no more than what is under
/// way. In a line turns are given in the order of asking, each as much after the one before as a piece of work takes tokens. So a thousand that wait for
/// one account come back one by one.
#[derive(Debug)]
pub(super) struct Budget {
    /// How long one token takes to come back.
    interval: Duration,
    /// How long an empty bucket takes to be full.
    capacity: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the bucket is full again (the generic cell rate algorithm's theoretical arrival time).
    full_at: Instant,
    /// Those who were sent away, by namespace. No line is empty.
    lines: HashMap<String, Line>,
}

/// Those of one namespace who were sent away.
#[derive(Debug)]
struct Line {
    /// When the turn of each is.
    turns: HashMap<Ref, Instant>,
    /// The first turn that nobody has.
    next: Instant,
    /// The first turn that none of those has who go before all that come new.
    next_first: Instant,
}

/// What somebody who asks is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// To bring something about.
    Work,
    /// To remove something: it goes before all work of its namespace that comes new.
    Removal,
}

impl Budget {
    pub(super) fn new(limits: &LimitsConfig, now: Instant) -> Self {
        let interval = Duration::from_secs(1) / limits.requests_per_second.max(1);
        Self { interval, capacity: interval * limits.burst.max(1), state: Mutex::new(State { full_at: now, lines: HashMap::new() }) }
    }

    /// Whether `who` may begin a piece of work, given whether there is room for another one; the error is the time until its turn.
    pub(super) fn admit(&self, who: &Ref, errand: Errand, room: bool, now: Instant) -> Result<(), Duration> {
        let mut state = self.state.lock();
        let used = state.full_at.saturating_duration_since(now);
        let debt = (used + self.interval).saturating_sub(self.capacity);
        if room && used <= self.capacity / 2 {
            // There is more than enough: those who have turns do not come back, or take less than was expected.
            state.lines.values_mut().for_each(|line| (line.next, line.next_first) = (now, now));
            state.leave(who);
            return Ok(());
        }
        let waiting = state.lines.len() + usize::from(!state.lines.contains_key(&who.key().namespace));
        let line = state.lines.entry(who.key().namespace.clone()).or_insert_with(|| Line { turns: HashMap::new(), next: now, next_first: now });
        let turn = line.turns.get(who).copied();
        if let Some(early) = turn.map(|turn| turn.saturating_duration_since(now)).filter(|early| !early.is_zero()) {
            return Err(early);
        }
        if room && debt.is_zero() && (turn.is_some() || line.next <= now) {
            state.leave(who);
            return Ok(());
        }
        // Each line has its share only of what the account allows.
        let spacing = if room { self.interval * CALLS_A_PIECE } else { SLOT_SPACING } * u32::try_from(waiting).unwrap_or(u32::MAX);
        // Those before it took more than was expected, or it is to go.
        let is_first = room && (turn.is_some() || errand == Errand::Removal);
        let turn = if is_first { line.next_first.max(now + debt) } else { line.next.max(now + debt.max(SLOT_SPACING)) };
        *(if is_first { &mut line.next_first } else { &mut line.next }) = turn + spacing;
        line.next = line.next.max(line.next_first);
        line.turns.insert(who.clone(), turn);
        if line.turns.len().is_power_of_two() {
            line.turns.retain(|_, turn| now.saturating_duration_since(*turn) < TURN_KEPT);
        }
        Err(turn - now)
    }

    /// Forgets the turn of somebody who does not come back.
    pub(super) fn forget(&self, who: &Ref) {
        self.state.lock().leave(who);
    }

    /// How many have a turn.
    pub(super) fn turns(&self) -> usize {
        self.state.lock().lines.values().map(|line| line.turns.len()).sum()
    }

    /// Takes a token for one call, on credit where there is none.
    pub(super) fn spend(&self, now: Instant) {
        let mut state = self.state.lock();
        state.full_at = state.full_at.max(now) + self.interval;
    }
}

impl State {
    /// Takes somebody out of its line.
    fn leave(&mut self, who: &Ref) {
        let namespace = &who.key().namespace;
        if let Some(line) = self.lines.get_mut(namespace) {
            line.turns.remove(who);
            if line.turns.is_empty() {
                self.lines.remove(namespace);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rolebridge_core::world::ObjectKey;

    fn role(namespace: &str, n: u32) -> Ref {
        Ref::Role(ObjectKey::new(namespace, n.to_string()))
    }

    fn budget(requests_per_second: u32, burst: u32, now: Instant) -> Budget {
        Budget::new(&LimitsConfig { requests_per_second, burst, concurrency: 1 }, now)
    }

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_the_time_to_come_back() {
        let now = Instant::now();
        let budget = budget(10, 3, now);
        for _ in 0..3 {
            assert_eq!(budget.admit(&role("a", 0), Errand::Work, true, now), Ok(()));
            budget.spend(now);
        }
        assert_eq!(budget.admit(&role("a", 0), Errand::Work, true, now), Err(Duration::from_millis(100)));
        assert_eq!(budget.admit(&role("a", 0), Errand::Work, true, now + Duration::from_millis(60)), Err(Duration::from_millis(40)));
        assert_eq!(budget.admit(&role("a", 0), Errand::Work, true, now + Duration::from_millis(100)), Ok(()));
    }

    #[test]
    fn calls_on_credit_are_paid_before_other_work_begins() {
        let now = Instant::now();
        let budget = budget(10, 1, now);
        for _ in 0..5 {
            budget.spend(now);
        }
        assert_eq!(budget.admit(&role("a", 0), Errand::Work, true, now), Err(Duration::from_millis(500)));
        assert_eq!(budget.admit(&role("a", 0), Errand::Work, true, now + Duration::from_millis(500)), Ok(()));
    }

    #[test]
    fn a_long_pause_saves_up_no_more_than_the_burst() {
        let start = Instant::now();
        let budget = budget(10, 2, start);
        let later = start + Duration::from_secs(3600);
        budget.spend(later);
        assert_eq!(budget.admit(&role("a", 0), Errand::Work, true, later), Ok(()));
        budget.spend(later);
        assert_eq!(budget.admit(&role("a", 0), Errand::Work, true, later), Err(Duration::from_millis(100)));
    }

    #[test]
    fn the_long_run_rate_is_the_configured_one() {
        let start = Instant::now();
        let budget = budget(20, 5, start);
        let calls = (0..10_000)
            .map(|ms| start + Duration::from_millis(ms))
            .filter(|now| budget.admit(&role("a", 0), Errand::Work, true, *now).map(|()| budget.spend(*now)).is_ok());
        let calls = calls.count();
        assert!((20 * 10..20 * 10 + 5).contains(&calls), "{calls} calls: ten seconds' worth and the burst at most, and hardly less");
    }

    #[test]
    fn those_who_wait_come_back_in_the_order_of_asking_and_none_twice_before_its_turn() {
        let start = Instant::now();
        let budget = budget(10, 1, start);
        let mut waiting: Vec<(Ref, Instant)> = (0..100).map(|n| (role("a", n), start)).collect();
        let (mut done, mut refusals) = (vec![], 0);
        while let Some(at) = (0..waiting.len()).min_by_key(|at| waiting[*at].1) {
            let (who, now) = waiting.remove(at);
            match budget.admit(&who, Errand::Work, true, now) {
                Ok(()) => {
                    (0..3).for_each(|_| budget.spend(now));
                    done.push(who);
                }
                Err(pause) => {
                    refusals += 1;
                    waiting.push((who, now + pause));
                }
            }
        }
        let number = |who: &Ref| who.key().name.parse::<u32>().unwrap();
        let in_order = done.windows(2).filter(|pair| number(&pair[0]) < number(&pair[1])).count();
        assert!(in_order > 90, "nearly all in order: {done:?}");
        assert!(refusals < 1000, "{refusals} vain tries of 100");
        assert!(budget.state.lock().lines.is_empty());
    }

    #[test]
    fn without_room_the_tries_are_spread() {
        let now = Instant::now();
        let budget = budget(1000, 1000, now);
        let pauses: Vec<Duration> = (0..100).filter_map(|n| budget.admit(&role("a", n), Errand::Work, false, now).err()).collect();
        assert_eq!(pauses.len(), 100);
        assert!(pauses.windows(2).all(|pair| pair[1] - pair[0] == SLOT_SPACING));
    }

    #[test]
    fn an_idle_account_lets_in_whoever_asks_though_others_have_not_come_back() {
        let now = Instant::now();
        let budget = budget(10, 1, now);
        budget.spend(now);
        assert!((0..1000).all(|n| budget.admit(&role("a", n), Errand::Work, true, now).is_err()));
        assert!(budget.admit(&role("a", 2000), Errand::Work, true, now).is_err());
        assert_eq!(budget.admit(&role("a", 2000), Errand::Work, true, now + Duration::from_secs(1)), Ok(()));
        assert_eq!(budget.admit(&role("a", 2001), Errand::Work, true, now + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn however_many_of_one_namespace_wait_one_of_another_waits_for_what_is_under_way_only() {
        let start = Instant::now();
        let budget = budget(20, 1, start);
        let mut waiting: Vec<(Ref, Errand, Instant)> = (0..1000).map(|n| (role("crowd", n), Errand::Removal, start)).collect();
        let alone: Vec<Instant> = (0..20).map(|n| start + Duration::from_secs(2 + n)).collect();
        waiting.extend(alone.iter().zip(0..).map(|(at, n)| (role("alone", n), Errand::Work, *at)));
        let (mut calls, mut asked, mut waits): (u32, HashMap<Ref, u32>, Vec<u32>) = (0, HashMap::new(), vec![]);
        while waits.len() < alone.len() {
            let next = (0..waiting.len()).min_by_key(|next| waiting[*next].2).unwrap();
            let (who, errand, now) = waiting.remove(next);
            let before = *asked.entry(who.clone()).or_insert(calls);
            match budget.admit(&who, errand, true, now) {
                Ok(()) => {
                    if who.key().namespace == "alone" {
                        waits.push(calls - before);
                    }
                    (0..4).for_each(|_| budget.spend(now));
                    calls += 4;
                }
                Err(pause) => waiting.push((who, errand, now + pause)),
            }
        }
        assert!(waits.iter().all(|foreign| *foreign <= 8), "foreign calls that each waited for: {waits:?}");
    }

    #[test]
    fn what_is_to_go_comes_before_what_comes_new_and_after_nothing_of_its_namespace() {
        let start = Instant::now();
        let budget = budget(10, 1, start);
        budget.spend(start);
        let turn = |who: &Ref, errand| budget.admit(who, errand, true, start).unwrap_err();
        let last = (0..100).map(|n| turn(&role("a", n), Errand::Work)).max().unwrap();
        assert!(turn(&role("a", 200), Errand::Removal) * 10 < last);
    }

    #[test]
    fn who_does_not_come_back_is_forgotten_when_told_so() {
        let now = Instant::now();
        let budget = budget(10, 1, now);
        budget.spend(now);
        assert!((0..2).all(|n| budget.admit(&role("a", n), Errand::Work, true, now).is_err()));
        budget.forget(&role("a", 0));
        assert_eq!(budget.turns(), 1);
        budget.forget(&role("a", 1));
        assert!(budget.state.lock().lines.is_empty());
    }
}
