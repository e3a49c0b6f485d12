//! What the operator says of a ChatCluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is true of a ChatCluster.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatClusterStatus {
    /// The generation of the spec that this speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many pods there are, those aside that are on their way out.
    #[serde(default)]
    pub replicas: i32,
    /// How many of them take clients.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Which pods are counted, as a label selector; for autoscalers.
    #[serde(default)]
    pub selector: String,
    /// The version that all pods run; the old one until a change is through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The kind of pods that all pods were of last: part of their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Where the chat is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// What the live sockets ask for, with spec.autoscaling.targetConnectionsPerPod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<ByConnections>,
    /// What is known: one condition of each type.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// How many nodes the live sockets ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ByConnections {
    /// So many.
    #[serde(default)]
    pub replicas: i32,
    /// Fewer would do, but not yet for long enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fewer: Option<Fewer>,
}

/// A smaller number of nodes that has been enough for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fewer {
    /// The most that were needed in that time.
    pub replicas: i32,
    /// Since when.
    pub since: Time,
}

/// What a condition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionType {
    /// Clients find a node that takes them.
    Available,
    /// A change is on its way.
    Progressing,
    /// Something is wrong that the chat may outlive for a while.
    Degraded,
    /// The nodes can store.
    RedisReady,
    /// The chat is reached under its address.
    ExposureReady,
    /// What was asked for can be built.
    ConfigValid,
    /// Other numbers of nodes are asked for than there may be now.
    ScalingLimited,
    /// A node did not hand its clients over in time.
    DrainStalled,
    /// Prometheus and Grafana get to know of the chat.
    Monitored,
    /// Nothing is changed, as was asked for.
    Paused,
}

impl ConditionType {
    /// All, in the order in which they are told.
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

    /// The word, as it stands in a condition.
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

    /// What it means that it is true.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Available => "Clients find a node that takes them.",
            Self::Progressing => "A change is on its way.",
            Self::Degraded => "Something is wrong that the chat may outlive for a while.",
            Self::RedisReady => "The nodes can store.",
            Self::ExposureReady => "The chat is reached under its address.",
            Self::ConfigValid => "What was asked for can be built.",
            Self::ScalingLimited => "Other numbers of nodes are asked for than there may be now.",
            Self::DrainStalled => "A node did not hand its clients over in time.",
            Self::Monitored => "Prometheus and Grafana get to know of the chat.",
            Self::Paused => "Nothing is changed, as was asked for.",
        }
    }

    /// The status that means trouble.
    #[must_use]
    pub fn bad(self) -> &'static str {
        match self {
            Self::Degraded | Self::ScalingLimited | Self::DrainStalled | Self::Paused => "True",
            _ => "False",
        }
    }
}
