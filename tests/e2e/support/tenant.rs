//! A namespace for one test, with what it does there and what it looks at.

use std::{collections::BTreeMap, process::Command, sync::atomic::Ordering, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use hyper::{Method, Request};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
};
use rolebridge::api::{AWSAccount, BastionUser, CrossAccountRole, Managed};
use rolebridge_testbed::{Seen, Write, aws_sim::AccountState, charts, command::output, run};
use serde_json::{Value, json};

use super::{Account, INSTALLATION, MANAGEMENT_ROLE, OPERATOR_ACCOUNT, World, condition, iam, management_role};

/// A namespace of its own in a [`World`].
pub struct Tenant<'w> {
    pub world: &'w World,
    pub client: kube::Client,
    pub namespace: String,
    pub(super) number: u64,
}

impl<'w> Tenant<'w> {
    /// A name for a cluster-scoped object that no other test uses.
    pub fn unique(&self, name: &str) -> String {
        format!("{name}-{}", self.number)
    }

    /// A new AWS account, known to the simulator only, with the management role of `rolebridge bootstrap`; apply its [`Account::manifest`].
    pub async fn account(&self, name: &str) -> Result<Account> {
        self.account_trusting(name, &self.world.operator_arn()).await
    }

    /// The same, where the management role trusts that of `via` instead of the operator, which in turn may assume it.
    pub async fn account_behind(&self, name: &str, via: &Account) -> Result<Account> {
        let account = self.account_trusting(name, &via.management_role()).await?;
        let policy = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": account.management_role()}});
        via.iam.put_role_policy().role_name(MANAGEMENT_ROLE).policy_name(&account.name).policy_document(policy.to_string()).send().await?;
        Ok(account)
    }

    /// The same, where the management role trusts this user or role.
    pub async fn account_trusting(&self, name: &str, operator: &str) -> Result<Account> {
        self.managed_by(self.bare_account(name).await?, operator).await
    }

    /// The account in which the operator's own user is, with a management role that trusts that user.
    pub async fn home_account(&self, name: &str) -> Result<Account> {
        self.managed_by(self.account_with(name, OPERATOR_ACCOUNT.to_owned()).await?, &self.world.operator_arn()).await
    }

    async fn managed_by(&self, account: Account, operator: &str) -> Result<Account> {
        let [trust, permissions] = management_role(&account.id, operator, &account.external_id, Some(INSTALLATION))?;
        account.iam.create_role().role_name(MANAGEMENT_ROLE).assume_role_policy_document(trust).send().await?;
        account.iam.put_role_policy().role_name(MANAGEMENT_ROLE).policy_name("manage-iam").policy_document(permissions).send().await?;
        Ok(account)
    }

    /// The same, still without the management role.
    pub async fn bare_account(&self, name: &str) -> Result<Account> {
        self.account_with(name, format!("{:012}", 200_000_000_000 + self.world.accounts.fetch_add(1, Ordering::Relaxed))).await
    }

    async fn account_with(&self, name: &str, id: String) -> Result<Account> {
        let testbed = &self.world.testbed;
        let administrator = testbed.aws.account(&id).await?;
        let iam = iam(testbed, &administrator);
        Ok(Account { name: self.unique(name), external_id: format!("canary-of-{id}"), id, administrator, iam })
    }

    /// A new AWS account with a ready AWSAccount that allows this namespace only.
    pub async fn ready_account(&self, name: &str, fields: &str) -> Result<Account> {
        let account = self.account(name).await?;
        self.apply(&account.manifest(&self.only_here(), fields)).await?;
        self.ready(&self.accounts(), &account.name).await?;
        Ok(account)
    }

    /// `allowedNamespaces` with this namespace only.
    pub fn only_here(&self) -> String {
        format!("{{from: Names, names: [{}]}}", self.namespace)
    }

    /// The AWSAccounts of all tests.
    pub fn accounts(&self) -> Api<AWSAccount> {
        Api::all(self.client.clone())
    }

    /// The BastionUsers of this namespace.
    pub fn users(&self) -> Api<BastionUser> {
        self.api()
    }

