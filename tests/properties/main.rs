//! Properties of the pure core that hold for all resources and all states of AWS, checked on generated ones.
//!
//! IAM is modelled by [`Observed::record`]. The states that a plan goes through are those that it may be interrupted in, so what must hold always is
//! checked in each of them. The invariants L3 (nobody is let in whom neither the old nor the new declaration lets in) and L4 (what both allow is
//! never absent) are checked against sets that are computed here from the grants and the declaration, not from the plan.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod evaluator;
mod largest;
mod permissions;
mod quotas;
#[path = "../support_core/mod.rs"]
mod support_core;

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::FileFailurePersistence;
use rolebridge::api::conditions::{Class, condition_types};
use rolebridge::api::{Condition, Reason};
use rolebridge::controller::cluster::relations::{Dependency, Relations};
use rolebridge::core::action::{Action, Dependent, Tagged};
use rolebridge::core::assume::{self, SessionRights};
use rolebridge::core::canonical::Canonical;
use rolebridge::core::desired::{Desired, desired_role, desired_user};
use rolebridge::core::document::{Document, Effect, StatementRef};
use rolebridge::core::grants::{AssumableRole, Grant, Intent};
use rolebridge::core::identity::{ASSUME_POLICY, IdentityName, ManagedPolicy, REVOKE_SESSIONS_POLICY};
use rolebridge::core::names::Arn;
use rolebridge::core::observed::{Dependents, Observed, ObservedIdentity, ObservedPolicy};
use rolebridge::core::outcome::{Outcome, Problem};
use rolebridge::core::ownership::{Owner, Tags};
use rolebridge::core::placement::resolve_account;
use rolebridge::core::plan::{DeletionPhase, DeletionTarget, Plan, plan, plan_removal};
use rolebridge::core::quotas::{INLINE_QUOTA, MOST_SHARDS, SHARD_QUOTA};
use rolebridge::core::trust::TrustRule;
use rolebridge::core::world::{ObjectKey, Ref, World};
use serde_json::{Value, json};

use evaluator::{Requests, allowed};
use support_core::{Cluster, INSTALLATION, NAMESPACE, document, id, states, unique_id};

const USERS: [&str; 3] = ["alice", "bob", "carol"];
const ROOT: &str = "arn:aws:iam::111111111111:root";
const DEAD: &str = "AIDADEAD000000000000";
const ATTACHABLE: [&str; 3] =
    ["arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws:iam::aws:policy/job-function/ViewOnlyAccess", "arn:aws:iam::222222222222:policy/shared"];
const BOUNDARIES: [&str; 2] = ["arn:aws:iam::222222222222:policy/limits", "arn:aws:iam::222222222222:policy/tighter"];
/// Keys of tags, some of which are the same to users and roles.
const TAG_KEYS: [&str; 4] = ["team", "Team", "stage", "STAGE"];
/// Names of customer-managed policies.
const MANAGED: [&str; 3] = ["lists", "reads", "writes"];

/// A fixed number of cases; `PROPTEST_CASES` asks for another. A failure is printed with its seed, which the `.regressions` file beside it keeps.
fn config(cases: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|number| number.parse().ok()).unwrap_or(cases);
    let failure_persistence = Some(Box::new(FileFailurePersistence::WithSource("regressions")) as Box<_>);
    ProptestConfig { cases, failure_persistence, max_shrink_iters: 4096, ..ProptestConfig::default() }
}

// What is generated.

/// How far a user is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Missing,
    New,
    Made,
    Ready,
    Deleting,
}

/// Whose an object of IAM is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Whose {
    Ours,
    OursBefore,
    AnotherResource,
    AnotherInstallation,
    Nobody,
}

impl Whose {
    fn is_ours(self) -> bool {
        matches!(self, Self::Ours | Self::OursBefore)
    }

    fn tags(self, owner: &Owner) -> Tags {
        match self {
            Self::Ours => owner.tags(),
            Self::OursBefore => Owner { uid: "before".into(), ..owner.clone() }.tags(),
            Self::AnotherResource => Owner { resource: "CrossAccountRole/other/one".into(), ..owner.clone() }.tags(),
            Self::AnotherInstallation => Owner { installation: "another".into(), ..owner.clone() }.tags(),
            Self::Nobody => Tags::new(),
        }
    }
}

/// What is declared and in which surroundings.
#[derive(Clone, Debug)]
struct RoleCase {
    stages: [Stage; 3],
    /// Whether the account of the role takes the namespace, and lets roots be trusted.
    allowed: bool,
    root_trust: bool,
    /// Entries: whether by the account's root, what is required, and the sources.
    entries: Vec<(bool, u8, Vec<&'static str>)>,
    attached: Vec<&'static str>,
    inline: BTreeMap<&'static str, u8>,
    managed: BTreeMap<&'static str, u8>,
    former: Vec<&'static str>,
    tags: BTreeMap<&'static str, u8>,
    description: bool,
    long: bool,
    boundary: Option<&'static str>,
}

/// What AWS has.
#[derive(Clone, Debug)]
struct FoundRole {
    whose: Whose,
    /// Statements of the trust policy: whether it allows, what it requires where it does, and the principals.
    trust: Vec<(bool, u8, Vec<&'static str>)>,
    attached: Vec<&'static str>,
    attached_managed: Vec<&'static str>,
    inline: BTreeMap<&'static str, u8>,
    revoked: Option<bool>,
    tags: BTreeMap<&'static str, u8>,
    description: bool,
    long: bool,
    boundary: Option<&'static str>,
    /// Unique ID in the status: none, this one's, another's.
    pinned: u8,
}

#[derive(Clone, Debug)]
struct FoundPolicy {
    whose: Whose,
    document: u8,
    tags: BTreeMap<&'static str, u8>,
    other_versions: usize,
}

#[derive(Clone, Debug)]
struct FoundAll {
    role: Option<FoundRole>,
    policies: BTreeMap<&'static str, FoundPolicy>,
}

const MFA: u8 = 1;
const EXTERNAL_ID: u8 = 2;

fn arb_stage() -> impl Strategy<Value = Stage> {
    prop_oneof![1 => Just(Stage::Missing), 2 => Just(Stage::New), 2 => Just(Stage::Made), 4 => Just(Stage::Ready), 1 => Just(Stage::Deleting)]
}

fn arb_whose() -> impl Strategy<Value = Whose> {
    use Whose::*;
    prop_oneof![12 => Just(Ours), 2 => Just(OursBefore), 1 => Just(AnotherResource), 1 => Just(AnotherInstallation), 1 => Just(Nobody)]
}

/// What is required: bits for a second factor and for an external ID.
fn arb_required() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(0), 1 => Just(MFA), 1 => Just(EXTERNAL_ID), 1 => Just(MFA | EXTERNAL_ID)]
}

fn arb_inline() -> impl Strategy<Value = BTreeMap<&'static str, u8>> {
    btree_map(select(vec!["one", "two", "three"]), 0..PERMISSIONS, 0..3)
}

/// Tags as a manifest may have them: the admission rules keep out keys that differ in case alone.
fn arb_tags() -> impl Strategy<Value = BTreeMap<&'static str, u8>> {
    btree_map(select(TAG_KEYS.to_vec()), 0u8..2, 0..4).prop_map(|tags| {
        let mut seen = BTreeSet::new();
        tags.into_iter().filter(|(key, _)| seen.insert(key.to_ascii_lowercase())).collect()
    })
}

fn arb_role_case() -> impl Strategy<Value = RoleCase> {
    let entry = (prop::bool::weighted(0.2), arb_required(), subsequence(USERS.to_vec(), 1..=3));
    let surroundings = ([arb_stage(), arb_stage(), arb_stage()], prop::bool::weighted(0.85), any::<bool>(), vec(entry, 0..3));
    let permissions = (
        subsequence(ATTACHABLE.to_vec(), 0..=3),
        arb_inline(),
        btree_map(select(MANAGED.to_vec()), 0..PERMISSIONS, 0..3),
        subsequence(MANAGED.to_vec(), 0..=3),
    );
    let settings = (arb_tags(), any::<bool>(), any::<bool>(), option::of(select(BOUNDARIES.to_vec())));
    (surroundings, permissions, settings).prop_map(|(s, p, t)| {
        let ((stages, allowed, root_trust, entries), (attached, inline, managed, former), (tags, description, long, boundary)) = (s, p, t);
        RoleCase { stages, allowed, root_trust, entries, attached, inline, managed, former, tags, description, long, boundary }
    })
}

fn arb_found() -> impl Strategy<Value = FoundAll> {
    let principals = vec![alice(), bob(), carol(), ROOT, DEAD, "*"];
    let statement = (prop::bool::weighted(0.85), arb_required(), subsequence(principals, 1..=3));
    let trust = (arb_whose(), vec(statement, 1..3), subsequence(ATTACHABLE.to_vec(), 0..=3), subsequence(MANAGED.to_vec(), 0..=3), arb_inline());
    let settings = (option::of(any::<bool>()), arb_tags(), any::<bool>(), any::<bool>(), option::of(select(BOUNDARIES.to_vec())), 0u8..12);
    let role = (trust, settings).prop_map(|(t, s)| {
        let ((whose, trust, attached, attached_managed, inline), (revoked, tags, description, long, boundary, pinned)) = (t, s);
        FoundRole { whose, trust, attached, attached_managed, inline, revoked, tags, description, long, boundary, pinned }
    });
    let policy = (arb_whose(), 0..PERMISSIONS, btree_map(select(TAG_KEYS.to_vec()), 0u8..2, 0..3), 0usize..5)
        .prop_map(|(whose, document, tags, other_versions)| FoundPolicy { whose, document, tags, other_versions });
    (option::weighted(0.85, role), btree_map(select(MANAGED.to_vec()), policy, 0..3)).prop_map(|(role, policies)| FoundAll { role, policies })
}

const fn alice() -> &'static str {
    "arn:aws:iam::111111111111:user/alice"
}

const fn bob() -> &'static str {
    "arn:aws:iam::111111111111:user/bob"
}

const fn carol() -> &'static str {
    "arn:aws:iam::111111111111:user/carol"
}

/// What policies say, by number; the last of them denies.
const PERMISSIONS: u8 = 4;

