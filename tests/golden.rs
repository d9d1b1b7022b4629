//! Golden tests: each file of `tests/golden/` is one case, from manifests and what AWS has to the plan, or to the problems.
//!
//! A case has these keys:
//! - `title`: what is to be seen; `why` (optional): the reason, where the title does not say it.
//! - `manifests`: what is in the cluster, besides the accounts `utils` (111111111111) and `prod` (222222222222) and the namespace `data`. API
//!   version and namespace may be left out.
//! - `roles`: so many CrossAccountRoles that are made already, `role-000` and so on in `prod`, each of which names the user `alice`. An assume policy for
//!   some of them is then written as `assume: 0-33, 35`.
//!   A policy whose size alone matters is written as `characters: 6145`.
//! - `ready`, `made`: users, or `CrossAccountRole/name`, that are in IAM already; those that are ready have an assume policy with all their roles.
//! - `gone`, `unknown`: those of them that a read has shown to be gone, and those that are in doubt and could not be read. A role that is `gone` and was not
//!   `made` is one of which no status ever told.
//! - `unproven`: CrossAccountRoles of which only the status tells that they are in AWS.
//! - `of`: the resource that is planned for, as `Kind/name` or `Kind/namespace/name`; `removal` (`CutOff` or `Delete`): its removal instead.
//! - `observed`: what AWS has: `user` or `role`, and `policies`. A document that is written as a text is what IAM gives. `owner` stands for the owner tags: `ours` (default), `ours-before` (of a resource
//!   of the same name with another UID), `another-resource`, `another-installation` or `nobody`.
//! - `written`: the trust policy that was written a moment ago, which IAM may not show yet.
//! - `doubt`: for so many seconds more it proves nothing that the user or role of the resource, or what it has, is not shown.
//! - `dependents`: what keeps the identity from being deleted.
//! - `expect`: the `sight` of the user or role where there is no plan for it, `Lost` or `Unclear`; the `plan`, in order, each action with what it writes; the `problems`, each a reason and a part of its message; and, where they
//!   matter, what is done `instead` where there are problems (withdrawn grants end all the same), the `grants`: whether each source is to be in the trust policy (`Grant`), stays as it is (`Freeze`) or is to go (`Revoke`), and why; what keeps `memberships` in groups
//!   from being added; the policies that are `reported` as unmanaged; the `warnings` that stand in Ready
//!   once the plan is carried out; and what the `status` tells then, apart from its conditions.
//!
//! `UPDATE_GOLDEN=1 cargo test --test golden` writes what comes out into the files. Every case is checked for convergence, too: planned again
//! after the plan was carried out, there is nothing left to do.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod support_core;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use rolebridge::api::role::GrantState;
use rolebridge::api::{BastionUser, CrossAccountRole, Managed};
use rolebridge::core::absence::{Sight, sight};
use rolebridge::core::action::{Action, Dependent, Tagged};
use rolebridge::core::assume;
use rolebridge::core::desired::{Desired, owner, owner_tag};
use rolebridge::core::document::Document;
use rolebridge::core::grants::Grant;
use rolebridge::core::identity::{DEFAULT_SESSION_SECONDS, Identity, IdentityName, ManagedPolicy, RoleSettings};
use rolebridge::core::names::{Arn, PolicyName};
use rolebridge::core::observed::{Dependents, Observed, ObservedIdentity, ObservedPolicy};
use rolebridge::core::outcome::Problem;
use rolebridge::core::ownership::{Earlier, INSTALLATION, OWNER, Owner, Tags, UID};
use rolebridge::core::placement::{ResolvedAccount, check_namespace, resolve_account};
use rolebridge::core::plan::{DeletionPhase, Plan, plan, plan_removal};
use rolebridge::core::subject::{Remembered, Subject};
use rolebridge::core::tenancy::check_quota;
use rolebridge::core::unmanaged::{UnmanagedPolicies, is_restricting, unread};
use rolebridge::core::wanted::Restraint;
use rolebridge::core::world::{ObjectKey, Ref, World, uid};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use similar::TextDiff;
use support_core::{Cluster, NAMESPACE, document, id, states, unique_id};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Case {
    title: String,
    #[serde(rename = "why")]
    _why: Option<String>,
    #[serde(default)]
    manifests: Vec<Value>,
    roles: Option<usize>,
    #[serde(default)]
    ready: Vec<String>,
    #[serde(default)]
    made: Vec<String>,
    #[serde(default)]
    gone: Vec<String>,
    #[serde(default)]
    unknown: Vec<String>,
    #[serde(default)]
    unproven: Vec<String>,
    of: String,
    removal: Option<HowFar>,
    #[serde(default)]
    observed: Found,
    #[serde(default)]
    doubt: u64,
    written: Option<Value>,
    #[serde(default)]
    dependents: Hold,
    #[serde(default)]
    expect: Expected,
}

