//! The order in which things are declared, and taken away, makes no difference to what comes of it.
//!
//! `make campaign` goes through all 720 orders of creation and 126 of deletion, and twelve again while AWS is slow to show what was made; `make test`
//! takes a few, by a seed that it prints.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use rolebridge::api::{AWSAccount, Managed};
use rolebridge_testbed::{Call, Seen, TestbedOptions, aws_sim::Settings};
use serde_json::{Value, json};

use crate::{
    campaign::{Campaign, is_full},
    invariants::{anonymous, part},
    stepper::assert_same,
    support::{Account, LIST, Tenant, World, bastion_user, condition, config_map, cross_account_role, once},
    waiting::{History, record, record_one},
};

/// How many orders are under way at the same time, each in a namespace and accounts of its own.
const AT_ONCE: usize = 8;

/// Something that is declared, and later taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    User,
    ConfigMap,
    Role,
    Utils,
    Prod,
    /// The label by which both accounts let the namespace in.
    Label,
    /// The namespace as a whole, which goes with what is in it.
    Namespace,
}

use Part::{ConfigMap as Texts, Label, Namespace as Whole, Prod, Role, User, Utils};

/// All orders of these.
fn orders(parts: &[Part]) -> Vec<Vec<Part>> {
    if parts.is_empty() {
        return vec![vec![]];
    }
    let with_first = |i: usize| {
        let rest = [&parts[..i], &parts[i + 1..]].concat();
        orders(&rest).into_iter().map(move |order| [vec![parts[i]], order].concat())
    };
    (0..parts.len()).flat_map(with_first).collect()
}

/// One order of creation and one of deletion, with a pause after each step.
struct Trial {
    create: Vec<Part>,
    delete: Vec<Part>,
    pauses: Vec<Duration>,
}

impl Trial {
    fn new(create: &[Part], delete: &[Part], random: &mut fastrand::Rng) -> Self {
        // Nothing, what a watch settles in, and long enough for a status to be written.
        let pauses = [0, 0, 150, 150, 2_000].map(Duration::from_millis);
        let pauses = (0..12).map(|_| pauses[random.usize(..pauses.len())]).collect();
        Self { create: create.to_vec(), delete: delete.to_vec(), pauses }
    }

    fn pause(&self, step: usize) -> Duration {
        self.pauses[step % self.pauses.len()]
    }
}

/// What a trial is made with.
struct Stage<'w> {
    tenant: Tenant<'w>,
    utils: Account,
    prod: Account,
}

impl<'w> Stage<'w> {
    async fn new(world: &'w World) -> Result<Self> {
        let tenant = world.tenant().await?;
        let (utils, prod) = (tenant.account("utils").await?, tenant.account("prod").await?);
        Ok(Self { tenant, utils, prod })
    }

    async fn declare(&self, part: Part) -> Result<()> {
        let selector = format!("{{from: Selector, selector: {{matchLabels: {{team: {}}}}}}}", self.tenant.namespace);
        let permissions = "permissions: {customerManagedPolicies: [{name: list, configMapKeyRef: {name: policies, key: list.json}}]}";
        match part {
            User => self.tenant.apply(&bastion_user("alice", &self.utils, "")).await,
            Texts => self.tenant.apply(&config_map("policies", "list.json", LIST)).await,
            Role => self.tenant.apply(&cross_account_role("reader", &self.prod, "{user: {name: alice}}", permissions)).await,
            Utils => self.tenant.apply(&self.utils.manifest(&selector, "")).await,
            Prod => self.tenant.apply(&self.prod.manifest(&selector, "")).await,
            Label => {
                let labels = json!({"metadata": {"labels": {"team": self.tenant.namespace}}});
                self.namespaces().patch(&self.tenant.namespace, &PatchParams::default(), &Patch::Merge(labels)).await?;
                Ok(())
            }
            Whole => bail!("the namespace is there from the beginning"),
        }
    }

    /// Asks for its deletion, and does not wait.
    async fn withdraw(&self, part: Part) -> Result<()> {
        let parameters = DeleteParams::default();
        let texts: Api<ConfigMap> = Api::namespaced(self.tenant.client.clone(), &self.tenant.namespace);
        match part {
            User => drop(self.tenant.users().delete("alice", &parameters).await?),
            Texts => drop(texts.delete("policies", &parameters).await?),
            Role => drop(self.tenant.roles().delete("reader", &parameters).await?),
            Utils => drop(self.tenant.accounts().delete(&self.utils.name, &parameters).await?),
            Prod => drop(self.tenant.accounts().delete(&self.prod.name, &parameters).await?),
            Whole => drop(self.namespaces().delete(&self.tenant.namespace, &parameters).await?),
            Label => {}
        }
        Ok(())
    }

