//! Who calls STS for a source, and what such a caller can never bring.
//!
//! A condition on a key that is missing from a request does not hold (IAM user guide, "Condition operators"): what requires one lets in nobody, and that
//! shows only when somebody tries.

use std::collections::BTreeMap;

use super::document::condition_text;
use super::services::PODS;
use super::trust::is_of_session_tags;
use rolebridge_api::trust::{ConditionValues, Require, Source};

/// What kind of caller a source is, which decides what can be required of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Somebody with credentials of AWS who may have signed in with a second factor.
    Person,
    /// A session of a role: the context of the second factor does not outlive the first role of a chain.
    Role,
    /// A service of AWS: it calls from no address of ours, and sets neither session tags nor a source identity.
    Service,
    /// EKS Pod Identity: a service that sets session tags of its own.
    Pods,
    /// A token of a provider, which may say session tags and a source identity: what calls has no credentials of AWS.
    Token,
}

/// Keys that only callers with credentials of AWS bring: STS's own, and those of users and organizations (IAM user guide, "AWS global condition context keys").
const OF_CREDENTIALS: [&str; 8] = [
    "sts:externalid",
    "aws:multifactorauthpresent",
    "aws:multifactorauthage",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principaltag/",
    "aws:sourceidentity",
    "aws:username",
];
/// Keys that services don't bring, beside those.
const NOT_OF_SERVICES: [&str; 2] = ["sts:sourceidentity", "aws:sourceip"];

impl Caller {
    /// What a service of AWS is.
    pub fn service(name: &str) -> Self {
        if name == PODS { Self::Pods } else { Self::Service }
    }

    /// What anything else than a person or a role is.
    pub fn without_credentials(source: &Source) -> Self {
        match source {
            Source::Service(name) => Self::service(name),
            Source::PodIdentity(pods) if !pods.session_tags => Self::Service,
            Source::PodIdentity(_) => Self::Pods,
            _ => Self::Token,
        }
    }

    /// Whether it has credentials of AWS, and so an account.
    pub fn is_of_aws(self) -> bool {
        matches!(self, Self::Person | Self::Role)
    }

    /// Whether it is a service of AWS, whoever it works for.
    pub fn is_service(self) -> bool {
        matches!(self, Self::Service | Self::Pods)
    }

    /// Whether its sessions can have tags.
    pub fn can_tag(self) -> bool {
        self != Self::Service
    }

    /// Whether a key can never be in its requests.
    fn lacks(self, key: &str) -> bool {
        let key = key.to_ascii_lowercase();
        let is_among = |keys: &[&str]| keys.iter().any(|known| if known.ends_with('/') { key.starts_with(known) } else { key == *known });
        (!self.is_of_aws() && is_among(&OF_CREDENTIALS))
            || (self.is_service() && is_among(&NOT_OF_SERVICES))
            || (!self.can_tag() && is_of_session_tags(&key))
    }
}

/// Whether a condition can hold only where its key is there (IAM user guide, "Condition operators", "...IfExists" and "Conditions with multiple context keys or
/// values").
pub fn needs_presence(operator: &str, values: &ConditionValues) -> bool {
    let operator = operator.to_ascii_lowercase();
    if operator == "null" {
        return values.all().iter().filter_map(condition_text).any(|value| value == "false");
    }
    let is_for_any = operator.starts_with("foranyvalue:");
    let is_negated = operator.contains("not");
    !operator.ends_with("ifexists") && !operator.starts_with("forallvalues:") && (is_for_any || !is_negated)
}

/// Tags that name a service account of a cluster: the cluster, the namespace, and the account.
pub const NAME_PODS: [&str; 3] = ["eks-cluster-arn", "kubernetes-namespace", "kubernetes-service-account"];

/// Whether pods are told apart by what is required: their cluster, namespace and service account, each by its whole name.
pub fn names_pods(require: Option<&Require>) -> bool {
    let is_whole = |value: &str| !value.contains(['*', '?', '$']);
    let by_field = |require: &Require, tag: &str| require.session_tags.get(tag).is_some_and(|value| is_whole(value));
    let by_condition = |require: &Require, tag: &str| {
        let equals = require.conditions.iter().filter(|(operator, _)| operator.eq_ignore_ascii_case("StringEquals"));
        let is_meant = |key: &str| key.split_once('/').is_some_and(|(kind, there)| kind.eq_ignore_ascii_case("aws:RequestTag") && there == tag);
        equals
            .flat_map(|(_, keys)| keys)
            .any(|(key, values)| is_meant(key) && values.all().iter().filter_map(condition_text).all(|value| is_whole(&value)))
    };
    require.is_some_and(|require| NAME_PODS.iter().all(|tag| by_field(require, tag) || by_condition(require, tag)))
}

