//! What docs/reference/trust.md shows of trust, applied: each `trust` becomes the statements that stand below it, and lets in the tokens that these ask for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use anyhow::{Context, Result, bail, ensure};
use rolebridge_testbed::aws_sim::{AccountState, WebIdentity};
use serde_json::{Value, json};

use crate::support::{Account, Tenant, World, bastion_user, cross_account_role, role};

/// The accounts of the page: those of who asks, of the role, and of others.
const UTILS: &str = "111111111111";
const PROD: &str = "222222222222";
const OTHERS: &str = "333333333333";

/// A `trust` on the page, and what stands below it.
#[derive(Debug)]
struct Example {
    /// The section that it is in, as links name it.
    section: String,
    /// The `trust`, as YAML.
    trust: String,
    /// What is to be in the trust policy.
    statements: Vec<Value>,
    /// What is to be in policies of the sources.
    rights: Vec<Value>,
}

/// What the page has: the sections to which the table of who wants in leads, one for each row, and its examples.
#[derive(Debug, Default)]
struct Page {
    rows: Vec<String>,
    examples: Vec<Example>,
}

/// A heading as links name it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || "- ".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Reads a page. Each block of YAML is a `trust`, and each block of JSON says what becomes of the one before it in its section.
fn read(text: &str) -> Result<Page> {
    let (mut page, mut section) = (Page::default(), String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with('#') {
            section = anchor(line.trim_start_matches('#'));
        } else if let Some(row) = line.strip_prefix("| [").filter(|_| section == "who-wants-in") {
            let (_, link) = row.split_once("](#").with_context(|| format!("no link: {line}"))?;
            page.rows.push(link.split(')').next().unwrap_or_default().to_owned());
        } else if let Some(language) = line.trim_start().strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
            let block = block.join("\n");
            match language {
                "yaml" => {
                    ensure!(block.starts_with("trust:\n"), "not a whole trust, so that nothing tests it, in {section}:\n{block}");
                    page.examples.push(Example { section: section.clone(), trust: block, statements: vec![], rights: vec![] });
                }
                "json" => {
                    let example = page.examples.last_mut().filter(|example| example.section == section);
                    let example = example.with_context(|| format!("what becomes of nothing, in {section}:\n{block}"))?;
                    let all: Value = serde_json::from_str(&block).with_context(|| block.clone())?;
                    let (statements, rights): (Vec<Value>, Vec<Value>) = list(&all).into_iter().partition(|one| one.get("Principal").is_some());
                    example.statements.extend(statements);
                    example.rights.extend(rights);
                }
                other => bail!("a block of {other:?} in {section}: nothing tests it"),
            }
        }
    }
    for row in &page.rows {
        ensure!(page.examples.iter().any(|example| example.section == *row), "no example in {row}");
    }
    ensure!(page.rows.iter().collect::<BTreeSet<_>>().len() == page.rows.len(), "each row has a section of its own: {:?}", page.rows);
    match page.examples.iter().find(|example| example.statements.is_empty()) {
        Some(untold) => bail!("no statement below an example in {}:\n{}", untold.section, untold.trust),
        None => Ok(page),
    }
}

/// One value or a list, as a list.
fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

/// The same with each value as a list, in order: IAM does not tell these apart.
fn plain(value: &Value) -> Value {
    if let Some(fields) = value.as_object() {
        return fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect();
    }
    let mut items: Vec<Value> = list(value).into_iter().map(|item| if item.is_object() { plain(&item) } else { item }).collect();
    items.sort_by_key(Value::to_string);
    Value::Array(items)
}

/// A token that a statement asks for, by provider, and the claims of it that the statement looks at beside the audience.
fn token(statement: &Value) -> Option<(WebIdentity, Vec<String>)> {
    (statement["Action"] == "sts:AssumeRoleWithWebIdentity").then_some(())?;
    let provider = statement["Principal"]["Federated"].as_str()?;
    let issuer = provider.split_once(":oidc-provider/").map_or(provider, |(_, issuer)| issuer);
    let conditions = statement["Condition"].as_object()?.values().filter_map(Value::as_object).flatten();
    let claims = conditions.filter_map(|(key, values)| {
        let claim = key.strip_prefix(issuer)?.strip_prefix(':')?;
        Some((claim.to_owned(), list(values).first()?.as_str()?.replace('*', "x").into()))
    });
    let claims: serde_json::Map<String, Value> = claims.collect();
    let told = claims.keys().filter(|claim| *claim != "aud").cloned().collect();
    Some((WebIdentity { claims, ..WebIdentity::of(&format!("https://{issuer}"), "somebody") }, told))
}

