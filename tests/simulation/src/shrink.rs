//! Making a schedule that fails as short as it can be, and telling it as a story.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use crate::acts::Act;
use crate::checker::Violation;
use crate::run::Outcome;
use crate::schedule::{Call, Schedule, Step, Strike, Strikes};
use crate::simulate::carry_out;

/// The most runs that shrinking may take.
const RUNS: u32 = 1_500;

/// A schedule that fails, and how.
#[derive(Clone, Debug)]
pub struct Failing {
    /// What is done and what befalls it.
    pub schedule: Schedule,
    /// What does not hold by that.
    pub violation: Violation,
}

/// Leaves out whatever can be left out of a schedule that fails, so that it still breaks the same rule in the same way.
pub fn shrink(schedule: &Schedule, outcome: &Outcome) -> Option<Failing> {
    let violation = outcome.violation.clone()?;
    let kind = violation.kind();
    let mut search = Search { best: Failing { schedule: schedule.clone(), violation }, kind, runs: 0 };
    search.attempt(Schedule { strikes: Strikes::Listed(outcome.struck.clone()), ..schedule.clone() });
    loop {
        let before = search.size();
        search.leave_out_steps();
        search.leave_out_strikes();
        search.be_on_time();
        search.say_less();
        if search.size() == before || search.runs >= RUNS {
            return Some(search.best);
        }
    }
}

struct Search {
    best: Failing,
    kind: String,
    runs: u32,
}

impl Search {
    /// What is to become smaller: steps, strikes, words and time.
    fn size(&self) -> (usize, usize, usize, Duration) {
        let Schedule { steps, strikes, lag, .. } = &self.best.schedule;
        let struck = if let Strikes::Listed(strikes) = strikes { strikes.len() } else { usize::MAX };
        let words = steps.iter().map(|step| step.act.to_string().len()).sum();
        (steps.len(), struck, words, steps.iter().map(|step| step.after).sum::<Duration>() + *lag)
    }

    fn attempt(&mut self, schedule: Schedule) -> bool {
        if self.runs >= RUNS {
            return false;
        }
        self.runs += 1;
        match carry_out(&schedule, false).violation {
            Some(violation) if violation.kind() == self.kind => {
                self.best = Failing { schedule, violation };
                true
            }
            _ => false,
        }
    }

    fn leave_out_steps(&mut self) {
        let mut size = (self.best.schedule.steps.len() / 2).max(1);
        loop {
            let mut from = 0;
            while from < self.best.schedule.steps.len() {
                let mut schedule = self.best.schedule.clone();
                let until = (from + size).min(schedule.steps.len());
                let left_out: Duration = schedule.steps.drain(from..until).map(|step| step.after).sum();
                // What follows comes when it came.
                let mut on_time = schedule.clone();
                if let Some(next) = on_time.steps.get_mut(from) {
                    next.after += left_out;
                }
                if !self.attempt(schedule) && !self.attempt(on_time) {
                    from += size;
                }
            }
            if size == 1 {
                return;
            }
            size /= 2;
        }
    }

    fn leave_out_strikes(&mut self) {
        let Strikes::Listed(all) = self.best.schedule.strikes.clone() else { return };
        let mut size = (all.len() / 2).max(1);
        while let Strikes::Listed(strikes) = self.best.schedule.strikes.clone() {
            let calls: Vec<&Call> = strikes.keys().collect();
            for part in calls.chunks(size) {
                let Strikes::Listed(now) = &self.best.schedule.strikes else { return };
                let fewer: BTreeMap<Call, Strike> =
                    now.iter().filter(|(call, _)| !part.contains(call)).map(|(call, strike)| (call.clone(), *strike)).collect();
                let schedule = Schedule { strikes: Strikes::Listed(fewer), ..self.best.schedule.clone() };
                self.attempt(schedule);
            }
            if size == 1 {
                return;
            }
            size /= 2;
        }
    }

