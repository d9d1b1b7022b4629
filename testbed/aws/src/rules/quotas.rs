//! Sizes and numbers that IAM does not let grow, with AWS's defaults, which `GetAccountSummary` tells.

use std::collections::HashMap;

use fakecloud_iam::IamState;

use crate::failure::Failure;

/// `AssumeRolePolicySizeQuota`.
const TRUST_POLICY: usize = 2_048;
/// `UserPolicySizeQuota`: all inline policies of a user together.
const USER_INLINE: usize = 2_048;
/// `RolePolicySizeQuota`: all inline policies of a role together.
const ROLE_INLINE: usize = 10_240;
/// `PolicySizeQuota`: one version of a customer-managed policy.
const MANAGED_POLICY: usize = 6_144;
/// `AttachedPoliciesPerUserQuota`.
const ATTACHED_PER_USER: usize = 10;
/// `AttachedPoliciesPerRoleQuota`.
const ATTACHED_PER_ROLE: usize = 20;

/// Refuses what would exceed a quota.
///
/// Source: UG `reference_iam-quotas.md` (white space does not count); the texts as quoted in kubeflow#6687
/// (`ACLSizePerRole`), TF's issues about `PolicySize` and `PoliciesPerRole`, and about inline policies ("Maximum policy size
/// of 2048 bytes exceeded for user ..."). That white space does not count in trust policies either is [inf].
pub fn check(state: &IamState, operation: &str, parameters: &HashMap<String, String>) -> Result<(), Failure> {
    let parameter = |name: &str| parameters.get(name).map_or("", String::as_str);
    match operation {
        "CreateRole" => at_most("ACLSizePerRole", TRUST_POLICY, size(parameter("AssumeRolePolicyDocument"))),
        "UpdateAssumeRolePolicy" => at_most("ACLSizePerRole", TRUST_POLICY, size(parameter("PolicyDocument"))),
        "CreatePolicy" | "CreatePolicyVersion" => at_most("PolicySize", MANAGED_POLICY, size(parameter("PolicyDocument"))),
        "PutUserPolicy" => inline("user", parameter("UserName"), USER_INLINE, &state.user_inline_policies, parameters),
        "PutRolePolicy" => inline("role", parameter("RoleName"), ROLE_INLINE, &state.role_inline_policies, parameters),
        "AttachUserPolicy" => {
            let attached = state.user_policies.get(parameter("UserName"));
            at_most("PoliciesPerUser", ATTACHED_PER_USER, with_one_more(attached, parameter("PolicyArn")))
        }
        "AttachRolePolicy" => {
            let attached = state.role_policies.get(parameter("RoleName"));
            at_most("PoliciesPerRole", ATTACHED_PER_ROLE, with_one_more(attached, parameter("PolicyArn")))
        }
        _ => Ok(()),
    }
}

/// The size of a policy as IAM counts it.
fn size(document: &str) -> usize {
    document.chars().filter(|character| !character.is_whitespace()).count()
}

fn at_most(name: &str, limit: usize, value: usize) -> Result<(), Failure> {
    if value <= limit { Ok(()) } else { Err(exceeded(format!("Cannot exceed quota for {name}: {limit}"))) }
}

fn exceeded(message: String) -> Failure {
    Failure::new(409, "LimitExceeded", message)
}

fn with_one_more(attached: Option<&Vec<String>>, policy_arn: &str) -> usize {
    let attached = attached.map_or(&[][..], Vec::as_slice);
    attached.len() + usize::from(!attached.iter().any(|arn| arn == policy_arn))
}

type Inline = std::collections::BTreeMap<String, std::collections::BTreeMap<String, String>>;

fn inline(kind: &str, name: &str, limit: usize, policies: &Inline, parameters: &HashMap<String, String>) -> Result<(), Failure> {
    let replaced = parameters.get("PolicyName");
    let others = policies.get(name).into_iter().flatten().filter(|(policy_name, _)| Some(*policy_name) != replaced);
    let total: usize = others.map(|(_, document)| size(document)).sum::<usize>() + parameters.get("PolicyDocument").map_or(0, |text| size(text));
    if total <= limit {
        return Ok(());
    }
    Err(exceeded(format!("Maximum policy size of {limit} bytes exceeded for {kind} {name}")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn message(state: &IamState, operation: &str, pairs: &[(&str, &str)]) -> String {
        let failure = check(state, operation, &parameters(pairs)).unwrap_err();
        assert_eq!((failure.status, failure.code.as_str()), (409, "LimitExceeded"));
        failure.message
    }

    #[test]
    fn trust_and_managed_policies_have_a_size_without_white_space() {
        let state = IamState::new("1");
        for (operation, parameter, limit, name) in [
            ("CreateRole", "AssumeRolePolicyDocument", 2_048, "ACLSizePerRole"),
            ("UpdateAssumeRolePolicy", "PolicyDocument", 2_048, "ACLSizePerRole"),
            ("CreatePolicy", "PolicyDocument", 6_144, "PolicySize"),
            ("CreatePolicyVersion", "PolicyDocument", 6_144, "PolicySize"),
        ] {
            let (fits, too_large) = (format!("{} \n\t", "x".repeat(limit)), "x".repeat(limit + 1));
            assert_eq!(check(&state, operation, &parameters(&[(parameter, &fits)])), Ok(()));
            assert_eq!(message(&state, operation, &[(parameter, &too_large)]), format!("Cannot exceed quota for {name}: {limit}"));
        }
    }

    #[test]
    fn inline_policies_count_together_and_a_replaced_one_does_not() {
        let mut state = IamState::new("1");
        let own = BTreeMap::from([("a".to_owned(), "x".repeat(2_000))]);
        state.user_inline_policies.insert("alice".to_owned(), own.clone());
        state.role_inline_policies.insert("r".to_owned(), own);
        let put = |name: &'static str, size: usize| {
            [("UserName", "alice".to_owned()), ("PolicyName", name.to_owned()), ("PolicyDocument", "y".repeat(size))]
        };
        let as_parameters = |pairs: &[(&str, String)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        assert_eq!(check(&state, "PutUserPolicy", &as_parameters(&put("b", 48))), Ok(()));
        let refused = check(&state, "PutUserPolicy", &as_parameters(&put("b", 49))).unwrap_err();
        assert_eq!(refused.message, "Maximum policy size of 2048 bytes exceeded for user alice");
        assert_eq!(check(&state, "PutUserPolicy", &as_parameters(&put("a", 2_048))), Ok(()));
        let large = "y".repeat(8_241);
        let role = [("RoleName", "r"), ("PolicyName", "b"), ("PolicyDocument", large.as_str())];
        assert_eq!(message(&state, "PutRolePolicy", &role), "Maximum policy size of 10240 bytes exceeded for role r");
    }

    #[test]
    fn attachments_are_counted_once_each() {
        let mut state = IamState::new("1");
        state.user_policies.insert("alice".to_owned(), (0..10).map(|n| format!("arn:{n}")).collect());
        let attach = |arn: &'static str| parameters(&[("UserName", "alice"), ("PolicyArn", arn)]);
        assert_eq!(check(&state, "AttachUserPolicy", &attach("arn:0")), Ok(()));
        let refused = check(&state, "AttachUserPolicy", &attach("arn:new")).unwrap_err();
        assert_eq!(refused.message, "Cannot exceed quota for PoliciesPerUser: 10");
    }
}
