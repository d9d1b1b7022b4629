//! A simulator of its own for each test, and a small AWS client that signs with the SDK's signer.

use std::{collections::BTreeMap, time::SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use axum::{
    body::Bytes,
    http::{Method, Request},
};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client as HttpClient, rt::TokioExecutor};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rolebridge_aws_sim::Simulator;
use serde_json::{Value, json};

pub const UTILS: &str = "111111111111";
pub const PROD: &str = "222222222222";
pub const DEV: &str = "333333333333";
/// What each signed call says of its client.
pub const USER_AGENT: &str = "tests (of the simulator)";

/// A running simulator; it ends with the test.
pub struct Sim {
    url: String,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sim {
    pub async fn start() -> Self {
        let simulator = Simulator::bind(0).await.expect("a free port");
        Self { url: simulator.url(), task: tokio::spawn(simulator.run()) }
    }

    /// A simulator with the accounts [`UTILS`] and [`PROD`], and their administrators.
    pub async fn with_accounts() -> (Self, Client, Client) {
        let sim = Self::start().await;
        let utils = sim.account(UTILS).await;
        let prod = sim.account(PROD).await;
        (sim, utils, prod)
    }

    pub async fn account(&self, account_id: &str) -> Client {
        let created = self.control("POST", "/accounts", json!({ "accountID": account_id })).await;
        let text = |name: &str| created[name].as_str().expect("a key").to_owned();
        self.client(&text("accessKeyID"), &text("secretAccessKey"), None)
    }

    pub fn client(&self, access_key_id: &str, secret_access_key: &str, session_token: Option<&str>) -> Client {
        Client {
            url: self.url.clone(),
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            session_token: session_token.map(str::to_owned),
        }
    }

    /// A control call with its status.
    pub async fn control_status(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/_sim{path}", self.url))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .expect("a request");
        let reply = send(request).await.expect("a reply");
        (reply.status, serde_json::from_str(&reply.body).unwrap_or(Value::Null))
    }

    pub async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, reply) = self.control_status(method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {reply}");
        reply
    }

    pub async fn get(&self, path: &str) -> Value {
        self.control("GET", path, Value::Null).await
    }

    /// Orders a fault and returns its id.
    pub async fn fault(&self, order: Value) -> u64 {
        self.control("POST", "/faults", order).await["id"].as_u64().expect("an id")
    }

    /// The log of one operation: status, code and fault of each call.
    pub async fn log_of(&self, operation: &str) -> Vec<(u64, Option<String>, Option<u64>)> {
        let calls = self.get("/calls").await;
        let calls = calls.as_array().expect("a list").iter();
        calls
            .filter(|call| call["operation"] == operation)
            .map(|call| (call["status"].as_u64().expect("a status"), call["code"].as_str().map(str::to_owned), call["fault"].as_u64()))
            .collect()
    }
}

/// A caller.
#[derive(Clone)]
pub struct Client {
    pub url: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body: String,
}

impl Reply {
    /// The text of the first element of that name.
    pub fn text(&self, element: &str) -> String {
        self.texts(element).into_iter().next().unwrap_or_else(|| panic!("no {element} in {}", self.body))
    }

    /// The texts of all elements of that name.
    pub fn texts(&self, element: &str) -> Vec<String> {
        let (start, end) = (format!("<{element}>"), format!("</{element}>"));
        let parts = self.body.split(&start).skip(1);
        let unescape = |text: &str| {
            [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")]
                .into_iter()
                .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
        };
        parts.filter_map(|part| part.split(&end).next()).map(unescape).collect()
    }

    /// A policy document, which comes URL-encoded.
    pub fn document(&self, element: &str) -> Value {
        let text = self.text(element);
        assert!(!text.contains(['{', '"', ' ']), "not encoded as RFC 3986 says: {text}");
        let decoded = percent_decode_str(&text).decode_utf8().expect("UTF-8").into_owned();
        serde_json::from_str(&decoded).expect("JSON")
    }

    /// The error code; panics when the call succeeded.
    #[track_caller]
    pub fn code(&self) -> String {
        assert!(self.status >= 400, "succeeded: {}", self.body);
        self.text("Code")
    }

    #[track_caller]
    pub fn message(&self) -> String {
        assert!(self.status >= 400, "succeeded: {}", self.body);
        self.text("Message")
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.body);
        self
    }
}

impl Client {
    pub async fn try_call(&self, service: &str, operation: &str, parameters: &[(&str, &str)]) -> Result<Reply, String> {
        let version = if service == "sts" { "2011-06-15" } else { "2010-05-08" };
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let all = [("Action", operation), ("Version", version)].into_iter().chain(parameters.iter().copied());
        let form: Vec<String> = all.map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        self.request(service, Method::POST, "/", "application/x-www-form-urlencoded; charset=utf-8", form.join("&")).await
    }

    pub async fn iam(&self, operation: &str, parameters: &[(&str, &str)]) -> Reply {
        self.try_call("iam", operation, parameters).await.expect("a reply")
    }

