use super::*;
use crate::document::Statement;
use crate::identity::{ManagedPolicy, RoleSettings};
use crate::names::Path;
use crate::ownership::{Earlier, Owner};

fn owner(resource: &str) -> Owner {
    Owner { installation: "one".into(), resource: resource.into(), uid: "u".into(), earlier: Earlier::TakenOver }
}

fn role(name: &str, tags: Tags, trusted: &[&str]) -> ObservedIdentity {
    let trust_policy = Document::new(vec![Statement::allow().principals_aws(trusted.iter().copied()).actions(["sts:AssumeRole"])]);
    let identity = Identity {
        name: IdentityName::Role(name.parse().unwrap()),
        path: Path::root(),
        tags,
        permissions_boundary: None,
        inline_policies: BTreeMap::new(),
        attached_policies: BTreeSet::new(),
        groups: None,
        role: Some(RoleSettings { description: String::new(), max_session_duration: 3600, trust_policy }),
    };
    ObservedIdentity { id: format!("AROAEXAMPLE{:0>9}", name.to_ascii_uppercase().replace('-', "0")).parse().unwrap(), identity }
}

fn named(name: &str) -> IdentityName {
    IdentityName::Role(name.parse().unwrap())
}

fn policy(name: &str, id: &str, tags: Tags) -> ObservedPolicy {
    let arn: Arn = format!("arn:aws:iam::222222222222:policy/{name}").parse().unwrap();
    let policy =
        ManagedPolicy { arn, name: name.parse().unwrap(), path: Path::root(), description: String::new(), document: Document::new(vec![]), tags };
    ObservedPolicy { id: id.parse().unwrap(), policy, default_version: "v1".into(), other_versions: vec![] }
}

#[test]
fn a_resource_is_found_without_regard_to_case_and_what_is_not_there_is_not_shown() {
    let sweep = Sweep::new([role("Reader", Tags::new(), &[])], []);
    let seen = sweep.of(&named("reader"), &BTreeSet::new(), None).unwrap();
    assert_eq!(seen.identity.unwrap().identity.name.as_str(), "Reader");
    assert_eq!(sweep.of(&named("writer"), &BTreeSet::new(), None), Some(Observed::default()));
}

#[test]
fn statement_46_a_policy_keeps_its_tags_while_it_is_the_same_policy_and_is_read_directly_otherwise() {
    let tags = owner("CrossAccountRole/data/reader").tags();
    let known = policy("list", "ANPAEXAMPLEPOLICY001", tags.clone());
    let arns: BTreeSet<Arn> = [known.policy.arn.clone()].into();
    let before = Observed { identity: None, policies: [(known.policy.arn.clone(), known.clone())].into(), ..Observed::default() };
    let same = Sweep::new([], [policy("list", "ANPAEXAMPLEPOLICY001", Tags::new())]);
    assert_eq!(same.of(&named("reader"), &arns, Some(&before)).unwrap().policies[&known.policy.arn].policy.tags, tags);
    assert_eq!(same.of(&named("reader"), &arns, None), None, "its tags were never seen");
    let another = Sweep::new([], [policy("list", "ANPAEXAMPLEPOLICY002", Tags::new())]);
    assert_eq!(another.of(&named("reader"), &arns, Some(&before)), None, "it was deleted and made again");
    assert_eq!(Sweep::default().of(&named("reader"), &arns, Some(&before)), Some(Observed::default()));
}

