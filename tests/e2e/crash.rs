//! The operator dies, or a reply is lost, at any call: what comes of it in the end is what would have come without, and at no moment is
//! anybody granted what was not declared.
//!
//! The simulation (`tests/simulation`) goes through every call of these workloads each time. Here a few points show that the same holds of the real program:
//! a real process that is killed, real connections that break. `make campaign` (`ROLEBRIDGE_CAMPAIGN=full`) goes through all of them; `make test` draws some,
//! by a seed that it prints and that `ROLEBRIDGE_SEED` sets.

use std::{fmt, time::Duration};

use anyhow::{Context, Result, ensure};
use rolebridge_testbed::{
    ApiGate, Operator, Seen,
    aws_sim::{Fault, FaultKind, FaultWhen, Settings},
};
use serde_json::Value;

use crate::{
    campaign::{Campaign, is_full},
    invariants::{Grants, anonymous, grants, part},
    stepper::{Stepper, Strike, assert_same},
    support::{Account, LIST, READ, Tenant, World, bastion_user, config_map, cross_account_role},
};

/// The recipe in an environment of its own.
struct Recipe<'w> {
    tenant: Tenant<'w>,
    utils: Account,
    prod: Account,
}

/// What is done with it, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Create,
    Change,
    Delete,
}

const PHASES: [Phase; 3] = [Phase::Create, Phase::Change, Phase::Delete];

impl<'w> Recipe<'w> {
    async fn new(world: &'w World) -> Result<Self> {
        let tenant = world.tenant().await?;
        let (utils, prod) = (tenant.account("utils").await?, tenant.account("prod").await?);
        Ok(Self { tenant, utils, prod })
    }

    /// The grants that stand when a phase is over.
    fn granted(&self, phase: Phase) -> Grants {
        let of = |names: &[&str]| {
            let users: Vec<String> = names.iter().map(|name| self.utils.arn(&format!("user/{name}"))).collect();
            grants(&users, &[self.prod.arn("role/reader")])
        };
        match phase {
            Phase::Create => of(&["alice", "bob"]),
            Phase::Change => of(&["alice", "carol"]),
            Phase::Delete => Grants::new(),
        }
    }

    fn before(&self, phase: Phase) -> Grants {
        match phase {
            Phase::Create => Grants::new(),
            Phase::Change => self.granted(Phase::Create),
            Phase::Delete => self.granted(Phase::Change),
        }
    }

    fn role(&self, sources: &str, fields: &str) -> String {
        let permissions =
            "permissions: {customerManagedPolicies: [{name: list, configMapKeyRef: {name: policies, key: list.json}}], inlinePolicies: [";
        cross_account_role("reader", &self.prod, sources, &format!("{fields}, {permissions}{{name: own, json: '{LIST}'}}]}}"))
    }

    /// Does it, and returns when the resources say that it is done.
    async fn run(&self, phase: Phase) -> Result<()> {
        let tenant = &self.tenant;
        match phase {
            Phase::Create => {
                let here = tenant.only_here();
                let accounts = self.utils.manifest(&here, "") + &self.prod.manifest(&here, "");
                let users = bastion_user("alice", &self.utils, "") + &bastion_user("bob", &self.utils, "") + &bastion_user("carol", &self.utils, "");
                let role = self.role("{user: {name: alice}}, {user: {name: bob}}", "description: before, tags: {stage: one, team: data}");
                tenant.apply(&format!("{}\n{accounts}{users}{role}", config_map("policies", "list.json", LIST))).await?;
            }
            Phase::Change => {
                let role =
                    self.role("{user: {name: alice}}, {user: {name: carol}}", "description: after, tags: {stage: two}, maxSessionDuration: 2h");
                tenant.apply(&format!("{}\n{role}", config_map("policies", "list.json", READ))).await?;
            }
            Phase::Delete => return tenant.delete(&["crossaccountrole/reader", "bastionuser/alice"]).await,
        }
        for user in ["alice", "bob", "carol"] {
            tenant.ready(&tenant.users(), user).await?;
        }
        tenant.ready(&tenant.roles(), "reader").await?;
        Ok(())
    }

