//! Somebody who works in a namespace: a service account of its own, with a token and with rights in this namespace only.

use std::fmt::Debug;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use hyper::{Method, Request};
use kube::Client;
use rolebridge::api::protection::RESOURCE_POLICY;
use rolebridge_testbed::{Seen, command::output, run};
use serde_json::{Value, json};

use super::{Tenant, World};

/// What somebody may do in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// What the chart gives to those who use Rolebridge: the ClusterRole `rolebridge-edit`, bound in the namespace.
    Edit,
    /// A Role that allows every verb on every resource, `*/status` and `*/finalizers` among them.
    Everything,
}

impl Rights {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Edit, Self::Everything];

    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// A service account of a namespace.
pub struct Member<'w> {
    world: &'w World,
    client: Client,
    kubeconfig: PathBuf,
    namespace: String,
}

/// How a request went: what the API server answered, or the code and text of its refusal.
pub type Answer = std::result::Result<Value, (u16, String)>;

impl<'w> Tenant<'w> {
    /// A service account with these rights here. It is there when the API server knows both its rights and the policy on resources.
    pub async fn member(&self, rights: Rights) -> Result<Member<'w>> {
        let (testbed, name, namespace) = (&self.world.testbed, rights.name(), &self.namespace);
        let role = match rights {
            Rights::Edit => "ClusterRole, name: rolebridge-edit",
            Rights::Everything => "Role, name: everything",
        };
        testbed
            .kubectl_apply(&format!(
                "
{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}, namespace: {namespace}}}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: everything, namespace: {namespace}}}
rules: [{{apiGroups: ['*'], resources: ['*'], verbs: ['*']}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {name}, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {role}}}
subjects: [{{kind: ServiceAccount, name: {name}, namespace: {namespace}}}]
"
            ))
            .await?;
        let token = testbed.control_plane.service_account_token(namespace, &name).await?;
        let member = Member {
            world: self.world,
            client: testbed.control_plane.client_for_token(&token).await?,
            kubeconfig: testbed.control_plane.kubeconfig_for_token(&format!("{namespace}-{name}"), &token)?,
            namespace: namespace.clone(),
        };
        // The API server takes a moment until it knows a new policy, and a new right; asked without effect until then.
        let annotated = json!({
            "apiVersion": "rolebridge.io/v1alpha1", "kind": "BastionUser", "spec": {"accountRef": {"name": "nowhere"}},
            "metadata": {"name": "probe", "annotations": {"rolebridge.io/abandon": "true"}},
        });
        let refused = || async {
            let path = format!("/apis/rolebridge.io/v1alpha1/namespaces/{namespace}/bastionusers?dryRun=All");
            let said = member.send(Method::POST, &path, "application/json", &annotated).await?;
            let is_refused = matches!(&said, Err((403, text)) if text.contains(RESOURCE_POLICY));
            Ok(Seen::from_option(is_refused.then_some(()), || format!("{said:?}")))
        };
        testbed.wait_for("the policy on resources is in force", refused).await?;
        Ok(member)
    }
}

impl Member<'_> {
    /// Where an object of this namespace is, such as `bastionusers/alice`.
    pub fn path(&self, object: &str) -> String {
        format!("/apis/rolebridge.io/v1alpha1/namespaces/{}/{object}", self.namespace)
    }

    /// Sends a request as this service account.
    pub async fn send(&self, method: Method, path: &str, content_type: &str, body: &Value) -> Result<Answer> {
        let request = Request::builder().method(method).uri(path).header("Content-Type", content_type).body(body.to_string().into_bytes())?;
        match self.client.request::<Value>(request).await {
            Ok(answer) => Ok(Ok(answer)),
            Err(kube::Error::Api(status)) => Ok(Err((status.code, status.message))),
            Err(error) => Err(error.into()),
        }
    }

    /// What kubectl says as this service account: its output, or the error text. `editor` is what `kubectl edit` runs.
    pub async fn try_kubectl(&self, args: &[&str], input: Option<&str>, editor: &str) -> Result<std::result::Result<String, String>> {
        let mut command = self.world.testbed.control_plane.kubectl();
        command.env("KUBECONFIG", &self.kubeconfig).env("KUBE_EDITOR", editor).args(["--namespace", &self.namespace]).args(args);
        let said = output(command, input).await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(if said.status.success() { Ok(text(&said.stdout)) } else { Err(text(&said.stderr)) })
    }

    /// kubectl as this service account, which succeeds.
    pub async fn kubectl(&self, args: &[&str], input: Option<&str>) -> Result<String> {
        match self.try_kubectl(args, input, "false").await? {
            Ok(said) => Ok(said),
            Err(error) => bail!("kubectl {}: {error}", args.join(" ")),
        }
    }

    /// Helm as this service account, which succeeds.
    pub async fn helm(&self, args: &[&str]) -> Result<String> {
        let mut command = self.world.testbed.control_plane.helm().await?;
        command.env("KUBECONFIG", &self.kubeconfig).args(args).args(["--namespace", &self.namespace]);
        run(command).await
    }

    /// Asserts that kubectl is refused with an error that holds each of `words`.
    pub async fn kubectl_refused(&self, args: &[&str], input: Option<&str>, words: &[&str]) -> Result<()> {
        let error = self.try_kubectl(args, input, "false").await?.err().with_context(|| format!("kubectl {} was not refused", args.join(" ")))?;
        for word in words {
            ensure!(error.contains(word), "kubectl {} was not refused with {word:?}: {error}", args.join(" "));
        }
        Ok(())
    }
}
