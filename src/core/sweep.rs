//! One bulk read of an account, and what it says of each resource.
//!
//! A sweep only ever tells where to look. What it does not show may be late or cut short, so nothing is written, made anew or deleted on
//! its word: the resource that it finds changed is read directly first.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::assume::attached;
use super::document::{Document, StatementRef};
use super::identity::{Identity, IdentityName};
use super::names::{AccountID, Arn, UniqueID, same_name};
use super::observed::{Observed, ObservedIdentity, ObservedPolicy};
use super::ownership::{INSTALLATION, OWNER, Tags};

/// The users, roles and customer-managed policies of an account.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// By kind and name, in lower case: IAM knows names without regard to case.
    identities: HashMap<(&'static str, String), ObservedIdentity>,
    /// Of those that are no resource's to compare with.
    outlines: Vec<Outline>,
    /// Without their tags, which no bulk read shows (IAM API reference, GetAccountAuthorizationDetails).
    policies: BTreeMap<Arn, ObservedPolicy>,
}

/// What telling whose a user or role is, and whom it lets in, takes. It is there also of what Rolebridge would not make, as in a path with
/// characters of its own: a side door stands as open there.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    /// Kind and name.
    pub name: IdentityName,
    /// Its unique ID.
    pub id: UniqueID,
    /// Its tags.
    pub tags: Tags,
    /// Whom a role lets in; None for a user.
    pub trust_policy: Option<Document>,
}

impl Outline {
    fn of(found: &ObservedIdentity) -> Self {
        let Identity { name, tags, role, .. } = &found.identity;
        let trust_policy = role.as_ref().map(|role| role.trust_policy.clone());
        Self { name: name.clone(), id: found.id.clone(), tags: tags.clone(), trust_policy }
    }
}

/// An object in AWS that carries the tags of this installation and belongs to no resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Orphan {
    /// `user name` or `role name`.
    pub what: String,
    /// Its unique ID.
    pub id: UniqueID,
    /// The resource that its tags name.
    pub owner: String,
}

/// A role that lets in somebody of a bastion account and that no resource stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShadowGrant {
    /// Name of the role.
    pub role: String,
    /// The principal that its trust policy names, or that nobody can tell whom it lets in.
    pub principal: String,
}

/// What is told in the place of a principal where a trust policy cannot be read, or lets in everybody but those whom it names.
const UNKNOWN: &str = "perhaps anybody: its trust policy has a form that cannot be told";

/// Whether nobody can tell from a trust policy whom it lets in: it counts as letting in everybody.
fn may_let_in_anybody(policy: &Document) -> bool {
    !policy.is_understood() || !policy.allowing().all(StatementRef::has_principal)
}

fn key(name: &IdentityName) -> (&'static str, String) {
    (name.kind(), name.as_str().to_ascii_lowercase())
}

impl Sweep {
    /// A sweep that showed these.
    pub fn new(identities: impl IntoIterator<Item = ObservedIdentity>, policies: impl IntoIterator<Item = ObservedPolicy>) -> Self {
        Self {
            identities: identities.into_iter().map(|found| (key(&found.identity.name), found)).collect(),
            policies: policies.into_iter().map(|found| (found.policy.arn.clone(), found)).collect(),
            outlines: vec![],
        }
    }

    /// Adds users and roles that no resource is compared with.
    #[must_use]
    pub fn with_outlines(self, outlines: Vec<Outline>) -> Self {
        Self { outlines, ..self }
    }

    fn all(&self) -> impl Iterator<Item = Outline> {
        self.identities.values().map(Outline::of).chain(self.outlines.iter().cloned())
    }

    /// What the sweep shows of a resource. `before` is what was last known of it: a policy keeps its tags as long as it is the same policy, and one of others
    /// that was read goes on to be known as long as it only denies.
    /// None where only a direct read can tell. A user's assume policies that are attached are shown unasked.
    pub fn of(&self, name: &IdentityName, policies: &BTreeSet<Arn>, before: Option<&Observed>) -> Option<Observed> {
        let tagged = |arn: &Arn| {
            let found = self.policies.get(arn)?;
            let known = before.and_then(|before| before.policies.get(arn)).filter(|known| known.id == found.id).map(|known| &known.policy);
            let mut found = found.clone();
            let known = known?;
            // IAM never changes a description, and the lists of policies omit it.
            (found.policy.tags, found.policy.description) = (known.tags.clone(), known.description.clone());
            Some((arn.clone(), found))
        };
        let identity = self.identities.get(&key(name));
        let shards = identity.into_iter().flat_map(|found| attached(&found.identity));
        let asked: BTreeSet<&Arn> = policies.iter().chain(shards).filter(|arn| self.policies.contains_key(*arn)).collect();
        let policies = asked.into_iter().map(tagged).collect::<Option<_>>()?;
        // Tags tell whose a policy is, and AWS's own are in no bulk read.
        let still_denies = |arn: &Arn| self.policies.get(arn).is_none_or(|found| found.policy.document.all_statements_deny());
        let is_attached = |arn: &Arn| identity.is_some_and(|found| found.identity.attached_policies.contains(arn));
        let known = before.into_iter().flat_map(|before| &before.restricting);
        let restricting = known.filter(|(arn, _)| is_attached(arn) && still_denies(arn)).map(|(arn, denies)| (arn.clone(), *denies)).collect();
        Some(Observed { identity: identity.cloned(), policies, restricting })
    }

