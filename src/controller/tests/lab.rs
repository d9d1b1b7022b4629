//! A controller over small models of the API server and of AWS: everything in one thread, one pass at a time, and time stands still unless it is moved.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hyper::{Method, Request, Response, StatusCode};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::client::Body;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Action as Next;
use kube::runtime::reflector::{self, Store, store::Writer};
use kube::runtime::watcher::Event;
use kube::{Client, Resource, ResourceExt};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::api::{AWSAccount, BastionUser, CrossAccountRole, FINALIZER, Reason};
use crate::aws::{AccountConfig, Backend, BaseConfig, Caller, Gateway, Meter, SecretEntries, Secrets};
use crate::controller::cluster::kind::Kind;
use crate::controller::cluster::queue::{Woken, WorkQueue};
use crate::controller::cluster::stores::Stores;
use crate::controller::context::{Context, Settings};
use crate::controller::reconcile::{Reconciled, reconcile};
use crate::core::action::{Action, Receipt, Tagged};
use crate::core::document::Document;
use crate::core::failure::{Effect, Failure};
use crate::core::identity::IdentityName;
use crate::core::names::{Arn, UniqueID};
use crate::core::observed::{Dependents, Observed, ObservedIdentity, ObservedPolicy, Scope};
use crate::core::ownership::Owner;
use crate::core::quotas::Quotas;
use crate::core::sweep::Sweep;
use crate::core::world::{ObjectKey, Ref};

/// The kinds of Rolebridge.
const OUR_KINDS: [&str; 3] = ["AWSAccount", "BastionUser", "CrossAccountRole"];
/// More passes than any test takes: what goes on for longer has no end.
const MOST_PASSES: usize = 3000;

/// A controller with its API server and its AWS. Copies are the same one.
#[derive(Clone)]
pub struct Lab {
    pub context: Arc<Context>,
    pub api: Arc<ApiServer>,
    pub aws: Arc<Aws>,
    watches: Arc<Watches>,
}

/// What the watches feed, and the queues of what they wake.
struct Watches {
    accounts: Mutex<Writer<AWSAccount>>,
    users: Mutex<Writer<BastionUser>>,
    roles: Mutex<Writer<CrossAccountRole>>,
    namespaces: Mutex<Writer<PartialObjectMeta<Namespace>>>,
    config_maps: Mutex<Writer<PartialObjectMeta<ConfigMap>>>,
    woken: Mutex<Woken>,
}

/// A store that has been filled once.
fn store<K: Resource<DynamicType = ()> + Clone + 'static>() -> (Store<K>, Mutex<Writer<K>>) {
    let (store, mut writer) = reflector::store();
    writer.apply_watcher_event(&Event::Init);
    writer.apply_watcher_event(&Event::InitDone);
    (store, Mutex::new(writer))
}

impl Lab {
    /// With the accounts `utils` (111111111111) and `prod` (222222222222), open to all namespaces, and the namespace `data`.
    pub async fn new() -> Self {
        Self::before_its_first_pass(|_| {}).await
    }

    /// The same, where something is different before anything is looked at.
    pub async fn before_its_first_pass(change: impl FnOnce(&Self)) -> Self {
        let (accounts, accounts_writer) = store();
        let (users, users_writer) = store();
        let (roles, roles_writer) = store();
        let (namespaces, namespaces_writer) = store();
        let (config_maps, config_maps_writer) = store();
        let (queue, woken) = WorkQueue::new();
        let stores = Stores { accounts, users, roles, namespaces, config_maps };
        let (api, aws) = (Arc::<ApiServer>::default(), Arc::<Aws>::default());
        let answering = api.clone();
        let service = tower::service_fn(move |request| {
            let api = answering.clone();
            async move { Ok::<_, std::convert::Infallible>(api.answer(request).await) }
        });
        let settings = Settings { installation: "main".into(), sweep_interval: Duration::from_secs(900), concurrency: 4 };
        let base = aws.clone().base();
        let context = Arc::new(Context::new(Client::new(service, "default"), stores, queue, base, settings));
        let watches = Watches {
            accounts: accounts_writer,
            users: users_writer,
            roles: roles_writer,
            namespaces: namespaces_writer,
            config_maps: config_maps_writer,
            woken: Mutex::new(woken),
        };
        let lab = Self { context, api, aws, watches: Arc::new(watches) };
        change(&lab);
        lab.context.all_listed();
        lab.apply(json!({"kind": "Namespace", "metadata": {"name": "data"}}));
        for (name, id) in [("utils", "111111111111"), ("prod", "222222222222")] {
            lab.apply(json!({"kind": "AWSAccount", "metadata": {"name": name}, "spec": {
                "accountID": id, "access": {"ambient": {}}, "allowedNamespaces": {"from": "All"}, "guardrails": {"allowedPrincipals": ["*"]},
                "limits": {"requestsPerSecond": 100, "burst": 1000, "concurrency": 64},
            }}));
        }
        lab.settle().await;
        lab
    }

