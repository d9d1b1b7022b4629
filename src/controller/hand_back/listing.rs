//! Looking at the cluster once, without watches.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::Event;
use kube::{Api, Client, Resource};

use super::super::cluster::kind::Kind;
use super::super::cluster::queue::WorkQueue;
use super::super::cluster::stores::Stores;
use super::super::context::{Context, Settings};
use crate::api::reading::Read;
use crate::api::{AWSAccount, BastionUser, CrossAccountRole, Managed};
use crate::aws::BaseConfig;

/// How many objects a page of a list has.
const PAGE_SIZE: u32 = 100;

/// The context of a cluster that is looked at once.
///
/// # Errors
/// Where the API server does not list everything.
pub async fn listed(client: Client, aws: BaseConfig, settings: Settings) -> anyhow::Result<Context> {
    let stores = Stores {
        accounts: list_all(&client).await?,
        users: list_all(&client).await?,
        roles: list_all(&client).await?,
        // Whether a namespace may be where it is does not matter any more, nor what policies say.
        namespaces: nothing_of::<PartialObjectMeta<Namespace>>(),
        config_maps: nothing_of::<PartialObjectMeta<ConfigMap>>(),
    };
    // Nobody is woken: nothing comes out of the queue.
    let (queue, _) = WorkQueue::new();
    let context = Context::new(client, stores, queue, aws, settings);
    AWSAccount::all(&context.stores).iter().for_each(|account| context.applied(&**account));
    BastionUser::all(&context.stores).iter().for_each(|user| context.applied(&**user));
    CrossAccountRole::all(&context.stores).iter().for_each(|role| context.applied(&**role));
    Ok(context)
}

/// Every object of a kind, in all namespaces.
///
/// # Errors
/// Where the API server does not list them.
pub async fn list_all<K: Managed>(client: &Client) -> anyhow::Result<Store<K>> {
    let (store, mut writer) = reflector::store();
    let mut page = ListParams::default().limit(PAGE_SIZE);
    writer.apply_watcher_event(&Event::Init);
    loop {
        let list = Api::<Read<K>>::all(client.clone()).list(&page).await.with_context(|| format!("cannot list the {}s of the cluster", K::KIND))?;
        list.items.into_iter().for_each(|read| writer.apply_watcher_event(&Event::InitApply(read.into_object(None))));
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => break,
        }
    }
    writer.apply_watcher_event(&Event::InitDone);
    Ok(store)
}

fn nothing_of<K: Resource<DynamicType = ()> + Clone + 'static>() -> Store<K> {
    reflector::store().0
}
