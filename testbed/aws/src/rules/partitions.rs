//! Partitions: AWS has several, apart from each other, and all ARNs of an account are of its own.

use std::collections::HashMap;

use fakecloud_aws::arn::partition_for;

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

/// Whether an ARN names a policy of AWS, of any partition.
pub fn is_policy_of_aws(arn: &str) -> bool {
    arn.split_once(":iam::aws:policy/").is_some_and(|(start, _)| start.starts_with("arn:"))
}

/// The parameters of a call in the form in which the crates keep the policies of AWS. Those of another partition do not exist.
///
/// Source: UG `reference_identifiers.md`, "IAM ARNs" (the partition is part of the ARN); the text is that for other missing policies.
///
/// # Errors
/// `NoSuchEntity` for a policy of AWS in another partition.
pub fn as_stored(partition: &str, parameters: &mut HashMap<String, String>) -> Result<(), Failure> {
    for name in ["PolicyArn", "PermissionsBoundary"] {
        let Some(arn) = parameters.get_mut(name).filter(|arn| is_policy_of_aws(arn)) else { continue };
        match arn.strip_prefix(&policies_of_aws(partition)) {
            Some(_) => *arn = policy_as_stored(arn),
            None => return Err(Failure::no_such_entity(format!("Policy {arn} does not exist or is not attachable."))),
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
        for (partition, arn) in [("aws-cn", "arn:aws:iam::aws:policy/Billing"), ("aws", "arn:aws-cn:iam::aws:policy/Billing")] {
            assert_eq!(as_stored(partition, &mut one(arn)).unwrap_err().code, "NoSuchEntity");
        }
        let mut own = one("arn:aws-cn:iam::111111111111:policy/own");
        assert_eq!(as_stored("aws-cn", &mut own), Ok(()));
        assert_eq!(own, one("arn:aws-cn:iam::111111111111:policy/own"));
    }

    #[test]
    fn they_are_shown_in_the_own_partition() {
        let stored = "<Arn>arn:aws:iam::aws:policy/Billing</Arn><Arn>arn:aws:iam::111111111111:policy/own</Arn>";
        assert_eq!(as_shown("aws", stored), stored);
        assert_eq!(as_shown("aws-cn", stored), "<Arn>arn:aws-cn:iam::aws:policy/Billing</Arn><Arn>arn:aws:iam::111111111111:policy/own</Arn>");
    }
}
