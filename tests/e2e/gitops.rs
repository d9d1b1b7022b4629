//! How tools that keep a cluster equal to files use Rolebridge: generated names, several field managers, and differences that are none.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rolebridge_testbed::Seen;
use serde_json::{Value, json};

use crate::support::{Account, LIST, READ, Tenant, World, bastion_user, condition, once, role};

const ROLE: &str = "team-lister";

/// A folder for files of a tenant.
fn folder_of(tenant: &Tenant<'_>) -> Result<PathBuf> {
    let folder = tenant.world.testbed.dir().join(format!("files-of-{}", tenant.namespace));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The example whose ConfigMap has a name with a hash, for a tenant.
struct Hashed<'t> {
    tenant: &'t Tenant<'t>,
    folder: PathBuf,
}

impl<'t> Hashed<'t> {
    fn of(tenant: &'t Tenant<'t>, account: &Account) -> Result<Self> {
        let (example, folder) = (PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/hashed-config-map"), folder_of(tenant)?);
        for file in ["kustomization.yaml", "namereference.yaml", "role.yaml", "list.json"] {
            let text = fs::read_to_string(example.join(file)).with_context(|| file.to_owned())?;
            let text = text.replace("  - ../classic/accounts\n", "").replace("namespace: classic", &format!("namespace: {}", tenant.namespace));
            fs::write(folder.join(file), text.replace("name: prod", &format!("name: {}", account.name)))?;
        }
        Ok(Self { tenant, folder })
    }

    /// Writes the policy anew, with these actions.
    fn allow(&self, actions: &[&str]) -> Result<()> {
        let document = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]});
        Ok(fs::write(self.folder.join("list.json"), document.to_string())?)
    }

    async fn apply(&self) -> Result<()> {
        self.tenant.world.testbed.kubectl(&["apply", "--kustomize", &self.folder.to_string_lossy()]).await.map(drop)
    }

    /// The name of the ConfigMap that the role names now.
    async fn named(&self) -> Result<String> {
        let role = self.tenant.roles().get(ROLE).await?;
        let spec = serde_json::to_value(&role.spec)?;
        let name = &spec["permissions"]["customerManagedPolicies"][0]["configMapKeyRef"]["name"];
        name.as_str().map(str::to_owned).with_context(|| spec.to_string())
    }

    /// The name that the ConfigMap is going to have.
    async fn built(&self) -> Result<String> {
        let built = self.tenant.world.testbed.kubectl(&["kustomize", &self.folder.to_string_lossy()]).await?;
        let name = built.lines().map(str::trim).find_map(|line| line.strip_prefix("name: team-policies-"));
        name.map(|hash| format!("team-policies-{hash}")).context(built.clone())
    }

    async fn prune(&self, config_map: &str) -> Result<()> {
        self.tenant.delete(&[&format!("configmap/{config_map}")]).await
    }
}

/// Waits until the policy allows this action, and asserts that the role is not Stalled on the way and that the policy is attached all the time.
async fn allows(tenant: &Tenant<'_>, account: &Account, policy: &str, action: &str) -> Result<()> {
    let seen = || async {
        let now = tenant.roles().get(ROLE).await?;
        let stalled = condition(&now, "Stalled").filter(|stalled| stalled.status == "True");
        ensure!(stalled.is_none(), "{stalled:?}");
        let state = tenant.state(account).await?;
        let attached = role(&state, ROLE).context("no role")?["attachedPolicies"].to_string();
        ensure!(attached.contains(policy), "{attached}");
        let document = state.policies.iter().find(|there| there["policyName"] == policy).context("no policy")?.to_string();
        let ready =
            condition(&now, "Ready").is_some_and(|ready| ready.status == "True" && Some(ready.observed_generation) == now.metadata.generation);
        Ok(Seen::from_option((ready && document.contains(action)).then_some(()), || document))
    };
    tenant.world.testbed.wait_for(&format!("{policy} allows {action}"), seen).await
}

