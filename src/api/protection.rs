//! What the API server is told to refuse by ValidatingAdmissionPolicies: that definitions are deleted in passing, and that what the operator goes by
//! is written by others.

mod definitions;
mod resources;

pub use definitions::{ALLOW_DELETION, DELETION_POLICY, deletion_policy};
pub use resources::{RESOURCE_POLICY, resource_policy};

use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec, Validation, Variable,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::ObjectMeta;

use super::crd::kept;

/// What a policy is about, what it works out, and what must hold.
struct Rules {
    requests: Vec<NamedRuleWithOperations>,
    conditions: Vec<MatchCondition>,
    variables: Vec<Variable>,
    validations: Vec<Validation>,
}

/// The policy of this name with these rules, and the binding that puts it in force.
fn in_force(name: &str, rules: Rules) -> (ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding) {
    let metadata = ObjectMeta { name: Some(name.into()), annotations: Some(kept()), ..ObjectMeta::default() };
    // The API server's defaults, said aloud: the constraints have one owner, so that kubectl, Helm and Argo CD would disagree over what is left out.
    let constraints = MatchResources {
        match_policy: Some("Equivalent".into()),
        namespace_selector: Some(LabelSelector::default()),
        object_selector: Some(LabelSelector::default()),
        resource_rules: Some(rules.requests),
        ..MatchResources::default()
    };
    let policy = ValidatingAdmissionPolicy {
        metadata: metadata.clone(),
        spec: Some(ValidatingAdmissionPolicySpec {
            failure_policy: Some("Fail".into()),
            match_conditions: (!rules.conditions.is_empty()).then_some(rules.conditions),
            match_constraints: Some(constraints),
            variables: (!rules.variables.is_empty()).then_some(rules.variables),
            validations: Some(rules.validations),
            ..ValidatingAdmissionPolicySpec::default()
        }),
        status: None,
    };
    let binding = ValidatingAdmissionPolicyBinding {
        metadata,
        spec: ValidatingAdmissionPolicyBindingSpec {
            policy_name: name.into(),
            validation_actions: vec!["Deny".into()],
            ..ValidatingAdmissionPolicyBindingSpec::default()
        },
    };
    (policy, binding)
}

/// These operations on these resources of a group, in any version.
fn requests(group: &str, operations: &[&str], resources: &[String]) -> NamedRuleWithOperations {
    NamedRuleWithOperations {
        api_groups: Some(vec![group.into()]),
        api_versions: Some(vec!["*".into()]),
        operations: Some(operations.iter().map(|operation| (*operation).to_owned()).collect()),
        resources: Some(resources.to_vec()),
        scope: Some("*".into()),
        ..NamedRuleWithOperations::default()
    }
}
