//! What docs/reference/permissions.md shows of permissions, applied: each `permissions` becomes what stands below it.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rolebridge_testbed::aws_sim::AccountState;
use serde_json::{Map, Value, json};

use crate::support::{LIST, World, config_map, role};

/// The tag of what Rolebridge made.
const OWNER: &str = "rolebridge.io/owner";
/// The account of the page.
const PROD: &str = "222222222222";

/// A `permissions` on the page, and what a role has in IAM by it.
#[derive(Debug)]
struct Example {
    permissions: String,
    becomes: Value,
}

/// The examples of the page. Each block of YAML has one of JSON below it.
fn read(text: &str) -> Result<Vec<Example>> {
    let (mut examples, mut yaml, mut lines) = (vec![], None, text.lines());
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let block = block.join("\n");
        match (language, yaml.take()) {
            ("yaml", None) if block.starts_with("permissions:\n") => yaml = Some(block),
            ("json", Some(permissions)) => examples.push(Example { permissions, becomes: serde_json::from_str(&block).context(block)? }),
            (_, before) => bail!("a block that nothing tests, after {before:?}:\n{block}"),
        }
    }
    ensure!(yaml.is_none(), "nothing becomes of {yaml:?}");
    Ok(examples)
}

/// What a role has in IAM, in the words of the page.
fn there(state: &AccountState, name: &str) -> Result<Value> {
    let role = role(state, name).context("no role")?;
    let mut there = Map::new();
    let attached: Vec<&str> = role["attachedPolicies"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let is_its_own = |policy: &&Value| attached.contains(&policy["arn"].as_str().unwrap_or_default()) && policy["tags"].get(OWNER).is_some();
    let policies: Map<String, Value> = state.policies.iter().filter(is_its_own).filter_map(named).collect();
    there.insert("attached".into(), json!(attached));
    there.insert("inline".into(), role["inlinePolicies"].clone());
    there.insert("policies".into(), policies.into());
    there.retain(|_, value| value.as_array().is_none_or(|list| !list.is_empty()) && value.as_object().is_none_or(|map| !map.is_empty()));
    Ok(plain(&there.into()))
}

/// Name and document of a customer-managed policy.
fn named(policy: &Value) -> Option<(String, Value)> {
    let current = policy["versions"].get(policy["defaultVersionID"].as_str()?)?;
    Some((policy["policyName"].as_str()?.to_owned(), current.clone()))
}

/// The same with each value as a list, and as a text: IAM does not tell a value from a list of one, nor a number from its text.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        Value::Array(items) => items.iter().map(|item| if item.is_object() { plain(item) } else { item.clone() }).collect::<Vec<_>>().into(),
        Value::Bool(_) | Value::Number(_) => json!([value.to_string()]),
        scalar => json!([scalar]),
    }
}

#[tokio::test]
async fn every_example_of_the_reference_becomes_what_stands_below_it() -> Result<()> {
    let world = World::with_operator().await?;
    let tenant = world.tenant().await?;
    let prod = tenant.ready_account("prod", &format!("guardrails: {{allowedExternalRoles: ['arn:aws:iam::{PROD}:role/cdk-*']}}")).await?;
    prod.iam.create_policy().policy_name("shared-logs").policy_document(LIST).send().await?;
    let of_the_file = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:ListAllMyBuckets"], "Resource": "*"}]});
    tenant.apply(&config_map("team-policies", "list.json", &of_the_file.to_string())).await?;
    let page = fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/reference/permissions.md"))?;
    // Roles of others may be anywhere, and are left where they are.
    let page = page.replace(PROD, &prod.id).replace(&format!("{}:role/cdk", prod.id), &format!("{PROD}:role/cdk"));
    let examples = read(&page)?;
    ensure!(examples.len() >= 12, "{} examples", examples.len());
    let name = |number: usize| format!("example-{number}");
    for (number, example) in examples.iter().enumerate() {
        let mut spec: Value = serde_saphyr::from_str(&example.permissions).with_context(|| example.permissions.clone())?;
        spec["accountRef"] = json!({"name": prod.name});
        spec["trust"] = json!([]);
        let object = json!({"apiVersion": "rolebridge.io/v1alpha1", "kind": "CrossAccountRole", "metadata": {"name": name(number)}, "spec": spec});
        tenant.apply(&object.to_string()).await?;
    }
    for (number, example) in examples.iter().enumerate() {
        tenant.ready(&tenant.roles(), &name(number)).await.with_context(|| example.permissions.clone())?;
        let (made, told) = (there(&tenant.state(&prod).await?, &name(number))?, plain(&example.becomes));
        ensure!(made == told, "{}\nbecomes\n{made:#}\nand not\n{told:#}", example.permissions);
    }
    Ok(())
}

#[test]
fn a_page_is_read_whole_or_refused() {
    let (yaml, json) = ("```yaml\npermissions:\n  attachedPolicies: [x]\n```\n", "```json\n{\"attached\": []}\n```\n");
    assert_eq!(read(&format!("{yaml}{json}text\n{yaml}{json}")).expect("a page").len(), 2);
    for wrong in
        [yaml.to_owned(), json.to_owned(), format!("{yaml}{yaml}{json}"), format!("```yaml\nspec: {{}}\n```\n{json}"), "```console\n```\n".to_owned()]
    {
        assert!(read(&wrong).is_err(), "taken:\n{wrong}");
    }
}
