//! The charts, installed with the real Helm: the operator has the rights that the chart gives and no others, and these suffice; its Pod
//! keeps the strictest security standard; the resources' definitions cannot be deleted in passing.

use std::{collections::BTreeSet, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::{
    apps::v1::Deployment,
    authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec},
    batch::v1::Job,
    core::v1::{Container, EnvVar, Pod},
    networking::v1::{NetworkPolicy, NetworkPolicySpec},
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};
use kube::{Api, Client, api::PostParams, core::ObjectMeta};
use rolebridge_testbed::{Sandbox, Seen, Testbed, TestbedOptions, Tool, charts, command::output, run, wait_for_absence};
use serde_json::{Value, json};

use crate::support::{Account, Counts, INSTALLATION, LIST, Rights, World, assert_told, bastion_user, config_map, cross_account_role, new_key, user};

const BINARY: &str = env!("CARGO_BIN_EXE_rolebridge");

#[tokio::test]
async fn with_the_rights_of_the_chart_the_recipe_works_from_the_first_apply_to_the_last_deletion() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    let before = (tenant.state(&utils).await?, tenant.state(&prod).await?);
    // A name that is taken: told in an Event, which needs a right of its own.
    prod.iam.create_policy().policy_name("reader").policy_document(LIST).send().await?;
    let permissions = "permissions: {customerManagedPolicies: [{name: reader, configMapKeyRef: {name: policies, key: list.json}}]}";
    let role = cross_account_role("reader", &prod, "{user: {name: alice}}", permissions);
    tenant.apply(&format!("{}\n{}{role}", config_map("policies", "list.json", LIST), bastion_user("alice", &utils, ""))).await?;
    let refused = tenant.concluded(&tenant.roles(), "reader", "Conflict").await?;
    assert_told(&refused, "Stalled", &["reader"])?;
    world
        .testbed
        .wait_for("an Event tells of the conflict", || async {
            let writes = tenant.operator_writes().await?;
            let told = writes.iter().any(|(object, writes)| object.starts_with("events/reader") && writes.iter().all(|write| write.code < 300));
            Ok(Seen::from_option(told.then_some(()), || format!("{writes:#?}")))
        })
        .await?;

    prod.iam.delete_policy().policy_arn(prod.arn("policy/reader")).send().await?;
    tenant.apply(&role.replace("permissions:", "description: again, permissions:")).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    tenant.ready(&tenant.users(), "alice").await?;
    ensure!(world.may_assume(&new_key(&utils.iam, "alice").await?, &prod.arn("role/reader")).await?);
    tenant.delete(&["crossaccountrole/reader", "bastionuser/alice", "configmap/policies"]).await?;
    assert_eq!((tenant.state(&utils).await?, tenant.state(&prod).await?), before);
    tenant.delete(&[&format!("awsaccount/{}", utils.name), &format!("awsaccount/{}", prod.name)]).await?;
    let refused: Vec<_> = tenant.operator_writes().await?.into_values().flatten().filter(|write| write.code == 403).collect();
    ensure!(refused.is_empty(), "{refused:#?}");
    Ok(())
}

/// Everything that RBAC gives the owner of this client's token in a namespace: `verb resource.group name`.
async fn rights(client: &Client, namespace: &str) -> Result<BTreeSet<String>> {
    let spec = SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) };
    let review = SelfSubjectRulesReview { spec, ..SelfSubjectRulesReview::default() };
    let status = Api::all(client.clone()).create(&PostParams::default(), &review).await?.status.context("no answer")?;
    ensure!(!status.incomplete, "the API server does not know all of it: {status:?}");
    let mut rights = BTreeSet::new();
    for rule in status.resource_rules {
        let names = rule.resource_names.unwrap_or_default().join(",");
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                rights.extend(rule.verbs.iter().map(|verb| format!("{verb} {resource}.{group} {names}").trim_end().to_owned()));
            }
        }
    }
    rights.extend(status.non_resource_rules.iter().flat_map(|rule| rule.non_resource_urls.iter().flatten()).cloned());
    Ok(rights)
}

