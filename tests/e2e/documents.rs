//! Policy documents and texts in policies as tenants may write them: what IAM would refuse or read in another way than it was meant is told, with its
//! place, before AWS is called. "Row" is a row of the table of bad inputs that the project keeps.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    conditions::role_with_config_map,
    support::{Account, LIST, READ, Tenant, World, assert_told, bastion_user, condition, config_map, cross_account_role, manifest, role},
};

/// A ConfigMap with these entries. `kubectl apply` cannot make a large one: it would keep the whole text in an annotation.
async fn put_config_map(tenant: &Tenant<'_>, name: &str, entries: &[(&str, &str)]) -> Result<()> {
    let data: BTreeMap<&str, &str> = entries.iter().copied().collect();
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
    let config_maps = Api::<ConfigMap>::namespaced(tenant.client.clone(), &tenant.namespace);
    config_maps.patch(name, &PatchParams::apply("tests").force(), &Patch::Apply(object)).await?;
    Ok(())
}

fn role_of_config_map(prod: &Account, name: &str) -> String {
    let reference = format!("{{name: list, configMapKeyRef: {{name: {name}, key: policy.json}}}}");
    cross_account_role(name, prod, "", &format!("permissions: {{inlinePolicies: [{reference}]}}"))
}

/// A tenant may have a megabyte in each ConfigMap, and as many of them as it likes.
#[tokio::test]
async fn row_29_config_maps_of_a_megabyte_are_refused_and_not_kept() -> Result<()> {
    const EACH: usize = 16;
    let world = World::own().await?;
    let operator = world.operator()?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let megabyte = 1_000_000;
    let buckets: Vec<String> = (0..megabyte / 40).map(|n| format!("arn:aws:s3:::a-bucket-of-many-{n:08}")).collect();
    let statement = json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": buckets});
    let valid = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    let garbage = "[{\"”".repeat(megabyte / 6);
    ensure!(valid.len() > megabyte * 9 / 10 && garbage.len() > megabyte * 9 / 10);
    tenant.apply(&config_map("small", "policy.json", LIST)).await?;
    tenant.apply(&role_of_config_map(&prod, "small")).await?;
    tenant.ready(&tenant.roles(), "small").await?;
    let (before, since) = (operator.rss().context("no operator")?, world.last_call().await?);

    let mut roles = String::new();
    for i in 0..EACH {
        // Too large, both that which is a policy and that which is none; and a small policy beside something large that nobody asked for.
        for (kind, entries) in [
            ("valid", vec![("policy.json", valid.as_str())]),
            ("garbage", vec![("policy.json", garbage.as_str())]),
            ("beside", vec![("policy.json", LIST), ("another.json", valid.as_str())]),
        ] {
            let name = format!("{kind}-{i}");
            put_config_map(&tenant, &name, &entries).await?;
            roles += &role_of_config_map(&prod, &name);
        }
    }
    tenant.apply(&roles).await?;
    for i in 0..EACH {
        for (kind, bytes) in [("valid", valid.len()), ("garbage", garbage.len())] {
            let name = format!("{kind}-{i}");
            let refused = tenant.concluded(&tenant.roles(), &name, "InvalidDocument").await?;
            assert_told(&refused, "Stalled", &["inlinePolicies[list]", &name, "policy.json", &format!("{bytes} bytes"), "at most 131072"])?;
        }
        tenant.ready(&tenant.roles(), &format!("beside-{i}")).await?;
    }
    let (writes, _) = world.counts_in(&[&prod], since).await?;
    assert_eq!(writes, [("CreateRole".to_owned(), EACH as u64), ("PutRolePolicy".to_owned(), EACH as u64)].into());
    let kept = operator.rss().context("no operator")?.saturating_sub(before);
    let all = (3 * EACH * megabyte) as u64;
    ensure!(kept < all / 2, "of {all} bytes that were read the operator has kept {kept}");
    operator.ensure_running()
}

