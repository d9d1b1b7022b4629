//! The two worlds: each call is made in both, and the answers are compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use async_trait::async_trait;
use rolebridge::api::Reason;
use rolebridge::aws::{AccessConfig, Account, AccountConfig, BaseConfig, Gateway, LimitsConfig, SecretEntries, Secrets};
use rolebridge::core::action::{Action, Dependent, Receipt};
use rolebridge::core::document::Document;
use rolebridge::core::failure::{Effect, Failure};
use rolebridge::core::identity::{Identity, IdentityName};
use rolebridge::core::names::{AccountID, Arn, Partition, UniqueID};
use rolebridge::core::observed::{Dependents, Observed, Scope};
use rolebridge::core::ownership::{Earlier, Owner};
use rolebridge_simulation::iam::{Change, Cloud, View};
use rolebridge_simulation::random::Random;
use rolebridge_testbed::{AwsSim, Credentials};
use serde_json::{Value, json};

use super::others;

/// The accounts and their partitions.
pub const ACCOUNTS: [(&str, &str); 3] = [("111111111111", "aws"), ("222222222222", "aws"), ("333333333333", "aws-cn")];
/// The user that the simulator makes in every account.
const ADMINISTRATOR: &str = "administrator";
/// Quotas that are reached soon.
const QUOTAS: [(&str, usize); 5] =
    [("AttachedPoliciesPerUserQuota", 3), ("AttachedPoliciesPerRoleQuota", 2), ("GroupsPerUserQuota", 1), ("UsersQuota", 4), ("PoliciesQuota", 5)];

/// The simulator and the model.
pub struct Twins {
    simulator: AwsSim,
    accounts: BTreeMap<&'static str, Account>,
    pub administrators: BTreeMap<&'static str, aws_sdk_iam::Client>,
    model: Cloud,
    random: Random,
    now: Duration,
    pub known: Known,
    answers: BTreeMap<String, usize>,
}

/// What the two are known to have made.
#[derive(Default)]
pub struct Known {
    /// The model's unique IDs by the simulator's.
    ids: BTreeMap<String, String>,
    /// What users were given.
    pub dependents: Vec<(&'static str, String, Dependent)>,
    /// ARNs of the users and roles that there are.
    pub principals: Vec<String>,
    /// ARNs of the customer-managed policies that there are, by account.
    pub policies: BTreeMap<String, Vec<String>>,
}

impl Known {
    /// The simulator's unique IDs, those of what is gone too.
    pub fn ids(&self) -> Vec<&String> {
        self.ids.keys().collect()
    }

    /// A text of the simulator's with the model's IDs in it.
    fn translated(&self, text: &str) -> String {
        if !["AIDA", "AROA", "ANPA"].iter().any(|prefix| text.contains(prefix)) {
            return text.to_owned();
        }
        self.ids.iter().fold(text.to_owned(), |text, (of_simulator, of_model)| text.replace(of_simulator, of_model))
    }

    fn id(&self, id: &UniqueID) -> UniqueID {
        self.ids.get(id.as_str()).and_then(|id| id.parse().ok()).unwrap_or_else(|| id.clone())
    }

