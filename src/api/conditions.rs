//! The types and reasons of conditions: one table, from which the code, the messages and the reference documentation speak.

use strum::{IntoStaticStr, VariantArray};

/// What a condition speaks of.
pub mod condition_types {
    /// The summary: the resource is as declared, in Kubernetes and in AWS.
    pub const READY: &str = "Ready";
    /// Work is going on, or something else must happen first. Present only while true (kstatus).
    pub const RECONCILING: &str = "Reconciling";
    /// A person must act. Present only while true (kstatus).
    pub const STALLED: &str = "Stalled";
    /// The account is known, answers and is the one declared, and this namespace may use it.
    pub const ACCOUNT_READY: &str = "AccountReady";
    /// Everything that the spec refers to exists and may be used.
    pub const REFERENCES_RESOLVED: &str = "ReferencesResolved";
    /// AWS equals the declaration.
    pub const SYNCED: &str = "Synced";

    /// A type of condition, as the reference documentation says it.
    #[derive(Clone, Copy, Debug)]
    pub struct Kind {
        /// The type.
        pub name: &'static str,
        /// What it says where it is True.
        pub meaning: &'static str,
        /// Whether accounts have it, too, and not only users and roles.
        pub is_of_all: bool,
    }

    /// Every type, in the order of the documentation.
    pub const ALL: [Kind; 6] = [
        Kind { name: READY, meaning: "The summary: all is as declared, in Kubernetes and in AWS.", is_of_all: true },
        Kind { name: RECONCILING, meaning: "Work is going on, or something else must happen first. It is there only while True.", is_of_all: true },
        Kind { name: STALLED, meaning: "A person must act. It is there only while True.", is_of_all: true },
        Kind {
            name: ACCOUNT_READY,
            meaning: "The account is known, answers and is the one declared, and this namespace may use it.",
            is_of_all: false,
        },
        Kind { name: REFERENCES_RESOLVED, meaning: "Everything that the spec refers to exists and may be used.", is_of_all: false },
        Kind { name: SYNCED, meaning: "AWS equals the declaration.", is_of_all: false },
    ];
}

/// How a reason is dealt with. The order is that of severity: a summary takes the most severe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// All is well.
    Done,
    /// Something else must happen; a watch wakes the resource then.
    Waiting,
    /// It goes away by itself; tried again with backoff.
    Transient,
    /// A person must act; looked at again slowly, and at once when something related changes.
    Stalled,
}

impl Class {
    /// Every class, from the least severe to the most.
    pub const ALL: [Self; 4] = [Self::Done, Self::Waiting, Self::Transient, Self::Stalled];

    /// What it means, as the reference documentation says it.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "All is well.",
            Self::Waiting => "Something else must happen first. When it does, the resource follows at once.",
            Self::Transient => "It goes away by itself. Rolebridge tries again, with pauses that grow.",
            Self::Stalled => "A person must act. Rolebridge looks again now and then, and at once when something related changes.",
        }
    }
}

/// Why a condition is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, VariantArray)]
pub enum Reason {
    /// Kubernetes and AWS are as declared.
    Ready,
    /// The work is not finished.
    Progressing,
    /// The AWSAccount does not exist.
    AccountNotFound,
    /// The AWSAccount is being deleted and takes nothing new.
    AccountDeleting,
    /// The AWSAccount cannot be used now.
    AccountNotReady,
    /// STS says that the operator is in another account or partition.
    AccountMismatch,
    /// The AWSAccount does not allow this namespace.
    NamespaceNotAllowed,
    /// A source in the role's own namespace does not exist.
    SourceNotFound,
    /// A source exists and is not ready.
    SourceNotReady,
    /// A source in another namespace does not exist or does not allow this namespace: which of both is not told.
    SourceNotAllowed,
    /// A source is in another partition of AWS.
    PartitionMismatch,
    /// A guardrail of the account forbids the trust.
    TrustNotAllowed,
    /// A guardrail of the account forbids to add the user to a group.
    GroupNotAllowed,
    /// A guardrail of the account forbids the user or role as it is declared.
    GuardrailViolated,
    /// Permissions would be given where the operator lives, or is led through, without a forced boundary.
    BoundaryRequired,
    /// A ConfigMap, or its key, does not exist.
    ConfigMapNotFound,
    /// The Secret with the keys of an account cannot be used.
    SecretNotUsable,
    /// A policy document is not one.
    InvalidDocument,
    /// The spec has a value that cannot be used.
    InvalidSpec,
    /// The IAM object belongs to somebody else.
    Conflict,
    /// An IAM object of this name has another unique ID than the one that was made.
    IdentityChanged,
    /// A principal that a role trusts was deleted, and what bears its name now is another one.
    PrincipalReplaced,
    /// AWS refuses the operator the call.
    AccessDenied,
    /// AWS is throttling, failing or out of reach.
    AWSUnavailable,
    /// IAM does not show yet what was just made.
    Propagating,
    /// A quota of IAM is exhausted.
    QuotaExceeded,
    /// The namespace has as much in the account as the account lets it have.
    NamespaceQuotaExceeded,
    /// The resource asks for more than the account lets one have.
    TooManyGrants,
    /// A policy that is to be attached or to be the boundary does not exist.
    PolicyNotFound,
    /// A group that the user is to be in does not exist.
    GroupNotFound,
    /// AWS does not let this policy be attached.
    PolicyNotAttachable,
    /// AWS refuses the request as it is.
    RequestRejected,
    /// Roles still trust the user that is being deleted.
    WaitingForRoles,
    /// Something in AWS keeps the object from being deleted.
    DeletionBlocked,
    /// So many users and roles of the account were deleted at once that a person is to confirm it.
    DeletionHeld,
    /// Users, roles or other accounts still refer to the account that is being deleted.
    InUse,
    /// It was handed back: what it had in AWS stays there, without owner tags.
    Released,
}

