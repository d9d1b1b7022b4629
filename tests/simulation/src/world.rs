//! The world of one run: the API server, IAM, the trace, and what is checked after every call.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rolebridge::core::names::AccountID;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep};

use crate::api_server::{Answer, ApiServer, Request};
use crate::checker::Checker;
use crate::iam::Cloud;
use crate::random::{FNV, fnv};
use crate::schedule::{Call, Fate, Strike, Strikes};

/// Shared by everybody in one run.
#[derive(Clone)]
pub struct World(Arc<Mutex<State>>);

/// What there is.
pub struct State {
    /// What Kubernetes has.
    pub api: ApiServer,
    /// What AWS has.
    pub cloud: Cloud,
    /// What is checked.
    pub checker: Checker,
    /// What has happened.
    pub trace: Trace,
    /// Which calls are struck.
    pub strikes: Strikes,
    /// What chance follows from.
    pub seed: u64,
    /// How far IAM's replicas may be behind.
    pub lag: Duration,
    /// Nothing breaks any more.
    pub is_calm: bool,
    /// The API server answers nobody until then.
    pub api_is_away_until: Option<Instant>,
    /// These accounts refuse every call until then.
    pub closed: Vec<(AccountID, Instant)>,
    /// Calls of the operator so far.
    pub calls: Calls,
    /// The strikes that met a call.
    pub struck: BTreeMap<Call, Strike>,
    /// Every call, in order, where the trace is kept.
    pub made: Vec<Call>,
    /// How often each was called, by a hash of what it does.
    seen: HashMap<u64, u32>,
    began: Instant,
    deaths: UnboundedSender<Life>,
}

/// How many calls there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Of all kinds.
    pub all: u64,
    /// Writes to Kubernetes, Events apart.
    pub kubernetes_writes: u64,
    /// Events.
    pub events: u64,
    /// Changes in AWS.
    pub aws_writes: u64,
    /// Changes that AWS refused.
    pub aws_refusals: u64,
    /// Reads of a single resource in AWS.
    pub aws_reads: u64,
}

impl World {
    /// A world with nothing in it, to be made in the run's runtime: its clock begins now. Who dies by a strike is sent to `deaths`.
    pub fn new(seed: u64, strikes: Strikes, lag: Duration, keeps_lines: bool, deaths: UnboundedSender<Life>) -> Self {
        Self(Arc::new(Mutex::new(State {
            api: ApiServer::new(),
            cloud: Cloud::new(),
            checker: Checker::default(),
            trace: Trace { lines: keeps_lines.then(Vec::new), hash: FNV, began: Instant::now() },
            strikes,
            seed,
            lag,
            is_calm: false,
            api_is_away_until: None,
            closed: vec![],
            calls: Calls::default(),
            struck: BTreeMap::new(),
            made: vec![],
            seen: HashMap::new(),
            began: Instant::now(),
            deaths,
        })))
    }

    /// What there is, to look at or to change.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins: which it is, and what is to become of it. Goes on when it takes effect.
    pub async fn begin(&self, life: &Life, what: String) -> (Call, Fate) {
        life.goes_on().await;
        let (call, fate) = {
            let state = &mut *self.lock();
            state.calls.all += 1;
            let nth = state.seen.entry(fnv(FNV, what.as_bytes())).or_default();
            *nth += 1;
            let call = Call { what, nth: *nth };
            let fate = state.strikes.fate(state.seed, &call, state.is_calm);
            if state.trace.lines.is_some() {
                state.made.push(call.clone());
            }
            if let Some(strike) = fate.strike {
                state.struck.insert(call.clone(), strike);
            }
            (call, fate)
        };
        sleep(fate.before).await;
        if fate.strike == Some(Strike::DiesBefore) {
            self.kill(life, &call);
        }
        life.goes_on().await;
        (call, fate)
    }

    /// A call had its effect. Goes on when the caller hears of it.
    pub async fn end(&self, life: &Life, call: &Call, fate: &Fate) {
        if fate.strike == Some(Strike::DiesAfter) {
            self.kill(life, call);
        }
        life.goes_on().await;
        sleep(fate.after).await;
        life.goes_on().await;
    }

    fn kill(&self, life: &Life, call: &Call) {
        let state = &mut *self.lock();
        state.trace.say(format_args!("life {} dies at {call}", life.number));
        life.end();
        // Nobody listens any more at the end of a run.
        let _ = state.deaths.send(life.clone());
    }
}

impl State {
    /// Time since the run began.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// What somebody other than the operator asks of the API server: at once, and without faults.
    pub fn person(&mut self, method: &str, path: &str, content_type: &str, body: &Value) -> Result<Value, (u16, String)> {
        let body = if body.is_null() { vec![] } else { body.to_string().into_bytes() };
        let request = Request { method, path, query: "", accept: "application/json", content_type, body: &body };
        let (code, text): (u16, String) = match self.api.answer(&request) {
            Answer::Whole { code, body } => (code, body),
            Answer::Watch(_) => return Err((400, "a person does not watch".into())),
        };
        self.trace.say(format_args!("a person: {method} {path} {:08x} {code}", short(&body)));
        let now = self.now();
        self.checker.kubernetes_changed(&self.api, &self.cloud, now, None);
        let value = serde_json::from_str(&text).unwrap_or_default();
        if code < 300 { Ok(value) } else { Err((code, text)) }
    }
}

/// One life of the operator. Once it is over, nothing that it does reaches the world, and nothing reaches it: its calls never end. Tasks that it has
/// spawned stay where they are until the run ends, and nobody can tell.
#[derive(Clone, Debug)]
pub struct Life {
    /// Counted from 1.
    pub number: u64,
    over: Arc<AtomicBool>,
}

impl Life {
    /// It begins.
    pub fn new(number: u64) -> Self {
        Self { number, over: Arc::default() }
    }

    /// It ends at once, wherever it is.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Goes on only while the operator lives.
    pub async fn goes_on(&self) {
        if self.is_over() {
            std::future::pending::<()>().await;
        }
    }
}

/// One line an event, and a hash of them all.
#[derive(Debug)]
pub struct Trace {
    /// The lines, where they are kept.
    pub lines: Option<Vec<String>>,
    /// What tells this run from others.
    pub hash: u64,
    began: Instant,
}

impl Trace {
    /// Adds a line, with the time.
    pub fn say(&mut self, what: fmt::Arguments<'_>) {
        let line = format!("{:>9} {what}", self.began.elapsed().as_millis());
        self.hash = fnv(self.hash, line.as_bytes());
        if let Some(lines) = &mut self.lines {
            lines.push(line);
        }
    }

    /// Adds what was written, for people who ask for it with `ROLEBRIDGE_BODIES=1`.
    pub fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(lines) = self.lines.as_mut().filter(|_| std::env::var_os("ROLEBRIDGE_BODIES").is_some()) {
            lines.push(format!("{:>9} {}", "", what()));
        }
    }
}

/// A few digits that tell one text from another.
pub fn short(bytes: &[u8]) -> u32 {
    let hash = fnv(FNV, bytes);
    u32::try_from((hash ^ (hash >> 32)) & 0xffff_ffff).unwrap_or_default()
}
