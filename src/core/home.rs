//! The accounts that everything else hangs on: the one where the operator's own identity is (its home), and those through which it gets into others (hubs).
//!
//! Whoever has all rights in one of them can take the operator's identity or session there, and has every account that is behind it. So nobody gets
//! permissions there but under a boundary that the AWSAccount forces and that keeps IAM out of reach.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::access::via;
use super::boundary::{Roles, weakness};
use super::names::Partition;
use super::outcome::Problem;
use super::placement::ResolvedAccount;
use super::world::{Boundary, Operator, World};
use rolebridge_api::permissions::Permissions;
use rolebridge_api::{AWSAccount, Managed, Reason};

/// How an account is told to hold the operator itself.
const OPERATOR: &str = "Operator";
/// What is told where a forced boundary does not help.
const LIMITED: &str = "users and roles have permissions and groups here only under a guardrails.permissionsBoundaryARN that limits IAM and STS";

/// Whether users and roles of an account may have permissions and groups.
#[derive(Clone, Debug, PartialEq)]
pub enum Powers {
    /// Nothing hangs on the account.
    Free,
    /// The account forces a boundary that keeps IAM out of reach.
    Bounded,
    /// It is not known yet: why.
    Unknown(&'static str),
    /// They may not: what is wrong with the boundary, if there is one.
    Refused(Option<String>),
}

/// How it stands with an account.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Who depends on it: `Operator`, and `AWSAccount/<name>` for each account that is reached directly through it.
    pub used_by: Vec<String>,
    /// Whether its users and roles may have permissions and groups.
    pub powers: Powers,
}

/// Which account leads where, of all that there are.
pub struct Layout<'w> {
    world: &'w dyn World,
    operator: Operator,
    /// Whether the operator gets anywhere by its own credentials. Where it does not, nobody gains by these.
    uses_its_own: bool,
    /// The accounts that are reached through others, by those.
    behind: BTreeMap<String, Vec<String>>,
    accounts: Vec<Arc<AWSAccount>>,
}

impl<'w> Layout<'w> {
    /// The layout as it is declared.
    pub fn of(world: &'w dyn World) -> Self {
        let accounts = world.accounts();
        let mut behind = BTreeMap::<String, Vec<String>>::new();
        for account in &accounts {
            if let Some(through) = via(account) {
                behind.entry(through.to_owned()).or_default().push(format!("{}/{}", AWSAccount::KIND, name_of(account)));
            }
        }
        let uses_its_own = accounts.iter().any(|account| is_entered_by_its_own(account));
        Self { world, operator: world.operator(), uses_its_own, behind, accounts }
    }

    /// How it stands with each account, by name.
    pub fn standings(&self) -> BTreeMap<String, Standing> {
        self.accounts.iter().map(|account| (name_of(account).to_owned(), self.standing(account))).collect()
    }

    /// How it stands with an account.
    pub fn standing(&self, account: &AWSAccount) -> Standing {
        let used_by = self.used_by(account);
        let powers = match forced(account) {
            _ if self.is_in_doubt() => Powers::Unknown("the operator cannot tell yet who it is itself"),
            _ if used_by.is_empty() => Powers::Free,
            None => Powers::Refused(None),
            Some(arn) => match self.world.boundary(account) {
                Boundary::Unread => Powers::Unknown("the policy that is to be the permissions boundary was not read yet"),
                Boundary::Missing => Powers::Refused(Some(format!("there is no policy {arn}"))),
                Boundary::Read(document) => match weakness(&document, &self.roles()) {
                    None => Powers::Bounded,
                    Some(weakness) => Powers::Refused(Some(format!("{arn} {weakness}"))),
                },
            },
        };
        Standing { used_by, powers }
    }

    /// Whether it matters who the operator is, and nobody knows it.
    fn is_in_doubt(&self) -> bool {
        self.uses_its_own && self.operator == Operator::Unknown
    }

    fn used_by(&self, account: &AWSAccount) -> Vec<String> {
        let is_home = self.uses_its_own && is_in(&self.operator, account);
        let mut behind = self.behind.get(name_of(account)).cloned().unwrap_or_default();
        behind.sort_unstable();
        is_home.then(|| OPERATOR.to_owned()).into_iter().chain(behind).collect()
    }

    /// The roles by which the operator works: the management roles, and its own.
    fn roles(&self) -> Roles {
        let management = self.accounts.iter().filter_map(|account| Some(account.spec.access.assume_role.as_ref()?.role_arn.clone()));
        let own = |path: &str| match &self.operator {
            Operator::Is(arn) => {
                let (name, _) = arn.resource().strip_prefix("assumed-role/")?.split_once('/')?;
                Some(format!("arn:{}:iam::{}:role/{path}{name}", arn.partition(), arn.account()))
            }
            Operator::Unknown | Operator::Nobody => None,
        };
        Roles { arns: management.chain(own("")).collect(), below_paths: own("*/") }
    }
}

fn name_of(account: &AWSAccount) -> &str {
    account.metadata.name.as_deref().unwrap_or_default()
}

