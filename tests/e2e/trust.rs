//! Trust in all its forms, proven by assuming the roles.

use anyhow::{Context, Result, ensure};
use aws_sdk_sts::operation::assume_role::builders::AssumeRoleFluentBuilder as Asking;
use rolebridge::api::role::GrantState;
use rolebridge_testbed::aws_sim::{ServiceAssumption, WebIdentity};
use rolebridge_testbed::{Credentials, Seen};
use serde_json::json;

use crate::support::{Account, LIST, Tenant, assert_told, bastion_user, config_map, cross_account_role, manifest, new_key, role, trusted, user};

/// A BastionUser with a label.
fn labelled(name: &str, account: &Account, team: &str) -> String {
    bastion_user(name, account, "").replacen(&format!("name: {name}"), &format!("name: {name}, labels: {{team: {team}}}"), 1)
}

/// A CrossAccountRole whose trust is written out.
fn role_trusting(name: &str, account: &Account, trust: &str, fields: &str) -> String {
    manifest("CrossAccountRole", name, &format!("{{accountRef: {{name: {}}}, trust: {trust}{fields}}}", account.name))
}

async fn eventually(tenant: &Tenant<'_>, credentials: &Credentials, arn: &str, may: bool) -> Result<()> {
    let what = if may { "the role can be assumed" } else { "the role cannot be assumed any more" };
    tenant
        .world
        .testbed
        .wait_for(what, || async {
            let now = tenant.world.may_assume(credentials, arn).await?;
            Ok(if now == may { Seen::Done(()) } else { Seen::NotYet(arn.to_owned()) })
        })
        .await
}

#[tokio::test]
async fn users_are_trusted_by_their_labels_as_these_come_and_go() -> Result<()> {
    let tenant = crate::support::World::with_operator().await?.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    let trust = "[{from: [{users: {selector: {matchLabels: {team: data}}}}]}]";
    tenant.apply(&(labelled("alice", &utils, "data") + &labelled("bob", &utils, "web") + &role_trusting("reader", &prod, trust, ""))).await?;
    tenant.ready(&tenant.users(), "alice").await?;
    let ready = tenant.ready(&tenant.roles(), "reader").await?;
    ensure!(ready.status.is_some_and(|status| status.grants_total == 1), "bob is not selected");
    let (alice, bob) = (new_key(&utils.iam, "alice").await?, new_key(&utils.iam, "bob").await?);
    let reader = prod.arn("role/reader");
    ensure!(tenant.world.may_assume(&alice, &reader).await? && !tenant.world.may_assume(&bob, &reader).await?);
    // The labels alone decide, without a change of the role.
    tenant.apply(&(labelled("alice", &utils, "web") + &labelled("bob", &utils, "data"))).await?;
    eventually(&tenant, &bob, &reader, true).await?;
    eventually(&tenant, &alice, &reader, false).await?;
    let rights = |name: &'static str| {
        let (tenant, utils) = (&tenant, &utils);
        async move { Ok::<_, anyhow::Error>(user(&tenant.state(utils).await?, name).context("no user")?["inlinePolicies"].clone()) }
    };
    ensure!(rights("alice").await? == json!({}), "the right is taken from who is not selected any more");
    // Somebody new is let in, and a user that goes leaves.
    tenant.apply(&labelled("carol", &utils, "data")).await?;
    tenant.ready(&tenant.users(), "carol").await?;
    eventually(&tenant, &new_key(&utils.iam, "carol").await?, &reader, true).await?;
    tenant.delete(&["bastionuser/bob"]).await?;
    let state = tenant.state(&prod).await?;
    ensure!(role(&state, "reader").map(trusted) == Some(vec![utils.arn("user/carol")]), "{state:?}");
    tenant.delete(&["crossaccountrole/reader"]).await?;
    tenant
        .world
        .testbed
        .wait_for("no right is left", || async {
            let left = rights("carol").await?;
            Ok(if left == json!({}) { Seen::Done(()) } else { Seen::NotYet(left.to_string()) })
        })
        .await
}

