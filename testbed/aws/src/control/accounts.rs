//! `POST /_sim/accounts`.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};

use super::{Refused, Simulation};
use crate::rules::{partitions, trust_policy::is_account_id};

/// An account to create, or to find.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    #[serde(rename = "accountID")]
    account_id: String,
    #[serde(default = "default_partition")]
    partition: String,
    #[serde(rename = "organizationID", default)]
    organization_id: Option<String>,
}

fn default_partition() -> String {
    partitions::DEFAULT.to_owned()
}

/// The account and the key of its administrator.
#[derive(Debug, Serialize)]
pub struct Created {
    #[serde(rename = "accountID")]
    account_id: String,
    #[serde(rename = "accessKeyID")]
    access_key_id: String,
    #[serde(rename = "secretAccessKey")]
    secret_access_key: String,
}

/// Creates an account with an IAM user `administrator` who may do everything. A second time it returns the same key.
///
/// # Errors
/// 400 when the id is not 12 digits, for an unknown partition, and when the account is in another one already.
pub async fn create(State(simulation): State<Arc<Simulation>>, Json(wanted): Json<Wanted>) -> Result<Json<Created>, Refused> {
    if !is_account_id(&wanted.account_id) {
        return Err(Refused::bad_request("accountID must be 12 digits"));
    }
    if !partitions::names().contains(&wanted.partition.as_str()) {
        return Err(Refused::bad_request(format!("partition must be one of {}", partitions::names().join(", "))));
    }
    let account = simulation.world.register(&wanted.account_id, &wanted.partition, wanted.organization_id);
    if account.partition != wanted.partition {
        return Err(Refused::bad_request(format!("account {} is in partition {}", wanted.account_id, account.partition)));
    }
    Ok(Json(Created { account_id: wanted.account_id, access_key_id: account.access_key_id, secret_access_key: account.secret_access_key }))
}
