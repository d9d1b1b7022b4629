//! Which policy documents IAM takes (IAM user guide, "Grammar of the IAM JSON policy language"; the texts are IAM's).

use serde_json::{Map, Value};

use super::refusal::{Answer, Code, Refusal};

/// The statements of a document: a list, or one that stands alone.
pub(super) fn statements(document: &Value) -> &[Value] {
    match document.get("Statement") {
        None => &[],
        Some(Value::Array(statements)) => statements,
        Some(statement) => std::slice::from_ref(statement),
    }
}

/// The strings of an element that holds one or a list of them.
pub(super) fn strings(element: &Value) -> Vec<&str> {
    match element {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        single => single.as_str().into_iter().collect(),
    }
}

fn syntax() -> Refusal {
    Refusal::malformed("Syntax errors in policy.")
}

/// Reads a text that is to be a policy.
///
/// Statement 14: its characters are tab, line feed, carriage return and U+0020 to U+00FF.
pub(super) fn read(text: &str) -> Answer<Value> {
    if !text.chars().all(|character| matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}')) {
        return Err(Refusal::invalid("The specified value for policyDocument is invalid. It must contain only printable ASCII characters."));
    }
    let document: Value = serde_json::from_str(text).map_err(|_| syntax())?;
    if document.is_object() { Ok(document) } else { Err(syntax()) }
}

