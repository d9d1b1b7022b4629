//! IAM stores principals by their unique id and shows the name that the id has now.

use fakecloud_core::multi_account::MultiAccountState;
use fakecloud_iam::IamState;
use serde_json::Value;

use super::trust_policy::map_aws_principals;

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

#[cfg(test)]
mod tests {
    use chrono::Utc;
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
}
