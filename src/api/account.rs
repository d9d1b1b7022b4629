//! `AWSAccount`: an account of AWS and what may be done there.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{AccountReference, Condition, LabelSelector, Managed};
use super::guardrails::{Guardrails, ResourceDefaults};
use super::schema;

/// An AWS account that Rolebridge works in: how it gets there, and which namespaces may place users and roles there.
///
/// Writing an AWSAccount is IAM administration of everything that it reaches. Give it to nobody but platform administrators.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "rolebridge.io",
    version = "v1alpha1",
    kind = "AWSAccount",
    plural = "awsaccounts",
    shortname = "awsacct",
    category = "rolebridge",
    status = "AWSAccountStatus",
    derive = "PartialEq",
    doc = "An AWS account that Rolebridge works in: how it gets there, and which namespaces may place users and roles there. Writing an AWSAccount is IAM administration of everything that it reaches.",
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name has at most 63 characters"),
    validation = Rule::new("!has(self.spec.access.assumeRole) || !has(self.spec.access.assumeRole.via) || self.spec.access.assumeRole.via.name != self.metadata.name")
        .message("an account cannot be reached through itself: name another AWSAccount in spec.access.assumeRole.via, or leave it out"),
    printcolumn(name = "Account ID", type_ = "string", json_path = ".spec.accountID"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Caller ARN", type_ = "string", json_path = ".status.callerARN"),
    printcolumn(name = "Orphans", type_ = "integer", json_path = ".status.orphansTotal", priority = 1),
    printcolumn(name = "Shadow grants", type_ = "integer", json_path = ".status.shadowGrantsTotal", priority = 1),
    printcolumn(name = "Deletions held", type_ = "integer", json_path = ".status.deletionsHeld", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = Rule::new("self.accountID == oldSelf.accountID").message("accountID is immutable: make another AWSAccount for another account").field_path(".accountID"))]
#[x_kube(validation = Rule::new("!has(self.defaults) || !has(self.guardrails) || !has(self.defaults.permissionsBoundaryARN) || !has(self.guardrails.permissionsBoundaryARN) || self.defaults.permissionsBoundaryARN == self.guardrails.permissionsBoundaryARN")
    .message("guardrails.permissionsBoundaryARN is put on all users and roles: leave defaults.permissionsBoundaryARN out").field_path(".defaults.permissionsBoundaryARN"))]
#[x_kube(validation = Rule::new("!has(self.defaults) || !has(self.guardrails) || !has(self.defaults.maxSessionDuration) || !has(self.guardrails.maxSessionDuration) || !self.defaults.maxSessionDuration.matches('^([0-9]{1,5}(h|m|s)){1,3}$') || !self.guardrails.maxSessionDuration.matches('^([0-9]{1,5}(h|m|s)){1,3}$') || duration(self.defaults.maxSessionDuration) <= duration(self.guardrails.maxSessionDuration)")
    .message("defaults.maxSessionDuration is longer than guardrails.maxSessionDuration allows").field_path(".defaults.maxSessionDuration"))]
#[x_kube(validation = Rule::new("!has(self.guardrails) || !has(self.guardrails.permissionsBoundaryARN) || self.guardrails.permissionsBoundaryARN.startsWith('arn:' + self.partition + ':iam::aws:') || self.guardrails.permissionsBoundaryARN.startsWith('arn:' + self.partition + ':iam::' + self.accountID + ':')")
    .message("a permissions boundary is a policy of the account itself or of AWS, and its ARN has the partition of the account: copy the policy into this account").field_path(".guardrails.permissionsBoundaryARN"))]
#[x_kube(validation = Rule::new("!has(self.defaults) || !has(self.defaults.permissionsBoundaryARN) || self.defaults.permissionsBoundaryARN.startsWith('arn:' + self.partition + ':iam::aws:') || self.defaults.permissionsBoundaryARN.startsWith('arn:' + self.partition + ':iam::' + self.accountID + ':')")
    .message("a permissions boundary is a policy of the account itself or of AWS, and its ARN has the partition of the account: copy the policy into this account").field_path(".defaults.permissionsBoundaryARN"))]
