//! Reading what keeps a user or role from being deleted.

use super::super::errors::existing;
use super::reply::unreadable;
use super::{Sdk, list};
use rolebridge_core::action::Dependent;
use rolebridge_core::failure::Failure;
use rolebridge_core::names::{RoleName, UserName};
use rolebridge_core::observed::Dependents;

impl Sdk {
    /// The list is that of DeleteUser in the IAM API reference. A user that does not exist has nothing.
    pub(super) async fn dependents_of_user(&self, user: &UserName) -> Result<Dependents, Failure> {
        let iam = &self.iam;
        let groups = self.groups(user).await?;
        let user = user.as_str();
        let mut found = Dependents::default();
        let mut add = |dependents: Option<Vec<Dependent>>| found.of_user.extend(dependents.unwrap_or_default());

        let login = existing(self.call("iam:GetLoginProfile", iam.get_login_profile().user_name(user).send()).await)?;
        add(login.map(|_| vec![Dependent::LoginProfile]));

        let request = iam.list_access_keys().user_name(user);
        let keys = existing(list!(self, "iam:ListAccessKeys", request.clone(), |page| page.access_key_metadata().iter().cloned()))?;
        let keys = keys.unwrap_or_default();
        let keys = keys.iter().map(|key| required("iam:ListAccessKeys", "AccessKeyId", key.access_key_id()).map(Dependent::AccessKey));
        add(Some(keys.collect::<Result<_, Failure>>()?));

        let request = iam.list_signing_certificates().user_name(user);
        add(existing(list!(self, "iam:ListSigningCertificates", request.clone(), |page| {
            page.certificates().iter().map(|certificate| Dependent::SigningCertificate(certificate.certificate_id().to_owned()))
        }))?);

        let request = iam.list_ssh_public_keys().user_name(user);
        add(existing(list!(self, "iam:ListSSHPublicKeys", request.clone(), |page| {
            page.ssh_public_keys().iter().map(|key| Dependent::SSHPublicKey(key.ssh_public_key_id().to_owned()))
        }))?);

        let request = iam.list_service_specific_credentials().user_name(user);
        add(existing(list!(self, "iam:ListServiceSpecificCredentials", request.clone(), |page| {
            let credentials = page.service_specific_credentials().iter();
            credentials.map(|credential| Dependent::ServiceSpecificCredential(credential.service_specific_credential_id().to_owned()))
        }))?);

        let request = iam.list_mfa_devices().user_name(user);
        add(existing(list!(self, "iam:ListMFADevices", request.clone(), |page| {
            page.mfa_devices().iter().map(|device| Dependent::MFADevice(device.serial_number().to_owned()))
        }))?);

        add(Some(groups.into_iter().map(Dependent::Group).collect()));
        Ok(found)
    }

    /// What DeleteRole in the IAM API reference names besides policies: instance profiles.
    pub(super) async fn dependents_of_role(&self, role: &RoleName) -> Result<Dependents, Failure> {
        let request = self.iam.list_instance_profiles_for_role().role_name(role.as_str());
        let profiles = existing(list!(self, "iam:ListInstanceProfilesForRole", request.clone(), |page| {
            page.instance_profiles().iter().map(|profile| profile.instance_profile_name().to_owned())
        }))?;
        Ok(Dependents { instance_profiles: profiles.unwrap_or_default().into_iter().collect(), ..Dependents::default() })
    }
}

fn required(operation: &str, field: &str, value: Option<&str>) -> Result<String, Failure> {
    value.map(str::to_owned).ok_or_else(|| unreadable(operation, &format!("{field} is missing")))
}
