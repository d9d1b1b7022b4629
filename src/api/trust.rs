//! Trust: who may assume a role, and under which conditions.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::common::{LabelSelector, UserReference};
use super::schema;

/// One entry of a role's trust: sources, and what is required of all of them. Entries are alternatives. The trust policy has all of them in as few statements
/// as possible.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct TrustEntry {
    /// Who may assume the role.
    #[schemars(length(min = 1, max = 100))]
    pub from: Vec<Source>,
    /// What must hold for a session to be given. All of it must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require: Option<Require>,
    /// How the trust policy names the sources: each by itself (Named), or by the root of its account (AccountRoot), so that the
    /// identities of that account decide who may assume the role. AccountRoot needs guardrails.accountRootTrust on the role's account.
    #[serde(default)]
    pub principal: PrincipalForm,
}

/// How the trust policy names its sources.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrincipalForm {
    /// The statement names each source.
    #[default]
    Named,
    /// The statement names the root of each source's account, and the identity side decides who.
    AccountRoot,
}

/// Who may assume a role. Exactly one of the fields is set.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.user), has(self.users), has(self.role), has(self.account), has(self.awsPrincipal), has(self.service), has(self.serviceAccount), has(self.podIdentity), has(self.githubActions), has(self.pipeline), has(self.oidc), has(self.saml), has(self.cognitoIdentityPool)].exists_one(x, x)",
    "message": "set exactly one of user, users, role, account, awsPrincipal, service, serviceAccount, podIdentity, githubActions, pipeline, oidc, saml and cognitoIdentityPool",
}]))]
pub enum Source {
    /// A BastionUser. It gets the right to assume the role in its assume policy.
    User(UserReference),
    /// All BastionUsers whose labels match. Each gets the right to assume the role in its assume policy. One that does not allow this namespace in
    /// its allowRolesFrom is not selected.
    Users(Box<UsersSelector>),
    /// Another CrossAccountRole, for chaining. It gets the right to assume this role in its assume policy. Sessions opened this way last one
    /// hour at most. Session tags that EKS Pod Identity has set on the way come along.
    Role(RoleSource),
    /// Name of an AWSAccount: everyone there whose own policies allow it. Needs guardrails.accountRootTrust on the role's account.
    Account(#[schemars(schema_with = "schema::resource_name")] String),
    /// ARN of a user, role, session or account root that Rolebridge does not manage. Needs a pattern in guardrails.allowedPrincipals on the role's account
    /// that matches. The other half of the grant is somebody else's to write.
    AwsPrincipal(#[schemars(schema_with = "schema::aws_principal")] String),
    /// A service of AWS, as IAM's documentation spells it, for example lambda.amazonaws.com. Have it name the account or resource that it works for
    /// under require.conditions (aws:SourceAccount, aws:SourceArn) where the service supports that.
    Service(#[schemars(schema_with = "schema::service_principal")] String),
    /// A Kubernetes service account, by the OIDC provider of its cluster (IRSA).
    ServiceAccount(Box<ServiceAccountSource>),
    /// A Kubernetes service account, by EKS Pod Identity.
    PodIdentity(Box<PodIdentitySource>),
    /// Workflows of a repository on GitHub.
    GithubActions(Box<GitHubActionsSource>),
    /// Pipelines of GitLab.com, HCP Terraform, Buildkite, CircleCI or Bitbucket.
    Pipeline(Box<PipelineSource>),
    /// Tokens of an OIDC provider.
    Oidc(Box<OIDCSource>),
    /// Users of a SAML provider.
    Saml(SAMLSource),
    /// Users of an identity pool of Cognito.
    CognitoIdentityPool(CognitoIdentityPoolSource),
}

impl Source {
    /// The BastionUser that it names.
    pub fn user(&self) -> Option<&UserReference> {
        if let Self::User(user) = self { Some(user) } else { None }
    }

    /// The BastionUsers that it selects.
    pub fn users(&self) -> Option<&UsersSelector> {
        if let Self::Users(users) = self { Some(users) } else { None }
    }

    /// The CrossAccountRole that it names.
    pub fn role(&self) -> Option<&RoleSource> {
        if let Self::Role(role) = self { Some(role) } else { None }
    }

    /// Whether it is somebody who can switch roles in AWS's console: services and tokens cannot.
    pub fn has_a_console(&self) -> bool {
        matches!(self, Self::User(_) | Self::Users(_) | Self::Role(_) | Self::Account(_) | Self::AwsPrincipal(_))
    }

    /// The AWSAccount that it names.
    pub fn account(&self) -> Option<&str> {
        if let Self::Account(name) = self { Some(name) } else { None }
    }

    /// The service of AWS that it names.
    pub fn service(&self) -> Option<&str> {
        if let Self::Service(name) = self { Some(name) } else { None }
    }

    /// The ARN of a principal that Rolebridge does not manage.
    pub fn aws_principal(&self) -> Option<&str> {
        if let Self::AwsPrincipal(arn) = self { Some(arn) } else { None }
    }
}

/// Another CrossAccountRole, for chaining.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RoleSource {
    /// Name of the CrossAccountRole.
    #[schemars(schema_with = "schema::resource_name")]
    pub name: String,
    /// Namespace of the CrossAccountRole. Default: the namespace of the object that names it. A role in another namespace must allow it
    /// in its allowRolesFrom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::namespace")]
    pub namespace: Option<String>,
    /// Whether it is EKS that goes on from that role to this one, for pods: this is the targetRoleArn of an association of EKS Pod Identity that has that role as
    /// roleArn. That role needs a source of the form podIdentity. Where that has sessionTags: false, the external ID is required that EKS sends for the service
    /// account: region/account/cluster/namespace/name, externalId in the association. Default: false.
    #[serde(default)]
    pub pod_identity_target: bool,
}

/// BastionUsers by their labels.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct UsersSelector {
    /// The labels of the users.
    pub selector: LabelSelector,
    /// The namespaces that are looked in. Default: that of the role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::searched_namespaces")]
    pub namespaces: Vec<String>,
}

/// A Kubernetes service account, by the OIDC provider of its cluster.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct ServiceAccountSource {
    /// ARN of the cluster's OIDC provider in IAM, in the account of the role.
    #[serde(rename = "oidcProviderARN")]
    #[schemars(schema_with = "schema::oidc_provider_arn")]
    pub oidc_provider_arn: String,
    /// Namespace of the service account, in that cluster.
    #[schemars(schema_with = "schema::namespace")]
    pub namespace: String,
    /// Name of the service account.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
}