/// What a reason means and what to do about it, as the reference documentation says it.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// How it is dealt with.
    pub class: Class,
    /// What has happened.
    pub meaning: &'static str,
    /// What to do.
    pub fix: &'static str,
}

impl Reason {
    /// Every reason, in the order of the documentation.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The word that stands in conditions.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// How the reason is dealt with.
    pub fn class(self) -> Class {
        self.describe().class
    }

    /// Its entry of the table.
    pub fn describe(self) -> Description {
        let entry = |class, meaning, fix| Description { class, meaning, fix };
        use Class::{Done, Stalled, Transient, Waiting};
        match self {
            Self::Ready => entry(Done, "Kubernetes and AWS are as declared.", "Nothing."),
            Self::Progressing => entry(Waiting, "The work is going on.", "Wait; it ends by itself."),
            Self::AccountNotFound => entry(
                Waiting,
                "The AWSAccount that accountRef names does not exist.",
                "Create the AWSAccount, or correct accountRef.name by making a new resource.",
            ),
            Self::AccountDeleting => entry(
                Stalled,
                "The AWSAccount is being deleted and takes nothing new.",
                "Use another AWSAccount, or create it again once it is gone.",
            ),
            Self::AccountNotReady => {
                entry(Waiting, "The AWSAccount cannot be used now; its own conditions say why.", "Look at the AWSAccount's conditions.")
            }
            Self::AccountMismatch => entry(
                Stalled,
                "The operator's credentials, or the management role, lead into another account or partition than the AWSAccount declares.",
                "Correct spec.access so that it leads into spec.accountID; nothing is written until then.",
            ),
            Self::NamespaceNotAllowed => entry(
                Stalled,
                "The AWSAccount's allowedNamespaces leave out this namespace. What is in AWS stays as it is, or is cut off where guardrails.onViolation is Disable.",
                "Have a platform administrator add the namespace, or use a namespace that is allowed.",
            ),
            Self::SourceNotFound => entry(
                Waiting,
                "A source of the role, in its own namespace, does not exist, or is being deleted.",
                "Create the source, or take it out of spec.trust.",
            ),
            Self::SourceNotReady => entry(Waiting, "A source of the role exists and is not ready.", "Look at the source's conditions."),
            Self::SourceNotAllowed => entry(
                Stalled,
                "A source of the role, in another namespace, does not exist, is being deleted, or does not let this namespace name it.",
                "Have its owner create it, or add the namespace to its spec.allowRolesFrom.",
            ),
            Self::PartitionMismatch => entry(
                Stalled,
                "A source and the role are in different partitions of AWS, between which no trust is possible.",
                "Use a source in the role's partition.",
            ),
            Self::TrustNotAllowed => entry(
                Stalled,
                "The role would let in somebody whom a guardrail of its AWSAccount keeps out: a whole account, a service, a provider, a principal that Rolebridge does not manage, or a person without a second factor. Whom it lets in already stays, or is let in no longer where guardrails.onViolation is Disable.",
                "Take the source out or require what the message names, or have a platform administrator change the guardrail.",
            ),
            Self::GroupNotAllowed => entry(
                Stalled,
                "The user would be in a group that its AWSAccount does not allow. Where it is in the group it stays, or leaves it where guardrails.onViolation is Disable.",
                "Take the group out of spec.groups, or have a platform administrator add it to guardrails.allowedGroups.",
            ),
            Self::GuardrailViolated => entry(
                Stalled,
                "A guardrail of the AWSAccount forbids the user or role as it is declared. What is in AWS stays as it is, or is cut off where guardrails.onViolation is Disable.",
                "Change the field that the message names, or have a platform administrator change the guardrail.",
            ),
            Self::BoundaryRequired => entry(
                Stalled,
                "The operator's own identity is in this account, or the operator gets through it into others. Permissions and groups are given there only under a permissions boundary that the AWSAccount forces and that limits IAM and STS. What is in AWS stays as it is.",
                "Leave the permissions and groups out, use another account, or have a platform administrator set guardrails.permissionsBoundaryARN; the AWSAccount says what is wrong with one that is set.",
            ),
            Self::ConfigMapNotFound => entry(
                Waiting,
                "A ConfigMap, or the key in it, does not exist. What is in AWS stays as it is.",
                "Create the ConfigMap with that key in the namespace of the user or role, or name a key that it has.",
            ),
            Self::SecretNotUsable => entry(
                Stalled,
                "The Secret with the keys of the account, or a key in it, does not exist, is malformed or may not be read.",
                "Put right what the message names; the account follows within minutes.",
            ),
            Self::InvalidDocument => entry(
                Stalled,
                "A policy document is not valid. What is in AWS stays as it is.",
                "Correct the document at the place that the message names, or save its file as UTF-8.",
            ),
            Self::InvalidSpec => entry(Stalled, "The spec has a value that cannot be used.", "Correct the field that the message names."),
            Self::Conflict => entry(
                Stalled,
                "An object of this name exists in IAM and is not this resource's. It is not touched.",
                "Choose another name, or remove the object in AWS if nobody needs it. Names are compared without regard to case, and the path does not make them differ.",
            ),
            Self::IdentityChanged => entry(
                Stalled,
                "The object of this resource was deleted in AWS. What bears its name now is another one, which is not touched.",
                "If nobody needs the new object, delete it in AWS; Rolebridge then makes its own again.",
            ),
            Self::PrincipalReplaced => entry(
                Stalled,
                "A principal that the role trusts was deleted in AWS. What bears its name now is another one, which is not trusted.",
                "To trust the new one, take it out of spec.trust, and once that is done put it in again.",
            ),
            Self::AccessDenied => {
                entry(Stalled, "AWS refuses the operator a call.", "Give the management role of the account the action that the message names.")
            }
            Self::AWSUnavailable => entry(Transient, "AWS throttles, fails or is out of reach.", "Wait; it is tried again with growing pauses."),
            Self::Propagating => entry(
                Transient,
                "IAM does not show everywhere yet what was just made, so that what it does not show may be there.",
                "Wait; this takes seconds, rarely a minute, and two minutes until it is certain that something is absent. A principal that stays invalid does not exist: make it or correct spec.trust.",
            ),
            Self::QuotaExceeded => {
                entry(Stalled, "A quota of IAM is exhausted.", "Use less of it, or have AWS raise the quota; the resource follows by itself.")
            }
            Self::NamespaceQuotaExceeded => entry(
                Stalled,
                "The namespace has as many users, roles or customer-managed policies in the account as guardrails.quotas of the AWSAccount lets it have. What it has stays.",
                "Delete some, or have a platform administrator raise the quota; the resource follows by itself.",
            ),
            Self::TooManyGrants => entry(
                Stalled,
                "A role has more sources, or a user or role is named by more roles, than guardrails.quotas of the AWSAccount allows. Nothing more is added; what is withdrawn ends.",
                "Name fewer, or have a platform administrator raise the quota.",
            ),
            Self::PolicyNotFound => entry(
                Stalled,
                "A policy to attach, or the permissions boundary, does not exist.",
                "Create the policy, or correct its name as the message says; the resource follows by itself.",
            ),
            Self::GroupNotFound => entry(
                Stalled,
                "A group that the user is to be in does not exist.",
                "Create the group, or correct its name; the user follows by itself.",
            ),
            Self::PolicyNotAttachable => entry(
                Stalled,
                "The policy cannot be attached, or be a permissions boundary: it is of another account or partition, it is another user's or role's, or AWS reserves it for its own service roles. What is in AWS stays as it is.",
                "Write what the message says, or take it out. To share a policy, make it outside Rolebridge, or declare it under another name in each resource.",
            ),
            Self::RequestRejected => entry(Stalled, "AWS refuses the request as it is.", "Correct what the message names."),
            Self::WaitingForRoles => entry(
                Waiting,
                "The user is cut off, and roles are taking it out of their trust policies before it is deleted.",
                "Wait; this is bounded to a minute.",
            ),
            Self::DeletionBlocked => entry(
                Stalled,
                "Something in AWS keeps the object from being deleted.",
                "Remove in AWS what the message names; the deletion goes on by itself.",
            ),
            Self::DeletionHeld => entry(
                Stalled,
                "More users and roles of the account were deleted within ten minutes than its deletionBrake lets pass. What is in AWS stays as it is, but for grants that are withdrawn.",
                "If it was meant, have a platform administrator confirm it by the command that the message has. If not, apply the resource again under another name first.",
            ),
            Self::InUse => entry(
                Waiting,
                "Users, roles or other AWSAccounts still refer to the account that is being deleted.",
                "Delete those first; the message names them.",
            ),
            Self::Released => entry(
                Stalled,
                "`rolebridge release` has handed it back: what it had in AWS stays as it is, without owner tags.",
                "Delete the resource: nothing happens in AWS. While Rolebridge does not run, nothing follows from what it declares.",
            ),
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_listed_once_and_says_what_to_do() {
        let mut words: Vec<_> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert_eq!(format!("{reason:?}"), reason.as_str(), "the word is the name");
            assert!(reason.describe().meaning.ends_with('.') && reason.describe().fix.ends_with('.'), "{reason}");
        }
    }
}
