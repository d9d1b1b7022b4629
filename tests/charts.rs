//! The charts agree with the rest of the project, as far as that can be told without Helm.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

fn read(path: &str) -> Result<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).with_context(|| path.to_owned())
}

fn yaml(path: &str) -> Result<Value> {
    serde_saphyr::from_str(&read(path)?).with_context(|| path.to_owned())
}

#[test]
fn the_charts_have_the_version_of_the_operator() -> Result<()> {
    for chart in ["rolebridge", "rolebridge-crds"] {
        let metadata = yaml(&format!("charts/{chart}/Chart.yaml"))?;
        for field in ["version", "appVersion"] {
            assert_eq!(metadata[field], env!("CARGO_PKG_VERSION"), "{field} of {chart}");
        }
    }
    Ok(())
}

/// The paths of all values, `image.tag`, with their defaults. What holds free-form content is one value.
fn values(of: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    match of.as_object().filter(|fields| !fields.is_empty() && path != "resources") {
        Some(fields) => {
            fields.iter().for_each(|(name, value)| values(value, &format!("{path}{}{name}", if path.is_empty() { "" } else { "." }), found))
        }
        None => found.push((path.to_owned(), of.clone())),
    }
}

#[test]
fn every_value_is_described_with_its_default_and_nothing_else_is() -> Result<()> {
    let mut expected = Vec::new();
    values(&yaml("charts/rolebridge/values.yaml")?, "", &mut expected);
    ensure!(expected.len() > 10);
    let readme = read("charts/rolebridge/README.md")?;
    let table = readme.split("\n## ").find(|section| section.starts_with("Values")).context("no section of the values")?;
    let rows: Vec<Vec<&str>> = table.lines().filter(|line| line.starts_with("| `")).map(|line| line.split(" | ").collect()).collect();
    let described: Vec<&str> = rows.iter().filter_map(|row| row.first()?.strip_prefix("| `")?.strip_suffix('`')).collect();
    let names: Vec<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    let mut sorted = (described.clone(), names);
    sorted.0.sort_unstable();
    sorted.1.sort_unstable();
    assert_eq!(sorted.0, sorted.1, "the rows of the README, and the values");
    for (name, default) in &expected {
        let row = rows.iter().find(|row| row[0] == format!("| `{name}`")).context("no row")?;
        let told: Value = serde_saphyr::from_str(row.get(1).context("no default")?.trim_matches('`')).with_context(|| name.clone())?;
        assert_eq!(&told, default, "the default of {name}");
    }
    Ok(())
}

#[test]
fn every_value_has_a_schema() -> Result<()> {
    let schema: Value = serde_json::from_str(&read("charts/rolebridge/values.schema.json")?)?;
    let mut all = Vec::new();
    values(&yaml("charts/rolebridge/values.yaml")?, "", &mut all);
    for (name, _) in all {
        let pointer: String = name.split('.').map(|part| format!("/properties/{part}")).collect();
        ensure!(schema.pointer(&pointer).is_some(), "{name} has no schema");
    }
    Ok(())
}

#[test]
fn secrets_are_read_by_name_only() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/rolebridge/templates");
    let mut rules = 0;
    for file in fs::read_dir(&folder)? {
        let text = fs::read_to_string(file?.path())?;
        for rule in text.split("- apiGroups:").skip(1).filter(|rule| rule.lines().any(|line| line.contains("resources:") && line.contains("secrets")))
        {
            rules += 1;
            ensure!(rule.contains("resourceNames:") && rule.contains("verbs: [get]\n"), "{rule}");
        }
        ensure!(!text.contains("[\"*\"]") && !text.contains("['*']"), "a wildcard has Secrets in it");
    }
    assert_eq!(rules, 1);
    Ok(())
}
