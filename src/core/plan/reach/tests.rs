#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};

use super::*;

fn document(statement: Value) -> Document {
    Document::from_value(json!({"Version": "2012-10-17", "Statement": [statement]})).expect("a document")
}

/// What statements that allow are about.
fn reach(actions: &[&str], resources: &[&str]) -> Reach {
    let document = document(json!({"Effect": "Allow", "Action": actions, "Resource": resources}));
    Says::of(&document).expect("it can be read").allowed().pop_first().unwrap()
}

fn but(actions: &[&str], resources: &[&str]) -> Reach {
    let document = document(json!({"Effect": "Allow", "NotAction": actions, "NotResource": resources}));
    Says::of(&document).expect("it can be read").allowed().pop_first().unwrap()
}

/// Whether the two meet, from whichever side.
fn meets(one: &Reach, other: &Reach) -> bool {
    let (one, other) = (std::slice::from_ref(one), std::slice::from_ref(other));
    let effort = Effort::default();
    assert_eq!(meet(one, other, &effort), meet(other, one, &effort));
    meet(one, other, &effort)
}

/// What of one the others do not reach.
fn beyond_of(one: &Reach, others: &[Reach]) -> Vec<Reach> {
    beyond([one], &others.iter().cloned().collect(), &Effort::default())
}

#[test]
fn what_is_about_the_same_meets_and_in_doubt_it_does() {
    let gets = reach(&["s3:Get*"], &["arn:aws:s3:::a/*"]);
    for other in [reach(&["S3:GETOBJECT"], &["*"]), reach(&["*"], &["arn:aws:s3:::?/x"]), but(&["ec2:*"], &["arn:aws:s3:::b/*"]), but(&[], &[])] {
        assert!(meets(&gets, &other), "{other:?}");
    }
    for other in [reach(&["s3:Put*"], &["*"]), reach(&["s3:*"], &["arn:aws:s3:::b/*"]), but(&["s3:*"], &[]), but(&[], &["arn:aws:s3:::*"])] {
        assert!(!meets(&gets, &other), "{other:?}");
    }
    assert!(meets(&but(&["s3:*"], &[]), &but(&["ec2:*"], &[])), "all but some and all but others");
}

#[test]
fn what_is_beyond_others_is_told_by_action_and_resource() {
    let some = reach(&["s3:GetObject", "s3:PutObject"], &["a", "b"]);
    let beyond = |others: &[Reach]| beyond_of(&some, others);
    assert_eq!(beyond(&[reach(&["s3:*"], &["*"])]), []);
    assert_eq!(beyond(&[reach(&["s3:*"], &["a"])]), [reach(&["s3:GetObject", "s3:PutObject"], &["b"])]);
    assert_eq!(beyond(&[reach(&["s3:Get*"], &["*"])]), [reach(&["s3:PutObject"], &["a", "b"])]);
    let corner = beyond(&[reach(&["s3:GetObject"], &["a"])]);
    assert_eq!(corner, [reach(&["s3:GetObject", "s3:PutObject"], &["b"]), reach(&["s3:PutObject"], &["a"])]);
    assert_eq!(without(&some, &corner, &Effort::default()), [reach(&["s3:GetObject"], &["a"])]);
    assert_eq!(beyond(&[reach(&["ec2:*"], &["*"]), reach(&["s3:*"], &["c"])]), std::slice::from_ref(&some));
    assert_eq!(beyond(&[but(&["s3:PutObject"], &["a"])]), [reach(&["s3:GetObject", "s3:PutObject"], &["a"]), reach(&["s3:PutObject"], &["b"])]);
}

#[test]
fn conditions_count_where_something_is_to_cover_and_not_where_it_is_to_meet() {
    let with = |value: &str| {
        let statement = json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"Bool": {"aws:MultiFactorAuthPresent": value}}});
        Says::of(&document(statement)).expect("it can be read").allowed().pop_first().unwrap()
    };
    let always = reach(&["s3:*"], &["*"]);
    assert_eq!(beyond_of(&with("true"), std::slice::from_ref(&always)), []);
    assert_eq!(beyond_of(&always, &[with("true")]), [always]);
    assert_eq!(beyond_of(&with("true"), &[with("false")]), [with("true")]);
    assert!(meets(&with("true"), &with("false")));
}

#[test]
fn what_would_take_too_long_to_compare_is_in_doubt_unless_it_is_the_same() {
    let (gets, puts, all) = (reach(&["s3:Get*"], &["*"]), reach(&["s3:Put*"], &["*"]), reach(&["s3:*"], &["*"]));
    let tired = || {
        let effort = Effort::default();
        assert!(effort.spend(MOST_EFFORT - 10) && !effort.is_spent());
        effort
    };
    assert!(meet(std::slice::from_ref(&gets), std::slice::from_ref(&puts), &tired()));
    assert_eq!(beyond([&gets, &puts], &[all.clone(), puts.clone()].into(), &tired()), std::slice::from_ref(&gets));
    assert_eq!(without(&gets, &[], &tired()), std::slice::from_ref(&gets));
    assert_eq!(without(&gets, &[puts], &tired()), [], "what may be taken away is not left");
    let of_one_service = |service: &str| {
        let actions: Vec<String> = (0..300).map(|number| format!("{service}:{number}*")).collect();
        reach(&actions.iter().map(String::as_str).collect::<Vec<_>>(), &["*"])
    };
    assert!(!meets(&of_one_service("s3"), &of_one_service("ec2")), "what begins otherwise is quickly told apart");
}

#[test]
fn what_is_left_of_a_statement_is_written_as_it_stands_there() {
    let document = document(json!({"Effect": "Allow", "Action": ["s3:GetObject", "S3:PutObject"], "Resource": "*", "Sid": "Here"}));
    let says = Says::of(&document).expect("it can be read");
    let (statement, whole) = &says.permissions[0];
    let left = without(whole, &[reach(&["s3:getobject"], &["*"])], &Effort::default());
    assert_eq!(
        left.iter().map(|left| left.written(*statement)).collect::<Vec<_>>(),
        [json!({"Effect": "Allow", "Action": "S3:PutObject", "Resource": "*", "Sid": "Here"})]
    );
}

#[test]
fn of_what_is_not_of_iams_form_nothing_is_known() {
    assert!(Says::of(&Document::unreadable("")).is_none());
    for statement in [
        json!({"Effect": "Maybe", "Action": "*", "Resource": "*"}),
        json!({"Effect": "Allow", "Action": "*"}),
        json!({"Effect": "Allow", "Resource": "*"}),
    ] {
        assert!(Says::of(&document(statement)).is_none());
    }
}