/// The page with the tenant's accounts in place of its own.
fn page(utils: &Account, prod: &Account, others: &Account) -> Result<Page> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/reference/trust.md");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    read(&text.replace(UTILS, &utils.id).replace(PROD, &prod.id).replace(OTHERS, &others.id))
}

/// The role of an example.
fn manifest(example: &Example, name: &str, utils: &Account, prod: &Account) -> Result<Value> {
    let mut spec: Value = serde_saphyr::from_str(&example.trust).with_context(|| example.trust.clone())?;
    for source in spec["trust"].as_array_mut().into_iter().flatten().filter_map(|entry| entry["from"].as_array_mut()).flatten() {
        if source["account"] == "utils" {
            source["account"] = utils.name.as_str().into();
        }
    }
    spec["accountRef"] = json!({"name": prod.name});
    Ok(json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "CrossAccountRole", "metadata": {"name": name}, "spec": spec}))
}

/// What the page says of who is there beside the role: people, roles, providers, and a role of others.
async fn surroundings(tenant: &Tenant<'_>, utils: &Account, others: &Account, prod: &Account, page: &Page) -> Result<()> {
    let person = |name: &str| bastion_user(name, utils, "").replacen(&format!("name: {name}"), &format!("name: {name}, labels: {{team: data}}"), 1);
    let cluster = format!("arn:aws:eks:eu-central-1:{}:cluster/main", utils.id);
    let pods = format!("{{podIdentity: {{clusterARN: '{cluster}', namespace: build, name: deployer}}}}");
    let untagged = pods.replace("name: deployer", "name: deployer, sessionTags: false");
    let roles = cross_account_role("operations", utils, "{user: {name: alice}}", "")
        + &cross_account_role("pods", utils, &pods, "")
        + &cross_account_role("untagged-pods", utils, &untagged, "");
    tenant.apply(&(person("alice") + &person("bob") + &roles)).await?;
    for name in ["operations", "pods", "untagged-pods"] {
        tenant.ready(&tenant.roles(), name).await?;
    }
    let nobody = json!({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}});
    others.iam.create_role().role_name("vendor").assume_role_policy_document(nobody.to_string()).send().await?;
    let mut providers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let tokens = page.examples.iter().flat_map(|example| &example.statements).filter_map(token);
    for (token, _) in tokens.filter(|(token, _)| !token.provider_url.contains("cognito")) {
        let audience = token.claims["aud"].as_str().unwrap_or_default().to_owned();
        providers.entry(token.provider_url).or_default().insert(audience);
    }
    for (url, audiences) in providers {
        let making = prod.iam.create_open_id_connect_provider().url(url);
        making.set_client_id_list(Some(audiences.into_iter().collect())).send().await?;
    }
    Ok(())
}

/// The statements of all inline policies in an account.
fn rights(state: &AccountState) -> impl Iterator<Item = Value> {
    let policies = state.users.iter().chain(&state.roles).filter_map(|owner| owner["inlinePolicies"].as_object());
    policies.flat_map(|policies| policies.values()).flat_map(|policy| list(&policy["Statement"]))
}

