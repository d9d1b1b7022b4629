//! The way from the controller to IAM of the world: the operator's real budget, places and credentials, and below them delays and faults.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rolebridge::api::Reason;
use rolebridge::aws::{AccountConfig, Backend, BaseConfig, Caller, Gateway, Meter, SecretEntries, Secrets};
use rolebridge::core::action::{Action, Receipt};
use rolebridge::core::document::Document;
use rolebridge::core::failure::{Effect, Failure};
use rolebridge::core::identity::IdentityName;
use rolebridge::core::names::Arn;
use rolebridge::core::observed::{Dependents, Observed, Scope};
use rolebridge::core::ownership::Owner;
use rolebridge::core::quotas::Quotas;
use rolebridge::core::sweep::Sweep;
use tokio::time::Instant;

use crate::iam::View;
use crate::schedule::{Refusal, Strike};
use crate::world::{Life, State, World};

/// AWS as one life of the operator reaches it.
pub fn aws(world: &World, life: &Life) -> BaseConfig {
    BaseConfig::with_backend(Arc::new(Way { world: world.clone(), life: life.clone() }), Arc::new(NoSecrets))
}

#[derive(Clone)]
struct Way {
    world: World,
    life: Life,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the way of life {}", self.life.number)
    }
}

#[async_trait]
impl Backend for Way {
    fn gateway(&self, config: &AccountConfig, meter: Meter) -> Arc<dyn Gateway> {
        Arc::new(ToAccount { way: self.clone(), config: config.clone(), meter })
    }

    async fn assume_role(&self, _: &Arn, _: Option<&str>) -> Result<Duration, Failure> {
        Ok(Duration::from_secs(3600))
    }

    /// It lives in an account of its own, where nobody has anything to look for.
    async fn own_arn(&self) -> Result<Option<Arn>, Failure> {
        Ok("arn:aws:sts::900000000000:assumed-role/operator/simulation".parse().ok())
    }
}

/// No account of the simulation is entered by keys.
#[derive(Debug)]
struct NoSecrets;

#[async_trait]
impl Secrets for NoSecrets {
    async fn read(&self, name: &str) -> Result<SecretEntries, Failure> {
        Err(Failure::refused(Reason::SecretNotUsable, format!("Secret {name} does not exist")))
    }
}

/// One account, as one life of the operator reaches it.
struct ToAccount {
    way: Way,
    config: AccountConfig,
    meter: Meter,
}

impl ToAccount {
    /// One call: takes its time, may fail, and may fail to be heard of.
    async fn call<T>(&self, what: String, kind: Kind, act: impl FnOnce(&mut State, Sight) -> Result<T, Failure> + Send) -> Result<T, Failure>
    where
        T: Send,
    {
        let Way { world, life } = &self.way;
        self.meter.count();
        let (call, mut fate) = world.begin(life, format!("{what} in {}", self.config.id)).await;
        let result = {
            let state = &mut *world.lock();
            let closed = state.closed.iter().any(|(id, until)| *id == self.config.id && *until > Instant::now());
            let result = match fate.strike {
                _ if closed => Err(Failure::refused(Reason::AccessDenied, "the account is closed for a while")),
                Some(Strike::Refused(refusal)) => Err(refused(refusal, kind == Kind::Write)),
                _ => {
                    let view = Sight { now: state.now(), lag: if state.is_calm { Duration::ZERO } else { state.lag }, random: fate.random.fork() };
                    act(state, view)
                }
            };
            match kind {
                Kind::Write if result.is_ok() => state.calls.aws_writes += 1,
                Kind::Write => state.calls.aws_refusals += 1,
                Kind::Read => state.calls.aws_reads += 1,
                Kind::OfAccount => {}
            }
            let ending = match &result {
                Ok(_) => "done".to_owned(),
                Err(failure) => format!("{}, {:?}", failure.reason, failure.effect),
            };
            let strike = fate.strike.map(|strike| format!(", {strike}")).unwrap_or_default();
            state.trace.say(format_args!("life {} {call}: {ending}{strike}", life.number));
            result
        };
        world.end(life, &call, &fate).await;
        if fate.strike == Some(Strike::ReplyLost) {
            let effect = if kind == Kind::Write { Effect::Unknown } else { Effect::None };
            return Err(Failure { effect, ..Failure::refused(Reason::AWSUnavailable, "the reply was lost") });
        }
        result
    }
}

