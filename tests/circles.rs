//! No circle of files: what a file uses uses nothing of it, be it through others. So every file can be read, tested and moved without those that use it.

#![allow(clippy::unwrap_used, reason = "a source that cannot be read ends the test")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;

use syn::{Attribute, Item, UseTree, Visibility};

/// A module, by the names from the root of its crate.
type Module = Vec<String>;

/// Where the sources of each crate begin. Between crates cargo allows no circle.
const CRATES: [&str; 7] = ["src", "src/api", "src/core", "src/aws", "testbed/src", "testbed/aws/src", "tests/simulation/src"];

/// What a file says of others.
#[derive(Default)]
struct File {
    /// The paths that it uses, from the root of the crate.
    uses: Vec<Vec<String>>,
    /// What it passes on from other files, by the name that it has here.
    passed_on: BTreeMap<String, Vec<String>>,
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    };
    attributes.iter().any(is_test)
}

/// The paths of a `use`, each with the name that it has afterwards.
fn paths(tree: &UseTree, before: &[String], found: &mut Vec<(Vec<String>, String)>) {
    let with = |name: String| [before, &[name]].concat();
    match tree {
        UseTree::Path(path) => paths(&path.tree, &with(path.ident.to_string()), found),
        UseTree::Name(name) if name.ident == "self" => found.push((before.to_vec(), before.last().cloned().unwrap_or_default())),
        UseTree::Name(name) => found.push((with(name.ident.to_string()), name.ident.to_string())),
        UseTree::Rename(rename) => found.push((with(rename.ident.to_string()), rename.rename.to_string())),
        UseTree::Glob(_) => found.push((before.to_vec(), "*".into())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| paths(tree, before, found)),
    }
}

/// A path as it is written in a module, from the root of the crate; None where it leads out of the crate.
fn from_root(module: &Module, path: &[String], files: &BTreeSet<Module>) -> Option<Vec<String>> {
    let ups = path.iter().take_while(|name| *name == "super").count();
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([module, &path[1..]].concat()),
        "super" => Some([&module[..module.len().checked_sub(ups)?], &path[ups..]].concat()),
        child => files.contains(&[module.as_slice(), &[child.to_owned()]].concat()).then(|| [module.as_slice(), path].concat()),
    }
}

fn files_of(root: &Path, folder: &Path, found: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name == "tests" {
            continue;
        }
        if path.is_dir() {
            // A crate within is one of its own.
            if !path.join("Cargo.toml").exists() {
                files_of(root, &path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let inner = path.strip_prefix(root).unwrap().with_extension("");
            let mut module: Module = inner.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            // Beside a library the program is a crate of its own.
            if ["mod", "lib"].contains(&name.as_str()) || (name == "main" && !root.join("lib.rs").exists()) {
                module.pop();
            }
            found.insert(module, fs::read_to_string(&path).unwrap());
        }
    }
}

fn read(text: &str, module: &Module, files: &BTreeSet<Module>) -> File {
    let mut file = File::default();
    for item in syn::parse_file(text).unwrap().items {
        let Item::Use(item) = item else { continue };
        if is_for_tests(&item.attrs) {
            continue;
        }
        let mut found = vec![];
        paths(&item.tree, &[], &mut found);
        for (path, name) in found {
            let Some(path) = from_root(module, &path, files) else { continue };
            match item.vis {
                Visibility::Inherited => file.uses.push(path),
                _ => drop(file.passed_on.insert(name, path)),
            }
        }
    }
    file
}

/// The file that a path leads to, through those that pass it on.
fn file_of(path: &[String], files: &BTreeMap<Module, File>, steps: u32) -> Option<Module> {
    let (length, file) = (0..=path.len()).rev().find_map(|length| Some((length, files.get(&path[..length])?)))?;
    match path.get(length).and_then(|name| file.passed_on.get(name)) {
        Some(other) if steps > 0 => file_of(&[other.as_slice(), &path[length + 1..]].concat(), files, steps - 1),
        _ => Some(path[..length].to_vec()),
    }
}

/// The files that each file uses.
fn uses(root: &str) -> BTreeMap<Module, BTreeSet<Module>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let mut texts = BTreeMap::new();
    files_of(&root, &root, &mut texts);
    let names: BTreeSet<Module> = texts.keys().cloned().collect();
    let files: BTreeMap<Module, File> = texts.iter().map(|(module, text)| (module.clone(), read(text, module, &names))).collect();
    let used = |module: &Module, file: &File| file.uses.iter().filter_map(|path| file_of(path, &files, 8)).filter(|other| other != module).collect();
    files.iter().map(|(module, file)| (module.clone(), used(module, file))).collect()
}

/// The shortest way from a file back to itself.
fn circle(from: &Module, uses: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<Module>> {
    let mut came_from: BTreeMap<&Module, &Module> = BTreeMap::new();
    let mut next: VecDeque<&Module> = [from].into();
    while let Some(file) = next.pop_front() {
        for other in &uses[file] {
            if other == from {
                let mut way = vec![from.clone(), file.clone()];
                while let Some(before) = came_from.get(way.last()?) {
                    way.push((*before).clone());
                }
                way.reverse();
                return Some(way);
            }
            if !came_from.contains_key(other) {
                came_from.insert(other, file);
                next.push_back(other);
            }
        }
    }
    None
}

#[test]
fn a_circle_is_found_and_told_by_its_way() {
    let module = |name: &str| vec![name.to_owned()];
    let uses = [("a", vec!["b"]), ("b", vec!["c", "d"]), ("c", vec!["a"]), ("d", vec![])];
    let uses = uses.into_iter().map(|(file, used)| (module(file), used.into_iter().map(module).collect())).collect();
    let told = |from: &str| circle(&module(from), &uses).map(|way| way.concat().concat());
    assert_eq!((told("a"), told("c"), told("d")), (Some("abca".into()), Some("cabc".into()), None));
}

#[test]
fn a_use_is_read_in_all_its_forms() {
    let files: BTreeSet<Module> = [vec![], vec!["core".into()], vec!["core".into(), "plan".into()]].into();
    let text = "use super::{action::Action, names as n}; use crate::api::Reason; use std::fmt; use order::Most; pub use plan::Plan; #[cfg(test)] use crate::x;";
    let file = read(text, &vec!["core".into()], &files);
    let told: Vec<String> = file.uses.iter().map(|path| path.join("::")).collect();
    assert_eq!(told, ["action::Action", "names", "api::Reason"]);
    assert_eq!(file.passed_on["Plan"].join("::"), "core::plan::Plan");
}

#[test]
fn no_file_uses_what_uses_it() {
    for root in CRATES {
        let uses = uses(root);
        assert!(uses.values().any(|used| !used.is_empty()), "nothing is read in {root}: the rule would say nothing");
        let told = |way: Vec<Module>| way.iter().map(|file| file.join("::")).collect::<Vec<_>>().join(" uses ");
        let circles: Vec<String> = uses.keys().filter_map(|file| circle(file, &uses)).map(told).collect();
        assert!(circles.is_empty(), "circles in {root}:\n{}", circles.join("\n"));
    }
}
