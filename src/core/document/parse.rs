//! From JSON text or a JSON value to what a document may hold: everything is checked that must be so before anybody looks at the structure.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::mistakes;
use super::structure::word;
use super::{DocumentProblem, Location, MAX_CHARACTERS, MAX_DEPTH, MAX_TEXT_BYTES, Message, Problems, item, member, quoted};

/// What IAM has for characters (`policyDocumentType`), in words.
const CHARACTERS: &str = "a policy document holds tab, line feed, carriage return and U+0020 to U+00FF only";

/// Reads JSON text, with all its problems.
pub(super) fn from_text(text: &str) -> Result<Value, Problems> {
    // What other programs write at the beginning to say that it is UTF-8 says nothing of a document (RFC 8259, section 8.1).
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(problem) = too_long(text) {
        return Err(Problems::one(problem));
    }
    if text.trim().is_empty() {
        return Err(Problems::one(DocumentProblem::document("there is nothing in it: write the policy as JSON")));
    }
    let (mut problems, foreign) = foreign_characters(text);
    let reader = Reader { read: Cell::new(0), duplicates: RefCell::default(), is_too_deep: Cell::new(false) };
    let value = reader.value(text);
    for (key, offset) in reader.duplicates.into_inner() {
        problems.add(|| DocumentProblem {
            location: position(text, offset),
            message: named(Message::from("the key "), &key).words(" stands twice in one object, and only one of them would count: remove one"),
        });
    }
    match value {
        Ok(value) => {
            let mut scan = Scan { known: foreign, ..Scan::default() };
            scan.document(&value);
            problems.extend(scan.problems);
            if problems.is_empty() { Ok(value) } else { Err(problems) }
        }
        Err(problem) => {
            problems.add(|| problem);
            Err(problems)
        }
    }
}

/// Why a text is not looked at, if it is too long for that.
pub(super) fn too_long(text: &str) -> Option<DocumentProblem> {
    if text.len() > MAX_TEXT_BYTES {
        return Some(DocumentProblem::too_large(text.len()));
    }
    let characters = text.chars().filter(|character| !character.is_ascii_whitespace()).count();
    (characters > MAX_CHARACTERS).then(|| DocumentProblem::too_long(characters))
}

/// Checks a JSON value as far as that can be done without the text.
pub(super) fn check_value(value: &Value) -> Problems {
    let mut scan = Scan::default();
    scan.document(value);
    // A value too deep is not serialised: that would recurse as deep.
    if scan.problems.is_empty() {
        scan.problems.extend(too_long(&value.to_string()).map_or_else(Problems::default, Problems::one));
    }
    scan.problems
}

fn is_foreign(character: char) -> bool {
    !matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{FF}')
}

/// Adds a key in quotation marks: as a word of the policy language, or as a quote.
fn named(message: Message, key: &str) -> Message {
    match word(key) {
        Some(word) => message.words("\"").words(word).words("\""),
        None => message.quote(&quoted(key), "here"),
    }
}

/// That a character is not allowed. `place` says where it stands, or how often.
fn not_allowed(character: char, place: impl FnOnce(Message) -> Message) -> Message {
    let name = format!("{character:?} (U+{:04X})", u32::from(character));
    place(Message::from("the character ").quote(&name, "here")).words(" is not allowed: ").words(CHARACTERS)
}

/// The characters of the text that IAM does not take: a problem for each kind, where it stands first.
fn foreign_characters(text: &str) -> (Problems, BTreeSet<char>) {
    let mut found: BTreeMap<char, (usize, usize)> = BTreeMap::new();
    for (offset, character) in text.char_indices().filter(|(_, character)| is_foreign(*character)) {
        found.entry(character).or_insert((offset, 0)).1 += 1;
    }
    let mut places: Vec<_> = found.iter().map(|(character, (offset, count))| (*offset, *count, *character)).collect();
    places.sort_unstable();
    let mut problems = Problems::default();
    for (offset, count, character) in places {
        problems.add(|| DocumentProblem {
            location: position(text, offset),
            message: not_allowed(character, |message| match count {
                1 => message,
                _ => message.words(" (").number(count).words(" times)"),
            }),
        });
    }
    (problems, found.into_keys().collect())
}

