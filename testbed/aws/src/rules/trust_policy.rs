//! The form of trust policies.

use serde_json::{Map, Value};

use crate::failure::Failure;

/// The statements of a policy document: a list, or one statement that stands alone.
pub fn statements(document: &Value) -> Vec<&Value> {
    match document.get("Statement") {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(single) => vec![single],
        None => Vec::new(),
    }
}

/// As [`statements`], to be changed.
pub fn statements_mut(document: &mut Value) -> Vec<&mut Value> {
    match document.get_mut("Statement") {
        Some(Value::Array(list)) => list.iter_mut().collect(),
        Some(single) => vec![single],
        None => Vec::new(),
    }
}

/// A value that may be one string or a list of strings.
pub fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(one) => vec![one],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Whether this names a whole account: 12 digits, or the ARN of its root.
///
/// Source: UG `reference_policies_elements_principal.md`: both forms mean the same.
pub fn is_account(principal: &str) -> bool {
    is_account_id(principal) || (principal.starts_with("arn:") && principal.ends_with(":root"))
}

/// Whether this is an account id: 12 digits.
pub fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The document with each AWS principal replaced by what `change` makes of it; `None` drops it.
///
/// Principals that stay alone stay alone, lists stay lists.
pub fn map_aws_principals(document: &mut Value, change: &mut dyn FnMut(&str) -> Option<String>) {
    for statement in statements_mut(document) {
        let Some(principals) = statement.get_mut("Principal").and_then(|principal| principal.get_mut("AWS")) else { continue };
        let was_list = principals.is_array();
        let mut changed: Vec<Value> = strings(principals).into_iter().filter_map(&mut *change).map(Value::String).collect();
        *principals = match (was_list, changed.pop()) {
            (false, Some(only)) => only,
            (_, last) => Value::Array(changed.into_iter().chain(last).collect()),
        };
    }
}

/// The document without the principals that name whole accounts: what is left names its principals one by one.
pub fn without_accounts(document: &Value) -> Value {
    let mut named = document.clone();
    map_aws_principals(&mut named, &mut |principal| (!is_account(principal)).then(|| principal.to_owned()));
    named
}

/// The form that IAM stores: an account id becomes the ARN of the account's root.
///
/// Source: UG `reference_policies_elements_principal.md` ("the account ID is transformed into its ARN"); it is why
/// terraform-provider-aws compares both forms as equal. `partition` is that of the role's account.
pub fn accounts_as_root_arns(document: &mut Value, partition: &str) {
    map_aws_principals(document, &mut |principal| {
        Some(if is_account_id(principal) { format!("arn:{partition}:iam::{principal}:root") } else { principal.to_owned() })
    });
}

/// Checks the form of a trust policy and that its principals exist.
///
/// Each statement needs an `Effect`, a `Principal` that is not empty, and actions of STS; it has no `Resource` and no
/// `NotPrincipal`. `exists` answers, by their kind, for services and for AWS principals other than `*`; wildcards inside a principal are not allowed.
/// Sources: UG `reference_policies_elements_principal.md` ("you cannot use a wildcard to match part of a principal name or
/// ARN") and `reference_policies_elements_sid.md`; the texts as quoted in terraform-aws-iam#47, TF#12436 and moto's tests
/// of `UpdateAssumeRolePolicy`; characters: BC `policyDocumentType`.
pub fn validate(text: &str, exists: &dyn Fn(&str, &str) -> bool) -> Result<Value, Failure> {
    if !text.chars().all(|character| matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}')) {
        return Err(Failure::validation(
            "The specified value for assumeRolePolicyDocument is invalid. It must contain only printable ASCII characters.",
        ));
    }
    let document: Value = serde_json::from_str(text).map_err(|_| Failure::malformed_policy("This policy contains invalid Json"))?;
    let top = document.as_object().ok_or_else(syntax)?;
    if !top.keys().all(|key| ["Version", "Id", "Statement"].contains(&key.as_str())) {
        return Err(syntax());
    }
    if top.get("Version").is_some_and(|version| version != "2012-10-17" && version != "2008-10-17") {
        return Err(syntax());
    }
    let statements = statements(&document);
    if statements.is_empty() {
        return Err(syntax());
    }
    let mut sids: Vec<&str> = Vec::new();
    for statement in statements {
        let statement = statement.as_object().ok_or_else(syntax)?;
        check_elements(statement)?;
        check_sid(statement, &mut sids)?;
        check_actions(statement)?;
        check_principal(statement, exists)?;
    }
    Ok(document)
}

