//! The examples, applied as they are, with the permissions that their documentation has people set up.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use kube::Api;
use rolebridge::api::{BastionUser, CrossAccountRole};
use rolebridge_testbed::{Credentials, Operator, Seen, TestbedOptions, aws_sim::ServiceAssumption, aws_sim::State};
use serde_json::{Value, json};

use crate::support::{Own, World, condition, management_role, new_key, role, trusted};

/// The account of the operator.
const OPERATOR: &str = "444444444444";
const UTILS: &str = "111111111111";
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
    management_role(account, "arn:aws:iam::444444444444:user/rolebridge-operator", "rolebridge-classic-example", None)
}

/// What a person does once: a management role in each account, and a user for the operator in an account of its own.
async fn prepare(world: &World, management_role: ManagementRoleOf) -> Result<Credentials> {
    let operator = world.administrator_of(OPERATOR).await?;
    operator.create_user().user_name("rolebridge-operator").send().await?;
    let permissions = document("operator-permissions.json")?;
    operator.put_user_policy().user_name("rolebridge-operator").policy_name("assume-management-roles").policy_document(permissions).send().await?;
    for account in [UTILS, "222222222222"] {
        let iam = world.administrator_of(account).await?;
        let [trust, permissions] = management_role(account)?;
        iam.create_role().role_name("rolebridge").assume_role_policy_document(trust).send().await?;
        iam.put_role_policy().role_name("rolebridge").policy_name("manage-iam").policy_document(permissions).send().await?;
    }
    new_key(&operator, "rolebridge-operator").await
}

#[tokio::test]
async fn the_classic_recipe_and_its_variant_work_with_the_permissions_that_they_document() -> Result<()> {
    recipe_and_variant(in_the_example).await
}

#[tokio::test]
async fn the_classic_recipe_and_its_variant_work_with_the_management_role_of_bootstrap() -> Result<()> {
    recipe_and_variant(from_bootstrap).await
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

/// The accounts of the examples, with what a person does once, and an operator.
struct Stage {
    world: Own,
    operator: Operator,
    utils: aws_sdk_iam::Client,
}

impl Stage {
    async fn set() -> Result<Self> {
        let world = World::own_with(TestbedOptions { controller_manager: true }).await?;
        let operator = world.operator_as(&prepare(&world, in_the_example).await?, "info")?;
        let utils = world.administrator_of(UTILS).await?;
        Ok(Self { world, operator, utils })
    }

    /// Applies an example and waits as its README says. What AWS had before is handed back.
    async fn apply(&self, folder: &str) -> Result<State> {
        let before = self.world.testbed.aws.state().await?;
        self.world.testbed.kubectl(&["apply", "--kustomize", &example(folder).to_string_lossy()]).await?;
        let wait = ["wait", "awsacct,buser,car", "--all", "--all-namespaces", "--for=condition=Ready", "--timeout=120s"];
        self.world.testbed.explain(self.world.testbed.kubectl(&wait).await).with_context(|| folder.to_owned())?;
        Ok(before)
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

    let (pipeline, deploy) = ("arn:aws:iam::111111111111:role/pipeline", "arn:aws:iam::222222222222:role/deploy");
    let cluster = "oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE";
    let github = "token.actions.githubusercontent.com";
    for (folder, provider, subject, others) in [
        (
            "pipeline-github",
            github,
            "repo:example/app:environment:production",
            ["repo:example/app:pull_request", "repo:example/other:environment:production"],
        ),
        (
            "pipeline-service-account",
            cluster,
            "system:serviceaccount:build:deployer",
            ["system:serviceaccount:build:default", "system:serviceaccount:other:deployer"],
        ),
    ] {
        stage.utils.create_open_id_connect_provider().url(format!("https://{provider}")).client_id_list("sts.amazonaws.com").send().await?;
        let before = stage.apply(folder).await?;
        let session = world.assume_by_token(provider, subject, pipeline).await?.context(folder)?;
        ensure!(world.may_assume(&session, deploy).await?, "{folder}: the role in prod");
        for other in others {
            ensure!(world.assume_by_token(provider, other, pipeline).await?.is_none(), "{folder}: {other}");
        }
        let past = world.assume_by_token(provider, subject, deploy).await;
        ensure!(past.is_err_and(|error| format!("{error:?}").contains("InvalidIdentityToken")), "{folder}: prod knows no provider");
        stage.delete(folder, before).await?;
    }
    Ok(())
}
