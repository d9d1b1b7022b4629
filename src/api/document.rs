//! A policy document as a manifest has it, kept as text.
//!
//! Its schema is open, and as a tree of objects it would take up to a hundred times the bytes of its text. So it is looked at only when it is used, and what
//! is too long to be a policy is not kept at all.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Most bytes of text that are kept of a document: far beyond every quota of IAM, and little enough to be harmless.
pub const MAX_TEXT_BYTES: usize = 128 * 1024;

/// A policy document in a manifest.
#[derive(Clone, Debug)]
pub enum DocumentText {
    /// Its JSON text.
    Text(Box<RawValue>),
    /// The length in bytes of one that is too long to be a policy.
    TooLarge(usize),
}

impl DocumentText {
    /// Its JSON text, or the length in bytes of one that was not kept.
    ///
    /// # Errors
    /// The length.
    pub fn text(&self) -> Result<&str, usize> {
        match self {
            Self::Text(text) => Ok(text.get()),
            Self::TooLarge(bytes) => Err(*bytes),
        }
    }
}

impl PartialEq for DocumentText {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl<'de> Deserialize<'de> for DocumentText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let bytes = text.get().len();
        Ok(if bytes > MAX_TEXT_BYTES { Self::TooLarge(bytes) } else { Self::Text(text) })
    }
}

impl Serialize for DocumentText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::TooLarge(_) => serializer.serialize_unit(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_kept_as_it_is_written_and_one_that_is_too_long_is_not() {
        let document: DocumentText = serde_json::from_str(r#"{"Version":"2012-10-17",  "Statement":[]}"#).unwrap();
        assert_eq!(document.text(), Ok(r#"{"Version":"2012-10-17",  "Statement":[]}"#));
        assert_eq!(serde_json::to_value(&document).unwrap(), json!({"Version": "2012-10-17", "Statement": []}));
        let long = json!({"Statement": "x".repeat(MAX_TEXT_BYTES)});
        assert_eq!(serde_json::from_value::<DocumentText>(long).unwrap().text(), Err(MAX_TEXT_BYTES + 16));
    }
}
