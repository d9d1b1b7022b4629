//! What an identity may do, said in the same words for users and roles.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::ConfigMapKeyReference;
use super::document::DocumentText;
use super::schema;

/// What a user or role may do.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Permissions {
    /// Existing policies to attach: names of AWS-managed policies with the folder that they are in, for example ReadOnlyAccess or
    /// service-role/AWSLambdaBasicExecutionRole, or ARNs of these or of policies of the account itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::attached_policies")]
    pub attached_policies: Vec<String>,
    /// Customer-managed policies that belong to this user or role: made, attached, changed and deleted with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 25), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub customer_managed_policies: Vec<CustomerManagedPolicy>,
    /// Inline policies of the user or role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 25), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub inline_policies: Vec<InlinePolicy>,
    /// Roles that Rolebridge does not manage and that the user or role may assume: ARNs, in which a * stands for any text of path and name, for example
    /// arn:aws:iam::123456789012:role/cdk-hnb659fds-*-123456789012-eu-central-1. At least three characters stand before the first *. The account has to allow them
    /// by guardrails.allowedExternalRoles. Roles of Rolebridge are never among them: those say in their own spec.trust who may assume them. The right stands in
    /// the inline policy rolebridge-external-roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::external_roles")]
    pub external_roles: Vec<String>,
    /// What becomes of policies on the user or role that are not listed here: they are taken off (Remove, the default), or stay and are listed in
    /// status.unmanagedPolicies (Report), those that were listed here before included. A policy that others put on and that does no more than deny always
    /// stays, since to take it off would give more: status.unmanagedPolicies and Ready tell of it. One that was listed here before goes with Remove, whatever it
    /// does.
    #[serde(default)]
    pub unmanaged: Unmanaged,
}

/// What becomes of policies that somebody else put on a user or role.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unmanaged {
    /// They are taken off, but for those of others that only deny.
    #[default]
    Remove,
    /// They stay, and the status lists them.
    Report,
}

/// A customer-managed policy with its document in exactly one of document, json and configMapKeyRef.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("[has(self.document), has(self.json), has(self.configMapKeyRef)].exists_one(x, x)").message("set exactly one of document, json and configMapKeyRef"))]
#[x_kube(validation = Rule::new("has(self.description) == has(oldSelf.description) && (!has(self.description) || self.description == oldSelf.description)")
    .message("IAM cannot change a policy's description: give the policy another name"))]
#[serde(rename_all = "camelCase")]
pub struct CustomerManagedPolicy {
    /// Name of the policy, unique in the account without regard to case.
    #[schemars(schema_with = "schema::policy_name")]
    pub name: String,
    /// Description of the policy. IAM takes it at creation only, so it cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::description")]
    pub description: Option<String>,
    /// The policy document as YAML. Put account IDs in quotes, and all that is text to IAM: YAML makes 10 of 012, and true of yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::document")]
    pub document: Option<DocumentText>,
    /// The policy document as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20480))]
    pub json: Option<String>,
    /// The entry of a ConfigMap in this namespace that holds the policy document as JSON text, in UTF-8. A change to the ConfigMap is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<ConfigMapKeyReference>,
}

/// An inline policy with its document in exactly one of document, json and configMapKeyRef.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("[has(self.document), has(self.json), has(self.configMapKeyRef)].exists_one(x, x)").message("set exactly one of document, json and configMapKeyRef"))]
#[serde(rename_all = "camelCase")]
pub struct InlinePolicy {
    /// Name of the policy, unique on the user or role.
    #[schemars(schema_with = "schema::policy_name")]
    pub name: String,
    /// The policy document as YAML. Put account IDs in quotes, and all that is text to IAM: YAML makes 10 of 012, and true of yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::document")]
    pub document: Option<DocumentText>,
    /// The policy document as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20480))]
    pub json: Option<String>,
    /// The entry of a ConfigMap in this namespace that holds the policy document as JSON text, in UTF-8. A change to the ConfigMap is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<ConfigMapKeyReference>,
}

/// Where a policy document is written, whichever kind of policy it is for.
#[derive(Clone, Copy, Debug)]
pub enum DocumentSource<'a> {
    /// Structured YAML.
    Document(&'a DocumentText),
    /// Exact JSON text.
    Json(&'a str),
    /// An entry of a ConfigMap.
    ConfigMap(&'a ConfigMapKeyReference),
}

fn document_source<'a>(
    document: &'a Option<DocumentText>,
    json: &'a Option<String>,
    config_map: &'a Option<ConfigMapKeyReference>,
) -> Option<DocumentSource<'a>> {
    match (document, json, config_map) {
        (Some(document), None, None) => Some(DocumentSource::Document(document)),
        (None, Some(json), None) => Some(DocumentSource::Json(json)),
        (None, None, Some(reference)) => Some(DocumentSource::ConfigMap(reference)),
        _ => None,
    }
}

impl CustomerManagedPolicy {
    /// Where the document is written; None unless exactly one place is set.
    pub fn source(&self) -> Option<DocumentSource<'_>> {
        document_source(&self.document, &self.json, &self.config_map_key_ref)
    }
}

impl InlinePolicy {
    /// Where the document is written; None unless exactly one place is set.
    pub fn source(&self) -> Option<DocumentSource<'_>> {
        document_source(&self.document, &self.json, &self.config_map_key_ref)
    }
}

/// A customer-managed policy that belongs to the user or role.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct PolicyStatus {
    /// ARN of the policy.
    #[schemars(length(max = 2048))]
    pub arn: String,
}

/// What the resource itself has put on a user or role: what it declares, and what it declared before that is still there.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DeclaredStatus {
    /// Names of inline policies that deny something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::listed_policies")]
    pub inline_policies: Vec<String>,
    /// ARNs of attached policies that do not belong to the user or role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::listed_policies")]
    pub attached_policies: Vec<String>,
    /// The permissions boundary.
    #[serde(default, rename = "permissionsBoundaryARN", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub permissions_boundary_arn: Option<String>,
}
