//! Whether a verified caller may do what it asks for.

pub mod context;
pub mod documents;
pub mod layers;
pub mod permission;

use std::collections::HashMap;

use fakecloud_core::{
    auth::{ConditionContext, Principal},
    service::AwsService,
};
use fakecloud_iam::{
    IamState,
    evaluator::{self, Decision, EvalRequest},
};

use crate::{
    caller::Caller,
    failure::Failure,
    rules::{
        access_denied::{self, Denial, Layer},
        condition_keys, partitions, resource_control, resources, s3, tags,
    },
    wire::Call,
    world::World,
};
use layers::IdentitySide;
use permission::Permission;

/// Turns a denial into the reply that names the layer.
pub fn refusal(caller: &Caller, permission: &Permission, denial: Denial) -> Failure {
    access_denied::message(caller.arn(), &permission.action, &permission.resource, &denial)
}

/// Authorises a call to IAM: every permission that it needs, by the policies of the caller.
///
/// # Errors
/// `AccessDenied` with the layer; `InvalidAction` for an operation that is not simulated.
pub fn iam(world: &World, call: &Call, caller: &Caller) -> Result<(), Failure> {
    let parameters = &call.request.query_params;
    let Some(action) = world.iam_service.iam_action_for(&call.request) else {
        return Err(Failure::new(400, "InvalidAction", format!("Could not find operation {} for version 2010-05-08", call.operation)));
    };
    let partition = world.partition_of(caller.account_id());
    let states = world.iam.read();
    let Some(state) = states.get(caller.account_id()) else { return Err(Failure::unknown_key(false)) };
    for permission in resources::permissions(state, &partition, &call.operation, parameters, &action.resource) {
        let resource_tags = resources::tags_of(state, &permission.resource);
        let mut context = context::global_keys(world, call, caller);
        let mut keys = resources::condition_keys(state, &call.operation, parameters, &resource_tags);
        keys.values_mut().flatten().for_each(|value| *value = partitions::as_shown(&partition, value));
        context.service_keys.extend(keys);
        context.resource_tags = Some(resource_tags.into_iter().collect());
        let request_tags = tags::of_request(parameters);
        // Without tags the keys about them are absent, not empty.
        context.request_tags = (!request_tags.is_empty()).then(|| as_map(&request_tags));
        IdentitySide::evaluate(world, state, caller, &permission, &context).allowed().map_err(|denial| refusal(caller, &permission, denial))?;
    }
    Ok(())
}

/// Authorises a call to S3: by the policies of the caller and that of the bucket.
///
/// # Errors
/// `AccessDenied` with the layer.
pub fn s3(world: &World, call: &Call, caller: &Caller) -> Result<(), Failure> {
    let actions = world.s3_service.iam_actions_for(&call.request);
    if actions.is_empty() {
        return Err(Failure::new(405, "MethodNotAllowed", "The specified method is not allowed against this resource."));
    }
    let creates = world.s3_service.iam_resource_in_caller_account(&call.request);
    for action in actions {
        let (name, resource) = s3::action_and_resource(action.action, &action.resource);
        let permission = Permission { action: format!("{}:{name}", action.service), resource };
        let mut context = context::global_keys(world, call, caller);
        context.service_keys.extend(world.s3_service.iam_condition_keys_for(&call.request, &action));
        context.resource_tags = world.s3_service.resource_tags_for(&action.resource);
        context.request_tags = world.s3_service.request_tags_from(&call.request, action.action);
        let (policy, owner) = if creates {
            (None, None)
        } else {
            let policies = &world.bucket_policies;
            (policies.resource_policy("s3", &action.resource), policies.resource_owner_account("s3", &action.resource))
        };
        let states = world.iam.read();
        let Some(state) = states.get(caller.account_id()) else { return Err(Failure::unknown_key(true)) };
        let identity = IdentitySide::evaluate(world, state, caller, &permission, &context);
        let same_account = owner.as_ref().is_none_or(|owner| owner == caller.account_id());
        let account_id = owner.as_deref().unwrap_or(caller.account_id());
        within_resource_control(world, account_id, &caller.principal, &permission, &context)
            .map_err(|denial| refusal(caller, &permission, denial))?;
        let bucket = policy.map(|policy| bucket_says(&policy, caller, &permission, &context));
        decide_with_bucket(&identity, bucket, same_account).map_err(|denial| refusal(caller, &permission, denial))?;
    }
    Ok(())
}