    /// Creates or replaces an object as `kubectl apply` does. The namespace is `data` where none is named.
    pub fn apply(&self, manifest: Value) {
        self.api.apply(manifest);
        self.sync();
    }

    /// Deletes an object as `kubectl delete` does, without waiting for finalizers.
    pub fn delete(&self, kind: &str, name: &str) {
        self.api.delete(kind, name);
        self.sync();
    }

    /// An object as the API server has it.
    pub fn get(&self, kind: &str, name: &str) -> Value {
        self.api.objects.lock().get(&path(kind, name)).cloned().unwrap_or_default()
    }

    /// Reason of an object's Ready condition, and its message.
    pub fn ready(&self, kind: &str, name: &str) -> (String, String) {
        let conditions = self.get(kind, name)["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ready = conditions.into_iter().find(|c| c["type"] == "Ready").unwrap_or_default();
        let text = |field: &str| ready[field].as_str().unwrap_or_default().to_owned();
        (text("reason"), text("message"))
    }

    /// One pass over a resource. Tells when the next one comes by itself.
    pub async fn pass(&self, of: &Ref) -> Next {
        let (key, context) = (of.key().clone(), self.context.clone());
        let next = match of {
            Ref::Account(_) => reconcile::<AWSAccount>(key, context).await,
            Ref::User(_) => reconcile::<BastionUser>(key, context).await,
            Ref::Role(_) => reconcile::<CrossAccountRole>(key, context).await,
        };
        self.sync();
        next
    }

    /// Passes over all that is woken, until nothing is any more.
    pub async fn settle(&self) {
        for _ in 0..MOST_PASSES {
            match self.next_woken() {
                Some(of) => self.pass(&of).await,
                None => return,
            };
        }
        panic!("no end, at {:?}", self.next_woken());
    }

    /// Lets time go by, with a pass over every resource each second.
    pub async fn run(&self, seconds: u64) {
        for _ in 0..seconds {
            self.settle().await;
            tokio::time::advance(Duration::from_secs(1)).await;
            let stores = &self.context.stores;
            let users = stores.users.state().into_iter().map(|user| Ref::User(ObjectKey::of(&*user)));
            let roles = stores.roles.state().into_iter().map(|role| Ref::Role(ObjectKey::of(&*role)));
            let all: Vec<Ref> = users.chain(roles).collect();
            all.iter().for_each(|of| self.context.wake(of));
        }
        self.settle().await;
    }

    fn next_woken(&self) -> Option<Ref> {
        fn next<K: Kind>(queue: &mut UnboundedReceiver<reflector::ObjectRef<K>>) -> Option<Ref> {
            let woken = queue.try_recv().ok()?;
            Some(K::reference(ObjectKey::new(woken.namespace.unwrap_or_default(), woken.name)))
        }
        let mut woken = self.watches.woken.lock();
        next(&mut woken.accounts).or_else(|| next(&mut woken.users)).or_else(|| next(&mut woken.roles))
    }

    /// Brings the stores up to date with the API server, as the watches do.
    pub fn sync(&self) {
        let objects = self.api.objects.lock();
        self.sync_metadata(&objects, "Namespace", &self.watches.namespaces);
        self.sync_metadata(&objects, "ConfigMap", &self.watches.config_maps);
        self.sync_kind(&objects, &self.watches.accounts);
        self.sync_kind(&objects, &self.watches.users);
        self.sync_kind(&objects, &self.watches.roles);
    }

    fn sync_metadata<K>(&self, objects: &BTreeMap<String, Value>, kind: &str, writer: &Mutex<Writer<PartialObjectMeta<K>>>)
    where
        K: Resource<DynamicType = ()> + Clone + 'static,
    {
        changes(objects, kind, writer);
    }

    fn sync_kind<K>(&self, objects: &BTreeMap<String, Value>, writer: &Mutex<Writer<K>>)
    where
        K: Reconciled + Resource<DynamicType = ()> + DeserializeOwned,
    {
        for change in changes(objects, K::KIND, writer) {
            match change {
                Event::Delete(object) => self.context.deleted::<K>(&ObjectKey::of(&object)),
                Event::Apply(object) => self.context.applied(&object),
                _ => {}
            }
        }
    }
}

/// Puts what has changed of a kind into its store, and tells what.
fn changes<K>(objects: &BTreeMap<String, Value>, kind: &str, writer: &Mutex<Writer<K>>) -> Vec<Event<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + 'static,
{
    let mut writer = writer.lock();
    let store = writer.as_reader();
    let there: BTreeMap<String, &Value> = objects.iter().filter(|(_, o)| o["kind"] == kind).map(|(path, object)| (path.clone(), object)).collect();
    let known: BTreeMap<String, Arc<K>> = store.state().into_iter().map(|object| (path(kind, &object.name_any()), object)).collect();
    let gone = known.iter().filter(|(path, _)| !there.contains_key(*path)).map(|(_, object)| Event::Delete((**object).clone()));
    let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().map(str::to_owned);
    let is_known = |path: &String, object: &Value| known.get(path).is_some_and(|known| known.resource_version() == version(object));
    let new = there.iter().filter(|(path, object)| !is_known(path, object));
    let new = new.map(|(_, object)| Event::Apply(serde_json::from_value((*object).clone()).unwrap()));
    let changes: Vec<Event<K>> = gone.chain(new).collect();
    changes.iter().for_each(|change| writer.apply_watcher_event(change));
    changes
}

fn plural(kind: &str) -> String {
    format!("{}s", kind.to_ascii_lowercase())
}

/// Where an object is at the API server.
fn path(kind: &str, name: &str) -> String {
    match kind {
        "AWSAccount" => format!("/apis/rolebridge.io/v1alpha1/awsaccounts/{name}"),
        "Namespace" => format!("/api/v1/namespaces/{name}"),
        "ConfigMap" => format!("/api/v1/namespaces/data/configmaps/{name}"),
        _ => format!("/apis/rolebridge.io/v1alpha1/namespaces/data/{}/{name}", plural(kind)),
    }
}

/// Objects by their paths.
#[derive(Default)]
pub struct ApiServer {
    pub objects: Mutex<BTreeMap<String, Value>>,
    version: Mutex<u64>,
}

impl ApiServer {
    fn next_version(&self) -> u64 {
        let mut version = self.version.lock();
        *version += 1;
        *version
    }

