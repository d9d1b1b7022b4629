//! What users and roles may do beside assuming: their policies and groups. "Row" is a row of the table of bad inputs that the project keeps.

use anyhow::{Context, Result, ensure};
use rolebridge_testbed::{
    Seen,
    aws_sim::{Fault, FaultKind},
};
use serde_json::json;

use crate::support::{
    Account, Counts, LIST, READ, Tenant, World, assert_told, bastion_user, config_map, cross_account_role, new_key, once, role, trusted, user,
};

#[tokio::test]
async fn a_user_has_policies_of_its_own_that_follow_their_config_map_and_go_with_it() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    utils.iam.create_policy().policy_name("shared").policy_document(LIST).send().await?;
    let before = tenant.state(&utils).await?;
    let policies = format!(
        "permissions: {{attachedPolicies: [ReadOnlyAccess, '{}'], customerManagedPolicies: [{{name: reads, configMapKeyRef: {{name: policies, key: \
         reads.json}}}}], inlinePolicies: [{{name: lists, json: '{LIST}'}}]}}",
        utils.arn("policy/shared")
    );
    tenant.apply(&(bastion_user("alice", &utils, &policies) + &cross_account_role("reader", &prod, "{user: {name: alice}}", ""))).await?;
    tenant.concluded(&tenant.users(), "alice", "ConfigMapNotFound").await?;
    tenant.apply(&config_map("policies", "reads.json", LIST)).await?;
    let alice = tenant.ready(&tenant.users(), "alice").await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    let own = utils.arn("policy/reads");
    let told: Vec<String> = alice.status.iter().flat_map(|status| &status.policies).map(|policy| policy.arn.clone()).collect();
    assert_eq!(told, [own.as_str()]);
    let state = tenant.state(&utils).await?;
    let there = user(&state, "alice").context("no user")?;
    assert_eq!(there["attachedPolicies"], json!([own, utils.arn("policy/shared"), "arn:aws:iam::aws:policy/ReadOnlyAccess"]));
    let inline: Vec<&String> = there["inlinePolicies"].as_object().context("no inline policies")?.keys().collect();
    assert_eq!(inline, ["lists", "rolebridge-assume-roles"]);
    ensure!(world.may_assume(&new_key(&utils.iam, "alice").await?, &prod.arn("role/reader")).await?);

    let since = world.last_call().await?;
    tenant.apply(&config_map("policies", "reads.json", READ)).await?;
    world
        .testbed
        .wait_for("the user follows its ConfigMap", || async {
            let (writes, _) = world.counts_in(&[&utils], since).await?;
            Ok(Seen::from_option((writes == once(&["CreatePolicyVersion"])).then_some(()), || format!("{writes:?}")))
        })
        .await?;
    tenant.delete(&["bastionuser/alice"]).await?;
    assert_eq!(tenant.state(&utils).await?, before);
    Ok(())
}

const REVOKED: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*",
    "Condition": {"DateLessThan": {"aws:TokenIssueTime": "2026-01-01T00:00:00Z"}}}}"#;
const EVERYTHING: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

/// Puts an inline policy and an attached one on a role, and revokes its sessions as the console does.
async fn meddle(account: &Account, role: &str) -> Result<()> {
    account.iam.put_role_policy().role_name(role).policy_name("by-hand").policy_document(READ).send().await?;
    account.iam.put_role_policy().role_name(role).policy_name("AWSRevokeOlderSessions").policy_document(REVOKED).send().await?;
    account.iam.attach_role_policy().role_name(role).policy_arn(EVERYTHING).send().await?;
    Ok(())
}