#[test]
fn the_assume_policies_that_are_attached_to_a_user_are_looked_at_unasked() {
    let tags = owner("BastionUser/data/alice").tags();
    let known = policy("rolebridge-assume-roles-alice-1", "ANPAEXAMPLEPOLICY001", tags);
    let mut alice = role("alice", Tags::new(), &[]);
    alice.identity.name = IdentityName::User("alice".parse().unwrap());
    alice.identity.attached_policies =
        ["rolebridge-assume-roles-alice-1", "list"].map(|name| policy(name, "ANPAEXAMPLEPOLICY009", Tags::new()).policy.arn).into();
    let name = alice.identity.name.clone();
    let sweep = Sweep::new([alice], [known.clone(), policy("list", "ANPAEXAMPLEPOLICY002", Tags::new())]);
    let before = Observed { identity: None, policies: [(known.policy.arn.clone(), known.clone())].into(), ..Observed::default() };
    let seen = sweep.of(&name, &BTreeSet::new(), Some(&before)).unwrap();
    assert_eq!(seen.policies, before.policies);
    assert_eq!(sweep.of(&name, &BTreeSet::new(), None), None, "whose it is takes a direct read");
}

#[test]
fn what_was_read_of_a_policy_of_others_counts_while_it_is_attached_and_only_denies() {
    let says = |effect: &str| {
        let mut denies = policy("denies", "ANPAEXAMPLEPOLICY001", Tags::new());
        denies.policy.document = Document::from_value(serde_json::json!({"Statement": {"Effect": effect, "Action": "*", "Resource": "*"}})).unwrap();
        denies
    };
    let (local, of_aws): (Arn, Arn) = (says("Deny").policy.arn, "arn:aws:iam::aws:policy/Denies".parse().unwrap());
    let mut reader = role("reader", Tags::new(), &[]);
    reader.identity.attached_policies = [local.clone(), of_aws.clone()].into();
    let known = |read: &[(&Arn, bool)]| read.iter().map(|(arn, denies)| ((*arn).clone(), *denies)).collect::<BTreeMap<_, _>>();
    let all = known(&[(&local, true), (&of_aws, true)]);
    let before = Observed { restricting: all.clone(), ..Observed::default() };
    let after = |reader: &ObservedIdentity, effect: &str, before: Option<&Observed>| {
        Sweep::new([reader.clone()], [says(effect)]).of(&named("reader"), &BTreeSet::new(), before).unwrap().restricting
    };
    assert_eq!(after(&reader, "Deny", Some(&before)), all);
    assert_eq!(after(&reader, "Allow", Some(&before)), known(&[(&of_aws, true)]));
    assert_eq!(after(&reader, "Deny", None), known(&[]), "its tags were never seen");
    reader.identity.attached_policies.remove(&of_aws);
    assert_eq!(after(&reader, "Deny", Some(&before)), known(&[(&local, true)]));
}

#[test]
fn an_orphan_carries_our_tags_and_is_not_what_its_resource_stands_for() {
    let reader = owner("CrossAccountRole/data/reader");
    let elsewhere = Owner { installation: "two".into(), ..reader.clone() };
    let sweep = Sweep::new(
        [
            role("reader", reader.tags(), &[]),
            role("renamed", reader.tags(), &[]),
            role("theirs", elsewhere.tags(), &[]),
            role("any", Tags::new(), &[]),
        ],
        [],
    );
    let owned = [(reader.resource.clone(), named("READER"))].into();
    let orphans = sweep.orphans("one", &owned, &BTreeSet::new());
    assert_eq!(orphans.iter().map(|o| o.what.as_str()).collect::<Vec<_>>(), ["role renamed"]);
    assert_eq!(sweep.orphans("one", &BTreeSet::new(), &BTreeSet::new()).len(), 2, "without its resource");
}