#[tokio::test]
async fn every_example_of_the_reference_becomes_what_stands_below_it_and_lets_in_the_tokens_of_that() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let (utils, others) = (tenant.ready_account("utils", "guardrails: {podIdentityWithoutTags: true}").await?, tenant.bare_account("others").await?);
    let allowed = format!(
        "accountRootTrust: true, podIdentityWithoutTags: true, allowedIdentityProviders: ['*', 'cognito-identity.amazonaws.com/*'], allowedPrincipals: ['{}']",
        others.arn("role/*")
    );
    let prod = tenant.ready_account("prod", &format!("guardrails: {{{allowed}}}")).await?;
    let page = page(&utils, &prod, &others)?;
    ensure!(page.rows.len() >= 20 && page.examples.len() >= page.rows.len(), "{} rows, {} examples", page.rows.len(), page.examples.len());
    surroundings(&tenant, &utils, &others, &prod, &page).await?;
    let name = |number: usize| format!("example-{number}");
    for (number, example) in page.examples.iter().enumerate() {
        tenant.apply(&manifest(example, &name(number), &utils, &prod)?.to_string()).await?;
    }
    for (number, example) in page.examples.iter().enumerate() {
        tenant.ready(&tenant.roles(), &name(number)).await.with_context(|| example.section.clone())?;
    }
    for user in ["alice", "bob"] {
        tenant.ready(&tenant.users(), user).await?;
    }
    let (there, at_home) = (tenant.state(&prod).await?, tenant.state(&utils).await?);
    let mut tokens = 0;
    for (number, example) in page.examples.iter().enumerate() {
        let (name, arn) = (name(number), prod.arn(&format!("role/{}", name(number))));
        let policy = role(&there, &name).context("no role")?["assumeRolePolicyDocument"].clone();
        let (made, told) = (plain(&policy["Statement"]), plain(&json!(example.statements)));
        ensure!(made == told, "{}:\n{}\nbecomes\n{made:#}\nand not\n{told:#}", example.section, example.trust);
        for right in &example.rights {
            let resource = right["Resource"].as_str().map(|resource| resource.replace("role/reader", &format!("role/{name}")));
            let is_it = |there: &Value| {
                let resources = list(&there["Resource"]);
                ["Effect", "Action", "Condition"].iter().all(|key| plain(&there[*key]) == plain(&right[*key])) && resources.contains(&json!(resource))
            };
            ensure!(resource.as_ref() == Some(&arn), "a right to something else: {right}");
            ensure!(rights(&at_home).any(|there| is_it(&there)), "{}: nobody has {right} on {name}", example.section);
        }
        for (token, claims) in example.statements.iter().filter_map(token) {
            ensure!(world.assume_by(&token, &arn).await?.is_some(), "{}: {token:?} does not come in", example.section);
            for claim in &claims {
                let mut other = token.clone();
                other.claims.insert(claim.clone(), "other".into());
                ensure!(world.assume_by(&other, &arn).await?.is_none(), "{}: {other:?} comes in", example.section);
            }
            ensure!(!claims.is_empty(), "{}: everybody with a token comes in", example.section);
            tokens += 1;
        }
    }
    ensure!(tokens >= 10, "{tokens} tokens were tried");
    Ok(())
}

#[test]
fn a_page_is_read_whole_or_refused() -> Result<()> {
    let table = "## Who wants in\n| who | what |\n|---|---|\n| [somebody](#a-person) | `user` |\n";
    let (yaml, json) = ("```yaml\ntrust:\n  - from: [{user: {name: alice}}]\n```\n", "```json\n{\"Principal\": {\"AWS\": \"x\"}}\n```\n");
    let whole = format!("{table}### A person\n{yaml}{json}```json\n[{{\"Resource\": \"y\"}}]\n```\n");
    let page = read(&whole)?;
    ensure!(page.rows == ["a-person"] && page.examples.len() == 1, "{page:?}");
    ensure!(page.examples[0].statements.len() == 1 && page.examples[0].rights == [json!({"Resource": "y"})], "{page:?}");
    for (wrong, why) in [
        (format!("{table}### Another\n{yaml}{json}"), "no example in a-person"),
        (format!("{table}### A person\n{yaml}"), "no statement below"),
        (format!("{table}### A person\n{yaml}### Next\n{json}"), "what becomes of nothing"),
        (format!("{table}### A person\n```yaml\n- from: []\n```\n{json}"), "not a whole trust"),
        (format!("{whole}| [again](#a-person) |\n## Who wants in\n| [again](#a-person) |\n"), "a section of its own"),
        (format!("{table}### A person\n```YAML\ntrust:\n```\n"), "nothing tests it"),
    ] {
        let error = read(&wrong).err().with_context(|| format!("taken:\n{wrong}"))?.to_string();
        ensure!(error.contains(why), "{error}");
    }
    Ok(())
}
