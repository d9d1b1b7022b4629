//! What the rules of an account forbid, said once more without any of the operator's own decisions.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use kube::ResourceExt;
use rolebridge::api::guardrails::{Guardrails, OnViolation, PolicyDocumentSource, ResourceDefaults};
use rolebridge::api::permissions::{DocumentSource, Permissions};
use rolebridge::api::trust::{PrincipalForm, Source, TrustEntry};

use crate::aws_state::matches;
use crate::resources::Resources;

/// What becomes of what stands and is not to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It stays as it is, and nothing is added.
    Frozen,
    /// It is cut off.
    CutOff,
}

/// Whether one of these patterns says so; all are met where there are none.
fn is_among(patterns: Option<&[String]>, text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    patterns.is_none_or(|patterns| patterns.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &text)))
}

/// The hours of a length of time: the simulation writes no other ones.
pub fn hours(text: &str) -> u64 {
    text.trim_end_matches('h').parse().unwrap_or(1)
}

/// The ARN of a policy that is to be attached.
pub fn policy_arn(name: &str) -> String {
    if name.starts_with("arn:") { name.to_owned() } else { format!("arn:aws:iam::aws:policy/{name}") }
}

/// The parts of a user or role of which rules speak.
struct Identity<'s> {
    account: &'s str,
    namespace: String,
    name: String,
    path: &'s str,
    tags: BTreeSet<&'s String>,
    boundary: Option<&'s str>,
    permissions: Option<&'s Permissions>,
    /// How long a session lasts as it is declared; None for a user.
    hours: Option<Option<&'s str>>,
}

impl Identity<'_> {
    /// Whether another one is of the same namespace in the same account.
    fn is_beside(&self, other: &Self) -> bool {
        self.account == other.account && self.namespace == other.namespace
    }
}

