//! The layering rules of ARCHITECTURE.md, checked against the sources: who may name what, and what is done in one place only.

#![allow(clippy::unwrap_used, reason = "a source that cannot be read ends the test")]

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of code below `src/` of which a rule speaks, with where they stand. Unit tests, in files and modules called `tests`, may do what
/// they need.
fn lines(folder: &str) -> Vec<(PathBuf, usize, String)> {
    let mut found = vec![];
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder), &mut found);
    assert!(!found.is_empty(), "no sources in src/{folder}: the rule would say nothing");
    found
}

fn visit(path: &Path, found: &mut Vec<(PathBuf, usize, String)>) {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| visit(entry, found));
    } else if path.extension().is_some_and(|e| e == "rs") && path.file_name().is_some_and(|name| name != "tests.rs") {
        let text = fs::read_to_string(path).unwrap();
        let code =
            text.lines().enumerate().take_while(|(_, line)| line.trim() != "mod tests {").filter(|(_, line)| !line.trim_start().starts_with("//"));
        found.extend(code.map(|(n, line)| (path.to_path_buf(), n + 1, line.to_owned())));
    }
}

/// Whether a word stands in a line as a path segment of its own.
fn names(line: &str, word: &str) -> bool {
    let boundary = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    line.match_indices(word)
        .any(|(at, _)| boundary(line[..at].chars().next_back()) && (word.ends_with('_') || boundary(line[at + word.len()..].chars().next())))
}

fn forbid(folder: &str, words: &[&str], why: &str) {
    let offences: Vec<String> = lines(folder)
        .into_iter()
        .filter_map(|(path, n, line)| {
            words.iter().find(|word| names(&line, word)).map(|word| format!("{}:{n}: {word}: {}", path.display(), line.trim()))
        })
        .collect();
    assert!(offences.is_empty(), "{why}\n{}", offences.join("\n"));
}

/// Every file below `src/` that holds a text, outside comments.
fn files_with(text: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<String> = lines("")
        .into_iter()
        .filter(|(_, _, line)| line.contains(text))
        .map(|(path, ..)| path.strip_prefix(&root).unwrap().display().to_string())
        .collect();
    files.dedup();
    files
}

#[test]
fn the_rule_finds_words_and_not_parts_of_them() {
    assert!(names("use aws_sdk_iam::Client;", "aws_sdk_"));
    assert!(names("tokio::spawn(x)", "tokio"));
    assert!(!names("let tokio_like = 1;", "tokio"));
    assert!(names("x: crate::aws::Account", "crate::aws"));
}

/// What the crate in a folder depends on, beside its tests.
fn dependencies(folder: &str) -> Vec<String> {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("Cargo.toml")).unwrap();
    let below = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1).take_while(|line| !line.starts_with('['));
    below.filter(|line| !line.is_empty()).map(|line| line.split(['.', ' ']).next().unwrap().to_owned()).collect()
}

#[test]
fn crates_depend_on_what_they_may_and_on_nothing_else() {
    let core = ["ipnet", "jiff", "kube", "percent-encoding", "rolebridge-api", "serde", "serde_json", "thiserror"];
    assert_eq!(dependencies("src/core"), core, "src/core decides over plain values: no runtime, no client");
    let api = ["k8s-openapi", "kube", "schemars", "serde", "serde_json", "strum"];
    assert_eq!(dependencies("src/api"), api, "src/api is plain types");
    let of_clusters = dependencies("src/aws").into_iter().filter(|name| name.starts_with("kube") || name.starts_with("k8s"));
    assert_eq!(of_clusters.collect::<Vec<_>>(), Vec::<String>::new(), "src/aws knows of no cluster");
    let of_aws = dependencies(".").into_iter().filter(|name| name.starts_with("aws"));
    assert_eq!(of_aws.collect::<Vec<_>>(), Vec::<String>::new(), "the AWS SDK is named in src/aws only");
}

#[test]
fn the_core_is_pure() {
    for folder in ["api", "core"] {
        forbid(folder, &["async", "await", "kube::Client", "kube::Api", "kube::api"], "resources and decisions do no I/O");
    }
    let ambient = ["std::env", "std::fs", "std::net", "std::process", "SystemTime", "Instant", "Timestamp::now", "fastrand"];
    forbid("core", &ambient, "src/core reads no clock, environment or chance: what it needs comes in as an argument");
}

#[test]
fn only_the_controller_names_the_runtime_of_kube() {
    for folder in ["api", "core", "aws", "cli", "runtime"] {
        forbid(folder, &["kube::runtime"], "watches and queues are the controller's");
    }
}

#[test]
fn each_kind_of_write_to_the_cluster_is_in_one_place() {
    assert_eq!(files_with(".patch_status("), ["controller/report.rs"]);
    assert_eq!(files_with(".patch("), ["controller/report.rs"]);
    for write in ["PostParams", "DeleteParams", ".replace_status(", ".delete_collection(", ".create_subresource("] {
        assert_eq!(files_with(write), Vec::<String>::new(), "{write}");
    }
}

#[test]
fn aws_is_changed_through_plans_only() {
    assert_eq!(files_with(".execute("), ["controller/apply.rs"], "an action is carried out where plans are, and nowhere else");
}

#[test]
fn one_reconcile_function_serves_all_kinds() {
    let functions: Vec<String> =
        lines("controller").into_iter().filter(|(_, _, line)| line.contains("fn reconcile")).map(|(_, _, line)| line).collect();
    assert_eq!(functions.len(), 1, "{functions:?}");
}

#[test]
fn files_stay_small_enough_to_read() {
    let mut lengths = std::collections::BTreeMap::<PathBuf, usize>::new();
    lines("").into_iter().for_each(|(path, ..)| *lengths.entry(path).or_default() += 1);
    let long: Vec<_> = lengths.iter().filter(|(_, n)| **n > 600).collect();
    assert!(long.is_empty(), "two things in one room? {long:?}");
    let main = lengths.iter().find(|(path, _)| path.ends_with("src/main.rs")).unwrap();
    assert!(*main.1 < 80, "main only installs the crypto provider, parses and dispatches");
}
