//! Every state on the way is within IAM's quotas, for what is there and what is to be near them; and nobody is let in or shut out for that who need not be.
//!
//! Policies that are exchanged within tight quotas are drawn in [`super::permissions`]; here it is trust policies, tags and versions.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use rolebridge::core::desired::Desired;
use rolebridge::core::document::Document;
use rolebridge::core::grants::{Grant, Intent};
use rolebridge::core::observed::{Observed, ObservedIdentity, ObservedPolicy};
use rolebridge::core::plan::{Plan, plan};
use rolebridge::core::quotas::Quotas;
use rolebridge::core::trust::{Conditions, Principal, TrustRule, trust_policy};
use serde_json::json;

use super::permissions::role;
use super::support_core::{document, id, states, unique_id};
use super::{ROLE_ID, config, managed_arn, outcome};

/// Requirements, by bits, with the conditions that ask for them.
const REQUIREMENTS: [(u8, &str, &str, usize); 3] =
    [(1, "NumericLessThanEquals", "aws:MultiFactorAuthAge", 1), (2, "IpAddress", "aws:SourceIp", 12), (4, "StringEquals", "sts:ExternalId", 1)];

/// Quotas of what else IAM counts (IAM quotas).
const MOST_TAGS: usize = 50;
const MOST_VERSIONS: usize = 5;

/// What changes of the role beside who may assume it.
#[derive(Clone, Debug)]
struct Beside {
    /// The inline policies before and afterwards.
    before: Vec<&'static str>,
    after: Vec<&'static str>,
    tags: bool,
    description: bool,
}

#[derive(Clone, Debug)]
struct Case {
    /// Users by number, with what is required of them.
    before: BTreeMap<usize, u8>,
    after: BTreeMap<usize, u8>,
    /// Those whose grants are merely kept.
    kept: BTreeSet<usize>,
    beside: Beside,
    /// How much room there is beyond the larger of both policies.
    room: usize,
}

fn arb_users() -> impl Strategy<Value = BTreeMap<usize, u8>> {
    let users = subsequence((0..24).collect::<Vec<_>>(), 0..=24);
    let one = (users.clone(), 0u8..8).prop_map(|(users, required)| users.into_iter().map(|user| (user, required)).collect());
    let two = (users, 0u8..8, 0u8..8).prop_map(|(users, a, b)| users.into_iter().map(|user| (user, if user % 3 == 0 { a } else { b })).collect());
    prop_oneof![one, two]
}

fn arb_case() -> impl Strategy<Value = Case> {
    let policies = || subsequence(vec!["reads", "writes"], 0..=2);
    let beside = (policies(), policies(), prop::bool::weighted(0.3), any::<bool>());
    let beside = beside.prop_map(|(before, after, tags, description)| Beside { before, after, tags, description });
    let kept = prop_oneof![3 => Just(vec![]), 1 => subsequence((0..24).collect::<Vec<_>>(), 0..=6)];
    (arb_users(), arb_users(), kept, beside, select(vec![0usize, 40, 200, 2000])).prop_map(|(before, after, kept, beside, room)| Case {
        before,
        after,
        kept: kept.into_iter().collect(),
        beside,
        room,
    })
}

fn user(number: usize) -> String {
    format!("arn:aws:iam::111111111111:user/{}{number}", "team/".repeat(number % 4))
}

fn conditions(required: u8) -> Conditions {
    let asked = REQUIREMENTS.iter().filter(|(bit, ..)| required & bit != 0);
    asked.fold(Conditions::default(), |all, (_, operator, key, values)| all.with(operator, key, (0..*values).map(|n| format!("203.0.113.{n}"))))
}

fn rule(number: usize, required: u8) -> TrustRule {
    TrustRule { conditions: conditions(required), ..TrustRule::plain(Principal::AWS(user(number))) }
}

fn trust(users: &BTreeMap<usize, u8>) -> Document {
    trust_policy([users.iter().map(|(number, required)| rule(*number, *required)).collect()])
}

fn permission(name: &str) -> Document {
    let action = if name == "reads" { "s3:GetObject" } else { "s3:PutObject" };
    document(&json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}))
}

impl Case {
    fn desired(&self) -> Desired {
        let mut desired = role();
        let grant = |(number, required): (&usize, &u8)| Grant {
            source: format!("BastionUser/data/{number}"),
            rule: Some(rule(*number, *required)),
            identity: Conditions::default(),
            is_understood: true,
            intent: if self.kept.contains(number) { Intent::Freeze } else { Intent::Grant },
            problem: None,
            own_name: None,
            key: None,
            was_named: false,
            source_id: Some(unique_id("AIDA", &number.to_string())),
            reported: None,
            may_be_replaced: false,
            warning: None,
        };
        desired.trust = Some(vec![self.after.iter().map(grant).collect()]);
        desired.identity.inline_policies = self.beside.after.iter().map(|name| (name.parse().expect("a name"), permission(name))).collect();
        desired
    }

