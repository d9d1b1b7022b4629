//! When a key was last used.

use chrono::{DateTime, Utc};
use fakecloud_iam::IamState;
use serde_json::json;

/// Remembers that a long-term key signed a request, whatever came of it. The crate does so for calls to IAM only, and by the machine's time.
///
/// Source: BC `AccessKeyLastUsed` ("when the access key was most recently used to sign an AWS request"). AWS tells it hours late [inf], the
/// simulator at once.
pub fn record(state: &mut IamState, access_key_id: &str, service: &str, region: &str, now: DateTime<Utc>) {
    let exists = state.access_keys.values().flatten().any(|key| key.access_key_id == access_key_id);
    // The crate's type is not public; its own record of one use is.
    let used = serde_json::from_value(json!({"last_used_date": now, "service_name": service, "region": region}));
    if let (true, Ok(used)) = (exists, used) {
        state.access_key_last_used.insert(access_key_id.to_owned(), used);
    }
}

#[cfg(test)]
mod tests {
    use fakecloud_iam::IamAccessKey;

    use super::*;

    #[test]
    fn a_key_that_is_there_tells_its_last_use() {
        let (mut state, now) = (IamState::new("1"), Utc::now());
        let key = IamAccessKey {
            access_key_id: "AKIAONE".to_owned(),
            secret_access_key: String::new(),
            user_name: "alice".to_owned(),
            status: "Active".to_owned(),
            created_at: now,
        };
        state.access_keys.insert("alice".to_owned(), vec![key]);
        for id in ["AKIAONE", "AKIAGONE"] {
            record(&mut state, id, "sts", "eu-west-1", now);
        }
        let used = &state.access_key_last_used["AKIAONE"];
        assert_eq!((used.last_used_date, used.service_name.as_str(), used.region.as_str()), (now, "sts", "eu-west-1"));
        assert!(!state.access_key_last_used.contains_key("AKIAGONE"));
    }
}
