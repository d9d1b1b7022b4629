//! What reads return, in the form in which the SDKs expect it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::{Sim, UTILS, allow, trust};

const READ_ONLY: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[tokio::test]
async fn a_role_comes_back_complete() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let trust = trust(json!(format!("arn:aws:iam::{UTILS}:root")));
    let parameters = [
        ("RoleName", "r"),
        ("AssumeRolePolicyDocument", trust.as_str()),
        ("Description", "one & <two>"),
        ("MaxSessionDuration", "7200"),
        ("PermissionsBoundary", READ_ONLY),
        ("Tags.member.1.Key", "k"),
        ("Tags.member.1.Value", "v"),
    ];
    utils.iam("CreateRole", &parameters).await.ok();
    let role = utils.iam("GetRole", &[("RoleName", "r")]).await.ok();
    assert_eq!(role.document("AssumeRolePolicyDocument"), parsed(&trust));
    assert_eq!(role.text("Description"), "one & <two>");
    assert_eq!(role.text("MaxSessionDuration"), "7200");
    assert_eq!(role.text("PermissionsBoundaryArn"), READ_ONLY);
    assert_eq!((role.text("Key"), role.text("Value")), ("k".to_owned(), "v".to_owned()));
}

#[tokio::test]
async fn statements_25_and_46_lists_omit_what_aws_omits() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let tag = [("Tags.member.1.Key", "k"), ("Tags.member.1.Value", "v"), ("PermissionsBoundary", READ_ONLY)];
    let user: Vec<_> = [("UserName", "alice")].into_iter().chain(tag).collect();
    utils.iam("CreateUser", &user).await.ok();
    let trust = trust(json!(UTILS));
    let role = [("RoleName", "r"), ("AssumeRolePolicyDocument", trust.as_str()), ("Description", "told"), ("MaxSessionDuration", "7200")];
    utils.iam("CreateRole", &role.into_iter().chain(tag).collect::<Vec<_>>()).await.ok();

    let user = utils.iam("GetUser", &[("UserName", "alice")]).await.ok();
    assert_eq!((user.text("Key"), user.text("PermissionsBoundaryArn")), ("k".to_owned(), READ_ONLY.to_owned()));
    for operation in ["ListUsers", "ListRoles"] {
        let list = utils.iam(operation, &[]).await.ok();
        assert!(list.texts("Key").is_empty() && list.texts("PermissionsBoundaryArn").is_empty(), "{}", list.body);
    }
    let roles = utils.iam("ListRoles", &[("PathPrefix", "/")]).await.ok();
    assert!(roles.texts("Description").contains(&"told".to_owned()) && roles.texts("MaxSessionDuration").contains(&"7200".to_owned()));
    let details = utils.iam("GetAccountAuthorizationDetails", &[]).await.ok();
    assert!(!details.body.contains("told") && details.texts("MaxSessionDuration").is_empty(), "{}", details.body);
    assert_eq!(details.texts("PermissionsBoundaryArn"), [READ_ONLY, READ_ONLY]);
}

#[tokio::test]
async fn statement_11_policies_of_roles_and_users_come_back() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    utils.role("r", &trust(json!(UTILS))).await;
    utils.iam("CreateUser", &[("UserName", "u")]).await.ok();
    let document = allow(json!("s3:GetObject"), "arn:aws:s3:::a b/*+~");
    for (kind, parameter, name) in [("Role", "RoleName", "r"), ("User", "UserName", "u")] {
        let entity = (parameter, name);
        utils.iam(&format!("Put{kind}Policy"), &[entity, ("PolicyName", "p"), ("PolicyDocument", &document)]).await.ok();
        utils.iam(&format!("Attach{kind}Policy"), &[entity, ("PolicyArn", READ_ONLY)]).await.ok();
        let names = utils.iam(&format!("List{kind}Policies"), &[entity]).await.ok();
        assert_eq!(names.texts("member"), ["p"]);
        let inline = utils.iam(&format!("Get{kind}Policy"), &[entity, ("PolicyName", "p")]).await.ok();
        assert_eq!(inline.document("PolicyDocument"), parsed(&document));
        let attached = utils.iam(&format!("ListAttached{kind}Policies"), &[entity]).await.ok();
        assert_eq!(attached.texts("PolicyArn"), [READ_ONLY]);
        let missing = utils.iam(&format!("Attach{kind}Policy"), &[entity, ("PolicyArn", "arn:aws:iam::aws:policy/NoSuchPolicy")]).await;
        assert_eq!(missing.code(), "NoSuchEntity");
    }
}

