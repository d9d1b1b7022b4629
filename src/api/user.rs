//! `BastionUser`: one IAM user of a bastion account.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::common::{AccountReference, AllowRolesFrom, Condition, Managed};
use super::permissions::{DeclaredStatus, Permissions, PolicyStatus};
use super::schema;

/// An IAM user in a bastion account. The roles that name it as a source are what it may assume; nothing of that is written here.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "rolebridge.io",
    version = "v1alpha1",
    kind = "BastionUser",
    plural = "bastionusers",
    shortname = "buser",
    category = "rolebridge",
    namespaced,
    status = "BastionUserStatus",
    derive = "PartialEq",
    doc = "An IAM user in a bastion account. The roles that name it as a source are what it may assume; its assume policy follows from them.",
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name has at most 63 characters"),
    printcolumn(name = "Account", type_ = "string", json_path = ".spec.accountRef.name"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Roles", type_ = "integer", json_path = ".status.rolesTotal"),
    printcolumn(name = "User ARN", type_ = "string", json_path = ".status.userARN"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = Rule::new("self.accountRef.name == oldSelf.accountRef.name").message("accountRef is immutable: a user cannot move to another account; make another BastionUser").field_path(".accountRef"))]
#[x_kube(validation = Rule::new("has(self.userName) == has(oldSelf.userName) && (!has(self.userName) || self.userName == oldSelf.userName)")
    .message("userName cannot be changed, set later or unset: make another BastionUser"))]
#[x_kube(validation = Rule::new("has(self.path) == has(oldSelf.path) && (!has(self.path) || self.path == oldSelf.path)")
    .message("path cannot be changed, set later or unset: make another BastionUser"))]
#[serde(rename_all = "camelCase")]
pub struct BastionUserSpec {
    /// The account that holds the user. Immutable.
    pub account_ref: AccountReference,
    /// Name of the user in IAM. Default: metadata.name. Immutable. IAM compares names without regard to case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::identity_name")]
    pub user_name: Option<String>,
    /// Path of the user in IAM. Default: /. Immutable. It does not make names differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::path")]
    pub path: Option<String>,
    /// Tags of the user; to policies they are aws:PrincipalTag.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::tags")]
    pub tags: BTreeMap<String, String>,
    /// ARN of the policy that is the user's permissions boundary. To assume roles in other accounts the boundary must itself allow sts:AssumeRole. A boundary
    /// that others put on where none is declared stays, and Ready tells of it.
    #[serde(default, rename = "permissionsBoundaryARN", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::policy_arn")]
    pub permissions_boundary_arn: Option<String>,
    /// Names of existing IAM groups that the user is in; it is taken out of all others. Without it the user's groups are not looked at. A group is joined
    /// only where guardrails.allowedGroups of the account allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::groups")]
    pub groups: Option<Vec<String>>,
    /// What the user may do beside assuming its roles. With it, policies that are on the user and not listed here are taken off it, unless unmanaged
    /// says otherwise. Without it they are not looked at, so that what was listed before stays; to take all off, write `permissions: {}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
    /// Which namespaces may name this user as a source of a role. Default: its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_roles_from: Option<AllowRolesFrom>,
}

/// What the operator made and found.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BastionUserStatus {
    /// The generation of the spec that this status speaks of.
    #[schemars(schema_with = "schema::observed_generation")]
    #[serde(default)]
    pub observed_generation: i64,
    /// ARN of the user, also while it is made anew after it was deleted in AWS.
    #[serde(default, rename = "userARN", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub user_arn: Option<String>,
    /// The unique ID that IAM gave the user (AIDA...). A user of the same name with another ID is another user. It is absent while a user that was
    /// deleted in AWS is made anew.
    #[serde(default, rename = "userID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub user_id: Option<String>,
    /// The unique ID that the user had which was deleted in AWS. It is there while another one is made in its place.
    #[serde(default, rename = "deletedUserID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub deleted_user_id: Option<String>,
    /// The permissions boundary that the AWSAccount has put on, by its guardrails or defaults. It stays when it is taken out there, until somebody takes it off in
    /// AWS, or another one is declared.
    #[serde(default, rename = "permissionsBoundaryARN", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub permissions_boundary_arn: Option<String>,
    /// The policies that allow the user to assume its roles: one inline policy while it holds them all, and otherwise customer-managed policies.
    /// While roles move from one to the other there are both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 11))]
    pub assume_policies: Vec<AssumePolicyStatus>,
    /// The other customer-managed policies that belong to the user, or are about to be made for it; at most 100 are listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub policies: Vec<PolicyStatus>,
    /// What is declared of policies and permissions boundary, or was, and is on the user. It goes when it is declared no more. A policy that only denies, or a
    /// boundary, that is not in here, others have put on, and it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<DeclaredStatus>,
    /// Policies that others put on the user and that stay: names of inline policies, and ARNs of attached ones and of a permissions boundary. First those that
    /// restrict the user, which always stay; then, where permissions.unmanaged is Report, all others. The first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::listed_policies")]
    pub unmanaged_policies: Vec<String>,
    /// How many of them there are.
    #[serde(default)]
    pub unmanaged_policies_total: i64,
    /// The roles that the user's assume policies allow, in the order of their namespaces and names; at most 100 are listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub roles: Vec<AssumableRole>,
    /// How many roles the user's assume policies allow.
    #[serde(default)]
    pub roles_total: i64,
    /// Ready sums up the others; each has a reason and a message that says what to do.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// An assume policy of a user, and how much room it takes.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AssumePolicyStatus {
    /// Name of the policy.
    #[schemars(length(max = 128))]
    pub name: String,
    /// ARN of a customer-managed policy; the inline policy has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub arn: Option<String>,
    /// Its size as IAM counts it, in bytes without white space.
    pub bytes: i64,
    /// How many bytes IAM lets it have. All inline policies of a user share theirs, and 256 of them are kept free for cutting the user off.
    pub quota: i64,
}

/// A role that a user may assume.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AssumableRole {
    /// Name of the CrossAccountRole.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Namespace of the CrossAccountRole.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// ARN of the role.
    #[serde(rename = "roleARN")]
    #[schemars(length(max = 2048))]
    pub role_arn: String,
    /// The console link that switches to the role, where the console can send what the role requires.
    #[serde(default, rename = "switchRoleURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub switch_role_url: Option<String>,
}

impl Managed for BastionUser {
    type Status = BastionUserStatus;
    const KIND: &'static str = "BastionUser";
    const LEAST_SPEC: &'static str = r#"{"accountRef":{"name":""}}"#;

    fn account_name(&self) -> &str {
        &self.spec.account_ref.name
    }

    fn status(&self) -> Option<&BastionUserStatus> {
        self.status.as_ref()
    }

    fn conditions(status: &BastionUserStatus) -> &[Condition] {
        &status.conditions
    }

    fn deleted_id(status: &BastionUserStatus) -> Option<&str> {
        status.deleted_user_id.as_deref()
    }
}
