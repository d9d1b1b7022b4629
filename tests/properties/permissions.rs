//! What a user or role may do while its policies, groups and boundary are exchanged, by what they say: [`evaluator`] reads the documents.
//!
//! Between two states it may do no more than before or afterwards (L3), whatever else. It may do all that it may before and afterwards (L4) where IAM's
//! quotas leave room for old and new at once and no boundary takes the place of another: where both cannot be had, L3 wins.
//!
//! Of policies of others and of groups the core knows nothing. Of several that come at once, or go, it cannot know which limits which, nor which limits what a
//! new boundary lets through: there they only allow here.
//!
//! [`evaluator`]: super::evaluator

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use rolebridge::api::Reason;
use rolebridge::api::permissions::Unmanaged;
use rolebridge::core::desired::Desired;
use rolebridge::core::document::Document;
use rolebridge::core::identity::{ManagedPolicy, RoleSettings};
use rolebridge::core::names::{Arn, Path};
use rolebridge::core::observed::{Observed, ObservedIdentity, ObservedPolicy};
use rolebridge::core::ours::Ours;
use rolebridge::core::plan::{Plan, plan};
use rolebridge::core::quotas::Quotas;
use serde_json::{Value, json};

use super::evaluator::{Requests, allowed};
use super::support_core::{document, id, states, unique_id};
use super::{BOUNDARIES, MANAGED, RoleCase, Stage, config, desired_of_user, managed_arn, other_arn, outcome, own_arn};

const INLINE: [&str; 3] = ["one", "two", "three"];
const GROUPS: [&str; 3] = ["admins", "developers", "require-mfa"];

/// What is before and what is to be; documents are told by their number among those of the case.
#[derive(Clone, Debug)]
struct Exchange<T> {
    before: Option<T>,
    after: Option<T>,
}

#[derive(Clone, Debug)]
struct Case {
    is_role: bool,
    documents: Vec<Value>,
    inline: BTreeMap<&'static str, Exchange<usize>>,
    /// With those that are there without being attached.
    managed: BTreeMap<&'static str, (Exchange<usize>, bool)>,
    /// Policies of others, and what they say without the core knowing it.
    others: BTreeMap<usize, (Exchange<()>, Value)>,
    groups: BTreeMap<&'static str, (Exchange<()>, Value)>,
    boundary: Exchange<usize>,
    boundaries: [Value; 2],
    /// Whether the quotas leave room for old and new at once.
    is_ample: bool,
}

fn arb_exchange<T: Clone + std::fmt::Debug + 'static>(of: impl Strategy<Value = T> + Clone + 'static) -> BoxedStrategy<Exchange<T>> {
    let both = of.clone().prop_map(|both| Exchange { before: Some(both.clone()), after: Some(both) });
    let any = (option::of(of.clone()), option::of(of)).prop_map(|(before, after)| Exchange { before, after });
    prop_oneof![1 => both, 3 => any].boxed()
}

fn arb_patterns(of: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(of.to_vec(), 1..=2)
}

fn arb_statement(effect: impl Strategy<Value = &'static str>) -> impl Strategy<Value = Value> {
    const ACTIONS: &[&str] =
        &["s3:*", "s3:Get*", "s3:*Object", "S3:DeleteObject", "s3:PutObject", "s3:?etObject", "s3:List*", "ec2:*", "ec2:Run*", "*"];
    const RESOURCES: &[&str] = &["*", "arn:aws:s3:::a/*", "arn:aws:s3:::b/*", "arn:aws:s3:::a/x", "arn:aws:s3:::?/x"];
    let condition =
        prop_oneof![5 => Just(None), 1 => select(vec![("Bool", "true"), ("BoolIfExists", "false"), ("BoolIfExists", "true")]).prop_map(Some)];
    let elements = (prop::bool::weighted(0.85), arb_patterns(ACTIONS), prop::bool::weighted(0.9), arb_patterns(RESOURCES));
    (effect, elements, condition).prop_map(|(effect, (acts, actions, of, resources), condition)| {
        let mut statement = json!({"Effect": effect});
        statement[if acts { "Action" } else { "NotAction" }] = json!(actions);
        statement[if of { "Resource" } else { "NotResource" }] = json!(resources);
        if let Some((operator, value)) = condition {
            statement["Condition"] = json!({operator: {"aws:MultiFactorAuthPresent": value}});
        }
        statement
    })
}

/// A document. Sids stand in some of its statements, the same in each document.
fn arb_document(effect: impl Strategy<Value = &'static str>) -> impl Strategy<Value = Value> {
    (vec(arb_statement(effect), 1..4), any::<bool>()).prop_map(|(mut statements, with_sids)| {
        for (number, statement) in statements.iter_mut().enumerate().filter(|_| with_sids) {
            statement["Sid"] = json!(format!("Statement{number}"));
        }
        json!({"Version": "2012-10-17", "Statement": statements})
    })
}

