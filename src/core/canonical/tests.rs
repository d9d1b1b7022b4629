//! Tests of semantic equality.

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::encoding::{decode_document, encode};

const ACCOUNT: &str = "012345678901";

fn document(value: Value) -> Document {
    Document::from_value(value).unwrap()
}

/// A document of one statement.
fn one(statement: Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": [statement]})
}

fn condition(condition: Value) -> Value {
    one(json!({"Effect": "Allow", "Condition": condition}))
}

fn principal(principal: Value) -> Value {
    one(json!({"Effect": "Allow", "Principal": principal}))
}

fn check(a: Value, b: Value, expected: bool) {
    let (left, right) = (document(a), document(b));
    assert_eq!((same(&left, &right), same(&right, &left)), (expected, expected), "{left} {right}");
}

#[test]
fn statements_8_and_12_what_iam_ignores_makes_no_difference() {
    let allow = json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*"});
    let deny = json!({"Effect": "Deny", "Action": "iam:*", "Resource": "*"});
    check(json!({"Statement": allow}), json!({"Statement": [allow]}), true);
    check(json!({"Statement": [allow, deny]}), json!({"Statement": [deny, allow]}), true);
    check(json!({"Statement": [allow]}), json!({"Version": "2008-10-17", "Statement": [allow]}), true);
    check(one(json!({"Effect": "allow"})), one(json!({"Effect": "Allow"})), true);
    for element in ["Action", "NotAction", "Resource", "NotResource"] {
        check(one(json!({element: "s3:a"})), one(json!({element: ["s3:a"]})), true);
        check(one(json!({element: ["s3:a", "s3:b"]})), one(json!({element: ["s3:b", "s3:a", "s3:b"]})), true);
    }
    check(one(json!({"Action": "s3:getobject"})), one(json!({"Action": "S3:GetObject"})), true);
    check(principal(json!({"AWS": "x", "Service": []})), principal(json!({"AWS": ["x"]})), true);
    check(principal(json!("*")), principal(json!({"AWS": "*"})), true);
    let root = |partition: &str| principal(json!({"AWS": format!("arn:{partition}:iam::{ACCOUNT}:root")}));
    check(principal(json!({"AWS": ACCOUNT})), root("aws"), true);
    check(principal(json!({"AWS": ACCOUNT})), root("aws-us-gov"), true);
    check(condition(json!({"Bool": {"aws:x": true}})), condition(json!({"bool": {"AWS:X": ["true"]}})), true);
    check(condition(json!({"NumericEquals": {"aws:x": [1, 2]}})), condition(json!({"NumericEquals": {"aws:x": ["2", "1", 1]}})), true);
    check(condition(json!({})), one(json!({"Effect": "Allow"})), true);
    check(condition(json!({"Bool": {}})), one(json!({"Effect": "Allow"})), true);
}

