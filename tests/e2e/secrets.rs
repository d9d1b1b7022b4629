//! Secret keys, tokens and external IDs are told nowhere: in no log at any level, no Event and no status, whatever goes wrong. (A panic is
//! written to the same place as the log.)

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::ByteString;
use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use rolebridge_testbed::{
    ApiGate, Credentials, Operator, Seen,
    aws_sim::{Fault, FaultKind},
};
use serde_json::{Value, json};

use crate::support::{Account, INSTALLATION, Tenant, World, bastion_user, cross_account_role};

/// Everything, and by name what says whole requests, answers or objects. The AWS SDK has targets of its own that a bare level does not reach.
const EVERYTHING: &str = "trace,aws_config=trace,aws_runtime=trace,aws_sigv4=trace,aws_smithy_runtime=trace,aws_smithy_http_client=trace,\
                          aws_sdk_iam=trace,aws_sdk_sts=trace,aws_credential_types=trace,hyper=trace,hyper_util=trace,h2=trace,rustls=trace,tower=trace,\
                          kube=trace,kube_client=trace,kube_runtime=trace,rolebridge=trace";

/// What a secret stands next to, whatever its value: in a request, in an answer, and in the text that is signed. `FQoGZXIvYXdzE` is how all session
/// tokens of the simulator begin, as AWS's once did.
const TRACES: [&str; 5] = ["FQoGZXIvYXdzE", "SecretAccessKey>", "x-amz-security-token:", "AWS4-HMAC-SHA256", "Signature="];

/// How often a person touches an account that is out of reach.
const TOUCH: Duration = Duration::from_secs(2);

/// Fails where one of the secrets, or a trace of any, is in the operator's log, in an Event or in a status.
async fn assert_untold(tenant: &Tenant<'_>, operator: &Operator, secrets: &[&str]) -> Result<()> {
    let log = operator.log();
    ensure!(log.contains("\"TRACE\"") || log.contains("\"DEBUG\""), "nothing was logged in detail");
    let mut told = vec![("the log".to_owned(), log)];
    for kind in ["events.events.k8s.io", "awsaccounts", "bastionusers", "crossaccountroles"] {
        let list: Value = serde_json::from_str(&tenant.world.testbed.kubectl(&["get", kind, "--all-namespaces", "--output=json"]).await?)?;
        for item in list["items"].as_array().context("no list")? {
            let text = if kind.starts_with("events") { item.to_string() } else { item["status"].to_string() };
            told.push((format!("{kind} {}", item["metadata"]["name"]), text));
        }
    }
    for (place, text) in &told {
        for secret in secrets.iter().chain(&TRACES) {
            let line = text.lines().find(|line| line.contains(secret));
            ensure!(line.is_none(), "{place} tells {secret:?}: {line:?}");
        }
    }
    Ok(())
}

/// Waits until a fault has struck so many times.
async fn struck(world: &World, fault: u64, times: u64) -> Result<()> {
    let seen = || async {
        let hits = world.testbed.aws.faults().await?.into_iter().find(|status| status.id == fault).context("no such fault")?.hits;
        Ok(Seen::from_option((hits >= times).then_some(()), || format!("{hits} of {times} times")))
    };
    world.testbed.wait_for("the fault strikes", seen).await
}

/// What AWS says to a signature that it finds wrong: all that it would have signed itself, which has the session token in it.
fn wrong_signature(token: &str) -> String {
    format!(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult \
         the service documentation for details.\n\nThe Canonical String for this request should have been\n'POST\n/\n\ncontent-type:\
         application/x-www-form-urlencoded\nhost:iam.amazonaws.com\nx-amz-date:20260101T000000Z\nx-amz-security-token:{token}\n\ncontent-type;host;\
         x-amz-date;x-amz-security-token\n0123'\n\nThe String-to-Sign should have been\n'AWS4-HMAC-SHA256\n20260101T000000Z\n0123'\n"
    )
}

