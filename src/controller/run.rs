//! Starting the watches and the reconciles, and ending them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::future::{select_all, try_join_all};
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use k8s_openapi::Resource as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::runtime::controller::{self, Action as Next, Config};
use kube::runtime::reflector::{self, ObjectRef, Store, store::Writer};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, applier, watcher as watch};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::sync::watch::Receiver;
use tracing::{Instrument, debug, error, info, info_span, warn};

use super::cluster::queue::{Ended, WorkQueue};
use super::cluster::relations::Dependency;
use super::cluster::stores::{SeenLabels, Stores};
use super::context::{Context, Settings};
use super::health::{Health, QueueHealth};
use super::reconcile::{Reconciled, reconcile};
use crate::api::reading::Read;
use crate::api::{AWSAccount, BastionUser, CrossAccountRole, FINALIZER, Managed};
use crate::aws::BaseConfig;
use crate::core::world::ObjectKey;

/// How long an object must be left alone before it is reconciled: what one `kubectl apply` brings is seen together, and written about once.
const SETTLE: Duration = Duration::from_millis(100);
/// How many objects a page of a list has. The page is in memory as text while its objects are read, and each may have a megabyte and a half.
const PAGE_SIZE: u32 = 100;
/// A pause before a reconcile that panicked is tried again.
const AFTER_PANIC: Duration = Duration::from_secs(60);

/// The kinds that are watched, as [`Health`] calls them.
pub const fn watched() -> [&'static str; 5] {
    [AWSAccount::KIND, BastionUser::KIND, CrossAccountRole::KIND, Namespace::KIND, ConfigMap::KIND]
}

/// Runs the controller until `shutdown` turns true. Reconciles that are under way then end first; nothing new is begun. `health` is told how it goes.
///
/// # Errors
/// Where a watch ends for good, which it does not by itself.
pub async fn run(client: Client, aws: BaseConfig, settings: Settings, health: &Health, shutdown: Receiver<bool>) -> anyhow::Result<()> {
    let (accounts, accounts_writer) = reflector::store();
    let (users, users_writer) = reflector::store();
    let (roles, roles_writer) = reflector::store();
    let (namespaces, namespaces_writer) = reflector::store();
    let (config_maps, config_maps_writer) = reflector::store();
    let (queue, woken) = WorkQueue::new();
    let stores = Stores { accounts: accounts.clone(), users: users.clone(), roles: roles.clone(), namespaces, config_maps };

    let concurrency = settings.concurrency;
    let context = Arc::new(Context::new(client.clone(), stores, queue, aws, settings));
    health.speaks_of(&context);

    let mut listed = vec![];
    let mut listing = |kind| {
        let (done, listed_now) = oneshot::channel();
        listed.push(async move {
            listed_now.await.with_context(|| format!("the watch of {kind} ended before it had listed its kind"))?;
            health.listed(kind);
            anyhow::Ok(())
        });
        Some(done)
    };
    let [ended_accounts, ended_users, ended_roles] = woken.ended;
    let watches = [
        tokio::spawn(watch_resources::<AWSAccount>(client.clone(), accounts_writer, context.clone(), ended_accounts, listing(AWSAccount::KIND))),
        tokio::spawn(watch_resources::<BastionUser>(client.clone(), users_writer, context.clone(), ended_users, listing(BastionUser::KIND))),
        tokio::spawn(watch_resources::<CrossAccountRole>(
            client.clone(),
            roles_writer,
            context.clone(),
            ended_roles,
            listing(CrossAccountRole::KIND),
        )),
        tokio::spawn(watch_namespaces(Api::all(client.clone()), namespaces_writer, context.clone(), listing(Namespace::KIND))),
        tokio::spawn(watch_config_maps(Api::all(client), config_maps_writer, context.clone(), listing(ConfigMap::KIND))),
    ];
    // One listens for all: of several who listen by themselves, chance says who hears first.
    let mut shutdown = shutdown;
    let stopped = async move { drop(shutdown.wait_for(|stop| *stop).await) }.boxed().shared();
    tokio::select! {
        biased;
        synced = try_join_all(listed) => { synced?; }
        () = stopped.clone() => return Ok(()),
    }
    context.all_listed();
    info!(accounts = accounts.len(), users = users.len(), roles = roles.len(), "everything is listed; reconciling begins");

    let health_of = |kind| health.queue(kind, concurrency);
    let works = async {
        tokio::join!(
            work(accounts, woken.accounts, concurrency, context.clone(), health_of(AWSAccount::KIND), stopped.clone()),
            work(users, woken.users, concurrency, context.clone(), health_of(BastionUser::KIND), stopped.clone()),
            work(roles, woken.roles, concurrency, context, health_of(CrossAccountRole::KIND), stopped),
        )
    };
    let aborts: Vec<_> = watches.iter().map(tokio::task::JoinHandle::abort_handle).collect();
    let result = tokio::select! {
        biased;
        _ = works => Ok(()),
        // Without one of its watches the controller would go on with what it knew.
        _ = select_all(watches) => Err(anyhow::anyhow!("a watch has ended, which is a defect")),
    };
    aborts.iter().for_each(tokio::task::AbortHandle::abort);
    result
}

