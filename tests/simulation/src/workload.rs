//! Drawing a schedule from a seed: a small world, and what happens to it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::acts::{Act, Identity, Others, Trust, Which};
use crate::aws_state::text;
use crate::people::which;
use crate::random::Random;
use crate::schedule::{Schedule, Step, Strikes};

/// The namespaces.
const NAMESPACES: [&str; 2] = ["data", "team"];
/// Users and roles of each schedule.
const USERS: u64 = 3;
const ROLES: u64 = 3;

/// More principals than a status lists.
const CROWD: usize = 104;

/// Draws a schedule.
pub fn schedule(seed: u64) -> Schedule {
    let mut draw = Draw(Random::new(seed ^ 0x5bd1_e995));
    let mut steps = vec![];
    if draw.0.one_in(6) {
        let size = 250 + usize::try_from(draw.0.below(700)).unwrap_or_default();
        steps.push(at_once(Act::InAWS("prod".to_owned(), Others::TrustQuota(size))));
    }
    steps.extend(draw.beginning());
    let mut strangers = 2;
    match draw.0.below(40) {
        0..=3 => steps.extend(draw.busy_person()),
        4 => {
            strangers = CROWD;
            steps.extend(draw.crowd());
        }
        5..=12 => steps.extend(draw.rules_that_change()),
        _ => {
            let count = 4 + draw.0.below(9);
            for _ in 0..count {
                let act = draw.act();
                steps.push(Step { after: draw.pause(), act });
            }
        }
    }
    if draw.0.one_in(2) {
        // All that an account has forbidden is allowed again.
        steps.extend(["utils", "prod"].map(|name| Step { after: draw.pause(), act: Act::Apply(Box::new(draw.account(name, Rules::None))) }));
    }
    // Half of the runs have replicas that are not behind: there what is read is sure.
    let lag = if draw.0.one_in(2) { Duration::from_millis(draw.0.below(40_000)) } else { Duration::ZERO };
    Schedule { seed, steps, strikes: Strikes::Drawn, lag, strangers }
}

struct Draw(Random);

/// What an account forbids.
#[derive(Clone, Copy, PartialEq)]
enum Rules {
    /// Nothing that the workload declares.
    None,
    /// Something, or nothing.
    Drawn,
}

fn at_once(act: Act) -> Step {
    Step { after: Duration::ZERO, act }
}

impl Draw {
    fn often(&mut self, of_ten: u64) -> bool {
        self.0.below(10) < of_ten
    }

    fn pause(&mut self) -> Duration {
        let longest = match self.0.below(10) {
            0..=2 => 300,
            3..=7 => 6_000,
            8 => 30_000,
            _ => 150_000,
        };
        Duration::from_millis(self.0.below(longest))
    }

    /// Namespaces, accounts, and most of the users and roles.
    fn beginning(&mut self) -> Vec<Step> {
        let mut steps: Vec<Step> = NAMESPACES.iter().map(|name| at_once(Act::Apply(Box::new(namespace(name))))).collect();
        for name in ["utils", "prod"] {
            let rules = if self.0.one_in(6) { Rules::Drawn } else { Rules::None };
            steps.push(at_once(Act::Apply(Box::new(self.account(name, rules)))));
        }
        steps.push(at_once(Act::Apply(Box::new(self.config_map()))));
        let (users, roles) = (1 + self.0.below(USERS), 1 + self.0.below(ROLES));
        let mut objects: Vec<Value> = (0..users).map(|n| self.user(n)).collect();
        objects.extend((0..roles).map(|n| self.role(n)));
        while !objects.is_empty() {
            let index = usize::try_from(self.0.below(objects.len() as u64)).unwrap_or_default();
            let after = if self.often(7) { Duration::ZERO } else { self.pause() };
            steps.push(Step { after, act: Act::Apply(Box::new(objects.swap_remove(index))) });
        }
        steps
    }