fn permission(number: u8) -> Value {
    let says = [("Allow", "s3:ListAllMyBuckets"), ("Allow", "s3:GetObject"), ("Allow", "s3:PutObject"), ("Deny", "s3:GetObject")];
    let (effect, action) = says[usize::from(number)];
    json!({"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, "Resource": "*"}]})
}

fn tags(of: &BTreeMap<&'static str, u8>) -> Tags {
    of.iter().map(|(key, value)| ((*key).to_owned(), value.to_string())).collect()
}

fn managed_arn(name: &str) -> Arn {
    format!("arn:aws:iam::222222222222:policy/{name}").parse().expect("an ARN")
}

impl RoleCase {
    fn cluster(&self, pinned: Option<&str>) -> Cluster {
        let mut cluster = Cluster::classic();
        cluster.apply(json!({"kind": "AWSAccount", "metadata": {"name": "prod"}, "spec": {
            "accountID": "222222222222",
            "allowedNamespaces": if self.allowed { json!({"from": "All"}) } else { json!({"from": "Names", "names": ["other"]}) },
            "guardrails": {"accountRootTrust": self.root_trust},
        }}));
        for (name, stage) in USERS.iter().zip(self.stages) {
            let mut meta = json!({"name": name});
            if stage == Stage::Deleting {
                meta["deletionTimestamp"] = json!("2026-01-02T00:00:00Z");
            }
            if stage != Stage::Missing {
                cluster.apply(json!({"kind": "BastionUser", "metadata": meta, "spec": {"accountRef": {"name": "utils"}}}));
            }
        }
        let trust: Vec<Value> = self
            .entries
            .iter()
            .map(|(root, required, users)| {
                let from: Vec<Value> = users.iter().map(|user| json!({"user": {"name": user}})).collect();
                let mut require = json!({});
                if required & MFA != 0 {
                    require["mfa"] = json!({});
                }
                if required & EXTERNAL_ID != 0 {
                    require["externalID"] = json!("example-42");
                }
                json!({"from": from, "require": require, "principal": if *root { "AccountRoot" } else { "Named" }})
            })
            .collect();
        let listed =
            |of: &BTreeMap<&str, u8>| of.iter().map(|(name, number)| json!({"name": name, "document": permission(*number)})).collect::<Vec<_>>();
        let mut spec = json!({
            "accountRef": {"name": "prod"}, "trust": trust, "tags": tags(&self.tags),
            "maxSessionDuration": if self.long { "2h" } else { "1h" },
            "permissions": {"attachedPolicies": self.attached, "inlinePolicies": listed(&self.inline), "customerManagedPolicies": listed(&self.managed)},
        });
        if self.description {
            spec["description"] = json!("as declared");
        }
        if let Some(boundary) = self.boundary {
            spec["permissionsBoundaryARN"] = json!(boundary);
        }
        let policies: Vec<Value> = self.former.iter().map(|name| json!({"arn": managed_arn(name)})).collect();
        let mut status = json!({"policies": policies});
        if let Some(pinned) = pinned {
            status["roleID"] = json!(pinned);
        }
        cluster.apply(json!({"kind": "CrossAccountRole", "metadata": {"name": "reader"}, "spec": spec, "status": status}));
        for (name, stage) in USERS.iter().zip(self.stages) {
            if matches!(stage, Stage::Made | Stage::Ready | Stage::Deleting) {
                cluster.make_user(&ObjectKey::new(NAMESPACE, *name), stage == Stage::Ready);
            }
        }
        cluster
    }

    /// The wanted state.
    fn desired(&self, found: &FoundAll) -> Desired {
        let cluster = self.cluster(found.pinned());
        let role = cluster.role(&ObjectKey::new(NAMESPACE, "reader")).expect("the role");
        let at = resolve_account(&cluster, "prod").expect("the account");
        desired_role(&cluster, &role, &at, &cluster.texts(Some(NAMESPACE), role.spec.permissions.as_ref()), INSTALLATION).expect("the role is valid")
    }
}

const ROLE_ID: &str = "AROAREADER0000000000";

impl FoundAll {
    fn pinned(&self) -> Option<&'static str> {
        match self.role.as_ref()?.pinned {
            0 => Some("AROAANOTHER000000000"),
            1..=5 => Some(ROLE_ID),
            _ => None,
        }
    }

    fn observed(&self, owner: &Owner, wanted: &Desired) -> Observed {
        let role = self.role.as_ref().map(|role| {
            let statements: Vec<Value> = role
                .trust
                .iter()
                .map(|(allows, required, principals)| {
                    let mut condition = json!({});
                    if *allows && required & MFA != 0 {
                        condition["Bool"] = json!({"aws:MultiFactorAuthPresent": "true"});
                    }
                    if *allows && required & EXTERNAL_ID != 0 {
                        condition["StringEquals"] = json!({"sts:ExternalId": "example-42"});
                    }
                    let effect = if *allows { "Allow" } else { "Deny" };
                    json!({"Effect": effect, "Principal": {"AWS": principals}, "Action": "sts:AssumeRole", "Condition": condition})
                })
                .collect();
            let mut identity = wanted.identity.clone();
            let settings = identity.role.as_mut().expect("a role");
            settings.trust_policy = document(&json!({"Version": "2012-10-17", "Statement": statements}));
            settings.description = if role.description { "as declared".into() } else { "found".into() };
            settings.max_session_duration = if role.long { 7200 } else { 3600 };
            identity.tags = tags(&role.tags).into_iter().chain(role.whose.tags(owner)).chain([("aws:stack".to_owned(), "x".to_owned())]).collect();
            identity.permissions_boundary = role.boundary.map(|arn| arn.parse().expect("an ARN"));
            identity.inline_policies =
                role.inline.iter().map(|(name, number)| (name.parse().expect("a name"), document(&permission(*number)))).collect();
            if let Some(denies) = role.revoked {
                let effect = if denies { "Deny" } else { "Allow" };
                let revoking = json!({"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": "*", "Resource": "*"}]});
                identity.inline_policies.insert(REVOKE_SESSIONS_POLICY.parse().expect("a name"), document(&revoking));
            }
            let attached = role.attached.iter().map(|arn| arn.parse().expect("an ARN"));
            // IAM has nothing attached that does not exist.
            let attached_managed = role.attached_managed.iter().filter(|name| self.policies.contains_key(*name));
            identity.attached_policies = attached.chain(attached_managed.map(|name| managed_arn(name))).collect();
            ObservedIdentity { id: id(ROLE_ID), identity }
        });
        let policy = |name: &&str, found: &FoundPolicy| {
            let arn = managed_arn(name);
            let made = rolebridge::core::identity::ManagedPolicy {
                arn: arn.clone(),
                name: name.parse().expect("a name"),
                path: rolebridge::core::names::Path::root(),
                description: String::new(),
                document: document(&permission(found.document)),
                tags: tags(&found.tags).into_iter().chain(found.whose.tags(owner)).collect(),
            };
            let other_versions = (1..=found.other_versions).map(|n| format!("v{n}")).collect();
            (
                arn,
                ObservedPolicy {
                    id: id(&unique_id("ANPA", name)),
                    policy: made,
                    default_version: format!("v{}", found.other_versions + 1),
                    other_versions,
                },
            )
        };
        Observed { identity: role, policies: self.policies.iter().map(|(name, found)| policy(name, found)).collect() }
    }

    fn foreign_policies(&self) -> BTreeSet<Arn> {
        self.policies.iter().filter(|(_, found)| !found.whose.is_ours()).map(|(name, _)| managed_arn(name)).collect()
    }
}

// What is checked.

fn allows(statement: &StatementRef<'_>) -> bool {
    statement.effect() == Some(Effect::Allow)
}

/// The AWS principals that a role's trust policy names in statements that allow (or deny), with what is required there.
fn named(observed: &Observed, effect: Effect) -> BTreeSet<(String, u8)> {
    let role = observed.identity.as_ref().and_then(|found| found.identity.role.as_ref());
    let statements = role.map(|role| role.trust_policy.statements()).unwrap_or_default();
    let of_effect = statements.iter().filter(|s| s.effect() == Some(effect));
    of_effect.flat_map(|s| s.principals("AWS").into_iter().map(|name| (name.to_owned(), required(s)))).collect()
}

fn required(statement: &StatementRef<'_>) -> u8 {
    let bit = |key: &str| match key {
        "aws:MultiFactorAuthPresent" => MFA,
        "sts:ExternalId" => EXTERNAL_ID,
        other => panic!("nothing here requires {other}"),
    };
    statement.conditions().iter().map(|condition| bit(condition.key)).fold(0, |all, bit| all | bit)
}

/// Who comes in, by name and by what they bring: the root stands for everybody in its account, `*` for everybody.
fn everybody_in(principals: BTreeSet<(String, u8)>) -> BTreeSet<String> {
    let members = |(principal, required): &(String, u8)| {
        let required = *required;
        let bringing = move |who: &str| {
            let who = who.to_owned();
            (0..=(MFA | EXTERNAL_ID)).filter(move |brought| brought & required == required).map(move |brought| format!("{who} with {brought}"))
        };
        match principal.as_str() {
            "*" => vec!["*", ROOT, alice(), bob(), carol(), DEAD],
            ROOT => vec![ROOT, alice(), bob(), carol()],
            other => vec![other],
        }
        .into_iter()
        .flat_map(bringing)
        .collect::<Vec<_>>()
    };
    principals.iter().flat_map(members).collect()
}

/// Whom a trust policy lets in: all that it allows and does not deny.
fn let_in(observed: &Observed) -> BTreeSet<String> {
    let denied = everybody_in(named(observed, Effect::Deny));
    everybody_in(named(observed, Effect::Allow)).difference(&denied).cloned().collect()
}

/// What an identity may do: the statements of its policies. Policies that others manage say nothing here.
fn may(observed: &Observed) -> BTreeSet<(String, Option<Canonical>)> {
    let Some(found) = &observed.identity else { return BTreeSet::new() };
    let inline = found.identity.inline_policies.iter().flat_map(|(name, document)| statements(name, Some(document)));
    let says = |arn: &Arn| observed.policies.get(arn).map(|policy| &policy.policy.document);
    inline.chain(found.identity.attached_policies.iter().flat_map(|arn| statements(arn, says(arn)))).collect()
}

/// What a policy says, statement by statement; None where that is not known.
fn statements(name: &impl ToString, document: Option<&Document>) -> Vec<(String, Option<Canonical>)> {
    let name = name.to_string();
    let Some(document) = document else { return vec![(name, None)] };
    let alone = |statement: StatementRef<'_>| support_core::document(&json!({"Version": "2012-10-17", "Statement": statement.to_value()}));
    document.statements().into_iter().map(|statement| (name.clone(), Some(Canonical::of(&alone(statement))))).collect()
}

