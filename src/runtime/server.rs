//! The health of the process over HTTP, for the kubelet: `/livez` and `/readyz`.
//!
//! - `/readyz` is 200 while every watched kind is listed and the process is not ending, and otherwise 503 with what is missing.
//! - `/livez` is 503 only where a restart would help and nothing else: the controller's task is blocked, or the reconciles of a kind stand
//!   still with every place taken. An API server or an AWS that does not answer is no reason. Requests are answered on the runtime that the
//!   controller runs on: where that runs no tasks any more, there is no answer, and a probe takes that for a failure too.
//!
//! Everybody in the cluster can connect, and who holds connections open must not keep the kubelet from its answer. So nobody waits for a free
//! place: a newcomer takes that of the oldest connection. A probe needs a moment only, and each connection is left that moment.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderName};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{debug, error, info};

use crate::controller::Health;

/// Connections at a time: a kubelet has one or two. Far below the file descriptors that a process has, and 16 KiB or so for each.
const CONNECTIONS: usize = 256;
/// How long a connection is left alone at least. With [`CONNECTIONS`] this bounds how many are accepted in a second, to 12 800.
const GRACE: Duration = Duration::from_millis(20);
/// How long a connection may take in all; a request is one line, and its answer too.
const PATIENCE: Duration = Duration::from_secs(2);
/// Connections that the kernel may hold until they are accepted: all of them are within a third of a second. The kernel's own limit is the same.
const BACKLOG: u32 = 4096;
/// How many bytes a request may have, without a body; a probe has less than 200. The least that hyper takes.
const REQUEST: usize = 8192;
/// A pause after a connection could not be accepted, mostly for want of file descriptors.
const AFTER_REFUSAL: Duration = Duration::from_millis(200);

/// What is asked about.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Of the controller.
    pub health: Health,
    /// Turns true when the process has been asked to end.
    pub stopping: Receiver<bool>,
}

/// Listens on `address`; port 0 takes a free one.
///
/// # Errors
/// Where the address cannot be had, for example because another process has it.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = bind(address).with_context(|| format!("cannot listen on {address}, set by --health-address"))?;
    info!(health_address = %listener.local_addr()?, "health is served");
    Ok(listener)
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A new process need not wait for the connections of the old one to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Answers for as long as it is polled.
pub async fn serve(listener: TcpListener, asked: Asked) {
    let service = TowerToHyperService::new(routes(asked));
    let mut open = Connections::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => open.add(converse(stream, service.clone())).await,
            Err(error) => {
                debug!(%error, "a connection to the health server was not accepted");
                // That frees a file descriptor. Where there is nothing to close, others have them all.
                if !open.close_oldest().await {
                    tokio::time::sleep(AFTER_REFUSAL).await;
                }
            }
        }
    }
}

/// The connections that are open, the oldest first.
#[derive(Debug, Default)]
struct Connections(VecDeque<Connection>);

#[derive(Debug)]
struct Connection {
    task: JoinHandle<()>,
    since: Instant,
}

impl Connections {
    /// Begins a connection. Where there are too many, the oldest is closed for it.
    async fn add(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        self.forget_ended();
        if self.0.len() >= CONNECTIONS {
            self.close_oldest().await;
        }
        self.0.push_back(Connection { task: tokio::spawn(connection), since: Instant::now() });
    }

    /// Closes the oldest connection, once it has had its [`GRACE`], and says whether there was one.
    async fn close_oldest(&mut self) -> bool {
        self.forget_ended();
        let Some(oldest) = self.0.pop_front() else { return false };
        tokio::time::sleep_until(oldest.since + GRACE).await;
        oldest.task.abort();
        // Closed is what has ended, so that never more are open than are counted. How it ended does not matter.
        let _ = oldest.task.await;
        true
    }

    fn forget_ended(&mut self) {
        self.0.retain(|connection| !connection.task.is_finished());
    }
}

async fn converse(stream: TcpStream, service: TowerToHyperService<Router>) {
    let connection = http1::Builder::new().keep_alive(false).max_buf_size(REQUEST).serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(PATIENCE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a connection to the health server ended early"),
        Err(_) => debug!("a connection to the health server took too long"),
    }
}