/// The free conditions that one of these callers can never meet, as operator and key.
pub fn never_met<'a>(
    conditions: &'a BTreeMap<String, BTreeMap<String, ConditionValues>>,
    callers: &'a [Caller],
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let each = conditions.iter().flat_map(|(operator, keys)| keys.iter().map(move |(key, values)| (operator.as_str(), key.as_str(), values)));
    let needed = each.filter(|(operator, _, values)| needs_presence(operator, values)).map(|(operator, key, _)| (operator, key));
    needed.filter(|(_, key)| callers.iter().any(|caller| caller.lacks(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each of the callers cannot meet of conditions on these keys.
    fn unmet(caller: Caller, operator: &str) -> Vec<String> {
        let keys = [
            "sts:ExternalId",
            "AWS:multifactorAuthPresent",
            "aws:PrincipalOrgID",
            "aws:PrincipalTag/team",
            "aws:username",
            "sts:SourceIdentity",
            "aws:SourceIp",
            "aws:RequestTag/team",
            "aws:TagKeys",
            "aws:SourceAccount",
            "sts:RoleSessionName",
        ];
        let keys: BTreeMap<String, ConditionValues> = keys.iter().map(|key| ((*key).to_owned(), ConditionValues::default())).collect();
        let conditions = [(operator.to_owned(), keys)].into();
        let mut unmet: Vec<String> = never_met(&conditions, &[caller]).map(|(_, key)| key.to_owned()).collect();
        unmet.sort_by_key(|key| key.to_ascii_lowercase());
        unmet
    }

    #[test]
    fn statement_40_each_caller_has_keys_that_it_never_brings() {
        let of_aws = ["AWS:multifactorAuthPresent", "aws:PrincipalOrgID", "aws:PrincipalTag/team", "aws:username", "sts:ExternalId"];
        let and = |more: &[&'static str]| {
            let mut all = [&of_aws, more].concat();
            all.sort_by_key(|key| key.to_ascii_lowercase());
            all
        };
        for operator in ["StringEquals", "stringlike", "Bool", "IpAddress", "ForAnyValue:StringEquals", "ForAnyValue:StringNotLike"] {
            assert_eq!(unmet(Caller::Person, operator), [""; 0], "{operator}");
            assert_eq!(unmet(Caller::Role, operator), [""; 0], "{operator}");
            assert_eq!(unmet(Caller::Token, operator), of_aws, "{operator}");
            assert_eq!(unmet(Caller::Pods, operator), and(&["aws:SourceIp", "sts:SourceIdentity"]), "{operator}");
            let tags = ["aws:SourceIp", "sts:SourceIdentity", "aws:RequestTag/team", "aws:TagKeys"];
            assert_eq!(unmet(Caller::Service, operator), and(&tags), "{operator}");
        }
    }

    #[test]
    fn statement_40_what_holds_without_its_key_is_left_alone() {
        for operator in
            ["StringEqualsIfExists", "Null", "StringNotEquals", "stringnotlike", "NotIpAddress", "ArnNotEquals", "ForAllValues:StringEquals"]
        {
            assert_eq!(unmet(Caller::Service, operator), [""; 0], "{operator}");
        }
    }

    #[test]
    fn the_service_of_pods_sets_tags_and_others_do_not() {
        let caller = |source: serde_json::Value| Caller::without_credentials(&serde_json::from_value(source).unwrap());
        assert_eq!(caller(serde_json::json!({"service": "lambda.amazonaws.com"})), Caller::Service);
        assert_eq!(caller(serde_json::json!({"service": "pods.eks.amazonaws.com"})), Caller::Pods);
        let mut pod = serde_json::json!({"clusterARN": "arn:aws:eks:eu-central-1:222222222222:cluster/main", "namespace": "a", "name": "b"});
        assert_eq!(caller(serde_json::json!({"podIdentity": pod})), Caller::Pods);
        pod["sessionTags"] = false.into();
        assert_eq!(caller(serde_json::json!({"podIdentity": pod})), Caller::Service);
        assert_eq!(caller(serde_json::json!({"saml": {"providerARN": "arn:aws:iam::222222222222:saml-provider/example"}})), Caller::Token);
    }
}
