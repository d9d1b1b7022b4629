//! Whether a policy, as permissions boundary, keeps whoever is under it from IAM and from the operator's own roles.
//!
//! In doubt it does not: what allows is taken for as wide as it may be, and what denies for as narrow.

use std::collections::BTreeSet;

use super::document::{Document, Effect, StatementRef, wildcard_covers, wildcards_meet};

/// Actions by which somebody gets more than the boundary lets them have, be it through another identity that has none: no boundary may allow them on anything.
/// `sts:AssumeRoot` gives the root user of a member account to who is in the organization's own.
const ESCALATING: [&str; 44] = [
    "iam:AddClientIDToOpenIDConnectProvider",
    "iam:AddUserToGroup",
    "iam:AttachGroupPolicy",
    "iam:AttachRolePolicy",
    "iam:AttachUserPolicy",
    "iam:CreateAccessKey",
    "iam:CreateLoginProfile",
    "iam:CreateOpenIDConnectProvider",
    "iam:CreatePolicyVersion",
    "iam:CreateRole",
    "iam:CreateSAMLProvider",
    "iam:CreateServiceSpecificCredential",
    "iam:CreateUser",
    "iam:DeleteGroupPolicy",
    "iam:DeletePolicyVersion",
    "iam:DeleteRolePermissionsBoundary",
    "iam:DeleteRolePolicy",
    "iam:DeleteUserPermissionsBoundary",
    "iam:DeleteUserPolicy",
    "iam:DetachGroupPolicy",
    "iam:DetachRolePolicy",
    "iam:DetachUserPolicy",
    "iam:PutGroupPolicy",
    "iam:PutRolePermissionsBoundary",
    "iam:PutRolePolicy",
    "iam:PutUserPermissionsBoundary",
    "iam:PutUserPolicy",
    "iam:ResetServiceSpecificCredential",
    "iam:SetDefaultPolicyVersion",
    "iam:TagPolicy",
    "iam:TagRole",
    "iam:TagUser",
    "iam:UntagPolicy",
    "iam:UntagRole",
    "iam:UntagUser",
    "iam:UpdateAccessKey",
    "iam:UpdateAssumeRolePolicy",
    "iam:UpdateLoginProfile",
    "iam:UpdateOpenIDConnectProviderThumbprint",
    "iam:UpdateSAMLProvider",
    "iam:UpdateServiceSpecificCredential",
    "iam:UploadSSHPublicKey",
    "iam:UploadSigningCertificate",
    "sts:AssumeRoot",
];
/// Gives a role's session. Whom the role lets in is written in its trust policy, too.
const ASSUME: &str = "sts:AssumeRole";
/// Lets a service have a role. Who may do that can do what the role may.
const PASS: &str = "iam:PassRole";
/// How many of the actions that are allowed a message names.
const NAMED: usize = 3;

/// The roles by which the operator works, which nobody else is to assume or to pass on.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    /// Their ARNs.
    pub arns: BTreeSet<String>,
    /// A pattern of the other ARNs that the operator's own role may have: a session does not tell the path of its role. It counts for passing on alone: of
    /// roles that tenants assume the path is mostly all that is known, and who may assume the operator's is up to its trust policy besides.
    pub below_paths: Option<String>,
}

/// What is wrong with a policy as a boundary, as in `allows iam:CreateUser`; None where it keeps whoever is under it from IAM and from the operator's roles.
pub fn weakness(document: &Document, roles: &Roles) -> Option<String> {
    if !document.is_understood() {
        return Some("cannot be read as a policy".into());
    }
    let escalating = ESCALATING.iter().filter(|action| allows(document, action)).map(|action| (*action).to_owned());
    let assumed = roles.arns.iter().map(|role| (ASSUME, role));
    let on_roles = assumed.chain(roles.arns.iter().chain(&roles.below_paths).map(|role| (PASS, role)));
    let on_roles = on_roles.filter(|(action, role)| allows_on(document, action, role)).map(|(action, role)| format!("{action} on {role}"));
    let allowed: Vec<String> = escalating.chain(on_roles).collect();
    let more = if allowed.len() > NAMED { format!(" and {} more", allowed.len() - NAMED) } else { String::new() };
    let named = allowed.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    (!allowed.is_empty()).then(|| format!("allows {named}{more}"))
}

