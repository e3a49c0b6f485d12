//! The operator's metrics; [`catalogue`] lists them.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::api::reason::Reason;
use catalogue::{Kind, Metric};

pub mod catalogue;
pub mod requests;

/// The operator's metrics. Clones share the counters.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    reconciles: HistogramVec,
    errors: IntCounterVec,
    running: IntGauge,
    retrying: IntGauge,
    turns: IntCounterVec,
    writes: IntCounterVec,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    clusters: IntGaugeVec,
    leader: IntGauge,
    lease_attempts: IntCounterVec,
}

/// Result of an attempt to acquire or renew the Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseAttempt {
    /// This replica holds the Lease.
    Held,
    /// Another replica holds it.
    Other,
    /// The API server did not answer.
    Error,
}

/// A reconciliation in progress; ends when dropped.
pub struct ReconcileInProgress(IntGauge);

impl Drop for ReconcileInProgress {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Registers all metrics. Every series exists from the start, at 0.
    ///
    /// # Errors
    /// Two metrics have the same name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let register = Registrar(&registry);
        register.gauges(catalogue::BUILD_INFO)?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let inner = Inner {
            reconciles: register.histograms(catalogue::RECONCILES)?,
            errors: register.counters(catalogue::ERRORS)?,
            running: register.gauge(catalogue::RUNNING)?,
            retrying: register.gauge(catalogue::RETRYING)?,
            turns: register.counters(catalogue::TURNS)?,
            writes: register.counters(catalogue::WRITES)?,
            requests: register.counters(catalogue::REQUESTS)?,
            request_duration: register.histograms(catalogue::REQUEST_DURATION)?,
            clusters: register.gauges(catalogue::CLUSTERS)?,
            leader: register.gauge(catalogue::LEADER)?,
            lease_attempts: register.counters(catalogue::LEASE_ATTEMPTS)?,
            registry,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A reconciliation starts.
    #[must_use]
    pub fn start_reconcile(&self) -> ReconcileInProgress {
        self.inner.running.inc();
        ReconcileInProgress(self.inner.running.clone())
    }

    /// A reconciliation ended; `failed` is the reason of its error.
    pub fn finish_reconcile(&self, failed: Option<Reason>, took: Duration) {
        let result = if failed.is_none() { "ok" } else { "error" };
        self.inner.reconciles.with_label_values(&[result]).observe(took.as_secs_f64());
        if let Some(reason) = failed {
            self.inner.errors.with_label_values(&[reason.as_str()]).inc();
        }
    }

    /// Sets the number of ChatClusters that wait for a retry.
    pub fn set_retrying(&self, clusters: usize) {
        self.inner.retrying.set(saturating_i64(clusters));
    }

    /// A condition changed to a reason that is published as an Event.
    pub fn transitioned(&self, reason: &str) {
        self.inner.turns.with_label_values(&[reason]).inc();
    }

    /// An object was written to the API server.
    pub fn written(&self, kind: &str, verb: &str) {
        self.inner.writes.with_label_values(&[kind, verb]).inc();
    }

    /// Sets the number of ChatClusters, available and not.
    pub fn set_clusters(&self, available: usize, unavailable: usize) {
        for (label, count) in [("true", available), ("false", unavailable)] {
            self.inner.clusters.with_label_values(&[label]).set(saturating_i64(count));
        }
    }

    /// Sets whether this replica is the leader.
    pub fn set_leader(&self, leader: bool) {
        self.inner.leader.set(leader.into());
    }

    /// Counts an attempt to acquire or renew the Lease.
    pub fn lease_attempt(&self, how: LeaseAttempt) {
        let result = match how {
            LeaseAttempt::Held => "held",
            LeaseAttempt::Other => "other",
            LeaseAttempt::Error => "error",
        };
        self.inner.lease_attempts.with_label_values(&[result]).inc();
    }

    /// All metrics in Prometheus' text format.
    ///
    /// # Errors
    /// The metrics can't be encoded.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.inner.registry.gather(), &mut text)?;
        String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }
}

fn saturating_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Creates and registers metrics of the catalogue, with all their series.
struct Registrar<'a>(&'a Registry);

impl Registrar<'_> {
    fn gauge(&self, metric: Metric) -> Result<IntGauge, prometheus::Error> {
        let collector = IntGauge::new(metric.name, metric.help)?;
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn gauges(&self, metric: Metric) -> Result<IntGaugeVec, prometheus::Error> {
        let collector = IntGaugeVec::new(Opts::new(metric.name, metric.help), &names(metric))?;
        self.0.register(Box::new(collector.clone()))?;
        series(metric).iter().for_each(|values| drop(collector.with_label_values(values)));
        Ok(collector)
    }

    fn counters(&self, metric: Metric) -> Result<IntCounterVec, prometheus::Error> {
        let collector = IntCounterVec::new(Opts::new(metric.name, metric.help), &names(metric))?;
        self.0.register(Box::new(collector.clone()))?;
        series(metric).iter().for_each(|values| drop(collector.with_label_values(values)));
        Ok(collector)
    }

    fn histograms(&self, metric: Metric) -> Result<HistogramVec, prometheus::Error> {
        let Kind::Histogram(bounds) = metric.kind else {
            return Err(prometheus::Error::Msg(format!("{} is not a histogram", metric.name)));
        };
        let options = HistogramOpts::new(metric.name, metric.help).buckets(bounds.to_vec());
        let collector = HistogramVec::new(options, &names(metric))?;
        self.0.register(Box::new(collector.clone()))?;
        series(metric).iter().for_each(|values| drop(collector.with_label_values(values)));
        Ok(collector)
    }
}

fn names(metric: Metric) -> Vec<&'static str> {
    metric.labels.iter().map(|label| label.name).collect()
}

/// The label values of each series: all combinations.
fn series(metric: Metric) -> Vec<Vec<&'static str>> {
    metric.labels.iter().fold(vec![Vec::new()], |series, label| {
        let longer = |values: &Vec<&'static str>| {
            let values = values.clone();
            (label.values)().into_iter().map(move |value| [values.as_slice(), &[value]].concat())
        };
        series.iter().flat_map(longer).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_of_the_catalogue_exists_from_the_start() {
        let text = Metrics::new().unwrap().render().unwrap();
        let of = |name: &str| text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name)).count();
        for metric in catalogue::ALL {
            let name = match metric.kind {
                Kind::Histogram(_) => format!("{}_count", metric.name),
                _ => metric.name.to_owned(),
            };
            assert_eq!(of(&name), series(*metric).len(), "{name} in\n{text}");
        }
        let names = text.lines().filter(|line| line.starts_with("# TYPE chat_")).count();
        assert_eq!(names, catalogue::ALL.len(), "{text}");
    }
}
