//! Trust policies: who may be named, and what becomes of who is gone.

use std::collections::BTreeSet;
use std::sync::Arc;

use rolebridge::core::identity::IdentityName;
use rolebridge::core::names::{AccountID, Arn, Partition, UniqueID};
use serde_json::Value;

use super::Cloud;
use super::account::{Moment, key};
use super::documents::{check_shared_issuers, check_trust, invalid_principal, read};
use super::entity::{Identity, Kind, Snapshot, Stored, Trust};
use super::history::View;
use super::refusal::Answer;

/// The services that there are, without what their partition adds to their names. AWS has hundreds; these are those that somebody names here.
const SERVICES: [&str; 5] = ["ec2", "ecs-tasks", "lambda", "pods.eks", "support"];

/// How the names of services may end besides `amazonaws.com` (AWS general reference, "Service principals").
const ENDINGS: [(&str, &str); 6] = [
    ("aws-cn", "amazonaws.com.cn"),
    ("aws-eusc", "amazonaws.eu"),
    ("aws-iso", "c2s.ic.gov"),
    ("aws-iso-b", "sc2s.sgov.gov"),
    ("aws-iso-e", "cloud.adc-e.uk"),
    ("aws-iso-f", "csp.hci.ic.gov"),
];

/// The identity providers that look like services: IAM takes them for such, though they are none (statement 58).
const PROVIDERS: [&str; 4] = ["accounts.google.com", "cognito-identity.amazonaws.com", "graph.facebook.com", "www.amazon.com"];

impl Cloud {
    /// Takes a trust policy in. Statements 6 and 7: its principals must be there, and are held by their unique IDs from then on.
    pub(super) fn trust(&self, partition: &Partition, text: &str, view: &mut View<'_>) -> Answer<Trust> {
        let document = read(text)?;
        check_trust(&document, &mut |kind, name| {
            let is_valid = match kind {
                "AWS" => self.may_be_named(partition, name, view),
                "Service" => PROVIDERS.contains(&name) || is_service(partition, name),
                "Federated" => name.contains('.') || name.starts_with("arn:"),
                _ => false,
            };
            if is_valid { Ok(()) } else { Err(invalid_principal(kind, name)) }
        })?;
        check_shared_issuers(&document)?;
        Ok(self.bound(partition, document, view))
    }

    /// A trust policy as it is, whoever it names: AWS's own are not checked.
    pub(super) fn bound(&self, partition: &Partition, document: Value, view: &View<'_>) -> Trust {
        let (mut inside, mut principals) = (document, BTreeSet::new());
        map_principals(&mut inside, &mut |name| {
            // Statement 8: an account by its ID is its root.
            if is_account_id(name) {
                return Some(format!("arn:{partition}:iam::{name}:root"));
            }
            let found = self.named_by(name)?;
            principals.insert(found.id.clone());
            Some(found.id.to_string())
        });
        self.shown(Arc::new(inside), Arc::new(principals), view.now)
    }

    fn shown(&self, inside: Arc<Value>, principals: Arc<BTreeSet<UniqueID>>, written: std::time::Duration) -> Trust {
        let mut shown = (*inside).clone();
        map_principals(&mut shown, &mut |name| {
            let id = principals.get::<UniqueID>(&name.parse().ok()?)?;
            Some(self.living(id)?.arn.to_string())
        });
        Trust { inside, principals, shown: Stored::new(shown), written }
    }

    fn living(&self, id: &UniqueID) -> Option<&Arc<Snapshot<Identity>>> {
        let (account, name) = self.living.get(id)?;
        self.accounts.get(account)?.newest(name)
    }

    /// Statement 1: whether a principal of AWS is known. Unique IDs are not: that is what shows of who is gone (statement 7). Wildcards stand for nobody
    /// (statement 9).
    fn may_be_named(&self, partition: &Partition, name: &str, view: &mut View<'_>) -> bool {
        let is_there =
            |account: &str| account.parse::<AccountID>().ok().and_then(|id| self.accounts.get(&id)).is_some_and(|a| a.partition == *partition);
        if name == "*" {
            return true;
        }
        if is_account_id(name) {
            return is_there(name);
        }
        let Ok(arn) = name.parse::<Arn>() else { return false };
        // Trust never crosses partitions.
        if arn.partition() != partition || !is_there(arn.account()) {
            return false;
        }
        let found = match session_of(&arn) {
            Some(role) => self.role_of(&arn, role),
            None => self.named_by(name),
        };
        arn.is_account_root() || found.is_some_and(|found| view.knows(found.named))
    }

