//! Sizes and numbers that IAM does not let grow, of each account, which `GetAccountSummary` tells.

use std::collections::{BTreeMap, HashMap};

use fakecloud_iam::IamState;

use super::protected;
use crate::failure::Failure;

/// The quotas of an account, by their keys in `GetAccountSummary`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas(BTreeMap<&'static str, usize>);

impl Default for Quotas {
    /// What AWS gives a new account.
    ///
    /// Source: BC `GetAccountSummary`, its example of all keys; UG `reference_iam-quotas.md`.
    fn default() -> Self {
        Self(BTreeMap::from([
            ("AccessKeysPerUserQuota", 2),
            ("AssumeRolePolicySizeQuota", 2_048),
            ("AttachedPoliciesPerGroupQuota", 10),
            ("AttachedPoliciesPerRoleQuota", 20),
            ("AttachedPoliciesPerUserQuota", 10),
            ("GroupPolicySizeQuota", 5_120),
            ("GroupsPerUserQuota", 10),
            ("GroupsQuota", 300),
            ("InstanceProfilesQuota", 1_000),
            ("PoliciesQuota", 1_500),
            ("PolicySizeQuota", 6_144),
            ("PolicyVersionsInUseQuota", 10_000),
            ("RolePolicySizeQuota", 10_240),
            ("RolesQuota", 1_000),
            ("ServerCertificatesQuota", 20),
            ("SigningCertificatesPerUserQuota", 2),
            ("UserPolicySizeQuota", 2_048),
            ("UsersQuota", 5_000),
            ("VersionsPerPolicyQuota", 5),
        ]))
    }
}

impl Quotas {
    /// All quotas by key.
    pub fn all(&self) -> &BTreeMap<&'static str, usize> {
        &self.0
    }

    /// One quota; a key that is none counts as 0, which nothing fits.
    fn of(&self, key: &str) -> usize {
        self.0.get(key).copied().unwrap_or_default()
    }

    /// The quotas with some changed, as AWS changes them on request.
    ///
    /// # Errors
    /// For a key that is none, and for more than AWS gives anybody: keys and certificates of a user and versions of a policy
    /// cannot be raised (UG `reference_iam-quotas.md`).
    pub fn with(&self, changes: &BTreeMap<String, usize>) -> Result<Self, String> {
        let mut changed = self.clone();
        for (key, value) in changes {
            let is_fixed = ["AccessKeysPerUserQuota", "SigningCertificatesPerUserQuota", "VersionsPerPolicyQuota"].contains(&key.as_str());
            if is_fixed && *value > Self::default().of(key) {
                return Err(format!("AWS does not raise {key} beyond {}", Self::default().of(key)));
            }
            match changed.0.get_mut(key.as_str()) {
                Some(quota) => *quota = *value,
                None => return Err(format!("no quota {key}; there are {}", self.0.keys().copied().collect::<Vec<_>>().join(", "))),
            }
        }
        Ok(changed)
    }
}

