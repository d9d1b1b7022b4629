//! Names, tags, boundaries and deletion.

use serde_json::json;

use crate::client::{PROD, Sim, UTILS, allow, role_arn, trust};

#[tokio::test]
async fn statement_19_names_are_unique_without_regard_to_case_and_path() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    utils.iam("CreateUser", &[("UserName", "Alice")]).await.ok();
    utils.role("Reader", &trust(json!(UTILS))).await;
    let document = allow(json!("s3:*"), "*");
    utils.iam("CreatePolicy", &[("PolicyName", "Read"), ("PolicyDocument", &document)]).await.ok();

    let user = utils.iam("CreateUser", &[("UserName", "alice"), ("Path", "/x/")]).await;
    assert_eq!((user.status, user.code()), (409, "EntityAlreadyExists".to_owned()));
    let trust = trust(json!(UTILS));
    let role = utils.iam("CreateRole", &[("RoleName", "READER"), ("Path", "/x/"), ("AssumeRolePolicyDocument", &trust)]).await;
    assert_eq!(role.message(), "Role with name READER already exists.");
    let policy = utils.iam("CreatePolicy", &[("PolicyName", "read"), ("Path", "/x/"), ("PolicyDocument", &document)]).await;
    assert_eq!(policy.code(), "EntityAlreadyExists");
}

#[tokio::test]
async fn entities_are_found_without_regard_to_case() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    utils.iam("CreateUser", &[("UserName", "Alice")]).await.ok();
    utils.role("Reader", &trust(json!(UTILS))).await;
    assert_eq!(utils.iam("GetUser", &[("UserName", "aLICE")]).await.ok().text("UserName"), "Alice");
    utils.iam("UpdateRole", &[("RoleName", "reader"), ("Description", "found")]).await.ok();
    assert_eq!(utils.iam("GetRole", &[("RoleName", "READER")]).await.ok().text("Description"), "found");
    utils.iam("DeleteUser", &[("UserName", "ALICE")]).await.ok();
    assert_eq!(utils.iam("GetUser", &[("UserName", "Alice")]).await.code(), "NoSuchEntity");
}

#[tokio::test]
async fn two_creations_of_one_name_at_once_make_one_user() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let creations = ["Same", "same", "SAME", "sAme"].map(|name| {
        let utils = utils.clone();
        tokio::spawn(async move { utils.iam("CreateUser", &[("UserName", name)]).await.status })
    });
    let mut statuses = Vec::new();
    for creation in creations {
        statuses.push(creation.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409]);
}

#[tokio::test]
async fn names_have_iams_characters() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    for name in ["two words", "sl/ash", &"x".repeat(65)] {
        assert_eq!(utils.iam("CreateUser", &[("UserName", name)]).await.code(), "ValidationError", "{name}");
    }
}

#[tokio::test]
async fn statements_18_and_20_tags_have_a_reserved_prefix_a_limit_and_no_case() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    utils.iam("CreateUser", &[("UserName", "alice")]).await.ok();
    let tag = |key: &'static str, value: &'static str| [("UserName", "alice"), ("Tags.member.1.Key", key), ("Tags.member.1.Value", value)];
    assert_eq!(utils.iam("TagUser", &tag("aws:x", "1")).await.code(), "InvalidInput");
    assert_eq!(utils.iam("TagUser", &tag("x", "aws:1")).await.code(), "InvalidInput");
    utils.iam("TagUser", &tag("Team", "a")).await.ok();
    utils.iam("TagUser", &tag("team", "b")).await.ok();
    let tags = utils.iam("ListUserTags", &[("UserName", "alice")]).await.ok();
    assert_eq!((tags.texts("Key"), tags.texts("Value")), (vec!["team".to_owned()], vec!["b".to_owned()]));
    utils.iam("UntagUser", &[("UserName", "alice"), ("TagKeys.member.1", "TEAM")]).await.ok();
    assert!(utils.iam("ListUserTags", &[("UserName", "alice")]).await.ok().texts("Key").is_empty());

    let keys: Vec<(String, String)> = (1..=51).map(|n| (format!("Tags.member.{n}.Key"), format!("k{n}"))).collect();
    let mut many = vec![("UserName", "alice")];
    many.extend(keys.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    assert_eq!(utils.iam("TagUser", &many).await.status, 400);
    utils.iam("TagUser", &many[..51]).await.ok();
    assert_eq!(utils.iam("TagUser", &tag("one-more", "")).await.status, 400);
}

