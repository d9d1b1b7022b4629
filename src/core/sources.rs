//! The sources of a role, each with the way in that the trust policy is to have for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::assume::{SessionRights, TagRight};
use super::callers::{Caller, names_pods};
use super::grants::{Grant, Intent, Relation, Terms, is_within_reach, out_of_reach, relation, told_name, unready};
use super::guardrails::Guard;
use super::listed::{is_cut, may_hide_replaced};
use super::names::Arn;
use super::naming::{is_selected, key_in, namespaces_selected, searched};
use super::outcome::Problem;
use super::placement::{ResolvedAccount, check_namespace, resolve_account};
use super::pod_target::with_external_ids;
use super::require::{conditions, session_rights, with_tags_bounded};
use super::services::providers_as_services;
use super::source::{SourceObject, parse};
use super::transitive_tags::{comes_with_tags, with_pod_tags};
use super::trust::{Conditions, Principal, Trust, TrustRule};
use super::world::{ObjectKey, SourceKey, World};
use rolebridge_api::role::{GrantState, GrantStatus};
use rolebridge_api::trust::{PrincipalForm, Source, TrustEntry};
use rolebridge_api::{AWSAccount, BastionUser, Condition, CrossAccountRole, Managed, Reason};

mod service;
mod web_identity;

/// Sources that come in as one of many and are looked at one by one, at most: no trust policy has room for the names of as many.
const MOST_BY_NAME: usize = 1000;

/// The sources of a role, entry by entry: one for each grant that it asks for.
pub struct Sources<'a> {
    world: &'a dyn World,
    role: &'a CrossAccountRole,
    entries: Vec<Vec<Meant<'a>>>,
}

impl<'a> Sources<'a> {
    /// Those that a role names or selects. No grant is built yet.
    pub fn of(world: &'a dyn World, role: &'a CrossAccountRole) -> Self {
        Self { world, role, entries: meant(world, role) }
    }

    /// How many grants the role asks for: one for each source in each entry of its trust.
    pub fn count(&self) -> usize {
        self.entries.iter().map(Vec::len).sum()
    }

    /// The grants, entry by entry, as they stand.
    pub fn grants(&self, at: &ResolvedAccount) -> Vec<Vec<Grant>> {
        self.grants_that(at, |_, _| true)
    }

    /// The grants of those that come in by one of these trust policies, and principals of others that did: all that matters where nobody is added. However
    /// many there are declared, those who come in together are kept only as far as it makes a difference.
    pub fn standing(&self, at: &ResolvedAccount, shown: &[Trust]) -> Vec<Vec<Grant>> {
        let principals = || shown.iter().flat_map(|trust| trust.rules.iter().map(|rule| &rule.principal).chain(&trust.denied));
        let names: BTreeSet<&str> = principals().map(Principal::as_str).collect();
        let many: Vec<&Principal> = principals().filter(|principal| principal.is_account() || principal.as_str() == "*").collect();
        let is_shown = |name: &str| names.contains(name);
        let mut by_name = 0;
        // Thousands may come in by the root of their account: one of them says in each entry what all say.
        let mut roots = BTreeSet::new();
        let stands = |index: usize, grant: &Grant| {
            // What only the status remembers stays in it.
            let is_remembered = grant.may_be_replaced || matches!(grant.reported, Some(GrantState::Replaced | GrantState::Granted));
            let is_itself = is_remembered
                || grant.source_id.as_deref().is_some_and(is_shown)
                || grant.own_name.as_ref().is_some_and(|name| is_shown(name.as_str()));
            let Some(rule) = grant.rule.as_ref().filter(|_| grant.intent != Intent::Revoke) else { return is_itself };
            if is_itself || is_shown(rule.principal.as_str()) {
                return is_itself || !rule.principal.is_account() || roots.insert((index, rule.clone()));
            }
            let is_one_of_many = many.iter().any(|many| many.includes(&rule.principal));
            by_name += usize::from(is_one_of_many);
            is_one_of_many && by_name <= MOST_BY_NAME
        };
        self.grants_that(at, stands)
    }

