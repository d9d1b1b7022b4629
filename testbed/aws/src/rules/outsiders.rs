//! Principals outside every account: services of AWS, and identities of a federation. The trust policy alone decides on them.

use fakecloud_core::auth::{ConditionContext, Principal, PrincipalType};
use fakecloud_iam::evaluator::{self, Decision, EvalRequest};

use super::{
    access_denied::{Denial, Layer},
    condition_keys,
};

/// A service as it asks for a role, for example `pods.eks.amazonaws.com`.
pub fn service(name: &str) -> Principal {
    outsider(name, PrincipalType::Service)
}

/// Somebody whom a provider vouches for, named as trust policies name the provider.
pub fn federated(provider: &str) -> Principal {
    outsider(provider, PrincipalType::FederatedUser)
}

fn outsider(arn: &str, principal_type: PrincipalType) -> Principal {
    Principal { arn: arn.to_owned(), user_id: String::new(), account_id: String::new(), principal_type, source_identity: None, tags: None }
}

/// Whether a trust policy lets an outsider do all of the actions, and the first action that it does not.
///
/// Each action has its own keys (see [`condition_keys::of_action`]). There is no identity side: neither policies nor boundaries of any account say anything about an outsider.
/// Source: UG `id_roles_create_for-idp_oidc.md` and `id_roles_create_for-service.md`.
///
/// # Errors
/// The refused action, and whether a statement denies it or none allows it.
pub fn admitted<'a>(trust: &str, principal: &Principal, actions: &[&'a str], context: &ConditionContext) -> Result<(), (&'a str, Denial)> {
    let document = condition_keys::parse(trust);
    for action in actions {
        let request =
            EvalRequest { principal, action: (*action).to_owned(), resource: "*".to_owned(), context: condition_keys::of_action(action, context) };
        let decision = evaluator::evaluate_resource_policy_only(&document, &request);
        if !decision.is_allow() {
            return Err((action, Denial::of(Layer::RoleTrust, decision == Decision::ExplicitDeny)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asked(
        principals: Value,
        condition: Value,
        principal: &Principal,
        actions: &[&'static str],
        context: &ConditionContext,
    ) -> Option<&'static str> {
        let all = ["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity"];
        let statement = json!({"Effect": "Allow", "Principal": principals, "Action": all, "Condition": condition});
        let trust = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        admitted(&trust, principal, actions, context).err().map(|(action, _)| action)
    }

    #[test]
    fn a_service_and_a_provider_are_admitted_by_name_only() {
        let (lambda, provider) = (service("lambda.amazonaws.com"), federated("arn:aws:iam::1:oidc-provider/example.com"));
        let context = ConditionContext::default();
        let services = json!({"Service": ["lambda.amazonaws.com"]});
        assert_eq!(asked(services.clone(), json!({}), &lambda, &["sts:AssumeRole"], &context), None);
        assert_eq!(asked(services.clone(), json!({}), &service("ec2.amazonaws.com"), &["sts:AssumeRole"], &context), Some("sts:AssumeRole"));
        assert_eq!(asked(services, json!({}), &provider, &["sts:AssumeRole"], &context), Some("sts:AssumeRole"));
        let federation = json!({"Federated": "arn:aws:iam::1:oidc-provider/example.com"});
        assert_eq!(asked(federation, json!({}), &provider, &["sts:AssumeRoleWithWebIdentity"], &context), None);
        assert!(asked(json!({"AWS": "111111111111"}), json!({}), &lambda, &["sts:AssumeRole"], &context).is_some());
    }

    #[test]
    fn conditions_count_and_the_first_refused_action_is_told() {
        let lambda = service("lambda.amazonaws.com");
        let mut context = ConditionContext::default();
        let (services, condition) = (json!({"Service": "lambda.amazonaws.com"}), json!({"StringEquals": {"aws:SourceAccount": "111111111111"}}));
        assert!(asked(services.clone(), condition.clone(), &lambda, &["sts:AssumeRole"], &context).is_some());
        context.service_keys.insert("aws:sourceaccount".to_owned(), vec!["111111111111".to_owned()]);
        assert_eq!(asked(services.clone(), condition.clone(), &lambda, &["sts:AssumeRole"], &context), None);
        assert_eq!(asked(services, condition, &lambda, &["sts:AssumeRole", "sts:TagSession"], &context), Some("sts:TagSession"));
    }

    #[test]
    fn a_deny_is_told_as_one() {
        let statement = |effect: &str| json!({"Effect": effect, "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"});
        let trust = json!({"Version": "2012-10-17", "Statement": [statement("Allow"), statement("Deny")]}).to_string();
        let refused = admitted(&trust, &service("lambda.amazonaws.com"), &["sts:AssumeRole"], &ConditionContext::default());
        assert_eq!(refused, Err(("sts:AssumeRole", Denial::explicit(Layer::RoleTrust))));
    }
}