/// What comes of the statements that are known.
fn in_effect(observed: &Observed) -> Requests {
    let Some(found) = &observed.identity else { return Requests::new() };
    let attached = found.identity.attached_policies.iter().filter_map(|arn| observed.policies.get(arn)).map(|found| &found.policy.document);
    allowed(found.identity.inline_policies.values().chain(attached).collect::<Vec<_>>())
}

/// What a role is to be able to do, read from the declaration; and the denial of older sessions, where there is one.
fn is_to(desired: &Desired, start: &Observed) -> BTreeSet<(String, Option<Canonical>)> {
    let inline = desired.identity.inline_policies.iter().flat_map(|(name, document)| statements(name, Some(document)));
    let says = |arn: &Arn| {
        let kept = || start.policies.get(arn).map(|policy| &policy.policy.document);
        desired.policies.get(arn).map(|policy| &policy.document).or_else(kept)
    };
    let attached = desired.identity.attached_policies.iter().flat_map(|arn| statements(arn, says(arn)));
    let revoking = start.identity.iter().flat_map(|found| &found.identity.inline_policies);
    let revoking = revoking.filter(|(name, document)| name.as_str() == REVOKE_SESSIONS_POLICY && document.all_statements_deny());
    inline.chain(attached).chain(revoking.flat_map(|(name, document)| statements(name, Some(document)))).collect()
}

/// Whom the declaration lets in, given what there is.
fn to_let_in(desired: &Desired, start: &Observed) -> BTreeSet<String> {
    everybody_in(standing(desired, start))
}

/// What an admission requires.
fn bits(rule: &TrustRule) -> u8 {
    let conditions = [("Bool", "aws:MultiFactorAuthPresent", MFA), ("StringEquals", "sts:ExternalId", EXTERNAL_ID)];
    conditions.iter().filter(|(operator, key, _)| rule.conditions.has(operator, key)).fold(0, |all, (.., bit)| all | bit)
}

/// The principals of the grants that stand. What is merely kept stays where it is named and let in: under what is required now, where that lets in
/// nobody new, and otherwise as it was.
fn standing(desired: &Desired, start: &Observed) -> BTreeSet<(String, u8)> {
    let denied = everybody_in(named(start, Effect::Deny));
    let alone = |(name, required): &(String, u8)| -> BTreeSet<String> {
        (0..=(MFA | EXTERNAL_ID)).filter(|brought| brought & required == *required).map(|brought| format!("{name} with {brought}")).collect()
    };
    let there: BTreeSet<(String, u8)> = named(start, Effect::Allow).into_iter().filter(|entry| alone(entry).is_disjoint(&denied)).collect();
    // Who is to be let in by a root in any case may be named, too.
    let wanted = desired.trust.iter().flatten().flatten().filter(|grant| grant.intent == Intent::Grant);
    let by_root = wanted.filter_map(|grant| grant.rule.as_ref()).map(|rule| (rule.principal.to_string(), bits(rule)));
    let let_in: BTreeSet<String> = let_in(start).union(&everybody_in(by_root.collect())).cloned().collect();
    let stands = |grant: &Grant| -> Vec<(String, u8)> {
        let Some(rule) = &grant.rule else { return vec![] };
        let wanted = (rule.principal.to_string(), bits(rule));
        let is_one_of = |many: &str| many == "*" || (many == ROOT && wanted.0.starts_with("arn:aws:iam::111111111111:"));
        let exists = grant.source_id.is_some() || wanted.0 == ROOT;
        let own = there.iter().filter(|(name, _)| *name == wanted.0 || (exists && is_one_of(name)));
        let as_it_was = own.map(|(_, required)| (wanted.0.clone(), *required));
        let as_it_was: Vec<(String, u8)> = as_it_was.filter(|entry| alone(entry).is_disjoint(&denied)).collect();
        // Who is to come in by a root and was named stays named, where the root is not allowed.
        let is_own_name = |name: &str| grant.own_name.as_ref().is_some_and(|own| own.to_string() == name);
        let by_name: Vec<(String, u8)> = there.iter().filter(|(name, _)| is_own_name(name)).cloned().collect();
        match grant.intent {
            Intent::Grant => vec![wanted],
            Intent::Revoke => vec![],
            Intent::Freeze if as_it_was.is_empty() => by_name,
            Intent::Freeze if alone(&wanted).is_subset(&let_in) => vec![wanted],
            Intent::Freeze => as_it_was.into_iter().chain(by_name).collect(),
        }
    };
    desired.trust.iter().flatten().flatten().flat_map(stands).collect()
}

/// The tags of a role as IAM tells their keys apart, without those of AWS's own.
fn tags_of_role(observed: &Observed) -> Vec<(String, String)> {
    let tags = observed.identity.iter().flat_map(|found| &found.identity.tags).filter(|(key, _)| !key.starts_with("aws:"));
    let mut tags: Vec<_> = tags.map(|(key, value)| (key.to_ascii_lowercase(), value.clone())).collect();
    tags.sort();
    tags
}

/// What an action writes to.
#[derive(Debug, PartialEq)]
enum Target {
    Identity,
    Policy(Arn),
}

fn target(action: &Action) -> Target {
    match action {
        Action::CreatePolicy(policy) => Target::Policy(policy.arn.clone()),
        Action::CreatePolicyVersion(arn, _) | Action::DeletePolicyVersion(arn, _) | Action::DeletePolicy(arn) => Target::Policy(arn.clone()),
        Action::Tag(Tagged::Policy(arn), _) | Action::Untag(Tagged::Policy(arn), _) => Target::Policy(arn.clone()),
        _ => Target::Identity,
    }
}

/// The state without what differs from run to run: unique IDs and the numbers of versions.
fn outcome(observed: &Observed) -> (Option<rolebridge::core::identity::Identity>, Vec<rolebridge::core::identity::ManagedPolicy>) {
    (observed.identity.as_ref().map(|found| found.identity.clone()), observed.policies.values().map(|found| found.policy.clone()).collect())
}

