//! Tests of the document model.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const ROLE: &str = "arn:aws:iam::012345678901:role/r";

fn document(value: Value) -> Document {
    Document::from_value(value).unwrap()
}

/// The problems of a text, as people read them.
fn refused(text: &str) -> Vec<String> {
    Document::parse(text).unwrap_err().iter().map(ToString::to_string).collect()
}

fn refused_value(value: Value) -> Vec<String> {
    Document::from_value(value).unwrap_err().iter().map(ToString::to_string).collect()
}

/// The places at which the linter finds fault.
fn faults(value: Value, kind: DocumentKind) -> Vec<String> {
    document(value).lint(kind).iter().map(|problem| problem.location.to_string()).collect()
}

fn permissions() -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Sid": "List", "Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}]})
}

fn trust() -> Value {
    json!({"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::012345678901:user/random"}, "Action": "sts:AssumeRole",
        "Condition": {"Bool": {"aws:MultiFactorAuthPresent": true}, "NumericLessThan": {"aws:MultiFactorAuthAge": 3600}}
    }})
}

/// `base` with the element at `pointer` set, or removed where `value` is null.
fn with(mut base: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = base.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        parent.remove(key);
    } else {
        parent.insert(key.to_owned(), value);
    }
    base
}

/// Every string of kind `AWS` that a `Principal` names, in order.
fn aws_principals(document: &Document) -> Vec<&str> {
    document.statements().iter().flat_map(|statement| statement.principals("AWS")).collect()
}

#[test]
fn a_sound_document_has_no_problems_and_keeps_its_shape() {
    assert_eq!(document(permissions()).lint(DocumentKind::Permissions), []);
    assert_eq!(document(trust()).lint(DocumentKind::Trust), []);
    let text = r#"{ "Statement": {"Resource":["*"], "Action":"s3:*", "Effect":"Allow"}, "Id": "é" }"#;
    let parsed = Document::parse(text).unwrap();
    assert_eq!(parsed.as_value(), &json!({"Id": "é", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": ["*"]}}));
    assert_eq!(parsed.to_json(), r#"{"Id":"é","Statement":{"Effect":"Allow","Action":"s3:*","Resource":["*"]}}"#);
    assert_eq!(parsed.size(), parsed.to_json().len() - 1, "characters are counted, not bytes");
    assert_eq!(parsed.version(), None);
}

#[test]
fn broken_json_says_where() {
    assert_eq!(refused("{\n  \"Version\": \"é\", 1\n}"), ["line 2, column 19: not valid JSON: key must be a string"]);
    assert_eq!(refused("{\n  \"é\": 1, // why\n}"), ["line 2, column 11: not valid JSON: there are no comments in JSON: remove it"]);
    for empty in ["", " \n", "\u{feff}"] {
        assert_eq!(refused(empty), ["document: there is nothing in it: write the policy as JSON"]);
    }
    assert!(refused("{\"a\": 1} x")[0].starts_with("line 1, column 10: not valid JSON: trailing characters"));
    assert!(refused("{\"a\": \"x\ny\"}")[0].contains("not valid JSON: control character"));
    assert!(refused("[]")[0].starts_with("document: a policy document is a JSON object"));
}

#[test]
fn duplicate_keys_are_found_at_every_level_and_all_at_once() {
    let text = "{\"Version\": \"2012-10-17\", \"Statement\": [\n  {\"Effect\": \"Allow\", \"Effect\": \"Deny\",\n\
                \"Condition\": {\"Bool\": {\"é\": 1, \"\\u00e9\": 2}}}\n], \"Version\": \"2012-10-17\"}";
    let problems = refused(text);
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].starts_with("line 2, column 23: the key \"Effect\" stands twice"), "{}", problems[0]);
    assert!(problems[1].starts_with("line 3, column 32: the key \"é\" stands twice"), "{}", problems[1]);
    assert!(problems[2].starts_with("line 4, column 4: the key \"Version\" stands twice"), "{}", problems[2]);
}

#[test]
fn statement_14_characters_beyond_iam_are_named_with_their_place() {
    let problems = refused("{\"Id\": \"é\",\n \"Sid\": \"“quoted“\", \"x\": \"🙂\\u2019\"}");
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].starts_with("line 2, column 10: the character '“' (U+201C) (2 times) is not allowed"), "{}", problems[0]);
    assert!(problems[1].starts_with("line 2, column 27: the character '🙂' (U+1F642) is not allowed"), "{}", problems[1]);
    // An escape names no foreign character in the text, but gives one.
    assert!(problems[2].starts_with("x: the character '’' (U+2019) at position 2"), "{}", problems[2]);
    assert!(refused_value(json!({"Id": "a\u{0}"}))[0].starts_with("Id: the character '\\0' (U+0000) at position 2"));
    assert!(refused_value(json!({"Statement": [{"€": 1}]}))[0].starts_with("Statement[0].€: the character"));
    assert!(Document::parse("{\"Id\": \"\\t\\n\\r ~\u{7f}\u{80}ÿ\"}").is_ok());
    assert_eq!(Document::parse("\u{feff}{}"), Document::parse("{}"), "a byte order mark says nothing");
    assert!(refused("\u{feff}{,}")[0].starts_with("line 1, column 2: "), "and is not counted");
    assert!(refused("\u{feff}\u{feff}{}")[0].starts_with("line 1, column 1: the character '\\u{feff}'"));
}

