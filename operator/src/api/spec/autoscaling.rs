//! How many nodes there are, when that follows from what the chat has to bear.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Between how many nodes the chat moves, and by what.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, x_kube(cel))]
#[x_kube(
    validation = Rule::new("self.minReplicas <= self.maxReplicas")
        .message("minReplicas must not be above maxReplicas"),
    validation = Rule::new("has(self.targetConnectionsPerPod) || has(self.targetCPUUtilizationPercentage)")
        .message("set targetConnectionsPerPod, targetCPUUtilizationPercentage or both: something has to say how many nodes are needed"),
)]
pub struct Autoscaling {
    /// No fewer nodes than this, whatever is asked for.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: i32,

    /// No more nodes than this, whatever is asked for.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,

    /// So many live sockets a node. The operator asks the nodes themselves; as long as one does not
    /// answer, none is taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub target_connections_per_pod: Option<i32>,

    /// So much of the CPU that the pods ask for, on average. A HorizontalPodAutoscaler sets
    /// spec.replicas by it, through the scale subresource; it needs metrics-server.
    #[serde(default, rename = "targetCPUUtilizationPercentage", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_utilization_percentage: Option<i32>,

    /// How nodes are taken away.
    #[serde(default)]
    pub scale_down: ScaleDown,
}

fn one() -> i32 {
    1
}

/// How nodes are taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleDown {
    /// For how many seconds fewer must have been enough: as many as were needed within that time are kept.
    #[schemars(range(min = 0, max = 3600))]
    pub stabilization_seconds: i32,
}

impl Default for ScaleDown {
    fn default() -> Self {
        Self { stabilization_seconds: 600 }
    }
}
