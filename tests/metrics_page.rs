//! `docs/metrics.md`, made from the catalogues of both crates, and whether Prometheus likes what they say.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{Bus, Plan};

/// A metric as the page has it, of whichever crate.
struct Row {
    name: &'static str,
    kind: &'static str,
    bounds: &'static [f64],
    unit: &'static str,
    help: &'static str,
    labels: Vec<(&'static str, Vec<&'static str>)>,
}

/// The crates do not depend on each other, so each has its own type of the same form.
macro_rules! rows {
    ($catalogue:path, $kind:path) => {{
        use $catalogue as metrics;
        use $kind as Kind;
        metrics
            .iter()
            .map(|metric| Row {
                name: metric.name,
                kind: match metric.kind {
                    Kind::Counter => "counter",
                    Kind::Gauge => "gauge",
                    Kind::Histogram(_) => "histogram",
                },
                bounds: match metric.kind {
                    Kind::Histogram(bounds) => bounds,
                    Kind::Counter | Kind::Gauge => &[],
                },
                unit: metric.unit,
                help: metric.help,
                labels: metric.labels.iter().map(|label| (label.name, (label.values)())).collect(),
            })
            .collect::<Vec<Row>>()
    }};
}

fn page() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         Made by `make generate` from chat-server/src/observability/metrics/catalogue.rs and operator/src/metrics/catalogue.rs. Do not edit.\n\n\
         In Prometheus' text format: of a node at `GET /metrics` on its admin port (9090), of the operator on port 8080. Labels have their values from closed \
         sets, never a room, a user or an address; every series is there from the start, at 0. A histogram has `_bucket`, `_sum` and `_count`.\n",
    );
    let node = rows!(
        chat_server::observability::metrics::catalogue::ALL,
        chat_server::observability::metrics::catalogue::Kind
    );
    table(&mut page, "A node", "First what users feel, then what explains it.", &node);
    let process = rows!(
        chat_server::observability::metrics::catalogue::PROCESS,
        chat_server::observability::metrics::catalogue::Kind
    );
    table(&mut page, "The process", "Of a node and of the operator alike.", &process);
    let operator = rows!(operator::metrics::catalogue::ALL, operator::metrics::catalogue::Kind);
    table(&mut page, "The operator", "", &operator);
    page
}

fn table(page: &mut String, title: &str, about: &str, rows: &[Row]) {
    write!(page, "\n## {title}\n\n").expect("a string");
    if !about.is_empty() {
        write!(page, "{about}\n\n").expect("a string");
    }
    page.push_str("| metric | kind | unit | labels | meaning |\n|---|---|---|---|---|\n");
    for Row { name, kind, bounds, unit, help, labels } in rows {
        let labels: Vec<String> =
            labels.iter().map(|(label, values)| format!("`{label}`: {}", values.join(", "))).collect();
        let bounds: Vec<String> = bounds.iter().map(ToString::to_string).collect();
        let kind = if bounds.is_empty() { (*kind).to_owned() } else { format!("{kind} ({})", bounds.join(", ")) };
        writeln!(page, "| `{name}` | {kind} | {unit} | {} | {help} |", labels.join("; ")).expect("a string");
    }
}

#[test]
fn the_page_in_docs_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let fresh = page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &fresh).expect("docs/metrics.md");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == fresh, "docs/metrics.md is stale: run `make generate`");
}

/// What `promtool check metrics` says, which is nothing of what is right.
fn checked(metrics: &str) -> String {
    use std::io::Write;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program `promtool`, which `make setup` installs");
    promtool.stdin.take().expect("piped").write_all(metrics.as_bytes()).expect("it reads");
    let output = promtool.wait_with_output().expect("it ends");
    [output.stdout, output.stderr].concat().iter().map(|byte| char::from(*byte)).collect()
}

#[tokio::test]
async fn what_a_node_and_the_operator_say_is_as_prometheus_likes_it() {
    let cluster = Plan::on(Bus::Redis).nodes(1).start().await;
    let node =
        reqwest::get(cluster.node(0).admin_url("/metrics")).await.expect("an answer").text().await.expect("text");
    let operator = operator::metrics::Metrics::new().expect("metrics").render().expect("text");
    for (who, metrics) in [("a node", node), ("the operator", operator)] {
        let said = checked(&metrics);
        assert!(said.is_empty(), "of {who}: {said}");
        assert!(metrics.contains("# TYPE process_resident_memory_bytes gauge"), "{metrics}");
    }
    assert!(checked("# TYPE x_milliseconds counter\nx_milliseconds 1\n").contains("x_milliseconds"), "it does check");
}