/// A text that is short enough to be read and consists of mistakes is told of like any other, and the next one that is right is taken.
#[tokio::test]
async fn row_29_and_30_a_text_of_mistakes_is_told_of_by_the_first_of_them() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = role_with_config_map(&tenant).await?;
    let before = tenant.state(&prod).await?;
    let letters: String = ('\u{4e00}'..='\u{9fff}').take(20_000).collect();
    let keys = ["\"Effect\": \"Allow\""; 1_200].join(",");
    for (text, words) in [
        (format!("{{\"Id\": \"{letters}\"}}"), ["line 1, column 9", "the character here is not allowed", "list.json"]),
        (format!("{{{keys}}}"), ["line 1, column 20", "\"Effect\" stands twice", "list.json"]),
        ("[".repeat(20_000), ["line 1, column 18", "more than 16 levels", "list.json"]),
        ("\u{0}".repeat(20_000), ["line 1, column 1", "the character here (20000 times)", "list.json"]),
    ] {
        put_config_map(&tenant, "policies", &[("list.json", &text)]).await?;
        tenant.says(&tenant.roles(), "reader", &words).await?;
        let refused = tenant.concluded(&tenant.roles(), "reader", "InvalidDocument").await?;
        assert_told(&refused, "Stalled", &words)?;
    }
    assert_eq!(tenant.state(&prod).await?, before);
    put_config_map(&tenant, "policies", &[("list.json", LIST)]).await?;
    tenant.ready(&tenant.roles(), "reader").await.map(drop)
}

/// `kubectl create configmap` puts a file that is not UTF-8 into `binaryData`, without a word.
#[tokio::test]
async fn files_that_are_not_utf_8_are_found_where_kubectl_puts_them_and_the_next_ones_heal_it() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&tenant.namespace);
    fs::create_dir_all(&folder)?;
    let file = |name: &str| folder.join(name).display().to_string();
    // As PowerShell writes a text, as an old editor does, and as one does that marks UTF-8.
    let utf_16: Vec<u8> = format!("\u{feff}{LIST}\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin = READ.replace('*', "arn:aws:s3:::rapport-d'é").chars().map(|c| u8::try_from(u32::from(c))).collect::<Result<Vec<u8>, _>>()?;
    let marked = format!("\u{feff}{LIST}").into_bytes();
    for (name, bytes) in [("list.json", utf_16), ("read.json", latin), ("marked.json", marked)] {
        fs::write(folder.join(name), bytes)?;
    }
    let from = |name: &str| format!("--from-file={}", file(name));
    let (list, read, marked) = (from("list.json"), from("read.json"), from("marked.json"));
    let create = ["--namespace", &tenant.namespace, "create", "configmap", "policies", &list, &read, &marked];
    world.testbed.kubectl(&create).await?;
    let inline = ["read", "marked"].map(|name| format!("{{name: {name}, configMapKeyRef: {{name: policies, key: {name}.json}}}}")).join(", ");
    let managed = "{name: list-all, configMapKeyRef: {name: policies, key: list.json}}";
    let fields = format!("permissions: {{customerManagedPolicies: [{managed}], inlinePolicies: [{inline}]}}");
    tenant.apply(&cross_account_role("lister", &prod, "", &fields)).await?;
    let refused = tenant.concluded(&tenant.roles(), "lister", "InvalidDocument").await?;
    let found = |name: &str| format!("ConfigMap policies has the key {name} in binaryData");
    assert_told(&refused, "Stalled", &[&found("list.json"), &found("read.json"), "save the file as UTF-8"])?;
    let ready = condition(&refused, "Ready").map(|ready| ready.message.clone()).unwrap_or_default();
    ensure!(!ready.contains("marked.json"), "{ready}");
    let state = tenant.state(&prod).await?;
    ensure!(role(&state, "lister").is_none() && state.policies.is_empty(), "nothing is made of what is no text: {state:?}");

    let latin = READ.replace('*', "arn:aws:s3:::rapport-d'é");
    for (name, text) in [("list.json", LIST), ("read.json", &latin)] {
        fs::write(folder.join(name), text)?;
    }
    let written = world.testbed.kubectl(&[create.as_slice(), &["--dry-run=client", "--output=yaml"]].concat()).await?;
    fs::write(folder.join("policies.yaml"), written)?;
    world.testbed.kubectl(&["--namespace", &tenant.namespace, "replace", "--filename", &file("policies.yaml")]).await?;
    tenant.ready(&tenant.roles(), "lister").await?;
    let state = tenant.state(&prod).await?;
    let made = &role(&state, "lister").context("lister")?["inlinePolicies"];
    assert_eq!((&made["read"], &made["marked"]), (&serde_json::from_str(&latin)?, &serde_json::from_str(LIST)?));
    Ok(())
}

