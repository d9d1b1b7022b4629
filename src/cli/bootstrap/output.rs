//! The forms in which the documents are printed.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::core::bootstrap::{BoundaryPolicy, ManagementRole, OperatorPolicy, ServiceControlPolicy};
use crate::core::document::Document;
use crate::core::names::{Arn, RoleName};

/// What is printed.
#[derive(Debug)]
pub enum Output {
    /// The management role.
    Role {
        /// Its documents.
        role: ManagementRole,
        /// Its name.
        name: RoleName,
        /// What the operator presents.
        external_id: String,
    },
    /// The policy of the operator's own user or role.
    Operator(OperatorPolicy),
    /// The permissions boundary.
    Boundary(BoundaryPolicy),
    /// The service control policy.
    ServiceControl(ServiceControlPolicy),
}

/// Name of the inline policy of the management role.
const INLINE_POLICY: &str = "manage-iam";
/// Name of the service control policy.
const SERVICE_CONTROL_POLICY: &str = "rolebridge-management-roles";

/// A role as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Role<'a> {
    role_name: &'a RoleName,
    trust_policy: &'a Document,
    permissions_policy: &'a Document,
    /// As in an AWSAccount.
    access: Value,
}

/// A policy as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Policy<'a> {
    policy_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(rename = "policyARN", skip_serializing_if = "Option::is_none")]
    policy_arn: Option<&'a Arn>,
    policy_document: &'a Document,
}

/// A template of CloudFormation with one resource.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Template<'a> {
    #[serde(rename = "AWSTemplateFormatVersion")]
    version: &'static str,
    description: &'static str,
    resources: BTreeMap<&'static str, Resource<'a>>,
    outputs: Value,
}

#[derive(Serialize)]
#[serde(tag = "Type", content = "Properties")]
enum Resource<'a> {
    #[serde(rename = "AWS::IAM::Role", rename_all = "PascalCase")]
    Role { role_name: &'a RoleName, description: &'static str, assume_role_policy_document: &'a Document, policies: [InlinePolicy<'a>; 1] },
    #[serde(rename = "AWS::IAM::ManagedPolicy", rename_all = "PascalCase")]
    ManagedPolicy {
        managed_policy_name: &'a str,
        path: &'a str,
        description: &'static str,
        policy_document: &'a Document,
        #[serde(skip_serializing_if = "Option::is_none")]
        users: Option<[&'a str; 1]>,
        #[serde(skip_serializing_if = "Option::is_none")]
        roles: Option<[&'a str; 1]>,
    },
    #[serde(rename = "AWS::Organizations::Policy", rename_all = "PascalCase")]
    OrganizationPolicy { name: &'static str, r#type: &'static str, description: &'static str, content: &'a Document },
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InlinePolicy<'a> {
    policy_name: &'static str,
    policy_document: &'a Document,
}

impl Output {
    /// One JSON object.
    ///
    /// # Errors
    /// That of the writer.
    pub fn json(&self) -> serde_json::Result<String> {
        match self {
            Self::Role { role, name, external_id } => serde_json::to_string_pretty(&Role {
                role_name: name,
                trust_policy: &role.trust_policy,
                permissions_policy: &role.permissions_policy,
                access: json!({"assumeRole": {"roleARN": role.arn, "externalID": external_id}}),
            }),
            Self::Operator(OperatorPolicy { arn, document, .. }) | Self::Boundary(BoundaryPolicy { arn, document }) => {
                let (path, policy_name) = path_and_name(arn);
                serde_json::to_string_pretty(&Policy { policy_name, path: Some(path), policy_arn: Some(arn), policy_document: document })
            }
            Self::ServiceControl(ServiceControlPolicy { document }) => {
                serde_json::to_string_pretty(&Policy { policy_name: SERVICE_CONTROL_POLICY, path: None, policy_arn: None, policy_document: document })
            }
        }
    }

    /// A template for CloudFormation.
    ///
    /// # Errors
    /// That of the writer.
    pub fn template(&self) -> serde_json::Result<String> {
        let (name, description, outputs) = match self {
            Self::Role { external_id, .. } => (
                "ManagementRole",
                "The role by which Rolebridge manages IAM in this account",
                json!({
                    "RoleARN": {"Description": "For spec.access.assumeRole.roleARN of the AWSAccount", "Value": {"Fn::GetAtt": ["ManagementRole", "Arn"]}},
                    "ExternalID": {"Description": "For spec.access.assumeRole.externalID of the AWSAccount", "Value": external_id},
                }),
            ),
            Self::Operator(_) => (
                "OperatorPolicy",
                "The policy by which Rolebridge manages IAM in the account of its own user or role",
                json!({"PolicyARN": {"Value": {"Ref": "OperatorPolicy"}}}),
            ),
            Self::Boundary(_) => (
                "PermissionsBoundary",
                "What users and roles of Rolebridge may do at most",
                json!({"PolicyARN": {"Description": "For spec.permissionsBoundaryARN of resources", "Value": {"Ref": "PermissionsBoundary"}}}),
            ),
            Self::ServiceControl(_) => (
                "ServiceControlPolicy",
                "Keeps the management roles of Rolebridge as they are",
                json!({"PolicyID": {"Description": "To be attached to a root, unit or account", "Value": {"Ref": "ServiceControlPolicy"}}}),
            ),
        };
        let resources = BTreeMap::from([(name, self.resource(description))]);
        serde_json::to_string_pretty(&Template { version: "2010-09-09", description, resources, outputs })
    }

    fn resource(&self, description: &'static str) -> Resource<'_> {
        match self {
            Self::Role { role, name, .. } => Resource::Role {
                role_name: name,
                description: "Assumed by the operator Rolebridge",
                assume_role_policy_document: &role.trust_policy,
                policies: [InlinePolicy { policy_name: INLINE_POLICY, policy_document: &role.permissions_policy }],
            },
            Self::Operator(OperatorPolicy { arn, operator, document }) => {
                let (path, managed_policy_name) = path_and_name(arn);
                let of = |kind: &str| operator.iam_entity().filter(|entity| entity.kind == kind).map(|entity| [entity.name]);
                let (users, roles) = (of("user"), of("role"));
                Resource::ManagedPolicy { managed_policy_name, path, description, policy_document: document, users, roles }
            }
            Self::Boundary(BoundaryPolicy { arn, document }) => {
                let (path, managed_policy_name) = path_and_name(arn);
                Resource::ManagedPolicy { managed_policy_name, path, description, policy_document: document, users: None, roles: None }
            }
            Self::ServiceControl(ServiceControlPolicy { document }) => {
                Resource::OrganizationPolicy { name: SERVICE_CONTROL_POLICY, r#type: "SERVICE_CONTROL_POLICY", description, content: document }
            }
        }
    }
}

/// Those of a policy.
fn path_and_name(policy: &Arn) -> (&str, &str) {
    policy.iam_entity().map_or(("/", policy.resource()), |entity| (entity.path, entity.name))
}
