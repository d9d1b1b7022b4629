//! A lossless model of IAM policy documents.
//!
//! A [`Document`] is well-formed JSON that IAM could hold: no duplicate keys, no character that IAM refuses, bounded in size and depth. It keeps
//! what it was made from: the order of statements, their Sids, the Version, one value as a scalar or as a list. Whether IAM would *accept* it is
//! another question, answered by [`Document::lint`], since what is read from an account is to be modelled whatever it says. Whether two documents
//! *mean* the same is answered by [`crate::canonical`]; `==` compares what is written.
//!
//! What an account has is also kept where it is no such JSON ([`Document::read`]). Of that, and of what has a shape that nobody knows,
//! [`Document::is_understood`] says that it may mean anything: who asks what a document allows asks that first.

mod conditions;
mod message;
mod mistakes;
mod parse;
mod shared;
mod statement;
mod structure;
mod wildcard;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::encoding::decode_document;
use crate::names::Partition;
pub use message::Message;
pub use rolebridge_api::document::MAX_TEXT_BYTES;
pub use shared::SharedDocuments;
pub use statement::{ConditionRef, Effect, Statement, StatementRef};
pub(crate) use statement::{condition_text, items};
pub use wildcard::{wildcard_covers, wildcard_match, wildcard_match_ignore_case, wildcards_meet};

/// The policy language's current version, the only one in which `${...}` is a variable.
pub const VERSION_2012: &str = "2012-10-17";
/// The older version, which applies to a document that names none.
pub const VERSION_2008: &str = "2008-10-17";

/// Most characters of a document, white space aside: twice the largest quota that IAM has for any policy. A longer one is not made into a tree of objects,
/// which takes up to a hundred times its bytes.
pub const MAX_CHARACTERS: usize = 20_480;
/// Most levels of objects and lists within each other; a policy needs six.
pub const MAX_DEPTH: usize = 16;
/// Most problems that are returned for one document; the last one then tells how many more there are.
pub const MAX_PROBLEMS: usize = 50;

/// What let somebody assume a role, in the actions that STS has for it. `sts:TagSession` and `sts:SetSourceIdentity` are needed beside these, and
/// give nothing by themselves.
const ASSUME_ROLE_ACTIONS: [&str; 4] = ["sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoot"];

/// A policy document: a JSON object of IAM's policy language.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Document {
    /// An object, or the text of what an account has and is none. It is never changed, so that copies share it.
    value: Arc<Value>,
}

/// What a document is for: the elements that it must and must not have depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKind {
    /// An identity's policy, managed or inline: it says on what (`Resource`); who is implied.
    Permissions,
    /// A role's trust policy: it says who (`Principal`); on what is implied.
    Trust,
}

/// Something about a document that a person has to change.
#[derive(Clone, Debug, Error, PartialEq, Eq, PartialOrd, Ord)]
#[error("{location}: {message}")]
pub struct DocumentProblem {
    /// Where in the document.
    pub location: Location,
    /// What is wrong and what to write.
    pub message: Message,
}

/// A place in a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// The document as a whole.
    Document,
    /// A place in the text, both counted from 1, the column in characters.
    Text {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// An element, such as `Statement[0].Principal.AWS`. Keys that are no words of the policy language are quotes in it.
    Element(Message),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document => f.write_str("document"),
            Self::Text { line, column } => write!(f, "line {line}, column {column}"),
            Self::Element(path) => path.fmt(f),
        }
    }
}

impl DocumentProblem {
    fn document(message: impl Into<Message>) -> Self {
        Self { location: Location::Document, message: message.into() }
    }

    fn element(path: Message, message: impl Into<Message>) -> Self {
        Self { location: Location::Element(path), message: message.into() }
    }

    /// The problem for those who may not read the document: the place, and the kind of mistake.
    #[must_use]
    pub fn without_quotes(&self) -> String {
        let message = self.message.without_quotes();
        match &self.location {
            Location::Element(path) => format!("{}: {message}", path.without_quotes()),
            place @ (Location::Document | Location::Text { .. }) => format!("{place}: {message}"),
        }
    }

    /// That of a text of so many bytes, more than [`MAX_TEXT_BYTES`]: it is not looked at.
    #[must_use]
    pub fn too_large(bytes: usize) -> Self {
        let message = Message::default().number(bytes).words(" bytes are too many to be a policy: at most ");
        Self::document(message.number(MAX_TEXT_BYTES).words(" are read, and IAM takes far fewer"))
    }

    /// That of a text of so many characters, white space aside, more than [`MAX_CHARACTERS`]: it is not looked at.
    fn too_long(characters: usize) -> Self {
        let message = Message::default().number(characters);
        Self::document(message.words(" characters are too many to be a policy: IAM takes 10240 at most, white space aside"))
    }
}

impl Document {
    /// Reads a document from JSON text.
    ///
    /// # Errors
    /// All that keeps the text from being a document, at once: broken JSON, duplicate keys and characters outside IAM's set (each with line and
    /// column), too much text or nesting, duplicate Sids, numbers where IAM has strings. At most [`MAX_PROBLEMS`].
    pub fn parse(text: &str) -> Result<Self, Vec<DocumentProblem>> {
        parse::from_text(text).map(|value| Self { value: value.into() }).map_err(Problems::into_list)
    }

