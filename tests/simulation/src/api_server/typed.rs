//! Comparing, merging and pruning values by their schema, as server-side apply does (structured-merge-diff, `typed`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::fields::{FieldSet, Node};
use super::schema::{Identity, Object, Schema, Shape};
use super::step::Step;

/// What is different between two values.
#[derive(Debug, Default)]
pub struct Comparison {
    /// What only the first has.
    pub removed: FieldSet,
    /// What the second has, or has otherwise than the first.
    pub changed: FieldSet,
}

/// How a value is merged, which depends on what it is where the schema leaves that open.
enum Form<'s> {
    /// As a whole.
    Leaf,
    /// Field by field.
    Fields(&'s Object),
    /// Field by field, with nothing known of the fields.
    AnyFields,
    /// Item by item.
    Items(&'s Schema, &'s Identity),
}

impl Schema {
    fn form(&self, value: Option<&Value>) -> Form<'_> {
        match &self.shape {
            Shape::Object(object) if !object.is_atomic => Form::Fields(object),
            Shape::List(list) if !matches!(list.identity, Identity::None) => Form::Items(&list.items, &list.identity),
            Shape::Any if value.is_some_and(Value::is_object) => Form::AnyFields,
            Shape::Object(_) | Shape::List(_) | Shape::Scalar | Shape::Any => Form::Leaf,
        }
    }
}

impl Form<'_> {
    fn names(&self, field: &str) -> bool {
        matches!(self, Form::Fields(object) if object.fields.contains_key(field))
    }

    /// The step to a field. Names that the schema has are shared.
    fn step(&self, field: &str) -> Step {
        let named = if let Form::Fields(object) = self { object.fields.get_key_value(field) } else { None };
        Step::Field(named.map_or_else(|| field.into(), |(name, _)| name.clone()))
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Every field that a value has.
pub fn field_set(value: &Value, schema: &Schema) -> FieldSet {
    collected(value, schema).below
}

fn collected(value: &Value, schema: &Schema) -> Node {
    let mut set = FieldSet::default();
    let form = schema.form(Some(value));
    match form {
        Form::Leaf => return Node::leaf(),
        Form::Fields(_) | Form::AnyFields => {
            for (name, value) in entries(value) {
                let mut node = collected(value, schema.at_field(name));
                node.is_member |= value.is_null() || value.as_object().is_some_and(Map::is_empty) || !form.names(name);
                set.put(form.step(name), node);
            }
        }
        Form::Items(schema, by) => {
            for item in items(value) {
                set.put(by.step(item), Node { is_member: true, ..collected(item, schema) });
            }
        }
    }
    Node { is_member: false, below: set }
}

/// A value that is there and was not, or the other way round: it and all that is in it.
fn whole(value: &Value, schema: &Schema) -> Node {
    let mut set = FieldSet::default();
    let form = schema.form(Some(value));
    match form {
        Form::Leaf => {}
        Form::Fields(_) | Form::AnyFields => {
            entries(value).for_each(|(name, value)| set.put(form.step(name), whole(value, schema.at_field(name))));
        }
        Form::Items(schema, by) => items(value).iter().for_each(|item| set.put(by.step(item), whole(item, schema))),
    }
    Node { is_member: true, below: set }
}

/// What is different between two values of one schema.
pub fn compare(before: &Value, after: &Value, schema: &Schema) -> Comparison {
    let (removed, changed) = differing(before, after, schema);
    Comparison { removed: removed.below, changed: changed.below }
}

/// What is removed, and what is changed.
fn differing(before: &Value, after: &Value, schema: &Schema) -> (Node, Node) {
    if before == after {
        return Default::default();
    }
    let form = schema.form(Some(after));
    if matches!(form, Form::Leaf) || (is_empty(before) && is_empty(after)) {
        return (Node::default(), Node::leaf());
    }
    let (mut removed, mut changed) = (FieldSet::default(), FieldSet::default());
    let mut note = |step: &mut dyn FnMut() -> Step, was: Option<&Value>, is: Option<&Value>, schema: &Schema| {
        let (gone, new) = match (was, is) {
            (Some(was), Some(is)) if was == is => return,
            (Some(was), Some(is)) => differing(was, is, schema),
            (Some(was), None) => (whole(was, schema), Node::default()),
            (None, Some(is)) => (Node::default(), whole(is, schema)),
            (None, None) => return,
        };
        removed.put(step(), gone);
        changed.put(step(), new);
    };
    if let Form::Items(schema, by) = form {
        for (step, (was, is)) in paired(items(before), items(after), by) {
            note(&mut || step.clone(), was, is, schema);
        }
    } else {
        for (name, was) in entries(before) {
            note(&mut || form.step(name), Some(was), after.get(name), schema.at_field(name));
        }
        for (name, is) in entries(after).filter(|(name, _)| before.get(name).is_none()) {
            note(&mut || form.step(name), None, Some(is), schema.at_field(name));
        }
    }
    (Node { is_member: false, below: removed }, Node { is_member: false, below: changed })
}

/// The items of two lists, by what tells them apart.
fn paired<'v>(before: &'v [Value], after: &'v [Value], by: &Identity) -> BTreeMap<Step, (Option<&'v Value>, Option<&'v Value>)> {
    let mut pairs: BTreeMap<Step, (Option<&Value>, Option<&Value>)> = BTreeMap::new();
    before.iter().for_each(|item| pairs.entry(by.step(item)).or_default().0 = Some(item));
    after.iter().for_each(|item| pairs.entry(by.step(item)).or_default().1 = Some(item));
    pairs
}

