//! Each rule, with the statement of the documents that it is from.

mod identities;
mod lag;
mod policies;
mod reads;
mod trust;

use std::collections::BTreeSet;
use std::time::Duration;

use rolebridge::api::Reason;
use rolebridge::core::action::{Action, Dependent, Receipt, Tagged};
use rolebridge::core::document::Document;
use rolebridge::core::failure::{Effect, Failure};
use rolebridge::core::identity::{Identity, IdentityName, ManagedPolicy, RoleSettings};
use rolebridge::core::names::{AccountID, Arn, Partition, UniqueID};
use rolebridge::core::observed::{Dependents, Observed, ObservedIdentity, ObservedPolicy, Scope};
use rolebridge::core::ownership::Tags;
use serde_json::{Value, json};

use super::{Change, Cloud, View};
use crate::random::Random;

const HUB: &str = "111111111111";
const PROD: &str = "222222222222";

/// Two accounts, a clock that stands still unless it is moved, and replicas that are not behind unless they are said to be.
struct World {
    cloud: Cloud,
    random: Random,
    now: Duration,
    lag: Duration,
}

fn account(id: &str) -> AccountID {
    id.parse().unwrap()
}

fn user(name: &str) -> IdentityName {
    IdentityName::User(name.parse().unwrap())
}

fn role(name: &str) -> IdentityName {
    IdentityName::Role(name.parse().unwrap())
}

fn arn(text: &str) -> Arn {
    text.parse().unwrap()
}

fn policy_arn(name: &str) -> Arn {
    arn(&format!("arn:aws:iam::{HUB}:policy/{name}"))
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn document(value: &Value) -> Document {
    Document::parse(&value.to_string()).unwrap()
}

/// A policy of permissions of this size, in characters without white space.
fn permissions(size: usize) -> Document {
    let of = |sid: &str| json!({"Version": "2012-10-17", "Statement": [{"Sid": sid, "Effect": "Allow", "Action": "s3:*", "Resource": "*"}]});
    let frame = of("").to_string().len();
    document(&of(&"x".repeat(size.saturating_sub(frame))))
}

fn trusting(principals: &Value) -> Document {
    document(&json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": principals, "Action": "sts:AssumeRole"}]}))
}

/// A user or role without anything; a role trusts everybody.
fn wanted(name: &IdentityName) -> Identity {
    let role = matches!(name, IdentityName::Role(_)).then(|| RoleSettings {
        description: String::new(),
        max_session_duration: 3600,
        trust_policy: trusting(&json!("*")),
    });
    Identity {
        name: name.clone(),
        path: "/".parse().unwrap(),
        tags: Tags::new(),
        permissions_boundary: None,
        inline_policies: Default::default(),
        attached_policies: Default::default(),
        groups: None,
        role,
    }
}

fn wanted_policy(name: &str) -> ManagedPolicy {
    ManagedPolicy {
        arn: policy_arn(name),
        name: name.parse().unwrap(),
        path: "/".parse().unwrap(),
        description: String::new(),
        document: permissions(100),
        tags: Tags::new(),
    }
}

impl World {
    fn new() -> Self {
        let mut cloud = Cloud::new();
        [HUB, PROD].iter().for_each(|id| cloud.open(&account(id), &Partition::aws()));
        Self { cloud, random: Random::new(7), now: Duration::from_secs(1000), lag: Duration::ZERO }
    }

    fn view(&mut self) -> (&mut Cloud, View<'_>) {
        (&mut self.cloud, View { now: self.now, lag: self.lag, random: &mut self.random })
    }

    fn execute_in(&mut self, id: &str, action: &Action) -> Result<Receipt, Failure> {
        let (cloud, view) = self.view();
        cloud.execute(&account(id), action, view)
    }

    /// In the hub.
    fn execute(&mut self, action: &Action) -> Result<Receipt, Failure> {
        self.execute_in(HUB, action)
    }

    fn change(&mut self, change: &Change) -> Result<Option<String>, Failure> {
        let (cloud, view) = self.view();
        cloud.change(&account(HUB), change, view)
    }

    fn create_in(&mut self, id: &str, identity: Identity) -> Result<UniqueID, Failure> {
        match self.execute_in(id, &Action::CreateIdentity(Box::new(identity)))? {
            Receipt::Created(id) => Ok(id),
            other => panic!("{other:?}"),
        }
    }

    fn create(&mut self, name: &IdentityName) -> UniqueID {
        self.create_in(HUB, wanted(name)).unwrap()
    }

    fn create_policy(&mut self, name: &str) -> Arn {
        self.execute(&Action::CreatePolicy(Box::new(wanted_policy(name)))).unwrap();
        policy_arn(name)
    }

    fn observe_in(&mut self, id: &str, scope: &Scope) -> Result<Observed, Failure> {
        let (cloud, view) = self.view();
        cloud.observe(&account(id), scope, view)
    }

    /// The user or role of the hub, with its groups.
    fn identity(&mut self, name: &IdentityName) -> Option<ObservedIdentity> {
        let scope = Scope { name: Some(name.clone()), policies: BTreeSet::new(), groups: true, pinned: None };
        self.observe_in(HUB, &scope).unwrap().identity
    }

    fn policy(&mut self, arn: &Arn) -> Option<ObservedPolicy> {
        let scope = Scope { name: None, policies: [arn.clone()].into(), groups: false, pinned: None };
        self.observe_in(HUB, &scope).unwrap().policies.remove(arn)
    }

    fn dependents(&mut self, name: &IdentityName) -> Dependents {
        let (cloud, view) = self.view();
        cloud.dependents(&account(HUB), name, view).unwrap()
    }

    fn quota(&mut self, key: &str, quota: usize) {
        self.change(&Change::SetQuota(key.into(), quota)).unwrap();
    }
}

/// The reason and effect of a failure.
#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Failure>) -> (Reason, Effect) {
    let failure = result.unwrap_err();
    (failure.reason, failure.effect)
}

/// Whether it was refused for this reason, nothing changed.
#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, Failure>, reason: Reason) {
    assert_eq!(refused(result), (reason, Effect::None));
}

#[test]
fn an_account_that_there_is_not_knows_no_keys() {
    let mut world = World::new();
    assert_refused(world.execute_in("999999999999", &Action::DeleteIdentity(user("a"))), Reason::AccessDenied);
}