#[tokio::test]
async fn statement_20_tag_keys_of_policies_differ_by_case() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let create = [("PolicyName", "p"), ("PolicyDocument", &*allow(json!("s3:*"), "*"))];
    let arn = utils.iam("CreatePolicy", &create).await.ok().text("Arn");
    let tag = |key: &'static str| [("PolicyArn", arn.as_str()), ("Tags.member.1.Key", key), ("Tags.member.1.Value", key)];
    for key in ["Team", "team"] {
        utils.iam("TagPolicy", &tag(key)).await.ok();
    }
    let keys = async || utils.iam("ListPolicyTags", &[("PolicyArn", &arn)]).await.ok().texts("Key");
    assert_eq!(keys().await, ["Team", "team"]);
    utils.iam("UntagPolicy", &[("PolicyArn", &arn), ("TagKeys.member.1", "TEAM")]).await.ok();
    utils.iam("UntagPolicy", &[("PolicyArn", &arn), ("TagKeys.member.1", "team")]).await.ok();
    assert_eq!(keys().await, ["Team"]);
}

#[tokio::test]
async fn a_boundary_must_exist() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let missing = format!("arn:aws:iam::{UTILS}:policy/none");
    let create = utils.iam("CreateUser", &[("UserName", "alice"), ("PermissionsBoundary", &missing)]).await;
    assert_eq!(create.code(), "NoSuchEntity");
    utils.iam("CreateUser", &[("UserName", "alice"), ("PermissionsBoundary", "arn:aws:iam::aws:policy/ReadOnlyAccess")]).await.ok();
    let put = utils.iam("PutUserPermissionsBoundary", &[("UserName", "alice"), ("PermissionsBoundary", &missing)]).await;
    assert_eq!(put.code(), "NoSuchEntity");
}