#[tokio::test]
async fn a_generated_name_of_a_config_map_changes_with_its_content_and_the_policy_gets_one_version() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let hashed = Hashed::of(&tenant, &prod)?;
    hashed.apply().await?;
    allows(&tenant, &prod, "team-list", "s3:ListAllMyBuckets").await?;
    ensure!(hashed.named().await?.starts_with("team-policies-"), "kustomize has put the name in");

    // As Flux does: the new one, the resource, and the old one goes at once.
    let since = world.last_call().await?;
    let old = hashed.named().await?;
    hashed.allow(&["s3:ListAllMyBuckets", "s3:GetBucketLocation"])?;
    hashed.apply().await?;
    hashed.prune(&old).await?;
    allows(&tenant, &prod, "team-list", "s3:GetBucketLocation").await?;
    ensure!(world.counts_in(&[&prod], since).await?.0 == once(&["CreatePolicyVersion"]));

    // As others do: the old one goes first. What is in AWS stays meanwhile, and the role says what it lacks.
    let (since, old) = (world.last_call().await?, hashed.named().await?);
    hashed.prune(&old).await?;
    tenant.concluded(&tenant.roles(), ROLE, "ConfigMapNotFound").await?;
    hashed.allow(&["s3:ListAllMyBuckets", "s3:GetBucketTagging"])?;
    hashed.apply().await?;
    allows(&tenant, &prod, "team-list", "s3:GetBucketTagging").await?;
    ensure!(world.counts_in(&[&prod], since).await?.0 == once(&["CreatePolicyVersion"]));

    // IAM keeps five versions.
    for number in 0..8 {
        let (old, action) = (hashed.named().await?, format!("s3:GetBucket{number}"));
        hashed.allow(&[&action])?;
        hashed.apply().await?;
        hashed.prune(&old).await?;
        allows(&tenant, &prod, "team-list", &action).await?;
    }
    let versions = prod.iam.list_policy_versions().policy_arn(prod.arn("policy/team-list")).send().await?;
    ensure!(versions.versions().len() <= 5, "{versions:?}");
    ensure!(hashed.named().await? == hashed.built().await?);
    Ok(())
}

#[tokio::test]
async fn who_forgets_the_reference_is_told_of_the_config_maps_with_a_hash() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let hashed = Hashed::of(&tenant, &prod)?;
    let file = hashed.folder.join("kustomization.yaml");
    fs::write(&file, fs::read_to_string(&file)?.replace("configurations:\n  - namereference.yaml\n", ""))?;
    hashed.apply().await?;
    ensure!(hashed.named().await? == "team-policies" && hashed.built().await? != "team-policies");
    tenant.concluded(&tenant.roles(), ROLE, "ConfigMapNotFound").await?;
    tenant.says(&tenant.roles(), ROLE, &["team-policies", "with a hash", "nameReference"]).await
}

/// `kubectl` with these arguments and a manifest in a file, in the tenant's namespace.
async fn kubectl_of(tenant: &Tenant<'_>, folder: &Path, args: &[&str], manifest: &str) -> Result<String> {
    let file = folder.join("manifest.yaml");
    fs::write(&file, manifest)?;
    let namespace = format!("--namespace={}", tenant.namespace);
    tenant.world.testbed.kubectl(&[args, &[&namespace, "--filename", &file.to_string_lossy()]].concat()).await
}

