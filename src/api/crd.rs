//! The finished CustomResourceDefinitions: what the derive gives, made to read well and to be safe to install.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::{AWSAccount, BastionUser, CrossAccountRole};

/// The CustomResourceDefinitions of all kinds.
///
/// # Errors
/// Never in a build whose tests passed: the schemas are fixed at compile time.
pub fn crds() -> Result<Vec<CustomResourceDefinition>, serde_json::Error> {
    [AWSAccount::crd(), BastionUser::crd(), CrossAccountRole::crd()].into_iter().map(finish).collect()
}

/// Annotations that tell Helm, Argo CD and Flux to leave an object when what installed it is removed. Deleting a CustomResourceDefinition
/// deletes every resource, and with them what they own in AWS.
pub(super) fn kept() -> BTreeMap<String, String> {
    let annotations = [
        ("argocd.argoproj.io/sync-options", "Prune=false,Delete=false"),
        ("helm.sh/resource-policy", "keep"),
        ("kustomize.toolkit.fluxcd.io/prune", "disabled"),
    ];
    annotations.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn finish(crd: CustomResourceDefinition) -> Result<CustomResourceDefinition, serde_json::Error> {
    let mut crd = serde_json::to_value(crd)?;
    crd["metadata"]["annotations"] = json!(kept());
    if let Some(versions) = crd["spec"]["versions"].as_array_mut() {
        for version in versions {
            let schema = &mut version["schema"]["openAPIV3Schema"];
            tidy(schema);
            // Whoever applies an empty object, such as `guardrails: {}`, would own the defaults in it without having written them. By kubectl that cannot be applied
            // server-side any more once it was applied client-side: the API server then makes null of it.
            for field in schema["properties"]["spec"]["properties"].as_object_mut().into_iter().flat_map(|fields| fields.values_mut()) {
                field["properties"].as_object_mut().into_iter().flat_map(|fields| fields.values_mut()).for_each(without_defaults);
            }
            // A fresh object is then in progress for tools that follow kstatus, and not "Current" before anything has happened.
            schema["properties"]["status"]["default"] = json!({"observedGeneration": -1});
        }
    }
    serde_json::from_value(crd)
}

/// Takes out what the derive leaves behind and nobody means: `nullable` (an absent field says the same, and a null in a manifest is a
/// mistake), and enums written as a choice between constants.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.remove("nullable");
            if map.get("format").is_some_and(|f| matches!(f.as_str(), Some("uint32" | "uint16" | "uint8" | "uint"))) {
                map.insert("format".into(), "int32".into());
            }
            // A rule of ours says the same of the fields, and its message says what to do.
            if map.contains_key("x-kubernetes-validations") {
                map.remove("oneOf");
            }
            // schemars breaks descriptions where the source does.
            if let Some(Value::String(description)) = map.get_mut("description") {
                *description = description.split("\n\n").map(|p| p.replace('\n', " ")).collect::<Vec<_>>().join("\n");
            }
            // A list is replaced as a whole by most tools: a default inside it would come and go with every apply.
            if let Some(items) = map.get_mut("items") {
                without_defaults(items);
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn without_defaults(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.remove("default");
            map.values_mut().for_each(without_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(without_defaults),
        _ => {}
    }
}