/// A Kubernetes service account, by EKS Pod Identity.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct PodIdentitySource {
    /// ARN of the EKS cluster, in the account of the role: EKS lets pods into roles of the cluster's own account only. Roles of other accounts name such a
    /// role as a source (role).
    #[serde(rename = "clusterARN")]
    #[schemars(schema_with = "schema::cluster_arn")]
    pub cluster_arn: String,
    /// Namespace of the service account, in that cluster.
    #[schemars(schema_with = "schema::namespace")]
    pub namespace: String,
    /// Name of the service account.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
    /// Whether the association sets session tags, which tell service accounts apart. One with a session policy sets none: then whoever may make associations
    /// on the cluster decides which pods come in, whatever namespace and name are here. Needs guardrails.podIdentityWithoutTags on the role's account.
    /// Default: true.
    #[serde(rename = "sessionTags", default = "unless_said")]
    pub session_tags: bool,
}

/// Workflows of a repository on GitHub, in one environment or for one ref. The account of the role needs GitHub's OIDC provider,
/// token.actions.githubusercontent.com.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("[has(self.environment), has(self.ref)].exists_one(x, x)")
    .message("set exactly one of environment and ref: without them every pull request could assume the role"))]
#[x_kube(validation = Rule::new("has(self.repositoryOwnerID) == has(self.repositoryID)")
    .message("set both repositoryOwnerID and repositoryID, or neither: gh api repos/OWNER/REPOSITORY --jq '.owner.id, .id' tells them"))]