/// Whether it can be a policy of permissions.
pub(super) fn check_permissions(document: &Value) -> Answer {
    check_frame(document)?;
    if document.get("Version").is_none_or(|version| version != "2012-10-17") {
        return Err(Refusal::malformed("Policy document must be version 2012-10-17 or greater."));
    }
    check_statements(document, &PERMISSIONS, |statement| {
        let actions = one_of(statement, "Action", "NotAction")?.ok_or_else(|| Refusal::malformed("Policy statement must contain actions."))?;
        let resources =
            one_of(statement, "Resource", "NotResource")?.ok_or_else(|| Refusal::malformed("Policy statement must contain resources."))?;
        let is_action = |action: &&str| *action == "*" || action.split_once(':').is_some_and(|(service, name)| is_action(service, name));
        if !actions.iter().all(is_action) {
            return Err(Refusal::malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."));
        }
        match resources.iter().find(|resource| **resource != "*" && !resource.starts_with("arn:")) {
            Some(resource) => Err(Refusal::malformed(format!("Resource {resource} must be in ARN format or \"*\"."))),
            None => Ok(()),
        }
    })
}

/// Whether it has the form of a trust policy. Statements 9 and 39 are about its principals; `check_principal` is asked about each, by its kind.
pub(super) fn check_trust(document: &Value, check_principal: &mut dyn FnMut(&str, &str) -> Answer) -> Answer {
    check_frame(document)?;
    check_statements(document, &TRUST, |statement| {
        let actions = one_of(statement, "Action", "NotAction")?.ok_or_else(|| Refusal::malformed("Missing required field Action"))?;
        if !actions.iter().all(|action| action.get(..4).is_some_and(|service| service.eq_ignore_ascii_case("sts:"))) {
            return Err(Refusal::malformed("AssumeRole policy may only specify STS AssumeRole actions."));
        }
        check_principals(statement, check_principal)
    })
}

/// The claims that name the tenant in the tokens of issuers that many share (IAM user guide, "Identity-provider controls for shared OIDC providers"), as
/// far as statement 57 names them. One of them has to be asked for.
const TENANTS: [(&str, &[&str]); 10] = [
    ("agent.buildkite.com", &["agent.buildkite.com:sub"]),
    ("api.pulumi.com/oidc", &["api.pulumi.com/oidc:aud"]),
    ("app.terraform.io", &["app.terraform.io:sub"]),
    ("cognito-identity.amazonaws.com", &["cognito-identity.amazonaws.com:aud"]),
    ("gitlab.com", &["gitlab.com:sub"]),
    ("oidc.vercel.com", &["oidc.vercel.com:aud"]),
    ("proidc.upbound.io", &["proidc.upbound.io:sub"]),
    ("scalr.io", &["scalr.io:sub"]),
    ("sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d", &["sts:RoleSessionName"]),
    ("token.actions.githubusercontent.com", &["token.actions.githubusercontent.com:sub", "token.actions.githubusercontent.com:job_workflow_ref"]),
];

/// Statement 57: whether all that lets holders of tokens of a shared issuer in says of which tenant.
pub(super) fn check_shared_issuers(document: &Value) -> Answer {
    for statement in statements(document).iter().filter(|statement| statement["Effect"] == "Allow" && is_for_tokens(statement)) {
        for principal in strings(&statement["Principal"]["Federated"]) {
            let issuer = principal.split_once(":oidc-provider/").map_or(principal, |(_, issuer)| issuer);
            let Some((_, keys)) = TENANTS.iter().find(|(shared, _)| *shared == issuer) else { continue };
            if !narrows(&statement["Condition"], keys) {
                return Err(Refusal::malformed(format!(
                    "Trust policy with trusted principal {principal} must evaluate, using StringEquals, StringLike or StringEqualsIgnoreCase, {} \
                     which is not scoped to all.",
                    keys.join(" or ")
                )));
            }
        }
    }
    Ok(())
}

/// Whether a statement is about the action that takes tokens.
fn is_for_tokens(statement: &Value) -> bool {
    const ACTION: &str = "sts:assumerolewithwebidentity";
    let names = |element: &str| {
        let actions = strings(&statement[element]).into_iter().map(str::to_ascii_lowercase);
        actions.into_iter().any(|action| action.strip_suffix('*').map_or(action == ACTION, |start| ACTION.starts_with(start)))
    };
    if statement.get("Action").is_some() { names("Action") } else { !names("NotAction") }
}

/// Whether a condition asks for one of the keys, in a block in which nothing begins with a wildcard.
fn narrows(condition: &Value, keys: &[&str]) -> bool {
    let asks = |block: &Value| {
        let values = block.as_object().into_iter().flatten().filter(|(key, _)| keys.iter().any(|wanted| wanted.eq_ignore_ascii_case(key)));
        let values: Vec<&str> = values.flat_map(|(_, value)| strings(value)).collect();
        !values.is_empty() && values.iter().all(|value| !value.trim().is_empty() && !value.starts_with(['*', '?']))
    };
    let blocks = condition.as_object().into_iter().flatten();
    let mut asking = blocks.filter(|(operator, _)| {
        let operator = operator.rsplit(':').next().unwrap_or_default();
        ["StringEquals", "StringLike", "StringEqualsIgnoreCase"].contains(&operator)
    });
    asking.any(|(_, block)| asks(block))
}

fn check_principals(statement: &Map<String, Value>, check_principal: &mut dyn FnMut(&str, &str) -> Answer) -> Answer {
    let principal = statement.get("Principal").ok_or_else(|| Refusal::malformed("Missing required field Principal"))?;
    if principal == "*" {
        return Ok(());
    }
    let kinds = principal.as_object().ok_or_else(|| invalid_principal("AWS", &principal.to_string()))?;
    if kinds.values().all(|names| strings(names).is_empty()) {
        return Err(Refusal::malformed("Missing required field Principal cannot be empty!"));
    }
    for (kind, names) in kinds {
        strings(names).into_iter().try_for_each(|name| check_principal(kind, name))?;
    }
    Ok(())
}

/// That a principal is none, or not known.
pub(super) fn invalid_principal(kind: &str, name: &str) -> Refusal {
    let kind = if kind == "AWS" { kind.to_owned() } else { kind.to_ascii_uppercase() };
    Refusal::new(Code::InvalidPrincipal, format!("Invalid principal in policy: \"{kind}\":\"{name}\""))
}

/// Which elements a statement may have, and which are named where they may not.
struct Elements {
    allowed: &'static [&'static str],
    prohibited: &'static [&'static str],
}

