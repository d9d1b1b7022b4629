//! Conditions, and who depends on what.

use super::*;

pub(super) fn arb_problems() -> impl Strategy<Value = Vec<Problem>> {
    let reasons: Vec<Reason> = Reason::ALL.iter().copied().filter(|reason| reason.class() != Class::Done).collect();
    vec((select(reasons), "[a-zü]{0,20}").prop_map(|(reason, message)| Problem::new(reason, message)), 0..5)
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Set(Ref, BTreeSet<Dependency>),
    Remove(Ref),
}

pub(super) fn arb_key() -> impl Strategy<Value = ObjectKey> {
    (select(vec!["a", "b"]), select(vec!["x", "y"])).prop_map(|(namespace, name)| ObjectKey::new(namespace, name))
}

pub(super) fn arb_ref() -> impl Strategy<Value = Ref> {
    prop_oneof![
        arb_key().prop_map(Ref::Role),
        arb_key().prop_map(Ref::User),
        select(vec!["p", "q"]).prop_map(|name| Ref::Account(ObjectKey::new("", name)))
    ]
}

pub(super) fn arb_need() -> impl Strategy<Value = Dependency> {
    prop_oneof![
        arb_key().prop_map(Dependency::User),
        arb_key().prop_map(Dependency::Role),
        select(vec!["a", "b"]).prop_map(|name| Dependency::UsersOf(name.into())),
        arb_key().prop_map(Dependency::ConfigMap),
        select(vec!["p", "q"]).prop_map(|name| Dependency::Account(name.into())),
        select(vec!["a", "b"]).prop_map(|name| Dependency::Namespace(name.into())),
        Just(Dependency::OperatorsRoles),
    ]
}

pub(super) fn sources(needs: Option<&BTreeSet<Dependency>>) -> BTreeSet<Ref> {
    let named = needs.into_iter().flatten().filter_map(|need| match need {
        Dependency::User(key) => Some(Ref::User(key.clone())),
        Dependency::Role(key) => Some(Ref::Role(key.clone())),
        _ => None,
    });
    named.collect()
}

pub(super) fn accounts(needs: Option<&BTreeSet<Dependency>>) -> BTreeSet<Ref> {
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
