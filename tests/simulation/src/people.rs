//! Carrying out what people do in Kubernetes and others in AWS.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rolebridge::core::action::{Action, Tagged};
use rolebridge::core::document::Document;
use rolebridge::core::identity::{Identity as IAMIdentity, IdentityName, ManagedPolicy, RoleSettings};
use rolebridge::core::names::{AccountID, Arn, Partition};
use serde_json::{Value, json};

use crate::acts::{Identity, Others, Trust, Which};
use crate::aws_state::{find, items, text};
use crate::iam::{Change, View};
use crate::random::Random;
use crate::world::State;

/// The accounts by the names of their AWSAccounts. Nobody declares `others`: strangers live there.
pub const ACCOUNTS: [(&str, &str); 3] = [("utils", "111111111111"), ("prod", "222222222222"), ("others", "333333333333")];

/// The path of a kind's objects, or of one of them.
fn path(which: &Which) -> String {
    let Which { plural, namespace, name } = which;
    let group = if matches!(plural.as_str(), "namespaces" | "configmaps") { "/api/v1" } else { "/apis/rolebridge.io/v1alpha1" };
    let within = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
    let name = if name.is_empty() { String::new() } else { format!("/{name}") };
    format!("{group}{within}/{plural}{name}")
}

/// Which object a manifest is of.
pub fn which(manifest: &Value) -> Which {
    let plural = match text(manifest, "kind") {
        "AWSAccount" => "awsaccounts",
        "BastionUser" => "bastionusers",
        "CrossAccountRole" => "crossaccountroles",
        "Namespace" => "namespaces",
        _ => "configmaps",
    };
    let meta = &manifest["metadata"];
    Which { plural: plural.to_owned(), namespace: text(meta, "namespace").to_owned(), name: text(meta, "name").to_owned() }
}

/// Makes what a manifest says, or gives what is there its spec, labels and data.
pub fn apply(state: &mut State, manifest: &Value) {
    let object = which(manifest);
    let all = path(&Which { name: String::new(), ..object.clone() });
    if let Err((409, _)) = state.person("POST", &all, "application/json", manifest) {
        // As PUT would, but for what others have there: finalizers and status.
        let Ok(mut there) = state.person("GET", &path(&object), "", &Value::Null) else { return };
        for field in ["spec", "data"] {
            if !manifest[field].is_null() {
                there[field] = manifest[field].clone();
            }
        }
        there["metadata"]["labels"] = manifest["metadata"]["labels"].clone();
        // What is refused, such as an edit of what is just being removed, is the person's to see.
        let _ = state.person("PUT", &path(&object), "application/json", &there);
    }
}

/// Deletes an object, if it is there.
pub fn delete(state: &mut State, object: &Which) {
    let _ = state.person("DELETE", &path(object), "application/json", &Value::Null);
}

/// Somebody else's hands in one account of AWS. What IAM refuses them is no matter of the run.
pub struct Hands<'s> {
    state: &'s mut State,
    id: AccountID,
    random: Random,
}

impl<'s> Hands<'s> {
    /// In the account of this name.
    pub fn new(state: &'s mut State, account: &str, random: Random) -> Option<Self> {
        let id = ACCOUNTS.iter().find(|(name, _)| *name == account)?.1.parse().ok()?;
        Some(Self { state, id, random })
    }

    /// Does it.
    pub fn carry_out(&mut self, what: &Others) {
        self.attempt(what);
        let now = self.state.now();
        self.state.checker.changed_by_others(&self.state.cloud, now);
    }

    fn act(&mut self, action: &Action) -> bool {
        let view = View { now: self.state.now(), lag: Duration::ZERO, random: &mut self.random };
        let result = self.state.cloud.execute(&self.id, action, view);
        let ending = result.as_ref().err().map_or("done".to_owned(), |failure| failure.message.clone());
        self.state.trace.say(format_args!("others in {}: {action}: {ending}", self.id));
        result.is_ok()
    }

    fn change(&mut self, change: &Change) {
        let view = View { now: self.state.now(), lag: Duration::ZERO, random: &mut self.random };
        let ending = self.state.cloud.change(&self.id, change, view).err().map_or("done".to_owned(), |failure| failure.message);
        self.state.trace.say(format_args!("others in {}: {change:?}: {ending}", self.id));
    }

    fn find(&self, who: &Identity) -> Option<std::sync::Arc<Value>> {
        find(&self.state.cloud.state().remove(&self.id)?, who.kind(), who.name()).cloned()
    }

