//! The operator ends when it is asked to, and a new one finds everything as it should be and keeps its hands off.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use rolebridge_testbed::Seen;

use crate::support::{Counts, LIST, World, bastion_user, config_map, cross_account_role};

/// Everything, and by name what the AWS SDK and its HTTP stack say with whole requests in them.
const EVERYTHING: &str = "trace,aws_config::sts=trace,aws_runtime::auth=trace,aws_sigv4::http_request=trace,aws_smithy_http_client::client=trace,\
                          aws_smithy_runtime::client=trace,hyper_util::client=trace";

#[tokio::test]
async fn a_restart_with_everything_in_place_writes_nothing() -> Result<()> {
    let world = World::own().await?;
    let first = world.operator_that_logs(EVERYTHING)?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    let permissions = format!(
        "tags: {{team: data}}, permissions: {{attachedPolicies: [ReadOnlyAccess], inlinePolicies: [{{name: inline, json: '{LIST}'}}], \
         customerManagedPolicies: [{{name: s3_list_all, configMapKeyRef: {{name: policies, key: list.json}}}}]}}"
    );
    let user = bastion_user("alice", &utils, "path: /people/, tags: {team: data}");
    let role = cross_account_role("reader", &prod, "{user: {name: alice}}", &permissions);
    tenant.apply(&format!("{}\n{user}{role}", config_map("policies", "list.json", LIST))).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    tenant.ready(&tenant.users(), "alice").await?;
    let ended = first.terminate().await?;
    assert_eq!(ended.code(), Some(0), "{ended}; {}", first.log());

    let state = world.testbed.aws.state().await?;
    let writes = tenant.operator_writes().await?;
    let since = world.last_call().await?;
    let second = world.operator_that_logs(EVERYTHING)?;
    world
        .testbed
        .wait_for("the new operator has swept both accounts, and read the role, whose policy has tags that no sweep shows", || async {
            second.ensure_running()?;
            let (_, reads) = world.counts_in(&[&utils, &prod], since).await?;
            let all = reads.get("GetAccountAuthorizationDetails") == Some(&2) && reads.contains_key("GetRole") && !reads.contains_key("GetUser");
            Ok(Seen::from_option(all.then_some(()), || format!("{reads:?}")))
        })
        .await?;
    // What comes of these readings is done before the operator ends.
    let ended = second.terminate().await?;
    assert_eq!(ended.code(), Some(0), "{ended}; {}", second.log());
    let (aws_writes, _) = world.counts_in(&[&utils, &prod], since).await?;
    assert_eq!(aws_writes, Counts::new());
    let (accounts, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
        tenant.operator_writes().await?.into_iter().partition(|(object, _)| object.starts_with("awsaccounts/"));
    let before: BTreeMap<_, _> = writes.iter().filter(|(object, _)| others.contains_key(*object)).map(|(o, w)| (o.clone(), w.clone())).collect();
    assert_eq!(others, before, "a steady system writes nothing to Kubernetes");
    for (object, now) in accounts {
        assert_eq!(now.len(), writes[&object].len() + 1, "{object}: the quotas that the first sweep has read are told once");
    }
    assert_eq!(world.testbed.aws.state().await?, state);

    // Everything was logged that there is to log, and no secret.
    for (log, what) in [(first.log(), "first"), (second.log(), "second")] {
        for secret in [world.operator_secret(), &utils.external_id, &prod.external_id] {
            ensure!(!log.contains(secret), "the log of the {what} operator holds a secret key or an external ID");
        }
    }
    let log = first.log();
    ensure!(log.contains(&tenant.namespace) && log.contains(&prod.name), "the log does not name the resource and its account:\n{log}");
    Ok(())
}
