//! `CrossAccountRole`: one IAM role, who may assume it and what it may do.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

use super::common::{AccountReference, AllowRolesFrom, Condition, Managed};
use super::permissions::{DeclaredStatus, Permissions, PolicyStatus};
use super::schema;
use super::trust::{self, TrustEntry};
use super::user::{AssumableRole, AssumePolicyStatus};

/// An IAM role: who may assume it, from which accounts, and what it may do.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "rolebridge.io",
    version = "v1alpha1",
    kind = "CrossAccountRole",
    plural = "crossaccountroles",
    shortname = "car",
    category = "rolebridge",
    namespaced,
    status = "CrossAccountRoleStatus",
    derive = "PartialEq",
    doc = "An IAM role: who may assume it, from which accounts, and what it may do. A source that is named here gets the right to assume the role, too.",
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name has at most 63 characters"),
    printcolumn(name = "Account", type_ = "string", json_path = ".spec.accountRef.name"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Role ARN", type_ = "string", json_path = ".status.roleARN"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = Rule::new("self.accountRef.name == oldSelf.accountRef.name").message("accountRef is immutable: a role cannot move to another account; make another CrossAccountRole").field_path(".accountRef"))]
#[x_kube(validation = Rule::new("has(self.roleName) == has(oldSelf.roleName) && (!has(self.roleName) || self.roleName == oldSelf.roleName)")
    .message("roleName cannot be changed, set later or unset: make another CrossAccountRole"))]
#[x_kube(validation = Rule::new("has(self.path) == has(oldSelf.path) && (!has(self.path) || self.path == oldSelf.path)")
    .message("path cannot be changed, set later or unset: make another CrossAccountRole"))]
#[x_kube(validation = Rule::new("self.trust.map(entry, entry.from.filter(source, has(source.users)).size()).sum() <= 32")
    .message("a role has at most 32 sources of the form users, over all entries: widen the selectors, or name the users"))]
#[serde(rename_all = "camelCase")]
pub struct CrossAccountRoleSpec {
    /// The account that holds the role. Immutable.
    pub account_ref: AccountReference,
    /// Name of the role in IAM. Default: metadata.name. Immutable. IAM compares names without regard to case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::identity_name")]
    pub role_name: Option<String>,
    /// Path of the role and of its customer-managed policies in IAM. Default: /. Immutable. It does not make names differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::path")]
    pub path: Option<String>,
    /// Description of the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::description")]
    pub description: Option<String>,
    /// Tags of the role and of its customer-managed policies.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::tags")]
    pub tags: BTreeMap<String, String>,
    /// How long a session of the role may last: 1h to 12h. Default: 1h. A session that another role's session opened lasts one hour at
    /// most, whatever is said here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::max_session_duration")]
    pub max_session_duration: Option<String>,
    /// ARN of the policy that is the role's permissions boundary. A boundary that others put on where none is declared stays, and Ready tells of it.
    #[serde(default, rename = "permissionsBoundaryARN", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::policy_arn")]
    pub permissions_boundary_arn: Option<String>,
    /// Who may assume the role, and under which conditions. With an empty list nobody may.
    #[schemars(length(max = 32))]
    pub trust: Vec<TrustEntry>,
    /// Which namespaces may name this role as a source of another role. Default: its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_roles_from: Option<AllowRolesFrom>,
    /// What the role may do. Policies that are on the role and not listed here are taken off it, unless permissions.unmanaged says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
}