    fn apply(&self, mut manifest: Value) {
        let (kind, name) = (manifest["kind"].as_str().unwrap().to_owned(), manifest["metadata"]["name"].as_str().unwrap().to_owned());
        let mut objects = self.objects.lock();
        let before = objects.get(&path(&kind, &name)).cloned().unwrap_or_default();
        let version = self.next_version();
        let is_ours = OUR_KINDS.contains(&kind.as_str());
        manifest["apiVersion"] = json!(if is_ours { "rolebridge.io/v1alpha1" } else { "v1" });
        let meta = &mut manifest["metadata"];
        if !["AWSAccount", "Namespace"].contains(&kind.as_str()) {
            meta["namespace"] = json!("data");
        }
        meta["uid"] = if before.is_null() { json!(format!("uid-{version}")) } else { before["metadata"]["uid"].clone() };
        meta["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        meta["generation"] = json!(version);
        meta["resourceVersion"] = json!(version.to_string());
        if !before["metadata"]["finalizers"].is_null() {
            meta["finalizers"] = before["metadata"]["finalizers"].clone();
        }
        if !before["status"].is_null() {
            manifest["status"] = before["status"].clone();
        }
        objects.insert(path(&kind, &name), manifest);
    }

    fn delete(&self, kind: &str, name: &str) {
        let mut objects = self.objects.lock();
        let Some(object) = objects.get_mut(&path(kind, name)) else { return };
        let is_held = object["metadata"]["finalizers"].as_array().is_some_and(|held| !held.is_empty());
        if is_held {
            // Long ago, so that nobody is waited for.
            let version = self.next_version();
            object["metadata"]["deletionTimestamp"] = json!("2026-01-02T00:00:00Z");
            object["metadata"]["resourceVersion"] = json!(version.to_string());
            object["metadata"]["generation"] = json!(version);
        } else {
            objects.remove(&path(kind, name));
        }
    }

    /// Drops the finalizers of an object, as `kubectl replace` does.
    pub fn drop_finalizers(&self, kind: &str, name: &str) {
        let version = self.next_version().to_string();
        let mut objects = self.objects.lock();
        let Some(object) = objects.get_mut(&path(kind, name)) else { return };
        object["metadata"]["finalizers"] = Value::Null;
        object["metadata"]["resourceVersion"] = json!(version);
    }

    /// Lets an object go at once, finalizer or not, as who may take off finalizers can.
    pub fn drop_object(&self, kind: &str, name: &str) {
        self.objects.lock().remove(&path(kind, name));
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (method, uri) = (request.method().clone(), request.uri().path().to_owned());
        let body = request.into_body().collect_bytes().await.unwrap();
        let (status, answer) = self.decide(&method, &uri, &serde_json::from_slice(&body).unwrap_or_default());
        Response::builder().status(status).header("content-type", "application/json").body(Body::from(answer.to_string().into_bytes())).unwrap()
    }

    fn decide(&self, method: &Method, uri: &str, body: &Value) -> (StatusCode, Value) {
        let failure = |code: StatusCode| {
            let status = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code.as_u16(), "reason": "", "message": ""});
            (code, status)
        };
        if *method == Method::POST {
            return (StatusCode::CREATED, body.clone());
        }
        let (of, is_status) = uri.strip_suffix("/status").map_or((uri, false), |of| (of, true));
        let mut objects = self.objects.lock();
        if let Some(kind) = OUR_KINDS.iter().find(|kind| uri == format!("/apis/rolebridge.io/v1alpha1/{}", plural(kind))) {
            let items: Vec<&Value> = objects.values().filter(|object| object["kind"] == **kind).collect();
            return (StatusCode::OK, json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "List", "metadata": {}, "items": items}));
        }
        let Some(object) = objects.get_mut(of) else { return failure(StatusCode::NOT_FOUND) };
        if *method == Method::GET {
            return (StatusCode::OK, object.clone());
        }
        let expected = &body["metadata"]["resourceVersion"];
        if !expected.is_null() && *expected != object["metadata"]["resourceVersion"] {
            return failure(StatusCode::CONFLICT);
        }
        if is_status {
            object["status"] = body["status"].clone();
        } else {
            object["metadata"]["finalizers"] = body["metadata"]["finalizers"].clone();
            for (name, value) in body["metadata"]["annotations"].as_object().into_iter().flatten() {
                object["metadata"]["annotations"][name] = value.clone();
            }
        }
        object["metadata"]["resourceVersion"] = json!(self.next_version().to_string());
        let written = object.clone();
        let is_held = written["metadata"]["finalizers"].as_array().is_some_and(|held| held.iter().any(|f| f == FINALIZER));
        if !is_held && !written["metadata"]["deletionTimestamp"].is_null() {
            objects.remove(of);
        }
        (StatusCode::OK, written)
    }
}