impl Resources {
    fn identity(&self, key: &str) -> Option<Identity<'_>> {
        if let Some(user) = self.user(key) {
            let spec = &user.spec;
            return Some(Identity {
                account: &spec.account_ref.name,
                namespace: user.namespace().unwrap_or_default(),
                name: spec.user_name.clone().unwrap_or_else(|| user.name_any()),
                path: spec.path.as_deref().unwrap_or("/"),
                tags: spec.tags.keys().collect(),
                boundary: spec.permissions_boundary_arn.as_deref(),
                permissions: spec.permissions.as_ref(),
                hours: None,
            });
        }
        let role = self.role(key)?;
        let spec = &role.spec;
        Some(Identity {
            account: &spec.account_ref.name,
            namespace: role.namespace().unwrap_or_default(),
            name: spec.role_name.clone().unwrap_or_else(|| role.name_any()),
            path: spec.path.as_deref().unwrap_or("/"),
            tags: spec.tags.keys().collect(),
            boundary: spec.permissions_boundary_arn.as_deref(),
            permissions: spec.permissions.as_ref(),
            hours: Some(spec.max_session_duration.as_deref()),
        })
    }

    /// What becomes of what is forbidden in an account. Of one that is gone nobody knows.
    pub fn on_violation(&self, account: &str) -> Hold {
        match self.guardrails(account).on_violation {
            OnViolation::Disable => Hold::CutOff,
            OnViolation::Freeze => Hold::Frozen,
        }
    }

    fn guardrails(&self, account: &str) -> &Guardrails {
        static NONE: LazyLock<Guardrails> = LazyLock::new(Guardrails::default);
        self.account(account).and_then(|account| account.spec.guardrails.as_ref()).unwrap_or(&NONE)
    }

    /// What users and roles of an account have where they don't say it themselves.
    pub fn defaults(&self, account: &str) -> Option<&ResourceDefaults> {
        self.account(account)?.spec.defaults.as_ref()
    }

    /// What becomes of a user or role as a whole, where it breaks a rule or may not be where it is.
    pub fn hold(&self, key: &str) -> Option<Hold> {
        let identity = self.identity(key)?;
        let rules = self.guardrails(identity.account);
        let default_duration = self.defaults(identity.account).and_then(|defaults| defaults.max_session_duration.as_deref());
        let breaks = !self.is_allowed(identity.account, &identity.namespace) || breaks_a_rule(rules, default_duration, &identity);
        breaks.then(|| self.on_violation(identity.account))
    }

    /// Whether the rules of an account forbid its roles to have a source of an entry.
    pub fn is_source_forbidden(&self, account: &str, entry: &TrustEntry, source: &Source) -> bool {
        let rules = self.guardrails(account);
        let by_root = entry.principal == PrincipalForm::AccountRoot || source.account().is_some();
        let has_mfa = entry.require.as_ref().is_some_and(|require| require.mfa.is_some());
        let lacks_mfa = match source {
            Source::User(_) | Source::Users(_) | Source::Account(_) | Source::AwsPrincipal(_) => !has_mfa,
            // A role's sessions have no second factor: whoever opened them showed it. All roles of the simulation are in one namespace.
            Source::Role(named) => {
                let mut named = self.roles().filter(|(_, role)| role.name_any() == named.name);
                named.any(|(_, role)| !self.guardrails(&role.spec.account_ref.name).require_mfa)
            }
            _ => false,
        };
        let is_unknown = match source {
            Source::AwsPrincipal(arn) => !is_among(Some(&rules.allowed_principals), arn),
            Source::Service(service) => !is_among(rules.allowed_services.as_deref(), service),
            Source::Oidc(oidc) => !is_among(rules.allowed_identity_providers.as_deref(), &oidc.provider_arn),
            _ => false,
        };
        is_unknown || (by_root && !rules.account_root_trust) || (rules.require_mfa && lacks_mfa)
    }

    /// Whether the account of a user lets it be in a group.
    pub fn is_group_allowed(&self, account: &str, group: &str) -> bool {
        is_among(Some(&self.guardrails(account).allowed_groups), group)
    }

    /// Whether a user is to be in a group, and may.
    pub fn joins(&self, key: &str, group: &str) -> bool {
        self.user(key).is_some_and(|user| {
            user.spec.groups.iter().flatten().any(|name| name.eq_ignore_ascii_case(group))
                && self.is_group_allowed(&user.spec.account_ref.name, group)
        })
    }

    /// Whether the status of a user or role tells that something was made for it.
    pub fn is_told_of(&self, key: &str) -> bool {
        let of_user = self.user(key).and_then(|user| user.status.as_ref()?.user_arn.clone());
        of_user.or_else(|| self.role(key)?.status.as_ref()?.role_arn.clone()).is_some()
    }

    /// The ARNs of the policies that a user or role attaches and that are not its own.
    pub fn attached(&self, key: &str) -> Vec<String> {
        let permissions = self.identity(key).and_then(|identity| identity.permissions);
        permissions.into_iter().flat_map(|permissions| &permissions.attached_policies).map(|name| policy_arn(name)).collect()
    }

    /// The permissions boundary that its account has put on a user or role, as its status tells.
    pub fn imposed(&self, key: &str) -> Option<&str> {
        let of_user = self.user(key).and_then(|user| user.status.as_ref()?.permissions_boundary_arn.as_deref());
        of_user.or_else(|| self.role(key)?.status.as_ref()?.permissions_boundary_arn.as_deref())
    }

    /// The services and providers that a role may trust, and is to trust.
    pub fn vouchers(&self, key: &str) -> BTreeSet<String> {
        let Some(role) = self.role(key).filter(|_| self.hold(key).is_none()) else { return BTreeSet::new() };
        let all = role.spec.trust.iter().flat_map(|entry| entry.from.iter().map(move |source| (entry, source)));
        let allowed = all.filter(|(entry, source)| !self.is_source_forbidden(&role.spec.account_ref.name, entry, source));
        let voucher = |source: &Source| match source {
            Source::Service(service) => Some(service.clone()),
            Source::Oidc(oidc) => Some(oidc.provider_arn.clone()),
            _ => None,
        };
        allowed.filter_map(|(_, source)| voucher(source)).collect()
    }

    /// The boundary that an account puts on all.
    pub fn forced_boundary(&self, account: &str) -> Option<&str> {
        self.account(account)?.spec.guardrails.as_ref()?.permissions_boundary_arn.as_deref()
    }

    /// The permissions boundary that a user or role declares itself.
    pub fn own_boundary(&self, key: &str) -> Option<&str> {
        self.identity(key)?.boundary
    }

    /// The permissions boundary that a user or role is to have: its own, or what its account says.
    pub fn boundary(&self, key: &str) -> Option<&str> {
        let identity = self.identity(key)?;
        let default = || self.defaults(identity.account)?.permissions_boundary_arn.as_deref();
        identity.boundary.or_else(|| self.forced_boundary(identity.account)).or_else(default)
    }

    /// Those of the kind, the namespace and the account of a user or role, and how many of them there may be.
    pub fn kin(&self, key: &str) -> (BTreeSet<&str>, Option<u32>) {
        let Some(own) = self.identity(key) else { return (BTreeSet::new(), None) };
        let quotas = self.guardrails(own.account).quotas.as_ref();
        let most = quotas.and_then(|quotas| if own.hours.is_some() { quotas.roles } else { quotas.users });
        let is_kin = |other: &Identity<'_>| other.is_beside(&own) && other.hours.is_some() == own.hours.is_some();
        let kin = self.keys().filter(|key| self.identity(key).is_some_and(|other| is_kin(&other)));
        (kin.map(String::as_str).collect(), most)
    }

    /// Whether those of its kind, its namespace and its account are more than the account lets a namespace have, or their customer-managed policies are.
    pub fn exceeds_quota(&self, key: &str) -> bool {
        let Some(own) = self.identity(key) else { return false };
        let (kin, most) = self.kin(key);
        let beside = self.keys().filter_map(|key| self.identity(key)).filter(|other| other.is_beside(&own));
        let policies: usize = beside.filter_map(|other| other.permissions).map(|permissions| permissions.customer_managed_policies.len()).sum();
        let most_policies = self.guardrails(own.account).quotas.as_ref().and_then(|quotas| quotas.policies);
        let exceeds = |count: usize, most: Option<u32>| most.is_some_and(|most| count > most as usize);
        exceeds(kin.len(), most) || exceeds(policies, most_policies)
    }
}