#[tokio::test]
async fn credentials_that_aws_refuses_are_told_nowhere() -> Result<()> {
    let world = World::own().await?;
    let tenant = world.tenant().await?;
    let canary = Credentials::new("AKIACANARYCANARY0001", "canary+secret/access+key+0123456789012345", Some("canary/session+token==".to_owned()));
    let secret = [canary.secret_access_key.clone(), canary.session_token.clone().unwrap_or_default()];
    let operator = world.operator_as(&canary, EVERYTHING)?;
    let utils = tenant.account("utils").await?;
    tenant.apply(&(utils.manifest(&tenant.only_here(), "") + &bastion_user("alice", &utils, ""))).await?;
    // At first it is taken for the slowness of AWS, and then told as what it is, with an Event.
    tenant.concluded(&tenant.accounts(), &utils.name, "AccessDenied").await?;
    let events = || async {
        let events = world.testbed.kubectl(&["get", "events.events.k8s.io", "--all-namespaces", "--output=json"]).await?;
        Ok(Seen::from_option(events.contains("\"AccessDenied\"").then_some(()), || events))
    };
    world.testbed.wait_for("an Event tells it", events).await?;
    assert_untold(&tenant, &operator, &[&secret[0], &secret[1], &utils.external_id, &world.operator_token()?]).await?;
    operator.ensure_running()
}