#[tokio::test]
async fn the_operator_has_the_rights_that_it_uses_and_no_others() -> Result<()> {
    let world = World::shared().await?;
    let control_plane = &world.testbed.control_plane;
    let client = |token: String| async move { control_plane.client_for_token(&token).await };
    let operator = client(control_plane.service_account_token(charts::NAMESPACE, charts::RELEASE).await?).await?;
    // Some rights everybody has who is known to the API server, such as to ask for one's rights.
    world.testbed.kubectl(&["create", "serviceaccount", "anybody", "--namespace", charts::NAMESPACE]).await?;
    let anybody = client(control_plane.service_account_token(charts::NAMESPACE, "anybody").await?).await?;
    let mut expected: BTreeSet<String> = ["list namespaces.", "watch namespaces.", "create events.events.k8s.io"]
        .into_iter()
        .chain(["get configmaps.", "list configmaps.", "watch configmaps."])
        .map(str::to_owned)
        .collect();
    for kind in ["awsaccounts", "bastionusers", "crossaccountroles"] {
        expected.extend(["get", "list", "watch", "patch"].map(|verb| format!("{verb} {kind}.rolebridge.io")));
        expected.insert(format!("patch {kind}/status.rolebridge.io"));
        // By these the API server knows it: see `api/protection/resources`.
        expected.extend(["status", "finalizers"].map(|proof| format!("update {kind}/{proof}.rolebridge.io")));
    }
    for namespace in [charts::NAMESPACE, "kube-system", "default"] {
        let others = rights(&anybody, namespace).await?;
        let own: BTreeSet<String> = rights(&operator, namespace).await?.difference(&others).cloned().collect();
        assert_eq!(own, expected, "in the namespace {namespace}");
    }
    Ok(())
}

#[tokio::test]
async fn of_secrets_the_operator_may_get_those_that_are_named_to_it() -> Result<()> {
    let world = World::own_with(TestbedOptions::default()).await?;
    let testbed = &world.testbed;
    let secrets = async || {
        let token = testbed.control_plane.service_account_token(charts::NAMESPACE, charts::RELEASE).await?;
        let client = testbed.control_plane.client_for_token(&token).await?;
        let mut found = BTreeSet::new();
        for namespace in [charts::NAMESPACE, "kube-system", "default"] {
            found.extend(
                rights(&client, namespace).await?.into_iter().filter(|right| right.contains("secrets")).map(|right| format!("{namespace}: {right}")),
            );
        }
        anyhow::Ok(found)
    };
    assert_eq!(secrets().await?, BTreeSet::new());
    testbed.install(&["accessSecrets={keys,more.keys}"]).await?;
    assert_eq!(secrets().await?, [format!("{}: get secrets. keys,more.keys", charts::NAMESPACE)].into());
    testbed.install(&[]).await?;
    assert_eq!(secrets().await?, BTreeSet::new());
    Ok(())
}

#[tokio::test]
async fn with_the_token_of_the_operator_nothing_else_can_be_done() -> Result<()> {
    let world = World::shared().await?;
    let tenant = world.tenant().await?;
    let account = tenant.account("untouched").await?;
    tenant.apply(&bastion_user("alice", &account, "")).await?;
    let token = world.testbed.control_plane.service_account_token(charts::NAMESPACE, charts::RELEASE).await?;
    let kubeconfig = world.testbed.control_plane.kubeconfig_for_token("stolen", &token)?;
    let with_it = |arguments: &str| {
        let mut command = world.testbed.control_plane.kubectl();
        command.env("KUBECONFIG", &kubeconfig).args(["--namespace", &tenant.namespace]).args(arguments.split(' '));
        output(command, None)
    };
    let said = with_it("get bastionuser alice").await?;
    ensure!(said.status.success(), "the token is good for what it is for: {}", String::from_utf8_lossy(&said.stderr));
    let all_of_them = format!("delete --raw /apis/rolebridge.io/v1alpha1/namespaces/{}/bastionusers", tenant.namespace);
    for arguments in [
        "get secrets",
        "get secrets --all-namespaces",
        "get pods",
        "create deployment mine --image=registry.invalid/any",
        "create configmap mine",
        "create token default",
        "delete bastionuser alice",
        &all_of_them,
        "create clusterrolebinding mine --clusterrole=cluster-admin --serviceaccount=rolebridge-system:rolebridge",
        "label namespace default mine=1",
        "get nodes --as=admin --as-group=system:masters",
    ] {
        let said = with_it(arguments).await?;
        let error = String::from_utf8_lossy(&said.stderr);
        ensure!(!said.status.success() && error.to_lowercase().contains("forbidden"), "kubectl {arguments}: {error}");
    }
    ensure!(tenant.users().get("alice").await?.metadata.deletion_timestamp.is_none());
    Ok(())
}