/// Told once a kind is listed and everything that follows from the list is known.
type Listing = Option<oneshot::Sender<()>>;

fn listing_done(listing: &mut Listing) {
    if let Some(done) = listing.take() {
        // Nobody listens any more when the controller is already stopping.
        let _ = done.send(());
    }
}

/// Keeps the store of a kind, and wakes whom its changes concern.
///
/// An object that the schema accepts and the type cannot decode must not stop the whole kind: what can be read of it is in the store, and its own pass tells
/// the rest.
///
/// What went past its finalizer stays in the store until nothing of it is left in AWS, as if it were being deleted.
async fn watch_resources<K>(client: Client, writer: Writer<K>, context: Arc<Context>, mut ended: UnboundedReceiver<Ended>, mut listing: Listing)
where
    K: Reconciled + Resource<DynamicType = ()>,
{
    let api: Api<Read<K>> = Api::all(client);
    let store = writer.as_reader();
    let events = watch(api, watcher::Config::default().page_size(PAGE_SIZE)).default_backoff();
    let events = events.map_ok(move |event| read(event, &store));
    let ended = futures::stream::poll_fn(|task| ended.poll_recv(task)).filter_map(|ended| {
        let object = K::get(&context.stores, &ended.key).filter(|object| object.meta().uid == ended.uid);
        std::future::ready(object.map(|object| Ok(Event::Delete((*object).clone()))))
    });
    let events = futures::stream::select(events, ended);
    let mut listed = BTreeSet::new();
    let mut events = std::pin::pin!(stored(writer, events));
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                listed.insert(K::reference(ObjectKey::of(&object)));
            }
            // The store has the whole list only now.
            Ok(Event::InitDone) => {
                context.listed::<K>(&std::mem::take(&mut listed));
                K::all(&context.stores).iter().for_each(|object| context.applied(&**object));
                listing_done(&mut listing);
            }
            Ok(Event::Apply(object)) => context.applied(&object),
            Ok(Event::Delete(object)) => context.deleted::<K>(&ObjectKey::of(&object)),
            Err(error) => warn!(%error, kind = K::KIND, "the watch was interrupted and goes on"),
        }
    }
}

/// The event with its object as far as it can be read. What cannot be stays as the store has it.
fn read<K: Managed>(event: Event<Read<K>>, store: &Store<K>) -> Event<K> {
    let object = |read: Read<K>| {
        let before = store.get(&ObjectRef::from_obj(read.object()));
        let object = read.into_object(before.as_deref());
        if let Some(error) = object.unread() {
            warn!(resource = %ObjectKey::of(&object), kind = K::KIND, error, "cannot be read as its type, and is left as it was");
        }
        object
    };
    match event {
        Event::Init => Event::Init,
        Event::InitApply(of) => Event::InitApply(object(of)),
        Event::InitDone => Event::InitDone,
        Event::Apply(of) => Event::Apply(object(of)),
        Event::Delete(of) => {
            let object = object(of);
            if passes_by_finalizer(object.meta()) { Event::Apply(as_being_deleted(object)) } else { Event::Delete(object) }
        }
    }
}

/// Whether an object is gone although it has our finalizer and was not being deleted. The API server looks whether an object has finalizers, and deletes it
/// then at once although it may have got one in between.
fn passes_by_finalizer(metadata: &ObjectMeta) -> bool {
    metadata.deletion_timestamp.is_none() && metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

fn as_being_deleted<K: Managed>(mut object: K) -> K {
    warn!(kind = K::KIND, object = object.name_any(), "deleted past its finalizer; what it has in AWS is removed all the same");
    let meta = object.meta_mut();
    meta.deletion_timestamp = Some(Time(jiff::Timestamp::now()));
    meta.finalizers = Some(vec![FINALIZER.to_owned()]);
    object
}

/// Passes events on after the store has them.
fn stored<K>(writer: Writer<K>, events: impl Stream<Item = watcher::Result<Event<K>>>) -> impl Stream<Item = watcher::Result<Event<K>>>
where
    K: Resource<DynamicType = ()> + Clone,
{
    reflector::reflector(writer, events)
}

async fn watch_namespaces(
    api: Api<PartialObjectMeta<Namespace>>,
    writer: Writer<PartialObjectMeta<Namespace>>,
    context: Arc<Context>,
    mut listing: Listing,
) {
    let events = watch(api, watcher::Config::default()).default_backoff().modify(bare);
    let mut seen = SeenLabels::default();
    let mut listed = BTreeMap::new();
    let mut events = std::pin::pin!(stored(writer, events));
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(namespace)) => {
                listed.insert(namespace.name_any(), namespace.metadata.labels.unwrap_or_default());
            }
            // The store has the whole list only now.
            Ok(Event::InitDone) => {
                let changed = seen.listed(std::mem::take(&mut listed));
                changed.into_iter().for_each(|name| context.changed(&Dependency::Namespace(name)));
                listing_done(&mut listing);
            }
            Ok(Event::Apply(namespace)) => {
                if seen.note(&namespace.name_any(), namespace.metadata.labels.as_ref()) {
                    context.changed(&Dependency::Namespace(namespace.name_any()));
                }
            }
            Ok(Event::Delete(namespace)) => {
                seen.gone(&namespace.name_any());
                context.changed(&Dependency::Namespace(namespace.name_any()));
            }
            Err(error) => warn!(%error, kind = "Namespace", "the watch was interrupted and goes on"),
        }
    }
}