/// Whether an action is allowed on anything, under whatever conditions.
fn allows(document: &Document, action: &str) -> bool {
    let is_everywhere = |statement: StatementRef<'_>| statement.resources().is_some_and(|resources| resources.contains(&"*"));
    document.allowing().any(|statement| statement.covers_action(action)) && !denying(document, action).any(is_everywhere)
}

/// Whether an action is allowed on something that a pattern of ARNs matches, under whatever conditions.
fn allows_on(document: &Document, action: &str, target: &str) -> bool {
    let may_match = |statement: StatementRef<'_>| match (statement.resources(), statement.not_resources()) {
        (Some(patterns), _) => patterns.iter().any(|pattern| wildcards_meet(pattern, target)),
        (None, Some(patterns)) => !patterns.iter().any(|pattern| wildcard_covers(pattern, target)),
        (None, None) => true,
    };
    let surely_matches = |statement: StatementRef<'_>| match (statement.resources(), statement.not_resources()) {
        (Some(patterns), _) => patterns.iter().any(|pattern| wildcard_covers(pattern, target)),
        (None, Some(patterns)) => !patterns.iter().any(|pattern| wildcards_meet(pattern, target)),
        (None, None) => false,
    };
    let is_allowed = document.allowing().any(|statement| statement.covers_action(action) && may_match(statement));
    is_allowed && !denying(document, action).any(surely_matches)
}

