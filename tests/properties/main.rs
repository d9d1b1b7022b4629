//! Properties of the pure core that hold for all resources and all states of AWS, checked on generated ones.
//!
//! IAM is modelled by [`Observed::record`]. The states that a plan goes through are those that it may be interrupted in, so what must hold always is
//! checked in each of them. The invariants L3 (nobody is let in whom neither the old nor the new declaration lets in) and L4 (what both allow is
//! never absent) are checked against sets that are computed here from the grants and the declaration, not from the plan.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod assume;
mod document;
mod evaluator;
mod index;
mod largest;
mod permissions;
mod quotas;
mod role;
mod schema;
#[path = "../support_core/mod.rs"]
mod support_core;
mod user;

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::FileFailurePersistence;
use rolebridge::api::conditions::{Class, condition_types};
use rolebridge::api::{Condition, Reason};
use rolebridge::controller::cluster::relations::{Dependency, Relations};
use rolebridge::core::action::{Action, Dependent, Tagged};
use rolebridge::core::assume::{self as core_assume, SessionRights, TagRight};
use rolebridge::core::canonical::Canonical;
use rolebridge::core::desired::{Desired, desired_role, desired_user};
use rolebridge::core::document::{Document, Effect, StatementRef};
use rolebridge::core::grants::{AssumableRole, Grant, Intent};
use rolebridge::core::identity::{ASSUME_POLICY, IdentityName, ManagedPolicy, REVOKE_SESSIONS_POLICY};
use rolebridge::core::names::Arn;
use rolebridge::core::observed::{Dependents, Observed, ObservedIdentity, ObservedPolicy};
use rolebridge::core::outcome::{Outcome, Problem};
use rolebridge::core::ownership::{Earlier, Owner, Tags};
use rolebridge::core::placement::resolve_account;
use rolebridge::core::plan::{DeletionPhase, DeletionTarget, Plan, plan, plan_removal};
use rolebridge::core::quotas::{INLINE_QUOTA, MOST_SHARDS, Quotas, SHARD_QUOTA};
use rolebridge::core::sources::Sources;
use rolebridge::core::trust::{Trust, TrustRule};
use rolebridge::core::wanted::Remaining;
use rolebridge::core::world::{ObjectKey, Ref, World};
use serde_json::{Value, json};

use assume::*;
use evaluator::{Requests, allowed};
use role::*;
use support_core::{Cluster, INSTALLATION, NAMESPACE, document, id, states, unique_id};
use user::*;

const USERS: [&str; 3] = ["alice", "bob", "carol"];
const ROOT: &str = "arn:aws:iam::111111111111:root";
const DEAD: &str = "AIDADEAD000000000000";
const ATTACHABLE: [&str; 3] =
    ["arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws:iam::aws:policy/job-function/ViewOnlyAccess", "arn:aws:iam::222222222222:policy/shared"];
const BOUNDARIES: [&str; 2] = ["arn:aws:iam::222222222222:policy/limits", "arn:aws:iam::222222222222:policy/tighter"];
/// The same in the account of the users.
const BOUNDARIES_OF_USERS: [&str; 2] = ["arn:aws:iam::111111111111:policy/limits", "arn:aws:iam::111111111111:policy/tighter"];
/// Keys of tags, some of which are the same to users and roles.
const TAG_KEYS: [&str; 4] = ["team", "Team", "stage", "STAGE"];
/// Names of customer-managed policies.
const MANAGED: [&str; 3] = ["lists", "reads", "writes"];

/// A fixed number of cases; `PROPTEST_CASES` asks for another. A failure is printed with its seed, which the `.regressions` file beside it keeps.
fn config(cases: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|number| number.parse().ok()).unwrap_or(cases);
    let failure_persistence = Some(Box::new(FileFailurePersistence::WithSource("regressions")) as Box<_>);
    ProptestConfig { cases, failure_persistence, max_shrink_iters: 4096, ..ProptestConfig::default() }
}

/// What a resource says while the rest of its declaration cannot be carried out.
fn remaining(desired: &Desired) -> Remaining {
    Remaining {
        owner: desired.owner.clone(),
        pinned: id(ROLE_ID),
        arn: desired.arn.clone(),
        trust: desired.trust.clone(),
        assumes: desired.assumes.clone(),
        quotas: desired.quotas,
        written_trust: None,
        ours: desired.ours.clone(),
        imposed: BTreeSet::new(),
        boundary: None,
        cut_off: None,
    }
}
