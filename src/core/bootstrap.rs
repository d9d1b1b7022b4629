//! What a person puts in place in AWS once, as documents: the management role of an account, which the operator assumes there ([`ManagementRole`]);
//! the policy of the operator's own user or role, for the account in which that is at home ([`OperatorPolicy`]); a permissions boundary for what
//! tenants make ([`BoundaryPolicy`]); and a service control policy that keeps roles, boundary and operator as they are ([`ServiceControlPolicy`]).
//!
//! The operator may do what its code calls and no more. [`CALLS`] is the one list of that; a test compares it with the calls in `src/aws`.
//!
//! What limits it, from the strongest to the weakest:
//! - *Explicit denials* win over whatever else it is given: it never changes what its own permissions come from, be it the management role or the
//!   operator's user with its policy, nor the policy that serves as boundary, and with a forced boundary never takes a boundary away.
//! - *Paths*: what it creates or changes lies below the path prefix. Reading is not limited by path, since a name is taken in the whole
//!   account whatever its path, and since IAM authorises a call about a name that nobody bears on no ARN at all: asked by a role that may read
//!   below a path only, it answers AccessDenied where it should say that there is no such user.
//! - *A forced boundary*: whoever is created or given permissions is bounded. Only calls that make somebody more powerful ask for it, so that
//!   what was made before the boundary was forced can still be emptied and deleted.
//! - *Listed groups*: IAM authorises who is put into a group on the group alone, whoever the user is. So users are put only into groups that a
//!   person has named, and into none where none is named. They are taken out of any group: a user that is deleted leaves all of its groups, also
//!   those that others have put it into, and deletion must not wait for a list. The price is that others can be taken out of a group that denies.
//! - *Owner tags*: what is created must be tagged as an installation's, and only what is so tagged is changed. At creation the tags come with
//!   the request, so nothing has to be read before. This is a net under the operator's own checks, not a wall: who holds the role may tag first
//!   and change then. Groups and MFA devices are nobody's by tag and are left out of it.
//!
//! Nothing in IAM limits what a trust policy says (the Service Authorization Reference has no condition key for it).

mod boundary;
mod service_control;

use std::str::FromStr;

pub use boundary::BoundaryPolicy;
pub use service_control::{Organization, ServiceControlPolicy};

use super::document::{Document, Statement};
use super::names::{AccountID, Arn, GroupName, NameError, Partition, Path, PolicyName, RoleName};
use super::ownership::INSTALLATION;

/// Largest document of a managed policy, in characters without white space (IAM quotas). An inline policy of a role may be larger, so a document
/// of this size can be put in place either way.
const MANAGED_POLICY_SIZE: usize = 6144;

/// Under which conditions calls are permitted. The facts about resources and condition keys are those of the Service Authorization Reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Reads; on anything in the account.
    Read,
    /// Creates a user or role; `iam:PermissionsBoundary` and `aws:RequestTag` are known.
    CreateIdentity,
    /// Creates a policy, or puts tags on what is being created; `aws:RequestTag` is known.
    CreateTagged,
    /// Gives a user or role permissions or a boundary; `iam:PermissionsBoundary` is known.
    Empower,
    /// Takes a boundary away: never, where one is forced.
    Unbound,
    /// Any other change to a user, role or policy that exists.
    Change,
    /// Puts a user into a group; authorised on the group, which cannot be tagged.
    JoinGroup,
    /// Takes a user out of a group; authorised on the group alone as well.
    LeaveGroup,
    /// Deletes a virtual MFA device. IAM does so only when it is in nobody's use, and taking it from its user is a call of kind [`Access::Change`].
    DeleteDevice,
}

