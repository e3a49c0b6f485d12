//! What every reconciliation needs, and what the operator counts across ChatClusters.

use kube::Client;
use kube::runtime::reflector::{ObjectRef, Store};

use super::backoff::Backoff;
use super::caches::Caches;
use super::optional_resources::OptionalResources;
use super::report::Reporter;
use crate::api::spec::ChatCluster;
use crate::metrics::Metrics;

/// Shared by all reconciliations.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) caches: Caches,
    pub(super) clusters: Store<ChatCluster>,
    pub(super) reporter: Reporter,
    pub(super) metrics: Metrics,
    pub(super) backoff: Backoff,
    pub(super) optional: OptionalResources,
    pub(super) http: reqwest::Client,
    pub(super) operator_namespace: String,
}

impl Context {
    /// Updates the gauges that count ChatClusters.
    pub(super) fn count_clusters(&self) {
        let available = self.reporter.available();
        self.metrics.set_clusters(available, self.clusters.len().saturating_sub(available));
        self.metrics.set_retrying(self.backoff.len());
    }

    /// Drops what is kept of a deleted ChatCluster.
    pub(super) fn forget(&self, name: &str, namespace: &str) {
        let cluster = ObjectRef::new(name).within(namespace);
        self.reporter.forget(&cluster);
        self.backoff.forget(&cluster);
        self.count_clusters();
    }
}
