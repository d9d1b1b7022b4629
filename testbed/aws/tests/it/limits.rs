//! What IAM refuses for its form, and what cannot be changed now or ever.

use serde_json::json;

use crate::client::{Sim, UTILS, allow, role_arn, trust};

const SERVICE_ONLY: &str = "arn:aws:iam::aws:policy/aws-service-role/AWSSupportServiceRolePolicy";

#[tokio::test]
async fn statements_14_and_18_and_21_paths_descriptions_and_documents_have_a_form() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let (trust, document) = (trust(json!(UTILS)), allow(json!("s3:*"), "*"));
    let role = [("RoleName", "r"), ("AssumeRolePolicyDocument", trust.as_str())];
    let policy = [("PolicyName", "p"), ("PolicyDocument", document.as_str())];
    for (operation, base) in [
        ("CreateRole", &role[..]),
        ("CreatePolicy", &policy[..]),
        ("CreateUser", &[("UserName", "u")]),
        ("CreateGroup", &[("GroupName", "g")]),
        ("CreateInstanceProfile", &[("InstanceProfileName", "i")]),
    ] {
        for path in ["team", "/team", "team/", "/a b/"] {
            let refused = utils.iam(operation, &[base, &[("Path", path)]].concat()).await;
            assert_eq!((refused.status, refused.code()), (400, "ValidationError".to_owned()), "{operation} {path}");
        }
        utils.iam(operation, &[base, &[("Path", "/team/a/")]].concat()).await.ok();
    }
    assert_eq!(utils.iam("UpdateUser", &[("UserName", "u"), ("NewPath", "x")]).await.code(), "ValidationError");
    for description in ["it\u{2019}s", &"d".repeat(1_001)] {
        assert_eq!(utils.iam("UpdateRole", &[("RoleName", "r"), ("Description", description)]).await.code(), "ValidationError");
    }
    let exotic = allow(json!("s3:*"), "arn:aws:s3:::\u{4e00}");
    let put = utils.iam("PutUserPolicy", &[("UserName", "u"), ("PolicyName", "p"), ("PolicyDocument", &exotic)]).await;
    assert_eq!(put.code(), "ValidationError");
    for seconds in ["3599", "43201"] {
        assert_eq!(utils.iam("UpdateRole", &[("RoleName", "r"), ("MaxSessionDuration", seconds)]).await.code(), "ValidationError");
    }
    let tag = |key: &'static str, value: &'static str| [("RoleName", "r"), ("Tags.member.1.Key", key), ("Tags.member.1.Value", value)];
    assert_eq!(utils.iam("TagRole", &tag("a*", "")).await.code(), "ValidationError");
    assert_eq!(utils.iam("TagRole", &tag("a", "b;c")).await.code(), "ValidationError");
}

#[tokio::test]
async fn some_policies_cannot_be_attached() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    utils.role("r", &trust(json!(UTILS))).await;
    utils.iam("CreateUser", &[("UserName", "u")]).await.ok();
    utils.iam("CreateGroup", &[("GroupName", "g")]).await.ok();
    for (kind, entity) in [("Role", ("RoleName", "r")), ("User", ("UserName", "u")), ("Group", ("GroupName", "g"))] {
        let attach = async |arn: &str| utils.iam(&format!("Attach{kind}Policy"), &[entity, ("PolicyArn", arn)]).await;
        let refused = attach(SERVICE_ONLY).await;
        assert_eq!((refused.status, refused.code()), (400, "PolicyNotAttachable".to_owned()));
        let missing = attach("arn:aws:iam::aws:policy/None").await;
        assert_eq!((missing.status, missing.code()), (404, "NoSuchEntity".to_owned()));
        assert_eq!(missing.message(), "Policy arn:aws:iam::aws:policy/None does not exist or is not attachable.");
        if kind != "Group" {
            let put = utils.iam(&format!("Put{kind}PermissionsBoundary"), &[entity, ("PermissionsBoundary", SERVICE_ONLY)]).await;
            assert_eq!(put.code(), "PolicyNotAttachable");
        }
    }
    let create = utils.iam("CreateUser", &[("UserName", "v"), ("PermissionsBoundary", SERVICE_ONLY)]).await;
    assert_eq!(
        (create.code(), create.message()),
        ("NoSuchEntity".to_owned(), format!("Scope ARN: {SERVICE_ONLY} does not exist or is not attachable."))
    );
}

#[tokio::test]
async fn statement_5_a_new_login_profile_and_a_recreated_user_cannot_be_changed_for_a_while() {
    let (sim, utils, _prod) = Sim::with_accounts().await;
    let user = [("UserName", "alice")];
    utils.iam("CreateUser", &user).await.ok();
    utils.iam("UpdateUser", &user).await.ok();
    utils.iam("DeleteUser", &user).await.ok();
    sim.control("PUT", "/settings", json!({"unmodifiableMs": 60_000})).await;
    utils.iam("CreateUser", &user).await.ok();
    let refused = utils.iam("UpdateUser", &[user[0], ("NewPath", "/x/")]).await;
    assert_eq!((refused.status, refused.code()), (409, "EntityTemporarilyUnmodifiable".to_owned()));
    sim.control("PUT", "/clock", json!({"offsetSeconds": 60})).await;
    utils.iam("UpdateUser", &[user[0], ("NewPath", "/x/")]).await.ok();

    utils.iam("CreateLoginProfile", &[user[0], ("Password", "Long-enough-1!")]).await.ok();
    let refused = utils.iam("DeleteLoginProfile", &user).await;
    assert_eq!(refused.message(), "Login Profile for User alice cannot be modified while login profile is being created.");
    sim.control("PUT", "/settings", json!({"unmodifiableMs": 0})).await;
    utils.iam("DeleteLoginProfile", &user).await.ok();
}