/// Refuses what would exceed a quota of the account.
///
/// Source: UG `reference_iam-quotas.md` (white space does not count); the texts as quoted in kubeflow#6687
/// (`ACLSizePerRole`), TF's issues about `PolicySize` and `PoliciesPerRole`, and about inline policies ("Maximum policy size
/// of 2048 bytes exceeded for user ..."). That white space does not count in trust policies either is [inf].
pub fn check(state: &IamState, quotas: &Quotas, operation: &str, parameters: &HashMap<String, String>) -> Result<(), Failure> {
    let parameter = |name: &str| parameters.get(name).map_or("", String::as_str);
    let at_most = |name: &str, key: &str, value: usize| at_most(name, quotas.of(key), value);
    let attached = |policies: Option<&Vec<String>>| with_one_more(policies.map_or(&[], Vec::as_slice), parameter("PolicyArn"));
    match operation {
        "CreateUser" => at_most("UsersPerAccount", "UsersQuota", state.users.len() + 1),
        "CreateGroup" => at_most("GroupsPerAccount", "GroupsQuota", state.groups.len() + 1),
        "CreateInstanceProfile" => at_most("InstanceProfilesPerAccount", "InstanceProfilesQuota", state.instance_profiles.len() + 1),
        "CreateRole" => {
            at_most("ACLSizePerRole", "AssumeRolePolicySizeQuota", size(parameter("AssumeRolePolicyDocument")))?;
            at_most("RolesPerAccount", "RolesQuota", own_roles(state) + 1)
        }
        "UpdateAssumeRolePolicy" => at_most("ACLSizePerRole", "AssumeRolePolicySizeQuota", size(parameter("PolicyDocument"))),
        "CreatePolicy" => {
            at_most("PolicySize", "PolicySizeQuota", size(parameter("PolicyDocument")))?;
            at_most("PoliciesPerAccount", "PoliciesQuota", state.policies.len() + 1)?;
            at_most("PolicyVersionsInUse", "PolicyVersionsInUseQuota", versions_in_use(state) + 1)
        }
        "CreatePolicyVersion" => {
            at_most("PolicySize", "PolicySizeQuota", size(parameter("PolicyDocument")))?;
            at_most("PolicyVersionsInUse", "PolicyVersionsInUseQuota", versions_in_use(state) + 1)?;
            one_more_version(state, quotas.of("VersionsPerPolicyQuota"), parameter("PolicyArn"))
        }
        "CreateAccessKey" => {
            let keys = state.access_keys.get(parameter("UserName")).map_or(0, Vec::len);
            at_most("AccessKeysPerUser", "AccessKeysPerUserQuota", keys + 1)
        }
        "PutUserPolicy" => {
            inline("user", parameter("UserName"), quotas.of("UserPolicySizeQuota"), state.user_inline_policies.get(parameter("UserName")), parameters)
        }
        "PutRolePolicy" => {
            inline("role", parameter("RoleName"), quotas.of("RolePolicySizeQuota"), state.role_inline_policies.get(parameter("RoleName")), parameters)
        }
        "PutGroupPolicy" => {
            let policies = state.groups.get(parameter("GroupName")).map(|group| &group.inline_policies);
            inline("group", parameter("GroupName"), quotas.of("GroupPolicySizeQuota"), policies, parameters)
        }
        "AttachUserPolicy" => at_most("PoliciesPerUser", "AttachedPoliciesPerUserQuota", attached(state.user_policies.get(parameter("UserName")))),
        "AttachRolePolicy" => at_most("PoliciesPerRole", "AttachedPoliciesPerRoleQuota", attached(state.role_policies.get(parameter("RoleName")))),
        "AttachGroupPolicy" => {
            let policies = state.groups.get(parameter("GroupName")).map(|group| &group.attached_policies);
            at_most("PoliciesPerGroup", "AttachedPoliciesPerGroupQuota", attached(policies))
        }
        "AddUserToGroup" => {
            let user = parameter("UserName");
            let others =
                state.groups.values().filter(|group| group.group_name != parameter("GroupName") && group.members.iter().any(|name| name == user));
            at_most("GroupsPerUser", "GroupsPerUserQuota", others.count() + 1)
        }
        _ => Ok(()),
    }
}

