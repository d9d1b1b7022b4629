//! The kinds that there are.

use rolebridge::api::{GROUP, crds};
use serde_json::{Map, Value, json};

use super::schema::{Identity, Schema};

/// The label of a namespace by its name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// A kind of objects.
#[derive(Clone, Debug)]
pub struct Kind {
    /// The API group; empty for the core.
    pub group: String,
    /// Group and version, as objects name them.
    pub api_version: String,
    /// The name of the kind.
    pub kind: String,
    /// The name of the resource.
    pub plural: String,
    /// Whether its objects are in namespaces.
    pub is_namespaced: bool,
    /// Whether it comes from a CustomResourceDefinition. Those have a generation; the kinds that are built in here have none.
    pub is_custom: bool,
    /// Whether the status is written by a subresource.
    pub has_status: bool,
    /// The shape of whole objects.
    pub schema: Schema,
}

impl Kind {
    /// All kinds: those of the project from their CustomResourceDefinitions, and those that are built in. A definition that cannot be read is left
    /// out, which no build whose tests passed has.
    pub fn all() -> Vec<Self> {
        let strings = || Schema::map(Schema::scalar());
        let config_map = [("data", strings()), ("binaryData", strings()), ("immutable", Schema::scalar())];
        let secret = [("data", strings()), ("type", Schema::scalar()), ("immutable", Schema::scalar())];
        let namespace = [
            ("spec", Schema::object([("finalizers", Schema::list(Identity::None))])),
            ("status", Schema::object([("phase", Schema::scalar()), ("conditions", Schema::atomic())])),
        ];
        let event = [
            ("eventTime", Schema::scalar()),
            ("series", Schema::atomic()),
            ("reportingController", Schema::scalar()),
            ("reportingInstance", Schema::scalar()),
            ("action", Schema::scalar()),
            ("reason", Schema::scalar()),
            ("regarding", Schema::atomic()),
            ("related", Schema::atomic()),
            ("note", Schema::scalar()),
            ("type", Schema::scalar()),
        ];
        let built_in = [
            Self::built_in("", "v1", "Namespace", "namespaces", namespace),
            Self::built_in("", "v1", "ConfigMap", "configmaps", config_map),
            Self::built_in("", "v1", "Secret", "secrets", secret),
            Self::built_in("events.k8s.io", "events.k8s.io/v1", "Event", "events", event),
        ];
        let custom = crds().unwrap_or_default().into_iter().filter_map(|crd| Self::custom(&serde_json::to_value(crd).ok()?));
        built_in.into_iter().chain(custom).collect()
    }

    fn built_in<const N: usize>(group: &str, api_version: &str, kind: &str, plural: &str, fields: [(&str, Schema); N]) -> Self {
        Self {
            group: group.to_owned(),
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            is_namespaced: kind != "Namespace",
            is_custom: false,
            has_status: false,
            schema: Schema::root(fields.map(|(name, schema)| (name.to_owned(), schema))),
        }
    }

    fn custom(crd: &Value) -> Option<Self> {
        let (spec, version) = (&crd["spec"], &crd["spec"]["versions"][0]);
        let name = |value: &Value| value.as_str().map(str::to_owned);
        let fields = version["schema"]["openAPIV3Schema"]["properties"].as_object()?;
        let own = fields.iter().filter(|(name, _)| !["apiVersion", "kind", "metadata"].contains(&name.as_str()));
        Some(Self {
            group: GROUP.to_owned(),
            api_version: format!("{GROUP}/{}", version["name"].as_str()?),
            kind: name(&spec["names"]["kind"])?,
            plural: name(&spec["names"]["plural"])?,
            is_namespaced: spec["scope"] == "Namespaced",
            is_custom: true,
            has_status: version["subresources"]["status"].is_object(),
            schema: Schema::root(own.map(|(name, schema)| (name.clone(), Schema::from_open_api(schema)))),
        })
    }

    /// The resource with its group, as the API server writes it.
    pub fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The kind with its group, as the API server writes it.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// Whether the kind is that of namespaces.
    pub fn is_namespace(&self) -> bool {
        self.plural == "namespaces"
    }

    /// Makes of what somebody wrote what is stored: nothing that is unknown, nothing that is empty where that means the same as nothing, and all
    /// defaults.
    pub fn decode(&self, object: &mut Value) {
        self.schema.prune(object);
        self.schema.prune_nulls(object);
        self.schema.fill(object);
        let Some(map) = object.as_object_mut() else { return };
        if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
            drop_empty(metadata);
        }
        if !self.is_custom {
            drop_empty(map);
            self.fill_built_in(map);
        }
        map.insert("apiVersion".to_owned(), self.api_version.as_str().into());
        map.insert("kind".to_owned(), self.kind.as_str().into());
        if !map.get("metadata").is_some_and(Value::is_object) {
            map.insert("metadata".to_owned(), json!({}));
        }
    }

    fn fill_built_in(&self, map: &mut Map<String, Value>) {
        match self.plural.as_str() {
            "namespaces" => {
                for part in ["spec", "status"] {
                    if let Some(part) = map.entry(part).or_insert_with(|| json!({})).as_object_mut() {
                        drop_empty(part);
                    }
                }
                let name = map.get("metadata").and_then(|metadata| metadata["name"].as_str()).unwrap_or_default().to_owned();
                if let Some(Value::Object(metadata)) = map.get_mut("metadata").filter(|_| !name.is_empty()) {
                    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
                    labels[NAME_LABEL] = name.into();
                }
            }
            "events" => {
                // Always there, and nothing in them.
                map.insert("deprecatedSource".to_owned(), json!({}));
                map.insert("deprecatedFirstTimestamp".to_owned(), Value::Null);
                map.insert("deprecatedLastTimestamp".to_owned(), Value::Null);
            }
            "secrets" => {
                map.entry("type").or_insert_with(|| "Opaque".into());
            }
            _ => {}
        }
    }
}

/// Takes out what the types of the API server leave out when it is empty.
fn drop_empty(map: &mut Map<String, Value>) {
    map.retain(|_, value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    });
}
