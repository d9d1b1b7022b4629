//! The protection of what the operator goes by: who may write a resource must not be able to make the operator believe what is not so, nor to leave
//! users and roles in AWS that no resource stands for.
//!
//! Rights in a namespace often are `resources: ["*"]`, which includes `*/status` and `*/finalizers`. So the API server is asked whether somebody has
//! these rights in the *whole cluster*, which no Role gives. Nobody is named: the operator has them wherever it runs.
//!
//! While something may be in AWS, a resource has our finalizer, or its status tells of it and it cannot be deleted until the finalizer is back:
//! `kubectl replace` drops what its manifest does not name, and is not refused for that once the status tells what was made.

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, Validation, Variable};

use super::{Rules, in_force, requests};
use crate::{ABANDON, ANNOUNCED, FINALIZER, GROUP};

/// Name of the policy and of its binding.
pub const RESOURCE_POLICY: &str = "rolebridge-resources";

/// The plural names of all kinds.
const KINDS: [&str; 3] = ["awsaccounts", "bastionusers", "crossaccountroles"];
/// The fields of a status that tell what was made in AWS.
const MADE: [&str; 4] = ["roleARN", "roleID", "userARN", "userID"];
/// The kind that a request is about, in a message.
const KIND: &str = "' + request.resource.resource + '";

/// A policy that keeps status, finalizer and annotations of our resources from those who may not say what is in AWS, and the binding that puts it in
/// force.
pub fn resource_policy() -> (ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding) {
    let kinds = KINDS.map(str::to_owned);
    let rules = Rules {
        requests: vec![
            requests(GROUP, &["CREATE", "UPDATE", "DELETE"], &kinds),
            requests(GROUP, &["UPDATE"], &kinds.map(|kind| format!("{kind}/status"))),
        ],
        conditions: vec![],
        variables: variables(),
        validations: vec![status(), finalizer_of_what_is_deleted(), finalizer_of_what_is_made(), announcement(), giving_up(), deletion()],
    };
    in_force(RESOURCE_POLICY, rules)
}

fn variables() -> Vec<Variable> {
    // Without a namespace, so that a Role does not do.
    let may = |subresource: &str| {
        format!("authorizer.group('{GROUP}').resource(request.resource.resource).subresource('{subresource}').check('update').allowed()")
    };
    let holds = |object: &str| format!("{object} != null && '{FINALIZER}' in {object}.metadata.?finalizers.orValue([])");
    let annotated = |object: &str, name: &str| format!("{object} == null ? '' : {object}.metadata.?annotations['{name}'].orValue('')");
    let made = MADE.map(|field| format!("oldObject.?status.?{field}.hasValue()")).join(" || ");
    let all = [
        ("mayWriteStatus", may("status")),
        ("mayLetGo", may("finalizers")),
        ("wasHeld", holds("oldObject")),
        ("isHeld", holds("object")),
        ("isDeleting", "oldObject != null && has(oldObject.metadata.deletionTimestamp)".to_owned()),
        ("isOwned", "oldObject != null && oldObject.metadata.?ownerReferences.orValue([]).size() > 0".to_owned()),
        ("isMade", format!("oldObject != null && ({made})")),
        ("wasAbandoned", annotated("oldObject", ABANDON)),
        ("isAbandoned", annotated("object", ABANDON)),
        ("wasAnnounced", annotated("oldObject", ANNOUNCED)),
        ("isAnnounced", annotated("object", ANNOUNCED)),
    ];
    all.into_iter().map(|(name, expression)| Variable { name: name.into(), expression }).collect()
}

/// What must hold, and what is told where it does not: KIND stands for the kind that the request is about.
fn validation(expression: &str, message: &str) -> Validation {
    Validation {
        expression: expression.to_owned(),
        message: Some(message.replace("KIND", "<kind>")),
        message_expression: Some(format!("'{}'", message.replace("KIND", KIND))),
        reason: Some("Forbidden".into()),
    }
}

