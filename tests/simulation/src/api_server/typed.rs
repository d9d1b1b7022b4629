//! Comparing, merging and pruning values by their schema, as server-side apply does (structured-merge-diff, `typed`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::fields::{FieldSet, Step};
use super::schema::{Identity, Object, Schema, Shape};

/// What is different between two values.
#[derive(Debug, Default)]
pub struct Comparison {
    /// What only the first has.
    pub removed: FieldSet,
    /// What both have, and differently.
    pub modified: FieldSet,
    /// What only the second has.
    pub added: FieldSet,
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
}

/// A field as a step.
fn field(name: &str) -> Step {
    Step::Field(name.into())
}

/// What tells an item of a list apart, as a step.
fn identity(item: &Value, identity: &Identity) -> Step {
    let text = match identity {
        Identity::Keys(keys) => keys.iter().map(|key| (key.clone(), item[key.as_str()].clone())).collect::<Map<_, _>>().into(),
        Identity::Value | Identity::None => item.clone(),
    };
    Step::Item(text.to_string().into())
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}

fn entries(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten()
}

fn items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Every field that a value has.
pub fn field_set(value: &Value, schema: &Schema) -> FieldSet {
    let mut set = FieldSet::default();
    collect(value, schema, &mut vec![], &mut set);
    set
}

fn collect(value: &Value, schema: &Schema, path: &mut Vec<Step>, set: &mut FieldSet) {
    let form = schema.form(Some(value));
    match form {
        Form::Leaf => set.insert(path),
        Form::Fields(_) | Form::AnyFields => {
            for (name, value) in entries(Some(value)) {
                path.push(field(name));
                collect(value, schema.at(&field(name)), path, set);
                if value.is_null() || value.as_object().is_some_and(Map::is_empty) || !form.names(name) {
                    set.insert(path);
                }
                path.pop();
            }
        }
        Form::Items(schema, by) => {
            for item in items(Some(value)) {
                path.push(identity(item, by));
                collect(item, schema, path, set);
                set.insert(path);
                path.pop();
            }
        }
    }
}

/// What is different between two values of one schema.
pub fn compare(before: &Value, after: &Value, schema: &Schema) -> Comparison {
    let mut comparison = Comparison::default();
    differ(Some(before), Some(after), schema, &mut vec![], &mut comparison);
    comparison
}

fn differ(before: Option<&Value>, after: Option<&Value>, schema: &Schema, path: &mut Vec<Step>, comparison: &mut Comparison) {
    if before == after {
        return;
    }
    let form = schema.form(after.or(before));
    let is_leaf = matches!(form, Form::Leaf) || (is_empty(before) && is_empty(after));
    if !is_leaf {
        let children: Vec<(Step, Option<&Value>, Option<&Value>)> = match form {
            Form::Items(_, by) => paired_items(items(before), items(after), by),
            _ => paired_fields(before, after),
        };
        for (step, before, after) in children {
            let schema = schema.at(&step);
            path.push(step);
            differ(before, after, schema, path, comparison);
            path.pop();
        }
    }
    match (before, after) {
        (None, Some(_)) => comparison.added.insert(path),
        (Some(_), None) => comparison.removed.insert(path),
        _ if is_leaf => comparison.modified.insert(path),
        _ => {}
    }
}

/// A child of two values with the step to it, as the one has it and as the other has it.
type Pair<'v> = (Step, Option<&'v Value>, Option<&'v Value>);

fn paired_fields<'v>(before: Option<&'v Value>, after: Option<&'v Value>) -> Vec<Pair<'v>> {
    let was = |name: &str| before.and_then(|before| before.get(name));
    let is = |name: &str| after.and_then(|after| after.get(name));
    let old = entries(before).map(|(name, value)| (field(name), Some(value), is(name)));
    let new = entries(after).filter(|(name, _)| was(name).is_none()).map(|(name, value)| (field(name), None, Some(value)));
    old.chain(new).collect()
}

fn paired_items<'v>(before: &'v [Value], after: &'v [Value], by: &Identity) -> Vec<Pair<'v>> {
    let mut pairs: BTreeMap<Step, (Option<&Value>, Option<&Value>)> = BTreeMap::new();
    before.iter().for_each(|item| pairs.entry(identity(item, by)).or_default().0 = Some(item));
    after.iter().for_each(|item| pairs.entry(identity(item, by)).or_default().1 = Some(item));
    pairs.into_iter().map(|(step, (before, after))| (step, before, after)).collect()
}

/// A value with what another one of the same schema says.
pub fn merge(into: &Value, from: &Value, schema: &Schema) -> Value {
    merged(Some(into), Some(from), schema).unwrap_or(Value::Null)
}

fn merged(into: Option<&Value>, from: Option<&Value>, schema: &Schema) -> Option<Value> {
    let form = schema.form(from.or(into));
    if is_empty(into) && is_empty(from) {
        return from.or(into).cloned();
    }
    match form {
        Form::Leaf => from.or(into).cloned(),
        Form::Fields(_) | Form::AnyFields => {
            let fields = paired_fields(into, from).into_iter().filter_map(|(step, into, from)| {
                let value = merged(into, from, schema.at(&step))?;
                let (Step::Field(name) | Step::Item(name)) = step;
                Some((name.to_string(), value))
            });
            Some(Value::Object(fields.collect())).filter(|merged| !is_empty(Some(merged)))
        }
        Form::Items(schema, by) => Some(Value::Array(merged_items(items(into), items(from), by, schema))).filter(|merged| !is_empty(Some(merged))),
    }
}

/// Items that both have come in the order of `from`; those that only `into` has stay before those that they came before.
fn merged_items(into: &[Value], from: &[Value], by: &Identity, schema: &Schema) -> Vec<Value> {
    let steps = |items: &[Value]| items.iter().map(|item| identity(item, by)).collect::<Vec<_>>();
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
                out.extend(merged(Some(&into[o]), Some(&from[n]), schema));
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
            out.extend(merged(old.get(step).copied(), Some(&from[n]), schema));
            n += 1;
            if next_shared == Some(step) {
                next_shared = shared.next();
            }
        }
    }
    out
}

/// A value without these fields.
pub fn without(value: &Value, set: &FieldSet, schema: &Schema) -> Value {
    match schema.form(Some(value)) {
        Form::Leaf if matches!(schema.shape, Shape::Scalar) => value.clone(),
        Form::Leaf => Value::Null,
        Form::Fields(_) | Form::AnyFields => {
            let left = entries(Some(value)).filter(|(name, _)| !set.has(&field(name))).map(|(name, value)| {
                let step = field(name);
                (name.clone(), set.below(&step).map_or_else(|| value.clone(), |below| without(value, below, schema.at(&step))))
            });
            some_or_null(Value::Object(left.collect()))
        }
        Form::Items(schema, by) => {
            let left = items(Some(value)).iter().map(|item| (identity(item, by), item)).filter(|(step, _)| !set.has(step));
            let left = left.map(|(step, item)| set.below(&step).map_or_else(|| item.clone(), |below| without(item, below, schema)));
            some_or_null(Value::Array(left.collect()))
        }
    }
}

fn some_or_null(value: Value) -> Value {
    if is_empty(Some(&value)) { Value::Null } else { value }
}
