//! Taking an operator through its calls to AWS one by one: each takes effect, is held until all invariants have been checked on what AWS
//! holds then, and goes on. And killing it, or losing a reply, at a chosen call.

use std::{collections::BTreeSet, future::Future, time::Duration};

use anyhow::{Result, bail, ensure};
use rolebridge_testbed::{
    ApiGate, Operator, Seen,
    aws_sim::{Fault, FaultKind, FaultStatus, FaultWhen, State},
    wait_for,
};

use crate::{
    invariants::{Bounds, Declared, Grants, foreign, part},
    support::{Account, Tenant, World},
};

/// A pause between two looks at whether a call is held.
const LOOK: Duration = Duration::from_millis(5);
/// How many calls are taken one by one after each [`Stepper::arm`]. Further ones are held together, after they took effect.
const ONE_BY_ONE: u64 = 120;

/// What happens to one call.
#[derive(Clone, Debug)]
pub enum Strike {
    /// Nothing.
    None,
    /// The operator is killed while this call to AWS is held, and started again.
    Kill(Fault),
    /// The operator is killed while this write to Kubernetes, counted from 1, is held, and started again.
    KillAtWrite(u64, FaultWhen),
    /// Only the reply of AWS suffers.
    Spoil(Fault),
}

/// An operator under supervision.
pub struct Stepper<'w> {
    world: &'w World,
    gate: &'w ApiGate,
    operator: Operator,
    client: kube::Client,
    accounts: Vec<&'w Account>,
    bounds: Bounds,
    /// The fault that strikes, and whether it kills.
    strike: Option<(u64, bool)>,
    killed: bool,
    /// Whether it was killed and no other one has been started yet: what was waited for may have come about in between.
    is_dead: bool,
    /// Faults that hold one call each before it takes effect, and one that holds all others after it.
    one_by_one: BTreeSet<u64>,
    others: u64,
    /// The last call that was let go on.
    since: u64,
    /// How often the invariants were checked.
    pub checks: u64,
}

impl<'w> Stepper<'w> {
    /// Supervises an operator at work in these accounts, which goes to the API server through `gate`. What the accounts hold now that is not
    /// ours has to stay as it is.
    pub async fn new(world: &'w World, gate: &'w ApiGate, operator: Operator, tenant: &Tenant<'_>, accounts: Vec<&'w Account>) -> Result<Self> {
        let state = part(world.testbed.aws.state().await?, &accounts);
        let bounds = Bounds { foreign: foreign(&state), old: Grants::new(), new: Grants::new() };
        let client = tenant.client.clone();
        // What was called before is nobody's matter any more, and would have to be read again and again.
        world.testbed.aws.clear_calls().await?;
        let since = 0;
        let (strike, one_by_one) = (None, BTreeSet::new());
        let mut stepper =
            Self { world, gate, operator, client, accounts, bounds, strike, killed: false, is_dead: false, one_by_one, others: 0, since, checks: 0 };
        stepper.arm(Strike::None).await?;
        Ok(stepper)
    }

    /// What happens to the calls from now on. The operator has to be at rest.
    pub async fn arm(&mut self, strike: Strike) -> Result<()> {
        let aws = &self.world.testbed.aws;
        aws.clear_faults().await?;
        self.gate.open();
        (self.strike, self.killed) = (None, false);
        match strike {
            Strike::None => {}
            Strike::Kill(fault) => self.strike = Some((aws.inject(&fault).await?, true)),
            Strike::Spoil(fault) => self.strike = Some((aws.inject(&fault).await?, false)),
            Strike::KillAtWrite(nth, when) => self.gate.hold(nth, when),
        }
        let hold = Fault::of(FaultKind::Hold, "*");
        self.one_by_one.clear();
        for nth in 1..=ONE_BY_ONE {
            self.one_by_one.insert(aws.inject(&hold.clone().nth(nth)).await?);
        }
        self.others = aws.inject(&hold.after().nth(ONE_BY_ONE + 1).times(u64::from(u32::MAX))).await?;
        Ok(())
    }

    /// Many calls are struck from now on, none of which kills; all others are held together after they took effect. Returns what the faults are known by.
    pub async fn arm_all(&mut self, faults: &[Fault]) -> Result<Vec<u64>> {
        let aws = &self.world.testbed.aws;
        self.relax().await?;
        self.one_by_one.clear();
        let mut ids = vec![];
        for fault in faults {
            ids.push(aws.inject(fault).await?);
        }
        self.others = aws.inject(&Fault::of(FaultKind::Hold, "*").after().times(u64::from(u32::MAX))).await?;
        Ok(ids)
    }

    /// Lets calls go by themselves from now on; the invariants are checked at the end of [`Stepper::during`] only.
    pub async fn relax(&mut self) -> Result<()> {
        self.gate.open();
        (self.strike, self.killed) = (None, false);
        self.world.testbed.aws.clear_faults().await
    }

    /// What may be granted from now on (`old` and `new`) and has to be (what is in both).
    pub fn expect(&mut self, old: &Grants, new: &Grants) {
        self.bounds.old = old.clone();
        self.bounds.new = new.clone();
    }

