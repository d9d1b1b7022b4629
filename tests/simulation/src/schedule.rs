//! What happens in a run, as plain values: what people and others do and when, and what becomes of single calls.
//!
//! All of it follows from a seed. A schedule that fails is made shorter by leaving parts out, so each part stands by itself: what becomes of a call
//! follows from the seed, from what it does and how often that was done before.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::acts::Act;
use crate::random::Random;

/// A whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Schedule {
    /// What everything else that is left to chance follows from.
    pub seed: u64,
    /// What is done, in this order.
    pub steps: Vec<Step>,
    /// What becomes of calls.
    pub strikes: Strikes,
    /// How far IAM's replicas may be behind.
    pub lag: Duration,
    /// Users of account `others` whom nobody here manages, `p0` and so on.
    pub strangers: usize,
}

/// One thing that somebody does, or that befalls the operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// How long after the one before.
    pub after: Duration,
    /// What is done.
    pub act: Act,
}

/// What becomes of the operator's calls until the last step is done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Strikes {
    /// Some are struck, by chance.
    Drawn,
    /// These are, and no others.
    Listed(#[serde(with = "pairs")] BTreeMap<Call, Strike>),
}

/// A call, told from others so that it stays the same where something else is left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Call {
    /// What it does.
    pub what: String,
    /// The how-manieth of those that do this, counted from 1.
    pub nth: u32,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call \"{}\" no. {}", self.what, self.nth)
    }
}

/// A map whose keys are no texts, as a list of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Call, Strike};

    pub fn serialize<S: Serializer>(map: &BTreeMap<Call, Strike>, serializer: S) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Call, Strike>, D::Error> {
        Ok(Vec::<(Call, Strike)>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// What befalls one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Strike {
    /// It is refused, and has no effect.
    Refused(Refusal),
    /// It has its effect, and the reply is lost.
    ReplyLost,
    /// The operator dies before it has an effect.
    DiesBefore,
    /// The operator dies after it had its effect.
    DiesAfter,
    /// It takes seconds.
    Slow,
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Refusal {
    /// Somebody wrote to the object meanwhile (Kubernetes), or another change is under way (IAM).
    Conflict,
    /// The server has trouble of its own.
    Error,
    /// Too many requests.
    Throttled,
    /// The operator may not. IAM only.
    Denied,
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused(Refusal::Conflict) => "is refused: a conflict",
            Self::Refused(Refusal::Error) => "is refused: an error of the server",
            Self::Refused(Refusal::Throttled) => "is refused: too many requests",
            Self::Refused(Refusal::Denied) => "is refused: access denied",
            Self::ReplyLost => "has its effect, and its reply is lost",
            Self::DiesBefore => "has no effect: the operator dies before",
            Self::DiesAfter => "has its effect, and the operator dies",
            Self::Slow => "takes seconds",
        })
    }
}

/// What is drawn for one call, whether or not it strikes.
#[derive(Clone, Debug)]
pub struct Fate {
    /// Until it takes effect.
    pub before: Duration,
    /// Until the reply arrives.
    pub after: Duration,
    /// What befalls it.
    pub strike: Option<Strike>,
    /// For what the server leaves to chance.
    pub random: Random,
}

/// One strike in so many calls.
const RARE: u64 = 11;
/// Longest time of one way of a call, in milliseconds.
const QUICK: u64 = 15;
/// The same of a slow one.
const SLOW: u64 = 3_000;

impl Strikes {
    /// What becomes of a call. `calm` tells that nothing breaks any more.
    pub fn fate(&self, seed: u64, call: &Call, calm: bool) -> Fate {
        let mut random = Random::of_text(seed ^ u64::from(call.nth).wrapping_mul(0xd6e8_feb8_6659_fd93), &call.what);
        let (before, after) = (random.below(QUICK), random.below(QUICK));
        let drawn = random.one_in(RARE).then(|| Strike::drawn(&mut random));
        let strike = match self {
            _ if calm => None,
            Self::Drawn => drawn,
            Self::Listed(strikes) => strikes.get(call).copied(),
        };
        let slow = if strike == Some(Strike::Slow) { random.below(SLOW) } else { 0 };
        Fate { before: Duration::from_millis(before + slow), after: Duration::from_millis(after), strike, random }
    }
}

impl Strike {
    fn drawn(random: &mut Random) -> Self {
        match random.below(16) {
            0..=1 => Self::Refused(Refusal::Conflict),
            2..=3 => Self::Refused(Refusal::Error),
            4 => Self::Refused(Refusal::Throttled),
            5 => Self::Refused(Refusal::Denied),
            6..=8 => Self::ReplyLost,
            9 => Self::DiesBefore,
            10..=11 => Self::DiesAfter,
            _ => Self::Slow,
        }
    }
}