    /// Reads what an account has, percent-encoded as IAM gives it, whatever it is. What is no document is kept as text, which means anything: so it is there,
    /// has a size, and differs from all that is wanted.
    #[must_use]
    pub fn read(encoded: &str) -> Self {
        let text = decode_document(encoded).unwrap_or_else(|_| encoded.to_owned());
        Self::parse(&text).unwrap_or_else(|_| Self::unreadable(&text))
    }

    /// What an account has in the place of a document, and is none. Of a text that is longer than any document only the beginning is kept.
    #[must_use]
    pub fn unreadable(text: &str) -> Self {
        Self { value: Value::from(&text[..text.floor_char_boundary(MAX_TEXT_BYTES)]).into() }
    }

    /// Reads the text of a document that is structured in a manifest: the API server has made it of the YAML or JSON that was written.
    ///
    /// # Errors
    /// As [`Document::from_value`].
    pub fn from_structure(text: &str) -> Result<Self, Vec<DocumentProblem>> {
        if let Some(problem) = parse::too_long(text) {
            return Err(vec![problem]);
        }
        let unreadable = |error| vec![DocumentProblem::document(Message::from("cannot be read: ").mistake(&error))];
        let value = serde_json::from_str(text).map_err(unreadable)?;
        Self::from_value(value)
    }

    /// Takes a document that is structured already, as in a manifest. The checks are those of [`Document::parse`] as far as they apply.
    ///
    /// # Errors
    /// As [`Document::parse`], the places given as elements.
    pub fn from_value(value: Value) -> Result<Self, Vec<DocumentProblem>> {
        let problems = parse::check_value(&value);
        if problems.is_empty() { Ok(Self { value: value.into() }) } else { Err(problems.into_list()) }
    }

    /// A document of generated statements, in the current version of the language.
    #[must_use]
    pub fn new(statements: Vec<Statement>) -> Self {
        let mut object = Map::new();
        object.insert("Version".to_owned(), VERSION_2012.into());
        object.insert("Statement".to_owned(), statements.iter().map(Statement::to_value).collect());
        Self { value: Value::Object(object).into() }
    }

    /// All that IAM would refuse in the structure of this document when it is used as `kind`; empty for a sound one. At most [`MAX_PROBLEMS`].
    /// IAM knows more (which actions exist, which principals live) and may still refuse.
    #[must_use]
    pub fn lint(&self, kind: DocumentKind) -> Vec<DocumentProblem> {
        structure::lint(&self.value, kind).into_list()
    }

    /// What YAML may have changed of this document, which was written as YAML: numbers and booleans where IAM compares texts. At most [`MAX_PROBLEMS`].
    #[must_use]
    pub fn changed_by_yaml(&self) -> Vec<DocumentProblem> {
        structure::changed_by_yaml(&self.value).into_list()
    }

    /// The resources of which IAM knows none in this partition, so that it refuses a permissions policy that has them. At most [`MAX_PROBLEMS`].
    #[must_use]
    pub fn elsewhere(&self, partition: &Partition) -> Vec<DocumentProblem> {
        structure::elsewhere(self, partition).into_list()
    }

    /// What IAM accepts but rarely means what was intended: `${...}` outside version 2012-10-17, a denial without MFA that long-term keys pass.
    #[must_use]
    pub fn warnings(&self) -> Vec<DocumentProblem> {
        structure::warnings(self).into_list()
    }

