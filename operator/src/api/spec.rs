//! What a user asks for. A field is here as soon as it is honoured, not before; its default stands
//! in the schema, and the operator never writes into a spec.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::ChatClusterStatus;

pub mod autoscaling;
pub mod delivery;
pub mod exposure;
pub mod monitoring;
pub mod pod;
pub mod redis;
pub mod rollout;
pub mod tracing;

#[cfg(test)]
mod tests;

use autoscaling::Autoscaling;
use delivery::Delivery;
use exposure::Exposure;
use monitoring::Monitoring;
use pod::Pod;
use redis::Redis;
use rollout::{Drain, Rollout};
use tracing::Tracing;

/// Longest name of a ChatCluster, in characters: what is named after it must fit into 63, a
/// StatefulSet's pods with their hash included.
pub const MAX_NAME: usize = 40;

/// A chat: some chat-server nodes, reachable under one address.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "chatcluster.dev",
    version = "v1alpha1",
    kind = "ChatCluster",
    plural = "chatclusters",
    shortname = "cc",
    category = "all",
    category = "chat",
    namespaced,
    derive = "PartialEq",
    doc = "A chat: some chat-server nodes, reachable under one address.",
    status = "ChatClusterStatus",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".spec.replicas"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(
        name = "Available",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Available")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Available")].reason"#
    ),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoint"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 40")
        .message("the name may have at most 40 characters: what the operator makes is named after it"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("the name must begin with a letter and have only a-z, 0-9 and -: it becomes the name of a Service"),
)]
#[cfg_attr(test, kube(cel))]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.redis) || self.replicas == 1")
        .message("without redis the chat is in one pod's memory: set replicas to 1, or add redis.managed or redis.external")
        .field_path(".replicas"),
    validation = Rule::new("has(self.redis) || !has(self.autoscaling)")
        .message("without redis the chat is in one pod's memory and can't be autoscaled: add redis.managed or redis.external")
        .field_path(".autoscaling"),
    validation = Rule::new("has(self.redis) == has(oldSelf.redis)")
        .message("redis can't be added or removed later: what was said so far would be lost; make another ChatCluster")
        .field_path(".redis"),
    validation = Rule::new("has(self.redis) || self.delivery.durability == 'Memory'")
        .message("without redis nothing survives the chat's one pod: set durability to Memory, or add redis.managed or redis.external")
        .field_path(".delivery.durability"),
    validation = Rule::new("!has(self.redis) || !has(self.redis.managed) || self.delivery.durability != 'Replica'")
        .message("a managed Redis is one server without replicas: set durability to Aof, or make the chat with redis.external")
        .field_path(".delivery.durability"),
)]
pub struct ChatClusterSpec {
    /// The image of the nodes.
    #[serde(default)]
    pub image: Image,

    /// How many nodes are asked for, by a person or, through the scale subresource, by an autoscaler.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,

    /// Lets the number of nodes follow what the chat has to bear. Absent: spec.replicas alone says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// The Redis that the nodes share: one that the operator runs, or one that is there. Without it
    /// the chat is in the memory of one pod, and gone with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<Redis>,

    /// What an acknowledged message survives.
    #[serde(default)]
    pub delivery: Delivery,

    /// How the chat is reached.
    #[serde(default)]
    pub exposure: Exposure,

    /// Who may connect.
    #[serde(default)]
    pub auth: Auth,

    /// What one node and one user may use.
    #[serde(default)]
    pub limits: Limits,

    /// How long messages are kept.
    #[serde(default)]
    pub retention: Retention,

    /// How a change of the pods is carried out.
    #[serde(default)]
    pub rollout: Rollout,

    /// How a node that goes hands its clients over to the others. The pods' grace period follows from it.
    #[serde(default)]
    pub drain: Drain,

    /// What is said of the nodes' pods beside their image.
    #[serde(default)]
    pub pod: Pod,

    /// What a drain of Kubernetes nodes may do to the chat.
    #[serde(default)]
    pub disruption: Disruption,

