//! Writing: create, patch, put and delete, with the rules that hold for all of them.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::json_patch;
use super::kinds::Kind;
use super::owners::{Application, Manager, Owners, after_apply, after_creation, after_update};
use super::refusal::{Fault, Refusal};
use super::store::{Draft, Stored, View, json_text, shown};
use super::target::{Parameters, Part, Target, key};
use super::{Answer, ApiServer};

/// The content types of patches.
const PATCHES: [&str; 3] = ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];
/// What generated names end with is made of these, as in the real server.
const NAME_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// How many of them.
const NAME_LENGTH: u32 = 5;
/// Metadata that no client sets when it creates an object.
const SYSTEM_FIELDS: [&str; 5] = ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"];

/// What a write leaves behind.
pub struct Written {
    code: u16,
    object: Arc<Value>,
    text: Arc<str>,
}

impl Written {
    /// An object as it is stored.
    pub fn new(code: u16, stored: &Stored) -> Self {
        Self { code, object: stored.object.clone(), text: stored.text.clone() }
    }

    fn other(code: u16, object: Value) -> Self {
        let text = json_text(&object);
        Self { code, object: Arc::new(object), text }
    }

    /// As an answer.
    pub fn answer(self, view: View) -> Answer {
        let is_status = self.object["kind"] == "Status";
        let view = if is_status { View::Whole } else { view };
        Answer::Whole { code: self.code, body: shown(&self.object, &self.text, view).to_string() }
    }
}

/// What an object is to be next.
pub struct Next {
    /// The object.
    pub object: Value,
    /// The owners of its fields.
    pub owners: Owners,
    /// Whether it is as everybody will see it, or as it comes of an apply.
    pub is_decoded: bool,
}

/// Now, in whole seconds as Kubernetes writes times.
pub fn now() -> String {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

/// The finalizers of an object.
pub fn finalizers(object: &Value) -> &[Value] {
    object["metadata"]["finalizers"].as_array().map_or(&[], Vec::as_slice)
}

/// Whether an object is being deleted.
pub fn is_terminating(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

fn text_of<'v>(object: &'v Value, field: &str) -> &'v str {
    object["metadata"][field].as_str().unwrap_or_default()
}

fn parsed(body: &[u8]) -> Result<Value, Refusal> {
    let value: Value = serde_json::from_slice(body).map_err(|error| Refusal::bad_request(error.to_string()))?;
    if value.is_object() { Ok(value) } else { Err(Refusal::bad_request("the body is no object")) }
}

fn metadata(object: &mut Value) -> Result<&mut Map<String, Value>, Refusal> {
    object["metadata"].as_object_mut().ok_or_else(|| Refusal::bad_request("metadata is no object"))
}

fn set_or_remove(object: &mut Value, field: &str, value: Option<Value>) {
    if let Some(object) = object.as_object_mut() {
        match value {
            Some(value) => object.insert(field.to_owned(), value),
            None => object.remove(field),
        };
    }
}

impl ApiServer {
    /// Creates an object.
    pub(super) fn create(&mut self, target: &Target, parameters: &Parameters, body: &[u8]) -> Result<Written, Refusal> {
        let mut object = parsed(body)?;
        let kind = &self.kinds[target.kind];
        kind.check_type(&object)?;
        kind.decode(&mut object);
        SYSTEM_FIELDS.iter().for_each(|field| drop(object["metadata"].as_object_mut().map(|metadata| metadata.remove(*field))));
        kind.place(&mut object, &target.namespace)?;
        let manager = manager(parameters, false, target.part);
        let owners = after_creation(&object, &kind.schema, &manager);
        self.insert(target.kind, &target.namespace, object, owners)
    }

