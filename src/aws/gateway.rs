//! What the rest of the program may ask of an account of AWS.

use async_trait::async_trait;

use rolebridge_core::action::{Action, Receipt};
use rolebridge_core::document::Document;
use rolebridge_core::failure::Failure;
use rolebridge_core::identity::IdentityName;
use rolebridge_core::names::{AccountID, Arn, Partition};
use rolebridge_core::observed::{Dependents, Observed, Scope};
use rolebridge_core::ownership::Owner;
use rolebridge_core::quotas::Quotas;
use rolebridge_core::sweep::Sweep;

/// Who the operator is in an account, as STS says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// ARN of the user or of the session of a role.
    pub arn: Arn,
    /// The account that the credentials belong to.
    pub account: AccountID,
    /// The partition that the credentials belong to.
    pub partition: Partition,
}

/// IAM and STS of one account.
///
/// Nothing here is cached or retried. Every error is a [`Failure`] that says what is known of the state of AWS; a read never changes
/// anything, so its failures always have [`Effect::None`](rolebridge_core::failure::Effect::None).
#[async_trait]
pub trait Gateway: Send + Sync {
    /// Asks STS who the operator is (GetCallerIdentity, which needs no permission).
    ///
    /// # Errors
    /// Where there are no valid credentials, or AWS gives no readable answer.
    async fn caller(&self) -> Result<Caller, Failure>;

    /// Reads the user or role with all its policies, and those of the customer-managed policies asked about that exist; of a user also the assume
    /// policies that are attached to it, whether asked about or not, and its groups only if they are.
    ///
    /// Of what is missing from the answer IAM said so, each by itself; what was just made may be there all the same. Reads are not one snapshot: they may
    /// come from replicas of different age, and somebody may write between two of them.
    ///
    /// # Errors
    /// Where anything could not be read or understood. A partial answer is never given. [`Reason::Conflict`](rolebridge_api::Reason::Conflict)
    /// where the object's path or name is one that Rolebridge cannot have made, such as that of a service-linked role.
    async fn observe(&self, scope: &Scope) -> Result<Observed, Failure>;

    /// Reads what keeps the user or role from being deleted, apart from policies. Nothing, where there is no such user or role.
    ///
    /// # Errors
    /// Where anything could not be read or understood.
    async fn dependents(&self, who: &IdentityName) -> Result<Dependents, Failure>;

    /// Reads all users, roles and customer-managed policies, in two bulk reads: GetAccountAuthorizationDetails, and ListRoles for what that omits.
    ///
    /// What is not in the answer may exist all the same: what cannot be read is left out, IAM's replicas differ in age, and the two reads are made
    /// one after the other.
    ///
    /// # Errors
    /// Where either could not be read to its end.
    async fn sweep(&self) -> Result<Sweep, Failure>;

    /// Reads the quotas of IAM in the account (GetAccountSummary).
    ///
    /// # Errors
    /// Where they could not be read, or the answer holds none.
    async fn quotas(&self) -> Result<Quotas, Failure>;

    /// Reads the alias that the account has instead of its ID in the console's addresses, if it has one (ListAccountAliases).
    ///
    /// # Errors
    /// Where it could not be read.
    async fn console_alias(&self) -> Result<Option<String>, Failure>;

    /// Reads the document of a policy, be it the account's own or AWS's, as of its default version (GetPolicy and GetPolicyVersion); None where there is no such
    /// policy.
    ///
    /// # Errors
    /// Where anything could not be read.
    async fn policy_document(&self, policy: &Arn) -> Result<Option<Document>, Failure>;

    /// Makes one change, for `owner`, whom AWS is told as well: CloudTrail shows it with the call.
    ///
    /// It may be made again at any time. What IAM says not to be there when it is to be deleted, detached or removed is no failure, and told apart:
    /// [`Receipt::Missing`]. What exists already is not created
    /// again: that is the failure [`Effect::AlreadyExists`](rolebridge_core::failure::Effect::AlreadyExists), to be answered by a read and the
    /// ownership rules. CreatePolicyVersion alone makes another version each time.
    ///
    /// # Errors
    /// Where the change was not made, or is not known to have been made
    /// ([`Effect::Unknown`](rolebridge_core::failure::Effect::Unknown)): the object must then be read before anything is concluded about it.
    async fn execute(&self, action: &Action, owner: &Owner) -> Result<Receipt, Failure>;
}
