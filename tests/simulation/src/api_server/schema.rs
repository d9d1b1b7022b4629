//! What the API server knows of the shape of objects: which fields there are, which lists are merged item by item, and what is put in for a
//! field that is left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::step::Step;

/// The shape of a value, and its default.
#[derive(Clone, Debug)]
pub struct Schema {
    /// What the value consists of.
    pub shape: Shape,
    /// What is put in where the value is left out.
    pub default: Option<Value>,
}

/// What a value consists of.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A text, number or truth value.
    Scalar,
    /// An object.
    Object(Object),
    /// A list.
    List(List),
    /// Anything. It is kept as it is, and merged as it looks.
    Any,
}

/// The shape of an object.
#[derive(Clone, Debug)]
pub struct Object {
    /// The fields that are named. The names are shared by the sets of fields that are kept of each object.
    pub fields: BTreeMap<Arc<str>, Schema>,
    /// The shape of all others; where it is None, others are dropped.
    pub others: Option<Box<Schema>>,
    /// Whether it has one owner, and is replaced as a whole.
    pub is_atomic: bool,
}

/// The shape of a list.
#[derive(Clone, Debug)]
pub struct List {
    /// The shape of its items.
    pub items: Box<Schema>,
    /// How its items are told apart.
    pub identity: Identity,
}

/// How the items of a list are told apart.
#[derive(Clone, Debug)]
pub enum Identity {
    /// They are not: the list has one owner, and is replaced as a whole.
    None,
    /// By their value.
    Value,
    /// By the values of these fields.
    Keys(Vec<String>),
}

static ANY: Schema = Schema { shape: Shape::Any, default: None };

impl From<Shape> for Schema {
    fn from(shape: Shape) -> Self {
        Self { shape, default: None }
    }
}

impl Schema {
    /// A scalar.
    pub fn scalar() -> Self {
        Shape::Scalar.into()
    }

    /// An object with these fields and no others.
    pub fn object<const N: usize>(fields: [(&str, Self); N]) -> Self {
        let fields = fields.into_iter().map(|(name, schema)| (name.into(), schema)).collect();
        Shape::Object(Object { fields, others: None, is_atomic: false }).into()
    }

    /// An object with any fields, all of this shape.
    pub fn map(others: Self) -> Self {
        Shape::Object(Object { fields: BTreeMap::new(), others: Some(Box::new(others)), is_atomic: false }).into()
    }

    /// A list of scalars.
    pub fn list(identity: Identity) -> Self {
        Shape::List(List { items: Box::new(Self::scalar()), identity }).into()
    }

    /// A value of which nothing is known but that it has one owner.
    pub fn atomic() -> Self {
        Shape::Object(Object { fields: BTreeMap::new(), others: Some(Box::new(Shape::Any.into())), is_atomic: true }).into()
    }

    /// `ObjectMeta`.
    pub fn metadata() -> Self {
        let scalars = [
            "name",
            "generateName",
            "namespace",
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        ];
        let owner = Self::atomic();
        let owners = Shape::List(List { items: Box::new(owner), identity: Identity::Keys(vec!["uid".to_owned()]) });
        let mut metadata = Self::object([
            ("labels", Self::map(Self::scalar())),
            ("annotations", Self::map(Self::scalar())),
            ("finalizers", Self::list(Identity::Value)),
            ("ownerReferences", owners.into()),
        ]);
        if let Shape::Object(object) = &mut metadata.shape {
            object.fields.extend(scalars.map(|name| (name.into(), Self::scalar())));
        }
        metadata
    }

    /// The schema of whole objects of a kind, of which `fields` are its own.
    pub fn root(fields: impl IntoIterator<Item = (String, Self)>) -> Self {
        let mut root = Self::object([("apiVersion", Self::scalar()), ("kind", Self::scalar()), ("metadata", Self::metadata())]);
        if let Shape::Object(object) = &mut root.shape {
            object.fields.extend(fields.into_iter().map(|(name, schema)| (name.into(), schema)));
        }
        root
    }

    /// From the schema of a CustomResourceDefinition.
    pub fn from_open_api(schema: &Value) -> Self {
        let flag = |name: &str| schema[name].as_bool() == Some(true);
        let shape = if flag("x-kubernetes-preserve-unknown-fields") || flag("x-kubernetes-int-or-string") {
            Shape::Any
        } else {
            match schema["type"].as_str() {
                Some("object") => Shape::Object(Object::from_open_api(schema)),
                Some("array") => Shape::List(List::from_open_api(schema)),
                _ => Shape::Scalar,
            }
        };
        Self { shape, default: schema.get("default").cloned() }
    }

    /// The schema of what a step leads to.
    pub fn at(&self, step: &Step) -> &Self {
        match (&self.shape, step) {
            (_, Step::Field(name)) => self.at_field(name),
            (Shape::List(list), Step::Item(_)) => &list.items,
            _ => &ANY,
        }
    }

    /// The schema of a field.
    pub fn at_field(&self, name: &str) -> &Self {
        let known = if let Shape::Object(object) = &self.shape { object.field(name) } else { None };
        known.unwrap_or(&ANY)
    }