#[test]
fn size_and_depth_are_bounded() {
    assert!(refused(&" ".repeat(MAX_TEXT_BYTES + 1))[0].starts_with("document: 131073 bytes are too many"));
    assert!(refused_value(json!({"Id": "x".repeat(MAX_TEXT_BYTES)}))[0].contains("too many"));
    let most = format!("{{\"Id\": \n \"{}\"}}", "x".repeat(MAX_CHARACTERS - 9));
    assert!(Document::parse(&most).is_ok() && Document::from_structure(&most).is_ok());
    let more = most.replace('x', "é").replacen('é', "éé", 1);
    for problems in [Document::parse(&more), Document::from_structure(&more)] {
        assert_eq!(
            problems.unwrap_err()[0].to_string(),
            "document: 20481 characters are too many to be a policy: IAM takes 10240 at most, white space aside"
        );
    }
    let nested = |depth: usize| format!("{{\"Id\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    assert!(Document::parse(&nested(MAX_DEPTH)).is_ok());
    let problems = refused(&nested(MAX_DEPTH + 1));
    assert!(problems.len() == 1 && problems[0].starts_with("line 1, column 23: not valid JSON: objects and lists stand within"), "{problems:?}");
    assert!(Document::from_value(serde_json::from_str(&nested(MAX_DEPTH)).unwrap()).is_ok());
    assert!(refused_value(serde_json::from_str(&nested(MAX_DEPTH + 1)).unwrap())[0].contains("more than 16 levels"));
    assert!(refused(&nested(10_000))[0].contains("more than 16 levels"), "no stack overflow");
}

#[test]
fn the_place_and_the_kind_of_mistake_are_told_without_quotes() {
    let told = |text: &str| -> Vec<String> { Document::parse(text).unwrap_err().iter().map(DocumentProblem::without_quotes).collect() };
    assert_eq!(told("{\"a\": secret}"), ["line 1, column 7: not valid JSON: expected value"]);
    let twice = "stands twice in one object, and only one of them would count: remove one";
    assert_eq!(
        told("{\"Sid\": \"\", \"Sid\": \"\",\n\"secret\": \"\", \"secret\": \"\"}"),
        [format!("line 1, column 13: the key \"Sid\" {twice}"), format!("line 2, column 15: the key here {twice}")]
    );
    assert!(told("€€")[0].starts_with("line 1, column 1: the character here (2 times) is not allowed"));
    assert!(told(&"[".repeat(20))[0].ends_with("more than 16 levels deep, which no policy does"));
    let number = "this is a number where IAM has a string: quote it, with all its digits, as leading zeros count";
    assert_eq!(told("{\"Statement\": [{\"Principal\": {\"secret\": [1]}}]}"), [format!("Statement[0].Principal.…[0]: {number}")]);
    let condition = with(permissions(), "/Statement/0/Condition", json!({"StringEquals": {"aws:secret": 7}, "StringLike": {"secret": "x"}}));
    let condition = document(condition);
    let found = [condition.changed_by_yaml(), condition.lint(DocumentKind::Permissions)].concat();
    let found: Vec<String> = found.iter().map(DocumentProblem::without_quotes).collect();
    assert_eq!(
        found,
        [
            "Statement[0].Condition.StringEquals.…: quote this number: the operator compares text, and YAML changes numbers such as account ids on the way",
            "Statement[0].Condition.StringLike.…: a condition key has a prefix, as in aws:SourceIp"
        ]
    );
}

#[test]
fn problems_are_bounded_in_number_and_length() {
    let keys: Vec<String> = (0..200).map(|_| format!("\"{}\":0", "k".repeat(90))).collect();
    let problems = refused(&format!("{{\"Condition\":{{{}}}}}", keys.join(",")));
    assert_eq!(problems.len(), MAX_PROBLEMS);
    assert_eq!(problems.last().map(String::as_str), Some("document: 150 more problems are not shown"));
    assert!(problems.iter().all(|problem| problem.len() < 300));
}

/// Each place is found by reading the text up to there: with a place for each, these texts would be read tens of thousands of times.
#[test]
fn a_text_that_consists_of_mistakes_is_read_only_as_often_as_problems_are_shown() {
    let letters: String = ('\u{4e00}'..='\u{9fff}').take(20_000).collect();
    let many_letters = refused(&format!("{{\"Id\": \"{letters}\"}}"));
    let many_keys = refused(&format!("{{{}}}", ["\"a\":{}"; 2_900].join(",")));
    for (problems, more) in [(&many_letters, letters.chars().count() - (MAX_PROBLEMS - 1)), (&many_keys, 2_899 - (MAX_PROBLEMS - 1))] {
        assert_eq!(problems.len(), MAX_PROBLEMS);
        assert_eq!(problems.last(), Some(&format!("document: {more} more problems are not shown")));
    }
    assert!(many_letters[0].starts_with("line 1, column 9: the character '一' (U+4E00)"), "{}", many_letters[0]);
    assert!(many_keys[0].starts_with("line 1, column 9: the key \"a\" stands twice"), "{}", many_keys[0]);
}

#[test]
fn duplicate_sids_are_refused_and_empty_ones_are_not() {
    let statements = |sids: [&str; 3]| json!({"Statement": sids.map(|sid| json!({"Sid": sid}))});
    assert_eq!(refused_value(statements(["A", "B", "A"])), ["Statement[2].Sid: \"A\" is the Sid of Statement[0] already: write another one"]);
    assert_eq!(refused(&statements(["A", "A", "A"]).to_string()).len(), 2);
    assert!(Document::from_value(statements(["", "", "a"])).is_ok());
    assert!(Document::from_value(statements(["a", "A", "b"])).is_ok());
}

#[test]
fn numbers_are_to_be_quoted_except_in_conditions() {
    let value = json!({"Version": 2012, "Statement": [{"Principal": {"AWS": [1234567890]}, "Condition": {"NumericEquals": {"aws:x": 1}}}]});
    let problems = refused_value(value);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems.iter().any(|problem| problem.starts_with("Version: 2012 is a number where IAM has a string: quote it")));
    assert!(problems.iter().any(|problem| problem.starts_with("Statement[0].Principal.AWS[0]: 1234567890 is a number")));
}

