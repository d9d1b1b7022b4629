//! The budgets: what the operator costs, in calls to AWS, writes to Kubernetes, time and memory, against a real API server and the AWS
//! simulator. `make bench` prints a table and writes `target/bench/budgets.json`.
//!
//! Calls and writes are exact. Times depend on the machine, and the API server, etcd and the simulator share its cores with the operator.

mod bombs;
#[allow(dead_code, unused_imports, reason = "the end-to-end tests use the rest")]
#[path = "../../tests/e2e/support.rs"]
mod support;
mod sweep;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource};
use rolebridge::api::{BastionUser, CrossAccountRole, Managed};
use rolebridge_testbed::aws_sim::Settings;
use rolebridge_testbed::{Seen, wait_for};
use serde_json::{Value, json};
use support::{Account, Tenant, World, condition, manifest};

/// Many accounts, users and roles.
struct Fleet {
    accounts: usize,
    users: usize,
    roles: usize,
    /// Budgets of seconds from the operator's start until all are Ready, and of calls to AWS and writes of an object until then. All grow where the
    /// machine is too slow for the fleet.
    start: Option<[f64; 3]>,
    /// Budget of the operator's memory, in MiB.
    memory: Option<f64>,
}

/// What the design sets a budget of time for.
const FLEET: Fleet = Fleet { accounts: 20, users: 100, roles: 1000, start: Some([5.0, 2200.0, 2.0]), memory: None };
/// What the design sets a budget of memory for.
const LARGE_FLEET: Fleet = Fleet { accounts: 100, users: 1000, roles: 10_000, start: None, memory: Some(200.0) };

/// What an AWSAccount says that takes more of one namespace than by default.
const WIDE: &str = "guardrails: {quotas: {users: 5000, roles: 10000}}";

impl Fleet {
    /// The users as they are declared; `accounts` has the names of the AWSAccounts.
    fn users(&self, accounts: &[&str]) -> impl Iterator<Item = Value> {
        (0..self.users).map(|n| {
            let spec = json!({"accountRef": {"name": accounts[n % self.accounts]}});
            json!({"metadata": {"name": format!("user-{n}")}, "spec": spec})
        })
    }

    /// The roles as they are declared. Each lets in one user, mostly of another account, and all users have as many.
    fn roles(&self, accounts: &[&str]) -> impl Iterator<Item = Value> {
        let document = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}]});
        (0..self.roles).map(move |n| {
            json!({"metadata": {"name": format!("role-{n}")}, "spec": {
                "accountRef": {"name": accounts[(n + n / self.users) % self.accounts]},
                "trust": [{"from": [{"user": {"name": format!("user-{}", n % self.users)}}]}],
                "permissions": {"inlinePolicies": [{"name": "read", "document": document}]},
            }})
        })
    }

    /// What is declared, for the table.
    fn told(&self) -> String {
        format!("{} roles, {} users, {} accounts", self.roles, self.users, self.accounts)
    }
}

/// Roles that one user is added to: as many as take several assume policies.
const SHARED_ROLES: usize = 500;
/// Latency of the simulated AWS in the fleet, in milliseconds.
const LATENCY_MS: u64 = 20;

/// One line of the table.
struct Line {
    work: String,
    figure: String,
    value: f64,
    budget: Option<f64>,
}

#[derive(Default)]
struct Table(Vec<Line>);

impl Table {
    fn add(&mut self, work: &str, figure: &str, value: f64, budget: Option<f64>) {
        let verdict = budget.map_or(String::new(), |b| format!("budget {b}{}", if value <= b { "" } else { "  MISSED" }));
        println!("{work:<46} {figure:<34} {value:>10.2}  {verdict}");
        self.0.push(Line { work: work.into(), figure: figure.into(), value, budget });
    }

