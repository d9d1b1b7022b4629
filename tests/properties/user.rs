//! Users: the roles that they may assume, what they declare besides under any quotas, and their removal.

use super::*;

/// A role as a user sees it.
#[derive(Clone, Debug)]
pub(super) struct Naming {
    named: bool,
    deleting: bool,
    frozen: bool,
    root: bool,
}

#[derive(Clone, Debug)]
pub(super) struct FoundUser {
    whose: Whose,
    /// Roles of the assume policy that are allowed, and those that are denied.
    allowed: Option<Vec<usize>>,
    denied: Vec<usize>,
    cut_off: bool,
    foreign: bool,
    boundary: Option<&'static str>,
    tags: BTreeMap<&'static str, u8>,
}

pub(super) fn role_arn(index: usize) -> String {
    format!("arn:aws:iam::222222222222:role/role-{index}")
}

pub(super) fn arb_naming() -> impl Strategy<Value = Naming> {
    (prop::bool::weighted(0.7), prop::bool::weighted(0.2), prop::bool::weighted(0.3), prop::bool::weighted(0.2))
        .prop_map(|(named, deleting, frozen, root)| Naming { named, deleting, frozen, root })
}

pub(super) fn arb_found_user() -> impl Strategy<Value = FoundUser> {
    let roles = || subsequence(vec![0usize, 1, 2, 3, 4], 0..=4);
    let rest = (any::<bool>(), any::<bool>(), option::of(select(BOUNDARIES_OF_USERS.to_vec())), arb_tags());
    (arb_whose(), option::of(roles()), prop_oneof![4 => Just(vec![]), 1 => roles()], rest).prop_map(
        |(whose, allowed, denied, (cut_off, foreign, boundary, tags))| FoundUser { whose, allowed, denied, cut_off, foreign, boundary, tags },
    )
}

pub(super) fn desired_of_user(naming: &[Naming], boundary: Option<&str>, tags_: &BTreeMap<&'static str, u8>) -> Desired {
    let mut cluster = Cluster::taking_over();
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
    pub(super) fn observed(&self, desired: &Desired, naming: &[Naming]) -> Observed {
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
        Observed { identity: Some(ObservedIdentity { id: id("AIDAALICE00000000000"), identity }), ..Observed::default() }
    }
}