#[x_kube(validation = Rule::new("!has(self.guardrails) || !has(self.guardrails.allowedPolicies) || self.guardrails.allowedPolicies.all(pattern, !pattern.startsWith('arn:') || pattern.startsWith('arn:' + self.partition + ':'))")
    .message("a pattern of another partition than the account's allows nothing: write the partition of the account into it").field_path(".guardrails.allowedPolicies"))]
#[x_kube(validation = Rule::new("!has(self.guardrails) || !has(self.guardrails.allowedPrincipals) || self.guardrails.allowedPrincipals.all(pattern, !pattern.startsWith('arn:') || pattern.startsWith('arn:' + self.partition + ':'))")
    .message("a pattern of another partition than the account's allows nothing: write the partition of the account into it").field_path(".guardrails.allowedPrincipals"))]
#[x_kube(validation = Rule::new("!has(self.guardrails) || !has(self.guardrails.allowedIdentityProviders) || self.guardrails.allowedIdentityProviders.all(pattern, !pattern.startsWith('arn:') || pattern.startsWith('arn:' + self.partition + ':'))")
    .message("a pattern of another partition than the account's allows nothing: write the partition of the account into it").field_path(".guardrails.allowedIdentityProviders"))]
#[x_kube(validation = Rule::new("!has(self.access.assumeRole) || self.access.assumeRole.roleARN.startsWith('arn:' + self.partition + ':iam::' + self.accountID + ':')")
    .message("the management role is in the account itself, and its ARN has that accountID and partition: write that one; to get there through another account, set via").field_path(".access.assumeRole.roleARN"))]
#[x_kube(validation = Rule::new("self.partition == oldSelf.partition").message("partition is immutable: make another AWSAccount").field_path(".partition"))]
#[serde(rename_all = "camelCase")]
pub struct AWSAccountSpec {
    /// The account's ID: 12 digits, in quotes. Immutable. Rolebridge refuses to work when STS says that it is in another account.
    #[serde(rename = "accountID")]
    #[schemars(schema_with = "schema::account_id")]
    pub account_id: String,
    /// The partition of AWS: aws, aws-us-gov, aws-cn, aws-eusc, ... Immutable.
    #[serde(default = "default_partition")]
    #[schemars(schema_with = "schema::partition")]
    pub partition: String,
    /// The region for STS and for signing. Default: the partition's own (us-east-1, us-gov-west-1, cn-north-1, ...).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::region")]
    pub region: Option<String>,
    /// The account's name in links to the console, instead of its ID. Default: the alias that the account has, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::console_alias")]
    pub console_alias: Option<String>,
    /// How the operator gets into the account. Exactly one way.
    pub access: Access,
    /// Which namespaces may place users and roles in this account. Checked at every reconcile.
    pub allowed_namespaces: AllowedNamespaces,
    /// What nobody may do in this account, whoever writes its users and roles. Checked before anything is made, and again at every reconcile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardrails: Option<Guardrails>,
    /// What users and roles of this account have where they don't say it themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<ResourceDefaults>,
    /// Whose objects in AWS are that carry this installation's tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership: Option<Ownership>,
    /// How fast the operator may call this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// How often the account is read in bulk, to put right what others changed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<SweepSettings>,
    /// How many users and roles of this account may be deleted within ten minutes, in all namespaces together: the larger of share and number. What those
    /// beyond have in AWS stays, until the annotation rolebridge.io/confirm-deletions of this AWSAccount has a time that is not before their deletion, such as
    /// 2026-11-28T08:00:00Z, or until deletionBrake is taken out. Default: no brake. Deleting is revoking, at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_brake: Option<DeletionBrake>,
}

fn default_partition() -> String {
    "aws".into()
}