    fn json(&self) -> Value {
        let line = |l: &Line| json!({"work": l.work, "figure": l.figure, "value": l.value, "budget": l.budget, "met": l.budget.is_none_or(|b| l.value <= b)});
        self.0.iter().map(line).collect()
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let is_asked_to = |what: &str| std::env::args().any(|argument| argument == what);
    if is_asked_to(sweep::ARGUMENT) {
        return sweep::plan(&LARGE_FLEET);
    }
    // `cargo test --benches` only asks whether it runs at all, and does not say `--bench`.
    if !is_asked_to("--bench") {
        return Ok(());
    }
    let mut table = Table::default();
    bombs::measure(&mut table).await?;
    recipe(&mut table).await?;
    fleet(&mut table, &FLEET).await?;
    fleet(&mut table, &LARGE_FLEET).await?;
    sweep::measure(&mut table, &LARGE_FLEET)?;
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    std::fs::create_dir_all(&directory)?;
    let path = directory.join("budgets.json");
    std::fs::write(&path, serde_json::to_string_pretty(&table.json())?)?;
    println!("written to target/bench/{}", path.file_name().unwrap_or_default().display());
    Ok(())
}

/// The classic recipe, and what a change of it costs.
async fn recipe(table: &mut Table) -> Result<()> {
    let world = World::own().await?;
    let _operator = world.operator()?;
    let team = world.tenant().await?;
    let (utils, prod) = (team.ready_account("utils", WIDE).await?, team.ready_account("prod", WIDE).await?);
    let since = world.last_call().await?;
    team.apply(&[user("alice", &utils), role("reader", &prod, &["alice"])].join("\n---\n")).await?;
    team.ready(&team.users(), "alice").await?;
    team.ready(&team.roles(), "reader").await?;
    let (writes, reads) = world.counts_in(&[&utils, &prod], since).await?;
    table.add("create the recipe", "AWS writes", sum(writes.values()), Some(4.0));
    table.add("create the recipe", "AWS reads", sum(reads.values()), Some(0.0));

    team.apply(&role("waiting", &prod, &["bob"])).await?;
    team.concluded(&team.roles(), "waiting", "SourceNotFound").await?;
    let started = Instant::now();
    team.apply(&user("bob", &utils)).await?;
    team.ready(&team.roles(), "waiting").await?;
    table.add("a role that waited for its user", "seconds from user to Ready", started.elapsed().as_secs_f64(), Some(2.0));

    let names: Vec<String> = (0..SHARED_ROLES).map(|n| format!("shared-{n}")).collect();
    team.apply(&names.iter().map(|name| role(name, &prod, &["alice"])).collect::<Vec<_>>().join("\n---\n")).await?;
    for name in &names {
        team.ready(&team.roles(), name).await?;
    }
    team.apply(&user("carol", &utils)).await?;
    team.ready(&team.users(), "carol").await?;
    let since = world.last_call().await?;
    let trust = json!({"spec": {"trust": [{"from": [{"user": {"name": "alice"}}, {"user": {"name": "carol"}}]}]}});
    let roles = team.roles();
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(&trust));
    stream::iter(&names).map(|name| roles.patch(name, &parameters, &patch)).buffer_unordered(16).try_collect::<Vec<_>>().await?;
    all_ready(&roles, "every shared role has its second user", |role| role.status.as_ref().is_some_and(|s| s.grants_total == 2), SHARED_ROLES)
        .await?;
    let (writes, reads) = world.counts_in(&[&utils, &prod], since).await?;
    let work = format!("a user added to {SHARED_ROLES} roles at once");
    // Not one for each role: the assume policy is written once for all that are seen together, and now and then once more.
    table.add(&work, "UpdateAssumeRolePolicy", as_figure(writes.get("UpdateAssumeRolePolicy").copied()), Some(500.0));
    for operation in ["PutUserPolicy", "CreatePolicy", "CreatePolicyVersion"] {
        table.add(&work, operation, as_figure(writes.get(operation).copied()), None);
    }
    table.add(&work, "AWS reads", sum(reads.values()), None);
    Ok(())
}

