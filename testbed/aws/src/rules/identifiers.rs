//! The identifiers that AWS makes up.

use fakecloud_iam::xml_responses;

/// An access key id: the prefix (AKIA for long-term keys, ASIA for temporary ones) and 16 capital letters and digits.
///
/// Source: UG `reference_identifiers.md`, "Understanding unique ID prefixes".
pub fn access_key_id(prefix: &str) -> String {
    with_prefix(prefix, &xml_responses::generate_access_key_id())
}

/// The unique id of a user (prefix AIDA) or role (AROA): the prefix and 17 capital letters and digits.
///
/// Source: as for [`access_key_id`].
pub fn unique_id(prefix: &str) -> String {
    with_prefix(prefix, &xml_responses::generate_role_id())
}

fn with_prefix(prefix: &str, made_up: &str) -> String {
    format!("{prefix}{}", made_up.get(4..).unwrap_or_default().to_ascii_uppercase())
}

/// An id for one request, as replies carry it.
pub fn request_id() -> String {
    let digits = xml_responses::generate_access_key_id().to_ascii_lowercase();
    format!("sim-{}", digits.get(4..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_those_of_aws() {
        for (id, prefix, length) in [(access_key_id("ASIA"), "ASIA", 20), (unique_id("AROA"), "AROA", 21)] {
            assert_eq!((id.len(), &id[..4]), (length, prefix));
            assert!(id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()), "{id}");
        }
        assert_ne!(access_key_id("AKIA"), access_key_id("AKIA"));
    }
}