fn syntax() -> Failure {
    Failure::malformed_policy("Syntax errors in policy.")
}

fn check_elements(statement: &Map<String, Value>) -> Result<(), Failure> {
    for prohibited in ["Resource", "NotResource", "NotPrincipal"] {
        if statement.contains_key(prohibited) {
            return Err(Failure::malformed_policy(format!("Has prohibited field {prohibited}")));
        }
    }
    if !statement.keys().all(|key| ["Sid", "Effect", "Principal", "Action", "NotAction", "Condition"].contains(&key.as_str())) {
        return Err(syntax());
    }
    match statement.get("Effect").and_then(Value::as_str) {
        Some("Allow" | "Deny") => Ok(()),
        Some(_) => Err(syntax()),
        None => Err(Failure::malformed_policy("Missing required field Effect")),
    }
}

fn check_sid<'a>(statement: &'a Map<String, Value>, seen: &mut Vec<&'a str>) -> Result<(), Failure> {
    let Some(sid) = statement.get("Sid") else { return Ok(()) };
    let sid = sid.as_str().ok_or_else(syntax)?;
    if !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Failure::malformed_policy(
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
        ));
    }
    if !sid.is_empty() && seen.contains(&sid) {
        return Err(Failure::malformed_policy("Statement IDs (SID) in a single policy must be unique."));
    }
    seen.push(sid);
    Ok(())
}

fn check_actions(statement: &Map<String, Value>) -> Result<(), Failure> {
    let actions = statement.get("Action").or_else(|| statement.get("NotAction")).map(strings).unwrap_or_default();
    if actions.is_empty() {
        return Err(Failure::malformed_policy("Missing required field Action"));
    }
    if actions.iter().all(|action| action.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("sts:"))) {
        return Ok(());
    }
    Err(Failure::malformed_policy("AssumeRole policy may only specify STS AssumeRole actions."))
}

