//! What must hold once nothing breaks any more.
//!
//! | what must hold | how it is told |
//! |---|---|
//! | convergence | what can be Ready is, and what is Ready is in AWS as declared; what is deleted goes |
//! | L1, L3 | nothing is left without its resource; nobody may assume what is not declared, and no right to a role is left that is not the resource's own |
//! | guardrails | what breaks a rule is not Ready, and cut off where its account wants that; the boundary that an account puts on all is on all |
//! | quiet | over three sweeps there is no write, and no read but the sweeps' and those of what is not Ready |
//! | L6 | an operator that knows nothing finds nothing to do |

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::ResourceExt;
use rolebridge::api::permissions::Permissions;
use rolebridge::api::trust::{Source, TrustEntry};
use rolebridge::api::{Condition, CrossAccountRole, Managed};
use serde_json::Value;

use crate::acts::{Act, Others};
use crate::aws_state::{AccountState, State as AWSState, account, find, identities, in_force, items, statements, text, unique_id};
use crate::checker::{Checker, Violation};
use crate::determinism::simulated;
use crate::people::ACCOUNTS;
use crate::resources::{Key, Resources, key};
use crate::run::{INSTALLATION, Run};
use crate::schedule::{Schedule, Step, Strikes};
use crate::world::Calls;

mod drift;
mod rules;

/// Sweeps that are to find nothing.
const SWEEPS: u32 = 3;

/// Reasons that may come of what happened to a resource, and not of what is declared and there now.
const OF_THE_PAST: [&str; 7] =
    ["Conflict", "DeletionBlocked", "IdentityChanged", "NamespaceQuotaExceeded", "PolicyNotAttachable", "PrincipalReplaced", "SourceNotReady"];

/// L6: what is not Ready, although nothing that happened to it explains that, is not Ready either where the same is declared and nothing ever happened.
fn compare(run: &Run, when: &str) {
    let (suspects, schedule) = {
        let state = run.world().lock();
        let unready = |(key, told): (&Key, Option<(&str, &str)>)| {
            told.filter(|(status, reason)| *status != "True" && !OF_THE_PAST.contains(reason)).map(|(_, reason)| (key.clone(), reason.to_owned()))
        };
        let suspects: Vec<(Key, String)> = staying(&state.checker.resources).filter_map(unready).collect();
        if suspects.is_empty() {
            return;
        }
        (suspects, uneventful(run.schedule(), &state))
    };
    let ready = ready_after(schedule);
    for (key, reason) in suspects.into_iter().filter(|(key, _)| ready.contains(key)) {
        let what = format!("{key} says {reason} ({when}), and would be Ready had nothing happened");
        run.world().lock().checker.violated("L6", what);
    }
}

/// Carries out a schedule in which nothing breaks. Returns the users and roles that are Ready in the end.
fn ready_after(schedule: Schedule) -> BTreeSet<Key> {
    simulated(schedule.seed, async move { ready(&Run::undisturbed(schedule).await.world().lock().checker.resources) })
}

/// What is declared now, declared in an untouched world.
fn uneventful(schedule: &Schedule, state: &crate::world::State) -> Schedule {
    let mut steps = vec![];
    let mut step = |act| steps.push(Step { after: Duration::ZERO, act });
    for (name, id) in ACCOUNTS {
        let quotas = id.parse().ok().and_then(|id| state.cloud.quotas(&id).ok());
        quotas.into_iter().for_each(|quotas| step(Act::InAWS(name.to_owned(), Others::TrustQuota(quotas.trust_policy_size))));
    }
    for plural in ["namespaces", "awsaccounts", "configmaps", "bastionusers", "crossaccountroles"] {
        for object in state.api.objects(plural).filter(|object| object["metadata"]["deletionTimestamp"].is_null()) {
            let mut manifest = serde_json::Map::new();
            for field in ["apiVersion", "kind", "spec", "data"] {
                manifest.extend(object.get(field).map(|value| (field.to_owned(), value.clone())));
            }
            let named =
                ["name", "namespace", "labels"].iter().filter_map(|field| Some(((*field).to_owned(), object["metadata"].get(*field)?.clone())));
            manifest.insert("metadata".to_owned(), Value::Object(named.collect()));
            step(Act::Apply(Box::new(Value::Object(manifest))));
        }
    }
    Schedule { seed: schedule.seed, steps, strikes: Strikes::Listed(BTreeMap::new()), lag: Duration::ZERO, strangers: schedule.strangers }
}