    fn observed(&self, mut observed: Observed) -> Observed {
        for document in observed.documents_mut() {
            // The text of what is no document may have its white space, which the model has not.
            *document = Document::parse(&self.translated(&document.to_json())).unwrap_or_else(|_| Document::unreadable(""));
        }
        observed.identity.iter_mut().for_each(|found| found.id = self.id(&found.id));
        observed.policies.values_mut().for_each(|found| found.id = self.id(&found.id));
        observed
    }
}

/// The keys of the administrators, by account.
#[derive(Debug)]
struct Keys(BTreeMap<String, Credentials>);

#[async_trait]
impl Secrets for Keys {
    async fn read(&self, name: &str) -> Result<SecretEntries, Failure> {
        let keys = self.0.get(name).ok_or_else(|| Failure::refused(Reason::SecretNotUsable, "there is none"))?;
        let entry = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        Ok([entry("AWS_ACCESS_KEY_ID", &keys.access_key_id), entry("AWS_SECRET_ACCESS_KEY", &keys.secret_access_key)].into())
    }
}

/// What is compared of a failure: texts may differ.
fn compared<T>(result: Result<T, Failure>) -> Result<T, (Reason, Effect)> {
    result.map_err(|failure| (failure.reason, failure.effect))
}

/// Whether both refuse a call for one of two things that are wrong with it: where among the others IAM looks at its quotas is written nowhere.
fn is_for_either(of_simulator: Reason, of_model: Reason) -> bool {
    let others = [Reason::Propagating, Reason::PolicyNotFound, Reason::GroupNotFound, Reason::InvalidDocument];
    let is_either = |one, other| one == Reason::QuotaExceeded && others.contains(&other);
    is_either(of_simulator, of_model) || is_either(of_model, of_simulator)
}

fn same<T: PartialEq + Debug>(of_simulator: &T, of_model: &T) -> Result<()> {
    ensure!(of_simulator == of_model, "the simulator: {of_simulator:#?}\nthe model: {of_model:#?}");
    Ok(())
}

#[allow(clippy::expect_used, reason = "the accounts are written in this file")]
fn id(account: &str) -> AccountID {
    account.parse().expect("an account ID")
}

impl Twins {
    pub async fn start() -> Result<Self> {
        let simulator = AwsSim::start().await?;
        let mut keys = BTreeMap::new();
        for (account, partition) in ACCOUNTS {
            keys.insert(account.to_owned(), simulator.account_in_partition(account, partition).await?);
            simulator.set_quotas(account, &QUOTAS.map(|(key, quota)| (key, quota as u64))).await?;
        }
        let administrators = ACCOUNTS.iter().map(|(account, _)| (*account, others::administrator(&simulator, &keys[*account]))).collect();
        let base = BaseConfig::with_endpoint(simulator.url(), Arc::new(Keys(keys.clone())));
        let accounts: Result<_> = ACCOUNTS.iter().map(|(account, partition)| Ok((*account, gateway(&base, account, partition)?))).collect();
        let mut twins = Self {
            simulator,
            accounts: accounts?,
            administrators,
            model: Cloud::new(),
            random: Random::new(1),
            now: Duration::ZERO,
            known: Known::default(),
            answers: BTreeMap::new(),
        };
        for (account, partition) in ACCOUNTS {
            twins.open(account, partition, &keys[account]).await?;
        }
        Ok(twins)
    }

    /// Opens an account of the model, with what the simulator's have from the start.
    async fn open(&mut self, account: &'static str, partition: &str, key: &Credentials) -> Result<()> {
        self.model.open(&id(account), &partition.parse::<Partition>()?);
        for (quota, value) in QUOTAS {
            self.model_change(account, &Change::SetQuota(quota.into(), value)).map_err(|failure| anyhow!("{failure:?}"))?;
        }
        let scope = Scope { name: Some(IdentityName::User(ADMINISTRATOR.parse()?)), policies: BTreeSet::new(), groups: false, pinned: None };
        let found = self.gateway(account).observe(&scope).await.map_err(|failure| anyhow!("{failure:?}"))?.identity.context("no administrator")?;
        let made = self.model_execute(account, &Action::CreateIdentity(Box::new(found.identity.clone())));
        self.learn(&Ok(Receipt::Created(found.id)), &made);
        for (name, document) in found.identity.inline_policies {
            self.model_execute(account, &Action::PutInlinePolicy(found.identity.name.clone(), name, document))
                .map_err(|failure| anyhow!("{failure:?}"))?;
        }
        let key = Dependent::AccessKey(key.access_key_id.clone());
        self.model_change(account, &Change::Add(ADMINISTRATOR.parse()?, key)).map_err(|failure| anyhow!("{failure:?}"))?;
        Ok(())
    }

