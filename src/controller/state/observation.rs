//! What was seen in AWS of one resource, and what that is good for.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::core::names::{Arn, UniqueID};
use crate::core::observed::Observed;
use crate::core::step::{Known, Sureness};

/// How long after it was read, or made, an object may be written to without being read again. What is known after that only tells that there is nothing
/// to do: somebody else may have deleted the object and made another. As long is what a bulk read shows of it not believed, since it may be late.
pub const GROUND: Duration = Duration::from_secs(60);

/// How what is remembered came to be known, which is what it is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Read directly, or made, at that time. A write counts for neither: it goes by name, so it tells nothing of who bears the name.
    Direct(Instant),
    /// Seen in a bulk read: it tells whether there is something to do, and is no ground for a write.
    Swept,
    /// Put in doubt by a failure: it tells only what there was.
    Doubtful,
}

/// What was last seen in AWS of one resource: read, or known from our own writes since.
#[derive(Clone, Debug)]
pub struct Observation {
    /// UID of the Kubernetes object that it was seen for.
    pub uid: String,
    /// ARN of the user or role that it speaks of.
    pub arn: Arn,
    /// What there was.
    pub observed: Observed,
    /// The sources that the trust policy was written for, with their unique IDs.
    pub principal_ids: BTreeMap<Arn, String>,
    /// When it was read, in bulk or directly.
    pub read_at: Instant,
    /// How it is known.
    pub basis: Basis,
}

impl Observation {
    /// What was read, or assumed, just now.
    pub fn now(uid: String, arn: Arn, observed: Observed, principal_ids: BTreeMap<Arn, String>) -> Self {
        let now = Instant::now();
        Self { uid, arn, observed, principal_ids, read_at: now, basis: Basis::Direct(now) }
    }

    /// What it tells the decisions.
    pub fn known(&self) -> Known<'_> {
        let sureness = match self.basis {
            Basis::Doubtful => Sureness::Doubtful,
            _ if self.may_write_from() => Sureness::Ground,
            _ => Sureness::Believed,
        };
        Known { observed: &self.observed, sureness }
    }

    /// Whether it is sure enough to be the ground for a write.
    pub fn may_write_from(&self) -> bool {
        matches!(self.basis, Basis::Direct(at) if at.elapsed() < GROUND)
    }

    /// Whether it was read directly so late that a bulk read that began then tells less of it.
    pub fn is_newer_than(&self, began: Instant) -> bool {
        matches!(self.basis, Basis::Direct(at) if at + GROUND > began)
    }

    /// Takes note that a plan was carried out, which may have ended early. `before` is the unique ID that it began with: what it made is sure, and what was
    /// there before is as sure as it was.
    pub fn carried_out(&mut self, before: Option<&UniqueID>, principal_ids: BTreeMap<Arn, String>, now: Instant) {
        self.principal_ids = principal_ids;
        let made = self.observed.identity.as_ref().map(|found| &found.id);
        if made.is_some() && made != before {
            self.basis = Basis::Direct(now);
        }
    }

    /// Whether the sources that the trust policy was written for are still the same identities.
    pub fn has_same_principals(&self, now: &BTreeMap<Arn, String>) -> bool {
        self.principal_ids.iter().all(|(arn, id)| now.get(arn).is_none_or(|now| now == id))
    }

    /// Whether it tells that nothing is to be done, where that is what it shows.
    pub fn is_believed(&self) -> bool {
        self.basis != Basis::Doubtful
    }
}
