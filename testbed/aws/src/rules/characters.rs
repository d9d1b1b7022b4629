//! Which characters documents and descriptions may have.

use std::collections::HashMap;

use crate::failure::Failure;

/// Refuses policy documents with characters beyond U+00FF or control characters.
///
/// Source: BC `policyDocumentType`; the text is the API's. Trust policies are checked with the rest of their form.
pub fn check_document(parameters: &HashMap<String, String>) -> Result<(), Failure> {
    let is_allowed = |character: char| matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}');
    match parameters.get("PolicyDocument") {
        Some(document) if !document.chars().all(is_allowed) => {
            Err(Failure::validation("The specified value for policyDocument is invalid. It must contain only printable ASCII characters."))
        }
        _ => Ok(()),
    }
}

/// Refuses descriptions of more than 1000 characters, and those of roles with others than Latin-1 has.
///
/// Source: BC `roleDescriptionType` and `policyDescriptionType`, of which only the first has a pattern.
pub fn check_description(operation: &str, parameters: &HashMap<String, String>) -> Result<(), Failure> {
    let is_allowed = |character: char| matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{7e}' | '\u{a1}'..='\u{ff}');
    let Some(description) = parameters.get("Description") else { return Ok(()) };
    let constraint = |constraint: &str| {
        Failure::validation(format!("1 validation error detected: Value at 'description' failed to satisfy constraint: Member must {constraint}"))
    };
    if description.chars().count() > 1_000 {
        return Err(constraint("have length less than or equal to 1000"));
    }
    if operation.contains("Role") && !description.chars().all(is_allowed) {
        return Err(constraint("satisfy regular expression pattern: [\\u0009\\u000A\\u000D\\u0020-\\u007E\\u00A1-\\u00FF]*"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, value: &str) -> HashMap<String, String> {
        HashMap::from([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn statement_14_documents_are_latin() {
        assert_eq!(check_document(&one("PolicyDocument", "{\"Sid\": \"caf\u{e9}\"}\r\n\t")), Ok(()));
        for bad in ["{\"Sid\": \"\u{2019}\"}", "{\u{0}}", "{\u{100}}"] {
            assert_eq!(check_document(&one("PolicyDocument", bad)).unwrap_err().code, "ValidationError");
        }
    }

    #[test]
    fn statement_18_descriptions_of_roles_are_latin_and_all_are_short() {
        let role = |text: &str| check_description("CreateRole", &one("Description", text));
        assert_eq!(role("r\u{f4}le: it's ~100 %"), Ok(()));
        for bad in ["it\u{2019}s", "a\u{a0}b", "\u{7f}"] {
            assert_eq!(role(bad).unwrap_err().code, "ValidationError", "{bad}");
        }
        let (longest, too_long) = ("d".repeat(1_000), "d".repeat(1_001));
        assert_eq!(role(&longest), Ok(()));
        assert!(role(&too_long).is_err() && check_description("CreatePolicy", &one("Description", &too_long)).is_err());
        assert_eq!(check_description("CreatePolicy", &one("Description", "it\u{2019}s")), Ok(()));
    }
}
