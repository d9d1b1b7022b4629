//! The examples, applied as they are, with the permissions that their documentation has people set up.

use std::{collections::BTreeSet, fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use kube::Api;
use rolebridge::api::{BastionUser, CrossAccountRole};
use rolebridge_testbed::{Credentials, Operator, Seen, TestbedOptions, aws_sim::ServiceAssumption, aws_sim::State, aws_sim::WebIdentity};
use serde_json::{Value, json};

use crate::support::{INSTALLATION, Own, World, bootstrap, condition, management_role, new_key, role, trusted};

/// The account of the operator.
const OPERATOR: &str = "444444444444";
const UTILS: &str = "111111111111";
const TEAMS: &str = "333333333333";
const OPERATOR_ARN: &str = "arn:aws:iam::444444444444:user/rolebridge-operator";
const S3_LIST_ROLE: &str = "arn:aws:iam::222222222222:role/s3-list-role";

fn example(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples").join(path)
}

fn document(name: &str) -> Result<String> {
    let path = example("classic/aws").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// The documents of the management role in an account: trust and permissions.
type ManagementRoleOf = fn(&str) -> Result<[String; 2]>;

/// Those that stand beside the example.
fn in_the_example(_account: &str) -> Result<[String; 2]> {
    Ok([document("management-role-trust.json")?, document("management-role-permissions.json")?])
}

/// Those of `rolebridge bootstrap`.
fn from_bootstrap(account: &str) -> Result<[String; 2]> {
    management_role(account, OPERATOR_ARN, "rolebridge-classic-example", None)
}

/// What a person does once: a management role in each account, and a user for the operator in an account of its own.
async fn prepare(world: &World, management_role: ManagementRoleOf) -> Result<Credentials> {
    let key = put_operator(&world.administrator_of(OPERATOR).await?).await?;
    for account in [UTILS, "222222222222"] {
        let iam = world.administrator_of(account).await?;
        put_management_role(&iam, management_role(account)?).await?;
    }
    Ok(key)
}

/// The user of the operator, and a key of it.
async fn put_operator(iam: &aws_sdk_iam::Client) -> Result<Credentials> {
    iam.create_user().user_name("rolebridge-operator").send().await?;
    let permissions = document("operator-permissions.json")?;
    iam.put_user_policy().user_name("rolebridge-operator").policy_name("assume-management-roles").policy_document(permissions).send().await?;
    new_key(iam, "rolebridge-operator").await
}

async fn put_management_role(iam: &aws_sdk_iam::Client, [trust, permissions]: [String; 2]) -> Result<()> {
    iam.create_role().role_name("rolebridge").assume_role_policy_document(trust).send().await?;
    iam.put_role_policy().role_name("rolebridge").policy_name("manage-iam").policy_document(permissions).send().await?;
    Ok(())
}

/// Makes the boundary that stands beside an example, and that is what bootstrap prints with these arguments.
async fn put_boundary(iam: &aws_sdk_iam::Client, folder: &str, arguments: &[&str]) -> Result<()> {
    let document = fs::read_to_string(example(folder).join("aws/boundary.json"))?;
    let printed = bootstrap(&[["--print", "boundary"].as_slice(), arguments].concat()).await?;
    ensure!(printed["policyDocument"] == serde_json::from_str::<Value>(&document)?, "{folder}: {printed}");
    iam.create_policy().policy_name("rolebridge-boundary").policy_document(document).send().await?;
    Ok(())
}

#[tokio::test]
async fn the_classic_recipe_and_its_variant_work_with_the_permissions_that_they_document() -> Result<()> {
    recipe_and_variant(in_the_example).await
}

#[tokio::test]
async fn the_classic_recipe_and_its_variant_work_with_the_management_role_of_bootstrap() -> Result<()> {
    recipe_and_variant(from_bootstrap).await
}

/// Asserts that `kubectl diff` has nothing to say of an example, by either way of applying.
async fn differs_in_nothing(world: &World, folder: &str) -> Result<()> {
    let path = example(folder).to_string_lossy().into_owned();
    for by in [&[][..], &["--server-side", "--force-conflicts"]] {
        for command in ["apply", "diff"] {
            let command = [&[command, "--kustomize", path.as_str()], by].concat();
            world.testbed.kubectl(&command).await.with_context(|| format!("{folder} {by:?}"))?;
        }
    }
    Ok(())
}

async fn recipe_and_variant(management_role: ManagementRoleOf) -> Result<()> {
    let world = World::own().await?;
    let operator = world.operator_as(&prepare(&world, management_role).await?, "info")?;
    let (testbed, client) = (&world.testbed, world.testbed.control_plane.client().await?);
    let roles: Api<CrossAccountRole> = Api::namespaced(client.clone(), "classic");
    let users: Api<BastionUser> = Api::namespaced(client, "classic");
    let before = testbed.aws.state().await?;

    // Each trusts as it says: the user by name, or the account as a whole.
    for (folder, principal) in [("classic", "user/random_user"), ("classic-account-root", "root")] {
        testbed.kubectl(&["apply", "--kustomize", &example(folder).to_string_lossy()]).await?;
        testbed
            .wait_for(&format!("{folder} is Ready"), || async {
                let (user_now, role_now) = (users.get("random-user").await?, roles.get("s3-list-role").await?);
                let ready =
                    [condition(&user_now, "Ready"), condition(&role_now, "Ready")].map(|ready| ready.is_some_and(|ready| ready.status == "True"));
                let prod = testbed.aws.account_state("222222222222").await?;
                let names = role(&prod, "s3-list-role").map(trusted).unwrap_or_default();
                let done = ready == [true, true] && names == [format!("arn:aws:iam::111111111111:{principal}")];
                Ok(Seen::from_option(done.then_some(()), || format!("Ready: {ready:?}, trusted: {names:?}")))
            })
            .await?;
        let key = new_key(&world.administrator_of(UTILS).await?, "random_user").await?;
        ensure!(world.may_assume(&key, S3_LIST_ROLE).await?, "{folder}");
        differs_in_nothing(&world, folder).await?;
    }
    let prod = testbed.aws.account_state("222222222222").await?;
    let policy = prod.policies.iter().find(|policy| policy["policyName"] == "s3_list_all").context("no policy")?;
    let document: Value = serde_json::from_str(&fs::read_to_string(example("classic/s3-list-all.json"))?)?;
    ensure!(policy.to_string().contains(&document["Statement"][0]["Action"].to_string()), "{policy}");

    let delete = ["delete", "--timeout=170s", "--namespace=classic", "crossaccountrole/s3-list-role", "bastionuser/random-user"];
    testbed.explain(testbed.kubectl(&delete).await)?;
    testbed.explain(testbed.kubectl(&["delete", "--timeout=170s", "awsaccount/utils", "awsaccount/prod"]).await)?;
    assert_eq!(testbed.aws.state().await?, before);
    operator.ensure_running()?;
    let refused: Vec<_> = testbed.aws.calls(0).await?.into_iter().filter(|call| call.code.as_deref() == Some("AccessDenied")).collect();
    ensure!(refused.is_empty(), "{refused:#?}");
    Ok(())
}

/// The management role that bootstrap prints with these arguments for an example.
async fn put_limited_role(iam: &aws_sdk_iam::Client, account: &str, folder: &str, limits: &[&str]) -> Result<()> {
    let external_id = format!("rolebridge-{folder}-example");
    let own = ["--account-id", account, "--installation", INSTALLATION, "--external-id", &external_id];
    let printed = bootstrap(&[own.as_slice(), limits].concat()).await?;
    put_management_role(iam, [&printed["trustPolicy"], &printed["permissionsPolicy"]].map(Value::to_string)).await
}

/// The accounts of the examples, with what a person does once, and an operator.
struct Stage {
    world: Own,
    operator: Operator,
    utils: aws_sdk_iam::Client,
}

impl Stage {
    async fn set() -> Result<Self> {
        let world = World::own_with(TestbedOptions { controller_manager: true }).await?;
        let key = prepare(&world, in_the_example).await?;
        Self::with(world, &key).await
    }

    /// With an operator that has this key.
    async fn with(world: Own, key: &Credentials) -> Result<Self> {
        let operator = world.operator_as(key, "info")?;
        let utils = world.administrator_of(UTILS).await?;
        Ok(Self { world, operator, utils })
    }

    /// Applies an example and waits as its README says. What AWS had before is handed back.
    async fn apply(&self, folder: &str) -> Result<State> {
        let before = self.world.testbed.aws.state().await?;
        self.world.testbed.kubectl(&["apply", "--kustomize", &example(folder).to_string_lossy()]).await?;
        let wait = ["wait", "awsacct,buser,car", "--all", "--all-namespaces", "--for=condition=Ready", "--timeout=120s"];
        self.world.testbed.explain(self.world.testbed.kubectl(&wait).await).with_context(|| folder.to_owned())?;
        differs_in_nothing(&self.world, folder).await?;
        Ok(before)
    }

    /// Applies what an example shows as refused, and waits until each role says so with its reason and these words. Then deletes it.
    async fn apply_refused(&self, folder: &str, namespace: &str, expected: &[(&str, &str, &[&str])]) -> Result<State> {
        let testbed = &self.world.testbed;
        let file = example(folder).join("refused.yaml");
        testbed.kubectl(&["apply", "--filename", &file.to_string_lossy()]).await?;
        let roles: Api<CrossAccountRole> = Api::namespaced(testbed.control_plane.client().await?, namespace);
        for (name, reason, words) in expected {
            let is_told = || async {
                let ready = condition(&roles.get(name).await?, "Ready").cloned();
                let told = ready.as_ref().is_some_and(|ready| ready.reason == *reason && words.iter().all(|word| ready.message.contains(word)));
                Ok(Seen::from_option(told.then_some(()), || format!("{ready:?}")))
            };
            testbed.wait_for(&format!("{name} says {reason}"), is_told).await?;
        }
        // As docs/how-to/guardrails.md lists them.
        let columns = "NAMESPACE:.metadata.namespace,NAME:.metadata.name,MESSAGE:.status.conditions[?(@.type==\"Ready\")].message";
        let listed = testbed.kubectl(&["get", "buser,car", "--all-namespaces", "--output", &format!("custom-columns={columns}")]).await?;
        let listed = listed.lines().filter(|line| line.contains("guardrails.")).filter_map(|line| line.split_whitespace().nth(1));
        let of_guardrails =
            expected.iter().filter(|(_, reason, _)| ["GuardrailViolated", "TrustNotAllowed"].contains(reason)).map(|(name, ..)| *name);
        assert_eq!(listed.collect::<BTreeSet<_>>(), of_guardrails.collect::<BTreeSet<_>>());
        let aws = testbed.aws.state().await?;
        testbed.explain(testbed.kubectl(&["delete", "--timeout=170s", "--filename", &file.to_string_lossy()]).await)?;
        Ok(aws)
    }

    /// Deletes it, as its README says, and asserts that AWS is as it was.
    async fn delete(&self, folder: &str, before: State) -> Result<()> {
        let delete = self.world.testbed.kubectl(&["delete", "--timeout=170s", "--kustomize", &example(folder).to_string_lossy()]).await;
        self.world.testbed.explain(delete).with_context(|| folder.to_owned())?;
        assert_eq!(self.world.testbed.aws.state().await?, before, "{folder}");
        self.operator.ensure_running()
    }
}

#[tokio::test]
async fn what_the_examples_ask_of_a_user_is_needed_and_suffices() -> Result<()> {
    let stage = Stage::set().await?;
    let world = &stage.world;

    let before = stage.apply("mfa").await?;
    let key = new_key(&stage.utils, "random_user").await?;
    ensure!(!world.may_assume(&key, S3_LIST_ROLE).await?, "a key alone");
    let session = world.session_with_mfa(&stage.utils, "random_user", &key).await?;
    ensure!(world.may_assume(&session, S3_LIST_ROLE).await?, "with a second factor");
    stage.delete("mfa", before).await?;

    let before = stage.apply("external-id").await?;
    let key = new_key(&stage.utils, "random_user").await?;
    ensure!(!world.may_assume(&key, S3_LIST_ROLE).await?, "without the external ID");
    ensure!(world.assume(&key, S3_LIST_ROLE, |asking| asking.external_id("team-analytics-43")).await?.is_none(), "with another one");
    ensure!(world.assume(&key, S3_LIST_ROLE, |asking| asking.external_id("team-analytics-42")).await?.is_some(), "with the external ID");
    stage.delete("external-id", before).await?;

    let before = stage.apply("chaining").await?;
    let key = new_key(&stage.utils, "random_user").await?;
    ensure!(!world.may_assume(&key, S3_LIST_ROLE).await?, "not without the role in between");
    let operations = world.assume(&key, "arn:aws:iam::111111111111:role/operations", |asking| asking).await?.context("operations")?;
    ensure!(world.may_assume(&operations, S3_LIST_ROLE).await?, "the chain");
    let longer = world.assume(&operations, S3_LIST_ROLE, |asking| asking.duration_seconds(3601)).await;
    ensure!(longer.is_err_and(|error| format!("{error:?}").contains("DurationSeconds")), "one hour at most");
    stage.delete("chaining", before).await
}

#[tokio::test]
async fn whole_accounts_and_labels_let_in_whom_the_examples_say() -> Result<()> {
    let stage = Stage::set().await?;
    let world = &stage.world;

    // People of utils whom nobody manages here: one has the right, one has not.
    let auditor = "arn:aws:iam::222222222222:role/auditor";
    let right = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": auditor}});
    for name in ["with-right", "without"] {
        stage.utils.create_user().user_name(name).send().await?;
    }
    stage.utils.put_user_policy().user_name("with-right").policy_name("assume-auditor").policy_document(right.to_string()).send().await?;
    let (with_right, without) = (new_key(&stage.utils, "with-right").await?, new_key(&stage.utils, "without").await?);
    let before = stage.apply("whole-account").await?;
    ensure!(world.may_assume(&with_right, auditor).await? && !world.may_assume(&without, auditor).await?);
    stage.delete("whole-account", before).await?;

    let before = stage.apply("selector").await?;
    let analytics = "arn:aws:iam::222222222222:role/analytics";
    let (alice, bob) = (new_key(&stage.utils, "alice").await?, new_key(&stage.utils, "bob").await?);
    ensure!(world.may_assume(&alice, analytics).await? && !world.may_assume(&bob, analytics).await?);
    world.testbed.kubectl(&["label", "buser", "bob", "--namespace=classic", "team=analytics", "--overwrite"]).await?;
    let let_in = || async { Ok(Seen::from_option(world.may_assume(&bob, analytics).await?.then_some(()), || "bob is not let in".to_owned())) };
    world.testbed.wait_for("bob has joined the team", let_in).await?;
    stage.delete("selector", before).await
}

#[tokio::test]
async fn workloads_of_the_examples_need_no_key() -> Result<()> {
    let stage = Stage::set().await?;
    let (world, aws) = (&stage.world, &stage.world.testbed.aws);

    let before = stage.apply("service").await?;
    let on_behalf_of = |service: &str, account: &str| {
        let asked = ServiceAssumption::of(service, "arn:aws:iam::222222222222:role/nightly-report");
        ServiceAssumption { conditions: [("aws:SourceAccount".to_owned(), account.to_owned())].into(), ..asked }
    };
    ensure!(aws.assume_as_service(&on_behalf_of("scheduler.amazonaws.com", "222222222222")).await?.is_ok());
    ensure!(aws.assume_as_service(&on_behalf_of("scheduler.amazonaws.com", "333333333333")).await?.is_err(), "for another account");
    ensure!(aws.assume_as_service(&on_behalf_of("lambda.amazonaws.com", "222222222222")).await?.is_err(), "another service");
    stage.delete("service", before).await?;

    let before = stage.apply("hashed-config-map").await?;
    let lister = ServiceAssumption::of("lambda.amazonaws.com", "arn:aws:iam::222222222222:role/team-lister");
    let session = aws.assume_as_service(&lister).await?.ok().context("not for Lambda")?;
    world.aws(&session, &["s3api", "list-buckets"]).await?;
    stage.delete("hashed-config-map", before).await?;

    let (pipeline, deploy) = ("arn:aws:iam::111111111111:role/pipeline", "arn:aws:iam::222222222222:role/deploy");
    let cluster = "oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE";
    let github = "token.actions.githubusercontent.com";
    for (folder, provider, subject, others) in [
        (
            "pipeline-github",
            github,
            "repo:example@123456/app@456789:environment:production",
            ["repo:example@123456/app@456789:pull_request", "repo:example/app:pull_request", "repo:example@1/app@2:environment:production"],
        ),
        (
            "pipeline-service-account",
            cluster,
            "system:serviceaccount:build:deployer",
            ["system:serviceaccount:build:default", "system:serviceaccount:other:deployer", "system:serviceaccount:build:deployers"],
        ),
    ] {
        stage.utils.create_open_id_connect_provider().url(format!("https://{provider}")).client_id_list("sts.amazonaws.com").send().await?;
        let before = stage.apply(folder).await?;
        // What GitHub says of the repository beside its subject; clusters say nothing like it, and nobody asks them.
        let with_ids = |subject: &str| {
            let ids = [("repository_owner_id".to_owned(), json!("123456")), ("repository_id".to_owned(), json!("456789"))];
            WebIdentity { claims: ids.into_iter().collect(), ..WebIdentity::of(&format!("https://{provider}"), subject) }
        };
        let session = world.assume_by(&with_ids(subject), pipeline).await?.context(folder)?;
        ensure!(world.may_assume(&session, deploy).await?, "{folder}: the role in prod");
        for other in others {
            ensure!(world.assume_by(&with_ids(other), pipeline).await?.is_none(), "{folder}: {other}");
        }
        let past = world.assume_by(&with_ids(subject), deploy).await;
        ensure!(past.is_err_and(|error| format!("{error:?}").contains("InvalidIdentityToken")), "{folder}: prod knows no provider");
        stage.delete(folder, before).await?;
    }
    Ok(())
}

#[tokio::test]
async fn tenants_of_the_example_get_what_the_guardrails_of_their_account_leave_them() -> Result<()> {
    let stage = Stage::set().await?;
    let world = &stage.world;
    let teams = world.administrator_of(TEAMS).await?;
    let boundary = "arn:aws:iam::333333333333:policy/rolebridge-boundary";
    let limits = ["--operator-principal", OPERATOR_ARN, "--path-prefix", "/teams/", "--permissions-boundary", boundary];
    put_boundary(&teams, "multi-tenant", &limits).await?;
    put_limited_role(&teams, TEAMS, "multi-tenant", &limits).await?;
    let before = stage.apply("multi-tenant").await?;

    // What both teams have works, within the boundary.
    let (reports, importer) = ("arn:aws:iam::333333333333:role/teams/a/reports", "arn:aws:iam::333333333333:role/teams/b/importer");
    let alice = new_key(&teams, "alice").await?;
    ensure!(!world.may_assume(&alice, reports).await?, "a key alone");
    let alice = world.session_with_mfa(&teams, "alice", &alice).await?;
    ensure!(world.may_assume(&alice, reports).await? && !world.may_assume(&alice, importer).await?, "with a second factor");
    let for_lambda = ServiceAssumption::of("lambda.amazonaws.com", importer);
    let session = world.testbed.aws.assume_as_service(&for_lambda).await?.ok().context("not for Lambda")?;
    world.aws(&session, &["s3api", "list-buckets"]).await?;
    world.aws(&session, &["iam", "list-users"]).await?;
    world.aws_denies(&session, &["iam", "create-user", "--user-name=new"]).await?;
    let made = teams.get_role().role_name("importer").send().await?.role.context("no role")?;
    let bounds = made.permissions_boundary.as_ref().and_then(|bounds| bounds.permissions_boundary_arn());
    ensure!(bounds == Some(boundary), "{made:?}");
    ensure!(made.tags().iter().any(|tag| tag.key() == "cost-center" && tag.value() == "teams"), "{made:?}");

    // What is refused is not in AWS, and of two sources only the one that is allowed.
    let of_the_whole = [
        "guardrails.requiredPathPrefix",
        "guardrails.reservedNames",
        "guardrails.allowedTagKeys",
        "guardrails.maxSessionDuration",
        "guardrails.allowedPolicies",
    ];
    let expected: [(&str, &str, &[&str]); 4] = [
        ("administrator", "GuardrailViolated", &of_the_whole),
        ("worker", "TrustNotAllowed", &["ec2.amazonaws.com", "guardrails.allowedServices"]),
        ("console", "TrustNotAllowed", &["guardrails.requireMFA"]),
        ("borrowed", "SourceNotAllowed", &["allowRolesFrom"]),
    ];
    let aws = stage.apply_refused("multi-tenant", "team-b", &expected).await?;
    let teams_then = aws.accounts.get(TEAMS).context("no account")?;
    for unmade in ["rolebridge-administrator", "console", "borrowed"] {
        ensure!(role(teams_then, unmade).is_none(), "{unmade} was made");
    }
    let worker = role(teams_then, "worker").context("no worker")?.to_string();
    ensure!(worker.contains("lambda.amazonaws.com") && !worker.contains("ec2.amazonaws.com"), "{worker}");

    // A rule that comes later cuts off.
    let closed = r#"{"spec": {"guardrails": {"allowedServices": []}}}"#;
    world.testbed.kubectl(&["patch", "awsacct", "teams", "--type=merge", "--patch", closed]).await?;
    let is_shut_out = || async {
        let answer = world.testbed.aws.assume_as_service(&for_lambda).await?;
        Ok(Seen::from_option(answer.is_err().then_some(()), || "Lambda is let in".to_owned()))
    };
    world.testbed.wait_for("Lambda is shut out", is_shut_out).await?;
    stage.delete("multi-tenant", before).await
}

#[tokio::test]
async fn what_the_page_on_guardrails_sets_on_day_one_is_taken() -> Result<()> {
    let world = World::shared().await?;
    let page = fs::read_to_string(example("../docs/how-to/guardrails.md"))?;
    let fields = page.split("```yaml\n").nth(1).and_then(|block| block.split("```").next()).context("no YAML")?;
    let head = "apiVersion: rolebridge.io/v1alpha1\nkind: AWSAccount\nmetadata: {name: day-one}\n";
    let rest = "  accountID: '222222222222'\n  access: {ambient: {}}\n  allowedNamespaces: {from: All}\n";
    let file = world.testbed.dir().join("day-one.yaml");
    fs::write(&file, format!("{head}{fields}{rest}"))?;
    world.testbed.kubectl(&["apply", "--dry-run=server", "--filename", &file.to_string_lossy()]).await?;
    Ok(())
}

#[tokio::test]
async fn nobody_in_the_single_account_of_the_example_becomes_the_operator() -> Result<()> {
    let world = World::own_with(TestbedOptions { controller_manager: true }).await?;
    let single = world.administrator_of(UTILS).await?;
    let key = put_operator(&single).await?;
    let boundary = "arn:aws:iam::111111111111:policy/rolebridge-boundary";
    let limits = ["--operator-principal", "arn:aws:iam::111111111111:user/rolebridge-operator", "--permissions-boundary", boundary];
    put_boundary(&single, "single-account", &limits).await?;
    put_limited_role(&single, UTILS, "single-account", &limits).await?;
    let stage = Stage::with(world, &key).await?;
    let world = &stage.world;
    let before = stage.apply("single-account").await?;

    let (on_call, operations) = ("arn:aws:iam::111111111111:role/on-call", "arn:aws:iam::111111111111:role/operations");
    let alice = new_key(&single, "alice").await?;
    ensure!(!world.may_assume(&alice, operations).await?, "not without the role in between");
    let session = world.assume(&alice, on_call, |asking| asking).await?.context("on-call")?;
    let session = world.assume(&session, operations, |asking| asking).await?.context("operations")?;
    world.aws(&session, &["s3api", "list-buckets"]).await?;
    world.aws(&session, &["iam", "list-users"]).await?;
    for call in
        [["iam", "create-access-key", "--user-name=rolebridge-operator"], ["iam", "delete-role-permissions-boundary", "--role-name=operations"]]
    {
        world.aws_denies(&session, &call).await?;
    }

    let expected: [(&str, &str, &[&str]); 1] = [("unlimited", "GuardrailViolated", &["guardrails.permissionsBoundaryARN"])];
    let aws = stage.apply_refused("single-account", "single", &expected).await?;
    ensure!(role(aws.accounts.get(UTILS).context("no account")?, "unlimited").is_none(), "it was made");

    let unforced = r#"[{"op": "remove", "path": "/spec/guardrails"}]"#;
    world.testbed.kubectl(&["patch", "awsacct", "single", "--type=json", "--patch", unforced]).await?;
    let roles: Api<CrossAccountRole> = Api::namespaced(world.testbed.control_plane.client().await?, "single");
    let is_refused = || async {
        let now = [roles.get("on-call").await?, roles.get("operations").await?];
        let reasons = now.each_ref().map(|role| condition(role, "Ready").map(|ready| ready.reason.as_str()));
        Ok(Seen::from_option((reasons == [Some("Ready"), Some("BoundaryRequired")]).then_some(()), || format!("{reasons:?}")))
    };
    world.testbed.wait_for("permissions take a boundary at home", is_refused).await?;
    stage.delete("single-account", before).await
}