/// Long-term keys are seldom what the operator has: here it is a session, as of a pod's role.
async fn session(world: &World) -> Result<Credentials> {
    let answer = world.aws(world.operator_credentials(), &["sts", "get-session-token"]).await?;
    let field = |name: &str| answer["Credentials"][name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
    Ok(Credentials::new(field("AccessKeyId")?, field("SecretAccessKey")?, Some(field("SessionToken")?)))
}

/// Answers of AWS that are wrong in each way in which they could be repeated.
async fn go_wrong(world: &World, utils: &Account, token: &str) -> Result<Vec<(u64, u64)>> {
    let aws = &world.testbed.aws;
    let with_message = |fault: Fault, message: String| Fault { message: Some(message), ..fault };
    let invalid_id = format!("1 validation error detected: Value '{}' at 'externalId' failed to satisfy constraint", utils.external_id);
    let mut faults = vec![];
    for fault in [
        // The credentials of the management role come in this answer: whole, cut in its middle, as a page of HTML.
        Fault::of(FaultKind::Truncate, "AssumeRole").after().times(2),
        Fault::of(FaultKind::Html, "AssumeRole").nth(3),
        with_message(Fault::error("AssumeRole", "ValidationError", 400).nth(4), invalid_id),
        with_message(Fault::error("AssumeRole", "SignatureDoesNotMatch", 403).nth(5), wrong_signature(token)),
        Fault::error("AssumeRole", "Throttling", 400).nth(6),
        Fault::of(FaultKind::Truncate, "GetCallerIdentity").after(),
        with_message(Fault::error("GetCallerIdentity", "SignatureDoesNotMatch", 403).nth(2), wrong_signature(token)),
        with_message(Fault::error("CreateUser", "SignatureDoesNotMatch", 403).times(2), wrong_signature(token)),
        Fault::error("CreateUser", "Throttling", 400).nth(3),
        Fault::of(FaultKind::Html, "CreateUser").nth(4),
        Fault::of(FaultKind::Reset, "CreateRole").after(),
    ] {
        let times = fault.times;
        faults.push((aws.inject(&fault).await?, times));
    }
    Ok(faults)
}

#[tokio::test]
async fn what_goes_wrong_with_good_credentials_does_not_tell_them() -> Result<()> {
    let world = World::own().await?;
    let (tenant, gate) = (world.tenant().await?, world.gate().await?);
    let session = session(&world).await?;
    let token = session.session_token.clone().unwrap_or_default();
    let (utils, prod) = (tenant.account("utils").await?, tenant.account("prod").await?);
    let faults = go_wrong(&world, &utils, &token).await?;
    let here = tenant.only_here();
    tenant.apply(&utils.manifest(&here, "")).await?;
    // The API server's first answer with all AWSAccounts, whose specs have the external IDs, ends in its middle.
    gate.cut_next("/awsaccounts");
    let operator = world.start_operator(gate.kubeconfig(), &session, EVERYTHING)?;
    // AWS repeats to an account what that account has sent, so the other one comes when that is over.
    // Pauses grow with each failure; who touches the account need not wait for the next try.
    let touched = async {
        for times in 0_u64.. {
            world.testbed.kubectl(&["annotate", "--overwrite", "awsaccount", &utils.name, &format!("touched=x{times}")]).await?;
            tokio::time::sleep(TOUCH).await;
        }
        anyhow::Ok(())
    };
    let accounts = tenant.accounts();
    tokio::select! {
        ready = tenant.ready(&accounts, &utils.name) => drop(ready?),
        touched = touched => touched?,
    }
    let reader = cross_account_role("reader", &prod, "{user: {name: alice}}", "");
    tenant.apply(&(prod.manifest(&here, "") + &bastion_user("alice", &utils, "") + &reader)).await?;
    for (fault, times) in faults {
        struck(&world, fault, times).await?;
    }
    tenant.ready(&tenant.roles(), "reader").await?;
    tenant.ready(&tenant.users(), "alice").await?;
    ensure!(!gate.is_about_to_cut(), "no answer was cut");
    let secrets = [&session.secret_access_key, &token, world.operator_secret(), &utils.external_id, &prod.external_id];
    assert_untold(&tenant, &operator, &secrets.map(|secret| secret as &str)).await?;
    operator.ensure_running()
}

#[tokio::test]
async fn the_keys_in_a_secret_are_told_nowhere() -> Result<()> {
    let world = World::own().await?;
    let kubeconfig = world.testbed.install(&[&format!("installation={INSTALLATION}"), "accessSecrets={keys}"]).await?;
    let tenant = world.tenant().await?;
    let config = Config::from_custom_kubeconfig(Kubeconfig::read_from(&kubeconfig)?, &KubeConfigOptions::default()).await?;
    let gate = ApiGate::start(kube::Client::try_from(config)?, world.testbed.dir()).await?;
    let (utils, other) = (tenant.bare_account("utils").await?, tenant.bare_account("other").await?);
    let key = utils.manager().await?;
    let token = "canary/session+token==";
    let entries = |id: &'static str, token: &'static str| {
        [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", "canary/secret+access/key"), ("AWS_SESSION_TOKEN", token)]
    };
    // Keys that AWS does not know, and such as cannot be any.
    tenant.put_secret("keys", &entries("AKIACANARYCANARY0001", token)).await?;
    let answer = Fault { message: Some(wrong_signature(token)), ..Fault::error("GetCallerIdentity", "SignatureDoesNotMatch", 403) };
    world.testbed.aws.inject(&answer).await?;
    // The API server's answer with the Secret ends in its middle.
    gate.cut_next("/secrets/keys");
    let operator = world.start_operator(gate.kubeconfig(), world.operator_credentials(), EVERYTHING)?;
    tenant.apply(&(utils.manifest_by_secret("keys", &tenant.only_here()) + &other.manifest_by_secret("missing", &tenant.only_here()))).await?;
    tenant.concluded(&tenant.accounts(), &utils.name, "AccessDenied").await?;
    tenant.concluded(&tenant.accounts(), &other.name, "SecretNotUsable").await?;
    // Who has changed a Secret need not wait for the next try.
    let touch = async |times: &str| world.testbed.kubectl(&["annotate", "--overwrite", "awsaccount", &utils.name, &format!("touched={times}")]).await;
    tenant.put_secret("keys", &entries("canary-id", "canäry")).await?;
    touch("once").await?;
    tenant.says(&tenant.accounts(), &utils.name, &["Secret keys", "AWS_SESSION_TOKEN is malformed"]).await?;
    tenant.put_secret("keys", &[("AWS_ACCESS_KEY_ID", &key.access_key_id), ("AWS_SECRET_ACCESS_KEY", &key.secret_access_key)]).await?;
    touch("twice").await?;
    tenant.ready(&tenant.accounts(), &utils.name).await?;
    ensure!(!gate.is_about_to_cut(), "no answer was cut");
    let secrets = ["canary/secret+access/key", token, "canary-id", "canäry", &key.secret_access_key];
    let encoded: Vec<String> =
        secrets.iter().filter_map(|secret| json!(ByteString(secret.as_bytes().to_vec())).as_str().map(str::to_owned)).collect();
    let all: Vec<&str> = secrets.into_iter().chain(encoded.iter().map(String::as_str)).collect();
    assert_untold(&tenant, &operator, &all).await?;
    operator.ensure_running()
}
