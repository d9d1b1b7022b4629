//! Users and roles.

use super::*;

const BELONGINGS: [fn() -> Dependent; 6] = [
    || Dependent::LoginProfile,
    || Dependent::AccessKey("AKIAEXAMPLEEXAMPLE00".into()),
    || Dependent::SigningCertificate("CERTIFICATE".into()),
    || Dependent::SSHPublicKey("APKAEXAMPLE".into()),
    || Dependent::ServiceSpecificCredential("ACCAEXAMPLE".into()),
    || Dependent::MFADevice("arn:aws:iam::111111111111:mfa/alice".into()),
];

#[test]
fn statement_19_names_are_unique_without_regard_to_case_and_path_for_each_kind() {
    let mut world = World::new();
    world.create(&user("Alice"));
    let other = Identity { path: "/team/".parse().unwrap(), ..wanted(&user("aLICE")) };
    assert_eq!(refused(world.create_in(HUB, other)), (Reason::Conflict, Effect::AlreadyExists));
    world.create(&role("alice"));
    world.create_in(PROD, wanted(&user("alice"))).unwrap();
    assert_eq!(world.identity(&user("ALICE")).unwrap().identity.name, user("Alice"));
}

#[test]
fn statement_6_a_unique_id_is_never_given_twice() {
    let mut world = World::new();
    let mut given = BTreeSet::new();
    for _ in 0..40 {
        let id = world.create(&user("alice"));
        assert!(id.as_str().starts_with("AIDA") && id.as_str().len() == 21, "{id}");
        assert!(given.insert(id));
        world.execute(&Action::DeleteIdentity(user("alice"))).unwrap();
    }
    assert!(world.create(&role("alice")).as_str().starts_with("AROA"));
}

#[test]
fn statement_20_keys_of_tags_are_told_apart_without_regard_to_case() {
    let mut world = World::new();
    for name in [user("a"), role("a")] {
        world.create_in(HUB, Identity { tags: tags(&[("Team", "x"), ("cost", "1")]), ..wanted(&name) }).unwrap();
        let what = Tagged::Identity(name.clone());
        world.execute(&Action::Tag(what.clone(), tags(&[("TEAM", "y")]))).unwrap();
        assert_eq!(world.identity(&name).unwrap().identity.tags, tags(&[("TEAM", "y"), ("cost", "1")]));
        world.execute(&Action::Untag(what.clone(), vec!["COST".into(), "none".into()])).unwrap();
        assert_eq!(world.identity(&name).unwrap().identity.tags, tags(&[("TEAM", "y")]));
        for bad in [("aws:x", "1"), ("x", "AWS:1"), ("", "1"), ("x", "*")] {
            assert_refused(world.execute(&Action::Tag(what.clone(), tags(&[bad]))), Reason::RequestRejected);
        }
        assert_refused(world.execute(&Action::Tag(what, tags(&[("a", "1"), ("A", "2")]))), Reason::RequestRejected);
    }
}

#[test]
fn statement_18_an_object_has_fifty_tags_at_most() {
    let mut world = World::new();
    let many: Tags = (0..50).map(|n| (format!("k{n}"), String::new())).collect();
    world.create_in(HUB, Identity { tags: many, ..wanted(&user("a")) }).unwrap();
    let what = Tagged::Identity(user("a"));
    assert_refused(world.execute(&Action::Tag(what.clone(), tags(&[("more", "")]))), Reason::RequestRejected);
    world.execute(&Action::Tag(what, tags(&[("K7", "other")]))).unwrap();
}

#[test]
fn statement_16_inline_policies_count_together_by_kind() {
    let mut world = World::new();
    for (name, quota) in [(user("a"), 2048), (role("a"), 10_240)] {
        world.create(&name);
        let mut put = |policy: &str, size| world.execute(&Action::PutInlinePolicy(name.clone(), policy.parse().unwrap(), permissions(size)));
        put("one", 1000).unwrap();
        assert_refused(put("two", quota - 999), Reason::QuotaExceeded);
        put("two", quota - 1000).unwrap();
        // What is replaced does not count.
        put("one", 1000).unwrap();
    }
}

