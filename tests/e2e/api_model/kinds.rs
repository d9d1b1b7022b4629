//! The kinds whose objects the comparison makes, changes and deletes.

/// The namespaces of the test. The last is deleted now and then.
pub const NAMESPACES: [&str; 3] = ["model-a", "model-b", "model-c"];

/// A kind of objects.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    pub name: &'static str,
    pub api_version: &'static str,
    pub plural: &'static str,
    pub is_namespaced: bool,
    pub names: [&'static str; 2],
}

/// Group and version of the kinds of the project.
pub const OURS: &str = "rolebridge.io/v1alpha1";

/// Kinds whose objects are made and changed.
pub const KINDS: [Kind; 5] = [
    Kind { name: "AWSAccount", api_version: OURS, plural: "awsaccounts", is_namespaced: false, names: ["utils", "prod"] },
    Kind { name: "BastionUser", api_version: OURS, plural: "bastionusers", is_namespaced: true, names: ["alice", "bob"] },
    Kind { name: "CrossAccountRole", api_version: OURS, plural: "crossaccountroles", is_namespaced: true, names: ["reader", "writer"] },
    Kind { name: "ConfigMap", api_version: "v1", plural: "configmaps", is_namespaced: true, names: ["policies", "others"] },
    Kind { name: "Secret", api_version: "v1", plural: "secrets", is_namespaced: true, names: ["keys", "tokens"] },
];
/// Namespaces, which are made and deleted too.
pub const NAMESPACE: Kind = Kind { name: "Namespace", api_version: "v1", plural: "namespaces", is_namespaced: false, names: ["model-c", "model-c"] };
/// Events, which are only made.
pub const EVENT: Kind = Kind { name: "Event", api_version: "events.k8s.io/v1", plural: "events", is_namespaced: true, names: ["event", "event"] };

impl Kind {
    /// Whether it is a kind of the project.
    pub fn is_ours(&self) -> bool {
        self.api_version == OURS
    }

    /// The path of all objects, or of those in a namespace.
    pub fn path(&self, namespace: &str) -> String {
        let root = if self.api_version.contains('/') { "/apis" } else { "/api" };
        let namespace = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
        format!("{root}/{}{namespace}/{}", self.api_version, self.plural)
    }
}