/// A value with what another one of the same schema says.
pub fn merge(into: &Value, from: &Value, schema: &Schema) -> Value {
    if is_empty(into) || (is_empty(from) && into == from) {
        return from.clone();
    }
    match schema.form(Some(from)) {
        Form::Leaf => from.clone(),
        Form::Fields(_) | Form::AnyFields => {
            let mut merged = into.as_object().cloned().unwrap_or_default();
            for (name, value) in entries(from) {
                let value = into.get(name).map_or_else(|| value.clone(), |into| merge(into, value, schema.at_field(name)));
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        Form::Items(schema, by) => Value::Array(merged_items(items(into), items(from), by, schema)),
    }
}

/// Items that both have come in the order of `from`; those that only `into` has stay before those that they came before.
fn merged_items(into: &[Value], from: &[Value], by: &Identity, schema: &Schema) -> Vec<Value> {
    let steps = |items: &[Value]| items.iter().map(|item| by.step(item)).collect::<Vec<_>>();
    let (old_steps, new_steps) = (steps(into), steps(from));
    let old: BTreeMap<&Step, &Value> = old_steps.iter().zip(into).collect();
    let new: BTreeSet<&Step> = new_steps.iter().collect();
    let mut shared = new_steps.iter().filter(|step| old.contains_key(step));
    let mut next_shared = shared.next();
    let mut done: BTreeSet<&Step> = BTreeSet::new();
    let (mut out, mut o, mut n) = (vec![], 0, 0);
    while o < old_steps.len() || n < new_steps.len() {
        if let (Some(step), Some(new_step)) = (old_steps.get(o), new_steps.get(n)) {
            if step == new_step {
                done.insert(step);
                out.push(merge(&into[o], &from[n], schema));
                (o, n) = (o + 1, n + 1);
                next_shared = shared.next();
                continue;
            }
            if new.contains(step) && next_shared.is_some_and(|next| next != step) {
                // It is shared, and another one comes first.
                o += 1;
                continue;
            }
        }
        if let Some(step) = old_steps.get(o) {
            if !new.contains(step) {
                out.push(into[o].clone());
                o += 1;
                continue;
            }
            if done.contains(step) {
                o += 1;
            }
        }
        if let Some(step) = new_steps.get(n) {
            done.insert(step);
            out.push(old.get(step).map_or_else(|| from[n].clone(), |old| merge(old, &from[n], schema)));
            n += 1;
            if next_shared == Some(step) {
                next_shared = shared.next();
            }
        }
    }
    out
}

/// A value without these fields. What nothing is left of is null.
pub fn without(value: &Value, set: &FieldSet, schema: &Schema) -> Value {
    let form = schema.form(Some(value));
    match form {
        Form::Leaf if matches!(schema.shape, Shape::Scalar) => value.clone(),
        Form::Leaf => Value::Null,
        Form::Fields(_) | Form::AnyFields => {
            let left = entries(value).filter_map(|(name, value)| match set.get(&form.step(name)) {
                Some(node) if node.is_member => None,
                Some(node) => Some((name.clone(), without(value, &node.below, schema.at_field(name)))),
                None => Some((name.clone(), value.clone())),
            });
            some_or_null(Value::Object(left.collect()))
        }
        Form::Items(schema, by) => {
            let left = items(value).iter().filter_map(|item| match set.get(&by.step(item)) {
                Some(node) if node.is_member => None,
                Some(node) => Some(without(item, &node.below, schema)),
                None => Some(item.clone()),
            });
            some_or_null(Value::Array(left.collect()))
        }
    }
}

fn some_or_null(value: Value) -> Value {
    if is_empty(&value) { Value::Null } else { value }
}