/// Whether a user or role breaks a rule that speaks of it as a whole.
fn breaks_a_rule(rules: &Guardrails, default_duration: Option<&str>, identity: &Identity<'_>) -> bool {
    let is_role = identity.hours.is_some();
    let is_below = rules.required_path_prefix.as_ref().is_none_or(|prefix| identity.path.starts_with(prefix.as_str()));
    let has_good_name = (!is_role || is_among(rules.allowed_role_names.as_deref(), &identity.name))
        && !rules.reserved_names.as_deref().is_some_and(|reserved| is_among(Some(reserved), &identity.name));
    let has_good_tags = identity.tags.iter().all(|key| is_among(rules.allowed_tag_keys.as_deref(), key));
    let forced = rules.permissions_boundary_arn.as_deref();
    let has_good_boundary = identity.boundary.is_none_or(|own| match forced {
        Some(forced) => own == forced,
        None => is_among(rules.allowed_policies.as_deref(), own),
    });
    let longest = rules.max_session_duration.as_deref();
    let is_short = identity.hours.is_none_or(|declared| {
        let wanted = declared.or(default_duration).unwrap_or("1h");
        longest.is_none_or(|longest| hours(wanted) <= hours(longest))
    });
    let has_good_policies = identity.permissions.is_none_or(|permissions| {
        let may_attach = permissions.attached_policies.iter().all(|name| is_among(rules.allowed_policies.as_deref(), &policy_arn(name)));
        let own = permissions.customer_managed_policies.iter().map(|policy| policy.source());
        let mut sources = own.chain(permissions.inline_policies.iter().map(|policy| policy.source())).flatten();
        let place = |source: DocumentSource<'_>| match source {
            DocumentSource::ConfigMap(_) => PolicyDocumentSource::ConfigMap,
            _ => PolicyDocumentSource::Spec,
        };
        let are_in_place = sources.all(|source| rules.policy_document_sources.as_ref().is_none_or(|allowed| allowed.contains(&place(source))));
        let is_limit = |name: &str| forced.is_some_and(|forced| forced.rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case(name)));
        let may_assume = permissions.external_roles.iter().all(|role| is_among(Some(&rules.allowed_external_roles), role));
        may_attach && may_assume && are_in_place && !permissions.customer_managed_policies.iter().any(|policy| is_limit(&policy.name))
    });
    !(is_below && has_good_name && has_good_tags && has_good_boundary && is_short && has_good_policies)
}
