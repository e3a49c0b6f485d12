//! A bar for each contender, its spread over the rounds as a thin line.

use super::Panel;
use super::svg::{Anchor, OTHERS, OURS, Svg, round_up, short};

/// One bar.
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) value: f64,
    pub(super) least: f64,
    pub(super) greatest: f64,
    pub(super) is_ours: bool,
}

const WIDTH: f64 = 500.0;
const LABELS: f64 = 216.0;
const VALUES: f64 = 56.0;
const ROW: f64 = 20.0;
const HEAD: f64 = 44.0;

/// Panels in two columns.
pub(super) fn draw(title: &str, panels: &[Panel<Bar>]) -> String {
    let most = panels.iter().map(|panel| panel.items.len()).max().unwrap_or(0);
    let height = HEAD + most as f64 * ROW;
    let mut svg = Svg::new(
        WIDTH * panels.len().min(2) as f64 + 16.0,
        40.0 + height * panels.len().div_ceil(2) as f64 + 8.0,
        title,
    );
    for (number, panel) in panels.iter().enumerate() {
        let (left, top) = (16.0 + WIDTH * (number % 2) as f64, 40.0 + height * (number / 2) as f64);
        svg.bold((left, top + 22.0), &panel.title, 13);
        let scale = round_up(panel.items.iter().map(|bar| bar.greatest).fold(0.0, f64::max));
        let x = |value: f64| left + LABELS + value / scale * (WIDTH - LABELS - VALUES - 16.0);
        for (row, bar) in panel.items.iter().enumerate() {
            let y = top + HEAD - 10.0 + row as f64 * ROW;
            svg.text((left + LABELS - 8.0, y + 12.0), Anchor::End, &bar.label);
            svg.rect((x(0.0), y + 1.0), (x(bar.value) - x(0.0), ROW - 5.0), if bar.is_ours { OURS } else { OTHERS });
            svg.whisker((x(bar.least), y + 8.0), (x(bar.greatest), y + 8.0));
            svg.text((x(bar.greatest) + 6.0, y + 12.0), Anchor::Start, &short(bar.value));
        }
    }
    svg.end()
}
