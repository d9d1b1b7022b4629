//! A stand-in for AWS's front end that answers, or fails to answer, exactly as a test wants.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::access::{AccessConfig, AccountConfig, LimitsConfig};
use super::config::BaseConfig;
use super::secret::{SecretEntries, Secrets};
use rolebridge_api::Reason;
use rolebridge_core::encoding::decode_document;
use rolebridge_core::failure::Failure;
use rolebridge_core::ownership::{Earlier, Owner};

/// The account that every answer is about.
pub(super) const ACCOUNT: &str = "111111111111";

/// A namespace without Secrets.
#[derive(Debug)]
struct NoSecrets;

#[async_trait]
impl Secrets for NoSecrets {
    async fn read(&self, name: &str) -> Result<SecretEntries, Failure> {
        Err(Failure::refused(Reason::SecretNotUsable, format!("Secret {name} does not exist")))
    }
}

/// What the server does with one request.
pub(super) enum Reply {
    /// A whole answer.
    Answer(u16, String),
    /// The first bytes of an answer, announced with its full length.
    Broken(String, usize),
    /// Nothing: the connection is closed.
    Reset,
    /// Nothing for longer than any test's time-out.
    Silence,
}

/// A request: the operation, its parameters and its headers.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) action: String,
    parameters: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

impl Request {
    fn parse(head: &str, body: &str) -> Self {
        let decode = |text: &str| decode_document(&text.replace('+', " ")).unwrap();
        let parameters: Vec<(String, String)> =
            body.split('&').filter_map(|pair| pair.split_once('=')).map(|(key, value)| (decode(key), decode(value))).collect();
        let action = parameters.iter().find(|(key, _)| key == "Action").map(|(_, value)| value.clone()).unwrap_or_default();
        let headers =
            head.lines().filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_ascii_lowercase(), value.trim().into())).collect();
        Self { action, parameters, headers }
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.parameters.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// The values of all headers of a name, which is in lower case.
    pub(super) fn headers(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// A server on a free port of this machine. Its threads end with the process.
pub(super) struct Server {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(super) fn start(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (reply, log) = (Arc::new(reply), requests.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (reply, log) = (reply.clone(), log.clone());
                std::thread::spawn(move || serve(stream, &*reply, &log));
            }
        });
        Self { url, requests }
    }

    /// The operations asked for so far, in order.
    pub(super) fn actions(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|request| request.action.clone()).collect()
    }

    /// The requests so far, in order.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Credentials and clients that lead here.
    pub(super) fn base(&self) -> BaseConfig {
        self.base_with(Arc::new(NoSecrets))
    }

    /// As [`Server::base`], with these Secrets.
    pub(super) fn base_with(&self, secrets: Arc<dyn Secrets>) -> BaseConfig {
        BaseConfig::for_endpoint(&self.url, Duration::from_secs(20), secrets)
    }

    /// As [`Server::base`], for a server that says nothing.
    pub(super) fn impatient(&self) -> BaseConfig {
        BaseConfig::for_endpoint(&self.url, Duration::from_millis(300), Arc::new(NoSecrets))
    }
}

/// Whom changes are made for.
pub(super) fn owner() -> Owner {
    Owner { installation: "one".into(), resource: "CrossAccountRole/data/reader".into(), uid: "u1".into(), earlier: Earlier::TakenOver }
}

/// An account whose calls go by the operator's own credentials.
pub(super) fn ambient() -> AccountConfig {
    AccountConfig {
        id: ACCOUNT.parse().unwrap(),
        partition: "aws".parse().unwrap(),
        region: None,
        access: AccessConfig::Ambient,
        limits: LimitsConfig::default(),
    }
}

/// The answer to an operation that succeeded; `result` is what is in its result element.
pub(super) fn success(action: &str, result: &str) -> Reply {
    Reply::Answer(200, success_text(action, result))
}

/// As [`success`], as text.
pub(super) fn success_text(action: &str, result: &str) -> String {
    format!(
        "<{action}Response xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><{action}Result>{result}</{action}Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
    )
}

/// The answer to an operation that failed.
pub(super) fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::Answer(status, error_text(code, message))
}

/// As [`error`], as text.
pub(super) fn error_text(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    )
}

fn serve(mut stream: TcpStream, reply: &dyn Fn(&Request) -> Reply, log: &Mutex<Vec<Request>>) {
    let Some(request) = receive(&mut stream) else { return };
    log.lock().unwrap().push(request.clone());
    let send = |stream: &mut TcpStream, status: u16, length: usize, body: &str| {
        let head = format!("HTTP/1.1 {status} Status\r\ncontent-type: text/xml\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        // A client that has gone away is no fault of the server's.
        let _ = stream.write_all(format!("{head}{body}").as_bytes());
    };
    match reply(&request) {
        Reply::Answer(status, body) => send(&mut stream, status, body.len(), &body),
        Reply::Broken(body, bytes) => send(&mut stream, 200, body.len(), &body[..bytes]),
        Reply::Reset => {}
        Reply::Silence => std::thread::sleep(Duration::from_secs(60)),
    }
}

fn receive(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(Request::parse(head, body));
            }
        }
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}