#[tokio::test]
async fn statement_33_rows_45_and_46_what_others_put_on_is_removed_or_reported_and_revoked_sessions_stay_revoked() -> Result<()> {
    let world = World::own().await?;
    let operator = world.operator()?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let mode = |mode: &str| format!("permissions: {{unmanaged: {mode}, inlinePolicies: [{{name: own, json: '{LIST}'}}]}}");
    let (reporting, removing) = (mode("Report"), mode("Remove"));
    let users = bastion_user("alice", &prod, &reporting) + &bastion_user("bob", &prod, "");
    tenant.apply(&(users + &cross_account_role("reports", &prod, "", &reporting) + &cross_account_role("removes", &prod, "", &removing))).await?;
    for user in ["alice", "bob"] {
        tenant.ready(&tenant.users(), user).await?;
    }
    for role in ["reports", "removes"] {
        tenant.ready(&tenant.roles(), role).await?;
    }
    ensure!(operator.terminate().await?.success());
    for role in ["reports", "removes"] {
        meddle(&prod, role).await?;
    }
    for user in ["alice", "bob"] {
        prod.iam.attach_user_policy().user_name(user).policy_arn(EVERYTHING).send().await?;
    }

    let since = world.last_call().await?;
    let operator = world.operator()?;
    let listed = |wanted: Vec<String>| {
        let roles = tenant.roles();
        async move {
            let status = roles.get("reports").await?.status.context("no status")?;
            let is_listed = status.unmanaged_policies == wanted && usize::try_from(status.unmanaged_policies_total)? == wanted.len();
            Ok(Seen::from_option(is_listed.then_some(()), || format!("{:?}", status.unmanaged_policies)))
        }
    };
    world.testbed.wait_for("the role reports", || listed(vec!["by-hand".to_owned(), EVERYTHING.to_owned()])).await?;
    world
        .testbed
        .wait_for("the other role is tidied up", || async {
            let (writes, _) = world.counts_in(&[&prod], since).await?;
            Ok(Seen::from_option((writes == once(&["DetachRolePolicy", "DeleteRolePolicy"])).then_some(()), || format!("{writes:?}")))
        })
        .await?;
    let told = |status: Option<rolebridge::api::BastionUserStatus>| status.map(|status| status.unmanaged_policies).unwrap_or_default();
    world
        .testbed
        .wait_for("the user reports", || async {
            let listed = told(tenant.users().get("alice").await?.status);
            Ok(Seen::from_option((listed == [EVERYTHING]).then_some(()), || format!("{listed:?}")))
        })
        .await?;
    ensure!(told(tenant.users().get("bob").await?.status).is_empty(), "nobody asked what this user has");
    let state = tenant.state(&prod).await?;
    let inline = |name: &str| -> Result<Vec<String>> {
        let role = role(&state, name).context("no role")?;
        Ok(role["inlinePolicies"].as_object().context("no inline policies")?.keys().cloned().collect())
    };
    assert_eq!((inline("removes")?, inline("reports")?.len()), (vec!["AWSRevokeOlderSessions".to_owned(), "own".to_owned()], 3));

    let since = world.last_call().await?;
    tenant.apply(&cross_account_role("reports", &prod, "", &removing)).await?;
    world.testbed.wait_for("nothing is left to report", || listed(vec![])).await?;
    let (writes, _) = world.counts_in(&[&prod], since).await?;
    assert_eq!(writes, once(&["DetachRolePolicy", "DeleteRolePolicy"]));
    operator.ensure_running()
}

/// A policy of so many characters, as IAM counts them.
fn sized(characters: usize) -> String {
    let policy = |key: &str| json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{key}")}});
    let frame = policy("").to_string().len();
    policy(&"k".repeat(characters - frame)).to_string()
}

#[tokio::test]
async fn row_23_inline_policies_that_are_too_large_together_are_refused_and_none_is_written() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let sizes = |first: usize, second: usize| {
        let of = |name: &str, size: usize| format!("{{name: {name}, json: '{}'}}", sized(size));
        let policies = format!("permissions: {{inlinePolicies: [{}, {}]}}", of("first", first), of("second", second));
        cross_account_role("reader", &prod, "", &policies)
    };
    tenant.apply(&sizes(5000, 5241)).await?;
    let refused = tenant.concluded(&tenant.roles(), "reader", "QuotaExceeded").await?;
    assert_told(&refused, "Stalled", &["10241", "10240", "first 5000", "second 5241"])?;
    let (writes, _) = world.counts_in(&[&prod], 0).await?;
    assert_eq!(writes, Counts::new());

    tenant.apply(&sizes(5000, 5240)).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    let before = tenant.state(&prod).await?;
    tenant.apply(&sizes(300, 9941)).await?;
    tenant.concluded(&tenant.roles(), "reader", "QuotaExceeded").await?;
    assert_eq!(tenant.state(&prod).await?, before, "nothing partial");
    tenant.apply(&sizes(300, 9940)).await?;
    tenant.ready(&tenant.roles(), "reader").await.map(drop)
}

