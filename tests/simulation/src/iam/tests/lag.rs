//! Replicas that are behind.

use super::*;

const LAG: Duration = Duration::from_secs(8);
/// Enough draws for everything that can happen to happen.
const DRAWS: usize = 200;

/// A world whose replicas are up to [`LAG`] behind, and that has been there for long.
fn behind() -> World {
    let mut world = World { lag: LAG, ..World::new() };
    // The first call that has a lag makes it known how long the past is kept.
    assert_eq!(world.identity(&user("nobody")), None);
    world
}

/// What each of many asks was answered, once each.
fn answers<T: PartialEq + std::fmt::Debug>(world: &mut World, ask: impl Fn(&mut World) -> T) -> Vec<T> {
    let mut answers = vec![];
    for _ in 0..DRAWS {
        let answer = ask(world);
        if !answers.contains(&answer) {
            answers.push(answer);
        }
    }
    answers
}

/// Whether it is there; nothing where one replica shows it and another does not.
fn is_there(world: &mut World) -> Option<bool> {
    let scope = Scope { name: Some(user("alice")), policies: BTreeSet::new(), groups: false, pinned: None };
    match world.observe_in(HUB, &scope) {
        Ok(observed) => Some(observed.identity.is_some()),
        Err(failure) => {
            assert_eq!((failure.reason, failure.effect), (Reason::Propagating, Effect::None));
            None
        }
    }
}

#[test]
fn statement_66_what_was_made_may_not_be_there_yet_and_is_there_in_the_end() {
    let mut world = behind();
    world.create(&user("alice"));
    world.now += LAG / 2;
    assert_eq!(answers(&mut world, is_there).len(), 3);
    let (cloud, _) = world.view();
    assert_eq!(cloud.state()[&account(HUB)].users.len(), 1, "what is there is there");
    world.now += LAG / 2;
    assert_eq!(answers(&mut world, is_there), [Some(true)]);
}

#[test]
fn statement_66_what_was_deleted_may_be_there_still_and_is_gone_in_the_end() {
    let mut world = behind();
    world.create(&user("alice"));
    world.now += 2 * LAG;
    world.execute(&Action::DeleteIdentity(user("alice"))).unwrap();
    world.now += LAG / 2;
    assert_eq!(answers(&mut world, is_there).len(), 3);
    world.now += LAG / 2;
    assert_eq!(answers(&mut world, is_there), [Some(false)]);
}

#[test]
fn each_read_of_each_object_comes_from_a_replica_of_its_own() {
    let mut world = behind();
    world.create(&user("alice"));
    world.now += 2 * LAG;
    let put = Action::PutInlinePolicy(user("alice"), "p".parse().unwrap(), permissions(100));
    world.execute(&put).unwrap();
    world.execute(&Action::Tag(Tagged::Identity(user("alice")), tags(&[("a", "1")]))).unwrap();
    world.now += LAG / 2;
    let scope = Scope { name: Some(user("alice")), policies: BTreeSet::new(), groups: true, pinned: None };
    let shown = answers(&mut world, |world| {
        let found = world.observe_in(HUB, &scope).map(|observed| observed.identity.unwrap().identity);
        found.map(|found| (found.tags.len(), found.inline_policies.len())).map_err(|failure| (failure.reason, failure.effect))
    });
    for expected in [Ok((0, 0)), Ok((0, 1)), Ok((1, 0)), Ok((1, 1)), Err((Reason::Propagating, Effect::None))] {
        // A policy that is listed, and not there where its text is asked for, fails the whole.
        assert!(shown.contains(&expected), "{expected:?} is not in {shown:?}");
    }
    assert_eq!(shown.len(), 5);
    world.now += LAG / 2;
    assert_eq!(answers(&mut world, |world| world.observe_in(HUB, &scope).unwrap().identity.unwrap().identity.inline_policies.len()), [1]);
}

#[test]
fn a_write_may_not_know_what_was_just_made() {
    let mut world = behind();
    world.create(&role("r"));
    world.create_policy("p");
    world.now += LAG / 2;
    let attach = Action::AttachPolicy(role("r"), policy_arn("p"));
    let answered = answers(&mut world, |world| world.execute(&attach).map_err(|failure| failure.reason));
    for expected in [Ok(Receipt::Done), Err(Reason::Propagating), Err(Reason::PolicyNotFound)] {
        assert!(answered.contains(&expected), "{expected:?} is not in {answered:?}");
    }
    world.now += LAG / 2;
    assert_eq!(answers(&mut world, |world| world.execute(&attach)), [Ok(Receipt::Done)]);
}

#[test]
fn writes_go_to_what_is_newest() {
    let mut world = behind();
    world.create(&user("alice"));
    world.now += 2 * LAG;
    for n in 0..50 {
        world.execute(&Action::Tag(Tagged::Identity(user("alice")), tags(&[(&format!("k{n}"), "")]))).unwrap();
    }
    assert_eq!(refused(world.create_in(HUB, wanted(&user("alice")))), (Reason::Conflict, Effect::AlreadyExists));
    world.execute(&Action::DeleteIdentity(user("alice"))).unwrap();
    assert_refused(world.execute(&Action::Untag(Tagged::Identity(user("alice")), vec![])), Reason::Propagating);
    world.create(&user("alice"));
    let (cloud, _) = world.view();
    assert_eq!(cloud.state()[&account(HUB)].users[0]["tags"], json!({}));
}

