//! What is not there yet is waited for: by a watch, not a timer, and without calling anything a failure that heals by itself.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use kube::{Api, api::WatchParams, core::WatchEvent};
use rolebridge::api::Managed;
use rolebridge_testbed::aws_sim::Settings;

use crate::support::{World, assert_told, bastion_user, condition, cross_account_role, new_key};

const ALICE: &str = "{user: {name: alice}}";

/// The operators of these tests look at everything again once an hour: what becomes Ready earlier was woken by a watch.
#[tokio::test]
async fn row_34_a_role_waits_for_its_user_and_is_woken_by_it() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    tenant.apply(&cross_account_role("reader", &prod, ALICE, "")).await?;
    let waiting = tenant.concluded(&tenant.roles(), "reader", "SourceNotFound").await?;
    assert_told(&waiting, "Reconciling", &[&format!("BastionUser {}/alice", tenant.namespace), "create it, or take it out of spec.trust"]);
    assert_eq!(condition(&waiting, "ReferencesResolved").map(|condition| condition.status.as_str()), Some("False"));
    let calls = world.calls_in(&prod, 0).await?;
    ensure!(calls.is_empty(), "{calls:#?}");

    tenant.apply(&bastion_user("alice", &utils, "")).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    ensure!(world.may_assume(&new_key(&utils.iam, "alice").await?, &prod.arn("role/reader")).await?);
    Ok(())
}

/// Every reason that an object's condition Stalled ever had, as the API server tells it to those who watch.
fn record_stalled<K: Managed>(api: Api<K>) -> Arc<Mutex<Vec<String>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = seen.clone();
    tokio::spawn(async move {
        let mut version = "0".to_owned();
        loop {
            let Ok(events) = api.watch(&WatchParams::default(), &version).await else { return };
            let mut events = std::pin::pin!(events);
            while let Ok(Some(WatchEvent::Added(object) | WatchEvent::Modified(object))) = events.try_next().await {
                version = object.meta().resource_version.clone().unwrap_or_default();
                if let Some(stalled) = condition(&object, "Stalled").filter(|stalled| stalled.status == "True") {
                    record.lock().expect("nobody panics with it").push(format!("{}: {}", stalled.reason, stalled.message));
                }
            }
        }
    });
    seen
}

#[tokio::test]
async fn a_propagation_delay_is_never_told_as_a_failure() -> Result<()> {
    let world = World::own().await?;
    let operator = world.operator()?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    world.testbed.aws.set(Settings { propagation_delay_ms: Some(3_000), ..Settings::default() }).await?;
    let (users, roles) = (record_stalled(tenant.users()), record_stalled(tenant.roles()));

    let permissions = "permissions: {customerManagedPolicies: [{name: list, json: '{\"Version\": \"2012-10-17\", \
                       \"Statement\": {\"Effect\": \"Allow\", \"Action\": \"s3:ListAllMyBuckets\", \"Resource\": \"*\"}}'}]}";
    tenant.apply(&cross_account_role("reader", &prod, ALICE, permissions)).await?;
    tenant.concluded(&tenant.roles(), "reader", "SourceNotFound").await?;
    tenant.apply(&bastion_user("alice", &utils, "")).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    tenant.ready(&tenant.users(), "alice").await?;
    operator.ensure_running()?;
    // The simulator did refuse the principal that it did not know yet; otherwise this would show nothing.
    let refused = world.testbed.aws.calls(0).await?.into_iter().any(|call| call.code.as_deref() == Some("MalformedPolicyDocument"));
    ensure!(refused, "the delay was not felt");
    for seen in [users, roles] {
        let seen = seen.lock().expect("nobody panics with it").clone();
        ensure!(seen.is_empty(), "Stalled was told: {seen:?}");
    }

    let key = new_key(&utils.iam, "alice").await.context("a key")?;
    world
        .testbed
        .wait_for("the user may assume the role", || async {
            let may = world.may_assume(&key, &prod.arn("role/reader")).await?;
            Ok(rolebridge_testbed::Seen::from_option(may.then_some(()), || "denied".to_owned()))
        })
        .await
}