    /// The CrossAccountRoles of this namespace.
    pub fn roles(&self) -> Api<CrossAccountRole> {
        self.api()
    }

    fn api<K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Waits until the object is Ready as it is declared now.
    pub async fn ready<K: Managed>(&self, api: &Api<K>, name: &str) -> Result<K> {
        self.concluded(api, name, "Ready").await
    }

    /// Waits until the object's condition Ready has this reason for what is declared now. [`Seen`] explains a failure.
    pub async fn concluded<K: Managed>(&self, api: &Api<K>, name: &str, reason: &str) -> Result<K> {
        let what = format!("{} {name} concludes {reason}", K::KIND);
        let seen = || async {
            let Some(object) = api.get_opt(name).await? else { return Ok(Seen::NotYet("it does not exist".to_owned())) };
            let ready = condition(&object, "Ready").cloned();
            let current = ready.as_ref().is_some_and(|ready| ready.observed_generation == object.meta().generation.unwrap_or_default());
            let done = current && ready.as_ref().is_some_and(|ready| ready.reason == reason);
            Ok(if done { Seen::Done(object) } else { Seen::NotYet(format!("generation {:?}, {ready:?}", object.meta().generation)) })
        };
        self.world.testbed.wait_for(&what, seen).await
    }

    /// The operator's writes to this namespace, and to the AWSAccounts of this tenant, by object: `resource/name`.
    pub async fn operator_writes(&self) -> Result<BTreeMap<String, Vec<Write>>> {
        let mut by_object = BTreeMap::<_, Vec<_>>::new();
        for write in self.world.testbed.control_plane.writes().await? {
            let own_account = write.resource == "awsaccounts" && write.name.ends_with(&self.unique(""));
            if write.user == charts::OPERATOR && (write.namespace == self.namespace || own_account) {
                by_object.entry(format!("{}/{}", write.resource, write.name)).or_default().push(write);
            }
        }
        Ok(by_object)
    }

    fn kubectl(&self) -> Command {
        let mut command = self.world.testbed.control_plane.kubectl();
        command.args(["--namespace", &self.namespace]);
        command
    }

    /// What kubectl says to `kubectl apply` of `manifest`: its output, or the error text.
    async fn try_apply(&self, manifest: &str) -> Result<Result<String, String>> {
        let mut command = self.kubectl();
        command.args(["apply", "--filename", "-"]);
        let said = output(command, Some(manifest)).await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(if said.status.success() { Ok(text(&said.stdout)) } else { Err(text(&said.stderr)) })
    }

    /// `kubectl apply` of `manifest`.
    pub async fn apply(&self, manifest: &str) -> Result<()> {
        match self.try_apply(manifest).await? {
            Ok(_) => Ok(()),
            Err(error) => bail!("kubectl apply: {error}\n{manifest}"),
        }
    }

    /// Waits until AWS has not been called for so long.
    pub async fn quiet(&self, pause: Duration) -> Result<()> {
        let mut last = self.world.last_call().await?;
        loop {
            tokio::time::sleep(pause).await;
            let now = self.world.last_call().await?;
            if now == last {
                return Ok(());
            }
            last = now;
        }
    }

    /// `kubectl delete` of these objects, such as `bastionuser/alice`; returns when they are gone.
    pub async fn delete(&self, objects: &[&str]) -> Result<()> {
        let mut command = self.kubectl();
        command.args(["delete", "--timeout=170s"]).args(objects);
        self.world.testbed.explain(run(command).await).map(drop)
    }

    /// What the API server says to `manifest`, one object, as strict as kubectl has it: what it would store, or the error text. Nothing is stored.
    async fn dry_run(&self, manifest: &str) -> Result<Result<Value, String>> {
        let object: Value = serde_saphyr::from_str(manifest).with_context(|| manifest.to_owned())?;
        // An operator that is running may write the object's status between the read and the write.
        for _ in 0..20 {
            match self.dry_run_of(object.clone()).await {
                Ok(stored) => return Ok(Ok(stored)),
                Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {}
                Err(kube::Error::Api(status)) => return Ok(Err(status.message)),
                Err(error) => return Err(error.into()),
            }
        }
        bail!("another one wrote it each time:\n{manifest}")
    }

