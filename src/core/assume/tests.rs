use super::*;

const USER: &str = "arn:aws:iam::111111111111:user/people/alice";

fn roles(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("arn:aws:iam::222222222222:role/role-{number:0>3}")).collect()
}

fn refer(roles: &[String]) -> Roles<'_> {
    roles.iter().map(|role| (role.as_str(), SessionRights::default())).collect()
}

fn user(attached: &[&str]) -> Identity {
    Identity {
        name: IdentityName::User("alice".parse().unwrap()),
        path: "/people/".parse().unwrap(),
        tags: Default::default(),
        permissions_boundary: None,
        inline_policies: Default::default(),
        attached_policies: attached.iter().map(|arn| arn.parse().unwrap()).collect(),
        groups: None,
        role: None,
    }
}

#[test]
fn sizes_are_never_taken_for_less_than_they_are() {
    for count in [1, 2, 3, 40] {
        let roles = roles(count);
        let (taken, real) = (size(&refer(&roles)), document(&refer(&roles)).size());
        assert!(taken >= real && taken <= real + 4, "{count} roles: {taken} for {real}");
        let rights = |tag, set_source_identity| SessionRights { tag, set_source_identity };
        let all: Vec<SessionRights> =
            [TagRight::Nothing, TagRight::Pods, TagRight::Any].into_iter().flat_map(|tag| [rights(tag, false), rights(tag, true)]).collect();
        let mixed: Roles<'_> = roles.iter().zip(all.into_iter().cycle()).map(|(role, rights)| (role.as_str(), rights)).collect();
        let (taken, real) = (size(&mixed), document(&mixed).size());
        assert!(taken >= real && taken <= real + 32, "{count} roles with rights: {taken} for {real}");
        let mut filling = Bin::default();
        assert!(mixed.iter().all(|(role, rights)| filling.put(role, *rights)));
        assert_eq!(FRAME + filling.size, taken);
    }
}

#[test]
fn a_policy_is_a_shard_by_its_whole_name_and_path() {
    for number in 1..=MOST_SHARDS {
        let (name, arn) = shard(&USER.parse().unwrap(), &"/people/".parse().unwrap(), &user(&[]).name, number).unwrap();
        assert_eq!(name.as_str(), format!("rolebridge-assume-roles-alice-{number}"));
        assert_eq!(super::number(&user(&[]), &arn), Some(number));
    }
    for other in ["people/rolebridge-assume-roles-alice-11", "people/rolebridge-assume-roles-alice-01", "people/rolebridge-assume-roles-alice-0"] {
        assert_eq!(super::number(&user(&[]), &format!("arn:aws:iam::111111111111:policy/{other}").parse().unwrap()), None, "{other}");
    }
    let role = IdentityName::Role("alice".parse().unwrap());
    let (name, arn) = shard(&USER.parse().unwrap(), &"/people/".parse().unwrap(), &role, 1).unwrap();
    assert_eq!((name.as_str(), super::number(&user(&[]), &arn)), ("rolebridge-role-assumes-alice-1", None));
    assert_eq!(super::number(&Identity { name: role, ..user(&[]) }, &arn), Some(1));
    let others = ["rolebridge-assume-roles-alice-1", "people/rolebridge-assume-roles-bob-1", "people/rolebridge-assume-roles-alice-b-1"];
    let others = others.map(|name| format!("arn:aws:iam::111111111111:policy/{name}"));
    assert_eq!(attached(&user(&others.each_ref().map(String::as_str))).count(), 0);
}

