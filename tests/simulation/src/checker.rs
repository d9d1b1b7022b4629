//! What must hold after every call, told by what there is and by who did it. Nothing of the operator's own decisions is used here.
//!
//! | | what must hold | how it is told |
//! |---|---|---|
//! | L1 | what the operator made has its resource, live or being deleted | whenever a resource goes, and whenever something is made |
//! | L2 | what others made, or what was made for another resource, is not written to | before each write; what others exchanged less than a minute ago may be met once more |
//! | L3 | nobody is let in who is not to be | what a write of the operator's adds to who may assume what is declared by what the operator may have seen |
//! | L4 | whoever is to be let in stays in | what such a write takes away was not declared all the time |
//! | restrictions | what others put on to restrict, or to describe a key, is not taken off | after each write, unless the user or role goes, or it came a moment ago |
//! | guardrails | what breaks a rule gets nothing | no such write gives anything to who breaks a rule by all that the operator may have seen |
//!
//! What holds once all is settled is in [`settled`](crate::settled).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rolebridge::core::action::{Action, Receipt, Tagged};
use rolebridge::core::failure::Failure;
use rolebridge::core::identity::CUT_OFF_POLICY;
use rolebridge::core::names::AccountID;
use rolebridge::core::ownership::{OWNER, Owner};
use serde_json::Value;

use crate::api_server::ApiServer;
use crate::aws_state::{Caller, Grants, State, effective, find, identities, text, unique_id};
use crate::declared::Declaration;
use crate::iam::Cloud;
use crate::resources::{Key, Resources};
use kept::{Kept, after_others, missing};

pub mod kept;
mod rules;

/// The field of a role that says whom it lets in.
const TRUST: &str = "assumeRolePolicyDocument";

/// How long what was read may be the ground for a write (design, "nothing is written on knowledge older than a minute"), and what a pass takes.
const GROUND: Duration = Duration::from_secs(60 + 20);
/// How long a pass may work on what it saw at its beginning, and an event of a watch may be on its way.
const PASS: Duration = Duration::from_secs(25);
/// How long a watch that was cut may stay closed: kube's longest backoff, with its jitter.
const REOPENED: Duration = Duration::from_secs(65);

/// What others did to an object this long ago has been found and put right.
const REPAIRED: Duration = Duration::from_secs(300);

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which rule.
    pub rule: &'static str,
    /// What was seen, in the words of IAM and Kubernetes.
    pub what: String,
}

