//! Quotas, which differ by account and change while it runs.

use serde_json::json;

use crate::client::{Client, PROD, Sim, UTILS, allow, trust};

/// The values of `GetAccountSummary` by key.
async fn summary(account: &Client) -> std::collections::BTreeMap<String, String> {
    let reply = account.iam("GetAccountSummary", &[]).await.ok();
    reply.texts("key").into_iter().zip(reply.texts("value")).collect()
}

#[tokio::test]
async fn statements_15_and_55_a_quota_is_changed_for_one_account_while_it_runs() {
    let (sim, utils, prod) = Sim::with_accounts().await;
    let document = trust(json!(vec![format!("arn:aws:iam::{UTILS}:root"); 60]));
    let create = [("RoleName", "r"), ("AssumeRolePolicyDocument", document.as_str())];
    let refused = prod.iam("CreateRole", &create).await;
    assert_eq!((refused.status, refused.message()), (409, "Cannot exceed quota for ACLSizePerRole: 2048".to_owned()));

    let changed = sim.control("PUT", &format!("/accounts/{PROD}/quotas"), json!({"AssumeRolePolicySizeQuota": 4096})).await;
    assert_eq!((&changed["AssumeRolePolicySizeQuota"], &changed["AttachedPoliciesPerRoleQuota"]), (&json!(4096), &json!(20)));
    prod.iam("CreateRole", &create).await.ok();
    assert_eq!(utils.iam("CreateRole", &create).await.code(), "LimitExceeded");
    assert_eq!((&*summary(&prod).await["AssumeRolePolicySizeQuota"], &*summary(&utils).await["AssumeRolePolicySizeQuota"]), ("4096", "2048"));
}

#[tokio::test]
async fn the_summary_has_every_key_of_aws_and_the_quotas_that_are_enforced() {
    let (sim, utils, _prod) = Sim::with_accounts().await;
    let quotas = sim.get(&format!("/accounts/{UTILS}/quotas")).await;
    let summary = summary(&utils).await;
    for (key, value) in quotas.as_object().unwrap() {
        assert_eq!(&summary[key], &value.to_string(), "{key}");
    }
    for key in [
        "Users",
        "Groups",
        "Roles",
        "Policies",
        "InstanceProfiles",
        "Providers",
        "ServerCertificates",
        "PolicyVersionsInUse",
        "MFADevices",
        "MFADevicesInUse",
        "AccountMFAEnabled",
        "AccountAccessKeysPresent",
        "AccountPasswordPresent",
        "AccountSigningCertificatesPresent",
        "GlobalEndpointTokenVersion",
    ] {
        assert!(summary.contains_key(key), "{key}");
    }
}