    fn observed(&self, desired: &Desired) -> Observed {
        let mut identity = desired.identity.clone();
        identity.inline_policies = self.beside.before.iter().map(|name| (name.parse().expect("a name"), permission(name))).collect();
        if self.beside.tags {
            identity.tags.insert("team".into(), "before".into());
        }
        let settings = identity.role.as_mut().expect("a role");
        settings.trust_policy = trust(&self.before);
        settings.description = if self.beside.description { "before".into() } else { settings.description.clone() };
        Observed { identity: Some(ObservedIdentity { id: id(ROLE_ID), identity }), ..Observed::default() }
    }
}

/// Who comes in, and what it brings.
fn let_in(observed: &Observed) -> BTreeSet<(String, u8)> {
    let policy = &observed.identity.as_ref().expect("it is not deleted").identity.role.as_ref().expect("a role").trust_policy;
    let bit = |key: &str| REQUIREMENTS.iter().find(|(_, _, known, _)| *known == key).expect("nothing else is required").0;
    let statements = policy.as_value()["Statement"].as_array().expect("statements").clone();
    let mut all = BTreeSet::new();
    for statement in statements.iter().filter(|statement| statement["Effect"] == "Allow") {
        let operators = statement["Condition"].as_object().into_iter().flatten();
        let required = operators.flat_map(|(_, keys)| keys.as_object().expect("keys").keys()).fold(0, |all, key| all | bit(key));
        let principals = &statement["Principal"]["AWS"];
        let names = principals.as_array().cloned().unwrap_or_else(|| vec![principals.clone()]);
        let names = names.iter().map(|name| name.as_str().expect("a name").to_owned()).collect::<Vec<_>>();
        all.extend(
            (0..8u8).filter(|brought| brought & required == required).flat_map(|brought| names.iter().map(move |name| (name.clone(), brought))),
        );
    }
    all
}

/// What who gets.
fn gets(observed: &Observed) -> BTreeSet<(String, u8, String)> {
    let policies: Vec<String> = observed.identity.iter().flat_map(|found| found.identity.inline_policies.keys()).map(ToString::to_string).collect();
    let with = |(who, brought): (String, u8)| policies.iter().map(move |policy| (who.clone(), brought, policy.clone())).collect::<Vec<_>>();
    let_in(observed).into_iter().flat_map(with).collect()
}

fn size(observed: &Observed) -> usize {
    observed.identity.as_ref().and_then(|found| found.identity.role.as_ref()).map_or(0, |role| role.trust_policy.size())
}

proptest! {
    #![proptest_config(config(600))]

    /// L3 for all that somebody gets by the role. L4 where permissions alone change beside the trust policy; and where other things of the role change, as well,
    /// for as many as there is room for, and for all whose grants are merely kept.
    #[test]
    fn a_trust_policy_fits_on_the_way(case in arb_case()) {
        let mut desired = case.desired();
        let start = case.observed(&desired);
        let wanted = desired.wanted(&start).expect("no roles are to be assumed").identity.role.expect("a role").trust_policy;
        let quota = size(&start).max(wanted.size()) + case.room;
        desired.quotas = Quotas { trust_policy_size: quota, ..Quotas::default() };
        let planned = plan(&desired, &start).map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
        let states = states(&start, &planned.actions);
        let end = states.last().expect("the start");
        let (before, after) = (gets(&start), gets(end));
        let (in_before, in_after) = (let_in(&start), let_in(end));
        let kept: BTreeSet<String> = case.kept.iter().map(|number| user(*number)).collect();
        let both: BTreeSet<(String, u8)> = in_before.intersection(&in_after).cloned().collect();
        // What would be required in between of all who stay: what was before and what is to be. Of whom is merely kept nothing else is than before, unless
        // that is more.
        let required = |number: &usize| {
            let (before, after) = (*case.before.get(number)?, *case.after.get(number)?);
            let is_kept = case.kept.contains(number) && before & after != before;
            Some((*number, if is_kept { before } else { before | after }))
        };
        let largest = trust(&case.before.keys().filter_map(required).collect()).size();
        for state in &states {
            prop_assert!(size(state) <= quota, "{} of {quota}\n{planned}", size(state));
            prop_assert!(gets(state).is_subset(&before.union(&after).cloned().collect()), "{planned}");
            let missing: BTreeSet<&(String, u8)> = both.iter().filter(|who| !let_in(state).contains(*who)).collect();
            prop_assert!(missing.iter().all(|(who, _)| !kept.contains(who)), "{missing:?}\n{planned}");
            prop_assert!(missing.is_empty() || (case.beside.tags && largest > quota), "{missing:?}\n{planned}");
            let again = plan(&desired, state).map_err(|problems| TestCaseError::fail(format!("{problems:?}\n{planned}")))?;
            let ended = super::support_core::states(state, &again.actions).pop().expect("the start");
            prop_assert_eq!(outcome(&ended), outcome(end), "{}", planned);
        }
        prop_assert_eq!(plan(&desired, end), Ok(Plan::default()));
    }
}

