//! As much of SVG as the pictures need.

use std::fmt::Write;

/// What stands out, what does not, and what is written with.
pub(super) const OURS: &str = "#1f6feb";
pub(super) const OTHERS: &str = "#9aa4b2";
/// Lines of either, as many as a picture has at most.
pub(super) const OUR_LINES: [&str; 2] = [OURS, "#54aeff"];
pub(super) const OTHER_LINES: [&str; 2] = ["#57606a", OTHERS];
const INK: &str = "#24292f";
const FAINT: &str = "#d8dee4";

/// Where a text's place is in it.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A picture.
pub(super) struct Svg {
    body: String,
}

impl Svg {
    /// An empty one, white also where the page around it is dark.
    pub(super) fn new(width: f64, height: f64, title: &str) -> Self {
        let mut svg = Self { body: String::new() };
        let _ = writeln!(
            svg.body,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"{INK}\" role=\"img\">"
        );
        let _ = writeln!(svg.body, "<title>{}</title>", escaped(title));
        svg.rect((0.0, 0.0), (width, height), "#ffffff");
        svg.bold((16.0, 24.0), title, 15);
        svg
    }

    pub(super) fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str) {
        let _ = writeln!(
            self.body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\"/>"
        );
    }

    pub(super) fn circle(&mut self, (x, y): (f64, f64), radius: f64, fill: &str) {
        let _ = writeln!(self.body, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{fill}\"/>");
    }

    pub(super) fn line(&mut self, points: &[(f64, f64)], stroke: &str, width: f64) {
        let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            self.body,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"{width}\"/>",
            points.join(" ")
        );
    }

    /// A line of the grid.
    pub(super) fn rule(&mut self, from: (f64, f64), to: (f64, f64)) {
        self.line(&[from, to], FAINT, 1.0);
    }

    /// A thin dark line: how far values of one kind lie apart.
    pub(super) fn whisker(&mut self, from: (f64, f64), to: (f64, f64)) {
        self.line(&[from, to], INK, 1.0);
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        let _ = writeln!(self.body, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
    }

    pub(super) fn bold(&mut self, (x, y): (f64, f64), text: &str, size: u32) {
        let text = escaped(text);
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" font-weight=\"600\">{text}</text>"
        );
    }

    /// The whole file.
    pub(super) fn end(mut self) -> String {
        self.body.push_str("</svg>\n");
        self.body
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// A value as it is written beside its mark.
pub(super) fn short(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// The next round number above.
pub(super) fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-9).log10().floor());
    let steps = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(value)
}
