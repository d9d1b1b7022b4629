//! Statements that count only where a service of AWS makes the call on somebody's behalf.

use super::document::{ConditionRef, Document, StatementRef};

/// The only service that surely shows nobody the session of a role. CloudFormation makes what a template declares, with the rights of whoever called it; nothing
/// that a template can declare is a session, and no attribute that it hands back holds credentials. Of others that is not so: an automation of Systems Manager
/// makes any call with its caller's rights, and shows the reply. So CloudFormation has to make the call itself: that it is somewhere on the way says nothing of who
/// comes after it.
const CLOUD_FORMATION: &str = "cloudformation.amazonaws.com";

/// How a document allows one of the actions of STS that give a role's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assuming {
    /// Whoever has the policy may make the call.
    ByHand,
    /// Only a service may, on behalf of whoever has it.
    ByServices,
}

/// Whether a document allows somebody to get a role's credentials, and how. What counts within CloudFormation only is left out of account: nobody gets any by that.
pub fn assuming(document: &Document) -> Option<Assuming> {
    let all: Vec<StatementRef<'_>> = document.allowing_assume_role().filter(|statement| !counts_within_cloud_formation_only(*statement)).collect();
    let is_by_service = |statement: &StatementRef<'_>| statement.conditions().iter().any(asks_for_a_service);
    match all.as_slice() {
        [] => None,
        all if all.iter().all(is_by_service) => Some(Assuming::ByServices),
        _ => Some(Assuming::ByHand),
    }
}

fn counts_within_cloud_formation_only(statement: StatementRef<'_>) -> bool {
    let is_it = |condition: &ConditionRef<'_>| condition.values.iter().all(|value| value == CLOUD_FORMATION);
    let is_last = |condition: &ConditionRef<'_>| condition.key.eq_ignore_ascii_case("aws:CalledViaLast");
    statement.conditions().iter().any(|condition| is_last(condition) && names_services(condition) && is_it(condition))
}

/// Whether a condition holds only where a service makes the call.
fn asks_for_a_service(condition: &ConditionRef<'_>) -> bool {
    let by_any = condition.operator.eq_ignore_ascii_case("Bool") && condition.key.eq_ignore_ascii_case("aws:ViaAWSService");
    names_services(condition) || (by_any && !condition.values.is_empty() && condition.values.iter().all(|value| value.eq_ignore_ascii_case("true")))
}

/// Whether a condition holds only where services that it names make the call. Negations, `IfExists` and `ForAllValues` hold without the key. A list of all services
/// on the way, which `aws:CalledVia` is, is compared as `ForAnyValue` only.
fn names_services(condition: &ConditionRef<'_>) -> bool {
    let operator = condition.operator.to_ascii_lowercase();
    match condition.key.to_ascii_lowercase().as_str() {
        _ if condition.values.is_empty() => false,
        "aws:calledvia" => operator == "foranyvalue:stringequals",
        "aws:calledviafirst" | "aws:calledvialast" => operator == "stringequals",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(conditions: &Value) -> Option<Assuming> {
        let statement = json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": conditions});
        assuming(&Document::from_value(json!({"Version": "2012-10-17", "Statement": [statement]})).unwrap())
    }

    #[test]
    fn what_counts_within_cloud_formation_only_gives_nobody_credentials() {
        for conditions in [
            json!({"StringEquals": {"aws:CalledViaLast": "cloudformation.amazonaws.com"}}),
            json!({"stringequals": {"AWS:calledvialast": ["cloudformation.amazonaws.com"]}, "Bool": {"aws:SecureTransport": "true"}}),
        ] {
            assert_eq!(of(&conditions), None, "{conditions}");
        }
    }

    #[test]
    fn what_counts_within_services_only_is_told_so() {
        for conditions in [
            json!({"ForAnyValue:StringEquals": {"aws:CalledVia": ["cloudformation.amazonaws.com", "ssm.amazonaws.com"]}}),
            json!({"StringEquals": {"aws:CalledViaLast": "ssm.amazonaws.com"}}),
            // Another service may come after CloudFormation.
            json!({"ForAnyValue:StringEquals": {"AWS:calledvia": ["cloudformation.amazonaws.com"]}}),
            json!({"StringEquals": {"aws:CalledViaFirst": "cloudformation.amazonaws.com"}}),
            json!({"Bool": {"aws:ViaAWSService": true}}),
        ] {
            assert_eq!(of(&conditions), Some(Assuming::ByServices), "{conditions}");
        }
    }

    #[test]
    fn what_holds_without_the_key_counts_by_hand() {
        let cloud_formation = "cloudformation.amazonaws.com";
        for conditions in [
            json!({}),
            json!({"ForAllValues:StringEquals": {"aws:CalledVia": cloud_formation}}),
            json!({"ForAnyValue:StringEqualsIfExists": {"aws:CalledVia": cloud_formation}}),
            json!({"ForAnyValue:StringNotEquals": {"aws:CalledVia": cloud_formation}}),
            json!({"ForAnyValue:StringLike": {"aws:CalledVia": cloud_formation}}),
            json!({"StringEquals": {"aws:CalledVia": cloud_formation}}),
            json!({"ForAnyValue:StringEquals": {"aws:CalledViaFirst": cloud_formation}}),
            json!({"StringEqualsIfExists": {"aws:CalledViaLast": cloud_formation}}),
            json!({"ForAnyValue:StringEquals": {"aws:CalledVia": []}}),
            json!({"Bool": {"aws:ViaAWSService": "false"}}),
            json!({"Bool": {"aws:ViaAWSService": ["true", "false"]}}),
            json!({"BoolIfExists": {"aws:ViaAWSService": "true"}}),
            json!({"StringEquals": {"aws:PrincipalTag/called": cloud_formation}}),
        ] {
            assert_eq!(of(&conditions), Some(Assuming::ByHand), "{conditions}");
        }
    }

    #[test]
    fn one_statement_that_counts_by_hand_suffices() {
        let within = json!({"StringEquals": {"aws:CalledViaLast": "cloudformation.amazonaws.com"}});
        let through = json!({"Bool": {"aws:ViaAWSService": "true"}});
        let statement = |conditions: &Value| json!({"Effect": "Allow", "Action": "sts:*", "Resource": "*", "Condition": conditions});
        let of = |all: Vec<Value>| assuming(&Document::from_value(json!({"Version": "2012-10-17", "Statement": all})).unwrap());
        assert_eq!(of(vec![statement(&within), statement(&through)]), Some(Assuming::ByServices));
        assert_eq!(of(vec![statement(&through), statement(&json!({})), statement(&within)]), Some(Assuming::ByHand));
        assert_eq!(of(vec![json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})]), None);
    }
}
