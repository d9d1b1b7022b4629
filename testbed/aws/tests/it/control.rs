//! The control endpoints, and what they say about calls and state.

use axum::http::Method;
use serde_json::{Value, json};

use crate::client::{PROD, Sim, USER_AGENT, UTILS, allow, role_arn, trust, user_arn};

#[tokio::test]
async fn an_account_is_created_once() {
    let sim = Sim::start().await;
    let first = sim.control("POST", "/accounts", json!({"accountID": UTILS})).await;
    assert_eq!(first, sim.control("POST", "/accounts", json!({"accountID": UTILS})).await);
    assert_eq!(first["accountID"], UTILS);
    let admin = sim.account(UTILS).await;
    assert_eq!(admin.sts("GetCallerIdentity", &[]).await.ok().text("Arn"), user_arn(UTILS, "administrator"));
    for account in ["12345678901", "1234567890123", "12345678901x"] {
        assert_eq!(sim.control_status("POST", "/accounts", json!({"accountID": account})).await.0, 400);
    }
}

#[tokio::test]
async fn accounts_can_be_added_later() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    let late = "999999999999";
    let document = trust(json!(late));
    assert_eq!(prod.iam("CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", &document)]).await.code(), "MalformedPolicyDocument");
    let admin = sim.account(late).await;
    prod.role("r", &document).await;
    admin.assume(&role_arn(PROD, "r"), &[]).await.ok();
    assert_eq!(utils.assume(&role_arn(PROD, "r"), &[]).await.code(), "AccessDenied");
}

