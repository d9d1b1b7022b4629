//! Services of AWS as sources of a role, and whom those vouch for: pods of a cluster, users of a SAML provider, users of an identity pool.

use super::super::callers::NAME_PODS;
use super::super::grants::{Grant, Intent};
use super::super::guardrails::Guard;
use super::super::names::{AccountID, Arn};
use super::super::outcome::Problem;
use super::super::services::{PODS, cognito, signed_in};
use super::super::source::parse;
use super::super::trust::{Conditions, Principal, TAG_SESSION};
use super::Trusting;
use rolebridge_api::Reason;
use rolebridge_api::trust::{CognitoIdentityPoolSource, PodIdentitySource, SAMLSource};

/// What is worth knowing where the guests of an identity pool come in.
const GUESTS: &str = "everybody on the Internet who knows the ID of the pool can assume the role";

impl Trusting<'_> {
    /// A service of AWS. Whom it works for is the entry's to require.
    pub(super) fn service(&self, service: &str) -> Grant {
        let grant = self.token(format!("service/{service}"), Principal::Service(service.into()), "sts:AssumeRole", &Conditions::default());
        if service == PODS && !self.names_pods { self.unless_forbidden(grant, Guard::of(self.at).pods_without_tags()) } else { grant }
    }

    /// A grant, unless a rule of the account is in its way.
    fn unless_forbidden(&self, grant: Grant, forbidden: Option<Problem>) -> Grant {
        match forbidden.filter(|_| grant.problem.is_none()) {
            Some(problem) => Grant { intent: Intent::given(Some(&problem), self.at), problem: Some(problem), ..grant },
            None => grant,
        }
    }

    /// EKS Pod Identity: a service that tags its sessions with whom it acts for (EKS user guide, "Grant Pods access to AWS resources based on tags"). Without
    /// tags the cluster alone is known, as for other services of EKS (EKS user guide, "Cross-service confused deputy prevention").
    pub(super) fn pod_identity(&self, source: &PodIdentitySource) -> Grant {
        let PodIdentitySource { cluster_arn, namespace, name, session_tags } = source;
        let told = format!("podIdentity/{namespace}/{name} of {cluster_arn}");
        let account = match self.account_of_cluster(cluster_arn) {
            Ok(account) => account,
            Err(problem) => return Grant::absent(told, problem),
        };
        let service = Principal::Service(PODS.into());
        if !session_tags {
            let own =
                Conditions::default().with("StringEquals", "aws:SourceAccount", [account.as_str()]).with("ArnEquals", "aws:SourceArn", [cluster_arn]);
            return self.unless_forbidden(self.token(told, service, "sts:AssumeRole", &own), Guard::of(self.at).pods_without_tags());
        }
        let tags = NAME_PODS.into_iter().zip([cluster_arn, namespace, name]);
        let own = tags.fold(Conditions::default(), |made, (key, value)| made.with("StringEquals", &format!("aws:RequestTag/{key}"), [value]));
        let mut grant = self.token(told, service, "sts:AssumeRole", &own);
        grant.rule.iter_mut().for_each(|rule| rule.actions.extend([TAG_SESSION.to_owned()]));
        grant
    }

    /// The account of a cluster, which must be that of the role: an association passes the role to EKS, and a role can be passed within its account only (EKS
    /// user guide, "Access AWS Resources using EKS Pod Identity Target IAM Roles").
    fn account_of_cluster(&self, cluster: &str) -> Result<AccountID, Problem> {
        let arn: Arn = parse("spec.trust: podIdentity.clusterARN", cluster)?;
        match arn.account_id() {
            Some(account) if account == self.at.id && *arn.partition() == self.at.partition => Ok(account),
            _ => Err(Problem::new(
                Reason::InvalidSpec,
                format!(
                    "spec.trust: podIdentity: cluster {cluster} is not in account {} of the role, in partition {}, and EKS lets pods into roles of the cluster's account only: \
                     declare a role there with this source, and write that one here as role, with podIdentityTarget: true if EKS is to go on to this one itself",
                    self.at.id, self.at.partition
                ),
            )),
        }
    }

    /// SAML: the assertion must be meant for the sign-in page of the role's partition (IAM user guide, "Create a role for SAML 2.0 federation").
    pub(super) fn saml(&self, source: &SAMLSource) -> Grant {
        let name = format!("saml/{}", source.provider_arn);
        let host = self.at.partition.console_host();
        let problem = self.elsewhere(&source.provider_arn).or_else(|| {
            let message = format!("spec.trust: saml: no sign-in page of partition {} is known", self.at.partition);
            host.is_none().then(|| Problem::new(Reason::InvalidSpec, message))
        });
        if let Some(problem) = problem {
            return Grant::absent(name, problem);
        }
        let audience = format!("https://{}/saml", host.unwrap_or_default());
        let own = Conditions::default().with("StringEquals", "SAML:aud", [audience]);
        self.token(name, Principal::Federated(source.provider_arn.clone()), "sts:AssumeRoleWithSAML", &own)
    }

    /// An identity pool of Cognito: its tokens name the pool as audience, and say whether their user signed in to it (Cognito developer guide, "Role trust and
    /// permissions").
    pub(super) fn cognito_identity_pool(&self, source: &CognitoIdentityPoolSource) -> Grant {
        let CognitoIdentityPoolSource { identity_pool_id: pool, authenticated } = source;
        let name = format!("cognitoIdentityPool/{pool}:{}", if *authenticated { "authenticated" } else { "unauthenticated" });
        let partition = &self.at.partition;
        let Some(provider) = cognito(partition, pool.split(':').next().unwrap_or_default()) else {
            let message = format!(
                "spec.trust: cognitoIdentityPool: partition {partition}, where the role is, has no identity pool {pool}: name one of its own"
            );
            return Grant::absent(name, Problem::new(Reason::InvalidSpec, message));
        };
        let own = signed_in(provider, *authenticated).with("StringEquals", &format!("{provider}:aud"), [pool]);
        let warning = (!authenticated).then_some(GUESTS);
        let grant = self.token(name, Principal::Federated(provider.into()), "sts:AssumeRoleWithWebIdentity", &own);
        self.unless_forbidden(Grant { warning, ..grant }, Guard::of(self.at).identity_pool(provider, pool, *authenticated))
    }
}