#[test]
fn statement_12_all_else_makes_a_difference() {
    let allow = json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*"});
    check(json!({"Statement": [allow]}), json!({"Statement": [allow, allow]}), false);
    check(json!({"Statement": [allow]}), json!({"Version": "2012-10-17", "Statement": [allow]}), false);
    check(json!({"Statement": [allow]}), json!({"Id": "x", "Statement": [allow]}), false);
    check(one(json!({"Sid": "a"})), one(json!({"Sid": "A"})), false);
    check(one(json!({"Sid": "a"})), one(json!({})), false);
    check(one(json!({"Effect": "Allow"})), one(json!({"Effect": "Deny"})), false);
    check(one(json!({"Action": "s3:a"})), one(json!({"NotAction": "s3:a"})), false);
    check(one(json!({"Action": "s3:a"})), one(json!({"Action": ["s3:a", "s3:b"]})), false);
    check(one(json!({"Action": []})), one(json!({})), false);
    check(one(json!({"Resource": "arn:aws:s3:::a"})), one(json!({"Resource": "arn:aws:s3:::A"})), false);
    check(one(json!({"Resource": "a"})), one(json!({"NotResource": "a"})), false);
    check(principal(json!({"AWS": "x"})), principal(json!({"Service": "x"})), false);
    check(principal(json!({"AWS": "x"})), one(json!({"Effect": "Allow", "NotPrincipal": {"AWS": "x"}})), false);
    check(principal(json!({"AWS": []})), one(json!({"Effect": "Allow"})), false);
    check(principal(json!({"AWS": ACCOUNT})), principal(json!({"AWS": "012345678902"})), false);
    check(principal(json!({"AWS": ACCOUNT})), principal(json!({"AWS": format!("arn:aws:iam::{ACCOUNT}:user/root")})), false);
    check(principal(json!({"AWS": format!("arn:aws:iam:r:{ACCOUNT}:root")})), principal(json!({"AWS": ACCOUNT})), false);
    check(principal(json!({"Federated": ACCOUNT})), principal(json!({"Federated": format!("arn:aws:iam::{ACCOUNT}:root")})), false);
    let user = |name: &str| principal(json!({"AWS": format!("arn:aws:iam::{ACCOUNT}:user/{name}")}));
    check(user("a"), user("A"), false);
    check(user("a"), principal(json!({"AWS": "AIDAABCDEFGHIJKLMNOP"})), false);
    check(one(json!({"Resource": ACCOUNT})), one(json!({"Resource": format!("arn:aws:iam::{ACCOUNT}:root")})), false);
    check(condition(json!({"Bool": {"aws:x": true}})), condition(json!({"Bool": {"aws:x": false}})), false);
    check(condition(json!({"Bool": {"aws:x": true}})), condition(json!({"BoolIfExists": {"aws:x": true}})), false);
    check(condition(json!({"StringEquals": {"aws:x": "a"}})), condition(json!({"StringEquals": {"aws:x": "A"}})), false);
    check(condition(json!({"StringEquals": {"aws:x": "a"}})), condition(json!({"StringEquals": {"aws:x": ["a", "b"]}})), false);
    check(condition(json!({"StringEquals": {"aws:x": []}})), one(json!({"Effect": "Allow"})), false);
    let tag = |key: &str| condition(json!({"StringEquals": {key: "a"}}));
    check(tag("aws:PrincipalTag/team"), tag("aws:PrincipalTag/Team"), false);
    check(tag("aws:PrincipalTag/team"), tag("AWS:principaltag/team"), true);
    let twice = json!({"StringEquals": {"aws:x": "a"}, "stringequals": {"aws:x": "b"}});
    check(condition(twice), condition(json!({"StringEquals": {"aws:x": "b"}})), false);
}

#[test]
fn what_is_no_policy_counts_as_written() {
    check(one(json!({"x": {"a": 1.to_string(), "b": ["c"]}})), one(json!({"x": {"b": ["c"], "a": "1"}})), true);
    check(one(json!({"x": ["c", "d"]})), one(json!({"x": ["d", "c"]})), false);
    check(one(json!({"action": "s3:a"})), one(json!({"Action": "s3:a"})), false);
    check(one(json!({"Action": ["a", null]})), one(json!({"Action": ["a"]})), false);
    check(json!({"Statement": ["x"]}), json!({"Statement": []}), false);
    check(json!({"Statement": ["x"]}), json!({"Statement": [{}]}), false);
    check(condition(json!({"Bool": {"aws:x": [null]}})), condition(json!({"Bool": {"aws:x": []}})), false);
    check(one(json!({"Effect": "\"x\""})), one(json!({"Effect": null})), false);
    check(one(json!({"Sid": "null"})), one(json!({"Sid": null})), false);
}

/// What a document says, apart from how it says it: two of these are equal exactly where they mean the same.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Meaning {
    is_2012: bool,
    id: Option<String>,
    /// Sorted.
    statements: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    sid: Option<String>,
    allow: bool,
    /// Kinds with their names; an account by its id.
    principals: Option<BTreeMap<String, BTreeSet<String>>>,
    not_action: bool,
    actions: BTreeSet<String>,
    resources: BTreeSet<String>,
    conditions: BTreeMap<(String, String), BTreeSet<String>>,
}

fn rule() -> impl Strategy<Value = Rule> {
    let texts = |pattern| prop::collection::btree_set(pattern, 1..4);
    let aws = texts("\\*|[0-9]{12}|arn:aws:iam::[0-9]{12}:(user|role)/[A-Za-z+=,.@_-]{1,4}|AIDA[A-Z]{16}");
    let principals = prop::collection::btree_map("Service|Federated", texts("[a-z]{1,3}\\.com"), 0..2).prop_flat_map(move |other| {
        aws.clone().prop_map(move |names| {
            let mut both = other.clone();
            both.insert("AWS".to_owned(), names);
            both
        })
    });
    let conditions = prop::collection::btree_map(
        ("(foranyvalue:)?(stringlike|bool)(ifexists)?", "aws:(a|b|c/[a-zA-Z]{2})"),
        prop::collection::btree_set("[a-zA-Z+%é]{1,3}|true|false|[1-9][0-9]{0,3}", 0..4),
        0..3,
    );
    let sets = (texts("(s3|iam):[a-z*?]{1,4}"), texts("arn:aws:s3:::[a-zA-Z+%*]{1,4}"));
    (any::<bool>(), prop::option::of(principals), any::<bool>(), sets, conditions).prop_map(|(allow, principals, not_action, sets, conditions)| {
        Rule { sid: None, allow, principals, not_action, actions: sets.0, resources: sets.1, conditions }
    })
}

