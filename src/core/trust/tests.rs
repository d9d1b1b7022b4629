use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;

use super::*;
use crate::names::AccountID;

const ALICE: &str = "arn:aws:iam::111111111111:user/alice";
const BOB: &str = "arn:aws:iam::111111111111:user/bob";
const ROOT: &str = "arn:aws:iam::111111111111:root";
const OTHER_ROOT: &str = "arn:aws:iam::222222222222:root";

fn aws(name: &str) -> Principal {
    Principal::AWS(name.into())
}

fn plain(name: &str) -> TrustRule {
    TrustRule::plain(aws(name))
}

fn under(name: &str, conditions: Conditions) -> TrustRule {
    TrustRule { conditions, ..plain(name) }
}

fn mfa() -> Conditions {
    Conditions::default().with("Bool", "aws:MultiFactorAuthPresent", ["true"])
}

/// The account of the roles whose trust policies are read here.
fn own() -> AccountID {
    "333333333333".parse().expect("an account ID")
}

#[test]
fn statements_36_and_38_the_root_of_the_own_account_is_less_than_a_name_in_it() {
    let named = |name: &str| Principal::named(name, &own());
    let (root, id) = (named("arn:aws:iam::333333333333:root"), named("333333333333"));
    let (user, role) = (named("arn:aws:iam::333333333333:user/alice"), named("arn:aws:iam::333333333333:role/a/reader"));
    for account in [&root, &id] {
        assert!(account.is_account() && account.includes(&user) && account.includes(&role));
        assert!(!account.covers(&role) && !account.covers(&user), "who is named needs no other policy");
    }
    assert!(root.covers(&id) && id.covers(&root) && !user.covers(&root));
    let other = named("arn:aws:iam::111111111111:root");
    assert!(other.covers(&named("arn:aws:iam::111111111111:user/alice")), "from another account a user needs both");
    let everyone = named("*");
    assert!(everyone.covers(&user) && everyone.covers(&root) && everyone.covers(&other));
    // What is denied is denied to all of them.
    let statements = json!([{"Effect": "Allow", "Principal": {"AWS": user.as_str()}, "Action": "sts:AssumeRole"},
        {"Effect": "Deny", "Principal": {"AWS": id.as_str()}, "Action": "sts:AssumeRole"}]);
    let trust = Trust::of(&Document::from_value(json!({"Version": "2012-10-17", "Statement": statements})).expect("a document"), &own());
    assert!(!trust.covers(&TrustRule::plain(user)));
}

#[test]
fn statement_8_a_principal_is_covered_by_itself_its_root_its_account_and_everyone() {
    for by in [ALICE, ROOT, "111111111111", "*"] {
        assert!(aws(by).covers(&aws(ALICE)), "{by}");
    }
    for by in [BOB, OTHER_ROOT, "222222222222", "AIDAEXAMPLEEXAMPLE01"] {
        assert!(!aws(by).covers(&aws(ALICE)), "{by}");
    }
    assert!(aws(ROOT).covers(&aws("arn:aws:sts::111111111111:assumed-role/x/y")));
    assert!(!aws(ALICE).covers(&aws(ROOT)) && !aws("*").covers(&Principal::Service("lambda.amazonaws.com".into())));
}

#[test]
fn more_conditions_let_in_less_and_so_do_fewer_values() {
    let two = Conditions::default().with("StringEquals", "sts:ExternalId", ["a", "b"]);
    let one = Conditions::default().with("stringequals", "STS:externalid", ["a"]);
    assert!(two.cover(&one) && !one.cover(&two));
    assert!(Conditions::default().cover(&mfa()) && !mfa().cover(&Conditions::default()));
    assert!(mfa().cover(&mfa().with("IpAddress", "aws:SourceIp", ["203.0.113.0/24"])));
    let not = |values: &[&str]| Conditions::default().with("StringNotEquals", "aws:PrincipalTag/team", values.iter().copied());
    assert!(not(&["a"]).cover(&not(&["a", "b"])) && !not(&["a", "b"]).cover(&not(&["a"])));
    assert!(!not(&["a"]).cover(&Conditions::default().with("StringNotEquals", "aws:PrincipalTag/Team", ["a"])), "the key of a tag has a case");
    let age = |seconds: &str| Conditions::default().with("NumericLessThan", "aws:MultiFactorAuthAge", [seconds]);
    assert!(age("3600").cover(&age("900")) && !age("900").cover(&age("3600")));
    let until = |time: &str| Conditions::default().with("DateLessThan", "aws:CurrentTime", [time]);
    assert!(until("2027-01-01T00:00:00Z").cover(&until("2026-01-01T00:00:00Z")) && !until("2026").cover(&until("2025")));
}

