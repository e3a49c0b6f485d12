//! The spec of a ChatCluster. A field exists only once the operator honours it. Defaults are in the
//! schema; the operator never writes to a spec.

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
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

/// Longest name of a ChatCluster, in characters. The names derived from it must fit into 63
/// characters, including those of a StatefulSet's pods with their hash.
pub const MAX_NAME: usize = 40;

/// A chat service: a set of chat-server nodes behind one address. A node is a chat-server pod; a
/// machine of the cluster is called a Kubernetes node.
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
    doc = "A chat service: a set of chat-server nodes behind one address. A node is a chat-server pod; a machine of the cluster is called a Kubernetes node.",
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
        .message("the name must have at most 40 characters: the names of the operator's objects are derived from it"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("the name must begin with a letter and contain only a-z, 0-9 and -: it becomes the name of a Service"),
)]
#[cfg_attr(test, kube(cel))]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.redis) || self.replicas == 1")
        .message("without redis the chat is in one pod's memory: set replicas to 1, or set redis.managed or redis.external")
        .field_path(".replicas"),
    validation = Rule::new("has(self.redis) || !has(self.autoscaling)")
        .message("without redis the chat is in one pod's memory and can't be autoscaled: set redis.managed or redis.external")
        .field_path(".autoscaling"),
    validation = Rule::new("has(self.redis) == has(oldSelf.redis)")
        .message("redis can't be added or removed: the messages so far would be lost; create another ChatCluster")
        .field_path(".redis"),
    validation = Rule::new("has(self.redis) || self.delivery.durability == 'Memory'")
        .message("without redis nothing survives the chat's one pod: set durability to Memory, or set redis.managed or redis.external")
        .field_path(".delivery.durability"),
    validation = Rule::new("!has(self.redis) || !has(self.redis.managed) || self.delivery.durability != 'Replica'")
        .message("a managed Redis is one server without replicas: set durability to Aof, or use redis.external")
        .field_path(".delivery.durability"),
)]
pub struct ChatClusterSpec {
    /// Container image of the nodes.
    #[serde(default)]
    pub image: Image,

    /// Desired number of nodes. Set by a user or, through the scale subresource, by an autoscaler.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,

    /// Autoscaling of the nodes. If unset, `spec.replicas` is the number of nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// Redis that the nodes share: managed by the operator, or external. If unset, the chat lives
    /// in the memory of a single pod and is lost when that pod ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<Redis>,

    /// Durability of acknowledged messages.
    #[serde(default)]
    pub delivery: Delivery,

    /// How clients reach the chat: the Service, and an optional Ingress.
    #[serde(default)]
    pub exposure: Exposure,

    /// Which web pages may connect.
    #[serde(default)]
    pub auth: Auth,

    /// Limits per node and per user.
    #[serde(default)]
    pub limits: Limits,

    /// Retention of messages.
    #[serde(default)]
    pub retention: Retention,

    /// Rolling update of the nodes.
    #[serde(default)]
    pub rollout: Rollout,

    /// How a node hands its clients over to other nodes before it is removed. The pods' termination
    /// grace period is derived from it.
    #[serde(default)]
    pub drain: Drain,

    /// Settings of the nodes' pods other than their image.
    #[serde(default)]
    pub pod: Pod,

    /// Voluntary disruptions, such as `kubectl drain`: settings of the PodDisruptionBudget.
    #[serde(default)]
    pub disruption: Disruption,

    /// NetworkPolicies of the pods.
    #[serde(default)]
    pub network_policy: NetworkPolicy,

    /// Objects for the Prometheus Operator and Grafana. Created only where the Prometheus Operator
    /// is installed.
    #[serde(default)]
    pub monitoring: Monitoring,

    /// Distributed tracing with OpenTelemetry.
    #[serde(default)]
    pub tracing: Tracing,

    /// Pauses reconciliation: while true, the operator creates, changes and deletes nothing.
    #[serde(default)]
    pub paused: bool,
}

fn default_replicas() -> i32 {
    2
}

/// A container image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Image {
    /// Registry and repository, without a tag.
    #[schemars(length(min = 1, max = 255))]
    pub repository: String,
    /// Image tag: the version of chat-server.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]*$"))]
    pub tag: String,
    /// Image digest, as `sha256:…`; overrides `tag`.
    #[schemars(length(max = 71), regex(pattern = r"^(sha256:[0-9a-f]{64})?$"))]
    pub digest: String,
    /// Image pull policy.
    pub pull_policy: PullPolicy,
    /// Secrets for the registry, in the ChatCluster's namespace.
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

/// Image pull policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// Pull at every start.
    Always,
    /// Pull if the image is not present on the Kubernetes node.
    IfNotPresent,
    /// Never pull. The image must be present on the Kubernetes node.
    Never,
}

