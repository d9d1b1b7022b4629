//! The testbed starts, answers, counts writes, and leaves nothing behind however it ends.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{Api, api::PostParams};
use rolebridge_testbed::{
    ControlPlane, ControlPlaneOptions, Operator, Sandbox, Seen, Write, command::output, control_plane::ADMIN, run, wait_for, wait_for_absence,
};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

fn config_map(name: &str) -> Result<ConfigMap> {
    Ok(serde_json::from_value(json!({"metadata": {"name": name}, "data": {"key": "value"}}))?)
}

/// The processes that have `dir` in their command line or environment: everything that a sandbox of this folder started.
fn processes_of(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| name.parse::<u32>().is_ok());
    let mentions = |pid: &String| {
        ["cmdline", "environ"].iter().any(|file| {
            let content = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&content).contains(&*dir.to_string_lossy())
        })
    };
    pids.filter(mentions).collect()
}

async fn nothing_left(dir: &Path) -> Result<()> {
    wait_for("the folder and the processes are gone", || async {
        let processes = processes_of(dir);
        let gone = !dir.exists() && processes.is_empty();
        Ok(Seen::from_option(gone.then_some(()), || format!("folder exists: {}, processes {processes:?}", dir.exists())))
    })
    .await
}

#[tokio::test]
async fn control_plane_serves_audits_restarts_and_vanishes() -> Result<()> {
    let control_plane = ControlPlane::start(ControlPlaneOptions::default()).await?;
    let dir = control_plane.kubeconfig().parent().and_then(Path::parent).context("the sandbox's folder")?.to_path_buf();
    ensure!(!processes_of(&dir).is_empty(), "this test would not see a process that is left");

    let mut version = control_plane.kubectl();
    version.args(["version", "--output", "json"]);
    let version: serde_json::Value = serde_json::from_str(&run(version).await?)?;
    assert_eq!(version["serverVersion"]["gitVersion"], version["clientVersion"]["gitVersion"], "{version}");

    // Every write is in the audit log once, with its author; a dry run is not a write.
    let config_maps: Api<ConfigMap> = Api::namespaced(control_plane.client().await?, "default");
    config_maps.create(&PostParams { dry_run: true, ..Default::default() }, &config_map("dry")?).await?;
    config_maps.create(&PostParams::default(), &config_map("first")?).await?;
    let refused = config_maps.create(&PostParams::default(), &config_map("first")?).await;
    ensure!(refused.is_err(), "the same name twice");
    let write = |user: &str, code| Write {
        user: user.to_owned(),
        verb: "create".to_owned(),
        group: String::new(),
        resource: "configmaps".to_owned(),
        subresource: String::new(),
        namespace: "default".to_owned(),
        name: "first".to_owned(),
        code,
        answered_at: String::new(),
    };
    let writes: Vec<Write> = control_plane.writes().await?.into_iter().filter(|write| write.namespace == "default").collect();
    ensure!(
        writes.is_sorted_by_key(|write| write.answered_at.clone()) && writes.iter().all(|write| write.answered_at.starts_with("20")),
        "{writes:?}"
    );
    let known: Vec<Write> = writes.into_iter().map(|write| Write { answered_at: String::new(), ..write }).collect();
    assert_eq!(known, [write(ADMIN, 201), write(ADMIN, 409)]);

    // A service account's token authenticates as that account, which has no rights of its own.
    let mut create = control_plane.kubectl();
    create.args(["create", "serviceaccount", "robot"]);
    run(create).await?;
    let token = control_plane.service_account_token("default", "robot").await?;
    let mut forbidden = control_plane.kubectl();
    forbidden.env("KUBECONFIG", control_plane.kubeconfig_for_token("robot", &token)?).args(["get", "configmaps"]);
    let answer = output(forbidden, None).await?;
    let message = String::from_utf8_lossy(&answer.stderr).into_owned();
    ensure!(message.contains("system:serviceaccount:default:robot"), "{message}");

    // The API server comes back on its port with its data, and old credentials stay good.
    control_plane.stop_api_server();
    ensure!(config_maps.get("first").await.is_err(), "the API server still answers");
    control_plane.start_api_server().await?;
    config_maps.get("first").await?;

    drop(control_plane);
    ensure!(!dir.exists(), "{} is still there after drop", dir.display());
    nothing_left(&dir).await
}

#[tokio::test]
async fn controller_manager_deletes_namespaces_and_collects_garbage() -> Result<()> {
    let control_plane = ControlPlane::start(ControlPlaneOptions { controller_manager: true }).await?;
    let client = control_plane.client().await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "short-lived"}}))?;
    namespaces.create(&PostParams::default(), &namespace).await?;
    let config_maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let owner = config_maps.create(&PostParams::default(), &config_map("owner")?).await?;
    let mut owned = config_map("owned")?;
    owned.metadata.owner_references =
        Some(vec![serde_json::from_value(json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid}))?]);
    config_maps.create(&PostParams::default(), &owned).await?;

    namespaces.delete("short-lived", &Default::default()).await?;
    config_maps.delete("owner", &Default::default()).await?;
    wait_for_absence(&namespaces, "short-lived").await?;
    wait_for_absence(&config_maps, "owned").await
}

#[tokio::test]
async fn nothing_survives_the_kill_of_the_owner() -> Result<()> {
    let mut owner = tokio::process::Command::new(env!("CARGO_BIN_EXE_testbed"))
        .args(["up", "--without-aws"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(owner.stdout.take().context("no output")?).lines();
    let mut kubeconfig = None;
    while let Some(line) = lines.next_line().await? {
        if let Some(path) = line.strip_prefix("export KUBECONFIG=") {
            kubeconfig = Some(PathBuf::from(path));
        }
        if line.starts_with("# ready") {
            break;
        }
    }
    let kubeconfig = kubeconfig.context("`testbed up` printed no KUBECONFIG")?;
    let dir = kubeconfig.parent().and_then(Path::parent).context("the sandbox's folder")?;
    ensure!(!processes_of(dir).is_empty(), "this test would not see a process that is left");
    owner.kill().await?;
    nothing_left(dir).await
}

#[tokio::test]
async fn a_server_that_ends_early_says_why() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let mut command = sandbox.command("sh");
    command.args(["-c", "echo the reason; exit 3"]);
    let server = sandbox.spawn("failing", command)?;
    let error = wait_for("the end", || async {
        Ok(server.ensure_running().err().map_or_else(|| Seen::NotYet("running".to_owned()), |error| Seen::Done(error.to_string())))
    })
    .await?;
    ensure!(error.contains("exit status: 3") && error.contains("the reason"), "{error}");
    Ok(())
}

#[tokio::test]
async fn an_operator_has_a_clean_environment_and_ends_on_request() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let script = "env; trap 'echo asked to end; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let operator = Operator::start(&sandbox, Path::new("/bin/sh"), Path::new("/some/kubeconfig"), &[("EXTRA", "1")], &["-c", script])?;
    wait_for("the operator is ready", || async {
        operator.ensure_running()?;
        Ok(Seen::from_option(operator.log().contains("ready").then_some(()), || operator.log()))
    })
    .await?;
    let log = operator.log();
    ensure!(log.contains("KUBECONFIG=/some/kubeconfig") && log.contains("EXTRA=1"), "{log}");
    ensure!(std::env::var_os("CARGO_MANIFEST_DIR").is_some() && !log.contains("CARGO"), "{log}");
    assert_eq!(operator.terminate().await?.code(), Some(7));
    ensure!(operator.log().contains("asked to end"), "{}", operator.log());
    Ok(())
}
