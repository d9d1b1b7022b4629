//! What is not there yet is waited for: by a watch, not a timer, and without calling anything a failure that heals by itself.

use std::sync::Arc;

use anyhow::{Result, ensure};
use futures::TryStreamExt;
use kube::{Api, api::WatchParams, core::WatchEvent};
use rolebridge::api::Managed;
use rolebridge_testbed::{Seen, aws_sim::Settings};
use tokio::sync::Mutex;

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
    assert_told(&waiting, "Reconciling", &[&format!("BastionUser {}/alice", tenant.namespace), "create it, or take it out of spec.trust"])?;
    assert_eq!(condition(&waiting, "ReferencesResolved").map(|condition| condition.status.as_str()), Some("False"));
    let calls = world.calls_in(&prod, 0).await?;
    ensure!(calls.is_empty(), "{calls:#?}");

    tenant.apply(&bastion_user("alice", &utils, "")).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    ensure!(world.may_assume(&new_key(&utils.iam, "alice").await?, &prod.arn("role/reader")).await?);
    Ok(())
}

/// What an object's conditions Ready and Stalled have said so far: the reason, and the message where Stalled was True.
pub type History = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// Everything that the objects of a kind are told from now on until one is deleted, as the API server tells it to those who watch.
pub fn record<K: Managed>(api: Api<K>) -> History {
    record_watch(api, WatchParams::default())
}

/// The same, of the object of this name.
pub fn record_one<K: Managed>(api: Api<K>, name: &str) -> History {
    record_watch(api, WatchParams::default().fields(&format!("metadata.name={name}")))
}

fn record_watch<K: Managed>(api: Api<K>, parameters: WatchParams) -> History {
    let history = History::default();
    let record = history.clone();
    tokio::spawn(async move {
        let mut version = "0".to_owned();
        while let Ok(events) = api.watch(&parameters, &version).await {
            let mut events = std::pin::pin!(events);
            while let Ok(Some(event)) = events.try_next().await {
                let object = match event {
                    WatchEvent::Added(object) | WatchEvent::Modified(object) => object,
                    WatchEvent::Deleted(_) => return,
                    WatchEvent::Bookmark(_) | WatchEvent::Error(_) => break,
                };
                version = object.meta().resource_version.clone().unwrap_or_default();
                let stalled = condition(&object, "Stalled").filter(|stalled| stalled.status == "True").map(|stalled| stalled.message.clone());
                let reason = condition(&object, "Ready").map(|ready| ready.reason.clone());
                record.lock().await.push((reason.unwrap_or_default(), stalled));
            }
        }
    });
    history
}

/// Asserts that the history has come to Ready, so that it is complete, and that nothing in it was Stalled.
async fn assert_never_stalled(world: &World, history: &History) -> Result<()> {
    world
        .testbed
        .wait_for("the watch has brought Ready", || async {
            let seen = history.lock().await.clone();
            Ok(Seen::from_option(seen.iter().any(|(reason, _)| reason == "Ready").then_some(()), || format!("{seen:?}")))
        })
        .await?;
    let stalled: Vec<_> = history.lock().await.iter().filter(|(_, stalled)| stalled.is_some()).cloned().collect();
    ensure!(stalled.is_empty(), "{stalled:#?}");
    Ok(())
}

#[tokio::test]
async fn statements_1_and_2_and_3_a_propagation_delay_is_never_told_as_a_failure() -> Result<()> {
    let world = World::own().await?;
    let operator = world.operator()?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    world.testbed.aws.set(Settings { propagation_delay_ms: Some(3_000), ..Settings::default() }).await?;
    let (users, roles) = (record(tenant.users()), record(tenant.roles()));

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
    assert_never_stalled(&world, &users).await?;
    assert_never_stalled(&world, &roles).await?;

    let key = new_key(&utils.iam, "alice").await?;
    world
        .testbed
        .wait_for("the user may assume the role", || async {
            let may = world.may_assume(&key, &prod.arn("role/reader")).await?;
            Ok(Seen::from_option(may.then_some(()), || "denied".to_owned()))
        })
        .await
}