#[tokio::test]
async fn row_24_an_eleventh_attachment_is_refused_before_anything_is_detached() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.account("prod").await?;
    world.testbed.aws.set_quotas(&prod.id, &[("AttachedPoliciesPerRoleQuota", 10)]).await?;
    tenant.apply(&prod.manifest(&tenant.only_here(), "")).await?;
    tenant.ready(&tenant.accounts(), &prod.name).await?;
    for number in 0..22 {
        prod.iam.create_policy().policy_name(format!("policy-{number:02}")).policy_document(LIST).send().await?;
    }
    let role_with = |numbers: std::ops::Range<usize>, sources: &str| {
        let arns: Vec<String> = numbers.map(|number| format!("'{}'", prod.arn(&format!("policy/policy-{number:02}")))).collect();
        cross_account_role("reader", &prod, sources, &format!("permissions: {{attachedPolicies: [{}]}}", arns.join(", ")))
    };
    tenant.apply(&(bastion_user("alice", &prod, "") + &role_with(0..10, "{user: {name: alice}}"))).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    let attached = async || anyhow::Ok(role(&tenant.state(&prod).await?, "reader").context("no role")?["attachedPolicies"].clone());
    let before = attached().await?;
    tenant.apply(&role_with(11..22, "")).await?;
    let refused = tenant.concluded(&tenant.roles(), "reader", "QuotaExceeded").await?;
    assert_told(&refused, "Stalled", &["11 attached policies", "lets it have 10"])?;
    assert_eq!(attached().await?, before);
    // Who is taken out of the trust in the same edit is shut out all the same, and the status tells so.
    let trusted = trusted(role(&tenant.state(&prod).await?, "reader").context("no role")?);
    ensure!(!trusted.contains(&prod.arn("user/alice")), "{trusted:?}");
    let status = refused.status.context("no status")?;
    ensure!(status.grants.is_empty() && status.trust.is_some_and(|trust| trust.principals == 0), "{:?}", status.grants);

    // Ten fit, and are exchanged one for one: three are in both and stay.
    let since = world.last_call().await?;
    tenant.apply(&role_with(7..17, "")).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    let calls = world.calls_in(&prod, since).await?;
    let done: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).filter(|operation| operation.ends_with("RolePolicy")).collect();
    assert_eq!(done, ["DetachRolePolicy", "AttachRolePolicy"].repeat(7));
    Ok(())
}

/// The groups that a user of this account is in.
async fn groups_of(tenant: &Tenant<'_>, account: &Account, name: &str) -> Result<serde_json::Value> {
    Ok(user(&tenant.state(account).await?, name).context("no user")?["groups"].clone())
}

#[tokio::test]
async fn a_user_is_in_the_groups_that_it_declares_and_its_account_allows() -> Result<()> {
    let world = World::own().await?;
    let operator = world.operator()?;
    let tenant = world.tenant().await?;
    let utils = tenant.ready_account("utils", "").await?;
    for group in ["staff", "team-data"] {
        utils.iam.create_group().group_name(group).send().await?;
    }
    let alice = |groups: &str| bastion_user("alice", &utils, &format!("groups: [{groups}]"));
    tenant.apply(&alice("staff, team-later")).await?;
    let refused = tenant.concluded(&tenant.users(), "alice", "GroupNotAllowed").await?;
    assert_told(&refused, "Stalled", &["staff", "team-later", "allowedGroups"])?;
    assert_eq!(world.counts_in(&[&utils], 0).await?, (once(&["CreateUser"]), Counts::new()));
    tenant.apply(&bastion_user("bob", &utils, "")).await?;

    // A group that does not exist is missed until it does.
    tenant.apply(&utils.manifest(&tenant.only_here(), "guardrails: {allowedGroups: [staff, 'team-*']}")).await?;
    let missing = tenant.concluded(&tenant.users(), "alice", "GroupNotFound").await?;
    assert_told(&missing, "Stalled", &["team-later"])?;
    utils.iam.create_group().group_name("team-later").send().await?;
    tenant.ready(&tenant.users(), "alice").await?;
    tenant.ready(&tenant.users(), "bob").await?;
    assert_eq!(groups_of(&tenant, &utils, "alice").await?, json!(["staff", "team-later"]));

    // What others change while nobody watches is found in bulk; bob's groups are nobody's business.
    ensure!(operator.terminate().await?.success());
    utils.iam.remove_user_from_group().user_name("alice").group_name("team-later").send().await?;
    for user in ["alice", "bob"] {
        utils.iam.add_user_to_group().user_name(user).group_name("team-data").send().await?;
    }
    let since = world.last_call().await?;
    let operator = world.operator()?;
    world
        .testbed
        .wait_for("the groups are as declared again", || async {
            let groups = groups_of(&tenant, &utils, "alice").await?;
            Ok(Seen::from_option((groups == json!(["staff", "team-later"])).then_some(()), || groups.to_string()))
        })
        .await?;
    tenant.quiet(std::time::Duration::from_secs(1)).await?;
    let (writes, reads) = world.counts_in(&[&utils], since).await?;
    assert_eq!(writes, once(&["AddUserToGroup", "RemoveUserFromGroup"]));
    assert_eq!((reads.get("GetUser"), reads.get("ListGroupsForUser")), (Some(&1), Some(&1)), "{reads:?}");
    assert_eq!(groups_of(&tenant, &utils, "bob").await?, json!(["team-data"]));

    // What is not allowed any more is not taken away by that.
    tenant.apply(&utils.manifest(&tenant.only_here(), "guardrails: {allowedGroups: ['team-*']}")).await?;
    tenant.concluded(&tenant.users(), "alice", "GroupNotAllowed").await?;
    assert_eq!(groups_of(&tenant, &utils, "alice").await?, json!(["staff", "team-later"]));
    tenant.apply(&alice("team-data")).await?;
    tenant.ready(&tenant.users(), "alice").await?;
    assert_eq!(groups_of(&tenant, &utils, "alice").await?, json!(["team-data"]));
    operator.ensure_running()
}

