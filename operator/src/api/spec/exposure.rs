//! How the chat is reached.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Service, and perhaps an Ingress before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Exposure {
    /// The Service of the nodes.
    pub service: Service,
    /// The Ingress before it. Absent: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
}

/// The Service of the nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// Its type. Long-polling clients need an Ingress before it that sends a session to one node.
    #[serde(rename = "type")]
    pub type_: ServiceType,
}

/// The type of a Service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// Within the cluster.
    #[default]
    ClusterIP,
    /// On a port of every machine.
    NodePort,
    /// Behind a load balancer of the cloud.
    LoadBalancer,
}

impl ServiceType {
    /// The word as the Service's spec has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// An Ingress for a controller that reads the annotations of ingress-nginx.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, x_kube(cel))]
#[x_kube(
    validation = Rule::new("self.annotations.all(key, !key.contains('snippet'))")
        .message("snippet annotations put text into the proxy's own configuration: they are refused")
        .field_path(".annotations"),
)]
pub struct Ingress {
    /// The class, which says what controller serves it.
    #[serde(default = "default_class")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: String,
    /// The names under which the chat is reached.
    #[schemars(
        length(min = 1, max = 20),
        inner(
            length(max = 253),
            regex(pattern = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
        )
    )]
    pub hosts: Vec<String>,
    /// How a session stays on one node. Long-polling can't do without.
    #[serde(default)]
    pub sticky: Sticky,
    /// The certificate. Absent: plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Further annotations. They have the last word. A value has one line, as it ends up in the proxy's
    /// own configuration.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 50, "additionalProperties" = {"type": "string", "maxLength": 4096, "pattern": "^[^\\r\\n]*$"}))]
    pub annotations: BTreeMap<String, String>,
}

fn default_class() -> String {
    "nginx".into()
}

/// How a session stays on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Sticky {
    /// By what.
    pub mode: StickyMode,
    /// The cookie's name.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub cookie_name: String,
    /// How long the browser keeps it.
    #[schemars(range(min = 1, max = 31_536_000))]
    pub max_age_seconds: i32,
}

impl Default for Sticky {
    fn default() -> Self {
        Self { mode: StickyMode::Cookie, cookie_name: "chatlb".into(), max_age_seconds: 86_400 }
    }
}

/// By what a session stays on one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StickyMode {
    /// A cookie of the proxy.
    Cookie,
    /// The client's address. It takes one that the proxy sees as it is: behind a Service or load
    /// balancer that puts its own in its place, all clients go to one node.
    ClientIP,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// A Secret of the type `kubernetes.io/tls`.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}
