//! From a call to its outcome: verify, authorise, do.

use axum::{body::Body, http::Response};

use crate::{
    authorize,
    caller::{self, Caller},
    failure::Failure,
    rules::{
        last_use, names, partitions,
        throttling::{self, OperationClass},
    },
    service::Service,
    services,
    wire::{Call, render},
    world::World,
};

/// What came of a call.
pub struct Outcome {
    /// HTTP status.
    pub status: u16,
    /// Error code, when it failed.
    pub code: Option<String>,
    /// The reply.
    pub response: Response<Body>,
}

impl Outcome {
    /// The outcome of a call that failed.
    pub fn of_failure(call: &Call, failure: &Failure) -> Self {
        Self { status: failure.status, code: Some(failure.code.clone()), response: call.render_failure(failure) }
    }
}

/// Answers a call. It changes the world only if it succeeds, and then in one step.
pub async fn answer(world: &World, call: &mut Call) -> Outcome {
    match verified(world, call).await {
        Ok(response) => Outcome { status: response.status().as_u16(), code: None, response },
        Err(failure) => Outcome::of_failure(call, &failure),
    }
}

async fn verified(world: &World, call: &mut Call) -> Result<Response<Body>, Failure> {
    let service = call.service.ok_or_else(|| Failure::new(400, "UnknownService", "Only iam, sts and s3 are simulated"))?;
    if service == Service::Sts && call.operation == "AssumeRoleWithWebIdentity" {
        // The token is the proof: this call is not signed.
        return services::web_identity::assume(world, call);
    }
    let caller = caller::authenticate(world, call)?;
    if let Some(class) = OperationClass::of(service, &call.operation) {
        world.throttles.take(caller.account_id(), class)?;
    }
    call.request.account_id = caller.account_id().to_owned();
    if service != Service::S3 {
        let partition = world.partition_of(caller.account_id());
        call.request.region = partitions::region(&partition, &call.request.region).to_owned();
    }
    call.request.principal = Some(caller.principal.clone());
    let reply = carry_out(world, call, &caller, service).await;
    if let (None, Some(key)) = (&caller.session, call.access_key_id())
        && let Some(state) = world.iam.write().get_mut(caller.account_id())
    {
        last_use::record(state, key, service.prefix(), &call.request.region, world.now());
    }
    reply
}

async fn carry_out(world: &World, call: &mut Call, caller: &Caller, service: Service) -> Result<Response<Body>, Failure> {
    match service {
        Service::Iam => iam(world, call, caller).await,
        Service::Sts => services::sts::handle(world, call, caller),
        Service::S3 => {
            authorize::s3(world, call, caller)?;
            let reply = services::s3::handle(world, call).await?;
            Ok(render(reply, &call.request.request_id).await)
        }
    }
}

async fn iam(world: &World, call: &mut Call, caller: &Caller) -> Result<Response<Body>, Failure> {
    names::default_to_caller(caller, &call.operation, &mut call.request.query_params)?;
    // Check and change under one lock: two creations of one name are decided one after the other.
    let _one_at_a_time = if !throttling::is_read(&call.operation) { Some(world.writes.lock().await) } else { None };
    authorize::with_state(world, caller.account_id(), |state| {
        if let Some(state) = state {
            names::find_without_case(state, &call.operation, &mut call.request.query_params);
        }
    });
    authorize::iam(world, call, caller)?;
    let reply = services::iam::handle(world, call).await?;
    Ok(render(reply, &call.request.request_id).await)
}
