//! How long things took.

/// Steps between a power of two and the next: no figure is off by more than three in a hundred.
const STEPS: u32 = 32;
const STEP_BITS: u32 = STEPS.ilog2();

/// Counts of durations in nanoseconds, finer where they are short.
#[derive(Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    longest: u64,
}

impl Histogram {
    /// Empty.
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; slot(u64::MAX) + 1], total: 0, longest: 0 }
    }

    /// Counts one.
    pub(crate) fn record(&mut self, nanos: u64) {
        self.counts[slot(nanos)] += 1;
        self.total += 1;
        self.longest = self.longest.max(nanos);
    }

    /// What this share of them stayed below, in milliseconds.
    pub(crate) fn millis(&self, share: f64) -> f64 {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (slot, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted.max(1) {
                return end(slot).min(self.longest) as f64 / 1e6;
            }
        }
        0.0
    }

    /// The longest of all, in milliseconds.
    pub(crate) fn longest_millis(&self) -> f64 {
        self.longest as f64 / 1e6
    }
}

/// The slot that counts this duration.
fn slot(nanos: u64) -> usize {
    let power = nanos.max(1).ilog2();
    if power < STEP_BITS {
        return nanos as usize;
    }
    let step = (nanos >> (power - STEP_BITS)) & u64::from(STEPS - 1);
    (u64::from((power - STEP_BITS + 1) * STEPS) + step) as usize
}

/// The longest duration that this slot counts.
fn end(slot: usize) -> u64 {
    let (power, step) = (slot as u32 / STEPS, slot as u64 % u64::from(STEPS));
    if power == 0 {
        return step;
    }
    let width = 1_u64 << (power - 1);
    (u64::from(STEPS) + step).saturating_mul(width).saturating_add(width - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_within_three_hundredths_of_its_slot() {
        for nanos in
            (0..64).map(|power| 1_u64 << power).flat_map(|power| [power, power + power / 3, power + (power - 1)])
        {
            let end = end(slot(nanos));
            assert!(end >= nanos && (end - nanos) as f64 <= nanos as f64 * 0.032, "{nanos}: {end}");
            assert!(end == u64::MAX || slot(end + 1) == slot(nanos) + 1, "{nanos}: {end}");
        }
    }

    #[test]
    fn the_median_has_half_below_it() {
        let mut histogram = Histogram::new();
        (1..=1_000).for_each(|millis| histogram.record(millis * 1_000_000));
        assert_eq!(histogram.total, 1_000);
        for (share, expected) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1_000.0)] {
            let millis = histogram.millis(share);
            assert!((expected..expected * 1.032).contains(&millis), "{share}: {millis}");
        }
        assert!((histogram.longest_millis() - 1_000.0).abs() < 1e-9);
        assert!(Histogram::new().millis(0.99).abs() < 1e-9);
    }
}
