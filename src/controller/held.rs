//! The pass over a user or role whose deletion waits until a person confirms it. What it has in AWS stays; only withdrawn grants end.

use super::cluster::kind::Kind;
use super::context::Context;
use super::identity::only_withdraw;
use super::pass::{Pass, report_first};
use crate::api::Reason;
use crate::core::brake::held_object;
use crate::core::subject::Subject;

/// Keeps what a user or role has in AWS, and tells how its deletion is confirmed.
pub async fn hold<K: Kind + Subject>(object: K, context: &Context) -> Result<Pass<K>, kube::Error> {
    let since = object.meta().deletion_timestamp.as_ref().map(|since| since.0).unwrap_or_default();
    let problem = held_object(object.account_name(), since);
    if !object.says(&[Reason::DeletionHeld]) {
        // A process that dies in between would leave it to the next one to decide it anew.
        let before = object.status().cloned().unwrap_or_default();
        return Ok(report_first(object, before, vec![problem]));
    }
    Ok(only_withdraw(object, context, vec![]).await?.telling_first(Some(problem)))
}