    fn be_on_time(&mut self) {
        if !self.best.schedule.lag.is_zero() {
            self.attempt(Schedule { lag: Duration::ZERO, ..self.best.schedule.clone() });
        }
        for index in 0..self.best.schedule.steps.len() {
            let after = self.best.schedule.steps[index].after;
            for shorter in [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(after.as_secs())] {
                if shorter < after {
                    let mut schedule = self.best.schedule.clone();
                    schedule.steps[index].after = shorter;
                    if self.attempt(schedule) {
                        break;
                    }
                }
            }
        }
    }

    /// Leaves out fields of manifests that need not be there.
    fn say_less(&mut self) {
        for index in 0..self.best.schedule.steps.len() {
            let mut at = 0;
            while let Some(schedule) = self.without_field(index, at) {
                if !self.attempt(schedule) {
                    at += 1;
                }
            }
        }
    }

    fn without_field(&self, index: usize, at: usize) -> Option<Schedule> {
        let mut schedule = self.best.schedule.clone();
        let (Act::Apply(manifest) | Act::DeleteAndApply(_, manifest)) = &mut schedule.steps.get_mut(index)?.act else { return None };
        let paths = removable(manifest);
        remove(manifest, paths.get(at)?);
        Some(schedule)
    }
}

/// The fields and items of a manifest that a schema does not require.
fn removable(manifest: &Value) -> Vec<String> {
    let mut found = vec![];
    collect(&manifest["spec"], "/spec", &mut found);
    if !manifest["metadata"]["labels"].is_null() {
        found.push("/metadata/labels".to_owned());
    }
    found
}

const REQUIRED: [&str; 8] = ["accountRef", "accountID", "access", "allowedNamespaces", "trust", "from", "name", "json"];

fn collect(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let path = format!("{path}/{name}");
                // A source has one of its forms.
                let is_form = path.rsplit('/').nth(2) == Some("from");
                if !is_form && !REQUIRED.contains(&name.as_str()) {
                    found.push(path.clone());
                }
                if matches!(name.as_str(), "trust" | "from" | "permissions") || path.contains("/trust/") {
                    collect(field, &path, found);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}/{index}");
                if items.len() > 1 || !path.contains("/from/") {
                    found.push(path.clone());
                }
                collect(item, &path, found);
            }
        }
        _ => {}
    }
}

fn remove(manifest: &mut Value, path: &str) {
    let Some((parent, name)) = path.rsplit_once('/') else { return };
    match manifest.pointer_mut(parent) {
        Some(Value::Object(fields)) => drop(fields.remove(name)),
        Some(Value::Array(items)) => {
            if let Some(index) = name.parse::<usize>().ok().filter(|index| *index < items.len()) {
                items.remove(index);
            }
        }
        _ => {}
    }
}

/// A schedule and what it breaks, for people: what is done and when, what befalls which call, and the trace.
pub fn story(failing: &Failing) -> String {
    let Failing { schedule, violation } = failing;
    let mut text = format!("seed {}\n{violation}\n\nWhat happens:\n", schedule.seed);
    let mut time = Duration::ZERO;
    for Step { after, act } in &schedule.steps {
        time += *after;
        let _ = writeln!(text, "{:>9.3} s  {act}", time.as_secs_f64());
    }
    match &schedule.strikes {
        Strikes::Drawn => text.push_str("Calls are struck as the seed says.\n"),
        Strikes::Listed(strikes) => {
            for (call, strike) in strikes {
                let _ = writeln!(text, "             {call} {strike}");
            }
        }
    }
    if !schedule.lag.is_zero() {
        let _ = writeln!(text, "             IAM's replicas are up to {} s behind", schedule.lag.as_secs_f64());
    }
    text.push_str("\nThe trace, in milliseconds:\n");
    for line in carry_out(schedule, true).lines {
        let _ = writeln!(text, "{line}");
    }
    text
}
