//! The rules that Prometheus records and alerts by, and the pages for who is woken by them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_yaml::Value;

pub(crate) const RULES: [&str; 2] = ["chat.rules.yaml", "operator.rules.yaml"];
const CASES: [&str; 2] = ["chat.alerts.yaml", "operator.alerts.yaml"];
const RUNBOOKS: &str = "https://github.com/chatcluster/chatcluster/blob/main/docs/runbooks/";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file with rules.
pub(crate) fn rules(name: &str) -> PathBuf {
    root().join("charts/chat-operator/monitoring").join(name)
}

fn cases(name: &str) -> PathBuf {
    root().join("tests/monitoring").join(name)
}

fn yaml(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    path.iter().fold(value, |value, key| &value[*key]).as_str().unwrap_or_default()
}

/// Every rule of a file.
pub(crate) fn all(name: &str) -> Vec<Value> {
    let file = yaml(&rules(name));
    let groups = file["groups"].as_sequence().expect("groups").clone();
    groups.iter().flat_map(|group| group["rules"].as_sequence().expect("rules").clone()).collect()
}

fn alerts(name: &str) -> Vec<Value> {
    all(name).into_iter().filter(|rule| rule.get("alert").is_some()).collect()
}

fn promtool(arguments: &[&str], files: impl IntoIterator<Item = PathBuf>) {
    let output = Command::new("promtool")
        .args(arguments)
        .args(files)
        .output()
        .expect("the program `promtool`, which `make setup` installs");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn prometheus_can_read_all_rules() {
    promtool(&["check", "rules"], RULES.map(rules));
}

/// By docker compose: its Prometheus takes what it is given, and every file that is handed in is there.
#[test]
fn compose_hands_in_what_prometheus_and_grafana_read() {
    promtool(&["check", "config", "--syntax-only"], [root().join("observability/prometheus.yml")]);
    let compose = yaml(&root().join("docker-compose.yml"));
    for service in ["prometheus", "grafana"] {
        let service = &compose["services"][service];
        assert_eq!(service["profiles"][0], "observability");
        let volumes = service["volumes"].as_sequence().expect("volumes");
        let files: Vec<&str> =
            volumes.iter().filter_map(|volume| volume.as_str()?.strip_prefix("./")?.split(':').next()).collect();
        assert!(files.len() > 1, "{files:?}");
        for file in files {
            assert!(root().join(file).is_file(), "{file} is not there");
        }
    }
}

#[test]
fn every_alert_fires_on_its_cause_only() {
    promtool(&["test", "rules"], CASES.map(cases));
    for (rules, cases) in RULES.iter().zip(CASES.map(cases)) {
        let cases = yaml(&cases);
        let (mut firing, mut silent) = (BTreeSet::new(), BTreeSet::new());
        for case in cases["tests"].as_sequence().expect("tests") {
            for alert in case["alert_rule_test"].as_sequence().expect("cases of alerts") {
                let fires = alert["exp_alerts"].as_sequence().is_some_and(|alerts| !alerts.is_empty());
                if fires { &mut firing } else { &mut silent }.insert(text(alert, &["alertname"]).to_owned());
            }
        }
        let there: BTreeSet<String> = alerts(rules).iter().map(|alert| text(alert, &["alert"]).to_owned()).collect();
        assert_eq!(firing, there, "each alert of {rules} has a case in which it fires");
        assert_eq!(silent, there, "each alert of {rules} has a case in which it is silent");
    }
}

#[test]
fn every_alert_has_a_severity_and_a_runbook() {
    let mut pages = BTreeSet::new();
    for alert in RULES.iter().flat_map(|name| alerts(name)) {
        let name = text(&alert, &["alert"]);
        assert!(["critical", "warning"].contains(&text(&alert, &["labels", "severity"])), "{name}");
        assert!(!text(&alert, &["for"]).is_empty(), "{name} says for how long");
        for annotation in ["summary", "description"] {
            assert!(!text(&alert, &["annotations", annotation]).is_empty(), "{name} has a {annotation}");
        }
        let url = text(&alert, &["annotations", "runbook_url"]);
        assert_eq!(url, format!("{RUNBOOKS}{name}.md"));
        let page = root().join(format!("docs/runbooks/{name}.md"));
        let page = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        let headings: Vec<&str> = page.lines().filter(|line| line.starts_with('#')).collect();
        let expected = [&format!("# {name}"), "## Impact", "## Diagnosis", "## Mitigation"];
        assert_eq!(headings, expected);
        pages.insert(format!("{name}.md"));
    }
    let there = std::fs::read_dir(root().join("docs/runbooks")).expect("docs/runbooks");
    let there: BTreeSet<String> =
        there.map(|file| file.expect("a file").file_name().into_string().expect("UTF-8")).collect();
    assert_eq!(there, pages, "each page belongs to an alert");
}

/// What the operator puts in the place of the matcher must be in every selector, or the rules of one ChatCluster would
/// tell of all.
#[test]
fn every_selector_of_the_nodes_rules_can_be_narrowed_to_one_chatcluster() {
    let selected = |expression: &str| expression.matches(r#"{chatcluster=~".+""#).count();
    for rule in all("chat.rules.yaml") {
        let expression = text(&rule, &["expr"]);
        assert!(selected(expression) > 0, "{expression}");
        assert_eq!(expression.matches('{').count(), selected(expression), "{expression}");
        let names = expression.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        let metrics = names.filter(|name| {
            ["chat_", "process_", "namespace_chatcluster"].iter().any(|start| name.starts_with(start)) || *name == "up"
        });
        assert_eq!(metrics.count(), selected(expression), "each metric has the matcher: {expression}");
    }
}