    fn gateway(&self, account: &str) -> &dyn Gateway {
        self.accounts[account].gateway()
    }

    fn view(&mut self) -> (&mut Cloud, View<'_>) {
        self.now += Duration::from_secs(1);
        (&mut self.model, View { now: self.now, lag: Duration::ZERO, random: &mut self.random })
    }

    fn model_execute(&mut self, account: &str, action: &Action) -> Result<Receipt, Failure> {
        let (model, view) = self.view();
        model.execute(&id(account), action, view)
    }

    fn model_change(&mut self, account: &str, change: &Change) -> Result<Option<String>, Failure> {
        let (model, view) = self.view();
        model.change(&id(account), change, view)
    }

    fn learn(&mut self, of_simulator: &Result<Receipt, Failure>, of_model: &Result<Receipt, Failure>) {
        if let (Ok(Receipt::Created(of_simulator)), Ok(Receipt::Created(of_model))) = (of_simulator, of_model) {
            self.known.ids.insert(of_simulator.to_string(), of_model.to_string());
        }
    }

    /// Looks at what there is, so that what is drawn next hits some of it.
    pub fn look_around(&mut self) {
        let arns = |values: &[Arc<Value>]| values.iter().filter_map(|value| value["arn"].as_str().map(str::to_owned)).collect::<Vec<String>>();
        let state = self.model.state();
        self.known.principals = state.values().flat_map(|account| arns(&account.users).into_iter().chain(arns(&account.roles))).collect();
        self.known.policies = state.iter().map(|(id, account)| (id.to_string(), arns(&account.policies))).collect();
    }

    fn count(&mut self, what: &str, outcome: &str) {
        *self.answers.entry(format!("{what}: {outcome}")).or_default() += 1;
    }

    /// How often what was answered.
    pub fn figures(&self) -> String {
        self.answers.iter().map(|(answer, times)| format!("\n{times} x {answer}")).collect()
    }

    pub async fn execute(&mut self, account: &'static str, action: &Action) -> Result<()> {
        let owner = Owner { installation: "e2e".into(), resource: "BastionUser/e2e/twin".into(), uid: "twin".into(), earlier: Earlier::TakenOver };
        let of_simulator = self.gateway(account).execute(action, &owner).await;
        let of_model = self.model_execute(account, action);
        self.learn(&of_simulator, &of_model);
        let outcome = of_simulator.as_ref().map_or_else(|failure| format!("{:?}", failure.reason), |_| "done".into());
        self.count(rolebridge_simulation::iam::operation(action), &outcome);
        let texts = format!("{of_simulator:?}\n{of_model:?}");
        let known = &self.known;
        // Of credentials and of inline policies of users the simulator does not tell whether there were any.
        let is_untold = matches!(action, Action::RemoveDependent(..) | Action::DeleteInlinePolicy(IdentityName::User(_), _));
        let told = |receipt| match receipt {
            Receipt::Missing if is_untold => Receipt::Done,
            receipt => receipt,
        };
        let translated = compared(of_simulator).map(|receipt| match receipt {
            Receipt::Created(id) => Receipt::Created(known.id(&id)),
            other => told(other),
        });
        match (&translated, compared(of_model).map(told)) {
            (Err((of_simulator, Effect::None)), Err((of_model, Effect::None))) if is_for_either(*of_simulator, of_model) => {
                self.count("refused", &format!("as {of_simulator:?} or {of_model:?}"));
                Ok(())
            }
            (of_simulator, of_model) => same(of_simulator, &of_model).context(texts),
        }
    }

