//! What a person would have to remember: who may name whom, where things stand, and what no file may hold.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

mod cycles;
mod docs;
mod operator;

/// The longest that a Rust file may be, tests aside.
const MOST_LINES: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// The files of the project: what git has, and what it would take.
fn files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("the program `git`");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("UTF-8");
    let files: Vec<PathBuf> = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    let there: Vec<PathBuf> = files.into_iter().filter(|file| root().join(file).is_file()).collect();
    assert!(there.len() > 20, "these can't be all files: {there:?}");
    there
}

/// The text of a file; nothing for one that is no text.
fn text(file: &Path) -> String {
    let bytes = std::fs::read(root().join(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    String::from_utf8(bytes).unwrap_or_default()
}

fn rust_files() -> Vec<PathBuf> {
    files().into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The lines of a Rust file with their numbers, without its comments and the module of unit tests at its end.
fn code(file: &Path) -> Vec<(usize, String)> {
    let text = text(file);
    let mut lines = Vec::new();
    let mut previous = "";
    for (number, line) in text.lines().enumerate() {
        if previous.trim() == "#[cfg(test)]" && line.starts_with("mod ") && line.ends_with('{') {
            break;
        }
        previous = line;
        // A URL in a string is no comment.
        let comment = line.match_indices("//").map(|(at, _)| at).find(|at| !line[..*at].ends_with(':'));
        let line = &line[..comment.unwrap_or(line.len())];
        if !line.trim().is_empty() {
            lines.push((number + 1, line.to_owned()));
        }
    }
    lines
}

/// A file that is compiled for tests only.
fn is_test(file: &Path) -> bool {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    file.starts_with("tests")
        || matches!(stem, "tests" | "conformance" | "contract")
        || file.iter().any(|part| part == "conformance" || part == "contract")
}

/// The words of a line that are names: letters, digits and `_`.
fn names(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// The modules that a line names as `crate::MODULE`, also in a list: `crate::{a, b::c}`.
fn modules(line: &str) -> Vec<&str> {
    let mut modules = Vec::new();
    for (at, found) in line.match_indices("crate::") {
        if line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &line[at + found.len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            for item in list.split(',') {
                if depth == 0 {
                    modules.extend(names(item).next());
                }
                depth += item.matches('{').count();
                depth = depth.saturating_sub(item.matches('}').count());
            }
        } else {
            modules.extend(names(rest).next());
        }
    }
    modules
}

/// The module at the top of the crate that a file belongs to.
fn top(file: &Path) -> String {
    let below = file.strip_prefix("chat-server/src").expect("a file of the server");
    let first = below.iter().next().and_then(|part| part.to_str()).expect("a name");
    first.trim_end_matches(".rs").to_owned()
}

fn server_files() -> Vec<PathBuf> {
    let files: Vec<PathBuf> =
        rust_files().into_iter().filter(|file| file.starts_with("chat-server/src") && !is_test(file)).collect();
    assert!(files.len() > 10, "these can't be all files of the server: {files:?}");
    files
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n  {}", problems.join("\n  "));
}

/// `domain ← store ← service ← transport`, `domain, store ← delivery ← transport`, all `← node ← main`.
#[test]
fn imports_go_one_way() {
    // What is counted and followed, and which fault is injected, may be named at every step.
    let everywhere = ["observability", "fault_injection"];
    let mut problems = Vec::new();
    for file in server_files() {
        let own = top(&file);
        let allowed: &[&str] = match own.as_str() {
            "domain" | "lifecycle" | "fault_injection" => &[],
            "store" => &["domain"],
            "observability" => &["domain", "lifecycle"],
            "service" => &["domain", "store"],
            "delivery" => &["domain", "store"],
            "transport" => &["domain", "lifecycle", "store", "service", "delivery"],
            // They put together what there is.
            "node" | "lib" | "main" => continue,
            other => panic!("{} belongs to `{other}`: say in this test what it may name", file.display()),
        };
        for (number, line) in code(&file) {
            for module in modules(&line) {
                let known = own != "domain" && everywhere.contains(&module);
                if module != own && !known && !allowed.contains(&module) {
                    problems.push(format!("{}:{number}: `{own}` must not name `{module}`", file.display()));
                }
            }
        }
    }
    assert_none(&problems);
}

/// The domain is pure: std, serde and what derives errors, no clock, no I/O.
#[test]
fn the_domain_is_pure() {
    let foreign =
        ["tokio", "axum", "fred", "socketioxide", "tracing", "async_trait", "futures_util", "SystemTime", "Instant"];
    let mut problems = Vec::new();
    for file in server_files().into_iter().filter(|file| top(file) == "domain") {
        for (number, line) in code(&file) {
            for name in names(&line).filter(|name| foreign.contains(name)) {
                problems.push(format!("{}:{number}: {name}", file.display()));
            }
        }
    }
    assert_none(&problems);
}

/// Each big dependency has its place.
#[test]
fn a_library_is_named_only_where_it_belongs() {
    let mut problems = Vec::new();
    for file in rust_files().into_iter().filter(|file| !file.starts_with("tests")) {
        let name = file.to_str().expect("UTF-8");
        let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        let places = [
            ("fred", is(&["chat-server/src/store/redis"]) || file.ends_with("store/conformance.rs")),
            ("socketioxide", is(&["chat-server/src/transport/socketio"])),
            ("socketioxide_core", is(&["chat-server/src/transport/socketio"])),
            ("anyhow", file.ends_with("src/main.rs")),
        ];
        for (number, line) in code(&file) {
            for (library, allowed) in places {
                if !allowed && names(&line).any(|name| name == library) {
                    problems.push(format!("{name}:{number}: names `{library}`"));
                }
            }
        }
    }
    assert_none(&problems);
}

/// Workspace members never depend on each other; tests may.
#[test]
fn members_do_not_depend_on_each_other() {
    for (member, others) in [("chat-server", ["operator", "tests"]), ("operator", ["chat-server", "tests"])] {
        let manifest = text(&Path::new(member).join("Cargo.toml"));
        for other in others {
            let depends = manifest.lines().any(|line| line.split(['=', '.', ' ']).next() == Some(other));
            assert!(!depends, "{member} depends on {other}");
        }
    }
}

/// What `make test` runs needs neither Go nor containers: see tests/platform.rs.
#[test]
fn what_only_make_test_all_sets_up_is_named_only_in_platform() {
    let beyond = ["control_plane", "kubelet::", "helm::", "traefik::", "Deployment::compose", "Version::Eight"];
    let mut problems = Vec::new();
    let scenarios = rust_files().into_iter().filter(|file| file.parent() == Some(Path::new("tests")));
    for file in scenarios.filter(|file| !["harness.rs", "platform.rs", "tidy.rs"].iter().any(|own| file.ends_with(own)))
    {
        for (number, line) in code(&file) {
            let found = beyond.iter().filter(|word| line.contains(**word));
            problems.extend(found.map(|word| format!("{}:{number}: `{word}` is for tests/platform", file.display())));
        }
    }
    assert_none(&problems);
}

/// `foo.rs` beside `foo/`.
#[test]
fn no_module_is_a_mod_rs() {
    let found: Vec<String> = rust_files()
        .iter()
        .filter(|file| file.file_name().is_some_and(|name| name == "mod.rs"))
        .map(|file| file.display().to_string())
        .collect();
    assert_none(&found);
}

/// A file is split at its second subject; this is where nobody can deny it.
#[test]
fn no_rust_file_is_too_long() {
    let mut problems = Vec::new();
    for file in rust_files() {
        let lines = text(&file).lines().count();
        let counts = file.starts_with("tests") || !is_test(&file);
        if counts && lines > MOST_LINES {
            problems.push(format!("{}: {lines} lines, more than {MOST_LINES}", file.display()));
        }
    }
    assert_none(&problems);
}

/// Nothing may tie the project to the machine on which it was written: no package registry by name (lock files hold
/// checksums, and each machine has its own mirror), no one's home.
#[test]
fn no_file_names_a_registry_or_a_home() {
    // In two parts each, or this file would be the first to be found.
    let hosts = [
        ("registry.", "npmjs.org"),
        ("registry.", "yarnpkg.com"),
        ("files.python", "hosted.org"),
        ("pypi.", "org"),
        ("static.", "crates.io"),
        ("index.", "crates.io"),
        ("proxy.", "golang.org"),
        ("artif", "actory"),
    ]
    .map(|(left, right)| format!("{left}{right}"));
    let homes = [("/ro", "ot/"), ("/ho", "me/"), ("/Us", "ers/")].map(|(left, right)| format!("{left}{right}"));
    // A container's own user, by the name that its base image gives it.
    let container = format!("{}nonroot", homes[1]);
    let mut problems = BTreeSet::new();
    for file in files() {
        for (number, line) in text(&file).lines().enumerate() {
            let place = format!("{}:{}", file.display(), number + 1);
            for host in hosts.iter().filter(|host| line.contains(host.as_str())) {
                problems.insert(format!("{place}: {host}"));
            }
            for home in &homes {
                let is_path = |at: usize| {
                    let starts = !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_-.}$*".contains(c));
                    starts && !line[at..].starts_with(&container)
                };
                if line.match_indices(home.as_str()).any(|(at, _)| is_path(at)) {
                    problems.insert(format!("{place}: {home}"));
                }
            }
            let name = file.file_name().and_then(|name| name.to_str());
            if name == Some("package-lock.json") && line.trim_start().starts_with("\"resolved\": \"http") {
                problems.insert(format!("{place}: where a package was fetched from (see .npmrc)"));
            }
        }
    }
    let problems: Vec<String> = problems.into_iter().collect();
    assert_none(&problems);
}

/// What is in a lock file of JavaScript came with a checksum, and its folder says that no host is written down.
#[test]
fn npm_locks_hold_no_hosts() {
    let mut locks = 0;
    for lock in files().into_iter().filter(|file| file.ends_with("package-lock.json")) {
        locks += 1;
        let settings = lock.with_file_name(".npmrc");
        assert!(
            text(&settings).lines().any(|line| line.trim() == "omit-lockfile-registry-resolved=true"),
            "{} does not say omit-lockfile-registry-resolved=true",
            settings.display()
        );
    }
    assert!(locks > 0, "there are lock files of npm");
}
