//! Every metric of the operator. `docs/metrics.md` is made from this list.

use crate::api::reason::Reason;

/// What a metric is, and what it says.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name, with the unit and `_total` where conventions ask for them.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// What it counts or measures.
    pub unit: &'static str,
    /// A sentence for who reads it.
    pub help: &'static str,
    /// What tells its series apart, beside what a scrape adds.
    pub labels: &'static [Label],
}

/// How a metric moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only up, and to 0 with a restart.
    Counter,
    /// Up and down.
    Gauge,
    /// How many were at most each of these, in seconds.
    Histogram(&'static [f64]),
}

/// A label and the closed set of its values.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub values: fn() -> Vec<&'static str>,
}

const RESULT: Label = Label { name: "result", values: || vec!["ok", "error"] };
const REASON: Label = Label { name: "reason", values: || Reason::ALL.iter().map(|reason| reason.as_str()).collect() };
/// Those of [`crate::controller::error::Error::reason`].
const EARLY: Label = Label {
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

/// The kinds of objects that the operator writes.
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

/// What the API server is asked for; `other` is what is no resource, such as its version.
pub(crate) const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "other"];

/// How the API server answers: those that tell something by themselves, then all others of their hundred. `none` is no answer.
pub(crate) const CODES: [&str; 9] = ["2xx", "3xx", "4xx", "403", "404", "409", "429", "5xx", "none"];

macro_rules! catalogue {
    ($($id:ident = $name:literal, $kind:expr, $unit:literal, [$($label:expr),*], $help:literal;)+) => {
        $(
            #[doc = $help]
            pub(super) const $id: Metric =
                Metric { name: $name, kind: $kind, unit: $unit, help: $help, labels: &[$($label),*] };
        )+

        /// Every metric of the operator but those of its process, which are as those of a node.
        pub const ALL: &[Metric] = &[$($id),+];
    };
}

catalogue! {
    CLUSTERS = "chat_operator_clusters", Kind::Gauge, "ChatClusters", [AVAILABLE],
        "ChatClusters, by whether clients find a node.";
    TURNS = "chat_operator_turns_total", Kind::Counter, "events", [REASON],
        "Times a condition of a ChatCluster turned to a reason that is worth an Event.";
    RECONCILES = "chat_operator_reconcile_duration_seconds",
        Kind::Histogram(&[0.005, 0.02, 0.1, 0.5, 2.0, 10.0]), "seconds", [RESULT],
        "How long one look at a ChatCluster took, and how it ended.";
    ERRORS = "chat_operator_reconcile_errors_total", Kind::Counter, "looks", [EARLY],
        "Looks at a ChatCluster that ended early, by reason; each is tried again.";
    RUNNING = "chat_operator_reconciles_running", Kind::Gauge, "looks", [],
        "Looks at ChatClusters that are going on, at most 8.";
    RETRYING = "chat_operator_clusters_retrying", Kind::Gauge, "ChatClusters", [],
        "ChatClusters whose last look ended early: the queue of those that are tried again.";
    WRITES = "chat_operator_writes_total", Kind::Counter, "objects", [KIND, WRITE],
        "Objects written to the API server; at rest, none.";
    REQUESTS = "chat_operator_api_requests_total", Kind::Counter, "requests", [VERB, CODE],
        "Requests to the API server, by how it answered.";
    REQUEST_DURATION = "chat_operator_api_request_duration_seconds",
        Kind::Histogram(&[0.005, 0.02, 0.1, 0.5, 2.0, 10.0]), "seconds", [VERB],
        "How long the API server took to begin its answer.";
    LEADER = "chat_operator_leader", Kind::Gauge, "", [],
        "Whether this replica is the one that works.";
    LEASE_ATTEMPTS = "chat_operator_lease_attempts_total", Kind::Counter, "attempts", [LEASE],
        "Attempts to get or renew the Lease: this replica holds it, another does, or it can't be asked for.";
    BUILD_INFO = "chat_operator_build_info", Kind::Gauge, "", [VERSION],
        "1, and of which version the operator is.";
}
