//! S3: the crate's handlers do all of it.

use fakecloud_core::service::{AwsResponse, AwsService};

use super::take_request;
use crate::{failure::Failure, wire::Call, world::World};

/// Answers an authorised call.
///
/// # Errors
/// What the crate's handler says, for example `NoSuchBucket`.
pub async fn handle(world: &World, call: &mut Call) -> Result<AwsResponse, Failure> {
    Ok(world.s3_service.handle(take_request(call)).await?)
}