proptest! {
    #![proptest_config(config(200))]

    /// Planning is idempotent, and a plan may be interrupted anywhere: planned again from there, it ends the same.
    #[test]
    fn a_role_converges_from_every_state(case in arb_role_case(), found in arb_found()) {
        let desired = case.desired(&found);
        let start = found.observed(&desired.owner, &desired);
        if let Ok(planned) = plan(&desired, &start) {
            let states = states(&start, &planned.actions);
            let end = states.last().expect("the start");
            prop_assert_eq!(tags_of_role(end), tags_of_role(&Observed { identity: Some(ObservedIdentity { id: id(ROLE_ID), identity: desired.identity.clone() }), ..Observed::default() }));
            for state in &states {
                // What was made on the way has a unique ID that the status does not have yet.
                let desired = Desired { pinned: state.identity.as_ref().map(|found| found.id.clone()), ..desired.clone() };
                let again = plan(&desired, state).map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
                let ended = support_core::states(state, &again.actions).pop().expect("the start");
                prop_assert_eq!(outcome(&ended), outcome(end));
                prop_assert_eq!(plan(&desired, &ended), Ok(Plan::default()));
            }
        }
    }

    /// L3 and L4 for the trust policy, in every state.
    #[test]
    fn nobody_is_let_in_or_shut_out_on_the_way(case in arb_role_case(), found in arb_found()) {
        let desired = case.desired(&found);
        let start = found.observed(&desired.owner, &desired);
        let Ok(planned) = plan(&desired, &start) else { return Ok(()) };
        let before = let_in(&start);
        let after = to_let_in(&desired, &start);
        let states = states(&start, &planned.actions);
        for state in states.iter().filter(|state| state.identity.is_some()) {
            let now = let_in(state);
            prop_assert!(now.is_subset(&before.union(&after).cloned().collect()), "{now:?} is neither of {before:?} nor of {after:?}");
            prop_assert!(now.is_superset(&before.intersection(&after).cloned().collect()), "{now:?} lacks what both {before:?} and {after:?} have");
        }
        prop_assert_eq!(let_in(states.last().expect("the start")), after);
    }

    /// The same for permissions; and who is let in or shut out by the plan never sees a permission that changes.
    #[test]
    fn permissions_are_never_absent_and_trust_changes_around_them(case in arb_role_case(), found in arb_found()) {
        let desired = case.desired(&found);
        let start = found.observed(&desired.owner, &desired);
        let Ok(planned) = plan(&desired, &start) else { return Ok(()) };
        let (before, after) = (may(&start), is_to(&desired, &start));
        let (in_before, in_after) = (let_in(&start), to_let_in(&desired, &start));
        // Where somebody has denied a few by hand, what replaces that document may let them in early.
        let by_hand = !named(&start, Effect::Deny).is_empty() && !in_before.is_empty();
        let states = states(&start, &planned.actions);
        let end = states.last().expect("the start");
        // Where everything is denied throughout, or allowed already, it does not matter what else there is.
        let is_denied = found.role.as_ref().is_some_and(|role| role.revoked == Some(true));
        let abused = |policy: &(String, Option<Canonical>)| policy.0 == REVOKE_SESSIONS_POLICY && !is_denied;
        let allows_all = |state: &Observed| may(state).iter().any(abused);
        let unknown = |may: &BTreeSet<(String, Option<Canonical>)>| may.iter().filter(|(_, says)| says.is_none() && !is_denied).cloned().collect::<BTreeSet<_>>();
        for state in states.iter().filter(|state| state.identity.is_some() && start.identity.is_some()) {
            let (now, in_now) = (may(state), let_in(state));
            prop_assert!(now.is_subset(&before.union(&after).cloned().collect()), "{now:?}");
            let boundary = |of: &Observed| of.identity.as_ref().and_then(|found| found.identity.permissions_boundary.clone());
            let wanted = &desired.identity.permissions_boundary;
            // Under another boundary a permission is another one.
            let replaced = wanted.is_some() && boundary(&start).is_some() && *wanted != boundary(&start);
            if replaced {
                let (declared, by) = if boundary(state) == *wanted { (&after, end) } else { (&before, &start) };
                let is_declared = unknown(&now).is_subset(&unknown(declared)) || allows_all(by);
                prop_assert!(is_declared, "{now:?} was declared under neither boundary: {planned}");
                prop_assert!(in_effect(state).is_subset(&in_effect(by)), "{now:?} was declared under neither boundary: {planned}");
            } else {
                prop_assert!(now.is_superset(&before.intersection(&after).cloned().collect()), "{now:?}");
            }
            if in_now.difference(&in_after).next().is_some() {
                prop_assert!(now.is_subset(&before), "somebody who is to be shut out has got {now:?}");
            }
            if !by_hand && in_now.difference(&in_before).next().is_some() {
                prop_assert_eq!(&now, &after, "somebody who is let in sees permissions that change");
                prop_assert!(wanted.is_none() || boundary(state) == *wanted, "somebody is let in before there is a boundary");
            }
            let adds_unknown = !unknown(&now).is_subset(&unknown(&before)) && !allows_all(&start);
            let adds = adds_unknown || !in_effect(state).is_subset(&in_effect(&start));
            if adds && wanted.is_some() {
                prop_assert_eq!(&boundary(state), wanted, "a permission came before the boundary");
            }
            let either = in_effect(&start).union(&in_effect(end)).copied().collect();
            // What nobody can be in may be worked on in any order.
            let is_idle = in_before.is_empty();
            prop_assert!(is_idle || in_effect(state).is_subset(&either), "more is allowed than before and afterwards: {planned}");
            // What nothing is known of may limit all else.
            let limited = unknown(&after).is_subset(&unknown(&now).union(&unknown(&before)).cloned().collect());
            prop_assert!(is_idle || limited || in_effect(state).is_subset(&in_effect(&start)), "{now:?} came before what may limit it: {planned}");
            let unlimited = !unknown(&before).is_subset(&unknown(&now).union(&unknown(&after)).cloned().collect());
            prop_assert!(is_idle || !unlimited || in_effect(state).is_subset(&in_effect(end)), "what may limit it went before {now:?}: {planned}");
            if boundary(state).is_none() && boundary(&start).is_some() {
                prop_assert_eq!(&now, &after, "the boundary went before the permissions that it held back");
            }
        }
        prop_assert_eq!(may(end), after);
    }

    /// What is somebody else's is never written to.
    #[test]
    fn foreign_objects_give_no_action(case in arb_role_case(), found in arb_found()) {
        let desired = case.desired(&found);
        let start = found.observed(&desired.owner, &desired);
        let foreign = found.foreign_policies();
        let role_is_foreign = found.role.as_ref().is_some_and(|role| !role.whose.is_ours() || found.pinned().is_some_and(|pinned| pinned != ROLE_ID));
        match plan(&desired, &start) {
            Ok(planned) => {
                prop_assert!(!role_is_foreign && foreign.iter().all(|arn| !desired.policies.contains_key(arn)));
                for action in &planned.actions {
                    prop_assert!(!matches!(target(action), Target::Policy(arn) if foreign.contains(&arn)), "{}", action);
                }
            }
            Err(problems) => {
                let told = problems.iter().all(|p| matches!(p.reason, Reason::Conflict | Reason::IdentityChanged));
                prop_assert!(told && (role_is_foreign || foreign.iter().any(|arn| desired.policies.contains_key(arn))), "{problems:?}");
            }
        }
    }

    /// Documents that are spelled in another way are no drift.
    #[test]
    fn spelling_is_no_drift(case in arb_role_case(), found in arb_found()) {
        let desired = case.desired(&found);
        let start = found.observed(&desired.owner, &desired);
        let Ok(planned) = plan(&desired, &start) else { return Ok(()) };
        let mut state = states(&start, &planned.actions).pop().expect("the start");
        let desired = Desired { pinned: state.identity.as_ref().map(|found| found.id.clone()), ..desired };
        if let Some(found) = &mut state.identity {
            found.identity.inline_policies.values_mut().for_each(respell);
            if let Some(role) = &mut found.identity.role {
                respell(&mut role.trust_policy);
            }
        }
        state.policies.values_mut().for_each(|found| respell(&mut found.policy.document));
        prop_assert_eq!(plan(&desired, &state), Ok(Plan::default()));
    }

    /// Where the declaration cannot be carried out, what is withdrawn goes all the same, and nothing else changes.
    #[test]
    fn withdrawing_only_takes_away(case in arb_role_case(), found in arb_found()) {
        let desired = case.desired(&found);
        let start = found.observed(&desired.owner, &desired);
        let less = Desired::withdraw_revoked(desired.owner.clone(), id(ROLE_ID), desired.trust.clone(), vec![], desired.arn.clone(), desired.quotas, &start);
        prop_assert_eq!(less.is_some(), found.role.is_some());
        let (Some(less), Some(role)) = (less, &found.role) else { return Ok(()) };
        let planned = match plan(&less, &start) {
            Ok(planned) => planned,
            Err(problems) => {
                prop_assert!(!role.whose.is_ours(), "narrowing is held up by {problems:?}");
                return Ok(());
            }
        };
        prop_assert!(role.whose.is_ours());
        prop_assert!(planned.actions.iter().all(|action| matches!(action, Action::UpdateTrustPolicy(..))), "{planned}");
        let end = states(&start, &planned.actions).pop().expect("the start");
        let (before, now) = (let_in(&start), let_in(&end));
        // Documents are built anew, so a denial by hand of a few of those that a root lets in does not outlast it.
        let by_hand = !named(&start, Effect::Deny).is_empty() && !before.is_empty();
        prop_assert!(by_hand || now.is_subset(&before), "{now:?} is more than {before:?}");
        // Nobody is added, so a root that is to replace its users does not come in for them either.
        let stands = standing(&desired, &start);
        let alone = stands.iter().flat_map(|(name, required)| (0..=(MFA | EXTERNAL_ID)).filter(move |brought| brought & required == *required).map(move |brought| format!("{name} with {brought}")));
        prop_assert!(now.is_superset(&before.intersection(&alone.collect()).cloned().collect()), "{now:?} lacks what stands in {before:?}");
        let names = |all: BTreeSet<String>| all.iter().filter_map(|who| who.split_once(" with ")).map(|(name, _)| name.to_owned()).collect::<BTreeSet<_>>();
        prop_assert!(names(now.clone()).is_subset(&names(to_let_in(&desired, &start))), "{now:?} is more than {stands:?}");
    }

    /// A removal leaves nothing of ours and changes nothing of anybody else's.
    #[test]
    fn a_removal_takes_what_is_ours_and_no_more(case in arb_role_case(), found in arb_found(), cut_off_only in any::<bool>()) {
        let desired = case.desired(&found);
        let start = found.observed(&desired.owner, &desired);
        let removed = DeletionTarget {
            owner: desired.owner.clone(), pinned: desired.pinned.clone(), name: desired.identity.name.clone(), policies: desired.known_policies(),
            quotas: desired.quotas,
        };
        let how_far = if cut_off_only { DeletionPhase::CutOff } else { DeletionPhase::Delete };
        let (planned, problem) = plan_removal(&removed, &start, &Dependents::default(), how_far);
        let role_is_ours = found.role.as_ref().is_some_and(|role| role.whose.is_ours() && found.pinned().is_none_or(|pinned| pinned == ROLE_ID));
        // What we made and what does not say so any more is neither touched nor left behind in silence.
        let disowned = found.role.as_ref().is_some_and(|role| !role.whose.is_ours()) && found.pinned().is_some_and(|pinned| pinned == ROLE_ID);
        prop_assert_eq!(problem.is_some(), disowned, "{:?}", problem);
        prop_assert!(!disowned || planned.actions.is_empty());
        let foreign = found.foreign_policies();
        let states = states(&start, &planned.actions);
        for state in &states {
            if !role_is_ours {
                prop_assert_eq!(&state.identity, &start.identity);
            }
            for (arn, policy) in start.policies.iter().filter(|(arn, _)| foreign.contains(*arn) || !removed.policies.contains(*arn)) {
                prop_assert_eq!(state.policies.get(arn), Some(policy));
            }
            prop_assert!(let_in(state).is_subset(&let_in(&start)));
        }
        let end = states.last().expect("the start");
        if role_is_ours {
            prop_assert!(states.iter().skip(1).all(|state| let_in(state).is_empty()), "cut off first");
            prop_assert!(let_in(end).is_empty());
            prop_assert_eq!(end.identity.is_none(), !cut_off_only);
        }
        let ours_left = end.policies.keys().filter(|arn| removed.policies.contains(*arn) && !foreign.contains(*arn)).count();
        prop_assert!(cut_off_only || disowned || ours_left == 0);
        let (again, problem) = plan_removal(&removed, end, &Dependents::default(), how_far);
        prop_assert_eq!((again, problem.is_some()), (Plan::default(), disowned));
    }
}

/// Writes a document in another way that means the same: lists for scalars and the other way round, statements the other way round, other cases.
fn respell(document: &mut Document) {
    let mut value = document.as_value().clone();
    if let Some(statements) = value["Statement"].as_array_mut() {
        statements.reverse();
        for statement in statements.iter_mut() {
            for element in ["Action", "Resource"] {
                match statement.get_mut(element) {
                    Some(Value::Array(items)) => items.reverse(),
                    Some(scalar) => *scalar = json!([scalar.clone(), scalar.clone()]),
                    None => {}
                }
            }
            if let Some(actions) = statement["Action"].as_array_mut() {
                actions.iter_mut().for_each(|action| *action = json!(action.as_str().unwrap_or_default().to_ascii_uppercase()));
            }
            let respelled = |(operator, keys): (&String, &Value)| {
                let keys = keys.as_object().into_iter().flatten().map(|(key, value)| (key.to_ascii_uppercase(), json!([value, value])));
                (operator.to_ascii_lowercase(), Value::Object(keys.collect()))
            };
            let conditions = statement["Condition"].as_object().into_iter().flatten().map(respelled);
            statement["Condition"] = Value::Object(conditions.collect());
        }
        if let [only] = statements.as_slice() {
            let only = only.clone();
            value["Statement"] = only;
        }
    }
    *document = Document::from_value(value).expect("a document");
}

// Users.

/// A role as a user sees it.
#[derive(Clone, Debug)]
struct Naming {
    named: bool,
    deleting: bool,
    frozen: bool,
    root: bool,
}

#[derive(Clone, Debug)]
struct FoundUser {
    whose: Whose,
    /// Roles of the assume policy that are allowed, and those that are denied.
    allowed: Option<Vec<usize>>,
    denied: Vec<usize>,
    cut_off: bool,
    foreign: bool,
    boundary: Option<&'static str>,
    tags: BTreeMap<&'static str, u8>,
}

fn role_arn(index: usize) -> String {
    format!("arn:aws:iam::222222222222:role/role-{index}")
}

fn arb_naming() -> impl Strategy<Value = Naming> {
    (prop::bool::weighted(0.7), prop::bool::weighted(0.2), prop::bool::weighted(0.3), prop::bool::weighted(0.2))
        .prop_map(|(named, deleting, frozen, root)| Naming { named, deleting, frozen, root })
}

