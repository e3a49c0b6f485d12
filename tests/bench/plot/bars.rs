//! A bar for each contender, its spread over the rounds as a thin line.

use super::svg::{Anchor, OTHERS, OURS, round_up, short};
use super::{Panel, ROW, WIDTH, columns};

/// One bar.
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) value: f64,
    pub(super) least: f64,
    pub(super) greatest: f64,
    pub(super) is_ours: bool,
}

/// About as wide as a letter is on average, and what is around a label.
const LETTER: f64 = 6.3;
const AROUND: f64 = 16.0;
const VALUES: f64 = 56.0;
const HEAD: f64 = 44.0;

/// Panels in two columns.
pub(super) fn draw(title: &str, panels: &[Panel<Bar>]) -> String {
    let labels = panels.iter().flat_map(|panel| &panel.items).map(|bar| bar.label.chars().count());
    let labels = labels.max().unwrap_or(0) as f64 * LETTER + AROUND;
    columns(title, panels, HEAD, |svg, left, top, bars| {
        let scale = round_up(bars.iter().map(|bar| bar.greatest).fold(0.0, f64::max));
        let x = |value: f64| left + labels + value / scale * (WIDTH - labels - VALUES - 16.0);
        for (row, bar) in bars.iter().enumerate() {
            let y = top + HEAD - 10.0 + row as f64 * ROW;
            svg.text((left + labels - 8.0, y + 12.0), Anchor::End, &bar.label);
            svg.rect((x(0.0), y + 1.0), (x(bar.value) - x(0.0), ROW - 5.0), if bar.is_ours { OURS } else { OTHERS });
            svg.whisker((x(bar.least), y + 8.0), (x(bar.greatest), y + 8.0));
            svg.text((x(bar.greatest) + 6.0, y + 12.0), Anchor::Start, &short(bar.value));
        }
    })
}
