//! Tags of users, roles and policies.

use std::collections::{BTreeMap, HashMap};

use fakecloud_iam::Tag;

use crate::failure::Failure;

/// The tags in a call's parameters, `Tags.member.N.Key` and `.Value`, in order.
pub fn of_request(parameters: &HashMap<String, String>) -> Vec<(String, String)> {
    (1..)
        .map_while(|n| {
            let key = parameters.get(&format!("Tags.member.{n}.Key"))?.clone();
            let value = parameters.get(&format!("Tags.member.{n}.Value")).cloned().unwrap_or_default();
            Some((key, value))
        })
        .collect()
}

/// Refuses tags whose key or value begins with `aws:`, in any case: AWS keeps these for itself.
///
/// Source: UG `id_tags.md` ("you cannot create a tag with a key or value that begins with `aws:`").
pub fn check_reserved(tags: &[(String, String)]) -> Result<(), Failure> {
    let reserved = |text: &str| text.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"));
    match tags.iter().find(|(key, value)| reserved(key) || reserved(value)) {
        Some((key, _)) => Err(Failure::invalid_input(format!("Tag {key}: keys and values that begin with aws: are reserved for AWS use."))),
        None => Ok(()),
    }
}

/// Refuses more than 50 tags, tags with keys of more than 128 or no characters, values of more than 256, or others than letters, numbers, spaces and
/// `_.:/=+-@`.
///
/// Source: BC `tagListType`, `tagKeyType` and `tagValueType`; UG `id_tags.md`.
pub fn check_form(tags: &[(String, String)]) -> Result<(), Failure> {
    if tags.len() > 50 {
        return Err(Failure::validation("1 validation error detected: Value at 'tags' failed to satisfy constraint: at most 50"));
    }
    let is_allowed = |character: char| character.is_alphanumeric() || character == ' ' || "_.:/=+-@".contains(character);
    for (number, (key, value)) in (1..).zip(tags) {
        for (member, text, lengths) in [("key", key, 1..=128), ("value", value, 0..=256)] {
            if !lengths.contains(&text.chars().count()) || !text.chars().all(is_allowed) {
                return Err(Failure::validation(format!(
                    "1 validation error detected: Value at 'tags.{number}.member.{member}' failed to satisfy constraint: \
                     {} to {} letters, numbers, spaces and _.:/=+-@",
                    lengths.start(),
                    lengths.end()
                )));
            }
        }
    }
    Ok(())
}

/// Refuses session tags beyond AWS's limits: 50 of them, keys of up to 128 and values of up to 256 characters, each key once.
///
/// Source: BC AssumeRole `Tags`, `tagKeyType`, `tagValueType`; UG `id_session-tags.md`.
pub fn check_session_tags(tags: &[(String, String)]) -> Result<BTreeMap<String, String>, Failure> {
    check_reserved(tags)?;
    check_form(tags)?;
    let mut checked = BTreeMap::new();
    for (key, value) in tags {
        if checked.keys().any(|other: &String| other.eq_ignore_ascii_case(key)) {
            return Err(Failure::invalid_input("Duplicate tag keys found. Please note that Tag keys are case insensitive."));
        }
        checked.insert(key.clone(), value.clone());
    }
    Ok(checked)
}

/// On users and roles a tag replaces one whose key differs in case only; on policies such keys are two tags.
///
/// Source: UG `id_tags.md`, "Case sensitivity".
pub fn replace_without_case(tags: &mut Vec<Tag>, written: &[(String, String)]) {
    tags.retain(|tag| !written.iter().any(|(key, _)| key != &tag.key && key.eq_ignore_ascii_case(&tag.key)));
}

/// The keys to remove, in the case in which the user or role has them.
///
/// Source: as for [`replace_without_case`].
pub fn remove_without_case(tags: &[Tag], parameters: &mut HashMap<String, String>) {
    for (name, key) in parameters.iter_mut() {
        if name.starts_with("TagKeys.member.")
            && let Some(tag) = tags.iter().find(|tag| tag.key.eq_ignore_ascii_case(key))
        {
            key.clone_from(&tag.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn stored(pairs: &[(&str, &str)]) -> Vec<Tag> {
        tags(pairs).into_iter().map(|(key, value)| Tag { key, value }).collect()
    }

    #[test]
    fn read_from_parameters_in_order() {
        let parameters = HashMap::from([
            ("Tags.member.1.Key".to_owned(), "b".to_owned()),
            ("Tags.member.1.Value".to_owned(), "1".to_owned()),
            ("Tags.member.2.Key".to_owned(), "a".to_owned()),
            ("Tags.member.4.Key".to_owned(), "lost".to_owned()),
        ]);
        assert_eq!(of_request(&parameters), tags(&[("b", "1"), ("a", "")]));
    }

    #[test]
    fn statement_20_the_aws_prefix_is_reserved_in_keys_and_values() {
        assert_eq!(check_reserved(&tags(&[("awsome", "laws:x")])), Ok(()));
        for bad in [("aws:x", "1"), ("AWS:x", "1"), ("x", "aws:1")] {
            assert_eq!(check_reserved(&tags(&[bad])).unwrap_err().code, "InvalidInput");
        }
    }

    #[test]
    fn statement_18_tags_have_a_form() {
        let (key, value) = ("\u{e9}".repeat(128), "v".repeat(256));
        assert_eq!(check_form(&tags(&[("a b", ""), (&key, &value), ("k:/=+-@_.1", "x@y")])), Ok(()));
        for bad in [("", "1"), ("k".repeat(129).as_str(), ""), ("k", "v".repeat(257).as_str()), ("k*", ""), ("k", "a;b"), ("k", "a\nb")] {
            assert_eq!(check_form(&tags(&[bad])).unwrap_err().code, "ValidationError", "{bad:?}");
        }
    }

    #[test]
    fn statement_18_one_call_has_fifty_tags_at_most() {
        let many: Vec<_> = (0..51).map(|n| (format!("k{n}"), String::new())).collect();
        assert_eq!(check_form(&many).unwrap_err().code, "ValidationError");
        assert_eq!(check_form(&many[..50]), Ok(()));
    }

    #[test]
    fn session_tags_have_limits() {
        assert_eq!(check_session_tags(&tags(&[("a", "1")])), Ok(BTreeMap::from([("a".to_owned(), "1".to_owned())])));
        assert!(check_session_tags(&tags(&[("a", "1"), ("A", "2")])).is_err());
        assert!(check_session_tags(&tags(&[("", "1")])).is_err());
        assert!(check_session_tags(&tags(&[("a", &"v".repeat(257))])).is_err());
        let many: Vec<_> = (0..51).map(|n| (format!("k{n}"), String::new())).collect();
        assert!(check_session_tags(&many).is_err());
        assert!(check_session_tags(&many[..50]).is_ok());
    }

    #[test]
    fn a_key_that_differs_in_case_replaces() {
        let mut now = stored(&[("Team", "a"), ("cost", "1"), ("team", "b")]);
        replace_without_case(&mut now, &tags(&[("team", "b")]));
        let keys: Vec<_> = now.iter().map(|tag| tag.key.as_str()).collect();
        assert_eq!(keys, ["cost", "team"]);
    }

    #[test]
    fn a_key_is_removed_in_any_case() {
        let mut parameters = HashMap::from([("TagKeys.member.1".to_owned(), "TEAM".to_owned())]);
        remove_without_case(&stored(&[("Team", "a")]), &mut parameters);
        assert_eq!(parameters["TagKeys.member.1"], "Team");
    }
}
