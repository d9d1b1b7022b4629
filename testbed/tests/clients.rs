//! The clients that people use work against the testbed as they are: kubectl with kustomize, Helm, the AWS CLI.

use std::fs;

use anyhow::{Context, Result, ensure};
use rolebridge_testbed::{
    Credentials, Testbed, TestbedOptions,
    aws_sim::{Fault, Settings},
    command::output,
    run,
};
use serde_json::Value;

#[tokio::test]
async fn kustomize_and_helm_install() -> Result<()> {
    let testbed = Testbed::start(TestbedOptions::default()).await?;

    let overlay = testbed.dir().join("overlay");
    fs::create_dir(&overlay)?;
    fs::write(
        overlay.join("kustomization.yaml"),
        "configMapGenerator:\n- name: from-kustomize\n  literals: [key=value]\ngeneratorOptions: {disableNameSuffixHash: true}\n",
    )?;
    testbed.kubectl(&["apply", "-k", &overlay.to_string_lossy()]).await?;
    assert_eq!(testbed.kubectl(&["get", "configmap", "from-kustomize", "-o", "jsonpath={.data.key}"]).await?, "value");

    let chart = testbed.dir().join("chart");
    fs::create_dir_all(chart.join("templates"))?;
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: sample\nversion: 1.0.0\n")?;
    fs::write(
        chart.join("templates/config.yaml"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: from-helm}\ndata: {release: {{ .Release.Name }}}\n",
    )?;
    let mut install = testbed.control_plane.helm().await?;
    install.args(["install", "first"]).arg(&chart);
    run(install).await?;
    assert_eq!(testbed.kubectl(&["get", "configmap", "from-helm", "-o", "jsonpath={.data.release}"]).await?, "first");

    let applied = testbed.kubectl_apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: from-apply}}").await?;
    ensure!(applied.contains("configmap/from-apply created"), "{applied}");
    Ok(())
}

async fn aws(testbed: &Testbed, credentials: &Credentials, args: &[&str]) -> Result<Value> {
    let mut command = testbed.aws.aws_cli(credentials).await?;
    command.args(args);
    let text = run(command).await?;
    Ok(if text.trim().is_empty() { Value::Null } else { serde_json::from_str(&text)? })
}

#[tokio::test]
async fn aws_cli_works_and_the_simulator_can_be_watched_and_disturbed() -> Result<()> {
    let testbed = Testbed::start(TestbedOptions::default()).await?;
    let account = "111111111111";
    let administrator = testbed.aws.account(account).await?;
    assert_eq!(testbed.aws.account(account).await?, administrator, "a second time gives the same key");

    let identity = aws(&testbed, &administrator, &["sts", "get-caller-identity"]).await?;
    assert_eq!(identity["Arn"], "arn:aws:iam::111111111111:user/administrator");

    // Whoever has a wrong secret is refused: the simulator checks signatures.
    let mut forged = testbed.aws.aws_cli(&Credentials::new(&administrator.access_key_id, "wrong", None)).await?;
    forged.args(["sts", "get-caller-identity"]);
    let refused = output(forged, None).await?;
    ensure!(!refused.status.success(), "a forged signature was accepted");

    testbed.aws.clear_calls().await?;
    let fault = testbed.aws.inject(&Fault::error("CreateUser", "ServiceFailure", 500).in_account(account)).await?;
    aws(&testbed, &administrator, &["iam", "create-user", "--user-name", "alice"]).await.context("the CLI tries again after a 500")?;
    let struck = testbed.aws.faults().await?.into_iter().find(|status| status.id == fault).context("no such fault")?;
    assert_eq!(struck.hits, 1);
    let calls = testbed.aws.calls(0).await?;
    let outcomes: Vec<_> = calls.iter().map(|call| (call.operation.as_str(), call.status, call.code.as_deref(), call.fault)).collect();
    assert_eq!(outcomes, [("CreateUser", 500, Some("ServiceFailure"), Some(fault)), ("CreateUser", 200, None, None)]);
    assert_eq!(calls[1].parameters.get("UserName").map(String::as_str), Some("alice"));
    let counts = testbed.aws.counts(Some(account), Some("arn:aws:iam::111111111111:user/administrator")).await?;
    assert_eq!(counts.get("iam:CreateUser"), Some(&2), "{counts:?}");
    assert!(testbed.aws.counts(Some("999999999999"), None).await?.is_empty());

    let users = testbed.aws.account_state(account).await?.users;
    ensure!(users.iter().any(|user| user["userName"] == "alice"), "{users:?}");
    testbed.aws.clear_faults().await?;
    testbed.aws.set(Settings { latency_ms: Some(3), ..Default::default() }).await?;
    assert_eq!(testbed.aws.settings().await?.latency_ms, Some(3));
    Ok(())
}
