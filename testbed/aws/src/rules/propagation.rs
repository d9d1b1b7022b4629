//! Eventual consistency: what was just created is not known everywhere at once.

use chrono::{DateTime, TimeDelta, Utc};

/// Whether something created at that time is known by now.
///
/// New users and roles are refused as principals ("Invalid principal in policy") and new roles cannot be assumed for
/// seconds, rarely a minute, and new keys are refused with `InvalidClientTokenId`
/// (TF `internal/service/iam/consts.go` retries for two minutes; TF#12436, TF#6566).
pub fn has_propagated(created_at: DateTime<Utc>, now: DateTime<Utc>, delay_ms: u64) -> bool {
    if delay_ms == 0 {
        return true;
    }
    let delay = i64::try_from(delay_ms).ok().and_then(TimeDelta::try_milliseconds).unwrap_or(TimeDelta::MAX);
    now.signed_duration_since(created_at) >= delay
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_delay_everything_is_known_at_once_even_when_the_clock_was_set_back() {
        let now = Utc::now();
        assert!(has_propagated(now, now, 0));
        assert!(has_propagated(now, now - TimeDelta::days(1), 0));
    }

    #[test]
    fn with_a_delay_it_takes_exactly_that_long() {
        let created = Utc::now();
        assert!(!has_propagated(created, created + TimeDelta::milliseconds(1_999), 2_000));
        assert!(has_propagated(created, created + TimeDelta::milliseconds(2_000), 2_000));
    }

    #[test]
    fn a_delay_beyond_all_time_never_ends() {
        let created = Utc::now();
        assert!(!has_propagated(created, created + TimeDelta::days(36_500), u64::MAX));
    }
}