    fn namespaces(&self) -> Api<Namespace> {
        Api::all(self.tenant.client.clone())
    }

    async fn aws(&self) -> Result<Value> {
        let state = part(self.tenant.world.testbed.aws.state().await?, &[&self.utils, &self.prod]);
        let names = [(self.utils.id.as_str(), "UTILS"), (self.prod.id.as_str(), "PROD"), (self.tenant.namespace.as_str(), "team")];
        Ok(anonymous(&state, &names))
    }

    /// What there is left in Kubernetes, in words.
    async fn left(&self, deleted: &[Part]) -> Result<Vec<String>> {
        let mut left = vec![];
        left.extend(self.tenant.users().get_opt("alice").await?.map(|user| tell(&user)));
        left.extend(self.tenant.roles().get_opt("reader").await?.map(|role| tell(&role)));
        for account in [&self.utils, &self.prod] {
            left.extend(self.tenant.accounts().get_opt(&account.name).await?.map(|account| tell(&account)));
        }
        if deleted.contains(&Whole) {
            let namespace = self.namespaces().get_opt(&self.tenant.namespace).await?;
            left.extend(namespace.map(|namespace| json!(namespace.status).to_string()));
        }
        Ok(left)
    }
}

fn tell<K: Managed + std::fmt::Debug>(object: &K) -> String {
    format!("{} {}: {:?}", K::KIND, object.name_any(), condition(object, "Ready"))
}

/// Runs a trial and returns what AWS had when everything was there.
async fn run(world: &World, trial: &Trial) -> Result<Value> {
    let stage = Stage::new(world).await?;
    let tenant = &stage.tenant;
    let (since, before) = (world.last_call().await?, stage.aws().await?);
    let accounts = [&stage.utils, &stage.prod].map(|account| record_one(tenant.accounts(), &account.name));
    let told: Vec<History> = accounts.into_iter().chain([record(tenant.users()), record(tenant.roles())]).collect();
    for (step, part) in trial.create.iter().enumerate() {
        stage.declare(*part).await?;
        tokio::time::sleep(trial.pause(step)).await;
    }
    for account in [&stage.utils, &stage.prod] {
        tenant.ready(&tenant.accounts(), &account.name).await?;
    }
    tenant.ready(&tenant.users(), "alice").await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    nothing_is_called_a_failure(&told).await?;
    if world.testbed.aws.settings().await?.propagation_delay_ms.unwrap_or_default() == 0 {
        let (writes, _) = world.counts_in(&[&stage.utils, &stage.prod], since).await?;
        ensure!(writes == once(&["CreateUser", "PutUserPolicy", "CreatePolicy", "CreateRole", "AttachRolePolicy"]), "{writes:?}");
    }
    let there = stage.aws().await?;

    for (step, part) in trial.delete.iter().enumerate() {
        stage.withdraw(*part).await?;
        tokio::time::sleep(trial.pause(step + trial.create.len())).await;
        if step == 0 && matches!(part, Utils | Prod) {
            waits_for_its_own(&stage, *part).await?;
        }
    }
    world
        .testbed
        .wait_for("everything is gone", || async {
            let left = stage.left(&trial.delete).await?;
            Ok(Seen::from_option(left.is_empty().then_some(()), || left.join("\n")))
        })
        .await?;
    nothing_is_called_a_failure(&told).await?;
    assert_same(&stage.aws().await?, &before).context("something is left behind")?;
    let calls = world.testbed.aws.calls(since).await?;
    nobody_dead_was_trusted(&calls, &stage)?;
    if !trial.delete.contains(&Whole) {
        stage.withdraw(Whole).await?;
    }
    Ok(there)
}

/// No object was Stalled so far: all of it heals by itself. Only the label is not waited for in silence, since giving it takes a person.
async fn nothing_is_called_a_failure(told: &[History]) -> Result<()> {
    for history in told {
        let history = history.lock().await;
        let wrong: Vec<_> = history.iter().filter(|(reason, stalled)| stalled.is_some() && reason != "NamespaceNotAllowed").collect();
        ensure!(wrong.is_empty(), "what heals by itself was called a failure: {wrong:#?}");
    }
    Ok(())
}

