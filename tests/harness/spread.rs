//! How times are spread, for figures that a test prints.

use std::fmt;

/// Some times in milliseconds; shown by their median, their 99th percentile and the longest.
pub(crate) struct Spread(Vec<f64>);

impl Spread {
    /// Of these times.
    pub(crate) fn of(times: impl IntoIterator<Item = f64>) -> Self {
        let mut times: Vec<f64> = times.into_iter().collect();
        times.sort_by(f64::total_cmp);
        Self(times)
    }

    /// The time that so many percent are not above.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let place = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        self.0.get(place).copied().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, high, most] = [50, 99, 100].map(|percent| self.percentile(percent));
        write!(f, "p50 {median:.1} ms, p99 {high:.1} ms, max {most:.1} ms (of {})", self.0.len())
    }
}

#[test]
fn percentiles_are_those_of_the_nearest_rank() {
    let spread = Spread::of((1..=200).rev().map(f64::from));
    assert_eq!([50, 99, 100].map(|percent| spread.percentile(percent)), [100.0, 198.0, 200.0]);
    assert_eq!(Spread::of([7.0]).to_string(), "p50 7.0 ms, p99 7.0 ms, max 7.0 ms (of 1)");
}