    /// What the accounts hold, in the same words for every recipe.
    async fn state(&self) -> Result<Value> {
        let state = part(self.tenant.world.testbed.aws.state().await?, &[&self.utils, &self.prod]);
        let names = [
            (self.utils.id.as_str(), "UTILS"),
            (self.prod.id.as_str(), "PROD"),
            (self.utils.name.as_str(), "utils"),
            (self.prod.name.as_str(), "prod"),
            (self.tenant.namespace.as_str(), "team"),
        ];
        Ok(anonymous(&state, &names))
    }

    /// Waits until the accounts hold what they hold without faults.
    async fn comes_to(&self, wanted: &Value) -> Result<()> {
        self.tenant
            .world
            .testbed
            .wait_for("the final state is that without faults", || async {
                let differences = assert_same(&self.state().await?, wanted).err();
                Ok(differences.map_or(Seen::Done(()), |differences| Seen::NotYet(differences.to_string())))
            })
            .await
    }

    /// Takes away what is left of it.
    async fn clear(&self) -> Result<()> {
        let [utils, prod] = [&self.utils, &self.prod].map(|account| format!("awsaccount/{}", account.name));
        self.tenant.delete(&["bastionuser/bob", "bastionuser/carol", &utils, &prod]).await
    }
}

/// What is known of a run without faults: how many calls to AWS and writes to Kubernetes each phase makes, and what AWS holds after it.
struct Reference {
    calls: [u64; 3],
    writes: [u64; 3],
    states: [Value; 3],
}

/// One point of a campaign: what happens to which call of each phase.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Harm {
    KillBefore,
    KillAfter,
    ResetAfter,
    TruncateAfter,
    HTMLAfter,
    KillBeforeWrite,
    KillAfterWrite,
}

impl Harm {
    /// How many points there are in each phase.
    fn points(self, reference: &Reference) -> [u64; 3] {
        if matches!(self, Self::KillBeforeWrite | Self::KillAfterWrite) { reference.writes } else { reference.calls }
    }

    fn strike(self, nth: u64) -> Strike {
        let fault = |kind| Fault::of(kind, "*").nth(nth);
        match self {
            Self::KillBefore => Strike::Kill(fault(FaultKind::Hold)),
            Self::KillAfter => Strike::Kill(fault(FaultKind::Hold).after()),
            Self::ResetAfter => Strike::Spoil(fault(FaultKind::Reset).after()),
            Self::TruncateAfter => Strike::Spoil(fault(FaultKind::Truncate).after()),
            Self::HTMLAfter => Strike::Spoil(fault(FaultKind::Html).after()),
            Self::KillBeforeWrite => Strike::KillAtWrite(nth, FaultWhen::Before),
            Self::KillAfterWrite => Strike::KillAtWrite(nth, FaultWhen::After),
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KillBefore => "killed before call",
            Self::KillAfter => "killed after call",
            Self::ResetAfter => "connection reset after call",
            Self::TruncateAfter => "reply cut off after call",
            Self::HTMLAfter => "reply replaced by a web page after call",
            Self::KillBeforeWrite => "killed before write",
            Self::KillAfterWrite => "killed after write",
        })
    }
}

/// A run without faults, under supervision.
async fn reference(world: &World, gate: &ApiGate, operator: Operator, campaign: &Campaign) -> Result<(Reference, Operator)> {
    let recipe = Recipe::new(world).await?;
    let mut stepper = Stepper::new(world, gate, operator, &recipe.tenant, vec![&recipe.utils, &recipe.prod]).await?;
    let mut reference = Reference { calls: [0; 3], writes: [0; 3], states: [Value::Null, Value::Null, Value::Null] };
    for (i, phase) in PHASES.into_iter().enumerate() {
        let (call, write) = (world.last_call().await?, gate.writes());
        stepper.expect(&recipe.before(phase), &recipe.granted(phase));
        stepper.during(recipe.run(phase)).await?;
        stepper.during(recipe.tenant.quiet(Duration::from_secs(2))).await?;
        reference.writes[i] = gate.writes() - write;
        reference.states[i] = recipe.state().await?;
        let made: Vec<String> = world.testbed.aws.calls(call).await?.into_iter().map(|call| call.operation).collect();
        reference.calls[i] = u64::try_from(made.len())?;
        campaign.note(&format!("{phase:?} without faults: {}", made.join(" ")));
        stepper.expect(&recipe.granted(phase), &recipe.granted(phase));
        stepper.during(async { Ok(()) }).await?;
    }
    let calls: u64 = reference.calls.iter().sum();
    ensure!(stepper.checks > calls, "{} checks for {calls} calls", stepper.checks);
    let operator = stepper.finish().await?;
    recipe.clear().await?;
    Ok((reference, operator))
}

