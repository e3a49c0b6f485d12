//! The Redis that the nodes share.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::external::External;
use super::pod::Resources;

pub mod external;

/// Exactly one of the two.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, x_kube(cel))]
#[x_kube(
    validation = Rule::new("has(self.managed) != has(self.external)")
        .message("set exactly one of redis.managed and redis.external"),
    validation = Rule::new("has(self.managed) == has(oldSelf.managed)")
        .message("redis can't change between managed and external: what was said so far would be lost; make another ChatCluster"),
)]
pub struct Redis {
    /// One that the operator runs: a single Redis with an append-only file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<Managed>,
    /// One that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
}

/// A single Redis with an append-only file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Managed {
    /// The whole name of its image, which needs redis-server, redis-cli, sh and grep.
    #[schemars(length(min = 1, max = 384))]
    pub image: String,
    /// Where its file is.
    pub persistence: Persistence,
    /// What its pod asks for. With a limit of memory, Redis uses at most 60 % of it: rewriting the
    /// file may for a while need as much again.
    pub resources: Resources,
}

impl Default for Managed {
    fn default() -> Self {
        Self {
            image: "docker.io/library/redis:7-bookworm".into(),
            persistence: Persistence::default(),
            resources: Resources::default(),
        }
    }
}

/// Where the append-only file is.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, x_kube(cel))]
#[x_kube(
    validation = Rule::new("self.size == oldSelf.size")
        .message("the size of a volume that is there can't be changed here")
        .field_path(".size"),
    validation = Rule::new("self.storageClassName == oldSelf.storageClassName")
        .message("the storage class of a volume that is there can't be changed")
        .field_path(".storageClassName"),
)]
pub struct Persistence {
    /// The volume's size.
    #[serde(default = "default_size")]
    #[schemars(length(min = 1, max = 20), regex(pattern = r"^[1-9][0-9]*(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$"))]
    pub size: String,
    /// Its class; empty: the cluster's default.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub storage_class_name: String,
    /// Whether the volume stays when the ChatCluster is deleted.
    #[serde(default = "default_retain")]
    pub retain_on_delete: bool,
}

impl Default for Persistence {
    fn default() -> Self {
        Self { size: default_size(), storage_class_name: String::new(), retain_on_delete: default_retain() }
    }
}

fn default_size() -> String {
    "10Gi".into()
}

fn default_retain() -> bool {
    true
}