/// What people write in the place of JSON is told with what leads to the remedy.
#[tokio::test]
async fn what_is_no_policy_is_told_with_what_it_looks_like() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let trust =
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": prod.arn("root")}, "Action": "sts:AssumeRole"}});
    let bucket = LIST.replace('*', "arn:aws:s3:::${var.bucket}/*");
    let operator = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*",
        "Condition": {"StringEqual": {"aws:PrincipalTag/team": "x"}}}});
    put_config_map(&tenant, "policies", &[("empty.json", ""), ("policy.yaml", "Version: \"2012-10-17\"\nStatement: []\n"), ("other.json", "{}")])
        .await?;
    let with = |name: &str, fields: &str| cross_account_role(name, &prod, "", fields);
    assert_refused(
        &tenant,
        &prod,
        &[
            ("empty", with("empty", &in_config_map("empty.json")), "InvalidDocument", &["empty.json", "there is nothing in it"]),
            ("yaml", with("yaml", &in_config_map("policy.yaml")), "InvalidDocument", &["line 1, column 1", "YAML goes into the field document"]),
            ("quotes", with("quotes", &in_json("{'Version': 1}")), "InvalidDocument", &["line 1, column 2", "straight double quotes"]),
            ("comment", with("comment", &in_json("{\n  // all\n}")), "InvalidDocument", &["line 2, column 3", "no comments in JSON"]),
            ("trust", with("trust", &in_json(&trust.to_string())), "InvalidDocument", &["json: Statement.Principal: a permissions policy has none"]),
            ("terraform", with("terraform", &in_json(&bucket)), "InvalidDocument", &["Statement.Resource", "${var.bucket}", "such as Terraform"]),
            ("operator", with("operator", &in_yaml(&operator)), "InvalidDocument", &["Condition.StringEqual: ", "did you mean StringEquals?"]),
        ],
    )
    .await?;
    // A key that the ConfigMap lacks is told from a ConfigMap that is not there; which keys it has is not told.
    let (key, map) = (in_config_map("policy.json"), in_config_map("policy.json").replace("policies", "nope"));
    tenant.apply(&(with("key", &key) + &with("map", &map))).await?;
    for (name, words) in
        [("key", "ConfigMap policies is there and has no key policy.json"), ("map", "there is no ConfigMap nope with the key policy.json")]
    {
        let waiting = tenant.concluded(&tenant.roles(), name, "ConfigMapNotFound").await?;
        assert_told(&waiting, "Reconciling", &[words])?;
        ensure!(!format!("{:?}", waiting.status).contains("other.json"), "{waiting:?}");
    }
    Ok(())
}

