//! Who owns which fields of an object: what `managedFields` holds, and what follows from it for server-side apply.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fields::{FieldSet, Step};
use super::refusal::Refusal;
use super::schema::Schema;
use super::typed::{self, Comparison};

/// A field manager, as it is told apart in `managedFields`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Manager {
    /// Its name.
    pub name: String,
    /// Whether it applies, or writes in other ways.
    pub applies: bool,
    /// Whether it writes the status by its subresource.
    pub is_status: bool,
}

/// The owners of the fields of an object.
pub type Owners = BTreeMap<Manager, FieldSet>;

/// Fields that are never owned.
fn unowned() -> FieldSet {
    let mut set = FieldSet::of(["apiVersion", "kind", "metadata"]);
    let metadata = Step::Field("metadata".into());
    for name in ["name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion"] {
        set.insert(&[metadata.clone(), Step::Field(name.into())]);
    }
    set
}

impl Manager {
    /// Without the fields that a write of this kind does not change, whatever it says.
    fn effective(&self, set: &FieldSet) -> FieldSet {
        let reset = if self.is_status { FieldSet::of(["metadata", "spec"]) } else { FieldSet::of(["status"]) };
        set.without_all_of(&reset)
    }
}

fn compare(before: &Value, after: &Value, schema: &Schema, manager: &Manager) -> Comparison {
    let Comparison { removed, modified, added } = typed::compare(before, after, schema);
    Comparison { removed: manager.effective(&removed), modified: manager.effective(&modified), added: manager.effective(&added) }
}

/// Takes from all but `manager` what changed. Returns what they lose of what they own to another value.
fn dispossess(owners: &mut Owners, manager: Option<&Manager>, changed: &FieldSet, removed: &FieldSet) -> Vec<(Manager, FieldSet)> {
    let mut lost = vec![];
    for (other, set) in owners.iter_mut().filter(|(other, _)| Some(*other) != manager) {
        let taken = set.intersection(changed);
        if !taken.is_empty() {
            *set = set.without(&taken);
            lost.push((other.clone(), taken));
        }
        if !removed.is_empty() {
            *set = set.without(removed);
        }
    }
    owners.retain(|_, set| !set.is_empty());
    lost
}

/// The owners after a write that is no apply: who writes owns what it changed.
pub fn after_update(owners: &Owners, before: &Value, after: &Value, schema: &Schema, manager: &Manager) -> Owners {
    let Comparison { removed, modified, added: mut changed } = compare(before, after, schema, manager);
    changed.unite(&modified);
    let mut owners = owners.clone();
    dispossess(&mut owners, None, &changed, &removed);
    let own = changed.without(&unowned());
    if !own.is_empty() {
        owners.entry(manager.clone()).or_default().unite(&own);
    }
    owners
}

/// The object and its owners after an apply. Fields that the manager applied before and does not now are taken out, unless somebody else owns
/// them too.
///
/// # Errors
/// Where others own what would change, unless `force`.
pub fn after_apply(
    owners: &Owners,
    before: &Value,
    applied: &Value,
    schema: &Schema,
    manager: &Manager,
    force: bool,
) -> Result<(Value, Owners), Refusal> {
    let mut owners = owners.clone();
    let last = owners.remove(manager).unwrap_or_default();
    let own = manager.effective(&typed::field_set(applied, schema));
    owners.insert(manager.clone(), own.clone());
    let merged = typed::merge(before, applied, schema);
    let after = if last.without(&own).is_empty() { merged } else { prune(&merged, &owners, &last, schema) };
    let Comparison { removed, modified, added: mut changed } = compare(before, &after, schema, manager);
    changed.unite(&modified);
    let lost = dispossess(&mut owners, Some(manager), &changed, &removed);
    if !force && !lost.is_empty() {
        return Err(Refusal::apply_conflict(&lost.iter().map(|(other, _)| format!("conflict with {:?}", other.name)).collect::<Vec<_>>()));
    }
    let own = own.without(&unowned());
    if own.is_empty() {
        owners.remove(manager);
    } else {
        owners.insert(manager.clone(), own);
    }
    Ok((after, owners))
}

/// Takes out of a merged value what is only in `last`, what the manager applied before.
fn prune(merged: &Value, owners: &Owners, last: &FieldSet, schema: &Schema) -> Value {
    let named = |set: &FieldSet| set.with_named_fields(schema);
    let set_of = |value: &Value| named(&typed::field_set(value, schema));
    let last = named(last);
    let all = set_of(merged);
    let pruned = typed::without(merged, &last, schema);
    // What somebody owns stays.
    let mut kept = set_of(&pruned);
    owners.values().for_each(|set| kept.unite(&named(set)));
    let pruned = typed::without(merged, &all.without(&kept), schema);
    // So does what the manager never applied, though it is in something that goes.
    typed::without(merged, &all.without(&set_of(&pruned)).intersection(&last), schema)
}