    pub async fn observe(&mut self, account: &'static str, scope: &Scope) -> Result<Result<(Observed, Observed), (Reason, Effect)>> {
        let of_simulator = self.gateway(account).observe(scope).await;
        let pinned = scope.pinned.as_ref().map(|id| self.known.id(id));
        let (model, view) = self.view();
        let of_model = model.observe(&id(account), &Scope { pinned, ..scope.clone() }, view);
        let texts = format!("{:?}\n{:?}", of_simulator.as_ref().err(), of_model.as_ref().err());
        self.count("observe", of_simulator.as_ref().map_or("failed", |observed| if observed.identity.is_some() { "found" } else { "nobody" }));
        let (of_simulator, of_model) = (compared(of_simulator), compared(of_model));
        same(&of_simulator.clone().map(|observed| self.known.observed(observed)), &of_model).context(texts)?;
        Ok(of_simulator.and_then(|of_simulator| of_model.map(|of_model| (of_simulator, of_model))))
    }

    /// The user or role of this name.
    pub async fn found(&mut self, account: &'static str, who: &IdentityName) -> Result<Option<Identity>> {
        let scope = Scope { name: Some(who.clone()), policies: BTreeSet::new(), groups: false, pinned: None };
        let observed = self.observe(account, &scope).await?;
        Ok(observed.ok().and_then(|(_, observed)| observed.identity).map(|found| found.identity))
    }

    pub async fn dependents(&mut self, account: &'static str, who: &IdentityName) -> Result<Dependents> {
        let of_simulator = self.gateway(account).dependents(who).await;
        let (model, view) = self.view();
        let of_model = model.dependents(&id(account), who, view);
        same(&compared(of_simulator), &compared(of_model.clone()))?;
        of_model.map_err(|failure| anyhow!("{failure:?}"))
    }

    /// A sweep is compared by what it says of all these, and of who is nobody's.
    pub async fn sweep(&mut self, account: &'static str, names: &[IdentityName], policies: &BTreeSet<Arn>) -> Result<()> {
        let scope = Scope { name: None, policies: policies.clone(), groups: false, pinned: None };
        let (before_of_simulator, before_of_model) = self.observe(account, &scope).await?.map_err(|failure| anyhow!("{failure:?}"))?;
        let of_simulator = self.gateway(account).sweep().await.map_err(|failure| anyhow!("{failure:?}"))?;
        let (model, view) = self.view();
        let of_model = model.sweep(&id(account), view).map_err(|failure| anyhow!("{failure:?}"))?;
        for name in names {
            let shown = of_simulator.of(name, policies, Some(&before_of_simulator)).map(|observed| self.known.observed(observed));
            same(&shown, &of_model.of(name, policies, Some(&before_of_model))).with_context(|| name.to_string())?;
        }
        let none = BTreeSet::new();
        let orphans = of_simulator.orphans("e2e", &none, &BTreeSet::new()).into_iter();
        let orphans: BTreeSet<_> = orphans.map(|orphan| (orphan.what, self.known.id(&orphan.id), orphan.owner)).collect();
        let of_the_model = of_model.orphans("e2e", &none, &BTreeSet::new()).into_iter().map(|orphan| (orphan.what, orphan.id, orphan.owner));
        same(&orphans, &of_the_model.collect())?;
        let users: BTreeSet<Arn> = ACCOUNTS
            .iter()
            .flat_map(|(account, partition)| ["alice", "Bob"].map(|name| format!("arn:{partition}:iam::{account}:user/{name}").parse()))
            .collect::<Result<_, _>>()?;
        let doors = |sweep: &rolebridge::core::sweep::Sweep| sweep.shadow_grants("e2e", &none, &users, None);
        same(&doors(&of_simulator), &doors(&of_model))
    }

    /// What an account says of itself.
    pub async fn account(&mut self, account: &'static str) -> Result<()> {
        let quotas = self.gateway(account).quotas().await;
        same(&compared(quotas), &compared(self.model.quotas(&id(account))))?;
        let alias = self.gateway(account).console_alias().await;
        same(&compared(alias), &compared(self.model.console_alias(&id(account))))
    }

