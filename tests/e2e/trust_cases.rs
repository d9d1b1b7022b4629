//! What people met with the trust of their roles: the token, key or client that they had, against what they would declare.

use std::{
    future::Future,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result, ensure};
use aws_sdk_sts::types::Tag;
use rolebridge::api::CrossAccountRole;
use rolebridge_testbed::{Seen, aws_sim::WebIdentity};
use serde_json::{Value, json};

use crate::support::{Account, Counts, Tenant, World, condition, cross_account_role, manifest, new_key, once, role, user};

const GITHUB: &str = "token.actions.githubusercontent.com";

/// A CrossAccountRole with one entry of trust.
fn role_trusting(name: &str, account: &Account, entry: &Value) -> String {
    let spec = json!({"accountRef": {"name": account.name}, "trust": [entry]});
    manifest("CrossAccountRole", name, &spec.to_string())
}

/// The statements of a role's trust policy.
async fn statements(tenant: &Tenant<'_>, account: &Account, name: &str) -> Result<Vec<Value>> {
    let policy = role(&tenant.state(account).await?, name).context("no role")?["assumeRolePolicyDocument"].clone();
    policy["Statement"].as_array().cloned().context("no statements")
}

/// What Ready says.
fn message(role: &CrossAccountRole) -> String {
    condition(role, "Ready").map(|ready| ready.message.clone()).unwrap_or_default()
}

/// Does something while these tokens of a provider are tried again and again, and once more after it: each comes in every time. Returns how often they were.
async fn while_they_come_in(
    world: &World,
    provider: &str,
    subjects: &[String],
    role_arn: &str,
    change: impl Future<Output = Result<()>>,
) -> Result<usize> {
    let is_over = AtomicBool::new(false);
    let trying = async {
        let mut rounds = 0;
        loop {
            let is_last = is_over.load(Ordering::Relaxed);
            for subject in subjects {
                ensure!(world.assume_by_token(provider, subject, role_arn).await?.is_some(), "{subject} is locked out");
            }
            rounds += 1;
            if is_last {
                return Ok(rounds);
            }
        }
    };
    let changing = async {
        change.await?;
        is_over.store(true, Ordering::Relaxed);
        Ok(())
    };
    tokio::try_join!(trying, changing).map(|(rounds, ())| rounds)
}

#[tokio::test]
async fn statement_56_a_pipeline_comes_in_before_and_after_its_repository_gets_ids_and_while_that_is_declared() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    prod.iam.create_open_id_connect_provider().url(format!("https://{GITHUB}")).client_id_list("sts.amazonaws.com").send().await?;
    let (old, new) = ("repo:octo/shop:environment:live", "repo:octo@8001/shop@9002:environment:live");
    let oidc = |subject: &str| json!({"oidc": {"providerARN": prod.arn(&format!("oidc-provider/{GITHUB}")), "audience": "sts.amazonaws.com", "subject": subject}});
    let named = json!({"githubActions": {"repository": "octo/shop", "environment": "live"}});
    let with_ids = json!({"githubActions": {
        "repository": "octo/shop", "environment": "live", "repositoryOwnerID": "8001", "repositoryID": "9002", "subjects": "Immutable",
    }});
    let hostile = [
        "repo:mallory@1/shop@2:environment:live",
        "repo:octo-evil@1/shop@2:environment:live",
        "repo:octo@8001/shop@9002:pull_request",
        "repo:octo/shop:pull_request",
    ];
    // By the exact subject, by the field for it, by both forms beside each other, and by names alone.
    let roles = [
        ("exact", json!({"from": [oidc(new)]}), [false, true]),
        ("field", json!({"from": [with_ids]}), [false, true]),
        ("either", json!({"from": [named, oidc("repo:octo@*/shop@*:environment:live")]}), [true, true]),
        ("names", json!({"from": [named]}), [true, false]),
    ];
    tenant.apply(&roles.iter().map(|(name, entry, _)| role_trusting(name, &prod, entry)).collect::<String>()).await?;
    for (name, _, comes_in) in &roles {
        let ready = tenant.ready(&tenant.roles(), name).await?;
        ensure!(
            message(&ready).contains("without repositoryOwnerID and repositoryID") == ["either", "names"].contains(name),
            "{name}: {}",
            message(&ready)
        );
        let arn = prod.arn(&format!("role/{name}"));
        for (subject, may) in [old, new].into_iter().zip(comes_in).chain(hostile.iter().map(|subject| (*subject, &false))) {
            ensure!(world.assume_by_token(GITHUB, subject, &arn).await?.is_some() == *may, "{name}: {subject}");
        }
    }
    ensure!(statements(&tenant, &prod, "exact").await? == statements(&tenant, &prod, "field").await?, "the same, written in two ways");
    // Both forms of one repository are alternatives of one statement.
    ensure!(statements(&tenant, &prod, "either").await?.len() == 1);
    // The role of names alone takes the new form, too, while the pipeline is at work.
    let arn = prod.arn("role/names");
    let changing = async {
        tenant.apply(&role_trusting("names", &prod, &roles[2].1)).await?;
        tenant.ready(&tenant.roles(), "names").await.map(drop)
    };
    let rounds = while_they_come_in(world, GITHUB, &[old.to_owned()], &arn, changing).await?;
    ensure!(rounds > 1, "tried while it changed, and after it");
    ensure!(world.assume_by_token(GITHUB, new, &arn).await?.is_some(), "after it was declared");
    Ok(())
}

