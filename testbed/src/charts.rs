//! The project's own charts, installed by the real Helm: so the operator in tests has the rights that the chart gives it, and no others.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{cluster::Testbed, command::run};

/// The namespace that [`Testbed::install`] installs into.
pub const NAMESPACE: &str = "rolebridge-system";
/// The name of both the release and its service account.
pub const RELEASE: &str = "rolebridge";
/// The operator, as the API server calls it.
pub const OPERATOR: &str = "system:serviceaccount:rolebridge-system:rolebridge";

/// The folder of the chart of this name.
pub fn chart(name: &str) -> PathBuf {
    let testbed = Path::new(env!("CARGO_MANIFEST_DIR"));
    testbed.parent().unwrap_or(testbed).join("charts").join(name)
}

impl Testbed {
    /// Installs or upgrades the CRDs and the operator with Helm, the latter with these values (`name=value`), and waits until the API server
    /// serves the resources. Returns the kubeconfig of the operator's service account. No Pod runs: there is no kubelet.
    pub async fn install(&self, values: &[&str]) -> Result<PathBuf> {
        self.helm_upgrade("rolebridge-crds", &[]).await?;
        let established = ["wait", "--for=condition=Established", "--timeout=120s", "crd", "--all"];
        self.kubectl(&established).await.context("the resources are not served")?;
        self.helm_upgrade(RELEASE, values).await?;
        let token = self.control_plane.service_account_token(NAMESPACE, RELEASE).await?;
        self.control_plane.kubeconfig_for_token("operator", &token)
    }

    async fn helm_upgrade(&self, name: &str, values: &[&str]) -> Result<()> {
        let mut helm = self.control_plane.helm().await?;
        helm.args(["upgrade", "--install", "--create-namespace", "--namespace", NAMESPACE, name]).arg(chart(name));
        // No Pod runs: there need be no image.
        let image = (name == RELEASE).then_some("image.repository=registry.invalid/rolebridge");
        helm.args(image.iter().chain(values).flat_map(|value| ["--set", value]));
        run(helm).await.map(drop)
    }
}
