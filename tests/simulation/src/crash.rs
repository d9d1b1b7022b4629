//! Every point at which a workload can be harmed: the operator dies before or after each of its calls, or a reply is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::acts::{Act, Identity, Others};
use crate::people::which;
use crate::schedule::{Call, Schedule, Step, Strike, Strikes};
use crate::shrink::Failing;
use crate::simulate::carry_out;

/// What is harmed, and what is done to it.
pub const HARMS: [Strike; 3] = [Strike::DiesBefore, Strike::DiesAfter, Strike::ReplyLost];

/// A workload by its name.
pub struct Workload {
    /// What is done.
    pub name: &'static str,
    /// The same as values.
    pub schedule: Schedule,
}

/// The workloads: the recipe is made, changed and deleted; a role and a user are deleted in AWS and made again.
pub fn workloads() -> Vec<Workload> {
    let make = || vec![now(&namespace()), now(&account("utils", "111111111111")), now(&account("prod", "222222222222"))];
    let policies = |action: &str| config_map(action);
    let mut recipe = make();
    recipe.extend([now(&policies("s3:Get*")), now(&user("alice")), now(&user("bob")), now(&user("carol")), now(&role(&["alice", "bob"], "before"))]);
    let mut change = recipe.clone();
    change.extend([later(&policies("s3:List*")), now(&role(&["alice", "carol"], "after"))]);
    let mut delete = recipe.clone();
    delete.extend([deleted(&role(&[], "")), deleted(&user("alice"))]);
    let mut role_again = recipe.clone();
    role_again.push(in_aws("prod", Others::Delete(Identity::Role("reader".to_owned()))));
    let mut user_again = recipe.clone();
    user_again.push(in_aws("utils", Others::Delete(Identity::User("alice".to_owned()))));
    let mut again_and_deleted = role_again.clone();
    again_and_deleted.push(Step { after: Duration::from_secs(140), ..deleted(&role(&[], "")) });
    // Long enough for a sweep to find what is missing, and for it to be made again.
    for workload in [&mut role_again, &mut user_again] {
        workload.push(Step { after: Duration::from_secs(150), act: Act::Wait });
    }
    let named = [
        ("the recipe is made", recipe),
        ("the recipe is changed", change),
        ("the recipe is deleted", delete),
        ("a role is deleted in AWS", role_again),
        ("a user is deleted in AWS", user_again),
        ("a role is deleted in AWS, and then its resource", again_and_deleted),
    ];
    let schedule = |steps| Schedule { seed: 1, steps, strikes: Strikes::Listed(BTreeMap::new()), lag: Duration::ZERO, strangers: 0 };
    named.into_iter().map(|(name, steps)| Workload { name, schedule: schedule(steps) }).collect()
}

/// Harms a workload at each of its calls. Returns how many points that were, and the first at which something does not hold.
pub fn harm_everywhere(workload: &Schedule, harm: Strike) -> (usize, Option<Failing>) {
    let calls: Vec<Call> = carry_out(workload, true).made.into_iter().filter(|call| !call.what.starts_with("WATCH")).collect();
    for call in &calls {
        let schedule = Schedule { strikes: Strikes::Listed([(call.clone(), harm)].into()), ..workload.clone() };
        if let Some(violation) = carry_out(&schedule, false).violation {
            return (calls.len(), Some(Failing { schedule, violation }));
        }
    }
    (calls.len(), None)
}

fn now(manifest: &Value) -> Step {
    Step { after: Duration::ZERO, act: Act::Apply(Box::new(manifest.clone())) }
}

fn later(manifest: &Value) -> Step {
    Step { after: Duration::from_secs(90), ..now(manifest) }
}

fn deleted(manifest: &Value) -> Step {
    Step { after: Duration::from_secs(5), act: Act::Delete(which(manifest)) }
}

fn in_aws(account: &str, what: Others) -> Step {
    Step { after: Duration::from_secs(5), act: Act::InAWS(account.to_owned(), what) }
}

fn namespace() -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "data"}})
}

fn account(name: &str, id: &str) -> Value {
    let spec = json!({"accountID": id, "access": {"ambient": {}}, "allowedNamespaces": {"from": "All"}, "sweep": {"interval": "2m"}});
    json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "AWSAccount", "metadata": {"name": name}, "spec": spec})
}

fn document(action: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}).to_string()
}

fn config_map(action: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "policies", "namespace": "data"}, "data": {"list.json": document(action)}})
}

fn user(name: &str) -> Value {
    let metadata = json!({"name": name, "namespace": "data"});
    json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "BastionUser", "metadata": metadata, "spec": {"accountRef": {"name": "utils"}}})
}

fn role(sources: &[&str], description: &str) -> Value {
    let from: Vec<Value> = sources.iter().map(|name| json!({"user": {"name": name}})).collect();
    let managed = json!({"name": "list", "configMapKeyRef": {"name": "policies", "key": "list.json"}});
    let permissions = json!({"customerManagedPolicies": [managed], "inlinePolicies": [{"name": "own", "json": document("ec2:Describe*")}]});
    let spec = json!({"accountRef": {"name": "prod"}, "trust": [{"from": from}], "description": description, "permissions": permissions});
    json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "CrossAccountRole", "metadata": {"name": "reader", "namespace": "data"}, "spec": spec})
}