/// The actions of IAM that the operator calls.
const CALLS: &[(Access, &[&str])] = &[
    (
        Access::Read,
        &[
            "iam:GetAccountAuthorizationDetails",
            "iam:GetAccountSummary",
            "iam:GetGroup",
            "iam:GetLoginProfile",
            "iam:GetPolicy",
            "iam:GetPolicyVersion",
            "iam:GetRole",
            "iam:GetRolePolicy",
            "iam:GetUser",
            "iam:GetUserPolicy",
            "iam:ListAccessKeys",
            "iam:ListAccountAliases",
            "iam:ListAttachedRolePolicies",
            "iam:ListAttachedUserPolicies",
            "iam:ListGroupsForUser",
            "iam:ListInstanceProfilesForRole",
            "iam:ListMFADevices",
            "iam:ListPolicyVersions",
            "iam:ListRolePolicies",
            "iam:ListRoles",
            "iam:ListSSHPublicKeys",
            "iam:ListServiceSpecificCredentials",
            "iam:ListSigningCertificates",
            "iam:ListUserPolicies",
            "iam:ListUsers",
        ],
    ),
    (Access::CreateIdentity, &["iam:CreateRole", "iam:CreateUser"]),
    (Access::CreateTagged, &["iam:CreatePolicy"]),
    (
        Access::Empower,
        &[
            "iam:AttachRolePolicy",
            "iam:AttachUserPolicy",
            "iam:PutRolePermissionsBoundary",
            "iam:PutRolePolicy",
            "iam:PutUserPermissionsBoundary",
            "iam:PutUserPolicy",
        ],
    ),
    (Access::Unbound, &["iam:DeleteRolePermissionsBoundary", "iam:DeleteUserPermissionsBoundary"]),
    (
        Access::Change,
        &[
            "iam:CreatePolicyVersion",
            "iam:DeactivateMFADevice",
            "iam:DeleteAccessKey",
            "iam:DeleteLoginProfile",
            "iam:DeletePolicy",
            "iam:DeletePolicyVersion",
            "iam:DeleteRole",
            "iam:DeleteRolePolicy",
            "iam:DeleteSSHPublicKey",
            "iam:DeleteServiceSpecificCredential",
            "iam:DeleteSigningCertificate",
            "iam:DeleteUser",
            "iam:DeleteUserPolicy",
            "iam:DetachRolePolicy",
            "iam:DetachUserPolicy",
            "iam:TagPolicy",
            "iam:TagRole",
            "iam:TagUser",
            "iam:UntagPolicy",
            "iam:UntagRole",
            "iam:UntagUser",
            "iam:UpdateAssumeRolePolicy",
            "iam:UpdateRole",
            "iam:UpdateUser",
        ],
    ),
    (Access::JoinGroup, &["iam:AddUserToGroup"]),
    (Access::LeaveGroup, &["iam:RemoveUserFromGroup"]),
    (Access::DeleteDevice, &["iam:DeleteVirtualMFADevice"]),
];

/// What calls need beside the action of their own name: tagging for a creation with tags, and the reading of tags for a Get that shows them.
const DEPENDENTS: &[(Access, &[&str])] = &[
    (Access::CreateTagged, &["iam:TagPolicy", "iam:TagRole", "iam:TagUser"]),
    (Access::Read, &["iam:ListPolicyTags", "iam:ListRoleTags", "iam:ListUserTags"]),
];

/// What a person says about an account and what the operator may do there.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// The account to be managed.
    pub account: AccountID,
    /// Its partition.
    pub partition: Partition,
    /// ARN of the user or role that the operator runs as.
    pub operator: Arn,
    /// Users, roles and policies outside this path stay as they are.
    pub path_prefix: Path,
    /// ARN of the policy that every user and role must have as boundary; None forces none.
    pub permissions_boundary: Option<Arn>,
    /// ID of the installation whose objects may be changed; None for those of any.
    pub installation: Option<String>,
    /// The groups that users may be put into.
    pub allowed_groups: Vec<Group>,
}

/// A group, by its name and its path: its ARN has both. Written `name`, or `/path/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    path: Path,
    name: GroupName,
}

impl FromStr for Group {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (path, name) = text.split_at(text.rfind('/').map_or(0, |slash| slash + 1));
        let path = if path.is_empty() { Path::root() } else { path.parse()? };
        Ok(Self { path, name: name.parse()? })
    }
}

/// The management role.
#[derive(Clone, Debug, PartialEq)]
pub struct ManagementRole {
    /// ARN. The path is `/`.
    pub arn: Arn,
    /// Who may assume it: the operator, with the external ID.
    pub trust_policy: Document,
    /// What it may do. Made for an inline policy: a managed one would be an object of its own that somebody could edit.
    pub permissions_policy: Document,
}