#[x_kube(validation = Rule::new("has(self.repositoryID) || !has(self.subjects) || self.subjects == 'Named'")
    .message("subjects other than Named have IDs in them: set repositoryOwnerID and repositoryID, too").field_path(".subjects"))]
pub struct GitHubActionsSource {
    /// Owner and name of the repository, for example example/app.
    #[schemars(schema_with = "schema::github_repository")]
    pub repository: String,
    /// ID of the repository's owner, which stays when the owner is renamed: gh api repos/OWNER/REPOSITORY --jq .owner.id
    #[serde(default, rename = "repositoryOwnerID", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::github_id")]
    pub repository_owner_id: Option<String>,
    /// ID of the repository, which stays when it is renamed or moved: gh api repos/OWNER/REPOSITORY --jq .id. Without IDs whoever takes a name that became
    /// free comes in, and repositories that were made, renamed or moved since 15 July 2026 do not.
    #[serde(default, rename = "repositoryID", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::github_id")]
    pub repository_id: Option<String>,
    /// Which subjects come in: of names alone (Named), as older repositories have them, of names and IDs (Immutable), as those do that were made, renamed or
    /// moved since 15 July 2026, or either (Both). Default: Both with IDs, Named without. With IDs, Named and Both ask for the claims repository_id and
    /// repository_owner_id, too. Where STS does not know these, as may be outside of the partition aws, only Immutable lets anybody in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<GitHubSubjects>,
    /// The environment that the job runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::github_environment")]
    pub environment: Option<String>,
    /// The ref that the workflow runs for, for example refs/heads/main or refs/tags/v*.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::git_ref")]
    pub git_ref: Option<String>,
    /// What else the token must say: claims of GitHub's that STS knows, by their own names. A * stands for any text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<GitHubClaims>,
}

/// The forms of subjects that GitHub gives to tokens.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitHubSubjects {
    /// repo:OWNER/REPOSITORY:...
    Named,
    /// repo:OWNER@ID/REPOSITORY@ID:...
    Immutable,
    /// Either of them.
    Both,
}

/// Claims of GitHub's tokens that STS knows beside subject, audience and what names the repository (IAM user guide, "IAM and AWS STS condition
/// context keys").
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct GitHubClaims {
    /// Name of whoever started the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::github_claim")]
    pub actor: Option<String>,
    /// ID of whoever started the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::github_claim")]
    pub actor_id: Option<String>,
    /// ID of the enterprise that the repository belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::github_claim")]
    pub enterprise_id: Option<String>,
    /// The environment of the job, beside a ref.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::github_claim")]
    pub environment: Option<String>,
    /// The reusable workflow that the job is defined in, for example example/workflows/.github/workflows/deploy.yaml@refs/heads/main. The owner is
    /// without wildcards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::github_workflow_ref")]
    pub job_workflow_ref: Option<String>,
    /// The ref that the workflow runs for, beside an environment.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::github_claim")]
    pub git_ref: Option<String>,
    /// Name of the workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::github_claim")]
    pub workflow: Option<String>,
}

impl GitHubClaims {
    /// Those that are set, by the names that GitHub gives them.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("actor", &self.actor),
            ("actor_id", &self.actor_id),
            ("enterprise_id", &self.enterprise_id),
            ("environment", &self.environment),
            ("job_workflow_ref", &self.job_workflow_ref),
            ("ref", &self.git_ref),
            ("workflow", &self.workflow),
        ];
        all.into_iter().filter_map(|(name, pattern)| Some((name, pattern.as_deref()?)))
    }
}

