//! The figures, for people.

use std::fmt::Write;

use serde::Deserialize;
use serde_json::Value;

use crate::contender;
use crate::results::{Cell, Results};
use crate::scenario::{Scenario, Talk};
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

/// A table of one figure in some scenarios.
struct Table<'a> {
    title: &'a str,
    scenarios: Vec<Scenario>,
    /// The names of a cell's figures.
    figures: &'a [&'a str],
}

/// All tables.
pub(crate) fn markdown(results: &Results) -> String {
    let talk = || shape::ALL.into_iter().map(Scenario::Talk).collect::<Vec<_>>();
    let tables = [
        Table {
            title: "µs of CPU a delivery, Redis counted in", scenarios: talk(), figures: &["cpu_us_per_delivery"]
        },
        Table {
            title: "Latency in ms: p50 / p99 / longest",
            scenarios: talk(),
            figures: &["p50_ms", "p99_ms", "max_ms"],
        },
        Table { title: "Deliveries a second", scenarios: talk(), figures: &["deliveries_per_second"] },
        Table {
            title: "Share of a core: servers and Redis / generator",
            scenarios: talk(),
            figures: &["servers_share", "generator_share"],
        },
        Table {
            title: "Commands of Redis a message, those within scripts counted",
            scenarios: talk(),
            figures: &["redis_commands_per_message"],
        },
        Table {
            title: "KiB a connection: at rest / after a burst / a minute later",
            scenarios: vec![Scenario::Idle],
            figures: &["kib_per_connection", "kib_after_burst", "kib_after_rest"],
        },
    ];
    let mut out = String::new();
    for (what, value) in &results.machine {
        let _ = writeln!(out, "- {what}: {value}");
    }
    let _ = writeln!(out, "- {} rounds; the median, and in parentheses the least and the greatest", results.rounds);
    for table in tables {
        write_table(&mut out, results, &table);
    }
    write_faults(&mut out, results);
    write_failures(&mut out, results);
    out
}

fn write_table(out: &mut String, results: &Results, table: &Table<'_>) {
    let scenarios: Vec<_> =
        table.scenarios.iter().filter(|scenario| results.scenarios.contains_key(&scenario.name())).collect();
    if scenarios.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n### {}\n", table.title);
    let titles: Vec<_> = scenarios.iter().map(|scenario| scenario.title()).collect();
    let _ = writeln!(out, "| | {} |\n|---|{}", titles.join(" | "), "---|".repeat(titles.len()));
    for contender in contender::ALL {
        let cells: Vec<_> = scenarios.iter().map(|scenario| results.cell(&scenario.name(), contender.name)).collect();
        if cells.iter().any(Option::is_some) {
            let cells: Vec<_> = cells.iter().map(|cell| text(*cell, table.figures)).collect();
            let _ = writeln!(out, "| {} | {} |", contender.title, cells.join(" | "));
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
        let _ = writeln!(out, "\n### What went wrong, in deliveries over all rounds; in all other runs nothing did\n");
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
