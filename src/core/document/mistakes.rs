//! What a text looks like that is no JSON: what leads to the remedy sooner than the words of a parser.

/// How the parser says that it looked for a key.
const KEY_EXPECTED: &str = "key must be a string";
/// And that there is no more.
const ENDED: &str = "EOF";

/// What seems to be wrong at a byte of the text, where a parser gave up and `said` why; None where nothing better is known than that.
pub(super) fn looks_like(text: &str, offset: usize, said: &str) -> Option<&'static str> {
    let (before, here) = text.split_at(text.floor_char_boundary(offset));
    let first = here.chars().next();
    // A parser takes some letters for the beginning of a number, or of null.
    let is_beginning = before.trim().chars().all(|before| before.is_alphabetic() || before == '-');
    let begins = |words: &[&str]| words.iter().any(|word| here.starts_with(word));
    Some(match first {
        _ if said.starts_with(ENDED) => "it ends too soon: a quotation mark, brace or bracket is missing, or the rest of it",
        Some('/') if begins(&["//", "/*"]) => "there are no comments in JSON: remove it",
        Some('#') => "there are no comments in JSON: remove it",
        Some('\'' | '‘' | '’' | '“' | '”' | '„' | '«' | '»') => "JSON has straight double quotes: write \"",
        Some(letter) if is_beginning && (letter.is_alphabetic() || letter == '-' || !before.trim().is_empty()) => {
            "this does not look like JSON. YAML goes into the field document of the policy, as part of the manifest"
        }
        Some(_) if begins(&["True", "False", "None"]) => "JSON has true, false and null, in small letters",
        Some(letter) if letter.is_alphabetic() && said.starts_with(KEY_EXPECTED) => "a key stands in double quotes, as in \"Version\"",
        Some(_) | None => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of a text that a parser does not take.
    fn told(text: &str) -> Option<&'static str> {
        let error = serde_json::from_reader::<_, serde_json::Value>(text.as_bytes()).unwrap_err();
        let line_start: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        looks_like(text, line_start + error.column().saturating_sub(1), &error.to_string())
    }

    #[test]
    fn what_a_text_looks_like_is_told_where_the_parser_gave_up() {
        for (text, words) in [
            ("{\n  // comment\n}", "no comments"),
            ("{\"a\": 1 /* x */}", "no comments"),
            ("{\"a\": 1} // end", "no comments"),
            ("{# x", "no comments"),
            ("{'Version': 1}", "straight double quotes"),
            ("{“Version”: 1}", "straight double quotes"),
            ("{\"a\": ['x']}", "straight double quotes"),
            ("Version: \"2012-10-17\"", "YAML"),
            ("\n ---\nVersion: x", "YAML"),
            ("name: x", "YAML"),
            ("- Effect: Allow", "YAML"),
            ("{\"a\": True}", "small letters"),
            ("{Version: 1}", "a key stands in double quotes"),
            ("{\"a\": 1, b: 1}", "a key stands in double quotes"),
            ("{\"a\": ", "ends too soon"),
            ("{\"a\": \"x", "ends too soon"),
        ] {
            assert!(told(text).is_some_and(|told| told.contains(words)), "{text}: {:?}", told(text));
        }
        for text in ["{\"a\": 1,}", "{\"a\": secret}", "{\"a\": [1, b]}", "{\"a\": 1} x", "{\"a\" / 1}", "\u{0}"] {
            assert_eq!(told(text), None, "{text}");
        }
    }

    #[test]
    fn no_place_is_fatal() {
        for (offset, known) in [(0, true), (1, true), (2, false), (5, false)] {
            assert_eq!(looks_like("é", offset, "").is_some(), known, "{offset}");
        }
    }
}
