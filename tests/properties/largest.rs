//! Plans over the largest policies that IAM takes, written so that comparing them costs as much as it can: a tenant chooses what they say.

use std::collections::BTreeMap;
use std::time::Instant;

use rolebridge::api::Reason;
use rolebridge::api::permissions::Unmanaged;
use rolebridge::core::desired::Desired;
use rolebridge::core::document::Document;
use rolebridge::core::identity::{Identity, ManagedPolicy};
use rolebridge::core::names::{Arn, Path};
use rolebridge::core::observed::{Observed, ObservedIdentity, ObservedPolicy};
use rolebridge::core::placement::resolve_account;
use rolebridge::core::plan::plan;
use rolebridge::core::quotas::Quotas;
use rolebridge::core::sources::Sources;
use rolebridge::core::world::{ObjectKey, World};
use serde_json::{Value, json};

use super::permissions::role;
use super::support_core::{Cluster, NAMESPACE, document, id, unique_id};
use super::{ROLE_ID, managed_arn};

/// The statements of one policy: the statement of each number.
type Statement = fn(usize) -> Value;

/// Several shapes; each statement differs from the others by its number.
const SHAPES: [(&str, Statement); 7] = [
    ("short statements", |n| json!({"Effect": effect(n), "Action": format!("a:{n}"), "Resource": "*"})),
    ("open statements", |n| json!({"Effect": effect(n), "Action": format!("a:*{n}*"), "Resource": format!("*{n}*")})),
    ("all but some", |n| json!({"Effect": effect(n), "NotAction": format!("a:{n}*"), "NotResource": format!("*{n}")})),
    ("many actions", |n| json!({"Effect": effect(n), "Action": numbered("a:", n, ""), "Resource": "*"})),
    ("many open actions", |n| json!({"Effect": effect(n), "Action": numbered("a:*", n, "*"), "Resource": "*"})),
    ("many of both", |n| json!({"Effect": effect(n), "Action": numbered("a:", n, "*"), "Resource": numbered("a", n, "*")})),
    ("long patterns", |n| json!({"Effect": effect(n), "Action": "*", "Resource": format!("{}{n}", "*a".repeat(100))})),
];

/// Some patterns that no other statement has.
fn numbered(before: &str, statement: usize, after: &str) -> Vec<String> {
    (0..20).map(|number| format!("{before}{}{after}", statement * 20 + number)).collect()
}

fn effect(number: usize) -> &'static str {
    if number.is_multiple_of(2) { "Allow" } else { "Deny" }
}

/// A document of about so many characters, and no more; the statements are counted from a number on.
fn largest(shape: Statement, from: usize, size: usize) -> Document {
    let around = json!({"Version": "2012-10-17", "Statement": []}).to_string().len();
    let larger = |taken: &mut usize, statement: Value| {
        *taken += 1 + statement.to_string().len();
        Some(statement).filter(|_| *taken <= size)
    };
    let statements: Vec<Value> = (from..).map(shape).scan(around, larger).collect();
    document(&json!({"Version": "2012-10-17", "Statement": statements}))
}

struct Largest {
    desired: Desired,
    observed: Observed,
}

/// A role whose policies say something else throughout.
fn change(shape: Statement, inline: usize, managed: usize) -> Largest {
    let mut desired = role();
    desired.quotas = Quotas { attached_policies_per_role: 25, ..Quotas::default() };
    desired.unmanaged = Some(Unmanaged::Remove);
    let with = |offset: usize, desired: &Desired| {
        let mut identity: Identity = desired.identity.clone();
        let size = 10_240 / inline;
        // What is there has other names by half.
        let name = |n: usize| format!("policy-{}", if n.is_multiple_of(2) { n } else { n + offset }).parse().expect("a name");
        identity.inline_policies = (0..inline).map(|n| (name(n), largest(shape, n * 10 + offset, size))).collect();
        let policy = |n: usize| ManagedPolicy {
            arn: managed_arn(&format!("managed-{n}")),
            name: format!("managed-{n}").parse().expect("a name"),
            path: Path::root(),
            description: String::new(),
            document: largest(shape, n * 10 + offset, 6144),
            tags: desired.owner.tags(),
        };
        let policies: BTreeMap<Arn, ManagedPolicy> = (0..managed).map(policy).map(|policy| (policy.arn.clone(), policy)).collect();
        identity.attached_policies = policies.keys().cloned().collect();
        (identity, policies)
    };
    let (identity, policies) = with(1001, &desired);
    let observed = |policy: ManagedPolicy| ObservedPolicy {
        id: id(&unique_id("ANPA", policy.name.as_str())),
        policy,
        default_version: "v1".into(),
        other_versions: vec![],
    };
    let there = Observed {
        identity: Some(ObservedIdentity { id: id(ROLE_ID), identity }),
        policies: policies.into_iter().map(|(arn, policy)| (arn, observed(policy))).collect(),
        ..Observed::default()
    };
    let (identity, policies) = with(0, &desired);
    desired.identity = identity;
    desired.policies = policies;
    Largest { desired, observed: there }
}

/// How long each takes is printed; where comparing was not bounded, the larger ones would not end within a day.
#[test]
fn the_largest_policies_are_planned_in_bounded_time() {
    for (what, shape) in SHAPES {
        for (inline, managed) in [(1, 10), (25, 25)] {
            let Largest { desired, observed } = change(shape, inline, managed);
            let begin = Instant::now();
            let planned = plan(&desired, &observed);
            let actions = planned.as_ref().map_or(0, |plan| plan.actions.len());
            println!("{what}, {inline} inline and {managed} managed policies: {actions} actions after {:?}", begin.elapsed());
            if let Err(problems) = planned {
                assert!(problems.iter().all(|problem| problem.reason == Reason::QuotaExceeded), "{problems:?}");
            }
        }
    }
}

/// Whoever may write a role may select the same users thousands of times.
#[test]
fn users_that_are_selected_again_and_again_are_one_grant() {
    let mut cluster = Cluster::classic();
    for n in 0..200 {
        cluster.apply(json!({"kind": "BastionUser", "metadata": {"name": format!("user-{n}"), "labels": {"team": "data"}}, "spec": {"accountRef": {"name": "utils"}}}));
    }
    let selector = json!({"users": {"selector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}}});
    let trust: Vec<Value> = (0..32).map(|_| json!({"from": vec![selector.clone(); 100]})).collect();
    cluster.apply(json!({"kind": "CrossAccountRole", "metadata": {"name": "reader"}, "spec": {"accountRef": {"name": "prod"}, "trust": trust}}));
    let at = resolve_account(&cluster, "prod").expect("it is there");
    let role = cluster.role(&ObjectKey::new(NAMESPACE, "reader")).expect("it is there");
    let grants = Sources::of(&cluster, &role).grants(&at);
    assert_eq!(grants.iter().map(Vec::len).sum::<usize>(), 200, "all entries ask the same");
}
