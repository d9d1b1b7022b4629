//! Reading an object that the API server has as its type, whatever is in it.
//!
//! What the schema lets in, the types decode. Another version of the schema may let in more, and such an object must stop nobody, least of all its own
//! deletion. So whatever of it can be read is read, field by field, and the object says of itself that the rest could not be.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::value::{RawValue, to_raw_value};

use super::GROUP;
use super::common::{Managed, UNREAD};

/// Most characters that are told of why an object cannot be read.
const ERROR_LENGTH: usize = 512;

/// The entries of a JSON object, each as its text: decoding all of it into a tree would take many times its bytes.
type Fields = BTreeMap<String, Box<RawValue>>;

/// An object of the API server's, as far as it can be read.
#[derive(Clone, Debug)]
pub struct Read<K> {
    object: K,
    unread: Option<Box<Unread>>,
}

/// What could not be read of an object.
#[derive(Clone, Debug)]
struct Unread {
    error: String,
    /// Its spec. It is not kept beyond the moment in which it is looked at.
    spec: Fields,
}

impl<K: Managed> Read<K> {
    /// The object. What could not be read of it is taken from what was read of it `before`, if it was, and the object tells why.
    pub fn into_object(self, before: Option<&K>) -> K {
        let Self { object, unread } = self;
        match unread {
            None => lean(object, None),
            Some(unread) => {
                let Unread { error, spec } = *unread;
                lean(patched(object, spec, before), Some(error))
            }
        }
    }

    /// The object as far as it can be read by itself.
    pub fn object(&self) -> &K {
        &self.object
    }
}

impl<'de, K: Managed> Deserialize<'de> for Read<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        serde_json::from_str(text.get())
            .map_or_else(|error| partly(&text, &error).map_err(D::Error::custom), |object| Ok(Self { object, unread: None }))
    }
}

impl<K: Managed> Resource for Read<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind((): &()) -> std::borrow::Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> std::borrow::Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> std::borrow::Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> std::borrow::Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        self.object.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.object.meta_mut()
    }
}

/// The parts of an object that are read one by one where it cannot be read as a whole.
#[derive(Deserialize)]
struct Parts {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Option<Box<RawValue>>,
    #[serde(default)]
    status: Option<Box<RawValue>>,
}

/// Metadata and status of an object that cannot be read as a whole. Its spec is the least that its kind can say, until more is read of it.
fn partly<K: Managed>(text: &RawValue, error: &serde_json::Error) -> serde_json::Result<Read<K>> {
    let Parts { metadata, spec, status } = serde_json::from_str(text.get())?;
    let object = from_parts(&metadata, K::LEAST_SPEC, status.as_deref()).or_else(|_| from_parts(&metadata, K::LEAST_SPEC, None))?;
    // A value that is no good may stand in the text, and be as long as it likes.
    let error: String = error.to_string().chars().take(ERROR_LENGTH).collect();
    let spec = spec.and_then(|spec| serde_json::from_str(spec.get()).ok()).unwrap_or_default();
    Ok(Read { object, unread: Some(Box::new(Unread { error, spec })) })
}

