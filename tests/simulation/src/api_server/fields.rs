//! Sets of fields, as the API server keeps them of each field manager (structured-merge-diff, `fieldpath.Set`).

use std::cmp::Ordering;
use std::sync::Arc;

use super::schema::{Schema, Shape};
use super::step::Step;

/// A set of fields. That a field is in the set says nothing of the fields in it.
///
/// It is a tree in the order of the steps, without empty branches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(Vec<(Step, Node)>);

/// What a set has of one field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Whether the field itself is in the set.
    pub is_member: bool,
    /// What is in the set below it.
    pub below: FieldSet,
}

impl Node {
    /// The field, and nothing below it.
    pub fn leaf() -> Self {
        Self { is_member: true, below: FieldSet::default() }
    }

    fn is_empty(&self) -> bool {
        !self.is_member && self.below.is_empty()
    }
}

impl FieldSet {
    /// The set of fields directly below the root with these names.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self::default();
        names.into_iter().for_each(|name| set.put(Step::Field(name.into()), Node::leaf()));
        set
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts in what there is of a field of which nothing was there.
    pub fn put(&mut self, step: Step, node: Node) {
        if node.is_empty() {
            return;
        }
        // Most come in order.
        if self.0.last().is_none_or(|(last, _)| *last < step) {
            self.0.push((step, node));
        } else if let Err(place) = self.0.binary_search_by(|(own, _)| own.cmp(&step)) {
            self.0.insert(place, (step, node));
        }
    }

    /// What it has of a field, where it has anything of it.
    pub fn get(&self, step: &Step) -> Option<&Node> {
        self.0.binary_search_by(|(own, _)| own.cmp(step)).ok().map(|place| &self.0[place].1)
    }

    /// The names of the fields directly below the root of which it has anything.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().filter_map(|(step, _)| if let Step::Field(name) = step { Some(name) } else { None })
    }

    /// The fields in it, as the API server writes them: those of a level before those below them.
    pub fn paths(&self) -> Vec<String> {
        let members = self.0.iter().filter(|(_, node)| node.is_member).map(|(step, _)| step.to_string());
        let below = self.0.iter().flat_map(|(step, node)| node.below.paths().into_iter().map(move |path| format!("{step}{path}")));
        members.chain(below).collect()
    }

    /// What one or both have, field by field.
    fn zip(&self, other: &Self, mut join: impl FnMut(Option<&Node>, Option<&Node>) -> Node) -> Self {
        let (mut own, mut others) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut result = Self::default();
        loop {
            let order = match (own.peek(), others.peek()) {
                (Some((one, _)), Some((other, _))) => one.cmp(other),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return result,
            };
            let one = if order == Ordering::Greater { None } else { own.next() };
            let other = if order == Ordering::Less { None } else { others.next() };
            if let Some((step, _)) = one.or(other) {
                result.put(step.clone(), join(one.map(|(_, node)| node), other.map(|(_, node)| node)));
            }
        }
    }

    /// What is in one or the other.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        self.zip(other, |own, other| match (own, other) {
            (Some(own), Some(other)) => Node { is_member: own.is_member || other.is_member, below: own.below.union(&other.below) },
            (own, other) => own.or(other).cloned().unwrap_or_default(),
        })
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.zip(other, |own, other| match (own, other) {
            (Some(own), Some(other)) => Node { is_member: own.is_member && other.is_member, below: own.below.intersection(&other.below) },
            _ => Node::default(),
        })
    }

    /// What is in it and not in `other`. A field goes without those below it.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        self.zip(other, |own, other| match (own, other) {
            (Some(own), Some(other)) => Node { is_member: own.is_member && !other.is_member, below: own.below.without(&other.below) },
            (own, _) => own.cloned().unwrap_or_default(),
        })
    }

    /// What is in it and neither in `other` nor below a field of `other`.
    #[must_use]
    pub fn without_all_of(&self, other: &Self) -> Self {
        self.zip(other, |own, other| match (own, other) {
            (Some(_), Some(other)) if other.is_member => Node::default(),
            (Some(own), Some(other)) => Node { is_member: own.is_member, below: own.below.without_all_of(&other.below) },
            (own, _) => own.cloned().unwrap_or_default(),
        })
    }

    /// The set with every field that the schema names and below which something is in the set: objects with named fields are not in a set by
    /// themselves.
    #[must_use]
    pub fn with_named_fields(&self, schema: &Schema) -> Self {
        let nodes = self.0.iter().map(|(step, node)| {
            let named = match (step, &schema.shape) {
                (Step::Field(name), Shape::Object(object)) => object.fields.contains_key(name),
                _ => false,
            };
            let below = node.below.with_named_fields(schema.at(step));
            (step.clone(), Node { is_member: node.is_member || (named && !below.is_empty()), below })
        });
        Self(nodes.collect())
    }
}
