//! Files of one folder do not import each other in a circle.
//!
//! A folder `foo/` is judged together with its parent `foo.rs`: the parent and every child, a child with all
//! that is below it, are the nodes of one graph. An import is an edge of the graph of the smallest folder that
//! holds both files. So a child may import from its parent, or the parent from the child, but not both. `mod` and
//! re-exports (`pub use child::Item`) of the parent are no imports.
//!
//! Only paths count: a method that another file adds to a type by `impl` is not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{assert_none, code, is_test, rust_files};

/// The crates that are held to it.
const CRATES: [&str; 2] = ["chat-server/src", "operator/src"];

/// The path of a module below the root of its crate.
pub(super) type Module = Vec<String>;

#[test]
fn files_of_a_folder_do_not_import_each_other_in_a_circle() {
    let mut problems = Vec::new();
    for root in CRATES {
        problems.extend(circles(&modules(root)).iter().map(|circle| format!("{root}: {circle}")));
    }
    assert_none(&problems);
}

/// The modules of a crate with their code, those for tests aside.
pub(super) fn modules(root: &str) -> Vec<(Module, String)> {
    let modules: Vec<_> = rust_files()
        .iter()
        .filter(|file| file.starts_with(root) && !file.ends_with("main.rs") && !is_test(file))
        .filter(|file| !file.iter().any(|part| part == "tests"))
        .map(|file| {
            let lines: Vec<_> = code(file).into_iter().map(|(_, line)| line).collect();
            (module(file.strip_prefix(root).expect("a file of the crate")), lines.join("\n"))
        })
        .collect();
    assert!(modules.len() > 10, "these can't be all files of {root}");
    modules
}

fn module(file: &Path) -> Module {
    let path = file.with_extension("");
    let parts = path.iter().filter_map(|part| part.to_str()).map(str::to_owned);
    parts.filter(|part| part != "lib").collect()
}

/// Every circle, as the files in it.
fn circles(files: &[(Module, String)]) -> Vec<String> {
    let modules: BTreeSet<&[String]> = files.iter().map(|(module, _)| module.as_slice()).collect();
    // Folder -> file -> files that it imports. Within its folder a file is known by its name; the parent's is empty.
    let mut graphs: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (module, code) in files {
        for target in imports(module, code, &modules) {
            let shared = module.iter().zip(&target).take_while(|(one, other)| one == other).count();
            let name = |module: &[String]| module.get(shared).cloned().unwrap_or_default();
            let graph = graphs.entry(module[..shared].to_vec()).or_default();
            graph.entry(name(module)).or_default().insert(name(&target));
        }
    }
    let mut found = Vec::new();
    for (folder, graph) in &graphs {
        let mut rest: BTreeSet<&String> = graph.keys().collect();
        while let Some(start) = rest.pop_first() {
            let after = reachable(graph, start);
            let circle: BTreeSet<&String> =
                after.iter().copied().filter(|file| reachable(graph, file).contains(start)).collect();
            if !circle.is_empty() {
                rest.retain(|file| !circle.contains(file));
                let at = |file: &String| match file.as_str() {
                    "" => format!("{}.rs", folder.join("/")),
                    file => [folder.as_slice(), &[format!("{file}.rs")]].concat().join("/"),
                };
                found.push(circle.into_iter().map(at).collect::<Vec<_>>().join(" <-> "));
            }
        }
    }
    found
}

fn reachable<'a>(graph: &'a BTreeMap<String, BTreeSet<String>>, start: &String) -> BTreeSet<&'a String> {
    let mut seen = BTreeSet::new();
    let mut next: Vec<&String> = graph.get(start).into_iter().flatten().collect();
    while let Some(file) = next.pop() {
        if seen.insert(file) {
            next.extend(graph.get(file).into_iter().flatten());
        }
    }
    seen
}

