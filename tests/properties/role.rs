//! Roles: their trust, their permissions, what others left, and their removal.

use super::*;

// What is generated.

/// How far a user is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stage {
    Missing,
    New,
    Made,
    Ready,
    Deleting,
}

/// Whose an object of IAM is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Whose {
    Ours,
    OursBefore,
    AnotherResource,
    AnotherInstallation,
    Nobody,
}

impl Whose {
    pub(super) fn is_ours(self) -> bool {
        matches!(self, Self::Ours | Self::OursBefore)
    }

    pub(super) fn tags(self, owner: &Owner) -> Tags {
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
pub(super) struct RoleCase {
    pub(super) stages: [Stage; 3],
    /// Whether the account of the role takes the namespace, and lets roots be trusted.
    pub(super) allowed: bool,
    pub(super) root_trust: bool,
    /// Entries: whether by the account's root, what is required, and the sources.
    pub(super) entries: Vec<(bool, u8, Vec<&'static str>)>,
    pub(super) attached: Vec<&'static str>,
    pub(super) inline: BTreeMap<&'static str, u8>,
    pub(super) managed: BTreeMap<&'static str, u8>,
    pub(super) former: Vec<&'static str>,
    pub(super) tags: BTreeMap<&'static str, u8>,
    pub(super) description: bool,
    pub(super) long: bool,
    pub(super) boundary: Option<&'static str>,
}

/// What AWS has.
#[derive(Clone, Debug)]
pub(super) struct FoundRole {
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
pub(super) struct FoundPolicy {
    whose: Whose,
    document: u8,
    tags: BTreeMap<&'static str, u8>,
    other_versions: usize,
}

#[derive(Clone, Debug)]
pub(super) struct FoundAll {
    pub(super) role: Option<FoundRole>,
    pub(super) policies: BTreeMap<&'static str, FoundPolicy>,
}

pub(super) const MFA: u8 = 1;
pub(super) const EXTERNAL_ID: u8 = 2;

pub(super) fn arb_stage() -> impl Strategy<Value = Stage> {
    prop_oneof![1 => Just(Stage::Missing), 2 => Just(Stage::New), 2 => Just(Stage::Made), 4 => Just(Stage::Ready), 1 => Just(Stage::Deleting)]
}

pub(super) fn arb_whose() -> impl Strategy<Value = Whose> {
    use Whose::*;
    prop_oneof![12 => Just(Ours), 2 => Just(OursBefore), 1 => Just(AnotherResource), 1 => Just(AnotherInstallation), 1 => Just(Nobody)]
}

/// What is required: bits for a second factor and for an external ID.
pub(super) fn arb_required() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(0), 1 => Just(MFA), 1 => Just(EXTERNAL_ID), 1 => Just(MFA | EXTERNAL_ID)]
}

pub(super) fn arb_inline() -> impl Strategy<Value = BTreeMap<&'static str, u8>> {
    btree_map(select(vec!["one", "two", "three"]), 0..PERMISSIONS, 0..3)
}

/// Tags as a manifest may have them: the admission rules keep out keys that differ in case alone.
pub(super) fn arb_tags() -> impl Strategy<Value = BTreeMap<&'static str, u8>> {
    btree_map(select(TAG_KEYS.to_vec()), 0u8..2, 0..4).prop_map(|tags| {
        let mut seen = BTreeSet::new();
        tags.into_iter().filter(|(key, _)| seen.insert(key.to_ascii_lowercase())).collect()
    })
}

pub(super) fn arb_role_case() -> impl Strategy<Value = RoleCase> {
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

pub(super) fn arb_found() -> impl Strategy<Value = FoundAll> {
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

pub(super) const fn alice() -> &'static str {
    "arn:aws:iam::111111111111:user/alice"
}

pub(super) const fn bob() -> &'static str {
    "arn:aws:iam::111111111111:user/bob"
}

pub(super) const fn carol() -> &'static str {
    "arn:aws:iam::111111111111:user/carol"
}

/// What policies say, by number; the last of them denies.
pub(super) const PERMISSIONS: u8 = 4;