impl ManagementRole {
    /// Makes the documents of the role of this name. The operator has to present the external ID when it assumes the role.
    ///
    /// # Errors
    /// All that is wrong with the parameters, at once; each text names the parameter and says what to do.
    pub fn new(parameters: &Parameters, name: &RoleName, external_id: &str) -> Result<Self, Vec<String>> {
        let mut problems = check(parameters);
        let Parameters { account, partition, operator, .. } = parameters;
        let arn = Arn::role(partition, account, &Path::root(), name);
        if arn == *operator {
            problems.push(format!("the operator cannot be the management role {arn} itself: it assumes that role"));
        }
        // botocore, `externalIdType`.
        let is_external_id = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
        if !(2..=1224).contains(&external_id.len()) || !external_id.chars().all(is_external_id) {
            problems.push("the external ID is not valid: write 2 to 1224 letters, digits and characters of _+=,.@:/-".to_owned());
        }
        let permissions_policy = permissions(parameters, &arn);
        problems.extend(check_size(&permissions_policy));
        if problems.is_empty() { Ok(Self { trust_policy: trust(operator, external_id), permissions_policy, arn }) } else { Err(problems) }
    }
}

/// The policy of the operator's own user or role, which the AWSAccount of its home enters as it is: with `ambient`, or with `secretRef`. No management role
/// is there then. A managed policy, since a user has no room for it inline; it is denied every change of that user or role, and of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct OperatorPolicy {
    /// ARN of the policy. It protects itself under this one only.
    pub arn: Arn,
    /// The user or role that is given it.
    pub operator: Arn,
    /// What it allows.
    pub document: Document,
}

impl OperatorPolicy {
    /// Makes the policy of this name. Its path is `/`.
    ///
    /// # Errors
    /// As [`ManagementRole::new`].
    pub fn new(parameters: &Parameters, name: &PolicyName) -> Result<Self, Vec<String>> {
        let mut problems = check(parameters);
        let Parameters { account, partition, operator, .. } = parameters;
        if operator.account() != account.as_str() {
            problems.push(format!("the operator {operator} is not at home in account {account}: print the management role that it assumes there"));
        }
        let arn = Arn::policy(partition, account, &Path::root(), name);
        let document = permissions(parameters, &arn);
        problems.extend(check_size(&document));
        if problems.is_empty() { Ok(Self { arn, operator: operator.clone(), document }) } else { Err(problems) }
    }
}

fn check(parameters: &Parameters) -> Vec<String> {
    let Parameters { account, partition, operator, permissions_boundary, .. } = parameters;
    let mut problems = check_operator(partition, operator);
    if let Some(boundary) = permissions_boundary {
        let is_here = [account.as_str(), "aws"].contains(&boundary.account());
        if !is_here || !is_policy(partition, boundary) {
            problems.push(format!(
                "the permissions boundary {boundary} is no policy of account {account} or of AWS: a boundary lies in the account of whom it bounds"
            ));
        }
    }
    problems
}

fn is_policy(partition: &Partition, arn: &Arn) -> bool {
    arn.partition() == partition && arn.iam_entity().is_some_and(|entity| entity.kind == "policy") && !arn.has_wildcard()
}

/// A policy that a person makes can be changed; those of AWS cannot.
fn check_own_boundary(partition: &Partition, boundary: &Arn) -> Option<String> {
    let is_own = is_policy(partition, boundary) && boundary.account_id().is_some();
    (!is_own).then(|| format!("the permissions boundary {boundary} is no policy of yours: write arn:{partition}:iam::123456789012:policy/NAME"))
}

fn check_size(document: &Document) -> Option<String> {
    let size = document.size();
    (size > MANAGED_POLICY_SIZE)
        .then(|| format!("the policy would have {size} characters of at most {MANAGED_POLICY_SIZE}: choose a shorter path prefix or fewer groups"))
}

fn check_operator(partition: &Partition, operator: &Arn) -> Vec<String> {
    let mut problems = vec![];
    let is_identity = operator.iam_entity().is_some_and(|entity| matches!(entity.kind, "user" | "role")) && operator.account_id().is_some();
    if !is_identity || operator.has_wildcard() {
        problems.push(format!(
            "the operator {operator} is no user or role: write an ARN such as arn:{partition}:iam::123456789012:role/rolebridge-operator; \
             for a session, that of its role"
        ));
    }
    if operator.partition() != partition {
        problems.push(format!("the operator {operator} is in another partition than {partition}, and trust never crosses partitions"));
    }
    problems
}

