//! Trust policies and the principals that they name.

use super::*;

const ALICE: &str = "arn:aws:iam::111111111111:user/alice";

/// A role of another account that trusts these.
fn role_of_prod(world: &mut World, principals: &Value) -> Result<UniqueID, Failure> {
    let role = wanted(&role("reader"));
    let settings = RoleSettings { trust_policy: trusting(principals), ..role.role.clone().unwrap() };
    world.create_in(PROD, Identity { role: Some(settings), ..role })
}

/// The principals that it shows.
fn shown(world: &mut World) -> Value {
    let scope = Scope { name: Some(role("reader")), policies: BTreeSet::new(), groups: false, pinned: None };
    let found = world.observe_in(PROD, &scope).unwrap().identity.unwrap();
    let shown = found.identity.role.unwrap().trust_policy.as_value()["Statement"][0]["Principal"].clone();
    let state = world.cloud.state();
    assert_eq!(state[&account(PROD)].roles[0]["assumeRolePolicyDocument"]["Statement"][0]["Principal"], shown);
    shown
}

fn update(world: &mut World, principals: &Value) -> Result<Receipt, Failure> {
    world.execute_in(PROD, &Action::UpdateTrustPolicy("reader".parse().unwrap(), trusting(principals)))
}

#[test]
fn statement_6_who_is_gone_shows_by_its_id_and_a_new_one_of_the_name_is_not_trusted() {
    let mut world = World::new();
    let id = world.create(&user("alice"));
    role_of_prod(&mut world, &json!({"AWS": ALICE})).unwrap();
    assert_eq!(shown(&mut world), json!({"AWS": ALICE}));
    world.execute(&Action::DeleteIdentity(user("alice"))).unwrap();
    assert_eq!(shown(&mut world), json!({"AWS": id}));
    world.create(&user("alice"));
    assert_eq!(shown(&mut world), json!({"AWS": id}));
    // Statement 7: what it shows cannot be written again.
    assert_refused(update(&mut world, &json!({"AWS": id})), Reason::Propagating);
    update(&mut world, &json!({"AWS": ALICE})).unwrap();
    assert_eq!(shown(&mut world), json!({"AWS": ALICE}));
}

#[test]
fn statement_44_who_is_renamed_shows_under_its_new_name() {
    let mut world = World::new();
    world.create(&user("alice"));
    role_of_prod(&mut world, &json!({"AWS": ["arn:aws:iam::111111111111:root", ALICE]})).unwrap();
    world.execute(&Action::RenameUser("alice".parse().unwrap(), "bob".parse().unwrap(), "/team/".parse().unwrap())).unwrap();
    assert_eq!(shown(&mut world), json!({"AWS": ["arn:aws:iam::111111111111:root", "arn:aws:iam::111111111111:user/team/bob"]}));
    world.create(&user("alice"));
    assert_eq!(shown(&mut world), json!({"AWS": ["arn:aws:iam::111111111111:root", "arn:aws:iam::111111111111:user/team/bob"]}));
}

#[test]
fn statement_6_roles_are_principals_like_users() {
    let mut world = World::new();
    let id = world.create(&role("source"));
    role_of_prod(&mut world, &json!({"AWS": "arn:aws:iam::111111111111:role/source"})).unwrap();
    world.execute(&Action::DeleteIdentity(role("source"))).unwrap();
    assert_eq!(shown(&mut world), json!({"AWS": id}));
}

#[test]
fn statements_1_and_9_and_58_only_who_is_there_may_be_named() {
    let mut world = World::new();
    world.create(&user("alice"));
    world.create(&role("source"));
    world.cloud.open(&account("333333333333"), &"aws-cn".parse().unwrap());
    world.create_in("333333333333", wanted(&role("elsewhere"))).unwrap();
    role_of_prod(&mut world, &json!("*")).unwrap();
    for known in [
        json!("*"),
        json!({"AWS": "*"}),
        json!({"AWS": ["arn:aws:iam::222222222222:root", ALICE]}),
        json!({"AWS": "arn:aws:sts::111111111111:assumed-role/source/session"}),
        json!({"Service": ["ec2.amazonaws.com", "pods.eks.amazonaws.com", "www.amazon.com"]}),
        json!({"Federated": "cognito-identity.amazonaws.com"}),
        json!({"Federated": "arn:aws:iam::222222222222:oidc-provider/token.actions.githubusercontent.com", "AWS": ALICE}),
    ] {
        update(&mut world, &known).unwrap();
        assert_eq!(shown(&mut world), known);
    }
    let before = shown(&mut world);
    for unknown in [
        json!({"AWS": "arn:aws:iam::111111111111:user/nobody"}),
        json!({"AWS": "arn:aws:iam::111111111111:user/team/alice"}),
        json!({"AWS": "arn:aws:iam::111111111111:user/*"}),
        json!({"AWS": "arn:aws:iam::111111111111:group/alice"}),
        json!({"AWS": "arn:aws:iam::999999999999:root"}),
        json!({"AWS": "999999999999"}),
        json!({"AWS": "arn:aws-cn:iam::333333333333:root"}),
        json!({"AWS": "arn:aws:iam::333333333333:root"}),
        json!({"AWS": "arn:aws:sts::333333333333:assumed-role/elsewhere/session"}),
        json!({"AWS": [ALICE, "alice"]}),
        json!({"AWS": "arn:aws:iam::111111111111:user/Alice"}),
        json!({"AWS": "arn:aws:sts::111111111111:assumed-role/none/session"}),
        json!({"AWS": "arn:aws:sts::111111111111:assumed-role/SOURCE/session"}),
        json!({"AWS": "arn:aws:sts::111111111111:assumed-role/source"}),
        json!({"Other": "x"}),
    ] {
        assert_refused(update(&mut world, &unknown), Reason::Propagating);
    }
    // A service that is not there never comes.
    for unknown in ["ec2", "amazonaws.com", "nobody.amazonaws.com", "ec2.amazonaws.com.cn"] {
        assert_refused(update(&mut world, &json!({"Service": unknown})), Reason::InvalidSpec);
    }
    assert_eq!(shown(&mut world), before);
}