/// What the operator remembers of each object.
const BY_OBJECT: [&str; 7] = ["accounts", "facets", "identities", "observations", "queued", "retries", "sweeps"];

/// Within which time what is made is Ready.
const A_MINUTE: Duration = Duration::from_secs(60);

/// How often a resource that is not Ready may try the same in that time.
const TRIES: u64 = 4;

/// The same where an operator has just started, which begins with short pauses, and with a part of it where the whole is refused.
const TRIES_AT_FIRST: u64 = 20;

/// The same of one that waits for what it was promised in AWS, such as a principal: that is asked for every few seconds, for some minutes.
const TRIES_OF_WHO_WAITS: u64 = 60;

/// Checks a run whose steps are done. What does not hold is kept with the checker.
pub(crate) async fn check(run: &mut Run) {
    run.settle().await;
    if look(run, "after it had settled", false) {
        return;
    }
    let waits = waits(run);
    run.be_certain(waits).await;
    if look(run, "when nothing was in doubt any more", true) {
        return;
    }
    let before = calls(run);
    run.sweeps(SWEEPS).await;
    if is_busy(run, before, "over three sweeps", false) || look(run, "after three sweeps", true) {
        return;
    }
    if forgets_nothing(run) {
        return;
    }
    run.begin_anew().await;
    let before = calls(run);
    run.settle().await;
    // Tags of policies are in no bulk read: who knows nothing reads them.
    if !is_busy(run, before, "by an operator that has just started", true) {
        look(run, "after a new start", true);
    }
}

/// Whether anything is tried again only now and then.
fn waits(run: &Run) -> bool {
    let checker = &run.world().lock().checker;
    !checker.closed.is_empty() || !all_ready(&checker.resources)
}

/// Whether the operator remembers more than there is.
fn forgets_nothing(run: &Run) -> bool {
    let state = &mut *run.world().lock();
    let resources = &state.checker.resources;
    let objects = resources.keys().count() + resources.accounts().count();
    let too_many = run.remembered().into_iter().filter(|(kind, count)| BY_OBJECT.contains(kind) && *count > objects);
    let too_many: Vec<String> = too_many.map(|(kind, count)| format!("{count} {kind}")).collect();
    if too_many.is_empty() {
        return false;
    }
    let what = format!("the operator remembers {}, and there are {objects} objects", too_many.join(", "));
    state.checker.violated("memory", what);
    true
}

fn calls(run: &Run) -> Calls {
    run.world().lock().calls
}

/// Whether anything was written, or read without need.
fn is_busy(run: &Run, before: Calls, when: &str, is_anew: bool) -> bool {
    let state = &mut *run.world().lock();
    let now = state.calls;
    let all_ready = all_ready(&state.checker.resources);
    let writes = (now.kubernetes_writes - before.kubernetes_writes, now.aws_writes - before.aws_writes);
    let resources = state.checker.resources.keys().count() as u64;
    let (reads, refusals) = (now.aws_reads - before.aws_reads, now.aws_refusals - before.aws_refusals);
    let what = match writes {
        (0, 0) if reads > u64::from(is_anew) * resources && all_ready => format!("{reads} reads of single resources {when}, and all are Ready"),
        // What cannot be done is tried now and then.
        (0, 0) if refusals > tries(&state.checker.resources, if is_anew { TRIES_AT_FIRST } else { TRIES }) => {
            format!("{refusals} writes that AWS refused {when}")
        }
        (0, 0) => return false,
        // Of who could not be read while its account refused every call, an operator that reads it anew may tell more.
        (kubernetes, 0) if is_anew && kubernetes <= unread(&state.checker) => return false,
        (kubernetes, aws) => format!("{kubernetes} writes to Kubernetes and {aws} to AWS {when}"),
    };
    state.checker.violated("quiet", what);
    true
}

/// How many resources are not Ready of accounts that refused every call for a while.
fn unread(checker: &Checker) -> u64 {
    let was_closed = |key: &Key| checker.resources.placed_in(key).is_some_and(|account| checker.closed.contains(account));
    let is_unready = |told: Option<(&str, &str)>| told.is_none_or(|(status, _)| status != "True");
    staying(&checker.resources).filter(|(key, told)| is_unready(*told) && was_closed(key)).count() as u64
}