#[tokio::test]
async fn statement_21_row_15_a_role_reaches_another_and_the_hour_that_such_sessions_last_is_told() -> Result<()> {
    let tenant = crate::support::World::with_operator().await?.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    let chained = role_trusting("reader", &prod, "[{from: [{role: {name: ops}}]}]", ", maxSessionDuration: 4h");
    let other = role_trusting("other", &utils, "[{from: [{user: {name: alice}}]}]", "");
    tenant.apply(&(bastion_user("alice", &utils, "") + &cross_account_role("ops", &utils, "{user: {name: alice}}", "") + &chained + &other)).await?;
    let ready = tenant.ready(&tenant.roles(), "reader").await?;
    let message = ready.status.and_then(|status| status.conditions.into_iter().find(|c| c.type_ == "Ready")).context("no Ready")?.message;
    ensure!(message.contains("warning") && message.contains("one hour at most"), "{message}");
    for name in ["ops", "other"] {
        tenant.ready(&tenant.roles(), name).await?;
    }
    let alice = new_key(&utils.iam, "alice").await?;
    let reader = prod.arn("role/reader");
    let ops = tenant.world.assume(&alice, &utils.arn("role/ops"), |asking| asking).await?.context("ops")?;
    let other = tenant.world.assume(&alice, &utils.arn("role/other"), |asking| asking).await?.context("other")?;
    ensure!(tenant.world.may_assume(&ops, &reader).await?, "the chain");
    ensure!(!tenant.world.may_assume(&other, &reader).await? && !tenant.world.may_assume(&alice, &reader).await?, "nobody else");
    let told = tenant.ready(&tenant.roles(), "ops").await?.status.context("no status")?;
    ensure!(told.roles.len() == 1 && told.roles[0].role_arn == reader, "{told:?}");
    ensure!(told.assume_policies.len() == 1 && told.assume_policies[0].quota == 10_240, "a role has more room than a user: {told:?}");
    // A role that is deleted leaves no dead principal behind.
    tenant.delete(&["crossaccountrole/ops"]).await?;
    let state = tenant.state(&prod).await?;
    ensure!(role(&state, "reader").map(trusted).is_some_and(|names| !names.iter().any(|name| name.starts_with("AROA"))), "{state:?}");
    Ok(())
}

#[tokio::test]
async fn statements_31_and_42_and_43_what_is_required_is_asked_for_and_what_it_needs_is_granted() -> Result<()> {
    let tenant = crate::support::World::with_operator().await?.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    let tag = || aws_sdk_sts::types::Tag::builder().key("purpose").value("audit-7").build();
    let (tag, purpose) = (tag()?, tag()?);
    type Ask = Box<dyn Fn(Asking) -> Asking>;
    let cases: Vec<(&str, &str, Ask)> = vec![
        ("external", "{externalID: example-42}", Box::new(|asking| asking.external_id("example-42"))),
        ("named", "{sessionName: '${aws:username}-*'}", Box::new(|asking| asking.role_session_name("alice-7"))),
        ("known", "{sourceIdentity: '${aws:username}'}", Box::new(|asking| asking.source_identity("alice"))),
        ("tagged", "{sessionTags: {purpose: 'audit-*'}}", Box::new(move |asking| asking.tags(tag.clone()))),
    ];
    let mut all = bastion_user("alice", &utils, "tags: {department: eng-data}");
    for (name, require, _) in &cases {
        all += &role_trusting(name, &prod, &format!("[{{from: [{{user: {{name: alice}}}}], require: {require}}}]"), "");
    }
    let unconditional = [
        ("here", "{sourceIPs: [127.0.0.0/8]}", true),
        ("elsewhere", "{sourceIPs: [203.0.113.0/24]}", false),
        ("department", "{principalTags: {department: 'eng-*'}}", true),
        ("another", "{principalTags: {department: 'ops-*'}}", false),
        ("current", "{notBefore: '2020-01-01T00:00:00Z', notAfter: '2120-01-01T00:00:00Z'}", true),
        ("over", "{notAfter: '2020-01-01T00:00:00Z'}", false),
        ("second", "{mfa: {maxAge: 1h}}", false),
        ("free", "{conditions: {StringLike: {'aws:username': ['bob', 'ali*']}}}", true),
    ];
    for (name, require, _) in &unconditional {
        all += &role_trusting(name, &prod, &format!("[{{from: [{{user: {{name: alice}}}}], require: {require}}}]"), "");
    }
    tenant.apply(&all).await?;
    tenant.ready(&tenant.users(), "alice").await?;
    let alice = new_key(&utils.iam, "alice").await?;
    for (name, _, ask) in &cases {
        tenant.ready(&tenant.roles(), name).await?;
        let arn = prod.arn(&format!("role/{name}"));
        ensure!(tenant.world.assume(&alice, &arn, ask).await?.is_some(), "{name} as required");
        ensure!(!tenant.world.may_assume(&alice, &arn).await?, "{name} without what is required");
    }
    // Session tags take the place of the role's own, so nobody sets others than are asked for.
    let other = aws_sdk_sts::types::Tag::builder().key("clearance").value("secret").build()?;
    let both = |asking: Asking| asking.tags(purpose.clone()).tags(other.clone());
    ensure!(tenant.world.assume(&alice, &prod.arn("role/tagged"), both).await?.is_none(), "another tag");
    for (name, _, may) in &unconditional {
        tenant.ready(&tenant.roles(), name).await?;
        ensure!(tenant.world.may_assume(&alice, &prod.arn(&format!("role/{name}"))).await? == *may, "{name}");
    }
    // A link of the console leads to those roles that ask for nothing that it cannot send.
    let listed = tenant.users().get("alice").await?.status.context("no status")?.roles;
    ensure!(listed.len() == cases.len() + unconditional.len(), "{listed:?}");
    for role in listed {
        let link = tenant.roles().get(&role.name).await?.status.and_then(|status| status.switch_role_url);
        let expected = !["external", "known", "tagged"].contains(&role.name.as_str());
        ensure!((role.switch_role_url.is_some(), link.is_some()) == (expected, expected), "{role:?} {link:?}");
    }
    // With a second factor that was just shown.
    let second = tenant.world.session_with_mfa(&utils.iam, "alice", &alice).await?;
    ensure!(tenant.world.may_assume(&second, &prod.arn("role/second")).await?, "with a second factor");
    Ok(())
}

