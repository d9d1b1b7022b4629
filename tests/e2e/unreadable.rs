//! Objects that the API server has and the operator's types cannot decode: they are told so, and stop nobody else.

use anyhow::{Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use rolebridge::api::BastionUser;
use rolebridge_testbed::Seen;
use serde_json::{Value, json};

use crate::support::{World, bastion_user};

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
    let told = || async {
        let conditions = users.get("broken").await?.data["status"]["conditions"].clone();
        let stalled = conditions.as_array().into_iter().flatten().any(|c| {
            c["type"] == "Stalled"
                && c["status"] == "True"
                && c["reason"] == "InvalidSpec"
                && c["message"].as_str().is_some_and(|m| m.contains("cannot be read"))
        });
        Ok(if stalled { Seen::Done(()) } else { Seen::NotYet(conditions.to_string()) })
    };
    world.testbed.wait_for("the broken object says so", told).await?;
    let calls = world.calls_in(&utils, 0).await?;
    ensure!(calls.iter().all(|call| !call.parameters.values().any(|value| value.contains("broken"))), "{calls:#?}");

    let corrected = json!({"spec": {"tags": {"team": "five"}}});
    users.patch("broken", &PatchParams::default(), &Patch::Merge(corrected)).await?;
    tenant.ready(&tenant.users(), "broken").await?;
    drop(operator);
    Ok(())
}
