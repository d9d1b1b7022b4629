//! IAM stores principals by their unique id and shows the name that the id has now.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use fakecloud_core::multi_account::MultiAccountState;
use fakecloud_iam::IamState;
use parking_lot::Mutex;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{propagation::has_propagated, trust_policy::map_aws_principals};

/// Shows a principal differently in all trust policies of all accounts.
///
/// - A user or role that was deleted shows as its unique id, and a new one of the same name does not bring the trust back
///   (UG `reference_policies_elements_principal.md`, "the ARN transforms to the unique principal ID").
/// - A user that was renamed or moved shows under its new ARN: the id stays (UG `id_users_rename.md`).
pub fn show_principal_as(states: &mut MultiAccountState<IamState>, arn: &str, shown: &str) {
    for (_, state) in states.iter_mut() {
        for role in state.roles.values_mut() {
            if !role.assume_role_policy_document.contains(arn) {
                continue;
            }
            // Documents are validated when they are written: what cannot be parsed was never stored.
            let Ok(mut document) = serde_json::from_str::<Value>(&role.assume_role_policy_document) else { continue };
            map_aws_principals(&mut document, &mut |principal| Some(if principal == arn { shown } else { principal }.to_owned()));
            role.assume_role_policy_document = document.to_string();
        }
    }
}

/// When the trust policies of roles were last written, by the unique id of the role.
#[derive(Debug, Default)]
pub struct TrustWrites(Mutex<HashMap<String, DateTime<Utc>>>);

impl TrustWrites {
    /// Remembers that the trust policy of a role was written.
    pub fn written(&self, role_id: &str, now: DateTime<Utc>) {
        self.0.lock().insert(role_id.to_owned(), now);
    }

    fn at(&self, role_id: &str) -> Option<DateTime<Utc>> {
        self.0.lock().get(role_id).copied()
    }
}

/// The reply to a read of an account's roles, in which principals show as their unique ids for a while after a trust policy was written.
///
/// Source: TF `internal/service/iam/wait.go` (it waits until what it reads back is no unique id).
pub fn shown_for_a_while(
    states: &MultiAccountState<IamState>,
    account_id: &str,
    writes: &TrustWrites,
    now: DateTime<Utc>,
    duration_ms: u64,
    document: &str,
) -> String {
    if duration_ms == 0 {
        return document.to_owned();
    }
    let roles = states.get(account_id).into_iter().flat_map(|state| state.roles.values());
    let recent = roles.filter(|role| writes.at(&role.role_id).is_some_and(|written| !has_propagated(written, now, duration_ms)));
    recent.fold(document.to_owned(), |document, role| {
        let Ok(mut trust) = serde_json::from_str::<Value>(&role.assume_role_policy_document) else { return document };
        map_aws_principals(&mut trust, &mut |principal| Some(id_of(states, principal).unwrap_or_else(|| principal.to_owned())));
        document.replace(&encoded(&role.assume_role_policy_document), &encoded(&trust.to_string()))
    })
}

/// The unique id of the user or role with this ARN.
fn id_of(states: &MultiAccountState<IamState>, arn: &str) -> Option<String> {
    let state = states.get(arn.split(':').nth(4)?)?;
    let user = state.users.values().find(|user| user.arn == arn).map(|user| user.user_id.clone());
    user.or_else(|| state.roles.values().find(|role| role.arn == arn).map(|role| role.role_id.clone()))
}

/// As documents are written into replies: RFC 3986 (BC GetRole).
fn encoded(text: &str) -> String {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use fakecloud_iam::IamRole;
    use serde_json::json;

    use super::*;

    fn add_role(states: &mut MultiAccountState<IamState>, account: &str, name: &str, principals: Value) {
        let document = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": principals}, "Action": "sts:AssumeRole"}]});
        let role = IamRole {
            role_name: name.to_owned(),
            role_id: format!("AROA{name}"),
            arn: format!("arn:aws:iam::{account}:role/{name}"),
            path: "/".to_owned(),
            assume_role_policy_document: document.to_string(),
            created_at: Utc::now(),
            description: None,
            max_session_duration: 3_600,
            tags: Vec::new(),
            permissions_boundary: None,
        };
        states.get_or_create(account).roles.insert(name.to_owned(), role);
    }

    fn principals(states: &MultiAccountState<IamState>, account: &str, name: &str) -> Value {
        let document: Value = serde_json::from_str(&states.get(account).unwrap().roles[name].assume_role_policy_document).unwrap();
        document["Statement"][0]["Principal"]["AWS"].clone()
    }

    #[test]
    fn in_every_account_and_only_the_one_principal() {
        let (alice, alice2) = ("arn:aws:iam::111111111111:user/alice", "arn:aws:iam::111111111111:user/alice2");
        let mut states = MultiAccountState::new("000000000000", "us-east-1", "");
        add_role(&mut states, "222222222222", "a", json!(alice));
        add_role(&mut states, "333333333333", "b", json!([alice2, alice]));
        show_principal_as(&mut states, alice, "AIDAALICE");
        assert_eq!(principals(&states, "222222222222", "a"), json!("AIDAALICE"));
        assert_eq!(principals(&states, "333333333333", "b"), json!([alice2, "AIDAALICE"]));
    }

    #[test]
    fn statement_4_principals_show_as_ids_until_the_time_is_over_and_only_in_the_role_that_was_written() {
        let source = "arn:aws:iam::111111111111:role/source";
        let mut states = MultiAccountState::new("000000000000", "us-east-1", "");
        add_role(&mut states, "111111111111", "source", json!("*"));
        add_role(&mut states, "222222222222", "new", json!([source, "arn:aws:iam::333333333333:root"]));
        add_role(&mut states, "222222222222", "old", json!(source));
        let (writes, now) = (TrustWrites::default(), Utc::now());
        writes.written("AROAnew", now);
        let document = |name: &str| encoded(&states.get("222222222222").unwrap().roles[name].assume_role_policy_document);
        let reply = format!("<a>{}</a><b>{}</b>", document("new"), document("old"));
        let shown = |age_ms: i64| shown_for_a_while(&states, "222222222222", &writes, now + TimeDelta::milliseconds(age_ms), 1_000, &reply);
        let (early, late) = (shown(999), shown(1_000));
        assert!(early.contains("%22AROAsource%22") && early.contains(&document("old")) && early.contains("333333333333%3Aroot"), "{early}");
        assert!(!early.contains(&document("new")));
        assert_eq!(late, reply);
    }
}
