//! Reading what an account says of itself: its quotas, and its alias in the console.

use std::collections::BTreeMap;

use super::reply::unreadable;
use super::{Sdk, list};
use rolebridge_core::failure::Failure;
use rolebridge_core::quotas::Quotas;

impl Sdk {
    pub(super) async fn quotas(&self) -> Result<Quotas, Failure> {
        const OPERATION: &str = "iam:GetAccountSummary";
        let answer = self.call(OPERATION, self.iam.get_account_summary().send()).await?;
        let entries = answer.summary_map().filter(|entries| !entries.is_empty()).ok_or_else(|| unreadable(OPERATION, "SummaryMap is empty"))?;
        // By name: the SDK knows some of the keys only.
        let entries: BTreeMap<String, i32> = entries.iter().map(|(key, value)| (key.as_str().to_owned(), *value)).collect();
        Ok(Quotas::from_summary(&entries))
    }

    /// An account has one alias at most (IAM API reference, ListAccountAliases).
    pub(super) async fn alias(&self) -> Result<Option<String>, Failure> {
        let aliases = list!(self, "iam:ListAccountAliases", self.iam.list_account_aliases(), |page| page.account_aliases().iter().cloned())?;
        Ok(aliases.into_iter().next())
    }
}