/// Pipelines of a service, by what its tokens say. The account of the role needs the OIDC provider of the service. For GitHub there is githubActions,
/// and for an installation of one's own oidc.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PipelineSource {
    /// Who gives the tokens: GitLab is gitlab.com, HCPTerraform is app.terraform.io, Buildkite is agent.buildkite.com; CircleCI has an issuer for each
    /// organization, Bitbucket one for each workspace.
    pub issuer: PipelineIssuer,
    /// GitLab: path of the group, with those that it is in. HCPTerraform, Buildkite: name of the organization. CircleCI: ID of the organization.
    /// Bitbucket: name of the workspace, as its URL has it.
    #[schemars(schema_with = "schema::pipeline_organization")]
    pub organization: String,
    /// GitLab, HCPTerraform: name of the project. Buildkite: name of the pipeline, as its URL has it. CircleCI: ID of the project. Bitbucket: UUID of the
    /// repository.
    #[schemars(schema_with = "schema::pipeline_project")]
    pub project: String,
    /// HCPTerraform: name of the workspace; default: all of the project. Bitbucket: UUID of the workspace, which its audience has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::pipeline_workspace")]
    pub workspace: Option<String>,
    /// GitLab, Buildkite, which need it: the ref that the pipeline runs for, for example refs/heads/main, refs/tags/v*, or refs/heads/* for all branches.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::pipeline_ref")]
    pub git_ref: Option<String>,
    /// Bitbucket: UUID of the deployment environment; default: all steps of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::pipeline_environment")]
    pub environment: Option<String>,
    /// HCPTerraform: the phase of the run; default: both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_phase: Option<RunPhase>,
    /// The audience (aud) of the tokens. Default, as the documentation of each has it: https://gitlab.com for GitLab, aws.workload.identity for HCPTerraform,
    /// sts.amazonaws.com for Buildkite, the ID of the organization for CircleCI, ari:cloud:bitbucket::workspace/UUID for Bitbucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::pipeline_audience")]
    pub audience: Option<String>,
}

/// A service that runs pipelines, by whose documentation its tokens are read.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipelineIssuer {
    /// GitLab.com ("Configure OpenID Connect in AWS to retrieve temporary credentials").
    GitLab,
    /// HCP Terraform ("Use dynamic credentials with the AWS provider").
    HCPTerraform,
    /// Buildkite ("OIDC with AWS").
    Buildkite,
    /// CircleCI ("Using OpenID Connect tokens in jobs").
    CircleCI,
    /// Bitbucket ("Deploy on AWS using Bitbucket Pipelines OpenID Connect").
    Bitbucket,
}

/// A phase of a run of HCP Terraform.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum RunPhase {
    /// What a change would do.
    Plan,
    /// The change itself.
    Apply,
}

/// Tokens of an OIDC provider, by audience and subject. Without both everyone with an account at that provider could assume the role.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct OIDCSource {
    /// ARN of the OIDC provider in IAM, in the account of the role.
    #[serde(rename = "providerARN")]
    #[schemars(schema_with = "schema::oidc_provider_arn")]
    pub provider_arn: String,
    /// The audience (aud) that the tokens must be for.
    #[schemars(schema_with = "schema::audience")]
    pub audience: String,
    /// The subject (sub) of the tokens. A * stands for any text. Of a provider that others have accounts at, too, such as gitlab.com, it must name whose the
    /// tokens are, in full.
    #[schemars(schema_with = "schema::subject")]
    pub subject: String,
}

/// Users of a SAML provider who sign in to the console or by AssumeRoleWithSAML.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct SAMLSource {
    /// ARN of the SAML provider in IAM, in the account of the role.
    #[serde(rename = "providerARN")]
    #[schemars(schema_with = "schema::saml_provider_arn")]
    pub provider_arn: String,
}

/// Users of an identity pool of Cognito, who signed in to the pool, or its guests.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct CognitoIdentityPoolSource {
    /// ID of the identity pool, for example eu-central-1:00000000-1111-2222-3333-444444444444.
    #[serde(rename = "identityPoolID")]
    #[schemars(schema_with = "schema::identity_pool_id")]
    pub identity_pool_id: String,
    /// Whether those come in who signed in, or else the guests of the pool: everybody on the Internet who knows its ID. Default: true.
    #[serde(default = "unless_said")]
    pub authenticated: bool,
}

