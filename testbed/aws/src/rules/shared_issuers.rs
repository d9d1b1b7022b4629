//! OpenID Connect providers that AWS's customers share: a trust policy has to say whose tokens of such a provider it means.

use chrono::{DateTime, TimeZone, Utc};
use serde_json::Value;

use super::{
    trust_policy::{statements, strings},
    web_identity,
};
use crate::failure::Failure;

const ACTION: &str = "sts:AssumeRoleWithWebIdentity";
const COGNITO: &str = "cognito-identity.amazonaws.com";

/// The shared providers, and what names the tenant in their tokens.
///
/// Source: UG `id_roles_providers_oidc_secure-by-default.md`; GitHub has a second claim, see [`tenant_keys`]. IBM's Turbonomic changes its URLs, so those
/// are of one day.
const SHARED: [(&str, &str); 22] = [
    ("agent.buildkite.com", "sub"),
    ("api.pulumi.com/oidc", "aud"),
    ("app.terraform.io", "sub"),
    ("gitlab.com", "sub"),
    ("oidc-configuration.audit-log.githubusercontent.com", "sub"),
    ("oidc.codefresh.io", "sub"),
    ("oidc.op1.openshiftapps.com/2c51blsaqa9gkjt0o9rt11mle8mmropu", "sub"),
    ("oidc.op1.openshiftapps.com/2f785sojlpb85i7402pk3qogugim5nfb", "sub"),
    ("oidc.vercel.com", "aud"),
    ("proidc.upbound.io", "sub"),
    ("rh-oidc.s3.us-east-1.amazonaws.com/22ejnvnnturfmt6km08idd0nt4hekbn7", "sub"),
    ("rh-oidc.s3.us-east-1.amazonaws.com/23e3sd27sju1hoou6ohfs68vbno607tr", "sub"),
    ("rh-oidc.s3.us-east-1.amazonaws.com/23ne21h005qjl3n33d8dui5dlrmv2tmg", "sub"),
    ("rh-oidc.s3.us-east-1.amazonaws.com/24jrf12m5dj7ljlfb4ta2frhrcoadm26", "sub"),
    ("sandboxes.cloud", "aud"),
    ("scalr.io", "sub"),
    ("studio.datachain.ai/api", "sub"),
    ("sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d", "sts:RoleSessionName"),
    ("token.actions.githubusercontent.com", "sub"),
    ("tokens.cloud.shisho.dev", "sub"),
    ("vstoken.actions.githubusercontent.com", "sub"),
    (COGNITO, "aud"),
];

/// Since when IAM asks for it: roles that are older keep their trust until it is changed.
fn in_force(now: DateTime<Utc>) -> bool {
    Utc.with_ymd_and_hms(2025, 6, 1, 0, 0, 0).single().is_none_or(|since| now >= since)
}

/// Refuses a trust policy that allows `sts:AssumeRoleWithWebIdentity` for a shared provider and does not tell the tenant by a condition.
///
/// Sources: UG `id_roles_providers_oidc_secure-by-default.md` and `id_roles_create_for-idp_oidc.md`. The text is as many public repositories quote it for
/// GitHub; that it is the same for other issuers is [inf]. The texts for Cognito and for Google are quoted as well, both older than this rule; Amazon and
/// Facebook are as Google [inf].
///
/// # Errors
/// `MalformedPolicyDocument` with the keys that have to be evaluated.
pub fn check(document: &Value, now: DateTime<Utc>) -> Result<(), Failure> {
    if !in_force(now) {
        return Ok(());
    }
    for statement in statements(document).into_iter().filter(|statement| allows_tokens(statement)) {
        let federated = statement.get("Principal").and_then(|principal| principal.get("Federated")).map(strings).unwrap_or_default();
        for principal in federated {
            let issuer = principal.split_once(":oidc-provider/").map_or(principal, |(_, issuer)| issuer);
            let keys = tenant_keys(issuer);
            if keys.is_empty() || evaluates(statement, &keys) {
                continue;
            }
            return Err(Failure::malformed_policy(match issuer {
                COGNITO => "A condition block must be present for the Cognito provider".to_owned(),
                _ if web_identity::is_built_in(issuer) => {
                    format!("Policy trusting {issuer} requires a StringEquals condition on an application id")
                }
                _ => format!(
                    "Trust policy with trusted principal {principal} must evaluate, using StringEquals, StringLike or StringEqualsIgnoreCase, {} \
                     which is not scoped to all.",
                    keys.join(" or ")
                ),
            }));
        }
    }
    Ok(())
}