#[tokio::test]
async fn statements_22_and_51_a_user_with_anything_left_but_a_boundary_cannot_be_deleted() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let alice = utils.user("alice").await;
    utils.allow_user("alice", json!("s3:*")).await;
    let managed = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    utils.iam("PutUserPermissionsBoundary", &[("UserName", "alice"), ("PermissionsBoundary", managed)]).await.ok();
    utils.iam("AttachUserPolicy", &[("UserName", "alice"), ("PolicyArn", managed)]).await.ok();
    utils.iam("CreateLoginProfile", &[("UserName", "alice"), ("Password", "Long-enough-1!")]).await.ok();
    utils.iam("CreateGroup", &[("GroupName", "g")]).await.ok();
    utils.iam("AddUserToGroup", &[("UserName", "alice"), ("GroupName", "g")]).await.ok();
    let service = [("UserName", "alice"), ("ServiceName", "codecommit.amazonaws.com")];
    let credential = utils.iam("CreateServiceSpecificCredential", &service).await.ok().text("ServiceSpecificCredentialId");
    let key = [("UserName", "alice"), ("SSHPublicKeyBody", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7 alice")];
    let ssh_key = utils.iam("UploadSSHPublicKey", &key).await.ok().text("SSHPublicKeyId");
    let certificate = [("UserName", "alice"), ("CertificateBody", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----")];
    let certificate = utils.iam("UploadSigningCertificate", &certificate).await.ok().text("CertificateId");
    let (device, _) = crate::assume_role::mfa_device(&utils, "alice").await;

    let user = ("UserName", "alice");
    for (operation, parameters) in [
        ("DeleteAccessKey", vec![user, ("AccessKeyId", alice.access_key_id.as_str())]),
        ("RemoveUserFromGroup", vec![user, ("GroupName", "g")]),
        ("DetachUserPolicy", vec![user, ("PolicyArn", managed)]),
        ("DeleteUserPolicy", vec![user, ("PolicyName", "allow")]),
        ("DeleteLoginProfile", vec![user]),
        ("DeleteServiceSpecificCredential", vec![user, ("ServiceSpecificCredentialId", credential.as_str())]),
        ("DeleteSSHPublicKey", vec![user, ("SSHPublicKeyId", ssh_key.as_str())]),
        ("DeleteSigningCertificate", vec![user, ("CertificateId", certificate.as_str())]),
        ("DeactivateMFADevice", vec![user, ("SerialNumber", device.as_str())]),
    ] {
        let refused = utils.iam("DeleteUser", &[user]).await;
        assert_eq!((refused.status, refused.code()), (409, "DeleteConflict".to_owned()), "before {operation}");
        utils.iam(operation, &parameters).await.ok();
    }
    utils.iam("DeleteUser", &[user]).await.ok();
}

#[tokio::test]
async fn statement_22_a_role_with_anything_left_cannot_be_deleted() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    utils.role("r", &trust(json!(UTILS))).await;
    utils.allow_role("r", json!("s3:*")).await;
    let managed = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    utils.iam("AttachRolePolicy", &[("RoleName", "r"), ("PolicyArn", managed)]).await.ok();
    utils.iam("CreateInstanceProfile", &[("InstanceProfileName", "p")]).await.ok();
    utils.iam("AddRoleToInstanceProfile", &[("InstanceProfileName", "p"), ("RoleName", "r")]).await.ok();
    let role = ("RoleName", "r");
    for (operation, parameters) in [
        ("RemoveRoleFromInstanceProfile", vec![role, ("InstanceProfileName", "p")]),
        ("DetachRolePolicy", vec![role, ("PolicyArn", managed)]),
        ("DeleteRolePolicy", vec![role, ("PolicyName", "allow")]),
    ] {
        assert_eq!(utils.iam("DeleteRole", &[role]).await.code(), "DeleteConflict", "before {operation}");
        utils.iam(operation, &parameters).await.ok();
    }
    utils.iam("DeleteRole", &[role]).await.ok();
}

#[tokio::test]
async fn statement_17_a_policy_in_use_or_with_versions_cannot_be_deleted() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let document = allow(json!("s3:*"), "*");
    let arn = utils.iam("CreatePolicy", &[("PolicyName", "p"), ("PolicyDocument", &document)]).await.ok().text("Arn");
    let policy = ("PolicyArn", arn.as_str());
    utils.iam("CreateUser", &[("UserName", "alice"), ("PermissionsBoundary", &arn)]).await.ok();
    utils.iam("AttachUserPolicy", &[("UserName", "alice"), policy]).await.ok();
    utils.iam("CreatePolicyVersion", &[policy, ("PolicyDocument", &document), ("SetAsDefault", "true")]).await.ok();
    for (operation, parameters) in [
        ("DetachUserPolicy", vec![policy, ("UserName", "alice")]),
        ("DeleteUserPermissionsBoundary", vec![("UserName", "alice")]),
        ("DeletePolicyVersion", vec![policy, ("VersionId", "v1")]),
    ] {
        assert_eq!(utils.iam("DeletePolicy", &[policy]).await.code(), "DeleteConflict", "before {operation}");
        utils.iam(operation, &parameters).await.ok();
    }
    let default = utils.iam("DeletePolicyVersion", &[policy, ("VersionId", "v2")]).await;
    assert_eq!(default.code(), "DeleteConflict");
    utils.iam("DeletePolicy", &[policy]).await.ok();
}

#[tokio::test]
async fn who_is_missing_is_named_in_the_apis_words() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    utils.iam("CreateUser", &[("UserName", "alice")]).await.ok();
    utils.iam("CreateGroup", &[("GroupName", "team")]).await.ok();
    let boundary = ("PermissionsBoundary", "arn:aws:iam::aws:policy/ReadOnlyAccess");
    let (nobody, device) = (("UserName", "nobody"), ("SerialNumber", "arn:aws:iam::111111111111:mfa/none"));
    for (operation, parameters) in [
        ("GetUser", vec![nobody]),
        ("PutUserPermissionsBoundary", vec![nobody, boundary]),
        ("DeleteUserPermissionsBoundary", vec![nobody]),
        ("RemoveUserFromGroup", vec![nobody, ("GroupName", "team")]),
        ("DeactivateMFADevice", vec![nobody, device]),
    ] {
        let reply = utils.iam(operation, &parameters).await;
        assert_eq!(
            (reply.code(), reply.message()),
            ("NoSuchEntity".to_owned(), "The user with name nobody cannot be found.".to_owned()),
            "{operation}"
        );
    }
    let alice = ("UserName", "alice");
    assert_eq!(utils.iam("RemoveUserFromGroup", &[alice, ("GroupName", "none")]).await.message(), "The group with name none cannot be found.");
    assert_eq!(utils.iam("AddUserToGroup", &[alice, ("GroupName", "none")]).await.message(), "The group with name none cannot be found.");
}

