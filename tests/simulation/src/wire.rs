//! The way from kube's client to the API server of the world: delays, faults, and watches that are read line by line.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use http::{Request as HTTPRequest, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep, sleep_until};

use crate::api_server::{Answer, Request};
use crate::random::Random;
use crate::resources::Key;
use crate::schedule::{Refusal, Strike};
use crate::world::{Life, World, short};

type Reply = Response<StreamBody<BoxStream<'static, Result<Frame<Bytes>, io::Error>>>>;

/// Longest time that an event of a watch is on its way, in milliseconds.
const EVENT: u64 = 15;
/// The same of a slow one.
const SLOW_EVENT: u64 = 2_000;

/// A client for one life of the operator.
pub fn client(world: &World, life: &Life) -> Client {
    Client::new(Wire { world: world.clone(), life: life.clone() }, "rolebridge-system")
}

#[derive(Clone)]
struct Wire {
    world: World,
    life: Life,
}

/// The resource whose status is at a path.
fn status_of(path: &str) -> Option<Key> {
    let (at, name) = path.strip_suffix("/status")?.rsplit_once('/')?;
    let (at, plural) = at.rsplit_once('/')?;
    let namespace = at.rsplit_once('/').map(|(_, last)| last).filter(|_| at.contains("/namespaces/")).unwrap_or_default();
    let kind = match plural {
        "bastionusers" => "BastionUser",
        "crossaccountroles" => "CrossAccountRole",
        _ => "AWSAccount",
    };
    Some(format!("{kind}/{namespace}/{name}"))
}

impl Wire {
    async fn call(self, request: HTTPRequest<Body>) -> Result<Reply, io::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (method, path, query) = (head.method.as_str(), head.uri.path(), head.uri.query().unwrap_or_default());
        let is_watch = query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"));
        let what = format!("{} {path}", if is_watch { "WATCH" } else { method });
        let (call, fate) = self.world.begin(&self.life, what).await;
        let away = self.world.lock().api_is_away_until.filter(|until| *until > Instant::now());
        if let Some(until) = away {
            self.world.lock().trace.say(format_args!("life {} {call}: nobody answers", self.life.number));
            sleep_until(until.min(Instant::now() + Duration::from_secs(2))).await;
            self.life.goes_on().await;
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "the API server is away"));
        }
        let answer = {
            let state = &mut *self.world.lock();
            let answer = match fate.strike {
                Some(Strike::Refused(refusal)) => refused(refusal, method),
                _ => {
                    let request = Request { method, path, query, accept: header("accept"), content_type: header("content-type"), body: &body };
                    let answer = state.api.answer(&request);
                    if method != "GET" {
                        let is_event = path.contains("/events");
                        *(if is_event { &mut state.calls.events } else { &mut state.calls.kubernetes_writes }) += 1;
                        let now = state.now();
                        if let Some(of) = status_of(path).filter(|_| matches!(answer, Answer::Whole { code: 200, .. })) {
                            state.checker.told_by.insert(of, self.life.number);
                        }
                        state.checker.kubernetes_changed(&state.api, &state.cloud, now, Some(self.life.number));
                    }
                    answer
                }
            };
            let code = if let Answer::Whole { code, .. } = &answer { *code } else { 200 };
            if method == "GET" && fate.strike.is_some() {
                let now = state.now();
                state.checker.view_disturbed(now);
            }
            let ending = fate.strike.map(|strike| format!(", {strike}")).unwrap_or_default();
            state.trace.say(format_args!("life {} {call} {:08x} {code}{ending}", self.life.number, short(&body)));
            if !body.is_empty() {
                state.trace.tell(|| String::from_utf8_lossy(&body).into_owned());
            }
            answer
        };
        self.world.end(&self.life, &call, &fate).await;
        if fate.strike == Some(Strike::ReplyLost) {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "the reply was lost"));
        }
        Ok(match answer {
            Answer::Whole { code, body } => whole(code, body),
            Answer::Watch(events) => self.watch(events, fate.random),
        })
    }

    fn watch(self, events: UnboundedReceiver<String>, random: Random) -> Reply {
        let lines = stream::unfold((events, self, random), |(mut events, wire, mut random)| async move {
            let line = events.recv().await?;
            let slow = random.one_in(30) && !wire.world.lock().is_calm;
            sleep(Duration::from_millis(random.below(if slow { SLOW_EVENT } else { EVENT }))).await;
            wire.life.goes_on().await;
            Some((Ok(Frame::data(Bytes::from(line))), (events, wire, random)))
        });
        Response::new(StreamBody::new(lines.boxed()))
    }
}

/// What the API server answers where the schedule has it refuse.
fn refused(refusal: Refusal, method: &str) -> Answer {
    let (code, reason) = match refusal {
        // Reads meet no conflicts.
        Refusal::Conflict if method != "GET" => (409, "Conflict"),
        Refusal::Throttled => (429, "TooManyRequests"),
        Refusal::Conflict | Refusal::Error | Refusal::Denied => (500, "InternalError"),
    };
    let status = json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": code, "reason": reason, "message": "by the schedule"});
    Answer::Whole { code, body: status.to_string() }
}

fn whole(code: u16, body: String) -> Reply {
    let frames = stream::iter([Ok(Frame::data(Bytes::from(body)))]).boxed();
    let mut response = Response::new(StreamBody::new(frames));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

impl tower::Service<HTTPRequest<Body>> for Wire {
    type Response = Reply;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HTTPRequest<Body>) -> Self::Future {
        Box::pin(self.clone().call(request))
    }
}