/// How many writes AWS may refuse, where a resource that is not Ready may try the same so often.
fn tries(resources: &Resources, tries: u64) -> u64 {
    fn of<K: Managed>(object: &K, tries: u64) -> u64 {
        match conditions(object).iter().any(|condition| condition.reason == "Propagating") {
            _ if object.meta().deletion_timestamp.is_some() => 0,
            true => TRIES_OF_WHO_WAITS,
            false => tries,
        }
    }
    resources.users().map(|(_, user)| of(user, tries)).chain(resources.roles().map(|(_, role)| of(role, tries))).sum()
}

/// Looks at everything. Tells whether something does not hold.
fn look(run: &Run, when: &str, is_certain: bool) -> bool {
    if is_certain {
        compare(run, when);
    }
    let state = &mut *run.world().lock();
    if state.checker.violations.is_empty() {
        let found = Settled { aws: state.cloud.state(), checker: &state.checker, now: state.now(), newest: run.newest(), is_certain }.violations();
        state.checker.violations.extend(found.into_iter().map(|violation| Violation { what: format!("{} ({when})", violation.what), ..violation }));
    }
    !state.checker.violations.is_empty()
}

fn conditions<K: Managed>(object: &K) -> &[Condition] {
    object.status().map(|status| K::conditions(status)).unwrap_or_default()
}

/// What it says of itself for what is declared now: the status and reason of Ready.
fn told<K: Managed>(object: &K) -> Option<(&str, &str)> {
    let ready = conditions(object).iter().find(|condition| condition.type_ == "Ready")?;
    (Some(ready.observed_generation) == object.meta().generation).then_some((ready.status.as_str(), ready.reason.as_str()))
}

fn is_ready<K: Managed>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_none() && told(object).is_some_and(|(status, _)| status == "True")
}

/// The users and roles that are Ready.
pub(crate) fn ready(resources: &Resources) -> BTreeSet<Key> {
    staying(resources).filter(|(_, told)| told.is_some_and(|(status, _)| status == "True")).map(|(key, _)| key.clone()).collect()
}

/// The users and roles that are not being deleted, and what they say of themselves.
fn staying(resources: &Resources) -> impl Iterator<Item = (&Key, Option<(&str, &str)>)> {
    let users = resources.users().filter(|(_, user)| user.metadata.deletion_timestamp.is_none()).map(|(key, user)| (key, told(user)));
    let roles = resources.roles().filter(|(_, role)| role.metadata.deletion_timestamp.is_none()).map(|(key, role)| (key, told(role)));
    users.chain(roles)
}

fn all_ready(resources: &Resources) -> bool {
    resources.users().all(|(_, user)| is_ready(user)) && resources.roles().all(|(_, role)| is_ready(role)) && resources.accounts().all(is_ready)
}

struct Settled<'s> {
    aws: AWSState,
    checker: &'s Checker,
    now: Duration,
    /// The life that is not over.
    newest: u64,
    is_certain: bool,
}

