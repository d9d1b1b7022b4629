//! Everything the simulated AWS knows: its accounts, their IAM state, sessions and buckets, and how it behaves.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use fakecloud_core::{auth::ResourcePolicyProvider, delivery::DeliveryBus, multi_account::MultiAccountState};
use fakecloud_iam::{IamAccessKey, IamState, IamUser, SharedIamState, iam_service::IamService, xml_responses};
use fakecloud_s3::{S3Service, S3State, resource_policy::S3ResourcePolicyProvider};
use parking_lot::RwLock;

use crate::rules::{
    identifiers, partitions, quotas::Quotas, sessions::Sessions, throttling::Throttles, unique_ids::TrustWrites, unmodifiable::Recreations,
};

/// The Region of requests that name none; also where the crates put what has no Region.
pub const DEFAULT_REGION: &str = "us-east-1";

/// The crates insist on one account at birth. It is never registered, so nobody can name or reach it.
const PLACEHOLDER_ACCOUNT: &str = "000000000000";

/// Name of the IAM user with full access that each account is born with.
pub const ADMINISTRATOR: &str = "administrator";

const FULL_ACCESS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

/// How the simulator behaves, apart from faults.
#[derive(Debug, Default)]
pub struct Settings {
    propagation_delay_ms: AtomicU64,
    latency_ms: AtomicU64,
    clock_offset_seconds: AtomicI64,
    page_size: AtomicU64,
    unmodifiable_ms: AtomicU64,
    unique_ids_ms: AtomicU64,
}

impl Settings {
    /// How long new users, roles and access keys stay unknown to the rest of AWS, in milliseconds.
    pub fn propagation_delay_ms(&self) -> u64 {
        self.propagation_delay_ms.load(Ordering::Relaxed)
    }

    /// How long each call takes before it is looked at, in milliseconds.
    pub fn latency_ms(&self) -> u64 {
        self.latency_ms.load(Ordering::Relaxed)
    }

    /// How far the time of the simulated AWS is ahead of the machine's.
    pub fn clock_offset_seconds(&self) -> i64 {
        self.clock_offset_seconds.load(Ordering::Relaxed)
    }

    /// How many entries a page of a list has at most; 0 for as many as are asked for.
    pub fn page_size(&self) -> u64 {
        self.page_size.load(Ordering::Relaxed)
    }

    /// How long users that were deleted and created again, and new login profiles, cannot be changed, in milliseconds.
    pub fn unmodifiable_ms(&self) -> u64 {
        self.unmodifiable_ms.load(Ordering::Relaxed)
    }

    /// How long after a trust policy was written reads show its principals as unique ids, in milliseconds.
    pub fn unique_ids_ms(&self) -> u64 {
        self.unique_ids_ms.load(Ordering::Relaxed)
    }

    /// Sets [`Self::unique_ids_ms`].
    pub fn set_unique_ids_ms(&self, value: u64) {
        self.unique_ids_ms.store(value, Ordering::Relaxed);
    }

    /// Sets [`Self::unmodifiable_ms`].
    pub fn set_unmodifiable_ms(&self, value: u64) {
        self.unmodifiable_ms.store(value, Ordering::Relaxed);
    }

    /// Sets [`Self::page_size`].
    pub fn set_page_size(&self, value: u64) {
        self.page_size.store(value, Ordering::Relaxed);
    }

    /// Sets [`Self::clock_offset_seconds`].
    pub fn set_clock_offset_seconds(&self, value: i64) {
        self.clock_offset_seconds.store(value, Ordering::Relaxed);
    }

    /// Sets [`Self::propagation_delay_ms`].
    pub fn set_propagation_delay_ms(&self, value: u64) {
        self.propagation_delay_ms.store(value, Ordering::Relaxed);
    }

    /// Sets [`Self::latency_ms`].
    pub fn set_latency_ms(&self, value: u64) {
        self.latency_ms.store(value, Ordering::Relaxed);
    }
}

/// A registered account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Access key of the account's administrator.
    pub access_key_id: String,
    /// The secret that belongs to it.
    pub secret_access_key: String,
    /// The partition that all of the account's ARNs are of.
    pub partition: String,
    /// The organisation that the account is a member of, for `aws:PrincipalOrgID`.
    pub organization_id: Option<String>,
    /// How large and how many things may be there.
    pub quotas: Quotas,
    /// Service control policies by level of the organisation; none at all means no limit.
    pub service_control_policies: Vec<Vec<serde_json::Value>>,
    /// Resource control policies, likewise.
    pub resource_control_policies: Vec<Vec<serde_json::Value>>,
}

/// The simulated AWS.
pub struct World {
    /// Users, roles, policies and keys of all accounts.
    pub iam: SharedIamState,
    /// Temporary credentials and what they carry.
    pub sessions: Sessions,
    /// Tokens of OpenID Connect providers that were minted here, with their claims.
    pub identity_tokens: RwLock<BTreeMap<String, serde_json::Value>>,
    /// Users that bear the name of one that was deleted.
    pub recreations: Recreations,
    /// When trust policies were last written.
    pub trust_writes: TrustWrites,
    /// How often each account may call.
    pub throttles: Throttles,
    /// Delay, latency and clock.
    pub settings: Settings,
    /// Request handlers of IAM.
    pub iam_service: IamService,
    /// Request handlers of S3.
    pub s3_service: S3Service,
    /// Bucket policies and owners.
    pub bucket_policies: Arc<dyn ResourcePolicyProvider>,
    /// Held by every IAM write, so that a rule and the change that it allows are one step.
    pub writes: tokio::sync::Mutex<()>,
    accounts: RwLock<BTreeMap<String, Account>>,
}

