//! The status of a ChatCluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Observed state of a ChatCluster.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatClusterStatus {
    /// Generation of the spec that this status reflects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Number of pods that are neither cordoned nor draining.
    #[serde(default)]
    pub replicas: i32,
    /// Number of pods that accept clients.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Label selector of the counted pods, for autoscalers.
    #[serde(default)]
    pub selector: String,
    /// Version that all pods run. During a rollout, the previous version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Revision that all pods last ran: a hash of the pod template, part of the pods' names. During
    /// a rollout, the previous revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Address of the chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// State of autoscaling by `spec.autoscaling.targetConnectionsPerPod`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<ByConnections>,
    /// Conditions, one of each type.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// State of autoscaling by the number of sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ByConnections {
    /// Number of nodes that the sockets require.
    #[serde(default)]
    pub replicas: i32,
    /// Smaller number of nodes that has been enough for part of the stabilization window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fewer: Option<Fewer>,
}

/// A smaller number of nodes that has been enough for part of the stabilization window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fewer {
    /// Highest number of nodes needed since then.
    pub replicas: i32,
    /// Start of the period.
    pub since: Time,
}

/// The type of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionType {
    /// At least one node accepts clients.
    Available,
    /// A rollout or a change of scale is in progress.
    Progressing,
    /// Something is wrong; the chat may still work.
    Degraded,
    /// The nodes can store messages.
    RedisReady,
    /// The chat is reachable at its address.
    ExposureReady,
    /// The spec and what it refers to are valid.
    ConfigValid,
    /// The number of nodes differs from the number that the spec or the load asks for.
    ScalingLimited,
    /// A node did not hand over all its clients before its deadline.
    DrainStalled,
    /// The monitoring objects are applied.
    Monitored,
    /// Reconciliation is paused.
    Paused,
}

impl ConditionType {
    /// All types, in the order of the status.
    pub const ALL: [Self; 10] = [
        Self::Available,
        Self::Progressing,
        Self::Degraded,
        Self::RedisReady,
        Self::ExposureReady,
        Self::ConfigValid,
        Self::ScalingLimited,
        Self::DrainStalled,
        Self::Monitored,
        Self::Paused,
    ];

    /// The value in a condition.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "Available",
            Self::Progressing => "Progressing",
            Self::Degraded => "Degraded",
            Self::RedisReady => "RedisReady",
            Self::ExposureReady => "ExposureReady",
            Self::ConfigValid => "ConfigValid",
            Self::ScalingLimited => "ScalingLimited",
            Self::DrainStalled => "DrainStalled",
            Self::Monitored => "Monitored",
            Self::Paused => "Paused",
        }
    }

    /// What the status True means.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Available => "At least one node accepts clients.",
            Self::Progressing => "A rollout or a change of scale is in progress.",
            Self::Degraded => "Something is wrong; the chat may still work.",
            Self::RedisReady => "The nodes can store messages.",
            Self::ExposureReady => "The chat is reachable at its address.",
            Self::ConfigValid => "The spec and what it refers to are valid.",
            Self::ScalingLimited => "The number of nodes differs from the number that the spec or the load asks for.",
            Self::DrainStalled => "A node did not hand over all its clients before its deadline.",
            Self::Monitored => "The monitoring objects are applied.",
            Self::Paused => "Reconciliation is paused.",
        }
    }

    /// The status that signals a problem.
    #[must_use]
    pub fn bad(self) -> &'static str {
        match self {
            Self::Degraded | Self::ScalingLimited | Self::DrainStalled | Self::Paused => "True",
            _ => "False",
        }
    }
}