/// Whether a statement lets holders of tokens in.
fn allows_tokens(statement: &Value) -> bool {
    let matches = |pattern: &str| matches(&pattern.to_ascii_lowercase(), &ACTION.to_ascii_lowercase());
    statement.get("Effect").is_some_and(|effect| effect == "Allow")
        && match (statement.get("Action"), statement.get("NotAction")) {
            (Some(actions), _) => strings(actions).into_iter().any(matches),
            (None, Some(others)) => !strings(others).into_iter().any(matches),
            (None, None) => false,
        }
}

/// Whether a pattern with `*` and `?` matches a text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| matches(&pattern[1..], &text[at..])),
        Some(wanted) => text
            .chars()
            .next()
            .is_some_and(|found| (wanted == '?' || wanted == found) && matches(&pattern[wanted.len_utf8()..], &text[found.len_utf8()..])),
    }
}

/// The condition keys that name the tenant; none for a provider that is not shared. One is enough.
///
/// GitHub's enterprises have providers below its own URL, and `job_workflow_ref` is as good as `sub` there. Of the providers that need no ARN, Amazon and
/// Facebook have the application's id in `app_id`, Google in `aud`; that `oaud` and `sub` do as well is [inf].
fn tenant_keys(issuer: &str) -> Vec<String> {
    const GITHUB: &str = "token.actions.githubusercontent.com";
    let of = |claims: &[&str]| claims.iter().map(|claim| format!("{issuer}:{claim}")).collect();
    if issuer.strip_prefix(GITHUB).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return of(&["sub", "job_workflow_ref"]);
    }
    match issuer {
        "www.amazon.com" | "graph.facebook.com" => return of(&["app_id", "sub"]),
        "accounts.google.com" => return of(&["aud", "oaud", "sub"]),
        _ => {}
    }
    match SHARED.iter().find(|(shared, _)| *shared == issuer) {
        Some((_, key)) if key.contains(':') => vec![(*key).to_owned()],
        Some((_, claim)) => of(&[claim]),
        None => Vec::new(),
    }
}

