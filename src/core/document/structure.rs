//! The grammar of the policy language (IAM user guide, "Grammar of the IAM JSON policy language"): what IAM would refuse, found before it is asked.

use serde_json::{Map, Number, Value};

use super::statement::{Effect, items};
use super::{Document, DocumentKind, DocumentProblem, Message, Problems, VERSION_2008, VERSION_2012, item, member, quoted};
use crate::names::{AccountID, Arn, Partition, is_unique_id};

/// The condition operators, without prefix and suffix. IAM compares them without regard to case.
const OPERATORS: [&str; 27] = [
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
    "StringLike",
    "StringNotLike",
    "NumericEquals",
    "NumericNotEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "DateEquals",
    "DateNotEquals",
    "DateLessThan",
    "DateLessThanEquals",
    "DateGreaterThan",
    "DateGreaterThanEquals",
    "Bool",
    "BinaryEquals",
    "IpAddress",
    "NotIpAddress",
    "ArnEquals",
    "ArnNotEquals",
    "ArnLike",
    "ArnNotLike",
    "Null",
];

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
        let is_sid = |sid: &Value| sid.as_str().is_some_and(|sid| sid.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        if statement.get("Sid").is_some_and(|sid| !is_sid(sid)) {
            self.report(member(path, "Sid"), "a Sid is made of ASCII letters and digits only");
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
            DocumentKind::Permissions => {
                self.one_of(statement, path, ["Resource", "NotResource"]);
                self.absent(statement, path, ["Principal", "NotPrincipal"], "a permissions policy has none: it applies to the identity that has it");
            }
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
            if !is_operator(operator) {
                self.report(&path, "no condition operator of IAM");
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
                self.condition_values(operator, values, &path);
            }
        }
    }

    fn condition_values(&mut self, operator: &str, values: &Value, path: &Message) {
        for (index, value) in items(values).iter().enumerate() {
            let path = if values.is_array() { item(path, index) } else { path.clone() };
            if let Some(problem) = condition_value_problem(operator, value) {
                self.report(path, problem);
            }
        }
    }
}

fn list(words: &[&'static str]) -> Message {
    let separated = words.iter().enumerate().flat_map(|(index, word)| [if index == 0 { "" } else { ", " }, *word]);
    separated.fold(Message::default(), Message::words)
}

/// What is wrong with a value of a condition with this operator, if anything.
pub(crate) fn condition_value_problem(operator: &str, value: &Value) -> Option<Message> {
    let quote = |number: &Number| Message::from("quote ").quote(&number.to_string(), "this number");
    match value {
        // Other tools may write 1.10 as 1.1, and then it is another text.
        Value::Number(number) if number.is_f64() => Some(quote(number).words(": a fraction may change on its way")),
        Value::Number(number) if !takes_numbers(operator) => {
            let message = quote(number).words(": ").quote(operator, "the operator");
            Some(message.words(" compares text, and YAML changes numbers such as account ids on the way"))
        }
        Value::String(_) | Value::Bool(_) | Value::Number(_) => None,
        Value::Null | Value::Array(_) | Value::Object(_) => Some("write a string, a number or a boolean, or a list of them".into()),
    }
}

/// Whether an operator compares numbers, or times that may be told in seconds.
fn takes_numbers(operator: &str) -> bool {
    let operator = operator.to_ascii_lowercase();
    let base = operator.rsplit(':').next().unwrap_or_default();
    base.starts_with("numeric") || base.starts_with("date")
}

fn is_operator(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let base = text.strip_prefix("forallvalues:").or_else(|| text.strip_prefix("foranyvalue:")).unwrap_or(&text);
    let base = base.strip_suffix("ifexists").unwrap_or(base);
    // "Null" asks whether a key exists; together with IfExists it means nothing.
    let contradicts = base == "null" && text.ends_with("ifexists");
    !contradicts && OPERATORS.iter().any(|operator| operator.eq_ignore_ascii_case(base))
}

fn action_problem(action: &str) -> Option<&'static str> {
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_*?".contains(&byte));
    let valid = action == "*" || action.split_once(':').is_some_and(|(service, name)| is_name(service) && is_name(name));
    (!valid).then_some("an action is written service:Name, as in s3:ListAllMyBuckets; * and ? are wildcards")
}

fn resource_problem(resource: &str) -> Option<&'static str> {
    let valid = resource.starts_with("arn:") || resource.starts_with('*');
    (!valid).then_some("a resource is an ARN, in which * and ? are wildcards, or \"*\"")
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