/// Whatever stands in the place of a document is given back, so that clients can be tried on it.
#[tokio::test]
async fn a_text_that_is_no_document_is_put_in_the_place_of_one_and_read_back() {
    let (sim, _, prod) = Sim::with_accounts().await;
    prod.iam("CreateUser", &[("UserName", "alice")]).await.ok();
    prod.role("reader", &trust(json!(PROD))).await;
    let arn = prod.iam("CreatePolicy", &[("PolicyName", "p"), ("PolicyDocument", &allow(json!("s3:*"), "*"))]).await.ok().text("Arn");
    let path = format!("/accounts/{PROD}/documents");
    for place in [
        json!({"roleName": "reader"}),
        json!({"roleName": "reader", "policyName": "odd"}),
        json!({"userName": "alice", "policyName": "odd"}),
        json!({"policyARN": arn}),
    ] {
        let mut stored = place.clone();
        stored["document"] = json!("no <JSON> & 100 %");
        assert_eq!(sim.control("PUT", &path, stored).await["document"], "no <JSON> & 100 %", "{place}");
    }
    let told = "no%20%3CJSON%3E%20%26%20100%20%25";
    for (operation, parameters, element) in [
        ("GetRole", vec![("RoleName", "reader")], "AssumeRolePolicyDocument"),
        ("GetRolePolicy", vec![("RoleName", "reader"), ("PolicyName", "odd")], "PolicyDocument"),
        ("GetUserPolicy", vec![("UserName", "alice"), ("PolicyName", "odd")], "PolicyDocument"),
        ("GetPolicyVersion", vec![("PolicyArn", arn.as_str()), ("VersionId", "v1")], "Document"),
    ] {
        assert_eq!(prod.iam(operation, &parameters).await.ok().text(element), told, "{operation}");
    }
    let details = prod.iam("GetAccountAuthorizationDetails", &[]).await.ok();
    assert_eq!(details.body.matches(told).count(), 4, "{}", details.body);
    assert_eq!(prod.assume(&role_arn(PROD, "reader"), &[]).await.code(), "AccessDenied", "what cannot be read lets nobody in here");
    for (account, wrong) in [
        (UTILS, json!({"document": "x", "roleName": "reader"})),
        (PROD, json!({"document": "x", "userName": "nobody", "policyName": "p"})),
        (PROD, json!({"document": "x", "roleName": "nobody", "policyName": "p"})),
        (PROD, json!({"document": "x", "policyARN": "arn:aws:iam::aws:policy/ReadOnlyAccess"})),
        (PROD, json!({"document": "x"})),
        ("999999999999", json!({"document": "x", "roleName": "reader"})),
    ] {
        assert_eq!(sim.control_status("PUT", &format!("/accounts/{account}/documents"), wrong.clone()).await.0, 404, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn accounts_can_be_added_while_others_are_busy() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    let busy: Vec<_> = [utils, prod]
        .into_iter()
        .map(|account| {
            tokio::spawn(async move {
                for n in 0..60 {
                    account.role(&format!("r{n}"), &trust(json!([UTILS, PROD]))).await;
                    account.assume(&role_arn(UTILS, "r0"), &[]).await;
                }
            })
        })
        .collect();
    for n in 0..60 {
        sim.account(&format!("7{n:011}")).await;
    }
    for calls in busy {
        calls.await.unwrap();
    }
}

#[tokio::test]
async fn the_log_tells_who_did_what_and_what_came_of_it() {
    let (sim, utils, _prod) = Sim::with_accounts().await;
    utils.iam("CreateUser", &[("UserName", "alice")]).await.ok();
    utils.iam("CreateUser", &[("UserName", "alice")]).await;
    utils.iam("CreateLoginProfile", &[("UserName", "alice"), ("Password", "Long-enough-1!")]).await.ok();
    utils.s3(Method::PUT, "/a-bucket").await.ok();
    sim.client("AKIAUNKNOWN", "x", None).sts("GetCallerIdentity", &[]).await;

    let log = sim.get("/calls").await;
    let told: Vec<Value> =
        log.as_array().unwrap().iter().map(|call| json!([call["service"], call["operation"], call["status"], call["code"]])).collect();
    assert_eq!(
        told,
        [
            json!(["iam", "CreateUser", 200, null]),
            json!(["iam", "CreateUser", 409, "EntityAlreadyExists"]),
            json!(["iam", "CreateLoginProfile", 200, null]),
            json!(["s3", "CreateBucket", 200, null]),
            json!(["sts", "GetCallerIdentity", 403, "InvalidClientTokenId"]),
        ]
    );
    assert_eq!(log[0]["account"], UTILS);
    assert_eq!(log[0]["principal"], user_arn(UTILS, "administrator"));
    assert_eq!(log[0]["parameters"], json!({"UserName": "alice"}));
    assert_eq!(log[0]["userAgent"], USER_AGENT);
    assert_eq!(log[2]["parameters"], json!({"UserName": "alice"}), "no passwords");
    assert_eq!(log[3]["parameters"], json!({"Bucket": "a-bucket"}));
    assert_eq!((&log[4]["account"], &log[4]["principal"]), (&Value::Null, &Value::Null));
    assert!(chrono::DateTime::parse_from_rfc3339(log[0]["at"].as_str().unwrap()).is_ok());

    let third = log[2]["seq"].as_u64().unwrap();
    assert_eq!(sim.get(&format!("/calls?since={third}")).await.as_array().unwrap().len(), 2);
    let last = log[4]["seq"].as_u64().unwrap();
    sim.control("DELETE", "/calls", Value::Null).await;
    assert_eq!(sim.get("/calls").await, json!([]));
    utils.iam("ListUsers", &[]).await.ok();
    assert_eq!(sim.get("/calls").await[0]["seq"], last + 1);
}

#[tokio::test]
async fn calls_are_counted_by_account_and_caller() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    let alice = utils.user("alice").await;
    alice.iam("ListUsers", &[]).await;
    prod.iam("ListUsers", &[]).await.ok();
    assert_eq!(sim.get("/counts").await, json!({"iam:CreateUser": 1, "iam:CreateAccessKey": 1, "iam:ListUsers": 2}));
    assert_eq!(sim.get(&format!("/counts?account={PROD}")).await, json!({"iam:ListUsers": 1}));
    let by_alice = format!("/counts?account={UTILS}&principal={}", user_arn(UTILS, "alice"));
    assert_eq!(sim.get(&by_alice).await, json!({"iam:ListUsers": 1}));
}

fn named<'a>(state: &'a Value, kind: &str, key: &str, name: &str) -> &'a Value {
    let list = state["accounts"][UTILS][kind].as_array().expect("a list");
    list.iter().find(|one| one[key] == name).unwrap_or_else(|| panic!("no {name} in {list:?}"))
}

