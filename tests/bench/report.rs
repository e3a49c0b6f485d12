//! The figures, for people.

use std::fmt::Write;

use serde::Deserialize;
use serde_json::Value;

use crate::contender;
use crate::goals;
use crate::results::{Cell, Results};
use crate::scenario::{Away, Growth, Scenario, Talk};
use crate::shape;

/// The figures of one run on one line.
pub(crate) fn line(figures: &Value) -> String {
    if let Ok(talk) = Talk::deserialize(figures) {
        return talk.to_string();
    }
    let figures = figures.as_object().into_iter().flatten();
    figures
        .map(|(name, value)| format!("{name} {}", short(value.as_f64().unwrap_or(0.0))))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A table of some figures in some scenarios.
struct Table {
    title: &'static str,
    scenarios: Vec<Scenario>,
    /// The names of a cell's figures.
    figures: &'static [&'static str],
}

fn tables() -> Vec<Table> {
    let talk = || shape::ALL.into_iter().map(Scenario::Talk).collect::<Vec<_>>();
    let growth = |name: &str| {
        let all = Growth::all().into_iter().filter(|growth| growth.kind() == name);
        all.map(Scenario::Growth).collect()
    };
    let table = |title, scenarios, figures| Table { title, scenarios, figures };
    let cost: &[_] = &["cpu_us_per_delivery", "redis_commands_per_message"];
    let outages = vec![Scenario::Outage(Away::Stopped), Scenario::Outage(Away::Killed)];
    vec![
        table("µs of CPU a delivery, Redis included", talk(), &["cpu_us_per_delivery"]),
        table("Latency in ms: p50 / p99 / longest", talk(), &["p50_ms", "p99_ms", "max_ms"]),
        table("Deliveries a second", talk(), &["deliveries_per_second"]),
        table(
            "Share of a core: servers and Redis / load generator / other processes (should be 0)",
            talk(),
            &["servers_share", "generator_share", "others_share"],
        ),
        table("Redis commands a message, those within scripts included", talk(), &["redis_commands_per_message"]),
        table(
            "KiB a connection: at rest / after a burst / a while later",
            vec![Scenario::Idle],
            &["kib_per_connection", "kib_after_burst", "kib_after_rest"],
        ),
        table(
            "All clients connect at once and join a room: clients / seconds / median in ms / µs of CPU each",
            vec![Scenario::JoinStorm],
            &["clients", "seconds", "p50_ms", "cpu_us_per_client"],
        ),
        table(
            "The node of all clients dies: clients / seconds / recovered / acked and lost / Redis: scripts / log reads",
            vec![Scenario::ReconnectStorm(100), Scenario::ReconnectStorm(1_000)],
            &["clients", "seconds", "recovered", "lost_acked", "redis_evalsha", "redis_xrange"],
        ),
        table(
            "Reading the last 50 messages: reads a second / µs of CPU each / p50 / p99 in ms",
            vec![Scenario::History],
            &["reads_per_second", "cpu_us_per_read", "p50_ms", "p99_ms"],
        ),
        table(
            "Some clients read nothing: p99 in ms of the others, before / meanwhile; additional MiB; deliveries lost / clients disconnected",
            vec![Scenario::SlowReaders],
            &["p99_awake_ms", "p99_ms", "mib_more", "lost", "ended"],
        ),
        table(
            "Redis down: share arrived / acked and lost / out of order / longest silence in s / share arrived afterwards",
            outages,
            &["arrived_share", "lost_acked", "disordered", "silence_seconds", "arrived_share_afterwards"],
        ),
        table("More nodes, members on all: µs a delivery / Redis commands a message", growth("nodes"), cost),
        table("More nodes, members on one: µs a delivery / Redis commands a message", growth("nodes-apart"), cost),
        table("More members: µs a delivery / Redis commands a message", growth("members"), cost),
        table("More rooms: µs a delivery / Redis commands a message", growth("rooms"), cost),
    ]
}