/// Whether a condition narrows one of the keys: by one of the three operators of strings that do not negate, with values that all narrow. A value does not
/// when nothing is in it, or when it begins with a wildcard: AWS reads the text only, so `repo:*` does, though it means as much.
///
/// Sources: the text of the refusal for the operators; UG `id_roles_create_for-idp_oidc.md` for `*`; what AWS took and refused for GitHub, as people
/// tried it, for the rest; for the other issuers [inf]. `IfExists` does not count [inf].
fn evaluates(statement: &Value, keys: &[String]) -> bool {
    let narrows = |value: &&str| !value.trim().is_empty() && !value.starts_with(['*', '?']);
    let Some(condition) = statement.get("Condition").and_then(Value::as_object) else { return false };
    condition.iter().any(|(operator, wanted)| {
        let operator = operator.rsplit(':').next().unwrap_or_default();
        let mut values = wanted
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, _)| keys.iter().any(|wanted| wanted.eq_ignore_ascii_case(key)))
            .flat_map(|(_, value)| strings(value))
            .peekable();
        ["StringEquals", "StringLike", "StringEqualsIgnoreCase"].contains(&operator) && values.peek().is_some() && values.all(|value| narrows(&value))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arn(issuer: &str) -> String {
        format!("arn:aws:iam::111111111111:oidc-provider/{issuer}")
    }

    fn trusting(principal: &str, condition: Value) -> Value {
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"Federated": principal}, "Action": ACTION, "Condition": condition}})
    }

    fn time(year: i32) -> DateTime<Utc> {
        Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap()
    }

    fn passes(principal: &str, condition: Value) -> bool {
        check(&trusting(principal, condition), time(2026)).is_ok()
    }

    #[test]
    fn statement_57_the_refusal_names_the_keys() {
        let github = arn("token.actions.githubusercontent.com");
        let condition = json!({"StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"}});
        let failure = check(&trusting(&github, condition), time(2026)).unwrap_err();
        assert_eq!(failure.code, "MalformedPolicyDocument");
        assert_eq!(
            failure.message,
            format!(
                "Trust policy with trusted principal {github} must evaluate, using StringEquals, StringLike or StringEqualsIgnoreCase, \
                 token.actions.githubusercontent.com:sub or token.actions.githubusercontent.com:job_workflow_ref which is not scoped to all."
            )
        );
        let refused = |principal: &str| check(&trusting(principal, json!({})), time(2026)).unwrap_err().message;
        assert_eq!(refused(COGNITO), "A condition block must be present for the Cognito provider");
        assert_eq!(refused("www.amazon.com"), "Policy trusting www.amazon.com requires a StringEquals condition on an application id");
        assert!(refused(&arn("sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d")).contains("IgnoreCase, sts:RoleSessionName which"));
    }

    #[test]
    fn statement_57_each_shared_issuer_wants_its_own_key() {
        for (issuer, key) in SHARED {
            let full = if key.contains(':') { key.to_owned() } else { format!("{issuer}:{key}") };
            let principal = if issuer == COGNITO { issuer.to_owned() } else { arn(issuer) };
            assert!(passes(&principal, json!({"StringEquals": {full: "tenant"}})), "{issuer}");
            let other = if key == "sub" { "aud" } else { "sub" };
            assert!(!passes(&principal, json!({"StringEquals": {format!("{issuer}:{other}"): "tenant"}})), "{issuer}");
        }
        for (issuer, claim) in [("www.amazon.com", "app_id"), ("graph.facebook.com", "app_id"), ("accounts.google.com", "aud")] {
            assert!(passes(issuer, json!({"StringEquals": {format!("{issuer}:{claim}"): "application"}})), "{issuer}");
        }
        assert!(passes(
            &arn("token.actions.githubusercontent.com/corp"),
            json!({"StringEquals": {"token.actions.githubusercontent.com/corp:sub": "x"}})
        ));
        assert!(!passes(&arn("token.actions.githubusercontent.com/corp"), json!({})));
        assert!(passes(&arn("oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE"), json!({})) && passes(&arn("gitlab.example.com"), json!({})));
    }

    #[test]
    fn statement_57_a_condition_has_to_narrow() {
        let github = arn("token.actions.githubusercontent.com");
        let with = |operator: &str, value: Value| passes(&github, json!({operator: {"token.actions.githubusercontent.com:SUB": value}}));
        for operator in ["StringEquals", "StringLike", "StringEqualsIgnoreCase", "ForAnyValue:StringLike"] {
            assert!(with(operator, json!("repo:team/*")), "{operator}");
            for wide in [json!("*"), json!("*:main"), json!("?*"), json!(""), json!([]), json!(["repo:team/*", "*"])] {
                assert!(!with(operator, wide.clone()), "{operator} {wide}");
            }
        }
        for operator in ["StringNotEquals", "StringNotLike", "StringLikeIfExists", "ArnLike"] {
            assert!(!with(operator, json!("repo:team/*")), "{operator}");
        }
        assert!(passes(&github, json!({"StringLike": {"token.actions.githubusercontent.com:job_workflow_ref": "team/app/*"}})));
    }

    #[test]
    fn statement_57_it_is_about_allowing_tokens_only() {
        let github = arn("token.actions.githubusercontent.com");
        let with = |key: &str, value: Value| {
            let mut document = trusting(&github, json!({}));
            document["Statement"].as_object_mut().unwrap().remove("Action");
            document["Statement"]["Action"] = json!("sts:AssumeRoleWithWebIdentity");
            if key == "NotAction" {
                document["Statement"].as_object_mut().unwrap().remove("Action");
            }
            document["Statement"][key] = value;
            check(&document, time(2026)).is_ok()
        };
        assert!(with("Effect", json!("Deny")) && with("Action", json!("sts:TagSession")) && with("NotAction", json!("sts:AssumeRole*")));
        assert!(
            !with("Action", json!("sts:*"))
                && !with("Action", json!(["sts:TagSession", "STS:assumerolewith*"]))
                && !with("NotAction", json!("sts:TagSession"))
        );
    }

    #[test]
    fn statement_57_it_was_not_asked_for_before_june_2025() {
        let github = arn("token.actions.githubusercontent.com");
        assert!(check(&trusting(&github, json!({})), time(2025)).is_ok() && check(&trusting(&github, json!({})), time(2026)).is_err());
    }
}
