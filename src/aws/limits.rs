//! The request budget of one account, and the line of removals there.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::access::LimitsConfig;

/// How much later the next piece of work is asked back where as many are under way as the account allows.
const SLOT_SPACING: Duration = Duration::from_millis(12);
/// Calls that a piece of work takes at most, mostly: a role is made with two to four. What is not used up lets others in early.
const CALLS_A_PIECE: u32 = 4;
/// How soon a removal that finds no place comes back at the earliest: about as long as one takes.
const REMOVAL_RETRY: Duration = Duration::from_millis(100);
/// How much later the next one comes back.
const REMOVAL_SPACING: Duration = Duration::from_millis(25);
/// How long after its turn somebody who did not come back is forgotten: what it was for has gone.
const TURN_KEPT: Duration = Duration::from_secs(60);

/// A token bucket that never makes anybody wait: work that finds it empty is sent away with the time of its turn.
///
/// Only the beginning of a piece of work is refused. Every call takes a token, but a call in the middle of a piece of work takes it on
/// credit, and the debt is paid before any other work begins. Otherwise a piece of work that needs more calls than the bucket happens to hold would
/// be broken off each time, begin anew each time, and never end.
///
/// Turns are given in the order of asking, each as much after the one before as a piece of work takes tokens. So a thousand that wait for one
/// account come back one by one.
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
    /// Who was sent away, and when its turn is.
    turns: HashMap<String, Instant>,
    /// The first turn that nobody has.
    next_turn: Instant,
    /// The first turn that none of those has whose turn had come and who had to be sent away again.
    next_again: Instant,
}

impl Budget {
    pub(super) fn new(limits: &LimitsConfig, now: Instant) -> Self {
        let interval = Duration::from_secs(1) / limits.requests_per_second.max(1);
        let state = State { full_at: now, turns: HashMap::new(), next_turn: now, next_again: now };
        Self { interval, capacity: interval * limits.burst.max(1), state: Mutex::new(state) }
    }

    /// Whether `who` may begin a piece of work, given whether there is room for another one; the error is the time until its turn.
    pub(super) fn admit(&self, who: &str, room: bool, now: Instant) -> Result<(), Duration> {
        let mut state = self.state.lock();
        let debt = (state.full_at.saturating_duration_since(now) + self.interval).saturating_sub(self.capacity);
        if room && state.full_at.saturating_duration_since(now) <= self.capacity / 2 {
            // There is more than enough: those who have turns do not come back, or take less than was expected.
            state.turns.remove(who);
            (state.next_turn, state.next_again) = (now, now);
            return Ok(());
        }
        let turn = state.turns.get(who).copied();
        if let Some(early) = turn.map(|turn| turn.saturating_duration_since(now)).filter(|early| !early.is_zero()) {
            return Err(early);
        }
        if room && debt.is_zero() && (turn.is_some() || state.next_turn <= now) {
            state.turns.remove(who);
            return Ok(());
        }
        let spacing = if room { self.interval * CALLS_A_PIECE } else { SLOT_SPACING };
        let turn = if room && turn.is_some() {
            // Those before it took more than was expected. It goes before all that come new.
            let turn = state.next_again.max(now + debt);
            state.next_again = turn + spacing;
            turn
        } else {
            let turn = state.next_turn.max(now + debt.max(SLOT_SPACING));
            state.next_turn = turn + spacing;
            turn
        };
        state.next_turn = state.next_turn.max(state.next_again);
        state.turns.insert(who.into(), turn);
        if state.turns.len().is_power_of_two() {
            state.turns.retain(|_, turn| now.saturating_duration_since(*turn) < TURN_KEPT);
        }
        Err(turn - now)
    }

    /// Forgets the turn of somebody who does not come back.
    pub(super) fn forget(&self, who: &str) {
        self.state.lock().turns.remove(who);
    }

    /// How many have a turn.
    pub(super) fn turns(&self) -> usize {
        self.state.lock().turns.len()
    }

    /// Takes a token for one call, on credit where there is none.
    pub(super) fn spend(&self, now: Instant) {
        let mut state = self.state.lock();
        state.full_at = state.full_at.max(now) + self.interval;
    }
}

/// Turns of removals that find all places taken: as many tries a second, however many wait.
///
/// Whoever finds a place free takes it. Who comes at its turn and finds none has its next turn after all others.
#[derive(Debug, Default)]
pub(super) struct RemovalLine(Mutex<Line>);

#[derive(Debug, Default)]
struct Line {
    turns: HashMap<String, Instant>,
    /// The first turn that nobody has.
    next: Option<Instant>,
}

impl RemovalLine {
    /// The time until the turn of `who`, which has one from now on.
    pub(super) fn turn(&self, who: &str, now: Instant) -> Duration {
        let mut line = self.0.lock();
        if let Some(early) = line.turns.get(who).map(|turn| turn.saturating_duration_since(now)).filter(|early| !early.is_zero()) {
            return early;
        }
        let soonest = now + REMOVAL_RETRY;
        let turn = line.next.map_or(soonest, |next| next.max(soonest));
        line.next = Some(turn + REMOVAL_SPACING);
        line.turns.insert(who.into(), turn);
        if line.turns.len().is_power_of_two() {
            line.turns.retain(|_, turn| *turn > now);
        }
        turn - now
    }

    /// Forgets the turn of somebody who does not come back.
    pub(super) fn forget(&self, who: &str) {
        self.0.lock().turns.remove(who);
    }

