//! The rules of accounts, once all is settled.

use serde_json::Value;

use super::{Settled, staying};
use crate::aws_state::{in_force, items, statements, unique_id, vouchers};
use crate::guardrails::Hold;

impl Settled<'_> {
    /// What breaks a rule of its account and says that it is Ready, or can do more than it may.
    pub(super) fn unruled(&self) -> Vec<String> {
        let mut found = vec![];
        for (key, told) in staying(self.resources()) {
            let hold = self.resources().hold(key);
            if hold.is_some() && told.is_some_and(|(status, _)| status == "True") {
                found.push(format!("{key} is Ready, and breaks a rule of its account"));
            }
            let Some(there) = self.bearer(key).filter(|there| self.is_own(there, key) && self.is_in_hand(key, there)) else { continue };
            let (account, trust) = (self.resources().placed_in(key).unwrap_or_default(), &there["assumeRolePolicyDocument"]);
            let is_cut_off = there["inlinePolicies"].get("RolebridgeCutOff").is_some();
            let comes_in = statements(trust).iter().any(|statement| statement["Effect"] == "Allow");
            let is_user = there.get("userName").is_some();
            if hold == Some(Hold::CutOff) && ((is_user && !is_cut_off) || comes_in) {
                found.push(format!("{key} breaks a rule of its account, and is not cut off"));
            }
            let disables = self.resources().on_violation(account) == Hold::CutOff;
            let may = self.resources().vouchers(key);
            let strange: Vec<&str> = vouchers(trust).into_iter().filter(|voucher| disables && !may.contains(*voucher)).collect();
            if !strange.is_empty() {
                found.push(format!("{key} lets in {strange:?}, which its account does not allow"));
            }
            let is_in = |group: &&str| !self.resources().is_group_allowed(account, group);
            if disables && told.is_some_and(|(_, reason)| reason == "GroupNotAllowed") && items(&there["groups"]).iter().any(is_in) {
                found.push(format!("{key} is in a group that its account does not allow"));
            }
            found.extend(self.unbounded(key, account, there, hold.is_some()));
        }
        found
    }

    /// Whether nothing that happened to a user or role keeps the operator from writing to it.
    fn is_in_hand(&self, key: &str, there: &Value) -> bool {
        let account = self.resources().placed_in(key).unwrap_or_default();
        let is_lost = self.checker.is_lost(unique_id(there)) || self.checker.is_misled(key) || self.is_disowned(key);
        self.is_usable(account) && !is_lost && !self.says(key, "IdentityChanged") && !self.says(key, "Conflict")
    }

    /// Whether the boundary that an account puts on all is missing. Who breaks a rule keeps another one.
    fn unbounded(&self, key: &str, name: &str, there: &Value, is_held: bool) -> Option<String> {
        let forced =
            self.resources().forced_boundary(name).filter(|forced| self.account(name).is_some_and(|account| in_force(account, forced).is_some()))?;
        let found = &there["permissionsBoundary"];
        let is_good = if is_held { found.is_string() } else { found == forced };
        (!is_good).then(|| format!("{key} has the boundary {found}, and its account puts {forced} on all"))
    }

    /// Whether a user or role keeps to the rules of its account, there is room for it, and what it is to attach can be attached.
    pub(super) fn may_be(&self, key: &str) -> bool {
        let Some(account) = self.resources().placed_in(key).and_then(|name| self.account(name)) else { return false };
        let is_another_ones = |arn: &str| self.checker.made.get(arn).is_some_and(|owner| owner != key);
        let comes_on = |arn: &str| in_force(account, arn).is_some() && !is_another_ones(arn);
        let attached = self.resources().attached(key);
        let mut coming = attached.iter().map(String::as_str).chain(self.resources().boundary(key));
        self.resources().hold(key).is_none() && !self.resources().exceeds_quota(key) && coming.all(comes_on)
    }
}
