//! Texts about a document, of which less is told to those who may not read the document.

use serde_json::error::Category;

/// A text about a document, with and without what it quotes of it.
///
/// It is put together of words of ours, of numbers and of quotes. Only a quote takes a text that is made while the program runs, so nothing of a document
/// gets in without being marked as one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    full: String,
    without_quotes: String,
}

impl Message {
    /// The text without what it quotes.
    #[must_use]
    pub fn without_quotes(&self) -> &str {
        &self.without_quotes
    }

    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.full.is_empty()
    }

    /// Adds words of ours.
    #[must_use]
    pub(crate) fn words(self, words: &'static str) -> Self {
        self.both(words)
    }

    /// Adds a place or an amount.
    #[must_use]
    pub(crate) fn number(self, number: usize) -> Self {
        self.both(&number.to_string())
    }

    /// Adds what the document says, and the words that stand `instead` for those who may not read it.
    #[must_use]
    pub(crate) fn quote(mut self, quote: &str, instead: &'static str) -> Self {
        self.full.push_str(quote);
        self.without_quotes.push_str(instead);
        self
    }

    /// Adds what the parser says. It has fixed words for broken JSON; where it finds a value that it does not expect, it quotes the value.
    #[must_use]
    pub(super) fn mistake(self, error: &serde_json::Error) -> Self {
        let full = error.to_string();
        // Lines and columns are told as the place of a problem.
        let mistake = full.rsplit_once(" at line ").map_or(full.as_str(), |(mistake, _)| mistake);
        match error.classify() {
            Category::Syntax | Category::Eof => self.both(mistake),
            Category::Data | Category::Io => self.quote(mistake, "this is no value of a policy"),
        }
    }

    /// Adds another text.
    #[must_use]
    pub(super) fn then(mut self, other: &Self) -> Self {
        self.full.push_str(&other.full);
        self.without_quotes.push_str(&other.without_quotes);
        self
    }

    fn both(mut self, text: &str) -> Self {
        self.full.push_str(text);
        self.without_quotes.push_str(text);
        self
    }
}

impl std::fmt::Display for Message {
    /// With all that it quotes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.full)
    }
}

impl From<&'static str> for Message {
    fn from(words: &'static str) -> Self {
        Self::default().words(words)
    }
}

impl From<&Message> for Message {
    fn from(message: &Message) -> Self {
        message.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_quote_is_left_out_where_it_stands() {
        let message = Message::from("a ").quote("é", "x").quote("", "y").words(" and ").number(7).quote("last", "");
        assert_eq!((message.to_string().as_str(), message.without_quotes()), ("a é and 7last", "a xy and 7"));
        let twice = message.clone().then(&message);
        assert_eq!((twice.to_string().as_str(), twice.without_quotes()), ("a é and 7lasta é and 7last", "a xy and 7a xy and 7"));
    }

    #[test]
    fn the_parser_is_quoted_where_it_may_quote() {
        let told = |error: serde_json::Error| Message::default().mistake(&error).without_quotes().to_owned();
        assert_eq!(told(serde_json::from_str::<serde_json::Value>("{\"a\": zq}").unwrap_err()), "expected value");
        assert_eq!(told(serde_json::from_str::<usize>("\"zq\"").unwrap_err()), "this is no value of a policy");
    }
}