#[test]
fn the_linter_finds_each_fault_of_a_permissions_document() {
    let cases = [
        ("/Version", json!("2012-10-18"), "Version"),
        ("/Version", json!(true), "Version"),
        ("/Id", json!([]), "Id"),
        ("/Statements", json!([]), "Statements"),
        ("/Statement", json!([]), "Statement"),
        ("/Statement", Value::Null, "Statement"),
        ("/Statement", json!("x"), "Statement"),
        ("/Statement", json!(["x"]), "Statement[0]"),
        ("/Statement/0/Sid", json!("with space"), "Statement[0].Sid"),
        ("/Statement/0/Effect", json!("allow"), "Statement[0].Effect"),
        ("/Statement/0/Effect", Value::Null, "Statement[0].Effect"),
        ("/Statement/0/effect", json!("Allow"), "Statement[0].effect"),
        ("/Statement/0/Action", Value::Null, "Statement[0]"),
        ("/Statement/0/Action", json!([]), "Statement[0].Action"),
        ("/Statement/0/Action", json!(["s3:*", "ListBuckets"]), "Statement[0].Action[1]"),
        ("/Statement/0/Action", json!({"s3": "*"}), "Statement[0].Action"),
        ("/Statement/0/NotAction", json!("s3:*"), "Statement[0]"),
        ("/Statement/0/Resource", Value::Null, "Statement[0]"),
        ("/Statement/0/Resource", json!("bucket"), "Statement[0].Resource"),
        ("/Statement/0/NotResource", json!("*"), "Statement[0]"),
        ("/Statement/0/Principal", json!("*"), "Statement[0].Principal"),
        ("/Statement/0/NotPrincipal", json!("*"), "Statement[0].NotPrincipal"),
        ("/Statement/0/Condition", json!([]), "Statement[0].Condition"),
        ("/Statement/0/Condition", json!({"StringEqual": {"aws:x": "y"}}), "Statement[0].Condition.StringEqual"),
        ("/Statement/0/Condition", json!({"NullIfExists": {"aws:x": "y"}}), "Statement[0].Condition.NullIfExists"),
        ("/Statement/0/Condition", json!({"StringEquals": "y"}), "Statement[0].Condition.StringEquals"),
        ("/Statement/0/Condition", json!({"StringEquals": {}}), "Statement[0].Condition.StringEquals"),
        ("/Statement/0/Condition", json!({"StringEquals": {"x": "y"}}), "Statement[0].Condition.StringEquals.x"),
        ("/Statement/0/Condition", json!({"StringEquals": {"aws:x": [{}]}}), "Statement[0].Condition.StringEquals.aws:x[0]"),
        ("/Statement/0/Condition", json!({"StringEquals": {"aws:x": [["y"]]}}), "Statement[0].Condition.StringEquals.aws:x[0]"),
        ("/Statement/0/Condition", json!({"NumericEquals": {"aws:x": 1.5}}), "Statement[0].Condition.NumericEquals.aws:x"),
    ];
    for (pointer, value, place) in cases {
        assert_eq!(faults(with(permissions(), pointer, value.clone()), DocumentKind::Permissions), [place], "{pointer} = {value}");
    }
}