    /// The grants for which this holds, given the number of their entry.
    fn grants_that(&self, at: &ResolvedAccount, mut holds: impl FnMut(usize, &Grant) -> bool) -> Vec<Vec<Grant>> {
        let mut of_entry = |(index, meant): (usize, &Vec<Meant<'_>>)| {
            grants_of_entry(self.world, self.role, at, index, meant).filter(|grant| holds(index, grant)).collect()
        };
        self.entries.iter().enumerate().map(&mut of_entry).collect()
    }
}

/// A source that an entry means.
enum Meant<'a> {
    /// The entry names it.
    Named(&'a Source),
    /// A selector of the entry meets it.
    Selected(Arc<BastionUser>),
}

/// What each entry of a role's trust means. A user that several selectors meet is meant once by all entries that ask the same of it.
fn meant<'a>(world: &dyn World, role: &'a CrossAccountRole) -> Vec<Vec<Meant<'a>>> {
    let labels = world.namespace_labels(role.metadata.namespace.as_deref().unwrap_or_default());
    // A selector asks for nobody by name, so it is no mistake that it meets somebody who does not want to be named, or is about to go.
    let reachable = |namespace: &str| {
        let mut users = world.users_in(namespace);
        users.retain(|user| is_within_reach(world, role, labels.as_ref(), SourceObject::User(user)));
        users
    };
    let users: BTreeMap<String, Vec<Arc<BastionUser>>> = namespaces_selected(role).into_iter().map(|name| (name.clone(), reachable(&name))).collect();
    let asks_same = |a: &TrustEntry, b: &TrustEntry| a.principal == b.principal && a.require == b.require;
    let mut met: Vec<(&TrustEntry, BTreeSet<*const BastionUser>)> = vec![];
    let mut meant_by = |entry: &'a TrustEntry| {
        let place = met.iter().position(|(other, _)| asks_same(other, entry)).unwrap_or_else(|| {
            met.push((entry, BTreeSet::new()));
            met.len() - 1
        });
        let mut meant = vec![];
        for source in &entry.from {
            let Source::Users(selector) = source else {
                meant.push(Meant::Named(source));
                continue;
            };
            let looked_at = searched(role, selector).into_iter().filter_map(|namespace| users.get(namespace)).flatten();
            let selected = looked_at.filter(|user| is_selected(role, selector, user)).filter(|user| met[place].1.insert(Arc::as_ptr(user)));
            meant.extend(selected.cloned().map(Meant::Selected));
        }
        meant
    };
    role.spec.trust.iter().map(&mut meant_by).collect()
}

/// The grants of what an entry means.
fn grants_of_entry<'a>(
    world: &'a dyn World,
    role: &'a CrossAccountRole,
    at: &'a ResolvedAccount,
    index: usize,
    meant: &'a [Meant<'a>],
) -> impl Iterator<Item = Grant> {
    let entry = role.spec.trust.get(index);
    let terms = entry.map_or(Terms { form: PrincipalForm::Named, has_mfa: false }, Terms::of);
    let require = entry.and_then(|entry| entry.require.as_ref());
    let required = entry.map_or_else(|| Ok(Conditions::default()), |entry| required(index, entry));
    let problem = required.as_ref().err().and_then(|problems| problems.first().cloned());
    let trusting =
        Trusting { world, role, at, terms, rights: session_rights(require), names_pods: names_pods(require), required: required.unwrap_or_default() };
    let tags_bounded = match problem {
        None => with_tags_bounded(require, trusting.required.clone()),
        Some(_) => trusting.required.clone(),
    };
    let tags_bounded = Trusting { required: tags_bounded, ..trusting.clone() };
    let chained = Trusting {
        rights: trusting.rights.or(SessionRights { tag: TagRight::Pods, ..SessionRights::default() }),
        required: with_pod_tags(require, tags_bounded.required.clone()),
        ..trusting.clone()
    };
    let grant = move |meant: &Meant<'_>| match meant {
        Meant::Selected(user) => tags_bounded.resource(SourceObject::User(user)),
        // EKS sets tags of its own beside those that are required.
        Meant::Named(source) if caller(source) == Caller::Pods => trusting.source(source),
        Meant::Named(source) if comes_with_tags(world, role, source) => chained.source(source),
        Meant::Named(source) => {
            let required = with_external_ids(world, role, require, source, tags_bounded.required.clone());
            Trusting { required, ..tags_bounded.clone() }.source(source)
        }
    };
    // Of an entry that cannot be understood nothing is added, and nothing is taken away.
    let frozen = move |grant: Grant| match &problem {
        Some(problem) if grant.intent == Intent::Grant => {
            Grant { intent: Intent::Freeze, problem: Some(problem.clone()), is_understood: false, ..grant }
        }
        problem => Grant { is_understood: problem.is_none(), ..grant },
    };
    meant.iter().map(grant).map(frozen)
}