impl Default for World {
    fn default() -> Self {
        let iam: SharedIamState = Arc::new(RwLock::new(MultiAccountState::<IamState>::new(PLACEHOLDER_ACCOUNT, DEFAULT_REGION, "")));
        let s3 = Arc::new(RwLock::new(MultiAccountState::<S3State>::new(PLACEHOLDER_ACCOUNT, DEFAULT_REGION, "")));
        Self {
            iam_service: IamService::new(iam.clone()),
            s3_service: S3Service::new(s3.clone(), Arc::new(DeliveryBus::new())),
            bucket_policies: S3ResourcePolicyProvider::shared(s3),
            iam,
            sessions: Sessions::default(),
            identity_tokens: RwLock::default(),
            recreations: Recreations::default(),
            trust_writes: TrustWrites::default(),
            throttles: Throttles::default(),
            settings: Settings::default(),
            writes: tokio::sync::Mutex::default(),
            accounts: RwLock::default(),
        }
    }
}

impl World {
    /// Creates the account with its administrator, or finds it. A second registration keeps the key, the partition and, unless it
    /// names another, the organisation.
    pub fn register(&self, account_id: &str, partition: &str, organization_id: Option<String>) -> Account {
        // Whoever holds both takes the IAM states first.
        let mut states = self.iam.write();
        let mut accounts = self.accounts.write();
        let account = accounts.entry(account_id.to_owned()).or_insert_with(|| self.create(&mut states, account_id, partition));
        if organization_id.is_some() {
            account.organization_id = organization_id;
        }
        account.clone()
    }

    fn create(&self, states: &mut MultiAccountState<IamState>, account_id: &str, partition: &str) -> Account {
        let account = Account {
            access_key_id: identifiers::access_key_id("AKIA"),
            secret_access_key: xml_responses::generate_secret_access_key(),
            partition: partition.to_owned(),
            organization_id: None,
            quotas: Quotas::default(),
            service_control_policies: Vec::new(),
            resource_control_policies: Vec::new(),
        };
        // Older than any propagation delay: the administrator is there from the start.
        let created_at = self.now() - TimeDelta::days(1);
        let region = partitions::region(partition, DEFAULT_REGION);
        let state = states.get_or_create_with(account_id, |state| *state = IamState::new_in_region(account_id, region));
        // The crate gives the service-linked roles of every account the same ids.
        for role in state.roles.values_mut() {
            role.role_id = identifiers::unique_id("AROA");
        }
        state.users.insert(
            ADMINISTRATOR.to_owned(),
            IamUser {
                user_name: ADMINISTRATOR.to_owned(),
                user_id: identifiers::unique_id("AIDA"),
                arn: format!("arn:{partition}:iam::{account_id}:user/{ADMINISTRATOR}"),
                path: "/".to_owned(),
                created_at,
                tags: Vec::new(),
                permissions_boundary: None,
            },
        );
        state.user_inline_policies.entry(ADMINISTRATOR.to_owned()).or_default().insert("full-access".to_owned(), FULL_ACCESS.to_owned());
        state.access_keys.insert(
            ADMINISTRATOR.to_owned(),
            vec![IamAccessKey {
                access_key_id: account.access_key_id.clone(),
                secret_access_key: account.secret_access_key.clone(),
                user_name: ADMINISTRATOR.to_owned(),
                status: "Active".to_owned(),
                created_at,
            }],
        );
        account
    }

    /// The ids of all registered accounts, sorted.
    pub fn account_ids(&self) -> Vec<String> {
        self.accounts.read().keys().cloned().collect()
    }

    /// Whether the account exists.
    pub fn has_account(&self, account_id: &str) -> bool {
        self.accounts.read().contains_key(account_id)
    }

    /// What `read` makes of an account; `None` when there is no such account.
    pub fn of_account<T>(&self, account_id: &str, read: impl FnOnce(&Account) -> T) -> Option<T> {
        self.accounts.read().get(account_id).map(read)
    }

    /// Changes an account; `None` when there is no such account.
    pub fn change_account<T>(&self, account_id: &str, change: impl FnOnce(&mut Account) -> T) -> Option<T> {
        self.accounts.write().get_mut(account_id).map(change)
    }

    /// The partition of an account; that of an account which does not exist is the default one.
    pub fn partition_of(&self, account_id: &str) -> String {
        self.of_account(account_id, |account| account.partition.clone()).unwrap_or_else(|| partitions::DEFAULT.to_owned())
    }

    /// The organisation that an account belongs to.
    pub fn organization_of(&self, account_id: &str) -> Option<String> {
        self.of_account(account_id, |account| account.organization_id.clone())?
    }

    /// The time of the simulated AWS: of sessions, condition keys, tokens and what is created. Signatures and one-time codes of MFA are made by the
    /// clocks of others, so they are held against the time of the machine.
    pub fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::seconds(self.settings.clock_offset_seconds())
    }

    /// Whether something created at that time is known all over AWS by now (see [`Settings::propagation_delay_ms`]).
    pub fn has_propagated(&self, created_at: DateTime<Utc>) -> bool {
        crate::rules::propagation::has_propagated(created_at, self.now(), self.settings.propagation_delay_ms())
    }
}
