//! Comparing what the two servers say, of which UIDs, versions, times and generated names differ by nature.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::servers::Pair;

/// The year that times begin with which are written, not told by a clock.
pub const PAST: &str = "2020";

/// What a server calls what the other calls otherwise, each by the number under which it was met first.
#[derive(Debug, Default)]
struct Names {
    uids: HashMap<String, usize>,
    generated: Vec<String>,
}

/// What is taken out of a value before it is compared.
#[derive(Debug, Default)]
struct Extract {
    /// Versions of objects.
    versions: Vec<u64>,
    /// Versions of lists and bookmarks, which tell how far a server is.
    positions: Vec<u64>,
}

/// What is known of both servers together.
#[derive(Debug, Default)]
pub struct Comparison {
    names: Pair<Names>,
    /// Versions of the real server, and those of the model that are the same.
    versions: BTreeMap<u64, u64>,
    /// The other way round.
    model_versions: BTreeMap<u64, u64>,
}

impl Comparison {
    /// A name that was generated for one and the same object.
    pub fn generated(&mut self, name: &Pair<String>) {
        self.names.real.generated.push(name.real.clone());
        self.names.model.generated.push(name.model.clone());
    }

    /// The last version that both have.
    pub fn last_version(&self) -> Option<Pair<u64>> {
        self.versions.last_key_value().map(|(real, model)| Pair { real: *real, model: *model })
    }

    /// Compares two values, with their versions.
    ///
    /// # Errors
    /// Where they differ. Says how.
    pub fn check(&mut self, values: &Pair<Value>) -> Result<()> {
        let (mut real, mut model) = (values.real.clone(), values.model.clone());
        let extracts = Pair { real: self.names.real.extract(&mut real), model: self.names.model.extract(&mut model) };
        ensure!(real == model, "the real server: {real:#}\nthe model: {model:#}\n{}", differences("", &real, &model).join("\n"));
        let versions = extracts.real.versions.iter().zip(&extracts.model.versions);
        versions.into_iter().try_for_each(|(real, model)| self.same_version(*real, *model))?;
        let positions = extracts.real.positions.iter().zip(&extracts.model.positions);
        positions.into_iter().try_for_each(|(real, model)| self.same_position(*real, *model))
    }

    /// Both met a version of the same object in the same place: it is one and the same, and in the same order with all others.
    fn same_version(&mut self, real: u64, model: u64) -> Result<()> {
        let known = (self.versions.get(&real), self.model_versions.get(&model));
        if known == (Some(&model), Some(&real)) {
            return Ok(());
        }
        ensure!(known == (None, None), "version {real} of the real server is {model} of the model, and known are {known:?}");
        let before = (self.versions.range(..real).next_back(), self.model_versions.range(..model).next_back());
        let is_in_order = match before {
            (Some((real, model)), Some((known_model, known_real))) => real == known_real && model == known_model,
            before => before == (None, None),
        };
        ensure!(is_in_order, "version {real} of the real server is {model} of the model; before them come {before:?}");
        self.versions.insert(real, model);
        self.model_versions.insert(model, real);
        Ok(())
    }

    /// Both are as far as this. Versions in between are nothing that the model has.
    fn same_position(&self, real: u64, model: u64) -> Result<()> {
        let before = (self.versions.range(..=real).next_back(), self.model_versions.range(..=model).next_back());
        let is_same = match before {
            (Some((real, model)), Some((known_model, known_real))) => real == known_real && model == known_model,
            before => before == (None, None),
        };
        ensure!(is_same, "a list is of version {real} and {model}; the last before them are {before:?}");
        Ok(())
    }
}

impl Names {
    fn extract(&mut self, value: &mut Value) -> Extract {
        let mut extract = Extract::default();
        if value.get("items").is_some()
            && let Some(position) = value.pointer_mut("/metadata/resourceVersion").map(Value::take)
        {
            extract.positions.extend(position.as_str().and_then(|text| text.parse::<u64>().ok()));
        }
        self.walk(value, "", &mut extract);
        extract
    }

    fn walk(&mut self, value: &mut Value, field: &str, extract: &mut Extract) {
        match value {
            Value::Object(map) => {
                map.remove("managedFields");
                map.iter_mut().for_each(|(name, value)| self.walk(value, name, extract));
                // Whose fields are told of first is up to chance.
                if let Some(Value::Array(causes)) = map.get_mut("causes") {
                    causes.sort_by_key(Value::to_string);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk(item, field, extract)),
            Value::String(text) => match field {
                "resourceVersion" => {
                    extract.versions.extend(text.parse::<u64>().ok());
                    "version".clone_into(text);
                }
                "uid" => {
                    let next = self.uids.len();
                    *text = format!("uid {}", self.uids.entry(text.clone()).or_insert(next));
                }
                "creationTimestamp" | "deletionTimestamp" => "time".clone_into(text),
                "lastTransitionTime" if !text.starts_with(PAST) => "time".clone_into(text),
                "continue" if !text.is_empty() => "token".clone_into(text),
                "message" => *text = self.without_names(text, true),
                _ => *text = self.without_names(text, false),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn without_names(&self, text: &str, is_message: bool) -> String {
        let mut text = text.to_owned();
        for (number, name) in self.generated.iter().enumerate() {
            text = text.replace(name, &format!("generated {number}"));
        }
        if is_message {
            let uids: Vec<(&String, &usize)> = self.uids.iter().filter(|(uid, _)| text.contains(uid.as_str())).collect();
            uids.into_iter().for_each(|(uid, number)| text = text.replace(uid, &format!("uid {number}")));
            text = without_numbers(&text);
        }
        text
    }
}

/// A text with `#` in the place of each number: versions stand in messages.
fn without_numbers(text: &str) -> String {
    let mut result = String::new();
    for c in text.chars() {
        if !c.is_ascii_digit() {
            result.push(c);
        } else if !result.ends_with('#') {
            result.push('#');
        }
    }
    result
}

/// Where two values differ.
fn differences(path: &str, real: &Value, model: &Value) -> Vec<String> {
    match (real, model) {
        (Value::Object(one), Value::Object(other)) => {
            let missing = Value::Null;
            let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
            names
                .flat_map(|name| differences(&format!("{path}/{name}"), one.get(name).unwrap_or(&missing), other.get(name).unwrap_or(&missing)))
                .collect()
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            one.iter().zip(other).enumerate().flat_map(|(n, (one, other))| differences(&format!("{path}/{n}"), one, other)).collect()
        }
        _ if real == model => vec![],
        _ => vec![format!("at {path}: {real} (real) and {model} (model)")],
    }
}
