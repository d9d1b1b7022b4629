//! One run: a schedule carried out against the real controller, and what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use rolebridge::controller::{Health, Settings, run, watched};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::acts::Act;
use crate::checker::Violation;
use crate::determinism::step_clock;
use crate::gateway::aws;
use crate::people::{self, ACCOUNTS, Hands};
use crate::random::Random;
use crate::schedule::{Call, Schedule, Strike};
use crate::wire::client;
use crate::world::{Calls, Life, World};

/// The installation whose operator runs.
pub const INSTALLATION: &str = "main";
/// Between two sweeps.
pub const SWEEP: Duration = Duration::from_secs(120);
/// How long it may take until all is settled, from when nothing breaks any more and every watch can be open again.
const SETTLE: Duration = Duration::from_secs(60 + 60);
/// After this nothing is in doubt any more: an absence has been believed, a user was waited for.
const CERTAIN: Duration = Duration::from_secs(180);
/// The longest pause before what is not Ready is tried again, and an account that refused is asked again. No watch tells what became of them in AWS.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Calls that a run may take for each step of its schedule before something turns in circles.
const CALLS_A_STEP: u64 = 400;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What does not hold, the first of it.
    pub violation: Option<Violation>,
    /// What tells this run from others.
    pub hash: u64,
    /// The trace, where it was kept.
    pub lines: Vec<String>,
    /// How many calls the operator made.
    pub calls: Calls,
    /// Which calls were struck.
    pub struck: BTreeMap<Call, Strike>,
    /// Every call of the operator, in order, where the trace was kept.
    pub made: Vec<Call>,
}

/// A run under way.
pub(crate) struct Run {
    world: World,
    schedule: Schedule,
    operators: Vec<Operator>,
    lives: u64,
    deaths: UnboundedReceiver<Life>,
}

/// One life of the operator.
struct Operator {
    life: Life,
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
    health: Health,
    /// Until when it lives, where another one has taken over.
    until: Option<Instant>,
}

impl Run {
    pub(crate) fn begin(schedule: Schedule, keeps_lines: bool) -> Self {
        let (sender, deaths) = unbounded_channel();
        let world = World::new(schedule.seed, schedule.strikes.clone(), schedule.lag, keeps_lines, sender);
        {
            let state = &mut *world.lock();
            state.checker.lag = schedule.lag;
            people::populate(state, schedule.strangers);
        }
        Self { world, schedule, operators: vec![], lives: 0, deaths }
    }

    fn start(&mut self) {
        self.lives += 1;
        let life = Life::new(self.lives);
        let (stop, stopped) = watch::channel(false);
        let (kubernetes, aws) = (client(&self.world, &life), aws(&self.world, &life));
        let settings = Settings { installation: INSTALLATION.into(), sweep_interval: SWEEP, concurrency: 4 };
        let world = self.world.clone();
        let number = life.number;
        let health = Health::new(&watched());
        let of_task = health.clone();
        let task = tokio::spawn(async move {
            if let Err(error) = run(kubernetes, aws, settings, &of_task, stopped).await {
                world.lock().checker.violated("alive", format!("life {number} ended: {error:#}"));
            }
        });
        {
            let state = &mut *self.world.lock();
            let now = state.now();
            state.checker.view_disturbed(now);
            state.trace.say(format_args!("life {} begins", life.number));
        }
        self.operators.push(Operator { life, task, stop, health, until: None });
    }

    /// Carries out a schedule in which nothing breaks, all of it at once, until all is settled.
    pub(crate) async fn undisturbed(mut schedule: Schedule) -> Self {
        let steps = std::mem::take(&mut schedule.steps);
        let mut run = Self::begin(schedule, false);
        let mut random = Random::new(0);
        for step in &steps {
            run.act(&step.act, &mut random).await;
        }
        run.start();
        run.calm();
        run.settle().await;
        run.end_all();
        run
    }

    /// Carries out the steps of the schedule. Tells whether all went well, so that nothing breaks any more from now on.
    pub(crate) async fn steps(&mut self) -> bool {
        let steps = std::mem::take(&mut self.schedule.steps);
        let mut random = Random::new(self.schedule.seed ^ 0x2545_f491);
        let mut is_started = false;
        for step in &steps {
            // What is applied at first is there before the operator.
            let is_there_before = step.after.is_zero() && matches!(step.act, Act::Apply(_));
            if !is_started && !is_there_before {
                (is_started, _) = (true, self.start());
            }
            self.pass(step.after).await;
            self.world.lock().trace.say(format_args!("{}", step.act));
            self.act(&step.act, &mut random).await;
            if self.is_over(steps.len()) {
                return false;
            }
        }
        if !is_started {
            self.start();
        }
        self.calm();
        true
    }

    /// Whether something does not hold, or the operator turns in circles.
    fn is_over(&self, steps: usize) -> bool {
        let state = &mut *self.world.lock();
        let bound = CALLS_A_STEP * (steps as u64 + 10);
        if state.calls.all > bound {
            state.checker.violated("calls", format!("{:?} are more than {bound}", state.calls));
        }
        !state.checker.violations.is_empty()
    }

    /// Nothing breaks any more from now on.
    fn calm(&mut self) {
        let state = &mut *self.world.lock();
        (state.is_calm, state.api_is_away_until) = (true, None);
        state.closed.clear();
        state.trace.say(format_args!("nothing breaks any more"));
    }

