//! The two kinds of the Prometheus Operator that this operator writes. They may not be installed.

use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Group and version of both kinds.
pub const VERSION: &str = "monitoring.coreos.com/v1";

/// Pods that Prometheus scrapes.
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
    /// The fields of its CRD.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// Recording rules and alerts.
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
    /// The fields of its CRD.
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