#[test]
fn statements_9_and_39_the_linter_finds_each_fault_of_a_trust_document() {
    let aws = |principal: &str| json!({"AWS": [principal]});
    let cases = [
        ("/Statement/Resource", json!("*"), "Statement.Resource"),
        ("/Statement/Principal", Value::Null, "Statement.Principal"),
        ("/Statement/Principal", json!({}), "Statement.Principal"),
        ("/Statement/Principal", json!({"AWS": [], "Service": []}), "Statement.Principal"),
        ("/Statement/Principal", json!("arn:aws:iam::012345678901:root"), "Statement.Principal"),
        ("/Statement/Principal", json!({"aws": "*"}), "Statement.Principal.aws"),
        ("/Statement/Principal", json!({"Service": "*.amazonaws.com"}), "Statement.Principal.Service"),
        ("/Statement/Principal", aws("arn:aws:iam::012345678901:user/*"), "Statement.Principal.AWS[0]"),
        ("/Statement/Principal", aws("arn:aws:s3:::bucket"), "Statement.Principal.AWS[0]"),
        ("/Statement/Principal", aws("AIDAABCDEFGHIJKLMNOP"), "Statement.Principal.AWS[0]"),
        ("/Statement/Principal", aws("12345678901"), "Statement.Principal.AWS[0]"),
        ("/Statement/Principal", aws(""), "Statement.Principal.AWS[0]"),
        ("/Statement/NotPrincipal", aws("*"), "Statement.NotPrincipal"),
    ];
    for (pointer, value, place) in cases {
        assert_eq!(faults(with(trust(), pointer, value.clone()), DocumentKind::Trust), [place], "{pointer} = {value}");
    }
    for principal in [json!("*"), json!({"AWS": ["*", "012345678901"], "Service": []}), json!({"Service": "ec2.amazonaws.com", "Federated": ROLE})] {
        assert_eq!(faults(with(trust(), "/Statement/Principal", principal), DocumentKind::Trust), [""; 0]);
    }
    assert_eq!(faults(permissions(), DocumentKind::Trust), ["Statement[0].Resource", "Statement[0].Principal"]);
    assert_eq!(faults(trust(), DocumentKind::Permissions), ["Statement.Principal", "Statement"], "what a pasted trust policy is told first");
}

#[test]
fn condition_operators_have_prefixes_suffixes_and_any_case() {
    for operator in ["StringEquals", "stringlikeifexists", "ForAnyValue:StringLike", "ForAllValues:ArnLikeIfExists", "Null", "ForAnyValue:Null"] {
        let value = with(permissions(), "/Statement/0/Condition", json!({operator: {"aws:x": "y"}}));
        assert_eq!(faults(value, DocumentKind::Permissions), [""; 0], "{operator}");
    }
}