/// The Deployment that the chart made.
async fn deployment(testbed: &Testbed) -> Result<Deployment> {
    let deployments = Api::namespaced(testbed.control_plane.client().await?, charts::NAMESPACE);
    Ok(deployments.get(charts::RELEASE).await?)
}

fn container(deployment: &Deployment) -> Result<&Container> {
    let pod = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()).context("no Pod")?;
    pod.containers.first().context("no container")
}

/// The value that a Pod of the release has in a variable.
fn value_of(variable: &EnvVar) -> String {
    let field = variable.value_from.as_ref().and_then(|from| from.field_ref.as_ref()).map(|field| field.field_path.as_str());
    let of_field = field.map(|path| if path == "metadata.namespace" { charts::NAMESPACE.to_owned() } else { format!("(no value of {path})") });
    variable.value.clone().or(of_field).unwrap_or_default()
}

#[tokio::test]
async fn the_pod_keeps_the_strictest_standard() -> Result<()> {
    let world = World::shared().await?;
    let testbed = &world.testbed;
    testbed.kubectl(&["create", "namespace", "strict"]).await?;
    testbed.kubectl(&["label", "namespace", "strict", "pod-security.kubernetes.io/enforce=restricted"]).await?;
    let pods = Api::<Pod>::namespaced(testbed.control_plane.client().await?, "strict");
    let try_it = PostParams { dry_run: true, ..PostParams::default() };
    let template = deployment(testbed).await?.spec.context("no spec")?.template;
    let pod = Pod { metadata: ObjectMeta { name: Some("operator".into()), ..ObjectMeta::default() }, spec: template.spec, status: None };
    pods.create(&try_it, &pod).await.context("the Pod is refused")?;
    let mut lax = pod;
    lax.spec.as_mut().context("no spec")?.security_context = None;
    ensure!(pods.create(&try_it, &lax).await.is_err(), "the standard is not enforced here: the test says nothing");
    Ok(())
}

const IMAGE: &str = "image.repository=registry.invalid/rolebridge";

/// The NetworkPolicy of the chart with these values, as the API server takes it.
async fn network_policy(testbed: &Testbed, values: &[&str]) -> Result<NetworkPolicySpec> {
    let (good, said) = render(&[&[IMAGE, "networkPolicy.enabled=true"], values].concat()).await?;
    ensure!(good, "{said}");
    let document = said.split("\n---\n").find(|document| document.contains("kind: NetworkPolicy")).context("no NetworkPolicy")?;
    let policy: NetworkPolicy = serde_saphyr::from_str(document)?;
    let policies = Api::<NetworkPolicy>::namespaced(testbed.control_plane.client().await?, charts::NAMESPACE);
    let try_it = PostParams { dry_run: true, ..PostParams::default() };
    policies.create(&try_it, &policy).await.context("the NetworkPolicy is refused")?.spec.context("no spec")
}

