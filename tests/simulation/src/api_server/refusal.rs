//! What the API server answers where it refuses: `Status` objects, in its own words.

use serde_json::{Map, Value, json};

use super::kinds::Kind;

/// A refusal.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The code of HTTP.
    pub code: u16,
    reason: &'static str,
    message: String,
    details: Option<Value>,
    /// Where a list can be gone on with, for a page that is not to be had any more.
    next: Option<String>,
}

/// One field that is not as it should be.
#[derive(Clone, Debug)]
pub struct Fault {
    reason: &'static str,
    field: String,
    message: String,
}

impl Fault {
    /// A value of the wrong type: null, where there has to be something.
    pub fn is_null(field: String, type_: &str) -> Self {
        let message = format!("Invalid value: \"null\": {field} in body must be of type {type_}: \"null\"");
        Self { reason: "FieldValueTypeInvalid", field, message }
    }

    /// What is said where rules were not looked at since the object is broken.
    pub fn unchecked() -> Self {
        let why = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
        Self::invalid("<nil>", "null", why)
    }

    /// A value that is wrong.
    pub fn invalid(field: &str, value: &str, why: &str) -> Self {
        Self { reason: "FieldValueInvalid", field: field.to_owned(), message: format!("Invalid value: {value}: {why}") }
    }

    /// A value that is missing.
    pub fn required(field: &str, why: &str) -> Self {
        Self { reason: "FieldValueRequired", field: field.to_owned(), message: format!("Required value: {why}") }
    }

    /// A value that may not be there.
    pub fn forbidden(field: &str, why: &str) -> Self {
        Self { reason: "FieldValueForbidden", field: field.to_owned(), message: format!("Forbidden: {why}") }
    }
}

impl Refusal {
    fn new(code: u16, reason: &'static str, message: String) -> Self {
        Self { code, reason, message, details: None, next: None }
    }

    fn of(kind: &Kind, name: &str, code: u16, reason: &'static str, message: String) -> Self {
        Self { details: Some(details(&kind.group, &kind.plural, name)), ..Self::new(code, reason, message) }
    }

    /// There is no object of this name.
    pub fn not_found(kind: &Kind, name: &str) -> Self {
        Self::of(kind, name, 404, "NotFound", format!("{} \"{name}\" not found", kind.resource()))
    }

    /// There is no such path.
    pub fn no_such_path() -> Self {
        let refusal = Self::new(404, "NotFound", "the server could not find the requested resource".to_owned());
        Self { details: Some(json!({})), ..refusal }
    }

    /// There is an object of this name.
    pub fn already_exists(kind: &Kind, name: &str, is_terminating: bool) -> Self {
        let prefix = if is_terminating { "object is being deleted: " } else { "" };
        Self::of(kind, name, 409, "AlreadyExists", format!("{prefix}{} \"{name}\" already exists", kind.resource()))
    }