/// All tables.
pub(crate) fn markdown(results: &Results) -> String {
    let mut out = String::new();
    for (what, value) in &results.machine {
        let _ = writeln!(out, "- {what}: {value}");
    }
    let _ = writeln!(
        out,
        "- rounds: {}; the median of them, and in parentheses the least and the greatest",
        results.rounds
    );
    out.push_str(&goals::markdown(results));
    for table in tables() {
        write_table(&mut out, results, &table);
    }
    write_faults(&mut out, results);
    write_failures(&mut out, results);
    out
}

fn write_table(out: &mut String, results: &Results, table: &Table) {
    let scenarios: Vec<_> =
        table.scenarios.iter().filter(|scenario| results.scenarios.contains_key(&scenario.name())).collect();
    if scenarios.is_empty() {
        return;
    }
    // A heading, and below it what the figures of a cell are.
    match table.title.split_once(": ") {
        Some((heading, figures)) => {
            let _ = writeln!(out, "\n### {heading}\n\n{figures}\n");
        }
        None => {
            let _ = writeln!(out, "\n### {}\n", table.title);
        }
    }
    let titles: Vec<_> = scenarios.iter().map(|scenario| scenario.title()).collect();
    let _ = writeln!(out, "| | {} |\n|---|{}", titles.join(" | "), "---|".repeat(titles.len()));
    for contender in contender::ALL {
        let cells: Vec<_> = scenarios.iter().map(|scenario| results.cell(&scenario.name(), contender.name)).collect();
        if cells.iter().any(Option::is_some) {
            let cells: Vec<_> = cells.iter().map(|cell| text(*cell, table.figures)).collect();
            let is_growth = matches!(scenarios[0], Scenario::Growth(_));
            let title = if is_growth { contender.whose() } else { contender.title };
            let _ = writeln!(out, "| {title} | {} |", cells.join(" | "));
        }
    }
}

/// Medians, and of a single figure its spread.
fn text(cell: Option<&Cell>, figures: &[&str]) -> String {
    let Some(cell) = cell else { return String::new() };
    let medians: Vec<_> = figures.iter().filter_map(|figure| cell.median(figure)).map(short).collect();
    let mut text = medians.join(" / ");
    if let ([figure], true) = (figures, cell.figures.values().any(|values| values.len() > 1))
        && let Some((least, greatest)) = cell.spread(figure)
    {
        let _ = write!(text, " ({}..{})", short(least), short(greatest));
    }
    if text.is_empty() { "failed".to_owned() } else { text }
}

/// Three digits that say something.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// What went wrong, over all rounds; of those only in whose runs something did.
fn write_faults(out: &mut String, results: &Results) {
    let kinds = ["lost", "duplicated", "disordered", "refused", "gaps", "ended"];
    let mut rows = String::new();
    for shape in shape::ALL {
        for contender in contender::ALL {
            let Some(cell) = results.cell(shape.name, contender.name) else { continue };
            if kinds.iter().any(|kind| cell.sum(kind) > 0.0) {
                let counts: Vec<_> = kinds.iter().map(|kind| format!("{:.0}", cell.sum(kind))).collect();
                let _ = writeln!(
                    rows,
                    "| {}, {} | {:.0} | {} |",
                    contender.title,
                    shape.title,
                    cell.sum("delivered"),
                    counts.join(" | ")
                );
            }
        }
    }
    if rows.is_empty() {
        let _ = writeln!(out, "\nNothing was lost, duplicated, out of order or refused in any run.");
    } else {
        let _ = writeln!(out, "\n### Faults, in deliveries over all rounds (all other runs had none)\n");
        let _ = writeln!(
            out,
            "| | delivered | lost | duplicated | out of order | refused messages | gaps | connections ended |"
        );
        let _ = writeln!(out, "|---|---|---|---|---|---|---|---|\n{}", rows.trim_end());
    }
}

fn write_failures(out: &mut String, results: &Results) {
    for (scenario, cells) in &results.scenarios {
        for (contender, cell) in cells {
            for failure in &cell.failures {
                let _ = writeln!(out, "\n{contender}, {scenario}, failed: {failure}");
            }
        }
    }
}