/// What YAML makes of a text is taken where it is certain which text was written, and else told with its place.
#[tokio::test]
async fn numbers_and_booleans_of_a_document_in_yaml_are_taken_where_they_are_certain() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let in_yaml = |condition: &str| {
        let statement = format!("{{Effect: Allow, Action: 's3:*', Resource: '*', Condition: {condition}}}");
        format!("permissions: {{inlinePolicies: [{{name: p, document: {{Version: '2012-10-17', Statement: [{statement}]}}}}]}}")
    };
    let certain = "{Bool: {'aws:SecureTransport': yes}, 'Null': {'aws:TokenIssueTime': false}, NumericLessThan: {'s3:max-keys': [10, '010']}}";
    tenant.apply(&cross_account_role("certain", &prod, "", &in_yaml(certain))).await?;
    tenant.ready(&tenant.roles(), "certain").await?;
    let with = |name: &str, condition: &str| cross_account_role(name, &prod, "", &in_yaml(condition));
    let place = "inlinePolicies[p].document: Statement[0].Condition";
    let cases: [(&str, &str, [&str; 2]); 5] = [
        (
            "account",
            "{StringEquals: {'aws:PrincipalAccount': ['0', 222222222222]}}",
            ["StringEquals.aws:PrincipalAccount[1]", "quote 222222222222: "],
        ),
        // kubectl reads an octal number.
        ("octal", "{StringLike: {'aws:PrincipalTag/n': 012}}", ["StringLike.aws:PrincipalTag/n", "quote 10: StringLike compares text"]),
        ("word", "{StringEquals: {'aws:PrincipalTag/on': on}}", ["StringEquals.aws:PrincipalTag/on", "quote true, or what was written for it"]),
        ("year", "{DateLessThan: {'aws:CurrentTime': 2027}}", ["DateLessThan.aws:CurrentTime", "quote 2027: "]),
        ("large", "{NumericEquals: {'s3:max-keys': 9007199254740993}}", ["NumericEquals.s3:max-keys", "may be rounded"]),
    ];
    tenant.apply(&cases.iter().map(|(name, condition, _)| with(name, condition)).collect::<String>()).await?;
    for (name, _, [key, words]) in cases {
        let refused = tenant.concluded(&tenant.roles(), name, "InvalidDocument").await?;
        assert_told(&refused, "Stalled", &[&format!("{place}.{key}: "), words])?;
    }
    Ok(())
}

/// The permissions of one inline policy, with its document as YAML, as JSON text, or in the ConfigMap `policies`.
fn in_yaml(document: &Value) -> String {
    format!("permissions: {{inlinePolicies: [{{name: p, document: {document}}}]}}")
}

fn in_json(text: &str) -> String {
    format!("permissions: {{inlinePolicies: [{{name: p, json: {}}}]}}", json!(text))
}

fn in_config_map(key: &str) -> String {
    format!("permissions: {{inlinePolicies: [{{name: p, configMapKeyRef: {{name: policies, key: {key}}}}}]}}")
}

/// Asserts that each of these is refused for what the words say, that nothing was made for any, and that all of them can go.
async fn assert_refused(tenant: &Tenant<'_>, account: &Account, cases: &[(&str, String, &str, &[&str])]) -> Result<()> {
    tenant.apply(&cases.iter().map(|(_, manifest, ..)| manifest.as_str()).collect::<String>()).await?;
    for (name, _, reason, words) in cases {
        let refused = tenant.concluded(&tenant.roles(), name, reason).await?;
        assert_told(&refused, "Stalled", words).with_context(|| (*name).to_owned())?;
    }
    let roles: Vec<String> = cases.iter().map(|(name, ..)| format!("crossaccountrole/{name}")).collect();
    tenant.delete(&roles.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let calls = tenant.world.calls_in(account, 0).await?;
    ensure!(calls.is_empty(), "the operator called IAM of {}: {calls:#?}", account.name);
    Ok(())
}

#[tokio::test]
async fn row_30_characters_that_iam_does_not_take_are_named_with_their_place() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let condition = json!({"StringEquals": {"aws:PrincipalTag/team": "données €"}});
    let document = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": condition}});
    let curly = "{\n \"Version\": \u{201c}2012-10-17\u{201d}\n}";
    tenant.apply(&config_map("policies", "zero-width.json", &LIST.replace("Version", "Version\u{feff}"))).await?;
    let with = |name: &str, fields: &str| cross_account_role(name, &prod, "", fields);
    let requiring = |name: &str, require: &str| {
        let trust = format!("[{{from: [{{account: {}}}], require: {{{require}}}}}]", prod.name);
        manifest("CrossAccountRole", name, &format!("{{accountRef: {{name: {}}}, trust: {trust}}}", prod.name))
    };
    let of_policy = "inlinePolicies[p]";
    assert_refused(
        &tenant,
        &prod,
        &[
            (
                "yaml",
                with("yaml", &in_yaml(&document)),
                "InvalidDocument",
                &[of_policy, "Statement.Condition.StringEquals.aws:PrincipalTag/team", "'€' (U+20AC) at position 9"],
            ),
            ("text", with("text", &in_json(curly)), "InvalidDocument", &[of_policy, "line 2, column 13", "'“' (U+201C)", "'”' (U+201D)"]),
            (
                "map",
                with("map", &in_config_map("zero-width.json")),
                "InvalidDocument",
                &[of_policy, "zero-width.json", "line 1, column 10", "the character here is not"],
            ),
            (
                "tag",
                requiring("tag", "principalTags: {team: データ}"),
                "InvalidSpec",
                &["spec.trust[0].require", "aws:PrincipalTag/team", "'デ' (U+30C7) at position 1"],
            ),
            (
                "free",
                requiring("free", "conditions: {StringLike: {'aws:PrincipalTag/team': ['a', 'zwölf–dreizehn']}}"),
                "InvalidSpec",
                &["spec.trust[0].require.conditions.StringLike.aws:PrincipalTag/team[1]", "'–' (U+2013) at position 6"],
            ),
        ],
    )
    .await?;

    // What IAM does take arrives as it was written.
    let document = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/\t\n\r ~\u{a0}ÿ"}
    ]});
    // So does what some editors put before it: a byte order mark is no part of the policy.
    put_config_map(&tenant, "policies", &[("latin.json", &format!("\u{feff}{document}"))]).await?;
    tenant.apply(&with("latin", &in_config_map("latin.json"))).await?;
    tenant.ready(&tenant.roles(), "latin").await?;
    let state = tenant.state(&prod).await?;
    let stored = &role(&state, "latin").context("no role")?["inlinePolicies"]["p"];
    assert_eq!(stored, &document);
    Ok(())
}

