//! Lists of a status. Each has at most [`LISTED`] entries, with the total beside it.

use rolebridge_api::role::{CrossAccountRoleStatus, GrantState};

/// Entries of a list in a status; the total is told beside it.
pub const LISTED: usize = 100;

/// A number as a status tells it.
pub fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Whether a list in a status had no room for all that there is.
pub fn is_cut(listed: usize, total: i64) -> bool {
    count(listed) < total
}

/// Whether all that a status tells of the grants is of replaced principals, so that it may have had no room for more of them.
pub fn may_hide_replaced(status: &CrossAccountRoleStatus) -> bool {
    is_cut(status.grants.len(), status.grants_total) && status.grants.iter().all(|told| told.state == GrantState::Replaced)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rolebridge_api::role::GrantStatus;

    #[test]
    fn only_a_list_that_is_cut_and_full_of_replaced_ones_may_hide_more() {
        let of = |state| GrantStatus { state, ..GrantStatus::default() };
        let may_hide =
            |grants: Vec<GrantStatus>, grants_total| may_hide_replaced(&CrossAccountRoleStatus { grants, grants_total, ..Default::default() });
        assert!(may_hide(vec![of(GrantState::Replaced)], 2));
        assert!(!may_hide(vec![of(GrantState::Replaced)], 1) && !may_hide(vec![of(GrantState::Replaced), of(GrantState::Granted)], 3));
    }
}