#[test]
fn statement_23_what_is_taken_from_nobody_is_an_error_and_what_is_not_there_is_missing() {
    let mut world = World::new();
    let all = |name: &IdentityName| {
        [
            Action::DeleteInlinePolicy(name.clone(), "p".parse().unwrap()),
            Action::DetachPolicy(name.clone(), policy_arn("none")),
            Action::DeletePermissionsBoundary(name.clone()),
        ]
    };
    for name in [user("a"), role("a")] {
        for action in all(&name) {
            assert_refused(world.execute(&action), Reason::Propagating);
        }
        assert_eq!(world.execute(&Action::DeleteIdentity(name.clone())), Ok(Receipt::Missing));
        world.create(&name);
        let [inline, attached, boundary] = all(&name);
        for action in [inline, attached] {
            assert_eq!(world.execute(&action), Ok(Receipt::Missing), "{action}");
        }
        assert_eq!(world.execute(&boundary), Ok(Receipt::Done), "no boundary is none, too");
    }
    assert_refused(world.execute(&Action::RemoveFromGroup("b".parse().unwrap(), "g".parse().unwrap())), Reason::Propagating);
    assert_eq!(world.execute(&Action::RemoveFromGroup("a".parse().unwrap(), "g".parse().unwrap())), Ok(Receipt::Missing));
    for belonging in BELONGINGS.map(|belonging| belonging()) {
        // A virtual device is deleted after it was taken off, and none is kept that nobody has.
        let told = if belonging.is_virtual_device() { Receipt::Done } else { Receipt::Missing };
        for name in ["a", "b"] {
            assert_eq!(world.execute(&Action::RemoveDependent(name.parse().unwrap(), belonging.clone())), Ok(told.clone()), "{belonging} of {name}");
        }
    }
}

#[test]
fn statement_22_a_user_goes_when_nothing_hangs_on_it() {
    let mut world = World::new();
    world.create(&user("alice"));
    world.change(&Change::CreateGroup("team".parse().unwrap())).unwrap();
    let policy = world.create_policy("p");
    let name = "alice".parse().unwrap();
    BELONGINGS.iter().for_each(|belonging| drop(world.change(&Change::Add("alice".parse().unwrap(), belonging())).unwrap()));
    world.execute(&Action::AddToGroup("Alice".parse().unwrap(), "TEAM".parse().unwrap())).unwrap();
    world.execute(&Action::AttachPolicy(user("alice"), policy.clone())).unwrap();
    world.execute(&Action::PutInlinePolicy(user("alice"), "i".parse().unwrap(), permissions(100))).unwrap();
    world.execute(&Action::PutPermissionsBoundary(user("alice"), policy.clone())).unwrap();
    let dependents = world.dependents(&user("alice"));
    assert_eq!(dependents.of_user.len(), 7, "{dependents:?}");
    assert!(dependents.of_user.contains(&Dependent::Group("team".into())));
    let dependents = dependents.of_user.into_iter().map(|dependent| Action::RemoveDependent("alice".parse().unwrap(), dependent));
    let others = [Action::DetachPolicy(user("alice"), policy), Action::DeleteInlinePolicy(user("alice"), "i".parse().unwrap())];
    for action in dependents.chain(others) {
        assert_refused(world.execute(&Action::DeleteIdentity(user("alice"))), Reason::DeletionBlocked);
        world.execute(&action).unwrap();
    }
    // A boundary does not keep it (statement 51).
    world.execute(&Action::DeleteIdentity(IdentityName::User(name))).unwrap();
    assert_eq!(world.identity(&user("alice")), None);
    assert_eq!(world.dependents(&user("alice")), Dependents::default());
}