#[derive(Clone, Copy, Deserialize)]
enum HowFar {
    CutOff,
    Delete,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    user: Option<FoundIdentity>,
    role: Option<FoundIdentity>,
    #[serde(default)]
    policies: Vec<FoundPolicy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct FoundIdentity {
    name: Option<String>,
    path: Option<String>,
    id: Option<String>,
    #[serde(default)]
    owner: Whose,
    #[serde(default)]
    tags: Tags,
    boundary: Option<String>,
    #[serde(default)]
    inline: BTreeMap<String, Value>,
    #[serde(default)]
    attached: BTreeSet<String>,
    #[serde(default)]
    groups: BTreeSet<String>,
    description: Option<String>,
    max_session_duration: Option<u32>,
    trust: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct FoundPolicy {
    arn: String,
    #[serde(default)]
    description: String,
    document: Value,
    #[serde(default)]
    owner: Whose,
    #[serde(default)]
    tags: Tags,
    version: Option<String>,
    #[serde(default)]
    other_versions: Vec<String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Whose {
    #[default]
    Ours,
    OursBefore,
    AnotherResource,
    AnotherInstallation,
    Nobody,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Hold {
    #[serde(default)]
    console_password: bool,
    #[serde(default)]
    access_keys: Vec<String>,
    #[serde(default)]
    signing_certificates: Vec<String>,
    #[serde(default)]
    ssh_public_keys: Vec<String>,
    #[serde(default)]
    service_specific_credentials: Vec<String>,
    #[serde(default)]
    mfa_devices: Vec<String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    instance_profiles: BTreeSet<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    sight: Option<Vec<Value>>,
    plan: Option<Vec<Value>>,
    problems: Option<Vec<Value>>,
    instead: Option<Vec<Value>>,
    grants: Option<Vec<Value>>,
    memberships: Option<Vec<Value>>,
    reported: Option<Vec<Value>>,
    warnings: Option<Vec<Value>>,
    status: Option<Vec<Value>>,
}

/// What the core makes of a case.
struct Made {
    /// Where it is not known, or known not to be, what bears the name.
    sight: Option<Sight>,
    plan: Option<Plan>,
    problems: Vec<Problem>,
    /// What is withdrawn where there are problems.
    instead: Option<Plan>,
    desired: Option<Desired>,
    /// What the status tells once the plan is carried out, apart from the conditions.
    status: Option<Value>,
    observed: Observed,
    owner: Owner,
}

/// From the resource to the wanted state, by the steps and in the order of a reconcile.
fn desired<K: Subject>(cluster: &Cluster, subject: &K) -> Result<(ResolvedAccount, Desired), Vec<Problem>> {
    let namespace = subject.meta().namespace.as_deref().unwrap_or_default();
    let at = resolve_account(cluster, subject.account_name()).map_err(|p| vec![p])?;
    check_namespace(cluster, &at, namespace, subject.pinned().is_some()).map_err(|p| vec![p])?;
    check_quota(cluster, &at, &Ref::from(&subject.source())).map_err(|p| vec![p])?;
    let texts = cluster.texts(Some(namespace), subject.permissions());
    let desired = subject.desired(cluster, &at, &texts, support_core::INSTALLATION)?;
    Ok((at, desired))
}

/// What stays of it where the declaration cannot be carried out.
fn held_back<K: Subject>(cluster: &Cluster, subject: &K, problems: &[Problem], found: &Observed) -> Option<Desired> {
    let at = resolve_account(cluster, subject.account_name()).ok()?;
    let pinned = subject.pinned().or_else(|| Some(found.identity.as_ref()?.id.clone()));
    let remembered = Remembered { pinned, ..Remembered::default() };
    let restraint = Restraint::given(problems, &at);
    subject.held_back(cluster, &at, owner(subject, &at, support_core::INSTALLATION), remembered, restraint, found)
}

fn key(text: &str) -> ObjectKey {
    let (namespace, name) = text.split_once('/').unwrap_or((NAMESPACE, text));
    ObjectKey::new(namespace, name)
}

fn run(case: &Case) -> Made {
    let mut cluster = Cluster::classic();
    for mut manifest in case.manifests.iter().cloned() {
        write_out_sizes(&mut manifest);
        cluster.apply(manifest);
    }
    for number in 0..case.roles.unwrap_or_default() {
        let name = format!("role-{number:0>3}");
        let spec = json!({"accountRef": {"name": "prod"}, "trust": [{"from": [{"user": {"name": "alice"}}]}]});
        let status = json!({"roleID": unique_id("AROA", &name)});
        cluster.apply(json!({"kind": "CrossAccountRole", "metadata": {"name": name}, "spec": spec, "status": status}));
    }
    for (named, allowed) in [(&case.made, false), (&case.ready, true)] {
        for name in named {
            match name.strip_prefix("CrossAccountRole/") {
                Some(role) => cluster.make_role(&key(role), allowed),
                None => cluster.make_user(&key(name), allowed),
            }
        }
    }
    let id_of = |name: &String| name.strip_prefix("CrossAccountRole/").map_or_else(|| unique_id("AIDA", name), |role| unique_id("AROA", role));
    case.gone.iter().map(id_of).for_each(|id| cluster.lose(id));
    let unmade = case.gone.iter().filter(|name| !case.made.contains(name) && !case.ready.contains(name));
    unmade.filter_map(|name| name.strip_prefix("CrossAccountRole/")).for_each(|role| cluster.unmake(key(role)));
    case.unknown.iter().map(id_of).for_each(|id| cluster.doubt(id));
    case.unproven.iter().for_each(|role| cluster.doubt_status(key(role)));
    let (kind, name) = case.of.split_once('/').expect("of: Kind/name");
    match kind {
        BastionUser::KIND => run_for(case, &cluster, &*cluster.user(&key(name)).expect("the user that the case is about")),
        CrossAccountRole::KIND => run_for(case, &cluster, &*cluster.role(&key(name)).expect("the role that the case is about")),
        _ => panic!("of: {kind} is neither BastionUser nor CrossAccountRole"),
    }
}

fn run_for<K: Subject>(case: &Case, cluster: &Cluster, subject: &K) -> Made {
    // What AWS has bears owner tags also where the account is not to be found.
    let nowhere = || Owner {
        installation: support_core::INSTALLATION.into(),
        resource: owner_tag(subject),
        uid: uid(subject),
        earlier: Earlier::LeftTo(subject.account_name().into()),
    };
    let owner = resolve_account(cluster, subject.account_name()).map_or_else(|_| nowhere(), |at| owner(subject, &at, support_core::INSTALLATION));
    let mut observed = observed(&case.observed, subject, &owner);
    if let Some(how_far) = case.removal {
        let how_far = match how_far {
            HowFar::CutOff => DeletionPhase::CutOff,
            HowFar::Delete => DeletionPhase::Delete,
        };
        let at = resolve_account(cluster, subject.account_name()).expect("a removal has an account");
        let removed = subject.removed(cluster, &at, owner.clone(), subject.pinned()).expect("the name of a case is valid");
        let (plan, problem) = plan_removal(&removed, &observed, &dependents(&case.dependents), how_far);
        return Made {
            sight: None,
            plan: Some(plan),
            problems: problem.into_iter().collect(),
            instead: None,
            desired: None,
            status: None,
            observed,
            owner,
        };
    }
    let mut status = None;
    let (desired, result) = match desired(cluster, subject) {
        Ok((_, desired)) if sight(&desired, &observed, Duration::from_secs(case.doubt)) != Sight::Clear => {
            let sight = Some(sight(&desired, &observed, Duration::from_secs(case.doubt)));
            return Made { sight, plan: None, problems: vec![], instead: None, desired: Some(desired), status: None, observed, owner };
        }
        Ok((at, desired)) => {
            let written_trust = case.written.as_ref().map(|written| Document::parse(&written.to_string()).expect("a trust policy"));
            let mut desired = Desired { is_behind: case.doubt > 0, written_trust, ..desired };
            // A reconcile tells first that a principal was replaced, and plans when its status says so.
            let trust = desired.trust_there(&observed);
            for grant in desired.trust.iter_mut().flatten().flatten() {
                grant.reported = if grant.is_replaced(trust.as_ref()) { Some(GrantState::Replaced) } else { grant.reported };
            }
            let mut planned = plan(&desired, &observed);
            // A reconcile reads what it would detach, and plans anew: a policy of others that only denies stays.
            let unread = planned.iter().flat_map(|plan| unread(&desired, &observed, &plan.actions)).collect::<BTreeSet<_>>();
            if !unread.is_empty() {
                let only_denies = |arn: &Arn| observed.policies.get(arn).is_some_and(is_restricting);
                observed.restricting = unread.into_iter().map(|arn| (arn.clone(), only_denies(&arn))).collect();
                planned = plan(&desired, &observed);
            }
            if let (Ok(plan), Some(_)) = (&planned, &case.expect.status) {
                let there = states(&observed, &plan.actions).pop().expect("the start is a state");
                status = Some(json!(subject.facts(cluster, &at, &desired, &there)));
            }
            (Some(desired), planned)
        }
        Err(problems) => (None, Err(problems)),
    };
    let (planned, problems) = result.map_or_else(|problems| (None, problems), |plan| (Some(plan), vec![]));
    let instead =
        (!problems.is_empty()).then(|| held_back(cluster, subject, &problems, &observed)).flatten().and_then(|less| plan(&less, &observed).ok());
    Made { sight: None, plan: planned, problems, instead, desired, status, observed, owner }
}

fn owner_tags(whose: Whose, owner: &Owner) -> Tags {
    match whose {
        Whose::Ours => owner.tags(),
        Whose::OursBefore => Owner { uid: "uid-from-before".into(), ..owner.clone() }.tags(),
        Whose::AnotherResource => Owner { resource: "CrossAccountRole/other/somebody-elses".into(), ..owner.clone() }.tags(),
        Whose::AnotherInstallation => Owner { installation: "another".into(), ..owner.clone() }.tags(),
        Whose::Nobody => Tags::new(),
    }
}

fn observed<K: Subject>(found: &Found, subject: &K, owner: &Owner) -> Observed {
    let (name, path) = subject.identity().expect("the name and path of a case are valid");
    let identity = found.user.as_ref().or(found.role.as_ref()).map(|i| {
        let name = match (&name, &i.name) {
            (name, None) => name.clone(),
            (IdentityName::User(_), Some(name)) => IdentityName::User(name.parse().expect("a user name")),
            (IdentityName::Role(_), Some(name)) => IdentityName::Role(name.parse().expect("a role name")),
        };
        let prefix = if found.role.is_some() { "AROA" } else { "AIDA" };
        let role = i.trust.as_ref().map(|trust| RoleSettings {
            description: i.description.clone().unwrap_or_default(),
            max_session_duration: i.max_session_duration.unwrap_or(DEFAULT_SESSION_SECONDS),
            trust_policy: there(trust),
        });
        assert_eq!(role.is_some(), found.role.is_some(), "a role, and only a role, has a trust policy");
        let unique = i.id.clone().unwrap_or_else(|| unique_id(prefix, name.as_str()));
        ObservedIdentity {
            id: id(&unique),
            identity: Identity {
                name,
                path: i.path.as_ref().map_or(path, |p| p.parse().expect("a path")),
                tags: i.tags.clone().into_iter().chain(owner_tags(i.owner, owner)).collect(),
                permissions_boundary: i.boundary.as_ref().map(|arn| arn.parse().expect("an ARN")),
                inline_policies: i.inline.iter().map(|(name, d)| (name.parse().expect("a policy name"), there(d))).collect(),
                attached_policies: i.attached.iter().map(|arn| arn.parse().expect("an ARN")).collect(),
                groups: role.is_none().then(|| i.groups.iter().map(|group| group.parse().expect("a group name")).collect()),
                role,
            },
        }
    });
    let policy = |p: &FoundPolicy| {
        let arn: Arn = p.arn.parse().expect("an ARN");
        let entity = arn.iam_entity().expect("the ARN of a policy");
        let name: PolicyName = entity.name.parse().expect("a policy name");
        let policy = ManagedPolicy {
            path: entity.path.parse().expect("a path"),
            description: p.description.clone(),
            document: there(&p.document),
            tags: p.tags.clone().into_iter().chain(owner_tags(p.owner, owner)).collect(),
            arn: arn.clone(),
            name: name.clone(),
        };
        let default_version = p.version.clone().unwrap_or_else(|| "v1".into());
        (arn, ObservedPolicy { id: id(&unique_id("ANPA", name.as_str())), policy, default_version, other_versions: p.other_versions.clone() })
    };
    Observed { identity, policies: found.policies.iter().map(policy).collect(), ..Observed::default() }
}

/// ARN of the role with this number.
fn numbered(number: usize) -> String {
    format!("arn:aws:iam::222222222222:role/role-{number:0>3}")
}

/// Shortest policy that is told by its size.
const SHORTEST_SIZED: usize = 200;

/// A policy of so many characters, as IAM counts them, about an object whose key fills it.
fn sized(characters: u64) -> Value {
    let policy = |key: &str| json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{key}")}]});
    let frame = document(&policy("")).size();
    policy(&"k".repeat(usize::try_from(characters).expect("a size") - frame))
}

/// Writes out the documents of a manifest that are told by their size.
fn write_out_sizes(manifest: &mut Value) {
    match manifest {
        Value::Object(object) => match object.get("document").and_then(|document| document["characters"].as_u64()) {
            Some(characters) => {
                object.insert("document".into(), sized(characters));
            }
            None => object.values_mut().for_each(write_out_sizes),
        },
        Value::Array(items) => items.iter_mut().for_each(write_out_sizes),
        _ => {}
    }
}

/// A document that AWS has: as IAM gives it where it is written as a text.
fn there(value: &Value) -> Document {
    value.as_str().map_or_else(|| permissions(value), Document::read)
}

/// A policy, which may be written as `assume: 0-33, 35` or `characters: 6145`.
fn permissions(value: &Value) -> Document {
    if let Some(characters) = value["characters"].as_u64() {
        return document(&sized(characters));
    }
    let Some(numbers) = value["assume"].as_str() else { return document(value) };
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| text.trim().parse::<usize>().expect("the number of a role");
        number(first)..=number(last)
    };
    let arns: Vec<String> = numbers.split(',').flat_map(range).map(numbered).collect();
    assume::document(&arns.iter().map(|arn| (arn.as_str(), assume::SessionRights::default())).collect())
}

/// A policy as a case writes it.
fn shown_permissions(policy: &Document) -> Value {
    let number = |arn: &str| arn.rsplit_once("/role-").and_then(|(_, number)| number.parse::<usize>().ok()).filter(|number| numbered(*number) == arn);
    let resources: Vec<&str> = policy.statements().iter().flat_map(|s| s.resources().unwrap_or_default()).collect();
    let mut ranges: Vec<(usize, usize)> = vec![];
    for number in resources.into_iter().filter_map(number) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let text = |(first, last): &(usize, usize)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let short = json!({"assume": ranges.iter().map(text).collect::<Vec<_>>().join(", ")});
    if !ranges.is_empty() && permissions(&short) == *policy { short } else { json!(policy) }
}

fn dependents(hold: &Hold) -> Dependents {
    let of = |names: &[String], make: fn(String) -> Dependent| names.iter().cloned().map(make).collect::<Vec<_>>();
    let of_user = [
        of(&hold.access_keys, Dependent::AccessKey),
        of(&hold.signing_certificates, Dependent::SigningCertificate),
        of(&hold.ssh_public_keys, Dependent::SSHPublicKey),
        of(&hold.service_specific_credentials, Dependent::ServiceSpecificCredential),
        of(&hold.mfa_devices, Dependent::MFADevice),
        of(&hold.groups, Dependent::Group),
        if hold.console_password { vec![Dependent::LoginProfile] } else { vec![] },
    ];
    Dependents { of_user: of_user.into_iter().flatten().collect(), instance_profiles: hold.instance_profiles.clone() }
}

/// An action as a case writes it: its line, and what it writes.
fn shown_action(action: &Action, owner: &Owner, in_numbers: bool) -> Value {
    let shown = |policy: &Document| {
        let by_size = json!({"characters": policy.size()});
        match policy.size() >= SHORTEST_SIZED && permissions(&by_size) == *policy {
            true => by_size,
            false if in_numbers => shown_permissions(policy),
            false => json!(policy),
        }
    };
    let content = match action {
        Action::CreateIdentity(identity) => {
            let mut content = Map::new();
            put_unless(&mut content, "path", identity.path.is_root(), json!(identity.path));
            put_tags(&mut content, &identity.tags, owner);
            if let Some(boundary) = &identity.permissions_boundary {
                content.insert("boundary".into(), json!(boundary));
            }
            if let Some(role) = &identity.role {
                put_unless(&mut content, "description", role.description.is_empty(), json!(role.description));
                content.insert("maxSessionDuration".into(), json!(role.max_session_duration));
                content.insert("trust".into(), json!(role.trust_policy));
            }
            Some(Value::Object(content))
        }
        Action::CreatePolicy(policy) => {
            let mut content = Map::new();
            put_unless(&mut content, "description", policy.description.is_empty(), json!(policy.description));
            put_tags(&mut content, &policy.tags, owner);
            content.insert("document".into(), shown(&policy.document));
            Some(Value::Object(content))
        }
        Action::PutInlinePolicy(_, _, document) | Action::CreatePolicyVersion(_, document) => Some(shown(document)),
        Action::UpdateTrustPolicy(_, document) => Some(json!(document)),
        Action::UpdateRole(_, description, seconds) => Some(json!({"description": description, "maxSessionDuration": seconds})),
        Action::Tag(Tagged::Identity(_) | Tagged::Policy(_), tags) => Some(json!(tags)),
        _ => None,
    };
    match content {
        Some(content) => json!({action.to_string(): content}),
        None => json!(action.to_string()),
    }
}

fn put_unless(content: &mut Map<String, Value>, key: &str, absent: bool, value: Value) {
    if !absent {
        content.insert(key.into(), value);
    }
}

/// The tags, with `owner: ours` for the owner tags.
fn put_tags(content: &mut Map<String, Value>, tags: &Tags, owner: &Owner) {
    let ours = owner.tags().iter().all(|(key, value)| tags.get(key) == Some(value));
    if ours {
        content.insert("owner".into(), json!("ours"));
    }
    let rest: Tags =
        tags.iter().filter(|(key, _)| !ours || ![INSTALLATION, OWNER, UID].contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect();
    put_unless(content, "tags", rest.is_empty(), json!(rest));
}

fn shown_problem(problem: &Problem) -> Value {
    json!({problem.reason.as_str(): problem.message})
}

/// `source: intent`, or `source: {intent: {reason: message}}`.
fn shown_grant(grant: &Grant) -> Value {
    let intent = format!("{:?}", grant.intent);
    match &grant.problem {
        Some(problem) => json!({grant.source.as_str(): {intent.as_str(): shown_problem(problem)}}),
        None => json!({grant.source.as_str(): intent}),
    }
}

/// Whether `actual` is as expected, where a text that is expected of a message may be a part of it.
fn fits(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::String(part), Value::String(whole)) => whole.contains(part.as_str()),
        (Value::Object(expected), Value::Object(actual)) => {
            expected.len() == actual.len() && expected.iter().all(|(key, value)| actual.get(key).is_some_and(|actual| fits(value, actual)))
        }
        _ => expected == actual,
    }
}

fn all_fit(expected: &[Value], actual: &[Value]) -> bool {
    expected.len() == actual.len() && expected.iter().zip(actual).all(|(expected, actual)| fits(expected, actual))
}

/// The expectations as the file has them, and as they would be by what came out: what fits stays as it is written.
fn compare(case: &Case, made: &Made) -> (String, String) {
    let mut written = String::new();
    let mut actual = String::new();
    let mut section = |name: &str, expected: Option<&Vec<Value>>, came: Option<Vec<Value>>, whole: bool| {
        if let Some(expected) = expected {
            write_section(&mut written, name, expected);
        }
        if let Some(came) = came {
            let same = expected.filter(|expected| if whole { **expected == came } else { all_fit(expected, &came) });
            write_section(&mut actual, name, same.unwrap_or(&came));
        }
    };
    section("sight", case.expect.sight.as_ref(), made.sight.map(|sight| vec![json!(format!("{sight:?}"))]), true);
    let plan = made.plan.as_ref().map(|plan| plan.actions.iter().map(|a| shown_action(a, &made.owner, case.roles.is_some())).collect());
    section("plan", case.expect.plan.as_ref(), plan, true);
    let problems = (!made.problems.is_empty()).then(|| made.problems.iter().map(shown_problem).collect());
    section("problems", case.expect.problems.as_ref(), problems, false);
    let instead = made.instead.iter().flat_map(|plan| &plan.actions).map(|a| shown_action(a, &made.owner, case.roles.is_some())).collect::<Vec<_>>();
    section("instead", case.expect.instead.as_ref(), (!instead.is_empty()).then_some(instead), true);
    let grants: Vec<&Grant> = made.desired.iter().flat_map(|d| d.trust.iter().flatten().flatten()).collect();
    // Grants that simply stand are not worth a word unless the case has some.
    let telling = case.expect.grants.is_some() || (case.expect.plan.is_none() && grants.iter().any(|g| g.problem.is_some()));
    section("grants", case.expect.grants.as_ref(), telling.then(|| grants.into_iter().map(shown_grant).collect()), false);
    let memberships = made.desired.iter().flat_map(|desired| desired.memberships.iter().flatten());
    let refused: Vec<Value> = memberships.filter_map(|membership| membership.problem.as_ref()).map(shown_problem).collect();
    section("memberships", case.expect.memberships.as_ref(), (!refused.is_empty()).then_some(refused), false);
    let reported =
        made.desired.iter().flat_map(|desired| UnmanagedPolicies::reported(desired, &made.observed)).map(|policy| json!(policy)).collect::<Vec<_>>();
    section("reported", case.expect.reported.as_ref(), (!reported.is_empty()).then_some(reported), true);
    let end = made.plan.as_ref().and_then(|plan| states(&made.observed, &plan.actions).pop());
    let warnings = made.desired.iter().zip(&end).flat_map(|(desired, end)| desired.warnings(end)).map(|warning| json!(warning)).collect::<Vec<_>>();
    section("warnings", case.expect.warnings.as_ref(), (!warnings.is_empty()).then_some(warnings), true);
    let fields = made
        .status
        .iter()
        .filter_map(Value::as_object)
        .flatten()
        .filter(|(field, _)| !["conditions", "observedGeneration"].contains(&field.as_str()));
    let status: Vec<Value> = fields.map(|(field, value)| json!({field.as_str(): value})).collect();
    section("status", case.expect.status.as_ref(), case.expect.status.is_some().then_some(status), true);
    (written, actual)
}

fn write_section(text: &mut String, name: &str, entries: &[Value]) {
    if entries.is_empty() {
        text.push_str(&format!("  {name}: []\n"));
        return;
    }
    text.push_str(&format!("  {name}:\n"));
    for entry in entries {
        text.push_str("    - ");
        write_yaml(text, entry, 6);
        text.push('\n');
    }
}

/// Longest line that is written.
const WIDTH: usize = 140;

/// Writes a value as YAML: on one line where there is room, in JSON's way, and otherwise in block style.
fn write_yaml(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::String(plain) if is_plain(plain) => text.push_str(plain),
        Value::Object(object) if !object.is_empty() => {
            // A line of its own for an action; what it writes follows where it fits.
            for (i, (key, inner)) in ordered(object).into_iter().enumerate() {
                if i > 0 {
                    text.push_str(&format!("\n{:indent$}", ""));
                }
                let key = if is_plain(key) { key.clone() } else { json!(key).to_string() };
                let line = inner.as_str().filter(|plain| is_plain(plain)).map_or_else(|| inline(inner), str::to_owned);
                text.push_str(&key);
                text.push(':');
                if !matches!(inner, Value::Object(_) | Value::Array(_)) || indent + key.len() + 2 + line.len() <= WIDTH {
                    text.push(' ');
                    text.push_str(&line);
                } else if let Value::Array(items) = inner {
                    for item in items {
                        text.push_str(&format!("\n{:width$}- {}", "", inline(item), width = indent + 2));
                    }
                } else {
                    text.push_str(&format!("\n{:width$}", "", width = indent + 2));
                    write_yaml(text, inner, indent + 2);
                }
            }
        }
        other => text.push_str(&inline(other)),
    }
}

/// Whether a text can stand in YAML without quotes.
fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with([':', ' '])
        && !text.contains('\n')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str())
}