#[tokio::test]
async fn workloads_without_keys_are_trusted_by_what_vouches_for_them() -> Result<()> {
    let world = crate::support::World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    let cluster = "oidc.eks.us-east-1.amazonaws.com/id/EXAMPLE";
    for provider in [cluster, "token.actions.githubusercontent.com"] {
        utils.iam.create_open_id_connect_provider().url(format!("https://{provider}")).client_id_list("sts.amazonaws.com").send().await?;
    }
    let cluster_arn = format!("arn:aws:eks:us-east-1:{}:cluster/main", utils.id);
    let service_account =
        format!("{{serviceAccount: {{oidcProviderARN: '{}', namespace: build, name: deployer}}}}", utils.arn(&format!("oidc-provider/{cluster}")));
    let roles = [
        ("irsa", service_account),
        ("github", "{githubActions: {repository: example/app, environment: production}}".into()),
        ("pod", format!("{{podIdentity: {{clusterARN: '{cluster_arn}', namespace: build, name: deployer}}}}")),
        ("lambda", "{service: lambda.amazonaws.com}".into()),
    ];
    let mut all = role_trusting("target", &prod, "[{from: [{role: {name: github}}]}]", "");
    for (name, source) in &roles {
        all += &role_trusting(name, &utils, &format!("[{{from: [{source}]}}]"), "");
    }
    let behind_pod = "from: [{role: {name: pod}}]";
    let untagged = "require: {conditions: {'ForAllValues:StringLike': {'aws:TagKeys': ['team-*']}}}";
    all += &role_trusting("tagged", &prod, &format!("[{{{behind_pod}}}]"), "");
    all += &role_trusting("behind", &prod, "[{from: [{role: {name: tagged, podIdentityTarget: false}}]}]", "");
    all += &role_trusting("untagged", &prod, &format!("[{{{behind_pod}, {untagged}}}]"), "");
    tenant.apply(&all).await?;
    for name in ["irsa", "github", "pod", "lambda", "target", "tagged", "behind", "untagged"] {
        tenant.ready(&tenant.roles(), name).await?;
    }
    let aws = &world.testbed.aws;
    let by_token = |role: &'static str, provider: &'static str, subject: &'static str| {
        let arn = utils.arn(&format!("role/{role}"));
        async move { world.assume_by_token(provider, subject, &arn).await }
    };
    ensure!(by_token("irsa", cluster, "system:serviceaccount:build:deployer").await?.is_some());
    ensure!(by_token("irsa", cluster, "system:serviceaccount:other:deployer").await?.is_none());
    let pipeline = by_token("github", "token.actions.githubusercontent.com", "repo:example/app:environment:production").await?.context("github")?;
    ensure!(by_token("github", "token.actions.githubusercontent.com", "repo:example/app:pull_request").await?.is_none());
    // A pipeline without any key reaches another account.
    ensure!(world.may_assume(&pipeline, &prod.arn("role/target")).await?);
    let pod = |namespace: &'static str| {
        let tags = [("eks-cluster-arn", cluster_arn.as_str()), ("kubernetes-namespace", namespace), ("kubernetes-service-account", "deployer")];
        ServiceAssumption::of_pod(&utils.arn("role/pod"), &tags)
    };
    let session = aws.assume_as_service(&pod("build")).await?.ok().context("pod")?;
    ensure!(aws.assume_as_service(&pod("other")).await?.is_err());
    // The tags go along, which the next role has to permit: it does, unless it says itself which tags may.
    ensure!(world.may_assume(&session, &prod.arn("role/tagged")).await? && !world.may_assume(&session, &prod.arn("role/untagged")).await?);
    let as_service = |service: &str| ServiceAssumption::of(service, &utils.arn("role/lambda"));
    ensure!(aws.assume_as_service(&as_service("lambda.amazonaws.com")).await?.is_ok());
    ensure!(aws.assume_as_service(&as_service("ec2.amazonaws.com")).await?.is_err());
    Ok(())
}

