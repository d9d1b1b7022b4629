//! A way to the API server that can be disturbed: a proxy without TLS that holds a chosen write, before or after it takes effect, so that its client
//! can be killed there; that breaks off watches and lets none come about; and that breaks off an answer in its middle.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result, bail};
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

/// Which write is held, whether watches are shut out, whose answer is cut, and what has come through.
#[derive(Debug)]
struct Gate {
    writes: AtomicU64,
    held: AtomicU64,
    order: watch::Sender<Option<(u64, FaultWhen)>>,
    watches_are_shut: watch::Sender<bool>,
    to_be_cut: watch::Sender<Option<String>>,
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

    /// Waits until watches are shut out while there is one on this connection.
    async fn cut_off(&self, watching: &AtomicBool) {
        let mut shut = self.watches_are_shut.subscribe();
        while shut.wait_for(|shut| *shut).await.is_ok() && !watching.load(Ordering::SeqCst) {
            // The gate stays for as long as its connections do, so this waits for a change.
            let _ = shut.changed().await;
        }
    }

    /// Whether the answer to this request is to be cut; the next one is not any more.
    fn cuts(&self, request: &Request<Body>) -> bool {
        self.to_be_cut.send_if_modified(|path| path.take_if(|path| request.uri().path().contains(path.as_str())).is_some())
    }
}

fn is_watch<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET && request.uri().query().is_some_and(|query| query.split('&').any(|part| part == "watch=true"))
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
        let gate = Arc::new(Gate {
            writes: AtomicU64::new(0),
            held: AtomicU64::new(0),
            order: watch::Sender::new(None),
            watches_are_shut: watch::Sender::new(false),
            to_be_cut: watch::Sender::new(None),
        });
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

    /// Breaks off all watches, and refuses new ones until [`ApiGate::let_watches_in`].
    pub fn shut_watches_out(&self) {
        self.gate.watches_are_shut.send_replace(true);
    }

    /// Lets watches come about again.
    pub fn let_watches_in(&self) {
        self.gate.watches_are_shut.send_replace(false);
    }

    /// Cuts the next answer to a read below a path, such as `/bastionusers`, in its middle. No watch is such a read.
    pub fn cut_next(&self, path: &str) {
        self.gate.to_be_cut.send_replace(Some(path.to_owned()));
    }

    /// Whether an answer that was to be cut has not come yet.
    pub fn is_about_to_cut(&self) -> bool {
        self.gate.to_be_cut.borrow().is_some()
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
    let watching = AtomicBool::new(false);
    let answer = service_fn(|request| {
        watching.store(is_watch(&request), Ordering::SeqCst);
        let (client, gate) = (client.clone(), gate.clone());
        async move { Ok::<_, Infallible>(forward(request, &client, &gate).await.unwrap_or_else(|error| unavailable(&error))) }
    });
    tokio::select! {
        // How the connection ends is for its two ends to tell.
        _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer) => {}
        () = gate.cut_off(&watching) => {}
    }
}

async fn forward(request: Request<Incoming>, client: &Client, gate: &Gate) -> Result<Response<Body>> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    for name in [header::HOST, header::AUTHORIZATION, header::CONNECTION] {
        head.headers.remove(name);
    }
    let request = Request::from_parts(head, Body::from(body.to_vec()));
    if is_watch(&request) {
        if *gate.watches_are_shut.borrow() {
            bail!("watches are shut out");
        }
        return Ok(client.send(request).await?);
    }
    if request.method() == Method::GET {
        let is_cut = gate.cuts(&request);
        let answer = client.send(request).await?;
        return if is_cut { first_half(answer).await } else { Ok(answer) };
    }
    let number = gate.writes.fetch_add(1, Ordering::SeqCst) + 1;
    gate.pass(number, FaultWhen::Before).await;
    let answer = client.send(request).await?;
    gate.pass(number, FaultWhen::After).await;
    Ok(answer)
}

/// The length is adjusted: what is missing is the end of the document, not of the message.
async fn first_half(answer: Response<Body>) -> Result<Response<Body>> {
    let (mut head, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    head.headers.remove(header::CONTENT_LENGTH);
    Ok(Response::from_parts(head, Body::from(body.slice(..body.len() / 2).to_vec())))
}

fn unavailable(error: &anyhow::Error) -> Response<Body> {
    let mut answer = Response::new(Body::from(format!("{error:#}").into_bytes()));
    *answer.status_mut() = StatusCode::BAD_GATEWAY;
    answer
}
