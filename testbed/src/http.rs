//! A plain HTTP client for servers on the loopback interface. Each request has a connection of its own, so nothing is tied
//! to the runtime of the test that came first.

use anyhow::{Context, Result, bail};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;

/// Sends a request without a body and returns the body of the answer. A status other than 2xx is an error that holds the body.
pub async fn get_text(url: &str) -> Result<String> {
    send(Method::GET, url, None).await
}

/// Sends a request without a body and returns the status and the body of the answer, whatever the status is.
pub async fn ask(url: &str) -> Result<(u16, String)> {
    let (status, text) = exchange(Method::GET, url, None).await?;
    Ok((status.as_u16(), text))
}

/// Sends `body` as JSON and decodes the answer, of which an empty one counts as `null`. A status other than 2xx is an error.
pub async fn send_json<T: DeserializeOwned>(method: Method, url: &str, body: Option<&Value>) -> Result<T> {
    let text = send(method.clone(), url, body).await?;
    let json = if text.trim().is_empty() { "null" } else { &text };
    serde_json::from_str(json).with_context(|| format!("{method} {url} answered what was not expected: {json:.500}"))
}

async fn send(method: Method, url: &str, body: Option<&Value>) -> Result<String> {
    let (status, text) = exchange(method.clone(), url, body).await?;
    if !status.is_success() {
        bail!("{method} {url} answered {status}: {text}");
    }
    Ok(text)
}

async fn exchange(method: Method, url: &str, body: Option<&Value>) -> Result<(StatusCode, String)> {
    let uri: http::Uri = url.parse().with_context(|| format!("not a URL: {url}"))?;
    let authority = uri.authority().with_context(|| format!("no host in {url}"))?.to_string();
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let request = Request::builder()
        .method(method.clone())
        .uri(target)
        .header(header::HOST, &authority)
        .header(header::CONNECTION, "close")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.map(Value::to_string).unwrap_or_default())))?;
    let exchange = async {
        let stream = TcpStream::connect(&authority).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let answer = async {
            let (head, body) = sender.send_request(request).await?.into_parts();
            anyhow::Ok((head.status, body.collect().await?.to_bytes()))
        };
        tokio::pin!(answer);
        // The connection is driven here and ends after the answer; its own errors show in the answer.
        tokio::select! {
            answer = &mut answer => answer,
            _ = connection => answer.await,
        }
    };
    let (status, bytes) = exchange.await.with_context(|| format!("{method} {url}"))?;
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
}