/// The other modules that a module's code names.
pub(super) fn imports(module: &[String], code: &str, modules: &BTreeSet<&[String]>) -> BTreeSet<Module> {
    let children = modules.iter().filter(|other| other.len() == module.len() + 1 && other.starts_with(module));
    let starts: Vec<&str> = ["crate", "super", "self"]
        .into_iter()
        .chain(children.filter_map(|child| child.last()).map(String::as_str))
        .collect();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("::") {
        let before = &code[..at];
        let word = before.rfind(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(before, |end| &before[end + 1..]);
        let earlier = &before[..before.len() - word.len()];
        if earlier.ends_with("::") || !starts.contains(&word) {
            continue;
        }
        let reexports = is_reexport(earlier);
        for path in expand(&code[at - word.len()..]) {
            let Some(path) = absolute(module, &path) else { continue };
            let target = (0..=path.len()).rev().map(|length| &path[..length]).find(|part| modules.contains(part));
            let Some(target) = target.filter(|target| *target != module) else { continue };
            if !(reexports && target.starts_with(module)) {
                found.insert(target.to_vec());
            }
        }
    }
    found
}

/// Whether a path that comes next is one of `pub use`.
fn is_reexport(before: &str) -> bool {
    let Some(visibility) = before.strip_suffix("use ") else { return false };
    let start = visibility.rfind([';', '}', '\n']).map_or(0, |end| end + 1);
    visibility[start..].trim_start().starts_with("pub")
}

/// The paths of a tree such as `a::{b, c::{d, self}}`, at the start of the text.
fn expand(text: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    tree(text, &[], &mut paths);
    paths
}

/// Reads one tree below `path` and answers what comes after it.
fn tree<'a>(text: &'a str, path: &[String], paths: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                return rest;
            }
            if let Some(after) = rest.strip_prefix('}') {
                return after;
            }
            let after = tree(rest, path, paths);
            let after = after.trim_start();
            rest = match after.find([',', '}']) {
                Some(end) if after[end..].starts_with(',') => &after[end + 1..],
                Some(end) => &after[end..],
                None => "",
            };
        }
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let path = [path, &[word.to_owned()]].concat();
    match rest.strip_prefix("::") {
        Some(rest) => tree(rest, &path, paths),
        None => {
            paths.push(path);
            rest
        }
    }
}

/// A path as it is from the root of the crate, if it leads below it.
fn absolute(module: &[String], path: &[String]) -> Option<Module> {
    let (first, rest) = path.split_first()?;
    let mut at = match first.as_str() {
        "crate" => Vec::new(),
        "super" => module.split_last()?.1.to_vec(),
        "self" => module.to_vec(),
        child => [module, &[child.to_owned()]].concat(),
    };
    for part in rest {
        match part.as_str() {
            "super" => drop(at.pop()?),
            "self" => {}
            part => at.push(part.to_owned()),
        }
    }
    Some(at)
}

#[test]
fn circles_are_found() {
    let crate_of = |files: &[(&str, &str)]| -> Vec<String> {
        let files: Vec<_> = files.iter().map(|(file, code)| (module(Path::new(file)), (*code).to_owned())).collect();
        circles(&files)
    };
    let none: [&str; 0] = [];
    let siblings = [("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::{b::{self, X}, c};"), ("b.rs", "super::a::y()")];
    assert_eq!(crate_of(&siblings), ["a.rs <-> b.rs"]);
    // By way of what is below a sibling, and by way of a third.
    let below =
        [("a.rs", "use super::c::Z;"), ("c.rs", "mod d;"), ("c/d.rs", "use crate::b;"), ("b.rs", "crate::a::f()")];
    assert_eq!(crate_of(&below), ["a.rs <-> b.rs <-> c.rs"]);
    let parent = [("a.rs", "mod b;\nfn f() { b::g() }\nstruct S;"), ("a/b.rs", "use super::S;")];
    assert_eq!(crate_of(&parent), ["a.rs <-> a/b.rs"]);
    let reexport = [("a.rs", "mod b;\npub use b::T;\nstruct S;"), ("a/b.rs", "use super::S;")];
    assert_eq!(crate_of(&reexport), none);
    let one_way = [("a.rs", "use crate::b::{X, Y as Z};\nuse crate::c;"), ("b.rs", "use super::c::W;"), ("c.rs", "")];
    assert_eq!(crate_of(&one_way), none);
}