/// All that is wrong with what the trust of a role requires.
pub fn trust_problems(role: &CrossAccountRole) -> Vec<Problem> {
    role.spec.trust.iter().enumerate().filter_map(|(index, entry)| required(index, entry).err()).flatten().collect()
}

fn required(index: usize, entry: &TrustEntry) -> Result<Conditions, Vec<Problem>> {
    let callers: Vec<Caller> = entry.from.iter().map(caller).collect();
    let mut problems = vec![];
    if entry.principal == PrincipalForm::AccountRoot && !callers.iter().all(|caller| caller.is_of_aws()) {
        let message = format!(
            "spec.trust[{index}].principal: services and tokens have no account whose root could be named: put those sources into an entry of their own"
        );
        problems.push(Problem::new(Reason::InvalidSpec, message));
    }
    problems.extend(providers_as_services(index, entry));
    let required = match &entry.require {
        Some(require) => conditions(&format!("spec.trust[{index}].require"), require, &callers),
        None => Ok(Conditions::default()),
    };
    match (required, problems.is_empty()) {
        (Ok(required), true) => Ok(required),
        (required, _) => Err(problems.into_iter().chain(required.err().unwrap_or_default()).collect()),
    }
}

fn caller(source: &Source) -> Caller {
    match source {
        Source::Role(_) => Caller::Role,
        Source::AwsPrincipal(arn) if is_role(arn) => Caller::Role,
        Source::User(_) | Source::Users(_) | Source::Account(_) | Source::AwsPrincipal(_) => Caller::Person,
        source => Caller::without_credentials(source),
    }
}

/// What a rule of the role's account has against a principal that nobody here manages.
fn guard_principal(arn: &Arn, terms: Terms, at: &ResolvedAccount) -> Option<Problem> {
    let guard = Guard::of(at);
    let is_root = arn.is_account_root() || terms.form == PrincipalForm::AccountRoot;
    let person = || if is_role(arn.as_str()) { guard.foreign_role() } else { guard.person(terms.has_mfa) };
    guard.principal(arn).or_else(|| if is_root { guard.account_root() } else { None }).or_else(person)
}

fn is_role(arn: &str) -> bool {
    arn.contains(":role/") || arn.contains(":assumed-role/")
}

/// Why a source is not ready, as the roles that name it tell it. Of one that waits for sources itself that alone is told: the reasons of a chain would
/// stand in every link of it, and those of a circle would grow for ever.
pub fn why_not_ready(ready: &Condition) -> Option<String> {
    let is_waiting = ready.reason == Reason::SourceNotReady.as_str();
    let message = if is_waiting { "it waits for a source of its own, see its status" } else { ready.message.as_str() };
    (ready.status == "False").then(|| format!("{}: {message}", ready.reason))
}

fn not_ready(world: &dyn World, namespace: &str, source: SourceObject<'_>) -> Problem {
    unready(namespace, &source.key(), || lacks(world, source))
}

