//! Sets of fields, as the API server keeps them of each field manager (structured-merge-diff, `fieldpath.Set`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::schema::{Schema, Shape};

/// One step from a value into it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A field of an object.
    Field(Arc<str>),
    /// An item of a list, by its keys or its value, as JSON.
    Item(Arc<str>),
}

/// A set of fields. That a field is in the set says nothing of the fields in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(BTreeMap<Step, Node>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    is_member: bool,
    below: FieldSet,
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.is_member && self.below.is_empty()
    }
}

impl FieldSet {
    /// The set of fields directly below the root with these names.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self::default();
        names.into_iter().for_each(|name| set.insert(&[Step::Field(name.into())]));
        set
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        // Whatever is taken out of a set takes empty branches with it.
        self.0.is_empty()
    }

    /// Adds a field. The root is no field.
    pub fn insert(&mut self, path: &[Step]) {
        let Some((step, rest)) = path.split_first() else { return };
        let node = self.0.entry(step.clone()).or_default();
        if rest.is_empty() {
            node.is_member = true;
        } else {
            node.below.insert(rest);
        }
    }

    /// Whether the field directly below the root is in it.
    pub fn has(&self, step: &Step) -> bool {
        self.0.get(step).is_some_and(|node| node.is_member)
    }

    /// What is in it below a field, where anything is.
    pub fn below(&self, step: &Step) -> Option<&Self> {
        self.0.get(step).map(|node| &node.below).filter(|below| !below.is_empty())
    }

    /// Adds what is in `other`.
    pub fn unite(&mut self, other: &Self) {
        for (step, node) in &other.0 {
            let own = self.0.entry(step.clone()).or_default();
            own.is_member |= node.is_member;
            own.below.unite(&node.below);
        }
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combined(other, &|own, other| own && other, false)
    }

    /// What is in it and not in `other`. A field goes without those below it.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        self.combined(other, &|own, other| own && !other, true)
    }

    fn combined(&self, other: &Self, stays: &impl Fn(bool, bool) -> bool, keeps_what_only_it_has: bool) -> Self {
        let mut result = Self::default();
        for (step, node) in &self.0 {
            let node = match other.0.get(step) {
                Some(other) => Node {
                    is_member: stays(node.is_member, other.is_member),
                    below: node.below.combined(&other.below, stays, keeps_what_only_it_has),
                },
                None if keeps_what_only_it_has => node.clone(),
                None => continue,
            };
            if !node.is_empty() {
                result.0.insert(step.clone(), node);
            }
        }
        result
    }

    /// What is in it and neither in `other` nor below a field of `other`.
    #[must_use]
    pub fn without_all_of(&self, other: &Self) -> Self {
        let mut result = Self::default();
        for (step, node) in &self.0 {
            let node = match other.0.get(step) {
                Some(other) if other.is_member => continue,
                Some(other) => Node { is_member: node.is_member, below: node.below.without_all_of(&other.below) },
                None => node.clone(),
            };
            if !node.is_empty() {
                result.0.insert(step.clone(), node);
            }
        }
        result
    }

    /// The set with every field that the schema names and below which something is in the set: objects with named fields are not in a set by
    /// themselves.
    #[must_use]
    pub fn with_named_fields(&self, schema: &Schema) -> Self {
        let nodes = self.0.iter().map(|(step, node)| {
            let named = match (step, &schema.shape) {
                (Step::Field(name), Shape::Object(object)) => object.fields.contains_key(&**name),
                _ => false,
            };
            let below = node.below.with_named_fields(schema.at(step));
            (step.clone(), Node { is_member: node.is_member || (named && !below.is_empty()), below })
        });
        Self(nodes.collect())
    }
}