#[test]
fn statements_13_and_30_warnings() {
    let variable = |version: Value| {
        let statement = json!({"Effect": "Allow", "Action": "iam:*", "Resource": "arn:aws:iam::*:user/${aws:username}"});
        document(with(json!({"Statement": statement}), "/Version", version)).warnings().len()
    };
    assert_eq!([variable(json!("2012-10-17")), variable(json!("2008-10-17")), variable(Value::Null)], [0, 1, 1]);
    let mfa = |effect: &str, operator: &str, value: Value| {
        document(json!({"Statement": {"Effect": effect, "Condition": {operator: {"aws:MultiFactorAuthPresent": value}}}})).warnings().len()
    };
    assert_eq!([mfa("Deny", "Bool", json!("false")), mfa("Deny", "Bool", json!(false)), mfa("Deny", "bool", json!(["False"]))], [1, 1, 1]);
    assert_eq!([mfa("Deny", "BoolIfExists", json!(false)), mfa("Deny", "Bool", json!(true)), mfa("Allow", "Bool", json!(false))], [0, 0, 0]);
}

#[test]
fn generated_documents_are_sound_sorted_and_independent_of_order() {
    let statement = Statement::allow().sid("Grants").principals_aws(["b", "a", "b"]).actions(["sts:TagSession", "sts:AssumeRole"]);
    let statement = statement.condition("StringEquals", "sts:ExternalId", ["x"]).condition("Bool", "aws:MultiFactorAuthPresent", ["true"]);
    let document = Document::new(vec![statement.clone()]);
    let expected = concat!(
        r#"{"Version":"2012-10-17","Statement":[{"Sid":"Grants","Effect":"Allow","Principal":{"AWS":["a","b"]},"#,
        r#""Action":["sts:AssumeRole","sts:TagSession"],"#,
        r#""Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"},"StringEquals":{"sts:ExternalId":"x"}}}]}"#
    );
    assert_eq!((document.to_json().as_str(), document.to_string().as_str()), (expected, expected));
    let again = Statement::allow().actions(["sts:AssumeRole"]).condition("Bool", "aws:MultiFactorAuthPresent", ["true"]);
    let again = again.condition("StringEquals", "sts:ExternalId", ["x"]).principals_aws(["a"]).actions(["sts:TagSession"]);
    assert_eq!(Document::new(vec![again.principals_aws(["b"]).sid("Grants")]).to_json(), expected);
    assert_ne!(Statement::deny().actions(["s3:*"]), Statement::allow().actions(["s3:*"]));
}

#[test]
fn the_builder_writes_what_the_linter_takes() {
    let deny = Statement::deny().actions(["*"]).resources(["*"]);
    let mfa = Statement::deny().not_actions(["iam:ChangePassword"]).resources([ROLE, "arn:aws:s3:::b"]);
    assert_eq!(Document::new(vec![deny, mfa]).lint(DocumentKind::Permissions), []);
    let nobody = Statement::deny().anyone().actions(["sts:AssumeRole"]);
    let services = Statement::allow().principals_service(["ec2.amazonaws.com"]).actions(["sts:AssumeRole"]);
    let providers = Statement::allow().principals_federated(["arn:aws:iam::012345678901:oidc-provider/x"]).actions(["sts:AssumeRoleWithWebIdentity"]);
    let document = Document::new(vec![nobody, services, providers]);
    assert_eq!(document.lint(DocumentKind::Trust), []);
    assert_eq!(aws_principals(&document), ["*"]);
    assert_eq!(document.statements()[1].principals("Service"), ["ec2.amazonaws.com"]);
    let nothing: [&str; 0] = [];
    let empty = Statement::allow().principals_aws(nothing).condition("Bool", "aws:x", nothing).to_value();
    assert_eq!(empty, json!({"Effect": "Allow"}));
}

