//! Service control policies: what an organisation lets the principals of an account do at most.

use fakecloud_iam::evaluator::{self, Decision, EvalRequest, PolicyDocument};
use serde_json::Value;

use super::{condition_keys, protected};
use crate::caller::Caller;

/// What the service control policies say of a request; `None` where there are none, or for a service-linked role, which they
/// do not concern. Each level is one place in the organisation (the root, a unit, the account itself) with the policies attached
/// there: one of them must allow, at every level, and none may deny.
///
/// Source: UG `reference_policies_evaluation-logic.md`, "Evaluating policies: Organizations SCPs"; AWS Organizations user guide,
/// "SCP evaluation" (every level from the root to the account must allow; service-linked roles are not affected).
pub fn decide(levels: &[Vec<Value>], caller: &Caller, request: &EvalRequest<'_>) -> Option<Decision> {
    let is_service_linked =
        caller.role_arn.as_deref().and_then(|arn| arn.split_once(":role")).is_some_and(|(_, path)| protected::is_service_linked(path));
    if levels.is_empty() || is_service_linked {
        return None;
    }
    let said: Vec<Decision> = levels
        .iter()
        .map(|policies| {
            let documents: Vec<PolicyDocument> = policies.iter().map(condition_keys::read).collect();
            evaluator::evaluate(&documents, request)
        })
        .collect();
    Some([Decision::ExplicitDeny, Decision::ImplicitDeny].into_iter().find(|decision| said.contains(decision)).unwrap_or(Decision::Allow))
}

/// ARN of the first policy of which a statement denies a request, as [`decide`] counts them. The control API knows no names of policies: they are numbered by
/// level and place, in an organisation of the simulator's own.
///
/// Source: the form is that of the AWS Security Blog, "Enhanced access denied error messages with policy ARNs".
pub fn denying(levels: &[Vec<Value>], partition: &str, request: &EvalRequest<'_>) -> Option<String> {
    let denies = |policy: &Value| evaluator::evaluate(&[condition_keys::read(policy)], request) == Decision::ExplicitDeny;
    let (level, place) = levels.iter().enumerate().find_map(|(level, policies)| policies.iter().position(denies).map(|place| (level, place)))?;
    Some(format!("arn:{partition}:organizations::000000000000:policy/o-simulated0/service_control_policy/p-{level:04}{place:04}"))
}

#[cfg(test)]
mod tests {
    use fakecloud_core::auth::{ConditionContext, Principal, PrincipalType};
    use serde_json::json;

    use super::*;

    fn caller(role_arn: Option<&str>) -> Caller {
        Caller {
            principal: Principal {
                arn: "arn:aws:iam::111111111111:user/alice".to_owned(),
                user_id: "AIDAALICE".to_owned(),
                account_id: "111111111111".to_owned(),
                principal_type: PrincipalType::User,
                source_identity: None,
                tags: None,
            },
            role_arn: role_arn.map(str::to_owned),
            session: None,
        }
    }

    fn policy(effect: &str, action: &str) -> Value {
        json!({"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, "Resource": "*"}]})
    }

    fn said(levels: &[Vec<Value>], caller: &Caller) -> Option<Decision> {
        let context = ConditionContext::default();
        let request = EvalRequest { principal: &caller.principal, action: "iam:CreateUser".to_owned(), resource: "*".to_owned(), context };
        decide(levels, caller, &request)
    }

    #[test]
    fn without_policies_there_is_no_limit() {
        assert_eq!(said(&[], &caller(None)), None);
    }

    #[test]
    fn one_policy_of_each_level_must_allow() {
        let all = policy("Allow", "*");
        let (iam, s3) = (policy("Allow", "iam:*"), policy("Allow", "s3:*"));
        assert_eq!(said(&[vec![all.clone()], vec![s3.clone(), iam.clone()]], &caller(None)), Some(Decision::Allow));
        assert_eq!(said(&[vec![all.clone()], vec![s3]], &caller(None)), Some(Decision::ImplicitDeny));
        assert_eq!(said(&[vec![iam], vec![]], &caller(None)), Some(Decision::ImplicitDeny));
    }

    #[test]
    fn a_deny_wins_at_any_level() {
        let (all, deny) = (policy("Allow", "*"), policy("Deny", "iam:CreateUser"));
        for levels in [
            [vec![all.clone(), deny.clone()], vec![all.clone()]],
            [vec![all.clone()], vec![all.clone(), deny.clone()]],
            [vec![], vec![all.clone(), deny.clone()]],
        ] {
            assert_eq!(said(&levels, &caller(None)), Some(Decision::ExplicitDeny));
        }
    }

    #[test]
    fn service_linked_roles_are_exempt() {
        let nothing = [vec![policy("Deny", "*")]];
        let linked = caller(Some("arn:aws:iam::111111111111:role/aws-service-role/support.amazonaws.com/AWSServiceRoleForSupport"));
        assert_eq!(said(&nothing, &linked), None);
        assert_eq!(said(&nothing, &caller(Some("arn:aws:iam::111111111111:role/r"))), Some(Decision::ExplicitDeny));
    }
}