#[tokio::test]
async fn statements_56_and_57_repositories_are_told_by_their_ids_and_nobody_comes_in_by_a_wildcard() -> Result<()> {
    const GITHUB: &str = "token.actions.githubusercontent.com";
    let world = crate::support::World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    prod.iam.create_open_id_connect_provider().url(format!("https://{GITHUB}")).client_id_list("sts.amazonaws.com").send().await?;
    let github = |fields: &str| format!("{{githubActions: {{repository: example/app, environment: production{fields}}}}}");
    let ids = ", repositoryOwnerID: '123456', repositoryID: '456789'";
    let oidc = |subject: &str| {
        format!("{{oidc: {{providerARN: '{}', audience: sts.amazonaws.com, subject: '{subject}'}}}}", prod.arn(&format!("oidc-provider/{GITHUB}")))
    };
    let (named, immutable) = ("repo:example/app:environment:production", "repo:example@123456/app@456789:environment:production");
    let (taken, hostile) = ("repo:example@1/app@2:environment:production", "repo:example-evil@1/app@2:environment:production");
    // Who comes in: the repository by its old and its new subject; another one that has taken its name by either; and one of a similar name.
    let cases = [
        ("named", github(""), [true, false, true, false, false]),
        ("both", github(ids), [true, true, false, false, false]),
        ("immutable", github(&format!("{ids}, subjects: Immutable")), [false, true, false, false, false]),
        ("only-named", github(&format!("{ids}, subjects: Named")), [true, false, false, false, false]),
        ("claimed", github(&format!("{ids}, claims: {{ref: 'refs/heads/*'}}")), [true, true, false, false, false]),
        ("otherwise", github(&format!("{ids}, claims: {{ref: refs/tags/v1}}")), [false; 5]),
        ("pattern", oidc("repo:example@*/app@*:environment:production"), [false, true, false, true, false]),
    ];
    let all: String = cases.iter().map(|(name, source, _)| role_trusting(name, &prod, &format!("[{{from: [{source}]}}]"), "")).collect();
    tenant.apply(&all).await?;
    let with = |subject: &str, owner: &str, repository: &str| {
        let claims = [("repository_owner_id", owner), ("repository_id", repository), ("ref", "refs/heads/main")];
        let claims = claims.into_iter().map(|(claim, value)| (claim.to_owned(), json!(value))).collect();
        WebIdentity { claims, ..WebIdentity::of(&format!("https://{GITHUB}"), subject) }
    };
    let tokens =
        [with(named, "123456", "456789"), with(immutable, "123456", "456789"), with(named, "1", "2"), with(taken, "1", "2"), with(hostile, "1", "2")];
    for (name, _, expected) in cases {
        let ready = tenant.ready(&tenant.roles(), name).await?;
        for (token, expected) in tokens.iter().zip(expected) {
            let comes_in = world.assume_by(token, &prod.arn(&format!("role/{name}"))).await?.is_some();
            ensure!(comes_in == expected, "{name}: {} of {:?}", token.subject, token.claims);
        }
        let message = ready.status.and_then(|s| s.conditions.into_iter().find(|c| c.type_ == "Ready")).map(|c| c.message).unwrap_or_default();
        ensure!(message.contains("without repositoryOwnerID and repositoryID") == (name == "named"), "{name}: {message}");
    }
    tenant.apply(&role_trusting("everybody", &prod, &format!("[{{from: [{}]}}]", oidc("repo:example-*/app:*")), "")).await?;
    let refused = tenant.concluded(&tenant.roles(), "everybody", "InvalidSpec").await?;
    assert_told(&refused, "Stalled", &["everybody can have tokens of GitHub Actions", "for example repo:OWNER/REPOSITORY:*"])
}