    /// The object is not as the request expects it.
    pub fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        Self::of(kind, name, 409, "Conflict", format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.resource()))
    }

    /// The same, of a deletion, where the API server names the kind in the place of the resource.
    pub fn deletion_conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.qualified());
        Self { details: Some(details(&kind.group, &kind.kind, name)), ..Self::new(409, "Conflict", message) }
    }

    /// The object was changed since.
    pub fn modified(kind: &Kind, name: &str) -> Self {
        Self::conflict(kind, name, "the object has been modified; please apply your changes to the latest version and try again")
    }

    /// Fields that are applied are owned by others: each with what the API server calls its owner.
    pub fn apply_conflict(conflicts: &[(String, String)]) -> Self {
        let message = match conflicts {
            [(owner, field)] => format!("Apply failed with 1 conflict: conflict with {owner}: {field}"),
            _ => {
                let mut lines = vec![];
                for (number, (owner, field)) in conflicts.iter().enumerate() {
                    if number == 0 || conflicts[number - 1].0 != *owner {
                        lines.push(format!("conflicts with {owner}:"));
                    }
                    lines.push(format!("- {field}"));
                }
                format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
            }
        };
        let cause = |(owner, field): &(String, String)| json!({"reason": "FieldManagerConflict", "message": format!("conflict with {owner}"), "field": field});
        let details = json!({"causes": conflicts.iter().map(cause).collect::<Vec<_>>()});
        Self { details: Some(details), ..Self::new(409, "Conflict", message) }
    }

    /// Fields that are applied are not declared.
    pub fn undeclared(kind: &Kind, object: &Value, fields: &[String]) -> Self {
        let texts: Vec<String> = fields.iter().map(|field| format!("{field}: field not declared in schema")).collect();
        let texts = if texts.len() == 1 { texts.concat() } else { format!("errors:\n  {}", texts.join("\n  ")) };
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let version = if kind.group.is_empty() { format!("/{}", kind.api_version) } else { kind.api_version.clone() };
        let (namespace, name) = (text("namespace"), text("name"));
        Self::internal(format!("failed to create typed patch object ({namespace}/{name}; {version}, Kind={}): {texts}", kind.kind))
    }

    /// It may not be.
    pub fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        Self::of(kind, name, 403, "Forbidden", format!("{} \"{name}\" is forbidden: {why}", kind.resource()))
    }

    /// Nothing is created in a namespace that is being deleted.
    pub fn terminating(kind: &Kind, name: &str, namespace: &str) -> Self {
        let mut refusal =
            Self::forbidden(kind, name, &format!("unable to create new content in namespace {namespace} because it is being terminated"));
        if let Some(details) = &mut refusal.details {
            let message = format!("namespace {namespace} is being terminated");
            details["causes"] = json!([{"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}]);
        }
        refusal
    }

    /// Fields are not as they should be. `kind` is what the API server calls it, which is not always the kind.
    pub fn invalid((group, kind): (&str, &str), name: &str, faults: &[Fault]) -> Self {
        let mut texts: Vec<String> = vec![];
        for fault in faults {
            let text = format!("{}: {}", fault.field, fault.message);
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let all = if texts.len() == 1 { texts.concat() } else { format!("[{}]", texts.join(", ")) };
        let causes: Vec<Value> = faults.iter().map(|fault| json!({"reason": fault.reason, "message": fault.message, "field": fault.field})).collect();
        let mut details = details(group, kind, name);
        details["causes"] = causes.into();
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        Self { details: Some(details), ..Self::new(422, "Invalid", format!("{qualified} \"{name}\" is invalid: {all}")) }
    }

    /// A JSON patch does not fit the object.
    pub fn patch_does_not_apply() -> Self {
        let refusal = Self::new(422, "Invalid", "the server rejected our request due to an error in our request".to_owned());
        Self { details: Some(json!({})), ..refusal }
    }

    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message.into())
    }

    /// The content type is none that is known.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!("the body of the request was in an unknown format - accepted media types include: {}", accepted.join(", "));
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// The method is none that the resource has.
    pub fn method_not_allowed() -> Self {
        let refusal = Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource".to_owned());
        Self { details: Some(json!({})), ..refusal }
    }

    /// The version is forgotten.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message.into())
    }

    /// The next page of a list is forgotten. `next` is a token with which the list can be gone on with as it is now.
    pub fn expired_page(next: String) -> Self {
        let message = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the \
                       continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with \
                       the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the \
                       first chunk was returned and now may show up in the list.";
        Self { next: Some(next), ..Self::expired(message) }
    }

    /// The version is yet to come.
    pub fn too_large(version: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {version}, current: {current}");
        let details = json!({"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}], "retryAfterSeconds": 1});
        Self { details: Some(details), ..Self::new(504, "Timeout", message) }
    }

    /// An error that has no reason of its own.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "", message.into())
    }

    /// The `Status`.
    pub fn status(&self) -> Value {
        let mut metadata = Map::new();
        if let Some(next) = &self.next {
            metadata.insert("continue".to_owned(), next.as_str().into());
        }
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure", "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }
}

fn details(group: &str, kind: &str, name: &str) -> Value {
    let fields = [("name", name), ("group", group), ("kind", kind)];
    fields.into_iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| (key.to_owned(), Value::from(value))).collect()
}