fn arb_mixed() -> impl Strategy<Value = Value> {
    arb_document(prop_oneof![3 => Just("Allow"), 2 => Just("Deny")])
}

fn arb_case() -> impl Strategy<Value = Case> {
    let policies = (
        vec(arb_mixed(), 4),
        btree_map(select(INLINE.to_vec()), arb_exchange(0usize..4), 0..4),
        btree_map(select(MANAGED.to_vec()), (arb_exchange(0usize..4), prop::bool::weighted(0.2)), 0..4),
    );
    let unknown = || (arb_exchange(Just(())), arb_mixed());
    let unknown = (btree_map(0usize..3, unknown(), 0..3), btree_map(select(GROUPS.to_vec()), unknown(), 0..3));
    let boundary = prop_oneof![3 => Just(Exchange { before: None, after: None }), 2 => arb_exchange(0usize..2)];
    let rest = (any::<bool>(), boundary, [arb_mixed(), arb_mixed()], any::<bool>());
    (policies, unknown, rest).prop_map(|((documents, inline, managed), (others, groups), (is_role, boundary, boundaries, is_ample))| {
        let mut case = Case { is_role, documents, inline, managed, others, groups, boundary, boundaries, is_ample };
        case.know_enough();
        case
    })
}

impl<T> Exchange<T> {
    fn comes(&self) -> bool {
        self.before.is_none() && self.after.is_some()
    }

    fn goes(&self) -> bool {
        self.before.is_some() && self.after.is_none()
    }
}

impl Case {
    /// Lets what nothing is known of only allow where order cannot be told from what is known.
    fn know_enough(&mut self) {
        if self.is_role {
            self.groups.clear();
        }
        let replaced = self.boundary.before.is_some() && self.boundary.after.is_some() && self.boundary.before != self.boundary.after;
        let unknown: Vec<&Exchange<()>> =
            self.others.values().map(|(exchange, _)| exchange).chain(self.groups.values().map(|(exchange, _)| exchange)).collect();
        let count = |is: fn(&Exchange<()>) -> bool| unknown.iter().filter(|exchange| is(exchange)).count();
        let (come, go) = (count(Exchange::comes), count(Exchange::goes));
        let is_clear = |exchange: &Exchange<()>| {
            let alone = (exchange.comes() && come == 1) || (exchange.goes() && go == 1);
            exchange.comes() == exchange.goes() || (alone && !replaced)
        };
        for (exchange, says) in self.others.values_mut().chain(self.groups.values_mut()) {
            if !is_clear(exchange) || (!self.is_ample && exchange.comes() != exchange.goes()) {
                says["Statement"].as_array_mut().expect("statements").iter_mut().for_each(|statement| statement["Effect"] = json!("Allow"));
            }
        }
    }

    fn replaces_boundary(&self) -> bool {
        matches!((self.boundary.before, self.boundary.after), (Some(before), Some(after)) if before != after)
    }

    fn document(&self, number: usize) -> Document {
        document(&self.documents[number])
    }

    fn own_arn(&self, name: &str) -> Arn {
        if self.is_role { managed_arn(name) } else { own_arn(name) }
    }

    fn managed_policy(&self, name: &str, number: usize, desired: &Desired) -> ManagedPolicy {
        ManagedPolicy {
            arn: self.own_arn(name),
            name: name.parse().expect("a name"),
            path: Path::root(),
            description: String::new(),
            document: self.document(number),
            tags: desired.owner.tags(),
        }
    }

    /// The account lets it have what it has and what it is to have, and no more; or plenty.
    fn quotas(&self, before: &Observed, desired: &Desired) -> Quotas {
        if self.is_ample {
            return Quotas {
                inline_policies_size_per_role: 100_000,
                inline_policies_size_per_user: 100_000,
                managed_policy_size: 100_000,
                ..Quotas::default()
            };
        }
        let there = before.identity.as_ref().expect("an identity").identity.clone();
        let size = |documents: &mut dyn Iterator<Item = &Document>| documents.map(Document::size).sum::<usize>();
        let inline =
            [size(&mut there.inline_policies.values()), size(&mut desired.identity.inline_policies.values())].into_iter().max().expect("two");
        let attached = there.attached_policies.len().max(desired.identity.attached_policies.len());
        let own = before.policies.values().map(|found| &found.policy.document).chain(desired.policies.values().map(|policy| &policy.document));
        Quotas {
            inline_policies_size_per_role: inline,
            inline_policies_size_per_user: inline + 256,
            attached_policies_per_role: attached,
            attached_policies_per_user: attached,
            managed_policy_size: own.map(Document::size).max().unwrap_or(6144),
            groups_per_user: self.groups.len(),
            ..Quotas::default()
        }
    }