#[tokio::test]
async fn row_25_a_policy_that_does_not_exist_is_missed_until_it_does() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let later = prod.arn("policy/later");
    let policies = format!("permissions: {{attachedPolicies: [job-function/ViewOnlyAccess, 'arn:aws:iam::aws:policy/ReadOnlyAccess', '{later}']}}");
    tenant.apply(&(bastion_user("alice", &prod, &policies) + &cross_account_role("reader", &prod, "", &policies))).await?;
    assert_told(&tenant.concluded(&tenant.users(), "alice", "PolicyNotFound").await?, "Stalled", &[&later])?;
    assert_told(&tenant.concluded(&tenant.roles(), "reader", "PolicyNotFound").await?, "Stalled", &[&later])?;
    prod.iam.create_policy().policy_name("later").policy_document(LIST).send().await?;
    tenant.ready(&tenant.users(), "alice").await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    let state = tenant.state(&prod).await?;
    let attached = json!([later, "arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws:iam::aws:policy/job-function/ViewOnlyAccess"]);
    assert_eq!(user(&state, "alice").context("no user")?["attachedPolicies"], attached);
    assert_eq!(role(&state, "reader").context("no role")?["attachedPolicies"], attached);

    // What it was to take the place of stays for so long, and is named.
    let never = prod.arn("policy/never");
    tenant.apply(&cross_account_role("reader", &prod, "", &format!("permissions: {{attachedPolicies: ['{never}']}}"))).await?;
    let told = tenant.concluded(&tenant.roles(), "reader", "PolicyNotFound").await?;
    assert_told(&told, "Stalled", &[&never, "Held up by this: ", &format!("detach {later} from role reader"), "ReadOnlyAccess"])?;
    Ok(())
}

