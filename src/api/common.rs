//! What the kinds share: references, selectors of namespaces, conditions, and the trait that makes them look alike.

use kube::{KubeSchema, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt::Debug;

use super::conditions::condition_types;
use super::{Reason, schema};

/// The annotation by which an object that could not be read tells so to the rest of the program. It is in memory only: what comes from outside loses it.
pub(super) const UNREAD: &str = "rolebridge.io/unread";

/// Refers to an AWSAccount by name.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct AccountReference {
    /// Name of the AWSAccount.
    #[schemars(schema_with = "schema::resource_name")]
    pub name: String,
}

/// Refers to a BastionUser by name.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct UserReference {
    /// Name of the BastionUser.
    #[schemars(schema_with = "schema::resource_name")]
    pub name: String,
    /// Namespace of the BastionUser. Default: the namespace of the object that names it. A user in another namespace must allow it
    /// in its allowRolesFrom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::namespace")]
    pub namespace: Option<String>,
}

/// Refers to one entry of a ConfigMap in the same namespace.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct ConfigMapKeyReference {
    /// Name of the ConfigMap, in the namespace of the object that names it.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
    /// Key of the entry.
    #[schemars(schema_with = "schema::config_map_key")]
    pub key: String,
}

/// Selects objects by their labels; every requirement must hold. An empty selector is refused: it would select everything.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = Rule::new("(has(self.matchLabels) && self.matchLabels.size() > 0) || (has(self.matchExpressions) && self.matchExpressions.size() > 0)")
    .message("an empty selector would select everything; name a label, or write from: All if that is meant"))]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must have exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::match_labels")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements on labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub match_expressions: Vec<LabelRequirement>,
}

/// A requirement on one label.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = Rule::new("(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)")
    .message("In and NotIn take values; Exists and DoesNotExist take none"))]
pub struct LabelRequirement {
    /// Key of the label.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// How the label is compared.
    pub operator: LabelOperator,
    /// Values for In and NotIn.
    #[serde(default)]
    #[schemars(schema_with = "schema::label_values")]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelOperator {
    /// The label has one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label is present.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

/// Which namespaces may name a user or role as a source of a role.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("has(self.names) == (self.from == 'Names') && has(self.selector) == (self.from == 'Selector')")
    .message("names goes with from: Names, selector with from: Selector, and from: Same or All takes neither"))]
pub struct AllowRolesFrom {
    /// Its own namespace, all namespaces, those named in names, or those whose labels match selector. Its own namespace
    /// is always allowed.
    pub from: RolesFrom,
    /// The namespaces, for from: Names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::namespaces")]
    pub names: Vec<String>,
    /// Labels of the namespaces, for from: Selector. An empty selector is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// How the namespaces whose roles may name a user or role are told.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolesFrom {
    /// Its own namespace.
    Same,
    /// Every namespace.
    All,
    /// The namespaces named.
    Names,
    /// The namespaces whose labels match.
    Selector,
}

/// One condition of a status, as Kubernetes writes them.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the condition speaks of.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 64))]
    pub type_: String,
    /// True, False or Unknown.
    #[schemars(length(max = 7), regex(pattern = "^(True|False|Unknown)$"))]
    pub status: String,
    /// The generation of the spec that the condition speaks of.
    #[serde(default)]
    pub observed_generation: i64,
    /// When the status last changed, RFC 3339.
    #[schemars(length(max = 64))]
    pub last_transition_time: String,
    /// Why, in one word; the documentation lists every reason with its fix.
    #[schemars(length(min = 1, max = 128))]
    pub reason: String,
    /// Why, in a sentence that names the field, the value and what to do.
    #[schemars(length(max = 4096))]
    pub message: String,
}

/// What every kind has, so that one reconcile serves all of them.
pub trait Managed:
    Resource<DynamicType = (), Scope: kube::core::ResourceScope> + Clone + Debug + DeserializeOwned + Serialize + Send + Sync + 'static
{
    /// The status of the kind.
    type Status: Serialize + DeserializeOwned + Clone + Debug + PartialEq + Default + Send + Sync;

    /// The name of the kind, as in manifests.
    const KIND: &'static str;

    /// A spec that asks for nothing, as JSON: what stands for one of which nothing can be read.
    const LEAST_SPEC: &'static str;

    /// Why not all of the object could be read, if so. What it declares is not carried out then.
    fn unread(&self) -> Option<&str> {
        self.meta().annotations.as_ref()?.get(UNREAD).map(String::as_str)
    }

    /// The part of a field of the spec that can be read where the whole cannot, if there is any that is safe to go by.
    fn readable_part(_field: &str, _text: &RawValue) -> Option<Box<RawValue>> {
        None
    }

    /// Name of the AWSAccount that it is placed in, or is.
    fn account_name(&self) -> &str;

    /// The status that the API server last had.
    fn status(&self) -> Option<&Self::Status>;

    /// Whether the object carries our finalizer. Without it, nothing in AWS is its own.
    fn is_finalized(&self) -> bool {
        self.meta().finalizers.iter().flatten().any(|finalizer| finalizer == super::FINALIZER)
    }

    /// The conditions of a status.
    fn conditions(status: &Self::Status) -> &[Condition];

    /// What it says in its summary, if it has said anything.
    fn ready(&self) -> Option<&Condition> {
        Self::conditions(self.status()?).iter().find(|condition| condition.type_ == condition_types::READY)
    }

    /// Whether it gives one of these reasons in its summary.
    fn says(&self, reasons: &[Reason]) -> bool {
        self.ready().is_some_and(|ready| reasons.iter().any(|reason| reason.as_str() == ready.reason))
    }

    /// The unique ID of the user or role that was deleted in AWS, while another one is made in its place.
    fn deleted_id(_: &Self::Status) -> Option<&str> {
        None
    }
}
