//! Tests that are too long to go through every case each time: in full with `ROLEBRIDGE_CAMPAIGN=full`, else sampled by a seed.

use std::{env, fmt, time::Instant};

/// Whether every case is gone through.
pub fn is_full() -> bool {
    env::var("ROLEBRIDGE_CAMPAIGN").is_ok_and(|value| value == "full")
}

/// One test that samples. Its `Display` form says how to repeat it.
pub struct Campaign {
    name: String,
    seed: u64,
    start: Instant,
    /// What the sample is drawn with.
    pub random: fastrand::Rng,
}

impl Campaign {
    /// With the seed of `ROLEBRIDGE_SEED`, or a new one.
    pub fn new(name: &str) -> Self {
        let seed = env::var("ROLEBRIDGE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..1_000_000));
        let campaign = Self { name: name.to_owned(), seed, start: Instant::now(), random: fastrand::Rng::with_seed(seed) };
        campaign.note(if is_full() { "every case" } else { "a sample" });
        campaign
    }

    /// Says how far it has come, for whoever watches.
    pub fn note(&self, what: &str) {
        eprintln!("[{} s] {self}: {what}", self.start.elapsed().as_secs());
    }

    /// Says what came of it.
    pub fn conclude(&self, figures: &str) {
        self.note(&format!("done: {figures}"));
    }
}

impl fmt::Display for Campaign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (ROLEBRIDGE_SEED={})", self.name, self.seed)
    }
}
