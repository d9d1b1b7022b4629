//! What reads show.

use super::*;

#[test]
fn what_was_written_is_read() {
    let mut world = World::new();
    let identity = Identity { path: "/team/".parse().unwrap(), tags: tags(&[("a", "1")]), ..wanted(&user("alice")) };
    let id = world.create_in(HUB, identity.clone()).unwrap();
    assert_eq!(world.identity(&user("bob")), None);
    let there = Identity { groups: Some(BTreeSet::new()), ..identity.clone() };
    assert_eq!(world.identity(&user("alice")), Some(ObservedIdentity { id, identity: there }));
    let unasked = Scope { name: Some(user("alice")), policies: BTreeSet::new(), groups: false, pinned: None };
    assert_eq!(world.observe_in(HUB, &unasked).unwrap().identity.unwrap().identity, identity);
}

#[test]
fn statement_44_a_pinned_user_is_found_under_any_name_where_nobody_bears_its_own() {
    let mut world = World::new();
    let id = world.create(&user("alice"));
    world.execute(&Action::RenameUser("alice".parse().unwrap(), "bob".parse().unwrap(), "/".parse().unwrap())).unwrap();
    let found = |pinned: Option<&UniqueID>, world: &mut World| {
        let scope = Scope { name: Some(user("alice")), policies: BTreeSet::new(), groups: false, pinned: pinned.cloned() };
        world.observe_in(HUB, &scope).unwrap().identity.map(|found| found.identity.name)
    };
    assert_eq!(found(None, &mut world), None);
    assert_eq!(found(Some(&id), &mut world), Some(user("bob")));
    world.create(&user("alice"));
    assert_eq!(found(Some(&id), &mut world), Some(user("alice")));
}

#[test]
fn assume_policies_that_are_attached_are_read_unasked() {
    let mut world = World::new();
    world.create(&user("alice"));
    let attached = ["rolebridge-assume-roles-alice-1", "rolebridge-assume-roles-alice-11", "rolebridge-assume-roles-bob-1", "other"];
    for name in attached {
        let policy = world.create_policy(name);
        world.execute(&Action::AttachPolicy(user("alice"), policy)).unwrap();
    }
    world.create_policy("rolebridge-assume-roles-alice-2");
    let scope = |policies: &[&str]| Scope {
        name: Some(user("alice")),
        policies: policies.iter().map(|name| policy_arn(name)).collect(),
        groups: false,
        pinned: None,
    };
    let shown: Vec<Arn> = world.observe_in(HUB, &scope(&[])).unwrap().policies.into_keys().collect();
    assert_eq!(shown, [policy_arn(attached[0])]);
    let shown: Vec<Arn> = world.observe_in(HUB, &scope(&["other", "none"])).unwrap().policies.into_keys().collect();
    assert_eq!(shown, [policy_arn("other"), policy_arn(attached[0])]);
}

#[test]
fn statements_25_and_46_a_sweep_shows_all_but_the_tags_of_policies() {
    let mut world = World::new();
    world.create_in(HUB, Identity { tags: tags(&[("a", "1")]), ..wanted(&user("alice")) }).unwrap();
    let reader = wanted(&role("reader"));
    let settings = RoleSettings { description: "d".into(), max_session_duration: 7200, ..reader.role.clone().unwrap() };
    world.create_in(HUB, Identity { role: Some(settings), ..reader }).unwrap();
    let policy = ManagedPolicy { tags: tags(&[("a", "1")]), ..wanted_policy("p") };
    world.execute(&Action::CreatePolicy(Box::new(policy))).unwrap();
    let (cloud, view) = world.view();
    let sweep = cloud.sweep(&account(HUB), view).unwrap();
    for name in [user("alice"), role("reader")] {
        let shown = sweep.of(&name, &BTreeSet::new(), None).unwrap().identity;
        assert_eq!(shown, world.identity(&name));
    }
    let scope: BTreeSet<Arn> = [policy_arn("p")].into();
    assert!(sweep.of(&user("nobody"), &scope, None).is_none(), "its tags are not known");
    let before = world.observe_in(HUB, &Scope { name: None, policies: scope.clone(), groups: false, pinned: None }).unwrap();
    assert_eq!(sweep.of(&user("nobody"), &scope, Some(&before)), Some(before));
}

#[test]
fn a_sweep_outlines_what_rolebridge_would_not_make() {
    let mut world = World::new();
    world.create(&user("alice"));
    let trust_policy = trusting(&json!({"AWS": "arn:aws:iam::111111111111:user/alice"})).as_value().clone();
    let path = "/aws-reserved/sso.amazonaws.com/".to_owned();
    world.change(&Change::CreateRoleOfAWS { path, name: "AWSReservedSSO_a".parse().unwrap(), trust_policy }).unwrap();
    let (cloud, view) = world.view();
    let sweep = cloud.sweep(&account(HUB), view).unwrap();
    assert_eq!(sweep.of(&role("AWSReservedSSO_a"), &BTreeSet::new(), None).unwrap().identity, None);
    let users: BTreeSet<Arn> = [arn("arn:aws:iam::111111111111:user/alice")].into();
    let doors = sweep.shadow_grants("installation", &BTreeSet::new(), &users, None);
    assert_eq!(doors.into_iter().map(|door| door.role).collect::<Vec<_>>(), ["AWSReservedSSO_a"]);
}

#[test]
fn statements_15_and_55_an_account_says_its_quotas_and_its_alias() {
    let mut world = World::new();
    let quotas = world.cloud.quotas(&account(HUB)).unwrap();
    assert_eq!((quotas.trust_policy_size, quotas.attached_policies_per_role, quotas.are_known), (2048, 10, true));
    world.quota("AssumeRolePolicySizeQuota", 8192);
    assert_eq!(world.cloud.quotas(&account(HUB)).unwrap().trust_policy_size, 8192);
    assert_eq!(world.cloud.quotas(&account(PROD)).unwrap().trust_policy_size, 2048);
    assert_eq!(world.cloud.console_alias(&account(HUB)), Ok(None));
    world.change(&Change::SetAlias(Some("hub".into()))).unwrap();
    assert_eq!(world.cloud.console_alias(&account(HUB)), Ok(Some("hub".into())));
}

#[test]
fn a_state_is_made_anew_only_where_something_changed() {
    let mut world = World::new();
    world.create(&user("alice"));
    world.create(&user("bob"));
    let (before, revision) = (world.cloud.state(), world.cloud.revision());
    world.execute(&Action::Untag(Tagged::Identity(user("alice")), vec!["none".into()])).unwrap();
    assert_eq!(world.cloud.revision(), revision, "nothing changed");
    world.execute(&Action::Tag(Tagged::Identity(user("alice")), tags(&[("a", "1")]))).unwrap();
    assert!(world.cloud.revision() > revision);
    let after = world.cloud.state();
    let same = |n: usize| std::sync::Arc::ptr_eq(&before[&account(HUB)].users[n], &after[&account(HUB)].users[n]);
    assert_eq!((same(0), same(1)), (false, true));
    assert_eq!(after[&account(HUB)].users[0]["tags"], json!({"a": "1"}));
}
