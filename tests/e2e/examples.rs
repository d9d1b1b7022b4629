//! The examples, applied as they are, with the permissions that their documentation has people set up.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use kube::Api;
use rolebridge::api::{BastionUser, CrossAccountRole};
use rolebridge_testbed::{Credentials, Seen};
use serde_json::Value;

use crate::support::{World, condition, management_role, new_key, role, trusted};

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
    management_role(account, "arn:aws:iam::111111111111:user/rolebridge-operator", "rolebridge-classic-example", None)
}

/// What a person does once: a management role in each account, and a user for the operator in utils.
async fn prepare(world: &World, management_role: ManagementRoleOf) -> Result<Credentials> {
    let utils = world.administrator_of("111111111111").await?;
    utils.create_user().user_name("rolebridge-operator").send().await?;
    let permissions = document("operator-permissions.json")?;
    utils.put_user_policy().user_name("rolebridge-operator").policy_name("assume-management-roles").policy_document(permissions).send().await?;
    for account in ["111111111111", "222222222222"] {
        let iam = world.administrator_of(account).await?;
        let [trust, permissions] = management_role(account)?;
        iam.create_role().role_name("rolebridge").assume_role_policy_document(trust).send().await?;
        iam.put_role_policy().role_name("rolebridge").policy_name("manage-iam").policy_document(permissions).send().await?;
    }
    new_key(&utils, "rolebridge-operator").await
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
        let key = new_key(&world.administrator_of("111111111111").await?, "random_user").await?;
        ensure!(world.may_assume(&key, "arn:aws:iam::222222222222:role/s3-list-role").await?, "{folder}");
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