fn meaning() -> impl Strategy<Value = Meaning> {
    let with_sids = prop::collection::vec((rule(), any::<bool>()), 0..4).prop_map(|rules| {
        let named = rules.into_iter().enumerate().map(|(index, (rule, named))| Rule { sid: named.then(|| format!("Sid{index}")), ..rule });
        let mut rules: Vec<Rule> = named.collect();
        rules.sort();
        rules
    });
    (any::<bool>(), prop::option::of("[a-zA-Z]{0,3}"), with_sids).prop_map(|(is_2012, id, statements)| Meaning { is_2012, id, statements })
}

/// One of many ways to say the same: a source of choices, all made by one number so that a failure can be repeated.
struct Voice(u64);

impl Voice {
    /// A number below `bound` (Knuth's linear congruential generator; the high bits are good enough here).
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 40).unwrap() % bound
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 1
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    fn any_case(&mut self, text: &str) -> String {
        text.chars().map(|character| if self.coin() { character.to_ascii_uppercase() } else { character.to_ascii_lowercase() }).collect()
    }

    /// A set as a list in any order with some entries repeated, or as a scalar.
    fn list(&mut self, texts: &BTreeSet<String>, mut write: impl FnMut(&mut Self, &str) -> Value) -> Value {
        let mut items: Vec<Value> = texts.iter().map(|text| write(self, text)).collect();
        if items.len() == 1 && self.coin() {
            return items.remove(0);
        }
        for text in texts {
            if self.below(4) == 0 {
                items.push(write(self, text));
            }
        }
        self.shuffle(&mut items);
        items.into()
    }

    fn principal(&mut self, principals: &BTreeMap<String, BTreeSet<String>>) -> Value {
        let everyone = BTreeMap::from([("AWS".to_owned(), BTreeSet::from(["*".to_owned()]))]);
        if *principals == everyone && self.coin() {
            return "*".into();
        }
        let mut kinds = Map::new();
        for (kind, names) in principals {
            let names = self.list(names, |voice, name| {
                let is_account = kind == "AWS" && name.len() == ACCOUNT.len() && name.bytes().all(|byte| byte.is_ascii_digit());
                if is_account && voice.coin() { format!("arn:aws:iam::{name}:root").into() } else { name.into() }
            });
            kinds.insert(kind.clone(), names);
        }
        if self.coin() {
            kinds.entry("CanonicalUser").or_insert_with(|| json!([]));
        }
        kinds.into()
    }

    fn condition(&mut self, conditions: &BTreeMap<(String, String), BTreeSet<String>>) -> Value {
        let mut operators: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for ((operator, key), values) in conditions {
            let key = match key.split_once('/') {
                Some((name, tag)) => format!("{}/{tag}", self.any_case(name)),
                None => self.any_case(key),
            };
            let values = self.list(values, |voice, text| match serde_json::from_str(text) {
                Ok(unquoted) if voice.coin() => unquoted,
                _ => text.into(),
            });
            operators.entry(operator).or_default().insert(key, values);
        }
        operators.into_iter().map(|(operator, keys)| (self.any_case(operator), keys.into())).collect::<Map<_, _>>().into()
    }

    fn statement(&mut self, rule: &Rule) -> Value {
        let mut object = Map::new();
        if let Some(sid) = &rule.sid {
            object.insert("Sid".to_owned(), sid.as_str().into());
        }
        object.insert("Effect".to_owned(), self.any_case(if rule.allow { "Allow" } else { "Deny" }).into());
        if let Some(principals) = &rule.principals {
            object.insert("Principal".to_owned(), self.principal(principals));
        }
        let action = if rule.not_action { "NotAction" } else { "Action" };
        object.insert(action.to_owned(), self.list(&rule.actions, |voice, action| voice.any_case(action).into()));
        object.insert("Resource".to_owned(), self.list(&rule.resources, |_, resource| resource.into()));
        if !rule.conditions.is_empty() || self.coin() {
            object.insert("Condition".to_owned(), self.condition(&rule.conditions));
        }
        object.into()
    }

    fn say(&mut self, meaning: &Meaning) -> Document {
        let mut object = Map::new();
        if meaning.is_2012 {
            object.insert("Version".to_owned(), "2012-10-17".into());
        } else if self.coin() {
            object.insert("Version".to_owned(), "2008-10-17".into());
        }
        if let Some(id) = &meaning.id {
            object.insert("Id".to_owned(), id.as_str().into());
        }
        let mut statements: Vec<Value> = meaning.statements.iter().map(|rule| self.statement(rule)).collect();
        self.shuffle(&mut statements);
        let alone = statements.len() == 1 && self.coin();
        object.insert("Statement".to_owned(), if alone { statements.remove(0) } else { statements.into() });
        document(object.into())
    }
}