/// What the operator made and found.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CrossAccountRoleStatus {
    /// The generation of the spec that this status speaks of.
    #[schemars(schema_with = "schema::observed_generation")]
    #[serde(default)]
    pub observed_generation: i64,
    /// ARN of the role, also while it is made anew after it was deleted in AWS.
    #[serde(default, rename = "roleARN", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub role_arn: Option<String>,
    /// The unique ID that IAM gave the role (AROA...). A role of the same name with another ID is another role. It is absent while a role that was
    /// deleted in AWS is made anew.
    #[serde(default, rename = "roleID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub role_id: Option<String>,
    /// The unique ID that the role had which was deleted in AWS. It is there while another one is made in its place.
    #[serde(default, rename = "deletedRoleID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub deleted_role_id: Option<String>,
    /// The permissions boundary that the AWSAccount has put on, by its guardrails or defaults. It stays when it is taken out there, until somebody takes it off in
    /// AWS, or another one is declared.
    #[serde(default, rename = "permissionsBoundaryARN", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub permissions_boundary_arn: Option<String>,
    /// The console link that switches to the role, where the console can send what the role requires.
    #[serde(default, rename = "switchRoleURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub switch_role_url: Option<String>,
    /// The trust policy as it is in IAM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<TrustStatus>,
    /// The customer-managed policies that belong to the role, or are about to be made for it; at most 100 are listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub policies: Vec<PolicyStatus>,
    /// What is declared of policies and permissions boundary, or was, and is on the role. It goes when it is declared no more. A policy that only denies, or a
    /// boundary, that is not in here, others have put on, and it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<DeclaredStatus>,
    /// Policies that others put on the role and that stay: names of inline policies, and ARNs of attached ones and of a permissions boundary. First those that
    /// restrict the role, which always stay; then, where permissions.unmanaged is Report, all others. The first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::listed_policies")]
    pub unmanaged_policies: Vec<String>,
    /// How many of them there are.
    #[serde(default)]
    pub unmanaged_policies_total: i64,
    /// Each source and whether its grant stands; at most 100 are listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub grants: Vec<GrantStatus>,
    /// How many sources the role has.
    #[serde(default)]
    pub grants_total: i64,
    /// The policies that allow this role to assume others that name it as a source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 11))]
    pub assume_policies: Vec<AssumePolicyStatus>,
    /// The roles that this role's assume policies allow, in the order of their namespaces and names; at most 100 are listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub roles: Vec<AssumableRole>,
    /// How many roles this role's assume policies allow.
    #[serde(default)]
    pub roles_total: i64,
    /// Ready sums up the others; each has a reason and a message that says what to do.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// The trust policy as it is in IAM.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct TrustStatus {
    /// Its size as IAM counts it, in bytes.
    pub bytes: i64,
    /// How many bytes the account lets it have. From four fifths of it on, the Ready condition warns.
    #[serde(default)]
    pub quota: i64,
    /// How many principals it names.
    pub principals: i64,
}

/// Whether the grant of one source stands.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct GrantStatus {
    /// The source: BastionUser/namespace/name, CrossAccountRole/namespace/name, AWSAccount/name, or what the trust entry says.
    #[schemars(length(max = 2304))]
    pub source: String,
    /// The principal that the trust policy names for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub principal: Option<String>,
    /// Granted: both halves are written. Waiting: something else must happen first. Refused: it is not allowed.
    pub state: GrantState,
    /// What is waited for, or why it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// Whether a grant stands.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GrantState {
    /// Both halves are written.
    Granted,
    /// Something else must happen first.
    #[default]
    Waiting,
    /// It is not allowed.
    Refused,
    /// The principal that was trusted was deleted in AWS. What bears its name now is another one and is not trusted.
    Replaced,
}

impl Managed for CrossAccountRole {
    type Status = CrossAccountRoleStatus;
    const KIND: &'static str = "CrossAccountRole";
    const LEAST_SPEC: &'static str = r#"{"accountRef":{"name":""},"trust":[]}"#;

    fn readable_part(field: &str, text: &RawValue) -> Option<Box<RawValue>> {
        if field == "trust" { trust::readable_part(text) } else { None }
    }

    fn account_name(&self) -> &str {
        &self.spec.account_ref.name
    }

    fn status(&self) -> Option<&CrossAccountRoleStatus> {
        self.status.as_ref()
    }

    fn conditions(status: &CrossAccountRoleStatus) -> &[Condition] {
        &status.conditions
    }

    fn deleted_id(status: &CrossAccountRoleStatus) -> Option<&str> {
        status.deleted_role_id.as_deref()
    }
}
