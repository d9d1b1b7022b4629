//! What an IAM call is authorised on: action, resource and the condition keys of IAM.

use std::collections::{BTreeMap, HashMap};

use fakecloud_iam::{IamState, Tag};

use crate::authorize::permission::Permission;

/// The permissions that an IAM call needs. `resource` is the crate's idea of the resource, good for what has no path.
///
/// - The resource carries the path: that of the entity, or for a creation the one asked for
///   (SAR: `arn:${Partition}:iam::${Account}:role/${RoleNameWithPath}`).
/// - Group membership is authorised on the group (SAR: AddUserToGroup, RemoveUserFromGroup).
/// - A creation with tags needs the tagging action too (SAR: dependent actions of CreateUser, CreateRole, CreatePolicy).
/// - A role for an instance profile must be passed (SAR: AddRoleToInstanceProfile depends on `iam:PassRole`).
/// - Listing all of a kind is authorised on the kind's path (SAR; UG `troubleshoot_access-denied.md`) for roles and users.
pub fn permissions(state: &IamState, partition: &str, operation: &str, parameters: &HashMap<String, String>, resource: &str) -> Vec<Permission> {
    let name = |parameter: &str| parameters.get(parameter).filter(|value| !value.is_empty());
    let created = |kind: &str, name: &str| {
        let path = parameters.get("Path").map_or("/", String::as_str);
        format!("arn:{partition}:iam::{}:{kind}{path}{name}", state.account_id)
    };
    let in_group = operation.ends_with("UserToGroup") || operation.ends_with("UserFromGroup");
    let with_path = match operation {
        "CreateUser" => name("UserName").map(|name| created("user", name)),
        "CreateRole" => name("RoleName").map(|name| created("role", name)),
        "CreatePolicy" => name("PolicyName").map(|name| created("policy", name)),
        "CreateGroup" => name("GroupName").map(|name| created("group", name)),
        "CreateInstanceProfile" => name("InstanceProfileName").map(|name| created("instance-profile", name)),
        "ListRoles" | "ListUsers" => {
            let kind = if operation == "ListRoles" { "role" } else { "user" };
            let prefix = parameters.get("PathPrefix").map_or("/", String::as_str);
            Some(format!("arn:{partition}:iam::{}:{kind}{prefix}", state.account_id))
        }
        _ if in_group => name("GroupName").and_then(|name| state.groups.get(name)).map(|group| group.arn.clone()),
        _ if resource.contains(":instance-profile/") => {
            name("InstanceProfileName").and_then(|name| state.instance_profiles.get(name)).map(|profile| profile.arn.clone())
        }
        _ if resource.contains(":policy/") => None,
        _ => name("RoleName")
            .and_then(|name| state.roles.get(name))
            .map(|role| role.arn.clone())
            .or_else(|| name("UserName").and_then(|name| state.users.get(name)).map(|user| user.arn.clone()))
            .or_else(|| name("GroupName").and_then(|name| state.groups.get(name)).map(|group| group.arn.clone())),
    };
    let resource = with_path.unwrap_or_else(|| resource.to_owned());
    let mut needed = vec![Permission { action: format!("iam:{operation}"), resource: resource.clone() }];
    if let ("CreateUser" | "CreateRole" | "CreatePolicy", true) = (operation, parameters.contains_key("Tags.member.1.Key")) {
        needed.push(Permission { action: operation.replacen("Create", "iam:Tag", 1), resource });
    }
    if let ("AddRoleToInstanceProfile", Some(role)) = (operation, name("RoleName").and_then(|name| state.roles.get(name))) {
        needed.push(Permission { action: "iam:PassRole".to_owned(), resource: role.arn.clone() });
    }
    needed
}

/// The tags of the user, role or policy with this ARN.
pub fn tags_of(state: &IamState, arn: &str) -> Vec<(String, String)> {
    let name = arn.rsplit('/').next().unwrap_or(arn);
    let tags: Option<&Vec<Tag>> = if arn.contains(":role/") {
        state.roles.get(name).filter(|role| role.arn == arn).map(|role| &role.tags)
    } else if arn.contains(":user/") {
        state.users.get(name).filter(|user| user.arn == arn).map(|user| &user.tags)
    } else {
        state.policies.get(arn).map(|policy| &policy.tags)
    };
    tags.into_iter().flatten().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
}

