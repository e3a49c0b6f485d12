//! Every metric of the operator. `docs/metrics.md` is generated from this list.

use crate::api::reason::Reason;

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Name, with the unit and `_total` as the conventions ask.
    pub name: &'static str,
    /// Type of the metric.
    pub kind: Kind,
    /// Unit.
    pub unit: &'static str,
    /// Help text.
    pub help: &'static str,
    /// Labels, besides those that a scrape adds.
    pub labels: &'static [Label],
}

/// Type of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Increases only; a restart resets it.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Upper bounds of the buckets, in seconds.
    Histogram(&'static [f64]),
}

/// A label with its closed set of values.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Name of the label.
    pub name: &'static str,
    /// All values.
    pub values: fn() -> Vec<&'static str>,
}

const RESULT: Label = Label { name: "result", values: || vec!["ok", "error"] };
const REASON: Label = Label { name: "reason", values: || Reason::ALL.iter().map(|reason| reason.as_str()).collect() };
/// The reasons of `controller::error::Error`.
const ERROR_REASON: Label = Label {
    name: "reason",
    values: || [Reason::ApplyFailed, Reason::NameConflict, Reason::QuotaExceeded].map(Reason::as_str).to_vec(),
};
const KIND: Label = Label { name: "kind", values: || WRITTEN.to_vec() };
const WRITE: Label = Label { name: "verb", values: || vec!["apply", "patch", "delete"] };
const VERB: Label = Label { name: "verb", values: || VERBS.to_vec() };
const CODE: Label = Label { name: "code", values: || CODES.to_vec() };
const AVAILABLE: Label = Label { name: "available", values: || vec!["true", "false"] };
const LEASE: Label = Label { name: "result", values: || vec!["held", "other", "error"] };
const VERSION: Label = Label { name: "version", values: || vec![env!("CARGO_PKG_VERSION")] };

/// The kinds that the operator writes.
const WRITTEN: [&str; 13] = [
    "ConfigMap",
    "HorizontalPodAutoscaler",
    "Ingress",
    "NetworkPolicy",
    "Pod",
    "PodDisruptionBudget",
    "PodMonitor",
    "PrometheusRule",
    "ReplicaSet",
    "Secret",
    "Service",
    "ServiceAccount",
    "StatefulSet",
];

/// Verbs of requests to the API server; `other` is a request for no resource, such as the version.
pub(crate) const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "other"];

/// Status codes of the API server: those with a meaning of their own, then all others by their
/// class. `none` means no response.
pub(crate) const CODES: [&str; 9] = ["2xx", "3xx", "4xx", "403", "404", "409", "429", "5xx", "none"];

macro_rules! catalogue {
    ($($id:ident = $name:literal, $kind:expr, $unit:literal, [$($label:expr),*], $help:literal;)+) => {
        $(
            #[doc = $help]
            pub(super) const $id: Metric =
                Metric { name: $name, kind: $kind, unit: $unit, help: $help, labels: &[$($label),*] };
        )+

        /// Every metric of the operator, except the process metrics, which are the same as a
        /// node's.
        pub const ALL: &[Metric] = &[$($id),+];
    };
}

catalogue! {
    CLUSTERS = "chat_operator_clusters", Kind::Gauge, "ChatClusters", [AVAILABLE],
        "ChatClusters, by whether at least one node accepts clients.";
    TURNS = "chat_operator_turns_total", Kind::Counter, "events", [REASON],
        "Conditions of ChatClusters that changed to a reason published as an Event.";
    RECONCILES = "chat_operator_reconcile_duration_seconds",
        Kind::Histogram(&[0.005, 0.02, 0.1, 0.5, 2.0, 10.0]), "seconds", [RESULT],
        "Duration of reconciliations, by result.";
    ERRORS = "chat_operator_reconcile_errors_total", Kind::Counter, "reconciliations", [ERROR_REASON],
        "Reconciliations that ended with an error, by reason. Each is retried.";
    RUNNING = "chat_operator_reconciles_running", Kind::Gauge, "reconciliations", [],
        "Reconciliations in progress, at most 8.";
    RETRYING = "chat_operator_clusters_retrying", Kind::Gauge, "ChatClusters", [],
        "ChatClusters that wait for a retry because their last reconciliation failed.";
    WRITES = "chat_operator_writes_total", Kind::Counter, "objects", [KIND, WRITE],
        "Objects written to the API server, by kind and verb. Constant while nothing changes.";
    REQUESTS = "chat_operator_api_requests_total", Kind::Counter, "requests", [VERB, CODE],
        "Requests to the API server, by verb and status code.";
    REQUEST_DURATION = "chat_operator_api_request_duration_seconds",
        Kind::Histogram(&[0.005, 0.02, 0.1, 0.5, 2.0, 10.0]), "seconds", [VERB],
        "Time until the API server starts its response, by verb.";
    LEADER = "chat_operator_leader", Kind::Gauge, "", [],
        "1 if this replica is the leader, otherwise 0.";
    LEASE_ATTEMPTS = "chat_operator_lease_attempts_total", Kind::Counter, "attempts", [LEASE],
        "Attempts to acquire or renew the Lease, by result: this replica holds it, another does, or the API server did not answer.";
    BUILD_INFO = "chat_operator_build_info", Kind::Gauge, "", [VERSION],
        "Always 1; the label is the operator's version.";
}
