//! The policies that concern a caller, ready for evaluation.

use std::collections::BTreeSet;

use fakecloud_iam::{IamGroup, IamState, evaluator::PolicyDocument, managed_policies};

use crate::{
    caller::Caller,
    rules::{condition_keys, protected},
};

/// The default version of a policy of the account, or of one of AWS.
pub fn managed(state: &IamState, policy_arn: &str) -> Option<String> {
    let own = state.policies.get(policy_arn).and_then(|policy| policy.versions.iter().find(|version| version.is_default));
    own.map(|version| version.document.clone()).or_else(|| managed_policies::default_document(policy_arn).map(str::to_owned))
}

/// The groups that a user is in.
fn groups<'s>(state: &'s IamState, user: &str) -> impl Iterator<Item = &'s IamGroup> {
    state.groups.values().filter(move |group| group.members.iter().any(|member| member == user))
}

/// The managed policies of a user and its groups, or of the role behind a session, each once.
pub fn attached<'s>(state: &'s IamState, caller: &Caller) -> BTreeSet<&'s str> {
    let mut attached: BTreeSet<&str> = BTreeSet::new();
    if let Some(role) = caller.role_name() {
        attached.extend(state.role_policies.get(role).into_iter().flatten().map(String::as_str));
    } else if let Some(user) = caller.user_name() {
        attached.extend(state.user_policies.get(user).into_iter().flatten().map(String::as_str));
        attached.extend(groups(state, user).flat_map(|group| group.attached_policies.iter().map(String::as_str)));
    }
    attached
}

/// The policies of a user and its groups, or of the role behind a session: inline ones, and managed ones, each once.
pub fn identity_policies(state: &IamState, caller: &Caller) -> Vec<PolicyDocument> {
    let mut inline: Vec<&str> = Vec::new();
    if let Some(role) = caller.role_name() {
        inline.extend(state.role_inline_policies.get(role).into_iter().flatten().map(|(_, document)| document.as_str()));
    } else if let Some(user) = caller.user_name() {
        inline.extend(state.user_inline_policies.get(user).into_iter().flatten().map(|(_, document)| document.as_str()));
        inline.extend(groups(state, user).flat_map(|group| group.inline_policies.values().map(String::as_str)));
    }
    let managed = attached(state, caller).into_iter().filter_map(|arn| managed(state, arn));
    inline.into_iter().map(condition_keys::parse).chain(managed.map(|document| condition_keys::parse(&document))).collect()
}

/// ARN of the permissions boundary, if there is one. Service-linked roles have none.
///
/// Source: UG `access_policies_boundaries.md`.
pub fn boundary_arn<'s>(state: &'s IamState, caller: &Caller) -> Option<&'s str> {
    let boundary = match caller.role_name() {
        Some(role) => &state.roles.get(role).filter(|role| !protected::is_service_linked(&role.path))?.permissions_boundary,
        None => &state.users.get(caller.user_name()?)?.permissions_boundary,
    };
    boundary.as_deref()
}

/// The permissions boundary, if there is one. A boundary that is gone is there without statements: it allows nothing.
pub fn boundary(state: &IamState, caller: &Caller) -> Option<Vec<PolicyDocument>> {
    let boundary = boundary_arn(state, caller)?;
    Some(managed(state, boundary).map(|document| condition_keys::parse(&document)).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::Utc;
    use fakecloud_core::auth::{Principal, PrincipalType};
    use fakecloud_iam::IamUser;

    use super::*;

    const READ_ONLY: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";

    fn alice() -> Caller {
        Caller {
            principal: Principal {
                arn: "arn:aws:iam::111111111111:user/team/alice".to_owned(),
                user_id: "AIDAALICE".to_owned(),
                account_id: "111111111111".to_owned(),
                principal_type: PrincipalType::User,
                source_identity: None,
                tags: None,
            },
            role_arn: None,
            session: None,
        }
    }

    fn state(boundary: Option<&str>) -> IamState {
        let mut state = IamState::new("111111111111");
        let user = IamUser {
            user_name: "alice".to_owned(),
            user_id: "AIDAALICE".to_owned(),
            arn: alice().principal.arn,
            path: "/team/".to_owned(),
            created_at: Utc::now(),
            tags: Vec::new(),
            permissions_boundary: boundary.map(str::to_owned),
        };
        state.users.insert("alice".to_owned(), user);
        state
    }

    fn one(name: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(name.to_owned(), r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#.to_owned())])
    }

    #[test]
    fn a_user_has_its_own_policies_and_those_of_its_groups_each_managed_one_once() {
        let mut state = state(None);
        assert!(identity_policies(&state, &alice()).is_empty());
        state.user_inline_policies.insert("alice".to_owned(), one("own"));
        state.user_policies.insert("alice".to_owned(), vec![READ_ONLY.to_owned()]);
        for (name, members) in [("g", vec!["alice".to_owned()]), ("h", vec!["bob".to_owned()])] {
            let group = IamGroup {
                group_name: name.to_owned(),
                group_id: "AGPAG".to_owned(),
                arn: format!("arn:aws:iam::111111111111:group/{name}"),
                path: "/".to_owned(),
                created_at: Utc::now(),
                members,
                inline_policies: one("group"),
                attached_policies: vec![READ_ONLY.to_owned(), "arn:aws:iam::111111111111:policy/gone".to_owned()],
            };
            state.groups.insert(name.to_owned(), group);
        }
        assert_eq!(identity_policies(&state, &alice()).len(), 3);
    }

    #[test]
    fn a_session_has_the_policies_of_its_role() {
        let mut state = state(None);
        state.user_inline_policies.insert("alice".to_owned(), one("not this"));
        state.role_inline_policies.insert("r".to_owned(), one("this"));
        let session = Caller { role_arn: Some("arn:aws:iam::111111111111:role/team/r".to_owned()), ..alice() };
        assert_eq!(identity_policies(&state, &session).len(), 1);
    }

    #[test]
    fn a_boundary_that_is_gone_allows_nothing() {
        assert!(boundary(&state(None), &alice()).is_none());
        assert_eq!(boundary(&state(Some(READ_ONLY)), &alice()).map(|documents| documents.len()), Some(1));
        assert_eq!(boundary(&state(Some("arn:aws:iam::111111111111:policy/gone")), &alice()).map(|documents| documents.len()), Some(0));
    }
}