/// Whether a change is refused.
type Refused = Box<dyn Fn(&Action) -> bool + Send>;
/// What happens before the next call to AWS.
type Hook = Box<dyn FnOnce() + Send>;

/// The IAM of all accounts.
pub struct Aws {
    identities: Mutex<BTreeMap<(String, String), ObservedIdentity>>,
    pub policies: Mutex<BTreeMap<Arn, ObservedPolicy>>,
    made: Mutex<u32>,
    /// How many characters a trust policy may have.
    pub trust_policy_size: Mutex<usize>,
    /// How long a read takes.
    pub slowness: Mutex<Duration>,
    /// How many reads there were.
    pub reads: Mutex<usize>,
    /// How many changes were asked for.
    pub asked: Mutex<usize>,
    /// What was done, in order.
    pub done: Mutex<Vec<String>>,
    /// Changes that are refused.
    pub refused: Mutex<Vec<(Refused, Failure)>>,
    /// Done before the next call.
    pub hook: Mutex<Option<Hook>>,
    /// Who the operator is, or why STS does not say it: at first in an account of its own that is none of the AWSAccounts.
    pub own: Mutex<Result<Arn, Failure>>,
    /// How often it was asked for that.
    pub asked_own: Mutex<usize>,
}

impl Default for Aws {
    fn default() -> Self {
        let own = "arn:aws:iam::900000000000:user/operator".parse().unwrap();
        Self {
            identities: Mutex::default(),
            policies: Mutex::default(),
            made: Mutex::default(),
            trust_policy_size: Mutex::new(2048),
            slowness: Mutex::default(),
            reads: Mutex::default(),
            asked: Mutex::default(),
            done: Mutex::default(),
            refused: Mutex::default(),
            hook: Mutex::default(),
            own: Mutex::new(Ok(own)),
            asked_own: Mutex::default(),
        }
    }
}

