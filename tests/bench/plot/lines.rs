//! How a figure changes as something grows.

use super::Panel;
use super::svg::{Anchor, OTHER_LINES, OUR_LINES, Svg, round_up, short};

/// One line: sizes and values.
pub(super) struct Line {
    pub(super) label: String,
    pub(super) points: Vec<(usize, f64)>,
    pub(super) is_ours: bool,
}

const WIDTH: f64 = 470.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 44.0;
const HEAD: f64 = 36.0;

/// Panels beside one another, what the lines are below.
pub(super) fn draw(title: &str, panels: &[Panel<Line>]) -> String {
    let lines = panels.iter().map(|panel| panel.items.len()).max().unwrap_or(0);
    let (width, below) = (WIDTH * panels.len() as f64, 30.0 + lines as f64 * 18.0);
    let mut svg = Svg::new(width + 16.0, 40.0 + HEAD + HEIGHT + below, title);
    for (number, panel) in panels.iter().enumerate() {
        let (left, top) = (16.0 + WIDTH * number as f64, 40.0);
        svg.bold((left, top + 18.0), &panel.title, 13);
        let mut sizes: Vec<usize> = panel.items.iter().flat_map(|line| &line.points).map(|(size, _)| *size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let greatest = panel.items.iter().flat_map(|line| &line.points).map(|(_, value)| *value).fold(0.0, f64::max);
        let scale = round_up(greatest.max(1.0));
        // Each size is as far from the next as any: they grow by themselves, or tenfold.
        let step = (WIDTH - LEFT - 70.0) / sizes.len().saturating_sub(1).max(1) as f64;
        let x = |size: usize| left + LEFT + 10.0 + sizes.iter().position(|own| *own == size).unwrap_or(0) as f64 * step;
        let y = |value: f64| top + HEAD + HEIGHT - value / scale * (HEIGHT - 10.0);
        for quarter in 0..=4 {
            let value = scale * f64::from(quarter) / 4.0;
            svg.rule((left + LEFT, y(value)), (left + WIDTH - 50.0, y(value)));
            svg.text((left + LEFT - 6.0, y(value) + 4.0), Anchor::End, &format!("{}", (value * 100.0).round() / 100.0));
        }
        for size in &sizes {
            svg.text((x(*size), y(0.0) + 18.0), Anchor::Middle, &grouped(*size));
        }
        let mut ends = Vec::new();
        let (mut ours, mut others) = (OUR_LINES.into_iter().cycle(), OTHER_LINES.into_iter().cycle());
        for (number, line) in panel.items.iter().enumerate() {
            let color = if line.is_ours { ours.next() } else { others.next() }.unwrap_or_default();
            let points: Vec<_> = line.points.iter().map(|(size, value)| (x(*size), y(*value))).collect();
            svg.line(&points, color, if line.is_ours { 3.0 } else { 2.0 });
            points.iter().for_each(|point| svg.circle(*point, 3.5, color));
            if let (Some((px, py)), Some((_, value))) = (points.last(), line.points.last()) {
                ends.push((*py, *px, short(*value)));
            }
            let row = y(0.0) + 36.0 + number as f64 * 18.0;
            svg.rect((left + LEFT, row), (14.0, 4.0), color);
            svg.text((left + LEFT + 22.0, row + 6.0), Anchor::Start, &line.label);
        }
        // What ends at the same height is written one below the other.
        ends.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut free = f64::MIN;
        for (py, px, text) in ends {
            let place = py.max(free);
            svg.text((px + 8.0, place + 4.0), Anchor::Start, &text);
            free = place + 13.0;
        }
    }
    svg.end()
}

/// A number with its thousands apart.
fn grouped(size: usize) -> String {
    if size < 1_000 { size.to_string() } else { format!("{},{:03}", size / 1_000, size % 1_000) }
}