fn arb_found_user() -> impl Strategy<Value = FoundUser> {
    let roles = || subsequence(vec![0usize, 1, 2, 3, 4], 0..=4);
    let rest = (any::<bool>(), any::<bool>(), option::of(select(BOUNDARIES.to_vec())), arb_tags());
    (arb_whose(), option::of(roles()), prop_oneof![4 => Just(vec![]), 1 => roles()], rest).prop_map(
        |(whose, allowed, denied, (cut_off, foreign, boundary, tags))| FoundUser { whose, allowed, denied, cut_off, foreign, boundary, tags },
    )
}

fn desired_of_user(naming: &[Naming], boundary: Option<&str>, tags_: &BTreeMap<&'static str, u8>) -> Desired {
    let mut cluster = Cluster::classic();
    // Another account, since two names for one would be a double.
    cluster.apply(json!({"kind": "AWSAccount", "metadata": {"name": "closed"}, "spec": {"accountID": "333333333333", "allowedNamespaces": {"from": "Names", "names": ["other"]}}}));
    let mut spec = json!({"accountRef": {"name": "utils"}, "tags": tags(tags_)});
    if let Some(boundary) = boundary {
        spec["permissionsBoundaryARN"] = json!(boundary);
    }
    cluster.apply(json!({"kind": "BastionUser", "metadata": {"name": "alice"}, "spec": spec}));
    for (index, naming) in naming.iter().enumerate() {
        let mut meta = json!({"name": format!("role-{index}")});
        if naming.deleting {
            meta["deletionTimestamp"] = json!("2026-01-02T00:00:00Z");
        }
        let source = if naming.named { "alice" } else { "bob" };
        cluster.apply(json!({"kind": "CrossAccountRole", "metadata": meta, "spec": {
            "accountRef": {"name": if naming.frozen { "closed" } else { "prod" }},
            "trust": [{"from": [{"user": {"name": source}}], "principal": if naming.root { "AccountRoot" } else { "Named" }}],
        }}));
    }
    let user = cluster.user(&ObjectKey::new(NAMESPACE, "alice")).expect("the user");
    let at = resolve_account(&cluster, "utils").expect("the account");
    desired_user(&cluster, &user, &at, &cluster.texts(Some(NAMESPACE), user.spec.permissions.as_ref()), INSTALLATION).expect("the user is valid")
}

impl FoundUser {
    fn observed(&self, desired: &Desired, naming: &[Naming]) -> Observed {
        let arn = |index: &usize| {
            if naming.get(*index).is_some_and(|n| n.frozen) { role_arn(*index).replace("222222222222", "333333333333") } else { role_arn(*index) }
        };
        let arns = |of: &[usize]| of.iter().map(arn).collect::<Vec<_>>();
        let mut identity = desired.identity.clone();
        identity.tags = tags(&self.tags).into_iter().chain(self.whose.tags(&desired.owner)).collect();
        identity.permissions_boundary = self.boundary.map(|arn| arn.parse().expect("an ARN"));
        let mut statements = vec![];
        if let Some(allowed) = self.allowed.as_ref().filter(|roles| !roles.is_empty()) {
            statements.push(json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": arns(allowed)}));
        }
        if !self.denied.is_empty() {
            statements.push(json!({"Effect": "Deny", "Action": "sts:AssumeRole", "Resource": arns(&self.denied)}));
        }
        let mut put = |name: &str, value: Value| identity.inline_policies.insert(name.parse().expect("a name"), document(&value));
        if !statements.is_empty() {
            put(ASSUME_POLICY, json!({"Version": "2012-10-17", "Statement": statements}));
        }
        if self.cut_off {
            put("RolebridgeCutOff", json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}));
        }
        if self.foreign {
            put("somebody-elses", permission(0));
            identity.attached_policies.insert(ATTACHABLE[0].parse().expect("an ARN"));
        }
        Observed { identity: Some(ObservedIdentity { id: id("AIDAALICE00000000000"), identity }), policies: BTreeMap::new() }
    }
}

fn may_assume(observed: &Observed) -> BTreeSet<String> {
    let policies = observed.identity.iter().flat_map(|found| &found.identity.inline_policies);
    let statements: Vec<StatementRef<'_>> =
        policies.filter(|(name, _)| name.as_str() == ASSUME_POLICY).flat_map(|(_, document)| document.statements()).collect();
    let named = |effect: bool| {
        statements
            .iter()
            .filter(move |s| allows(s) == effect)
            .flat_map(|s| s.resources().unwrap_or_default())
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    };
    named(true).difference(&named(false)).cloned().collect()
}

fn foreign_parts(observed: &Observed) -> (Vec<String>, BTreeSet<Arn>) {
    let Some(found) = &observed.identity else { return (vec![], BTreeSet::new()) };
    let foreign = found.identity.inline_policies.keys().map(ToString::to_string).filter(|name| name == "somebody-elses").collect();
    (foreign, found.identity.attached_policies.clone())
}

proptest! {
    #![proptest_config(config(300))]

    /// L3 and L4 for the assume policy, convergence from every state, and what others put on the user stays.
    #[test]
    fn a_user_may_assume_what_old_and_new_allow(
        naming in vec(arb_naming(), 0..5), boundary in option::of(select(BOUNDARIES.to_vec())), wanted_tags in arb_tags(), found in arb_found_user(),
    ) {
        let desired = desired_of_user(&naming, boundary, &wanted_tags);
        let start = found.observed(&desired, &naming);
        let planned = match plan(&desired, &start) {
            Ok(planned) => planned,
            Err(problems) => {
                prop_assert!(!found.whose.is_ours(), "{problems:?}");
                return Ok(());
            }
        };
        prop_assert!(found.whose.is_ours());
        let before = may_assume(&start);
        let after: BTreeSet<String> = desired.assumes.iter()
            .filter(|role| role.intent == Intent::Grant || (role.intent == Intent::Freeze && before.contains(role.arn.as_str())))
            .map(|role| role.arn.to_string()).collect();
        let states = states(&start, &planned.actions);
        for state in &states {
            let now = may_assume(state);
            prop_assert!(now.is_subset(&before.union(&after).cloned().collect()), "{now:?} is neither of {before:?} nor of {after:?}");
            prop_assert!(now.is_superset(&before.intersection(&after).cloned().collect()), "{now:?} lacks what both {before:?} and {after:?} have");
            prop_assert_eq!(foreign_parts(state), foreign_parts(&start));
            let again = plan(&desired, state).map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
            let ended = support_core::states(state, &again.actions).pop().expect("the start");
            prop_assert_eq!(outcome(&ended), outcome(states.last().expect("the start")));
        }
        let end = states.last().expect("the start");
        prop_assert_eq!(may_assume(end), after);
        prop_assert_eq!(plan(&desired, end), Ok(Plan::default()));
        for (index, naming) in naming.iter().enumerate().filter(|(_, naming)| naming.deleting || !naming.named) {
            prop_assert!(!desired.assumes.iter().any(|role| role.key.name == format!("role-{index}")), "{naming:?} is none of the user's");
        }
    }

    /// The removal of a user: cut off from the first action to the last but one, and gone with all that is its own.
    #[test]
    fn statement_38_a_removed_user_is_cut_off_until_it_is_gone(found in arb_found_user(), keys in btree_set("AKIA[A-Z]{4}", 0..3), password in any::<bool>()) {
        let desired = desired_of_user(&[], None, &BTreeMap::new());
        let start = found.observed(&desired, &[]);
        let removed = DeletionTarget { owner: desired.owner.clone(), pinned: None, name: desired.identity.name.clone(), policies: BTreeSet::new(), quotas: desired.quotas };
        let mut of_user: BTreeSet<Dependent> = keys.into_iter().map(Dependent::AccessKey).collect();
        if password {
            of_user.insert(Dependent::LoginProfile);
        }
        let dependents = Dependents { of_user: of_user.clone(), ..Dependents::default() };
        let (planned, problem) = plan_removal(&removed, &start, &dependents, DeletionPhase::Delete);
        prop_assert_eq!(problem, None);
        if !found.whose.is_ours() {
            prop_assert_eq!(planned, Plan::default());
            return Ok(());
        }
        let denied = |state: &Observed| state.identity.as_ref().is_some_and(|found| found.identity.inline_policies.iter()
            .any(|(name, document)| name.as_str() == "RolebridgeCutOff" && document.all_statements_deny()));
        let states = states(&start, &planned.actions);
        let (gone, rest) = states.split_last().expect("the start");
        let (last, on_the_way) = rest.split_last().expect("there are actions");
        prop_assert!(on_the_way.iter().skip(1).all(denied), "the deny goes last of the policies");
        let IdentityName::User(name) = &removed.name else { return Err(TestCaseError::fail("no user")) };
        for what in of_user {
            prop_assert!(planned.actions.contains(&Action::RemoveDependent(name.clone(), what)));
        }
        // IAM deletes no user that has policies.
        let bare = last.identity.as_ref().is_some_and(|found| found.identity.inline_policies.is_empty() && found.identity.attached_policies.is_empty());
        prop_assert!(bare && gone.identity.is_none());
    }
}

// Users with more roles than one policy holds.

/// Roles of a user, the longer the fewer of them fill a policy.
const CROWD: usize = 40;

/// A shard that is there: its number, roles, whether it is attached, and whose it is.
type FoundShard = (usize, Vec<usize>, bool, Whose);

#[derive(Clone, Debug)]
struct Crowd {
    presences: Vec<Intent>,
    inline: Vec<usize>,
    shards: Vec<FoundShard>,
    boundaries: (Option<&'static str>, Option<&'static str>),
}

fn arb_crowd() -> impl Strategy<Value = Crowd> {
    let intent = |wanted: u32| prop_oneof![wanted => Just(Intent::Grant), 2 => Just(Intent::Freeze), 2 => Just(Intent::Revoke)];
    // All, many, some and few of them wanted: what fits inline is few.
    let presences = prop_oneof![Just(vec![Intent::Grant; CROWD]), vec(intent(12), CROWD), vec(intent(2), 0..12), vec(intent(2), 0..5)];
    let some = |most: usize| subsequence((0..CROWD).collect::<Vec<_>>(), 0..=most);
    let whose = prop_oneof![12 => Just(Whose::Ours), 1 => Just(Whose::Nobody)];
    // Some are full, and in these there is no room for what their roles need.
    let shards = vec((1usize..4, prop_oneof![some(16), some(CROWD)], prop::bool::weighted(0.8), whose), 0..4);
    let boundary = || option::of(select(BOUNDARIES.to_vec()));
    (presences, some(5), shards, (boundary(), boundary())).prop_map(|(presences, inline, shards, boundaries)| {
        let shards: BTreeMap<usize, FoundShard> = shards.into_iter().map(|shard| (shard.0, shard)).collect();
        Crowd { presences, inline, shards: shards.into_values().collect(), boundaries }
    })
}

