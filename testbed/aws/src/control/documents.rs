//! `PUT /_sim/accounts/{id}/documents`: what IAM has in the place of a policy document, whatever it is.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use fakecloud_iam::IamState;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refused, Simulation};

/// The text, and where it is to stand: as the trust policy of a role, as an inline policy of a user or role, or as the version of a policy that is in force.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Stored {
    document: String,
    user_name: Option<String>,
    role_name: Option<String>,
    policy_name: Option<String>,
    #[serde(rename = "policyARN")]
    policy_arn: Option<String>,
}

impl Stored {
    /// Puts the text there; None where there is no such thing.
    fn put_into(self, state: &mut IamState) -> Option<()> {
        let Self { document, user_name, role_name, policy_name, policy_arn } = self;
        match (user_name, role_name, policy_name, policy_arn) {
            (Some(user), None, Some(policy), None) if state.users.contains_key(&user) => {
                state.user_inline_policies.entry(user).or_default().insert(policy, document);
            }
            (None, Some(role), Some(policy), None) if state.roles.contains_key(&role) => {
                state.role_inline_policies.entry(role).or_default().insert(policy, document);
            }
            (None, Some(role), None, None) => state.roles.get_mut(&role)?.assume_role_policy_document = document,
            (None, None, None, Some(arn)) => {
                let policy = state.policies.values_mut().find(|policy| policy.arn == arn)?;
                policy.versions.iter_mut().find(|version| version.version_id == policy.default_version_id)?.document = document;
            }
            _ => return None,
        }
        Some(())
    }
}

/// Puts a text in the place of a policy document, past all the checks that IAM makes of what it is given: so that clients can be tried on what they cannot
/// read.
///
/// # Errors
/// 404 where there is no such account, user, role or policy, or where it is not said of which the text is to be.
pub async fn put(State(simulation): State<Arc<Simulation>>, Path(id): Path<String>, Json(stored): Json<Stored>) -> Result<Json<Value>, Refused> {
    if !simulation.world.has_account(&id) {
        return Err(Refused::no_account(&id));
    }
    let document = stored.document.clone();
    let put = stored.put_into(simulation.world.iam.write().get_or_create(&id));
    put.map(|()| Json(json!({ "document": document })))
        .ok_or_else(|| Refused::not_found("name a user or role with policyName, a role, or a policyARN, that is there"))
}
