//! What a platform team forbids in an account: `guardrails` of the AWSAccount, but for quotas ([`tenancy`](super::tenancy)).
//!
//! Some rules speak of a user or role as a whole, and what breaks them holds up all of it. The others speak of one source of a trust or of one group, and only
//! that is refused. Each message names the field, the account, the rule and what to do.

use std::sync::LazyLock;

use super::document::{wildcard_covers, wildcard_match, wildcard_match_ignore_case};
use super::identity::{DEFAULT_SESSION_SECONDS, IdentityName};
use super::names::{Arn, Path, same_name};
use super::outcome::Problem;
use super::ownership::Tags;
use super::placement::ResolvedAccount;
use rolebridge_api::Reason;
use rolebridge_api::guardrails::{Guardrails, OnViolation, PolicyDocumentSource, ResourceDefaults};
use rolebridge_api::schema::TAGS;

/// Names that others trust by name, where the AWSAccount has no list of its own: those of AWS Organizations, Control Tower and its account factory, the landing
/// zone accelerator, IAM Identity Center, service-linked roles, StackSets, Systems Manager, the CDK's bootstrap, and the operator's own.
pub const RESERVED_NAMES: [&str; 14] = [
    "AWS-QuickSetup-*",
    "AWS-SystemsManager-*",
    "AWSAFT*",
    "AWSAccelerator*",
    "AWSCloudFormationStackSet*",
    "AWSControlTower*",
    "AWSReservedSSO_*",
    "AWSServiceRoleFor*",
    "OrganizationAccountAccessRole",
    "aws-controltower-*",
    "aws-quicksetup-*",
    "cdk-*-role-*",
    "rolebridge*",
    "stacksets-exec-*",
];

/// What ends a pattern that speaks of the guests of identity pools.
const GUESTS: &str = ":unauthenticated";

/// The rules of an account, with what counts where it says nothing.
#[derive(Clone, Copy)]
pub struct Guard<'a> {
    account: &'a str,
    rules: &'a Guardrails,
    defaults: &'a ResourceDefaults,
}

impl<'a> Guard<'a> {
    /// The rules of this account.
    pub fn of(at: &'a ResolvedAccount) -> Self {
        static NO_RULES: LazyLock<Guardrails> = LazyLock::new(Guardrails::default);
        static NO_DEFAULTS: LazyLock<ResourceDefaults> = LazyLock::new(ResourceDefaults::default);
        let spec = &at.account.spec;
        Self { account: &at.name, rules: spec.guardrails.as_ref().unwrap_or(&NO_RULES), defaults: spec.defaults.as_ref().unwrap_or(&NO_DEFAULTS) }
    }

    /// Whether what breaks a rule is cut off, and not merely left as it is.
    pub fn disables(self) -> bool {
        self.rules.on_violation == OnViolation::Disable
    }

    /// What breaks the rules for names and paths.
    pub fn name(self, name: &IdentityName, path: &Path) -> Vec<Problem> {
        [self.path(path), self.role_name(name), self.reserved(name)].into_iter().flatten().collect()
    }

    fn path(self, path: &Path) -> Option<Problem> {
        let prefix = self.rules.required_path_prefix.as_deref()?;
        let is_below = prefix.parse::<Path>().is_ok_and(|prefix| path.starts_with(&prefix));
        (!is_below).then(|| {
            violation(format!(
                "spec.path: {path} is not below {prefix}, where AWSAccount {} wants all users, roles and policies (guardrails.requiredPathPrefix): a path cannot be \
                 changed, so delete this resource and make it again with a path such as {prefix}",
                self.account
            ))
        })
    }

    fn role_name(self, name: &IdentityName) -> Option<Problem> {
        let IdentityName::Role(name) = name else { return None };
        let allowed = self.rules.allowed_role_names.as_ref()?;
        let is_allowed = allow_name(allowed, name.as_str());
        (!is_allowed).then(|| {
            violation(format!(
                "spec.roleName: AWSAccount {} does not allow a role of the name {name}: a name cannot be changed, so make another resource with another name, or have \
                 a platform administrator add it to guardrails.allowedRoleNames",
                self.account
            ))
        })
    }

