//! Statements: a builder for those that are generated, and a view on those of a document.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::wildcard::wildcard_match_ignore_case;

/// What a statement does when it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Permits, unless something denies.
    Allow,
    /// Refuses, whatever permits.
    Deny,
}

impl Effect {
    /// The word in a document.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
        }
    }

    /// Reads the word without regard to case: a statement that allows must never be overlooked for its spelling.
    fn read(text: &str) -> Option<Self> {
        [Self::Allow, Self::Deny].into_iter().find(|effect| text.eq_ignore_ascii_case(effect.as_str()))
    }
}

/// A statement to be generated.
///
/// Calls add up. The same content gives the same JSON in whatever order it was added: lists are sorted and free of duplicates, one value alone is
/// written as a scalar, and what is empty is left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Statement {
    sid: Option<String>,
    effect: Effect,
    principals: BTreeMap<&'static str, BTreeSet<String>>,
    actions: BTreeSet<String>,
    not_actions: BTreeSet<String>,
    resources: BTreeSet<String>,
    conditions: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

impl Statement {
    /// An empty statement that allows.
    #[must_use]
    pub fn allow() -> Self {
        Self::of(Effect::Allow)
    }

    /// An empty statement that denies.
    #[must_use]
    pub fn deny() -> Self {
        Self::of(Effect::Deny)
    }

    fn of(effect: Effect) -> Self {
        Self {
            sid: None,
            effect,
            principals: BTreeMap::new(),
            actions: BTreeSet::new(),
            not_actions: BTreeSet::new(),
            resources: BTreeSet::new(),
            conditions: BTreeMap::new(),
        }
    }

    /// Sets the Sid; letters and digits only, once in a document.
    #[must_use]
    pub fn sid(mut self, sid: impl Into<String>) -> Self {
        self.sid = Some(sid.into());
        self
    }

    /// Names everyone as principal.
    #[must_use]
    pub fn anyone(self) -> Self {
        self.principals_aws(["*"])
    }

    /// Adds AWS principals: ARNs of users and roles, or accounts.
    #[must_use]
    pub fn principals_aws(self, principals: impl IntoIterator<Item: Into<String>>) -> Self {
        self.principals("AWS", principals)
    }

    /// Adds AWS services, such as `ec2.amazonaws.com`.
    #[must_use]
    pub fn principals_service(self, services: impl IntoIterator<Item: Into<String>>) -> Self {
        self.principals("Service", services)
    }

    /// Adds identity providers: ARNs of OIDC and SAML providers.
    #[must_use]
    pub fn principals_federated(self, providers: impl IntoIterator<Item: Into<String>>) -> Self {
        self.principals("Federated", providers)
    }

    fn principals(mut self, kind: &'static str, principals: impl IntoIterator<Item: Into<String>>) -> Self {
        self.principals.entry(kind).or_default().extend(principals.into_iter().map(Into::into));
        self
    }

    /// Adds actions that the statement is about.
    #[must_use]
    pub fn actions(mut self, actions: impl IntoIterator<Item: Into<String>>) -> Self {
        self.actions.extend(actions.into_iter().map(Into::into));
        self
    }

    /// Adds actions that the statement is *not* about; all others it is. Not to be mixed with [`Statement::actions`].
    #[must_use]
    pub fn not_actions(mut self, actions: impl IntoIterator<Item: Into<String>>) -> Self {
        self.not_actions.extend(actions.into_iter().map(Into::into));
        self
    }

    /// Adds resources; for permissions, not for trust.
    #[must_use]
    pub fn resources(mut self, resources: impl IntoIterator<Item: Into<String>>) -> Self {
        self.resources.extend(resources.into_iter().map(Into::into));
        self
    }

    /// Adds a condition. All conditions of a statement must hold; of the values of one operator and key, any.
    #[must_use]
    pub fn condition(mut self, operator: impl Into<String>, key: impl Into<String>, values: impl IntoIterator<Item: Into<String>>) -> Self {
        let keys = self.conditions.entry(operator.into()).or_default();
        keys.entry(key.into()).or_default().extend(values.into_iter().map(Into::into));
        self
    }

    /// The statement as JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut object = Map::new();
        let mut put = |element: &str, value: Value| {
            if !is_empty(&value) {
                object.insert(element.to_owned(), value);
            }
        };
        put("Sid", self.sid.clone().map_or(Value::Null, Value::from));
        put("Effect", self.effect.as_str().into());
        put("Principal", object_of(&self.principals, scalar_or_list));
        put("Action", scalar_or_list(&self.actions));
        put("NotAction", scalar_or_list(&self.not_actions));
        put("Resource", scalar_or_list(&self.resources));
        put("Condition", object_of(&self.conditions, |keys| object_of(keys, scalar_or_list)));
        Value::Object(object)
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    }
}

fn scalar_or_list(values: &BTreeSet<String>) -> Value {
    match values.first() {
        Some(only) if values.len() == 1 => Value::from(only.as_str()),
        _ => values.iter().map(String::as_str).collect(),
    }
}