fn is_entered_by_its_own(account: &AWSAccount) -> bool {
    let access = &account.spec.access;
    access.secret_ref.is_none() && via(account).is_none()
}

fn is_in(operator: &Operator, account: &AWSAccount) -> bool {
    matches!(operator, Operator::Is(arn) if arn.account() == account.spec.account_id && arn.partition().as_str() == account.spec.partition)
}

/// The boundary that an account forces on all of its users and roles. What its `defaults` say anybody may replace.
pub fn forced(account: &AWSAccount) -> Option<&str> {
    account.spec.guardrails.as_ref()?.permissions_boundary_arn.as_deref()
}

/// The roles by which the operator works: the management roles, and its own.
pub fn operators_roles(world: &dyn World) -> Roles {
    Layout::of(world).roles()
}

/// Whether it must be known who the operator is: its own credentials lead somewhere.
pub fn is_asked_for(world: &dyn World) -> bool {
    world.accounts().iter().any(|account| is_entered_by_its_own(account))
}

/// The region of an account that is entered by the operator's own credentials. STS knows them there.
pub fn region(world: &dyn World) -> Option<String> {
    let accounts = world.accounts();
    let entered = accounts.iter().filter(|account| is_entered_by_its_own(account)).min_by_key(|account| name_of(account))?;
    let of_partition = || entered.spec.partition.parse::<Partition>().ok()?.default_region().map(str::to_owned);
    entered.spec.region.clone().or_else(of_partition)
}

/// Whether a declaration gives a user or role anything that it could use against the account.
pub fn has_powers(permissions: Option<&Permissions>, groups: Option<&[String]>) -> bool {
    !powers(permissions, groups).is_empty()
}

/// The fields that do.
fn powers(permissions: Option<&Permissions>, groups: Option<&[String]>) -> Vec<&'static str> {
    let has_documents = |p: &Permissions| !p.inline_policies.is_empty() || !p.customer_managed_policies.is_empty();
    let is_empty = |p: &&Permissions| p.attached_policies.is_empty() && p.external_roles.is_empty() && !has_documents(p);
    let permissions = permissions.filter(|permissions| !is_empty(permissions)).map(|_| "spec.permissions");
    let groups = groups.filter(|groups| !groups.is_empty()).map(|_| "spec.groups");
    permissions.into_iter().chain(groups).collect()
}

/// Whether a user or role of this account may have what it declares to have.
///
/// # Errors
/// [`Reason::BoundaryRequired`], or [`Reason::AccountNotReady`] where that is not known yet. Nothing of other accounts or of the operator is told.
pub fn check_powers(world: &dyn World, at: &ResolvedAccount, permissions: Option<&Permissions>, groups: Option<&[String]>) -> Result<(), Problem> {
    let fields = powers(permissions, groups).join(" and ");
    if fields.is_empty() {
        return Ok(());
    }
    let name = &at.name;
    let advice = format!("leave {fields} out, use another account, or have a platform administrator");
    match Layout::of(world).standing(&at.account).powers {
        Powers::Free | Powers::Bounded => Ok(()),
        Powers::Unknown(why) => {
            Err(Problem::new(Reason::AccountNotReady, format!("{fields}: AWSAccount {name} cannot give permissions now: {why}; it is tried again")))
        }
        Powers::Refused(None) => Err(Problem::new(
            Reason::BoundaryRequired,
            format!("{fields}: AWSAccount {name} gives none without a permissions boundary: {advice} set its guardrails.permissionsBoundaryARN"),
        )),
        Powers::Refused(Some(_)) => Err(Problem::new(
            Reason::BoundaryRequired,
            format!(
                "{fields}: AWSAccount {name} gives none, since its guardrails.permissionsBoundaryARN does not limit IAM and STS: {advice} correct that \
                 policy, about which the AWSAccount says more"
            ),
        )),
    }
}

/// What an AWSAccount tells of how it stands with it.
pub fn told(world: &dyn World, standing: &Standing) -> Option<String> {
    let is_home = standing.used_by.iter().any(|by| by == OPERATOR);
    let who = match world.operator() {
        Operator::Is(arn) if is_home => vec![format!("the operator itself ({arn}) is in this account")],
        _ => vec![],
    };
    let behind = standing.used_by.len() - usize::from(is_home);
    let hub = (behind > 0).then(|| format!("the operator gets through this account into {behind} more"));
    let why = who.into_iter().chain(hub).collect::<Vec<_>>().join(", and ");
    match &standing.powers {
        Powers::Free => None,
        Powers::Bounded => Some(format!("{why}: {LIMITED}, as the one that is set does")),
        Powers::Refused(None) => Some(format!("{why}: {LIMITED}; none is set")),
        Powers::Refused(Some(what)) => Some(format!("{why}: {LIMITED}; {what}, and so does not count")),
        Powers::Unknown(unknown) => Some(format!("users and roles with permissions or groups wait: {unknown}")),
    }
}

#[cfg(test)]
mod tests;