#[tokio::test]
async fn statement_54_roles_of_identity_center_are_there_can_be_used_and_cannot_be_changed() {
    let (sim, utils, _prod) = Sim::with_accounts().await;
    let (name, path) = ("AWSReservedSSO_Admin_0123456789abcdef", "/aws-reserved/sso.amazonaws.com/");
    let wanted = |path: &str| {
        let statement = json!({"Effect": "Allow", "Principal": {"AWS": UTILS}, "Action": "sts:AssumeRole"});
        json!({"roleName": name, "path": path, "assumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}})
    };
    let arn = sim.control("POST", &format!("/accounts/{UTILS}/reserved-roles"), wanted(path)).await["arn"].as_str().unwrap().to_owned();
    assert_eq!(arn, format!("arn:aws:iam::{UTILS}:role{path}{name}"));
    assert_eq!(utils.iam("DeleteRole", &[("RoleName", name)]).await.code(), "UnmodifiableEntity");
    let condition = json!({"ArnLike": {"aws:PrincipalArn": format!("arn:aws:iam::{UTILS}:role{path}AWSReservedSSO_Admin_????????????????")}});
    utils.role("r", &crate::client::trust_if(json!("*"), condition)).await;
    let session = utils.assumed(&arn, &[]).await;
    session.assume(&role_arn(UTILS, "r"), &[]).await.ok();
    assert!(utils.assume(&role_arn(UTILS, "r"), &[]).await.message().contains("no role trust policy"));
    assert_eq!(sim.control_status("POST", &format!("/accounts/{UTILS}/reserved-roles"), wanted("/team/")).await.0, 400);
    assert_eq!(sim.control_status("POST", "/accounts/999999999999/reserved-roles", wanted(path)).await.0, 404);
}

#[tokio::test]
async fn statement_29_passwords_obey_the_policy_of_the_account() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    utils.iam("CreateUser", &[("UserName", "alice")]).await.ok();
    let create = async |password: &str| utils.iam("CreateLoginProfile", &[("UserName", "alice"), ("Password", password)]).await;
    assert_eq!(create("short").await.code(), "PasswordPolicyViolation");
    utils.iam("UpdateAccountPasswordPolicy", &[("MinimumPasswordLength", "20")]).await.ok();
    assert_eq!(create("Long-enough-1!").await.code(), "PasswordPolicyViolation");
    create("long enough for the policy").await.ok();
}

#[tokio::test]
async fn statement_29_who_has_no_password_any_more_still_has_keys() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let alice = utils.user("alice").await;
    utils.allow_user("alice", json!("iam:ListUsers")).await;
    utils.iam("CreateLoginProfile", &[("UserName", "alice"), ("Password", "Long-enough-1!")]).await.ok();
    utils.iam("DeleteLoginProfile", &[("UserName", "alice")]).await.ok();
    alice.iam("ListUsers", &[]).await.ok();
}

#[tokio::test]
async fn statement_22_what_is_in_use_cannot_be_deleted() {
    let (_sim, utils, _prod) = Sim::with_accounts().await;
    let (serial, _) = crate::assume_role::mfa_device(&utils, "administrator").await;
    utils.role("r", &trust(json!(UTILS))).await;
    utils.iam("CreateInstanceProfile", &[("InstanceProfileName", "p")]).await.ok();
    utils.iam("AddRoleToInstanceProfile", &[("InstanceProfileName", "p"), ("RoleName", "r")]).await.ok();
    utils.iam("CreateGroup", &[("GroupName", "g")]).await.ok();
    utils.iam("AddUserToGroup", &[("UserName", "administrator"), ("GroupName", "g")]).await.ok();
    for (operation, parameters) in [
        ("DeleteVirtualMFADevice", [("SerialNumber", serial.as_str())]),
        ("DeleteInstanceProfile", [("InstanceProfileName", "p")]),
        ("DeleteGroup", [("GroupName", "g")]),
        ("DeleteUser", [("UserName", "administrator")]),
        ("DeleteRole", [("RoleName", "r")]),
    ] {
        let refused = utils.iam(operation, &parameters).await;
        assert_eq!((refused.status, refused.code()), (409, "DeleteConflict".to_owned()), "{operation}");
    }
    utils.iam("DeactivateMFADevice", &[("UserName", "administrator"), ("SerialNumber", &serial)]).await.ok();
    utils.iam("DeleteVirtualMFADevice", &[("SerialNumber", &serial)]).await.ok();
}