/// Creates, changes and deletes the recipe, with harm done at one point of each phase. Returns how many of these were met.
async fn run_with(world: &World, gate: &ApiGate, operator: Operator, reference: &Reference, harm: Harm, nth: [u64; 3]) -> Result<(u64, Operator)> {
    let recipe = Recipe::new(world).await?;
    let mut stepper = Stepper::new(world, gate, operator, &recipe.tenant, vec![&recipe.utils, &recipe.prod]).await?;
    let mut met = 0;
    for (i, phase) in PHASES.into_iter().enumerate() {
        if nth[i] <= harm.points(reference)[i] {
            stepper.arm(harm.strike(nth[i])).await?;
        } else {
            // Nothing happens here, and what holds then has been seen before.
            stepper.relax().await?;
        }
        stepper.expect(&recipe.before(phase), &recipe.granted(phase));
        let context = || format!("{harm} {} of {phase:?}", nth[i]);
        let done = async {
            recipe.run(phase).await?;
            recipe.comes_to(&reference.states[i]).await
        };
        stepper.during(done).await.with_context(context)?;
        met += u64::from(stepper.has_struck().await?);
        stepper.expect(&recipe.granted(phase), &recipe.granted(phase));
        stepper.during(async { Ok(()) }).await.with_context(context)?;
    }
    let operator = stepper.finish().await?;
    recipe.clear().await?;
    Ok((met, operator))
}

/// Goes through all points with each of these kinds of harm, or a sample of them.
async fn campaign(name: &str, harms: &[Harm], sample: usize) -> Result<()> {
    let mut campaign = Campaign::new(name);
    let world = World::own().await?;
    let gate = world.gate().await?;
    let (reference, mut operator) = reference(&world, &gate, world.operator_by(gate.kubeconfig())?, &campaign).await?;
    campaign.note(&format!("calls to create, change, delete: {:?}; writes to Kubernetes: {:?}", reference.calls, reference.writes));
    let points = |harm: Harm| harm.points(&reference).into_iter().max().unwrap_or_default();
    let points: Vec<(Harm, [u64; 3])> = if is_full() {
        harms.iter().flat_map(|harm| (1..=points(*harm)).map(move |nth| (*harm, [nth; 3]))).collect()
    } else {
        // Phases are of different lengths: each draws a point of its own.
        let chosen = (0..sample).map(|i| harms[i % harms.len()]);
        chosen.map(|harm| (harm, harm.points(&reference).map(|points| campaign.random.u64(1..=points)))).collect()
    };
    let mut met = 0;
    for (harm, nth) in points {
        // Now and then what was just made is not known everywhere yet.
        let delay = [0, 0, 1_500][campaign.random.usize(..3)];
        world.testbed.aws.set(Settings { propagation_delay_ms: Some(delay), ..Settings::default() }).await?;
        let result = run_with(&world, &gate, operator, &reference, harm, nth).await;
        let hits;
        (hits, operator) = result.with_context(|| format!("{campaign}: propagation delay {delay} ms"))?;
        met += hits;
        campaign.note(&format!("{harm} {nth:?} with a propagation delay of {delay} ms: {hits} met"));
    }
    ensure!(met > 0, "no point was met");
    campaign.conclude(&format!("{met} crash points"));
    Ok(())
}

#[tokio::test]
async fn the_operator_killed_at_any_call_to_aws_leaves_no_trace() -> Result<()> {
    campaign("killed at a call to AWS", &[Harm::KillAfter, Harm::KillBefore], 2).await
}

#[tokio::test]
async fn the_operator_killed_at_any_write_to_kubernetes_leaves_no_trace() -> Result<()> {
    campaign("killed at a write to Kubernetes", &[Harm::KillBeforeWrite, Harm::KillAfterWrite], 1).await
}

#[tokio::test]
async fn statement_3_a_reply_lost_at_any_call_leaves_no_trace() -> Result<()> {
    campaign("reply of AWS lost", &[Harm::ResetAfter, Harm::TruncateAfter, Harm::HTMLAfter], 1).await
}