    /// What others do.
    pub async fn change(&mut self, account: &'static str, change: &Change) -> Result<()> {
        let of_simulator = others::change(&self.simulator, &self.administrators[account], account, change).await?;
        // IDs that are drawn by who makes the thing: the model is given the simulator's.
        let with_id = |id: &String| match change {
            Change::Add(user, Dependent::AccessKey(_)) => Change::Add(user.clone(), Dependent::AccessKey(id.clone())),
            Change::Add(user, Dependent::SSHPublicKey(_)) => Change::Add(user.clone(), Dependent::SSHPublicKey(id.clone())),
            Change::Add(user, Dependent::SigningCertificate(_)) => Change::Add(user.clone(), Dependent::SigningCertificate(id.clone())),
            Change::Add(user, Dependent::ServiceSpecificCredential(_)) => Change::Add(user.clone(), Dependent::ServiceSpecificCredential(id.clone())),
            Change::Add(user, Dependent::MFADevice(_)) => Change::Add(user.clone(), Dependent::MFADevice(id.clone())),
            other => other.clone(),
        };
        let made = of_simulator.as_ref().ok().cloned().flatten();
        let change = made.as_ref().map_or_else(|| change.clone(), with_id);
        let of_model = self.model_change(account, &change);
        let texts = format!("{of_simulator:?}\n{of_model:?}");
        if let (Change::CreateRoleOfAWS { .. }, Ok(Some(of_simulator)), Ok(Some(of_model))) = (&change, &of_simulator, &of_model) {
            self.known.ids.insert(of_simulator.clone(), of_model.clone());
        }
        if let (Change::Add(user, dependent), Ok(_)) = (&change, &of_model) {
            self.known.dependents.push((account, user.to_string(), dependent.clone()));
        }
        let code = |failure: &Failure| failure.message.split(": ").nth(1).unwrap_or_default().to_owned();
        let outcome = of_simulator.as_ref().map_or_else(Clone::clone, |_| "done".into());
        self.count("change", &outcome);
        same(&of_simulator.map(drop), &of_model.map(drop).map_err(|failure| code(&failure))).context(texts)
    }

    /// Everything that is there, but for the roles that AWS has in every account.
    pub async fn compare_states(&self) -> Result<()> {
        let of_simulator = self.simulator.state().await?;
        let of_model = self.model.state();
        for (account, _) in ACCOUNTS {
            let simulated = of_simulator.accounts.get(account).context("no such account")?;
            let modelled = of_model.get(&id(account)).context("no such account")?;
            let known = |values: &[Value]| -> Result<Vec<Value>> { Ok(serde_json::from_str(&self.known.translated(&json!(values).to_string()))?) };
            let shown = |values: &[Arc<Value>]| values.iter().map(|value| (**value).clone()).collect();
            compare(known(&simulated.users)?, shown(&modelled.users))?;
            compare(known(&simulated.roles)?, shown(&modelled.roles))?;
            compare(known(&simulated.policies)?, shown(&modelled.policies))?;
        }
        Ok(())
    }
}

fn gateway(base: &BaseConfig, account: &str, partition: &str) -> Result<Account> {
    let config = AccountConfig {
        id: account.parse()?,
        partition: partition.parse()?,
        region: None,
        access: AccessConfig::Secret(account.to_owned()),
        limits: LimitsConfig::default(),
    };
    Account::new(base, config, None).map_err(|failure| anyhow!("{failure:?}"))
}

fn compare(of_simulator: Vec<Value>, of_model: Vec<Value>) -> Result<()> {
    let by_arn = |values: Vec<Value>| -> BTreeMap<String, Value> {
        let all = values.into_iter().map(|value| (value["arn"].as_str().unwrap_or_default().to_owned(), value));
        all.filter(|(arn, _)| !arn.contains("/aws-service-role/")).collect()
    };
    let (of_simulator, of_model) = (by_arn(of_simulator), by_arn(of_model));
    for arn in of_simulator.keys().chain(of_model.keys()) {
        same(&of_simulator.get(arn), &of_model.get(arn)).with_context(|| arn.clone())?;
    }
    Ok(())
}