/// An account that is deleted first says for whom it stays.
async fn waits_for_its_own(stage: &Stage<'_>, part: Part) -> Result<()> {
    let (account, dependent) = if part == Utils { (&stage.utils, "BastionUser") } else { (&stage.prod, "CrossAccountRole") };
    let accounts: Api<AWSAccount> = stage.tenant.accounts();
    stage
        .tenant
        .world
        .testbed
        .wait_for("the account says who needs it", || async {
            let found = accounts.get_opt(&account.name).await?.context("it went while it was needed, or is gone by now with all the rest")?;
            let ready = condition(&found, "Ready").cloned();
            let told = ready.as_ref().is_some_and(|ready| ready.reason == "InUse" && ready.message.contains(dependent));
            Ok(Seen::from_option(told.then_some(()), || format!("{ready:?}")))
        })
        .await
}

/// No user was deleted while a trust policy named it, by the calls in the order in which they took effect.
fn nobody_dead_was_trusted(calls: &[Call], stage: &Stage<'_>) -> Result<()> {
    let mut trust = BTreeMap::new();
    let of_ours = |call: &&Call| call.code.is_none() && call.account.as_deref().is_some_and(|id| id == stage.utils.id || id == stage.prod.id);
    for call in calls.iter().filter(of_ours) {
        let parameter = |name: &str| call.parameters.get(name).cloned().unwrap_or_default();
        match call.operation.as_str() {
            "CreateRole" => drop(trust.insert(parameter("RoleName"), parameter("AssumeRolePolicyDocument"))),
            "UpdateAssumeRolePolicy" => drop(trust.insert(parameter("RoleName"), parameter("PolicyDocument"))),
            "DeleteRole" => drop(trust.remove(&parameter("RoleName"))),
            "DeleteUser" => {
                let arn = stage.utils.arn(&format!("user/{}", parameter("UserName")));
                let naming: Vec<_> = trust.iter().filter(|(_, document)| document.contains(&arn)).collect();
                ensure!(naming.is_empty(), "{arn} was deleted while these named it: {naming:?}");
            }
            _ => {}
        }
    }
    Ok(())
}

async fn run_all(world: &World, trials: &[Trial], reference: &Value, campaign: &Campaign) -> Result<()> {
    // Each a future of its own: what is borrowed lives until all of them have ended.
    let running: Vec<_> = trials.iter().enumerate().map(|(number, trial)| run_one(world, number, trial, reference, campaign)).collect();
    stream::iter(running).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await.map(drop)
}

async fn run_one(world: &World, number: usize, trial: &Trial, reference: &Value, campaign: &Campaign) -> Result<()> {
    let what = format!("create {:?}, delete {:?}, pauses {:?}", trial.create, trial.delete, trial.pauses);
    let there = run(world, trial).await.with_context(|| format!("{campaign}: {what}"))?;
    assert_same(&there, reference).with_context(|| format!("{campaign}: {what}"))?;
    if number.is_multiple_of(20) {
        campaign.note(&format!("order {number}: {what}"));
    }
    Ok(())
}

#[tokio::test]
async fn any_order_of_creation_and_deletion_comes_to_the_same() -> Result<()> {
    let mut campaign = Campaign::new("orders");
    let world = World::own_with(TestbedOptions { controller_manager: true }).await?;
    let operator = world.operator()?;
    let mut creations = orders(&[User, Texts, Role, Utils, Prod, Label]);
    let mut deletions = orders(&[User, Role, Texts, Utils, Prod]);
    let mut whole = orders(&[Whole, Utils, Prod]);
    let first = Trial { create: creations[0].clone(), delete: deletions[0].clone(), pauses: vec![Duration::ZERO] };
    let reference = run(&world, &first).await?;

    for list in [&mut creations, &mut deletions, &mut whole] {
        campaign.random.shuffle(list);
    }
    // Deletions of a namespace are among the sample, and each order of deletion among all.
    let mixed: Vec<_> = whole.iter().take(2).chain(&deletions).chain(&whole[2..]).cloned().collect();
    if !is_full() {
        creations.truncate(8);
    }
    let pairs = creations.iter().zip(mixed.iter().cycle());
    let trials: Vec<Trial> = pairs.map(|(create, delete)| Trial::new(create, delete, &mut campaign.random)).collect();
    run_all(&world, &trials, &reference, &campaign).await?;
    operator.ensure_running()?;

    let (delay, count) = (10_000, if is_full() { 12 } else { 2 });
    world.testbed.aws.set(Settings { propagation_delay_ms: Some(delay), ..Settings::default() }).await?;
    let slow: Vec<Trial> = (0..count).map(|i| Trial::new(&creations[i % creations.len()], &mixed[i], &mut campaign.random)).collect();
    run_all(&world, &slow, &reference, &campaign).await?;
    operator.ensure_running()?;
    campaign.conclude(&format!("{} orders, {count} of them again with a propagation delay of {delay} ms", trials.len() + 1));
    Ok(())
}
