//! Who the operator is, what was read of the boundaries of the accounts that it depends on, and how these accounts were found to stand.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use kube::ResourceExt;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::api::AWSAccount;
use crate::core::document::Document;
use crate::core::failure::Failure;
use crate::core::home::{Standing, forced};
use crate::core::names::Arn;
use crate::core::world::{Boundary, Operator};

/// So long after nobody could tell who the operator is, the next pass over an AWSAccount asks again.
const AGAIN: Duration = Duration::from_secs(30);

/// What this process knows of the accounts that everything hangs on.
#[derive(Default)]
pub struct Home {
    asked: Mutex<Asked>,
    /// The policies that were read, by the names of the AWSAccounts that force them.
    boundaries: Mutex<HashMap<String, Read>>,
    /// How the accounts stood when that was looked at last; None before the first time.
    standings: Mutex<Option<BTreeMap<String, Standing>>>,
}

#[derive(Default)]
struct Asked {
    operator: Operator,
    at: Option<Instant>,
    failure: Option<Failure>,
}

/// A policy as it was read for an account.
struct Read {
    /// Of the AWSAccount: another one of the same name may be for another account of AWS.
    uid: String,
    arn: String,
    document: Option<Document>,
}

impl Home {
    /// Who the operator is, as far as that is known.
    pub fn operator(&self) -> Operator {
        self.asked.lock().operator.clone()
    }

    /// Whether somebody has found out who the operator is, or tried to.
    pub fn was_asked(&self) -> bool {
        self.asked.lock().at.is_some()
    }

    /// Whether it is to be asked who the operator is: that may change, and where nobody could tell it a moment ago nobody can now.
    pub fn is_to_be_asked(&self) -> bool {
        let asked = self.asked.lock();
        matches!(asked.operator, Operator::Is(_)) || asked.at.is_none_or(|at| at.elapsed() >= AGAIN)
    }

    /// Why it is not known who the operator is, if somebody has tried to find out.
    pub fn failure(&self) -> Option<Failure> {
        self.asked.lock().failure.clone()
    }

    /// Keeps who the operator is, or why that could not be told.
    pub fn note(&self, answer: Result<Option<Arn>, Failure>) {
        let (operator, failure) = match answer {
            Ok(arn) => (arn.map_or(Operator::Nobody, Operator::Is), None),
            Err(failure) => (Operator::Unknown, Some(failure)),
        };
        *self.asked.lock() = Asked { operator, at: Some(Instant::now()), failure };
    }

    /// What is known of the policy that an account forces as boundary.
    pub fn boundary(&self, account: &AWSAccount) -> Boundary {
        let boundaries = self.boundaries.lock();
        let is_it = |read: &&Read| Some(read.arn.as_str()) == forced(account) && Some(&read.uid) == account.metadata.uid.as_ref();
        match boundaries.get(&account.name_any()).filter(is_it) {
            None => Boundary::Unread,
            Some(Read { document: None, .. }) => Boundary::Missing,
            Some(Read { document: Some(document), .. }) => Boundary::Read(document.clone()),
        }
    }

    /// Keeps what was read of a policy that an account forces as boundary.
    pub fn keep(&self, account: &AWSAccount, policy: &Arn, document: Option<Document>) {
        let read = Read { uid: account.uid().unwrap_or_default(), arn: policy.to_string(), document };
        self.boundaries.lock().insert(account.name_any(), read);
    }

    /// Notes how the accounts stand, by a look at them that nobody overtakes. Returns the names of those that stood otherwise before, and whether that concerns their users and roles.
    pub fn settle(&self, look: impl FnOnce() -> BTreeMap<String, Standing>) -> Vec<(String, bool)> {
        let mut standings = self.standings.lock();
        let now = look();
        let before = standings.replace(now.clone()).unwrap_or_default();
        let stood = |name: &String| before.get(name).filter(|before| Some(*before) != now.get(name));
        now.iter().filter_map(|(name, now)| Some((name.clone(), stood(name)?.powers != now.powers))).collect()
    }

    /// Whether it was ever looked at how the accounts stand.
    pub fn is_settled(&self) -> bool {
        self.standings.lock().is_some()
    }

    /// Forgets an account that is gone.
    pub fn forget(&self, account: &str) {
        self.boundaries.lock().remove(account);
        if let Some(standings) = self.standings.lock().as_mut() {
            standings.remove(account);
        }
    }

    /// How many accounts something is kept of.
    pub fn counts(&self) -> [(&'static str, usize); 2] {
        [("boundaries", self.boundaries.lock().len()), ("standings", self.standings.lock().as_ref().map_or(0, BTreeMap::len))]
    }
}