/// How the operator gets into an account. Exactly one of the fields is set.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("[has(self.ambient), has(self.assumeRole), has(self.secretRef)].exists_one(x, x)")
    .message("set exactly one of ambient, assumeRole and secretRef"))]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// The operator's own credentials are already in this account: IRSA, EKS Pod Identity or its environment. Write `ambient: {}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ambient: Option<Ambient>,
    /// The operator assumes a management role in the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<AssumeRole>,
    /// Keys of a user of the account, from a Secret in the operator's own namespace that the operator was allowed to read. They are long-lived: prefer a
    /// role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
}

/// The Secret with the keys AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for a session, AWS_SESSION_TOKEN. What is put into it counts within a minute.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct SecretReference {
    /// Name of the Secret, in the operator's own namespace.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
}

/// The operator's own credentials are used as they are.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Ambient {}

/// The management role that the operator assumes.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("!has(self.via) || !has(self.duration) || !self.duration.matches('^([0-9]{1,5}(h|m|s)){1,3}$') || duration(self.duration) <= duration('1h')")
    .message("a session of a role that was assumed by a session of a role lasts 1h at most: with via, choose 1h or less").field_path(".duration"))]
#[serde(rename_all = "camelCase")]
pub struct AssumeRole {
    /// The AWSAccount whose management role assumes this one, up to four in a row. Default: the operator assumes it with its own credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<AccountReference>,
    /// ARN of the management role.
    #[serde(rename = "roleARN")]
    #[schemars(schema_with = "schema::role_arn")]
    pub role_arn: String,
    /// External ID that the role's trust policy asks for.
    #[serde(default, rename = "externalID", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::external_id")]
    pub external_id: Option<String>,
    /// Name of the session, as CloudTrail shows it. Default: rolebridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::session_name")]
    pub session_name: Option<String>,
    /// How long a session lasts before the operator assumes the role again: 15m to 12h, at most the role's own maximum, and 1h with via. Default: 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::session_duration")]
    pub duration: Option<String>,
}

/// Which namespaces are allowed.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("has(self.names) == (self.from == 'Names') && has(self.selector) == (self.from == 'Selector')")
    .message("names goes with from: Names, selector with from: Selector, and from: All takes neither"))]
pub struct AllowedNamespaces {
    /// All namespaces, those named in names, or those whose labels match selector.
    pub from: AllowedFrom,
    /// The namespaces, for from: Names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::namespaces")]
    pub names: Vec<String>,
    /// Labels of the namespaces, for from: Selector. An empty selector is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// How the allowed namespaces are told.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowedFrom {
    /// Every namespace.
    All,
    /// The namespaces named.
    Names,
    /// The namespaces whose labels match.
    Selector,
}

/// Whose objects in AWS are that carry this installation's tags.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Ownership {
    /// What becomes of a user, role or policy that carries the tags of this installation and of a resource's namespace and name, and was made for an earlier
    /// resource of that name, as before the cluster was rebuilt. Never: it stays as it is, and the resource says Conflict. SameInstallation: the
    /// resource takes it over. Whoever may tag users and roles in this account could then pass off any of them as such, so set it for as long as a rebuild
    /// takes. Default: Never.
    #[serde(default)]
    pub take_over: TakeOver,
}

/// What becomes of what an earlier resource of the same name has left.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TakeOver {
    /// It stays as it is.
    #[default]
    Never,
    /// The resource takes it over.
    SameInstallation,
}

/// How fast the operator may call one account. IAM's own limits are per account and not published; these stay well below what is
/// known to work.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Calls a second in the long run, 1 to 100. Default: 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub requests_per_second: Option<u32>,
    /// Calls that may be made at once after a pause, 1 to 1000. Default: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub burst: Option<u32>,
    /// Resources of this account that are worked on at the same time, 1 to 64. Default: 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub concurrency: Option<u32>,
}

/// How often an account is read in bulk.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct SweepSettings {
    /// The time from one sweep to the next, 10s to 24h; it varies by a tenth. Default: what the operator was told, 15m.
    #[schemars(schema_with = "schema::sweep_interval")]
    pub interval: String,
}

