//! How far two words are apart, for telling what was perhaps meant.

/// How many characters are to be changed, added or left out to come from one text to the other (Levenshtein).
pub fn distance(from: &str, to: &str) -> usize {
    steps(from, to, false)
}

/// The same, where two neighbours that have changed places count as one.
pub fn distance_with_swaps(from: &str, to: &str) -> usize {
    steps(from, to, true)
}

fn steps(from: &str, to: &str, may_swap: bool) -> usize {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let mut before = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let mut least = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if may_swap && i > 0 && j > 0 && from[i - 1] == *b && to[j - 1] == *a {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_counted_that_differ() {
        for (one, other, letters) in
            [("", "", 0), ("abc", "abc", 0), ("abc", "abxc", 1), ("abc", "ac", 1), ("abc", "axc", 1), ("", "abc", 3), ("ab", "ba", 2)]
        {
            assert_eq!((distance(one, other), distance(other, one)), (letters, letters), "{one} {other}");
        }
    }
}
