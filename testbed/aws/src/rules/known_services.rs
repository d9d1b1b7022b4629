//! Which services of AWS exist, by the names that trust policies give them.

use super::web_identity;

/// The services, without what Region and partition add to their names. AWS has no list of them; these are of its documentation, so a service that is
/// missing here is one to add.
const SERVICES: &str = "
    access-analyzer account acm acm-pca airflow airflow-env alexa-appkit amplify amplifybackend apidestinations.events apigateway appconfig appfabric
    appflow application-autoscaling applicationinsights appmesh apprunner appstream appsync aps athena auditmanager autoscaling autoscaling-plans backup
    backup-gateway batch batchoperations.s3 bedrock bedrock-agentcore billingconductor braket budgets build.apprunner cassandra.application-autoscaling ce
    channels.lex chatbot chime cks.kms cleanrooms cleanrooms-ml cloud9 cloudformation cloudfront cloudhsm cloudsearch cloudtrail cloudwatch
    cloudwatch-crossaccount codeartifact codebuild codecommit codeconnections codedeploy codeguru-profiler codeguru-reviewer codepipeline codestar
    codestar-connections codestar-notifications cognito-idp cognito-sync comprehend comprehend.application-autoscaling compute-optimizer config
    config-conforms config-multiaccountsetup connect connect-campaigns continuousexport.discovery contributorinsights.dynamodb controltower credentials.iot
    custom-resource.application-autoscaling databrew dataexchange datapipeline datasync datazone dax deadline delivery.logs detective devicefarm devops-guru
    directconnect discovery dlm dms docdb-elastic drs ds dynamodb dynamodb.application-autoscaling ec2 ec2-instance-connect ec2.application-autoscaling
    ec2fleet ec2scheduled ecr ecs ecs-tasks ecs.application-autoscaling edgelambda eks eks-connector eks-fargate eks-fargate-pods eks-nodegroup elasticache
    elasticache.application-autoscaling elasticbeanstalk elasticfilesystem elasticloadbalancing elasticmapreduce elastictranscoder email.cognito-idp
    emr-containers emr-serverless entityresolution es events evidently export.rds finspace firehose fis fms forecast frauddetector fsx gamelift geo glacier
    globalaccelerator glue grafana greengrass groundstation guardduty health healthlake iam imagebuilder importexport inspector inspector2 internetmonitor
    iot iotanalytics iotevents iotfleetwise iotsitewise iottwinmaker iotwireless ivs ivschat kafka kafka.application-autoscaling kafkaconnect kendra kinesis
    kinesisanalytics kinesisreplication.dynamodb kinesisvideo kms lakeformation lambda lambda.application-autoscaling launchwizard lex lexv2 license-manager
    lightsail logger.cloudfront logging.s3 logs lookoutequipment lookoutmetrics lookoutvision m2 machinelearning macie macie2 mailmanager
    maintenance.elasticbeanstalk malware-protection-plan.guardduty malware-protection.guardduty managedblockchain managedservices
    managedupdates.elasticbeanstalk mediaconnect mediaconvert medialive mediapackage mediapackagev2 mediastore mediatailor medical-imaging
    member.org.stacksets.cloudformation memorydb mgh mgn migrationhub migrationhub-orchestrator mobileanalytics monitoring monitoring.rds monitron mq
    neptune.application-autoscaling network-firewall networking.apprunner networkmanager nimble notifications oam observability.aoss omics
    opensearchservice ops.apigateway ops.emr-serverless opsworks opsworks-cm organizations osis osis-pipelines outposts panorama payment-cryptography
    personalize pinpoint pipes pods.eks polly private-networks profile proton pullthroughcache.ecr qbusiness qldb quicksight ram rbin rds
    rds.application-autoscaling redshift redshift-data redshift-serverless rekognition replication.dynamodb replication.ecr replicator.lambda repostspace
    resiliencehub resource-explorer-2 resource-groups robomaker rolesanywhere route53 route53resolver rum s3 s3-object-lambda s3-outposts
    s3.data-source.lustre.fsx sagemaker sagemaker-geospatial sagemaker.application-autoscaling scheduler schemas secretsmanager securityhub securitylake
    serverlessrepo servicecatalog servicecatalog-appregistry servicediscovery servicequotas ses shield signer signin sms snowball sns spot spotfleet sqs
    ssm ssm-contacts ssm-incidents ssm-quicksetup ssm-sap sso stacksets.cloudformation states storage-lens.s3 storagegateway sts support swf synthetics
    tasks.apprunner textract timestream timestream-influxdb tnb transcribe transcribe.streaming transfer transitgateway translate trustedadvisor vmie
    voiceid vpc-flow-logs vpc-lattice waf waf-regional wafv2 wellarchitected wisdom workdocs worklink workmail workspaces
    workspaces.application-autoscaling workspaces-web xray";

