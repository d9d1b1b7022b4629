//! What is named like a service of AWS: services themselves, and the identity providers that every account has by the name of a host instead of an ARN (IAM
//! user guide, "Principal", web identity sessions).

use super::names::Partition;
use super::outcome::Problem;
use super::trust::Conditions;
use rolebridge_api::Reason;
use rolebridge_api::trust::TrustEntry;

/// The service that assumes roles for pods, by EKS Pod Identity.
pub const PODS: &str = "pods.eks.amazonaws.com";

/// Providers without an ARN, beside Cognito.
const LOGINS: [&str; 3] = ["www.amazon.com", "accounts.google.com", "graph.facebook.com"];

/// The sources of an entry that are declared as services and are identity providers: IAM would take their names, and nobody would ever get in.
pub fn providers_as_services(index: usize, entry: &TrustEntry) -> Vec<Problem> {
    let provider = |name: &str| {
        let way = match name {
            _ if name.starts_with("cognito-identity") => "write cognitoIdentityPool",
            "accounts.google.com" => "let an identity pool of Cognito take its users, or make a provider for it in the account and write oidc",
            _ if LOGINS.contains(&name) => "there is no source for it; let an identity pool of Cognito take its users, and write cognitoIdentityPool",
            _ => return None,
        };
        Some(Problem::new(Reason::InvalidSpec, format!("spec.trust[{index}].from: {name} is an identity provider and no service: {way}")))
    };
    entry.from.iter().filter_map(|source| provider(source.service()?)).collect()
}

/// The provider of the identity pools of a region, by whose name conditions speak of its tokens, too (GovCloud user guide, "Amazon Cognito"; Cognito developer
/// guide, "Role trust and permissions"). None where none is known in that partition.
pub fn cognito(partition: &Partition, region: &str) -> Option<&'static str> {
    let is_elsewhere = ["us-gov-", "cn-", "us-iso", "eu-iso", "eusc-"].iter().any(|start| region.starts_with(start));
    Some(match (partition.as_str(), region) {
        ("aws", _) if !is_elsewhere => "cognito-identity.amazonaws.com",
        ("aws-us-gov", "us-gov-west-1") => "cognito-identity-us-gov.amazonaws.com",
        ("aws-us-gov", "us-gov-east-1") => "cognito-identity.us-gov-east-1.amazonaws.com",
        ("aws-cn", "cn-north-1") => "cognito-identity.cn-north-1.amazonaws.com.cn",
        _ => return None,
    })
}

/// What says of a token of an identity pool whether its user signed in (Cognito developer guide, "Role trust and permissions").
pub fn signed_in(provider: &str, authenticated: bool) -> Conditions {
    let how = if authenticated { "authenticated" } else { "unauthenticated" };
    Conditions::default().with("ForAnyValue:StringLike", &format!("{provider}:amr"), [how])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_own_name_for_identity_pools_and_none_has_those_of_another() {
        for (partition, region, provider) in [
            ("aws", "eu-central-1", Some("cognito-identity.amazonaws.com")),
            ("aws-us-gov", "us-gov-west-1", Some("cognito-identity-us-gov.amazonaws.com")),
            ("aws-us-gov", "us-gov-east-1", Some("cognito-identity.us-gov-east-1.amazonaws.com")),
            ("aws-cn", "cn-north-1", Some("cognito-identity.cn-north-1.amazonaws.com.cn")),
            ("aws", "us-gov-west-1", None),
            ("aws", "cn-north-1", None),
            ("aws", "eusc-de-east-1", None),
            ("aws-us-gov", "us-east-1", None),
            ("aws-cn", "eu-central-1", None),
            ("aws-eusc", "eusc-de-east-1", None),
        ] {
            assert_eq!(cognito(&partition.parse().unwrap(), region), provider, "{partition} {region}");
        }
    }
}