/// A role that trusts a service under a condition with a value of so many characters.
fn role_with_room(account: &Account, sources: usize, filler: usize) -> String {
    let entries: Vec<String> = (0..sources)
        .map(|n| {
            let filler = if n == 0 { filler } else { 500 };
            format!(
                "{{from: [{{service: lambda.amazonaws.com}}], require: {{conditions: {{StringEquals: {{'aws:RequestedRegion': '{}'}}}}}}}}",
                n.to_string().repeat(filler)
            )
        })
        .collect();
    role_trusting("reader", account, &format!("[{}]", entries.join(", ")), "")
}

#[tokio::test]
async fn rows_21_and_22_a_full_trust_policy_stays_as_it_is_until_the_quota_is_raised() -> Result<()> {
    let world = crate::support::World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "sweep: {interval: 10s}").await?;
    tenant.apply(&role_with_room(&prod, 3, 100)).await?;
    let status = tenant.ready(&tenant.roles(), "reader").await?.status.context("no status")?;
    let (bytes, quota) = (status.trust.as_ref().context("no trust")?.bytes, status.trust.as_ref().context("no trust")?.quota);
    ensure!(quota == 2048 && bytes < quota, "{bytes} of {quota}");
    // To the last character.
    let room = usize::try_from(quota - bytes)?;
    tenant.apply(&role_with_room(&prod, 3, 100 + room)).await?;
    let full = tenant.ready(&tenant.roles(), "reader").await?;
    ensure!(full.status.as_ref().and_then(|status| status.trust.as_ref()).is_some_and(|trust| trust.bytes == 2048), "{:?}", full.status);
    let message = full.status.and_then(|s| s.conditions.into_iter().find(|c| c.type_ == "Ready")).map(|c| c.message).unwrap_or_default();
    ensure!(message.contains("warning") && message.contains("2048 of 2048"), "{message}");
    let before = role(&tenant.state(&prod).await?, "reader").cloned();
    tenant.apply(&role_with_room(&prod, 3, 101 + room)).await?;
    let stopped = tenant.concluded(&tenant.roles(), "reader", "QuotaExceeded").await?;
    assert_told(&stopped, "Stalled", &["2049 characters", "2048", "Service Quotas", "8192", "name fewer sources"])?;
    ensure!(role(&tenant.state(&prod).await?, "reader").cloned() == before, "the old policy is kept");
    world.testbed.aws.set_quotas(&prod.id, &[("AssumeRolePolicySizeQuota", 4096)]).await?;
    let ready = tenant.ready(&tenant.roles(), "reader").await?;
    ensure!(ready.status.and_then(|status| status.trust).is_some_and(|trust| (trust.bytes, trust.quota) == (2049, 4096)));
    Ok(())
}