#[tokio::test]
async fn rows_25_and_26_policies_from_elsewhere_are_refused_from_their_arns_and_nothing_is_made() -> Result<()> {
    const BASIC: &str = "AWSLambdaBasicExecutionRole";
    const GOVCLOUD: &str = "arn:aws-us-gov:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole";
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (prod, other) = (tenant.ready_account("prod", "").await?, tenant.account("other").await?);
    let (lambda, shared) = ("{service: lambda.amazonaws.com}", other.arn("policy/shared-logs"));
    other.iam.create_policy().policy_name("shared-logs").policy_document(LIST).send().await?;
    let attaching = |policy: &str| format!("permissions: {{attachedPolicies: ['{policy}']}}");
    let role_with = |name: &str, policy: &str| cross_account_role(name, &prod, lambda, &attaching(policy));
    let bounded = format!("permissionsBoundaryARN: '{}', {}", other.arn("policy/boundary"), attaching(&shared));
    let before = world.last_call().await?;
    tenant
        .apply(
            &(role_with("of-govcloud", GOVCLOUD)
                + &cross_account_role("of-another-account", &prod, lambda, &bounded)
                + &bastion_user("alice", &prod, &bounded)),
        )
        .await?;
    let here = GOVCLOUD.replace("aws-us-gov", "aws");
    let of_govcloud = tenant.concluded(&tenant.roles(), "of-govcloud", "PolicyNotAttachable").await?;
    assert_told(&of_govcloud, "Stalled", &["spec.permissions.attachedPolicies", GOVCLOUD, "wrong partition", &here, ", or service-role/"])?;
    let (policy, boundary) = (prod.arn("policy/shared-logs"), prod.arn("policy/boundary"));
    let advice = [
        "spec.permissionsBoundaryARN",
        "spec.permissions.attachedPolicies",
        "wrong account",
        &policy,
        &boundary,
        "spec.permissions.customerManagedPolicies",
    ];
    assert_told(&tenant.concluded(&tenant.roles(), "of-another-account", "PolicyNotAttachable").await?, "Stalled", &advice)?;
    assert_told(&tenant.concluded(&tenant.users(), "alice", "PolicyNotAttachable").await?, "Stalled", &advice)?;
    assert_eq!(world.counts_in(&[&prod], before).await?.0, Counts::new(), "nothing is made");

    // What IAM has in a folder is told once IAM does not know it without, and is a matter of seconds from there.
    tenant.apply(&role_with("without-folder", BASIC)).await?;
    let missing = tenant.concluded(&tenant.roles(), "without-folder", "PolicyNotFound").await?;
    assert_told(&missing, "Stalled", &["spec.permissions.attachedPolicies", BASIC, &format!("write service-role/{BASIC}"), "iam:AttachRolePolicy"])?;
    tenant.apply(&role_with("without-folder", &format!("service-role/{BASIC}"))).await?;
    tenant.ready(&tenant.roles(), "without-folder").await?;
    tenant.apply(&role_with("slip", "ReadOnlyAcces")).await?;
    assert_told(&tenant.concluded(&tenant.roles(), "slip", "PolicyNotFound").await?, "Stalled", &["ReadOnlyAcces ", "did you mean ReadOnlyAccess?"])?;
    let unknown = prod.arn("policy/nope");
    tenant.apply(&cross_account_role("unbounded", &prod, lambda, &format!("permissionsBoundaryARN: '{unknown}'"))).await?;
    let told = tenant.concluded(&tenant.roles(), "unbounded", "PolicyNotFound").await?;
    assert_told(&told, "Stalled", &[&format!("spec.permissionsBoundaryARN: {unknown} does not exist"), "create that policy in account"])?;

    // A role that was right before keeps what it has, and lets go of whom it does not name any more.
    let both =
        cross_account_role("without-folder", &prod, "{service: lambda.amazonaws.com}, {service: ec2.amazonaws.com}", &attaching("ReadOnlyAccess"));
    tenant.apply(&both).await?;
    tenant.ready(&tenant.roles(), "without-folder").await?;
    tenant.apply(&role_with("without-folder", &shared)).await?;
    tenant.concluded(&tenant.roles(), "without-folder", "PolicyNotAttachable").await?;
    let there = world
        .testbed
        .wait_for("who is withdrawn is let go", || async {
            let found = role(&tenant.state(&prod).await?, "without-folder").context("no role")?.clone();
            let is_left_out = !found["assumeRolePolicyDocument"].to_string().contains("ec2.amazonaws.com");
            Ok(Seen::from_option(is_left_out.then_some(found.clone()), || found.to_string()))
        })
        .await?;
    assert_eq!(there["attachedPolicies"], json!(["arn:aws:iam::aws:policy/ReadOnlyAccess"]));
    ensure!(there["assumeRolePolicyDocument"].to_string().contains("lambda.amazonaws.com"));
    let state = tenant.state(&prod).await?;
    for name in ["of-govcloud", "of-another-account", "unbounded"] {
        ensure!(role(&state, name).is_none(), "{name} was made");
    }
    Ok(())
}

