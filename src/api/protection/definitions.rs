//! The protection of the CustomResourceDefinitions against being deleted in passing.
//!
//! Deleting a CustomResourceDefinition deletes every resource of its kind, while writes to them still work: the operator would take that
//! for so many deletions by their owners, and remove all it manages from AWS. So the API server is told to refuse it unless somebody has
//! said with an annotation that it is meant.

use k8s_openapi::api::admissionregistration::v1::{MatchCondition, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, Validation};

use super::{Rules, in_force, requests};
use crate::GROUP;

/// The annotation by which a person allows a CustomResourceDefinition, and all that hangs on it, to be deleted.
pub const ALLOW_DELETION: &str = "rolebridge.io/allow-deletion";
/// Name of the policy and of its binding.
pub const DELETION_POLICY: &str = "rolebridge-crd-deletion";

/// A policy that refuses the deletion of our definitions while they lack [`ALLOW_DELETION`], and the binding that puts it in force.
pub fn deletion_policy() -> (ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding) {
    // Names in the rule would let a deletion of the whole collection pass: that one is admitted without a name.
    let ours = MatchCondition { name: "of-rolebridge".into(), expression: format!("oldObject != null && oldObject.spec.group == '{GROUP}'") };
    let message = "deleting this CustomResourceDefinition deletes all its resources, and with them what they own in AWS";
    let validation = Validation {
        expression: format!("oldObject.metadata.?annotations['{ALLOW_DELETION}'].orValue('') == 'true'"),
        message: Some(format!("{message}; if that is meant, annotate it with {ALLOW_DELETION}=true first")),
        message_expression: Some(format!(
            "'{message}; if that is meant, first run: kubectl annotate crd ' + oldObject.metadata.name + ' {ALLOW_DELETION}=true'"
        )),
        reason: Some("Forbidden".into()),
    };
    let rules = Rules {
        requests: vec![requests("apiextensions.k8s.io", &["DELETE"], &["customresourcedefinitions".into()])],
        conditions: vec![ours],
        variables: vec![],
        validations: vec![validation],
    };
    in_force(DELETION_POLICY, rules)
}