fn from_parts<K: DeserializeOwned>(metadata: &ObjectMeta, spec: &str, status: Option<&RawValue>) -> serde_json::Result<K> {
    let status = status.map(|status| format!(r#","status":{}"#, status.get())).unwrap_or_default();
    serde_json::from_str(&format!(r#"{{"metadata":{},"spec":{spec}{status}}}"#, serde_json::to_string(metadata)?))
}

/// The object with each field of its spec that can be read; of the others what they were `before`, or else what an absent field means.
fn patched<K: Managed>(object: K, spec: Fields, before: Option<&K>) -> K {
    let known = before.and_then(|before| serde_json::to_value(before).ok()).map(|before| before["spec"].clone()).unwrap_or_default();
    let mut fields: Fields = serde_json::from_str(K::LEAST_SPEC).unwrap_or_default();
    let mut best = object;
    for (name, text) in spec {
        let earlier = || known.get(&name).and_then(|value| to_raw_value(value).ok());
        let candidates = [Some(text.clone()), K::readable_part(&name, &text), earlier()];
        for candidate in candidates.into_iter().flatten() {
            let previous = fields.insert(name.clone(), candidate);
            if let Some(object) = with_spec(&best, &fields) {
                best = object;
                break;
            }
            match previous {
                Some(previous) => fields.insert(name.clone(), previous),
                None => fields.remove(&name),
            };
        }
    }
    best
}

fn with_spec<K: Managed>(object: &K, spec: &Fields) -> Option<K> {
    let status = object.status().and_then(|status| to_raw_value(status).ok());
    from_parts(object.meta(), &serde_json::to_string(spec).ok()?, status.as_deref()).ok()
}

/// Without what nobody here reads, and what others may make as large as they like: who manages which field, and the annotations of other tools.
///
/// `unread` is why not all of it could be read.
fn lean<K: Managed>(mut object: K, unread: Option<String>) -> K {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    let is_ours = |name: &str| name != UNREAD && name.split_once('/').is_some_and(|(group, _)| group == GROUP);
    let kept = meta.annotations.take().into_iter().flatten().filter(|(name, _)| is_ours(name));
    let annotations: BTreeMap<String, String> = kept.chain(unread.map(|why| (UNREAD.to_owned(), why))).collect();
    meta.annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
    object
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{AWSAccount, BastionUser, CrossAccountRole};

    fn read<K: Managed>(object: Value) -> Read<K> {
        serde_json::from_str(&object.to_string()).unwrap()
    }

    fn role(spec: Value) -> Value {
        json!({
            "apiVersion": "rolebridge.io/v1alpha1", "kind": "CrossAccountRole",
            "metadata": {"name": "reader", "namespace": "data", "uid": "u", "finalizers": ["rolebridge.io/finalizer"], "managedFields": [{"manager": "m"}],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "rolebridge.io/abandon": "true", "rolebridge.io/unread": "x"}},
            "spec": spec,
            "status": {"observedGeneration": 3, "roleARN": "arn:aws:iam::222222222222:role/reader", "roleID": "AROAEXAMPLE"},
        })
    }

    #[test]
    fn a_readable_object_is_read_without_what_nobody_needs() {
        let object = read::<CrossAccountRole>(role(json!({"accountRef": {"name": "prod"}, "trust": []}))).into_object(None);
        assert_eq!(object.unread(), None);
        assert_eq!(object.metadata.managed_fields, None);
        assert_eq!(object.metadata.annotations.unwrap().into_keys().collect::<Vec<_>>(), ["rolebridge.io/abandon"]);
    }

    #[test]
    fn of_an_unreadable_object_everything_is_read_that_can_be() {
        let spec = json!({
            "accountRef": {"name": "prod"}, "roleName": "Reader", "path": "/data/", "tags": {"team": 5}, "maxSessionDuration": [],
            "trust": [
                {"from": [{"user": {"name": "alice"}}], "require": {"mfa": 7}},
                {"from": [{"user": {"name": "bob"}}]},
            ],
        });
        let object = read::<CrossAccountRole>(role(spec)).into_object(None);
        assert!(object.unread().is_some_and(|why| why.contains("invalid type")), "{:?}", object.unread());
        assert_eq!((object.spec.role_name.as_deref(), object.spec.path.as_deref()), (Some("Reader"), Some("/data/")));
        assert_eq!((object.metadata.uid.as_deref(), object.is_finalized()), (Some("u"), true));
        assert_eq!(object.status.unwrap().role_id.as_deref(), Some("AROAEXAMPLE"));
        let sources: Vec<_> = object.spec.trust.iter().flat_map(|entry| &entry.from).map(|s| s.user().unwrap().name.as_str()).collect();
        assert_eq!(sources, ["alice", "bob"]);
        // What is required of alice is not known, and that must not read as nothing.
        assert!(
            object.spec.trust[0].require.as_ref().is_some_and(|require| require
                .conditions
                .values()
                .flat_map(|k| k.values())
                .all(|v| v.all().is_empty()))
        );
        assert_eq!(object.spec.trust[1].require, None);
    }

    #[test]
    fn what_cannot_be_read_stays_as_it_was_read_before() {
        let before = read::<BastionUser>(json!({
            "metadata": {"name": "alice", "namespace": "data"},
            "spec": {"accountRef": {"name": "utils"}, "tags": {"team": "data"}, "groups": ["readers"], "allowRolesFrom": {"from": "All"}},
        }));
        let now = json!({
            "metadata": {"name": "alice", "namespace": "data"},
            "spec": {"accountRef": {"name": "utils"}, "tags": {"team": {}}, "allowRolesFrom": {"from": "Somewhere"}},
            "status": {"userID": 5},
        });
        let object = read::<BastionUser>(now).into_object(Some(&before.into_object(None)));
        assert!(object.unread().is_some());
        assert_eq!(object.spec.tags.get("team").map(String::as_str), Some("data"));
        assert_eq!(object.spec.allow_roles_from.as_ref().map(|rule| rule.from), Some(crate::common::RolesFrom::All));
        assert_eq!(object.spec.groups, None, "what was taken out is gone");
        assert_eq!(object.status, None, "a status that cannot be read says nothing");
    }

    #[test]
    fn an_object_of_which_nothing_can_be_read_is_there_all_the_same() {
        for spec in [json!(5), json!({}), json!({"accountRef": 5}), Value::Null] {
            let bare = json!({"metadata": {"name": "x", "namespace": "n"}, "spec": spec});
            assert!(read::<CrossAccountRole>(bare.clone()).into_object(None).unread().is_some());
            assert!(read::<BastionUser>(bare.clone()).into_object(None).unread().is_some());
            let account = read::<AWSAccount>(bare).into_object(None);
            assert!(account.unread().is_some() && account.spec.allowed_namespaces.names.is_empty());
        }
    }

    #[test]
    fn lists_and_watch_events_are_read_object_by_object() {
        let (good, bad) = (role(json!({"accountRef": {"name": "prod"}, "trust": []})), role(json!({"trust": 1})));
        let list = json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": [good, bad]}).to_string();
        let list: kube::core::ObjectList<Read<CrossAccountRole>> = serde_json::from_str(&list).unwrap();
        let unread: Vec<bool> = list.items.into_iter().map(|read| read.into_object(None).unread().is_some()).collect();
        assert_eq!(unread, [false, true]);
        let event: kube::core::WatchEvent<Read<CrossAccountRole>> = serde_json::from_str(&format!(r#"{{"type":"ADDED","object":{bad}}}"#)).unwrap();
        assert!(matches!(event, kube::core::WatchEvent::Added(read) if read.clone().into_object(None).unread().is_some()));
    }
}
