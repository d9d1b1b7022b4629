//! Customer-managed policies, those of AWS, and boundaries.

use super::*;

#[test]
fn statement_19_names_of_policies_are_unique_without_regard_to_case_and_path() {
    let mut world = World::new();
    world.create_policy("Read");
    let other = ManagedPolicy { path: "/team/".parse().unwrap(), ..wanted_policy("READ") };
    assert_eq!(refused(world.execute(&Action::CreatePolicy(Box::new(other)))), (Reason::Conflict, Effect::AlreadyExists));
    let found = world.policy(&policy_arn("read")).unwrap();
    assert_eq!(found.policy.arn, policy_arn("Read"));
    assert!(found.id.as_str().starts_with("ANPA"), "{}", found.id);
    assert_eq!(world.policy(&arn("arn:aws:iam::111111111111:policy/team/Read")), None);
}

#[test]
fn statement_17_five_versions_and_the_one_in_force_stays() {
    let mut world = World::new();
    let policy = world.create_policy("p");
    let version = |size| Action::CreatePolicyVersion(policy_arn("p"), permissions(size));
    for n in 2..=5 {
        assert_eq!(world.execute(&version(100 + n)), Ok(Receipt::Version(format!("v{n}"))));
    }
    assert_refused(world.execute(&version(100)), Reason::QuotaExceeded);
    assert_refused(world.execute(&Action::DeletePolicyVersion(policy.clone(), "v5".into())), Reason::DeletionBlocked);
    assert_eq!(world.execute(&Action::DeletePolicyVersion(policy.clone(), "v9".into())), Ok(Receipt::Missing));
    world.execute(&Action::DeletePolicyVersion(policy.clone(), "v2".into())).unwrap();
    assert_eq!(world.execute(&version(100)), Ok(Receipt::Version("v6".into())), "no number is given twice");
    let found = world.policy(&policy).unwrap();
    assert_eq!((found.default_version.as_str(), found.other_versions), ("v6", ["v1", "v3", "v4", "v5"].map(str::to_owned).to_vec()));
    world.change(&Change::SetDefaultPolicyVersion(policy.clone(), "v3".into())).unwrap();
    let found = world.policy(&policy).unwrap();
    assert_eq!((found.default_version.as_str(), found.policy.document), ("v3", permissions(103)));
}

#[test]
fn a_policy_goes_when_nothing_uses_it_and_one_version_is_left() {
    let mut world = World::new();
    let policy = world.create_policy("p");
    world.create(&role("r"));
    world.create(&user("u"));
    world.execute(&Action::AttachPolicy(role("r"), policy.clone())).unwrap();
    world.execute(&Action::PutPermissionsBoundary(user("u"), policy.clone())).unwrap();
    world.execute(&Action::CreatePolicyVersion(policy.clone(), permissions(100))).unwrap();
    for action in [
        Action::DetachPolicy(role("r"), policy.clone()),
        Action::DeletePermissionsBoundary(user("u")),
        Action::DeletePolicyVersion(policy.clone(), "v1".into()),
    ] {
        assert_refused(world.execute(&Action::DeletePolicy(policy.clone())), Reason::DeletionBlocked);
        world.execute(&action).unwrap();
    }
    world.execute(&Action::DeletePolicy(policy.clone())).unwrap();
    assert_eq!(world.execute(&Action::DeletePolicy(policy.clone())), Ok(Receipt::Missing));
    assert_eq!(world.policy(&policy), None);
    for action in [
        Action::CreatePolicyVersion(policy.clone(), permissions(100)),
        Action::Tag(Tagged::Policy(policy.clone()), tags(&[("a", "1")])),
        Action::Untag(Tagged::Policy(policy.clone()), vec!["a".into()]),
    ] {
        assert_refused(world.execute(&action), Reason::Propagating);
    }
    assert_eq!(world.execute(&Action::DeletePolicyVersion(policy, "v1".into())), Ok(Receipt::Missing));
}

#[test]
fn a_policy_of_a_group_is_used() {
    let mut world = World::new();
    let (policy, group) = (world.create_policy("p"), "g".parse().unwrap());
    world.change(&Change::CreateGroup("g".parse().unwrap())).unwrap();
    world.change(&Change::AttachGroupPolicy("g".parse().unwrap(), policy.clone())).unwrap();
    assert_refused(world.execute(&Action::DeletePolicy(policy.clone())), Reason::DeletionBlocked);
    world.change(&Change::DetachGroupPolicy(group, policy.clone())).unwrap();
    world.execute(&Action::DeletePolicy(policy)).unwrap();
}

#[test]
fn statement_16_a_policy_has_a_size() {
    let mut world = World::new();
    let of = |size| Action::CreatePolicy(Box::new(ManagedPolicy { document: permissions(size), ..wanted_policy("p") }));
    assert_refused(world.execute(&of(6145)), Reason::QuotaExceeded);
    world.execute(&of(6144)).unwrap();
    assert_refused(world.execute(&Action::CreatePolicyVersion(policy_arn("p"), permissions(6145))), Reason::QuotaExceeded);
}