    /// Fields that the schema does not know.
    pub fn undeclared(&self, value: &Value) -> Vec<String> {
        match (&self.shape, value) {
            (Shape::Object(object), Value::Object(map)) => {
                let of = |(name, value): (&String, &Value)| match object.field(name) {
                    Some(schema) => schema.undeclared(value).into_iter().map(|path| format!(".{name}{path}")).collect(),
                    None => vec![format!(".{name}")],
                };
                map.iter().flat_map(of).collect()
            }
            (Shape::List(list), Value::Array(items)) => items
                .iter()
                .flat_map(|item| list.items.undeclared(item).into_iter().map(|path| format!("{}{path}", list.identity.step(item))))
                .collect(),
            _ => vec![],
        }
    }

    /// Takes out what the schema does not know.
    pub fn prune(&self, value: &mut Value) {
        match (&self.shape, value) {
            (Shape::Object(object), Value::Object(map)) => {
                map.retain(|name, _| object.field(name).is_some());
                for (name, value) in map.iter_mut() {
                    if let Some(schema) = object.field(name) {
                        schema.prune(value);
                    }
                }
            }
            (Shape::List(list), Value::Array(items)) => items.iter_mut().for_each(|item| list.items.prune(item)),
            _ => {}
        }
    }

    /// Takes out fields that are null and have no default.
    pub fn prune_nulls(&self, value: &mut Value) {
        match (&self.shape, value) {
            (Shape::Object(object), Value::Object(map)) => {
                map.retain(|name, value| !value.is_null() || object.field(name).is_none_or(|schema| schema.default.is_some()));
                for (name, value) in map.iter_mut() {
                    if let Some(schema) = object.field(name) {
                        schema.prune_nulls(value);
                    }
                }
            }
            (Shape::List(list), Value::Array(items)) => items.iter_mut().for_each(|item| list.items.prune_nulls(item)),
            _ => {}
        }
    }

    /// The objects and lists that are null, with the type that they should be of.
    pub fn nulls(&self, value: &Value, path: &str) -> Vec<(String, &'static str)> {
        match (&self.shape, value) {
            (Shape::Object(_), Value::Null) => vec![(path.to_owned(), "object")],
            (Shape::List(_), Value::Null) => vec![(path.to_owned(), "array")],
            (Shape::Object(object), Value::Object(map)) => {
                let of = |(name, value): (&String, &Value)| {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    object.field(name).map(|schema| schema.nulls(value, &path)).unwrap_or_default()
                };
                map.iter().flat_map(of).collect()
            }
            (Shape::List(list), Value::Array(items)) => {
                items.iter().enumerate().flat_map(|(number, item)| list.items.nulls(item, &format!("{path}[{number}]"))).collect()
            }
            _ => vec![],
        }
    }

    /// Puts in what was left out and has a default.
    pub fn fill(&self, value: &mut Value) {
        match (&self.shape, value) {
            (Shape::Object(object), Value::Object(map)) => object.fill(map),
            (Shape::List(list), Value::Array(items)) => items.iter_mut().for_each(|item| list.items.fill(item)),
            _ => {}
        }
    }
}

impl Object {
    fn from_open_api(schema: &Value) -> Self {
        let fields = schema["properties"].as_object().into_iter().flatten();
        let fields = fields.map(|(name, schema)| (name.as_str().into(), Schema::from_open_api(schema)));
        let others = schema.get("additionalProperties").filter(|others| others.is_object()).map(|others| Box::new(Schema::from_open_api(others)));
        Self { fields: fields.collect(), others, is_atomic: schema["x-kubernetes-map-type"] == "atomic" }
    }

    /// The schema of a field.
    pub fn field(&self, name: &str) -> Option<&Schema> {
        self.fields.get(name).or(self.others.as_deref())
    }

    fn fill(&self, map: &mut Map<String, Value>) {
        for (name, schema) in &self.fields {
            if let Some(default) = &schema.default
                && map.get(&**name).is_none_or(Value::is_null)
            {
                map.insert(name.to_string(), default.clone());
            }
        }
        for (name, value) in map.iter_mut() {
            if let Some(schema) = self.field(name) {
                schema.fill(value);
            }
        }
    }
}

impl Identity {
    /// What tells an item apart, as a step to it.
    pub fn step(&self, item: &Value) -> Step {
        let text = match self {
            Self::Keys(keys) => keys.iter().map(|key| (key.clone(), item[key.as_str()].clone())).collect::<Map<_, _>>().into(),
            Self::Value | Self::None => item.clone(),
        };
        Step::Item(text.to_string().into())
    }
}

impl List {
    fn from_open_api(schema: &Value) -> Self {
        let keys = || schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        let identity = match schema["x-kubernetes-list-type"].as_str() {
            Some("set") => Identity::Value,
            Some("map") => Identity::Keys(keys()),
            _ => Identity::None,
        };
        Self { items: Box::new(Schema::from_open_api(&schema["items"])), identity }
    }
}