    fn act(&mut self) -> Act {
        match self.0.below(21) {
            0..=2 => Act::Apply(Box::new(self.object())),
            3 => Act::Delete(self.which()),
            4 => {
                let manifest = self.object();
                Act::DeleteAndApply(which(&manifest), Box::new(manifest))
            }
            5..=12 => self.in_aws(),
            13..=14 => Act::Crash(Duration::from_millis(self.0.below(8_000))),
            15 => Act::Overlap(Duration::from_millis(self.0.below(20_000))),
            16 => Act::CutWatches(self.0.one_in(2)),
            17 => Act::APIServerAway(Duration::from_millis(self.0.below(15_000))),
            18 => Act::AccountClosed(self.in_account().to_owned(), Duration::from_millis(self.0.below(40_000))),
            // No further than leaves the operator half of the two minutes for which it does not believe that something is not there.
            20 => self.rules(),
            _ if self.0.one_in(2) => Act::ClockStep(i64::try_from(self.0.below(120_000)).unwrap_or_default() - 60_000),
            _ => Act::Wait,
        }
    }

    /// Somebody who edits the same object again and again, while others exchange something in AWS.
    fn busy_person(&mut self) -> Vec<Step> {
        let n = self.0.below(2);
        let mut object = if self.0.one_in(2) { self.user(n) } else { self.role(n) };
        let exchanged = self.0.below(3);
        let mut steps = vec![];
        for edit in 0..9 {
            object["spec"]["tags"] = json!({"edit": edit.to_string()});
            let after = Duration::from_millis(8_000 + self.0.below(20_000));
            steps.push(Step { after, act: Act::Apply(Box::new(object.clone())) });
            if edit == exchanged {
                let act = self.in_aws_on(text(&object["metadata"], "name"));
                steps.push(Step { after: Duration::from_millis(self.0.below(5_000)), act });
            }
        }
        steps
    }

    /// An account whose rules are other ones, or gone.
    fn rules(&mut self) -> Act {
        let name = self.in_account();
        let rules = if self.often(3) { Rules::None } else { Rules::Drawn };
        Act::Apply(Box::new(self.account(name, rules)))
    }

    /// Somebody who changes the rules of accounts again and again, while others go on.
    fn rules_that_change(&mut self) -> Vec<Step> {
        let count = 4 + self.0.below(8);
        let act = |draw: &mut Self| match draw.0.below(10) {
            0..=4 => draw.rules(),
            5..=7 => Act::Apply(Box::new(draw.object())),
            _ => draw.act(),
        };
        (0..count).map(|_| Step { after: self.pause(), act: act(self) }).collect()
    }

    /// A role that trusts more principals than its status lists; one of them, or more, is exchanged.
    fn crowd(&mut self) -> Vec<Step> {
        let from: Vec<Value> = (0..CROWD).map(|n| json!({"awsPrincipal": format!("arn:aws:iam::333333333333:user/p{n}")})).collect();
        let (first, second) = from.split_at(90);
        let mut role = self.role(0);
        role["spec"]["trust"] = json!([{"from": first}, {"from": second}]);
        let quota = |account: &str| at_once(Act::InAWS(account.to_owned(), Others::TrustQuota(8_192)));
        let mut steps = vec![quota("prod"), at_once(Act::Apply(Box::new(role)))];
        for _ in 0..1 + self.0.below(3) {
            let who = Identity::User(format!("p{}", self.0.below(CROWD as u64)));
            steps.push(Step { after: Duration::from_millis(self.0.below(90_000)), act: Act::InAWS("others".to_owned(), Others::Exchange(who)) });
        }
        let act = self.act();
        steps.push(Step { after: Duration::from_millis(self.0.below(150_000)), act });
        steps
    }

    /// Somebody exchanges a user or role of this name, or what it trusts.
    fn in_aws_on(&mut self, name: &str) -> Act {
        let who = if name.starts_with('u') { Identity::User(name.to_owned()) } else { Identity::Role(name.to_owned()) };
        let account = if name.starts_with('u') || name == "r2" { "utils" } else { "prod" };
        match self.0.below(4) {
            0 => Act::InAWS(account.to_owned(), Others::Delete(who)),
            1 => Act::InAWS("utils".to_owned(), Others::Exchange(Identity::User(format!("u{}", self.0.below(USERS))))),
            _ => Act::InAWS(account.to_owned(), Others::Exchange(who)),
        }
    }

