//! A trust policy in its fewest statements beside the same rules as one statement for each rule and action: AWS lets in the same by both.
//!
//! The rules and who asks are drawn by a seed that is printed; `make campaign` (`ROLEBRIDGE_CAMPAIGN=full`) draws ten times as many.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use aws_sdk_sts::types::Tag;
use rolebridge::core::document::Document;
use rolebridge::core::trust::{Conditions, Principal, TAG_SESSION, TrustRule, trust_policy};
use rolebridge_testbed::Credentials;
use rolebridge_testbed::aws_sim::WebIdentity;
use serde_json::{Value, json};

use crate::campaign::{Campaign, is_full};
use crate::support::{World, new_key, unless_denied};

/// How many sets of rules are drawn.
const SETS: usize = 40;
/// The account of the roles, and the one of the users.
const ACCOUNTS: [&str; 2] = ["770000000002", "770000000001"];
/// The provider of the tokens: a company's own.
const PROVIDER: &str = "login.example.com";
const USERS: [&str; 2] = ["alice", "bob"];
const EXTERNAL_IDS: [&str; 3] = ["one", "two", "one-more"];
const SUBJECTS: [&str; 4] = ["job:a", "job:b", "job:ab", "task:a"];

/// Draws rules, and who asks.
struct Draw<'r>(&'r mut fastrand::Rng);

impl Draw<'_> {
    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.0.usize(..all.len())].clone()
    }

    fn conditions(&mut self, key: &str, literal: &[&str], patterns: &[&str]) -> Conditions {
        let count = 1 + self.0.usize(..2);
        let (operator, values) = if self.0.bool() { ("StringEquals", literal) } else { ("StringLike", patterns) };
        Conditions::default().with(operator, key, (0..count).map(|_| self.of(values)).collect::<Vec<_>>())
    }

    fn rule(&mut self) -> TrustRule {
        if self.0.u8(..3) == 0 {
            let provider = format!("arn:aws:iam::{}:oidc-provider/{PROVIDER}", ACCOUNTS[0]);
            let conditions = self.conditions(&format!("{PROVIDER}:sub"), &SUBJECTS, &["job:*", "*a", "job:?", "task:a"]);
            let actions = BTreeSet::from(["sts:AssumeRoleWithWebIdentity".to_owned()]);
            let conditions = conditions.with("StringEquals", &format!("{PROVIDER}:aud"), ["sts.amazonaws.com"]);
            return TrustRule { principal: Principal::Federated(provider), actions, conditions };
        }
        let name = format!("arn:aws:iam::{}:{}", ACCOUNTS[1], self.of(&["user/alice", "user/bob", "root"]));
        let mut conditions = Conditions::default();
        if self.0.bool() {
            conditions = self.conditions("sts:ExternalId", &EXTERNAL_IDS, &["one*", "t?o", "*more"]);
        }
        let has_tags = self.0.bool();
        if has_tags && self.0.bool() {
            conditions = conditions.with("StringEquals", "aws:RequestTag/team", [self.of(&["data", "web"])]);
        }
        let actions = ["sts:AssumeRole"].into_iter().chain(has_tags.then_some(TAG_SESSION)).map(str::to_owned).collect();
        TrustRule { principal: Principal::AWS(name), actions, conditions }
    }
}

/// A statement for each rule and each of its actions, which is asked for the keys that the action has.
fn one_by_one(rules: &BTreeSet<TrustRule>) -> Document {
    let of_action = |rule: &TrustRule, action: &String| {
        let one = TrustRule { conditions: rule.conditions.of_action(action), actions: [action.clone()].into(), ..rule.clone() };
        trust_policy([[one].into()]).as_value()["Statement"].clone()
    };
    let statements = rules.iter().flat_map(|rule| rule.actions.iter().map(move |action| of_action(rule, action)));
    let statements: Vec<Value> = statements.flat_map(|one| one.as_array().cloned().unwrap_or_default()).collect();
    Document::from_value(json!({"Version": "2012-10-17", "Statement": statements}))
        .unwrap_or_else(|problems| Document::unreadable(&format!("{problems:?}")))
}