#[test]
fn statement_22_a_role_goes_when_nothing_hangs_on_it() {
    let mut world = World::new();
    world.create(&role("r"));
    let policy = world.create_policy("p");
    world.change(&Change::AddToInstanceProfile("r".parse().unwrap(), "profile".into())).unwrap();
    assert_eq!(world.dependents(&role("r")).instance_profiles, ["profile".to_owned()].into());
    world.execute(&Action::AttachPolicy(role("r"), policy.clone())).unwrap();
    world.execute(&Action::PutInlinePolicy(role("r"), "i".parse().unwrap(), permissions(100))).unwrap();
    let delete = Action::DeleteIdentity(role("r"));
    assert_refused(world.execute(&delete), Reason::DeletionBlocked);
    world.change(&Change::RemoveFromInstanceProfile("r".parse().unwrap(), "profile".into())).unwrap();
    assert_refused(world.execute(&delete), Reason::DeletionBlocked);
    world.execute(&Action::DetachPolicy(role("r"), policy)).unwrap();
    assert_refused(world.execute(&delete), Reason::DeletionBlocked);
    world.execute(&Action::DeleteInlinePolicy(role("r"), "i".parse().unwrap())).unwrap();
    world.execute(&delete).unwrap();
}

#[test]
fn a_virtual_device_of_another_user_stays() {
    let mut world = World::new();
    world.create(&user("alice"));
    world.create(&user("bob"));
    let device = Dependent::MFADevice("arn:aws:iam::111111111111:mfa/bob".into());
    world.change(&Change::Add("bob".parse().unwrap(), device.clone())).unwrap();
    assert_refused(world.execute(&Action::RemoveDependent("alice".parse().unwrap(), device)), Reason::DeletionBlocked);
}

#[test]
fn statement_28_a_user_has_two_keys_inactive_ones_counted() {
    let mut world = World::new();
    world.create(&user("alice"));
    let create = Change::CreateAccessKey("alice".parse().unwrap());
    let (first, second) = (world.change(&create).unwrap().unwrap(), world.change(&create).unwrap().unwrap());
    assert!(first != second && first.starts_with("AKIA") && first.len() == 20, "{first} {second}");
    world.change(&Change::UpdateAccessKey("alice".parse().unwrap(), first.clone(), false)).unwrap();
    assert_refused(world.change(&create), Reason::QuotaExceeded);
    let state = world.cloud.state();
    let keys = state[&account(HUB)].users[0]["accessKeys"].clone();
    assert_eq!(keys, json!([{"accessKeyID": first, "status": "Inactive"}, {"accessKeyID": second, "status": "Active"}]));
}

#[test]
fn statement_34_what_is_of_aws_is_not_changed_but_tagged() {
    let mut world = World::new();
    let name = "AWSServiceRoleForSupport";
    let trust_policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "support.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
    let path = "/aws-service-role/support.amazonaws.com/".to_owned();
    let create = Change::CreateRoleOfAWS { path, name: name.parse().unwrap(), trust_policy };
    assert!(world.change(&create).unwrap().unwrap().starts_with("AROA"));
    for action in [
        Action::DeleteIdentity(role(name)),
        Action::UpdateTrustPolicy(name.parse().unwrap(), trusting(&json!("*"))),
        Action::PutInlinePolicy(role(name), "p".parse().unwrap(), permissions(100)),
        Action::AttachPolicy(role(name), arn("arn:aws:iam::aws:policy/ReadOnlyAccess")),
        Action::DetachPolicy(role(name), arn("arn:aws:iam::aws:policy/ReadOnlyAccess")),
        Action::UpdateRole(name.parse().unwrap(), String::new(), 3600),
        Action::DeletePermissionsBoundary(role(name)),
    ] {
        assert_refused(world.execute(&action), Reason::RequestRejected);
    }
    world.execute(&Action::Tag(Tagged::Identity(role(name)), tags(&[("a", "1")]))).unwrap();
    let scope = Scope { name: Some(role(name)), policies: BTreeSet::new(), groups: false, pinned: None };
    assert_refused(world.observe_in(HUB, &scope), Reason::Conflict);
}