#[tokio::test]
async fn the_network_policy_lets_nobody_in_and_the_operator_out_to_what_it_needs() -> Result<()> {
    let world = World::shared().await?;
    let testbed = &world.testbed;
    let (good, said) = render(&[IMAGE]).await?;
    ensure!(good && !said.contains("NetworkPolicy"), "there is none by default:\n{said}");

    let policy = network_policy(testbed, &[]).await?;
    let labels = policy.pod_selector.as_ref().and_then(|selector| selector.match_labels.clone());
    let deployment = deployment(testbed).await?.spec.context("no spec")?;
    assert_eq!(labels, deployment.selector.match_labels);
    assert_eq!(policy.policy_types, Some(vec!["Ingress".to_owned(), "Egress".to_owned()]));
    assert_eq!(policy.ingress.unwrap_or_default(), []);
    let port = |protocol: &str, port: u16| json!({"protocol": protocol, "port": port});
    let names = json!({"ports": [port("UDP", 53), port("TCP", 53)]});
    let addresses = ["169.254.170.23/32", "fd00:ec2::23/128"].map(|cidr| json!({"ipBlock": {"cidr": cidr}}));
    let credentials = json!({"ports": [port("TCP", 80)], "to": addresses});
    let services = json!({"ports": [port("TCP", 443), port("TCP", 6443)]});
    assert_eq!(serde_json::to_value(policy.egress)?, json!([names, services, credentials]));

    let policy = network_policy(
        testbed,
        &[
            "health.port=9000",
            "networkPolicy.healthFrom[0].ipBlock.cidr=10.0.0.0/24",
            "networkPolicy.dnsPorts={5353}",
            "networkPolicy.httpsPorts={443}",
            "networkPolicy.httpsTo[0].ipBlock.cidr=10.1.0.0/16",
            "networkPolicy.credentialsFrom=null",
            "networkPolicy.egress[0].ports[0].port=3128",
        ],
    )
    .await?;
    let block = |cidr: &str| json!([{"ipBlock": {"cidr": cidr}}]);
    assert_eq!(serde_json::to_value(policy.ingress)?, json!([{"from": block("10.0.0.0/24"), "ports": [port("TCP", 9000)]}]));
    let names = json!({"ports": [port("UDP", 5353), port("TCP", 5353)]});
    let services = json!({"ports": [port("TCP", 443)], "to": block("10.1.0.0/16")});
    assert_eq!(serde_json::to_value(policy.egress)?, json!([names, services, {"ports": [port("TCP", 3128)]}]));
    Ok(())
}

#[tokio::test]
async fn the_operator_runs_as_the_deployment_says_and_answers_its_probes() -> Result<()> {
    let world = World::own_with(TestbedOptions::default()).await?;
    let testbed = &world.testbed;
    for values in [&[][..], &["installation=prod-cluster", "concurrency=8", "sweepInterval=1h30m", "log.format=text", "log.filter=debug"]] {
        let kubeconfig = testbed.install(values).await?;
        let deployment = deployment(testbed).await?;
        let container = container(&deployment)?;
        let environment: Vec<_> = container
            .env
            .iter()
            .flatten()
            // The port is taken where tests run side by side.
            .filter(|variable| variable.name != "ROLEBRIDGE_HEALTH_ADDRESS")
            .map(|variable| (variable.name.clone(), value_of(variable)))
            .collect();
        let arguments: Vec<_> = container.args.iter().flatten().map(String::as_str).collect();
        let operator = testbed.operator(Path::new(BINARY), &kubeconfig, &environment, &arguments)?;
        for probe in [&container.liveness_probe, &container.readiness_probe] {
            let path = probe.as_ref().and_then(|probe| probe.http_get.as_ref()).and_then(|get| get.path.clone()).context("no path")?;
            testbed
                .wait_for(&format!("{path} is 200"), || async {
                    let (status, text) = operator.health(&path).await?;
                    Ok(Seen::from_option((status == 200).then_some(()), || format!("{status} {text}")))
                })
                .await?;
        }
        ensure!(operator.log().contains("prod-cluster") != values.is_empty(), "{}", operator.log());
        let ended = operator.terminate().await?;
        ensure!(ended.code() == Some(0), "{ended}: {}", operator.log());
    }

    run(helm(testbed, &["uninstall", charts::RELEASE, "--namespace", charts::NAMESPACE]).await?).await?;
    let client = testbed.control_plane.client().await?;
    wait_for_absence(&Api::<Deployment>::namespaced(client.clone(), charts::NAMESPACE), charts::RELEASE).await?;
    wait_for_absence(&Api::<ClusterRole>::all(client.clone()), charts::RELEASE).await?;
    wait_for_absence(&Api::<ClusterRoleBinding>::all(client), charts::RELEASE).await?;
    testbed.kubectl(&["get", "crossaccountroles", "--all-namespaces"]).await.context("the resources went with the operator")?;
    Ok(())
}