/// How names end in every partition.
const EVERYWHERE: &str = "amazonaws.com";

/// How names end besides, by partition. Names inside AWS, such as `fsx.aws.internal`, are those of the commercial one.
const ENDINGS: [(&str, &str); 8] = [
    ("aws", "aws.internal"),
    ("aws-cn", "amazonaws.com.cn"),
    ("aws-eusc", "amazonaws.eu"),
    ("aws-iso", "c2s.ic.gov"),
    ("aws-iso-b", "sc2s.sgov.gov"),
    ("aws-iso-e", "cloud.adc-e.uk"),
    ("aws-iso-f", "csp.hci.ic.gov"),
    ("aws-us-gov", EVERYWHERE),
];

/// Whether a trust policy of a role in that partition may name this service. IAM refuses one that does not exist, for ever, as it does a user that does
/// not. Between the name and its end may stand a Region: `ssm.eu-central-1.amazonaws.com`.
///
/// Sources: aws-samples/aws-cdk-examples#801 (the refusal of `amazonaws.com`), cdk-stacksets#99 (that of `cloudformation`); for the names by partition
/// and Region aws-cdk, `region-info/lib/default.ts`. That a name may end in another way than its own partition does is refused is [inf].
pub fn exists(partition: &str, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let own = ENDINGS.iter().filter(|(of, _)| *of == partition).map(|(_, ending)| *ending);
    std::iter::once(EVERYWHERE)
        .chain(own)
        .filter_map(|ending| name.strip_suffix(ending)?.strip_suffix('.'))
        .map(|service| service.rsplit_once('.').filter(|(_, last)| is_region(last)).map_or(service, |(service, _)| service))
        .any(|service| SERVICES.split_whitespace().any(|known| known == service))
}

/// Whether a trust policy may have this under `Service`: a service, or one of the identity providers that every account has. These are refused by nobody,
/// and no service of that name ever calls, so such a statement lets nobody in.
///
/// Source: amazon-archives/amazon-cognito-auth-js#196, aws-amplify/amplify-backend#625 (for Cognito; for the other three [inf]).
pub fn may_be_named(partition: &str, name: &str) -> bool {
    web_identity::is_built_in(name) || exists(partition, name)
}

/// Whether this has the form of a Region, such as `us-gov-west-1`.
fn is_region(label: &str) -> bool {
    let parts: Vec<&str> = label.split('-').collect();
    let [first, .., number] = parts[..] else { return false };
    parts.len() > 2 && first.len() >= 2 && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statement_58_a_service_exists_by_its_name() {
        for name in ["lambda.amazonaws.com", "pods.eks.amazonaws.com", "Lambda.amazonaws.com", "ssm.eu-central-1.amazonaws.com", "fsx.aws.internal"] {
            assert!(exists("aws", name), "{name}");
        }
        for name in [
            "lambada.amazonaws.com",
            "lambda",
            "amazonaws.com",
            ".amazonaws.com",
            "lambda.example.com",
            "lambda.moon.amazonaws.com",
            "eu-central-1.amazonaws.com",
            "",
        ] {
            assert!(!exists("aws", name), "{name}");
        }
    }

    #[test]
    fn statement_62_names_of_services_end_as_their_partition_says() {
        for (partition, ending) in ENDINGS {
            assert!(exists(partition, &format!("lambda.{ending}")) && exists(partition, "lambda.amazonaws.com"), "{partition}");
            let foreign = if partition == "aws-iso" { "sc2s.sgov.gov" } else { "c2s.ic.gov" };
            assert!(!exists(partition, &format!("lambda.{foreign}")), "{partition}");
        }
        assert!(exists("aws-cn", "logs.cn-north-1.amazonaws.com.cn") && !exists("aws", "logs.cn-north-1.amazonaws.com.cn"));
    }

    #[test]
    fn statement_58_identity_providers_may_be_named_as_services_and_are_none() {
        for name in ["cognito-identity.amazonaws.com", "www.amazon.com", "accounts.google.com", "graph.facebook.com"] {
            assert!(may_be_named("aws", name) && !exists("aws", name), "{name}");
        }
        assert!(may_be_named("aws", "ec2.amazonaws.com") && !may_be_named("aws", "example.com"));
    }
}