/// What a call is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What concerns the account as a whole, as sweeps do.
    OfAccount,
    /// Reading one resource.
    Read,
    /// Changing something.
    Write,
}

/// What a call sees of IAM.
struct Sight {
    now: Duration,
    lag: Duration,
    random: crate::random::Random,
}

impl Sight {
    fn view(&mut self) -> View<'_> {
        View { now: self.now, lag: self.lag, random: &mut self.random }
    }
}

/// What IAM answers where the schedule has it refuse, as the SDK's gateway tells it.
fn refused(refusal: Refusal, writes: bool) -> Failure {
    match refusal {
        Refusal::Conflict if writes => Failure::refused(Reason::Propagating, "ConcurrentModification: by the schedule"),
        Refusal::Denied => Failure::refused(Reason::AccessDenied, "AccessDenied: by the schedule"),
        Refusal::Throttled => Failure::refused(Reason::AWSUnavailable, "Throttling: by the schedule"),
        // A server that failed may have done it all the same; here it has not.
        Refusal::Conflict | Refusal::Error => {
            let effect = if writes { Effect::Unknown } else { Effect::None };
            Failure { effect, ..Failure::refused(Reason::AWSUnavailable, "ServiceFailure: by the schedule") }
        }
    }
}

#[async_trait]
impl Gateway for ToAccount {
    async fn caller(&self) -> Result<Caller, Failure> {
        let AccountConfig { id, partition, .. } = &self.config;
        let text = format!("arn:{partition}:sts::{id}:assumed-role/rolebridge/simulation");
        let arn: Arn = text.parse().map_err(|_| Failure::refused(Reason::AWSUnavailable, format!("{text} is no ARN")))?;
        self.call("ask who the operator is".into(), Kind::OfAccount, |_, _| Ok(())).await?;
        Ok(Caller { arn, account: id.clone(), partition: partition.clone() })
    }

    async fn observe(&self, scope: &Scope) -> Result<Observed, Failure> {
        let name = scope.name.as_ref().map_or("policies".to_owned(), ToString::to_string);
        let read = |state: &mut State, mut view: Sight| {
            let observed = state.cloud.observe(&self.config.id, scope, view.view());
            state.trace.tell(|| format!("{observed:?}"));
            observed
        };
        self.call(format!("read {name}"), Kind::Read, read).await
    }

    async fn dependents(&self, who: &IdentityName) -> Result<Dependents, Failure> {
        self.call(format!("read what {who} has"), Kind::Read, |state, mut view| state.cloud.dependents(&self.config.id, who, view.view())).await
    }

    async fn sweep(&self) -> Result<Sweep, Failure> {
        self.call("sweep".into(), Kind::OfAccount, |state, mut view| state.cloud.sweep(&self.config.id, view.view())).await
    }

    async fn quotas(&self) -> Result<Quotas, Failure> {
        self.call("read the quotas".into(), Kind::OfAccount, |state, _| state.cloud.quotas(&self.config.id)).await
    }

    async fn console_alias(&self) -> Result<Option<String>, Failure> {
        self.call("read the alias".into(), Kind::OfAccount, |state, _| state.cloud.console_alias(&self.config.id)).await
    }

    async fn policy_document(&self, policy: &Arn) -> Result<Option<Document>, Failure> {
        let scope = Scope { name: None, policies: [policy.clone()].into(), groups: false, pinned: None };
        let read = |state: &mut State, mut view: Sight| state.cloud.observe(&self.config.id, &scope, view.view());
        let mut observed = self.call(format!("read the document of {policy}"), Kind::OfAccount, read).await?;
        Ok(observed.policies.remove(policy).map(|found| found.policy.document))
    }

    async fn execute(&self, action: &Action, owner: &Owner) -> Result<Receipt, Failure> {
        let act = |state: &mut State, mut view: Sight| {
            let now = state.now();
            state.checker.before_write(&state.cloud, &self.config.id, action, owner, now);
            let result = state.cloud.execute(&self.config.id, action, view.view());
            state.checker.after_write(&state.cloud, &self.config.id, action, &result, (now, self.way.life.number));
            state.trace.tell(|| format!("{action:?}"));
            result
        };
        self.call(action.to_string(), Kind::Write, act).await
    }
}
