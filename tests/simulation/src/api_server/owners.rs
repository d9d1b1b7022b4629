//! Who owns which fields of an object: what `managedFields` holds, and what follows from it for server-side apply.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::fields::{FieldSet, Node};
use super::kinds::Kind;
use super::refusal::Refusal;
use super::schema::Schema;
use super::step::Step;
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

/// Owns what nobody owned when something was applied for the first time.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Fields that are never owned.
static UNOWNED: LazyLock<FieldSet> = LazyLock::new(|| {
    let names = ["name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion"];
    let mut set = FieldSet::of(["apiVersion", "kind"]);
    set.put(Step::Field("metadata".into()), Node { is_member: true, below: FieldSet::of(names) });
    set
});
/// What a write to the main part does not change, whatever it says.
static NOT_MAIN: LazyLock<FieldSet> = LazyLock::new(|| FieldSet::of(["status"]));
/// What a write to the status does not change.
static NOT_STATUS: LazyLock<FieldSet> = LazyLock::new(|| FieldSet::of(["metadata", "spec"]));

impl Manager {
    /// As the API server speaks of it.
    fn told(&self, api_version: &str) -> String {
        let status = if self.is_status { " with subresource \"status\"" } else { "" };
        let update = if self.applies { String::new() } else { format!(" using {api_version}") };
        format!("{:?}{status}{update}", self.name)
    }

    /// Without the fields that a write of this kind does not change.
    fn effective(&self, set: &FieldSet) -> FieldSet {
        set.without_all_of(if self.is_status { &NOT_STATUS } else { &NOT_MAIN })
    }
}

fn compare(before: &Value, after: &Value, schema: &Schema, manager: &Manager) -> Comparison {
    let Comparison { removed, changed } = typed::compare(before, after, schema);
    Comparison { removed: manager.effective(&removed), changed: manager.effective(&changed) }
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

/// The owners of a new object.
pub fn after_creation(object: &Value, schema: &Schema, manager: &Manager) -> Owners {
    updated(&Owners::new(), &Value::Object(Map::new()), object, schema, manager)
}

/// The owners after a write that is no apply: who writes owns what it changed. Where nobody owns anything, that is so until somebody applies.
pub fn after_update(owners: &Owners, before: &Value, after: &Value, schema: &Schema, manager: &Manager) -> Owners {
    if owners.is_empty() { Owners::new() } else { updated(owners, before, after, schema, manager) }
}

fn updated(owners: &Owners, before: &Value, after: &Value, schema: &Schema, manager: &Manager) -> Owners {
    let Comparison { removed, changed } = compare(before, after, schema, manager);
    let mut owners = owners.clone();
    dispossess(&mut owners, None, &changed, &removed);
    let own = changed.without(&UNOWNED);
    if !own.is_empty() {
        let set = owners.entry(manager.clone()).or_default();
        *set = set.union(&own);
    }
    owners
}

/// Something that is applied.
#[derive(Clone, Copy, Debug)]
pub struct Application<'a> {
    /// By whom.
    pub manager: &'a Manager,
    /// What.
    pub object: &'a Value,
    /// Whether it prevails over others.
    pub force: bool,
}

/// The object and its owners after an apply. Fields that the manager applied before and does not now are taken out, unless somebody else owns
/// them too.
///
/// # Errors
/// Where fields are applied that there are not, or others own what would change and it does not prevail over them.
pub fn after_apply(owners: &Owners, before: &Value, application: Application<'_>, kind: &Kind) -> Result<(Value, Owners), Refusal> {
    let Application { manager, object: applied, force } = application;
    let schema = &kind.schema;
    let undeclared = schema.undeclared(applied);
    if !undeclared.is_empty() {
        return Err(Refusal::undeclared(kind, applied, &undeclared));
    }
    let mut owners = if owners.is_empty() {
        after_creation(before, schema, &Manager { name: BEFORE_FIRST_APPLY.to_owned(), applies: false, ..manager.clone() })
    } else {
        owners.clone()
    };
    let last = owners.remove(manager).unwrap_or_default();
    let own = manager.effective(&typed::field_set(applied, schema));
    owners.insert(manager.clone(), own.clone());
    let merged = typed::merge(before, applied, schema);
    let after = if last.without(&own).is_empty() { merged } else { prune(merged, &owners, &last, schema) };
    let Comparison { removed, changed } = compare(before, &after, schema, manager);
    let mut lost = dispossess(&mut owners, Some(manager), &changed, &removed);
    if !force && !lost.is_empty() {
        lost.sort_by_key(|(owner, _)| (owner.name.clone(), !owner.applies));
        let of = |(owner, set): (Manager, FieldSet)| set.paths().into_iter().map(move |path| (owner.told(&kind.api_version), path));
        return Err(Refusal::apply_conflict(&lost.into_iter().flat_map(of).collect::<Vec<_>>()));
    }
    let own = own.without(&UNOWNED);
    if own.is_empty() {
        owners.remove(manager);
    } else {
        owners.insert(manager.clone(), own);
    }
    Ok((after, owners))
}

/// Takes out of a merged object what is only in `last`, what the manager applied before.
fn prune(mut merged: Value, owners: &Owners, last: &FieldSet, schema: &Schema) -> Value {
    // All else stays as it is.
    let concerned: Map<String, Value> = last.names().filter_map(|name| Some((name.to_string(), merged.get_mut(&**name).map(Value::take)?))).collect();
    let names: Vec<String> = concerned.keys().cloned().collect();
    let mut pruned = pruned(&concerned.into(), owners, last, schema);
    for name in names {
        match pruned.get_mut(&name).map(Value::take) {
            Some(value) => merged[name] = value,
            None => drop(merged.as_object_mut().and_then(|merged| merged.remove(&name))),
        }
    }
    merged
}

fn pruned(merged: &Value, owners: &Owners, last: &FieldSet, schema: &Schema) -> Value {
    let named = |set: &FieldSet| set.with_named_fields(schema);
    let set_of = |value: &Value| named(&typed::field_set(value, schema));
    let last = named(last);
    let all = set_of(merged);
    let pruned = typed::without(merged, &last, schema);
    // What somebody owns stays.
    let kept = owners.values().fold(set_of(&pruned), |kept, set| kept.union(&named(set)));
    let pruned = typed::without(merged, &all.without(&kept), schema);
    // So does what the manager never applied, though it is in something that goes.
    typed::without(merged, &all.without(&set_of(&pruned)).intersection(&last), schema)
}
