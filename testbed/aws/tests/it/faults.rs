//! Faults, and that the log tells exactly what became of each call.

use serde_json::{Value, json};

use crate::client::{Client, PROD, Sim, UTILS};

async fn exists(account: &Client, user: &str) -> bool {
    account.iam("GetUser", &[("UserName", user)]).await.status == 200
}

/// Creates a user under a fault: the reply or why there was none, and whether the user is there afterwards.
async fn create(sim: &Sim, account: &Client, fault: Value) -> (Result<(u16, String), String>, bool, (u64, Option<String>)) {
    let id = sim.fault(fault).await;
    let reply = account.try_call("iam", "CreateUser", &[("UserName", "x")]).await;
    let committed = exists(account, "x").await;
    let (status, code, fault) = sim.log_of("CreateUser").await.pop().expect("an entry");
    assert_eq!(fault, Some(id));
    (reply.map(|reply| (reply.status, reply.body)), committed, (status, code))
}

#[tokio::test]
async fn an_error_before_the_commit_and_after() {
    for (when, expected) in [("before", false), ("after", true)] {
        let (sim, utils, _prod) = Sim::with_accounts().await;
        let fault = json!({"operation": "CreateUser", "kind": "error", "when": when, "code": "ServiceFailure", "status": 500, "message": "sorry"});
        let (reply, committed, logged) = create(&sim, &utils, fault).await;
        let (status, body) = reply.unwrap();
        assert!(status == 500 && body.contains("<Code>ServiceFailure</Code><Message>sorry</Message>"), "{body}");
        assert_eq!((committed, logged), (expected, (500, Some("ServiceFailure".to_owned()))));
    }
}

#[tokio::test]
async fn throttling_is_the_default_error() {
    let (sim, utils, _prod) = Sim::with_accounts().await;
    let (reply, committed, logged) = create(&sim, &utils, json!({"operation": "*", "kind": "error"})).await;
    let (status, body) = reply.unwrap();
    assert!(status == 400 && body.contains("<Code>Throttling</Code>"), "{body}");
    assert_eq!((committed, logged), (false, (400, Some("Throttling".to_owned()))));
}

#[tokio::test]
async fn a_reset_before_the_commit_and_after() {
    for (when, expected, code) in [("before", false, "ResetBeforeCommit"), ("after", true, "ResetAfterCommit")] {
        let (sim, utils, _prod) = Sim::with_accounts().await;
        let (reply, committed, logged) = create(&sim, &utils, json!({"operation": "CreateUser", "kind": "reset", "when": when})).await;
        let problem = reply.unwrap_err();
        assert!(problem.contains("ConnectionReset"), "{problem}");
        assert_eq!((committed, logged), (expected, (0, Some(code.to_owned()))));
    }
}

#[tokio::test]
async fn a_web_page_and_half_a_reply() {
    for (kind, when, expected, code) in [
        ("html", "before", false, "HTMLBeforeCommit"),
        ("html", "after", true, "HTMLAfterCommit"),
        ("truncate", "before", false, "TruncateBeforeCommit"),
        ("truncate", "after", true, "TruncateAfterCommit"),
    ] {
        let (sim, utils, _prod) = Sim::with_accounts().await;
        let (reply, committed, logged) = create(&sim, &utils, json!({"operation": "CreateUser", "kind": kind, "when": when})).await;
        let (status, body) = reply.unwrap();
        assert_eq!(status, 200);
        let is_right =
            if kind == "html" { body.contains("<html>") } else { !body.contains("</CreateUserResponse>") && body.contains("CreateUserResponse") };
        assert!(is_right, "{body}");
        assert_eq!((committed, logged), (expected, (200, Some(code.to_owned()))));
    }
}