/// How many users and roles may be deleted within ten minutes: the larger of both.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletionBrake {
    /// A share of all users and roles of this account, in percent, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub share: u32,
    /// A number of users and roles, 1 to 10000.
    #[schemars(range(min = 1, max = 10000))]
    pub number: u32,
}

/// The quotas of IAM in this account, as it says them itself. AWS raises most of them on request.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct QuotaStatus {
    /// Characters of a trust policy.
    pub trust_policy_size: i64,
    /// Managed policies attached to a role.
    pub attached_policies_per_role: i64,
    /// Managed policies attached to a user.
    pub attached_policies_per_user: i64,
    /// Characters of all inline policies of a role together.
    pub inline_policies_size_per_role: i64,
    /// Characters of all inline policies of a user together.
    pub inline_policies_size_per_user: i64,
    /// Characters of a managed policy.
    pub managed_policy_size: i64,
    /// Groups that a user is in.
    pub groups_per_user: i64,
}

/// A user or role in AWS that carries the owner tags of this installation and belongs to no resource. It is left alone: delete it in AWS, or make the
/// resource again that its tags name.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct OrphanStatus {
    /// Kind and name in IAM, such as `role reader`.
    #[schemars(length(max = 128))]
    pub identity: String,
    /// Its unique ID.
    #[schemars(length(max = 128))]
    pub id: String,
    /// The resource that its owner tag names, as kind/namespace/name.
    #[schemars(length(max = 256))]
    pub owner: String,
}

/// A role in this account that lets in a BastionUser, or the whole account of one, and that no CrossAccountRole stands for.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ShadowGrantStatus {
    /// Name of the role in IAM.
    #[schemars(length(max = 64))]
    pub role_name: String,
    /// The principal that its trust policy names, or that nobody can tell whom it lets in.
    #[schemars(length(max = 2048))]
    pub principal: String,
}

/// What the operator found.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AWSAccountStatus {
    /// The generation of the spec that this status speaks of.
    #[schemars(schema_with = "schema::observed_generation")]
    #[serde(default)]
    pub observed_generation: i64,
    /// Who the operator is in this account, as STS says it; absent while it is refused there.
    #[serde(default, rename = "callerARN", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub caller_arn: Option<String>,
    /// Who depends on this account: Operator, where the operator's own identity is in it, and AWSAccount/<name> for each AWSAccount that is reached directly
    /// through it. Whoever had all rights here would have theirs, too, so that users and roles have permissions and groups only under
    /// guardrails.permissionsBoundaryARN. The first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::used_by")]
    pub used_by: Vec<String>,
    /// The alias that the account has in the console, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub console_alias: Option<String>,
    /// The quotas of IAM in this account; absent until they were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotas: Option<QuotaStatus>,
    /// Users and roles in AWS that carry the owner tags of this installation and belong to no resource; the first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub orphans: Vec<OrphanStatus>,
    /// How many of them there are.
    #[serde(default)]
    pub orphans_total: i64,
    /// Roles that let in a BastionUser, or the whole account of one, or of which nobody can tell whom they let in, and that no CrossAccountRole stands for; the
    /// first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub shadow_grants: Vec<ShadowGrantStatus>,
    /// How many of them there are.
    #[serde(default)]
    pub shadow_grants_total: i64,
    /// How many deletions of users and roles wait until a person confirms them; absent where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub deletions_held: Option<i64>,
    /// Ready sums up the others; each has a reason and a message that says what to do.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

impl Managed for AWSAccount {
    type Status = AWSAccountStatus;
    const KIND: &'static str = "AWSAccount";
    const LEAST_SPEC: &'static str = r#"{"accountID":"","access":{},"allowedNamespaces":{"from":"Names"}}"#;

    fn account_name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    fn status(&self) -> Option<&AWSAccountStatus> {
        self.status.as_ref()
    }

    fn conditions(status: &AWSAccountStatus) -> &[Condition] {
        &status.conditions
    }
}
