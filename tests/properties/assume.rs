//! Users with more roles than one policy holds.

use super::*;

/// Roles of a user, the longer the fewer of them fill a policy.
pub(super) const CROWD: usize = 40;

/// A shard that is there: its number, roles, whether it is attached, and whose it is.
type FoundShard = (usize, Vec<usize>, bool, Whose);

#[derive(Clone, Debug)]
pub(super) struct Crowd {
    pub(super) presences: Vec<Intent>,
    pub(super) inline: Vec<usize>,
    pub(super) shards: Vec<FoundShard>,
    pub(super) boundaries: (Option<&'static str>, Option<&'static str>),
}

pub(super) fn arb_crowd() -> impl Strategy<Value = Crowd> {
    let intent = |wanted: u32| prop_oneof![wanted => Just(Intent::Grant), 2 => Just(Intent::Freeze), 2 => Just(Intent::Revoke)];
    // All, many, some and few of them wanted: what fits inline is few.
    let presences = prop_oneof![Just(vec![Intent::Grant; CROWD]), vec(intent(12), CROWD), vec(intent(2), 0..12), vec(intent(2), 0..5)];
    let some = |most: usize| subsequence((0..CROWD).collect::<Vec<_>>(), 0..=most);
    let whose = prop_oneof![12 => Just(Whose::Ours), 1 => Just(Whose::Nobody)];
    // Some are full, and in these there is no room for what their roles need.
    let shards = vec((1usize..4, prop_oneof![some(16), some(CROWD)], prop::bool::weighted(0.8), whose), 0..4);
    let boundary = || option::of(select(BOUNDARIES_OF_USERS.to_vec()));
    (presences, some(5), shards, (boundary(), boundary())).prop_map(|(presences, inline, shards, boundaries)| {
        let shards: BTreeMap<usize, FoundShard> = shards.into_iter().map(|shard| (shard.0, shard)).collect();
        Crowd { presences, inline, shards: shards.into_values().collect(), boundaries }
    })
}

pub(super) fn crowd_arn(index: usize) -> Arn {
    format!("arn:aws:iam::222222222222:role/{}role-{index}", "long/".repeat([0, 40, 90][index % 3])).parse().expect("an ARN")
}

/// What some of the roles need beside being assumed.
pub(super) fn crowd_rights(index: usize) -> SessionRights {
    let tag = [TagRight::Any, TagRight::Pods].into_iter().zip([5, 3]).find(|(_, every)| index.is_multiple_of(*every));
    SessionRights { tag: tag.map(|(tag, _)| tag).unwrap_or_default(), set_source_identity: index.is_multiple_of(7) }
}

/// The policy for as many of these roles as it holds.
pub(super) fn crowd_policy(roles: &[usize], quota: usize) -> Document {
    let mut held = core_assume::Roles::new();
    let arns: Vec<Arn> = roles.iter().map(|index| crowd_arn(*index)).collect();
    for (arn, index) in arns.iter().zip(roles) {
        // Some were written before what they need was known.
        held.insert(arn.as_str(), if index % 2 == 0 { crowd_rights(*index) } else { SessionRights::default() });
        if core_assume::document(&held).size() + 2 > quota {
            held.remove(arn.as_str());
        }
    }
    core_assume::document(&held)
}

impl Crowd {
    pub(super) fn desired(&self) -> Desired {
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
            is_reported: false,
        };
        desired.assumes = self.presences.iter().enumerate().filter(|(_, intent)| **intent != Intent::Revoke).map(role).collect();
        desired
    }

    pub(super) fn observed(&self, desired: &Desired) -> Observed {
        let mut identity = desired.identity.clone();
        identity.permissions_boundary = self.boundaries.1.map(|arn| arn.parse().expect("an ARN"));
        identity.attached_policies.insert(ATTACHABLE[0].parse().expect("an ARN"));
        if !self.inline.is_empty() {
            identity.inline_policies.insert(ASSUME_POLICY.parse().expect("a name"), crowd_policy(&self.inline, INLINE_QUOTA - 256));
        }
        let mut policies = BTreeMap::new();
        for (number, roles, attached, whose) in self.shards.iter().filter(|(_, roles, ..)| !roles.is_empty()) {
            let (name, arn) = core_assume::shard(&desired.arn, &identity.path, &identity.name, *number).expect("the ARN of a user");
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
        Observed { identity: Some(ObservedIdentity { id: id("AIDAALICE00000000000"), identity }), policies, ..Observed::default() }
    }
}

/// The policies of a state that are somebody else's.
pub(super) fn foreign_policies(observed: &Observed, owner: &Owner) -> Vec<ObservedPolicy> {
    observed.policies.values().filter(|found| !is_owned(found, owner)).cloned().collect()
}

pub(super) fn is_owned(found: &ObservedPolicy, owner: &Owner) -> bool {
    owner.tags().iter().all(|(key, value)| found.policy.tags.get(key) == Some(value))
}

/// The roles that the inline policy and the own policies that are attached allow.
pub(super) fn crowd_may_assume(observed: &Observed, owner: &Owner) -> BTreeSet<String> {
    let Some(found) = &observed.identity else { return BTreeSet::new() };
    let attached = found.identity.attached_policies.iter().filter_map(|arn| observed.policies.get(arn));
    let documents =
        found.identity.inline_policies.values().chain(attached.filter(|found| is_owned(found, owner)).map(|found| &found.policy.document));
    documents.flat_map(|document| document.statements()).flat_map(|s| s.resources().unwrap_or_default()).map(str::to_owned).collect()
}

pub(super) fn within_quota(observed: &Observed) -> bool {
    let inline = observed.identity.iter().flat_map(|found| found.identity.inline_policies.values()).map(Document::size).sum::<usize>();
    let attached = observed.identity.iter().flat_map(|found| core_assume::attached(&found.identity)).count();
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
                let less = Desired::held_back(Remaining { pinned: found, trust: None, ..remaining(&desired) }, &start).expect("it is there");
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
        let is_inline = |observed: &Observed| observed.identity.as_ref().is_some_and(|found| core_assume::attached(&found.identity).next().is_none());
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