impl Aws {
    /// A user or role by account and name, such as `role reader`.
    pub fn get(&self, account: &str, name: &str) -> Option<ObservedIdentity> {
        self.identities.lock().get(&(account.to_owned(), name.to_owned())).cloned()
    }

    /// Lets somebody change a user or role by hand.
    pub fn change(&self, account: &str, name: &str, change: impl FnOnce(&mut ObservedIdentity)) {
        change(self.identities.lock().get_mut(&(account.to_owned(), name.to_owned())).unwrap());
    }

    /// Lets somebody delete a user or role by hand.
    pub fn remove(&self, account: &str, name: &str) {
        self.identities.lock().remove(&(account.to_owned(), name.to_owned()));
    }

    /// Lets IAM show what it did not show for a while.
    pub fn show(&self, account: &str, found: ObservedIdentity) {
        self.identities.lock().insert((account.to_owned(), found.identity.name.to_string()), found);
    }

    /// The way to it.
    pub fn base(self: Arc<Self>) -> BaseConfig {
        BaseConfig::with_backend(Arc::new(AwsBackend(self)), Arc::new(NoSecrets))
    }

    /// Lets somebody delete a user or role and make another of its name, without owner tags.
    pub fn replace(&self, account: &str, name: &str) {
        let id = self.next_id(name.starts_with("role"));
        self.change(account, name, |there| {
            there.id = id;
            there.identity.tags.clear();
        });
    }

    /// Refuses changes from now on.
    pub fn refuse(&self, changes: impl Fn(&Action) -> bool + Send + 'static, reason: Reason, message: &str) {
        self.refused.lock().push((Box::new(changes), Failure::refused(reason, message)));
    }

    /// What was done since the last question.
    pub fn take_done(&self) -> Vec<String> {
        std::mem::take(&mut *self.done.lock())
    }

    fn called(&self) {
        let hook = self.hook.lock().take();
        if let Some(hook) = hook {
            hook();
        }
    }

    fn next_id(&self, is_role: bool) -> UniqueID {
        let mut made = self.made.lock();
        *made += 1;
        format!("{}{:0>16}", if is_role { "AROA" } else { "AIDA" }, *made).parse().unwrap()
    }

    fn answer(&self, account: &str, action: &Action) -> Result<Receipt, Failure> {
        self.called();
        *self.asked.lock() += 1;
        if let Some((_, failure)) = self.refused.lock().iter().find(|(is_refused, _)| is_refused(action)) {
            return Err(failure.clone());
        }
        let target = target(action).map(|name| (account.to_owned(), name.to_string()));
        let found = target.as_ref().and_then(|of| self.identities.lock().get(of).cloned());
        let receipt = match action {
            Action::CreateIdentity(_) if found.is_some() => {
                return Err(Failure { effect: Effect::AlreadyExists, ..Failure::refused(Reason::Conflict, "EntityAlreadyExists") });
            }
            Action::CreateIdentity(identity) => Receipt::Created(self.next_id(identity.role.is_some())),
            Action::CreatePolicy(_) => Receipt::Created(format!("ANPA{:0>16}", self.policies.lock().len()).parse().unwrap()),
            Action::CreatePolicyVersion(arn, _) => Receipt::Version(format!("v{}", 2 + self.policies.lock()[arn].other_versions.len())),
            _ => Receipt::Done,
        };
        let mut there = Observed { identity: found, policies: std::mem::take(&mut *self.policies.lock()), ..Observed::default() };
        there.record(action, &receipt);
        *self.policies.lock() = there.policies;
        if let Some(of) = target {
            match there.identity {
                Some(identity) => drop(self.identities.lock().insert(of, identity)),
                None => drop(self.identities.lock().remove(&of)),
            }
        }
        self.done.lock().push(action.to_string());
        Ok(receipt)
    }
}