#[test]
fn a_shadow_grant_lets_in_a_bastion_user_or_its_account_through_a_role_that_nobody_here_manages() {
    let alice: Arn = "arn:aws:iam::111111111111:user/alice".parse().unwrap();
    let root = "arn:aws:iam::111111111111:root";
    let manager: Arn = "arn:aws:iam::222222222222:role/manager".parse().unwrap();
    let sweep = Sweep::new(
        [
            role("by-name", Tags::new(), &[alice.as_str(), "arn:aws:iam::111111111111:user/bob"]),
            role("by-account", Tags::new(), &[root]),
            role("by-id", Tags::new(), &["111111111111"]),
            role("managed", owner("CrossAccountRole/data/managed").tags(), &[root]),
            role("unrelated", Tags::new(), &["arn:aws:iam::333333333333:root"]),
            role("manager", Tags::new(), &[root]),
            role("half-tagged", [(INSTALLATION.to_owned(), "one".to_owned())].into(), &[root]),
            role("open", Tags::new(), &["*"]),
        ],
        [],
    );
    let owned = [("CrossAccountRole/data/managed".to_owned(), named("managed"))].into();
    let found = sweep.shadow_grants("one", &owned, &[alice.clone()].into(), Some(&manager));
    let found: Vec<_> = found.iter().map(|grant| (grant.role.as_str(), grant.principal.as_str())).collect();
    assert_eq!(found, [("by-account", root), ("by-id", "111111111111"), ("by-name", alice.as_str()), ("half-tagged", root), ("open", "*")]);
    assert!(sweep.shadow_grants("one", &owned, &BTreeSet::new(), None).is_empty(), "there is nobody to let in");
}

#[test]
fn a_trust_policy_that_nobody_can_read_may_let_in_anybody_of_whomever_it_is() {
    let alice: Arn = "arn:aws:iam::111111111111:user/alice".parse().unwrap();
    let with = |name: &str, tags: Tags, trust_policy: Document| {
        let mut role = role(name, tags, &[]);
        role.identity.role.as_mut().unwrap().trust_policy = trust_policy;
        role
    };
    let but_bob = Document::from_value(serde_json::json!({"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "NotPrincipal": {"AWS": "arn:aws:iam::111111111111:user/bob"}, "Action": "sts:AssumeRole"}}));
    let odd = Document::from_value(serde_json::json!({"Version": "2012-10-17", "Statement": ["x"]}));
    let sweep = Sweep::new(
        [
            with("of-others", Tags::new(), Document::read("no%20JSON")),
            with("odd", Tags::new(), odd.unwrap()),
            with("but-bob", Tags::new(), but_bob.unwrap()),
            with("orphan", owner("CrossAccountRole/data/gone").tags(), Document::read("%FF")),
            with("managed", owner("CrossAccountRole/data/managed").tags(), Document::read("no%20JSON")),
        ],
        [],
    );
    let owned = [("CrossAccountRole/data/managed".to_owned(), named("managed"))].into();
    let found = sweep.shadow_grants("one", &owned, &[alice].into(), None);
    // What a resource stands for is put right by itself.
    assert_eq!(found.iter().map(|grant| grant.role.as_str()).collect::<Vec<_>>(), ["but-bob", "odd", "of-others", "orphan"]);
    assert!(found.iter().all(|grant| grant.principal == UNKNOWN));
    assert!(sweep.shadow_grants("one", &owned, &BTreeSet::new(), None).is_empty(), "there is nobody to let in");
}

#[test]
fn what_rolebridge_would_not_make_is_no_resource_and_a_shadow_grant_or_an_orphan_all_the_same() {
    let alice: Arn = "arn:aws:iam::111111111111:user/alice".parse().unwrap();
    let tags = owner("CrossAccountRole/data/gone").tags();
    let outlines = [role("side-door", Tags::new(), &[alice.as_str()]), role("ours-once", tags, &["arn:aws:iam::333333333333:root"])]
        .iter()
        .map(Outline::of)
        .collect();
    let sweep = Sweep::default().with_outlines(outlines);
    assert_eq!(sweep.of(&named("side-door"), &BTreeSet::new(), None), Some(Observed::default()));
    let shadows = sweep.shadow_grants("one", &BTreeSet::new(), &[alice.clone()].into(), None);
    assert_eq!(shadows, [ShadowGrant { role: "side-door".into(), principal: alice.to_string() }].into());
    let orphans = sweep.orphans("one", &BTreeSet::new(), &BTreeSet::new());
    assert_eq!(orphans.iter().map(|o| (o.what.as_str(), o.owner.as_str())).collect::<Vec<_>>(), [("role ours-once", "CrossAccountRole/data/gone")]);
}
