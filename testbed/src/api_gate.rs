//! A way to the API server that can be shut: a proxy without TLS that holds a chosen write, before or after it takes effect, so that its client can
//! be killed there.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::{Client, client::Body};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::aws_sim::FaultWhen;

/// A running proxy, closed when dropped. It belongs to the tokio runtime that it was started in.
#[derive(Debug)]
pub struct ApiGate {
    kubeconfig: PathBuf,
    gate: Arc<Gate>,
    server: JoinHandle<()>,
}

/// Which write is held, and what has come through.
#[derive(Debug)]
struct Gate {
    writes: AtomicU64,
    held: AtomicU64,
    order: watch::Sender<Option<(u64, FaultWhen)>>,
}

/// Counts a write as held while it waits, also when its client goes away.
struct Held<'a>(&'a AtomicU64);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Gate {
    /// Waits while this write is to be held at this moment.
    async fn pass(&self, number: u64, moment: FaultWhen) {
        let shut = Some((number, moment));
        let mut order = self.order.subscribe();
        if *order.borrow_and_update() != shut {
            return;
        }
        self.held.fetch_add(1, Ordering::SeqCst);
        let _held = Held(&self.held);
        // An error means that the gate is gone, and the connection with it.
        let _ = order.wait_for(|order| *order != shut).await;
    }
}

impl ApiGate {
    /// Starts a proxy for what `client` may do; whoever comes through needs no credentials. Writes a kubeconfig for it into `dir`.
    pub async fn start(client: Client, dir: &Path) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let server = json!({"server": format!("http://{}", listener.local_addr()?)});
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "gate",
            "contexts": [{"name": "gate", "context": {"cluster": "gate", "user": "gate"}}],
            "clusters": [{"name": "gate", "cluster": server}],
            "users": [{"name": "gate", "user": {}}],
        });
        let kubeconfig = dir.join("gate.kubeconfig");
        std::fs::write(&kubeconfig, config.to_string()).with_context(|| format!("writing {}", kubeconfig.display()))?;
        let gate = Arc::new(Gate { writes: AtomicU64::new(0), held: AtomicU64::new(0), order: watch::Sender::new(None) });
        let server = tokio::spawn(serve(listener, client, gate.clone()));
        Ok(Self { kubeconfig, gate, server })
    }

    /// For clients that are to come this way.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// How many writes have come so far.
    pub fn writes(&self) -> u64 {
        self.gate.writes.load(Ordering::SeqCst)
    }

    /// Holds the `nth` write from now on, counted from 1, before or after it takes effect; no other any more.
    pub fn hold(&self, nth: u64, when: FaultWhen) {
        self.gate.order.send_replace(Some((self.writes() + nth, when)));
    }

    /// Holds nothing any more; what is held goes on.
    pub fn open(&self) {
        self.gate.order.send_replace(None);
    }

    /// Whether a write is held now.
    pub fn is_holding(&self) -> bool {
        self.gate.held.load(Ordering::SeqCst) > 0
    }
}

impl Drop for ApiGate {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, client: Client, gate: Arc<Gate>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream, client.clone(), gate.clone()));
    }
}

/// The conversation on one connection. What is under way is dropped when the client goes away.
async fn converse(stream: TcpStream, client: Client, gate: Arc<Gate>) {
    let answer = service_fn(|request| {
        let (client, gate) = (client.clone(), gate.clone());
        async move { Ok::<_, Infallible>(forward(request, &client, &gate).await.unwrap_or_else(|error| unavailable(&error))) }
    });
    // How the connection ends is for its two ends to tell.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

async fn forward(request: Request<Incoming>, client: &Client, gate: &Gate) -> Result<Response<Body>> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    for name in [header::HOST, header::AUTHORIZATION, header::CONNECTION] {
        head.headers.remove(name);
    }
    let request = Request::from_parts(head, Body::from(body.to_vec()));
    if request.method() == Method::GET {
        return Ok(client.send(request).await?);
    }
    let number = gate.writes.fetch_add(1, Ordering::SeqCst) + 1;
    gate.pass(number, FaultWhen::Before).await;
    let answer = client.send(request).await?;
    gate.pass(number, FaultWhen::After).await;
    Ok(answer)
}

fn unavailable(error: &anyhow::Error) -> Response<Body> {
    let mut answer = Response::new(Body::from(format!("{error:#}").into_bytes()));
    *answer.status_mut() = StatusCode::BAD_GATEWAY;
    answer
}