    fn desired(&self) -> Desired {
        let mut desired = if self.is_role { role() } else { desired_of_user(&[], None, &BTreeMap::new()) };
        let inline = self.inline.iter().filter_map(|(name, exchange)| Some((name.parse().expect("a name"), self.document(exchange.after?))));
        desired.identity.inline_policies = inline.collect();
        let managed = self.managed.iter().filter_map(|(name, (exchange, _))| Some(self.managed_policy(name, exchange.after?, &desired)));
        desired.policies = managed.map(|policy| (policy.arn.clone(), policy)).collect();
        let others = self.others.iter().filter(|(_, (exchange, _))| exchange.after.is_some()).map(|(number, _)| other_arn(*number));
        desired.identity.attached_policies = desired.policies.keys().cloned().chain(others).collect();
        desired.former_policies = self.managed.keys().map(|name| self.own_arn(name)).collect();
        desired.identity.permissions_boundary = self.boundary.after.map(|number| BOUNDARIES[number].parse().expect("an ARN"));
        desired.unmanaged = Some(Unmanaged::Remove);
        if !self.is_role {
            let joined = self.groups.iter().filter(|(_, (exchange, _))| exchange.after.is_some());
            let membership = |name: &str| rolebridge::core::groups::Membership {
                group: name.parse().expect("a group"),
                intent: rolebridge::core::grants::Intent::Grant,
                problem: None,
            };
            desired.memberships = Some(joined.map(|(name, _)| membership(name)).collect());
        }
        desired
    }

    fn observed(&self, desired: &Desired) -> Observed {
        let mut identity = desired.identity.clone();
        let wanted = desired.wanted(&Observed::default()).expect("there is room").identity.role;
        identity.role =
            identity.role.map(|role| RoleSettings { trust_policy: wanted.map_or(role.trust_policy, |wanted| wanted.trust_policy), ..role });
        let inline = self.inline.iter().filter_map(|(name, exchange)| Some((name.parse().expect("a name"), self.document(exchange.before?))));
        identity.inline_policies = inline.collect();
        let there = self.managed.iter().filter_map(|(name, (exchange, is_loose))| Some((*name, exchange.before?, *is_loose)));
        let others = self.others.iter().filter(|(_, (exchange, _))| exchange.before.is_some()).map(|(number, _)| other_arn(*number));
        identity.attached_policies = there.clone().filter(|(.., is_loose)| !is_loose).map(|(name, ..)| self.own_arn(name)).chain(others).collect();
        identity.permissions_boundary = self.boundary.before.map(|number| BOUNDARIES[number].parse().expect("an ARN"));
        let groups = self.groups.iter().filter(|(_, (exchange, _))| exchange.before.is_some()).map(|(name, _)| name.parse().expect("a group"));
        identity.groups = (!self.is_role).then(|| groups.collect());
        let policy = |(name, number, _): (&str, usize, bool)| {
            let policy = self.managed_policy(name, number, desired);
            (policy.arn.clone(), ObservedPolicy { id: id(&unique_id("ANPA", name)), policy, default_version: "v1".into(), other_versions: vec![] })
        };
        let policies = there.map(policy).collect();
        let unique = if self.is_role { super::ROLE_ID } else { "AIDAALICE00000000000" };
        Observed { identity: Some(ObservedIdentity { id: id(unique), identity }), policies, ..Observed::default() }
    }

    /// What it may do.
    fn may(&self, observed: &Observed) -> Requests {
        let identity = &observed.identity.as_ref().expect("it is not deleted").identity;
        let hidden: BTreeMap<Arn, Document> = self.others.iter().map(|(number, (_, says))| (other_arn(*number), document(says))).collect();
        let says = |arn: &Arn| observed.policies.get(arn).map_or_else(|| hidden[arn].clone(), |found| found.policy.document.clone());
        let groups = identity.groups.iter().flatten().map(|group| document(&self.groups[group.as_str()].1));
        let documents: Vec<Document> =
            identity.inline_policies.values().cloned().chain(identity.attached_policies.iter().map(says)).chain(groups).collect();
        let may = allowed(&documents);
        let boundary = identity.permissions_boundary.as_ref().and_then(|arn| BOUNDARIES.iter().position(|boundary| *boundary == arn.as_str()));
        match boundary {
            Some(number) => may.intersection(&allowed([&document(&self.boundaries[number])])).copied().collect(),
            None => may,
        }
    }
}

