//! Autoscaling of the nodes.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bounds and targets of autoscaling. With both targets set, the larger number of nodes applies.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, x_kube(cel))]
#[x_kube(
    validation = Rule::new("self.minReplicas <= self.maxReplicas")
        .message("minReplicas must not be greater than maxReplicas"),
    validation = Rule::new("has(self.targetConnectionsPerPod) || has(self.targetCPUUtilizationPercentage)")
        .message("set targetConnectionsPerPod, targetCPUUtilizationPercentage or both"),
)]
pub struct Autoscaling {
    /// Minimum number of nodes.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: i32,

    /// Maximum number of nodes.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,

    /// Target number of sockets per node. The operator reads the number of sockets from the nodes'
    /// metrics. It does not scale down while a ready node does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub target_connections_per_pod: Option<i32>,

    /// Target average CPU utilization of the pods, in percent of their CPU requests. The operator
    /// creates a HorizontalPodAutoscaler that sets `spec.replicas` through the scale subresource;
    /// it requires metrics-server.
    #[serde(default, rename = "targetCPUUtilizationPercentage", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_utilization_percentage: Option<i32>,

    /// Scale-down behaviour.
    #[serde(default)]
    pub scale_down: ScaleDown,
}

fn one() -> i32 {
    1
}

/// Scale-down behaviour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleDown {
    /// Stabilization window, in seconds. The operator scales down to the highest number of nodes
    /// that was needed within this window.
    #[schemars(range(min = 0, max = 3600))]
    pub stabilization_seconds: i32,
}

impl Default for ScaleDown {
    fn default() -> Self {
        Self { stabilization_seconds: 600 }
    }
}
