//! Percent-encoding as IAM applies it to the policy documents that it returns.
//!
//! IAM's reads (`GetRole`, `GetRolePolicy`, `GetPolicyVersion`, `GetAccountAuthorizationDetails`, ...) give documents "URL-encoded compliant
//! with RFC 3986". That is not the encoding of HTML forms: a `+` is a plus sign, and a space is `%20`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use thiserror::Error;

/// Why a text is not the percent-encoded form of a document.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// A `%` that two hexadecimal digits do not follow.
    #[error("the `%` at byte {offset} is not followed by two hexadecimal digits: the encoded document is damaged or cut short")]
    Escape {
        /// Bytes before the `%`.
        offset: usize,
    },
    /// The decoded bytes are not UTF-8.
    #[error("the decoded document is not UTF-8 from byte {offset} on: it was damaged, or encoded from another character set")]
    Encoding {
        /// Decoded bytes that are sound.
        offset: usize,
    },
}

/// All but RFC 3986's unreserved characters: letters, digits, `-`, `.`, `_`, `~`.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Decodes a policy document as IAM returns it.
///
/// # Errors
/// [`DecodeError`] where a `%` sequence is malformed or the bytes are not UTF-8. A text that was not encoded passes unchanged unless it holds a `%`.
pub fn decode_document(text: &str) -> Result<String, DecodeError> {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    // The library takes a `%` that no digits follow for itself; here it is damage.
    if let Some((offset, _)) = text.match_indices('%').find(|(at, _)| !(is_digit(at + 1) && is_digit(at + 2))) {
        return Err(DecodeError::Escape { offset });
    }
    let decoded = percent_decode(bytes).collect();
    String::from_utf8(decoded).map_err(|error| DecodeError::Encoding { offset: error.utf8_error().valid_up_to() })
}

/// Percent-encodes everything but RFC 3986's unreserved characters: the inverse of [`decode_document`], and safe in any part of a URL.
#[must_use]
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn statement_11_a_plus_stays_a_plus_and_digits_have_any_case() {
        assert_eq!(decode_document("a+b%2Bc%2bd%20e%25").as_deref(), Ok("a+b+c+d e%"));
    }

    #[test]
    fn characters_beyond_ascii_come_back() {
        assert_eq!(encode("é"), "%C3%A9");
        assert_eq!(decode_document("%C3%A9é").as_deref(), Ok("éé"));
    }

    #[test]
    fn damage_is_an_error_that_says_where() {
        assert_eq!(decode_document("ab%2"), Err(DecodeError::Escape { offset: 2 }));
        assert_eq!(decode_document("%"), Err(DecodeError::Escape { offset: 0 }));
        assert_eq!(decode_document("a%+1"), Err(DecodeError::Escape { offset: 1 }));
        assert_eq!(decode_document("a%é"), Err(DecodeError::Escape { offset: 1 }));
        assert_eq!(decode_document("ab%FF"), Err(DecodeError::Encoding { offset: 2 }));
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(text in any::<String>()) {
            let encoded = encode(&text);
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
            prop_assert_eq!(decode_document(&encoded), Ok(text));
        }

        #[test]
        fn no_input_is_fatal(text in "[%0-9A-Fa-f+é]{0,40}") {
            if !text.contains('%') {
                prop_assert_eq!(decode_document(&text), Ok(text));
            } else if let Ok(decoded) = decode_document(&text) {
                prop_assert!(decoded.len() < text.len());
            }
        }
    }
}
