//! Resource control policies: what an organisation lets anybody do with the resources of an account at most.

use fakecloud_iam::evaluator::{self, Decision, EvalRequest};
use serde_json::Value;

use super::condition_keys;

/// What the resource control policies of the resource's account say of a request, whoever makes it; `None` where there are none. One policy of
/// each level must allow, and none may deny. They have a `Principal`, which is `*`.
///
/// Source: AWS Organizations user guide, "RCP evaluation" and its list of services, of which STS and S3 are simulated.
pub fn decide(levels: &[Vec<Value>], request: &EvalRequest<'_>) -> Option<Decision> {
    if levels.is_empty() {
        return None;
    }
    let mut allowed = true;
    for policies in levels {
        let said: Vec<Decision> =
            policies.iter().map(|policy| evaluator::evaluate_resource_policy_only(&condition_keys::read(policy), request)).collect();
        if said.contains(&Decision::ExplicitDeny) {
            return Some(Decision::ExplicitDeny);
        }
        allowed &= said.contains(&Decision::Allow);
    }
    Some(if allowed { Decision::Allow } else { Decision::ImplicitDeny })
}

#[cfg(test)]
mod tests {
    use fakecloud_core::auth::ConditionContext;
    use serde_json::json;

    use super::*;
    use crate::rules::outsiders;

    fn policy(effect: &str, action: &str) -> Value {
        json!({"Version": "2012-10-17", "Statement": [{"Effect": effect, "Principal": "*", "Action": action, "Resource": "*"}]})
    }

    fn said(levels: &[Vec<Value>]) -> Option<Decision> {
        let principal = outsiders::service("lambda.amazonaws.com");
        let context = ConditionContext::default();
        decide(levels, &EvalRequest { principal: &principal, action: "sts:AssumeRole".to_owned(), resource: "*".to_owned(), context })
    }

    #[test]
    fn each_level_must_allow_and_none_may_deny() {
        let (all, sts, s3, deny) = (policy("Allow", "*"), policy("Allow", "sts:*"), policy("Allow", "s3:*"), policy("Deny", "sts:AssumeRole"));
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[vec![all.clone()], vec![s3.clone(), sts]]), Some(Decision::Allow));
        assert_eq!(said(&[vec![all.clone()], vec![s3]]), Some(Decision::ImplicitDeny));
        assert_eq!(said(&[vec![], vec![all, deny]]), Some(Decision::ExplicitDeny));
    }
}
