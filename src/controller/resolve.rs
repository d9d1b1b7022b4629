//! Reading what resources refer to that no watch carries: the texts in ConfigMaps.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client};

use super::caches::{Caches, lock};
use crate::api::permissions::Permissions;
use crate::core::permissions::{ConfigTexts, config_references};
use crate::core::world::ObjectKey;

/// The texts of one ConfigMap by key, and the resource version that they were read at.
type Read = (Option<String>, BTreeMap<String, String>);

/// Texts of ConfigMaps, each with the resource version that it was read at. Watches carry the metadata only; a body is read when it is
/// needed and has changed.
pub struct ConfigMaps {
    client: Client,
    read: Mutex<HashMap<ObjectKey, Read>>,
}

impl ConfigMaps {
    /// Nothing read yet.
    pub fn new(client: Client) -> Self {
        Self { client, read: Mutex::default() }
    }

    /// The texts that permissions take from ConfigMaps of the resource's namespace.
    ///
    /// # Errors
    /// Where the API server cannot be asked. A ConfigMap that does not exist is no error but a None.
    pub async fn texts(&self, caches: &Caches, namespace: Option<&str>, permissions: Option<&Permissions>) -> Result<ConfigTexts, kube::Error> {
        let mut texts = ConfigTexts::new();
        for (name, key) in config_references(permissions) {
            let data = self.data(caches, &ObjectKey::new(namespace.unwrap_or_default(), &name)).await?;
            texts.insert((name, key.clone()), data.and_then(|mut data| data.remove(&key)));
        }
        Ok(texts)
    }

    async fn data(&self, caches: &Caches, key: &ObjectKey) -> Result<Option<BTreeMap<String, String>>, kube::Error> {
        let Some(seen) = caches.config_maps.get(&ObjectRef::new(&key.name).within(&key.namespace)) else {
            lock(&self.read).remove(key);
            return Ok(None);
        };
        let version = seen.metadata.resource_version.clone();
        if let Some((at, data)) = lock(&self.read).get(key)
            && *at == version
        {
            return Ok(Some(data.clone()));
        }
        let Some(found) = Api::<ConfigMap>::namespaced(self.client.clone(), &key.namespace).get_opt(&key.name).await? else { return Ok(None) };
        let data = found.data.unwrap_or_default();
        let mut read = lock(&self.read);
        // What nobody names any more is let go, such as the generations of a ConfigMap whose name has a hash.
        read.retain(|key, _| caches.needs_config_map(key));
        read.insert(key.clone(), (found.metadata.resource_version, data.clone()));
        Ok(Some(data))
    }
}
