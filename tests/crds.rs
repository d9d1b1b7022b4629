//! The CustomResourceDefinitions: the generated copies in `crds/` and in the chart are up to date, and the schemas keep the project's rules.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The CustomResourceDefinition of each kind, by the name of its file.
fn expected() -> Result<BTreeMap<String, Value>> {
    let crds = rolebridge::api::crds()?;
    crds.into_iter().map(|crd| Ok((format!("{}.yaml", crd.spec.names.plural), serde_json::to_value(crd)?))).collect()
}

/// The kind's name and the schema of its only version.
fn schemas() -> Result<Vec<(String, Value)>> {
    let schema = |crd: &Value| crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
    Ok(expected()?.values().map(|crd| (crd["spec"]["names"]["kind"].as_str().unwrap_or_default().to_owned(), schema(crd))).collect())
}

/// Calls `look` with the path and the schema of everything in `schema`, itself first.
fn walk(path: &str, schema: &Value, look: &mut dyn FnMut(&str, &Value)) {
    look(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, look);
    }
    if schema["items"].is_object() {
        walk(&format!("{path}[]"), &schema["items"], look);
    }
    if schema["additionalProperties"].is_object() {
        walk(&format!("{path}{{}}"), &schema["additionalProperties"], look);
    }
}

/// Everything in all schemas that `wrong` finds fault with, as `path: fault`.
fn faults(wrong: impl Fn(&Value) -> Option<String>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (kind, schema) in schemas()? {
        walk(&kind, &schema, &mut |path, part| found.extend(wrong(part).map(|fault| format!("{path}: {fault}"))));
    }
    Ok(found)
}

#[test]
fn the_generated_files_are_up_to_date() -> Result<()> {
    for folder in ["crds", "charts/rolebridge-crds/templates"] {
        is_up_to_date(folder)?;
    }
    Ok(())
}

fn is_up_to_date(place: &str) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
    let mut found = BTreeMap::new();
    for file in fs::read_dir(&folder).with_context(|| format!("{}; run `make generate`", folder.display()))? {
        let name = file?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".yaml") {
            let text = fs::read_to_string(folder.join(&name))?;
            found.insert(name.clone(), serde_saphyr::from_str::<Value>(&text).with_context(|| format!("{place}/{name}; run `make generate`"))?);
        }
    }
    let expected = rolebridge::api::installation_files()?;
    let names = |files: &BTreeMap<String, Value>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected), "the files in {place}/ are not those that the code gives; run `make generate`");
    let stale: Vec<_> = expected.iter().filter(|(name, content)| found.get(*name) != Some(content)).map(|(name, _)| name).collect();
    assert!(stale.is_empty(), "{stale:?} in {place}/ differ from what the code declares; run `make generate`");
    Ok(())
}

