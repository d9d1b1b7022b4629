//! Percent-encoding as IAM applies it to the policy documents that it returns.
//!
//! IAM's reads (`GetRole`, `GetRolePolicy`, `GetPolicyVersion`, `GetAccountAuthorizationDetails`, ...) give documents "URL-encoded compliant
//! with RFC 3986". That is not the encoding of HTML forms: a `+` is a plus sign, and a space is `%20`.

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

/// Decodes a policy document as IAM returns it.
///
/// # Errors
/// [`DecodeError`] where a `%` sequence is malformed or the bytes are not UTF-8. A text that was not encoded passes unchanged unless it holds a `%`.
pub fn decode_document(text: &str) -> Result<String, DecodeError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let (byte, tail) = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let value = hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low);
                (value.ok_or(DecodeError::Escape { offset: text.len() - rest.len() })?, tail)
            }
            (b'%', _) => return Err(DecodeError::Escape { offset: text.len() - rest.len() }),
            (byte, tail) => (*byte, tail),
        };
        bytes.push(byte);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|error| DecodeError::Encoding { offset: error.utf8_error().valid_up_to() })
}

/// Percent-encodes everything but RFC 3986's unreserved characters (letters, digits, `-`, `.`, `_`, `~`): the inverse of [`decode_document`],
/// and safe in any part of a URL.
#[must_use]
pub fn encode(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.extend(['%', char::from(DIGITS[usize::from(byte >> 4)]), char::from(DIGITS[usize::from(byte & 15)])]);
        }
    }
    encoded
}

/// The value of one hexadecimal digit.
fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
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