#[tokio::test]
async fn statements_43_and_59_two_external_ids_come_in_while_a_vendor_changes_and_no_link_leads_there() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (utils, prod) = (tenant.ready_account("utils", "").await?, tenant.ready_account("prod", "").await?);
    let source = json!([{"user": {"name": "scanner"}}]);
    let listed = json!({"from": source, "require": {"conditions": {"StringEquals": {"sts:ExternalId": ["customer-7-before", "customer-7-after"]}}}});
    let id = |id: &str| json!({"from": source, "require": {"externalID": id}});
    let entries = json!({"accountRef": {"name": prod.name}, "trust": [id("customer-7-before"), id("customer-7-after")]});
    tenant
        .apply(
            &(manifest("BastionUser", "scanner", &format!("{{accountRef: {{name: {}}}}}", utils.name))
                + &role_trusting("listed", &prod, &listed)
                + &manifest("CrossAccountRole", "entries", &entries.to_string())
                + &cross_account_role("open", &prod, "{user: {name: scanner}}", "")),
        )
        .await?;
    for name in ["listed", "entries", "open"] {
        let status = tenant.ready(&tenant.roles(), name).await?.status.context("no status")?;
        ensure!(status.switch_role_url.is_some() == (name == "open"), "{name}: {:?}", status.switch_role_url);
    }
    let scanner = new_key(&utils.iam, "scanner").await?;
    for name in ["listed", "entries"] {
        let arn = prod.arn(&format!("role/{name}"));
        for (sent, may) in [(Some("customer-7-before"), true), (Some("customer-7-after"), true), (Some("customer-8"), false), (None, false)] {
            let session = world.assume(&scanner, &arn, |asking| asking.set_external_id(sent.map(str::to_owned))).await?;
            ensure!(session.is_some() == may, "{name}: {sent:?}");
        }
    }
    // An entry for each is the same for IAM, and is written as the same.
    ensure!(statements(&tenant, &prod, "listed").await? == statements(&tenant, &prod, "entries").await?);
    let all_told = || async {
        let roles = tenant.users().get("scanner").await?.status.map(|status| status.roles).unwrap_or_default();
        Ok(Seen::from_option((roles.len() == 3).then_some(roles), || "not all roles are told".to_owned()))
    };
    for told in world.testbed.wait_for("the user's status tells of its roles", all_told).await? {
        ensure!(told.switch_role_url.is_some() == (told.name == "open"), "{told:?}");
    }
    // The old one ends when it is taken out.
    tenant.apply(&role_trusting("entries", &prod, &id("customer-7-after"))).await?;
    tenant.ready(&tenant.roles(), "entries").await?;
    let arn = prod.arn("role/entries");
    ensure!(world.assume(&scanner, &arn, |asking| asking.external_id("customer-7-before")).await?.is_none(), "the old ID");
    ensure!(world.assume(&scanner, &arn, |asking| asking.external_id("customer-7-after")).await?.is_some(), "the new ID");
    // What has no external ID ever is refused beside it.
    let mut mixed = listed;
    mixed["from"] = json!([{"user": {"name": "scanner"}}, {"service": "lambda.amazonaws.com"}]);
    tenant.apply(&role_trusting("mixed", &prod, &mixed)).await?;
    let refused = tenant.concluded(&tenant.roles(), "mixed", "InvalidSpec").await?;
    ensure!(message(&refused).contains("sts:ExternalId") && message(&refused).contains("an entry of their own"), "{}", message(&refused));
    Ok(())
}

