//! What is Ready, and whether it is in AWS as declared.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use rolebridge::api::permissions::{Permissions, Unmanaged};
use serde_json::{Value, json};

use super::{Settled, is_ready, ready};
use crate::aws_state::{in_force, items, statements, text, unique_id};
use crate::checker::kept::{Kept, describes_a_key, only_denies};
use crate::guardrails::{hours, policy_arn};
use crate::resources::Key;
use crate::run::INSTALLATION;

impl Settled<'_> {
    /// What is Ready and not in AWS as declared.
    pub(super) fn drift(&self) -> Vec<String> {
        let mut found = vec![];
        for (key, user) in self.resources().users().filter(|(_, user)| is_ready(*user)) {
            let wanted = Wanted {
                tags: self.tags(&user.spec.account_ref.name, &user.spec.tags),
                boundary: self.boundary(key),
                permissions: user.spec.permissions.as_ref(),
                looks: user.spec.permissions.is_some(),
            };
            found.extend(self.differences(key, &user.spec.account_ref.name, &user.namespace().unwrap_or_default(), &wanted));
        }
        for (key, role) in self.resources().roles().filter(|(_, role)| is_ready(*role)) {
            let wanted = Wanted {
                tags: self.tags(&role.spec.account_ref.name, &role.spec.tags),
                boundary: self.boundary(key),
                permissions: role.spec.permissions.as_ref(),
                looks: true,
            };
            found.extend(self.differences(key, &role.spec.account_ref.name, &role.namespace().unwrap_or_default(), &wanted));
            if let Some(there) = self.bearer(key) {
                let default = self.resources().defaults(&role.spec.account_ref.name).and_then(|defaults| defaults.max_session_duration.as_deref());
                let hours = hours(role.spec.max_session_duration.as_deref().or(default).unwrap_or("1h"));
                found.extend(differs(key, "session duration", &there["maxSessionDuration"], &json!(hours * 3600)));
                found.extend(differs(
                    key,
                    "description",
                    &json!(text(there, "description")),
                    &json!(role.spec.description.as_deref().unwrap_or_default()),
                ));
            }
        }
        found.extend(self.ungranted());
        found
    }

    /// Tags, with those of the account for the keys that are not declared.
    fn tags(&self, account: &str, own: &BTreeMap<String, String>) -> Value {
        // IAM knows keys that differ only in case as one.
        let is_own = |key: &str| own.keys().any(|own| own.eq_ignore_ascii_case(key));
        let defaults = self.resources().defaults(account).into_iter().flat_map(|defaults| &defaults.tags).filter(|(key, _)| !is_own(key));
        json!(defaults.chain(own).collect::<BTreeMap<_, _>>())
    }

    /// The permissions boundary of a user or role. One that its account has put on, as the status tells, stays when nobody says any more that there is to be one.
    fn boundary(&self, key: &str) -> Value {
        let there = self.bearer(key).map(|there| text(there, "permissionsBoundary")).unwrap_or_default();
        json!(self.resources().boundary(key).or_else(|| self.resources().imposed(key).filter(|told| *told == there)))
    }

    /// Grants whose two sides are Ready and that do not stand.
    fn ungranted(&self) -> Vec<String> {
        let identities = self.checker.living.keys().filter(|id| !id.starts_with("arn:"));
        let ids: BTreeMap<&Key, &str> = identities.filter_map(|id| Some((self.checker.made.get(id)?, id.as_str()))).collect();
        let ready = ready(self.resources());
        let effective: BTreeSet<&(String, String)> = self.checker.effective().collect();
        let wanted = self.checker.declaration().into_iter().flat_map(|declaration| &declaration.wanted);
        let both = wanted.filter(|(source, role)| ready.contains(source) && ready.contains(role));
        let missing = both.filter(|(source, role)| match (ids.get(source), ids.get(role)) {
            (Some(source), Some(role)) => !effective.contains(&((*source).to_owned(), (*role).to_owned())),
            _ => true,
        });
        missing.map(|(source, role)| format!("{role} and {source} are Ready, and the one may not be assumed by the other")).collect()
    }

    fn differences(&self, key: &Key, account: &str, namespace: &str, wanted: &Wanted<'_>) -> Vec<String> {
        let Some(there) = self.bearer(key) else { return vec![format!("{key} is Ready and not in AWS")] };
        let mut found = vec![];
        let mut tags = wanted.tags.clone();
        tags["rolebridge.io/installation"] = json!(INSTALLATION);
        tags["rolebridge.io/owner"] = json!(key);
        // What was made for a predecessor of the same name keeps its tag until something else is written.
        tags["rolebridge.io/uid"] = there["tags"]["rolebridge.io/uid"].clone();
        // IAM knows keys that differ only in case as one, and keeps the first.
        let is_user = there.get("userName").is_some();
        let own: Value = there["tags"].as_object().into_iter().flatten().filter(|(key, _)| !(is_user && describes_a_key(key))).map(owned).collect();
        let in_lower_case = |tags: &Value| tags.as_object().into_iter().flatten().map(|(key, value)| (key.to_lowercase(), value.clone())).collect();
        found.extend(differs(key, "tags", &in_lower_case(&own), &in_lower_case(&tags)));
        let is_others = |what: Kept| self.is_others(key, there, &what);
        let boundary = there["permissionsBoundary"].as_str().unwrap_or_default();
        if !(wanted.boundary.is_null() && is_others(Kept::Boundary(boundary.to_owned()))) {
            found.extend(differs(key, "boundary", &there["permissionsBoundary"], &wanted.boundary));
        }
        found.extend(self.untold(key, there, wanted.looks));
        let inline = there["inlinePolicies"].as_object().cloned().unwrap_or_default();
        if inline.contains_key("RolebridgeCutOff") {
            found.push(format!("{key} is Ready and cut off"));
        }
        let permissions = wanted.permissions.cloned().unwrap_or_default();
        let assumes = inline.get("rolebridge-external-roles").map(of_others).unwrap_or_default();
        let declared: BTreeSet<&str> = permissions.external_roles.iter().map(String::as_str).collect();
        if assumes != declared {
            found.push(format!("{key} is Ready and assumes {assumes:?} of others, not {declared:?}"));
        }
        if !wanted.looks {
            return found;
        }
        let keeps_others = permissions.unmanaged == Unmanaged::Report;
        let id = self.resources().account_id(account).unwrap_or_default();
        let managed = permissions.attached_policies.iter().map(|name| policy_arn(name));
        let own = permissions.customer_managed_policies.iter().map(|policy| format!("arn:aws:iam::{id}:policy/{}", policy.name));
        let to_be: BTreeSet<String> = managed.chain(own).collect();
        let attached: BTreeSet<String> =
            items(&there["attachedPolicies"]).into_iter().filter(|arn| !arn.contains("/rolebridge-")).map(str::to_owned).collect();
        let attached = attached.into_iter().filter(|arn| keeps_others || !is_others(Kept::Attached(arn.clone()))).collect::<BTreeSet<_>>();
        if if keeps_others { !to_be.is_subset(&attached) } else { to_be != attached } {
            found.push(format!("{key} is Ready and has attached {attached:?}, not {to_be:?}"));
        }
        for policy in &permissions.inline_policies {
            let text = policy.source().and_then(|source| self.resources().document(namespace, source));
            found.extend(text.and_then(|text| differs(key, &policy.name, &inline.get(&policy.name).cloned().unwrap_or_default(), &text)));
        }
        for policy in &permissions.customer_managed_policies {
            let text = policy.source().and_then(|source| self.resources().document(namespace, source));
            let arn = format!("arn:aws:iam::{id}:policy/{}", policy.name);
            let there = self.account(account).and_then(|account| in_force(account, &arn)).cloned().unwrap_or_default();
            found.extend(text.and_then(|text| differs(key, &policy.name, &there, &text)));
        }
        let declared: BTreeSet<&str> = permissions.inline_policies.iter().map(|policy| policy.name.as_str()).collect();
        let others = inline.keys().filter(|name| !name.starts_with("rolebridge-") && !declared.contains(name.as_str()));
        let others: Vec<&String> = others.filter(|name| !is_others(Kept::Inline((*name).clone()))).collect();
        if !keeps_others && !others.is_empty() {
            found.push(format!("{key} is Ready and has inline policies {others:?}, which nobody declares"));
        }
        found
    }
}