/// What the guide on uninstalling makes a Job of: the Pod of the Deployment, with other arguments.
#[tokio::test]
async fn a_job_with_the_pod_of_the_deployment_hands_everything_back() -> Result<()> {
    let world = World::own().await?;
    let testbed = &world.testbed;
    let mut pod = serde_json::to_value(deployment(testbed).await?.spec.context("no spec")?.template)?;
    let mut spec = pod["spec"].take();
    spec["restartPolicy"] = json!("Never");
    let container = spec["containers"][0].as_object_mut().context("no container")?;
    ["livenessProbe", "readinessProbe", "ports"].iter().for_each(|field| drop(container.remove(*field)));
    container.insert("args".to_owned(), json!(["release", "--all"]));
    pod["spec"] = spec;
    let job: Job = serde_json::from_value(json!({"metadata": {"name": "rolebridge-release"}, "spec": {"backoffLimit": 0, "template": pod}}))?;
    let jobs = Api::<Job>::namespaced(testbed.control_plane.client().await?, charts::NAMESPACE);
    let try_it = PostParams { dry_run: true, ..PostParams::default() };
    let taken = jobs.create(&try_it, &job).await.context("the Job is refused")?;

    let pod = taken.spec.and_then(|spec| spec.template.spec).context("no Pod")?;
    let container = pod.containers.first().context("no container")?;
    let environment: Vec<_> = container.env.iter().flatten().map(|variable| (variable.name.clone(), value_of(variable))).collect();
    let arguments: Vec<_> = container.args.iter().flatten().map(String::as_str).collect();
    let release = testbed.operator(Path::new(BINARY), world.operator_kubeconfig(), &environment, &arguments)?;
    let ended = || async { Ok(Seen::from_option(release.exit_status(), || release.log())) };
    let status = testbed.wait_for("the command ends", ended).await?;
    let said = release.log();
    ensure!(status.success() && said.contains(&format!("installation {INSTALLATION}")) && said.contains("nothing is left"), "{status}: {said}");
    Ok(())
}

#[tokio::test]
async fn definitions_are_not_deleted_in_passing_and_what_hangs_on_them_survives() -> Result<()> {
    let world = World::own_with(TestbedOptions::default()).await?;
    let testbed = &world.testbed;
    let operator = world.operator()?;
    let tenant = world.tenant().await?;
    let utils = tenant.ready_account("utils", "").await?;
    tenant.apply(&bastion_user("alice", &utils, "")).await?;
    tenant.ready(&tenant.users(), "alice").await?;
    let (before, since) = (tenant.state(&utils).await?, world.last_call().await?);

    let kubectl = |arguments: &str| {
        let mut command = testbed.control_plane.kubectl();
        command.args(arguments.split(' '));
        output(command, None)
    };
    // The API server takes a moment until it knows a new policy; asked without effect until then.
    testbed
        .wait_for("the policy is in force", || async {
            let said = kubectl("delete crd bastionusers.rolebridge.io --dry-run=server").await?;
            Ok(Seen::from_option((!said.status.success()).then_some(()), || String::from_utf8_lossy(&said.stdout).into_owned()))
        })
        .await?;
    let definitions = ["awsaccounts.rolebridge.io", "bastionusers.rolebridge.io", "crossaccountroles.rolebridge.io"];
    for definition in definitions {
        let said = kubectl(&format!("delete crd {definition}")).await?;
        let error = String::from_utf8_lossy(&said.stderr).into_owned();
        ensure!(!said.status.success(), "{definition} was deleted");
        for word in ["what they own in AWS", &format!("kubectl annotate crd {definition} rolebridge.io/allow-deletion=true")] {
            ensure!(error.contains(word), "{error}");
        }
    }
    // As a collection, too.
    let said = kubectl("delete --raw /apis/apiextensions.k8s.io/v1/customresourcedefinitions").await?;
    let error = String::from_utf8_lossy(&said.stderr);
    ensure!(!said.status.success() && error.contains("what they own in AWS"), "{error:.1000}");
    // Helm says what it leaves.
    let said = run(helm(testbed, &["uninstall", "rolebridge-crds", "--namespace", charts::NAMESPACE]).await?).await?;
    for kept in definitions.into_iter().chain(["rolebridge-crd-deletion", "rolebridge-resources"]) {
        ensure!(said.contains(kept), "{kept} is not among what is kept: {said}");
    }
    let said = kubectl("delete crd bastionusers.rolebridge.io").await?;
    ensure!(!said.status.success(), "with the release the protection has gone, too");

    let alive = tenant.users().get("alice").await?;
    ensure!(alive.metadata.deletion_timestamp.is_none() && user(&before, "alice").is_some());
    assert_eq!(tenant.state(&utils).await?, before);
    assert_eq!(world.counts_in(&[&utils], since).await?, (Counts::new(), Counts::new()));
    operator.ensure_running()?;

    // A later installation takes all of it up again; and who means it, may: then the operator does for each resource what its deletion asks for.
    testbed.install(&[&format!("installation={INSTALLATION}")]).await?;
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let apply = ["apply", "--server-side", "--filename", &files.to_string_lossy()];
    testbed.kubectl(&apply).await.context("kubectl and Helm disagree over what both have")?;
    testbed.kubectl(&["annotate", "crd", "bastionusers.rolebridge.io", "rolebridge.io/allow-deletion=true"]).await?;
    ensure!(!kubectl("delete crd awsaccounts.rolebridge.io").await?.status.success(), "one annotation allows one");
    testbed.explain(testbed.kubectl(&["delete", "crd", "bastionusers.rolebridge.io", "--timeout=170s"]).await)?;
    ensure!(user(&tenant.state(&utils).await?, "alice").is_none());
    Ok(())
}

