//! The layers of policy on the caller's side.

use fakecloud_core::auth::ConditionContext;
use fakecloud_iam::{
    IamState,
    evaluator::{self, Decision, EvalRequest, PolicyDocument},
};

use super::{documents, permission::Permission};
use crate::{
    caller::Caller,
    rules::{
        access_denied::{Denial, Layer},
        condition_keys, partitions, service_control,
    },
    world::{Account, World},
};

/// What each layer on the caller's side says. An absent layer (`None`) limits nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentitySide {
    /// The service control policies of the organisation.
    pub service_control: Option<Decision>,
    /// Policies of the user, its groups, or the role.
    pub identity: Decision,
    /// The permissions boundary.
    pub boundary: Option<Decision>,
    /// The session policies, taken together.
    pub session: Option<Decision>,
    /// The policies with an ARN of which a statement denies, each with its layer.
    pub denied_by: Vec<(Layer, String)>,
}

impl IdentitySide {
    /// Asks each layer. `state` is that of the caller's account.
    pub fn evaluate(world: &World, state: &IamState, caller: &Caller, permission: &Permission, context: &ConditionContext) -> Self {
        let request = EvalRequest {
            principal: &caller.principal,
            action: permission.action.clone(),
            resource: permission.resource.clone(),
            context: context.clone(),
        };
        let session_policies = caller.session.iter().flat_map(|session| &session.policies);
        let session_policies: Vec<PolicyDocument> = session_policies.map(|document| condition_keys::parse(document)).collect();
        let side = Self {
            service_control: world
                .of_account(caller.account_id(), |account| service_control::decide(&account.service_control_policies, caller, &request))
                .flatten(),
            identity: evaluator::evaluate(&documents::identity_policies(state, caller), &request),
            boundary: documents::boundary(state, caller).map(|documents| evaluator::evaluate(&documents, &request)),
            session: (!session_policies.is_empty()).then(|| evaluator::evaluate(&session_policies, &request)),
            denied_by: Vec::new(),
        };
        if side.explicit_denial().is_none() { side } else { Self { denied_by: denying(world, state, caller, &request), ..side } }
    }

    /// In the order in which AWS asks them.
    fn layers(&self) -> [(Layer, Option<Decision>); 4] {
        [
            (Layer::ServiceControl, self.service_control),
            (Layer::IdentityBased, Some(self.identity)),
            (Layer::PermissionsBoundary, self.boundary),
            (Layer::Session, self.session),
        ]
    }

    fn first(&self, decision: Decision, of: &[Layer]) -> Option<Denial> {
        let found = self.layers().into_iter().find(|(layer, said)| of.contains(layer) && *said == Some(decision))?;
        let denial = Denial::of(found.0, decision == Decision::ExplicitDeny);
        let policy = self.denied_by.iter().find(|(layer, _)| *layer == denial.layer).map(|(_, policy)| policy.clone());
        Some(Denial { policy: policy.filter(|_| denial.explicit), ..denial })
    }

    /// The first layer in which a statement denies.
    pub fn explicit_denial(&self) -> Option<Denial> {
        self.first(Decision::ExplicitDeny, &[Layer::ServiceControl, Layer::IdentityBased, Layer::PermissionsBoundary, Layer::Session])
    }

    /// Whether the organisation leaves room, whatever the account's own policies do not allow.
    pub fn within_organization(&self) -> Result<(), Denial> {
        self.explicit_denial().or_else(|| self.first(Decision::ImplicitDeny, &[Layer::ServiceControl])).map_or(Ok(()), Err)
    }

    /// Whether organisation, boundary and session policies leave room, whatever the identity policies say.
    pub fn within_limits(&self) -> Result<(), Denial> {
        self.explicit_denial()
            .or_else(|| self.first(Decision::ImplicitDeny, &[Layer::ServiceControl, Layer::PermissionsBoundary, Layer::Session]))
            .map_or(Ok(()), Err)
    }

    /// Whether the caller's side allows: the identity policies do, and the limits leave room.
    pub fn allowed(&self) -> Result<(), Denial> {
        self.explicit_denial()
            .or_else(|| {
                self.first(Decision::ImplicitDeny, &[Layer::ServiceControl, Layer::IdentityBased, Layer::PermissionsBoundary, Layer::Session])
            })
            .map_or(Ok(()), Err)
    }
}

/// The policies with an ARN of which a statement denies a request, each with its layer.
fn denying(world: &World, state: &IamState, caller: &Caller, request: &EvalRequest<'_>) -> Vec<(Layer, String)> {
    let by_organisation = |account: &Account| service_control::denying(&account.service_control_policies, &account.partition, request);
    let by_organisation = world.of_account(caller.account_id(), by_organisation).flatten().map(|policy| (Layer::ServiceControl, policy));
    let partition = world.partition_of(caller.account_id());
    let denies = |policy: &str| {
        let document = documents::managed(state, policy)?;
        let said = evaluator::evaluate(&[condition_keys::parse(&document)], request);
        (said == Decision::ExplicitDeny).then(|| partitions::as_shown(&partition, policy))
    };
    let attached = documents::attached(state, caller).into_iter().map(|policy| (Layer::IdentityBased, policy));
    let boundary = documents::boundary_arn(state, caller).map(|policy| (Layer::PermissionsBoundary, policy));
    let managed = attached.chain(boundary).filter_map(|(layer, policy)| Some((layer, denies(policy)?)));
    by_organisation.into_iter().chain(managed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explicit_deny_is_told_before_a_missing_allow() {
        let side = IdentitySide {
            service_control: None,
            identity: Decision::ImplicitDeny,
            boundary: Some(Decision::ExplicitDeny),
            session: None,
            denied_by: Vec::new(),
        };
        assert_eq!(side.allowed(), Err(Denial::explicit(Layer::PermissionsBoundary)));
    }

    #[test]
    fn the_organisation_comes_first_and_limits_everything() {
        let side = IdentitySide {
            service_control: Some(Decision::ImplicitDeny),
            identity: Decision::ImplicitDeny,
            boundary: Some(Decision::ImplicitDeny),
            session: None,
            denied_by: Vec::new(),
        };
        let by_organisation = Err(Denial::implicit(Layer::ServiceControl));
        for said in [side.within_organization(), side.within_limits(), side.allowed()] {
            assert_eq!(said, by_organisation);
        }
    }

    #[test]
    fn absent_layers_limit_nothing() {
        let side = IdentitySide { service_control: None, identity: Decision::Allow, boundary: None, session: None, denied_by: Vec::new() };
        assert_eq!(side.allowed(), Ok(()));
    }

    #[test]
    fn the_limits_do_not_ask_the_identity_policies() {
        let side = IdentitySide {
            service_control: None,
            identity: Decision::ImplicitDeny,
            boundary: Some(Decision::Allow),
            session: None,
            denied_by: Vec::new(),
        };
        assert_eq!(side.within_limits(), Ok(()));
        assert_eq!(side.allowed(), Err(Denial::implicit(Layer::IdentityBased)));
    }
}
