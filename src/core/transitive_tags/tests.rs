use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::access::tests::Accounts;

/// A role of the namespace `data` with these sources.
fn role(name: &str, from: &[Value]) -> Value {
    json!({
        "apiVersion": "rolebridge.io/v1alpha1", "kind": "CrossAccountRole", "metadata": {"name": name, "namespace": "data"},
        "spec": {"accountRef": {"name": "prod"}, "trust": [{"from": from}]},
    })
}

fn pods(session_tags: bool) -> Value {
    let cluster = "arn:aws:eks:eu-central-1:222222222222:cluster/main";
    json!({"podIdentity": {"clusterARN": cluster, "namespace": "build", "name": "deployer", "sessionTags": session_tags}})
}

fn of(name: &str) -> Value {
    json!({"role": {"name": name}})
}

fn world(roles: &[Value]) -> Accounts {
    let roles = roles.iter().map(|role| Arc::new(serde_json::from_value(role.clone()).unwrap())).collect();
    Accounts { roles, ..Accounts::default() }
}

fn brings(world: &Accounts, name: &str) -> bool {
    brings_tags(world, &ObjectKey::new("data", name))
}

#[test]
fn statement_60_tags_come_along_a_chain_and_not_the_other_way() {
    let world = world(&[
        role("first", &[pods(true)]),
        role("second", &[of("first")]),
        role("third", &[of("absent"), of("second")]),
        role("other", &[of("people")]),
    ]);
    for name in ["first", "second", "third"] {
        assert!(brings(&world, name), "{name}");
    }
    for name in ["other", "people", "absent"] {
        assert!(!brings(&world, name), "{name}");
    }
}

#[test]
fn statement_60_associations_without_tags_bring_none() {
    let service = |require: Value| {
        let mut role = role("service", &[json!({"service": PODS})]);
        role["spec"]["trust"][0]["require"] = require;
        role
    };
    let world_of = |require| world(&[role("first", &[pods(false)]), role("second", &[of("first")]), service(require)]);
    let plain = world_of(json!({}));
    assert!(!brings(&plain, "first") && !brings(&plain, "second") && !brings(&plain, "service"));
    // Written as a service it may have tags only where the entry asks for some.
    assert!(brings(&world_of(json!({"conditions": {"StringLike": {"aws:RequestTag/kubernetes-namespace": "*"}}})), "service"));
}

#[test]
fn circles_end_and_what_is_too_far_away_brings_nothing() {
    let circle = world(&[role("a", &[of("b")]), role("b", &[of("a"), of("b")])]);
    assert!(!brings(&circle, "a"));
    let mut chain = vec![role("r0", &[pods(true)])];
    chain.extend((1..=MOST_HOPS + 1).map(|n| role(&format!("r{n}"), &[of(&format!("r{}", n - 1))])));
    let chain = world(&chain);
    assert!(brings(&chain, &format!("r{MOST_HOPS}")));
    assert!(!brings(&chain, &format!("r{}", MOST_HOPS + 1)));
    // However many a role names, no more are looked at than so many.
    let names: Vec<String> = (0..=MOST_FOLLOWED).map(|n| format!("n{n:03}")).collect();
    let mut many: Vec<Value> = names.iter().map(|name| role(name, &[])).collect();
    many[MOST_FOLLOWED] = role(&names[MOST_FOLLOWED], &[pods(true)]);
    many.push(role("all", &names.iter().map(|name| of(name)).collect::<Vec<_>>()));
    many.push(role("last", &[of(&names[MOST_FOLLOWED])]));
    let many = world(&many);
    assert!(!brings(&many, "all") && brings(&many, "last"));
}

#[test]
fn a_link_that_the_source_does_not_allow_brings_nothing() {
    let mut second = role("second", &[json!({"role": {"name": "first", "namespace": "platform", "podIdentityTarget": true}})]);
    let mut first = role("first", &[pods(true)]);
    first["metadata"]["namespace"] = json!("platform");
    assert!(!brings(&world(&[first.clone(), second.clone()]), "second"), "it would tell what others trust");
    first["spec"]["allowRolesFrom"] = json!({"from": "Names", "names": ["data"]});
    assert!(brings(&world(&[first.clone(), second.clone()]), "second"));
    let unsaid = role("second", &[json!({"role": {"name": "first", "namespace": "platform"}})]);
    assert!(!brings(&world(&[first, unsaid]), "second"), "who writes a role elsewhere does not decide which tags sessions have here");
    second["spec"]["trust"] = json!([]);
    assert!(!brings(&world(&[second]), "second"));
}

#[test]
fn only_the_tags_of_pods_come_along_and_those_that_are_asked_for() {
    let with = |require: Value| {
        let require: Require = serde_json::from_value(require).unwrap();
        with_pod_tags(Some(&require), Conditions::default())
    };
    let bounded = |more: &[&str]| {
        let keys = POD_TAGS.iter().chain(more).copied();
        let own = |made: Conditions, tag: &&str| {
            made.with("StringEqualsIfExists", &format!("aws:RequestTag/{tag}"), [format!("${{aws:PrincipalTag/{tag}}}")])
        };
        POD_TAGS.iter().fold(Conditions::default().with("ForAllValues:StringEquals", "aws:TagKeys", keys), own)
    };
    assert_eq!(with_pod_tags(None, Conditions::default()), bounded(&[]));
    assert_eq!(with(json!({"conditions": {"StringEquals": {"aws:RequestTag/team": "data"}}})), bounded(&["team"]));
    assert_eq!(with(json!({"conditions": {"ForAllValues:StringLike": {"AWS:TagKeys": "*"}}})), Conditions::default(), "it says it itself");
}