/// The two statements differ in conditions: `sts:ExternalId` is no key of `sts:TagSession`, which gives nothing by itself. It is needed where the
/// operator's own session has transitive tags, as those of EKS Pod Identity have.
fn trust(operator: &Arn, external_id: &str) -> Document {
    let operator = || [operator.as_str()];
    Document::new(vec![
        Statement::allow().sid("OperatorWithExternalID").principals_aws(operator()).actions(["sts:AssumeRole"]).condition(
            "StringEquals",
            "sts:ExternalId",
            [external_id],
        ),
        Statement::allow().sid("SessionTags").principals_aws(operator()).actions(["sts:TagSession"]),
    ])
}

/// What the operator may do in the account. `holder` is what has these permissions, or brings them: the management role, or the operator's policy.
fn permissions(parameters: &Parameters, holder: &Arn) -> Document {
    let Parameters { account, partition, operator, path_prefix, permissions_boundary, installation, allowed_groups, .. } = parameters;
    let below = |kind: &str, path: &str| format!("arn:{partition}:iam::{account}:{kind}{path}*");
    let managed = |kinds: &[&str]| -> Vec<String> { kinds.iter().map(|kind| below(kind, path_prefix.as_str())).collect() };
    let bounded = |statement: Statement| match permissions_boundary {
        Some(boundary) => statement.condition("StringEquals", "iam:PermissionsBoundary", [boundary.as_str()]),
        None => statement,
    };
    // A pattern that any text matches still asks for the tag to be there.
    let installation = installation.as_deref().unwrap_or("*");
    let tagged = |statement: Statement, key: &str| statement.condition("StringLike", format!("aws:{key}/{INSTALLATION}"), [installation]);
    let allow = |sid: &str, access: &[Access]| Statement::allow().sid(sid).actions(access.iter().flat_map(|access| actions(*access)));

    let identities = managed(&["user", "role"]);
    let all = managed(&["user", "role", "policy"]);
    let changes: &[Access] = if permissions_boundary.is_some() { &[Access::Change] } else { &[Access::Change, Access::Unbound] };
    let mut statements = vec![
        allow("Read", &[Access::Read]).resources(["*"]),
        bounded(tagged(allow("CreateIdentities", &[Access::CreateIdentity]).resources(identities.clone()), "RequestTag")),
        tagged(allow("CreatePoliciesAndTags", &[Access::CreateTagged]).resources(all.clone()), "RequestTag"),
        bounded(tagged(allow("Empower", &[Access::Empower]).resources(identities), "ResourceTag")),
        tagged(allow("Change", changes).resources(all), "ResourceTag"),
        allow("LeaveGroups", &[Access::LeaveGroup]).resources([below("group", "/")]),
        allow("VirtualMFADevices", &[Access::DeleteDevice]).resources([below("mfa", "/")]),
    ];
    if !allowed_groups.is_empty() {
        let groups = allowed_groups.iter().map(|Group { path, name }| format!("arn:{partition}:iam::{account}:group{path}{name}"));
        statements.push(allow("JoinGroups", &[Access::JoinGroup]).resources(groups));
    }

    let at_home = (operator.account() == account.as_str()).then_some(operator);
    let own_policy = permissions_boundary.as_ref().filter(|boundary| boundary.account() == account.as_str());
    let protected = [Some(holder), at_home, own_policy].into_iter().flatten().map(Arn::as_str);
    statements.push(Statement::deny().sid("NeverItself").not_actions(["iam:Get*", "iam:List*"]).resources(protected));
    if permissions_boundary.is_some() {
        statements.push(Statement::deny().sid("NeverUnbound").actions(actions(Access::Unbound)).resources(["*"]));
    }
    Document::new(statements)
}

fn actions(access: Access) -> impl Iterator<Item = &'static str> {
    CALLS.iter().chain(DEPENDENTS).filter(move |(of, _)| *of == access).flat_map(|(_, actions)| actions.iter().copied())
}

#[cfg(test)]
mod tests;
