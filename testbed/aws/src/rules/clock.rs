//! What the time of the simulated AWS is stamped on. The crates know the time of the machine only.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use fakecloud_iam::{IamState, oidc_url_parts};

/// Gives what a call has just made the time of the simulated AWS. `now` is that time.
///
/// Source: BC: these operations make something that has a `CreateDate` (or `EnableDate`), which reads tell.
pub fn stamp(state: &mut IamState, operation: &str, parameters: &HashMap<String, String>, now: DateTime<Utc>) {
    let parameter = |name: &str| parameters.get(name).map_or("", String::as_str);
    let stored = match operation {
        "CreateUser" => state.users.get_mut(parameter("UserName")).map(|user| &mut user.created_at),
        "CreateRole" => state.roles.get_mut(parameter("RoleName")).map(|role| &mut role.created_at),
        "CreateGroup" => state.groups.get_mut(parameter("GroupName")).map(|group| &mut group.created_at),
        "CreateInstanceProfile" => state.instance_profiles.get_mut(parameter("InstanceProfileName")).map(|profile| &mut profile.created_at),
        "CreateLoginProfile" => state.login_profiles.get_mut(parameter("UserName")).map(|profile| &mut profile.created_at),
        "CreateAccessKey" => state.access_keys.get_mut(parameter("UserName")).and_then(|keys| keys.last_mut()).map(|key| &mut key.created_at),
        "EnableMFADevice" => state.virtual_mfa_devices.get_mut(parameter("SerialNumber")).and_then(|device| device.enable_date.as_mut()),
        "CreatePolicyVersion" => {
            state.policies.get_mut(parameter("PolicyArn")).and_then(|policy| policy.versions.last_mut()).map(|version| &mut version.created_at)
        }
        "CreatePolicy" => state.policies.values_mut().find(|policy| policy.policy_name == parameter("PolicyName")).map(|policy| {
            policy.versions.iter_mut().for_each(|version| version.created_at = now);
            &mut policy.created_at
        }),
        "CreateOpenIDConnectProvider" => {
            let (url, _) = oidc_url_parts(parameter("Url"));
            state.oidc_providers.values_mut().find(|provider| provider.url == url).map(|provider| &mut provider.created_at)
        }
        _ => None,
    };
    if let Some(stored) = stored {
        *stored = now;
    }
}

/// The reply to a creation with the time of the simulated AWS.
///
/// Source: as for [`stamp`].
pub fn in_reply(document: &str, now: DateTime<Utc>) -> String {
    const START: &str = "<CreateDate>";
    let time = now.format("%Y-%m-%dT%H:%M:%SZ");
    let mut parts = document.split(START);
    let mut stamped = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find('<').unwrap_or(part.len());
        stamped.push_str(&format!("{START}{time}{}", part.get(end..).unwrap_or_default()));
    }
    stamped
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use fakecloud_iam::IamAccessKey;

    use super::*;

    #[test]
    fn only_the_new_key_is_stamped() {
        let (made, now) = (Utc::now(), Utc::now() + TimeDelta::days(30));
        let key = |id: &str| IamAccessKey {
            access_key_id: id.to_owned(),
            secret_access_key: String::new(),
            user_name: "alice".to_owned(),
            status: "Active".to_owned(),
            created_at: made,
        };
        let mut state = IamState::new("1");
        state.access_keys.insert("alice".to_owned(), vec![key("old"), key("new")]);
        stamp(&mut state, "CreateAccessKey", &HashMap::from([("UserName".to_owned(), "alice".to_owned())]), now);
        let dates: Vec<_> = state.access_keys["alice"].iter().map(|key| key.created_at).collect();
        assert_eq!(dates, [made, now]);
    }

    #[test]
    fn a_read_stamps_nothing() {
        let mut state = IamState::new("1");
        let before: Vec<_> = state.roles.values().map(|role| role.created_at).collect();
        let support = HashMap::from([("RoleName".to_owned(), "AWSServiceRoleForSupport".to_owned())]);
        stamp(&mut state, "GetRole", &support, Utc::now() + TimeDelta::days(1));
        assert_eq!(state.roles.values().map(|role| role.created_at).collect::<Vec<_>>(), before);
        stamp(&mut state, "CreateRole", &support, Utc::now() + TimeDelta::days(1));
        assert_ne!(state.roles["AWSServiceRoleForSupport"].created_at, before[0]);
    }

    #[test]
    fn the_reply_tells_the_same_time() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let document = "<User><CreateDate>2020-01-01T00:00:00Z</CreateDate><Arn>a</Arn></User>";
        assert_eq!(in_reply(document, now), "<User><CreateDate>2027-01-15T08:00:00Z</CreateDate><Arn>a</Arn></User>");
        assert_eq!(in_reply("<User/>", now), "<User/>");
    }
}