    /// Lets time pass, and sees to it that an operator lives.
    async fn pass(&mut self, time: Duration) {
        let end = Instant::now() + time;
        loop {
            let next = self.operators.iter().filter_map(|operator| operator.until).min().map_or(end, |until| until.min(end));
            match timeout_at(next, self.deaths.recv()).await {
                Ok(Some(dead)) => {
                    let was_last = self.bury(&dead);
                    if was_last {
                        // As long as a restart takes.
                        sleep(Duration::from_secs(1)).await;
                        self.start();
                    }
                }
                Ok(None) => return,
                Err(_) => {
                    let now = Instant::now();
                    let over: Vec<Life> =
                        self.operators.iter().filter(|o| o.until.is_some_and(|until| until <= now)).map(|o| o.life.clone()).collect();
                    for life in over {
                        life.end();
                        self.world.lock().trace.say(format_args!("life {} ends", life.number));
                        self.bury(&life);
                    }
                    if now >= end {
                        return;
                    }
                }
            }
        }
    }

    /// Forgets a life that is over. Tells whether no other one is left that stays.
    fn bury(&mut self, dead: &Life) -> bool {
        let mut had = false;
        self.operators.retain(|operator| {
            let is_it = operator.life.number == dead.number;
            if is_it {
                operator.task.abort();
                had = true;
            }
            !is_it
        });
        had && self.operators.iter().all(|operator| operator.until.is_some())
    }

    fn end_all(&mut self) {
        for operator in self.operators.drain(..) {
            operator.life.end();
            operator.task.abort();
        }
    }

    async fn act(&mut self, act: &Act, random: &mut Random) {
        match act {
            Act::Apply(manifest) => people::apply(&mut self.world.lock(), manifest),
            Act::Delete(which) => people::delete(&mut self.world.lock(), which),
            Act::DeleteAndApply(which, manifest) => {
                let state = &mut *self.world.lock();
                people::delete(state, which);
                people::apply(state, manifest);
            }
            Act::InAWS(account, others) => {
                let hands = random.fork();
                if let Some(mut hands) = Hands::new(&mut self.world.lock(), account, hands) {
                    hands.carry_out(others);
                }
            }
            Act::Crash(down) => {
                self.end_all();
                self.pass(*down).await;
                self.start();
            }
            Act::Overlap(together) => {
                let until = Instant::now() + *together;
                for operator in &mut self.operators {
                    operator.until = Some(operator.until.map_or(until, |there| there.min(until)));
                }
                {
                    let state = &mut *self.world.lock();
                    (state.checker.had_two, state.checker.two_until) = (true, state.now() + *together);
                }
                self.start();
            }
            Act::CutWatches(forgets) => {
                let state = &mut *self.world.lock();
                state.api.cut_watches();
                if *forgets {
                    state.api.compact();
                }
                let now = state.now();
                state.checker.view_disturbed(now);
            }
            Act::APIServerAway(time) => {
                let state = &mut *self.world.lock();
                state.api_is_away_until = Some(Instant::now() + *time);
                state.api.cut_watches();
                let until = state.now() + *time;
                state.checker.view_disturbed(until);
            }
            Act::AccountClosed(account, time) => {
                let id = ACCOUNTS.iter().find(|(name, _)| name == account).and_then(|(_, id)| id.parse().ok());
                let state = &mut *self.world.lock();
                state.checker.closed.insert(account.clone());
                state.closed.extend(id.map(|id| (id, Instant::now() + *time)));
            }
            Act::ClockStep(milliseconds) => step_clock(*milliseconds),
            Act::Wait => {}
        }
    }

    /// What came of it.
    pub(crate) fn outcome(&mut self) -> Outcome {
        self.end_all();
        let state = &mut *self.world.lock();
        Outcome {
            violation: state.checker.violations.first().cloned(),
            hash: state.trace.hash,
            lines: state.trace.lines.take().unwrap_or_default(),
            calls: state.calls,
            struck: std::mem::take(&mut state.struck),
            made: std::mem::take(&mut state.made),
        }
    }
}

/// What the checks of a settled world do with a run.
impl Run {
    /// What is carried out.
    pub(crate) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// What there is.
    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// How much the operator keeps in memory, by kind.
    pub(crate) fn remembered(&self) -> BTreeMap<&'static str, usize> {
        self.operators.last().map(|operator| operator.health.remembered()).unwrap_or_default()
    }

    /// Lets time pass until all is to be settled.
    pub(crate) async fn settle(&mut self) {
        self.pass(SETTLE).await;
    }

    /// The number of the life that began last.
    pub(crate) fn newest(&self) -> u64 {
        self.operators.iter().map(|operator| operator.life.number).max().unwrap_or_default()
    }

    /// Lets time pass until nothing is in doubt any more, and until what `waits` has been tried again.
    pub(crate) async fn be_certain(&mut self, waits: bool) {
        self.pass(if waits { CERTAIN + LONGEST_PAUSE } else { CERTAIN }).await;
    }

    /// Lets so many sweeps go by.
    pub(crate) async fn sweeps(&mut self, count: u32) {
        self.pass(SWEEP * count).await;
    }

    /// Ends the operator as a person would, and starts one that knows nothing.
    pub(crate) async fn begin_anew(&mut self) {
        for operator in &self.operators {
            // Nobody listens where it has ended already.
            let _ = operator.stop.send(true);
        }
        self.pass(Duration::from_secs(30)).await;
        self.end_all();
        self.start();
    }
}