/// What holds unless a manifest says otherwise.
fn unless_said() -> bool {
    true
}

/// What must hold for a session to be given.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Require {
    /// The caller signed in with a second factor. Not for roles and workloads, which have none: a chain of roles asks for it in its first role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa: Option<MFA>,
    /// The external ID that the caller must send. A role that asks for one cannot be reached by a link of the console.
    #[serde(default, rename = "externalID", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::external_id")]
    pub external_id: Option<String>,
    /// The networks that the caller must come from, for example 203.0.113.0/24. Calls through a VPC endpoint have a private address.
    #[serde(default, rename = "sourceIPs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::networks")]
    pub source_ips: Vec<String>,
    /// The source identity that the caller must set. A * stands for any text; ${aws:username} for the name of the user, which only users have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::session_pattern")]
    pub source_identity: Option<String>,
    /// The session name that the caller must choose. A * stands for any text; ${aws:username} for the name of the user, which only users have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::session_pattern")]
    pub session_name: Option<String>,
    /// The session tags that the caller must set, with their values. A * stands for any text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::required_tags")]
    pub session_tags: BTreeMap<String, String>,
    /// The organization of AWS that the caller's account must be in.
    #[serde(default, rename = "organizationID", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::organization_id")]
    pub organization_id: Option<String>,
    /// The tags that the caller must have, with their values. A * stands for any text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::required_tags")]
    pub principal_tags: BTreeMap<String, String>,
    /// The time from which sessions are given, for example 2026-01-01T00:00:00Z. IAM sees to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub not_before: Option<String>,
    /// The time until which sessions are given. IAM sees to it; sessions that run then go on until they end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub not_after: Option<String>,
    /// Any other conditions, as in a policy: operator, key and value, or values of which one must match. Values are texts, in quotes: YAML makes 10 of 012, and
    /// true of yes. Only numbers of Numeric operators, and booleans of Bool and Null, may stand without.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::free_conditions")]
    pub conditions: BTreeMap<String, BTreeMap<String, ConditionValues>>,
}

/// A second factor.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MFA {
    /// How long ago the second factor may have been shown: 1m to 36h. Default: as long as the caller's session lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::mfa_age")]
    pub max_age: Option<String>,
}

/// The values of a condition, of which one must match, as they are written: one or a list, of texts, numbers and booleans, as IAM takes them, and of whatever
/// else a manifest may have in their place.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub struct ConditionValues(Value);

impl ConditionValues {
    /// The values.
    pub fn all(&self) -> &[Value] {
        match &self.0 {
            Value::Array(values) => values,
            value => std::slice::from_ref(value),
        }
    }
}

impl Default for ConditionValues {
    fn default() -> Self {
        Self(Value::Array(vec![]))
    }
}

/// The part of a trust that can be read where the whole cannot: every source. What is required of those of an entry that cannot be read is a condition
/// without a value, which nothing meets and which cannot be carried out: nothing is added because of such an entry, and nobody of it is taken away.
pub(super) fn readable_part(trust: &RawValue) -> Option<Box<RawValue>> {
    let unknown = || to_raw_value(&json!({"conditions": {"unread": {"unread": []}}})).ok();
    let entries: Vec<Box<RawValue>> = serde_json::from_str(trust.get()).ok()?;
    let readable = entries.into_iter().map(|entry| {
        if serde_json::from_str::<TrustEntry>(entry.get()).is_ok() {
            return Some(entry);
        }
        let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(entry.get()).ok()?;
        fields.retain(|name, _| ["from", "principal"].contains(&name.as_str()));
        fields.insert("require".into(), unknown()?);
        to_raw_value(&fields).ok()
    });
    to_raw_value(&readable.collect::<Option<Vec<_>>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_takes_little_more_than_its_text() {
        assert!(size_of::<Source>() <= 56, "{} bytes: put what is large into a box", size_of::<Source>());
    }
}