/// Many accounts, users and roles at once: from the operator's start until all are Ready, and again as a restart, which sweeps each account.
async fn fleet(table: &mut Table, fleet: &Fleet) -> Result<()> {
    let world = World::own().await?;
    let team = world.tenant().await?;
    let mut accounts = vec![];
    for n in 0..fleet.accounts {
        accounts.push(team.account(&format!("account-{n}")).await?);
    }
    team.apply(&accounts.iter().map(|account| account.manifest(&team.only_here(), "")).collect::<String>()).await?;
    println!("applying {} ...", fleet.told());
    let names: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
    create::<BastionUser>(&team.users(), fleet.users(&names)).await?;
    create::<CrossAccountRole>(&team.roles(), fleet.roles(&names)).await?;
    world.testbed.aws.set(Settings { latency_ms: Some(LATENCY_MS), propagation_delay_ms: None }).await?;

    let work = fleet.told();
    let since = world.last_call().await?;
    let started = Timestamp::now();
    let operator = world.operator_that_logs("warn")?;
    quiet(&team).await?;
    all_ready(&team.users(), "every user is Ready", is_ready, fleet.users).await?;
    all_ready(&team.roles(), "every role is Ready", is_ready, fleet.roles).await?;
    let by_object = team.operator_writes().await?;
    // The last write is what made the last one Ready. Looking closely while it runs would measure the looking.
    let ended =
        by_object.values().flatten().map(|write| write.answered_at.parse::<Timestamp>()).try_fold(started, |last, at| at.map(|at| last.max(at)))?;
    let seconds = ended.duration_since(started).as_secs_f64();
    table.add(&work, "seconds to all Ready", seconds, fleet.start.map(|[seconds, ..]| seconds));
    let all: Vec<&Account> = accounts.iter().collect();
    let (writes, reads) = world.counts_in(&all, since).await?;
    table.add(&work, "AWS writes and reads", sum(writes.values()) + sum(reads.values()), fleet.start.map(|[_, calls, _]| calls));
    let writes: Vec<usize> = by_object.values().map(Vec::len).collect();
    table.add(
        &work,
        "Kubernetes writes an object, at most",
        writes.iter().max().copied().unwrap_or_default() as f64,
        fleet.start.map(|[.., writes]| writes),
    );
    table.add(&work, "objects with more than two of them", writes.iter().filter(|count| **count > 2).count() as f64, None);
    table.add(&work, "peak memory of the operator, MiB", operator.peak_rss().map_or(f64::NAN, mebibytes), fleet.memory);
    ensure!(operator.terminate().await?.success(), "the operator did not end well");

    let since = world.last_call().await?;
    let kubernetes: usize = by_object.values().map(Vec::len).sum();
    let started = Instant::now();
    let operator = world.operator_that_logs("warn")?;
    let swept = || async {
        let (_, reads) = world.counts_in(&all, since).await?;
        // The last of the reads of a sweep.
        let swept = reads.get("ListAccountAliases").copied().unwrap_or_default();
        Ok(if swept >= fleet.accounts as u64 { Seen::Done(()) } else { Seen::NotYet(format!("{swept} accounts swept")) })
    };
    wait_for("every account has been looked at again", swept).await?;
    let work = format!("restart with {} roles, {} users", fleet.roles, fleet.users);
    table.add(&work, "seconds until all are read", started.elapsed().as_secs_f64(), Some(30.0));
    // What a last reconcile might still write is written by then.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (writes, reads) = world.counts_in(&all, since).await?;
    table.add(&work, "AWS writes", sum(writes.values()), Some(0.0));
    // A sweep each: details of users, roles and policies; what these omit of roles; quotas; alias.
    table.add(&work, "AWS reads", sum(reads.values()), Some(4.0 * fleet.accounts as f64));
    let now: usize = team.operator_writes().await?.values().map(Vec::len).sum();
    // The first sweep of each account reads its quotas, which its status tells.
    table.add(&work, "Kubernetes writes", (now - kubernetes) as f64, Some(fleet.accounts as f64));
    table.add(&work, "peak memory of the operator, MiB", operator.peak_rss().map_or(f64::NAN, mebibytes), fleet.memory);
    drop(operator);
    // What the API server alone takes of this machine for as many writes: without it the seconds above say as much of the machine as of the operator.
    let alone = kubernetes_writes_alone(&team, &accounts[0]).await? * kubernetes as f64;
    table.add("the same Kubernetes writes by a bare client", "seconds", alone, None);
    table.add("the same Kubernetes writes by a bare client", "all Ready takes so many times as long", seconds / alone, None);
    Ok(())
}