    /// Creates an object that is read and placed.
    fn insert(&mut self, index: usize, namespace: &str, mut object: Value, owners: Owners) -> Result<Written, Refusal> {
        self.admit(index, namespace, &object)?;
        self.given += 1;
        if text_of(&object, "name").is_empty() && !text_of(&object, "generateName").is_empty() {
            object["metadata"]["name"] = format!("{}{}", text_of(&object, "generateName"), generated(self.given)).into();
        }
        let kind = &self.kinds[index];
        kind.prepare_for_creation(&mut object);
        let name = text_of(&object, "name").to_owned();
        if name.is_empty() {
            let fault = Fault::required("metadata.name", "name or generateName is required");
            return Err(Refusal::invalid((&kind.group, &kind.kind), "", &[fault]));
        }
        if !matches!(text_of(&object, "resourceVersion"), "" | "0") {
            return Err(Refusal::internal("resourceVersion should not be set on objects to be created"));
        }
        let key = key(namespace, &name);
        if let Some(existing) = self.store.get(index, &key) {
            return Err(Refusal::already_exists(kind, &name, is_terminating(&existing.object)));
        }
        object["metadata"]["uid"] = format!("00000000-0000-4000-8000-{:012x}", self.given).into();
        object["metadata"]["creationTimestamp"] = now().into();
        let draft = kind.draft(object, owners);
        Ok(Written::new(201, &self.store.put(index, key, draft)))
    }

    /// Patches an object, or creates it by what is applied.
    pub(super) fn patch(&mut self, target: &Target, parameters: &Parameters, content_type: &str, body: &[u8]) -> Result<Written, Refusal> {
        let content_type = content_type.split(';').next().unwrap_or_default().trim();
        if !PATCHES.contains(&content_type) {
            return Err(Refusal::unsupported_media_type(&PATCHES));
        }
        let applies = content_type == PATCHES[2];
        if applies && parameters.manager.is_none() {
            let fault = Fault::required("fieldManager", "is required for apply patch");
            return Err(Refusal::invalid(("meta.k8s.io", "PatchOptions"), "", &[fault]));
        }
        let manager = manager(parameters, applies, target.part);
        let kind = &self.kinds[target.kind];
        let Some(was) = self.store.get(target.kind, &target.key()).cloned() else {
            return if applies && target.part == Part::Main {
                self.create_by_apply(target, &manager, body)
            } else {
                Err(Refusal::not_found(kind, &target.name))
            };
        };
        let next = if applies {
            let applied = parsed(body)?;
            kind.check_type(&applied)?;
            let application = Application { manager: &manager, object: &applied, force: parameters.force };
            let (mut object, owners) = after_apply(&was.owners, &was.object, application, kind)?;
            kind.settle(&mut object);
            // In a status nothing is left out that is empty.
            Next { object, owners, is_decoded: !kind.is_custom || target.part == Part::Status }
        } else {
            let mut object = (*was.object).clone();
            if content_type == PATCHES[0] {
                let patch = serde_json::from_slice(body).map_err(|error| Refusal::bad_request(error.to_string()))?;
                json_patch::apply(patch, &mut object).map_err(|_| Refusal::patch_does_not_apply())?;
            } else {
                ::json_patch::merge(&mut object, &parsed(body)?);
            }
            kind.decode(&mut object);
            let owners = after_update(&was.owners, &was.object, &object, &kind.schema, &manager);
            Next { object, owners, is_decoded: true }
        };
        self.update(target, &was, next)
    }

    fn create_by_apply(&mut self, target: &Target, manager: &Manager, body: &[u8]) -> Result<Written, Refusal> {
        let applied = parsed(body)?;
        let kind = &self.kinds[target.kind];
        kind.check_type(&applied)?;
        let application = Application { manager, object: &applied, force: true };
        let (mut object, owners) = after_apply(&Owners::new(), &json!({}), application, kind)?;
        kind.settle(&mut object);
        if !text_of(&object, "uid").is_empty() {
            let why = format!("uid mismatch: the provided object specified uid {}, and no existing object was found", text_of(&object, "uid"));
            return Err(Refusal::conflict(kind, &target.name, &why));
        }
        kind.place(&mut object, &target.namespace)?;
        check_name(&object, target)?;
        self.insert(target.kind, &target.namespace, object, owners)
    }

    /// Replaces an object.
    pub(super) fn replace(&mut self, target: &Target, parameters: &Parameters, body: &[u8]) -> Result<Written, Refusal> {
        let mut object = parsed(body)?;
        let kind = &self.kinds[target.kind];
        kind.check_type(&object)?;
        kind.decode(&mut object);
        kind.place(&mut object, &target.namespace)?;
        check_name(&object, target)?;
        let was = self.store.get(target.kind, &target.key()).cloned().ok_or_else(|| Refusal::not_found(kind, &target.name))?;
        let (uid, stored) = (text_of(&object, "uid"), text_of(&was.object, "uid"));
        if !uid.is_empty() && uid != stored {
            let why = format!(
                "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: \
                 {uid}, UID in object meta: {stored}",
                kind.storage_key(&target.key())
            );
            return Err(Refusal::conflict(kind, &target.name, &why));
        }
        let manager = manager(parameters, false, target.part);
        let owners = after_update(&was.owners, &was.object, &object, &kind.schema, &manager);
        self.update(target, &was, Next { object, owners, is_decoded: true })
    }

