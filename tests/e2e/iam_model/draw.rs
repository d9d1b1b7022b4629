//! What is called: drawn so that most of it hits something. There are few names, each sometimes in another case, few policies, few groups, and every now
//! and then something that IAM refuses.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::str::FromStr;

use rolebridge::core::action::{Action, Dependent, Tagged};
use rolebridge::core::document::Document;
use rolebridge::core::identity::{Identity, IdentityName, ManagedPolicy, RoleSettings};
use rolebridge::core::names::{Arn, GroupName, Path, PolicyName, RoleName, UserName};
use rolebridge::core::observed::Scope;
use rolebridge::core::ownership::Tags;
use rolebridge_simulation::iam::Change;
use serde_json::{Value, json};

use super::twins::{ACCOUNTS, Known};

const USERS: [&str; 3] = ["alice", "Bob", "carol"];
const ROLES: [&str; 3] = ["reader", "Writer", "source"];
const GROUPS: [&str; 2] = ["team", "Ops"];
const POLICIES: [&str; 4] = ["p1", "P2", "rolebridge-assume-roles-alice-1", "rolebridge-role-assumes-reader-1"];
const AWS_POLICIES: [&str; 5] = [
    "ReadOnlyAccess",
    "job-function/ViewOnlyAccess",
    "service-role/AWSLambdaBasicExecutionRole",
    "aws-service-role/AWSSupportServiceRolePolicy",
    "None",
];
const ROLE_OF_AWS: &str = "AWSReservedSSO_admin_0123456789abcdef";

/// One step.
#[derive(Debug)]
pub struct Step {
    pub account: &'static str,
    pub op: Op,
}

/// What is done in it.
#[derive(Debug)]
pub enum Op {
    Execute(Action),
    /// Takes everything off a user or role, and deletes it.
    Demolish(IdentityName),
    Observe(Scope),
    Dependents(IdentityName),
    Sweep(Vec<IdentityName>, BTreeSet<Arn>),
    /// Quotas and alias.
    Account,
    Change(Change),
}

/// Draws steps.
pub struct Draw<'a> {
    pub random: &'a mut fastrand::Rng,
    pub known: &'a Known,
}

#[allow(clippy::expect_used, reason = "what is drawn is written in this file")]
fn parsed<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect("a value of its type")
}

#[allow(clippy::expect_used, reason = "what is drawn is written in this file")]
fn document(value: &Value) -> Document {
    Document::parse(&value.to_string()).expect("a document")
}