/// The document of `GetAccountSummary` with the quotas of the account, and with the key that the crate leaves out.
///
/// Source: BC `summaryKeyType`. The root user of a simulated account has no password.
pub fn in_summary(quotas: &Quotas, document: &str) -> String {
    let mut summary = document.to_owned();
    for (key, value) in quotas.all() {
        let start = format!("<key>{key}</key><value>");
        if let Some((before, rest)) = summary.split_once(&start)
            && let Some((_, after)) = rest.split_once('<')
        {
            summary = format!("{before}{start}{value}<{after}");
        }
    }
    summary.replacen("<SummaryMap>", "<SummaryMap>\n      <entry><key>AccountPasswordPresent</key><value>0</value></entry>", 1)
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

/// The roles that count: service-linked ones do not (UG `reference_iam-quotas.md`).
fn own_roles(state: &IamState) -> usize {
    state.roles.values().filter(|role| !protected::is_reserved(&role.path)).count()
}

fn versions_in_use(state: &IamState) -> usize {
    state.policies.values().map(|policy| policy.versions.len()).sum()
}

/// Source: BC CreatePolicyVersion; the text is the API's.
fn one_more_version(state: &IamState, limit: usize, policy_arn: &str) -> Result<(), Failure> {
    if state.policies.get(policy_arn).is_none_or(|policy| policy.versions.len() < limit) {
        return Ok(());
    }
    Err(exceeded(format!("A managed policy can have up to {limit} versions. Before you create a new version, you must delete an existing version.")))
}

fn with_one_more(attached: &[String], policy_arn: &str) -> usize {
    attached.len() + usize::from(!attached.iter().any(|arn| arn == policy_arn))
}

/// All inline policies of one user, role or group count together.
fn inline(
    kind: &str,
    name: &str,
    limit: usize,
    policies: Option<&BTreeMap<String, String>>,
    parameters: &HashMap<String, String>,
) -> Result<(), Failure> {
    let replaced = parameters.get("PolicyName");
    let others = policies.into_iter().flatten().filter(|(policy_name, _)| Some(*policy_name) != replaced);
    let total: usize = others.map(|(_, document)| size(document)).sum::<usize>() + parameters.get("PolicyDocument").map_or(0, |text| size(text));
    if total <= limit {
        return Ok(());
    }
    Err(exceeded(format!("Maximum policy size of {limit} bytes exceeded for {kind} {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn message(state: &IamState, operation: &str, pairs: &[(&str, &str)]) -> String {
        let failure = check(state, &Quotas::default(), operation, &parameters(pairs)).unwrap_err();
        assert_eq!((failure.status, failure.code.as_str()), (409, "LimitExceeded"));
        failure.message
    }

    #[test]
    fn statements_15_and_16_trust_and_managed_policies_have_a_size_without_white_space() {
        let state = IamState::new("1");
        for (operation, parameter, limit, name) in [
            ("CreateRole", "AssumeRolePolicyDocument", 2_048, "ACLSizePerRole"),
            ("UpdateAssumeRolePolicy", "PolicyDocument", 2_048, "ACLSizePerRole"),
            ("CreatePolicy", "PolicyDocument", 6_144, "PolicySize"),
            ("CreatePolicyVersion", "PolicyDocument", 6_144, "PolicySize"),
        ] {
            let (fits, too_large) = (format!("{} \n\t", "x".repeat(limit)), "x".repeat(limit + 1));
            assert_eq!(check(&state, &Quotas::default(), operation, &parameters(&[(parameter, &fits)])), Ok(()));
            assert_eq!(message(&state, operation, &[(parameter, &too_large)]), format!("Cannot exceed quota for {name}: {limit}"));
        }
    }

    #[test]
    fn statement_16_inline_policies_count_together_and_a_replaced_one_does_not() {
        let mut state = IamState::new("1");
        let own = BTreeMap::from([("a".to_owned(), "x".repeat(2_000))]);
        state.user_inline_policies.insert("alice".to_owned(), own.clone());
        state.role_inline_policies.insert("r".to_owned(), own);
        let put = |name: &'static str, size: usize| {
            [("UserName", "alice".to_owned()), ("PolicyName", name.to_owned()), ("PolicyDocument", "y".repeat(size))]
        };
        let as_parameters = |pairs: &[(&str, String)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        assert_eq!(check(&state, &Quotas::default(), "PutUserPolicy", &as_parameters(&put("b", 48))), Ok(()));
        let refused = check(&state, &Quotas::default(), "PutUserPolicy", &as_parameters(&put("b", 49))).unwrap_err();
        assert_eq!(refused.message, "Maximum policy size of 2048 bytes exceeded for user alice");
        assert_eq!(check(&state, &Quotas::default(), "PutUserPolicy", &as_parameters(&put("a", 2_048))), Ok(()));
        let large = "y".repeat(8_241);
        let role = [("RoleName", "r"), ("PolicyName", "b"), ("PolicyDocument", large.as_str())];
        assert_eq!(message(&state, "PutRolePolicy", &role), "Maximum policy size of 10240 bytes exceeded for role r");
    }

    #[test]
    fn statement_16_attachments_are_counted_once_each() {
        let mut state = IamState::new("1");
        state.user_policies.insert("alice".to_owned(), (0..10).map(|n| format!("arn:{n}")).collect());
        let attach = |arn: &'static str| parameters(&[("UserName", "alice"), ("PolicyArn", arn)]);
        assert_eq!(check(&state, &Quotas::default(), "AttachUserPolicy", &attach("arn:0")), Ok(()));
        let refused = check(&state, &Quotas::default(), "AttachUserPolicy", &attach("arn:new")).unwrap_err();
        assert_eq!(refused.message, "Cannot exceed quota for PoliciesPerUser: 10");
    }

    fn with(key: &str, value: usize) -> Quotas {
        Quotas::default().with(&BTreeMap::from([(key.to_owned(), value)])).unwrap()
    }

    #[test]
    fn statement_55_a_raised_quota_lets_more_in_and_a_lowered_one_less() {
        let state = IamState::new("1");
        let create = parameters(&[("AssumeRolePolicyDocument", &"x".repeat(3_000))]);
        assert!(check(&state, &Quotas::default(), "CreateRole", &create).is_err());
        assert_eq!(check(&state, &with("AssumeRolePolicySizeQuota", 3_000), "CreateRole", &create), Ok(()));
        let refused = check(&state, &with("AssumeRolePolicySizeQuota", 2_999), "CreateRole", &create).unwrap_err();
        assert_eq!(refused.message, "Cannot exceed quota for ACLSizePerRole: 2999");
    }

    #[test]
    fn entities_are_counted_without_the_service_linked_roles() {
        // The crate gives each account two of those.
        let state = IamState::new("1");
        for (operation, key, name) in [
            ("CreateUser", "UsersQuota", "UsersPerAccount"),
            ("CreateRole", "RolesQuota", "RolesPerAccount"),
            ("CreateGroup", "GroupsQuota", "GroupsPerAccount"),
            ("CreatePolicy", "PoliciesQuota", "PoliciesPerAccount"),
            ("CreateInstanceProfile", "InstanceProfilesQuota", "InstanceProfilesPerAccount"),
        ] {
            assert_eq!(check(&state, &with(key, 1), operation, &HashMap::new()), Ok(()), "{operation}");
            let refused = check(&state, &with(key, 0), operation, &HashMap::new()).unwrap_err();
            assert_eq!(refused.message, format!("Cannot exceed quota for {name}: 0"));
        }
    }

    #[test]
    fn a_quota_has_a_known_key_and_some_are_fixed() {
        let change = |key: &str, value| Quotas::default().with(&BTreeMap::from([(key.to_owned(), value)]));
        assert!(change("AssumeRolePolicySize", 1).unwrap_err().contains("AssumeRolePolicySizeQuota"));
        assert!(change("VersionsPerPolicyQuota", 6).is_err());
        assert_eq!(change("VersionsPerPolicyQuota", 2).unwrap().of("VersionsPerPolicyQuota"), 2);
    }

    #[test]
    fn the_summary_tells_what_is_enforced() {
        let document = "<SummaryMap><entry><key>RolesQuota</key><value>7</value></entry><entry><key>Roles</key><value>3</value></entry></SummaryMap>";
        let told = in_summary(&with("RolesQuota", 12), document);
        assert!(told.contains("<key>RolesQuota</key><value>12</value>") && told.contains("<key>Roles</key><value>3</value>"), "{told}");
        assert!(told.contains("<key>AccountPasswordPresent</key>"), "{told}");
    }
}