fn bucket_says(policy: &str, caller: &Caller, permission: &Permission, context: &ConditionContext) -> Decision {
    let document = condition_keys::parse(policy);
    let role = caller.role_arn.iter().map(|arn| Principal { arn: arn.clone(), ..caller.principal.clone() });
    let said: Vec<Decision> = std::iter::once(caller.principal.clone())
        .chain(role)
        .map(|principal| {
            let request = EvalRequest {
                principal: &principal,
                action: permission.action.clone(),
                resource: permission.resource.clone(),
                context: context.clone(),
            };
            evaluator::evaluate_resource_policy_only(&document, &request)
        })
        .collect();
    [Decision::ExplicitDeny, Decision::Allow].into_iter().find(|decision| said.contains(decision)).unwrap_or(Decision::ImplicitDeny)
}

/// Within an account either side is enough, across accounts both are needed, and an explicit deny wins.
///
/// Source: UG `reference_policies_evaluation-logic.md` and its cross-account page.
fn decide_with_bucket(identity: &IdentitySide, bucket: Option<Decision>, same_account: bool) -> Result<(), Denial> {
    if let Some(denial) = identity.explicit_denial() {
        return Err(denial);
    }
    match (bucket.unwrap_or(Decision::ImplicitDeny), same_account) {
        (Decision::ExplicitDeny, _) => Err(Denial::explicit(Layer::ResourceBased)),
        (Decision::Allow, true) => identity.within_organization(),
        (Decision::Allow, false) | (Decision::ImplicitDeny, true) => identity.allowed(),
        (Decision::ImplicitDeny, false) => identity.allowed().and(Err(Denial::implicit(Layer::ResourceBased))),
    }
}

/// Whether the organisation of the account that a resource is in lets a principal have it.
///
/// # Errors
/// The denial of the resource control policies.
pub fn within_resource_control(
    world: &World,
    account_id: &str,
    principal: &Principal,
    permission: &Permission,
    context: &ConditionContext,
) -> Result<(), Denial> {
    let request = EvalRequest { principal, action: permission.action.clone(), resource: permission.resource.clone(), context: context.clone() };
    match world.of_account(account_id, |account| resource_control::decide(&account.resource_control_policies, &request)).flatten() {
        None | Some(Decision::Allow) => Ok(()),
        Some(decision) => Err(Denial::of(Layer::ResourceControl, decision == Decision::ExplicitDeny)),
    }
}

/// The state of an account for reading, or an empty one: the calls of STS concern accounts that may not exist.
pub fn with_state<T>(world: &World, account_id: &str, read: impl FnOnce(Option<&IamState>) -> T) -> T {
    read(world.iam.read().get(account_id))
}

/// Tags as the condition context wants them.
pub fn as_map(tags: &[(String, String)]) -> HashMap<String, String> {
    tags.iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(identity: Decision) -> IdentitySide {
        IdentitySide { service_control: None, identity, boundary: None, session: None, denied_by: Vec::new() }
    }

    #[test]
    fn a_bucket_policy_is_enough_within_the_account_only() {
        let nothing = side(Decision::ImplicitDeny);
        assert_eq!(decide_with_bucket(&nothing, Some(Decision::Allow), true), Ok(()));
        assert!(decide_with_bucket(&nothing, Some(Decision::Allow), false).is_err());
        assert_eq!(decide_with_bucket(&side(Decision::Allow), Some(Decision::Allow), false), Ok(()));
    }

    #[test]
    fn a_foreign_bucket_needs_its_own_policy() {
        assert_eq!(decide_with_bucket(&side(Decision::Allow), None, false), Err(Denial::implicit(Layer::ResourceBased)));
        assert_eq!(decide_with_bucket(&side(Decision::Allow), None, true), Ok(()));
    }

    #[test]
    fn a_deny_of_the_bucket_wins() {
        let denied = Err(Denial::explicit(Layer::ResourceBased));
        assert_eq!(decide_with_bucket(&side(Decision::Allow), Some(Decision::ExplicitDeny), true), denied);
    }
}