#[test]
fn statements_answer_whatever_their_shape() {
    let document = document(json!({"Statement": [
        {"Sid": "A", "Effect": "ALLOW", "Principal": "*", "NotAction": ["iam:*"], "NotResource": "arn:aws:s3:::secret/*"},
        {"Effect": "Deny", "Principal": {"AWS": ["x", "y"], "Service": "s"}, "Action": "S3:Get*", "Resource": "arn:aws:s3:::b/?"},
        {"Effect": "None", "NotPrincipal": {"AWS": "z"}, "Condition": {"Bool": {"aws:x": [true, "y", 5]}, "Null": "bad"}},
        "no statement"
    ]}));
    let [first, second, third] = document.statements()[..] else { panic!("{document}") };
    assert_eq!((first.sid(), first.effect(), first.names_everyone()), (Some("A"), Some(Effect::Allow), true));
    assert!(first.covers_action("s3:GetObject") && !first.covers_action("IAM:CreateUser"));
    assert_eq!((second.effect(), second.actions(), second.not_actions()), (Some(Effect::Deny), Some(vec!["S3:Get*"]), None));
    assert!(second.covers_action("s3:getobject"));
    assert!(!second.names_everyone() && second.has_principal() && !third.has_principal());
    assert!(third.effect().is_none() && !third.covers_action("s3:x"));
    let [condition] = &third.conditions()[..] else { panic!("{:?}", third.conditions()) };
    assert_eq!((condition.operator, condition.key, condition.values.join(" ")), ("Bool", "aws:x", "true y 5".to_owned()));
    assert_eq!(aws_principals(&document), ["*", "x", "y"]);
}

#[test]
fn assume_role_is_found_behind_wildcards_and_not_action() {
    let allows =
        |statement: Value| document(json!({"Statement": [{"Effect": "Deny", "Action": "*"}, statement]})).allowing_assume_role().next().is_some();
    for action in ["*", "*:*", "sts:*", "STS:assumerole", "s?s:Assume*", "*AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoo?"] {
        assert!(allows(json!({"Effect": "Allow", "Action": ["s3:Get*", action], "Resource": "*"})), "{action}");
    }
    for action in ["sts:TagSession", "sts:SetSourceIdentity", "sts:Get*", "sts:AssumeRol", "s3:*", ""] {
        assert!(!allows(json!({"Effect": "Allow", "Action": action, "Resource": "*"})), "{action}");
    }
    assert!(allows(json!({"Effect": "allow", "Action": "sts:AssumeRole"})), "spelling does not hide it");
    assert!(allows(json!({"Effect": "Allow", "NotAction": ["iam:*"]})));
    assert!(allows(json!({"Effect": "Allow", "NotAction": ["sts:AssumeRole"]})), "the variants are still allowed");
    assert!(!allows(json!({"Effect": "Allow", "NotAction": ["iam:*", "sts:Assume*"]})));
    assert!(!allows(json!({"Effect": "Deny", "NotAction": "iam:*"})));
}

#[test]
fn all_statements_deny_only_where_there_are_some_and_all_do() {
    let denies = |statements: Value| document(json!({"Statement": statements})).all_statements_deny();
    let [deny, allow] = ["Deny", "Allow"].map(|effect| json!({"Effect": effect, "Action": "*"}));
    assert!(denies(json!([deny, deny])) && denies(deny.clone()));
    for statements in [json!([]), json!([deny, allow]), json!([deny, {}]), json!([deny, {"Effect": "Deny"}]), json!([deny, 1.5])] {
        // A number has no place outside of conditions: the document is refused, which is as good.
        assert!(!Document::from_value(json!({"Statement": statements})).is_ok_and(|document| document.all_statements_deny()));
    }
    assert!(!denies(json!([deny, "x"])) && !document(json!({})).all_statements_deny());
}

