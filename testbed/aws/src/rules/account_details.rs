//! What `GetAccountAuthorizationDetails` says of users and roles.

use std::collections::HashMap;

use fakecloud_iam::IamState;

/// Adds the permissions boundary to each user and role that has one; the crate leaves it out.
///
/// Source: BC `UserDetail` and `RoleDetail` have `PermissionsBoundary`, while the same models omit the role's description
/// and maximum session duration, which only `GetRole` and `ListRoles` tell.
pub fn with_boundaries(state: &IamState, document: &str) -> String {
    let users = state.users.values().map(|user| (&user.arn, &user.permissions_boundary));
    let roles = state.roles.values().map(|role| (&role.arn, &role.permissions_boundary));
    let boundaries: HashMap<&str, &str> = users.chain(roles).filter_map(|(arn, boundary)| Some((arn.as_str(), boundary.as_deref()?))).collect();
    if boundaries.is_empty() {
        return document.to_owned();
    }
    let mut parts = document.split("<Arn>");
    let mut complete = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        complete.push_str("<Arn>");
        match part.split_once("</Arn>").and_then(|(arn, rest)| Some((arn, boundaries.get(arn)?, rest))) {
            Some((arn, boundary, rest)) => complete.push_str(&format!(
                "{arn}</Arn><PermissionsBoundary><PermissionsBoundaryType>PermissionsBoundaryPolicy</PermissionsBoundaryType>\
                 <PermissionsBoundaryArn>{boundary}</PermissionsBoundaryArn></PermissionsBoundary>{rest}"
            )),
            None => complete.push_str(part),
        }
    }
    complete
}

/// A filter for the policies of AWS finds none: they are not listed here, and the crate would list those of the account instead.
///
/// Source: BC `entityListType` (`LocalManagedPolicy` and `AWSManagedPolicy` are apart).
pub fn without_policies_of_aws(operation: &str, parameters: &mut HashMap<String, String>) {
    if operation != "GetAccountAuthorizationDetails" {
        return;
    }
    for (name, value) in parameters.iter_mut() {
        if name.starts_with("Filter.member.") && value == "AWSManagedPolicy" {
            "None".clone_into(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use fakecloud_iam::IamUser;

    use super::*;

    fn user(name: &str, boundary: Option<&str>) -> IamUser {
        IamUser {
            user_name: name.to_owned(),
            user_id: "AIDAEXAMPLE".to_owned(),
            arn: format!("arn:aws:iam::1:user/{name}"),
            path: "/".to_owned(),
            created_at: Utc::now(),
            tags: Vec::new(),
            permissions_boundary: boundary.map(str::to_owned),
        }
    }

    #[test]
    fn a_filter_for_policies_of_aws_finds_no_others() {
        let filter =
            |first: &str| HashMap::from([("Filter.member.1".to_owned(), first.to_owned()), ("Filter.member.2".to_owned(), "Role".to_owned())]);
        let mut parameters = filter("AWSManagedPolicy");
        without_policies_of_aws("GetAccountAuthorizationDetails", &mut parameters);
        assert_eq!(parameters, filter("None"));
        let mut local = filter("LocalManagedPolicy");
        without_policies_of_aws("GetAccountAuthorizationDetails", &mut local);
        assert_eq!(local, filter("LocalManagedPolicy"));
    }

    #[test]
    fn each_user_gets_its_own_and_the_rest_stays() {
        let mut state = IamState::new("1");
        let document = "<a><Arn>arn:aws:iam::1:user/x</Arn><b/></a><a><Arn>arn:aws:iam::1:user/y</Arn></a>";
        state.users.insert("x".to_owned(), user("x", None));
        state.users.insert("y".to_owned(), user("y", None));
        assert_eq!(with_boundaries(&state, document), document);
        state.users.insert("y".to_owned(), user("y", Some("arn:p")));
        let (start, end) = document.split_at(document.len() - "</a>".len());
        let boundary = "<PermissionsBoundary><PermissionsBoundaryType>PermissionsBoundaryPolicy</PermissionsBoundaryType>\
                        <PermissionsBoundaryArn>arn:p</PermissionsBoundaryArn></PermissionsBoundary>";
        assert_eq!(with_boundaries(&state, document), format!("{start}{boundary}{end}"));
    }
}
