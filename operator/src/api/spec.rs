//! What a user asks for. A field is here as soon as it is honoured, not before.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A chat: some chat-server nodes, reachable under one address.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "chatcluster.dev",
    version = "v1alpha1",
    kind = "ChatCluster",
    plural = "chatclusters",
    shortname = "cc",
    category = "all",
    category = "chat",
    namespaced
)]
#[serde(rename_all = "camelCase")]
pub struct ChatClusterSpec {
    /// The image of the nodes.
    #[serde(default)]
    pub image: Image,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Image {
    /// Registry and name.
    #[schemars(length(min = 1, max = 255))]
    pub repository: String,
    /// The version.
    #[schemars(length(min = 1, max = 128))]
    pub tag: String,
}

impl Default for Image {
    fn default() -> Self {
        Self { repository: "ghcr.io/chatcluster/chat-server".into(), tag: env!("CARGO_PKG_VERSION").into() }
    }
}
