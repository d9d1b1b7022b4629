//! Testbeds that a test has to itself, one after the other.

use std::fs;
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use hyper::Request;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use rolebridge_testbed::{AwsSim, TestbedOptions, charts};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{World, operator_in_aws};

/// Testbeds that tests had to themselves, as these left them.
static USED: Mutex<Vec<World>> = Mutex::new(vec![]);

/// A testbed that a test has to itself. Another one gets it afterwards, [cleaned](World::cleaned): to start one takes as long as many a test.
pub struct Own {
    world: Option<World>,
    is_reusable: bool,
    _permit: SemaphorePermit<'static>,
}

impl Deref for Own {
    type Target = World;

    #[allow(clippy::expect_used, reason = "it is taken where this is dropped, and nowhere else")]
    fn deref(&self) -> &World {
        self.world.as_ref().expect("it is not dropped yet")
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let world = self.world.take().filter(|_| self.is_reusable && !std::thread::panicking());
        USED.lock().unwrap_or_else(PoisonError::into_inner).extend(world);
    }
}

impl World {
    /// One that no other test uses meanwhile, for tests that restart the operator or change how AWS behaves; a few at a time.
    pub async fn own() -> Result<Own> {
        let permit = permit().await?;
        let used = USED.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // One whose test broke it is not worth mending.
        let cleaned = match used {
            Some(used) => used.cleaned().await.ok(),
            None => None,
        };
        let world = match cleaned {
            Some(world) => world,
            None => Self::start(TestbedOptions::default()).await?,
        };
        Ok(Own { world: Some(world), is_reusable: true, _permit: permit })
    }

    /// One that no other test uses before or afterwards, with further parts, or for tests that change what is installed.
    pub async fn own_with(options: TestbedOptions) -> Result<Own> {
        let permit = permit().await?;
        Ok(Own { world: Some(Self::start(options).await?), is_reusable: false, _permit: permit })
    }

    /// As good as new: without resources, Secrets and logs, and with another AWS. Namespaces stay: nobody names the same again.
    async fn cleaned(mut self) -> Result<Self> {
        for log in self.testbed.sandbox().logs("operator") {
            fs::remove_file(log)?;
        }
        let client = self.testbed.control_plane.client().await?;
        for plural in ["crossaccountroles", "bastionusers", "awsaccounts"] {
            remove_all(&client, plural).await?;
        }
        let secrets = Api::<Secret>::namespaced(client, charts::NAMESPACE);
        secrets.delete_collection(&DeleteParams::default(), &ListParams::default().fields("type=Opaque")).await?;
        self.testbed.aws = AwsSim::start_in(self.testbed.sandbox().clone()).await?;
        self.operator_key = operator_in_aws(&self.testbed).await?;
        Ok(self)
    }
}

/// So many tests may have a testbed to themselves.
async fn permit() -> Result<SemaphorePermit<'static>> {
    static OWN: Semaphore = Semaphore::const_new(4);
    Ok(OWN.acquire().await?)
}

/// Removes all objects of a kind of ours, whatever finalizers they have.
async fn remove_all(client: &kube::Client, plural: &str) -> Result<()> {
    let group = "/apis/rolebridge.io/v1alpha1";
    let list: Value = client.request(Request::get(format!("{group}/{plural}")).body(vec![])?).await?;
    let remove = async |object: &Value| -> Result<()> {
        let namespace = object["metadata"]["namespace"].as_str().map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
        let path = format!("{group}{namespace}/{plural}/{}", object["metadata"]["name"].as_str().context("no name")?);
        client.request::<Value>(Request::delete(&path).body(vec![])?).await?;
        if object["metadata"]["finalizers"].is_array() {
            let patch = Request::patch(&path).header("Content-Type", "application/merge-patch+json");
            client.request::<Value>(patch.body(json!({"metadata": {"finalizers": null}}).to_string().into_bytes())?).await?;
        }
        Ok(())
    };
    for object in list["items"].as_array().into_iter().flatten() {
        remove(object).await?;
    }
    Ok(())
}
