//! What a platform team forbids in an account, and what it gives to those who don't say it themselves.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// What nobody may do in an account, whoever writes its users and roles. In a pattern a `*` stands for any text and a `?` for one character.
///
/// What others declare to trust is closed until it is opened (accountRootTrust, podIdentityWithoutTags, allowedPrincipals, allowedGroups), and so is what they declare to assume (allowedExternalRoles); the rest is open until it is narrowed. An empty
/// list allows nothing.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Guardrails {
    /// The path below which all users, roles and policies of this account lie (`spec.path`), for example /teams/. Default: any path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::path")]
    pub required_path_prefix: Option<String>,
    /// ARN of the policy that is the permissions boundary of all users and roles. It is put on each that declares none, also on those that are there; who
    /// declares another one is refused. Taking it out of here takes it off nobody. Default: none is forced.
    #[serde(default, rename = "permissionsBoundaryARN", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::policy_arn")]
    pub permissions_boundary_arn: Option<String>,
    /// Patterns of the ARNs of policies that may be attached (`attachedPolicies`) or declared as permissions boundary, for example
    /// arn:aws:iam::aws:policy/ReadOnlyAccess. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::policy_patterns")]
    pub allowed_policies: Option<Vec<String>>,
    /// Where the documents of policies may stand: in the resource (Spec), or in a ConfigMap of its namespace (ConfigMap), whose writers then write the policy.
    /// Default: both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::policy_document_sources")]
    pub policy_document_sources: Option<Vec<PolicyDocumentSource>>,
    /// Patterns of the services of AWS that a role may trust, for example lambda.amazonaws.com. EKS Pod Identity is pods.eks.amazonaws.com. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::service_patterns")]
    pub allowed_services: Option<Vec<String>>,
    /// Patterns of the identity providers that a role may trust: ARNs of OIDC and SAML providers, for example
    /// arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com. Default: all. Identity pools of Cognito, which may be in any account, are allowed
    /// only where a pattern speaks of them, for example cognito-identity.amazonaws.com/eu-central-1:ID, and their guests by one that ends in :unauthenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::provider_patterns")]
    pub allowed_identity_providers: Option<Vec<String>>,
    /// Which principals that Rolebridge does not manage a role in this account may trust (awsPrincipal), as ARNs in which a * stands for
    /// any text. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::principal_patterns")]
    pub allowed_principals: Vec<String>,
    /// Which roles that Rolebridge does not manage users and roles of this account may assume (`permissions.externalRoles`), as ARNs in which a * stands for any
    /// text, for example arn:aws:iam::123456789012:role/cdk-*. A pattern is allowed if one of these matches all that it matches. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::external_role_patterns")]
    pub allowed_external_roles: Vec<String>,
    /// Whether a role in this account may trust a whole account, so that the identities of that account decide who assumes it:
    /// `principal: AccountRoot` and sources of the form `account`. Default: false.
    #[serde(default)]
    pub account_root_trust: bool,
    /// Whether a role in this account may trust all pods of a cluster that EKS Pod Identity lets in (podIdentity with sessionTags: false), so that whoever may make
    /// associations on that cluster decides which service accounts assume it. Default: false.
    #[serde(default)]
    pub pod_identity_without_tags: bool,
    /// Patterns of the names of IAM groups that users of this account may be added to (`spec.groups`), where `*` stands for any characters. Case does
    /// not count. Default: none, so that nobody is added to any group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::group_patterns")]
    pub allowed_groups: Vec<String>,
    /// Patterns of the keys of tags that users and roles may have (`spec.tags`); to policies of AWS these are aws:PrincipalTag. Case does not count. Default: all
    /// but those that begin with aws: or rolebridge.io/.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::tag_key_patterns")]
    pub allowed_tag_keys: Option<Vec<String>>,
    /// Patterns of the names that roles may have in IAM. Case does not count. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::identity_name_patterns")]
    pub allowed_role_names: Option<Vec<String>>,
    /// Patterns of the names that no user or role may have in IAM, since others trust them by name: policies of the organization do, and trust policies of roles
    /// that are long gone. Case does not count. What is written here takes the place of the default, which is the list in docs/how-to/guardrails.md.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::identity_name_patterns")]
    pub reserved_names: Option<Vec<String>>,
    /// How long a session of a role may last at most (`spec.maxSessionDuration`): 1h to 12h. Default: 12h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::max_session_duration")]
    pub max_session_duration: Option<String>,
    /// Whether each source of a role that stands for a person (user, users, account, awsPrincipal) needs a second factor: `require.mfa`. A role as source must then
    /// be in an account that asks for it, too. Default: false.
    #[serde(default, rename = "requireMFA")]
    pub require_mfa: bool,
    /// How much of this account's quotas a namespace may take, and how much one resource may ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotas: Option<TenantQuotas>,
    /// What becomes of what is in AWS and breaks a guardrail, or is of a namespace that is not allowed any more. Freeze: it stays as it is, and nothing is added.
    /// Disable: it is cut off: a grant or a membership ends, a user is denied everything, and a role lets in nobody. Sessions that run go on until they end.
    /// Default: Freeze.
    #[serde(default)]
    pub on_violation: OnViolation,
}

/// Where the document of a policy stands.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyDocumentSource {
    /// In the resource: document or json.
    Spec,
    /// In a ConfigMap of its namespace: configMapKeyRef.
    ConfigMap,
}

/// What becomes of what is in AWS and breaks a guardrail.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnViolation {
    /// It stays as it is, and nothing is added.
    #[default]
    Freeze,
    /// It is cut off.
    Disable,
}

/// How much of an account's quotas a namespace may take, and how much one resource may ask for. What is in AWS already stays, whatever these say.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TenantQuotas {
    /// How many BastionUsers of one namespace have a user in this account, 0 to 5000. Default: 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 5000))]
    pub users: Option<u32>,
    /// How many CrossAccountRoles of one namespace have a role in this account, 0 to 10000. Default: 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10000))]
    pub roles: Option<u32>,
    /// How many customer-managed policies the users and roles of one namespace declare in this account, 0 to 10000. Default: 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10000))]
    pub policies: Option<u32>,
    /// How many sources a role in this account has, counted in each entry of its trust, 1 to 10000. Default: 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub grants_per_role: Option<u32>,
    /// How many roles in AWS name a user or role of this account as a source, 1 to 10000. Further ones are not added to what it may assume. Default: 2000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub roles_per_source: Option<u32>,
}

/// What users and roles of an account have where they don't say it themselves. A change of these is a change of all of them.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ResourceDefaults {
    /// Tags of users, roles and customer-managed policies. A resource that has one of these keys has its own value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::tags")]
    pub tags: BTreeMap<String, String>,
    /// How long a session of a role may last: 1h to 12h. Default: 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::max_session_duration")]
    pub max_session_duration: Option<String>,
    /// ARN of the policy that is the permissions boundary of users and roles. Taking it out of here takes it off nobody. Default: none.
    #[serde(default, rename = "permissionsBoundaryARN", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::policy_arn")]
    pub permissions_boundary_arn: Option<String>,
}
