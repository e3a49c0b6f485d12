//! Objects for the Prometheus Operator and Grafana.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Objects for the Prometheus Operator and Grafana. Created only where the Prometheus Operator's
/// CRDs are installed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Monitoring {
    /// When to create a PodMonitor, with which Prometheus scrapes the nodes.
    pub pod_monitor: Installed,
    /// When to create a PrometheusRule, with recording rules and alerts, each with a runbook.
    pub prometheus_rule: Installed,
    /// When to create a ConfigMap with dashboards. Its label `grafana_dashboard` makes the sidecar
    /// of Grafana's chart load them.
    pub dashboards: Installed,
}

/// When the operator creates an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Installed {
    /// If the Prometheus Operator's CRDs are installed.
    #[default]
    Auto,
    /// Never.
    Disabled,
}