#[tokio::test]
async fn statements_1_and_6_rows_36_and_37_a_user_that_somebody_else_made_anew_is_not_trusted_and_one_of_our_own_is() -> Result<()> {
    let world = crate::support::World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) =
        (tenant.ready_account("utils", "sweep: {interval: 10s}").await?, tenant.ready_account("prod", "sweep: {interval: 10s}").await?);
    let both = bastion_user("alice", &utils, "") + &cross_account_role("reader", &prod, "{user: {name: alice}}", "");
    tenant.apply(&both).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    let reader = prod.arn("role/reader");
    // Somebody deletes the user and makes one of the same name.
    utils.iam.delete_user_policy().user_name("alice").policy_name("rolebridge-assume-roles").send().await?;
    utils.iam.delete_user().user_name("alice").send().await?;
    utils.iam.create_user().user_name("alice").send().await?;
    let right = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}).to_string();
    utils.iam.put_user_policy().user_name("alice").policy_name("mine").policy_document(right).send().await?;
    let impostor = new_key(&utils.iam, "alice").await?;
    // A role that is declared before anybody knows names the one who bears the name now.
    tenant.apply(&cross_account_role("late", &prod, "{user: {name: alice}}", "")).await?;
    let (alice, late) = (utils.arn("user/alice"), prod.arn("role/late"));
    let names = |name: &'static str, principals: Vec<String>| {
        let (tenant, prod) = (&tenant, &prod);
        world.testbed.wait_for("the role names whom it is to name", move || {
            let principals = principals.clone();
            async move {
                let names = role(&tenant.state(prod).await?, name).map(trusted);
                Ok(Seen::from_option((names.as_ref() == Some(&principals)).then_some(()), || format!("{name}: {names:?}, not {principals:?}")))
            }
        })
    };
    names("late", vec![alice]).await?;
    ensure!(world.may_assume(&impostor, &late).await?, "nobody can know yet");
    let stalled = tenant.concluded(&tenant.users(), "alice", "Conflict").await?;
    assert_told(&stalled, "Stalled", &["user alice", "not made by Rolebridge"])?;
    for (name, arn) in [("reader", &reader), ("late", &late)] {
        names(name, vec![]).await?;
        ensure!(!world.may_assume(&impostor, arn).await?, "who merely bears the name is not let in");
        let told = tenant.concluded(&tenant.roles(), name, "SourceNotReady").await?;
        assert_told(&told, "Reconciling", &["BastionUser", "alice", "does not own"])?;
        let grants = told.status.map(|status| status.grants).unwrap_or_default();
        ensure!(grants.iter().all(|grant| grant.state == GrantState::Waiting && grant.principal.is_none()), "{grants:?}");
    }
    tenant.quiet(std::time::Duration::from_secs(2)).await?;
    ensure!(!world.may_assume(&impostor, &reader).await? && !world.may_assume(&impostor, &late).await?);
    // Once that user is out of the way, ours is made again and let in.
    utils.iam.delete_access_key().user_name("alice").access_key_id(&impostor.access_key_id).send().await?;
    for policy in utils.iam.list_user_policies().user_name("alice").send().await?.policy_names() {
        utils.iam.delete_user_policy().user_name("alice").policy_name(policy).send().await?;
    }
    utils.iam.delete_user().user_name("alice").send().await?;
    tenant.ready(&tenant.users(), "alice").await?;
    let alice = new_key(&utils.iam, "alice").await?;
    for (name, arn) in [("reader", &reader), ("late", &late)] {
        tenant.ready(&tenant.roles(), name).await?;
        eventually(&tenant, &alice, arn, true).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_user_whose_declaration_cannot_be_carried_out_is_read_and_trusted_again_when_somebody_takes_it_out() -> Result<()> {
    let world = crate::support::World::own().await?;
    let operator = world.operator()?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    let fields = "permissions: {inlinePolicies: [{name: list, configMapKeyRef: {name: policies, key: list.json}}]}";
    let both = bastion_user("alice", &utils, fields) + &cross_account_role("reader", &prod, "{user: {name: alice}}", "");
    tenant.apply(&(config_map("policies", "list.json", LIST) + &both)).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    tenant.delete(&["configmap/policies"]).await?;
    tenant.concluded(&tenant.users(), "alice", "ConfigMapNotFound").await?;
    ensure!(operator.terminate().await?.success());
    // The next operator finds the drift with its first sweep, and does not know of what was written a moment ago.
    let everybody =
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}}).to_string();
    prod.iam.update_assume_role_policy().role_name("reader").policy_document(everybody).send().await?;
    let operator = world.operator()?;
    let names_alice = |name: &'static str| {
        let (tenant, prod, alice) = (&tenant, &prod, utils.arn("user/alice"));
        world.testbed.wait_for("the role names the user", move || {
            let alice = alice.clone();
            async move {
                let names = role(&tenant.state(prod).await?, name).map(trusted).unwrap_or_default();
                Ok(Seen::from_option((names == [alice]).then_some(()), || format!("{name}: {names:?}")))
            }
        })
    };
    names_alice("reader").await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    // She counts as living for others, too.
    tenant.apply(&cross_account_role("late", &prod, "{user: {name: alice}}", "")).await?;
    names_alice("late").await?;
    operator.ensure_running()
}