/// The user whose keys a pipeline has.
const PIPELINE: &str = "ci.deploy+shop@example.com";
/// What aws-actions/configure-aws-credentials says of itself.
const TAGS: [(&str, &str); 7] = [
    ("GitHub", "Actions"),
    ("Repository", "octo/shop"),
    ("Workflow", "release"),
    ("Action", "__run"),
    ("Actor", "octocat"),
    ("Branch", "refs/heads/main"),
    ("Commit", "0123abcd"),
];

#[tokio::test]
async fn statement_31_a_pipeline_that_tags_its_sessions_comes_in_with_its_tags_and_no_others() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let utils = tenant.ready_account("utils", "sweep: {interval: 10s}").await?;
    let prod = tenant.ready_account("prod", "sweep: {interval: 10s}").await?;
    let tag_keys = json!({"aws:TagKeys": TAGS.map(|(key, _)| key)});
    let by_field = json!({"sessionTags": {"Repository": "octo/shop"}, "conditions": {"ForAllValues:StringEquals": tag_keys}});
    let by_conditions = json!({"conditions": {"StringEquals": {"aws:RequestTag/Repository": "octo/shop"}, "ForAllValues:StringEquals": tag_keys}});
    let source = json!([{"user": {"name": "pipeline"}}]);
    let roles = [
        ("field", json!({"from": source, "require": by_field})),
        ("free", json!({"from": source, "require": by_conditions})),
        ("plain", json!({"from": source})),
    ];
    let spec = json!({"accountRef": {"name": utils.name}, "userName": PIPELINE});
    let all: String = roles.iter().map(|(name, entry)| role_trusting(name, &prod, entry)).collect();
    tenant.apply(&(manifest("BastionUser", "pipeline", &spec.to_string()) + &all)).await?;
    for (name, _) in &roles {
        let status = tenant.ready(&tenant.roles(), name).await?.status.context("no status")?;
        ensure!(status.switch_role_url.is_some() == (*name == "plain"), "{name}: {:?}", status.switch_role_url);
    }
    tenant.ready(&tenant.users(), "pipeline").await?;
    // What the action sends, to the letter, by the AWS CLI.
    let key = new_key(&utils.iam, PIPELINE).await?;
    let arn = |name: &str| prod.arn(&format!("role/{name}"));
    let tags: Vec<String> = TAGS.iter().map(|(key, value)| format!("Key={key},Value={value}")).collect();
    let asking = |arn: &str| {
        let mut args = ["sts", "assume-role", "--role-session-name", "GitHubActions", "--role-arn", arn, "--tags"].map(str::to_owned).to_vec();
        args.extend(tags.clone());
        args
    };
    for (name, _) in &roles {
        let args = asking(&arn(name));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        if *name == "plain" {
            world.aws_denies(&key, &args).await?;
        } else {
            let session = world.aws(&key, &args).await?;
            ensure!(
                session["AssumedRoleUser"]["Arn"].as_str().is_some_and(|arn| arn.ends_with(&format!("assumed-role/{name}/GitHubActions"))),
                "{session}"
            );
        }
    }
    // Variants of it.
    let other_repository = TAGS.map(|(key, value)| (key, if key == "Repository" { "octo/other" } else { value }));
    let further: Vec<(&str, &str)> = TAGS.into_iter().chain([("team", "admin")]).collect();
    for (what, sent, may) in [
        ("all tags", TAGS.as_slice(), true),
        ("the one that counts", &TAGS[1..2], true),
        ("no tags", &[], false),
        ("another repository", &other_repository, false),
        ("a further tag", &further, false),
    ] {
        let sent: Vec<Tag> = sent.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build()).collect::<Result<_, _>>()?;
        for (name, _) in &roles {
            let sent = (!sent.is_empty()).then(|| sent.clone());
            let expected = if *name == "plain" { sent.is_none() } else { may };
            ensure!(world.assume(&key, &arn(name), |asking| asking.set_tags(sent)).await?.is_some() == expected, "{name}: {what}");
        }
    }
    // The two ways to write it are one for IAM. The right to tag is for these roles alone, and the name of the user is whole everywhere.
    ensure!(statements(&tenant, &prod, "field").await? == statements(&tenant, &prod, "free").await?);
    for (name, _) in &roles {
        for statement in statements(&tenant, &prod, name).await? {
            ensure!(statement["Principal"] == json!({"AWS": utils.arn(&format!("user/{PIPELINE}"))}), "{statement}");
        }
    }
    let state = tenant.state(&utils).await?;
    let rights = user(&state, PIPELINE).context("no user")?["inlinePolicies"]["rolebridge-assume-roles"]["Statement"].clone();
    let to_tag: Vec<&Value> =
        rights.as_array().into_iter().flatten().filter(|right| right["Action"].to_string().contains("sts:TagSession")).collect();
    ensure!(to_tag.len() == 1 && to_tag[0]["Resource"] == json!([arn("field"), arn("free")]), "{rights}");
    // A sweep of either account finds nothing to do.
    let since = world.last_call().await?;
    let swept = || async {
        let mut reads = vec![];
        for account in [&utils, &prod] {
            reads.push(world.calls_in(account, since).await?.iter().filter(|call| call.operation == "GetAccountAuthorizationDetails").count());
        }
        Ok(Seen::from_option(reads.iter().all(|reads| *reads > 0).then_some(()), || format!("{reads:?}")))
    };
    world.testbed.wait_for("both accounts are swept", swept).await?;
    tenant.quiet(std::time::Duration::from_secs(1)).await?;
    let (writes, _) = world.counts_in(&[&utils, &prod], since).await?;
    ensure!(writes == Counts::new(), "{writes:?}");
    Ok(())
}

