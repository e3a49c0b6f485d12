//! The operator: which way its imports go, and which of its modules are pure.

use std::collections::BTreeSet;
use std::path::Path;

use super::cycles::{imports, modules};
use super::{assert_none, code, is_test, rust_files, text};

/// Modules from the bottom up. Each may import from layers below its own, and from its own children and parent.
const LAYERS: [&[&str]; 12] = [
    &["api"],
    &["metrics", "crd_check", "manifest"],
    &["controller/names", "controller/error", "controller/quantity", "controller/backoff"],
    &["controller/fleet", "controller/caches", "controller/compare", "controller/dereference", "controller/pods"],
    &["controller/validate", "controller/admin"],
    &["controller/build", "controller/writer"],
    &["controller/optional_resources", "controller/execute"],
    &["controller/apply", "controller/status"],
    &["controller/report"],
    &["controller/context"],
    &["controller/reconcile"],
    // They put together what there is.
    &["controller", "leader", "http"],
];

#[test]
fn imports_of_the_operator_go_one_way() {
    let files = modules("operator/src");
    let known: BTreeSet<&[String]> = files.iter().map(|(module, _)| module.as_slice()).collect();
    let part = |module: &[String]| {
        let length = if module.first().is_some_and(|first| first == "controller") { 2 } else { 1 };
        module.iter().take(length).map(String::as_str).collect::<Vec<_>>().join("/")
    };
    let layer = |part: &str| LAYERS.iter().position(|layer| layer.contains(&part));
    let mut problems = Vec::new();
    // The crate's root and `run` may name everything.
    for (module, code) in files.iter().filter(|(module, _)| !["", "run"].contains(&part(module).as_str())) {
        let own = part(module);
        let Some(from) = layer(&own) else { panic!("`{own}`: say in this test in which layer it is") };
        for target in imports(module, code, &known).iter().map(|target| part(target)).filter(|target| *target != own) {
            if layer(&target).is_none_or(|to| to >= from) {
                problems.push(format!("operator/src/{}.rs must not import `{target}`", module.join("/")));
            }
        }
    }
    assert_none(&problems);
}

/// Desired state, plans and status are computed without an API server, a clock or a wait.
#[test]
fn desired_state_plans_and_status_are_pure() {
    let pure = [
        "api",
        "controller/build",
        "controller/compare",
        "controller/fleet",
        "controller/status",
        "controller/validate",
    ];
    let impure = ["async ", ".await", "kube::Client", "Api<", "Timestamp::now", "SystemTime", "Instant", "getrandom"];
    let mut problems = Vec::new();
    let mut seen = 0;
    for file in rust_files().into_iter().filter(|file| file.starts_with("operator/src") && !is_test(file)) {
        let path = file.to_string_lossy().trim_start_matches("operator/src/").trim_end_matches(".rs").to_owned();
        if !pure.iter().any(|pure| path == *pure || path.starts_with(&format!("{pure}/"))) {
            continue;
        }
        seen += 1;
        for (number, line) in code(&file) {
            problems.extend(
                impure
                    .iter()
                    .filter(|word| line.contains(**word))
                    .map(|word| format!("{}:{number}: {word}", file.display())),
            );
        }
    }
    assert!(seen > 15, "these can't be all: {seen}");
    assert_none(&problems);
}

/// The operator knows a problem of Redis by how the node's message begins. A node that words it differently would only
/// be reported as not ready.
#[test]
fn the_operator_knows_the_messages_of_the_nodes_about_redis() {
    let known = text(Path::new("operator/src/controller/status/redis.rs"));
    let known: Vec<&str> =
        known.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.split('"').next()).collect();
    assert!(known.len() > 8, "these can't be all: {known:?}");
    let server = rust_files().into_iter().filter(|file| file.starts_with("chat-server/src") && !is_test(file));
    let server: Vec<String> = server.map(|file| text(&file)).collect();
    let unknown = known.into_iter().filter(|message| !server.iter().any(|code| code.contains(message)));
    assert_none(&unknown.map(|message| format!("no node says {message:?}")).collect::<Vec<_>>());
}
