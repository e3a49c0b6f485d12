//! The figures as pictures.

mod bars;
mod lines;
mod ranges;
mod svg;

use crate::contender::{self, Contender, Kind};
use crate::results::{Cell, Results};
use crate::scenario::{Growth, Scenario};
use crate::shape;

use bars::Bar;
use lines::Line;
use ranges::Range;
use svg::Svg;

/// One part of a picture.
struct Panel<T> {
    title: String,
    items: Vec<T>,
}

/// How wide a panel is, and how high a row of it.
const WIDTH: f64 = 500.0;
const ROW: f64 = 20.0;

/// Panels in two columns, each under its title. `part` draws one from its left and top; its rows begin `head` below.
fn columns<T>(title: &str, panels: &[Panel<T>], head: f64, mut part: impl FnMut(&mut Svg, f64, f64, &[T])) -> String {
    let most = panels.iter().map(|panel| panel.items.len()).max().unwrap_or(0);
    let height = head + most as f64 * ROW;
    let mut svg = Svg::new(
        WIDTH * panels.len().min(2) as f64 + 16.0,
        40.0 + height * panels.len().div_ceil(2) as f64 + 8.0,
        title,
    );
    for (number, panel) in panels.iter().enumerate() {
        let (left, top) = (16.0 + WIDTH * (number % 2) as f64, 40.0 + height * (number / 2) as f64);
        svg.bold((left, top + 22.0), &panel.title, 13);
        part(&mut svg, left, top, &panel.items);
    }
    svg.end()
}

/// All pictures that these results are enough for: names of files, and what is to be in them.
pub(crate) fn all(results: &Results) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    let cost = talk(results, |contender, cell| {
        let (least, greatest) = cell.spread("cpu_us_per_delivery")?;
        let value = cell.median("cpu_us_per_delivery")?;
        Some(Bar { label: contender.title.to_owned(), value, least, greatest, is_ours: is_ours(contender) })
    });
    if !cost.is_empty() {
        all.push(("cost.svg", bars::draw("µs of server CPU a delivery, Redis included (lower is better)", &cost)));
    }
    let latency = talk(results, |contender, cell| {
        let (middle, high) = (cell.median("p50_ms")?, cell.median("p99_ms")?);
        Some(Range { label: contender.title, middle, high, is_ours: is_ours(contender) })
    });
    if !latency.is_empty() {
        all.push(("latency.svg", ranges::draw("Latency in ms, from the median to p99 (left is better)", &latency)));
    }
    let mut memory = Vec::new();
    for (when, figure) in
        [("", "kib_per_connection"), (", after a burst", "kib_after_burst"), (", a while later", "kib_after_rest")]
    {
        memory.extend(of_all(results, &Scenario::Idle, |contender, cell| {
            let value = cell.median(figure)?;
            let label = format!("{}{when}", contender.title);
            Some(Bar { label, value, least: value, greatest: value, is_ours: is_ours(contender) })
        }));
    }
    if !memory.is_empty() {
        let panel = Panel { title: "connected, and in one room".to_owned(), items: memory };
        all.push(("memory.svg", bars::draw("KiB of server memory a connection (lower is better)", &[panel])));
    }
    for (file, title, names) in [
        ("nodes.svg", "More nodes: 200 rooms of ten, 10,000 deliveries/s", &["nodes", "nodes-apart"][..]),
        ("members.svg", "More members of one room, 10,000 deliveries/s", &["members"]),
        ("rooms.svg", "More rooms of five, 5,000 deliveries/s", &["rooms"]),
    ] {
        let panels: Vec<_> = [
            ("µs of server CPU a delivery", "cpu_us_per_delivery"),
            ("Redis commands a message", "redis_commands_per_message"),
        ]
        .into_iter()
        .map(|(title, figure)| Panel { title: title.to_owned(), items: growth(results, names, figure) })
        .filter(|panel| !panel.items.is_empty())
        .collect();
        if !panels.is_empty() {
            all.push((file, lines::draw(title, &panels)));
        }
    }
    all
}

fn is_ours(contender: &Contender) -> bool {
    contender.kind == Kind::Ours
}

/// A panel for each shape that was measured.
fn talk<T>(results: &Results, item: impl Fn(&Contender, &Cell) -> Option<T>) -> Vec<Panel<T>> {
    let panels = shape::ALL
        .into_iter()
        .map(|shape| Panel { title: shape.title.to_owned(), items: of_all(results, &Scenario::Talk(shape), &item) });
    panels.filter(|panel| !panel.items.is_empty()).collect()
}

/// Something for each contender that was measured.
fn of_all<T>(results: &Results, scenario: &Scenario, item: impl Fn(&Contender, &Cell) -> Option<T>) -> Vec<T> {
    let name = scenario.name();
    contender::ALL.iter().filter_map(|contender| item(contender, results.cell(&name, contender.name)?)).collect()
}

/// A line for each contender and each kind of growth.
fn growth(results: &Results, names: &[&str], figure: &str) -> Vec<Line> {
    let mut all = Vec::new();
    for contender in contender::ALL {
        for name in names {
            let sizes = Growth::all().into_iter().filter(|growth| growth.kind() == *name);
            let points: Vec<_> = sizes
                .filter_map(|growth| {
                    let value = results.cell(&growth.name(), contender.name)?.median(figure)?;
                    Some((growth.size(), value))
                })
                .collect();
            if !points.is_empty() {
                let whose = contender.whose();
                let how = if name.ends_with("apart") { ", members on one node" } else { "" };
                all.push(Line { label: format!("{whose}{how}"), points, is_ours: is_ours(&contender) });
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert!(all(&Results::default()).is_empty());
    }

    #[test]
    fn what_was_measured_is_in_the_picture() {
        let mut results = Results::default();
        for name in ["ours", "node-ws"] {
            results.add("big-fixed", name, Ok(json!({"cpu_us_per_delivery": 5, "p50_ms": 0.5, "p99_ms": 40})));
        }
        results.add("nodes-3", "ours-redis", Ok(json!({"cpu_us_per_delivery": 7, "redis_commands_per_message": 20})));
        let all = all(&results);
        let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["cost.svg", "latency.svg", "nodes.svg"]);
        for (name, svg) in &all {
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{name}: {svg}");
        }
        assert!(all[0].1.contains("Node socket.io, ws") && all[0].1.contains("1 × 500, 20,000 deliveries/s"));
    }
}