#[tokio::test]
async fn statement_44_a_user_that_somebody_renamed_keeps_its_trust_and_gets_its_name_back() -> Result<()> {
    let world = crate::support::World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) =
        (tenant.ready_account("utils", "sweep: {interval: 10s}").await?, tenant.ready_account("prod", "sweep: {interval: 10s}").await?);
    let both = bastion_user("alice", &utils, "") + &cross_account_role("reader", &prod, "{user: {name: alice}}", "");
    tenant.apply(&both).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    let id = tenant.users().get("alice").await?.status.and_then(|status| status.user_id);
    let (alice, reader) = (new_key(&utils.iam, "alice").await?, prod.arn("role/reader"));
    // Renamed, and somebody else takes the name: what is trusted is who was trusted.
    utils.iam.update_user().user_name("alice").new_user_name("mallory").send().await?;
    utils.iam.create_user().user_name("alice").send().await?;
    let right = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}).to_string();
    utils.iam.put_user_policy().user_name("alice").policy_name("mine").policy_document(right).send().await?;
    let impostor = new_key(&utils.iam, "alice").await?;
    let stalled = tenant.concluded(&tenant.users(), "alice", "Conflict").await?;
    assert_told(&stalled, "Stalled", &["user alice", "not made by Rolebridge"])?;
    tenant.quiet(std::time::Duration::from_secs(2)).await?;
    ensure!(!world.may_assume(&impostor, &reader).await?, "who merely bears the name is not let in");
    // With the name free again, the user gets it back, and is the same.
    utils.iam.delete_access_key().user_name("alice").access_key_id(&impostor.access_key_id).send().await?;
    utils.iam.delete_user_policy().user_name("alice").policy_name("mine").send().await?;
    utils.iam.delete_user().user_name("alice").send().await?;
    let ready = tenant.ready(&tenant.users(), "alice").await?;
    ensure!(ready.status.and_then(|status| status.user_id) == id, "the same user");
    tenant.ready(&tenant.roles(), "reader").await?;
    eventually(&tenant, &alice, &reader, true).await?;
    let state = tenant.state(&utils).await?;
    ensure!(user(&state, "mallory").is_none() && user(&state, "alice").is_some(), "{state:?}");
    // One that is renamed and then deleted leaves nothing behind.
    utils.iam.update_user().user_name("alice").new_user_name("mallory").send().await?;
    tenant.delete(&["bastionuser/alice"]).await?;
    let state = tenant.state(&utils).await?;
    ensure!(user(&state, "mallory").is_none() && user(&state, "alice").is_none(), "{state:?}");
    Ok(())
}

