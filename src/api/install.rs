//! What a cluster is given before the operator, file by file.

use std::collections::BTreeMap;

use serde_json::Value;

use super::crd::crds;
use super::protection::{deletion_policy, resource_policy};

/// Everything that a cluster is given before the operator, as objects by the name of the file that each is in: the
/// CustomResourceDefinitions, and the policies that protect them and the resources.
///
/// # Errors
/// Never in a build whose tests passed: the schemas are fixed at compile time.
pub fn installation_files() -> Result<BTreeMap<String, Value>, serde_json::Error> {
    let mut files = BTreeMap::new();
    for (name, (policy, binding)) in [("deletion-policy", deletion_policy()), ("resource-policy", resource_policy())] {
        files.insert(format!("{name}.yaml"), serde_json::to_value(policy)?);
        files.insert(format!("{name}-binding.yaml"), serde_json::to_value(binding)?);
    }
    for crd in crds()? {
        files.insert(format!("{}.yaml", crd.spec.names.plural), serde_json::to_value(crd)?);
    }
    Ok(files)
}