/// The statements that deny an action whatever the circumstances.
fn denying<'d>(document: &'d Document, action: &str) -> impl Iterator<Item = StatementRef<'d>> {
    let denies = move |statement: &StatementRef<'d>| {
        statement.effect() == Some(Effect::Deny) && statement.is_unconditional() && statement.covers_action(action)
    };
    document.statements().into_iter().filter(denies)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const MANAGEMENT: &str = "arn:aws:iam::111111111111:role/rolebridge";
    const TENANTS: &str = "arn:aws:iam::*:role/teams/*";

    fn weakness_of(statements: &Value) -> Option<String> {
        let document = Document::from_value(json!({"Version": "2012-10-17", "Statement": statements})).unwrap();
        let own = "arn:aws:iam::900000000000:role/";
        let roles = Roles { arns: [MANAGEMENT.to_owned(), format!("{own}operator")].into(), below_paths: Some(format!("{own}*/operator")) };
        weakness(&document, &roles)
    }

    fn allow(actions: &Value, resource: &str) -> Value {
        json!({"Effect": "Allow", "Action": actions, "Resource": resource})
    }

    #[test]
    fn the_actions_are_in_order_and_each_is_there_once() {
        assert!(ESCALATING.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn what_allows_any_escalating_action_on_anything_is_no_boundary() {
        for action in ESCALATING {
            let told = weakness_of(&json!([allow(&json!(action), "arn:aws:iam::1:user/x")])).unwrap();
            assert_eq!(told, format!("allows {action}"));
        }
        let bounded = json!({"StringEquals": {"iam:PermissionsBoundary": "arn:aws:iam::1:policy/b"}});
        let conditional = json!({"Effect": "Allow", "Action": "iam:CreateRole", "Resource": "*", "Condition": bounded});
        for statements in [
            json!([allow(&json!("*"), "*")]),
            json!([allow(&json!("IAM:create*"), "*")]),
            json!([allow(&json!(["s3:*", "iam:Put?serPolicy"]), "*")]),
            json!([{"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}]),
            json!([conditional]),
            // A denial with a way around it.
            json!([allow(&json!("*"), "*"), {"Effect": "Deny", "Action": "iam:*", "Resource": "arn:aws:iam::1:role/*"}]),
            json!([allow(&json!("*"), "*"), {"Effect": "Deny", "Action": "iam:*", "Resource": "*", "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "false"}}}]),
            json!([allow(&json!("*"), "*"), {"Effect": "Deny", "NotAction": ["iam:CreateUser"], "Resource": "*"}]),
            json!([]),
        ] {
            assert!(weakness_of(&statements).is_some(), "{statements}");
        }
        let told = weakness_of(&json!([allow(&json!("*"), "*")])).unwrap();
        assert!(told.starts_with("allows iam:AddClientIDToOpenIDConnectProvider, iam:AddUserToGroup, iam:AttachGroupPolicy and "), "{told}");
        assert!(told.ends_with("more"), "{told}");
    }

    #[test]
    fn what_leaves_iam_and_the_operators_roles_alone_is_a_boundary() {
        let deny = json!({"Effect": "Deny", "Action": ["iam:*", "sts:AssumeRoot"], "Resource": "*"});
        let own = json!({"Effect": "Deny", "Action": "sts:AssumeRole", "Resource": [MANAGEMENT, "arn:aws:iam::900000000000:role/*"]});
        for statements in [
            json!([allow(&json!("s3:*"), "*")]),
            json!([allow(&json!(["iam:Get*", "iam:List*"]), "*")]),
            json!([allow(&json!("*"), "*"), deny, own]),
            json!([{"Effect": "Allow", "NotAction": ["iam:*", "sts:*"], "Resource": "*"}, allow(&json!("sts:AssumeRole"), TENANTS)]),
            json!([allow(&json!("sts:*"), TENANTS), {"Effect": "Deny", "Action": "sts:AssumeRoot", "Resource": "*"}]),
            json!([allow(&json!(["iam:PassRole", "lambda:*"]), "arn:aws:iam::111111111111:role/teams/*")]),
            json!([allow(&json!("*"), "*"), deny, {"Effect": "Deny", "Action": ASSUME, "NotResource": "arn:aws:iam::1:role/teams/*"}]),
            json!([{"Effect": "Allow", "Action": "sts:AssumeRole", "NotResource": [MANAGEMENT, "arn:aws:iam::900000000000:*"]}]),
        ] {
            assert_eq!(weakness_of(&statements), None, "{statements}");
        }
    }

    #[test]
    fn roles_may_be_assumed_and_passed_unless_the_operator_works_by_them() {
        const OWN: &str = "arn:aws:iam::900000000000:role/operator";
        for action in [ASSUME, PASS] {
            for (resource, role) in [
                ("*", MANAGEMENT),
                (MANAGEMENT, MANAGEMENT),
                ("arn:aws:iam::111111111111:role/role?ridge", MANAGEMENT),
                ("arn:aws:iam::111111111111:role/${aws:PrincipalTag/team}", MANAGEMENT),
                (OWN, OWN),
            ] {
                let told = weakness_of(&json!([allow(&json!(action), resource)])).unwrap();
                assert!(told.contains(&format!("{action} on {role}")), "{resource}: {told}");
            }
            // Denied on one of several, or by a pattern that may mean another.
            for denied in [MANAGEMENT, "arn:aws:iam::*:role/${aws:username}"] {
                let deny = json!({"Effect": "Deny", "Action": action, "Resource": denied});
                assert!(weakness_of(&json!([allow(&json!(action), "*"), deny])).is_some(), "{denied}");
            }
        }
        // The operator's own role may lie below any path.
        assert_eq!(weakness_of(&json!([allow(&json!(ASSUME), TENANTS)])), None);
        let told = weakness_of(&json!([allow(&json!(PASS), TENANTS)])).unwrap();
        assert_eq!(told, "allows iam:PassRole on arn:aws:iam::900000000000:role/*/operator");
    }
}