impl PullPolicy {
    /// The value in a pod spec.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// Reference to a Secret in the ChatCluster's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretName {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Which web pages may connect.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, x_kube(cel))]
#[x_kube(
    validation = Rule::new("self.allowedOrigins.size() < 2 || !self.allowedOrigins.exists(origin, origin == '*')")
        .message("* allows any origin, whatever stands beside it: leave out * or the rest")
        .field_path(".allowedOrigins"),
    validation = Rule::new(
        "self.allowedOrigins.all(origin, !(origin.startsWith('https://') && origin.endsWith(':443')) \
         && !(origin.startsWith('http://') && origin.endsWith(':80')))"
    )
        .message("browsers leave out the port 443 of https and 80 of http: leave it out")
        .field_path(".allowedOrigins"),
)]
pub struct Auth {
    /// Origins of the web pages that may connect, as browsers send them: scheme, host, and a port
    /// that is not the scheme's own, such as `https://chat.example.com`. `*` alone allows any. If
    /// empty, only the chat's own page may connect.
    #[serde(default)]
    #[schemars(
        length(max = 50),
        inner(
            length(max = 255),
            regex(pattern = r"^(\*|https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[1-9][0-9]{0,4})?)$")
        )
    )]
    pub allowed_origins: Vec<String>,
}

/// Limits per node and per user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Maximum number of sockets per node. A full node refuses further clients, which then connect
    /// to another node.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections_per_pod: i32,
    /// Maximum length of a message's text, in bytes of UTF-8.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_message_bytes: i32,
    /// Sustained rate of messages and typing notices per user and node, per second. 0 disables
    /// the limit.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub messages_per_second_per_user: i32,
    /// Burst: number of messages and typing notices that a user may send to a node at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: i32,
    /// Sustained rate of changes of rooms per user and node, per second: to create, join, leave or
    /// update a room, to invite, to open a direct message. A user may make 60 s of them at once. 0
    /// disables the limit.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub changes_per_second_per_user: i32,
    /// Sustained rate of other requests per user and node, per second: for history, rooms and
    /// members, and to mark as read. A user may make 10 s of them at once. 0 disables the limit.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub queries_per_second_per_user: i32,
    /// Sustained rate of handshakes per client address and node, per second. Further ones are
    /// refused with 503 and try again. An address may make 60 s of them at once: it may be a
    /// school. 0 disables the limit.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub handshakes_per_second_per_address: i32,
    /// Sustained rate of guests that are stored, with what they say or change first, per client
    /// address and node, per second. Further ones are told to wait. An address may make 300 s of
    /// them at once, all addresses of a node 20 times as many. 0 disables the limit.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub new_guests_per_second_per_address: i32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections_per_pod: 20_000,
            max_message_bytes: 16_384,
            messages_per_second_per_user: 10,
            burst: 30,
            changes_per_second_per_user: 1,
            queries_per_second_per_user: 50,
            handshakes_per_second_per_address: 50,
            new_guests_per_second_per_address: 5,
        }
    }
}

/// Retention of messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Retention {
    /// Maximum age of a message, in seconds. 0 keeps messages forever.
    #[schemars(range(min = 0))]
    pub max_age_seconds: i64,
    /// Maximum number of messages kept per room. Joins, leaves and room changes take no message's
    /// place: they are kept as long as they are among the newest entries of this number. 0 keeps
    /// all.
    #[schemars(range(min = 0))]
    pub max_messages_per_room: i64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { max_age_seconds: 2_592_000, max_messages_per_room: 100_000 }
    }
}

/// Voluntary disruptions: settings of the PodDisruptionBudget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Disruption {
    /// Maximum number of pods that may be evicted at a time. No pod may be evicted while a node
    /// drains.
    #[schemars(range(min = 1, max = 1000))]
    pub max_unavailable: i32,
}

impl Default for Disruption {
    fn default() -> Self {
        Self { max_unavailable: 1 }
    }
}

/// NetworkPolicies of the pods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicy {
    /// Whether the operator creates NetworkPolicies.
    pub mode: NetworkPolicyMode,
    /// Peers that may connect to the clients' port, such as the ingress controller's pods. If
    /// empty, any peer may connect. The admin port is open to the operator and `metricsFrom` only,
    /// Redis to the nodes only.
    #[schemars(length(max = 20))]
    pub ingress_from: Vec<NetworkPolicyPeer>,
    /// Peers that may connect to the nodes' admin port, which serves metrics, besides the operator.
    /// By default, pods with the label `app.kubernetes.io/name: prometheus` in the namespace
    /// `monitoring` and in the ChatCluster's own. If empty, only the operator may connect.
    #[schemars(length(max = 20))]
    pub metrics_from: Vec<NetworkPolicyPeer>,
}

impl Default for NetworkPolicy {
    fn default() -> Self {
        let labels = |key: &str, value: &str| {
            let labels = [(key.to_owned(), value.to_owned())].into();
            Some(LabelSelector { match_labels: Some(labels), ..LabelSelector::default() })
        };
        let prometheus = || NetworkPolicyPeer {
            pod_selector: labels("app.kubernetes.io/name", "prometheus"),
            ..NetworkPolicyPeer::default()
        };
        let elsewhere = NetworkPolicyPeer {
            namespace_selector: labels("kubernetes.io/metadata.name", "monitoring"),
            ..prometheus()
        };
        Self {
            mode: NetworkPolicyMode::default(),
            ingress_from: Vec::new(),
            metrics_from: vec![elsewhere, prometheus()],
        }
    }
}

/// Whether the operator creates NetworkPolicies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NetworkPolicyMode {
    /// Allow only the traffic that the chat needs, in both directions.
    #[default]
    Strict,
    /// Create no NetworkPolicy.
    Disabled,
}