    async fn dry_run_of(&self, mut object: Value) -> kube::Result<Value> {
        let plural = match object["kind"].as_str() {
            Some(AWSAccount::KIND) => "awsaccounts".to_owned(),
            Some(CrossAccountRole::KIND) => format!("namespaces/{}/crossaccountroles", self.namespace),
            _ => format!("namespaces/{}/bastionusers", self.namespace),
        };
        let collection = format!("/apis/rolebridge.io/v1alpha1/{plural}");
        let path = format!("{collection}/{}", object["metadata"]["name"].as_str().unwrap_or_default());
        let (method, path) = match self.client.request::<Value>(Request::get(&path).body(vec![]).map_err(kube::Error::HttpError)?).await {
            Ok(there) => {
                object["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"].clone();
                (Method::PUT, path)
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => (Method::POST, collection),
            Err(error) => return Err(error),
        };
        let request = Request::builder().method(method).uri(format!("{path}?dryRun=All&fieldValidation=Strict"));
        let request = request.header("Content-Type", "application/json").body(object.to_string().into_bytes());
        self.client.request(request.map_err(kube::Error::HttpError)?).await
    }

    /// What the API server would store of `manifest`, one object.
    pub async fn stored(&self, manifest: &str) -> Result<Value> {
        self.dry_run(manifest).await?.map_err(|error| anyhow!("was refused: {error}\n{manifest}"))
    }

    /// Asserts that the API server refuses `manifest` with an error that holds each of `words`.
    pub async fn refused(&self, manifest: &str, words: &[&str]) -> Result<()> {
        let refused = self.dry_run(manifest).await?;
        says(&refused.err().with_context(|| format!("was accepted:\n{manifest}"))?, words, manifest)
    }

    /// The same of `kubectl apply`.
    pub async fn kubectl_refuses(&self, manifest: &str, words: &[&str]) -> Result<()> {
        let refused = self.try_apply(manifest).await?;
        says(&refused.err().with_context(|| format!("was accepted:\n{manifest}"))?, words, manifest)
    }

    /// The Events of this namespace.
    pub async fn events(&self) -> Result<Vec<Value>> {
        let events = self.world.testbed.kubectl(&["get", "events", "--namespace", &self.namespace, "--output", "json"]).await?;
        Ok(serde_json::from_value(serde_json::from_str::<Value>(&events)?["items"].take())?)
    }

    /// Puts a Secret into the operator's namespace, in place of one of that name.
    pub async fn put_secret(&self, name: &str, entries: &[(&str, &str)]) -> Result<()> {
        let data: BTreeMap<_, _> = entries.iter().map(|(key, value)| (*key, ByteString(value.as_bytes().to_vec()))).collect();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data});
        let secrets = Api::<Secret>::namespaced(self.client.clone(), charts::NAMESPACE);
        secrets.patch(name, &PatchParams::apply("tests").force(), &Patch::Apply(secret)).await?;
        Ok(())
    }

    /// Waits until the object's condition Ready has each of `words` in its message.
    pub async fn says<K: Managed>(&self, api: &Api<K>, name: &str, words: &[&str]) -> Result<()> {
        let seen = || async {
            let object = api.get(name).await?;
            let message = condition(&object, "Ready").map(|ready| ready.message.clone()).unwrap_or_default();
            Ok(Seen::from_option(words.iter().all(|word| message.contains(word)).then_some(()), || message))
        };
        self.world.testbed.wait_for(&format!("{} {name} says {words:?}", K::KIND), seen).await
    }

    /// What an account holds now.
    pub async fn state(&self, account: &Account) -> Result<AccountState> {
        self.world.testbed.aws.account_state(&account.id).await
    }
}

/// Asserts that an error holds each of `words`.
fn says(error: &str, words: &[&str], manifest: &str) -> Result<()> {
    match words.iter().find(|word| !error.contains(**word)) {
        None => Ok(()),
        Some(word) => bail!("the error does not say {word:?}: {error}\n{manifest}"),
    }
}
