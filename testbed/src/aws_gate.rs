//! A way to the simulated AWS on which the list of an account's entities may come in part: as AWS might answer that does not have it all at hand.

use std::{convert::Infallible, sync::Arc};

use anyhow::{Context, Result};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    client, server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

const LIST: &str = "GetAccountAuthorizationDetails";
const EMPTY: &str = "<GetAccountAuthorizationDetailsResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">\
    <GetAccountAuthorizationDetailsResult><IsTruncated>false</IsTruncated><UserDetailList/><GroupDetailList/><RoleDetailList/><Policies/>\
    </GetAccountAuthorizationDetailsResult><ResponseMetadata><RequestId>empty</RequestId></ResponseMetadata>\
    </GetAccountAuthorizationDetailsResponse>";

/// How much of an account's entities `GetAccountAuthorizationDetails` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All of them.
    All,
    /// The first page, which says that it is the last.
    FirstPage,
    /// None.
    Nothing,
}

/// A running proxy, closed when dropped. It belongs to the tokio runtime that it was started in.
#[derive(Debug)]
pub struct AwsGate {
    url: String,
    shown: Arc<watch::Sender<Shown>>,
    server: JoinHandle<()>,
}

impl AwsGate {
    /// Starts a proxy for the simulator at this URL. Signatures go through as they are.
    pub async fn start(aws: &str) -> Result<Self> {
        let authority = aws.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let shown = Arc::new(watch::Sender::new(Shown::All));
        let server = tokio::spawn(serve(listener, authority, shown.clone()));
        Ok(Self { url, shown, server })
    }

    /// Where AWS is to be reached this way.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on, so much is shown.
    pub fn show(&self, shown: Shown) {
        self.shown.send_replace(shown);
    }
}

impl Drop for AwsGate {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, authority: String, shown: Arc<watch::Sender<Shown>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (authority, shown) = (authority.clone(), shown.clone());
        let answer = service_fn(move |request| {
            let (authority, shown) = (authority.clone(), *shown.borrow());
            async move { Ok::<_, Infallible>(forward(request, &authority, shown).await.unwrap_or_else(|error| unavailable(&error))) }
        });
        // How the connection ends is for its two ends to tell.
        tokio::spawn(async move { server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await });
    }
}

async fn forward(request: Request<Incoming>, authority: &str, shown: Shown) -> Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let lists = String::from_utf8_lossy(&body).split('&').any(|field| field == format!("Action={LIST}"));
    let stream = TcpStream::connect(authority).await.with_context(|| format!("connecting to {authority}"))?;
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (mut head, body) = sender.send_request(Request::from_parts(head, Full::new(body))).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    let body = match shown {
        Shown::Nothing if lists && head.status.is_success() => Bytes::from_static(EMPTY.as_bytes()),
        Shown::FirstPage if lists => {
            String::from_utf8_lossy(&body).replace("<IsTruncated>true</IsTruncated>", "<IsTruncated>false</IsTruncated>").into()
        }
        _ => body,
    };
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove(header::TRANSFER_ENCODING);
    Ok(Response::from_parts(head, Full::new(body)))
}

fn unavailable(error: &anyhow::Error) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(format!("{error:#}").into()));
    *answer.status_mut() = StatusCode::BAD_GATEWAY;
    answer
}
