//! Whose turn it is, counted in calls: how many of another namespace come before those of a single resource.

use std::collections::BTreeMap;
use std::time::Duration;

use rolebridge_simulation::acts::Act;
use rolebridge_simulation::schedule::{Schedule, Step, Strikes};
use rolebridge_simulation::simulate::carry_out;
use serde_json::{Value, json};

/// Resources of the busy namespace.
const OBJECTS: usize = 150;
/// `spec.limits` of the account.
const BURST: usize = 10;
const CONCURRENCY: usize = 8;
/// The most foreign calls that come before the first of a single resource: what is under way, and what the account has saved for a burst.
const FOREIGN: usize = BURST + CONCURRENCY;

fn account() -> Value {
    let limits = json!({"requestsPerSecond": 10, "burst": BURST, "concurrency": CONCURRENCY});
    let spec = json!({
        "accountID": "222222222222", "access": {"ambient": {}}, "allowedNamespaces": {"from": "All"}, "limits": limits,
        "guardrails": {"quotas": {"roles": 2000}},
    });
    json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "AWSAccount", "metadata": {"name": "prod"}, "spec": spec})
}

fn role(namespace: &str, name: &str) -> Value {
    let spec = json!({"accountRef": {"name": "prod"}, "trust": []});
    json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "CrossAccountRole", "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

fn applied(manifest: Value) -> Act {
    Act::Apply(Box::new(manifest))
}

fn at(seconds: u64, act: Act) -> Step {
    Step { after: Duration::from_secs(seconds), act }
}

#[test]
fn a_single_resource_waits_for_few_calls_of_a_namespace_with_many() {
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let mut steps: Vec<Step> = [namespace("data"), namespace("team"), account()].into_iter().map(|manifest| at(0, applied(manifest))).collect();
    steps.push(at(5, Act::Wait));
    steps.extend((0..OBJECTS).map(|n| at(0, applied(role("data", &format!("busy-{n}"))))));
    steps.push(at(2, applied(role("team", "single"))));
    let schedule = Schedule { seed: 1, steps, strikes: Strikes::Listed(BTreeMap::new()), lag: Duration::ZERO, strangers: 0 };
    let outcome = carry_out(&schedule, true);
    assert!(outcome.violation.is_none(), "{:?}", outcome.violation);
    let place = |wanted: &str| outcome.lines.iter().position(|line| line.contains(wanted)).unwrap_or_else(|| panic!("no {wanted}"));
    let (declared, made) = (place("applies CrossAccountRole team/single"), place("\"create role single in"));
    let creates = |lines: &[String]| lines.iter().filter(|line| line.contains("\"create role busy-")).count();
    let (before, between, after) = (creates(&outcome.lines[..declared]), creates(&outcome.lines[declared..made]), creates(&outcome.lines[made..]));
    println!("{between} foreign calls between, {before} before and {after} after");
    assert!(before > 0 && after > OBJECTS / 2, "the others are at work: {before} before, {after} after");
    assert!(between <= FOREIGN, "{between} foreign calls came before the one of a single resource");
}