/// Tags, of which some have another value or other letters on the one side.
fn arb_tags() -> impl Strategy<Value = BTreeMap<String, String>> {
    let some = (0usize..47, 0usize..20, any::<bool>());
    some.prop_map(|(count, from, large)| {
        let key = |number: usize| if large { format!("KEY{number}") } else { format!("key{number}") };
        (from..from + count).map(|number| (key(number), (number % (from + 1)).to_string())).collect()
    })
}

proptest! {
    #![proptest_config(config(400))]

    /// IAM counts the tags and versions that are there when it takes more of them.
    #[test]
    fn tags_and_versions_fit_on_the_way(
        tags in (arb_tags(), arb_tags()), of_policy in (arb_tags(), arb_tags()), versions in 0usize..5,
        says in (btree_map(select(vec!["reads", "writes"]), any::<bool>(), 1..3), option::of(vec(select(vec!["reads", "writes"]), 1..3))),
    ) {
        let mut desired = role();
        let owner = desired.owner.tags();
        let with_owner = |tags: &BTreeMap<String, String>| tags.clone().into_iter().chain(owner.clone()).collect::<BTreeMap<_, _>>();
        desired.identity.tags = with_owner(&tags.1);
        let statements = |allow: &[(&str, bool)]| {
            let statement = |(name, denies): &(&str, bool)| json!({"Effect": if *denies { "Deny" } else { "Allow" }, "Action": permission(name).as_value()["Statement"][0]["Action"], "Resource": "*"});
            document(&json!({"Version": "2012-10-17", "Statement": allow.iter().map(statement).collect::<Vec<_>>()}))
        };
        let (arn, mixed) = (managed_arn("lists"), says.0.into_iter().collect::<Vec<_>>());
        let policy = rolebridge::core::identity::ManagedPolicy {
            arn: arn.clone(), name: "lists".parse().expect("a name"), path: rolebridge::core::names::Path::root(), description: String::new(),
            document: statements(&mixed), tags: with_owner(&of_policy.1),
        };
        desired.former_policies = [arn.clone()].into();
        if let Some(allowed) = &says.1 {
            let allowed: Vec<(&str, bool)> = allowed.iter().map(|name| (*name, false)).collect();
            let wanted = rolebridge::core::identity::ManagedPolicy { document: statements(&allowed), ..policy.clone() };
            desired.identity.attached_policies = [arn.clone()].into();
            desired.policies = [(arn.clone(), wanted)].into();
            // Limits the policy, and is limited by it.
            desired.identity.inline_policies = [("fence".parse().expect("a name"), statements(&[("reads", true), ("writes", false)]))].into();
        }
        let mut identity = desired.identity.clone();
        identity.tags = with_owner(&tags.0).into_iter().chain([("aws:stack".to_owned(), "x".to_owned())]).collect();
        identity.attached_policies = [arn.clone()].into();
        identity.inline_policies = [("fence".parse().expect("a name"), statements(&[("reads", false), ("writes", true)]))].into();
        let found = ObservedPolicy {
            id: id(&unique_id("ANPA", "lists")), policy: rolebridge::core::identity::ManagedPolicy { tags: with_owner(&of_policy.0), ..policy },
            default_version: format!("v{}", versions + 1), other_versions: (1..=versions).map(|number| format!("v{number}")).collect(),
        };
        let start = Observed { identity: Some(ObservedIdentity { id: id(ROLE_ID), identity }), policies: [(arn, found)].into(), ..Observed::default() };
        let planned = plan(&desired, &start).map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
        for (state, next) in states(&start, &planned.actions).iter().zip(planned.actions.iter().map(Some).chain([None])) {
            let own = |tags: &BTreeMap<String, String>| tags.keys().filter(|key| !key.starts_with("aws:")).count();
            prop_assert!(own(&state.identity.as_ref().expect("it is not deleted").identity.tags) <= MOST_TAGS, "{planned}");
            for policy in state.policies.values() {
                prop_assert!(own(&policy.policy.tags) <= MOST_TAGS && policy.other_versions.len() < MOST_VERSIONS, "{planned}");
                // IAM deletes no policy that has other versions.
                let is_deleted = matches!(next, Some(rolebridge::core::action::Action::DeletePolicy(_)));
                prop_assert!(!is_deleted || policy.other_versions.is_empty(), "{planned}");
            }
        }
    }
}
