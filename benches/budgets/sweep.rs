//! What a sweep of all accounts takes beside its calls: what every resource wants, what the sweep shows of it, and that there is nothing to do. In
//! a process of its own, since the peak of a process's memory never goes down.

use std::collections::HashMap;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::Event;
use rolebridge::api::{AWSAccount, BastionUser, CrossAccountRole, FINALIZER, Managed};
use rolebridge::controller::cluster::index::Index;
use rolebridge::controller::cluster::kind::Kind;
use rolebridge::controller::cluster::stores::Stores;
use rolebridge::controller::state::deletions::Deletions;
use rolebridge::controller::state::home::Home;
use rolebridge::controller::state::memory::Memory;
use rolebridge::controller::world::Snapshot;
use rolebridge::core::action::{Action, Receipt};
use rolebridge::core::desired::{Desired, desired_role, desired_user};
use rolebridge::core::document::{Document, SharedDocuments};
use rolebridge::core::observed::Observed;
use rolebridge::core::permissions::ConfigTexts;
use rolebridge::core::placement::resolve_account;
use rolebridge::core::plan::{is_settled, plan as plan_for};
use rolebridge::core::sweep::Sweep;
use serde_json::{Value, json};

use super::{Fleet, Table, mebibytes, support::INSTALLATION};

/// The argument that has this program do the work of [`plan`] and nothing else.
pub const ARGUMENT: &str = "--sweep-plan";
const NAMESPACE: &str = "team";

/// Measures it.
pub fn measure(table: &mut Table, fleet: &Fleet) -> Result<()> {
    let said = Command::new(std::env::current_exe()?).arg(ARGUMENT).output()?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let measured: Value = serde_json::from_slice(&said.stdout)?;
    let figure = |name: &str| measured[name].as_f64().with_context(|| format!("no {name} in {measured}"));
    let work = format!("plan of a sweep of {}", fleet.told());
    table.add(&work, "seconds, on one core", figure("seconds")?, None);
    table.add(&work, "peak memory of the process, MiB", figure("peak")?, fleet.memory);
    Ok(())
}

