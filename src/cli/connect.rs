//! The way to the cluster and to the accounts, the same for every command that works on both.

use std::sync::Arc;

use anyhow::Context;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt};
use tracing::warn;

use crate::aws::BaseConfig;
use crate::controller::NamespaceSecrets;

/// Which installation a command works for, and where it finds the keys of accounts.
#[derive(Debug, clap::Args)]
pub struct Connection {
    /// ID of this installation; it stands in the owner tags of everything that is made in AWS, and only objects that carry it are touched.
    /// Choose one and keep it: a rebuilt cluster with the same ID takes its objects back where an AWSAccount has spec.ownership.takeOver: SameInstallation. Default: the UID of the namespace kube-system.
    #[arg(long, env = "ROLEBRIDGE_INSTALLATION", value_parser = installation)]
    installation: Option<String>,

    /// The operator's own namespace: Secrets with the keys of accounts are read from there. Default: that of the service account or of the kubeconfig.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    namespace: Option<String>,
}

/// What a command works with.
pub struct Connected {
    /// Client of the API server.
    pub client: Client,
    /// The way to AWS.
    pub aws: BaseConfig,
    /// ID of the installation.
    pub installation: String,
}

/// The ID becomes the value of a tag.
pub(super) fn installation(value: &str) -> Result<String, String> {
    let fits = (1..=128).contains(&value.len()) && value.chars().all(|c| c.is_ascii_alphanumeric() || "_.:/=+-@".contains(c));
    if fits { Ok(value.into()) } else { Err("an installation ID has 1 to 128 letters, digits and _.:/=+-@".into()) }
}

impl Connection {
    /// Connects to the cluster, and loads what AWS is reached with.
    ///
    /// # Errors
    /// Where the cluster cannot be reached.
    pub async fn connect(self) -> anyhow::Result<Connected> {
        let client = Client::try_default().await.context("no way to the cluster: set KUBECONFIG, or run in a pod with a service account")?;
        let installation = match self.installation {
            Some(id) => id,
            None => default_installation(&client).await?,
        };
        let namespace = self.namespace.unwrap_or_else(|| client.default_namespace().to_owned());
        let aws = BaseConfig::load(Arc::new(NamespaceSecrets::new(client.clone(), namespace))).await;
        Ok(Connected { client, aws, installation })
    }
}

async fn default_installation(client: &Client) -> anyhow::Result<String> {
    let namespace = Api::<Namespace>::all(client.clone())
        .get("kube-system")
        .await
        .context("cannot read the namespace kube-system, whose UID is the default of --installation")?;
    warn!("no --installation is set: the UID of kube-system is used, so a rebuilt cluster would not know its own objects in AWS");
    namespace.uid().context("the namespace kube-system has no UID")
}
