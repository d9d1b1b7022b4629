//! What a person prepares in AWS before Rolebridge can work there, and what the proofs need beside it.

use anyhow::{Context, Result};
use rolebridge_testbed::{Credentials, Testbed};
use serde::Deserialize;

use crate::shell::Shell;

/// The accounts of the recipe, one more that it does not know, and that of the operator, by the names of their administrators' profiles.
pub const ACCOUNTS: [(&str, &str); 4] = [(UTILS, "111111111111"), (PROD, "222222222222"), (STAGE, "333333333333"), (OPERATOR, "444444444444")];
/// The administrator of the account in which the operator is, and nothing else.
const OPERATOR: &str = "operator-admin";
/// The bastion account's administrator.
pub const UTILS: &str = "utils-admin";
/// The target account's administrator.
pub const PROD: &str = "prod-admin";
/// The administrator of an account that nobody grants access to.
pub const STAGE: &str = "stage-admin";
/// Prod's buckets.
pub const PROD_BUCKETS: [&str; 2] = ["prod-invoices", "prod-reports"];
/// A bucket in utils.
const UTILS_BUCKET: &str = "utils-logs";
/// Where the documents are that a person gives to AWS.
const DOCUMENTS: &str = "file://examples/classic/aws";
/// Lets every identity of an account assume any role, as far as its own side goes.
const ASSUME_ANYTHING: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]}"#;
/// Trusts everybody in utils whose own policies allow it.
const TRUST_UTILS: &str =
    r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "111111111111"}, "Action": "sts:AssumeRole"}]}"#;

/// Creates the accounts, each with an administrator whose key is saved as a profile.
pub async fn create_accounts(shell: &Shell, testbed: &Testbed) -> Result<()> {
    for (profile, account) in ACCOUNTS {
        shell.save_profile(profile, &testbed.aws.account(account).await?)?;
    }
    Ok(())
}

/// Makes the operator's user in its own account, and the management role in the two of the recipe. Returns the operator's key.
pub async fn create_management_roles(shell: &Shell) -> Result<Credentials> {
    shell.run(&format!("aws --profile {OPERATOR} iam create-user --user-name rolebridge-operator --query User.Arn --output text")).await?;
    let policy = format!("--policy-name assume-management-roles --policy-document {DOCUMENTS}/operator-permissions.json");
    shell.run(&format!("aws --profile {OPERATOR} iam put-user-policy --user-name rolebridge-operator {policy}")).await?;
    let key = create_access_key(shell, OPERATOR, "rolebridge-operator").await?;
    for account in [UTILS, PROD] {
        let trust = format!("--assume-role-policy-document {DOCUMENTS}/management-role-trust.json");
        shell.run(&format!("aws --profile {account} iam create-role --role-name rolebridge {trust} --query Role.Arn --output text")).await?;
        let policy = format!("--policy-name manage-iam --policy-document {DOCUMENTS}/management-role-permissions.json");
        shell.run(&format!("aws --profile {account} iam put-role-policy --role-name rolebridge {policy}")).await?;
    }
    Ok(key)
}

/// Makes what there is to list, and what must stay out of reach.
pub async fn create_surroundings(shell: &Shell) -> Result<()> {
    for bucket in PROD_BUCKETS {
        shell.run(&format!("aws --profile {PROD} s3 mb s3://{bucket}")).await?;
    }
    shell.run(&format!("aws --profile {UTILS} s3 mb s3://{UTILS_BUCKET}")).await?;
    Ok(())
}

/// A second user of utils, without a grant, whose own policy would let it assume any role: only trust policies stop it.
pub async fn create_another_user(shell: &Shell) -> Result<()> {
    shell.run(&format!("aws --profile {UTILS} iam create-user --user-name another_user --query User.Arn --output text")).await?;
    let policy = format!("--policy-name assume-anything --policy-document '{ASSUME_ANYTHING}'");
    shell.run(&format!("aws --profile {UTILS} iam put-user-policy --user-name another_user {policy}")).await?;
    let key = create_access_key(shell, UTILS, "another_user").await?;
    shell.save_profile("another_user", &key)
}

/// A role of the same name in an account that the recipe does not speak of, which trusts all of utils: only a user's own policy stops it.
pub async fn create_role_elsewhere(shell: &Shell) -> Result<()> {
    let trust = format!("--assume-role-policy-document '{TRUST_UTILS}'");
    shell.run(&format!("aws --profile {STAGE} iam create-role --role-name s3-list-role {trust} --query Role.Arn --output text")).await?;
    Ok(())
}

/// An access key, made by this administrator.
pub async fn create_access_key(shell: &Shell, administrator: &str, user: &str) -> Result<Credentials> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        access_key: AccessKey,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct AccessKey {
        access_key_id: String,
        secret_access_key: String,
    }
    let answer = shell.run(&format!("aws --profile {administrator} iam create-access-key --user-name {user}")).await?;
    let key = serde_json::from_str::<Answer>(&answer).context("the answer of create-access-key")?.access_key;
    Ok(Credentials::new(key.access_key_id, key.secret_access_key, None))
}

/// The credentials in the answer of `aws sts assume-role`.
pub fn session(answer: &str) -> Result<Credentials> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        credentials: Session,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Session {
        access_key_id: String,
        secret_access_key: String,
        session_token: String,
    }
    let session = serde_json::from_str::<Answer>(answer).context("the answer of assume-role")?.credentials;
    Ok(Credentials::new(session.access_key_id, session.secret_access_key, Some(session.session_token)))
}