#[tokio::test]
async fn a_managed_policy_and_its_versions_come_back() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let (first, second) = (allow(json!("s3:*"), "*"), allow(json!("ec2:*"), "*"));
    let create = [("PolicyName", "p"), ("PolicyDocument", first.as_str()), ("Description", "for reading"), ("Tags.member.1.Key", "k")];
    let arn = utils.iam("CreatePolicy", &create).await.ok().text("Arn");
    let policy = ("PolicyArn", arn.as_str());
    let read = utils.iam("GetPolicy", &[policy]).await.ok();
    assert_eq!((read.text("Description"), read.text("Key")), ("for reading".to_owned(), "k".to_owned()));
    utils.iam("CreatePolicyVersion", &[policy, ("PolicyDocument", &second), ("SetAsDefault", "true")]).await.ok();
    let versions = utils.iam("ListPolicyVersions", &[policy]).await.ok();
    assert_eq!(versions.texts("VersionId"), ["v1", "v2"]);
    assert_eq!(versions.texts("IsDefaultVersion"), ["false", "true"]);
    let second_read = utils.iam("GetPolicyVersion", &[policy, ("VersionId", "v2")]).await.ok();
    assert_eq!(second_read.document("Document"), parsed(&second));
    assert_eq!(utils.iam("GetPolicy", &[policy]).await.ok().text("DefaultVersionId"), "v2");
}

#[tokio::test]
async fn what_hangs_on_a_user_can_be_listed() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let alice = utils.user("alice").await;
    let user = [("UserName", "alice")];
    assert_eq!(utils.iam("ListAccessKeys", &user).await.ok().texts("AccessKeyId"), [alice.access_key_id]);
    for operation in ["ListSigningCertificates", "ListSSHPublicKeys", "ListServiceSpecificCredentials", "ListMFADevices", "ListGroupsForUser"] {
        let list = utils.iam(operation, &user).await.ok();
        assert!(list.texts("member").is_empty(), "{}", list.body);
    }
    assert_eq!(utils.iam("GetLoginProfile", &user).await.code(), "NoSuchEntity");
    utils.iam("CreateLoginProfile", &[user[0], ("Password", "Long-enough-1!"), ("PasswordResetRequired", "true")]).await.ok();
    assert_eq!(utils.iam("GetLoginProfile", &user).await.ok().text("PasswordResetRequired"), "true");
    utils.iam("DeleteLoginProfile", &user).await.ok();
    assert_eq!(utils.iam("DeleteLoginProfile", &user).await.code(), "NoSuchEntity");
    // Without a name it is the caller's own.
    let own = utils.iam("ListAccessKeys", &[]).await.ok();
    assert_eq!(own.texts("AccessKeyId"), [utils.access_key_id]);
}

#[tokio::test]
async fn statement_28_two_keys_at_most_inactive_ones_count_and_secrets_are_told_once() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    utils.user("alice").await;
    let user = ("UserName", "alice");
    let second = utils.iam("CreateAccessKey", &[user]).await.ok().text("AccessKeyId");
    assert!(second.starts_with("AKIA"));
    assert_eq!(utils.iam("CreateAccessKey", &[user]).await.code(), "LimitExceeded");
    utils.iam("UpdateAccessKey", &[user, ("AccessKeyId", &second), ("Status", "Inactive")]).await.ok();
    assert_eq!(utils.iam("CreateAccessKey", &[user]).await.code(), "LimitExceeded");
    let listed = utils.iam("ListAccessKeys", &[user]).await.ok();
    assert_eq!((listed.texts("AccessKeyId").len(), listed.texts("SecretAccessKey").len()), (2, 0));
    utils.iam("DeleteAccessKey", &[user, ("AccessKeyId", &second)]).await.ok();
    utils.iam("CreateAccessKey", &[user]).await.ok();
}

#[tokio::test]
async fn the_account_comes_back_in_pages() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let names: BTreeSet<String> = (0..7).map(|n| format!("role-{n}")).collect();
    for name in &names {
        utils.role(name, &trust(json!(UTILS))).await;
    }
    let (mut found, mut marker) = (BTreeSet::new(), None::<String>);
    for _ in 0..20 {
        let mut parameters = vec![("MaxItems", "3"), ("Filter.member.1", "Role")];
        parameters.extend(marker.as_deref().map(|marker| ("Marker", marker)));
        let page = utils.iam("GetAccountAuthorizationDetails", &parameters).await.ok();
        found.extend(page.texts("RoleName"));
        marker = (page.text("IsTruncated") == "true").then(|| page.text("Marker"));
        if marker.is_none() {
            break;
        }
    }
    assert!(marker.is_none() && names.is_subset(&found), "{found:?}");
}

#[tokio::test]
async fn statement_25_a_page_has_a_hundred_entries_unless_more_are_asked_for_up_to_a_thousand() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    for n in 0..101 {
        utils.iam("CreateUser", &[("UserName", &format!("user-{n}"))]).await.ok();
    }
    let page = async |asked: Option<&str>| {
        let mut parameters = vec![("Filter.member.1", "User")];
        parameters.extend(asked.map(|asked| ("MaxItems", asked)));
        utils.iam("GetAccountAuthorizationDetails", &parameters).await
    };
    let first = page(None).await.ok();
    assert_eq!((first.texts("UserName").len(), first.text("IsTruncated")), (100, "true".to_owned()));
    let whole = page(Some("1000")).await.ok();
    assert_eq!((whole.texts("UserName").len(), whole.text("IsTruncated")), (102, "false".to_owned()));
    assert_eq!(page(Some("1001")).await.code(), "ValidationError");
}

