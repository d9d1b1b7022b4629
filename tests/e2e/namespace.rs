//! A namespace that is deleted takes with it what it has in AWS. Nothing new can be made in it meanwhile, Events included.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use rolebridge_testbed::{Seen, TestbedOptions, wait_for_absence};

use crate::support::{LIST, World, assert_told, bastion_user, config_map, cross_account_role, new_key, role};

#[tokio::test]
async fn a_namespace_goes_with_what_it_has_in_aws_though_it_takes_no_events() -> Result<()> {
    let world = World::own_with(TestbedOptions { controller_manager: true }).await?;
    let operator = world.operator()?;
    let (tenant, others) = (world.tenant().await?, world.tenant().await?);
    let (utils, prod) = (tenant.account("utils").await?, tenant.account("prod").await?);
    let both = format!("{{from: Names, names: [{}, {}]}}", tenant.namespace, others.namespace);
    tenant.apply(&(utils.manifest(&both, "") + &prod.manifest(&both, ""))).await?;
    // What another namespace has in the same accounts stays, and so does what a person has made.
    others.apply(&(bastion_user("bob", &utils, "") + &cross_account_role("writer", &prod, "{user: {name: bob}}", ""))).await?;
    others.ready(&others.roles(), "writer").await?;
    let trust =
        r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}}"#;
    prod.iam.create_role().role_name("foreign").assume_role_policy_document(trust).send().await?;
    others.ready(&others.users(), "bob").await?;
    let before = (tenant.state(&utils).await?, tenant.state(&prod).await?);

    let permissions = "permissions: {customerManagedPolicies: [{name: list, configMapKeyRef: {name: policies, key: list.json}}]}";
    let objects = bastion_user("alice", &utils, "") + &cross_account_role("reader", &prod, "{user: {name: alice}}", permissions);
    tenant.apply(&format!("{}\n{objects}", config_map("policies", "list.json", LIST))).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    tenant.ready(&tenant.users(), "alice").await?;
    new_key(&utils.iam, "alice").await?;
    // Somebody uses the policy elsewhere: IAM does not delete it, which is worth an Event, which the namespace refuses.
    let policy = prod.arn("policy/list");
    prod.iam.attach_role_policy().role_name("foreign").policy_arn(&policy).send().await?;

    world.testbed.kubectl(&["delete", "namespace", "--wait=false", &tenant.namespace]).await?;
    let blocked = tenant.concluded(&tenant.roles(), "reader", "DeletionBlocked").await?;
    assert_told(&blocked, "Stalled", &["policy/list"])?;
    let refused = || async {
        let writes = tenant.operator_writes().await?;
        let events: Vec<u16> = writes.values().flatten().filter(|write| write.resource == "events").map(|write| write.code).collect();
        Ok(Seen::from_option(events.contains(&403).then_some(()), || format!("Events in the namespace: {events:?}")))
    };
    world.testbed.wait_for("an Event is refused", refused).await?;
    wait_for_absence(&tenant.users(), "alice").await?;
    ensure!(tenant.state(&utils).await? == before.0, "the user has left something behind");
    ensure!(
        role(&tenant.state(&prod).await?, "foreign").is_some_and(|role| role.to_string().contains(&policy)),
        "the policy was taken from a foreign role"
    );

    prod.iam.detach_role_policy().role_name("foreign").policy_arn(&policy).send().await?;
    wait_for_absence(&Api::<Namespace>::all(tenant.client.clone()), &tenant.namespace).await?;
    assert_eq!((tenant.state(&utils).await?, tenant.state(&prod).await?), before);
    operator.ensure_running()
}
