//! What is particular about namespaces: nothing is created in one that is missing or being deleted, and one that is being deleted goes when it is
//! empty.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::ApiServer;
use super::kinds::Kind;
use super::refusal::Refusal;
use super::store::{Draft, Stored, is_in};
use super::target::{Part, Target};
use super::write::{Next, Written, finalizers, is_terminating, now};

/// The namespaces that every cluster has.
const FIRST: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];
/// Those that cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];
/// What holds a namespace until its content is deleted.
const CONTENT: &str = "kubernetes";

impl Kind {
    pub(super) fn prepare_namespace(&self, object: &mut Value) {
        object["status"] = json!({"phase": "Active"});
        let holds = object["spec"]["finalizers"].as_array().cloned().unwrap_or_default();
        if !holds.iter().any(|hold| hold == CONTENT) {
            object["spec"]["finalizers"] = holds.into_iter().chain([CONTENT.into()]).collect();
        }
    }

    /// Whether an object that has no finalizers any more may go.
    pub(super) fn lets_go(&self, object: &Value) -> bool {
        !self.is_namespace() || object["spec"]["finalizers"].as_array().is_none_or(Vec::is_empty)
    }
}

impl ApiServer {
    fn namespaces(&self) -> usize {
        self.kinds.iter().position(Kind::is_namespace).unwrap_or_default()
    }

    pub(super) fn create_first_namespaces(&mut self) {
        let target = Target { kind: self.namespaces(), namespace: String::new(), name: String::new(), part: Part::Main };
        for name in FIRST {
            let body = json!({"metadata": {"name": name}}).to_string();
            // They are the first objects that there are, so nothing can be in their way.
            drop(self.create(&target, &Default::default(), body.as_bytes()));
        }
    }

    /// Whether an object may be created in a namespace.
    pub(super) fn admit(&self, kind: usize, namespace: &str, object: &Value) -> Result<(), Refusal> {
        if namespace.is_empty() {
            return Ok(());
        }
        let index = self.namespaces();
        let found = self.store.get(index, namespace).ok_or_else(|| Refusal::not_found(&self.kinds[index], namespace))?;
        if found.object["status"]["phase"] != "Terminating" {
            return Ok(());
        }
        let metadata = &object["metadata"];
        let name = metadata["name"].as_str().or_else(|| metadata["generateName"].as_str()).unwrap_or("Unknown");
        Err(Refusal::terminating(&self.kinds[kind], name, namespace))
    }

    pub(super) fn delete_namespace(&mut self, target: &Target, was: &Stored) -> Result<Written, Refusal> {
        let kind = &self.kinds[target.kind];
        if IMMORTAL.contains(&target.name.as_str()) {
            return Err(Refusal::forbidden(kind, &target.name, "this namespace may not be deleted"));
        }
        if is_terminating(&was.object) {
            let holds = !kind.lets_go(&was.object);
            return Ok(if holds { Written::new(200, was) } else { self.delete_stored(target.kind, &target.key(), was) });
        }
        let mut object = (*was.object).clone();
        object["metadata"]["deletionTimestamp"] = now().into();
        object["status"]["phase"] = "Terminating".into();
        let draft = Draft { object, raw: None, owners: was.owners.clone() };
        Ok(Written::new(200, &self.store.put(target.kind, target.key(), draft)))
    }

    /// Plays the namespace controller once: deletes what is in namespaces that are being deleted, as far as finalizers let it, and each such
    /// namespace once it is empty.
    pub fn terminate_namespaces(&mut self) {
        let kind = self.namespaces();
        let is_due = |stored: &Stored| is_terminating(&stored.object) && !self.kinds[kind].lets_go(&stored.object);
        let due: Vec<String> = self.store.objects(kind).iter().filter(|(_, stored)| is_due(stored)).map(|(name, _)| name.clone()).collect();
        for name in due {
            self.terminate(kind, &name);
        }
    }