#[tokio::test]
async fn the_state_is_complete_and_without_secrets() {
    let (sim, utils, _prod) = Sim::with_accounts().await;
    let alice = utils.user("alice").await;
    utils.allow_user("alice", json!("s3:*")).await;
    let document = allow(json!("s3:*"), "*");
    let create = [("PolicyName", "p"), ("PolicyDocument", document.as_str()), ("Description", "d"), ("Path", "/x/"), ("Tags.member.1.Key", "k")];
    let arn = utils.iam("CreatePolicy", &create).await.ok().text("Arn");
    let trusting = trust(json!(user_arn(UTILS, "alice")));
    utils.role("r", &trusting).await;
    utils.iam("AttachRolePolicy", &[("RoleName", "r"), ("PolicyArn", &arn)]).await.ok();

    let state = sim.get("/state").await;
    let user = named(&state, "users", "userName", "alice");
    assert_eq!(user["accessKeys"], json!([{"accessKeyID": alice.access_key_id, "status": "Active"}]));
    assert_eq!(user["inlinePolicies"]["allow"], serde_json::from_str::<Value>(&document).unwrap());
    assert_eq!((&user["arn"], &user["permissionsBoundary"]), (&json!(user_arn(UTILS, "alice")), &Value::Null));
    let role = named(&state, "roles", "roleName", "r");
    assert_eq!(role["assumeRolePolicyDocument"], serde_json::from_str::<Value>(&trusting).unwrap());
    assert_eq!((&role["attachedPolicies"], &role["maxSessionDuration"]), (&json!([arn]), &json!(3600)));
    let policy = named(&state, "policies", "policyName", "p");
    assert_eq!((&policy["description"], &policy["path"], &policy["tags"]), (&json!("d"), &json!("/x/"), &json!({"k": ""})));
    assert_eq!((&policy["defaultVersionID"], &policy["versions"]["v1"]["Statement"][0]["Action"]), (&json!("v1"), &json!("s3:*")));

    let text = state.to_string();
    assert!(!text.contains(&alice.secret_access_key) && !text.contains(&utils.secret_access_key));
    assert_eq!(state, sim.get("/state").await);
}

#[tokio::test]
async fn statements_1_and_2_and_3_what_is_new_is_unknown_until_it_has_propagated() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    // So long that it never ends within the test; setting it back is what ends it.
    let delay = json!({"propagationDelayMs": 3_600_000});
    assert_eq!(
        sim.control("PUT", "/settings", delay).await,
        json!({"propagationDelayMs": 3_600_000, "latencyMs": 0, "pageSize": 0, "unmodifiableMs": 0, "uniqueIDsMs": 0})
    );
    let dave = utils.user("dave").await;
    assert_eq!(dave.sts("GetCallerIdentity", &[]).await.code(), "InvalidClientTokenId");
    let document = trust(json!(user_arn(UTILS, "dave")));
    let role = [("RoleName", "r"), ("AssumeRolePolicyDocument", document.as_str())];
    assert!(prod.iam("CreateRole", &role).await.message().starts_with("Invalid principal in policy"));
    prod.role("fresh", &trust(json!(UTILS))).await;
    assert_eq!(utils.assume(&role_arn(PROD, "fresh"), &[]).await.code(), "AccessDenied");

    sim.control("PUT", "/settings", json!({"propagationDelayMs": 0})).await;
    dave.sts("GetCallerIdentity", &[]).await.ok();
    prod.iam("CreateRole", &role).await.ok();
    utils.assume(&role_arn(PROD, "fresh"), &[]).await.ok();
}

#[tokio::test]
async fn latency_delays_every_call_and_nothing_else() {
    let (sim, utils, _prod) = Sim::with_accounts().await;
    sim.control("PUT", "/settings", json!({"latencyMs": 30})).await;
    let start = std::time::Instant::now();
    utils.iam("ListUsers", &[]).await.ok();
    assert!(start.elapsed().as_millis() >= 30);
    assert_eq!(sim.get("/settings").await["latencyMs"], 30);
}

#[tokio::test]
async fn the_control_endpoints_are_no_aws_paths() {
    let (sim, _utils, _prod) = Sim::with_accounts().await;
    assert_eq!(sim.control_status("GET", "/nothing", Value::Null).await.0, 404);
    assert_eq!(sim.get("/calls").await, json!([]));
}