pub(super) fn permission(number: u8) -> Value {
    let says = [("Allow", "s3:ListAllMyBuckets"), ("Allow", "s3:GetObject"), ("Allow", "s3:PutObject"), ("Deny", "s3:GetObject")];
    let (effect, action) = says[usize::from(number)];
    json!({"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, "Resource": "*"}]})
}

pub(super) fn tags(of: &BTreeMap<&'static str, u8>) -> Tags {
    of.iter().map(|(key, value)| ((*key).to_owned(), value.to_string())).collect()
}

pub(super) fn managed_arn(name: &str) -> Arn {
    format!("arn:aws:iam::222222222222:policy/{name}").parse().expect("an ARN")
}

impl RoleCase {
    pub(super) fn cluster(&self, pinned: Option<&str>) -> Cluster {
        let mut cluster = Cluster::taking_over();
        cluster.apply(json!({"kind": "AWSAccount", "metadata": {"name": "prod"}, "spec": {
            "accountID": "222222222222",
            "allowedNamespaces": if self.allowed { json!({"from": "All"}) } else { json!({"from": "Names", "names": ["other"]}) },
            "guardrails": {"accountRootTrust": self.root_trust},
            "ownership": {"takeOver": "SameInstallation"},
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
    pub(super) fn desired(&self, found: &FoundAll) -> Desired {
        let cluster = self.cluster(found.pinned());
        let role = cluster.role(&ObjectKey::new(NAMESPACE, "reader")).expect("the role");
        let at = resolve_account(&cluster, "prod").expect("the account");
        desired_role(&cluster, &role, &at, &cluster.texts(Some(NAMESPACE), role.spec.permissions.as_ref()), INSTALLATION).expect("the role is valid")
    }
}

pub(super) const ROLE_ID: &str = "AROAREADER0000000000";

impl FoundAll {
    pub(super) fn pinned(&self) -> Option<&'static str> {
        match self.role.as_ref()?.pinned {
            0 => Some("AROAANOTHER000000000"),
            1..=5 => Some(ROLE_ID),
            _ => None,
        }
    }

    pub(super) fn observed(&self, owner: &Owner, wanted: &Desired) -> Observed {
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
        Observed { identity: role, policies: self.policies.iter().map(|(name, found)| policy(name, found)).collect(), ..Observed::default() }
    }

    pub(super) fn foreign_policies(&self) -> BTreeSet<Arn> {
        self.policies.iter().filter(|(_, found)| !found.whose.is_ours()).map(|(name, _)| managed_arn(name)).collect()
    }
}

// What is checked.

pub(super) fn allows(statement: &StatementRef<'_>) -> bool {
    statement.effect() == Some(Effect::Allow)
}

/// The AWS principals that a role's trust policy names in statements that allow (or deny), with what is required there.
pub(super) fn named(observed: &Observed, effect: Effect) -> BTreeSet<(String, u8)> {
    let role = observed.identity.as_ref().and_then(|found| found.identity.role.as_ref());
    let statements = role.map(|role| role.trust_policy.statements()).unwrap_or_default();
    let of_effect = statements.iter().filter(|s| s.effect() == Some(effect));
    of_effect.flat_map(|s| s.principals("AWS").into_iter().map(|name| (name.to_owned(), required(s)))).collect()
}

pub(super) fn required(statement: &StatementRef<'_>) -> u8 {
    let bit = |key: &str| match key {
        "aws:MultiFactorAuthPresent" => MFA,
        "sts:ExternalId" => EXTERNAL_ID,
        other => panic!("nothing here requires {other}"),
    };
    statement.conditions().iter().map(|condition| bit(condition.key)).fold(0, |all, bit| all | bit)
}

/// Who comes in, by name and by what they bring: the root stands for everybody in its account, `*` for everybody.
pub(super) fn everybody_in(principals: BTreeSet<(String, u8)>) -> BTreeSet<String> {
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
pub(super) fn let_in(observed: &Observed) -> BTreeSet<String> {
    let denied = everybody_in(named(observed, Effect::Deny));
    everybody_in(named(observed, Effect::Allow)).difference(&denied).cloned().collect()
}

/// What an identity may do: the statements of its policies. Policies that others manage say nothing here.
pub(super) fn may(observed: &Observed) -> BTreeSet<(String, Option<Canonical>)> {
    let Some(found) = &observed.identity else { return BTreeSet::new() };
    let inline = found.identity.inline_policies.iter().flat_map(|(name, document)| statements(name, Some(document)));
    let says = |arn: &Arn| observed.policies.get(arn).map(|policy| &policy.policy.document);
    inline.chain(found.identity.attached_policies.iter().flat_map(|arn| statements(arn, says(arn)))).collect()
}

/// What a policy says, statement by statement; None where that is not known.
pub(super) fn statements(name: &impl ToString, document: Option<&Document>) -> Vec<(String, Option<Canonical>)> {
    let name = name.to_string();
    let Some(document) = document else { return vec![(name, None)] };
    let alone = |statement: StatementRef<'_>| support_core::document(&json!({"Version": "2012-10-17", "Statement": statement.to_value()}));
    document.statements().into_iter().map(|statement| (name.clone(), Some(Canonical::of(&alone(statement))))).collect()
}

/// What comes of the statements that are known.
pub(super) fn in_effect(observed: &Observed) -> Requests {
    let Some(found) = &observed.identity else { return Requests::new() };
    let attached = found.identity.attached_policies.iter().filter_map(|arn| observed.policies.get(arn)).map(|found| &found.policy.document);
    allowed(found.identity.inline_policies.values().chain(attached).collect::<Vec<_>>())
}

/// What a role is to be able to do, read from the declaration; and the denial of older sessions, where there is one.
pub(super) fn is_to(desired: &Desired, start: &Observed) -> BTreeSet<(String, Option<Canonical>)> {
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
pub(super) fn to_let_in(desired: &Desired, start: &Observed) -> BTreeSet<String> {
    everybody_in(standing(desired, start))
}

/// What an admission requires.
pub(super) fn bits(rule: &TrustRule) -> u8 {
    let conditions = [("Bool", "aws:MultiFactorAuthPresent", MFA), ("StringEquals", "sts:ExternalId", EXTERNAL_ID)];
    conditions.iter().filter(|(operator, key, _)| rule.conditions.has(operator, key)).fold(0, |all, (.., bit)| all | bit)
}

/// The principals of the grants that stand. What is merely kept stays where it is named and let in: under what is required now, where that lets in
/// nobody new, and otherwise as it was.
pub(super) fn standing(desired: &Desired, start: &Observed) -> BTreeSet<(String, u8)> {
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
pub(super) fn tags_of_role(observed: &Observed) -> Vec<(String, String)> {
    let tags = observed.identity.iter().flat_map(|found| &found.identity.tags).filter(|(key, _)| !key.starts_with("aws:"));
    let mut tags: Vec<_> = tags.map(|(key, value)| (key.to_ascii_lowercase(), value.clone())).collect();
    tags.sort();
    tags
}

/// What an action writes to.
#[derive(Debug, PartialEq)]
pub(super) enum Target {
    Identity,
    Policy(Arn),
}

pub(super) fn target(action: &Action) -> Target {
    match action {
        Action::CreatePolicy(policy) => Target::Policy(policy.arn.clone()),
        Action::CreatePolicyVersion(arn, _) | Action::DeletePolicyVersion(arn, _) | Action::DeletePolicy(arn) => Target::Policy(arn.clone()),
        Action::Tag(Tagged::Policy(arn), _) | Action::Untag(Tagged::Policy(arn), _) => Target::Policy(arn.clone()),
        _ => Target::Identity,
    }
}

/// The state without what differs from run to run: unique IDs and the numbers of versions.
pub(super) fn outcome(observed: &Observed) -> (Option<rolebridge::core::identity::Identity>, Vec<rolebridge::core::identity::ManagedPolicy>) {
    (observed.identity.as_ref().map(|found| found.identity.clone()), observed.policies.values().map(|found| found.policy.clone()).collect())
}

proptest! {
    #![proptest_config(config(200))]

    /// Planning is idempotent, and a plan may be interrupted anywhere: planned again from there, it ends the same.
    #[test]
    fn a_role_converges_from_every_state(case in arb_role_case(), found in arb_found(), garbled in 0usize..12) {
        let desired = case.desired(&found);
        let start = with_garbled(found.observed(&desired.owner, &desired), garbled);
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
        let mut desired = case.desired(&found);
        let start = found.observed(&desired.owner, &desired);
        desired.ours = super::permissions::all_there(&start);
        desired.ours.inline.retain(|name| name.as_str() != REVOKE_SESSIONS_POLICY);
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
        // What nobody can be in may be worked on in any order.
        let is_idle = in_before.is_empty();
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
                prop_assert!(is_idle || is_declared, "{now:?} was declared under neither boundary: {planned}");
                prop_assert!(is_idle || in_effect(state).is_subset(&in_effect(by)), "{now:?} was declared under neither boundary: {planned}");
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
        let less = Desired::held_back(Remaining { pinned: id(ROLE_ID), assumes: vec![], ..remaining(&desired) }, &start);
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

    /// Where nothing is added, the sources of which the trust policy has something are all that matters.
    #[test]
    fn what_stands_is_all_that_matters_where_nothing_is_added(case in arb_role_case(), found in arb_found()) {
        let desired = case.desired(&found);
        let start = found.observed(&desired.owner, &desired);
        let whole = Desired::held_back(Remaining { pinned: id(ROLE_ID), assumes: vec![], ..remaining(&desired) }, &start);
        let cluster = case.cluster(found.pinned());
        let role = cluster.role(&ObjectKey::new(NAMESPACE, "reader")).expect("the role");
        let at = resolve_account(&cluster, "prod").expect("the account");
        let shown = start.identity.iter().filter_map(|found| found.identity.role.as_ref()).map(|role| Trust::of(&role.trust_policy, &at.id));
        let trust = Some(Sources::of(&cluster, &role).standing(&at, &shown.collect::<Vec<_>>()));
        let less = Desired::held_back(Remaining { pinned: id(ROLE_ID), assumes: vec![], trust, ..remaining(&desired) }, &start);
        let plan_of = |desired: Option<Desired>| desired.map(|desired| plan(&desired, &start));
        prop_assert_eq!(plan_of(less), plan_of(whole));
    }

    /// A removal leaves nothing of ours and changes nothing of anybody else's.
    #[test]
    fn a_removal_takes_what_is_ours_and_no_more(case in arb_role_case(), found in arb_found(), cut_off_only in any::<bool>(), garbled in 0usize..12) {
        let desired = case.desired(&found);
        let start = with_garbled(found.observed(&desired.owner, &desired), garbled);
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

/// The same, where nobody can read the document with this number, if there is one.
fn with_garbled(mut observed: Observed, number: usize) -> Observed {
    if let Some(document) = observed.documents_mut().nth(number) {
        *document = Document::read("no%20JSON");
    }
    observed
}

/// Writes a document in another way that means the same: lists for scalars and the other way round, statements the other way round, other cases.
pub(super) fn respell(document: &mut Document) {
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