#[test]
fn statement_1_a_principal_that_was_just_made_may_not_be_known() {
    let mut world = behind();
    world.create_in(PROD, wanted(&role("reader"))).unwrap();
    world.now += 2 * LAG;
    world.create(&user("alice"));
    world.now += LAG / 2;
    let trust = trusting(&json!({"AWS": "arn:aws:iam::111111111111:user/alice"}));
    let update = Action::UpdateTrustPolicy("reader".parse().unwrap(), trust);
    let write = |world: &mut World| world.execute_in(PROD, &update).map_err(|failure| failure.reason);
    assert_eq!(answers(&mut world, write).len(), 2);
    world.now += LAG / 2;
    assert_eq!(answers(&mut world, write), [Ok(Receipt::Done)]);
}

#[test]
fn statement_4_a_trust_policy_that_was_just_written_may_show_ids_of_those_that_live() {
    let mut world = behind();
    let alice = "arn:aws:iam::111111111111:user/alice";
    let id = world.create(&user("alice"));
    world.create(&role("reader"));
    world.now += 2 * LAG;
    world.execute(&Action::UpdateTrustPolicy("reader".parse().unwrap(), trusting(&json!({"AWS": alice})))).unwrap();
    world.now += LAG / 2;
    let shown = |world: &mut World| {
        let trust = world.identity(&role("reader")).unwrap().identity.role.unwrap().trust_policy;
        trust.as_value()["Statement"][0]["Principal"].clone()
    };
    let early = answers(&mut world, shown);
    for expected in [json!("*"), json!({"AWS": alice}), json!({"AWS": id})] {
        assert!(early.contains(&expected), "{expected} is not in {early:?}");
    }
    world.now += LAG / 2;
    assert_eq!(answers(&mut world, shown), [json!({"AWS": alice})]);
    world.execute(&Action::DeleteIdentity(user("alice"))).unwrap();
    world.now += LAG / 2;
    assert_eq!(answers(&mut world, shown).len(), 2);
    world.now += LAG / 2;
    assert_eq!(answers(&mut world, shown), [json!({"AWS": id})]);
}

#[test]
fn a_user_that_was_renamed_may_show_under_either_name_both_or_none() {
    let mut world = behind();
    world.create(&user("alice"));
    world.now += 2 * LAG;
    world.execute(&Action::RenameUser("alice".parse().unwrap(), "bob".parse().unwrap(), "/".parse().unwrap())).unwrap();
    world.now += LAG / 2;
    let shown = |world: &mut World| {
        let (cloud, view) = world.view();
        let sweep = cloud.sweep(&account(HUB), view).unwrap();
        [user("alice"), user("bob")].map(|name| sweep.of(&name, &BTreeSet::new(), None).unwrap().identity.is_some())
    };
    assert_eq!(answers(&mut world, shown).len(), 4);
    world.now += LAG / 2;
    assert_eq!(answers(&mut world, shown), [[false, true]]);
}

#[test]
fn a_pinned_user_may_be_missed_under_both_names_and_is_found_in_the_end() {
    let mut world = behind();
    let id = world.create(&user("alice"));
    world.now += 2 * LAG;
    world.execute(&Action::RenameUser("alice".parse().unwrap(), "bob".parse().unwrap(), "/".parse().unwrap())).unwrap();
    world.now += LAG;
    let scope = Scope { name: Some(user("alice")), policies: BTreeSet::new(), groups: false, pinned: Some(id) };
    let found = answers(&mut world, |world| world.observe_in(HUB, &scope).unwrap().identity.unwrap().identity.name);
    assert_eq!(found, [user("bob")]);
}

#[test]
fn a_default_version_may_be_another_than_those_that_are_listed() {
    let mut world = behind();
    let policy = world.create_policy("p");
    world.now += 2 * LAG;
    world.execute(&Action::CreatePolicyVersion(policy.clone(), permissions(200))).unwrap();
    world.now += LAG / 2;
    let scope = Scope { name: None, policies: [policy.clone()].into(), groups: false, pinned: None };
    let shown = answers(&mut world, |world| {
        let found = world.observe_in(HUB, &scope).map(|observed| observed.policies[&policy].clone());
        found.map(|found| (found.default_version, found.other_versions.len())).map_err(|failure| failure.reason)
    });
    let version = |id: &str, others| Ok((id.to_owned(), others));
    for expected in [version("v1", 0), version("v1", 1), version("v2", 1), Err(Reason::Propagating)] {
        assert!(shown.contains(&expected), "{expected:?} is not in {shown:?}");
    }
}

#[test]
fn what_keeps_an_identity_from_being_deleted_may_be_missed() {
    let mut world = behind();
    world.create(&user("alice"));
    world.now += 2 * LAG;
    world.change(&Change::CreateAccessKey("alice".parse().unwrap())).unwrap();
    world.now += LAG / 2;
    assert_eq!(answers(&mut world, |world| world.dependents(&user("alice")).of_user.len()).len(), 2);
    world.now += LAG / 2;
    assert_eq!(answers(&mut world, |world| world.dependents(&user("alice")).of_user.len()), [1]);
}

#[test]
fn the_same_chance_gives_the_same_answers() {
    let run = || {
        let mut world = behind();
        let mut seen = vec![];
        for n in 0..DRAWS {
            world.now += Duration::from_millis(700);
            let name = user(&format!("u{}", n % 3));
            let action = if n % 5 == 0 { Action::DeleteIdentity(name.clone()) } else { Action::CreateIdentity(Box::new(wanted(&name))) };
            let scope = Scope { name: Some(name), policies: BTreeSet::new(), groups: true, pinned: None };
            seen.push((world.execute(&action), world.observe_in(HUB, &scope)));
        }
        seen
    };
    assert_eq!(run(), run());
}