    fn reserved(self, name: &IdentityName) -> Option<Problem> {
        let matches = |pattern: &str| wildcard_match_ignore_case(pattern, name.as_str());
        let pattern = match &self.rules.reserved_names {
            Some(reserved) => reserved.iter().map(String::as_str).find(|pattern| matches(pattern)),
            None => RESERVED_NAMES.into_iter().find(|pattern| matches(pattern)),
        }?;
        let field = match name {
            IdentityName::User(_) => "spec.userName",
            IdentityName::Role(_) => "spec.roleName",
        };
        Some(violation(format!(
            "{field}: names like {pattern} are reserved in AWSAccount {}, since others trust who has them, and {} is one: a name cannot be changed, so make another \
             resource with another name, or have a platform administrator set guardrails.reservedNames without it",
            self.account,
            name.as_str()
        )))
    }

    /// The tags of a user or role: its own, and the account's for the keys that it does not have. What is wrong with its own is added to `problems`.
    pub fn tags(self, own: &Tags, problems: &mut Vec<Problem>) -> Tags {
        if let Some(allowed) = &self.rules.allowed_tag_keys {
            let refused: Vec<&str> = own.keys().map(String::as_str).filter(|key| !allow_name(allowed, key)).collect();
            if !refused.is_empty() {
                problems.push(violation(format!(
                    "spec.tags: AWSAccount {} does not allow tags with the key {}: take them out, or have a platform administrator add them to \
                     guardrails.allowedTagKeys",
                    self.account,
                    refused.join(", ")
                )));
            }
        }
        // IAM knows keys that differ only in case as one.
        let is_own = |key: &str| own.keys().any(|own| same_name(own, key));
        let more = self.defaults.tags.iter().filter(|(key, _)| !is_own(key)).map(|(key, value)| (key.clone(), value.clone()));
        let tags: Tags = own.clone().into_iter().chain(more).collect();
        if tags.len() > TAGS as usize {
            problems.push(Problem::new(
                Reason::InvalidSpec,
                format!(
                    "spec.tags: {} tags, with those of defaults.tags of AWSAccount {}, and IAM has room for {TAGS} beside the owner tags: take some out",
                    tags.len(),
                    self.account
                ),
            ));
        }
        tags
    }

    /// The permissions boundaries that the account puts on those who declare none, by field. The first is the one that counts.
    pub fn boundaries(self) -> Vec<(&'static str, &'a str)> {
        let forced = self.rules.permissions_boundary_arn.as_deref().map(|arn| ("guardrails.permissionsBoundaryARN", arn));
        let default = self.defaults.permissions_boundary_arn.as_deref().map(|arn| ("defaults.permissionsBoundaryARN", arn));
        forced.into_iter().chain(default).collect()
    }

    /// The permissions boundary that the account puts on all.
    pub fn forced_boundary(self) -> Option<Arn> {
        self.rules.permissions_boundary_arn.as_deref()?.parse().ok()
    }

    /// What forbids to declare a permissions boundary.
    pub fn declared_boundary(self, declared: &Arn) -> Option<Problem> {
        const FIELD: &str = "spec.permissionsBoundaryARN";
        match self.rules.permissions_boundary_arn.as_deref() {
            Some(forced) if forced == declared.as_str() => None,
            Some(forced) => Some(violation(format!(
                "{FIELD}: AWSAccount {} has {forced} as the boundary of all users and roles (guardrails.permissionsBoundaryARN), and {declared} is another one: take the field out",
                self.account
            ))),
            None => self.policy(FIELD, declared),
        }
    }

    /// What forbids to attach a policy, or to declare it as permissions boundary.
    pub fn policy(self, field: &str, arn: &Arn) -> Option<Problem> {
        let allowed = self.rules.allowed_policies.as_ref()?;
        let is_allowed = allow(allowed, arn.as_str());
        (!is_allowed).then(|| {
            violation(format!(
                "{field}: AWSAccount {} does not allow policy {arn}: take it out, or have a platform administrator add it to guardrails.allowedPolicies",
                self.account
            ))
        })
    }