/// Changes the meaning in one small thing; `kind` picks which, as far as there is such a thing.
fn changed(meaning: &Meaning, kind: usize, voice: &mut Voice) -> Meaning {
    let mut changed = meaning.clone();
    let count = changed.statements.len();
    match kind {
        0 => changed.is_2012 = !changed.is_2012,
        1 => changed.id = Some(format!("{}x", changed.id.unwrap_or_default())),
        _ if count == 0 => changed.is_2012 = !changed.is_2012,
        2 => {
            changed.statements.remove(voice.below(count));
        }
        3 => {
            let again = changed.statements[voice.below(count)].clone();
            // Two statements of one Sid are no document.
            changed.statements.push(Rule { sid: again.sid.map(|sid| format!("{sid}Again")), ..again });
        }
        _ => change_rule(&mut changed.statements[voice.below(count)], kind),
    }
    changed.statements.sort();
    changed
}

fn change_rule(rule: &mut Rule, kind: usize) {
    match kind {
        4 => rule.sid = Some(format!("{}New", rule.sid.take().unwrap_or_default())),
        5 => rule.not_action = !rule.not_action,
        6 => {
            rule.actions.insert("sts:assumerole".to_owned());
        }
        7 => {
            rule.resources.pop_first();
        }
        8 => rule.resources = rule.resources.iter().map(|resource| format!("{resource}X")).collect(),
        9 => match &mut rule.principals {
            Some(principals) => {
                principals.entry("AWS".to_owned()).or_default().insert("arn:aws:iam::999999999999:user/intruder".to_owned());
            }
            none => *none = Some(BTreeMap::from([("AWS".to_owned(), BTreeSet::from(["*".to_owned()]))])),
        },
        10 => rule.principals = rule.principals.is_none().then(BTreeMap::new),
        11 => {
            rule.conditions.insert(("bool".to_owned(), "aws:securetransport".to_owned()), BTreeSet::from(["true".to_owned()]));
        }
        12 if !rule.conditions.is_empty() => {
            rule.conditions.pop_first();
        }
        13 if !rule.conditions.is_empty() => {
            for values in rule.conditions.values_mut() {
                values.insert("one more".to_owned());
            }
        }
        _ => rule.allow = !rule.allow,
    }
}

/// How many kinds of changes there are.
const CHANGES: usize = 15;

proptest! {
    #[test]
    fn statement_12_a_document_equals_every_other_way_to_say_the_same(meaning in meaning(), seeds in any::<[u64; 3]>()) {
        let [a, b, c] = seeds.map(|seed| Voice(seed).say(&meaning));
        prop_assert!(same(&a, &a));
        prop_assert!(same(&a, &b) && same(&b, &a), "{a} {b}");
        prop_assert!(same(&b, &c) && same(&a, &c), "{a} {b} {c}");
        prop_assert_eq!(Canonical::of(&a), Canonical::of(&c));
    }

    #[test]
    fn statement_12_a_document_differs_from_every_other_meaning(meaning in meaning(), kind in 0..CHANGES, seeds in any::<[u64; 3]>()) {
        let other = changed(&meaning, kind, &mut Voice(seeds[0]));
        prop_assert_ne!(&other, &meaning);
        let (a, b) = (Voice(seeds[1]).say(&meaning), Voice(seeds[2]).say(&other));
        prop_assert!(!same(&a, &b) && !same(&b, &a), "{a} {b}");
        prop_assert_ne!(Canonical::of(&a).cmp(&Canonical::of(&b)), std::cmp::Ordering::Equal);
    }

    #[test]
    fn unrelated_documents_are_equal_exactly_where_their_meanings_are(a in meaning(), b in meaning(), seeds in any::<[u64; 2]>()) {
        prop_assert_eq!(same(&Voice(seeds[0]).say(&a), &Voice(seeds[1]).say(&b)), a == b);
    }

    #[test]
    fn statement_11_the_way_through_iam_changes_nothing(meaning in meaning(), seed in any::<u64>()) {
        let document = Voice(seed).say(&meaning);
        let received = Document::parse(&decode_document(&encode(&document.to_json())).unwrap()).unwrap();
        prop_assert_eq!(&received, &document);
        prop_assert!(same(&received, &document));
    }
}