    fn terminate(&mut self, namespaces: usize, name: &str) {
        let mut left = Left::default();
        for kind in (0..self.kinds.len()).filter(|kind| self.kinds[*kind].is_namespaced).collect::<Vec<_>>() {
            let content: Vec<(String, Stored)> =
                self.store.objects(kind).iter().filter(|(key, _)| is_in(key, name)).map(|(key, stored)| (key.clone(), stored.clone())).collect();
            for (key, stored) in content {
                self.delete_stored(kind, &key, &stored);
                if let Some(stored) = self.store.get(kind, &key) {
                    left.count(&self.kinds[kind], &stored.object);
                }
            }
        }
        let is_empty = left.resources.is_empty();
        self.update_namespace(namespaces, name, Part::Status, |namespace| left.tell(namespace));
        if is_empty {
            self.update_namespace(namespaces, name, Part::Finalize, |namespace| {
                if let Some(holds) = namespace["spec"]["finalizers"].as_array_mut() {
                    holds.retain(|hold| hold != CONTENT);
                }
            });
        }
    }

    fn update_namespace(&mut self, kind: usize, name: &str, part: Part, change: impl FnOnce(&mut Value)) {
        let Some(was) = self.store.get(kind, name).cloned() else { return };
        let mut object = (*was.object).clone();
        change(&mut object);
        let target = Target { kind, namespace: String::new(), name: name.to_owned(), part };
        let next = Next { object, owners: (*was.owners).clone(), is_decoded: true };
        // Nobody writes in between, so that nothing is refused.
        drop(self.update(&target, &was, next));
    }
}

/// What is left in a namespace that is being deleted.
#[derive(Default)]
struct Left {
    resources: BTreeMap<String, usize>,
    finalizers: BTreeMap<String, usize>,
}

impl Left {
    fn count(&mut self, kind: &Kind, object: &Value) {
        *self.resources.entry(format!("{}.{}", kind.plural, kind.group)).or_default() += 1;
        for finalizer in finalizers(object).iter().filter_map(Value::as_str) {
            *self.finalizers.entry(finalizer.to_owned()).or_default() += 1;
        }
    }

    /// Puts it into the conditions of the namespace, as the namespace controller does.
    fn tell(&self, namespace: &mut Value) {
        let counted = |counts: &BTreeMap<String, usize>, words: &str| {
            let texts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {words} {count} resource instances")).collect();
            texts.join(", ")
        };
        let resources = format!("Some resources are remaining: {}", counted(&self.resources, "has"));
        let finalizers = format!("Some content in the namespace has finalizers remaining: {}", counted(&self.finalizers, "in"));
        let conditions = [
            ("NamespaceDeletionDiscoveryFailure", false, "ResourcesDiscovered", "All resources successfully discovered".to_owned()),
            ("NamespaceDeletionGroupVersionParsingFailure", false, "ParsedGroupVersions", "All legacy kube types successfully parsed".to_owned()),
            (
                "NamespaceDeletionContentFailure",
                false,
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization".to_owned(),
            ),
            if self.resources.is_empty() {
                ("NamespaceContentRemaining", false, "ContentRemoved", "All content successfully removed".to_owned())
            } else {
                ("NamespaceContentRemaining", true, "SomeResourcesRemain", resources)
            },
            if self.finalizers.is_empty() {
                ("NamespaceFinalizersRemaining", false, "ContentHasNoFinalizers", "All content-preserving finalizers finished".to_owned())
            } else {
                ("NamespaceFinalizersRemaining", true, "SomeFinalizersRemain", finalizers)
            },
        ];
        let before = namespace["status"]["conditions"].take();
        let conditions = conditions.into_iter().map(|(type_, holds, reason, message)| {
            let status = if holds { "True" } else { "False" };
            let same = before.as_array().into_iter().flatten().find(|before| before["type"] == type_ && before["status"] == status);
            let since = same.map_or_else(|| now().into(), |before| before["lastTransitionTime"].clone());
            json!({"type": type_, "status": status, "lastTransitionTime": since, "reason": reason, "message": message})
        });
        namespace["status"]["conditions"] = conditions.collect();
    }
}