/// A chart of a tenant's own: a user, a role that trusts it, and the policy of that role.
fn chart_of_resources(folder: &Path, utils: &Account, prod: &Account) -> Result<()> {
    let permissions = "permissions: {customerManagedPolicies: [{name: list, configMapKeyRef: {name: policies, key: list.json}}]}";
    let templates = folder.join("templates");
    std::fs::create_dir_all(&templates)?;
    std::fs::write(folder.join("Chart.yaml"), "{apiVersion: v2, name: access, version: 0.1.0}")?;
    std::fs::write(templates.join("policies.yaml"), config_map("policies", "list.json", LIST))?;
    std::fs::write(templates.join("user.yaml"), bastion_user("alice", utils, ""))?;
    Ok(std::fs::write(templates.join("role.yaml"), cross_account_role("reader", prod, "{user: {name: alice}}", permissions))?)
}

#[tokio::test]
async fn uninstalling_a_tenants_chart_takes_everything_out_of_aws_and_leaves_nothing_behind() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    let before = (tenant.state(&utils).await?, tenant.state(&prod).await?);
    let chart = world.testbed.dir().join(format!("chart-of-{}", tenant.namespace));
    chart_of_resources(&chart, &utils, &prod)?;
    let member = tenant.member(Rights::Everything).await?;
    // Twice: what Helm removes without waiting for, and what it waits for.
    for wait in [&[][..], &["--wait", "--timeout=170s"]] {
        member.helm(&["install", "access", &chart.to_string_lossy()]).await?;
        tenant.ready(&tenant.roles(), "reader").await?;
        tenant.ready(&tenant.users(), "alice").await?;
        ensure!(world.may_assume(&new_key(&utils.iam, "alice").await?, &prod.arn("role/reader")).await?);
        world.testbed.explain(member.helm(&[&["uninstall", "access"], wait].concat()).await)?;
        if wait.is_empty() {
            wait_for_absence(&tenant.roles(), "reader").await?;
            wait_for_absence(&tenant.users(), "alice").await?;
        }
        ensure!(tenant.roles().get_opt("reader").await?.is_none() && tenant.users().get_opt("alice").await?.is_none());
        assert_eq!((tenant.state(&utils).await?, tenant.state(&prod).await?), before);
        assert_eq!(member.kubectl(&["get", "secrets,configmaps", "--output=name"], None).await?.trim(), "");
    }
    Ok(())
}

/// Helm with these arguments.
async fn helm(testbed: &Testbed, arguments: &[&str]) -> Result<Command> {
    let mut helm = testbed.control_plane.helm().await?;
    helm.args(arguments);
    Ok(helm)
}

