//! Partitions: AWS has several, apart from each other, and all ARNs of an account are of its own.

use std::collections::HashMap;

use fakecloud_aws::arn::partition_for;
use serde_json::Value;

use crate::failure::Failure;

/// The partition that accounts are in unless another is asked for, and in which the crates keep the policies of AWS.
pub const DEFAULT: &str = "aws";

/// The partitions that the crates know, each with one of its Regions.
///
/// Source: BC `partitions.json`; of its eight, `aws-eusc` is unknown to the crates.
const KNOWN: [(&str, &str); 7] = [
    (DEFAULT, "us-east-1"),
    ("aws-cn", "cn-north-1"),
    ("aws-us-gov", "us-gov-west-1"),
    ("aws-iso", "us-iso-east-1"),
    ("aws-iso-b", "us-isob-east-1"),
    ("aws-iso-e", "eu-isoe-west-1"),
    ("aws-iso-f", "us-isof-south-1"),
];

/// What ARNs of the policies of AWS begin with.
fn policies_of_aws(partition: &str) -> String {
    format!("arn:{partition}:iam::aws:policy/")
}

/// The names of all partitions that an account can be in.
pub fn names() -> Vec<&'static str> {
    KNOWN.iter().map(|(name, _)| *name).collect()
}

/// The Region of a call, or one of the partition where the call was signed for a Region elsewhere: from it the crates take the partition of
/// the ARNs that they make.
pub fn region<'a>(partition: &str, signed_for: &'a str) -> &'a str {
    if partition_for(signed_for) == partition {
        return signed_for;
    }
    KNOWN.iter().find(|(name, _)| *name == partition).map_or(signed_for, |(_, region)| region)
}

/// The parameters of a call in the form in which the crates keep the policies of AWS. An ARN of another partition is refused, whatever it names.
///
/// Source: terraform-aws-gitlab-runner#1273 and pulumi-aws-apigateway#347 quote the text; cloud-gov/aws-broker#383 quotes AWS's notice, by which IAM checks the
/// partition of every ARN that it is given.
///
/// # Errors
/// `ValidationError` for an ARN of another partition.
pub fn as_stored(partition: &str, parameters: &mut HashMap<String, String>) -> Result<(), Failure> {
    let own = format!("arn:{partition}:");
    for name in ["PolicyArn", "PermissionsBoundary", "SAMLProviderArn", "OpenIDConnectProviderArn"] {
        let Some(arn) = parameters.get_mut(name) else { continue };
        if arn.starts_with("arn:") && !arn.starts_with(&own) {
            return Err(Failure::validation("Invalid ARN partition"));
        }
        *arn = policy_as_stored(arn);
    }
    Ok(())
}

/// Refuses a policy document with resources of another partition. What a wildcard in its place means is not known.
///
/// Source: chalice#777 (PutRolePolicy), aws-load-balancer-controller#1557 (CreatePolicy) and cloudera.exe#114 (a variable) quote the text.
///
/// # Errors
/// `MalformedPolicyDocument` with the resource.
pub fn check_resources(partition: &str, operation: &str, parameters: &HashMap<String, String>) -> Result<(), Failure> {
    if !["CreatePolicy", "CreatePolicyVersion", "PutUserPolicy", "PutRolePolicy", "PutGroupPolicy"].contains(&operation) {
        return Ok(());
    }
    let document = parameters.get("PolicyDocument").and_then(|text| serde_json::from_str::<Value>(text).ok()).unwrap_or_default();
    let items = |value: &Value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    for statement in items(&document["Statement"]) {
        let resources = items(&statement["Resource"]).into_iter().chain(items(&statement["NotResource"]));
        for resource in resources.filter_map(|resource| resource.as_str().map(str::to_owned)) {
            let named = resource.strip_prefix("arn:").and_then(|rest| rest.split(':').next()).unwrap_or(partition);
            if named != partition && !named.contains(['*', '?']) {
                return Err(Failure::malformed_policy(format!("Partition \"{named}\" is not valid for resource \"{resource}\".")));
            }
        }
    }
    Ok(())
}