    fn in_account(&mut self) -> &'static str {
        self.0.of(&["utils", "prod"])
    }

    fn object(&mut self) -> Value {
        match self.0.below(12) {
            0 => {
                let name = self.in_account();
                self.account(name, Rules::Drawn)
            }
            1 => self.config_map(),
            2 => {
                let mut namespace = namespace(self.0.of(&NAMESPACES));
                namespace["metadata"]["labels"] = json!({"tier": self.0.of(&["a", "b"])});
                namespace
            }
            3..=5 => {
                let n = self.0.below(USERS);
                self.user(n)
            }
            _ => {
                let n = self.0.below(ROLES);
                self.role(n)
            }
        }
    }

    fn which(&mut self) -> Which {
        let mut manifest = self.object();
        if manifest["kind"] == "Namespace" || (manifest["kind"] == "AWSAccount" && self.often(8)) {
            let n = self.0.below(ROLES);
            manifest = self.role(n);
        }
        which(&manifest)
    }

    fn account(&mut self, name: &str, rules: Rules) -> Value {
        let id = if name == "utils" { "111111111111" } else { "222222222222" };
        let allowed = match self.0.below(6) {
            0 if rules == Rules::Drawn => json!({"from": "Names", "names": ["data"]}),
            1 if rules == Rules::Drawn => json!({"from": "Selector", "selector": {"matchLabels": {"tier": "a"}}}),
            _ => json!({"from": "All"}),
        };
        let mut guardrails = json!({"accountRootTrust": true, "allowedPrincipals": ["arn:aws:iam::333333333333:*"], "allowedGroups": ["*"], "allowedExternalRoles": ["arn:aws:iam::333333333333:role/*"]});
        if rules == Rules::Drawn {
            for _ in 0..self.0.below(4) {
                let (rule, value) = self.rule(id);
                guardrails[rule] = value;
            }
            if self.0.one_in(2) {
                guardrails["onViolation"] = json!("Disable");
            }
        }
        let mut spec =
            json!({"accountID": id, "access": {"ambient": {}}, "allowedNamespaces": allowed, "guardrails": guardrails, "sweep": {"interval": "2m"}});
        if rules == Rules::Drawn && self.0.one_in(4) {
            spec["defaults"] = self.defaults(id, &spec["guardrails"].clone());
        }
        json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "AWSAccount", "metadata": {"name": name}, "spec": spec})
    }

    /// A rule of an account: some of what the workload declares keeps to it.
    fn rule(&mut self, id: &str) -> (&'static str, Value) {
        match self.0.below(19) {
            0 => ("requiredPathPrefix", json!(self.0.of(&["/", "/", "/teams/"]))),
            1..=2 => ("permissionsBoundaryARN", json!(self.limit(id))),
            3 => (
                "allowedPolicies",
                self.0.of(&[json!([]), json!(["arn:aws:iam::aws:policy/ReadOnly*"]), json!([format!("arn:aws:iam::{id}:policy/limit")])]),
            ),
            4 => ("policyDocumentSources", self.0.of(&[json!(["Spec"]), json!(["ConfigMap"]), json!([])])),
            5 => ("allowedServices", self.0.of(&[json!([]), json!(["lambda.*"])])),
            6 => ("allowedIdentityProviders", self.0.of(&[json!([]), json!([format!("arn:aws:iam::{id}:*")])])),
            7 => ("allowedPrincipals", self.0.of(&[json!([]), json!(["arn:aws:iam::333333333333:user/p1"])])),
            8 => ("accountRootTrust", json!(false)),
            9 => ("allowedGroups", self.0.of(&[json!([]), json!(["G0"])])),
            10..=11 => ("allowedTagKeys", self.0.of(&[json!([]), json!(["Team"]), json!(["c*"])])),
            12 => ("allowedRoleNames", self.0.of(&[json!(["R0", "r2"]), json!(["r*"])])),
            13 => ("reservedNames", self.0.of(&[json!(["r1"]), json!(["U0"]), json!(["*2"]), json!([])])),
            14 => ("maxSessionDuration", json!(self.0.of(&["1h", "2h"]))),
            15 => ("requireMFA", json!(true)),
            16 => ("allowedExternalRoles", self.0.of(&[json!([]), json!(["arn:aws:iam::333333333333:role/ci-*"])])),
            _ => {
                let quotas = [("users", self.0.below(3)), ("roles", self.0.below(3)), ("policies", self.0.below(3))];
                ("quotas", quotas.into_iter().filter(|_| self.0.one_in(2)).map(|(what, most)| (what.to_owned(), json!(most))).collect())
            }
        }
    }

    /// The ARN of a policy that is a permissions boundary; of one that does not exist, now and then.
    fn limit(&mut self, id: &str) -> String {
        format!("arn:aws:iam::{id}:policy/{}", self.0.of(&["limit", "limit", "limit-more", "limit-more", "missing"]))
    }

    /// What users and roles of an account have, given what it forbids.
    fn defaults(&mut self, id: &str, guardrails: &Value) -> Value {
        let mut defaults = json!({});
        if self.0.one_in(2) {
            defaults["tags"] = self.0.of(&[json!({"cost": "center"}), json!({"team": "z", "cost": "none"})]);
        }
        if self.0.one_in(2) {
            defaults["maxSessionDuration"] = if guardrails["maxSessionDuration"] == "1h" { json!("1h") } else { json!(self.0.of(&["1h", "2h"])) };
        }
        if self.0.one_in(2) {
            let forced = &guardrails["permissionsBoundaryARN"];
            defaults["permissionsBoundaryARN"] = if forced.is_null() { json!(self.limit(id)) } else { forced.clone() };
        }
        defaults
    }

    fn config_map(&mut self) -> Value {
        let text = if self.0.one_in(6) { "not a document".to_owned() } else { document(self.0.of(&["s3:Get*", "ec2:Describe*"])) };
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "policies", "namespace": "data"}, "data": {"one.json": text}})
    }

    fn user(&mut self, n: u64) -> Value {
        let namespace = NAMESPACES[usize::from(n == 2)];
        let mut spec = json!({"accountRef": {"name": "utils"}});
        if n == 2 || self.0.one_in(4) {
            spec["allowRolesFrom"] = if self.often(8) { json!({"from": "All"}) } else { json!({"from": "Same"}) };
        }
        if self.0.one_in(3) {
            spec["tags"] = self.tags();
        }
        if self.0.one_in(4) {
            spec["permissions"] = json!({});
            spec["groups"] = self.0.of(&[json!([]), json!(["g0"]), json!(["g0", "g1"])]);
        }
        if self.0.one_in(3) {
            spec["permissions"] = self.permissions(&format!("u{n}"), namespace, "111111111111");
        }
        if self.0.one_in(8) {
            spec["permissionsBoundaryARN"] = json!(self.limit("111111111111"));
        }
        let metadata = json!({"name": format!("u{n}"), "namespace": namespace, "labels": {"crew": self.0.of(&["red", "blue"])}});
        json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "BastionUser", "metadata": metadata, "spec": spec})
    }

    fn role(&mut self, n: u64) -> Value {
        let (account, id) = if n == 2 { ("utils", "111111111111") } else { ("prod", "222222222222") };
        let entries = match self.0.below(8) {
            0 => 0,
            1 => 2,
            _ => 1,
        };
        let mut trust: Vec<Value> = (0..entries).map(|_| self.entry(n)).collect();
        if self.0.one_in(8) {
            trust.push(json!({"from": [self.voucher(id)]}));
        }
        let mut spec = json!({"accountRef": {"name": account}, "trust": trust});
        if self.0.one_in(4) {
            spec["description"] = json!(self.0.of(&["one", "two"]));
        }
        if self.0.one_in(4) {
            spec["tags"] = self.tags();
        }
        if self.0.one_in(5) {
            spec["maxSessionDuration"] = json!(self.0.of(&["1h", "2h"]));
        }
        if n == 2 {
            spec["allowRolesFrom"] = json!({"from": "All"});
        }
        if self.0.one_in(2) {
            spec["permissions"] = self.permissions(&format!("r{n}"), "data", id);
        }
        if self.0.one_in(8) {
            spec["permissionsBoundaryARN"] = json!(self.limit(id));
        }
        let metadata = json!({"name": format!("r{n}"), "namespace": "data"});
        json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "CrossAccountRole", "metadata": metadata, "spec": spec})
    }

    fn entry(&mut self, of: u64) -> Value {
        let count = 1 + self.0.below(3);
        let mut from: Vec<Value> = vec![];
        for _ in 0..count {
            let source = self.source(of);
            if !from.contains(&source) {
                from.push(source);
            }
        }
        let mut entry = json!({"from": from});
        let only_users = from.iter().all(|source| source.get("user").is_some());
        if only_users && self.0.one_in(5) {
            entry["principal"] = json!("AccountRoot");
        }
        let are_people = from.iter().all(|source| source.get("role").is_none());
        match self.0.below(7) {
            6 if are_people => entry["require"] = json!({"mfa": {}}),
            0 => entry["require"] = json!({"externalID": self.0.of(&["one-two", "three-four"])}),
            1 => entry["require"] = json!({"sourceIPs": [self.0.of(&["192.0.2.0/24", "198.51.100.0/24"])]}),
            _ => {}
        }
        entry
    }

    fn source(&mut self, of: u64) -> Value {
        match self.0.below(12) {
            0 => json!({"users": {"selector": {"matchLabels": {"crew": self.0.of(&["red", "blue"])}}, "namespaces": ["data", "team"]}}),
            1 if of != 2 => json!({"role": {"name": "r2"}}),
            1..=2 => json!({"awsPrincipal": format!("arn:aws:iam::333333333333:user/p{}", self.0.below(2))}),
            3 if self.0.one_in(3) => json!({"account": "utils"}),
            _ => {
                let n = self.0.below(USERS);
                json!({"user": {"name": format!("u{n}"), "namespace": NAMESPACES[usize::from(n == 2)]}})
            }
        }
    }

    /// A service or a provider that vouches for others.
    fn voucher(&mut self, id: &str) -> Value {
        match self.0.below(3) {
            0 => json!({"service": "ec2.amazonaws.com"}),
            1 => json!({"service": "lambda.amazonaws.com"}),
            _ => json!({"oidc": {"providerARN": format!("arn:aws:iam::{id}:oidc-provider/ci.example.com"), "audience": "ci", "subject": "job"}}),
        }
    }

    fn tags(&mut self) -> Value {
        self.0.of(&[json!({"team": "x"}), json!({"team": "y"}), json!({"cost": "x"}), json!({"Team": "x", "cost": "y"})])
    }

    fn permissions(&mut self, name: &str, namespace: &str, id: &str) -> Value {
        let mut permissions = json!({});
        if self.0.one_in(2) {
            permissions["attachedPolicies"] = json!([self.0.of(&["ReadOnlyAccess", "SecurityAudit"])]);
        }
        if self.0.one_in(10) {
            // One that belongs to another resource, if it is there.
            let other = self.0.of(if id == "111111111111" { &["u0-own", "u1-own", "r2-own"] } else { &["r0-own", "r1-own", "r0-own"] });
            permissions["attachedPolicies"] = json!([format!("arn:aws:iam::{id}:policy/{other}")]);
        }
        if self.0.one_in(3) {
            let own = json!({"name": format!("{name}-own"), "json": self.document()});
            permissions["customerManagedPolicies"] = json!([own]);
        }
        let names = ["fence", "admin"].into_iter().filter(|_| self.0.one_in(3)).collect::<Vec<_>>();
        if !names.is_empty() {
            let inline: Vec<Value> = names.into_iter().map(|name| json!({"name": name, "json": self.document()})).collect();
            permissions["inlinePolicies"] = json!(inline);
        }
        if namespace == "data" && self.0.one_in(5) {
            let by_reference = json!({"name": "configured", "configMapKeyRef": {"name": "policies", "key": "one.json"}});
            permissions["inlinePolicies"] = json!([by_reference]);
        }
        if self.0.one_in(4) {
            let (pattern, role) = ("arn:aws:iam::333333333333:role/ci-*", "arn:aws:iam::333333333333:role/vendor/reader");
            permissions["externalRoles"] = self.0.of(&[json!([pattern]), json!([role]), json!([role, pattern])]);
        }
        if self.0.one_in(4) {
            permissions["unmanaged"] = json!("Report");
        }
        permissions
    }

    /// What a policy may say: allow, deny, or both.
    fn document(&mut self) -> String {
        match self.0.below(7) {
            0 => document("s3:*"),
            1 => document("sqs:*"),
            6 => document("s3:Delete*").replace("Allow", "Deny"),
            2..=3 => {
                let (allows, denies) = (self.0.of(&["s3:Get*", "s3:*"]), self.0.of(&["s3:DeleteObject", "s3:Put*"]));
                let statement = |effect: &str, action: &str| json!({"Effect": effect, "Action": action, "Resource": "*"});
                json!({"Version": "2012-10-17", "Statement": [statement("Allow", allows), statement("Deny", denies)]}).to_string()
            }
            _ => document(self.0.of(&["s3:Get*", "s3:Put*"])),
        }
    }

    fn identity(&mut self) -> (&'static str, Identity) {
        if self.0.one_in(2) {
            return ("utils", Identity::User(format!("u{}", self.0.below(USERS))));
        }
        let n = self.0.below(ROLES);
        (if n == 2 { "utils" } else { "prod" }, Identity::Role(format!("r{n}")))
    }

    fn in_aws(&mut self) -> Act {
        let (account, who) = self.identity();
        let user = format!("u{}", self.0.below(USERS));
        let trust = self.0.of(&[Trust::StrangerToo, Trust::StrangerAlone, Trust::Root, Trust::Nobody]);
        let (of_role, role) = match self.0.below(ROLES) {
            2 => ("utils", "r2".to_owned()),
            n => ("prod", format!("r{n}")),
        };
        match self.0.below(26) {
            0..=2 => Act::InAWS(account.to_owned(), Others::Delete(who)),
            3..=4 => Act::InAWS(account.to_owned(), Others::Exchange(who)),
            5 => Act::InAWS(account.to_owned(), Others::Make(who)),
            6 => Act::InAWS("utils".to_owned(), Others::Rename(user.clone(), format!("{user}-renamed"))),
            7..=8 => Act::InAWS(of_role.to_owned(), Others::Trust(role, trust)),
            9 => Act::InAWS(account.to_owned(), Others::PutInline(who)),
            10 => Act::InAWS(account.to_owned(), Others::DeleteInline(who)),
            11 => Act::InAWS(account.to_owned(), Others::Attach(who)),
            12 => Act::InAWS(account.to_owned(), Others::Detach(who)),
            13 => Act::InAWS(account.to_owned(), Others::Untag(who)),
            14 => Act::InAWS(account.to_owned(), Others::Tag(who)),
            15 => Act::InAWS(account.to_owned(), Others::Rewrite(who)),
            16 => Act::InAWS("others".to_owned(), Others::Exchange(Identity::User(format!("p{}", self.0.below(2))))),
            17 => Act::InAWS("utils".to_owned(), Others::Join(user, format!("g{}", self.0.below(2)))),
            18 => Act::InAWS("utils".to_owned(), Others::Leave(user, format!("g{}", self.0.below(2)))),
            19 => Act::InAWS(account.to_owned(), Others::Deny(who)),
            20 => Act::InAWS(account.to_owned(), Others::AttachDenial(who)),
            21 => Act::InAWS(account.to_owned(), Others::Quarantine(who)),
            22 => Act::InAWS(account.to_owned(), Others::Bound(who)),
            23 => Act::InAWS(account.to_owned(), Others::RemoveBoundary(who)),
            24 => Act::InAWS("utils".to_owned(), Others::DescribeKey(user)),
            _ => Act::InAWS("utils".to_owned(), Others::GiveKey(user)),
        }
    }
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"tier": "a"}}})
}

fn document(action: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}).to_string()
}