#[tokio::test]
async fn statement_4_a_principal_of_others_that_shows_as_its_id_for_a_while_is_not_taken_for_a_new_one() -> Result<()> {
    let world = crate::support::World::own().await?;
    let operator = world.operator()?;
    let tenant = world.tenant().await?;
    let other = tenant.bare_account("other").await?;
    let prod = tenant.ready_account("prod", &format!("guardrails: {{allowedPrincipals: ['{}']}}", other.arn("user/*"))).await?;
    other.iam.create_user().user_name("eve").send().await?;
    let right = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}).to_string();
    other.iam.put_user_policy().user_name("eve").policy_name("assume").policy_document(&right).send().await?;
    let arn = other.arn("user/eve");
    tenant.apply(&role_trusting("reader", &prod, &format!("[{{from: [{{awsPrincipal: '{arn}'}}]}}]"), "")).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    ensure!(operator.terminate().await?.success());
    // Somebody writes the policy, to which the next operator finds nothing but an ID.
    let aws = &world.testbed.aws;
    aws.set_unique_ids_ms(3_600_000).await?;
    let statement = json!({"Effect": "Allow", "Principal": {"AWS": [&arn, "*"]}, "Action": "sts:AssumeRole"});
    let opened = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
    prod.iam.update_assume_role_policy().role_name("reader").policy_document(&opened).send().await?;
    let since = world.last_call().await?;
    let operator = world.operator()?;
    let read_again = || async {
        let reads = world.calls_in(&prod, since).await?.iter().filter(|call| call.operation == "GetRole").count();
        Ok(Seen::from_option((reads >= 2).then_some(()), || format!("{reads} reads")))
    };
    world.testbed.wait_for("the role is read again", read_again).await?;
    aws.set_unique_ids_ms(0).await?;
    let closed = || async {
        let names = role(&tenant.state(&prod).await?, "reader").map(trusted).unwrap_or_default();
        Ok(Seen::from_option((names == [arn.clone()]).then_some(()), || format!("{names:?}")))
    };
    world.testbed.wait_for("what was opened is closed, and nothing else", closed).await?;
    let status = tenant.ready(&tenant.roles(), "reader").await?.status.context("no status")?;
    ensure!(status.grants.iter().all(|grant| grant.state == GrantState::Granted), "{:?}", status.grants);
    ensure!(world.may_assume(&new_key(&other.iam, "eve").await?, &prod.arn("role/reader")).await?);
    operator.ensure_running()
}

#[tokio::test]
async fn statement_6_a_principal_of_others_that_was_replaced_is_trusted_again_only_when_it_is_declared_again() -> Result<()> {
    let world = crate::support::World::with_operator().await?;
    let tenant = world.tenant().await?;
    let other = tenant.bare_account("other").await?;
    let guardrail = format!("sweep: {{interval: 10s}}, guardrails: {{allowedPrincipals: ['{}']}}", other.arn("user/*"));
    let prod = tenant.ready_account("prod", &guardrail).await?;
    let right = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}).to_string();
    let make = || async {
        other.iam.create_user().user_name("eve").send().await?;
        other.iam.put_user_policy().user_name("eve").policy_name("assume").policy_document(&right).send().await?;
        new_key(&other.iam, "eve").await
    };
    let eve = make().await?;
    let arn = other.arn("user/eve");
    let trust = format!("[{{from: [{{awsPrincipal: '{arn}'}}]}}]");
    tenant.apply(&role_trusting("reader", &prod, &trust, "")).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    let reader = prod.arn("role/reader");
    ensure!(world.may_assume(&eve, &reader).await?);
    other.iam.delete_access_key().user_name("eve").access_key_id(&eve.access_key_id).send().await?;
    other.iam.delete_user_policy().user_name("eve").policy_name("assume").send().await?;
    other.iam.delete_user().user_name("eve").send().await?;
    let another = make().await?;
    let stalled = tenant.concluded(&tenant.roles(), "reader", "PrincipalReplaced").await?;
    assert_told(&stalled, "Stalled", &[&arn, "deleted in AWS", "take", "out of spec.trust"])?;
    world
        .testbed
        .wait_for("the unique ID is out of the trust policy", || async {
            let state = tenant.state(&prod).await?;
            let names = role(&state, "reader").map(trusted).unwrap_or_default();
            Ok(if names.is_empty() { Seen::Done(()) } else { Seen::NotYet(format!("{names:?}")) })
        })
        .await?;
    // The sweeps that follow do not bring it back.
    tenant.quiet(std::time::Duration::from_secs(2)).await?;
    let now = tenant.roles().get("reader").await?;
    ensure!(now.status.is_some_and(|status| status.grants.iter().all(|grant| grant.state == GrantState::Replaced)));
    ensure!(!world.may_assume(&another, &reader).await?);
    tenant.apply(&role_trusting("reader", &prod, "[]", "")).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    tenant.apply(&role_trusting("reader", &prod, &trust, "")).await?;
    tenant.ready(&tenant.roles(), "reader").await?;
    ensure!(world.may_assume(&another, &reader).await?);
    Ok(())
}
