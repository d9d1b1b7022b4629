//! The real API server and the model of it, which are asked the same.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt;
use http_body_util::BodyExt;
use kube::{
    Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use rolebridge::api::crds;
use rolebridge_simulation::api_server::{Answer, ApiServer, Request};
use rolebridge_testbed::{ControlPlane, ControlPlaneOptions, command::run_with_input};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How long an event of the real server may take.
const ARRIVAL: Duration = Duration::from_secs(60);

/// A pause before the real server is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Something that each of the two has.
#[derive(Clone, Debug, Default)]
pub struct Pair<T> {
    pub real: T,
    pub model: T,
}

impl<T> Pair<T> {
    /// The same of each, made by one function.
    pub fn map<R>(&self, f: impl Fn(&T) -> R) -> Pair<R> {
        Pair { real: f(&self.real), model: f(&self.model) }
    }
}

/// A request.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: &'static str,
    pub path: String,
    pub query: String,
    pub accept: &'static str,
    pub content_type: &'static str,
    pub body: Option<Value>,
}

impl Call {
    /// A GET.
    pub fn get(path: &str, query: &str, accept: &'static str) -> Self {
        Self { method: "GET", path: path.to_owned(), query: query.to_owned(), accept, content_type: "", body: None }
    }

    fn text(&self) -> String {
        self.body.as_ref().map(Value::to_string).unwrap_or_default()
    }
}

/// A code and a body.
pub type Answered = (u16, Value);

/// A watch: one event a line.
pub type Events = UnboundedReceiver<String>;

/// Both servers.
pub struct Servers {
    control_plane: ControlPlane,
    client: kube::Client,
    pub model: ApiServer,
}

impl Servers {
    /// Starts a control plane without anything but the kinds of the project.
    pub async fn start(options: ControlPlaneOptions) -> Result<Self> {
        let control_plane = ControlPlane::start(options).await?;
        let kubeconfig = Kubeconfig::read_from(control_plane.kubeconfig())?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        // What is refused is compared too.
        config.default_retry = false;
        let client = kube::Client::try_from(config)?;
        let definitions = crds()?.into_iter().map(|crd| Ok(serde_json::to_string(&crd)?)).collect::<Result<Vec<_>>>()?.join("\n---\n");
        let mut kubectl = control_plane.kubectl();
        kubectl.args(["create", "--filename", "-"]);
        run_with_input(kubectl, Some(&definitions)).await?;
        let mut kubectl = control_plane.kubectl();
        kubectl.args(["wait", "--for=condition=Established", "--timeout=120s", "crd", "--all"]);
        run_with_input(kubectl, None).await.context("the resources are not served")?;
        Ok(Self { control_plane, client, model: ApiServer::new() })
    }

    /// Asks both, the real one first.
    pub async fn ask(&mut self, call: &Pair<Call>) -> Result<Pair<Answered>> {
        let real = ask_real(&self.client, &call.real).await?;
        let Answer::Whole { code, body } = self.ask_model(&call.model) else { anyhow::bail!("{:?} is a watch", call.model) };
        Ok(Pair { real, model: (code, serde_json::from_str(&body)?) })
    }

    fn ask_model(&mut self, call: &Call) -> Answer {
        let text = call.text();
        let Call { method, path, query, accept, content_type, .. } = call;
        self.model.answer(&Request { method, path, query, accept, content_type, body: text.as_bytes() })
    }

    /// Opens a watch at both. The real one is read by a task of its own.
    pub async fn watch(&mut self, call: &Pair<Call>) -> Result<Pair<Events>> {
        let answer = send(&self.client, &call.real).await?;
        let code = answer.status().as_u16();
        anyhow::ensure!(code == 200, "{code} for {:?}", call.real);
        let (sender, real) = unbounded_channel();
        tokio::spawn(read_lines(answer.into_body(), sender));
        match self.ask_model(&call.model) {
            Answer::Watch(model) => Ok(Pair { real, model }),
            Answer::Whole { code, body } => anyhow::bail!("{code} {body} for {:?}", call.model),
        }
    }

    /// Has both forget what happened before. The real one forgets what it has in memory only when it starts again. Watches end with that.
    pub async fn forget(&mut self, version: &str) -> Result<()> {
        self.control_plane.stop_api_server();
        self.control_plane.compact(version).await?;
        self.control_plane.start_api_server().await?;
        self.model.cut_watches();
        self.model.compact();
        Ok(())
    }
}

async fn ask_real(client: &kube::Client, call: &Call) -> Result<Answered> {
    let answer = send(client, call).await?;
    let code = answer.status().as_u16();
    let bytes = answer.into_body().collect().await?.to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into());
    Ok((code, body))
}

/// Asks until the real server has read into its memory what it is asked for.
async fn send(client: &kube::Client, call: &Call) -> Result<hyper::Response<Body>> {
    loop {
        let answer = client.send(request(call)?).await?;
        if answer.status() != hyper::StatusCode::TOO_MANY_REQUESTS {
            return Ok(answer);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn request(call: &Call) -> Result<hyper::Request<Body>> {
    let uri = if call.query.is_empty() { call.path.clone() } else { format!("{}?{}", call.path, call.query) };
    let mut request = hyper::Request::builder().method(call.method).uri(uri).header("accept", call.accept);
    if !call.content_type.is_empty() {
        request = request.header("content-type", call.content_type);
    }
    Ok(request.body(Body::from(call.text().into_bytes()))?)
}

async fn read_lines(body: Body, lines: UnboundedSender<String>) {
    let mut stream = body.into_data_stream();
    let mut buffer = Vec::new();
    while let Some(Ok(bytes)) = stream.next().await {
        buffer.extend_from_slice(&bytes);
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            if lines.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    }
}

/// The next `count` events of a real watch that are meant.
pub async fn next(events: &mut Events, count: usize, is_meant: impl Fn(&Value) -> bool) -> Result<Vec<Value>> {
    let mut found = vec![];
    while found.len() < count {
        let line = tokio::time::timeout(ARRIVAL, events.recv()).await.with_context(|| format!("{} events of {count} came", found.len()))?;
        let event: Value = serde_json::from_str(&line.context("the watch has ended")?)?;
        if is_meant(&event) {
            found.push(event);
        }
    }
    Ok(found)
}

/// The events that are there.
pub fn waiting(events: &mut Events) -> Result<Vec<Value>> {
    std::iter::from_fn(|| events.try_recv().ok()).map(|line| Ok(serde_json::from_str(&line)?)).collect()
}