#[tokio::test]
async fn two_field_managers_share_a_role_and_another_form_of_the_same_document_writes_nothing() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (prod, folder) = (tenant.ready_account("prod", "").await?, folder_of(&tenant)?);
    let role_with = |spec: &Value| {
        let metadata = json!({"name": ROLE});
        json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "CrossAccountRole", "metadata": metadata, "spec": spec}).to_string()
    };
    let server_side = |manager: &'static str| ["apply", "--server-side", manager];
    let policy = |name: &str, text: &str| json!({"permissions": {"inlinePolicies": [{"name": name, "json": text}]}});
    let base = json!({"accountRef": {"name": prod.name}, "trust": [{"from": [{"service": "lambda.amazonaws.com"}]}]});
    let mut of_platform = base.clone();
    of_platform["permissions"] = policy("list", LIST)["permissions"].clone();
    kubectl_of(&tenant, &folder, &server_side("--field-manager=platform"), &role_with(&of_platform)).await?;
    // The other one says no more than its own part.
    kubectl_of(&tenant, &folder, &server_side("--field-manager=team"), &role_with(&policy("read", READ))).await?;
    let has = |names: &'static [&'static str]| {
        let (tenant, prod) = (&tenant, &prod);
        move || async move {
            let state = tenant.state(prod).await?;
            let there = role(&state, ROLE).map(|role| role["inlinePolicies"].clone()).unwrap_or_default();
            let there: Vec<String> = there.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
            Ok(Seen::from_option((there == names).then_some(()), || format!("{there:?}")))
        }
    };
    world.testbed.wait_for("both parts are there", has(&["list", "read"])).await?;
    kubectl_of(&tenant, &folder, &server_side("--field-manager=team"), &role_with(&json!({"description": "of the team"}))).await?;
    world.testbed.wait_for("one took its part back", has(&["list"])).await?;

    // The same in another form.
    tenant.ready(&tenant.roles(), ROLE).await?;
    tenant.quiet(Duration::from_secs(1)).await?;
    let since = world.last_call().await?;
    let document: Value = serde_json::from_str(LIST)?;
    of_platform["permissions"] = json!({"inlinePolicies": [{"name": "list", "document": document}]});
    kubectl_of(&tenant, &folder, &server_side("--field-manager=platform"), &role_with(&of_platform)).await?;
    tenant.ready(&tenant.roles(), ROLE).await?;
    tenant.quiet(Duration::from_secs(1)).await?;
    let (writes, _) = world.counts_in(&[&prod], since).await?;
    ensure!(writes.is_empty(), "{writes:?}");
    Ok(())
}

#[tokio::test]
async fn nothing_differs_from_what_was_applied() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (utils, prod, folder) = (tenant.account("utils").await?, tenant.account("prod").await?, folder_of(&tenant)?);
    // Forms that are short, that are empty, and that name what is the default anyway.
    let guardrails = "guardrails: {quotas: {}, requireMFA: false, onViolation: Freeze, reservedNames: [], maxSessionDuration: 2h}";
    let defaults = "defaults: {tags: {team: data}, maxSessionDuration: 1h30m}";
    let of_utils = utils.manifest(&tenant.only_here(), &format!("sweep: {{interval: 15m}}, limits: {{}}, {guardrails}, {defaults}"));
    let of_prod = prod.manifest(&tenant.only_here(), "guardrails: {}, defaults: {}");
    let user = bastion_user("alice", &utils, "allowRolesFrom: {from: Same}, tags: {}, groups: [], permissions: {}");
    let trust = "[{from: [{user: {name: alice}}], require: {mfa: {}, sourceIPs: [203.0.113.0/24]}}, {from: [{service: lambda.amazonaws.com}]}]";
    let spec = format!(
        "{{accountRef: {{name: {}}}, trust: {trust}, maxSessionDuration: 60m, permissions: {{attachedPolicies: [ReadOnlyAccess], unmanaged: Remove, inlinePolicies: [{{name: list, json: '{LIST}'}}]}}}}",
        prod.name
    );
    let all = [of_utils, of_prod, user, crate::support::manifest("CrossAccountRole", "reader", &spec)].concat();
    for form in [&[][..], &["--server-side", "--force-conflicts"]] {
        kubectl_of(&tenant, &folder, &[&["apply"], form].concat(), &all).await?;
        tenant.ready(&tenant.users(), "alice").await?;
        tenant.ready(&tenant.roles(), "reader").await?;
        kubectl_of(&tenant, &folder, &[&["diff"], form].concat(), &all).await.with_context(|| format!("{form:?}"))?;
    }
    // A difference is seen where there is one.
    let changed = all.replace("203.0.113.0/24", "203.0.113.0/25");
    ensure!(kubectl_of(&tenant, &folder, &["diff"], &changed).await.is_err_and(|error| format!("{error:?}").contains("203.0.113.0/25")));
    Ok(())
}