/// Seconds for one write, half of them finalizers and half statuses, by a client that does nothing else and has as many under way as the operator.
async fn kubernetes_writes_alone(team: &Tenant<'_>, account: &Account) -> Result<f64> {
    const SAMPLE: usize = 200;
    let objects =
        (0..SAMPLE).map(|n| json!({"metadata": {"name": format!("sample-{n}")}, "spec": {"accountRef": {"name": account.name}, "trust": []}}));
    let roles = team.roles();
    create::<CrossAccountRole>(&roles, objects).await?;
    let finished = roles.get("role-0").await?.status;
    let finalizer = json!({"metadata": {"finalizers": ["rolebridge.io/sample"]}});
    let started = Instant::now();
    let write = |n: usize| {
        let (roles, finalizer, name) = (&roles, &finalizer, format!("sample-{n}"));
        let status =
            json!({"apiVersion": CrossAccountRole::api_version(&()), "kind": CrossAccountRole::KIND, "metadata": {"name": name}, "status": finished});
        async move {
            roles.patch(&name, &PatchParams::default(), &Patch::Merge(finalizer)).await?;
            roles.patch_status(&name, &PatchParams::apply("sample").force(), &Patch::Apply(status)).await
        }
    };
    stream::iter(0..SAMPLE).map(write).buffer_unordered(64).try_collect::<Vec<_>>().await?;
    Ok(started.elapsed().as_secs_f64() / (2 * SAMPLE) as f64)
}

fn user(name: &str, account: &Account) -> String {
    manifest("BastionUser", name, &format!("{{accountRef: {{name: {}}}}}", account.name))
}

fn role(name: &str, account: &Account, users: &[&str]) -> String {
    let sources: Vec<String> = users.iter().map(|user| format!("{{user: {{name: {user}}}}}")).collect();
    let policy = "{Version: '2012-10-17', Statement: [{Effect: Allow, Action: 's3:ListAllMyBuckets', Resource: '*'}]}";
    let permissions = format!("{{inlinePolicies: [{{name: read, document: {policy}}}]}}");
    manifest(
        "CrossAccountRole",
        name,
        &format!("{{accountRef: {{name: {}}}, trust: [{{from: [{}]}}], permissions: {permissions}}}", account.name, sources.join(", ")),
    )
}

async fn create<K>(api: &Api<K>, objects: impl Iterator<Item = Value>) -> Result<()>
where
    K: Managed + Resource<Scope = NamespaceResourceScope>,
{
    let post = |object: Value| async move {
        let mut object = object;
        object["apiVersion"] = K::api_version(&()).into();
        object["kind"] = K::KIND.into();
        let object: K = serde_json::from_value(object)?;
        api.create(&PostParams::default(), &object).await.context("creating an object").map(|_| ())
    };
    stream::iter(objects).map(post).buffer_unordered(16).try_collect::<Vec<()>>().await.map(|_| ())
}

fn is_ready<K: Managed>(object: &K) -> bool {
    condition(object, "Ready").is_some_and(|c| c.status == "True")
}

/// Waits until as many objects are Ready and as told. One list each quarter of a second: watching would take more of the machine.
async fn all_ready<K: Managed>(api: &Api<K>, what: &str, as_told: impl Fn(&K) -> bool, count: usize) -> Result<()> {
    wait_for(what, || async {
        let objects = api.list(&kube::api::ListParams::default().match_any()).await?.items;
        let done = objects.iter().filter(|object| is_ready(*object) && as_told(object)).count();
        Ok(if done >= count { Seen::Done(()) } else { Seen::NotYet(format!("{done} of {count}")) })
    })
    .await
}

/// Waits until the operator has written to the API server and for two seconds writes no more; reading the audit log costs the machine little.
async fn quiet(team: &Tenant<'_>) -> Result<()> {
    let (mut seen, mut since) = (0, Instant::now());
    while seen == 0 || since.elapsed() < Duration::from_secs(2) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = team.operator_writes().await?.values().map(Vec::len).sum();
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
    Ok(())
}

fn sum<'n>(numbers: impl Iterator<Item = &'n u64>) -> f64 {
    numbers.sum::<u64>() as f64
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

fn as_figure(number: Option<u64>) -> f64 {
    number.unwrap_or_default() as f64
}