#[test]
fn statement_20_policies_tell_keys_of_tags_apart_by_case() {
    let mut world = World::new();
    let what = Tagged::Policy(world.create_policy("p"));
    world.execute(&Action::Tag(what.clone(), tags(&[("Team", "x")]))).unwrap();
    world.execute(&Action::Tag(what.clone(), tags(&[("team", "y")]))).unwrap();
    assert_eq!(world.policy(&policy_arn("p")).unwrap().policy.tags, tags(&[("Team", "x"), ("team", "y")]));
    world.execute(&Action::Untag(what, vec!["TEAM".into(), "team".into()])).unwrap();
    assert_eq!(world.policy(&policy_arn("p")).unwrap().policy.tags, tags(&[("Team", "x")]));
}

#[test]
fn statement_16_attachments_have_a_quota() {
    let mut world = World::new();
    let (one, two) = (world.create_policy("one"), world.create_policy("two"));
    for (name, key) in [(user("a"), "AttachedPoliciesPerUserQuota"), (role("a"), "AttachedPoliciesPerRoleQuota")] {
        world.create(&name);
        world.quota(key, 1);
        world.execute(&Action::AttachPolicy(name.clone(), one.clone())).unwrap();
        world.execute(&Action::AttachPolicy(name.clone(), one.clone())).unwrap();
        assert_refused(world.execute(&Action::AttachPolicy(name.clone(), two.clone())), Reason::QuotaExceeded);
    }
}

#[test]
fn only_policies_that_exist_are_attached_and_some_of_aws_to_nobody() {
    let mut world = World::new();
    let aws = |name: &str| arn(&format!("arn:aws:iam::aws:policy/{name}"));
    for name in [user("a"), role("a")] {
        assert_refused(world.execute(&Action::AttachPolicy(name.clone(), aws("ReadOnlyAccess"))), Reason::Propagating);
        world.create(&name);
        for policy in [aws("ReadOnlyAccess"), aws("service-role/AWSLambdaBasicExecutionRole"), aws("job-function/ViewOnlyAccess")] {
            world.execute(&Action::AttachPolicy(name.clone(), policy.clone())).unwrap();
            world.execute(&Action::PutPermissionsBoundary(name.clone(), policy)).unwrap();
        }
        for policy in [policy_arn("none"), aws("NoSuchAccess"), arn("arn:aws:iam::222222222222:policy/p")] {
            assert_refused(world.execute(&Action::AttachPolicy(name.clone(), policy.clone())), Reason::PolicyNotFound);
            assert_refused(world.execute(&Action::PutPermissionsBoundary(name.clone(), policy)), Reason::PolicyNotFound);
        }
        for elsewhere in ["arn:aws-cn:iam::aws:policy/ReadOnlyAccess", "arn:aws-us-gov:iam::111111111111:policy/p"].map(arn) {
            assert_refused(world.execute(&Action::AttachPolicy(name.clone(), elsewhere.clone())), Reason::RequestRejected);
            assert_refused(world.execute(&Action::PutPermissionsBoundary(name.clone(), elsewhere)), Reason::RequestRejected);
        }
        let of_services = aws("aws-service-role/AWSSupportServiceRolePolicy");
        assert_refused(world.execute(&Action::AttachPolicy(name.clone(), of_services.clone())), Reason::PolicyNotAttachable);
        assert_refused(world.execute(&Action::PutPermissionsBoundary(name, of_services)), Reason::PolicyNotAttachable);
    }
    let bounded = Identity { permissions_boundary: Some(policy_arn("none")), ..wanted(&user("b")) };
    assert_refused(world.create_in(HUB, bounded), Reason::PolicyNotFound);
}

#[test]
fn documents_that_iam_does_not_take() {
    let mut world = World::new();
    world.create(&user("a"));
    let statement = |statement: Value| json!({"Version": "2012-10-17", "Statement": [statement]});
    let allow = json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*"});
    for bad in [
        json!({"Statement": [allow]}),
        json!({"Version": "2012-10-17", "Statement": []}),
        json!({"Version": "2012-10-17", "Statement": [allow], "More": "x"}),
        statement(json!({"Effect": "Allow", "Action": "s3:*"})),
        statement(json!({"Effect": "Allow", "Resource": "*"})),
        statement(json!({"Effect": "allow", "Action": "s3:*", "Resource": "*"})),
        statement(json!({"Effect": "Allow", "Action": "s3", "Resource": "*"})),
        statement(json!({"Effect": "Allow", "Action": "s3:*", "Resource": "bucket"})),
        statement(json!({"Effect": "Allow", "Action": "s3:*", "NotAction": "s3:*", "Resource": "*"})),
        statement(json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Principal": "*"})),
        statement(json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"Bool": "x"}})),
    ] {
        let put = Action::PutInlinePolicy(user("a"), "p".parse().unwrap(), document(&bad));
        assert_refused(world.execute(&put), Reason::InvalidDocument);
    }
}