    pub async fn sts(&self, operation: &str, parameters: &[(&str, &str)]) -> Reply {
        self.try_call("sts", operation, parameters).await.expect("a reply")
    }

    /// A call to STS that carries no signature.
    pub async fn unsigned(&self, operation: &str, parameters: &[(&str, &str)]) -> Reply {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let all = [("Action", operation), ("Version", "2011-06-15")].into_iter().chain(parameters.iter().copied());
        let form: Vec<String> = all.map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let request = Request::builder().method(Method::POST).uri(&self.url).header("content-type", "application/x-www-form-urlencoded");
        send(request.body(Full::new(Bytes::from(form.join("&")))).expect("a request")).await.expect("a reply")
    }

    pub async fn s3(&self, method: Method, path: &str) -> Reply {
        self.request("s3", method, path, "application/octet-stream", String::new()).await.expect("a reply")
    }

    async fn request(&self, service: &str, method: Method, path: &str, content_type: &str, body: String) -> Result<Reply, String> {
        let identity = Credentials::new(&self.access_key_id, &self.secret_access_key, self.session_token.clone(), None, "test").into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .expect("all parameters are set")
            .into();
        let uri = format!("{}{path}", self.url);
        let host = self.url.trim_start_matches("http://");
        let headers = [("host", host), ("content-type", content_type)];
        let signable = SignableRequest::new(method.as_str(), &uri, headers.into_iter(), SignableBody::Bytes(body.as_bytes())).expect("signable");
        let (instructions, _) = sign(signable, &parameters).expect("signed").into_parts();
        let request = Request::builder().method(method).uri(&uri).header("content-type", content_type).header("user-agent", USER_AGENT);
        let mut request = request.body(Full::new(Bytes::from(body))).expect("a request");
        instructions.apply_to_request_http1x(&mut request);
        send(request).await
    }

    /// Creates a user with a key and returns a client for it.
    pub async fn user(&self, name: &str) -> Client {
        self.iam("CreateUser", &[("UserName", name)]).await.ok();
        let key = self.iam("CreateAccessKey", &[("UserName", name)]).await.ok();
        Client { access_key_id: key.text("AccessKeyId"), secret_access_key: key.text("SecretAccessKey"), ..self.clone() }
    }

    /// Gives a user an inline policy that allows actions on everything.
    pub async fn allow_user(&self, name: &str, actions: Value) {
        let document = allow(actions, "*");
        self.iam("PutUserPolicy", &[("UserName", name), ("PolicyName", "allow"), ("PolicyDocument", &document)]).await.ok();
    }

    pub async fn role(&self, name: &str, trust: &str) {
        self.iam("CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", trust)]).await.ok();
    }

    pub async fn allow_role(&self, name: &str, actions: Value) {
        let document = allow(actions, "*");
        self.iam("PutRolePolicy", &[("RoleName", name), ("PolicyName", "allow"), ("PolicyDocument", &document)]).await.ok();
    }

    /// Tries to assume a role under the session name `session`, unless `parameters` name another.
    pub async fn assume(&self, role_arn: &str, parameters: &[(&str, &str)]) -> Reply {
        let mut all: BTreeMap<&str, &str> = BTreeMap::from([("RoleArn", role_arn), ("RoleSessionName", "session")]);
        all.extend(parameters.iter().copied());
        let all: Vec<_> = all.into_iter().collect();
        self.sts("AssumeRole", &all).await
    }

    /// A client with the credentials in a reply.
    pub fn with_session(&self, reply: &Reply) -> Client {
        Client {
            url: self.url.clone(),
            access_key_id: reply.text("AccessKeyId"),
            secret_access_key: reply.text("SecretAccessKey"),
            session_token: Some(reply.text("SessionToken")),
        }
    }

    pub async fn assumed(&self, role_arn: &str, parameters: &[(&str, &str)]) -> Client {
        self.with_session(&self.assume(role_arn, parameters).await.ok())
    }
}

async fn send(request: Request<Full<Bytes>>) -> Result<Reply, String> {
    let client = HttpClient::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.map_err(|error| format!("{error:?}"))?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
    Ok(Reply { status, body: String::from_utf8_lossy(&body).into_owned() })
}

pub fn user_arn(account_id: &str, name: &str) -> String {
    format!("arn:aws:iam::{account_id}:user/{name}")
}

pub fn role_arn(account_id: &str, name: &str) -> String {
    format!("arn:aws:iam::{account_id}:role/{name}")
}

/// A policy that allows actions on a resource.
pub fn allow(actions: Value, resource: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": resource}]}).to_string()
}

/// A trust policy that allows AWS principals to assume the role.
pub fn trust(principals: Value) -> String {
    trust_if(principals, json!({}))
}

/// As [`trust`], on a condition.
pub fn trust_if(principals: Value, condition: Value) -> String {
    let statement = json!({"Effect": "Allow", "Principal": {"AWS": principals}, "Action": "sts:AssumeRole", "Condition": condition});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}
