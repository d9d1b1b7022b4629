//! Which principals exist.

use chrono::{DateTime, Utc};
use fakecloud_core::multi_account::MultiAccountState;
use fakecloud_iam::IamState;

use super::trust_policy;

/// Whether an AWS principal may be named in a trust policy: an account that exists, or a user, role or session of a role
/// that exists there and has propagated, all in the same partition. Unique ids (AIDA..., AROA...) may not: that is what a dead principal looks like,
/// and why a document that contains one cannot be written again.
///
/// Sources: UG `reference_policies_elements_principal.md`; TF#12436 ("Invalid principal in policy" for new users);
/// ministryofjustice/analytical-platform#4932 for dead ids.
pub fn exists(
    states: &MultiAccountState<IamState>,
    partition: &str,
    has_account: &dyn Fn(&str) -> bool,
    has_propagated: &dyn Fn(DateTime<Utc>) -> bool,
    principal: &str,
) -> bool {
    if trust_policy::is_account_id(principal) {
        return has_account(principal);
    }
    let parts: Vec<&str> = principal.splitn(6, ':').collect();
    let ["arn", of_partition, service, "", account_id, resource] = parts[..] else { return false };
    if of_partition != partition || !has_account(account_id) {
        return false;
    }
    let Some(state) = states.get(account_id) else { return false };
    match (service, resource.split_once('/')) {
        ("iam", None) => resource == "root",
        ("iam", Some(("user", _))) => state.users.values().any(|user| user.arn == principal && has_propagated(user.created_at)),
        ("iam", Some(("role", _))) => state.roles.values().any(|role| role.arn == principal && has_propagated(role.created_at)),
        ("sts", Some(("assumed-role", rest))) => rest
            .split_once('/')
            .filter(|(_, session_name)| !session_name.is_empty())
            .and_then(|(role_name, _)| state.roles.get(role_name))
            .is_some_and(|role| has_propagated(role.created_at)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use fakecloud_iam::{IamRole, IamUser};

    use super::*;

    const ACCOUNT: &str = "111111111111";

    fn states() -> MultiAccountState<IamState> {
        let mut states = MultiAccountState::new("000000000000", "us-east-1", "");
        let state: &mut IamState = states.get_or_create(ACCOUNT);
        state.users.insert(
            "alice".to_owned(),
            IamUser {
                user_name: "alice".to_owned(),
                user_id: "AIDAALICE".to_owned(),
                arn: format!("arn:aws:iam::{ACCOUNT}:user/team/alice"),
                path: "/team/".to_owned(),
                created_at: Utc::now(),
                tags: Vec::new(),
                permissions_boundary: None,
            },
        );
        state.roles.insert(
            "r".to_owned(),
            IamRole {
                role_name: "r".to_owned(),
                role_id: "AROAR".to_owned(),
                arn: format!("arn:aws:iam::{ACCOUNT}:role/r"),
                path: "/".to_owned(),
                assume_role_policy_document: "{}".to_owned(),
                created_at: Utc::now(),
                description: None,
                max_session_duration: 3_600,
                tags: Vec::new(),
                permissions_boundary: None,
            },
        );
        states
    }

    fn known(principal: &str, propagated: bool) -> bool {
        exists(&states(), "aws", &|account| account == ACCOUNT, &|_| propagated, principal)
    }

    #[test]
    fn what_is_there_may_be_named() {
        for principal in [
            "111111111111",
            "arn:aws:iam::111111111111:root",
            "arn:aws:iam::111111111111:user/team/alice",
            "arn:aws:iam::111111111111:role/r",
            "arn:aws:sts::111111111111:assumed-role/r/session",
        ] {
            assert!(known(principal, true), "{principal}");
        }
    }

    #[test]
    fn what_is_not_there_may_not() {
        for principal in [
            "222222222222",
            "arn:aws:iam::222222222222:root",
            "arn:aws:iam::111111111111:user/alice",
            "arn:aws:iam::111111111111:user/bob",
            "arn:aws:iam::111111111111:role/q",
            "arn:aws:sts::111111111111:assumed-role/r",
            "arn:aws:sts::111111111111:assumed-role/q/session",
            "arn:aws:iam::111111111111:group/g",
            "arn:aws-cn:iam::111111111111:root",
            "arn:aws-cn:iam::111111111111:user/team/alice",
            "AIDAALICE",
            "AROAR",
            "alice",
            "",
        ] {
            assert!(!known(principal, true), "{principal}");
        }
    }

    #[test]
    fn statement_1_what_has_not_propagated_may_not_but_its_account_may() {
        assert!(!known("arn:aws:iam::111111111111:user/team/alice", false));
        assert!(!known("arn:aws:iam::111111111111:role/r", false));
        assert!(!known("arn:aws:sts::111111111111:assumed-role/r/session", false));
        assert!(known("arn:aws:iam::111111111111:root", false));
    }
}