/// Somebody who asks for a session.
#[derive(Debug)]
enum Asking {
    User { key: usize, external_id: Option<&'static str>, team: Option<&'static str> },
    Token(&'static str),
}

async fn comes_in(world: &World, keys: &[Credentials], asking: &Asking, role: &str) -> Result<bool> {
    let arn = format!("arn:aws:iam::{}:role/{role}", ACCOUNTS[0]);
    match asking {
        Asking::Token(subject) => {
            let token = world.testbed.aws.web_identity_token(&WebIdentity::of(&format!("https://{PROVIDER}"), subject)).await?;
            let asked = world.sts(&keys[0]).assume_role_with_web_identity().role_arn(arn).role_session_name("job").web_identity_token(token);
            Ok(unless_denied(asked.send().await.map(|answer| answer.credentials))?.is_some())
        }
        Asking::User { key, external_id, team } => {
            let tags = team.map(|team| Tag::builder().key("team").value(team).build()).transpose()?;
            let ask = |mut asking: aws_sdk_sts::operation::assume_role::builders::AssumeRoleFluentBuilder| {
                asking = asking.set_external_id(external_id.map(str::to_owned));
                asking.set_tags(tags.map(|tag| vec![tag]))
            };
            Ok(world.assume(&keys[*key], &arn, ask).await?.is_some())
        }
    }
}

#[tokio::test]
async fn statement_59_the_fewest_statements_let_in_who_comes_in_by_one_for_each_rule_and_action() -> Result<()> {
    let mut campaign = Campaign::new("trust statements");
    let world = World::shared().await?;
    let (iam, users) = (world.administrator_of(ACCOUNTS[0]).await?, world.administrator_of(ACCOUNTS[1]).await?);
    world.testbed.aws.set_quotas(ACCOUNTS[0], &[("AssumeRolePolicySizeQuota", 8192)]).await?;
    iam.create_open_id_connect_provider().url(format!("https://{PROVIDER}")).client_id_list("sts.amazonaws.com").send().await?;
    let may = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": "*"}})
        .to_string();
    let mut keys = vec![];
    for name in USERS {
        users.create_user().user_name(name).send().await?;
        users.put_user_policy().user_name(name).policy_name("assume").policy_document(&may).send().await?;
        keys.push(new_key(&users, name).await?);
    }
    let deny = rolebridge::core::trust::deny_all_trust().to_json();
    for role in ["fewest", "one-by-one"] {
        iam.create_role().role_name(role).assume_role_policy_document(&deny).send().await?;
    }
    let (mut let_in, mut refused, mut saved) = (0, 0, 0);
    for _ in 0..if is_full() { 10 * SETS } else { SETS } {
        let mut draw = Draw(&mut campaign.random);
        let rules: BTreeSet<TrustRule> = (0..2 + draw.0.usize(..7)).map(|_| draw.rule()).collect();
        let (fewest, single) = (trust_policy([rules.clone()]), one_by_one(&rules));
        saved += single.size() - fewest.size();
        for (role, document) in [("fewest", &fewest), ("one-by-one", &single)] {
            iam.update_assume_role_policy().role_name(role).policy_document(document.to_json()).send().await?;
        }
        let all_users = (0..USERS.len()).flat_map(|key| {
            let external_ids = EXTERNAL_IDS.into_iter().map(Some).chain([None]);
            external_ids.flat_map(move |external_id| [None, Some("data"), Some("web")].map(|team| Asking::User { key, external_id, team }))
        });
        for asking in all_users.chain(SUBJECTS.map(Asking::Token)) {
            let (by_fewest, by_single) = (comes_in(world, &keys, &asking, "fewest").await?, comes_in(world, &keys, &asking, "one-by-one").await?);
            let told = || format!("{campaign}: {asking:?}: {}\n{}", fewest.to_json(), single.to_json());
            ensure!(by_fewest == by_single, "{}", told());
            if by_fewest {
                let_in += 1
            } else {
                refused += 1
            };
        }
    }
    ensure!(let_in > 0 && refused > 0, "{let_in} {refused}");
    campaign.conclude(&format!("{let_in} let in, {refused} refused, {saved} characters saved"));
    Ok(())
}
