//! A histogram of durations that takes many equal observations at once: a message that reaches 500 sockets is one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, MetricFamily, MetricType};

/// Durations, counted by how long they are. Clones count into the same.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    desc: Desc,
    /// Upper bounds in seconds, rising.
    bounds: &'static [f64],
    /// The same in nanoseconds.
    limits: Vec<u64>,
    /// Observations up to each bound and above the one before it; the last has those above all.
    counts: Vec<AtomicU64>,
    /// Of all observations, in nanoseconds: enough for 584 years.
    sum: AtomicU64,
}

impl Histogram {
    pub(super) fn new(desc: Desc, bounds: &'static [f64]) -> Self {
        let limits: Vec<u64> = bounds.iter().map(|bound| nanoseconds(Duration::from_secs_f64(*bound))).collect();
        let counts = std::iter::repeat_with(AtomicU64::default).take(bounds.len() + 1).collect();
        Self(Arc::new(Inner { desc, bounds, limits, counts, sum: AtomicU64::default() }))
    }

    /// Counts something that took this long.
    pub fn observe(&self, took: Duration) {
        self.observe_many(took, 1);
    }

    /// Counts something that took this long, so many times.
    pub fn observe_many(&self, took: Duration, times: u64) {
        if times == 0 {
            return;
        }
        let Inner { limits, counts, sum, .. } = &*self.0;
        let took = nanoseconds(took);
        let place = limits.iter().take_while(|limit| took > **limit).count();
        counts[place].fetch_add(times, Ordering::Relaxed);
        sum.fetch_add(took.saturating_mul(times), Ordering::Relaxed);
    }
}

impl Collector for Histogram {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Inner { desc, bounds, counts, sum, .. } = &*self.0;
        let counts: Vec<u64> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let mut total = 0;
        let mut buckets = Vec::with_capacity(bounds.len());
        for (bound, count) in bounds.iter().zip(&counts) {
            total += count;
            let mut bucket = proto::Bucket::default();
            bucket.set_cumulative_count(total);
            bucket.set_upper_bound(*bound);
            buckets.push(bucket);
        }
        let mut histogram = proto::Histogram::default();
        histogram.set_sample_count(counts.iter().sum());
        histogram.set_sample_sum(Duration::from_nanos(sum.load(Ordering::Relaxed)).as_secs_f64());
        histogram.set_bucket(buckets);
        let mut metric = proto::Metric::from_label(desc.const_label_pairs.clone());
        metric.set_histogram(histogram);
        let mut family = MetricFamily::default();
        family.set_name(desc.fq_name.clone());
        family.set_help(desc.help.clone());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(vec![metric]);
        vec![family]
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use prometheus::{Registry, TextEncoder};

    use super::*;

    #[test]
    fn each_observation_is_below_its_bound_and_all_above() {
        let desc = Desc::new("x_seconds".into(), "X.".into(), Vec::new(), HashMap::new()).unwrap();
        let histogram = Histogram::new(desc, &[0.01, 1.0]);
        histogram.observe_many(Duration::from_millis(10), 500);
        histogram.observe(Duration::from_millis(11));
        histogram.observe(Duration::from_secs(2));
        histogram.observe_many(Duration::from_secs(9), 0);
        let registry = Registry::new();
        registry.register(Box::new(histogram)).unwrap();
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            r#"x_seconds_bucket{le="0.01"} 500"#,
            r#"x_seconds_bucket{le="1"} 501"#,
            r#"x_seconds_bucket{le="+Inf"} 502"#,
            "x_seconds_sum 7.011",
            "x_seconds_count 502",
        ];
        assert_eq!(lines, expected);
    }
}
