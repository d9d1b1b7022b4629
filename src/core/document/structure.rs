//! The grammar of the policy language (IAM user guide, "Grammar of the IAM JSON policy language"): what IAM would refuse, found before it is asked.

use serde_json::{Map, Value};

use super::conditions::{OPERATORS, operator_problem, value_problem, variable_problem, yaml_problem};
use super::statement::{Effect, StatementRef, condition_text, items};
use super::{Document, DocumentKind, DocumentProblem, Message, Problems, VERSION_2008, VERSION_2012, item, member, quoted};
use crate::names::{AccountID, Arn, Partition, is_unique_id};

/// The elements of a document.
const DOCUMENT: [&str; 3] = ["Version", "Id", "Statement"];

/// The elements of a statement.
const STATEMENT: [&str; 9] = ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];

/// The kinds of principals.
const PRINCIPALS: [&str; 4] = ["AWS", "Service", "Federated", "CanonicalUser"];

/// The word of the policy language that a key is, if it is one.
pub(super) fn word(key: &str) -> Option<&'static str> {
    [DOCUMENT.as_slice(), &STATEMENT, &PRINCIPALS, &OPERATORS].into_iter().flatten().find(|word| **word == key).copied()
}

/// All that is wrong with the structure of `document`, an object, as a document of `kind`.
pub(super) fn lint(document: &Value, kind: DocumentKind) -> Problems {
    let mut lint = Lint { kind, problems: Problems::default() };
    if let Some(object) = document.as_object() {
        lint.document(object);
    }
    lint.problems
}

/// What IAM accepts and hardly anybody means.
pub(super) fn warnings(document: &Document) -> Problems {
    let mut warnings = Problems::default();
    for (index, statement) in document.statements().into_iter().enumerate() {
        let path = item(&Message::from("Statement"), index);
        let resources = [statement.resources(), statement.not_resources()].into_iter().flatten().flatten();
        let conditions = statement.conditions();
        let mut patterns = resources.chain(conditions.iter().flat_map(|condition| condition.values.iter().map(AsRef::as_ref)));
        if document.version() != Some(VERSION_2012) && patterns.any(|pattern| pattern.contains("${")) {
            let message = Message::from("`${...}` is plain text unless Version is \"").words(VERSION_2012).words("\": set it");
            warnings.add(|| DocumentProblem::element(path.clone(), message));
        }
        let without_mfa = |condition: &super::ConditionRef<'_>| {
            condition.operator.eq_ignore_ascii_case("Bool")
                && condition.key.eq_ignore_ascii_case("aws:MultiFactorAuthPresent")
                && condition.values.iter().any(|value| value.eq_ignore_ascii_case("false"))
        };
        if statement.effect() == Some(Effect::Deny) && conditions.iter().any(without_mfa) {
            let message = "requests with long-term keys do not carry aws:MultiFactorAuthPresent and pass this denial: write BoolIfExists for Bool";
            warnings.add(|| DocumentProblem::element(path.words(".Condition"), message));
        }
    }
    warnings
}

/// What YAML may have made of a text in the conditions of `document`, which was written as YAML.
pub(super) fn changed_by_yaml(document: &Value) -> Problems {
    let mut lint = Lint { kind: DocumentKind::Permissions, problems: Problems::default() };
    let statements = document.get("Statement");
    let is_listed = statements.is_some_and(Value::is_array);
    for (index, statement) in statements.into_iter().flat_map(items).enumerate() {
        let path = Message::from("Statement");
        let path = member(&if is_listed { item(&path, index) } else { path }, "Condition");
        for (operator, keys) in statement.get("Condition").and_then(Value::as_object).into_iter().flatten() {
            for (key, values) in keys.as_object().into_iter().flatten() {
                lint.each(values, &member(&member(&path, operator), key), |value| yaml_problem(operator, value));
            }
        }
    }
    lint.problems
}

/// Whether every part of a document has a shape to which the grammar gives a meaning.
pub(super) fn is_understood(document: &Value) -> bool {
    let Some(object) = document.as_object() else { return false };
    let statements = object.get("Statement").map_or(&[][..], items);
    object.keys().all(|key| DOCUMENT.contains(&key.as_str())) && !statements.is_empty() && statements.iter().all(is_understood_statement)
}