    /// What forbids to assume a role of others, or those that a pattern matches: not all of them are matched by one of the patterns that are allowed.
    pub fn external_role(self, field: &str, role: &str) -> Option<Problem> {
        let is_allowed = self.rules.allowed_external_roles.iter().any(|allowed| wildcard_covers(allowed, role));
        (!is_allowed).then(|| {
            violation(format!(
                "{field}: AWSAccount {} does not allow assuming {role}: take it out, or have a platform administrator add it to guardrails.allowedExternalRoles",
                self.account
            ))
        })
    }

    /// What forbids that the document of a policy stands where it does.
    pub fn document_source(self, field: &str, source: PolicyDocumentSource) -> Option<Problem> {
        let allowed = self.rules.policy_document_sources.as_ref()?;
        let (word, place, other_way) = match source {
            PolicyDocumentSource::Spec => ("Spec", "the resource itself", "take it from a ConfigMap (configMapKeyRef)"),
            PolicyDocumentSource::ConfigMap => ("ConfigMap", "a ConfigMap", "write it into the resource (document or json)"),
        };
        let other_way = if allowed.is_empty() { "attach a policy that exists (attachedPolicies)" } else { other_way };
        (!allowed.contains(&source)).then(|| {
            violation(format!(
                "{field}: AWSAccount {} takes no policy documents from {place}: {other_way}, or have a platform administrator add {word} to \
                 guardrails.policyDocumentSources",
                self.account
            ))
        })
    }

    /// How long a session of a role may last, in seconds: as it declares, or else as the account says. What is wrong with it is added to `problems`.
    pub fn session_seconds(self, declared: Option<&str>, problems: &mut Vec<Problem>) -> u32 {
        const FIELD: &str = "spec.maxSessionDuration";
        let mut read = |field: &str, text: &str| seconds(field, text).map_err(|problem| problems.push(problem)).ok();
        let default = self.defaults.max_session_duration.as_deref().map(|text| ("defaults.maxSessionDuration of the AWSAccount", text));
        let wanted = declared.map(|text| (FIELD, text)).or(default);
        let seconds = wanted.map_or(Some(DEFAULT_SESSION_SECONDS), |(field, text)| read(field, text)).unwrap_or(DEFAULT_SESSION_SECONDS);
        let Some(most) = self.rules.max_session_duration.as_deref() else { return seconds };
        if read("guardrails.maxSessionDuration of the AWSAccount", most).is_some_and(|most| seconds > most) {
            problems.push(violation(format!(
                "{FIELD}: {} is longer than AWSAccount {} allows (guardrails.maxSessionDuration: {most}): choose less",
                wanted.map_or("the default", |(_, text)| text),
                self.account
            )));
        }
        seconds
    }

    /// What forbids to trust a service of AWS.
    pub fn service(self, service: &str) -> Option<Problem> {
        self.trusted(service, self.rules.allowed_services.as_deref(), "allowedServices")
    }

    /// What forbids to trust an identity provider, by its ARN.
    pub fn provider(self, provider: &str) -> Option<Problem> {
        self.trusted(provider, self.rules.allowed_identity_providers.as_deref(), "allowedIdentityProviders")
    }

    /// What forbids to trust an identity pool of Cognito, or its guests. Every account has their provider, and pools of all accounts come by it: so none is allowed
    /// that no pattern speaks of.
    pub fn identity_pool(self, provider: &str, pool: &str, authenticated: bool) -> Option<Problem> {
        let speaks_of_these = |pattern: &&String| pattern.starts_with("cognito-identity") && pattern.ends_with(GUESTS) != authenticated;
        let patterns: Vec<String> = self.rules.allowed_identity_providers.iter().flatten().filter(speaks_of_these).cloned().collect();
        let guests = if authenticated { "" } else { GUESTS };
        self.trusted(&format!("{provider}/{pool}{guests}"), Some(&patterns), "allowedIdentityProviders")
    }

    /// What forbids to trust a principal that Rolebridge does not manage.
    pub fn principal(self, arn: &Arn) -> Option<Problem> {
        self.trusted(arn.as_str(), Some(&self.rules.allowed_principals), "allowedPrincipals")
    }