    /// Puts a new version in the place of the one that is there, as far as the rules let it; or removes the object, where only finalizers held it.
    pub(super) fn update(&mut self, target: &Target, was: &Stored, next: Next) -> Result<Written, Refusal> {
        let Next { mut object, owners, is_decoded } = next;
        let kind = &self.kinds[target.kind];
        kind.place(&mut object, &target.namespace)?;
        check_name(&object, target)?;
        match text_of(&object, "resourceVersion") {
            "" | "0" if kind.is_custom => {
                let fault = Fault::invalid("metadata.resourceVersion", "0", "must be specified for an update");
                return Err(Refusal::invalid((&kind.group, &kind.plural), &target.name, &[fault]));
            }
            "" | "0" => object["metadata"]["resourceVersion"] = was.object["metadata"]["resourceVersion"].clone(),
            version if version != text_of(&was.object, "resourceVersion") => return Err(Refusal::modified(kind, &target.name)),
            _ => {}
        }
        let object = kind.prepared(target.part, &was.object, object)?;
        let faults = faults(&was.object, &object);
        // The real server looks at metadata twice: once for all kinds, and once for this one.
        let mut faults = [faults.clone(), faults].concat();
        if kind.is_custom && has_null(&object) {
            faults.extend(kind.broken(&object));
        }
        if !faults.is_empty() {
            return Err(Refusal::invalid((&kind.group, &kind.kind), &target.name, &faults));
        }
        if is_terminating(&was.object) && finalizers(&object).is_empty() && kind.lets_go(&object) {
            self.store.remove(target.kind, &target.key());
            return Ok(Written::other(200, object));
        }
        if object == *was.raw() && owners == *was.owners {
            return Ok(Written::new(200, was));
        }
        let draft = if is_decoded { Draft { object, raw: None, owners: Arc::new(owners) } } else { kind.draft(object, owners) };
        Ok(Written::new(200, &self.store.put(target.kind, target.key(), draft)))
    }

    /// Deletes an object, or marks it as being deleted while finalizers hold it.
    pub(super) fn delete(&mut self, target: &Target, body: &[u8]) -> Result<Written, Refusal> {
        let options = if body.is_empty() { json!({}) } else { parsed(body)? };
        if options["propagationPolicy"].as_str().is_some_and(|policy| policy != "Background") {
            return Err(Refusal::bad_request("only propagationPolicy Background is known to this model of the API server"));
        }
        let kind = &self.kinds[target.kind];
        let was = self.store.get(target.kind, &target.key()).cloned().ok_or_else(|| Refusal::not_found(kind, &target.name))?;
        for (field, name) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
            let stored = text_of(&was.object, field);
            if let Some(given) = options["preconditions"][field].as_str().filter(|given| *given != stored) {
                return Err(kind.precondition_failed(&target.name, name, given, stored));
            }
        }
        if kind.is_namespace() { self.delete_namespace(target, &was) } else { Ok(self.delete_stored(target.kind, &target.key(), &was)) }
    }

    pub(super) fn delete_stored(&mut self, index: usize, key: &str, was: &Stored) -> Written {
        if finalizers(&was.object).is_empty() {
            self.store.remove(index, key);
            return Written::other(200, self.kinds[index].deleted(&was.object));
        }
        if is_terminating(&was.object) && was.raw.is_none() {
            return Written::new(200, was);
        }
        let mut object = (*was.object).clone();
        if !is_terminating(&object) {
            object["metadata"]["deletionTimestamp"] = now().into();
            object["metadata"]["deletionGracePeriodSeconds"] = 0.into();
            if let Some(generation) = object["metadata"]["generation"].as_i64() {
                object["metadata"]["generation"] = (generation + 1).into();
            }
        }
        let draft = Draft { object, raw: None, owners: was.owners.clone() };
        Written::new(200, &self.store.put(index, key.to_owned(), draft))
    }
}

