//! What others do in the AWS simulator, as people do it: by the SDK.

use anyhow::{Context, Result, anyhow};
use aws_sdk_iam::Client;
use aws_sdk_iam::config::{BehaviorVersion, Region, SharedCredentialsProvider};
use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};
use rolebridge::core::action::Dependent;
use rolebridge_simulation::iam::Change;
use rolebridge_testbed::aws_sim::REGION;
use rolebridge_testbed::{AwsSim, Credentials};

use crate::support::new_device;

/// What IAM takes for credentials of these kinds.
const SSH_PUBLIC_KEY: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDexample alice";
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";

/// The ID of what was made, or the code of IAM's error.
type Answer = Result<Option<String>, String>;

/// Somebody who may do everything in an account.
pub fn administrator(simulator: &AwsSim, key: &Credentials) -> Client {
    let keys = aws_sdk_iam::config::Credentials::new(&key.access_key_id, &key.secret_access_key, None, None, "tests");
    let config = aws_sdk_iam::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(simulator.url())
        .credentials_provider(SharedCredentialsProvider::new(keys));
    Client::from_conf(config.build())
}

/// The answer to a call by the SDK. `made` is the ID in it.
fn answer<T, E>(result: Result<T, SdkError<E>>, made: impl FnOnce(T) -> Option<String>) -> Result<Answer>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match result {
        Ok(answer) => Ok(Ok(made(answer))),
        Err(error) => match error.as_service_error().and_then(|error| error.code()) {
            Some(code) => Ok(Err(code.to_owned())),
            None => Err(error.into()),
        },
    }
}

/// Makes a change in the simulator.
pub async fn change(simulator: &AwsSim, iam: &Client, account: &str, change: &Change) -> Result<Answer> {
    match change {
        Change::CreateGroup(name) => answer(iam.create_group().group_name(name.as_str()).send().await, |_| None),
        Change::DeleteGroup(name) => answer(iam.delete_group().group_name(name.as_str()).send().await, |_| None),
        Change::AttachGroupPolicy(name, arn) => {
            answer(iam.attach_group_policy().group_name(name.as_str()).policy_arn(arn.as_str()).send().await, |_| None)
        }
        Change::DetachGroupPolicy(name, arn) => {
            answer(iam.detach_group_policy().group_name(name.as_str()).policy_arn(arn.as_str()).send().await, |_| None)
        }
        Change::Add(user, dependent) => add(iam, user.as_str(), dependent).await,
        Change::UpdateAccessKey(user, id, is_active) => {
            let status = if *is_active { "Active" } else { "Inactive" };
            answer(iam.update_access_key().user_name(user.as_str()).access_key_id(id).status(status.into()).send().await, |_| None)
        }
        Change::AddToInstanceProfile(role, profile) => {
            match iam.create_instance_profile().instance_profile_name(profile).send().await {
                Err(error) if error.as_service_error().is_none_or(|error| !error.is_entity_already_exists_exception()) => return Err(error.into()),
                _ => {}
            }
            answer(iam.add_role_to_instance_profile().role_name(role.as_str()).instance_profile_name(profile).send().await, |_| None)
        }
        Change::RemoveFromInstanceProfile(role, profile) => {
            let profiles = iam.list_instance_profiles_for_role().role_name(role.as_str()).send().await.map(|answer| answer.instance_profiles);
            let was_in = profiles.is_ok_and(|profiles| profiles.iter().any(|found| found.instance_profile_name() == profile));
            let remove = iam.remove_role_from_instance_profile().role_name(role.as_str()).instance_profile_name(profile);
            let answered = answer(remove.send().await, |_| None)?;
            // The simulator takes out also what is not in.
            Ok(if answered.is_ok() && !was_in { Err("NoSuchEntity".into()) } else { answered })
        }
        Change::SetDefaultPolicyVersion(arn, version) => {
            answer(iam.set_default_policy_version().policy_arn(arn.as_str()).version_id(version).send().await, |_| None)
        }
        Change::UpdateTrustPolicy(role, text) => {
            answer(iam.update_assume_role_policy().role_name(role.as_str()).policy_document(text).send().await, |_| None)
        }
        Change::CreateRoleOfAWS { path, name, trust_policy } => {
            // The simulator would put it in the place of another.
            if iam.get_role().role_name(name.as_str()).send().await.is_ok() {
                return Ok(Err("EntityAlreadyExists".into()));
            }
            simulator.create_reserved_role(account, path, name.as_str(), trust_policy).await?;
            let role = iam.get_role().role_name(name.as_str()).send().await?;
            Ok(Ok(Some(role.role().context("no role")?.role_id().to_owned())))
        }
        Change::SetQuota(key, quota) => {
            simulator.set_quotas(account, &[(key, u64::try_from(*quota)?)]).await?;
            Ok(Ok(None))
        }
        Change::SetAlias(alias) => set_alias(iam, alias.as_deref()).await,
        Change::CreateAccessKey(_) => Err(anyhow!("the model is given the simulator's keys")),
    }
}

async fn add(iam: &Client, user: &str, dependent: &Dependent) -> Result<Answer> {
    match dependent {
        Dependent::LoginProfile => answer(iam.create_login_profile().user_name(user).password("Correct-horse-7").send().await, |_| None),
        Dependent::AccessKey(_) => answer(iam.create_access_key().user_name(user).send().await, |made| made.access_key.map(|key| key.access_key_id)),
        Dependent::SigningCertificate(_) => {
            let upload = iam.upload_signing_certificate().user_name(user).certificate_body(CERTIFICATE);
            answer(upload.send().await, |made| made.certificate.map(|certificate| certificate.certificate_id))
        }
        Dependent::SSHPublicKey(_) => {
            let upload = iam.upload_ssh_public_key().user_name(user).ssh_public_key_body(SSH_PUBLIC_KEY);
            answer(upload.send().await, |made| made.ssh_public_key.map(|key| key.ssh_public_key_id))
        }
        Dependent::ServiceSpecificCredential(_) => {
            let create = iam.create_service_specific_credential().user_name(user).service_name("codecommit.amazonaws.com");
            answer(create.send().await, |made| made.service_specific_credential.map(|credential| credential.service_specific_credential_id))
        }
        Dependent::MFADevice(name) => enable_device(iam, user, name).await,
        Dependent::Group(_) => Err(anyhow!("groups are joined by an action")),
    }
}

/// Gives a user a new virtual device of a name that nothing has had.
async fn enable_device(iam: &Client, user: &str, name: &str) -> Result<Answer> {
    let (serial, [before, shown]) = new_device(iam, name).await?;
    let enable = iam.enable_mfa_device().user_name(user).serial_number(&serial).authentication_code1(before).authentication_code2(shown);
    answer(enable.send().await, |_| Some(serial))
}

async fn set_alias(iam: &Client, alias: Option<&str>) -> Result<Answer> {
    let aliases = iam.list_account_aliases().send().await?;
    for alias in aliases.account_aliases() {
        iam.delete_account_alias().account_alias(alias).send().await?;
    }
    match alias {
        Some(alias) => answer(iam.create_account_alias().account_alias(alias).send().await, |_| None),
        None => Ok(Ok(None)),
    }
}
