//! Reading the Secrets with the keys of accounts: each by its name, in the one namespace in which the operator may.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use crate::api::Reason;
use crate::aws::{SecretEntries, Secrets};
use crate::core::failure::Failure;

/// The Secrets of a namespace. They are asked for one by one when they are needed: a watch would take the right to read all of them.
pub struct NamespaceSecrets {
    client: Client,
    namespace: String,
}

impl NamespaceSecrets {
    /// Those of the operator's own namespace.
    pub fn new(client: Client, namespace: impl Into<String>) -> Self {
        Self { client, namespace: namespace.into() }
    }
}

impl std::fmt::Debug for NamespaceSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("NamespaceSecrets").field(&self.namespace).finish()
    }
}

#[async_trait]
impl Secrets for NamespaceSecrets {
    async fn read(&self, name: &str) -> Result<SecretEntries, Failure> {
        let place = format!("spec.access.secretRef: Secret {name} in the operator's namespace {}", self.namespace);
        let unusable = |what: &str| Failure::refused(Reason::SecretNotUsable, format!("{place} {what}"));
        match Api::<Secret>::namespaced(self.client.clone(), &self.namespace).get_opt(name).await {
            Ok(Some(secret)) => Ok(secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect()),
            Ok(None) => Err(unusable("does not exist; create it")),
            Err(kube::Error::Api(status)) if status.code == 403 => {
                Err(unusable("may not be read by the operator; add its name to the value accessSecrets of the chart"))
            }
            // Nothing more of the error: where an answer cannot be decoded, it may repeat what stands there.
            Err(_) => {
                Err(Failure::refused(Reason::AWSUnavailable, format!("{place} cannot be read now: the API server gave no answer that can be used")))
            }
        }
    }
}
