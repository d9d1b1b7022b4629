//! IAM's patterns: `*` stands for any number of characters, slashes and colons too, `?` for exactly one.

use std::str::Chars;

/// Whether `text` matches `pattern`, as resources and `StringLike` compare. A variable (`${...}`) in the pattern is plain text here.
///
/// Takes at most as many steps as the product of both lengths, whatever the pattern.
#[must_use]
pub fn wildcard_match(pattern: &str, text: &str) -> bool {
    matches(pattern, text, |a, b| a == b)
}

/// As [`wildcard_match`], without regard to the case of ASCII letters, as actions compare.
#[must_use]
pub fn wildcard_match_ignore_case(pattern: &str, text: &str) -> bool {
    matches(pattern, text, |a, b| a.eq_ignore_ascii_case(&b))
}

/// Matches from left to right. Where it fails, only the last `*` has to take one character more: an earlier one could give nothing new.
fn matches(pattern: &str, text: &str, same: fn(char, char) -> bool) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // The pattern after the last `*`, and the text from where it was tried.
    let mut last_star: Option<(Chars<'_>, Chars<'_>)> = None;
    loop {
        let expected = pattern.next();
        if expected == Some('*') {
            last_star = Some((pattern.clone(), text.clone()));
            continue;
        }
        match (expected, text.next()) {
            (None, None) => return true,
            (Some(_), None) => return false,
            (Some(expected), Some(found)) if expected == '?' || same(expected, found) => {}
            _ => {
                let Some((after, from)) = &mut last_star else { return false };
                from.next();
                (pattern, text) = (after.clone(), from.clone());
            }
        }
    }
}