    /// The users and roles that carry the tags of this installation and are not what the resource that the tags name stands for. `owned` has
    /// what each resource of the account stands for, by `kind/namespace/name`; more than once where that was so at different times. What has a unique ID of
    /// `pinned` was made for one, by whatever name.
    pub fn orphans(&self, installation: &str, owned: &BTreeSet<(String, IdentityName)>, pinned: &BTreeSet<UniqueID>) -> BTreeSet<Orphan> {
        let stands_for = Standing::new(installation, owned);
        let orphan = |found: Outline| {
            let owner = stands_for.owner_of(&found).filter(|_| !pinned.contains(&found.id))?;
            (!stands_for.a_resource(&found)).then(|| Orphan { what: found.name.to_string(), id: found.id.clone(), owner: owner.into() })
        };
        self.all().filter_map(orphan).collect()
    }

    /// The roles that let in one of `users`, or the whole of an account that has one, or everybody, or nobody can tell whom, and are not what a resource stands
    /// for. `except` is
    /// the management role; `owned` is as in [`Sweep::orphans`].
    pub fn shadow_grants(
        &self,
        installation: &str,
        owned: &BTreeSet<(String, IdentityName)>,
        users: &BTreeSet<Arn>,
        except: Option<&Arn>,
    ) -> BTreeSet<ShadowGrant> {
        let stands_for = Standing::new(installation, owned);
        let accounts: BTreeSet<AccountID> = users.iter().filter_map(Arn::account_id).collect();
        let roots = users.iter().filter_map(|user| Some(Arn::account_root(user.partition(), &user.account_id()?)));
        let principals: BTreeSet<String> =
            users.iter().map(Arn::to_string).chain(roots.map(|root| root.to_string())).chain(accounts.iter().map(AccountID::to_string)).collect();
        let is_let_in = |principal: &str| principals.contains(principal) || (principal == "*" && !users.is_empty());
        let is_exempt = |name: &IdentityName| {
            except.and_then(Arn::iam_entity).is_some_and(|entity| entity.kind == name.kind() && same_name(entity.name, name.as_str()))
        };
        self.all()
            .filter(|found| !stands_for.a_resource(found) && !is_exempt(&found.name))
            .flat_map(|found| {
                let trusted = found.trust_policy.iter().flat_map(Document::allowed_aws_principals).filter(|principal| is_let_in(principal));
                let unknown = found.trust_policy.iter().filter(|policy| !users.is_empty() && may_let_in_anybody(policy)).map(|_| UNKNOWN);
                let grant = |principal: &str| ShadowGrant { role: found.name.as_str().into(), principal: principal.into() };
                trusted.chain(unknown).map(grant).collect::<Vec<_>>()
            })
            .collect()
    }
}

/// Which objects in AWS stand for a resource.
struct Standing<'a> {
    installation: &'a str,
    owned: HashSet<(&'a str, (&'static str, String))>,
}

impl<'a> Standing<'a> {
    fn new(installation: &'a str, owned: &'a BTreeSet<(String, IdentityName)>) -> Self {
        Self { installation, owned: owned.iter().map(|(resource, name)| (resource.as_str(), key(name))).collect() }
    }

    /// The resource that the tags name, where they are of this installation.
    fn owner_of<'f>(&self, found: &'f Outline) -> Option<&'f str> {
        tag(&found.tags, OWNER).filter(|_| tag(&found.tags, INSTALLATION) == Some(self.installation))
    }

    fn a_resource(&self, found: &Outline) -> bool {
        self.owner_of(found).is_some_and(|owner| self.owned.contains(&(owner, key(&found.name))))
    }
}

fn tag<'t>(tags: &'t Tags, key: &str) -> Option<&'t str> {
    tags.iter().find(|(k, _)| same_name(k, key)).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests;