pub(super) fn may_assume(observed: &Observed) -> BTreeSet<String> {
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

pub(super) fn foreign_parts(observed: &Observed) -> (Vec<String>, BTreeSet<Arn>) {
    let Some(found) = &observed.identity else { return (vec![], BTreeSet::new()) };
    let foreign = found.identity.inline_policies.keys().map(ToString::to_string).filter(|name| name == "somebody-elses").collect();
    (foreign, found.identity.attached_policies.clone())
}

proptest! {
    #![proptest_config(config(300))]

    /// L3 and L4 for the assume policy, convergence from every state, and what others put on the user stays.
    #[test]
    fn a_user_may_assume_what_old_and_new_allow(
        naming in vec(arb_naming(), 0..5), boundary in option::of(select(BOUNDARIES_OF_USERS.to_vec())), wanted_tags in arb_tags(), found in arb_found_user(),
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

// What users may do beside assuming, under quotas.

pub(super) const GROUPS: [&str; 4] = ["admins", "developers", "staff", "team-data"];

/// What a user declares, and what its account says.
#[derive(Clone, Debug)]
pub(super) struct Person {
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
pub(super) struct Declaration {
    attached: Vec<usize>,
    inline: BTreeMap<&'static str, u8>,
    managed: BTreeMap<&'static str, u8>,
    report: bool,
}

/// What AWS has of the user, which is its own.
#[derive(Clone, Debug)]
pub(super) struct FoundPerson {
    attached: Vec<usize>,
    inline: BTreeMap<&'static str, u8>,
    revoked: bool,
    managed: BTreeMap<&'static str, (u8, Whose, bool)>,
    groups: Vec<&'static str>,
    boundary: Option<&'static str>,
    /// Roles of the inline assume policy.
    assumes: Option<usize>,
}

pub(super) fn arb_sizes() -> impl Strategy<Value = BTreeMap<&'static str, u8>> {
    btree_map(select(vec!["one", "two", "three"]), 0u8..4, 0..3)
}

pub(super) fn arb_person() -> impl Strategy<Value = Person> {
    let attached = || subsequence((0..12).collect::<Vec<_>>(), 0..=9);
    let declaration = (attached(), arb_sizes(), btree_map(select(MANAGED.to_vec()), 0..PERMISSIONS, 0..3), any::<bool>());
    let declaration = declaration.prop_map(|(attached, inline, managed, report)| Declaration { attached, inline, managed, report });
    let groups = (option::of(subsequence(GROUPS.to_vec(), 0..=4)), subsequence(vec!["admins", "STAFF", "team-*", "dev*"], 0..=4));
    let quotas = option::of((4usize..14, 2usize..5));
    (option::weighted(0.85, declaration), groups, quotas, option::of(select(BOUNDARIES_OF_USERS.to_vec())), 0usize..12)
        .prop_map(|(permissions, (groups, joinable), quotas, boundary, roles)| Person { permissions, groups, joinable, quotas, boundary, roles })
}

pub(super) fn arb_found_person() -> impl Strategy<Value = FoundPerson> {
    let managed = btree_map(select(MANAGED.to_vec()), (0..PERMISSIONS, arb_whose(), any::<bool>()), 0..3);
    let policies = (subsequence((0..12).collect::<Vec<_>>(), 0..=9), arb_sizes(), any::<bool>(), managed);
    (policies, subsequence(GROUPS.to_vec(), 0..=3), option::of(select(BOUNDARIES_OF_USERS.to_vec())), option::of(1usize..6)).prop_map(
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

pub(super) fn other_arn(number: usize) -> Arn {
    format!("arn:aws:iam::111111111111:policy/other-{number}").parse().expect("an ARN")
}

pub(super) fn own_arn(name: &str) -> Arn {
    format!("arn:aws:iam::111111111111:policy/{name}").parse().expect("an ARN")
}

/// A policy of one of some sizes.
pub(super) fn sized(size: u8) -> Value {
    let key = "k".repeat([10, 400, 900, 1300][usize::from(size)]);
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{key}")}]})
}

impl Person {
    pub(super) fn desired(&self, found: &FoundPerson) -> Desired {
        let mut cluster = Cluster::taking_over();
        let mut account = json!({"kind": "AWSAccount", "metadata": {"name": "utils"}, "spec": {
            "accountID": "111111111111", "guardrails": {"allowedGroups": self.joinable}, "ownership": {"takeOver": "SameInstallation"},
        }});
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
    pub(super) fn observed(&self, desired: &Desired) -> Observed {
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
        Observed { identity: Some(ObservedIdentity { id: id("AIDAALICE00000000000"), identity }), policies, ..Observed::default() }
    }
}

/// What the user may do, but for assuming roles.
pub(super) fn may_beside(observed: &Observed) -> BTreeSet<(String, Option<Canonical>)> {
    may(observed).into_iter().filter(|(name, _)| !name.contains(ASSUME_POLICY)).collect()
}

/// What the user is to be able to do, read from the declaration and from what nobody may take off.
pub(super) fn is_to_beside(person: &Person, desired: &Desired, start: &Observed) -> BTreeSet<(String, Option<Canonical>)> {
    let declared = is_to(desired, start);
    let removes = person.permissions.as_ref().is_some_and(|declaration| !declaration.report);
    let is_own = |name: &str| start.policies.values().any(|found| found.policy.arn.as_str() == name && is_named(found, &desired.owner));
    let stays = may_beside(start).into_iter().filter(|(name, _)| !removes && !is_own(name) && declared.iter().all(|(declared, _)| declared != name));
    declared.iter().cloned().chain(stays).collect()
}

/// Whether the tags of a policy name the owner, of whatever UID.
pub(super) fn is_named(found: &ObservedPolicy, owner: &Owner) -> bool {
    let tags = owner.tags();
    tags.iter().filter(|(key, _)| !key.ends_with("/uid")).all(|(key, value)| found.policy.tags.get(key) == Some(value))
}

pub(super) fn groups(observed: &Observed) -> BTreeSet<String> {
    observed.identity.iter().flat_map(|found| found.identity.groups.iter().flatten()).map(ToString::to_string).collect()
}

/// Characters of inline policies, attached policies, groups.
pub(super) fn load(observed: &Observed) -> [usize; 3] {
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
                let is_conflict = foreign.iter().any(|arn| desired.policies.contains_key(arn));
                let expected = if is_conflict { vec![Reason::Conflict, Reason::QuotaExceeded] } else { vec![Reason::QuotaExceeded] };
                prop_assert!(problems.iter().all(|problem| expected.contains(&problem.reason)), "{problems:?}");
                prop_assert!(!is_conflict || problems.iter().any(|problem| problem.reason == Reason::Conflict), "{problems:?}");
                // What is refused for a quota would exceed one on the way, if there were none.
                let quotas = Quotas { attached_policies_per_user: 1000, inline_policies_size_per_user: 100_000, groups_per_user: 1000, ..desired.quotas };
                if let Ok(unbounded) = plan(&Desired { quotas, ..desired.clone() }, &start) {
                    // Room is kept for the policy that cuts a user off.
                    let inline = desired.quotas.inline_policies_size_per_user - 256;
                    let quotas = [inline, desired.quotas.attached_policies_per_user, desired.quotas.groups_per_user];
                    let exceeds = |state: &Observed| load(state).into_iter().zip(quotas).any(|(there, quota)| there > quota);
                    prop_assert!(states(&start, &unbounded.actions).iter().any(exceeds), "{problems:?}\n{unbounded}");
                } else {
                    prop_assert!(is_conflict, "it is refused whatever the quotas: {problems:?}");
                }
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
pub(super) fn foreign_arns(observed: &Observed, owner: &Owner) -> BTreeSet<Arn> {
    observed.policies.values().filter(|found| !is_named(found, owner)).map(|found| found.policy.arn.clone()).collect()
}

/// The roles that the assume policies allow.
pub(super) fn crowd_may_assume_of(observed: &Observed, desired: &Desired) -> BTreeSet<String> {
    let mut observed = observed.clone();
    if let Some(found) = &mut observed.identity {
        found.identity.inline_policies.retain(|name, _| name.as_str() == ASSUME_POLICY);
        found.identity.attached_policies.retain(|arn| core_assume::number(&desired.identity, arn).is_some());
    }
    crowd_may_assume(&observed, &desired.owner)
}