    fn attempt(&mut self, what: &Others) -> Option<()> {
        match what {
            Others::Delete(who) => self.delete(who)?,
            Others::Make(who) => self.make(who)?,
            Others::Exchange(who) => {
                self.delete(who)?;
                self.make(who)?;
            }
            Others::Rename(from, to) => {
                self.act(&Action::RenameUser(from.parse().ok()?, to.parse().ok()?, "/".parse().ok()?));
            }
            Others::Trust(role, trust) => {
                let document = self.trust(role, *trust)?;
                self.act(&Action::UpdateTrustPolicy(role.parse().ok()?, document));
            }
            Others::PutInline(who) => {
                self.act(&Action::PutInlinePolicy(name(who)?, "by-hand".parse().ok()?, allow("s3:*")?));
            }
            Others::DeleteInline(who) => {
                let policy = self.find(who)?["inlinePolicies"].as_object()?.keys().next()?.parse().ok()?;
                self.act(&Action::DeleteInlinePolicy(name(who)?, policy));
            }
            Others::Attach(who) => {
                self.act(&Action::AttachPolicy(name(who)?, "arn:aws:iam::aws:policy/AdministratorAccess".parse().ok()?));
            }
            Others::Detach(who) => {
                let policy = items(&self.find(who)?["attachedPolicies"]).first()?.parse().ok()?;
                self.act(&Action::DetachPolicy(name(who)?, policy));
            }
            Others::Untag(who) => {
                let keys = ["rolebridge.io/installation", "rolebridge.io/owner"].map(str::to_owned).to_vec();
                self.act(&Action::Untag(Tagged::Identity(name(who)?), keys));
            }
            Others::Tag(who) => {
                self.act(&Action::Tag(Tagged::Identity(name(who)?), [("by".to_owned(), "hand".to_owned())].into()));
            }
            Others::Rewrite(who) => {
                let own = format!("arn:aws:iam::{}:", self.id);
                // A denial of others that says something else would be one no more, which the checker does not follow.
                let is_meant = |arn: &&str| arn.starts_with(&own) && !arn.ends_with("/denial-by-hand");
                let policy = items(&self.find(who)?["attachedPolicies"]).into_iter().find(is_meant)?.parse().ok()?;
                self.act(&Action::CreatePolicyVersion(policy, allow("ec2:*")?));
            }
            Others::Deny(who) => {
                let denies = document(&[statement("Deny", &["s3:Put*", "sqs:*"])])?;
                self.act(&Action::PutInlinePolicy(name(who)?, "denial-by-hand".parse().ok()?, denies));
            }
            Others::AttachDenial(who) => {
                let denial = self.make_policy("denial-by-hand", &[statement("Deny", &["s3:Delete*"])])?;
                self.act(&Action::AttachPolicy(name(who)?, denial));
            }
            Others::Quarantine(who) => {
                self.act(&Action::AttachPolicy(name(who)?, "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3".parse().ok()?));
            }
            Others::Bound(who) => {
                let limit = self.make_policy("limit-by-hand", &[statement("Allow", &["s3:*", "sqs:*", "sts:AssumeRole"])])?;
                self.act(&Action::PutPermissionsBoundary(name(who)?, limit));
            }
            Others::DescribeKey(user) => {
                let description = [("AKIAIOSFODNN7EXAMPLE".to_owned(), "Uploads until 2027".to_owned())].into();
                self.act(&Action::Tag(Tagged::Identity(IdentityName::User(user.parse().ok()?)), description));
            }
            Others::RemoveBoundary(who) => {
                self.act(&Action::DeletePermissionsBoundary(name(who)?));
            }
            Others::Join(user, group) => {
                self.change(&Change::CreateGroup(group.parse().ok()?));
                self.act(&Action::AddToGroup(user.parse().ok()?, group.parse().ok()?));
            }
            Others::Leave(user, group) => {
                self.act(&Action::RemoveFromGroup(user.parse().ok()?, group.parse().ok()?));
            }
            Others::GiveKey(user) => self.change(&Change::CreateAccessKey(user.parse().ok()?)),
            Others::TrustQuota(size) => self.change(&Change::SetQuota("AssumeRolePolicySizeQuota".into(), *size)),
        }
        Some(())
    }

    /// Deletes a user or role with all that it has.
    fn delete(&mut self, who: &Identity) -> Option<()> {
        let object = self.find(who)?;
        let name = name(who)?;
        for policy in object["inlinePolicies"].as_object().into_iter().flat_map(|policies| policies.keys()) {
            self.act(&Action::DeleteInlinePolicy(name.clone(), policy.parse().ok()?));
        }
        for policy in items(&object["attachedPolicies"]) {
            self.act(&Action::DetachPolicy(name.clone(), policy.parse().ok()?));
        }
        if let Identity::User(user) = who {
            let view = View { now: self.state.now(), lag: Duration::ZERO, random: &mut self.random };
            let dependents = self.state.cloud.dependents(&self.id, &name, view).ok()?;
            for dependent in dependents.of_user {
                self.act(&Action::RemoveDependent(user.parse().ok()?, dependent));
            }
        }
        self.act(&Action::DeleteIdentity(name)).then_some(())
    }

