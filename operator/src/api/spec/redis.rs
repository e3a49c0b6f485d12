//! Redis that the nodes share.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::external::External;
use super::pod::Resources;

pub mod external;

/// Redis that the nodes share. Exactly one of `managed` and `external` must be set.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, x_kube(cel))]
#[x_kube(
    validation = Rule::new("has(self.managed) != has(self.external)")
        .message("set exactly one of redis.managed and redis.external"),
    validation = Rule::new("has(self.managed) == has(oldSelf.managed)")
        .message("redis can't change between managed and external: the messages so far would be lost; create another ChatCluster"),
)]
pub struct Redis {
    /// Redis managed by the operator: a single instance with an append-only file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<Managed>,
    /// Existing Redis that the operator does not manage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
}

/// Redis managed by the operator: a single instance with an append-only file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Managed {
    /// Container image, with tag or digest. It must contain redis-server, redis-cli, sh and grep.
    #[schemars(length(min = 1, max = 384))]
    pub image: String,
    /// Volume of the append-only file.
    pub persistence: Persistence,
    /// Resource requests and limits of the Redis container. With a memory limit, Redis uses at most
    /// 60 % of it: a rewrite of the append-only file may temporarily need as much again.
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

/// Volume of the append-only file.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, x_kube(cel))]
#[x_kube(
    validation = Rule::new("self.size == oldSelf.size")
        .message("size can't be changed: resize the PersistentVolumeClaim instead")
        .field_path(".size"),
    validation = Rule::new("self.storageClassName == oldSelf.storageClassName")
        .message("storageClassName can't be changed")
        .field_path(".storageClassName"),
)]
pub struct Persistence {
    /// Size of the volume. Immutable.
    #[serde(default = "default_size")]
    #[schemars(length(min = 1, max = 20), regex(pattern = r"^[1-9][0-9]*(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$"))]
    pub size: String,
    /// Name of the StorageClass. If empty, the default StorageClass applies. Immutable.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub storage_class_name: String,
    /// Keep the volume when the ChatCluster is deleted.
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