    /// Takes the operator from call to call until `what` has come about, and checks the invariants once more.
    pub async fn during<T>(&mut self, what: impl Future<Output = Result<T>>) -> Result<T> {
        let result = tokio::select! {
            biased;
            result = what => result?,
            error = self.steps() => return Err(error),
        };
        self.check().await?;
        Ok(result)
    }

    /// Whether the strike has met a call.
    pub async fn has_struck(&self) -> Result<bool> {
        let Some((id, _)) = self.strike else { return Ok(self.killed) };
        Ok(self.faults().await?.iter().any(|fault| fault.id == id && fault.hits > 0))
    }

    /// Lets everything go on by itself, and gives the operator back.
    pub async fn finish(mut self) -> Result<Operator> {
        self.world.testbed.aws.clear_faults().await?;
        self.gate.open();
        if self.is_dead {
            self.restart().await?;
        }
        self.operator.ensure_running()?;
        Ok(self.operator)
    }

    /// What the accounts hold now.
    pub async fn state(&self) -> Result<State> {
        Ok(part(self.world.testbed.aws.state().await?, &self.accounts))
    }

    /// Ends with the first thing that does not hold.
    async fn steps(&mut self) -> anyhow::Error {
        loop {
            if let Err(error) = self.step().await {
                return error.context(self.world.testbed.operator_logs());
            }
        }
    }

    async fn step(&mut self) -> Result<()> {
        if self.is_dead {
            return self.restart().await;
        }
        if self.gate.is_holding() {
            self.check().await?;
            return self.restart().await;
        }
        let held: Vec<u64> = self.faults().await?.iter().filter(|fault| fault.held > 0).map(|fault| fault.id).collect();
        if let Some((id, true)) = self.strike
            && held.contains(&id)
        {
            self.check().await?;
            return self.restart().await;
        }
        let aws = &self.world.testbed.aws;
        if let Some(id) = held.iter().find(|id| self.one_by_one.contains(id)) {
            let since = self.since;
            aws.release(*id).await?;
            self.since = wait_for("the call that was let go on has taken effect", || async {
                let done = aws.calls(since).await?.iter().find(|call| call.fault == Some(*id)).map(|call| call.seq);
                Ok(Seen::from_option(done, || "it has not".to_owned()))
            })
            .await?;
            self.check().await
        } else if held.contains(&self.others) {
            self.check().await?;
            aws.release(self.others).await
        } else {
            self.operator.ensure_running()?;
            tokio::time::sleep(LOOK).await;
            Ok(())
        }
    }

    /// Kills the operator and starts another when AWS has seen the connections of the first end.
    pub async fn restart(&mut self) -> Result<()> {
        if !std::mem::replace(&mut self.is_dead, true) {
            self.operator.kill();
        }
        wait_for("the dead operator's calls are given up", || async {
            let held: u64 = self.faults().await?.iter().map(|fault| fault.held).sum();
            let done = held == 0 && !self.gate.is_holding();
            Ok(Seen::from_option(done.then_some(()), || format!("{held} calls are held")))
        })
        .await?;
        self.gate.open();
        (self.strike, self.killed) = (None, true);
        self.operator = self.world.operator_by(self.gate.kubeconfig())?;
        self.is_dead = false;
        Ok(())
    }

    async fn faults(&self) -> Result<Vec<FaultStatus>> {
        self.world.testbed.aws.faults().await
    }

    async fn check(&mut self) -> Result<()> {
        let state = self.state().await?;
        let declared = Declared::read(&self.client, &self.accounts).await?;
        self.checks += 1;
        let mut violations = self.bounds.violations(&state);
        let mut told = declared.violations(&state);
        if !told.is_empty() {
            // The answer to a call that is struck is not held, so Kubernetes may tell by then of what AWS was not yet seen to hold.
            let still = declared.violations(&self.state().await?);
            told.retain(|violation| still.contains(violation));
        }
        violations.extend(told);
        if violations.is_empty() {
            return Ok(());
        }
        let calls = self.world.testbed.aws.calls(0).await?;
        let last = calls.iter().rev().take(12).rev().map(|call| format!("{} {} {:?}", call.seq, call.operation, call.code));
        bail!("broken invariants:\n{}\nthe last calls:\n{}", violations.join("\n"), last.collect::<Vec<_>>().join("\n"))
    }
}

/// Fails unless the two are the same, with the places where they differ.
pub fn assert_same(found: &serde_json::Value, wanted: &serde_json::Value) -> Result<()> {
    let mut differences = vec![];
    compare(found, wanted, "", &mut differences);
    ensure!(differences.is_empty(), "not as without faults:\n{}", differences.join("\n"));
    Ok(())
}

fn compare(found: &serde_json::Value, wanted: &serde_json::Value, at: &str, differences: &mut Vec<String>) {
    use serde_json::Value;
    match (found, wanted) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                compare(a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null), &format!("{at}/{key}"), differences);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().for_each(|(i, (a, b))| compare(a, b, &format!("{at}[{i}]"), differences));
        }
        _ if found == wanted => {}
        _ => differences.push(format!("{at}: {found}, wanted {wanted}")),
    }
}