    /// Who may reach the pods.
    #[serde(default)]
    pub network_policy: NetworkPolicy,

    /// What is made for those who watch the chat, where the Prometheus Operator is installed.
    #[serde(default)]
    pub monitoring: Monitoring,

    /// Where it is told what becomes of messages.
    #[serde(default)]
    pub tracing: Tracing,

    /// Leaves everything as it is: nothing is made, changed or removed until it is false again.
    #[serde(default)]
    pub paused: bool,
}

fn default_replicas() -> i32 {
    2
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Image {
    /// Registry and name.
    #[schemars(length(min = 1, max = 255))]
    pub repository: String,
    /// The version.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]*$"))]
    pub tag: String,
    /// The very content, as `sha256:…`; the tag is then only said, not followed.
    #[schemars(length(max = 71), regex(pattern = r"^(sha256:[0-9a-f]{64})?$"))]
    pub digest: String,
    /// When the image is fetched.
    pub pull_policy: PullPolicy,
    /// Names of Secrets in this namespace for the registry.
    #[schemars(length(max = 10), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pull_secrets: Vec<SecretName>,
}

impl Default for Image {
    fn default() -> Self {
        Self {
            repository: "ghcr.io/chatcluster/chat-server".into(),
            tag: env!("CARGO_PKG_VERSION").into(),
            digest: String::new(),
            pull_policy: PullPolicy::IfNotPresent,
            pull_secrets: Vec::new(),
        }
    }
}

/// When an image is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// At every start.
    Always,
    /// When the machine does not have it.
    IfNotPresent,
    /// Never: the machine must have it.
    Never,
}

impl PullPolicy {
    /// The word as the pod's spec has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// The name of a Secret in the ChatCluster's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretName {
    /// The name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Who may connect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Auth {
    /// Origins whose pages may connect, such as `https://chat.example.com`; `*` for any. Empty: the
    /// chat's own page only.
    #[schemars(length(max = 50), inner(length(max = 255), regex(pattern = r"^(\*|https?://[^/\s,]+)$")))]
    pub allowed_origins: Vec<String>,
}

/// What one node and one user may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// How many sockets a node takes; further ones go to another.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections_per_pod: i32,
    /// Longest text of a message, in bytes of UTF-8.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_message_bytes: i32,
    /// How many messages and other changes a second one user may send on a node, over time; 0: no limit.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub messages_per_second_per_user: i32,
    /// How many of them at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: i32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_connections_per_pod: 20_000, max_message_bytes: 16_384, messages_per_second_per_user: 10, burst: 30 }
    }
}

/// How long messages are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Retention {
    /// For how many seconds; 0: for ever.
    #[schemars(range(min = 0))]
    pub max_age_seconds: i64,
    /// How many a room keeps; 0: all.
    #[schemars(range(min = 0))]
    pub max_messages_per_room: i64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { max_age_seconds: 2_592_000, max_messages_per_room: 100_000 }
    }
}

/// What a drain of Kubernetes nodes may do to the chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Disruption {
    /// How many pods may be evicted at a time; none while one of them drains.
    #[schemars(range(min = 1, max = 1000))]
    pub max_unavailable: i32,
}

impl Default for Disruption {
    fn default() -> Self {
        Self { max_unavailable: 1 }
    }
}

/// Who may reach the pods.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicy {
    /// Whether there is a NetworkPolicy.
    pub mode: NetworkPolicyMode,
    /// Who may connect to the chat, such as the ingress controller's pods. Empty: everyone. The admin
    /// port is for the operator and for Prometheus, Redis for the nodes only.
    #[schemars(length(max = 20))]
    pub ingress_from: Vec<k8s_openapi::api::networking::v1::NetworkPolicyPeer>,
}

/// Whether there is a NetworkPolicy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NetworkPolicyMode {
    /// What is not needed is refused, in and out.
    #[default]
    Strict,
    /// There is none.
    Disabled,
}