#[test]
fn statement_57_a_trust_for_a_shared_issuer_names_the_tenant() {
    let mut world = World::new();
    role_of_prod(&mut world, &json!("*")).unwrap();
    let github = "arn:aws:iam::222222222222:oidc-provider/token.actions.githubusercontent.com";
    let mut write = |issuer: &str, action: &str, condition: Value| {
        let statement = json!({"Effect": "Allow", "Principal": {"Federated": issuer}, "Action": action, "Condition": condition});
        let text = document(&json!({"Version": "2012-10-17", "Statement": statement}));
        world.execute_in(PROD, &Action::UpdateTrustPolicy("reader".parse().unwrap(), text))
    };
    let token = "sts:AssumeRoleWithWebIdentity";
    let subject = |value: &str| json!({"StringLike": {"token.actions.githubusercontent.com:sub": value}});
    write(github, token, subject("repo:team/app:*")).unwrap();
    write(github, token, json!({"StringEquals": {"token.actions.githubusercontent.com:job_workflow_ref": "x"}})).unwrap();
    write(github, "sts:TagSession", json!({})).unwrap();
    write("arn:aws:iam::222222222222:oidc-provider/ci.example.com", token, json!({})).unwrap();
    for (issuer, action, condition) in [
        (github, token, json!({})),
        (github, "sts:*", json!({})),
        (github, token, subject("*")),
        (github, token, json!({"StringEquals": {"token.actions.githubusercontent.com:aud": "x"}})),
        (github, token, json!({"StringNotLike": {"token.actions.githubusercontent.com:sub": "x"}})),
        ("cognito-identity.amazonaws.com", token, json!({})),
    ] {
        let answer = write(issuer, action, condition.clone());
        assert_eq!(refused(answer), (Reason::InvalidDocument, Effect::None), "{issuer} {condition}");
    }
}

#[test]
fn statement_8_an_account_is_its_root() {
    let mut world = World::new();
    role_of_prod(&mut world, &json!({"AWS": HUB})).unwrap();
    assert_eq!(shown(&mut world), json!({"AWS": "arn:aws:iam::111111111111:root"}));
}

#[test]
fn statement_39_a_trust_policy_has_its_form() {
    let mut world = World::new();
    role_of_prod(&mut world, &json!("*")).unwrap();
    let good = json!({"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"});
    let with = |key: &str, value: Value| {
        let mut statement = good.clone();
        statement[key] = value;
        statement
    };
    for bad in [
        json!({"Effect": "Allow", "Action": "sts:AssumeRole"}),
        with("Principal", json!({"AWS": []})),
        with("NotPrincipal", json!("*")),
        with("Resource", json!("*")),
        with("Action", json!("s3:GetObject")),
        with("Action", json!(["sts:AssumeRole", "*"])),
        with("Sid", json!("a b")),
        with("Effect", json!("Maybe")),
    ] {
        let bad = document(&json!({"Version": "2012-10-17", "Statement": bad}));
        let update = world.execute_in(PROD, &Action::UpdateTrustPolicy("reader".parse().unwrap(), bad.clone()));
        assert_eq!(refused(update), (Reason::InvalidDocument, Effect::None), "{bad}");
    }
}

#[test]
fn statement_15_a_trust_policy_has_a_size() {
    let mut world = World::new();
    role_of_prod(&mut world, &json!("*")).unwrap();
    let frame = trusting(&json!({"AWS": []})).to_json().len();
    let root = "arn:aws:iam::111111111111:root";
    let of = |n: usize| json!({"AWS": vec![root; n]});
    let fits = (2048 - frame + 1) / (root.len() + 3);
    update(&mut world, &of(fits)).unwrap();
    assert_refused(update(&mut world, &of(fits + 1)), Reason::QuotaExceeded);
    // Nobody is there whose trust could be written.
    let other = Action::UpdateTrustPolicy("none".parse().unwrap(), trusting(&json!("*")));
    assert_refused(world.execute_in(PROD, &other), Reason::Propagating);
}

#[test]
fn whatever_text_others_write_is_there() {
    let mut world = World::new();
    world.create(&role("r"));
    let text = r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole", "Condition": {"NumericLessThan": {"aws:x": 5}}}}"#;
    world.change(&Change::UpdateTrustPolicy("r".parse().unwrap(), text.into())).unwrap();
    let state = world.cloud.state();
    assert_eq!(state[&account(HUB)].roles[0]["assumeRolePolicyDocument"], serde_json::from_str::<Value>(text).unwrap());
    assert_refused(world.change(&Change::UpdateTrustPolicy("r".parse().unwrap(), "{".into())), Reason::InvalidDocument);
}
