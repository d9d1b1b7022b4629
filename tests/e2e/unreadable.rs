//! Values that the schema lets in and nobody can carry out, objects that the operator's types cannot decode, and documents in AWS that nobody can read: they are
//! told so, stop nobody else, lose what is withdrawn from them, and can be deleted.

use anyhow::{Context, Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use rolebridge::api::BastionUser;
use rolebridge_testbed::Seen;
use serde_json::{Value, json};

use crate::support::{Account, LIST, Tenant, World, assert_told, bastion_user, cross_account_role, manifest, role, trusted, user};

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
        ("{Bool: {'aws:SecureTransport': [true, []]}}", "conditions.Bool.aws:SecureTransport[1]: write a string, a number or a boolean"),
        (
            "{StringEquals: {'aws:PrincipalTag/team': ['012', 012]}}",
            "conditions.StringEquals.aws:PrincipalTag/team[1]: quote 10: StringEquals compares",
        ),
        ("{StringLike: {'aws:PrincipalTag/on-call': yes}}", "conditions.StringLike.aws:PrincipalTag/on-call: quote true, or what was written for it"),
        (
            "{StringEquals: {'aws:PrincipalTag/team': ['x', ~]}}",
            "conditions.StringEquals.aws:PrincipalTag/team[1]: write a string, a number or a boolean",
        ),
        ("{StringEqual: {'aws:PrincipalTag/team': x}}", "conditions.StringEqual: no condition operator of IAM; did you mean StringEquals?"),
        ("{DateLessThan: {'aws:CurrentTime': 2027}}", "conditions.DateLessThan.aws:CurrentTime: quote 2027"),
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

/// Conditions as people copy them from a policy, and an ID that is a number to YAML.
#[tokio::test]
async fn conditions_copied_from_a_policy_are_taken_and_an_id_without_quotes_is_told_at_once() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    let trusting = |name: &str, from: &str, conditions: &str| {
        let trust = format!("[{{from: [{from}], require: {{conditions: {conditions}}}}}]");
        manifest("CrossAccountRole", name, &format!("{{accountRef: {{name: {}}}, trust: {trust}}}", prod.name))
    };
    let copied = "{Bool: {'aws:SecureTransport': true}, NumericLessThanEquals: {'aws:MultiFactorAuthAge': 3600}}";
    let actions = "{githubActions: {repository: example/app, environment: production}}";
    let by_id = |id: &str| trusting("gh-by-id", actions, &format!("{{StringEquals: {{'token.actions.githubusercontent.com:repository_id': {id}}}}}"));
    let operator = bastion_user("night-operator", &utils, "");
    tenant.apply(&(operator + &trusting("night-shift", "{user: {name: night-operator}}", copied) + &by_id("456789"))).await?;
    tenant.ready(&tenant.roles(), "night-shift").await?;
    let night_shift = role(&tenant.state(&prod).await?, "night-shift").context("night-shift")?["assumeRolePolicyDocument"].to_string();
    ensure!(night_shift.contains(r#""aws:SecureTransport":"true""#) && night_shift.contains(r#""aws:MultiFactorAuthAge":"3600""#), "{night_shift}");

    let told =
        "spec.trust[0].require.conditions.StringEquals.token.actions.githubusercontent.com:repository_id: quote 456789: StringEquals compares text";
    let refused = tenant.concluded(&tenant.roles(), "gh-by-id", "InvalidSpec").await?;
    assert_told(&refused, "Stalled", &[told])?;
    let event = || async {
        let events = tenant.events().await?;
        let is_told = |event: &&Value| event["involvedObject"]["name"] == "gh-by-id" && event["message"].to_string().contains("quote 456789");
        Ok(Seen::from_option(events.iter().find(is_told).map(drop), || format!("{events:?}")))
    };
    world.testbed.wait_for("an Event tells it, too", event).await?;
    ensure!(role(&tenant.state(&prod).await?, "gh-by-id").is_none());
    tenant.apply(&by_id("'456789'")).await?;
    tenant.ready(&tenant.roles(), "gh-by-id").await.map(drop)
}

/// Somebody, or a fault, leaves texts in IAM that are no documents, which a sweep finds.
#[tokio::test]
async fn documents_in_aws_that_nobody_can_read_are_taken_for_any_and_replaced() -> Result<()> {
    let world = World::own().await?;
    let operator = world.operator()?;
    let tenant = world.tenant().await?;
    let utils = tenant.ready_account("utils", "").await?;
    let prod = tenant.ready_account("prod", "sweep: {interval: 10s}").await?;
    let fields = format!("permissions: {{inlinePolicies: [{{name: list, json: '{LIST}'}}]}}");
    tenant.apply(&(bastion_user("alice", &utils, "") + &bastion_user("bob", &utils, ""))).await?;
    tenant.apply(&cross_account_role("reader", &prod, "{user: {name: alice}}, {user: {name: bob}}", &fields)).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    for name in ["alice", "bob"] {
        tenant.ready(&tenant.users(), name).await?;
    }
    let trust =
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}});
    prod.iam.create_role().role_name("of-others").assume_role_policy_document(trust.to_string()).send().await?;
    let before = role(&tenant.state(&prod).await?, "reader").context("reader")?.clone();
    let (aws, junk) = (&world.testbed.aws, "no <JSON> & 100 %");
    for place in [json!({"roleName": "reader"}), json!({"roleName": "reader", "policyName": "list"}), json!({"roleName": "of-others"})] {
        aws.store_document(&prod.id, place, junk).await?;
    }
    for name in ["alice", "bob"] {
        aws.store_document(&utils.id, json!({"userName": name, "policyName": "of-others"}), junk).await?;
    }
    let healed = || async {
        let state = tenant.state(&prod).await?;
        let reader = role(&state, "reader").context("reader")?;
        Ok(Seen::from_option((*reader == before).then_some(()), || reader.to_string()))
    };
    world.testbed.wait_for("the role is as it was", healed).await?;
    let calls = world.calls_in(&prod, 0).await?;
    let writes: Vec<&str> =
        calls.iter().map(|call| call.operation.as_str()).filter(|name| name.starts_with("Update") || name.starts_with("Put")).collect();
    ensure!(writes.ends_with(&["UpdateAssumeRolePolicy", "PutRolePolicy"]), "whoever came in is out first: {writes:?}");
    let told = || async {
        let status = tenant.accounts().get(&prod.name).await?.status.context("no status")?;
        let is_told =
            |grant: &rolebridge::api::account::ShadowGrantStatus| grant.role_name == "of-others" && grant.principal.contains("perhaps anybody");
        Ok(Seen::from_option(status.shadow_grants.iter().find(|grant| is_told(grant)).map(drop), || format!("{status:?}")))
    };
    world.testbed.wait_for("the role of others is told of", told).await?;

    // What is withdrawn goes beside what cannot be read, and the users can be deleted.
    tenant.apply(&cross_account_role("reader", &prod, "{user: {name: alice}}", &fields)).await?;
    let withdrawn = || async {
        let bob = user(&tenant.state(&utils).await?, "bob").context("bob")?["inlinePolicies"].clone();
        Ok(Seen::from_option((bob == json!({"of-others": junk})).then_some(()), || bob.to_string()))
    };
    world.testbed.wait_for("bob has lost the right, and no more", withdrawn).await?;
    tenant.delete(&["bastionuser/alice", "bastionuser/bob", "crossaccountrole/reader"]).await?;
    let state = tenant.state(&utils).await?;
    ensure!(user(&state, "alice").is_none() && user(&state, "bob").is_none(), "{state:?}");
    operator.ensure_running()
}
