//! Reading: one object, lists in pages, and watches.

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::kinds::Kind;
use super::refusal::Refusal;
use super::store::{Stored, View, Watching, is_in, shown};
use super::target::{Parameters, Target};
use super::{Answer, ApiServer};

/// In a token for the next page, that the list is gone on with as it is then.
const NOW: u64 = 0;

impl Kind {
    /// An object without content.
    pub fn blank(&self, view: View) -> Value {
        match view {
            View::Whole => json!({"kind": self.kind, "apiVersion": self.api_version}),
            View::Metadata => json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}),
        }
    }
}

/// Where the next page of a list begins: after this key, in the list as it was at this version.
fn token(revision: u64, key: &str) -> String {
    format!("{revision}:{key}")
}

fn parse_token(token: &str) -> Result<(u64, &str), Refusal> {
    let parts = token.split_once(':').and_then(|(revision, key)| Some((revision.parse().ok()?, key)));
    parts.ok_or_else(|| Refusal::bad_request("continue key is not valid"))
}

impl ApiServer {
    /// One object.
    pub(super) fn read(&self, target: &Target, view: View) -> Result<Answer, Refusal> {
        let found = self.store.get(target.kind, &target.key()).ok_or_else(|| Refusal::not_found(&self.kinds[target.kind], &target.name))?;
        Ok(Answer::Whole { code: 200, body: shown(&found.object, &found.text, view).to_string() })
    }

    /// The objects of a kind, in one namespace or all, or a page of them.
    pub(super) fn list(&self, target: &Target, parameters: &Parameters, view: View) -> Result<Answer, Refusal> {
        let now = self.store.revision();
        let asked = parameters.resource_version.filter(|version| *version > 0);
        if let Some(version) = asked.filter(|version| *version > now) {
            return Err(Refusal::too_large(version, now));
        }
        let (revision, after) = match &parameters.next {
            Some(next) => match parse_token(next)? {
                (NOW, after) => (now, after),
                (revision, after) if revision < self.store.forgotten() => return Err(Refusal::expired_page(token(NOW, after))),
                at => at,
            },
            // A version with a limit means that version, for old times' sake.
            None if parameters.exact || (asked.is_some() && parameters.limit > 0) => (asked.unwrap_or(now), ""),
            None => (now, ""),
        };
        if revision < self.store.forgotten() {
            return Err(Refusal::expired("The resourceVersion for the provided list is too old."));
        }
        let past = (revision != now).then(|| self.store.objects_at(target.kind, revision));
        let objects = past.as_ref().unwrap_or_else(|| self.store.objects(target.kind));
        let mut found = objects.iter().filter(|(key, _)| is_in(key, &target.namespace) && key.as_str() > after);
        // Whatever there is is had from memory, where there is no need for pages.
        let is_unlimited = parameters.limit == 0 || parameters.resource_version == Some(0);
        let limit = if is_unlimited { usize::MAX } else { parameters.limit };
        let page: Vec<(&String, &Stored)> = found.by_ref().take(limit).collect();
        let left = found.count();
        let next = page.last().filter(|_| left > 0).map(|(key, _)| (token(revision, key), left));
        Ok(Answer::Whole { code: 200, body: self.kinds[target.kind].page(&page, revision, next, view) })
    }

    /// The changes of a kind, in one namespace or all.
    pub(super) fn watch(&mut self, target: &Target, parameters: &Parameters, view: View) -> UnboundedReceiver<String> {
        let watching = Watching { kind: target.kind, namespace: target.namespace.clone(), view, bookmarks: parameters.bookmarks };
        match parameters.resource_version.unwrap_or_default() {
            0 => self.store.watch_all(watching, self.kinds[target.kind].blank(view)),
            version => {
                let expired = |forgotten| Refusal::expired(format!("too old resource version: {version} ({forgotten})")).status();
                self.store.watch_from(watching, version, expired)
            }
        }
    }
}

impl Kind {
    fn page(&self, objects: &[(&String, &Stored)], revision: u64, next: Option<(String, usize)>, view: View) -> String {
        let (kind, api_version) = match view {
            View::Whole => (format!("{}List", self.kind), self.api_version.as_str()),
            View::Metadata => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1"),
        };
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if let Some((token, left)) = next {
            metadata["continue"] = token.into();
            metadata["remainingItemCount"] = left.into();
        } else if self.is_custom && view == View::Whole {
            metadata["continue"] = "".into();
        }
        let items: Vec<String> = objects.iter().map(|(_, stored)| self.item(stored, view)).collect();
        // A list of nothing but metadata says null where it is empty.
        let items = if items.is_empty() && view == View::Metadata { "null".to_owned() } else { format!("[{}]", items.join(",")) };
        format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":{metadata},\"items\":{items}}}")
    }

    /// An object in a list. Those of kinds that are built in do not name their kind there.
    fn item(&self, stored: &Stored, view: View) -> String {
        if self.is_custom || view == View::Metadata {
            return shown(&stored.object, &stored.text, view).to_string();
        }
        let mut object = (*stored.object).clone();
        if let Some(object) = object.as_object_mut() {
            object.remove("kind");
            object.remove("apiVersion");
        }
        object.to_string()
    }
}
