//! The memory of nodes and Redis over time: as numbers, as a picture, and how fast it grows.

use std::fmt::Write;
use std::path::Path;

use super::watch::Sample;

#[path = "../bench/plot/svg.rs"]
#[allow(dead_code, reason = "shared with the benchmark, whose pictures need more of it")]
mod svg;

use svg::{Anchor, OTHER_LINES, OUR_LINES, Svg, round_up};

/// Seconds and MiB.
type Points = Vec<(f64, f64)>;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 44.0;

/// Writes both to a folder.
pub(super) fn keep(folder: &Path, samples: &[Sample]) {
    std::fs::create_dir_all(folder).expect("a folder for the curve");
    std::fs::write(folder.join("crowd.csv"), table(samples)).expect("the numbers");
    std::fs::write(folder.join("crowd.svg"), draw(samples)).expect("the picture");
    println!("the curve is in {}", folder.display());
}

fn table(samples: &[Sample]) -> String {
    let mut text = "seconds,beset,acks,p50_ms,p99_ms,redis_mib,redis_keys,load".to_owned();
    let nodes = samples.first().map_or(0, |sample| sample.nodes.len());
    (0..nodes).for_each(|node| write!(text, ",node_{node}_mib").expect("a text takes all"));
    text.push('\n');
    for Sample { at, beset, acks, nodes, redis, keys, load } in samples {
        let spread = crate::harness::Spread::of(acks.iter().copied());
        let [p50, p99] = [50, 99].map(|percent| spread.percentile(percent));
        let beset = u8::from(*beset);
        write!(text, "{at:.0},{beset},{},{p50:.1},{p99:.1},{redis:.2},{keys},{load:.1}", acks.len())
            .expect("a text takes all");
        nodes.iter().for_each(|node| write!(text, ",{node:.2}").expect("a text takes all"));
        text.push('\n');
    }
    text
}

fn draw(samples: &[Sample]) -> String {
    let mut lines: Vec<(String, &str, Points)> = Vec::new();
    let series = |value: &dyn Fn(&Sample) -> f64| samples.iter().map(|sample| (sample.at, value(sample))).collect();
    let nodes = samples.first().map_or(0, |sample| sample.nodes.len());
    for (node, color) in (0..nodes).zip(OUR_LINES.into_iter().chain(OTHER_LINES)) {
        lines.push((format!("node {node}"), color, series(&|sample| sample.nodes[node])));
    }
    lines.push(("Redis".to_owned(), "#cf222e", series(&|sample| sample.redis)));
    let end = samples.last().map_or(1.0, |sample| sample.at).max(1.0);
    let most = lines.iter().flat_map(|(.., points)| points).map(|(_, value)| *value).fold(1.0, f64::max);
    let scale = round_up(most);
    let below = 40.0 + 18.0 * lines.len() as f64;
    let mut svg = Svg::new(LEFT + WIDTH + 30.0, TOP + HEIGHT + below, "Memory in MiB, by minutes");
    let x = |at: f64| LEFT + at / end * WIDTH;
    let y = |value: f64| TOP + HEIGHT - value / scale * (HEIGHT - 10.0);
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        svg.rule((LEFT, y(scale * share)), (LEFT + WIDTH, y(scale * share)));
        svg.text((LEFT - 6.0, y(scale * share) + 4.0), Anchor::End, &format!("{:.0}", scale * share));
        svg.text((x(end * share), y(0.0) + 18.0), Anchor::Middle, &format!("{:.1}", end * share / 60.0));
    }
    if let Some(begun) = samples.iter().find(|sample| sample.beset) {
        svg.whisker((x(begun.at), y(0.0)), (x(begun.at), TOP + 10.0));
        svg.text((x(begun.at) + 4.0, TOP + 12.0), Anchor::Start, "the crowd comes");
    }
    for (number, (label, color, points)) in lines.iter().enumerate() {
        svg.line(&points.iter().map(|(at, value)| (x(*at), y(*value))).collect::<Vec<_>>(), color, 2.0);
        let row = y(0.0) + 36.0 + 18.0 * number as f64;
        svg.rect((LEFT, row), (14.0, 4.0), color);
        svg.text((LEFT + 22.0, row + 6.0), Anchor::Start, label);
    }
    svg.end()
}

/// By how much a value grows a minute, after a time: the line that is closest to all of them.
pub(super) fn slope(samples: &[Sample], after: f64, value: impl Fn(&Sample) -> f64) -> f64 {
    let points: Vec<(f64, f64)> =
        samples.iter().filter(|sample| sample.at >= after).map(|sample| (sample.at / 60.0, value(sample))).collect();
    let count = points.len().max(1) as f64;
    let middle = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (at, height) = (middle(|point| point.0), middle(|point| point.1));
    let both: f64 = points.iter().map(|point| (point.0 - at) * (point.1 - height)).sum();
    let wide: f64 = points.iter().map(|point| (point.0 - at).powi(2)).sum();
    if wide > 0.0 { both / wide } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: f64, redis: f64) -> Sample {
        Sample { at, beset: at > 60.0, acks: vec![1.0], nodes: vec![10.0, 20.0], redis, keys: 1, load: 0.5 }
    }

    #[test]
    fn what_grows_is_drawn_and_told() {
        let samples: Vec<Sample> = (0..20).map(f64::from).map(|minute| sample(minute * 60.0, 3.0 * minute)).collect();
        assert!((slope(&samples, 300.0, |sample| sample.redis) - 3.0).abs() < 1e-9);
        assert!(slope(&samples, 300.0, |sample| sample.nodes[1]).abs() < 1e-9);
        assert!(slope(&[], 0.0, |sample| sample.redis).abs() < 1e-9);
        let svg = draw(&samples);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{svg}");
        assert_eq!(table(&samples).lines().nth(2), Some("60,0,1,1.0,1.0,3.00,1,0.5,10.00,20.00"));
    }
}