#[test]
fn nothing_is_repacked_to_make_room() {
    let long = |number: usize| format!("arn:aws:iam::222222222222:role/{}/role-{number:0>2}", "p".repeat(1900));
    let roles: Vec<String> = (0..=2 * MOST_SHARDS).map(long).collect();
    let documents: Vec<Document> = roles.chunks(2).map(|pair| document(&refer(pair))).collect();
    let arns: Vec<Arn> = (1..=MOST_SHARDS).map(|number| shard(&USER.parse().unwrap(), &Path::root(), &user(&[]).name, number).unwrap().1).collect();
    let shards = arns.iter().zip(&documents).map(|(arn, document)| Shard { arn, document, is_attached: true });
    let found = Found { inline: None, shards: (1..).zip(shards).collect() };
    // Each shard has room for one more of these, and none for a longer one.
    assert_eq!(allocate(&refer(&roles), &found, Capacity::WHOLE).unwrap().shards[&1].len(), 3);
    let longer = format!("{}{}", long(99), "p".repeat(400));
    let wanted: Roles<'_> = refer(&roles[..2 * MOST_SHARDS]).into_iter().chain([(longer.as_str(), SessionRights::default())]).collect();
    assert_eq!(allocate(&wanted, &found, Capacity::WHOLE), Err(Excess { roles: 1 }));
    assert_eq!(allocate(&wanted, &Found::default(), Capacity::WHOLE).unwrap().shards.len(), 8);
}

#[test]
fn what_a_pass_that_died_may_have_made_is_looked_for() {
    let (few, many) = (roles(40), roles(200));
    assert_eq!(possible(&BTreeSet::new(), &refer(&few), Capacity::WHOLE), BTreeSet::new());
    assert_eq!(possible(&BTreeSet::new(), &refer(&many), Capacity::WHOLE), BTreeSet::from([1, 2, 3]));
    assert_eq!(possible(&BTreeSet::from([2]), &refer(&few), Capacity::WHOLE), BTreeSet::from([1, 2]));
    assert_eq!(possible(&BTreeSet::from([1, 4]), &refer(&many), Capacity::WHOLE), BTreeSet::from([1, 2, 4]));
    let far_too_many = roles(2000);
    assert_eq!(possible(&BTreeSet::new(), &refer(&far_too_many), Capacity::WHOLE), (1..=MOST_SHARDS).collect());
}

#[test]
fn statement_37_an_assume_policy_takes_little_more_room_than_the_roles_in_it() {
    // With ARNs of 54 characters.
    let roles: Vec<String> = (0..107).map(|number| format!("arn:aws:iam::222222222222:role/team/role-name-of-19{number:0>3}")).collect();
    assert!(roles.iter().all(|role| role.len() == 54), "{}", roles[0].len());
    let size = |count: usize| document(&refer(&roles[..count])).size();
    assert!(size(34) <= INLINE_QUOTA && size(35) > INLINE_QUOTA, "{} {}", size(34), size(35));
    assert!(size(106) <= SHARD_QUOTA && size(107) > SHARD_QUOTA, "{} {}", size(106), size(107));
}

#[test]
fn what_is_written_is_read_back_with_the_same_rights() {
    for tag in [TagRight::Nothing, TagRight::Pods, TagRight::Any] {
        for set_source_identity in [false, true] {
            let wanted = SessionRights { tag, set_source_identity };
            let roles = roles(2);
            let written = document(&roles.iter().map(|role| (role.as_str(), wanted)).collect());
            assert!(roles.iter().all(|role| rights(&written, role) == wanted), "{written:?}");
        }
    }
}

#[test]
fn statement_59_the_right_to_set_the_tags_of_pods_has_a_statement_and_a_condition_of_its_own() {
    let roles = roles(1);
    let pods = SessionRights { tag: TagRight::Pods, set_source_identity: true };
    let written = document(&Roles::from([(roles[0].as_str(), pods)]));
    let statements = written.statements();
    let of = |action: &'static str| statements.iter().filter(|s| s.covers_action(action)).collect::<Vec<_>>();
    assert!(of("sts:AssumeRole").iter().chain(&of("sts:SetSourceIdentity")).all(|s| s.is_unconditional()));
    let [tagging] = of("sts:TagSession")[..] else { panic!("one statement has the right to set tags") };
    assert_eq!(
        tagging.conditions().into_iter().map(|c| (c.operator, c.key, c.values.len())).collect::<Vec<_>>(),
        [(ALL_EQUAL, TAG_KEYS, POD_TAGS.len())]
    );
}