    /// Makes a user or role that trusts, or may do, what a stranger would like it to.
    fn make(&mut self, who: &Identity) -> Option<()> {
        let role = matches!(who, Identity::Role(_)).then(|| {
            let trust_policy = self.trust(who.name(), Trust::Root)?;
            Some(RoleSettings { description: String::new(), max_session_duration: 3600, trust_policy })
        });
        let identity = IAMIdentity {
            name: name(who)?,
            path: "/".parse().ok()?,
            tags: BTreeMap::new(),
            permissions_boundary: None,
            inline_policies: BTreeMap::new(),
            attached_policies: BTreeSet::new(),
            groups: None,
            role: role.flatten(),
        };
        self.act(&Action::CreateIdentity(Box::new(identity)));
        if let Identity::User(_) = who {
            self.act(&Action::PutInlinePolicy(name(who)?, "assume".parse().ok()?, allow("sts:AssumeRole")?));
        }
        Some(())
    }

    fn trust(&self, role: &str, trust: Trust) -> Option<Document> {
        let (stranger, root) = (json!("arn:aws:iam::333333333333:user/p0"), json!("arn:aws:iam::111111111111:root"));
        let statement = |principal: Value| json!({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"});
        let statements = match trust {
            Trust::StrangerToo => {
                let there = self.find(&Identity::Role(role.to_owned()))?["assumeRolePolicyDocument"]["Statement"].clone();
                let mut all = there.as_array().cloned().unwrap_or_else(|| vec![there]);
                all.push(statement(stranger));
                all
            }
            Trust::StrangerAlone => vec![statement(stranger)],
            Trust::Root => vec![statement(root)],
            Trust::Nobody => vec![json!({"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"})],
        };
        Document::parse(&json!({"Version": "2012-10-17", "Statement": statements}).to_string()).ok()
    }
}

fn name(who: &Identity) -> Option<IdentityName> {
    Some(match who {
        Identity::User(name) => IdentityName::User(name.parse().ok()?),
        Identity::Role(name) => IdentityName::Role(name.parse().ok()?),
    })
}

fn statement(effect: &str, actions: &[&str]) -> Value {
    json!({"Effect": effect, "Action": actions, "Resource": "*"})
}

fn document(statements: &[Value]) -> Option<Document> {
    Document::parse(&json!({"Version": "2012-10-17", "Statement": statements}).to_string()).ok()
}

fn allow(action: &str) -> Option<Document> {
    document(&[statement("Allow", &[action])])
}

/// The accounts and what is in them from the beginning: groups, policies that limit, and the strangers: users `p0`, `p1` and so on, who may assume
/// whatever lets them in.
pub fn populate(state: &mut State, strangers: usize) {
    for (name, id) in ACCOUNTS {
        let Ok(id) = id.parse::<AccountID>() else { continue };
        state.cloud.open(&id, &Partition::default());
        let chance = Random::new(state.seed);
        if let Some(mut hands) = Hands::new(state, name, chance) {
            match name {
                "others" => hands.be_strangers(strangers),
                _ => hands.set_limits(name == "utils").unwrap_or_default(),
            }
        }
    }
    let now = state.now();
    state.checker.changed_by_others(&state.cloud, now);
    // What is there from the beginning was not changed by anybody.
    state.checker.touched.clear();
}

impl Hands<'_> {
    fn be_strangers(&mut self, count: usize) {
        for n in 0..count {
            self.make(&Identity::User(format!("p{n}")));
        }
    }

    /// Boundaries `limit` and `limit-more`; groups `g0`, which denies something, and `g1`, which allows something.
    fn set_limits(&mut self, has_groups: bool) -> Option<()> {
        self.make_policy("limit", &[statement("Allow", &["s3:Get*", "sts:AssumeRole"])])?;
        self.make_policy("limit-more", &[statement("Allow", &["s3:*", "ec2:*", "sts:AssumeRole"])])?;
        if has_groups {
            for (group, policy, says) in [("g0", "fence", statement("Deny", &["s3:DeleteObject"])), ("g1", "queues", statement("Allow", &["sqs:*"]))]
            {
                let arn = self.make_policy(policy, &[says])?;
                self.change(&Change::CreateGroup(group.parse().ok()?));
                self.change(&Change::AttachGroupPolicy(group.parse().ok()?, arn));
            }
        }
        Some(())
    }

    fn make_policy(&mut self, name: &str, statements: &[Value]) -> Option<Arn> {
        let document = document(statements)?;
        let arn: Arn = format!("arn:aws:iam::{}:policy/{name}", self.id).parse().ok()?;
        let policy = ManagedPolicy {
            arn: arn.clone(),
            name: name.parse().ok()?,
            path: "/".parse().ok()?,
            description: String::new(),
            document,
            tags: BTreeMap::new(),
        };
        self.act(&Action::CreatePolicy(Box::new(policy)));
        Some(arn)
    }
}