fn crowd_arn(index: usize) -> Arn {
    format!("arn:aws:iam::222222222222:role/{}role-{index}", "long/".repeat([0, 40, 90][index % 3])).parse().expect("an ARN")
}

/// What some of the roles need beside being assumed.
fn crowd_rights(index: usize) -> SessionRights {
    SessionRights { tag: index.is_multiple_of(5), set_source_identity: index.is_multiple_of(7) }
}

/// The policy for as many of these roles as it holds.
fn crowd_policy(roles: &[usize], quota: usize) -> Document {
    let mut held = assume::Roles::new();
    let arns: Vec<Arn> = roles.iter().map(|index| crowd_arn(*index)).collect();
    for (arn, index) in arns.iter().zip(roles) {
        // Some were written before what they need was known.
        held.insert(arn.as_str(), if index % 2 == 0 { crowd_rights(*index) } else { SessionRights::default() });
        if assume::document(&held).size() + 2 > quota {
            held.remove(arn.as_str());
        }
    }
    assume::document(&held)
}

impl Crowd {
    fn desired(&self) -> Desired {
        let mut desired = desired_of_user(&[], self.boundaries.0, &BTreeMap::new());
        let role = |(index, intent): (usize, &Intent)| AssumableRole {
            key: ObjectKey::new(NAMESPACE, format!("role-{index}")),
            account: "prod".into(),
            arn: crowd_arn(index),
            path: rolebridge::core::names::Path::root(),
            name: format!("role-{index}").parse().expect("a name"),
            rights: crowd_rights(index),
            opens_in_console: true,
            intent: *intent,
            is_coming: false,
            is_told: false,
        };
        desired.assumes = self.presences.iter().enumerate().filter(|(_, intent)| **intent != Intent::Revoke).map(role).collect();
        desired
    }

    fn observed(&self, desired: &Desired) -> Observed {
        let mut identity = desired.identity.clone();
        identity.permissions_boundary = self.boundaries.1.map(|arn| arn.parse().expect("an ARN"));
        identity.attached_policies.insert(ATTACHABLE[0].parse().expect("an ARN"));
        if !self.inline.is_empty() {
            identity.inline_policies.insert(ASSUME_POLICY.parse().expect("a name"), crowd_policy(&self.inline, INLINE_QUOTA - 256));
        }
        let mut policies = BTreeMap::new();
        for (number, roles, attached, whose) in self.shards.iter().filter(|(_, roles, ..)| !roles.is_empty()) {
            let (name, arn) = assume::shard(&desired.arn, &identity.path, &identity.name, *number).expect("the ARN of a user");
            let policy = ManagedPolicy {
                arn: arn.clone(),
                name,
                path: identity.path.clone(),
                description: String::new(),
                document: crowd_policy(roles, SHARD_QUOTA),
                tags: whose.tags(&desired.owner),
            };
            let unique = id(&format!("ANPASHARD{number:0>11}"));
            policies.insert(arn.clone(), ObservedPolicy { id: unique, policy, default_version: "v1".into(), other_versions: vec![] });
            if *attached {
                identity.attached_policies.insert(arn);
            }
        }
        Observed { identity: Some(ObservedIdentity { id: id("AIDAALICE00000000000"), identity }), policies }
    }
}

/// The policies of a state that are somebody else's.
fn foreign_policies(observed: &Observed, owner: &Owner) -> Vec<ObservedPolicy> {
    observed.policies.values().filter(|found| !is_owned(found, owner)).cloned().collect()
}

fn is_owned(found: &ObservedPolicy, owner: &Owner) -> bool {
    owner.tags().iter().all(|(key, value)| found.policy.tags.get(key) == Some(value))
}

/// The roles that the inline policy and the own policies that are attached allow.
fn crowd_may_assume(observed: &Observed, owner: &Owner) -> BTreeSet<String> {
    let Some(found) = &observed.identity else { return BTreeSet::new() };
    let attached = found.identity.attached_policies.iter().filter_map(|arn| observed.policies.get(arn));
    let documents =
        found.identity.inline_policies.values().chain(attached.filter(|found| is_owned(found, owner)).map(|found| &found.policy.document));
    documents.flat_map(|document| document.statements()).flat_map(|s| s.resources().unwrap_or_default()).map(str::to_owned).collect()
}

fn within_quota(observed: &Observed) -> bool {
    let inline = observed.identity.iter().flat_map(|found| found.identity.inline_policies.values()).map(Document::size).sum::<usize>();
    let attached = observed.identity.iter().flat_map(|found| assume::attached(&found.identity)).count();
    inline + 256 <= INLINE_QUOTA && attached <= MOST_SHARDS && observed.policies.values().all(|found| found.policy.document.size() <= SHARD_QUOTA)
}

proptest! {
    #![proptest_config(config(500))]

    /// L3 and L4 while roles move between the inline policy and any number of others; what is somebody else's stays, and a plan that is
    /// interrupted is finished in the same way.
    #[test]
    fn roles_move_between_assume_policies_without_being_absent(crowd in arb_crowd()) {
        let desired = crowd.desired();
        let start = crowd.observed(&desired);
        let before = crowd_may_assume(&start, &desired.owner);
        let of = |intent: Intent| -> BTreeSet<String> {
            desired.assumes.iter().filter(|role| role.intent == intent).map(|role| role.arn.to_string()).collect()
        };
        let kept: BTreeSet<String> = of(Intent::Freeze).intersection(&before).cloned().collect();
        let (after, planned) = match plan(&desired, &start) {
            Ok(planned) => (of(Intent::Grant).union(&kept).cloned().collect::<BTreeSet<_>>(), planned),
            Err(problems) => {
                prop_assert!(problems.iter().all(|p| p.reason == Reason::Conflict) && !foreign_policies(&start, &desired.owner).is_empty(), "{problems:?}");
                // Withdrawn grants end all the same.
                let found = start.identity.as_ref().expect("the user").id.clone();
                let less = Desired::withdraw_revoked(desired.owner.clone(), found, None, desired.assumes.clone(), desired.arn.clone(), desired.quotas, &start).expect("it is there");
                let stays = of(Intent::Grant).union(&kept).filter(|role| before.contains(*role)).cloned().collect();
                (stays, plan(&less, &start).map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?)
            }
        };
        let is_whole = plan(&desired, &start).is_ok();
        let states = states(&start, &planned.actions);
        let end = states.last().expect("the start");
        for state in &states {
            let now = crowd_may_assume(state, &desired.owner);
            prop_assert!(now.is_subset(&before.union(&after).cloned().collect()), "{now:?} is neither of {before:?} nor of {after:?}");
            prop_assert!(now.is_superset(&before.intersection(&after).cloned().collect()), "{now:?} lacks what both {before:?} and {after:?} have");
            prop_assert_eq!(foreign_policies(state, &desired.owner), foreign_policies(&start, &desired.owner));
            prop_assert!(within_quota(state));
            if is_whole {
                let again = plan(&desired, state).map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
                let ended = support_core::states(state, &again.actions).pop().expect("the start");
                prop_assert_eq!(outcome(&ended), outcome(end));
            }
        }
        prop_assert_eq!(crowd_may_assume(end, &desired.owner), after);
        if is_whole {
            prop_assert_eq!(plan(&desired, end), Ok(Plan::default()));
        }
    }

    /// One role more or less is written to one policy, unless roles move between the inline policy and others.
    #[test]
    fn a_change_of_one_role_concerns_one_policy(mut crowd in arb_crowd(), index in 0..CROWD) {
        crowd.shards.iter_mut().for_each(|shard| shard.3 = Whose::Ours);
        let mut desired = crowd.desired();
        desired.assumes.iter_mut().for_each(|role| role.intent = Intent::Grant);
        let start = crowd.observed(&desired);
        let first = plan(&desired, &start).map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
        let settled = states(&start, &first.actions).pop().expect("the start");
        let is_inline = |observed: &Observed| observed.identity.as_ref().is_some_and(|found| assume::attached(&found.identity).next().is_none());
        match desired.assumes.iter().position(|role| role.arn == crowd_arn(index)) {
            Some(at) => {
                desired.assumes.remove(at);
            }
            None => {
                let one = Crowd { presences: vec![Intent::Grant; index + 1], ..crowd.clone() };
                desired.assumes.extend(one.desired().assumes.pop());
            }
        }
        let planned = plan(&desired, &settled).map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
        let end = states(&settled, &planned.actions).pop().expect("the start");
        if is_inline(&settled) == is_inline(&end) {
            let of_policies: BTreeSet<String> = planned.actions.iter().filter_map(|action| match action {
                Action::PutInlinePolicy(_, name, _) | Action::DeleteInlinePolicy(_, name) => Some(name.to_string()),
                Action::CreatePolicy(policy) => Some(policy.arn.to_string()),
                Action::CreatePolicyVersion(arn, _) | Action::DeletePolicy(arn) => Some(arn.to_string()),
                _ => None,
            }).collect();
            prop_assert_eq!(of_policies.len(), 1, "{}", planned);
        }
    }

    /// A user that is removed takes along all of its assume policies, also those that its status does not list yet.
    #[test]
    fn a_removal_takes_the_assume_policies_along(crowd in arb_crowd()) {
        let desired = crowd.desired();
        let start = crowd.observed(&desired);
        let loose = start.policies.keys().cloned().collect();
        let removed = DeletionTarget { owner: desired.owner.clone(), pinned: None, name: desired.identity.name.clone(), policies: loose, quotas: desired.quotas };
        for removed in [DeletionTarget { policies: BTreeSet::new(), ..removed.clone() }, removed] {
            let (planned, problem) = plan_removal(&removed, &start, &Dependents::default(), DeletionPhase::Delete);
            prop_assert_eq!(problem, None);
            let end = states(&start, &planned.actions).pop().expect("the start");
            let attached = |arn: &Arn| start.identity.as_ref().is_some_and(|found| found.identity.attached_policies.contains(arn));
            let is_left = |arn: &Arn| !removed.policies.contains(arn) && !attached(arn);
            let left: Vec<&ObservedPolicy> = start.policies.iter().filter(|(arn, found)| is_left(arn) || !is_owned(found, &desired.owner)).map(|(_, found)| found).collect();
            prop_assert_eq!(end.policies.values().collect::<Vec<_>>(), left);
        }
    }
}

// What users may do beside assuming, under quotas.

const GROUPS: [&str; 4] = ["admins", "developers", "staff", "team-data"];

