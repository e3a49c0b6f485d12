//! What Prometheus reads.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// The operator's metrics. Clones count into the same.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    reconciliations: HistogramVec,
    writes: IntCounterVec,
    requests: IntCounterVec,
    clusters: IntGaugeVec,
    leader: IntGauge,
}

impl Metrics {
    /// Registers them.
    ///
    /// # Errors
    /// Two metrics have one name: a mistake in here.
    pub fn new() -> Result<Self, prometheus::Error> {
        let reconciliations = HistogramVec::new(
            HistogramOpts::new(
                "chat_operator_reconcile_duration_seconds",
                "How long one look at a ChatCluster took, and how it ended",
            )
            .buckets(vec![0.005, 0.02, 0.1, 0.5, 2.0, 10.0]),
            &["result"],
        )?;
        let writes = IntCounterVec::new(
            Opts::new("chat_operator_writes_total", "Objects written to the API server"),
            &["kind", "verb"],
        )?;
        let requests = IntCounterVec::new(
            Opts::new("chat_operator_api_requests_total", "Requests to the API server, watches included"),
            &["code"],
        )?;
        let clusters = IntGaugeVec::new(
            Opts::new("chat_operator_clusters", "ChatClusters, by whether clients find a node"),
            &["available"],
        )?;
        let leader = IntGauge::new("chat_operator_leader", "Whether this replica is the one that works")?;
        let registry = Registry::new();
        registry.register(Box::new(reconciliations.clone()))?;
        registry.register(Box::new(writes.clone()))?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(clusters.clone()))?;
        registry.register(Box::new(leader.clone()))?;
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self { inner: Arc::new(Inner { registry, reconciliations, writes, requests, clusters, leader }) })
    }

    /// One look at a ChatCluster ended.
    pub fn reconciled(&self, result: &str, took: Duration) {
        self.inner.reconciliations.with_label_values(&[result]).observe(took.as_secs_f64());
    }

    /// An object was written.
    pub fn written(&self, kind: &str, verb: &str) {
        self.inner.writes.with_label_values(&[kind, verb]).inc();
    }

    /// The API server answered.
    pub fn requested(&self, code: &str) {
        self.inner.requests.with_label_values(&[code]).inc();
    }

    /// How many ChatClusters there are, available and not.
    pub fn set_clusters(&self, available: usize, unavailable: usize) {
        for (label, count) in [("true", available), ("false", unavailable)] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.inner.clusters.with_label_values(&[label]).set(count);
        }
    }

    /// Whether this replica works.
    pub fn set_leader(&self, leader: bool) {
        self.inner.leader.set(leader.into());
    }

    /// All of them, as Prometheus reads them.
    ///
    /// # Errors
    /// They can't be written.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.inner.registry.gather(), &mut text)?;
        String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }
}
