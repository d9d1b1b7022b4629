//! Waiting for something to come about, with an explanation when it does not.

use std::{
    fmt::Debug,
    future::Future,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use kube::Api;
use serde::{Serialize, de::DeserializeOwned};

/// How long [`wait_for`] tries: far beyond what a loaded machine needs, since it only bounds how long a failure takes.
pub const DEADLINE: Duration = Duration::from_secs(180);

/// The answer of one look at what is waited for.
#[derive(Debug)]
pub enum Seen<T> {
    /// It has come about.
    Done(T),
    /// Not yet; what was seen instead goes into the error when time runs out.
    NotYet(String),
}

impl<T> Seen<T> {
    /// [`Seen::Done`] when there is a value, else what `explain` says.
    pub fn from_option(value: Option<T>, explain: impl FnOnce() -> String) -> Self {
        value.map_or_else(|| Self::NotYet(explain()), Self::Done)
    }
}

/// Calls `probe` until it is done. An error counts as "not yet", since servers come and go in tests. After [`DEADLINE`] fails with
/// `what` and the last thing that was seen.
pub async fn wait_for<T, F, P>(what: &str, probe: P) -> Result<T>
where
    F: Future<Output = Result<Seen<T>>>,
    P: FnMut() -> F,
{
    wait_within(DEADLINE, what, probe).await
}

/// As [`wait_for`], with a deadline of the caller's.
pub async fn wait_within<T, F, P>(deadline: Duration, what: &str, mut probe: P) -> Result<T>
where
    F: Future<Output = Result<Seen<T>>>,
    P: FnMut() -> F,
{
    let start = Instant::now();
    let mut pause = Duration::from_millis(10);
    loop {
        let seen = match probe().await {
            Ok(Seen::Done(value)) => return Ok(value),
            Ok(Seen::NotYet(seen)) => seen,
            Err(error) => format!("error: {error:#}"),
        };
        if start.elapsed() > deadline {
            bail!("{what}: did not come about within {deadline:?}; last seen: {seen}");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(Duration::from_millis(200));
    }
}

/// Waits until the object `name` exists and satisfies `predicate`, and returns it.
pub async fn wait_for_object<K>(api: &Api<K>, name: &str, what: &str, predicate: impl Fn(&K) -> bool) -> Result<K>
where
    K: Clone + Debug + DeserializeOwned + Serialize,
{
    let predicate = &predicate;
    wait_for(what, || async move {
        Ok(match api.get_opt(name).await? {
            Some(object) if predicate(&object) => Seen::Done(object),
            Some(object) => Seen::NotYet(show(&object)),
            None => Seen::NotYet(format!("{name} does not exist")),
        })
    })
    .await
}

/// Waits until no object `name` exists.
pub async fn wait_for_absence<K>(api: &Api<K>, name: &str) -> Result<()>
where
    K: Clone + Debug + DeserializeOwned + Serialize,
{
    let what = format!("{name} is gone");
    wait_for(&what, || async {
        Ok(match api.get_opt(name).await? {
            None => Seen::Done(()),
            Some(object) => Seen::NotYet(show(&object)),
        })
    })
    .await
}

fn show(object: &impl Serialize) -> String {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(metadata) = value.get_mut("metadata").and_then(|metadata| metadata.as_object_mut()) {
        metadata.remove("managedFields");
    }
    format!("{value:#}")
}
