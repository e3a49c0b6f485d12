//! From the median to p99 for each contender, where each step is ten times the one before.

use super::svg::{Anchor, OTHERS, OURS, short};
use super::{Panel, ROW, WIDTH, columns};

/// One contender.
pub(super) struct Range {
    pub(super) label: &'static str,
    pub(super) middle: f64,
    pub(super) high: f64,
    pub(super) is_ours: bool,
}

const LABELS: f64 = 206.0;
const VALUES: f64 = 96.0;
const HEAD: f64 = 60.0;

/// Panels in two columns, all on one scale.
pub(super) fn draw(title: &str, panels: &[Panel<Range>]) -> String {
    let all = || panels.iter().flat_map(|panel| &panel.items);
    let first = all().map(|range| range.middle).fold(f64::MAX, f64::min).max(0.001).log10().floor();
    let last = all().map(|range| range.high).fold(0.001, f64::max).log10().ceil().max(first + 1.0);
    columns(title, panels, HEAD, |svg, left, top, ranges| {
        let x = |value: f64| {
            let share = (value.max(0.001).log10() - first) / (last - first);
            left + LABELS + share * (WIDTH - LABELS - VALUES - 16.0)
        };
        for power in first as i32..=last as i32 {
            let value = 10_f64.powi(power);
            svg.rule((x(value), top + 46.0), (x(value), top + 46.0 + ranges.len() as f64 * ROW));
            svg.text((x(value), top + 40.0), Anchor::Middle, &tick(value));
        }
        for (row, range) in ranges.iter().enumerate() {
            let y = top + 46.0 + row as f64 * ROW + 10.0;
            let color = if range.is_ours { OURS } else { OTHERS };
            svg.text((left + LABELS - 8.0, y + 4.0), Anchor::End, range.label);
            svg.line(&[(x(range.middle), y), (x(range.high), y)], color, 4.0);
            svg.circle((x(range.middle), y), 4.5, color);
            svg.circle((x(range.high), y), 4.5, color);
            let text = format!("{} / {}", short(range.middle), short(range.high));
            svg.text((x(range.high) + 8.0, y + 4.0), Anchor::Start, &text);
        }
    })
}

/// So many milliseconds, as short as can be.
fn tick(millis: f64) -> String {
    if millis < 1_000.0 { format!("{millis}") } else { format!("{} s", millis / 1_000.0) }
}