#[tokio::test]
async fn row_31_a_sid_or_a_key_that_stands_twice_is_refused() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let statement = json!({"Sid": "Read", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"});
    let other = json!({"Sid": "List", "Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"});
    let sids = json!({"Version": "2012-10-17", "Statement": [statement, other, statement]});
    let keys = r#"{"Version": "2012-10-17", "Statement": [
  {"Effect": "Deny", "Action": "s3:*", "Resource": "*", "Effect": "Allow"}]}"#;
    // The escape is the same letter to whoever reads the JSON.
    let escaped = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*", "\u0041ction": "*"}}"#;
    for (name, text) in [("keys.json", keys), ("sids.json", &*sids.to_string())] {
        put_config_map(&tenant, name.trim_end_matches(".json"), &[(name, text)]).await?;
    }
    let map = |name: &str, key: &str| in_config_map(key).replace("policies", name);
    let with = |name: &str, fields: &str| cross_account_role(name, &prod, "", fields);
    let (sid, key): (&[&str], &[&str]) =
        (&["Statement[2].Sid", "\"Read\" is the Sid of Statement[0] already"], &["line 2, column 57", "the key \"Effect\" stands twice"]);
    assert_refused(
        &tenant,
        &prod,
        &[
            ("sid-yaml", with("sid-yaml", &in_yaml(&sids)), "InvalidDocument", sid),
            ("sid-text", with("sid-text", &in_json(&sids.to_string())), "InvalidDocument", sid),
            ("sid-map", with("sid-map", &map("sids", "sids.json")), "InvalidDocument", &["Statement[2].Sid", "this is the Sid of Statement[0]"]),
            ("key-text", with("key-text", &in_json(keys)), "InvalidDocument", key),
            ("key-map", with("key-map", &map("keys", "keys.json")), "InvalidDocument", key),
            ("key-escaped", with("key-escaped", &in_json(escaped)), "InvalidDocument", &["line 1, column 98", "\"Action\" stands twice"]),
        ],
    )
    .await
}

/// The statements of a role's trust policy.
async fn statements_of(tenant: &Tenant<'_>, account: &Account, name: &str) -> Result<Vec<Value>> {
    let state = tenant.state(account).await?;
    let statements = &role(&state, name).with_context(|| format!("no role {name}"))?["assumeRolePolicyDocument"]["Statement"];
    Ok(if statements.is_array() { serde_json::from_value(statements.clone())? } else { vec![statements.clone()] })
}