fn is_understood_statement(statement: &Value) -> bool {
    let Some(object) = statement.as_object() else { return false };
    let is_text = |value: &Value| items(value).iter().all(Value::is_string);
    let has = |elements: [&str; 2]| elements.iter().filter(|element| object.contains_key(**element)).count();
    let names_kinds = |value: &Value| {
        let kinds = |kinds: &Map<String, Value>| kinds.iter().all(|(kind, names)| PRINCIPALS.contains(&kind.as_str()) && is_text(names));
        value == "*" || value.as_object().is_some_and(kinds)
    };
    let is_value = |value: &Value| items(value).iter().all(|value| condition_text(value).is_some());
    let is_condition = |keys: &Value| keys.as_object().is_some_and(|keys| keys.values().all(is_value));
    let has_meaning = |(element, value): (&String, &Value)| match element.as_str() {
        "Sid" => value.is_string(),
        "Effect" => StatementRef::new(object).effect().is_some(),
        "Action" | "NotAction" | "Resource" | "NotResource" => is_text(value),
        "Principal" | "NotPrincipal" => names_kinds(value),
        "Condition" => value.as_object().is_some_and(|operators| operators.values().all(is_condition)),
        _ => false,
    };
    let is_whole = object.contains_key("Effect") && has(["Action", "NotAction"]) == 1;
    is_whole && has(["Resource", "NotResource"]) <= 1 && has(["Principal", "NotPrincipal"]) <= 1 && object.iter().all(has_meaning)
}

/// Resources that are not of this partition: IAM takes them in no account of it (`Partition "aws" is not valid for resource`, MalformedPolicyDocument).
pub(super) fn elsewhere(document: &Document, partition: &Partition) -> Problems {
    let mut problems = Problems::default();
    for (index, statement) in document.statements().into_iter().enumerate() {
        let path = item(&Message::from("Statement"), index);
        for (element, resources) in [(".Resource", statement.resources()), (".NotResource", statement.not_resources())] {
            let elsewhere = resources.into_iter().flatten().filter(|resource| is_elsewhere(resource, partition));
            for resource in elsewhere {
                problems.add(|| {
                    let right = resource.splitn(3, ':').nth(2).unwrap_or_default();
                    let told = format!("{} is of the wrong partition: write {}", quoted(resource), quoted(&format!("arn:{partition}:{right}")));
                    let instead = "the ARN is of the wrong partition: write that of the account into it";
                    DocumentProblem::element(path.clone().words(element), Message::default().quote(&told, instead))
                });
            }
        }
    }
    problems
}

/// Whether an ARN names another partition. What a wildcard may mean is left to IAM.
fn is_elsewhere(resource: &str, partition: &Partition) -> bool {
    let named = resource.strip_prefix("arn:").and_then(|rest| rest.split(':').next());
    named.is_some_and(|named| !named.contains(['*', '?']) && named != partition.as_str())
}

struct Lint {
    kind: DocumentKind,
    problems: Problems,
}

impl Lint {
    fn report(&mut self, path: impl Into<Message>, message: impl Into<Message>) {
        self.problems.add(|| DocumentProblem::element(path.into(), message));
    }

    fn document(&mut self, document: &Map<String, Value>) {
        self.known(document, &Message::default(), &DOCUMENT);
        if document.get("Version").is_some_and(|version| ![VERSION_2012, VERSION_2008].iter().any(|known| version == known)) {
            self.report("Version", Message::from("write \"").words(VERSION_2012).words("\", the current version of the policy language"));
        }
        if document.get("Id").is_some_and(|id| !id.is_string()) {
            self.report("Id", "write a string");
        }
        match document.get("Statement") {
            Some(Value::Object(statement)) => self.statement(statement, &Message::from("Statement")),
            Some(Value::Array(statements)) if !statements.is_empty() => {
                for (index, statement) in statements.iter().enumerate() {
                    let path = item(&Message::from("Statement"), index);
                    match statement {
                        Value::Object(statement) => self.statement(statement, &path),
                        _ => self.report(path, "a statement is an object: write {\"Effect\": \"Allow\", ...}"),
                    }
                }
            }
            _ => self.report("Statement", "write at least one statement"),
        }
    }

