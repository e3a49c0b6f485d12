//! What is made for a Prometheus and a Grafana that are there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is made for those who watch the chat. All of it only where the Prometheus Operator's definitions are installed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Monitoring {
    /// A PodMonitor, by which Prometheus finds the nodes.
    pub pod_monitor: Installed,
    /// A PrometheusRule with what is recorded of the nodes, and alerts with a runbook each.
    pub prometheus_rule: Installed,
    /// A ConfigMap with dashboards, labelled `grafana_dashboard` for the sidecar of Grafana's chart.
    pub dashboards: Installed,
}

/// When an object is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Installed {
    /// Where its like is installed.
    #[default]
    Auto,
    /// Never.
    Disabled,
}
