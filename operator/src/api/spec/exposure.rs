//! How clients reach the chat.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How clients reach the chat: a Service, and an optional Ingress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Exposure {
    /// Path below which clients find the chat, such as `/chat`, where the site has others. The page is
    /// at `/chat/` then, and Socket.IO under `/chat/socket.io/`.
    #[schemars(
        length(min = 1, max = 128),
        regex(pattern = r"^/([A-Za-z0-9_~][A-Za-z0-9._~-]*(/[A-Za-z0-9_~][A-Za-z0-9._~-]*)*)?$")
    )]
    pub path: String,
    /// Service in front of the nodes, for clients.
    pub service: Service,
    /// Ingress in front of the Service. If unset, the operator creates no Ingress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// Networks of the proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` the nodes believe,
    /// such as `10.0.0.0/8`. If unset, these are the private networks, which pods are in, if there
    /// is an `ingress` and the Service has type ClusterIP, so that clients can't pass the ingress
    /// controller by; otherwise there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50), inner(length(max = 43), regex(pattern = r"^[0-9a-fA-F.:]+(/[0-9]{1,3})?$")))]
    pub trusted_proxies: Option<Vec<String>>,
}

/// Private networks of IPv4 and IPv6, and the one that carriers share, which some clusters use.
const PRIVATE_NETWORKS: [&str; 5] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"];

impl Default for Exposure {
    fn default() -> Self {
        Self { path: "/".to_owned(), service: Service::default(), ingress: None, trusted_proxies: None }
    }
}

impl Exposure {
    /// What follows the host in the address of the chat: nothing, or the path with a slash at its end.
    #[must_use]
    pub fn address_path(&self) -> String {
        if self.path == "/" { String::new() } else { format!("{}/", self.path) }
    }

    /// The networks of the proxies that the nodes trust.
    #[must_use]
    pub fn trusted_proxies(&self) -> Vec<String> {
        let proxied = self.ingress.is_some() && self.service.type_ == ServiceType::ClusterIP;
        match &self.trusted_proxies {
            Some(networks) => networks.clone(),
            None if proxied => PRIVATE_NETWORKS.map(ToOwned::to_owned).to_vec(),
            None => Vec::new(),
        }
    }
}

/// Service in front of the nodes, for clients.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// Type of the Service. Long-polling clients require an Ingress with sticky sessions.
    #[serde(rename = "type")]
    pub type_: ServiceType,
}

/// Type of a Service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// Reachable within the Kubernetes cluster.
    #[default]
    ClusterIP,
    /// Reachable on a port of every Kubernetes node.
    NodePort,
    /// Reachable through a cloud provider's load balancer.
    LoadBalancer,
}

impl ServiceType {
    /// The value in a Service spec.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// Ingress for a controller that supports the annotations of ingress-nginx.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, x_kube(cel))]
#[x_kube(
    validation = Rule::new("self.annotations.all(key, !key.contains('snippet'))")
        .message("snippet annotations are not allowed: they add text to the proxy's configuration")
        .field_path(".annotations"),
)]
pub struct Ingress {
    /// Name of the IngressClass.
    #[serde(default = "default_class")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: String,
    /// Host names of the chat. The first one without a wildcard is the endpoint in the status.
    #[schemars(
        length(min = 1, max = 20),
        inner(
            length(max = 253),
            regex(pattern = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
        )
    )]
    pub hosts: Vec<String>,
    /// How all requests of a session reach the same node (sticky sessions), which long-polling
    /// clients need.
    #[serde(default)]
    pub sticky: Sticky,
    /// TLS certificate. If unset, the Ingress serves plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Additional annotations; they override the operator's. A value must be a single line, because
    /// the proxy copies it into its configuration.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 50, "additionalProperties" = {"type": "string", "maxLength": 4096, "pattern": "^[^\\r\\n]*$"}))]
    pub annotations: BTreeMap<String, String>,
}

fn default_class() -> String {
    "nginx".into()
}

/// Sticky sessions: all requests of a session reach the same node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Sticky {
    /// How the proxy recognizes a session.
    pub mode: StickyMode,
    /// Name of the cookie.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub cookie_name: String,
    /// Maximum age of the cookie, in seconds.
    #[schemars(range(min = 1, max = 31_536_000))]
    pub max_age_seconds: i32,
}

impl Default for Sticky {
    fn default() -> Self {
        Self { mode: StickyMode::Cookie, cookie_name: "chatlb".into(), max_age_seconds: 86_400 }
    }
}

/// How the proxy recognizes a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StickyMode {
    /// By a cookie that the proxy sets.
    Cookie,
    /// By the client's address. The proxy must see the real address: behind a Service or load
    /// balancer that replaces it, all clients reach the same node.
    ClientIP,
}

/// A TLS certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Name of a Secret of type `kubernetes.io/tls`.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}