/// Line and column of a byte of the text.
fn position(text: &str, offset: usize) -> Location {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Location::Text { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}

/// Reads JSON and notes the duplicate keys on the way.
struct Reader {
    /// Bytes that `serde_json` has taken so far.
    read: Cell<usize>,
    /// Keys that their object had already, and where each stands.
    duplicates: RefCell<Vec<(String, usize)>>,
    /// Whether it ended at a value that stands too deep.
    is_too_deep: Cell<bool>,
}

impl Reader {
    /// The JSON value of the text, or where and why it is none.
    fn value(&self, text: &str) -> Result<Value, DocumentProblem> {
        // `serde_json` takes single bytes from a reader, which makes the count of bytes the place where it is.
        let mut deserializer = serde_json::Deserializer::from_reader(Counted { bytes: text.as_bytes(), read: &self.read });
        let value = Node { reader: self, depth: 0 }.deserialize(&mut deserializer);
        value.and_then(|value| deserializer.end().map(|()| value)).map_err(|error| {
            let line_start: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
            // The column of the parser counts bytes.
            let offset = line_start + error.column().saturating_sub(1);
            let message = Message::from("not valid JSON: ");
            let message = match mistakes::looks_like(text, offset, &error.to_string()) {
                _ if self.is_too_deep.get() => message.then(&too_deep()),
                Some(words) => message.words(words),
                None => message.mistake(&error),
            };
            DocumentProblem { location: position(text, offset), message }
        })
    }
}

/// Bytes that are counted as they are read.
struct Counted<'a> {
    bytes: &'a [u8],
    read: &'a Cell<usize>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.read.set(self.read.get() + count);
        Ok(count)
    }
}

/// A value within `depth` objects and lists.
#[derive(Clone, Copy)]
struct Node<'a> {
    reader: &'a Reader,
    depth: usize,
}

impl Node<'_> {
    fn inner<E: Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            self.reader.is_too_deep.set(true);
            return Err(E::custom(too_deep()));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

fn too_deep() -> Message {
    let message = Message::from("objects and lists stand within each other more than ");
    message.number(MAX_DEPTH).words(" levels deep, which no policy does")
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut entries = Map::new();
        while let Some((key, offset)) = object.next_key_seed(Key(self.reader))? {
            let value = object.next_value_seed(inner)?;
            if entries.contains_key(&key) {
                self.reader.duplicates.borrow_mut().push((key, offset));
            } else {
                entries.insert(key, value);
            }
        }
        Ok(Value::Object(entries))
    }
}

/// The key of an object with its place in the text.
struct Key<'a>(&'a Reader);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = (String, usize);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        // The opening quote, by which it is known that a key follows, has been taken.
        let offset = self.0.read.get().saturating_sub(1);
        String::deserialize(deserializer).map(|key| (key, offset))
    }
}

/// A pass over a JSON value.
#[derive(Default)]
struct Scan {
    /// Characters that have been reported already.
    known: BTreeSet<char>,
    problems: Problems,
}

impl Scan {
    fn document(&mut self, value: &Value) {
        if !value.is_object() {
            self.problems.add(|| DocumentProblem::document("a policy document is a JSON object: write {\"Version\": ..., \"Statement\": [...]}"));
            return;
        }
        self.value(value, &Message::default(), 0, false);
        self.sids(value);
    }

    /// Characters, depth and numbers, all the way down.
    fn value(&mut self, value: &Value, path: &Message, depth: usize, in_condition: bool) {
        match value {
            Value::Object(_) | Value::Array(_) if depth == MAX_DEPTH => self.report(path, too_deep()),
            Value::Object(object) => {
                for (key, inner) in object {
                    let path = member(path, key);
                    self.characters(key, &path);
                    self.value(inner, &path, depth + 1, in_condition || key == "Condition");
                }
            }
            Value::Array(items) => {
                for (index, inner) in items.iter().enumerate() {
                    self.value(inner, &item(path, index), depth + 1, in_condition);
                }
            }
            Value::Number(number) if !in_condition => {
                let message = Message::default().quote(&number.to_string(), "this");
                self.report(path, message.words(" is a number where IAM has a string: quote it, with all its digits, as leading zeros count"));
            }
            Value::String(text) => self.characters(text, path),
            Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    fn characters(&mut self, text: &str, path: &Message) {
        let foreign = text.chars().enumerate().find(|(_, character)| is_foreign(*character) && !self.known.contains(character));
        if let Some((index, character)) = foreign {
            self.report(path, not_allowed(character, |message| message.words(" at position ").number(index + 1)));
        }
    }

    /// Sids are unique in a document; an empty one is none.
    fn sids(&mut self, document: &Value) {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let statements = document.get("Statement").and_then(Value::as_array).into_iter().flatten().enumerate();
        let sids = statements.filter_map(|(index, statement)| Some((index, statement.get("Sid")?.as_str()?)));
        for (index, sid) in sids.filter(|(_, sid)| !sid.is_empty()) {
            match seen.get(sid) {
                Some(first) => {
                    let statement = |index| item(&Message::from("Statement"), index);
                    let message = Message::default().quote(&quoted(sid), "this").words(" is the Sid of ").then(&statement(*first));
                    self.report(&statement(index).words(".Sid"), message.words(" already: write another one"));
                }
                None => {
                    seen.insert(sid, index);
                }
            }
        }
    }

    fn report(&mut self, path: &Message, message: Message) {
        self.problems.add(|| DocumentProblem::element(path.clone(), message));
    }
}
