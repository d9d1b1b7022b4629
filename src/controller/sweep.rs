//! Sweeps: reading an account in bulk, finding the resources that are not as declared there, and having those reconciled.
//!
//! The cost of a sweep grows with the pages that it reads and not with the resources: what is as declared costs no call of its own. A sweep
//! belongs to the pass over its AWSAccount. The first one of a process comes when a resource asks for it that was made by an earlier process; all others
//! come at the account's interval.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::info;

use super::cluster::kind::Kind;
use super::context::Context;
use super::resolve::{resolve, validate};
use super::state::observation::{Basis, Observation};
use super::state::sweeps::Strangers;
use crate::api::account::{OrphanStatus, ShadowGrantStatus};
use crate::api::{BastionUser, CrossAccountRole, Reason};
use crate::aws::Account;
use crate::core::desired::owner_tag;
use crate::core::failure::Failure;
use crate::core::identity::IdentityName;
use crate::core::names::Arn;
use crate::core::observed::Observed;
use crate::core::placement::ResolvedAccount;
use crate::core::plan::is_settled;
use crate::core::source::{role_identity, user_identity};
use crate::core::subject::Subject;
use crate::core::sweep::Sweep;
use crate::core::world::{ObjectKey, Ref, uid};

/// Reads an account in bulk and looks at each of its resources in the light of that. Returns whom it found that no resource stands for.
///
/// # Errors
/// Where the account could not be read.
pub async fn sweep(context: &Context, at: &ResolvedAccount, account: &Account) -> Result<Strangers, Failure> {
    // What belonged to a resource when the sweep began, or does when it has ended, is no orphan: the one may be deleted meanwhile, the other made.
    let mut owned = owned_in(context, &at.name);
    let began = Instant::now();
    let sweep = account.gateway().sweep().await?;
    let mut look = Look { context, sweep: &sweep, began, changed: 0 };
    let (users, roles) = (users_in(context, &at.name), roles_in(context, &at.name));
    for user in &users {
        look.at(&**user).await;
    }
    for role in &roles {
        look.at(&**role).await;
    }
    users.iter().for_each(|user| context.forget_if_gone(&BastionUser::reference(ObjectKey::of(&**user))));
    roles.iter().for_each(|role| context.forget_if_gone(&CrossAccountRole::reference(ObjectKey::of(&**role))));
    owned.extend(owned_in(context, &at.name));
    let installation = &context.settings.installation;
    let pinned = users.iter().filter_map(|user| user.pinned()).chain(roles.iter().filter_map(|role| role.pinned())).collect();
    let orphans = sweep.orphans(installation, &owned, &pinned);
    let bastion: BTreeSet<Arn> =
        BastionUser::all(&context.stores).iter().filter_map(|user| user.status.as_ref()?.user_arn.as_deref()?.parse().ok()).collect();
    let management_role = at.account.spec.access.assume_role.as_ref().and_then(|role| role.role_arn.parse::<Arn>().ok());
    let shadow_grants = sweep.shadow_grants(installation, &owned, &bastion, management_role.as_ref());
    info!(users = users.len(), roles = roles.len(), changed = look.changed, orphans = orphans.len(), "swept");
    Ok(Strangers {
        orphans: orphans.into_iter().map(|o| OrphanStatus { identity: o.what, id: o.id.to_string(), owner: o.owner }).collect(),
        shadow_grants: shadow_grants.into_iter().map(|g| ShadowGrantStatus { role_name: g.role, principal: g.principal }).collect(),
    })
}

/// Looks at each resource in the light of a sweep.
struct Look<'a> {
    context: &'a Context,
    sweep: &'a Sweep,
    began: Instant,
    /// How many are not as declared, or not to be seen in full.
    changed: usize,
}

impl Look<'_> {
    /// Remembers that a resource is as declared, or has it reconciled after a direct read. What cannot be resolved now, or is being deleted, has passes
    /// of its own.
    async fn at<K: Kind + Subject>(&mut self, object: &K) {
        let of = K::reference(ObjectKey::of(object));
        let memory = &self.context.memory;
        if object.meta().deletion_timestamp.is_some() || !object.is_finalized() || memory.is_newer_than(&of, self.began) {
            return;
        }
        let known = memory.observation(&of);
        let Ok(resolved) = resolve(object, self.context).await else { return };
        let Ok(desired) = validate(object, self.context, &resolved) else { return };
        if desired.pinned.is_none() && known.is_none() {
            // Whoever had its name may have gone.
            let shown = self.sweep.of(&desired.identity.name, &desired.known_policies(), None);
            if object.says(&[Reason::Conflict]) && shown.is_some_and(|seen| seen.identity.is_none()) {
                self.context.wake(&of);
            }
            return;
        }
        let principal_ids = desired.principal_ids();
        match self.sweep.of(&desired.identity.name, &desired.known_policies(), known.as_ref().map(|known| &known.observed)) {
            Some(observed) if is_settled(&desired, &observed) && known.as_ref().is_none_or(|known| known.has_same_principals(&principal_ids)) => {
                // There is nothing to do, but something to tell.
                let is_first = known.is_none();
                let facts = |seen: &Observed| object.facts(&self.context.world(), &resolved.at, &desired, seen);
                let is_news = known.is_some_and(|known| known.observed != observed && facts(&known.observed) != facts(&observed));
                // Another process may have told last what it knew, which is outdated.
                let is_news = is_news || !was_ready(object);
                let seen = Observation { uid: uid(object), arn: desired.arn, observed, principal_ids, read_at: self.began, basis: Basis::Swept };
                memory.keep_swept(&of, self.began, seen);
                if let (true, Ref::Role(key)) = (is_first, &of) {
                    self.context.proven(key);
                }
                if is_news {
                    self.context.wake(&of);
                }
            }
            shown => {
                let was_settled = match &known {
                    Some(known) => known.is_believed() && is_settled(&desired, &known.observed),
                    None => was_ready(object),
                };
                self.changed += 1;
                memory.doubt(&of, self.began, was_settled && shown.is_some());
                self.context.wake(&of);
            }
        }
    }
}

fn was_ready<K: Kind + Subject>(object: &K) -> bool {
    object.ready().is_some_and(|ready| ready.status == "True" && Some(ready.observed_generation) == object.meta().generation)
}

fn users_in(context: &Context, account: &str) -> Vec<Arc<BastionUser>> {
    placed_in(context, account)
}

fn roles_in(context: &Context, account: &str) -> Vec<Arc<CrossAccountRole>> {
    placed_in(context, account)
}

fn placed_in<K: Kind>(context: &Context, account: &str) -> Vec<Arc<K>> {
    K::all(&context.stores).into_iter().filter(|object| object.account_name() == account).collect()
}

/// The users and roles of an account.
pub fn resources_of(context: &Context, account: &str) -> Vec<Ref> {
    let (users, roles) = (users_in(context, account), roles_in(context, account));
    let users = users.iter().map(|user| BastionUser::reference(ObjectKey::of(&**user)));
    users.chain(roles.iter().map(|role| CrossAccountRole::reference(ObjectKey::of(&**role)))).collect()
}

/// What each resource of an account stands for in IAM, by `kind/namespace/name`.
fn owned_in(context: &Context, account: &str) -> BTreeSet<(String, IdentityName)> {
    let (users, roles) = (users_in(context, account), roles_in(context, account));
    let users = users.iter().filter_map(|user| Some((owner_tag(&**user), IdentityName::User(user_identity(user).ok()?.0))));
    let roles = roles.iter().filter_map(|role| Some((owner_tag(&**role), IdentityName::Role(role_identity(role).ok()?.0))));
    users.chain(roles).collect()
}
