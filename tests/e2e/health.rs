//! `/livez` and `/readyz` of the running operator: ready is who has listed everything and is not about to end; alive is who goes on. Both
//! are answered whoever else holds connections open.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rolebridge_testbed::{
    Operator, Seen, Siege, Testbed,
    aws_sim::{Fault, FaultKind},
    charts, http,
};

use crate::support::{World, bastion_user};

/// Waits until `/readyz` answers this status with a text that has this word.
async fn until_ready(world: &World, operator: &Operator, status: u16, word: &str) -> Result<String> {
    let what = format!("/readyz answers {status} with {word:?}");
    let asked = || async {
        let (seen, text) = operator.health("/readyz").await?;
        Ok(if seen == status && text.contains(word) { Seen::Done(text) } else { Seen::NotYet(format!("{seen} {text}")) })
    };
    world.testbed.wait_for(&what, asked).await
}

async fn ensure_alive(operator: &Operator) -> Result<()> {
    let (status, text) = operator.health("/livez").await?;
    ensure!(status == 200, "/livez answers {status}: {text}");
    Ok(())
}

async fn let_newcomer_follow(testbed: &Testbed, name: &str, resources: &str) -> Result<()> {
    testbed.kubectl(&["create", "clusterrole", name, "--verb=list,watch", &format!("--resource={resources}")]).await?;
    let (role, account) = (format!("--clusterrole={name}"), format!("--serviceaccount={}:newcomer", charts::NAMESPACE));
    testbed.kubectl(&["create", "clusterrolebinding", name, &role, &account]).await.map(drop)
}

#[tokio::test]
async fn ready_is_who_has_listed_every_kind_and_alive_is_who_waits_for_that() -> Result<()> {
    let world = World::own().await?;
    let testbed = &world.testbed;
    // A service account that may list everything but ConfigMaps and CrossAccountRoles.
    testbed.kubectl(&["create", "serviceaccount", "newcomer", "--namespace", charts::NAMESPACE]).await?;
    let_newcomer_follow(testbed, "most", "awsaccounts.rolebridge.io,bastionusers.rolebridge.io,namespaces").await?;
    let token = testbed.control_plane.service_account_token(charts::NAMESPACE, "newcomer").await?;
    let kubeconfig = testbed.control_plane.kubeconfig_for_token("newcomer", &token)?;
    let environment: [(&str, &str); 0] = [];
    let operator = testbed.operator(Path::new(env!("CARGO_BIN_EXE_rolebridge")), &kubeconfig, &environment, &["run", "--installation", "health"])?;

    until_ready(&world, &operator, 503, "not listed yet: ConfigMap, CrossAccountRole\n").await?;
    ensure_alive(&operator).await?;
    ensure!(operator.health("/metrics").await?.0 == 404);

    let_newcomer_follow(testbed, "rest", "crossaccountroles.rolebridge.io,configmaps").await?;
    until_ready(&world, &operator, 200, "ok").await?;
    ensure_alive(&operator).await?;
    let ended = operator.terminate().await?;
    ensure!(ended.code() == Some(0), "{ended}; {}", operator.log());
    Ok(())
}

#[tokio::test]
async fn who_is_asked_to_stop_is_no_longer_ready_while_it_finishes() -> Result<()> {
    let world = World::own().await?;
    let operator = world.operator()?;
    let tenant = world.tenant().await?;
    let utils = tenant.ready_account("utils", "").await?;
    until_ready(&world, &operator, 200, "ok").await?;
    let held = world.testbed.aws.inject(&Fault::of(FaultKind::Hold, "CreateUser").in_account(&utils.id)).await?;
    tenant.apply(&bastion_user("alice", &utils, "")).await?;
    world
        .testbed
        .wait_for("the creation of the user is held", || async {
            let faults = world.testbed.aws.faults().await?;
            Ok(Seen::from_option(faults.iter().any(|fault| fault.id == held && fault.held > 0).then_some(()), || format!("{faults:?}")))
        })
        .await?;

    let finishing = async {
        until_ready(&world, &operator, 503, "stopping").await?;
        ensure_alive(&operator).await?;
        world.testbed.aws.release(held).await
    };
    let (ended, finished) = tokio::join!(operator.terminate(), finishing);
    finished?;
    let ended = ended?;
    ensure!(ended.code() == Some(0), "{ended}; {}", operator.log());
    ensure!(tenant.state(&utils).await?.users.iter().any(|user| user["userName"] == "alice"), "what was under way was done");
    Ok(())
}

/// Probes as a kubelet does that is in a hurry: each must be answered within the second that a probe has by default.
async fn probe_for_a_while(operator: &Operator) -> Result<()> {
    let address = operator.health_address().await?;
    for number in 0..30 {
        for path in ["/livez", "/readyz"] {
            let asked = tokio::time::timeout(Duration::from_secs(1), async { http::ask(&format!("http://{address}{path}")).await });
            let (status, text) = asked.await.with_context(|| format!("{path} was not answered to probe {number}"))??;
            ensure!(status == 200, "{path} answers {status} to probe {number}: {text}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_thousand_that_hold_connections_stop_neither_probes_nor_work() -> Result<()> {
    let world = World::own().await?;
    let operator = world.operator()?;
    let tenant = world.tenant().await?;
    let utils = tenant.ready_account("utils", "").await?;
    let before = tenant.state(&utils).await?;
    until_ready(&world, &operator, 200, "ok").await?;
    let _siege = Siege::lay(operator.health_address().await?).await?;
    let work = async {
        tenant.apply(&bastion_user("alice", &utils, "")).await?;
        tenant.ready(&tenant.users(), "alice").await?;
        tenant.delete(&["bastionuser/alice"]).await
    };
    tokio::try_join!(probe_for_a_while(&operator), work)?;
    assert_eq!(tenant.state(&utils).await?, before);
    operator.ensure_running()
}

#[tokio::test]
async fn who_takes_all_file_descriptors_stops_no_probe_and_work_goes_on_afterwards() -> Result<()> {
    let world = World::own().await?;
    let operator = world.operator_with_files(128)?;
    let tenant = world.tenant().await?;
    let utils = tenant.ready_account("utils", "").await?;
    until_ready(&world, &operator, 200, "ok").await?;
    let siege = Siege::lay(operator.health_address().await?).await?;
    probe_for_a_while(&operator).await?;
    ensure!(operator.log().contains("was not accepted"), "there were enough file descriptors: the test says nothing");
    drop(siege);
    tenant.apply(&bastion_user("alice", &utils, "")).await?;
    tenant.ready(&tenant.users(), "alice").await?;
    operator.ensure_running()
}