/// The status is the operator's memory of what belongs to a resource.
fn status() -> Validation {
    validation(
        "!has(request.subResource) || request.subResource != \"status\" || variables.mayWriteStatus",
        "the status tells what the resource has in AWS, and only Rolebridge writes it: change the spec instead. Whoever runs Rolebridge or restores \
         a backup needs the right to update KIND/status in the whole cluster, by a ClusterRoleBinding",
    )
}

/// On a resource that is being deleted, the finalizer stands for all that is still to be removed from AWS.
fn finalizer_of_what_is_deleted() -> Validation {
    validation(
        "request.operation != \"UPDATE\" || !variables.wasHeld || variables.isHeld || !variables.isDeleting || variables.mayLetGo",
        &format!(
            "the resource is being deleted, and Rolebridge takes off {FINALIZER} once nothing is left in AWS: leave it on, and see in the condition \
             Ready what the deletion waits for. Whoever may update KIND/finalizers in the whole cluster can give up what is in AWS"
        ),
    )
}

/// Until the status tells what was made, nothing but the finalizer says that something may be. An account makes nothing.
fn finalizer_of_what_is_made() -> Validation {
    validation(
        "request.operation != \"UPDATE\" || request.resource.resource == \"awsaccounts\" || !variables.wasHeld || variables.isHeld || \
         variables.isDeleting || variables.isMade || variables.mayLetGo",
        &format!(
            "Rolebridge may be making this in AWS right now, and would lose sight of it without {FINALIZER}: keep the finalizer, as kubectl apply, \
             edit and patch do, or try again once the status has an ARN (kubectl replace drops the finalizer unless the manifest has it)"
        ),
    )
}

/// What is being made, which later stands in the status.
fn announcement() -> Validation {
    validation(
        "request.operation != \"UPDATE\" || !variables.wasHeld || variables.isMade || variables.isAnnounced == variables.wasAnnounced || \
         variables.mayLetGo",
        &format!("the annotation {ANNOUNCED} tells what Rolebridge is making in AWS right now: leave it as it is until the status has an ARN"),
    )
}

/// Giving up leaves in AWS what the resource has there.
fn giving_up() -> Validation {
    validation(
        "request.operation == \"DELETE\" || variables.isAbandoned != \"true\" || variables.wasAbandoned == \"true\" || variables.mayLetGo",
        &format!(
            "the annotation {ABANDON}=true leaves in AWS what the resource has there: ask a platform administrator, who may update KIND/finalizers \
             in the whole cluster, to set it"
        ),
    )
}

/// Kubernetes' garbage collector may update everything, and deletes for whoever writes an owner into a resource.
fn deletion() -> Validation {
    validation(
        "request.operation != \"DELETE\" || variables.wasHeld || !variables.isMade || variables.isDeleting || \
         (variables.mayLetGo && !variables.isOwned)",
        &format!(
            "the resource has something in AWS, which would stay there: {FINALIZER} is missing, as kubectl replace drops it. Rolebridge puts it back \
             in a moment while it runs: delete the resource again then. Whoever may update KIND/finalizers in the whole cluster can delete it as it \
             is, unless it has an owner"
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{AWSAccount, BastionUser, CrossAccountRole, crds};
    use kube::Resource;
    use serde_json::Value;

    #[test]
    fn every_kind_is_protected() {
        let plural = [AWSAccount::plural(&()), BastionUser::plural(&()), CrossAccountRole::plural(&())];
        assert_eq!(plural.each_ref().map(AsRef::as_ref), KINDS);
    }

    #[test]
    fn the_fields_that_tell_what_was_made_are_those_of_the_schemas() {
        let mut found = BTreeSet::new();
        for crd in crds().unwrap() {
            let crd: Value = serde_json::to_value(crd).unwrap();
            let status = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"];
            found.extend(status.as_object().unwrap().keys().filter(|field| MADE.contains(&field.as_str())).cloned());
        }
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), MADE);
    }

    #[test]
    fn messages_are_whole_expressions() {
        for validation in resource_policy().0.spec.unwrap().validations.unwrap() {
            let (message, expression) = (validation.message.unwrap(), validation.message_expression.unwrap());
            assert!(!message.contains(['\'', '\n']) && !message.contains("  "), "{message}");
            assert_eq!(expression.matches('\'').count() % 2, 0, "{expression}");
        }
    }
}