/// Holds what the operator holds of a fleet that is as declared, asks of each resource whether it is, and prints how long that took and how much
/// memory the process had.
pub fn plan(fleet: &Fleet) -> Result<()> {
    let names: Vec<String> = (0..fleet.accounts).map(|n| format!("account-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (stores, memory, deletions) = (stores(fleet, &names)?, Memory::default(), Deletions::default());
    let index = Index::new(stores.clone());
    note_all::<AWSAccount>(&index);
    note_all::<BastionUser>(&index);
    note_all::<CrossAccountRole>(&index);
    let home = Home::default();
    home.note(Ok(None));
    let world = Snapshot { index: &index, memory: &memory, deletions: &deletions, home: &home, installation: "bench" };
    let wanted = |account: &str| -> Result<Vec<Desired>> {
        let at = resolve_account(&world, account).map_err(|problem| anyhow!(problem.message))?;
        let texts = ConfigTexts::default();
        let users = stores.users.state().into_iter().filter(|user| user.spec.account_ref.name == account);
        let users = users.map(|user| desired_user(&world, &user, &at, &texts, INSTALLATION));
        let roles = stores.roles.state().into_iter().filter(|role| role.spec.account_ref.name == account);
        let roles = roles.map(|role| desired_role(&world, &role, &at, &texts, INSTALLATION));
        users.chain(roles).collect::<Result<_, _>>().map_err(|problems| anyhow!("{problems:?}"))
    };
    let (mut known_of, mut documents) = (HashMap::new(), SharedDocuments::default());
    for account in &names {
        for desired in wanted(account)? {
            let mut observed = made(&desired)?;
            observed.documents_mut().for_each(|document| documents.share(document));
            known_of.insert(desired.arn.clone(), observed);
        }
    }
    let mut seconds = 0.0;
    let mut settled = 0;
    for account in &names {
        let shown = wanted(account)?.iter().map(|desired| read_anew(&known_of[&desired.arn])).collect::<Result<Vec<_>>>()?;
        let sweep = Sweep::new(shown.into_iter().filter_map(|shown| shown.identity), []);
        let started = Instant::now();
        for desired in wanted(account)? {
            let known = &known_of[&desired.arn];
            let shown = sweep.of(&desired.identity.name, &desired.known_policies(), Some(known));
            let mut shown = shown.filter(|shown| is_settled(&desired, shown)).with_context(|| format!("{} is not as declared", desired.arn))?;
            shown.documents_mut().for_each(|document| documents.share(document));
            known_of.insert(desired.arn, shown);
            settled += 1;
        }
        seconds += started.elapsed().as_secs_f64();
    }
    ensure!(settled == fleet.users + fleet.roles, "{settled} resources");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    println!("{}", json!({"seconds": seconds, "peak": peak.map(|kibibytes| mebibytes(kibibytes * 1024))}));
    Ok(())
}

/// What AWS has after what is wanted was made.
fn made(desired: &Desired) -> Result<Observed> {
    let id = desired.pinned.clone().context("no unique ID")?;
    let mut observed = Observed::default();
    for action in plan_for(desired, &observed).map_err(|problems| anyhow!("{problems:?}"))?.actions {
        let receipt = if let Action::CreateIdentity(_) = &action { Receipt::Created(id.clone()) } else { Receipt::Done };
        observed.record(&action, &receipt);
    }
    Ok(observed)
}

/// The same, with documents of its own, as an answer of AWS has them.
fn read_anew(known: &Observed) -> Result<Observed> {
    let mut read = known.clone();
    for document in read.documents_mut() {
        *document = Document::parse(&document.to_json()).map_err(|problems| anyhow!("{problems:?}"))?;
    }
    Ok(read)
}

/// The fleet as the API server has it once all was made.
fn stores(fleet: &Fleet, names: &[&str]) -> Result<Stores> {
    let account = |n: usize| {
        let spec = json!({"accountID": format!("{:012}", 200_000_000_000 + n), "access": {"ambient": {}}, "allowedNamespaces": {"from": "All"}});
        json!({"metadata": {"name": names[n]}, "spec": spec})
    };
    let with_id = |prefix: &str, field: &str, mut object: Value, n: usize| {
        object["metadata"]["namespace"] = NAMESPACE.into();
        object["status"] = json!({field: format!("{prefix}{n:0>17}")});
        object
    };
    let accounts = store::<AWSAccount>((0..fleet.accounts).map(account))?;
    let users = store::<BastionUser>(fleet.users(names).enumerate().map(|(n, user)| with_id("AIDA", "userID", user, n)))?;
    let roles = store::<CrossAccountRole>(fleet.roles(names).enumerate().map(|(n, role)| with_id("AROA", "roleID", role, n)))?;
    Ok(Stores { accounts, users, roles, namespaces: reflector::store().0, config_maps: reflector::store().0 })
}

fn store<K>(objects: impl Iterator<Item = Value>) -> Result<Store<K>>
where
    K: Managed,
{
    let (store, mut writer) = reflector::store::<K>();
    writer.apply_watcher_event(&Event::Init);
    for mut object in objects {
        (object["apiVersion"], object["kind"]) = (K::api_version(&()).into(), K::KIND.into());
        object["metadata"]["uid"] = format!("{}-{}", K::KIND, object["metadata"]["name"]).into();
        object["metadata"]["finalizers"] = json!([FINALIZER]);
        writer.apply_watcher_event(&Event::InitApply(serde_json::from_value(object)?));
    }
    writer.apply_watcher_event(&Event::InitDone);
    Ok(store)
}

fn note_all<K: Kind>(index: &Index) {
    K::all(index.stores()).iter().for_each(|object| drop(index.applied(&**object)));
}
