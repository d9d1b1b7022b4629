//! The policies that AWS manages: some of the more than a thousand, by path and name.

use rolebridge::core::names::{Arn, Partition};

/// Path and name, in the order of the names.
const POLICIES: [(&str, &str); 35] = [
    ("/service-role/", "AWSGlueServiceRole"),
    ("/service-role/", "AWSLambdaBasicExecutionRole"),
    ("/service-role/", "AWSLambdaVPCAccessExecutionRole"),
    ("/service-role/", "AmazonECSTaskExecutionRolePolicy"),
    ("/service-role/", "AmazonEC2RoleforSSM"),
    ("/aws-service-role/", "AWSSupportServiceRolePolicy"),
    ("/aws-service-role/", "AWSTrustedAdvisorServiceRolePolicy"),
    ("/aws-service-role/", "AutoScalingServiceRolePolicy"),
    ("/job-function/", "Billing"),
    ("/job-function/", "DataScientist"),
    ("/job-function/", "DatabaseAdministrator"),
    ("/job-function/", "NetworkAdministrator"),
    ("/job-function/", "SupportUser"),
    ("/job-function/", "SystemAdministrator"),
    ("/job-function/", "ViewOnlyAccess"),
    ("/", "AdministratorAccess"),
    ("/", "AmazonDynamoDBFullAccess"),
    ("/", "AmazonDynamoDBReadOnlyAccess"),
    ("/", "AmazonEC2FullAccess"),
    ("/", "AmazonEC2ReadOnlyAccess"),
    ("/", "AmazonRDSReadOnlyAccess"),
    ("/", "AmazonS3FullAccess"),
    ("/", "AmazonS3ReadOnlyAccess"),
    ("/", "AmazonSQSReadOnlyAccess"),
    ("/", "AmazonSSMManagedInstanceCore"),
    ("/", "AmazonVPCReadOnlyAccess"),
    ("/", "AWSCompromisedKeyQuarantineV3"),
    ("/", "AWSDenyAll"),
    ("/", "CloudWatchReadOnlyAccess"),
    ("/", "IAMFullAccess"),
    ("/", "IAMReadOnlyAccess"),
    ("/", "IAMUserChangePassword"),
    ("/", "PowerUserAccess"),
    ("/", "ReadOnlyAccess"),
    ("/", "SecurityAudit"),
];

/// What an ARN has in the place of the account where AWS manages the policy.
const ACCOUNT: &str = "aws";

/// Whether it names a policy that AWS manages, existing or not.
pub(super) fn is_named_by(arn: &Arn) -> bool {
    arn.service() == "iam" && arn.account() == ACCOUNT && arn.resource().starts_with("policy/")
}

/// Whether there is such a policy in the partition.
pub(super) fn exists(partition: &Partition, arn: &Arn) -> bool {
    is_named_by(arn) && arn.partition() == partition && arn.iam_entity().is_some_and(|entity| POLICIES.contains(&(entity.path, entity.name)))
}

/// Whether only service-linked roles may have it (IAM API reference, PolicyNotAttachable).
pub(super) fn is_for_services_only(arn: &Arn) -> bool {
    is_named_by(arn) && arn.resource().starts_with("policy/aws-service-role/")
}

/// ARNs of them all, in a partition.
///
/// They are what a world may attach.
pub fn aws_managed_policies(partition: &Partition) -> impl Iterator<Item = String> {
    POLICIES.iter().map(move |(path, name)| format!("arn:{partition}:iam::{ACCOUNT}:policy{path}{name}"))
}