const PERMISSIONS: Elements = Elements {
    allowed: &["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"],
    prohibited: &["Principal", "NotPrincipal"],
};
const TRUST: Elements = Elements {
    allowed: &["Sid", "Effect", "Principal", "Action", "NotAction", "Condition"],
    prohibited: &["Resource", "NotResource", "NotPrincipal"],
};

fn check_frame(document: &Value) -> Answer {
    let top = document.as_object().ok_or_else(syntax)?;
    let version = top.get("Version").is_none_or(|version| version == "2012-10-17" || version == "2008-10-17");
    let id = top.get("Id").is_none_or(Value::is_string);
    let known = top.keys().all(|key| ["Version", "Id", "Statement"].contains(&key.as_str()));
    if version && id && known && !statements(document).is_empty() { Ok(()) } else { Err(syntax()) }
}

fn check_statements(document: &Value, elements: &Elements, mut check: impl FnMut(&Map<String, Value>) -> Answer) -> Answer {
    let mut sids: Vec<&str> = Vec::new();
    for statement in statements(document) {
        let statement = statement.as_object().ok_or_else(syntax)?;
        if let Some(element) = elements.prohibited.iter().find(|element| statement.contains_key(**element)) {
            return Err(Refusal::malformed(format!("Has prohibited field {element}")));
        }
        if !statement.keys().all(|element| elements.allowed.contains(&element.as_str())) {
            return Err(syntax());
        }
        if !matches!(statement.get("Effect").and_then(Value::as_str), Some("Allow" | "Deny")) {
            return Err(syntax());
        }
        check_sid(statement, &mut sids)?;
        check_condition(statement)?;
        check(statement)?;
    }
    Ok(())
}

fn check_sid<'d>(statement: &'d Map<String, Value>, seen: &mut Vec<&'d str>) -> Answer {
    let Some(sid) = statement.get("Sid") else { return Ok(()) };
    let sid = sid.as_str().ok_or_else(syntax)?;
    if !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Refusal::malformed("Statement IDs (SID) must be alpha-numeric."));
    }
    if !sid.is_empty() && seen.contains(&sid) {
        return Err(Refusal::malformed("Statement IDs (SID) in a single policy must be unique."));
    }
    seen.push(sid);
    Ok(())
}

/// Operators with keys, and each with one value or a list.
fn check_condition(statement: &Map<String, Value>) -> Answer {
    let Some(condition) = statement.get("Condition") else { return Ok(()) };
    let is_scalar = |value: &Value| !value.is_array() && !value.is_object();
    let is_value = |value: &Value| value.as_array().map_or(is_scalar(value), |values| values.iter().all(is_scalar));
    let is_block = |block: &Value| block.as_object().is_some_and(|keys| keys.values().all(is_value));
    if condition.as_object().is_some_and(|operators| operators.values().all(is_block)) { Ok(()) } else { Err(syntax()) }
}

/// The strings of an element or of its negation; None where there are none.
fn one_of<'d>(statement: &'d Map<String, Value>, element: &str, negated: &str) -> Answer<Option<Vec<&'d str>>> {
    let found = match (statement.get(element), statement.get(negated)) {
        (Some(_), Some(_)) => return Err(syntax()),
        (one, other) => one.or(other),
    };
    let Some(found) = found else { return Ok(None) };
    let is_made_of_strings = found.is_string() || found.as_array().is_some_and(|items| items.iter().all(Value::is_string));
    if !is_made_of_strings {
        return Err(syntax());
    }
    Ok(Some(strings(found)).filter(|found| !found.is_empty()))
}

fn is_action(service: &str, name: &str) -> bool {
    !service.is_empty() && !service.contains(' ') && !name.is_empty() && !name.contains(':')
}