/// The condition keys of IAM: `iam:PolicyARN` (attachments), `iam:PermissionsBoundary`, `iam:ResourceTag/...`, and `aws:TagKeys` of what is untagged.
///
/// The boundary is the one in the call, else the one that the user or role has: so a policy can demand that whoever gets
/// permissions stays bounded. Calls that SAR does not list with the key do not have it.
/// Source: SAR for IAM; UG `reference_policies_iam-condition-keys.md`.
pub fn condition_keys(
    state: &IamState,
    operation: &str,
    parameters: &HashMap<String, String>,
    resource_tags: &[(String, String)],
) -> BTreeMap<String, Vec<String>> {
    const BOUNDED: [&str; 14] = [
        "CreateUser",
        "CreateRole",
        "PutUserPermissionsBoundary",
        "PutRolePermissionsBoundary",
        "DeleteUserPermissionsBoundary",
        "DeleteRolePermissionsBoundary",
        "AttachUserPolicy",
        "AttachRolePolicy",
        "DetachUserPolicy",
        "DetachRolePolicy",
        "PutUserPolicy",
        "PutRolePolicy",
        "DeleteUserPolicy",
        "DeleteRolePolicy",
    ];
    let mut keys = BTreeMap::new();
    let attaches = operation.starts_with("Attach") || operation.starts_with("Detach");
    if let (true, Some(arn)) = (attaches, parameters.get("PolicyArn")) {
        keys.insert("iam:policyarn".to_owned(), vec![arn.clone()]);
    }
    if BOUNDED.contains(&operation) {
        let own = || {
            let user = parameters.get("UserName").and_then(|name| state.users.get(name)).map(|user| &user.permissions_boundary);
            let role = parameters.get("RoleName").and_then(|name| state.roles.get(name)).map(|role| &role.permissions_boundary);
            user.or(role).and_then(Option::as_ref)
        };
        if let Some(boundary) = parameters.get("PermissionsBoundary").or_else(own) {
            keys.insert("iam:permissionsboundary".to_owned(), vec![boundary.clone()]);
        }
    }
    // Untagging names keys only; what tags has them from the tags.
    let untagged: Vec<String> = (1..).map_while(|n| parameters.get(&format!("TagKeys.member.{n}")).cloned()).collect();
    if !untagged.is_empty() {
        keys.insert("aws:tagkeys".to_owned(), untagged);
    }
    for (key, value) in resource_tags {
        keys.insert(format!("iam:resourcetag/{key}"), vec![value.clone()]);
    }
    keys
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use fakecloud_iam::{IamGroup, IamRole};

    use super::*;

    fn state() -> IamState {
        let mut state = IamState::new("111111111111");
        state.roles.insert(
            "r".to_owned(),
            IamRole {
                role_name: "r".to_owned(),
                role_id: "AROAR".to_owned(),
                arn: "arn:aws:iam::111111111111:role/team/r".to_owned(),
                path: "/team/".to_owned(),
                assume_role_policy_document: "{}".to_owned(),
                created_at: Utc::now(),
                description: None,
                max_session_duration: 3_600,
                tags: vec![Tag { key: "team".to_owned(), value: "blue".to_owned() }],
                permissions_boundary: Some("arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()),
            },
        );
        state.groups.insert(
            "g".to_owned(),
            IamGroup {
                group_name: "g".to_owned(),
                group_id: "AGPAG".to_owned(),
                arn: "arn:aws:iam::111111111111:group/team/g".to_owned(),
                path: "/team/".to_owned(),
                created_at: Utc::now(),
                members: Vec::new(),
                inline_policies: BTreeMap::new(),
                attached_policies: Vec::new(),
            },
        );
        state
    }

    fn parameters(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn needed(operation: &str, pairs: &[(&str, &str)], resource: &str) -> Vec<(String, String)> {
        let needed = permissions(&state(), "aws", operation, &parameters(pairs), resource);
        needed.into_iter().map(|permission| (permission.action, permission.resource)).collect()
    }

    fn pair(action: &str, resource: &str) -> (String, String) {
        (action.to_owned(), resource.to_owned())
    }

    #[test]
    fn an_existing_entity_is_named_with_its_path() {
        assert_eq!(
            needed("GetRole", &[("RoleName", "r")], "arn:aws:iam::111111111111:role/r"),
            [pair("iam:GetRole", "arn:aws:iam::111111111111:role/team/r")]
        );
    }

    #[test]
    fn a_creation_is_named_with_the_path_asked_for_and_tags_need_their_action() {
        let call = [("RoleName", "n"), ("Path", "/rb/"), ("Tags.member.1.Key", "a")];
        let arn = "arn:aws:iam::111111111111:role/rb/n";
        assert_eq!(needed("CreateRole", &call, "arn:aws:iam::111111111111:role/n"), [pair("iam:CreateRole", arn), pair("iam:TagRole", arn)]);
    }

    #[test]
    fn membership_is_authorised_on_the_group() {
        assert_eq!(
            needed("AddUserToGroup", &[("UserName", "u"), ("GroupName", "g")], "arn:aws:iam::111111111111:user/u"),
            [pair("iam:AddUserToGroup", "arn:aws:iam::111111111111:group/team/g")]
        );
    }

    #[test]
    fn a_role_for_an_instance_profile_is_passed() {
        let pairs = [("RoleName", "r"), ("InstanceProfileName", "p")];
        let needed = needed("AddRoleToInstanceProfile", &pairs, "arn:aws:iam::111111111111:instance-profile/p");
        assert_eq!(needed[1], pair("iam:PassRole", "arn:aws:iam::111111111111:role/team/r"));
    }

    #[test]
    fn untagging_tells_the_keys() {
        let keys =
            condition_keys(&state(), "UntagRole", &parameters(&[("RoleName", "r"), ("TagKeys.member.1", "a"), ("TagKeys.member.2", "b")]), &[]);
        assert_eq!(keys["aws:tagkeys"], ["a", "b"]);
        assert!(!condition_keys(&state(), "GetRole", &parameters(&[("RoleName", "r")]), &[]).contains_key("aws:tagkeys"));
    }

    #[test]
    fn what_has_no_path_keeps_its_resource() {
        assert_eq!(needed("GetAccountSummary", &[], "*"), [pair("iam:GetAccountSummary", "*")]);
        assert_eq!(needed("ListRoles", &[], "*"), [pair("iam:ListRoles", "arn:aws:iam::111111111111:role/")]);
        let in_china = permissions(&state(), "aws-cn", "ListUsers", &parameters(&[("PathPrefix", "/team/")]), "*");
        assert_eq!(in_china[0].resource, "arn:aws-cn:iam::111111111111:user/team/");
    }

    #[test]
    fn statement_48_the_boundary_is_the_one_asked_for_or_the_one_there_is() {
        let boundary =
            |operation: &str, pairs: &[(&str, &str)]| condition_keys(&state(), operation, &parameters(pairs), &[]).remove("iam:permissionsboundary");
        assert_eq!(boundary("CreateRole", &[("RoleName", "n"), ("PermissionsBoundary", "b")]), Some(vec!["b".to_owned()]));
        assert_eq!(boundary("PutRolePolicy", &[("RoleName", "r")]), Some(vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()]));
        assert_eq!(boundary("CreateRole", &[("RoleName", "n")]), None);
        assert_eq!(boundary("TagRole", &[("RoleName", "r")]), None);
    }

    #[test]
    fn attachments_tell_the_policy_and_resources_their_tags() {
        let state = state();
        let tags = tags_of(&state, "arn:aws:iam::111111111111:role/team/r");
        assert_eq!(tags, [("team".to_owned(), "blue".to_owned())]);
        assert!(tags_of(&state, "arn:aws:iam::111111111111:role/r").is_empty());
        let keys = condition_keys(&state, "AttachRolePolicy", &parameters(&[("RoleName", "r"), ("PolicyArn", "p")]), &tags);
        assert_eq!(keys["iam:policyarn"], ["p"]);
        assert_eq!(keys["iam:resourcetag/team"], ["blue"]);
        assert!(!condition_keys(&state, "GetPolicy", &parameters(&[("PolicyArn", "p")]), &[]).contains_key("iam:policyarn"));
    }
}