/// Texts that would end a string, a statement or a policy, or stand for another text, if they were pasted instead of written.
#[tokio::test]
async fn row_32_quotes_and_variables_mean_in_a_policy_what_they_are_declared_to() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let hostile = r#"a"}}, {"Effect": "Allow", "Principal": {"AWS": "999999999999"}, "Action": "sts:AssumeRole"}, {"x": {"y": "\"#;
    let provider = prod.arn("oidc-provider/gitlab.example.com");
    let trust = |name: &str, source: &str, require: &str| {
        let trust = format!("[{{from: [{source}], require: {{{require}}}}}]");
        manifest("CrossAccountRole", name, &format!("{{accountRef: {{name: {}}}, trust: {trust}}}", prod.name))
    };
    let oidc = format!("{{oidc: {{providerARN: '{provider}', audience: {}, subject: {}}}}}", json!("a\"b\\c"), json!(hostile));
    let free = format!("conditions: {{StringEquals: {{'aws:username': {}}}, StringLike: {{{}: x}}}}", json!(hostile), json!("aws:PrincipalTag/a\"b"));
    let variable = "principalTags: {team: '${aws:username}'}, sessionName: '${aws:username}-*'";
    tenant.apply(&bastion_user("alice", &prod, "")).await?;
    let alice = "{user: {name: alice}}";
    tenant.apply(&(trust("token", &oidc, "") + &trust("free", alice, &free) + &trust("variable", alice, variable))).await?;
    for name in ["token", "free", "variable"] {
        tenant.ready(&tenant.roles(), name).await?;
    }
    let expected = json!({"gitlab.example.com:aud": "a\"b\\c", "gitlab.example.com:sub": hostile});
    let token = statements_of(&tenant, &prod, "token").await?;
    ensure!(token.len() == 1 && token[0]["Principal"] == json!({"Federated": provider}), "{token:#?}");
    assert_eq!(token[0]["Condition"], json!({"StringEquals": expected}));
    let free = statements_of(&tenant, &prod, "free").await?;
    ensure!(free.len() == 1 && free[0]["Principal"] == json!({"AWS": prod.arn("user/alice")}), "{free:#?}");
    assert_eq!(free[0]["Condition"], json!({"StringEquals": {"aws:username": hostile}, "StringLike": {"aws:PrincipalTag/a\"b": "x"}}));
    let variables = json!({"StringEquals": {"aws:PrincipalTag/team": "${aws:username}"}, "StringLike": {"sts:RoleSessionName": "${aws:username}-*"}});
    assert_eq!(statements_of(&tenant, &prod, "variable").await?[0]["Condition"], variables);

    // A policy of a tenant's own has its variables as it wrote them, and is refused where they would be none.
    let home = json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::home/${aws:username}/*", "Sid": "Home"});
    let new = json!({"Version": "2012-10-17", "Statement": [home]});
    let since = world.last_call().await?;
    for (name, document) in [("older", json!({"Version": "2008-10-17", "Statement": [home]})), ("none", json!({"Statement": [home]}))] {
        tenant.apply(&cross_account_role(name, &prod, "", &in_json(&document.to_string()))).await?;
        let refused = tenant.concluded(&tenant.roles(), name, "InvalidDocument").await?;
        assert_told(&refused, "Stalled", &["inlinePolicies[p].json", "Version: write \"2012-10-17\"", "take `${...}` for plain text"])?;
    }
    ensure!(world.calls_in(&prod, since).await?.is_empty());
    tenant.apply(&cross_account_role("new", &prod, "", &in_json(&new.to_string()))).await?;
    tenant.ready(&tenant.roles(), "new").await?;
    assert_eq!(role(&tenant.state(&prod).await?, "new").context("no role")?["inlinePolicies"]["p"], new);
    Ok(())
}

#[tokio::test]
async fn a_denial_that_does_not_reach_those_whom_it_means_is_warned_of() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", "").await?;
    let denial = json!({"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "false"}}});
    let document = json!({"Version": "2012-10-17", "Statement": [denial]});
    tenant.apply(&cross_account_role("reader", &prod, "", &in_json(&document.to_string()))).await?;
    let ready = tenant.ready(&tenant.roles(), "reader").await?;
    let message = condition(&ready, "Ready").map(|ready| ready.message.clone()).unwrap_or_default();
    let words = ["warning", "policy p", "Statement[0].Condition", "BoolIfExists"];
    ensure!(words.iter().all(|word| message.contains(word)), "{message}");
    Ok(())
}
