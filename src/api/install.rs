//! What a cluster is given before the operator, file by file.

use std::collections::BTreeMap;

use serde_json::Value;

use super::crd::crds;
use super::protection::deletion_policy;

/// Everything that a cluster is given before the operator, as objects by the name of the file that each is in: the
/// CustomResourceDefinitions, and the policy that keeps them from being deleted in passing.
///
/// # Errors
/// Never in a build whose tests passed: the schemas are fixed at compile time.
pub fn installation_files() -> Result<BTreeMap<String, Value>, serde_json::Error> {
    let (policy, binding) = deletion_policy();
    let mut files = BTreeMap::from([
        ("deletion-policy.yaml".to_owned(), serde_json::to_value(policy)?),
        ("deletion-policy-binding.yaml".to_owned(), serde_json::to_value(binding)?),
    ]);
    for crd in crds()? {
        files.insert(format!("{}.yaml", crd.spec.names.plural), serde_json::to_value(crd)?);
    }
    Ok(files)
}