async fn watch_config_maps(
    api: Api<PartialObjectMeta<ConfigMap>>,
    writer: Writer<PartialObjectMeta<ConfigMap>>,
    context: Arc<Context>,
    mut listing: Listing,
) {
    let events = watch(api, watcher::Config::default()).default_backoff().modify(bare);
    let mut events = std::pin::pin!(stored(writer, events));
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(config) | Event::Delete(config)) => context.changed(&Dependency::ConfigMap(ObjectKey::of(&config))),
            Ok(Event::Init | Event::InitApply(_)) => {}
            // The store has the whole list only now.
            Ok(Event::InitDone) => {
                context.config_maps_listed();
                listing_done(&mut listing);
            }
            Err(error) => warn!(%error, kind = "ConfigMap", "the watch was interrupted and goes on"),
        }
    }
}

/// Keeps only what is used of objects that are watched for their labels and versions.
fn bare<K: ResourceExt>(object: &mut K) {
    object.managed_fields_mut().clear();
    object.annotations_mut().clear();
}

/// Reconciles what is woken of one kind until `stopped`, and then lets what is under way end.
async fn work<K>(
    store: Store<K>,
    woken: UnboundedReceiver<ObjectRef<K>>,
    concurrency: u16,
    context: Arc<Context>,
    queue_health: QueueHealth,
    stopped: impl Future<Output = ()>,
) where
    K: Reconciled + Resource<DynamicType = ()> + Debug,
{
    let queue =
        futures::stream::unfold(woken, |mut woken| async { woken.recv().await.map(|object| (Ok::<_, std::convert::Infallible>(object), woken)) });
    let queue = Box::pin(queue.take_until(Box::pin(stopped)));
    // A panic ends one reconcile, not the controller.
    let isolated = |object: Arc<K>, context: Arc<Context>| {
        let span = info_span!("reconcile", resource = %K::reference(ObjectKey::of(&*object)), account = object.account_name());
        let running = queue_health.begin();
        Box::pin(async move {
            let _running = running;
            match tokio::spawn(reconcile::<K>(ObjectKey::of(&*object), context).instrument(span)).await {
                Ok(next) => Ok::<_, std::convert::Infallible>(next),
                Err(panic) => {
                    error!(%panic, "a reconcile ended abnormally; this is a defect");
                    Ok(Next::requeue(AFTER_PANIC))
                }
            }
        })
    };
    let config = Config::default().concurrency(concurrency).debounce(SETTLE);
    let passes = applier(isolated, |_, _, _| Next::requeue(AFTER_PANIC), context.clone(), store, queue, config);
    passes
        .for_each(|pass| async {
            if let Err(error) = pass {
                if let controller::Error::ObjectNotFound(gone) = &error {
                    let of = K::reference(ObjectKey::new(gone.namespace.clone().unwrap_or_default(), &gone.name));
                    // It was woken and is gone. Should it be made anew, it must be possible to wake it again.
                    context.queue.dequeue(&of);
                    context.forget_if_gone(&of);
                }
                debug!(%error, "not reconciled");
            }
        })
        .await;
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn deleted(metadata: Value) -> Event<BastionUser> {
        let mut user = json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "BastionUser", "spec": {"accountRef": {"name": "utils"}}});
        user["metadata"] = metadata;
        let (store, _) = reflector::store();
        read(Event::Delete(serde_json::from_value(user).unwrap()), &store)
    }

    #[test]
    fn what_goes_past_its_finalizer_is_still_to_be_removed() {
        let Event::Apply(kept) = deleted(json!({"name": "alice", "namespace": "data", "finalizers": [FINALIZER]})) else { panic!("let go") };
        assert!(kept.is_finalized() && kept.meta().deletion_timestamp.is_some());
        for finalizers in [json!([]), json!(["example.com/other"])] {
            assert!(matches!(deleted(json!({"name": "alice", "namespace": "data", "finalizers": finalizers})), Event::Delete(_)));
        }
        // The watch shows what was stored last: the finalizer was taken off with the write that let the object go.
        let metadata = json!({"name": "alice", "namespace": "data", "finalizers": [FINALIZER], "deletionTimestamp": "2026-01-01T00:00:00Z"});
        assert!(matches!(deleted(metadata), Event::Delete(_)));
    }
}
