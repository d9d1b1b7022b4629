//! What a policy says while it is written in several steps.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::document::{Document, StatementRef};
use super::reach::{Reach, Says};
use super::shifts::{Shift, Surroundings};

/// The statements of one effect.
#[derive(Debug, Default)]
struct Statements {
    /// What the policy says.
    old: Vec<Value>,
    /// Those of it that go beyond what it is to say.
    outgrown: Vec<Value>,
    /// What it is to say.
    new: Vec<Value>,
}

/// The statements that a policy is put together from, step by step.
#[derive(Debug, Default)]
pub(super) struct Wording {
    version: String,
    permissions: Statements,
    /// The old permissions as far as this policy or another is to allow the same.
    staying: Vec<Value>,
    /// The old permissions as far as this policy is to allow the same.
    kept: Vec<Value>,
    /// The new permissions that this policy allows already, as a part of what it says.
    narrowed: Vec<Value>,
    denials: Statements,
}

impl Wording {
    /// From what a policy says to what it is to say, as far as that is known.
    pub(super) fn between<'a>(old: &Says<'a>, new: &Says<'a>, around: &Surroundings) -> Self {
        let is_same_language = old.version.zip(new.version).is_none_or(|(old, new)| old == new);
        // A variable of the older language is plain text, which another version would not say.
        let is_carried = |statement: &Value| is_same_language || !statement.to_string().contains("${");
        let statements = |old: &[(StatementRef<'a>, Reach)], new: &[(StatementRef<'a>, Reach)]| {
            let to_be: BTreeSet<Reach> = new.iter().map(|(_, reach)| reach.clone()).collect();
            let outgrown = old.iter().filter(|(_, reach)| !around.beyond([reach], &to_be).is_empty());
            Statements {
                old: old.iter().map(|(statement, _)| statement.to_value()).filter(is_carried).collect(),
                outgrown: outgrown.map(|(statement, _)| statement.to_value()).filter(is_carried).collect(),
                new: new.iter().map(|(statement, _)| statement.to_value()).collect(),
            }
        };
        let among = |others: &BTreeSet<Reach>| {
            let left = old.permissions.iter().flat_map(|(statement, reach)| {
                let left = around.among(reach, others).into_iter();
                left.map(|left| left.written(*statement))
            });
            left.filter(is_carried).collect()
        };
        let (old_allowed, new_allowed) = (old.allowed(), new.allowed());
        let in_common: BTreeSet<Reach> = old.permissions.iter().flat_map(|(_, reach)| around.among(reach, &new_allowed)).collect();
        let is_narrower = |reach: &Reach| around.beyond([reach], &old_allowed).is_empty() && !around.beyond([reach], &in_common).is_empty();
        let narrowed = new.permissions.iter().filter(|(_, reach)| is_narrower(reach));
        Self {
            version: new.version.or(old.version).unwrap_or_default().to_owned(),
            permissions: statements(&old.permissions, &new.permissions),
            staying: among(&around.allowed_after),
            kept: among(&new_allowed),
            narrowed: narrowed.map(|(statement, _)| statement.to_value()).filter(is_carried).collect(),
            denials: statements(&old.denials, &new.denials),
        }
    }

    /// The document after some of the shifts. None where it cannot be written; within, None where it says nothing.
    pub(super) fn after(&self, done: &[Shift]) -> Option<Option<Document>> {
        let Self { permissions, staying, kept, narrowed, denials, .. } = self;
        let none = vec![];
        let is_done = |shift| done.contains(&shift);
        let (old_permissions, new_permissions) = match (is_done(Shift::NewPermissions), is_done(Shift::PermissionsEnd)) {
            (false, false) => (&permissions.old, &none),
            (false, true) => (if is_done(Shift::PermissionsMove) { kept } else { staying }, narrowed),
            (true, false) => (&permissions.outgrown, &permissions.new),
            (true, true) => (&none, &permissions.new),
        };
        let (old_denials, new_denials) = match (is_done(Shift::NewDenials), is_done(Shift::DenialsEnd)) {
            (false, false) => (&denials.old, &none),
            (true, false) => (&denials.outgrown, &denials.new),
            (_, true) => (&none, &denials.new),
        };
        let mut statements: Vec<Value> = [old_permissions, old_denials, new_permissions, new_denials].into_iter().flatten().cloned().collect();
        if statements.is_empty() {
            return Some(None);
        }
        // A Sid stands once in a document, and old and new may have the same.
        statements.iter_mut().filter_map(Value::as_object_mut).for_each(|statement| drop(statement.remove("Sid")));
        Document::from_value(json!({"Version": self.version, "Statement": statements})).ok().map(Some)
    }
}