fn routes(asked: Asked) -> Router {
    Router::new()
        .route("/livez", get(|State(asked): State<Asked>| async move { verdict(alive(&asked)) }))
        .route("/readyz", get(|State(asked): State<Asked>| async move { verdict(ready(&asked)) }))
        .method_not_allowed_fallback(|| async { answer(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only") })
        .fallback(|| async { answer(StatusCode::NOT_FOUND, "there are /livez and /readyz") })
        .with_state(asked)
}

/// A status, headers and a line of text.
type Answer = (StatusCode, [(HeaderName, &'static str); 1], String);

fn answer(status: StatusCode, text: &str) -> Answer {
    (status, [(CACHE_CONTROL, "no-store")], format!("{text}\n"))
}

fn verdict(fault: Option<String>) -> Answer {
    fault.map_or_else(|| answer(StatusCode::OK, "ok"), |fault| answer(StatusCode::SERVICE_UNAVAILABLE, &fault))
}

/// Why the process is not alive, if it is not. It is logged, too: the kubelet tells nobody more than the status.
fn alive(asked: &Asked) -> Option<String> {
    let fault = asked.health.stuck()?;
    error!(fault, "stuck, and to be restarted");
    Some(format!("stuck: {fault}"))
}

/// Why the process is not ready, if it is not.
fn ready(asked: &Asked) -> Option<String> {
    if *asked.stopping.borrow() {
        return Some("stopping".into());
    }
    let unlisted = asked.health.unlisted();
    (!unlisted.is_empty()).then(|| format!("starting: not listed yet: {}", unlisted.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::Body;
    use axum::http::{Method, Request};
    use http_body_util::BodyExt;
    use rolebridge_testbed::{Siege, http};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::watch;
    use tower::ServiceExt;

    use super::*;

    async fn ask(method: Method, path: &str, asked: &Asked) -> anyhow::Result<(u16, String)> {
        let request = Request::builder().method(method).uri(path).body(Body::empty())?;
        let response = routes(asked.clone()).oneshot(request).await?;
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    #[tokio::test]
    async fn ready_means_listed_and_not_stopping() -> anyhow::Result<()> {
        let (stop, stopping) = watch::channel(false);
        let starting = Asked { health: Health::new(&["BastionUser"]), stopping: stopping.clone() };
        assert_eq!(ask(Method::GET, "/readyz", &starting).await?, (503, "starting: not listed yet: BastionUser\n".into()));
        assert_eq!(ask(Method::GET, "/livez", &starting).await?, (200, "ok\n".into()), "who waits for the API server is alive");
        let listed = Asked { health: Health::new(&[]), stopping };
        assert_eq!(ask(Method::GET, "/readyz", &listed).await?, (200, "ok\n".into()));
        assert_eq!(ask(Method::HEAD, "/readyz", &listed).await?, (200, String::new()));
        assert!(stop.send(true).is_ok());
        assert_eq!(ask(Method::GET, "/readyz", &listed).await?, (503, "stopping\n".into()));
        assert_eq!(ask(Method::GET, "/livez", &listed).await?, (200, "ok\n".into()), "who ends in order is alive");
        Ok(())
    }

    #[tokio::test]
    async fn nothing_else_is_served() -> anyhow::Result<()> {
        let (_stop, stopping) = watch::channel(false);
        let asked = Asked { health: Health::new(&[]), stopping };
        assert_eq!(ask(Method::GET, "/", &asked).await?, (404, "there are /livez and /readyz\n".into()));
        assert_eq!(ask(Method::GET, "/metrics", &asked).await?.0, 404);
        assert_eq!(ask(Method::POST, "/readyz", &asked).await?, (405, "GET and HEAD only\n".into()));
        Ok(())
    }

    /// A server on a port of its own, which ends with the test.
    struct Serving {
        address: SocketAddr,
        _stop: watch::Sender<bool>,
    }

    impl Serving {
        async fn begin() -> anyhow::Result<Self> {
            let (_stop, stopping) = watch::channel(false);
            let listener = listen(([127, 0, 0, 1], 0).into()).await?;
            let address = listener.local_addr()?;
            tokio::spawn(serve(listener, Asked { health: Health::new(&[]), stopping }));
            Ok(Self { address, _stop })
        }

        /// Fails where there is no answer in the second that a probe has by default.
        async fn ensure_probed(&self) -> anyhow::Result<()> {
            for path in ["/livez", "/readyz"] {
                let asked = async { http::ask(&format!("http://{}{path}", self.address)).await };
                let answer = tokio::time::timeout(Duration::from_secs(1), asked).await??;
                anyhow::ensure!(answer == (200, "ok\n".to_owned()), "{answer:?}");
            }
            Ok(())
        }

        /// What is answered to these bytes until the connection is closed, which it is though the client does not close it.
        async fn answer_to(&self, bytes: &[u8]) -> anyhow::Result<String> {
            let mut stream = TcpStream::connect(self.address).await?;
            // Neither of these succeeds where the server has closed already, having read enough.
            let _ = stream.write_all(bytes).await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        }
    }

    #[tokio::test]
    async fn a_thousand_that_hold_connections_keep_no_probe_from_an_answer() -> anyhow::Result<()> {
        let serving = Serving::begin().await?;
        let _siege = Siege::lay(serving.address).await?;
        for _ in 0..20 {
            serving.ensure_probed().await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_connection_is_closed_after_the_answer() -> anyhow::Result<()> {
        let serving = Serving::begin().await?;
        let answer = serving.answer_to(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: keep-alive\r\n\r\n").await?;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
        let with_body = serving.answer_to(b"POST /readyz HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000000\r\n\r\nx").await?;
        assert!(with_body.starts_with("HTTP/1.1 405 "), "{with_body}");
        Ok(())
    }

    #[tokio::test]
    async fn what_is_no_request_or_has_no_end_is_closed() -> anyhow::Result<()> {
        let serving = Serving::begin().await?;
        let too_long = format!("GET /livez HTTP/1.1\r\nhost: localhost\r\nlong: {}", "x".repeat(2 * REQUEST));
        let too_many = format!("GET /livez HTTP/1.1\r\n{}", "a: b\r\n".repeat(1000));
        let garbage: [&[u8]; 6] =
            [b"\0\xff\x16\x03\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[0xff; 1 << 20], too_long.as_bytes(), too_many.as_bytes(), b""];
        for bytes in garbage {
            let answer = serving.answer_to(bytes).await?;
            assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
            serving.ensure_probed().await?;
        }
        Ok(())
    }

    #[tokio::test]
    async fn who_sends_slowly_is_closed() -> anyhow::Result<()> {
        let serving = Serving::begin().await?;
        let (mut reads, mut writes) = TcpStream::connect(serving.address).await?.into_split();
        let slowly = async {
            while writes.write_all(b"G").await.is_ok() {
                tokio::time::sleep(PATIENCE / 10).await;
            }
        };
        let (_, read) = tokio::join!(slowly, async { reads.read(&mut [0]).await.unwrap_or_default() });
        assert_eq!(read, 0, "it was closed without an answer");
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_connection_is_closed_for_a_newcomer_and_no_other() {
        let mut open = Connections::default();
        let held: Vec<_> = (0..CONNECTIONS).map(|_| Arc::new(())).collect();
        let begun = Instant::now();
        for held in held.iter().cloned() {
            open.add(async move {
                std::future::pending::<()>().await;
                drop(held);
            })
            .await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO, "while there are places nobody waits");
        assert!(held.iter().all(|held| Arc::strong_count(held) == 2));
        open.add(std::future::pending()).await;
        assert!(begun.elapsed() >= GRACE, "the oldest had its time");
        let closed: Vec<_> = held.iter().map(|held| Arc::strong_count(held) == 1).collect();
        assert!(closed[0] && !closed[1..].contains(&true));
        assert_eq!(open.0.len(), CONNECTIONS);
    }

    #[tokio::test]
    async fn a_connection_that_has_ended_takes_no_place() {
        let mut open = Connections::default();
        open.add(std::future::ready(())).await;
        while !open.0.iter().all(|connection| connection.task.is_finished()) {
            tokio::task::yield_now().await;
        }
        assert!(!open.close_oldest().await, "there is nothing to close");
        assert!(open.0.is_empty());
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_named() -> anyhow::Result<()> {
        let taken = listen(([127, 0, 0, 1], 0).into()).await?;
        let address = taken.local_addr()?;
        let error = listen(address).await.err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(error.contains(&address.to_string()) && error.contains("--health-address"), "{error}");
        Ok(())
    }
}