/// Whether IAM's quotas hold a state. Of a user's inline policies 256 characters are kept free for cutting it off.
fn fits(observed: &Observed, quotas: &Quotas) -> bool {
    let identity = &observed.identity.as_ref().expect("it is not deleted").identity;
    let (inline, attached) = match identity.role {
        Some(_) => (quotas.inline_policies_size_per_role, quotas.attached_policies_per_role),
        None => (quotas.inline_policies_size_per_user - 256, quotas.attached_policies_per_user),
    };
    identity.inline_policies.values().map(Document::size).sum::<usize>() <= inline
        && identity.attached_policies.len() <= attached
        && identity.groups.iter().flatten().count() <= quotas.groups_per_user
        && observed.policies.values().all(|found| found.policy.document.size() <= quotas.managed_policy_size)
}

/// A role that users may assume: otherwise no order matters.
pub fn role() -> Desired {
    let in_use = RoleCase {
        stages: [Stage::Ready; 3],
        allowed: true,
        root_trust: false,
        entries: vec![(false, 0, vec!["bob"])],
        attached: vec![],
        inline: BTreeMap::new(),
        managed: BTreeMap::new(),
        former: vec![],
        tags: BTreeMap::new(),
        description: false,
        long: false,
        boundary: None,
    };
    in_use.desired(&super::FoundAll { role: None, policies: BTreeMap::new() })
}

/// What there is, as the resource's own: it declared that before.
pub fn all_there(observed: &Observed) -> Ours {
    let found = observed.identity.iter().map(|found| &found.identity);
    Ours {
        inline: found.clone().flat_map(|found| found.inline_policies.keys().cloned()).collect(),
        attached: found.clone().flat_map(|found| found.attached_policies.iter().cloned()).collect(),
        boundaries: found.filter_map(|found| found.permissions_boundary.clone()).collect(),
    }
}

proptest! {
    #![proptest_config(config(1000))]

    /// What only denies and was never declared stays as it is in every state, and so does a boundary.
    #[test]
    fn what_others_put_on_to_restrict_stays(case in arb_case()) {
        let mut desired = case.desired();
        let start = case.observed(&desired);
        desired.quotas = case.quotas(&start, &desired);
        let Ok(planned) = plan(&desired, &start) else { return Ok(()) };
        let there = &start.identity.as_ref().expect("it is not deleted").identity;
        let undeclared = there.inline_policies.iter().filter(|(name, _)| !desired.identity.inline_policies.contains_key(*name));
        let denials: Vec<_> = undeclared.filter(|(_, document)| document.all_statements_deny()).collect();
        for state in states(&start, &planned.actions) {
            let now = &state.identity.as_ref().expect("it is not deleted").identity;
            prop_assert!(denials.iter().all(|(name, document)| now.inline_policies.get(*name) == Some(*document)), "{planned}");
            prop_assert!(there.permissions_boundary.is_none() || now.permissions_boundary.is_some(), "{planned}");
        }
    }

    #[test]
    fn no_state_on_the_way_allows_more_than_both_ends_or_less(case in arb_case()) {
        let mut desired = case.desired();
        let start = case.observed(&desired);
        desired.ours = all_there(&start);
        desired.quotas = case.quotas(&start, &desired);
        let planned = match plan(&desired, &start) {
            Ok(planned) => planned,
            Err(problems) => {
                // What only allows can always be exchanged one by one.
                let says = format!("{:?}", case.documents);
                prop_assert!(!case.is_ample && says.contains("Deny") && problems.iter().all(|problem| problem.reason == Reason::QuotaExceeded), "{problems:?}");
                return Ok(());
            }
        };
        let states = states(&start, &planned.actions);
        let end = states.last().expect("the start");
        let (before, after) = (case.may(&start), case.may(end));
        let (either, both): (Requests, Requests) = (before.union(&after).copied().collect(), before.intersection(&after).copied().collect());
        for (number, state) in states.iter().enumerate() {
            prop_assert!(fits(state, &desired.quotas), "after {number} actions there is more than the quotas hold\n{planned}");
            let now = case.may(state);
            let more: Vec<_> = now.difference(&either).collect();
            prop_assert!(more.is_empty(), "after {number} actions it may {more:?}\n{planned}");
            let less: Vec<_> = both.difference(&now).collect();
            prop_assert!(!case.is_ample || case.replaces_boundary() || less.is_empty(), "after {number} actions it may not {less:?}\n{planned}");
            match plan(&desired, state) {
                Ok(again) => prop_assert_eq!(outcome(&super::support_core::states(state, &again.actions).pop().expect("the start")), outcome(end), "{}", planned),
                Err(problems) => prop_assert!(false, "after {number} actions {problems:?}\n{planned}"),
            }
        }
        prop_assert_eq!(plan(&desired, end), Ok(Plan::default()));
    }
}
