//! The way into a value, step by step.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

/// One step from a value into it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A field of an object.
    Field(Arc<str>),
    /// An item of a list, by its keys or its value, as JSON.
    Item(Arc<str>),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Item(text) => match serde_json::from_str(text) {
                Ok(Value::Object(keys)) => {
                    let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                    write!(f, "[{}]", keys.join(","))
                }
                _ => write!(f, "[={text}]"),
            },
        }
    }
}
