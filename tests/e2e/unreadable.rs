//! Values that the schema lets in and nobody can carry out, and objects that the operator's types cannot decode: they are told so, stop nobody else, lose what is
//! withdrawn from them, and can be deleted.

use anyhow::{Context, Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use rolebridge::api::BastionUser;
use rolebridge_testbed::Seen;
use serde_json::{Value, json};

use crate::support::{Account, Tenant, World, bastion_user, cross_account_role, manifest, role, trusted, user};

/// The schema leaves no such object in, so it is widened here as a cluster with another version of the definitions would have it.
#[tokio::test]
async fn an_object_that_cannot_be_read_is_told_so_and_stops_nobody() -> Result<()> {
    let world = World::own().await?;
    let tenant = world.tenant().await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(tenant.client.clone());
    let tags = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/tags";
    let widened = json!([{"op": "replace", "path": tags, "value": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}]);
    definitions.patch("bastionusers.rolebridge.io", &PatchParams::default(), &Patch::<Value>::Json(serde_json::from_value(widened)?)).await?;
    let users: Api<DynamicObject> = Api::namespaced_with(tenant.client.clone(), &tenant.namespace, &ApiResource::erase::<BastionUser>(&()));
    let broken = json!({
        "apiVersion": "rolebridge.io/v1alpha1", "kind": "BastionUser", "metadata": {"name": "broken"},
        "spec": {"accountRef": {"name": tenant.unique("utils")}, "tags": {"team": 5}},
    });
    let posted = || async {
        Ok(match users.create(&PostParams::default(), &serde_json::from_value(broken.clone())?).await {
            Ok(_) => Seen::Done(()),
            Err(error) => Seen::NotYet(error.to_string()),
        })
    };
    world.testbed.wait_for("the widened schema is in force", posted).await?;

    let operator = world.operator()?;
    let utils = tenant.ready_account("utils", "").await?;
    tenant.apply(&bastion_user("alice", &utils, "")).await?;
    tenant.ready(&tenant.users(), "alice").await?;
    let told = async |name: &str| {
        let seen = || async {
            let conditions = users.get(name).await?.data["status"]["conditions"].clone();
            let stalled = conditions.as_array().into_iter().flatten().any(|c| {
                let message = c["message"].as_str().unwrap_or_default();
                c["type"] == "Stalled" && c["status"] == "True" && c["reason"] == "InvalidSpec" && message.contains("cannot be read")
            });
            Ok(if stalled { Seen::Done(()) } else { Seen::NotYet(conditions.to_string()) })
        };
        world.testbed.wait_for(&format!("{name} says that it cannot be read"), seen).await
    };
    told("broken").await?;
    let calls = world.calls_in(&utils, 0).await?;
    ensure!(calls.iter().all(|call| !call.parameters.values().any(|value| value.contains("broken"))), "{calls:#?}");

    // One that was fine, and is changed to something that cannot be read: it loses what is withdrawn from it, and can be deleted.
    let prod = tenant.ready_account("prod", "").await?;
    tenant.apply(&cross_account_role("reader", &prod, "{user: {name: alice}}", "")).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    users.patch("alice", &PatchParams::default(), &Patch::Merge(json!({"spec": {"tags": {"team": 5}}}))).await?;
    told("alice").await?;
    ensure!(user(&tenant.state(&utils).await?, "alice").context("alice")?.to_string().contains("role/reader"), "what it has stays");
    tenant.delete(&["crossaccountrole/reader"]).await?;
    let withdrawn = || async {
        let state = tenant.state(&utils).await?;
        let alice = user(&state, "alice").context("alice")?.to_string();
        Ok(if alice.contains("role/reader") { Seen::NotYet(alice) } else { Seen::Done(()) })
    };
    world.testbed.wait_for("alice loses the right to the role that is gone", withdrawn).await?;
    tenant.delete(&["bastionuser/alice"]).await?;
    ensure!(user(&tenant.state(&utils).await?, "alice").is_none());

    let corrected = json!({"spec": {"tags": {"team": "five"}}});
    users.patch("broken", &PatchParams::default(), &Patch::Merge(corrected)).await?;
    tenant.ready(&tenant.users(), "broken").await?;
    drop(operator);
    Ok(())
}

/// What is in AWS of the role `reader`, whom it lets in.
async fn let_in(tenant: &Tenant<'_>, prod: &Account) -> Result<Vec<String>> {
    Ok(trusted(role(&tenant.state(prod).await?, "reader").context("reader")?))
}

#[tokio::test]
async fn conditions_with_numbers_and_booleans_are_taken_as_iam_takes_them() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let utils = tenant.ready_account("utils", "").await?;
    let prod = tenant.ready_account("prod", "").await?;
    let reader = |from: &str, conditions: &str| {
        let trust = format!("trust: [{{from: [{from}], require: {{conditions: {conditions}}}}}]");
        manifest("CrossAccountRole", "reader", &format!("{{accountRef: {{name: {}}}, {trust}}}", prod.name))
    };
    let both = "{user: {name: alice}}, {user: {name: bob}}";
    tenant.apply(&(bastion_user("alice", &utils, "") + &bastion_user("bob", &utils, ""))).await?;
    tenant.apply(&reader(both, "{Bool: {'aws:SecureTransport': true}, NumericLessThanEquals: {'aws:MultiFactorAuthAge': [3600, 60]}}")).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    let trust = role(&tenant.state(&prod).await?, "reader").context("reader")?.to_string();
    ensure!(
        ["true", "3600", "60"].iter().all(|value| trust.contains(&format!("\\\"{value}\\\"")) || trust.contains(&format!("\"{value}\""))),
        "{trust}"
    );

    // What nobody can carry out is told with its place. Whom the same edit takes out goes all the same, and the others stay.
    for (wrong, told) in [
        ("{StringEquals: {'aws:PrincipalAccount': 456789}}", "conditions.StringEquals.aws:PrincipalAccount: quote 456789"),
        ("{NumericEquals: {'aws:MultiFactorAuthAge': 1.5}}", "quote 1.5: a fraction"),
        ("{Bool: {'aws:SecureTransport': {}}}", "write a string, a number or a boolean"),
        ("{Bool: {'aws:SecureTransport': [true, []]}}", "write a string, a number or a boolean"),
    ] {
        tenant.apply(&reader("{user: {name: alice}}", wrong)).await?;
        tenant.says(&tenant.roles(), "reader", &[told]).await?;
        tenant.concluded(&tenant.roles(), "reader", "InvalidSpec").await?;
    }
    let left = || async {
        let trusted = let_in(&tenant, &prod).await?;
        Ok(if trusted == [utils.arn("user/alice")] { Seen::Done(()) } else { Seen::NotYet(format!("{trusted:?}")) })
    };
    world.testbed.wait_for("alice alone is let in", left).await?;
    tenant.delete(&["crossaccountrole/reader"]).await?;
    ensure!(role(&tenant.state(&prod).await?, "reader").is_none());
    Ok(())
}