#[test]
fn statement_44_a_user_that_is_renamed_keeps_its_id_and_all_it_has() {
    let mut world = World::new();
    let id = world.create(&user("alice"));
    world.create(&user("carol"));
    let policy = world.create_policy("p");
    world.execute(&Action::AttachPolicy(user("alice"), policy.clone())).unwrap();
    let rename = |from: &str, to: &str| Action::RenameUser(from.parse().unwrap(), to.parse().unwrap(), "/team/".parse().unwrap());
    assert_eq!(refused(world.execute(&rename("alice", "Carol"))), (Reason::Conflict, Effect::AlreadyExists));
    assert_refused(world.execute(&rename("nobody", "dave")), Reason::Propagating);
    world.execute(&rename("alice", "bob")).unwrap();
    assert_eq!(world.identity(&user("alice")), None);
    let bob = world.identity(&user("bob")).unwrap();
    assert_eq!((&bob.id, bob.identity.path.as_str()), (&id, "/team/"));
    assert_eq!(bob.identity.attached_policies, [policy.clone()].into());
    // The case of its own name is nobody else's.
    world.execute(&rename("bob", "BOB")).unwrap();
    assert_eq!(world.identity(&user("bob")).unwrap().identity.name, user("BOB"));
    assert_refused(world.execute(&Action::DeletePolicy(policy.clone())), Reason::DeletionBlocked);
    world.execute(&Action::DetachPolicy(user("bob"), policy.clone())).unwrap();
    world.execute(&Action::DeletePolicy(policy)).unwrap();
}

#[test]
fn statements_18_and_21_descriptions_and_sessions_have_a_form() {
    let mut world = World::new();
    world.create(&role("r"));
    let mut update = |description: &str, seconds| world.execute(&Action::UpdateRole("r".parse().unwrap(), description.into(), seconds));
    update("r\u{f4}le", 43_200).unwrap();
    for (description, seconds) in [("it\u{2019}s", 3600), ("", 3599), ("", 43_201), ("x".repeat(1001).as_str(), 3600)] {
        assert_refused(update(description, seconds), Reason::RequestRejected);
    }
    let settings = world.identity(&role("r")).unwrap().identity.role.unwrap();
    assert_eq!((settings.description.as_str(), settings.max_session_duration), ("r\u{f4}le", 43_200));
}

#[test]
fn a_user_joins_groups_that_exist_up_to_a_quota() {
    let mut world = World::new();
    world.create(&user("alice"));
    ["one", "two"].iter().for_each(|name| drop(world.change(&Change::CreateGroup(name.parse().unwrap())).unwrap()));
    world.quota("GroupsPerUserQuota", 1);
    let join = |user: &str, group: &str| Action::AddToGroup(user.parse().unwrap(), group.parse().unwrap());
    assert_refused(world.execute(&join("alice", "none")), Reason::GroupNotFound);
    assert_refused(world.execute(&join("nobody", "one")), Reason::Propagating);
    world.execute(&join("alice", "ONE")).unwrap();
    world.execute(&join("alice", "one")).unwrap();
    assert_refused(world.execute(&join("alice", "two")), Reason::QuotaExceeded);
    assert_eq!(world.identity(&user("alice")).unwrap().identity.groups, Some(["one".parse().unwrap()].into()));
    assert_refused(world.change(&Change::DeleteGroup("one".parse().unwrap())), Reason::DeletionBlocked);
    world.execute(&Action::RemoveFromGroup("alice".parse().unwrap(), "One".parse().unwrap())).unwrap();
    world.change(&Change::DeleteGroup("one".parse().unwrap())).unwrap();
}

#[test]
fn an_account_has_so_many_users_and_roles() {
    let mut world = World::new();
    world.quota("UsersQuota", 1);
    world.quota("RolesQuota", 0);
    world.create(&user("a"));
    assert_refused(world.create_in(HUB, wanted(&user("b"))), Reason::QuotaExceeded);
    assert_refused(world.create_in(HUB, wanted(&role("b"))), Reason::QuotaExceeded);
}