/// What Helm says without a cluster, and whether it succeeded.
async fn helm_alone(arguments: &[&str]) -> Result<(bool, String)> {
    let sandbox = Sandbox::new()?;
    let mut helm = sandbox.command(Tool::Helm.path().await?);
    helm.args(arguments);
    let said = output(helm, None).await?;
    Ok((said.status.success(), [said.stdout, said.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()))
}

/// What Helm makes of the operator's chart with these values (`name=value`), and whether it succeeded.
async fn render(values: &[&str]) -> Result<(bool, String)> {
    let chart = charts::chart("rolebridge");
    let mut arguments = vec!["template", charts::RELEASE, chart.to_str().context("a path that is not text")?, "--kube-version=1.36.0"];
    arguments.extend(["--namespace", charts::NAMESPACE]);
    arguments.extend(values.iter().flat_map(|value| ["--set", value]));
    helm_alone(&arguments).await
}

#[tokio::test]
async fn helm_finds_no_fault_with_the_charts() -> Result<()> {
    for name in ["rolebridge-crds", "rolebridge"] {
        let (good, said) = helm_alone(&["lint", "--strict", &charts::chart(name).to_string_lossy()]).await?;
        ensure!(good, "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn values_that_cannot_work_are_refused_with_their_place() -> Result<()> {
    let image = "image.repository=registry.example:5000/team/rolebridge";
    let (good, said) = render(&[image, "installation=a_.:/=+@-1", "image.tag=1.0", "env[0].name=AWS_REGION,env[0].value=eu-west-1"]).await?;
    ensure!(good && said.contains("image: \"registry.example:5000/team/rolebridge:1.0\"") && said.contains("value: \"a_.:/=+@-1\""), "{said}");
    ensure!(!said.contains("resourceNames"), "with an ID of its own the operator need not read kube-system:\n{said}");
    let digest = format!("image.digest=sha256:{}", "0".repeat(64));
    let (good, said) = render(&[image, &digest]).await?;
    ensure!(good && said.contains(&format!("/rolebridge:{}@sha256:000", env!("CARGO_PKG_VERSION"))), "{said}");
    ensure!(said.contains("resourceNames: [kube-system]"), "{said}");

    for (value, place) in [
        ("image.repository=", "image.repository is required"),
        ("image.repository=rolebridge:latest", "/image/repository"),
        ("image.digest=latest", "/image/digest"),
        ("installation=with blank", "/installation"),
        ("sweepInterval=90d", "/sweepInterval"),
        ("concurrency=0", "/concurrency"),
        ("replicas=2", "'replicas' not allowed"),
        ("log.format=xml", "/log/format"),
        ("health.port=80", "/health/port"),
        ("env[0].name=ROLEBRIDGE_LOG", "/env/0/name"),
        ("env[0].name=POD_NAMESPACE", "/env/0/name"),
        ("accessSecrets={Keys}", "/accessSecrets/0"),
        ("accessSecrets={keys,keys}", "/accessSecrets"),
        ("serviceAccount.create=false", "/serviceAccount/name"),
        ("podLabels.number=1", "/podLabels/number"),
        ("networkPolicy.httpsPorts={}", "/networkPolicy/httpsPorts"),
        ("networkPolicy.dnsPorts={0}", "/networkPolicy/dnsPorts/0"),
        ("networkPolicy.healthFrom[0].cidr=10.0.0.0/8", "'cidr' not allowed"),
        ("networkPolicy.credentialsFrom={169.254.169.254}", "/networkPolicy/credentialsFrom/0"),
    ] {
        let (good, said) = render(&[image, value]).await?;
        ensure!(!good && said.contains(place), "{value}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn the_notes_warn_of_what_is_missing() -> Result<()> {
    let chart = charts::chart("rolebridge");
    let notes = async |value: &str| {
        let image = "image.repository=registry.example/rolebridge";
        let arguments = ["install", "rolebridge", &chart.to_string_lossy(), "--dry-run=client", "--set", image, "--set", value, "--output=json"];
        let sandbox = Sandbox::new()?;
        let mut helm = sandbox.command(Tool::Helm.path().await?);
        helm.args(arguments);
        let release: Value = serde_json::from_str(&run(helm).await?)?;
        anyhow::Ok(release["info"]["notes"].as_str().unwrap_or_default().to_owned())
    };
    let (without, with) = (notes("concurrency=1").await?, notes("installation=prod").await?);
    ensure!(without.contains("`installation` is not set") && without.contains("rolebridge-crds"), "{without}");
    ensure!(!with.contains("`installation` is not set"), "{with}");
    Ok(())
}