    fn statement(&mut self, statement: &Map<String, Value>, path: &Message) {
        self.known(statement, path, &STATEMENT);
        if self.kind == DocumentKind::Permissions {
            // First, since who has pasted a trust policy is to hear of that before anything else.
            let message = "a permissions policy has none: it applies to the identity that has it; who may assume a role is written in its spec.trust";
            self.absent(statement, path, ["Principal", "NotPrincipal"], message);
        }
        match statement.get("Sid") {
            Some(Value::String(sid)) if !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                self.report(member(path, "Sid"), "a Sid is made of ASCII letters and digits only");
            }
            None | Some(Value::String(_)) => {}
            Some(_) => self.report(member(path, "Sid"), "write a string"),
        }
        let is_effect = |effect: &Value| [Effect::Allow, Effect::Deny].iter().any(|known| effect == known.as_str());
        if !statement.get("Effect").is_some_and(is_effect) {
            self.report(member(path, "Effect"), "write exactly \"Allow\" or \"Deny\"");
        }
        self.one_of(statement, path, ["Action", "NotAction"]);
        for element in ["Action", "NotAction"] {
            self.strings(statement, path, element, action_problem);
        }
        match self.kind {
            DocumentKind::Permissions => self.one_of(statement, path, ["Resource", "NotResource"]),
            DocumentKind::Trust => {
                self.absent(statement, path, ["Resource", "NotResource"], "a trust policy has none: it applies to its role");
                self.absent(statement, path, ["NotPrincipal"], "a role's trust policy names who may assume it: write Principal");
                match statement.get("Principal") {
                    Some(principal) => self.principal(principal, &member(path, "Principal")),
                    None => self.report(member(path, "Principal"), "a trust policy's statement names who it is about: write Principal"),
                }
            }
        }
        for element in ["Resource", "NotResource"] {
            self.strings(statement, path, element, resource_problem);
        }
        if let Some(condition) = statement.get("Condition") {
            self.condition(condition, &member(path, "Condition"));
        }
    }

    /// Refuses the members of `object` that are not among `elements`, whose spelling counts.
    fn known(&mut self, object: &Map<String, Value>, path: &Message, elements: &[&'static str]) {
        for key in object.keys().filter(|key| !elements.contains(&key.as_str())) {
            let path = member(path, key);
            match elements.iter().find(|element| element.eq_ignore_ascii_case(key)) {
                Some(element) => self.report(path, Message::from("no element of a policy: write ").words(element)),
                None => self.report(path, Message::from("no element of a policy: remove it (there are ").then(&list(elements)).words(")")),
            }
        }
    }

    fn one_of(&mut self, statement: &Map<String, Value>, path: &Message, [positive, negative]: [&'static str; 2]) {
        let message = match (statement.contains_key(positive), statement.contains_key(negative)) {
            (true, true) => Message::from(positive).words(" and ").words(negative).words(" exclude each other: remove one"),
            (false, false) => Message::from("write ").words(positive).words(" or ").words(negative),
            _ => return,
        };
        self.report(path, message);
    }

    fn absent<const N: usize>(&mut self, statement: &Map<String, Value>, path: &Message, elements: [&str; N], message: &'static str) {
        for element in elements.into_iter().filter(|element| statement.contains_key(*element)) {
            self.report(member(path, element), message);
        }
    }

    /// A string or a list of strings, each of which `problem` passes.
    fn strings(&mut self, object: &Map<String, Value>, path: &Message, element: &str, problem: fn(&str) -> Option<&'static str>) {
        let Some(value) = object.get(element) else { return };
        let path = member(path, element);
        let items = items(value);
        if items.is_empty() {
            self.report(&path, "the list is empty: write at least one, or remove what has nothing to say");
        }
        for (index, inner) in items.iter().enumerate() {
            let path = if value.is_array() { item(&path, index) } else { path.clone() };
            match inner.as_str() {
                Some(text) => {
                    if let Some(message) = problem(text) {
                        self.report(path, Message::default().quote(&format!("{}: ", quoted(text)), "").words(message));
                    }
                }
                None => self.report(path, "write a string"),
            }
        }
    }

    fn principal(&mut self, principal: &Value, path: &Message) {
        match principal {
            Value::String(everyone) if everyone == "*" => {}
            Value::Object(kinds) => {
                self.known(kinds, path, &PRINCIPALS);
                if kinds.values().all(|names| items(names).is_empty()) {
                    self.report(path, "nobody is named: name at least one principal");
                }
                for kind in PRINCIPALS.into_iter().filter(|kind| kinds.get(*kind).is_some_and(|names| !items(names).is_empty())) {
                    self.strings(kinds, path, kind, if kind == "AWS" { aws_principal_problem } else { other_principal_problem });
                }
            }
            _ => self.report(path, "write {\"AWS\": \"arn:...\"}, or another kind of principal for AWS"),
        }
    }

    fn condition(&mut self, condition: &Value, path: &Message) {
        let Some(operators) = condition.as_object() else {
            return self.report(path, "write {\"operator\": {\"key\": \"value\"}}");
        };
        for (operator, keys) in operators {
            let path = member(path, operator);
            if let Some(problem) = operator_problem(operator) {
                self.report(&path, problem);
            }
            let Some(keys) = keys.as_object().filter(|keys| !keys.is_empty()) else {
                self.report(&path, "write {\"key\": \"value\"}");
                continue;
            };
            for (key, values) in keys {
                let path = member(&path, key);
                if !key.contains(':') {
                    self.report(&path, "a condition key has a prefix, as in aws:SourceIp");
                }
                self.each(values, &path, value_problem);
            }
        }
    }

    /// Tells what is wrong with each value of a condition.
    fn each(&mut self, values: &Value, path: &Message, problem: impl Fn(&Value) -> Option<Message>) {
        for (index, value) in items(values).iter().enumerate() {
            if let Some(problem) = problem(value) {
                self.report(if values.is_array() { item(path, index) } else { path.clone() }, problem);
            }
        }
    }
}

fn list(words: &[&'static str]) -> Message {
    let separated = words.iter().enumerate().flat_map(|(index, word)| [if index == 0 { "" } else { ", " }, *word]);
    separated.fold(Message::default(), Message::words)
}

fn action_problem(action: &str) -> Option<&'static str> {
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_*?".contains(&byte));
    let valid = action == "*" || action.split_once(':').is_some_and(|(service, name)| is_name(service) && is_name(name));
    (!valid).then_some("an action is written service:Name, as in s3:ListAllMyBuckets; * and ? are wildcards")
}

fn resource_problem(resource: &str) -> Option<&'static str> {
    let valid = resource.starts_with("arn:") || resource.starts_with('*');
    variable_problem(resource).or_else(|| (!valid).then_some("a resource is an ARN, in which * and ? are wildcards, or \"*\""))
}

fn aws_principal_problem(principal: &str) -> Option<&'static str> {
    if is_unique_id(principal) {
        return Some("this is the unique ID that IAM leaves of a principal that was deleted: name one that exists, by its ARN");
    }
    if principal == "*" || AccountID::try_from(principal).is_ok() {
        return None;
    }
    match Arn::try_from(principal) {
        Ok(arn) if arn.has_wildcard() => {
            Some("a principal has no wildcards: name each, or name the account and narrow it by a condition on aws:PrincipalArn")
        }
        Ok(arn) if !matches!(arn.service(), "iam" | "sts") => Some("only users, roles, their sessions and accounts are AWS principals"),
        Ok(_) => None,
        Err(_) => Some("an AWS principal is an account id, the ARN of a user, role or session, or \"*\""),
    }
}

fn other_principal_problem(principal: &str) -> Option<&'static str> {
    let valid = !principal.is_empty() && !principal.contains(['*', '?', ' ']);
    (!valid).then_some("name one service, provider or canonical user; there are no wildcards here")
}
