//! What the Prometheus Operator knows: two of its kinds, as far as this operator writes them. They may not be installed.

use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The group and version of both.
pub const VERSION: &str = "monitoring.coreos.com/v1";

/// Which pods Prometheus is to read.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "monitoring.coreos.com",
    version = "v1",
    kind = "PodMonitor",
    plural = "podmonitors",
    namespaced,
    schema = "disabled"
)]
pub struct PodMonitorSpec {
    /// As its own definition has them.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// What Prometheus is to record, and to alert by.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "monitoring.coreos.com",
    version = "v1",
    kind = "PrometheusRule",
    plural = "prometheusrules",
    namespaced,
    schema = "disabled"
)]
pub struct PrometheusRuleSpec {
    /// As its own definition has them.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// Which of these kinds are installed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InstalledKinds {
    /// PodMonitors.
    pub pod_monitor: bool,
    /// PrometheusRules.
    pub prometheus_rule: bool,
}