    /// The user or role of this ARN.
    fn named_by(&self, arn: &str) -> Option<&Arc<Snapshot<Identity>>> {
        let arn: Arn = arn.parse().ok()?;
        let entity = arn.iam_entity()?;
        let account = self.accounts.get(&arn.account_id()?)?;
        let identities = match entity.kind {
            "user" => &account.users,
            "role" => &account.roles,
            _ => return None,
        };
        identities.newest(&key(entity.name)).filter(|found| found.arn == arn)
    }

    /// The role that a session is of. As in all ARNs of principals, its name stands as it was given.
    fn role_of(&self, session: &Arn, role: &str) -> Option<&Arc<Snapshot<Identity>>> {
        let account = self.accounts.get(&session.account_id()?)?;
        account.roles.newest(&key(role)).filter(|found| found.name.as_str() == role)
    }

    /// From now on, a user or role has this unique ID, and is called so.
    pub(super) fn is_called(&mut self, id: &UniqueID, account: &AccountID, name: &IdentityName) {
        self.living.insert(id.clone(), (account.clone(), name.clone()));
    }

    /// From now on, nobody has this unique ID.
    pub(super) fn is_gone(&mut self, id: &UniqueID) {
        self.living.remove(id);
    }

    /// Statements 6 and 44: shows a principal in the trust policies of all accounts as it is called now, or by its unique ID where it is gone.
    pub(super) fn show_anew(&mut self, principal: &UniqueID, at: Moment) {
        for (account, role) in self.trusting.get(principal).cloned().unwrap_or_default() {
            let Some(found) = self.accounts.get(&account).and_then(|account| account.newest(&role)).cloned() else { continue };
            let mut identity = (**found).clone();
            let Kind::Role(of_role) = &mut identity.kind else { continue };
            let Trust { inside, principals, written, .. } = of_role.trust.clone();
            of_role.trust = self.shown(inside, principals, written);
            if let Some(account) = self.accounts.get_mut(&account) {
                account.set_identity(at, &role, Some(identity));
            }
        }
    }

    /// Notes which principals a role trusts from now on.
    pub(super) fn note_trust(&mut self, account: &AccountID, role: &IdentityName, before: Option<&Identity>, after: Option<&Identity>) {
        let principals =
            |identity: Option<&Identity>| identity.and_then(Identity::role).map(|role| role.trust.principals.clone()).unwrap_or_default();
        let (before, after) = (principals(before), principals(after));
        for principal in before.difference(&after) {
            if let Some(trusting) = self.trusting.get_mut(principal) {
                trusting.retain(|(of, name)| of != account || !name.as_str().eq_ignore_ascii_case(role.as_str()));
                if trusting.is_empty() {
                    self.trusting.remove(principal);
                }
            }
        }
        for principal in after.difference(&before) {
            self.trusting.entry(principal.clone()).or_default().insert((account.clone(), role.clone()));
        }
    }
}

/// The role that the ARN of a session is of: `arn:...:sts::<account>:assumed-role/<role>/<session>`.
fn session_of(arn: &Arn) -> Option<&str> {
    let rest = arn.resource().strip_prefix("assumed-role/").filter(|_| arn.service() == "sts")?;
    rest.split_once('/').filter(|(_, session)| !session.is_empty()).map(|(role, _)| role)
}

/// Statement 58: whether a service of this name exists in the partition.
fn is_service(partition: &Partition, name: &str) -> bool {
    let own = ENDINGS.iter().filter(|(of, _)| *of == partition.as_str()).map(|(_, ending)| *ending);
    let mut endings = own.chain(["amazonaws.com"]);
    endings.any(|ending| name.strip_suffix(ending).and_then(|rest| rest.strip_suffix('.')).is_some_and(|service| SERVICES.contains(&service)))
}

fn is_account_id(name: &str) -> bool {
    name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// Replaces each principal of AWS for which `change` has something else.
fn map_principals(document: &mut Value, change: &mut dyn FnMut(&str) -> Option<String>) {
    let statements = match document.get_mut("Statement") {
        Some(Value::Array(statements)) => statements.as_mut_slice(),
        Some(statement) => std::slice::from_mut(statement),
        None => return,
    };
    let mut replace = |name: &mut Value| {
        if let Some(other) = name.as_str().and_then(&mut *change) {
            *name = Value::String(other);
        }
    };
    for principals in statements.iter_mut().filter_map(|statement| statement.get_mut("Principal")?.get_mut("AWS")) {
        match principals {
            Value::Array(names) => names.iter_mut().for_each(&mut replace),
            name => replace(name),
        }
    }
}

/// A trust policy as a replica shows it that does not know names yet: with the unique IDs of all that are in it (statement 4).
pub(super) fn nameless(trust: &Trust) -> Arc<Stored> {
    Stored::new((*trust.inside).clone())
}