#[tokio::test]
async fn each_quota_is_enforced_as_it_is_set() {
    let (sim, utils, _prod) = Sim::with_accounts().await;
    let document = allow(json!("s3:*"), "*");
    let (policy, user) = (("PolicyDocument", document.as_str()), ("UserName", "u"));
    utils.iam("CreateUser", &[user]).await.ok();
    utils.role("r", &trust(json!(UTILS))).await;
    utils.iam("CreateGroup", &[("GroupName", "g")]).await.ok();
    let arn = utils.iam("CreatePolicy", &[("PolicyName", "p"), policy]).await.ok().text("Arn");
    let own = ("PolicyArn", arn.as_str());

    for (key, operation, parameters, refusal) in [
        ("AttachedPoliciesPerRoleQuota", "AttachRolePolicy", vec![("RoleName", "r"), own], "Cannot exceed quota for PoliciesPerRole: 0"),
        ("AttachedPoliciesPerUserQuota", "AttachUserPolicy", vec![user, own], "Cannot exceed quota for PoliciesPerUser: 0"),
        ("AttachedPoliciesPerGroupQuota", "AttachGroupPolicy", vec![("GroupName", "g"), own], "Cannot exceed quota for PoliciesPerGroup: 0"),
        ("UserPolicySizeQuota", "PutUserPolicy", vec![user, ("PolicyName", "i"), policy], "Maximum policy size of 0 bytes exceeded for user u"),
        (
            "RolePolicySizeQuota",
            "PutRolePolicy",
            vec![("RoleName", "r"), ("PolicyName", "i"), policy],
            "Maximum policy size of 0 bytes exceeded for role r",
        ),
        (
            "GroupPolicySizeQuota",
            "PutGroupPolicy",
            vec![("GroupName", "g"), ("PolicyName", "i"), policy],
            "Maximum policy size of 0 bytes exceeded for group g",
        ),
        ("PolicySizeQuota", "CreatePolicyVersion", vec![own, policy], "Cannot exceed quota for PolicySize: 0"),
        ("GroupsPerUserQuota", "AddUserToGroup", vec![user, ("GroupName", "g")], "Cannot exceed quota for GroupsPerUser: 0"),
        ("AccessKeysPerUserQuota", "CreateAccessKey", vec![user], "Cannot exceed quota for AccessKeysPerUser: 0"),
        ("UsersQuota", "CreateUser", vec![("UserName", "v")], "Cannot exceed quota for UsersPerAccount: 0"),
    ] {
        let before = sim.get(&format!("/accounts/{UTILS}/quotas")).await[key].clone();
        let set = async |value: serde_json::Value| sim.control("PUT", &format!("/accounts/{UTILS}/quotas"), json!({ key: value })).await;
        set(json!(0)).await;
        let refused = utils.iam(operation, &parameters).await;
        assert_eq!((refused.code(), refused.message()), ("LimitExceeded".to_owned(), refusal.to_owned()));
        set(before).await;
        utils.iam(operation, &parameters).await.ok();
    }
}

#[tokio::test]
async fn statement_17_a_policy_has_as_many_versions_as_the_quota_says() {
    let (sim, utils, _prod) = Sim::with_accounts().await;
    let document = allow(json!("s3:*"), "*");
    let arn = utils.iam("CreatePolicy", &[("PolicyName", "p"), ("PolicyDocument", &document)]).await.ok().text("Arn");
    let version = [("PolicyArn", arn.as_str()), ("PolicyDocument", document.as_str())];
    sim.control("PUT", &format!("/accounts/{UTILS}/quotas"), json!({"VersionsPerPolicyQuota": 2})).await;
    utils.iam("CreatePolicyVersion", &version).await.ok();
    let refused = utils.iam("CreatePolicyVersion", &version).await;
    assert_eq!((refused.status, refused.code()), (409, "LimitExceeded".to_owned()));
    assert!(refused.message().starts_with("A managed policy can have up to 2 versions."), "{}", refused.message());
    // AWS gives five, and one that goes makes room for another.
    sim.control("PUT", &format!("/accounts/{UTILS}/quotas"), json!({"VersionsPerPolicyQuota": 5})).await;
    for _ in 3..=5 {
        utils.iam("CreatePolicyVersion", &version).await.ok();
    }
    assert_eq!(utils.iam("CreatePolicyVersion", &version).await.code(), "LimitExceeded");
    utils.iam("DeletePolicyVersion", &[version[0], ("VersionId", "v2")]).await.ok();
    utils.iam("CreatePolicyVersion", &version).await.ok();
}

#[tokio::test]
async fn what_is_no_quota_is_refused() {
    let (sim, _utils, _prod) = Sim::with_accounts().await;
    let put = async |account: &str, body| sim.control_status("PUT", &format!("/accounts/{account}/quotas"), body).await.0;
    assert_eq!(put(PROD, json!({"RolesPerAccount": 1})).await, 400);
    assert_eq!(put(PROD, json!({"VersionsPerPolicyQuota": 6})).await, 400);
    assert_eq!(put("999999999999", json!({"RolesQuota": 1})).await, 404);
}