    /// The document as compact text: what is sent to IAM. The same document always gives the same text: elements stand in the order in which people
    /// write them, all other keys sorted.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings as keys and finite numbers always serialise; the fallback is the same document with its keys in another order.
        serde_json::to_string(self).unwrap_or_else(|_| self.value.to_string())
    }

    /// The size that counts against IAM's quotas, in characters of [`Document::to_json`]. IAM leaves white space out of the sizes of inline and
    /// managed policies; compact text has none outside of strings, and white space within strings is counted here, on the safe side. Of what is no
    /// document it is the size of what IAM shows: nobody knows of more, and what does not fit beside it IAM refuses.
    #[must_use]
    pub fn size(&self) -> usize {
        self.value.as_str().map_or_else(|| self.to_json().chars().count(), |text| text.chars().count())
    }

    /// The room that it surely leaves to a document that takes its place: none is known of what is no document.
    #[must_use]
    pub fn surely_takes(&self) -> usize {
        if self.value.is_object() { self.size() } else { 0 }
    }

    /// Whether all that it says has a shape to which the policy language gives a meaning. Of another one nobody knows what it allows, and whom: it counts as
    /// everything.
    #[must_use]
    pub fn is_understood(&self) -> bool {
        structure::is_understood(&self.value)
    }

    /// The document as JSON: an object, or the text of what is none.
    #[must_use]
    pub fn as_value(&self) -> &Value {
        &self.value
    }

    /// The Version as written; IAM takes an absent one as [`VERSION_2008`].
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.value.get("Version").and_then(Value::as_str)
    }

    /// The statements in order. What stands in the place of a statement and is no object (IAM holds no such document) is left out.
    #[must_use]
    pub fn statements(&self) -> Vec<StatementRef<'_>> {
        self.raw_statements().iter().filter_map(Value::as_object).map(StatementRef::new).collect()
    }

    /// Every string of kind `AWS` that the `Principal` of an `Allow` statement names, in order; `*` for everyone.
    #[must_use]
    pub fn allowed_aws_principals(&self) -> Vec<&str> {
        self.allowing().flat_map(|statement| statement.principals("AWS")).collect()
    }

    /// The `Allow` statements, in order.
    pub fn allowing(&self) -> impl Iterator<Item = StatementRef<'_>> {
        self.statements().into_iter().filter(|statement| statement.effect() == Some(Effect::Allow))
    }

    /// The `Allow` statements that cover one of the actions of STS that give a role's credentials, through wildcards and `NotAction` too. What the
    /// statement's resources and conditions narrow, and what other statements deny, is left out of account, on the safe side.
    pub fn allowing_assume_role(&self) -> impl Iterator<Item = StatementRef<'_>> {
        self.allowing().filter(|statement| ASSUME_ROLE_ACTIONS.iter().any(|action| statement.covers_action(action)))
    }

    /// Whether it may limit what other policies allow: a statement denies, or what it says cannot be told.
    #[must_use]
    pub fn may_deny(&self) -> bool {
        !self.is_understood() || self.statements().into_iter().any(|statement| statement.effect() != Some(Effect::Allow))
    }

    /// Whether there are statements and every one of them denies, as in the policy that AWS puts on a role to revoke older sessions.
    #[must_use]
    pub fn all_statements_deny(&self) -> bool {
        self.is_understood() && self.statements().iter().all(|statement| statement.effect() == Some(Effect::Deny))
    }

    /// What stands in `Statement`; one statement need not be a list.
    fn raw_statements(&self) -> &[Value] {
        match self.value.get("Statement") {
            None => &[],
            Some(Value::Array(statements)) => statements,
            Some(statement) => std::slice::from_ref(statement),
        }
    }
}

impl fmt::Display for Document {
    /// The compact text, [`Document::to_json`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Ordered(&self.value).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?).map_err(|problems| {
            let messages: Vec<String> = problems.iter().map(ToString::to_string).collect();
            serde::de::Error::custom(messages.join("; "))
        })
    }
}

/// JSON whose objects are written in one order, whatever order the map type of `serde_json` has (it depends on features that other crates set).
struct Ordered<'a>(&'a Value);

impl Ordered<'_> {
    /// The elements of the policy language in the order of the user guide's examples.
    const ELEMENTS: [&'static str; 12] =
        ["Version", "Id", "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition", "Statement"];

    fn rank(key: &str) -> usize {
        Self::ELEMENTS.iter().position(|element| *element == key).unwrap_or(Self::ELEMENTS.len())
    }
}

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(object) => {
                let mut entries: Vec<_> = object.iter().map(|(key, value)| (key, Ordered(value))).collect();
                entries.sort_by_key(|(key, _)| (Self::rank(key), *key));
                serializer.collect_map(entries)
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Ordered)),
            scalar => scalar.serialize(serializer),
        }
    }
}

/// Problems as they are found: the first [`MAX_PROBLEMS`], which a status has to hold, and how many more there are. What is not shown is not worked
/// out either: a text that consists of mistakes costs hardly more than one that has a few.
#[derive(Default)]
struct Problems {
    shown: Vec<DocumentProblem>,
    more: usize,
}

impl Problems {
    fn one(problem: DocumentProblem) -> Self {
        Self { shown: vec![problem], more: 0 }
    }

    fn add(&mut self, problem: impl FnOnce() -> DocumentProblem) {
        if self.shown.len() < MAX_PROBLEMS {
            self.shown.push(problem());
        } else {
            self.more += 1;
        }
    }

    fn extend(&mut self, other: Self) {
        other.shown.into_iter().for_each(|problem| self.add(|| problem));
        self.more += other.more;
    }

    fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    /// The last one tells how many there are besides.
    fn into_list(mut self) -> Vec<DocumentProblem> {
        if self.more > 0 {
            self.shown.truncate(MAX_PROBLEMS - 1);
            self.shown.push(DocumentProblem::document(Message::default().number(self.more + 1).words(" more problems are not shown")));
        }
        self.shown
    }
}

/// The path of a member of the element at `path`.
fn member(path: &Message, key: &str) -> Message {
    let path = if path.is_empty() { path.clone() } else { path.clone().words(".") };
    match structure::word(key) {
        Some(word) => path.words(word),
        None => path.quote(&shown(key), "…"),
    }
}

/// The path of an item of the list at `path`.
fn item(path: &Message, index: usize) -> Message {
    path.clone().words("[").number(index).words("]")
}

/// A text of the document as it stands in a message, in quotation marks.
fn quoted(text: &str) -> String {
    format!("{:?}", shown(text))
}

/// As much of a text as a message should hold.
fn shown(text: &str) -> String {
    const SHOWN: usize = 100;
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests;
