//! Doing what a call asks for, once it is verified and authorised.

pub mod iam;
pub mod s3;
pub mod service_principal;
pub mod sts;
pub mod web_identity;

use fakecloud_core::service::AwsRequest;
use parking_lot::Mutex;

use crate::wire::Call;

/// The request for the crates' handlers, which consume it. The call keeps what its reply and the log need.
fn take_request(call: &mut Call) -> AwsRequest {
    let request = &mut call.request;
    AwsRequest {
        service: request.service.clone(),
        action: request.action.clone(),
        region: request.region.clone(),
        account_id: request.account_id.clone(),
        request_id: request.request_id.clone(),
        headers: std::mem::take(&mut request.headers),
        query_params: request.query_params.clone(),
        body: std::mem::take(&mut request.body),
        body_stream: Mutex::new(request.take_body_stream()),
        path_segments: std::mem::take(&mut request.path_segments),
        raw_path: std::mem::take(&mut request.raw_path),
        raw_query: std::mem::take(&mut request.raw_query),
        method: request.method.clone(),
        is_query_protocol: request.is_query_protocol,
        access_key_id: request.access_key_id.clone(),
        principal: request.principal.clone(),
    }
}