impl Draw<'_> {
    pub fn step(mut self) -> Step {
        // One account has more than its share, so that more meets in it.
        let (account, partition) = ACCOUNTS[[0, 0, 0, 1, 1, 2][self.random.usize(..6)]];
        let op = self.op(account, partition);
        Step { account, op }
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.random.usize(..n) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.random.usize(..all.len())]
    }

    /// One of these names, now and then in another case.
    fn name<T: FromStr<Err: Debug>>(&mut self, all: &[&str]) -> T {
        let name = self.of(all);
        parsed(&if self.one_in(10) { name.to_ascii_uppercase() } else { name.to_owned() })
    }

    fn user(&mut self) -> UserName {
        self.name(&USERS)
    }

    fn role(&mut self) -> RoleName {
        if self.one_in(25) { parsed(ROLE_OF_AWS) } else { self.name(&ROLES) }
    }

    fn group(&mut self) -> GroupName {
        self.name(&GROUPS)
    }

    fn who(&mut self) -> IdentityName {
        if self.random.bool() { IdentityName::User(self.user()) } else { IdentityName::Role(self.role()) }
    }

    fn path(&mut self) -> Path {
        parsed(if self.one_in(4) { "/team/" } else { "/" })
    }

    /// A policy of the account.
    fn own_policy(&mut self, account: &str, partition: &str) -> Arn {
        let there = self.known.policies.get(account).filter(|there| !there.is_empty());
        if let Some(there) = there.filter(|_| self.random.usize(..3) > 0) {
            return parsed(&there[self.random.usize(..there.len())]);
        }
        let path = self.path();
        let name: PolicyName = self.name(&POLICIES);
        parsed(&format!("arn:{partition}:iam::{account}:policy{path}{name}"))
    }

    /// A policy that may be attached, or not.
    fn policy(&mut self, account: &str, partition: &str) -> Arn {
        match self.random.usize(..12) {
            0 | 1 => parsed(&format!("arn:{partition}:iam::aws:policy/{}", self.of(&AWS_POLICIES))),
            2 => self.own_policy("222222222222", "aws"),
            _ => self.own_policy(account, partition),
        }
    }

    fn version(&mut self) -> String {
        format!("v{}", self.random.usize(1..9))
    }

    fn tags(&mut self) -> Tags {
        let good =
            [("Team", "a"), ("team", "b"), ("cost", "1"), ("rolebridge.io/installation", "e2e"), ("rolebridge.io/owner", "CrossAccountRole/a/b")];
        let bad = [("aws:x", "1"), ("x", "aws:1"), ("star*", "1"), ("x", "semi;colon")];
        let mut tags = Tags::new();
        for _ in 0..self.random.usize(..4) {
            let (key, value) = if self.one_in(40) { self.of(&bad) } else { self.of(&good) };
            // Policies may have both in one call, which the simulator does not know.
            tags.retain(|other: &String, _| !other.eq_ignore_ascii_case(key));
            tags.insert(key.to_owned(), value.to_owned());
        }
        if self.one_in(60) {
            tags.extend((0..self.random.usize(48..53)).map(|n| (format!("k{n}"), String::new())));
        }
        tags
    }

    fn permissions(&mut self) -> Document {
        let allow = |sid: &str| json!({"Sid": sid, "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"});
        if self.one_in(12) {
            let bad = [
                json!({"Effect": "Allow", "Action": "s3:GetObject"}),
                json!({"Effect": "Allow", "Resource": "*"}),
                json!({"Effect": "Maybe", "Action": "s3:GetObject", "Resource": "*"}),
                json!({"Effect": "Allow", "Action": "get", "Resource": "*"}),
                json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "bucket"}),
                json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "More": "x"}),
            ];
            return document(&json!({"Version": "2012-10-17", "Statement": [bad[self.random.usize(..bad.len())]]}));
        }
        let size = self.of(&[1, 1, 5, 700, 1100, 1990, 3000, 6100]) + self.random.usize(..40);
        let single = json!({"Version": "2012-10-17", "Statement": allow(&"x".repeat(size))});
        let two = json!({"Version": "2012-10-17", "Id": "b ank", "Statement": [allow(&"x".repeat(size / 2)), allow(&"y".repeat(size / 2))]});
        document(if self.random.bool() { &single } else { &two })
    }

    /// A principal, more often than not one that is there.
    fn principal(&mut self, partition: &str) -> (&'static str, String) {
        if self.one_in(10) {
            return self.voucher(partition);
        }
        let of_partition = format!("arn:{partition}:");
        let there: Vec<&String> = self.known.principals.iter().filter(|arn| arn.starts_with(&of_partition)).collect();
        if !there.is_empty() && self.random.usize(..10) > 0 {
            return ("AWS", there[self.random.usize(..there.len())].clone());
        }
        let (account, of_account) = self.of(&ACCOUNTS);
        let partition = if self.one_in(8) { partition } else { of_account };
        let (path, user, role) = (self.path(), self.user(), self.role());
        let ids = self.known.ids();
        let name = match self.random.usize(..22) {
            0..8 => format!("arn:{partition}:iam::{account}:user{path}{user}"),
            8..14 => format!("arn:{partition}:iam::{account}:role{path}{role}"),
            14 | 15 => format!("arn:{partition}:iam::{account}:root"),
            16 => account.to_owned(),
            17 => "*".to_owned(),
            18 => format!("arn:{partition}:sts::{account}:assumed-role/{role}/session"),
            19 => self.of(&["arn:aws:iam::999999999999:root", "999999999999", "arn:aws:iam::111111111111:user/*", "alice"]).to_owned(),
            20 if !ids.is_empty() => ids[self.random.usize(..ids.len())].clone(),
            _ => format!("arn:{partition}:iam::{account}:user/alice"),
        };
        ("AWS", name)
    }

    /// A service, or a provider that vouches for others.
    fn voucher(&mut self, partition: &str) -> (&'static str, String) {
        const SERVICES: [&str; 6] = [
            "ec2.amazonaws.com",
            "pods.eks.amazonaws.com",
            "ec2.amazonaws.com.cn",
            "cognito-identity.amazonaws.com",
            "nobody.amazonaws.com",
            "nobody",
        ];
        let (account, _) = self.of(&ACCOUNTS);
        match self.random.usize(..10) {
            0..6 => ("Service", self.of(&SERVICES).to_owned()),
            6 => ("Federated", "cognito-identity.amazonaws.com".to_owned()),
            7 => ("Federated", format!("arn:{partition}:iam::{account}:oidc-provider/token.example.com")),
            _ => ("Federated", format!("arn:{partition}:iam::{account}:oidc-provider/token.actions.githubusercontent.com")),
        }
    }

    fn principals(&mut self, partition: &str) -> Value {
        if self.one_in(20) {
            return self.random.choice([json!("*"), json!({"AWS": []}), json!("nobody"), json!({"Other": "x"})]).unwrap_or_default();
        }
        let mut principals = serde_json::Map::new();
        for _ in 0..self.random.usize(1..4) {
            let (kind, name) = self.principal(partition);
            let names = principals.entry(kind).or_insert_with(|| json!([]));
            if let Some(names) = names.as_array_mut() {
                names.push(json!(name));
            }
        }
        // One stands alone, now and then.
        if self.random.bool() {
            principals.values_mut().filter(|names| names.as_array().is_some_and(|names| names.len() == 1)).for_each(|names| *names = names[0].take());
        }
        Value::Object(principals)
    }

    fn trust(&mut self, partition: &str) -> Document {
        let count = if self.one_in(3) { 2 } else { 1 };
        let statements: Vec<Value> = (0..count)
            .map(|number| {
                let actions = [
                    json!("sts:AssumeRole"),
                    json!(["sts:AssumeRole", "sts:TagSession"]),
                    json!(["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity"]),
                ];
                let action = self.random.choice(actions).unwrap_or_default();
                let mut statement =
                    json!({"Effect": self.of(&["Allow", "Allow", "Deny"]), "Principal": self.principals(partition), "Action": action});
                match self.random.usize(..40) {
                    0 => statement["Resource"] = json!("*"),
                    1 => statement["Action"] = json!("s3:GetObject"),
                    2 => statement["Sid"] = json!(format!("a {number}")),
                    3 => statement["NotPrincipal"] = json!("*"),
                    4 => statement["More"] = json!("x"),
                    5..10 => statement["Condition"] = json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}}),
                    12..20 => {
                        let subject = self.of(&["repo:team/app:*", "repo:team/app:*", "*"]);
                        let claim = self.of(&["token.actions.githubusercontent.com:sub", "cognito-identity.amazonaws.com:aud"]);
                        statement["Condition"] = json!({"StringLike": {claim: subject}});
                    }
                    10 | 11 => statement["Condition"] = json!({"StringEquals": {"sts:ExternalId": "x".repeat(1750 + self.random.usize(..300))}}),
                    _ => {}
                }
                statement
            })
            .collect();
        document(&json!({"Version": "2012-10-17", "Statement": statements}))
    }

    fn description(&mut self) -> String {
        if self.one_in(25) { "it\u{2019}s".to_owned() } else { self.of(&["", "", "reads", "r\u{f4}le", "it's ~100 %"]).to_owned() }
    }

    fn duration(&mut self) -> u32 {
        if self.one_in(25) { self.of(&[3599, 43_201]) } else { self.of(&[3600, 7200, 43_200]) }
    }

    fn identity(&mut self, name: IdentityName, account: &str, partition: &str) -> Identity {
        let role = matches!(name, IdentityName::Role(_)).then(|| RoleSettings {
            description: self.description(),
            max_session_duration: self.duration(),
            trust_policy: self.trust(partition),
        });
        Identity {
            name,
            path: self.path(),
            tags: self.tags(),
            permissions_boundary: self.one_in(8).then(|| self.policy(account, partition)),
            inline_policies: Default::default(),
            attached_policies: Default::default(),
            groups: None,
            role,
        }
    }

    fn managed(&mut self, account: &str, partition: &str) -> ManagedPolicy {
        let (path, name): (Path, PolicyName) = (self.path(), self.name(&POLICIES));
        let arn = parsed(&format!("arn:{partition}:iam::{account}:policy{path}{name}"));
        let document = self.permissions();
        ManagedPolicy { arn, name, path, description: self.description(), document, tags: self.tags() }
    }

    /// Something that a user has, or might have.
    fn dependent(&mut self, account: &str) -> (UserName, Dependent) {
        let known: Vec<_> = self.known.dependents.iter().rev().take(20).filter(|(of, ..)| *of == account).collect();
        if !known.is_empty() && !self.one_in(4) {
            let (_, user, dependent) = known[self.random.usize(..known.len())].clone();
            // Now and then of another user.
            return (if self.one_in(6) { self.user() } else { parsed(&user) }, dependent);
        }
        let dependent = match self.random.usize(..7) {
            0 => Dependent::LoginProfile,
            1 => Dependent::AccessKey("AKIAEXAMPLEEXAMPLE00".into()),
            2 => Dependent::SigningCertificate("CERTIFICATECERTIFICATE00".into()),
            3 => Dependent::SSHPublicKey("APKAEXAMPLEEXAMPLE00".into()),
            4 => Dependent::ServiceSpecificCredential("ACCAEXAMPLEEXAMPLE00".into()),
            5 => Dependent::MFADevice(format!("arn:aws:iam::{account}:mfa/none")),
            _ => Dependent::Group(self.group().to_string()),
        };
        (self.user(), dependent)
    }

    fn op(&mut self, account: &'static str, partition: &str) -> Op {
        match self.random.usize(..110) {
            0..66 => Op::Execute(self.action(account, partition)),
            66..69 => Op::Demolish(self.who()),
            69..86 => Op::Observe(self.scope(account, partition)),
            86..90 => Op::Dependents(self.who()),
            90..92 => {
                let users = USERS.iter().map(|name| IdentityName::User(parsed(name)));
                let roles = ROLES.iter().chain([&ROLE_OF_AWS]).map(|name| IdentityName::Role(parsed(name)));
                let policies =
                    POLICIES.iter().flat_map(|name| ["/", "/team/"].map(|path| format!("arn:{partition}:iam::{account}:policy{path}{name}")));
                Op::Sweep(users.chain(roles).collect(), policies.map(|arn| parsed(&arn)).collect())
            }
            92..94 => Op::Account,
            _ => Op::Change(self.change(account, partition)),
        }
    }

    fn action(&mut self, account: &'static str, partition: &str) -> Action {
        match self.random.usize(..66) {
            0..12 => {
                let who = self.who();
                Action::CreateIdentity(Box::new(self.identity(who, account, partition)))
            }
            12..17 => Action::CreatePolicy(Box::new(self.managed(account, partition))),
            17..21 => Action::CreatePolicyVersion(self.own_policy(account, partition), self.permissions()),
            21..24 => Action::DeletePolicyVersion(self.own_policy(account, partition), self.version()),
            24..27 => Action::DeletePolicy(self.own_policy(account, partition)),
            27..32 => Action::PutInlinePolicy(self.who(), self.name(&["one", "two", "rolebridge-assume-roles"]), self.permissions()),
            32..34 => Action::DeleteInlinePolicy(self.who(), self.name(&["one", "two", "rolebridge-assume-roles"])),
            34..40 => Action::AttachPolicy(self.who(), self.policy(account, partition)),
            40..42 => Action::DetachPolicy(self.who(), self.policy(account, partition)),
            42..48 => Action::UpdateTrustPolicy(self.role(), self.trust(partition)),
            48..50 => Action::UpdateRole(self.role(), self.description(), self.duration()),
            50..52 => Action::RenameUser(self.user(), self.user(), self.path()),
            52..54 => Action::PutPermissionsBoundary(self.who(), self.policy(account, partition)),
            54 => Action::DeletePermissionsBoundary(self.who()),
            55..57 => Action::AddToGroup(self.user(), self.group()),
            57 => Action::RemoveFromGroup(self.user(), self.group()),
            58..60 => Action::Tag(self.tagged(account, partition), self.tags()),
            60..62 => Action::Untag(
                self.tagged(account, partition),
                ["TEAM", "cost", "none"][..self.random.usize(1..4)].iter().map(|key| (*key).to_owned()).collect(),
            ),
            62..64 => {
                let (user, dependent) = self.dependent(account);
                Action::RemoveDependent(user, dependent)
            }
            _ => Action::DeleteIdentity(self.who()),
        }
    }

    fn tagged(&mut self, account: &str, partition: &str) -> Tagged {
        if self.one_in(3) { Tagged::Policy(self.own_policy(account, partition)) } else { Tagged::Identity(self.who()) }
    }

    fn scope(&mut self, account: &str, partition: &str) -> Scope {
        let name = (!self.one_in(8)).then(|| self.who());
        let count = self.random.usize(..3);
        let policies = (0..count).map(|_| self.own_policy(account, partition)).collect();
        let ids = self.known.ids();
        let pinned = (!ids.is_empty() && self.one_in(3)).then(|| parsed(ids[self.random.usize(..ids.len())]));
        Scope { name, policies, groups: self.random.bool(), pinned }
    }

    fn change(&mut self, account: &'static str, partition: &str) -> Change {
        match self.random.usize(..20) {
            0..2 => Change::CreateGroup(self.group()),
            2 => Change::DeleteGroup(self.group()),
            3 => Change::AttachGroupPolicy(self.group(), self.policy(account, partition)),
            4 => Change::DetachGroupPolicy(self.group(), self.policy(account, partition)),
            5..10 => {
                let dependent = match self.random.usize(..6) {
                    0 => Dependent::LoginProfile,
                    1 => Dependent::AccessKey(String::new()),
                    2 => Dependent::SigningCertificate(String::new()),
                    3 => Dependent::SSHPublicKey(String::new()),
                    4 => Dependent::ServiceSpecificCredential(String::new()),
                    _ => Dependent::MFADevice(format!("device-{}", self.random.u32(..))),
                };
                Change::Add(self.user(), dependent)
            }
            10 => match self.dependent(account) {
                (user, Dependent::AccessKey(id)) => Change::UpdateAccessKey(user, id, self.random.bool()),
                (user, _) => Change::UpdateAccessKey(user, "AKIAEXAMPLEEXAMPLE00".into(), true),
            },
            11..13 => Change::AddToInstanceProfile(self.role(), self.of(&["one", "two"]).into()),
            13 => Change::RemoveFromInstanceProfile(self.role(), self.of(&["one", "two"]).into()),
            14 => Change::SetDefaultPolicyVersion(self.own_policy(account, partition), self.version()),
            15 => {
                let text = self.of(&[
                    r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}}"#,
                    r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "STS:*", "Condition": {"NumericLessThan": {"aws:MultiFactorAuthAge": 5}}}}"#,
                    "{",
                ]);
                Change::UpdateTrustPolicy(self.role(), text.into())
            }
            16 => Change::CreateRoleOfAWS {
                path: "/aws-reserved/sso.amazonaws.com/".into(),
                name: parsed(ROLE_OF_AWS),
                trust_policy: json!({"Version": "2012-10-17", "Statement": [
                    {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111111111111:root"}, "Action": "sts:AssumeRole"}]}),
            },
            17 | 18 => {
                let (key, quotas) = self.of(&[
                    ("AssumeRolePolicySizeQuota", [2048, 4096]),
                    ("UserPolicySizeQuota", [2048, 1500]),
                    ("AttachedPoliciesPerRoleQuota", [2, 1]),
                    ("RolesQuota", [2, 1000]),
                    ("PolicySizeQuota", [6144, 3000]),
                ]);
                Change::SetQuota(key.into(), self.of(&quotas))
            }
            _ => Change::SetAlias(self.random.bool().then(|| format!("alias-{account}"))),
        }
    }
}
