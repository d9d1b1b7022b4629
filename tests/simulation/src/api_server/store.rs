//! What is stored, in versions: objects, what happened to them lately, and the watches that are told of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::owners::Owners;

/// How many changes are remembered.
const REMEMBERED: usize = 4096;

/// An object that is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The object as everybody sees it.
    pub object: Arc<Value>,
    /// The same, as JSON.
    pub text: Arc<str>,
    /// Who owns which of its fields.
    pub owners: Arc<Owners>,
    /// The object as it is stored, where that is something else: without defaults, or with fields that are empty. A write that says nothing new of
    /// what everybody sees is a change then.
    pub raw: Option<Arc<Value>>,
}

impl Stored {
    /// The object as it is stored.
    pub fn raw(&self) -> &Value {
        self.raw.as_ref().unwrap_or(&self.object)
    }
}

/// A version of an object that is to be stored.
#[derive(Clone, Debug)]
pub struct Draft {
    /// As everybody sees it.
    pub object: Value,
    /// As it is stored, where that is something else.
    pub raw: Option<Value>,
    /// Who owns which of its fields.
    pub owners: Arc<Owners>,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug)]
enum Event {
    Added,
    Modified,
    Deleted,
}

#[derive(Clone, Debug)]
struct Change {
    revision: u64,
    kind: usize,
    key: String,
    event: Event,
    object: Arc<Value>,
    text: Arc<str>,
    before: Option<Stored>,
}

/// What a watch is told of each object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// All of it.
    Whole,
    /// Its metadata.
    Metadata,
}

/// What somebody watches.
#[derive(Clone, Debug)]
pub struct Watching {
    /// The kind.
    pub kind: usize,
    /// The namespace; empty for all.
    pub namespace: String,
    /// What is told of each object.
    pub view: View,
    /// Whether bookmarks are sent.
    pub bookmarks: bool,
}

impl Watching {
    fn concerns(&self, kind: usize, key: &str) -> bool {
        self.kind == kind && is_in(key, &self.namespace)
    }
}

/// Whether an object is in a namespace; everything is in the empty one.
pub fn is_in(key: &str, namespace: &str) -> bool {
    namespace.is_empty() || key.strip_prefix(namespace).is_some_and(|rest| rest.starts_with('/'))
}

/// The store.
#[derive(Debug)]
pub struct Store {
    objects: Vec<BTreeMap<String, Stored>>,
    revision: u64,
    changes: VecDeque<Change>,
    /// Nothing is known of what happened up to this revision.
    forgotten: u64,
    watches: Vec<(Watching, UnboundedSender<String>)>,
}

impl Store {
    /// An empty one, for so many kinds.
    pub fn new(kinds: usize) -> Self {
        // The first version is 1, since 0 means any in requests.
        Self { objects: vec![BTreeMap::new(); kinds], revision: 1, changes: VecDeque::new(), forgotten: 1, watches: vec![] }
    }

    /// The version of everything.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// What is known of the past begins after this version.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The objects of a kind.
    pub fn objects(&self, kind: usize) -> &BTreeMap<String, Stored> {
        &self.objects[kind]
    }

    /// One object.
    pub fn get(&self, kind: usize, key: &str) -> Option<&Stored> {
        self.objects[kind].get(key)
    }

    /// The objects of a kind as they were at a version that is not forgotten.
    pub fn objects_at(&self, kind: usize, revision: u64) -> BTreeMap<String, Stored> {
        let mut objects = self.objects[kind].clone();
        for change in self.changes.iter().rev().take_while(|change| change.revision > revision).filter(|change| change.kind == kind) {
            match &change.before {
                Some(before) => objects.insert(change.key.clone(), before.clone()),
                None => objects.remove(&change.key),
            };
        }
        objects
    }

    /// Stores an object under the next version. Returns it as it is now.
    pub fn put(&mut self, kind: usize, key: String, draft: Draft) -> Stored {
        let (object, text) = self.next_version(draft.object);
        let raw = draft.raw.filter(|raw| !is_same_but_for_version(raw, &object)).map(|mut raw| {
            raw["metadata"]["resourceVersion"] = object["metadata"]["resourceVersion"].clone();
            Arc::new(raw)
        });
        let stored = Stored { object, text, owners: draft.owners, raw };
        let before = self.objects[kind].insert(key.clone(), stored.clone());
        let event = if before.is_some() { Event::Modified } else { Event::Added };
        self.tell(kind, key, event, &stored, before);
        stored
    }

    /// Removes an object. Watches are told of it as it was, under the next version.
    pub fn remove(&mut self, kind: usize, key: &str) {
        let Some(before) = self.objects[kind].remove(key) else { return };
        let (object, text) = self.next_version((*before.object).clone());
        let last = Stored { object, text, ..before.clone() };
        self.tell(kind, key.to_owned(), Event::Deleted, &last, Some(before));
    }

