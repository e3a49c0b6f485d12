//! Durability of acknowledged messages.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Durability of acknowledged messages.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, x_kube(cel))]
#[x_kube(
    validation = Rule::new("self.durability == 'Replica' || self.replicas == 1")
        .message("replicas is valid only with the durability Replica: set durability to Replica, or omit replicas")
        .field_path(".replicas"),
)]
pub struct Delivery {
    /// What the nodes wait for before they acknowledge a message. A message for which this fails is
    /// answered with `unavailable`; clients send it again with the same nonce.
    #[serde(default)]
    pub durability: Durability,
    /// Number of replicas that must hold a message before it is acknowledged; with durability
    /// Replica only. For a failover without loss, choose a majority of all copies together with the
    /// primary (1 of 2 replicas, 2 of 3 or 4), and set `min-replicas-to-write` in Redis.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 1, max = 9))]
    pub replicas: i32,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { durability: Durability::default(), replicas: default_replicas() }
    }
}

/// What a node waits for before it acknowledges a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Durability {
    /// Redis holds the message in memory. The message survives whatever Redis itself survives.
    #[default]
    Memory,
    /// The message is in Redis' append-only file, on disk. It survives a crash of Redis and of its
    /// machine. An external Redis requires `appendonly yes`, and either Redis 7.2 or `appendfsync
    /// always`. The operator configures a managed Redis.
    Aof,
    /// Replicas hold the message. It survives the loss of the primary.
    Replica,
}

impl Durability {
    /// The value of the server's option `--durability`.
    #[must_use]
    pub fn as_option(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Aof => "aof",
            Self::Replica => "replica",
        }
    }
}

fn default_replicas() -> i32 {
    1
}