fn manager(parameters: &Parameters, applies: bool, part: Part) -> Manager {
    Manager { name: parameters.manager.clone().unwrap_or_else(|| "unknown".to_owned()), applies, is_status: part == Part::Status }
}

/// What a generated name ends with.
fn generated(number: u64) -> String {
    let base = NAME_LETTERS.len() as u64;
    let digit = |position: u32| usize::try_from(number / base.pow(position) % base).unwrap_or_default();
    (0..NAME_LENGTH).rev().map(|position| char::from(NAME_LETTERS[digit(position)])).collect()
}

fn check_name(object: &Value, target: &Target) -> Result<(), Refusal> {
    let name = text_of(object, "name");
    if name.is_empty() {
        let why = format!("the name of the object ({} based on URL) was undeterminable: name must be provided", target.name);
        return Err(Refusal::bad_request(why));
    }
    if name != target.name {
        return Err(Refusal::bad_request(format!("the name of the object ({name}) does not match the name on the URL ({})", target.name)));
    }
    Ok(())
}

/// Whether anything in a value is null.
fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(fields) => fields.values().any(has_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// What an update may not change.
fn faults(was: &Value, object: &Value) -> Vec<Fault> {
    let mut faults = vec![];
    if is_terminating(was) {
        let mut new: Vec<&str> = finalizers(object).iter().filter(|new| !finalizers(was).contains(new)).filter_map(Value::as_str).collect();
        new.sort_unstable();
        if !new.is_empty() {
            let found: Vec<String> = new.iter().map(|name| format!("{name:?}")).collect();
            let why = format!("no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}", found.join(", "));
            faults.push(Fault::forbidden("metadata.finalizers", &why));
        }
    }
    for (field, name) in [
        ("metadata.uid", "uid"),
        ("metadata.deletionTimestamp", "deletionTimestamp"),
        ("metadata.deletionGracePeriodSeconds", "deletionGracePeriodSeconds"),
    ] {
        let value = &object["metadata"][name];
        if *value != was["metadata"][name] {
            faults.push(Fault::invalid(field, &value.to_string(), "field is immutable"));
        }
    }
    faults
}

impl Kind {
    /// Completes what comes of an apply. Of kinds that come from definitions it is stored as it is, with what is empty in it.
    fn settle(&self, object: &mut Value) {
        if self.is_custom {
            self.schema.fill(object);
        } else {
            self.decode(object);
        }
    }

    /// What an apply leaves broken: what is in an object was taken out by the one who applied it, and the object itself is owned by somebody else.
    fn broken(&self, object: &Value) -> Vec<Fault> {
        let nulls = self.schema.nulls(object, "").into_iter().filter(|(field, _)| !field.starts_with("metadata"));
        let mut faults: Vec<Fault> = nulls.map(|(field, type_)| Fault::is_null(field, type_)).collect();
        if !faults.is_empty() {
            faults.push(Fault::unchecked());
        }
        faults
    }

    /// What is stored of an object, and what everybody sees of that.
    fn draft(&self, raw: Value, owners: Owners) -> Draft {
        let mut object = raw.clone();
        self.decode(&mut object);
        Draft { object, raw: Some(raw), owners: Arc::new(owners) }
    }

    fn check_type(&self, object: &Value) -> Result<(), Refusal> {
        let (api_version, kind) = (object["apiVersion"].as_str(), object["kind"].as_str());
        match (api_version, kind) {
            (Some(version), _) if version != self.api_version => Err(Refusal::bad_request(format!(
                "the API version in the data ({version}) does not match the expected API version ({})",
                self.api_version
            ))),
            (_, Some(kind)) if kind != self.kind => {
                Err(Refusal::bad_request(format!("{kind} in version \"{}\" cannot be handled as a {}", self.api_version, self.kind)))
            }
            _ => Ok(()),
        }
    }

    /// Puts an object into the namespace of the request.
    fn place(&self, object: &mut Value, namespace: &str) -> Result<(), Refusal> {
        let metadata = metadata(object)?;
        match metadata.get("namespace").and_then(Value::as_str) {
            Some(_) if namespace.is_empty() => {
                metadata.remove("namespace");
                Ok(())
            }
            Some(own) if own != namespace => {
                Err(Refusal::bad_request("the namespace of the provided object does not match the namespace sent on the request"))
            }
            None if !namespace.is_empty() => {
                metadata.insert("namespace".to_owned(), namespace.into());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn prepare_for_creation(&self, object: &mut Value) {
        if self.has_status {
            set_or_remove(object, "status", None);
        }
        if self.is_custom {
            object["metadata"]["generation"] = 1.into();
        }
        if self.is_namespace() {
            self.prepare_namespace(object);
        }
    }

    /// What an update makes of an object: what this part of it may not change is as before.
    fn prepared(&self, part: Part, was: &Value, mut object: Value) -> Result<Value, Refusal> {
        match part {
            Part::Status if self.is_custom => {
                // All else is mostly as it was.
                let fields = was.as_object().into_iter().flatten().filter(|(field, _)| *field != "status");
                let changed: Vec<_> = fields.filter(|(field, value)| object.get(*field) != Some(value)).collect();
                changed.into_iter().for_each(|(field, value)| object[field] = value.clone());
                if let Some(object) = object.as_object_mut() {
                    object.retain(|field, _| field == "status" || was.get(field).is_some());
                }
                return Ok(object);
            }
            Part::Status => set_or_remove(&mut object, "spec", was.get("spec").cloned()),
            Part::Finalize => set_or_remove(&mut object, "status", was.get("status").cloned()),
            Part::Main => {
                if self.has_status || self.is_namespace() {
                    set_or_remove(&mut object, "status", was.get("status").cloned());
                }
                if self.is_namespace() {
                    set_or_remove(&mut object, "spec", was.get("spec").cloned());
                }
            }
        }
        let is_same = self.is_same_but_for_metadata(was, &object);
        let metadata = metadata(&mut object)?;
        for field in ["generation", "creationTimestamp", "deletionTimestamp"] {
            match &was["metadata"][field] {
                Value::Null if field == "generation" => drop(metadata.remove(field)),
                Value::Null => {}
                before => drop(metadata.insert(field.to_owned(), before.clone())),
            }
        }
        for field in ["uid", "deletionGracePeriodSeconds"] {
            if !metadata.contains_key(field) && !was["metadata"][field].is_null() {
                metadata.insert(field.to_owned(), was["metadata"][field].clone());
            }
        }
        if let Some(generation) = was["metadata"]["generation"].as_i64().filter(|_| self.is_custom && !is_same) {
            metadata.insert("generation".to_owned(), (generation + 1).into());
        }
        if !self.is_custom {
            self.decode(&mut object);
        }
        Ok(object)
    }

    fn is_same_but_for_metadata(&self, was: &Value, object: &Value) -> bool {
        let rest = |value: &Value| value.as_object().map_or(0, |map| map.len() - usize::from(map.contains_key("metadata")));
        let same = |(field, value): (&String, &Value)| field == "metadata" || was.get(field) == Some(value);
        rest(was) == rest(object) && object.as_object().into_iter().flatten().all(same)
    }

    /// What a deletion answers when the object is gone.
    fn deleted(&self, object: &Value) -> Value {
        let fields = [("name", text_of(object, "name")), ("group", &self.group), ("kind", &self.plural), ("uid", text_of(object, "uid"))];
        let details: Map<String, Value> =
            fields.into_iter().filter(|(_, value)| !value.is_empty()).map(|(field, value)| (field.to_owned(), value.into())).collect();
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
    }

    fn precondition_failed(&self, name: &str, field: &str, given: &str, stored: &str) -> Refusal {
        if self.is_namespace() {
            return Refusal::conflict(
                self,
                name,
                &format!("Precondition failed: {field} in precondition: {given}, {field} in object meta: {stored}"),
            );
        }
        let guess = if field == "UID" { "deleted and then recreated" } else { "modified" };
        let why =
            format!("the {field} in the precondition ({given}) does not match the {field} in record ({stored}). The object might have been {guess}");
        Refusal::deletion_conflict(self, name, &why)
    }

    /// Under which key etcd has an object.
    fn storage_key(&self, key: &str) -> String {
        let folder = if self.is_custom { format!("{}/{}", self.group, self.plural) } else { self.plural.clone() };
        format!("/registry/{folder}/{key}")
    }
}
