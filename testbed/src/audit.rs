//! The API server's audit log: every write of what the operator may write, exactly once, with who wrote it.

use std::{fs, io::ErrorKind, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

/// A write request that the API server has answered. Requests with `dryRun` do not count. A request that changed nothing (an
/// identical server-side apply) does count: it cost the API server as much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// `system:serviceaccount:NAMESPACE:NAME`, or `admin` for the testbed's own client and kubectl.
    pub user: String,
    /// `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// Plural name, such as `configmaps`.
    pub resource: String,
    /// Such as `status`; empty for the object itself.
    pub subresource: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// Name of the object; empty for `deletecollection`.
    pub name: String,
    /// HTTP status of the answer.
    pub code: u16,
    /// When it was answered, by RFC 3339 with microseconds.
    pub answered_at: String,
}

/// What the API server logs: writes of our own resources, and of the Events, ConfigMaps and Secrets that the operator
/// produces. Leases are renewed for ever and left out.
pub(crate) fn policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted", "Panic"],
        "rules": [
            {
                "level": "Metadata",
                "verbs": ["create", "update", "patch", "delete", "deletecollection"],
                "resources": [
                    {"group": "rolebridge.io"},
                    {"group": "", "resources": ["events", "configmaps", "secrets"]},
                    {"group": "events.k8s.io", "resources": ["events"]},
                ],
            },
            {"level": "None"},
        ],
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "requestURI")]
    request_uri: String,
    verb: String,
    user: User,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
    stage_timestamp: String,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}

/// Reads the audit log at `path` from its beginning. A last line that is still being written is left for the next time.
pub(crate) fn read(path: &Path) -> Result<Vec<Write>> {
    let log = match fs::read_to_string(path) {
        Ok(log) => log,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let complete = log.rfind('\n').map_or("", |end| &log[..end]);
    let mut writes = Vec::new();
    for line in complete.lines() {
        let event: Event = serde_json::from_str(line).with_context(|| format!("audit event {line}"))?;
        if event.request_uri.contains("dryRun=") {
            continue;
        }
        let object = event.object_ref;
        writes.push(Write {
            user: event.user.username,
            verb: event.verb,
            group: object.api_group,
            resource: object.resource,
            subresource: object.subresource,
            namespace: object.namespace,
            name: object.name,
            code: event.response_status.code,
            answered_at: event.stage_timestamp,
        });
    }
    Ok(writes)
}