#[test]
fn of_what_has_another_shape_than_those_of_the_language_nobody_knows_what_it_says() {
    assert!(document(permissions()).is_understood() && document(trust()).is_understood());
    for known in [
        ("/Id", json!("x")),
        ("/Statement/Effect", json!("ALLOW")),
        ("/Statement/Principal", json!("*")),
        ("/Statement/Principal", json!({"AWS": ["*"], "CanonicalUser": "x"})),
        ("/Statement/Resource", json!(["*"])),
        ("/Statement/Condition", json!({})),
        ("/Statement/Condition", json!({"Unheard": {"of": [1, true, "x"]}})),
    ] {
        assert!(document(with(trust(), known.0, known.1.clone())).is_understood(), "{known:?}");
    }
    for (pointer, value) in [
        ("/Statement", Value::Null),
        ("/Statement", json!([])),
        ("/Statement", json!("x")),
        ("/Statement", json!([trust()["Statement"], "x"])),
        ("/Statement", json!({})),
        ("/Statements", json!([])),
        ("/Statement/Effect", Value::Null),
        ("/Statement/Effect", json!("Perhaps")),
        ("/Statement/Effect", json!(["Allow"])),
        ("/Statement/Action", Value::Null),
        ("/Statement/Action", json!({"sts": "AssumeRole"})),
        ("/Statement/Action", json!(["sts:AssumeRole", true])),
        ("/Statement/NotAction", json!("s3:*")),
        ("/Statement/Sid", json!([])),
        ("/Statement/Principal", json!("arn:aws:iam::012345678901:root")),
        ("/Statement/Principal", json!(["*"])),
        ("/Statement/Principal", json!({"Everybody": "x"})),
        ("/Statement/Principal", json!({"AWS": {"x": "y"}})),
        ("/Statement/NotPrincipal", json!({"AWS": "x"})),
        ("/Statement/Condition", json!([])),
        ("/Statement/Condition", json!({"Bool": "x"})),
        ("/Statement/Condition", json!({"Bool": {"aws:x": [[]]}})),
        ("/Statement/Unless", json!("x")),
    ] {
        let odd = document(with(trust(), pointer, value.clone()));
        assert!(!odd.is_understood() && odd.may_deny() && !odd.all_statements_deny(), "{pointer} = {value}");
    }
}

#[test]
fn what_an_account_has_is_there_whatever_it_is() {
    let text = permissions().to_string();
    assert_eq!(Document::read(&crate::encoding::encode(&text)), document(permissions()));
    for (encoded, size) in [("", 0), ("no%20JSON", 7), ("%7B%2", 5), ("%FF", 3), ("[]", 2), ("%22x%22", 3), ("{\"Id\": 1}", 9), ("é", 1)] {
        let read = Document::read(encoded);
        assert!(!read.is_understood() && read.may_deny() && read.statements().is_empty(), "{encoded}");
        assert_eq!((read.size(), read.surely_takes()), (size, 0), "{encoded}: what is shown has a size, and leaves no room that is sure");
        assert!(!crate::canonical::same(&read, &document(json!({}))) && !crate::canonical::same(&read, &Document::read("other")), "{encoded}");
        assert!(crate::canonical::same(&read, &Document::read(encoded)), "{encoded}");
    }
    assert_eq!(document(permissions()).surely_takes(), document(permissions()).size());
    assert_eq!(
        Document::unreadable(&"é".repeat(MAX_TEXT_BYTES)).size(),
        MAX_TEXT_BYTES / 2,
        "of what is longer than any document only the beginning is kept"
    );
}

#[test]
fn documents_travel_as_json_objects() {
    let document: Document = serde_json::from_value(permissions()).unwrap();
    assert_eq!(serde_json::to_string(&document).unwrap(), document.to_json());
    let error = serde_json::from_value::<Document>(json!({"Version": 1, "Id": 2})).unwrap_err().to_string();
    assert!(error.contains("Version: 1 is") && error.contains("Id: 2 is"), "{error}");
}