    fn trusted(self, whom: &str, allowed: Option<&[String]>, field: &str) -> Option<Problem> {
        let is_allowed = allowed.is_none_or(|allowed| allow(allowed, whom));
        (!is_allowed).then(|| {
            untrusted(format!(
                "spec.trust: AWSAccount {} does not allow trusting {whom}: take it out, or have a platform administrator add it to guardrails.{field}",
                self.account
            ))
        })
    }

    /// What forbids to trust a whole account.
    pub fn account_root(self) -> Option<Problem> {
        (!self.rules.account_root_trust).then(|| {
            untrusted(format!(
                "spec.trust: AWSAccount {} does not allow trusting a whole account: name the users, or have a platform administrator set \
                 guardrails.accountRootTrust: true",
                self.account
            ))
        })
    }

    /// What forbids to trust all pods of a cluster.
    pub fn pods_without_tags(self) -> Option<Problem> {
        (!self.rules.pod_identity_without_tags).then(|| {
            untrusted(format!(
                "spec.trust: AWSAccount {} does not allow trusting EKS Pod Identity without session tags, which tell service accounts apart: write \
                 podIdentity without sessionTags: false, or have a platform administrator set guardrails.podIdentityWithoutTags: true",
                self.account
            ))
        })
    }

    /// What forbids to let in a person, given whether a second factor is required.
    pub fn person(self, has_mfa: bool) -> Option<Problem> {
        (self.rules.require_mfa && !has_mfa).then(|| {
            untrusted(format!(
                "spec.trust: AWSAccount {} lets in no user, account or other principal without a second factor (guardrails.requireMFA): add require.mfa to \
                 the entry, and put services, tokens and roles into another one",
                self.account
            ))
        })
    }

    /// What forbids to let in a role of another account, given the rules of that: who is in it has no second factor any more.
    pub fn role_of(self, other: Guard<'_>) -> Option<Problem> {
        (self.rules.require_mfa && !other.rules.require_mfa).then(|| {
            untrusted(format!(
                "spec.trust: AWSAccount {} wants a second factor of all who come in (guardrails.requireMFA), and a role that is named here is in an account that does not \
                 ask for one: name the users themselves, or have a platform administrator set guardrails.requireMFA there, too",
                self.account
            ))
        })
    }

    /// What forbids to let in a role that nobody here manages.
    pub fn foreign_role(self) -> Option<Problem> {
        self.rules.require_mfa.then(|| {
            untrusted(format!(
                "spec.trust: awsPrincipal: AWSAccount {} wants a second factor of all who come in (guardrails.requireMFA), and the sessions of roles have none: \
                 name users instead",
                self.account
            ))
        })
    }

    /// What forbids to put a user into a group.
    pub fn group(self, group: &str) -> Option<Problem> {
        // Whoever may name a group in capital letters may join it in small ones: IAM knows both as one.
        let is_allowed = allow_name(&self.rules.allowed_groups, group);
        (!is_allowed).then(|| {
            Problem::new(
                Reason::GroupNotAllowed,
                format!(
                    "spec.groups: AWSAccount {} does not allow adding users to group {group}: take it out, or have a platform administrator add it to \
                     guardrails.allowedGroups",
                    self.account
                ),
            )
        })
    }
}

/// That a rule forbids a user or role as it is declared.
fn violation(message: String) -> Problem {
    Problem::new(Reason::GuardrailViolated, message)
}

/// That a rule forbids to let somebody in.
fn untrusted(message: String) -> Problem {
    Problem::new(Reason::TrustNotAllowed, message)
}

/// Whether one of these patterns is met by a name, which IAM compares without regard to case.
fn allow_name(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| wildcard_match_ignore_case(pattern, name))
}

/// Whether one of these patterns is met by an ARN or a service.
fn allow(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| wildcard_match(pattern, text))
}

/// Reads a length of time such as `1h30m`, in seconds.
fn seconds(field: &str, value: &str) -> Result<u32, Problem> {
    let read = value.parse::<jiff::SignedDuration>().ok().and_then(|duration| u32::try_from(duration.as_secs()).ok());
    read.ok_or_else(|| {
        let message = format!("{field}: {value} is no length of time: write hours, minutes and seconds, from 1h to 12h, for example 1h30m");
        Problem::new(Reason::InvalidSpec, message)
    })
}

#[cfg(test)]
mod tests;