/// Waits until the fault holds a call.
async fn held(sim: &Sim, count: u64) {
    while sim.get("/faults").await[0]["held"] != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_time_out_lasts_until_the_client_gives_up() {
    for (when, expected, code) in [("before", false, "TimeoutBeforeCommit"), ("after", true, "TimeoutAfterCommit")] {
        let (sim, utils, _prod) = Sim::with_accounts().await;
        sim.fault(json!({"operation": "CreateUser", "kind": "timeout", "when": when})).await;
        let caller = utils.clone();
        let call = tokio::spawn(async move { caller.try_call("iam", "CreateUser", &[("UserName", "x")]).await });
        while sim.log_of("CreateUser").await.is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(!call.is_finished());
        call.abort();
        assert_eq!(exists(&utils, "x").await, expected);
        let logged = sim.log_of("CreateUser").await.pop().unwrap();
        assert_eq!((logged.0, logged.1), (0, Some(code.to_owned())));
    }
}

#[tokio::test]
async fn a_held_call_goes_on_when_it_is_released() {
    for (when, while_held) in [("before", false), ("after", true)] {
        let (sim, utils, _prod) = Sim::with_accounts().await;
        let id = sim.fault(json!({"operation": "CreateUser", "kind": "hold", "when": when})).await;
        let caller = utils.clone();
        let call = tokio::spawn(async move { caller.iam("CreateUser", &[("UserName", "x")]).await });
        held(&sim, 1).await;
        assert_eq!(exists(&utils, "x").await, while_held);
        assert_eq!(sim.log_of("CreateUser").await.len(), usize::from(while_held));
        assert!(!call.is_finished());
        sim.control("POST", &format!("/faults/{id}/release"), Value::Null).await;
        call.await.unwrap().ok();
        held(&sim, 0).await;
        assert!(exists(&utils, "x").await);
        assert_eq!(sim.log_of("CreateUser").await, [(200, None, Some(id))]);
    }
}

#[tokio::test]
async fn a_client_that_dies_while_its_call_is_held() {
    for (when, committed, logged) in [("before", false, (0, Some("AbandonedBeforeCommit".to_owned()))), ("after", true, (200, None))] {
        let (sim, utils, _prod) = Sim::with_accounts().await;
        sim.fault(json!({"operation": "CreateUser", "kind": "hold", "when": when})).await;
        let caller = utils.clone();
        let call = tokio::spawn(async move { caller.try_call("iam", "CreateUser", &[("UserName", "x")]).await });
        held(&sim, 1).await;
        call.abort();
        held(&sim, 0).await;
        sim.control("DELETE", "/faults", Value::Null).await;
        assert_eq!(exists(&utils, "x").await, committed);
        let entries: Vec<_> = sim.log_of("CreateUser").await.into_iter().map(|(status, code, _)| (status, code)).collect();
        assert_eq!(entries, [logged]);
    }
}

#[tokio::test]
async fn removing_all_faults_releases_what_they_hold() {
    let (sim, utils, _prod) = Sim::with_accounts().await;
    sim.fault(json!({"operation": "CreateUser", "kind": "hold"})).await;
    let caller = utils.clone();
    let call = tokio::spawn(async move { caller.iam("CreateUser", &[("UserName", "x")]).await });
    held(&sim, 1).await;
    sim.control("DELETE", "/faults", Value::Null).await;
    call.await.unwrap().ok();
    assert_eq!(sim.get("/faults").await, json!([]));
    let (status, _) = sim.control_status("POST", "/faults/1/release", Value::Null).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_fault_hits_its_account_its_operation_and_its_turn() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    sim.fault(json!({"operation": "AssumeRole", "account": UTILS, "nth": 2, "times": 1, "kind": "error"})).await;
    let arn = format!("arn:aws:iam::{PROD}:role/none");
    let mut codes = Vec::new();
    for caller in [&prod, &utils, &prod, &utils, &utils] {
        codes.push(caller.assume(&arn, &[]).await.code());
    }
    assert_eq!(codes, ["AccessDenied", "AccessDenied", "AccessDenied", "Throttling", "AccessDenied"]);
    let fault = &sim.get("/faults").await[0];
    assert_eq!((&fault["hits"], &fault["account"], &fault["kind"]), (&json!(1), &json!(UTILS), &json!("error")));
}

#[tokio::test]
async fn an_order_that_makes_no_sense_is_refused() {
    let sim = Sim::start().await;
    for order in [
        json!({"operation": "*", "kind": "error", "nth": 0}),
        json!({"operation": "*", "kind": "error", "status": 99}),
        json!({"operation": "*", "kind": "explode"}),
        json!({"operation": "*", "kind": "error", "nht": 1}),
        json!({"kind": "error"}),
    ] {
        let (status, _) = sim.control_status("POST", "/faults", order.clone()).await;
        assert!((400..500).contains(&status), "{order}");
    }
}

#[tokio::test]
async fn statement_49_a_key_whose_reply_was_lost_is_there_and_another_try_makes_a_second() {
    let (sim, utils, _prod) = Sim::with_accounts().await;
    utils.iam("CreateUser", &[("UserName", "alice")]).await.ok();
    sim.fault(json!({"operation": "CreateAccessKey", "kind": "reset", "when": "after"})).await;
    let create = [("UserName", "alice")];
    assert!(utils.try_call("iam", "CreateAccessKey", &create).await.is_err());
    let second = utils.iam("CreateAccessKey", &create).await.ok().text("AccessKeyId");
    let keys = utils.iam("ListAccessKeys", &create).await.ok().texts("AccessKeyId");
    assert!(keys.len() == 2 && keys.contains(&second), "{keys:?}");
}