impl Settled<'_> {
    fn violations(&self) -> Vec<Violation> {
        let rule = |rule| move |what| Violation { rule, what };
        let mut found: Vec<Violation> = self.unready().into_iter().map(rule("convergence")).collect();
        // What others changed is found by the next sweep.
        if self.is_certain {
            found.extend(self.strangers().map(rule("L3")));
            found.extend(self.rights().into_iter().map(rule("L3")));
            found.extend(self.drift().into_iter().map(rule("L7")));
            found.extend(self.unruled().into_iter().map(rule("guardrails")));
            found.extend(self.undeleted().into_iter().map(rule("convergence")));
            found.extend(self.checker.orphans().into_iter().map(rule("L1")));
        }
        found
    }

    fn resources(&self) -> &Resources {
        &self.checker.resources
    }

    fn account(&self, name: &str) -> Option<&AccountState> {
        account(&self.aws, self.resources().account_id(name)?)
    }

    /// What bears the name of a user or role in AWS.
    fn bearer(&self, key: &str) -> Option<&Value> {
        let arn = self.resources().arn(key)?;
        let mut parts = arn.split(':');
        let account = account(&self.aws, parts.nth(4)?)?;
        let resource = parts.next()?;
        let name = resource.rsplit('/').next()?;
        find(account, resource.split('/').next()?, name).map(|object| &**object)
    }

    /// Whether an object in AWS was made by the operator for a resource, and still says so.
    fn is_own(&self, object: &Value, key: &str) -> bool {
        let made = self.checker.made.get(unique_id(object)).is_some_and(|owner| owner == key);
        made && object["tags"]["rolebridge.io/owner"] == key && object["tags"]["rolebridge.io/installation"] == INSTALLATION
    }

    /// Whether something that was made for a resource, by whatever name, does not say so any more.
    fn is_disowned(&self, key: &str) -> bool {
        let mut made = self.checker.made.iter().filter(|(_, owner)| *owner == key);
        made.any(|(id, _)| self.checker.living.get(id).is_some_and(|object| !self.is_own(object, key)))
    }

    /// Whether a policy that was made for a resource is attached to what others made, who took a name between a read and a write, or to what is lost.
    fn is_held_by_others(&self, key: &str) -> bool {
        let is_of_others = |id: &str| !id.starts_with("arn:") && (!self.checker.made.contains_key(id) || self.checker.is_lost(id));
        let others = self.checker.living.iter().filter(|(id, _)| is_of_others(id));
        let is_ours = |arn: &str| self.checker.made.get(arn).is_some_and(|owner| owner == key);
        others.flat_map(|(_, object)| items(&object["attachedPolicies"])).any(is_ours)
    }

    /// Who may assume a role of ours and is not to.
    fn strangers(&self) -> impl Iterator<Item = String> {
        let is_strange = |(source, role): &&(String, String)| {
            let owner = &self.checker.made[role];
            self.is_held(owner, role) && !self.checker.is_declared(source, owner)
        };
        let told = |(source, role): &(String, String)| {
            format!("{} may assume {}, which nobody declares", self.checker.told(source), self.checker.told(role))
        };
        self.checker.effective().filter(is_strange).map(told)
    }

    /// Whether the operator can do something about a role: its account can be used, and it is known to be the resource's own.
    fn is_held(&self, key: &str, id: &str) -> bool {
        if self.checker.is_lost(id) {
            return false;
        }
        let Some(role) = self.resources().role(key) else {
            return self.checker.living.get(id).is_some_and(|object| self.is_own(object, key));
        };
        let is_usable = self.resources().account(&role.spec.account_ref.name).is_some();
        is_usable && self.bearer(key).is_none_or(|bearer| self.is_own(bearer, key))
    }

    /// Rights to assume roles that are not the resource's own, or not declared.
    fn rights(&self) -> Vec<String> {
        let mut found = vec![];
        for (account, identity) in self.aws.values().flat_map(|account| identities(account).map(move |identity| (account, identity))) {
            let Some(owner) = self.checker.made.get(unique_id(identity)) else { continue };
            // Each of two operators may have made what the other one does not know of, and what is told to be another one is not touched.
            let is_given_up = self.checker.had_two && self.says(owner, "IdentityChanged");
            if !self.is_own(identity, owner) || self.checker.is_lost(unique_id(identity)) || is_given_up {
                continue;
            }
            for arn in assumable(account, identity) {
                let role = self.resources().roles().find(|(key, _)| self.resources().arn(key).as_deref() == Some(arn));
                let is_right = role.is_some_and(|(key, _)| {
                    let is_own = self.bearer(key).is_some_and(|bearer| self.is_own(bearer, key) || !self.is_exchanged(bearer));
                    is_own && self.checker.may_be_written(unique_id(identity), key)
                });
                // While its account is not to be found nothing of it is withdrawn.
                let tells = |role: &CrossAccountRole| role.status.as_ref().is_some_and(|status| status.role_arn.as_deref() == Some(arn));
                let is_unplaced = self.resources().roles().any(|(key, role)| tells(role) && self.resources().arn(key).is_none());
                if !is_right && !is_unplaced {
                    found.push(format!(
                        "{} has the right to assume {arn}, which is not a role that is made and declared for it",
                        text(identity, "arn")
                    ));
                }
            }
        }
        found
    }

    /// Whether others made it.
    fn is_exchanged(&self, object: &Value) -> bool {
        !self.checker.made.contains_key(unique_id(object))
    }

    /// What could be Ready and is not, and what says nothing of what is declared.
    fn unready(&self) -> Vec<String> {
        let mut found = vec![];
        for account in self.resources().accounts().filter(|account| account.metadata.deletion_timestamp.is_none()) {
            let was_refused = !self.is_certain && self.checker.closed.contains(&account.name_any());
            if !is_ready(account) && !self.is_outdated(&key(account)) && !was_refused {
                found.push(format!("AWSAccount {} is not Ready: {:?}", account.name_any(), told(account)));
            }
        }
        for (key, told) in staying(self.resources()) {
            match told {
                None => found.push(format!("{key} says nothing of what is declared now")),
                // Of quotas that are exhausted L6 tells.
                Some(("True", _) | (_, "QuotaExceeded")) => {}
                // The next sweep puts that right.
                Some(_) if self.is_outdated(key) => {}
                // So does it find that nobody else has the name any more.
                Some((_, "Conflict")) if !self.is_certain => {}
                // Each of two operators may have made what the other one does not know of.
                Some((_, "IdentityChanged" | "Propagating")) if self.checker.had_two => {}
                Some(ready) if self.can_be_ready(key, &mut BTreeSet::new()) => found.push(format!("{key} is not Ready, and could be: {ready:?}")),
                Some((_, reason)) if self.is_certain && matches!(reason, "Progressing" | "Propagating") && !self.waits_for_aws(key) => {
                    found.push(format!("{key} still says {reason}"));
                }
                Some(_) => {}
            }
        }
        found
    }

    /// Whether a resource gives this reason in its summary.
    fn says(&self, key: &str, reason: &str) -> bool {
        staying(self.resources()).any(|(there, told)| there == key && told.is_some_and(|(_, said)| said == reason))
    }

    /// Whether an operator that has ended told the status last, as it knew it. Until a sweep has come by nobody need have noticed.
    fn is_outdated(&self, key: &str) -> bool {
        !self.is_certain && self.checker.told_by.get(key).is_some_and(|life| *life != self.newest)
    }

    /// Whether the account of a resource refused every call for a while: it is asked less and less often then, until a sweep comes through.
    fn was_refused(&self, key: &str) -> bool {
        !self.is_certain && self.resources().placed_in(key).is_some_and(|account| self.checker.closed.contains(account))
    }

    /// Whether what a resource wants may not be there in AWS.
    fn waits_for_aws(&self, key: &str) -> bool {
        let has_groups = self.resources().users().any(|(there, user)| there == key && user.spec.groups.iter().flatten().next().is_some());
        let names_principals = self
            .resources()
            .roles()
            .any(|(there, role)| there == key && role.spec.trust.iter().flat_map(|entry| &entry.from).any(|source| source.aws_principal().is_some()));
        has_groups || names_principals || self.lacks_a_source(key)
    }

    /// Whether a role is to trust somebody whose name nobody bears in AWS.
    fn lacks_a_source(&self, key: &str) -> bool {
        let mut wanted = self.checker.declaration().into_iter().flat_map(|declaration| &declaration.wanted);
        wanted.any(|(source, role)| role == key && self.bearer(source).is_none())
    }

    /// Whether nothing in Kubernetes or AWS keeps a resource from being Ready. In doubt it need not be.
    fn can_be_ready(&self, key: &str, seen: &mut BTreeSet<Key>) -> bool {
        if !seen.insert(key.to_owned()) {
            return true;
        }
        // What is not there any more is made again only when nothing of it can still turn up.
        let may_be_made = || self.is_certain || !self.checker.made.values().any(|owner| owner == key);
        let is_new = |bearer: &Value| !self.is_certain && self.checker.age(unique_id(bearer), self.now) < A_MINUTE;
        let is_free = self.bearer(key).map_or_else(may_be_made, |bearer| self.is_own(bearer, key) && !is_new(bearer)) && !self.is_disowned(key);
        // What an operator that died has made in the place of what the status tells of is taken for somebody else's.
        let is_free = is_free && !self.checker.is_misled(key) && !self.is_held_by_others(key) && !self.was_refused(key);
        if let Some(user) = self.resources().user(key) {
            let (namespace, account) = (user.namespace().unwrap_or_default(), &user.spec.account_ref.name);
            let is_placed = self.is_usable(account) && self.may_be(key);
            let has_groups = user.spec.groups.iter().flatten().next().is_some();
            return is_free
                && is_placed
                && user.metadata.deletion_timestamp.is_none()
                && !has_groups
                && self.is_readable(&namespace, user.spec.permissions.as_ref());
        }
        let Some(role) = self.resources().role(key) else { return false };
        let (namespace, account) = (role.namespace().unwrap_or_default(), &role.spec.account_ref.name);
        let is_placed = self.is_usable(account) && self.may_be(key);
        let mut sources = role.spec.trust.iter().flat_map(|entry| entry.from.iter().map(move |source| (entry, source)));
        is_free
            && is_placed
            && role.metadata.deletion_timestamp.is_none()
            && self.is_readable(&namespace, role.spec.permissions.as_ref())
            && sources.all(|(entry, source)| self.can_stand(key, role, entry, source, seen))
    }

    fn is_usable(&self, account: &str) -> bool {
        self.resources().account(account).is_some_and(is_ready)
    }

    fn can_stand(&self, key: &str, role: &CrossAccountRole, entry: &TrustEntry, source: &Source, seen: &mut BTreeSet<Key>) -> bool {
        let namespace = role.namespace().unwrap_or_default();
        if self.resources().is_source_forbidden(&role.spec.account_ref.name, entry, source) {
            return false;
        }
        // Of those whom nobody here manages it is not known who they were.
        if source.aws_principal().is_some() || source.users().is_some() {
            return false;
        }
        let declared = |who: &str| {
            let pair = (who.to_owned(), key.to_owned());
            self.checker.declaration().is_some_and(|declaration| declaration.wanted.contains(&pair))
        };
        let named = source.user().map(|user| format!("BastionUser/{}/{}", user.namespace.as_deref().unwrap_or(&namespace), user.name));
        let named =
            named.or_else(|| source.role().map(|role| format!("CrossAccountRole/{}/{}", role.namespace.as_deref().unwrap_or(&namespace), role.name)));
        match named {
            Some(who) => declared(&who) && self.can_be_ready(&who, seen),
            None => source.account().is_none_or(|name| self.is_usable(name)),
        }
    }

    /// Whether every document can be read.
    fn is_readable(&self, namespace: &str, permissions: Option<&Permissions>) -> bool {
        let Some(permissions) = permissions else { return true };
        let own = permissions.customer_managed_policies.iter().filter_map(|policy| policy.source());
        let mut sources = own.chain(permissions.inline_policies.iter().filter_map(|policy| policy.source()));
        sources.all(|source| self.resources().document(namespace, source).is_some())
    }

    /// What is being deleted and could be gone.
    fn undeleted(&self) -> Vec<String> {
        let mut found = vec![];
        let users = self.resources().users().map(|(key, user)| (key, &user.metadata, &user.spec.account_ref.name, conditions(user)));
        let roles = self.resources().roles().map(|(key, role)| (key, &role.metadata, &role.spec.account_ref.name, conditions(role)));
        for (key, _, account, conditions) in users.chain(roles).filter(|(_, meta, ..)| meta.deletion_timestamp.is_some()) {
            if self.is_usable(account) && !self.is_disowned(key) && !self.is_held_by_others(key) {
                let ready = conditions.iter().find(|condition| condition.type_ == "Ready").map(|ready| (&ready.reason, &ready.message));
                found.push(format!("{key} is being deleted, and is not gone: {ready:?}"));
            }
        }
        found
    }
}

/// The roles that an identity's assume policies name.
fn assumable<'s>(account: &'s AccountState, identity: &'s Value) -> Vec<&'s str> {
    let inline =
        identity["inlinePolicies"].as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("rolebridge-assume")).map(|(_, text)| text);
    let attached =
        items(&identity["attachedPolicies"]).into_iter().filter(|arn| arn.contains("/rolebridge-assume")).filter_map(|arn| in_force(account, arn));
    inline.chain(attached).flat_map(statements).filter(|s| s["Effect"] == "Allow").flat_map(|s| items(&s["Resource"])).collect()
}