    /// How many have a turn.
    pub(super) fn turns(&self) -> usize {
        self.0.lock().turns.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(requests_per_second: u32, burst: u32, now: Instant) -> Budget {
        Budget::new(&LimitsConfig { requests_per_second, burst, concurrency: 1 }, now)
    }

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_the_time_to_come_back() {
        let now = Instant::now();
        let budget = budget(10, 3, now);
        for _ in 0..3 {
            assert_eq!(budget.admit("a", true, now), Ok(()));
            budget.spend(now);
        }
        assert_eq!(budget.admit("a", true, now), Err(Duration::from_millis(100)));
        assert_eq!(budget.admit("a", true, now + Duration::from_millis(60)), Err(Duration::from_millis(40)));
        assert_eq!(budget.admit("a", true, now + Duration::from_millis(100)), Ok(()));
    }

    #[test]
    fn calls_on_credit_are_paid_before_other_work_begins() {
        let now = Instant::now();
        let budget = budget(10, 1, now);
        for _ in 0..5 {
            budget.spend(now);
        }
        assert_eq!(budget.admit("a", true, now), Err(Duration::from_millis(500)));
        assert_eq!(budget.admit("a", true, now + Duration::from_millis(500)), Ok(()));
    }

    #[test]
    fn a_long_pause_saves_up_no_more_than_the_burst() {
        let start = Instant::now();
        let budget = budget(10, 2, start);
        let later = start + Duration::from_secs(3600);
        budget.spend(later);
        assert_eq!(budget.admit("a", true, later), Ok(()));
        budget.spend(later);
        assert_eq!(budget.admit("a", true, later), Err(Duration::from_millis(100)));
    }

    #[test]
    fn the_long_run_rate_is_the_configured_one() {
        let start = Instant::now();
        let budget = budget(20, 5, start);
        let calls =
            (0..10_000).map(|ms| start + Duration::from_millis(ms)).filter(|now| budget.admit("a", true, *now).map(|()| budget.spend(*now)).is_ok());
        let calls = calls.count();
        assert!((20 * 10..20 * 10 + 5).contains(&calls), "{calls} calls: ten seconds' worth and the burst at most, and hardly less");
    }

    #[test]
    fn those_who_wait_come_back_in_the_order_of_asking_and_none_twice_before_its_turn() {
        let start = Instant::now();
        let budget = budget(10, 1, start);
        let mut waiting: Vec<(String, Instant)> = (0..100).map(|n| (format!("{n}"), start)).collect();
        let (mut done, mut refusals) = (vec![], 0);
        while let Some(at) = (0..waiting.len()).min_by_key(|at| waiting[*at].1) {
            let (who, now) = waiting.remove(at);
            match budget.admit(&who, true, now) {
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
        let in_order = done.windows(2).filter(|pair| pair[0].parse::<u32>().unwrap() < pair[1].parse::<u32>().unwrap()).count();
        assert!(in_order > 90, "nearly all in order: {done:?}");
        assert!(refusals < 1000, "{refusals} vain tries of 100");
        assert!(budget.state.lock().turns.is_empty());
    }

    #[test]
    fn without_room_the_tries_are_spread() {
        let now = Instant::now();
        let budget = budget(1000, 1000, now);
        let pauses: Vec<Duration> = (0..100).filter_map(|n| budget.admit(&format!("{n}"), false, now).err()).collect();
        assert_eq!(pauses.len(), 100);
        assert!(pauses.windows(2).all(|pair| pair[1] - pair[0] == SLOT_SPACING));
    }

    #[test]
    fn an_idle_account_lets_in_whoever_asks_though_others_have_not_come_back() {
        let now = Instant::now();
        let budget = budget(10, 1, now);
        budget.spend(now);
        assert!((0..1000).all(|n| budget.admit(&format!("gone-{n}"), true, now).is_err()));
        assert!(budget.admit("new", true, now).is_err());
        assert_eq!(budget.admit("new", true, now + Duration::from_secs(1)), Ok(()));
        assert_eq!(budget.admit("newer", true, now + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn a_thousand_removals_without_a_place_try_no_more_often_than_a_few() {
        let (start, line) = (Instant::now(), RemovalLine::default());
        let mut waiting: Vec<(String, Instant)> = (0..1000).map(|n| (format!("{n}"), start)).collect();
        let (mut tries, end) = (0, start + Duration::from_secs(60));
        for (who, at) in &mut waiting {
            *at += line.turn(who, *at);
        }
        while let Some((who, at)) = waiting.iter_mut().min_by_key(|(_, at)| *at).filter(|(_, at)| *at < end) {
            *at += line.turn(who, *at);
            tries += 1;
        }
        assert!(tries <= 60 * 40, "{tries} tries in a minute");
        assert!(waiting.iter().all(|(_, at)| *at - end < Duration::from_secs(26)), "each comes again in its turn");
    }

    #[test]
    fn a_removal_that_is_woken_before_its_turn_keeps_it() {
        let (now, line) = (Instant::now(), RemovalLine::default());
        let turn = line.turn("a", now);
        assert_eq!(turn, REMOVAL_RETRY);
        assert_eq!(line.turn("b", now), turn + REMOVAL_SPACING);
        assert_eq!(line.turn("a", now + turn / 2), turn / 2);
        assert_eq!(line.turn("a", now + turn), REMOVAL_RETRY, "nobody comes later than b");
        let long_after = now + Duration::from_secs(3600);
        assert_eq!(line.turn("c", long_after), REMOVAL_RETRY, "those before it are forgotten");
    }

    #[test]
    fn who_does_not_come_back_is_forgotten_when_told_so() {
        let now = Instant::now();
        let (budget, line) = (budget(10, 1, now), RemovalLine::default());
        budget.spend(now);
        for who in ["a", "b"] {
            assert!(budget.admit(who, true, now).is_err() && !line.turn(who, now).is_zero());
        }
        budget.forget("a");
        line.forget("a");
        assert_eq!((budget.turns(), line.turns()), (1, 1));
    }
}
