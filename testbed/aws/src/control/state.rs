//! `GET /_sim/state`: all accounts, sorted, without secrets and times, so that two dumps of equal states are equal.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use fakecloud_iam::{IamPolicy, IamRole, IamState, IamUser, Tag};
use serde_json::{Map, Value, json};

use super::Simulation;
use crate::rules::partitions::as_shown;

/// A policy document as JSON; one that is none as text.
fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

fn documents(policies: Option<&BTreeMap<String, String>>) -> Value {
    policies.into_iter().flatten().map(|(name, text)| (name.clone(), document(text))).collect::<Map<_, _>>().into()
}

fn tags(tags: &[Tag]) -> BTreeMap<&str, &str> {
    tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect()
}

fn sorted<'a>(values: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    let mut sorted: Vec<&str> = values.into_iter().map(String::as_str).collect();
    sorted.sort_unstable();
    sorted
}

fn policies(partition: &str, attached: Option<&Vec<String>>) -> Vec<String> {
    sorted(attached.into_iter().flatten()).into_iter().map(|arn| as_shown(partition, arn)).collect()
}

fn user(state: &IamState, partition: &str, user: &IamUser) -> Value {
    let name = &user.user_name;
    let mut keys: Vec<_> = state.access_keys.get(name).into_iter().flatten().collect();
    keys.sort_by(|a, b| a.access_key_id.cmp(&b.access_key_id));
    json!({
        "userName": name,
        "path": user.path,
        "arn": user.arn,
        "userID": user.user_id,
        "tags": tags(&user.tags),
        "permissionsBoundary": user.permissions_boundary.as_deref().map(|arn| as_shown(partition, arn)),
        "inlinePolicies": documents(state.user_inline_policies.get(name)),
        "attachedPolicies": policies(partition, state.user_policies.get(name)),
        "groups": sorted(state.groups.values().filter(|group| group.members.contains(name)).map(|group| &group.group_name)),
        "hasLoginProfile": state.login_profiles.contains_key(name),
        "accessKeys": keys.iter().map(|key| json!({"accessKeyID": key.access_key_id, "status": key.status})).collect::<Vec<_>>(),
    })
}

fn role(state: &IamState, partition: &str, role: &IamRole) -> Value {
    let name = &role.role_name;
    let profiles = state.instance_profiles.values().filter(|profile| profile.roles.contains(name));
    json!({
        "roleName": name,
        "path": role.path,
        "arn": role.arn,
        "roleID": role.role_id,
        "description": role.description,
        "maxSessionDuration": role.max_session_duration,
        "tags": tags(&role.tags),
        "permissionsBoundary": role.permissions_boundary.as_deref().map(|arn| as_shown(partition, arn)),
        "assumeRolePolicyDocument": document(&role.assume_role_policy_document),
        "inlinePolicies": documents(state.role_inline_policies.get(name)),
        "attachedPolicies": policies(partition, state.role_policies.get(name)),
        "instanceProfiles": sorted(profiles.map(|profile| &profile.instance_profile_name)),
    })
}

fn policy(policy: &IamPolicy) -> Value {
    let versions: Map<_, _> = policy.versions.iter().map(|version| (version.version_id.clone(), document(&version.document))).collect();
    json!({
        "policyName": policy.policy_name,
        "path": policy.path,
        "arn": policy.arn,
        "description": policy.description,
        "tags": tags(&policy.tags),
        "defaultVersionID": policy.default_version_id,
        "versions": versions,
    })
}

/// Everything that IAM knows, by account.
pub async fn dump(State(simulation): State<Arc<Simulation>>) -> Json<Value> {
    let world = &simulation.world;
    let states = world.iam.read();
    let accounts: Map<_, _> = world
        .account_ids()
        .into_iter()
        .filter_map(|id| {
            let (state, partition) = (states.get(&id)?, world.partition_of(&id));
            let account = json!({
                "users": state.users.values().map(|one| user(state, &partition, one)).collect::<Vec<_>>(),
                "roles": state.roles.values().map(|one| role(state, &partition, one)).collect::<Vec<_>>(),
                "policies": state.policies.values().map(policy).collect::<Vec<_>>(),
            });
            Some((id, account))
        })
        .collect();
    Json(json!({ "accounts": accounts }))
}
