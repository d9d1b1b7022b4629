//! Schemas of what calls without credentials of its own: services of AWS, pods of a cluster, and users of an identity pool.

use schemars::{Schema, SchemaGenerator};

use super::string;

/// A service of AWS as a principal. Names end as AWS's hosts do in each partition (AWS general reference, "Service principals").
///
/// The bound is beyond any name that there is, and within what the API server spends on rules.
///
/// Some identity providers are named like services (IAM user guide, "Principal", web identity sessions). As services IAM takes their names, and nobody
/// ever gets in.
pub fn service_principal(_: &mut SchemaGenerator) -> Schema {
    string(
        5,
        128,
        &[
            (
                "!self.startsWith('cognito-identity') && !(self in ['www.amazon.com', 'accounts.google.com', 'graph.facebook.com'])",
                "this is an identity provider and no service: for Cognito write cognitoIdentityPool; Login with Amazon, Google and Facebook come in by an \
                 identity pool of Cognito, and Google also by oidc, with a provider of the account",
            ),
            (
                r"self in ['accounts.google.com', 'graph.facebook.com'] || self.matches('^[a-z0-9-]+(\\.[a-z0-9-]+)*\\.(amazonaws\\.com(\\.cn)?|amazonaws\\.eu|aws\\.internal|amazon\\.com|c2s\\.ic\\.gov|sc2s\\.sgov\\.gov|csp\\.hci\\.ic\\.gov|cloud\\.adc-e\\.uk)$')",
                "a service is written as in IAM's documentation, for example lambda.amazonaws.com",
            ),
        ],
    )
}

/// The ARN of an EKS cluster.
pub fn cluster_arn(_: &mut SchemaGenerator) -> Schema {
    string(
        20,
        200,
        &[(
            "self.matches('^arn:aws(-[a-z]+)*:eks:[a-z0-9-]+:[0-9]{12}:cluster/[A-Za-z0-9_-]+$')",
            "the ARN of a cluster looks like arn:aws:eks:eu-central-1:123456789012:cluster/example",
        )],
    )
}

/// The ID of an identity pool of Cognito (Cognito API reference, `IdentityPoolId`).
pub fn identity_pool_id(_: &mut SchemaGenerator) -> Schema {
    string(
        40,
        64,
        &[(
            "self.matches('^[a-z]{2,4}(-[a-z]+)+-[0-9]:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')",
            "the ID of an identity pool looks like eu-central-1:00000000-1111-2222-3333-444444444444",
        )],
    )
}
