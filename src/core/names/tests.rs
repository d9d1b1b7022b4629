//! Tests of the names.

use proptest::prelude::*;

use super::*;

fn ok<T: TryFrom<String, Error = NameError>>(value: &str) -> T {
    T::try_from(value.to_owned()).unwrap()
}

fn account() -> AccountID {
    ok("012345678901")
}

#[test]
fn account_ids_are_twelve_ascii_digits() {
    assert_eq!(account().as_str(), "012345678901");
    for bad in ["", "12345678901", "1234567890123", "12345678901a", "١٢٣٤٥٦٧٨٩٠١٢", " 12345678901"] {
        assert!(AccountID::try_from(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn errors_name_the_value_and_the_remedy_and_stay_short() {
    let error = AccountID::try_from("42").unwrap_err();
    assert_eq!(error.to_string(), "account id \"42\" is not valid: write exactly 12 digits, in quotes so that leading zeros are kept");
    assert!(RoleName::try_from("x".repeat(100_000)).unwrap_err().to_string().len() < 400);
}

#[test]
fn statements_10_and_62_partitions() {
    for (partition, region, host) in [
        ("aws", Some("us-east-1"), Some("signin.aws.amazon.com")),
        ("aws-cn", Some("cn-north-1"), Some("signin.amazonaws.cn")),
        ("aws-us-gov", Some("us-gov-west-1"), Some("signin.amazonaws-us-gov.com")),
        ("aws-eusc", Some("eusc-de-east-1"), Some("eusc-de-east-1.signin.amazonaws-eusc.eu")),
        ("aws-iso", Some("us-iso-east-1"), Some("signin.c2shome.ic.gov")),
        ("aws-iso-b", Some("us-isob-east-1"), Some("signin.sc2shome.sgov.gov")),
        ("aws-iso-e", Some("eu-isoe-west-1"), Some("signin.csphome.adc-e.uk")),
        ("aws-iso-f", Some("us-isof-south-1"), Some("signin.csphome.hci.ic.gov")),
        ("aws-new", None, None),
    ] {
        let partition: Partition = ok(partition);
        assert_eq!((partition.default_region(), partition.console_host()), (region, host), "{partition}");
    }
    for bad in ["", "AWS", "aws-", "aws--cn", "awsx", "gcp", "aws-c*"] {
        assert!(Partition::try_from(bad).is_err(), "{bad:?}");
    }
    assert_eq!(Partition::default(), Partition::aws());
}

#[test]
fn statement_18_names_have_the_characters_and_lengths_of_iam() {
    for good in ["a", "Admin+x=y,z.@_-9", &"r".repeat(64)] {
        assert!(RoleName::try_from(good).is_ok() && UserName::try_from(good).is_ok() && PolicyName::try_from(good).is_ok());
    }
    for bad in ["", "a b", "a/b", "a*", "é", "🙂", "a\n", "${aws:username}", &"r".repeat(129)] {
        assert!(RoleName::try_from(bad).is_err() && UserName::try_from(bad).is_err() && PolicyName::try_from(bad).is_err(), "{bad:?}");
    }
    let between = "r".repeat(65);
    assert!(RoleName::try_from(&*between).is_err() && UserName::try_from(&*between).is_err() && PolicyName::try_from(&*between).is_ok());
}

#[test]
fn statements_18_and_34_and_45_paths_are_closed_by_slashes_and_hold_no_pattern() {
    for good in ["/", "/a/", "/team-a/x.y_z/", "/aws/", &format!("/{}/", "p".repeat(510))] {
        assert!(Path::try_from(good).is_ok(), "{good:?}");
    }
    for bad in ["", "//", "/a", "a/", "/a//b/", "/a*/", "/a?/", "/${x}/", "/a b/", &format!("/{}/", "p".repeat(511))] {
        assert!(Path::try_from(bad).is_err(), "{bad:?}");
    }
    for reserved in ["/aws-service-role/", "/aws-service-role/ecs.amazonaws.com/", "/aws-reserved/sso.amazonaws.com/", "/AWS-Reserved/"] {
        assert!(Path::try_from(reserved).is_err(), "{reserved:?}");
    }
    let below: Path = ok("/team-a/x/");
    assert!(below.starts_with(&ok("/team-a/")) && below.starts_with(&Path::root()) && !below.starts_with(&ok("/team/")));
}

#[test]
fn arns_are_built_and_taken_apart() {
    let (aws, path) = (Partition::aws(), ok("/team/x/"));
    let role = Arn::role(&aws, &account(), &path, &ok("prod-list"));
    assert_eq!(role.as_str(), "arn:aws:iam::012345678901:role/team/x/prod-list");
    assert_eq!(role.iam_entity(), Some(IAMEntity { kind: "role", path: "/team/x/", name: "prod-list" }));
    assert_eq!((role.service(), role.region(), role.account_id()), ("iam", "", Some(account())));
    assert_eq!(Arn::user(&aws, &account(), &Path::root(), &ok("random")).as_str(), "arn:aws:iam::012345678901:user/random");
    assert_eq!(Arn::policy(&aws, &account(), &Path::root(), &ok("p")).iam_entity().map(|entity| entity.path), Some("/"));
    let root = Arn::account_root(&ok("aws-cn"), &account());
    assert_eq!(root.as_str(), "arn:aws-cn:iam::012345678901:root");
    assert!(root.is_account_root() && root.iam_entity().is_none() && !role.is_account_root());
    let managed = Arn::aws_managed_policy(&aws, "job-function/ViewOnlyAccess").unwrap();
    assert_eq!((managed.as_str(), managed.account_id()), ("arn:aws:iam::aws:policy/job-function/ViewOnlyAccess", None));
    for bad in ["", "/x", "x/", "a b", "*"] {
        assert!(Arn::aws_managed_policy(&aws, bad).is_err(), "{bad:?}");
    }
}

#[test]
fn constructed_arns_equal_parsed_ones() {
    let built = Arn::role(&ok("aws-us-gov"), &account(), &ok("/a/"), &ok("b"));
    assert_eq!(built, ok::<Arn>(built.as_str()));
}

#[test]
fn what_is_no_arn_is_refused() {
    for good in ["arn:aws:s3:::bucket/*", "arn:aws:eks:eu-west-1:012345678901:cluster/c", "arn:aws:sts::012345678901:assumed-role/r/s:x"] {
        assert_eq!(Arn::try_from(good).map(String::from).as_deref(), Ok(good));
    }
    for bad in [
        "",
        "*",
        "012345678901",
        "arn:aws:iam::012345678901",
        "arn:aws:iam::012345678901:",
        "arn:*:iam::012345678901:role/x",
        "arn:aws:iam::*:role/x",
        "arn:aws:iam::1:role/x",
        "arn:aws::r:012345678901:x",
        "arn:aws:iam::012345678901:role/a b",
        "ARN:aws:iam::012345678901:role/x",
        "AIDAABCDEFGHIJKLMNOP",
    ] {
        assert!(Arn::try_from(bad).is_err(), "{bad:?}");
    }
    assert!(ok::<Arn>("arn:aws:iam::012345678901:user/*").has_wildcard());
    assert!(ok::<Arn>("arn:aws:iam::012345678901:user/${aws:username}").has_wildcard());
    assert!(!ok::<Arn>("arn:aws:iam::012345678901:user/x").has_wildcard());
}

#[test]
fn statement_6_unique_ids_are_told_from_other_principals() {
    for good in ["AIDAABCDEFGHIJKLMNOP", "AROA0123456789012345"] {
        assert!(is_unique_id(good) && UniqueID::try_from(good).is_ok());
    }
    for bad in
        ["", "*", "AIDA", "012345678901", "AKIAABCDEFGHIJKLMNOP", "arn:aws:iam::012345678901:user/AIDAABCDEFGHIJKLMNOP", "AIDAABCDEFGHIJKLMNO-"]
    {
        assert!(!is_unique_id(bad), "{bad:?}");
    }
}

#[test]
fn statement_61_the_id_of_an_access_key_is_told_from_other_keys_of_tags() {
    assert!(is_access_key_id("AKIAIOSFODNN7EXAMPLE"));
    for other in ["", "AKIA", "AKIAIOSFODNN7EXAMPL", "AKIAIOSFODNN7EXAMPLEX", "akiaiosfodnn7example", "AKIAIOSFODNN7EXAMPL-", "ASIAIOSFODNN7EXAMPLE"]
    {
        assert!(!is_access_key_id(other), "{other:?}");
    }
}

#[test]
fn statement_19_switch_role_links() {
    let aws = Partition::aws();
    let url = switch_role_url(&aws, "prod", &ok("/team/"), &ok("list+all"), "prod & list");
    let expected = "https://signin.aws.amazon.com/switchrole?account=prod&roleName=team%2Flist%2Ball&displayName=prod%20%26%20list";
    assert_eq!(url.as_deref(), Some(expected));
    assert!(switch_role_url(&aws, "prod", &Path::root(), &ok(&"r".repeat(64)), "x").is_some());
    assert!(switch_role_url(&aws, "prod", &ok("/a/"), &ok(&"r".repeat(61)), "x").is_some());
    assert!(switch_role_url(&aws, "prod", &ok("/a/"), &ok(&"r".repeat(62)), "x").is_none());
    assert!(switch_role_url(&ok("aws-new"), "prod", &Path::root(), &ok("r"), "x").is_none());
}

#[test]
fn names_compare_without_case_and_read_as_plain_strings() {
    assert!(same_name("Admin", "aDMIN") && !same_name("Admin", "Admin1"));
    assert_eq!(serde_json::to_string(&account()).unwrap(), "\"012345678901\"");
    assert_eq!(serde_json::from_str::<AccountID>("\"012345678901\"").unwrap(), account());
    let error = serde_json::from_str::<Arn>("\"nonsense\"").unwrap_err().to_string();
    assert!(error.contains("nonsense") && error.contains("arn:partition:service"), "{error}");
    assert!(serde_json::from_str::<AccountID>("123456789012").is_err());
}

proptest! {
    #[test]
    fn what_parses_shows_as_it_was_written(text in "arn:aws(-[a-z]{2})?:[a-z0-9]{1,5}:[a-z0-9-]{0,5}:([0-9]{12}|aws)?:[!-~]{1,20}") {
        prop_assert_eq!(Arn::try_from(&*text).unwrap().to_string(), text);
    }

    #[test]
    fn a_name_in_an_arn_comes_back(path in "/([a-z@.]{1,5}/){0,3}", name in "[A-Za-z0-9_+=,.@-]{1,64}") {
        let arn = Arn::user(&Partition::aws(), &account(), &ok(&path), &ok(&name));
        prop_assert_eq!(arn.iam_entity(), Some(IAMEntity { kind: "user", path: &path, name: &name }));
        prop_assert!(!arn.has_wildcard());
    }

    #[test]
    fn any_text_is_taken_or_refused_and_never_changed(text in any::<String>()) {
        for shown in [Arn::try_from(&*text).map(String::from), Path::try_from(&*text).map(String::from)].into_iter().flatten() {
            prop_assert_eq!(&shown, &text);
        }
    }
}