#[tokio::test]
async fn a_device_is_taken_off_its_own_user_only() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    utils.iam("CreateUser", &[("UserName", "alice")]).await.ok();
    utils.iam("CreateUser", &[("UserName", "bob")]).await.ok();
    let (device, _) = crate::assume_role::mfa_device(&utils, "bob").await;
    let of = |user: &'static str| [("UserName", user), ("SerialNumber", device.as_str())];
    assert_eq!(utils.iam("DeactivateMFADevice", &of("alice")).await.code(), "NoSuchEntity");
    assert_eq!(utils.iam("ListMFADevices", &[("UserName", "bob")]).await.ok().texts("SerialNumber"), [device.as_str()]);
    utils.iam("DeactivateMFADevice", &of("bob")).await.ok();
    assert_eq!(utils.iam("DeactivateMFADevice", &of("bob")).await.code(), "NoSuchEntity");
}

#[tokio::test]
async fn accounts_do_not_see_each_other() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    prod.role("r", &trust(json!(UTILS))).await;
    assert_eq!(utils.iam("GetRole", &[("RoleName", "r")]).await.code(), "NoSuchEntity");
    assert_eq!(prod.iam("GetRole", &[("RoleName", "r")]).await.ok().text("Arn"), role_arn(PROD, "r"));
}

#[tokio::test]
async fn statement_34_roles_of_aws_cannot_be_changed() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let role = ("RoleName", "AWSServiceRoleForSupport");
    let refused = utils.iam("DeleteRole", &[role]).await;
    assert_eq!((refused.status, refused.code()), (400, "UnmodifiableEntity".to_owned()));
    utils.iam("GetRole", &[role]).await.ok();
}

#[tokio::test]
async fn quotas_hold() {
    let (_sim, utils, prod) = Sim::with_accounts().await;
    for n in 0..40 {
        utils.iam("CreateUser", &[("UserName", &format!("user-{n}"))]).await.ok();
    }
    let principals: Vec<_> = (0..40).map(|n| format!("arn:aws:iam::{UTILS}:user/user-{n}")).collect();
    prod.role("small", &trust(json!(principals[..30]))).await;
    let large = trust(json!([principals.as_slice(), principals.as_slice()].concat()));
    let refused = prod.iam("CreateRole", &[("RoleName", "large"), ("AssumeRolePolicyDocument", &large)]).await;
    assert_eq!((refused.code(), refused.message()), ("LimitExceeded".to_owned(), "Cannot exceed quota for ACLSizePerRole: 2048".to_owned()));
    let update = prod.iam("UpdateAssumeRolePolicy", &[("RoleName", "small"), ("PolicyDocument", &large)]).await;
    assert_eq!(update.code(), "LimitExceeded");
    let inline = allow(json!((0..100).map(|n| format!("s3:Action{n:020}")).collect::<Vec<_>>()), "*");
    let put = utils.iam("PutUserPolicy", &[("UserName", "user-0"), ("PolicyName", "p"), ("PolicyDocument", &inline)]).await;
    assert_eq!(put.message(), "Maximum policy size of 2048 bytes exceeded for user user-0");
}
