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

/// Whether every text that matches `other` surely matches `pattern`, where both are patterns. Variables stand for any text; in doubt it is not so.
#[must_use]
pub fn wildcard_covers(pattern: &str, other: &str) -> bool {
    // A `?` stands for one character, and what is open in the other pattern may be of any length.
    let is_strict = pattern.contains("${") || (pattern.contains('?') && other.contains(['*', '$']));
    pattern == other || (!is_strict && wildcard_match(pattern, other))
}

/// Whether there may be a text that matches both patterns. Variables stand for any text; in doubt there is one.
///
/// Takes at most as many steps as the product of both lengths.
#[must_use]
pub fn wildcards_meet(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (without_variables(a), without_variables(b));
    // Whether the beginning of `a` so far and each beginning of `b` meet.
    let mut meeting: Vec<bool> = std::iter::once(true)
        .chain(b.iter().scan(true, |all, &c| {
            *all &= c == '*';
            Some(*all)
        }))
        .collect();
    for &ours in &a {
        let mut next = vec![meeting[0] && ours == '*'];
        for (index, &theirs) in b.iter().enumerate() {
            let meets = match (ours, theirs) {
                ('*', _) | (_, '*') => meeting[index + 1] || next[index],
                _ => meeting[index] && (ours == theirs || ours == '?' || theirs == '?'),
            };
            next.push(meets);
        }
        if !next.contains(&true) {
            return false;
        }
        meeting = next;
    }
    meeting.last().copied().unwrap_or(true)
}

/// The characters of a pattern, with `*` for each variable.
fn without_variables(pattern: &str) -> Vec<char> {
    let mut characters = vec![];
    let mut left = pattern;
    while let Some((before, variable)) = left.split_once("${") {
        characters.extend(before.chars());
        characters.push('*');
        left = variable.split_once('}').map_or("", |(_, after)| after);
    }
    characters.extend(left.chars());
    characters
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All texts of at most so many of these characters.
    fn texts(of: &[char], length: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut last = all.clone();
        for _ in 0..length {
            last = last.iter().flat_map(|text| of.iter().map(move |c| format!("{text}{c}"))).collect();
            all.extend(last.clone());
        }
        all
    }

    #[test]
    fn patterns_meet_where_a_text_matches_both_and_cover_each_other_only_where_all_do() {
        let (patterns, texts) = (texts(&['a', 'b', '*', '?'], 3), texts(&['a', 'b'], 6));
        for a in &patterns {
            let matching: Vec<&String> = texts.iter().filter(|text| wildcard_match(a, text)).collect();
            for b in &patterns {
                let of_both = matching.iter().filter(|text| wildcard_match(b, text)).count();
                assert_eq!(wildcards_meet(a, b), of_both > 0, "{a} and {b}");
                let is_wider = texts.iter().filter(|text| wildcard_match(b, text)).all(|text| wildcard_match(a, text));
                assert!(!wildcard_covers(a, b) || is_wider, "{a} does not cover {b}");
            }
        }
        for (wider, pattern) in [("*", "a?"), ("s3:*", "s3:get*"), ("a*", "abc"), ("a?", "a?"), ("home/*", "home/${aws:username}/x")] {
            assert!(wildcard_covers(wider, pattern), "{wider} covers {pattern}");
        }
    }

    #[test]
    fn a_variable_may_be_any_text() {
        assert!(wildcards_meet("home/${aws:username}/*", "home/alice/x") && wildcards_meet("home/${aws:username", "home/alice"));
        assert!(!wildcards_meet("home/${aws:username}", "other/*"));
        assert!(!wildcard_covers("home/${aws:username}", "home/alice") && !wildcard_covers("home/?", "home/${aws:username}"));
    }
}