/// What a user declares, and what its account says.
#[derive(Clone, Debug)]
struct Person {
    permissions: Option<Declaration>,
    groups: Option<Vec<&'static str>>,
    joinable: Vec<&'static str>,
    /// Attached policies and groups that the account lets a user have, where it was asked.
    quotas: Option<(usize, usize)>,
    boundary: Option<&'static str>,
    /// How many roles name the user.
    roles: usize,
}

#[derive(Clone, Debug)]
struct Declaration {
    attached: Vec<usize>,
    inline: BTreeMap<&'static str, u8>,
    managed: BTreeMap<&'static str, u8>,
    report: bool,
}

/// What AWS has of the user, which is its own.
#[derive(Clone, Debug)]
struct FoundPerson {
    attached: Vec<usize>,
    inline: BTreeMap<&'static str, u8>,
    revoked: bool,
    managed: BTreeMap<&'static str, (u8, Whose, bool)>,
    groups: Vec<&'static str>,
    boundary: Option<&'static str>,
    /// Roles of the inline assume policy.
    assumes: Option<usize>,
}

fn arb_sizes() -> impl Strategy<Value = BTreeMap<&'static str, u8>> {
    btree_map(select(vec!["one", "two", "three"]), 0u8..4, 0..3)
}

fn arb_person() -> impl Strategy<Value = Person> {
    let attached = || subsequence((0..12).collect::<Vec<_>>(), 0..=9);
    let declaration = (attached(), arb_sizes(), btree_map(select(MANAGED.to_vec()), 0..PERMISSIONS, 0..3), any::<bool>());
    let declaration = declaration.prop_map(|(attached, inline, managed, report)| Declaration { attached, inline, managed, report });
    let groups = (option::of(subsequence(GROUPS.to_vec(), 0..=4)), subsequence(vec!["admins", "STAFF", "team-*", "dev*"], 0..=4));
    let quotas = option::of((4usize..14, 2usize..5));
    (option::weighted(0.85, declaration), groups, quotas, option::of(select(BOUNDARIES.to_vec())), 0usize..12)
        .prop_map(|(permissions, (groups, joinable), quotas, boundary, roles)| Person { permissions, groups, joinable, quotas, boundary, roles })
}

fn arb_found_person() -> impl Strategy<Value = FoundPerson> {
    let managed = btree_map(select(MANAGED.to_vec()), (0..PERMISSIONS, arb_whose(), any::<bool>()), 0..3);
    let policies = (subsequence((0..12).collect::<Vec<_>>(), 0..=9), arb_sizes(), any::<bool>(), managed);
    (policies, subsequence(GROUPS.to_vec(), 0..=3), option::of(select(BOUNDARIES.to_vec())), option::of(1usize..6)).prop_map(
        |((attached, inline, revoked, managed), groups, boundary, assumes)| FoundPerson {
            attached,
            inline,
            revoked,
            managed,
            groups,
            boundary,
            assumes,
        },
    )
}

fn other_arn(number: usize) -> Arn {
    format!("arn:aws:iam::111111111111:policy/other-{number}").parse().expect("an ARN")
}

fn own_arn(name: &str) -> Arn {
    format!("arn:aws:iam::111111111111:policy/{name}").parse().expect("an ARN")
}

/// A policy of one of some sizes.
fn sized(size: u8) -> Value {
    let key = "k".repeat([10, 400, 900, 1300][usize::from(size)]);
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{key}")}]})
}

impl Person {
    fn desired(&self, found: &FoundPerson) -> Desired {
        let mut cluster = Cluster::classic();
        let mut account = json!({"kind": "AWSAccount", "metadata": {"name": "utils"}, "spec": {"accountID": "111111111111", "guardrails": {"joinableGroups": self.joinable}}});
        if let Some((attached, groups)) = self.quotas {
            account["status"] = json!({"quotas": {
                "trustPolicySize": 2048, "attachedPoliciesPerRole": 10, "attachedPoliciesPerUser": attached, "inlinePoliciesSizePerRole": 10240,
                "inlinePoliciesSizePerUser": 2048, "managedPolicySize": 6144, "groupsPerUser": groups,
            }});
        }
        cluster.apply(account);
        let mut spec = json!({"accountRef": {"name": "utils"}});
        if let Some(of) = &self.permissions {
            let inline: Vec<Value> = of.inline.iter().map(|(name, size)| json!({"name": name, "document": sized(*size)})).collect();
            let managed: Vec<Value> = of.managed.iter().map(|(name, number)| json!({"name": name, "document": permission(*number)})).collect();
            spec["permissions"] = json!({
                "attachedPolicies": of.attached.iter().map(|number| other_arn(*number)).collect::<Vec<_>>(), "inlinePolicies": inline,
                "customerManagedPolicies": managed, "unmanaged": if of.report { "Report" } else { "Remove" },
            });
        }
        if let Some(groups) = &self.groups {
            spec["groups"] = json!(groups);
        }
        if let Some(boundary) = self.boundary {
            spec["permissionsBoundaryARN"] = json!(boundary);
        }
        let told: Vec<Value> = found.managed.keys().map(|name| json!({"arn": own_arn(name)})).collect();
        cluster.apply(json!({"kind": "BastionUser", "metadata": {"name": "alice"}, "spec": spec, "status": {"policies": told}}));
        let user = cluster.user(&ObjectKey::new(NAMESPACE, "alice")).expect("the user");
        let at = resolve_account(&cluster, "utils").expect("the account");
        let texts = cluster.texts(Some(NAMESPACE), user.spec.permissions.as_ref());
        let mut desired = desired_user(&cluster, &user, &at, &texts, INSTALLATION).expect("the user is valid");
        let crowd = Crowd { presences: vec![Intent::Grant; self.roles], inline: vec![], shards: vec![], boundaries: (None, None) };
        desired.assumes = crowd.desired().assumes;
        desired
    }
}

impl FoundPerson {
    fn observed(&self, desired: &Desired) -> Observed {
        let mut identity = desired.identity.clone();
        identity.permissions_boundary = self.boundary.map(|arn| arn.parse().expect("an ARN"));
        identity.groups = Some(self.groups.iter().map(|group| group.parse().expect("a group")).collect());
        identity.inline_policies = self.inline.iter().map(|(name, size)| (name.parse().expect("a name"), document(&sized(*size)))).collect();
        if self.revoked {
            let revoking = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]});
            identity.inline_policies.insert(REVOKE_SESSIONS_POLICY.parse().expect("a name"), document(&revoking));
        }
        if let Some(count) = self.assumes {
            let roles: Vec<usize> = (0..count).collect();
            identity.inline_policies.insert(ASSUME_POLICY.parse().expect("a name"), crowd_policy(&roles, INLINE_QUOTA - 256));
        }
        let attached = self.managed.iter().filter(|(_, (.., attached))| *attached).map(|(name, _)| own_arn(name));
        identity.attached_policies = self.attached.iter().map(|number| other_arn(*number)).chain(attached).collect();
        let policy = |(name, (number, whose, _)): (&&str, &(u8, Whose, bool))| {
            let policy = ManagedPolicy {
                arn: own_arn(name),
                name: name.parse().expect("a name"),
                path: rolebridge::core::names::Path::root(),
                description: String::new(),
                document: document(&permission(*number)),
                tags: whose.tags(&desired.owner),
            };
            (own_arn(name), ObservedPolicy { id: id(&unique_id("ANPA", name)), policy, default_version: "v1".into(), other_versions: vec![] })
        };
        let policies = self.managed.iter().map(policy).collect();
        Observed { identity: Some(ObservedIdentity { id: id("AIDAALICE00000000000"), identity }), policies }
    }
}

/// What the user may do, but for assuming roles.
fn may_beside(observed: &Observed) -> BTreeSet<(String, Option<Canonical>)> {
    may(observed).into_iter().filter(|(name, _)| !name.contains(ASSUME_POLICY)).collect()
}

/// What the user is to be able to do, read from the declaration and from what nobody may take off.
fn is_to_beside(person: &Person, desired: &Desired, start: &Observed) -> BTreeSet<(String, Option<Canonical>)> {
    let declared = is_to(desired, start);
    let removes = person.permissions.as_ref().is_some_and(|declaration| !declaration.report);
    let is_own = |name: &str| start.policies.values().any(|found| found.policy.arn.as_str() == name && is_named(found, &desired.owner));
    let stays = may_beside(start).into_iter().filter(|(name, _)| !removes && !is_own(name) && declared.iter().all(|(declared, _)| declared != name));
    declared.iter().cloned().chain(stays).collect()
}

/// Whether the tags of a policy name the owner, of whatever UID.
fn is_named(found: &ObservedPolicy, owner: &Owner) -> bool {
    let tags = owner.tags();
    tags.iter().filter(|(key, _)| !key.ends_with("/uid")).all(|(key, value)| found.policy.tags.get(key) == Some(value))
}

fn groups(observed: &Observed) -> BTreeSet<String> {
    observed.identity.iter().flat_map(|found| found.identity.groups.iter().flatten()).map(ToString::to_string).collect()
}

/// Characters of inline policies, attached policies, groups.
fn load(observed: &Observed) -> [usize; 3] {
    let Some(found) = &observed.identity else { return [0; 3] };
    let inline = found.identity.inline_policies.values().map(Document::size).sum();
    [inline, found.identity.attached_policies.len(), groups(observed).len()]
}