#[tokio::test]
async fn what_aws_refuses_is_told_with_the_policy_that_it_is_about() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let inline = format!("permissions: {{inlinePolicies: [{{name: first, json: '{LIST}'}}, {{name: second, json: '{READ}'}}]}}");
    let managed = format!("permissions: {{customerManagedPolicies: [{{name: own, json: '{LIST}'}}]}}");
    for (operation, code, name, permissions, reason, words) in [
        (
            "PutRolePolicy",
            "MalformedPolicyDocument",
            "inline",
            &inline,
            "InvalidDocument",
            "spec.permissions.inlinePolicies[first]: iam:PutRolePolicy",
        ),
        ("CreatePolicy", "LimitExceeded", "managed", &managed, "QuotaExceeded", "spec.permissions.customerManagedPolicies[own]: iam:CreatePolicy"),
    ] {
        let fault = world.testbed.aws.inject(&Fault::error(operation, code, 400).in_account(&prod.id).times(1_000)).await?;
        tenant.apply(&cross_account_role(name, &prod, "{service: lambda.amazonaws.com}", permissions)).await?;
        assert_told(&tenant.concluded(&tenant.roles(), name, reason).await?, "Stalled", &[words, code])?;
        world.testbed.aws.remove_fault(fault).await?;
    }
    Ok(())
}

#[tokio::test]
async fn row_26_a_policy_of_a_service_of_aws_is_refused_before_anything_is_made() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let by_name = "permissions: {attachedPolicies: [aws-service-role/AmazonECSServiceRolePolicy]}";
    let by_arn = "permissions: {attachedPolicies: ['arn:aws:iam::aws:policy/aws-service-role/AmazonECSServiceRolePolicy']}";
    tenant.apply(&(bastion_user("alice", &prod, by_name) + &cross_account_role("reader", &prod, "", by_arn))).await?;
    let advice = ["AmazonECSServiceRolePolicy", "take it out"];
    assert_told(&tenant.concluded(&tenant.users(), "alice", "PolicyNotAttachable").await?, "Stalled", &advice)?;
    assert_told(&tenant.concluded(&tenant.roles(), "reader", "PolicyNotAttachable").await?, "Stalled", &advice)?;
    let (writes, _) = world.counts_in(&[&prod], 0).await?;
    assert_eq!(writes, Counts::new());
    Ok(())
}

#[tokio::test]
async fn statement_17_row_53_the_newest_version_is_the_default_wherever_the_operator_dies_while_there_are_five() -> Result<()> {
    let world = World::own().await?;
    let mut operator = world.operator()?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let with = |number: usize| {
        let policy = LIST.replace("s3:ListAllMyBuckets", &format!("s3:Get{number}"));
        cross_account_role("reader", &prod, "", &format!("permissions: {{customerManagedPolicies: [{{name: own, json: '{policy}'}}]}}"))
    };
    for number in 0..5 {
        tenant.apply(&with(number)).await?;
        tenant.ready(&tenant.roles(), "reader").await?;
    }
    let hold = |operation: &str| Fault::of(FaultKind::Hold, operation).in_account(&prod.id);
    let points = [hold("DeletePolicyVersion"), hold("DeletePolicyVersion").after(), hold("CreatePolicyVersion"), hold("CreatePolicyVersion").after()];
    for (number, point) in (5..).zip(points) {
        let fault = world.testbed.aws.inject(&point).await?;
        tenant.apply(&with(number)).await?;
        let held = || async {
            let hits = world.testbed.aws.faults().await?.iter().find(|status| status.id == fault).map_or(0, |status| status.hits);
            Ok(Seen::from_option((hits > 0).then_some(()), || "nothing is held yet".to_owned()))
        };
        world.testbed.wait_for("the call is held", held).await?;
        operator.kill();
        world.testbed.aws.clear_faults().await?;
        operator = world.operator()?;
        tenant.ready(&tenant.roles(), "reader").await?;
        let state = tenant.state(&prod).await?;
        let policy = state.policies.iter().find(|policy| policy["policyName"] == "own").context("no policy")?;
        let versions = policy["versions"].as_object().context("no versions")?;
        let default = policy["defaultVersionID"].as_str().context("no default")?;
        ensure!(versions[default].to_string().contains(&format!("s3:Get{number}")), "{policy}");
        let newest = versions.keys().max_by_key(|id| id[1..].parse::<u32>().unwrap_or_default());
        ensure!(newest.map(String::as_str) == Some(default) && versions.len() <= 5, "{policy}");
    }
    operator.ensure_running()
}