/// The ARN of a policy in the form in which the crates keep the policies of AWS.
pub fn policy_as_stored(arn: &str) -> String {
    match arn.split_once(":iam::aws:policy/") {
        Some((start, name)) if start.starts_with("arn:") => policies_of_aws(DEFAULT) + name,
        _ => arn.to_owned(),
    }
}

/// A text in which the policies of AWS are those of the partition.
///
/// Source: as for [`as_stored`].
pub fn as_shown(partition: &str, text: &str) -> String {
    if partition == DEFAULT { text.to_owned() } else { text.replace(&policies_of_aws(DEFAULT), &policies_of_aws(partition)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_one_of_the_partition() {
        assert_eq!(region("aws", "eu-west-1"), "eu-west-1");
        assert_eq!(region("aws-cn", "cn-northwest-1"), "cn-northwest-1");
        for name in names() {
            assert_eq!(partition_for(region(name, "eu-west-1")), name);
        }
    }

    #[test]
    fn policies_of_aws_are_those_of_the_own_partition() {
        let one = |arn: &str| HashMap::from([("PolicyArn".to_owned(), arn.to_owned())]);
        let mut parameters = one("arn:aws-cn:iam::aws:policy/job-function/Billing");
        assert_eq!(as_stored("aws-cn", &mut parameters), Ok(()));
        assert_eq!(parameters, one("arn:aws:iam::aws:policy/job-function/Billing"));
        for (partition, arn) in [
            ("aws-cn", "arn:aws:iam::aws:policy/Billing"),
            ("aws", "arn:aws-cn:iam::aws:policy/Billing"),
            ("aws", "arn:aws-cn:iam::111111111111:policy/own"),
        ] {
            let refused = as_stored(partition, &mut one(arn)).unwrap_err();
            assert_eq!((refused.code.as_str(), refused.message.as_str()), ("ValidationError", "Invalid ARN partition"));
        }
        let mut own = one("arn:aws-cn:iam::111111111111:policy/own");
        assert_eq!(as_stored("aws-cn", &mut own), Ok(()));
        assert_eq!(own, one("arn:aws-cn:iam::111111111111:policy/own"));
    }

    #[test]
    fn documents_have_resources_of_the_own_partition() {
        let with = |statement: &str| HashMap::from([("PolicyDocument".to_owned(), format!(r#"{{"Statement": {statement}}}"#))]);
        let refused = |statement: &str| check_resources("aws-cn", "PutRolePolicy", &with(statement)).map_err(|failure| failure.message);
        let text = |partition: &str| Err(format!("Partition \"{partition}\" is not valid for resource \"arn:{partition}:s3:::b\"."));
        assert_eq!(refused(r#"{"Resource": "arn:aws:s3:::b"}"#), text("aws"));
        assert_eq!(refused(r#"[{"Resource": "*"}, {"NotResource": ["arn:aws-cn:s3:::b", "arn:${P}:s3:::b"]}]"#), text("${P}"));
        for sound in [r#"{"Resource": "arn:aws*:s3:::b"}"#, r#"{"Resource": ["*", "arn:aws-cn:s3:::b"]}"#, r#"[]"#] {
            assert_eq!(refused(sound), Ok(()));
        }
        assert_eq!(check_resources("aws-cn", "CreateRole", &with(r#"{"Resource": "arn:aws:s3:::b"}"#)), Ok(()));
    }

    #[test]
    fn they_are_shown_in_the_own_partition() {
        let stored = "<Arn>arn:aws:iam::aws:policy/Billing</Arn><Arn>arn:aws:iam::111111111111:policy/own</Arn>";
        assert_eq!(as_shown("aws", stored), stored);
        assert_eq!(as_shown("aws-cn", stored), "<Arn>arn:aws-cn:iam::aws:policy/Billing</Arn><Arn>arn:aws:iam::111111111111:policy/own</Arn>");
    }
}
