//! As much of an API server as the operator uses, in memory: a state machine without clock, chance or I/O of its own.
//!
//! ```text
//! target ──> read     GET, list, watch            store ──> objects, versions, history, watches
//!        ──> write    create, patch, put, delete
//!              kinds    what is known of each kind: scope, schema, defaults
//!              owners   who owns which field, for server-side apply (typed, fields)
//! ```
//!
//! It behaves as kube-apiserver does, with etcd's one counter for all versions, and it is compared with it (`tests/e2e/api_model.rs`). People use it
//! in the same way as the operator does.
//!
//! **Not here**: rules in CEL, patterns, bounds and required fields are not evaluated, so whoever writes has to write what is valid. There are no
//! selectors, no dry runs, no admission but that of namespaces, no garbage collection, and no rights. `managedFields` are kept but not shown. UIDs
//! and generated names follow from a counter; times are those of `jiff::Timestamp::now`.

mod fields;
mod json_patch;
mod kinds;
mod namespaces;
mod owners;
mod read;
mod refusal;
mod schema;
mod step;
mod store;
mod target;
#[cfg(test)]
mod tests;
mod typed;
mod write;

use std::sync::{Arc, LazyLock};

use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

use kinds::Kind;
use refusal::Refusal;
use store::{Store, View};
use target::{Parameters, Target, key, wants_metadata};

/// A request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// The method of HTTP.
    pub method: &'a str,
    /// The path.
    pub path: &'a str,
    /// The query, without its question mark.
    pub query: &'a str,
    /// The header `Accept`.
    pub accept: &'a str,
    /// The header `Content-Type`.
    pub content_type: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// What is answered.
#[derive(Debug)]
pub enum Answer {
    /// A whole body.
    Whole {
        /// The code of HTTP.
        code: u16,
        /// The body, which is JSON.
        body: String,
    },
    /// A watch, which opens with code 200: one event a line, with its line break.
    Watch(UnboundedReceiver<String>),
}

/// The kinds that there are. They are worked out once, in a thread of its own: nothing that depends on a run's chance may depend on whether the
/// run is the first.
static KINDS: LazyLock<Arc<[Kind]>> = LazyLock::new(|| std::thread::spawn(|| Kind::all().into()).join().unwrap_or_default());

/// An API server.
#[derive(Debug)]
pub struct ApiServer {
    kinds: Arc<[Kind]>,
    store: Store,
    /// How many UIDs and names were given.
    given: u64,
}

impl Default for ApiServer {
    fn default() -> Self {
        Self::new()
    }
}

impl ApiServer {
    /// One that knows the kinds of the project, and Namespace, ConfigMap, Secret and Event. It has the namespaces that every cluster has.
    pub fn new() -> Self {
        let kinds = KINDS.clone();
        let store = Store::new(kinds.len());
        let mut server = Self { kinds, store, given: 0 };
        server.create_first_namespaces();
        server
    }

    /// The answer to a request.
    pub fn answer(&mut self, request: &Request<'_>) -> Answer {
        self.try_answer(request).unwrap_or_else(|refusal| Answer::Whole { code: refusal.code, body: refusal.status().to_string() })
    }

    fn try_answer(&mut self, request: &Request<'_>) -> Result<Answer, Refusal> {
        let target = Target::parse(request.path, &self.kinds).ok_or_else(Refusal::no_such_path)?;
        let parameters = Parameters::parse(request.query).map_err(Refusal::bad_request)?;
        let view = if wants_metadata(request.accept) { View::Metadata } else { View::Whole };
        let is_one = !target.name.is_empty();
        match request.method {
            "GET" if is_one => self.read(&target, view),
            "GET" if parameters.watch => Ok(Answer::Watch(self.watch(&target, &parameters, view))),
            "GET" => self.list(&target, &parameters, view),
            "POST" if !is_one => self.create(&target, &parameters, request.body).map(|written| written.answer(view)),
            "PATCH" if is_one => self.patch(&target, &parameters, request.content_type, request.body).map(|written| written.answer(view)),
            "PUT" if is_one => self.replace(&target, &parameters, request.body).map(|written| written.answer(view)),
            "DELETE" if is_one => self.delete(&target, request.body).map(|written| written.answer(view)),
            _ => Err(Refusal::method_not_allowed()),
        }
    }

    /// Ends every open watch.
    pub fn cut_watches(&mut self) {
        self.store.cut_watches();
    }

    /// Forgets what happened up to now: whoever asks for it is told 410. Open watches go on.
    pub fn compact(&mut self) {
        self.store.compact();
    }

    /// Sends a bookmark to every watch that asked for them.
    pub fn bookmarks(&mut self) {
        let Self { kinds, store, .. } = self;
        store.bookmark(|kind, view| kinds[kind].blank(view));
    }

    /// The objects of a kind, in the order in which they are listed: by namespace and name.
    pub fn objects(&self, plural: &str) -> impl Iterator<Item = &Arc<Value>> {
        let kind = self.kinds.iter().position(|kind| kind.plural == plural);
        kind.into_iter().flat_map(|kind| self.store.objects(kind).values()).map(|stored| &stored.object)
    }

    /// One object; `namespace` is empty for kinds that are in none.
    pub fn object(&self, plural: &str, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        let kind = self.kinds.iter().position(|kind| kind.plural == plural)?;
        self.store.get(kind, &key(namespace, name)).map(|stored| &stored.object)
    }

    /// The version of everything. It grows with every change.
    pub fn revision(&self) -> u64 {
        self.store.revision()
    }
}