impl Settled<'_> {
    /// Whether something on a user or role is others'. What an operator that died had put on for the resource is taken for that, too, and told.
    fn is_others(&self, key: &str, there: &Value, what: &Kept) -> bool {
        let is_kept = self.checker.kept.get(unique_id(there)).is_some_and(|kept| kept.contains(what));
        let restricts = match what {
            Kept::Inline(name) => only_denies(&there["inlinePolicies"][name]),
            _ => true,
        };
        is_kept || (self.newest > 1 && restricts && self.resources().unmanaged(key).iter().any(|told| told == what.key()))
    }

    /// What restricts a user or role, and its status does not tell. What others have attached is looked into where it would be taken off.
    fn untold(&self, key: &str, there: &Value, looks: bool) -> Vec<String> {
        let is_told = |kept: &Kept| match kept {
            Kept::Tag(_) => true,
            Kept::Attached(arn) if !looks && !arn.contains(":aws:policy/") => true,
            // The resource has declared one since, in its place.
            Kept::Boundary(arn) if there["permissionsBoundary"] != json!(arn) || self.resources().boundary(key) == Some(arn.as_str()) => true,
            // So is one that took the place of its account's, which has let go since.
            Kept::Boundary(arn) if self.resources().imposed(key) == Some(arn.as_str()) => true,
            _ => self.resources().unmanaged(key).iter().any(|told| told == kept.key()),
        };
        let kept = self.checker.kept.get(unique_id(there)).into_iter().flatten();
        kept.filter(|kept| !is_told(kept)).map(|kept| format!("{key} is Ready, and does not tell of {kept}")).collect()
    }
}

fn owned((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

/// What is declared of an identity.
struct Wanted<'s> {
    tags: Value,
    boundary: Value,
    permissions: Option<&'s Permissions>,
    /// Whether its policies are looked at.
    looks: bool,
}

/// The roles of others that a policy lets somebody assume, as long as they are nobody's here.
fn of_others(policy: &Value) -> BTreeSet<&str> {
    let are_others = |statement: &&Value| statement["Condition"] == json!({"Null": {"iam:ResourceTag/rolebridge.io/owner": "true"}});
    statements(policy).into_iter().filter(are_others).flat_map(|statement| items(&statement["Resource"])).collect()
}

fn differs(key: &str, what: &str, found: &Value, wanted: &Value) -> Option<String> {
    (found != wanted).then(|| format!("{key} is Ready and its {what} is {found}, not {wanted}"))
}