#[test]
fn a_network_or_a_pattern_covers_what_lies_within_it() {
    let of = |operator: &str, values: &[&str]| Conditions::default().with(operator, "aws:SourceIp", values.iter().copied());
    for (operator, wide, narrow) in [
        ("IpAddress", "203.0.113.0/24", "203.0.113.64/26"),
        ("IpAddress", "203.0.113.0/24", "203.0.113.7"),
        ("IpAddress", "2001:db8::/32", "2001:db8:1::/48"),
        ("ArnLike", "arn:aws:iam::111111111111:role/*", "arn:aws:iam::111111111111:role/team/*"),
        ("ArnEquals", "arn:aws:iam::*:role/x", "arn:aws:iam::111111111111:role/x"),
    ] {
        let (wide, narrow) = (of(operator, &[wide]), of(operator, &[narrow]));
        assert!(wide.cover(&narrow) && !narrow.cover(&wide), "{wide:?} {narrow:?}");
        assert_eq!((wide.and(&narrow), narrow.and(&wide)), (Some(narrow.clone()), Some(narrow.clone())));
    }
    for (operator, one, other) in [
        ("IpAddress", "203.0.113.0/25", "203.0.113.128/25"),
        ("IpAddress", "203.0.113.0/24", "2001:db8::/32"),
        ("IpAddress", "203.0.113.0/24", "here"),
        // A star does not reach beyond the part that it is in.
        ("ArnLike", "arn:aws:*:role/x", "arn:aws:iam::111111111111:role/x"),
        ("ArnLike", "arn:aws:*::111111111111:role/x", "arn:aws:iam:eu-central-1:111111111111:role/x"),
    ] {
        assert_eq!(of(operator, &[one]).and(&of(operator, &[other])), None, "{one} {other}");
    }
    let (two, mixed) = (of("IpAddress", &["10.0.0.0/8", "192.0.2.1/32"]), of("IpAddress", &["10.1.0.0/16", "192.0.0.0/16", "203.0.113.0/24"]));
    assert_eq!(two.and(&mixed), Some(of("IpAddress", &["10.1.0.0/16", "192.0.2.1/32"])));
}

#[test]
fn what_two_policies_both_let_in_meets_the_conditions_of_both() {
    let trust = |of: Vec<TrustRule>| Trust { rules: of.into_iter().collect(), ..Trust::default() };
    let external = Conditions::default().with("StringEquals", "sts:ExternalId", ["a"]);
    let both = trust(vec![under(ALICE, mfa()), plain(BOB)]).and(&trust(vec![under(ALICE, external.clone()), plain(ROOT)]));
    let expected = [under(ALICE, mfa()), plain(BOB)].into_iter().collect::<BTreeSet<_>>();
    assert_eq!(both, expected, "the root lets alice in under what she had");
    let both = trust(vec![under(ALICE, mfa())]).and(&trust(vec![under(ALICE, external)]));
    assert_eq!(both.len(), 1);
    assert!(both.iter().all(|one| one.conditions.has("Bool", "aws:MultiFactorAuthPresent") && one.conditions.has("StringEquals", "sts:ExternalId")));
    let id = |id: &str| under(ALICE, Conditions::default().with("StringEquals", "sts:ExternalId", [id]));
    assert_eq!(trust(vec![id("a")]).and(&trust(vec![id("b")])), BTreeSet::new(), "nobody sends two external ids");
}

#[test]
fn a_policy_is_read_back_as_the_admissions_that_it_was_made_of() {
    let token = TrustRule {
        principal: Principal::Federated("arn:aws:iam::222222222222:oidc-provider/example.com".into()),
        actions: ["sts:AssumeRoleWithWebIdentity".to_owned()].into(),
        conditions: Conditions::default().with("StringEquals", "example.com:sub", ["x"]),
    };
    let service = TrustRule::plain(Principal::Service("lambda.amazonaws.com".into()));
    let entry: BTreeSet<TrustRule> = [plain(ALICE), plain(BOB), service, token].into();
    let policy = trust_policy([entry.clone()]);
    assert_eq!(policy.statements().len(), 2, "those that agree stand in one statement");
    assert_eq!(Trust::of(&policy, &own()), Trust { rules: entry, ..Trust::default() });
}