/// The user or role that an action changes.
fn target(action: &Action) -> Option<IdentityName> {
    match action {
        Action::CreateIdentity(identity) => Some(identity.name.clone()),
        Action::PutInlinePolicy(who, ..)
        | Action::DeleteInlinePolicy(who, _)
        | Action::AttachPolicy(who, _)
        | Action::DetachPolicy(who, _)
        | Action::PutPermissionsBoundary(who, _)
        | Action::DeletePermissionsBoundary(who)
        | Action::Tag(Tagged::Identity(who), _)
        | Action::Untag(Tagged::Identity(who), _)
        | Action::DeleteIdentity(who) => Some(who.clone()),
        Action::UpdateTrustPolicy(role, _) | Action::UpdateRole(role, ..) => Some(IdentityName::Role(role.clone())),
        Action::AddToGroup(user, _) | Action::RemoveFromGroup(user, _) | Action::RemoveDependent(user, _) => Some(IdentityName::User(user.clone())),
        _ => None,
    }
}

/// A trust policy that lets these in.
pub fn trusting(principals: &[String]) -> Document {
    let statement = json!({"Effect": "Allow", "Principal": {"AWS": principals}, "Action": "sts:AssumeRole"});
    Document::from_value(json!({"Version": "2012-10-17", "Statement": [statement]})).unwrap()
}

#[derive(Debug)]
struct NoSecrets;

#[async_trait]
impl Secrets for NoSecrets {
    async fn read(&self, name: &str) -> Result<SecretEntries, Failure> {
        Err(Failure::refused(Reason::SecretNotUsable, name))
    }
}

struct AwsBackend(Arc<Aws>);

impl std::fmt::Debug for AwsBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AwsBackend")
    }
}

#[async_trait]
impl Backend for AwsBackend {
    fn gateway(&self, config: &AccountConfig, meter: Meter) -> Arc<dyn Gateway> {
        Arc::new(AwsAccount { aws: self.0.clone(), config: config.clone(), meter })
    }

    async fn assume_role(&self, _: &Arn, _: Option<&str>) -> Result<Duration, Failure> {
        Ok(Duration::from_secs(3600))
    }

    async fn own_arn(&self) -> Result<Option<Arn>, Failure> {
        *self.0.asked_own.lock() += 1;
        self.0.own.lock().clone().map(Some)
    }
}

struct AwsAccount {
    aws: Arc<Aws>,
    config: AccountConfig,
    meter: Meter,
}

#[async_trait]
impl Gateway for AwsAccount {
    async fn caller(&self) -> Result<Caller, Failure> {
        let AccountConfig { id, partition, .. } = &self.config;
        let arn = format!("arn:{partition}:iam::{id}:user/operator").parse().unwrap();
        Ok(Caller { arn, account: id.clone(), partition: partition.clone() })
    }

    async fn observe(&self, scope: &Scope) -> Result<Observed, Failure> {
        self.meter.count();
        self.aws.called();
        *self.aws.reads.lock() += 1;
        let slowness = *self.aws.slowness.lock();
        tokio::time::sleep(slowness).await;
        let identity = scope.name.as_ref().and_then(|name| self.aws.get(self.config.id.as_str(), &name.to_string()));
        let policies = self.aws.policies.lock().iter().filter(|(arn, _)| scope.policies.contains(arn)).map(|(a, p)| (a.clone(), p.clone())).collect();
        Ok(Observed { identity, policies, ..Observed::default() })
    }

    async fn dependents(&self, _: &IdentityName) -> Result<Dependents, Failure> {
        Ok(Dependents::default())
    }

    async fn sweep(&self) -> Result<Sweep, Failure> {
        let identities = self.aws.identities.lock();
        let own = identities.iter().filter(|((account, _), _)| account == self.config.id.as_str());
        Ok(Sweep::new(own.map(|(_, found)| found.clone()), self.aws.policies.lock().values().cloned()))
    }

    async fn quotas(&self) -> Result<Quotas, Failure> {
        Ok(Quotas { trust_policy_size: *self.aws.trust_policy_size.lock(), are_known: true, ..Quotas::default() })
    }

    async fn console_alias(&self) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    async fn policy_document(&self, policy: &Arn) -> Result<Option<Document>, Failure> {
        self.meter.count();
        Ok(self.aws.policies.lock().get(policy).map(|found| found.policy.document.clone()))
    }

    async fn execute(&self, action: &Action, _: &Owner) -> Result<Receipt, Failure> {
        self.meter.count();
        self.aws.answer(self.config.id.as_str(), action)
    }
}