fn check_principal(statement: &Map<String, Value>, exists: &dyn Fn(&str, &str) -> bool) -> Result<(), Failure> {
    let missing = || Failure::malformed_policy("Missing required field Principal");
    let principal = statement.get("Principal").ok_or_else(missing)?;
    if principal == "*" {
        return Ok(());
    }
    let kinds = principal.as_object().ok_or_else(|| Failure::malformed_policy(format!("Invalid principal in policy: {principal}")))?;
    if kinds.values().all(|values| strings(values).is_empty()) {
        return Err(Failure::malformed_policy("Missing required field Principal cannot be empty!"));
    }
    for (kind, values) in kinds {
        for value in strings(values) {
            let valid = match kind.as_str() {
                "AWS" => value == "*" || (!value.contains(['*', '?']) && exists(kind, value)),
                "Service" => exists(kind, value),
                "Federated" => value.contains('.') || value.starts_with("arn:"),
                _ => false,
            };
            if !valid {
                let kind = if kind == "AWS" { kind.clone() } else { kind.to_ascii_uppercase() };
                return Err(Failure::malformed_policy(format!("Invalid principal in policy: \"{kind}\":\"{value}\"")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(document: &Value) -> String {
        let failure = validate(&document.to_string(), &|_, principal| !principal.contains("nobody")).unwrap_err();
        assert_eq!((failure.status, failure.code.as_str()), (400, "MalformedPolicyDocument"));
        failure.message
    }

    fn with(statement: Value) -> Value {
        json!({"Version": "2012-10-17", "Statement": [statement]})
    }

    fn trusting(principal: Value) -> Value {
        with(json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}))
    }

    #[test]
    fn a_sound_policy_passes_with_one_statement_or_many() {
        for document in [
            trusting(json!("*")),
            trusting(json!({"AWS": ["111111111111", "*"], "Service": "ec2.amazonaws.com"})),
            trusting(json!({"Federated": "arn:aws:iam::111111111111:oidc-provider/example.com"})),
            json!({"Statement": {"Sid": "A1", "Effect": "Deny", "Principal": "*", "Action": ["sts:AssumeRole", "sts:TagSession"]}}),
        ] {
            assert_eq!(validate(&document.to_string(), &|_, _| true), Ok(document));
        }
    }

    #[test]
    fn principals_that_do_not_exist_are_named() {
        assert_eq!(
            refusal(&trusting(json!({"AWS": ["111111111111", "arn:aws:iam::111111111111:user/nobody"]}))),
            "Invalid principal in policy: \"AWS\":\"arn:aws:iam::111111111111:user/nobody\""
        );
    }

    #[test]
    fn statement_58_services_that_do_not_exist_are_named_too() {
        assert_eq!(
            refusal(&trusting(json!({"Service": ["ec2.amazonaws.com", "nobody.amazonaws.com"]}))),
            "Invalid principal in policy: \"SERVICE\":\"nobody.amazonaws.com\""
        );
    }

    #[test]
    fn statement_9_wildcards_inside_a_principal_are_refused() {
        assert_eq!(
            refusal(&trusting(json!({"AWS": "arn:aws:iam::111111111111:user/*"}))),
            "Invalid principal in policy: \"AWS\":\"arn:aws:iam::111111111111:user/*\""
        );
    }

    #[test]
    fn statement_39_a_statement_without_a_principal_is_refused() {
        assert_eq!(refusal(&with(json!({"Effect": "Allow", "Action": "sts:AssumeRole"}))), "Missing required field Principal");
        assert_eq!(refusal(&trusting(json!({"AWS": []}))), "Missing required field Principal cannot be empty!");
    }

    #[test]
    fn statement_39_resources_and_not_principal_have_no_place_here() {
        for field in ["Resource", "NotPrincipal"] {
            let mut document = trusting(json!("*"));
            document["Statement"][0][field] = json!("*");
            assert_eq!(refusal(&document), format!("Has prohibited field {field}"));
        }
    }

    #[test]
    fn only_actions_of_sts() {
        let mut document = trusting(json!("*"));
        for action in [json!("s3:GetObject"), json!("*"), json!(["sts:AssumeRole", "iam:PassRole"])] {
            document["Statement"][0]["Action"] = action;
            assert_eq!(refusal(&document), "AssumeRole policy may only specify STS AssumeRole actions.");
        }
    }

    #[test]
    fn statement_ids_are_unique_and_alphanumeric() {
        let mut document = trusting(json!("*"));
        document["Statement"][0]["Sid"] = json!("a b");
        assert!(refusal(&document).starts_with("Statement IDs (SID) must be alpha-numeric."));
        document["Statement"][0]["Sid"] = json!("same");
        let again = document["Statement"][0].clone();
        document["Statement"].as_array_mut().unwrap().push(again);
        assert_eq!(refusal(&document), "Statement IDs (SID) in a single policy must be unique.");
    }

    #[test]
    fn broken_json_and_exotic_characters() {
        assert_eq!(validate("{", &|_, _| true).unwrap_err().message, "This policy contains invalid Json");
        assert_eq!(validate("{\"a\": \"\u{2019}\"}", &|_, _| true).unwrap_err().code, "ValidationError");
        assert_eq!(refusal(&json!({"Statement": []})), "Syntax errors in policy.");
        assert_eq!(refusal(&json!({"Version": "2020-01-01", "Statement": []})), "Syntax errors in policy.");
    }

    #[test]
    fn account_ids_are_stored_as_root_arns() {
        let mut document = trusting(json!({"AWS": ["111111111111", "arn:aws:iam::222222222222:user/a"]}));
        accounts_as_root_arns(&mut document, "aws");
        assert_eq!(document["Statement"][0]["Principal"], json!({"AWS": ["arn:aws:iam::111111111111:root", "arn:aws:iam::222222222222:user/a"]}));
        let mut single = trusting(json!({"AWS": "111111111111"}));
        accounts_as_root_arns(&mut single, "aws-cn");
        assert_eq!(single["Statement"][0]["Principal"], json!({"AWS": "arn:aws-cn:iam::111111111111:root"}));
    }

    #[test]
    fn accounts_can_be_taken_out() {
        let document = trusting(json!({"AWS": ["111111111111", "arn:aws:iam::1:root", "*", "arn:aws:iam::222222222222:user/a"]}));
        assert_eq!(without_accounts(&document)["Statement"][0]["Principal"], json!({"AWS": ["*", "arn:aws:iam::222222222222:user/a"]}));
        let only = trusting(json!({"AWS": "111111111111"}));
        assert_eq!(without_accounts(&only)["Statement"][0]["Principal"], json!({"AWS": []}));
    }
}