/// What a source lacks to be ready.
fn lacks(world: &dyn World, source: SourceObject<'_>) -> String {
    let why = source.ready().and_then(why_not_ready).map(|why| format!(" ({why})"));
    let what = match source.reported_arn() {
        Some(arn) if source.is_lost(world) => format!("does not own {arn} now"),
        Some(arn) if source.unique_id(world).is_none() => {
            format!("may not own {arn} any more: it could not be read")
        }
        _ => "is not in AWS yet".into(),
    };
    format!("{} {what}{}", told_name(&source.key()), why.unwrap_or_default())
}

/// A role that trusts the sources of one entry.
#[derive(Clone)]
struct Trusting<'a> {
    world: &'a dyn World,
    role: &'a CrossAccountRole,
    at: &'a ResolvedAccount,
    terms: Terms,
    rights: SessionRights,
    /// Whether pods are told apart by what is required.
    names_pods: bool,
    required: Conditions,
}

impl Trusting<'_> {
    /// The grant of a source that an entry names.
    fn source(&self, source: &Source) -> Grant {
        let Self { world, role, .. } = *self;
        let namespace = self.namespace();
        match source {
            Source::User(named) => {
                let key = key_in(role, named.namespace.as_deref(), &named.name);
                world.user(&key).map_or_else(|| missing(namespace, SourceKey::User(key)), |user| self.resource(SourceObject::User(&user)))
            }
            Source::Role(named) => {
                let key = key_in(role, named.namespace.as_deref(), &named.name);
                world.role(&key).map_or_else(|| missing(namespace, SourceKey::Role(key)), |source| self.resource(SourceObject::Role(&source)))
            }
            Source::Account(name) => self.account(name),
            Source::AwsPrincipal(arn) => self.aws_principal(arn),
            Source::Service(service) => self.service(service),
            Source::ServiceAccount(source) => self.service_account(source),
            Source::PodIdentity(source) => self.pod_identity(source),
            Source::GithubActions(source) => self.github_actions(source),
            Source::Pipeline(source) => self.pipeline(source),
            Source::Oidc(source) => self.oidc(source),
            Source::Saml(source) => self.saml(source),
            Source::CognitoIdentityPool(source) => self.cognito_identity_pool(source),
            // What a selector meets makes grants of its own.
            Source::Users(_) => Grant::absent("users".into(), Problem::new(Reason::SourceNotFound, "spec.trust: nobody is selected")),
        }
    }

    fn namespace(&self) -> &str {
        self.role.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// What the status of the role tells of a source; several, where it stands in several entries.
    fn reported(&self, source: &str) -> Vec<&GrantStatus> {
        self.role.status().into_iter().flat_map(|status| &status.grants).filter(|grant| grant.source == source).collect()
    }

    /// Whether the status of the role had no room for all sources, so that what it does not tell may have been all the same.
    fn tells_not_all(&self) -> bool {
        self.role.status().is_some_and(|status| is_cut(status.grants.len(), status.grants_total))
    }

    fn rule(&self, principal: Principal, action: &str, conditions: Conditions) -> TrustRule {
        TrustRule { principal, actions: self.rights.actions().into_iter().chain([action]).map(str::to_owned).collect(), conditions }
    }

    /// A user or role of ours.
    fn resource(&self, source: SourceObject<'_>) -> Grant {
        let Self { world, role, at, terms, .. } = *self;
        let (key, form) = (source.key(), terms.form);
        let Relation { mut intent, mut problem, source_at } = relation(world, role, at, terms, source);
        // Where its account is not to be found, its status says what the trust policy names.
        let reported = || source.reported_arn().filter(|_| intent == Intent::Freeze);
        let arn = source_at.as_ref().and_then(|at| source.declared_arn(at)).or_else(reported);
        let own_name = arn.as_ref().map(|arn| Principal::named(arn.as_str(), &at.id));
        let principal = arn.and_then(|arn| match form {
            PrincipalForm::Named => Some(arn),
            PrincipalForm::AccountRoot => Some(Arn::account_root(arn.partition(), &arn.account_id()?)),
        });
        let source_id = source.unique_id(world);
        if intent != Intent::Revoke && form == PrincipalForm::Named && source.is_another(world) {
            // IAM shows the unique ID of who is gone (IAM user guide, "Principal"): the name in a trust policy means whoever bears it now.
            intent = Intent::Revoke;
            problem = problem.or_else(|| Some(not_ready(world, self.namespace(), source)));
        } else if intent == Intent::Grant && source_id.is_none() {
            // IAM refuses a principal that does not exist. One that is there already is the same identity, of which we merely do not know yet.
            if form == PrincipalForm::Named {
                intent = Intent::Freeze;
            }
            problem = Some(not_ready(world, self.namespace(), source));
        } else if intent == Intent::Grant {
            if source.is_held() {
                // This half alone may let it in, and nothing is added to what breaks a rule. What stands goes on, and is no problem of the role's.
                intent = Intent::Freeze;
                let stands = self.reported(&key.to_string()).iter().any(|grant| grant.state == GrantState::Granted);
                problem = (!stands).then(|| {
                    unready(self.namespace(), &key, || {
                        let why = source.ready().and_then(why_not_ready).map(|why| format!(" ({why})")).unwrap_or_default();
                        format!("{} breaks a rule of its account, and nothing is added to it{why}", told_name(&key))
                    })
                });
            }
            if !source.allows_role(world, &ObjectKey::of(role)) {
                let message = format!("the assume policy of {} does not have the role yet", told_name(&key));
                problem = Some(Problem::new(Reason::SourceNotReady, message));
            }
        }
        let rule = principal.map(|arn| self.rule(Principal::named(arn.as_str(), &at.id), "sts:AssumeRole", self.required.clone()));
        let source = key.to_string();
        let was_named = rule.as_ref().is_some_and(|rule| match self.reported(&source).as_slice() {
            [] => self.tells_not_all(),
            reported => reported.iter().any(|grant| grant.principal.as_deref() == Some(rule.principal.as_str())),
        });
        let own_name = own_name.filter(|_| form == PrincipalForm::AccountRoot && source_id.is_some());
        Grant { intent, problem, key: Some(key), was_named, source_id, own_name, ..Grant::new(source, rule) }
    }

    /// The whole of an account that is known here.
    fn account(&self, name: &str) -> Grant {
        let source = format!("{}/{name}", AWSAccount::KIND);
        let Ok(trusted) = resolve_account(self.world, name) else {
            let message = format!("spec.trust: there is no usable AWSAccount {name}: create it, or take it out");
            return Grant::absent(source, Problem::new(Reason::SourceNotFound, message));
        };
        let arn = Arn::account_root(&trusted.partition, &trusted.id);
        let guard = Guard::of(self.at);
        self.unmanaged(source, &format!("AWSAccount {name}"), &arn, guard.account_root().or_else(|| guard.person(self.terms.has_mfa)))
    }

    /// A principal that nobody here manages.
    fn aws_principal(&self, text: &str) -> Grant {
        let arn: Arn = match parse("spec.trust: awsPrincipal", text) {
            Ok(arn) => arn,
            Err(problem) => return Grant::absent(text.into(), problem),
        };
        let guarded = guard_principal(&arn, self.terms, self.at);
        let arn = match arn.account_id().filter(|_| self.terms.form == PrincipalForm::AccountRoot) {
            Some(account) => Arn::account_root(arn.partition(), &account),
            None => arn,
        };
        let grant = self.unmanaged(text.into(), text, &arn, guarded);
        let Some(principal) = grant.rule.as_ref().map(|rule| &rule.principal) else { return grant };
        if principal.is_account() {
            // Whoever is in it, an account is the same.
            return grant;
        }
        // The same text may stand in an entry that trusts the root of its account.
        let reported = self.reported(text).into_iter().filter(|grant| grant.principal.as_deref().is_none_or(|named| named == principal.as_str()));
        let states: Vec<GrantState> = reported.map(|grant| grant.state).collect();
        let worst = [GrantState::Replaced, GrantState::Granted].into_iter().find(|state| states.contains(state));
        let is_reported = !states.is_empty();
        let worst = worst.unwrap_or(if is_reported || !self.tells_not_all() { GrantState::Waiting } else { GrantState::Granted });
        Grant { reported: Some(worst), may_be_replaced: !is_reported && self.role.status().is_some_and(may_hide_replaced), ..grant }
    }

    fn unmanaged(&self, source: String, name: &str, arn: &Arn, guarded: Option<Problem>) -> Grant {
        if *arn.partition() != self.at.partition {
            let (there, here) = (arn.partition(), &self.at.partition);
            let message = format!("{name} is in partition {there} and the role in {here}: no trust is possible between them");
            return Grant::absent(source, Problem::new(Reason::PartitionMismatch, message));
        }
        self.unless(guarded, source, self.rule(Principal::named(arn.as_str(), &self.at.id), "sts:AssumeRole", self.required.clone()))
    }

    /// A grant that stands unless something is in its way, or the role itself may not be where it is: then it is frozen, or ends where the account wants that.
    fn unless(&self, guarded: Option<Problem>, source: String, rule: TrustRule) -> Grant {
        let problem =
            guarded.or_else(|| check_namespace(self.world, self.at, self.namespace(), SourceObject::Role(self.role).is_placed(self.world)).err());
        Grant { intent: Intent::given(problem.as_ref(), self.at), problem, ..Grant::new(source, Some(rule)) }
    }

    /// A service or a token: its half of the grant is whatever makes AWS or the provider vouch for it. `own` are the conditions that say who it is.
    fn token(&self, source: String, principal: Principal, action: &str, own: &Conditions) -> Grant {
        let conditions = match self.required.with_those_of(own) {
            Ok(conditions) => conditions,
            Err(key) => {
                let (required, set) = (self.required.told_of(&key), own.told_of(&key));
                let message = format!(
                    "spec.trust: what is required beside {source} can never hold for it: require asks for {required}, and the source itself says {set}. Leave that key \
                     out of require, or put the source into an entry of its own"
                );
                return Grant::absent(source, Problem::new(Reason::InvalidSpec, message));
            }
        };
        // Whom a service acts for is required by the entry, and is part of who it is all the same (IAM user guide, "Cross-service confused deputy prevention").
        let guard = Guard::of(self.at);
        let guarded = match &principal {
            Principal::Service(service) => guard.service(service),
            // The others, which have no ARN, are looked at by the pool.
            Principal::Federated(provider) if provider.starts_with("arn:") => guard.provider(provider),
            Principal::Federated(_) => None,
            Principal::AWS(_) | Principal::OwnAccount(_) => None,
        };
        let acts_for = conditions.on(&["aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid", "aws:sourceorgpaths"]);
        let identity = own.and(&acts_for).unwrap_or(acts_for);
        Grant { identity, ..self.unless(guarded, source, self.rule(principal, action, conditions)) }
    }

    fn elsewhere(&self, provider: &str) -> Option<Problem> {
        let arn: Arn = match parse("spec.trust: provider", provider) {
            Ok(arn) => arn,
            Err(problem) => return Some(problem),
        };
        let ResolvedAccount { id, partition, .. } = self.at;
        let is_in_partition = arn.partition() == partition;
        let there = if is_in_partition { format!("account {id}") } else { format!("partition {partition}") };
        (!is_in_partition || arn.account() != id.as_str()).then(|| {
            let right = format!("arn:{partition}:iam::{id}:{}", arn.resource());
            let message = format!("spec.trust: {provider} is not in {there} of the role: make the provider in account {id}, and write {right}");
            Problem::new(Reason::InvalidSpec, message)
        })
    }
}

fn missing(namespace: &str, key: SourceKey) -> Grant {
    let message = format!("there is no {}: create it, or take it out of spec.trust", told_name(&key));
    Grant::absent(key.to_string(), out_of_reach(namespace, &key, message))
}