const POOL: &str = "eu-central-1:12345678-9abc-def0-1234-56789abcdef0";
const OTHER_POOL: &str = "eu-central-1:12345678-9abc-def0-1234-56789abcdef1";

#[tokio::test]
async fn statement_58_users_of_an_identity_pool_come_in_guests_do_not_and_cognito_is_no_service() -> Result<()> {
    const COGNITO: &str = "cognito-identity.amazonaws.com";
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let pools = "guardrails: {allowedIdentityProviders: ['cognito-identity.amazonaws.com/*', 'cognito-identity.amazonaws.com/*:unauthenticated']}";
    let prod = tenant.ready_account("prod", pools).await?;
    // As people tried it: a service of that name, with the conditions that a provider needs.
    let as_service =
        json!({"from": [{"service": COGNITO}], "require": {"conditions": {"StringEquals": {"cognito-identity.amazonaws.com:aud": POOL}}}});
    tenant.kubectl_refuses(&role_trusting("service", &prod, &as_service), &["identity provider and no service", "write cognitoIdentityPool"]).await?;
    let login = json!({"from": [{"service": "www.amazon.com"}]});
    tenant.kubectl_refuses(&role_trusting("service", &prod, &login), &["identity provider and no service", "Login with Amazon"]).await?;
    ensure!(role(&tenant.state(&prod).await?, "service").is_none(), "nothing is made of it");
    let pool = |fields: Value| {
        let mut source = json!({"identityPoolID": POOL});
        source.as_object_mut().into_iter().for_each(|source| source.extend(fields.as_object().cloned().unwrap_or_default()));
        json!({"from": [{"cognitoIdentityPool": source}]})
    };
    let all = role_trusting("members", &prod, &pool(json!({}))) + &role_trusting("guests", &prod, &pool(json!({"authenticated": false})));
    tenant.apply(&all).await?;
    for (name, warns) in [("members", false), ("guests", true)] {
        let ready = tenant.ready(&tenant.roles(), name).await?;
        ensure!(message(&ready).contains("everybody on the Internet who knows the ID of the pool") == warns, "{name}: {}", message(&ready));
    }
    let token = |pool: &str, amr: &[&str]| {
        let claims = [("amr".to_owned(), json!(amr))].into_iter().collect();
        WebIdentity { audience: pool.to_owned(), claims, ..WebIdentity::of(&format!("https://{COGNITO}"), &format!("{pool}-somebody")) }
    };
    let signed_in = ["authenticated", "cognito-idp.eu-central-1.amazonaws.com/eu-central-1_example"];
    for (what, token, [member, guest]) in [
        ("who signed in", token(POOL, &signed_in), [true, false]),
        ("a guest", token(POOL, &["unauthenticated"]), [false, true]),
        ("who signed in to another pool", token(OTHER_POOL, &signed_in), [false, false]),
        ("a guest of another pool", token(OTHER_POOL, &["unauthenticated"]), [false, false]),
        ("who says nothing of it", token(POOL, &[]), [false, false]),
    ] {
        for (name, may) in [("members", member), ("guests", guest)] {
            ensure!(world.assume_by(&token, &prod.arn(&format!("role/{name}"))).await?.is_some() == may, "{name}: {what}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn statement_15_forty_service_accounts_of_a_cluster_have_room_and_come_and_go_one_by_one() -> Result<()> {
    const CLUSTER: &str = "oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE";
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    prod.iam.create_open_id_connect_provider().url(format!("https://{CLUSTER}")).client_id_list("sts.amazonaws.com").send().await?;
    let provider = prod.arn(&format!("oidc-provider/{CLUSTER}"));
    let all: Vec<usize> = (0..40).collect();
    let but_one: Vec<usize> = all.iter().copied().filter(|number| *number != 17).collect();
    let subject = |number: &usize| format!("system:serviceaccount:jobs:worker-{number:02}");
    let subjects = |numbers: &[usize]| numbers.iter().map(subject).collect::<Vec<String>>();
    let declared = |numbers: &[usize]| {
        let one =
            |number: &usize| json!({"serviceAccount": {"oidcProviderARN": provider, "namespace": "jobs", "name": format!("worker-{number:02}")}});
        role_trusting("batch", &prod, &json!({"from": numbers.iter().map(one).collect::<Vec<_>>()}))
    };
    tenant.apply(&declared(&all)).await?;
    let status = tenant.ready(&tenant.roles(), "batch").await?.status.context("no status")?;
    let trust = status.trust.context("no trust")?;
    ensure!((trust.quota, status.grants_total) == (2048, 40) && trust.bytes <= 2048, "{trust:?}");
    ensure!(statements(&tenant, &prod, "batch").await?.len() == 1, "they differ in their subjects alone");
    let arn = prod.arn("role/batch");
    let comes_in = |subject: String| {
        let arn = arn.clone();
        async move { Ok::<_, anyhow::Error>(world.assume_by_token(CLUSTER, &subject, &arn).await?.is_some()) }
    };
    for subject in subjects(&all) {
        ensure!(comes_in(subject.clone()).await?, "{subject}");
    }
    ensure!(!comes_in(subject(&40)).await? && !comes_in("system:serviceaccount:other:worker-00".to_owned()).await?, "nobody else");
    // One is taken out and comes back, and nobody of the others is locked out for a moment.
    for (numbers, may) in [(&but_one, false), (&all, true)] {
        let since = world.last_call().await?;
        let changing = async {
            tenant.apply(&declared(numbers)).await?;
            tenant.ready(&tenant.roles(), "batch").await.map(drop)
        };
        let rounds = while_they_come_in(world, CLUSTER, &subjects(&but_one), &arn, changing).await?;
        ensure!(rounds > 1, "tried while it changed, and after it");
        ensure!(comes_in(subject(&17)).await? == may, "the one that changes: {may}");
        let (writes, _) = world.counts_in(&[&prod], since).await?;
        ensure!(writes == once(&["UpdateAssumeRolePolicy"]), "{writes:?}");
    }
    Ok(())
}
