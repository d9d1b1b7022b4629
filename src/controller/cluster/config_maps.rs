//! Reading what resources refer to that no watch carries: the texts in ConfigMaps.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::index::Index;
use crate::api::permissions::Permissions;
use crate::core::permissions::{ConfigText, ConfigTexts, config_references, missing};
use crate::core::world::ObjectKey;

/// How many ConfigMaps are read at once. While it is read, one takes some megabytes, whatever little of it is kept.
const READ_AT_ONCE: usize = 8;

/// What is kept of a ConfigMap.
struct Read {
    /// The resource version that it was read at.
    version: Option<String>,
    /// The entries that were named then.
    entries: BTreeMap<String, ConfigText>,
}

/// Texts of ConfigMaps, each with the resource version that it was read at. Watches carry the metadata only; a body is read when it is
/// needed and has changed, and only the entries that somebody names are kept of it.
pub struct ConfigMaps {
    client: Client,
    read: Mutex<HashMap<ObjectKey, Read>>,
    reading: Semaphore,
}

impl ConfigMaps {
    /// Nothing read yet.
    pub fn new(client: Client) -> Self {
        Self { client, read: Mutex::default(), reading: Semaphore::new(READ_AT_ONCE) }
    }

    /// Of how many ConfigMaps something is kept.
    pub fn count(&self) -> usize {
        self.read.lock().len()
    }

    /// The texts that permissions take from ConfigMaps of the resource's namespace.
    ///
    /// # Errors
    /// Where the API server cannot be asked. A ConfigMap that does not exist is no error but a None.
    pub async fn texts(&self, index: &Index, namespace: Option<&str>, permissions: Option<&Permissions>) -> Result<ConfigTexts, kube::Error> {
        let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, entry) in config_references(permissions) {
            named.entry(name).or_default().insert(entry);
        }
        let (namespace, mut texts) = (namespace.unwrap_or_default(), ConfigTexts::new());
        // The names of all ConfigMaps of the namespace, gathered once where one is missing.
        let mut others = None;
        for (name, entries) in named {
            let read = self.entries(index, &ObjectKey::new(namespace, &name), &entries).await?;
            let instead = match &read {
                Some(_) => None,
                None => missing(&name, others.get_or_insert_with(|| index.stores().config_maps_in(namespace)).iter().map(String::as_str)),
            };
            texts.extend(entries.into_iter().map(|entry| {
                let text = read.as_ref().and_then(|read| read.get(&entry).cloned()).or_else(|| instead.clone());
                ((name.clone(), entry), text)
            }));
        }
        Ok(texts)
    }

    /// The wanted entries of a ConfigMap, if there is one.
    async fn entries(&self, index: &Index, key: &ObjectKey, wanted: &BTreeSet<String>) -> Result<Option<BTreeMap<String, ConfigText>>, kube::Error> {
        let Some(seen) = index.stores().config_map(key) else {
            self.read.lock().remove(key);
            return Ok(None);
        };
        let version = seen.metadata.resource_version.as_deref();
        if let Some(known) = self.known(key, version, wanted) {
            return Ok(Some(known));
        }
        // The semaphore is never closed; without its permit the ConfigMap would merely be read beside more others.
        let _reading = self.reading.acquire().await.ok();
        // Many may have waited for the same one.
        if let Some(known) = self.known(key, version, wanted) {
            return Ok(Some(known));
        }
        let Some(found) = Api::<ConfigMap>::namespaced(self.client.clone(), &key.namespace).get_opt(&key.name).await? else {
            return Ok(None);
        };
        let (mut data, binary) = (found.data.unwrap_or_default(), found.binary_data.unwrap_or_default());
        let mut text = |entry: &str| ConfigText::of(data.remove(entry), binary.contains_key(entry));
        let named: BTreeSet<String> = index.entries_named(key).union(wanted).cloned().collect();
        let entries: BTreeMap<_, _> = named.into_iter().map(|entry| (entry.clone(), text(&entry))).collect();
        let answer = entries.iter().filter(|(entry, _)| wanted.contains(*entry)).map(|(entry, text)| (entry.clone(), text.clone())).collect();
        let mut read = self.read.lock();
        // Who named it may have gone meanwhile, and then it has been forgotten already.
        if index.needs_config_map(key) {
            read.insert(key.clone(), Read { version: found.metadata.resource_version, entries });
        }
        Ok(Some(answer))
    }

    /// Forgets those of these ConfigMaps that nobody names any more, such as the generations of one whose name has a hash.
    pub fn forget_unnamed(&self, index: &Index, were_named: Vec<ObjectKey>) {
        for key in were_named {
            if !index.needs_config_map(&key) {
                self.read.lock().remove(&key);
            }
        }
    }

    /// The wanted entries, where they were read at this version.
    fn known(&self, key: &ObjectKey, version: Option<&str>, wanted: &BTreeSet<String>) -> Option<BTreeMap<String, ConfigText>> {
        let read = self.read.lock();
        let read = read.get(key).filter(|read| read.version.as_deref() == version)?;
        wanted.iter().map(|entry| Some((entry.clone(), read.entries.get(entry)?.clone()))).collect()
    }
}
