//! Dashboards and rules against what a real Prometheus reads of three real nodes and the operator.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::control_plane::{Cluster, run};
use crate::harness::operator::{Operator, chat_cluster, nodes, until_condition};
use crate::harness::prometheus::{Prometheus, dashboards, selectors};
use crate::harness::{Client, Node, until};
use crate::monitoring_rules;

/// A panel: where it is, and what it asks.
struct Panel {
    place: String,
    expressions: Vec<String>,
}

fn panels() -> Vec<Panel> {
    let mut panels = Vec::new();
    for file in dashboards() {
        let text = fs::read_to_string(&file).expect("a dashboard");
        let dashboard: Value = serde_json::from_str(&text).expect("JSON");
        for panel in dashboard["panels"].as_array().expect("panels") {
            let title = panel["title"].as_str().unwrap_or_default();
            let targets = panel["targets"].as_array().into_iter().flatten();
            let expressions: Vec<String> =
                targets.map(|target| target["expr"].as_str().expect("an expression").to_owned()).collect();
            let place = format!("{}, {title}", dashboard["title"].as_str().unwrap_or_default());
            if panel["type"] != "row" {
                assert!(!expressions.is_empty(), "{place} asks something");
                panels.push(Panel { place, expressions });
            }
        }
    }
    panels
}

/// What Grafana asks where everything is chosen.
fn filled_in(expression: &str) -> String {
    let variables = [("$namespace", ".+"), ("$cluster", ".+"), ("$pod", ".+"), ("$__rate_interval", "10s")];
    variables.iter().fold(expression.to_owned(), |text, (name, value)| text.replace(name, value))
}

#[test]
fn every_panel_has_a_description_and_a_unit() {
    let mut ids = BTreeSet::new();
    for file in dashboards() {
        let text = fs::read_to_string(&file).expect("a dashboard");
        let dashboard: Value = serde_json::from_str(&text).expect("JSON");
        let uid = dashboard["uid"].as_str().expect("a uid");
        assert!(ids.insert(uid.to_owned()), "{uid} is one");
        assert_eq!(file.file_stem().and_then(|stem| stem.to_str()), Some(uid), "the file is named after it");
        let variables = dashboard["templating"]["list"].as_array().expect("variables");
        let names: Vec<&str> = variables.iter().filter_map(|variable| variable["name"].as_str()).collect();
        assert!(names.starts_with(&["datasource", "namespace"]), "{uid}: {names:?}");
        for panel in dashboard["panels"].as_array().expect("panels").iter().filter(|panel| panel["type"] != "row") {
            let title = panel["title"].as_str().unwrap_or_default();
            assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{uid}, {title}");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{uid}, {title}");
            for target in panel["targets"].as_array().expect("queries") {
                let expression = target["expr"].as_str().expect("an expression");
                for selector in selectors(expression) {
                    assert!(selector.contains("$namespace"), "{uid}, {title} is of what was chosen: {selector}");
                }
            }
        }
    }
    assert_eq!(ids.into_iter().collect::<Vec<_>>(), ["chat-node", "chat-operator", "chat-redis", "chat-users"]);
}

/// Three nodes and the operator, read by Prometheus.
async fn stage(cluster: &Cluster, namespace: &str, prometheus: &mut Prometheus) -> (Operator, Vec<Node>) {
    let operator = Operator::start(cluster, namespace).await;
    prometheus.read(&operator.address(), &[("namespace", namespace), ("pod", "operator-0")]);
    until("the operator is read", || async {
        let found = prometheus.ask("chat_operator_leader == 1").await.ok()?;
        (found > 0).then_some(())
    })
    .await;
    cluster
        .apply(&chat_cluster(
            namespace,
            "chat",
            "{redis: {managed: {}}, replicas: 3, limits: {messagesPerSecondPerUser: 0, changesPerSecondPerUser: 0, queriesPerSecondPerUser: 0, handshakesPerSecondPerAddress: 0, newGuestsPerSecondPerAddress: 0}}",
        ))
        .await;
    let nodes = nodes(cluster, namespace, "chat", 3).await;
    // Nobody installed the Prometheus Operator here.
    until_condition(cluster, namespace, "chat", "Monitored", ("False", "PrometheusOperatorMissing")).await;
    for node in &nodes {
        let host = node.authority().replace(":3000", "");
        let labels = [("namespace", namespace), ("chatcluster", "chat"), ("pod", &host)];
        prometheus.read(&format!("{host}:9090"), &labels);
    }
    (operator, nodes)
}

/// Lets people talk for two minutes more, and draws every panel.
async fn draw(prometheus: &Prometheus, folder: &Path, people: &[Client]) {
    let end = Instant::now() + Duration::from_secs(120);
    let mut said = 0;
    while Instant::now() < end {
        for person in people {
            said += 1;
            person.say("lobby", &format!("more {said}")).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("monitoring/render.py");
    let status = Command::new(script).arg(prometheus.url()).arg(folder).arg("2.5").status().expect("python3");
    assert!(status.success(), "the panels are drawn");
}

#[test]
fn every_selector_of_every_dashboard_and_rule_finds_series_under_load() {
    run(async |cluster| {
        let namespace = cluster.namespace("see").await;
        let rules = monitoring_rules::RULES.map(monitoring_rules::rules);
        let mut prometheus = Prometheus::start(&rules).await;
        let (_operator, nodes) = stage(&cluster, &namespace, &mut prometheus).await;
        let mut people = Vec::new();
        for (number, node) in nodes.iter().chain(&nodes).enumerate() {
            people.push(Client::guest(node, &format!("Person {number}")).await);
        }
        let mut wanted: BTreeSet<String> = BTreeSet::new();
        for panel in panels() {
            wanted.extend(panel.expressions.iter().flat_map(|expression| selectors(&filled_in(expression))));
        }
        for rule in monitoring_rules::RULES.iter().flat_map(|name| monitoring_rules::all(name)) {
            wanted.extend(selectors(rule["expr"].as_str().expect("an expression")));
        }
        assert!(wanted.len() > 60, "these can't be all: {wanted:?}");
        let count = wanted.len();
        let mut said = 0;
        while !wanted.is_empty() {
            for person in &people {
                said += 1;
                person.say("lobby", &format!("message {said}")).await;
            }
            let first = wanted.first().cloned().expect("one that is left");
            until(&format!("{first} finds series"), || async {
                let found = prometheus.ask(&first).await.unwrap_or_else(|error| panic!("{first}: {error}"));
                (found > 0).then_some(())
            })
            .await;
            wanted.remove(&first);
        }
        println!("{count} selectors find series; {said} messages were said");
        let mut asked = 0;
        for Panel { place, expressions } in panels() {
            for expression in expressions {
                let expression = filled_in(&expression);
                until(&format!("{place} shows something: {expression}"), || async {
                    let found = prometheus.ask(&expression).await.unwrap_or_else(|error| panic!("{place}: {error}"));
                    (found > 0).then_some(())
                })
                .await;
                asked += 1;
            }
        }
        println!("{asked} queries of panels show something");
        // `PANELS=folder cargo test … every_selector`: pages to look at.
        if let Some(folder) = std::env::var_os("PANELS") {
            draw(&prometheus, Path::new(&folder), &people).await;
        }
    });
}
