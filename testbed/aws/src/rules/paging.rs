//! The size of pages, which may be shorter than was asked for.

use std::collections::HashMap;

use crate::failure::Failure;

/// The most entries that a page can be asked for: BC `maxItemsType` of all lists.
const MOST: u64 = 1_000;

/// A page has 1 to 1000 entries. The crates refuse other numbers with codes that differ from operation to operation.
///
/// Source: BC `maxItemsType`; what breaks a constraint of the model is a `ValidationError` in IAM.
pub fn check_size(parameters: &HashMap<String, String>) -> Result<(), Failure> {
    match parameters.get("MaxItems") {
        Some(text) if !text.parse().is_ok_and(|asked: u64| (1..=MOST).contains(&asked)) => {
            Err(Failure::validation(format!("Value '{text}' at 'maxItems' failed to satisfy constraint: Member must have a value from 1 to {MOST}")))
        }
        _ => Ok(()),
    }
}

/// Makes a list come in pages of at most `page_size` entries; 0 leaves it at what was asked for.
///
/// "IAM might return fewer than the MaxItems number of results, even when there are more results available", and `IsTruncated`
/// alone tells whether there are more (BC, `maxItemsType` of all lists). Operations that the crates do not page stay whole.
pub fn shorten(operation: &str, parameters: &mut HashMap<String, String>, page_size: u64) {
    let is_list = operation.starts_with("List") || ["GetAccountAuthorizationDetails", "GetGroup"].contains(&operation);
    if page_size == 0 || !is_list {
        return;
    }
    // What is no number is refused by its own rule.
    let asked: Option<u64> = parameters.get("MaxItems").map_or(Some(page_size), |text| text.parse().ok());
    if let Some(asked) = asked.filter(|asked| *asked >= page_size) {
        parameters.insert("MaxItems".to_owned(), asked.min(page_size).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shortened(operation: &str, asked: Option<&str>, page_size: u64) -> Option<String> {
        let mut parameters: HashMap<_, _> = asked.map(|asked| ("MaxItems".to_owned(), asked.to_owned())).into_iter().collect();
        shorten(operation, &mut parameters, page_size);
        parameters.remove("MaxItems")
    }

    #[test]
    fn a_page_is_as_short_as_the_setting_or_the_request_says() {
        assert_eq!(shortened("ListRoles", Some("1000"), 2).as_deref(), Some("2"));
        assert_eq!(shortened("GetAccountAuthorizationDetails", None, 2).as_deref(), Some("2"));
        assert_eq!(shortened("ListRoles", Some("1"), 2).as_deref(), Some("1"));
        assert_eq!(shortened("ListRoles", Some("many"), 2).as_deref(), Some("many"));
    }

    #[test]
    fn statement_25_a_page_has_one_to_a_thousand_entries() {
        let check = |asked: &str| check_size(&HashMap::from([("MaxItems".to_owned(), asked.to_owned())]));
        assert_eq!((check_size(&HashMap::new()), check("1"), check("1000")), (Ok(()), Ok(()), Ok(())));
        for asked in ["0", "1001", "-1", "many", ""] {
            assert_eq!(check(asked).unwrap_err().code, "ValidationError", "{asked}");
        }
    }

    #[test]
    fn without_a_setting_or_a_list_nothing_changes() {
        assert_eq!(shortened("ListRoles", Some("1000"), 0).as_deref(), Some("1000"));
        assert_eq!(shortened("GetRole", None, 2), None);
    }
}