#[test]
fn wildcards() {
    for (pattern, text) in
        [("", ""), ("*", ""), ("*", "a/b:c"), ("a*c", "abc"), ("a*c", "ac"), ("?", "é"), ("a?c*", "abc"), ("*a*b", "aab"), ("**", "x")]
    {
        assert!(wildcard_match(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in [("", "a"), ("?", ""), ("a", "A"), ("a*c", "abcd"), ("?", "ab"), ("*ab", "aba"), ("a", "ab"), ("ab", "a")] {
        assert!(!wildcard_match(pattern, text), "{pattern} {text}");
    }
    assert!(wildcard_match_ignore_case("STS:a*", "sts:AssumeRole") && !wildcard_match_ignore_case("é", "É"));
    // Exponential in a naive matcher.
    assert!(!wildcard_match(&"a*".repeat(200), &"a".repeat(2000).replace("aaaa", "aaab")[..1999].replace('a', "ba")));
}

/// What wildcards mean, in the plainest words.
fn matches_by_definition(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|skipped| matches_by_definition(rest, &text[skipped..])),
        [first, rest @ ..] => text.first().is_some_and(|found| *first == '?' || first == found) && matches_by_definition(rest, &text[1..]),
    }
}

/// Any JSON value that a document may hold somewhere, conditions included.
fn json_value() -> impl Strategy<Value = Value> {
    let text = "[ -~¡-ÿ\t\n]{0,8}";
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), text.prop_map(Value::from)];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text, inner, 0..4).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn wildcards_mean_what_they_say(pattern in "[ab*?]{0,7}", text in "[abc]{0,9}") {
        let expected = matches_by_definition(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
        prop_assert_eq!(wildcard_match(&pattern, &text), expected);
        prop_assert_eq!(wildcard_match_ignore_case(&pattern.to_uppercase(), &text), expected);
    }

    #[test]
    fn nothing_is_lost_between_text_and_model(members in prop::collection::btree_map("[A-Z][a-z+%\" ]{0,6}", json_value(), 0..5)) {
        let value = Value::Object(members.into_iter().collect());
        let document = Document::from_value(value.clone()).unwrap();
        let text = document.to_json();
        prop_assert_eq!(document.size(), text.chars().count());
        let parsed = Document::parse(&text).unwrap();
        prop_assert_eq!(parsed.as_value(), &value);
        prop_assert_eq!(parsed.to_json(), text.clone());
        let pretty = Document::parse(&serde_json::to_string_pretty(&value).unwrap()).unwrap();
        prop_assert_eq!(&pretty, &document);
        let received = crate::encoding::decode_document(&crate::encoding::encode(&text)).unwrap();
        prop_assert_eq!(Document::parse(&received), Ok(document));
    }

    #[test]
    fn no_text_is_fatal(text in "[\\[\\]{}\",:0-9a-zé\\\\u€\n -]{0,60}") {
        match Document::parse(&text) {
            Ok(document) => prop_assert!(document.as_value().is_object()),
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }

    #[test]
    fn no_shape_is_fatal(mut value in json_value(), statement in json_value(), element in json_value(), kind in any::<bool>()) {
        if let Some(object) = value.as_object_mut() {
            let names = ["Effect", "Action", "NotAction", "Resource", "Principal", "NotPrincipal", "Condition"];
            let shaped: Value = names.into_iter().map(|name| (name.to_owned(), element.clone())).collect::<Map<_, _>>().into();
            object.insert("Statement".to_owned(), json!([statement, shaped]));
        }
        if let Ok(document) = Document::from_value(value) {
            let kind = if kind { DocumentKind::Trust } else { DocumentKind::Permissions };
            prop_assert!(!document.lint(kind).is_empty(), "nothing of this is sound");
            prop_assert!(document.warnings().iter().all(|warning| !warning.to_string().is_empty()));
            prop_assert!(document.allowing_assume_role().next().is_none() && !document.all_statements_deny());
            let principals = aws_principals(&document);
            prop_assert!(principals.iter().all(|principal| document.to_json().contains(&*Value::from(*principal).to_string())));
        }
    }
}

#[test]
fn resources_of_another_partition_are_told_with_what_to_write_and_wildcards_are_left_to_iam() {
    let resources = |resource: Value| json!([{"Effect": "Allow", "Action": "s3:*", "Resource": resource}]);
    let told = |statements: Value, partition: &str| {
        let document = document(json!({"Version": "2012-10-17", "Statement": statements}));
        document.elsewhere(&partition.parse().unwrap()).iter().map(|problem| (problem.to_string(), problem.without_quotes())).collect::<Vec<_>>()
    };
    let (full, without) = told(resources(json!(["arn:aws:s3:::a", "arn:aws-cn:s3:::b/*"])), "aws").remove(0);
    assert_eq!(full, r#"Statement[0].Resource: "arn:aws-cn:s3:::b/*" is of the wrong partition: write "arn:aws:s3:::b/*""#);
    assert_eq!(without, "Statement[0].Resource: the ARN is of the wrong partition: write that of the account into it");
    let not = json!([{"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:s3:::a"}]);
    assert!(told(not.clone(), "aws-us-gov").remove(0).0.starts_with("Statement[0].NotResource: "));
    for unfilled in ["arn:${Partition}:s3:::a", "arn:1"] {
        assert_eq!(told(resources(json!(unfilled)), "aws").len(), 1, "{unfilled}");
    }
    for sound in
        [json!("*"), json!("arn:aws*:s3:::a"), json!("arn:*"), json!("arn:*:s3:::a"), json!("arn:a?s:s3:::a"), json!(["arn:aws:s3:::arn:aws-cn:x"])]
    {
        assert_eq!(told(resources(sound.clone()), "aws"), [], "{sound}");
    }
    assert_eq!(told(not, "aws"), []);
}