proptest! {
    #![proptest_config(config(400))]

    /// L3 and L4 for policies, groups and roles under any quotas; what others own or put there stays, as far as it is to; and the end is the same
    /// from wherever it was interrupted.
    #[test]
    fn a_user_has_what_it_declares_under_any_quotas(person in arb_person(), found in arb_found_person()) {
        let desired = person.desired(&found);
        let start = found.observed(&desired);
        let foreign = foreign_arns(&start, &desired.owner);
        let planned = match plan(&desired, &start) {
            Ok(planned) => planned,
            Err(problems) => {
                let conflicts = foreign.iter().any(|arn| desired.policies.contains_key(arn));
                let told = |problem: &Problem| problem.reason == Reason::QuotaExceeded || (conflicts && problem.reason == Reason::Conflict);
                prop_assert!(problems.iter().all(told), "{problems:?}");
                return Ok(());
            }
        };
        for action in &planned.actions {
            prop_assert!(!matches!(target(action), Target::Policy(arn) if foreign.contains(&arn)), "{action}");
        }
        let (before, after) = (may_beside(&start), is_to_beside(&person, &desired, &start));
        let (roles_before, roles_after) = (crowd_may_assume_of(&start, &desired), desired.assumes.iter().map(|role| role.arn.to_string()).collect::<BTreeSet<_>>());
        let joinable = |group: &str| person.joinable.iter().any(|p| rolebridge::core::document::wildcard_match_ignore_case(p, group));
        let groups_before = groups(&start);
        let groups_after = match &person.groups {
            None => groups_before.clone(),
            Some(declared) => declared.iter().filter(|g| joinable(g) || groups_before.contains(**g)).map(|g| (*g).to_owned()).collect(),
        };
        let (attached, in_groups) = person.quotas.unwrap_or((10, 10));
        let start_load = load(&start);
        let most: Vec<usize> = [2048 - 256, attached, in_groups].into_iter().zip(start_load).map(|(quota, there)| quota.max(there)).collect();
        let boundary = |of: &Observed| of.identity.as_ref().and_then(|found| found.identity.permissions_boundary.clone());
        let replaced = desired.identity.permissions_boundary.is_some() && boundary(&start).is_some() && desired.identity.permissions_boundary != boundary(&start);
        let states = states(&start, &planned.actions);
        let end = states.last().expect("the start");
        for state in &states {
            let (now, now_roles, now_groups) = (may_beside(state), crowd_may_assume_of(state, &desired), groups(state));
            prop_assert!(now.is_subset(&before.union(&after).cloned().collect()), "{now:?}\n{planned}");
            prop_assert!(now_groups.is_subset(&groups_before.union(&groups_after).cloned().collect()), "{now_groups:?}\n{planned}");
            prop_assert!(now_groups.is_superset(&groups_before.intersection(&groups_after).cloned().collect()), "{now_groups:?}\n{planned}");
            prop_assert!(replaced || now.is_superset(&before.intersection(&after).cloned().collect()), "{now:?}\n{planned}");
            prop_assert!(now_roles.is_subset(&roles_before.union(&roles_after).cloned().collect()), "{now_roles:?}\n{planned}");
            prop_assert!(now_roles.is_superset(&roles_before.intersection(&roles_after).cloned().collect()), "{now_roles:?}\n{planned}");
            prop_assert!(load(state).into_iter().zip(&most).all(|(now, most)| now <= *most), "{:?} of {most:?}\n{planned}", load(state));
            for arn in &foreign {
                prop_assert_eq!(state.policies.get(arn), start.policies.get(arn));
            }
            let again = plan(&desired, state).map_err(|problems| TestCaseError::fail(format!("{problems:?}\n{planned}")))?;
            let ended = support_core::states(state, &again.actions).pop().expect("the start");
            prop_assert_eq!(outcome(&ended), outcome(end), "{}", planned);
        }
        prop_assert_eq!((may_beside(end), crowd_may_assume_of(end, &desired), groups(end)), (after, roles_after, groups_after));
        prop_assert_eq!(plan(&desired, end), Ok(Plan::default()));
    }
}

/// The customer-managed policies that are somebody else's.
fn foreign_arns(observed: &Observed, owner: &Owner) -> BTreeSet<Arn> {
    observed.policies.values().filter(|found| !is_named(found, owner)).map(|found| found.policy.arn.clone()).collect()
}

/// The roles that the assume policies allow.
fn crowd_may_assume_of(observed: &Observed, desired: &Desired) -> BTreeSet<String> {
    let mut observed = observed.clone();
    if let Some(found) = &mut observed.identity {
        found.identity.inline_policies.retain(|name, _| name.as_str() == ASSUME_POLICY);
        found.identity.attached_policies.retain(|arn| assume::number(&desired.identity, arn).is_some());
    }
    crowd_may_assume(&observed, &desired.owner)
}

// Conditions and relations.

fn arb_problems() -> impl Strategy<Value = Vec<Problem>> {
    let reasons: Vec<Reason> = Reason::ALL.into_iter().filter(|reason| reason.class() != Class::Done).collect();
    vec((select(reasons), "[a-zü]{0,20}").prop_map(|(reason, message)| Problem::new(reason, message)), 0..5)
}

#[derive(Clone, Debug)]
enum Change {
    Set(Ref, BTreeSet<Dependency>),
    Remove(Ref),
}

fn arb_key() -> impl Strategy<Value = ObjectKey> {
    (select(vec!["a", "b"]), select(vec!["x", "y"])).prop_map(|(namespace, name)| ObjectKey::new(namespace, name))
}

fn arb_ref() -> impl Strategy<Value = Ref> {
    prop_oneof![
        arb_key().prop_map(Ref::Role),
        arb_key().prop_map(Ref::User),
        select(vec!["p", "q"]).prop_map(|name| Ref::Account(ObjectKey::new("", name)))
    ]
}

fn arb_need() -> impl Strategy<Value = Dependency> {
    prop_oneof![
        arb_key().prop_map(Dependency::User),
        arb_key().prop_map(Dependency::Role),
        select(vec!["a", "b"]).prop_map(|name| Dependency::UsersOf(name.into())),
        arb_key().prop_map(Dependency::ConfigMap),
        select(vec!["p", "q"]).prop_map(|name| Dependency::Account(name.into())),
        select(vec!["a", "b"]).prop_map(|name| Dependency::Namespace(name.into())),
    ]
}

fn sources(needs: Option<&BTreeSet<Dependency>>) -> BTreeSet<Ref> {
    let named = needs.into_iter().flatten().filter_map(|need| match need {
        Dependency::User(key) => Some(Ref::User(key.clone())),
        Dependency::Role(key) => Some(Ref::Role(key.clone())),
        _ => None,
    });
    named.collect()
}

fn accounts(needs: Option<&BTreeSet<Dependency>>) -> BTreeSet<Ref> {
    needs
        .into_iter()
        .flatten()
        .filter_map(|need| if let Dependency::Account(name) = need { Some(Ref::Account(ObjectKey::new("", name))) } else { None })
        .collect()
}

proptest! {
    #![proptest_config(config(300))]

    /// The rules of kstatus, whatever is wrong.
    #[test]
    fn conditions_follow_kstatus(before in arb_problems(), now in arb_problems(), generation in 0i64..5) {
        const ASPECTS: [&str; 3] = [condition_types::ACCOUNT_READY, condition_types::REFERENCES_RESOLVED, condition_types::SYNCED];
        let previous = Outcome { problems: before, ..Outcome::default() }.conditions(&ASPECTS, generation, &[], "2026-01-01T00:00:00Z");
        let outcome = Outcome { problems: now, ..Outcome::default() };
        let conditions = outcome.conditions(&ASPECTS, generation + 1, &previous, "2026-01-02T00:00:00Z");
        let find = |of: &[Condition], kind: &str| of.iter().find(|c| c.type_ == kind).cloned();
        let is = |kind: &str, status: &str| find(&conditions, kind).is_some_and(|c| c.status == status);
        prop_assert!(!(is(condition_types::RECONCILING, "True") && is(condition_types::STALLED, "True")));
        prop_assert_eq!(is(condition_types::READY, "True"), outcome.problems.is_empty());
        prop_assert_eq!(is(condition_types::READY, "True"), ASPECTS.iter().all(|kind| is(kind, "True")));
        prop_assert_eq!(is(condition_types::READY, "False"), is(condition_types::RECONCILING, "True") || is(condition_types::STALLED, "True"));
        prop_assert_eq!(is(condition_types::STALLED, "True"), outcome.problems.iter().any(|p| p.reason.class() == Class::Stalled));
        let types: BTreeSet<&str> = conditions.iter().map(|c| c.type_.as_str()).collect();
        prop_assert_eq!(types.len(), conditions.len(), "each type once");
        for condition in &conditions {
            prop_assert_eq!(condition.observed_generation, generation + 1);
            let kept = find(&previous, &condition.type_).filter(|c| c.status == condition.status);
            let since = kept.map_or("2026-01-02T00:00:00Z".to_owned(), |c| c.last_transition_time);
            prop_assert_eq!(&condition.last_transition_time, &since, "{}", condition.type_);
        }
        let first = ASPECTS.iter().position(|kind| is(kind, "False")).unwrap_or(ASPECTS.len());
        prop_assert!(ASPECTS.iter().take(first).all(|kind| is(kind, "True")));
        prop_assert!(ASPECTS.iter().skip(first).all(|kind| !is(kind, "True")), "what comes after a problem is not known");
        // Every problem is told by the aspect that it belongs to, and nothing is True that one of them makes False.
        for problem in &outcome.problems {
            let told = conditions.iter().any(|c| ASPECTS.contains(&c.type_.as_str()) && c.status == "False" && c.message.contains(&problem.message));
            prop_assert!(told, "{problem:?}");
        }
    }

    /// The index of who needs what is always the inverse of what each needs, and says whom a change concerns.
    #[test]
    fn relations_are_their_own_inverse(changes in vec(prop_oneof![
        3 => (arb_ref(), btree_set(arb_need(), 0..5)).prop_map(|(of, needs)| Change::Set(of, needs)),
        1 => arb_ref().prop_map(Change::Remove),
    ], 0..20), asked in vec(arb_need(), 8)) {
        let mut relations = Relations::default();
        let mut model: BTreeMap<Ref, BTreeSet<Dependency>> = BTreeMap::new();
        for change in changes {
            match change {
                Change::Set(of, needs) => {
                    let let_go = accounts(model.get(&of)).difference(&accounts(Some(&needs))).cloned().collect();
                    let concerned: BTreeSet<Ref> = sources(model.get(&of)).union(&sources(Some(&needs))).cloned().collect::<BTreeSet<_>>().union(&let_go).cloned().collect();
                    prop_assert_eq!(relations.set(&of, needs.clone()), concerned);
                    model.insert(of, needs);
                }
                Change::Remove(of) => {
                    prop_assert_eq!(relations.remove(&of), sources(model.get(&of)));
                    model.remove(&of);
                }
            }
            prop_assert!(relations.known().eq(model.keys()));
            for need in asked.iter().chain(model.values().flatten()) {
                let expected: BTreeSet<&Ref> = model.iter().filter(|(_, needs)| needs.contains(need)).map(|(of, _)| of).collect();
                prop_assert_eq!(relations.needed_by(need).collect::<BTreeSet<_>>(), expected.clone());
                let named: BTreeSet<Ref> = expected.iter().flat_map(|of| sources(model.get(*of))).collect();
                let concerned: BTreeSet<Ref> = expected.into_iter().cloned().chain(named).collect();
                prop_assert_eq!(relations.concerned_by(need), concerned);
            }
            for (of, needs) in &model {
                let accounts: BTreeSet<Ref> = needs.iter().filter_map(|n| if let Dependency::Account(name) = n { Some(Ref::Account(ObjectKey::new("", name))) } else { None }).collect();
                prop_assert_eq!(relations.accounts_of(of), accounts);
            }
        }
    }
}
