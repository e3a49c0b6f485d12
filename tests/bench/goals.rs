//! What chat-server is to reach, beside what it reached in the same run.

use std::fmt::Write;

use crate::contender::{self, Kind};
use crate::results::Results;
use crate::shape;

/// One figure that has a bound.
struct Goal {
    what: String,
    figure: f64,
    /// The figure is to be no more than this.
    most: f64,
}

/// A table of all that these results say something of.
pub(crate) fn markdown(results: &Results) -> String {
    let mut goals = costs(results);
    goals.extend(latencies(results));
    goals.extend(others(results));
    goals.extend(faults(results));
    if goals.is_empty() {
        return String::new();
    }
    let mut out = "\n### Goals\n\n| goal | measured | limit | |\n|---|---|---|---|\n".to_owned();
    for Goal { what, figure, most } in &goals {
        let word = if figure <= most { "met" } else { "**missed**" };
        let _ = writeln!(out, "| {what} | {figure:.2} | {most:.2} | {word} |");
    }
    out
}

fn median(results: &Results, scenario: &str, contender: &str, figure: &str) -> Option<f64> {
    results.cell(scenario, contender)?.median(figure)
}

/// CPU a delivery, beside a peer's in the same shape.
fn costs(results: &Results) -> Vec<Goal> {
    let mut bounds = vec![
        ("big-fixed", "ours", "socketioxide", 1.15),
        ("small-fixed", "ours", "socketioxide", 1.3),
        ("big-full", "ours", "node-uws", 1.0),
        ("small-full", "ours", "node-uws", 1.2),
    ];
    for shape in shape::ALL {
        bounds.push((shape.name, "ours-redis", "node-redis", 0.5));
        bounds.push((shape.name, "ours-redis", "socketioxide-redis", 1.0));
    }
    let cost = |scenario: &str, contender: &str| median(results, scenario, contender, "cpu_us_per_delivery");
    let goal = |(scenario, own, peer, times): (&str, &str, &str, f64)| {
        let what = format!("{own}, {scenario}: µs a delivery, {times} × {peer}");
        Some(Goal { what, figure: cost(scenario, own)?, most: times * cost(scenario, peer)? })
    };
    bounds.into_iter().filter_map(goal).collect()
}

fn latencies(results: &Results) -> Vec<Goal> {
    let mut goals = Vec::new();
    for scenario in ["big-fixed", "small-fixed"] {
        let peers = contender::ALL.iter().filter(|contender| contender.kind != Kind::Ours && !contender.redis);
        let best = peers.filter_map(|peer| median(results, scenario, peer.name, "p99_ms")).min_by(f64::total_cmp);
        if let (Some(figure), Some(most)) = (median(results, scenario, "ours", "p99_ms"), best) {
            goals.push(Goal { what: format!("ours, {scenario}: p99 in ms, the best peer's"), figure, most });
        }
    }
    for scenario in ["big-full", "small-full"] {
        let own = |figure| median(results, scenario, "ours", figure);
        if let (Some(figure), Some(middle)) = (own("p99_ms"), own("p50_ms")) {
            goals.push(Goal { what: format!("ours, {scenario}: p99 in ms, 5 × p50"), figure, most: 5.0 * middle });
        }
    }
    goals
}

/// Memory, storms and outages.
fn others(results: &Results) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut add = |what: &str, figure: Option<f64>, most: Option<f64>| {
        if let (Some(figure), Some(most)) = (figure, most) {
            goals.push(Goal { what: what.to_owned(), figure, most });
        }
    };
    let own = |scenario: &str, contender: &str, figure: &str| median(results, scenario, contender, figure);
    add("ours: KiB an idle connection", own("idle", "ours", "kib_per_connection"), Some(20.0));
    add("ours: KiB a connection, a while after a burst", own("idle", "ours", "kib_after_rest"), Some(24.0));
    let node = ["node-ws", "node-uws"].into_iter().filter_map(|name| own("join-storm", name, "seconds"));
    add(
        "ours: seconds until all who connect at once are in their rooms, the best Node peer's",
        own("join-storm", "ours", "seconds"),
        node.min_by(f64::total_cmp),
    );
    // A reading is two, one to see where the log begins; and what was repeated is looked for by one.
    add(
        "ours-redis, after a node's death, 100 rooms: XRANGE a room, however many clients",
        own("reconnect-storm-100", "ours-redis", "redis_xrange").map(|reads| reads / 100.0),
        Some(4.0),
    );
    for scenario in ["redis-stopped", "redis-killed"] {
        for (figure, what) in [
            ("arrived_share", "share of all that did not arrive"),
            ("arrived_share_afterwards", "share of what was sent afterwards that did not arrive"),
        ] {
            let missing = own(scenario, "ours-redis", figure).map(|share| 1.0 - share);
            add(&format!("ours-redis, {scenario}: {what}"), missing, Some(0.0));
        }
    }
    goals
}

/// Over all runs of ours: a fault in one is a fault.
fn faults(results: &Results) -> Vec<Goal> {
    let kinds = [
        ("lost_acked", "deliveries lost of acked messages"),
        ("lost", "deliveries lost"),
        ("duplicated", "deliveries duplicated"),
        ("disordered", "deliveries out of order"),
        ("refused", "messages refused"),
    ];
    let goal = |(kind, what): (&str, &str)| {
        let cells = results.scenarios.values().flatten().filter(|(name, _)| name.starts_with("ours"));
        let figure = cells.map(|(_, cell)| cell.sum(kind)).reduce(|one, other| one + other)?;
        Some(Goal { what: format!("all runs of ours: {what}"), figure, most: 0.0 })
    };
    kinds.into_iter().filter_map(goal).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_goal_is_reached_up_to_its_bound() {
        let mut results = Results::default();
        results.add("big-fixed", "socketioxide", Ok(json!({"cpu_us_per_delivery": 10.0})));
        results.add("big-fixed", "ours", Ok(json!({"cpu_us_per_delivery": 11.5, "disordered": 1})));
        results.add("idle", "ours", Ok(json!({"kib_per_connection": 20.1})));
        let table = markdown(&results);
        assert!(table.contains("| 11.50 | 11.50 | reached |"), "{table}");
        assert!(table.contains("KiB an idle connection | 20.10 | 20.00 | **not reached** |"), "{table}");
        assert!(table.contains("out of order | 1.00 | 0.00 | **not reached** |"), "{table}");
    }
}
