//! From HTTP to a call, and from an outcome back to HTTP, in the query protocol (IAM, STS) and REST-XML (S3).

use std::{collections::HashMap, net::IpAddr};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts},
};
use fakecloud_aws::{
    sigv4::{ParsedSigV4, parse_sigv4_header, parse_sigv4_presigned},
    xml::xml_escape,
};
use fakecloud_core::{
    path::split_path_segments,
    protocol::parse_query_body,
    service::{AwsRequest, AwsResponse, AwsService, ResponseBody},
};
use parking_lot::Mutex;
use tokio::io::AsyncReadExt;

use crate::{
    failure::Failure,
    rules::identifiers,
    service::Service,
    world::{DEFAULT_REGION, World},
};

/// A call as it came in, before anything about it is believed.
pub struct Call {
    /// Which service; `None` when the credential scope names one that is not simulated.
    pub service: Option<Service>,
    /// The operation, for example `CreateRole`; for S3 the name of the action, for example `ListBuckets`.
    pub operation: String,
    /// The signature that it carries, if any.
    pub signature: Option<ParsedSigV4>,
    /// The session token that it carries, if any.
    pub session_token: Option<String>,
    /// Where it came from.
    pub source_ip: IpAddr,
    /// The request in the form that the service crates take. Account and principal are filled in later.
    pub request: AwsRequest,
    /// The body as signed.
    pub body: Bytes,
    /// The path and query as signed.
    pub path: String,
}

impl Call {
    /// Takes an HTTP request apart.
    pub fn parse(world: &World, parts: Parts, body: Bytes, source_ip: IpAddr) -> Self {
        let query = parts.uri.query().unwrap_or("").to_owned();
        let mut parameters = parse_query_body(&Bytes::from(query.clone()));
        let signature = signature_of(&parts.headers, &parameters);
        let session_token =
            header_text(&parts.headers, "x-amz-security-token").map(str::to_owned).or_else(|| parameters.get("X-Amz-Security-Token").cloned());
        let is_form = header_text(&parts.headers, "content-type").is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
        if is_form {
            parameters.extend(parse_query_body(&body));
        }
        let scope = signature.as_ref().map(|signature| signature.service.as_str());
        let service = match scope {
            Some(scope) => Service::from_prefix(scope),
            // Unsigned calls are refused unless a token takes the place of the signature, in the shape of the service that was meant.
            None if parameters.get("Version").is_some_and(|version| version == "2011-06-15") => Some(Service::Sts),
            None if parameters.contains_key("Action") => Some(Service::Iam),
            None => Some(Service::S3),
        };
        let path = parts.uri.path().to_owned();
        let (sent_body, body_stream) = match service {
            // The upload handlers read a stream; all others drain it into the body.
            Some(Service::S3) => (Bytes::new(), Some(Body::from(body.clone()))),
            _ => (body.clone(), None),
        };
        let mut request = AwsRequest {
            service: service.map_or("", Service::prefix).to_owned(),
            action: parameters.get("Action").cloned().unwrap_or_default(),
            region: signature.as_ref().map_or(DEFAULT_REGION, |signature| &signature.region).to_owned(),
            account_id: String::new(),
            request_id: identifiers::request_id(),
            headers: parts.headers,
            query_params: parameters,
            body: sent_body,
            body_stream: Mutex::new(body_stream),
            path_segments: split_path_segments(&path),
            raw_path: path.clone(),
            raw_query: query,
            method: parts.method,
            is_query_protocol: service != Some(Service::S3),
            access_key_id: signature.as_ref().map(|signature| signature.access_key.clone()),
            principal: None,
        };
        if service == Some(Service::S3) {
            request.action = world.s3_service.iam_action_for(&request).map_or_else(String::new, |action| action.action.to_owned());
        }
        Self { service, operation: request.action.clone(), signature, session_token, source_ip, request, body, path }
    }

    /// A parameter by name; an empty one counts as absent, as in AWS's query protocol.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.request.query_params.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The access key that signed, or claims to have signed.
    pub fn access_key_id(&self) -> Option<&str> {
        self.signature.as_ref().map(|signature| signature.access_key.as_str())
    }

    /// What the client says of itself.
    pub fn user_agent(&self) -> Option<&str> {
        header_text(&self.request.headers, "user-agent")
    }

    /// The error document of this call's protocol.
    pub fn render_failure(&self, failure: &Failure) -> Response<Body> {
        let request_id = &self.request.request_id;
        let body = match self.service {
            Some(Service::S3) => s3_error(failure, request_id),
            Some(Service::Sts) => query_error("https://sts.amazonaws.com/doc/2011-06-15/", failure, request_id),
            _ => query_error("https://iam.amazonaws.com/doc/2010-05-08/", failure, request_id),
        };
        respond(failure.status, "text/xml", request_id, Body::from(body))
    }
}

/// Reads the signature from the header, or from the query of a presigned URL.
fn signature_of(headers: &HeaderMap, parameters: &HashMap<String, String>) -> Option<ParsedSigV4> {
    header_text(headers, "authorization")
        .and_then(|authorization| parse_sigv4_header(authorization, header_text(headers, "x-amz-date")))
        .or_else(|| parse_sigv4_presigned(parameters))
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn query_error(namespace: &str, failure: &Failure, request_id: &str) -> String {
    let at_fault = if failure.status < 500 { "Sender" } else { "Receiver" };
    format!(
        "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{at_fault}</Type><Code>{}</Code><Message>{}</Message></Error>\
         <RequestId>{request_id}</RequestId></ErrorResponse>",
        xml_escape(&failure.code),
        xml_escape(&failure.message)
    )
}

fn s3_error(failure: &Failure, request_id: &str) -> String {
    let fields: String = failure.fields.iter().map(|(name, value)| format!("<{name}>{}</{name}>", xml_escape(value))).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>{fields}<RequestId>{request_id}</RequestId></Error>",
        xml_escape(&failure.code),
        xml_escape(&failure.message)
    )
}

/// Turns a handler's reply into an HTTP response.
pub async fn render(reply: AwsResponse, request_id: &str) -> Response<Body> {
    let body = match reply.body {
        ResponseBody::Bytes(bytes) => Body::from(bytes),
        ResponseBody::File { mut file, .. } => {
            let mut content = Vec::new();
            if let Err(error) = file.read_to_end(&mut content).await {
                return respond(500, "text/plain", request_id, Body::from(format!("object unreadable: {error}")));
            }
            Body::from(content)
        }
    };
    let mut response = respond(reply.status.as_u16(), &reply.content_type, request_id, body);
    response.headers_mut().extend(reply.headers);
    response
}

/// A response with the headers that all AWS replies carry. An empty content type leaves the header out.
pub fn respond(status: u16, content_type: &str, request_id: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    for (name, value) in [(header::CONTENT_TYPE.as_str(), content_type), ("x-amzn-requestid", request_id), ("x-amz-request-id", request_id)] {
        if let (false, Ok(name), Ok(value)) = (value.is_empty(), header::HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
    response
}