#[tokio::test]
async fn statement_25_pages_may_be_shorter_than_asked_and_only_is_truncated_tells_that_there_are_more() {
    let (sim, utils, _prod) = Sim::with_accounts().await;
    let names: BTreeSet<String> = (0..5).map(|n| format!("role-{n}")).collect();
    for name in &names {
        utils.role(name, &trust(json!(UTILS))).await;
    }
    sim.control("PUT", "/settings", json!({"pageSize": 2})).await;
    for (operation, filter) in [("ListRoles", ("PathPrefix", "/")), ("GetAccountAuthorizationDetails", ("Filter.member.1", "Role"))] {
        let (mut found, mut marker, mut pages) = (BTreeSet::new(), None::<String>, 0);
        loop {
            let mut parameters = vec![("MaxItems", "1000"), filter];
            parameters.extend(marker.as_deref().map(|marker| ("Marker", marker)));
            let page = utils.iam(operation, &parameters).await.ok();
            let roles = page.texts("RoleName");
            assert!(roles.len() <= 2, "{roles:?}");
            found.extend(roles);
            pages += 1;
            if page.text("IsTruncated") == "false" {
                break;
            }
            marker = Some(page.text("Marker"));
        }
        assert!(pages >= 3 && names.is_subset(&found), "{pages} {found:?}");
    }
    sim.control("PUT", "/settings", json!({"pageSize": 0})).await;
    assert_eq!(utils.iam("ListRoles", &[]).await.ok().text("IsTruncated"), "false");
}

#[tokio::test]
async fn statements_26_and_46_a_policy_tells_how_often_it_is_attached_and_a_boundary_and_no_list_tells_its_tags() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let document = allow(json!("s3:*"), "*");
    let create = [("PolicyName", "p"), ("PolicyDocument", document.as_str()), ("Tags.member.1.Key", "owner")];
    let arn = utils.iam("CreatePolicy", &create).await.ok().text("Arn");
    utils.iam("CreateUser", &[("UserName", "u"), ("PermissionsBoundary", &arn)]).await.ok();
    utils.iam("CreateUser", &[("UserName", "v"), ("PermissionsBoundary", &arn)]).await.ok();
    utils.iam("AttachUserPolicy", &[("UserName", "u"), ("PolicyArn", &arn)]).await.ok();
    let one = utils.iam("GetPolicy", &[("PolicyArn", &arn)]).await.ok();
    assert_eq!(one.text("Key"), "owner");
    let list = utils.iam("ListPolicies", &[("Scope", "Local")]).await.ok();
    let details = utils.iam("GetAccountAuthorizationDetails", &[("Filter.member.1", "LocalManagedPolicy")]).await.ok();
    for read in [&one, &list, &details] {
        assert_eq!((read.text("AttachmentCount"), read.text("PermissionsBoundaryUsageCount")), ("1".to_owned(), "2".to_owned()), "{}", read.body);
    }
    assert!(list.texts("Key").is_empty() && details.texts("Key").is_empty());
    let of_aws = utils.iam("GetAccountAuthorizationDetails", &[("Filter.member.1", "AWSManagedPolicy")]).await.ok();
    assert!(of_aws.texts("PolicyName").is_empty(), "{}", of_aws.body);
    let bounded = [("PolicyArn", arn.as_str()), ("PolicyUsageFilter", "PermissionsBoundary")];
    assert_eq!(utils.iam("ListEntitiesForPolicy", &bounded).await.ok().texts("UserName"), ["u", "v"]);
    let service_only = [("PolicyArn", "arn:aws:iam::aws:policy/aws-service-role/AWSSupportServiceRolePolicy")];
    assert_eq!(utils.iam("GetPolicy", &service_only).await.ok().text("IsAttachable"), "false");
}

#[tokio::test]
async fn the_account_tells_its_quotas_and_alias() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let summary = utils.iam("GetAccountSummary", &[]).await.ok();
    for quota in ["UserPolicySizeQuota", "AssumeRolePolicySizeQuota", "AttachedPoliciesPerRoleQuota"] {
        assert!(summary.texts("key").contains(&quota.to_owned()), "{quota}");
    }
    utils.iam("CreateAccountAlias", &[("AccountAlias", "utils")]).await.ok();
    assert_eq!(utils.iam("ListAccountAliases", &[]).await.ok().texts("member"), ["utils"]);
}

#[tokio::test]
async fn a_role_in_an_instance_profile_tells_which() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    utils.role("r", &trust(json!(UTILS))).await;
    utils.iam("CreateInstanceProfile", &[("InstanceProfileName", "p")]).await.ok();
    utils.iam("AddRoleToInstanceProfile", &[("InstanceProfileName", "p"), ("RoleName", "r")]).await.ok();
    let profiles = utils.iam("ListInstanceProfilesForRole", &[("RoleName", "r")]).await.ok();
    assert_eq!(profiles.texts("InstanceProfileName"), ["p"]);
}