#[test]
fn statement_37_thirty_users_with_a_second_factor_fit_into_the_least_trust_policy_only_in_one_statement() {
    let users: BTreeSet<TrustRule> = (0..31).map(|n| under(&format!("arn:aws:iam::111111111111:user/people/a-name-of-18-{n:0>4}"), mfa())).collect();
    let in_one = trust_policy([users.clone()]);
    let of_many_entries = trust_policy(users.iter().map(|user| BTreeSet::from([user.clone()])));
    assert_eq!((in_one.statements().len(), of_many_entries.to_json()), (1, in_one.to_json()));
    let in_many: usize = users.iter().map(|user| trust_policy([[user.clone()].into()]).size()).sum();
    assert!(in_one.size() <= 2048 && in_many > 4096, "{} {in_many}", in_one.size());
}

#[test]
fn what_is_denied_or_in_another_form_is_told() {
    let read = |statements: serde_json::Value| {
        Trust::of(&Document::from_value(json!({"Version": "2012-10-17", "Statement": statements})).expect("a document"), &own())
    };
    let allow = json!({"Effect": "Allow", "Principal": {"AWS": [ALICE, OTHER_ROOT]}, "Action": "sts:AssumeRole"});
    let denied = read(json!([allow, {"Effect": "Deny", "Principal": {"AWS": ROOT}, "Action": "sts:AssumeRole"}]));
    assert_eq!((denied.rules, denied.denied), ([plain(OTHER_ROOT)].into(), [aws(ROOT)].into()));
    let but_alice = json!([{"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "sts:AssumeRole"}, {"Effect": "Deny", "Principal": {"AWS": ALICE}, "Action": "sts:AssumeRole"}]);
    assert!(read(but_alice.clone()).covers(&plain(BOB)) && !read(but_alice).covers(&plain(ALICE)));
    assert!(read(json!([{"Effect": "Allow", "Principal": {"AWS": ALICE}, "Action": "sts:*"}])).has_unmodelled_statements);
    assert!(read(json!([{"Effect": "Allow", "Principal": {"AWS": ALICE}, "NotAction": "sts:AssumeRole"}])).has_unmodelled_statements);
    assert!(read(json!([{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}])).has_unmodelled_statements);
    assert_eq!(Trust::of(&deny_all_trust(), &own()), Trust { denied: [aws("*")].into(), ..Trust::default() });
    // Who is denied in part may come in otherwise.
    let allow = json!({"Effect": "Allow", "Principal": {"AWS": [ALICE, OTHER_ROOT]}, "Action": ["sts:AssumeRole", "sts:TagSession"]});
    for (denial, is_whole) in [
        (json!({"Action": "sts:*"}), true),
        (json!({"NotAction": "s3:*"}), true),
        (json!({"Action": "sts:AssumeRole"}), true),
        (json!({"Action": "sts:TagSession"}), false),
        (json!({"NotAction": "sts:*"}), false),
        (json!({"Action": "sts:AssumeRole", "Condition": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}}), false),
    ] {
        let mut denial = denial;
        (denial["Effect"], denial["Principal"]) = (json!("Deny"), json!({"AWS": ALICE}));
        let read = read(json!([allow, denial.clone()]));
        assert_eq!((read.has_unmodelled_statements, read.may_be_anything), (!is_whole, false), "{denial}");
    }
}

#[test]
fn what_nobody_can_read_may_let_in_anybody_and_is_no_policy_that_lets_in_nobody() {
    let allow = json!({"Effect": "Allow", "Principal": {"AWS": ALICE}, "Action": "sts:AssumeRole"});
    let of_json =
        |statements: serde_json::Value| Document::from_value(json!({"Version": "2012-10-17", "Statement": statements})).expect("a document");
    for document in [
        Document::read("no%20JSON"),
        Document::read("%FF"),
        Document::read("{}"),
        of_json(json!([])),
        of_json(json!([allow, "x"])),
        of_json(json!([allow, {"Effect": "Perhaps", "Principal": "*", "Action": "sts:AssumeRole"}])),
        of_json(json!([allow, {"Effect": "Allow", "Principal": ["*"], "Action": "sts:AssumeRole"}])),
        of_json(json!([allow, {"Effect": "Allow", "Principal": {"Everybody": "*"}, "Action": "sts:AssumeRole"}])),
        of_json(json!([allow, {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole", "Unless": "x"}])),
    ] {
        let read = Trust::of(&document, &own());
        assert!(read.may_be_anything && read.has_unmodelled_statements && read.denied.is_empty(), "{document}: {read:?}");
        let or = Trust::of(&deny_all_trust(), &own()).or(&read);
        assert!(or.may_be_anything && or.has_unmodelled_statements, "{or:?}");
    }
}

#[test]
fn of_two_conditions_on_one_key_neither_is_lost() {
    let (key, like) =
        ("sts:RoleSessionName", |values: &[&str]| Conditions::default().with("StringLike", "sts:RoleSessionName", values.iter().copied()));
    let equals = |value: &str| Conditions::default().with("StringEquals", key, [value]);
    // The letters of a variable's name say nothing of what it stands for.
    assert!(!like(&["*user*"]).cover(&equals("${aws:username}")) && like(&["*"]).cover(&equals("${aws:username}")));
    assert_eq!(like(&["*user*"]).and(&equals("${aws:username}")), Some(equals("${aws:username}").with("StringLike", key, ["*user*"])));
    // Neither takes the place of a condition that is there by the other operator.
    let required = equals("${aws:username}").with("StringLike", key, ["*-night"]);
    assert_eq!(required.and(&like(&["build-*"])), None, "that cannot be written as one condition");
    assert_eq!(required.and(&like(&["build-*", "*-night"])), Some(required.clone()));
    assert_eq!(equals("a-night").with("StringLike", key, ["*-night"]).and(&equals("b-night")), None, "nobody has two names");
}

fn arb_conditions() -> impl Strategy<Value = Conditions> {
    let values = |of: &'static [&'static str]| subsequence(of.to_vec(), 1..=of.len());
    let one = prop_oneof![
        Just(("Bool", "aws:MultiFactorAuthPresent", vec!["true"])),
        values(&["a", "b", "ab"]).prop_map(|v| ("StringEquals", "sts:ExternalId", v)),
        values(&["a*", "*b", "a", "?"]).prop_map(|v| ("StringLike", "sts:ExternalId", v)),
        values(&["x", "y"]).prop_map(|v| ("StringNotEquals", "aws:PrincipalTag/team", v)),
        values(&["x", "y", "z"]).prop_map(|v| ("StringEquals", "aws:RequestTag/team", v)),
        select(vec!["60", "900", "3600"]).prop_map(|v| ("NumericLessThan", "aws:MultiFactorAuthAge", vec![v])),
    ];
    prop::collection::vec(one, 0..3).prop_map(|all| {
        all.into_iter().fold(
            Conditions::default(),
            |made, (operator, key, values)| {
                if made.has(operator, key) { made } else { made.with(operator, key, values) }
            },
        )
    })
}

fn arb_actions() -> impl Strategy<Value = BTreeSet<String>> {
    prop::bool::ANY.prop_map(|tags| ["sts:AssumeRole"].into_iter().chain(tags.then_some(TAG_SESSION)).map(str::to_owned).collect())
}

fn arb_trust() -> impl Strategy<Value = Trust> {
    let rule = (select(vec![ALICE, BOB, ROOT, OTHER_ROOT]), arb_actions(), arb_conditions());
    let rule = rule.prop_map(|(name, actions, conditions)| TrustRule { actions, ..under(name, conditions) });
    prop::collection::btree_set(rule, 0..6).prop_map(|rules| Trust { rules, ..Trust::default() })
}

/// A request for a session, as far as the conditions above look at it.
#[derive(Clone, Debug)]
struct Request {
    who: &'static str,
    mfa_age: Option<u32>,
    external_id: Option<&'static str>,
    team: Option<&'static str>,
    tag: Option<&'static str>,
}

fn arb_request() -> impl Strategy<Value = Request> {
    let age = prop::option::of(select(vec![1, 61, 901, 5000]));
    let id = prop::option::of(select(vec!["a", "b", "ab", "ba", "c", "aab"]));
    let team = prop::option::of(select(vec!["x", "y", "z"]));
    let tag = prop::option::of(select(vec!["x", "y", "w"]));
    let all = (select(vec![ALICE, BOB, OTHER_ROOT]), age, id, team, tag);
    all.prop_map(|(who, mfa_age, external_id, team, tag)| Request { who, mfa_age, external_id, team, tag })
}

/// IAM's evaluation of these conditions, written anew: a second opinion. `action` looks at its own keys alone.
fn allows(trust: &Trust, request: &Request, action: &str) -> bool {
    let external_id = request.external_id.filter(|_| action != TAG_SESSION);
    let like = |pattern: &str, text: &str| match pattern {
        "?" => text.len() == 1,
        "a*" => text.starts_with('a'),
        "*b" => text.ends_with('b'),
        literal => literal == text,
    };
    trust.rules.iter().any(|rule| {
        let holds = |(operator, key, values): (&str, &str, &BTreeSet<String>)| match (operator, key) {
            ("Bool", _) => request.mfa_age.is_some(),
            ("StringEquals", "sts:ExternalId") => external_id.is_some_and(|id| values.contains(id)),
            ("StringLike", _) => external_id.is_some_and(|id| values.iter().any(|pattern| like(pattern, id))),
            ("StringEquals", _) => request.tag.is_some_and(|tag| values.contains(tag)),
            ("StringNotEquals", _) => !request.team.is_some_and(|team| values.contains(team)),
            _ => request.mfa_age.is_some_and(|age| values.iter().all(|v| v.parse::<u32>().is_ok_and(|limit| age < limit))),
        };
        rule.actions.contains(action) && aws(rule.principal.as_str()).covers(&aws(request.who)) && rule.conditions.iter().all(holds)
    })
}

/// Whether a request comes in: each action that it needs must be allowed.
fn lets_in(trust: &Trust, request: &Request) -> bool {
    allows(trust, request, "sts:AssumeRole") && (request.tag.is_none() || allows(trust, request, TAG_SESSION))
}

/// The statements of a document, each as the rules that it is by itself: what gives no credentials, too.
fn by_statement(document: &Document) -> Trust {
    let rules = document.statements().into_iter().filter(|statement| statement.effect() == Some(Effect::Allow)).flat_map(|statement| {
        let actions: BTreeSet<String> = statement.actions().unwrap_or_default().into_iter().map(str::to_owned).collect();
        let conditions = Conditions::of(statement);
        statements::principals(statement, &own()).into_iter().map(move |principal| TrustRule {
            principal,
            actions: actions.clone(),
            conditions: conditions.clone(),
        })
    });
    Trust { rules: rules.collect(), ..Trust::default() }
}

/// The statements of the rules, one for each of them and each of its actions.
fn unmerged(trust: &Trust) -> Trust {
    let one = |rule: &TrustRule| {
        let rule = rule.clone();
        rule.actions.clone().into_iter().map(move |action| TrustRule {
            conditions: rule.conditions.of_action(&action),
            actions: [action].into(),
            ..rule.clone()
        })
    };
    Trust { rules: trust.rules.iter().flat_map(one).collect(), ..Trust::default() }
}

proptest! {
    /// Covering means that whoever comes in by the one comes in by the other.
    #[test]
    fn statement_40_who_is_covered_is_let_in(a in arb_trust(), b in arb_trust(), request in arb_request()) {
        if b.rules.iter().all(|rule| a.covers(rule)) && lets_in(&unmerged(&b), &request) {
            prop_assert!(lets_in(&unmerged(&a), &request));
        }
    }

    /// What both let in is let in by each.
    #[test]
    fn statement_40_both_is_within_each(a in arb_trust(), b in arb_trust(), request in arb_request()) {
        let both = Trust { rules: a.and(&b), ..Trust::default() };
        if lets_in(&unmerged(&both), &request) {
            prop_assert!(lets_in(&unmerged(&a), &request) && lets_in(&unmerged(&b), &request));
        }
    }

    /// The fewest statements let in exactly who comes in by one for each rule and action.
    #[test]
    fn statement_59_merged_statements_let_in_exactly_the_same(trust in arb_trust(), requests in prop::collection::vec(arb_request(), 20)) {
        let merged = by_statement(&trust_policy([trust.rules.clone()]));
        for request in requests {
            prop_assert_eq!(lets_in(&merged, &request), lets_in(&unmerged(&trust), &request), "{:?}", request);
        }
    }

    /// A policy is read back as what it was made of, and written again as one that lets in the same.
    #[test]
    fn policies_are_read_back(trust in arb_trust(), requests in prop::collection::vec(arb_request(), 20)) {
        let document = trust_policy([trust.rules.clone()]);
        let read = Trust::of(&document, &own());
        prop_assert!(trust.rules.iter().all(|rule| read.covers(rule)), "{:?}", read);
        let (before, again) = (by_statement(&document), by_statement(&trust_policy([read.rules.clone()])));
        for request in requests {
            prop_assert_eq!(lets_in(&again, &request), lets_in(&before, &request), "{:?}", request);
        }
    }
}