    fn next_version(&mut self, mut object: Value) -> (Arc<Value>, Arc<str>) {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = self.revision.to_string().into();
        let text = json_text(&object);
        (Arc::new(object), text)
    }

    fn tell(&mut self, kind: usize, key: String, event: Event, now: &Stored, before: Option<Stored>) {
        let change = Change { revision: self.revision, kind, key, event, object: now.object.clone(), text: now.text.clone(), before };
        let mut lines: [Option<String>; 2] = [None, None];
        self.watches.retain(|(watching, sender)| {
            if !watching.concerns(change.kind, &change.key) {
                return !sender.is_closed();
            }
            let line = lines[usize::from(watching.view == View::Metadata)].get_or_insert_with(|| change.line(watching.view));
            sender.send(line.clone()).is_ok()
        });
        self.changes.push_back(change);
        if self.changes.len() > REMEMBERED
            && let Some(oldest) = self.changes.pop_front()
        {
            self.forgotten = oldest.revision;
        }
    }

    /// Opens a watch that is told of what happened after a version. Where that is forgotten, the watch has one event, which says so, and ends.
    pub fn watch_from(&mut self, watching: Watching, revision: u64, expired: impl FnOnce(u64) -> Value) -> UnboundedReceiver<String> {
        let (sender, receiver) = unbounded_channel();
        // A receiver that is at hand takes everything.
        if revision < self.forgotten {
            let _ = sender.send(line("ERROR", &expired(self.forgotten).to_string()));
            return receiver;
        }
        let first = self.changes.partition_point(|change| change.revision <= revision);
        for change in self.changes.range(first..).filter(|change| watching.concerns(change.kind, &change.key)) {
            let _ = sender.send(change.line(watching.view));
        }
        self.watches.push((watching, sender));
        receiver
    }

    /// Opens a watch that begins with what there is. A bookmark, where they are asked for, tells where that ends; `blank` is an empty object.
    pub fn watch_all(&mut self, watching: Watching, mut blank: Value) -> UnboundedReceiver<String> {
        let (sender, receiver) = unbounded_channel();
        for (_, stored) in self.objects[watching.kind].iter().filter(|(key, _)| is_in(key, &watching.namespace)) {
            let _ = sender.send(line("ADDED", &shown(&stored.object, &stored.text, watching.view)));
        }
        if watching.bookmarks {
            blank["metadata"] = json!({"resourceVersion": self.revision.to_string(), "annotations": {"k8s.io/initial-events-end": "true"}});
            let _ = sender.send(line("BOOKMARK", &blank.to_string()));
        }
        self.watches.push((watching, sender));
        receiver
    }

    /// Tells every watch that asked for it how far it is. `blank` is an empty object of each kind.
    pub fn bookmark(&mut self, blank: impl Fn(usize, View) -> Value) {
        let revision = self.revision.to_string();
        self.watches.retain(|(watching, sender)| {
            if !watching.bookmarks {
                return !sender.is_closed();
            }
            let mut object = blank(watching.kind, watching.view);
            object["metadata"] = json!({"resourceVersion": revision});
            sender.send(line("BOOKMARK", &object.to_string())).is_ok()
        });
    }

    /// Ends every watch.
    pub fn cut_watches(&mut self) {
        self.watches.clear();
    }

    /// Forgets what happened up to now.
    pub fn compact(&mut self) {
        self.changes.clear();
        self.forgotten = self.revision;
    }
}

impl Change {
    fn line(&self, view: View) -> String {
        let event = match self.event {
            Event::Added => "ADDED",
            Event::Modified => "MODIFIED",
            Event::Deleted => "DELETED",
        };
        line(event, &shown(&self.object, &self.text, view))
    }
}

fn is_same_but_for_version(one: &Value, other: &Value) -> bool {
    let fields = |value: &Value| value.as_object().map_or(0, Map::len);
    let metadata = |value: &Value| value["metadata"].as_object().map_or(0, |map| map.len() - usize::from(map.contains_key("resourceVersion")));
    let same = |(name, value): (&String, &Value)| name == "metadata" || other.get(name) == Some(value);
    let same_metadata = |(name, value): (&String, &Value)| name == "resourceVersion" || other["metadata"].get(name) == Some(value);
    fields(one) == fields(other)
        && metadata(one) == metadata(other)
        && one.as_object().into_iter().flatten().all(same)
        && one["metadata"].as_object().into_iter().flatten().all(same_metadata)
}

fn line(event: &str, object: &str) -> String {
    format!("{{\"type\":\"{event}\",\"object\":{object}}}\n")
}

/// A value as JSON.
pub fn json_text(value: &Value) -> Arc<str> {
    // Quicker than by formatting. A value can always be written.
    serde_json::to_string(value).unwrap_or_default().into()
}

/// An object as JSON, in a view of it.
pub fn shown(object: &Value, text: &Arc<str>, view: View) -> Arc<str> {
    match view {
        View::Whole => text.clone(),
        View::Metadata => json_text(&metadata_of(object)),
    }
}

fn metadata_of(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}
