//! The health of the process over HTTP, for the kubelet: `/livez` and `/readyz`.
//!
//! - `/readyz` is 200 while every watched kind is listed and the process is not ending, and otherwise 503 with what is missing.
//! - `/livez` is 503 only where a restart would help and nothing else: the controller's task is blocked, or the reconciles of a kind stand
//!   still with every place taken. An API server or an AWS that does not answer is no reason. Requests are answered on the runtime that the
//!   controller runs on: where that runs no tasks any more, there is no answer, and a probe takes that for a failure too.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::sync::watch::Receiver;
use tracing::{debug, error, info};

use crate::controller::Health;

/// Connections at a time: a kubelet has one or two.
const CONNECTIONS: usize = 32;
/// How long a connection may take in all; a request is one line, and its answer too.
const PATIENCE: Duration = Duration::from_secs(2);
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
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}, set by --health-address"))?;
    info!(health_address = %listener.local_addr()?, "health is served");
    Ok(listener)
}

/// Answers for as long as it is polled.
pub async fn serve(listener: TcpListener, asked: Asked) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let asked = asked.clone();
                tokio::spawn(async move {
                    converse(stream, asked).await;
                    drop(place);
                });
            }
            Err(error) => {
                debug!(%error, "a connection to the health server was not accepted");
                tokio::time::sleep(AFTER_REFUSAL).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, asked: Asked) {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer(request.method(), request.uri().path(), &asked);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(PATIENCE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a connection to the health server ended early"),
        Err(_) => debug!("a connection to the health server took too long"),
    }
}

fn answer(method: &Method, path: &str, asked: &Asked) -> Response<Full<Bytes>> {
    let (status, text) = match (path, *method == Method::GET || *method == Method::HEAD) {
        ("/livez", true) => verdict(alive(asked)),
        ("/readyz", true) => verdict(ready(asked)),
        ("/livez" | "/readyz", false) => (StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only".into()),
        _ => (StatusCode::NOT_FOUND, "there are /livez and /readyz".into()),
    };
    let mut response = Response::new(Full::from(text + "\n"));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn verdict(fault: Option<String>) -> (StatusCode, String) {
    fault.map_or_else(|| (StatusCode::OK, "ok".into()), |fault| (StatusCode::SERVICE_UNAVAILABLE, fault))
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
    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::watch;

    use super::*;

    async fn ask(method: Method, path: &str, asked: &Asked) -> (u16, String) {
        let response = answer(&method, path, asked);
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn ready_means_listed_and_not_stopping() {
        let (stop, stopping) = watch::channel(false);
        let starting = Asked { health: Health::new(&["BastionUser"]), stopping: stopping.clone() };
        assert_eq!(ask(Method::GET, "/readyz", &starting).await, (503, "starting: not listed yet: BastionUser\n".into()));
        assert_eq!(ask(Method::GET, "/livez", &starting).await, (200, "ok\n".into()), "who waits for the API server is alive");
        let listed = Asked { health: Health::new(&[]), stopping };
        assert_eq!(ask(Method::GET, "/readyz", &listed).await, (200, "ok\n".into()));
        assert_eq!(ask(Method::HEAD, "/readyz", &listed).await.0, 200);
        assert!(stop.send(true).is_ok());
        assert_eq!(ask(Method::GET, "/readyz", &listed).await, (503, "stopping\n".into()));
        assert_eq!(ask(Method::GET, "/livez", &listed).await, (200, "ok\n".into()), "who ends in order is alive");
    }

    #[tokio::test]
    async fn nothing_else_is_served() {
        let (_stop, stopping) = watch::channel(false);
        let asked = Asked { health: Health::new(&[]), stopping };
        assert_eq!(ask(Method::GET, "/", &asked).await.0, 404);
        assert_eq!(ask(Method::GET, "/metrics", &asked).await.0, 404);
        assert_eq!(ask(Method::POST, "/readyz", &asked).await.0, 405);
    }

    #[tokio::test]
    async fn who_is_silent_keeps_nobody_else_from_an_answer() -> anyhow::Result<()> {
        let (_stop, stopping) = watch::channel(false);
        let listener = listen(([127, 0, 0, 1], 0).into()).await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(serve(listener, Asked { health: Health::new(&[]), stopping }));
        let _silent = TcpStream::connect(address).await?;
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        server.abort();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
        Ok(())
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
