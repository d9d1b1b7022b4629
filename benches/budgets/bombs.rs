//! What a tenant's worst objects cost the operator in memory: its peak with each of them, as a multiple of its peak without.

use std::time::Duration;

use anyhow::{Context, Result};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, PostParams};
use rolebridge::api::{BastionUser, CrossAccountRole};
use serde_json::{Value, json};

use super::support::World;
use super::{Table, WIDE, all_ready, create, is_ready};

const USERS: usize = 200;
const ROLES: usize = 200;
/// Of its peak without the object.
const BUDGET: f64 = 1.3;

/// A role's spec without its account, and what Ready says of it.
type Bomb = (&'static str, fn() -> Value, &'static str);

const BOMBS: [Bomb; 3] = [
    ("a policy of 1.3 MB of small objects", small_objects, "InvalidDocument"),
    ("32 entries that each select the same 200 users", selectors, "TooManyGrants"),
    ("3200 sources by name", names, "TooManyGrants"),
];

fn small_objects() -> Value {
    let statements = vec![json!({"a": {}}); 150_000];
    let document = json!({"Version": "2012-10-17", "Statement": statements});
    json!({"trust": [], "permissions": {"inlinePolicies": [{"name": "p", "document": document}]}})
}

fn selectors() -> Value {
    let selector = json!({"users": {"selector": {"matchLabels": {"team": "data"}}}});
    let entry = |n: usize| json!({"from": [selector], "require": {"externalID": format!("id-{n}")}});
    json!({"trust": (0..32).map(entry).collect::<Vec<_>>()})
}

fn names() -> Value {
    let user = |n: usize| json!({"user": {"name": format!("user-{n}")}});
    json!({"trust": vec![json!({"from": (0..100).map(user).collect::<Vec<_>>()}); 32]})
}

/// Measures each of them beside a small fleet that is Ready.
pub async fn measure(table: &mut Table) -> Result<()> {
    for (bomb, spec, reason) in BOMBS {
        let world = World::own().await?;
        let operator = world.operator_that_logs("warn")?;
        let team = world.tenant().await?;
        let (utils, prod) = (team.ready_account("utils", WIDE).await?, team.ready_account("prod", WIDE).await?);
        let users = (0..USERS)
            .map(|n| json!({"metadata": {"name": format!("user-{n}"), "labels": {"team": "data"}}, "spec": {"accountRef": {"name": utils.name}}}));
        create::<BastionUser>(&team.users(), users).await?;
        let roles = (0..ROLES).map(|n| {
            let from = json!([{"user": {"name": format!("user-{n}")}}]);
            json!({"metadata": {"name": format!("role-{n}")}, "spec": {"accountRef": {"name": prod.name}, "trust": [{"from": from}]}})
        });
        create::<CrossAccountRole>(&team.roles(), roles).await?;
        all_ready(&team.roles(), "every role is Ready", is_ready, ROLES).await?;
        all_ready(&team.users(), "every user is Ready", is_ready, USERS).await?;
        let before = operator.peak_rss().context("no operator")? as f64;
        let mut spec = spec();
        spec["accountRef"] = json!({"name": prod.name});
        let object = json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "CrossAccountRole", "metadata": {"name": "bomb"}, "spec": spec});
        let objects: Api<DynamicObject> = Api::namespaced_with(team.client.clone(), &team.namespace, &ApiResource::erase::<CrossAccountRole>(&()));
        objects.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        team.concluded(&team.roles(), "bomb", reason).await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let after = operator.peak_rss().context("no operator")? as f64;
        println!("{bomb}: {:.1} and {:.1} MiB", super::mebibytes(before as u64), super::mebibytes(after as u64));
        table.add(bomb, "peak memory, as a multiple", after / before, Some(BUDGET));
    }
    Ok(())
}