impl Violation {
    /// What kind of thing it is: the words that are the same whatever the names.
    pub fn kind(&self) -> String {
        let is_word = |word: &&str| word.chars().all(|c| c.is_ascii_alphabetic() || ",.'".contains(c));
        let words: Vec<&str> = self.what.split_whitespace().filter(is_word).collect();
        format!("{} {}", self.rule, words.join(" "))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// A grant that is in force.
#[derive(Clone, Copy, Debug)]
struct Standing {
    since: Duration,
    /// The life that let it in; 0 for others.
    life: u64,
}

/// A grant that is not in force any more.
#[derive(Clone, Copy, Debug)]
struct Lost {
    standing: Standing,
    /// Who had written the trust policy that let it in.
    trust: Standing,
}

/// What identities may do, of what is tried, by unique ID.
type Permitted = BTreeSet<(String, &'static str)>;

/// What became different in AWS.
struct Changes {
    gained: Grants,
    lost: BTreeMap<(String, String), Lost>,
    permitted: Permitted,
    forbidden: BTreeMap<(String, &'static str), Standing>,
}

/// Looks at every change.
#[derive(Default)]
pub struct Checker {
    /// What Kubernetes has.
    pub resources: Resources,
    declarations: Vec<(Duration, Arc<Declaration>)>,
    /// What there was in Kubernetes, but for statuses.
    views: Vec<(Duration, Arc<Resources>)>,
    /// The resources that the operator made something for, by its unique ID.
    pub made: BTreeMap<String, Key>,
    /// Users, roles and policies that there are, by unique ID.
    pub living: BTreeMap<String, Arc<Value>>,
    born: BTreeMap<String, Duration>,
    /// What was made while two operators were alive.
    made_by_one_of_two: BTreeSet<String>,
    /// The ARN that each had when it was made, by unique ID.
    named: BTreeMap<String, String>,
    /// When others last changed something, by unique ID.
    pub touched: BTreeMap<String, Duration>,
    /// The accounts that refused every call for a while, by name.
    pub closed: BTreeSet<String>,
    /// Whether two operators were alive at once.
    pub had_two: bool,
    /// Until when they are, or were.
    pub two_until: Duration,
    /// The life that last wrote each status.
    pub told_by: BTreeMap<Key, u64>,
    /// What a status has told of, by unique ID.
    told_of: BTreeSet<String>,
    /// The resources whose status told for the first time of one that others had deleted or renamed already: a read showed it still. Nothing tells such a one from what
    /// an operator that died has made in its place.
    misled: BTreeSet<Key>,
    /// What others put on that is to stay, by the unique ID of whom.
    pub kept: BTreeMap<String, BTreeSet<Kept>>,
    /// When a permissions boundary came on that the resource did not declare, by unique ID.
    imposed: BTreeMap<String, Duration>,
    effective: BTreeMap<(String, String), Standing>,
    permissions: BTreeMap<String, BTreeMap<&'static str, Standing>>,
    /// Who wrote the trust policy of each role that it has, by unique ID.
    trust: BTreeMap<String, Standing>,
    /// When the operator's view of Kubernetes was last disturbed.
    disturbed: Option<Duration>,
    /// How far IAM's replicas may be behind.
    pub lag: Duration,
    revision: Option<u64>,
    /// Whether policies or groups in AWS are other ones than when it was last told what is declared.
    has_other_policies: bool,
    /// What does not hold.
    pub violations: Vec<Violation>,
}

impl Checker {
    /// Notes what does not hold.
    pub fn violated(&mut self, rule: &'static str, what: String) {
        self.violations.push(Violation { rule, what });
    }

    /// The operator does not hear of Kubernetes at once: a watch was cut, the server was away, or a life has just begun.
    pub fn view_disturbed(&mut self, now: Duration) {
        self.disturbed = Some(now);
    }

    /// The API server may have changed. `life` is who did it, if that was an operator.
    pub fn kubernetes_changed(&mut self, api: &ApiServer, cloud: &Cloud, now: Duration, life: Option<u64>) {
        if self.revision == Some(api.revision()) {
            return;
        }
        self.revision = Some(api.revision());
        self.resources.read(api);
        for id in self.resources.told() {
            let bears_its_name = self.living.get(&id).is_some_and(|object| self.named.get(&id).is_some_and(|arn| text(object, "arn") == arn));
            if !self.told_of.contains(&id) && !bears_its_name {
                self.misled.extend(self.made.get(&id).cloned());
            }
            self.told_of.insert(id);
        }
        let is_as_before = self.views.last().is_some_and(|(_, last)| last.declare_as(&self.resources));
        if !is_as_before {
            self.views.push((now, Arc::new(self.resources.clone())));
        }
        // What is declared takes policies by their names, too.
        if !is_as_before || std::mem::take(&mut self.has_other_policies) {
            let declaration = self.resources.declaration(&cloud.state());
            if self.declarations.last().is_none_or(|(_, last)| **last != declaration) {
                self.declarations.push((now, Arc::new(declaration)));
            }
        }
        self.check_owners(life);
    }

    /// L1.
    fn check_owners(&mut self, life: Option<u64>) {
        for what in self.orphans() {
            self.violated("L1", what + &life.map(|life| format!(" (life {life})")).unwrap_or_default());
        }
    }

    /// Whether the status of a resource rests on a read of what others had deleted already.
    pub fn is_misled(&self, key: &str) -> bool {
        self.misled.contains(key)
    }

    /// Whether others renamed a user and gave its name to another one, by which it is told to be another one. It is told as an orphan, and not looked for.
    fn has_given_its_name_up(&self, id: &str) -> bool {
        let name = self.named.get(id);
        name.is_some_and(|arn| self.living.iter().any(|(other, object)| other != id && text(object, "arn") == arn))
    }

    /// Whether what has this unique ID is taken for somebody else's, since the status of its resource was misled.
    fn is_mistaken(&self, id: &str) -> bool {
        !self.told_of.contains(id) && self.made.get(id).is_some_and(|owner| self.is_misled(owner))
    }

    /// For how long somebody or something lives, by its unique ID.
    pub fn age(&self, id: &str, now: Duration) -> Duration {
        now.saturating_sub(self.born.get(id).copied().unwrap_or(now))
    }

    /// What was made and has no resource any more.
    pub fn orphans(&self) -> Vec<String> {
        let orphan = |(id, object): (&String, &Arc<Value>)| {
            let owner = self.made.get(id).filter(|owner| !self.resources.has(owner) && !self.is_lost(id))?;
            Some(format!("{} ({id}) was made for {owner}, which is gone", text(object, "arn")))
        };
        self.living.iter().filter_map(orphan).collect()
    }

    /// Whether nothing finds it any more: others renamed or disowned it before anything told of it, another operator was at work when it was made and may have
    /// let its resource go, or its resource tells of another one.
    pub fn is_lost(&self, id: &str) -> bool {
        let is_untold = !self.told_of.contains(id);
        (is_untold && (self.touched.contains_key(id) || self.made_by_one_of_two.contains(id)))
            || self.is_mistaken(id)
            || self.has_given_its_name_up(id)
    }

    /// L2, of a write that is about to take effect.
    pub fn before_write(&mut self, cloud: &Cloud, account: &AccountID, action: &Action, owner: &Owner, now: Duration) {
        let tags = match action {
            Action::CreateIdentity(identity) => Some(&identity.tags),
            Action::CreatePolicy(policy) => Some(&policy.tags),
            _ => None,
        };
        if tags.is_some_and(|tags| tags.get(OWNER) != Some(&owner.resource)) {
            self.violated("L2", format!("{action} in {account} for {}: its owner tags name another resource", owner.resource));
        }
        let Some(object) = target(cloud, account, action) else { return };
        let id = unique_id(&object);
        let age = self.age(id, now);
        let is_wrong = match self.made.get(id) {
            Some(made_for) => *made_for != owner.resource,
            None => age > GROUND + self.lag,
        };
        if is_wrong {
            let what = format!("{action} in {account} for {}: that is {}, since {} s", owner.resource, self.told(id), age.as_secs());
            self.violated("L2", what);
        }
    }

    /// A write of the operator's has taken effect, or was refused.
    pub fn after_write(
        &mut self,
        cloud: &Cloud,
        account: &AccountID,
        action: &Action,
        result: &Result<Receipt, Failure>,
        (now, life): (Duration, u64),
    ) {
        let Ok(receipt) = result else { return };
        let made = match (action, receipt) {
            (Action::CreateIdentity(identity), Receipt::Created(id)) => Some((id.to_string(), &identity.tags)),
            (Action::CreatePolicy(policy), _) => Some((policy.arn.to_string(), &policy.tags)),
            _ => None,
        };
        if let Some((id, tags)) = &made {
            let owner = tags.get(OWNER).cloned().unwrap_or_default();
            self.made.insert(id.clone(), owner);
            if now < self.two_until {
                self.made_by_one_of_two.insert(id.clone());
            }
        }
        if let Some(written) = written(cloud, account, action) {
            let owner = made.as_ref().map(|(id, _)| id.as_str()).unwrap_or_else(|| unique_id(&written));
            if let Some(owner) = self.made.get(owner).cloned() {
                self.check_guardrails(&written, &owner, action, now);
            }
        }
        let changes = self.look(cloud, now, life);
        self.check_gained(&changes.gained, action, now);
        self.check_lost(&changes.lost, action, now, life);
        self.check_permitted(&changes.permitted, action, now);
        self.check_forbidden(&changes.forbidden, action, now, life);
        self.check_kept(action, now);
        if made.is_some() {
            self.check_owners(Some(life));
        }
    }

    /// Somebody else has changed something in AWS.
    pub fn changed_by_others(&mut self, cloud: &Cloud, now: Duration) {
        let before = self.living.clone();
        self.look(cloud, now, 0);
        for (id, object) in &self.living {
            let Some(there) = before.get(id) else {
                self.touched.insert(id.clone(), now);
                continue;
            };
            if !Arc::ptr_eq(there, object) {
                self.touched.insert(id.clone(), now);
                let kept = after_others(self.kept.get(id).unwrap_or(&BTreeSet::new()), there, object);
                self.kept.insert(id.clone(), kept);
            }
        }
    }

    /// What others put on to restrict or describe, and the operator has taken off.
    fn check_kept(&mut self, action: &Action, now: Duration) {
        let mut found = vec![];
        for (id, kept) in &mut self.kept {
            let (Some(there), Some(owner)) = (self.living.get(id), self.made.get(id)) else { continue };
            // A write may have been on its way that was to take off what was there before.
            let is_new = self.touched.get(id).is_some_and(|touched| now.saturating_sub(*touched) < GROUND + self.lag);
            let goes = is_new || !self.resources.has(owner) || self.resources.is_leaving(owner);
            let missing: Vec<Kept> = missing(kept, there).into_iter().cloned().collect();
            kept.retain(|one| !missing.contains(one));
            found.extend(missing.into_iter().filter(|_| !goes).map(|one| (id.clone(), one)));
        }
        for (id, one) in found {
            let what = format!("{action}: {} loses {one}, which others have put on", self.told(&id));
            self.violated("restrictions", what);
        }
    }

    /// Takes who and what lives now. `life` is who changed it.
    fn take_living(&mut self, state: &State, now: Duration, life: u64) {
        for role in state.values().flat_map(|account| &account.roles) {
            let is_same = |before: &Arc<Value>| Arc::ptr_eq(before, role) || before[TRUST] == role[TRUST];
            if !self.living.get(unique_id(role)).is_some_and(is_same) {
                self.trust.insert(unique_id(role).to_owned(), Standing { since: now, life });
            }
        }
        let all = state.values().flat_map(|account| identities(account).chain(&account.policies));
        let living = all.map(|object| (unique_id(object).to_owned(), object.clone())).collect();
        self.has_other_policies |= life == 0 || !policies(&living).eq(policies(&self.living));
        self.living = living;
        // The ARN of a policy that went may be another one's later.
        self.made.retain(|id, _| !id.starts_with("arn:") || self.living.contains_key(id));
        self.born.retain(|id, _| self.living.contains_key(id));
        self.kept.retain(|id, _| self.living.contains_key(id));
        self.trust.retain(|id, _| self.living.contains_key(id));
        self.named.retain(|id, _| self.living.contains_key(id));
        for (id, object) in &self.living {
            self.born.entry(id.clone()).or_insert(now);
            self.named.entry(id.clone()).or_insert_with(|| text(object, "arn").to_owned());
        }
    }

    /// Takes what AWS has now, and tells what is different by that.
    fn look(&mut self, cloud: &Cloud, now: Duration, life: u64) -> Changes {
        let state = cloud.state();
        let effective = effective(&state, |role| self.made.contains_key(unique_id(role)));
        let gained: Grants = effective.iter().filter(|grant| !self.effective.contains_key(*grant)).cloned().collect();
        let written = |role: &String, standing: Standing| Lost { standing, trust: self.trust.get(role).copied().unwrap_or(standing) };
        let lost = self.effective.iter().filter(|(grant, _)| !effective.contains(*grant));
        let lost: BTreeMap<_, _> = lost.map(|(grant, standing)| (grant.clone(), written(&grant.1, *standing))).collect();
        // What was lost was let in by the trust policies of before.
        self.take_living(&state, now, life);
        self.effective.retain(|grant, _| effective.contains(grant));
        self.effective.extend(gained.iter().map(|grant| (grant.clone(), Standing { since: now, life })));
        let (mut permitted, mut forbidden) = (Permitted::new(), BTreeMap::new());
        let mut permissions = BTreeMap::new();
        for (account_id, account) in &state {
            for identity in identities(account).filter(|identity| self.made.contains_key(unique_id(identity))) {
                let id = unique_id(identity);
                let may = Caller::new(account_id.as_str(), account, identity).permissions();
                let might = self.permissions.get(id);
                if let Some(might) = might {
                    permitted.extend(may.iter().filter(|action| !might.contains_key(*action)).map(|action| (id.to_owned(), *action)));
                    let gone = might.iter().filter(|(action, _)| !may.contains(*action));
                    forbidden.extend(gone.map(|(action, standing)| ((id.to_owned(), *action), *standing)));
                }
                let standing = |action| might.and_then(|might| might.get(action)).copied().unwrap_or(Standing { since: now, life });
                permissions.insert(id.to_owned(), may.into_iter().map(|action| (action, standing(action))).collect());
            }
        }
        self.permissions = permissions;
        Changes { gained, lost, permitted, forbidden }
    }

    /// By what names a declaration may speak of an identity.
    fn names(&self, id: &str) -> BTreeSet<String> {
        let arn = self.living.get(id).map(|object| text(object, "arn")).unwrap_or_default();
        let account = arn.split(':').nth(4).map(|account| format!("account:{account}"));
        let owner = self.made.get(id).cloned();
        owner.into_iter().chain(account).chain([arn.to_owned()]).collect()
    }

    /// What the operator may go by, of what there was from moment to moment.
    fn in_view<'s, T>(&self, now: Duration, moments: &'s [(Duration, Arc<T>)]) -> impl Iterator<Item = &'s T> {
        let is_disturbed = self.disturbed.is_some_and(|at| now.saturating_sub(at) < REOPENED + PASS);
        let since = if is_disturbed { Duration::ZERO } else { now.saturating_sub(PASS) };
        let mut until = Duration::MAX;
        let in_force = moments.iter().rev().filter(move |(at, _)| {
            let counts = until >= since;
            until = *at;
            counts
        });
        in_force.map(|(_, seen)| &**seen)
    }

    /// L3.
    fn check_gained(&mut self, gained: &Grants, action: &Action, now: Duration) {
        // IAM deletes nobody who has inline policies, so that of a user or role which goes the denial is the last thing to go before it.
        let is_cut_off_lifted = matches!(action, Action::DeleteInlinePolicy(_, name) if name.as_str() == CUT_OFF_POLICY);
        let ends = |source: &String| is_cut_off_lifted && self.made.get(source).is_some_and(|owner| self.resources.is_leaving(owner));
        let undeclared = |(source, role_id): &&(String, String)| {
            let (names, role) = (self.names(source), &self.made[role_id]);
            // Whoever took a name a moment ago may be met by a write that was on its way, as in L2.
            let is_new = !self.made.contains_key(source) && self.age(source, now) < GROUND + self.lag;
            let bears_a_name = || self.made.values().any(|owner| self.resources.arn(owner).is_some_and(|arn| names.contains(&arn)));
            let may_be_met = is_new && bears_a_name();
            let declares = |declaration: &Declaration| names.iter().any(|name| declaration.wanted.contains(&(name.clone(), role.clone())));
            // Each kind has a watch of its own: a role may be seen as it was before beside a source as it is now.
            let mixed = |name: &String| {
                let pair = (name.clone(), role.clone());
                let views = || self.in_view(now, &self.views);
                views().any(|roles| views().any(|others| others.want_with(roles, &pair)))
            };
            // What stands as it stood is put back where others took it away right after it was written: a read may show what was before that write.
            let is_frozen = |declaration: &Declaration| names.iter().any(|name| declaration.frozen.contains(&(name.clone(), role.clone())));
            // Who is not cut off any more comes in as before.
            let may_be_put_back = self.touched.contains_key(role_id) || is_cut_off_lifted;
            let is_put_back = may_be_put_back && self.in_view(now, &self.declarations).any(is_frozen);
            let is_declared = self.in_view(now, &self.declarations).any(declares) || names.iter().any(mixed);
            !may_be_met && !ends(source) && !is_put_back && !is_declared
        };
        let undeclared: Vec<_> = gained.iter().filter(undeclared).cloned().collect();
        for grant in undeclared {
            let what = format!("{action}: {} may assume {} by that, which nobody declares", self.told(&grant.0), self.told(&grant.1));
            self.violated("L3", what);
        }
    }

    /// L4.
    fn check_lost(&mut self, lost: &BTreeMap<(String, String), Lost>, action: &Action, now: Duration, life: u64) {
        for ((source, role), Lost { standing, trust }) in lost {
            let both = [source, role];
            let is_undisturbed = both.iter().all(|id| {
                let since = self.touched.get(*id).copied();
                self.living.contains_key(*id) && !self.is_mistaken(id) && since.is_none_or(|touched| touched + REPAIRED < standing.since)
            });
            let (Some(of_source), Some(of_role)) = (self.made.get(source), self.made.get(role)) else { continue };
            let pair = (of_source.clone(), of_role.clone());
            // A trust policy that was written for others, or for what was declared before, may let it in under other conditions than those of now, until it is
            // written anew. IAM refuses that for as long as a replica does not show somebody whom it names.
            let written_for = trust.since.saturating_sub(REOPENED + PASS);
            let since = if now.saturating_sub(standing.since) < PASS + self.lag { standing.since.min(written_for) } else { standing.since };
            let mut reached = false;
            let all_the_time = self.declarations.iter().rev().take_while(|(at, _)| !std::mem::replace(&mut reached, *at <= since));
            let is_declared = |declaration: &Declaration| declaration.wanted.contains(&pair) || declaration.frozen.contains(&pair);
            let all_the_time: Vec<&Declaration> = all_the_time.map(|(_, declaration)| &**declaration).collect();
            let always = all_the_time.iter().all(|declaration| is_declared(declaration));
            // Where the conditions are other ones now, there may be none under which old and new both let it in.
            let conditions = all_the_time.iter().map(|declaration| declaration.conditions.get(&pair).cloned().unwrap_or_default());
            let are_exchanged = conditions.reduce(|some, others| &some & &others).is_none_or(|all| all.is_empty());
            // A write may have been on its way when it came to stand, over a role that was being made anew.
            let is_new = self.is_unseen(*standing, now, life)
                || self.is_unseen(*trust, now, life)
                || (now.saturating_sub(standing.since) < PASS && self.age(role, now) < PASS);
            // Who cannot be read is named nowhere anew, be it in the place of the root of its account.
            let is_readable = self.resources.placed_in(of_source).is_none_or(|account| !self.closed.contains(account));
            if is_undisturbed && always && is_readable && !are_exchanged && !is_new && life >= standing.life {
                let what = format!("{action}: {} may not assume {} any more by that, and is to", self.told(source), self.told(role));
                self.violated("L4", what);
            }
        }
    }

    /// Whether another operator did something so lately that this one cannot have seen it: it was writing already, or a replica is behind.
    fn is_unseen(&self, standing: Standing, now: Duration, life: u64) -> bool {
        life != standing.life && now.saturating_sub(standing.since) < PASS + self.lag
    }

    /// L3, of what an identity may do.
    fn check_permitted(&mut self, permitted: &Permitted, action: &Action, now: Duration) {
        for (id, what) in permitted {
            let is_used = self.is_used(id, PASS, now);
            let owner = &self.made[id];
            let is_declared =
                self.in_view(now, &self.declarations).any(|declaration| declaration.permissions.get(owner).is_none_or(|may| may.gain.contains(what)));
            if is_used && !is_declared && !self.touched.contains_key(id) {
                let what = format!("{action}: {} may call {what} by that, which nobody declares", self.told(id));
                self.violated("L3", what);
            }
        }
    }

    /// Whether it matters what an identity may do: a role that lets nobody in, and a user that was just made and has no key, do nothing.
    fn is_used(&self, id: &str, new: Duration, now: Duration) -> bool {
        self.effective.keys().any(|(_, role)| role == id) || (id.starts_with("AIDA") && self.age(id, now) > new)
    }

    /// L4, of what an identity may do. What is made may take as long to be finished as replicas are behind.
    fn check_forbidden(&mut self, forbidden: &BTreeMap<(String, &'static str), Standing>, action: &Action, now: Duration, life: u64) {
        for ((id, what), standing) in forbidden {
            let (owner, born) = (&self.made[id], self.born.get(id).copied().unwrap_or_default());
            let mut reached = false;
            let since = self.declarations.iter().rev().take_while(|(at, _)| !std::mem::replace(&mut reached, *at <= born));
            let always = since
                .map(|(_, declaration)| declaration)
                .all(|declaration| declaration.permissions.get(owner).is_some_and(|may| may.keep.contains(what)));
            // Where one boundary takes the place of another, what it is to limit goes before, since nobody knows what it allows.
            let boundaries: BTreeSet<_> = self.in_view(now, &self.views).map(|seen| seen.boundary(owner)).collect();
            let is_allowed_to = boundaries.len() > 1 || self.is_unseen(*standing, now, life);
            if always && !is_allowed_to && self.is_used(id, GROUND + self.lag, now) && !self.touched.contains_key(id) {
                let what = format!("{action}: {} may not call {what} any more by that, and is to", self.told(id));
                self.violated("L4", what);
            }
        }
    }

    /// A user or role, for people.
    pub fn told(&self, id: &str) -> String {
        let arn = self.living.get(id).map(|object| text(object, "arn")).unwrap_or_default();
        let made = self.made.get(id).map_or("made by others".to_owned(), |owner| format!("made for {owner}"));
        format!("{arn} ({id}, {made})")
    }

    /// Who may assume what now.
    pub fn effective(&self) -> impl Iterator<Item = &(String, String)> {
        self.effective.keys()
    }

    /// What is declared now.
    pub fn declaration(&self) -> Option<&Declaration> {
        self.declarations.last().map(|(_, declaration)| &**declaration)
    }

    /// Whether the right of an identity to assume a role may be written, be it that it is cut off.
    pub fn may_be_written(&self, source: &str, role: &Key) -> bool {
        let shut = |declaration: &Declaration| self.made.get(source).is_some_and(|owner| declaration.shut.contains(&(owner.clone(), role.clone())));
        self.is_declared(source, role) || self.declaration().is_some_and(shut)
    }

    /// Whether an identity that may assume a role is declared to.
    pub fn is_declared(&self, source: &str, role: &Key) -> bool {
        let names = self.names(source);
        self.declaration().is_some_and(|declaration| {
            names.iter().any(|name| {
                let pair = (name.clone(), role.clone());
                declaration.wanted.contains(&pair) || declaration.frozen.contains(&pair)
            })
        })
    }
}

/// The policies among what lives, each as it is now.
fn policies(living: &BTreeMap<String, Arc<Value>>) -> impl Iterator<Item = *const Value> {
    living.iter().filter(|(id, _)| id.starts_with("arn:")).map(|(_, policy)| Arc::as_ptr(policy))
}

/// What an action has changed or made.
fn written(cloud: &Cloud, account: &AccountID, action: &Action) -> Option<Arc<Value>> {
    match action {
        Action::CreateIdentity(identity) => find(&cloud.state().remove(account)?, identity.name.kind(), identity.name.as_str()).cloned(),
        Action::CreatePolicy(made) => cloud.state().remove(account)?.policies.into_iter().find(|policy| text(policy, "arn") == made.arn.as_str()),
        _ => target(cloud, account, action),
    }
}

/// What an action changes, if that is there already.
fn target(cloud: &Cloud, account: &AccountID, action: &Action) -> Option<Arc<Value>> {
    let (kind, name) = match action {
        Action::CreateIdentity(_) | Action::CreatePolicy(_) => return None,
        Action::CreatePolicyVersion(arn, _)
        | Action::DeletePolicyVersion(arn, _)
        | Action::DeletePolicy(arn)
        | Action::Tag(Tagged::Policy(arn), _)
        | Action::Untag(Tagged::Policy(arn), _) => {
            let account = cloud.state().remove(account)?;
            return account.policies.into_iter().find(|policy| text(policy, "arn") == arn.as_str());
        }
        Action::PutInlinePolicy(who, ..)
        | Action::DeleteInlinePolicy(who, _)
        | Action::AttachPolicy(who, _)
        | Action::DetachPolicy(who, _)
        | Action::PutPermissionsBoundary(who, _)
        | Action::DeletePermissionsBoundary(who)
        | Action::Tag(Tagged::Identity(who), _)
        | Action::Untag(Tagged::Identity(who), _)
        | Action::DeleteIdentity(who) => (who.kind(), who.as_str()),
        Action::UpdateTrustPolicy(role, _) | Action::UpdateRole(role, ..) => ("role", role.as_str()),
        Action::RenameUser(user, ..) | Action::AddToGroup(user, _) | Action::RemoveFromGroup(user, _) | Action::RemoveDependent(user, _) => {
            ("user", user.as_str())
        }
    };
    find(&cloud.state().remove(account)?, kind, name).cloned()
}