#[test]
fn acronyms_are_spelled_as_kubernetes_does() -> Result<()> {
    let misspelled = |name: &str| {
        ["Arn", "Id", "Url", "Uri", "Mfa", "Ip"].iter().any(|acronym| {
            name.match_indices(acronym).any(|(at, _)| !name[at + acronym.len()..].starts_with(|next: char| next.is_ascii_lowercase() && next != 's'))
        })
    };
    assert!(misspelled("roleArn") && misspelled("accountIds") && misspelled("signInUrl") && !misspelled("roleARN") && !misspelled("Identity"));
    let wrong = faults(|schema| {
        let properties = schema["properties"].as_object()?;
        // The elements of a policy document are IAM's, and so is their spelling.
        let is_document = properties.contains_key("Statement");
        let names: Vec<_> = properties.keys().filter(|name| !is_document && misspelled(name)).collect();
        (!names.is_empty()).then(|| format!("{names:?}; write ARN, ID, URL in capitals"))
    })?;
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[test]
fn nobody_comes_to_own_what_they_have_not_written() -> Result<()> {
    let mut found = vec![];
    for (kind, schema) in schemas()? {
        let spec = &schema["properties"]["spec"];
        for (name, field) in spec["properties"].as_object().context("no fields")? {
            walk(&format!("{kind}.spec.{name}"), field, &mut |path, part| found.extend(part.get("default").map(|_| path.to_owned())));
        }
    }
    assert_eq!(
        found,
        ["AWSAccount.spec.partition"],
        "a default below the first level; say it in the description, and set it when the object is read"
    );
    Ok(())
}

#[test]
fn nothing_is_nullable_and_everything_is_documented() -> Result<()> {
    let wrong = faults(|schema| schema.get("nullable").map(|_| "nullable".to_owned()))?;
    assert!(wrong.is_empty(), "{wrong:#?}");
    let wrong = faults(|schema| {
        let properties = schema["properties"].as_object()?;
        let silent = |(name, property): &(&String, &Value)| *name != "metadata" && property["description"].as_str().unwrap_or_default().is_empty();
        let silent: Vec<_> = properties.iter().filter(silent).map(|(name, _)| name).collect();
        (!silent.is_empty()).then(|| format!("no description of {silent:?}, so `kubectl explain` has nothing to say"))
    })?;
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[test]
fn every_list_map_and_string_is_bounded() -> Result<()> {
    let wrong = faults(|schema| {
        let bound = match schema["type"].as_str()? {
            "array" => "maxItems",
            "string" => "maxLength",
            "object" if schema["additionalProperties"].is_object() => "maxProperties",
            "object" if schema.get("properties").is_none() && schema.get("x-kubernetes-preserve-unknown-fields") != Some(&json!(true)) => {
                // An empty object such as `ambient: {}` holds nothing.
                return (schema.get("additionalProperties") == Some(&json!(true))).then(|| "an open map".to_owned());
            }
            _ => return None,
        };
        (schema.get(bound).is_none() && schema.get("enum").is_none()).then(|| format!("no {bound}"))
    })?;
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[test]
fn a_fresh_object_is_in_progress_and_conditions_are_a_map_by_type() -> Result<()> {
    for (kind, schema) in schemas()? {
        let status = &schema["properties"]["status"];
        assert_eq!(status["default"], json!({"observedGeneration": -1}), "{kind}");
        let conditions = &status["properties"]["conditions"];
        assert_eq!(conditions["x-kubernetes-list-type"], "map", "{kind}");
        assert_eq!(conditions["x-kubernetes-list-map-keys"], json!(["type"]), "{kind}");
        let required = conditions["items"]["required"].as_array().cloned().unwrap_or_default();
        for field in ["type", "status", "reason", "message", "lastTransitionTime"] {
            assert!(required.contains(&json!(field)), "{kind}: a condition without {field} is accepted");
        }
    }
    Ok(())
}

/// The schema that a printer column's path leads to: `.a.b[?(@.type=="Ready")].c`.
fn lookup<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    let mut at = schema;
    for segment in path.trim_start_matches('.').split('.').collect::<Vec<_>>().join(".").replace("@.", "@").split('.') {
        let (name, filter) = segment.split_once('[').map_or((segment, None), |(name, filter)| (name, Some(filter)));
        at = at["properties"].get(name)?;
        if let Some(filter) = filter {
            at = at.get("items")?;
            let key = filter.strip_prefix("?(@")?.split("==").next()?;
            at["properties"].get(key)?;
        }
    }
    Some(at)
}

#[test]
fn printer_columns_show_fields_that_exist() -> Result<()> {
    for (file, crd) in expected()? {
        let version = &crd["spec"]["versions"][0];
        let columns = version["additionalPrinterColumns"].as_array().with_context(|| format!("{file}: no columns"))?;
        for column in columns {
            let path = column["jsonPath"].as_str().unwrap_or_default();
            if path == ".metadata.creationTimestamp" {
                continue;
            }
            let shown = lookup(&version["schema"]["openAPIV3Schema"], path).with_context(|| format!("{file}: no field {path}"))?;
            assert_eq!(shown["type"], column["type"], "{file}: {path}");
        }
        assert!(columns.iter().any(|column| column["jsonPath"].as_str().unwrap_or_default().contains("ARN")), "{file}: no column shows the ARN");
        assert!(lookup(&version["schema"]["openAPIV3Schema"], ".spec.noSuchField").is_none(), "this test would not see a wrong path");
    }
    Ok(())
}

#[test]
fn kinds_can_be_listed_together_and_are_kept_by_gitops_tools() -> Result<()> {
    for (file, crd) in expected()? {
        assert_eq!(crd["spec"]["names"]["categories"], json!(["rolebridge"]), "{file}");
        assert_eq!(crd["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/prune"], "disabled", "{file}");
        assert_eq!(crd["metadata"]["annotations"]["argocd.argoproj.io/sync-options"], "Prune=false,Delete=false", "{file}");
    }
    Ok(())
}