fn object_of<K: AsRef<str>, V>(entries: &BTreeMap<K, V>, write: impl Fn(&V) -> Value) -> Value {
    let entries = entries.iter().map(|(key, value)| (key.as_ref().to_owned(), write(value)));
    Value::Object(entries.filter(|(_, value)| !is_empty(value)).collect())
}

/// A statement of a document.
///
/// It answers about any object in the place of a statement: what has another shape than IAM's is as good as absent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StatementRef<'a> {
    object: &'a Map<String, Value>,
}

/// One condition of a statement: an operator, a key and its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionRef<'a> {
    /// The operator as written, with its prefix (`ForAnyValue:`) and suffix (`IfExists`).
    pub operator: &'a str,
    /// The condition key as written.
    pub key: &'a str,
    /// The values as text; a number or boolean stands for its text, as in IAM.
    pub values: Vec<Cow<'a, str>>,
}

impl<'a> StatementRef<'a> {
    pub(super) fn new(object: &'a Map<String, Value>) -> Self {
        Self { object }
    }

    /// The statement as JSON.
    #[must_use]
    pub fn to_value(self) -> Value {
        Value::Object(self.object.clone())
    }

    /// The Sid.
    #[must_use]
    pub fn sid(self) -> Option<&'a str> {
        self.object.get("Sid").and_then(Value::as_str)
    }

    /// The effect, read without regard to case.
    #[must_use]
    pub fn effect(self) -> Option<Effect> {
        self.object.get("Effect").and_then(Value::as_str).and_then(Effect::read)
    }

    /// The patterns of `Action`; `None` where there is no such element.
    #[must_use]
    pub fn actions(self) -> Option<Vec<&'a str>> {
        self.object.get("Action").map(strings)
    }

    /// The patterns of `NotAction`.
    #[must_use]
    pub fn not_actions(self) -> Option<Vec<&'a str>> {
        self.object.get("NotAction").map(strings)
    }

    /// The patterns of `Resource`.
    #[must_use]
    pub fn resources(self) -> Option<Vec<&'a str>> {
        self.object.get("Resource").map(strings)
    }

    /// The patterns of `NotResource`.
    #[must_use]
    pub fn not_resources(self) -> Option<Vec<&'a str>> {
        self.object.get("NotResource").map(strings)
    }

    /// Whether the statement is about `action`: one of `Action` matches it, or none of `NotAction`. Without regard to case.
    #[must_use]
    pub fn covers_action(self, action: &str) -> bool {
        covers(self.actions(), self.not_actions(), |pattern| wildcard_match_ignore_case(pattern, action))
    }

    /// Whether there is no condition at all.
    #[must_use]
    pub fn is_unconditional(self) -> bool {
        self.object.get("Condition").is_none_or(|conditions| conditions.as_object().is_some_and(Map::is_empty))
    }

    /// What `Principal` names of one kind (`AWS`, `Service`, `Federated`, `CanonicalUser`). A bare `"*"` counts as `AWS`: the user guide gives both
    /// forms as equivalent.
    #[must_use]
    pub fn principals(self, kind: &str) -> Vec<&'a str> {
        match self.object.get("Principal") {
            Some(Value::String(everyone)) if kind == "AWS" => vec![everyone],
            Some(Value::Object(kinds)) => kinds.get(kind).map(strings).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    /// Whether `Principal` names everyone.
    #[must_use]
    pub fn names_everyone(self) -> bool {
        self.principals("AWS").contains(&"*")
    }

    /// Whether it says whom it is about, by `Principal`. By `NotPrincipal` it is about everyone but those it names.
    #[must_use]
    pub fn has_principal(self) -> bool {
        self.object.contains_key("Principal")
    }

    /// The conditions.
    #[must_use]
    pub fn conditions(self) -> Vec<ConditionRef<'a>> {
        let operators = self.object.get("Condition").and_then(Value::as_object).into_iter().flatten();
        let pairs = operators.flat_map(|(operator, keys)| keys.as_object().into_iter().flatten().map(move |(key, values)| (operator, key, values)));
        pairs.map(|(operator, key, values)| ConditionRef { operator, key, values: texts(values) }).collect()
    }
}

fn covers(positive: Option<Vec<&str>>, negative: Option<Vec<&str>>, matches: impl Fn(&str) -> bool) -> bool {
    match (positive, negative) {
        (Some(patterns), _) => patterns.into_iter().any(matches),
        (None, Some(patterns)) => !patterns.into_iter().any(matches),
        (None, None) => false,
    }
}

/// The items of a list; a scalar is a list of one.
pub(crate) fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        scalar => std::slice::from_ref(scalar),
    }
}

fn strings(value: &Value) -> Vec<&str> {
    items(value).iter().filter_map(Value::as_str).collect()
}

fn texts(value: &Value) -> Vec<Cow<'_, str>> {
    items(value).iter().filter_map(condition_text).collect()
}

/// A condition's value as text.
pub(crate) fn condition_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(_) | Value::Number(_) => Some(Cow::Owned(value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