fn inline(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let entries: Vec<String> = ordered(object).into_iter().map(|(key, value)| format!("{}: {}", json!(key), inline(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        scalar => scalar.to_string(),
    }
}

/// The entries of an object, those of a policy in the order in which people write them.
fn ordered(object: &Map<String, Value>) -> Vec<(&String, &Value)> {
    const FIRST: [&str; 9] = ["Version", "Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "Condition", "Statement"];
    let mut entries: Vec<_> = object.iter().collect();
    entries.sort_by_key(|(key, _)| (FIRST.iter().position(|first| first == key).unwrap_or(FIRST.len()), *key));
    entries
}

/// The lines of both texts, those of one only with their sign.
fn difference(expected: &str, actual: &str) -> String {
    let changes = TextDiff::from_lines(expected, actual);
    changes.iter_all_changes().map(|line| format!("{} {line}", line.tag())).collect()
}

fn cases() -> Vec<(PathBuf, String, Case)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).expect("tests/golden").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.retain(|path| path.extension().is_some_and(|e| e == "yaml"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a case can be read");
        let case = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, text, case)
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn every_case_comes_out_as_its_file_says() {
    let only = env::var("GOLDEN").unwrap_or_default();
    let update = env::var("UPDATE_GOLDEN").is_ok_and(|v| v == "1");
    let mut failures = vec![];
    for (path, text, case) in cases() {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !name.contains(&only) {
            continue;
        }
        let made = run(&case);
        let (written, actual) = compare(&case, &made);
        if written == actual {
            continue;
        }
        if update {
            let inputs = text.split_once("\nexpect:").map_or(text.trim_end(), |(inputs, _)| inputs);
            fs::write(&path, format!("{inputs}\nexpect:\n{actual}")).expect("a case can be written");
        } else {
            failures.push(format!("{name}: {}\n{}", case.title, difference(&written, &actual)));
        }
    }
    assert!(failures.is_empty(), "{} cases differ (- expected, + came out):\n\n{}\n", failures.len(), failures.join("\n\n"));
}

#[test]
fn after_its_plan_every_case_has_nothing_left_to_do() {
    for (path, _, case) in cases() {
        let made = run(&case);
        let (Some(carried_out), Some(desired)) = (&made.plan, &made.desired) else { continue };
        let state = states(&made.observed, &carried_out.actions).pop().expect("the start is a state");
        // What is made now has a unique ID that the status of the resource does not have yet.
        let desired = Desired { pinned: state.identity.as_ref().map(|found| found.id.clone()), ..desired.clone() };
        assert_eq!(plan(&desired, &state), Ok(Plan::default()), "{}", path.display());
    }
}

#[test]
fn titles_and_files_are_told_apart() {
    let titles: Vec<String> = cases().into_iter().map(|(_, _, case)| case.title).collect();
    let distinct: BTreeSet<&String> = titles.iter().collect();
    assert_eq!(distinct.len(), titles.len());
    assert!(titles.len() >= 320, "the cases were not found: {}", titles.len());
}
